/*
 * Calls that may be tried more than once: the loop over the targets of a plan (route/plan.h).
 *
 *   attempt.c          the loop: what was learnt from one attempt decides what follows
 *   attempt_quality.c  the second look of lowest-cost routing
 *   hedge.c            a second attempt beside one that takes unusually long
 *   shadow.c           copies of calls for a target that is looked at, whose replies nobody gets
 *
 * Each attempt holds its money, is on the journal before the upstream sees it, and leaves nothing
 * behind for the next (gateway/translated.h: gw_attempt_begin). As long as no token went to the
 * client another attempt may follow; after that a failure ends the call. The plan's log tells all
 * of it.
 */
#ifndef SF_GATEWAY_ATTEMPT_H
#define SF_GATEWAY_ATTEMPT_H

#include "gateway/translated.h"
#include "route/plan.h"

/* One attempt, from its start to the head of its reply. */
struct attempt {
    struct plan_target *t;
    struct gw_body body;
    struct http_call *call;
    const struct http_head *head;
    struct routing_try *log; /* NULL: there is no room for more */
    int64_t began;
    bool sent; /* an upstream may have seen it */
};

/* Runs a call with a JSON body and a plan. 0, or x->error. */
int gw_attempts(struct exchange *x);

/* --- what the files share --- */

/* Prepares and starts; 0, or x->error. */
int attempt_start(struct exchange *x, struct attempt *a);
/* Ends its upstream call and frees its body. */
void attempt_end(struct attempt *a);
/* Opens an entry of the log for it, and fills in how it ended; then: a literal. */
void attempt_log(struct exchange *x, struct attempt *a, int64_t waited);
struct str attempt_fault_text(enum wire_fault f); /* empty: it did not fail */
enum route_result attempt_result_of(enum wire_fault f);
void attempt_log_end(struct attempt *a, struct str then, int status, struct str fault);
/* What an attempt cost that was given up: what its provider reported, else its input as estimated.
 * Adds to x->spent_nano. surely_free: no upstream worked on it. */
void attempt_spent(struct exchange *x, bool surely_free);

/* hedge.c: waits for the head of a's reply; where that takes unusually long, another target is
 * asked, too, and *a becomes the one that answered first. Else as gw_call_head(). */
int attempt_hedged_head(struct exchange *x, struct attempt *a);
bool attempt_may_hedge(const struct exchange *x, const struct attempt *a);

/* attempt_quality.c: whether the efficient model's answer falls short, and why: *ret_why is empty
 * where it does not, or is not judged. 0, or x->error: the answer could not be read. */
int attempt_falls_short(struct exchange *x, const struct attempt *a, struct str *ret_why);
/* What such an answer used, for attempt_spent(). */
void attempt_meter_held(struct exchange *x, const struct attempt *a);

/* shadow.c: sends a copy of the call to its plan's shadow, for its share of calls. */
void attempt_shadow(struct exchange *x);

/* --- metrics (attempt_metrics.c) --- */
void attempt_count(const struct plan_target *t, struct str result);
void attempt_count_fallback(const struct plan *p, struct str fault);
void attempt_count_retry(const struct plan_target *t);
void attempt_count_hedge(const struct plan_target *t, struct str result);
void attempt_count_opened(const struct plan_target *t);
/* Gauges that are read when they are asked for. */
void gw_routing_metrics_refresh(void);

#endif
