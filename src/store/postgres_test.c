/*
 * What is PostgreSQL's alone: servers that stop, go and come back, connections and where they lead.
 * Every case of store_test.c runs over PostgreSQL as well.
 */
#include "store/store_test.h"

/* --- where to connect --- */

static bool opens(const char *url)
{
    struct store *s = NULL;
    int r = open_at(url, 0, &s);
    store_close(s);
    if (r < 0)
        fprintf(stderr, "# %s: %d %s\n", url, r, err);
    return r == 0;
}

static void test_ways_to_connect(void)
{
    char url[PG_URL_BYTES];
    CHECK_EQ(store_kind(S), STORE_POSTGRES);
    snprintf(url, sizeof url, "postgresql://smartflow@localhost:%d/postgres", pg.port);
    CHECK(opens(url));
    snprintf(url, sizeof url, "postgres://smartflow@127.0.0.1:1,127.0.0.1:%d/postgres", pg.port);
    CHECK(opens(url));
    snprintf(
        url, sizeof url, "postgres://smartflow@nowhere.invalid,localhost:%d/postgres", pg.port);
    CHECK(opens(url));
    snprintf(url, sizeof url, "postgres://smartflow@/postgres?host=%s&port=%d", pg.dir, pg.port);
    CHECK(opens(url));
    snprintf(
        url, sizeof url, "postgres://smartflow@127.0.0.1:%d/postgres?application_name=x", pg.port);
    CHECK(opens(url));
}

/* Ends the store's connections, and waits until they have ended. */
static void end_connections(void)
{
    must(pg_server_sql(&pg, "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
                            "WHERE application_name = 'smartflow'"));
}

static void by_name(void)
{
    CHECK_EQ(count("SELECT 1"), 1);
}

static void test_name_looked_up_on_a_loop(void)
{
    char url[PG_URL_BYTES];
    store_close(S);
    S = NULL;
    snprintf(url, sizeof url, "postgres://smartflow@localhost:%d/postgres", pg.port);
    CHECK_EQ(open_at(url, 0, &S), 0);
    end_connections();
    must(offload_start(1) == 0);
    in_loop_then(by_name, offload_stop);
}

static void test_errors_keep_the_password(void)
{
    static const char *const urls[] = {
        "postgres://smartflow:hunter2@127.0.0.1:1/postgres",
        "postgres://smartflow:hunter2@nowhere.invalid/postgres",
        "postgres://smartflow:hun@ter2@127.0.0.1:1/postgres",
        "postgres://smartflow:hun/ter2@127.0.0.1:1/postgres",
        "postgres://smartflow:hunter2@127.0.0.1:port/postgres",
        "postgres://smartflow:hunter2@127.0.0.1/postgres?hunter2=1",
        "postgres://smartflow:hunter2@/postgres",
        "mysql://smartflow:hunter2@127.0.0.1/postgres",
        "://hunter2",
    };
    for (unsigned i = 0; i < ARRAY_LEN(urls); i++) {
        struct store *s = NULL;
        err[0] = '\0';
        int r = open_at(urls[i], 0, &s);
        CHECK_EQ(r, i < 2 ? -EHOSTDOWN : -EINVAL);
        CHECK(err[0] != '\0' && !strstr(err, "hunter2") && !strstr(err, "ter2"));
    }
}

static void test_database_that_is_not_there(void)
{
    char url[PG_URL_BYTES];
    struct store *s = NULL;
    pg_server_url(&pg, "no_such_database", url);
    CHECK_EQ(open_at(url, 0, &s), -EHOSTDOWN);
    CHECK(strstr(err, "no_such_database") != NULL);
}

static void test_no_backup(void)
{
    CHECK_EQ(store_backup(S, "/tmp/x.db", err), -EOPNOTSUPP);
    CHECK(strstr(err, "pg_dump") != NULL);
}

/* --- the pool --- */

static unsigned most_seen;

static int sleep_and_look(void *arg)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int r = store_query(S,
        "SELECT count(*), pg_sleep(0.02) FROM pg_stat_activity "
        "WHERE datname = current_database() AND application_name = 'smartflow'",
        NULL, 0, &rows, err);
    if (r == 0)
        most_seen = MAX(most_seen, (unsigned)store_cell_int(rows, 0, 0));
    return r;
}

static void many(void)
{
    struct group g;
    group_init(&g, true);
    for (int i = 0; i < 60; i++)
        CHECK_EQ(group_spawn(&g, "many", sleep_and_look, NULL), 0);
    CHECK_EQ(group_wait(&g, far()), 0);
}

