/*
 * The rules of routing, as data: fallback chains, deployments, tiers of equivalent models, the
 * provider that is forced for a time, daily budgets of providers. Part of the configuration
 * snapshot and constant: from the file (`routing:`), and from the store, where the API keeps what
 * was changed (admin/routing_store.c). Texts lie in the snapshot's arena.
 *
 *   chain    ─▶ targets, in order, with a strategy that says which comes first
 *            ─▶ further targets for certain faults (context window, content policy, rate limit,
 *               error)
 *
 *   target   ─▶ an upstream (a provider, or a deployment of one) and a model's name there; without
 *               a name the one asked for, or its equivalent of the same tier
 *
 *   tier     ─▶ which models are of it, and which one of each provider stands for it
 */
#ifndef SF_ROUTE_RULES_H
#define SF_ROUTE_RULES_H

#include "base/error.h"
#include "keys/record.h"
#include "providers/provider.h"
#include "route/health.h"

#define ROUTE_CHAINS_MAX      256
#define ROUTE_TARGETS_MAX     16
#define ROUTE_TIERS_MAX       64
#define ROUTE_DEPLOYMENTS_MAX 64
#define ROUTE_RETRIES_MAX     8
#define ROUTE_WEIGHT_MAX      1000000
#define ROUTE_RULE_BYTES      ((size_t)64 << 10) /* of one rule's text */

/* Lowest-cost routing: easy calls go to the efficient model (lowest_cost.c). */
enum lcr_mode { LCR_OFF, LCR_AUTO, LCR_LOCAL, LCR_FRONTIER };
extern const char *const lcr_words[]; /* ends with NULL */
/* Which model it chose for a call. */
enum lcr_lane { LANE_NONE, LANE_EFFICIENT, LANE_CAPABLE, LANE_SKIPPED };

struct lcr_settings {
    unsigned mode;      /* enum lcr_mode */
    unsigned threshold; /* thousandths: an effort above this is for the capable model */
    struct str efficient_provider, efficient_model; /* either may be empty */
};

enum route_strategy {
    STRATEGY_NONE, /* by the model's name alone */
    STRATEGY_ROUND_ROBIN,
    STRATEGY_WEIGHTED,
    STRATEGY_LEAST_CONNECTIONS,
    STRATEGY_RANDOM,
    STRATEGY_PRIORITY,
    STRATEGY_LATENCY,
    STRATEGY_COST,
    STRATEGY_TAG,
    STRATEGY_LOWEST_COST,
    ROUTE_STRATEGIES
};
#define ROUTE_STRATEGY_WORDS                                                                       \
    "none round_robin weighted least_connections random priority latency cost tag lowest_cost"
extern const char *const route_strategy_words[ROUTE_STRATEGIES + 1]; /* ends with NULL */

/* Faults that a chain may have targets of their own for. */
enum route_fallback {
    FALLBACK_CONTEXT,
    FALLBACK_POLICY,
    FALLBACK_RATE,
    FALLBACK_ERROR,
    ROUTE_FALLBACKS
};
extern const char *const route_fallback_words[ROUTE_FALLBACKS + 1];

struct route_target {
    const struct upstream *upstream;
    struct str provider, deployment; /* deployment: empty = the provider as configured */
    struct str model;                /* empty: the one asked for, or its equivalent */
    bool asked;                      /* it is a name that only the client says */
    unsigned weight;
    struct str_list tags;
};

struct route_targets {
    const struct route_target *at;
    unsigned n;
};

struct route_chain {
    struct str name;
    struct str_list models; /* globs: which names take it, beside its own; n 0 = its own alone */
    enum route_strategy strategy;
    struct route_targets targets, fallbacks[ROUTE_FALLBACKS];
    unsigned retries; /* of one target */
    int64_t backoff, backoff_max, retry_after_max;
    int64_t timeout, first_token; /* ns; 0 = the general ones */
    struct breaker_settings breaker;
    bool affinity, hedge, active;
    int64_t hedge_after; /* 0 = after the target's p99 */
    unsigned hedge_percent;
    struct route_targets shadow; /* at most one */
    unsigned shadow_percent;
    bool from_file;
    struct str text;          /* as it was given: a JSON object */
    struct route_state *turn; /* counts for round robin; named after the chain */
    enum lcr_lane lane;       /* of one that was made for a call; else LANE_NONE */
};

