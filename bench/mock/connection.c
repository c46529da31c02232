/*
 * One connection: requests in, replies out, in order. A reply is a series of steps; between two of
 * them it may wait for its timer or for the kernel to take what was sent.
 */
#include "mock.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define NS_PER_MS 1000000

void connection_new(struct loop *l, int fd)
{
    struct connection *c = grow(NULL, sizeof *c);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    int one = 1;

    *c = (struct connection){.fd = fd, .timer = -1};
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &e);
}

void connection_close(struct loop *l, struct connection *c)
{
    if (c->fd < 0)
        return;
    timers_remove(&l->timers, c);
    close(c->fd);
    c->fd = -1;
    c->next_closed = l->closed;
    l->closed = c;
}

void connections_free_closed(struct loop *l)
{
    while (l->closed) {
        struct connection *c = l->closed;
        l->closed = c->next_closed;
        free(c->in);
        free(c->out);
        free(c);
    }
}

/* --- out --- */

static void await_writable(struct loop *l, struct connection *c, bool yes)
{
    struct epoll_event e = {.events = EPOLLIN | (yes ? EPOLLOUT : 0), .data.ptr = c};

    if (c->blocked == yes)
        return;
    c->blocked = yes;
    epoll_ctl(l->epoll, EPOLL_CTL_MOD, c->fd, &e);
}

static void keep(struct connection *c, const char *p, size_t n)
{
    if (c->out_off + c->out_n + n > c->out_cap) {
        c->out_cap = c->out_off + c->out_n + n;
        c->out = grow(c->out, c->out_cap);
    }
    memcpy(c->out + c->out_off + c->out_n, p, n);
    c->out_n += n;
}

/* Sends at once what the kernel takes and keeps the rest. */
static void put(struct loop *l, struct connection *c, struct bytes b)
{
    ssize_t sent = 0;

    if (c->fd < 0)
        return;
    if (!c->out_n) {
        sent = send(c->fd, b.p, b.n, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            connection_close(l, c);
            return;
        }
        sent = sent < 0 ? 0 : sent;
    }
    if ((size_t)sent == b.n)
        return;
    keep(c, b.p + sent, b.n - (size_t)sent);
    await_writable(l, c, true);
}

/* --- replies --- */

static void stream_begin(struct loop *l, struct connection *c)
{
    put(l, c, reply_stream_head());
    put(l, c, reply_stream_first(c->order.style));
}

static void stream_end(struct loop *l, struct connection *c)
{
    struct bytes b;

    for (unsigned i = 0; (b = reply_stream_last(c->order.style, i)).p; i++)
        put(l, c, b);
}

/* One step; true when the reply is complete. */
static bool step(struct loop *l, struct connection *c)
{
    const struct order *o = &c->order;

    if (!o->stream) {
        reply_count(o->endpoint);
        put(l, c, reply_plain(o->endpoint));
        return true;
    }
    if (c->sent == 0)
        stream_begin(l, c);
    else
        put(l, c, reply_stream_middle(o->style, o->pad));
    if (++c->sent < o->chunks)
        return false;
    reply_count(o->endpoint);
    stream_end(l, c);
    return true;
}

static void reply_go_on(struct loop *l, struct connection *c)
{
    while (c->fd >= 0 && c->busy && !c->blocked) {
        if (step(l, c)) {
            c->busy = false;
        } else if (c->fd >= 0 && c->order.interval > 0 && c->sent >= c->order.burst) {
            c->due = now_ns() + (int64_t)c->order.interval * NS_PER_MS;
            timers_add(&l->timers, c);
            return;
        }
    }
}

/* --- in --- */

static void take_requests(struct loop *l, struct connection *c)
{
    static const struct bytes go_on = {"HTTP/1.1 100 Continue\r\n\r\n", 25};
    size_t used;
    bool expects;

    while (c->fd >= 0 && !c->busy && !c->blocked && c->in_n) {
        int r = request_take(c->in, c->in_n, &c->order, &used, &expects);
        if (r < 0)
            connection_close(l, c);
        if (expects)
            put(l, c, go_on);
        if (r <= 0)
            return;
        c->in_n -= used;
        memmove(c->in, c->in + used, c->in_n);
        c->busy = true;
        c->sent = 0;
        if (c->order.delay > 0) {
            c->due = now_ns() + (int64_t)c->order.delay * NS_PER_MS;
            timers_add(&l->timers, c);
        } else {
            reply_go_on(l, c);
        }
    }
}

void connection_readable(struct loop *l, struct connection *c)
{
    enum { LEAST_ROOM = 4096 };

    if (c->in_cap - c->in_n < LEAST_ROOM) {
        c->in_cap = c->in_cap ? c->in_cap * 2 : 2 * LEAST_ROOM;
        c->in = grow(c->in, c->in_cap);
    }
    ssize_t n = recv(c->fd, c->in + c->in_n, c->in_cap - c->in_n, 0);
    if (n > 0) {
        c->in_n += (size_t)n;
        take_requests(l, c);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        connection_close(l, c);
    }
}

void connection_writable(struct loop *l, struct connection *c)
{
    ssize_t n = send(c->fd, c->out + c->out_off, c->out_n, MSG_NOSIGNAL);

    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        connection_close(l, c);
        return;
    }
    if (n > 0) {
        c->out_off += (size_t)n;
        c->out_n -= (size_t)n;
    }
    if (c->out_n)
        return;
    c->out_off = 0;
    await_writable(l, c, false);
    if (c->timer < 0)
        reply_go_on(l, c);
    take_requests(l, c);
}

void connection_timer(struct loop *l, struct connection *c)
{
    reply_go_on(l, c);
    take_requests(l, c);
}
