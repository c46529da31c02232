/*
 * Coroutines: spawning, parking and waking, deadlines, cancellation and its mask, yielding, stacks.
 */
#include "base/tap.h"
#include "runtime/co.h"
#include "runtime/test_loop.h"
#include <errno.h>
#include <fenv.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static char trace[64];

static void mark(const char *s)
{
    strncat(trace, s, sizeof trace - strlen(trace) - 1);
}

/* --- spawning --- */

static void mark_and_yield(void *arg)
{
    mark(arg);
    co_yield ();
    mark(arg);
}

static void spawn_order(void)
{
    CHECK_EQ(co_spawn("b", mark_and_yield, "b", NULL), 0);
    mark("a");
    CHECK_EQ(co_spawn_now("c", mark_and_yield, "c", NULL), 0);
    mark("a");
    co_yield ();
    co_yield ();
    mark("a");
}

static void test_spawn_order(void)
{
    trace[0] = 0;
    in_loop(spawn_order);
    CHECK_STR(str_of(trace), str_of("acabcba"));
}

static void level(void *arg)
{
    int n = *(int *)arg;
    mark("(");
    if (n > 1) {
        int less = n - 1;
        must(co_spawn_now("level", level, &less, NULL) == 0);
    }
    mark(")");
}

static void spawn_now_nests(void)
{
    int three = 3;
    CHECK_EQ(co_spawn_now("level", level, &three, NULL), 0);
    mark(".");
}

static void test_spawn_now_nests(void)
{
    trace[0] = 0;
    in_loop(spawn_now_nests);
    CHECK_STR(str_of(trace), str_of("((()))."));
}

static void spawn_from_loop(void *arg)
{
    must(co_self() == NULL);
    must(co_spawn_now("x", mark_and_yield, "x", NULL) == 0);
    mark("l");
    *(bool *)arg = true;
}

static void spawn_now_in_loop_context(void)
{
    bool done = false;
    CHECK_EQ(loop_post(loop_self(), spawn_from_loop, &done), 0);
    while (!done)
        co_yield ();
    co_yield ();
    co_yield ();
}

static void test_spawn_now_in_loop_context(void)
{
    trace[0] = 0;
    in_loop(spawn_now_in_loop_context);
    CHECK_STR(str_of(trace), str_of("xlx"));
}

static int ended;

static void end_at_once(void *arg)
{
    (void)arg;
    ended++;
}

static void many(void)
{
    for (int i = 0; i < 3000; i++) {
        CHECK_EQ(co_spawn("many", end_at_once, NULL, NULL), 0);
        if (i % 1000 == 0)
            co_yield ();
    }
    while (ended < 3000)
        co_yield ();
    struct loop_stats s;
    loop_stats(loop_self(), &s);
    CHECK_EQ(s.coroutines, 1);
}

static void test_many(void)
{
    ended = 0;
    in_loop(many);
    CHECK_EQ(ended, 3000);
}

/* --- parking --- */

struct parker {
    struct co *co;
    int64_t deadline, own_deadline;
    bool mask;
    int result, second;
    bool done;
};

static void park_once(void *arg)
{
    struct parker *p = arg;
    if (p->own_deadline)
        co_set_deadline(p->own_deadline);
    if (p->mask)
        co_mask_cancel();
    p->result = co_park("test", p->deadline);
    if (p->mask)
        co_unmask_cancel();
    p->second = co_park("test", soon());
    p->done = true;
}

static void finish(struct parker *p)
{
    while (!p->done)
        co_sleep_until(soon());
}

static void park_ok(void)
{
    struct parker p = {.deadline = far()};
    CHECK_EQ(co_spawn_now("p", park_once, &p, &p.co), 0);
    CHECK(co_wake(p.co, 17));
    CHECK(!co_wake(p.co, 18)); /* the first wins */
    finish(&p);
    CHECK_EQ(p.result, 17);
    CHECK_EQ(p.second, -ETIMEDOUT);
}

static void test_park_ok(void)
{
    in_loop(park_ok);
}

static void park_timeout(void)
{
    int64_t start = loop_now();
    struct parker p = {.deadline = soon()};
    CHECK_EQ(co_spawn_now("p", park_once, &p, &p.co), 0);
    finish(&p);
    CHECK_EQ(p.result, -ETIMEDOUT);
    CHECK(loop_now() - start >= 2 * NS_PER_MS);
    CHECK_EQ(co_park("past", loop_now()), -ETIMEDOUT);
}

