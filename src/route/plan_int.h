/* Inside src/route: what the files of a plan share. */
#ifndef SF_ROUTE_PLAN_INT_H
#define SF_ROUTE_PLAN_INT_H

#include "route/budget.h"
#include "route/plan.h"

/* Cannot serve the call at all, now or later. */
bool plan_is_dead(enum plan_reason r);

/* strategy.c: puts p->at in the order of its chain's strategy. */
void plan_order(const struct plan_asked *a, struct plan *p);
/* By score, the lowest first; -1 comes last. */
void plan_sort(struct plan *p);
/* Pico-dollars of a typical call's token: three in for one out. -1: not known. */
int64_t plan_price(const struct model_facts *f);

/* --- lowest_cost.c --- */

/* What holds for one call. */
struct lcr_policy {
    enum lcr_mode mode;
    bool said; /* the mode, by the call or its key */
    unsigned threshold;
    struct route_target efficient; /* upstream NULL: there is none */
    struct str capable;            /* a model's name; empty: the one that was asked for */
};
void lcr_policy_of(const struct plan_asked *a, struct lcr_policy *ret);
/* The lane of a call that no chain takes. capable: the target that its model's name leads to; may
 * become another one. *efficient has no upstream where the efficient model would save nothing. */
enum lcr_lane lcr_choose(
    const struct plan_asked *a, struct route_target *efficient, struct route_target *capable);
/* Orders the targets of a chain with that strategy. */
void lcr_order(const struct plan_asked *a, struct plan *p);
/* After all is ordered: what the log says, and whether a poor answer steps up. */
void lcr_settle(const struct plan_asked *a, struct plan *p);

#endif
