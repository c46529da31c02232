/*
 * Reading a reply: the head, then decoded pieces of body.
 *
 * A wait holds no block: first readiness, then a block, then one receive. A reply that came whole
 * with its head stays in that block, and views point into it. Otherwise the head is copied out at
 * once, before anybody has a view of it, and the block goes back as soon as its data is used up.
 */
#include "http/client_int.h"
#include "runtime/co.h"
#include <errno.h>

#define RECEIVES_AT_ONCE 64

static int take_block(struct http_call *c)
{
    if (c->in.block.p == NULL)
        return block_take(&c->in.block, c->small_reads ? BLOCK_SMALL : BLOCK_LARGE);
    if (c->in.end < c->in.block.cap)
        return 0;
    return input_grow(&c->in, LIMIT_HEAD_BYTES); /* only while a head is incomplete */
}

static ssize_t receive_now(struct http_call *c)
{
    int r = take_block(c);
    if (r < 0)
        return r == -E2BIG ? -EPROTO : r;
    ssize_t n = input_fill(&c->in, &c->conn->stream);
    if (n > 0) {
        c->info.bytes_received += (uint64_t)n;
        if (!c->got_bytes)
            c->info.first_byte_at = loop_now();
        c->got_bytes = true;
        c->quiet_from = 0;
        c->brimful = c->in.end == c->in.block.cap;
    } else {
        input_drop_used(&c->in);
    }
    return n;
}

/* Where data never stops coming no wait would ever give the thread to others, or look at the
 * call's deadline. Only where the caller may suspend. */
static int give_way(struct http_call *c)
{
    if (++c->receives % RECEIVES_AT_ONCE != 0)
        return 0;
    co_yield ();
    return loop_now() < c->total_at ? 0 : -ETIMEDOUT;
}

ssize_t call_receive(struct http_call *c, int64_t deadline)
{
    int r = deadline > 0 ? give_way(c) : 0;
    if (r < 0)
        return r;
    for (;;) {
        if (deadline > 0) {
            r = stream_wait_readable(&c->conn->stream, deadline);
            if (r < 0)
                return r;
        }
        ssize_t n = receive_now(c);
        if (n != -EAGAIN || deadline == 0)
            return n;
    }
}

/* --- the head --- */

static void rebase(struct str *s, const char *from, char *to)
{
    if (s->p != NULL)
        s->p = to + (s->p - from);
}

/* Copies the n bytes of head and its fields to a block of their size; the fields still lie in the
 * parsing room. */
static int head_copy(struct http_call *c, size_t n)
{
    struct http_fields *f = &c->head.fields;
    size_t fields = f->n * sizeof(*f->at);
    int r = block_take(&c->head_store, fields + n);
    if (r < 0)
        return r;
    char *from = c->in.block.p + c->in.start - n, *to = c->head_store.p + fields;
    memcpy(to, from, n);
    memcpy(c->head_store.p, f->at, fields);
    f->at = (struct http_field *)(void *)c->head_store.p;
    rebase(&c->head.reason, from, to);
    for (unsigned i = 0; i < f->n; i++) {
        rebase(&f->at[i].name, from, to);
        rebase(&f->at[i].value, from, to);
    }
    return 0;
}

static bool whole_reply_is_here(const struct http_call *c)
{
    return c->body.done ||
           (c->body.framing == HTTP_BODY_LENGTH && c->body.left <= input_unread(&c->in));
}

static int head_done(struct http_call *c, size_t n)
{
    decoder_init(&c->body, &c->head);
    int r;
    if (whole_reply_is_here(c) && c->head.status != 101) {
        r = fields_keep(&c->head.fields, &c->in, &c->fields);
    } else {
        r = head_copy(c, n);
        input_drop_used(&c->in);
    }
    c->head_done = r == 0;
    return r < 0 ? r : 1;
}

int call_head_parse(struct http_call *c)
{
    bool was_head = str_eq(c->req.method, STR("HEAD"));
    while (input_unread(&c->in) > 0 && c->interim <= MAX_INTERIM) {
        const char *why;
        ptrdiff_t n = http_parse_response(
            input_view(&c->in), was_head, http_thread()->room, LIMIT_HEADERS, &c->head, &why);
        if (n == 0)
            return input_unread(&c->in) > LIMIT_HEAD_BYTES ? -EPROTO : 0;
        if (n < 0 || (c->head.status == 101 && !c->req.upgrade))
            return -EPROTO;
        c->in.start += (size_t)n;
        if (c->head.status >= 200 || c->head.status == 101)
            return head_done(c, (size_t)n);
        c->interim++;
    }
    return c->interim > MAX_INTERIM ? -EPROTO : 0;
}

static int64_t head_deadline(const struct http_call *c)
{
    if (c->got_bytes)
        return call_deadline(c, c->t.between);
    int64_t from = c->sent_all ? c->info.sent_at : loop_now();
    return MIN(from + c->t.first_byte, c->total_at);
}

