/*
 * The durable store, every case over both databases: SQLite in a scratch folder and a PostgreSQL
 * server that the test starts. What is special to one of them stands in sqlite_test.c and
 * postgres_test.c. `store_test --open URL-or-folder` only opens and closes: the process that the
 * migration cases start.
 */
#include "store/store_test.h"

/* --- values --- */

static bool comes_back(struct store_value v)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    const struct store_value put[] = {store_int(1), v};
    const char *column = v.type == STORE_TEXT ? "s" : v.type == STORE_BLOB ? "b" : "n";
    char insert[128], select[128];
    snprintf(insert, sizeof insert,
        "INSERT INTO t (id, %s) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET %s = excluded.%s",
        column, column, column);
    snprintf(select, sizeof select, "SELECT %s FROM t WHERE id = 1", column);
    if (store_exec(S, insert, put, 2, NULL, err) < 0 ||
        store_query(S, select, NULL, 0, &rows, err) < 0)
        return tap_fail(__FILE__, __LINE__, "%s", err);
    const struct store_value *got = store_cell(rows, 0, 0);
    return got->type == v.type &&
           (v.type == STORE_INT ? got->n == v.n : v.type == STORE_NULL || str_eq(got->s, v.s));
}

static void values(void)
{
    static const int64_t ints[] = {0, 1, -1, INT32_MAX, INT64_MAX, INT64_MIN, 1ll << 53};
    for (unsigned i = 0; i < ARRAY_LEN(ints); i++)
        CHECK(comes_back(store_int(ints[i])));
    CHECK(comes_back(store_text(STR("zażółć gęślą 🦊 'quoted' \\ $1 ?1 %s"))));
    CHECK(comes_back(store_text(STR(""))));
    CHECK(comes_back(store_text(STR_NONE)));
    CHECK(comes_back(store_blob(STR("a\0b\xff\x00"))));
    CHECK(comes_back(store_blob(STR(""))));
    CHECK(comes_back(store_null()));
}

static void test_values(void)
{
    in_loop(values);
    values(); /* and on a plain thread */
}

static void test_texts_that_are_none(void)
{
    static const struct str bad[] = {STR_INIT("a\0b"), STR_INIT("\xff"), STR_INIT("\xc3"),
        STR_INIT("\xed\xa0\x80"), STR_INIT("ok \xf5")};
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        struct store_value v = store_text(bad[i]);
        CHECK_EQ(store_exec(S, "INSERT INTO t (id, s) VALUES (9, ?1)", &v, 1, NULL, err), -EINVAL);
        CHECK_EQ(store_query(S, "SELECT ?1", &v, 1, NULL, err), -EINVAL);
        _cleanup_(store_batch_freep) struct store_batch *b = NULL;
        CHECK_EQ(store_batch_new(&b), 0);
        CHECK_EQ(store_batch_add(b, "SELECT ?1", &v, 1, 0), -EINVAL);
    }
}

static void test_null_and_value_in_turn(void)
{
    const char *sql = "UPDATE t SET n = ?1, s = ?2, b = ?3 WHERE id = 1";
    const struct store_value none[] = {store_null(), store_null(), store_null()};
    const struct store_value some[] = {
        store_int(INT64_MAX), store_text(STR("x")), store_blob(STR("\0"))};
    const struct store_value mixed[] = {store_int(5), store_null(), store_blob(STR("y"))};
    CHECK_EQ(count("SELECT count(*) FROM t WHERE id = 1"), 0);
    CHECK_EQ(store_exec(S, "INSERT INTO t (id) VALUES (1)", NULL, 0, NULL, err), 0);
    CHECK_EQ(store_exec(S, sql, none, 3, NULL, err), 0);
    CHECK_EQ(store_exec(S, sql, some, 3, NULL, err), 0);
    CHECK_EQ(count("SELECT n FROM t WHERE id = 1"), INT64_MAX);
    CHECK_EQ(store_exec(S, sql, mixed, 3, NULL, err), 0);
    CHECK_EQ(store_exec(S, sql, none, 3, NULL, err), 0);
    CHECK_EQ(count("SELECT count(*) FROM t WHERE n IS NULL AND s IS NULL AND b IS NULL"), 1);
}

