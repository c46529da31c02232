/*
 * What is SQLite's alone: the file and its rights, another process that holds the lock, backups.
 * Every case of store_test.c runs over SQLite as well.
 */
#include "store/store_test.h"
#include <fcntl.h>
#include <sqlite3.h>

static const char *in_scratch(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", scratch, name);
    return path;
}

static void test_the_file_is_private(void)
{
    static const char *const names[] = {
        "data/smartflow.db", "data/smartflow.db-wal", "data/smartflow.db-shm"};
    struct stat st;
    CHECK_EQ(store_kind(S), STORE_SQLITE);
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        CHECK_EQ(stat(in_scratch(names[i]), &st), 0);
        CHECK_EQ(st.st_mode & 0777, 0600);
    }
    CHECK_EQ(stat(in_scratch("data"), &st), 0);
    CHECK_EQ(st.st_mode & 0777, 0700);
}

static void test_not_a_database(void)
{
    fresh_database();
    must(mkdir(where, 0700) == 0);
    FILE *f = fopen(in_scratch("data/smartflow.db"), "we");
    for (int i = 0; i < 500; i++)
        fputs("this is not a database\n", f);
    fclose(f);
    CHECK_EQ(reopen(0), -EIO);
    CHECK(strstr(err, in_scratch("data/smartflow.db")) && strstr(err, "not a database"));
}

static void test_no_folder_can_be_made(void)
{
    struct store *s = NULL;
    CHECK_EQ(open_at("/proc/none/of/this", 0, &s), -ENOENT);
    CHECK(strstr(err, "/proc/none/of/this") != NULL);
}

/* --- another process --- */

static sqlite3 *lock_it(void)
{
    sqlite3 *db = NULL;
    must(sqlite3_open(in_scratch("data/smartflow.db"), &db) == SQLITE_OK);
    must(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK);
    return db;
}

static int insert_soon(const char *sql)
{
    int64_t old = co_set_deadline(clock_now() + 150 * NS_PER_MS);
    int r = store_exec(S, sql, NULL, 0, NULL, err);
    co_set_deadline(old);
    return r;
}

static void while_locked(void)
{
    CHECK_EQ(insert_soon("INSERT INTO t (id) VALUES (1)"), -ETIMEDOUT);
    CHECK_EQ(count("SELECT count(*) FROM t"), 0); /* readers do not wait */
    CHECK_EQ(insert_soon("INSERT INTO t (id) VALUES (2)"), -ETIMEDOUT);
}

static void test_locked_by_another(void)
{
    sqlite3 *db = lock_it();
    in_loop(while_locked);
    sqlite3_close(db);
    /* The first had given up when the second came to its turn, and was not done later. */
    CHECK_EQ(store_exec(S, "INSERT INTO t (id) VALUES (1)", NULL, 0, NULL, err), 0);
}

static int insert_masked(void *arg)
{
    sqlite3 *db = arg;
    co_mask_cancel();
    co_cancel(co_self());
    sqlite3_close(db); /* from now on it can be done */
    int r = store_exec(S, "INSERT INTO t (id) VALUES (2)", NULL, 0, NULL, err);
    co_unmask_cancel();
    return r;
}

static sqlite3 *held;

static void masked(void)
{
    struct group g;
    group_init(&g, false);
    CHECK_EQ(group_spawn(&g, "masked", insert_masked, held), 0);
    CHECK_EQ(group_wait(&g, far()), 0);
    CHECK_EQ(count("SELECT count(*) FROM t WHERE id = 2"), 1);
}

static void test_masked_caller_is_not_cancelled(void)
{
    held = lock_it();
    in_loop(masked);
}

/* --- backups --- */

static atomic_bool writing;

static void *write_pairs(void *arg)
{
    for (int i = 0; atomic_load(&writing); i++) {
        _cleanup_(store_batch_freep) struct store_batch *b = NULL;
        must(store_batch_new(&b) == 0);
        for (int j = 0; j < 2; j++) {
            struct store_value row[] = {store_int(1000 + 2 * i + j), store_text(str_of(arg))};
            must(store_batch_add(b, "INSERT INTO t (id, s) VALUES (?1, ?2)", row, 2, 0) == 0);
        }
        must(store_batch_run(S, b, NULL) == 0);
    }
    return NULL;
}

