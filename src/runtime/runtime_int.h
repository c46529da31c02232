/*
 * The inside of the runtime: what loop.c, timer.c, io.c, co.c and stack.c share. Nobody outside
 * this folder includes it.
 *
 * Every field is the property of the loop's thread, except the post queue (post_lock) and `posted`.
 *
 *   struct loop ──ready/yielded──▶ struct co (FIFO of those that can run)
 *        │ ──active/resting──▶ struct co (all of them; resting = stack already given back)
 *        │ ──timers──▶ struct timer (4-ary heap, by `armed`)
 *        └─ stacks ──▶ struct co (dead; kept with their stack for the next spawn)
 *
 * A coroutine's struct co stands at the top of its own stack, in the page that running it touches
 * anyway, so that a parked one costs a single page of memory.
 */
#ifndef SF_RUNTIME_RUNTIME_INT_H
#define SF_RUNTIME_RUNTIME_INT_H

#include "runtime/co.h"
#include "runtime/io.h"
#include "runtime/loop.h"
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>

#if defined(__SANITIZE_ADDRESS__)
#define SF_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__)
#define SF_TSAN 1
#endif
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SF_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define SF_TSAN 1
#endif
#endif

#if defined(SF_ASAN) || defined(SF_TSAN)
#define STACK_BYTES ((size_t)256 * 1024)
#else
#define STACK_BYTES ((size_t)64 * 1024)
#endif

#define PAGE_BYTES      ((size_t)4096)
#define STACKS_KEPT     4096   /* free stacks that a loop keeps at most */
#define COROUTINES_MAX  131072 /* per loop; beyond it co_spawn() returns -EAGAIN */
#define EVENTS_PER_WAIT 256
#define ROUNDS_PER_TURN 4 /* of the run queue, before the kernel is asked for events again */
#define SWEEP_PER_TURN  64
#define SWEEP_EVERY_NS  (NS_PER_S / 4)
#define FLUSH_EVERY_NS  (100 * NS_PER_MS)
#define LOOP_SLOTS      32

enum co_state { CO_READY, CO_RUNNING, CO_PARKED, CO_DEAD };

struct co {
    struct list run; /* in ready or yielded, or in the pool of free stacks */
    void *ctx;       /* what ctx_switch() saved; valid while it does not run */
    struct co *back; /* who resumed it by co_spawn_now() and runs again at its first wait */
    struct loop *loop;
    uint8_t state; /* enum co_state */
    bool cancelled;
    bool resting; /* in loop->resting */
    uint16_t masked;
    int result;
    int64_t deadline;
    int64_t parked_at;
    struct timer timer; /* the end of its wait; armed lazily */
    const char *why;
    struct io *waits_on; /* in io_wait(); cleared by io_close() */
    const char *name;
    struct list all; /* in active or resting */
    void (*fn)(void *);
    void *arg;
    int64_t born_at;
    char *stack; /* lowest address of the mapping, its guard page */
    char *stack_top;
#ifdef SF_TSAN
    void *fiber;
#endif
};

struct heap_entry {
    int64_t armed;
    struct timer *timer;
};

struct post {
    struct post *next;
    void (*fn)(void *);
    void *arg;
};

struct loop {
    /* hot: every switch and every turn */
    struct co *current; /* NULL = the loop itself runs */
    int64_t now;
    void *ctx;       /* the loop's own context while a coroutine runs */
    struct co *dead; /* ended, still to be put away by whoever runs next */
    struct list ready, yielded;
    unsigned n_ready, n_yielded;
    bool stopping;
    int epoll_fd, wake_fd;

    struct heap_entry *timers;
    uint32_t n_timers, timers_room;

    struct list active, resting;
    unsigned n_cos;

    /* free stacks, warmest first */
    struct list stacks;
    unsigned n_stacks, stacks_low; /* the least that lay unused since the last sweep */
    unsigned stacks_made;          /* ever; gives the colour of the next */

    struct io *dispatching; /* whose callbacks run; NULL once it was closed */
    int event_at, n_events;
    struct epoll_event events[EVENTS_PER_WAIT];

    bool busy_since_flush;
    int64_t next_flush, next_sweep;
    unsigned sweep_left;
    int64_t leave_by; /* after loop_stop(): when loop_run() returns at the latest */

    pthread_mutex_t post_lock;
    struct post *post_first, **post_last;
    atomic_bool posted;

    unsigned index;
    void *slots[LOOP_SLOTS];
    struct loop_stats stats;

    /* sanitizers want to know the bounds of the thread's own stack */
    char *main_stack;
    size_t main_stack_bytes;
#ifdef SF_TSAN
    void *main_fiber;
#endif
};

/* initial-exec: one instruction to read, as these libraries always end in an executable. */
extern _Thread_local struct loop *loop_current __attribute__((tls_model("initial-exec")));

/* switch_*.S, switch_ucontext.c. ctx_make() lays a context on a fresh stack that enters
 * entry(arg), which never returns. ctx_switch() saves the caller into *save and goes on in to. */
void *ctx_make(char *stack_low, char *stack_top, void (*entry)(void *), void *arg);
void ctx_switch(void **save, void *to);
char *ctx_stack_pointer(void *ctx); /* nothing of use lies below it */

/* stack.c */
struct co *stack_get(struct loop *l);
void stack_put(struct loop *l, struct co *co);
void stack_give_back(struct co *co, char *sp);
void stacks_trim(struct loop *l);
void stacks_free(struct loop *l);

/* timer.c */
void timers_run(struct loop *l);
void timers_free(struct loop *l);

/* co.c */
void co_run_ready(struct loop *l);
void co_sweep(struct loop *l);
void co_cancel_all(struct loop *l);
void co_drop_all(struct loop *l);
/* co_spawn(), with the n bytes at arg copied to the new stack: fn gets the copy. */
int co_spawn_copy(const char *name, void (*fn)(void *), const void *arg, size_t n, struct co **ret);

/* io.c */
void io_dispatch_all(struct loop *l);

#endif
