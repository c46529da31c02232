/*
 * Replies. The head is put together in a block of its own and held until the first bytes of body
 * come, so that a small reply is one system call: head, size line, data and line end are entries of
 * one sendmsg().
 *
 * A write that the socket does not take suspends until the client has taken some, at most the write
 * time-out per progress: that is the back-pressure a relay passes on to its upstream. After a
 * failed write the connection is only good for a reset. The lists of what is written lie in memory
 * of the thread; only a write that has to wait takes its own copy, so that stacks stay small.
 *
 * http_reply_put() does not wait: it keeps the rest in `out`, where a held head lies otherwise.
 * What `out` holds goes before everything else.
 */
#include "http/server_int.h"
#include "http/thread.h"
#include "runtime/loop.h"
#include <errno.h>

#define REPLY_IOV  64
#define KEEP_BYTES (64 * KIB) /* of a reply that its client does not take */
#define MUCH_BYTES (16 * KIB) /* to be held back by the kernel */

static void iov_advance(struct iovec **iov, int *n, size_t done)
{
    while (*n > 0 && done >= (*iov)->iov_len) {
        done -= (*iov)->iov_len;
        (*iov)++;
        (*n)--;
    }
    if (*n > 0) {
        (*iov)->iov_base = (char *)(*iov)->iov_base + done;
        (*iov)->iov_len -= done;
    }
}

void reply_reset(struct http_conn *c)
{
    c->reset = true;
    c->keep = false;
}

static int wait_writable(struct http_conn *c)
{
    struct io *io = &c->stream.io;
    /* TLS that has to read first leaves the socket marked writable. */
    enum io_dir dir = io_is_ready(io, IO_WRITE) ? IO_READ : IO_WRITE;
    return io_wait(io, dir, loop_now() + c->server->set.write_timeout);
}

/* Sends what the socket takes now: 0 when that was all, -EAGAIN when it has to be waited for. */
static int send_now(struct http_conn *c, struct iovec **iov, int *n)
{
    iov_advance(iov, n, 0);
    while (*n > 0) {
        if (c->gone)
            return -ECANCELED;
        ssize_t done = stream_try_writev(&c->stream, *iov, *n);
        if (done < 0)
            return (int)done;
        iov_advance(iov, n, (size_t)done);
    }
    return 0;
}

/* Goes on when the socket is full, with entries of its own. Not inlined: hardly any write gets
 * here.
 */
__attribute__((noinline)) static int send_waiting(struct http_conn *c, struct iovec *iov, int n)
{
    _cleanup_(block_give) struct block own = {0};
    struct iovec one = *iov;
    int r = n > 1 ? block_take(&own, (size_t)n * sizeof(*iov)) : 0;
    if (r < 0)
        return r;
    if (n > 1)
        memcpy(own.p, iov, (size_t)n * sizeof(*iov));
    iov = n > 1 ? (struct iovec *)(void *)own.p : &one;
    do
        r = wait_writable(c);
    while (r == 0 && (r = send_now(c, &iov, &n)) == -EAGAIN);
    return r;
}

int conn_send(struct http_conn *c, struct iovec *iov, int n)
{
    int r = send_now(c, &iov, &n);
    if (r == -EAGAIN)
        r = send_waiting(c, iov, n);
    if (r < 0)
        reply_reset(c);
    return r;
}

/* --- the head --- */

int reply_head_text(struct http_conn *c, int status, struct str fields, struct str framing)
{
    struct str reason = str_of(http_reason(status)), date = http_date_line();
    struct str server = c->server->server_line;
    size_t most = 32 + reason.n + date.n + server.n + fields.n + framing.n;
    int r = fields.n > LIMIT_HEAD_BYTES ? -EMSGSIZE : block_take(&c->out, most);
    if (r < 0)
        return r;
    char *at = str_put(c->out.p, STR("HTTP/1.1 "));
    at += u64_put(at, (uint64_t)status);
    at = str_put(at, STR(" "));
    at = str_put(at, reason);
    at = str_put(at, STR("\r\n"));
    at = str_put(at, date);
    at = str_put(at, server);
    at = str_put(at, fields);
    at = str_put(at, framing);
    at = str_put(at, STR("\r\n"));
    c->reply.unsent = (size_t)(at - c->out.p);
    return 0;
}

/* Whether this reply can be the last one is decided here, since its head has to say so. */
static bool may_keep(const struct http_conn *c)
{
    if (!c->keep || c->server->draining || c->reply.to_eof || c->body_error < 0)
        return false;
    if (c->body.done)
        return true;
    return !c->want_continue &&
           (c->body.framing != HTTP_BODY_LENGTH || c->body.left <= SKIP_BODY_BYTES);
}

