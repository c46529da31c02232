/* Owners of things in memory: who comes first, what goes first, what waits, many threads. */
#include "route/owned.h"

#include "base/macros.h"
#include "base/tap.h"
#include <pthread.h>
#include <stdio.h>

static struct owned thing(const char *id, const char *team)
{
    return (struct owned){.id = str_of(id),
        .kind = OWNED_THING,
        .provider = STR("openai"),
        .upstream_key = STR("env"),
        .org = STR("org_1"),
        .team = str_of(team),
        .user = STR("user_1"),
        .key = STR("key_1"),
        .customer = STR("carl"),
        .batch = STR("batch_1"),
        .created_at = 42};
}

static bool put(const char *id, const char *team, bool write)
{
    struct owned o = thing(id, team);

    return owned_put(&o, write);
}

static struct str team_of(const char *id)
{
    static char out[64];
    char room[2048];
    struct arena a;

    arena_init(&a, room, sizeof room, 4096);
    const struct owned *o = owned_get(str_of(id), &a);
    snprintf(out, sizeof out, STR_FMT, STR_ARG(o ? o->team : STR("-")));
    arena_free(&a);
    return str_of(out);
}

static size_t waiting(void)
{
    size_t n, queued;
    uint64_t unwritten;

    owned_counts(&n, &queued, &unwritten);
    return queued;
}

static void test_first_one_stays(void)
{
    char room[2048];
    struct arena a;

    owned_clear();
    CHECK_STR(team_of("file-1"), STR("-"));
    CHECK(put("file-1", "red", false));
    CHECK(!put("file-1", "blue", false));
    CHECK_STR(team_of("file-1"), STR("red"));
    arena_init(&a, room, sizeof room, 4096);
    const struct owned *o = owned_get(STR("file-1"), &a), want = thing("file-1", "red");
    must(o);
    owned_clear(); /* it is a copy */
    CHECK_STR(o->id, want.id);
    CHECK_STR(o->provider, want.provider);
    CHECK_STR(o->upstream_key, want.upstream_key);
    CHECK_STR(o->org, want.org);
    CHECK_STR(o->user, want.user);
    CHECK_STR(o->key, want.key);
    CHECK_STR(o->customer, want.customer);
    CHECK_STR(o->batch, want.batch);
    CHECK(o->kind == want.kind && o->created_at == 42 && owned_is_known(o));
    arena_free(&a);
}

static void test_odd_ids(void)
{
    static const char *const odd[] = {"", "a b", "a\tb", "a\nb", "a\x7f", "\xc3\xbc"};
    char big[OWNED_ID_BYTES + 1];

    owned_clear();
    for (unsigned i = 0; i < ARRAY_LEN(odd); i++)
        CHECK(!put(odd[i], "red", true));
    memset(big, 'x', sizeof big);
    struct owned o = thing("", "red");
    o.id = str_at(big, sizeof big);
    CHECK(!owned_put(&o, true));
    o.id = str_at(big, OWNED_ID_BYTES);
    CHECK(owned_put(&o, true));
    CHECK(owned_has(o.id));
    o.id = STR("file-2");
    o.team = str_at(big, OWNED_TEXT_BYTES + 1);
    CHECK(!owned_put(&o, true));
    o.team = STR_NONE;
    o.provider = STR_NONE;
    CHECK(!owned_put(&o, true));
    CHECK_EQ(waiting(), 1);
}

static unsigned calls;

static void count_call(void)
{
    calls++;
}

