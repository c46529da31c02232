/*
 * From entries to rows. A batch of entries becomes one transaction: log rows, sums, what subjects
 * spent, which calls are open, and the position up to which all this is so. The position's update
 * expects the old one, so that a batch whose fate is unknown (the database went away in the middle)
 * is simply tried again: when it was done, nothing happens.
 *
 * Sums have a position of their own, at or behind that of the rows: where there are many of them,
 * they are put every few seconds instead of with each batch, as most would change again and again.
 * After a restart the entries between the two positions are read for the sums alone.
 */
#include "base/clock.h"
#include "ledger/ledger_int.h"

#include <errno.h>
#include <stdlib.h>

#define BATCH_ENTRIES 4000
#define BATCH_BYTES   ((size_t)64 << 20)
#define ENOUGH_BYTES  ((size_t)16 << 20) /* a batch takes no further entry beyond it */
#define FEW_SUMS      64 /* are put with each batch; more of them are gathered for a while */
#define SUMS_NS       (5 * NS_PER_S)
#define MANY_SUMS     50000

/* --- open calls --- */

static int open_put(
    struct projection *p, struct str payload, struct str id, uint64_t seq, bool stored)
{
    struct open_call *o = malloc(sizeof *o + payload.n), *old = NULL;

    if (!o)
        return -ENOMEM;
    memcpy(o->text, payload.p, payload.n);
    o->payload = str_at(o->text, payload.n);
    o->id = str_at(o->text + (id.p - payload.p), id.n);
    o->seq = seq;
    o->stored = stored;
    o->replaces = false;
    int r = map_put(&p->open, o->id, o, (void **)&old);
    if (r < 0)
        free(o);
    if (old) { /* an earlier attempt of the same call */
        o->seq = old->seq;
        o->replaces = old->stored || old->replaces;
        free(old);
    }
    return r;
}

static int load_open(struct projection *p, char *err)
{
    struct store_rows *rows = NULL;
    const struct store_value node = store_text(p->set.node);
    int r = store_query(
        p->set.store, "SELECT payload, seq FROM ledger_open WHERE node = ?1", &node, 1, &rows, err);

    for (unsigned i = 0; r == 0 && i < store_rows_n(rows); i++) {
        struct str payload = store_cell_str(rows, i, 0), id;
        if (call_entry_is_open(payload, &id))
            r = open_put(p, payload, id, (uint64_t)store_cell_int(rows, i, 1), true);
    }
    store_rows_free(rows);
    return r;
}

static int load_position(struct projection *p, char *err)
{
    struct store_rows *rows = NULL;
    const struct store_value v[] = {store_text(p->set.node), store_int(0)};
    int r = store_exec(p->set.store,
        "INSERT INTO ledger_position (node, seq, sums_seq) VALUES (?1, ?2, ?2) "
        "ON CONFLICT (node) DO NOTHING",
        v, 2, NULL, err);

    if (r == 0)
        r = store_query(p->set.store,
            "SELECT seq, sums_seq, rewound_to, rewound_sums FROM ledger_position WHERE node = ?1",
            v, 1, &rows, err);
    if (r == 0 && store_rows_n(rows) == 1) {
        p->seq = (uint64_t)store_cell_int(rows, 0, 0);
        p->sums_seq = (uint64_t)store_cell_int(rows, 0, 1);
        p->rewound_to = (uint64_t)store_cell_int(rows, 0, 2);
        p->rewound_sums = (uint64_t)store_cell_int(rows, 0, 3);
    }
    store_rows_free(rows);
    return r;
}

int projection_open(struct projection *p, char *err)
{
    map_init(&p->open);
    sums_init(&p->sums);
    facets_init(&p->facets);
    p->sums_at = clock_now();
    int r = load_position(p, err);

    if (r == 0)
        r = load_open(p, err);
    if (r == 0)
        r = journal_reader_open(p->set.journal_dir.p, p->sums_seq + 1, &p->reader);
    p->is_open = r == 0;
    return r;
}

void projection_close(struct projection *p)
{
    struct str id;
    void *o;

    for (size_t at = 0; map_next(&p->open, &at, &id, &o);)
        free(o);
    map_free(&p->open);
    sums_free(&p->sums);
    facets_free(&p->facets);
    journal_reader_close(p->reader);
    store_batch_free(p->pending);
    *p = (struct projection){.set = p->set, .seq = p->seq, .finishing = p->finishing};
}