static struct str framing_text(
    struct http_conn *c, int status, uint64_t length, char out[static 96])
{
    char *at = out;
    if (c->reply.chunked) {
        at = str_put(at, STR("transfer-encoding: chunked\r\n"));
    } else if (length != HTTP_LENGTH_UNKNOWN && status != 204 && status != 304) {
        at = str_put(at, STR("content-length: "));
        at += u64_put(at, length);
        at = str_put(at, STR("\r\n"));
    }
    if (!c->keep)
        at = str_put(at, STR("connection: close\r\n"));
    else if (c->rq.head.minor == 0)
        at = str_put(at, STR("connection: keep-alive\r\n"));
    return str_at(out, (size_t)(at - out));
}

int http_reply_begin(struct http_request *rq, int status, struct str fields, uint64_t length)
{
    struct http_conn *c = rq->conn;
    struct http_reply *r = &c->reply;
    if (r->begun || status < 200 || status > 999)
        return -EINVAL;
    bool unknown = length == HTTP_LENGTH_UNKNOWN;
    r->bodyless = rq->head.method == HTTP_HEAD || status == 204 || status == 304;
    r->chunked = unknown && rq->head.minor > 0 && status != 204 && status != 304;
    r->to_eof = unknown && rq->head.minor == 0 && !r->bodyless;
    r->left = unknown ? 0 : length;
    c->keep = may_keep(c);
    char framing[96];
    int e = reply_head_text(c, status, fields, framing_text(c, status, length, framing));
    if (e < 0)
        return e;
    r->begun = true;
    rq->reply_status = status;
    return 0;
}

bool http_reply_begun(const struct http_request *rq)
{
    return rq->conn->reply.begun;
}

/* --- the body --- */

static size_t iov_sum(const struct iovec *iov, int n)
{
    size_t sum = 0;
    for (int i = 0; i < n; i++)
        sum += iov[i].iov_len;
    return sum;
}

static int add(struct iovec *out, int n, struct str s)
{
    if (s.n > 0)
        out[n++] = (struct iovec){(char *)s.p, s.n};
    return n;
}

static void out_sent(struct http_conn *c)
{
    c->reply.unsent = 0;
    c->reply.kept = false;
    block_give(&c->out);
}

static struct str size_line(size_t n, char out[static 24])
{
    static const char hex[] = "0123456789abcdef";
    char *end = out + 24, *at = end;
    *--at = '\n';
    *--at = '\r';
    do {
        *--at = hex[n & 15];
        n >>= 4;
    } while (n > 0);
    return str_at(at, (size_t)(end - at));
}

/* What is to be sent: what `out` holds, data in its framing, and the bytes of the end. The list is
 * the thread's and good until the caller suspends. */
static int list_parts(struct http_conn *c, const struct iovec *iov, int n, struct str end,
    char line[static 24], struct iovec **ret)
{
    static _Thread_local struct iovec out[REPLY_IOV + 4];
    size_t bytes = iov_sum(iov, n);
    bool framed = c->reply.chunked && bytes > 0;
    int k = add(out, 0, str_at(c->out.p, c->reply.unsent));
    if (framed)
        k = add(out, k, size_line(bytes, line));
    for (int i = 0; i < n; i++)
        k = add(out, k, str_at(iov[i].iov_base, iov[i].iov_len));
    if (framed)
        k = add(out, k, STR("\r\n"));
    *ret = out;
    return add(out, k, end);
}

/* n may be 0: sends what there is. */
static int send_parts(struct http_conn *c, const struct iovec *iov, int n, struct str end)
{
    char line[24];
    struct iovec *parts;
    int k = list_parts(c, iov, n, end, line, &parts);
    int r = conn_send(c, parts, k);
    if (r < 0)
        return r;
    out_sent(c);
    c->rq.reply_bytes += iov_sum(iov, n);
    return 0;
}

/* How many bytes of the write go out, or an error. */
static ssize_t admit(struct http_conn *c, const struct iovec *iov, int n)
{
    struct http_reply *r = &c->reply;
    if (!r->begun || r->ended || n > REPLY_IOV)
        return -EINVAL;
    if (c->gone || c->reset)
        return c->gone ? -ECANCELED : -EPIPE;
    size_t bytes = iov_sum(iov, n);
    if (!r->chunked && !r->to_eof && !(r->bodyless && r->left == 0)) {
        if (bytes > r->left)
            return -EMSGSIZE;
        r->left -= bytes;
    }
    return r->bodyless ? 0 : (ssize_t)bytes;
}

int http_reply_writev(struct http_request *rq, const struct iovec *iov, int n)
{
    struct http_conn *c = rq->conn;
    ssize_t bytes = admit(c, iov, n);
    if (bytes <= 0)
        return (int)bytes;
    return send_parts(c, iov, n, STR_NONE);
}

/* Copies what is unsent, which may lie in `out` in part, to a block of its own size: whole pages of
 * a block that nothing was written to take no memory. 1 or -ENOMEM. */
