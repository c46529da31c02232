/*
 * The coroutine that sends spans to the collector: OTLP over HTTP, protobuf. Every half second, and
 * sooner while there are many, it takes what the threads gathered, cuts it into requests, and sends
 * them one after the other. While the collector is away or asks for a pause, the threads' buffers
 * fill, and then drop.
 */
#include "base/log.h"
#include "runtime/sync.h"
#include "telemetry/pb.h"
#include "telemetry/trace_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define TAKE_NS       (500 * NS_PER_MS)
#define BUSY_NS       (20 * NS_PER_MS) /* so that buffers stay small, and warm */
#define BUSY_BYTES    (64 * KIB)
#define TAKE_BYTES    (64 * MIB)
#define REQUEST_BYTES (1 * MIB)
#define REQUEST_SPANS 2048
#define TRIES         6 /* 1 + 2 + 4 + 8 + 16 s */
#define STOP_WAIT     (3 * NS_PER_S)

static struct metric_family exported = {
    .name = "smartflow_trace_spans_exported_total",
    .help = "Spans that the collector took.",
    .type = METRIC_COUNTER,
};

static struct exporter {
    struct co *co;
    struct event news, ended;
    bool stop, failing;
    struct str node;
    struct post_target *to;
    struct buf fields; /* lines; holds credentials */
    char *service;
} me;

/* --- settings --- */

/* "name=value,name=value", values percent-encoded, as header lines. */
static int read_headers(struct str list, struct buf *out)
{
    while (list.p && list.n) {
        struct str value = str_split(&list, ','), name = str_trim(str_split(&value, '='));
        char room[2048];
        value = str_trim(value);
        if (!name.n && !value.n)
            continue;
        if (!value.p || value.n > sizeof room)
            return -EINVAL;
        ptrdiff_t n = http_percent_decode(value, room);
        for (ptrdiff_t i = 0; i < n; i++)
            if ((unsigned char)room[i] < ' ' || room[i] == 127)
                n = -1;
        for (size_t i = 0; i < name.n; i++)
            if (name.p[i] <= ' ' || name.p[i] >= 127 || name.p[i] == ':')
                n = -1;
        if (n >= 0 && name.n)
            buf_printf(out, STR_FMT ": " STR_FMT "\r\n", STR_ARG(name), (int)n, room);
        mem_wipe(room, sizeof room);
        if (n < 0 || !name.n)
            return -EINVAL;
    }
    return out->err;
}

static void forget(void)
{
    post_target_unref(me.to);
    me.to = NULL;
    if (me.fields.p)
        mem_wipe(me.fields.p, me.fields.cap);
    buf_free(&me.fields);
    free(me.service);
    me.service = NULL;
}

/* The address for traces: as given, or below that of the collector. */
static int open_target(const struct trace_settings *s, const struct post_route *route, char *why)
{
    _cleanup_(buf_free) struct buf url = {0};
    struct str base = str_trim(s->endpoint);

    if (s->traces_endpoint.n)
        return post_target_new(str_trim(s->traces_endpoint), route, false, &me.to, why);
    while (base.n && base.p[base.n - 1] == '/')
        base.n--;
    buf_init(&url, 4 * KIB);
    buf_addstr(&url, base);
    buf_addstr(&url, STR("/v1/traces"));
    return url.err ? url.err : post_target_new(buf_str(&url), route, false, &me.to, why);
}

void trace_export_use(const struct trace_settings *s, const struct post_route *route,
    void (*problem)(void *ctx, const char *name, const char *why), void *ctx)
{
    char why[POST_ERR_BYTES] = "";

    forget();
    buf_init(&me.fields, 64 * KIB);
    trace_use_sampler((enum trace_sampler)s->sampler, s->sampler_arg);
    if ((s->endpoint.n || s->traces_endpoint.n) && open_target(s, route, why) < 0)
        problem(ctx,
            s->traces_endpoint.n ? "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
                                 : "OTEL_EXPORTER_OTLP_ENDPOINT",
            why);
    buf_addstr(&me.fields, STR("content-type: application/x-protobuf\r\nuser-agent: "
                               "OTel-OTLP-Exporter-smartflow/" SF_VERSION "\r\n"));
    if (me.to && read_headers(secret_reveal(&s->headers), &me.fields) < 0)
        problem(ctx, "OTEL_EXPORTER_OTLP_HEADERS", "it must be name=value,name=value");
    me.service = str_dup(s->service);
    atomic_store(&trace_lanes.on, me.to != NULL && me.service != NULL);
}

