/*
 * Usage out of replies: one golden case for each provider's convention, whole, in events and from a
 * tail; the members that are cut out of streams; and what hostile providers send.
 */
#include "llm/meter.h"

#include "base/macros.h"
#include "base/tap.h"
#include "crypto/encode.h"
#include "json/scan.h"
#include <stdio.h>
#include <stdlib.h>

static struct meter m;

static void begin(enum endpoint_kind kind)
{
    meter_free(&m);
    meter_init(&m, kind);
}

static enum meter_verdict event(const char *name, const char *data)
{
    size_t from = 0, to = 0;

    return meter_event(&m, str_of(name), str_of(data), &from, &to);
}

/* Every field that is not zero, in one order. */
static struct str shown(const struct usage *u)
{
    static char out[512];
    const struct {
        const char *name;
        uint64_t n;
    } all[] = {{"in", u->input}, {"out", u->output}, {"read", u->cache_read},
        {"w5m", u->cache_write_5m}, {"w1h", u->cache_write_1h}, {"reason", u->reasoning},
        {"ain", u->audio_in}, {"aout", u->audio_out}, {"img", u->images}, {"ms", u->audio_ms},
        {"q", u->queries}, {"tier", u->tier}};
    int n = snprintf(out, sizeof out, "%s",
        u->source == USAGE_UNKNOWN    ? "unknown"
        : u->source == USAGE_REPORTED ? "reported"
                                      : "counted");

    for (unsigned i = 0; i < ARRAY_LEN(all); i++)
        if (all[i].n)
            n += snprintf(out + n, sizeof out - (size_t)n, " %s=%llu", all[i].name,
                (unsigned long long)all[i].n);
    return str_at(out, (size_t)n);
}

struct golden {
    enum endpoint_kind kind;
    const char *usage, *want; /* usage: the members that the reply has besides its id */
};

