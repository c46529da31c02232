/*
 * What routing did with a call, as data that its log row, its journal entry and its trace show: who
 * was considered, who was tried, what came of it. Made by route/plan.c, filled by the loop over
 * attempts (gateway/attempt.c), written by ledger/call.c. In the exchange's arena; a call that has
 * one target and no second try has none.
 */
#ifndef SF_LLM_ROUTING_H
#define SF_LLM_ROUTING_H

#include "base/str.h"
#include <stdbool.h>
#include <stdint.h>

#define ROUTING_TRIES_MAX 16

/* One attempt. Texts are literals, of the snapshot, or of the exchange's arena. */
struct routing_try {
    struct str provider, model;
    struct str fault;  /* wire_fault_name(); empty: it served */
    struct str then;   /* literal: "served", "retry", "next", "gave up", "hedge", "lost" */
    int status;        /* of its reply; 0 = none came */
    int64_t us;        /* until that was known */
    int64_t waited_us; /* before it: backoff, or what the provider asked for */
};

/* Who was considered. */
struct routing_candidate {
    struct str provider, model;
    struct str why; /* literal: why it could not serve, or not at once; empty: it could */
};

struct routing_log {
    struct str chain;    /* empty: none */
    struct str strategy; /* its name */
    struct str note;     /* literal or arena: "lcr:efficient", "forced", "affinity" */
    struct routing_try tries[ROUTING_TRIES_MAX];
    unsigned tries_n;
    const struct routing_candidate
        *candidates; /* in the order of the plan; where there are several */
    unsigned candidates_n;
    struct str shadow_provider, shadow; /* the target that got a copy of it, and its model there */
    unsigned skipped_n;                 /* targets that could not serve it */
    unsigned fallbacks;                 /* targets that were left for another one */
    unsigned hedges;
    bool fallback_used;
};

#endif
