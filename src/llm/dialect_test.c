/* Errors in the dialects that clients speak: valid JSON and complete events, whatever the texts
 * hold. */
#include "llm/dialect.h"

#include "base/macros.h"
#include "base/tap.h"
#include "http/eventstream.h"
#include "json/scan.h"
#include <stdlib.h>

static struct buf body;

static bool valid(struct str json)
{
    struct json_error e;
    enum json_type top;

    return json_scan(json, NULL, NULL, 0, &top, &e) == 0 && top == JSON_OBJECT;
}

/* The decoded string member at path, of the last body. */
static struct str at(struct str json, const char *path)
{
    static char out[16384];
    struct str v = json_find(json, str_of(path));
    ptrdiff_t n = v.n && v.n < sizeof out ? json_unescape(v, out) : -1;

    return n < 0 ? v : str_at(out, (size_t)n);
}

static struct str render(enum dialect d, const struct error *e, struct str id)
{
    buf_free(&body);
    buf_init(&body, 64 * 1024);
    dialect_error_body(d, e, id, &body);
    return buf_str(&body);
}

static const struct error plain = {.status = 404,
    .code = STR_INIT("model_not_found"),
    .message = STR_INIT("The model 'x' does not exist."),
    .param = STR_INIT("model"),
    .hint = STR_INIT("Did you mean 'y'?")};

static void test_openai(void)
{
    struct str b = render(DIALECT_OPENAI, &plain, STR("req-1"));

    CHECK(valid(b));
    CHECK_STR(at(b, "error.message"), STR("The model 'x' does not exist. Did you mean 'y'?"));
    CHECK_STR(at(b, "error.type"), STR("invalid_request_error"));
    CHECK_STR(at(b, "error.param"), STR("model"));
    CHECK_STR(at(b, "error.code"), STR("model_not_found"));
    b = render(DIALECT_OPENAI, &(struct error){.status = 500}, STR_NONE);
    CHECK_STR(b, STR("{\"error\":{\"message\":\"internal error\",\"type\":\"server_error\","
                     "\"param\":null,\"code\":null}}"));
    struct error later = {.status = 429, .retry_after_s = 17};
    CHECK_STR(at(render(DIALECT_OPENAI, &later, STR_NONE), "error.retry_after"), STR("17"));
    struct error typed = plain;
    typed.type = STR("budget_exceeded");
    CHECK_STR(at(render(DIALECT_OPENAI, &typed, STR_NONE), "error.type"), STR("budget_exceeded"));
}

static void test_anthropic(void)
{
    struct str b = render(DIALECT_ANTHROPIC, &plain, STR("req-1"));

    CHECK(valid(b));
    CHECK_STR(at(b, "type"), STR("error"));
    CHECK_STR(at(b, "error.type"), STR("not_found_error"));
    CHECK_STR(at(b, "error.message"), STR("The model 'x' does not exist. Did you mean 'y'?"));
    CHECK_STR(at(b, "request_id"), STR("req-1"));
    b = render(DIALECT_ANTHROPIC, &plain, STR_NONE);
    CHECK(valid(b));
    CHECK_STR(json_find(b, STR("request_id")), STR("null"));
}

static void test_gemini(void)
{
    struct str b = render(DIALECT_GEMINI, &plain, STR("req-1"));

    CHECK(valid(b));
    CHECK_STR(at(b, "error.code"), STR("404"));
    CHECK_STR(at(b, "error.status"), STR("NOT_FOUND"));
    CHECK(str_find(b, STR("\"reason\":\"model_not_found\"")) > 0);
    CHECK(str_find(b, STR("\"field\":\"model\"")) > 0);
    CHECK(valid(render(DIALECT_GEMINI, &(struct error){.status = 503}, STR_NONE)));
}

static void test_bedrock(void)
{
    struct str b = render(DIALECT_BEDROCK, &plain, STR("req-1"));

    CHECK(valid(b));
    CHECK_STR(at(b, "message"), STR("The model 'x' does not exist. Did you mean 'y'?"));
    CHECK_STR(at(b, "__type"), STR("ResourceNotFoundException"));
    CHECK_EQ(dialect_status(DIALECT_BEDROCK, 401), 403);
    CHECK_EQ(dialect_status(DIALECT_BEDROCK, 429), 429);
    CHECK_EQ(dialect_status(DIALECT_OPENAI, 401), 401);
}

/* A stream's error is one checked frame, whatever its text. */
static void test_bedrock_stream(void)
{
    static const struct {
        int status;
        const char *name;
    } rows[] = {{400, "validationException"}, {404, "validationException"},
        {424, "modelStreamErrorException"}, {429, "throttlingException"},
        {500, "internalServerException"}, {502, "internalServerException"},
        {503, "serviceUnavailableException"}, {529, "serviceUnavailableException"}};

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        _cleanup_(eventstream_free) struct eventstream frames;
        struct eventstream_message m = {0};
        struct error e = plain;
        e.status = rows[i].status;
        e.message = STR("a \"b\"\r\n");
        e.hint = STR_NONE;
        buf_free(&body);
        buf_init(&body, 64 * 1024);
        dialect_stream_error(STREAM_BEDROCK, &e, STR("req-1"), 7, &body);
        eventstream_init(&frames);
        CHECK_EQ(eventstream_feed(&frames, buf_str(&body)), 0);
        CHECK_EQ(eventstream_next(&frames, &m), 1);
        CHECK_STR(m.raw, buf_str(&body));
        CHECK_STR(eventstream_string(&m, STR(":message-type")), STR("exception"));
        CHECK_STR(eventstream_string(&m, STR(":exception-type")), str_of(rows[i].name));
        CHECK_STR(m.payload, STR("{\"message\":\"a \\\"b\\\"\\r\\n\"}"));
        CHECK_EQ(eventstream_end(&frames), 0);
    }
}

