/*
 * The event loop: the turn, posts from other threads, slots, statistics. See loop.h for what a turn
 * does in which order.
 *
 * Posting: a list under a mutex, and the flag `posted`, whose change from false to true pays for
 * the one write to the eventfd; all posts until the loop looks ride on it. The eventfd is
 * registered edge-triggered and never read: each write makes a new edge.
 *
 * Owner: the thread of loop_run(). Only loop_post() may be called by others.
 */
#include "base/log.h"
#include "runtime/runtime_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define LEAVE_WITHIN_NS NS_PER_S /* what coroutines get to end after loop_stop() */

_Thread_local struct loop *loop_current __attribute__((tls_model("initial-exec")));

static void (*slot_destroy[LOOP_SLOTS])(void *);
static int n_slots;

#ifdef SF_TSAN
void *__tsan_get_current_fiber(void);
#endif

/* --- life --- */

static void init_fields(struct loop *l, unsigned index)
{
    l->index = index;
    l->now = clock_now();
    l->next_flush = l->next_sweep = l->now;
    l->leave_by = NEVER_NS;
    list_init(&l->ready);
    list_init(&l->yielded);
    list_init(&l->active);
    list_init(&l->resting);
    list_init(&l->stacks);
    pthread_mutex_init(&l->post_lock, NULL);
    l->post_last = &l->post_first;
}

int loop_new(unsigned index, struct loop **ret)
{
    struct loop *l = calloc(1, sizeof *l);
    if (!l)
        return -ENOMEM;
    init_fields(l, index);
    struct epoll_event ev = {.events = EPOLLIN | EPOLLET};
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (l->epoll_fd < 0 || l->wake_fd < 0 ||
        epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, l->wake_fd, &ev) < 0) {
        int r = -errno;
        loop_free(l);
        return r;
    }
    *ret = l;
    return 0;
}

static void run_posts(struct loop *l);

void loop_free(struct loop *l)
{
    struct loop *before = loop_current;
    must(!l->current);
    loop_current = l;
    run_posts(l);
    for (int i = 0; i < n_slots; i++)
        if (l->slots[i] && slot_destroy[i])
            slot_destroy[i](l->slots[i]);
    run_posts(l);
    co_drop_all(l);
    stacks_free(l);
    timers_free(l);
    loop_current = before == l ? NULL : before;
    if (l->epoll_fd >= 0)
        close(l->epoll_fd);
    if (l->wake_fd >= 0)
        close(l->wake_fd);
    pthread_mutex_destroy(&l->post_lock);
    free(l);
}

static void find_main_stack(struct loop *l)
{
#ifdef SF_ASAN
    pthread_attr_t attr;
    void *low = NULL;
    if (pthread_getattr_np(pthread_self(), &attr) != 0)
        return;
    pthread_attr_getstack(&attr, &low, &l->main_stack_bytes);
    pthread_attr_destroy(&attr);
    l->main_stack = low;
#endif
#ifdef SF_TSAN
    l->main_fiber = __tsan_get_current_fiber();
#endif
    (void)l;
}

void loop_bind(struct loop *l)
{
    must(!loop_current || loop_current == l);
    loop_current = l;
    find_main_stack(l);
}

void loop_stop(struct loop *l)
{
    l->stopping = true;
}

struct loop *loop_self(void)
{
    return loop_current;
}

unsigned loop_index(const struct loop *l)
{
    return l->index;
}

int64_t loop_now(void)
{
    return likely(loop_current) ? loop_current->now : clock_now();
}

/* --- posts --- */

int loop_post(struct loop *l, void (*fn)(void *), void *arg)
{
    struct post *p = malloc(sizeof *p);
    if (!p)
        return -ENOMEM;
    *p = (struct post){.fn = fn, .arg = arg};
    pthread_mutex_lock(&l->post_lock);
    *l->post_last = p;
    l->post_last = &p->next;
    /* Under the lock, so that the loop cannot run this post, stop and be freed before the write. */
    if (!atomic_exchange(&l->posted, true) && l != loop_current) {
        uint64_t one = 1;
        must(write(l->wake_fd, &one, sizeof one) == sizeof one);
    }
    pthread_mutex_unlock(&l->post_lock);
    return 0;
}

static void run_posts(struct loop *l)
{
    if (likely(!atomic_load_explicit(&l->posted, memory_order_relaxed)))
        return;
    pthread_mutex_lock(&l->post_lock);
    struct post *p = l->post_first;
    l->post_first = NULL;
    l->post_last = &l->post_first;
    atomic_store(&l->posted, false);
    pthread_mutex_unlock(&l->post_lock);
    for (struct post *next; p; p = next) {
        next = p->next;
        l->stats.posts++;
        p->fn(p->arg);
        free(p);
    }
}

