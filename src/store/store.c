/*
 * The durable store's entrance: checks what is bound, gives each call its deadline and hands it to
 * the driver. Texts must be UTF-8 without NUL here already, because PostgreSQL refuses others and
 * SQLite would not.
 */
#include "base/utf8.h"
#include "runtime/co.h"
#include "store/store_int.h"
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

/* --- small things that all of the folder uses --- */

void store_say(char *err, const char *fmt, ...)
{
    if (!err)
        return;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(err, STORE_ERR_BYTES, fmt, ap);
    va_end(ap);
}

bool store_sql_begins(const char *sql, const char *word)
{
    size_t n = strlen(word);
    sql += strspn(sql, " \t\r\n(");
    return strncasecmp(sql, word, n) == 0 && !isalnum((unsigned char)sql[n]);
}

void *store_vector_room(void *p, unsigned n, unsigned *cap, size_t item)
{
    if (n < *cap)
        return p;
    unsigned more = *cap ? *cap + *cap / 2 : 16;
    void *new = more > *cap ? realloc(p, more * item) : NULL;
    if (new)
        *cap = more;
    return new;
}

/* --- life --- */

int store_open(const struct store_settings *set, struct store **ret, char *err, size_t err_n)
{
    char why[STORE_ERR_BYTES] = "";
    struct store *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    s->kind = secret_is_set(&set->database_url) ? STORE_POSTGRES : STORE_SQLITE;
    s->timeout = set->timeout > 0 ? set->timeout : CALL_NS;
    atomic_init(&s->up, true);
    int r =
        s->kind == STORE_SQLITE ? sqlite_open(s, set->data_dir, why) : postgres_open(s, set, why);
    if (r < 0) {
        snprintf(err, err_n, "%s", why);
        store_close(s);
        return r;
    }
    *ret = s;
    return 0;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    if (s->sqlite)
        sqlite_close(s->sqlite);
    if (s->postgres)
        postgres_close(s->postgres);
    free(s);
}

enum store_kind store_kind(const struct store *s)
{
    return s->kind;
}

bool store_is_up(const struct store *s)
{
    return atomic_load(&s->up);
}

/* --- values --- */

static bool is_text(struct str s)
{
    size_t bad;
    for (size_t i = utf8_plain_run(s.p, s.n); i < s.n;) {
        size_t n = s.p[i] == '\0' ? 0 : utf8_step(s.p + i, s.n - i, &bad);
        if (n == 0)
            return false;
        i += n;
    }
    return true;
}

int store_check_params(const struct store_value *params, unsigned n, char *err)
{
    for (unsigned i = 0; i < n; i++)
        if (params[i].type == STORE_TEXT && !is_text(params[i].s)) {
            store_say(err, "parameter %u is not a text: bytes that are not UTF-8, or NUL", i + 1);
            return -EINVAL;
        }
    return 0;
}

/* --- calls --- */

static int64_t end_of_call(const struct store *s)
{
    int64_t deadline = clock_now() + s->timeout;
    return co_self() ? MIN(deadline, co_deadline()) : deadline;
}

/* A call whose caller is cancelled or late already begins nothing. (A wait that is over at once is
 * how a coroutine learns that it is cancelled, and does not mask it.) */
static int may_begin(int64_t deadline, char *err)
{
    int r = clock_now() >= deadline ? -ETIMEDOUT : 0;
    if (co_self() && co_park("store", 0) == -ECANCELED)
        r = -ECANCELED;
    if (r < 0)
        store_say(err, r == -ETIMEDOUT ? "the deadline has passed" : "cancelled");
    return r;
}

static int run(struct store *s, struct store_call *call, char *err)
{
    call->deadline = end_of_call(s);
    int r = may_begin(call->deadline, err);
    if (r < 0)
        return r;
    r = s->kind == STORE_SQLITE ? sqlite_call(s, call) : postgres_call(s, call);
    if (r < 0)
        store_say(err, "%s", call->err);
    return r;
}

int store_query(struct store *s, const char *sql, const struct store_value *params, unsigned n,
    struct store_rows **ret_rows, char *err)
{
    int r = store_check_params(params, n, err);
    if (r < 0)
        return r;
    struct store_stmt stmt = {.sql = sql, .params = params, .n = n};
    struct store_call call = {.stmts = &stmt, .n = 1, .want_rows = ret_rows != NULL};
    r = run(s, &call, err);
    if (r == 0 && ret_rows)
        *ret_rows = call.rows;
    return r;
}

int store_exec(struct store *s, const char *sql, const struct store_value *params, unsigned n,
    int64_t *ret_changed, char *err)
{
    int r = store_check_params(params, n, err);
    if (r < 0)
        return r;
    struct store_stmt stmt = {.sql = sql, .params = params, .n = n};
    struct store_call call = {.stmts = &stmt, .n = 1};
    r = run(s, &call, err);
    if (r == 0 && ret_changed)
        *ret_changed = call.changed;
    return r;
}

int store_batch_run(struct store *s, struct store_batch *b, char *err)
{
    if (store_batch_n(b) == 0)
        return 0;
    _cleanup_(store_batch_freep) struct store_batch *held = batch_ref(b);
    struct store_call call = {
        .batch = held, .stmts = batch_stmts(held), .n = store_batch_n(held), .transaction = true};
    return run(s, &call, err);
}

int store_backup(struct store *s, const char *path, char *err)
{
    if (s->kind == STORE_SQLITE)
        return sqlite_backup(s, path, co_self() ? co_deadline() : NEVER_NS, err);
    store_say(err, "PostgreSQL is backed up with its own tools: pg_dump, or a base backup");
    return -EOPNOTSUPP;
}