static void test_park_timeout(void)
{
    in_loop(park_timeout);
}

static void park_own_deadline(void)
{
    struct parker p = {.deadline = far(), .own_deadline = soon()};
    CHECK_EQ(co_spawn_now("p", park_once, &p, &p.co), 0);
    finish(&p);
    CHECK_EQ(p.result, -ETIMEDOUT);
    CHECK_EQ(p.second, -ETIMEDOUT);
    CHECK_EQ(co_deadline(), NEVER_NS);
    CHECK_EQ(co_set_deadline(far()), NEVER_NS);
    CHECK(co_deadline() != NEVER_NS);
}

static void test_park_own_deadline(void)
{
    in_loop(park_own_deadline);
}

static void park_cancel(void)
{
    struct parker p = {.deadline = far()};
    CHECK_EQ(co_spawn_now("p", park_once, &p, &p.co), 0);
    co_cancel(p.co);
    CHECK(!co_wake(p.co, 0));
    finish(&p);
    CHECK_EQ(p.result, -ECANCELED);
    CHECK_EQ(p.second, -ECANCELED);
}

static void test_park_cancel(void)
{
    in_loop(park_cancel);
}

static void wake_before_cancel(void)
{
    struct parker p = {.deadline = far()};
    CHECK_EQ(co_spawn_now("p", park_once, &p, &p.co), 0);
    CHECK(co_wake(p.co, 5));
    co_cancel(p.co);
    finish(&p);
    CHECK_EQ(p.result, 5); /* what it was woken for is not lost */
    CHECK_EQ(p.second, -ECANCELED);
}

static void test_wake_before_cancel(void)
{
    in_loop(wake_before_cancel);
}

static void cancel_masked(void)
{
    struct parker p = {.deadline = soon(), .mask = true};
    CHECK_EQ(co_spawn_now("p", park_once, &p, &p.co), 0);
    co_cancel(p.co);
    finish(&p);
    CHECK_EQ(p.result, -ETIMEDOUT);
    CHECK_EQ(p.second, -ECANCELED);
}

static void test_cancel_masked(void)
{
    in_loop(cancel_masked);
}

static void cancel_before_first_run(void)
{
    struct parker p = {.deadline = far()};
    CHECK_EQ(co_spawn("p", park_once, &p, &p.co), 0);
    co_cancel(p.co);
    finish(&p);
    CHECK_EQ(p.result, -ECANCELED);
}

static void test_cancel_before_first_run(void)
{
    in_loop(cancel_before_first_run);
}

static void cancel_self(void)
{
    CHECK(!co_cancelled());
    co_mask_cancel();
    co_mask_cancel();
    co_cancel(co_self());
    CHECK(co_cancelled());
    co_unmask_cancel();
    CHECK_EQ(co_sleep_until(soon()), 0);
    co_unmask_cancel();
    CHECK_EQ(co_sleep_until(soon()), -ECANCELED);
    co_yield (); /* not a wait: still gives way and comes back */
}

static void test_cancel_self(void)
{
    in_loop(cancel_self);
}

/* A deadline armed early, then moved later many times, must neither fire early nor late. */
static void later_deadlines(void)
{
    struct parker p = {.deadline = soon()};
    CHECK_EQ(co_spawn_now("p", park_once, &p, &p.co), 0);
    CHECK(co_wake(p.co, 0)); /* its second park is due later than the first was armed */
    int64_t start = loop_now();
    finish(&p);
    CHECK_EQ(p.result, 0);
    CHECK_EQ(p.second, -ETIMEDOUT);
    CHECK(loop_now() - start >= 2 * NS_PER_MS);
}

static void test_later_deadlines(void)
{
    in_loop(later_deadlines);
}

/* --- the stack and the processor's state --- */

static __attribute__((noinline)) unsigned dig(unsigned depth)
{
    volatile char frame[256];
    memset((char *)frame, (int)depth, sizeof frame);
    return depth == 0 ? 0 : dig(depth - 1) + (unsigned char)frame[17];
}

static unsigned dug;

static void deep(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++) {
        dug += dig(100);
        co_yield ();
    }
}