static const struct golden goldens[] = {
    /* Bedrock: Converse; InvokeModel by the model */
    {KIND_CONVERSE, "\"usage\":{\"inputTokens\":9,\"outputTokens\":12,\"totalTokens\":21}",
        "reported in=9 out=12"},
    {KIND_CONVERSE,
        "\"serviceTier\":{\"type\":\"flex\"},\"usage\":{\"inputTokens\":9,\"outputTokens\":12,"
        "\"totalTokens\":141,\"cacheReadInputTokens\":100,\"cacheWriteInputTokens\":20,"
        "\"cacheDetails\":[{\"ttl\":\"1h\",\"inputTokens\":5},"
        "{\"ttl\":\"5m\",\"inputTokens\":15}]}",
        "reported in=9 out=12 read=100 w5m=15 w1h=5 tier=2"},
    {KIND_CONVERSE,
        "\"usage\":{\"inputTokens\":109,\"outputTokens\":12,\"totalTokens\":121,"
        "\"cacheReadInputTokens\":100}",
        "reported in=9 out=12 read=100"},
    {KIND_INVOKE,
        "\"usage\":{\"input_tokens\":5,\"cache_read_input_tokens\":7,\"output_tokens\":6}",
        "reported in=5 out=6 read=7"},
    {KIND_INVOKE, "\"usage\":{\"inputTokens\":5,\"outputTokens\":6,\"totalTokens\":11}",
        "reported in=5 out=6"},
    {KIND_INVOKE, "\"results\":[{\"tokenCount\":3}]", "unknown"},
    /* OpenAI chat, embeddings, Responses */
    {KIND_CHAT, "\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":12,\"total_tokens\":21}",
        "reported in=9 out=12"},
    {KIND_CHAT,
        "\"usage\":{\"prompt_tokens\":2006,\"completion_tokens\":300,\"total_tokens\":2306,"
        "\"prompt_tokens_details\":{\"cached_tokens\":1920,\"audio_tokens\":0},"
        "\"completion_tokens_details\":{\"reasoning_tokens\":192,\"audio_tokens\":0,"
        "\"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}}",
        "reported in=86 out=300 read=1920 reason=192"},
    {KIND_CHAT,
        "\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":200,"
        "\"prompt_tokens_details\":{\"cached_tokens\":10,\"audio_tokens\":70},"
        "\"completion_tokens_details\":{\"audio_tokens\":150}}",
        "reported in=20 out=50 read=10 ain=70 aout=150"},
    {KIND_CHAT, "\"service_tier\":\"flex\",\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}",
        "reported in=1 out=2 tier=2"},
    {KIND_CHAT, "\"usage\":{\"prompt_tokens\":5,\"prompt_tokens_details\":null}", "reported in=5"},
    {KIND_EMBEDDINGS, "\"usage\":{\"prompt_tokens\":8,\"total_tokens\":8}", "reported in=8"},
    {KIND_RESPONSES,
        "\"usage\":{\"input_tokens\":328,\"input_tokens_details\":{\"cached_tokens\":128},"
        "\"output_tokens\":52,\"output_tokens_details\":{\"reasoning_tokens\":32},"
        "\"total_tokens\":380}",
        "reported in=200 out=52 read=128 reason=32"},
    /* DeepSeek names cache hits beside the total */
    {KIND_CHAT,
        "\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":7,\"total_tokens\":107,"
        "\"prompt_cache_hit_tokens\":64,\"prompt_cache_miss_tokens\":36}",
        "reported in=36 out=7 read=64"},
    /* what is written to the cache is inside the total, too */
    {KIND_CHAT,
        "\"usage\":{\"prompt_tokens\":100,\"completion_tokens\":7,\"total_tokens\":107,"
        "\"prompt_tokens_details\":{\"cached_tokens\":20,\"cache_write_tokens\":30}}",
        "reported in=50 out=7 read=20 w5m=30"},
    /* xAI counts reasoning beside the completion */
    {KIND_CHAT,
        "\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":7,\"total_tokens\":117,"
        "\"completion_tokens_details\":{\"reasoning_tokens\":100}}",
        "reported in=10 out=107 reason=100"},
    /* transcriptions: by tokens or by time */
    {KIND_TRANSCRIPTION,
        "\"text\":\"x\",\"usage\":{\"type\":\"tokens\",\"input_tokens\":14,"
        "\"input_token_details\":{\"text_tokens\":0,\"audio_tokens\":14},\"output_tokens\":45}",
        "reported out=45 ain=14"},
    {KIND_TRANSCRIPTION, "\"usage\":{\"type\":\"duration\",\"seconds\":9}", "reported ms=9000"},
    {KIND_TRANSCRIPTION, "\"usage\":{\"type\":\"duration\",\"seconds\":8.475}", "reported ms=8475"},
    /* images: by tokens, or by the picture */
    {KIND_IMAGES,
        "\"data\":[{\"b64_json\":\"x\"}],\"usage\":{\"input_tokens\":50,\"output_tokens\":4160}",
        "reported in=50 out=4160 img=1"},
    {KIND_IMAGES, "\"data\":[{\"url\":\"a\"},{\"url\":\"b\"}]", "reported img=2"},
    {KIND_IMAGE_EDITS, "\"data\":[{\"url\":\"a\"}]", "reported img=1"},
    /* Cohere's rerank */
    {KIND_RERANK, "\"meta\":{\"billed_units\":{\"search_units\":1}}", "reported q=1"},
    /* Anthropic: cached tokens stand beside the input */
    {KIND_MESSAGES, "\"usage\":{\"input_tokens\":10,\"output_tokens\":20}",
        "reported in=10 out=20"},
    {KIND_MESSAGES,
        "\"usage\":{\"input_tokens\":21,\"cache_creation_input_tokens\":188086,"
        "\"cache_read_input_tokens\":5,\"output_tokens\":393,\"service_tier\":\"priority\"}",
        "reported in=21 out=393 read=5 w5m=188086 tier=3"},
    {KIND_MESSAGES,
        "\"usage\":{\"input_tokens\":2048,\"cache_read_input_tokens\":1800,"
        "\"cache_creation_input_tokens\":248,\"cache_creation\":{\"ephemeral_5m_input_tokens\":48,"
        "\"ephemeral_1h_input_tokens\":200},\"output_tokens\":503}",
        "reported in=2048 out=503 read=1800 w5m=48 w1h=200"},
    {KIND_MESSAGES, "\"usage\":{\"input_tokens\":3,\"output_tokens\":4,\"service_tier\":\"batch\"}",
        "reported in=3 out=4 tier=1"},
    /* Gemini: thoughts beside the candidates, cached tokens inside the prompt */
    {KIND_GENERATE,
        "\"usageMetadata\":{\"promptTokenCount\":10,\"candidatesTokenCount\":5,"
        "\"totalTokenCount\":15}",
        "reported in=10 out=5"},
    {KIND_GENERATE,
        "\"usageMetadata\":{\"promptTokenCount\":1000,\"candidatesTokenCount\":50,"
        "\"thoughtsTokenCount\":200,\"cachedContentTokenCount\":600,"
        "\"toolUsePromptTokenCount\":40,\"totalTokenCount\":1290}",
        "reported in=440 out=250 read=600 reason=200"},
    {KIND_GENERATE,
        "\"usageMetadata\":{\"promptTokenCount\":300,\"cachedContentTokenCount\":100,"
        "\"promptTokensDetails\":[{\"modality\":\"TEXT\",\"tokenCount\":120},"
        "{\"modality\":\"AUDIO\",\"tokenCount\":180}],"
        "\"cacheTokensDetails\":[{\"modality\":\"AUDIO\",\"tokenCount\":80},"
        "{\"modality\":\"TEXT\",\"tokenCount\":20}],\"candidatesTokenCount\":30,"
        "\"candidatesTokensDetails\":[{\"modality\":\"AUDIO\",\"tokenCount\":25}]}",
        "reported in=100 out=5 read=100 ain=100 aout=25"},
    /* nothing said */
    {KIND_CHAT, "\"choices\":[]", "unknown"},
    {KIND_CHAT, "\"usage\":null", "unknown"},
    {KIND_CHAT, "\"usage\":{}", "unknown"},
    {KIND_GENERATE, "\"usage\":{\"prompt_tokens\":1}", "unknown"},
    {KIND_RERANK, "\"meta\":{}", "unknown"},
};

static void test_whole(void)
{
    char json[2048];

    for (unsigned i = 0; i < ARRAY_LEN(goldens); i++) {
        begin(goldens[i].kind);
        snprintf(json, sizeof json, "{\"id\":\"x\",%s}", goldens[i].usage);
        meter_reply(&m, str_of(json));
        if (!str_eq(shown(&m.usage), str_of(goldens[i].want)))
            tap_fail(__FILE__, __LINE__, "%s: " STR_FMT ", wanted %s", goldens[i].usage,
                STR_ARG(shown(&m.usage)), goldens[i].want);
    }
}

