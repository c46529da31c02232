/*
 * The table of owners behind the memory in front (route/owned.h).
 *
 * Writing: one coroutine on the first loop takes what waits, and puts it into the store in batches,
 * within some 20 ms and without any call waiting for it. Where several nodes share a Redis, each
 * record goes there first, as other nodes may be asked for it before the store has it.
 *
 * Reading: on a miss, in the coroutine of the call, for at most a second. Another node may know a
 * thing that is just being written: so with several nodes the look is repeated once.
 *
 * The same coroutine forgets old responses, as providers do, and looks whether there are teams.
 */
#include "gateway/own.h"

#include "base/log.h"
#include "gateway/parts.h"
#include "metrics/metrics.h"
#include "runtime/sync.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define GATHER_NS     (20 * NS_PER_MS)
#define RETRY_NS      NS_PER_S
#define LOOK_NS       NS_PER_S
#define AGAIN_NS      (250 * NS_PER_MS)
#define HOUSEKEEP_NS  (5 * NS_PER_S)
#define FORGET_NS     (3600 * NS_PER_S)
#define RESPONSE_KEPT (90LL * 86400 * NS_PER_S)
#define SHARED_TTL    (86400LL * NS_PER_S)
#define BATCH         500
#define PUBLISHERS    16
#define LOAD_AT_ONCE  32
#define STOP_NS       (5 * NS_PER_S)

static struct {
    struct loop *loop;
    struct event news, ended;
    bool running, stop;
    int64_t forget_at, said_at;
} writer;
static atomic_bool teams_exist;

bool own_teams_exist(void)
{
    return atomic_load_explicit(&teams_exist, memory_order_relaxed);
}

/* --- rows --- */

#define COLUMNS                                                                                    \
    "id, kind, provider, upstream_key, org_id, team_id, user_id, key_id, customer, batch, "        \
    "created_at"

static struct store_value text(struct str s)
{
    return store_text(s.n ? s : STR(""));
}

static int add_row(struct store_batch *b, const struct owned *o)
{
    const struct store_value v[] = {store_text(o->id), store_int(o->kind), text(o->provider),
        text(o->upstream_key), text(o->org), text(o->team), text(o->user), text(o->key),
        text(o->customer), text(o->batch), store_int(o->created_at),
        store_int(owned_is_batch(o) && owned_is_known(o))};

    return store_batch_add(b,
        "INSERT INTO owned_objects (" COLUMNS
        ", is_open, checked_at, claimed_by, booked_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, "
        "?9, ?10, ?11, ?12, 0, '', 0) ON CONFLICT (id) DO NOTHING",
        v, ARRAY_LEN(v), 0);
}

static void take_row(const struct store_rows *rows, unsigned i)
{
    struct owned o = {.id = store_cell_str(rows, i, 0),
        .kind = (enum owned_kind)store_cell_int(rows, i, 1),
        .provider = store_cell_str(rows, i, 2),
        .upstream_key = store_cell_str(rows, i, 3),
        .org = store_cell_str(rows, i, 4),
        .team = store_cell_str(rows, i, 5),
        .user = store_cell_str(rows, i, 6),
        .key = store_cell_str(rows, i, 7),
        .customer = store_cell_str(rows, i, 8),
        .batch = store_cell_str(rows, i, 9),
        .created_at = store_cell_int(rows, i, 10)};

    owned_put(&o, false);
}

/* --- what other nodes see at once --- */

static struct str shared_name(struct str id, char room[static OWNED_ID_BYTES + 8])
{
    memcpy(room, "own:", 4);
    memcpy(room + 4, id.p, id.n);
    return str_at(room, id.n + 4);
}

static void put_line(const struct owned *o, struct buf *out)
{
    const struct str texts[] = {
        o->provider, o->upstream_key, o->org, o->team, o->user, o->key, o->customer, o->batch};

    buf_printf(out, "%d\n%lld", o->kind, (long long)o->created_at);
    for (unsigned i = 0; i < ARRAY_LEN(texts); i++) {
        buf_addc(out, '\n');
        for (size_t k = 0; k < texts[i].n; k++)
            buf_addc(out, texts[i].p[k] == '\n' ? ' ' : texts[i].p[k]);
    }
}

