/* One connection: dialling, sending the request, reading replies, counting what came of it. */
#include "loadgen.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static void await(struct load *l, struct client *c, int how, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = c};

    epoll_ctl(l->epoll, how, c->fd, &e);
}

/* A client that will not read gets a small window, so that what it leaves piles up in the gateway
 * and not in the kernel. */
void client_dial(struct load *l, struct client *c)
{
    int one = 1, small = 4096;

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    c->connected = false;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (c->deaf)
        setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    if (connect(c->fd, (void *)&l->o.address, sizeof l->o.address) < 0 && errno != EINPROGRESS)
        l->t.errors++;
    await(l, c, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
}

/* Sends what is left of the request, and awaits EPOLLOUT only while something is. */
static void send_rest(struct load *l, struct client *c, bool awaited)
{
    size_t left = l->request_n - c->written;
    ssize_t n = left ? send(c->fd, l->request + c->written, left, MSG_NOSIGNAL) : 0;

    if (n > 0)
        c->written += (size_t)n;
    bool more = c->written < l->request_n;
    if (more || awaited)
        await(l, c, EPOLL_CTL_MOD, EPOLLIN | (more ? EPOLLOUT : 0u));
}

void client_start(struct load *l, struct client *c, int64_t due)
{
    c->busy = true;
    c->due = due;
    c->written = 0;
    c->had_first = false;
    reply_reset(&c->reply);
    l->t.sent++;
    l->t.in_flight++;
    if (c->connected)
        send_rest(l, c, false);
}

static void redial(struct load *l, struct client *c)
{
    close(c->fd);
    l->t.reconnects++;
    client_dial(l, c);
}

static void count_reply(struct load *l, struct client *c, bool whole)
{
    struct totals *t = &l->t;
    int64_t now = now_ns();

    t->in_flight--;
    if (!whole) {
        t->errors++;
    } else if (c->reply.status < 200 || c->reply.status > 299) {
        t->not_2xx++;
    } else {
        t->ok++;
        if (now >= l->record_from && now <= l->end)
            t->done++;
        if (c->due >= l->record_from)
            samples_add(&t->latency, (double)(now - c->due) / 1e3);
    }
}

static void finish(struct load *l, struct client *c, bool whole)
{
    c->busy = false;
    count_reply(l, c, whole);
    if (!whole || c->reply.close)
        redial(l, c);
    if (l->o.mode == MODE_CLOSED && !l->stopping)
        client_start(l, c, now_ns());
    else
        l->idle[l->idle_n++] = (int)(c - l->clients);
}

static void count_events(struct load *l, struct client *c)
{
    int64_t now = now_ns();

    if (now >= l->record_from && now <= l->end)
        l->t.events += (long)c->reply.events;
    if (c->had_first)
        return;
    c->had_first = true;
    l->t.firsts++;
    if (c->due >= l->record_from)
        samples_add(&l->t.first_event, (double)(now - c->due) / 1e3);
    if (c->deaf)
        await(l, c, EPOLL_CTL_DEL, 0);
}

static void closed_by_peer(struct load *l, struct client *c, bool clean)
{
    bool whole = clean && c->reply.in_body && c->reply.framing == BODY_TO_CLOSE;

    if (!c->busy) {
        redial(l, c);
        return;
    }
    c->reply.close = true;
    finish(l, c, whole);
}

static void read_some(struct load *l, struct client *c)
{
    static char piece[256 * 1024];
    ssize_t n = recv(c->fd, piece, c->deaf ? 4096 : sizeof piece, 0);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        closed_by_peer(l, c, n == 0);
        return;
    }
    if (!c->busy)
        return;
    int r = reply_take(&c->reply, piece, (size_t)n);
    if (l->o.stream && c->reply.events)
        count_events(l, c);
    if (r)
        finish(l, c, r > 0);
}

void client_event(struct load *l, struct client *c, uint32_t events)
{
    if (events & EPOLLOUT) {
        c->connected = true;
        if (c->busy)
            send_rest(l, c, true);
        else
            await(l, c, EPOLL_CTL_MOD, EPOLLIN);
    }
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        read_some(l, c);
}
