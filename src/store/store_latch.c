/*
 * A latch: one caller waits until another thread opens it. The caller is a coroutine, whose loop is
 * told by loop_post(), or a plain thread, which sleeps on a condition variable.
 *
 * The early end of a wait (deadline, cancellation) and the opening may come at the same time; the
 * exchange of `state` decides. Who left first is never posted to, so a latch may be opened long
 * after its waiter's loop has gone. Who was too late to leave counts as woken: what the opener
 * wrote before is there to be read, and its post, still on the way, finds nobody and only gives the
 * memory back.
 */
#include "runtime/co.h"
#include "runtime/loop.h"
#include "store/store_int.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

enum { LATCH_SHUT, LATCH_OPEN, LATCH_LEFT };

struct latch {
    atomic_uint refs;
    atomic_int state;
    /* a coroutine: both touched on its loop alone */
    struct loop *home;
    struct co *co; /* NULL: does not wait any more */
    bool arrived;
    /* a plain thread */
    pthread_mutex_t lock;
    pthread_cond_t opened;
};

struct latch *latch_new(void)
{
    struct latch *l = calloc(1, sizeof *l);
    if (!l)
        return NULL;
    atomic_init(&l->refs, 2);
    atomic_init(&l->state, LATCH_SHUT);
    l->co = co_self();
    l->home = l->co ? loop_self() : NULL;
    if (l->home)
        return l;
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->opened, &attr);
    pthread_condattr_destroy(&attr);
    return l;
}

void latch_unref(struct latch *l)
{
    if (!l || atomic_fetch_sub(&l->refs, 1) > 1)
        return;
    if (!l->home) {
        pthread_cond_destroy(&l->opened);
        pthread_mutex_destroy(&l->lock);
    }
    free(l);
}

static bool change(struct latch *l, int to)
{
    int shut = LATCH_SHUT;
    return atomic_compare_exchange_strong(&l->state, &shut, to);
}

static void arrive(void *arg)
{
    struct latch *l = arg;
    l->arrived = true;
    if (l->co)
        co_wake(l->co, 0); /* false: about to leave, it finds `arrived` */
    latch_unref(l);
}

void latch_open(struct latch *l)
{
    if (l->home) {
        if (!change(l, LATCH_OPEN))
            latch_unref(l);
        else if (loop_post(l->home, arrive, l) < 0)
            panic("no memory to wake a caller of the store"); /* it would wait for ever */
        return;
    }
    pthread_mutex_lock(&l->lock);
    (void)change(l, LATCH_OPEN);
    pthread_cond_signal(&l->opened);
    pthread_mutex_unlock(&l->lock);
    latch_unref(l);
}

bool latch_left(struct latch *l)
{
    return atomic_load(&l->state) == LATCH_LEFT;
}

static int wait_in_coroutine(struct latch *l, int64_t deadline)
{
    int r = co_park("store", deadline);
    if (l->arrived)
        return 0;
    l->co = NULL;
    if (!change(l, LATCH_LEFT))
        return 0;
    return r < 0 ? r : -ECANCELED;
}

static int wait_in_thread(struct latch *l, int64_t deadline)
{
    struct timespec ts = {.tv_sec = deadline / NS_PER_S, .tv_nsec = deadline % NS_PER_S};
    int r = 0;
    pthread_mutex_lock(&l->lock);
    while (atomic_load(&l->state) == LATCH_SHUT && r == 0)
        r = deadline == NEVER_NS ? pthread_cond_wait(&l->opened, &l->lock)
                                 : pthread_cond_timedwait(&l->opened, &l->lock, &ts);
    pthread_mutex_unlock(&l->lock);
    return change(l, LATCH_LEFT) ? -ETIMEDOUT : 0;
}

int latch_wait(struct latch *l, int64_t deadline)
{
    return l->home ? wait_in_coroutine(l, deadline) : wait_in_thread(l, deadline);
}
