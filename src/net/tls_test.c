/*
 * TLS between two coroutines over loopback, with certificates made here: who is trusted and who is
 * not, how data and its end arrive, and contexts from files that do not serve.
 */
#include "net/net_test.h"
#include <pthread.h>

#define DAY 86400L

static struct cert ca, other_ca, good, expired, stranger, self_signed, user;
static struct tls_ctx *client, *server, *server_expired, *server_stranger;

static struct tls_ctx *client_ctx(const struct tls_client_settings *set)
{
    char err[256];
    struct tls_ctx *c = NULL;
    must(tls_client_ctx(set, &c, err, sizeof(err)) == 0);
    return c;
}

static struct tls_ctx *server_ctx(const struct cert *c, const char *client_ca)
{
    struct tls_server_settings set = {
        .cert_file = c->cert_file, .key_file = c->key_file, .client_ca_file = client_ca};
    char err[256];
    struct tls_ctx *ctx = NULL;
    must(tls_server_ctx(&set, &ctx, err, sizeof(err)) == 0);
    return ctx;
}

static void unref_ctx(struct tls_ctx **c)
{
    tls_ctx_unref(*c);
}
#define CTX _cleanup_(unref_ctx) struct tls_ctx *

static void set_up(void)
{
    static const char names[] = "DNS:api.test,DNS:*.wild.test,IP:127.0.0.1,IP:::1";
    ca = make_cert("ca", NULL, NULL, DAY);
    other_ca = make_cert("other-ca", NULL, NULL, DAY);
    good = make_cert("good", &ca, names, DAY);
    expired = make_cert("expired", &ca, names, -3600);
    stranger = make_cert("stranger", &other_ca, names, DAY);
    self_signed = make_cert("self", NULL, names, DAY);
    user = make_cert("user", &ca, "DNS:user.test", DAY);
    client = client_ctx(&(struct tls_client_settings){.ca_file = ca.cert_file});
    server = server_ctx(&good, NULL);
    server_expired = server_ctx(&expired, NULL);
    server_stranger = server_ctx(&stranger, NULL);
}

static void tear_down(void)
{
    struct cert *certs[] = {&ca, &other_ca, &good, &expired, &stranger, &self_signed, &user};
    for (size_t i = 0; i < ARRAY_LEN(certs); i++)
        free_cert(certs[i]);
    tls_ctx_unref(client);
    tls_ctx_unref(server);
    tls_ctx_unref(server_expired);
    tls_ctx_unref(server_stranger);
    remove_files();
}

/* --- handshakes ------------------------------------------------------------------------------- */

IN_LOOP(test_names_that_match)
{
    static const char *const hosts[] = {
        "api.test", "API.Test", "api.test.", "x.wild.test", "127.0.0.1", "::1"};
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        STREAM c, s;
        struct tls_outcome o = tls_pair(&c, client, &s, server, hosts[i]);
        if (o.client != 0 || o.server != 0)
            tap_fail(__FILE__, __LINE__, "%s: %d, %d, %s", hosts[i], o.client, o.server, o.err);
    }
}

/* Neither where there are other names of hosts ("good"), nor where there are none ("named.test").
 */
IN_LOOP(test_common_name_is_no_host)
{
    struct cert named = make_cert("named.test", &ca, "IP:127.0.0.1", DAY);
    CTX server_named = server_ctx(&named, NULL);
    STREAM c, s;
    struct tls_outcome o = tls_pair(&c, client, &s, server_named, "127.0.0.1");
    CHECK_EQ(o.client, 0);
    STREAM c2, s2;
    o = tls_pair(&c2, client, &s2, server_named, "named.test");
    CHECK_EQ(o.client, -EACCES);
    STREAM c3, s3;
    o = tls_pair(&c3, client, &s3, server, "good");
    CHECK_EQ(o.client, -EACCES);
    free_cert(&named);
}

IN_LOOP(test_names_that_do_not)
{
    static const char *const hosts[] = {"other.test", "wild.test", "a.b.wild.test", "127.0.0.2",
        "::2", "api.test.evil", "notapi.test", "good"};
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        STREAM c, s;
        struct tls_outcome o = tls_pair(&c, client, &s, server, hosts[i]);
        if (o.client != -EACCES || str_find(str_of(o.err), STR("mismatch")) < 0)
            tap_fail(__FILE__, __LINE__, "%s: %d, %s", hosts[i], o.client, o.err);
    }
}