static bool take_line(struct str id, struct str line)
{
    struct owned o = {.id = id};
    struct str *const texts[] = {
        &o.provider, &o.upstream_key, &o.org, &o.team, &o.user, &o.key, &o.customer, &o.batch};
    uint64_t kind, at;

    if (str_u64(str_split(&line, '\n'), &kind) < 0 || kind >= OWNED_KINDS ||
        str_u64(str_split(&line, '\n'), &at) < 0)
        return false;
    o.kind = (enum owned_kind)kind;
    o.created_at = (int64_t)at;
    for (unsigned i = 0; i < ARRAY_LEN(texts); i++)
        *texts[i] = str_split(&line, '\n');
    return owned_put(&o, false) || owned_has(id);
}

struct publishing {
    const struct owned *const *at;
    unsigned n, next;
};

static int publish_some(void *arg)
{
    struct publishing *p = arg;
    char room[OWNED_ID_BYTES + 8];
    _cleanup_(buf_free) struct buf line = {0};

    buf_init(&line, 4 * KIB);
    while (p->next < p->n) {
        const struct owned *o = p->at[p->next++];
        buf_clear(&line);
        put_line(o, &line);
        if (!line.err && shared_set(parts.shared, shared_name(o->id, room), buf_str(&line),
                             SHARED_TTL, false) < 0)
            return 0; /* Redis is away: the store will have it */
    }
    return 0;
}

static void publish(const struct owned *const *at, unsigned n)
{
    struct publishing p = {at, n, 0};
    struct group g;

    if (!shared_is_remote(parts.shared) || !shared_is_up(parts.shared))
        return;
    group_init(&g, false);
    for (unsigned i = 0; i < PUBLISHERS && i < n; i++)
        group_spawn(&g, "publish owners", publish_some, &p);
    group_wait(&g, NEVER_NS);
}

static bool read_shared(struct str id)
{
    char room[OWNED_ID_BYTES + 8];
    _cleanup_(buf_free) struct buf line = {0};

    if (!shared_is_remote(parts.shared))
        return false;
    buf_init(&line, 4 * KIB);
    return shared_get(parts.shared, shared_name(id, room), &line) == 1 &&
           take_line(id, buf_str(&line));
}

/* --- reading --- */

static const char select_one[] = "SELECT " COLUMNS " FROM owned_objects WHERE id = ?1";

/* 1 found, 0 not, -EHOSTDOWN. */
static int look(struct str id)
{
    const struct store_value v = store_text(id);
    struct store_rows *rows = NULL;

    if (read_shared(id))
        return 1;
    int r = store_query(parts.store, select_one, &v, 1, &rows, NULL);
    unsigned n = r < 0 ? 0 : store_rows_n(rows);
    if (n)
        take_row(rows, 0);
    store_rows_free(rows);
    return r == -EINVAL ? 0 : r < 0 ? -EHOSTDOWN : (int)n;
}

static bool is_possible(struct str id)
{
    for (size_t i = 0; i < id.n; i++)
        if (id.p[i] <= ' ' || id.p[i] > '~')
            return false;
    return id.n > 0 && id.n <= OWNED_ID_BYTES;
}

int own_load(struct str id, struct arena *a, const struct owned **ret)
{
    *ret = NULL;
    if (!parts.store || !is_possible(id))
        return 0;
    int64_t before = co_set_deadline(MIN(co_deadline(), loop_now() + LOOK_NS));
    int r = look(id);
    if (r == 0 && shared_is_remote(parts.shared)) { /* another node may be about to write it */
        co_sleep_until(loop_now() + AGAIN_NS);
        r = look(id);
    }
    co_set_deadline(before);
    if (r > 0)
        *ret = owned_get(id, a);
    return r < 0 ? r : 0;
}

#define TEN(p) p "1, " p "2, " p "3, " p "4, " p "5, " p "6, " p "7, " p "8, " p "9"

