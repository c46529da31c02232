/*
 * Which counters a call counts in. Requests, parallel calls and tokens: of each level that limits
 * them. Money: each budget's that applies, to be held; what is settled goes into all four periods
 * of every level, so that a new budget finds what was spent before it.
 */
#include "keys/limits_int.h"

#include "base/macros.h"

void levels_of(const struct virtual_key *k, const struct subject *customer, struct levels *ret)
{
    const struct subject *all[] = {&k->subject, k->user, k->team, k->org, customer};

    ret->n = 0;
    for (unsigned i = 0; i < ARRAY_LEN(all); i++)
        if (all[i])
            ret->at[ret->n++] = all[i];
}

static struct shared_row *add(struct rows *rows, struct cause cause)
{
    must(rows->n < ROWS_MAX);
    rows->cause[rows->n] = cause;
    return &rows->at[rows->n++];
}

static char *name_room(struct rows *rows)
{
    must(rows->n < ROWS_MAX);
    return rows->names[rows->n];
}

void rows_of_stage(const struct hold *h, struct rows *rows)
{
    struct window minute;

    rows->n = 0;
    window_at(WINDOW_MINUTE, h->began, &minute);
    for (unsigned i = 0; i < h->levels.n; i++) {
        const struct subject *s = h->levels.at[i];
        struct cause cause = {.s = s, .level = (uint8_t)i};
        if (s->limits.rpm > 0) {
            struct str name = counter_name_of(s, 'r', &minute, STR_NONE, name_room(rows));
            cause.what = CAUSE_REQUESTS;
            *add(rows, cause) = (struct shared_row){.name = name,
                .amount = 1,
                .limit = s->limits.rpm,
                .expires_at = minute.end + 60 * NS_PER_S};
        }
        if (s->limits.parallel > 0) {
            struct str name = counter_name_of(s, 'p', NULL, STR_NONE, name_room(rows));
            cause.what = CAUSE_PARALLEL;
            *add(rows, cause) = (struct shared_row){
                .name = name, .kind = SHARED_LEASE, .amount = 1, .limit = s->limits.parallel};
        }
    }
}

/* --- budgets that apply --- */

static bool in_list(struct str list, struct str tag)
{
    while (list.p && list.n)
        if (str_eq(str_trim(str_split(&list, ',')), tag))
            return true;
    return false;
}

static bool has_tag(const struct exchange *x, const struct hold *h, struct str tag)
{
    const struct str_list *own = &x->key->tags;

    for (unsigned i = 0; i < own->n; i++)
        if (str_eq(own->at[i], tag))
            return true;
    return in_list(h->tags, tag);
}

static bool applies(const struct exchange *x, const struct hold *h, const struct budget *b)
{
    if (b->model.n && !str_glob(b->model, x->model) && !str_glob(b->model, x->model_asked))
        return false;
    return !b->tag.n || has_tag(x, h, b->tag);
}

bool has_tag_budget(const struct levels *l)
{
    for (unsigned i = 0; i < l->n; i++)
        if (l->at[i]->state_ && l->at[i]->state_->by_tag)
            return true;
    return false;
}

bool has_hard_budget(const struct exchange *x, const struct hold *h)
{
    for (unsigned i = 0; i < h->levels.n; i++) {
        const struct limits *l = &h->levels.at[i]->limits;
        for (unsigned b = 0; b < l->budgets_n; b++)
            if (!l->budgets[b].soft && applies(x, h, &l->budgets[b]))
                return true;
    }
    return false;
}

/* --- rows of an attempt --- */

static void add_tokens(const struct hold *h, unsigned level, struct rows *rows,
    const struct window *minute, uint64_t tokens, bool top_up)
{
    const struct subject *s = h->levels.at[level];

    if (s->limits.tpm <= 0)
        return;
    struct str name = counter_name_of(s, 't', minute, STR_NONE, name_room(rows));
    struct cause cause = {.s = s, .what = CAUSE_TOKENS, .level = (uint8_t)level};
    *add(rows, cause) = (struct shared_row){.name = name,
        .amount = (int64_t)tokens,
        .limit = top_up ? SHARED_NO_LIMIT : s->limits.tpm,
        .expires_at = window_expiry(minute)};
}

/* A soft budget's row refuses nothing, but asks for the sum. */
static void add_budgets(
    const struct exchange *x, const struct hold *h, unsigned level, struct rows *rows, int64_t nano)
{
    const struct subject *s = h->levels.at[level];

    for (unsigned i = 0; i < s->limits.budgets_n; i++) {
        const struct budget *b = &s->limits.budgets[i];
        const struct budget_state *st = &s->state_->at[i];
        struct window w;
        if (!st->first || !applies(x, h, b))
            continue;
        window_at((enum window_kind)b->period, h->at, &w);
        struct str name =
            counter_name_of(s, 0, &w, str_at(st->scope, st->scope_n), name_room(rows));
        struct cause cause = {
            .s = s, .what = CAUSE_MONEY, .level = (uint8_t)level, .budget = (uint8_t)i};
        *add(rows, cause) = (struct shared_row){.name = name,
            .amount = nano,
            .limit = MIN(st->limit, SHARED_NO_LIMIT - 1),
            .expires_at = window_expiry(&w)};
    }
}

void rows_of_attempt(const struct exchange *x, const struct hold *h, struct rows *rows,
    int64_t nano, uint64_t tokens, bool top_up)
{
    struct window minute;

    rows->n = 0;
    window_at(WINDOW_MINUTE, h->at, &minute);
    for (unsigned i = 0; i < h->levels.n; i++) {
        add_tokens(h, i, rows, &minute, tokens, top_up);
        add_budgets(x, h, i, rows, nano);
    }
}
