/*
 * What a record's subject spent, and taking it back. A counter is changed by adding to this node's
 * part what makes the sum right: so it holds whichever nodes run, and while Redis is away.
 */
#include "keys/registry_int.h"

#include "keys/limits.h"
#include "keys/windows.h"

#include <errno.h>

#define LATE (3600 * NS_PER_S)

int counter_adjust(struct registry *r, struct str name, int64_t nano, int64_t end)
{
    int64_t expires_at = end ? end + LATE : 0;
    struct shared_change change = {.name = name, .use = nano, .expires_at = expires_at};

    if (nano == 0)
        return 0;
    int n = r->adjusted ? r->adjusted(r->adjusted_ctx, name, nano, expires_at) : 0;
    if (n == 0)
        shared_settle(r->shared, &change, 1);
    return n;
}

static bool has_budget(const struct record *rec, enum budget_period p)
{
    for (unsigned i = 0; i < rec->budgets.n; i++) {
        const struct budget *b = &rec->budgets.at[i];
        if (b->period == p && !b->model.n && !b->tag.n)
            return true;
    }
    return false;
}

int spend_read(struct registry *r, const struct record *rec, enum budget_period p, struct str name,
    int64_t *ret_used, int64_t *ret_held)
{
    return has_budget(rec, p) ? shared_total(r->shared, name, ret_used, ret_held)
                              : shared_sum(r->shared, name, ret_used, ret_held);
}

int registry_spend(struct registry *r, enum subject_kind kind, const struct record *rec,
    struct record_spend ret[static BUDGET_PERIODS])
{
    _cleanup_(buf_free) struct buf name = {.max = 512};
    int64_t now = clock_wall();
    int n = 0;

    for (int p = 0; p < BUDGET_PERIODS; p++) {
        ret[p] = (struct record_spend){0};
        if (!r->shared)
            continue;
        buf_clear(&name);
        ret[p].resets_at =
            limits_counter_of(kind, rec->org_id, rec->id, (enum budget_period)p, now, &name);
        int err = spend_read(
            r, rec, (enum budget_period)p, buf_str(&name), &ret[p].used_nano, &ret[p].held_nano);
        n = err < 0 ? err : n;
    }
    return n;
}

/* Budgets for one model or tag have counters of their own. */
static int reset_scopes(struct registry *r, enum subject_kind kind, const struct record *rec,
    unsigned periods, int64_t now, struct buf *name)
{
    struct subject from = {.kind = kind,
        .id = rec->id,
        .org_id = rec->org_id,
        .limits = {.budgets = rec->budgets.at, .budgets_n = rec->budgets.n}};
    struct subject *s;
    int64_t used, held;
    int n = subject_new(&from, &s);

    if (n < 0)
        return n;
    for (unsigned i = 0; n == 0 && i < rec->budgets.n; i++) {
        if (!(periods & 1u << rec->budgets.at[i].period) || !s->state_->at[i].scope_n ||
            !s->state_->at[i].first)
            continue;
        buf_clear(name);
        int64_t end = limits_budget_counter(s, i, now, name);
        shared_total(r->shared, buf_str(name), &used, &held);
        n = counter_adjust(r, buf_str(name), -used, end);
    }
    subject_unref(s);
    return n;
}

int registry_reset_spend(struct registry *r, enum subject_kind kind, const struct record *rec,
    unsigned periods, struct error *e)
{
    _cleanup_(buf_free) struct buf name = {.max = 512};
    int64_t now = clock_wall(), used, held;
    int n = 0;

    for (int p = 0; r->shared && n == 0 && p < BUDGET_PERIODS; p++) {
        if (!(periods & 1u << p))
            continue;
        buf_clear(&name);
        int64_t end =
            limits_counter_of(kind, rec->org_id, rec->id, (enum budget_period)p, now, &name);
        n = spend_read(r, rec, (enum budget_period)p, buf_str(&name), &used, &held);
        if (n == 0)
            n = counter_adjust(r, buf_str(&name), -used, end);
    }
    if (n == 0 && r->shared)
        n = reset_scopes(r, kind, rec, periods, now, &name);
    return n < 0 ? store_failed(n, kind, e) : 0;
}
