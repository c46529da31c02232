/*
 * The relay: two coroutines, one a direction, in a group. Each reads what is there, at most one
 * block, and writes it before it reads again; so a slow end slows the other down, and no more than
 * a block a direction is held, besides a message that is being looked at.
 *
 * Down (upstream to client) bytes pass as they came; their messages are looked at for usage. Up,
 * Realtime's bytes pass as they came, too, under the client's own masks; Responses' messages are
 * checked one by one (websocket_create.c).
 *
 * Ends. A close frame passes, and its direction is over; the other gets CLOSE_WAIT to bring its
 * answer. Any other end of a direction cancels the other at once. The first to end says why, and
 * that decides what is told to whom. Frames of ours go to a peer only where its stream stands
 * between two frames of what passed before.
 *
 * At drain our close frame goes to the client as such a frame; nothing passes down behind it, and
 * CLOSE_WAIT is there for the client's answer.
 */
#include "config/config.h"
#include "gateway/own.h"
#include "gateway/websocket_int.h"

#include <errno.h>

#define CLOSE_WAIT    (5 * NS_PER_S)
#define SEND_WAIT     (60 * NS_PER_S)
#define SESSION_TOTAL (1800 * NS_PER_S)
#define PIECES_A_TURN 32

/* A direction failed because of r, 0 being a stream's end. */
static int failed(struct ws_front *w, enum ws_cause cause, ssize_t r)
{
    int e = r == 0 ? -ECONNRESET : (int)r;

    if (!w->over.set) {
        w->cause = cause;
        w->reason = e;
    }
    event_set(&w->over);
    return e;
}

static int closed(struct ws_front *w, struct ws_side *from)
{
    if (!w->over.set)
        w->first_to_close = from;
    event_set(&w->over);
    return 0;
}

static int64_t client_patience(void)
{
    int64_t t = config_current()->write_timeout;

    return t ? t : SEND_WAIT;
}

static int64_t upstream_patience(const struct exchange *x)
{
    int64_t t = x->upstream->timeouts.send;

    return t ? t : SEND_WAIT;
}

/* A coroutine whose peer is always ready gives the others their turn. */
static void take_turns(unsigned *n)
{
    if (++*n % PIECES_A_TURN == 0)
        co_yield ();
}

/* The bytes of s->unread up to and with a close frame, which sets s->closing. Gives the messages in
 * them to f, if any. */
static int scan_piece(struct exchange *x, struct ws_side *s,
    void (*f)(struct exchange *, const struct ws_message *), struct str *ret)
{
    struct str piece = s->unread, rest = piece;
    struct ws_message m;
    int r = 0;

    while (!s->closing && (r = ws_reader_next(&s->reader, &rest, &m)) > 0) {
        s->closing = m.opcode == WS_CLOSE;
        if (s->closing)
            s->code = ws_close_code(m.payload);
        else if (f)
            f(x, &m);
    }
    s->unread = STR_NONE;
    *ret = str_to(piece, piece.n - rest.n);
    return r < 0 ? r : 0;
}

/* --- down --- */

static void note_message(struct exchange *x, const struct ws_message *m)
{
    enum endpoint_kind kind = x->match.endpoint->kind;
    char id[80];

    if (m->opcode != WS_TEXT || !ws_usage_take(kind, m->payload, &x->meter.usage, id))
        return;
    x->meter.events++;
    if (kind == KIND_RESPONSES_WS && id[0])
        gw_own_made_response(x, str_of(id));
}

/* Frames of ours, where they may stand; with the lock held. Where not, the next piece of the
 * upstream's brings them along. At drain our close frame is the last of them. */
static int put_pending(struct ws_front *w)
{
    struct buf out = w->pending;
    bool last = w->cause == WS_DRAIN;

    if (!out.n || w->client.writing || w->client.close_sent ||
        !ws_reader_between_messages(&w->upstream.reader))
        return 0;
    buf_init(&w->pending, out.max); /* more may come while these are written */
    int r = ws_side_write(&w->client, buf_str(&out), client_patience(), NULL);
    buf_free(&out);
    w->client.close_sent |= r == 0 && last;
    return r;
}

