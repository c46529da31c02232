/*
 * The spans of a call, as OTLP has them: one of kind SERVER for the call, and below it one of kind
 * CLIENT for each attempt at a provider, by the OpenTelemetry conventions for generative AI. No
 * content, no header, no path: what the log line has, and the times.
 */
#include "base/utf8.h"
#include "keys/vkey.h"
#include "providers/provider.h"
#include "telemetry/pb.h"
#include "telemetry/trace_int.h"

/* Fields of Span. */
enum {
    SPAN_TRACE = 1,
    SPAN_ID = 2,
    SPAN_PARENT = 4,
    SPAN_NAME = 5,
    SPAN_KIND = 6,
    SPAN_START = 7,
    SPAN_END = 8,
    SPAN_ATTR = 9,
    SPAN_EVENT = 11,
    SPAN_STATUS = 15,
    SPAN_FLAGS = 16,
};
enum { KIND_SERVER = 2, KIND_CLIENT = 3 };
enum { STATUS_ERROR = 2 };
/* Of Span.flags: whether the parent is on another machine is known, and it is. */
enum { FLAG_HAS_REMOTE = 0x100, FLAG_REMOTE = 0x200 };

static const struct stage *const *stages;
static unsigned stages_n;
static struct str stage_keys[STAGES_MAX];
static char stage_key_text[STAGES_MAX][64];

void trace_use_stages(const struct stage *const *table, unsigned n)
{
    stages = table;
    stages_n = MIN(n, (unsigned)STAGES_MAX);
    for (unsigned i = 0; i < stages_n; i++) {
        struct buf b = {.p = stage_key_text[i], .cap = sizeof stage_key_text[i]};
        b.max = b.cap;
        buf_addstr(&b, STR("smartflow.stage."));
        buf_addstr(&b, str_to(str_of(table[i]->name), 32));
        buf_addstr(&b, STR(".us"));
        stage_keys[i] = str_at(stage_key_text[i], b.n);
    }
}

/* --- names of the conventions --- */

static struct str operation(enum endpoint_kind k)
{
    switch (k) {
    case KIND_CHAT:
    case KIND_RESPONSES:
    case KIND_RESPONSES_WS:
    case KIND_MESSAGES:
    case KIND_CONVERSE:
    case KIND_CONVERSE_STREAM:
    case KIND_INVOKE:
    case KIND_INVOKE_STREAM:
        return STR("chat");
    case KIND_COMPLETIONS:
    case KIND_COMPLETE:
        return STR("text_completion");
    case KIND_EMBEDDINGS:
    case KIND_GEMINI_EMBED:
        return STR("embeddings");
    case KIND_GENERATE:
    case KIND_STREAM_GENERATE:
        return STR("generate_content");
    default:
        return endpoint_kind_name(k); /* there is no word for it: ours */
    }
}

/* Ours where the conventions have no other. */
static struct str provider_name(struct str id)
{
    static const struct {
        struct str ours, theirs;
    } names[] = {
        {STR_INIT("bedrock"), STR_INIT("aws.bedrock")},
        {STR_INIT("azure"), STR_INIT("azure.ai.openai")},
        {STR_INIT("gemini"), STR_INIT("gcp.gemini")},
        {STR_INIT("vertex"), STR_INIT("gcp.vertex_ai")},
        {STR_INIT("mistral"), STR_INIT("mistral_ai")},
        {STR_INIT("xai"), STR_INIT("x_ai")},
    };
    for (unsigned i = 0; i < ARRAY_LEN(names); i++)
        if (str_eq(id, names[i].ours))
            return names[i].theirs;
    return id;
}

static struct str outcome_word(enum exchange_outcome o)
{
    static const struct str words[] = {
        [OUTCOME_PENDING] = STR_INIT("pending"),
        [OUTCOME_OK] = STR_INIT("ok"),
        [OUTCOME_REFUSED] = STR_INIT("refused"),
        [OUTCOME_UPSTREAM_ERROR] = STR_INIT("upstream_error"),
        [OUTCOME_CANCELLED] = STR_INIT("cancelled"),
        [OUTCOME_TRUNCATED] = STR_INIT("truncated"),
    };
    return words[o];
}

/* --- pieces --- */

static uint64_t wall(const struct exchange *x, int64_t monotonic)
{
    return (uint64_t)(x->started_wall + (monotonic - x->rq->first_byte_at));
}

static void attr(struct buf *b, struct str key, struct str value)
{
    if (value.n)
        pb_attr_str(b, SPAN_ATTR, key, value);
}

