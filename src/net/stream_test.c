/*
 * Plain streams over loopback: reading, writing, readiness, the ways to end, deadlines and
 * cancellation.
 */
#include "net/net_test.h"
#include <netinet/tcp.h>

IN_LOOP(test_read_write)
{
    STREAM a, b;
    stream_pair(&a, &b);
    char got[16];
    CHECK(stream_is_open(&a));
    CHECK_EQ(stream_write(&a, STR("hello"), far()), 0);
    CHECK_EQ(stream_read(&b, got, sizeof(got), far()), 5);
    CHECK_STR(str_at(got, 5), STR("hello"));
    CHECK_EQ(stream_try_read(&b, got, sizeof(got)), -EAGAIN);
    CHECK_EQ(stream_write(&a, STR(""), far()), 0);
    CHECK_EQ(stream_try_writev(&a, NULL, 0), 0);
}

IN_LOOP(test_no_delay)
{
    STREAM a, b;
    stream_pair(&a, &b);
    int on = 0;
    CHECK_EQ(getsockopt(b.io.fd, IPPROTO_TCP, TCP_NODELAY, &on, &(socklen_t){sizeof(on)}), 0);
    CHECK(on != 0);
}

IN_LOOP(test_readiness)
{
    STREAM a, b;
    stream_pair(&a, &b);
    char got[8];
    CHECK_EQ(stream_write(&a, STR("abcdef"), far()), 0);
    CHECK_EQ(stream_wait_readable(&b, far()), 0);
    CHECK_EQ(stream_try_read(&b, got, 3), 3);
    CHECK(io_is_ready(&b.io, IO_READ)); /* all that was asked for: there may be more */
    CHECK_EQ(stream_try_read(&b, got, 8), 3);
    CHECK(!io_is_ready(&b.io, IO_READ)); /* less: the kernel is empty, no call is needed to know */
    CHECK_EQ(stream_try_read(&b, got, 8), -EAGAIN);
}

IN_LOOP(test_timeout)
{
    STREAM a, b;
    stream_pair(&a, &b);
    char c;
    CHECK_EQ(stream_read(&b, &c, 1, soon()), -ETIMEDOUT);
    CHECK_EQ(stream_wait_readable(&b, soon()), -ETIMEDOUT);
    CHECK_EQ(stream_write(&a, STR("x"), far()), 0);
    CHECK_EQ(stream_read(&b, &c, 1, far()), 1); /* it can go on after a timeout */
}

static int reader_result;

static void read_for_ever(void *arg)
{
    char c;
    reader_result = (int)stream_read(arg, &c, 1, far());
}

IN_LOOP(test_cancel)
{
    STREAM a, b;
    stream_pair(&a, &b);
    struct co *co;
    reader_result = 1;
    CHECK_EQ(co_spawn_now("reader", read_for_ever, &b, &co), 0);
    CHECK_EQ(reader_result, 1);
    co_cancel(co);
    co_yield ();
    CHECK_EQ(reader_result, -ECANCELED);
}

IN_LOOP(test_close_wakes_reader)
{
    STREAM a, b;
    stream_pair(&a, &b);
    reader_result = 1;
    CHECK_EQ(co_spawn_now("reader", read_for_ever, &b, NULL), 0);
    stream_close(&b);
    co_yield ();
    CHECK_EQ(reader_result, -ECANCELED);
}

IN_LOOP(test_half_close)
{
    STREAM a, b;
    stream_pair(&a, &b);
    char got[64];
    CHECK_EQ(stream_write(&a, STR("last words"), far()), 0);
    CHECK_EQ(shutdown(a.io.fd, SHUT_WR), 0);
    CHECK_EQ(stream_read(&b, got, sizeof(got), far()), 10);
    CHECK_EQ(stream_read(&b, got, sizeof(got), far()), 0);
    CHECK_EQ(stream_read(&b, got, sizeof(got), far()), 0); /* the end stays the end */
    CHECK_EQ(stream_wait_readable(&b, far()), 0);
    CHECK_EQ(stream_write(&b, STR("reply"), far()), 0); /* the other direction lives */
    CHECK_EQ(stream_read(&a, got, sizeof(got), far()), 5);
}

IN_LOOP(test_data_and_end_together)
{
    STREAM a, b;
    stream_pair(&a, &b);
    char got[64];
    CHECK_EQ(stream_write(&a, STR("bye"), far()), 0);
    stream_close(&a);
    CHECK_EQ(stream_wait_readable(&b, far()), 0);
    co_yield (); /* both events have come by now, in one edge or in two */
    CHECK_EQ(stream_read(&b, got, sizeof(got), far()), 3);
    CHECK_EQ(stream_read(&b, got, sizeof(got), far()), 0);
}

IN_LOOP(test_reset)
{
    STREAM a, b;
    stream_pair(&a, &b);
    char c;
    stream_reset(&a);
    CHECK_EQ(stream_read(&b, &c, 1, far()), -ECONNRESET);
    CHECK_EQ(stream_write(&b, STR("x"), far()), -EPIPE); /* and no signal */
}

IN_LOOP(test_write_to_closed)
{
    STREAM a, b;
    stream_pair(&a, &b);
    stream_close(&b);
    int r = 0;
    while (r == 0) /* the first write provokes the reset */
        r = stream_write(&a, STR("x"), far());
    CHECK(r == -EPIPE || r == -ECONNRESET);
}

