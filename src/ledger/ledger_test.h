/*
 * For the ledger's tests: a journal, a store (SQLite's, or of a PostgreSQL server that the test
 * starts) and shared counters in a scratch folder, and calls to be put on the journal. Included by
 * *_test.c alone.
 */
#ifndef SF_LEDGER_LEDGER_TEST_H
#define SF_LEDGER_LEDGER_TEST_H

#include "base/clock.h"
#include "base/tap.h"
#include "journal/payload.h"
#include "ledger/ledger_int.h"
#include "store/pg_server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define T_NODE "node-1"
#define HOUR   (3600 * NS_PER_S)
#define DAY    (24 * HOUR)

static struct rig {
    enum store_kind kind;
    char folder[64], journal_dir[96], where[PG_URL_BYTES];
    struct journal *journal;
    struct store *store;
    struct shared *shared;
    struct pg_server pg;
    unsigned databases;
    int64_t store_timeout;
} T;

static inline void t_open_store(void)
{
    struct store_settings s = {.timeout = T.store_timeout, .connections = 4};
    char err[STORE_ERR_BYTES] = "";

    if (T.kind == STORE_POSTGRES)
        must(secret_set(&s.database_url, str_of(T.where)) == 0);
    else
        s.data_dir = str_of(T.folder);
    if (store_open(&s, &T.store, err, sizeof err) < 0)
        panic("store: %s", err);
    secret_free(&s.database_url);
}

static inline void t_open_journal(void)
{
    struct journal_settings s = {.dir = str_of(T.journal_dir), .chain = STR(T_NODE), .threads = 1};
    char err[256] = "";

    if (journal_open(&s, &T.journal, NULL, err, sizeof err) < 0)
        panic("journal: %s", err);
}

static inline void t_open_shared(void)
{
    struct shared_settings s = {.node = STR(T_NODE), .prefix = STR("t")};
    char err[256] = "";

    must(shared_open(&s, &T.shared, err, sizeof err) == 0);
}

static inline void t_begin(void)
{
    char name[32];

    strcpy(T.folder, "/tmp/sf-ledger-XXXXXX");
    must(mkdtemp(T.folder));
    snprintf(T.journal_dir, sizeof T.journal_dir, "%s/journal", T.folder);
    if (T.kind == STORE_POSTGRES) {
        snprintf(name, sizeof name, "t%u", T.databases++);
        must(pg_server_new_db(&T.pg, name));
        pg_server_url(&T.pg, name, T.where);
    }
    t_open_store();
    t_open_journal();
    t_open_shared();
}

