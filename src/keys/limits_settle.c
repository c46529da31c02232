/*
 * The end of a reservation: what an attempt held of each level becomes what it took, in the windows
 * in which it was held. See keys/limits.c. Nothing here suspends.
 */
#include "base/macros.h"
#include "keys/limits_int.h"

/* Changes collected into as few calls as they fit. */
struct changes {
    struct shared_change at[ROWS_MAX];
    char names[ROWS_MAX][COUNTER_NAME_BYTES];
    unsigned n;
};

static struct changes *changes_here(void)
{
    static _Thread_local struct changes changes;

    changes.n = 0;
    return &changes;
}

static void flush(struct changes *c)
{
    if (c->n)
        shared_settle(limits_shared(), c->at, c->n);
    c->n = 0;
}

static void put(struct changes *c, const struct subject *s, char letter, const struct window *w,
    struct str scope, int64_t release, int64_t use)
{
    if (c->n == ROWS_MAX)
        flush(c);
    struct str name = counter_name_of(s, letter, w, scope, c->names[c->n]);
    c->at[c->n++] = (struct shared_change){
        .name = name, .release = release, .use = use, .expires_at = window_expiry(w)};
}

/* Bits 1 << period of the whole budgets of a level in which money is held. */
static unsigned held_periods(const struct hold *h, unsigned level)
{
    unsigned bits = 0;

    for (unsigned i = 0; i < h->budgets_n; i++) {
        const struct held_budget *b = &h->budgets[i];
        const struct subject *s = h->levels.at[b->level];
        if (b->level == level && !s->state_->at[b->budget].scope_n)
            bits |= 1u << s->limits.budgets[b->budget].period;
    }
    return bits;
}

/* Money of a level: all four periods, and the budgets for one model or tag. */
static void settle_level(const struct hold *h, unsigned level, const struct window *windows,
    int64_t nano, struct changes *c)
{
    const struct subject *s = h->levels.at[level];
    unsigned held = held_periods(h, level);

    for (unsigned p = 0; p < BUDGET_PERIODS; p++)
        if (nano || (held & 1u << p))
            put(c, s, 0, &windows[p], STR_NONE, held & 1u << p ? h->nano : 0, nano);
    for (unsigned i = 0; i < h->budgets_n; i++) {
        const struct held_budget *b = &h->budgets[i];
        const struct budget_state *st = &s->state_->at[b->budget];
        if (b->level == level && st->scope_n)
            put(c, s, 0, &windows[s->limits.budgets[b->budget].period],
                str_at(st->scope, st->scope_n), h->nano, nano);
    }
}

/* The reservation ends: money and tokens become what they were. */
static void close_hold(struct exchange *x, int64_t nano, uint64_t tokens)
{
    struct hold *h = x->hold;
    struct changes *c = changes_here();
    struct window windows[WINDOW_KINDS];

    for (unsigned k = 0; k < WINDOW_KINDS; k++)
        window_at((enum window_kind)k, h->at, &windows[k]);
    for (unsigned i = 0; i < h->levels.n; i++) {
        if (h->levels.at[i]->limits.tpm > 0)
            put(c, h->levels.at[i], 't', &windows[WINDOW_MINUTE], STR_NONE, (int64_t)h->tok,
                (int64_t)tokens);
        settle_level(h, i, windows, nano, c);
    }
    flush(c);
    h->open = false;
    x->reserved_nano = 0;
    for (unsigned i = 0; nano > 0 && i < h->budgets_n; i++) {
        const struct held_budget *b = &h->budgets[i];
        const struct subject *s = h->levels.at[b->level];
        crossed_check(s, b->budget, &windows[s->limits.budgets[b->budget].period], b->used + nano);
    }
}

/* A call that surely cost nothing: the provider said no, or was not reached at all. */
static bool was_free(const struct exchange *x)
{
    static const struct str codes[] = {STR_INIT("upstream_unreachable"), STR_INIT("upstream_tls"),
        STR_INIT("address_not_allowed")};

    if (x->upstream_status >= 400 || x->outcome == OUTCOME_REFUSED || x->attempts == 0)
        return true;
    for (unsigned i = 0; i < ARRAY_LEN(codes); i++)
        if (!x->upstream_status && str_eq(x->error.code, codes[i]))
            return true;
    return false;
}

void limits_settle(struct exchange *x)
{
    struct hold *h = x->hold;

    if (!h || (!h->open && !x->spent_nano))
        return;
    if (!h->open) { /* the last attempt was refused; the money of those before it is spent */
        h->nano = 0;
        h->tok = 0;
    }
    bool known = x->usage.source != USAGE_UNKNOWN, free = !known && was_free(x);
    int64_t nano = x->cost_nano >= 0 ? x->cost_nano : MAX(free ? 0 : h->nano, x->spent_nano);
    uint64_t tokens = MAX(free ? 0 : h->tok, x->spent_tokens); /* which it holds, too */
    if (known)
        tokens = usage_input_total(&x->usage) + usage_output_total(&x->usage) + x->spent_tokens;
    x->charged_nano = nano;
    close_hold(x, nano, tokens);
}

void limits_release(struct exchange *x)
{
    if (x->hold && x->hold->open)
        close_hold(x, 0, 0);
}