IN_LOOP(test_closed_stream)
{
    STREAM a, b;
    stream_pair(&a, &b);
    char c;
    stream_close(&a);
    stream_close(&a);
    CHECK(!stream_is_open(&a));
    CHECK_EQ(stream_try_read(&a, &c, 1), -EBADF);
    CHECK_EQ(stream_read(&a, &c, 1, far()), -EBADF);
    CHECK_EQ(stream_write(&a, STR("x"), far()), -EBADF);
    CHECK_EQ(stream_wait_readable(&a, far()), -EBADF);
    CHECK(!stream_is_quiet(&a));
}

IN_LOOP(test_open_bad_fd)
{
    struct stream s;
    CHECK(stream_open(&s, 1000000) < 0);
    CHECK(!stream_is_open(&s));
    stream_close(&s);
}

IN_LOOP(test_quiet)
{
    STREAM a, b, c, d;
    stream_pair(&a, &b);
    stream_pair(&c, &d);
    CHECK(stream_is_quiet(&b));
    CHECK_EQ(stream_write(&a, STR("x"), far()), 0);
    CHECK_EQ(stream_wait_readable(&b, far()), 0);
    CHECK(!stream_is_quiet(&b));
    char got[2];
    CHECK_EQ(stream_read(&b, got, 1, far()), 1);
    CHECK(io_is_ready(&b.io, IO_READ)); /* marked, but in truth empty */
    CHECK(stream_is_quiet(&b));
    stream_close(&c);
    CHECK_EQ(stream_wait_readable(&d, far()), 0);
    CHECK(!stream_is_quiet(&d));
}

/* --- more than the kernel takes --------------------------------------------------------------- */

#define BIG (6u << 20)

static char *big;

static void make_big(void)
{
    big = malloc(BIG);
    must(big);
    uint32_t x = 1;
    for (size_t i = 0; i < BIG; i++)
        big[i] = (char)((x = x * 1664525 + 1013904223) >> 24);
}

struct writing {
    struct stream *s;
    int result;
};

/* In pieces of odd sizes with empty ones between, more of them than one system call takes. */
static int write_big(void *arg)
{
    struct writing *w = arg;
    static struct iovec iov[4000];
    size_t n = 0, at = 0;
    while (at < BIG && n + 2 < ARRAY_LEN(iov)) {
        size_t take = MIN(BIG - at, 1 + (n * 7919) % 4096);
        if (n + 4 >= ARRAY_LEN(iov))
            take = BIG - at;
        iov[n++] = (struct iovec){.iov_base = big + at, .iov_len = take};
        iov[n++] = (struct iovec){.iov_base = NULL};
        at += take;
    }
    must(at == BIG);
    w->result = stream_writev(w->s, iov, (int)n, far());
    return 0;
}

IN_LOOP(test_big_writev_slow_reader)
{
    STREAM a, b;
    stream_pair(&a, &b);
    struct writing w = {.s = &a, .result = 1};
    struct group g;
    char chunk[5000];
    size_t at = 0;
    group_init(&g, false);
    CHECK_EQ(group_spawn(&g, "writer", write_big, &w), 0);
    while (at < BIG) {
        ssize_t got = stream_read(&b, chunk, sizeof(chunk), far());
        CHECK(got > 0);
        CHECK(memcmp(chunk, big + at, (size_t)got) == 0);
        at += (size_t)got;
        if (at % 3 == 0)
            co_yield ();
    }
    CHECK_EQ(group_wait(&g, far()), 0);
    CHECK_EQ(w.result, 0);
}

IN_LOOP(test_unsent)
{
    STREAM a, b;
    char piece[4096] = {0}, got[4096];
    struct iovec one;
    size_t written = 0, read = 0;
    stream_pair(&a, &b);
    CHECK_EQ(stream_write(&a, STR("hi"), far()), 0);
    CHECK_EQ(read_all(&b, got, 2), 2);
    CHECK_EQ(stream_unsent(&a), 0);
    do
        one = (struct iovec){piece, sizeof(piece)};
    while (stream_try_writev(&a, &one, 1) > 0 && ++written);
    CHECK(stream_unsent(&a) > 0); /* b's window is full */
    CHECK(stream_unsent(&a) < written * sizeof(piece));
    while (stream_unsent(&a) > 0 && stream_read(&b, got, sizeof(got), far()) > 0)
        read++;
    CHECK(read > 0);
}

IN_LOOP(test_write_timeout)
{
    STREAM a, b;
    stream_pair(&a, &b);
    int r = 0;
    while (r == 0)
        r = stream_write(&a, str_at(big, BIG), soon());
    CHECK_EQ(r, -ETIMEDOUT);
    struct iovec iov = {.iov_base = big, .iov_len = 1};
    CHECK_EQ(stream_try_writev(&a, &iov, 1), -EAGAIN);
}

int main(void)
{
    make_big();
    TAP_RUN(test_read_write);
    TAP_RUN(test_no_delay);
    TAP_RUN(test_readiness);
    TAP_RUN(test_timeout);
    TAP_RUN(test_cancel);
    TAP_RUN(test_close_wakes_reader);
    TAP_RUN(test_half_close);
    TAP_RUN(test_data_and_end_together);
    TAP_RUN(test_reset);
    TAP_RUN(test_write_to_closed);
    TAP_RUN(test_closed_stream);
    TAP_RUN(test_open_bad_fd);
    TAP_RUN(test_quiet);
    TAP_RUN(test_big_writev_slow_reader);
    TAP_RUN(test_unsent);
    TAP_RUN(test_write_timeout);
    free(big);
    return tap_done();
}
