/*
 * The inside of the durable store: what its two drivers share. A call is a list of statements with
 * a deadline; a driver gives back rows or a count, an errno, and the database's own words for the
 * log.
 *
 *   store.c            the entrance: checks values, picks the driver
 *   store_rows.c       results: built row by row, bounded by STORE_ROWS_BYTES
 *   store_batch.c      batches: statements with copies of their values; counted references, because
 *                      a driver's thread may still read one whose caller has gone
 *   store_latch.c      how a caller, coroutine or plain thread, waits for another thread
 *   store_dialect.c    the same SQL in PostgreSQL's words
 *   migrations.c       brings a schema forward, on a connection of either driver
 *   sqlite*.c          threads that own connections, and a queue before them
 *   postgres*.c        a pool of non-blocking connections that callers take in turn
 */
#ifndef SF_STORE_STORE_INT_H
#define SF_STORE_STORE_INT_H

#include "base/buf.h"
#include "base/clock.h"
#include "store/store.h"
#include <stdatomic.h>

#define CALL_NS   (10 * NS_PER_S) /* settings.timeout when it is 0 */
#define OPEN_NS   (60 * NS_PER_S) /* opening: waiting for another node's migrations included */
#define QUEUE_MAX 16384           /* calls that wait for a SQLite thread */

struct sqlite;
struct postgres;

struct store {
    enum store_kind kind;
    int64_t timeout;
    atomic_bool up;
    struct sqlite *sqlite;
    struct postgres *postgres;
};

struct store_stmt {
    const char *sql;
    const struct store_value *params;
    unsigned n;
    unsigned flags; /* STORE_EXPECT_ONE */
};

/* One call, on its way through a driver. */
struct store_call {
    const struct store_stmt *stmts; /* one, unless in a transaction */
    unsigned n;
    struct store_batch *batch; /* that they lie in; NULL: in the caller's own memory */
    bool transaction;
    bool want_rows; /* of the one statement */
    int64_t deadline;
    /* what comes out */
    struct store_rows *rows;
    int64_t changed;
    char err[STORE_ERR_BYTES];
};

void store_say(char *err, const char *fmt, ...) _printf_(2, 3); /* err may be NULL */
int store_check_params(const struct store_value *params, unsigned n, char *err); /* -EINVAL */
/* What a statement is by its first word: SELECT changes nothing, WITH may change something. */
bool store_sql_begins(const char *sql, const char *word);
void *store_vector_room(void *p, unsigned n, unsigned *cap, size_t item); /* NULL: no memory */

/* --- store_rows.c: a result while it is built. Any failure sticks in b->err. --- */

struct rows_builder {
    struct buf bytes;          /* names and values, one behind the other */
    struct store_value *cells; /* s.p holds an offset into bytes until the end */
    struct str *names;
    unsigned n_cells, cap_cells, columns;
    int err; /* -ENOMEM, -EMSGSIZE */
};

void rows_init(struct rows_builder *b);
void rows_column(struct rows_builder *b, struct str name);
void rows_cell(struct rows_builder *b, struct store_value v); /* row by row; copies */
int rows_finish(struct rows_builder *b, struct store_rows **ret);
void rows_drop(struct rows_builder *b); /* also after rows_finish() */

/* --- store_batch.c --- */

const struct store_stmt *batch_stmts(const struct store_batch *b);
struct store_batch *batch_ref(struct store_batch *b); /* given back by store_batch_free() */
int batch_add_copy(struct store_batch *b, const struct store_stmt *s); /* copies the SQL as well */

/* --- store_latch.c: opened once, by any thread; one caller waits for it. --- */

struct latch;
struct latch *latch_new(void);    /* by who will wait; two references: the waiter's, the opener's */
void latch_open(struct latch *l); /* gives up the opener's reference */
int latch_wait(struct latch *l, int64_t deadline); /* 0, -ETIMEDOUT, -ECANCELED */
bool latch_left(struct latch *l);                  /* the opener asks: nobody waits any more */
void latch_unref(struct latch *l);

/* --- store_dialect.c --- */

enum dialect_use { DIALECT_STATEMENT, DIALECT_MIGRATION };
/* The same in PostgreSQL's words; the caller frees it. NULL: no memory. ret_params: the highest ?n.
 */
char *dialect_postgres(const char *sql, enum dialect_use use, unsigned *ret_params);

/* --- migrations.c: brings the schema forward over one connection. --- */

struct migrate_ops {
    bool postgres;
    const char *begin; /* the transaction that only one node can be in */
    /* Runs a script without parameters; rows of its last statement. */
    int (*run)(void *conn, const char *script, struct store_rows **ret_rows, char *err);
};

/* 0; -EPROTO: the schema is newer than the program; or what ops->run said. */
int migrations_apply(const struct migrate_ops *ops, void *conn, char *err);

/* --- the drivers --- */

int sqlite_open(struct store *s, struct str data_dir, char *err);
void sqlite_close(struct sqlite *q);
int sqlite_call(struct store *s, struct store_call *call);
int sqlite_backup(struct store *s, const char *path, int64_t deadline, char *err);

int postgres_open(struct store *s, const struct store_settings *set, char *err);
void postgres_close(struct postgres *p);
int postgres_call(struct store *s, struct store_call *call);

#endif
