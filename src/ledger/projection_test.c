/* From entries to rows: once each, whatever fails in the middle. */
#include "ledger/ledger_test.h"

#define BASE (INT64_C(1795219200) * NS_PER_S) /* 2026-11-21 */

static struct t_call call_n(unsigned n, char id[static 37])
{
    static const char *const models[] = {"gpt-4o", "gpt-4o-mini", "claude-opus-4-6"};
    struct t_call c = {.id = id,
        .key = n % 2 ? "key1" : "key2",
        .user = "user_1",
        .team = "team_1",
        .org = "org_1",
        .customer = n % 5 ? "" : "cust",
        .provider = n % 3 == 2 ? "anthropic" : "openai",
        .model = models[n % 3],
        .endpoint = "chat",
        .ts = BASE + n * 10 * NS_PER_S,
        .status = n % 10 ? 200 : 429,
        .outcome = n % 10 ? "ok" : "upstream_error",
        .in = 10,
        .out = 5,
        .cost = 100 + n,
        .charged = 100 + n,
        .latency_us = 1000 * n,
        .cache_read = n % 4 ? 0 : 3};

    t_id(id, c.ts, n);
    return c;
}

static void write_calls(unsigned from, unsigned to, bool opens)
{
    char id[37];

    for (unsigned i = from; i < to; i++) {
        struct t_call c = call_n(i, id);
        if (opens)
            t_open_call(&c);
        t_outcome(&c);
    }
}

static int64_t cost_of(unsigned n)
{
    return 100 * (int64_t)n + (int64_t)n * (n - 1) / 2;
}

static void check_sums(unsigned n)
{
    CHECK_EQ(t_count("SELECT COUNT(*) FROM logs"), n);
    CHECK_EQ(t_count("SELECT SUM(cost) FROM logs"), cost_of(n));
    CHECK_EQ(t_count("SELECT SUM(calls) FROM usage_hourly"), n);
    CHECK_EQ(t_count("SELECT SUM(calls) FROM totals_daily WHERE part = 'p'"), n);
    CHECK_EQ(t_count("SELECT SUM(cost) FROM usage_hourly"), cost_of(n));
    CHECK_EQ(t_count("SELECT SUM(cost) FROM totals_daily WHERE part = 'p'"), cost_of(n));
    CHECK_EQ(t_count("SELECT SUM(errors) FROM totals_daily WHERE part = 'p'"), (n + 9) / 10);
    CHECK_EQ(t_count("SELECT SUM(cache_hits) FROM usage_hourly"), (n + 3) / 4);
    CHECK_EQ(t_count("SELECT SUM(calls) FROM totals_daily WHERE part = 'c'"), (n + 4) / 5);
    CHECK_EQ(t_count("SELECT SUM(cost) FROM totals_weekly WHERE part = 'p'"), cost_of(n));
    CHECK_EQ(t_count("SELECT SUM(cost) FROM totals_hourly WHERE part = 'a'"), cost_of(n));
    CHECK_EQ(t_count("SELECT COUNT(*) FROM totals_weekly WHERE (at / 86400000000000 + 3) % 7 <> 0 "
                     "OR at % 86400000000000 <> 0"),
        0); /* all begin on a Monday */
    CHECK_EQ(t_count("SELECT SUM(l0 + l1 + l2 + l3 + l4 + l5 + l6 + l7 + l8 + l9 + l10 + l11 + l12 "
                     "+ l13 + l14 + l15) FROM usage_hourly"),
        n);
    CHECK_EQ(t_count("SELECT COUNT(*) FROM logs l WHERE NOT EXISTS (SELECT 1 FROM usage_hourly u "
                     "WHERE u.at = l.ts - l.ts % 3600000000000 AND u.key_id = l.key_id AND u.model "
                     "= l.model AND u.status = l.status)"),
        0);
    CHECK_EQ(t_count("SELECT used FROM ledger_spend WHERE name LIKE '%}o:org_1:e'"), cost_of(n));
}

static void every_call_one_row(void)
{
    struct projection p;

    write_calls(0, 500, true);
    t_synced(1000);
    CHECK(t_projection(&p));
    CHECK(t_project(&p));
    check_sums(500);
    CHECK_EQ(p.seq, p.sums_seq);
    CHECK_EQ(p.open.n, 0);
    CHECK_EQ(t_count("SELECT COUNT(*) FROM ledger_open"), 0);
    CHECK_EQ(t_count("SELECT COUNT(*) FROM logs WHERE open_seq = seq - 1"), 500);
    CHECK_EQ(t_count("SELECT COUNT(*) FROM ledger_position WHERE seq >= 1000"), 1);
    projection_close(&p);
}

