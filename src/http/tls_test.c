/*
 * Server and client over TLS: the same exchanges, handshakes that do not come, and the drain.
 */
#include "http/loopback.h"
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

static char dir[] = "/tmp/http_tls_XXXXXX";
static char cert_file[64], key_file[64];
static struct tls_ctx *server_tls, *client_tls;

/* A certificate for 127.0.0.1 that signs itself. */
static void make_cert(void)
{
    X509 *x = X509_new();
    EVP_PKEY *key = EVP_EC_gen("P-256");
    must(mkdtemp(dir) && x && key);
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_pubkey(x, key);
    X509_NAME *name = X509_get_subject_name(x);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0);
    X509_set_issuer_name(x, name);
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, NID_subject_alt_name, "IP:127.0.0.1");
    must(e && X509_add_ext(x, e, -1) == 1 && X509_sign(x, key, EVP_sha256()) > 0);
    X509_EXTENSION_free(e);
    snprintf(cert_file, sizeof(cert_file), "%s/cert", dir);
    snprintf(key_file, sizeof(key_file), "%s/key", dir);
    FILE *f = fopen(cert_file, "we");
    must(f && PEM_write_X509(f, x) == 1 && fclose(f) == 0);
    f = fopen(key_file, "we");
    must(f && PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1 && fclose(f) == 0);
    X509_free(x);
    EVP_PKEY_free(key);
}

static void set_up(void)
{
    char text[256];
    make_cert();
    struct tls_server_settings s = {.cert_file = cert_file, .key_file = key_file};
    struct tls_client_settings c = {.ca_file = cert_file};
    must(tls_server_ctx(&s, &server_tls, text, sizeof(text)) == 0);
    must(tls_client_ctx(&c, &client_tls, text, sizeof(text)) == 0);
}

static void tear_down(void)
{
    tls_ctx_unref(server_tls);
    tls_ctx_unref(client_tls);
    unlink(cert_file);
    unlink(key_file);
    rmdir(dir);
}

static void echo(struct http_request *rq, void *ctx)
{
    struct str body;
    must(rq->tls);
    if (http_body_all(rq, 16 * MIB, &body) == 0)
        (void)http_reply(rq, 200, STR_NONE, body);
}

static void exchanges(void)
{
    enum { N = 3000000 };
    static const size_t sizes[] = {5, 0, N, 20000};
    rig.set.tls = server_tls;
    rig_start(echo);
    struct http_origin o = origin_of(rig.port);
    o.target.tls = client_tls;
    char *p = malloc(N);
    for (size_t i = 0; i < N; i++)
        p[i] = (char)(i * 31 + i / 1000);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct iovec body[2] = {{p, sizes[i] / 3}, {p + sizes[i] / 3, sizes[i] - sizes[i] / 3}};
        struct http_client_request rq = {.method = STR("POST"),
            .target = STR("/"),
            .body = body,
            .body_n = 2,
            .body_length = sizes[i],
            .has_body = true};
        struct http_call *c;
        const struct http_head *h;
        struct str all;
        CHECK_EQ(http_call_start(&o, &rq, &patient, &c, &err, errbuf), 0);
        CHECK_EQ(http_call_head(c, &h, &err), 0);
        CHECK_EQ(http_call_read_all(c, N, &all), 0);
        CHECK_EQ(all.n, sizes[i]);
        CHECK(memcmp(all.p, p, sizes[i]) == 0);
        CHECK_EQ(http_call_info(c).reused, i > 0); /* session tickets do not spoil the pool */
        http_call_end(c);
    }
    free(p);
    CHECK_EQ(http_server_connections(rig.server), 1);
    rig_stop();
    http_client_close_idle();
    CHECK_EQ(http_blocks_held(), 0);
}

static unsigned kept;

/* For a client that does not read at once. OpenSSL wants to see the bytes of a refused write again.
 */
