/*
 * Giving memory back. A burst leaves the heap full of free blocks between used ones, which the
 * allocator keeps; every few seconds, when much of the heap is free, it is asked to return those
 * pages to the kernel. That takes milliseconds and locks, so it happens on the offload pool and
 * only when it pays; in steady state the blocks wait in the threads' own lists and nothing is free.
 */
#include "gateway/serve_int.h"
#include "runtime/co.h"
#include "runtime/loop.h"
#include "runtime/offload.h"

#include <malloc.h>

#define LOOK_EVERY_NS (4 * NS_PER_S)
#define WORTH_BYTES   ((size_t)4 << 20)
#define TRIM_WAIT_NS  (60 * NS_PER_S)

static int trim(void *data)
{
    (void)data;
#ifdef __GLIBC__
    struct mallinfo2 m = mallinfo2();

    if (m.fordblks > WORTH_BYTES + m.uordblks / 8)
        malloc_trim(0);
#endif
    return 0;
}

static void look(void *arg)
{
    (void)arg;
    /* An early end of the wait is harmless: the job has no data. */
    offload_run(trim, NULL, NULL, loop_now() + TRIM_WAIT_NS);
}

static struct timer timer;

static void fire(struct timer *t)
{
    co_spawn("memory", look, NULL, NULL);
    timer_set(t, loop_now() + LOOK_EVERY_NS);
}

void serve_watch_memory(void)
{
    timer_init(&timer, fire);
    timer_set(&timer, clock_now() + LOOK_EVERY_NS);
}

void serve_stop_watching(void)
{
    timer_clear(&timer);
}
