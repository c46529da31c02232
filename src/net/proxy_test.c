/*
 * Proxies: which targets go through one, how its settings are read, the tunnel through a little
 * proxy made here, with TLS on top, and what the guard says about targets behind a proxy.
 */
#include "net/net_test.h"

static char errbuf[512];
static struct error err;

/* --- which targets go through a proxy --------------------------------------------------------- */

static void test_proxy_rules(void)
{
    static const struct {
        const char *no_proxy, *host;
        bool proxied;
    } cases[] = {
        {"", "api.test", true},
        {"*", "api.test", false},
        {"api.test", "api.test", false},
        {"api.test", "API.TEST", false},
        {"api.test", "api.test.", false},
        {"api.test", "v2.api.test", false},
        {"api.test", "xapi.test", true},
        {".api.test", "v2.api.test", false},
        {".api.test", "api.test", false},
        {"*.api.test", "v2.api.test", false},
        {"*.api.test", "xapi.test", true},
        {"other.test, api.test", "api.test", false},
        {"other.test api.test", "api.test", false},
        {"api.test:443", "api.test", false},
        {"api.test:444", "api.test", true},
        {"10.0.0.0/8", "10.2.3.4", false},
        {"10.0.0.0/8", "11.2.3.4", true},
        {"10.2.3.4", "10.2.3.4", false},
        {"10.2.3.4:443", "10.2.3.4", false},
        {"10.2.3.4:80", "10.2.3.4", true},
        {"fd00::/8", "fd00::1", false},
        {"[fd00::1]:443", "fd00::1", false},
        {"fd00::1", "fd00::2", true},
        {",,:x,[,api.test:99999,", "api.test", true},
        {"", "localhost", false},
        {"", "x.localhost", false},
        {"", "127.0.0.1", false},
        {"", "127.8.8.8", false},
        {"", "::1", false},
        {"", "notlocalhost", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct dial_proxy *p = NULL;
        CHECK_EQ(dial_proxy_parse(
                     STR("http://proxy.test:3128"), STR_NONE, str_of(cases[i].no_proxy), &p),
            0);
        if ((proxy_for(p, str_of(cases[i].host), 443, true) != NULL) != cases[i].proxied)
            tap_fail(__FILE__, __LINE__, "case %zu", i);
        if (proxy_for(p, str_of(cases[i].host), 443, false))
            tap_fail(__FILE__, __LINE__, "a plain target used the proxy for TLS");
        dial_proxy_free(p);
    }
    CHECK(!proxy_for(NULL, STR("api.test"), 443, true));
}

static void test_proxy_urls(void)
{
    static const struct {
        const char *url, *host;
        uint16_t port;
        const char *auth;
    } cases[] = {
        {"http://proxy.test:3128", "proxy.test", 3128, ""},
        {"HTTP://proxy.test:3128/", "proxy.test", 3128, ""},
        {"proxy.test:3128", "proxy.test", 3128, ""},
        {" http://proxy.test ", "proxy.test", 80, ""},
        {"http://[::1]:3128", "::1", 3128, ""},
        {"http://10.0.0.1", "10.0.0.1", 80, ""},
        {"http://user:pass@proxy.test:1", "proxy.test", 1, "dXNlcjpwYXNz"},
        {"http://user@proxy.test:1", "proxy.test", 1, "dXNlcjo="},
        {"http://us%40er:p%3Aa%2fss@proxy.test:1", "proxy.test", 1, "dXNAZXI6cDphL3Nz"},
        {"http://user:p@ss@proxy.test:1", "proxy.test", 1, "dXNlcjpwQHNz"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct dial_proxy *p = NULL;
        CHECK_EQ(dial_proxy_parse(STR_NONE, str_of(cases[i].url), STR_NONE, &p), 0);
        const struct proxy_hop *hop = proxy_for(p, STR("api.test"), 80, false);
        CHECK(hop);
        CHECK_STR(str_of(hop->host), str_of(cases[i].host));
        CHECK_EQ(hop->port, cases[i].port);
        CHECK_STR(secret_reveal(&hop->auth), str_of(cases[i].auth));
        dial_proxy_free(p);
    }
}

static void test_bad_proxy_urls(void)
{
    static const char *const cases[] = {"https://proxy.test", "socks5://proxy.test", "http://",
        "http://:80", "http://proxy.test:", "http://proxy.test:0", "http://proxy.test:65536",
        "http://proxy.test:x", "http://[::1", "http://[zz]:1", "http://a b:1", "http://u:%zz@p:1",
        "http://u:%4@p:1", "http://[::1]x"};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct dial_proxy *p = NULL;
        if (dial_proxy_parse(str_of(cases[i]), STR_NONE, STR_NONE, &p) != -EINVAL || p)
            tap_fail(__FILE__, __LINE__, "\"%s\" was accepted", cases[i]);
    }
    char lengthy[3000] = "http://";
    memset(lengthy + 7, 'a', sizeof(lengthy) - 7);
    memcpy(lengthy + sizeof(lengthy) - 3, "@p", 3);
    struct dial_proxy *p = NULL;
    CHECK_EQ(dial_proxy_parse(str_of(lengthy), STR_NONE, STR_NONE, &p), -EINVAL);
    CHECK_EQ(dial_proxy_parse(STR_NONE, STR_NONE, STR_NONE, &p), 0);
    CHECK(!proxy_for(p, STR("api.test"), 443, true));
    dial_proxy_free(p);
    dial_proxy_free(NULL);
}

/* --- a proxy of our own ----------------------------------------------------------------------- */

struct little_proxy {
    int listener;
    uint16_t port;
    struct str reply;    /* p NULL: no answer */
    bool hang_up;        /* after the reply */
    struct tls_ctx *tls; /* what the target behind the tunnel speaks */
    char head[1024];     /* what was asked */
    size_t head_n;
    struct stream s;
};

static int serve_one(void *arg)
{
    struct little_proxy *p = arg;
    int r = accept_one(p->listener, far());
    if (r >= 0)
        r = stream_open(&p->s, r);
    while (r == 0 && str_find(str_at(p->head, p->head_n), STR("\r\n\r\n")) < 0) {
        ssize_t got = stream_read(&p->s, p->head + p->head_n, sizeof(p->head) - p->head_n, far());
        if (got <= 0)
            return -EPIPE;
        p->head_n += (size_t)got;
    }
    /* In two parts, so that the reader must put them together. */
    if (r == 0 && p->reply.n > 0)
        r = stream_write(&p->s, str_to(p->reply, 10), far());
    co_yield ();
    if (r == 0 && p->reply.n > 10)
        r = stream_write(&p->s, str_from(p->reply, 10), far());
    if (r == 0 && p->tls)
        r = tls_accept(&p->s, p->tls, far());
    if (p->hang_up)
        stream_close(&p->s);
    return r;
}

struct proxied {
    const char *host;
    uint16_t port;
    const char *allow, *userinfo;
    bool chosen;
    struct tls_ctx *tls;
    int64_t deadline;
};

/* Dials host through the little proxy; both ends stay open on success. */
static int dial_via(struct little_proxy *p, const struct proxied *q, struct stream *ret)
{
    char url[128];
    struct dial_proxy *settings = NULL;
    struct net_cidrs *allow = NULL;
    struct group g;
    p->listener = listen_on("127.0.0.1", 0, 8, &p->port);
    p->s.io.fd = -1;
    must(p->listener >= 0);
    snprintf(url, sizeof(url), "http://%s127.0.0.1:%u", q->userinfo ? q->userinfo : "", p->port);
    must(dial_proxy_parse(str_of(url), str_of(url), STR_NONE, &settings) == 0);
    must(!q->allow || net_cidrs_parse(str_of(q->allow), &allow) == 0);
    struct dial_target t = {.host = str_of(q->host),
        .port = q->port,
        .tls = q->tls,
        .caller_chosen = q->chosen,
        .allow = allow,
        .proxy = settings};
    group_init(&g, false);
    must(group_spawn(&g, "proxy", serve_one, p) == 0);
    memset(&err, 0, sizeof(err));
    int r = dial(&t, q->deadline ? q->deadline : far(), ret, &err, errbuf);
    if (r < 0)
        group_cancel(&g);
    (void)group_wait(&g, far());
    close(p->listener);
    net_cidrs_free(allow);
    dial_proxy_free(settings);
    return r;
}

#define OK_REPLY STR("HTTP/1.1 200 Connection established\r\nvia: 1.1 little\r\n\r\n")

IN_LOOP(test_tunnel)
{
    struct little_proxy p = {.reply = OK_REPLY};
    STREAM s;
    char got[8];
    CHECK_EQ(dial_via(&p, &(struct proxied){.host = "api.test", .port = 8443}, &s), 0);
    CHECK_STR(str_at(p.head, p.head_n),
        STR("CONNECT api.test:8443 HTTP/1.1\r\nhost: api.test:8443\r\n\r\n"));
    CHECK_EQ(stream_write(&s, STR("hello"), far()), 0);
    CHECK_EQ(stream_read(&p.s, got, sizeof(got), far()), 5);
    CHECK_EQ(stream_write(&p.s, STR("world!"), far()), 0);
    CHECK_EQ(stream_read(&s, got, sizeof(got), far()), 6);
    stream_close(&p.s);
}

IN_LOOP(test_tunnel_with_credentials)
{
    struct little_proxy p = {.reply = OK_REPLY};
    STREAM s;
    struct proxied q = {.host = "2606:4700::1", .port = 80, .userinfo = "user:pass@"};
    CHECK_EQ(dial_via(&p, &q, &s), 0);
    CHECK_STR(str_at(p.head, p.head_n),
        STR("CONNECT [2606:4700::1]:80 HTTP/1.1\r\nhost: [2606:4700::1]:80\r\n"
            "proxy-authorization: Basic dXNlcjpwYXNz\r\n\r\n"));
    stream_close(&p.s);
}

static void expect_refusal(struct str reply, bool hang_up, int want, const char *words)
{
    struct little_proxy p = {.reply = reply, .hang_up = hang_up};
    struct stream s;
    struct proxied q = {.host = "api.test", .port = 443, .userinfo = "user:hidden@"};
    int r = dial_via(&p, &q, &s);
    stream_close(&p.s);
    CHECK_EQ(r, want);
    CHECK(!stream_is_open(&s));
    CHECK_EQ(err.status, 502);
    CHECK_STR(err.code, STR("upstream_unreachable"));
    CHECK(
        str_find(err.message, STR("cannot reach api.test:443 through the proxy 127.0.0.1:")) == 0);
    CHECK(str_find(err.message, STR("hidden")) < 0);
    if (str_find(err.message, str_of(words)) < 0)
        tap_fail(__FILE__, __LINE__, "\"%s\" not in: " STR_FMT, words, STR_ARG(err.message));
}

static char endless[20000];

IN_LOOP(test_proxy_refuses)
{
    expect_refusal(STR("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"), false, -ECONNREFUSED,
        "credentials (status 407)");
    expect_refusal(STR("HTTP/1.0 403 Forbidden\r\ncontent-length: 4\r\n\r\nbody"), true,
        -ECONNREFUSED, "status 403");
    expect_refusal(STR("HTTP/1.1 100 Continue\r\n\r\n"), false, -ECONNREFUSED, "status 100");
}

IN_LOOP(test_proxy_talks_nonsense)
{
    static const char words[] = "not a valid HTTP reply";
    expect_refusal(STR("SSH-2.0-OpenSSH_9.2\r\n\r\n"), false, -EPROTO, words);
    expect_refusal(STR("HTTP/2 200\r\n\r\n"), false, -EPROTO, words);
    expect_refusal(STR("HTTP/1.1 2000 OK\r\n\r\n"), false, -EPROTO, words);
    expect_refusal(STR("HTTP/1.1 2x0 OK\r\n\r\n"), false, -EPROTO, words);
    expect_refusal(STR("HTTP/1.1\r\n\r\n"), false, -EPROTO, words);
    expect_refusal(STR("HTTP/1.1 200 OK\r\n\r\nearly bytes"), false, -EPROTO, words);
    memset(endless, 'x', sizeof(endless));
    expect_refusal(str_at(endless, sizeof(endless)), true, -EPROTO, words);
    expect_refusal(STR("HTTP/1.1 200 OK\r\n"), true, -ECONNRESET, "closed");
}

IN_LOOP(test_proxy_is_silent)
{
    struct little_proxy p = {.reply = STR_NONE};
    struct stream s;
    struct proxied q = {.host = "api.test", .port = 443, .deadline = soon()};
    CHECK_EQ(dial_via(&p, &q, &s), -ETIMEDOUT);
    stream_close(&p.s);
    CHECK_EQ(err.status, 504);
    CHECK_STR(err.code, STR("upstream_timeout"));
}

IN_LOOP(test_proxy_is_down)
{
    char url[64];
    struct dial_proxy *p = NULL;
    struct stream s;
    snprintf(url, sizeof(url), "http://127.0.0.1:%u", dead_port("127.0.0.1"));
    CHECK_EQ(dial_proxy_parse(STR_NONE, str_of(url), STR_NONE, &p), 0);
    struct dial_target t = {.host = STR("api.test"), .port = 80, .proxy = p};
    CHECK_EQ(dial(&t, far(), &s, &err, errbuf), -ECONNREFUSED);
    CHECK(str_find(err.message, STR("through the proxy 127.0.0.1:")) > 0);
    dial_proxy_free(p);
}

IN_LOOP(test_proxy_and_the_guard)
{
    struct little_proxy p = {.reply = OK_REPLY};
    struct stream s;
    know("public.test", "93.184.216.34", NULL);
    know("mixed.test", "93.184.216.34", "93.184.216.35");
    struct proxied q = {.host = "public.test", .port = 443, .chosen = true};
    CHECK_EQ(dial_via(&p, &q, &s), -EPERM); /* public, but not on the list */
    CHECK_EQ(err.status, 403);
    q.allow = "93.184.216.34";
    q.host = "mixed.test";
    CHECK_EQ(dial_via(&p, &q, &s), -EPERM);
    CHECK_EQ(p.head_n, 0); /* nothing was asked of the proxy */
    q.host = "public.test";
    CHECK_EQ(dial_via(&p, &q, &s), 0);
    /* The address that was checked, not the name. */
    CHECK(str_starts(str_at(p.head, p.head_n), STR("CONNECT 93.184.216.34:443 HTTP/1.1\r\n")));
    stream_close(&s);
    stream_close(&p.s);
}

/* --- TLS on top ------------------------------------------------------------------------------- */

static struct cert ca, good;
static struct tls_ctx *client, *server;

static void set_up_tls(void)
{
    char why[256];
    ca = make_cert("ca", NULL, NULL, 86400);
    good = make_cert("good", &ca, "DNS:api.test", 86400);
    struct tls_client_settings cs = {.ca_file = ca.cert_file};
    struct tls_server_settings ss = {.cert_file = good.cert_file, .key_file = good.key_file};
    must(tls_client_ctx(&cs, &client, why, sizeof(why)) == 0);
    must(tls_server_ctx(&ss, &server, why, sizeof(why)) == 0);
}

static void tear_down_tls(void)
{
    tls_ctx_unref(client);
    tls_ctx_unref(server);
    free_cert(&ca);
    free_cert(&good);
    remove_files();
}

IN_LOOP(test_tls_through_a_proxy)
{
    struct little_proxy p = {.reply = OK_REPLY, .tls = server};
    STREAM s;
    char got[8];
    struct proxied q = {.host = "api.test", .port = 443, .tls = client};
    CHECK_EQ(dial_via(&p, &q, &s), 0);
    CHECK_EQ(stream_write(&s, STR("hello"), far()), 0);
    CHECK_EQ(stream_read(&p.s, got, sizeof(got), far()), 5);
    stream_close(&p.s);
}

/* CONNECT names the address, but the certificate must be that of the name. */
IN_LOOP(test_tls_through_a_proxy_pinned)
{
    struct little_proxy p = {.reply = OK_REPLY, .tls = server};
    STREAM s;
    know("api.test", "93.184.216.34", NULL);
    struct proxied q = {
        .host = "api.test", .port = 443, .tls = client, .chosen = true, .allow = "93.184.216.34"};
    CHECK_EQ(dial_via(&p, &q, &s), 0);
    CHECK(str_starts(str_at(p.head, p.head_n), STR("CONNECT 93.184.216.34:443")));
    stream_close(&p.s);
}

IN_LOOP(test_tls_failure)
{
    struct little_proxy p = {.reply = OK_REPLY, .tls = server};
    struct stream s;
    struct proxied q = {.host = "wrong.test", .port = 443, .tls = client};
    CHECK_EQ(dial_via(&p, &q, &s), -EACCES);
    stream_close(&p.s);
    CHECK(!stream_is_open(&s));
    CHECK_EQ(err.status, 502);
    CHECK_STR(err.code, STR("upstream_tls"));
    CHECK_STR(
        err.message, STR("TLS with wrong.test:443 failed: certificate refused: hostname mismatch"));
}

IN_LOOP(test_tls_no_answer)
{
    struct little_proxy p = {.reply = OK_REPLY};
    struct stream s;
    struct proxied q = {.host = "api.test", .port = 443, .tls = client, .deadline = soon()};
    CHECK_EQ(dial_via(&p, &q, &s), -ETIMEDOUT);
    stream_close(&p.s);
    CHECK_STR(err.code, STR("upstream_timeout"));
}

int main(void)
{
    must(offload_start(2) == 0);
    set_up_tls();
    TAP_RUN(test_proxy_rules);
    TAP_RUN(test_proxy_urls);
    TAP_RUN(test_bad_proxy_urls);
    TAP_RUN(test_tunnel);
    TAP_RUN(test_tunnel_with_credentials);
    TAP_RUN(test_proxy_refuses);
    TAP_RUN(test_proxy_talks_nonsense);
    TAP_RUN(test_proxy_is_silent);
    TAP_RUN(test_proxy_is_down);
    TAP_RUN(test_proxy_and_the_guard);
    TAP_RUN(test_tls_through_a_proxy);
    TAP_RUN(test_tls_through_a_proxy_pinned);
    TAP_RUN(test_tls_failure);
    TAP_RUN(test_tls_no_answer);
    tear_down_tls();
    resolve_cache_clear();
    offload_stop();
    return tap_done();
}
