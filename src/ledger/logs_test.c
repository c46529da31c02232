/*
 * Lists and analytics against what plain loops over the same calls give: thousands of calls of many
 * kinds, at times that are dense, sparse and in bursts, in several batches.
 */
#include "ledger/analytics.h"
#include "ledger/ledger_test.h"
#include "ledger/logs.h"

#define N    3000
#define BASE (INT64_C(1795219200) * NS_PER_S) /* 2026-11-21 */

struct made_call {
    struct t_call c;
    char id[37], key[16], user[16], customer[16], trace[33];
};
static struct made_call all[N]; /* in the order of their time */

/* Small and the same each time. */
static uint32_t seed_;
static unsigned rnd(unsigned below)
{
    seed_ = seed_ * 1664525u + 1013904223u;
    return (seed_ >> 8) % below;
}

static void make_one(unsigned n, int64_t ts)
{
    static const char *const models[] = {"gpt-4o", "gpt-4o-mini", "claude-opus-4-6", "o3"};
    struct made_call *m = &all[n];
    unsigned model = rnd(4);
    bool failed = rnd(20) == 0;

    snprintf(m->key, sizeof m->key, "key%u", rnd(40));
    snprintf(m->user, sizeof m->user, "user_%u", rnd(15));
    snprintf(m->customer, sizeof m->customer, "c%u", rnd(300));
    if (n % 7 == 0) /* one that began here */
        snprintf(
            m->trace, sizeof m->trace, "%012llx%020u", (unsigned long long)(ts / NS_PER_MS), n);
    else if (n % 7 == 3) /* goes on with one of those, later */
        memcpy(m->trace, all[n - 3].trace, sizeof m->trace);
    else
        snprintf(m->trace, sizeof m->trace, "t%u", n);
    t_id(m->id, ts, n);
    m->c = (struct t_call){.id = m->id,
        .key = m->key,
        .user = m->user,
        .team = rnd(2) ? "team_1" : "team_2",
        .org = rnd(10) ? "org_1" : "org_2",
        .customer = rnd(3) ? "" : m->customer,
        .provider = model == 2 ? "anthropic" : "openai",
        .model = models[model],
        .model_asked = rnd(200) ? "" : "alias",
        .endpoint = rnd(500) ? "chat" : "embeddings",
        .outcome = failed     ? "upstream_error"
                   : rnd(300) ? "ok"
                              : "cancelled",
        .error = failed ? (rnd(30) ? "rate_limited" : "odd_error") : "",
        .trace = rnd(10) && n % 7 && n % 7 != 3 ? "" : m->trace,
        .tags = {rnd(2) ? "prod" : "dev%_x", rnd(1000) ? NULL : "rare"},
        .ts = ts,
        .status = failed ? 429 : 200,
        .in = rnd(5000),
        .out = rnd(2000),
        .cost = rnd(50)  ? (int64_t)rnd(1000000)
                : rnd(2) ? -1
                         : (int64_t)rnd(1000000000),
        .latency_us = rnd(100) ? (int64_t)rnd(3000000) : (int64_t)rnd(100000000),
        .stream = rnd(50) == 0,
        .cache_read = rnd(4) ? 0 : 7};
}

static void make_calls(void)
{
    int64_t ts = BASE;

    seed_ = 1;
    for (unsigned n = 0; n < N; n++) {
        ts += n % 1000 < 600   ? (int64_t)rnd(200000) * NS_PER_US       /* a burst */
              : n % 1000 < 900 ? (int64_t)rnd(30000) * NS_PER_MS        /* some */
                               : (int64_t)(rnd(3600) + 100) * NS_PER_S; /* hardly any */
        make_one(n, ts);
    }
}

static bool fill(void)
{
    struct projection p;
    bool good = t_projection(&p);

    for (unsigned n = 0; good && n < N; n++) {
        t_outcome(&all[n].c);
        if (n % 97 == 96 || n == N - 1) {
            t_synced(n + 1);
            good = t_project(&p);
        }
    }
    p.finishing = true;
    good = good && t_project(&p);
    projection_close(&p);
    return good;
}

/* --- lists --- */

static bool has_tag(const struct t_call *c, struct str tag)
{
    for (unsigned i = 0; i < ARRAY_LEN(c->tags) && c->tags[i]; i++)
        if (str_eq(str_of(c->tags[i]), tag))
            return true;
    return false;
}

