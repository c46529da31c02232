/* Inside src/route: what the files of a plan share. */
#ifndef SF_ROUTE_PLAN_INT_H
#define SF_ROUTE_PLAN_INT_H

#include "route/budget.h"
#include "route/plan.h"

/* Cannot serve the call at all, now or later. */
bool plan_is_dead(enum plan_reason r);

/* strategy.c: puts p->at in the order of its chain's strategy. */
void plan_order(const struct plan_asked *a, struct plan *p);

#endif