static void test_white_space(void)
{
    begin(KIND_CHAT);
    meter_reply(&m, STR(" \n{ \"usage\" : {\r\n\t\"prompt_tokens\" : 3 , \"completion_tokens\" : 4 "
                        "} }\n"));
    CHECK_STR(shown(&m.usage), STR("reported in=3 out=4"));
}

static bool next_id(size_t *at, const char *want)
{
    struct str id;

    return meter_next_id(&m, at, &id) && str_eq(id, str_of(want));
}

static void test_ids(void)
{
    struct str id;
    size_t at = 0;

    begin(KIND_BATCHES);
    meter_reply(
        &m, STR("{\"id\":\"batch_1\",\"output_file_id\":\"file-o\",\"error_file_id\":null}"));
    CHECK(next_id(&at, "batch_1"));
    CHECK(next_id(&at, "file-o"));
    CHECK(!meter_next_id(&m, &at, &id));
    begin(KIND_UPLOADS);
    at = 0;
    meter_reply(&m, STR("{\"id\":\"upload_1\",\"file\":{\"id\":\"file-1\"}}"));
    CHECK(next_id(&at, "upload_1"));
    CHECK(next_id(&at, "file-1"));
    begin(KIND_RESPONSES);
    at = 0;
    event("response.created", "{\"type\":\"response.created\",\"response\":{\"id\":\"resp_1\"}}");
    event("response.created", "{\"type\":\"response.created\",\"response\":{\"id\":\"resp_2\"}}");
    CHECK(next_id(&at, "resp_1"));
    CHECK(!meter_next_id(&m, &at, &id));
    begin(KIND_RESPONSES);
    at = 0;
    meter_reply(&m, STR("{\"id\":\"\",\"object\":\"response\"}"));
    meter_reply(&m, STR("{\"id\":7}"));
    CHECK(!meter_next_id(&m, &at, &id));
}

static struct str model(void)
{
    return str_at(m.model, m.model_n);
}

static void test_models(void)
{
    char text[256];

    begin(KIND_CHAT);
    meter_reply(&m, STR("{\"id\":\"c\",\"model\":\"gpt-4o-2024-08-06\",\"choices\":[]}"));
    CHECK_STR(model(), STR("gpt-4o-2024-08-06"));
    begin(KIND_GENERATE);
    meter_reply(&m, STR("{\"model\":\"no\",\"modelVersion\":\"gemini-2.5-pro\"}"));
    CHECK_STR(model(), STR("gemini-2.5-pro"));
    begin(KIND_CHAT);
    event("", "{\"model\":\"gpt-4o-2024-08-06\",\"choices\":[{\"delta\":{\"content\":\"a\"}}]}");
    event("", "{\"model\":\"later\",\"choices\":[{\"delta\":{\"content\":\"a\"}}]}");
    CHECK_STR(model(), STR("gpt-4o-2024-08-06"));
    begin(KIND_STREAM_GENERATE);
    event("", "{\"candidates\":[],\"modelVersion\":\"gemini-2.5-flash\"}");
    CHECK_STR(model(), STR("gemini-2.5-flash"));
    begin(KIND_MESSAGES);
    event("message_start",
        "{\"type\":\"message_start\",\"message\":{\"model\":\"claude-x\",\"usage\":{}}}");
    CHECK_STR(model(), STR("claude-x"));
    begin(KIND_RESPONSES);
    event("response.created",
        "{\"type\":\"response.created\",\"response\":{\"id\":\"r\",\"model\":\"o3-2025\"}}");
    CHECK_STR(model(), STR("o3-2025"));
    begin(KIND_CHAT);
    event("", "[DONE]");
    meter_reply(&m, STR("{\"model\":7}"));
    meter_reply(&m, STR("{\"model\":\"a\\n\"}"));
    snprintf(text, sizeof text, "{\"model\":\"%0*d\"}", METER_MODEL_BYTES + 1, 0);
    meter_reply(&m, str_of(text));
    CHECK_EQ(m.model_n, 0);
}

/* --- streams --- */

static void test_openai_stream(void)
{
    begin(KIND_CHAT);
    CHECK_EQ(event("", "{\"choices\":[{\"delta\":{\"content\":\"Hel\"}}]}"), METER_PASS);
    CHECK_EQ(
        event("", "{\"choices\":[{\"delta\":{\"content\":\"lo\"}}],\"usage\":null}"), METER_NULL);
    CHECK_STR(buf_str(&m.text), STR("Hello"));
    CHECK_EQ(m.output_bytes, 5);
    CHECK_EQ(event("", "{\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2},"
                       "\"service_tier\":\"priority\"}"),
        METER_USAGE);
    CHECK(!m.finished);
    CHECK_EQ(event("", "[DONE]"), METER_END);
    CHECK(m.finished);
    CHECK_STR(shown(&m.usage), STR("reported in=9 out=2 tier=3"));
    CHECK_EQ(m.text.cap, 0); /* nothing is left to count */
    CHECK_EQ(m.events, 4);
}