static void test_sums_are_integers(void)
{
    for (int i = 1; i <= 4; i++) {
        const struct store_value row[] = {store_int(i), store_int(1000000007ll * i)};
        CHECK_EQ(store_exec(S, "INSERT INTO t (id, n) VALUES (?1, ?2)", row, 2, NULL, err), 0);
    }
    CHECK_EQ(count("SELECT sum(n) FROM t"), 10000000070);
    CHECK_EQ(count("SELECT count(*) FROM t WHERE n > 2000000000"), 3);
    CHECK_EQ(
        count("SELECT max(r) FROM (SELECT row_number() OVER (ORDER BY n) AS r FROM t) AS q"), 4);
    CHECK_EQ(count("SELECT (n = 1000000007) FROM t WHERE id = 1"), 1);
    CHECK_EQ(count("SELECT CAST('12' AS INTEGER)"), 12);
    CHECK_EQ(store_query(S, "SELECT 1.5", NULL, 0, &(struct store_rows *){NULL}, err), -EIO);
    CHECK(err[0] != '\0');
    store_exec(S, "UPDATE t SET n = 9223372036854775807", NULL, 0, NULL, err);
    CHECK_EQ(
        store_query(S, "SELECT sum(n) FROM t", NULL, 0, &(struct store_rows *){NULL}, err), -EIO);
}

static void test_rows(void)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    const char *sql = "SELECT id, s AS name FROM t WHERE id >= ?1 ORDER BY id DESC LIMIT ?2";
    const struct store_value limits[] = {store_int(2), store_int(2)};
    CHECK_EQ(store_query(S, sql, limits, 2, &rows, err), 0);
    CHECK_EQ(store_rows_n(rows), 0);
    CHECK_EQ(store_columns_n(rows), 2);
    CHECK_STR(store_column_name(rows, 1), STR("name"));
    store_rows_free(rows);
    rows = NULL;
    for (int i = 1; i <= 4; i++) {
        const struct store_value row[] = {
            store_int(i), store_text(i == 3 ? STR("three") : STR(""))};
        CHECK_EQ(store_exec(S, "INSERT INTO t (id, s) VALUES (?1, ?2)", row, 2, NULL, err), 0);
    }
    CHECK_EQ(store_query(S, sql, limits, 2, &rows, err), 0);
    CHECK_EQ(store_rows_n(rows), 2);
    CHECK_EQ(store_cell_int(rows, 0, 0), 4);
    CHECK_STR(store_cell_str(rows, 0, 1), STR(""));
    CHECK_EQ(store_cell(rows, 0, 1)->type, STORE_TEXT);
    CHECK_STR(store_cell_str(rows, 1, 1), STR("three"));
}

static void test_wrong_statements(void)
{
    const struct store_value two[] = {store_int(1), store_int(2)};
    CHECK_EQ(store_exec(S, "UPDATE nothing SET a = 1", NULL, 0, NULL, err), -EIO);
    CHECK(strstr(err, "nothing") != NULL);
    CHECK_EQ(store_exec(S, "UPDATE t SET n = ?1", two, 2, NULL, err), -EIO);
    CHECK_EQ(store_exec(S, "UPDATE t SET n = ?1, s = ?2", two, 1, NULL, err), -EIO);
    CHECK_EQ(store_exec(S, "DELETE FROM t; DELETE FROM t", NULL, 0, NULL, err), -EIO);
    CHECK_EQ(store_exec(S, "DELETE FROM t", NULL, 0, NULL, err), 0);
    CHECK(store_is_up(S)); /* these are errors of ours, not of the database */
}

/* --- what a statement changes --- */

static void test_changed(void)
{
    int64_t n = -1;
    CHECK_EQ(
        store_exec(S, "INSERT INTO t (id, n) VALUES (1, 1), (2, 2), (3, 3)", NULL, 0, &n, err), 0);
    CHECK_EQ(n, 3);
    CHECK_EQ(store_exec(S, "UPDATE t SET n = 0 WHERE id > 1", NULL, 0, &n, err), 0);
    CHECK_EQ(n, 2);
    CHECK_EQ(store_exec(S, "UPDATE t SET n = 0 WHERE id > 9", NULL, 0, &n, err), 0);
    CHECK_EQ(n, 0);
    CHECK_EQ(store_exec(
                 S, "INSERT INTO t (id) VALUES (1) ON CONFLICT (id) DO NOTHING", NULL, 0, &n, err),
        0);
    CHECK_EQ(n, 0);
    CHECK_EQ(store_exec(S, "DELETE FROM t", NULL, 0, &n, err), 0);
    CHECK_EQ(n, 3);
}

