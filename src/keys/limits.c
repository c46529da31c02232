/*
 * Holding and settling. See keys/limits.h.
 *
 * The stage holds one request and one call in flight of each level that limits them; its end counts
 * the request, unless the call was refused, and lets the call go. An attempt holds tokens and money
 * of each level at once or nothing at all; what it settles (limits_settle.c) is counted in the
 * windows in which it was held, whenever that is. All that a call may hold is in struct hold: so
 * that nothing is given back twice or never.
 *
 * What suspends: shared_reserve() with Redis, waiting for others to settle, counting a large body.
 */
#include "keys/limits_int.h"

#include "base/macros.h"
#include "keys/vkey.h"
#include "runtime/loop.h"

#include <errno.h>

static struct shared *shared;

void limits_use(struct shared *s)
{
    shared = s;
}

struct shared *limits_shared(void)
{
    return shared;
}

static const struct limits_settings *settings(const struct exchange *x)
{
    return &x->keys_settings->limits;
}

/* --- rows out of the way of the stack --- */

/* Rows take 10 KB, which coroutines' stacks shall not grow by: each thread has room for one
 * reserve's, used between two waits. */
static struct rows *rows_here(void)
{
    static _Thread_local struct shared_row at[ROWS_MAX];
    static _Thread_local struct cause cause[ROWS_MAX];
    static _Thread_local char names[ROWS_MAX][COUNTER_NAME_BYTES];
    static _Thread_local struct rows rows;

    rows = (struct rows){.at = at, .cause = cause, .names = names};
    return &rows;
}

/* For a reserve that may suspend: a copy in the exchange's arena. */
static struct rows *rows_keep(struct exchange *x, const struct rows *rows)
{
    struct rows *kept = arena_new(&x->arena, struct rows);

    if (!kept)
        return NULL;
    kept->at = arena_alloc(&x->arena, rows->n * sizeof *kept->at);
    kept->cause = arena_alloc(&x->arena, rows->n * sizeof *kept->cause);
    if (!kept->at || !kept->cause)
        return NULL;
    memcpy(kept->at, rows->at, rows->n * sizeof *rows->at);
    memcpy(kept->cause, rows->cause, rows->n * sizeof *rows->cause);
    for (unsigned i = 0; i < rows->n; i++)
        if (!(kept->at[i].name = arena_dup(&x->arena, rows->at[i].name)).p)
            return NULL;
    kept->n = rows->n;
    return kept;
}

static int no_memory(struct exchange *x)
{
    return exchange_fail(x, 500, STR("internal_error"), STR("Out of memory."));
}

static int unavailable(struct exchange *x)
{
    x->error.retry_after_s = 1;
    return exchange_fail(x, 503, STR("limits_unavailable"),
        STR("The store of limits cannot be reached, and this gateway is set to wait for it."));
}

/* --- what headers say --- */

static void see(struct seen_limit *seen, const struct shared_row *row)
{
    int64_t left = MAX(row->limit - row->used - row->held, 0);

    if (seen->limit && seen->left <= left)
        return;
    seen->limit = row->limit;
    seen->left = left;
}

static void see_rows(struct hold *h, const struct rows *rows)
{
    for (unsigned i = 0; i < rows->n; i++) {
        if (rows->at[i].limit == SHARED_NO_LIMIT)
            continue;
        if (rows->cause[i].what == CAUSE_REQUESTS)
            see(&h->requests, &rows->at[i]);
        else if (rows->cause[i].what == CAUSE_TOKENS)
            see(&h->tokens, &rows->at[i]);
    }
}

/* --- the stage --- */

