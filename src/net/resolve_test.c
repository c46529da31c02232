/*
 * Name look-up: literals, the cache with its ages and bounds, look-ups that several callers share.
 * Only "localhost" is ever asked of the system.
 */
#include "net/net_test.h"

static struct net_addr out[ADDRS_MOST];

static int look_up(const char *host)
{
    return dial_resolve(str_of(host), 80, out, ADDRS_MOST, far());
}

IN_LOOP(test_literals_need_no_job)
{
    uint64_t before = resolve_jobs();
    CHECK_EQ(look_up("127.0.0.1"), 1);
    CHECK_EQ(look_up("2001:db8::1"), 1);
    CHECK_EQ(ntohs(out[0].in6.sin6_port), 80);
    CHECK_EQ(resolve_jobs(), before);
}

IN_LOOP(test_cache)
{
    resolve_cache_clear();
    uint64_t before = resolve_jobs();
    CHECK(look_up("localhost") >= 1);
    CHECK_EQ(resolve_jobs(), before + 1);
    CHECK(look_up("localhost") >= 1);
    CHECK(look_up("LOCALHOST") >= 1);
    CHECK_EQ(resolve_jobs(), before + 1);
    CHECK_EQ(ntohs(out[0].in4.sin_port), 80);
}

IN_LOOP(test_cache_expires)
{
    struct net_addr a;
    CHECK(net_addr_parse(STR("192.0.2.7"), 0, &a));
    CHECK_EQ(resolve_cache_put(STR("localhost"), &a, 1, clock_now() - 1), 0);
    uint64_t before = resolve_jobs();
    CHECK(look_up("localhost") >= 1);
    CHECK_EQ(resolve_jobs(), before + 1);
    CHECK(out[0].in4.sin_addr.s_addr != a.in4.sin_addr.s_addr);
}

IN_LOOP(test_cache_remembers_failures)
{
    uint64_t before = resolve_jobs();
    CHECK_EQ(resolve_cache_put(STR("bad.test"), NULL, -EIO, minute()), 0);
    CHECK_EQ(look_up("bad.test"), -EIO);
    CHECK_EQ(resolve_jobs(), before);
}

IN_LOOP(test_cache_replaces)
{
    know("moves.test", "192.0.2.1", NULL);
    know("moves.test", "192.0.2.2", "192.0.2.3");
    CHECK_EQ(look_up("moves.test"), 2);
    CHECK_EQ(ntohl(out[0].in4.sin_addr.s_addr), 0xc0000202);
    CHECK_EQ(dial_resolve(STR("moves.test"), 1, out, 1, far()), 1);
}

IN_LOOP(test_cache_is_bounded)
{
    char name[32];
    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof(name), "n%d.test", i);
        know(name, "192.0.2.1", NULL);
    }
    CHECK_EQ(resolve_cache_names(), 4096);
    uint64_t before = resolve_jobs();
    CHECK_EQ(look_up("n4999.test"), 1);
    CHECK_EQ(look_up("n904.test"), 1); /* the oldest that is left */
    CHECK_EQ(resolve_jobs(), before);
    resolve_cache_clear();
    CHECK_EQ(resolve_cache_names(), 0);
}

static int resolve_child(void *arg)
{
    struct net_addr a[2];
    int r = dial_resolve(STR("localhost"), 80, a, 2, far());
    if (r > 0)
        ++*(int *)arg;
    return MIN(r, 0);
}

IN_LOOP(test_look_ups_are_shared)
{
    struct group g;
    int answered = 0;
    uint64_t before = resolve_jobs();
    resolve_cache_clear();
    group_init(&g, false);
    for (int i = 0; i < 10; i++)
        CHECK_EQ(group_spawn(&g, "resolve", resolve_child, &answered), 0);
    CHECK_EQ(group_wait(&g, far()), 0);
    CHECK_EQ(answered, 10);
    CHECK_EQ(resolve_jobs(), before + 1);
}

static void resolve_alone(void *arg)
{
    struct net_addr a;
    *(int *)arg = dial_resolve(STR("localhost"), 80, &a, 1, far());
}

IN_LOOP(test_cancelled_look_up_goes_on_for_others)
{
    struct co *co;
    int first = 0;
    uint64_t before = resolve_jobs();
    resolve_cache_clear();
    CHECK_EQ(co_spawn_now("resolve", resolve_alone, &first, &co), 0);
    co_cancel(co);
    CHECK(look_up("localhost") >= 1);
    CHECK_EQ(first, -ECANCELED);
    CHECK_EQ(resolve_jobs(), before + 1);
}

int main(void)
{
    must(offload_start(2) == 0);
    TAP_RUN(test_literals_need_no_job);
    TAP_RUN(test_cache);
    TAP_RUN(test_cache_expires);
    TAP_RUN(test_cache_remembers_failures);
    TAP_RUN(test_cache_replaces);
    TAP_RUN(test_cache_is_bounded);
    TAP_RUN(test_look_ups_are_shared);
    TAP_RUN(test_cancelled_look_up_goes_on_for_others);
    resolve_cache_clear();
    offload_stop();
    return tap_done();
}
