/*
 * The request's body: decoded pieces out of the connection's input, refilled when used up.
 *
 * The block with the head is never written to again while the handler runs: the first refill moves
 * it aside and receives into a block of its own, which goes back to the pool when it is used up, so
 * that a wait for more holds none.
 */
#include "http/server_int.h"
#include "runtime/loop.h"
#include <errno.h>

#define OVERREAD      512
#define BYTES_AT_ONCE ((uint64_t)256 * KIB)

static int body_fail(struct http_conn *c, int error)
{
    c->keep = false;
    c->body_error = error;
    return error;
}

static int send_continue(struct http_conn *c)
{
    if (!c->want_continue)
        return 0;
    c->want_continue = false;
    if (c->reply.begun)
        return body_fail(c, -EPROTO); /* a final reply went out: the body will not come */
    struct str text = STR("HTTP/1.1 100 Continue\r\n\r\n");
    struct iovec iov = {(char *)text.p, text.n};
    int r = conn_send(c, &iov, 1);
    return r < 0 ? body_fail(c, r) : 0;
}

/* Lets go of the input's block, which may hold the head. */
static void input_set_aside(struct http_conn *c)
{
    must(input_unread(&c->in) == 0);
    if (c->head_in_in && c->in.block.p != NULL) {
        c->head = c->in.block;
        c->in = (struct http_input){0};
    }
    c->head_in_in = false;
    input_drop(&c->in);
}

static int wait_for_body(struct http_conn *c)
{
    if (c->gone)
        return body_fail(c, -ECANCELED);
    int r = send_continue(c);
    if (r < 0)
        return r;
    r = stream_wait_readable(&c->stream, loop_now() + c->server->set.body_timeout);
    return r < 0 ? body_fail(c, r) : 0;
}

/* Where data never stops coming no wait would ever give the thread to others. */
static void count_received(struct http_conn *c, size_t n)
{
    uint64_t before = c->body_wire;
    c->body_wire += n;
    if (before / BYTES_AT_ONCE != c->body_wire / BYTES_AT_ONCE)
        co_yield ();
}

/* A result of a receive as an error of the body. */
static int read_failed(struct http_conn *c, ssize_t n)
{
    return body_fail(c, n == 0 ? -ECONNRESET : (int)n);
}

static int refill(struct http_conn *c)
{
    input_set_aside(c);
    for (;;) {
        int r = wait_for_body(c);
        if (r == 0)
            r = block_take(&c->in.block, BLOCK_LARGE);
        if (r < 0)
            return body_fail(c, r);
        ssize_t n = input_fill(&c->in, &c->stream);
        if (n > 0) {
            count_received(c, (size_t)n);
            return 0;
        }
        input_drop(&c->in);
        if (n != -EAGAIN)
            return read_failed(c, n);
    }
}