/* What the request calls its user; the header comes first. */
static void name_end_user(struct exchange *x)
{
    struct str v = STR_NONE;
    char *out;

    if (x->end_user.n || !x->body.n || !x->spans)
        return;
    if (x->spans[BODY_USER].type == JSON_STRING)
        v = json_span_text(x->body, &x->spans[BODY_USER]);
    else if (x->dialect == DIALECT_ANTHROPIC)
        v = json_find(x->body, STR("metadata.user_id"));
    if (v.n < 3 || v.n > 1024 || json_type_of(v) != JSON_STRING ||
        !(out = arena_alloc(&x->arena, v.n)))
        return;
    ptrdiff_t n = json_unescape(v, out);
    if (n > 0)
        x->end_user = str_at(out, (size_t)n);
}

/* An end customer is counted under the name that the call gave, apart for each organisation: the
 * record may be the one for all. */
static const struct subject *customer_of(struct exchange *x)
{
    char room[COUNTER_PREFIX_BYTES];

    name_end_user(x);
    if (!x->customer)
        x->customer = catalog_customer(x->end_user);
    if (!x->customer)
        return NULL;
    struct subject *own = arena_alloc(&x->arena, sizeof *own);
    if (!own)
        return NULL;
    subject_copy(own, x->customer);
    own->counters_ =
        arena_dup(&x->arena, counter_prefix(SUBJECT_CUSTOMER, x->key->org_id, x->end_user, room));
    return own->counters_.p ? own : NULL;
}

static int make_hold(struct exchange *x)
{
    struct hold *h = arena_zalloc(&x->arena, sizeof *h);

    if (!h)
        return no_memory(x);
    const struct subject *customer = customer_of(x);
    if (x->customer && !customer)
        return no_memory(x);
    levels_of(x->key, customer, &h->levels);
    if (has_tag_budget(&h->levels) && x->rq)
        h->tags = arena_dup(&x->arena, http_get(&x->rq->head.fields, HTTP_X_SMARTFLOW_TAGS));
    h->began = clock_wall();
    x->hold = h;
    return 0;
}

static int limit_call(struct exchange *x)
{
    struct rows *rows = rows_here();
    unsigned row;
    int r;

    if (!shared || !x->key)
        return 0;
    if ((r = make_hold(x)) < 0)
        return r;
    rows_of_stage(x->hold, rows);
    if (rows->n == 0)
        return 0;
    if (shared_is_remote(shared) && !(rows = rows_keep(x, rows)))
        return no_memory(x);
    r = shared_reserve(shared, rows->at, rows->n, &row);
    if (r == -EDQUOT)
        return refuse_row(x, rows, row, false);
    if (r < 0)
        return unavailable(x);
    see_rows(x->hold, rows);
    x->hold->stage_held = true;
    return 0;
}

static void add_change(struct shared_change *to, unsigned *n, const struct shared_row *row,
    int64_t release, int64_t use)
{
    to[(*n)++] = (struct shared_change){.name = row->name,
        .kind = row->kind,
        .release = release,
        .use = use,
        .expires_at = row->expires_at};
}

/* A call that we refused has asked nobody for anything: it is no request. */
static bool is_request(const struct exchange *x)
{
    return x->attempts > 0 || (x->outcome != OUTCOME_REFUSED && !x->error.status);
}

static void release_stage(struct exchange *x)
{
    struct shared_change changes[2 * SUBJECT_KINDS];
    struct rows *rows = rows_here();
    unsigned n = 0;
    int64_t use = is_request(x);

    rows_of_stage(x->hold, rows);
    for (unsigned i = 0; i < rows->n; i++)
        add_change(changes, &n, &rows->at[i], 1, rows->cause[i].what == CAUSE_REQUESTS ? use : 0);
    shared_settle(shared, changes, n);
    x->hold->stage_held = false;
}

static void limit_end(struct exchange *x)
{
    if (!x->hold)
        return;
    if (x->hold->open)
        limits_settle(x);
    if (x->hold->stage_held)
        release_stage(x);
}

const struct stage stage_limits = {
    .name = "limits",
    .on_request = limit_call,
    .on_end = limit_end,
};

/* --- reserving --- */

