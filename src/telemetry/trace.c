/*
 * A call's place in its trace: taken from the caller's traceparent (W3C Trace Context) or made, and
 * passed on to the provider with the span of the attempt.
 *
 * The sampled flag that the caller sent is kept, unless the sampler says otherwise (one that is not
 * parentbased). A call that is not sampled has ids, too, and passes them on; nothing is recorded of
 * it. Without an exporter nothing here does anything, and the caller's fields pass as they are.
 */
#include "crypto/encode.h"
#include "crypto/random.h"
#include "telemetry/trace_int.h"

#include <stdlib.h>

static struct metric_family dropped = {
    .name = "smartflow_trace_spans_dropped_total",
    .help =
        "Spans that were dropped: the collector does not keep up, or refused them. A call whose "
        "spans found no room counts as one.",
    .type = METRIC_COUNTER,
};
struct lanes trace_lanes = {
    .index = 0,
    .max = 4 * MIB,
    .dropped = &dropped,
    .lock = PTHREAD_MUTEX_INITIALIZER,
};

/* --- sampling --- */

static _Atomic unsigned sampler;
static _Atomic uint64_t threshold; /* of the last 8 bytes of an id */

/* "0.25" as a share of 2^64, or of all where it is 1 or no number. */
static uint64_t share(struct str arg)
{
    char text[32] = "";
    double v;

    memcpy(text, arg.p ? arg.p : "", MIN(arg.n, sizeof text - 1));
    char *end = text;
    v = strtod(text, &end);
    if (end == text || v >= 1)
        return UINT64_MAX;
    return v <= 0 ? 0 : (uint64_t)(v * 18446744073709551615.0);
}

void trace_use_sampler(enum trace_sampler s, struct str arg)
{
    atomic_store(&threshold, share(arg));
    atomic_store(&sampler, s);
}

/* By the trace's id alone, so that all who see the trace decide alike. */
static bool by_ratio(const struct trace *t)
{
    uint64_t v = 0, limit = atomic_load_explicit(&threshold, memory_order_relaxed);

    for (int i = 8; i < 16; i++)
        v = v << 8 | t->id[i];
    return limit == UINT64_MAX || v < limit;
}

bool trace_sample(const struct trace *t)
{
    enum trace_sampler s = atomic_load_explicit(&sampler, memory_order_relaxed);

    if (s >= SAMPLER_PARENT_ON && t->has_parent)
        return t->flags & TRACE_SAMPLED;
    switch (s) {
    case SAMPLER_OFF:
    case SAMPLER_PARENT_OFF:
        return false;
    case SAMPLER_RATIO:
    case SAMPLER_PARENT_RATIO:
        return by_ratio(t);
    default:
        return true;
    }
}

/* --- traceparent: version-trace-parent-flags --- */

static bool is_lower_hex(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f')))
            return false;
    return true;
}

static bool is_zero(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i])
            return false;
    return true;
}

/* Versions to come may have more behind; ff is none, and 00 has nothing behind. */
bool trace_parse(struct str text, struct trace *ret)
{
    struct str version = str_to(text, 2), id, parent, flags;

    if (text.n < 55 || text.p[2] != '-' || text.p[35] != '-' || text.p[52] != '-')
        return false;
    if (!is_lower_hex(version) || str_eq(version, STR("ff")))
        return false;
    if (text.n > 55 && (str_eq(version, STR("00")) || text.p[55] != '-'))
        return false;
    id = str_at(text.p + 3, 32);
    parent = str_at(text.p + 36, 16);
    flags = str_at(text.p + 53, 2);
    if (!is_lower_hex(id) || !is_lower_hex(parent) || !is_lower_hex(flags))
        return false;
    hex_decode(id, ret->id);
    hex_decode(parent, ret->parent);
    hex_decode(flags, &ret->flags);
    return !is_zero(ret->id, 16) && !is_zero(ret->parent, 8);
}

void trace_format(const struct trace *t, const uint8_t span[static 8], char out[static 55])
{
    static const char digits[] = "0123456789abcdef";

    memcpy(out, "00-", 3);
    hex_encode(str_at((const char *)t->id, 16), out + 3);
    out[35] = '-';
    hex_encode(str_at((const char *)span, 8), out + 36);
    out[52] = '-';
    out[53] = digits[t->flags >> 4];
    out[54] = digits[t->flags & 15];
}

