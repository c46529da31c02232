/* Reading chains and budgets, with every refusal; writing them so that they can be read again. */
#include "route/plan_test.h"

static void test_defaults(void)
{
    p_configure("openai");
    p_make_chain("\"providers\":[\"openai\",\"anthropic\"]");
    CHECK_STR(p_chain.name, STR("c"));
    CHECK_EQ(p_chain.strategy, STRATEGY_PRIORITY);
    CHECK_EQ(p_chain.targets.n, 2);
    CHECK(!p_chain.targets.at[0].model.n && p_chain.targets.at[0].weight == 1);
    CHECK_EQ(p_chain.retries, 1);
    CHECK_EQ(p_chain.backoff, 250 * NS_PER_MS);
    CHECK_EQ(p_chain.breaker.failures, 3);
    CHECK_EQ(p_chain.breaker.cooldown, 5 * NS_PER_S);
    CHECK(p_chain.active && !p_chain.hedge && !p_chain.affinity);
    CHECK(p_chain.turn != NULL);
}

static const char all[] =
    "\"models\":[\"gpt-4o\",\"fast-*\"],\"strategy\":\"weighted\",\"targets\":[{\"provider\":"
    "\"openai\",\"model\":\"gpt-4o\",\"weight\":3,\"tags\":[\"us\"]},{\"provider\":\"groq\"}],"
    "\"context_window_fallbacks\":[{\"provider\":\"gemini\"}],\"content_policy_fallbacks\":"
    "[{\"provider\":\"mistral\"}],\"rate_limit_fallbacks\":[{\"provider\":\"xai\"}],"
    "\"error_fallbacks\":[{\"provider\":\"anthropic\"}],\"retries\":4,\"backoff_ms\":10,"
    "\"backoff_max_ms\":20,\"retry_after_max_ms\":30,\"timeout_ms\":40,"
    "\"first_token_timeout_ms\":50,\"breaker_failures\":6,\"breaker_cooldown_ms\":70,"
    "\"affinity\":true,\"hedge\":true,\"hedge_after_ms\":80,\"hedge_percent\":9,"
    "\"shadow\":{\"provider\":\"groq\",\"model\":\"new\"},\"shadow_percent\":11,"
    "\"is_active\":false";

static void check_all(void)
{
    const struct route_chain *c = &p_chain;

    CHECK(c->models.n == 2 && c->strategy == STRATEGY_WEIGHTED && c->targets.n == 2);
    CHECK_STR(c->targets.at[0].model, STR("gpt-4o"));
    CHECK(c->targets.at[0].weight == 3 && c->targets.at[0].tags.n == 1);
    for (unsigned i = 0; i < ROUTE_FALLBACKS; i++)
        CHECK_EQ(c->fallbacks[i].n, 1);
    CHECK_STR(c->fallbacks[FALLBACK_CONTEXT].at[0].provider, STR("gemini"));
    CHECK_STR(c->fallbacks[FALLBACK_POLICY].at[0].provider, STR("mistral"));
    CHECK_STR(c->fallbacks[FALLBACK_RATE].at[0].provider, STR("xai"));
    CHECK_STR(c->fallbacks[FALLBACK_ERROR].at[0].provider, STR("anthropic"));
    CHECK(c->retries == 4 && c->backoff == 10 * NS_PER_MS && c->backoff_max == 20 * NS_PER_MS);
    CHECK(c->retry_after_max == 30 * NS_PER_MS && c->timeout == 40 * NS_PER_MS);
    CHECK(c->first_token == 50 * NS_PER_MS && c->breaker.failures == 6);
    CHECK(c->breaker.cooldown == 70 * NS_PER_MS && c->affinity && c->hedge);
    CHECK(c->hedge_after == 80 * NS_PER_MS && c->hedge_percent == 9 && !c->active);
    CHECK(c->shadow.n == 1 && c->shadow_percent == 11);
    CHECK_STR(c->shadow.at[0].model, STR("new"));
}

/* What is shown of a chain makes the same chain again. */
static void test_all_members(void)
{
    struct buf b = {0};
    struct error e = {0};

    p_configure("openai");
    p_make_chain(all);
    check_all();
    buf_init(&b, MIB);
    buf_addc(&b, '{');
    route_chain_write(&p_chain, &b);
    buf_addc(&b, '}');
    CHECK_EQ(b.err, 0);
    int r = route_chain_parse(&p_settings, buf_str(&b), &p_arena, &p_chain, &e);
    if (r < 0)
        tap_fail(__FILE__, __LINE__, STR_FMT ": " STR_FMT, STR_ARG(e.param), STR_ARG(e.message));
    check_all();
    buf_free(&b);
}

