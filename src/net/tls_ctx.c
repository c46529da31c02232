/*
 * TLS contexts: certificates, roots and policy, shared by many connections and threads.
 *
 * Files that an operator names are read when the context is made, so that a wrong path is reported
 * at start. What costs time without being able to fail usefully is left to the first handshake: the
 * library's own start, and the system's roots (tens of milliseconds), which all contexts share in
 * one store. tls_ctx_prepare() does that on the offload pool, so that no loop stands still.
 *
 * A context is reference counted; after it is `ready` it never changes, so readers need no lock.
 */
#include "base/macros.h"
#include "net/tls_int.h"
#include "runtime/offload.h"
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ALPN: the one protocol we speak, as length and name. */
static const unsigned char alpn[] = "\x08http/1.1";
#define ALPN_BYTES (sizeof(alpn) - 1)

/* Guards the completion of contexts and the shared roots. */
static pthread_mutex_t prepare_lock = PTHREAD_MUTEX_INITIALIZER;
static X509_STORE *shared_roots; /* kept for the life of the process */

static int no_passphrase(char *buf, int n, int writing, void *arg)
{
    return -1; /* never ask on the terminal: an encrypted key is an error */
}

static SSL_CTX *new_ssl_ctx(const SSL_METHOD *method)
{
    SSL_CTX *c = SSL_CTX_new(method);
    if (!c)
        return NULL;
    SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION);
    SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_clear_options(c, SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                            SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_default_passwd_cb(c, no_passphrase);
    return c;
}

/* --- files ------------------------------------------------------------------------------------ */

/* A sentence about a file that could not be used; takes the cause from OpenSSL or from errno. */
static int bad_file(const char *what, const char *file, char *err, size_t err_n)
{
    int r = access(file, R_OK) < 0 ? -errno : -EINVAL;
    const char *why = r == -EINVAL ? ERR_reason_error_string(ERR_peek_error()) : strerror(-r);
    snprintf(err, err_n, "cannot use %s \"%s\": %s", what, file, why ? why : "not valid PEM");
    ERR_clear_error();
    return r;
}

static int load_own_cert(SSL_CTX *c, const char *cert, const char *key, char *err, size_t err_n)
{
    if (!cert || !key) {
        snprintf(err, err_n, "a certificate needs both a certificate file and a key file");
        return -EINVAL;
    }
    if (SSL_CTX_use_certificate_chain_file(c, cert) != 1)
        return bad_file("certificate file", cert, err, err_n);
    if (SSL_CTX_use_PrivateKey_file(c, key, SSL_FILETYPE_PEM) != 1)
        return bad_file("key file", key, err, err_n);
    return 0;
}

static int load_authorities(SSL_CTX *c, const char *file, char *err, size_t err_n)
{
    if (SSL_CTX_load_verify_file(c, file) != 1)
        return bad_file("CA file", file, err, err_n);
    return 0;
}

/* --- reference counting ----------------------------------------------------------------------- */

static struct tls_ctx *new_ctx(void)
{
    struct tls_ctx *c = calloc(1, sizeof(*c));
    if (c)
        atomic_init(&c->refs, 1);
    return c;
}

struct tls_ctx *tls_ctx_ref(struct tls_ctx *c)
{
    if (c)
        atomic_fetch_add(&c->refs, 1);
    return c;
}

void tls_ctx_unref(struct tls_ctx *c)
{
    if (!c || atomic_fetch_sub(&c->refs, 1) != 1)
        return;
    SSL_CTX_free(c->ctx);
    free(c);
}

static void unref_ctxp(struct tls_ctx **c)
{
    tls_ctx_unref(*c);
}

/* --- client contexts -------------------------------------------------------------------------- */

/* The store of the platform: the usual bundle files in one go, else OpenSSL's own places. */
static X509_STORE *load_system_roots(void)
{
    static const char *const bundles[] = {"/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem", "/etc/ssl/ca-bundle.pem"};
    X509_STORE *store = X509_STORE_new();
    if (!store)
        return NULL;
    bool loaded = false;
    if (!getenv("SSL_CERT_FILE") && !getenv("SSL_CERT_DIR"))
        for (size_t i = 0; i < ARRAY_LEN(bundles) && !loaded; i++)
            loaded = access(bundles[i], R_OK) == 0 && X509_STORE_load_file(store, bundles[i]) == 1;
    if (!loaded)
        (void)X509_STORE_set_default_paths(store); /* reads SSL_CERT_FILE and SSL_CERT_DIR */
    ERR_clear_error();
    return store;
}

