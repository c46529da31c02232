/*
 * What the tests of net share: a loop to run in, loopback sockets, and certificates made on the
 * spot.
 */
#ifndef SF_NET_NET_TEST_H
#define SF_NET_NET_TEST_H

#include "base/tap.h"
#include "net/net_int.h"
#include "net/tls_int.h"
#include "runtime/co.h"
#include "runtime/loop.h"
#include "runtime/offload.h"
#include "runtime/sync.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- a loop ----------------------------------------------------------------------------------- */

static inline void body_then_stop(void *arg)
{
    void (*fn)(void) = *(void (**)(void))arg;
    fn();
    loop_stop(loop_self());
}

/* Runs fn as a coroutine on a loop of its own. */
static inline void in_loop(void (*fn)(void))
{
    struct loop *l = NULL;
    must(loop_new(0, &l) == 0);
    loop_bind(l);
    must(co_spawn("test", body_then_stop, &fn, NULL) == 0);
    loop_run(l);
    loop_free(l);
}

/* A test function whose body runs in a loop. */
#define IN_LOOP(name)                                                                              \
    static void name##_body(void);                                                                 \
    static void name(void)                                                                         \
    {                                                                                              \
        in_loop(name##_body);                                                                      \
    }                                                                                              \
    static void name##_body(void)

/* In a coroutine: must not be reached. */
static inline int64_t far(void)
{
    return clock_now() + 60 * NS_PER_S;
}

/* In a coroutine: is meant to be reached. */
static inline int64_t soon(void)
{
    return clock_now() + 20 * NS_PER_MS;
}

/* --- loopback --------------------------------------------------------------------------------- */

static inline int listen_on(const char *ip, uint16_t port, int backlog, uint16_t *ret_port)
{
    int fd = net_listen(str_of(ip), port, false, backlog, ret_port);
    return fd;
}

static inline int accept_one(int listener, int64_t deadline)
{
    struct io io;
    must(io_open(&io, listener) == 0);
    int fd = -EAGAIN;
    while (fd == -EAGAIN) {
        fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && errno != EAGAIN)
            fd = -errno;
        else if (fd < 0) {
            io_not_ready(&io, IO_READ);
            int r = io_wait(&io, IO_READ, deadline);
            fd = r < 0 ? r : -EAGAIN;
        }
    }
    (void)io_release(&io);
    return fd;
}