static bool equal(const struct t_call *c, const struct logs_equal *e)
{
    const char *v = "";

    switch (e->column) {
    case FACET_PROVIDER:
        v = c->provider;
        break;
    case FACET_MODEL:
        return str_eq(str_of(c->model), e->value) || str_eq(str_of(c->model_asked), e->value);
    case FACET_KEY:
        v = c->key;
        break;
    case FACET_USER:
        v = c->user;
        break;
    case FACET_TEAM:
        v = c->team;
        break;
    case FACET_ORG:
        v = c->org;
        break;
    case FACET_CUSTOMER:
        v = c->customer;
        break;
    case FACET_OUTCOME:
        v = c->outcome;
        break;
    case FACET_ERROR:
        v = c->error;
        break;
    case FACET_ENDPOINT:
        v = c->endpoint;
        break;
    case FACET_TRACE:
        v = c->trace;
        break;
    case FACET_TAG:
        return has_tag(c, e->value);
    default:
        break;
    }
    return str_eq(str_of(v), e->value);
}

static bool wanted(const struct t_call *c, const struct logs_filter *f)
{
    for (unsigned i = 0; i < f->equal_n; i++)
        if (!equal(c, &f->equal[i]))
            return false;
    return (f->status < 0 || c->status == f->status) &&
           (f->streamed < 0 || c->stream == f->streamed) && (!f->from || c->ts >= f->from) &&
           (!f->until || c->ts < f->until) && (!f->min_cost || c->cost >= f->min_cost) &&
           (!f->min_latency_us || c->latency_us >= f->min_latency_us) &&
           (!f->id_prefix.n || str_starts(str_of(c->id), f->id_prefix));
}

struct walk {
    const struct logs_filter *f;
    unsigned next; /* of all, from the end */
    bool wrong;
    unsigned seen;
};

static int take(void *ctx, const struct log_row *row)
{
    struct walk *w = ctx;

    while (w->next > 0 && !wanted(&all[w->next - 1].c, w->f))
        w->next--;
    const struct t_call *c = w->next ? &all[w->next - 1].c : NULL;
    w->wrong |= !c || !str_eq(row->id, str_of(c->id)) || row->ts != c->ts || row->cost != c->cost ||
                row->tokens_in != c->in || !str_eq(row->key, str_of(c->key)) ||
                row->latency_us != c->latency_us || row->status != c->status;
    w->seen++;
    w->next -= w->next > 0;
    return 0;
}

/* All pages of a list: exactly what is wanted, in order. */
static bool check_list(const struct logs_filter *f, unsigned limit, unsigned *ret_seen)
{
    struct walk w = {.f = f, .next = N};
    struct logs_at at = {0};
    char err[STORE_ERR_BYTES] = "";
    struct arena a;
    bool more = true;
    int r = 0;

    arena_init(&a, NULL, 0, (size_t)64 << 20);
    for (unsigned page = 0; r == 0 && more && page < 10000; page++)
        r = logs_list(T.store, f, limit, page ? &at : NULL, &a, take, &w, &at, &more, err);
    arena_free(&a);
    while (w.next > 0 && !wanted(&all[w.next - 1].c, f))
        w.next--;
    *ret_seen = w.seen;
    if (r < 0 || w.wrong || w.next || more)
        fprintf(stderr, "# %d %s; wrong %d, %u not seen, more %d\n", r, err, w.wrong, w.next, more);
    return r == 0 && !w.wrong && w.next == 0 && !more;
}

static struct logs_filter by(enum facet_column column, const char *value)
{
    struct logs_filter f;

    logs_filter_init(&f);
    must(logs_filter_add(&f, column, str_of(value)));
    return f;
}

static void check_one(enum facet_column column, const char *value, bool any)
{
    struct logs_filter f = by(column, value);
    unsigned seen;

    for (unsigned limit = 7; limit <= 500; limit *= 60)
        if (!check_list(&f, limit, &seen) || any != (seen > 0))
            tap_fail(__FILE__, __LINE__, "%c=%s, %u at once: %u rows", column, value, limit, seen);
}

static void lists(void)
{
    struct logs_filter f;
    unsigned seen;

    logs_filter_init(&f);
    CHECK(check_list(&f, 500, &seen));
    CHECK_EQ(seen, N);
    check_one(FACET_PROVIDER, "openai", true);
    check_one(FACET_PROVIDER, "azure", false);
    check_one(FACET_MODEL, "o3", true);
    check_one(FACET_MODEL, "alias", true);
    check_one(FACET_KEY, "key7", true);
    check_one(FACET_USER, "user_3", true);
    check_one(FACET_TEAM, "team_2", true);
    check_one(FACET_ORG, "org_2", true);
    check_one(FACET_CUSTOMER, "c17", true);
    check_one(FACET_OUTCOME, "cancelled", true);
    check_one(FACET_OUTCOME, "unknown", false);
    check_one(FACET_ERROR, "odd_error", true);
    check_one(FACET_ENDPOINT, "embeddings", true);
    check_one(FACET_TAG, "rare", true);
    check_one(FACET_TAG, "dev%_x", true);
    check_one(FACET_TAG, "%", false);
    check_one(FACET_TAG, "prod,rare", false);
    for (unsigned n = 0; n < N; n += 43)
        if (*all[n].c.trace)
            check_one(FACET_TRACE, all[n].c.trace, true);
    check_one(FACET_TRACE, "t0", false);
    check_one(FACET_TRACE, "ffffffffffffffffffffffffffffffff", false);
}

