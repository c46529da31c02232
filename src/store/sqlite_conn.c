/*
 * One SQLite connection, for one thread: its settings, its prepared statements, and a call on it.
 *
 * Durability: WAL with synchronous=FULL, one fsync per commit. NORMAL would be enough for sums and
 * log rows, since they can be made again from the journal, but it may lose the last commits with
 * the power: a key that was shown once, a revoked key that works again, a password in the vault.
 * Those who write many rows put them in one batch and so share its fsync; the others are people who
 * wait for an answer, and get it a few milliseconds later.
 *
 * Time: SQLite asks back every few thousand steps (progress handler) and while another process
 * holds the lock (busy handler); both end the call at its deadline or when its caller has left. An
 * fsync that hangs cannot be interrupted; the callers' own deadlines hold all the same.
 */
#include "base/list.h"
#include "base/map.h"
#include "store/sqlite_int.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define CACHED_STMTS   256
#define PROGRESS_STEPS 4000

struct cached {
    struct list used; /* longest unused first */
    sqlite3_stmt *stmt;
};

struct sqlite_conn {
    sqlite3 *db;
    enum sqlite_role role;
    struct map by_sql;
    struct list used;
    int64_t deadline;
    struct latch *latch;
    bool up;
};

/* --- limits --- */

void sqlite_conn_limit(struct sqlite_conn *c, int64_t deadline, struct latch *latch)
{
    c->deadline = deadline;
    c->latch = latch;
}

static bool over(const struct sqlite_conn *c)
{
    return (c->latch && latch_left(c->latch)) || clock_now() >= c->deadline;
}

static int on_progress(void *ctx)
{
    return over(ctx);
}

static int on_busy(void *ctx, int tries)
{
    struct timespec pause = {.tv_nsec = MIN(1 << MIN(tries, 4), 10) * NS_PER_MS};
    if (over(ctx))
        return 0;
    nanosleep(&pause, NULL);
    return !over(ctx);
}

bool sqlite_conn_is_up(const struct sqlite_conn *c)
{
    return c->up;
}

/* --- errors --- */

static int errno_of(struct sqlite_conn *c, int code)
{
    if (code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY ||
        code == SQLITE_CONSTRAINT_ROWID)
        return -EEXIST;
    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_INTERRUPT:
        return -ETIMEDOUT;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_TOOBIG:
        return -EMSGSIZE;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_FULL:
    case SQLITE_READONLY:
        c->up = false;
        return -EIO;
    default:
        return -EIO;
    }
}

static int fail(struct sqlite_conn *c, char *err)
{
    store_say(err, "SQLite: %s", sqlite3_errmsg(c->db));
    return errno_of(c, sqlite3_extended_errcode(c->db));
}

/* --- life --- */

/* SQLite would make it readable for all; it holds the hashes of keys. A file that is there is not
 * touched: closing any descriptor of it would drop the locks that this process has on it. */
static int make_private(const char *path, char *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST)
        return 0;
    if (fd < 0) {
        store_say(err, "cannot open %s: %s", path, strerror(errno));
        return -errno;
    }
    close(fd);
    return 0;
}

static int set_up(struct sqlite_conn *c, char *err)
{
    static const char common[] = "PRAGMA foreign_keys=ON; PRAGMA trusted_schema=OFF;"
                                 "PRAGMA case_sensitive_like=ON; PRAGMA synchronous=FULL;"
                                 "PRAGMA cache_size=-8000; PRAGMA temp_store=MEMORY;";
    sqlite3_busy_handler(c->db, on_busy, c);
    sqlite3_progress_handler(c->db, PROGRESS_STEPS, on_progress, c);
    if (c->role == SQLITE_WRITES && sqlite3_exec(c->db,
                                        "PRAGMA journal_mode=WAL; "
                                        "PRAGMA journal_size_limit=67108864;",
                                        NULL, NULL, NULL) != SQLITE_OK)
        return fail(c, err);
    if (sqlite3_exec(c->db, common, NULL, NULL, NULL) != SQLITE_OK)
        return fail(c, err);
    if (c->role == SQLITE_READS &&
        sqlite3_exec(c->db, "PRAGMA query_only=ON", NULL, NULL, NULL) != SQLITE_OK)
        return fail(c, err);
    return 0;
}

static pthread_once_t configured = PTHREAD_ONCE_INIT;

