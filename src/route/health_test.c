/* What is known of targets: the breaker's states, rests, latencies, hedges. Time is given. */
#include "route/health.h"

#include "base/macros.h"
#include "base/tap.h"
#include <pthread.h>
#include <stdio.h>

static const struct breaker_settings usual = {3, 5 * NS_PER_S};
static int64_t now;

static struct route_state *fresh(void)
{
    struct route_state *s = route_state_get(STR("openai"), STR("gpt-4o"));

    route_states_reset();
    now = 1000 * NS_PER_S;
    return s;
}

static bool call(struct route_state *s, enum route_result r)
{
    route_state_begin(s, now);
    return route_state_end(s, r, &usual, now);
}

/* --- threads: what TSan looks at, and that no count is lost --- */

#define THREADS 4
#define TIMES   2000

static void *pound(void *arg)
{
    struct route_state *s = arg;
    const struct breaker_settings b = {3, NS_PER_S};
    int64_t p95;

    for (unsigned i = 0; i < TIMES; i++) {
        int64_t at = now + i * NS_PER_MS;
        char name[32];
        int n = snprintf(name, sizeof name, "model-%u", i % 50);
        must(route_state_get(STR("shared"), str_at(name, (size_t)n)));
        route_state_begin(s, at);
        route_state_took(s, ROUTE_STREAM, (int64_t)(i % 100) * NS_PER_MS, at);
        route_state_end(s, i % 3 ? ROUTE_OK : ROUTE_FAILED, &b, at);
        route_state_rest(s, at);
        route_state_heard_rest(s, at);
        route_state_heard(s, ROUTE_STREAM, NS_PER_MS, at);
        (void)route_state_take_news(s, ROUTE_STREAM, &p95);
        (void)route_state_p95(s, ROUTE_STREAM, at);
        (void)route_state_until(s, at);
        (void)route_state_claim_probe(s, at);
        (void)route_state_may_hedge(s, 2);
    }
    return NULL;
}

static void test_threads(void)
{
    struct route_state *s = fresh();
    pthread_t t[THREADS];
    struct route_counts n;

    for (unsigned i = 0; i < THREADS; i++)
        must(pthread_create(&t[i], NULL, pound, s) == 0);
    for (unsigned i = 0; i < THREADS; i++)
        must(pthread_join(t[i], NULL) == 0);
    route_state_counts(s, &n);
    CHECK_EQ(n.calls, THREADS * TIMES);
    CHECK_EQ(n.ok + n.failed, THREADS * TIMES);
    CHECK_EQ(route_state_in_flight(s), 0);
    unsigned made = 0;
    const struct route_state *at;
    for (unsigned i = 0; (at = route_state_at(i)); i++)
        made += str_eq(route_state_where(at), STR("shared"));
    CHECK_EQ(made, 50); /* each once */
}

static void test_records(void)
{
    struct route_state *s = fresh();
    char name[32];

    CHECK(s && s == route_state_get(STR("openai"), STR("gpt-4o")));
    CHECK(s == route_state_find(STR("openai"), STR("gpt-4o")));
    CHECK(s != route_state_get(STR("openai"), STR("gpt-4")));
    CHECK(!route_state_find(STR("nobody"), STR("gpt-4o")));
    CHECK_STR(route_state_where(s), STR("openai"));
    CHECK_STR(route_state_model(s), STR("gpt-4o"));
    unsigned made = 0;
    for (unsigned i = 0; i < 2 * ROUTE_STATES_MAX; i++) {
        int n = snprintf(name, sizeof name, "model-%u", i);
        made += route_state_get(STR("many"), str_at(name, (size_t)n)) != NULL;
    }
    CHECK(made < ROUTE_STATES_MAX);
    CHECK(route_state_at(ROUTE_STATES_MAX - 1) && !route_state_at(ROUTE_STATES_MAX));
    CHECK(s == route_state_get(STR("openai"), STR("gpt-4o"))); /* those that are there stay */
    CHECK(!call(NULL, ROUTE_FAILED)); /* a target without a record is simply well */
    CHECK(route_state_is_well(NULL, now));
}

static void test_breaker_opens_and_closes(void)
{
    struct route_state *s = fresh();

    CHECK(!call(s, ROUTE_FAILED) && !call(s, ROUTE_FAILED));
    CHECK_EQ(route_state_breaker(s, now), BREAKER_CLOSED);
    CHECK(call(s, ROUTE_FAILED)); /* this one opened it */
    CHECK_EQ(route_state_breaker(s, now), BREAKER_OPEN);
    CHECK(!route_state_is_well(s, now));
    CHECK_EQ(route_state_until(s, now), now + 5 * NS_PER_S);
    now += 5 * NS_PER_S;
    CHECK_EQ(route_state_breaker(s, now), BREAKER_HALF_OPEN);
    CHECK(route_state_is_well(s, now));
    route_state_begin(s, now); /* one tries it out; the others keep away */
    CHECK(!route_state_is_well(s, now));
    CHECK(!route_state_end(s, ROUTE_OK, &usual, now));
    CHECK_EQ(route_state_breaker(s, now), BREAKER_CLOSED);
    CHECK(route_state_is_well(s, now));
}

