/* Charging without a call. See keys/charge.h. */
#include "keys/charge.h"

#include "base/buf.h"
#include "base/macros.h"
#include "keys/limits_int.h"

#include <stdlib.h>

#define CHANGES_MAX 96

static bool applies(const struct charge *c, const struct budget *b)
{
    const struct str_list *tags = &c->key->tags;

    if (b->model.n && !str_glob(b->model, c->model))
        return false;
    for (unsigned i = 0; b->tag.n && i < tags->n; i++)
        if (str_eq(tags->at[i], b->tag))
            return true;
    return !b->tag.n;
}

/* The levels of the key's record and of its customer; references are the caller's. */
static void levels(const struct charge *c, const struct subject *customer, struct levels *ret)
{
    *ret = (struct levels){.n = 0};
    if (c->key)
        levels_of(c->key, customer, ret);
}

/* f for each counter of a budget that is for one model or tag; once each. */
static void each_scoped(const struct charge *c, const struct levels *l,
    void (*f)(void *ctx, struct str name, const struct window *w), void *ctx)
{
    char room[COUNTER_NAME_BYTES];
    struct window w;

    for (unsigned i = 0; i < l->n; i++) {
        const struct subject *s = l->at[i];
        for (unsigned k = 0; s->state_ && k < s->limits.budgets_n; k++) {
            const struct budget *b = &s->limits.budgets[k];
            const struct budget_state *st = &s->state_->at[k];
            if (!st->first || !st->scope_n || !applies(c, b))
                continue;
            window_at((enum window_kind)b->period, c->at, &w);
            f(ctx, counter_name_of(s, 0, &w, str_at(st->scope, st->scope_n), room), &w);
        }
    }
}

static void put_scope(void *ctx, struct str name, const struct window *w)
{
    struct buf *out = ctx;

    buf_addc(out, out->n ? ',' : '[');
    buf_addjson(out, name);
    buf_addc(out, ',');
    buf_addu64(out, w->end == INT64_MAX ? 0 : (uint64_t)w->end);
}

void charge_scopes(const struct charge *c, struct buf *out)
{
    struct levels l;

    levels(c, NULL, &l); /* a customer's record may be the one for all: its scopes are its own */
    each_scoped(c, &l, put_scope, out);
    if (out->n)
        buf_addc(out, ']');
}

/* --- counting --- */

struct changes {
    struct shared_change at[CHANGES_MAX];
    char names[CHANGES_MAX][COUNTER_NAME_BYTES];
    unsigned n;
    int64_t nano;
};

static void add(void *ctx, struct str name, const struct window *w)
{
    struct changes *all = ctx;

    if (all->n == CHANGES_MAX || name.n > COUNTER_NAME_BYTES)
        return;
    memcpy(all->names[all->n], name.p, name.n);
    all->at[all->n] = (struct shared_change){.name = str_at(all->names[all->n], name.n),
        .use = all->nano,
        .expires_at = window_expiry(w)};
    all->n++;
}

static void add_periods(
    const struct charge *c, enum subject_kind kind, struct str id, struct changes *all)
{
    char prefix[COUNTER_PREFIX_BYTES], room[COUNTER_NAME_BYTES];
    struct subject s = {.kind = kind};
    struct window w;

    if (!id.n)
        return;
    s.counters_ = counter_prefix(kind, c->org_id, id, prefix);
    for (int p = 0; p < BUDGET_PERIODS; p++) {
        window_at((enum window_kind)p, c->at, &w);
        add(all, counter_name_of(&s, 0, &w, STR_NONE, room), &w);
    }
}

/* What was spent by now, of each budget that applies. */
static void tell_crossed(struct shared *s, const struct charge *c, const struct levels *l)
{
    char room[COUNTER_NAME_BYTES];
    struct window w;

    for (unsigned i = 0; i < l->n; i++) {
        const struct subject *at = l->at[i];
        for (unsigned k = 0; at->state_ && k < at->limits.budgets_n; k++) {
            const struct budget *b = &at->limits.budgets[k];
            const struct budget_state *st = &at->state_->at[k];
            int64_t used, held;
            if (!st->first || !applies(c, b))
                continue;
            window_at((enum window_kind)b->period, c->at, &w);
            struct str scope = str_at(st->scope, st->scope_n);
            shared_total(s, counter_name_of(at, 0, &w, scope, room), &used, &held);
            crossed_check(at, k, &w, used);
        }
    }
}

void charge_now(struct shared *s, const struct charge *c)
{
    const struct {
        enum subject_kind kind;
        struct str id;
    } who[] = {{SUBJECT_ORG, c->org_id}, {SUBJECT_TEAM, c->team_id}, {SUBJECT_USER, c->user_id},
        {SUBJECT_KEY, c->key_id}, {SUBJECT_CUSTOMER, c->customer}};
    struct changes *all = calloc(1, sizeof *all);
    struct levels l;

    if (!all)
        return;
    all->nano = c->nano;
    levels(c, NULL, &l);
    for (unsigned i = 0; i < ARRAY_LEN(who); i++)
        add_periods(c, who[i].kind, who[i].id, all);
    each_scoped(c, &l, add, all);
    shared_settle(s, all->at, all->n);
    free(all);
    tell_crossed(s, c, &l);
}