/* Texts of others: collectors refuse a whole request for one that is not UTF-8. */
#define TEXT_BYTES 256
static struct str clean(struct str s, char room[static TEXT_BYTES])
{
    size_t n = utf8_plain_run(s.p, MIN(s.n, (size_t)TEXT_BYTES)), bad;

    if (n)
        memcpy(room, s.p, n);
    for (size_t i = n; i < s.n;) {
        size_t step = utf8_step(s.p + i, s.n - i, &bad);
        if (n + MAX(step, (size_t)1) > TEXT_BYTES)
            break;
        if (step)
            memcpy(room + n, s.p + i, step);
        else
            room[n] = '?';
        n += step ? step : 1;
        i += step ? step : bad;
    }
    return str_at(room, n);
}

static void begin(struct buf *b, const struct trace *t, const uint8_t *span, const uint8_t *parent,
    unsigned kind, unsigned flags)
{
    pb_bytes(b, SPAN_TRACE, str_at((const char *)t->id, 16));
    pb_bytes(b, SPAN_ID, str_at((const char *)span, 8));
    if (parent)
        pb_bytes(b, SPAN_PARENT, str_at((const char *)parent, 8));
    pb_uint(b, SPAN_KIND, kind);
    pb_fixed32(b, SPAN_FLAGS, t->flags | flags);
}

/* "chat gpt-4o" */
static void name(struct buf *b, struct str first, struct str second)
{
    size_t at = pb_open(b, SPAN_NAME);

    buf_addstr(b, first);
    if (second.n) {
        buf_addc(b, ' ');
        buf_addstr(b, second);
    }
    pb_close(b, at);
}

static void failed(struct buf *b, struct str type)
{
    size_t at;

    attr(b, STR("error.type"), type);
    at = pb_open(b, SPAN_STATUS);
    pb_uint(b, 3, STATUS_ERROR);
    pb_close(b, at);
}

/* What went wrong, as a word: the gateway's own, or the status that came. */
static struct str error_type(struct str code, int status, char room[static 8])
{
    if (code.n || status < 400 || status > 999)
        return code.n ? code : STR("_OTHER");
    for (int i = 2; i >= 0; i--, status /= 10)
        room[i] = (char)('0' + status % 10);
    return str_at(room, 3);
}

/* --- the call --- */

static void stage_times(const struct exchange *x, struct buf *b)
{
    for (unsigned i = 0; i < stages_n; i++)
        if (stages[i]->on_request)
            pb_attr_int(b, SPAN_ATTR, stage_keys[i], x->stage_ns[i] / NS_PER_US);
}

static void server_attributes(const struct exchange *x, struct buf *b)
{
    char room[TEXT_BYTES];

    attr(b, STR("http.request.method"), clean(x->rq->head.method_text, room));
    pb_attr_int(b, SPAN_ATTR, STR("http.response.status_code"), x->rq->reply_status);
    attr(b, STR("smartflow.request_id"), str_of(x->id));
    attr(b, STR("smartflow.endpoint"),
        x->match.endpoint ? endpoint_kind_name(x->match.endpoint->kind) : STR_NONE);
    attr(b, STR("smartflow.outcome"), outcome_word(x->outcome));
    if (x->key)
        attr(b, STR("smartflow.key.id"), x->key->subject.id);
    attr(b, STR("smartflow.model_asked"), clean(x->model_asked, room));
    if (x->cost_nano >= 0)
        pb_attr_double(b, SPAN_ATTR, STR("smartflow.cost.usd"), (double)x->cost_nano / 1e9);
    stage_times(x, b);
}

/* A server's span failed when the fault was not the caller's. */
static void server_span(const struct exchange *x, const struct trace *t, struct buf *b)
{
    char room[8], method[TEXT_BYTES];
    int status = x->rq->reply_status;
    size_t at = pb_open(b, 2);

    begin(b, t, t->span, t->has_parent ? t->parent : NULL, KIND_SERVER,
        t->has_parent ? FLAG_HAS_REMOTE | FLAG_REMOTE : FLAG_HAS_REMOTE);
    name(b, clean(x->rq->head.method_text, method),
        x->match.endpoint ? endpoint_kind_name(x->match.endpoint->kind) : STR("unknown"));
    pb_fixed64(b, SPAN_START, wall(x, x->rq->first_byte_at));
    pb_fixed64(b, SPAN_END, wall(x, x->ended_at));
    server_attributes(x, b);
    if (status >= 500 || x->outcome == OUTCOME_TRUNCATED)
        failed(b, error_type(x->error.status ? x->error.code : STR_NONE, status, room));
    pb_close(b, at);
}

/* --- its attempts --- */

