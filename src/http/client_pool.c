/*
 * Idle upstream connections of this thread.
 *
 * The key of an origin is everything that made the connection trustworthy: host, port, TLS context,
 * the guard's settings and the proxy. A connection that an operator's address got must not serve
 * the same address chosen by a caller.
 *
 * Idle connections are watched by the loop: a byte, an end or 60 s without use close them. The
 * newest is used first, so that the surplus of a burst ages out. Beyond the thread's maximum the
 * one that has been idle for longest, whatever its host, makes room.
 */
#include "base/map.h"
#include "http/client_int.h"
#include <errno.h>
#include <stdlib.h>

#define BUCKETS 256

struct client_host {
    struct client_host *next; /* in its bucket */
    uint64_t hash;
    struct dial_target key; /* host is owned, tls referenced */
    struct list idle;
    unsigned n_idle, n_conns;
};

struct client_pool {
    struct client_host *bucket[BUCKETS];
    struct list idle; /* of all hosts, newest first */
    unsigned n_idle, max_idle;
};

static struct client_pool *pool_self(void)
{
    struct http_thread *t = http_thread();
    if (t->client == NULL && (t->client = calloc(1, sizeof(*t->client))) != NULL) {
        list_init(&t->client->idle);
        t->client->max_idle = LIMIT_POOL_IDLE;
    }
    return t->client;
}

void pool_set_max_idle(unsigned n)
{
    pool_self()->max_idle = n;
}

static bool host_is(const struct client_host *h, uint64_t hash, const struct dial_target *k)
{
    return h->hash == hash && h->key.port == k->port && h->key.tls == k->tls &&
           h->key.caller_chosen == k->caller_chosen && h->key.allow == k->allow &&
           h->key.proxy == k->proxy && str_eq(h->key.host, k->host);
}

static struct client_host *host_find(const struct dial_target *k, uint64_t hash)
{
    struct client_pool *p = pool_self();
    struct client_host *h = p != NULL ? p->bucket[hash % BUCKETS] : NULL;
    while (h != NULL && !host_is(h, hash, k))
        h = h->next;
    return h;
}

static struct client_host *host_new(const struct dial_target *k, uint64_t hash)
{
    struct client_pool *p = pool_self();
    struct client_host *h = p != NULL ? calloc(1, sizeof(*h)) : NULL;
    char *name = h != NULL ? str_dup(k->host) : NULL;
    if (name == NULL) {
        free(h);
        return NULL;
    }
    h->hash = hash;
    h->key = *k;
    h->key.host = str_at(name, k->host.n);
    if (k->tls != NULL)
        tls_ctx_ref(k->tls);
    list_init(&h->idle);
    h->next = p->bucket[hash % BUCKETS];
    p->bucket[hash % BUCKETS] = h;
    return h;
}

static void host_free(struct client_host *h)
{
    struct client_host **at = &pool_self()->bucket[h->hash % BUCKETS];
    while (*at != h)
        at = &(*at)->next;
    *at = h->next;
    if (h->key.tls != NULL)
        tls_ctx_unref(h->key.tls);
    free((char *)h->key.host.p);
    free(h);
}

static void idle_leave(struct client_conn *conn)
{
    list_remove(&conn->node);
    list_remove(&conn->by_age);
    conn->host->n_idle--;
    pool_self()->n_idle--;
    conn->idle = false;
}

void client_conn_close(struct client_conn *conn)
{
    struct client_host *h = conn->host;
    if (conn->idle)
        idle_leave(conn);
    timer_clear(&conn->timer);
    stream_close(&conn->stream);
    cell_give(conn, sizeof(*conn));
    if (--h->n_conns == 0)
        host_free(h);
}

static void idle_event(struct io *io, int dirs)
{
    struct client_conn *conn = container_of(io, struct client_conn, stream.io);
    /* TLS: bytes may be a session ticket, which is no data. */
    if (conn->idle && (dirs & IO_READ) && !stream_is_quiet(&conn->stream))
        client_conn_close(conn);
}

static void idle_hangup(struct io *io)
{
    struct client_conn *conn = container_of(io, struct client_conn, stream.io);
    if (conn->idle)
        client_conn_close(conn);
}

static void idle_timeout(struct timer *t)
{
    struct client_conn *conn = container_of(t, struct client_conn, timer);
    if (conn->idle)
        client_conn_close(conn);
}

struct client_conn *pool_take(const struct http_origin *o)
{
    struct client_host *h = host_find(&o->target, map_hash(o->target.host));
    while (h != NULL && h->n_idle > 0) {
        struct client_conn *conn = list_entry(h->idle.next, struct client_conn, node);
        idle_leave(conn);
        if (!conn->stream.io.hangup && stream_is_quiet(&conn->stream))
            return conn;
        bool last = h->n_conns == 1;
        client_conn_close(conn);
        if (last)
            break; /* the host is gone with it */
    }
    return NULL;
}

void pool_put(struct client_conn *conn)
{
    struct client_host *h = conn->host;
    struct client_pool *p = pool_self();
    if (h->n_idle >= LIMIT_POOL_PER_HOST) {
        client_conn_close(conn);
        return;
    }
    if (p->n_idle >= p->max_idle)
        client_conn_close(list_entry(p->idle.prev, struct client_conn, by_age));
    conn->idle = true;
    list_push_front(&h->idle, &conn->node);
    list_push_front(&p->idle, &conn->by_age);
    h->n_idle++;
    p->n_idle++;
    timer_set(&conn->timer, loop_now() + POOL_IDLE_NS);
}

int pool_dial(const struct http_origin *o, int64_t deadline, struct client_conn **ret,
    struct error *err, char errbuf[static 512])
{
    struct client_conn *conn = cell_take(sizeof(*conn));
    if (conn == NULL)
        return -ENOMEM;
    int r = dial(&o->target, deadline, &conn->stream, err, errbuf);
    if (r < 0) {
        cell_give(conn, sizeof(*conn));
        return r;
    }
    uint64_t hash = map_hash(o->target.host);
    struct client_host *h = host_find(&o->target, hash);
    if (h == NULL)
        h = host_new(&o->target, hash);
    if (h == NULL) {
        stream_close(&conn->stream);
        cell_give(conn, sizeof(*conn));
        return -ENOMEM;
    }
    h->n_conns++;
    conn->host = h;
    timer_init(&conn->timer, idle_timeout);
    conn->stream.io.on_event = idle_event;
    conn->stream.io.on_hangup = idle_hangup;
    *ret = conn;
    return 0;
}

static void host_close_idle(struct client_host *h)
{
    h->n_conns++; /* holds the host meanwhile */
    list_each(&h->idle, it) client_conn_close(list_entry(it, struct client_conn, node));
    if (--h->n_conns == 0)
        host_free(h);
}

void http_client_close_idle(void)
{
    struct client_pool *p = pool_self();
    for (unsigned i = 0; p != NULL && i < BUCKETS; i++) {
        for (struct client_host *h = p->bucket[i], *next; h != NULL; h = next) {
            next = h->next;
            host_close_idle(h);
        }
    }
}

void client_pool_free(struct http_thread *t)
{
    if (t->client == NULL)
        return;
    http_client_close_idle();
    free(t->client);
    t->client = NULL;
}