int sqlite_conn_open(const char *path, enum sqlite_role role, struct sqlite_conn **ret, char *err)
{
    int r = role == SQLITE_WRITES ? make_private(path, err) : 0;
    if (r < 0)
        return r;
    struct sqlite_conn *c = calloc(1, sizeof *c);
    if (!c)
        return -ENOMEM;
    c->role = role;
    c->up = true;
    map_init(&c->by_sql);
    list_init(&c->used);
    sqlite_conn_limit(c, clock_now() + OPEN_NS, NULL);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    pthread_once(&configured, sqlite_memory_configure);
    if (sqlite3_open_v2(path, &c->db, flags, NULL) != SQLITE_OK)
        r = c->db ? fail(c, err) : -ENOMEM;
    else
        r = set_up(c, err);
    if (r < 0) {
        sqlite_conn_close(c);
        return r;
    }
    *ret = c;
    return 0;
}

static void forget(struct sqlite_conn *c, struct cached *e)
{
    map_del(&c->by_sql, str_of(sqlite3_sql(e->stmt)));
    list_remove(&e->used);
    sqlite3_finalize(e->stmt);
    free(e);
}

void sqlite_conn_close(struct sqlite_conn *c)
{
    if (!c)
        return;
    list_each(&c->used, it) forget(c, list_entry(it, struct cached, used));
    map_free(&c->by_sql);
    (void)sqlite3_close(c->db);
    sqlite_memory_thread_end();
    free(c);
}

/* --- prepared statements --- */

static int keep(struct sqlite_conn *c, sqlite3_stmt *stmt)
{
    struct cached *e = calloc(1, sizeof *e);
    if (!e)
        return -ENOMEM;
    if (c->by_sql.n >= CACHED_STMTS)
        forget(c, list_entry(c->used.next, struct cached, used));
    e->stmt = stmt;
    if (map_put(&c->by_sql, str_of(sqlite3_sql(stmt)), e, NULL) < 0) {
        free(e);
        return -ENOMEM;
    }
    list_push_back(&c->used, &e->used);
    return 0;
}

/* The connection keeps it; reset it after use. */
static int prepare(struct sqlite_conn *c, const char *sql, sqlite3_stmt **ret, char *err)
{
    struct cached *e = map_get(&c->by_sql, str_of(sql));
    const char *rest = "";
    if (e) {
        list_remove(&e->used);
        list_push_back(&c->used, &e->used);
        *ret = e->stmt;
        return 0;
    }
    if (sqlite3_prepare_v3(c->db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, &rest) != SQLITE_OK)
        return fail(c, err);
    if (!*ret || rest[strspn(rest, "; \t\r\n")]) {
        sqlite3_finalize(*ret);
        store_say(err, "not one statement");
        return -EIO;
    }
    int r = keep(c, *ret);
    if (r < 0)
        sqlite3_finalize(*ret);
    return r;
}

static int bind_one(sqlite3_stmt *stmt, int at, const struct store_value *v)
{
    const char *p = v->s.p ? v->s.p : ""; /* a NULL pointer would bind NULL */
    switch (v->type) {
    case STORE_INT:
        return sqlite3_bind_int64(stmt, at, v->n);
    case STORE_TEXT:
        return sqlite3_bind_text64(stmt, at, p, v->s.n, SQLITE_STATIC, SQLITE_UTF8);
    case STORE_BLOB:
        return sqlite3_bind_blob64(stmt, at, p, v->s.n, SQLITE_STATIC);
    default:
        return sqlite3_bind_null(stmt, at);
    }
}

static int bind_all(
    struct sqlite_conn *c, sqlite3_stmt *stmt, const struct store_stmt *s, char *err)
{
    if ((unsigned)sqlite3_bind_parameter_count(stmt) != s->n) {
        store_say(err, "the statement has %d parameters, %u were given",
            sqlite3_bind_parameter_count(stmt), s->n);
        return -EIO;
    }
    for (unsigned i = 0; i < s->n; i++)
        if (bind_one(stmt, (int)i + 1, &s->params[i]) != SQLITE_OK)
            return fail(c, err);
    return 0;
}

/* --- rows --- */

static struct store_value column(sqlite3_stmt *stmt, int at)
{
    switch (sqlite3_column_type(stmt, at)) {
    case SQLITE_INTEGER:
        return store_int(sqlite3_column_int64(stmt, at));
    case SQLITE_NULL:
        return store_null();
    case SQLITE_BLOB: {
        const void *p = sqlite3_column_blob(stmt, at); /* first, then its length */
        return store_blob(str_at(p, (size_t)sqlite3_column_bytes(stmt, at)));
    }
    default: {
        const void *p = sqlite3_column_text(stmt, at);
        return store_text(str_at(p, (size_t)sqlite3_column_bytes(stmt, at)));
    }
    }
}

