/*
 * Files and sockets in the loop's epoll, edge-triggered and registered once.
 *
 * Who may end whom: a callback may close any io, its own or one whose event waits in the same
 * batch, and free the memory. So the loop remembers whose callbacks run (l->dispatching, cleared by
 * a close), and a close wipes that io's event from what is left of the batch. A coroutine that
 * waits when its io is closed learns it from its own struct co (waits_on), never from the io.
 */
#include "runtime/runtime_int.h"
#include <errno.h>
#include <unistd.h>

int io_open(struct io *io, int fd)
{
    struct loop *l = loop_current;
    must(l && fd >= 0);
    *io = (struct io){.fd = fd};
    struct epoll_event ev = {
        .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
        .data.ptr = io,
    };
    if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &ev) == 0)
        return 0;
    io->fd = -1;
    return -errno;
}

static void end_wait(struct co *co)
{
    if (!co)
        return;
    co->waits_on = NULL;
    co_wake(co, -ECANCELED);
}

/* A batch names an io at most once. */
static void forget_event(struct loop *l, const struct io *io)
{
    for (int i = l->event_at; i < l->n_events; i++)
        if (l->events[i].data.ptr == io) {
            l->events[i].data.ptr = NULL;
            return;
        }
}

int io_release(struct io *io)
{
    struct loop *l = loop_current;
    int fd = io->fd;
    if (fd < 0)
        return -1;
    must(l);
    /* Closing the fd alone is not enough: a child between fork and exec holds a copy of it, and
     * with it the registration and its pointer to this io. */
    (void)epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
    struct co *reader = io->reader, *writer = io->writer;
    io->fd = -1;
    io->ready = 0;
    io->reader = io->writer = NULL;
    io->on_event = NULL;
    io->on_hangup = NULL;
    if (l->dispatching == io)
        l->dispatching = NULL;
    forget_event(l, io);
    end_wait(reader);
    end_wait(writer);
    return fd;
}

void io_close(struct io *io)
{
    int fd = io_release(io);
    if (fd >= 0)
        close(fd);
}

int io_wait(struct io *io, enum io_dir dir, int64_t deadline)
{
    struct co *co = loop_current->current;
    must(co);
    if (unlikely(co->cancelled && !co->masked))
        return -ECANCELED;
    if (io->ready & dir)
        return 0;
    if (io->fd < 0)
        return -ECANCELED;
    struct co **slot = dir == IO_READ ? &io->reader : &io->writer;
    if (*slot)
        return -EBUSY;
    *slot = co;
    co->waits_on = io;
    int r = co_park(dir == IO_READ ? "read" : "write", deadline);
    if (!co->waits_on)
        return -ECANCELED;
    co->waits_on = NULL;
    *slot = NULL;
    return r;
}

static int event_dirs(uint32_t events)
{
    int dirs = 0;
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        dirs |= IO_READ;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        dirs |= IO_WRITE;
    return dirs;
}

static void dispatch(struct loop *l, struct io *io, uint32_t events)
{
    int dirs = event_dirs(events);
    bool waited = io->reader || io->writer;
    io->ready |= (uint8_t)dirs;
    if ((dirs & IO_READ) && io->reader)
        co_wake(io->reader, 0);
    if ((dirs & IO_WRITE) && io->writer)
        co_wake(io->writer, 0);
    l->dispatching = io;
    if (unlikely(events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) && !io->hangup) {
        io->hangup = true;
        if (io->on_hangup)
            io->on_hangup(io);
    }
    if (l->dispatching && !waited && io->on_event)
        io->on_event(io, dirs);
    l->dispatching = NULL;
}

void io_dispatch_all(struct loop *l)
{
    while (l->event_at < l->n_events) {
        struct epoll_event *ev = &l->events[l->event_at++];
        if (ev->data.ptr) /* NULL: the wake-up eventfd, or closed in this batch */
            dispatch(l, ev->data.ptr, ev->events);
    }
    l->event_at = l->n_events = 0;
}
