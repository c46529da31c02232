/*
 * A connection between requests: opening, reading heads, timers, hang-up. All of it runs in loop
 * context or in the connection's own coroutine between two pipelined requests; nothing suspends.
 *
 * One receive per small request: it goes into a 4 KiB block, and since a short receive leaves
 * nothing in the kernel, no second one follows.
 *
 * A head that trickles in is parsed again only when a line end came with the new bytes, so that the
 * work is bounded by the number of lines, not of packets.
 */
#include "http/server_int.h"
#include "http/thread.h"
#include "runtime/loop.h"
#include <errno.h>
#include <unistd.h>

static void conn_event(struct io *io, int dirs);
static void conn_hangup(struct io *io);
static void conn_timeout(struct timer *t);

static void conn_begin(struct http_conn *c)
{
    if (c->server->set.tls == NULL) {
        c->state = CONN_IDLE;
        conn_wait(c);
        return;
    }
    c->state = CONN_HANDSHAKE;
    if (co_spawn("http tls", conn_handshake, c, &c->co) < 0)
        conn_free(c);
}

void conn_open(struct http_server *s, int fd, const struct net_addr *peer)
{
    struct http_conn *c = cell_take(sizeof(*c));
    if (c == NULL) {
        close(fd);
        return;
    }
    int r = stream_open(&c->stream, fd);
    if (r < 0) {
        cell_give(c, sizeof(*c));
        return;
    }
    c->server = s;
    c->peer = *peer;
    c->fresh = true;
    c->stream.io.on_event = conn_event;
    c->stream.io.on_hangup = conn_hangup;
    timer_init(&c->timer, conn_timeout);
    list_push_back(&s->conns, &c->node);
    s->n_conns++;
    conn_begin(c);
}

static void conn_turn(struct http_conn *c)
{
    int r = conn_read_request(c);
    if (r > 0)
        conn_start(c);
    else if (r == 0)
        conn_wait(c);
}

static void conn_event(struct io *io, int dirs)
{
    struct http_conn *c = container_of(io, struct http_conn, stream.io);
    if (!(dirs & IO_READ))
        return;
    if (c->state == CONN_IDLE || c->state == CONN_HEAD)
        conn_turn(c);
    else if (c->state == CONN_LINGER)
        conn_linger_read(c);
}

static void conn_hangup(struct io *io)
{
    struct http_conn *c = container_of(io, struct http_conn, stream.io);
    switch (c->state) {
    case CONN_IDLE:
    case CONN_HEAD:
        conn_free(c);
        break;
    case CONN_LINGER:
        if (c->linger_left == 0)
            conn_free(c); /* what it sent stays unread; it is through with us */
        else
            conn_linger_read(c);
        break;
    default:
        c->gone = true;
        if (!c->reply.ended && !c->upgraded && c->co != NULL)
            co_cancel(c->co);
    }
}

static void conn_timeout(struct timer *t)
{
    struct http_conn *c = container_of(t, struct http_conn, timer);
    if (c->state == CONN_HEAD)
        conn_refuse(c, 408, "the request head did not arrive in time");
    else if (c->state == CONN_IDLE || c->state == CONN_LINGER)
        conn_free(c);
    /* BUSY: the timer is left over from before the request; conn_wait() sets it anew. */
}

void conn_wait(struct http_conn *c)
{
    const struct http_server *s = c->server;
    if (input_unread(&c->in) > 0) {
        c->state = CONN_HEAD;
        timer_set(&c->timer, c->rq.first_byte_at + s->set.head_timeout);
        return;
    }
    c->state = CONN_IDLE;
    if (s->draining && !c->fresh)
        conn_free(c);
    else if (s->draining)
        timer_set(&c->timer, loop_now() + DRAIN_GRACE_NS);
    else
        timer_set(&c->timer, loop_now() + s->set.idle_timeout);
}