static int write_down(struct exchange *x, struct str bytes)
{
    struct ws_front *w = x->ws;
    int r = sem_take(&w->to_client, w->ends_at);

    if (r < 0)
        return r;
    if (!w->client.close_sent) /* otherwise by us */
        r = ws_side_write(&w->client, bytes, client_patience(), NULL);
    if (r == 0 && !w->client.close_sent) {
        x->rq->reply_bytes += bytes.n;
        w->client.close_sent = w->upstream.closing;
        r = put_pending(w);
    }
    sem_give(&w->to_client);
    return r;
}

static int down_piece(struct exchange *x)
{
    struct ws_front *w = x->ws;
    struct str bytes;
    int r = scan_piece(x, &w->upstream, note_message, &bytes);

    if (r < 0)
        return failed(w, WS_UPSTREAM, r);
    if (!x->reply_first_at)
        x->reply_first_at = clock_now();
    r = write_down(x, bytes);
    if (r < 0) {
        w->client.gone = true;
        return failed(w, WS_CLIENT, r);
    }
    return gw_top_up(x) < 0 ? failed(w, WS_LOCAL, -EDQUOT) : 0;
}

static int down(void *exchange)
{
    struct exchange *x = exchange;
    struct ws_front *w = x->ws;
    unsigned turns = 0;

    while (!w->upstream.closing) {
        ssize_t n = ws_side_fill(&w->upstream, w->ends_at);
        if (n <= 0) {
            w->upstream.gone = n != -ETIMEDOUT && n != -ECANCELED;
            return failed(w, n == -ETIMEDOUT ? WS_LOCAL : WS_UPSTREAM, n);
        }
        int r = down_piece(x);
        if (r < 0)
            return r;
        take_turns(&turns);
    }
    return closed(w, &w->upstream);
}

/* --- up --- */

static int write_up(struct exchange *x, struct str bytes)
{
    struct ws_front *w = x->ws;
    struct io *client = &w->client.stream->io;
    int r = ws_side_write(&w->upstream, bytes, upstream_patience(x), client);

    if (r == 0) {
        w->upstream.close_sent = w->client.closing;
        return 0;
    }
    w->upstream.gone = r == -EPIPE || (r == -ECONNRESET && !client->hangup);
    /* What the upstream said before it closed is still to be passed on: its end is seen there. */
    if (w->upstream.gone)
        return r;
    w->client.gone = r == -ECONNRESET;
    return failed(w, w->client.gone ? WS_CLIENT : WS_UPSTREAM, r);
}

static int up_bytes(struct exchange *x)
{
    struct str bytes;
    int r = scan_piece(x, &x->ws->client, NULL, &bytes);

    return r < 0 ? failed(x->ws, WS_CLIENT, r) : write_up(x, bytes);
}

static int tell_client(struct ws_front *w)
{
    int r = sem_take(&w->to_client, w->ends_at);

    if (r < 0)
        return r;
    r = put_pending(w);
    sem_give(&w->to_client);
    return r < 0 ? failed(w, WS_CLIENT, r) : 0;
}

static int up_message(struct exchange *x, const struct ws_message *m)
{
    struct ws_front *w = x->ws;
    _cleanup_(buf_free) struct buf out = {0};
    int r;

    buf_init(&out, WS_OUT_MAX);
    if (m->opcode == WS_TEXT)
        r = ws_forward_text(x, m->payload, &out, &w->pending);
    else
        r = ws_put_masked(&out, m->opcode, m->payload);
    if (r < 0)
        return failed(w, WS_LOCAL, r);
    w->client.closing = m->opcode == WS_CLOSE;
    if (w->client.closing)
        w->client.code = ws_close_code(m->payload);
    r = out.n ? write_up(x, buf_str(&out)) : 0;
    return r < 0 || !w->pending.n ? r : tell_client(w);
}