static inline void t_end(void)
{
    journal_close(T.journal);
    shared_close(T.shared);
    store_close(T.store);
    T.journal = NULL;
    T.shared = NULL;
    T.store = NULL;
    T.store_timeout = 0;
    nftw(T.folder, pg_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline struct ledger_settings t_settings(void)
{
    return (struct ledger_settings){.journal = T.journal,
        .store = T.store,
        .shared = T.shared,
        .node = STR(T_NODE),
        .journal_dir = str_of(T.journal_dir)};
}

/* The one number that a query gives; -1 when it fails. */
static inline int64_t t_count(const char *sql)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    char why[STORE_ERR_BYTES] = "";
    int r = store_query(T.store, sql, NULL, 0, &rows, why);

    if (r < 0 || store_rows_n(rows) != 1)
        fprintf(stderr, "# %s: %d %s\n", sql, r, why);
    return r < 0 || store_rows_n(rows) != 1 ? -1 : store_cell_int(rows, 0, 0);
}

/* --- entries, as ledger/call.c writes them --- */

struct t_call {
    const char *id, *key, *user, *team, *org, *customer, *provider, *model, *model_asked, *endpoint,
        *outcome, *error, *trace, *tags[3], *scopes;
    int64_t ts, status, in, out, cost, charged, reserved, latency_us, stream, cache_read, booked;
};

static inline void t_str(struct payload *p, const char *name, const char *v)
{
    if (v && *v)
        payload_str(p, name, str_of(v));
}

static inline void t_int(struct payload *p, const char *name, int64_t v)
{
    if (v)
        payload_int(p, name, v);
}

static inline void t_scopes(struct payload *p, const struct t_call *c)
{
    if (!c->scopes)
        return;
    payload_array(p, "scopes");
    payload_item_str(p, str_of(c->scopes));
    payload_item_int(p, 0);
    payload_close(p);
}

/* An id whose time is ts, and which is the n-th. */
static inline void t_id(char out[static 37], int64_t ts, unsigned n)
{
    uint64_t ms = (uint64_t)(ts / NS_PER_MS);

    snprintf(
        out, 37, "%08x-%04x-7000-8000-%012x", (unsigned)(ms >> 16), (unsigned)(ms & 0xffff), n);
}

static inline void t_append(struct payload *p)
{
    must(payload_end(p) == 0);
    must(journal_append(T.journal, JOURNAL_OTHER, buf_str(p->out), NULL) == 0);
    buf_free(p->out);
}

static inline void t_open_call(const struct t_call *c)
{
    struct buf b;
    struct payload p;

    buf_init(&b, JOURNAL_PAYLOAD_BYTES);
    payload_begin(&p, &b);
    payload_int(&p, "attempt", 1);
    t_int(&p, "booked", c->booked);
    t_str(&p, "customer", c->customer);
    t_str(&p, "endpoint", c->endpoint);
    payload_str(&p, "event", STR("request"));
    t_str(&p, "id", c->id);
    t_str(&p, "key", c->key);
    t_str(&p, "model", c->model);
    t_str(&p, "org", c->org);
    payload_str(&p, "phase", STR("open"));
    t_str(&p, "provider", c->provider);
    payload_int(&p, "reserved", c->reserved);
    t_scopes(&p, c);
    t_str(&p, "team", c->team);
    payload_int(&p, "ts", c->ts);
    t_str(&p, "user", c->user);
    t_append(&p);
}

static inline void t_outcome(const struct t_call *c)
{
    struct buf b;
    struct payload p;

    buf_init(&b, JOURNAL_PAYLOAD_BYTES);
    payload_begin(&p, &b);
    payload_int(&p, "attempts", 1);
    t_int(&p, "booked", c->booked);
    t_int(&p, "cache_read", c->cache_read);
    payload_int(&p, "charged", c->charged);
    if (c->cost >= 0)
        payload_int(&p, "cost", c->cost);
    t_str(&p, "customer", c->customer);
    t_str(&p, "endpoint", c->endpoint);
    t_str(&p, "error", c->error);
    payload_str(&p, "event", STR("request"));
    t_str(&p, "id", c->id);
    if (c->in >= 0)
        payload_int(&p, "in", c->in);
    t_str(&p, "key", c->key);
    payload_int(&p, "latency_us", c->latency_us);
    t_str(&p, "model", c->model);
    t_str(&p, "model_asked", c->model_asked);
    t_str(&p, "org", c->org);
    if (c->out >= 0)
        payload_int(&p, "out", c->out);
    payload_str(&p, "outcome", str_of(c->outcome ? c->outcome : "ok"));
    payload_str(&p, "phase", STR("outcome"));
    t_str(&p, "provider", c->provider);
    t_scopes(&p, c);
    payload_int(&p, "status", c->status ? c->status : 200);
    t_int(&p, "stream", c->stream);
    if (c->tags[0]) {
        payload_array(&p, "tags");
        for (unsigned i = 0; i < ARRAY_LEN(c->tags) && c->tags[i]; i++)
            payload_item_str(&p, str_of(c->tags[i]));
        payload_close(&p);
    }
    t_str(&p, "team", c->team);
    t_str(&p, "trace", c->trace);
    payload_int(&p, "ts", c->ts);
    t_str(&p, "user", c->user);
    t_append(&p);
}

/* --- the projection by hand --- */

/* Until all entries appended so far are synced. */
static inline void t_synced(uint64_t seq)
{
    int64_t deadline = clock_now() + 20 * NS_PER_S;

    while (journal_last_seq(T.journal) < seq && clock_now() < deadline)
        nanosleep(&(struct timespec){.tv_nsec = NS_PER_MS}, NULL);
}

static inline bool t_project(struct projection *p)
{
    char err[STORE_ERR_BYTES] = "";
    int r;

    while ((r = projection_step(p, err)) > 0)
        ;
    if (r < 0)
        fprintf(stderr, "# projection: %d %s\n", r, err);
    return r == 0;
}

static inline bool t_projection(struct projection *p)
{
    char err[STORE_ERR_BYTES] = "";

    *p = (struct projection){.set = t_settings()};
    int r = projection_open(p, err);
    if (r < 0)
        fprintf(stderr, "# projection_open: %d %s\n", r, err);
    return r == 0;
}

/* --- cases on both databases --- */

struct t_case {
    const char *name;
    void (*fn)(void);
};
static const struct t_case *t_current;

static _unused_ void t_run_case(void)
{
    t_begin();
    t_current->fn();
    t_end();
}

static inline void t_server(void)
{
    CHECK(pg_server_start(&T.pg));
}

static _unused_ void t_run(const struct t_case *cases, unsigned n)
{
    char name[160];

    for (int k = STORE_SQLITE; k <= STORE_POSTGRES; k++) {
        T.kind = (enum store_kind)k;
        if (k == STORE_POSTGRES)
            tap_run("the PostgreSQL server starts", t_server);
        for (unsigned i = 0; i < n; i++) {
            snprintf(name, sizeof name, "%s: %s", k ? "postgres" : "sqlite", cases[i].name);
            t_current = &cases[i];
            tap_run(name, t_run_case);
        }
        if (k == STORE_POSTGRES)
            pg_server_stop(&T.pg);
    }
}

#define T_CASE(fn)                                                                                 \
    {                                                                                              \
#fn, fn                                                                                    \
    }

#endif