static void uses_stack(void)
{
    dug = 0;
    for (int i = 0; i < 4; i++)
        CHECK_EQ(co_spawn("deep", deep, NULL, NULL), 0);
    for (int i = 0; i < 5; i++)
        co_yield ();
    CHECK_EQ(dug, 4 * 3 * 5050);
}

static void test_uses_stack(void)
{
    in_loop(uses_stack);
}

static void round_up(void *arg)
{
    fesetround(FE_UPWARD);
    co_yield ();
    *(int *)arg = fegetround();
}

static void keeps_rounding_mode(void)
{
    int mode = -1;
    CHECK_EQ(co_spawn_now("up", round_up, &mode, NULL), 0);
    CHECK_EQ(fegetround(), FE_TONEAREST);
    while (mode == -1)
        co_yield ();
    CHECK_EQ(mode, FE_UPWARD);
    CHECK_EQ(fegetround(), FE_TONEAREST);
}

static void test_keeps_rounding_mode(void)
{
    in_loop(keeps_rounding_mode);
}

/* After a second of waiting the pages below its frames are gone; the frames are not, and the stack
 * grows again as before. */
struct sleeper {
    struct parker parker;
    char *deep_page;
};

static __attribute__((noinline)) void find_page(struct sleeper *s)
{
    /* Not an array: AddressSanitizer may keep those on a stack of its own. */
    volatile char *frame = __builtin_alloca(16 * 1024);
    frame[0] = 1;
    s->deep_page = (char *)((uintptr_t)frame & ~(uintptr_t)4095);
}

static void wait_long(void *arg)
{
    struct sleeper *s = arg;
    volatile unsigned kept = dig(60);
    find_page(s);
    s->parker.result = co_park("long", far());
    s->parker.second = (int)(kept + dig(60));
    s->parker.done = true;
}

static bool resident(char *page)
{
    unsigned char there = 0;
    must(mincore(page, 1, &there) == 0);
    return there & 1;
}

static void sweeps(void)
{
    struct sleeper s = {0};
    CHECK_EQ(co_spawn_now("long", wait_long, &s, &s.parker.co), 0);
    CHECK(resident(s.deep_page));
    int64_t give_up = far();
    while (resident(s.deep_page) && loop_now() < give_up)
        co_sleep_until(soon());
    CHECK(!resident(s.deep_page));
    CHECK(co_wake(s.parker.co, 3));
    finish(&s.parker);
    CHECK_EQ(s.parker.result, 3);
    CHECK_EQ(s.parker.second, 2 * 1830);
}

static void test_sweep(void)
{
    in_loop(sweeps);
}

/* --- description --- */

static int n_seen;
static bool saw_parked;

static void see(const struct co_info *info, void *ctx)
{
    n_seen++;
    if (strcmp(info->name, "p") == 0)
        saw_parked = strcmp(info->state, "parked") == 0 && strcmp(info->why, "test") == 0 &&
                     info->deadline == *(int64_t *)ctx && info->stack_used > 0 &&
                     info->stack_used < 8192 && info->cancelled == false;
}

static void each(void)
{
    struct parker p = {.deadline = far()};
    CHECK_EQ(co_spawn_now("p", park_once, &p, &p.co), 0);
    n_seen = 0;
    co_each(see, &p.deadline);
    CHECK_EQ(n_seen, 2);
    CHECK(saw_parked);
    co_wake(p.co, 0);
    finish(&p);
}

static void test_each(void)
{
    in_loop(each);
}

int main(void)
{
    TAP_RUN(test_spawn_order);
    TAP_RUN(test_spawn_now_nests);
    TAP_RUN(test_spawn_now_in_loop_context);
    TAP_RUN(test_many);
    TAP_RUN(test_park_ok);
    TAP_RUN(test_park_timeout);
    TAP_RUN(test_park_own_deadline);
    TAP_RUN(test_park_cancel);
    TAP_RUN(test_wake_before_cancel);
    TAP_RUN(test_cancel_masked);
    TAP_RUN(test_cancel_before_first_run);
    TAP_RUN(test_cancel_self);
    TAP_RUN(test_later_deadlines);
    TAP_RUN(test_uses_stack);
    TAP_RUN(test_keeps_rounding_mode);
    TAP_RUN(test_sweep);
    TAP_RUN(test_each);
    return tap_done();
}