static const char select_many[] = "SELECT " COLUMNS " FROM owned_objects WHERE id IN (" TEN(
    "?") ", ?10, " TEN("?1") ", ?20, " TEN("?2") ", ?30, ?31, ?32)";

static int load_some(const struct str *ids, unsigned n)
{
    struct store_value v[LOAD_AT_ONCE];
    struct store_rows *rows = NULL;

    for (unsigned i = 0; i < LOAD_AT_ONCE; i++)
        v[i] = text(i < n ? ids[i] : STR_NONE);
    int r = store_query(parts.store, select_many, v, LOAD_AT_ONCE, &rows, NULL);
    for (unsigned i = 0; r == 0 && i < store_rows_n(rows); i++)
        take_row(rows, i);
    store_rows_free(rows);
    return r < 0 ? -EHOSTDOWN : 0;
}

int own_load_many(const struct str *ids, size_t n)
{
    struct str some[LOAD_AT_ONCE];
    unsigned k = 0;
    int r = 0;

    for (size_t i = 0; r == 0 && i < n && parts.store; i++) {
        if (!is_possible(ids[i]) || owned_has(ids[i]))
            continue;
        some[k++] = ids[i];
        if (k == LOAD_AT_ONCE) {
            r = load_some(some, k);
            k = 0;
        }
    }
    return r == 0 && k ? load_some(some, k) : r;
}

/* --- writing --- */

/* At most one line a second. */
static void say(const char *what, int r)
{
    int64_t now = clock_now();

    if (writer.said_at && now - writer.said_at < NS_PER_S)
        return;
    writer.said_at = now;
    log_msg(LOG_WARN, "%s: %s", what, strerror(-r));
}

static int write_batch(const struct owned *const *at, unsigned n)
{
    struct store_batch *b = NULL;
    int r = store_batch_new(&b);

    for (unsigned i = 0; r == 0 && i < n; i++)
        r = add_row(b, at[i]);
    if (r == 0)
        r = store_batch_run(parts.store, b, NULL);
    store_batch_free(b);
    return r;
}

/* What the store does not take whatever its state would stand in the way of all that follow. */
static void write_each(const struct owned *const *at, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        int r = write_batch(&at[i], 1);
        if (r < 0)
            say("the owner of a file, batch or response is not kept", r);
        owned_wrote(&at[i], 1, true);
    }
}

/* All that waits. 0, or why it is to be tried again. */
static int write_all(void)
{
    static const struct owned *at[BATCH]; /* one coroutine runs this */
    unsigned n;

    while ((n = owned_take(at, BATCH)) > 0) {
        publish(at, n);
        int r = write_batch(at, n);
        if (r == -EINVAL || r == -EMSGSIZE) {
            write_each(at, n);
            continue;
        }
        owned_wrote(at, n, r == 0);
        if (r < 0) {
            say("owners of files, batches and responses cannot be written yet", r);
            return r;
        }
    }
    return 0;
}

static void look_for_teams(void)
{
    struct store_rows *rows = NULL;

    if (own_teams_exist())
        return;
    if (store_query(parts.store, "SELECT id FROM teams LIMIT 1", NULL, 0, &rows, NULL) == 0 &&
        store_rows_n(rows) > 0)
        atomic_store(&teams_exist, true);
    store_rows_free(rows);
}

static void forget_old(void)
{
    const struct store_value v = store_int(clock_wall() - RESPONSE_KEPT);

    if (loop_now() < writer.forget_at)
        return;
    writer.forget_at = loop_now() + FORGET_NS;
    store_exec(parts.store,
        "DELETE FROM owned_objects WHERE id IN (SELECT id FROM owned_objects WHERE kind = 1 AND "
        "created_at < ?1 LIMIT 20000)",
        &v, 1, NULL, NULL);
}

static struct metric_family in_memory = {
    .name = "smartflow_owners_in_memory",
    .help = "Files, batches, responses and conversations whose owner is in memory.",
    .type = METRIC_GAUGE,
};
static struct metric_family to_write = {
    .name = "smartflow_owners_waiting",
    .help = "Of these, how many wait to be written to the database.",
    .type = METRIC_GAUGE,
};

