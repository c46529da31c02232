/*
 * The server as a whole: settings, listeners, accepting, drain.
 *
 * A listener accepts in batches of 64, so that a flood of connections does not starve those that
 * are open. epoll is edge-triggered: after a full batch nobody would tell us about the rest, hence
 * the `again` timer. Out of descriptors, it tries again after 100 ms.
 *
 * Nothing here suspends.
 */
#include "http/server_int.h"
#include "runtime/loop.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#define ACCEPT_BATCH 64

static void settings_fill(struct http_server *s, const struct http_server_settings *set)
{
    struct http_server_settings f = *set;
    f.max_head = f.max_head ? f.max_head : LIMIT_HEAD_BYTES;
    f.max_connections = f.max_connections ? f.max_connections : LIMIT_CONNECTIONS;
    f.head_timeout = f.head_timeout ? f.head_timeout : 15 * NS_PER_S;
    f.idle_timeout = f.idle_timeout ? f.idle_timeout : 75 * NS_PER_S;
    f.body_timeout = f.body_timeout ? f.body_timeout : 30 * NS_PER_S;
    f.write_timeout = f.write_timeout ? f.write_timeout : 60 * NS_PER_S;
    f.server_name = STR_NONE; /* kept as server_line */
    if (f.tls != NULL)
        tls_ctx_ref(f.tls);
    if (s->set.tls != NULL)
        tls_ctx_unref(s->set.tls);
    s->set = f;
}

static void server_line_set(struct http_server *s, struct str name)
{
    struct buf b;
    buf_init(&b, KIB);
    if (name.n > 0 && http_put(&b, STR("server"), name) < 0)
        buf_clear(&b);
    free((char *)s->server_line.p);
    s->server_line = str_at(b.p, b.n); /* takes the buffer's memory */
}

int http_server_new(
    const struct http_server_settings *set, const struct http_handler *h, struct http_server **ret)
{
    struct http_server *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return -ENOMEM;
    list_init(&s->listeners);
    list_init(&s->conns);
    s->handler = *h;
    http_server_reconfigure(s, set);
    *ret = s;
    return 0;
}

void http_server_reconfigure(struct http_server *s, const struct http_server_settings *set)
{
    settings_fill(s, set);
    server_line_set(s, set->server_name);
}

unsigned http_server_connections(const struct http_server *s)
{
    return s->n_conns;
}

/* Takes one connection from the queue: 0 or -errno. */
static int accept_one(struct http_listener *l)
{
    struct net_addr peer = {.len = sizeof(peer.in6)};
    int fd;
    do {
        fd = accept4(l->io.fd, &peer.sa, &peer.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    } while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
    if (fd < 0)
        return -errno;
    conn_open(l->server, fd, &peer);
    return 0;
}

static void listener_accept(struct http_listener *l)
{
    for (unsigned i = 0; i < ACCEPT_BATCH; i++) {
        l->starved = l->server->n_conns >= l->server->set.max_connections;
        if (l->starved)
            return;
        int r = accept_one(l);
        if (r == -EAGAIN) {
            io_not_ready(&l->io, IO_READ);
            return;
        }
        if (r < 0) {
            timer_set(&l->again, loop_now() + 100 * NS_PER_MS);
            return;
        }
    }
    timer_set(&l->again, loop_now());
}

static void listener_event(struct io *io, int dirs)
{
    listener_accept(container_of(io, struct http_listener, io));
}

static void listener_again(struct timer *t)
{
    listener_accept(container_of(t, struct http_listener, again));
}

int http_server_listen(struct http_server *s, int fd)
{
    struct http_listener *l = calloc(1, sizeof(*l));
    if (l == NULL)
        return -ENOMEM;
    l->server = s;
    l->io.fd = -1;
    timer_init(&l->again, listener_again);
    int r = io_open(&l->io, fd);
    if (r < 0) {
        free(l);
        return r;
    }
    l->io.on_event = listener_event;
    list_push_back(&s->listeners, &l->node);
    return 0;
}

static void listener_free(struct http_listener *l)
{
    timer_clear(&l->again);
    io_close(&l->io);
    list_remove(&l->node);
    free(l);
}

static void listeners_free(struct http_server *s)
{
    list_each(&s->listeners, it) listener_free(list_entry(it, struct http_listener, node));
}

static void server_destroy(struct http_server *s)
{
    if (s->set.tls != NULL)
        tls_ctx_unref(s->set.tls);
    free((char *)s->server_line.p);
    free(s);
}

static void done_now(void *arg)
{
    struct http_server *s = arg;
    void (*done)(void *) = s->done;
    s->done = NULL;
    s->posted = false;
    if (s->freeing && s->n_conns == 0)
        server_destroy(s);
    else if (done != NULL)
        done(s->done_ctx);
}

/* In loop context and on a later turn, since the last connection may end inside a coroutine. */
static void done_soon(struct http_server *s)
{
    if (s->done == NULL || s->posted)
        return;
    s->posted = true;
    if (loop_post(loop_self(), done_now, s) < 0)
        panic("no memory to end a drain");
}

void server_conn_gone(struct http_server *s)
{
    s->n_conns--;
    if (s->n_conns == 0 && s->freeing) {
        if (!s->posted)
            server_destroy(s);
        return;
    }
    if (s->n_conns == 0 && s->draining)
        done_soon(s);
    list_each(&s->listeners, it)
    {
        struct http_listener *l = list_entry(it, struct http_listener, node);
        if (l->starved)
            timer_set(&l->again, loop_now());
    }
}

void http_server_drain(struct http_server *s, void (*done)(void *), void *ctx)
{
    must(!s->draining);
    /* Whoever is in the queue has a connection, as far as it knows: closing the listener first
     * would reset it. The bound is only against a peer that connects faster than we accept. */
    list_each(&s->listeners, it)
    {
        struct http_listener *l = list_entry(it, struct http_listener, node);
        for (unsigned i = 0; i < LIMIT_CONNECTIONS && accept_one(l) == 0; i++)
            ;
    }
    listeners_free(s);
    s->draining = true;
    s->done = done;
    s->done_ctx = ctx;
    unsigned before = s->n_conns;
    list_each(&s->conns, it) conn_drain(list_entry(it, struct http_conn, node));
    if (before == 0)
        done_soon(s);
}

void http_server_abort(struct http_server *s)
{
    listeners_free(s);
    list_each(&s->conns, it) conn_abort(list_entry(it, struct http_conn, node));
}

void http_server_free(struct http_server *s)
{
    if (s == NULL)
        return;
    s->done = NULL;
    s->n_conns++; /* holds the server while its connections end */
    s->freeing = true;
    http_server_abort(s);
    server_conn_gone(s);
}
