/*
 * The ledger as a whole: what a call writes is what is read, a clean stop leaves nothing behind,
 * and after a crash what was running is unknown and costs what was held, to the nano-dollar.
 */
#include "ledger/ledger_test.h"
#include "journal/sys.h"
#include "keys/catalog.h"
#include "llm/exchange.h"
#include "providers/provider.h"
#include "runtime/test_loop.h"
#include "json/scan.h"

#include <stdatomic.h>

#define BASE (INT64_C(1795219200) * NS_PER_S) /* 2026-11-21 */

static bool open_ledger(void)
{
    struct ledger_settings s = t_settings();
    char err[256] = "";
    s.journal_kept = journal_last_seq(s.journal);
    int r = ledger_open(&s, err, sizeof err);

    if (r < 0)
        fprintf(stderr, "# ledger_open: %d %s\n", r, err);
    return r == 0;
}

/* --- entries by ledger/call.c --- */

static const struct stage stage_a = {.name = "route"}, stage_b = {.name = "authenticate"};

static struct made {
    struct http_request rq;
    struct virtual_key key;
    struct provider provider;
    struct upstream upstream;
    struct endpoint endpoint;
    struct exchange x;
    struct str tags[2];
} m;

static struct exchange *make_exchange(unsigned n)
{
    m = (struct made){.rq = {.first_byte_at = clock_now() - 5 * NS_PER_MS},
        .key = {.subject = {.kind = SUBJECT_KEY, .id = STR("0123456789abcdef")},
            .org_id = STR("org_1"),
            .team_id = STR("team_1"),
            .user_id = STR("user_1"),
            .tags = {m.tags, 2}},
        .provider = {.id = STR("openai")},
        .upstream = {.provider = &m.provider},
        .endpoint = {.kind = KIND_CHAT},
        .tags = {STR("prod"), STR("a \"b\"")}};
    struct exchange *x = &m.x;
    arena_init(&x->arena, NULL, 0, (size_t)1 << 20);
    x->rq = &m.rq;
    x->key = &m.key;
    x->upstream = &m.upstream;
    x->match.endpoint = &m.endpoint;
    x->started_wall = BASE + n * NS_PER_S;
    t_id(x->id, x->started_wall, n);
    x->model = STR("gpt-4o");
    x->model_asked = STR("gpt \xe2\x82\xac \"x\"\n");
    x->end_user = STR("cust\\1");
    x->trace_id = STR("tr");
    x->stream = true;
    x->body = STR("{\"messages\":[]}");
    x->reserved_nano = 5000;
    return x;
}

static void end_exchange(struct exchange *x)
{
    x->attempts = 1;
    x->upstream_status = 200;
    x->outcome = OUTCOME_OK;
    x->usage = (struct usage){.input = 10,
        .cache_read = 3,
        .cache_write_5m = 2,
        .output = 7,
        .reasoning = 4,
        .source = USAGE_REPORTED};
    x->cost_nano = 1234;
    x->charged_nano = 1234;
    x->stage_ns[0] = 2000;
    x->stage_ns[1] = 9000;
    ledger_reply_bytes(x, STR("data: x\n\n"));
}

static void write_one(void)
{
    struct exchange *x = make_exchange(1);

    ledger_use_stages((const struct stage *const[]){&stage_a, &stage_b}, 2);
    CHECK_EQ(ledger_call_open(x), 0);
    t_synced(1); /* so that the outcome finds it on the chain */
    end_exchange(x);
    CHECK_EQ(ledger_call_outcome(x), 0);
    CHECK_EQ(ledger_call_outcome(x), 0); /* once */
    stage_ledger.on_end(x);
    arena_free(&x->arena);
}

