/*
 * TLS handshakes over an open plain stream, as client and as server.
 *
 * A client verifies the name (or the address) it dialled, never what a resolver or proxy turned it
 * into. A handshake that fails leaves the stream open but useless: the caller closes it.
 *
 * Suspends: both functions, for the records of the peer and (a client's first) for the roots.
 */
#include "net/tls.h"
#include "base/macros.h"
#include "net/dial.h"
#include "net/tls_int.h"
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#define HOST_MOST 254 /* a DNS name and its NUL */

static int handshake(struct stream *s, int64_t deadline)
{
    for (;;) {
        ERR_clear_error();
        errno = 0;
        int r = SSL_do_handshake(s->ssl);
        if (r == 1)
            return 0;
        r = SSL_get_error(s->ssl, r);
        if (r != SSL_ERROR_WANT_READ && r != SSL_ERROR_WANT_WRITE)
            return -EPROTO; /* the cause is still in the error queue */
        r = io_wait(&s->io, r == SSL_ERROR_WANT_WRITE ? IO_WRITE : IO_READ, deadline);
        if (r < 0)
            return r;
    }
}

/* Takes the cause of a failed handshake out of the error queue. */
static int handshake_failed(struct stream *s, int r, char *err, size_t err_n)
{
    int sys = errno;
    s->tls_dead = true;
    long verdict = SSL_get_verify_result(s->ssl);
    unsigned long e = ERR_peek_error();
    int reason = ERR_GET_REASON(e);
    if (r == -ETIMEDOUT || r == -ECANCELED) {
        snprintf(err, err_n, "the handshake did not finish in time");
    } else if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
        snprintf(err, err_n, "certificate refused: %s", X509_verify_cert_error_string(verdict));
        r = -EACCES;
    } else if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
        snprintf(err, err_n, "certificate refused: the peer sent none");
        r = -EACCES;
    } else if (e == 0 || reason == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
        snprintf(err, err_n, "the peer closed the connection during the handshake%s%s",
            sys ? ": " : "", sys ? strerror(sys) : "");
    } else {
        const char *why = ERR_reason_error_string(e);
        snprintf(err, err_n, "%s", why ? why : "the handshake failed");
    }
    ERR_clear_error();
    return r;
}

/* Which certificate the peer must show: one for this address, or for this name among its
 * alternative names. The subject's common name, which OpenSSL would take where there are none, is
 * no host name (RFC 9525, section 2). */
static int expect_host(SSL *ssl, struct str host)
{
    char z[HOST_MOST];
    if (str_ends(host, STR(".")))
        host.n--; /* certificates name hosts without the root's dot */
    if (host.n == 0 || host.n >= sizeof(z) || memchr(host.p, 0, host.n))
        return -EINVAL;
    memcpy(z, host.p, host.n);
    z[host.n] = 0;
    struct net_addr a;
    if (net_addr_parse(host, 0, &a))
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), z) == 1 ? 0 : -EINVAL;
    SSL_set_hostflags(
        ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    if (SSL_set1_host(ssl, z) != 1 || SSL_set_tlsext_host_name(ssl, z) != 1)
        return -EINVAL;
    return 0;
}

int tls_connect(
    struct stream *s, struct tls_ctx *c, struct str host, int64_t deadline, char *err, size_t err_n)
{
    must(stream_is_open(s) && !s->ssl);
    int r = tls_ctx_prepare(c, deadline);
    if (r >= 0)
        r = tls_attach(s, c->ctx);
    if (r < 0) {
        snprintf(err, err_n, "cannot start TLS: %s", strerror(-r));
        return r;
    }
    s->tls_dead = true; /* until the handshake is done */
    r = expect_host(s->ssl, host);
    if (r < 0) {
        ERR_clear_error();
        snprintf(err, err_n, "the host name is not valid");
        return r;
    }
    SSL_set_connect_state(s->ssl);
    r = handshake(s, deadline);
    if (r < 0)
        return handshake_failed(s, r, err, err_n);
    s->tls_dead = false;
    return 0;
}

int tls_accept(struct stream *s, struct tls_ctx *c, int64_t deadline)
{
    must(stream_is_open(s) && !s->ssl);
    char err[256];
    int r = tls_attach(s, c->ctx);
    if (r < 0)
        return r;
    SSL_set_accept_state(s->ssl);
    r = handshake(s, deadline);
    return r < 0 ? handshake_failed(s, r, err, sizeof(err)) : 0;
}
