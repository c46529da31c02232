/*
 * The shared store over Redis where things go wrong: several nodes over one real Redis that is
 * stopped, killed, emptied and refuses; and what a node does meanwhile.
 */
#include "store/shared_test.h"

#define NODES 3

static struct test_redis server;
static char url[96];
static struct shared *node[NODES];
static const char *const node_name[NODES] = {"alpha", "beta", "gamma"};
static enum shared_down down_mode;

static int64_t hour(void)
{
    return clock_wall() + 3600 * NS_PER_S;
}

static struct shared_row row_of(const char *name, int64_t amount, int64_t limit)
{
    return (struct shared_row){
        .name = str_of(name), .amount = amount, .limit = limit, .expires_at = hour()};
}

static int reserve(struct shared *s, const char *name, int64_t amount, int64_t limit)
{
    struct shared_row row = row_of(name, amount, limit);
    unsigned which;
    return shared_reserve(s, &row, 1, &which);
}

static void settle(struct shared *s, const char *name, int64_t release, int64_t use)
{
    struct shared_change ch = {
        .name = str_of(name), .release = release, .use = use, .expires_at = hour()};
    shared_settle(s, &ch, 1);
}

static int64_t part(struct shared *s, const char *name)
{
    int64_t used, held;
    shared_part(s, str_of(name), &used, &held);
    return used + held;
}

static int64_t parts(const char *name)
{
    int64_t sum = 0;
    for (int i = 0; i < NODES; i++)
        sum += part(node[i], name);
    return sum;
}

/* -1 when Redis is away. */
static int64_t total(struct shared *s, const char *name)
{
    int64_t used, held;
    return shared_total(s, str_of(name), &used, &held) < 0 ? -1 : used + held;
}

static bool all_up(void)
{
    for (int i = 0; i < NODES; i++)
        if (!shared_is_up(node[i]))
            return false;
    return true;
}

static bool all_see(const char *name, int64_t sum)
{
    for (int i = 0; i < NODES; i++)
        if (total(node[i], name) != sum)
            return false;
    return true;
}

static void (*body)(void);

static void with_nodes(void)
{
    for (int i = 0; i < NODES; i++)
        must(shared_start(node[i]) == 0);
    int64_t give_up = clock_now() + 10 * NS_PER_S;
    while (!all_up() && clock_now() < give_up)
        co_sleep_until(clock_now() + NS_PER_MS);
    must(all_up());
    body();
    for (int i = 0; i < NODES; i++)
        shared_stop(node[i]);
}

static void open_nodes(void)
{
    for (int i = 0; i < NODES; i++)
        node[i] = node_open_at(url, node_name[i], down_mode);
}

static void close_nodes(void)
{
    for (int i = 0; i < NODES; i++)
        shared_close(node[i]);
}

/* Three nodes over a fresh Redis of their own. */
static void run_with_redis(void (*fn)(void), const char *const *more)
{
    redis_begin(&server, more);
    snprintf(url, sizeof url, "redis://127.0.0.1:%u", server.port);
    open_nodes();
    body = fn;
    in_loop(with_nodes);
    close_nodes();
    redis_end(&server);
}

