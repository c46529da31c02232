/*
 * One end of a session: bytes in and out. A side that waits for bytes holds no buffer. A write that
 * waits for its peer can at the same time watch the other end, so that a client that went away is
 * noticed even while the upstream takes nothing.
 */
#include "gateway/websocket_int.h"

#include <errno.h>

void ws_side_free(struct ws_side *s)
{
    block_give(&s->block);
    ws_reader_free(&s->reader);
}

ssize_t ws_side_fill(struct ws_side *s, int64_t deadline)
{
    if (s->unread.n)
        return (ssize_t)s->unread.n;
    block_give(&s->block);
    for (;;) {
        int r = stream_wait_readable(s->stream, deadline);
        if (r == 0)
            r = block_take(&s->block, BLOCK_LARGE);
        if (r < 0)
            return r;
        ssize_t n = stream_try_read(s->stream, s->block.p, s->block.cap);
        if (n > 0) {
            s->unread = str_at(s->block.p, (size_t)n);
            return n;
        }
        block_give(&s->block);
        if (n != -EAGAIN)
            return n;
    }
}

static int wait_writable(struct ws_side *s, int64_t deadline, struct io *watch)
{
    struct io *io = &s->stream->io;
    /* TLS that has to read first leaves the socket marked writable. */
    enum io_dir dir = io_is_ready(io, IO_WRITE) ? IO_READ : IO_WRITE;

    if (!watch)
        return io_wait(io, dir, deadline);
    if (watch->hangup)
        return -ECONNRESET;
    watch->reader = co_self(); /* any event there ends this wait */
    int r = io_wait(io, dir, deadline);
    watch->reader = NULL;
    return r == 0 && watch->hangup ? -ECONNRESET : r;
}

int ws_side_write(struct ws_side *s, struct str bytes, int64_t patience, struct io *watch)
{
    s->writing = true;
    while (bytes.n) {
        struct iovec iov = {(char *)bytes.p, bytes.n};
        ssize_t n = stream_try_writev(s->stream, &iov, 1);
        if (n >= 0) {
            bytes = str_from(bytes, (size_t)n);
            continue;
        }
        int r = n == -EAGAIN ? wait_writable(s, loop_now() + patience, watch) : (int)n;
        if (r < 0)
            return r;
    }
    s->writing = false;
    return 0;
}

/* --- waiting for something else while the client may go --- */

static int watch(void *arg)
{
    struct ws_watch *w = arg;

    while (!w->io->hangup) {
        w->io->reader = co_self();
        int r = co_park("hang-up", NEVER_NS);
        w->io->reader = NULL;
        if (r < 0)
            return 0;
    }
    co_cancel(w->caller);
    return 0;
}

void ws_watch_begin(struct ws_watch *w, struct ws_side *s)
{
    *w = (struct ws_watch){.io = &s->stream->io, .caller = co_self()};
    group_init(&w->group, false);
    /* Without memory for it, the client's end is noticed later: when the relay begins. */
    (void)group_spawn(&w->group, "websocket watch", watch, w);
}

void ws_watch_end(struct ws_watch *w)
{
    group_cancel(&w->group);
    (void)group_wait(&w->group, NEVER_NS);
}
