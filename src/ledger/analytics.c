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

void usage_total_add(struct usage_total *to, const struct usage_total *t)
{
    to->calls += t->calls;
    to->errors += t->errors;
    to->streamed += t->streamed;
    to->cache_hits += t->cache_hits;
    to->in += t->in;
    to->out += t->out;
    to->cache_read += t->cache_read;
    to->cost += t->cost;
    to->unpriced += t->unpriced;
    to->latency_us += t->latency_us;
    for (unsigned i = 0; i < SUMS_LATENCIES; i++)
        to->at_latency[i] += t->at_latency[i];
}

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

/* The texts are few, so that the databases keep them prepared: whoever is confined to nothing asks
 * with one that says so. */
#define ALL    " WHERE at >= ?1 AND at < ?2 "
#define OF_ORG " WHERE at >= ?1 AND at < ?2 AND org_id = ?3 "
#define OF_ONE                                                                                     \
    " WHERE at >= ?1 AND at < ?2 AND (?3 = '' OR org_id = ?3) AND (?4 = '' OR user_id = ?4) "      \
    "AND (?5 = '' OR key_id = ?5) "

enum confined { TO_NOTHING, TO_ORG, TO_ONE };

static enum confined confined_to(const struct analytics_query *q)
{
    return q->user.n || q->key.n ? TO_ONE : q->org.n ? TO_ORG : TO_NOTHING;
}

static unsigned params_of(const struct analytics_query *q, struct store_value v[static 5])
{
    static const unsigned n[] = {[TO_NOTHING] = 2, [TO_ORG] = 3, [TO_ONE] = 5};

    v[0] = store_int(q->from);
    v[1] = store_int(q->until);
    v[2] = store_text(q->org.n ? q->org : STR(""));
    v[3] = store_text(q->user.n ? q->user : STR(""));
    v[4] = store_text(q->key.n ? q->key : STR(""));
    return n[confined_to(q)];
}

/* --- by time, provider, model and status --- */

#define CELLS(table, where)                                                                        \
    "SELECT at, provider, model, status, " SUMS " FROM " table where                               \
    "GROUP BY at, provider, model, status"
#define TABLES(by)                                                                                 \
    {                                                                                              \
        {by("usage_hourly", ALL), by("usage_hourly", OF_ORG), by("usage_hourly", OF_ONE)},         \
        {                                                                                          \
            by("usage_daily", ALL), by("usage_daily", OF_ORG), by("usage_daily", OF_ONE)           \
        }                                                                                          \
    }

int analytics_cells(struct store *s, const struct analytics_query *q,
    int (*fn)(void *ctx, const struct usage_row *row), void *ctx, char *err)
{
    static const char *const sql[2][3] = TABLES(CELLS);
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    struct store_value v[5];
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

/* Nobody reads more, and customers may be many. */
#define DEAREST "ORDER BY SUM(cost) DESC, SUM(calls) DESC LIMIT 5000"
#define GROUPS(column, table, where)                                                               \
    "SELECT " #column ", " SUMS " FROM " table where "GROUP BY " #column " " DEAREST
#define BY_KEY(t, w)      GROUPS(key_id, t, w)
#define BY_USER(t, w)     GROUPS(user_id, t, w)
#define BY_TEAM(t, w)     GROUPS(team_id, t, w)
#define BY_ORG(t, w)      GROUPS(org_id, t, w)
#define BY_TAGS(t, w)     GROUPS(tags, t, w)
#define BY_ENDPOINT(t, w) GROUPS(endpoint, t, w)
#define BY_CUSTOMER(t, w) GROUPS(customer, t, w)

/* Customers of one user or key are not known. */
static const char *const by_customer[2][3] = {
    {BY_CUSTOMER("customer_hourly", ALL), BY_CUSTOMER("customer_hourly", OF_ORG)},
    {BY_CUSTOMER("customer_daily", ALL), BY_CUSTOMER("customer_daily", OF_ORG)}};

static const char *sql_of(enum analytics_group by, const struct analytics_query *q)
{
    static const char *const keys[2][3] = TABLES(BY_KEY);
    static const char *const users[2][3] = TABLES(BY_USER);
    static const char *const teams[2][3] = TABLES(BY_TEAM);
    static const char *const orgs[2][3] = TABLES(BY_ORG);
    static const char *const tags[2][3] = TABLES(BY_TAGS);
    static const char *const endpoints[2][3] = TABLES(BY_ENDPOINT);
    static const char *const(*const all[GROUPS_N])[3] = {[GROUP_KEY] = keys,
        [GROUP_USER] = users,
        [GROUP_TEAM] = teams,
        [GROUP_ORG] = orgs,
        [GROUP_TAG] = tags,
        [GROUP_ENDPOINT] = endpoints,
        [GROUP_CUSTOMER] = by_customer};

    return all[by] ? all[by][q->by_day][confined_to(q)] : NULL;
}

int analytics_groups(struct store *s, const struct analytics_query *q, enum analytics_group by,
    struct usage_groups *to, char *err)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    const char *sql = sql_of(by, q);
    struct store_value v[5];
    unsigned n = params_of(q, v);
    int r = sql ? store_query(s, sql, v, n, &rows, err) : 0;

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

#define DAYS(table, where)                                                                         \
    "SELECT at, SUM(calls), SUM(errors), SUM(tokens_in), SUM(tokens_out), SUM(cost) FROM " table   \
        where "GROUP BY at ORDER BY at"

int analytics_days(struct store *s, const struct analytics_query *q,
    int (*fn)(void *ctx, const struct usage_day *d), void *ctx, char *err)
{
    static const char *const sql[2][3] = TABLES(DAYS);
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    struct store_value v[5];
    unsigned n = params_of(q, v);
    int r = store_query(s, sql[1][confined_to(q)], v, n, &rows, err);

    for (unsigned i = 0; r == 0 && i < store_rows_n(rows); i++) {
        struct usage_day d = {store_cell_int(rows, i, 0), store_cell_int(rows, i, 1),
            store_cell_int(rows, i, 2), store_cell_int(rows, i, 3), store_cell_int(rows, i, 4),
            store_cell_int(rows, i, 5)};
        r = fn(ctx, &d);
    }
    return r;
}