static void test_returning(void)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL, *more = NULL;
    CHECK_EQ(
        store_query(S, "INSERT INTO t (id, n) VALUES (7, 70) RETURNING id, n", NULL, 0, &rows, err),
        0);
    CHECK_EQ(store_cell_int(rows, 0, 1), 70);
    CHECK_EQ(
        store_query(S,
            "WITH x AS (SELECT 8 AS v) INSERT INTO t (id) SELECT v FROM x WHERE v > 0 RETURNING id",
            NULL, 0, &more, err),
        0);
    CHECK_EQ(store_cell_int(more, 0, 0), 8);
    CHECK_EQ(count("WITH x AS (SELECT id FROM t) SELECT count(*) FROM x"), 2);
}

static void test_unique(void)
{
    CHECK_EQ(store_exec(S, "INSERT INTO t (id, u) VALUES (1, 'a')", NULL, 0, NULL, err), 0);
    CHECK_EQ(store_exec(S, "INSERT INTO t (id, u) VALUES (1, 'b')", NULL, 0, NULL, err), -EEXIST);
    err[0] = '\0';
    CHECK_EQ(store_exec(S, "INSERT INTO t (id, u) VALUES (2, 'a')", NULL, 0, NULL, err), -EEXIST);
    CHECK(err[0] != '\0');
    CHECK_EQ(store_exec(S, "INSERT INTO t (id, u) VALUES (2, 'A')", NULL, 0, NULL, NULL), 0);
    CHECK_EQ(store_exec(S, "INSERT INTO child (t) VALUES (99)", NULL, 0, NULL, err), -EIO);
    CHECK_EQ(store_exec(S, "INSERT INTO settings (name) VALUES ('a')", NULL, 0, NULL, err), -EIO);
}

static void test_same_rules_for_texts(void)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    CHECK_EQ(store_exec(S,
                 "INSERT INTO settings (name, value, updated_at, updated_by) VALUES "
                 "('b', '', 1, ''), ('B', '', 1, ''), ('_', '', 1, ''), ('ä', '', 1, '')",
                 NULL, 0, NULL, err),
        0);
    CHECK_EQ(store_query(S, "SELECT name FROM settings ORDER BY name", NULL, 0, &rows, err), 0);
    CHECK_STR(store_cell_str(rows, 0, 0), STR("B"));
    CHECK_STR(store_cell_str(rows, 1, 0), STR("_"));
    CHECK_STR(store_cell_str(rows, 2, 0), STR("b"));
    CHECK_EQ(count("SELECT count(*) FROM settings WHERE name LIKE 'b%'"), 1);
}

/* --- batches --- */

static struct store_batch *batch(void)
{
    struct store_batch *b = NULL;
    must(store_batch_new(&b) == 0);
    return b;
}

static int add(struct store_batch *b, const char *sql, int64_t n, unsigned flags)
{
    struct store_value v = store_int(n);
    return store_batch_add(b, sql, &v, 1, flags);
}

static void batches(void)
{
    _cleanup_(store_batch_freep) struct store_batch *good = batch(), *broken = batch(),
                                                    *unexpected = batch(), *empty = batch();
    CHECK_EQ(add(good, "INSERT INTO t (id) VALUES (?1)", 1, STORE_EXPECT_ONE), 0);
    CHECK_EQ(add(good, "INSERT INTO t (id) VALUES (?1)", 2, 0), 0);
    CHECK_EQ(add(good, "UPDATE t SET n = 5 WHERE id = ?1", 1, STORE_EXPECT_ONE), 0);
    CHECK_EQ(store_batch_n(good), 3);
    CHECK_EQ(store_batch_run(S, good, err), 0);
    CHECK_EQ(count("SELECT sum(id) FROM t"), 3);
    CHECK_EQ(store_batch_run(S, good, err), -EEXIST);

    CHECK_EQ(add(broken, "INSERT INTO t (id) VALUES (?1)", 10, 0), 0);
    CHECK_EQ(add(broken, "INSERT INTO t (id) VALUES (?1)", 1, 0), 0);
    CHECK_EQ(add(broken, "INSERT INTO t (id) VALUES (?1)", 11, 0), 0);
    CHECK_EQ(store_batch_run(S, broken, err), -EEXIST);
    CHECK_EQ(count("SELECT count(*) FROM t WHERE id >= 10"), 0);

    CHECK_EQ(add(unexpected, "INSERT INTO t (id) VALUES (?1)", 20, 0), 0);
    CHECK_EQ(add(unexpected, "UPDATE t SET n = 6 WHERE id = ?1", 99, STORE_EXPECT_ONE), 0);
    CHECK_EQ(store_batch_run(S, unexpected, err), -EAGAIN);
    CHECK_EQ(count("SELECT count(*) FROM t"), 2);
    CHECK_EQ(store_exec(S, "INSERT INTO t (id) VALUES (99)", NULL, 0, NULL, err), 0);
    CHECK_EQ(store_batch_run(S, unexpected, err), 0); /* it may be run again */
    CHECK_EQ(store_batch_run(S, empty, err), 0);
}