static void check_outcome(const struct call_entry *e)
{
    CHECK(e->outcome);
    CHECK_STR(e->id, str_of(m.x.id));
    CHECK_STR(e->org, STR("org_1"));
    CHECK_STR(e->team, STR("team_1"));
    CHECK_STR(e->user, STR("user_1"));
    CHECK_STR(e->key, STR("0123456789abcdef"));
    CHECK_STR(e->customer, STR("cust\\1"));
    CHECK_STR(e->provider, STR("openai"));
    CHECK_STR(e->model, STR("gpt-4o"));
    CHECK_STR(e->model_asked, STR("gpt \xe2\x82\xac \"x\"\n"));
    CHECK_STR(e->endpoint, STR("chat"));
    CHECK_STR(e->outcome_word, STR("ok"));
    CHECK_STR(e->tags, STR("prod,a \"b\""));
    CHECK_STR(e->trace, STR("tr"));
    CHECK_EQ(e->ts, BASE + NS_PER_S);
    CHECK_EQ(e->status, 200);
    CHECK_EQ(e->attempts, 1);
    CHECK_EQ(e->stream, 1);
    CHECK_EQ(e->in, 15);
    CHECK_EQ(e->out, 7);
    CHECK_EQ(e->cache_read, 3);
    CHECK_EQ(e->cache_write, 2);
    CHECK_EQ(e->reasoning, 4);
    CHECK_EQ(e->cost, 1234);
    CHECK_EQ(e->charged, 1234);
    CHECK(e->latency_us >= 5000);
    CHECK_EQ(e->req_len, 15);
    CHECK_EQ(e->resp_len, 9);
    CHECK(e->req_ref > 0 && e->resp_ref > 0);
}

static void round_trip(void)
{
    struct journal_reader *reader;
    struct journal_entry j;
    struct call_entry e;
    struct arena a;
    struct str id;

    CHECK(open_ledger());
    in_loop(write_one);
    t_synced(2);
    CHECK_EQ(journal_reader_open(T.journal_dir, 1, &reader), 0);
    arena_init(&a, NULL, 0, (size_t)1 << 20);
    CHECK_EQ(journal_reader_next(reader, &j), 1);
    CHECK(call_entry_is_open(j.payload, &id));
    CHECK_STR(id, str_of(m.x.id));
    CHECK_EQ(call_entry_read(j.payload, &e, &a), 1);
    CHECK(!e.outcome);
    CHECK_EQ(e.reserved, 5000);
    CHECK_EQ(e.cost, -1);
    CHECK_EQ(journal_reader_next(reader, &j), 1);
    CHECK(!call_entry_is_open(j.payload, &id));
    CHECK_EQ(call_entry_read(j.payload, &e, &a), 1);
    check_outcome(&e);
    struct str stages = json_find(j.payload, STR("stages"));
    CHECK_STR(stages, STR("{\"authenticate\":9,\"route\":2}"));
    CHECK_EQ(call_entry_read(STR("{\"event\":\"key_event\",\"id\":\"x\"}"), &e, &a), 0);
    CHECK_EQ(
        call_entry_read(STR("{\"event\":\"request\",\"phase\":\"outcome\"}"), &e, &a), -EINVAL);
    arena_free(&a);
    journal_reader_close(reader);
    ledger_close();
}

/* --- calls that are over at once --- */

static void write_hundred(void)
{
    for (unsigned n = 0; n < 100; n++) {
        struct exchange *x = make_exchange(n);
        CHECK_EQ(ledger_call_open(x), 0);
        end_exchange(x);
        x->attempts += n % 10 == 9; /* this one's first attempt had an entry, too */
        CHECK_EQ(ledger_call_outcome(x), 0);
        stage_ledger.on_end(x);
        arena_free(&x->arena);
    }
}

