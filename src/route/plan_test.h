/* For unit tests of routing: settings with providers that are configured, and plans of chains that
 * are written as JSON. */
#ifndef SF_ROUTE_PLAN_TEST_H
#define SF_ROUTE_PLAN_TEST_H

#include "base/tap.h"
#include "route/plan.h"
#include "route/route.h"
#include <stdio.h>

static struct upstream p_ups[64];
static struct route_settings p_settings;
static struct arena p_arena;
static struct route_chain p_chain;
static struct plan_asked p_asked;
static struct plan *p_plan;

/* ids: "openai groq" are configured, all others are not. */
static inline void p_configure(const char *ids)
{
    struct str rest = str_of(ids);
    unsigned n;
    const struct provider *table = provider_table(&n);

    must(n <= ARRAY_LEN(p_ups));
    p_settings = (struct route_settings){.upstreams = p_ups, .upstreams_n = n};
    p_settings.rules = (struct route_rules){.chain_retries = 1,
        .backoff = 250 * NS_PER_MS,
        .backoff_max = 8 * NS_PER_S,
        .retry_after_max = 10 * NS_PER_S,
        .breaker_failures = 3,
        .breaker_cooldown = 5 * NS_PER_S,
        .hedge_percent = 2};
    for (unsigned i = 0; i < n; i++)
        p_ups[i] = (struct upstream){.provider = &table[i]};
    while (rest.n) {
        struct upstream *u = (struct upstream *)route_upstream(&p_settings, str_split(&rest, ' '));
        must(u);
        u->configured = true;
    }
    arena_free(&p_arena);
    arena_init(&p_arena, NULL, 0, 512 * MIB);
    route_states_reset();
    p_asked = (struct plan_asked){.settings = &p_settings,
        .dialect = DIALECT_OPENAI,
        .kind = KIND_CHAT,
        .model = STR("gpt-4o"),
        .shown = STR("gpt-4o"),
        .now = clock_now(),
        .arena = &p_arena};
}

/* members: what stands between the braces behind the name. False: refused, *e says why. */
static inline bool p_try_chain(const char *members, struct error *e)
{
    struct str json = arena_printf(&p_arena, "{\"name\":\"c\",%s}", members);

    *e = (struct error){0};
    return route_chain_parse(&p_settings, json, &p_arena, &p_chain, e) == 0;
}

static inline void p_make_chain(const char *members)
{
    struct error e;

    if (!p_try_chain(members, &e))
        tap_fail(__FILE__, __LINE__, STR_FMT ": " STR_FMT, STR_ARG(e.param), STR_ARG(e.message));
}

static inline struct plan *p_make_plan(void)
{
    must(plan_make(&p_asked, &p_chain, &p_plan) == 0);
    return p_plan;
}

static inline struct str p_first(void)
{
    return p_make_plan()->at[0].upstream->provider->id;
}

/* "openai groq": the order of those that may serve. */
static inline struct str p_order(void)
{
    static char out[512];
    size_t n = 0;

    p_make_plan();
    for (unsigned i = 0; i < p_plan->usable; i++)
        n += (size_t)snprintf(out + n, sizeof out - n, "%s" STR_FMT, i ? " " : "",
            STR_ARG(p_plan->at[i].upstream->provider->id));
    return str_at(out, n);
}

static inline struct route_state *p_state(const char *provider, const char *model)
{
    return route_state_get(str_of(provider), str_of(model));
}

static inline void p_end(void)
{
    arena_free(&p_arena);
}

#endif
