/*
 * The pool: at most `max` connections for all threads of the process. `open` counts those that
 * exist or are being made. Who finds none idle and no room waits in line; a connection that is
 * given back, or room for a new one, goes to the first in line, by hand (`granted`), so that nobody
 * overtakes.
 *
 * When a connection cannot be made the database is down: for 250 ms, then twice as long and so on
 * up to 2 s, calls that would need a new one fail at once; then one of them tries, and the others
 * go on failing until it knows. Nothing hangs on a database that is not there.
 */
#include "store/postgres_int.h"
#include <errno.h>
#include <stdlib.h>

struct waiter { /* on its caller's stack */
    struct list link;
    struct latch *latch;
    bool granted;
    struct pg_conn *conn; /* NULL: room to make one */
};

void pg_pool_init(struct pg_pool *p, unsigned max, int64_t timeout)
{
    p->max = max ? max : PG_CONNECTIONS;
    p->timeout = timeout;
    list_init(&p->idle);
    list_init(&p->waiters);
    pthread_mutex_init(&p->lock, NULL);
}

void pg_pool_free(struct pg_pool *p)
{
    list_each(&p->idle, it) pg_conn_close(list_entry(it, struct pg_conn, idle));
    pthread_mutex_destroy(&p->lock);
    pg_url_free(&p->url);
}

/* --- giving --- */

/* A connection, or (NULL) the room for one. */
static void give(struct pg_pool *p, struct pg_conn *c)
{
    pthread_mutex_lock(&p->lock);
    struct list *first = list_pop_front(&p->waiters);
    if (first) {
        struct waiter *w = list_entry(first, struct waiter, link);
        w->granted = true;
        w->conn = c;
        latch_open(w->latch); /* w is its owner's again after the unlock */
    } else if (c) {
        list_push_front(&p->idle, &c->idle);
    } else {
        p->open--;
    }
    pthread_mutex_unlock(&p->lock);
}

void pg_pool_give(struct pg_pool *p, struct pg_conn *c)
{
    pg_conn_detach(c);
    if (c->broken || c->n_prepared > PG_STMTS_MAX) {
        pg_conn_close(c);
        c = NULL;
    }
    give(p, c);
}

/* --- making --- */

/* Whether the caller may try to connect now. */
static bool may_connect(struct pg_pool *p, bool *ret_probes)
{
    pthread_mutex_lock(&p->lock);
    bool may = !p->down || (!p->probing && clock_now() >= p->retry_at);
    *ret_probes = may && p->down;
    p->probing |= *ret_probes;
    pthread_mutex_unlock(&p->lock);
    return may;
}

static void connected(struct pg_pool *p, bool probed, int r, int64_t began)
{
    int64_t now = clock_now();
    bool counts = r == -EHOSTDOWN || (r == -ETIMEDOUT && now - began >= CONNECT_LEAST);
    pthread_mutex_lock(&p->lock);
    if (probed)
        p->probing = false;
    if (r == 0) {
        p->down = false;
        p->backoff = 0;
    } else if (counts) {
        p->backoff = p->backoff ? MIN(2 * p->backoff, BACKOFF_MOST) : BACKOFF_FIRST;
        p->retry_at = now + p->backoff;
        p->down = true;
    }
    pthread_mutex_unlock(&p->lock);
}

/* The caller has the room; gives it back when this fails. */
static int make(struct pg_pool *p, int64_t deadline, struct pg_conn **ret, char *err)
{
    bool probes;
    int r = -EHOSTDOWN;
    if (may_connect(p, &probes)) {
        int64_t began = clock_now(), until = MIN(deadline, began + CONNECT_NS);
        r = pg_conn_open(&p->url, p->timeout, until, ret, err);
        if (r == -ETIMEDOUT && until < deadline)
            r = -EHOSTDOWN;
        connected(p, probes, r, began);
    } else {
        store_say(err, "PostgreSQL could not be reached a moment ago");
    }
    if (r < 0)
        give(p, NULL);
    return r;
}

/* --- taking --- */

static int wait_in_line(struct pg_pool *p, struct waiter *w, int64_t deadline)
{
    int r = latch_wait(w->latch, deadline);
    latch_unref(w->latch);
    if (r == 0)
        return 0;
    pthread_mutex_lock(&p->lock);
    list_remove(&w->link);
    bool granted = w->granted;
    pthread_mutex_unlock(&p->lock);
    if (granted) /* at the last moment, and not wanted any more */
        give(p, w->conn);
    else
        latch_unref(w->latch); /* nobody will open it */
    return r;
}

/* 0: *ret is an idle connection, or NULL: the caller has room to make one. */
static int take_or_wait(struct pg_pool *p, int64_t deadline, struct pg_conn **ret)
{
    struct waiter w = {.granted = false};
    list_init(&w.link);
    *ret = NULL;
    pthread_mutex_lock(&p->lock);
    struct list *first = list_pop_front(&p->idle);
    bool room = !first && p->open < p->max;
    p->open += room;
    bool waits = !first && !room && (w.latch = latch_new()) != NULL;
    if (waits)
        list_push_back(&p->waiters, &w.link);
    pthread_mutex_unlock(&p->lock);
    if (first)
        *ret = list_entry(first, struct pg_conn, idle);
    if (first || room)
        return 0;
    if (!waits)
        return -ENOMEM;
    int r = wait_in_line(p, &w, deadline);
    *ret = r == 0 ? w.conn : NULL;
    return r;
}

int pg_pool_take(struct pg_pool *p, int64_t deadline, struct pg_conn **ret, char *err)
{
    struct pg_conn *c;
    int r = take_or_wait(p, deadline, &c);
    if (r < 0) {
        store_say(err, "waiting for a connection: %s",
            r == -ETIMEDOUT ? "the deadline passed" : "cancelled");
        return r;
    }
    if (c && !pg_conn_alive(c)) {
        pg_conn_close(c);
        c = NULL; /* its room is ours */
    }
    r = c ? 0 : make(p, deadline, &c, err);
    if (r == 0 && (r = pg_conn_attach(c)) < 0) {
        c->broken = true;
        pg_pool_give(p, c);
    }
    *ret = c;
    return r;
}
