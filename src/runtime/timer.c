/*
 * Timers: a 4-ary min-heap of (instant, timer) pairs, so that comparing touches only the heap's own
 * array. A timer's place in the heap goes by `armed`, which may be earlier than `due`: pushing a
 * deadline back, what nearly every read of a connection does, writes one field. When an armed
 * instant comes and the timer is not due yet, it is armed anew.
 *
 * Owner: the loop's thread. Nothing here suspends.
 */
#include "runtime/runtime_int.h"
#include <stdlib.h>

static void place(struct loop *l, uint32_t at, struct heap_entry e)
{
    l->timers[at] = e;
    e.timer->heap_at = (int32_t)at;
}

static void sift_up(struct loop *l, uint32_t at, struct heap_entry e)
{
    while (at > 0) {
        uint32_t parent = (at - 1) / 4;
        if (l->timers[parent].armed <= e.armed)
            break;
        place(l, at, l->timers[parent]);
        at = parent;
    }
    place(l, at, e);
}

static void sift_down(struct loop *l, uint32_t at, struct heap_entry e)
{
    for (;;) {
        uint32_t child = 4 * at + 1, end = MIN(child + 4, l->n_timers), least = child;
        if (child >= l->n_timers)
            break;
        for (uint32_t i = child + 1; i < end; i++)
            if (l->timers[i].armed < l->timers[least].armed)
                least = i;
        if (l->timers[least].armed >= e.armed)
            break;
        place(l, at, l->timers[least]);
        at = least;
    }
    place(l, at, e);
}

static void resift(struct loop *l, uint32_t at, struct heap_entry e)
{
    if (at > 0 && l->timers[(at - 1) / 4].armed > e.armed)
        sift_up(l, at, e);
    else
        sift_down(l, at, e);
}

static void heap_remove(struct loop *l, struct timer *t)
{
    uint32_t at = (uint32_t)t->heap_at;
    must(at < l->n_timers && l->timers[at].timer == t);
    t->heap_at = -1;
    t->armed = NEVER_NS;
    struct heap_entry last = l->timers[--l->n_timers];
    if (at < l->n_timers)
        resift(l, at, last);
}

static void heap_insert(struct loop *l, struct timer *t)
{
    if (l->n_timers == l->timers_room) {
        uint32_t room = l->timers_room ? 2 * l->timers_room : 256;
        struct heap_entry *grown = realloc(l->timers, room * sizeof *grown);
        if (!grown) /* 16 bytes a timer: without them no deadline holds, so there is no going on */
            panic("no memory for %u timers", room);
        l->timers = grown;
        l->timers_room = room;
    }
    sift_up(l, l->n_timers++, (struct heap_entry){.armed = t->armed, .timer = t});
}

void timer_init(struct timer *t, void (*fire)(struct timer *))
{
    *t = (struct timer){.due = NEVER_NS, .armed = NEVER_NS, .heap_at = -1, .fire = fire};
}

void timer_set(struct timer *t, int64_t due)
{
    t->due = due;
    if (due >= t->armed)
        return;
    struct loop *l = loop_current;
    must(l);
    t->armed = due;
    if (t->heap_at < 0)
        heap_insert(l, t);
    else
        sift_up(l, (uint32_t)t->heap_at, (struct heap_entry){.armed = due, .timer = t});
}

void timer_clear(struct timer *t)
{
    t->due = NEVER_NS;
    if (t->heap_at < 0)
        return;
    must(loop_current);
    heap_remove(loop_current, t);
}

/* Takes the first timer, whose armed instant has come, out of the heap; or arms it anew when it was
 * moved later, even to an instant that has come, too, so that timers fire in the order of `due`. */
static void timer_due(struct loop *l, struct timer *t)
{
    if (t->due > t->armed && t->due != NEVER_NS) {
        t->armed = t->due;
        sift_down(l, 0, (struct heap_entry){.armed = t->due, .timer = t});
        return;
    }
    bool fires = t->due <= l->now;
    heap_remove(l, t);
    t->due = NEVER_NS;
    if (fires)
        t->fire(t);
}

/* Fires what is due at l->now. The bound (each may be armed anew once and fire once) lets the turn
 * end when a callback sets its own timer to an instant that has passed. */
void timers_run(struct loop *l)
{
    for (uint32_t n = 2 * l->n_timers; n > 0 && l->n_timers > 0 && l->timers[0].armed <= l->now;
         n--)
        timer_due(l, l->timers[0].timer);
}

void timers_free(struct loop *l)
{
    free(l->timers);
}
