/* Lists of log rows. See ledger/logs.h. */
#include "ledger/logs.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/macros.h"

#include <errno.h>
#include <stdio.h>

#define PROBE_ROWS  2000 /* the newest, which are looked at without any guide */
#define SLICES_MAX  256  /* of a facet that are asked for at once */
#define TEXT_BYTES  4096
#define PARAMS_MAX  (8 + 2 * LOGS_EQUALS_MAX)
#define MERGED_MOST 8 /* slices that lie side by side, in one scan */

/* --- rows --- */

#define COLUMNS                                                                                    \
    "ts, request_id, node, seq, open_seq, org_id, team_id, user_id, key_id, customer, provider, "  \
    "model, model_asked, endpoint, status, outcome, error, streamed, attempts, tokens_in, "        \
    "tokens_out, cache_read, cache_write, reasoning, cost, charged, latency_us, ttfb_us, "         \
    "upstream_us, tags, trace, req_ref, resp_ref"

static int64_t number(const struct store_rows *r, unsigned row, unsigned column)
{
    const struct store_value *v = store_cell(r, row, column);

    return v->type == STORE_INT ? v->n : -1;
}

static void read_row(const struct store_rows *r, unsigned i, struct log_row *w)
{
    struct str *const texts[] = {&w->org, &w->team, &w->user, &w->key, &w->customer, &w->provider,
        &w->model, &w->model_asked, &w->endpoint};
    int64_t *const numbers[] = {&w->streamed, &w->attempts, &w->tokens_in, &w->tokens_out,
        &w->cache_read, &w->cache_write, &w->reasoning, &w->cost, &w->charged, &w->latency_us,
        &w->ttfb_us, &w->upstream_us};

    w->ts = number(r, i, 0);
    w->id = store_cell_str(r, i, 1);
    w->node = store_cell_str(r, i, 2);
    w->seq = number(r, i, 3);
    w->open_seq = number(r, i, 4);
    for (unsigned k = 0; k < ARRAY_LEN(texts); k++)
        *texts[k] = store_cell_str(r, i, 5 + k);
    w->status = number(r, i, 14);
    w->outcome = store_cell_str(r, i, 15);
    w->error = store_cell_str(r, i, 16);
    for (unsigned k = 0; k < ARRAY_LEN(numbers); k++)
        *numbers[k] = number(r, i, 17 + k);
    w->tags = store_cell_str(r, i, 29);
    w->trace = store_cell_str(r, i, 30);
    w->req_ref = number(r, i, 31);
    w->resp_ref = number(r, i, 32);
}

/* --- filters --- */

static const struct column {
    enum facet_column column;
    const char *name;
} columns[] = {{FACET_PROVIDER, "provider"}, {FACET_MODEL, "model"}, {FACET_KEY, "key_id"},
    {FACET_USER, "user_id"}, {FACET_TEAM, "team_id"}, {FACET_ORG, "org_id"},
    {FACET_CUSTOMER, "customer"}, {FACET_OUTCOME, "outcome"}, {FACET_ERROR, "error"},
    {FACET_ENDPOINT, "endpoint"}, {FACET_TAG, "tags"}, {FACET_TRACE, "trace"}};

void logs_filter_init(struct logs_filter *f)
{
    *f = (struct logs_filter){.status = -1, .streamed = -1};
}

bool logs_filter_add(struct logs_filter *f, enum facet_column column, struct str value)
{
    if (!value.n)
        return true;
    if (f->equal_n == LOGS_EQUALS_MAX)
        return false;
    f->equal[f->equal_n++] = (struct logs_equal){column, value};
    return true;
}

/* --- ids --- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The first 12 digits of an id are its milliseconds; those that are not given may be any. */
static int id_span(struct str id, int64_t *ret_from, int64_t *ret_until)
{
    uint64_t ms = 0, n = 0;

    for (size_t i = 0; i < id.n; i++) {
        int d = hex_digit(id.p[i]);
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (id.n > LOGS_ID_BYTES || dash != (id.p[i] == '-') || (!dash && d < 0))
            return -EINVAL;
        if (!dash && n < 12) {
            ms = ms << 4 | (uint64_t)d;
            n++;
        }
    }
    unsigned open = 4 * (12 - (unsigned)n);
    const uint64_t most = INT64_MAX / NS_PER_MS;
    *ret_from = (int64_t)MIN(ms << open, most) * NS_PER_MS;
    *ret_until = (int64_t)MIN((ms + 1) << open, most) * NS_PER_MS;
    return 0;
}

int logs_time_of_id(struct str id, int64_t *ret_wall)
{
    int64_t until;

    return id.n == LOGS_ID_BYTES ? id_span(id, ret_wall, &until) : -EINVAL;
}

