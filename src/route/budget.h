/*
 * Daily budgets of providers (SMARTFLOW_PROVIDER_BUDGETS): what was spent with each today, UTC, by
 * all nodes. A provider whose budget is reached is not chosen any more; what runs then goes on. The
 * sum is a shared counter, so that it lasts (the ledger knows it, too: exchange.provider_scope) and
 * is common to all nodes; the hot path reads what this process last saw of it.
 */
#ifndef SF_ROUTE_BUDGET_H
#define SF_ROUTE_BUDGET_H

#include "route/rules.h"
#include "store/shared.h"

/* The counter's name for the day that holds `wall`, into room; the day's end in *ret_end. */
#define ROUTE_COUNTER_BYTES 64
struct str route_budget_counter(
    struct str provider, int64_t wall, char room[static ROUTE_COUNTER_BYTES], int64_t *ret_end);

/* Where the counters are; once at start, before the loops. NULL: there are none. */
void route_budget_use(struct shared *s);
bool route_budget_spent(const struct route_rules *r, struct str provider, int64_t wall);
/* What was spent today, as last seen. */
int64_t route_budget_used(struct str provider, int64_t wall);
/* A call cost so much. Does not wait. */
void route_budget_add(struct str provider, int64_t nano, int64_t wall);
/* Looks at what all nodes spent, of providers that have a budget. May suspend. */
void route_budget_refresh(const struct route_rules *r);

#endif
