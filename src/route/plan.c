/* Making plans: who may serve a call, and why the others may not. See route/plan.h; the order is
 * made in strategy.c, and what follows a fault is decided in next.c. */
#include "route/plan_int.h"

#include "route/route.h"

#include <errno.h>

struct str plan_reason_text(enum plan_reason r)
{
    static const struct str texts[PLAN_REASONS] = {
        [PLAN_USABLE] = STR_INIT("usable"),
        [PLAN_NOT_CONFIGURED] = STR_INIT("not configured"),
        [PLAN_MODEL_NOT_ALLOWED] = STR_INIT("the key may not use this model"),
        [PLAN_PROVIDER_NOT_ALLOWED] = STR_INIT("the key may not use this provider"),
        [PLAN_NO_FACE] = STR_INIT("the provider does not serve this kind of call"),
        [PLAN_NO_CREDENTIAL] = STR_INIT("the provider needs no key of the caller's"),
        [PLAN_LACKS_TAGS] = STR_INIT("it lacks the tags that are asked for"),
        [PLAN_OVER_BUDGET] = STR_INIT("its daily budget is used up"),
        [PLAN_OPEN] = STR_INIT("its circuit breaker is open"),
        [PLAN_RESTING] = STR_INIT("it asked to be left alone for a while"),
    };
    return texts[r];
}

/* --- targets --- */

static struct str where_of(const struct plan_target *t)
{
    return t->deployment.n ? t->deployment : t->upstream->provider->id;
}

static bool allowed(const struct plan_asked *a, const struct plan_target *t, enum plan_reason *why)
{
    *why = PLAN_MODEL_NOT_ALLOWED;
    if (!vkey_allows_model(a->key, t->model) && !vkey_allows_model(a->key, a->model) &&
        !vkey_allows_model(a->key, a->shown))
        return false;
    *why = PLAN_PROVIDER_NOT_ALLOWED;
    return vkey_allows_provider(a->key, t->upstream->provider->id);
}

static enum plan_reason judge(const struct plan_asked *a, const struct plan_target *t)
{
    enum plan_reason why;

    if (!t->upstream->configured)
        return PLAN_NOT_CONFIGURED;
    if (!t->face)
        return PLAN_NO_FACE;
    if (!allowed(a, t, &why))
        return why;
    if (a->own_credential && !t->upstream->provider->base.n && !t->upstream->keys)
        return PLAN_NO_CREDENTIAL;
    if (route_budget_spent(&a->settings->rules, t->upstream->provider->id, clock_wall()))
        return PLAN_OVER_BUDGET;
    if (route_state_breaker(t->state, a->now) == BREAKER_OPEN)
        return PLAN_OPEN;
    return route_state_is_well(t->state, a->now) ? PLAN_USABLE : PLAN_RESTING;
}

static void fill(
    const struct plan_asked *a, const struct route_target *r, unsigned place, struct plan_target *t)
{
    const struct provider *p = r->upstream->provider;

    *t = (struct plan_target){.upstream = r->upstream,
        .deployment = r->deployment,
        .model = r->model.n ? r->model : route_model_at(a->settings, a->model, p),
        .weight = r->weight,
        .place = place,
        .tags = &r->tags,
        .score = -1};
    if (!r->model.n) /* the request's memory may go while the plan is still told of */
        t->model = arena_dup(a->arena, t->model);
    t->facts = prices_find(a->settings->prices, p->id, t->model);
    struct face_asked f = {a->dialect, a->kind, a->stream, t->model, t->facts};
    t->face = provider_face_for(p, &f, &t->kind);
    t->state = route_state_get(where_of(t), t->model);
    t->reason = judge(a, t);
}

bool plan_is_dead(enum plan_reason r)
{
    return r != PLAN_USABLE && r != PLAN_OPEN && r != PLAN_RESTING;
}

static struct plan_target *fill_all(
    const struct plan_asked *a, const struct route_targets *list, unsigned *ret_n)
{
    struct plan_target *out = arena_alloc(a->arena, (list->n + 1) * sizeof *out);

    *ret_n = out ? list->n : 0;
    for (unsigned i = 0; out && i < list->n; i++)
        fill(a, &list->at[i], i, &out[i]);
    return out;
}

/* --- the whole --- */

static bool take_lists(const struct plan_asked *a, const struct route_chain *c, struct plan *p)
{
    unsigned n;

    if (!(p->at = fill_all(a, &c->targets, &p->n)))
        return false;
    for (unsigned i = 0; i < ROUTE_FALLBACKS; i++)
        if (c->fallbacks[i].n &&
            !(p->fallbacks[i] = fill_all(a, &c->fallbacks[i], &p->fallbacks_n[i])))
            return false;
    if (c->shadow.n && !(p->shadow = fill_all(a, &c->shadow, &n)))
        return false;
    return true;
}