static int head_read(struct http_call *c)
{
    for (;;) {
        int r = call_head_parse(c);
        if (r != 0)
            return r;
        input_drop_used(&c->in);
        ssize_t n = call_receive(c, head_deadline(c));
        if (n <= 0)
            return n == 0 ? -ECONNRESET : (int)n;
    }
}

/* A kept connection may have been closed by the peer at the moment we used it. Nothing of a reply
 * came, and it ended too soon for the request to have been worked on. */
static bool may_repeat(const struct http_call *c, int r)
{
    bool stale = !c->sent_all || loop_now() - c->info.sent_at < STALE_WITHIN_NS;
    return c->info.reused && !c->retried && !c->got_bytes && stale &&
           (r == -ECONNRESET || r == -EPIPE);
}

static int repeat(struct http_call *c, struct error *err)
{
    client_conn_close(c->conn);
    c->conn = NULL;
    input_drop(&c->in);
    c->retried = true;
    c->sent = 0;
    c->sent_all = c->send_broken = c->info.reused = false;
    int64_t began = loop_now();
    int r = pool_dial(c->origin, call_deadline(c, c->t.connect), &c->conn, err, c->errbuf);
    c->info.connect_ns = loop_now() - began;
    if (r < 0 && err->status == 0)
        return call_fail(c, err, r, "could not be reached");
    c->error = r;
    return r;
}

int http_call_head(struct http_call *c, const struct http_head **ret, struct error *err)
{
    *ret = NULL;
    if (c->error < 0 || c->conn == NULL)
        return call_fail(c, err, c->error < 0 ? c->error : -ECONNRESET, "failed before");
    int r = c->head_done ? 1 : head_read(c);
    if (r < 0 && may_repeat(c, r)) {
        r = repeat(c, err);
        if (r < 0)
            return r;
        r = call_send(c);
        if (r == 0 || r == -EPIPE)
            r = head_read(c);
    }
    block_give(&c->out);
    if (r < 0)
        return call_fail(c, err, r,
            c->got_bytes ? "sent an incomplete or malformed reply"
                         : "closed the connection without a reply");
    *ret = &c->head;
    return 0;
}

/* --- the body --- */

/* More bytes behind the used-up ones: 1, 0 at the proper end, -errno. */
static int refill(struct http_call *c, bool wait)
{
    must(input_unread(&c->in) == 0);
    input_drop(&c->in);
    ssize_t n = call_receive(c, wait ? call_deadline(c, c->t.between) : 0);
    if (n > 0)
        return 1;
    if (n == -EAGAIN)
        return -EAGAIN;
    c->body.done = n == 0 && c->body.framing == HTTP_BODY_TO_EOF;
    if (!c->body.done)
        c->error = n == 0 ? -ECONNRESET : (int)n;
    return c->error;
}

static ssize_t read_piece(struct http_call *c, struct str *ret, bool wait)
{
    *ret = STR_NONE;
    if (c->error < 0)
        return c->error;
    if (!c->head_done)
        return -EINVAL;
    while (!c->body.done) {
        ssize_t n = decoder_take(&c->body, &c->in, ret);
        if (n < 0)
            c->error = -EPROTO;
        if (n != 0)
            return n < 0 ? -EPROTO : n;
        int r = c->body.done ? 0 : refill(c, wait);
        if (r < 0)
            return r;
    }
    return 0;
}

ssize_t http_call_read(struct http_call *c, struct str *ret)
{
    return read_piece(c, ret, true);
}

ssize_t http_call_try_read(struct http_call *c, struct str *ret)
{
    return read_piece(c, ret, false);
}

static int read_pieces(struct http_call *c, struct iovec *iov, int max, bool wait)
{
    struct str piece;
    ssize_t n = read_piece(c, &piece, wait);
    if (n <= 0)
        return (int)n;
    int k = 0;
    for (;;) {
        iov[k++] = (struct iovec){(char *)piece.p, piece.n};
        if (k == max)
            return k;
        n = decoder_take(&c->body, &c->in, &piece);
        if (n < 0)
            c->error = -EPROTO; /* told at the next call: what came before is good */
        if (n <= 0)
            return k;
    }
}

int http_call_readv(struct http_call *c, struct iovec *iov, int max)
{
    return read_pieces(c, iov, max, true);
}

int http_call_try_readv(struct http_call *c, struct iovec *iov, int max)
{
    return read_pieces(c, iov, max, false);
}

void http_call_wait(struct http_call *c)
{
    if (c->error == 0 && c->head_done && !c->body.done && input_unread(&c->in) == 0)
        (void)refill(c, true); /* a failure stays in c->error, for the next read */
}

