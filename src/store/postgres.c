/*
 * The PostgreSQL driver's entrance: a call takes a connection, runs on it, gives it back. When the
 * connection was lost before anything could have been done (or the statement only reads), and
 * after a deadlock, the call is done once more; what may have been done is never repeated.
 */
#include "runtime/co.h"
#include "store/postgres_int.h"
#include <errno.h>
#include <stdlib.h>

#define MIGRATION_LOCK                                                                             \
    "7310581204996247113" /* the advisory lock's number: any, always the same                      \
                           */

struct postgres {
    struct pg_pool pool;
};

/* --- calls --- */

int postgres_call(struct store *s, struct store_call *call)
{
    struct pg_pool *pool = &s->postgres->pool;
    bool again = true;
    int r = -EHOSTDOWN;
    for (int attempt = 0; attempt < 2 && again; attempt++) {
        struct pg_conn *c;
        r = pg_pool_take(pool, call->deadline, &c, call->err);
        if (r < 0)
            break;
        r = pg_run(c, call, &again);
        pg_pool_give(pool, c);
    }
    if (r != -ETIMEDOUT && r != -ECANCELED) /* those say nothing about it */
        atomic_store(&s->up, r != -EHOSTDOWN);
    return r;
}

/* --- opening --- */

struct migrating {
    struct pg_conn *c;
    int64_t deadline;
};

static int run_script(void *conn, const char *script, struct store_rows **ret_rows, char *err)
{
    struct migrating *m = conn;
    return pg_conn_script(m->c, script, m->deadline, ret_rows, err);
}

static int migrate(struct pg_conn *c, int64_t deadline, char *err)
{
    static const struct migrate_ops ops = {
        .postgres = true,
        .begin = "BEGIN; SET LOCAL statement_timeout = 0; "
                 "SELECT pg_advisory_xact_lock(" MIGRATION_LOCK ")",
        .run = run_script,
    };
    struct migrating m = {.c = c, .deadline = deadline};
    return migrations_apply(&ops, &m, err);
}

int postgres_open(struct store *s, const struct store_settings *set, char *err)
{
    struct postgres *p = calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    s->postgres = p;
    pg_pool_init(&p->pool, set->connections, s->timeout);
    int r = pq_load(err);
    if (r == 0)
        r = pg_url_parse(&p->pool.url, &set->database_url, err);
    struct pg_conn *c = NULL;
    if (r == 0)
        r = pg_pool_take(&p->pool, clock_now() + CALL_NS, &c, err);
    if (r < 0)
        return r;
    r = migrate(c, clock_now() + OPEN_NS, err);
    pg_pool_give(&p->pool, c);
    return r;
}

void postgres_close(struct postgres *p)
{
    pg_pool_free(&p->pool);
    free(p);
}