static void open_calls_stay(void)
{
    struct projection p;
    char id[3][37];

    for (unsigned i = 0; i < 3; i++) {
        struct t_call c = call_n(i, id[i]);
        t_open_call(&c);
    }
    t_synced(3);
    CHECK(t_projection(&p) && t_project(&p));
    CHECK_EQ(t_count("SELECT COUNT(*) FROM ledger_open"), 3);
    projection_close(&p);

    /* the second begins another attempt, the first ends, in another life of the process */
    struct t_call again = call_n(1, id[1]), ends = call_n(0, id[0]);
    again.provider = "azure";
    t_open_call(&again);
    t_outcome(&ends);
    t_synced(5);
    CHECK(t_projection(&p));
    CHECK_EQ(p.open.n, 3);
    CHECK(t_project(&p));
    CHECK_EQ(p.open.n, 2);
    CHECK_EQ(t_count("SELECT COUNT(*) FROM ledger_open"), 2);
    CHECK_EQ(
        t_count("SELECT COUNT(*) FROM ledger_open WHERE payload LIKE '%azure%' AND seq = 2"), 1);
    CHECK_EQ(t_count("SELECT open_seq FROM logs"), 1);
    ends = call_n(1, id[1]);
    t_outcome(&ends);
    t_synced(6);
    CHECK(t_project(&p));
    CHECK_EQ(t_count("SELECT COUNT(*) FROM ledger_open"), 1);
    CHECK_EQ(t_count("SELECT MAX(open_seq) FROM logs"), 2);
    projection_close(&p);
}

/* A process that ends between two batches, with sums that were not put yet. */
static void restarts(void)
{
    struct projection p;
    char err[STORE_ERR_BYTES];
    char id[37], key[16];

    for (unsigned i = 0; i < 300; i++) { /* enough keys that sums are put later than rows */
        struct t_call c = call_n(i, id);
        snprintf(key, sizeof key, "key%u", i);
        c.key = key;
        t_outcome(&c);
    }
    t_synced(300);
    CHECK(t_projection(&p));
    CHECK(projection_step(&p, err) > 0);
    CHECK(p.sums_seq < p.seq);
    CHECK_EQ(t_count("SELECT COUNT(*) FROM logs"), 300);
    CHECK_EQ(t_count("SELECT COUNT(*) FROM usage_hourly"), 0);
    projection_close(&p);

    CHECK(t_projection(&p));
    p.finishing = true;
    CHECK(t_project(&p));
    CHECK_EQ(p.sums_seq, p.seq);
    check_sums(300);
    projection_close(&p);
    for (unsigned life = 0; life < 5; life++) {
        write_calls(300 + life * 10, 310 + life * 10, true);
        t_synced(300 + (life + 1) * 20);
        CHECK(t_projection(&p) && t_project(&p));
        projection_close(&p);
    }
    check_sums(350);
}

/* The batch was done, but the answer did not come: it is tried again, and nothing counts twice. */
static void tried_twice(void)
{
    struct projection p;
    char err[STORE_ERR_BYTES] = "";

    write_calls(0, 100, true);
    t_synced(200);
    CHECK(t_projection(&p));
    CHECK_EQ(store_exec(T.store, "ALTER TABLE logs RENAME TO away", NULL, 0, NULL, err), 0);
    CHECK(projection_step(&p, err) < 0);
    CHECK(p.pending != NULL);
    CHECK(projection_step(&p, err) < 0);
    CHECK_EQ(p.seq, 0);
    CHECK_EQ(store_exec(T.store, "ALTER TABLE away RENAME TO logs", NULL, 0, NULL, err), 0);
    CHECK_EQ(t_count("SELECT SUM(seq) FROM ledger_position"), 0); /* all or nothing */
    CHECK_EQ(t_count("SELECT COUNT(*) FROM usage_hourly"), 0);
    CHECK_EQ(store_batch_run(T.store, p.pending, err), 0);
    CHECK_EQ(store_batch_run(T.store, p.pending, err), -EAGAIN);
    CHECK(t_project(&p));
    check_sums(100);
    projection_close(&p);
}

/* The database goes away in the middle, several times, and comes back. */
static void server_dies(void)
{
    struct projection p;
    char err[STORE_ERR_BYTES] = "";
    unsigned done = 0;

    if (T.kind != STORE_POSTGRES)
        return;
    CHECK(t_projection(&p));
    for (unsigned round = 0; round < 3; round++, done += 200) {
        write_calls(done, done + 200, true);
        t_synced(2 * (done + 200));
        pg_server_kill(&T.pg);
        CHECK(projection_step(&p, err) < 0);
        CHECK(!store_is_up(T.store));
        CHECK(pg_server_run(&T.pg));
        int64_t deadline = clock_now() + 30 * NS_PER_S;
        while (p.seq < 2 * (done + 200) && clock_now() < deadline)
            if (projection_step(&p, err) < 0)
                nanosleep(&(struct timespec){.tv_nsec = 20 * NS_PER_MS}, NULL);
        CHECK(t_project(&p));
    }
    check_sums(done);
    projection_close(&p);
}

