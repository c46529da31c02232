/*
 * What the golden cases do not reach: streams as a growing JSON array, what has to be fetched,
 * names of members, thinking for every model, errors of readers, random requests there and back.
 */
#include "translate/fetch.h"
#include "translate/gemini_int.h"

#include "base/limits.h"
#include "base/macros.h"
#include "base/tap.h"

#include <errno.h>
#include <stdio.h>

static struct arena arena;
static struct canon_call call;
static struct canon_request request;
static struct error error;
static struct buf out;

static void setup(const char *provider, const char *model)
{
    arena_free(&arena);
    arena_init(&arena, NULL, 0, 64 * MIB);
    buf_free(&out);
    buf_init(&out, 16 * MIB);
    error = (struct error){0};
    canon_call_init(&call, &arena, &error);
    canon_request_init(&request);
    call.provider = str_of(provider);
    call.model = str_of(model);
    call.model_shown = STR("shown");
    call.request_id = STR("req_1");
    call.request = &request;
}

/* --- names --- */

static void test_names(void)
{
    CHECK(gm_name_is(STR("inlineData"), "inlineData"));
    CHECK(gm_name_is(STR("inline_data"), "inlineData"));
    CHECK(!gm_name_is(STR("inline_Data"), "inlineData"));
    CHECK(!gm_name_is(STR("inlinedata"), "inlineData"));
    CHECK(!gm_name_is(STR("inline_dat"), "inlineData"));
    CHECK(!gm_name_is(STR("inline_dataX"), "inlineData"));
    CHECK(!gm_name_is(STR("inline_"), "inlineData"));
    CHECK(gm_name_is(STR("_responseJsonSchema"), "_responseJsonSchema"));
    CHECK(!gm_name_is(STR(""), "a"));
}

/* --- thinking --- */

static void check_thought(const char *model, enum canon_effort e, int64_t max)
{
    struct canon_reasoning r = {.effort = e, .budget = -1};
    struct gemini_model m;
    setup("gemini", model);
    gemini_model_of(&call, &m);
    struct gemini_thought t = gemini_thought_of(&m, &r, max);
    if (m.thinking == GEMINI_NO_THINKING) {
        CHECK(!t.any && t.lost == (e != EFFORT_NONE));
        return;
    }
    CHECK(t.any && !t.lost);
    CHECK_EQ(t.include, e != EFFORT_NONE);
    if (m.thinking == GEMINI_LEVEL) {
        CHECK(t.level.n > 0 && t.budget == GEMINI_NO_BUDGET);
        return;
    }
    CHECK(!t.level.p && t.budget >= m.least && t.budget <= m.most);
    CHECK(max < 0 || t.budget < max || t.budget == m.least);
}

/* Any effort and any max_tokens give what the model takes. */
static void test_thinking_is_legal(void)
{
    static const char *const models[] = {"gemini-2.5-pro", "gemini-2.5-flash",
        "gemini-2.5-flash-lite", "gemini-2.0-flash", "gemini-3-pro-preview", "gemini-3.5-flash",
        "gemini-3.7-flash", "gemini-4-argon", "gemma-3-27b-it", "gemma-4-31b-it",
        "gemini-flash-latest", "models/gemini-2.5-pro", "unheard-of"};
    static const int64_t limits[] = {-1, 0, 1, 2, 127, 128, 129, 1023, 1024, 1025, 4096, 100000};
    for (unsigned i = 0; i < ARRAY_LEN(models); i++)
        for (int e = EFFORT_NONE; e <= EFFORT_MAX; e++)
            for (unsigned k = 0; k < ARRAY_LEN(limits); k++)
                check_thought(models[i], (enum canon_effort)e, limits[k]);
}

