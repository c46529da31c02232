/* Choosing among credentials: shares, refusals, what a reload keeps. */
#include "providers/provider.h"

#include "base/clock.h"
#include "base/tap.h"
#include <errno.h>
#include <stdio.h>

static struct upstream up;

static void with(const char *ids)
{
    struct str rest = str_of(ids);

    upstream_keys_free(&up);
    while (rest.n) {
        struct str weight = str_split(&rest, ' '), id = str_split(&weight, ':');
        char value[32];
        uint64_t w = 1;
        snprintf(value, sizeof value, "sk-" STR_FMT, STR_ARG(id));
        must(!weight.n || str_u64(weight, &w) == 0);
        must(upstream_add_key(&up, id, str_of(value), (unsigned)w) == 0);
    }
}

/* How often each key "a", "b", "c" is picked in n picks. */
static void picks(unsigned n, unsigned ret[static 3])
{
    memset(ret, 0, 3 * sizeof *ret);
    while (n--)
        ret[upstream_pick(&up)->id.p[0] - 'a']++;
}

static const struct upstream_key *key(const char *id)
{
    const struct upstream_key *k = upstream_key_by_id(&up, str_of(id));

    must(k);
    return k;
}

static void test_none_and_one(void)
{
    upstream_keys_free(&up);
    CHECK(!upstream_pick(&up));
    CHECK(!upstream_pick_other(&up, NULL));
    upstream_key_report(NULL, 401, 0);
    with("a");
    CHECK(upstream_pick(&up) == key("a"));
    CHECK(secret_eq(&key("a")->key, STR("sk-a")));
    upstream_key_report(key("a"), 401, 0);
    CHECK_EQ(upstream_key_state(key("a")), UPSTREAM_KEY_REFUSED);
    CHECK(upstream_pick(&up) == key("a")); /* the only one is tried all the same */
    CHECK(!upstream_pick_other(&up, key("a")));
    CHECK(key("a")->health->used_at > 0);
}

static void test_shares(void)
{
    unsigned n[3];

    with("a:3 b c:2");
    picks(600, n);
    CHECK_EQ(n[0], 300);
    CHECK_EQ(n[1], 100);
    CHECK_EQ(n[2], 200);
    CHECK_EQ(upstream_add_key(&up, STR("a"), STR("x"), 1), -EEXIST);
    with("a:0 b");
    CHECK_EQ(key("a")->weight, 1);
}

static void test_refused(void)
{
    unsigned n[3];

    with("a b c");
    upstream_key_report(key("b"), 401, 0);
    picks(100, n);
    CHECK_EQ(n[0], 50);
    CHECK_EQ(n[1], 0);
    CHECK_EQ(n[2], 50);
    int64_t until = key("b")->health->refused_until - clock_now();
    CHECK(until > 59 * NS_PER_S && until <= 60 * NS_PER_S);
    upstream_key_report(key("b"), 500, 0); /* says nothing about the key */
    CHECK_EQ(upstream_key_state(key("b")), UPSTREAM_KEY_REFUSED);
    upstream_key_report(key("b"), 200, 0);
    picks(99, n);
    CHECK_EQ(n[1], 33);
}

static void test_rate_limited(void)
{
    unsigned n[3];

    with("a b");
    upstream_key_report(key("a"), 429, 30);
    CHECK_EQ(upstream_key_state(key("a")), UPSTREAM_KEY_RATE_LIMITED);
    picks(10, n);
    CHECK_EQ(n[1], 10);
    CHECK(upstream_pick_other(&up, key("a")) == key("b"));
    CHECK(!upstream_pick_other(&up, key("b"))); /* a would only be limited again */
    upstream_key_report(key("b"), 401, 0);
    picks(10, n);
    CHECK_EQ(n[0], 10); /* it recovers first */
    upstream_key_report(key("a"), 429, 100000);
    CHECK(key("a")->health->rate_limited_until <= clock_now() + 60 * NS_PER_S);
    upstream_key_report(key("a"), 429, 0);
    CHECK(key("a")->health->rate_limited_until <= clock_now() + NS_PER_S);
}

static void test_inherit(void)
{
    struct upstream was;

    with("a b");
    upstream_key_report(key("a"), 401, 0);
    upstream_key_report(key("b"), 401, 0);
    was = up;
    up.keys = NULL;
    with("a c");
    must(upstream_add_key(&up, STR("b"), STR("sk-new"), 1) == 0);
    upstream_keys_inherit(&up, &was);
    CHECK_EQ(upstream_key_state(key("a")), UPSTREAM_KEY_REFUSED);
    CHECK_EQ(upstream_key_state(key("b")), UPSTREAM_KEY_GOOD); /* its value is a new one */
    CHECK_EQ(upstream_key_state(key("c")), UPSTREAM_KEY_GOOD);
    upstream_key_report(upstream_key_by_id(&was, STR("a")), 200, 0); /* an old call's answer */
    CHECK_EQ(upstream_key_state(key("a")), UPSTREAM_KEY_GOOD);
    upstream_keys_free(&was);
    CHECK(upstream_pick(&up));
}

static void test_many(void)
{
    char id[16];

    upstream_keys_free(&up);
    for (unsigned i = 0; i < UPSTREAM_KEYS_MAX; i++) {
        snprintf(id, sizeof id, "k%u", i);
        CHECK_EQ(upstream_add_key(&up, str_of(id), STR("v"), 1000), 0);
    }
    CHECK_EQ(upstream_add_key(&up, STR("one more"), STR("v"), 1), -ENOSPC);
    for (unsigned i = 0; i < 200; i++)
        CHECK(upstream_pick(&up) != NULL);
}

int main(void)
{
    TAP_RUN(test_none_and_one);
    TAP_RUN(test_shares);
    TAP_RUN(test_refused);
    TAP_RUN(test_rate_limited);
    TAP_RUN(test_inherit);
    TAP_RUN(test_many);
    upstream_keys_free(&up);
    return tap_done();
}