/* --- statements --- */

static struct store_value known(int64_t n)
{
    return n < 0 ? store_null() : store_int(n);
}

static struct store_value text(struct str s)
{
    return store_text(s.n ? s : STR(""));
}

/* Where a call's outcome and its first entry stand. */
struct taken {
    uint64_t seq, open_seq;
};

#define ROW_COLUMNS                                                                                \
    "ts, request_id, node, seq, open_seq, org_id, team_id, user_id, key_id, customer, provider, "  \
    "model, model_asked, endpoint, status, outcome, error, streamed, attempts, tokens_in, "        \
    "tokens_out, cache_read, cache_write, reasoning, cost, charged, latency_us, ttfb_us, "         \
    "upstream_us, tags, trace, req_ref, resp_ref"
#define ROW_N        33
#define ROWS_AT_ONCE 8

/* Rows that go into one statement: that costs a third less than one each. */
struct row_group {
    struct store_value v[ROWS_AT_ONCE * ROW_N];
    unsigned n;
};

/* For one row and for a group; made once, and then as good as literals. */
static const char *row_sql(unsigned rows)
{
    static char texts[2][ROWS_AT_ONCE * ROW_N * 6 + 1024];
    char *text = texts[rows > 1];
    struct buf b;

    if (text[0])
        return text;
    buf_init(&b, sizeof texts[0]);
    buf_addstr(&b, STR("INSERT INTO logs (" ROW_COLUMNS ") VALUES "));
    for (unsigned i = 0; i < rows * ROW_N; i++)
        buf_printf(&b, "%s?%u", i % ROW_N ? ", " : i ? "), (" : "(", i + 1);
    buf_addstr(&b, STR(") ON CONFLICT (ts, request_id) DO NOTHING"));
    must(!b.err && b.n < sizeof texts[0]);
    memcpy(text, b.p, b.n);
    buf_free(&b);
    return text;
}

static int put_rows(struct row_group *g, struct store_batch *b)
{
    int r = 0;

    if (g->n == ROWS_AT_ONCE)
        r = store_batch_add(b, row_sql(ROWS_AT_ONCE), g->v, ROWS_AT_ONCE * ROW_N, 0);
    else
        for (unsigned i = 0; i < g->n && r == 0; i++)
            r = store_batch_add(b, row_sql(1), g->v + (size_t)i * ROW_N, ROW_N, 0);
    g->n = 0;
    return r;
}

/* The entry's texts go with the next one that is read. */
static struct store_value held(struct arena *a, struct str s)
{
    return store_text(s.n ? arena_dup(a, s) : STR(""));
}

static int put_row(struct projection *p, const struct call_entry *e, const struct taken *t,
    struct row_group *g, struct arena *a, struct store_batch *b)
{
    const struct store_value v[ROW_N] = {store_int(e->ts), held(a, e->id), text(p->set.node),
        store_int((int64_t)t->seq), store_int((int64_t)t->open_seq), held(a, e->org),
        held(a, e->team), held(a, e->user), held(a, e->key), held(a, e->customer),
        held(a, e->provider), held(a, e->model),
        held(a, e->model_asked.n ? e->model_asked : e->model), held(a, e->endpoint),
        store_int(e->status), held(a, e->outcome_word), held(a, e->error), store_int(e->stream),
        store_int(e->attempts), known(e->in), known(e->out), store_int(e->cache_read),
        store_int(e->cache_write), store_int(e->reasoning), known(e->cost), store_int(e->charged),
        store_int(e->latency_us), store_int(e->ttfb_us), store_int(e->upstream_us),
        held(a, e->tags), held(a, e->trace), store_int(e->req_ref), store_int(e->resp_ref)};

    memcpy(g->v + (size_t)g->n++ * ROW_N, v, sizeof v);
    return g->n == ROWS_AT_ONCE ? put_rows(g, b) : 0;
}

/* The number of the call's first entry; 0 = it had none but its outcome. */
static int drop_open(
    struct projection *p, struct str id, struct store_batch *b, uint64_t *ret_first)
{
    struct open_call *o = map_del(&p->open, id);
    const struct store_value v[] = {store_text(p->set.node), store_text(id)};
    int r = 0;