static void put_all(struct http_request *rq, void *ctx)
{
    enum { PIECE = 10000, PIECES = 1000 };
    (void)ctx;
    CHECK_EQ(http_reply_begin(rq, 200, STR_NONE, (uint64_t)PIECE * PIECES), 0);
    for (int i = 0; i < PIECES; i++) {
        char p[PIECE];
        memset(p, i, PIECE);
        struct iovec iov[2] = {{p, 1}, {p + 1, PIECE - 1}};
        int r = http_reply_put(rq, iov, 2);
        CHECK(r >= 0);
        kept += r > 0;
        if (r > 0 && kept % 3 == 0) /* otherwise more is added to what is kept */
            CHECK_EQ(http_reply_flush(rq), 0);
    }
    CHECK_EQ(http_reply_end(rq, STR_NONE), 0);
}

static void kept_for_later(void)
{
    rig.set.tls = server_tls;
    rig_start(put_all);
    struct http_origin o = origin_of(rig.port);
    o.target.tls = client_tls;
    struct http_client_request rq = {.method = STR("GET"), .target = STR("/")};
    struct http_call *c;
    const struct http_head *h;
    struct str all;
    size_t wrong = 0;
    CHECK_EQ(http_call_start(&o, &rq, &patient, &c, &err, errbuf), 0);
    WAIT_FOR(kept > 0);
    CHECK_EQ(http_call_head(c, &h, &err), 0);
    CHECK_EQ(http_call_read_all(c, 16 * MIB, &all), 0);
    CHECK_EQ(all.n, 10000000);
    for (size_t i = 0; i < all.n; i++)
        wrong += all.p[i] != (char)(i / 10000);
    CHECK_EQ(wrong, 0);
    http_call_end(c);
    rig_stop();
    http_client_close_idle();
    CHECK_EQ(http_blocks_held(), 0);
}

static void no_handshake(void)
{
    rig.set.tls = server_tls;
    rig.set.head_timeout = 30 * NS_PER_MS;
    rig_start(echo);
    struct raw silent, plain;
    raw_open(&silent, rig.port);
    raw_open(&plain, rig.port);
    CHECK_EQ(raw_sendz(&plain, "GET / HTTP/1.1\r\nhost: x\r\n\r\n"), 0);
    CHECK(raw_all(&plain) <= 0);
    CHECK_EQ(http_server_connections(rig.server), 1);
    CHECK(raw_all(&silent) <= 0); /* after the head time-out */
    CHECK_EQ(http_server_connections(rig.server), 0);
    raw_close(&silent);
    raw_close(&plain);
    rig_stop();
}

static unsigned drained;

static void on_drained(void *ctx)
{
    drained++;
}

static void drain(void)
{
    rig.set.tls = server_tls;
    rig_start(echo);
    struct http_origin o = origin_of(rig.port);
    o.target.tls = client_tls;
    struct http_client_request rq = {.method = STR("GET"), .target = STR("/")};
    struct http_call *c;
    const struct http_head *h;
    CHECK_EQ(http_call_start(&o, &rq, &patient, &c, &err, errbuf), 0);
    CHECK_EQ(http_call_head(c, &h, &err), 0);
    http_call_end(c);
    http_server_drain(rig.server, on_drained, NULL); /* closes the idle connection */
    WAIT_FOR(drained == 1);
    CHECK(http_call_start(&o, &rq, &patient, &c, &err, errbuf) < 0);
    CHECK_STR(err.code, STR("upstream_unreachable"));
    rig_stop();
}

#define IN_LOOP(fn)                                                                                \
    static void test_##fn(void)                                                                    \
    {                                                                                              \
        in_loop(fn);                                                                               \
    }
IN_LOOP(exchanges)
IN_LOOP(kept_for_later)
IN_LOOP(no_handshake)
IN_LOOP(drain)

int main(void)
{
    set_up();
    TAP_RUN(test_exchanges);
    TAP_RUN(test_kept_for_later);
    TAP_RUN(test_no_handshake);
    TAP_RUN(test_drain);
    tear_down();
    return tap_done();
}