static void test_levels(void)
{
    static const struct {
        const char *model;
        uint32_t flags;
        enum canon_effort effort;
        const char *level;
    } rows[] = {
        {"gemini-3-flash-preview", 0, EFFORT_NONE, "MINIMAL"},
        {"gemini-3-flash-preview", MODEL_NO_EFFORT_MINIMAL, EFFORT_MINIMAL, "LOW"},
        {"gemini-3-pro-preview", 0, EFFORT_MEDIUM, "HIGH"},
        {"gemini-3.1-pro-preview", 0, EFFORT_MEDIUM, "MEDIUM"},
        {"gemini-3.8-flash", 0, EFFORT_MINIMAL, "LOW"},
        {"gemini-4-argon", 0, EFFORT_MAX, "HIGH"},
        {"gemini-4-argon", MODEL_EFFORT_XHIGH, EFFORT_XHIGH, "XHIGH"},
        {"gemini-pro-latest", 0, EFFORT_LOW, "LOW"},
    };
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct model_facts facts = {.flags = rows[i].flags};
        struct canon_reasoning r = {.effort = rows[i].effort, .budget = -1};
        struct gemini_model m;
        setup("gemini", rows[i].model);
        call.facts = &facts;
        gemini_model_of(&call, &m);
        CHECK_STR(gemini_thought_of(&m, &r, -1).level, str_of(rows[i].level));
    }
}

/* --- streams as an array --- */

static int feed(struct canon_stream *s, const char *data)
{
    return canon_stream_event(s, STR_NONE, str_of(data), &out);
}

static void test_array_stream(void)
{
    struct canon_stream s;
    const char *why;
    setup("gemini", "m");
    call.array_stream = true;
    CHECK_EQ(canon_stream_open(&s, &call, &wire_gemini, &wire_gemini), 0);
    CHECK_EQ(feed(&s, "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]}}]}"), 0);
    CHECK_EQ(feed(&s, "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"b\"}]},"
                      "\"finishReason\":\"STOP\"}]}"),
        0);
    CHECK_EQ(canon_stream_end(&s, &out), 0);
    canon_stream_close(&s);
    CHECK(str_starts(buf_str(&out), STR("[{")));
    yyjson_val *list = jr_parse(&arena, buf_str(&out), &why);
    CHECK_EQ(yyjson_arr_size(list), 3);
    yyjson_val *last = yyjson_arr_get_first(yyjson_obj_get(yyjson_arr_get(list, 2), "candidates"));
    CHECK_STR(jr_get_str(last, "finishReason"), STR("STOP"));
}

static void test_array_error(void)
{
    struct canon_stream s;
    const char *why;
    struct error e = {.status = 503, .message = STR("busy"), .code = STR("UNAVAILABLE")};
    for (int begun = 0; begun < 2; begun++) {
        setup("gemini", "m");
        call.array_stream = true;
        CHECK_EQ(canon_stream_open(&s, &call, &wire_gemini, &wire_gemini), 0);
        if (begun)
            CHECK_EQ(
                feed(&s, "{\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]}}]}"), 0);
        CHECK_EQ(canon_stream_fail(&s, &e, &out), 0);
        canon_stream_close(&s);
        yyjson_val *list = jr_parse(&arena, buf_str(&out), &why);
        CHECK_EQ(yyjson_arr_size(list), 1 + begun);
        yyjson_val *at = yyjson_obj_get(yyjson_arr_get(list, (size_t)begun), "error");
        CHECK_STR(jr_get_str(at, "status"), STR("UNAVAILABLE"));
    }
}

/* Arguments that are no JSON would spoil the event they stand in. */
static void test_bad_arguments(void)
{
    struct canon_stream s;
    static const struct canon_part part = {
        .kind = PART_TOOL_CALL, .id = {"c", 1}, .name = {"f", 1}};
    setup("gemini", "m");
    CHECK_EQ(canon_stream_open(&s, &call, &wire_gemini, &wire_gemini), 0);
    CHECK_EQ(gm_write_event(&s,
                 &(const struct canon_event){.kind = EVENT_PART_DELTA,
                     .part = &part,
                     .field = DELTA_INPUT,
                     .text = STR("{\"a\":")},
                 &out),
        0);
    CHECK_EQ(gm_write_event(
                 &s, &(const struct canon_event){.kind = EVENT_PART_END, .part = &part}, &out),
        -EREMOTEIO);
    CHECK_EQ(error.status, 502);
    canon_stream_close(&s);
}

/* --- replies that cannot be read --- */

static void test_bad_replies(void)
{
    static const char *const bodies[] = {"", "nothing", "[]", "{}", "{\"candidates\":[]}",
        "{\"candidates\":{}}", "{\"usageMetadata\":{\"promptTokenCount\":5}}"};
    for (unsigned i = 0; i < ARRAY_LEN(bodies); i++) {
        struct canon_reply r;
        setup("gemini", "m");
        CHECK(gm_read_reply(&call, str_of(bodies[i]), &r) < 0);
        CHECK_EQ(error.status, 502);
    }
}