bool http_call_wait_until(struct http_call *c, int64_t at)
{
    if (c->error < 0 || !c->head_done || c->body.done || input_unread(&c->in) > 0)
        return true;
    if (!c->quiet_from)
        c->quiet_from = loop_now();
    int64_t last = MIN(c->quiet_from + c->t.between, c->total_at);
    input_drop(&c->in);
    int r = stream_wait_readable(&c->conn->stream, MIN(at, last));
    if (r == -ETIMEDOUT && loop_now() < last && loop_now() < co_deadline())
        return false;
    if (r < 0)
        c->error = r;
    return true;
}

bool http_call_brimful(const struct http_call *c)
{
    return c->brimful;
}

void http_call_small_reads(struct http_call *c, bool small)
{
    c->small_reads = small;
}

/* A body that is over may lie in one block with its head. */
bool http_call_drop_used(struct http_call *c)
{
    if (c->body.done || input_unread(&c->in) > 0)
        return false;
    input_drop(&c->in);
    return true;
}

bool http_call_ended(const struct http_call *c)
{
    return c->head_done && c->body.done && c->error == 0;
}

/* --- all of it --- */

static int receive_exact(struct http_call *c, char *to, size_t n)
{
    while (n > 0) {
        ssize_t got = stream_try_read(&c->conn->stream, to, n);
        if (got == -EAGAIN) {
            int r = stream_wait_readable(&c->conn->stream, call_deadline(c, c->t.between));
            if (r < 0)
                return c->error = r;
            continue;
        }
        if (got <= 0)
            return c->error = got == 0 ? -ECONNRESET : (int)got;
        to += got;
        n -= (size_t)got;
        c->info.bytes_received += (uint64_t)got;
        c->body.left -= (uint64_t)got;
        int r = n > 0 ? give_way(c) : 0;
        if (r < 0)
            return c->error = r;
    }
    c->body.done = true;
    return 0;
}

static int all_by_length(struct http_call *c, struct str *ret)
{
    size_t length = c->body.left;
    struct str part = STR_NONE;
    if (length <= input_unread(&c->in)) {
        (void)decoder_take(&c->body, &c->in, ret);
        return 0;
    }
    int r = block_take(&c->held, length);
    if (r < 0)
        return r;
    (void)decoder_take(&c->body, &c->in, &part);
    if (part.n > 0)
        memcpy(c->held.p, part.p, part.n);
    input_drop(&c->in);
    r = receive_exact(c, c->held.p + part.n, length - part.n);
    *ret = str_at(c->held.p, length);
    return r;
}

/* Joins the pieces that are already here, in place: what a small chunked reply comes to. */
static int join_here(struct http_call *c, size_t max, struct str *ret)
{
    struct str piece;
    ssize_t n;
    *ret = STR_NONE;
    while ((n = decoder_take(&c->body, &c->in, &piece)) > 0) {
        if (ret->n + piece.n > max)
            return -EMSGSIZE;
        if (ret->p == NULL)
            *ret = piece;
        else {
            memmove((char *)ret->p + ret->n, piece.p, piece.n);
            ret->n += piece.n;
        }
    }
    if (n < 0)
        c->error = -EPROTO;
    return c->error;
}

static int held_append(struct http_call *c, size_t have, struct str piece, size_t max)
{
    if (have + piece.n > max)
        return -EMSGSIZE;
    if (have + piece.n > c->held.cap) {
        struct block larger = {0};
        size_t want = MAX(have + piece.n, MIN(MAX(c->held.cap * 2, BLOCK_LARGE), max));
        int r = block_take(&larger, want);
        if (r < 0)
            return r;
        if (have > 0)
            memcpy(larger.p, c->held.p, have);
        block_give(&c->held);
        c->held = larger;
    }
    if (piece.n > 0)
        memcpy(c->held.p + have, piece.p, piece.n);
    return 0;
}

static int all_by_pieces(struct http_call *c, size_t max, struct str *ret)
{
    struct str piece;
    int r = join_here(c, max, ret);
    if (r < 0 || c->body.done)
        return r;
    size_t have = ret->n;
    r = held_append(c, 0, *ret, max);
    while (r == 0) {
        ssize_t n = http_call_read(c, &piece);
        if (n <= 0) {
            *ret = str_at(c->held.p, have);
            return (int)n;
        }
        r = held_append(c, have, piece, max);
        have += piece.n;
    }
    return r;
}

int http_call_read_all(struct http_call *c, size_t max, struct str *ret)
{
    *ret = str_at("", 0);
    if (c->error < 0 || !c->head_done)
        return c->error < 0 ? c->error : -EINVAL;
    if (c->body.done)
        return 0;
    if (c->body.framing == HTTP_BODY_LENGTH && c->body.left > max)
        return -EMSGSIZE;
    int r =
        c->body.framing == HTTP_BODY_LENGTH ? all_by_length(c, ret) : all_by_pieces(c, max, ret);
    if (ret->p == NULL)
        *ret = str_at("", 0);
    return r;
}
