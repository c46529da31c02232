/* Speech between OpenAI's form and those of Deepgram and Gemini. */
#include "translate/speech.h"

#include "translate/call_test.h"

static struct buf query;

static void begin(const char *model)
{
    t_begin(model);
    buf_clear(&query);
}

/* "query body" for a provider, or the field at fault. */
static struct str asked(const char *body, const char *model, enum speech_form form)
{
    struct speech_request q;
    struct speech_sent s;

    begin(model);
    if (speech_read_request(&call, str_of(body), &q) < 0 ||
        speech_write_request(&call, &q, form, &out, &s) < 0)
        return error.param;
    t_put_options(&query, &s.query);
    buf_printf(
        &query, " " STR_FMT " " STR_FMT, STR_ARG(speech_type(s.format)), STR_ARG(buf_str(&out)));
    return buf_str(&query);
}

static void test_deepgram(void)
{
    CHECK_STR(asked("{\"model\":\"m\",\"input\":\"Hi \\\"you\\\"\",\"voice\":\"thalia\"}",
                  "aura-2-thalia-en", SPEECH_DEEPGRAM),
        STR("model=aura-2-thalia-en&encoding=mp3 audio/mpeg {\"text\":\"Hi \\\"you\\\"\"}"));
    CHECK_STR(canon_lost_names(&call), STR(""));
    CHECK_STR(asked("{\"input\":\"x\",\"voice\":\"apollo\",\"response_format\":\"opus\","
                    "\"speed\":1.2,\"stream_format\":\"audio\"}",
                  "aura-2", SPEECH_DEEPGRAM),
        STR("model=aura-2-apollo-en&encoding=opus&container=ogg&speed=1.2 audio/opus "
            "{\"text\":\"x\"}"));
    CHECK_STR(asked("{\"input\":\"x\",\"voice\":\"aura-2-viktoria-de\",\"response_format\":"
                    "\"wav\",\"speed\":1}",
                  "aura-2", SPEECH_DEEPGRAM),
        STR("model=aura-2-viktoria-de&encoding=linear16&container=wav&sample_rate=24000 audio/wav "
            "{\"text\":\"x\"}"));
    CHECK_STR(asked("{\"input\":\"x\",\"voice\":{\"id\":\"agathe-fr\"},\"response_format\":"
                    "\"pcm\"}",
                  "aura-2", SPEECH_DEEPGRAM),
        STR("model=aura-2-agathe-fr&encoding=linear16&container=none&sample_rate=24000 audio/pcm "
            "{\"text\":\"x\"}"));
}

static void test_deepgram_losses(void)
{
    CHECK_STR(asked("{\"input\":\"x\",\"voice\":\"alloy\",\"instructions\":\"Be glad.\","
                    "\"speed\":3,\"pitch\":2}",
                  "aura-2", SPEECH_DEEPGRAM),
        STR("model=aura-2-thalia-en&encoding=mp3 audio/mpeg {\"text\":\"x\"}"));
    CHECK_STR(canon_lost_names(&call), STR("pitch, voice, speed, instructions"));
    CHECK_STR(asked("{\"input\":\"x\",\"voice\":\"apollo\"}", "aura-2-thalia-en", SPEECH_DEEPGRAM),
        STR("model=aura-2-thalia-en&encoding=mp3 audio/mpeg {\"text\":\"x\"}"));
    CHECK_STR(canon_lost_names(&call), STR("voice"));
    CHECK_STR(asked("{\"input\":\"x\",\"voice\":\"nova\"}", "aura", SPEECH_DEEPGRAM),
        STR("model=aura-asteria-en&encoding=mp3 audio/mpeg {\"text\":\"x\"}"));
}

static void test_gemini(void)
{
    CHECK_STR(asked("{\"input\":\"Good day\",\"voice\":\"Kore\",\"response_format\":\"wav\","
                    "\"instructions\":\"Say it cheerfully.\"}",
                  "gemini-2.5-flash-preview-tts", SPEECH_GEMINI),
        STR(" audio/wav {\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"Say it "
            "cheerfully:\\nGood day\"}]}],\"generationConfig\":{\"responseModalities\":[\"AUDIO\"],"
            "\"speechConfig\":{\"voiceConfig\":{\"prebuiltVoiceConfig\":{\"voiceName\":\"Kore\"}}}}"
            "}"));
    CHECK_STR(canon_lost_names(&call), STR(""));
    CHECK_STR(asked("{\"input\":\"x\",\"voice\":\"alloy\",\"speed\":2}", "g", SPEECH_GEMINI),
        STR(" audio/wav {\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"x\"}]}],"
            "\"generationConfig\":{\"responseModalities\":[\"AUDIO\"]}}"));
    CHECK_STR(canon_lost_names(&call), STR("response_format, speed, voice"));
    CHECK_STR(asked("{\"input\":\"x\",\"voice\":\"Kore\",\"response_format\":\"mp3\"}", "g",
                  SPEECH_GEMINI),
        STR("response_format"));
    CHECK_EQ(error.status, 400);
}