static void test_breaker_opens_longer(void)
{
    struct route_state *s = fresh();

    for (unsigned i = 0; i < 3; i++)
        call(s, ROUTE_FAILED);
    for (int64_t span = 10; span <= 80; span *= 2) {
        now = route_state_until(s, now);
        CHECK(call(s, ROUTE_FAILED));
        CHECK_EQ(route_state_until(s, now), now + MIN(span, (int64_t)60) * NS_PER_S);
    }
    now = route_state_until(s, now);
    call(s, ROUTE_OK);
    for (unsigned i = 0; i < 3; i++)
        call(s, ROUTE_FAILED);
    CHECK_EQ(route_state_until(s, now), now + 5 * NS_PER_S); /* forgiven */
}

static void test_breaker_counts_in_a_row(void)
{
    struct route_state *s = fresh();

    for (unsigned i = 0; i < 10; i++) {
        call(s, ROUTE_FAILED);
        call(s, ROUTE_FAILED);
        call(s, ROUTE_OK);
    }
    CHECK_EQ(route_state_breaker(s, now), BREAKER_CLOSED);
    for (unsigned i = 0; i < 10; i++) { /* far apart */
        call(s, ROUTE_FAILED);
        now += 31 * NS_PER_S;
        call(s, ROUTE_FAILED);
        now += 61 * NS_PER_S;
    }
    CHECK_EQ(route_state_breaker(s, now), BREAKER_CLOSED);
    for (unsigned i = 0; i < 10; i++) { /* what is not the target's fault */
        call(s, ROUTE_NO_FAULT);
        call(s, ROUTE_LIMITED);
        call(s, ROUTE_ABANDONED);
    }
    CHECK_EQ(route_state_breaker(s, now), BREAKER_CLOSED);
    const struct breaker_settings never = {0, NS_PER_S};
    for (unsigned i = 0; i < 100; i++) {
        route_state_begin(s, now);
        CHECK(!route_state_end(s, ROUTE_FAILED, &never, now));
    }
    CHECK_EQ(route_state_in_flight(s), 0);
}

static void test_probe_that_says_nothing(void)
{
    struct route_state *s = fresh();

    for (unsigned i = 0; i < 3; i++)
        call(s, ROUTE_FAILED);
    now += 5 * NS_PER_S;
    call(s, ROUTE_ABANDONED); /* another may try at once */
    CHECK(route_state_is_well(s, now));
    route_state_begin(s, now); /* one that never ends keeps others away for a while only */
    now += 31 * NS_PER_S;
    CHECK(route_state_is_well(s, now));
}

static void test_rest(void)
{
    struct route_state *s = fresh();

    route_state_rest(s, now + 3 * NS_PER_S);
    route_state_rest(s, now + NS_PER_S); /* the longer one counts */
    CHECK(!route_state_is_well(s, now));
    CHECK_EQ(route_state_breaker(s, now), BREAKER_CLOSED);
    CHECK_EQ(route_state_resting(s, now), 3 * NS_PER_S);
    now += 3 * NS_PER_S;
    CHECK(route_state_is_well(s, now));
    CHECK_EQ(route_state_resting(s, now), 0);
}

/* --- latency --- */

static void took(struct route_state *s, unsigned n, int64_t ms)
{
    while (n--)
        route_state_took(s, ROUTE_WHOLE, ms * NS_PER_MS, now);
}

static void test_p95(void)
{
    struct route_state *s = fresh();

    CHECK_EQ(route_state_p95(s, ROUTE_WHOLE, now), -1);
    took(s, 1, 100);
    CHECK_EQ(route_state_p95(s, ROUTE_WHOLE, now), 100 * NS_PER_MS);
    CHECK_EQ(route_state_p95(s, ROUTE_STREAM, now), -1); /* apart */
    took(s, 31, 100);
    took(s, 1, 5000); /* one outlier in more than twenty is none */
    CHECK_EQ(route_state_p95(s, ROUTE_WHOLE, now), 100 * NS_PER_MS);
    took(s, 40, 5000);
    CHECK(route_state_p95(s, ROUTE_WHOLE, now) > 4900 * NS_PER_MS);
    now += ROUTE_FRESH_NS + NS_PER_S;
    CHECK_EQ(route_state_p95(s, ROUTE_WHOLE, now), -1); /* too old to say anything */
    took(s, 1, 10);
    CHECK_EQ(route_state_p95(s, ROUTE_WHOLE, now), 10 * NS_PER_MS); /* and forgotten */
}

