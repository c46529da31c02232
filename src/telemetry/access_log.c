/*
 * One line a call, without content: who, what, where, how long, how much, how it ended. Its fields
 * are the documented log format (docs/operations.md). Log sinks get the same line, whatever the log
 * itself shows.
 */
#include "base/log.h"
#include "keys/vkey.h"
#include "llm/exchange.h"
#include "providers/provider.h"
#include "telemetry/sinks_int.h"
#include "telemetry/telemetry.h"

static struct str outcome_name(enum exchange_outcome o)
{
    static const struct str names[] = {
        [OUTCOME_PENDING] = STR_INIT("pending"),
        [OUTCOME_OK] = STR_INIT("ok"),
        [OUTCOME_REFUSED] = STR_INIT("refused"),
        [OUTCOME_UPSTREAM_ERROR] = STR_INIT("upstream_error"),
        [OUTCOME_CANCELLED] = STR_INIT("cancelled"),
        [OUTCOME_TRUNCATED] = STR_INIT("truncated"),
    };
    return names[o];
}

/* By number: the text is gone when a long stream gave its head back. */
static struct str method_name(enum http_method m)
{
    static const struct str names[] = {
        [HTTP_METHOD_OTHER] = STR_INIT("OTHER"),
        [HTTP_GET] = STR_INIT("GET"),
        [HTTP_HEAD] = STR_INIT("HEAD"),
        [HTTP_POST] = STR_INIT("POST"),
        [HTTP_PUT] = STR_INIT("PUT"),
        [HTTP_PATCH] = STR_INIT("PATCH"),
        [HTTP_DELETE] = STR_INIT("DELETE"),
        [HTTP_OPTIONS] = STR_INIT("OPTIONS"),
    };
    return names[m];
}

static void log_usage(struct logline *l, struct exchange *x)
{
    const struct usage *u = &x->usage;

    if (u->source == USAGE_UNKNOWN)
        return;
    log_int(l, "input_tokens", (int64_t)usage_input_total(u));
    log_int(l, "output_tokens", (int64_t)usage_output_total(u));
    if (u->cache_read)
        log_int(l, "cache_read_tokens", (int64_t)u->cache_read);
    if (u->reasoning)
        log_int(l, "reasoning_tokens", (int64_t)u->reasoning);
    if (u->source == USAGE_COUNTED)
        log_bool(l, "usage_counted", true);
    if (x->cost_nano >= 0)
        log_int(l, "cost_nano_usd", x->cost_nano);
}

static void log_times(struct logline *l, struct exchange *x)
{
    int64_t start = x->rq->first_byte_at;

    log_int(l, "duration_us", (x->ended_at - start) / NS_PER_US);
    if (x->upstream_sent_at)
        log_int(l, "before_upstream_us", (x->upstream_sent_at - start) / NS_PER_US);
    if (x->upstream_first_at)
        log_int(
            l, "upstream_first_byte_us", (x->upstream_first_at - x->upstream_sent_at) / NS_PER_US);
}

static void log_error(struct logline *l, struct exchange *x)
{
    if (!x->error.status)
        return;
    log_str(l, "error_code", x->error.code);
    log_str(l, "error", x->error.message);
    if (x->error.param.n)
        log_str(l, "param", x->error.param);
    if (x->error.detail.n)
        log_str(l, "detail", x->error.detail);
}

static void log_who(struct logline *l, struct exchange *x)
{
    if (x->key) {
        log_str(l, "key", x->key->subject.id);
        log_str(l, "key_name", x->key->subject.name);
    }
    if (x->trace_id.n)
        log_str(l, "trace_id", x->trace_id);
    if (x->end_user.n)
        log_str(l, "end_user", x->end_user);
}

static void log_call(struct logline *l, struct exchange *x)
{
    char peer[64];

    net_addr_text(&x->client, peer);
    log_str(l, "request_id", str_of(x->id));
    log_str(l, "client", str_of(peer));
    log_str(l, "method", method_name(x->rq->head.method));
    if (x->match.endpoint)
        log_str(l, "endpoint", endpoint_kind_name(x->match.endpoint->kind));
    log_int(l, "status", x->rq->reply_status);
    log_str(l, "outcome", outcome_name(x->outcome));
    log_who(l, x);
    if (x->model_asked.n)
        log_str(l, "model_asked", x->model_asked);
    if (x->upstream) {
        log_str(l, "provider", x->upstream->provider->id);
        log_str(l, "model", x->model);
    }
    if (x->dropped_params.n)
        log_str(l, "dropped_params", x->dropped_params);
    if (x->upstream_status)
        log_int(l, "upstream_status", x->upstream_status);
    log_bool(l, "stream", x->stream);
    log_usage(l, x);
    log_times(l, x);
    log_int(l, "request_bytes", (int64_t)x->rq->body_received);
    log_int(l, "reply_bytes", (int64_t)x->rq->reply_bytes);
    log_error(l, x);
}

/* --- for the sinks --- */

static const struct str line_end = STR_INIT("}\n");

/* The line as the log has it, where that is JSON. */
static void give_line(const struct logline *l)
{
    if (l->out->err) {
        lanes_count_dropped(&sink_lanes, 1);
        return;
    }
    const struct str parts[] = {str_at(l->out->p + l->start, l->out->n - l->start), line_end};
    lanes_add(&sink_lanes, parts, ARRAY_LEN(parts));
}

/* The log shows no such lines, or for people: one is made for the sinks alone. */
static void make_line(struct exchange *x)
{
    _cleanup_(buf_free) struct buf b = {0};
    struct logline l = {.out = &b, .level = LOG_INFO};
    char time[25];

    buf_init(&b, 64 * KIB);
    clock_rfc3339(clock_wall(), time);
    buf_addstr(&b, STR("{\"ts\":\""));
    buf_addstr(&b, str_of(time));
    buf_addstr(&b, STR("\",\"level\":\"info\",\"event\":\"call\""));
    log_call(&l, x);
    give_line(&l);
}

static void access_log(struct exchange *x)
{
    bool sinks = atomic_load_explicit(&sink_lanes.on, memory_order_relaxed);
    struct logline l;

    if (!log_begin(&l, LOG_INFO, "call")) {
        if (sinks)
            make_line(x);
        return;
    }
    log_call(&l, x);
    if (sinks && !l.pretty)
        give_line(&l);
    log_end(&l);
    if (sinks && l.pretty)
        make_line(x);
}

const struct stage stage_access_log = {
    .name = "log",
    .on_end = access_log,
};
