/*
 * What routing sees: the state of each target on this node, and, from the ledger's sums, how each
 * provider's models have been doing for all nodes together.
 */
#include "admin/api_int.h"
#include "admin/routing_int.h"
#include "ledger/analytics.h"
#include "route/budget.h"

#include <errno.h>

/* --- status --- */

static bool is_target(const struct route_state *s)
{
    return !str_starts(route_state_where(s), STR("chain:"));
}

void routing_put_ms(struct buf *b, const char *name, int64_t ns)
{
    if (ns < 0) {
        put_null(b, name);
        return;
    }
    put_name(b, name);
    buf_printf(b, "%lld.%03lld", (long long)(ns / NS_PER_MS), (long long)(ns / NS_PER_US % 1000));
}

static void put_target(struct buf *b, const struct route_state *s, int64_t now)
{
    struct route_counts n;

    route_state_counts(s, &n);
    put_open(b, NULL, '{');
    put_str(b, "provider", route_state_where(s));
    put_str(b, "model", route_state_model(s));
    put_str(b, "breaker", str_of(breaker_state_name(route_state_breaker(s, now))));
    routing_put_ms(b, "available_in_ms", MAX(route_state_until(s, now) - now, 0));
    put_int(b, "in_flight", route_state_in_flight(s));
    routing_put_ms(b, "p95_ms", route_state_p95(s, ROUTE_WHOLE, now));
    routing_put_ms(b, "first_token_p95_ms", route_state_p95(s, ROUTE_STREAM, now));
    put_int(b, "calls", (int64_t)n.calls);
    put_int(b, "succeeded", (int64_t)n.ok);
    put_int(b, "failed", (int64_t)n.failed);
    put_int(b, "rate_limited", (int64_t)n.limited);
    put_int(b, "hedges", (int64_t)n.hedges);
    put_time(b, "last_failure_at", n.last_failure);
    put_time(b, "last_call_at", n.last_call);
    put_close(b, '}');
}

static void put_targets(struct buf *b, int64_t now)
{
    const struct route_state *s;

    put_open(b, "targets", '[');
    for (unsigned i = 0; (s = route_state_at(i)); i++)
        if (is_target(s))
            put_target(b, s, now);
    put_close(b, ']');
}

static void put_last_failure(struct buf *b)
{
    const struct route_state *s, *last = NULL;
    struct route_counts n;
    int64_t at = 0;

    for (unsigned i = 0; (s = route_state_at(i)); i++) {
        route_state_counts(s, &n);
        if (n.last_failure > at) {
            at = n.last_failure;
            last = s;
        }
    }
    if (!last) {
        put_null(b, "last_failure");
        return;
    }
    put_open(b, "last_failure", '{');
    put_str(b, "provider", route_state_where(last));
    put_str(b, "model", route_state_model(last));
    put_time(b, "at", at);
    put_close(b, '}');
}

/* Configured, with a credential that works, and with a breaker that is not open everywhere. */
static bool is_active(const struct upstream *u, int64_t now)
{
    unsigned good = 0, open = 0, known = 0;
    const struct route_state *s;

    for (unsigned i = 0; u->keys && i < u->keys->n; i++)
        good += upstream_key_state(&u->keys->at[i]) != UPSTREAM_KEY_REFUSED;
    if (!u->configured || (u->keys && !good))
        return false;
    for (unsigned i = 0; (s = route_state_at(i)); i++) {
        if (!str_eq(route_state_where(s), u->provider->id))
            continue;
        known++;
        open += route_state_breaker(s, now) == BREAKER_OPEN;
    }
    return !known || open < known;
}

static void put_active(struct buf *b, const struct route_settings *s, int64_t now)
{
    put_open(b, "active_providers", '[');
    for (unsigned i = 0; i < s->upstreams_n; i++)
        if (is_active(&s->upstreams[i], now))
            put_str(b, NULL, s->upstreams[i].provider->id);
    put_close(b, ']');
}

static void put_budgets(struct buf *b, const struct route_rules *r)
{
    int64_t wall = clock_wall();

    put_open(b, "provider_budgets", '[');
    for (unsigned i = 0; i < r->budgets_n; i++) {
        const struct route_budget *g = &r->budgets[i];
        put_open(b, NULL, '{');
        put_str(b, "provider", g->provider);
        put_money(b, "limit_usd", g->nano);
        put_money(b, "used_usd", route_budget_used(g->provider, wall));
        put_bool(b, "used_up", route_budget_spent(r, g->provider, wall));
        put_close(b, '}');
    }
    put_close(b, ']');
}

int routing_status(struct admin_call *c)
{
    const struct route_settings *s = &c->config->route;
    const struct upstream *forced = route_forced(&s->rules);
    const struct upstream *usual = forced ? forced : s->default_upstream;
    int64_t now = clock_now();
    struct buf *b = &c->out;

    put_open(b, NULL, '{');
    put_str_or_null(b, "active_provider", usual ? usual->provider->id : STR_NONE);
    put_active(b, s, now);
    put_str(b, "strategy", str_of(route_strategy_words[s->rules.strategy]));
    put_open(b, "fallback_chains", '[');
    for (unsigned i = 0; i < s->rules.chains_n; i++)
        if (s->rules.chains[i].active)
            put_str(b, NULL, s->rules.chains[i].name);
    put_close(b, ']');
    put_str_or_null(b, "forced_provider", forced ? forced->provider->id : STR_NONE);
    put_time(b, "forced_until", forced ? s->rules.forced_until : 0);
    put_last_failure(b);
    put_budgets(b, &s->rules);
    put_targets(b, now);
    put_close(b, '}');
    return 0;
}

