/*
 * The stage that reads bodies. JSON bodies are read whole and scanned once; the members that the
 * gateway looks at must stand once and have the right type, so that no later reader can see another
 * value, not even one that takes "MODEL" for "model", as upstreams written in Go do. Multipart and
 * raw bodies stay where they are: their calls read them while passing them on.
 */
#include "gateway/gateway_int.h"
#include "gateway/own.h"
#include "keys/estimate.h"
#include "translate/chat.h"

#include <errno.h>

static const struct json_want wants[BODY_MEMBERS] = {
    [BODY_MODEL] = {STR_INIT("model")},
    [BODY_STREAM] = {STR_INIT("stream")},
    [BODY_STREAM_OPTIONS] = {STR_INIT("stream_options")},
    [BODY_INCLUDE_USAGE] = {STR_INIT("stream_options.include_usage")},
    [BODY_MESSAGES] = {STR_INIT("messages")},
    [BODY_INPUT] = {STR_INIT("input")},
    [BODY_PROMPT] = {STR_INIT("prompt")},
    [BODY_CONTENTS] = {STR_INIT("contents")},
    [BODY_MAX_TOKENS] = {STR_INIT("max_tokens")},
    [BODY_MAX_COMPLETION_TOKENS] = {STR_INIT("max_completion_tokens")},
    [BODY_MAX_OUTPUT_TOKENS] = {STR_INIT("max_output_tokens")},
    [BODY_USER] = {STR_INIT("user")},
    [BODY_SERVICE_TIER] = {STR_INIT("service_tier")},
    [BODY_PREVIOUS_RESPONSE] = {STR_INIT("previous_response_id")},
    [BODY_CONVERSATION] = {STR_INIT("conversation")},
    [BODY_BACKGROUND] = {STR_INIT("background")},
    [BODY_N] = {STR_INIT("n")},
    [BODY_QUERY] = {STR_INIT("query")},
    [BODY_DOCUMENTS] = {STR_INIT("documents")},
    [BODY_INPUT_FILE] = {STR_INIT("input_file_id")},
};

/* Names that call for a closer look, wherever they stand. */
static struct json_set looked_for;

__attribute__((constructor)) static void make_set(void)
{
    json_set_init(&looked_for, wants, BODY_MEMBERS);
    own_ids_watch(&looked_for, NAMES_FILES);
    chat_fit_watch(&looked_for, NAMES_QUIRKS);
    estimate_watch(&looked_for, NAMES_PICTURES);
    canon_sign_watch(&looked_for, NAMES_SIGNS);
}

#define T(t) (1u << JSON_##t)
#define BOOL (T(TRUE) | T(FALSE))

/* Types that a member may have; 0 = any. null always counts as absent. */
static const uint16_t types[BODY_MEMBERS] = {
    [BODY_MODEL] = T(STRING),
    [BODY_STREAM] = BOOL,
    [BODY_STREAM_OPTIONS] = T(OBJECT),
    [BODY_INCLUDE_USAGE] = BOOL,
    [BODY_MESSAGES] = T(ARRAY),
    [BODY_CONTENTS] = T(ARRAY) | T(OBJECT) | T(STRING),
    [BODY_MAX_TOKENS] = T(NUMBER),
    [BODY_MAX_COMPLETION_TOKENS] = T(NUMBER),
    [BODY_MAX_OUTPUT_TOKENS] = T(NUMBER),
    [BODY_SERVICE_TIER] = T(STRING),
    [BODY_PREVIOUS_RESPONSE] = T(STRING),
    [BODY_N] = T(NUMBER),
};

static const char *type_words(unsigned mask)
{
    switch (mask) {
    case T(STRING):
        return "a string";
    case BOOL:
        return "true or false";
    case T(OBJECT):
        return "an object";
    case T(ARRAY):
        return "an array";
    case T(NUMBER):
        return "a number";
    }
    return "another type";
}

