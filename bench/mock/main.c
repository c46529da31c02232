/*
 * mock [-p PORT] [-t THREADS]: serves POST .../chat/completions, .../messages and .../embeddings
 * and GET .../models on 127.0.0.1 until it is ended. With port 0 it takes a free one. It prints the
 * port once it listens. See mock.h.
 */
#include "mock.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void *grow(void *p, size_t n)
{
    p = realloc(p, n);
    if (!p)
        abort();
    return p;
}

static int listen_on(int *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
        .sin_port = htons((uint16_t)*port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    if (bind(fd, (void *)&a, n) < 0 || listen(fd, 4096) < 0 ||
        getsockname(fd, (void *)&a, &n) < 0) {
        perror("mock: listen");
        exit(1);
    }
    *port = ntohs(a.sin_port);
    return fd;
}

static void accept_all(struct loop *l)
{
    int fd;

    while ((fd = accept4(l->listener, NULL, NULL, SOCK_NONBLOCK)) >= 0)
        connection_new(l, fd);
}

static void run_timers(struct loop *l)
{
    struct timers *t = &l->timers;
    int64_t now = t->n ? now_ns() : 0;

    while (t->n && t->heap[0]->due <= now) {
        struct connection *c = t->heap[0];
        timers_remove(t, c);
        connection_timer(l, c);
    }
}

static void one_event(struct loop *l, const struct epoll_event *e)
{
    struct connection *c = e->data.ptr;

    if (!c) {
        accept_all(l);
        return;
    }
    if (c->fd >= 0 && e->events & EPOLLOUT)
        connection_writable(l, c);
    if (c->fd >= 0 && e->events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        connection_readable(l, c);
}

static int wait_events(struct loop *l, struct epoll_event *e, int room)
{
    if (!l->timers.n)
        return epoll_wait(l->epoll, e, room, -1);
    int64_t left = l->timers.heap[0]->due - now_ns();
    if (left < 0)
        left = 0;
    struct timespec t = {left / 1000000000, left % 1000000000};
    return epoll_pwait2(l->epoll, e, room, &t, NULL);
}

/* epoll_pwait2, since intervals of a millisecond have to be kept to the microsecond. */
static void *loop_serve(void *arg)
{
    enum { EVENTS = 256 };
    struct loop l = {.epoll = epoll_create1(0), .listener = *(int *)arg};
    struct epoll_event e = {.events = EPOLLIN}, events[EVENTS];

    epoll_ctl(l.epoll, EPOLL_CTL_ADD, l.listener, &e);
    for (;;) {
        int n = wait_events(&l, events, EVENTS);
        for (int i = 0; i < n; i++)
            one_event(&l, &events[i]);
        run_timers(&l);
        connections_free_closed(&l);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    enum { MAX_THREADS = 64 };
    int port = 0, threads = 1, listeners[MAX_THREADS];

    for (int o; (o = getopt(argc, argv, "p:t:")) != -1;) {
        if (o == 'p')
            port = atoi(optarg);
        else if (o == 't')
            threads = atoi(optarg);
        else
            return 2;
    }
    if (threads < 1 || threads > MAX_THREADS)
        return 2;
    signal(SIGPIPE, SIG_IGN);
    replies_make();
    for (int i = 0; i < threads; i++)
        listeners[i] = listen_on(&port);
    printf("%d\n", port);
    fflush(stdout);
    for (int i = 1; i < threads; i++) {
        pthread_t t;
        if (pthread_create(&t, NULL, loop_serve, &listeners[i]))
            return 1;
    }
    loop_serve(&listeners[0]);
    return 0;
}