static void usage(const struct exchange *x, struct buf *b)
{
    const struct usage *u = &x->usage;

    if (u->source == USAGE_UNKNOWN)
        return;
    pb_attr_int(b, SPAN_ATTR, STR("gen_ai.usage.input_tokens"), (int64_t)usage_input_total(u));
    pb_attr_int(b, SPAN_ATTR, STR("gen_ai.usage.output_tokens"), (int64_t)usage_output_total(u));
    if (u->cache_read)
        pb_attr_int(
            b, SPAN_ATTR, STR("gen_ai.usage.cache_read.input_tokens"), (int64_t)u->cache_read);
    if (u->cache_write_5m + u->cache_write_1h)
        pb_attr_int(b, SPAN_ATTR, STR("gen_ai.usage.cache_creation.input_tokens"),
            (int64_t)(u->cache_write_5m + u->cache_write_1h));
    if (u->reasoning)
        pb_attr_int(
            b, SPAN_ATTR, STR("gen_ai.usage.reasoning.output_tokens"), (int64_t)u->reasoning);
}

static void client_attributes(
    const struct exchange *x, const struct attempt *a, struct str model, bool last, struct buf *b)
{
    const struct upstream *u = a->upstream;
    char text[TEXT_BYTES];

    attr(b, STR("gen_ai.operation.name"), operation(x->match.endpoint->kind));
    attr(b, STR("gen_ai.provider.name"), provider_name(u->provider->id));
    attr(b, STR("gen_ai.request.model"), model);
    if (last)
        attr(
            b, STR("gen_ai.response.model"), clean(str_at(x->meter.model, x->meter.model_n), text));
    if (x->stream)
        pb_attr_bool(b, SPAN_ATTR, STR("gen_ai.request.stream"), true);
    attr(b, STR("server.address"), u->origin.target.host);
    pb_attr_int(b, SPAN_ATTR, STR("server.port"), u->origin.target.port);
    if (a->status)
        pb_attr_int(b, SPAN_ATTR, STR("http.response.status_code"), a->status);
    if (x->stream && a->first_byte)
        pb_attr_double(b, SPAN_ATTR, STR("gen_ai.response.time_to_first_chunk"),
            (double)(a->first_byte - a->start) / NS_PER_S);
    if (last)
        usage(x, b);
}

static void first_byte(const struct exchange *x, const struct attempt *a, struct buf *b)
{
    size_t at;

    if (!a->first_byte)
        return;
    at = pb_open(b, SPAN_EVENT);
    pb_fixed64(b, 1, wall(x, a->first_byte));
    pb_bytes(b, 2, STR("first_byte"));
    pb_close(b, at);
}

static void client_span(const struct exchange *x, const struct trace *t, unsigned i, struct buf *b)
{
    const struct attempt *a = &t->attempts[i];
    bool last = i + 1 == t->attempts_n;
    char room[8], text[TEXT_BYTES];
    struct str model = clean(a->model, text);
    size_t at = pb_open(b, 2);

    begin(b, t, a->span, t->span, KIND_CLIENT, FLAG_HAS_REMOTE);
    name(b, operation(x->match.endpoint->kind), model);
    pb_fixed64(b, SPAN_START, wall(x, a->start));
    pb_fixed64(b, SPAN_END, wall(x, a->end));
    client_attributes(x, a, model, last, b);
    first_byte(x, a, b);
    if (a->error.n || a->status >= 400 || (last && x->outcome == OUTCOME_TRUNCATED))
        failed(b, error_type(a->error, a->status, room));
    pb_close(b, at);
}

void trace_write(const struct exchange *x, const struct trace *t, struct buf *out)
{
    server_span(x, t, out);
    for (unsigned i = 0; x->match.endpoint && i < t->attempts_n; i++)
        client_span(x, t, i, out);
}

/* --- around them --- */

/* ExportTraceServiceRequest: 1 ResourceSpans: 1 Resource, 2 ScopeSpans, 3 schema. */
void trace_request(struct str service, struct str node, struct str spans, struct buf *out)
{
    size_t request = pb_open(out, 1), resource = pb_open(out, 1), scope, inner;

    pb_attr_str(out, 1, STR("service.name"), service);
    pb_attr_str(out, 1, STR("service.version"), STR(SF_VERSION));
    pb_attr_str(out, 1, STR("service.instance.id"), node);
    pb_close(out, resource);
    inner = pb_open(out, 2);
    scope = pb_open(out, 1);
    pb_bytes(out, 1, STR("smartflow"));
    pb_bytes(out, 2, STR(SF_VERSION));
    pb_close(out, scope);
    buf_addstr(out, spans);
    pb_close(out, inner);
    pb_close(out, request);
}
