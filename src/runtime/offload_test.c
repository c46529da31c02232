/*
 * The offload pool: results, early ends of a wait, a full queue, stopping.
 */
#include "base/limits.h"
#include "base/tap.h"
#include "runtime/offload.h"
#include "runtime/sync.h"
#include "runtime/test_loop.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

static pthread_t loop_thread;

static void with_pool(void (*body)(void), unsigned threads)
{
    loop_thread = pthread_self();
    must(offload_start(threads) == 0);
    in_loop_then(body, offload_stop); /* jobs in flight still come home to the loop */
}

/* A gate that holds pool threads until the test opens it. */
static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_changed = PTHREAD_COND_INITIALIZER;
static bool gate_open;
static int at_gate;

static void gate_set(bool open)
{
    pthread_mutex_lock(&gate_lock);
    gate_open = open;
    pthread_cond_broadcast(&gate_changed);
    pthread_mutex_unlock(&gate_lock);
}

static int gate_count(void)
{
    pthread_mutex_lock(&gate_lock);
    int n = at_gate;
    pthread_mutex_unlock(&gate_lock);
    return n;
}

static int pass_gate(void *data)
{
    pthread_mutex_lock(&gate_lock);
    at_gate++;
    while (!gate_open)
        pthread_cond_wait(&gate_changed, &gate_lock);
    at_gate--;
    pthread_mutex_unlock(&gate_lock);
    *(int *)data += 1;
    return 0;
}

static int dropped;

static void drop_int(void *data)
{
    must(pthread_equal(pthread_self(), loop_thread));
    dropped += *(int *)data;
    free(data);
}

static int *new_int(int n)
{
    int *p = malloc(sizeof *p);
    must(p);
    *p = n;
    return p;
}

static void wait_until_dropped(int wanted)
{
    int64_t give_up = far();
    while (dropped < wanted && loop_now() < give_up)
        co_sleep_until(soon());
}

/* --- the good case --- */

static int triple(void *data)
{
    must(!pthread_equal(pthread_self(), loop_thread));
    *(int *)data *= 3;
    return *(int *)data;
}

static void ok(void)
{
    int n = 14;
    CHECK_EQ(offload_run(triple, &n, NULL, far()), 42);
    CHECK_EQ(n, 42);
}

static void test_ok(void)
{
    with_pool(ok, 1);
}

static int triple_many(void *arg)
{
    (void)arg;
    for (int i = 0; i < 50; i++) {
        int n = i;
        if (offload_run(triple, &n, NULL, far()) != 3 * i)
            return -EIO;
    }
    return 0;
}

static void many(void)
{
    struct group g;
    group_init(&g, false);
    for (int i = 0; i < 20; i++)
        CHECK_EQ(group_spawn(&g, "many", triple_many, NULL), 0);
    CHECK_EQ(group_wait(&g, far()), 0);
}

static void test_many(void)
{
    with_pool(many, 4);
}

static int fail(void *data)
{
    return *(int *)data;
}

static void results(void)
{
    int r = -ENOENT;
    CHECK_EQ(offload_run(fail, &r, NULL, far()), -ENOENT);
    r = -ETIMEDOUT; /* would say that the pool owns data */
    CHECK_EQ(offload_run(fail, &r, NULL, far()), -EIO);
    r = -ECANCELED;
    CHECK_EQ(offload_run(fail, &r, NULL, far()), -EIO);
}

static void test_results(void)
{
    with_pool(results, 1);
}

/* --- early ends --- */

static void timeout(void)
{
    dropped = 0;
    gate_set(false);
    CHECK_EQ(offload_run(pass_gate, new_int(1), drop_int, soon()), -ETIMEDOUT);
    CHECK_EQ(dropped, 0); /* work still has it */
    gate_set(true);
    wait_until_dropped(2);
    CHECK_EQ(dropped, 2); /* work did run */
}

static void test_timeout(void)
{
    with_pool(timeout, 1);
}

struct runner {
    struct co *co;
    int result;
    bool done;
};

static void run_gated(void *arg)
{
    struct runner *r = arg;
    int *data = new_int(1);
    r->result = offload_run(pass_gate, data, drop_int, far());
    if (r->result == 0)
        free(data);
    r->done = true;
}

static void cancel(void)
{
    struct runner r = {0};
    dropped = 0;
    gate_set(false);
    CHECK_EQ(co_spawn_now("gated", run_gated, &r, &r.co), 0);
    while (gate_count() < 1)
        co_sleep_until(soon());
    co_cancel(r.co);
    while (!r.done)
        co_yield ();
    CHECK_EQ(r.result, -ECANCELED);
    CHECK_EQ(dropped, 0);
    gate_set(true);
    wait_until_dropped(2);
    CHECK_EQ(dropped, 2);
}