/* Those that began here need none; the others one each, in the order of time. */
static void traces_noted(void)
{
    unsigned others = 0;

    for (unsigned n = 0; n < N; n++)
        others += *all[n].c.trace && n % 7;
    CHECK_EQ(t_count("SELECT COUNT(*) FROM log_traces"), others);
    CHECK_EQ(t_count("SELECT COUNT(*) FROM log_slices, log_traces "
                     "WHERE log_slices.facet = log_traces.facet"),
        0);
}

/* What is from before the table of traces is found, too. */
static void traces_of_before(void)
{
    CHECK_EQ(store_exec(T.store, "INSERT INTO log_slices SELECT facet, slice FROM log_traces", NULL,
                 0, NULL, NULL),
        0);
    CHECK_EQ(store_exec(T.store, "DELETE FROM log_traces", NULL, 0, NULL, NULL), 0);
    for (unsigned n = 3; n < N; n += 301)
        if (*all[n].c.trace)
            check_one(FACET_TRACE, all[n].c.trace, true);
}

static void numbers_and_times(void)
{
    static const int64_t costs[] = {1, 500000, 2000000, 12000000, 5000000000};
    static const int64_t latencies[] = {1000, 2999000, 3000001, 9000000, 90000000000};
    struct logs_filter f;
    unsigned seen;

    for (unsigned i = 0; i < 5; i++) {
        logs_filter_init(&f);
        f.min_cost = costs[i];
        CHECK(check_list(&f, 40, &seen));
        CHECK_EQ(seen > 0, i < 4);
        logs_filter_init(&f);
        f.min_latency_us = latencies[i];
        CHECK(check_list(&f, 40, &seen));
        CHECK_EQ(seen > 0, i < 4);
    }
    logs_filter_init(&f);
    f.status = 429;
    CHECK(check_list(&f, 25, &seen) && seen > 50);
    f.status = 500;
    CHECK(check_list(&f, 25, &seen) && seen == 0);
    logs_filter_init(&f);
    f.streamed = 1;
    CHECK(check_list(&f, 10, &seen) && seen > 20);
    f.from = all[1000].c.ts;
    f.until = all[2000].c.ts;
    CHECK(check_list(&f, 10, &seen) && seen > 5);
    logs_filter_init(&f);
    f.from = all[100].c.ts;
    f.until = all[103].c.ts;
    CHECK(check_list(&f, 2, &seen));
    CHECK_EQ(seen, 3);
    f.until = f.from;
    CHECK(check_list(&f, 2, &seen) && seen == 0);
    for (size_t n = 1; n <= 36; n++) {
        logs_filter_init(&f);
        f.id_prefix = str_to(str_of(all[1234].id), n);
        CHECK(check_list(&f, 700, &seen) && seen > 0);
    }
    CHECK_EQ(seen, 1);
}

/* Several filters at once, of which each alone is common. */
static void several_filters(void)
{
    struct logs_filter f;
    unsigned seen;

    for (unsigned i = 0; i < 60; i++) {
        const struct t_call *c = &all[rnd(N)].c;
        logs_filter_init(&f);
        logs_filter_add(&f, FACET_ORG, str_of(c->org));
        if (rnd(2))
            logs_filter_add(&f, FACET_KEY, str_of(c->key));
        if (rnd(2))
            logs_filter_add(&f, FACET_MODEL, str_of(c->model));
        if (rnd(2))
            logs_filter_add(&f, FACET_TAG, str_of(c->tags[0]));
        if (rnd(2))
            f.status = c->status;
        if (rnd(2))
            f.min_latency_us = c->latency_us;
        if (rnd(3) == 0)
            f.from = c->ts - 5 * HOUR;
        CHECK(check_list(&f, 1 + rnd(80), &seen) && seen > 0);
    }
}

