/* Plans: who may serve, in which order, by every strategy; most of them by distribution. */
#include "route/plan_test.h"

#include "crypto/random.h"
#include "route/budget.h"

#define THREE                                                                                      \
    "\"targets\":[{\"provider\":\"openai\"},{\"provider\":\"groq\"},{\"provider\":\"xai\"}]"

static unsigned count_first(unsigned calls, const char *provider)
{
    unsigned n = 0;

    for (unsigned i = 0; i < calls; i++) {
        n += str_eq(p_first(), str_of(provider));
        if (i % 1000 == 999) { /* plans of many calls need not stay */
            arena_free(&p_arena);
            arena_init(&p_arena, NULL, 0, 512 * MIB);
        }
    }
    return n;
}

/* A chain outlives the arena that count_first() empties. */
static struct arena keep;

static void chain(const char *members)
{
    struct error e = {0};
    struct str json = arena_printf(&keep, "{\"name\":\"c\",%s}", members);

    if (route_chain_parse(&p_settings, json, &keep, &p_chain, &e) < 0)
        tap_fail(__FILE__, __LINE__, STR_FMT ": " STR_FMT, STR_ARG(e.param), STR_ARG(e.message));
}

static void test_priority(void)
{
    p_configure("openai groq xai");
    chain(THREE);
    CHECK_STR(p_order(), STR("openai groq xai"));
    CHECK_STR(p_order(), STR("openai groq xai"));
    CHECK_STR(p_plan->log.strategy, STR("priority"));
    CHECK_STR(p_plan->log.chain, STR("c"));
}

static void test_round_robin(void)
{
    unsigned at = 0;

    p_configure("openai groq xai");
    chain("\"strategy\":\"round_robin\"," THREE);
    static const char *const orders[] = {"openai groq xai", "groq xai openai", "xai openai groq"};
    struct str first = p_order();
    while (at < 3 && !str_eq(first, str_of(orders[at])))
        at++;
    for (unsigned i = 1; i < 9; i++)
        CHECK_STR(p_order(), str_of(orders[(at + i) % 3]));
    /* one that is left out gives its turns to all the others */
    route_state_rest(p_state("groq", "gpt-4o"), clock_now() + NS_PER_S);
    p_asked.now = clock_now();
    CHECK_EQ(count_first(1000, "openai"), 500);
    CHECK_EQ(count_first(1000, "xai"), 500);
}

/* Within 2 % over 10,000 calls; the second choice is drawn by weight, too. */
static void test_weighted(void)
{
    unsigned second = 0;

    p_configure("openai groq xai");
    chain("\"strategy\":\"weighted\",\"targets\":[{\"provider\":\"openai\",\"weight\":70},"
          "{\"provider\":\"groq\",\"weight\":20},{\"provider\":\"xai\",\"weight\":10}]");
    unsigned n = count_first(10000, "openai");
    CHECK(n > 6800 && n < 7200);
    n = count_first(10000, "groq");
    CHECK(n > 1800 && n < 2200);
    n = count_first(10000, "xai");
    CHECK(n > 800 && n < 1200);
    for (unsigned i = 0; i < 10000; i++) {
        p_make_plan();
        if (str_eq(p_plan->at[0].upstream->provider->id, STR("openai")))
            second += str_eq(p_plan->at[1].upstream->provider->id, STR("groq"));
    }
    CHECK(second > 7000 * 2 / 3 - 300 && second < 7000 * 2 / 3 + 300);
    /* a weight of nothing comes after the others */
    chain("\"strategy\":\"weighted\",\"targets\":[{\"provider\":\"openai\",\"weight\":0},"
          "{\"provider\":\"groq\"}]");
    CHECK_EQ(count_first(1000, "groq"), 1000);
}

static void test_random(void)
{
    p_configure("openai groq xai");
    chain("\"strategy\":\"random\"," THREE);
    unsigned n = count_first(9000, "openai");
    CHECK(n > 2820 && n < 3180);
}

