/*
 * Dialling over loopback: what is reachable and what is not, the race of several addresses, and the
 * guard. Names that need more than one address are put into the cache; no name server is asked.
 */
#include "net/net_test.h"
#include <dirent.h>

static char errbuf[512];
static struct error err;

static int dial_to(const char *host, uint16_t port, struct stream *s)
{
    struct dial_target t = {.host = str_of(host), .port = port};
    memset(&err, 0, sizeof(err));
    return dial(&t, far(), s, &err, errbuf);
}

static unsigned count_fds(void)
{
    unsigned n = 0;
    DIR *d = opendir("/proc/self/fd");
    must(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

/* A listener whose queue is full: further connections get no answer at all. */
struct black_hole {
    int listener, fill[8];
    uint16_t port;
};

static struct black_hole black_hole(const char *ip)
{
    struct black_hole h = {.port = 0};
    struct net_addr a;
    h.listener = listen_on(ip, 0, 0, &h.port);
    must(h.listener >= 0 && net_addr_parse(str_of(ip), h.port, &a));
    for (size_t i = 0; i < ARRAY_LEN(h.fill); i++) {
        h.fill[i] = socket(a.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        must(h.fill[i] >= 0);
        must(connect(h.fill[i], &a.sa, a.len) == 0 || errno == EINPROGRESS);
    }
    return h;
}

static void close_hole(struct black_hole *h)
{
    close(h->listener);
    for (size_t i = 0; i < ARRAY_LEN(h->fill); i++)
        close(h->fill[i]);
}

/* --- direct ----------------------------------------------------------------------------------- */

IN_LOOP(test_direct)
{
    static const char *const hosts[] = {"127.0.0.1", "localhost", "LocalHost"};
    uint16_t port = 0;
    int l = listen_on("127.0.0.1", 0, 8, &port);
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        STREAM s, peer;
        char c;
        CHECK_EQ(dial_to(hosts[i], port, &s), 0);
        CHECK_EQ(stream_open(&peer, accept_one(l, far())), 0);
        CHECK_EQ(stream_write(&s, STR("x"), far()), 0);
        CHECK_EQ(stream_read(&peer, &c, 1, far()), 1);
    }
    close(l);
}

IN_LOOP(test_direct_six)
{
    uint16_t port = 0;
    int l = listen_on("::1", 0, 8, &port);
    if (l == -EAFNOSUPPORT || l == -EADDRNOTAVAIL)
        return; /* a machine without IPv6 */
    STREAM s;
    CHECK_EQ(dial_to("::1", port, &s), 0);
    close(l);
}

IN_LOOP(test_refused)
{
    char want[128];
    uint16_t port = dead_port("127.0.0.1");
    struct stream s;
    CHECK_EQ(dial_to("127.0.0.1", port, &s), -ECONNREFUSED);
    CHECK(!stream_is_open(&s));
    CHECK_EQ(err.status, 502);
    CHECK_STR(err.code, STR("upstream_unreachable"));
    snprintf(want, sizeof(want), "cannot reach 127.0.0.1:%u: connection refused", port);
    CHECK_STR(err.message, str_of(want));
}

IN_LOOP(test_no_answer)
{
    struct black_hole h = black_hole("127.0.0.1");
    struct dial_target t = {.host = STR("127.0.0.1"), .port = h.port};
    struct stream s;
    int r = dial(&t, clock_now() + 50 * NS_PER_MS, &s, &err, errbuf);
    close_hole(&h);
    CHECK_EQ(r, -ETIMEDOUT);
    CHECK(!stream_is_open(&s));
    CHECK_EQ(err.status, 504);
    CHECK_STR(err.code, STR("upstream_timeout"));
    CHECK(str_find(err.message, STR("no answer within the time limit")) > 0);
}

/* The coroutine's own deadline counts as well, and earlier. */
IN_LOOP(test_deadline_of_the_coroutine)
{
    struct black_hole h = black_hole("127.0.0.1");
    struct dial_target t = {.host = STR("127.0.0.1"), .port = h.port};
    struct stream s;
    int64_t old = co_set_deadline(soon());
    int r = dial(&t, far(), &s, &err, errbuf);
    co_set_deadline(old);
    close_hole(&h);
    CHECK_EQ(r, -ETIMEDOUT);
}

static int cancelled_dial;

static void dial_hole(void *arg)
{
    struct dial_target t = {.host = STR("127.0.0.1"), .port = *(uint16_t *)arg};
    struct stream s;
    cancelled_dial = dial(&t, far(), &s, &err, errbuf);
}

IN_LOOP(test_cancel)
{
    struct black_hole h = black_hole("127.0.0.1");
    struct co *co;
    unsigned fds = count_fds();
    CHECK_EQ(co_spawn_now("dial", dial_hole, &h.port, &co), 0);
    CHECK_EQ(count_fds(), fds + 1);
    co_cancel(co);
    co_yield ();
    CHECK_EQ(cancelled_dial, -ECANCELED);
    CHECK_EQ(count_fds(), fds);
    close_hole(&h);
}

IN_LOOP(test_hostile_names)
{
    struct stream s;
    uint64_t before = resolve_jobs();
    static const struct str names[] = {STR_INIT(""), STR_INIT("a b"), STR_INIT("x\r\ny: z"),
        STR_INIT("evil\0.test"), STR_INIT("a/b"), STR_INIT("[::1]"), STR_INIT("user@host"),
        STR_INIT("h\xc3\xa4.test"), STR_INIT("%6c")};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct dial_target t = {.host = names[i], .port = 80};
        CHECK_EQ(dial(&t, far(), &s, &err, errbuf), -EINVAL);
        for (size_t k = 0; k < err.message.n; k++)
            CHECK(err.message.p[k] >= ' ' && err.message.p[k] < 0x7f);
    }
    char lengthy[4096];
    memset(lengthy, 'a', sizeof(lengthy));
    struct dial_target t = {.host = str_at(lengthy, sizeof(lengthy)), .port = 80};
    CHECK_EQ(dial(&t, far(), &s, &err, errbuf), -EINVAL);
    CHECK(err.message.n < 512);
    CHECK_EQ(resolve_jobs(), before);
}

/* --- several addresses ------------------------------------------------------------------------ */

IN_LOOP(test_next_when_refused)
{
    uint16_t port = 0;
    int l = listen_on("127.0.0.1", 0, 8, &port);
    know("dual.test", "::1", "127.0.0.1");
    unsigned fds = count_fds();
    int64_t best = NEVER_NS;
    for (int i = 0; i < 5; i++) { /* several times: the machine may be busy */
        STREAM s;
        int64_t start = clock_now();
        CHECK_EQ(dial_to("dual.test", port, &s), 0);
        best = MIN(best, clock_now() - start);
        CHECK_EQ(count_fds(), fds + 1);
    }
    CHECK(best < 200 * NS_PER_MS); /* at once, not after the stagger */
    close(l);
}

IN_LOOP(test_next_when_silent)
{
    struct black_hole h = black_hole("127.0.0.2");
    int l = listen_on("127.0.0.1", h.port, 8, NULL);
    CHECK(l >= 0);
    know("slow.test", "127.0.0.2", "127.0.0.1");
    unsigned fds = count_fds();
    STREAM s;
    int64_t start = clock_now();
    CHECK_EQ(dial_to("slow.test", h.port, &s), 0);
    CHECK(clock_now() - start >= 250 * NS_PER_MS);
    CHECK_EQ(count_fds(), fds + 1); /* the loser is closed */
    close(l);
    close_hole(&h);
}

IN_LOOP(test_all_refused)
{
    struct stream s;
    know("dead.test", "127.0.0.1", "127.0.0.2");
    unsigned fds = count_fds();
    CHECK_EQ(dial_to("dead.test", dead_port("0.0.0.0"), &s), -ECONNREFUSED);
    CHECK_EQ(count_fds(), fds);
}

IN_LOOP(test_unknown_name)
{
    struct stream s;
    must(resolve_cache_put(STR("no.test"), NULL, -ENOENT, minute()) == 0);
    CHECK_EQ(dial_to("no.test", 443, &s), -ENOENT);
    CHECK_STR(err.message, STR("cannot reach no.test:443: there is no such host name"));
}

/* --- the guard -------------------------------------------------------------------------------- */

static int dial_chosen(const char *host, uint16_t port, const char *allow, const char *proxy)
{
    struct net_cidrs *set = NULL;
    struct dial_proxy *p = NULL;
    must(!allow || net_cidrs_parse(str_of(allow), &set) == 0);
    must(dial_proxy_parse(STR_NONE, str_of(proxy), STR_NONE, &p) == 0);
    struct dial_target t = {
        .host = str_of(host), .port = port, .caller_chosen = true, .allow = set, .proxy = p};
    struct stream s;
    memset(&err, 0, sizeof(err));
    int r = dial(&t, far(), &s, &err, errbuf);
    stream_close(&s);
    net_cidrs_free(set);
    dial_proxy_free(p);
    return r;
}

IN_LOOP(test_guard_refuses)
{
    static const char *const hosts[] = {"127.0.0.1", "::1", "localhost", "10.0.0.1",
        "169.254.169.254", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "0.0.0.0", "::", "0x7f.1",
        "017700000001", "127.1", "2130706433", "0", "mixed.test", "mixed2.test"};
    uint16_t port = 0;
    int l = listen_on("127.0.0.1", 0, 8, &port);
    know("mixed.test", "93.184.216.34", "127.0.0.1");
    know("mixed2.test", "127.0.0.1", "93.184.216.34");
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        int r = dial_chosen(hosts[i], port, NULL, NULL);
        if (r != -EPERM || err.status != 403 || !str_eq(err.code, STR("address_not_allowed")))
            tap_fail(__FILE__, __LINE__, "%s: %d", hosts[i], r);
    }
    CHECK_EQ(accept4(l, NULL, NULL, SOCK_NONBLOCK), -1); /* nobody came */
    close(l);
}

IN_LOOP(test_guard_allows)
{
    uint16_t port = 0;
    int l = listen_on("127.0.0.1", 0, 8, &port);
    CHECK_EQ(dial_chosen("127.0.0.1", port, "127.0.0.0/8", NULL), 0);
    CHECK_EQ(dial_chosen("127.1", port, "10.0.0.0/8,127.0.0.1", NULL), 0);
    CHECK_EQ(dial_chosen("127.0.0.1", port, "127.0.0.2", NULL), -EPERM);
    close(l);
}

int main(void)
{
    must(offload_start(2) == 0);
    TAP_RUN(test_direct);
    TAP_RUN(test_direct_six);
    TAP_RUN(test_refused);
    TAP_RUN(test_no_answer);
    TAP_RUN(test_deadline_of_the_coroutine);
    TAP_RUN(test_cancel);
    TAP_RUN(test_hostile_names);
    TAP_RUN(test_next_when_refused);
    TAP_RUN(test_next_when_silent);
    TAP_RUN(test_all_refused);
    TAP_RUN(test_unknown_name);
    TAP_RUN(test_guard_refuses);
    TAP_RUN(test_guard_allows);
    resolve_cache_clear();
    offload_stop();
    return tap_done();
}
