/* The catalogue: what each of several loops sees of changes, levels above keys, versions,
 * references. */
#include "keys/vkey.h"

#include "base/clock.h"
#include "base/macros.h"
#include "base/tap.h"
#include "keys/catalog_int.h"
#include "net/dial.h"
#include "runtime/test_loop.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

static struct catalog *cat;

#define ONE STR("sk-sf-11111111")

/* --- records --- */

static struct virtual_key *made_key(struct str secret, int64_t version, struct str team)
{
    struct virtual_key k = {
        .subject = {.name = STR("n"), .is_active = true, .version = version}, .team_id = team};
    struct virtual_key *made;
    char id[17];

    vkey_set_secret(&k, secret, id);
    must(vkey_new(&k, &made) == 0);
    return made;
}

static void put_key(struct str secret, int64_t version, struct str team)
{
    catalog_put_key(cat, made_key(secret, version, team));
}

static void put_subject(enum subject_kind kind, const char *id, const char *org, int64_t version,
    int64_t rpm, bool active)
{
    struct subject s = {.kind = kind,
        .id = str_of(id),
        .name = str_of(id),
        .org_id = str_of(org),
        .limits.rpm = rpm,
        .version = version,
        .is_active = active};
    struct subject *made;

    must(subject_new(&s, &made) == 0);
    catalog_put_subject(cat, made);
}

static void remove_key(struct str secret, int64_t version)
{
    struct virtual_key k;
    char id[17];

    vkey_set_secret(&k, secret, id);
    catalog_remove_key(cat, k.hash, version);
}

/* Lets what was posted to this loop arrive. */
static void arrive(void)
{
    co_sleep_until(loop_now() + NS_PER_MS);
}

/* --- one loop --- */

static void attached(void (*body)(void))
{
    must(catalog_new(&cat) == 0);
    in_loop(body);
    catalog_free(cat);
}

static void find_body(void)
{
    put_key(ONE, 1, STR_NONE); /* before: copied by attach */
    must(catalog_attach(cat) == 0);
    const struct virtual_key *k = catalog_find(ONE);
    CHECK(k && k->subject.is_active && vkey_still_good(k));
    CHECK_STR(str_of(k->last4), STR("1111"));
    CHECK(catalog_find(STR("sk-sf-22222222")) == NULL);
    CHECK(catalog_find(STR("short")) == NULL);
    put_key(STR("sk-sf-22222222"), 2, STR_NONE);
    arrive();
    const struct virtual_key *two = catalog_find(STR("sk-sf-22222222"));
    CHECK(two != NULL);
    CHECK_EQ(catalog_count(cat), 2);
    remove_key(ONE, 3);
    arrive();
    CHECK(catalog_find(ONE) == NULL);
    CHECK(!vkey_still_good(k) && k->subject.is_active); /* the call's own record stays as it was */
    put_key(ONE, 2, STR_NONE);                          /* read before it was removed, put after */
    arrive();
    CHECK(catalog_find(ONE) == NULL);
    put_key(ONE, 4, STR_NONE);
    arrive();
    CHECK(vkey_still_good(k));
    vkey_unref(k);
    vkey_unref(two);
    catalog_detach(cat);
}

static void test_find(void)
{
    attached(find_body);
}

static void versions_body(void)
{
    must(catalog_attach(cat) == 0);
    put_subject(SUBJECT_TEAM, "team_1", "", 5, 50, true);
    put_subject(SUBJECT_TEAM, "team_1", "", 4, 40, true);
    put_key(ONE, 1, STR("team_1"));
    arrive();
    const struct virtual_key *k = catalog_find(ONE);
    CHECK(k && k->team && k->team->limits.rpm == 50 && !k->org && !k->user);
    put_subject(SUBJECT_TEAM, "team_1", "", 6, 60, true);
    arrive();
    const struct virtual_key *later = catalog_find(ONE);
    CHECK(later != k && later->team->limits.rpm == 60 && k->team->limits.rpm == 50);
    CHECK_STR(later->subject.id, k->subject.id);
    const struct virtual_key *same = catalog_find(ONE);
    CHECK(same == later); /* made anew only once */
    catalog_remove_subject(cat, SUBJECT_TEAM, STR("team_1"), 7);
    arrive();
    const struct virtual_key *alone = catalog_find(ONE);
    CHECK(alone && !alone->team);
    vkey_unref(k);
    vkey_unref(later);
    vkey_unref(same);
    vkey_unref(alone);
    catalog_detach(cat);
}