/* One number of a file that nothing else has open; -1: it is no database. */
static int64_t count_in(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    int64_t n = -1;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) == SQLITE_OK &&
        sqlite3_step(stmt) == SQLITE_ROW)
        n = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    sqlite3_close(db);
    return n;
}

static void back_up_twice(void)
{
    CHECK_EQ(store_backup(S, in_scratch("one.db"), err), 0);
    CHECK_EQ(store_backup(S, in_scratch("one.db"), err), -EEXIST);
    CHECK(strstr(err, "one.db") != NULL);
    CHECK_EQ(store_backup(S, in_scratch("two.db"), err), 0);
    CHECK_EQ(store_backup(S, in_scratch("none/x.db"), err), -ENOENT);
}

static void test_backup_while_writing(void)
{
    static char text[2001];
    pthread_t writer;
    struct stat st;
    memset(text, 'x', 2000);
    atomic_store(&writing, true);
    must(pthread_create(&writer, NULL, write_pairs, text) == 0);
    while (count("SELECT count(*) FROM t") < 40)
        ;
    in_loop(back_up_twice);
    atomic_store(&writing, false);
    pthread_join(writer, NULL);
    int64_t one = count_in(in_scratch("one.db"), "SELECT count(*) FROM t");
    int64_t two = count_in(in_scratch("two.db"), "SELECT count(*) FROM t");
    CHECK(one >= 40 && one % 2 == 0); /* whole batches only */
    CHECK(two >= one && two % 2 == 0);
    CHECK_EQ(count_in(in_scratch("one.db"),
                 "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"),
        1);
    CHECK_EQ(stat(in_scratch("one.db"), &st), 0);
    CHECK_EQ(st.st_mode & 0777, 0600);
    CHECK(access(in_scratch("one.db-wal"), F_OK) < 0);
}

static void test_backup_opens_as_a_store(void)
{
    CHECK_EQ(store_exec(S, "INSERT INTO t (id) VALUES (77)", NULL, 0, NULL, err), 0);
    must(mkdir(in_scratch("copy"), 0700) == 0);
    CHECK_EQ(store_backup(S, in_scratch("copy/smartflow.db"), err), 0);
    store_close(S);
    CHECK_EQ(open_at(in_scratch("copy"), 0, &S), 0);
    CHECK_EQ(count("SELECT count(*) FROM t WHERE id = 77"), 1);
}

static int back_up_cancelled(void *arg)
{
    return store_backup(S, arg, NULL);
}

static void cancel_backup(void)
{
    struct group g;
    group_init(&g, false);
    CHECK_EQ(
        group_spawn(&g, "backup", back_up_cancelled, (void *)(uintptr_t)in_scratch("c.db")), 0);
    co_yield ();
    group_cancel(&g);
    int r = group_wait(&g, far());
    CHECK(r == -ECANCELED || r == 0);
}

/* Whenever the cancellation comes, a file that appears is whole, and none is left beside it. */
static void test_backup_cancelled(void)
{
    in_loop(cancel_backup);
    store_close(S); /* ends its threads */
    S = NULL;
    glob_t left;
    CHECK_EQ(glob(in_scratch("c.db.part-*"), 0, NULL, &left), GLOB_NOMATCH);
    if (access(in_scratch("c.db"), F_OK) == 0)
        CHECK_EQ(count_in(in_scratch("c.db"), "SELECT count(*) FROM t"), 0);
}

static const struct test_case cases[] = {
    CASE(test_the_file_is_private),
    CASE(test_not_a_database),
    CASE(test_no_folder_can_be_made),
    CASE(test_locked_by_another),
    CASE(test_masked_caller_is_not_cancelled),
    CASE(test_backup_while_writing),
    CASE(test_backup_opens_as_a_store),
    CASE(test_backup_cancelled),
};

int main(void)
{
    run_cases(STORE_SQLITE, cases, ARRAY_LEN(cases));
    return tap_done();
}