/* Azure begins with an empty list of choices; Groq reports inside x_groq; xAI in every chunk. */
static void test_stream_quirks(void)
{
    begin(KIND_CHAT);
    CHECK_EQ(
        event("", "{\"choices\":[],\"prompt_filter_results\":[{\"prompt_index\":0}]}"), METER_PASS);
    CHECK_EQ(event("", "{\"choices\":[],\"usage\":null}"), METER_NULL);
    CHECK_STR(shown(&m.usage), STR("unknown"));
    begin(KIND_CHAT);
    CHECK_EQ(event("", "{\"choices\":[{\"delta\":{}}],\"x_groq\":{\"id\":\"r\",\"usage\":{"
                       "\"prompt_tokens\":18,\"completion_tokens\":556}}}"),
        METER_PASS);
    CHECK_STR(shown(&m.usage), STR("reported in=18 out=556"));
    begin(KIND_CHAT);
    CHECK_EQ(
        event("", "{\"choices\":[{}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}"),
        METER_PASS);
    CHECK_EQ(
        event("", "{\"choices\":[{}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":8}}"),
        METER_PASS);
    CHECK_STR(shown(&m.usage), STR("reported in=1 out=8"));
    /* Not a usage member, though the word stands in it. */
    CHECK_EQ(
        event("", "{\"choices\":[{\"delta\":{\"content\":\"\\\"usage\\\":null\"}}]}"), METER_PASS);
    CHECK_EQ(event("", "{\"choices\":[{\"delta\":{\"usage\":null}}]}"), METER_PASS);
}

static void test_anthropic_stream(void)
{
    struct str id;
    size_t at = 0;

    begin(KIND_MESSAGES);
    event("content_block_delta", "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{"
                                 "\"type\":\"text_delta\",\"text\":\"Hi\"}}");
    event("content_block_start", "{\"type\":\"content_block_start\",\"content_block\":{"
                                 "\"type\":\"text\",\"text\":\"never counted\"}}");
    CHECK_STR(buf_str(&m.text), STR("Hi"));
    begin(KIND_MESSAGES);
    event("message_start",
        "{\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"usage\":{\"input_tokens\":472,"
        "\"cache_creation_input_tokens\":300,\"cache_read_input_tokens\":7,\"cache_creation\":{"
        "\"ephemeral_5m_input_tokens\":100,\"ephemeral_1h_input_tokens\":200},"
        "\"output_tokens\":2,\"service_tier\":\"standard\"}}}");
    CHECK_STR(shown(&m.usage), STR("reported in=472 out=2 read=7 w5m=100 w1h=200"));
    CHECK_EQ(event("ping", "{\"type\":\"ping\"}"), METER_PASS);
    event("content_block_delta", "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{"
                                 "\"type\":\"text_delta\",\"text\":\"Hi\"}}");
    event("message_delta", "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},"
                           "\"usage\":{\"output_tokens\":89}}");
    CHECK_STR(shown(&m.usage), STR("reported in=472 out=89 read=7 w5m=100 w1h=200"));
    event("message_delta", "{\"type\":\"message_delta\",\"usage\":{\"input_tokens\":500,"
                           "\"cache_creation_input_tokens\":350,\"output_tokens\":90}}");
    CHECK_STR(shown(&m.usage), STR("reported in=500 out=90 read=7 w5m=150 w1h=200"));
    CHECK_EQ(event("message_stop", "{\"type\":\"message_stop\"}"), METER_END);
    CHECK(m.finished && !m.failed);
    CHECK_EQ(m.text.n, 0);               /* the provider reports: nothing has to be counted */
    CHECK(!meter_next_id(&m, &at, &id)); /* nobody asks for a message by its id */
}

/* Without event lines the data's type says what it is. */
static void test_nameless_events(void)
{
    begin(KIND_MESSAGES);
    event("", "{\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":5}}}");
    CHECK_EQ(event("", "{\"type\":\"message_stop\"}"), METER_END);
    CHECK_STR(shown(&m.usage), STR("reported in=5"));
    begin(KIND_RESPONSES);
    CHECK_EQ(event("", "{\"type\":\"response.completed\",\"response\":{\"usage\":{"
                       "\"input_tokens\":5,\"output_tokens\":6}}}"),
        METER_END);
    CHECK_STR(shown(&m.usage), STR("reported in=5 out=6"));
}

static void test_responses_stream(void)
{
    begin(KIND_RESPONSES);
    CHECK_EQ(
        event("response.created", "{\"response\":{\"id\":\"resp_1\",\"usage\":null}}"), METER_PASS);
    CHECK_EQ(event("response.output_text.delta", "{\"delta\":\"a\\u00e9\\n\"}"), METER_PASS);
    CHECK_STR(buf_str(&m.text), STR("a\xc3\xa9\n"));
    CHECK_EQ(m.output_bytes, 4);
    CHECK_EQ(event("response.incomplete",
                 "{\"response\":{\"service_tier\":\"flex\",\"usage\":{\"input_tokens\":1,"
                 "\"output_tokens\":2}}}"),
        METER_END);
    CHECK_STR(shown(&m.usage), STR("reported in=1 out=2 tier=2"));
    begin(KIND_RESPONSES);
    CHECK_EQ(
        event("response.failed", "{\"response\":{\"error\":{},\"usage\":{\"input_tokens\":3}}}"),
        METER_ERROR);
    CHECK(m.failed);
    CHECK_STR(shown(&m.usage), STR("reported in=3"));
}

static void test_gemini_stream(void)
{
    begin(KIND_STREAM_GENERATE);
    event("", "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hi\"}]}}]}");
    CHECK_STR(buf_str(&m.text), STR("Hi"));
    CHECK_EQ(event("", "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"Hi\"}]}}],"
                       "\"usageMetadata\":{\"promptTokenCount\":4,\"cachedContentTokenCount\":1}}"),
        METER_PASS);
    CHECK_EQ(event("", "{\"candidates\":[{\"finishReason\":\"STOP\"}],\"usageMetadata\":{"
                       "\"promptTokenCount\":4,\"candidatesTokenCount\":9}}"),
        METER_PASS);
    CHECK(m.finished);
    CHECK_STR(shown(&m.usage), STR("reported in=3 out=9 read=1"));
    CHECK_EQ(m.text.n, 0);
}