/* --- a scan: rows between two places, in the order of their time --- */

/* "ts <= ?1" follows from the first, but lets PostgreSQL's planner see how few rows it means: else
 * it may read the whole table. */
#define BETWEEN "(ts, request_id) < (?1, ?2) AND ts <= ?1 AND ts >= ?3"

struct query {
    struct str sql;
    struct store_value v[PARAMS_MAX]; /* ?1 … ?4: below this time and id; not below this; limit */
    unsigned n;
};

static unsigned param(struct query *q, struct store_value v)
{
    must(q->n < PARAMS_MAX);
    q->v[q->n] = v;
    return ++q->n;
}

/* The pattern for one of several that are separated by commas. */
static struct str tag_pattern(struct arena *a, struct str tag)
{
    char *out = arena_alloc(a, 2 * tag.n + 4);
    size_t n = 0;

    if (!out)
        return STR_NONE;
    out[n++] = '%';
    out[n++] = ',';
    for (size_t i = 0; i < tag.n; i++) {
        if (memchr("%_\\", tag.p[i], 3))
            out[n++] = '\\';
        out[n++] = tag.p[i];
    }
    out[n++] = ',';
    out[n++] = '%';
    return str_at(out, n);
}

static void add_equal(struct query *q, struct buf *sql, const struct logs_equal *e, struct arena *a)
{
    if (e->column == FACET_TAG && str_chr(e->value, ',') >= 0) { /* no tag has one */
        buf_addstr(sql, STR(" AND 1 = 0"));
    } else if (e->column == FACET_TAG) {
        buf_printf(sql, " AND ',' || tags || ',' LIKE ?%u ESCAPE '\\'",
            param(q, store_text(tag_pattern(a, e->value))));
    }
    if (e->column == FACET_TAG)
        return;
    unsigned at = param(q, store_text(e->value));
    if (e->column == FACET_MODEL)
        buf_printf(sql, " AND (model = ?%u OR model_asked = ?%u)", at, at);
    for (unsigned i = 0; i < ARRAY_LEN(columns); i++)
        if (columns[i].column == e->column && e->column != FACET_MODEL)
            buf_printf(sql, " AND %s = ?%u", columns[i].name, at);
}

static void add_numbers(struct query *q, struct buf *sql, const struct logs_filter *f)
{
    if (f->status >= 0)
        buf_printf(sql, " AND status = ?%u", param(q, store_int(f->status)));
    if (f->streamed >= 0)
        buf_printf(sql, " AND streamed = ?%u", param(q, store_int(f->streamed)));
    if (f->min_cost)
        buf_printf(sql, " AND cost >= ?%u", param(q, store_int(f->min_cost)));
    if (f->min_latency_us)
        buf_printf(sql, " AND latency_us >= ?%u", param(q, store_int(f->min_latency_us)));
    if (f->id_prefix.n) {
        unsigned from = param(q, store_text(f->id_prefix));
        buf_printf(sql, " AND request_id >= ?%u AND request_id < ?%u || 'g'", from, from);
    }
}

/* One text for each set of filters: the databases keep it prepared. */
static int build(struct query *q, const struct logs_filter *f, struct arena *a)
{
    _cleanup_(buf_free) struct buf sql = {0};

    buf_init(&sql, TEXT_BYTES);
    q->n = 4;
    buf_addstr(&sql, STR("SELECT " COLUMNS " FROM logs WHERE " BETWEEN));
    for (unsigned i = 0; i < f->equal_n; i++)
        add_equal(q, &sql, &f->equal[i], a);
    add_numbers(q, &sql, f);
    buf_addstr(&sql, STR(" ORDER BY ts DESC, request_id DESC LIMIT ?4"));
    buf_addc(&sql, '\0');
    q->sql = arena_dup(a, buf_str(&sql));
    return sql.err || !q->sql.p ? -ENOMEM : 0;
}

struct listing {
    struct store *store;
    const struct logs_filter *filter;
    struct query query;
    struct arena *arena;
    logs_row_fn *fn;
    void *ctx;
    unsigned left;
    int64_t from;      /* of the filter */
    struct logs_at at; /* rows from here on were not looked at */
    bool end;          /* all were */
    int64_t deadline;
    char *err;
};

static int move_to(struct listing *l, int64_t ts, struct str id)
{
    l->at = (struct logs_at){ts, arena_dup(l->arena, id.n ? id : STR(""))};
    return l->at.id.p ? 0 : -ENOMEM;
}

