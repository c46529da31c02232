/*
 * The plan of a call: which targets may serve it, in the order in which they are tried, and why the
 * others may not. Made by the route stage for calls that a chain takes, that a strategy is set for,
 * or that may be tried again; lies in the exchange's arena. Calls with one target and one try have
 * none.
 *
 * A plan is made of what is known at that moment: breakers, latencies and calls in flight change
 * while it is worked off, so plan_next() looks again.
 */
#ifndef SF_ROUTE_PLAN_H
#define SF_ROUTE_PLAN_H

#include "llm/prices.h"
#include "llm/routing.h"
#include "providers/face.h"
#include "route/rules.h"
#include "translate/wire.h"

/* Why a target may not serve a call. */
enum plan_reason {
    PLAN_USABLE,
    PLAN_NOT_CONFIGURED,
    PLAN_MODEL_NOT_ALLOWED,    /* for the key */
    PLAN_PROVIDER_NOT_ALLOWED, /* likewise */
    PLAN_NO_FACE,              /* the provider has nothing for this kind of call */
    PLAN_NO_CREDENTIAL,        /* the caller's own, and the provider wants none */
    PLAN_LACKS_TAGS,
    PLAN_OVER_BUDGET, /* its daily budget is used up */
    PLAN_OPEN,        /* its breaker is open: tried only when nothing else is left */
    PLAN_RESTING,     /* it asked to be left alone for a while: likewise */
    PLAN_REASONS
};
struct str plan_reason_text(enum plan_reason r);

struct plan_target {
    const struct upstream *upstream;
    struct str deployment;
    struct str model;
    const struct provider_face *face;
    enum endpoint_kind kind;
    const struct model_facts *facts;
    struct route_state *state; /* NULL where there are too many */
    unsigned weight, place;    /* place: where it stands in the chain */
    const struct str_list *tags;
    enum plan_reason reason;
    int64_t score; /* what its strategy ordered it by: ns, pico-dollars, calls; -1 = not known */
    /* while the plan is worked off */
    unsigned tries;
    bool over; /* no more */
};

struct plan {
    const struct route_chain *chain; /* never NULL: without one, the defaults */
    struct plan_target *at;          /* in order; unusable ones last */
    unsigned n, usable;
    struct plan_target *fallbacks[ROUTE_FALLBACKS];
    unsigned fallbacks_n[ROUTE_FALLBACKS];
    struct plan_target *shadow; /* NULL = none */
    bool by_affinity;
    enum lcr_lane lane;
    bool steps_up; /* where the first target's answer falls short, the next has its turn */
    struct routing_log log;
};

/* What is asked of a plan: views that outlive it. */
struct plan_asked {
    const struct route_settings *settings;
    const struct virtual_key *key; /* NULL = may use all */
    enum dialect dialect;
    enum endpoint_kind kind;
    bool stream, own_credential;
    struct str model; /* after aliases */
    struct str shown; /* as the client named it */
    struct str tags;  /* x-smartflow-tags */
    struct str lcr;   /* x-smartflow-lcr */
    struct str body;  /* valid JSON, or empty */
    int64_t now;
    struct arena *arena;
};

/* Where a target is: its deployment, or its provider. */
static inline struct str plan_where(const struct plan_target *t)
{
    return t->deployment.n ? t->deployment : t->upstream->provider->id;
}

/* The plan whose log this is (with a strategy: a log without is of no plan). */
static inline const struct plan *plan_of_log(const struct routing_log *l)
{
    return (const struct plan *)(const void *)((const char *)l - offsetof(struct plan, log));
}

/* 0; -ENOMEM. A plan without usable targets is a plan, too. */
int plan_make(const struct plan_asked *a, const struct route_chain *c, struct plan **ret);
/* A chain for calls that none takes, by the general strategy: the provider that the name leads to
 * (named, which may be NULL), and all that have an equivalent. NULL: none is needed, or memory is
 * out. */
const struct route_chain *plan_automatic(
    const struct plan_asked *a, const struct upstream *named, struct str model);
/* Whether lowest-cost routing may have a say in calls of this key that no chain takes. */
bool lcr_is_set(const struct route_rules *r, const struct virtual_key *key);
/* One target that may be tried again. */
const struct route_chain *plan_single(
    const struct plan_asked *a, const struct upstream *named, struct str model);

/* It served a call: from now on it has a record, whatever its name. */
void plan_served(const struct plan_target *t);

/* The next target to be tried, or NULL. *ret_wait: not before then (0 = at once): where all that
 * are left asked to be left alone. after: the fault that the last one ended with. */
struct plan_target *plan_next(struct plan *p, const struct plan_target *last, enum wire_fault after,
    int64_t now, int64_t *ret_wait);
/* What may follow a fault of this target: whether it may be tried again itself, and whether others
 * may. */
bool plan_may_retry(const struct plan *p, const struct plan_target *t, enum wire_fault f);
bool plan_may_fall_back(const struct plan *p, const struct plan_target *t, enum wire_fault f);
/* A fault after which the next target of a chain has its turn. */
bool plan_is_followed(enum wire_fault f);
/* A usable target that is not over but this one. */
bool plan_has_other(const struct plan *p, const struct plan_target *t);

/* The target behind one whose answer fell short; NULL: there is none that is well. */
struct plan_target *plan_step_up(struct plan *p, const struct plan_target *from, int64_t now);

/* The wait before the n-th further attempt (n >= 1): full jitter below an exponential bound. */
int64_t plan_backoff(const struct route_chain *c, unsigned n);

/* prefix.c: what begins alike has the same hash; 0: nothing to go by. */
uint64_t route_prefix_hash(struct str body);

/* quality.c: why an answer of the efficient model falls short: "empty", "refusal"; empty: it does
 * not. Pure. */
struct canon_reply;
struct str route_falls_short(const struct canon_reply *r);

/* effort.c: how demanding a prompt looks, in thousandths: above the threshold it is for the capable
 * model. Pure. */
unsigned route_effort(struct str body);

#endif