static void test_error_events(void)
{
    begin(KIND_CHAT);
    CHECK_EQ(event("", "{\"error\":{\"message\":\"overloaded\"}}"), METER_ERROR);
    CHECK(m.failed);
    begin(KIND_CHAT);
    CHECK_EQ(
        event("", "{\"choices\":[{\"delta\":{\"content\":\"{\\\"error\\\":{\"}}]}"), METER_PASS);
    CHECK(!m.failed);
    begin(KIND_MESSAGES);
    CHECK_EQ(event("error", "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}"),
        METER_ERROR);
    CHECK(m.failed);
    begin(KIND_STREAM_GENERATE);
    CHECK_EQ(event("", "{\"error\": {\"code\":503}}"), METER_ERROR);
    CHECK(m.failed);
    begin(KIND_RESPONSES);
    CHECK_EQ(event("error", "{\"type\":\"error\",\"code\":\"x\"}"), METER_ERROR);
    CHECK(m.failed);
}

/* What METER_NULL cuts leaves valid JSON without the member, wherever it stands. */
static void test_null_offsets(void)
{
    static const struct {
        const char *data, *rest;
    } rows[] = {
        {"{\"usage\":null}", "{}"},
        {"{\"a\":1,\"usage\":null}", "{\"a\":1}"},
        {"{\"usage\":null,\"a\":1}", "{\"a\":1}"},
        {"{\"a\":1,\"usage\":null,\"b\":2}", "{\"a\":1,\"b\":2}"},
        {"{ \"a\" : 1 , \"usage\" : null }", "{ \"a\" : 1  }"},
        {"{ \"usage\" : null , \"a\" : 1 }", "{  \"a\" : 1 }"},
        {"{\"a\":1,\t\"usage\":null}", "{\"a\":1}"},
        {"{\"a\":1\r\n,\r\n\"usage\":null\r\n,\"b\":2}", "{\"a\":1\r\n\r\n,\"b\":2}"},
        {"{\"usage\":null\t,\"b\":2}", "{\"b\":2}"},
        {"{\"a\":\"x,\",\"usage\":null}", "{\"a\":\"x,\"}"},
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct str data = str_of(rows[i].data);
        size_t from = 0, to = 0;
        char left[128];
        begin(KIND_CHAT);
        CHECK_EQ(meter_event(&m, STR_NONE, data, &from, &to), METER_NULL);
        CHECK(from < to && to <= data.n);
        CHECK(m.null_seen);
        size_t from_again = 0, to_again = 0; /* later chunks take the short way */
        CHECK_EQ(meter_event(&m, STR_NONE, data, &from_again, &to_again), METER_NULL);
        CHECK(from_again == from && to_again == to);
        memcpy(left, data.p, from);
        memcpy(left + from, data.p + to, data.n - to);
        CHECK_STR(str_at(left, data.n - (to - from)), str_of(rows[i].rest));
    }
}

/* What looks like the usual end of a chunk, but is something else. */
static void test_null_look_alikes(void)
{
    static const struct {
        const char *data;
        enum meter_verdict want;
    } rows[] = {
        {"{\"choices\":[{\"delta\":{\"a\":1,\"usage\":null}}]}", METER_PASS},
        {"{\"choices\":[{\"delta\":{\"a\":1,\"usage\":null}}],\"usage\":null}", METER_NULL},
        {"{\"usage\":{\"prompt_tokens\":1},\"choices\":[{\"a\":1,\"usage\":null}]}", METER_PASS},
        {"{\"a\":\"\\\"\",\"usage\":null}", METER_NULL},
        {"{\"a\":\",\\\"usage\\\":null}\"}", METER_PASS},
        {"[1,\"usage\":null}", METER_PASS},
        {"{\"a\":1,\"usage\":null}]", METER_NULL},
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        begin(KIND_CHAT);
        CHECK_EQ(event("", "{\"choices\":[{}],\"usage\":null}"), METER_NULL);
        CHECK_EQ(event("", rows[i].data), rows[i].want);
    }
    begin(KIND_CHAT);
    event("", "{\"choices\":[{}],\"service_tier\":\"flex\",\"usage\":null}");
    CHECK_EQ(m.usage.tier, TIER_FLEX);
    event("", "{\"choices\":[{}],\"x_groq\":{\"usage\":{\"prompt_tokens\":7}},\"usage\":null}");
    CHECK_STR(shown(&m.usage), STR("reported in=7 tier=2"));
}

/* --- texts --- */

