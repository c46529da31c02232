/*
 * The inside of the SQLite driver. A connection belongs to one thread; see sqlite.c for the
 * threads.
 */
#ifndef SF_STORE_SQLITE_INT_H
#define SF_STORE_SQLITE_INT_H

#include "store/store_int.h"
#include <sqlite3.h>

enum sqlite_role { SQLITE_WRITES, SQLITE_READS };

struct sqlite_conn;
int sqlite_conn_open(const char *path, enum sqlite_role role, struct sqlite_conn **ret, char *err);
void sqlite_conn_close(struct sqlite_conn *c);
int sqlite_conn_migrate(struct sqlite_conn *c, char *err);

/* What runs is interrupted at the deadline, or when the latch's waiter (may be NULL) has left. */
void sqlite_conn_limit(struct sqlite_conn *c, int64_t deadline, struct latch *latch);
/* A reader that is given a statement that writes does nothing and returns this. */
#define SQLITE_NEEDS_WRITER 1
/* 0 or -errno with call->err; -EIO and up = false when the file itself cannot be used. */
int sqlite_conn_run(struct sqlite_conn *c, struct store_call *call);
bool sqlite_conn_is_up(const struct sqlite_conn *c); /* the last call met no fault of the file */

/* --- sqlite_memory.c --- */

void sqlite_memory_configure(void); /* before anything else of SQLite */
/* Gives back what this thread keeps. */
void sqlite_memory_thread_end(void);

/* Blocks; latch as above. */
int sqlite_copy(const char *from, const char *to, int64_t deadline, struct latch *latch, char *err);

#endif
