/*
 * Inside the server. A connection is always in one of these states:
 *
 *   HANDSHAKE ──▶ IDLE ──first byte──▶ HEAD ──whole head──▶ BUSY ──▶ IDLE (keep-alive) …
 *   (TLS only)      ▲                    │                    │
 *                   └────────────────────┴──▶ LINGER ◀────────┘──▶ freed
 *
 * IDLE, HEAD and LINGER are driven by loop callbacks and hold no coroutine; HANDSHAKE and BUSY are
 * owned by the coroutine in `co`, and only it may free the connection then. IDLE holds no block.
 *
 * Blocks: `in` receives. While head.p is NULL and head_in_in is set, the request's head (and
 * perhaps its body) lies in `in`; when more body must be read, that block moves to `head` and stays
 * there untouched until the handler returns. `out` holds what of the reply is not sent yet: a head
 * without its body's first bytes, or what a client did not take. `held` is the body that
 * http_body_all() gathered, `fields` the parsed fields when the head's block had no room for
 * them.
 */
#ifndef SF_HTTP_SERVER_INT_H
#define SF_HTTP_SERVER_INT_H

#include "http/input.h"
#include "http/server.h"
#include "runtime/co.h"

#define SKIP_BODY_BYTES ((uint64_t)256 * KIB) /* unread request body that is worth reading */
#define LINGER_BYTES    (256 * KIB)
#define LINGER_NS       NS_PER_S
#define DRAIN_GRACE_NS  NS_PER_S /* for the first request of a connection, at drain */

enum conn_state { CONN_HANDSHAKE, CONN_IDLE, CONN_HEAD, CONN_BUSY, CONN_LINGER };

struct http_reply {
    bool begun, ended;
    bool chunked, bodyless; /* bodyless: HEAD, 204, 304: what is written is dropped */
    bool to_eof;            /* unknown length to an HTTP/1.0 client */
    uint64_t left;          /* of a declared length */
    bool kept;              /* `out` holds what the client did not take, not just a head */
    size_t unsent;          /* bytes in `out`, to go before all others */
};

struct http_conn {
    struct stream stream;
    struct http_server *server;
    struct list node;
    struct timer timer;
    struct co *co;
    struct net_addr peer;
    uint8_t state;
    bool fresh;      /* no request came yet */
    bool head_in_in; /* the current request's head lies in `in` */
    bool keep;       /* serve another request behind this one */
    bool gone;       /* the peer hung up while the handler ran */
    bool reset;      /* must end with a reset */
    bool upgraded;
    bool want_continue;
    size_t parsed;      /* unread bytes that the parser saw without finding the head's end */
    size_t linger_left; /* LINGER: bytes still to be dropped */
    int body_error;
    uint64_t body_wire; /* bytes received for the body beyond the block with the head */
    struct http_input in;
    struct block head, fields, held, out;
    struct http_decoder body;
    struct http_reply reply;
    struct http_request rq;
};

_Static_assert(sizeof(struct http_conn) <= BLOCK_OBJECT, "ten thousand of them may wait");

struct http_listener {
    struct io io;
    struct http_server *server;
    struct list node;
    struct timer again; /* goes on accepting: after a full batch, or after an error */
    bool starved;       /* connections wait because max_connections is reached */
};

struct http_server {
    struct http_server_settings set;
    struct str server_line; /* "server: name\r\n", owned */
    struct http_handler handler;
    struct list listeners, conns;
    unsigned n_conns;
    bool draining, freeing;
    bool posted; /* done() is on its way through the loop */
    void (*done)(void *);
    void *done_ctx;
};

/* server.c */
void server_conn_gone(struct http_server *s); /* after a connection left the list */

/* server_conn.c */
void conn_open(struct http_server *s, int fd, const struct net_addr *peer);
void conn_drain(struct http_conn *c); /* the server began to drain */
void conn_abort(struct http_conn *c);
/* Reads and parses. 1: a request is ready (state BUSY); 0: wait for more; -1: the connection is in
 * LINGER or freed. Does not suspend. */
int conn_read_request(struct http_conn *c);
void conn_wait(struct http_conn *c); /* after 0: sets the timer; may free the connection */

/* server_run.c */
void conn_start(struct http_conn *c);   /* a request is ready: sheds it or spawns its coroutine */
void conn_run(void *conn);              /* the coroutine */
void conn_handshake(void *conn);        /* the coroutine of a TLS connection's beginning */
void conn_release(struct http_conn *c); /* gives back the blocks of the current request */

/* server_end.c */
void conn_free(struct http_conn *c);   /* closes; the coroutine, if any, must be the caller */
void conn_linger(struct http_conn *c); /* closes politely; may free at once */
void conn_linger_read(struct http_conn *c);
/* Writes a whole error reply without suspending and lingers. */
void conn_refuse(struct http_conn *c, int status, const char *why);

/* server_reply.c */
void reply_reset(struct http_conn *c);
int conn_send(struct http_conn *c, struct iovec *iov, int n);
/* The head's text without framing: status line, date, server, then fields. */
int reply_head_text(struct http_conn *c, int status, struct str fields, struct str framing);

/* server_body.c */
int body_skip(
    struct http_conn *c); /* reads what the handler left; 0 when the next request may come */

#endif
