/*
 * Waiting for a settle, and being told across threads.
 *
 * A counter's waiters stand in a list, first come first, each with the amount and limit that it was
 * last refused with, which the refusal left in a note of its thread. So a settle wakes those, in
 * their order, for whom there is room now, and no others. Where no note is found a waiter is always
 * woken. As those that are woken may not take what they were woken for, each looks again by itself
 * after a while.
 *
 * A settle between the refusal and the wait is not missed: the note also holds how many settles the
 * counter had seen.
 *
 * A waiter lies on its coroutine's stack. Who takes it out of the list must tell it, on its own
 * thread; and it does not leave before it was told. Waiting suspends, telling does not.
 */
#include "store/redis_int.h"
#include "store/shared_int.h"
#include <errno.h>

/* --- telling ---------------------------------------------------------------------------------- */

void sleeper_init(struct sleeper *w)
{
    *w = (struct sleeper){.loop = loop_self(), .co = co_self()};
    must(w->loop && w->co);
    list_init(&w->at);
}

static void tell_here(void *arg)
{
    struct sleeper *w = arg;
    w->told = true;
    co_wake(w->co, 0);
}

void sleeper_tell(struct sleeper *w)
{
    if (w->loop == loop_self())
        tell_here(w);
    else
        must(loop_post(w->loop, tell_here, w) == 0);
}

void sleeper_sleep(struct sleeper *w, const char *why)
{
    if (w->told)
        return;
    int64_t before = co_set_deadline(NEVER_NS);
    co_mask_cancel();
    while (!w->told)
        co_park(why, NEVER_NS);
    co_unmask_cancel();
    co_set_deadline(before);
}

/* --- waiters ---------------------------------------------------------------------------------- */

static _Thread_local struct {
    const struct shared *s;
    const struct co *co;
    uint64_t hash;
    int64_t amount, limit;
    uint32_t settles;
} note;

void refusal_note(
    const struct shared *s, const struct shared_row *row, uint64_t hash, uint32_t settles)
{
    note.s = s;
    note.co = co_self();
    note.hash = hash;
    note.amount = row->amount;
    note.limit = row->limit;
    note.settles = settles;
}

void waiters_choose(struct shared *s, struct counter *c, struct list *out)
{
    int64_t promised = 0;
    list_each(&c->waiters, it)
    {
        struct waiter *w = list_entry(it, struct waiter, sleeper.at);
        if (w->limit != SHARED_NO_LIMIT) {
            int64_t sum = sum_within(promised, w->amount);
            if (!counter_fits(s, c, sum, w->limit))
                continue;
            promised = sum;
        }
        list_remove(it);
        list_push_back(out, it);
        w->chosen = true;
    }
}

void waiters_wake(struct list *out)
{
    for (struct list *it; (it = list_pop_front(out));)
        sleeper_tell(&list_entry(it, struct waiter, sleeper.at)->sleeper);
}

/* Puts w into the line; false when there is no need to wait, or no memory to wait with. */
static bool stand_in_line(struct shared *s, struct str name, struct waiter *w)
{
    uint64_t hash = map_hash(name);
    bool noted = note.s == s && note.co == w->sleeper.co && note.hash == hash;
    w->amount = noted ? note.amount : 0;
    w->limit = noted ? note.limit : SHARED_NO_LIMIT;
    note.s = NULL;
    shared_lock(&s->lock);
    struct counter *c = counter_find(&s->table, name, hash);
    if (!c && (c = counter_make(&s->table, name, hash)))
        c->touched = clock_wall();
    bool waits = c && !(noted && c->settles != note.settles);
    if (waits) {
        list_push_back(&c->waiters, &w->sleeper.at);
        if (s->redis)
            redis_watch(s, c);
    }
    shared_unlock(&s->lock);
    return waits;
}

/* Whether w was chosen meanwhile; else it is out of the line now. */
static bool leave_line(struct shared *s, struct waiter *w)
{
    shared_lock(&s->lock);
    bool chosen = w->chosen;
    if (!chosen)
        list_remove(&w->sleeper.at);
    shared_unlock(&s->lock);
    return chosen;
}

int shared_wait_settle(struct shared *s, struct str name, int64_t deadline)
{
    struct waiter w = {0};
    sleeper_init(&w.sleeper);
    if (!stand_in_line(s, name, &w)) {
        int r = co_park("settle", loop_now()); /* -ECANCELED, or at once */
        return r == -ETIMEDOUT && deadline > loop_now() ? 0 : r;
    }
    int r = co_park("settle", MIN(deadline, loop_now() + SHARED_POLL_NS));
    if (!w.sleeper.told && leave_line(s, &w))
        sleeper_sleep(&w.sleeper, "settle");
    if (r == -ECANCELED)
        return r;
    return r == 0 || w.sleeper.told || loop_now() < MIN(deadline, co_deadline()) ? 0 : -ETIMEDOUT;
}