/* Unknown and broken members of a reply are passed over. */
static void test_lenient_reply(void)
{
    struct canon_reply r;
    setup("gemini", "m");
    CHECK_EQ(gm_read_reply(&call,
                 STR("{\"candidates\":[{\"content\":{\"parts\":[{\"text\":5},{\"functionCall\":{}},"
                     "{\"inlineData\":{}},null,7,{\"text\":\"a\"}]},\"index\":\"x\","
                     "\"groundingMetadata\":{\"groundingSupports\":[{\"segment\":5,"
                     "\"groundingChunkIndices\":[9,\"a\"]},null]},\"finishReason\":\"NEW_ONE\"}],"
                     "\"usageMetadata\":[]}"),
                 &r),
        0);
    CHECK(r.choices && r.choices->parts && !r.choices->parts->next);
    CHECK_STR(r.choices->parts->text, STR("a"));
    CHECK_EQ(r.choices->finish, FINISH_STOP);
    CHECK_STR(r.choices->native_finish, STR("NEW_ONE"));
    CHECK_EQ(r.usage.source, USAGE_UNKNOWN);
}

static void test_finish_reasons(void)
{
    static const struct {
        const char *name;
        enum canon_finish finish;
    } rows[] = {{"STOP", FINISH_STOP}, {"FINISH_REASON_UNSPECIFIED", FINISH_STOP},
        {"MALFORMED_FUNCTION_CALL", FINISH_STOP}, {"UNEXPECTED_TOOL_CALL", FINISH_STOP},
        {"TOO_MANY_TOOL_CALLS", FINISH_STOP}, {"MALFORMED_RESPONSE", FINISH_STOP},
        {"MISSING_THOUGHT_SIGNATURE", FINISH_STOP}, {"MAX_TOKENS", FINISH_LENGTH},
        {"CONTINUATION", FINISH_LENGTH}, {"SAFETY", FINISH_FILTER}, {"RECITATION", FINISH_FILTER},
        {"LANGUAGE", FINISH_FILTER}, {"OTHER", FINISH_FILTER}, {"BLOCKLIST", FINISH_FILTER},
        {"PROHIBITED_CONTENT", FINISH_FILTER}, {"SPII", FINISH_FILTER},
        {"IMAGE_SAFETY", FINISH_FILTER}, {"IMAGE_OTHER", FINISH_FILTER},
        {"MODEL_ARMOR", FINISH_FILTER}, {"ESCALATION", FINISH_FILTER}};
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
        CHECK_EQ(gm_finish_of(str_of(rows[i].name)), rows[i].finish);
    CHECK_STR(gm_finish_name(FINISH_CONTEXT, STR("x")), STR("MAX_TOKENS"));
    CHECK_STR(gm_finish_name(FINISH_FILTER, STR("refusal")), STR("SAFETY"));
    CHECK_STR(gm_finish_name(FINISH_FILTER, STR("SPII")), STR("SPII"));
    CHECK_STR(gm_finish_name(FINISH_STOP, STR("MAX_TOKENS")), STR("STOP"));
}

/* --- errors --- */

static void test_retry_delay(void)
{
    static const struct {
        const char *delay;
        int seconds;
    } rows[] = {{"13s", 13}, {"0.5s", 1}, {"2.000s", 2}, {"2.001s", 3}, {"", 0}, {"5", 0},
        {"-1s", 0}, {"99999999s", 0}, {"xs", 0}};
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        char body[256];
        struct error e;
        snprintf(body, sizeof(body),
            "{\"error\":{\"code\":429,\"status\":\"RESOURCE_EXHAUSTED\",\"message\":\"m\","
            "\"details\":[5,{\"retryDelay\":\"%s\"}]}}",
            rows[i].delay);
        setup("gemini", "m");
        gm_read_error(&call, 429, STR_NONE, str_of(body), &e);
        CHECK_EQ(e.retry_after_s, rows[i].seconds);
        CHECK_EQ(e.status, 429);
        CHECK_STR(e.message, STR("m"));
    }
}

