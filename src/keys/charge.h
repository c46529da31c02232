/*
 * Money that no running call holds: what a batch cost, booked when it ended. It goes into the
 * counters of every level as the cost of a call does when it settles (keys/limits.h), so that
 * budgets see it.
 */
#ifndef SF_KEYS_CHARGE_H
#define SF_KEYS_CHARGE_H

#include "keys/catalog.h"
#include "store/shared.h"

struct buf;

struct charge {
    struct str org_id, team_id, user_id, key_id, customer; /* empty = none */
    struct str model;
    int64_t at; /* wall ns: whose windows it counts in */
    int64_t nano;
    const struct virtual_key *key; /* its record, for budgets of one model or tag; NULL = gone */
};

/* The counters of budgets for one model or tag that apply, as the journal's `scopes` has them:
 * ["name",expiry,...], appended to out; nothing where there are none. */
void charge_scopes(const struct charge *c, struct buf *out);
/* Counts it. Budgets that it crosses are told of (limits_on_crossed). May suspend. */
void charge_now(struct shared *s, const struct charge *c);

#endif
