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
    const struct face_asked f = {.dialect = a->dialect,
        .kind = a->kind,
        .stream = a->stream,
        .model = t->model,
        .facts = t->facts};
    t->face = provider_face_for(p, &f, &t->kind);
    bool listed = r->model.n && !r->asked;
    t->state = listed || t->facts ? route_state_get(plan_where(t), t->model)
                                  : route_state_get_spare(plan_where(t), t->model);
    t->reason = judge(a, t);
}

void plan_served(const struct plan_target *t)
{
    if (!t->state)
        (void)route_state_get(plan_where(t), t->model);
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
    struct plan_target sorted[ROUTE_TARGETS_MAX];
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

/* One target that can serve is told of by its attempt. */
static void log_candidates(const struct plan_asked *a, struct plan *p)
{
    struct routing_candidate *list = arena_alloc(a->arena, p->n * sizeof *list);

    p->log.skipped_n = p->n - p->usable;
    if (!list || (p->n == 1 && p->usable))
        return;
    for (unsigned i = 0; i < p->n; i++) {
        const struct plan_target *t = &p->at[i];
        list[i] = (struct routing_candidate){.provider = plan_where(t),
            .model = t->model,
            .why = t->reason == PLAN_USABLE ? STR_NONE : plan_reason_text(t->reason)};
    }
    p->log.candidates = list;
    p->log.candidates_n = p->n;
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
    lcr_settle(a, p);
    log_candidates(a, p);
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

/* The plan is told of for longer than the request's memory may stay. */
static struct route_target target(
    const struct plan_asked *a, const struct upstream *u, struct str model)
{
    return (struct route_target){.upstream = u,
        .provider = u ? u->provider->id : STR_NONE,
        .model = arena_dup(a->arena, model),
        .asked = true,
        .weight = 1};
}

static bool has_equivalent(const struct route_tier *t, struct str provider)
{
    for (unsigned i = 0; t && i < t->equivalents_n; i++)
        if (str_eq(t->equivalents[i].provider, provider))
            return true;
    return false;
}

static struct route_chain *with_targets(
    struct route_chain *c, const struct route_target *list, unsigned n)
{
    if (c)
        c->targets = (struct route_targets){list, n};
    return c && list && n ? c : NULL;
}

static struct route_chain *single(const struct plan_asked *a, const struct route_target *only)
{
    struct route_target *t = arena_new(a->arena, struct route_target);

    if (t)
        *t = *only;
    return with_targets(fresh(a, STRATEGY_PRIORITY), t, 1);
}

const struct route_chain *plan_single(
    const struct plan_asked *a, const struct upstream *named, struct str model)
{
    const struct route_target only = target(a, named, model);

    return single(a, &only);
}

/* The efficient model, and the capable one where that falls short: one step up, no retries. */
static struct route_chain *by_effort(const struct plan_asked *a,
    const struct route_target *efficient, const struct route_target *capable)
{
    struct route_target *t = arena_zalloc(a->arena, 2 * sizeof *t);
    struct route_chain *c = fresh(a, STRATEGY_LOWEST_COST);

    if (!t || !c)
        return NULL;
    t[0] = *efficient;
    t[1] = *capable;
    c->retries = 0;
    return with_targets(c, t, 2);
}

/* All that have an equivalent, beside the one that the name leads to. */
static struct route_chain *by_strategy(const struct plan_asked *a, const struct route_target *named)
{
    const struct route_settings *s = a->settings;
    const struct route_tier *tier = route_tier_of(&s->rules, named->model);
    struct route_target *list = arena_zalloc(a->arena, ROUTE_TARGETS_MAX * sizeof *list);
    unsigned n = 0;

    if (list && named->upstream)
        list[n++] = *named;
    for (unsigned i = 0; list && tier && i < s->upstreams_n && n < ROUTE_TARGETS_MAX; i++) {
        const struct upstream *u = &s->upstreams[i];
        if (u != named->upstream && u->configured && has_equivalent(tier, u->provider->id))
            list[n++] = target(a, u, STR_NONE);
    }
    return with_targets(fresh(a, s->rules.strategy), list, n);
}

const struct route_chain *plan_automatic(
    const struct plan_asked *a, const struct upstream *named, struct str model)
{
    struct route_target efficient, capable = target(a, named, model);
    struct route_chain *c;

    if (!kind_generates(a->kind))
        return NULL;
    enum lcr_lane lane = lcr_choose(a, &efficient, &capable);
    if (lane == LANE_EFFICIENT && efficient.upstream)
        c = by_effort(a, &efficient, &capable);
    else if (a->settings->rules.strategy != STRATEGY_NONE)
        c = by_strategy(a, &capable);
    else if (lane != LANE_NONE && capable.upstream->configured)
        c = single(a, &capable);
    else
        c = NULL;
    if (c)
        c->lane = lane;
    return c;
}