/* Of most the outcome alone is on the chain. */
static void one_entry(void)
{
    struct journal_reader *reader;
    struct journal_entry j;
    struct str id;
    unsigned opens = 0, outcomes = 0;

    CHECK(open_ledger());
    in_loop(write_hundred);
    ledger_wait_written(clock_now() + 20 * NS_PER_S);
    CHECK_EQ(journal_reader_open(T.journal_dir, 1, &reader), 0);
    while (journal_reader_next(reader, &j) == 1) {
        opens += call_entry_is_open(j.payload, &id);
        if (!str_eq(json_find(j.payload, STR("phase")), STR("\"outcome\"")))
            continue;
        outcomes++;
        CHECK_STR(json_find(j.payload, STR("reserved")), STR("5000"));
    }
    journal_reader_close(reader);
    CHECK_EQ(outcomes, 100);
    CHECK(opens >= 10 && opens < 100);
    ledger_close();
    CHECK_EQ(t_count("SELECT COUNT(*) FROM logs"), 100);
    CHECK_EQ(t_count("SELECT COUNT(*) FROM ledger_open"), 0);
}

/* --- a clean stop --- */

static unsigned calls_to_make;

static void write_many(void)
{
    for (unsigned n = 0; n < calls_to_make; n++) {
        struct exchange *x = make_exchange(n);
        CHECK_EQ(ledger_call_open(x), 0);
        end_exchange(x);
        CHECK_EQ(ledger_call_outcome(x), 0);
        stage_ledger.on_end(x);
        arena_free(&x->arena);
    }
    ledger_thread_end();
}

static void some_calls(unsigned n)
{
    CHECK(open_ledger());
    CHECK_EQ(ledger_start(), 0);
    calls_to_make = n;
    in_loop(write_many);
    ledger_stop();
    ledger_close();
}

static void clean_stop(void)
{
    uint64_t behind;
    int64_t age;

    some_calls(300); /* and ends at once: the last group may not even be synced */
    CHECK_EQ(t_count("SELECT COUNT(*) FROM logs"), 300);
    CHECK_EQ(t_count("SELECT SUM(calls) FROM totals_daily WHERE part = 'p'"), 300);
    CHECK_EQ(t_count("SELECT COUNT(*) FROM ledger_open"), 0);
    CHECK(open_ledger());
    ledger_lag(&behind, &age);
    CHECK_EQ(behind, 0);
    CHECK_EQ(age, 0);
    ledger_close();
    CHECK_EQ(t_count("SELECT COUNT(*) FROM logs"), 300);
}

/* --- waiting for a row --- */

static struct store_rows *found;

/* Again and again, as the disk may take longer for a group than it does as a rule. */
static void write_and_wait(void)
{
    int64_t deadline = clock_now() + 10 * NS_PER_S;

    calls_to_make = 1;
    write_many();
    do {
        store_rows_free(found);
        found = NULL;
        CHECK_EQ(ledger_wait(clock_wall(), deadline), 0);
        CHECK_EQ(store_query(T.store, "SELECT request_id FROM logs", NULL, 0, &found, NULL), 0);
    } while (!store_rows_n(found) && clock_now() < deadline);
}

static void waits_for_rows(void)
{
    CHECK(open_ledger());
    CHECK_EQ(ledger_start(), 0);
    in_loop(write_and_wait);
    CHECK_EQ(store_rows_n(found), 1);
    store_rows_free(found);
    found = NULL;
    ledger_close();
}

/* --- a crash --- */

static void spent_is(const char *counter, int64_t want)
{
    _cleanup_(buf_free) struct buf sql = {0};
    int64_t used = -1, held = -1;

    buf_init(&sql, 1024);
    buf_printf(&sql, "SELECT SUM(used) FROM ledger_spend WHERE name = '%s'", counter);
    buf_addc(&sql, 0);
    CHECK_EQ(t_count(sql.p), want);
    shared_part(T.shared, str_of(counter), &used, &held);
    CHECK_EQ(used, want);
    CHECK_EQ(held, 0);
}

