/* Transcription between OpenAI's form and those of Deepgram and Gemini. */
#include "translate/transcription.h"

#include "translate/call_test.h"
#include "json/scan.h"

static struct transcription_request q;

static void begin(const char *model)
{
    t_begin(model);
    q = (struct transcription_request){0};
}

/* "name=value;name=value" as the client's form. */
static int read_form(const char *form)
{
    struct str rest = str_of(form);
    int r = 0;

    while (rest.n && r == 0) {
        struct str value = str_split(&rest, ';'), name = str_split(&value, '=');
        r = transcription_read_field(&call, &q, name, value);
    }
    return r;
}

/* Deepgram's query, or the field at fault. */
static struct str asked(const char *form, const char *model)
{
    struct audio_options o;

    begin(model);
    if (read_form(form) < 0 || transcription_write_query(&call, &q, &o) < 0)
        return error.param;
    t_put_options(&out, &o);
    return buf_str(&out);
}

static void test_queries(void)
{
    CHECK_STR(asked("", "nova-3"), STR("model=nova-3&smart_format=true&detect_language=true"));
    CHECK_STR(asked("language=de-CH;response_format=verbose_json", "nova-2"),
        STR("model=nova-2&smart_format=true&language=de-CH&utterances=true"));
    CHECK_STR(asked("language=en;response_format=verbose_json;timestamp_granularities[]=word",
                  "nova-2-medical"),
        STR("model=nova-2-medical&smart_format=true&language=en"));
    CHECK_STR(asked("", "nova-2-medical"), STR("model=nova-2-medical&smart_format=true"));
    CHECK_STR(asked("response_format=diarized_json", "nova-2-general"),
        STR("model=nova-2-general&smart_format=true&detect_language=true&utterances=true"
            "&diarize=true"));
    CHECK_STR(asked("response_format=srt;keywords[]=Smart flow;keywords[]=a&b", "nova-3"),
        STR("model=nova-3&smart_format=true&detect_language=true&utterances=true"
            "&keyterm=Smart flow&keyterm=a&b"));
    CHECK_STR(asked("keywords[]=x;language=en", "nova-2"),
        STR("model=nova-2&smart_format=true&language=en&keywords=x"));
    CHECK_STR(asked("languages[]=en;languages[]=de", "nova-3"),
        STR("model=nova-3&smart_format=true&language=multi&language_hint=en&language_hint=de"));
    CHECK_STR(asked("punctuate=true;redact=pci;diarize=false;response_format=diarized_json;"
                    "language=en",
                  "nova-3"),
        STR("model=nova-3&language=en&utterances=true&punctuate=true&redact=pci&diarize=false"));
    CHECK_STR(canon_lost_names(&call), STR(""));
}

static void test_losses(void)
{
    CHECK_STR(asked("language=en;prompt=Hello;temperature=0.5;include[]=logprobs;callback=http://e;"
                    "known_speaker_names[]=Ann;chunking_strategy[type]=server_vad;languages[]=de",
                  "nova-2"),
        STR("model=nova-2&smart_format=true&language=en"));
    CHECK_STR(canon_lost_names(&call),
        STR("include, known_speaker_names, chunking_strategy, callback, prompt, temperature"));
    CHECK_STR(asked("temperature=0;chunking_strategy=auto;stream=true", "nova-3"),
        STR("model=nova-3&smart_format=true&detect_language=true"));
    CHECK_STR(canon_lost_names(&call), STR(""));
}