void conn_drain(struct http_conn *c)
{
    if (c->state != CONN_IDLE)
        return;
    /* A last look: a request that is already in the socket must be answered, even when its edge has
     * not been reported yet. */
    c->stream.io.ready |= IO_READ;
    conn_turn(c);
}

void conn_abort(struct http_conn *c)
{
    if (c->co == NULL) {
        conn_free(c);
        return;
    }
    c->gone = true;
    c->reset = true;
    co_cancel(c->co);
}

/* The errors of http_parse_request() as replies. */
static int head_error(struct http_conn *c, ptrdiff_t r, const char *why)
{
    int status = r == -E2BIG ? 431 : r == -EPROTONOSUPPORT ? 505 : 400;
    conn_refuse(c, status, why);
    return -1;
}

/* A whole head of n bytes is parsed: the connection is busy from here on. */
static int head_done(struct http_conn *c, size_t n)
{
    c->in.start += n;
    c->parsed = 0;
    c->head_in_in = true;
    if (fields_keep(&c->rq.head.fields, &c->in, &c->fields) < 0) {
        conn_refuse(c, 503, "out of memory");
        return -1;
    }
    decoder_init(&c->body, &c->rq.head);
    c->body_error = 0;
    c->body_wire = 0;
    c->want_continue = c->rq.head.expect_continue && !c->body.done;
    c->keep = c->rq.head.keep_alive;
    c->fresh = false;
    c->reply = (struct http_reply){0};
    c->rq.peer = c->peer;
    c->rq.head_at = loop_now();
    c->rq.tls = c->stream.ssl != NULL;
    c->rq.body_received = c->rq.reply_bytes = 0;
    c->rq.reply_status = 0;
    c->rq.conn = c;
    c->rq.user = NULL;
    c->state = CONN_BUSY;
    return 1;
}

static bool worth_parsing(const struct http_conn *c)
{
    size_t unread = input_unread(&c->in);
    const char *fresh = c->in.block.p + c->in.start + c->parsed;
    return unread > c->parsed &&
           (c->parsed == 0 || memchr(fresh, '\n', unread - c->parsed) != NULL);
}

static int parse_head(struct http_conn *c)
{
    if (!worth_parsing(c))
        return 0;
    struct http_thread *t = http_thread();
    struct str bytes = input_view(&c->in);
    const char *why = "";
    ptrdiff_t n = http_parse_request(bytes, t->room, LIMIT_HEADERS, &c->rq.head, &why);
    if (n < 0)
        return head_error(c, n, why);
    size_t max = c->server->set.max_head;
    if ((size_t)n > max || (n == 0 && bytes.n > max))
        return head_error(c, -E2BIG, "the request head is too large");
    if (n > 0)
        return head_done(c, (size_t)n);
    c->parsed = bytes.n;
    return 0;
}

/* Receives once: 1 = bytes came, 0 = nothing there, -1 = the connection is gone or refused. */
static int receive(struct http_conn *c)
{
    int r = 0;
    if (c->in.block.p == NULL)
        r = block_take(&c->in.block, BLOCK_SMALL);
    else if (c->in.end == c->in.block.cap)
        r = input_grow(&c->in, c->server->set.max_head);
    if (r < 0) {
        conn_refuse(c, r == -E2BIG ? 431 : 503, "the request head is too large");
        return -1;
    }
    size_t had = input_unread(&c->in);
    ssize_t n = input_fill(&c->in, &c->stream);
    if (n == -EAGAIN) {
        input_drop_used(&c->in);
        return 0;
    }
    if (n <= 0) {
        conn_free(c);
        return -1;
    }
    if (had == 0)
        c->rq.first_byte_at = loop_now();
    return 1;
}

int conn_read_request(struct http_conn *c)
{
    for (;;) {
        int r = parse_head(c);
        if (r != 0)
            return r;
        if (c->stream.ssl == NULL && !io_is_ready(&c->stream.io, IO_READ)) {
            input_drop_used(&c->in);
            return 0;
        }
        r = receive(c);
        if (r <= 0)
            return r;
    }
}
