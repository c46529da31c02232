/*
 * Timers: order, laziness, clearing, many of them.
 */
#include "base/tap.h"
#include "runtime/test_loop.h"
#include <stdlib.h>

struct alarm {
    struct timer timer;
    int64_t fired_at; /* 0 = not yet */
    int fired;
};

static int64_t last_due;
static bool out_of_order, early;
static int n_fired;

static void ring(struct timer *t)
{
    struct alarm *a = container_of(t, struct alarm, timer);
    a->fired_at = loop_now();
    a->fired++;
    n_fired++;
}

static void wait_for(const int *n, int wanted)
{
    int64_t give_up = far();
    while (*n < wanted && loop_now() < give_up)
        co_sleep_until(soon());
}

static void fires_once(void)
{
    struct alarm a = {0};
    timer_init(&a.timer, ring);
    int64_t due = soon();
    timer_set(&a.timer, due);
    wait_for(&a.fired, 1);
    CHECK_EQ(a.fired, 1);
    CHECK(a.fired_at >= due);
    CHECK_EQ(a.timer.due, NEVER_NS);
    CHECK_EQ(a.timer.heap_at, -1);
    co_sleep_until(soon());
    CHECK_EQ(a.fired, 1);
}

static void test_fires_once(void)
{
    in_loop(fires_once);
}

static void later_is_lazy(void)
{
    struct alarm a = {0};
    timer_init(&a.timer, ring);
    int64_t first = soon(), due = loop_now() + 8 * NS_PER_MS;
    timer_set(&a.timer, first);
    timer_set(&a.timer, due);
    CHECK_EQ(a.timer.armed, first);
    CHECK_EQ(a.timer.due, due);
    wait_for(&a.fired, 1);
    CHECK_EQ(a.fired, 1);
    CHECK(a.fired_at >= due);
}

static void test_later_is_lazy(void)
{
    in_loop(later_is_lazy);
}

static void sooner_is_not(void)
{
    struct alarm a = {0}, b = {0};
    timer_init(&a.timer, ring);
    timer_init(&b.timer, ring);
    int64_t late = far();
    timer_set(&b.timer, soon() + NS_PER_MS);
    timer_set(&a.timer, late);
    timer_set(&a.timer, soon());
    wait_for(&a.fired, 1);
    CHECK_EQ(a.fired, 1);
    CHECK(a.fired_at < late);
    timer_clear(&b.timer);
}

static void test_sooner_is_not(void)
{
    in_loop(sooner_is_not);
}

static void switched_off(void)
{
    struct alarm cleared = {0}, off = {0}, after = {0};
    timer_init(&cleared.timer, ring);
    timer_init(&off.timer, ring);
    timer_init(&after.timer, ring);
    timer_set(&cleared.timer, soon());
    timer_set(&off.timer, soon());
    timer_set(&after.timer, soon() + NS_PER_MS);
    timer_clear(&cleared.timer);
    timer_clear(&cleared.timer);
    CHECK_EQ(cleared.timer.heap_at, -1);
    timer_set(&off.timer, NEVER_NS);
    CHECK(off.timer.heap_at >= 0);
    wait_for(&after.fired, 1);
    CHECK_EQ(after.fired, 1);
    CHECK_EQ(cleared.fired, 0);
    CHECK_EQ(off.fired, 0);
    CHECK_EQ(off.timer.heap_at, -1);
}

static void test_switched_off(void)
{
    in_loop(switched_off);
}

static int again_left;

static void ring_again(struct timer *t)
{
    n_fired++;
    if (--again_left > 0)
        timer_set(t, loop_now()); /* already due: must not keep the turn from ending */
}

static void set_by_itself(void)
{
    struct timer t;
    timer_init(&t, ring_again);
    n_fired = 0;
    again_left = 100;
    timer_set(&t, loop_now());
    wait_for(&n_fired, 100);
    CHECK_EQ(n_fired, 100);
}

static void test_set_by_itself(void)
{
    in_loop(set_by_itself);
}

static void ring_in_order(struct timer *t)
{
    struct alarm *a = container_of(t, struct alarm, timer);
    out_of_order |= a->fired_at < last_due; /* before it fires, fired_at holds its due time */
    early |= loop_now() < a->fired_at;
    last_due = a->fired_at;
    a->fired++;
    n_fired++;
}

enum { MANY = 10000 };

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 8;
}

/* 10,000 at random instants; a third moved later, a third cleared half-way. */
static void many(void)
{
    struct alarm *a = calloc(MANY, sizeof *a);
    CHECK(a);
    uint32_t seed = 7;
    int cleared = 0;
    last_due = n_fired = 0;
    out_of_order = early = false;
    for (int i = 0; i < MANY; i++) {
        timer_init(&a[i].timer, ring_in_order);
        timer_set(&a[i].timer, loop_now() + 5 * NS_PER_MS + next_random(&seed) % (20 * NS_PER_MS));
    }
    for (int i = 0; i < MANY; i++) {
        if (i % 3 == 0)
            timer_set(&a[i].timer, a[i].timer.due + next_random(&seed) % (10 * NS_PER_MS));
        a[i].fired_at = a[i].timer.due;
        if (i % 3 == 1) {
            timer_clear(&a[i].timer);
            cleared++;
        }
    }
    wait_for(&n_fired, MANY - cleared);
    bool right = true;
    for (int i = 0; i < MANY; i++)
        right &= a[i].fired == (i % 3 != 1) && a[i].timer.heap_at == -1;
    free(a);
    CHECK_EQ(n_fired, MANY - cleared);
    CHECK(right);
    CHECK(!early);
    CHECK(!out_of_order);
    struct loop_stats s;
    loop_stats(loop_self(), &s);
    CHECK(s.timers <= 1); /* our own sleep's */
}

static void test_many(void)
{
    in_loop(many);
}

int main(void)
{
    TAP_RUN(test_fires_once);
    TAP_RUN(test_later_is_lazy);
    TAP_RUN(test_sooner_is_not);
    TAP_RUN(test_switched_off);
    TAP_RUN(test_set_by_itself);
    TAP_RUN(test_many);
    return tap_done();
}
