/*
 * Saying no: which level's limit it is, how much it allows, and when it begins anew. Never whose
 * else it is: a caller learns of its own key and the words "team", "user", "organisation" alone.
 * And the headers that tell a caller how near its limits are.
 */
#include "base/macros.h"
#include "keys/limits_int.h"
#include "keys/record.h"
#include "keys/vkey.h"

static const char *const owners[SUBJECT_KINDS] = {
    [SUBJECT_ORG] = "organisation of this key",
    [SUBJECT_TEAM] = "team of this key",
    [SUBJECT_USER] = "user of this key",
    [SUBJECT_KEY] = "key",
    [SUBJECT_CUSTOMER] = "end user of this call",
};

static int seconds_until(int64_t wall)
{
    int64_t left = wall - clock_wall();

    return left <= 0 ? 1 : (int)MIN((left + NS_PER_S - 1) / NS_PER_S, 86400 * 366);
}

static int refuse_rate(struct exchange *x, const struct cause *c, const struct shared_row *row)
{
    bool tokens = c->what == CAUSE_TOKENS;
    struct window minute;

    window_at(WINDOW_MINUTE, tokens ? x->hold->at : x->hold->began, &minute);
    *(tokens ? &x->hold->tokens : &x->hold->requests) =
        (struct seen_limit){row->limit, MAX(row->limit - row->used - row->held, 0)};
    if (tokens && row->amount > row->limit) { /* no waiting helps */
        x->error.no_retry = true;
        return exchange_failf(x, 429, STR("rate_limit_exceeded"),
            "This call may take %lld tokens, and the %s has a limit of %lld a minute. Make it "
            "shorter, or lower its maximum of output tokens.",
            (long long)row->amount, owners[c->s->kind], (long long)row->limit);
    }
    x->error.retry_after_s = seconds_until(minute.end);
    return exchange_failf(x, 429, STR("rate_limit_exceeded"),
        "The %s has reached its limit of %lld %s a minute. Try again in %d s.", owners[c->s->kind],
        (long long)row->limit, tokens ? "tokens" : "requests", x->error.retry_after_s);
}

static int refuse_parallel(struct exchange *x, const struct cause *c, const struct shared_row *row)
{
    x->error.retry_after_s = 1;
    return exchange_failf(x, 429, STR("rate_limit_exceeded"),
        "The %s has reached its limit of %lld calls at once. Try again when one has ended.",
        owners[c->s->kind], (long long)row->limit);
}

/* The budget whose limit it was, of those that share the counter. */
static const struct budget *hardest(const struct subject *s, unsigned first)
{
    const struct limits *l = &s->limits;
    const struct budget *best = &l->budgets[first];

    for (unsigned i = first; i < l->budgets_n; i++)
        if (!l->budgets[i].soft && l->budgets[i].limit_nano == s->state_->at[first].limit &&
            l->budgets[i].period == best->period && str_eq(l->budgets[i].model, best->model) &&
            str_eq(l->budgets[i].tag, best->tag))
            return &l->budgets[i];
    return best;
}

static int refuse_money(
    struct exchange *x, const struct cause *c, const struct shared_row *row, bool only_held)
{
    const struct budget *b = hardest(c->s, c->budget);
    _cleanup_(buf_free) struct buf usd = {.max = 64}, until = {.max = 96};
    int status = x->keys_settings->limits.budget_status;
    struct window w;
    char text[25];

    window_at((enum window_kind)b->period, x->hold->at, &w);
    money_write(b->limit_nano, &usd);
    if (w.end != INT64_MAX) {
        clock_rfc3339(w.end, text);
        buf_printf(&until, " It begins anew at %.19sZ.", text);
    }
    x->error.type = x->dialect == DIALECT_ANTHROPIC ? STR("billing_error") : STR("budget_exceeded");
    x->error.no_retry = !only_held;
    x->error.retry_after_s = only_held ? 1 : 0;
    return exchange_failf(x, status ? status : 429, STR("insufficient_quota"),
        "The %s budget of the %s (" STR_FMT " USD%s) %s." STR_FMT, budget_period_words[b->period],
        owners[c->s->kind], STR_ARG(buf_str(&usd)),
        b->model.n ? ", for this model"
        : b->tag.n ? ", for one of its tags"
                   : "",
        only_held && !row->held ? "has nothing left in the share that counts while Redis is away; "
                                  "try again"
        : only_held             ? "is held by calls that still run; try again"
        : row->used >= row->limit ? "is used up"
                                  : "has too little left for this call",
        STR_ARG(buf_str(&until)));
}

int refuse_row(struct exchange *x, const struct rows *rows, unsigned row, bool only_held)
{
    const struct cause *c = &rows->cause[row];

    switch (c->what) {
    case CAUSE_PARALLEL:
        return refuse_parallel(x, c, &rows->at[row]);
    case CAUSE_MONEY:
        return refuse_money(x, c, &rows->at[row], only_held);
    default:
        return refuse_rate(x, c, &rows->at[row]);
    }
}

/* --- headers --- */

/* "PREFIX-WHAT-NAME: ", of which the dialects put the last two in another order. */
static void field_name(struct buf *out, bool anthropic, const char *what, const char *name)
{
    buf_addstr(out, anthropic ? STR("anthropic-ratelimit-") : STR("x-ratelimit-"));
    buf_addstr(out, str_of(anthropic ? what : name));
    buf_addc(out, '-');
    buf_addstr(out, str_of(anthropic ? name : what));
    buf_addstr(out, STR(": "));
}

static void number_field(
    struct buf *out, bool anthropic, const char *what, const char *name, int64_t value)
{
    field_name(out, anthropic, what, name);
    if (value < 0)
        buf_addc(out, '-');
    buf_addu64(out, value < 0 ? -(uint64_t)value : (uint64_t)value);
    buf_addstr(out, STR("\r\n"));
}

static void fields_of(
    struct buf *out, bool anthropic, const char *what, const struct seen_limit *l, int64_t began)
{
    struct window minute;
    char text[25];

    if (!l->limit)
        return;
    window_at(WINDOW_MINUTE, began, &minute);
    number_field(out, anthropic, what, "limit", l->limit);
    number_field(out, anthropic, what, "remaining", l->left);
    field_name(out, anthropic, what, "reset");
    if (anthropic) {
        clock_rfc3339(minute.end, text);
        buf_addstr(out, str_at(text, 19));
        buf_addstr(out, STR("Z\r\n"));
    } else {
        buf_addu64(out, (uint64_t)seconds_until(minute.end));
        buf_addstr(out, STR("s\r\n"));
    }
}

void limits_fields(struct exchange *x, struct buf *out)
{
    const struct hold *h = x->hold;
    bool anthropic = x->dialect == DIALECT_ANTHROPIC;

    if (!h)
        return;
    fields_of(out, anthropic, "requests", &h->requests, h->began);
    fields_of(out, anthropic, "tokens", &h->tokens, h->at ? h->at : h->began);
}
