/*
 * Analytics: what calls cost and did in a period, over time and by who or what made them, from the
 * sums that the ledger keeps (ledger/analytics.h). The queries of one answer run beside each other.
 *
 * Periods are whole hours or days in UTC: "7d" is today and the six days before.
 */
#include "admin/api_int.h"
#include "admin/rows.h"
#include "admin/when.h"
#include "ledger/analytics.h"
#include "runtime/sync.h"
#include "store/store.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#define HOUR_NS   (3600 * NS_PER_S)
#define DAY_NS    (24 * HOUR_NS)
#define HOURS_MAX (7 * 24)
#define DAYS_MAX  366
#define TREND     30
#define TOP       10
#define GROUPS    50

/* --- what is asked --- */

enum period {
    PERIOD_1H,
    PERIOD_24H,
    PERIOD_7D,
    PERIOD_30D,
    PERIOD_90D,
    PERIOD_TODAY,
    PERIOD_MONTH
};
static const char *const period_words[] = {"1h", "24h", "7d", "30d", "90d", "today", "month", NULL};
static const char *const interval_words[] = {"hour", "day", NULL};
static const char *const group_words[] = {[GROUP_PROVIDER] = "provider",
    [GROUP_MODEL] = "model",
    [GROUP_KEY] = "key",
    [GROUP_USER] = "user",
    [GROUP_TEAM] = "team",
    [GROUP_ORG] = "org",
    [GROUP_CUSTOMER] = "customer",
    [GROUP_TAG] = "tag",
    [GROUP_ENDPOINT] = "endpoint",
    [GROUP_STATUS] = "status",
    [GROUPS_N] = NULL};

struct asked {
    uint32_t period, group, interval;
    struct str from, to;
    int64_t top;
};
#define AT(member) offsetof(struct asked, member)
static const struct field_row query_fields[] = {
    {"period", FIELD_WORD, 0, AT(period), 0, 0, period_words, NULL,
        "How far back; 24h when nothing is given.", "\"7d\""},
    {"from", FIELD_TEXT, 0, AT(from), 1, 40, NULL, NULL,
        "Instead of period: RFC 3339, or how long ago: 12h, 7d.", NULL},
    {"to", FIELD_TEXT, 0, AT(to), 1, 40, NULL, NULL, "Until then; now when not given.", NULL},
    {"group_by", FIELD_WORD, 0, AT(group), 0, 0, group_words, NULL,
        "Whose sums stand in groups; provider when not given.", NULL},
    {"interval", FIELD_WORD, 0, AT(interval), 0, 0, interval_words, NULL,
        "Of the series; hour (for at most 7 days) or day.", NULL},
    {"top", FIELD_INT, 0, AT(top), 1, 1000, NULL, NULL, "At most so many groups; 50.", NULL},
};
#undef AT
static const struct admin_schema query = {
    NULL, query_fields, ARRAY_LEN(query_fields), sizeof(struct asked)};

static int64_t month_begin(int64_t wall)
{
    time_t s = (time_t)(wall / NS_PER_S);
    struct tm tm;

    gmtime_r(&s, &tm);
    return (wall / DAY_NS - (tm.tm_mday - 1)) * DAY_NS;
}

/* The first hour or day of a period that ends now. */
static int64_t period_begin(enum period p, bool by_day, int64_t now)
{
    static const int64_t hours[] = {[PERIOD_1H] = 2,
        [PERIOD_24H] = 24,
        [PERIOD_7D] = 7 * 24,
        [PERIOD_30D] = 30 * 24,
        [PERIOD_90D] = 90 * 24};

    if (p == PERIOD_TODAY)
        return now / DAY_NS * DAY_NS;
    if (p == PERIOD_MONTH)
        return month_begin(now);
    if (by_day)
        return (now / DAY_NS - MAX(hours[p] / 24 - 1, 0)) * DAY_NS;
    return (now / HOUR_NS - hours[p] + 1) * HOUR_NS;
}

static bool is_short(const struct asked *a)
{
    return a->period == PERIOD_1H || a->period == PERIOD_24H || a->period == PERIOD_TODAY;
}

static int64_t rounded_up(int64_t t, int64_t step)
{
    return (t + step - 1) / step * step;
}

static int read_range(struct admin_call *c, const struct asked *a, struct analytics_query *q)
{
    int64_t from = 0, until = clock_wall() + 1;
    int r = a->from.n ? admin_when(c, "from", a->from, &from) : 0;

    if (r == 0 && !a->from.n)
        return admin_bad(c, "from", "from must be given where to is.");
    if (r == 0 && a->to.n)
        r = admin_when(c, "to", a->to, &until);
    if (r == 0 && from >= until)
        return admin_bad(c, "from", "from must be before to.");
    q->by_day = admin_asked(c, "interval") ? a->interval : until - from > 2 * DAY_NS;
    q->from = from;
    q->until = until;
    return r;
}