    *ret_first = o ? o->seq : 0;
    if (o && (o->stored || o->replaces))
        r = store_batch_add(
            b, "DELETE FROM ledger_open WHERE node = ?1 AND request_id = ?2", v, 2, 0);
    free(o);
    return r;
}

/* What is open at the end of the batch. Most calls begin and end within one and leave nothing. */
static int put_open(struct projection *p, struct store_batch *b)
{
    struct str id;
    void *value;
    int r = 0;

    for (size_t at = 0; r == 0 && map_next(&p->open, &at, &id, &value);) {
        struct open_call *o = value;
        if (o->stored)
            continue;
        const struct store_value v[] = {store_text(p->set.node), store_text(o->id),
            store_int((int64_t)o->seq), store_text(o->payload)};
        r = store_batch_add(b,
            "INSERT INTO ledger_open (node, request_id, seq, payload) VALUES (?1, ?2, ?3, ?4) "
            "ON CONFLICT (node, request_id) DO UPDATE SET payload = excluded.payload",
            v, 4, 0);
        o->stored = true;
    }
    return r;
}

static int put_position(struct projection *p, uint64_t to, uint64_t sums_to, struct store_batch *b)
{
    const struct store_value v[] = {store_int((int64_t)to), store_int((int64_t)sums_to),
        store_text(p->set.node), store_int((int64_t)p->seq), store_int((int64_t)p->sums_seq)};

    return store_batch_add(b,
        "UPDATE ledger_position SET seq = ?1, sums_seq = ?2 "
        "WHERE node = ?3 AND seq = ?4 AND sums_seq = ?5",
        v, ARRAY_LEN(v), STORE_EXPECT_ONE);
}

/* --- a batch --- */

struct gathering {
    struct arena arena;
    struct row_group rows;
    struct store_batch *batch;
    uint64_t seq, sums_seq;
    unsigned entries;
    size_t bytes; /* of bodies */
};

/* A body that cannot be read (expired, erased) is simply not there. */
static struct store_value body_value(struct projection *p, int64_t ref, struct buf *room)
{
    if (!ref || journal_body_read(p->set.journal, (uint64_t)ref, room) < 0)
        return store_null();
    return store_blob(buf_str(room));
}

static int bodies_into(struct projection *p, const struct call_entry *e, struct gathering *g)
{
    _cleanup_(buf_free) struct buf request = {0}, reply = {0};

    if (!e->req_ref && !e->resp_ref)
        return 0;
    buf_init(&request, BATCH_BYTES);
    buf_init(&reply, BATCH_BYTES);
    const struct store_value v[] = {store_text(e->id), store_int(e->ts),
        body_value(p, e->req_ref, &request), body_value(p, e->resp_ref, &reply)};
    g->bytes += request.n + reply.n;
    return store_batch_add(g->batch,
        "INSERT INTO log_bodies (request_id, ts, request, reply) VALUES (?1, ?2, ?3, ?4) "
        "ON CONFLICT (request_id) DO NOTHING",
        v, 4, 0);
}

/* was: the number under which its row is there already; 0 = there is none. */
static int take_outcome(struct projection *p, struct gathering *g, const struct call_entry *e,
    uint64_t seq, uint64_t was)
{
    struct sum *sum, *customer;
    struct taken t = {.seq = seq};
    bool counted = was && was <= p->rewound_sums;
    int r = counted ? 0 : sums_add(&p->sums, e, &sum, &customer);

    if (r < 0 || seq <= p->seq) /* its row is there */
        return r;
    r = drop_open(p, e->id, g->batch, &t.open_seq);
    if (was)
        return r < 0 ? r : rewind_row(e, seq, t.open_seq, g->batch);
    if (r == 0)
        r = put_row(p, e, &t, &g->rows, &g->arena, g->batch);
    if (r == 0)
        r = facets_note(&p->facets, e, sum, customer, &g->arena);
    if (r == 0 && p->set.copy_bodies)
        r = bodies_into(p, e, g);
    return r;
}

/* Of other events the journal alone keeps what they say, but for money. */
static int take_other(struct projection *p, const struct journal_entry *j)
{
    struct adjustment a;

    if (!adjust_read(j->payload, &a))
        return 0;
    int counted = j->seq <= p->rewound_to ? rewind_adjusted(p, &a) : 0;
    return counted ? MIN(counted, 0) : sums_adjust(&p->sums, &a);
}