#define WITH_REDIS(name)                                                                           \
    static void name##_body(void);                                                                 \
    static void name(void)                                                                         \
    {                                                                                              \
        run_with_redis(name##_body, NULL);                                                         \
    }                                                                                              \
    static void name##_body(void)

/* --- several nodes ---------------------------------------------------------------------------- */

struct contest {
    const char *name;
    int64_t amount, limit;
    atomic_llong won, tries;
    atomic_bool stop;
};

static void take_once(void *arg, unsigned index)
{
    struct contest *c = arg;
    if (reserve(node[index % NODES], c->name, c->amount, c->limit) == 0)
        atomic_fetch_add(&c->won, 1);
}

WITH_REDIS(test_three_nodes_one_limit)
{
    char name[32];
    for (int round = 0; round < 5; round++) {
        struct contest c = {.name = name, .amount = 10, .limit = 1000};
        snprintf(name, sizeof name, "b:{o}:three:%d", round);
        crew_run(4, 50, take_once, &c);
        CHECK_EQ(atomic_load(&c.won), 100);
        CHECK_EQ(parts(name), 1000);
        CHECK(all_see(name, 1000));
        CHECK_EQ(reserve(node[round % NODES], name, 1, 1000), -EDQUOT);
    }
    for (int i = 0; i < NODES; i++)
        CHECK_EQ(node[i]->redis->outage, 1);
    WAIT_FOR(shared_nodes_seen(node[0]) == 3);
}

static void flow(void *arg, unsigned index)
{
    struct contest *c = arg;
    struct shared *s = node[index % NODES];
    for (int i = 0; i < 30; i++) {
        if (reserve(s, c->name, 10, c->limit) < 0)
            continue;
        settle(s, c->name, 10, 4);
        atomic_fetch_add(&c->won, 1);
    }
}

WITH_REDIS(test_three_nodes_settle)
{
    struct contest c = {.name = "b:{o}:flow", .limit = 3000};
    crew_run(3, 12, flow, &c);
    int64_t used = 4 * atomic_load(&c.won);
    CHECK_EQ(parts(c.name), used);
    WAIT_FOR(all_see(c.name, used));
    CHECK(used <= 3000);
    CHECK(used > 2960 || atomic_load(&c.won) < 3 * 12 * 30);
}

WITH_REDIS(test_wait_for_another_node)
{
    CHECK_EQ(reserve(node[0], "b:{o}:wait", 10, 10), 0);
    CHECK_EQ(reserve(node[1], "b:{o}:wait", 10, 10), -EDQUOT);
    settle(node[0], "b:{o}:wait", 10, 0);
    int64_t start = clock_now();
    while (reserve(node[1], "b:{o}:wait", 10, 10) == -EDQUOT)
        CHECK_EQ(shared_wait_settle(node[1], STR("b:{o}:wait"), far()), 0);
    CHECK(clock_now() - start < 2 * NS_PER_S);
}

/* Doubles as an argument of a command by hand. */
static const char *packed(const double *number, unsigned n, char out[static 256])
{
    char *p = out;
    *p++ = '"';
    for (unsigned i = 0; i < n; i++) {
        uint64_t bits;
        memcpy(&bits, &number[i], 8);
        for (int shift = 56; shift >= 0; shift -= 8)
            p += sprintf(p, "\\x%02x", (unsigned)(bits >> shift & 0xff));
    }
    *p++ = '"';
    *p = '\0';
    return out;
}

/* A part of a node that was not heard of for long does not count, one of another does. */
WITH_REDIS(test_lease_of_a_dead_node_ends)
{
    struct shared_row row = row_of("l:{o}:calls", 1, 8);
    char said[64], command[512], dead[256], live[256];
    unsigned which;
    double now = (double)(clock_wall() / NS_PER_S);
    row.kind = SHARED_LEASE;
    row.expires_at = 0;
    snprintf(command, sizeof command, "HSET sf:c:l:{o}:calls n:dead %s n:live %s",
        packed((double[]){0, 7, 1, now - 40}, 4, dead), packed((double[]){0, 5, 1, now}, 4, live));
    redis_say(&server, command, said);
    CHECK_STR(str_of(said), STR(":2"));
    for (int i = 0; i < 3; i++)
        CHECK_EQ(shared_reserve(node[i % NODES], &row, 1, &which), 0);
    CHECK_EQ(shared_reserve(node[0], &row, 1, &which), -EDQUOT);
    CHECK_EQ(row.held, 8);
    redis_say(&server, "HEXISTS sf:c:l:{o}:calls n:dead", said);
    CHECK_STR(str_of(said), STR(":0"));
    /* The sweep keeps its own part alive. */
    redis_say(&server, "PERSIST sf:c:l:{o}:calls", said);
    struct shared *s = node[0];
    shared_lock(&s->lock);
    struct counter *c = counter_find(&s->table, row.name, map_hash(row.name));
    c->written -= REDIS_RENEW_NS + NS_PER_S;
    redis_renew(s, c);
    shared_unlock(&s->lock);
    redis_kick(s);
    WAIT_FOR((redis_say(&server, "TTL sf:c:l:{o}:calls", said), strcmp(said, ":-1") != 0));
    struct shared_change done = {.name = row.name, .kind = SHARED_LEASE, .release = 1};
    shared_settle(node[1], &done, 1);
    WAIT_FOR(total(node[0], "l:{o}:calls") == 7);
}

/* --- Redis goes away -------------------------------------------------------------------------- */

/* Each node has its share: together they grant what is left, and no more. */
static void share(void)
{
    for (int i = 0; i < NODES; i++)
        WAIT_FOR(shared_nodes_seen(node[i]) == 3);
    for (int i = 0; i < NODES; i++)
        CHECK_EQ(reserve(node[i], "b:{o}:share", 20, 300), 0);
    CHECK(all_see("b:{o}:share", 60));
    settle(node[0], "b:{o}:share", 20, 20);
    redis_kill(&server);
    for (int i = 0; i < NODES; i++)
        WAIT_FOR(!shared_is_up(node[i]));
    for (int i = 0; i < NODES; i++) {
        CHECK_EQ(reserve(node[i], "b:{o}:share", 81, 300), -EDQUOT);
        for (int k = 0; k < 8; k++)
            CHECK_EQ(reserve(node[i], "b:{o}:share", 10, 300), 0);
        CHECK_EQ(reserve(node[i], "b:{o}:share", 1, 300), -EDQUOT);
    }
    CHECK_EQ(parts("b:{o}:share"), 300);
    settle(node[1], "b:{o}:share", 10, 0); /* what a node frees it may use again */
    CHECK_EQ(reserve(node[0], "b:{o}:share", 10, 300), -EDQUOT);
    CHECK_EQ(reserve(node[1], "b:{o}:share", 10, 300), 0);
    CHECK_EQ(total(node[0], "b:{o}:share"), -1);
    CHECK_EQ(shared_set(node[0], STR("k"), STR("v"), NS_PER_S, false), -EHOSTDOWN);
    redis_launch(&server, NULL);
    WAIT_FOR(all_up());
    WAIT_FOR(all_see("b:{o}:share", 300));
}

static void test_share_while_down(void)
{
    run_with_redis(share, NULL);
}

static void closed(void)
{
    struct shared_row rows[2] = {row_of("b:{o}:a", 1, 10), row_of("b:{o}:b", 1, SHARED_NO_LIMIT)};
    unsigned which;
    CHECK_EQ(shared_reserve(node[0], rows, 2, &which), 0);
    redis_kill(&server);
    WAIT_FOR(!shared_is_up(node[0]));
    CHECK_EQ(shared_reserve(node[0], rows, 2, &which), -EHOSTDOWN);
    CHECK_EQ(part(node[0], "b:{o}:b"), 1);
    CHECK_EQ(shared_reserve(node[0], rows + 1, 1, &which), 0); /* no limit: nobody to ask */
}

/* Links that are begun and given up do not make the share anew. */
WITH_REDIS(test_share_is_given_once)
{
    for (int i = 0; i < NODES; i++)
        WAIT_FOR(shared_nodes_seen(node[i]) == 3);
    CHECK_EQ(reserve(node[0], "b:{o}:once", 30, 300), 0);
    kill(server.pid, SIGSTOP);
    CHECK_EQ(reserve(node[0], "b:{o}:once", 90, 300), 0);
    CHECK_EQ(reserve(node[0], "b:{o}:once", 1, 300), -EDQUOT);
    unsigned attempts = node[0]->redis->attempts;
    WAIT_FOR(node[0]->redis->attempts >= attempts + 3);
    int r = reserve(node[0], "b:{o}:once", 1, 300);
    kill(server.pid, SIGCONT);
    CHECK_EQ(r, -EDQUOT);
    CHECK_EQ(part(node[0], "b:{o}:once"), 120);
}

/* What was freed, and what was held for the first time, while Redis was away: the others see both
 * without this node being asked for them again. */
WITH_REDIS(test_changes_of_an_outage_are_written)
{
    for (int i = 0; i < NODES; i++)
        WAIT_FOR(shared_nodes_seen(node[i]) == 3);
    CHECK_EQ(reserve(node[0], "b:{o}:freed", 10, 300), 0);
    CHECK(all_see("b:{o}:freed", 10));
    kill(server.pid, SIGSTOP);
    for (int i = 0; i < NODES; i++)
        WAIT_FOR(!shared_is_up(node[i]));
    settle(node[0], "b:{o}:freed", 10, 0);
    CHECK_EQ(reserve(node[0], "b:{o}:new", 20, 300), 0);
    kill(server.pid, SIGCONT);
    WAIT_FOR(all_up());
    WAIT_FOR(total(node[1], "b:{o}:freed") == 0);
    WAIT_FOR(total(node[1], "b:{o}:new") == 20);
}

/* Emptied while nobody looks: what was seen of the others counts from the first call on. */
WITH_REDIS(test_flushed_unnoticed)
{
    char said[64];
    CHECK_EQ(reserve(node[0], "b:{o}:sudden", 90, 100), 0);
    CHECK_EQ(reserve(node[1], "b:{o}:sudden", 5, 100), 0);
    redis_say(&server, "FLUSHALL", said);
    CHECK_EQ(reserve(node[1], "b:{o}:sudden", 6, 100), -EDQUOT);
    CHECK_EQ(reserve(node[1], "b:{o}:sudden", 6, 100), -EDQUOT);
    WAIT_FOR(node[0]->redis->outage > 1 && node[1]->redis->outage > 1 && all_up());
    CHECK_EQ(reserve(node[1], "b:{o}:sudden", 5, 100), 0);
    WAIT_FOR(all_see("b:{o}:sudden", 100));
}

static void test_closed_while_down(void)
{
    down_mode = SHARED_DOWN_CLOSED;
    run_with_redis(closed, NULL);
    down_mode = SHARED_DOWN_LOCAL;
}

static char link_said[8][REDIS_WHY];
static unsigned link_n;

static void on_link(void *ctx, bool up, const char *why)
{
    snprintf(link_said[link_n++ % 8], REDIS_WHY, "%s%s", up ? "up" : "down: ", why);
}

/* Waits; whether it came within 5 s. */
static bool back_in_time(void)
{
    int64_t start = clock_now();
    while (!all_up() && clock_now() - start < 20 * NS_PER_S)
        co_sleep_until(clock_now() + NS_PER_MS);
    printf("# back after %lld ms\n", (long long)((clock_now() - start) / NS_PER_MS));
    return all_up() && clock_now() - start < 5 * NS_PER_S;
}

static void load(void *arg, unsigned index)
{
    struct contest *c = arg;
    struct shared *s = node[index % NODES];
    while (!atomic_load(&c->stop)) {
        atomic_fetch_add(&c->tries, 1);
        if (reserve(s, c->name, 10, c->limit) == 0) {
            settle(s, c->name, 10, 3);
            atomic_fetch_add(&c->won, 1);
        }
        co_sleep_until(clock_now() + NS_PER_MS);
    }
}

struct load_thread {
    struct contest *c;
    bool done;
};

static void load_run(void *arg)
{
    struct load_thread *t = arg;
    crew_run(3, 10, load, t->c);
    t->done = true;
}

/* Under load, from all loops, with something done to Redis in the middle. */
static void trouble(void (*make)(void), const char *name)
{
    struct contest c = {.name = name, .limit = 1 << 30};
    struct load_thread t = {.c = &c};
    must(co_spawn("load", load_run, &t, NULL) == 0);
    WAIT_FOR(atomic_load(&c.won) > 100);
    make();
    long long before = atomic_load(&c.won);
    WAIT_FOR(atomic_load(&c.won) > before + 100); /* it goes on, with or without Redis */
    WAIT_FOR(all_up());
    before = atomic_load(&c.won);
    WAIT_FOR(atomic_load(&c.won) > before + 100);
    atomic_store(&c.stop, true);
    WAIT_FOR(t.done);
    CHECK_EQ(atomic_load(&c.tries), atomic_load(&c.won)); /* nobody was refused */
    CHECK_EQ(parts(name), 3 * atomic_load(&c.won));
    WAIT_FOR(all_see(name, 3 * atomic_load(&c.won)));
}

static void pause_redis(void)
{
    kill(server.pid, SIGSTOP);
    for (int i = 0; i < NODES; i++)
        WAIT_FOR(!shared_is_up(node[i]));
    co_sleep_until(clock_now() + 300 * NS_PER_MS); /* so that links are begun and given up */
    kill(server.pid, SIGCONT);
    CHECK(back_in_time());
}

WITH_REDIS(test_pause_under_load)
{
    trouble(pause_redis, "b:{o}:pause");
}

static void restart_redis(void)
{
    redis_kill(&server);
    for (int i = 0; i < NODES; i++)
        WAIT_FOR(!shared_is_up(node[i]));
    redis_launch(&server, NULL);
    CHECK(back_in_time());
}

WITH_REDIS(test_restart_empty_under_load)
{
    trouble(restart_redis, "b:{o}:restart");
}

static void flush_redis(void)
{
    char said[64];
    redis_say(&server, "FLUSHALL", said);
    for (int i = 0; i < NODES; i++)
        WAIT_FOR(node[i]->redis->outage > 1);
    CHECK(back_in_time());
}

WITH_REDIS(test_flushall_under_load)
{
    trouble(flush_redis, "b:{o}:flush");
}

static void kill_links(void)
{
    char said[64];
    redis_say(&server, "CLIENT KILL TYPE normal", said);
    for (int i = 0; i < NODES; i++)
        WAIT_FOR(node[i]->redis->outage > 1);
    CHECK(back_in_time());
}

WITH_REDIS(test_links_killed_under_load)
{
    trouble(kill_links, "b:{o}:killed");
}

static void forget_script(void)
{
    char said[64];
    redis_say(&server, "SCRIPT FLUSH", said);
    for (int i = 0; i < NODES; i++)
        WAIT_FOR(node[i]->redis->outage > 1);
    CHECK(back_in_time());
}

WITH_REDIS(test_scripts_flushed_under_load)
{
    trouble(forget_script, "b:{o}:noscript");
}

/* One key vanishes, as by eviction; who is idle then writes its part again at its next use. */
WITH_REDIS(test_key_vanishes)
{
    struct contest c = {.name = "b:{o}:evicted", .limit = 1 << 30};
    struct load_thread t = {.c = &c};
    char said[64];
    must(co_spawn("load", load_run, &t, NULL) == 0);
    for (int i = 1; i <= 10; i++) {
        WAIT_FOR(atomic_load(&c.won) > i * 100);
        redis_say(&server, "DEL sf:c:b:{o}:evicted", said);
    }
    int64_t before = atomic_load(&c.won);
    WAIT_FOR(atomic_load(&c.won) > before + 100);
    atomic_store(&c.stop, true);
    WAIT_FOR(t.done);
    for (int i = 0; i < NODES; i++)
        CHECK_EQ(reserve(node[i], c.name, 0, 1 << 30), 0);
    CHECK_EQ(parts(c.name), 3 * atomic_load(&c.won));
    WAIT_FOR(all_see(c.name, 3 * atomic_load(&c.won)));
    CHECK_EQ(node[0]->redis->outage, 1); /* which is no reason to end the link */
}

/* What a pause costs a caller: one wait, once. */
WITH_REDIS(test_pause_costs_one_wait)
{
    link_n = 0;
    shared_on_link(node[0], on_link, NULL);
    CHECK_EQ(reserve(node[0], "b:{o}:cost", 1, 1000), 0);
    kill(server.pid, SIGSTOP);
    int64_t start = clock_now();
    CHECK_EQ(reserve(node[0], "b:{o}:cost", 1, 1000), 0);
    int64_t first = clock_now() - start;
    start = clock_now();
    for (int i = 0; i < 100; i++)
        CHECK_EQ(reserve(node[0], "b:{o}:cost", 1, 1000), 0);
    int64_t next = clock_now() - start;
    kill(server.pid, SIGCONT);
    printf("# first %lld ms, the next hundred %lld us\n", (long long)(first / NS_PER_MS),
        (long long)(next / NS_PER_US));
    CHECK(first < 2 * SHARED_WAIT_NS);
    CHECK(next < SHARED_WAIT_NS);
    CHECK_EQ(link_n, 1);
    CHECK_STR(str_of(link_said[0]), STR("down: Redis does not answer"));
    CHECK(back_in_time());
    WAIT_FOR(link_n == 2);
    CHECK_STR(str_of(link_said[1]), STR("up"));
    WAIT_FOR(all_see("b:{o}:cost", 102));
}

/* A script of a dead link that is carried out late, and one of a second process of that name. */
WITH_REDIS(test_stale_generation)
{
    char command[512], said[64], row[256];
    struct redis *r = node[0]->redis;
    CHECK_EQ(reserve(node[0], "b:{o}:stale", 10, 1000), 0);
    snprintf(command, sizeof command, "EVALSHA %s 1 sf:c:b:{o}:stale n:alpha %llu %s", r->script,
        (unsigned long long)r->generation - 1, packed((double[]){0, 0, 500, 0, 1e9, 0, 0}, 7, row));
    redis_say(&server, command, said);
    CHECK_STR(str_of(said), STR("*2"));
    CHECK(all_see("b:{o}:stale", 10));
    snprintf(command, sizeof command, "EVALSHA %s 1 sf:c:b:{o}:stale n:alpha %llu %s", r->script,
        (unsigned long long)r->generation + 1, packed((double[]){2, 7, 0, 0, 1e9, 0, 0}, 7, row));
    redis_say(&server, command, said);
    CHECK_STR(str_of(said), STR("*5"));
    CHECK_EQ(reserve(node[0], "b:{o}:stale", 10, 1000), 0);
    CHECK(r->outage > 1);
    WAIT_FOR(all_up());
    WAIT_FOR(all_see("b:{o}:stale", 20));
}

/* After Redis lost its memory no less is assumed of the others than was seen, for a while. */
WITH_REDIS(test_others_are_remembered)
{
    CHECK_EQ(reserve(node[0], "b:{o}:floor", 90, 100), 0);
    CHECK_EQ(reserve(node[1], "b:{o}:floor", 10, 100), 0);
    link_n = 0;
    shared_on_link(node[1], on_link, NULL);
    shared_stop(node[0]); /* so that its part does not come back */
    redis_kill(&server);
    redis_launch(&server, NULL);
    WAIT_FOR(shared_is_up(node[1]) && node[1]->redis->outage > 1);
    CHECK_EQ(reserve(node[1], "b:{o}:floor", 1, 100), -EDQUOT);
    CHECK_EQ(reserve(node[1], "b:{o}:floor", 1, 101), 0);
    CHECK(node[1]->redis->recover_until > clock_now());
    node[1]->redis->recover_until = 0;
    CHECK_EQ(total(node[1], "b:{o}:floor"), 11);
    CHECK_EQ(reserve(node[1], "b:{o}:floor", 89, 100), 0);
}

/* --- filling ---------------------------------------------------------------------------------- */

struct filler {
    unsigned calls;
    int result;
};

static int fill(void *ctx, struct str name, struct shared_part_of *out, unsigned max)
{
    struct filler *f = ctx;
    must(co_self() && max >= 3 && str_starts(name, STR("b:{o}:fill")));
    f->calls++;
    co_yield ();
    if (f->result < 0)
        return f->result;
    out[0] = (struct shared_part_of){STR("alpha"), 7}; /* runs: its own word counts */
    out[1] = (struct shared_part_of){STR("dead"), 30};
    out[2] = (struct shared_part_of){STR("beta"), 5};
    return 3;
}

/* No limit is on it, so Redis does not hold it: the others' parts are what the fill function says.
 */
WITH_REDIS(test_sum_without_a_limit)
{
    struct filler f[2] = {{0}, {.result = -EIO}};
    int64_t used = -1, held = -1;
    settle(node[0], "b:{o}:fill3", 0, 4);
    CHECK_EQ(shared_sum(node[0], str_of("b:{o}:fill3"), &used, &held), 0);
    CHECK_EQ(used, 4);
    shared_set_fill(node[0], fill, &f[0]);
    CHECK_EQ(shared_sum(node[0], str_of("b:{o}:fill3"), &used, &held), 0);
    CHECK_EQ(used, 4 + 7 + 30 + 5);
    CHECK_EQ(held, 0);
    shared_set_fill(node[1], fill, &f[1]);
    CHECK_EQ(shared_sum(node[1], str_of("b:{o}:fill3"), &used, &held), -EIO);
    CHECK_EQ(used, 0);
}

WITH_REDIS(test_fill)
{
    struct filler f[2] = {{0}};
    shared_set_fill(node[0], fill, &f[0]);
    shared_set_fill(node[1], fill, &f[1]);
    CHECK_EQ(reserve(node[0], "b:{o}:fill", 66, 100), -EDQUOT);
    CHECK_EQ(reserve(node[0], "b:{o}:fill", 65, 100), 0);
    CHECK_EQ(f[0].calls, 1);
    CHECK_EQ(reserve(node[1], "b:{o}:fill", 5, 100), 0); /* beta speaks for itself: nothing yet */
    CHECK_EQ(f[1].calls, 0);
    CHECK(all_see("b:{o}:fill", 100));
    redis_kill(&server);
    redis_launch(&server, NULL);
    WAIT_FOR(all_up() && node[0]->redis->outage > 1);
    WAIT_FOR(all_see("b:{o}:fill", 100));
    CHECK(f[0].calls + f[1].calls >= 2);
    f[0].result = -EIO;
    CHECK_EQ(reserve(node[0], "b:{o}:fill2", 100, 100), 0); /* nobody knows better */
    CHECK_EQ(total(node[0], "b:{o}:fill2"), 100);
}

struct idle_filler {
    unsigned calls;
    int64_t takes;
};

static int fill_nothing(void *ctx, struct str name, struct shared_part_of *out, unsigned max)
{
    struct idle_filler *f = ctx;
    (void)name, (void)out, (void)max;
    f->calls++;
    return f->takes ? co_sleep_until(clock_now() + f->takes) : 0;
}

/* A look makes nothing in Redis where nobody used anything, and gets at once what others used. */
WITH_REDIS(test_look_at_what_is_not_there)
{
    struct filler f = {0};
    struct idle_filler idle = {0};
    int64_t start = clock_now();

    shared_set_fill(node[0], fill, &f);
    shared_set_fill(node[1], fill_nothing, &idle);
    CHECK_EQ(total(node[0], "b:{o}:fill4"), 35); /* of dead and beta */
    CHECK_EQ(total(node[0], "b:{o}:fill4"), 35);
    CHECK_EQ(f.calls, 1);
    CHECK_EQ(total(node[1], "b:{o}:none"), 0);
    CHECK_EQ(total(node[1], "b:{o}:none"), 0);
    CHECK_EQ(idle.calls, 1);
    CHECK(clock_now() - start < SHARED_WAIT_NS);
}

static struct shared *crash(unsigned i)
{
    struct shared *old = node[i];
    link_down(old->redis, "crash"); /* says no more to Redis */
    shared_stop(old);
    node[i] = node_open_at(url, node_name[i], SHARED_DOWN_LOCAL);
    return old;
}

static void bury(struct shared *old)
{
    while (old->redis->main)
        co_sleep_until(clock_now() + NS_PER_MS);
    shared_close(old);
}

static void reserve_early(void *arg)
{
    int *result = arg;
    *result = reserve(node[0], "b:{o}:early", 1, 100);
}

struct racer {
    struct shared *s;
    const char *name;
    int result;
};

static void race(void *arg)
{
    struct racer *x = arg;
    x->result = reserve(x->s, x->name, 60, 100);
}

/* The database takes its time over a counter that is new: Redis judges all the same, and not each
 * node by itself, which would grant as many times as there are nodes. */
WITH_REDIS(test_slow_fill)
{
    struct idle_filler slow = {.takes = 3 * SHARED_WAIT_NS};
    struct racer x[NODES];
    unsigned granted = 0;
    link_n = 0;
    for (int i = 0; i < NODES; i++) {
        shared_set_fill(node[i], fill_nothing, &slow);
        shared_on_link(node[i], on_link, NULL);
        x[i] = (struct racer){node[i], "b:{o}:slow", 1};
    }
    int64_t start = clock_now();
    for (int i = 0; i < NODES; i++)
        must(co_spawn("race", race, &x[i], NULL) == 0);
    for (int i = 0; i < NODES; i++) {
        WAIT_FOR(x[i].result != 1);
        granted += x[i].result == 0;
    }
    CHECK(clock_now() - start < 3 * SHARED_WAIT_NS);
    CHECK_EQ(granted, 1);
    CHECK_EQ(parts("b:{o}:slow"), 60);
    CHECK_EQ(link_n, 0);
}

/* The machine stands still, and with it Redis, which comes back a little later than this process:
 * that is not an answer that Redis owes. */
WITH_REDIS(test_a_stall_of_both_is_no_outage)
{
    struct racer x = {node[0], "b:{o}:stall", 1};
    link_n = 0;
    shared_on_link(node[0], on_link, NULL);
    CHECK_EQ(reserve(node[0], "b:{o}:stall", 1, 1000), 0);
    kill(server.pid, SIGSTOP);
    must(co_spawn("stalled", race, &x, NULL) == 0);
    co_sleep_until(clock_now() + 5 * NS_PER_MS); /* it is on its way */
    nanosleep(
        &(struct timespec){.tv_nsec = SHARED_WAIT_NS + 100 * NS_PER_MS}, NULL); /* the stall */
    WAIT_FOR(node[0]->redis->late); /* it is noticed; what no stall went before gets 5 ms more */
    co_sleep_until(clock_now() + 50 * NS_PER_MS);
    kill(server.pid, SIGCONT);
    WAIT_FOR(x.result != 1);
    CHECK_EQ(x.result, 0);
    CHECK_EQ(link_n, 0);
    CHECK(all_see("b:{o}:stall", 61));
}

/* A call that comes before the link was even begun waits for it: alone, this node knows nothing of
 * what the others have used. */
WITH_REDIS(test_call_before_the_link)
{
    int result = 1;
    CHECK_EQ(reserve(node[1], "b:{o}:early", 100, 100), 0);
    struct shared *old = crash(0);
    must(co_spawn("early", reserve_early, &result, NULL) == 0);
    co_yield ();
    co_yield ();
    CHECK_EQ(result, 1);
    must(shared_start(node[0]) == 0);
    WAIT_FOR(result != 1);
    CHECK_EQ(result, -EDQUOT);
    bury(old);
}

/* What a killed process held ends with its successor's first call, also when that call was over
 * before there was a link. */
WITH_REDIS(test_lease_of_the_process_before)
{
    struct shared_row row = row_of("l:{o}:again", 1, 1);
    struct shared_change done = {.name = row.name, .kind = SHARED_LEASE, .release = 1};
    unsigned which;
    row.kind = SHARED_LEASE;
    row.expires_at = 0;
    CHECK_EQ(shared_reserve(node[0], &row, 1, &which), 0);
    CHECK_EQ(shared_reserve(node[1], &row, 1, &which), -EDQUOT);
    struct shared *old = crash(0);
    kill(server.pid, SIGSTOP);
    must(shared_start(node[0]) == 0);
    int alone = shared_reserve(node[0], &row, 1, &which);
    shared_settle(node[0], &done, 1);
    kill(server.pid, SIGCONT);
    CHECK_EQ(alone, 0);
    WAIT_FOR(total(node[1], "l:{o}:again") == 0);
    CHECK_EQ(shared_reserve(node[1], &row, 1, &which), 0);
    bury(old);
}

/* A node that comes back after a crash: its ledger's word replaces what it left. */
WITH_REDIS(test_seed_after_crash)
{
    CHECK_EQ(reserve(node[0], "b:{o}:crash", 70, 100), 0);
    CHECK_EQ(reserve(node[1], "b:{o}:crash", 31, 100), -EDQUOT);
    struct shared *old = crash(0);
    shared_seed(node[0], STR("b:{o}:crash"), 40, hour());
    must(shared_start(node[0]) == 0);
    WAIT_FOR(total(node[1], "b:{o}:crash") == 40); /* without any call there */
    CHECK_EQ(reserve(node[1], "b:{o}:crash", 60, 100), 0);
    bury(old);
}

/* --- messages --------------------------------------------------------------------------------- */

static unsigned heard[NODES];

static void hear(void *ctx, struct str message)
{
    must(str_eq(message, STR("revoked: 1")));
    ++*(unsigned *)ctx;
}

static void messages(void)
{
    char said[64];
    for (unsigned round = 1; round <= 3; round++) {
        for (int i = 0; i < NODES; i++)
            WAIT_FOR(atomic_load(&node[i]->redis->sub_up));
        WAIT_FOR(all_up());
        for (int i = 0; i < NODES; i++)
            shared_publish(node[i], "news", STR("revoked: 1"));
        for (int i = 0; i < NODES; i++)
            WAIT_FOR(heard[i] == 3 * round);
        if (round == 1) {
            redis_say(&server, "CLIENT KILL TYPE pubsub", said);
            for (int i = 0; i < NODES; i++)
                WAIT_FOR(!atomic_load(&node[i]->redis->sub_up));
        } else if (round == 2) {
            redis_kill(&server);
            for (int i = 0; i < NODES; i++)
                WAIT_FOR(!shared_is_up(node[i]) && !atomic_load(&node[i]->redis->sub_up));
            redis_launch(&server, NULL);
        }
    }
}

static void test_messages_to_all_nodes(void)
{
    redis_begin(&server, NULL);
    snprintf(url, sizeof url, "redis://127.0.0.1:%u", server.port);
    open_nodes();
    for (int i = 0; i < NODES; i++)
        CHECK_EQ(shared_subscribe(node[i], "news", hear, &heard[i]), 0);
    body = messages;
    in_loop(with_nodes);
    close_nodes();
    redis_end(&server);
}

/* --- refusals --------------------------------------------------------------------------------- */

static int open_as(const char *login, const char *path, char err[static 256])
{
    struct shared_settings set = {.node = STR("n"), .prefix = STR("sf")};
    struct shared *s = NULL;
    char text[128];
    snprintf(text, sizeof text, "redis://%s127.0.0.1:%u%s", login, server.port, path);
    must(secret_set(&set.redis_url, str_of(text)) == 0);
    err[0] = '\0';
    int r = shared_open(&set, &s, err, 256);
    secret_free(&set.redis_url);
    if (r == 0)
        shared_close(s);
    else
        printf("# %s\n", err);
    return r;
}

static void test_login(void)
{
    const char *const more[] = {"--requirepass", "a@b:c/d", NULL};
    char err[256];
    redis_begin(&server, more);
    CHECK_EQ(open_as("", "", err), -EHOSTDOWN);
    CHECK(strstr(err, "NOAUTH"));
    CHECK_EQ(open_as(":wrong-one@", "", err), -EHOSTDOWN);
    CHECK(strstr(err, "WRONGPASS") && !strstr(err, "wrong-one"));
    CHECK_EQ(open_as(":a%40b%3ac%2Fd@", "", err), 0);
    CHECK_EQ(open_as("default:a%40b%3ac%2Fd@", "/3", err), 0);
    CHECK_EQ(open_as(":a%40b%3ac%2Fd@", "/99", err), -EHOSTDOWN);
    CHECK(strstr(err, "SELECT"));
    redis_end(&server);
    CHECK_EQ(open_as("", "", err), -EHOSTDOWN);
    CHECK(strstr(err, "127.0.0.1"));
}

static void without_scripts(void)
{
    struct shared *s = node[0];
    link_n = 0;
    shared_on_link(s, on_link, NULL);
    must(shared_start(s) == 0);
    WAIT_FOR(link_n == 1);
    CHECK(str_starts(str_of(link_said[0]), STR("down: Redis runs no scripts")));
    CHECK(!shared_is_up(s));
    CHECK_EQ(reserve(s, "b:{o}:local", 60, 100), 0);
    CHECK_EQ(reserve(s, "b:{o}:local", 60, 100), -EDQUOT);
    settle(s, "b:{o}:local", 60, 10);
    CHECK_EQ(shared_set(s, STR("k"), STR("v"), 10 * NS_PER_S, true), 0); /* the rest works */
    CHECK_EQ(shared_set(s, STR("k"), STR("v"), 10 * NS_PER_S, true), -EEXIST);
    CHECK_EQ(part(s, "b:{o}:local"), 10);
    shared_stop(s);
}

static void test_no_scripts(void)
{
    const char *const more[] = {
        "--rename-command", "EVALSHA", "", "--rename-command", "EVAL", "", NULL};
    redis_begin(&server, more);
    snprintf(url, sizeof url, "redis://127.0.0.1:%u", server.port);
    node[0] = node_open_at(url, "alpha", SHARED_DOWN_LOCAL);
    in_loop(without_scripts);
    shared_close(node[0]);
    redis_end(&server);
}

/* --- a figure --------------------------------------------------------------------------------- */

static int64_t cpu_ns(clockid_t id)
{
    struct timespec t;
    must(clock_gettime(id, &t) == 0);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static void eight_rows(void *arg)
{
    struct contest *c = arg;
    struct shared_row rows[8];
    struct shared_change changes[8];
    char names[8][48];
    unsigned which;
    for (int i = 0; i < 8; i++) {
        snprintf(names[i], sizeof names[i], "b:{org-1234}:key-%d:monthly:2026-11", i);
        rows[i] = row_of(names[i], 5, 1 << 30);
        changes[i] = (struct shared_change){.name = str_of(names[i]), .release = 5, .use = 1};
    }
    for (int i = 0; i < 500; i++) {
        must(shared_reserve(node[0], rows, 8, &which) == 0);
        shared_settle(node[0], changes, 8);
    }
    atomic_fetch_add(&c->won, 1);
}

WITH_REDIS(test_cost)
{
    struct contest c = {0};
    clockid_t redis_clock;
    must(clock_getcpuclockid(server.pid, &redis_clock) == 0);
    int64_t cpu = cpu_ns(CLOCK_PROCESS_CPUTIME_ID), other = cpu_ns(redis_clock);
    for (int i = 0; i < 16; i++)
        CHECK_EQ(co_spawn("cost", eight_rows, &c, NULL), 0);
    WAIT_FOR(atomic_load(&c.won) == 16);
    printf("# reserve and settle, 8 rows, 16 at a time: %.1f us here, %.1f us in Redis\n",
        (double)(cpu_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu) / 8e6,
        (double)(cpu_ns(redis_clock) - other) / 8e6);
    CHECK_EQ(node[0]->redis->outage, 1);
}

int main(void)
{
    TAP_RUN(test_three_nodes_one_limit);
    TAP_RUN(test_three_nodes_settle);
    TAP_RUN(test_wait_for_another_node);
    TAP_RUN(test_lease_of_a_dead_node_ends);
    TAP_RUN(test_share_while_down);
    TAP_RUN(test_share_is_given_once);
    TAP_RUN(test_changes_of_an_outage_are_written);
    TAP_RUN(test_flushed_unnoticed);
    TAP_RUN(test_closed_while_down);
    TAP_RUN(test_pause_under_load);
    TAP_RUN(test_restart_empty_under_load);
    TAP_RUN(test_flushall_under_load);
    TAP_RUN(test_links_killed_under_load);
    TAP_RUN(test_scripts_flushed_under_load);
    TAP_RUN(test_key_vanishes);
    TAP_RUN(test_pause_costs_one_wait);
    TAP_RUN(test_a_stall_of_both_is_no_outage);
    TAP_RUN(test_slow_fill);
    TAP_RUN(test_stale_generation);
    TAP_RUN(test_others_are_remembered);
    TAP_RUN(test_sum_without_a_limit);
    TAP_RUN(test_fill);
    TAP_RUN(test_look_at_what_is_not_there);
    TAP_RUN(test_seed_after_crash);
    TAP_RUN(test_call_before_the_link);
    TAP_RUN(test_lease_of_the_process_before);
    TAP_RUN(test_messages_to_all_nodes);
    TAP_RUN(test_login);
    TAP_RUN(test_no_scripts);
    TAP_RUN(test_cost);
    return tap_done();
}