static void test_batches(void)
{
    in_loop(batches);
}

static void test_expect_one_means_one(void)
{
    _cleanup_(store_batch_freep) struct store_batch *two = batch(), *reads = batch();
    CHECK_EQ(store_exec(S, "INSERT INTO t (id) VALUES (1), (2)", NULL, 0, NULL, err), 0);
    CHECK_EQ(add(two, "UPDATE t SET n = ?1", 1, STORE_EXPECT_ONE), 0);
    CHECK_EQ(store_batch_run(S, two, err), -EAGAIN);
    CHECK_EQ(add(reads, "UPDATE t SET n = 1 WHERE id = ?1", 1, 0), 0);
    CHECK_EQ(add(reads, "SELECT id FROM t WHERE id = ?1", 1, STORE_EXPECT_ONE), 0);
    CHECK_EQ(store_batch_run(S, reads, err), -EAGAIN); /* a SELECT changes no row */
    CHECK_EQ(count("SELECT count(*) FROM t WHERE n IS NULL"), 2);
}

static void test_values_are_copied(void)
{
    _cleanup_(store_batch_freep) struct store_batch *b = batch();
    char text[] = "before";
    const struct store_value row[] = {store_int(1), store_text(str_of(text))};
    CHECK_EQ(store_batch_add(b, "INSERT INTO t (id, s) VALUES (?1, ?2)", row, 2, 0), 0);
    memset(text, 'x', sizeof text - 1);
    CHECK_EQ(store_batch_run(S, b, err), 0);
    CHECK_EQ(count("SELECT count(*) FROM t WHERE s = 'before'"), 1);
}

static void bulk(void)
{
    _cleanup_(store_batch_freep) struct store_batch *b = batch();
    for (int i = 0; i < 50000; i++) {
        char text[32];
        snprintf(text, sizeof text, "row %d", i);
        const struct store_value row[] = {store_int(i), store_text(str_of(text)),
            store_blob(str_of(text)), i % 3 ? store_int(i) : store_null()};
        CHECK_EQ(store_batch_add(b, "INSERT INTO t (id, s, b, n) VALUES (?1, ?2, ?3, ?4)", row, 4,
                     STORE_EXPECT_ONE),
            0);
    }
    CHECK_EQ(store_batch_run(S, b, err), 0);
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    CHECK_EQ(store_query(S, "SELECT id, s, b, n FROM t ORDER BY id", NULL, 0, &rows, err), 0);
    CHECK_EQ(store_rows_n(rows), 50000);
    CHECK_STR(store_cell_str(rows, 49999, 1), STR("row 49999"));
    CHECK_STR(store_cell_str(rows, 12345, 2), STR("row 12345"));
    CHECK_EQ(store_cell(rows, 3, 3)->type, STORE_NULL);
}

static void test_bulk(void)
{
    in_loop(bulk);
}

static void test_change_feed(void)
{
    for (int i = 0; i < 3; i++) {
        _cleanup_(store_batch_freep) struct store_batch *b = batch();
        CHECK_EQ(add(b, "INSERT INTO t (id) VALUES (?1)", i, 0), 0);
        CHECK_EQ(store_batch_add_change(b, "key", STR("k1")), 0);
        CHECK_EQ(store_batch_run(S, b, err), 0);
    }
    CHECK_EQ(count("SELECT max(seq) FROM changes WHERE kind = 'key' AND id = 'k1'"), 3);
    CHECK_EQ(count("SELECT count(*) FROM changes WHERE seq > 1"), 2);
}

/* --- time --- */