static void test_texts(void)
{
    begin(KIND_CHAT);
    event("", "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":{\"arguments\":"
              "\"{\\\"a\\\":1}\"}}]}}]}");
    CHECK_STR(buf_str(&m.text), STR("{\"a\":1}"));
    CHECK_EQ(m.output_bytes, m.text.n);
    event("", "{\"choices\":[{\"delta\":{\"content\":null}}]}");
    event("", "{\"choices\":[{\"delta\":{\"content\":\"\"}}]}");
    event("", "{\"choices\":[{\"delta\":{\"role\":\"content\"}}]}");
    CHECK_STR(buf_str(&m.text), STR("{\"a\":1}"));
    /* A whole reply that says nothing of usage. */
    begin(KIND_CHAT);
    meter_reply(&m, STR("{\"choices\":[{\"message\":{\"content\":\"a\\nb\"}}]}"));
    CHECK_STR(buf_str(&m.text), STR("a\nb"));
    CHECK_EQ(m.output_bytes, 3);
}

/* Behind the text's maximum only bytes are counted, so that the count can be scaled. */
static void test_long_text(void)
{
    enum { PIECE = 1000, PIECES = 300 };
    char data[PIECE + 64];

    begin(KIND_CHAT);
    int n = snprintf(data, sizeof data, "{\"choices\":[{\"delta\":{\"content\":\"");
    memset(data + n, 'x', PIECE);
    strcpy(data + n + PIECE, "\"}}]}");
    for (int i = 0; i < PIECES; i++)
        event("", data);
    CHECK_EQ(m.output_bytes, PIECE * PIECES);
    CHECK(m.text.n <= 256 * 1024 && m.text.n > 200 * 1024);
}

/* Counted text is dropped, and with it the memory that it took. */
static void test_counted_text(void)
{
    char data[9000];

    begin(KIND_CHAT);
    snprintf(data, sizeof data, "{\"content\":\"%08000d\"}", 7);
    event("", "{\"content\":\"ab\"}");
    CHECK(!meter_text_is_due(&m));
    event("", data);
    CHECK(meter_text_is_due(&m));
    meter_text_counted(&m, 0, 0); /* a word without end: asked again when there is much more */
    CHECK(!meter_text_is_due(&m));
    CHECK_EQ(m.text.n, 8002);
    event("", data);
    event("", "{\"content\":\"cd\"}");
    CHECK(meter_text_is_due(&m));
    meter_text_counted(&m, 16002, 5000);
    CHECK_STR(buf_str(&m.text), STR("cd"));
    CHECK(m.text.cap <= METER_TEXT_KEPT);
    CHECK(!meter_text_is_due(&m));
    CHECK_EQ(m.text_tokens, 5000);
    CHECK_EQ(m.text_counted + m.text.n, m.output_bytes);
    /* A sample is enough where the provider is going to report. */
    begin(KIND_CHAT);
    event("", "{\"choices\":[{}],\"usage\":null}");
    event("", data);
    meter_text_counted(&m, 100, 30);
    CHECK_EQ(m.text.n, METER_TEXT_DUE);
    CHECK(m.text.cap <= 2 * METER_TEXT_DUE);
    event("", data);
    CHECK_EQ(m.text.n, METER_TEXT_DUE);
    CHECK_EQ(m.output_bytes, 16000);
    CHECK(!meter_text_is_due(&m));
    begin(KIND_CHAT);
    event("", "{\"choices\":[{}],\"usage\":null}");
    for (int i = 0; i < 2; i++) { /* of the third nothing is kept */
        event("", data);
        CHECK_EQ(m.text.n, 8000);
        meter_text_counted(&m, 8000, 2000);
    }
    event("", data);
    CHECK_EQ(m.text.n, 0);
    CHECK_EQ(m.text_counted, 16000);
    CHECK_EQ(m.output_bytes, 24000);
    CHECK(!meter_text_is_due(&m));
}

/* A text's key at every place of the blocks that are looked at in one step. */
static void test_key_places(void)
{
    char data[128];

    for (int before = 0; before < 40; before++) {
        for (int after = 0; after < 20; after++) {
            snprintf(data, sizeof data, "{\"%.*s\":1,\"content\":\"x%.*s\",\"arguments\":\"y\"}",
                before, "cocococococococoararararararararusususususus", after,
                "cocococococococococo");
            char *copy = str_dup(str_of(data)); /* its own memory, for the sanitizer */
            begin(KIND_CHAT);
            size_t from = 0, to = 0;
            meter_event(&m, STR_NONE, str_at(copy, strlen(copy)), &from, &to);
            free(copy);
            if (m.text.n != (size_t)after + 2 || m.text.p[0] != 'x' || m.text.p[after + 1] != 'y')
                tap_fail(__FILE__, __LINE__, "%s gives " STR_FMT, data, STR_ARG(buf_str(&m.text)));
        }
    }
}

/* --- tails --- */

/* A long reply in pieces that end anywhere around the usage object. */
static void test_tail_cuts(void)
{
    static const char end[] = "\"}],\"usage\":{\"prompt_tokens\":11,\"prompt_tokens_details\":{"
                              "\"cached_tokens\":1},\"note\":\"}]\\\"\",\"completion_tokens\":22}}";
    size_t body_n = 40000, n = body_n + sizeof end - 1;
    char *json = malloc(n);

    must(json);
    memset(json, 'x', body_n);
    memcpy(json + body_n, end, sizeof end - 1);
    for (size_t cut = body_n - 4; cut <= n; cut++) {
        begin(KIND_IMAGES);
        meter_piece(&m, str_at(json, 30000));
        meter_piece(&m, str_at(json + 30000, cut - 30000));
        meter_piece(&m, str_at(json + cut, n - cut));
        meter_pieces_end(&m);
        if (!str_eq(shown(&m.usage), STR("reported in=10 out=22 read=1")))
            tap_fail(__FILE__, __LINE__, "cut at %zu: " STR_FMT, cut, STR_ARG(shown(&m.usage)));
    }
    begin(KIND_CHAT);
    for (size_t i = 0; i < n; i++)
        meter_piece(&m, str_at(json + i, 1));
    CHECK(m.tail.n <= 32 * 1024);
    meter_pieces_end(&m);
    CHECK_STR(shown(&m.usage), STR("reported in=10 out=22 read=1"));
    free(json);
}

static void test_tail_oddities(void)
{
    static const char *const tails[] = {"", "\"usage\"", "\"usage\":", "\"usage\":{",
        "\"usage\":{\"prompt_tokens\":1", "\"usage\":null}", "\"usage\":\"{}\"}",
        "}}}}]]]\"usage\":]", "\"usage\" {\"prompt_tokens\":1}", "\"usage\":{\"a\":\"\\"};

    for (unsigned i = 0; i < ARRAY_LEN(tails); i++) {
        begin(KIND_CHAT);
        meter_piece(&m, str_of(tails[i]));
        meter_pieces_end(&m);
        CHECK_STR(shown(&m.usage), STR("unknown"));
    }
}

/* --- hostile --- */

static void test_hostile_numbers(void)
{
    static const struct {
        const char *usage, *want;
    } rows[] = {
        {"{\"prompt_tokens\":18446744073709551615,\"completion_tokens\":1}", "reported out=1"},
        {"{\"prompt_tokens\":99999999999999999999999,\"completion_tokens\":1}", "reported out=1"},
        {"{\"prompt_tokens\":-5,\"completion_tokens\":1}", "reported out=1"},
        {"{\"prompt_tokens\":1.5,\"completion_tokens\":1}", "reported out=1"},
        {"{\"prompt_tokens\":\"7\",\"completion_tokens\":1}", "reported out=1"},
        {"{\"prompt_tokens\":[7],\"completion_tokens\":{}}", "unknown"},
        {"{\"prompt_tokens\":5,\"prompt_tokens_details\":{\"cached_tokens\":9}}",
            "reported read=9"},
        {"{\"prompt_tokens\":5,\"prompt_tokens_details\":{\"cached_tokens\":1125899906842624,"
         "\"audio_tokens\":1125899906842624}}",
            "reported read=1125899906842624 ain=1125899906842624"},
        {"{\"seconds\":18446744073709551615}", "unknown"},
        {"{\"seconds\":1e3}", "unknown"},
        {"{\"seconds\":1.5e3}", "unknown"},
        {"{\"seconds\":\"1\"}", "unknown"},
    };
    char json[512];

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        begin(KIND_CHAT);
        snprintf(json, sizeof json, "{\"usage\":%s}", rows[i].usage);
        meter_reply(&m, str_of(json));
        CHECK_STR(shown(&m.usage), str_of(rows[i].want));
    }
}

