/*
 * Sending a request: the head in a block, the body from the caller's memory, all in one sendmsg()
 * when the socket takes it. The head stays until the reply's head is there, in case the call must
 * be repeated on a fresh connection.
 *
 * A server may answer before it has read the body (413, 401). So a sender that has to wait also
 * looks for input, and stops sending when the reply has begun.
 */
#include "http/client_int.h"
#include "runtime/co.h"
#include <errno.h>
#include <stdio.h>

#define SEND_IOV 16

int64_t call_deadline(const struct http_call *c, int64_t wait)
{
    return MIN(loop_now() + wait, c->total_at);
}

static struct str framing_text(const struct http_client_request *r, char out[static 64])
{
    if (r->stream_body && r->body_length == HTTP_LENGTH_UNKNOWN)
        return STR("transfer-encoding: chunked\r\n");
    if (!r->has_body && !r->stream_body && r->body_length == 0)
        return STR_NONE;
    struct buf b = {.p = out, .cap = 64, .max = 64};
    buf_addstr(&b, STR("content-length: "));
    buf_addu64(&b, r->body_length);
    buf_addstr(&b, STR("\r\n"));
    return buf_str(&b);
}

/* What goes into the request line and the Host field can come from a caller, in parts: it must not
 * end its line, nor its place in it. */
static bool in_place(struct str s)
{
    bool bad = s.n == 0;
    for (size_t i = 0; i < s.n; i++)
        bad |= (unsigned char)s.p[i] <= ' ' || s.p[i] == 0x7f;
    return !bad;
}

int call_head_text(struct http_call *c)
{
    const struct http_client_request *r = &c->req;
    if (!in_place(r->method) || !in_place(r->target) || !in_place(c->origin->host_header))
        return -EINVAL;
    char length[64];
    struct str framing = framing_text(r, length), host = c->origin->host_header;
    size_t n = r->method.n + r->target.n + r->fields.n + framing.n + host.n + 64;
    if (n > LIMIT_HEAD_BYTES)
        return -EMSGSIZE;
    int e = block_take(&c->out, n);
    if (e < 0)
        return e;
    char *at = str_put(c->out.p, r->method);
    at = str_put(at, STR(" "));
    at = str_put(at, r->target);
    at = str_put(at, STR(" HTTP/1.1\r\nhost: "));
    at = str_put(at, host);
    at = str_put(at, STR("\r\n"));
    at = str_put(at, r->fields);
    at = str_put(at, framing);
    at = str_put(at, STR("\r\n"));
    c->out_n = (size_t)(at - c->out.p);
    return 0;
}

static int add_from(struct iovec *out, int n, const void *p, size_t len, uint64_t *skip)
{
    if (*skip >= len) {
        *skip -= len;
        return n;
    }
    out[n] = (struct iovec){(char *)p + *skip, len - (size_t)*skip};
    *skip = 0;
    return n + 1;
}

/* What is still to be sent, without the first c->sent bytes. */
static int iov_rest(const struct http_call *c, struct iovec out[static SEND_IOV])
{
    uint64_t skip = c->sent;
    int n = add_from(out, 0, c->out.p, c->out_n, &skip);
    for (unsigned i = 0; !c->req.stream_body && i < c->req.body_n && n < SEND_IOV; i++)
        n = add_from(out, n, c->req.body[i].iov_base, c->req.body[i].iov_len, &skip);
    return n;
}

/* Whether the peer has answered, or hung up, before everything was sent. Interim replies (some
 * servers send a 100 that nobody asked for) are no answer: the peer still waits for the rest. */
static bool reply_is_early(struct http_call *c)
{
    if (!io_is_ready(&c->conn->stream.io, IO_READ))
        return false;
    ssize_t n;
    while ((n = call_receive(c, 0)) > 0)
        if (call_head_parse(c) != 0 || input_unread(&c->in) > 0)
            return true;
    return n != -EAGAIN;
}

/* Waits until the socket takes more, or something comes to be read. */
static int wait_to_send(struct http_call *c)
{
    struct io *io = &c->conn->stream.io;
    int64_t deadline = call_deadline(c, c->t.send);
    if (io_is_ready(io, IO_WRITE)) /* TLS that has to read first */
        return io_wait(io, IO_READ, deadline);
    io->reader = co_self(); /* an event in either direction ends this wait */
    int r = io_wait(io, IO_WRITE, deadline);
    io->reader = NULL;
    return r;
}