static void one_row(void)
{
    struct store_rows *rows = NULL;
    struct log_row row;
    char err[STORE_ERR_BYTES] = "";
    char id[37];

    for (unsigned n = 0; n < N; n += 500) {
        CHECK_EQ(logs_get(T.store, str_of(all[n].id), &rows, &row, err), 1);
        CHECK_STR(row.id, str_of(all[n].id));
        CHECK_EQ(row.ts, all[n].c.ts);
        CHECK_STR(row.node, STR(T_NODE));
        store_rows_free(rows);
    }
    t_id(id, all[7].c.ts, N + 1);
    CHECK_EQ(logs_get(T.store, str_of(id), &rows, &row, err), 0);
    store_rows_free(rows);
    CHECK_EQ(logs_get(T.store, STR("no id"), &rows, &row, err), 0);
    CHECK(!rows);
}

/* --- analytics --- */

struct added {
    struct usage_total total;
    struct usage_groups groups;
    enum analytics_group by;
};

static int add_cell(void *ctx, const struct usage_row *row)
{
    struct added *a = ctx;

    usage_total_add(&a->total, &row->total);
    if (a->by == GROUP_MODEL)
        return usage_groups_add(&a->groups, row->model, &row->total);
    return 0;
}

static int add_step(void *ctx, const struct usage_step *step)
{
    struct added *a = ctx;

    usage_total_add(&a->total, &step->total);
    return 0;
}

static void expect(const struct analytics_query *q,
    bool (*in)(const struct t_call *c, const char *v), const char *v, struct usage_total *t)
{
    *t = (struct usage_total){0};
    for (unsigned n = 0; n < N; n++) {
        const struct t_call *c = &all[n].c;
        if (c->ts < q->from || c->ts >= q->until || (q->org.n && !str_eq(q->org, str_of(c->org))) ||
            (q->user.n && !str_eq(q->user, str_of(c->user))) ||
            (q->key.n && !str_eq(q->key, str_of(c->key))) || (in && !in(c, v)))
            continue;
        t->calls++;
        t->errors += c->status >= 400;
        t->in += c->in;
        t->out += c->out;
        t->cost += MAX(c->cost, 0);
        t->unpriced += c->cost < 0;
        t->cache_hits += c->cache_read > 0;
        t->latency_us += c->latency_us;
    }
}

static bool same(const struct usage_total *a, const struct usage_total *b)
{
    int64_t counted = 0;

    for (unsigned i = 0; i < SUMS_LATENCIES; i++)
        counted += a->at_latency[i];
    return a->calls == b->calls && a->errors == b->errors && a->in == b->in && a->out == b->out &&
           a->cost == b->cost && a->unpriced == b->unpriced && a->cache_hits == b->cache_hits &&
           a->latency_us == b->latency_us && counted == a->calls;
}

static bool of_key(const struct t_call *c, const char *v)
{
    return !strcmp(c->key, v);
}
static bool of_org(const struct t_call *c, const char *v)
{
    return !strcmp(c->org, v);
}
static bool of_customer(const struct t_call *c, const char *v)
{
    return !strcmp(c->customer, v);
}
static bool of_tag(const struct t_call *c, const char *v)
{
    return has_tag(c, str_of(v));
}

static void check_group(const struct analytics_query *q, enum analytics_group by,
    bool (*in)(const struct t_call *c, const char *v), const char *v)
{
    struct usage_groups g;
    struct usage_total want;
    struct arena a;
    char err[STORE_ERR_BYTES] = "";

    arena_init(&a, NULL, 0, (size_t)1 << 20);
    usage_groups_init(&g, &a);
    int r = analytics_groups(T.store, q, by, 1000, &g, err);
    usage_groups_sort(&g);
    expect(q, in, v, &want);
    bool found = false, sorted = true;
    for (unsigned i = 0; i < g.n; i++) {
        sorted &= i == 0 || g.at[i - 1].total.cost >= g.at[i].total.cost;
        found |= str_eq(g.at[i].value, str_of(v)) && same(&g.at[i].total, &want);
    }
    usage_groups_free(&g);
    arena_free(&a);
    if (r < 0 || !sorted || found != (want.calls > 0))
        tap_fail(__FILE__, __LINE__, "group %d %s: %d %s", by, v, r, err);
}

static void check_query(const struct analytics_query *q)
{
    struct added a = {.by = GROUP_PROVIDER};
    struct usage_total want;
    char err[STORE_ERR_BYTES] = "";

    CHECK_EQ(analytics_cells(T.store, q, add_cell, &a, err), 0);
    expect(q, NULL, NULL, &want);
    CHECK(same(&a.total, &want));
    a.total = (struct usage_total){0};
    CHECK_EQ(analytics_series(T.store, q, add_step, &a, err), 0);
    CHECK(same(&a.total, &want));
    check_group(q, GROUP_ORG, of_org, "org_2");
    check_group(q, GROUP_KEY, of_key, "key3");
    check_group(q, GROUP_TAG, of_tag, "prod");
    check_group(q, GROUP_TAG, of_tag, "rare");
    if (!q->user.n && !q->key.n)
        check_group(q, GROUP_CUSTOMER, of_customer, "c5");
}