static void test_moving_average(void)
{
    struct route_state *s = fresh();

    took(s, 32, 100);
    took(s, 2, 500); /* now the p95 of the window is 500 */
    CHECK_EQ(route_state_p95(s, ROUTE_WHOLE, now), 200 * NS_PER_MS);
    took(s, 1, 100);
    CHECK_EQ(route_state_p95(s, ROUTE_WHOLE, now), 275 * NS_PER_MS);
}

static void test_quantiles(void)
{
    struct route_state *s = fresh();

    CHECK_EQ(route_state_quantile(s, ROUTE_WHOLE, 0.5), -1);
    for (unsigned i = 1; i <= 1000; i++)
        took(s, 1, i);
    int64_t p50 = route_state_quantile(s, ROUTE_WHOLE, 0.5) / NS_PER_MS;
    int64_t p99 = route_state_quantile(s, ROUTE_WHOLE, 0.99) / NS_PER_MS;
    CHECK(p50 >= 500 && p50 <= 570);
    CHECK(p99 >= 990 && p99 <= 1120);
    took(s, 4000, 10); /* old ones fade */
    CHECK(route_state_quantile(s, ROUTE_WHOLE, 0.8) < 12 * NS_PER_MS);
}

/* Stalls of one call in a hundred lie at the p99 themselves: the p95 keeps the wait short. */
static void test_hedge_after(void)
{
    struct route_state *s = fresh();

    took(s, ROUTE_HEDGE_CALLS - 1, 10);
    CHECK_EQ(route_state_hedge_after(s, ROUTE_WHOLE), -1);
    for (unsigned i = 0; i < 5; i++) {
        took(s, 98, 10);
        took(s, 2, 3000);
    }
    int64_t after = route_state_hedge_after(s, ROUTE_WHOLE);
    CHECK(after >= 10 * NS_PER_MS && after <= 40 * NS_PER_MS);
}

static void test_hedges_are_few(void)
{
    struct route_state *s = fresh();
    unsigned hedged = 0;

    for (unsigned i = 0; i < 10000; i++) { /* every tenth wants one */
        route_state_begin(s, now);
        hedged += i % 10 == 0 && route_state_may_hedge(s, 2);
        route_state_end(s, ROUTE_OK, &usual, now);
    }
    CHECK(hedged > 190 && hedged <= 200);
    CHECK(!route_state_may_hedge(s, 0));
    CHECK(!route_state_may_hedge(NULL, 100));
}

/* What others were asked counts here, and is not told on. */
static void test_heard_rest(void)
{
    struct route_state *s = fresh();

    route_state_heard_rest(s, now + 3 * NS_PER_S);
    CHECK_EQ(route_state_resting(s, now), 3 * NS_PER_S);
    CHECK_EQ(route_state_own_rest(s, now), 0);
    CHECK_EQ(route_state_until(s, now), now + 3 * NS_PER_S);
    route_state_rest(s, now + 5 * NS_PER_S);
    CHECK_EQ(route_state_resting(s, now), 5 * NS_PER_S);
    CHECK_EQ(route_state_own_rest(s, now), 5 * NS_PER_S);
}

static void test_probes(void)
{
    struct route_state *s = fresh();

    CHECK(route_state_claim_probe(s, now));
    CHECK(!route_state_claim_probe(s, now));
    CHECK(route_state_claim_probe(s, now + 10 * NS_PER_S));
}

static void test_counts(void)
{
    struct route_state *s = fresh();
    struct route_counts n;

    call(s, ROUTE_OK);
    call(s, ROUTE_FAILED);
    call(s, ROUTE_LIMITED);
    call(s, ROUTE_ABANDONED);
    took(s, 2, 50);
    route_state_counts(s, &n);
    CHECK(n.calls == 4 && n.ok == 1 && n.failed == 1 && n.limited == 1 && n.abandoned == 1);
    CHECK(n.took_n == 2 && n.took_ns == 100 * NS_PER_MS);
    CHECK(n.last_failure && n.last_ok && n.last_call);
}

int main(void)
{
    TAP_RUN(test_breaker_opens_and_closes);
    TAP_RUN(test_breaker_opens_longer);
    TAP_RUN(test_breaker_counts_in_a_row);
    TAP_RUN(test_probe_that_says_nothing);
    TAP_RUN(test_rest);
    TAP_RUN(test_heard_rest);
    TAP_RUN(test_p95);
    TAP_RUN(test_moving_average);
    TAP_RUN(test_quantiles);
    TAP_RUN(test_hedge_after);
    TAP_RUN(test_hedges_are_few);
    TAP_RUN(test_probes);
    TAP_RUN(test_counts);
    TAP_RUN(test_threads);
    TAP_RUN(test_records); /* last: it uses all of them up */
    return tap_done();
}