static void test_queue(void)
{
    const struct owned *at[8];

    owned_clear();
    calls = 0;
    owned_on_queued(count_call);
    CHECK(put("a", "red", true) && put("b", "red", true) && put("c", "red", false));
    CHECK_EQ(calls, 1);
    CHECK_EQ(owned_take(at, 8), 2);
    CHECK_STR(at[0]->id, STR("a"));
    CHECK_STR(at[1]->id, STR("b"));
    CHECK_EQ(owned_take(&at[2], 1), 0);
    put("d", "red", true); /* while they are being written: no call, as they will be looked for */
    CHECK_EQ(calls, 1);
    owned_wrote(at, 2, false);
    CHECK_EQ(owned_take(at, 8), 3);
    CHECK_STR(at[0]->id, STR("a"));
    CHECK_STR(at[2]->id, STR("d"));
    owned_wrote(at, 3, true);
    CHECK_EQ(waiting(), 0);
    put("e", "red", true);
    CHECK_EQ(calls, 2);
    owned_on_queued(NULL);
}

static void fill(const char *prefix, unsigned n)
{
    char id[32];

    for (unsigned i = 0; i < n; i++) {
        snprintf(id, sizeof id, "%s-%u", prefix, i);
        must(put(id, "red", false));
    }
}

/* What was used last stays, and what waits to be written stays whatever comes. */
static void test_least_recently_used_goes(void)
{
    const struct owned *at[1];
    size_t n, queued;
    uint64_t unwritten;

    owned_clear();
    put("waits", "red", true);
    put("used", "red", false);
    put("unused", "red", false);
    fill("a", OWNED_MAX - 3);
    CHECK(owned_has(STR("used")));
    fill("b", 10);
    CHECK(!owned_has(STR("unused")));
    CHECK(!owned_has(STR("a-0")));
    CHECK(owned_has(STR("used")) && owned_has(STR("waits")) && owned_has(STR("b-0")));
    fill("c", OWNED_MAX);
    CHECK(!owned_has(STR("used")));
    CHECK(owned_has(STR("waits")));
    owned_counts(&n, &queued, &unwritten);
    CHECK_EQ(n, OWNED_MAX);
    CHECK_EQ(owned_take(at, 1), 1);
    owned_wrote(at, 1, true);
    fill("d", OWNED_MAX);
    CHECK(!owned_has(STR("waits")));
}

static void test_queue_has_an_end(void)
{
    size_t n, queued;
    uint64_t unwritten;
    char id[32];

    owned_clear();
    for (unsigned i = 0; i < OWNED_QUEUE_MAX + 5; i++) {
        snprintf(id, sizeof id, "q-%u", i);
        must(put(id, "red", true));
    }
    owned_counts(&n, &queued, &unwritten);
    CHECK_EQ(queued, OWNED_QUEUE_MAX);
    CHECK_EQ(unwritten, 5);
    CHECK(owned_has(str_of(id)));
}

enum { THREADS = 4, IDS = 2000 };

static void *work(void *arg)
{
    const struct owned *at[16];
    long t = (long)arg, wrong = 0;
    char id[32];

    for (int i = 0; i < IDS; i++) {
        snprintf(id, sizeof id, "t%ld-%d", t, i);
        wrong += !put(id, "red", true);
        snprintf(id, sizeof id, "shared-%d", i);
        put(id, "red", i % 2);
        wrong += !owned_has(str_of(id));
        unsigned n = owned_take(at, ARRAY_LEN(at));
        owned_wrote(at, n, i % 3 != 0);
    }
    return (void *)wrong;
}

static void test_threads(void)
{
    pthread_t t[THREADS];
    void *wrong;

    owned_clear();
    for (long i = 0; i < THREADS; i++)
        CHECK_EQ(pthread_create(&t[i], NULL, work, (void *)i), 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(t[i], &wrong);
        CHECK_EQ((long)wrong, 0);
    }
    CHECK_STR(team_of("shared-1999"), STR("red"));
    CHECK_STR(team_of("t3-1999"), STR("red"));
}

int main(void)
{
    TAP_RUN(test_first_one_stays);
    TAP_RUN(test_odd_ids);
    TAP_RUN(test_queue);
    TAP_RUN(test_least_recently_used_goes);
    TAP_RUN(test_queue_has_an_end);
    TAP_RUN(test_threads);
    owned_clear();
    return tap_done();
}