/* The member that a kind cannot do without, besides the model. */
static int needed_member(enum endpoint_kind k)
{
    switch (k) {
    case KIND_CHAT:
    case KIND_MESSAGES:
    case KIND_COUNT_TOKENS:
        return BODY_MESSAGES;
    case KIND_EMBEDDINGS:
    case KIND_MODERATIONS:
    case KIND_SPEECH:
        return BODY_INPUT;
    case KIND_IMAGES:
    case KIND_COMPLETIONS:
        return BODY_PROMPT;
    case KIND_GENERATE:
    case KIND_STREAM_GENERATE:
        return BODY_CONTENTS;
    case KIND_RERANK:
        return BODY_QUERY;
    default:
        return -1;
    }
}

static int invalid(
    struct exchange *x, struct str param, const char *fmt, struct str name, const char *what)
{
    return exchange_fail_param(
        x, 400, STR("invalid_request_error"), param, fmt, STR_ARG(name), what);
}

static bool model_is_of_body(const struct exchange *x)
{
    return x->match.azure_deployment ||
           (x->match.endpoint->flags & (EP_MODEL_BODY | EP_MODEL_OPT)) ||
           x->match.endpoint->kind == KIND_RESPONSES_WS;
}

/* A member that some reader could take from another place than we did. A model's name must not even
 * stand alone in another case, where we would go on without one. */
static int check_single(struct exchange *x, int member)
{
    const struct json_span *s = &x->spans[member];
    struct str name = wants[member].path;

    if (s->duplicate)
        return exchange_fail_param(x, 400, STR("duplicate_member"), name,
            "'" STR_FMT "' stands more than once in the body.", STR_ARG(name));
    if (s->other_case && s->key != s->end)
        return exchange_fail_param(x, 400, STR("duplicate_member"), name,
            "'" STR_FMT "' stands in the body a second time, in another case.", STR_ARG(name));
    if (s->other_case && member == BODY_MODEL && model_is_of_body(x))
        return exchange_fail_param(x, 400, STR("invalid_request_error"), name,
            "'model' is missing; its name stands in the body in another case.");
    return 0;
}

static int check_members(struct exchange *x)
{
    int needed = needed_member(x->match.endpoint->kind);

    for (int i = 0; i < BODY_MEMBERS; i++) {
        struct json_span *s = &x->spans[i];
        struct str name = wants[i].path;
        if (likely(s->type == JSON_NONE && !s->duplicate && !s->other_case))
            continue;
        int r = check_single(x, i);
        if (r < 0)
            return r;
        if (s->type == JSON_NULL)
            s->type = JSON_NONE;
        if (s->type != JSON_NONE && types[i] && !(types[i] & (1u << s->type)))
            return invalid(x, name, "'" STR_FMT "' must be %s.", name, type_words(types[i]));
    }
    if (needed >= 0 && x->spans[needed].type == JSON_NONE)
        return invalid(
            x, wants[needed].path, "'" STR_FMT "' is missing%s.", wants[needed].path, "");
    if (needed >= 0 && x->spans[needed].type == JSON_ARRAY && x->spans[needed].items == 0)
        return invalid(
            x, wants[needed].path, "'" STR_FMT "' must not be empty%s.", wants[needed].path, "");
    return 0;
}

static int model_from_body(struct exchange *x)
{
    struct json_span *s = &x->spans[BODY_MODEL];
    char *out;
    ptrdiff_t n;

    /* Elsewhere the path names it (Gemini repeats it in some bodies), or it is none of ours. */
    if (x->match.azure_deployment || !model_is_of_body(x))
        return 0;
    if (s->type == JSON_NONE) {
        if (x->match.model.n || !(x->match.endpoint->flags & EP_MODEL_BODY))
            return 0;
        return exchange_fail_param(
            x, 400, STR("invalid_request_error"), STR("model"), "'model' is missing.");
    }
    struct str literal = json_span_text(x->body, s);
    if (!s->escaped) {
        x->model_asked = str_at(literal.p + 1, literal.n - 2);
    } else {
        out = arena_alloc(&x->arena, literal.n);
        n = out ? json_unescape(literal, out) : -1;
        x->model_asked = str_at(out, n < 0 ? 0 : (size_t)n);
    }
    if (!x->model_asked.n || x->model_asked.n > 512)
        return exchange_fail_param(x, 400, STR("invalid_request_error"), STR("model"),
            "'model' must be a name of 1 to 512 bytes.");
    return 0;
}

