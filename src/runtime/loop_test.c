/*
 * The loop: posts from its own and other threads, slots, stopping, statistics.
 */
#include "base/tap.h"
#include "runtime/co.h"
#include "runtime/loop.h"
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

static struct loop *fresh_loop(void)
{
    struct loop *l = NULL;
    must(loop_new(7, &l) == 0);
    return l;
}

static void stop(void *arg)
{
    (void)arg;
    loop_stop(loop_self());
}

static int order[3], n_order;

static void note(void *arg)
{
    order[n_order++] = *(int *)arg;
}

static void test_posts_run_in_order(void)
{
    static int one = 1, two = 2, three = 3;
    struct loop *l = fresh_loop();
    n_order = 0;
    CHECK_EQ(loop_post(l, note, &one), 0);
    CHECK_EQ(loop_post(l, note, &two), 0);
    CHECK_EQ(loop_post(l, note, &three), 0);
    CHECK_EQ(loop_post(l, stop, NULL), 0);
    CHECK_EQ(loop_run(l), 0);
    CHECK_EQ(n_order, 3);
    CHECK(order[0] == 1 && order[1] == 2 && order[2] == 3);
    loop_free(l);
}

static void test_post_left_over_runs_on_free(void)
{
    static int one = 1;
    struct loop *l = fresh_loop();
    n_order = 0;
    CHECK_EQ(loop_post(l, stop, NULL), 0);
    CHECK_EQ(loop_run(l), 0);
    CHECK_EQ(loop_post(l, note, &one), 0);
    CHECK_EQ(n_order, 0);
    loop_free(l);
    CHECK_EQ(n_order, 1);
}

enum { POSTERS = 4, POSTS = 5000 };

struct counting {
    struct loop *loop;
    int n; /* written on the loop's thread alone, without a lock */
};

static void count(void *arg)
{
    struct counting *c = arg;
    if (++c->n == POSTERS * POSTS)
        loop_stop(loop_self());
}

static void *poster(void *arg)
{
    struct counting *c = arg;
    for (int i = 0; i < POSTS; i++)
        must(loop_post(c->loop, count, c) == 0);
    return NULL;
}

static void test_posts_from_other_threads(void)
{
    struct counting c = {.loop = fresh_loop()};
    pthread_t t[POSTERS];
    for (int i = 0; i < POSTERS; i++)
        CHECK_EQ(pthread_create(&t[i], NULL, poster, &c), 0);
    CHECK_EQ(loop_run(c.loop), 0);
    for (int i = 0; i < POSTERS; i++)
        pthread_join(t[i], NULL);
    CHECK_EQ(c.n, POSTERS * POSTS);
    loop_free(c.loop);
}

/* Two loops on two threads hand a number to and fro. */
struct ball {
    struct loop *here, *there;
    int hits;
};

static void hit(void *arg)
{
    struct ball *b = arg;
    struct loop *to = loop_self() == b->here ? b->there : b->here;
    if (++b->hits < 1000) {
        must(loop_post(to, hit, b) == 0);
        return;
    }
    must(loop_post(to, stop, NULL) == 0);
    loop_stop(loop_self());
}

static void *other_loop(void *arg)
{
    struct loop *l = arg;
    loop_run(l);
    return NULL;
}

static void test_two_loops(void)
{
    struct ball b = {.here = fresh_loop(), .there = fresh_loop()};
    pthread_t t;
    CHECK_EQ(loop_post(b.here, hit, &b), 0);
    CHECK_EQ(pthread_create(&t, NULL, other_loop, b.there), 0);
    CHECK_EQ(loop_run(b.here), 0);
    pthread_join(t, NULL);
    CHECK_EQ(b.hits, 1000);
    loop_free(b.here);
    loop_free(b.there);
}

static int slot = -1, destroyed;

static void destroy_slot(void *p)
{
    destroyed += *(int *)p;
    free(p);
}