ssize_t http_body_read(struct http_request *rq, uint64_t limit, struct str *ret)
{
    struct http_conn *c = rq->conn;
    *ret = STR_NONE;
    if (c->body_error < 0)
        return c->body_error;
    if (c->body.framing == HTTP_BODY_LENGTH && rq->body_received + c->body.left > limit)
        return body_fail(c, -EMSGSIZE);
    while (!c->body.done) {
        ssize_t n = decoder_take(&c->body, &c->in, ret);
        if (n < 0)
            return body_fail(c, (int)n);
        rq->body_received += (uint64_t)n;
        if (rq->body_received > limit)
            return body_fail(c, -EMSGSIZE);
        if (n > 0)
            return n;
        int r = c->body.done ? 0 : refill(c);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Bytes received behind the body: they begin the next request. */
static int keep_overread(struct http_conn *c, const char *p, size_t n)
{
    must(c->in.block.p == NULL);
    int r = block_take(&c->in.block, BLOCK_SMALL);
    if (r < 0)
        return body_fail(c, r);
    memcpy(c->in.block.p, p, n);
    c->in.end = n;
    return 0;
}

/* Receives straight into place: one copy less, and few receives. A little
 * more than is due is asked for, so that the last receive is a short one: otherwise the socket
 * would still count as ready, and a receive for nothing would follow the request. */
static int receive_exact(struct http_conn *c, char *to, size_t n)
{
    while (n > 0) {
        ssize_t got = stream_try_read(&c->stream, to, MIN(n + OVERREAD, BYTES_AT_ONCE));
        if (got == -EAGAIN) {
            int r = wait_for_body(c);
            if (r < 0)
                return r;
            continue;
        }
        if (got <= 0)
            return read_failed(c, got);
        size_t part = MIN((size_t)got, n), over = (size_t)got - part;
        to += part;
        n -= part;
        c->rq.body_received += part;
        c->body.left -= part;
        int r = over > 0 ? keep_overread(c, to, over) : 0;
        if (r < 0)
            return r;
        count_received(c, (size_t)got);
    }
    c->body.done = true;
    return 0;
}

static int all_by_length(struct http_conn *c, size_t limit, struct str *ret)
{
    uint64_t length = c->body.left;
    if (length > limit)
        return body_fail(c, -EMSGSIZE);
    if (length <= input_unread(&c->in)) {
        (void)decoder_take(&c->body, &c->in, ret);
        c->rq.body_received += length;
        return 0;
    }
    int r = block_take(&c->held, length + OVERREAD);
    if (r < 0)
        return body_fail(c, r);
    struct str part = STR_NONE;
    (void)decoder_take(&c->body, &c->in, &part);
    if (part.n > 0)
        memcpy(c->held.p, part.p, part.n);
    c->rq.body_received += part.n;
    input_set_aside(c);
    r = receive_exact(c, c->held.p + part.n, length - part.n);
    *ret = str_at(c->held.p, length);
    return r;
}

static int held_append(struct http_conn *c, size_t have, struct str part, size_t limit)
{
    if (have + part.n > c->held.cap) {
        struct block larger = {0};
        size_t want = MAX(have + part.n, MIN(c->held.cap * 2, limit));
        int r = block_take(&larger, want);
        if (r < 0)
            return body_fail(c, r);
        memcpy(larger.p, c->held.p, have);
        block_give(&c->held);
        c->held = larger;
    }
    memcpy(c->held.p + have, part.p, part.n);
    return 0;
}

static int all_by_chunks(struct http_conn *c, size_t limit, struct str *ret)
{
    uint64_t before = c->rq.body_received;
    size_t have = 0;
    int r = block_take(&c->held, BLOCK_SMALL);
    if (r < 0)
        return body_fail(c, r);
    for (;;) {
        struct str part;
        ssize_t n = http_body_read(&c->rq, before + limit, &part);
        if (n <= 0) {
            *ret = str_at(c->held.p, have);
            return (int)n;
        }
        r = held_append(c, have, part, limit);
        if (r < 0)
            return r;
        have += part.n;
    }
}

int http_body_all(struct http_request *rq, size_t limit, struct str *ret)
{
    struct http_conn *c = rq->conn;
    *ret = str_at("", 0);
    if (c->body_error < 0)
        return c->body_error;
    if (c->body.done)
        return 0;
    http_body_release(rq);
    if (c->body.framing == HTTP_BODY_LENGTH)
        return all_by_length(c, limit, ret);
    return all_by_chunks(c, limit, ret);
}

void http_body_release(struct http_request *rq)
{
    block_give(&rq->conn->held);
}

void http_request_forget_head(struct http_request *rq)
{
    struct http_conn *c = rq->conn;
    struct http_head *h = &rq->head;
    h->method_text = h->target = h->path = h->query = STR_NONE;
    h->fields = (struct http_fields){0};
    block_give(&c->head);
    block_give(&c->fields);
    block_give(&c->held);
    c->head_in_in = false;
    input_drop_used(&c->in);
}

/* Chunks may be nearly all framing, so what came over the wire counts here. */
static int skip_until(struct http_conn *c, int64_t deadline)
{
    uint64_t limit = c->rq.body_received + SKIP_BODY_BYTES;
    uint64_t wire = c->body_wire + 2 * SKIP_BODY_BYTES;
    struct str piece;
    for (;;) {
        ssize_t n = http_body_read(&c->rq, limit, &piece);
        if (n <= 0)
            return (int)n;
        if (c->body_wire > wire)
            return body_fail(c, -EMSGSIZE);
        if (loop_now() >= deadline)
            return body_fail(c, -ETIMEDOUT);
    }
}

int body_skip(struct http_conn *c)
{
    if (c->body_error < 0 || (c->want_continue && !c->body.done))
        return -ECANCELED;
    if (c->body.framing == HTTP_BODY_LENGTH && c->body.left > SKIP_BODY_BYTES)
        return -EMSGSIZE;
    int64_t deadline = loop_now() + c->server->set.body_timeout;
    int64_t before = co_set_deadline(deadline); /* for the waits; skip_until() for the rest */
    int r = skip_until(c, deadline);
    (void)co_set_deadline(before);
    return r;
}