/* --- the turn --- */

/* How long the kernel may let us sleep; 0 = not at all, NEVER_NS = until an event. */
static int64_t time_to_sleep(struct loop *l, int64_t now)
{
    if (l->n_ready > 0 || l->n_yielded > 0 || l->sweep_left > 0 || l->stopping ||
        atomic_load_explicit(&l->posted, memory_order_relaxed))
        return 0;
    int64_t until = l->leave_by;
    if (l->n_timers > 0)
        until = MIN(until, l->timers[0].armed);
    if (l->busy_since_flush)
        until = MIN(until, l->next_flush);
    if (!list_empty(&l->active) || l->n_stacks > 0)
        until = MIN(until, l->next_sweep);
    if (until == NEVER_NS)
        return NEVER_NS;
    return MAX(until - now, 0);
}

static int wait_ms(struct loop *l, int64_t ns)
{
    int ms = -1;
    if (ns != NEVER_NS)
        ms = (int)MIN((ns + NS_PER_MS - 1) / NS_PER_MS, 3600 * 1000);
    return epoll_wait(l->epoll_fd, l->events, EVENTS_PER_WAIT, ms);
}

/* epoll_pwait2 takes nanoseconds; kernels before 5.11 and some sandboxes lack it. */
static int wait_events(struct loop *l, int64_t ns)
{
    static atomic_bool lacks_pwait2;
    if (ns == 0 || ns == NEVER_NS || atomic_load_explicit(&lacks_pwait2, memory_order_relaxed))
        return wait_ms(l, ns);
    struct timespec ts = {.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};
    int n = epoll_pwait2(l->epoll_fd, l->events, EVENTS_PER_WAIT, &ts, NULL);
    if (n >= 0 || errno == EINTR)
        return n;
    atomic_store(&lacks_pwait2, true);
    return wait_ms(l, ns);
}

static void keep_house(struct loop *l)
{
    if (l->now >= l->next_flush) {
        if (l->busy_since_flush)
            log_flush();
        l->busy_since_flush = false;
        l->next_flush = l->now + FLUSH_EVERY_NS;
    }
    if (unlikely(l->now >= l->next_sweep)) {
        l->sweep_left = l->n_cos;
        stacks_trim(l);
        l->next_sweep = l->now + SWEEP_EVERY_NS;
    }
    if (l->sweep_left > 0)
        co_sweep(l);
}

static void turn(struct loop *l)
{
    int64_t now = clock_now();
    l->stats.longest_turn_ns = MAX(l->stats.longest_turn_ns, now - l->now);
    int64_t ns = time_to_sleep(l, now);
    int n = wait_events(l, ns);
    must(n >= 0 || errno == EINTR);
    l->now = ns == 0 ? now : clock_now();
    l->event_at = 0;
    l->n_events = MAX(n, 0);
    l->stats.turns++;
    l->stats.events += (uint64_t)l->n_events;
    l->busy_since_flush |= l->n_events > 0 || l->n_ready > 0 || l->n_yielded > 0;
    io_dispatch_all(l);
    run_posts(l);
    timers_run(l);
    co_run_ready(l);
    keep_house(l);
}

int loop_run(struct loop *l)
{
    loop_bind(l);
    l->now = clock_now();
    while (!l->stopping)
        turn(l);
    co_cancel_all(l);
    l->stopping = false;
    l->leave_by = l->now + LEAVE_WITHIN_NS;
    while (l->n_cos > 0 && l->now < l->leave_by)
        turn(l);
    l->leave_by = NEVER_NS;
    log_flush();
    loop_current = NULL;
    return 0;
}

/* --- slots and statistics --- */

int loop_slot_new(void (*destroy)(void *))
{
    if (n_slots == LOOP_SLOTS)
        return -ENOSPC;
    slot_destroy[n_slots] = destroy;
    return n_slots++;
}

void *loop_slot_get(int slot)
{
    return loop_current->slots[slot];
}

void loop_slot_set(int slot, void *p)
{
    must(slot >= 0 && slot < n_slots);
    loop_current->slots[slot] = p;
}

void loop_stats(struct loop *l, struct loop_stats *ret)
{
    *ret = l->stats;
    ret->coroutines = l->n_cos;
    ret->runnable = l->n_ready + l->n_yielded;
    ret->timers = l->n_timers;
    l->stats.longest_turn_ns = 0;
}
