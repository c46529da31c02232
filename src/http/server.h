/*
 * The HTTP/1.1 server. One struct http_server per thread, with its own SO_REUSEPORT listeners. An
 * idle keep-alive connection holds no coroutine and no buffer; when bytes arrive, a buffer comes
 * from the thread's pool and the head is parsed in loop context; a whole head spawns one coroutine,
 * which calls the handler. Pipelined requests are answered in order, one at a time.
 *
 * Life of a request: accept → head (deadline: 408) → handler(request) → body read by the handler,
 * or skipped after it (up to 256 KiB and for one body time-out in all, beyond that the connection
 * closes) → reply → keep-alive. A body that comes without a pause gives the thread away now and
 * then.
 * While the handler runs, a peer that goes away cancels its coroutine, unless the reply is
 * complete. A client that closes only its sending side counts as gone, too: no client of an API
 * does that, and it is how most disconnects look. After an upgrade the handler itself sees the end,
 * by reading.
 *
 * Where the client may still be sending when the connection must close (an error reply, a body that
 * nobody read), the close lingers: our side is shut, and what comes is read and dropped for at most
 * 1 s and 256 KiB, so that the client gets the reply and not a reset.
 *
 * Memory: a head and a small body lie in one 4 KiB block, held until the handler returns. A handler
 * that relays for long gives it back with http_request_forget_head(); then a connection holds about
 * 1 KiB here.
 *
 * A handler must answer every request: one http_reply(), or http_reply_begin() … http_reply_end().
 * If it returns without, the server sends 500. All functions below suspend unless noted; a write
 * waits for the client (back-pressure) at most the write-idle time-out.
 */
#ifndef SF_HTTP_SERVER_H
#define SF_HTTP_SERVER_H

#include "http/head.h"
#include "net/dial.h"
#include <sys/uio.h>

struct http_server;
struct http_conn;

struct http_server_settings {
    size_t max_head;          /* 0 = LIMIT_HEAD_BYTES */
    unsigned max_connections; /* per server; 0 = LIMIT_CONNECTIONS */
    int64_t head_timeout;     /* from a request's first byte to the end of its head; 0 = 15 s */
    int64_t idle_timeout;     /* keep-alive; 0 = 75 s */
    int64_t body_timeout;     /* between two reads of a body; 0 = 30 s */
    int64_t write_timeout;    /* a client that takes no byte of a reply; 0 = 60 s; streams too */
    struct tls_ctx *tls;      /* NULL = plain */
    struct str server_name;   /* value of the Server field; empty = none */
};

struct http_request {
    struct http_head head; /* views into the connection's buffer: valid until the handler returns
                            * or calls http_request_forget_head() */
    struct net_addr peer;
    int64_t first_byte_at; /* monotonic; when the head's first byte was read */
    int64_t head_at;       /* when the head was complete */
    bool tls;
    uint64_t body_received; /* bytes of body taken so far */
    /* reply, as sent so far (for the access log) */
    int reply_status;
    uint64_t reply_bytes;   /* body bytes handed to the kernel, or kept for it */
    struct http_conn *conn; /* internal */
    void *user;             /* of the handler */
};

struct http_handler {
    /* Called in a fresh coroutine. */
    void (*handle)(struct http_request *rq, void *ctx);
    /* Called before a coroutine is spent, not suspending; true = shed: the server answers 503 with
     * "retry-after: 1" and a body by render_error(), and closes. May be NULL. */
    bool (*overloaded)(void *ctx);
    /* Malformed head, too long head, 408, 503: writes a whole JSON error body for path/status into
     * out. path may be empty, why is a literal. Not suspending. NULL: a plain sentence. */
    void (*render_error)(struct buf *out, int status, struct str path, const char *why, void *ctx);
    void *ctx;
};

int http_server_new(
    const struct http_server_settings *set, const struct http_handler *h, struct http_server **ret);