static int up_messages(struct exchange *x)
{
    struct ws_side *s = &x->ws->client;
    struct ws_message m;
    int r = 0;

    while (!s->closing && (r = ws_reader_next(&s->reader, &s->unread, &m)) > 0)
        if ((r = up_message(x, &m)) < 0)
            return r;
    return r < 0 ? failed(x->ws, WS_CLIENT, r) : 0;
}

static int up(void *exchange)
{
    struct exchange *x = exchange;
    struct ws_front *w = x->ws;
    bool raw = x->match.endpoint->kind == KIND_REALTIME_WS;
    unsigned turns = 0;

    while (!w->client.closing) {
        ssize_t n = ws_side_fill(&w->client, w->ends_at);
        if (n <= 0) {
            w->client.gone = n != -ETIMEDOUT && n != -ECANCELED;
            return failed(w, n == -ETIMEDOUT ? WS_LOCAL : WS_CLIENT, n);
        }
        x->rq->body_received += (uint64_t)n;
        int r = raw ? up_bytes(x) : up_messages(x);
        if (w->upstream.gone)
            return 0;
        if (r < 0)
            return r;
        take_turns(&turns);
    }
    return closed(w, &w->client);
}

/* --- the end --- */

/* A close frame of ours, where none passed and where it may stand; without waiting. */
static void say_goodbye(struct ws_side *to, bool may_stand, unsigned code, bool masked)
{
    static const uint8_t mask[4] = {0}; /* nothing in it is worth hiding */
    _cleanup_(buf_free) struct buf out = {0};

    if (to->gone || to->writing || to->close_sent || !may_stand)
        return;
    buf_init(&out, 256);
    if (ws_put_close(&out, code, STR_NONE, masked ? mask : NULL) < 0)
        return;
    struct iovec iov = {out.p, out.n};
    to->close_sent = stream_try_writev(to->stream, &iov, 1) >= 0;
}

static int closed_by_frames(struct exchange *x)
{
    struct ws_front *w = x->ws;
    unsigned code = w->first_to_close->code;
    bool fine = code == 0 || code == 1000 || code == 1001;

    say_goodbye(&w->client, ws_reader_between_frames(&w->upstream.reader), code, false);
    x->outcome = w->first_to_close == &w->upstream && !fine ? OUTCOME_UPSTREAM_ERROR : OUTCOME_OK;
    w->told = true;
    return 0;
}

static int client_failed(struct exchange *x)
{
    struct ws_front *w = x->ws;

    if (w->reason == -EMSGSIZE) {
        w->close_code = 1009;
        return exchange_failf(x, 413, STR("request_too_large"),
            "A message is larger than the limit of %zu bytes.", LIMIT_WS_FRAME_BYTES);
    }
    if (w->reason == -EPROTO && !w->client.gone) {
        w->close_code = 1002;
        return exchange_fail(x, 400, STR("websocket_protocol_error"),
            STR("The client broke the WebSocket protocol."));
    }
    x->outcome = OUTCOME_CANCELLED;
    w->told = true;
    return exchange_fail(x, 499, STR("client_closed_request"), STR("The client went away."));
}

static int upstream_failed(struct exchange *x)
{
    switch (x->ws->reason) {
    case -EPROTO:
        return exchange_fail(x, 502, STR("upstream_bad_response"),
            STR("The provider broke the WebSocket protocol."));
    case -EMSGSIZE:
        return exchange_fail(x, 502, STR("upstream_event_too_large"),
            STR("The provider sent a message that is larger than the gateway takes."));
    case -ETIMEDOUT:
        return exchange_fail(x, 504, STR("upstream_timeout"),
            STR("The provider stopped taking what the session sends."));
    }
    return exchange_fail(
        x, 502, STR("upstream_closed"), STR("The provider ended the session without closing it."));
}