static void analytics(void)
{
    struct analytics_query q = {.from = BASE, .until = BASE + 100 * DAY, .by_day = true};

    check_query(&q);
    q.by_day = false;
    check_query(&q);
    q.from = BASE + 30 * HOUR;
    q.until = BASE + 60 * HOUR;
    check_query(&q);
    q.org = STR("org_2");
    check_query(&q);
    q.from = BASE;
    q.org = STR_NONE;
    q.user = STR("user_4");
    check_query(&q);
    q.by_day = true; /* whole days, then */
    q.until = BASE + 3 * DAY;
    check_query(&q);
    q.user = STR_NONE;
    q.key = STR("key3");
    check_query(&q);
    q = (struct analytics_query){BASE + DAY, BASE + 3 * DAY, .by_day = true, .org = STR("org_1")};
    check_query(&q);
}

/* Whatever hours, days and weeks a span is made of. */
static void spans(void)
{
    for (unsigned i = 0; i < 40; i++) {
        struct analytics_query q = {.from = BASE + (int64_t)rnd(40 * 24) * HOUR};
        q.until = q.from + (int64_t)(1 + rnd(i % 2 ? 48 : 30 * 24)) * HOUR;
        check_query(&q);
    }
    struct analytics_query q = {.from = BASE + 5 * HOUR, .until = BASE + 100 * DAY, .to_now = true};
    check_query(&q);
}

/* --- without a store --- */

static void test_slices(void)
{
    int64_t from, until;

    for (unsigned w = 0; w < 6; w++) {
        int64_t slice = (BASE / NS_PER_S + 1800) * 8 + w;
        slice_span(slice, &from, &until);
        CHECK_EQ(until, BASE + 1800 * NS_PER_S);
        CHECK_EQ(until % (until - from), 0);
        CHECK(slice_least(from) <= slice);
        CHECK(slice_least(until - 1) <= slice);
        CHECK(slice_most(until) >= slice && slice_most(from + 1) >= slice);
    }
    CHECK(facet_of(FACET_KEY, STR("a")) != facet_of(FACET_USER, STR("a")));
    CHECK_EQ(facet_of(FACET_KEY, STR("key1")), facet_of(FACET_KEY, STR("key1")));
    CHECK(facet_of(FACET_KEY, STR("")) > 1000000);
    CHECK(facet_of_latency(1999) < facet_of_latency(2000));
    CHECK_EQ(facet_of_latency(2000), facet_of_latency(3999));
    CHECK(facet_of_latency(INT64_MAX) < facet_of_cost(0));
    CHECK(facet_of_cost(INT64_MAX) < facet_of_stream(false));
}

static void test_quantiles(void)
{
    int64_t counts[SUMS_LATENCIES] = {0};

    CHECK_EQ(sums_quantile(counts, 0.5), 0);
    counts[3] = 100; /* 4 to 8 ms */
    CHECK_EQ(sums_quantile(counts, 0.5), 6000);
    CHECK_EQ(sums_quantile(counts, 1.0), 8000);
    counts[10] = 1;
    CHECK(sums_quantile(counts, 0.9) < 8000);
    CHECK(sums_quantile(counts, 0.999) > 512000);
}

static void filled(void)
{
    CHECK(fill());
    CHECK_EQ(t_count("SELECT COUNT(*) FROM logs"), N);
}

static void run(enum store_kind kind)
{
    T.kind = kind;
    if (kind == STORE_POSTGRES)
        TAP_RUN(t_server);
    t_begin();
    TAP_RUN(filled);
    TAP_RUN(lists);
    TAP_RUN(numbers_and_times);
    TAP_RUN(several_filters);
    TAP_RUN(one_row);
    TAP_RUN(analytics);
    TAP_RUN(spans);
    TAP_RUN(traces_noted);
    TAP_RUN(traces_of_before);
    t_end();
    if (kind == STORE_POSTGRES)
        pg_server_stop(&T.pg);
}

int main(void)
{
    TAP_RUN(test_slices);
    TAP_RUN(test_quantiles);
    make_calls();
    run(STORE_SQLITE);
    run(STORE_POSTGRES);
    return tap_done();
}