static void test_versions(void)
{
    attached(versions_body);
}

static void levels_body(void)
{
    must(catalog_attach(cat) == 0);
    put_key(ONE, 1, STR("team_1")); /* before its team, and that before its organisation */
    put_subject(SUBJECT_TEAM, "team_1", "org_1", 2, 0, true);
    put_subject(SUBJECT_ORG, "org_1", "", 3, 0, true);
    arrive();
    const struct virtual_key *k = catalog_find(ONE);
    CHECK(k && k->team && k->org);
    CHECK(vkey_still_good(k));
    put_subject(SUBJECT_ORG, "org_1", "", 4, 0, false);
    arrive();
    CHECK(!vkey_still_good(k));
    vkey_unref(k);
    catalog_detach(cat);
}

static void test_levels(void)
{
    attached(levels_body);
}

static void customers_body(void)
{
    must(catalog_attach(cat) == 0);
    CHECK(catalog_customer(STR("bob")) == NULL);
    put_subject(SUBJECT_CUSTOMER, "*", "", 1, 5, true);
    put_subject(SUBJECT_CUSTOMER, "bob", "", 2, 9, true);
    put_subject(SUBJECT_TEAM, "bob2", "", 3, 1, true);
    arrive();
    const struct subject *all = catalog_customer(STR("bob2")), *bob = catalog_customer(STR("bob"));
    CHECK(all && all->limits.rpm == 5);
    CHECK(bob && bob->limits.rpm == 9);
    CHECK(catalog_customer(STR_NONE) == NULL);
    subject_unref(all);
    subject_unref(bob);
    catalog_detach(cat);
}

static void test_customers(void)
{
    attached(customers_body);
}

/* --- keys of the configuration --- */

static unsigned heard;

static void hear(void *ctx)
{
    heard += ctx == &heard;
}

static struct vkey_set *set_of(const char *one, const char *two)
{
    struct vkey_set *s;
    struct virtual_key k = {.subject = {.name = STR("file"), .is_active = true}};

    must(vkey_set_new(&s) == 0);
    must(vkey_set_add(s, &k, str_of(one)) == 0);
    if (two)
        must(vkey_set_add(s, &k, str_of(two)) == 0);
    return s;
}

static void config_body(void)
{
    struct vkey_set *a = set_of("sk-sf-11111111", "sk-sf-aaaaaaaa"),
                    *b = set_of("sk-sf-bbbbbbbb", NULL);

    must(catalog_attach(cat) == 0);
    catalog_on_change(cat, hear, &heard);
    put_key(ONE, 1, STR_NONE);
    catalog_set_config_keys(cat, a);
    vkey_set_free(a); /* the catalogue keeps what it needs */
    arrive();
    const struct virtual_key *k = catalog_find(ONE);
    CHECK(k && k->from_config); /* the file's comes before the store's */
    vkey_unref(k);
    size_t at = 0;
    unsigned n = 0;
    while ((k = catalog_next_config_key(cat, &at))) {
        n++;
        vkey_unref(k);
    }
    CHECK_EQ(n, 2);
    catalog_set_config_keys(cat, b);
    arrive();
    k = catalog_find(ONE);
    CHECK(k && !k->from_config);
    vkey_unref(k);
    CHECK(catalog_find(STR("sk-sf-aaaaaaaa")) == NULL);
    k = catalog_find(STR("sk-sf-bbbbbbbb"));
    CHECK(k != NULL);
    vkey_unref(k);
    CHECK(heard >= 5);
    vkey_set_free(b);
    catalog_detach(cat);
}

static void test_config_keys(void)
{
    attached(config_body);
}

/* --- several loops --- */

#define LOOPS 4
#define STEPS 300