static void test_no_more_connections_than_allowed(void)
{
    most_seen = 0;
    in_loop(many);
    CHECK_EQ(most_seen, 4);
}

static int sleeps(void *arg)
{
    return store_query(S, "SELECT pg_sleep(0.3)", NULL, 0, NULL, NULL);
}

/* All connections are taken: the wait in line has a deadline too, and is served in the end. */
static void wait_in_line(void)
{
    struct group g;
    group_init(&g, false);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(group_spawn(&g, "sleeps", sleeps, NULL), 0);
    co_yield ();
    int64_t old = co_set_deadline(clock_now() + 30 * NS_PER_MS);
    CHECK_EQ(store_query(S, "SELECT 1", NULL, 0, NULL, err), -ETIMEDOUT);
    CHECK(strstr(err, "waiting") != NULL);
    co_set_deadline(old);
    CHECK_EQ(count("SELECT 1"), 1);
    CHECK_EQ(group_wait(&g, far()), 0);
}

static void test_waiting_in_line(void)
{
    in_loop(wait_in_line);
}

/* --- connections and servers that go --- */

static void lost_idle(void)
{
    CHECK_EQ(count("SELECT 1"), 1);
    for (int i = 0; i < 3; i++) {
        end_connections();
        CHECK_EQ(store_exec(S, "UPDATE t SET n = 1", NULL, 0, NULL, err), 0);
    }
    CHECK(store_is_up(S));
}

static void test_lost_while_idle(void)
{
    in_loop(lost_idle);
    lost_idle();
}

static int long_update(void *arg)
{
    int *result = arg;
    *result = store_exec(
        S, "UPDATE t SET n = n + 1 WHERE (SELECT pg_sleep(30)) IS NOT NULL", NULL, 0, NULL, err);
    return 0;
}

static void lost_busy(void)
{
    int result = 1;
    struct group g;
    group_init(&g, false);
    CHECK_EQ(store_exec(S, "INSERT INTO t (id, n) VALUES (1, 0)", NULL, 0, NULL, err), 0);
    CHECK_EQ(group_spawn(&g, "update", long_update, &result), 0);
    while (count("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'UPDATE t%' "
                 "AND datname = current_database()") != 1)
        ;
    end_connections();
    CHECK_EQ(group_wait(&g, far()), 0);
    CHECK_EQ(result, -EHOSTDOWN); /* it may have been done: not repeated */
    CHECK_EQ(count("SELECT n FROM t"), 0);
}

static void test_lost_in_the_middle(void)
{
    in_loop(lost_busy);
}

static void frozen(void)
{
    CHECK_EQ(count("SELECT 1"), 1);
    pg_server_freeze(&pg);
    int64_t began = clock_now();
    int64_t old = co_set_deadline(began + 300 * NS_PER_MS);
    int r = store_query(S, "SELECT 1", NULL, 0, NULL, err);
    int64_t took = clock_now() - began;
    co_set_deadline(clock_now() + 300 * NS_PER_MS);
    int again = store_query(S, "SELECT 1", NULL, 0, NULL, err); /* has to connect */
    co_set_deadline(old);
    pg_server_signal(&pg, SIGCONT);
    CHECK_EQ(r, -ETIMEDOUT);
    CHECK(took >= 300 * NS_PER_MS && took < 2 * NS_PER_S);
    CHECK_EQ(again, -ETIMEDOUT);
    CHECK_EQ(count("SELECT 1"), 1);
}

static void test_frozen_server(void)
{
    in_loop(frozen);
}

static void test_frozen_server_and_a_thread(void)
{
    store_close(S);
    S = NULL;
    CHECK_EQ(reopen(300 * NS_PER_MS), 0);
    pg_server_freeze(&pg);
    int64_t began = clock_now();
    int r = store_exec(S, "UPDATE t SET n = 1", NULL, 0, NULL, err);
    int64_t took = clock_now() - began;
    pg_server_signal(&pg, SIGCONT);
    CHECK_EQ(r, -ETIMEDOUT);
    CHECK(took < 2 * NS_PER_S);
}

/* Without a pause: after the first failure each fails at once, and none hangs. */
static void gone(void)
{
    CHECK_EQ(count("SELECT 1"), 1);
    CHECK(store_is_up(S));
    pg_server_kill(&pg);
    int64_t began = clock_now();
    for (int i = 0; i < 200; i++)
        CHECK_EQ(store_exec(S, "UPDATE t SET n = 1", NULL, 0, NULL, err), -EHOSTDOWN);
    CHECK(clock_now() - began < 2 * NS_PER_S);
    CHECK(!store_is_up(S));
    CHECK(err[0] != '\0');
}

