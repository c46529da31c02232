#include "providers/deepgram.h"

#include "base/macros.h"
#include "base/tap.h"

#include <errno.h>

static struct buf out;

static struct str target(struct deepgram_listen l)
{
    buf_clear(&out);
    return deepgram_listen_target(&out, STR(""), &l) < 0 ? STR_NONE : buf_str(&out);
}

static void test_targets(void)
{
    static const struct str terms[] = {STR_INIT("Smart flow"), STR_INIT("a&b=c")};
    CHECK_STR(target((struct deepgram_listen){.model = STR("nova-3")}),
        STR("/v1/listen?model=nova-3&smart_format=true&detect_language=true"));
    CHECK_STR(target((struct deepgram_listen){.model = STR("nova-3"),
                  .language = STR("de-CH"),
                  .timestamps = true,
                  .diarize = true,
                  .terms = terms,
                  .n_terms = 2}),
        STR("/v1/listen?model=nova-3&smart_format=true&language=de-CH&utterances=true"
            "&diarize=true&keyterm=Smart%20flow&keyterm=a%26b%3Dc"));
    CHECK_STR(
        target((struct deepgram_listen){
            .model = STR("nova-2-medical"), .language = STR("en"), .terms = terms, .n_terms = 1}),
        STR("/v1/listen?model=nova-2-medical&smart_format=true&language=en&keywords=Smart%20flow"));
    CHECK_STR(target((struct deepgram_listen){
                  .model = STR("x&callback=http://evil"), .language = STR("e\r\n")}),
        STR("/v1/listen?model=x%26callback%3Dhttp%3A%2F%2Fevil&smart_format=true"
            "&language=e%0D%0A"));
    CHECK(!target((struct deepgram_listen){.language = STR("en")}).p);
}

#define ANSWER(duration, text)                                                                     \
    "{\"metadata\":{\"request_id\":\"r\",\"duration\":" duration ",\"channels\":1},"               \
    "\"results\":{\"channels\":[{\"detected_language\":\"en\",\"alternatives\":"                   \
    "[{\"transcript\":" text ",\"confidence\":0.9,\"words\":[{\"word\":\"hi\"}]}]}]}}"

static void test_transcript(void)
{
    struct deepgram_transcript t;
    CHECK_EQ(deepgram_transcript_parse(STR(ANSWER("25.933313", "\"say \\\"hi\\\"\"")), &t), 0);
    CHECK_STR(t.text, STR("say \\\"hi\\\""));
    CHECK_STR(t.language, STR("en"));
    CHECK_STR(t.words, STR("[{\"word\":\"hi\"}]"));
    CHECK_EQ(t.audio_ms, 25934);
}

static int64_t duration(const char *json)
{
    struct deepgram_transcript t;
    int r = deepgram_transcript_parse(str_of(json), &t);
    return r < 0 ? r : (int64_t)t.audio_ms;
}

static void test_durations(void)
{
    CHECK_EQ(duration(ANSWER("0.0", "\"\"")), 0);
    CHECK_EQ(duration(ANSWER("3", "\"\"")), 3000);
    CHECK_EQ(duration(ANSWER("3.5", "\"\"")), 3500);
    CHECK_EQ(duration(ANSWER("3.0010000", "\"\"")), 3001);
    CHECK_EQ(duration(ANSWER("3.0010001", "\"\"")), 3002);
    CHECK_EQ(duration(ANSWER("-1", "\"\"")), -EBADMSG);
    CHECK_EQ(duration(ANSWER("1e3", "\"\"")), -EBADMSG);
    CHECK_EQ(duration(ANSWER("\"3\"", "\"\"")), -EBADMSG);
    CHECK_EQ(duration(ANSWER("99999999999", "\"\"")), -EBADMSG);
}

static void test_malformed(void)
{
    static const char *const bad[] = {"", "{}", "[]", ANSWER("1", "null"), ANSWER("1", "7"),
        "{\"metadata\":{\"duration\":1},\"results\":{\"channels\":[]}}",
        "{\"metadata\":{\"duration\":1},\"results\":{\"channels\":{}}}",
        "{\"metadata\":{\"duration\":1},\"results\":{\"channels\":[{\"alternatives\":[]}]}}",
        "{\"results\":{\"channels\":[{\"alternatives\":[{\"transcript\":\"x\"}]}]}}"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        CHECK_EQ(duration(bad[i]), -EBADMSG);
}

int main(void)
{
    buf_init(&out, 4096);
    TAP_RUN(test_targets);
    TAP_RUN(test_transcript);
    TAP_RUN(test_durations);
    TAP_RUN(test_malformed);
    buf_free(&out);
    return tap_done();
}
