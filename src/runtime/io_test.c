/*
 * struct io over socket pairs and pipes: readiness, waiting, callbacks, closing at bad moments.
 */
#include "base/tap.h"
#include "runtime/io.h"
#include "runtime/test_loop.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void pair_open(struct io *a, struct io *b)
{
    int fd[2];
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) == 0);
    must(io_open(a, fd[0]) == 0);
    must(io_open(b, fd[1]) == 0);
}

static void let_events_in(void)
{
    for (int i = 0; i < 3; i++)
        co_yield ();
}

/* --- waiting --- */

static ssize_t read_all_of(struct io *io, char *buf, size_t n)
{
    size_t got = 0;
    while (got < n) {
        ssize_t r = read(io->fd, buf + got, n - got);
        if (r > 0)
            got += (size_t)r;
        else if (r == 0)
            break;
        else if (errno != EAGAIN)
            return -errno;
        else {
            io_not_ready(io, IO_READ);
            int w = io_wait(io, IO_READ, far());
            if (w < 0)
                return w;
        }
    }
    return (ssize_t)got;
}

enum { BIG = 1 << 20 };

static void write_big(void *arg)
{
    struct io *io = arg;
    static char data[BIG];
    memset(data, 'x', sizeof data);
    for (size_t at = 0; at < sizeof data;) {
        ssize_t w = write(io->fd, data + at, sizeof data - at);
        if (w > 0) {
            at += (size_t)w;
            continue;
        }
        must(w < 0 && errno == EAGAIN);
        io_not_ready(io, IO_WRITE);
        must(io_wait(io, IO_WRITE, far()) == 0);
    }
    io_close(io);
}

static void transfers(void)
{
    struct io a, b;
    static char got[BIG];
    pair_open(&a, &b);
    CHECK_EQ(co_spawn("writer", write_big, &b, NULL), 0);
    CHECK_EQ(read_all_of(&a, got, BIG), BIG);
    CHECK(got[0] == 'x' && got[BIG - 1] == 'x');
    CHECK_EQ(read_all_of(&a, got, 1), 0);
    let_events_in();
    CHECK(a.hangup);
    io_close(&a);
    CHECK_EQ(a.fd, -1);
}

static void test_transfers(void)
{
    in_loop(transfers);
}

static void first_state(void)
{
    struct io a, b;
    pair_open(&a, &b);
    CHECK(!io_is_ready(&a, IO_READ) && !io_is_ready(&a, IO_WRITE));
    CHECK_EQ(io_wait(&a, IO_WRITE, far()), 0);
    CHECK(io_is_ready(&a, IO_WRITE));
    CHECK(!io_is_ready(&a, IO_READ));
    CHECK_EQ(io_wait(&a, IO_WRITE, loop_now()), 0); /* at once */
    io_close(&a);
    io_close(&b);
    io_close(&b); /* a second time is harmless */
}

static void test_first_state(void)
{
    in_loop(first_state);
}

static void wait_timeout(void)
{
    struct io a, b;
    pair_open(&a, &b);
    CHECK_EQ(io_wait(&a, IO_READ, soon()), -ETIMEDOUT);
    CHECK(a.reader == NULL);
    CHECK_EQ(write(b.fd, "1", 1), 1);
    CHECK_EQ(io_wait(&a, IO_READ, far()), 0); /* and is usable afterwards */
    io_close(&a);
    io_close(&b);
}

static void test_wait_timeout(void)
{
    in_loop(wait_timeout);
}

struct waiting {
    struct io *io;
    struct co *co;
    int result;
    bool done;
};

static void wait_to_read(void *arg)
{
    struct waiting *w = arg;
    w->result = io_wait(w->io, IO_READ, far());
    w->done = true;
}

static void wait_cancel(void)
{
    struct io a, b;
    pair_open(&a, &b);
    struct waiting w = {.io = &a};
    CHECK_EQ(co_spawn_now("w", wait_to_read, &w, &w.co), 0);
    CHECK(a.reader == w.co);
    CHECK_EQ(io_wait(&a, IO_READ, far()), -EBUSY);
    co_cancel(w.co);
    let_events_in();
    CHECK(w.done);
    CHECK_EQ(w.result, -ECANCELED);
    CHECK(a.reader == NULL);
    io_close(&a);
    io_close(&b);
}

static void test_wait_cancel(void)
{
    in_loop(wait_cancel);
}