static void test_hostile_shapes(void)
{
    static const char *const datas[] = {"", " ", "{", "[", "\"", "\"usage\"", "{\"usage\"",
        "{\"usage\":", "{\"usage\":{", "{\"usage\":{\"prompt_tokens\":", "{\"usage\":null",
        "[\"usage\",null]", "null", "{\"choices\":,\"usage\":{}}", "{\"content\":\"\\",
        "{\"content\":\"\\ud800\"}", "{\"content\":\"\\uzzzz\"}", "{\"x_groq\":3,\"usage\":[]}",
        "{\"type\":\"\"}", "{\"type\":7}", "{\"type\":\"message_start\",\"message\":[]}",
        "{\"response\":\"usage\"}", "\"content\"\"content\"::::"};
    static const enum endpoint_kind kinds[] = {KIND_CHAT, KIND_RESPONSES, KIND_MESSAGES,
        KIND_STREAM_GENERATE, KIND_TRANSCRIPTION, KIND_COMPLETE};

    for (unsigned k = 0; k < ARRAY_LEN(kinds); k++) {
        begin(kinds[k]);
        for (unsigned i = 0; i < ARRAY_LEN(datas); i++) {
            char *copy = str_dup(str_of(datas[i])); /* its own memory, for the sanitizer */
            size_t from = 0, to = 0;
            meter_event(&m, STR("message_start"), str_at(copy, strlen(copy)), &from, &to);
            meter_event(&m, STR("response.created"), str_at(copy, strlen(copy)), &from, &to);
            meter_event(&m, STR_NONE, str_at(copy, strlen(copy)), &from, &to);
            meter_reply(&m, str_at(copy, strlen(copy)));
            free(copy);
        }
        CHECK_STR(shown(&m.usage), STR("unknown"));
    }
}

static void test_nesting(void)
{
    char deep[4096];
    size_t n = 0;

    n += (size_t)snprintf(deep, sizeof deep, "{\"usage\":");
    while (n < 3000)
        deep[n++] = '[';
    begin(KIND_CHAT);
    meter_reply(&m, str_at(deep, n));
    CHECK_STR(shown(&m.usage), STR("unknown"));
    size_t from, to;
    meter_event(&m, STR_NONE, str_at(deep, n), &from, &to);
    CHECK_STR(shown(&m.usage), STR("unknown"));
}

/* An endless number of ids does not grow the meter without bound. */
static void test_many_ids(void)
{
    begin(KIND_RESPONSES);
    for (int i = 0; i < 1000; i++)
        meter_reply(&m, STR("{\"id\":\"resp_0123456789abcdef0123456789\"}"));
    CHECK(m.ids.n > 0 && m.ids.n <= 1024);
}

