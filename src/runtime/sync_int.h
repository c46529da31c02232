/*
 * The one way in which coroutines queue up for something: shared by sync.c and chan.c.
 */
#ifndef SF_RUNTIME_SYNC_INT_H
#define SF_RUNTIME_SYNC_INT_H

#include "runtime/runtime_int.h"
#include "runtime/sync.h"

struct waiter {
    struct list node;
    struct co *co;
    void *item; /* of a channel: what is sent or was received */
    int result; /* of a channel: 0 or -EPIPE, once woken */
};

/* Queues the caller up and suspends it; 0 when wake_first() chose it. */
int wait_in(struct list *waiters, struct waiter *w, const char *why, int64_t deadline);
/* Ends the wait of the first that still waits, and returns it, or NULL. The waiter does not run
 * before the caller gives way, so *w may still be filled in. */
struct waiter *wake_first(struct list *waiters);
/* -ECANCELED when the caller is cancelled, so that no wait begins; else 0. */
int wait_allowed(void);

#endif