static void test_refusals(void)
{
    static const struct {
        const char *form, *param;
    } rows[] = {
        {"response_format=xml", "response_format"},
        {"timestamp_granularities[]=letter", "timestamp_granularities"},
        {"stream=maybe", "stream"},
        {"temperature=2", "temperature"},
        {"temperature=", "temperature"},
        {"temperature=1e-1", "temperature"},
        {"language=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "language"},
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        CHECK_STR(asked(rows[i].form, "nova-3"), str_of(rows[i].param));
        CHECK_EQ(error.status, 400);
    }
    begin("nova-3");
    q.translate = true;
    struct audio_options o;
    CHECK(transcription_write_query(&call, &q, &o) < 0);
    CHECK_STR(error.param, STR("model"));
}

static void test_too_many(void)
{
    begin("nova-3");
    int r = 0;
    for (unsigned i = 0; i < TRANSCRIPTION_TERMS_MAX && r == 0; i++)
        r = transcription_read_field(&call, &q, STR("keywords[]"), STR("x"));
    CHECK_EQ(r, 0);
    CHECK(transcription_read_field(&call, &q, STR("keywords[]"), STR("x")) < 0);
    CHECK_STR(error.param, STR("keywords"));
    begin("nova-3");
    for (unsigned i = 0; i < TRANSCRIPTION_OTHERS_MAX && r == 0; i++)
        r = transcription_read_field(&call, &q, STR("tag"), STR("x"));
    CHECK_EQ(r, 0);
    CHECK(transcription_read_field(&call, &q, STR("tag"), STR("x")) < 0);
}

/* Gemini's body, with "…" where the recording goes. */
static struct str gemini(const char *form, bool translate)
{
    begin("gemini-2.5-flash");
    q.translate = translate;
    if (read_form(form) < 0 || transcription_write_before(&call, &q, STR("audio/wav"), &out) < 0)
        return error.param;
    buf_addstr(&out, STR("..."));
    return transcription_write_after(&call, &q, &out) < 0 ? error.param : buf_str(&out);
}

static void test_gemini(void)
{
    CHECK_STR(gemini("", false),
        STR("{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"Transcribe this recording "
            "word for word, in the language spoken. Answer with that text alone, without remarks, "
            "times or speakers.\"},{\"inlineData\":{\"mimeType\":\"audio/wav\",\"data\":\"...\"}}]"
            "}],\"generationConfig\":{\"temperature\":0}}"));
    CHECK_STR(gemini("language=de;keywords[]=Z\xc3\xbcrich;keywords[]=Bern;temperature=.50;"
                     "prompt=Gr\xc3\xbc\xc3\x9f dich",
                  true),
        STR("{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"Translate what is said in "
            "this recording to English. Answer with that text alone, without remarks, times or "
            "speakers. The language is de. These words may occur: Z\xc3\xbcrich, Bern. For style "
            "and spelling, go by this text:\\nGr\xc3\xbc\xc3\x9f dich\"},{\"inlineData\":"
            "{\"mimeType\":\"audio/wav\",\"data\":\"...\"}}]}],"
            "\"generationConfig\":{\"temperature\":0.5}}"));
    struct str s = gemini("response_format=verbose_json;timestamp_granularities[]=word;"
                          "timestamp_granularities[]=segment;diarize=true",
        false);
    CHECK(str_find(s, STR("\"responseMimeType\":\"application/json\",\"responseSchema\":{")) > 0);
    CHECK_STR(json_find(s, STR("generationConfig.responseSchema.required")), STR("[\"segments\"]"));
    CHECK_STR(canon_lost_names(&call), STR("timestamp_granularities, diarize"));
}

/* The client's reply to a provider's, or the error's code. */
static struct str answered(const char *form, enum transcription_form from, const char *reply)
{
    struct transcription_reply r;

    begin("m");
    if (read_form(form) < 0 || transcription_read_reply(&call, &q, from, str_of(reply), &r) < 0 ||
        transcription_write_reply(&call, &q, &r, &out) < 0)
        return error.code;
    return buf_str(&out);
}

static const char deepgram[] =
    "{\"metadata\":{\"request_id\":\"r\",\"duration\":4.2505,\"channels\":1},\"results\":"
    "{\"channels\":[{\"detected_language\":\"en\",\"alternatives\":[{\"transcript\":\"Hi there. "
    "So \\\"long\\\".\",\"confidence\":0.9,\"words\":["
    "{\"word\":\"hi\",\"start\":0.08,\"end\":0.4,\"confidence\":0.9,\"punctuated_word\":\"Hi\"},"
    "{\"word\":\"there\",\"start\":0.4,\"end\":0.88,\"confidence\":0.9}]}]}],"
    "\"utterances\":[{\"start\":0.08,\"end\":1.0,\"transcript\":\"Hi there.\",\"speaker\":0},"
    "{\"start\":3601.2345,\"end\":3602,\"transcript\":\"So\\n --> long.\",\"speaker\":1}]}}";

static void test_plain_replies(void)
{
    CHECK_STR(answered("", TRANSCRIPTION_DEEPGRAM, deepgram),
        STR("{\"text\":\"Hi there. So \\\"long\\\".\",\"usage\":{\"type\":\"duration\","
            "\"seconds\":5}}"));
    CHECK_STR(transcription_type(&q), STR("application/json"));
    CHECK_STR(answered("response_format=text", TRANSCRIPTION_DEEPGRAM, deepgram),
        STR("Hi there. So \"long\".\n"));
    CHECK_STR(transcription_type(&q), STR("text/plain; charset=utf-8"));
}

static void test_subtitles(void)
{
    CHECK_STR(answered("response_format=srt", TRANSCRIPTION_DEEPGRAM, deepgram),
        STR("1\n00:00:00,080 --> 00:00:01,000\nHi there.\n\n"
            "2\n01:00:01,235 --> 01:00:02,000\nSo  -- > long.\n\n"));
    CHECK_STR(answered("response_format=vtt", TRANSCRIPTION_DEEPGRAM, deepgram),
        STR("WEBVTT\n\n00:00:00.080 --> 00:00:01.000\nHi there.\n\n"
            "01:00:01.235 --> 01:00:02.000\nSo  -- > long.\n\n"));
}

#define NEUTRAL                                                                                    \
    "\"tokens\":[],\"temperature\":0,\"avg_logprob\":0,\"compression_ratio\":1,"                   \
    "\"no_speech_prob\":0}"

static void test_verbose(void)
{
    CHECK_STR(answered("response_format=verbose_json;timestamp_granularities[]=word",
                  TRANSCRIPTION_DEEPGRAM, deepgram),
        STR("{\"task\":\"transcribe\",\"language\":\"english\",\"duration\":4.2505,\"text\":"
            "\"Hi there. So "
            "\\\"long\\\".\",\"words\":[{\"word\":\"Hi\",\"start\":0.08,\"end\":0.4},"
            "{\"word\":\"there\",\"start\":0.4,\"end\":0.88}],\"usage\":{\"type\":\"duration\","
            "\"seconds\":5}}"));
    CHECK_STR(answered("response_format=verbose_json", TRANSCRIPTION_DEEPGRAM, deepgram),
        STR("{\"task\":\"transcribe\",\"language\":\"english\",\"duration\":4.2505,\"text\":"
            "\"Hi there. So \\\"long\\\".\",\"segments\":[{\"id\":0,\"seek\":8,\"start\":0.08,"
            "\"end\":1.0,\"text\":\"Hi there.\"," NEUTRAL ",{\"id\":1,\"seek\":360123,\"start\":"
            "3601.2345,\"end\":3602,\"text\":\"So\\n --> long.\"," NEUTRAL
            "],\"usage\":{\"type\":\"duration\",\"seconds\":5}}"));
}

static void test_speakers(void)
{
    CHECK_STR(answered("response_format=diarized_json", TRANSCRIPTION_DEEPGRAM, deepgram),
        STR("{\"task\":\"transcribe\",\"duration\":4.2505,\"text\":\"Hi there. So \\\"long\\\".\","
            "\"segments\":[{\"type\":\"transcript.text.segment\",\"id\":\"seg_0\",\"start\":0.08,"
            "\"end\":1.0,\"text\":\"Hi there.\",\"speaker\":\"A\"},{\"type\":"
            "\"transcript.text.segment\",\"id\":\"seg_1\",\"start\":3601.2345,\"end\":3602,"
            "\"text\":\"So\\n --> long.\",\"speaker\":\"B\"}],\"usage\":{\"type\":\"duration\","
            "\"seconds\":5}}"));
}

static void test_events(void)
{
    CHECK_STR(answered("stream=true", TRANSCRIPTION_DEEPGRAM, deepgram),
        STR("data: {\"type\":\"transcript.text.delta\",\"delta\":\"Hi there. So \\\"long\\\".\"}"
            "\n\ndata: {\"type\":\"transcript.text.done\",\"text\":\"Hi there. So \\\"long\\\".\","
            "\"usage\":{\"type\":\"duration\",\"seconds\":5}}\n\n"));
    CHECK_STR(transcription_type(&q), STR("text/event-stream; charset=utf-8"));
}

/* Milliseconds that are billed; -1: not known. */
static int64_t billed(const char *duration)
{
    struct transcription_reply r;

    begin("m");
    buf_printf(&out,
        "{\"metadata\":{\"duration\":%s},\"results\":{\"channels\":[{\"alternatives\":"
        "[{\"transcript\":\"\"}]}]}}",
        duration);
    if (transcription_read_reply(&call, &q, TRANSCRIPTION_DEEPGRAM, buf_str(&out), &r) < 0)
        return -2;
    return r.usage.source == USAGE_REPORTED ? (int64_t)r.usage.audio_ms : -1;
}

static void test_billing(void)
{
    CHECK_EQ(billed("0.0"), 0);
    CHECK_EQ(billed("3"), 3000);
    CHECK_EQ(billed("3.0010000"), 3001);
    CHECK_EQ(billed("3.0010001"), 3002);
    CHECK_EQ(billed("25.933313"), 25934);
    CHECK_EQ(billed("-1"), -1);
    CHECK_EQ(billed("1e99"), -1);
    CHECK_EQ(billed("\"3\""), -1);
}

#define TEXT(text)                                                                                 \
    "{\"candidates\":[{\"content\":{\"parts\":[{\"thought\":true,\"text\":\"hm\"},{\"text\":"      \
    "\"" text "\"}]},\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":110,"     \
    "\"promptTokensDetails\":[{\"modality\":\"AUDIO\",\"tokenCount\":100}],"                       \
    "\"candidatesTokenCount\":5}}"
#define TOKENS                                                                                     \
    "\"usage\":{\"type\":\"tokens\",\"input_tokens\":110,\"input_token_details\":"                 \
    "{\"text_tokens\":10,\"audio_tokens\":100},\"output_tokens\":5,\"total_tokens\":115}"

static void test_gemini_replies(void)
{
    CHECK_STR(answered("", TRANSCRIPTION_GEMINI, TEXT(" Hello.\\n")),
        STR("{\"text\":\"Hello.\"," TOKENS "}"));
    CHECK_STR(answered("response_format=srt", TRANSCRIPTION_GEMINI,
                  TEXT("{\\\"segments\\\":[{\\\"start\\\":0,\\\"end\\\":1.5,\\\"text\\\":"
                       "\\\"Hello.\\\"}]}")),
        STR("1\n00:00:00,000 --> 00:00:01,500\nHello.\n\n"));
    CHECK_STR(answered("response_format=diarized_json", TRANSCRIPTION_GEMINI,
                  TEXT("{\\\"segments\\\":[{\\\"start\\\":0,\\\"end\\\":1.5,\\\"text\\\":"
                       "\\\"Hello.\\\"},{\\\"start\\\":2,\\\"end\\\":3,\\\"text\\\":\\\"Hi.\\\","
                       "\\\"speaker\\\":27}]}")),
        STR("{\"task\":\"transcribe\",\"duration\":3,\"text\":\"Hello. Hi.\",\"segments\":["
            "{\"type\":\"transcript.text.segment\",\"id\":\"seg_0\",\"start\":0,\"end\":1.5,"
            "\"text\":\"Hello.\",\"speaker\":\"A\"},{\"type\":\"transcript.text.segment\",\"id\":"
            "\"seg_1\",\"start\":2,\"end\":3,\"text\":\"Hi.\",\"speaker\":\"28\"}]," TOKENS "}"));
}

static void test_bad_replies(void)
{
    static const struct {
        enum transcription_form form;
        const char *reply;
    } rows[] = {
        {TRANSCRIPTION_DEEPGRAM, ""},
        {TRANSCRIPTION_DEEPGRAM, "[]"},
        {TRANSCRIPTION_DEEPGRAM, "{\"request_id\":\"r\"}"},
        {TRANSCRIPTION_DEEPGRAM, "{\"results\":{\"channels\":[{\"alternatives\":[]}]}}"},
        {TRANSCRIPTION_DEEPGRAM,
            "{\"results\":{\"channels\":[{\"alternatives\":[{\"transcript\":7}]}]}}"},
        {TRANSCRIPTION_DEEPGRAM, "{\"results\":{\"channels\":[{\"alternatives\":[{\"transcript\":"
                                 "\"x\",\"words\":[{\"word\":\"x\",\"start\":1}]}]}]}}"},
        {TRANSCRIPTION_GEMINI, "{}"},
        {TRANSCRIPTION_GEMINI, TEXT("no json")},
        {TRANSCRIPTION_GEMINI, TEXT("{\\\"segments\\\":[{\\\"start\\\":\\\"0:01\\\"}]}")},
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        CHECK_STR(answered("response_format=vtt", rows[i].form, rows[i].reply),
            STR("upstream_bad_response"));
        CHECK_EQ(error.status, 502);
    }
}

int main(void)
{
    TAP_RUN(test_queries);
    TAP_RUN(test_losses);
    TAP_RUN(test_refusals);
    TAP_RUN(test_too_many);
    TAP_RUN(test_gemini);
    TAP_RUN(test_plain_replies);
    TAP_RUN(test_subtitles);
    TAP_RUN(test_verbose);
    TAP_RUN(test_speakers);
    TAP_RUN(test_events);
    TAP_RUN(test_billing);
    TAP_RUN(test_gemini_replies);
    TAP_RUN(test_bad_replies);
    t_end();
    return tap_done();
}