static void crash(void)
{
    char id[37];

    clock_freeze_wall(BASE + HOUR);
    for (unsigned n = 0; n < 20; n++) {
        struct t_call c = {.id = id,
            .key = "key1",
            .user = "user_1",
            .team = "team_1",
            .org = "org_1",
            .customer = "cust",
            .provider = "openai",
            .model = "gpt-4o",
            .endpoint = "chat",
            .ts = BASE + n * NS_PER_S,
            .reserved = 1000003,
            .cost = 500009,
            .charged = 500009,
            .scopes = "{org_1}k:key1:e/00112233"};
        t_id(id, c.ts, n);
        t_open_call(&c);
        if (n % 4)
            t_outcome(&c);
    }
    t_synced(35);
    const int64_t want = 15 * 500009 + 5 * 1000003;
    for (unsigned life = 0; life < 3; life++) { /* and again nothing changes */
        CHECK(open_ledger());
        CHECK_EQ(t_count("SELECT COUNT(*) FROM logs"), 20);
        CHECK_EQ(t_count("SELECT COUNT(*) FROM logs WHERE outcome = 'unknown' AND status = 0 AND "
                         "charged = 1000003 AND cost IS NULL AND open_seq > 0"),
            5);
        CHECK_EQ(t_count("SELECT SUM(charged) FROM logs"), want);
        CHECK_EQ(t_count("SELECT SUM(errors) FROM usage_hourly"), 5);
        CHECK_EQ(t_count("SELECT COUNT(*) FROM ledger_open"), 0);
        spent_is("{org_1}o:org_1:e", want);
        spent_is("{org_1}t:team_1:m2026-11", want);
        spent_is("{org_1}u:user_1:w2026-11-16", want);
        spent_is("{org_1}k:key1:d2026-11-21", want);
        spent_is("{org_1}c:cust:e", want);
        spent_is("{org_1}k:key1:e/00112233", want);
        ledger_close();
        shared_close(T.shared);
        t_open_shared();
    }
    clock_freeze_wall(0);
}

/* What was on the journal while the database was away, or in a process that had none. */
static void late_rows(void)
{
    char id[37];

    for (unsigned n = 0; n < 5000; n++) {
        struct t_call c = {
            .id = id, .key = "k", .provider = "p", .model = "m", .ts = BASE + n * 1000000};
        t_id(id, c.ts, n);
        t_outcome(&c);
        if (n % 200 == 199)
            t_synced(n + 1);
    }
    CHECK(open_ledger());
    CHECK_EQ(t_count("SELECT COUNT(*) FROM logs"), 5000);
    CHECK_EQ(t_count("SELECT SUM(calls) FROM usage_hourly"), 5000);
    ledger_close();
}

/* --- what was put on a counter by hand --- */

static void adjust(const char *counter, int64_t nano, int64_t at)
{
    char text[256];

    snprintf(text, sizeof text,
        "{\"at\":%lld,\"counter\":\"%s\",\"event\":\"spend_adjust\",\"expires\":0,\"nano\":%lld}",
        (long long)at, counter, (long long)nano);
    must(journal_append(T.journal, JOURNAL_OTHER, str_of(text), NULL) == 0);
}

/* A journal that lost its end, and bears the same entries under other numbers. */
static void adjusted_once(void)
{
    struct ledger_settings s = t_settings();
    char err[256] = "";

    clock_freeze_wall(BASE + HOUR);
    for (int i = 0; i < 4; i++)
        adjust("{org_1}k:key1:e", 1000, BASE + i);
    t_synced(4);
    CHECK(open_ledger());
    spent_is("{org_1}k:key1:e", 4000);
    ledger_close();
    adjust("{org_1}k:key1:e", 1000, BASE + 2); /* again what was there */
    adjust("{org_1}k:key1:e", 1000, BASE + 3);
    adjust("{org_1}k:key1:e", 500, BASE + 4); /* and what nobody saw */
    t_synced(7);
    s.journal_kept = 3; /* of which the store thinks that it has seen four */
    for (unsigned life = 0; life < 2; life++) {
        shared_close(T.shared);
        t_open_shared();
        s.shared = T.shared;
        CHECK_EQ(ledger_open(&s, err, sizeof err), 0);
        spent_is("{org_1}k:key1:e", 4500);
        ledger_close();
        s.journal_kept = journal_last_seq(T.journal);
    }
    clock_freeze_wall(0);
}

