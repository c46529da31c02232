/* Reading the sums. See ledger/analytics.h. */
#include "ledger/analytics.h"

#include "base/macros.h"

#include <errno.h>
#include <stdlib.h>

/* --- numbers --- */

#define SUMS                                                                                       \
    "SUM(calls), SUM(errors), SUM(streamed), SUM(cache_hits), SUM(tokens_in), SUM(tokens_out), "   \
    "SUM(cache_read), SUM(cost), SUM(unpriced), SUM(latency_us), SUM(l0), SUM(l1), SUM(l2), "      \
    "SUM(l3), SUM(l4), SUM(l5), SUM(l6), SUM(l7), SUM(l8), SUM(l9), SUM(l10), SUM(l11), "          \
    "SUM(l12), SUM(l13), SUM(l14), SUM(l15)"

static void read_total(
    const struct store_rows *rows, unsigned row, unsigned column, struct usage_total *t)
{
    int64_t *const to[] = {&t->calls, &t->errors, &t->streamed, &t->cache_hits, &t->in, &t->out,
        &t->cache_read, &t->cost, &t->unpriced, &t->latency_us};

    for (unsigned i = 0; i < ARRAY_LEN(to); i++)
        *to[i] = store_cell_int(rows, row, column + i);
    for (unsigned i = 0; i < SUMS_LATENCIES; i++)
        t->at_latency[i] = store_cell_int(rows, row, column + ARRAY_LEN(to) + i);
}

/* --- which rows --- */

/*
 * The texts are few and constant, so that the databases keep them prepared. Everybody's and an
 * organisation's sums come from a part of the totals; those of a key or user from usage_hourly,
 * where one key has few rows.
 */
enum confined { TO_NOTHING, TO_ORG, TO_USER, TO_KEY, CONFINED_N };

static enum confined confined_to(const struct analytics_query *q)
{
    return q->key.n ? TO_KEY : q->user.n ? TO_USER : q->org.n ? TO_ORG : TO_NOTHING;
}

static unsigned params_of(const struct analytics_query *q, struct store_value v[static 3])
{
    v[0] = store_int(q->from);
    v[1] = store_int(q->until);
    v[2] = store_text(q->key.n ? q->key : q->user.n ? q->user : q->org);
    return confined_to(q) == TO_NOTHING ? 2 : 3;
}

#define SPAN "at >= ?1 AND at < ?2"
#define DAY  "at - at % 86400000000000"
/* What of a part of the totals, for everybody and for an organisation; and for a user and a key. */
#define TOTALS(by, what, part, rest)                                                               \
    "SELECT " what " FROM totals_" by " WHERE part = '" part "' AND " SPAN rest,                   \
        "SELECT " what " FROM totals_" by " WHERE part = '" part "' AND " SPAN                     \
        " AND org_id = ?3" rest
#define OWN(what, rest)                                                                            \
    "SELECT " what " FROM usage_hourly WHERE " SPAN " AND user_id = ?3" rest,                      \
        "SELECT " what " FROM usage_hourly WHERE " SPAN " AND key_id = ?3" rest

/* --- by time, provider, model and status --- */

#define BY_CELL " GROUP BY at, value, model, status"
#define OWN_CELL(at)                                                                               \
    OWN(at ", provider, model, status, " SUMS, " GROUP BY " at ", provider, model, status")

int analytics_cells(struct store *s, const struct analytics_query *q,
    int (*fn)(void *ctx, const struct usage_row *row), void *ctx, char *err)
{
    static const char *const sql[2][CONFINED_N] = {
        {TOTALS("hourly", "at, value, model, status, " SUMS, "p", BY_CELL), OWN_CELL("at")},
        {TOTALS("daily", "at, value, model, status, " SUMS, "p", BY_CELL), OWN_CELL(DAY)},
    };
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    struct store_value v[3];
    unsigned n = params_of(q, v);
    int r = store_query(s, sql[q->by_day][confined_to(q)], v, n, &rows, err);

    for (unsigned i = 0; r == 0 && i < store_rows_n(rows); i++) {
        struct usage_row row = {.at = store_cell_int(rows, i, 0),
            .provider = store_cell_str(rows, i, 1),
            .model = store_cell_str(rows, i, 2),
            .status = store_cell_int(rows, i, 3)};
        read_total(rows, i, 4, &row.total);
        r = fn(ctx, &row);
    }
    return r;
}

/* --- by another column --- */

#define ALL_OF(by, value, part) TOTALS(by, value ", " SUMS, part, " GROUP BY " value)

/* Of the many the dearest, found by their cost alone, as adding up all numbers takes longer. */
#define WHICH(by, part, org, limit)                                                                \
    " FROM totals_" by " WHERE part = '" part "' AND " SPAN org                                    \
    " GROUP BY value ORDER BY SUM(cost) DESC, SUM(calls) DESC LIMIT " limit
#define FEW(by, part, org, limit)                                                                  \
    "SELECT value, " SUMS " FROM totals_" by " WHERE part = '" part "' AND " SPAN org              \
    " AND value IN (SELECT value" WHICH(by, part, org, limit) ") GROUP BY value"
#define MANY(part, own)                                                                            \
    {                                                                                              \
        {FEW("hourly", part, "", "?3"), FEW("hourly", part, " AND org_id = ?3", "?4"), own},       \
        {                                                                                          \
            FEW("daily", part, "", "?3"), FEW("daily", part, " AND org_id = ?3", "?4"), own        \
        }                                                                                          \
    }