static struct worker {
    pthread_t thread;
    struct loop *loop;
    unsigned index, saw;
} workers[LOOPS];
static sem_t ready, finished;
static int64_t done_at;

static struct str secret_of(unsigned i)
{
    static _Thread_local char text[32];

    snprintf(text, sizeof text, "sk-sf-%08u", i);
    return str_of(text);
}

/* Looks keys up all the time, until it has seen the last change: never a key with the wrong team.
 */
static void watch(void *arg)
{
    struct worker *w = arg;

    must(catalog_attach(cat) == 0);
    sem_post(&ready);
    for (int64_t last = 0; last < done_at;) {
        const struct virtual_key *k = catalog_find(secret_of(w->saw++ % 50));
        if (k) {
            if (k->team && !str_eq(k->team->id, STR("team_1")))
                tap_fail(__FILE__, __LINE__, "wrong team");
            if (k->team && k->team->version < last)
                tap_fail(__FILE__, __LINE__, "a change was undone");
            last = k->team ? k->team->version : last;
        }
        vkey_unref(k);
        co_yield ();
    }
    sem_post(&finished);
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;

    must(loop_new(w->index, &w->loop) == 0);
    loop_bind(w->loop);
    must(co_spawn("watch", watch, w, NULL) == 0);
    loop_run(w->loop);
    catalog_detach(cat);
    loop_free(w->loop);
    return NULL;
}

static void stop_loop(void *arg)
{
    (void)arg;
    loop_stop(loop_self());
}

static void test_many_loops(void)
{
    done_at = STEPS;
    must(catalog_new(&cat) == 0);
    sem_init(&ready, 0, 0);
    sem_init(&finished, 0, 0);
    for (unsigned i = 0; i < LOOPS; i++) {
        workers[i] = (struct worker){.index = i};
        must(pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]) == 0);
    }
    for (unsigned i = 0; i < LOOPS; i++)
        sem_wait(&ready);
    for (int64_t v = 1; v <= STEPS; v++) {
        put_key(secret_of((unsigned)v % 50), v, STR("team_1"));
        put_subject(SUBJECT_TEAM, "team_1", "", v, v, true);
        if (v % 7 == 0)
            remove_key(secret_of((unsigned)v % 50), v);
    }
    for (unsigned i = 0; i < LOOPS; i++)
        sem_wait(&finished);
    for (unsigned i = 0; i < LOOPS; i++) {
        loop_post(workers[i].loop, stop_loop, NULL);
        pthread_join(workers[i].thread, NULL);
        CHECK(workers[i].saw > 0);
    }
    catalog_free(cat);
}

/* --- many keys --- */

static long resident_kb(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return u.ru_maxrss;
}

static void many_body(void)
{
    unsigned n = getenv("KEYS_MANY") ? 100000 : 5000;
    long before = resident_kb();
    int64_t t0 = clock_now();

    for (unsigned i = 0; i < n; i++)
        put_key(secret_of(i), i + 1, STR("team_1"));
    int64_t t1 = clock_now();
    must(catalog_attach(cat) == 0);
    int64_t t2 = clock_now();
    unsigned found = 0;
    for (unsigned i = 0; i < n; i++) {
        const struct virtual_key *k = catalog_find(secret_of(i));
        found += k != NULL;
        vkey_unref(k);
    }
    int64_t t3 = clock_now();
    CHECK_EQ(found, n);
    printf("# %u keys: put %lld ms, attach %lld ms, find %lld ns each, %ld bytes a key with one "
           "thread\n",
        n, (long long)((t1 - t0) / NS_PER_MS), (long long)((t2 - t1) / NS_PER_MS),
        (long long)((t3 - t2) / n), (resident_kb() - before) * 1024 / (long)n);
    catalog_detach(cat);
}

static void test_many_keys(void)
{
    attached(many_body);
}

int main(void)
{
    TAP_RUN(test_find);
    TAP_RUN(test_versions);
    TAP_RUN(test_levels);
    TAP_RUN(test_customers);
    TAP_RUN(test_config_keys);
    TAP_RUN(test_many_loops);
    TAP_RUN(test_many_keys);
    return tap_done();
}
