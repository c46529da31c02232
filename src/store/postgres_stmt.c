/*
 * Prepared statements and values. Each SQL text is translated and prepared once per connection and
 * found again by its text.
 *
 * Types are declared, never left to the server's guess: INTEGER int8 (sent as text), TEXT and BLOB
 * binary, so that they may hold anything. A parameter that was only NULL so far is left open; when
 * a value comes for it, the statement is prepared anew with what is known by then.
 *
 * Results come as text: sums of int8 are numeric, whose text is an integer's. What is a fraction,
 * or leaves 64 bits, is refused like SQLite's REAL.
 */
#include "store/postgres_int.h"
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    OID_BOOL = 16,
    OID_BYTEA = 17,
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_TEXT = 25,
    OID_OID = 26,
    OID_FLOAT4 = 700,
    OID_FLOAT8 = 701,
    OID_NUMERIC = 1700
};

/* --- binding --- */

/* Room for the values of one statement; libpq copies them when it queues it. */
struct pg_binding {
    unsigned room;
    const char **values;
    int *lengths, *formats;
    char (*digits)[24];
};

static void binding_free(struct pg_binding *b)
{
    if (!b)
        return;
    free(b->values);
    free(b->lengths);
    free(b->formats);
    free(b->digits);
    free(b);
}

static struct pg_binding *binding_new(unsigned n)
{
    struct pg_binding *b = calloc(1, sizeof *b);
    if (!b)
        return NULL;
    b->room = MAX(n, 16);
    b->values = calloc(b->room, sizeof(*b->values));
    b->lengths = calloc(b->room, sizeof(*b->lengths));
    b->formats = calloc(b->room, sizeof(*b->formats));
    b->digits = calloc(b->room, sizeof(*b->digits));
    if (b->values && b->lengths && b->formats && b->digits)
        return b;
    binding_free(b);
    return NULL;
}

static void bind_one(struct pg_binding *b, unsigned i, const struct store_value *v)
{
    b->values[i] = NULL;
    b->lengths[i] = 0;
    b->formats[i] = v->type == STORE_TEXT || v->type == STORE_BLOB;
    if (v->type == STORE_INT) {
        snprintf(b->digits[i], sizeof b->digits[i], "%" PRId64, v->n);
        b->values[i] = b->digits[i];
    } else if (v->type != STORE_NULL) {
        b->values[i] = v->s.p ? v->s.p : "";
        b->lengths[i] = (int)v->s.n;
    }
}

static int bind_all(struct pg_conn *c, const struct store_stmt *s, char *err)
{
    if (!c->binding || c->binding->room < s->n) {
        binding_free(c->binding);
        c->binding = binding_new(s->n);
        if (!c->binding)
            return -ENOMEM;
    }
    for (unsigned i = 0; i < s->n; i++) {
        if (s->params[i].type > STORE_INT && s->params[i].s.n > INT32_MAX) {
            store_say(err, "parameter %u is too large", i + 1);
            return -EMSGSIZE;
        }
        bind_one(c->binding, i, &s->params[i]);
    }
    return 0;
}

/* --- preparing --- */

static Oid type_of(const struct store_value *v)
{
    static const Oid oids[] = {[STORE_NULL] = 0,
        [STORE_INT] = OID_INT8,
        [STORE_TEXT] = OID_TEXT,
        [STORE_BLOB] = OID_BYTEA};
    return oids[v->type];
}

static bool fits(const struct pg_stmt *p, const struct store_stmt *s)
{
    for (unsigned i = 0; i < s->n; i++)
        if (s->params[i].type != STORE_NULL && p->types[i] != type_of(&s->params[i]))
            return false;
    return true;
}

static void stmt_free(struct pg_stmt *p)
{
    if (p)
        free(p->sql);
    free(p);
}