/* --- sending --- */

static void say(bool failing, const char *why)
{
    struct logline l;

    if (failing == me.failing)
        return;
    me.failing = failing;
    if (!log_begin(&l, failing ? LOG_WARN : LOG_INFO,
            failing ? "traces cannot be sent" : "traces are sent again"))
        return;
    if (failing)
        log_str(&l, "why", str_of(why));
    log_end(&l);
}

static void pause_for(int64_t ns)
{
    int64_t until = clock_now() + ns;

    while (!me.stop && !co_cancelled() && clock_now() < until) {
        event_reset(&me.news);
        event_wait(&me.news, until);
    }
}

static void send_spans(struct str spans, unsigned n)
{
    _cleanup_(buf_free) struct buf body = {0};
    enum post_result r = POST_RETRY;
    struct post_reply reply = {0};

    buf_init(&body, REQUEST_BYTES + 256 * KIB);
    if (me.service)
        trace_request(str_of(me.service), me.node, spans, &body);
    for (unsigned tries = 1; me.to && r == POST_RETRY && tries <= TRIES; tries++) {
        struct post p = {.fields = buf_str(&me.fields), .body = buf_str(&body)};
        if (tries > 1)
            pause_for(post_pause(tries - 1, NS_PER_S, 2, 60 * NS_PER_S, reply.retry_after));
        if (!me.to || (me.stop && tries > 1))
            break;
        r = post_send(me.to, &p, &reply);
        if (r == POST_RETRY)
            say(true, reply.why);
    }
    if (r == POST_DONE)
        metric_add(metric_get(&exported, NULL, 0), n);
    else
        lanes_count_dropped(&trace_lanes, n);
    say(r != POST_DONE, reply.why);
}

/* The length of the first span, a field of its own in the gathered bytes. */
static size_t span_length(struct str s)
{
    size_t n = 0, at = 1;

    for (unsigned shift = 0; at < s.n; shift += 7) {
        unsigned char c = (unsigned char)s.p[at++];
        n |= (size_t)(c & 0x7f) << shift;
        if (!(c & 0x80))
            break;
    }
    return MIN(at + n, s.n);
}

static void send_all(struct str spans)
{
    while (spans.n) {
        size_t n = 0;
        unsigned count = 0;
        while (n < spans.n && count < REQUEST_SPANS) {
            size_t one = span_length(str_from(spans, n));
            if (n && n + one > REQUEST_BYTES)
                break;
            n += one;
            count++;
        }
        send_spans(str_to(spans, n), count);
        spans = str_from(spans, n);
    }
}

/* Returns when to come again. */
static int64_t flush(void)
{
    _cleanup_(buf_free) struct buf spans = {0};

    buf_init(&spans, TAKE_BYTES);
    if (lanes_take(&trace_lanes, &spans))
        send_all(buf_str(&spans));
    return clock_now() + (spans.n > BUSY_BYTES ? BUSY_NS : TAKE_NS);
}

static void export(void *arg)
{
    (void)arg;
    while (!me.stop && !co_cancelled()) {
        int64_t next = me.to ? flush() : clock_now() + 3600 * NS_PER_S;
        event_reset(&me.news);
        if (!me.stop)
            event_wait(&me.news, next);
    }
    co_set_deadline(clock_now() + STOP_WAIT);
    flush();
    me.co = NULL;
    event_set(&me.ended);
}

/* --- life --- */

void trace_export_open(struct str node)
{
    me.node = node;
    me.stop = false;
    event_init(&me.news);
    event_init(&me.ended);
    metrics_register(&exported);
    metrics_register(trace_lanes.dropped);
}

int trace_export_start(void)
{
    return co_spawn("traces", export, NULL, &me.co);
}

void trace_export_stop(void)
{
    if (!me.co) {
        forget();
        return;
    }
    me.stop = true;
    event_set(&me.news);
    event_wait(&me.ended, clock_now() + 3 * STOP_WAIT);
    atomic_store(&trace_lanes.on, false);
    forget();
}
