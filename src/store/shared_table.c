/*
 * The table of counters: chained, under a keyed hash since callers' names end up in it, and grown
 * by linear hashing: each new counter opens one more bucket, into which it splits an old one. So no
 * call pays for a rehash of all.
 *
 * The sweep goes round in small steps and frees counters that have expired, and those that hold
 * nothing and were not used for a while; not those that somebody waits at or that Redis still has
 * to hear of. All of it under the shared store's lock.
 */
#include "store/shared_int.h"
#include <errno.h>
#include <stdlib.h>

#define FIRST_BUCKETS 256

int counters_init(struct counter_table *t)
{
    *t = (struct counter_table){.room = FIRST_BUCKETS, .n_buckets = FIRST_BUCKETS};
    t->bucket = calloc(t->room, sizeof(struct counter *));
    return t->bucket ? 0 : -ENOMEM;
}

void counters_free(struct counter_table *t)
{
    for (size_t i = 0; i < t->n_buckets; i++)
        for (struct counter *c = t->bucket[i], *next; c; c = next) {
            next = c->next;
            free(c);
        }
    free(t->bucket);
    *t = (struct counter_table){0};
}

/* The highest power of two that is not above the number of buckets. */
static size_t level(const struct counter_table *t)
{
    return (size_t)1 << (63 - __builtin_clzll(t->n_buckets));
}

static struct counter **bucket_of(const struct counter_table *t, uint64_t hash)
{
    size_t l = level(t), i = hash & (2 * l - 1);
    return &t->bucket[i < t->n_buckets ? i : i & (l - 1)];
}

struct counter *counter_find(struct counter_table *t, struct str name, uint64_t hash)
{
    struct counter *c = *bucket_of(t, hash);
    while (c && (c->hash != hash || !str_eq(counter_name(c), name)))
        c = c->next;
    return c;
}

/* One more bucket. Without memory the chains just get longer. */
static void grow(struct counter_table *t)
{
    if (t->n_buckets == t->room) {
        struct counter **p = reallocarray(t->bucket, 2 * t->room, sizeof *p);
        if (!p)
            return;
        t->bucket = p;
        t->room *= 2;
    }
    size_t l = level(t);
    struct counter **from = &t->bucket[t->n_buckets - l], **to = &t->bucket[t->n_buckets];
    *to = NULL;
    t->n_buckets++;
    while (*from) {
        struct counter *c = *from;
        if (c->hash & l) {
            *from = c->next;
            c->next = *to;
            *to = c;
        } else {
            from = &c->next;
        }
    }
}

struct counter *counter_make(struct counter_table *t, struct str name, uint64_t hash)
{
    if (t->n >= SHARED_COUNTERS_MAX || name.n == 0 || name.n > SHARED_KEY_BYTES)
        return NULL;
    struct counter *c = calloc(1, sizeof *c + name.n);
    if (!c)
        return NULL;
    c->hash = hash;
    c->name_n = (uint32_t)name.n;
    memcpy(c->name, name.p, name.n);
    list_init(&c->waiters);
    list_init(&c->dirty);
    list_init(&c->watched);
    list_init(&c->fill);
    if (t->n >= t->n_buckets)
        grow(t);
    struct counter **b = bucket_of(t, hash);
    c->next = *b;
    *b = c;
    t->n++;
    return c;
}

bool counters_walk(struct counter_table *t, size_t *at, size_t n,
    void (*visit)(void *, struct counter *), void *ctx)
{
    for (; n > 0 && *at < t->n_buckets; n--, (*at)++)
        for (struct counter *c = t->bucket[*at]; c; c = c->next)
            visit(ctx, c);
    return *at < t->n_buckets;
}

/* The wall clock may have jumped, and may jump back: what has expired stays for a while. */
static bool may_go(struct counter *c, int64_t wall, int64_t now)
{
    bool expired = c->expires != 0 && c->expires <= wall;
    c->gone_at = !expired ? 0 : c->gone_at ? c->gone_at : now;
    if (!list_empty(&c->waiters) || c->queued || c->unanswered > 0 || c->pins > 0)
        return false;
    if (expired)
        return now - c->gone_at >= SHARED_EXPIRED_NS;
    return c->used == 0 && c->held == 0 && wall - c->touched > SHARED_IDLE_NS;
}

void counters_sweep(struct counter_table *t, size_t n, int64_t wall, int64_t now,
    void (*visit)(void *, struct counter *), void *ctx)
{
    for (; n > 0; n--) {
        if (t->swept >= t->n_buckets)
            t->swept = 0;
        struct counter **at = &t->bucket[t->swept++];
        while (*at) {
            struct counter *c = *at;
            if (may_go(c, wall, now)) {
                *at = c->next;
                t->n--;
                free(c);
                continue;
            }
            if (visit)
                visit(ctx, c);
            at = &c->next;
        }
    }
}
