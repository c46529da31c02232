/*
 * struct io: a file descriptor registered in its thread's epoll, edge-triggered, once, for both
 * directions. It remembers what is ready, so a reader asks the kernel only when an edge came.
 *
 * Rule for users: call read/recv/send/write directly; on EAGAIN call io_not_ready(io, dir) and then
 * io_wait(). A short read (fewer bytes than asked) also means not ready. io_wait() returns at once
 * when the direction is (still) marked ready.
 *
 * At first nothing is marked ready: the kernel reports the state of a new fd within a turn. So a
 * client calls connect(), io_open(), io_wait(IO_WRITE); trying a read at once is allowed, too.
 *
 * With no coroutine waiting, an event calls on_event (may be NULL) in loop context: a keep-alive
 * connection holds no coroutine, its on_event spawns one. on_hangup is called once when the peer
 * closes or resets (EPOLLRDHUP, EPOLLHUP, EPOLLERR), whoever waits: a server cancels the exchange.
 */
#ifndef SF_RUNTIME_IO_H
#define SF_RUNTIME_IO_H

#include "runtime/loop.h"

enum io_dir { IO_READ = 1, IO_WRITE = 2 };

struct io {
    int fd;        /* -1 = closed */
    uint8_t ready; /* IO_READ | IO_WRITE */
    bool hangup;   /* peer closed its sending side or the connection is dead */
    struct co *reader, *writer;
    void (*on_event)(struct io *, int dirs);
    void (*on_hangup)(struct io *);
};

/* Registers fd (non-blocking already) on this thread's loop and sets every field of *io; set the
 * callbacks afterwards. Takes ownership of fd, unless it fails. */
int io_open(struct io *io, int fd);
/* Deregisters and closes; waiters get -ECANCELED. The struct must stay valid until io_close()
 * returns; no callback comes after it. */
void io_close(struct io *io);
/* The same, but returns the fd instead of closing it. */
int io_release(struct io *io);

static inline bool io_is_ready(const struct io *io, enum io_dir dir)
{
    return (io->ready & dir) != 0;
}

static inline void io_not_ready(struct io *io, enum io_dir dir)
{
    io->ready &= (uint8_t)~dir;
}

/* Suspends until the direction is ready. 0, -ETIMEDOUT, -ECANCELED (also when the io is closed
 * meanwhile: do not touch it then), or -EBUSY when another coroutine already waits for that
 * direction. A cancelled caller gets -ECANCELED even when the direction is ready. */
int io_wait(struct io *io, enum io_dir dir, int64_t deadline);

#endif