static void back(void)
{
    int64_t began = clock_now();
    while (store_exec(S, "UPDATE t SET n = 1", NULL, 0, NULL, err) == -EHOSTDOWN &&
           clock_now() - began < 10 * NS_PER_S)
        CHECK_EQ(co_sleep_until(clock_now() + 20 * NS_PER_MS), 0);
    CHECK(clock_now() - began < 5 * NS_PER_S);
    CHECK(store_is_up(S));
    CHECK_EQ(count("SELECT count(*) FROM t"), 0);
}

static void test_server_goes_and_comes_back(void)
{
    in_loop(gone);
    CHECK(pg_server_run(&pg));
    in_loop(back);
}

static void batch_over_a_restart(void)
{
    _cleanup_(store_batch_freep) struct store_batch *b = NULL;
    CHECK_EQ(store_batch_new(&b), 0);
    CHECK_EQ(store_batch_add(b, "INSERT INTO t (id) VALUES (1)", NULL, 0, STORE_EXPECT_ONE), 0);
    CHECK_EQ(count("SELECT 1"), 1);
    pg_server_kill(&pg);
    CHECK(pg_server_run(&pg));
    CHECK_EQ(store_batch_run(S, b, err), 0);
    CHECK_EQ(count("SELECT count(*) FROM t"), 1);
}

static void test_restart_between_calls(void)
{
    in_loop(batch_over_a_restart);
}

/* --- the same statements again --- */

/* Another node's migration changes what a prepared SELECT * gives. */
static void test_plan_that_changed(void)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    CHECK_EQ(store_query(S, "SELECT * FROM t", NULL, 0, NULL, err), 0);
    CHECK_EQ(store_exec(S, "ALTER TABLE t ADD COLUMN more TEXT", NULL, 0, NULL, err), 0);
    CHECK_EQ(store_query(S, "SELECT * FROM t", NULL, 0, &rows, err), 0);
    CHECK_EQ(store_columns_n(rows), 6);
}

static int crosswise(void *arg)
{
    const char *const sql[] = {"UPDATE t SET n = n + 1 WHERE id = 1",
        "UPDATE t SET n = n + 1 WHERE id = 2", "SELECT pg_sleep(0.2)"};
    _cleanup_(store_batch_freep) struct store_batch *b = NULL;
    int first = arg != NULL, r = store_batch_new(&b);
    if (r == 0)
        r = store_batch_add(b, sql[first], NULL, 0, STORE_EXPECT_ONE);
    if (r == 0)
        r = store_batch_add(b, sql[2], NULL, 0, 0);
    if (r == 0)
        r = store_batch_add(b, sql[!first], NULL, 0, STORE_EXPECT_ONE);
    return r < 0 ? r : store_batch_run(S, b, err);
}

static void deadlock(void)
{
    struct group g;
    group_init(&g, false);
    CHECK_EQ(store_exec(S, "INSERT INTO t (id, n) VALUES (1, 0), (2, 0)", NULL, 0, NULL, err), 0);
    CHECK_EQ(group_spawn(&g, "one", crosswise, NULL), 0);
    CHECK_EQ(group_spawn(&g, "two", crosswise, &g), 0);
    CHECK_EQ(group_wait(&g, far()), 0);
    CHECK_EQ(count("SELECT sum(n) FROM t"), 4);
}

static void test_deadlock_is_done_again(void)
{
    in_loop(deadlock);
}

static const struct test_case cases[] = {
    CASE(test_ways_to_connect),
    CASE(test_name_looked_up_on_a_loop),
    CASE(test_errors_keep_the_password),
    CASE(test_database_that_is_not_there),
    CASE(test_no_backup),
    CASE(test_no_more_connections_than_allowed),
    CASE(test_waiting_in_line),
    CASE(test_lost_while_idle),
    CASE(test_lost_in_the_middle),
    CASE(test_frozen_server),
    CASE(test_frozen_server_and_a_thread),
    CASE(test_server_goes_and_comes_back),
    CASE(test_restart_between_calls),
    CASE(test_plan_that_changed),
    CASE(test_deadlock_is_done_again),
};

int main(void)
{
    run_cases(STORE_POSTGRES, cases, ARRAY_LEN(cases));
    return tap_done();
}
