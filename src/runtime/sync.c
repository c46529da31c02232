/*
 * Semaphores and events.
 *
 * A waiter is a node on the waiting coroutine's own stack. Whoever ends the wait takes the node off
 * the list and hands over what was waited for; a waiter whose wait ended by deadline or
 * cancellation takes itself off. Between the two stands co_wake(): it says whether the waiter was
 * still waiting, so a unit of a semaphore is never handed to one that has already given up, and one
 * that was handed over is never lost.
 */
#include "runtime/sync_int.h"
#include <errno.h>

int wait_in(struct list *waiters, struct waiter *w, const char *why, int64_t deadline)
{
    w->co = co_self();
    must(w->co);
    list_push_back(waiters, &w->node);
    int r = co_park(why, deadline);
    list_remove(&w->node); /* a no-op when the waker took it off */
    return r;
}

struct waiter *wake_first(struct list *waiters)
{
    for (struct list *n; (n = list_pop_front(waiters)) != NULL;) {
        struct waiter *w = list_entry(n, struct waiter, node);
        if (co_wake(w->co, 0))
            return w;
    }
    return NULL;
}

int wait_allowed(void)
{
    struct co *co = co_self();
    must(co);
    return co->cancelled && !co->masked ? -ECANCELED : 0;
}

void sem_init_n(struct sem *s, unsigned n)
{
    s->free = n;
    list_init(&s->waiters);
}

int sem_take(struct sem *s, int64_t deadline)
{
    int r = wait_allowed();
    if (r < 0)
        return r;
    if (s->free > 0) { /* then nobody waits: sem_give() serves them first */
        s->free--;
        return 0;
    }
    struct waiter w;
    return wait_in(&s->waiters, &w, "semaphore", deadline);
}

void sem_give(struct sem *s)
{
    if (!wake_first(&s->waiters))
        s->free++;
}

void event_init(struct event *e)
{
    e->set = false;
    list_init(&e->waiters);
}

void event_set(struct event *e)
{
    e->set = true;
    while (wake_first(&e->waiters))
        ;
}

void event_reset(struct event *e)
{
    e->set = false;
}

int event_wait(struct event *e, int64_t deadline)
{
    int r = wait_allowed();
    if (r < 0 || e->set)
        return r;
    struct waiter w;
    return wait_in(&e->waiters, &w, "event", deadline);
}
