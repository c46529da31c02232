/*
 * The pooled HTTP/1.1 client. Connections belong to the thread that made them; the pool is per
 * thread, keyed by origin. A call is: start (connect or reuse, send) → head → read… → end.
 *
 * A reused connection that turns out closed before a byte of the reply came, within a second of
 * sending, is replaced once by a fresh one, and the request is sent again: all of its body is still
 * at hand. One that closes later may have worked on the request; that is an error. Idle connections
 * wait without a coroutine; a byte or an end on one removes it. Redirects are not followed. A call
 * whose body is streamed (stream_body) always gets a fresh connection, as it could not be repeated.
 *
 * Buffers: a connection that waits holds none; a block from the thread's pool (16 KiB) is taken
 * when bytes are there and given back when they are used up. A reply that came whole in the first
 * receive stays where it lies; the head of any other is copied to memory of its own size, so that a
 * stream that waits holds about 2 KiB here.
 */
#ifndef SF_HTTP_CLIENT_H
#define SF_HTTP_CLIENT_H

#include "http/head.h"
#include "net/dial.h"
#include <sys/uio.h>

struct http_call;

/* Lives, with all its texts, until http_call_head() returned. */
struct http_origin {
    struct dial_target target;
    struct str host_header; /* "api.openai.com" or "127.0.0.1:8080" */
};

struct http_timeouts {  /* durations; 0 = the default in brackets */
    int64_t connect;    /* [10 s] name, TCP, TLS */
    int64_t first_byte; /* [600 s] from the end of sending to the reply's first byte */
    int64_t between;    /* [300 s] between two reads of the reply */
    int64_t total;      /* [1800 s] of the whole call; streams too */
    int64_t send;       /* [60 s] without progress in sending */
};

struct http_client_request {
    struct str method, target; /* target: path and query */
    struct str fields;         /* complete lines, without host, content-length, transfer-encoding,
                                * connection */
    const struct iovec *body;  /* kept by the caller until http_call_head() returned */
    unsigned body_n;
    uint64_t body_length; /* sum of body; with stream_body: the declared length or
                           * HTTP_LENGTH_UNKNOWN for chunked */
    bool has_body;        /* send content-length even when it is 0 */
    bool stream_body;     /* body follows by http_call_write() */
    bool upgrade;         /* a WebSocket handshake: fields hold connection and upgrade */
};

/* 0 and a call, or -errno with *err filled (see dial(); also "upstream_send_failed"). errbuf holds
 * err's texts and lives with the caller until http_call_head() returned and err was used. The
 * request is sent when this returns, except the body of stream_body; its head goes with the first
 * piece. */
int http_call_start(const struct http_origin *o, const struct http_client_request *r,
    const struct http_timeouts *t, struct http_call **ret, struct error *err,
    char errbuf[static 512]);
int http_call_write(
    struct http_call *c, struct str bytes); /* -EPIPE: reply came early, go on with head */
int http_call_write_end(struct http_call *c);

/* Waits for the reply's final head (1xx are skipped, but 101 ends the wait). The head's views are
 * valid until http_call_end(). -errno with *err: 502 "upstream_bad_response" | "upstream_closed",
 * 504 "upstream_timeout". */
int http_call_head(struct http_call *c, const struct http_head **ret, struct error *err);
/* The next piece of the decoded body (transfer coding removed): > 0, a view valid until the next
 * call; 0 at the proper end; -errno: -ECONNRESET ended too early, -EPROTO bad framing,
 * -ETIMEDOUT, -ECANCELED. */
ssize_t http_call_read(struct http_call *c, struct str *ret);
/* Does the same without suspending: -EAGAIN when nothing is there. */
ssize_t http_call_try_read(struct http_call *c, struct str *ret);
/* All pieces that one receive brought, up to max: the number of entries filled (> 0), 0 at the end,
 * or -errno as above. So that a relay passes several small chunks on in one write. */
int http_call_readv(struct http_call *c, struct iovec *iov, int max);
/* The two halves of that: waiting, at small stack depth, until there is something to read or to be
 * told; and reading without suspending, where -EAGAIN means that more has to come for a piece. */
void http_call_wait(struct http_call *c);
int http_call_try_readv(struct http_call *c, struct iovec *iov, int max);
/* Waits like http_call_wait(), but not beyond `at`: false when nothing came until then. The call's
 * own time-outs go on counting over several such waits. */
bool http_call_wait_until(struct http_call *c, int64_t at);
/* The upstream is ahead: the last receive brought as much as there was room for. */
bool http_call_brimful(const struct http_call *c);
/* From now on at most 4 KiB at once instead of 16, as the reader has to hold them for long. */
void http_call_small_reads(struct http_call *c, bool small);
/* Before a wait for somebody else: gives back the memory of what was received. False when some of
 * it is still to be read. No views may be held. */
bool http_call_drop_used(struct http_call *c);
/* True when what was read so far is the whole body: the last piece can go out with the end. */
bool http_call_ended(const struct http_call *c);
/* All of the rest; at most max bytes, else -EMSGSIZE. Memory lives until http_call_end(). */
int http_call_read_all(struct http_call *c, size_t max, struct str *ret);
/* Gives the connection back to the pool when the reply was read whole, closes it otherwise. NULL
 * ok. */
void http_call_end(struct http_call *c);

/* After a 101. The call still owns the stream. */
struct stream *http_call_stream(struct http_call *c);
struct str http_call_rest(struct http_call *c); /* bytes read beyond the 101's head */

struct http_call_info { /* for the log and the trace */
    bool reused;
    int64_t connect_ns, sent_at, first_byte_at;
    uint64_t bytes_sent, bytes_received;
};
struct http_call_info http_call_info(const struct http_call *c);

void http_client_close_idle(void); /* this thread's pool; at drain */

#endif