/* In order: those that are well, those that are tried when nothing else is left, the others. */
static void group(struct plan *p)
{
    struct plan_target sorted[ROUTE_TARGETS_MAX * 4];
    unsigned n = 0;

    for (int pass = 0; pass < 3; pass++)
        for (unsigned i = 0; i < p->n && n < ARRAY_LEN(sorted); i++) {
            enum plan_reason r = p->at[i].reason;
            int in = r == PLAN_USABLE ? 0 : plan_is_dead(r) ? 2 : 1;
            if (in == pass)
                sorted[n++] = p->at[i];
            p->usable += pass == 0 && in < 2;
        }
    memcpy(p->at, sorted, n * sizeof *sorted);
    p->n = n;
}

int plan_make(const struct plan_asked *a, const struct route_chain *c, struct plan **ret)
{
    struct plan *p = arena_new(a->arena, struct plan);

    *ret = p;
    if (!p || !take_lists(a, c, p))
        return -ENOMEM;
    p->chain = c;
    p->log.chain = c->name;
    p->log.strategy = str_of(route_strategy_words[c->strategy]);
    plan_order(a, p);
    group(p);
    p->log.skipped_n = p->n - p->usable;
    return 0;
}

/* --- without a chain --- */

static struct route_chain *fresh(const struct plan_asked *a, enum route_strategy strategy)
{
    const struct route_rules *r = &a->settings->rules;
    struct route_chain *c = arena_new(a->arena, struct route_chain);

    if (!c)
        return NULL;
    *c = (struct route_chain){.strategy = strategy,
        .retries = r->retries,
        .backoff = r->backoff,
        .backoff_max = r->backoff_max,
        .retry_after_max = r->retry_after_max,
        .first_token = r->first_token,
        .breaker = {r->breaker_failures, r->breaker_cooldown},
        .affinity = r->affinity,
        .hedge = r->hedge,
        .hedge_percent = r->hedge_percent,
        .active = true};
    return c;
}

static void add(struct route_target *list, unsigned *n, const struct upstream *u, struct str model)
{
    list[(*n)++] = (struct route_target){
        .upstream = u, .provider = u->provider->id, .model = model, .weight = 1};
}

static bool has_equivalent(const struct route_tier *t, struct str provider)
{
    for (unsigned i = 0; t && i < t->equivalents_n; i++)
        if (str_eq(t->equivalents[i].provider, provider))
            return true;
    return false;
}

const struct route_chain *plan_single(
    const struct plan_asked *a, const struct upstream *named, struct str model)
{
    struct route_chain *c = fresh(a, STRATEGY_PRIORITY);
    struct route_target *t = arena_new(a->arena, struct route_target);
    unsigned n = 0;

    if (!c || !t)
        return NULL;
    add(t, &n, named, model);
    c->targets = (struct route_targets){t, n};
    return c;
}

/* [efficient, named]: which comes first is the strategy's matter. */
static const struct route_chain *by_effort(
    const struct plan_asked *a, const struct upstream *named, struct str model)
{
    const struct route_settings *s = a->settings;
    const struct lcr_settings *l = &s->rules.lcr;
    const struct upstream *u = route_upstream(s, l->efficient_provider);
    struct route_target *t = arena_zalloc(a->arena, 2 * sizeof *t);
    struct route_chain *c = fresh(a, STRATEGY_LOWEST_COST);
    unsigned n = 0;

    if (!u || !t || !c || !named)
        return NULL;
    add(t, &n, u, l->efficient_model);
    add(t, &n, named, model);
    c->targets = (struct route_targets){t, n};
    return c;
}

const struct route_chain *plan_automatic(
    const struct plan_asked *a, const struct upstream *named, struct str model)
{
    const struct route_settings *s = a->settings;
    const struct route_tier *tier = route_tier_of(&s->rules, model);
    unsigned n = 0;

    if (!kind_generates(a->kind))
        return NULL;
    if (plan_lcr_mode(a) != LCR_OFF && s->rules.lcr.efficient_provider.n)
        return by_effort(a, named, model);
    if (s->rules.strategy == STRATEGY_NONE)
        return NULL;
    struct route_chain *c = fresh(a, s->rules.strategy);
    struct route_target *list = arena_zalloc(a->arena, ROUTE_TARGETS_MAX * sizeof *list);
    if (!c || !list)
        return NULL;
    if (named)
        add(list, &n, named, model);
    for (unsigned i = 0; tier && i < s->upstreams_n && n < ROUTE_TARGETS_MAX; i++) {
        const struct upstream *u = &s->upstreams[i];
        if (u != named && u->configured && has_equivalent(tier, u->provider->id))
            add(list, &n, u, STR_NONE);
    }
    c->targets = (struct route_targets){list, n};
    return n ? c : NULL;
}
