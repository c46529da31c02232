/* Reading the sums. See ledger/analytics.h. */
#include "ledger/analytics.h"

#include "base/macros.h"

/* --- numbers --- */

#define SUMS                                                                                       \
    "SUM(calls), SUM(errors), SUM(streamed), SUM(cache_hits), SUM(tokens_in), SUM(tokens_out), "   \
    "SUM(cache_read), SUM(cost), SUM(unpriced), SUM(latency_us), SUM(l0), SUM(l1), SUM(l2), "      \
    "SUM(l3), SUM(l4), SUM(l5), SUM(l6), SUM(l7), SUM(l8), SUM(l9), SUM(l10), SUM(l11), "          \
    "SUM(l12), SUM(l13), SUM(l14), SUM(l15)"
/* The same under the columns' own names, to be added up once more. */
#define S(c) "SUM(" #c ") AS " #c
/* clang-format off */
#define NAMED_SUMS                                                                                 \
    S(calls) ", " S(errors) ", " S(streamed) ", " S(cache_hits) ", " S(tokens_in) ", "             \
    S(tokens_out) ", " S(cache_read) ", " S(cost) ", " S(unpriced) ", " S(latency_us) ", "         \
    S(l0) ", " S(l1) ", " S(l2) ", " S(l3) ", " S(l4) ", " S(l5) ", " S(l6) ", " S(l7) ", "        \
    S(l8) ", " S(l9) ", " S(l10) ", " S(l11) ", " S(l12) ", " S(l13) ", " S(l14) ", " S(l15)
/* clang-format on */

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
 * organisation's sums come from a part of the totals, and so do all series; what a key or user did,
 * by another column, from usage_hourly, where one key has few rows.
 */
enum confined { TO_NOTHING, TO_ORG, TO_USER, TO_KEY, CONFINED_N };

static enum confined confined_to(const struct analytics_query *q)
{
    return q->key.n ? TO_KEY : q->user.n ? TO_USER : q->org.n ? TO_ORG : TO_NOTHING;
}

static unsigned whose(const struct analytics_query *q, struct store_value *v)
{
    *v = store_text(q->key.n ? q->key : q->user.n ? q->user : q->org);
    return confined_to(q) != TO_NOTHING;
}

/* ?1 and ?2: the span; ?3: whose. */
static unsigned params_of_span(const struct analytics_query *q, struct store_value v[static 3])
{
    v[0] = store_int(q->from);
    v[1] = store_int(q->until);
    return 2 + whose(q, v + 2);
}

/* ?1 to ?6: the span, cut into hours, whole days, whole weeks, days and hours; ?7: whose. */
static unsigned params_of_pieces(const struct analytics_query *q, struct store_value v[static 7])
{
    int64_t until = q->to_now ? sums_week(q->until + SUMS_WEEK - 1) : q->until;
    int64_t day = MIN(sums_day(q->from + SUMS_DAY - 1), until);
    int64_t last_day = MAX(sums_day(until), day);
    int64_t week = MIN(sums_week(day + SUMS_WEEK - 1), last_day);
    int64_t last_week = MAX(sums_week(last_day), week);
    const int64_t at[] = {q->from, day, week, last_week, last_day, until};

    for (unsigned i = 0; i < ARRAY_LEN(at); i++)
        v[i] = store_int(at[i]);
    return ARRAY_LEN(at) + whose(q, v + ARRAY_LEN(at));
}

#define PIECE(by, from, until, what, part, rest)                                                   \
    "SELECT " what " FROM totals_" by " WHERE part = '" part "' AND at >= " from                   \
    " AND at < " until rest
/* clang-format off */
#define PIECES(what, part, rest)                                                                   \
    "(" PIECE("hourly", "?1", "?2", what, part, rest) " UNION ALL "                                \
    PIECE("daily", "?2", "?3", what, part, rest) " UNION ALL "                                     \
    PIECE("weekly", "?3", "?4", what, part, rest) " UNION ALL "                                    \
    PIECE("daily", "?4", "?5", what, part, rest) " UNION ALL "                                     \
    PIECE("hourly", "?5", "?6", what, part, rest) ") AS pieces"
/* clang-format on */

/* Of a user and a key. */
#define OWN(what, rest)                                                                            \
    "SELECT " what " FROM usage_hourly WHERE at >= ?1 AND at < ?2 AND user_id = ?3" rest,          \
        "SELECT " what " FROM usage_hourly WHERE at >= ?1 AND at < ?2 AND key_id = ?3" rest

/* --- by provider, model and status --- */

#define CELL    "provider, model, status"
#define BY_CELL " GROUP BY value, model, status"
#define CELLS_OF(org)                                                                              \
    "SELECT value, model, status, " SUMS                                                           \
    " FROM " PIECES("value, model, status, " NAMED_SUMS, "p", org BY_CELL) BY_CELL

int analytics_cells(struct store *s, const struct analytics_query *q,
    int (*fn)(void *ctx, const struct usage_row *row), void *ctx, char *err)
{
    static const char *const sql[CONFINED_N] = {
        CELLS_OF(""), CELLS_OF(" AND org_id = ?7"), OWN(CELL ", " SUMS, " GROUP BY " CELL)};
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    struct store_value v[7];
    unsigned n = confined_to(q) <= TO_ORG ? params_of_pieces(q, v) : params_of_span(q, v);
    int r = store_query(s, sql[confined_to(q)], v, n, &rows, err);

    for (unsigned i = 0; r == 0 && i < store_rows_n(rows); i++) {
        struct usage_row row = {.provider = store_cell_str(rows, i, 0),
            .model = store_cell_str(rows, i, 1),
            .status = store_cell_int(rows, i, 2)};
        read_total(rows, i, 3, &row.total);
        r = fn(ctx, &row);
    }
    return r;
}

