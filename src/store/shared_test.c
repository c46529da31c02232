/*
 * The shared store by its interface, the same tests over both columns: in the process, and over a
 * real Redis that this test starts and ends. What is peculiar to Redis is in redis_test.c.
 */
#include "store/shared_test.h"

static struct test_redis server;
static bool remote;
static struct shared *s;
static unsigned round_no;

/* A name that no other test uses. */
static struct str named(const char *what)
{
    static char name[8][64];
    static unsigned next;
    char *p = name[next++ % 8];
    return str_at(p, (size_t)snprintf(p, 64, "b:{org}:%s:%u", what, round_no));
}

static char url[64];

static struct shared *node_open(const char *node)
{
    return node_open_at(remote ? url : NULL, node, SHARED_DOWN_LOCAL);
}

static void ready(struct shared *node)
{
    must(shared_start(node) == 0);
    int64_t give_up = clock_now() + 10 * NS_PER_S;
    while (!shared_is_up(node) && clock_now() < give_up)
        co_sleep_until(clock_now() + NS_PER_MS);
    must(shared_is_up(node));
}

static void (*body)(void);

static void with_node(void)
{
    ready(s);
    body();
    must(!remote || s->redis->outage == 1); /* nothing of it was decided without Redis */
    shared_stop(s);
}

static void run_with_node(void (*fn)(void))
{
    round_no++;
    body = fn;
    s = node_open("one");
    in_loop(with_node);
    shared_close(s);
}