#define FOREVER                                                                                    \
    "WITH RECURSIVE c(n) AS (SELECT CAST(1 AS INTEGER) UNION ALL SELECT n + 1 FROM c) "            \
    "SELECT count(*) FROM c"

static void deadlines(void)
{
    int64_t began = clock_now();
    int64_t old = co_set_deadline(began + 200 * NS_PER_MS);
    CHECK_EQ(store_query(S, FOREVER, NULL, 0, &(struct store_rows *){NULL}, err), -ETIMEDOUT);
    CHECK(clock_now() - began < 5 * NS_PER_S);
    CHECK(clock_now() - began >= 200 * NS_PER_MS);
    CHECK_EQ(store_query(S, "SELECT 1", NULL, 0, NULL, err), -ETIMEDOUT); /* it has passed */
    co_set_deadline(old);
    CHECK_EQ(count("SELECT count(*) FROM t"), 0);
}

static void test_deadline_of_the_coroutine(void)
{
    in_loop(deadlines);
}

static void test_deadline_of_the_store(void)
{
    store_close(S);
    S = NULL;
    CHECK_EQ(reopen(300 * NS_PER_MS), 0);
    int64_t began = clock_now();
    CHECK_EQ(store_query(S, FOREVER, NULL, 0, NULL, err), -ETIMEDOUT);
    CHECK_EQ(store_exec(S, "INSERT INTO t (id) " FOREVER, NULL, 0, NULL, err), -ETIMEDOUT);
    CHECK(clock_now() - began < 8 * NS_PER_S);
    CHECK_EQ(count("SELECT count(*) FROM t"), 0);
    CHECK_EQ(store_exec(S, "INSERT INTO t (id) VALUES (1)", NULL, 0, NULL, err), 0);
}

static int run_forever(void *arg)
{
    char *sql = arg;
    return store_query(S, sql, NULL, 0, &(struct store_rows *){NULL}, NULL);
}

static void cancellation(void)
{
    char reads[] = FOREVER, writes[] = "INSERT INTO t (id) " FOREVER;
    struct group g;
    group_init(&g, false);
    for (int i = 0; i < 12; i++) /* more than there are connections: some wait for one */
        CHECK_EQ(group_spawn(&g, "forever", run_forever, i % 4 ? reads : writes), 0);
    CHECK_EQ(co_sleep_until(clock_now() + 50 * NS_PER_MS), 0);
    int64_t began = clock_now();
    group_cancel(&g);
    CHECK_EQ(group_wait(&g, far()), -ECANCELED);
    CHECK(clock_now() - began < 3 * NS_PER_S);
    CHECK_EQ(store_exec(S, "INSERT INTO t (id) VALUES (1)", NULL, 0, NULL, err), 0);
    CHECK_EQ(count("SELECT count(*) FROM t"), 1);
}

static void test_cancellation(void)
{
    in_loop(cancellation);
}

static int cancelled_before(void *arg)
{
    co_cancel(co_self());
    int r = store_exec(S, "INSERT INTO t (id) VALUES (5)", NULL, 0, NULL, NULL);
    return r == -ECANCELED ? 0 : -EIO;
}

static void cancelled(void)
{
    struct group g;
    group_init(&g, false);
    CHECK_EQ(group_spawn(&g, "cancelled", cancelled_before, NULL), 0);
    CHECK_EQ(group_wait(&g, far()), 0);
    CHECK_EQ(count("SELECT 1"), 1);
}

static void test_cancelled_before_it_begins(void)
{
    in_loop(cancelled);
}

/* --- many at once --- */

static int adds(void *arg)
{
    for (int i = 0; i < 10; i++) {
        int r = store_exec(S, "UPDATE t SET n = n + 1 WHERE id = 1", NULL, 0, NULL, err);
        if (r == 0)
            r = count("SELECT n FROM t WHERE id = 1") > 0 ? 0 : -EIO;
        if (r < 0)
            return r;
    }
    return 0;
}

static void concurrently(void)
{
    struct group g;
    group_init(&g, false);
    for (int i = 0; i < 40; i++)
        CHECK_EQ(group_spawn(&g, "adds", adds, NULL), 0);
    CHECK_EQ(group_wait(&g, far()), 0);
}

static void *adds_in_thread(void *arg)
{
    return (void *)(intptr_t)adds(arg);
}

static void *loop_in_thread(void *arg)
{
    in_loop(concurrently);
    return NULL;
}

