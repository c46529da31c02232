/*
 * Waiting for entries to be synced. Each loop has a list of its waiting coroutines, which only its
 * own thread touches; after a group the writer posts one function to each loop that has any. The
 * lists and the listener are counted, as a post may run after the journal was closed.
 */
#include "journal/journal_int.h"
#include "runtime/co.h"
#include "runtime/loop.h"

#include <errno.h>
#include <stdlib.h>

struct waiter {
    struct list node;
    struct co *co;
    const struct journal_ticket *ticket;
};

struct waiters {
    atomic_uint refs;
    _Atomic(struct journal *) journal; /* NULL once closed */
    struct loop *loop;
    atomic_uint waiting;
    atomic_bool posted;
    struct list list; /* the loop's thread alone */
};

struct listener {
    atomic_uint refs;
    struct loop *loop;
    atomic_bool posted, off;
    void (*fn)(void *ctx);
    void *ctx;
};

/* --- whether it is done --- */

static int state_of(struct journal *j, const struct journal_ticket *t)
{
    must(t->ring < RINGS_MAX && j->rings[t->ring].page);
    if (atomic_load(&j->rings[t->ring].page->tail) > t->position)
        return 0;
    return atomic_load(&j->problem) != 0 ? -EIO : -EAGAIN;
}

uint64_t journal_seq_of(struct journal *j, const struct journal_ticket *t)
{
    must(t->ring < RINGS_MAX && j->rings[t->ring].page);
    return ring_seq_of(&j->rings[t->ring], t->position);
}

/* --- coroutines --- */

static void drop(struct waiters *w)
{
    if (atomic_fetch_sub(&w->refs, 1) == 1)
        free(w);
}

/* On the loop. */
static void wake_waiters(void *arg)
{
    struct waiters *w = arg;
    struct journal *j = atomic_load(&w->journal);

    atomic_store(&w->posted, false);
    list_each(&w->list, it)
    {
        struct waiter *one = list_entry(it, struct waiter, node);
        int r = j ? state_of(j, one->ticket) : -ECANCELED;
        if (r != -EAGAIN) {
            list_remove(&one->node);
            co_wake(one->co, r);
        }
    }
    drop(w);
}

static void post(struct waiters *w)
{
    if (atomic_load(&w->waiting) == 0 || atomic_exchange(&w->posted, true))
        return;
    atomic_fetch_add(&w->refs, 1);
    if (loop_post(w->loop, wake_waiters, w) < 0) { /* no memory: the next group tries again */
        atomic_store(&w->posted, false);
        drop(w);
    }
}

static struct waiters *add_loop(struct journal *j, struct loop *l)
{
    unsigned n = atomic_load(&j->n_waiters);
    struct waiters *w = n < LOOPS_MAX ? calloc(1, sizeof(*w)) : NULL;

    if (!w)
        return NULL;
    atomic_store(&w->refs, 1);
    atomic_store(&w->journal, j);
    w->loop = l;
    list_init(&w->list);
    j->waiters[n] = w;
    atomic_store(&j->n_waiters, n + 1);
    return w;
}

static struct waiters *waiters_of(struct journal *j, struct loop *l)
{
    unsigned n = atomic_load(&j->n_waiters);

    for (unsigned i = 0; i < n; i++)
        if (j->waiters[i]->loop == l)
            return j->waiters[i];
    pthread_mutex_lock(&j->lock);
    struct waiters *w = add_loop(j, l);
    pthread_mutex_unlock(&j->lock);
    return w;
}

static int wait_parked(struct journal *j, const struct journal_ticket *t, int64_t deadline)
{
    struct waiters *w = waiters_of(j, loop_self());
    struct waiter one = {.co = co_self(), .ticket = t};

    if (!w)
        return -EIO;
    list_push_back(&w->list, &one.node);
    atomic_fetch_add(&w->waiting, 1);
    int r = state_of(j, t); /* the writer may have been here before it could see us */
    if (r == -EAGAIN) {
        writer_urge(j);
        r = co_park("journal", deadline);
    }
    atomic_fetch_sub(&w->waiting, 1);
    list_remove(&one.node);
    return r;
}

/* --- plain threads --- */

static int wait_blocked(struct journal *j, const struct journal_ticket *t, int64_t deadline)
{
    struct timespec ts = {.tv_sec = deadline / NS_PER_S, .tv_nsec = deadline % NS_PER_S};
    int r, err = 0;

    pthread_mutex_lock(&j->lock);
    j->blocked++;
    while ((r = state_of(j, t)) == -EAGAIN && err == 0) {
        pthread_mutex_unlock(&j->lock);
        writer_urge(j);
        pthread_mutex_lock(&j->lock);
        if (state_of(j, t) != -EAGAIN)
            continue;
        if (deadline == NEVER_NS)
            err = pthread_cond_wait(&j->changed, &j->lock);
        else
            err = pthread_cond_timedwait(&j->changed, &j->lock, &ts);
    }
    j->blocked--;
    pthread_mutex_unlock(&j->lock);
    return r == -EAGAIN ? -err : r;
}

int journal_wait(struct journal *j, const struct journal_ticket *t, int64_t deadline)
{
    int r = state_of(j, t);

    if (r != -EAGAIN)
        return r;
    return co_self() ? wait_parked(j, t, deadline) : wait_blocked(j, t, deadline);
}

/* --- the listener --- */

static void drop_listener(struct listener *l)
{
    if (atomic_fetch_sub(&l->refs, 1) == 1)
        free(l);
}

static void call_listener(void *arg)
{
    struct listener *l = arg;

    atomic_store(&l->posted, false);
    if (!atomic_load(&l->off))
        l->fn(l->ctx);
    drop_listener(l);
}

static void tell_listener(struct listener *l)
{
    if (atomic_exchange(&l->posted, true))
        return;
    atomic_fetch_add(&l->refs, 1);
    if (loop_post(l->loop, call_listener, l) < 0) {
        atomic_store(&l->posted, false);
        drop_listener(l);
    }
}

static void replace_listener(struct journal *j, struct listener *new)
{
    pthread_mutex_lock(&j->lock);
    struct listener *old = j->listener;
    j->listener = new;
    pthread_mutex_unlock(&j->lock);
    if (old) {
        atomic_store(&old->off, true);
        drop_listener(old);
    }
}

void journal_on_synced(struct journal *j, struct loop *l, void (*fn)(void *ctx), void *ctx)
{
    struct listener *new = fn ? calloc(1, sizeof(*new)) : NULL;

    must(!fn || new);
    if (new) {
        *new = (struct listener){.loop = l, .fn = fn, .ctx = ctx};
        atomic_store(&new->refs, 1);
    }
    replace_listener(j, new);
}

/* --- the writer's side --- */

void waiters_tell(struct journal *j)
{
    unsigned n = atomic_load(&j->n_waiters);

    for (unsigned i = 0; i < n; i++)
        post(j->waiters[i]);
    pthread_mutex_lock(&j->lock);
    if (j->blocked)
        pthread_cond_broadcast(&j->changed);
    if (j->listener)
        tell_listener(j->listener);
    pthread_mutex_unlock(&j->lock);
}

void waiters_free(struct journal *j)
{
    unsigned n = atomic_load(&j->n_waiters);

    replace_listener(j, NULL);
    for (unsigned i = 0; i < n; i++) {
        atomic_store(&j->waiters[i]->journal, NULL);
        post(j->waiters[i]);
        drop(j->waiters[i]);
    }
    atomic_store(&j->n_waiters, 0);
}