#define WITH_NODE(name)                                                                            \
    static void name##_body(void);                                                                 \
    static void name(void)                                                                         \
    {                                                                                              \
        run_with_node(name##_body);                                                                \
    }                                                                                              \
    static void name##_body(void)

static int64_t hour(void)
{
    return clock_wall() + 3600 * NS_PER_S;
}

static int reserve(struct shared *at, struct str name, int64_t amount, int64_t limit)
{
    struct shared_row row = {.name = name, .amount = amount, .limit = limit, .expires_at = hour()};
    unsigned which;
    return shared_reserve(at, &row, 1, &which);
}

static void settle(struct shared *at, struct str name, int64_t release, int64_t use)
{
    struct shared_change ch = {.name = name, .release = release, .use = use, .expires_at = hour()};
    shared_settle(at, &ch, 1);
}

static void total(struct shared *at, struct str name, int64_t *used, int64_t *held)
{
    *used = *held = -1;
    must(shared_total(at, name, used, held) == 0);
}

/* --- reserving -------------------------------------------------------------------------------- */

WITH_NODE(test_reserve)
{
    struct shared_row rows[2] = {
        {.name = named("a"), .amount = 60, .limit = 100, .expires_at = hour()},
        {.name = named("b"), .amount = 1, .limit = SHARED_NO_LIMIT, .expires_at = hour()},
    };
    int64_t used, held;
    unsigned which = 9;
    CHECK_EQ(shared_reserve(s, rows, 2, &which), 0);
    CHECK_EQ(rows[0].used, 0);
    CHECK_EQ(rows[0].held, 60);
    CHECK_EQ(shared_reserve(s, rows, 2, &which), -EDQUOT);
    CHECK_EQ(which, 0);
    CHECK_EQ(rows[0].held, 60);
    shared_part(s, rows[1].name, &used, &held);
    CHECK_EQ(held, 1); /* the refused call left nothing */
    settle(s, rows[0].name, 60, 25);
    rows[0].amount = 75;
    CHECK_EQ(shared_reserve(s, rows, 2, &which), 0);
    CHECK_EQ(rows[0].used, 25);
    CHECK_EQ(rows[0].held, 75);
    total(s, rows[0].name, &used, &held);
    CHECK_EQ(used, 25);
    CHECK_EQ(held, 75);
    rows[0].amount = 0;
    CHECK_EQ(shared_reserve(s, rows, 1, &which), 0); /* nothing fits always, at the limit too */
    rows[0].limit = 99;
    CHECK_EQ(shared_reserve(s, rows, 1, &which), -EDQUOT); /* and not beyond it */
    CHECK_EQ(rows[0].used + rows[0].held, 100);
}

struct contest {
    struct str name, other;
    int64_t amount, limit, other_limit;
    atomic_llong won;
};

static void take_until_refused(void *arg, unsigned index)
{
    struct contest *c = arg;
    while (reserve(s, c->name, c->amount, c->limit) == 0)
        atomic_fetch_add(&c->won, 1);
}

WITH_NODE(test_limit_is_exact)
{
    struct contest c = {.name = named("exact"), .amount = 7, .limit = 10000};
    int64_t used, held;
    crew_run(4, 16, take_until_refused, &c);
    CHECK_EQ(atomic_load(&c.won), 10000 / 7);
    total(s, c.name, &used, &held);
    CHECK_EQ(held, 10000 / 7 * 7);
    CHECK_EQ(reserve(s, c.name, 10000 % 7, 10000), 0); /* and the rest can be had */
    CHECK_EQ(reserve(s, c.name, 1, 10000), -EDQUOT);
}

static void take_both(void *arg, unsigned index)
{
    struct contest *c = arg;
    struct shared_row rows[3] = {
        {.name = c->name, .amount = 3, .limit = c->limit, .expires_at = hour()},
        {.name = STR("b:{org}:free"), .amount = 1, .limit = SHARED_NO_LIMIT},
        {.name = c->other, .amount = 1, .limit = c->other_limit, .expires_at = hour()},
    };
    unsigned which = 0;
    for (int i = 0; i < 40; i++) {
        int r = shared_reserve(s, rows, 3, &which);
        must(r == 0 || (r == -EDQUOT && which == 2));
        if (r == 0)
            atomic_fetch_add(&c->won, 1);
    }
}

WITH_NODE(test_all_rows_or_none)
{
    struct contest c = {
        .name = named("wide"), .other = named("narrow"), .limit = 100000, .other_limit = 200};
    int64_t used, held;
    crew_run(4, 8, take_both, &c);
    CHECK_EQ(atomic_load(&c.won), 200);
    total(s, c.name, &used, &held);
    CHECK_EQ(held, 600);
    total(s, c.other, &used, &held);
    CHECK_EQ(held, 200);
    shared_part(s, STR("b:{org}:free"), &used, &held);
    CHECK_EQ(held, 200);
}

static void reserve_and_settle(void *arg, unsigned index)
{
    struct contest *c = arg;
    for (int i = 0; i < 50; i++) {
        if (reserve(s, c->name, 10, c->limit) < 0)
            continue;
        atomic_fetch_add(&c->won, 1);
        settle(s, c->name, 10, 3);
    }
}

WITH_NODE(test_settle_under_load)
{
    struct contest c = {.name = named("flow"), .limit = 1500};
    int64_t used, held;
    crew_run(4, 8, reserve_and_settle, &c);
    total(s, c.name, &used, &held);
    CHECK_EQ(held, 0);
    CHECK_EQ(used, 3 * atomic_load(&c.won));
    CHECK(used <= 1500 && used > 1500 - 10);
}

WITH_NODE(test_numbers_are_bounded)
{
    struct str name = named("big");
    int64_t used, held;
    CHECK_EQ(reserve(s, name, SHARED_NUMBER_MAX + 1, INT64_MAX - 1), -EDQUOT);
    CHECK_EQ(reserve(s, name, SHARED_NUMBER_MAX, INT64_MAX - 1), 0);
    CHECK_EQ(reserve(s, name, 1, INT64_MAX - 1), -EDQUOT);
    CHECK_EQ(reserve(s, name, INT64_MAX, SHARED_NO_LIMIT), 0);
    total(s, name, &used, &held);
    CHECK_EQ(held, SHARED_NUMBER_MAX);
    settle(s, name, INT64_MAX, INT64_MAX);
    settle(s, name, INT64_MAX, INT64_MAX);
    total(s, name, &used, &held);
    CHECK_EQ(used, SHARED_NUMBER_MAX);
    CHECK_EQ(held, 0);
}

WITH_NODE(test_expiry)
{
    struct str name = named("brief");
    struct shared_row row = {
        .name = name, .amount = 5, .limit = 5, .expires_at = clock_wall() + 30 * NS_PER_MS};
    int64_t used, held;
    unsigned which;
    CHECK_EQ(shared_reserve(s, &row, 1, &which), 0);
    WAIT_FOR(clock_wall() > row.expires_at);
    shared_part(s, name, &used, &held);
    CHECK_EQ(held, 0);
    row.expires_at = hour();
    CHECK_EQ(shared_reserve(s, &row, 1, &which), 0);
    settle(s, name, 5, 0);
    struct shared_change late = {
        .name = named("gone"), .release = 1, .use = 5, .expires_at = clock_wall() - 1};
    shared_settle(s, &late, 1);
    shared_part(s, late.name, &used, &held);
    CHECK_EQ(used, 0);
}

/* So that a clock that had jumped finds, once it is right again, what was used before. */
WITH_NODE(test_settled_after_its_end)
{
    struct shared_change ch = {
        .name = named("late"), .use = 3, .expires_at = clock_wall() + 30 * NS_PER_MS};
    int64_t used, held;
    shared_settle(s, &ch, 1);
    WAIT_FOR(clock_wall() > ch.expires_at);
    shared_settle(s, &ch, 1);
    shared_part(s, ch.name, &used, &held);
    CHECK_EQ(used, 0);
    if (s->redis) /* which has forgotten it */
        return;
    struct counter *c = counter_find(&s->table, ch.name, map_hash(ch.name));
    CHECK(c && c->used == 6);
}

WITH_NODE(test_seed)
{
    struct str name = named("seed");
    int64_t used, held;
    shared_seed(s, name, 90, hour());
    CHECK_EQ(reserve(s, name, 11, 100), -EDQUOT);
    CHECK_EQ(reserve(s, name, 10, 100), 0);
    shared_seed(s, name, 50, hour()); /* sets, does not add */
    shared_part(s, name, &used, &held);
    CHECK_EQ(used, 50);
    CHECK_EQ(held, 10);
    total(s, name, &used, &held);
    CHECK_EQ(used, 50);
    total(s, named("nobody"), &used, &held);
    CHECK_EQ(used + held, 0);
}

/* --- waiting ---------------------------------------------------------------------------------- */

static void take_turns(void *arg, unsigned index)
{
    struct contest *c = arg;
    for (int i = 0; i < 5; i++) {
        while (reserve(s, c->name, 10, 20) == -EDQUOT)
            must(shared_wait_settle(s, c->name, far()) == 0);
        co_yield ();
        settle(s, c->name, 10, 0);
        atomic_fetch_add(&c->won, 1);
    }
}

WITH_NODE(test_wait_across_loops)
{
    struct contest c = {.name = named("turns")};
    int64_t used, held;
    crew_run(4, 8, take_turns, &c);
    CHECK_EQ(atomic_load(&c.won), 4 * 8 * 5);
    total(s, c.name, &used, &held);
    CHECK_EQ(held, 0);
}

struct in_line {
    struct str name;
    int64_t amount, limit;
    int result;
    bool done;
    unsigned *count, place;
};

static void wait_in_line(void *arg)
{
    struct in_line *w = arg;
    w->result = reserve(s, w->name, w->amount, w->limit);
    if (w->result == -EDQUOT)
        w->result = shared_wait_settle(s, w->name, far());
    w->place = (*w->count)++;
    w->done = true;
}

WITH_NODE(test_first_come_first_served)
{
    struct in_line w[3];
    unsigned count = 0;
    struct str name = named("fifo");
    CHECK_EQ(reserve(s, name, 30, 30), 0);
    for (unsigned i = 0; i < 3; i++) {
        w[i] = (struct in_line){.name = name, .amount = 10, .limit = 30, .count = &count};
        CHECK_EQ(co_spawn("line", wait_in_line, &w[i], NULL), 0);
    }
    co_sleep_until(loop_now() + 20 * NS_PER_MS); /* all three are refused and stand in line */
    CHECK_EQ(count, 0);
    settle(s, name, 30, 0);
    WAIT_FOR(count == 3);
    CHECK(w[0].place == 0 && w[1].place == 1 && w[2].place == 2);
    CHECK(w[0].result == 0 && w[2].result == 0);
}

WITH_NODE(test_only_who_fits_is_woken)
{
    unsigned count = 0;
    struct str name = named("fit");
    struct in_line big = {.name = name, .amount = 90, .limit = 100, .count = &count},
                   small = {.name = name, .amount = 10, .limit = 100, .count = &count};
    CHECK_EQ(reserve(s, name, 60, 100), 0);
    CHECK_EQ(reserve(s, name, 40, 100), 0);
    int64_t start = loop_now();
    CHECK_EQ(co_spawn("line", wait_in_line, &big, NULL), 0);
    CHECK_EQ(co_spawn("line", wait_in_line, &small, NULL), 0);
    co_sleep_until(loop_now() + 20 * NS_PER_MS);
    settle(s, name, 40, 0);
    WAIT_FOR(small.done);
    CHECK(!big.done || clock_now() - start > SHARED_POLL_NS);
    settle(s, name, 60, 0);
    WAIT_FOR(big.done);
}

static void settle_later(void *arg)
{
    struct in_line *w = arg;
    w->result = shared_wait_settle(s, w->name, far());
    w->done = true;
}

WITH_NODE(test_wait_ends)
{
    struct str name = named("ends");
    struct in_line w = {.name = name};
    struct co *co = NULL;
    int64_t start = clock_now();
    CHECK_EQ(reserve(s, name, 5, 5), 0);
    CHECK_EQ(reserve(s, name, 5, 5), -EDQUOT);
    settle(s, name, 5, 0); /* between the refusal and the wait: not missed */
    CHECK_EQ(shared_wait_settle(s, name, far()), 0);
    CHECK(clock_now() - start < NS_PER_S);
    CHECK_EQ(reserve(s, name, 5, 5), 0);
    CHECK_EQ(reserve(s, name, 5, 5), -EDQUOT);
    int r = 0;
    int64_t deadline = loop_now() + 30 * NS_PER_MS;
    while ((r = shared_wait_settle(s, name, deadline)) == 0)
        CHECK(loop_now() < deadline);
    CHECK_EQ(r, -ETIMEDOUT);
    CHECK_EQ(co_spawn("cancelled", settle_later, &w, &co), 0);
    co_yield ();
    co_cancel(co);
    WAIT_FOR(w.done);
    CHECK_EQ(w.result, -ECANCELED);
}

/* --- key-value -------------------------------------------------------------------------------- */

WITH_NODE(test_key_value)
{
    _cleanup_(buf_free) struct buf got;
    buf_init(&got, 4 << 20);
    struct str key = named("k");
    CHECK_EQ(shared_get(s, key, &got), 0);
    CHECK_EQ(shared_set(s, key, STR("one\0two"), NS_PER_S * 60, false), 0);
    CHECK_EQ(shared_get(s, key, &got), 1);
    CHECK_STR(buf_str(&got), STR("one\0two"));
    CHECK_EQ(shared_set(s, key, STR("x"), NS_PER_S * 60, true), -EEXIST);
    CHECK_EQ(shared_set(s, key, STR(""), NS_PER_S * 60, false), 0);
    buf_clear(&got);
    CHECK_EQ(shared_get(s, key, &got), 1);
    CHECK_EQ(got.n, 0);
    CHECK_EQ(shared_del(s, key), 0);
    CHECK_EQ(shared_get(s, key, &got), 0);
    CHECK_EQ(shared_del(s, key), 0);
    CHECK_EQ(shared_set(s, key, STR("short"), 20 * NS_PER_MS, true), 0);
    WAIT_FOR(shared_get(s, key, &got) == 0);
    CHECK_EQ(shared_set(s, key, STR("again"), NS_PER_S, true), 0);
    CHECK_EQ(shared_set(s, key, STR("x"), 0, true), -EINVAL);
    CHECK_EQ(shared_set(s, STR(""), STR("x"), 1, true), -EINVAL);
}

WITH_NODE(test_large_value)
{
    _cleanup_(buf_free) struct buf big, got;
    buf_init(&big, 2 * SHARED_VALUE_BYTES);
    buf_init(&got, 2 * SHARED_VALUE_BYTES);
    for (size_t i = 0; i < SHARED_VALUE_BYTES; i++)
        buf_addc(&big, (char)(i * 31));
    CHECK_EQ(shared_set(s, STR("big"), buf_str(&big), NS_PER_S, false), 0);
    CHECK_EQ(shared_get(s, STR("big"), &got), 1);
    CHECK_STR(buf_str(&got), buf_str(&big));
    buf_addc(&big, 'x');
    CHECK_EQ(shared_set(s, STR("big"), buf_str(&big), NS_PER_S, false), -EINVAL);
}

static void set_and_get(void *arg, unsigned index)
{
    char key[32], value[32];
    _cleanup_(buf_free) struct buf got;
    buf_init(&got, 64);
    for (int i = 0; i < 50; i++) {
        struct str k = str_at(key, (size_t)snprintf(key, sizeof key, "m:%u:%d", index, i));
        struct str v = str_at(value, (size_t)snprintf(value, sizeof value, "v%u-%d", index, i));
        must(shared_set(s, k, v, 10 * NS_PER_S, false) == 0);
        buf_clear(&got);
        must(shared_get(s, k, &got) == 1 && str_eq(buf_str(&got), v));
        must(i % 2 == 0 || shared_del(s, k) == 0);
    }
}

WITH_NODE(test_key_value_from_all_loops)
{
    _cleanup_(buf_free) struct buf got;
    buf_init(&got, 64);
    crew_run(3, 8, set_and_get, NULL);
    CHECK_EQ(shared_get(s, STR("m:0:0"), &got), 1);
    CHECK_EQ(shared_get(s, STR("m:0:1"), &got), 0);
}

/* --- messages --------------------------------------------------------------------------------- */

struct heard {
    unsigned n;
    char last[32];
};

static void hear(void *ctx, struct str message)
{
    struct heard *h = ctx;
    must(co_self() && message.n < sizeof h->last);
    memcpy(h->last, message.p, message.n);
    h->last[message.n] = '\0';
    h->n++;
    co_yield ();
}

static void publish_some(void *arg, unsigned index)
{
    for (int i = 0; i < 10; i++)
        shared_publish(s, "news", STR("crew"));
}

static struct heard news, other;

static void messages(void)
{
    ready(s);
    shared_publish(s, "news", STR("one"));
    shared_publish(s, "news", STR("two"));
    shared_publish(s, "nobody", STR("x"));
    WAIT_FOR(news.n == 2);
    CHECK_STR(str_of(news.last), STR("two"));
    shared_publish(s, "other", STR(""));
    WAIT_FOR(other.n == 1);
    crew_run(3, 4, publish_some, NULL);
    WAIT_FOR(news.n == 122);
    CHECK_EQ(other.n, 1);
    shared_stop(s);
    shared_publish(s, "news", STR("late")); /* to nobody, without harm */
}

static void test_messages(void)
{
    memset(&news, 0, sizeof news);
    memset(&other, 0, sizeof other);
    s = node_open("one");
    CHECK_EQ(shared_subscribe(s, "news", hear, &news), 0);
    CHECK_EQ(shared_subscribe(s, "other", hear, &other), 0);
    in_loop(messages);
    CHECK_EQ(news.n, 122);
    shared_close(s);
}

/* --- only in the process ---------------------------------------------------------------------- */

WITH_NODE(test_values_are_bounded)
{
    _cleanup_(buf_free) struct buf big, got;
    buf_init(&big, SHARED_VALUE_BYTES);
    buf_init(&got, SHARED_VALUE_BYTES);
    char key[16];
    while (big.n < SHARED_VALUE_BYTES)
        buf_addc(&big, 'v');
    for (int i = 0; i < 200; i++) { /* the longer the key's number, the sooner it ends */
        struct str k = str_at(key, (size_t)snprintf(key, sizeof key, "big:%d", i));
        CHECK_EQ(shared_set(s, k, buf_str(&big), (1000 - i) * NS_PER_S, false), 0);
        CHECK(s->kv.bytes <= SHARED_KV_BYTES);
    }
    CHECK(s->kv.n > 50);
    CHECK_EQ(shared_get(s, STR("big:0"), &got), 1);
    buf_clear(&got);
    CHECK_EQ(shared_get(s, STR("big:100"), &got), 0);
}

WITH_NODE(test_counters_go)
{
    char name[32];
    for (unsigned i = 0; i < 20000; i++) {
        struct str n = str_at(name, (size_t)snprintf(name, sizeof name, "go:%u", i));
        struct shared_row row = {.name = n,
            .amount = 1,
            .limit = 10,
            .expires_at = clock_wall() + (i % 2 ? 3600 * NS_PER_S : NS_PER_MS)};
        unsigned which;
        CHECK_EQ(shared_reserve(s, &row, 1, &which), 0);
    }
    CHECK_EQ(s->table.n, 20000);
    CHECK_EQ(s->table.n_buckets, 20000);
    WAIT_FOR(clock_wall() % (2 * NS_PER_MS) < NS_PER_MS); /* let the last one expire */
    co_sleep_until(clock_now() + 2 * NS_PER_MS);
    size_t all = s->table.n_buckets;
    int64_t now = clock_now(), past = clock_wall() - NS_PER_S;
    counters_sweep(&s->table, all, clock_wall(), now, NULL, NULL);
    CHECK_EQ(s->table.n, 20000);
    counters_sweep(&s->table, all, past, now + 1, NULL, NULL); /* the clock jumped back */
    counters_sweep(&s->table, all, clock_wall(), now + SHARED_EXPIRED_NS, NULL, NULL);
    CHECK_EQ(s->table.n, 20000);
    counters_sweep(&s->table, all, clock_wall(), now + 2 * SHARED_EXPIRED_NS, NULL, NULL);
    CHECK_EQ(s->table.n, 10000);
    for (unsigned i = 1; i < 20000; i += 2) {
        int64_t used, held;
        snprintf(name, sizeof name, "go:%u", i);
        shared_part(s, str_of(name), &used, &held);
        CHECK_EQ(held, 1);
    }
}

WITH_NODE(test_name_twice)
{
    struct str name = named("twice");
    struct shared_row rows[2] = {
        {.name = name, .amount = 6, .limit = 10}, {.name = name, .amount = 1, .limit = 10}};
    int64_t used, held;
    unsigned which;
    CHECK_EQ(shared_reserve(s, rows, 2, &which), -EINVAL);
    shared_part(s, name, &used, &held);
    CHECK_EQ(held, 0);
}

/* Not a check but a figure: what a call with eight rows costs. */
WITH_NODE(test_cost)
{
    struct shared_row rows[8];
    struct shared_change changes[8];
    char names[8][48];
    unsigned which;
    for (int i = 0; i < 8; i++) {
        snprintf(names[i], sizeof names[i], "b:{org-1234}:key-%d:monthly:2026-11", i);
        rows[i] = (struct shared_row){
            .name = str_of(names[i]), .amount = 5, .limit = 1 << 30, .expires_at = hour()};
        changes[i] = (struct shared_change){
            .name = str_of(names[i]), .release = 5, .use = 0, .expires_at = hour()};
    }
    enum { TIMES = 20000 };
    int64_t start = clock_now();
    for (int i = 0; i < TIMES; i++) {
        CHECK_EQ(shared_reserve(s, rows, 8, &which), 0);
        shared_settle(s, changes, 8);
    }
    printf("# reserve and settle, 8 rows: %lld ns; lock waits %lu\n",
        (long long)((clock_now() - start) / TIMES), atomic_load(&s->lock.waits));
    CHECK_EQ(atomic_load(&s->lock.waits), 0); /* nobody else is there */
}

static void run_both(void)
{
    TAP_RUN(test_reserve);
    TAP_RUN(test_limit_is_exact);
    TAP_RUN(test_all_rows_or_none);
    TAP_RUN(test_settle_under_load);
    TAP_RUN(test_numbers_are_bounded);
    TAP_RUN(test_expiry);
    TAP_RUN(test_settled_after_its_end);
    TAP_RUN(test_seed);
    TAP_RUN(test_wait_across_loops);
    TAP_RUN(test_first_come_first_served);
    TAP_RUN(test_only_who_fits_is_woken);
    TAP_RUN(test_wait_ends);
    TAP_RUN(test_key_value);
    TAP_RUN(test_large_value);
    TAP_RUN(test_key_value_from_all_loops);
    TAP_RUN(test_messages);
}

int main(void)
{
    run_both();
    TAP_RUN(test_values_are_bounded);
    TAP_RUN(test_counters_go);
    TAP_RUN(test_name_twice);
    TAP_RUN(test_cost);
    redis_begin(&server, NULL);
    snprintf(url, sizeof url, "redis://127.0.0.1:%u", server.port);
    remote = true;
    run_both();
    redis_end(&server);
    return tap_done();
}