static void test_error_forms(void)
{
    static const char *const bodies[] = {
        "", "<html>", "[]", "{}", "{\"error\":5}", "{\"error\":{\"message\":7}}", "[5]"};
    struct error e;
    for (unsigned i = 0; i < ARRAY_LEN(bodies); i++) {
        setup("gemini", "m");
        gm_read_error(&call, 500, STR_NONE, str_of(bodies[i]), &e);
        CHECK_EQ(e.status, 500);
        CHECK(e.message.n > 0);
    }
    gm_read_error(&call, 200, STR_NONE,
        STR("{\"error\":{\"code\":503,\"message\":\"busy\",\"status\":\"UNAVAILABLE\"}}"), &e);
    CHECK_EQ(e.status, 503);
    gm_read_error(&call, 400, STR_NONE,
        STR("{\"error\":{\"code\":400,\"message\":\"bad\",\"status\":\"INVALID_ARGUMENT\","
            "\"details\":[{\"fieldViolations\":[{\"field\":\"contents[0]\"}]}]}}"),
        &e);
    CHECK_STR(e.param, STR("contents[0]"));
}

/* --- media that has to be fetched --- */

static void read_gemini(const char *body)
{
    wire_gemini.read_request(&call, str_of(body), &request);
}

#define BY_URL                                                                                     \
    "{\"contents\":[{\"parts\":[{\"text\":\"a\"},{\"fileData\":{\"mimeType\":\"image/png\","       \
    "\"fileUri\":\"https://example.com/a.png?x=1\"}}]},{\"role\":\"model\",\"parts\":[{"           \
    "\"functionCall\":{\"name\":\"f\"}}]},{\"parts\":[{\"functionResponse\":{\"name\":\"f\","      \
    "\"response\":{},\"parts\":[{\"fileData\":{\"mimeType\":\"image/jpeg\",\"fileUri\":"           \
    "\"https://example.com/b\"}}]}}]}]}"

static void test_fetches(void)
{
    struct canon_fetch *f;
    setup("gemini", "gemini-2.5-flash");
    read_gemini(BY_URL);
    CHECK_EQ(error.status, 0);
    CHECK_EQ(canon_fetches(&call, &wire_gemini, &request, &f), 0);
    CHECK(f && f->next && !f->next->next);
    CHECK_STR(f->url, STR("https://example.com/a.png?x=1"));
    CHECK_STR(f->where, STR("contents[0].parts[1]"));
    CHECK_STR(f->next->where, STR("contents[2].parts[0]"));
    CHECK_EQ(canon_fetched(&call, f, STR("text/html; charset=x"), STR("\x89PNG\r\n\x1a\nabc")), 0);
    CHECK_EQ(canon_fetched(&call, f->next, STR("image/webp"), STR("abc")), 0);
    CHECK_EQ(canon_fetches(&call, &wire_gemini, &request, &f), 0);
    CHECK(!f);
    CHECK_EQ(wire_gemini.write_request(&call, &request, &out), 0);
    CHECK(str_find(buf_str(&out), STR("{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":"
                                      "\"iVBORw0KGgphYmM=\"}}")) > 0);
    CHECK(str_find(buf_str(&out), STR("\"mimeType\":\"image/webp\",\"data\":\"YWJj\"")) > 0);
}

static void test_fetch_refused(void)
{
    struct canon_fetch *f;
    setup("gemini", "gemini-2.5-flash");
    read_gemini(BY_URL);
    CHECK_EQ(canon_fetches(&call, &wire_gemini, &request, &f), 0);
    CHECK_EQ(canon_fetched(&call, f, STR("text/html"), STR("<html>")), -EREMOTEIO);
    CHECK_EQ(error.status, 400);
    CHECK_STR(error.param, STR("contents[0].parts[1]"));
    setup("gemini", "gemini-2.5-flash");
    read_gemini(BY_URL);
    CHECK_EQ(canon_fetches(&call, &wire_gemini, &request, &f), 0);
    CHECK_EQ(canon_fetch_failed(&call, f, "it leads into the inner network"), -EREMOTEIO);
    CHECK_STR(error.param, STR("contents[0].parts[1]"));
    setup("gemini", "gemini-2.5-flash");
    read_gemini("{\"contents\":[{\"parts\":[{\"fileData\":{\"mimeType\":\"image/png\","
                "\"fileUri\":\"file:///etc/passwd\"}}]}]}");
    CHECK_EQ(canon_fetches(&call, &wire_chat, &request, &f), 0); /* OpenAI would refuse it */
    CHECK_EQ(canon_fetches(&call, &wire_ollama, &request, &f), -EREMOTEIO);
    CHECK_EQ(error.status, 400);
}