static void test_least_connections(void)
{
    struct route_state *openai, *groq, *xai;

    p_configure("openai groq xai");
    chain("\"strategy\":\"least_connections\"," THREE);
    openai = p_state("openai", "gpt-4o");
    groq = p_state("groq", "gpt-4o");
    xai = p_state("xai", "grok-3");
    for (unsigned i = 0; i < 3; i++)
        route_state_begin(openai, p_asked.now);
    route_state_begin(groq, p_asked.now);
    CHECK_STR(p_order(), STR("xai groq openai"));
    route_state_begin(xai, p_asked.now);
    route_state_begin(xai, p_asked.now);
    CHECK_STR(p_order(), STR("groq xai openai"));
    for (unsigned i = 0; i < 3; i++)
        route_state_end(openai, ROUTE_OK, &p_chain.breaker, p_asked.now);
    CHECK_STR(p_first(), STR("openai"));
    CHECK_EQ(route_state_in_flight(openai), 0);
    /* by weight: three calls on four shares are less than one on one */
    chain("\"strategy\":\"least_connections\",\"targets\":[{\"provider\":\"openai\",\"weight\":4},"
          "{\"provider\":\"groq\"}]");
    for (unsigned i = 0; i < 3; i++)
        route_state_begin(openai, p_asked.now);
    CHECK_STR(p_first(), STR("openai"));
}

/* One call of the chain: each target takes its time, with a fifth of jitter. */
static struct str call(const int64_t *ms, int64_t *now)
{
    struct plan_target *t;
    struct route_state *s;

    p_asked.now = *now;
    t = &p_make_plan()->at[0];
    s = t->state;
    int64_t took = ms[t->place] * NS_PER_MS;
    took += (int64_t)random_below((uint64_t)took / 5 + 1);
    route_state_begin(s, *now);
    *now += took;
    route_state_took(s, ROUTE_WHOLE, took, *now);
    route_state_end(s, ROUTE_OK, &p_chain.breaker, *now);
    return t->upstream->provider->id;
}

static unsigned calls_to(const char *provider, unsigned n, const int64_t *ms, int64_t *now)
{
    unsigned there = 0;

    for (unsigned i = 0; i < n; i++)
        there += str_eq(call(ms, now), str_of(provider));
    return there;
}

/* Finds the fast one within 50 calls, and leaves it within 50 when it slows. */
static void test_latency(void)
{
    static const int64_t first[] = {300, 100, 200}, then[] = {300, 500, 200};
    int64_t now = clock_now();

    p_configure("openai groq xai");
    chain("\"strategy\":\"latency\"," THREE);
    calls_to("groq", 50, first, &now);
    CHECK_EQ(calls_to("groq", 50, first, &now), 50);
    calls_to("groq", 50, then, &now);
    CHECK(calls_to("groq", 50, then, &now) <= 1);
    CHECK(calls_to("xai", 50, then, &now) >= 49);
    /* after a minute without a call it is looked at again, by one call */
    now += 2 * ROUTE_FRESH_NS;
    p_asked.now = now;
    CHECK(calls_to("groq", 50, first, &now) >= 40);
}

/* A single slow call does not turn a target's p95 round once there are more than twenty. */
static void test_latency_outlier(void)
{
    static const int64_t ms[] = {100, 120, 120};
    int64_t now = clock_now();

    p_configure("openai groq xai");
    chain("\"strategy\":\"latency\"," THREE);
    calls_to("openai", 60, ms, &now);
    struct route_state *s = p_state("openai", "gpt-4o");
    route_state_took(s, ROUTE_WHOLE, 10 * NS_PER_S, now);
    CHECK(calls_to("openai", 20, ms, &now) >= 19);
}

static void test_cost(void)
{
    p_configure("openai anthropic gemini");
    p_asked.model = STR("gpt-5.4");
    chain("\"strategy\":\"cost\",\"targets\":[{\"provider\":\"anthropic\",\"model\":"
          "\"claude-opus-4-6\"},{\"provider\":\"openai\",\"model\":\"gpt-4o-mini\"},"
          "{\"provider\":\"openai\",\"model\":\"gpt-4o\"},"
          "{\"provider\":\"openai\",\"model\":\"nobody-knows\"}]");
    p_make_plan();
    CHECK_STR(p_plan->at[0].model, STR("gpt-4o-mini"));
    CHECK_STR(p_plan->at[1].model, STR("gpt-4o"));
    CHECK_STR(p_plan->at[2].model, STR("claude-opus-4-6"));
    CHECK_STR(p_plan->at[3].model, STR("nobody-knows")); /* no price: last */
}

