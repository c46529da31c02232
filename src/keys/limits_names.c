/*
 * The names of limits' counters, for those who keep or read what is in them: the ledger, which
 * makes the sums, and the pages that show what is spent. Nothing here suspends.
 */
#include "keys/limits_int.h"

static int64_t add_name(
    const struct subject *s, const struct window *w, struct str scope, struct buf *out)
{
    char room[COUNTER_NAME_BYTES];

    buf_addstr(out, counter_name_of(s, 0, w, scope, room));
    return w->end == INT64_MAX ? 0 : w->end;
}

int64_t limits_money_counter(
    const struct subject *s, enum budget_period p, int64_t at, struct buf *out)
{
    struct window w;

    window_at((enum window_kind)p, at, &w);
    return add_name(s, &w, STR_NONE, out);
}

void limits_scopes(const struct exchange *x, struct buf *out)
{
    const struct hold *h = x->hold;
    bool any = false;

    for (unsigned i = 0; h && i < h->budgets_n; i++) {
        const struct held_budget *b = &h->budgets[i];
        const struct subject *s = h->levels.at[b->level];
        if (!s->state_->at[b->budget].scope_n)
            continue;
        buf_addstr(out, any ? STR(",\"") : STR("[\""));
        int64_t end = limits_budget_counter(s, b->budget, h->at, out); /* needs no escapes */
        buf_printf(out, "\",%lld", (long long)end);
        any = true;
    }
    if (any)
        buf_addc(out, ']');
}

int64_t limits_counter_of(enum subject_kind kind, struct str org_id, struct str id,
    enum budget_period p, int64_t at, struct buf *out)
{
    char room[COUNTER_PREFIX_BYTES];
    struct subject s = {.kind = kind, .counters_ = counter_prefix(kind, org_id, id, room)};

    return limits_money_counter(&s, p, at, out);
}

int64_t limits_budget_counter(const struct subject *s, unsigned i, int64_t at, struct buf *out)
{
    const struct budget_state *st = &s->state_->at[i];
    struct window w;

    window_at((enum window_kind)s->limits.budgets[i].period, at, &w);
    return add_name(s, &w, str_at(st->scope, st->scope_n), out);
}

int64_t limits_held_at(const struct exchange *x)
{
    return x->hold ? x->hold->at : 0;
}

void limits_each_scope(const struct exchange *x, limits_scope_fn *fn, void *ctx)
{
    const struct hold *h = x->hold;

    for (unsigned i = 0; h && i < h->budgets_n; i++) {
        const struct held_budget *b = &h->budgets[i];
        const struct subject *s = h->levels.at[b->level];
        const struct budget_state *st = &s->state_->at[b->budget];
        char room[COUNTER_NAME_BYTES];
        struct window w;
        if (!st->scope_n)
            continue;
        window_at((enum window_kind)s->limits.budgets[b->budget].period, h->at, &w);
        fn(ctx, counter_name_of(s, 0, &w, str_at(st->scope, st->scope_n), room),
            w.end == INT64_MAX ? 0 : w.end);
    }
}
