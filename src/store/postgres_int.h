/*
 * The inside of the PostgreSQL driver.
 *
 *   postgres.c         the entrance: a call, its one repetition, opening with migrations
 *   postgres_pool.c    at most so many connections for all threads; who waits, in their order;
 *                      the pause after a failure
 *   postgres_conn.c    one connection: making it, waiting on its socket, results as they come
 *   postgres_url.c     where to connect: names looked up without blocking a loop
 *   postgres_stmt.c    prepared statements and bound values
 *   postgres_run.c     one statement, or a transaction in a pipeline
 *   postgres_lib.c     loading libpq, whose functions are members of struct pq
 *
 * A connection belongs to no thread: who takes it from the pool watches its socket on his own loop
 * (or with poll(), on a plain thread) until he gives it back. That costs two epoll_ctl() a call and
 * keeps the number of connections one for the whole process.
 */
#ifndef SF_STORE_POSTGRES_INT_H
#define SF_STORE_POSTGRES_INT_H

#include "base/list.h"
#include "base/map.h"
#include "runtime/io.h"
#include "store/postgres_lib.h"
#include "store/store_int.h"
#include <poll.h>
#include <pthread.h>

#define CONNECT_NS     (2 * NS_PER_S) /* one attempt */
#define CONNECT_LEAST  (NS_PER_S / 2) /* an attempt cut shorter by its caller says nothing */
#define BACKOFF_FIRST  (250 * NS_PER_MS)
#define BACKOFF_MOST   (2 * NS_PER_S)
#define PG_CONNECTIONS 8
#define PG_STMTS_MAX   512 /* prepared on one connection; beyond it, it is replaced */
#define PG_ADDRS_MAX   16

/* --- postgres_url.c --- */

struct pg_url {
    PQconninfoOption *options; /* holds the password; wiped when freed */
};

/* -EINVAL with err, which never quotes the URL. */
int pg_url_parse(struct pg_url *u, const struct secret *url, char *err);
void pg_url_free(struct pg_url *u);
/* Starts connecting (PQconnectPoll() goes on), the host's name looked up before. Suspends. 0,
 * -EHOSTDOWN, -ETIMEDOUT, -ECANCELED, -ENOMEM. */
int pg_url_start(const struct pg_url *u, int64_t deadline, PGconn **ret, char *err);

/* --- postgres_conn.c --- */

struct pg_conn {
    struct list idle;
    PGconn *pg;
    bool broken; /* not to be used again: lost, or its state is unknown */
    struct io io;
    bool watched;
    struct co *waiter;
    struct map by_sql; /* struct pg_stmt */
    unsigned n_prepared;
    struct pg_binding *binding;
};

/* timeout: what the server is to end a statement after. Suspends. As pg_url_start(). */
int pg_conn_open(
    const struct pg_url *u, int64_t timeout, int64_t deadline, struct pg_conn **ret, char *err);
void pg_conn_close(struct pg_conn *c);
bool pg_conn_alive(struct pg_conn *c);  /* one that lay idle: was it closed meanwhile? */
int pg_conn_attach(struct pg_conn *c);  /* to the caller's loop */
void pg_conn_detach(struct pg_conn *c); /* on the same loop */

/* Until the socket is ready; may come back early. Not 0: the connection is broken. */
int pg_conn_wait(struct pg_conn *c, short events, int64_t deadline);
/* The next result (NULL: the statement has no more). Not 0: the connection is broken: -EHOSTDOWN
 * with err, -ETIMEDOUT, -ECANCELED. */
int pg_conn_result(struct pg_conn *c, int64_t deadline, PGresult **ret, char *err);
int pg_conn_drain(struct pg_conn *c, int64_t deadline, int r); /* to the statement's end; gives r */
int pg_conn_lost(struct pg_conn *c, char *err);                /* -EHOSTDOWN, in libpq's words */
/* Statements in the simple protocol; ret_rows (may be NULL) gets those of the last. */
int pg_conn_script(
    struct pg_conn *c, const char *sql, int64_t deadline, struct store_rows **ret_rows, char *err);

/* --- postgres_stmt.c --- */

struct pg_stmt {
    char *sql; /* the key */
    char name[16];
    unsigned n;
    Oid types[]; /* 0: only NULL was bound so far */
};

void pg_stmts_free(struct pg_conn *c);
/* Prepares it when it is not yet, for the types of these values. */
int pg_stmt_prepare(struct pg_conn *c, const struct store_stmt *s, int64_t deadline, char *err);
/* Queues an execution of a prepared one; nothing is waited for. */
int pg_stmt_send(struct pg_conn *c, const struct store_stmt *s, char *err);

/* What a result says: 0 or the errno of its SQLSTATE, with err. ret_undone (may be NULL): it failed
 * in a way that a repetition may heal. */
int pg_result_error(struct pg_conn *c, const PGresult *res, bool *ret_undone, char *err);
int64_t pg_result_changed(PGresult *res);
int pg_result_rows(const PGresult *res, struct rows_builder *rows, char *err);

/* --- postgres_run.c --- */

/* again: nothing was done, and another connection may do better. */
int pg_run(struct pg_conn *c, struct store_call *call, bool *ret_again);

/* --- postgres_pool.c --- */

struct pg_pool {
    struct pg_url url;
    int64_t timeout;
    pthread_mutex_t lock;
    struct list idle, waiters;
    unsigned open, max;
    bool down, probing; /* the last attempt failed; one caller is trying again */
    int64_t backoff, retry_at;
};

void pg_pool_init(struct pg_pool *p, unsigned max, int64_t timeout);
void pg_pool_free(struct pg_pool *p);
/* Suspends. -EHOSTDOWN at once while the database is known to be away. */
int pg_pool_take(struct pg_pool *p, int64_t deadline, struct pg_conn **ret, char *err);
void pg_pool_give(struct pg_pool *p, struct pg_conn *c);

#endif