/* Remembers in which budgets' counters money is held. */
static int remember_budgets(struct exchange *x, struct hold *h, const struct rows *rows)
{
    unsigned n = 0;

    if (rows->n > h->budgets_room) {
        h->budgets = arena_alloc(&x->arena, rows->n * sizeof *h->budgets);
        h->budgets_room = h->budgets ? rows->n : 0;
        if (!h->budgets)
            return -ENOMEM;
    }
    for (unsigned i = 0; i < rows->n; i++)
        if (rows->cause[i].what == CAUSE_MONEY)
            h->budgets[n++] = (struct held_budget){.level = rows->cause[i].level,
                .budget = rows->cause[i].budget,
                .used = rows->at[i].used};
    h->budgets_n = n;
    return 0;
}

static void check_crossed(const struct hold *h, const struct rows *rows, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        const struct cause *c = &rows->cause[i];
        struct window w;
        if (c->what != CAUSE_MONEY)
            continue;
        window_at((enum window_kind)c->s->limits.budgets[c->budget].period, h->at, &w);
        crossed_check(c->s, c->budget, &w, rows->at[i].used);
    }
}

static int took(struct exchange *x, struct hold *h, const struct rows *rows)
{
    if (remember_budgets(x, h, rows) < 0) {
        struct shared_change changes[ROWS_MAX];
        unsigned n = 0;
        for (unsigned i = 0; i < rows->n; i++)
            add_change(changes, &n, &rows->at[i], rows->at[i].amount, 0);
        shared_settle(shared, changes, n);
        return no_memory(x);
    }
    see_rows(h, rows);
    check_crossed(h, rows, rows->n);
    h->open = true;
    x->reserved_nano = h->nano;
    return 0;
}

/* Tries once. -EDQUOT: *ret_rows (of the arena where remote) and *ret_row say which refused. */
static int try_reserve(
    struct exchange *x, struct hold *h, struct rows **ret_rows, unsigned *ret_row)
{
    struct rows *rows = rows_here();

    h->at = clock_wall();
    h->tok = h->estimate.input + h->estimate.output + x->spent_tokens;
    rows_of_attempt(x, h, rows, h->nano, h->tok, false);
    if (rows->n == 0)
        return took(x, h, rows);
    if (shared_is_remote(shared) && !(rows = rows_keep(x, rows)))
        return no_memory(x);
    int r = shared_reserve(shared, rows->at, rows->n, ret_row);
    *ret_rows = rows;
    if (r == 0)
        return took(x, h, rows);
    if (r != -EDQUOT)
        return unavailable(x);
    return r;
}

/* What attempts before it spent is held again with each, as it is settled at the end alone. */
static int price_attempt(struct exchange *x, struct hold *h)
{
    int r = estimate_price(x, &h->estimate, &h->nano);

    if (r < 0)
        h->nano = 0;
    h->nano += x->spent_nano;
    if (r == 0)
        return 0;
    if (settings(x)->allow_unpriced || !has_hard_budget(x, h))
        return 0;
    x->error.hint = STR("Set a price for it, or SMARTFLOW_ALLOW_UNPRICED=true.");
    return exchange_failf(x, 403, STR("model_unpriced"),
        "The price of '" STR_FMT "' is not known, so a key with a budget may not call it.",
        (int)MIN(x->model.n, 200), x->model.p);
}

/* Whether a smaller amount could pass that row: the input is at least a fifth of its guess, and a
 * twelfth of a rough one. */
static bool counting_may_help(const struct hold *h, const struct shared_row *row)
{
    unsigned share = h->estimate.rough ? 12 : 5;
    int64_t least = (int64_t)(h->estimate.output + h->estimate.input / share);

    if (h->estimate.exact || h->estimate.input == 0)
        return false;
    return h->tok > 0 && row->amount / (int64_t)h->tok * least + row->used <= row->limit;
}

/* What a refused attempt may still do. 0: try again. Where nothing is held there is nothing to wait
 * for: then it is this node's share that is used up, while the shared store is away. */
