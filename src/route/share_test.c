/* What nodes tell each other: latencies and rests, once each. */
#include "route/share.h"

#include "base/tap.h"
#include <stdlib.h>

static struct str tell(struct buf *b)
{
    buf_free(b);
    buf_init(b, 64 << 10);
    route_share_tell(STR("node-a"), b);
    return buf_str(b);
}

static void test_latencies(void)
{
    struct route_state *s = route_state_get(STR("openai"), STR("gpt-4o"));
    struct buf b = {0};
    int64_t now = clock_now();

    route_states_reset();
    CHECK_EQ(tell(&b).n, 0);
    route_state_took(s, ROUTE_STREAM, 250 * NS_PER_MS, now);
    CHECK_STR(tell(&b), STR("node-a\nopenai\tgpt-4o\t1\t250000\t0\n"));
    struct str message = str_at(str_dup(buf_str(&b)), b.n);
    CHECK_EQ(tell(&b).n, 0); /* once */
    route_states_reset();
    route_share_heard(STR("node-a"), message); /* its own */
    CHECK_EQ(route_state_p95(s, ROUTE_STREAM, clock_now()), -1);
    route_share_heard(STR("node-b"), message);
    CHECK_EQ(route_state_p95(s, ROUTE_STREAM, clock_now()), 250 * NS_PER_MS);
    CHECK_EQ(route_state_p95(s, ROUTE_WHOLE, clock_now()), -1);
    CHECK_EQ(tell(&b).n, 0); /* what was heard is not told again */
    /* what this node sees itself is worth more; what is older than the other's half */
    route_state_took(s, ROUTE_STREAM, 50 * NS_PER_MS, clock_now());
    CHECK_EQ(route_state_p95(s, ROUTE_STREAM, clock_now()), 50 * NS_PER_MS);
    route_share_heard(STR("node-b"), message);
    CHECK_EQ(route_state_p95(s, ROUTE_STREAM, clock_now()), 150 * NS_PER_MS);
    free((char *)message.p);
    buf_free(&b);
}

static void test_rests(void)
{
    struct route_state *s = route_state_get(STR("openai"), STR("gpt-4o"));
    struct buf b = {0};

    route_states_reset();
    route_state_rest(s, clock_now() + 30 * NS_PER_S);
    struct str m = tell(&b);
    CHECK(str_starts(m, STR("node-a\nopenai\tgpt-4o\t0\t-1\t2")));
    struct str copy = str_at(str_dup(m), m.n);
    route_states_reset();
    route_share_heard(STR("node-b"), copy);
    free((char *)copy.p);
    CHECK(route_state_resting(s, clock_now()) > 28 * NS_PER_S);
    CHECK_EQ(route_state_p95(s, ROUTE_WHOLE, clock_now()), -1);
    CHECK_EQ(tell(&b).n, 0); /* what was heard is not told again */
    buf_free(&b);
}

/* A client's model name cannot write lines of its own. */
static void test_names(void)
{
    CHECK(!route_state_get(STR("openai"), STR("x\nopenai\tgpt-4o\t0\t1\t60000")));
    CHECK(!route_state_get(STR("openai"), STR("x\ty")));
    CHECK(!route_state_get(STR("a\177"), STR("m")));
    CHECK(route_state_get(STR("openai"), STR("gr\303\266\303\237er: v1/\"x\"")) != NULL);
}

/* Messages come from nodes of other versions, or from anybody who reaches Redis. */
static void test_nonsense(void)
{
    static const char *const odd[] = {"", "x", "x\n", "x\n\t\t\t\t", "x\na\tb", "x\na\tb\t9\t1\t1",
        "x\na\tb\t0\tmuch\tlong", "x\nopenai\tgpt-4o\t0\t99999999999999999999\t99999999999999",
        "x\n\n\n\n"};
    struct route_state *s = route_state_get(STR("openai"), STR("gpt-4o"));

    route_states_reset();
    for (unsigned i = 0; i < sizeof odd / sizeof *odd; i++)
        route_share_heard(STR("node-b"), str_of(odd[i]));
    CHECK_EQ(route_state_p95(s, ROUTE_WHOLE, clock_now()), -1);
    CHECK(route_state_resting(s, clock_now()) <= ROUTE_REST_MAX_NS);
}

int main(void)
{
    TAP_RUN(test_latencies);
    TAP_RUN(test_rests);
    TAP_RUN(test_names);
    TAP_RUN(test_nonsense);
    return tap_done();
}