/* --- over time --- */

/* For everybody, an organisation, a user and a key: each has a part of the totals. */
#define STEPS(by, what)                                                                            \
    {                                                                                              \
        PIECE(by, "?1", "?2", "at, " what, "a", " GROUP BY at"),                                   \
            PIECE(by, "?1", "?2", "at, " what, "a", " AND org_id = ?3 GROUP BY at"),               \
            PIECE(by, "?1", "?2", "at, " what, "u", " AND value = ?3 GROUP BY at"),                \
            PIECE(by, "?1", "?2", "at, " what, "k", " AND value = ?3 GROUP BY at")                 \
    }

int analytics_series(struct store *s, const struct analytics_query *q,
    int (*fn)(void *ctx, const struct usage_step *step), void *ctx, char *err)
{
    static const char *const sql[2][CONFINED_N] = {STEPS("hourly", SUMS), STEPS("daily", SUMS)};
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    struct store_value v[3];
    unsigned n = params_of_span(q, v);
    int r = store_query(s, sql[q->by_day][confined_to(q)], v, n, &rows, err);

    for (unsigned i = 0; r == 0 && i < store_rows_n(rows); i++) {
        struct usage_step step = {.at = store_cell_int(rows, i, 0)};
        read_total(rows, i, 1, &step.total);
        r = fn(ctx, &step);
    }
    return r;
}

#define DAY_SUMS "SUM(calls), SUM(errors), SUM(tokens_in), SUM(tokens_out), SUM(cost)"

int analytics_days(struct store *s, const struct analytics_query *q,
    int (*fn)(void *ctx, const struct usage_day *d), void *ctx, char *err)
{
    static const char *const sql[CONFINED_N] = STEPS("daily", DAY_SUMS);
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    struct store_value v[3];
    unsigned n = params_of_span(q, v);
    int r = store_query(s, sql[confined_to(q)], v, n, &rows, err);

    for (unsigned i = 0; r == 0 && i < store_rows_n(rows); i++) {
        struct usage_day d = {store_cell_int(rows, i, 0), store_cell_int(rows, i, 1),
            store_cell_int(rows, i, 2), store_cell_int(rows, i, 3), store_cell_int(rows, i, 4),
            store_cell_int(rows, i, 5)};
        r = fn(ctx, &d);
    }
    return r;
}

/* --- by another column --- */

#define SOME_OF(column, part, org)                                                                 \
    "SELECT value, " SUMS " FROM " PIECES(                                                         \
        column " AS value, " NAMED_SUMS, part, org " GROUP BY " column) " GROUP BY value"
#define SOME(column, part, own)                                                                    \
    {                                                                                              \
        SOME_OF(column, part, ""), SOME_OF(column, part, " AND org_id = ?7"), own                  \
    }

/* Of the many the dearest, found by their cost alone, as adding up all numbers takes longer. */
/* clang-format off */
#define DEAREST_OF(part, org, limit)                                                               \
    "WITH dearest AS (SELECT value FROM "                                                          \
    PIECES("value, SUM(cost) AS cost, SUM(calls) AS calls", part, org " GROUP BY value")           \
    " GROUP BY value ORDER BY SUM(cost) DESC, SUM(calls) DESC LIMIT " limit ") "                   \
    "SELECT value, " SUMS " FROM "                                                                 \
    PIECES("value, " NAMED_SUMS, part,                                                             \
        org " AND value IN (SELECT value FROM dearest) GROUP BY value") " GROUP BY value"
/* clang-format on */
#define MANY(part, own)                                                                            \
    {                                                                                              \
        DEAREST_OF(part, "", "?7"), DEAREST_OF(part, " AND org_id = ?7", "?8"), own                \
    }
#define OWN_BY(column) OWN(column ", " SUMS, " GROUP BY " column)

static const char *sql_of(enum analytics_group by, const struct analytics_query *q)
{
    static const char *const all[GROUPS_N][CONFINED_N] = {
        [GROUP_KEY] = MANY("k", OWN_BY("key_id")),
        [GROUP_USER] = MANY("u", OWN_BY("user_id")),
        [GROUP_CUSTOMER] = MANY("c", NULL), /* of one user or key they are not known */
        [GROUP_TEAM] = SOME("value", "g", OWN_BY("team_id")),
        [GROUP_ORG] = SOME("org_id", "a", OWN_BY("org_id")),
        [GROUP_TAG] = SOME("value", "t", OWN_BY("tags")),
        [GROUP_ENDPOINT] = SOME("value", "n", OWN_BY("endpoint")),
    };

    return all[by][confined_to(q)];
}

static bool asks_for_few(enum analytics_group by)
{
    return by == GROUP_KEY || by == GROUP_USER || by == GROUP_CUSTOMER;
}

static unsigned params_of_group(const struct analytics_query *q, enum analytics_group by,
    unsigned dearest, struct store_value v[static 8])
{
    if (confined_to(q) > TO_ORG)
        return params_of_span(q, v);
    unsigned n = params_of_pieces(q, v);
    if (asks_for_few(by))
        v[n++] = store_int(dearest);
    return n;
}

int analytics_groups(struct store *s, const struct analytics_query *q, enum analytics_group by,
    unsigned dearest, struct usage_groups *to, char *err)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    const char *sql = sql_of(by, q);
    struct store_value v[8];
    unsigned n = params_of_group(q, by, dearest, v);
    int r = 0;

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