static void test_tags(void)
{
    p_configure("openai groq xai");
    chain("\"strategy\":\"tag\",\"targets\":[{\"provider\":\"openai\",\"tags\":[\"us\",\"pii\"]},"
          "{\"provider\":\"groq\",\"tags\":[\"eu\",\"pii\"]},"
          "{\"provider\":\"xai\",\"tags\":[\"default\"]}]");
    p_asked.tags = STR("eu, pii");
    CHECK_STR(p_order(), STR("groq"));
    p_asked.tags = STR("PII");
    CHECK_STR(p_order(), STR("openai groq"));
    p_asked.tags = STR("nothing");
    CHECK_STR(p_order(), STR("xai"));
    p_asked.tags = STR_NONE;
    CHECK_STR(p_order(), STR("xai"));
    CHECK_EQ(p_plan->at[1].reason, PLAN_LACKS_TAGS);
    CHECK_EQ(p_plan->log.skipped_n, 2);
    /* without a default, a call without tags may go anywhere, and one that nobody fits nowhere */
    chain("\"strategy\":\"tag\",\"targets\":[{\"provider\":\"openai\",\"tags\":[\"us\"]},"
          "{\"provider\":\"groq\"}]");
    CHECK_STR(p_order(), STR("openai groq"));
    p_asked.tags = STR("eu");
    CHECK_STR(p_order(), STR(""));
}

/* --- affinity --- */

static void set_prompt(unsigned i, const char *more)
{
    p_asked.body = arena_printf(&p_arena,
        "{\"messages\":[{\"role\":\"system\",\"content\":\"You are %u\"},"
        "{\"role\":\"user\",\"content\":\"Hello %u\"}%s]}",
        i, i * 7, more);
}

static void test_affinity(void)
{
    static const char turns[] = ",{\"role\":\"assistant\",\"content\":\"Hi\"},"
                                "{\"role\":\"user\",\"content\":\"And now?\"}";
    const struct upstream *homes[1000];
    unsigned there = 0, stayed = 0, on_openai = 0, elsewhere = 0;

    p_configure("openai groq xai");
    chain("\"strategy\":\"random\",\"affinity\":true," THREE);
    for (unsigned i = 0; i < 1000; i++) {
        set_prompt(i, "");
        homes[i] = p_make_plan()->at[0].upstream;
        CHECK(p_plan->by_affinity);
        on_openai += str_eq(homes[i]->provider->id, STR("openai"));
    }
    CHECK(on_openai > 270 && on_openai < 400); /* spread evenly */
    for (unsigned i = 0; i < 1000; i++) {      /* the conversation goes on */
        set_prompt(i, turns);
        there += p_make_plan()->at[0].upstream == homes[i];
    }
    CHECK_EQ(there, 1000);
    /* while a target rests, only its own calls move */
    route_state_rest(p_state("openai", "gpt-4o"), clock_now() + 10 * NS_PER_S);
    p_asked.now = clock_now();
    for (unsigned i = 0; i < 1000; i++) {
        set_prompt(i, "");
        const struct upstream *now = p_make_plan()->at[0].upstream;
        stayed += now == homes[i];
        elsewhere += now != homes[i] && !str_eq(homes[i]->provider->id, STR("openai"));
    }
    CHECK_EQ(stayed, 1000 - on_openai);
    CHECK_EQ(elsewhere, 0);
}

static void test_affinity_by_weight(void)
{
    unsigned n = 0;

    p_configure("openai groq");
    chain("\"strategy\":\"weighted\",\"affinity\":true,\"targets\":[{\"provider\":\"openai\","
          "\"weight\":9},{\"provider\":\"groq\",\"weight\":1}]");
    for (unsigned i = 0; i < 4000; i++) {
        set_prompt(i, "");
        n += str_eq(p_first(), STR("openai"));
    }
    CHECK(n > 3500 && n < 3700);
}

/* --- who may --- */