/* Whole hours or days; name: of the parameter that says when it begins. */
static int round_range(struct admin_call *c, const char *name, struct analytics_query *q)
{
    int64_t step = q->by_day ? DAY_NS : HOUR_NS;

    q->from = q->from / step * step;
    q->until = rounded_up(q->until, step);
    q->to_now = q->until > clock_wall();
    if (!q->by_day && q->until - q->from > HOURS_MAX * HOUR_NS)
        return admin_bad(c, "interval", "interval must be day for more than 7 days.");
    if (q->until - q->from > DAYS_MAX * DAY_NS)
        return admin_bad(c, name, "%s must lie at most %d days before the end.", name, DAYS_MAX);
    return 0;
}

static int read_query(struct admin_call *c, const struct asked *a, struct analytics_query *q)
{
    bool range = a->from.n || a->to.n;
    struct asked asked = *a;
    int r = 0;

    if (range && admin_asked(c, "period"))
        return admin_bad(c, "period", "period and from are two ways to say the same; give one.");
    if (!admin_asked(c, "period"))
        asked.period = PERIOD_24H;
    if (range) {
        r = read_range(c, a, q);
    } else {
        q->by_day = admin_asked(c, "interval") ? a->interval : !is_short(&asked);
        q->from = period_begin((enum period)asked.period, q->by_day, clock_wall());
        q->until = clock_wall() + 1;
    }
    return r < 0 ? r : round_range(c, "from", q);
}

/* --- what the SDK's bridge asks --- */

struct asked_dates {
    struct str start, end;
};
#define AT(member) offsetof(struct asked_dates, member)
static const struct field_row date_fields[] = {
    {"start_date", FIELD_TEXT, 0, AT(start), 1, 40, NULL, NULL,
        "From this day or time on; 30 days ago when not given.", "\"2026-11-01\""},
    {"end_date", FIELD_TEXT, 0, AT(end), 1, 40, NULL, NULL,
        "To the end of this day, or until this time; now when not given.", "\"2026-11-21\""},
};
#undef AT
static const struct admin_schema dates_query = {
    NULL, date_fields, ARRAY_LEN(date_fields), sizeof(struct asked_dates)};

/* "2026-11-21" is the begin of that day; ret_is_day tells it from a time. */
static int read_date(
    struct admin_call *c, const char *name, struct str text, int64_t *ret, bool *ret_is_day)
{
    *ret_is_day = text.n == 10;
    if (*ret_is_day)
        text = arena_printf(&c->arena, STR_FMT "T00:00:00Z", STR_ARG(text));
    return admin_when(c, name, text, ret);
}

static int read_dates(
    struct admin_call *c, const struct asked_dates *asked, struct analytics_query *q)
{
    int64_t now = clock_wall();
    bool is_day = false;
    int r = 0;

    q->until = now + 1;
    if (asked->end.n)
        r = read_date(c, "end_date", asked->end, &q->until, &is_day);
    if (is_day)
        q->until += DAY_NS;
    q->from = q->until - TREND * DAY_NS;
    if (r == 0 && asked->start.n)
        r = read_date(c, "start_date", asked->start, &q->from, &is_day);
    if (r == 0 && q->from >= q->until)
        return admin_bad(c, "start_date", "start_date must be before end_date.");
    q->by_day = q->until - q->from > 2 * DAY_NS;
    return r < 0 ? r : round_range(c, "start_date", q);
}

/* --- adding up --- */

struct answer {
    struct admin_call *c;
    struct analytics_query q, days;
    enum analytics_group group;
    unsigned top;
    struct usage_total total;
    struct usage_total *series;
    unsigned series_n;
    struct usage_groups providers, models, statuses, users, groups;
    struct usage_day trend[TREND];
    bool nothing; /* the caller may see none */
    char err[3][STORE_ERR_BYTES];
};

static int64_t step_of(const struct answer *a)
{
    return a->q.by_day ? DAY_NS : HOUR_NS;
}

static int take_cell(void *ctx, const struct usage_row *row)
{
    struct answer *a = ctx;
    char status[24];

    snprintf(status, sizeof status, "%lld", (long long)row->status);
    usage_total_add(&a->total, &row->total);
    int r = usage_groups_add(&a->providers, row->provider, &row->total);
    if (r == 0)
        r = usage_groups_add(&a->models, row->model, &row->total);
    return r < 0 ? r : usage_groups_add(&a->statuses, str_of(status), &row->total);
}

static int take_step(void *ctx, const struct usage_step *step)
{
    struct answer *a = ctx;
    unsigned i = (unsigned)((step->at - a->q.from) / step_of(a));

    if (i < a->series_n)
        a->series[i] = step->total;
    return 0;
}