static void test_refusals(void)
{
    static const struct {
        const char *body, *param;
    } rows[] = {
        {"[]", ""},
        {"{\"voice\":\"x\"}", "input"},
        {"{\"input\":7,\"voice\":\"x\"}", "input"},
        {"{\"input\":\"x\"}", "voice"},
        {"{\"input\":\"x\",\"voice\":7}", "voice"},
        {"{\"input\":\"x\",\"voice\":{}}", "voice"},
        {"{\"input\":\"x\",\"voice\":\"v\",\"response_format\":\"ogg\"}", "response_format"},
        {"{\"input\":\"x\",\"voice\":\"v\",\"speed\":5}", "speed"},
        {"{\"input\":\"x\",\"voice\":\"v\",\"speed\":\"1\"}", "speed"},
        {"{\"input\":\"x\",\"voice\":\"v\",\"stream_format\":\"x\"}", "stream_format"},
    };

    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        CHECK_STR(asked(rows[i].body, "aura-2", SPEECH_DEEPGRAM), str_of(rows[i].param));
        CHECK_EQ(error.status, 400);
    }
}

/* The client's reply to Gemini's, or the error's code. */
static struct str answered(const char *reply, enum speech_format f, bool sse)
{
    struct speech_request q = {.sse = sse};
    struct speech_sent s = {.format = f};
    struct speech_reply r;

    begin("m");
    if (speech_read_reply(&call, str_of(reply), &r) < 0 ||
        speech_write_reply(&call, &q, &s, &r, &out) < 0)
        return error.code;
    return buf_str(&out);
}

#define SOUND(mime, data)                                                                          \
    "{\"candidates\":[{\"content\":{\"parts\":[{\"inlineData\":{\"mimeType\":\"" mime              \
    "\",\"data\":\"" data "\"}}]},\"finishReason\":\"STOP\"}],\"usageMetadata\":"                  \
    "{\"promptTokenCount\":8,\"candidatesTokenCount\":48,\"candidatesTokensDetails\":"             \
    "[{\"modality\":\"AUDIO\",\"tokenCount\":48}]}}"
#define PCM SOUND("audio/L16;codec=pcm;rate=24000", "AQIDBA==")

static void test_replies(void)
{
    CHECK_STR(answered(PCM, SPEECH_PCM, false), STR("\x01\x02\x03\x04"));
    CHECK_STR(answered(PCM, SPEECH_WAV, false),
        str_at("RIFF\x28\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\xc0\x5d\0\0\x80\xbb\0\0\x02\0\x10\0"
               "data\x04\0\0\0\x01\x02\x03\x04",
            48));
    CHECK_STR(answered(PCM, SPEECH_PCM, true),
        STR("data: {\"type\":\"speech.audio.delta\",\"audio\":\"AQIDBA==\"}\n\n"
            "data: {\"type\":\"speech.audio.done\",\"usage\":{\"input_tokens\":8,"
            "\"input_token_details\":{\"text_tokens\":8,\"audio_tokens\":0},"
            "\"output_tokens\":48,\"total_tokens\":56}}\n\n"));
}

static void test_bad_replies(void)
{
    static const char *const bad[] = {"", "[]", "{}", "{\"candidates\":[]}",
        "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"no\"}]}}]}",
        SOUND("audio/mp3", "AQIDBA=="), SOUND("audio/L16;rate=1", "AQIDBA=="),
        SOUND("audio/L16;rate=x", "AQIDBA=="), SOUND("audio/L16", "!")};

    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK_STR(answered(bad[i], SPEECH_WAV, false), STR("upstream_bad_response"));
        CHECK_EQ(error.status, 502);
    }
    CHECK_STR(answered("{\"promptFeedback\":{\"blockReason\":\"SAFETY\"}}", SPEECH_WAV, false),
        STR("content_policy_violation"));
    CHECK_EQ(error.status, 400);
}

/* What passes in pieces: an event for each, large ones in several; together the sound again. */
static void test_pieces(void)
{
    static char big[60000];

    begin("m");
    memset(big, 'a', sizeof(big));
    CHECK_EQ(speech_write_delta(str_at(big, sizeof(big)), &out), 0);
    unsigned events = 0;
    struct str rest = buf_str(&out);
    while (rest.n)
        events += str_starts(str_split(&rest, '\n'), STR("data: {\"type\":\"speech.audio.delta\""));
    CHECK_EQ(events, 3);
    buf_clear(&out);
    CHECK_EQ(speech_write_done(NULL, &out), 0);
    CHECK_STR(buf_str(&out), STR("data: {\"type\":\"speech.audio.done\"}\n\n"));
}

int main(void)
{
    buf_init(&query, MIB);
    TAP_RUN(test_deepgram);
    TAP_RUN(test_deepgram_losses);
    TAP_RUN(test_gemini);
    TAP_RUN(test_refusals);
    TAP_RUN(test_replies);
    TAP_RUN(test_bad_replies);
    TAP_RUN(test_pieces);
    buf_free(&query);
    t_end();
    return tap_done();
}
