/*
 * TLS by OpenSSL, both directions. Contexts are process-wide, made on first use (loading the
 * system's roots costs tens of milliseconds, which a plain start-up must not pay), reference
 * counted, safe to share between threads. Minimum TLS 1.2. The OpenSSL error queue is drained at
 * once after each call.
 */
#ifndef SF_NET_TLS_H
#define SF_NET_TLS_H

#include "net/stream.h"

struct tls_ctx;

struct tls_client_settings {
    const char *ca_file;   /* PEM, instead of the system's roots; NULL = system */
    const char *cert_file; /* client certificate chain, PEM; NULL = none */
    const char *key_file;
    bool insecure; /* do not verify: only for tests, logged at start */
};
struct tls_server_settings {
    const char *cert_file, *key_file; /* PEM */
    const char *client_ca_file;       /* require client certificates signed by it; NULL = none */
};

/* 0 or -errno with a sentence for the operator in err (at least 256 bytes). */
int tls_client_ctx(
    const struct tls_client_settings *set, struct tls_ctx **ret, char *err, size_t err_n);
int tls_server_ctx(
    const struct tls_server_settings *set, struct tls_ctx **ret, char *err, size_t err_n);
struct tls_ctx *tls_ctx_ref(struct tls_ctx *c);
void tls_ctx_unref(struct tls_ctx *c);

/* Handshakes over an open plain stream. host is verified against the certificate (name or
 * address). 0, -ETIMEDOUT, -EPROTO (handshake), -EACCES (certificate refused; err says why). */
int tls_connect(struct stream *s, struct tls_ctx *c, struct str host, int64_t deadline, char *err,
    size_t err_n);
int tls_accept(struct stream *s, struct tls_ctx *c, int64_t deadline);

#endif
