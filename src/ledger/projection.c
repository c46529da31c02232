/*
 * From entries to rows. A batch of entries becomes one transaction: log rows, sums, what subjects
 * spent, which calls are open, and the position up to which all this is so. The position's update
 * expects the old one, so that a batch whose fate is unknown (the database went away in the middle)
 * is simply tried again: when it was done, nothing happens.
 */
#include "ledger/ledger_int.h"
#include "ledger/sums.h"

#include <errno.h>
#include <stdlib.h>

#define BATCH_ENTRIES 4000
#define BATCH_BYTES   ((size_t)64 << 20)

/* --- open calls --- */

static void open_free(struct open_call *o)
{
    if (o)
        free(o->payload);
    free(o);
}

static int open_put(struct projection *p, struct str payload, bool stored)
{
    struct open_call *o = calloc(1, sizeof *o), *old = NULL;
    struct arena none;
    struct call_entry e;
    char first[512];

    if (!o || !(o->payload = str_dup(payload))) {
        open_free(o);
        return -ENOMEM;
    }
    arena_init(&none, first, sizeof first, 64 << 10);
    if (call_entry_read(str_at(o->payload, payload.n), &e, &none) <= 0) {
        arena_free(&none);
        open_free(o);
        return 0;
    }
    o->id = e.id; /* a UUID: without escapes, so it lies in the payload */
    o->stored = stored;
    arena_free(&none);
    int r = map_put(&p->open, o->id, o, (void **)&old);
    if (old) { /* an earlier attempt of the same call */
        o->stored |= old->stored;
        open_free(old);
    }
    return r;
}

static int load_open(struct projection *p, char *err)
{
    struct store_rows *rows = NULL;
    const struct store_value node = store_text(p->set.node);
    int r = store_query(
        p->set.store, "SELECT payload FROM ledger_open WHERE node = ?1", &node, 1, &rows, err);

    for (unsigned i = 0; r == 0 && i < store_rows_n(rows); i++)
        r = open_put(p, store_cell_str(rows, i, 0), true);
    store_rows_free(rows);
    return r;
}

static int load_position(struct projection *p, char *err)
{
    struct store_rows *rows = NULL;
    const struct store_value v[] = {store_text(p->set.node), store_int(0)};
    int r = store_exec(p->set.store,
        "INSERT INTO ledger_position (node, seq) VALUES (?1, ?2) ON CONFLICT (node) DO NOTHING", v,
        2, NULL, err);

    if (r == 0)
        r = store_query(
            p->set.store, "SELECT seq FROM ledger_position WHERE node = ?1", v, 1, &rows, err);
    if (r == 0 && store_rows_n(rows) == 1)
        p->seq = (uint64_t)store_cell_int(rows, 0, 0);
    store_rows_free(rows);
    return r;
}

int projection_open(struct projection *p, char *err)
{
    map_init(&p->open);
    int r = load_position(p, err);

    if (r == 0)
        r = load_open(p, err);
    if (r == 0)
        r = journal_reader_open(p->set.journal_dir.p, p->seq + 1, &p->reader);
    return r;
}

void projection_close(struct projection *p)
{
    struct str id;
    void *o;

    for (size_t at = 0; map_next(&p->open, &at, &id, &o);)
        open_free(o);
    map_free(&p->open);
    journal_reader_close(p->reader);
    store_batch_free(p->pending);
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

static int put_row(
    struct projection *p, const struct call_entry *e, uint64_t seq, struct store_batch *b)
{
    const struct store_value v[] = {store_int(e->ts), text(e->id), text(p->set.node),
        store_int((int64_t)seq), text(e->org), text(e->team), text(e->user), text(e->key),
        text(e->customer), text(e->provider), text(e->model),
        text(e->model_asked.n ? e->model_asked : e->model), text(e->endpoint), store_int(e->status),
        text(e->outcome_word), text(e->error), store_int(e->stream), store_int(e->attempts),
        known(e->in), known(e->out), store_int(e->cache_read), store_int(e->cache_write),
        store_int(e->reasoning), known(e->cost), store_int(e->charged), store_int(e->latency_us),
        store_int(e->ttfb_us), store_int(e->upstream_us), text(e->tags), text(e->trace),
        store_int(e->req_ref), store_int(e->resp_ref)};

    return store_batch_add(b,
        "INSERT INTO logs (ts, request_id, node, seq, org_id, team_id, user_id, key_id, customer, "
        "provider, model, model_asked, endpoint, status, outcome, error, streamed, attempts, "
        "tokens_in, tokens_out, cache_read, cache_write, reasoning, cost, charged, latency_us, "
        "ttfb_us, upstream_us, tags, trace, req_ref, resp_ref) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, "
        "?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, "
        "?26, ?27, ?28, ?29, ?30, ?31, ?32) ON CONFLICT (ts, request_id) DO NOTHING",
        v, ARRAY_LEN(v), 0);
}

static int drop_open(struct projection *p, struct str id, struct store_batch *b)
{
    struct open_call *o = map_del(&p->open, id);
    const struct store_value v[] = {store_text(p->set.node), store_text(id)};
    int r = 0;

    if (o && o->stored)
        r = store_batch_add(
            b, "DELETE FROM ledger_open WHERE node = ?1 AND request_id = ?2", v, 2, 0);
    open_free(o);
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
        const struct store_value v[] = {
            store_text(p->set.node), store_text(o->id), store_text(str_of(o->payload))};
        r = store_batch_add(b,
            "INSERT INTO ledger_open (node, request_id, payload) VALUES (?1, ?2, ?3) "
            "ON CONFLICT (node, request_id) DO UPDATE SET payload = excluded.payload",
            v, 3, 0);
        o->stored = true;
    }
    return r;
}

