/*
 * struct loop: one thread's event loop. It owns an epoll instance, the timers and the coroutines
 * born on it. Nothing of a loop is touched from another thread except through loop_post().
 *
 * The turn: epoll_wait → io callbacks (which only make coroutines runnable or spawn them) → posted
 * functions → due timers → the run queue, at most four times through, so that those woken by others
 * need no further turn → log_flush/sweep when due.
 */
#ifndef SF_RUNTIME_LOOP_H
#define SF_RUNTIME_LOOP_H

#include "base/clock.h"
#include "base/list.h"
#include <stdbool.h>
#include <stdint.h>

struct loop;
struct co;

int loop_new(unsigned index, struct loop **ret);
/* After loop_run() returned and offload_stop(): runs what is still posted, frees the slots and all.
 */
void loop_free(struct loop *l);
/* Makes l the loop of the calling thread, for set-up before its loop_run(), which does the same.
 * Until then loop_post() is the only way to put anything on a loop. */
void loop_bind(struct loop *l);
/* Runs until loop_stop(); then cancels the coroutines that are left and goes on for up to a second,
 * until they have ended. Returns 0. */
int loop_run(struct loop *l);
void loop_stop(struct loop *l); /* from its own thread; use loop_post from others */
struct loop *loop_self(void);   /* the calling thread's loop; NULL outside of one */
unsigned loop_index(const struct loop *l);
/* The time read at the start of this turn: cheap, at most one turn old. The clock outside of a
 * loop. */
int64_t loop_now(void);

/* Runs fn(arg) on the loop's thread, in order of posting. Callable from any thread.
 * 0 or -ENOMEM. */
int loop_post(struct loop *l, void (*fn)(void *), void *arg);

/* Per-thread slots for modules (http client pool, buffer pool, ...): index from
 * loop_slot_new(), called once at start-up, before any loop runs. */
int loop_slot_new(void (*destroy)(void *)); /* returns the slot or -ENOSPC (32 slots) */
void *loop_slot_get(int slot);
void loop_slot_set(int slot, void *p);

/* A timer that calls back in loop context (must not suspend). Lazy: moving its due time later
 * costs nothing until it fires, and so does timer_set(t, NEVER_NS), which switches it off. Owner
 * embeds it; timer_clear() before the memory goes. */
struct timer {
    int64_t due;     /* when it should fire; NEVER_NS = not set */
    int64_t armed;   /* what the heap holds; <= due */
    int32_t heap_at; /* index in the heap, -1 = not in it */
    void (*fire)(struct timer *);
};

void timer_init(struct timer *t, void (*fire)(struct timer *));
void timer_set(struct timer *t, int64_t due);
void timer_clear(struct timer *t);

struct loop_stats {
    uint64_t turns, events, coroutines, runnable, timers, posts;
    int64_t longest_turn_ns; /* since the last call */
};
void loop_stats(struct loop *l, struct loop_stats *ret); /* own thread */

#endif