/* Rows at and above from, up to where the listing stands. */
static int scan(struct listing *l, int64_t from)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    struct query *q = &l->query;
    struct log_row row;

    q->v[0] = store_int(l->at.ts);
    q->v[1] = store_text(l->at.id);
    q->v[2] = store_int(MAX(from, l->from));
    q->v[3] = store_int((int64_t)l->left + 1);
    int r = store_query(l->store, q->sql.p, q->v, q->n, &rows, l->err);
    if (r < 0)
        return r;
    unsigned n = MIN(store_rows_n(rows), l->left);
    bool more = store_rows_n(rows) > l->left;
    for (unsigned i = 0; r == 0 && i < n; i++) {
        read_row(rows, i, &row);
        r = l->fn(l->ctx, &row);
    }
    if (r < 0)
        return r;
    l->left -= n;
    l->end = !more && from <= l->from;
    return more && n ? move_to(l, row.ts, row.id) : move_to(l, MAX(from, l->from), STR_NONE);
}

/* Where a few thousand rows below this place begin; l->from where there are not so many. */
static int probe(struct listing *l, int64_t *ret)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    const struct store_value v[] = {
        store_int(l->at.ts), store_text(l->at.id), store_int(l->from), store_int(PROBE_ROWS)};
    int r = store_query(l->store,
        "SELECT ts FROM logs WHERE " BETWEEN " ORDER BY ts DESC, request_id DESC LIMIT 1 OFFSET ?4",
        v, ARRAY_LEN(v), &rows, l->err);

    *ret = r == 0 && store_rows_n(rows) ? store_cell_int(rows, 0, 0) : l->from;
    return r;
}

/* --- slices --- */

#define FACETS_MAX (LOGS_EQUALS_MAX + 4)

struct facet {
    int64_t number;
    struct str trace; /* of a trace: its id */
};

static struct facet plain(int64_t number)
{
    return (struct facet){.number = number};
}

static unsigned facets_of(const struct logs_filter *f, struct facet out[static FACETS_MAX])
{
    char status[24];
    unsigned n = 0;

    for (unsigned i = 0; i < f->equal_n; i++, n++) {
        const struct logs_equal *e = &f->equal[i];
        out[n] = plain(facet_of(e->column, e->value));
        if (e->column == FACET_TRACE)
            out[n].trace = e->value;
    }
    if (f->status >= 0) {
        snprintf(status, sizeof status, "%lld", (long long)f->status);
        out[n++] = plain(facet_of(FACET_STATUS, str_of(status)));
    }
    if (f->streamed >= 0)
        out[n++] = plain(facet_of_stream(f->streamed));
    if (f->min_cost)
        out[n++] = plain(facet_of_cost(f->min_cost));
    if (f->min_latency_us)
        out[n++] = plain(facet_of_latency(f->min_latency_us));
    return n;
}

#define BEGINS_BELOW                                                                               \
    "slice / 8 - CASE slice % 8 WHEN 0 THEN 900 WHEN 1 THEN 300 WHEN 2 THEN 60 WHEN 3 THEN 20 "    \
    "WHEN 4 THEN 4 ELSE 1 END <= ?5 ORDER BY slice DESC LIMIT ?4"

/* Down from slice to slice, of which each is asked; the one that the id names; what is from before
 * log_traces. */
#define SLICES_OF_TRACE                                                                            \
    "WITH RECURSIVE step(slice) AS (SELECT MAX(slice) FROM log_traces WHERE slice <= ?2 "          \
    "UNION ALL SELECT (SELECT MAX(t.slice) FROM log_traces t WHERE t.slice < step.slice AND "      \
    "t.slice >= ?3) FROM step WHERE step.slice IS NOT NULL), found(slice) AS ("                    \
    "SELECT slice FROM step WHERE EXISTS (SELECT 1 FROM log_traces t WHERE "                       \
    "t.slice = step.slice AND t.facet = ?1) "                                                      \
    "UNION SELECT slice FROM log_slices WHERE facet = ?1 UNION SELECT CAST(?6 AS INTEGER)) "       \
    "SELECT slice FROM found WHERE slice <= ?2 AND slice >= ?3 AND " BEGINS_BELOW

/* The newest slices of a facet that begin below where the listing stands. */
static int slices_of(struct listing *l, const struct facet *f, struct store_rows **ret)
{
    int64_t began;
    const struct store_value v[] = {store_int(f->number), store_int(slice_most(l->at.ts)),
        store_int(slice_least(l->from)), store_int(SLICES_MAX),
        store_int((l->at.ts - 1) / NS_PER_S),
        store_int(f->trace.n && facet_trace_time(f->trace, &began) ? slice_around(began) : -1)};

    return store_query(l->store,
        f->trace.n ? SLICES_OF_TRACE
                   : "SELECT slice FROM log_slices WHERE facet = ?1 AND slice <= ?2 AND "
                     "slice >= ?3 AND " BEGINS_BELOW,
        v, f->trace.n ? 6 : 5, ret, l->err);
}