IN_LOOP(test_invalid_names)
{
    static const struct str hosts[] = {STR_INIT(""), STR_INIT("."), STR_INIT("api.test\0.evil")};
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        STREAM a, b;
        stream_pair(&a, &b);
        char err[256] = "";
        CHECK_EQ(tls_connect(&a, client, hosts[i], far(), err, sizeof(err)), -EINVAL);
        CHECK(err[0] != 0);
    }
}

IN_LOOP(test_expired)
{
    STREAM c, s;
    struct tls_outcome o = tls_pair(&c, client, &s, server_expired, "api.test");
    CHECK_EQ(o.client, -EACCES);
    CHECK_EQ(o.server, -EPROTO);
    CHECK_STR(str_of(o.err), STR("certificate refused: certificate has expired"));
}

IN_LOOP(test_untrusted)
{
    STREAM c, s, c2, s2;
    struct tls_outcome o = tls_pair(&c, client, &s, server_stranger, "api.test");
    CHECK_EQ(o.client, -EACCES);
    CTX own = server_ctx(&self_signed, NULL);
    o = tls_pair(&c2, client, &s2, own, "api.test");
    CHECK_EQ(o.client, -EACCES);
    CHECK(str_find(str_of(o.err), STR("self")) >= 0);
}

IN_LOOP(test_system_roots_do_not_know_us)
{
    CTX plain = client_ctx(&(struct tls_client_settings){.ca_file = NULL});
    STREAM c, s;
    struct tls_outcome o = tls_pair(&c, plain, &s, server, "api.test");
    CHECK_EQ(o.client, -EACCES);
}

IN_LOOP(test_insecure)
{
    CTX lax = client_ctx(&(struct tls_client_settings){.insecure = true});
    STREAM c, s;
    struct tls_outcome o = tls_pair(&c, lax, &s, server_stranger, "whoever.test");
    CHECK_EQ(o.client, 0);
    CHECK_EQ(o.server, 0);
}

IN_LOOP(test_client_certificates)
{
    CTX strict = server_ctx(&good, ca.cert_file);
    CTX with = client_ctx(&(struct tls_client_settings){
        .ca_file = ca.cert_file, .cert_file = user.cert_file, .key_file = user.key_file});
    CTX wrong = client_ctx(&(struct tls_client_settings){
        .ca_file = ca.cert_file, .cert_file = stranger.cert_file, .key_file = stranger.key_file});
    STREAM c, s, c2, s2, c3, s3;
    char got[8];
    struct tls_outcome o = tls_pair(&c, with, &s, strict, "api.test");
    CHECK(o.client == 0 && o.server == 0);
    CHECK_EQ(stream_write(&c, STR("hi"), far()), 0);
    CHECK_EQ(stream_read(&s, got, sizeof(got), far()), 2);
    o = tls_pair(&c2, client, &s2, strict, "api.test");
    CHECK_EQ(o.server, -EACCES);
    /* In TLS 1.3 the client is done before the server has judged: the first read tells. */
    CHECK_EQ(o.client, 0);
    CHECK_EQ(stream_read(&c2, got, sizeof(got), far()), -EPROTO);
    CHECK_EQ(stream_read(&c2, got, sizeof(got), far()), -ECONNRESET);
    o = tls_pair(&c3, wrong, &s3, strict, "api.test");
    CHECK_EQ(o.server, -EACCES);
}

IN_LOOP(test_alpn)
{
    STREAM c, s;
    const unsigned char *name;
    unsigned n;
    struct tls_outcome o = tls_pair(&c, client, &s, server, "api.test");
    CHECK_EQ(o.client, 0);
    SSL_get0_alpn_selected(c.ssl, &name, &n);
    CHECK_STR(str_at((const char *)name, n), STR("http/1.1"));
}

IN_LOOP(test_alpn_without_us)
{
    CTX h2 = client_ctx(&(struct tls_client_settings){.ca_file = ca.cert_file});
    must(SSL_CTX_set_alpn_protos(h2->ctx, (const unsigned char *)"\x02h2", 3) == 0);
    STREAM c, s;
    struct tls_outcome o = tls_pair(&c, h2, &s, server, "api.test");
    CHECK_EQ(o.client, -EPROTO);
    CHECK_EQ(o.server, -EPROTO);
}