void pg_stmts_free(struct pg_conn *c)
{
    struct str sql;
    void *p;
    for (size_t at = 0; map_next(&c->by_sql, &at, &sql, &p);)
        stmt_free(p);
    map_free(&c->by_sql);
    binding_free(c->binding);
    c->binding = NULL;
}

/* old (may be NULL): what was prepared before, with other types. */
static struct pg_stmt *stmt_new(
    struct pg_conn *c, const struct store_stmt *s, const struct pg_stmt *old)
{
    struct pg_stmt *p = calloc(1, sizeof *p + s->n * sizeof(p->types[0]));
    if (!p || !(p->sql = str_dup(str_of(s->sql)))) {
        stmt_free(p);
        return NULL;
    }
    snprintf(p->name, sizeof p->name, "s%u", c->n_prepared++);
    p->n = s->n;
    for (unsigned i = 0; i < s->n; i++)
        p->types[i] =
            s->params[i].type != STORE_NULL || !old ? type_of(&s->params[i]) : old->types[i];
    return p;
}

static int send_prepare(struct pg_conn *c, const struct pg_stmt *p, char *err)
{
    unsigned params;
    char *sql = dialect_postgres(p->sql, DIALECT_STATEMENT, &params);
    int r = sql ? 0 : -ENOMEM;
    if (sql && params != p->n) {
        store_say(err, "the statement has %u parameters, %u were given", params, p->n);
        r = -EIO;
    } else if (sql && !pq.PQsendPrepare(c->pg, p->name, sql, (int)p->n, p->types)) {
        r = pg_conn_lost(c, err);
    }
    free(sql);
    return r;
}

static int prepare(struct pg_conn *c, const struct pg_stmt *p, int64_t deadline, char *err)
{
    int r = send_prepare(c, p, err), first = 0;
    for (PGresult *res = NULL; r == 0; pq.PQclear(res)) {
        r = pg_conn_result(c, deadline, &res, first < 0 ? NULL : err);
        if (r < 0 || !res)
            break;
        int failed = pg_result_error(c, res, NULL, first < 0 ? NULL : err);
        first = first < 0 ? first : failed;
    }
    return r < 0 ? r : first;
}

int pg_stmt_prepare(struct pg_conn *c, const struct store_stmt *s, int64_t deadline, char *err)
{
    struct pg_stmt *old = map_get(&c->by_sql, str_of(s->sql));
    if (old && old->n == s->n && fits(old, s))
        return 0;
    struct pg_stmt *p = stmt_new(c, s, old && old->n == s->n ? old : NULL);
    int r = p ? prepare(c, p, deadline, err) : -ENOMEM;
    if (r == 0)
        r = map_put(&c->by_sql, str_of(p->sql), p, NULL);
    stmt_free(r < 0 ? p : old);
    return MIN(r, 0);
}

int pg_stmt_send(struct pg_conn *c, const struct store_stmt *s, char *err)
{
    const struct pg_stmt *p = map_get(&c->by_sql, str_of(s->sql));
    must(p && p->n == s->n);
    int r = bind_all(c, s, err);
    if (r < 0)
        return r;
    const struct pg_binding *b = c->binding;
    if (pq.PQsendQueryPrepared(c->pg, p->name, (int)s->n, b->values, b->lengths, b->formats, 0))
        return 0;
    return pg_conn_lost(c, err);
}

/* --- errors --- */

static const struct state {
    char code[6]; /* or its first two characters */
    int error;
    bool undone, broken;
} states[] = {
    {"23505", -EEXIST, false, false},    /* unique_violation */
    {"57014", -ETIMEDOUT, false, false}, /* query_canceled: statement_timeout */
    {"55P03", -ETIMEDOUT, false, false}, /* lock_not_available */
    {"40001", -EIO, true, false},        /* serialization_failure */
    {"40P01", -EIO, true, false},        /* deadlock_detected */
    {"0A000", -EIO, true, true}, /* cached plan must not change result type: another's migration */
    {"26000", -EIO, true, true}, /* the prepared statement has gone */
    {"25006", -EHOSTDOWN, true, true}, /* read only: a standby since a failover */
    {"57P", -EHOSTDOWN, false, true},  /* the server stops, starts or ended this connection */
    {"08", -EHOSTDOWN, false, true},
    {"53300", -EHOSTDOWN, false, true}, /* too_many_connections */
    {"53200", -ENOMEM, false, false},
};

