/*
 * WebSocket calls: Realtime, whose model stands in the query, and Responses, whose model stands in
 * the first message.
 *
 * Realtime:  the client's handshake is checked → the upstream is connected → its answer decides:
 *            101 is answered with 101 and the relay begins, anything else is relayed as a reply.
 * Responses: the handshake is answered at once (gw_ws_accept, in the read stage), the first message
 *            routes the session, then the upstream is connected and gets that message. Whatever
 *            goes wrong from the 101 on reaches the client as an error event and a close frame.
 *
 * After the 101 the server no longer cancels the handler when the client hangs up. The relay sees
 * it by reading; while the upstream is being connected, a watch (ws_watch) cancels as the server
 * did.
 *
 * Sessions would outlast any drain, so each thread has a list of them, and a drain asks them to
 * end: those that wait for their first message at once, those that relay at the next boundary
 * between messages, and those that are being connected when that is done.
 */
#include "gateway/websocket_int.h"
#include "providers/provider.h"

#include <errno.h>
#include <stdlib.h>

#define TELL_WAIT     (5 * NS_PER_S)
#define FAREWELL_WAIT (1 * NS_PER_S)
#define REFUSAL_MAX   (64 * KIB)
#define PENDING_MAX   (256 * KIB)

/* --- the session's memory --- */

static _Thread_local struct list sessions;
static _Thread_local bool leaving;

static struct list *own_sessions(void)
{
    if (!sessions.next)
        list_init(&sessions);
    return &sessions;
}

void gw_ws_go_away(void)
{
    leaving = true;
    list_each(own_sessions(), it)
    {
        struct ws_front *w = list_entry(it, struct ws_front, node);
        if (!w->over.set) {
            w->cause = WS_DRAIN;
            w->reason = -ESHUTDOWN;
        }
        event_set(&w->over);
        if (w->idle)
            co_wake(w->idle, -ESHUTDOWN);
    }
}

int ws_leaving(struct exchange *x)
{
    if (!leaving)
        return 0;
    if (x->ws)
        x->ws->close_code = 1001;
    return exchange_fail(
        x, 503, STR("shutting_down"), STR("The gateway is shutting down; connect again."));
}

int ws_front_new(struct exchange *x)
{
    struct ws_front *w = x->ws;

    if (w)
        return 0;
    if (ws_leaving(x) < 0)
        return -EREMOTEIO;
    w = x->ws = calloc(1, sizeof *w);
    if (!w)
        return exchange_fail(x, 503, STR("out_of_memory"), STR("Memory is short."));
    ws_reader_init(&w->client.reader, true, LIMIT_WS_FRAME_BYTES);
    ws_reader_init(&w->upstream.reader, false, LIMIT_WS_FRAME_BYTES);
    buf_init(&w->first, LIMIT_WS_FRAME_BYTES);
    buf_init(&w->pending, PENDING_MAX);
    sem_init_n(&w->to_client, 1);
    event_init(&w->over);
    list_push_back(own_sessions(), &w->node);
    return 0;
}

void gw_ws_free(struct ws_front *w)
{
    if (!w)
        return;
    list_remove(&w->node);
    ws_side_free(&w->client);
    ws_side_free(&w->upstream);
    buf_free(&w->first);
    buf_free(&w->pending);
    free(w);
}

/* --- telling errors --- */

static unsigned close_code(const struct exchange *x)
{
    if (x->ws->close_code)
        return x->ws->close_code;
    return x->error.status < 500 ? 1008 : 1011;
}

/* Reads on until the client has closed, so that it gets our frames and not a reset. */
static void await_farewell(struct ws_side *s)
{
    int64_t deadline = loop_now() + FAREWELL_WAIT;
    struct ws_message m;

    while (!s->closing && ws_side_fill(s, deadline) > 0) {
        int r = 0;
        while (!s->closing && (r = ws_reader_next(&s->reader, &s->unread, &m)) > 0)
            s->closing = m.opcode == WS_CLOSE;
        if (r < 0) /* what it sends does not matter any more, only that it ends */
            s->unread = STR_NONE;
    }
}

static void tell(struct exchange *x)
{
    struct ws_front *w = x->ws;
    _cleanup_(buf_free) struct buf out = {0};

    if (w->client.gone || w->client.close_sent)
        return;
    if (w->client.writing || !ws_reader_between_frames(&w->upstream.reader)) {
        http_reply_abort(x->rq);
        return;
    }
    buf_init(&out, 64 * KIB);
    if (ws_reader_between_messages(&w->upstream.reader))
        ws_put_error(&x->error, &out);
    ws_put_close(&out, close_code(x), STR_NONE, NULL);
    if (ws_side_write(&w->client, buf_str(&out), TELL_WAIT, NULL) < 0)
        return;
    x->rq->reply_bytes += out.n;
    await_farewell(&w->client);
}