int gw_check_model(struct exchange *x)
{
    struct str raw = x->match.model;

    if (x->model_asked.n || !raw.n)
        return 0;
    char *out = arena_alloc(&x->arena, raw.n);
    ptrdiff_t n = out ? http_percent_decode(raw, out) : -1;
    if (n <= 0 || n > 512)
        return exchange_fail_param(x, 400, STR("invalid_request_error"), STR("model"),
            "The model's name in the path is malformed.");
    x->model_asked = str_at(out, (size_t)n);
    return 0;
}

int gw_body_error(struct exchange *x, int r, uint64_t limit)
{
    switch (r) {
    case -EMSGSIZE:
        return exchange_failf(x, 413, STR("request_too_large"),
            "The body is larger than the limit of %llu bytes.", (unsigned long long)limit);
    case -ETIMEDOUT:
        return exchange_fail(
            x, 408, STR("request_timeout"), STR("The body did not arrive in time."));
    case -ECANCELED:
    case -ECONNRESET:
    case -EPIPE:
        x->outcome = OUTCOME_CANCELLED;
        return exchange_fail(x, 499, STR("client_closed_request"),
            STR("The client went away while sending its request."));
    case -EINVAL:
        return exchange_fail(
            x, 400, STR("invalid_request_error"), STR("The chunked body is malformed."));
    }
    return exchange_failf(x, 500, STR("internal_error"), "Reading the body failed.");
}

static bool json_type_ok(struct exchange *x)
{
    struct str type = http_get(&x->rq->head.fields, HTTP_CONTENT_TYPE);
    struct str media = str_trim(str_split(&type, ';'));

    if (!media.p || !media.n)
        return true; /* curl users forget it; the scan decides */
    return str_ieq(media, STR("application/json")) ||
           (media.n > 5 && str_ieq(str_from(media, media.n - 5), STR("+json"))) ||
           str_ieq(media, STR("text/json"));
}

static int unsupported_type(struct exchange *x, const char *want)
{
    struct str got = http_get(&x->rq->head.fields, HTTP_CONTENT_TYPE);

    return exchange_fail_param(x, 415, STR("unsupported_media_type"), STR("content-type"),
        "Content-Type must be %s, not '" STR_FMT "'.", want, (int)MIN(got.n, 100), got.p);
}

/* Where the gateway reads a body, the upstream must not be able to read another one out of the same
 * bytes: by a second type with a boundary of its own, or by unpacking it first. */
static int check_reading(struct exchange *x)
{
    const struct http_fields *f = &x->rq->head.fields;
    struct str coding = http_get(f, HTTP_CONTENT_ENCODING);

    if (http_count(f, HTTP_CONTENT_TYPE) > 1)
        return exchange_fail_param(x, 400, STR("invalid_request_error"), STR("content-type"),
            "Content-Type stands more than once.");
    if (http_count(f, HTTP_CONTENT_ENCODING) > 1 || (coding.n && !str_ieq(coding, STR("identity"))))
        return exchange_fail_param(x, 415, STR("unsupported_media_type"), STR("content-encoding"),
            "Compressed request bodies are not accepted.");
    return 0;
}

static int scan(struct exchange *x)
{
    x->spans = gw_spans_new();
    struct json_error e = {0};
    enum json_type top;

    if (json_scan_set(x->body, &looked_for, x->spans, &x->body_names, &top, &e) < 0)
        return exchange_failf(x, 400, STR("invalid_json"),
            "The body is not valid JSON: %s at byte %zu.", e.why, e.at);
    if (top != JSON_OBJECT)
        return exchange_fail(
            x, 400, STR("invalid_request_error"), STR("The body must be a JSON object."));
    return 0;
}