static int after_refusal(
    struct exchange *x, struct hold *h, const struct rows *rows, unsigned row, int64_t until)
{
    const struct shared_row *r = &rows->at[row];
    bool only_held = r->amount <= r->limit - r->used; /* both are 0 or more */
    char name[COUNTER_NAME_BYTES];

    check_crossed(h, rows, row + 1);
    if (counting_may_help(h, r)) {
        estimate_refine(x, &h->estimate);
        return price_attempt(x, h);
    }
    if (!only_held)
        return refuse_row(x, rows, row, false);
    memcpy(name, r->name.p, r->name.n);
    struct str waits_for = str_at(name, r->name.n);
    if (r->held == 0 || loop_now() >= until)
        return refuse_row(x, rows, row, true);
    int w = shared_wait_settle(shared, waits_for, until);
    if (w == -ECANCELED) {
        x->outcome = OUTCOME_CANCELLED;
        return exchange_fail(
            x, 499, STR("client_closed_request"), STR("The client went away while it waited."));
    }
    return 0; /* after the deadline one last try, with fresh sums */
}

int limits_reserve(struct exchange *x)
{
    struct hold *h = x->hold;
    struct rows *rows = NULL;
    unsigned row = 0;
    int r;

    if (!h)
        return 0;
    if (h->open)
        limits_release(x);
    if (!h->estimated)
        estimate_make(
            x, settings(x)->default_output ? settings(x)->default_output : 4096, &h->estimate);
    h->estimated = true;
    if ((r = price_attempt(x, h)) < 0)
        return r;
    int64_t until = clock_now() + settings(x)->budget_wait;
    while ((r = try_reserve(x, h, &rows, &row)) == -EDQUOT) {
        must(rows);
        if ((r = after_refusal(x, h, rows, row, until)) < 0)
            break;
    }
    return r;
}

int limits_reserve_again(struct exchange *x)
{
    struct hold *h = x->hold;
    struct rows *rows = rows_here();
    unsigned row = 0;

    if (!h || !h->open)
        return 0;
    int64_t nano = h->nano - x->spent_nano;
    uint64_t tokens = h->tok - x->spent_tokens;
    rows_of_attempt(x, h, rows, nano, tokens, true);
    if (shared_is_remote(shared) && !(rows = rows_keep(x, rows)))
        return -ENOMEM;
    int r = rows->n ? shared_reserve(shared, rows->at, rows->n, &row) : 0;
    if (r < 0)
        return -EDQUOT;
    h->nano += nano;
    h->tok += tokens;
    x->reserved_nano = h->nano;
    return 0;
}

/* --- streams that outgrow what was held --- */

static int top_up_refused(struct exchange *x, const struct rows *rows, unsigned row, int r)
{
    if (r != -EDQUOT || settings(x)->finish_over_budget) {
        x->hold->over = true; /* what it takes is settled at its end */
        return 0;
    }
    refuse_row(x, rows, row, false);
    return -EDQUOT;
}

int limits_top_up(struct exchange *x, uint64_t output_tokens)
{
    struct hold *h = x->hold;
    struct rows *rows = rows_here();
    unsigned row = 0;
    int64_t nano;

    if (!h || !h->open || h->over || output_tokens <= h->estimate.output)
        return 0;
    uint64_t chunk = MAX(settings(x)->default_output / 4, 256u);
    struct estimate more = h->estimate;
    more.output = output_tokens + chunk;
    uint64_t tokens = more.output - h->estimate.output;
    if (estimate_price(x, &more, &nano) < 0 || nano + x->spent_nano < h->nano)
        nano = h->nano;
    else
        nano += x->spent_nano;
    rows_of_attempt(x, h, rows, nano - h->nano, tokens, true);
    if (shared_is_remote(shared) && !(rows = rows_keep(x, rows)))
        return 0;
    int r = rows->n ? shared_reserve(shared, rows->at, rows->n, &row) : 0;
    if (r < 0)
        return top_up_refused(x, rows, row, r);
    h->estimate = more;
    h->tok += tokens;
    h->nano = x->reserved_nano = nano;
    return 0;
}
