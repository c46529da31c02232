/*
 * The coroutine of a request: it calls the handler, completes what the handler left open, and goes
 * on with the next request if one is already there. Otherwise it ends, and the connection waits
 * without it.
 */
#include "http/server_int.h"
#include "runtime/loop.h"
#include <errno.h>

static bool overloaded(const struct http_server *s)
{
    return s->handler.overloaded != NULL && s->handler.overloaded(s->handler.ctx);
}

void conn_start(struct http_conn *c)
{
    if (overloaded(c->server))
        conn_refuse(c, 503, "overloaded");
    else if (co_spawn_now("http", conn_run, c, NULL) < 0)
        conn_refuse(c, 503, "out of memory");
}

void conn_release(struct http_conn *c)
{
    block_give(&c->head);
    block_give(&c->fields);
    block_give(&c->held);
    block_give(&c->out);
    c->head_in_in = false;
    input_drop_used(&c->in);
}

/* The handler broke its promise to answer, or its reply is incomplete. */
static void reply_complete(struct http_conn *c)
{
    struct http_request *rq = &c->rq;
    if (c->reply.ended || c->gone || c->reset)
        return;
    if (c->reply.begun) { /* left unfinished: a clean end would look like a whole reply */
        c->reset = true;
        return;
    }
    struct buf body;
    buf_init(&body, 64 * KIB);
    const struct http_handler *h = &c->server->handler;
    if (h->render_error != NULL)
        h->render_error(&body, 500, rq->head.path, "the handler did not answer", h->ctx);
    (void)http_reply(rq, 500, STR("content-type: application/json\r\n"), buf_str(&body));
    buf_free(&body);
}

/* After the handler: true when the connection can carry another request. */
static bool request_finish(struct http_conn *c)
{
    reply_complete(c);
    bool next =
        c->keep && !c->gone && !c->reset && !c->upgraded && !co_cancelled() && body_skip(c) == 0;
    conn_release(c);
    return next && !c->gone && !c->reset;
}

static void conn_end(struct http_conn *c)
{
    c->co = NULL;
    bool unread = !c->body.done || input_unread(&c->in) > 0 || io_is_ready(&c->stream.io, IO_READ);
    if (c->gone || c->reset || c->upgraded || !unread)
        conn_free(c);
    else
        conn_linger(c);
}

static void requests_run(struct http_conn *c)
{
    const struct http_handler *h = &c->server->handler;
    for (unsigned n = 1;; n++) {
        h->handle(&c->rq, h->ctx);
        (void)co_set_deadline(NEVER_NS); /* the handler's was for its request alone */
        if (!request_finish(c)) {
            conn_end(c);
            return;
        }
        if (n % LIMIT_PIPELINED == 0)
            co_yield ();
        c->state = CONN_IDLE;
        c->co = NULL;
        if (c->gone) {
            conn_free(c);
            return;
        }
        c->rq.first_byte_at = loop_now(); /* of what is already here, if anything */
        if (c->server->draining) /* a last look, as conn_drain() has it for those that waited */
            c->stream.io.ready |= IO_READ;
        int r = conn_read_request(c);
        if (r == 0)
            conn_wait(c);
        if (r <= 0)
            return;
        if (overloaded(c->server)) {
            conn_refuse(c, 503, "overloaded");
            return;
        }
        c->co = co_self();
    }
}

void conn_run(void *conn)
{
    struct http_conn *c = conn;
    c->co = co_self();
    requests_run(c);
}

void conn_handshake(void *conn)
{
    struct http_conn *c = conn;
    c->co = co_self();
    int r = tls_accept(&c->stream, c->server->set.tls, loop_now() + c->server->set.head_timeout);
    c->co = NULL;
    if (r < 0 || c->gone) {
        conn_free(c);
        return;
    }
    c->state = CONN_IDLE;
    r = conn_read_request(c);
    if (r > 0 && overloaded(c->server)) {
        conn_refuse(c, 503, "overloaded");
    } else if (r > 0) {
        c->co = co_self();
        requests_run(c);
    } else if (r == 0) {
        conn_wait(c);
    }
}