static int local_failed(struct exchange *x)
{
    if (x->error.status) { /* its budget is used up */
        x->ws->close_code = 1008;
        return -EREMOTEIO;
    }
    if (x->ws->reason != -ETIMEDOUT)
        return exchange_fail(
            x, 503, STR("out_of_memory"), STR("The session needs more memory than it may have."));
    x->ws->close_code = 1001;
    return exchange_fail(x, 408, STR("session_expired"),
        STR("The session has reached the longest time that one may take."));
}

/* Not behind what was written in part: `down` has the lock then, and brings the frame along. */
static void say_going_away(struct ws_front *w)
{
    int64_t before = co_set_deadline(loop_now() + CLOSE_WAIT);

    if (ws_put_close(&w->pending, 1001, STR_NONE, NULL) == 0 &&
        sem_take(&w->to_client, NEVER_NS) == 0) {
        (void)put_pending(w);
        sem_give(&w->to_client);
    }
    (void)co_set_deadline(before);
}

static int went_away(struct exchange *x)
{
    struct ws_front *w = x->ws;

    say_goodbye(&w->client, ws_reader_between_frames(&w->upstream.reader), 1001, false);
    x->outcome = OUTCOME_OK;
    w->told = true;
    return 0;
}

static int finish(struct exchange *x)
{
    struct ws_front *w = x->ws;
    bool raw = x->match.endpoint->kind == KIND_REALTIME_WS;

    say_goodbye(&w->upstream, !raw || ws_reader_between_frames(&w->client.reader), 1001, true);
    if (co_cancelled()) {
        x->outcome = OUTCOME_CANCELLED;
        return exchange_fail(x, 499, STR("session_ended"), STR("The gateway ended the session."));
    }
    if (w->first_to_close)
        return closed_by_frames(x);
    if (w->cause == WS_DRAIN)
        return went_away(x);
    x->outcome = OUTCOME_TRUNCATED;
    return w->cause == WS_CLIENT     ? client_failed(x)
           : w->cause == WS_UPSTREAM ? upstream_failed(x)
                                     : local_failed(x);
}

int ws_relay(struct exchange *x)
{
    struct ws_front *w = x->ws;
    int64_t total = x->upstream->timeouts.total;
    struct group g;

    w->ends_at = loop_now() + (total ? total : SESSION_TOTAL);
    group_init(&g, true);
    int r = group_spawn(&g, "websocket down", down, x);
    if (r == 0)
        r = group_spawn(&g, "websocket up", up, x);
    if (r < 0)
        failed(w, WS_LOCAL, r);
    else
        r = event_wait(&w->over, NEVER_NS);
    if (r == 0 && w->cause == WS_DRAIN)
        say_going_away(w);
    (void)group_wait(&g, r < 0 ? loop_now() : loop_now() + CLOSE_WAIT);
    return finish(x);
}

int ws_send_first(struct exchange *x)
{
    struct ws_front *w = x->ws;
    _cleanup_(buf_free) struct buf out = {0};

    buf_init(&out, WS_OUT_MAX);
    int r = ws_put_first(x, &out);
    buf_free(&w->first);
    x->body = STR_NONE;
    if (r == 0)
        r = ws_side_write(&w->upstream, buf_str(&out), upstream_patience(x), &w->client.stream->io);
    if (r == 0)
        return 0;
    if (w->client.stream->io.hangup || r == -ECANCELED) {
        x->outcome = OUTCOME_CANCELLED;
        return exchange_fail(x, 499, STR("client_closed_request"), STR("The client went away."));
    }
    x->outcome = OUTCOME_UPSTREAM_ERROR;
    return exchange_fail(x, r == -ETIMEDOUT ? 504 : 502, STR("upstream_send_failed"),
        STR("The provider did not take the first message."));
}
