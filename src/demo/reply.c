/*
 * How a reply leaves. Events of a stream gather in c->out and go out together; with an interval
 * each goes out alone, at its time. All faults that directions ask for are here: a reply cut short,
 * a wrong length, an error in the middle, silence.
 */
#include "demo/demo_int.h"

#include "runtime/co.h"
#include "runtime/loop.h"
#include <errno.h>

#define FLUSH_BYTES (16 * KIB)
#define STALL_S     3600 /* a client that waits longer than this is let go */
#define WAIT_MAX_MS ((int64_t)3600 * 1000)

static int sleep_ms(int64_t from, int64_t ms)
{
    return co_sleep_until(from + MIN(ms, WAIT_MAX_MS) * NS_PER_MS);
}

/* "demo-error-503" as a model is the direction status=503. */
static int status_of_model(struct str model)
{
    struct str name = unquoted(model);
    uint64_t v;
    if (!str_starts(name, STR("demo-error-")) || name.n < 14)
        return 0;
    if (str_u64(str_to(str_from(name, 11), 3), &v) < 0 || v < 200)
        return 0;
    return (int)v;
}

bool demo_ready(struct demo_call *c)
{
    int status = c->dir.status ? c->dir.status : status_of_model(c->model);
    if (c->dir.delay_ms > 0 && sleep_ms(loop_now(), c->dir.delay_ms) < 0)
        return false;
    if (status >= 300) {
        demo_error(c, status, "The demo provider was told to fail.");
        return false;
    }
    return true;
}

/* --- the head --- */

static void put_head(struct demo_call *c, int status, struct str type, struct buf *out)
{
    bool anthropic = c->dialect == DIALECT_ANTHROPIC;
    buf_addstr(out, STR("content-type: "));
    buf_addstr(out, type);
    buf_addstr(
        out, anthropic ? STR("\r\nrequest-id: req_demo") : STR("\r\nx-request-id: req_demo"));
    put_id(c, out, "");
    buf_addstr(out, STR("\r\n"));
    if (c->dialect == DIALECT_OPENAI)
        buf_addstr(out, STR("openai-version: 2020-10-01\r\nopenai-processing-ms: 1\r\n"
                            "x-ratelimit-limit-requests: 10000\r\n"
                            "x-ratelimit-remaining-requests: 9999\r\n"));
    if (anthropic)
        buf_addstr(out, STR("anthropic-organization-id: org_demo\r\n"
                            "anthropic-ratelimit-requests-limit: 10000\r\n"
                            "anthropic-ratelimit-requests-remaining: 9999\r\n"));
    if (status == 429 || status == 503 || status == 529)
        buf_printf(out, "retry-after: %d\r\n", c->dir.retry_after);
    buf_addstr(out, c->more_fields);
    if (c->dir.gzip)
        buf_addstr(out, STR("content-encoding: gzip\r\n"));
}

/* --- plain replies --- */

/* Writes at most as much as cut_after allows. False: the connection was cut. */
static bool write_cut(struct demo_call *c, struct str bytes)
{
    bool cut = false;
    if (c->dir.cut_after >= 0) {
        uint64_t left = (uint64_t)c->dir.cut_after - MIN((uint64_t)c->dir.cut_after, c->sent);
        cut = bytes.n >= left;
        bytes = str_to(bytes, cut ? (size_t)left : bytes.n);
    }
    c->sent += bytes.n;
    int r = bytes.n ? http_reply_write(c->rq, bytes) : http_reply_flush(c->rq);
    if (cut)
        http_reply_abort(c->rq);
    return r == 0 && !cut;
}

static void reply_faulty(struct demo_call *c, int status, struct str fields, struct str body)
{
    int64_t lie = c->dir.lie_length;
    uint64_t length = body.n;
    if (lie < 0)
        length -= MIN(length, (uint64_t)-lie);
    else
        length += (uint64_t)lie;
    if (http_reply_begin(c->rq, status, fields, length) < 0)
        return;
    if (write_cut(c, str_to(body, length)))
        (void)http_reply_end(c->rq, STR_NONE); /* fails when less was sent than announced */
    if (lie)
        http_reply_abort(c->rq);
}