/* Of all filters' slices those of the rarest. */
static int rarest(struct listing *l, struct store_rows **ret)
{
    struct facet facets[FACETS_MAX];
    unsigned n = facets_of(l->filter, facets);
    int r = 0;

    *ret = NULL;
    for (unsigned i = 0; i < n && r == 0; i++) {
        struct store_rows *rows = NULL;
        r = slices_of(l, &facets[i], &rows);
        if (r == 0 && (!*ret || store_rows_n(rows) < store_rows_n(*ret))) {
            store_rows_free(*ret);
            *ret = rows;
        } else {
            store_rows_free(rows);
        }
    }
    return r;
}

/* Nothing that is looked for lies between here and that instant. */
static int skip_to(struct listing *l, int64_t until)
{
    return until < l->at.ts ? move_to(l, until, STR_NONE) : 0;
}

static bool is_over(const struct listing *l)
{
    return l->end || !l->left || clock_now() >= l->deadline;
}

static int scan_slices(struct listing *l, const struct store_rows *rows)
{
    unsigned n = store_rows_n(rows);
    int r = 0;

    for (unsigned i = 0; i < n && r == 0 && !is_over(l);) {
        int64_t from, until, lower, next;
        slice_span(store_cell_int(rows, i++, 0), &from, &until);
        for (unsigned k = 1; i < n && k < MERGED_MOST; k++, i++) {
            slice_span(store_cell_int(rows, i, 0), &lower, &next);
            if (next < from)
                break;
            from = MIN(from, lower);
        }
        r = skip_to(l, until);
        if (r == 0 && from < l->at.ts)
            r = scan(l, from);
    }
    if (r == 0 && n < SLICES_MAX && !is_over(l))
        l->end = true; /* no further slice has it */
    return r;
}

static int list_by_slices(struct listing *l)
{
    int r = 0;

    while (r == 0 && !is_over(l)) {
        struct store_rows *rows = NULL;
        r = rarest(l, &rows);
        if (r == 0)
            r = scan_slices(l, rows);
        store_rows_free(rows);
    }
    return r;
}

/* --- the list --- */

static void bounds(const struct logs_filter *f, int64_t *ret_from, int64_t *ret_until)
{
    int64_t from, until;

    *ret_from = f->from;
    *ret_until = f->until ? f->until : INT64_MAX;
    if (f->id_prefix.n && id_span(f->id_prefix, &from, &until) == 0) {
        *ret_from = MAX(*ret_from, from);
        *ret_until = MIN(*ret_until, until);
    }
}

static bool has_facets(const struct logs_filter *f)
{
    return f->equal_n || f->status >= 0 || f->streamed >= 0 || f->min_cost || f->min_latency_us;
}

/* The newest few thousand rows first: what is common is found there, and what is too new to be in
 * any slice. */
static int run(struct listing *l)
{
    int64_t newest = l->from;
    int r = has_facets(l->filter) ? probe(l, &newest) : 0;

    if (r == 0)
        r = scan(l, newest);
    return r == 0 && !is_over(l) ? list_by_slices(l) : r;
}

int logs_list(struct store *s, const struct logs_filter *f, unsigned limit,
    const struct logs_at *at, struct arena *a, logs_row_fn *fn, void *ctx, struct logs_at *ret_at,
    bool *ret_more, char *err)
{
    struct listing l = {.store = s,
        .filter = f,
        .arena = a,
        .fn = fn,
        .ctx = ctx,
        .left = limit,
        .deadline = clock_now() + LOGS_SCAN_NS,
        .err = err};
    int64_t until;
    int r = build(&l.query, f, a);

    *ret_more = false;
    bounds(f, &l.from, &until);
    if (r == 0)
        r = at && at->ts < until ? move_to(&l, at->ts, at->id) : move_to(&l, until, STR_NONE);
    if (r < 0 || l.at.ts < l.from)
        return r;
    r = run(&l);
    *ret_at = l.at;
    *ret_more = r == 0 && !l.end;
    return r;
}

int logs_get(
    struct store *s, struct str id, struct store_rows **ret_rows, struct log_row *ret, char *err)
{
    int64_t ms;

    *ret_rows = NULL;
    if (logs_time_of_id(id, &ms) < 0 || ms > INT64_MAX - NS_PER_MS) /* no call is that young */
        return 0;
    const struct store_value v[] = {store_int(ms), store_int(ms + NS_PER_MS), store_text(id)};
    int r = store_query(s,
        "SELECT " COLUMNS " FROM logs WHERE ts >= ?1 AND ts < ?2 AND request_id = ?3", v, 3,
        ret_rows, err);
    if (r < 0 || !store_rows_n(*ret_rows))
        return r;
    read_row(*ret_rows, 0, ret);
    return 1;
}