static int client_ssl_ctx(struct tls_ctx *c)
{
    c->ctx = new_ssl_ctx(TLS_client_method());
    if (!c->ctx)
        return -ENOMEM;
    SSL_CTX_set_verify(c->ctx, c->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_session_cache_mode(c->ctx, SSL_SESS_CACHE_OFF);
    return SSL_CTX_set_alpn_protos(c->ctx, alpn, ALPN_BYTES) == 0 ? 0 : -ENOMEM;
}

static int complete_locked(struct tls_ctx *c)
{
    if (!c->ctx) {
        int r = client_ssl_ctx(c);
        if (r < 0)
            return r;
    }
    if (c->system_roots) {
        if (!shared_roots)
            shared_roots = load_system_roots();
        if (!shared_roots)
            return -ENOMEM;
        SSL_CTX_set1_cert_store(c->ctx, shared_roots);
    }
    atomic_store(&c->ready, true);
    return 0;
}

static int complete(void *data)
{
    struct tls_ctx *c = data;
    pthread_mutex_lock(&prepare_lock);
    int r = atomic_load(&c->ready) ? 0 : complete_locked(c);
    pthread_mutex_unlock(&prepare_lock);
    return r;
}

static void drop_ctx(void *data)
{
    tls_ctx_unref(data);
}

int tls_ctx_prepare(struct tls_ctx *c, int64_t deadline)
{
    if (likely(atomic_load_explicit(&c->ready, memory_order_acquire)))
        return 0;
    int r = offload_run(complete, tls_ctx_ref(c), drop_ctx, deadline);
    if (r == -ETIMEDOUT || r == -ECANCELED)
        return r;     /* the job keeps the reference */
    if (r == -EAGAIN) /* the pool is full: standing still for once is better than failing */
        r = complete(c);
    tls_ctx_unref(c);
    return r;
}

int tls_client_ctx(
    const struct tls_client_settings *set, struct tls_ctx **ret, char *err, size_t err_n)
{
    _cleanup_(unref_ctxp) struct tls_ctx *c = new_ctx();
    if (!c)
        return -ENOMEM;
    c->insecure = set->insecure;
    c->system_roots = !set->ca_file && !set->insecure;
    if (set->ca_file || set->cert_file || set->key_file) {
        int r = client_ssl_ctx(c);
        if (r < 0) {
            snprintf(err, err_n, "cannot start TLS: out of memory");
            return r;
        }
        if (set->ca_file && (r = load_authorities(c->ctx, set->ca_file, err, err_n)) < 0)
            return r;
        if ((set->cert_file || set->key_file) &&
            (r = load_own_cert(c->ctx, set->cert_file, set->key_file, err, err_n)) < 0)
            return r;
    }
    *ret = c;
    c = NULL;
    return 0;
}

/* --- server contexts -------------------------------------------------------------------------- */

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n,
    const unsigned char *in, unsigned in_n, void *arg)
{
    unsigned char *found;
    if (SSL_select_next_proto(&found, out_n, alpn, ALPN_BYTES, in, in_n) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = found;
    return SSL_TLSEXT_ERR_OK;
}

static int require_client_certs(SSL_CTX *c, const char *file, char *err, size_t err_n)
{
    int r = load_authorities(c, file, err, err_n);
    if (r < 0)
        return r;
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(file);
    if (!names)
        return bad_file("CA file", file, err, err_n);
    SSL_CTX_set_client_CA_list(c, names);
    SSL_CTX_set_verify(c, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return 0;
}

int tls_server_ctx(
    const struct tls_server_settings *set, struct tls_ctx **ret, char *err, size_t err_n)
{
    _cleanup_(unref_ctxp) struct tls_ctx *c = new_ctx();
    if (!c)
        return -ENOMEM;
    c->ctx = new_ssl_ctx(TLS_server_method());
    if (!c->ctx) {
        snprintf(err, err_n, "cannot start TLS: out of memory");
        return -ENOMEM;
    }
    int r = load_own_cert(c->ctx, set->cert_file, set->key_file, err, err_n);
    if (r < 0)
        return r;
    if (set->client_ca_file &&
        (r = require_client_certs(c->ctx, set->client_ca_file, err, err_n)) < 0)
        return r;
    /* Needed for resumption once client certificates are verified. No cache: tickets only. */
    SSL_CTX_set_session_id_context(c->ctx, (const unsigned char *)"smartflow", 9);
    SSL_CTX_set_session_cache_mode(c->ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_alpn_select_cb(c->ctx, choose_alpn, NULL);
    atomic_store(&c->ready, true);
    *ret = c;
    c = NULL;
    return 0;
}