static void wait_closed(void)
{
    struct io *a = malloc(sizeof *a), b;
    pair_open(a, &b);
    struct waiting w = {.io = a};
    CHECK_EQ(co_spawn_now("w", wait_to_read, &w, &w.co), 0);
    io_close(a);
    free(a); /* before the waiter runs */
    let_events_in();
    CHECK(w.done);
    CHECK_EQ(w.result, -ECANCELED);
    io_close(&b);
}

static void test_wait_closed(void)
{
    in_loop(wait_closed);
}

static void wait_closed_when_ready(void *arg)
{
    struct waiting *w = arg;
    io_close(w->io);
    free(w->io);
}

/* The event came and the waiter is runnable already, when another closes the io. */
static void closed_after_event(void)
{
    struct io *a = malloc(sizeof *a), b;
    pair_open(a, &b);
    let_events_in();
    struct waiting w = {.io = a};
    CHECK_EQ(co_spawn_now("w", wait_to_read, &w, &w.co), 0);
    CHECK_EQ(write(b.fd, "1", 1), 1);
    CHECK_EQ(
        loop_post(loop_self(), wait_closed_when_ready, &w), 0); /* posts run after the events */
    let_events_in();
    CHECK(w.done);
    CHECK_EQ(w.result, -ECANCELED);
    io_close(&b);
}

static void test_closed_after_event(void)
{
    in_loop(closed_after_event);
}

static void read_and_write_together(void)
{
    struct io a, b;
    pair_open(&a, &b);
    let_events_in();
    struct waiting w = {.io = &a};
    CHECK_EQ(co_spawn_now("w", wait_to_read, &w, &w.co), 0);
    char fill[4096] = {0};
    while (write(a.fd, fill, sizeof fill) > 0)
        ;
    io_not_ready(&a, IO_WRITE);
    CHECK_EQ(io_wait(&a, IO_WRITE, soon()), -ETIMEDOUT);
    CHECK(!w.done);
    CHECK_EQ(write(b.fd, "1", 1), 1);
    CHECK_EQ(io_wait(&a, IO_WRITE, soon()), -ETIMEDOUT);
    CHECK(w.done);
    CHECK_EQ(w.result, 0);
    while (read(b.fd, fill, sizeof fill) > 0)
        ;
    CHECK_EQ(io_wait(&a, IO_WRITE, far()), 0);
    io_close(&a);
    io_close(&b);
}

static void test_read_and_write_together(void)
{
    in_loop(read_and_write_together);
}

static void pipes(void)
{
    int fd[2];
    struct io in, out;
    char c;
    CHECK_EQ(pipe2(fd, O_CLOEXEC | O_NONBLOCK), 0);
    CHECK_EQ(io_open(&in, fd[0]), 0);
    CHECK_EQ(io_open(&out, fd[1]), 0);
    CHECK_EQ(io_wait(&out, IO_WRITE, far()), 0);
    CHECK_EQ(write(out.fd, "p", 1), 1);
    CHECK_EQ(io_wait(&in, IO_READ, far()), 0);
    CHECK_EQ(read(in.fd, &c, 1), 1);
    io_not_ready(&in, IO_READ);
    io_close(&in);
    let_events_in();
    CHECK(out.hangup); /* nobody reads any more */
    io_close(&out);
}

static void test_pipes(void)
{
    in_loop(pipes);
}

static void release(void)
{
    struct io a, b;
    pair_open(&a, &b);
    int fd = io_release(&a);
    CHECK(fd >= 0);
    CHECK_EQ(a.fd, -1);
    CHECK_EQ(write(fd, "1", 1), 1);
    CHECK_EQ(io_wait(&b, IO_READ, far()), 0);
    CHECK_EQ(io_open(&a, fd), 0); /* it can be registered again */
    CHECK_EQ(io_wait(&a, IO_WRITE, far()), 0);
    io_close(&a);
    io_close(&b);
    CHECK_EQ(io_wait(&a, IO_READ, far()), -ECANCELED);
}

static void test_release(void)
{
    in_loop(release);
}

static void open_fails(void)
{
    struct io io;
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    CHECK_EQ(io_open(&io, fd), -EPERM); /* a regular file cannot be waited for */
    CHECK_EQ(io.fd, -1);
    CHECK_EQ(close(fd), 0);
}

static void test_open_fails(void)
{
    in_loop(open_fails);
}

/* --- callbacks --- */

static int events, hangups, last_dirs;

static void count_event(struct io *io, int dirs)
{
    (void)io;
    events++;
    last_dirs = dirs;
}

static void count_hangup(struct io *io)
{
    must(io->hangup);
    hangups++;
}

