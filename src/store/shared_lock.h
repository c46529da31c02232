/*
 * The lock of the shared store's tables. What it guards takes well under a microsecond, so a waiter
 * first spins for about that long; only when the holder was descheduled does it sleep on a futex.
 * Never held over anything that suspends. `waits` counts the sleeps, which ought to stay near zero.
 */
#ifndef SF_STORE_SHARED_LOCK_H
#define SF_STORE_SHARED_LOCK_H

#include "base/macros.h"
#include <stdatomic.h>

struct shared_lock {
    atomic_int state; /* 0 free, 1 held, 2 held and somebody may sleep */
    atomic_ulong waits;
};

void shared_lock_slow(struct shared_lock *l);
void shared_lock_wake(struct shared_lock *l);

static inline void shared_lock(struct shared_lock *l)
{
    int is_free = 0;
    if (unlikely(!atomic_compare_exchange_strong_explicit(
            &l->state, &is_free, 1, memory_order_acquire, memory_order_relaxed)))
        shared_lock_slow(l);
}

static inline void shared_unlock(struct shared_lock *l)
{
    if (unlikely(atomic_exchange_explicit(&l->state, 0, memory_order_release) == 2))
        shared_lock_wake(l);
}

#endif