static void converse_stream(void)
{
    begin(KIND_CONVERSE_STREAM);
    CHECK_EQ(event("messageStart", "{\"role\":\"assistant\"}"), METER_PASS);
    CHECK_EQ(event("contentBlockDelta", "{\"contentBlockIndex\":0,\"delta\":{\"text\":\"Hello\"}}"),
        METER_PASS);
    CHECK_STR(buf_str(&m.text), STR("Hello"));
    CHECK(!m.finished);
    CHECK_EQ(event("messageStop", "{\"stopReason\":\"end_turn\"}"), METER_PASS);
    CHECK(m.finished && m.usage.source == USAGE_UNKNOWN);
    CHECK_EQ(event("metadata", "{\"usage\":{\"inputTokens\":4,\"outputTokens\":2,"
                               "\"totalTokens\":6},\"metrics\":{\"latencyMs\":1}}"),
        METER_END);
    CHECK_STR(shown(&m.usage), STR("reported in=4 out=2"));
    CHECK_EQ(m.text.n, 0);
    CHECK_EQ(event("!throttlingException", "{\"message\":\"Slow.\"}"), METER_ERROR);
    CHECK(m.failed);
}

/* A model's event as a chunk: base64 inside JSON. */
static enum meter_verdict chunk(const char *json)
{
    _cleanup_(buf_free) struct buf b = {0};
    size_t from, to;

    buf_init(&b, 4096);
    buf_addstr(&b, STR("{\"bytes\":\""));
    base64_add(&b, str_of(json));
    buf_addstr(&b, STR("\",\"p\":\"abcd\"}"));
    return meter_event(&m, STR("chunk"), buf_str(&b), &from, &to);
}

static void test_bedrock_streams(void)
{
    converse_stream();
    begin(KIND_INVOKE_STREAM);
    CHECK_EQ(chunk("{\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":8,"
                   "\"cache_read_input_tokens\":3,\"output_tokens\":1}}}"),
        METER_PASS);
    CHECK_EQ(chunk("{\"type\":\"message_delta\",\"usage\":{\"output_tokens\":6}}"), METER_PASS);
    CHECK_EQ(chunk("{\"type\":\"message_stop\",\"amazon-bedrock-invocationMetrics\":"
                   "{\"inputTokenCount\":11,\"outputTokenCount\":6}}"),
        METER_END);
    CHECK_STR(shown(&m.usage), STR("reported in=8 out=6 read=3"));
    CHECK(m.finished);
    begin(KIND_INVOKE_STREAM); /* a model that says it only in the end */
    CHECK_EQ(chunk("{\"outputText\":\"Hi\"}"), METER_PASS);
    CHECK_EQ(chunk("{\"outputText\":\"\",\"amazon-bedrock-invocationMetrics\":"
                   "{\"inputTokenCount\":9,\"outputTokenCount\":2}}"),
        METER_PASS);
    CHECK_STR(shown(&m.usage), STR("reported in=9 out=2"));
    CHECK(m.finished);
    CHECK_EQ(event("chunk", "{\"bytes\":\"*\"}"), METER_PASS);
    CHECK_EQ(event("chunk", "{\"bytes\":7}"), METER_PASS);
    CHECK_EQ(event("chunk", "[1]"), METER_PASS);
    CHECK_EQ(chunk("no JSON"), METER_PASS);
    CHECK_EQ(chunk("[1]"), METER_PASS);
}

/* Counts in the head matter where the body has none. */
static void test_bedrock_fields(void)
{
    struct http_field at[] = {
        {.name = STR("X-Amzn-Bedrock-Input-Token-Count"), .value = STR("9")},
        {.name = STR("x-amzn-bedrock-output-token-count"), .value = STR("2")},
        {.name = STR("x-amzn-bedrock-cache-read-input-token-count"), .value = STR("4")},
    };
    struct http_fields f = {.at = at, .n = ARRAY_LEN(at)};

    begin(KIND_INVOKE);
    meter_fields(&m, &f);
    CHECK_STR(shown(&m.usage), STR("reported in=9 out=2 read=4"));
    begin(KIND_INVOKE);
    meter_reply(&m, STR("{\"usage\":{\"input_tokens\":5,\"output_tokens\":6}}"));
    meter_fields(&m, &f);
    CHECK_STR(shown(&m.usage), STR("reported in=5 out=6"));
    begin(KIND_CHAT);
    meter_fields(&m, &f);
    CHECK_STR(shown(&m.usage), STR("unknown"));
    at[0].value = STR("99999999999999999999");
    at[1].value = STR("9999999999999999999");
    begin(KIND_INVOKE);
    meter_fields(&m, &f);
    CHECK_STR(shown(&m.usage), STR("unknown"));
}

int main(void)
{
    TAP_RUN(test_whole);
    TAP_RUN(test_white_space);
    TAP_RUN(test_ids);
    TAP_RUN(test_models);
    TAP_RUN(test_openai_stream);
    TAP_RUN(test_stream_quirks);
    TAP_RUN(test_anthropic_stream);
    TAP_RUN(test_nameless_events);
    TAP_RUN(test_responses_stream);
    TAP_RUN(test_gemini_stream);
    TAP_RUN(test_error_events);
    TAP_RUN(test_null_offsets);
    TAP_RUN(test_null_look_alikes);
    TAP_RUN(test_texts);
    TAP_RUN(test_counted_text);
    TAP_RUN(test_key_places);
    TAP_RUN(test_long_text);
    TAP_RUN(test_tail_cuts);
    TAP_RUN(test_tail_oddities);
    TAP_RUN(test_hostile_numbers);
    TAP_RUN(test_hostile_shapes);
    TAP_RUN(test_nesting);
    TAP_RUN(test_many_ids);
    TAP_RUN(test_bedrock_streams);
    TAP_RUN(test_bedrock_fields);
    meter_free(&m);
    return tap_done();
}
