/*
 * The slow half of the lock: a while of spinning, then Drepper's three-state futex.
 */
#include "store/shared_lock.h"
#include <linux/futex.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SPINS 400 /* about as long as the longest thing done under the lock */

static inline void pause_cpu(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static bool try_spinning(struct shared_lock *l)
{
    for (int i = 0; i < SPINS; i++) {
        int is_free = 0;
        if (atomic_load_explicit(&l->state, memory_order_relaxed) == 0 &&
            atomic_compare_exchange_weak_explicit(
                &l->state, &is_free, 1, memory_order_acquire, memory_order_relaxed))
            return true;
        pause_cpu();
    }
    return false;
}

void shared_lock_slow(struct shared_lock *l)
{
    if (try_spinning(l))
        return;
    while (atomic_exchange_explicit(&l->state, 2, memory_order_acquire) != 0) {
        atomic_fetch_add_explicit(&l->waits, 1, memory_order_relaxed);
        syscall(SYS_futex, &l->state, FUTEX_WAIT_PRIVATE, 2, NULL, NULL, 0);
    }
}

void shared_lock_wake(struct shared_lock *l)
{
    syscall(SYS_futex, &l->state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}