static void callbacks(void)
{
    struct io a, b;
    pair_open(&a, &b);
    let_events_in();
    events = hangups = 0;
    a.on_event = count_event;
    a.on_hangup = count_hangup;
    CHECK_EQ(write(b.fd, "1", 1), 1);
    let_events_in();
    CHECK_EQ(events, 1);
    CHECK(last_dirs & IO_READ);
    CHECK_EQ(hangups, 0);
    struct waiting w = {.io = &a};
    io_not_ready(&a, IO_READ);
    CHECK_EQ(co_spawn_now("w", wait_to_read, &w, &w.co), 0);
    CHECK_EQ(write(b.fd, "2", 1), 1);
    let_events_in();
    CHECK(w.done);
    CHECK_EQ(events, 1); /* the waiter had it */
    CHECK_EQ(shutdown(b.fd, SHUT_WR), 0);
    let_events_in();
    CHECK_EQ(hangups, 1);
    CHECK(io_is_ready(&a, IO_READ));
    io_close(&b);
    let_events_in();
    CHECK_EQ(hangups, 1); /* once */
    io_close(&a);
}

static void test_callbacks(void)
{
    in_loop(callbacks);
}

static void hangup_with_waiter(void)
{
    struct io a, b;
    pair_open(&a, &b);
    let_events_in();
    hangups = 0;
    a.on_hangup = count_hangup;
    struct waiting w = {.io = &a};
    CHECK_EQ(co_spawn_now("w", wait_to_read, &w, &w.co), 0);
    io_close(&b);
    let_events_in();
    CHECK_EQ(hangups, 1);
    CHECK(w.done);
    CHECK_EQ(w.result, 0);
    io_close(&a);
}

static void test_hangup_with_waiter(void)
{
    in_loop(hangup_with_waiter);
}

static struct io *victims[3];
static int callbacks_run;

static void close_all(struct io *io)
{
    (void)io;
    callbacks_run++;
    for (int i = 0; i < 3; i++) {
        if (!victims[i])
            continue;
        io_close(victims[i]);
        free(victims[i]);
        victims[i] = NULL;
    }
}

static void event_after_close(struct io *io, int dirs)
{
    (void)io, (void)dirs;
    callbacks_run++;
}

/* Three events in one batch; the first callback closes and frees all three, its own among them. */
static void close_in_batch(void)
{
    struct io other[3];
    for (int i = 0; i < 3; i++) {
        victims[i] = malloc(sizeof *victims[i]);
        pair_open(victims[i], &other[i]);
    }
    let_events_in();
    callbacks_run = 0;
    for (int i = 0; i < 3; i++) {
        victims[i]->on_hangup = close_all;
        victims[i]->on_event = event_after_close;
        CHECK_EQ(shutdown(other[i].fd, SHUT_WR), 0);
    }
    let_events_in();
    CHECK_EQ(callbacks_run, 1);
    for (int i = 0; i < 3; i++)
        io_close(&other[i]);
}

static void test_close_in_batch(void)
{
    in_loop(close_in_batch);
}

static int served;

static void serve(void *arg)
{
    struct io *io = arg;
    char c;
    while (read(io->fd, &c, 1) == 1)
        served++;
    must(errno == EAGAIN);
    io_not_ready(io, IO_READ);
}

static void serve_event(struct io *io, int dirs)
{
    if (dirs & IO_READ)
        must(co_spawn_now("serve", serve, io, NULL) == 0);
}

/* The idle keep-alive connection: no coroutine until something comes. */
static void event_spawns(void)
{
    struct io a, b;
    pair_open(&a, &b);
    a.on_event = serve_event;
    served = 0;
    for (int i = 0; i < 5; i++) {
        CHECK_EQ(write(b.fd, "123", 3), 3);
        let_events_in();
    }
    CHECK_EQ(served, 15);
    struct loop_stats s;
    loop_stats(loop_self(), &s);
    CHECK_EQ(s.coroutines, 1);
    io_close(&a);
    io_close(&b);
}

static void test_event_spawns(void)
{
    in_loop(event_spawns);
}

int main(void)
{
    TAP_RUN(test_transfers);
    TAP_RUN(test_first_state);
    TAP_RUN(test_wait_timeout);
    TAP_RUN(test_wait_cancel);
    TAP_RUN(test_wait_closed);
    TAP_RUN(test_closed_after_event);
    TAP_RUN(test_read_and_write_together);
    TAP_RUN(test_pipes);
    TAP_RUN(test_release);
    TAP_RUN(test_open_fails);
    TAP_RUN(test_callbacks);
    TAP_RUN(test_hangup_with_waiter);
    TAP_RUN(test_close_in_batch);
    TAP_RUN(test_event_spawns);
    return tap_done();
}