static void test_cancel(void)
{
    with_pool(cancel, 1);
}

static void cancelled_before(void)
{
    struct runner r = {0};
    dropped = 0;
    CHECK_EQ(co_spawn("gated", run_gated, &r, &r.co), 0);
    co_cancel(r.co);
    while (!r.done)
        co_yield ();
    CHECK_EQ(r.result, -ECANCELED);
    CHECK_EQ(dropped, 1); /* at once, without work */
}

static void test_cancelled_before(void)
{
    with_pool(cancelled_before, 1);
}

static void end_together(void *arg)
{
    struct runner *r = arg;
    int64_t deadline = loop_now() + 30 * NS_PER_US;
    int *data = new_int(1);
    r->result = offload_run(triple, data, drop_int, deadline);
    if (r->result != -ETIMEDOUT)
        free(data);
    r->done = true;
}

/* Deadlines as long as a job takes, so that both ends race: nothing may be lost or freed twice. */
static void race(void)
{
    dropped = 0;
    for (int i = 0; i < 500; i++) {
        struct runner r = {0};
        CHECK_EQ(co_spawn_now("race", end_together, &r, &r.co), 0);
        while (!r.done)
            co_yield ();
        CHECK(r.result == 3 || r.result == -ETIMEDOUT);
    }
}

static void test_race(void)
{
    with_pool(race, 2);
}

/* --- limits --- */

static int run_one_gated(void *arg)
{
    (void)arg;
    int n = 0;
    int r = offload_run(pass_gate, &n, NULL, far());
    return r < 0 ? r : n - 1;
}

static void queue_full(void)
{
    struct group g;
    int n = 0;
    group_init(&g, false);
    gate_set(false);
    CHECK_EQ(group_spawn(&g, "first", run_one_gated, NULL), 0);
    while (gate_count() < 1)
        co_sleep_until(soon());
    for (int i = 0; i < LIMIT_OFFLOAD_QUEUE; i++)
        CHECK_EQ(group_spawn(&g, "queued", run_one_gated, NULL), 0);
    co_yield ();
    CHECK_EQ(offload_run(pass_gate, &n, NULL, far()), -EAGAIN);
    CHECK_EQ(n, 0);
    gate_set(true);
    CHECK_EQ(group_wait(&g, far()), 0);
}

static void test_queue_full(void)
{
    with_pool(queue_full, 1);
}

static int skipped_result;

static void run_skipped(void *arg)
{
    (void)arg;
    skipped_result = offload_run(pass_gate, new_int(1), drop_int, far());
}

static void *stop_pool(void *arg)
{
    (void)arg;
    offload_stop();
    return NULL;
}

/* Stopping waits for the job that runs and drops the one that waits. */
static void stopped(void)
{
    struct runner first = {0};
    pthread_t t;
    dropped = 0;
    skipped_result = 0;
    gate_set(false);
    CHECK_EQ(co_spawn_now("runs", run_gated, &first, NULL), 0);
    while (gate_count() < 1)
        co_sleep_until(soon());
    CHECK_EQ(co_spawn_now("waits", run_skipped, NULL, NULL), 0);
    CHECK_EQ(pthread_create(&t, NULL, stop_pool, NULL), 0);
    int *n = new_int(0);
    while (offload_run(fail, n, drop_int, soon()) == -ETIMEDOUT) /* until it takes no more */
        n = new_int(0);
    gate_set(true);
    pthread_join(t, NULL);
    wait_until_dropped(1);
    CHECK(first.done);
    CHECK_EQ(first.result, 0);
    CHECK_EQ(skipped_result, -ECANCELED);
    CHECK_EQ(dropped, 1);
    CHECK_EQ(offload_run(fail, n, NULL, far()), -EAGAIN);
    free(n);
}

static void test_stopped(void)
{
    loop_thread = pthread_self();
    CHECK_EQ(offload_start(1), 0);
    in_loop(stopped);
}

int main(void)
{
    TAP_RUN(test_ok);
    TAP_RUN(test_many);
    TAP_RUN(test_results);
    TAP_RUN(test_timeout);
    TAP_RUN(test_cancel);
    TAP_RUN(test_cancelled_before);
    TAP_RUN(test_race);
    TAP_RUN(test_queue_full);
    TAP_RUN(test_stopped);
    return tap_done();
}