/* After a write that did not go through: 0 = try again; -EPIPE = the peer takes no more. */
static int send_again(struct http_call *c, ssize_t error)
{
    if (error != -EAGAIN) {
        bool peer = error == -EPIPE || error == -ECONNRESET;
        c->send_broken = peer;
        return peer ? -EPIPE : (int)error;
    }
    if (reply_is_early(c)) {
        c->send_broken = true;
        return -EPIPE;
    }
    return wait_to_send(c);
}

static void sent_some(struct http_call *c, size_t n)
{
    c->sent += n;
    c->info.bytes_sent += n;
}

static void all_sent(struct http_call *c)
{
    c->sent_all = true;
    c->info.sent_at = loop_now();
}

int call_send(struct http_call *c)
{
    for (;;) {
        struct iovec iov[SEND_IOV];
        int n = iov_rest(c, iov);
        if (n == 0)
            break;
        ssize_t done = stream_try_writev(&c->conn->stream, iov, n);
        if (done >= 0) {
            sent_some(c, (size_t)done);
            continue;
        }
        int r = send_again(c, done);
        if (r < 0)
            return r;
    }
    if (!c->req.stream_body)
        all_sent(c);
    return 0;
}

/* --- streamed bodies --- */

static void iov_skip(struct iovec *iov, int *n, size_t done)
{
    int k = 0;
    while (k < *n && done >= iov[k].iov_len)
        done -= iov[k++].iov_len;
    *n -= k;
    memmove(iov, iov + k, (size_t)*n * sizeof(*iov));
    if (*n > 0) {
        iov[0].iov_base = (char *)iov[0].iov_base + done;
        iov[0].iov_len -= done;
    }
}

static int send_iov(struct http_call *c, struct iovec *iov, int n)
{
    iov_skip(iov, &n, 0);
    while (n > 0) {
        ssize_t done = stream_try_writev(&c->conn->stream, iov, n);
        if (done >= 0) {
            sent_some(c, (size_t)done);
            iov_skip(iov, &n, (size_t)done);
            continue;
        }
        int r = send_again(c, done);
        if (r < 0)
            return r;
    }
    return 0;
}

/* The head, if it is still here, and up to three parts. */
static int send_parts(struct http_call *c, struct str a, struct str b, struct str d)
{
    if (!c->req.stream_body || c->sent_all)
        return -EINVAL;
    if (c->send_broken || reply_is_early(c)) {
        c->send_broken = true;
        return -EPIPE;
    }
    struct str parts[4] = {STR_NONE, a, b, d};
    if (c->sent == 0)
        parts[0] = str_at(c->out.p, c->out_n);
    struct iovec iov[4];
    for (int i = 0; i < 4; i++)
        iov[i] = (struct iovec){(char *)parts[i].p, parts[i].n};
    int r = send_iov(c, iov, 4);
    c->send_broken |= r < 0; /* part of a piece may be out: nothing can follow it */
    return r;
}

int http_call_write(struct http_call *c, struct str bytes)
{
    if (bytes.n == 0)
        return 0;
    if (c->req.body_length != HTTP_LENGTH_UNKNOWN) {
        if (bytes.n > c->stream_left)
            return -EMSGSIZE;
        int r = send_parts(c, bytes, STR_NONE, STR_NONE);
        c->stream_left -= r == 0 ? bytes.n : 0;
        return r;
    }
    char line[24];
    int n = snprintf(line, sizeof(line), "%zx\r\n", bytes.n);
    return send_parts(c, str_at(line, (size_t)n), bytes, STR("\r\n"));
}

int http_call_write_end(struct http_call *c)
{
    bool chunked = c->req.body_length == HTTP_LENGTH_UNKNOWN;
    if (!chunked && c->stream_left > 0)
        return -EMSGSIZE;
    int r = send_parts(c, chunked ? STR("0\r\n\r\n") : STR_NONE, STR_NONE, STR_NONE);
    if (r == 0)
        all_sent(c);
    return r;
}
