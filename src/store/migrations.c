/*
 * Migrations: the numbered steps that bring a database to the schema of this program. Each is one
 * file migrations/NNN_subject.sql, put into the program at build time; adding the file is all it
 * takes (a released file never changes). Forward only: a database that knows a number beyond the
 * program's last is refused.
 *
 * All steps that are missing are done in one transaction, which only one node at a time can be in:
 * BEGIN IMMEDIATE in SQLite, an advisory lock in PostgreSQL. A node that had to wait finds them
 * done. schema_migrations holds what was applied; a number below the last that is missing is
 * applied as well.
 *
 * What the files may say, so that both databases read it alike (tools/embed_migrations.py refuses
 * the rest):
 *   types           INTEGER (64 bits), TEXT (UTF-8, sorts by bytes), BLOB. No REAL, no booleans (0
 *                   and 1), no dates (wall-clock nanoseconds). SQLite's tables are made STRICT.
 *   ids             TEXT PRIMARY KEY, or INTEGER PRIMARY KEY AUTOINCREMENT (whose numbers, in
 *                   PostgreSQL, become visible out of order)
 *   constraints     NOT NULL, UNIQUE, PRIMARY KEY (a, b), CHECK, REFERENCES … ON DELETE CASCADE
 *   statements      CREATE TABLE, CREATE [UNIQUE] INDEX … [WHERE …], ALTER TABLE … ADD COLUMN /
 *                   RENAME, DROP TABLE / INDEX, INSERT, UPDATE, DELETE. Each ends with ';', which
 * may not stand in a string. Comments begin with --. not             triggers, views, quoted names,
 * INSERT OR REPLACE, columns named like a type
 *
 * Statements elsewhere: the same types; LIKE minds the case; lower() and upper() know ASCII alone;
 * say NULLS FIRST or LAST where NULLs are sorted; GROUP BY names every plain column; a parameter
 * that is only compared with NULL needs CAST(?1 AS TEXT); sums that leave 64 bits fail.
 */
#include "store/store_int.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static int run(const struct migrate_ops *ops, void *conn, const char *sql, char *err)
{
    if (!ops->postgres)
        return ops->run(conn, sql, NULL, err);
    unsigned params;
    char *text = dialect_postgres(sql, DIALECT_MIGRATION, &params);
    int r = text ? ops->run(conn, text, NULL, err) : -ENOMEM;
    free(text);
    return r;
}

static bool is_applied(const struct store_rows *applied, unsigned number)
{
    for (unsigned i = 0; i < store_rows_n(applied); i++)
        if (store_cell_int(applied, i, 0) == number)
            return true;
    return false;
}

/* applied is sorted. */
static int check_not_newer(const struct store_rows *applied, unsigned last, char *err)
{
    unsigned n = store_rows_n(applied);
    if (n == 0 || store_cell_int(applied, n - 1, 0) <= last)
        return 0;
    struct str name = store_cell_str(applied, n - 1, 1);
    store_say(err,
        "the database is at schema %" PRId64 " (" STR_FMT
        "), which a newer version of Smartflow made; this one knows up to %u: start the newer "
        "version, or restore a backup from before the update",
        store_cell_int(applied, n - 1, 0), (int)MIN(name.n, 64), name.p, last);
    return -EPROTO;
}

static int apply_one(
    const struct migrate_ops *ops, void *conn, const struct migration *m, char *err)
{
    char note[256], why[STORE_ERR_BYTES];
    int r = run(ops, conn, m->sql, why);
    if (r == 0) {
        snprintf(note, sizeof note,
            "INSERT INTO schema_migrations (number, name, applied_at) VALUES (%u, '%s', %" PRId64
            ")",
            m->number, m->name, clock_wall());
        r = run(ops, conn, note, why);
    }
    if (r < 0)
        store_say(err, "migration %u (%s): %s", m->number, m->name, why);
    return r;
}

static int apply_missing(const struct migrate_ops *ops, void *conn, char *err)
{
    unsigned n;
    const struct migration *all = store_migrations(&n);
    _cleanup_(store_rows_freep) struct store_rows *applied = NULL;
    int r = run(ops, conn,
        "CREATE TABLE IF NOT EXISTS schema_migrations (number INTEGER PRIMARY KEY, "
        "name TEXT NOT NULL, applied_at INTEGER NOT NULL)",
        err);
    if (r == 0)
        r = ops->run(
            conn, "SELECT number, name FROM schema_migrations ORDER BY number", &applied, err);
    if (r == 0)
        r = check_not_newer(applied, all[n - 1].number, err);
    for (unsigned i = 0; i < n && r == 0; i++)
        if (!is_applied(applied, all[i].number))
            r = apply_one(ops, conn, &all[i], err);
    return r;
}

int migrations_apply(const struct migrate_ops *ops, void *conn, char *err)
{
    int r = ops->run(conn, ops->begin, NULL, err);
    if (r < 0)
        return r;
    r = apply_missing(ops, conn, err);
    if (r == 0)
        r = ops->run(conn, "COMMIT", NULL, err);
    if (r < 0)
        (void)ops->run(conn, "ROLLBACK", NULL, NULL);
    return r;
}
