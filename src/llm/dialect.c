/* Errors in each dialect. See llm/dialect.h. */
#include "llm/dialect.h"

#include "base/macros.h"
#include "http/eventstream.h"

static const struct str names[DIALECTS] = {
    [DIALECT_OPENAI] = STR_INIT("openai"),
    [DIALECT_ANTHROPIC] = STR_INIT("anthropic"),
    [DIALECT_GEMINI] = STR_INIT("gemini"),
    [DIALECT_COHERE] = STR_INIT("cohere"),
    [DIALECT_BEDROCK] = STR_INIT("bedrock"),
    [DIALECT_REPLICATE] = STR_INIT("replicate"),
    [DIALECT_DEEPGRAM] = STR_INIT("deepgram"),
    [DIALECT_OLLAMA] = STR_INIT("ollama"),
};

struct str dialect_name(enum dialect d)
{
    return names[d];
}

static struct str openai_type(int status)
{
    switch (status) {
    case 401:
        return STR("authentication_error");
    case 403:
        return STR("permission_error");
    case 429:
        return STR("rate_limit_error");
    }
    return status >= 500 ? STR("server_error") : STR("invalid_request_error");
}

static struct str anthropic_type(int status)
{
    switch (status) {
    case 401:
        return STR("authentication_error");
    case 402:
        return STR("billing_error");
    case 403:
        return STR("permission_error");
    case 404:
        return STR("not_found_error");
    case 413:
        return STR("request_too_large");
    case 429:
        return STR("rate_limit_error");
    case 503:
    case 529:
        return STR("overloaded_error");
    case 504:
        return STR("timeout_error");
    }
    return status >= 500 ? STR("api_error") : STR("invalid_request_error");
}

/* google.rpc.Code names by HTTP status. */
static struct str gemini_type(int status)
{
    switch (status) {
    case 401:
        return STR("UNAUTHENTICATED");
    case 403:
        return STR("PERMISSION_DENIED");
    case 404:
        return STR("NOT_FOUND");
    case 409:
        return STR("ABORTED");
    case 429:
        return STR("RESOURCE_EXHAUSTED");
    case 499:
        return STR("CANCELLED");
    case 501:
        return STR("UNIMPLEMENTED");
    case 503:
        return STR("UNAVAILABLE");
    case 504:
        return STR("DEADLINE_EXCEEDED");
    }
    return status >= 500 ? STR("INTERNAL") : STR("INVALID_ARGUMENT");
}

/* The names of Bedrock's exceptions. */
static struct str bedrock_type(int status)
{
    switch (status) {
    case 401:
    case 403:
        return STR("AccessDeniedException");
    case 402:
        return STR("ServiceQuotaExceededException");
    case 404:
        return STR("ResourceNotFoundException");
    case 408:
    case 504:
        return STR("ModelTimeoutException");
    case 409:
        return STR("ConflictException");
    case 424:
        return STR("ModelErrorException");
    case 429:
        return STR("ThrottlingException");
    case 503:
    case 529:
        return STR("ServiceUnavailableException");
    }
    return status >= 500 ? STR("InternalServerException") : STR("ValidationException");
}

int dialect_status(enum dialect d, int status)
{
    return d == DIALECT_BEDROCK && status == 401 ? 403 : status;
}

struct str dialect_request_id_field(enum dialect d)
{
    return d == DIALECT_ANTHROPIC ? STR("request-id")
           : d == DIALECT_BEDROCK ? STR("x-amzn-requestid")
                                  : STR("x-request-id");
}

struct str dialect_error_type(enum dialect d, int status)
{
    switch (d) {
    case DIALECT_BEDROCK:
        return bedrock_type(status);
    case DIALECT_ANTHROPIC:
        return anthropic_type(status);
    case DIALECT_GEMINI:
        return gemini_type(status);
    default:
        return openai_type(status);
    }
}

/* The message with its hint as one JSON string. */
static void put_message(const struct error *e, struct buf *out)
{
    _cleanup_(buf_free) struct buf text = {0};

    buf_init(&text, 8192);
    buf_addstr(&text, e->message.n ? e->message : STR("internal error"));
    if (e->hint.n) {
        buf_addc(&text, ' ');
        buf_addstr(&text, e->hint);
    }
    buf_addjson(out, buf_str(&text));
}

static void put_or_null(struct buf *out, struct str s)
{
    if (s.n)
        buf_addjson(out, s);
    else
        buf_addstr(out, STR("null"));
}

/* The members of OpenAI's error object without its braces. */
static void put_openai_members(const struct error *e, struct buf *out)
{
    buf_addstr(out, STR("\"message\":"));
    put_message(e, out);
    buf_addstr(out, STR(",\"type\":"));
    buf_addjson(out, e->type.n ? e->type : openai_type(e->status));
    buf_addstr(out, STR(",\"param\":"));
    put_or_null(out, e->param);
    buf_addstr(out, STR(",\"code\":"));
    put_or_null(out, e->code);
    if (e->retry_after_s > 0) { /* as the header; Smartflow's own SDK reads it here */
        buf_addstr(out, STR(",\"retry_after\":"));
        buf_addu64(out, (uint64_t)e->retry_after_s);
    }
}

