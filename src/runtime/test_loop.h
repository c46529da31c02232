/*
 * For unit tests: runs a test's body as a coroutine on a loop of its own. Included by *_test.c
 * alone.
 *
 *     static void reads(void) { ... CHECK_EQ(io_wait(...), 0); }
 *     static void test_reads(void) { in_loop(reads); }
 */
#ifndef SF_RUNTIME_TEST_LOOP_H
#define SF_RUNTIME_TEST_LOOP_H

#include "base/macros.h"
#include "runtime/co.h"
#include "runtime/loop.h"

static inline void in_loop_main(void *arg)
{
    void (**body)(void) = arg;
    (*body)();
    loop_stop(loop_self());
}

/* before_free, which may be NULL, runs when the loop has ended: it stops what may still post to it.
 */
static inline void in_loop_then(void (*body)(void), void (*before_free)(void))
{
    struct loop *l = NULL;
    must(loop_new(0, &l) == 0);
    loop_bind(l);
    must(co_spawn("test", in_loop_main, &body, NULL) == 0);
    loop_run(l);
    if (before_free)
        before_free();
    loop_free(l);
}

static inline void in_loop(void (*body)(void))
{
    in_loop_then(body, NULL);
}

/* A deadline that a test waits for, and one that it must never reach. */
static inline int64_t soon(void)
{
    return loop_now() + 2 * NS_PER_MS;
}

static inline int64_t far(void)
{
    return loop_now() + 60 * NS_PER_S;
}

#endif