/* Two connected, non-blocking TCP sockets. */
static inline void tcp_pair(int fd[2])
{
    uint16_t port = 0;
    int l = listen_on("127.0.0.1", 0, 1, &port);
    must(l >= 0);
    struct net_addr a;
    must(net_addr_parse(STR("127.0.0.1"), port, &a));
    fd[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(fd[0] >= 0 && connect(fd[0], &a.sa, a.len) == 0);
    must(fcntl(fd[0], F_SETFL, O_NONBLOCK) == 0);
    fd[1] = accept4(l, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    must(fd[1] >= 0);
    close(l);
}

static inline void stream_pair(struct stream *a, struct stream *b)
{
    int fd[2];
    tcp_pair(fd);
    must(stream_open(a, fd[0]) == 0 && stream_open(b, fd[1]) == 0);
}

/* A local that is closed whichever way the test ends. */
static inline void close_stream(struct stream *s)
{
    stream_close(s);
}
#define STREAM _cleanup_(close_stream) struct stream

/* Closes so that the peer gets a reset. */
static inline void stream_reset(struct stream *s)
{
    struct linger hard = {.l_onoff = 1};
    must(setsockopt(s->io.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)) == 0);
    s->tls_dead = true;
    stream_close(s);
}

/* Reads exactly n bytes; the number that came, or -errno. */
static inline ssize_t read_all(struct stream *s, char *p, size_t n)
{
    size_t have = 0;
    while (have < n) {
        ssize_t r = stream_read(s, p + have, n - have, far());
        if (r < 0)
            return r;
        if (r == 0)
            break;
        have += (size_t)r;
    }
    return (ssize_t)have;
}

/* --- names and ports -------------------------------------------------------------------------- */

static inline int64_t minute(void)
{
    return clock_now() + 60 * NS_PER_S;
}

/* Puts a name with one or two addresses into the cache. */
static inline void know(const char *name, const char *ip1, const char *ip2)
{
    struct net_addr a[2];
    must(net_addr_parse(str_of(ip1), 0, &a[0]));
    if (ip2)
        must(net_addr_parse(str_of(ip2), 0, &a[1]));
    must(resolve_cache_put(str_of(name), a, ip2 ? 2 : 1, minute()) == 0);
}

/* A port on which nobody listens. */
static inline uint16_t dead_port(const char *ip)
{
    uint16_t port = 0;
    int fd = listen_on(ip, 0, 1, &port);
    must(fd >= 0);
    close(fd);
    return port;
}

/* --- certificates ----------------------------------------------------------------------------- */

static char cert_dir[] = "/tmp/net_test_XXXXXX";
static char cert_files[64][80];
static unsigned n_cert_files;

struct cert {
    X509 *x;
    EVP_PKEY *key;
    const char *cert_file, *key_file;
};

static inline const char *new_file(const char *name, const char *ext)
{
    if (n_cert_files == 0)
        must(mkdtemp(cert_dir) != NULL);
    must(n_cert_files < ARRAY_LEN(cert_files));
    char *path = cert_files[n_cert_files++];
    snprintf(path, sizeof(cert_files[0]), "%s/%.20s.%.5s", cert_dir, name, ext);
    return path;
}

static inline void add_ext(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    must(e && X509_add_ext(x, e, -1) == 1);
    X509_EXTENSION_free(e);
}

static inline void write_cert(struct cert *c, const char *name)
{
    c->cert_file = new_file(name, "crt");
    c->key_file = new_file(name, "key");
    FILE *f = fopen(c->cert_file, "we");
    must(f && PEM_write_X509(f, c->x) == 1 && fclose(f) == 0);
    f = fopen(c->key_file, "we");
    must(f && PEM_write_PrivateKey(f, c->key, NULL, NULL, 0, NULL, NULL) == 1 && fclose(f) == 0);
}

/* san NULL makes an authority; by NULL signs itself; life in seconds may be negative (expired). */
static inline struct cert make_cert(
    const char *name, const struct cert *by, const char *san, long life)
{
    static long serial = 1;
    struct cert c = {.x = X509_new(), .key = EVP_EC_gen("P-256")};
    must(c.x && c.key);
    X509_set_version(c.x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(c.x), serial++);
    X509_gmtime_adj(X509_getm_notBefore(c.x), -7200);
    X509_gmtime_adj(X509_getm_notAfter(c.x), life);
    X509_set_pubkey(c.x, c.key);
    X509_NAME_add_entry_by_txt(
        X509_get_subject_name(c.x), "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509 *issuer = by ? by->x : c.x;
    X509_set_issuer_name(c.x, X509_get_subject_name(issuer));
    add_ext(c.x, issuer, NID_basic_constraints, san ? "CA:FALSE" : "critical,CA:TRUE");
    if (san)
        add_ext(c.x, issuer, NID_subject_alt_name, san);
    must(X509_sign(c.x, by ? by->key : c.key, EVP_sha256()) > 0);
    write_cert(&c, name);
    return c;
}

static inline void free_cert(struct cert *c)
{
    X509_free(c->x);
    EVP_PKEY_free(c->key);
}

static inline void remove_files(void)
{
    for (unsigned i = 0; i < n_cert_files; i++)
        unlink(cert_files[i]);
    if (n_cert_files > 0)
        rmdir(cert_dir);
}

/* --- TLS between two coroutines --------------------------------------------------------------- */

struct acceptor {
    struct stream *s;
    struct tls_ctx *ctx;
    int result;
};

static inline int accept_tls(void *arg)
{
    struct acceptor *a = arg;
    a->result = tls_accept(a->s, a->ctx, far());
    if (a->result < 0) /* let the client see the end */
        stream_close(a->s);
    return 0;
}

struct tls_outcome {
    int client, server;
    char err[256];
};

/* A TCP pair with a handshake on both sides; c is the client. */
static inline struct tls_outcome tls_pair(
    struct stream *c, struct tls_ctx *cc, struct stream *s, struct tls_ctx *sc, const char *host)
{
    struct tls_outcome out = {.err = ""};
    struct acceptor a = {.s = s, .ctx = sc};
    struct group g;
    stream_pair(c, s);
    group_init(&g, false);
    must(group_spawn(&g, "accept", accept_tls, &a) == 0);
    out.client = tls_connect(c, cc, str_of(host), far(), out.err, sizeof(out.err));
    if (out.client < 0)
        stream_close(c);
    must(group_wait(&g, far()) == 0);
    out.server = a.result;
    return out;
}

#endif