static int add_row(struct rows_builder *rows, sqlite3_stmt *stmt, char *err)
{
    for (int i = 0; i < sqlite3_column_count(stmt); i++) {
        if (sqlite3_column_type(stmt, i) == SQLITE_FLOAT) {
            store_say(err, "column %s is not an integer", sqlite3_column_name(stmt, i));
            return -EIO;
        }
        rows_cell(rows, column(stmt, i));
    }
    if (rows->err == -EMSGSIZE)
        store_say(err, "the result has more than %zu bytes", STORE_ROWS_BYTES);
    return rows->err;
}

/* rows NULL: not wanted */
static int step_all(struct sqlite_conn *c, sqlite3_stmt *stmt, struct rows_builder *rows, char *err)
{
    int code = sqlite3_step(stmt), r = 0;
    for (int i = 0; rows && i < sqlite3_column_count(stmt); i++)
        rows_column(rows, str_of(sqlite3_column_name(stmt, i)));
    for (; code == SQLITE_ROW && r == 0; code = r == 0 ? sqlite3_step(stmt) : code)
        r = rows ? add_row(rows, stmt, err) : 0;
    if (r < 0)
        return r;
    return code == SQLITE_DONE ? 0 : fail(c, err);
}

/* --- a call --- */

static int run_stmt(struct sqlite_conn *c, const struct store_stmt *s, struct rows_builder *rows,
    int64_t *ret_changed, char *err)
{
    sqlite3_stmt *stmt;
    int r = prepare(c, s->sql, &stmt, err);
    if (r < 0)
        return r;
    bool reads = sqlite3_stmt_readonly(stmt);
    if (c->role == SQLITE_READS && !reads)
        return SQLITE_NEEDS_WRITER;
    r = bind_all(c, stmt, s, err);
    if (r == 0)
        r = step_all(c, stmt, rows, err);
    *ret_changed = r < 0 || reads ? 0 : sqlite3_changes64(c->db);
    (void)sqlite3_reset(stmt);
    (void)sqlite3_clear_bindings(stmt); /* what was bound is about to go */
    return r;
}

static int run_plain(struct sqlite_conn *c, const char *sql, char *err)
{
    struct store_stmt s = {.sql = sql};
    int64_t changed;
    return run_stmt(c, &s, NULL, &changed, err);
}

static int run_all(struct sqlite_conn *c, struct store_call *call)
{
    for (unsigned i = 0; i < call->n; i++) {
        const struct store_stmt *s = &call->stmts[i];
        int64_t changed;
        int r = run_stmt(c, s, NULL, &changed, call->err);
        if (r < 0)
            return r;
        if ((s->flags & STORE_EXPECT_ONE) && changed != 1) {
            store_say(call->err, "statement %u changed %lld rows", i + 1, (long long)changed);
            return -EAGAIN;
        }
    }
    return 0;
}

static void roll_back(struct sqlite_conn *c)
{
    if (sqlite3_get_autocommit(c->db))
        return; /* SQLite has done so itself */
    sqlite_conn_limit(c, NEVER_NS, NULL);
    (void)run_plain(c, "ROLLBACK", NULL);
}

static int run_transaction(struct sqlite_conn *c, struct store_call *call)
{
    int r = run_plain(c, "BEGIN IMMEDIATE", call->err);
    if (r == 0)
        r = run_all(c, call);
    if (r == 0)
        r = run_plain(c, "COMMIT", call->err);
    if (r < 0)
        roll_back(c);
    return r;
}

int sqlite_conn_run(struct sqlite_conn *c, struct store_call *call)
{
    c->up = true;
    if (call->transaction)
        return run_transaction(c, call);
    struct rows_builder rows;
    rows_init(&rows);
    int r = run_stmt(c, &call->stmts[0], call->want_rows ? &rows : NULL, &call->changed, call->err);
    if (r == 0 && call->want_rows)
        r = rows_finish(&rows, &call->rows);
    rows_drop(&rows);
    return r;
}

/* --- migrations --- */

static int run_script(void *conn, const char *script, struct store_rows **ret_rows, char *err)
{
    struct sqlite_conn *c = conn;
    if (!ret_rows)
        return sqlite3_exec(c->db, script, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(c, err);
    struct store_stmt stmt = {.sql = script};
    struct store_call call = {.stmts = &stmt, .n = 1, .want_rows = true};
    int r = sqlite_conn_run(c, &call);
    if (r < 0)
        store_say(err, "%s", call.err);
    *ret_rows = call.rows;
    return r;
}

int sqlite_conn_migrate(struct sqlite_conn *c, char *err)
{
    static const struct migrate_ops ops = {.begin = "BEGIN IMMEDIATE", .run = run_script};
    sqlite_conn_limit(c, clock_now() + OPEN_NS, NULL);
    return migrations_apply(&ops, c, err);
}
