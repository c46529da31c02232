/*
 * Inside the client: a connection to an upstream, the pool of idle ones, and a call.
 *
 *   http_thread ─▶ client_pool ─▶ client_host (one per origin) ─▶ client_conn (idle, newest first)
 *                                       ▲                              │
 *                                       └──────────────────────────────┘
 *
 * A connection is owned by its call, or by the pool while idle. A host lives as long as it has
 * connections, idle or not.
 */
#ifndef SF_HTTP_CLIENT_INT_H
#define SF_HTTP_CLIENT_INT_H

#include "http/client.h"
#include "http/input.h"
#include "http/thread.h"
#include "runtime/loop.h"

#define POOL_IDLE_NS (60 * NS_PER_S)
#define MAX_INTERIM  16 /* 1xx heads before the final one */
/* A connection that was dead when we used it shows that within a round trip. An upstream that hangs
 * up later has had time to work on the request, and may have charged for it. */
#define STALE_WITHIN_NS NS_PER_S

struct client_host;

struct client_conn {
    struct stream stream;
    struct client_host *host;
    struct list node;   /* in host->idle */
    struct list by_age; /* in the pool's list of all idle ones */
    struct timer timer;
    bool idle;
};

struct http_call {
    struct client_conn *conn;
    const struct http_origin *origin;
    struct http_client_request req;
    struct http_timeouts t; /* defaults filled in */
    char *errbuf;
    int64_t total_at; /* deadline of the whole call */
    struct block out; /* the request's head */
    size_t out_n;
    uint64_t sent; /* of head and body, on this connection */
    bool sent_all;
    bool send_broken; /* the peer does not take the rest: look for its reply */
    bool retried;
    bool got_bytes; /* of the reply */
    bool head_done;
    uint8_t interim;    /* 1xx heads so far */
    bool brimful;       /* the last receive filled its block */
    bool small_reads;   /* of body */
    unsigned receives;  /* of data, to give way now and then */
    int64_t quiet_from; /* when http_call_wait_until() began to wait; 0: data came since */
    int error;          /* sticky, of reading */
    struct http_input in;
    struct block head_store, fields, held;
    struct http_head head;
    struct http_decoder body;
    uint64_t stream_left; /* stream_body with a declared length: bytes still to be written */
    struct http_call_info info;
};

/* client_pool.c */
struct client_conn *pool_take(const struct http_origin *o); /* NULL when none is idle */
void pool_put(struct client_conn *conn);
/* Connects. Suspends. */
int pool_dial(const struct http_origin *o, int64_t deadline, struct client_conn **ret,
    struct error *err, char errbuf[static 512]);
void client_conn_close(struct client_conn *conn);
void client_pool_free(struct http_thread *t);
void pool_set_max_idle(unsigned n); /* of this thread, > 0; for tests */

/* client_send.c */
int call_head_text(struct http_call *c);
int call_send(struct http_call *c); /* head and body; 0 also when the reply came early */
int64_t call_deadline(const struct http_call *c, int64_t wait);

/* client_read.c */
/* Receives once into the input; suspends until deadline, 0 = not at all (-EAGAIN). > 0, 0 at the
 * end, -errno. */
ssize_t call_receive(struct http_call *c, int64_t deadline);
/* Parses what was received: 1 = the final head is there; 0 = more bytes are needed (interim heads
 * are used up); -EPROTO, -ENOMEM. */
int call_head_parse(struct http_call *c);

/* client.c */
int call_fail(struct http_call *c, struct error *err, int r, const char *what);

#endif