static int put_position(struct projection *p, uint64_t to, struct store_batch *b)
{
    const struct store_value v[] = {
        store_int((int64_t)to), store_text(p->set.node), store_int((int64_t)p->seq)};

    return store_batch_add(b, "UPDATE ledger_position SET seq = ?1 WHERE node = ?2 AND seq = ?3", v,
        3, STORE_EXPECT_ONE);
}

/* --- a batch --- */

struct gathering {
    struct arena arena;
    struct sums sums;
    struct store_batch *batch;
    uint64_t seq;
    unsigned entries;
};

static int bodies_into(struct projection *p, const struct call_entry *e, struct gathering *g);

static int take_entry(struct projection *p, struct gathering *g, const struct journal_entry *j)
{
    struct call_entry e;
    int r = call_entry_read(j->payload, &e, &g->arena);

    g->seq = j->seq;
    g->entries++;
    if (r <= 0) /* another event, or nothing of ours: the journal alone keeps it */
        return 0;
    if (!e.outcome)
        return open_put(p, j->payload, false);
    r = drop_open(p, e.id, g->batch);
    if (r == 0)
        r = put_row(p, &e, j->seq, g->batch);
    if (r == 0 && p->set.copy_bodies)
        r = bodies_into(p, &e, g);
    return r < 0 ? r : sums_add(&g->sums, &e);
}

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
    return store_batch_add(g->batch,
        "INSERT INTO log_bodies (request_id, ts, request, reply) VALUES (?1, ?2, ?3, ?4) "
        "ON CONFLICT (request_id) DO NOTHING",
        v, 4, 0);
}

static int gather(struct projection *p, struct gathering *g)
{
    struct journal_entry j;
    int r;

    while (g->entries < BATCH_ENTRIES && (r = journal_reader_next(p->reader, &j)) != 0) {
        if (r < 0 || (r = take_entry(p, g, &j)) < 0)
            return r;
    }
    if (!g->entries)
        return 0;
    r = sums_put(&g->sums, p->set.node, g->batch);
    if (r == 0)
        r = put_open(p, g->batch);
    return r < 0 ? r : put_position(p, g->seq, g->batch);
}

/* -EAGAIN: the position is not the one before any more, so an earlier try had been done. */
static int run_pending(struct projection *p, char *err)
{
    int r = store_batch_run(p->set.store, p->pending, err);

    if (r < 0 && r != -EAGAIN)
        return r;
    store_batch_free(p->pending);
    p->pending = NULL;
    p->seq = p->pending_seq;
    return 0;
}

int projection_step(struct projection *p, char *err)
{
    struct gathering g = {0};
    int r;

    if (p->pending)
        return (r = run_pending(p, err)) < 0 ? r : 1;
    if ((r = store_batch_new(&g.batch)) < 0)
        return r;
    arena_init(&g.arena, NULL, 0, BATCH_BYTES);
    sums_init(&g.sums, &g.arena);
    r = gather(p, &g);
    sums_free(&g.sums);
    arena_free(&g.arena);
    if (r < 0 || !g.entries) {
        store_batch_free(g.batch);
        return r;
    }
    p->pending = g.batch;
    p->pending_seq = g.seq;
    r = run_pending(p, err);
    return r < 0 ? r : (int)g.entries;
}
