/*
 * Booking what batches cost, when they end. A batch is looked at when a caller saw that it ended,
 * before its results are deleted, and by a slow round over all that are open (SMARTFLOW_BATCH_POLL;
 * one node a round). Of one that ended, the results are read (own_usage.c), and each of its models
 * becomes an entry of the journal, as of a call that was made when it was booked, and is charged to
 * those who made the batch.
 *
 * Once, over nodes and restarts. The row goes
 *
 *   open ─▶ claimed by a node, with a time ─▶ done
 *
 * and entries are appended between claim and done. Their ids are made of the batch's id and that
 * time. After a crash in between, the node that had claimed it opens it again at its next start,
 * when its journal is in the log rows: these tell which entries are there already.
 *
 *   bookings  id ─▶ struct booking: those at work in this process, and what of them was appended.
 *             Under a mutex; one coroutine works on each.
 */
#include "gateway/own.h"

#include "base/log.h"
#include "base/map.h"
#include "gateway/parts.h"
#include "metrics/metrics.h"
#include "runtime/sync.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define ROUND_MAX    50
#define ASKED_MAX    32
#define BUSY_NS      (30 * NS_PER_S)
#define BUSY_STEP_NS (20 * NS_PER_MS)
#define RETRY_NS     (5 * NS_PER_S)
#define AGAIN_NS     (200 * NS_PER_MS)
#define TRIES_MAX    50
#define PATIENCE_NS  (8LL * 86400 * NS_PER_S) /* then a batch is booked by what is known */

struct booking {
    char id[OWNED_ID_BYTES + 1];
    bool busy;
    uint32_t appended; /* bit i: the entry of model i is on the journal */
};

/* A row, its texts in its own arena. */
struct row {
    struct arena arena;
    struct owned o;
    bool open;
    struct str claimed_by;
    int64_t booked_at;
};

static struct map bookings;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct {
    struct loop *loop;
    struct co *co;
    struct event news, ended;
    bool running, stop;
    atomic_bool recovered;
    struct asking {
        char id[OWNED_ID_BYTES + 1];
        unsigned tries;
    } asked[ASKED_MAX];
    unsigned asked_n;
} booker;

static struct metric_family booked = {
    .name = "smartflow_batches_booked_total",
    .help = "Batches that ended and whose cost was booked.",
    .type = METRIC_COUNTER,
};

static struct metric_family rounds = {
    .name = "smartflow_batch_rounds_total",
    .help = "Rounds over the batches that are open, those of another node's turn included.",
    .type = METRIC_COUNTER,
};

/* --- one at a time --- */

/* NULL: another coroutine works on it. */
static struct booking *begin(struct str id)
{
    pthread_mutex_lock(&lock);
    struct booking *b = map_get(&bookings, id);
    if (b && b->busy) {
        b = NULL;
    } else if (!b && (b = calloc(1, sizeof *b))) {
        memcpy(b->id, id.p, id.n);
        if (map_put(&bookings, str_of(b->id), b, NULL) < 0) {
            free(b);
            b = NULL;
        }
    }
    if (b)
        b->busy = true;
    pthread_mutex_unlock(&lock);
    return b;
}

/* What was appended is remembered until the row says that it is done. */
static void end(struct booking *b, bool done)
{
    pthread_mutex_lock(&lock);
    b->busy = false;
    if (done || !b->appended) {
        map_del(&bookings, str_of(b->id));
        free(b);
    }
    pthread_mutex_unlock(&lock);
}

/* --- rows --- */

static void row_free(struct row *r)
{
    arena_free(&r->arena);
}

static int row_load(struct str id, struct row *ret)
{
    static const char sql[] =
        "SELECT kind, provider, upstream_key, org_id, team_id, user_id, key_id, customer, "
        "created_at, is_open, claimed_by, booked_at FROM owned_objects WHERE id = ?1";
    const struct store_value v = store_text(id);
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    struct owned *o = &ret->o;
    int r = store_query(parts.store, sql, &v, 1, &rows, NULL);

    if (r < 0 || !store_rows_n(rows))
        return r < 0 ? r : -ENOENT;
    struct str *const texts[] = {
        &o->provider, &o->upstream_key, &o->org, &o->team, &o->user, &o->key, &o->customer};
    for (unsigned i = 0; i < ARRAY_LEN(texts); i++)
        *texts[i] = arena_dup(&ret->arena, store_cell_str(rows, 0, i + 1));
    o->id = id;
    o->kind = (enum owned_kind)store_cell_int(rows, 0, 0);
    o->created_at = store_cell_int(rows, 0, 8);
    ret->open = store_cell_int(rows, 0, 9) != 0;
    ret->claimed_by = arena_dup(&ret->arena, store_cell_str(rows, 0, 10));
    ret->booked_at = store_cell_int(rows, 0, 11);
    return 0;
}

