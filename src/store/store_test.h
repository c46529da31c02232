/*
 * What the store's tests share: a fresh, migrated database for each case, SQLite's in a scratch
 * folder or one of a PostgreSQL server that run_cases() starts; S is the open store. Included by
 * *_test.c alone.
 */
#ifndef SF_STORE_STORE_TEST_H
#define SF_STORE_STORE_TEST_H

#include "base/tap.h"
#include "runtime/offload.h"
#include "runtime/sync.h"
#include "runtime/test_loop.h"
#include "store/pg_server.h"
#include "store/store_int.h"
#include <errno.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

struct test_case {
    const char *names[2]; /* by enum store_kind */
    void (*fn)(void);
};
#define CASE(fn)                                                                                   \
    {                                                                                              \
        {"sqlite: " #fn, "postgres: " #fn}, fn                                                     \
    }

static struct store *S;
static char err[STORE_ERR_BYTES];
static enum store_kind kind;
static char scratch[64];         /* SQLite: smartflow.db lies in it */
static char where[PG_URL_BYTES]; /* the URL, or the folder */
static struct pg_server pg;
static unsigned n_databases;

/* The one number that a query gives; -1 when it fails. */
static _unused_ int64_t count(const char *sql)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    char why[STORE_ERR_BYTES] = "";
    int r = store_query(S, sql, NULL, 0, &rows, why);
    if (r < 0 || store_rows_n(rows) != 1)
        fprintf(stderr, "# %s: %d %s\n", sql, r, why);
    return r < 0 || store_rows_n(rows) != 1 ? -1 : store_cell_int(rows, 0, 0);
}

static inline int open_at(const char *place, int64_t timeout, struct store **ret)
{
    struct store_settings set = {.timeout = timeout, .connections = 4};
    if (strstr(place, "://"))
        must(secret_set(&set.database_url, str_of(place)) == 0);
    else
        set.data_dir = str_of(place);
    int r = store_open(&set, ret, err, sizeof err);
    secret_free(&set.database_url);
    return r;
}

static _unused_ int reopen(int64_t timeout)
{
    return open_at(where, timeout, &S);
}

static inline void remove_scratch(void)
{
    if (scratch[0])
        nftw(scratch, pg_remove_one, 16, FTW_DEPTH | FTW_PHYS);
    scratch[0] = '\0';
}

/* Closes what is open; `where` is an empty place then. */
static inline void fresh_database(void)
{
    store_close(S);
    S = NULL;
    remove_scratch();
    if (kind == STORE_POSTGRES) {
        char name[32];
        snprintf(name, sizeof name, "test%u", n_databases++);
        must(pg_server_new_db(&pg, name));
        pg_server_url(&pg, name, where);
        return;
    }
    snprintf(scratch, sizeof scratch, "/tmp/sf-store-XXXXXX");
    must(mkdtemp(scratch));
    snprintf(where, sizeof where, "%s/data", scratch);
}

static inline bool open_fresh(void)
{
    fresh_database();
    if (reopen(0) < 0 ||
        store_exec(S,
            "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER, s TEXT, b BLOB, u TEXT UNIQUE)",
            NULL, 0, NULL, err) < 0 ||
        store_exec(S, "CREATE TABLE child (t INTEGER NOT NULL REFERENCES t (id))", NULL, 0, NULL,
            err) < 0) {
        fprintf(stderr, "# open: %s\n", err);
        return false;
    }
    return true;
}

static const struct test_case *current;

static inline void run_case(void)
{
    CHECK(open_fresh());
    current->fn();
}

static inline void server_starts(void)
{
    CHECK(pg_server_start(&pg));
}

static _unused_ void run_cases(enum store_kind k, const struct test_case *cases, unsigned n)
{
    kind = k;
    if (k == STORE_POSTGRES)
        tap_run("the PostgreSQL server starts", server_starts);
    for (unsigned i = 0; i < n; i++) {
        current = &cases[i];
        tap_run(cases[i].names[k], run_case);
        store_close(S);
        S = NULL;
    }
    remove_scratch();
    if (k == STORE_POSTGRES)
        pg_server_stop(&pg);
}

/* --- other processes --- */

static _unused_ int open_and_close(const char *place)
{
    struct store *s = NULL;
    int r = open_at(place, 0, &s);
    if (r < 0)
        fprintf(stderr, "# %s\n", err);
    store_close(s);
    return r < 0;
}

static _unused_ pid_t spawn_self_open(void)
{
    char *argv[] = {"store_test", "--open", where, NULL};
    pid_t pid = -1;
    return posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ) == 0 ? pid : -1;
}

#endif