static void test_reasons(void)
{
    static const struct str only[] = {STR_INIT("groq"), STR_INIT("xai")};
    static const struct str models[] = {STR_INIT("grok-*")};
    struct virtual_key key = {.providers = {only, 2}};

    p_configure("openai groq xai deepgram");
    chain("\"targets\":[{\"provider\":\"mistral\"},{\"provider\":\"openai\"},"
          "{\"provider\":\"deepgram\"},{\"provider\":\"groq\"},{\"provider\":\"xai\"}]");
    p_asked.key = &key;
    CHECK_STR(p_order(), STR("groq xai"));
    CHECK_EQ(p_plan->at[2].reason, PLAN_NOT_CONFIGURED);
    CHECK_EQ(p_plan->at[3].reason, PLAN_PROVIDER_NOT_ALLOWED);
    CHECK_EQ(p_plan->at[4].reason, PLAN_NO_FACE);
    key.models = (struct str_list){models, 1};
    CHECK_STR(p_order(), STR("xai"));  /* by the name that is called there */
    p_asked.shown = STR("grok-alias"); /* or by the one that was asked for */
    CHECK_STR(p_order(), STR("groq xai"));
    struct arena a;
    arena_init(&a, NULL, 0, MIB);
    struct str why = route_reasons(p_plan, &a);
    CHECK(str_find(why, STR("mistral")) >= 0 && str_find(why, STR("not configured")) >= 0);
    arena_free(&a);
}

static void test_unwell_come_last(void)
{
    struct route_state *s;

    p_configure("openai groq xai");
    chain(THREE);
    s = p_state("openai", "gpt-4o");
    for (unsigned i = 0; i < 3; i++) {
        route_state_begin(s, p_asked.now);
        route_state_end(s, ROUTE_FAILED, &p_chain.breaker, p_asked.now);
    }
    CHECK_STR(p_order(), STR("groq xai openai"));
    CHECK_EQ(p_plan->at[2].reason, PLAN_OPEN);
    route_state_rest(p_state("groq", "gpt-4o"), p_asked.now + NS_PER_S);
    CHECK_STR(p_order(), STR("xai openai groq"));
    CHECK_EQ(p_plan->at[2].reason, PLAN_RESTING);
}

static void test_budgets(void)
{
    static const struct route_budget budgets[] = {{STR_INIT("openai"), 1000000000}};
    int64_t wall = clock_wall();

    p_configure("openai groq");
    chain("\"providers\":[\"openai\",\"groq\"]");
    p_settings.rules.budgets = budgets;
    p_settings.rules.budgets_n = 1;
    route_budget_use(NULL);
    CHECK_STR(p_order(), STR("openai groq"));
    route_budget_add(STR("openai"), 999999999, wall);
    CHECK_STR(p_order(), STR("openai groq"));
    route_budget_add(STR("openai"), 1, wall);
    CHECK_STR(p_order(), STR("groq"));
    CHECK_EQ(p_plan->at[1].reason, PLAN_OVER_BUDGET);
    route_budget_use(NULL);
}

/* --- without a chain --- */

static void test_automatic(void)
{
    const struct route_chain *c;

    p_configure("openai anthropic gemini groq");
    const struct upstream *openai = route_upstream(&p_settings, STR("openai"));
    p_asked.model = STR("gpt-4.1");
    CHECK(!plan_automatic(&p_asked, openai, p_asked.model)); /* no strategy */
    p_settings.rules.strategy = STRATEGY_COST;
    c = plan_automatic(&p_asked, openai, p_asked.model);
    CHECK(c && c->targets.n == 3); /* groq has no equivalent */
    p_chain = *c;
    p_make_plan();
    CHECK_STR(p_plan->at[0].model, STR("gemini-2.5-flash"));
    CHECK_STR(p_plan->at[2].model, STR("claude-sonnet-4-6"));
    p_asked.kind = KIND_EMBEDDINGS; /* no answer is like another's */
    CHECK(!plan_automatic(&p_asked, openai, p_asked.model));
}

int main(void)
{
    arena_init(&keep, NULL, 0, 16 * MIB);
    TAP_RUN(test_priority);
    TAP_RUN(test_round_robin);
    TAP_RUN(test_weighted);
    TAP_RUN(test_random);
    TAP_RUN(test_least_connections);
    TAP_RUN(test_latency);
    TAP_RUN(test_latency_outlier);
    TAP_RUN(test_cost);
    TAP_RUN(test_tags);
    TAP_RUN(test_affinity);
    TAP_RUN(test_affinity_by_weight);
    TAP_RUN(test_reasons);
    TAP_RUN(test_unwell_come_last);
    TAP_RUN(test_budgets);
    TAP_RUN(test_automatic);
    arena_free(&keep);
    p_end();
    return tap_done();
}