int pg_result_error(struct pg_conn *c, const PGresult *res, bool *ret_undone, char *err)
{
    ExecStatusType status = pq.PQresultStatus(res);
    if (status != PGRES_FATAL_ERROR && status != PGRES_BAD_RESPONSE && status != PGRES_EMPTY_QUERY)
        return 0;
    const char *code = pq.PQresultErrorField(res, PG_DIAG_SQLSTATE);
    if (!code && pq.PQstatus(c->pg) == CONNECTION_BAD)
        return pg_conn_lost(c, err);
    const char *text = pq.PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);
    store_say(err, "PostgreSQL: %s (%s)", text ? text : "no statement", code ? code : "-");
    for (unsigned i = 0; code && i < ARRAY_LEN(states); i++)
        if (strncmp(code, states[i].code, strlen(states[i].code)) == 0) {
            c->broken |= states[i].broken;
            if (ret_undone)
                *ret_undone = states[i].undone;
            return states[i].error;
        }
    return -EIO;
}

/* --- results --- */

int64_t pg_result_changed(PGresult *res)
{
    if (strncmp(pq.PQcmdStatus(res), "SELECT", 6) == 0)
        return 0;
    return strtoll(pq.PQcmdTuples(res), NULL, 10);
}

static int parse_int(const char *text, struct store_value *ret)
{
    char *end;
    errno = 0;
    *ret = store_int(strtoll(text, &end, 10));
    return errno == 0 && end > text && *end == '\0' ? 0 : -EIO;
}

static int nibble(char c)
{
    return c >= 'a' ? c - 'a' + 10 : c - '0';
}

/* "\x00ff", decoded in its own place: the text is never longer than what it stands for. */
static struct str unhex(char *text, int n)
{
    size_t out = 0;
    for (int i = 2; i + 1 < n; i += 2)
        text[out++] = (char)(nibble(text[i]) << 4 | nibble(text[i + 1]));
    return str_at(text, out);
}

static int cell(const PGresult *res, int row, int column, struct store_value *ret)
{
    char *text = pq.PQgetvalue(res, row, column);
    int n = pq.PQgetlength(res, row, column);
    *ret = store_null();
    if (pq.PQgetisnull(res, row, column))
        return 0;
    switch (pq.PQftype(res, column)) {
    case OID_INT8:
    case OID_INT4:
    case OID_INT2:
    case OID_OID:
    case OID_NUMERIC:
        return parse_int(text, ret);
    case OID_FLOAT4:
    case OID_FLOAT8:
        return -EIO;
    case OID_BOOL:
        *ret = store_int(text[0] == 't');
        return 0;
    case OID_BYTEA:
        *ret = store_blob(unhex(text, n));
        return 0;
    default:
        *ret = store_text(str_at(text, (size_t)n));
        return 0;
    }
}

int pg_result_rows(const PGresult *res, struct rows_builder *rows, char *err)
{
    int columns = pq.PQnfields(res);
    for (int i = 0; rows->columns < (unsigned)columns && i < columns; i++)
        rows_column(rows, str_of(pq.PQfname(res, i)));
    for (int row = 0; row < pq.PQntuples(res); row++)
        for (int i = 0; i < columns; i++) {
            struct store_value v;
            if (cell(res, row, i, &v) < 0) {
                store_say(err, "column %s is not an integer", pq.PQfname(res, i));
                return -EIO;
            }
            rows_cell(rows, v);
        }
    if (rows->err == -EMSGSIZE)
        store_say(err, "the result has more than %zu bytes", STORE_ROWS_BYTES);
    return rows->err;
}