static int take_day(void *ctx, const struct usage_day *d)
{
    struct answer *a = ctx;
    int64_t i = (d->at - a->days.from) / DAY_NS;

    if (i >= 0 && i < TREND)
        a->trend[i] = *d;
    return 0;
}

static int ask_cells(void *arg)
{
    struct answer *a = arg;
    int r = analytics_cells(a->c->env->store, &a->q, take_cell, a, a->err[0]);

    return r < 0 ? r : analytics_series(a->c->env->store, &a->q, take_step, a, a->err[0]);
}

static int ask_users(void *arg)
{
    struct answer *a = arg;

    return analytics_groups(a->c->env->store, &a->q, GROUP_USER,
        a->group == GROUP_USER ? a->top : TOP + 1, &a->users, a->err[1]);
}

static int ask_rest(void *arg)
{
    struct answer *a = arg;
    int r = analytics_days(a->c->env->store, &a->days, take_day, a, a->err[2]);

    if (r == 0 && a->group != GROUP_USER)
        r = analytics_groups(a->c->env->store, &a->q, a->group, a->top, &a->groups, a->err[2]);
    return r;
}

static int ask_all(struct answer *a)
{
    struct group g;

    group_init(&g, true);
    int r = group_spawn(&g, "analytics", ask_cells, a);
    if (r == 0)
        r = group_spawn(&g, "analytics", ask_users, a);
    if (r == 0)
        r = group_spawn(&g, "analytics", ask_rest, a);
    int waited = group_wait(&g, clock_now() + 60 * NS_PER_S);
    return r < 0 ? r : waited;
}

/* --- the reply --- */

static void put_quantiles(struct buf *b, const int64_t *counts)
{
    static const struct {
        const char *name;
        double q;
    } all[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}};

    put_open(b, "latency_ms", '{');
    for (unsigned i = 0; i < ARRAY_LEN(all); i++) {
        int64_t us = sums_quantile(counts, all[i].q);
        put_name(b, all[i].name);
        buf_printf(b, "%lld.%03lld", (long long)(us / 1000), (long long)(us % 1000));
    }
    put_close(b, '}');
}

static void put_total(struct buf *b, const struct usage_total *t)
{
    put_int(b, "calls", t->calls);
    put_int(b, "errors", t->errors);
    put_share(b, "error_rate", t->errors, t->calls);
    put_int(b, "streamed", t->streamed);
    put_int(b, "prompt_tokens", t->in);
    put_int(b, "completion_tokens", t->out);
    put_int(b, "total_tokens", t->in + t->out);
    put_int(b, "cached_tokens", t->cache_read);
    put_int(b, "cache_hits", t->cache_hits);
    put_share(b, "cache_hit_rate", t->cache_hits, t->calls);
    put_money(b, "cost_usd", t->cost);
    put_int(b, "unpriced_calls", t->unpriced);
    put_quantiles(b, t->at_latency);
    put_share(b, "avg_latency_ms", t->latency_us, t->calls * 1000);
}

static void put_groups(
    struct buf *b, const char *name, struct usage_groups *g, unsigned most, bool named)
{
    unsigned shown = 0;

    put_open(b, name, '[');
    for (unsigned i = 0; i < g->n && shown < most; i++) {
        if (named && !g->at[i].value.n)
            continue; /* calls of nobody are no top user */
        put_open(b, NULL, '{');
        put_str_or_null(b, "value", g->at[i].value);
        put_total(b, &g->at[i].total);
        put_close(b, '}');
        shown++;
    }
    put_close(b, ']');
}

static void put_series(struct buf *b, const struct answer *a)
{
    put_open(b, "series", '[');
    for (unsigned i = 0; i < a->series_n; i++) {
        put_open(b, NULL, '{');
        put_time(b, "at", a->q.from + i * step_of(a));
        put_total(b, &a->series[i]);
        put_close(b, '}');
    }
    put_close(b, ']');
}

static void put_trend(struct buf *b, const struct answer *a)
{
    put_open(b, "trend_30d", '[');
    for (unsigned i = 0; i < TREND; i++) {
        const struct usage_day *d = &a->trend[i];
        put_open(b, NULL, '{');
        put_time(b, "at", a->days.from + i * DAY_NS);
        put_int(b, "calls", d->calls);
        put_int(b, "errors", d->errors);
        put_int(b, "total_tokens", d->in + d->out);
        put_money(b, "cost_usd", d->cost);
        put_close(b, '}');
    }
    put_close(b, ']');
}

static struct usage_groups *groups_of(struct answer *a)
{
    switch (a->group) {
    case GROUP_PROVIDER:
        return &a->providers;
    case GROUP_MODEL:
        return &a->models;
    case GROUP_STATUS:
        return &a->statuses;
    case GROUP_USER:
        return &a->users;
    default:
        return &a->groups;
    }
}