/* Frozen, so that it is not known what became of a batch. */
static void server_hangs(void)
{
    struct projection p;
    char err[STORE_ERR_BYTES] = "";

    if (T.kind != STORE_POSTGRES)
        return;
    store_close(T.store);
    T.store_timeout = 300 * NS_PER_MS;
    t_open_store();
    CHECK(t_projection(&p));
    write_calls(0, 300, true);
    t_synced(600);
    pg_server_freeze(&T.pg);
    CHECK(projection_step(&p, err) < 0);
    pg_server_signal(&T.pg, SIGCONT);
    int64_t deadline = clock_now() + 30 * NS_PER_S;
    while (p.seq < 600 && clock_now() < deadline)
        if (projection_step(&p, err) < 0)
            nanosleep(&(struct timespec){.tv_nsec = 20 * NS_PER_MS}, NULL);
    CHECK(t_project(&p));
    check_sums(300);
    projection_close(&p);
}

/* What callers chose must not stop everybody's rows. */
static void odd_texts(void)
{
    static char huge[20001];
    struct projection p;
    char id[37];
    struct t_call c = call_n(0, id);

    memset(huge, 'x', sizeof huge - 1);
    memcpy(huge + 253, "\xe2\x82\xac", 3);
    c.model = huge;
    c.model_asked = huge;
    c.customer = "a\xff\"b\\";
    c.tags[0] = "t,1";
    c.tags[1] = "%";
    t_outcome(&c);
    struct str nul = STR("{\"charged\":0,\"customer\":\"a\\u0000b\",\"event\":\"request\",\"id\":"
                         "\"019aa000-0000-7000-8000-000000000001\",\"outcome\":\"ok\",\"phase\":"
                         "\"outcome\",\"status\":200,\"ts\":1795219200000000000}");
    CHECK_EQ(journal_append(T.journal, JOURNAL_OTHER, nul, NULL), 0);
    t_synced(2);
    CHECK(t_projection(&p) && t_project(&p));
    CHECK_EQ(t_count("SELECT COUNT(*) FROM logs"), 2);
    CHECK_EQ(t_count("SELECT COUNT(*) FROM logs WHERE customer = 'a?b'"), 1);
    CHECK_EQ(t_count("SELECT MAX(LENGTH(model)) FROM logs"), 254); /* characters */
    projection_close(&p);
}

static void scopes_and_windows(void)
{
    struct projection p;
    char id[37];

    for (unsigned i = 0; i < 10; i++) {
        struct t_call c = call_n(i, id);
        c.scopes = "{org_1}k:key1:m2026-11/1f4a0000";
        c.charged = 7;
        t_outcome(&c);
    }
    struct t_call late = call_n(10, id);
    late.charged = 5;
    late.booked = BASE + DAY + 1;
    t_outcome(&late);
    t_synced(11);
    CHECK(t_projection(&p) && t_project(&p));
    CHECK_EQ(
        t_count("SELECT used FROM ledger_spend WHERE name = '{org_1}k:key1:m2026-11/1f4a0000'"),
        70);
    CHECK_EQ(
        t_count("SELECT used FROM ledger_spend WHERE name = '{org_1}o:org_1:d2026-11-21'"), 70);
    CHECK_EQ(t_count("SELECT used FROM ledger_spend WHERE name = '{org_1}o:org_1:d2026-11-22'"), 5);
    CHECK_EQ(t_count("SELECT used FROM ledger_spend WHERE name = '{org_1}o:org_1:e'"), 75);
    CHECK_EQ(t_count("SELECT used FROM ledger_spend WHERE name = '{org_1}c:cust:e'"), 19);
    projection_close(&p);
}

/* Entries of other kinds move the position and leave no row. */
static void other_events(void)
{
    struct projection p;
    struct str act = STR("{\"action\":\"vkey.create\",\"event\":\"key_event\"}");

    for (unsigned i = 0; i < 5; i++)
        CHECK_EQ(journal_append(T.journal, JOURNAL_OTHER, act, NULL), 0);
    t_synced(5);
    CHECK(t_projection(&p) && t_project(&p));
    CHECK(p.seq >= 5);
    CHECK_EQ(t_count("SELECT COUNT(*) FROM logs"), 0);
    CHECK_EQ(t_count("SELECT seq FROM ledger_position"), (int64_t)p.seq);
    projection_close(&p);
}

int main(void)
{
    static const struct t_case cases[] = {T_CASE(every_call_one_row), T_CASE(open_calls_stay),
        T_CASE(restarts), T_CASE(tried_twice), T_CASE(odd_texts), T_CASE(scopes_and_windows),
        T_CASE(other_events), T_CASE(server_dies), T_CASE(server_hangs)};

    t_run(cases, ARRAY_LEN(cases));
    return tap_done();
}
