/*
 * struct stream: one byte stream over TCP, plain or TLS, bound to its thread's loop. Embedded in a
 * connection; owns its descriptor and TLS state until stream_close(). It must not move in memory
 * while open. A stream that is not open has io.fd == -1 (set it in memory that was merely zeroed).
 *
 * try_* never suspend and return -EAGAIN when nothing can be done now; the others suspend until
 * their deadline. Reads return > 0 bytes, 0 at an orderly end, or -errno. A TLS stream that ends
 * without close_notify returns -ECONNRESET (truncation must not look like an end).
 */
#ifndef SF_NET_STREAM_H
#define SF_NET_STREAM_H

#include "base/str.h"
#include "runtime/io.h"
#include <sys/types.h>
#include <sys/uio.h>

struct ssl_st;

struct stream {
    struct io io;
    struct ssl_st *ssl; /* NULL = plain */
    bool tls_dead;      /* a fatal TLS error happened: no shutdown message */
};

/* Plain; takes ownership of a non-blocking fd, and closes it on failure. Sets TCP_NODELAY. */
int stream_open(struct stream *s, int fd);
void stream_close(struct stream *s); /* idempotent; sends close_notify if it can at once */
bool stream_is_open(const struct stream *s);

/* n > 0. */
ssize_t stream_try_read(struct stream *s, void *p, size_t n);
ssize_t stream_read(struct stream *s, void *p, size_t n, int64_t deadline);
/* Over TLS one record at most (16 KiB); after -EAGAIN the next call must begin with the same bytes.
 */
ssize_t stream_try_writev(struct stream *s, const struct iovec *iov, int n);
/* Writes all of it: 0 or -errno. iov is used up (its entries change). */
int stream_writev(struct stream *s, struct iovec *iov, int n, int64_t deadline);
int stream_write(struct stream *s, struct str bytes, int64_t deadline);
/* 0 when a read would not suspend (data, TLS-buffered data, or the end). */
int stream_wait_readable(struct stream *s, int64_t deadline);
/* How much of what was written the kernel holds back, because the peer or the way to it does not
 * take more. A system call. */
size_t stream_unsent(const struct stream *s);
/* False when an idle stream got bytes or an end: a pooled connection that must not be reused. */
bool stream_is_quiet(struct stream *s);

#endif
