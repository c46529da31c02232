/*
 * Routing: which upstream serves a model. An alias replaces the name. Then decide, in this order: a
 * provider that an operator forced; the x-smartflow-provider header; the owner of an id that the
 * call continues (route/owned.h); a fallback chain that takes the model (route/rules.h); an
 * explicit "provider/model" prefix; the name's heuristic (gpt-*, claude-*, ...); the upstream that
 * is declared as default, or the configured OpenAI-compatible one. Where the last three decide, the
 * general strategy may still put others beside them.
 *
 * At a provider that does not know the model's name, its equivalent of the same tier is called
 * (route/tiers.c); the answer names the model that was asked for.
 *
 * Where more than one target or more than one try is possible, x->plan holds them (route/plan.h),
 * and x->upstream is the first of them.
 */
#ifndef SF_ROUTE_ROUTE_H
#define SF_ROUTE_ROUTE_H

#include "keys/vkey.h"
#include "llm/stage.h"
#include "providers/provider.h"
#include "route/rules.h"

struct plan_target;
struct prices_overlay;

struct route_alias {
    struct str name, target; /* "fast" → "openai/gpt-4.1-mini" */
};

struct route_settings {
    const struct upstream *upstreams; /* one per row of the provider table, same order */
    unsigned upstreams_n;
    const struct upstream *default_upstream; /* for names that no rule maps; NULL = none */
    const struct route_alias *aliases;
    unsigned aliases_n;
    const struct prices_overlay *prices; /* the operator's own; may be NULL */
    struct route_rules rules;
};

const struct upstream *route_upstream(const struct route_settings *s, struct str provider_id);

/* provider: what a model name leads to; rest: the name without its provider prefix. NULL when no
 * rule maps it. Pure: ignores what is configured. */
const struct provider *route_by_name(struct str model, struct str *ret_rest);

/* Fills x->upstream, x->model, x->facts, and x->plan where there is a choice: 404 model_not_found
 * with the nearest names, 403 not allowed for the key, 400 when the provider has nothing for this
 * kind of call, 503 when it is not configured (names the variable to set), or when no target of a
 * chain may serve the call (says why of each), 429 when only a daily budget stands in the way. */
extern const struct stage stage_route;

/* The target of the next attempt: x->upstream, x->model, x->facts. */
void route_take(struct exchange *x, const struct plan_target *t);
/* Which of a plan's targets may not serve, each with its reason: for messages. */
struct plan;
struct str route_reasons(const struct plan *p, struct arena *a);
/* The name that is looked up: aliases followed, the long-context mark cut. */
struct str route_real_name(const struct route_settings *s, enum dialect d, struct str model);

#endif