static int compress_out(struct demo_call *c)
{
    struct buf packed;
    buf_init(&packed, DEMO_OUT_MAX);
    struct gzip *g = gzip_new();
    int r = g ? gzip_add(g, buf_str(&c->out), true, &packed) : -ENOMEM;
    gzip_free(g);
    if (r < 0) {
        buf_free(&packed);
        return r;
    }
    buf_free(&c->out);
    c->out = packed;
    return 0;
}

void demo_reply(struct demo_call *c, int status, struct str content_type)
{
    _cleanup_(buf_free) struct buf fields;
    buf_init(&fields, 4 * KIB);
    if (c->out.err) {
        (void)http_reply(c->rq, 500, STR_NONE, STR_NONE);
        return;
    }
    if (c->dir.bad_json && c->out.n)
        c->out.n -= 1 + c->out.n / 3;
    if (c->dir.gzip && compress_out(c) < 0)
        c->dir.gzip = false;
    put_head(c, status, content_type, &fields);
    c->done = true;
    if (c->dir.stall_after >= 0) {
        (void)sleep_ms(loop_now(), STALL_S * 1000);
        http_reply_abort(c->rq);
    } else if (c->dir.lie_length || c->dir.cut_after >= 0) {
        reply_faulty(c, status, buf_str(&fields), buf_str(&c->out));
    } else {
        (void)http_reply(c->rq, status, buf_str(&fields), buf_str(&c->out));
    }
}

void demo_json(struct demo_call *c)
{
    demo_reply(c, 200, STR("application/json"));
}

/* --- streams --- */

void demo_stream_begin(struct demo_call *c, struct str content_type, enum stream_style style)
{
    _cleanup_(buf_free) struct buf fields;
    buf_init(&fields, 4 * KIB);
    put_head(c, 200, content_type, &fields);
    buf_addstr(&fields, STR("cache-control: no-cache\r\n"));
    c->style = style;
    c->streaming = true;
    c->due = loop_now();
    c->gzip = c->dir.gzip ? gzip_new() : NULL;
    if (http_reply_begin(c->rq, 200, buf_str(&fields), HTTP_LENGTH_UNKNOWN) < 0)
        c->done = true;
}

static bool flush(struct demo_call *c, bool last)
{
    _cleanup_(buf_free) struct buf packed;
    buf_init(&packed, DEMO_OUT_MAX);
    struct str bytes = buf_str(&c->out);
    if (c->gzip) {
        if (gzip_add(c->gzip, bytes, last, &packed) < 0)
            http_reply_abort(c->rq);
        bytes = buf_str(&packed);
    }
    bool ok = true;
    if (!last || c->dir.cut_after >= 0)
        ok = write_cut(c, bytes);
    else if (c->out.err)
        http_reply_abort(c->rq);
    else
        ok =
            http_reply_end_with(c->rq, &(struct iovec){(char *)bytes.p, bytes.n}, 1, STR_NONE) == 0;
    if (ok && last && c->dir.cut_after >= 0)
        (void)http_reply_end(c->rq, STR_NONE);
    buf_clear(&c->out);
    c->done = c->done || !ok || last;
    return ok && !last;
}

bool demo_event(struct demo_call *c)
{
    if (c->done)
        return false;
    c->events++;
    if (c->dir.error_after == (int64_t)c->events) {
        error_event(c);
        return flush(c, true);
    }
    if (c->dir.stall_after == (int64_t)c->events) {
        if (flush(c, false))
            (void)sleep_ms(loop_now(), STALL_S * 1000);
        c->done = true;
        http_reply_abort(c->rq);
        return false;
    }
    if (c->dir.interval_ms <= 0)
        return c->out.n < FLUSH_BYTES || flush(c, false);
    if (!flush(c, false))
        return false;
    int r = sleep_ms(c->due, c->dir.interval_ms);
    c->due += c->dir.interval_ms * NS_PER_MS;
    c->done = r < 0;
    return r == 0;
}

void demo_stream_end(struct demo_call *c)
{
    if (!c->done)
        (void)flush(c, true);
}