#define SOME(part, value, own)                                                                     \
    {                                                                                              \
        {ALL_OF("hourly", value, part), own},                                                      \
        {                                                                                          \
            ALL_OF("daily", value, part), own                                                      \
        }                                                                                          \
    }
#define OWN_BY(column) OWN(column ", " SUMS, " GROUP BY " column)

static const char *sql_of(enum analytics_group by, const struct analytics_query *q)
{
    static const char *const all[GROUPS_N][2][CONFINED_N] = {
        [GROUP_KEY] = MANY("k", OWN_BY("key_id")),
        [GROUP_USER] = MANY("u", OWN_BY("user_id")),
        [GROUP_CUSTOMER] = MANY("c", NULL), /* of one user or key they are not known */
        [GROUP_TEAM] = SOME("g", "value", OWN_BY("team_id")),
        [GROUP_ORG] = SOME("p", "org_id", OWN_BY("org_id")),
        [GROUP_TAG] = SOME("t", "value", OWN_BY("tags")),
        [GROUP_ENDPOINT] = SOME("n", "value", OWN_BY("endpoint")),
    };

    return all[by][q->by_day][confined_to(q)];
}

static bool asks_for_few(enum analytics_group by, const struct analytics_query *q)
{
    return (by == GROUP_KEY || by == GROUP_USER || by == GROUP_CUSTOMER) &&
           confined_to(q) <= TO_ORG;
}

int analytics_groups(struct store *s, const struct analytics_query *q, enum analytics_group by,
    unsigned dearest, struct usage_groups *to, char *err)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    const char *sql = sql_of(by, q);
    struct store_value v[4];
    unsigned n = params_of(q, v);
    int r = 0;

    if (asks_for_few(by, q))
        v[n++] = store_int(dearest);
    if (sql)
        r = store_query(s, sql, v, n, &rows, err);
    for (unsigned i = 0; sql && r == 0 && i < store_rows_n(rows); i++) {
        struct str value = store_cell_str(rows, i, 0);
        struct usage_total total;
        read_total(rows, i, 1, &total);
        do
            r = usage_groups_add(to, by == GROUP_TAG ? str_split(&value, ',') : value, &total);
        while (r == 0 && by == GROUP_TAG && value.p);
    }
    return r;
}

/* --- groups --- */

void usage_groups_init(struct usage_groups *g, struct arena *a)
{
    *g = (struct usage_groups){.arena = a};
    map_init(&g->by_name);
}

void usage_groups_free(struct usage_groups *g)
{
    map_free(&g->by_name);
    free(g->at);
}

static int add_group(struct usage_groups *g, struct str name, const struct usage_total *t)
{
    struct str own = name.n ? arena_dup(g->arena, name) : STR("");

    if (g->n == g->cap) {
        unsigned cap = g->cap ? 2 * g->cap : 64;
        struct usage_group *more = realloc(g->at, cap * sizeof *more);
        if (!more)
            return -ENOMEM;
        g->at = more;
        g->cap = cap;
    }
    if (!own.p)
        return -ENOMEM;
    g->at[g->n++] = (struct usage_group){.value = own, .total = *t};
    return map_put(&g->by_name, own, (void *)(uintptr_t)g->n, NULL);
}

int usage_groups_add(struct usage_groups *g, struct str name, const struct usage_total *t)
{
    uintptr_t known = (uintptr_t)map_get(&g->by_name, name);

    if (!known)
        return add_group(g, name, t);
    usage_total_add(&g->at[known - 1].total, t);
    return 0;
}

static int compare(const void *a, const void *b)
{
    const struct usage_group *x = a, *y = b;

    if (x->total.cost != y->total.cost)
        return x->total.cost < y->total.cost ? 1 : -1;
    if (x->total.calls != y->total.calls)
        return x->total.calls < y->total.calls ? 1 : -1;
    int c = memcmp(x->value.p, y->value.p, MIN(x->value.n, y->value.n));
    return c ? c : (x->value.n > y->value.n) - (x->value.n < y->value.n);
}

/* Nothing is added any more: the names lead to other places now. */
void usage_groups_sort(struct usage_groups *g)
{
    if (g->n)
        qsort(g->at, g->n, sizeof *g->at, compare);
    map_free(&g->by_name);
}

/* --- days --- */

#define DAY_SUMS "SUM(calls), SUM(errors), SUM(tokens_in), SUM(tokens_out), SUM(cost)"

int analytics_days(struct store *s, const struct analytics_query *q,
    int (*fn)(void *ctx, const struct usage_day *d), void *ctx, char *err)
{
    static const char *const sql[CONFINED_N] = {
        TOTALS("daily", "at, " DAY_SUMS, "p", " GROUP BY at"),
        OWN(DAY ", " DAY_SUMS, " GROUP BY " DAY)};
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    struct store_value v[3];
    unsigned n = params_of(q, v);
    int r = store_query(s, sql[confined_to(q)], v, n, &rows, err);

    for (unsigned i = 0; r == 0 && i < store_rows_n(rows); i++) {
        struct usage_day d = {store_cell_int(rows, i, 0), store_cell_int(rows, i, 1),
            store_cell_int(rows, i, 2), store_cell_int(rows, i, 3), store_cell_int(rows, i, 4),
            store_cell_int(rows, i, 5)};
        r = fn(ctx, &d);
    }
    return r;
}