/* --- a writer that is behind --- */

static atomic_bool disk_hangs;

static int hanging_sync(int fd)
{
    while (atomic_load(&disk_hangs))
        nanosleep(&(struct timespec){.tv_nsec = NS_PER_MS}, NULL);
    return fdatasync(fd);
}

static void fill_ring(void)
{
    static char text[20000];
    struct journal_ticket t;
    struct str payload = str_at(text, sizeof text);

    memset(text, 'x', sizeof text);
    memcpy(text, "{\"a\":\"", 6);
    memcpy(text + sizeof text - 2, "\"}", 2);
    while (journal_has_room(T.journal, 0))
        must(journal_append(T.journal, 0, payload, &t) == 0);
}

static void open_behind(void *arg)
{
    int *result = arg;

    *result = ledger_call_open(make_exchange(2));
}

static void open_waits(void)
{
    int result = 1;

    fill_ring();
    must(co_spawn("call", open_behind, &result, NULL) == 0);
    for (int i = 0; i < 20; i++)
        co_sleep_until(clock_now() + NS_PER_MS);
    int before = result;
    atomic_store(&disk_hangs, false);
    for (int64_t until = clock_now() + 10 * NS_PER_S; result == 1 && clock_now() < until;)
        co_sleep_until(clock_now() + NS_PER_MS);
    arena_free(&m.x.arena);
    CHECK_EQ(before, 1);
    CHECK_EQ(result, 0);
}

/* The disk hangs, the ring is full: a new call is not refused, but waits until there is room. */
static void waits_for_room(void)
{
    journal_close(T.journal);
    journal_sys.fdatasync = hanging_sync;
    t_open_journal();
    CHECK(open_ledger());
    atomic_store(&disk_hangs, true);
    in_loop(open_waits);
    ledger_close();
    journal_close(T.journal);
    journal_sys.fdatasync = fdatasync;
    t_open_journal();
}

/* --- invented end customers --- */

static void spend(const char *name, int64_t used)
{
    const struct store_value v[] = {
        store_text(str_of(name)), store_text(STR(T_NODE)), store_int(used)};

    CHECK_EQ(store_exec(T.store,
                 "INSERT INTO ledger_spend (name, node, used, expires_at) VALUES (?1, ?2, ?3, 0)",
                 v, 3, NULL, NULL),
        0);
}

static void customers_are_bounded(void)
{
    struct ledger_settings s = t_settings();
    char name[64];

    for (unsigned i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "{org_1}c:bot%u:e", i);
        spend(name, 5 + i % 3);
    }
    spend("{org_1}c:regular:e", 1000);
    spend("{org_1}c:known:e", 1);
    spend("{org_2}c:known:m2026-11", 1);
    spend("{org_1}k:key1:e", 1);
    CHECK_EQ(store_exec(T.store,
                 "INSERT INTO customers (id, name, budgets, rpm_limit, tpm_limit, "
                 "max_parallel_requests, metadata, is_active, created_at, updated_at, version) "
                 "VALUES ('known', '', '[]', 0, 0, 0, '{}', 1, 0, 0, 0)",
                 NULL, 0, NULL, NULL),
        0);
    CHECK_EQ(customers_forget(&s, 303), 0); /* as many as there are */
    CHECK_EQ(t_count("SELECT COUNT(*) FROM ledger_spend"), 304);
    CHECK_EQ(customers_forget(&s, 100), 0);
    CHECK_EQ(t_count("SELECT COUNT(*) FROM ledger_spend WHERE name LIKE '%}c:%'"), 90);
    CHECK_EQ(
        t_count("SELECT COUNT(*) FROM ledger_spend WHERE name LIKE '%c:bot%' AND used < 7"), 0);
    CHECK_EQ(t_count("SELECT COUNT(*) FROM ledger_spend WHERE name LIKE '%c:known:%'"), 2);
    CHECK_EQ(t_count("SELECT COUNT(*) FROM ledger_spend WHERE name LIKE '%c:regular:e'"), 1);
    CHECK_EQ(t_count("SELECT COUNT(*) FROM ledger_spend WHERE name LIKE '%k:key1:e'"), 1);
}

