/*
 * The inside of the shared store: what its files have in common. Nobody outside of them includes
 * it.
 *
 *   struct shared ── table ──▶ struct counter (this node's part, and what was last seen of others)
 *        │ ── kv ──▶ values in the process        │ waiters ──▶ struct waiter, on coroutines'
 * stacks │ ── subs ──▶ struct subscription ──▶ messages still to be delivered └─ redis ──▶ struct
 * redis, NULL in the process
 *
 * `lock` guards the table, all counters and what redis_int.h says; kv and subs have locks of their
 * own. None is held over a wait. Counters are freed by the sweep alone, when nothing points at
 * them.
 */
#ifndef SF_STORE_SHARED_INT_H
#define SF_STORE_SHARED_INT_H

#include "base/buf.h"
#include "base/list.h"
#include "base/macros.h"
#include "base/map.h"
#include "runtime/co.h"
#include "runtime/loop.h"
#include "store/shared.h"
#include "store/shared_lock.h"
#include <stdatomic.h>

#define SHARED_IDLE_NS     (10 * NS_PER_S) /* a counter of nothing is forgotten after so long */
#define SHARED_POLL_NS     (250 * NS_PER_MS)
#define SHARED_TICK_NS     NS_PER_S
#define SHARED_EXPIRED_NS  (120 * NS_PER_S) /* so long an expired counter is kept */
#define SHARED_SWEEP_TICKS 8                /* ticks in which the sweep comes round */

/* --- counters --------------------------------------------------------------------------------- */

struct counter {
    struct counter *next; /* in its bucket */
    uint64_t hash;
    int64_t used, held;               /* this node's part */
    int64_t others_used, others_held; /* of the other nodes, as last seen */
    int64_t expires;                  /* wall ns; 0 = never */
    int64_t touched;                  /* wall ns of the last use */
    int64_t gone_at;                  /* mono ns when a sweep first found it expired; 0 = alive */
    struct list waiters;
    uint32_t settles; /* counts them, so that a waiter can tell that it has missed one */
    uint32_t mark;    /* of the call that named it last */
    uint32_t name_n;
    uint8_t kind; /* enum shared_counter_kind */

    /* With Redis only, see redis_int.h. */
    bool remote;                      /* has a limit, or had: its part is kept in Redis too */
    bool queued;                      /* in redis->dirty */
    bool there;                       /* Redis was seen to have its part */
    bool lost;                        /* its part vanished while commands were under way */
    bool filling;                     /* the fill function is asked for it, or will be */
    uint32_t unanswered;              /* commands under way that name it */
    uint32_t pins;                    /* calls and fills that point at it */
    int64_t unsent_used, unsent_held; /* changes that Redis has not been told */
    int64_t expires_sent;
    int64_t written;     /* mono ns when Redis was last told to keep it on */
    int64_t fill_after;  /* mono ns: after a failed fill, not before then */
    uint64_t generation; /* of the link in which the part was first written */
    struct list dirty, watched, fill;
    uint64_t outage; /* in which outage_own, the part at its begin, was noted */
    int64_t outage_own;

    char name[];
};

struct counter_table {
    struct counter **bucket;
    size_t room, n_buckets; /* allocated; in use, which grows one at a time */
    size_t n, swept;
};

#define SHARED_COUNTERS_MAX ((size_t)1 << 20)

static inline struct str counter_name(const struct counter *c)
{
    return str_at(c->name, c->name_n);
}

int counters_init(struct counter_table *t);
void counters_free(struct counter_table *t);
struct counter *counter_find(struct counter_table *t, struct str name, uint64_t hash);
struct counter *counter_make(struct counter_table *t, struct str name, uint64_t hash);
/* Calls visit for the counters of up to n buckets from *at on; false when the end was reached. */
bool counters_walk(struct counter_table *t, size_t *at, size_t n,
    void (*visit)(void *, struct counter *), void *ctx);
/* Looks at n buckets in turn and frees what may go. visit (may be NULL) sees those that stay. */
void counters_sweep(struct counter_table *t, size_t n, int64_t wall, int64_t now,
    void (*visit)(void *, struct counter *), void *ctx);

/* a + b, kept within ±SHARED_NUMBER_MAX. */
static inline int64_t sum_within(int64_t a, int64_t b)
{
    int64_t sum;
    if (__builtin_add_overflow(a, b, &sum))
        sum = b > 0 ? SHARED_NUMBER_MAX : -SHARED_NUMBER_MAX;
    return MAX(MIN(sum, SHARED_NUMBER_MAX), -SHARED_NUMBER_MAX);
}