static void test_coroutines_and_threads(void)
{
    pthread_t plain[4], loop;
    CHECK_EQ(store_exec(S, "INSERT INTO t (id, n) VALUES (1, 0)", NULL, 0, NULL, err), 0);
    for (int i = 0; i < 4; i++)
        must(pthread_create(&plain[i], NULL, adds_in_thread, NULL) == 0);
    must(pthread_create(&loop, NULL, loop_in_thread, NULL) == 0);
    in_loop(concurrently);
    void *result;
    for (int i = 0; i < 4; i++) {
        pthread_join(plain[i], &result);
        CHECK_EQ((intptr_t)result, 0);
    }
    pthread_join(loop, NULL);
    CHECK_EQ(count("SELECT n FROM t WHERE id = 1"), 840);
}

static void test_result_has_a_limit(void)
{
    static char kib[1025];
    memset(kib, 'x', 1024);
    struct store_value v = store_text(str_of(kib));
    const char *sql = "WITH RECURSIVE c(n) AS (SELECT CAST(1 AS INTEGER) UNION ALL SELECT n + 1 "
                      "FROM c WHERE n < 70000)"
                      " SELECT CAST(?1 AS TEXT) FROM c";
    CHECK_EQ(store_query(S, sql, &v, 1, &(struct store_rows *){NULL}, err), -EMSGSIZE);
    CHECK_EQ(count("SELECT count(*) FROM t"), 0);
}

/* --- the schema --- */

static void test_newer_schema_is_refused(void)
{
    CHECK_EQ(
        store_exec(S,
            "INSERT INTO schema_migrations (number, name, applied_at) VALUES (99999, 'future', 1)",
            NULL, 0, NULL, err),
        0);
    store_close(S);
    S = NULL;
    CHECK_EQ(reopen(0), -EPROTO);
    CHECK(strstr(err, "99999 (future)") && strstr(err, "newer version"));
}

static void test_opened_again(void)
{
    CHECK_EQ(store_exec(S, "INSERT INTO t (id) VALUES (1)", NULL, 0, NULL, err), 0);
    int64_t applied = count("SELECT count(*) FROM schema_migrations");
    unsigned n;
    store_migrations(&n);
    CHECK_EQ(applied, n);
    store_close(S);
    S = NULL;
    CHECK_EQ(reopen(0), 0);
    CHECK_EQ(count("SELECT count(*) FROM t"), 1);
    CHECK_EQ(count("SELECT count(*) FROM schema_migrations"), n);
}

static void test_nodes_that_start_at_once(void)
{
    pid_t nodes[4];
    fresh_database();
    for (unsigned i = 0; i < ARRAY_LEN(nodes); i++)
        nodes[i] = spawn_self_open();
    for (unsigned i = 0; i < ARRAY_LEN(nodes); i++) {
        int status = -1;
        CHECK(nodes[i] > 0 && waitpid(nodes[i], &status, 0) == nodes[i]);
        CHECK_EQ(status, 0);
    }
    unsigned n;
    store_migrations(&n);
    CHECK_EQ(reopen(0), 0);
    CHECK_EQ(count("SELECT count(*) FROM schema_migrations"), n);
    CHECK_EQ(count("SELECT count(*) FROM change_counter"), 1);
}

static const struct test_case cases[] = {
    CASE(test_values),
    CASE(test_texts_that_are_none),
    CASE(test_null_and_value_in_turn),
    CASE(test_sums_are_integers),
    CASE(test_rows),
    CASE(test_wrong_statements),
    CASE(test_changed),
    CASE(test_returning),
    CASE(test_unique),
    CASE(test_same_rules_for_texts),
    CASE(test_batches),
    CASE(test_expect_one_means_one),
    CASE(test_values_are_copied),
    CASE(test_bulk),
    CASE(test_change_feed),
    CASE(test_deadline_of_the_coroutine),
    CASE(test_deadline_of_the_store),
    CASE(test_cancellation),
    CASE(test_cancelled_before_it_begins),
    CASE(test_coroutines_and_threads),
    CASE(test_result_has_a_limit),
    CASE(test_newer_schema_is_refused),
    CASE(test_opened_again),
    CASE(test_nodes_that_start_at_once),
};

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--open") == 0)
        return open_and_close(argv[2]);
    run_cases(STORE_SQLITE, cases, ARRAY_LEN(cases));

    run_cases(STORE_POSTGRES, cases, ARRAY_LEN(cases));
    return tap_done();
}