static void test_refusals(void)
{
    static const struct {
        const char *members, *param;
    } rows[] = {
        {"\"retries\":1", "targets"},
        {"\"targets\":[]", "targets"},
        {"\"targets\":[{\"model\":\"x\"}]", "targets[0].provider"},
        {"\"targets\":[{\"provider\":\"openai\"},{\"provider\":\"nobody\"}]",
            "targets[1].provider"},
        {"\"targets\":[{\"deployment\":\"nowhere\"}]", "targets[0].deployment"},
        {"\"targets\":[{\"provider\":\"openai\",\"weight\":-1}]", "targets[0].weight"},
        {"\"targets\":[{\"provider\":\"openai\",\"color\":1}]", "targets[0].color"},
        {"\"targets\":[7]", "targets"},
        {"\"targets\":{\"provider\":\"openai\"}", "targets"},
        {"\"providers\":[\"openai\",\"nobody\"]", "providers[1].provider"},
        {"\"providers\":[\"openai\"],\"strategy\":\"best\"", "strategy"},
        {"\"providers\":[\"openai\"],\"retries\":99", "retries"},
        {"\"providers\":[\"openai\"],\"backoff_ms\":\"1s\"", "backoff_ms"},
        {"\"providers\":[\"openai\"],\"hedge\":1", "hedge"},
        {"\"providers\":[\"openai\"],\"hedge_percent\":101", "hedge_percent"},
        {"\"providers\":[\"openai\"],\"shadow\":{\"provider\":\"nobody\"}", "shadow.provider"},
        {"\"providers\":[\"openai\"],\"error_fallbacks\":[{\"provider\":\"nobody\"}]",
            "error_fallbacks[0].provider"},
        {"\"providers\":[\"openai\"],\"retry\":1", "retry"},
    };
    struct error e;

    p_configure("openai");
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        CHECK(!p_try_chain(rows[i].members, &e));
        CHECK_STR(e.param, str_of(rows[i].param));
        CHECK(e.status == 400 && e.message.n > 0);
    }
    CHECK(route_chain_parse(&p_settings, STR("{\"name\":\"a b\",\"providers\":[\"openai\"]}"),
              &p_arena, &p_chain, &e) < 0);
    CHECK_STR(e.param, STR("name"));
    CHECK(route_chain_parse(&p_settings, STR("[1"), &p_arena, &p_chain, &e) < 0);
}

static void test_too_many_targets(void)
{
    struct buf b = {0};
    struct error e;

    p_configure("openai");
    buf_init(&b, 64 * KIB);
    buf_addstr(&b, STR("\"targets\":["));
    for (unsigned i = 0; i <= ROUTE_TARGETS_MAX; i++)
        buf_printf(&b, "%s{\"provider\":\"openai\"}", i ? "," : "");
    buf_addstr(&b, STR("]"));
    buf_addc(&b, 0);
    bool ok = p_try_chain(b.p, &e);
    buf_free(&b);
    CHECK(!ok);
    CHECK_STR(e.param, STR("targets"));
}

/* A name goes before an exact model, that before a pattern, and a pattern by its place. */
static void test_which_chain(void)
{
    static const struct str exact[] = {STR_INIT("gpt-4o")}, some[] = {STR_INIT("gpt-*")};
    static const struct str every[] = {STR_INIT("*")};
    static const struct route_chain chains[] = {
        {.name = STR_INIT("off"), .models = {exact, 1}},
        {.name = STR_INIT("every"), .models = {every, 1}, .active = true},
        {.name = STR_INIT("some"), .models = {some, 1}, .active = true},
        {.name = STR_INIT("exact"), .models = {exact, 1}, .active = true},
        {.name = STR_INIT("gpt-5"), .active = true},
    };
    const struct route_rules r = {.chains = chains, .chains_n = ARRAY_LEN(chains)};
    const struct route_rules few = {.chains = chains + 2, .chains_n = 2};

    CHECK_STR(route_chain_for(&r, STR("gpt-4o"))->name, STR("exact"));
    CHECK_STR(route_chain_for(&r, STR("gpt-4"))->name, STR("every"));
    CHECK_STR(route_chain_for(&r, STR("gpt-5"))->name, STR("gpt-5"));
    CHECK_STR(route_chain_for(&r, STR("some"))->name, STR("some"));
    CHECK_STR(route_chain_for(&r, STR("claude"))->name, STR("every"));
    CHECK(!route_chain_for(&few, STR("claude")));
    CHECK_STR(route_chain_find(&r, STR("off"))->name, STR("off"));
}

static int budgets(const char *text, struct error *e)
{
    *e = (struct error){0};
    return route_budgets_parse(&p_settings, str_of(text), &p_arena, &p_settings.rules.budgets,
        &p_settings.rules.budgets_n, e);
}

static void test_budgets(void)
{
    struct error e;

    p_configure("openai");
    CHECK_EQ(budgets("openai:100, anthropic:0.5,", &e), 0);
    CHECK_EQ(p_settings.rules.budgets_n, 2);
    CHECK_EQ(route_budget_of(&p_settings.rules, STR("openai"))->nano, 100000000000);
    CHECK_EQ(route_budget_of(&p_settings.rules, STR("anthropic"))->nano, 500000000);
    CHECK(!route_budget_of(&p_settings.rules, STR("groq")));
    CHECK(budgets("nobody:1", &e) < 0 && str_find(e.message, STR("nobody")) >= 0);
    CHECK(budgets("openai", &e) < 0);
    CHECK(budgets("openai:much", &e) < 0);
    CHECK(budgets("openai:-1", &e) < 0);
}

static void test_forced(void)
{
    p_configure("openai");
    struct route_rules *r = &p_settings.rules;
    CHECK(!route_forced(r));
    r->forced = route_upstream(&p_settings, STR("openai"));
    r->forced_until = clock_wall() + NS_PER_S * 60;
    CHECK(route_forced(r) == r->forced);
    r->forced_until = clock_wall() - 1;
    CHECK(!route_forced(r));
}

int main(void)
{
    TAP_RUN(test_defaults);
    TAP_RUN(test_all_members);
    TAP_RUN(test_refusals);
    TAP_RUN(test_too_many_targets);
    TAP_RUN(test_which_chain);
    TAP_RUN(test_budgets);
    TAP_RUN(test_forced);
    p_end();
    return tap_done();
}