IN_LOOP(test_old_versions)
{
    CTX old = client_ctx(&(struct tls_client_settings){.ca_file = ca.cert_file});
    SSL_CTX_set_min_proto_version(old->ctx, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(old->ctx, TLS1_1_VERSION);
    SSL_CTX_set_security_level(old->ctx, 0);
    STREAM c, s;
    struct tls_outcome o = tls_pair(&c, old, &s, server, "api.test");
    CHECK_EQ(o.client, -EPROTO);
    CHECK_EQ(o.server, -EPROTO);
}

IN_LOOP(test_silent_peer)
{
    STREAM a, b;
    char err[256] = "";
    stream_pair(&a, &b);
    CHECK_EQ(tls_connect(&a, client, STR("api.test"), soon(), err, sizeof(err)), -ETIMEDOUT);
    CHECK(err[0] != 0);
    STREAM c, d;
    stream_pair(&c, &d);
    CHECK_EQ(tls_accept(&d, server, soon()), -ETIMEDOUT);
}

IN_LOOP(test_peer_that_speaks_no_tls)
{
    STREAM a, b, c, d;
    char err[256] = "";
    stream_pair(&a, &b);
    CHECK_EQ(stream_write(&b, STR("HTTP/1.1 400 Bad Request\r\n\r\n"), far()), 0);
    CHECK_EQ(tls_connect(&a, client, STR("api.test"), far(), err, sizeof(err)), -EPROTO);
    CHECK(err[0] != 0);
    stream_pair(&c, &d);
    CHECK_EQ(stream_write(&c, STR("GET / HTTP/1.1\r\nhost: x\r\n\r\n"), far()), 0);
    CHECK_EQ(tls_accept(&d, server, far()), -EPROTO);
}

IN_LOOP(test_peer_that_goes_away)
{
    STREAM a, b;
    char err[256] = "";
    stream_pair(&a, &b);
    CHECK_EQ(shutdown(b.io.fd, SHUT_WR), 0);
    CHECK_EQ(tls_connect(&a, client, STR("api.test"), far(), err, sizeof(err)), -EPROTO);
    CHECK(str_find(str_of(err), STR("closed")) >= 0);
}

/* --- data ------------------------------------------------------------------------------------- */

static bool open_pair(struct stream *c, struct stream *s)
{
    struct tls_outcome o = tls_pair(c, client, s, server, "api.test");
    return o.client == 0 && o.server == 0;
}

IN_LOOP(test_buffered_data)
{
    STREAM c, s;
    CHECK(open_pair(&c, &s));
    static char sent[10000], got[10000];
    memset(sent, 'x', sizeof(sent));
    CHECK_EQ(stream_write(&s, str_at(sent, sizeof(sent)), far()), 0);
    CHECK_EQ(stream_read(&c, got, 1, far()), 1);
    CHECK(!io_is_ready(&c.io, IO_READ)); /* the kernel is empty; the rest is inside OpenSSL */
    CHECK_EQ(stream_wait_readable(&c, soon()), 0);
    CHECK(!stream_is_quiet(&c));
    CHECK_EQ(stream_try_read(&c, got, sizeof(got)), 9999);
    CHECK_EQ(stream_try_read(&c, got, sizeof(got)), -EAGAIN);
    CHECK_EQ(stream_wait_readable(&c, soon()), -ETIMEDOUT);
}

IN_LOOP(test_two_records_in_one_receive)
{
    STREAM c, s;
    CHECK(open_pair(&c, &s));
    char got[16];
    CHECK_EQ(stream_write(&s, STR("one"), far()), 0);
    CHECK_EQ(stream_write(&s, STR("two"), far()), 0);
    CHECK_EQ(read_all(&c, got, 6), 6);
    CHECK_STR(str_at(got, 6), STR("onetwo"));
}

IN_LOOP(test_small_pieces_share_a_record)
{
    STREAM c, s;
    CHECK(open_pair(&c, &s));
    struct iovec iov[100];
    static char piece[50], got[8192];
    memset(piece, 'p', sizeof(piece));
    for (size_t i = 0; i < 100; i++)
        iov[i] = (struct iovec){.iov_base = piece, .iov_len = i % 10 == 3 ? 0 : sizeof(piece)};
    CHECK_EQ(stream_writev(&s, iov, 100, far()), 0);
    CHECK_EQ(stream_read(&c, got, sizeof(got), far()), 4500);
}

IN_LOOP(test_end)
{
    STREAM c, s;
    CHECK(open_pair(&c, &s));
    char got[16];
    CHECK_EQ(stream_write(&s, STR("bye"), far()), 0);
    stream_close(&s);
    CHECK_EQ(stream_read(&c, got, sizeof(got), far()), 3);
    CHECK_EQ(stream_read(&c, got, sizeof(got), far()), 0);
    CHECK_EQ(stream_read(&c, got, sizeof(got), far()), 0);
    CHECK_EQ(stream_wait_readable(&c, far()), 0);
    CHECK(!stream_is_quiet(&c));
}

IN_LOOP(test_end_without_fin)
{
    STREAM c, s;
    CHECK(open_pair(&c, &s));
    char c1;
    CHECK_EQ(SSL_shutdown(s.ssl), 0); /* close_notify alone */
    CHECK_EQ(stream_read(&c, &c1, 1, far()), 0);
    CHECK_EQ(stream_read(&c, &c1, 1, far()), 0);
    CHECK_EQ(stream_write(&c, STR("still here"), far()), 0);
}

IN_LOOP(test_truncation)
{
    STREAM c, s;
    CHECK(open_pair(&c, &s));
    char got[16];
    CHECK_EQ(stream_write(&s, STR("half of it"), far()), 0);
    s.tls_dead = true; /* as if the connection had been cut: no close_notify */
    stream_close(&s);
    CHECK_EQ(stream_read(&c, got, sizeof(got), far()), 10);
    CHECK_EQ(stream_wait_readable(&c, far()), 0); /* the end may come a turn later */
    CHECK(!stream_is_quiet(&c));
    CHECK_EQ(stream_read(&c, got, sizeof(got), far()), -ECONNRESET);
    CHECK_EQ(stream_read(&c, got, sizeof(got), far()), -ECONNRESET);
}

IN_LOOP(test_cut_inside_a_record)
{
    STREAM c, s;
    CHECK(open_pair(&c, &s));
    char got[16];
    CHECK_EQ(send(s.io.fd, "\x17\x03\x03\x00\x40partial", 12, MSG_NOSIGNAL), 12);
    CHECK_EQ(stream_wait_readable(&c, soon()), -ETIMEDOUT); /* bytes, but nothing to read */
    CHECK(stream_is_quiet(&c));
    CHECK_EQ(shutdown(s.io.fd, SHUT_WR), 0);
    CHECK_EQ(stream_read(&c, got, sizeof(got), far()), -ECONNRESET);
    s.tls_dead = true;
}

IN_LOOP(test_reset)
{
    STREAM c, s;
    CHECK(open_pair(&c, &s));
    char got[16];
    stream_reset(&s);
    CHECK_EQ(stream_read(&c, got, sizeof(got), far()), -ECONNRESET);
    CHECK(stream_write(&c, STR("x"), far()) < 0);
}

IN_LOOP(test_corrupted_record)
{
    STREAM c, s;
    CHECK(open_pair(&c, &s));
    char got[16];
    CHECK_EQ(send(s.io.fd,
                 "\x17\x03\x03\x00\x20"
                 "01234567890123456789012345678901",
                 37, MSG_NOSIGNAL),
        37);
    CHECK_EQ(stream_read(&c, got, sizeof(got), far()), -EPROTO);
    s.tls_dead = true;
}

/* Session tickets arrive after the handshake; they are not data. */
IN_LOOP(test_quiet)
{
    STREAM c, s;
    CHECK(open_pair(&c, &s));
    CHECK(stream_is_quiet(&c));
    (void)io_wait(&c.io, IO_READ, soon()); /* some versions send them with the handshake's end */
    CHECK(stream_is_quiet(&c));
    CHECK_EQ(stream_write(&s, STR("x"), far()), 0);
    CHECK_EQ(stream_wait_readable(&c, far()), 0);
    CHECK(!stream_is_quiet(&c));
}

IN_LOOP(test_write_timeout)
{
    STREAM c, s;
    CHECK(open_pair(&c, &s));
    static char block[64 * 1024];
    int r = 0;
    while (r == 0)
        r = stream_write(&c, str_at(block, sizeof(block)), soon());
    CHECK_EQ(r, -ETIMEDOUT);
}

/* --- much data, both ways at once ------------------------------------------------------------- */

#define BIG (3u << 20)

static char *big;

static int send_big(void *arg)
{
    struct iovec iov[600];
    size_t at = 0, n = 0;
    for (; at < BIG; n++) {
        size_t take = n + 1 == ARRAY_LEN(iov) ? BIG - at : MIN(BIG - at, 1 + (n * 7919) % 9000);
        iov[n] = (struct iovec){.iov_base = big + at, .iov_len = take};
        at += take;
    }
    return stream_writev(arg, iov, (int)n, far());
}

static int receive_big(void *arg)
{
    char chunk[3000];
    for (size_t at = 0; at < BIG;) {
        ssize_t got = stream_read(arg, chunk, sizeof(chunk), far());
        if (got <= 0)
            return got == 0 ? -EPIPE : (int)got;
        if (memcmp(chunk, big + at, (size_t)got) != 0)
            return -EBADMSG;
        at += (size_t)got;
    }
    return 0;
}

static int both_ways(int version)
{
    CTX mine = client_ctx(&(struct tls_client_settings){.ca_file = ca.cert_file});
    SSL_CTX_set_max_proto_version(mine->ctx, version);
    STREAM c, s;
    struct tls_outcome o = tls_pair(&c, mine, &s, server, "api.test");
    if (o.client != 0 || o.server != 0)
        return -EPROTO;
    struct group g;
    group_init(&g, true);
    if (group_spawn(&g, "receive", receive_big, &c) < 0 ||
        group_spawn(&g, "receive", receive_big, &s) < 0 ||
        group_spawn(&g, "send", send_big, &c) < 0 || group_spawn(&g, "send", send_big, &s) < 0)
        return -ENOMEM;
    return group_wait(&g, far());
}

IN_LOOP(test_much_data)
{
    uint32_t x = 1;
    big = malloc(BIG);
    must(big);
    for (size_t i = 0; i < BIG; i++)
        big[i] = (char)((x = x * 1664525 + 1013904223) >> 24);
    int r13 = both_ways(TLS1_3_VERSION), r12 = both_ways(TLS1_2_VERSION);
    free(big);
    CHECK_EQ(r13, 0);
    CHECK_EQ(r12, 0);
}

/* A key update in the middle: the receiver must write (its own update) in order to go on. */
IN_LOOP(test_key_update)
{
    STREAM c, s;
    CHECK(open_pair(&c, &s));
    char got[8];
    for (int i = 0; i < 5; i++) {
        CHECK_EQ(SSL_key_update(s.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        CHECK_EQ(stream_write(&s, STR("ping"), far()), 0);
        CHECK_EQ(stream_read(&c, got, sizeof(got), far()), 4);
        CHECK_EQ(stream_write(&c, STR("pong"), far()), 0);
        CHECK_EQ(stream_read(&s, got, sizeof(got), far()), 4);
    }
}

/* --- contexts --------------------------------------------------------------------------------- */

static int try_server(const char *cert, const char *key, const char *client_ca, char *err)
{
    struct tls_server_settings set = {cert, key, client_ca};
    struct tls_ctx *c = NULL;
    err[0] = 0;
    int r = tls_server_ctx(&set, &c, err, 256);
    must((r == 0) == (c != NULL));
    tls_ctx_unref(c);
    return r;
}

static void test_bad_files(void)
{
    char err[256];
    const char *junk = new_file("junk", "pem");
    FILE *f = fopen(junk, "we");
    must(f && fputs("-----BEGIN nothing-----\n", f) >= 0 && fclose(f) == 0);
    CHECK_EQ(try_server("/nonexistent.pem", good.key_file, NULL, err), -ENOENT);
    CHECK(str_find(str_of(err), STR("/nonexistent.pem")) >= 0);
    CHECK_EQ(try_server(junk, good.key_file, NULL, err), -EINVAL);
    CHECK(str_find(str_of(err), str_of(junk)) >= 0);
    CHECK_EQ(try_server(good.cert_file, "/nonexistent.pem", NULL, err), -ENOENT);
    CHECK_EQ(try_server(good.cert_file, junk, NULL, err), -EINVAL);
    CHECK_EQ(try_server(good.cert_file, user.key_file, NULL, err), -EINVAL); /* not its key */
    CHECK_EQ(try_server(good.cert_file, NULL, NULL, err), -EINVAL);
    CHECK_EQ(try_server(good.cert_file, good.key_file, junk, err), -EINVAL);
    CHECK_EQ(try_server(good.cert_file, good.key_file, "/nonexistent.pem", err), -ENOENT);
    CHECK_EQ(try_server(good.cert_file, good.key_file, NULL, err), 0);
    CHECK_EQ(ERR_peek_error(), 0);

    struct tls_client_settings set = {.ca_file = junk};
    struct tls_ctx *c = NULL;
    CHECK_EQ(tls_client_ctx(&set, &c, err, sizeof(err)), -EINVAL);
    set = (struct tls_client_settings){.cert_file = good.cert_file};
    CHECK_EQ(tls_client_ctx(&set, &c, err, sizeof(err)), -EINVAL);
    CHECK(!c);
}

static void test_encrypted_key_does_not_ask(void)
{
    char err[256];
    const char *path = new_file("locked", "key");
    FILE *f = fopen(path, "we");
    must(f &&
         PEM_write_PrivateKey(
             f, good.key, EVP_aes_128_cbc(), (const unsigned char *)"pw", 2, NULL, NULL) == 1 &&
         fclose(f) == 0);
    CHECK_EQ(try_server(good.cert_file, path, NULL, err), -EINVAL);
}

static void test_counting(void)
{
    struct tls_ctx *c = client_ctx(&(struct tls_client_settings){.ca_file = ca.cert_file});
    CHECK(tls_ctx_ref(c) == c);
    tls_ctx_unref(c);
    CHECK_EQ(atomic_load(&c->refs), 1);
    tls_ctx_unref(c);
    tls_ctx_unref(NULL);
    CHECK(tls_ctx_ref(NULL) == NULL);
}

/* --- threads ---------------------------------------------------------------------------------- */

static struct tls_ctx *shared_client;
static atomic_int shakes;

static void shake_hands(void)
{
    for (int i = 0; i < 5; i++) {
        STREAM c, s;
        struct tls_outcome o = tls_pair(&c, shared_client, &s, server, "api.test");
        if (o.client == -EACCES)
            atomic_fetch_add(&shakes, 1);
    }
}

static void *thread_main(void *arg)
{
    in_loop(shake_hands);
    return arg;
}

/* The context completes itself at its first use, by whichever thread comes first. */
static void test_threads_share_a_context(void)
{
    pthread_t t[4];
    shared_client = client_ctx(&(struct tls_client_settings){.ca_file = NULL});
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        CHECK_EQ(pthread_create(&t[i], NULL, thread_main, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        CHECK_EQ(pthread_join(t[i], NULL), 0);
    tls_ctx_unref(shared_client);
    CHECK_EQ(atomic_load(&shakes), 20);
}

int main(void)
{
    must(offload_start(2) == 0);
    set_up();
    TAP_RUN(test_names_that_match);
    TAP_RUN(test_common_name_is_no_host);
    TAP_RUN(test_names_that_do_not);
    TAP_RUN(test_invalid_names);
    TAP_RUN(test_expired);
    TAP_RUN(test_untrusted);
    TAP_RUN(test_threads_share_a_context);
    TAP_RUN(test_system_roots_do_not_know_us);
    TAP_RUN(test_insecure);
    TAP_RUN(test_client_certificates);
    TAP_RUN(test_alpn);
    TAP_RUN(test_alpn_without_us);
    TAP_RUN(test_old_versions);
    TAP_RUN(test_silent_peer);
    TAP_RUN(test_peer_that_speaks_no_tls);
    TAP_RUN(test_peer_that_goes_away);
    TAP_RUN(test_buffered_data);
    TAP_RUN(test_two_records_in_one_receive);
    TAP_RUN(test_small_pieces_share_a_record);
    TAP_RUN(test_end);
    TAP_RUN(test_end_without_fin);
    TAP_RUN(test_truncation);
    TAP_RUN(test_cut_inside_a_record);
    TAP_RUN(test_reset);
    TAP_RUN(test_corrupted_record);
    TAP_RUN(test_quiet);
    TAP_RUN(test_write_timeout);
    TAP_RUN(test_much_data);
    TAP_RUN(test_key_update);
    TAP_RUN(test_bad_files);
    TAP_RUN(test_encrypted_key_does_not_ask);
    TAP_RUN(test_counting);
    tear_down();
    offload_stop();
    return tap_done();
}
