/*
 * The durable store: what must last (keys, teams, settings, the vault, log rows, sums). Two drivers
 * behind one interface: SQLite in the data folder (the default) and PostgreSQL. No caller knows
 * which one it has: the SQL is the same, with parameters ?1 … ?n that are bound, never pasted.
 *
 * SQL that both take: INTEGER means 64 bits in both (the driver writes BIGINT for PostgreSQL in
 * migrations), TEXT, BLOB (BYTEA), no REAL, no booleans (0 and 1), ON CONFLICT … DO UPDATE,
 * RETURNING, LIMIT ?n, window functions. Times are wall-clock nanoseconds, money is nano-dollars.
 *
 * Every call suspends the coroutine that makes it (SQLite runs on threads of its own, PostgreSQL on
 * a pool of non-blocking connections) and has a deadline. Results are whole and bounded by
 * STORE_ROWS_BYTES. A plain thread without a loop may call too: it then waits. Not from loop
 * callbacks (timers, posts), which must not wait.
 *
 * Errors: -EHOSTDOWN the database cannot be reached (or was lost in the middle: what writes may
 * then have been done or not, its own rows must tell; the same after -ETIMEDOUT and -ECANCELED),
 * -EEXIST a unique constraint, -EAGAIN a batch's expectation failed and nothing was done, -EINVAL a
 * STORE_TEXT that is not UTF-8 or holds NUL, -EMSGSIZE, -EIO anything else; the text of the
 * database goes into err for the log and never to a client.
 *
 * What was answered with 0 is on disk. What the SQL may say, in migrations and elsewhere, stands in
 * store/migrations.c.
 */
#ifndef SF_STORE_STORE_H
#define SF_STORE_STORE_H

#include "base/secret.h"
#include "base/str.h"
#include <stddef.h>
#include <stdint.h>

struct store;

enum store_kind { STORE_SQLITE, STORE_POSTGRES };

struct store_settings {
    struct str data_dir;        /* SQLite: smartflow.db in it */
    struct secret database_url; /* postgres://…; empty = SQLite. Holds a password. */
    unsigned connections;       /* PostgreSQL: at most so many; 0 = 8 */
    int64_t timeout;            /* of one call, ns; 0 = 10 s */
};

/* Opens, checks and migrates forward; a schema newer than the program is refused (-EPROTO). Blocks;
 * before the loops run. On failure err says what to do, without the password. */
int store_open(const struct store_settings *s, struct store **ret, char *err, size_t err_n);
/* After the loops have ended (loop_run() returned), before loop_free(). NULL is fine. */
void store_close(struct store *s);
enum store_kind store_kind(const struct store *s);
/* Whether the last call reached the database; what is shown in readiness. Any thread. */
bool store_is_up(const struct store *s);

enum store_type { STORE_NULL, STORE_INT, STORE_TEXT, STORE_BLOB };

struct store_value {
    enum store_type type;
    int64_t n;    /* STORE_INT */
    struct str s; /* STORE_TEXT, STORE_BLOB */
};

static inline struct store_value store_null(void)
{
    return (struct store_value){.type = STORE_NULL};
}
static inline struct store_value store_int(int64_t n)
{
    return (struct store_value){.type = STORE_INT, .n = n};
}
static inline struct store_value store_text(struct str s)
{
    return (struct store_value){.type = STORE_TEXT, .s = s};
}
static inline struct store_value store_blob(struct str s)
{
    return (struct store_value){.type = STORE_BLOB, .s = s};
}

/* A result: all rows, in one piece of memory that store_rows_free() gives back (NULL is fine). */
struct store_rows;
unsigned store_rows_n(const struct store_rows *r);
unsigned store_columns_n(const struct store_rows *r);
struct str store_column_name(const struct store_rows *r, unsigned column);
/* Row and column must exist. */
const struct store_value *store_cell(const struct store_rows *r, unsigned row, unsigned column);
int64_t store_cell_int(const struct store_rows *r, unsigned row, unsigned column); /* NULL = 0 */
struct str store_cell_str(const struct store_rows *r, unsigned row, unsigned column);
void store_rows_free(struct store_rows *r);
static inline void store_rows_freep(struct store_rows **r)
{
    store_rows_free(*r);
}

#define STORE_ROWS_BYTES ((size_t)64 << 20)
#define STORE_ERR_BYTES  256

/* A SELECT, or a statement with RETURNING. ret_rows may be NULL. err (STORE_ERR_BYTES, may be
 * NULL). */
int store_query(struct store *s, const char *sql, const struct store_value *params, unsigned n,
    struct store_rows **ret_rows, char *err);
/* Any other statement; ret_changed (may be NULL): rows changed. */
int store_exec(struct store *s, const char *sql, const struct store_value *params, unsigned n,
    int64_t *ret_changed, char *err);

/*
 * A batch: statements that are done all or not at all, in one transaction. Values and texts are
 * copied when they are added, so that what they came from may go.
 */
struct store_batch;
int store_batch_new(struct store_batch **ret);
void store_batch_free(struct store_batch *b);
static inline void store_batch_freep(struct store_batch **b)
{
    store_batch_free(*b);
}
enum { STORE_EXPECT_ONE = 1 }; /* must change exactly one row, else all is undone: -EAGAIN */
/* sql must be a literal (a caller that is cancelled may go before the batch is done with). The same
 * statement many times over (bulk rows) is cheap: it is prepared once, and sent in a pipeline.
 * Nothing is added to a batch that was run; it may be run again. -ENOMEM, -EMSGSIZE, -EINVAL. */
int store_batch_add(struct store_batch *b, const char *sql, const struct store_value *params,
    unsigned n, unsigned flags);
/* Adds a row to the table `changes`, the feed that replicas poll; last in the batch, as it makes
 * other writers of changes wait until the commit. Numbers become visible in their order. kind is a
 * literal. */
int store_batch_add_change(struct store_batch *b, const char *kind, struct str id);
unsigned store_batch_n(const struct store_batch *b);
int store_batch_run(struct store *s, struct store_batch *b, char *err);

/* A consistent copy while the gateway runs: SQLite into one file, which must not be there yet
 * (-EEXIST) and is whole when it appears. Its only deadline is the coroutine's. PostgreSQL:
 * -EOPNOTSUPP, since its own tools do that. */
int store_backup(struct store *s, const char *path, char *err);

/* The numbered migrations, in order: store/migrations/NNN_subject.sql, one file each, for both
 * drivers. See store/migrations.c for what they may say. */
struct migration {
    unsigned number;
    const char *name;
    const char *sql; /* statements separated by ';' */
};
const struct migration *store_migrations(unsigned *ret_n);

#endif