static void fill_slot(void *arg)
{
    (void)arg;
    int *p = malloc(sizeof *p);
    *p = 42;
    loop_slot_set(slot, p);
    must(*(int *)loop_slot_get(slot) == 42);
    loop_stop(loop_self());
}

static void test_slots(void)
{
    struct loop *l = fresh_loop();
    slot = loop_slot_new(destroy_slot);
    CHECK(slot >= 0);
    CHECK_EQ(loop_post(l, fill_slot, NULL), 0);
    CHECK_EQ(loop_run(l), 0);
    CHECK_EQ(destroyed, 0);
    loop_free(l);
    CHECK_EQ(destroyed, 42);
    int more = 0;
    while (loop_slot_new(NULL) >= 0)
        more++;
    CHECK_EQ(more, 31);
    CHECK_EQ(loop_slot_new(NULL), -ENOSPC);
}

static void test_self_and_bind(void)
{
    CHECK(loop_self() == NULL);
    CHECK(loop_now() > 0);
    struct loop *l = fresh_loop();
    CHECK(loop_self() == NULL);
    loop_bind(l);
    CHECK(loop_self() == l);
    CHECK_EQ(loop_index(l), 7);
    CHECK_EQ(loop_post(l, stop, NULL), 0);
    CHECK_EQ(loop_run(l), 0);
    CHECK(loop_self() == NULL);
    loop_free(l);
}

static int ended_with;

static void sleep_forever(void *arg)
{
    (void)arg;
    ended_with = co_sleep_until(NEVER_NS);
}

static void test_stop_cancels_coroutines(void)
{
    struct loop *l = fresh_loop();
    loop_bind(l);
    ended_with = 1;
    CHECK_EQ(co_spawn("sleeper", sleep_forever, NULL, NULL), 0);
    CHECK_EQ(loop_post(l, stop, NULL), 0);
    CHECK_EQ(loop_run(l), 0);
    CHECK_EQ(ended_with, -ECANCELED);
    loop_free(l);
}

/* One that will not end does not hold up the loop for ever, nor does its stack leak. */
static void refuse_to_end(void *arg)
{
    (void)arg;
    co_mask_cancel();
    co_sleep_until(NEVER_NS);
}

static void test_stop_leaves_the_stubborn(void)
{
    struct loop *l = fresh_loop();
    loop_bind(l);
    CHECK_EQ(co_spawn("stubborn", refuse_to_end, NULL, NULL), 0);
    CHECK_EQ(loop_post(l, stop, NULL), 0);
    CHECK_EQ(loop_run(l), 0);
    struct loop_stats s;
    loop_stats(l, &s);
    CHECK_EQ(s.coroutines, 1);
    loop_free(l);
}

static struct loop_stats seen;

static void look(void *arg)
{
    (void)arg;
    co_yield ();
    loop_stats(loop_self(), &seen);
    loop_stop(loop_self());
}

static void test_stats(void)
{
    struct loop *l = fresh_loop();
    loop_bind(l);
    static int one = 1;
    n_order = 0;
    CHECK_EQ(loop_post(l, note, &one), 0);
    CHECK_EQ(co_spawn("look", look, NULL, NULL), 0);
    CHECK_EQ(loop_run(l), 0);
    CHECK_EQ(seen.coroutines, 1);
    CHECK_EQ(seen.posts, 1);
    CHECK_EQ(seen.turns, 2);
    CHECK_EQ(seen.runnable, 0);
    CHECK(seen.longest_turn_ns > 0);
    loop_free(l);
}

int main(void)
{
    TAP_RUN(test_posts_run_in_order);
    TAP_RUN(test_post_left_over_runs_on_free);
    TAP_RUN(test_posts_from_other_threads);
    TAP_RUN(test_two_loops);
    TAP_RUN(test_slots);
    TAP_RUN(test_self_and_bind);
    TAP_RUN(test_stop_cancels_coroutines);
    TAP_RUN(test_stop_leaves_the_stubborn);
    TAP_RUN(test_stats);
    return tap_done();
}