static int row_checked(const struct row *row)
{
    const struct store_value v[] = {store_text(row->o.id), store_int(clock_wall())};
    int r = store_exec(
        parts.store, "UPDATE owned_objects SET checked_at = ?2 WHERE id = ?1", v, 2, NULL, NULL);

    return r < 0 ? r : OWN_BOOK_RUNS;
}

/* -EAGAIN: another node was first. */
static int row_claim(struct row *row)
{
    int64_t n = 0;

    if (row->claimed_by.n)
        return 0; /* by this node before */
    if (!row->booked_at)
        row->booked_at = clock_wall();
    const struct store_value v[] = {
        store_text(row->o.id), store_text(str_of(parts.node)), store_int(row->booked_at)};
    int r = store_exec(parts.store,
        "UPDATE owned_objects SET claimed_by = ?2, booked_at = ?3 WHERE id = ?1 AND is_open = 1 "
        "AND claimed_by = ''",
        v, 3, &n, NULL);
    return r < 0 ? r : n == 1 ? 0 : -EAGAIN;
}

static int row_done(struct str id)
{
    const struct store_value v = store_text(id);

    return store_exec(
        parts.store, "UPDATE owned_objects SET is_open = 0 WHERE id = ?1", &v, 1, NULL, NULL);
}

static void tell(const struct row *row, const struct own_usage *sums, unsigned skipped)
{
    struct logline l;
    int64_t nano = 0;
    unsigned calls = 0;

    for (unsigned i = 0; i < sums->n; i++) {
        nano += MAX(sums->at[i].nano, 0);
        calls += sums->at[i].calls;
    }
    metric_add(metric_get(&booked, NULL, 0), 1);
    log_begin(&l, skipped ? LOG_WARN : LOG_INFO, "batch booked");
    log_str(&l, "batch", row->o.id);
    log_int(&l, "requests", calls);
    log_int(&l, "cost_nano", nano);
    if (skipped)
        log_int(&l, "results_not_read", skipped);
    log_end(&l);
}

/* --- a batch --- */

/* Claim, entries, done; not given up in the middle by a caller that goes away. */
static int put_down(struct booking *b, struct row *row, struct own_usage *sums, unsigned skipped)
{
    bool again = row->booked_at != 0;

    co_mask_cancel();
    int r = row_claim(row);
    if (r == 0)
        r = own_append(&row->o, row->booked_at, sums, again, &b->appended);
    if (r == 0)
        r = row_done(row->o.id);
    co_unmask_cancel();
    if (r == 0)
        tell(row, sums, skipped);
    return r == -EAGAIN ? 0 : r;
}

/* 0: it is booked; OWN_BOOK_RUNS. */
static int work(struct booking *b, struct row *row)
{
    struct own_usage *sums = calloc(1, sizeof *sums);
    unsigned skipped = 0;
    bool old = clock_wall() - row->o.created_at > PATIENCE_NS;
    int r = sums ? own_read(&row->o, old, sums, &skipped) : -ENOMEM;

    if (r == OWN_READ_ENDED)
        r = put_down(b, row, sums, skipped);
    else if (r == OWN_READ_RUNS)
        r = row_checked(row);
    free(sums);
    return r;
}

static int book(struct booking *b, bool *ret_done)
{
    _cleanup_(row_free) struct row row = {.open = false};
    bool mine;
    int r;

    arena_init(&row.arena, NULL, 0, 64 * KIB);
    r = row_load(str_of(b->id), &row);
    mine = !row.claimed_by.n || str_eq(row.claimed_by, str_of(parts.node));
    if (r == 0 && row.open && mine)
        r = work(b, &row);
    *ret_done = r == 0;
    return r;
}

static bool may_wait(int64_t until)
{
    return clock_now() <= until && co_sleep_until(loop_now() + BUSY_STEP_NS) == 0;
}

/* When nobody else is at it. */
static int book_alone(struct str id, int64_t until)
{
    struct booking *b;
    bool done = false;

    while (!(b = begin(id)))
        if (!may_wait(until))
            return -EAGAIN;
    int r = book(b, &done);
    end(b, done);
    return r;
}

int own_book_now(struct str id)
{
    int64_t until = clock_now() + BUSY_NS;
    int r;

    if (!parts.store || !id.n || id.n > OWNED_ID_BYTES)
        return 0;
    if (!booker.recovered)
        return -EAGAIN;
    while ((r = book_alone(id, until)) == -ENOENT && owned_has(id))
        if (!may_wait(until)) /* it was made a moment ago, and waits to be written */
            return -EAGAIN;
    return r == -ENOENT ? 0 : r;
}

