/* What is counted of attempts: by target and result, fallbacks, retries, hedges; and the state of
 * breakers, which is read when it is asked for. */
#include "gateway/attempt.h"

#include "metrics/metrics.h"
#include "route/budget.h"

static struct metric_family attempts = {
    .name = "smartflow_routing_attempts_total",
    .help = "Attempts of calls that have a plan, by target and result.",
    .type = METRIC_COUNTER,
    .labels = {"provider", "model", "result"},
};
static struct metric_family fallbacks = {
    .name = "smartflow_fallbacks_total",
    .help = "Calls that went on to another target, by chain and the fault before.",
    .type = METRIC_COUNTER,
    .labels = {"chain", "fault"},
};
static struct metric_family retries = {
    .name = "smartflow_retries_total",
    .help = "Further attempts on the same target.",
    .type = METRIC_COUNTER,
    .labels = {"provider"},
};
static struct metric_family hedges = {
    .name = "smartflow_hedged_calls_total",
    .help = "Second calls beside slow ones, by who of the two answered first.",
    .type = METRIC_COUNTER,
    .labels = {"provider", "result"},
};
static struct metric_family opened = {
    .name = "smartflow_breaker_opened_total",
    .help = "How often a target's circuit breaker opened.",
    .type = METRIC_COUNTER,
    .labels = {"provider", "model"},
};
static struct metric_family breakers = {
    .name = "smartflow_breaker_state",
    .help = "Of each target: 0 closed, 1 open, 2 half open.",
    .type = METRIC_GAUGE,
    .labels = {"provider", "model"},
};
static struct metric_family p95 = {
    .name = "smartflow_provider_latency_p95_seconds",
    .help = "The moving average of each target's p95, as routing sees it.",
    .type = METRIC_GAUGE,
    .labels = {"provider", "model", "flow"},
    .scale = METRIC_NS,
};
static struct metric_family spend = {
    .name = "smartflow_provider_daily_spend_usd",
    .help = "What was spent today (UTC) with providers that have a daily budget.",
    .type = METRIC_GAUGE,
    .labels = {"provider"},
    .scale = 1000000000,
};

void attempt_count(const struct plan_target *t, struct str result)
{
    metric_add(metric_get(&attempts, (struct str[]){plan_where(t), t->model, result}, 3), 1);
}

void attempt_count_fallback(const struct plan *p, struct str fault)
{
    metric_add(metric_get(&fallbacks, (struct str[]){p->chain->name, fault}, 2), 1);
}

void attempt_count_retry(const struct plan_target *t)
{
    struct str where = plan_where(t);

    metric_add(metric_get(&retries, &where, 1), 1);
}

void attempt_count_hedge(const struct plan_target *t, struct str result)
{
    metric_add(metric_get(&hedges, (struct str[]){plan_where(t), result}, 2), 1);
}

void attempt_count_opened(const struct plan_target *t)
{
    metric_add(metric_get(&opened, (struct str[]){plan_where(t), t->model}, 2), 1);
}

static void refresh_one(const struct route_state *s, int64_t now)
{
    static const struct str flows[ROUTE_FLOWS] = {STR_INIT("whole"), STR_INIT("stream")};
    struct str names[3] = {route_state_where(s), route_state_model(s)};

    metric_set(metric_get(&breakers, names, 2), route_state_breaker(s, now));
    for (unsigned f = 0; f < ROUTE_FLOWS; f++) {
        int64_t ns = route_state_p95(s, f, now);
        names[2] = flows[f];
        if (ns >= 0)
            metric_set(metric_get(&p95, names, 3), ns);
    }
}

void gw_routing_metrics_refresh(void)
{
    const struct route_rules *r = &config_current()->route.rules;
    const struct route_state *s;
    int64_t now = clock_now(), wall = clock_wall();

    for (unsigned i = 0; (s = route_state_at(i)); i++)
        if (!str_starts(route_state_where(s), STR("chain:")))
            refresh_one(s, now);
    for (unsigned i = 0; i < r->budgets_n; i++)
        metric_set(metric_get(&spend, &r->budgets[i].provider, 1),
            route_budget_used(r->budgets[i].provider, wall));
}