static void test_many_fetches(void)
{
    struct buf body;
    struct canon_fetch *f;
    setup("gemini", "gemini-2.5-flash");
    buf_init(&body, MIB);
    buf_addstr(&body, STR("{\"contents\":[{\"parts\":["));
    for (int i = 0; i <= CANON_FETCHES_MAX; i++)
        buf_printf(&body,
            "%s{\"fileData\":{\"mimeType\":\"image/png\",\"fileUri\":\"https://e.com/%d\"}}",
            i ? "," : "", i);
    buf_addstr(&body, STR("]}]}"));
    wire_gemini.read_request(&call, buf_str(&body), &request);
    buf_free(&body);
    CHECK_EQ(canon_fetches(&call, &wire_gemini, &request, &f), -EREMOTEIO);
    CHECK_STR(error.param, STR("contents[0].parts[20]"));
}

static void test_by_url(void)
{
    static const struct {
        const char *provider;
        const struct wire *to;
        enum canon_part_kind kind;
        const char *url;
        bool direct;
    } rows[] = {
        {"openai", &wire_chat, PART_IMAGE, "https://e.com/a", true},
        {"openai", &wire_chat, PART_DOCUMENT, "https://e.com/a.pdf", false},
        {"openai", &wire_responses, PART_DOCUMENT, "https://e.com/a.pdf", true},
        {"anthropic", &wire_messages, PART_IMAGE, "https://e.com/a", true},
        {"bedrock", &wire_messages, PART_IMAGE, "https://e.com/a", false},
        {"vertex", &wire_messages, PART_IMAGE, "https://e.com/a", false},
        {"gemini", &wire_gemini, PART_IMAGE, "https://e.com/a.png", false},
        {"gemini", &wire_gemini, PART_VIDEO, "https://youtu.be/x", true},
        {"vertex", &wire_gemini, PART_IMAGE, "https://e.com/a.png", true},
        {"vertex", &wire_gemini, PART_IMAGE, "https://e.com/a", false},
        {"bedrock", &wire_converse, PART_IMAGE, "https://e.com/a.png", false},
        {"bedrock", &wire_converse, PART_IMAGE, "s3://b/a.png", true},
        {"cohere", &wire_cohere, PART_IMAGE, "https://e.com/a", true},
        {"ollama", &wire_ollama, PART_IMAGE, "https://e.com/a", false},
    };
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct canon_part p = {
            .kind = rows[i].kind, .media = {.source = MEDIA_URL, .data = str_of(rows[i].url)}};
        setup(rows[i].provider, "m");
        CHECK_EQ(canon_media_by_url(&call, rows[i].to, &p), rows[i].direct);
    }
}

/* --- there and back --- */

static unsigned seed;

static unsigned pick(unsigned n)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 16) % n;
}

/* Turns of a tool conversation; every call gets its answer. */
static void random_request(struct buf *b)
{
    unsigned turns = 1 + pick(5);
    buf_addstr(b, STR("{\"contents\":["));
    for (unsigned i = 0; i < turns; i++) {
        unsigned calls = pick(4);
        buf_printf(b, "%s{\"role\":\"user\",\"parts\":[{\"text\":\"u%u\"}]}", i ? "," : "", i);
        buf_addstr(b, STR(",{\"role\":\"model\",\"parts\":["));
        if (pick(2))
            buf_printf(b, "{\"text\":\"t%u\",\"thought\":true},", i);
        buf_printf(b, "{\"text\":\"m%u\"}", i);
        for (unsigned k = 0; k < calls; k++)
            buf_printf(b,
                ",{\"functionCall\":{\"id\":\"c%u_%u\",\"name\":\"f%u\",\"args\":{\"n\":"
                "%u.50}}%s}",
                i, k, k, k, k == 0 ? ",\"thoughtSignature\":\"U0lH\"" : "");
        buf_addstr(b, STR("]}"));
        if (calls)
            buf_addstr(b, STR(",{\"role\":\"user\",\"parts\":["));
        for (unsigned k = 0; k < calls; k++)
            buf_printf(b,
                "%s{\"functionResponse\":{\"id\":\"c%u_%u\",\"name\":\"f%u\",\"response\":"
                "{\"result\":\"r%u\"}}}",
                k ? "," : "", i, k, k, k);
        if (calls)
            buf_addstr(b, STR("]},{\"role\":\"model\",\"parts\":[{\"text\":\"done\"}]}"));
    }
    buf_addstr(b, STR("]}"));
}

