/*
 * TLS records over a struct io.
 *
 * OpenSSL gets at the socket through a BIO of our own, for three reasons: it sends with
 * MSG_NOSIGNAL; it honours the readiness marks, so that a call which cannot succeed costs no system
 * call; and a short receive clears the mark like in the plain case, which saves the receive that
 * would only say EAGAIN. Read-ahead is on: a record and its header come in one receive.
 *
 * Because OpenSSL may hold received bytes, readiness of the socket is not the whole truth for a
 * reader: tls_has_input() and tls_try_read() look inside first.
 *
 * Writing: entries smaller than a record are gathered into one, since each record costs a
 * header, a tag and possibly a packet. One call writes at most one record. When it could not be
 * sent whole, OpenSSL keeps it and wants to see the same bytes again; the callers go on with the
 * same entries, so that gathering them yields the same bytes (the address may differ:
 * ACCEPT_MOVING_WRITE_BUFFER).
 *
 * Nothing here suspends. The error queue of OpenSSL is per thread and empty between calls.
 */
#include "base/macros.h"
#include "net/tls_int.h"
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <sys/socket.h>

#define RECORD_BYTES 16384

static int bio_again(BIO *b, struct io *io, enum io_dir dir)
{
    io_not_ready(io, dir);
    if (dir == IO_READ)
        BIO_set_retry_read(b);
    else
        BIO_set_retry_write(b);
    return -1;
}

static int bio_recv(BIO *b, char *p, int n)
{
    struct io *io = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    if (!io_is_ready(io, IO_READ))
        return bio_again(b, io, IO_READ);
    ssize_t r;
    do {
        r = recv(io->fd, p, (size_t)n, 0);
    } while (r < 0 && errno == EINTR);
    if (r < 0 && errno == EAGAIN)
        return bio_again(b, io, IO_READ);
    if (r == 0)
        BIO_set_flags(b, BIO_FLAGS_IN_EOF);
    if (r > 0 && r < n && !io->hangup)
        io_not_ready(io, IO_READ);
    return (int)r;
}

static int bio_send(BIO *b, const char *p, int n)
{
    struct io *io = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    if (!io_is_ready(io, IO_WRITE))
        return bio_again(b, io, IO_WRITE);
    ssize_t r;
    do {
        r = send(io->fd, p, (size_t)n, MSG_NOSIGNAL);
    } while (r < 0 && errno == EINTR);
    if (r < 0 && errno == EAGAIN)
        return bio_again(b, io, IO_WRITE);
    if (r >= 0 && r < n)
        io_not_ready(io, IO_WRITE);
    return (int)r;
}

static long bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
    if (cmd == BIO_CTRL_EOF)
        return BIO_test_flags(b, BIO_FLAGS_IN_EOF) != 0;
    return cmd == BIO_CTRL_FLUSH; /* nothing is held back here */
}

static BIO_METHOD *io_method;

static void make_io_method(void)
{
    int type = BIO_get_new_index();
    if (type == -1)
        return;
    io_method = BIO_meth_new(type | BIO_TYPE_SOURCE_SINK, "io");
    if (!io_method)
        return;
    BIO_meth_set_read(io_method, bio_recv);
    BIO_meth_set_write(io_method, bio_send);
    BIO_meth_set_ctrl(io_method, bio_ctrl);
}

int tls_attach(struct stream *s, SSL_CTX *ctx)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_io_method);
    BIO *b = io_method ? BIO_new(io_method) : NULL;
    SSL *ssl = b ? SSL_new(ctx) : NULL;
    if (!ssl) {
        BIO_free(b);
        ERR_clear_error();
        return -ENOMEM;
    }
    BIO_set_data(b, &s->io);
    BIO_set_init(b, 1);
    SSL_set_bio(ssl, b, b);
    SSL_set_read_ahead(ssl, 1);
    s->ssl = ssl;
    s->tls_dead = false;
    return 0;
}

int tls_result(struct stream *s, int rc)
{
    int sys = errno;
    int e = SSL_get_error(s->ssl, rc);
    if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE)
        return -EAGAIN;
    if (e == SSL_ERROR_ZERO_RETURN &&
        !s->tls_dead) /* a second read after a fatal alert says so too */
        return 0;
    bool cut = ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
    ERR_clear_error();
    s->tls_dead = true;
    if (e == SSL_ERROR_SYSCALL || e == SSL_ERROR_ZERO_RETURN)
        return sys != 0 ? -sys : -ECONNRESET;
    return cut ? -ECONNRESET : -EPROTO;
}

void tls_close(struct stream *s)
{
    ERR_clear_error();
    if (!s->tls_dead && SSL_is_init_finished(s->ssl))
        (void)SSL_shutdown(s->ssl);
    SSL_free(s->ssl);
    s->ssl = NULL;
    ERR_clear_error();
}

/* Without any of these a read can only say EAGAIN, after allocating a record buffer to find out. */
static bool read_may_help(const struct stream *s)
{
    return io_is_ready(&s->io, IO_READ) || SSL_has_pending(s->ssl) || SSL_want_write(s->ssl) ||
           s->tls_dead || SSL_get_shutdown(s->ssl) & SSL_RECEIVED_SHUTDOWN;
}

ssize_t tls_try_read(struct stream *s, void *p, size_t n)
{
    if (!read_may_help(s))
        return -EAGAIN;
    ERR_clear_error();
    errno = 0;
    int r = SSL_read(s->ssl, p, (int)MIN(n, (size_t)INT32_MAX));
    return r > 0 ? r : tls_result(s, r);
}

bool tls_has_input(struct stream *s)
{
    if (SSL_pending(s->ssl) > 0)
        return true;
    if (!read_may_help(s))
        return false;
    ERR_clear_error();
    errno = 0;
    char c;
    int r = SSL_peek(s->ssl, &c, 1);
    return r > 0 || tls_result(s, r) != -EAGAIN;
}

enum io_dir tls_wants(const struct stream *s, enum io_dir dir)
{
    if (SSL_want_write(s->ssl))
        return IO_WRITE;
    return SSL_want_read(s->ssl) ? IO_READ : dir;
}

static int write_record(struct stream *s, const void *p, size_t n)
{
    ERR_clear_error();
    errno = 0;
    int r = SSL_write(s->ssl, p, (int)MIN(n, (size_t)RECORD_BYTES));
    if (r > 0)
        return r;
    r = tls_result(s, r);
    return r == 0 ? -EPIPE : r;
}

ssize_t tls_try_writev(struct stream *s, const struct iovec *iov, int n)
{
    while (n > 0 && iov->iov_len == 0) {
        iov++;
        n--;
    }
    if (n == 1 || iov->iov_len >= RECORD_BYTES)
        return write_record(s, iov->iov_base, iov->iov_len);

    /* Per thread, because it is too large for a coroutine's stack; not held across a wait. */
    static _Thread_local char record[RECORD_BYTES];
    size_t have = 0;
    for (int i = 0; i < n && have < RECORD_BYTES; i++) {
        size_t take = MIN(iov[i].iov_len, RECORD_BYTES - have);
        if (take > 0)
            memcpy(record + have, iov[i].iov_base, take);
        have += take;
    }
    return write_record(s, record, have);
}
