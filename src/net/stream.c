/*
 * Byte streams: the plain half, and what plain and TLS share.
 *
 * A stream is a struct io plus an optional TLS state; it holds no buffers of its own, so that ten
 * thousand idle ones cost little. Data goes straight between the kernel (or OpenSSL's record
 * buffer) and the memory of the caller.
 *
 * Readiness: epoll is edge-triggered and struct io remembers the edges. A read asks the kernel only
 * while the direction is marked ready, and a short read clears the mark: the kernel had no more,
 * and whatever comes later makes a new edge. The exception is a peer that has closed: its end needs
 * no further edge, so the mark stays until the end itself has been read.
 *
 * Suspends: stream_read, stream_writev, stream_write, stream_wait_readable, in io_wait() alone.
 */
#include "net/stream.h"
#include "base/macros.h"
#include "net/tls_int.h"
#include "runtime/co.h"
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define IOV_MOST 1024 /* the kernel's UIO_MAXIOV */

int stream_open(struct stream *s, int fd)
{
    *s = (struct stream){.io.fd = -1};
    int r = io_open(&s->io, fd);
    if (r < 0) {
        s->io.fd = -1;
        close(fd);
        return r;
    }
    /* Fails only on what is not TCP, such as the socket pairs of tests. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    /* A fresh connection can be written to; the first edge would say so one turn later. */
    s->io.ready |= IO_WRITE;
    return 0;
}

bool stream_is_open(const struct stream *s)
{
    return s->io.fd >= 0;
}

void stream_close(struct stream *s)
{
    if (!stream_is_open(s))
        return;
    if (s->ssl)
        tls_close(s);
    io_close(&s->io);
    s->io.fd = -1;
}

static ssize_t plain_try_read(struct stream *s, void *p, size_t n)
{
    ssize_t r;
    do {
        r = recv(s->io.fd, p, n, 0);
    } while (r < 0 && errno == EINTR);
    if (r < 0) {
        if (errno != EAGAIN)
            return -errno;
        io_not_ready(&s->io, IO_READ);
        return -EAGAIN;
    }
    if (r > 0 && (size_t)r < n && !s->io.hangup)
        io_not_ready(&s->io, IO_READ);
    return r;
}

ssize_t stream_try_read(struct stream *s, void *p, size_t n)
{
    must(n > 0); /* a read of nothing would look like the end */
    if (!stream_is_open(s))
        return -EBADF;
    if (s->ssl)
        return tls_try_read(s, p, n);
    if (!io_is_ready(&s->io, IO_READ))
        return -EAGAIN;
    return plain_try_read(s, p, n);
}

/* TLS may have to write in order to read, or the reverse (tickets, key updates); it then says so.
 * If a coroutine waits in that direction already, it will move the records along: look again soon.
 */
static int wait_for(struct stream *s, enum io_dir dir, int64_t deadline)
{
    enum io_dir want = s->ssl ? tls_wants(s, dir) : dir;
    int r = io_wait(&s->io, want, deadline);
    if (r != -EBUSY || want == dir)
        return r;
    int64_t soon = clock_now() + NS_PER_MS;
    r = co_sleep_until(MIN(deadline, soon));
    return r < 0 || soon < deadline ? r : -ETIMEDOUT;
}

ssize_t stream_read(struct stream *s, void *p, size_t n, int64_t deadline)
{
    for (;;) {
        ssize_t got = stream_try_read(s, p, n);
        if (got != -EAGAIN)
            return got;
        int r = wait_for(s, IO_READ, deadline);
        if (r < 0)
            return r;
    }
}

static size_t iov_bytes(const struct iovec *iov, int n)
{
    size_t sum = 0;
    for (int i = 0; i < n; i++)
        sum += iov[i].iov_len;
    return sum;
}

static ssize_t plain_try_writev(struct stream *s, const struct iovec *iov, int n)
{
    struct msghdr m = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n};
    ssize_t r;
    do {
        r = sendmsg(s->io.fd, &m, MSG_NOSIGNAL);
    } while (r < 0 && errno == EINTR);
    if (r < 0) {
        if (errno != EAGAIN)
            return -errno;
        io_not_ready(&s->io, IO_WRITE);
        return -EAGAIN;
    }
    if ((size_t)r < iov_bytes(iov, n))
        io_not_ready(&s->io, IO_WRITE);
    return r;
}

ssize_t stream_try_writev(struct stream *s, const struct iovec *iov, int n)
{
    if (!stream_is_open(s))
        return -EBADF;
    n = MIN(n, IOV_MOST);
    if (iov_bytes(iov, n) == 0)
        return 0;
    if (s->ssl)
        return tls_try_writev(s, iov, n);
    if (!io_is_ready(&s->io, IO_WRITE))
        return -EAGAIN;
    return plain_try_writev(s, iov, n);
}

/* Takes done bytes, and any empty entries, off the front. */
static void iov_advance(struct iovec **iov, int *n, size_t done)
{
    while (*n > 0 && done >= (*iov)->iov_len) {
        done -= (*iov)->iov_len;
        (*iov)++;
        (*n)--;
    }
    if (*n > 0) {
        (*iov)->iov_base = (char *)(*iov)->iov_base + done;
        (*iov)->iov_len -= done;
    }
}

int stream_writev(struct stream *s, struct iovec *iov, int n, int64_t deadline)
{
    iov_advance(&iov, &n, 0);
    while (n > 0) {
        ssize_t done = stream_try_writev(s, iov, n);
        if (done >= 0) {
            iov_advance(&iov, &n, (size_t)done);
            continue;
        }
        if (done != -EAGAIN)
            return (int)done;
        int r = wait_for(s, IO_WRITE, deadline);
        if (r < 0)
            return r;
    }
    return 0;
}

int stream_write(struct stream *s, struct str bytes, int64_t deadline)
{
    struct iovec iov = {.iov_base = (char *)bytes.p, .iov_len = bytes.n};
    return stream_writev(s, &iov, 1, deadline);
}

int stream_wait_readable(struct stream *s, int64_t deadline)
{
    if (!stream_is_open(s))
        return -EBADF;
    if (!s->ssl)
        return io_wait(&s->io, IO_READ, deadline);
    while (!tls_has_input(s)) {
        int r = wait_for(s, IO_READ, deadline);
        if (r < 0)
            return r;
    }
    return 0;
}

size_t stream_unsent(const struct stream *s)
{
    int n = 0;
    return ioctl(s->io.fd, SIOCOUTQNSD, &n) == 0 && n > 0 ? (size_t)n : 0;
}

bool stream_is_quiet(struct stream *s)
{
    if (!stream_is_open(s))
        return false;
    if (s->ssl)
        return !tls_has_input(s);
    if (!io_is_ready(&s->io, IO_READ))
        return true;
    char c;
    if (recv(s->io.fd, &c, 1, MSG_PEEK) >= 0 || errno != EAGAIN)
        return false;
    io_not_ready(&s->io, IO_READ);
    return true;
}