static void test_there_and_back(void)
{
    for (seed = 1; seed < 200000; seed += 997) {
        struct buf first, second;
        unsigned start = seed;
        buf_init(&first, MIB);
        buf_init(&second, MIB);
        setup("gemini", "gemini-3-flash-preview");
        random_request(&first);
        CHECK_EQ(wire_gemini.read_request(&call, buf_str(&first), &request), 0);
        CHECK_EQ(wire_gemini.write_request(&call, &request, &second), 0);
        CHECK_STR(buf_str(&second), buf_str(&first));
        CHECK_EQ(call.lost_n, 0);
        buf_free(&first);
        buf_free(&second);
        seed = start;
    }
}

/* All calls and results in their order, as text. */
static void tell_tools(const struct canon_request *q, struct buf *b)
{
    for (const struct canon_message *m = q->messages; m; m = m->next)
        for (const struct canon_part *p = m->parts; p; p = p->next) {
            if (p->kind != PART_TOOL_CALL && p->kind != PART_TOOL_RESULT)
                continue;
            buf_printf(
                b, "%s " STR_FMT, p->kind == PART_TOOL_CALL ? "call" : "result", STR_ARG(p->id));
            buf_printf(b, " " STR_FMT "\n",
                STR_ARG(p->kind == PART_TOOL_CALL ? p->raw : p->content->text));
        }
}

/* The same conversation through another dialect keeps ids, order, arguments and results. */
static void test_through(const struct wire *client)
{
    for (seed = 5; seed < 20000; seed += 997) {
        struct buf first, second, told[2];
        struct canon_request again;
        unsigned start = seed;
        buf_init(&first, MIB);
        buf_init(&second, MIB);
        buf_init(&told[0], MIB);
        buf_init(&told[1], MIB);
        setup("demo", "any");
        random_request(&first);
        CHECK_EQ(wire_gemini.read_request(&call, buf_str(&first), &request), 0);
        CHECK_EQ(client->write_request(&call, &request, &second), 0);
        CHECK_EQ(client->read_request(&call, buf_str(&second), &again), 0);
        tell_tools(&request, &told[0]);
        tell_tools(&again, &told[1]);
        CHECK_STR(buf_str(&told[1]), buf_str(&told[0]));
        buf_clear(&out);
        CHECK_EQ(wire_gemini.write_request(&call, &again, &out), 0);
        buf_free(&first);
        buf_free(&second);
        buf_free(&told[0]);
        buf_free(&told[1]);
        seed = start;
    }
}

static void test_through_messages(void)
{
    test_through(&wire_messages);
}

static void test_through_chat(void)
{
    test_through(&wire_chat);
}

int main(void)
{
    TAP_RUN(test_names);
    TAP_RUN(test_thinking_is_legal);
    TAP_RUN(test_levels);
    TAP_RUN(test_array_stream);
    TAP_RUN(test_array_error);
    TAP_RUN(test_bad_arguments);
    TAP_RUN(test_bad_replies);
    TAP_RUN(test_lenient_reply);
    TAP_RUN(test_finish_reasons);
    TAP_RUN(test_retry_delay);
    TAP_RUN(test_error_forms);
    TAP_RUN(test_fetches);
    TAP_RUN(test_fetch_refused);
    TAP_RUN(test_many_fetches);
    TAP_RUN(test_by_url);
    TAP_RUN(test_there_and_back);
    TAP_RUN(test_through_messages);
    TAP_RUN(test_through_chat);
    arena_free(&arena);
    buf_free(&out);
    return tap_done();
}