/* --- what goes in time --- */

#define NUMBERS                                                                                    \
    "calls, errors, streamed, cache_hits, tokens_in, tokens_out, cache_read, cost, unpriced, "     \
    "latency_us, l0, l1, l2, l3, l4, l5, l6, l7, l8, l9, l10, l11, l12, l13, l14, l15"
#define OLDER(table, names)                                                                        \
    "INSERT INTO " table " (at, " names ", " NUMBERS ") SELECT at - ?1, " names ", " NUMBERS       \
    " FROM " table

/* The same sums once more, by so much older. */
static void make_older(int64_t by)
{
    static const char *const all[] = {OLDER("totals_hourly", "part, org_id, value, model, status"),
        OLDER("totals_daily", "part, org_id, value, model, status"),
        OLDER("totals_weekly", "part, org_id, value, model, status"),
        OLDER("usage_hourly", "org_id, team_id, user_id, key_id, provider, model, endpoint, tags, "
                              "status")};
    const struct store_value v = store_int(by);

    for (unsigned i = 0; i < ARRAY_LEN(all); i++)
        CHECK_EQ(store_exec(T.store, all[i], &v, 1, NULL, NULL), 0);
}

#define ALL_SUMS                                                                                   \
    "SELECT (SELECT COUNT(*) FROM usage_hourly) + (SELECT COUNT(*) FROM totals_hourly) + (SELECT " \
    "COUNT(*) FROM totals_daily) + (SELECT COUNT(*) FROM totals_weekly)"

static void sums_go_in_whole_weeks(void)
{
    struct ledger_settings s = t_settings();

    some_calls(20);
    int64_t now = t_count(ALL_SUMS);
    CHECK(now > 0);
    for (unsigned weeks = 1; weeks <= 3; weeks++)
        make_older(SUMS_WEEK << (weeks - 1)); /* 1, 2 and 3, 4 to 7 */
    CHECK_EQ(t_count(ALL_SUMS), 8 * now);
    retention_forget(&s); /* for ever */
    CHECK_EQ(t_count(ALL_SUMS), 8 * now);
    s.sums_retention = clock_wall() - BASE + 2 * SUMS_WEEK; /* two more than that of the calls */
    retention_forget(&s);
    CHECK_EQ(t_count(ALL_SUMS), 3 * now);
    CHECK_EQ(t_count("SELECT COUNT(DISTINCT at) FROM totals_weekly"), 3);
    CHECK_EQ(t_count("SELECT COUNT(*) FROM logs"), 20);
}

static void rows_go_in_time(void)
{
    struct ledger_settings s = t_settings();

    some_calls(20);
    s.row_retention = clock_wall() - BASE + DAY;
    retention_forget(&s);
    CHECK_EQ(t_count("SELECT COUNT(*) FROM logs"), 20);
    s.row_retention = 1;
    retention_forget(&s);
    CHECK_EQ(t_count("SELECT COUNT(*) FROM logs"), 0);
    CHECK(t_count(ALL_SUMS) > 0);
}

int main(void)
{
    static const struct t_case cases[] = {T_CASE(round_trip), T_CASE(one_entry), T_CASE(clean_stop),
        T_CASE(waits_for_rows), T_CASE(crash), T_CASE(late_rows), T_CASE(adjusted_once),
        T_CASE(customers_are_bounded), T_CASE(sums_go_in_whole_weeks), T_CASE(rows_go_in_time),
        T_CASE(waits_for_room)};

    t_run(cases, ARRAY_LEN(cases));
    return tap_done();
}