/* --- the rounds --- */

/* What this node had claimed when it ended, before anything else is booked. By now its journal is
 * in the log rows, so that whoever claims it next finds the entries that are there. */
static int recover(void)
{
    const struct store_value node = store_text(str_of(parts.node));
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int r = store_query(parts.store,
        "SELECT id, booked_at FROM owned_objects WHERE is_open = 1 AND claimed_by = ?1", &node, 1,
        &rows, NULL);

    /* The time stays: entries get the same ids, and append_all() looks for them. */
    for (unsigned i = 0; r == 0 && i < store_rows_n(rows); i++) {
        const struct store_value v = store_text(store_cell_str(rows, i, 0));
        r = store_exec(parts.store,
            "UPDATE owned_objects SET claimed_by = '', checked_at = 0 WHERE id = ?1", &v, 1, NULL,
            NULL);
    }
    return r;
}

static int round_over_open(void)
{
    const struct store_value v[] = {
        store_int(clock_wall() - config_current()->batch_poll / 2), store_int(ROUND_MAX)};
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int r = store_query(parts.store,
        "SELECT id FROM owned_objects WHERE is_open = 1 AND checked_at < ?1 ORDER BY checked_at "
        "LIMIT ?2",
        v, 2, &rows, NULL);

    if (r < 0 || !store_rows_n(rows))
        return r;
    if (shared_set(parts.shared, STR("own:poll"), str_of(parts.node),
            config_current()->batch_poll * 3 / 4, true) == -EEXIST)
        return 0; /* another node's turn */
    for (unsigned i = 0; i < store_rows_n(rows) && !booker.stop && !co_cancelled(); i++)
        own_book_now(store_cell_str(rows, i, 0));
    return 0;
}

/* Those that callers saw ended. What fails is tried again a few times; then it is for a round. */
static void book_asked(void)
{
    static struct asking all[ASKED_MAX]; /* one coroutine runs this */
    struct asking *a;
    unsigned n = booker.asked_n;

    memcpy(all, booker.asked, n * sizeof all[0]);
    booker.asked_n = 0; /* more may come while these are looked at */
    for (unsigned i = 0; i < n && !booker.stop; i++) {
        a = &all[i];
        if (own_book_now(str_of(a->id)) < 0 && ++a->tries < TRIES_MAX && booker.asked_n < ASKED_MAX)
            booker.asked[booker.asked_n++] = *a;
    }
}

static int64_t next_look(int64_t round_at)
{
    int64_t again = loop_now() + (booker.asked_n ? AGAIN_NS : RETRY_NS);

    return booker.recovered && !booker.asked_n ? round_at : again;
}

static void run(void *arg)
{
    int64_t round_at = 0;
    (void)arg;

    while (!booker.stop && !co_cancelled()) {
        if (!booker.recovered)
            booker.recovered = recover() == 0;
        if (booker.recovered)
            book_asked();
        if (booker.recovered && loop_now() >= round_at) {
            round_over_open();
            metric_add(metric_get(&rounds, NULL, 0), 1);
            round_at = loop_now() + config_current()->batch_poll;
        }
        event_wait(&booker.news, next_look(round_at));
        event_reset(&booker.news);
    }
    booker.running = false;
    event_set(&booker.ended);
}

static void asked(void *arg)
{
    struct asking *a = arg;
    bool known = false;

    for (unsigned i = 0; i < booker.asked_n; i++)
        known |= strcmp(booker.asked[i].id, a->id) == 0;
    if (!known && booker.asked_n < ASKED_MAX) {
        booker.asked[booker.asked_n++] = *a;
        event_set(&booker.news);
    }
    free(a);
}

void own_book_ask(struct str id)
{
    struct asking *a = booker.loop && id.n <= OWNED_ID_BYTES ? calloc(1, sizeof *a) : NULL;

    if (!a)
        return;
    memcpy(a->id, id.p, id.n);
    if (loop_post(booker.loop, asked, a) < 0)
        free(a);
}

int own_book_start(void)
{
    metrics_register(&booked);
    map_init(&bookings);
    event_init(&booker.news);
    event_init(&booker.ended);
    booker.loop = loop_self();
    int r = co_spawn("book batches", run, NULL, &booker.co);
    booker.running = r == 0;
    return r;
}

void own_book_stop(void)
{
    booker.stop = true;
    if (!booker.running)
        return;
    co_cancel(booker.co);
    event_wait(&booker.ended, clock_now() + 10 * NS_PER_S);
}