/* --- waking across threads -------------------------------------------------------------------- */

/* A coroutine that sleeps until another thread tells it: lives on the sleeper's stack, which it may
 * not leave before it was told, once it is out of all lists. */
struct sleeper {
    struct list at;
    struct loop *loop;
    struct co *co;
    bool told; /* by its own thread */
};

void sleeper_init(struct sleeper *w);
void sleeper_tell(struct sleeper *w);                   /* any thread, once */
void sleeper_sleep(struct sleeper *w, const char *why); /* until told, whatever happens */

struct waiter {
    struct sleeper sleeper; /* at: in counter->waiters */
    bool chosen;            /* taken out of the list, will be told; under the lock */
    int64_t amount, limit;  /* what it was refused; limit SHARED_NO_LIMIT = not known */
};

/* Moves the waiters that fit by now to `out`; under the lock. Then, without it, wake them. */
void waiters_choose(struct shared *s, struct counter *c, struct list *out);
void waiters_wake(struct list *out);
/* What shared_wait_settle() of the same coroutine will want to know of a refusal. */
void refusal_note(
    const struct shared *s, const struct shared_row *row, uint64_t hash, uint32_t settles);

/* --- judging and changing --------------------------------------------------------------------- */

struct row_at {
    struct counter *c;
    int64_t used, held; /* as they were */
};

/* Under the lock; hash[i] of each name. Finds or makes the counters: 0, -ENOMEM, -EINVAL
 * when a name stands twice. */
int rows_find(struct shared *s, const struct shared_row *rows, const uint64_t *hash, unsigned n,
    struct counter **at);
/* By what this node knows itself: its own part, and of the others what was last seen. Under the
 * lock. 0, -EDQUOT, -EHOSTDOWN. */
int rows_judge(
    struct shared *s, struct shared_row *rows, unsigned n, struct counter **at, unsigned *ret_row);
void row_sums(const struct counter *c, struct shared_row *row);
bool counter_fits(struct shared *s, struct counter *c, int64_t amount, int64_t limit);
/* Changes this node's part, and remembers to tell Redis. Under the lock. */
void part_add(struct shared *s, struct counter *c, int64_t used, int64_t held);
void counter_touch(struct shared *s, struct counter *c, int64_t expires_at, int64_t wall);

/* --- key-value in the process ------------------------------------------------------------------
 */

struct kv_entry;

struct kv {
    struct shared_lock lock;
    struct map entries;
    struct kv_entry **heap; /* by expiry, the next one first */
    size_t n, room, bytes;
};

void kv_init(struct kv *kv);
void kv_free(struct kv *kv);
int kv_get(struct kv *kv, struct str key, struct buf *out);
int kv_set(struct kv *kv, struct str key, struct str value, int64_t ttl, bool only_new);
int kv_del(struct kv *kv, struct str key);

#define SHARED_VALUE_BYTES ((size_t)1 << 20)
#define SHARED_KEY_BYTES   ((size_t)512) /* of a counter's name or a key */

/* --- messages --------------------------------------------------------------------------------- */

#define SHARED_SUBS_MAX 16
#define SHARED_QUEUE_BYTES                                                                         \
    ((size_t)16 << 20) /* of one subscription; beyond it messages are lost                         \
                        */

struct subscription {
    struct shared *s;
    char *channel;
    shared_message_fn *fn;
    void *ctx;
    struct list queue;
    size_t bytes;
    bool running; /* a coroutine delivers, or is about to */
};

/* To this node's subscriptions; any thread. */
void bus_deliver(struct shared *s, struct str channel, struct str message);
void bus_free(struct shared *s);

/* --- the whole -------------------------------------------------------------------------------- */

struct redis;

struct shared {
    struct shared_lock lock;
    struct counter_table table;
    uint32_t marks;
    struct redis *redis;
    enum shared_down down;

    struct kv kv;

    struct shared_lock bus_lock;
    struct subscription subs[SHARED_SUBS_MAX];
    unsigned n_subs;

    struct loop *owner; /* NULL before shared_start() and after shared_stop(); under bus_lock */
    struct timer tick;
    shared_fill_fn *fill;
    void *fill_ctx;
    void (*on_link)(void *ctx, bool up, const char *why);
    void *on_link_ctx;
};

#endif