/* Starts accepting on fd (from net_listen; the server owns it). Several may be added. */
int http_server_listen(struct http_server *s, int fd);
/* Graceful drain. Accepts what is still queued on the listeners, closes them, closes idle
 * connections (after a last look for bytes), answers requests of which a byte was read with
 * "connection: close". A connection that has not sent its first request yet gets a second to do so.
 * done(ctx), which may be NULL, is called in loop context when the last connection is gone. */
void http_server_drain(struct http_server *s, void (*done)(void *), void *ctx);
/* Closes everything now; handlers that run are cancelled, and their connections end with them. */
void http_server_abort(struct http_server *s);
/* Aborts first if need be. With the loop bound to the calling thread (see loop_bind()), before
 * loop_free(). When handlers still run, the memory goes with the last of them. */
void http_server_free(struct http_server *s);
void http_server_reconfigure(struct http_server *s, const struct http_server_settings *set);
unsigned http_server_connections(const struct http_server *s);

/* The handler needs none of the views of rq->head any more, nor those of http_body_all() (which
 * this releases): their memory goes back at once. The numbers in the head stay (method, status,
 * minor, framing, ...); target, path, query and fields become empty. For long streams. */
void http_request_forget_head(struct http_request *rq);

/* --- body of the request --- */

/* The next piece of the body, decoded: > 0 with *ret a view valid until the next call, 0 at the
 * end, -errno (-EMSGSIZE beyond limit, -EINVAL bad chunk, -ETIMEDOUT, -ECONNRESET, -ECANCELED).
 * Sends 100-continue when it was expected. limit bounds the sum of all pieces. */
ssize_t http_body_read(struct http_request *rq, uint64_t limit, struct str *ret);
/* All of it in one piece, valid until http_body_release() or the handler returns. A declared length
 * over the limit fails with -EMSGSIZE before anything is read. 0 or -errno. */
int http_body_all(struct http_request *rq, size_t limit, struct str *ret);
void http_body_release(struct http_request *rq); /* frees the memory of http_body_all */

/* --- reply --- */

/* fields: complete "name: value\r\n" lines without framing fields (the server adds
 * content-length or transfer-encoding, connection, date and server). 0 or -errno. */
int http_reply(struct http_request *rq, int status, struct str fields, struct str body);

/* Begins a reply: the head is held until the first write or http_reply_flush(). With
 * HTTP_LENGTH_UNKNOWN it is chunked (1.0 clients: until close). */
int http_reply_begin(struct http_request *rq, int status, struct str fields, uint64_t length);
int http_reply_write(struct http_request *rq, struct str bytes);
int http_reply_writev(struct http_request *rq, const struct iovec *iov, int n); /* n <= 64 */
/* Does the same without waiting for the client, as a rule: what it does not take at once is copied,
 * so that the caller's memory is free again, and 1 returned. http_reply_flush() then waits until it
 * is taken. More than 64 KiB are not kept: a further write waits. */
int http_reply_put(struct http_request *rq, const struct iovec *iov, int n);
int http_reply_flush(struct http_request *rq); /* sends a held head, and what was kept */
/* Whether the kernel holds much back for this client already. A system call; not suspending. */
bool http_reply_is_behind(const struct http_request *rq);
/* trailers: field lines, or empty. -EMSGSIZE when fewer bytes than declared were written (the
 * connection is then closed, so that the client notices). */
int http_reply_end(struct http_request *rq, struct str trailers);
/* http_reply_writev() and http_reply_end() in one system call. */
int http_reply_end_with(
    struct http_request *rq, const struct iovec *iov, int n, struct str trailers);
bool http_reply_begun(const struct http_request *rq);
/* Makes the reply end in a way the client must notice: the connection is reset. */
void http_reply_abort(struct http_request *rq);

/* After a 101: the raw stream (bytes already read beyond the head come from http_upgraded_rest()
 * first). The server closes it when the handler returns. */
int http_reply_upgrade(struct http_request *rq, struct str fields, struct stream **ret);
struct str http_upgraded_rest(struct http_request *rq);

#endif