static void put_answer(struct answer *a)
{
    struct buf *b = &a->c->out;

    put_open(b, NULL, '{');
    put_time(b, "from", a->q.from);
    put_time(b, "to", a->q.until);
    put_str(b, "interval", a->q.by_day ? STR("day") : STR("hour"));
    put_open(b, "totals", '{');
    put_total(b, &a->total);
    put_close(b, '}');
    put_series(b, a);
    put_str(b, "group_by", str_of(group_words[a->group]));
    put_groups(b, "groups", groups_of(a), a->top, false);
    put_groups(b, "cost_by_provider", &a->providers, TOP, true);
    put_groups(b, "top_models", &a->models, TOP, true);
    put_groups(b, "top_users", &a->users, TOP, true);
    put_groups(b, "by_status", &a->statuses, TOP, false);
    put_share(b, "cache_hit_rate", a->total.cache_hits, a->total.calls);
    put_trend(b, a);
    put_close(b, '}');
}

/* --- the call --- */

static void confine(struct admin_call *c, struct answer *a)
{
    struct analytics_query *q = &a->q;
    struct str user, key;

    q->org = admin_own_org(c);
    admin_own_user(c, &user, &key);
    q->key = key;
    q->user = key.n ? STR_NONE : user;
    a->nothing = (c->who.role == ROLE_ORG_ADMIN && !q->org.n) ||
                 (c->who.role == ROLE_INTERNAL_USER && !q->user.n && !q->key.n);
}

/* What is asked is in a->q. */
static int begin(struct admin_call *c, struct answer *a, enum analytics_group group, unsigned top)
{
    a->c = c;
    a->group = group;
    a->top = top;
    confine(c, a);
    a->series_n = (unsigned)((a->q.until - a->q.from) / step_of(a));
    a->series = arena_zalloc(&c->arena, a->series_n * sizeof *a->series);
    a->days = a->q;
    a->days.by_day = true;
    a->days.until = rounded_up(clock_wall() + 1, DAY_NS);
    a->days.from = a->days.until - TREND * DAY_NS;
    return a->series ? 0 : -ENOMEM;
}

static int answer(struct admin_call *c, struct answer *a)
{
    struct usage_groups *const all[] = {
        &a->providers, &a->models, &a->statuses, &a->users, &a->groups};
    int r;

    for (unsigned i = 0; i < ARRAY_LEN(all); i++)
        usage_groups_init(all[i], &c->arena);
    r = a->nothing ? 0 : ask_all(a);
    for (unsigned i = 0; i < ARRAY_LEN(all); i++)
        usage_groups_sort(all[i]);
    if (r == 0)
        put_answer(a);
    for (unsigned i = 0; i < ARRAY_LEN(all); i++)
        usage_groups_free(all[i]);
    if (r < 0)
        return admin_store_fail(c, r,
            a->err[0][0]   ? a->err[0]
            : a->err[1][0] ? a->err[1]
                           : a->err[2]);
    return 0;
}

static int analytics(struct admin_call *c)
{
    const struct asked *asked = c->query;
    struct answer *a = arena_new(&c->arena, struct answer);

    if (!c->env->store)
        return admin_store_fail(c, -EHOSTDOWN, NULL);
    int r = a ? read_query(c, asked, &a->q) : -ENOMEM;
    if (r == 0)
        r = begin(c, a,
            admin_asked(c, "group_by") ? (enum analytics_group)asked->group : GROUP_PROVIDER,
            asked->top ? (unsigned)asked->top : GROUPS);
    return r < 0 ? r : answer(c, a);
}

static int analytics_of_dates(struct admin_call *c)
{
    struct answer *a = arena_new(&c->arena, struct answer);

    if (!c->env->store)
        return admin_store_fail(c, -EHOSTDOWN, NULL);
    int r = a ? read_dates(c, c->query, &a->q) : -ENOMEM;
    if (r == 0)
        r = begin(c, a, GROUP_MODEL, GROUPS);
    return r < 0 ? r : answer(c, a);
}

static const struct admin_row rows[] = {
    {.method = HTTP_GET,
        .path = "/api/analytics",
        .may = MAY_SIGNED_IN,
        .scope = SCOPE_OWN,
        .handle = analytics,
        .query = &query,
        .name = "analytics",
        .tag = "Logs",
        .summary = "What calls cost and did, over time and by who made them"},
    {.method = HTTP_GET,
        .path = "/api/hybrid/analytics",
        .may = MAY_SIGNED_IN,
        .scope = SCOPE_OWN,
        .handle = analytics_of_dates,
        .query = &dates_query,
        .name = "analytics",
        .tag = "Logs",
        .summary = "The same by model, between two dates, as the SDK's bridge asks for it"},
};
ADMIN_ROWS(admin_analytics_rows, rows);