/* --- a call --- */

/* So that log lines lead to the trace; but an id that the caller chose stays. */
static void name_trace(struct exchange *x, const struct trace *t)
{
    char *text;

    if (http_has(&x->rq->head.fields, HTTP_X_SMARTFLOW_TRACE_ID) ||
        !(text = arena_alloc(&x->arena, 32)))
        return;
    hex_encode(str_at((const char *)t->id, 16), text);
    x->trace_id = str_at(text, 32);
}

/* The milliseconds of the call's id, then chance: so its log rows are found by the time that a
 * trace's id says (ledger/facets.h), and what samplers elsewhere go by, the last bytes, is random.
 */
static void make_trace_id(const struct exchange *x, uint8_t id[static 16])
{
    hex_decode(str_at(x->id, 8), id);
    hex_decode(str_at(x->id + 9, 4), id + 4);
    random_bytes(id + 6, 10);
}

static struct trace *trace_of(struct exchange *x)
{
    struct trace *t = x->trace;

    if (t || !(t = arena_zalloc(&x->arena, sizeof *t)))
        return t;
    t->has_parent = trace_parse(http_get(&x->rq->head.fields, HTTP_TRACEPARENT), t);
    if (!t->has_parent) {
        memset(t, 0, sizeof *t);
        make_trace_id(x, t->id);
    }
    random_bytes(t->span, sizeof t->span);
    /* flags this version does not know are not passed on */
    t->flags = trace_sample(t) ? TRACE_SAMPLED : 0;
    name_trace(x, t);
    return x->trace = t;
}

static void end_attempt(struct exchange *x, struct trace *t, int64_t now)
{
    if (!t->attempts_n)
        return;
    struct attempt *a = &t->attempts[t->attempts_n - 1];
    if (a->end)
        return;
    a->end = now;
    a->status = x->upstream_status;
    a->first_byte = x->upstream_first_at >= a->start ? x->upstream_first_at : 0;
    a->error = x->error.status ? x->error.code : STR_NONE;
    a->model = x->model;
}

static void pass_state(const struct http_fields *f, struct buf *out)
{
    for (unsigned i = 0; i < f->n; i++) {
        if (!str_ieq(f->at[i].name, STR("tracestate")))
            continue;
        buf_addstr(out, STR("tracestate: "));
        buf_addstr(out, f->at[i].value);
        buf_addstr(out, STR("\r\n"));
    }
}

bool telemetry_trace_attempt(struct exchange *x, struct buf *out)
{
    uint8_t span[8];
    char text[55];
    struct trace *t;

    if (!atomic_load_explicit(&trace_lanes.on, memory_order_relaxed) || !(t = trace_of(x)))
        return false;
    int64_t now = clock_now();
    end_attempt(x, t, now);
    random_bytes(span, sizeof span);
    if (t->attempts_n < TRACE_ATTEMPTS) {
        struct attempt *a = &t->attempts[t->attempts_n++];
        memcpy(a->span, span, sizeof span);
        a->start = now;
        a->upstream = x->upstream;
    }
    trace_format(t, span, text);
    buf_addstr(out, STR("traceparent: "));
    buf_add(out, text, sizeof text);
    buf_addstr(out, STR("\r\n"));
    if (t->has_parent)
        pass_state(&x->rq->head.fields, out);
    return true;
}

/* --- the end --- */

static _Thread_local struct buf spans;

static void at_end(struct exchange *x)
{
    struct trace *t;

    if (!atomic_load_explicit(&trace_lanes.on, memory_order_relaxed) || !(t = trace_of(x)) ||
        !(t->flags & TRACE_SAMPLED))
        return;
    end_attempt(x, t, x->ended_at);
    if (!spans.max)
        buf_init(&spans, 64 * KIB);
    buf_clear(&spans);
    trace_write(x, t, &spans);
    if (spans.err) {
        lanes_count_dropped(&trace_lanes, 1);
        return;
    }
    struct str record = buf_str(&spans);
    lanes_add(&trace_lanes, &record, 1);
}

const struct stage stage_trace = {
    .name = "trace",
    .on_end = at_end,
};

void trace_thread_end(void)
{
    lanes_thread_end(&trace_lanes);
    buf_free(&spans);
    spans.max = 0;
}
