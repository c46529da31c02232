/*
 * Coroutines: stackful, bound to the thread they were born on, cooperative. A request handler is
 * one; it reads as straight-line code and gives the thread away only in calls that are documented
 * to suspend. Every one of them goes through co_park(), the single wait funnel.
 *
 *   ready ──run──▶ running ──co_park──▶ parked ──co_wake / deadline / cancel──▶ ready
 *                     └──fn returns──▶ dead (stack goes back to the loop's pool)
 *
 * Cancellation is a return code: co_cancel() makes the current or next wait of the target, and
 * every wait after that, return -ECANCELED, until the coroutine ends or masks it for a clean-up
 * section. Deadlines: a wait ends at the earlier of its own deadline and the coroutine's
 * (co_set_deadline), with -ETIMEDOUT.
 *
 * Stacks are 64 KiB (256 KiB under sanitizers) with a guard page: keep large arrays out of them. A
 * coroutine that stays parked for a quarter of a second gives the untouched part of its stack back
 * to the kernel; code that waits long must therefore wait at small depth (below 4 KiB of frames).
 *
 * Never hold across a suspending call: errno, a pointer you do not own, thread-local data, a lock.
 */
#ifndef SF_RUNTIME_CO_H
#define SF_RUNTIME_CO_H

#include "base/clock.h"
#include "base/list.h"
#include <stdbool.h>
#include <stddef.h>

struct co;

/* Starts fn(arg) on this thread's loop, on its next turn. name is a literal (shown in
 * /debug/coroutines). *ret (may be NULL) is valid until fn returns. 0, -ENOMEM, -EAGAIN. */
int co_spawn(const char *name, void (*fn)(void *), void *arg, struct co **ret);
/* The same, but runs it at once, until its first wait; the caller then goes on. Callable from a
 * coroutine or from loop context. */
int co_spawn_now(const char *name, void (*fn)(void *), void *arg, struct co **ret);

struct co *co_self(void); /* NULL in loop context */

/* Suspends the caller. Returns the value given to co_wake(), -ETIMEDOUT or -ECANCELED.
 * why is a literal for diagnostics ("read", "pool", ...). */
int co_park(const char *why, int64_t deadline);
/* Makes a parked coroutine of this thread runnable; the first wake wins, waking one that is not
 * parked is a no-op and returns false. result is what its co_park() returns (>= 0 or -errno). */
bool co_wake(struct co *co, int result);

void co_cancel(struct co *co); /* same thread */
bool co_cancelled(void);       /* of the caller, regardless of the mask */
/* While masked, waits do not return -ECANCELED. Nestable; returns nothing. */
void co_mask_cancel(void);
void co_unmask_cancel(void);

/* Sets the caller's deadline for all waits; returns the old one, to be restored. */
int64_t co_set_deadline(int64_t deadline);
int64_t co_deadline(void);

int co_sleep_until(int64_t deadline); /* 0 or -ECANCELED */
void co_yield (void);                 /* to the back of the run queue */

/* What /debug/coroutines and the gdb script show. Own thread; calls f for each. */
struct co_info {
    const char *name, *state, *why;
    int64_t age_ns, parked_ns, deadline; /* deadline NEVER_NS = none */
    size_t stack_used;
    bool cancelled;
};
void co_each(void (*f)(const struct co_info *, void *ctx), void *ctx);

#endif