struct route_tier {
    struct str name;
    struct str_list models; /* globs; of the first tier that has one a model is */
    struct tier_model {
        struct str provider, model;
    } const *equivalents;
    unsigned equivalents_n;
};

struct route_deployment {
    struct str name;
    struct upstream upstream;
};

struct route_budget {
    struct str provider;
    int64_t nano; /* a day, UTC */
};

struct route_rules {
    /* defaults of chains, and what holds without one */
    unsigned strategy; /* enum route_strategy, for calls that no chain takes */
    unsigned retries, chain_retries;
    int64_t backoff, backoff_max, retry_after_max, first_token;
    unsigned breaker_failures;
    int64_t breaker_cooldown;
    bool affinity, hedge;
    unsigned hedge_percent;
    struct lcr_settings lcr;
    /* lists */
    const struct route_chain *chains;
    unsigned chains_n;
    const struct route_tier *tiers;
    unsigned tiers_n;
    bool tiers_changed;
    struct route_deployment *deployments;
    unsigned deployments_n;
    const struct route_budget *budgets;
    unsigned budgets_n;
    const struct upstream *forced; /* NULL = none */
    int64_t forced_until;          /* wall ns */
};

struct route_settings;

/* --- reading --- */

/* The members of a chain and of a target, for the management API's document. */
#define ROUTE_CHAIN_FIELDS  24
#define ROUTE_TARGET_FIELDS 5
extern const struct field_row route_chain_fields[ROUTE_CHAIN_FIELDS];
extern const struct field_row route_target_fields[ROUTE_TARGET_FIELDS];

/* One rule from its JSON text, whose texts go into a. 0, or -EINVAL with e filled: 400, the member
 * at fault in param ("targets[1].provider"), and what is allowed. -ENOMEM. */
int route_chain_parse(const struct route_settings *s, struct str json, struct arena *a,
    struct route_chain *ret, struct error *e);
/* A list of tiers: {"tiers":[{"name","models":[…],"equivalents":{provider: model}}]}. */
int route_tiers_parse(const struct route_settings *s, struct str json, struct arena *a,
    const struct route_tier **ret, unsigned *ret_n, struct error *e);
/* "openai:100,anthropic:50": dollars a day. */
int route_budgets_parse(const struct route_settings *s, struct str text, struct arena *a,
    const struct route_budget **ret, unsigned *ret_n, struct error *e);

bool lcr_mode_parse(struct str word, enum lcr_mode *ret);
/* "0.5" as thousandths; -EINVAL: no number from 0 to 1. */
int lcr_threshold_parse(struct str text, unsigned *ret);

/* --- looking up --- */

const struct route_chain *route_chain_find(const struct route_rules *r, struct str name);
/* The chain that a call for this model takes, or NULL. */
const struct route_chain *route_chain_for(const struct route_rules *r, struct str model);
const struct route_deployment *route_deployment_find(const struct route_rules *r, struct str name);
const struct route_budget *route_budget_of(const struct route_rules *r, struct str provider);
/* The provider that an operator forced, as long as that lasts. */
const struct upstream *route_forced(const struct route_rules *r);

/* --- tiers.c --- */

extern const struct route_tier route_builtin_tiers[];
extern const unsigned route_builtin_tiers_n;
const struct route_tier *route_tier_of(const struct route_rules *r, struct str model);
/* The model's name at this provider: its own where it is that provider's, or the equivalent of its
 * tier, or what is asked for where neither says anything. */
struct str route_model_at(
    const struct route_settings *s, struct str model, const struct provider *p);

/* A chain as it stands in force, as JSON; and a list of tiers. */
void route_chain_write(const struct route_chain *c, struct buf *out);
void route_tiers_write(const struct route_tier *tiers, unsigned n, struct buf *out);

#endif