static void show_counts(void)
{
    size_t n, queued;
    uint64_t unwritten;

    owned_counts(&n, &queued, &unwritten);
    metric_set(metric_get(&in_memory, NULL, 0), (int64_t)n);
    metric_set(metric_get(&to_write, NULL, 0), (int64_t)queued);
}

static void write_behind(void *arg)
{
    int r = 0;
    (void)arg;

    while (!writer.stop && !co_cancelled()) {
        event_wait(&writer.news, loop_now() + (r < 0 ? RETRY_NS : HOUSEKEEP_NS));
        event_reset(&writer.news);
        if (writer.stop || co_cancelled())
            break;
        co_sleep_until(loop_now() + GATHER_NS); /* one write for many */
        r = write_all();
        look_for_teams();
        forget_old();
        show_counts();
    }
    co_mask_cancel();
    co_set_deadline(clock_now() + STOP_NS);
    write_all();
    co_unmask_cancel();
    writer.running = false;
    event_set(&writer.ended);
}

static void wake(void *arg)
{
    (void)arg;
    event_set(&writer.news);
}

static void something_waits(void)
{
    loop_post(writer.loop, wake, NULL);
}

int own_start(void)
{
    writer.loop = loop_self();
    event_init(&writer.news);
    event_init(&writer.ended);
    owned_on_queued(something_waits);
    int r = co_spawn("write owners", write_behind, NULL, NULL);
    writer.running = r == 0;
    return r < 0 ? r : own_book_start();
}

void own_stop(void)
{
    own_book_stop();
    owned_on_queued(NULL);
    writer.stop = true;
    if (!writer.running)
        return;
    event_set(&writer.news);
    event_wait(&writer.ended, clock_now() + 2 * STOP_NS);
}

/* --- the file of older versions: lines "id TAB provider" --- */

static int import_lines(FILE *f, unsigned *ret_n)
{
    char line[512];
    struct store_batch *b = NULL;
    int r = store_batch_new(&b);

    while (r == 0 && fgets(line, sizeof line, f)) {
        struct str rest = str_of(line);
        if (!rest.n || rest.p[rest.n - 1] != '\n')
            continue; /* torn */
        rest.n--;
        struct owned o = {.id = str_split(&rest, '\t'), .created_at = clock_wall()};
        o.provider = rest;
        if (!is_possible(o.id) || !is_possible(rest) || rest.n >= 32)
            continue;
        r = add_row(b, &o);
        ++*ret_n;
        if (r == 0 && store_batch_n(b) >= 1000) {
            r = store_batch_run(parts.store, b, NULL);
            store_batch_free(b);
            b = NULL;
            r = r < 0 ? r : store_batch_new(&b);
        }
    }
    if (r == 0 && store_batch_n(b))
        r = store_batch_run(parts.store, b, NULL);
    store_batch_free(b);
    return r;
}

static int import_file(struct str dir, const char *name)
{
    char path[4200], done[4216];
    unsigned n = 0;

    snprintf(path, sizeof path, STR_FMT "/%s", STR_ARG(dir), name);
    snprintf(done, sizeof done, "%s.imported", path);
    FILE *f = fopen(path, "re");
    if (!f)
        return 0;
    int r = import_lines(f, &n);
    fclose(f);
    if (r == 0 && rename(path, done) < 0)
        r = -errno;
    if (r < 0)
        log_msg(LOG_ERROR, "cannot take %s over into the database: %s", path, strerror(-r));
    else
        log_msg(LOG_INFO, "%u owners of ids were taken over from %s", n, path);
    return r;
}

int own_open(struct str data_dir)
{
    int r = import_file(data_dir, "affinity.old.log");

    if (r == 0)
        r = import_file(data_dir, "affinity.log");
    look_for_teams();
    metrics_register(&in_memory);
    metrics_register(&to_write);
    return r;
}