static void test_types(void)
{
    static const struct {
        int status;
        const char *openai, *anthropic, *gemini;
    } rows[] = {
        {400, "invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT"},
        {401, "authentication_error", "authentication_error", "UNAUTHENTICATED"},
        {402, "invalid_request_error", "billing_error", "INVALID_ARGUMENT"},
        {403, "permission_error", "permission_error", "PERMISSION_DENIED"},
        {404, "invalid_request_error", "not_found_error", "NOT_FOUND"},
        {409, "invalid_request_error", "invalid_request_error", "ABORTED"},
        {413, "invalid_request_error", "request_too_large", "INVALID_ARGUMENT"},
        {429, "rate_limit_error", "rate_limit_error", "RESOURCE_EXHAUSTED"},
        {499, "invalid_request_error", "invalid_request_error", "CANCELLED"},
        {500, "server_error", "api_error", "INTERNAL"},
        {501, "server_error", "api_error", "UNIMPLEMENTED"},
        {502, "server_error", "api_error", "INTERNAL"},
        {503, "server_error", "overloaded_error", "UNAVAILABLE"},
        {504, "server_error", "timeout_error", "DEADLINE_EXCEEDED"},
        {529, "server_error", "overloaded_error", "INTERNAL"},
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        CHECK_STR(dialect_error_type(DIALECT_OPENAI, rows[i].status), str_of(rows[i].openai));
        CHECK_STR(dialect_error_type(DIALECT_ANTHROPIC, rows[i].status), str_of(rows[i].anthropic));
        CHECK_STR(dialect_error_type(DIALECT_GEMINI, rows[i].status), str_of(rows[i].gemini));
    }
}

/* Quotes, control bytes, line ends, halves of UTF-8, and more than the message's room. */
static void test_hostile(void)
{
    char *big = malloc(20000);
    const struct str texts[] = {STR("\"},\"x\":{\""), STR("a\r\n\r\ndata: b"), STR("\\"),
        STR("\0\1\2\x7f"), STR("\xff\xfe\xc3"), STR("\xed\xa0\x80"), str_at(big, 20000)};

    must(big);
    memset(big, '"', 20000);
    for (unsigned i = 0; i < ARRAY_LEN(texts); i++) {
        struct error e = {.status = 400,
            .message = texts[i],
            .code = str_to(texts[i], 64),
            .param = str_to(texts[i], 64),
            .hint = texts[i]};
        for (int d = 0; d < DIALECTS_IN_FRONT; d++) {
            struct str b = render((enum dialect)d, &e, str_to(texts[i], 64));
            if (!valid(b) || memchr(b.p, '\n', b.n))
                tap_fail(__FILE__, __LINE__, "text %u in dialect %d: " STR_FMT, i, d, STR_ARG(b));
        }
    }
    free(big);
}

static void test_streams(void)
{
    static const struct {
        enum stream_style style;
        const char *begins, *type, *type_path;
    } rows[] = {
        {STREAM_CHAT, "data: {", "invalid_request_error", "error.type"},
        {STREAM_OTHER, "data: {", "invalid_request_error", "error.type"},
        {STREAM_RESPONSES, "event: error\ndata: {", "error", "type"},
        {STREAM_ANTHROPIC, "event: error\ndata: {", "not_found_error", "error.type"},
        {STREAM_GEMINI, "data: {", "NOT_FOUND", "error.status"},
    };
    struct error e = plain;
    e.message = STR("broken\r\n\r\ndata: [DONE]");

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        buf_free(&body);
        buf_init(&body, 64 * 1024);
        dialect_stream_error(rows[i].style, &e, STR("req-1"), 7, &body);
        struct str b = buf_str(&body);
        CHECK(str_starts(b, str_of(rows[i].begins)));
        CHECK_EQ(str_find(b, STR("\n\n")), (ptrdiff_t)b.n - 2);
        struct str data = str_from(b, (size_t)str_chr(b, '{'));
        data = str_to(data, data.n - 2);
        CHECK(valid(data));
        CHECK_STR(at(data, rows[i].type_path), str_of(rows[i].type));
        if (rows[i].style == STREAM_RESPONSES)
            CHECK_STR(json_find(data, STR("sequence_number")), STR("7"));
    }
}

static void test_names(void)
{
    for (int d = 0; d < DIALECTS; d++)
        CHECK(dialect_name((enum dialect)d).n > 0);
    CHECK_STR(dialect_name(DIALECT_OPENAI), STR("openai"));
}

int main(void)
{
    TAP_RUN(test_openai);
    TAP_RUN(test_anthropic);
    TAP_RUN(test_gemini);
    TAP_RUN(test_bedrock);
    TAP_RUN(test_bedrock_stream);
    TAP_RUN(test_types);
    TAP_RUN(test_hostile);
    TAP_RUN(test_streams);
    TAP_RUN(test_names);
    buf_free(&body);
    return tap_done();
}
