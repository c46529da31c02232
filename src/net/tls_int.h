/*
 * Inside net: the TLS half of struct stream (tls_io.c) and the insides of a context (tls_ctx.c).
 */
#ifndef SF_NET_TLS_INT_H
#define SF_NET_TLS_INT_H

#include "net/tls.h"
#include <openssl/types.h>
#include <stdatomic.h>

struct tls_ctx {
    atomic_uint refs;
    atomic_bool ready; /* ctx is complete, including the system's roots */
    bool insecure, system_roots;
    SSL_CTX *ctx;
};

/* Completes a client context; loading the roots happens on the offload pool. Suspends. */
int tls_ctx_prepare(struct tls_ctx *c, int64_t deadline);

/* Puts a fresh TLS state on a plain stream; 0 or -ENOMEM. */
int tls_attach(struct stream *s, SSL_CTX *ctx);
/* Turns the result of an SSL_* call that failed into -EAGAIN, 0 (orderly end) or a negative errno,
 * and empties the error queue. */
int tls_result(struct stream *s, int rc);
/* Sends close_notify if that works at once, and frees the TLS state. */
void tls_close(struct stream *s);

ssize_t tls_try_read(struct stream *s, void *p, size_t n);
ssize_t tls_try_writev(struct stream *s, const struct iovec *iov, int n);
/* A read would return something: data, the end or an error. */
bool tls_has_input(struct stream *s);
/* What to wait for after -EAGAIN: the direction OpenSSL asked for, else dir. */
enum io_dir tls_wants(const struct stream *s, enum io_dir dir);

#endif
