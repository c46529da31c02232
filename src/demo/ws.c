/*
 * The server's side of a WebSocket: handshake, whole text messages in and out. Pings are answered
 * here; fragments are joined up to the frame limit.
 */
#include "http/ws.h"
#include "demo/openai_int.h"

#include "net/stream.h"
#include "runtime/co.h"
#include "runtime/loop.h"
#include <errno.h>
#include <stdlib.h>

#define READ_BYTES (16 * KIB)
#define IDLE_NS    (3600 * NS_PER_S)
#define SEND_NS    (60 * NS_PER_S)

struct ws {
    struct http_request *rq;
    struct stream *stream;
    struct ws_parser parser;
    struct buf message, out;
    struct str in; /* of bytes, not parsed yet */
    bool closed;
    char bytes[READ_BYTES];
};

static bool handshake(struct demo_call *c, struct stream **ret)
{
    const struct http_fields *f = &c->rq->head.fields;
    char accept[29];
    _cleanup_(buf_free) struct buf lines;
    if (!c->rq->head.upgrade || !str_ieq(http_get(f, HTTP_UPGRADE), STR("websocket")) ||
        !ws_accept_value(http_get(f, HTTP_SEC_WEBSOCKET_KEY), accept)) {
        demo_error(c, 426, "This endpoint is a WebSocket.");
        return false;
    }
    buf_init(&lines, KIB);
    buf_printf(&lines, "upgrade: websocket\r\nsec-websocket-accept: %s\r\n", accept);
    if (http_list_has(http_get(f, HTTP_SEC_WEBSOCKET_PROTOCOL), STR("realtime")))
        buf_addstr(&lines, STR("sec-websocket-protocol: realtime\r\n"));
    return http_reply_upgrade(c->rq, buf_str(&lines), ret) == 0;
}

struct ws *ws_open(struct demo_call *c)
{
    struct ws *w = malloc(sizeof(*w));
    if (!w) {
        demo_error(c, 500, "Out of memory.");
        return NULL;
    }
    w->rq = c->rq;
    w->closed = false;
    if (!handshake(c, &w->stream)) {
        free(w);
        return NULL;
    }
    ws_parser_init(&w->parser, true, LIMIT_WS_FRAME_BYTES);
    buf_init(&w->message, LIMIT_WS_FRAME_BYTES);
    buf_init(&w->out, DEMO_OUT_MAX);
    w->in = http_upgraded_rest(c->rq);
    return w;
}

static int send_out(struct ws *w)
{
    int r =
        w->out.err ? w->out.err : stream_write(w->stream, buf_str(&w->out), loop_now() + SEND_NS);
    buf_clear(&w->out);
    return r;
}

int ws_send(struct ws *w, struct str text)
{
    int r = ws_put(&w->out, WS_TEXT, true, text, NULL);
    return r < 0 ? r : send_out(w);
}

void ws_close(struct ws *w, unsigned code)
{
    if (!w)
        return;
    if (!w->closed && ws_put_close(&w->out, code, STR_NONE, NULL) == 0)
        (void)send_out(w);
    ws_parser_free(&w->parser);
    buf_free(&w->message);
    buf_free(&w->out);
    free(w);
}

/* 1 when w->message is whole, 0 to go on, -EPIPE after a close. */
static int take_frame(struct ws *w, const struct ws_frame *f)
{
    switch (f->opcode) {
    case WS_PING:
        ws_put(&w->out, WS_PONG, true, f->payload, NULL);
        return send_out(w);
    case WS_CLOSE:
        ws_put(&w->out, WS_CLOSE, true, f->payload, NULL);
        (void)send_out(w);
        w->closed = true;
        return -EPIPE;
    case WS_PONG:
        return 0;
    default:
        if (f->opcode != WS_CONT)
            buf_clear(&w->message);
        int r = buf_addstr(&w->message, f->payload);
        return r < 0 ? r : f->fin;
    }
}

int ws_receive(struct ws *w, struct str *ret)
{
    struct ws_frame f;
    for (;;) {
        int r = ws_next(&w->parser, &w->in, &f);
        if (r > 0)
            r = take_frame(w, &f);
        else if (r == 0) {
            ssize_t n = stream_read(w->stream, w->bytes, READ_BYTES, loop_now() + IDLE_NS);
            if (n <= 0)
                return (int)n;
            w->in = str_at(w->bytes, (size_t)n);
        }
        if (r < 0)
            return r == -EPIPE ? 0 : r;
        if (r > 0) {
            *ret = buf_str(&w->message);
            return 1;
        }
    }
}

static bool ws_fault(struct demo_call *c)
{
    if (c->dir.cut_after >= 0 && c->sent + c->out.n > (uint64_t)c->dir.cut_after) {
        http_reply_abort(c->rq);
        c->ws->closed = true;
        return true;
    }
    if (c->dir.error_after != (int64_t)c->events)
        return false;
    buf_clear(&c->out);
    putf(c, "{\"type\":\"error\",\"status\":500,\"error\":{\"type\":\"server_error\",\"code\":null,"
            "\"message\":\"The demo provider was told to fail here.\",\"param\":null}}");
    (void)ws_send(c->ws, buf_str(&c->out));
    return true;
}

bool ws_event(struct demo_call *c)
{
    if (c->done || ws_fault(c)) {
        c->done = true;
        return false;
    }
    c->events++;
    c->sent += c->out.n;
    c->done = ws_send(c->ws, buf_str(&c->out)) < 0;
    buf_clear(&c->out);
    if (c->dir.stall_after == (int64_t)c->events) {
        (void)co_sleep_until(loop_now() + IDLE_NS);
        c->done = true;
    }
    if (!c->done && c->dir.interval_ms > 0) {
        c->due += c->dir.interval_ms * NS_PER_MS;
        c->done = co_sleep_until(c->due) < 0;
    }
    return !c->done;
}