static int keep(struct http_conn *c, const struct iovec *iov, int n)
{
    struct block b = {0};
    if (block_take(&b, iov_sum(iov, n)) < 0)
        return -ENOMEM;
    char *at = b.p;
    for (int i = 0; i < n; i++)
        at = str_put(at, str_at(iov[i].iov_base, iov[i].iov_len));
    block_give(&c->out);
    c->out = b;
    c->reply.unsent = (size_t)(at - b.p);
    c->reply.kept = true;
    return 1;
}

int http_reply_put(struct http_request *rq, const struct iovec *iov, int n)
{
    struct http_conn *c = rq->conn;
    ssize_t bytes = admit(c, iov, n);
    if (bytes <= 0)
        return (int)bytes;
    if (c->reply.kept && c->reply.unsent + (size_t)bytes > KEEP_BYTES)
        return send_parts(c, iov, n, STR_NONE);
    char line[24];
    struct iovec *parts;
    int k = list_parts(c, iov, n, STR_NONE, line, &parts);
    int r = c->reply.kept ? -EAGAIN : send_now(c, &parts, &k);
    if (r == 0)
        out_sent(c);
    else
        r = r == -EAGAIN ? keep(c, parts, k) : r;
    if (r < 0)
        reply_reset(c);
    else
        rq->reply_bytes += (size_t)bytes;
    return r;
}

int http_reply_write(struct http_request *rq, struct str bytes)
{
    struct iovec iov = {(char *)bytes.p, bytes.n};
    return http_reply_writev(rq, &iov, 1);
}

int http_reply_flush(struct http_request *rq)
{
    struct http_conn *c = rq->conn;
    if (!c->reply.begun)
        return -EINVAL;
    return c->reply.unsent > 0 ? send_parts(c, NULL, 0, STR_NONE) : 0;
}

bool http_reply_is_behind(const struct http_request *rq)
{
    return stream_unsent(&rq->conn->stream) >= MUCH_BYTES;
}

/* The last chunk with its trailers; in a block only when there are some. */
static int chunk_end(struct str trailers, struct block *b, struct str *ret)
{
    *ret = STR("0\r\n\r\n");
    if (trailers.n == 0)
        return 0;
    int r = trailers.n > LIMIT_TRAILER_BYTES ? -EMSGSIZE : block_take(b, trailers.n + 5);
    if (r < 0)
        return r;
    char *at = str_put(b->p, STR("0\r\n"));
    at = str_put(at, trailers);
    at = str_put(at, STR("\r\n"));
    *ret = str_at(b->p, (size_t)(at - b->p));
    return 0;
}

int http_reply_end_with(
    struct http_request *rq, const struct iovec *iov, int n, struct str trailers)
{
    struct http_conn *c = rq->conn;
    struct http_reply *reply = &c->reply;
    ssize_t bytes = admit(c, iov, n);
    if (bytes < 0)
        return (int)bytes;
    if (reply->left > 0 && !reply->bodyless) {
        reply_reset(c);
        return -EMSGSIZE;
    }
    _cleanup_(block_give) struct block b = {0};
    struct str end = STR_NONE;
    int r = reply->chunked && !reply->bodyless ? chunk_end(trailers, &b, &end) : 0;
    if (r == 0)
        r = send_parts(c, iov, bytes > 0 ? n : 0, end);
    if (r == 0)
        reply->ended = true;
    else
        reply_reset(c);
    return r;
}

int http_reply_end(struct http_request *rq, struct str trailers)
{
    return http_reply_end_with(rq, NULL, 0, trailers);
}

int http_reply(struct http_request *rq, int status, struct str fields, struct str body)
{
    int r = http_reply_begin(rq, status, fields, body.n);
    if (r < 0)
        return r;
    struct iovec iov = {(char *)body.p, body.n};
    return http_reply_end_with(rq, &iov, 1, STR_NONE);
}

void http_reply_abort(struct http_request *rq)
{
    reply_reset(rq->conn);
}

/* --- upgrade --- */

int http_reply_upgrade(struct http_request *rq, struct str fields, struct stream **ret)
{
    struct http_conn *c = rq->conn;
    if (c->reply.begun)
        return -EINVAL;
    c->keep = false;
    int r = reply_head_text(c, 101, fields, STR("connection: upgrade\r\n"));
    if (r < 0)
        return r;
    c->reply.begun = true;
    rq->reply_status = 101;
    r = http_reply_flush(rq);
    if (r < 0)
        return r;
    c->reply.ended = true;
    c->upgraded = true;
    *ret = &c->stream;
    return 0;
}

struct str http_upgraded_rest(struct http_request *rq)
{
    struct http_conn *c = rq->conn;
    struct str rest = input_view(&c->in);
    c->in.start = c->in.end;
    return rest;
}