static int take_entry(struct projection *p, struct gathering *g, const struct journal_entry *j)
{
    struct call_entry e;
    struct str id;

    g->seq = MAX(g->seq, j->seq);
    g->sums_seq = j->seq;
    g->entries++;
    if (call_entry_is_open(j->payload, &id))
        return j->seq > p->seq ? open_put(p, j->payload, id, j->seq, false) : 0;
    if (call_entry_read(j->payload, &e, &g->arena) <= 0 || !e.outcome)
        return take_other(p, j);
    uint64_t was = 0;
    int r = j->seq > p->seq && j->seq <= p->rewound_to ? rewind_find(p, &e, &was) : 0;
    return r < 0 ? r : take_outcome(p, g, &e, j->seq, was);
}

static int read_entries(struct projection *p, struct gathering *g)
{
    struct journal_entry j;
    int r;

    while (g->entries < BATCH_ENTRIES && g->arena.total < ENOUGH_BYTES && g->bytes < ENOUGH_BYTES &&
           (r = journal_reader_next(p->reader, &j)) != 0) {
        if (r < 0 || (r = take_entry(p, g, &j)) < 0)
            return r;
    }
    return 0;
}

static bool sums_are_due(const struct projection *p)
{
    size_t n = sums_n(&p->sums);

    return p->finishing || n <= FEW_SUMS || n > MANY_SUMS || clock_now() - p->sums_at >= SUMS_NS;
}

static int gather(struct projection *p, struct gathering *g)
{
    int r = read_entries(p, g);

    if (r < 0)
        return r;
    bool put_sums = g->sums_seq > p->sums_seq && sums_are_due(p);
    if (!g->entries && !put_sums)
        return 0;
    r = put_rows(&g->rows, g->batch);
    if (r == 0)
        r = facets_put(&p->facets, g->batch);
    if (r == 0)
        r = put_open(p, g->batch);
    if (r == 0 && put_sums)
        r = sums_put(&p->sums, p->set.node, g->batch);
    p->pending_seq = g->seq;
    p->pending_sums_seq = put_sums ? g->sums_seq : p->sums_seq;
    return r < 0 ? r : put_position(p, p->pending_seq, p->pending_sums_seq, g->batch);
}

/* What a failure left half done is made anew from the store and the journal. */
static int begin_again(struct projection *p, char *err)
{
    bool finishing = p->finishing;

    projection_close(p);
    p->finishing = finishing;
    return projection_open(p, err);
}

/* -EAGAIN: the position is not the one before any more. Either an earlier try had been done, or,
 * right after a start, a batch of the process that was killed, which ended elsewhere: only the
 * store knows. */
static int run_pending(struct projection *p, char *err)
{
    int r = store_batch_run(p->set.store, p->pending, err);

    if (r == -EAGAIN)
        return begin_again(p, err);
    if (r < 0)
        return r;
    store_batch_free(p->pending);
    p->pending = NULL;
    p->seq = p->pending_seq;
    if (p->pending_sums_seq != p->sums_seq) {
        p->sums_seq = p->pending_sums_seq;
        sums_clear(&p->sums);
        p->sums_at = clock_now();
    }
    return 0;
}

int projection_step(struct projection *p, char *err)
{
    struct gathering g = {.seq = p->seq, .sums_seq = p->read_seq};
    int r = 0;

    if (p->pending)
        return (r = run_pending(p, err)) < 0 ? r : 1;
    if (!p->is_open)
        r = begin_again(p, err);
    if (r == 0)
        r = store_batch_new(&g.batch);
    if (r < 0)
        return r;
    g.seq = p->seq;
    g.sums_seq = p->read_seq = MAX(p->read_seq, p->sums_seq);
    arena_init(&g.arena, NULL, 0, BATCH_BYTES);
    r = gather(p, &g);
    arena_free(&g.arena);
    p->is_open = r == 0;
    p->read_seq = g.sums_seq;
    if (r < 0 || !store_batch_n(g.batch)) {
        store_batch_free(g.batch);
        return r;
    }
    p->pending = g.batch;
    r = run_pending(p, err);
    return r < 0 ? r : 1;
}
