/*
 * Errors as the providers themselves write them, whole and inside a stream. The gateway has its own
 * renderer; an upstream that shared it could not show where the two differ.
 */
#include "demo/demo_int.h"

static const char *openai_type(int status)
{
    return status == 429   ? "rate_limit_error"
           : status >= 500 ? "server_error"
                           : "invalid_request_error";
}

static const char *openai_code(int status)
{
    switch (status) {
    case 401:
        return "\"invalid_api_key\"";
    case 404:
        return "\"not_found\"";
    case 429:
        return "\"rate_limit_exceeded\"";
    default:
        return "null";
    }
}

static const char *anthropic_type(int status)
{
    static const struct {
        int status;
        const char *type;
    } table[] = {
        {400, "invalid_request_error"},
        {401, "authentication_error"},
        {402, "billing_error"},
        {403, "permission_error"},
        {404, "not_found_error"},
        {413, "request_too_large"},
        {429, "rate_limit_error"},
        {504, "timeout_error"},
        {529, "overloaded_error"},
    };
    for (unsigned i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].status == status)
            return table[i].type;
    return status >= 500 ? "api_error" : "invalid_request_error";
}

static const char *gemini_status(int status)
{
    switch (status) {
    case 401:
        return "UNAUTHENTICATED";
    case 403:
        return "PERMISSION_DENIED";
    case 404:
        return "NOT_FOUND";
    case 429:
        return "RESOURCE_EXHAUSTED";
    case 503:
        return "UNAVAILABLE";
    case 504:
        return "DEADLINE_EXCEEDED";
    default:
        return status >= 500 ? "INTERNAL" : "INVALID_ARGUMENT";
    }
}

void error_body(struct demo_call *c, int status, const char *message)
{
    if (c->dialect == DIALECT_ANTHROPIC) {
        putf(c,
            "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":", anthropic_type(status));
        put_json(c, str_of(message));
        putf(c, "},\"request_id\":\"req_demo%016llx\"}", (unsigned long long)c->hash);
    } else if (c->dialect == DIALECT_GEMINI) {
        putf(c, "{\"error\":{\"code\":%d,\"message\":", status);
        put_json(c, str_of(message));
        putf(c, ",\"status\":\"%s\"}}", gemini_status(status));
    } else {
        put(c, "{\"error\":{\"message\":");
        put_json(c, str_of(message));
        putf(c, ",\"type\":\"%s\",\"param\":null,\"code\":%s}}", openai_type(status),
            openai_code(status));
    }
}

/* How a stream of this style says that it failed. */
void error_event(struct demo_call *c)
{
    static const char why[] = "The demo provider was told to fail here.";
    if (c->style == STREAM_RESPONSES) {
        putf(c,
            "event: error\ndata: {\"type\":\"error\",\"code\":\"server_error\",\"message\":\"%s\","
            "\"param\":null,\"sequence_number\":%llu}\n\n",
            why, (unsigned long long)c->sequence++);
    } else if (c->style == STREAM_ANTHROPIC) {
        putf(c,
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\","
            "\"message\":\"%s\"}}\n\n",
            why);
    } else if (c->json_array) {
        put_str(c, c->events ? STR("\n,\r\n") : STR("["));
        error_body(c, 503, why);
        put(c, "\n]\n");
    } else {
        put(c, "data: ");
        error_body(c, c->style == STREAM_GEMINI ? 503 : 500, why);
        put(c, "\n\n");
    }
}

void demo_error(struct demo_call *c, int status, const char *message)
{
    buf_clear(&c->out);
    error_body(c, status, message);
    demo_reply(c, status, STR("application/json"));
}

void demo_not_found(struct demo_call *c, const char *what)
{
    char message[160];
    _cleanup_(buf_free) struct buf b;
    buf_init(&b, sizeof(message));
    buf_printf(&b, "No such %s: '" STR_FMT "'", what, (int)MIN(c->match.id.n, (size_t)64),
        c->match.id.p ? c->match.id.p : "");
    size_t n = MIN(b.n, sizeof(message) - 1);
    memcpy(message, b.p, n);
    message[n] = '\0';
    demo_error(c, 404, message);
}