/* 426 has fields of its own. */
static void reply_upgrade_required(struct exchange *x)
{
    _cleanup_(buf_free) struct buf body = {0};
    struct buf *fields = gw_scratch();

    buf_init(&body, 32 * KIB);
    dialect_error_body(x->dialect, &x->error, str_of(x->id), &body);
    http_put(fields, STR("content-type"), STR("application/json"));
    http_put(fields, STR("upgrade"), STR("websocket"));
    http_put(fields, STR("sec-websocket-version"), STR("13"));
    http_put(fields, STR("x-request-id"), str_of(x->id));
    gw_own_fields(x, fields);
    http_reply(x->rq, 426, buf_str(fields), buf_str(&body));
}

bool gw_ws_send_error(struct exchange *x)
{
    struct ws_front *w = x->ws;

    if (!w || (!w->accepted && x->error.status != 426))
        return false;
    if (!w->told && w->accepted)
        tell(x);
    else if (!w->told)
        reply_upgrade_required(x);
    w->told = true;
    return true;
}

/* --- the two beginnings --- */

int gw_ws_accept(struct exchange *x)
{
    struct str offered = http_get(&x->rq->head.fields, HTTP_SEC_WEBSOCKET_PROTOCOL);
    int r = ws_front_new(x);

    if (r == 0)
        r = ws_check_client(x);
    if (r == 0)
        r = ws_accept_client(x, ws_own_choice(offered));
    return r < 0 ? r : ws_first_message(x);
}

static int begin_realtime(struct exchange *x)
{
    int r = ws_front_new(x);

    if (r == 0)
        r = ws_check_client(x);
    return r < 0 ? r : ws_query_model(x);
}

/* --- the upstream --- */

static int start_and_wait(
    struct exchange *x, struct http_call **ret_call, const struct http_head **ret)
{
    int r = gw_call_start(x, NULL, 0, 0, false, false, ret_call);

    return r < 0 ? r : gw_call_head(x, *ret_call, ret);
}

static int connect_upstream(
    struct exchange *x, struct http_call **ret_call, const struct http_head **ret)
{
    struct ws_watch watch;

    if (!x->ws->accepted) /* the server still watches the client */
        return start_and_wait(x, ret_call, ret);
    ws_watch_begin(&watch, &x->ws->client);
    int r = start_and_wait(x, ret_call, ret);
    ws_watch_end(&watch);
    return r;
}

/* A JSON string member of the upstream's error, decoded. */
static struct str said(struct exchange *x, struct str error, struct str name)
{
    struct str v = json_find(error, name);
    char *out = json_type_of(v) == JSON_STRING ? arena_alloc(&x->arena, v.n) : NULL;
    ptrdiff_t n = out ? json_unescape(v, out) : -1;

    return n > 0 ? str_at(out, (size_t)n) : STR_NONE;
}

/* The upstream did not upgrade, but the client's WebSocket is open: its answer becomes an event. */
static int refused(struct exchange *x, struct http_call *c, const struct http_head *h)
{
    int status = h->status >= 400 ? h->status : 502;
    struct json_error bad;
    enum json_type top;
    struct str body = STR_NONE, error = STR_NONE;

    x->outcome = OUTCOME_UPSTREAM_ERROR;
    if (http_call_read_all(c, REFUSAL_MAX, &body) == 0 && body.n &&
        json_scan(body, NULL, NULL, 0, &top, &bad) == 0 && top == JSON_OBJECT)
        error = json_find(body, STR("error"));
    if (json_type_of(error) != JSON_OBJECT)
        error = STR_NONE;
    struct str message = said(x, error, STR("message")), code = said(x, error, STR("code"));
    x->error.type = said(x, error, STR("type"));
    x->error.param = said(x, error, STR("param"));
    if (!code.n)
        code = STR("upstream_refused_upgrade");
    if (message.n)
        return exchange_fail(x, status, code, message);
    return exchange_failf(x, status, code, STR_FMT " answered the WebSocket handshake with %d.",
        STR_ARG(x->upstream->provider->title), h->status);
}

static int session(struct exchange *x, struct http_call *c, const struct http_head *h)
{
    struct ws_front *w = x->ws;
    bool accepted = w->accepted;
    int r = ws_check_upstream(x, h);

    if (r == 0)
        r = ws_leaving(x);
    if (r < 0)
        return r;
    w->upstream.stream = http_call_stream(c);
    w->upstream.unread = http_call_rest(c);
    if (accepted)
        r = ws_send_first(x);
    else
        r = ws_accept_client(x, http_get(&h->fields, HTTP_SEC_WEBSOCKET_PROTOCOL));
    /* Bytes that came along with the handshake lie in its memory. */
    if (r == 0 && !accepted && !w->client.unread.n && gw_exchange_detach(x) < 0)
        r = exchange_fail(x, 503, STR("out_of_memory"), STR("Memory is short."));
    return r < 0 ? r : ws_relay(x);
}

int gw_call_websocket(struct exchange *x)
{
    const struct http_head *head;
    struct http_call *c = NULL;
    int r = x->match.endpoint->kind == KIND_REALTIME_WS ? begin_realtime(x) : 0;

    if (r == 0)
        r = connect_upstream(x, &c, &head);
    if (r == 0 && head->status == 101)
        r = session(x, c, head);
    else if (r == 0)
        r = x->ws->accepted ? refused(x, c, head) : gw_relay_reply(x, c, head);
    if (x->ws)
        x->ws->upstream.stream = NULL;
    http_call_end(c);
    return r;
}