/* Characters of a string literal: speech is billed by them. */
static uint64_t count_characters(struct str literal)
{
    uint64_t n = 0;

    for (size_t i = 1; i + 1 < literal.n; i++) {
        unsigned char c = (unsigned char)literal.p[i];
        n += (c & 0xc0) != 0x80;
        if (c != '\\')
            continue;
        bool low = literal.p[i + 1] == 'u' && (literal.p[i + 2] | 32) == 'd' &&
                   strchr("cdefCDEF", literal.p[i + 3]);
        n -= low; /* the second half of a surrogate pair */
        i += literal.p[i + 1] == 'u' ? 5 : 1;
    }
    return n;
}

int gw_scan_body(struct exchange *x)
{
    int r = scan(x);

    if (r == 0)
        r = check_members(x);
    return r < 0 ? r : model_from_body(x);
}

static int read_json(struct exchange *x)
{
    const struct config *c = config_current();
    int r;

    if (!json_type_ok(x))
        return unsupported_type(x, "application/json");
    uint64_t limit = c->max_body;
    r = http_body_all(x->rq, limit, &x->body);
    if (r < 0)
        return gw_body_error(x, r, limit);
    if ((r = gw_scan_body(x)) < 0)
        return r;
    x->stream = x->spans[BODY_STREAM].type == JSON_TRUE;
    x->usage_asked = x->spans[BODY_INCLUDE_USAGE].type == JSON_TRUE;
    if (x->match.endpoint->kind == KIND_SPEECH && x->spans[BODY_INPUT].type == JSON_STRING)
        x->characters = count_characters(json_span_text(x->body, &x->spans[BODY_INPUT]));
    return 0;
}

/* Azure's clients name a deployment instead. */
static int model_from_query(struct exchange *x)
{
    struct str model = http_query_get(x->rq->head.query, STR("model"));

    if (!model.n && str_eq(x->match.door, STR("azure")))
        model = http_query_get(x->rq->head.query, STR("deployment"));
    if (model.n)
        x->match.model = model;
    return 0;
}

/* Some dialects say so by the path, whatever else the body says. */
static bool wants_stream(const struct exchange *x)
{
    switch (x->match.endpoint->kind) {
    case KIND_STREAM_GENERATE:
    case KIND_CONVERSE_STREAM:
    case KIND_INVOKE_STREAM:
        return true;
    case KIND_CONVERSE:
    case KIND_INVOKE:
    case KIND_SPEECH: /* sound is no stream of events unless its stream_format says so */
        return false;
    default:
        return x->stream || str_ends(x->match.rest, STR(":streamRawPredict"));
    }
}

static int read_body(struct exchange *x)
{
    uint32_t flags = x->match.endpoint->flags;
    struct str type = http_get(&x->rq->head.fields, HTTP_CONTENT_TYPE);
    int r = 0;

    meter_free(&x->meter);
    meter_init(&x->meter, x->match.endpoint->kind);
    if (flags & (EP_JSON | EP_MULTIPART) && (r = check_reading(x)) < 0)
        return r;
    if ((flags & EP_JSON) && x->rq->head.method == HTTP_POST)
        r = read_json(x);
    else if (flags & EP_MULTIPART && !str_istarts(type, STR("multipart/form-data")))
        r = unsupported_type(x, "multipart/form-data");
    else if (flags & EP_MULTIPART && flags & (EP_MODEL_BODY | EP_MODEL_OPT))
        r = gw_upload_read(x);
    else if (x->match.endpoint->kind == KIND_RESPONSES_WS)
        r = gw_ws_accept(x);
    else if (x->match.endpoint->kind == KIND_REALTIME_WS)
        r = model_from_query(x);
    x->stream = x->stream_asked = wants_stream(x);
    return r < 0 ? r : gw_check_model(x);
}

const struct stage stage_read = {
    .name = "read",
    .on_request = read_body,
};
