/*
 * What a node grants while Redis is away, SHARED_DOWN_LOCAL: see the head of shared.h for the rule.
 * The part at the begin of an outage is noted per counter, when it is first judged or changed.
 */
#include "store/redis_int.h"

static void note_outage(struct redis *r, struct counter *c)
{
    if (c->outage == r->outage)
        return;
    c->outage = r->outage;
    c->outage_own = c->used + c->held;
}

bool redis_share_fits(struct shared *s, struct counter *c, int64_t amount, int64_t limit)
{
    struct redis *r = s->redis;
    if (atomic_load_explicit(&r->up, memory_order_relaxed))
        return true;
    note_outage(r, c);
    int64_t left = limit - c->outage_own - c->others_used - c->others_held;
    int64_t share = MAX(left, 0) / atomic_load_explicit(&r->nodes, memory_order_relaxed);
    return c->used + c->held + amount <= c->outage_own + share;
}

void redis_before_change(struct shared *s, struct counter *c)
{
    if (!atomic_load_explicit(&s->redis->up, memory_order_relaxed))
        note_outage(s->redis, c);
}

void redis_after_change(struct shared *s, struct counter *c, int64_t used, int64_t held)
{
    struct redis *r = s->redis;
    if (!c->remote || !atomic_load_explicit(&r->up, memory_order_relaxed) || (!used && !held))
        return;
    c->unsent_used += used;
    c->unsent_held += held;
    counter_queue(r, c);
}

void redis_watch(struct shared *s, struct counter *c)
{
    struct redis *r = s->redis;
    if (list_empty(&c->watched))
        list_push_back(&r->watched, &c->watched);
    atomic_store_explicit(&r->need, true, memory_order_relaxed);
}

void redis_renew(struct shared *s, struct counter *c)
{
    struct redis *r = s->redis;
    if (c->remote && c->kind == SHARED_LEASE && c->held > 0 &&
        clock_now() - c->written > REDIS_RENEW_NS)
        counter_queue(r, c);
}
