/*
 * What coroutines of one thread use to work together: task groups, channels, semaphores, events.
 * All of it is same-thread (no locks); all waits take a deadline and end on cancellation: a
 * cancelled caller gets -ECANCELED even when it would not have had to wait. Children that ended,
 * items that were received and units that were taken are never lost to a deadline that comes at the
 * same time.
 */
#ifndef SF_RUNTIME_SYNC_H
#define SF_RUNTIME_SYNC_H

#include "runtime/co.h"

/* A task group: children that end together. group_wait() returns when all have ended: 0, or the
 * first error a child returned. When the wait itself ends early (deadline, cancel), the children
 * are cancelled and still waited for. No child outlives its group. */
struct group {
    unsigned running;
    int first_error;
    bool cancel_on_error;
    struct list children;
    struct co *waiter;
};

void group_init(struct group *g, bool cancel_on_error);
int group_spawn(struct group *g, const char *name, int (*fn)(void *), void *arg);
void group_cancel(struct group *g);
int group_wait(struct group *g, int64_t deadline);

/* A bounded channel of pointers. */
struct chan;
int chan_new(size_t capacity, struct chan **ret); /* capacity >= 1 */
void chan_free(struct chan *c);                   /* nobody may be waiting */
int chan_send(
    struct chan *c, void *item, int64_t deadline); /* 0, -EPIPE closed, -ETIMEDOUT, -ECANCELED */
int chan_recv(
    struct chan *c, void **ret_item, int64_t deadline); /* 0, -EPIPE closed and empty, ... */
void chan_close(struct chan *c);                        /* wakes all */

/* A counting semaphore, first come first served. */
struct sem {
    unsigned free;
    struct list waiters;
};
void sem_init_n(struct sem *s, unsigned n);
int sem_take(struct sem *s, int64_t deadline);
void sem_give(struct sem *s);

/* A level-triggered event. */
struct event {
    bool set;
    struct list waiters;
};
void event_init(struct event *e);
void event_set(struct event *e); /* wakes all */
void event_reset(struct event *e);
int event_wait(struct event *e, int64_t deadline);

#endif