static void put_anthropic(const struct error *e, struct str request_id, struct buf *out)
{
    buf_addstr(out, STR("{\"type\":\"error\",\"error\":{\"type\":"));
    buf_addjson(out, e->type.n ? e->type : anthropic_type(e->status));
    buf_addstr(out, STR(",\"message\":"));
    put_message(e, out);
    buf_addstr(out, STR("},\"request_id\":"));
    put_or_null(out, request_id);
    buf_addc(out, '}');
}

/* AWS' SDKs take the exception's name from x-amzn-errortype, or from here. */
static void put_bedrock(const struct error *e, struct buf *out)
{
    buf_addstr(out, STR("{\"__type\":"));
    buf_addjson(out, bedrock_type(e->status));
    buf_addstr(out, STR(",\"message\":"));
    put_message(e, out);
    buf_addc(out, '}');
}

static void put_gemini(const struct error *e, struct str request_id, struct buf *out)
{
    buf_printf(out, "{\"error\":{\"code\":%d,\"message\":", e->status);
    put_message(e, out);
    buf_addstr(out, STR(",\"status\":"));
    buf_addjson(out, gemini_type(e->status));
    buf_addstr(out, STR(",\"details\":[{\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\","
                        "\"reason\":"));
    buf_addjson(out, e->code);
    buf_addstr(out, STR(",\"domain\":\"smartflow\",\"metadata\":{\"request_id\":"));
    buf_addjson(out, request_id);
    if (e->param.n) {
        buf_addstr(out, STR(",\"field\":"));
        buf_addjson(out, e->param);
    }
    buf_addstr(out, STR("}}]}}"));
}

void dialect_error_body(
    enum dialect d, const struct error *e, struct str request_id, struct buf *out)
{
    switch (d) {
    case DIALECT_ANTHROPIC:
        put_anthropic(e, request_id, out);
        break;
    case DIALECT_GEMINI:
        put_gemini(e, request_id, out);
        break;
    case DIALECT_BEDROCK:
        put_bedrock(e, out);
        break;
    default:
        buf_addstr(out, STR("{\"error\":{"));
        put_openai_members(e, out);
        buf_addstr(out, STR("}}"));
    }
}

/* --- AWS frames --- */

static int put_frame(
    struct buf *out, struct str kind, struct str type_name, struct str type, struct str payload)
{
    const struct eventstream_header headers[] = {
        {type_name, EVENTSTREAM_STRING, type},
        {STR(":content-type"), EVENTSTREAM_STRING, STR("application/json")},
        {STR(":message-type"), EVENTSTREAM_STRING, kind},
    };
    return eventstream_write(out, headers, ARRAY_LEN(headers), payload);
}

int dialect_put_frame(struct buf *out, struct str event, struct str payload)
{
    return put_frame(out, STR("event"), STR(":event-type"), event, payload);
}

/* The exceptions that the service model allows in a stream, by what they say. */
static struct str stream_exception(int status)
{
    switch (status) {
    case 429:
        return STR("throttlingException");
    case 424:
        return STR("modelStreamErrorException");
    case 503:
    case 529:
        return STR("serviceUnavailableException");
    }
    return status >= 400 && status < 500 ? STR("validationException")
                                         : STR("internalServerException");
}

static void put_exception(const struct error *e, struct buf *out)
{
    _cleanup_(buf_free) struct buf payload = {0};

    buf_init(&payload, 32 * 1024);
    buf_addstr(&payload, STR("{\"message\":"));
    put_message(e, &payload);
    buf_addc(&payload, '}');
    put_frame(out, STR("exception"), STR(":exception-type"), stream_exception(e->status),
        buf_str(&payload));
}

void dialect_stream_error(enum stream_style s, const struct error *e, struct str request_id,
    uint64_t sequence, struct buf *out)
{
    switch (s) {
    case STREAM_BEDROCK:
        put_exception(e, out);
        return;
    case STREAM_ANTHROPIC:
        buf_addstr(out, STR("event: error\ndata: "));
        put_anthropic(e, request_id, out);
        break;
    case STREAM_GEMINI:
        buf_addstr(out, STR("data: "));
        put_gemini(e, request_id, out);
        break;
    case STREAM_RESPONSES:
        buf_addstr(out, STR("event: error\ndata: {\"type\":\"error\",\"code\":"));
        put_or_null(out, e->code);
        buf_addstr(out, STR(",\"message\":"));
        put_message(e, out);
        buf_addstr(out, STR(",\"param\":"));
        put_or_null(out, e->param);
        buf_addstr(out, STR(",\"sequence_number\":"));
        buf_addu64(out, sequence);
        buf_addc(out, '}');
        break;
    default:
        buf_addstr(out, STR("data: {\"error\":{"));
        put_openai_members(e, out);
        buf_addstr(out, STR("}}"));
    }
    buf_addstr(out, STR("\n\n"));
}
