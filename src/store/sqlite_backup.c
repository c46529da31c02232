/*
 * A copy of the database while it is in use, by SQLite's backup interface. The source is held at
 * one snapshot by an open read transaction, so that writers neither wait nor make the copy begin
 * anew. The copy is made beside its place, synced, and put there by its name only when it is whole;
 * it is one file without a WAL. What is already there is never overwritten.
 */
#include "store/sqlite_int.h"
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PAGES_AT_A_TIME 256

static int fail(sqlite3 *db, char *err)
{
    int code = sqlite3_errcode(db) & 0xff;
    store_say(err, "SQLite: %s", sqlite3_errmsg(db));
    return code == SQLITE_NOMEM ? -ENOMEM : -EIO;
}

static int exec(sqlite3 *db, const char *sql, char *err)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(db, err);
}

static int copy_pages(sqlite3_backup *b, int64_t deadline, struct latch *latch, char *err)
{
    int code = SQLITE_OK;
    while (code == SQLITE_OK) {
        if (latch_left(latch) || clock_now() >= deadline) {
            store_say(err, "the deadline passed");
            return -ETIMEDOUT;
        }
        code = sqlite3_backup_step(b, PAGES_AT_A_TIME);
    }
    if (code == SQLITE_DONE)
        return 0;
    store_say(err, "SQLite: %s", sqlite3_errstr(code));
    return -EIO;
}

static int copy_database(
    sqlite3 *src, sqlite3 *dst, int64_t deadline, struct latch *latch, char *err)
{
    int r = exec(src, "BEGIN; SELECT count(*) FROM sqlite_schema", err);
    if (r < 0)
        return r;
    sqlite3_backup *b = sqlite3_backup_init(dst, "main", src, "main");
    if (!b)
        return fail(dst, err);
    r = copy_pages(b, deadline, latch, err);
    if (sqlite3_backup_finish(b) != SQLITE_OK && r == 0)
        r = fail(dst, err);
    (void)exec(src, "ROLLBACK", NULL);
    return r == 0 ? exec(dst, "PRAGMA journal_mode=DELETE", err) : r;
}

static int copy_to(
    const char *from, const char *part, int64_t deadline, struct latch *latch, char *err)
{
    sqlite3 *src = NULL, *dst = NULL;
    int r = 0;
    if (sqlite3_open_v2(from, &src, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        r = fail(src, err);
    else if (sqlite3_open_v2(part, &dst, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) !=
             SQLITE_OK)
        r = fail(dst, err);
    if (r == 0)
        r = copy_database(src, dst, deadline, latch, err);
    (void)sqlite3_close(src);
    if (sqlite3_close(dst) != SQLITE_OK && r == 0)
        r = -EIO;
    return r;
}

/* The rename itself must last as well. */
static int sync_folder_of(const char *path)
{
    char *copy = str_dup(str_of(path));
    int fd = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    int r = fd >= 0 && fsync(fd) == 0 ? 0 : -EIO;
    if (fd >= 0)
        close(fd);
    free(copy);
    return r;
}

static int put_in_place(const char *part, const char *to, char *err)
{
    if (renameat2(AT_FDCWD, part, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return sync_folder_of(to);
    int r = -errno;
    store_say(err, "%s: %s", to, strerror(-r));
    return r;
}

int sqlite_copy(const char *from, const char *to, int64_t deadline, struct latch *latch, char *err)
{
    char *part = NULL;
    if (access(to, F_OK) == 0) {
        store_say(err, "%s is there already", to);
        return -EEXIST;
    }
    if (asprintf(&part, "%s.part-XXXXXX", to) < 0)
        return -ENOMEM;
    int fd = mkostemp(part, O_CLOEXEC), r = fd < 0 ? -errno : 0; /* 0600 */
    if (fd < 0) {
        store_say(err, "cannot make %s: %s", part, strerror(-r));
    } else {
        r = copy_to(from, part, deadline, latch, err);
        if (r == 0 && fsync(fd) < 0)
            r = -errno;
        close(fd);
        if (r == 0)
            r = put_in_place(part, to, err);
        if (r < 0)
            unlink(part);
    }
    free(part);
    return r;
}