/* --- performance by model --- */

#define HOUR_NS (3600 * NS_PER_S)

struct performance_query {
    int64_t hours;
    struct str provider;
};
static const struct field_row query_fields[] = {
    {"hours", FIELD_INT, 0, offsetof(struct performance_query, hours), 1, 168, NULL, NULL,
        "How far back; 24 when not given.", "24"},
    {"provider", FIELD_TEXT, 0, offsetof(struct performance_query, provider), 1, 32, NULL, NULL,
        "Only this provider's models.", NULL},
};
const struct admin_schema routing_performance_query = {
    NULL, query_fields, ARRAY_LEN(query_fields), sizeof(struct performance_query)};

static const struct field_row performance_fields[] = {
    {"provider", FIELD_TEXT, 0, 0, 0, 32, NULL, NULL, "Who served it.", NULL},
    {"model", FIELD_TEXT, 0, 0, 0, 256, NULL, NULL, "The model that was called.", NULL},
    {"requests", FIELD_INT, 0, 0, 0, 0, NULL, NULL, "Calls.", NULL},
    {"errors", FIELD_INT, 0, 0, 0, 0, NULL, NULL, "Calls that failed.", NULL},
    {"success_rate", FIELD_INT, 0, 0, 0, 0, NULL, NULL, "The share of the others.", NULL},
    {"avg_latency_ms", FIELD_INT, 0, 0, 0, 0, NULL, NULL, "Whole calls.", NULL},
    {"p95_latency_ms", FIELD_INT, 0, 0, 0, 0, NULL, NULL, "95 % took at most this.", NULL},
    {"output_tokens", FIELD_INT, 0, 0, 0, 0, NULL, NULL, "Tokens made.", NULL},
    {"cost_usd", FIELD_INT, 0, 0, 0, 0, NULL, NULL, "What they cost.", NULL},
    {"breaker", FIELD_TEXT, 0, 0, 0, 16, NULL, NULL, "On this node; null: not known.", NULL},
};
const struct admin_schema routing_performance_schema = {
    "Model_performance", performance_fields, ARRAY_LEN(performance_fields), 0};

struct gathered {
    struct usage_groups groups;
    struct str provider; /* asked for; empty = all */
};

/* Names are put together with a tab, which no provider's has. */
static int gather(void *ctx, const struct usage_row *row)
{
    struct gathered *g = ctx;

    if (!row->provider.n || !row->model.n || (g->provider.n && !str_eq(g->provider, row->provider)))
        return 0;
    struct str name = arena_printf(
        g->groups.arena, STR_FMT "\t" STR_FMT, STR_ARG(row->provider), STR_ARG(row->model));
    return usage_groups_add(&g->groups, name, &row->total);
}

static void put_performance(struct buf *b, const struct usage_group *g, int64_t now)
{
    const struct usage_total *t = &g->total;
    struct str model = g->value, provider = str_split(&model, '\t');
    const struct route_state *s = route_state_find(provider, model);

    put_open(b, NULL, '{');
    put_str(b, "provider", provider);
    put_str(b, "model", model);
    put_int(b, "requests", t->calls);
    put_int(b, "errors", t->errors);
    put_share(b, "success_rate", t->calls - t->errors, t->calls);
    routing_put_ms(b, "avg_latency_ms", t->calls ? t->latency_us / t->calls * NS_PER_US : -1);
    routing_put_ms(
        b, "p95_latency_ms", t->calls ? sums_quantile(t->at_latency, 0.95) * NS_PER_US : -1);
    put_int(b, "output_tokens", t->out);
    put_money(b, "cost_usd", t->cost);
    if (s)
        put_str(b, "breaker", str_of(breaker_state_name(route_state_breaker(s, now))));
    else
        put_null(b, "breaker");
    put_close(b, '}');
}

static int performance_page(struct admin_call *c, struct admin_page *p, void *ctx)
{
    struct gathered *g = ctx;
    uint64_t from = 0;
    int64_t now = clock_now();

    if (p->cursor.n && str_u64(p->cursor, &from) < 0)
        return admin_bad(c, "cursor", "cursor is not of this list.");
    unsigned i = (unsigned)MIN(from, (uint64_t)g->groups.n);
    for (unsigned n = 0; i < g->groups.n && n < p->limit; i++, n++)
        put_performance(p->items, &g->groups.at[i], now);
    if (i < g->groups.n)
        p->next = arena_printf(&c->arena, "%u", i);
    return 0;
}

int routing_performance(struct admin_call *c)
{
    const struct performance_query *q = c->query;
    int64_t now = clock_wall(), hours = q->hours ? q->hours : 24;
    const struct analytics_query asked = {
        .from = (now / HOUR_NS - hours + 1) * HOUR_NS, .until = (now / HOUR_NS + 1) * HOUR_NS};
    struct gathered g = {.provider = q->provider};
    char err[STORE_ERR_BYTES] = "";

    if (!c->env->store)
        return admin_store_fail(c, -EHOSTDOWN, NULL);
    usage_groups_init(&g.groups, &c->arena);
    int r = analytics_cells(c->env->store, &asked, gather, &g, err);
    usage_groups_sort(&g.groups);
    r = r < 0 ? admin_store_fail(c, r, err) : admin_list(c, performance_page, &g);
    usage_groups_free(&g.groups);
    return r;
}
