/*
 * Routing: which upstream serves a model. An alias replaces the name; then the x-smartflow-provider
 * header decides, then the owner of an id that the call continues (route/owned.h), then an explicit
 * "provider/model" prefix, then the name's heuristic (gpt-*, claude-*, ...), then the upstream that
 * is declared as default, or the configured OpenAI-compatible one.
 */
#ifndef SF_ROUTE_ROUTE_H
#define SF_ROUTE_ROUTE_H

#include "keys/vkey.h"
#include "llm/stage.h"
#include "providers/provider.h"

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
};

const struct upstream *route_upstream(const struct route_settings *s, struct str provider_id);

/* provider: what a model name leads to; rest: the name without its provider prefix. NULL when no
 * rule maps it. Pure: ignores what is configured. */
const struct provider *route_by_name(struct str model, struct str *ret_rest);

/* Fills x->upstream and x->model: 404 model_not_found with the nearest names, 403 not allowed for
 * the key, 400 when the provider does not speak the caller's dialect (names the endpoint to use),
 * 503 when it is not configured (names the variable to set). */
extern const struct stage stage_route;

#endif
