/*
 * The shared store: what must be fast and common to all nodes of a gateway: counters that are
 * reserved and settled atomically, key-value with a time to live, publish/subscribe. In the process
 * by default, or in Redis or Valkey, which makes several processes one gateway.
 *
 * Counters. A counter is a name and two sums: what was used and what is held (reserved, not
 * settled). A node adds only to its own part of a counter, and keeps that part itself; Redis holds
 * the parts of all nodes side by side in one hash per counter, and what counts is their sum. So a
 * node that lost its connection, or a Redis that lost its memory, is made whole again by writing
 * the part as it is now, which may be done twice without harm; and while Redis is away a node goes
 * on with its own part, the last sums it saw of the others, and its share of what was left
 * (SMARTFLOW_SHARED_DOWN). A node that crashed leaves what it held as used, until it is back and
 * writes its part anew. In the process the same table is all there is, under one short lock.
 *
 * While Redis is away (SHARED_DOWN_LOCAL) a node may hold, beyond its part at the begin of the
 * outage, (limit − the sum of all as it last saw it) ÷ the nodes it last saw, rounded down; what it
 * frees of its part it may use again. So all nodes together stay within the limit, as long as the
 * nodes seen are all there are and each had seen the sum as it was when the outage began. What
 * others took after a node's last call on a counter is what that node may grant too much of, at
 * most its share. When Redis is back all parts are written as they are: the sums are exact again.
 *
 * When Redis has lost its memory the nodes notice within a second and write their parts; for 3 s
 * after that a node assumes of the others no less than it last saw. Redis must not evict keys
 * (maxmemory-policy noeviction): the part of an idle node would be missing until its next call.
 *
 * In Redis all counters of one reserve lie in one hash slot: their names carry the same tag in
 * braces, which the caller puts there ("b:{org}:…").
 *
 * What suspends: shared_reserve and the key-value calls when Redis is behind them, for at most
 * SHARED_WAIT_NS. Nothing here fails because Redis is away: see each call.
 */
#ifndef SF_STORE_SHARED_H
#define SF_STORE_SHARED_H

#include "base/clock.h"
#include "base/secret.h"
#include "base/str.h"
#include <stdint.h>

struct shared;

enum shared_down { SHARED_DOWN_LOCAL, SHARED_DOWN_CLOSED };

struct shared_settings {
    struct secret redis_url; /* redis[s]://[user:password@]host:port[/db]; empty = in the process */
    struct str node;         /* this node's id: stays the same over restarts */
    struct str prefix;       /* of every name in Redis; "sf" */
    enum shared_down down;
    int64_t answer_ns; /* what Redis may take to answer before it counts as away, at most
                        * SHARED_WAIT_NS; 0 = that */
};

/* Redis that does not answer at start: -EHOSTDOWN with err filled. Call before the loops run; then
 * shared_start() on the loop that shall own the connection (the first). */
int shared_open(const struct shared_settings *set, struct shared **ret, char *err, size_t err_n);
int shared_start(struct shared *s);
void shared_stop(struct shared *s);  /* on the same loop: closes connections */
void shared_close(struct shared *s); /* after the loops */

bool shared_is_remote(const struct shared *s);
bool shared_is_up(const struct shared *s);          /* true in the process */
unsigned shared_nodes_seen(const struct shared *s); /* at least 1 */

#define SHARED_NO_LIMIT INT64_MAX
/* The largest sum: what a double holds exactly, as Redis compares in those. Sums stop there, a
 * limit beyond it counts as this one, and an amount beyond it is refused wherever there is a limit.
 */
#define SHARED_NUMBER_MAX (((int64_t)1 << 53) - 1)
#define SHARED_ROWS_MAX   48
#define SHARED_WAIT_NS    (250 * NS_PER_MS)

enum shared_counter_kind {
    SHARED_SUM,   /* money, tokens, requests: what a crashed node held stays */
    SHARED_LEASE, /* calls in flight: a node's part ends 30 s after the node was last heard of */
};

struct shared_row {
    struct str name;
    enum shared_counter_kind kind;
    int64_t amount;     /* to hold, >= 0 */
    int64_t limit;      /* used + held + amount must not exceed it; SHARED_NO_LIMIT = only count */
    int64_t expires_at; /* wall ns when the counter may be forgotten; 0 = never */
    /* out, where limit is set: the sums after the call, or those that refused it */
    int64_t used, held;
};

/* Holds all rows' amounts, or none. 0; -EDQUOT: *ret_row is the first that refused; -EHOSTDOWN:
 * Redis is away and SHARED_DOWN_CLOSED; -EINVAL: a name stands twice, is empty or longer than 512
 * bytes; -ENOMEM, also when there are a million names. Rows without a limit are only kept in this
 * node's part. With Redis, rows with a limit need a coroutine; the call is not cancelled in the
 * middle, and the coroutine's deadline does not count. */
int shared_reserve(struct shared *s, struct shared_row *rows, unsigned n, unsigned *ret_row);

/* What becomes of amounts held: held -= release, used += use. Never waits, never fails: in Redis
 * mode it is queued and sent in a pipeline. */
struct shared_change {
    struct str name;
    enum shared_counter_kind kind;
    int64_t release, use;
    int64_t expires_at;
};
void shared_settle(struct shared *s, const struct shared_change *changes, unsigned n);

/* Waits until something was settled in the counter that another call waits for, or until the
 * deadline: 0, -ETIMEDOUT, -ECANCELED. For calls that only reservations of others keep out:
 * reserve, on -EDQUOT wait for that row's name, and reserve again. First come first served among
 * those for whom there is room by then; how much is wanted is known from what this coroutine was
 * refused last, and a settle between the refusal and the wait is not missed. May return 0 early. In
 * Redis mode: woken by settles of this node, and when the sums, asked every 50 ms, leave room. */
int shared_wait_settle(struct shared *s, struct str name, int64_t deadline);

/* This node's own part (and in the process the whole). seed sets what it used, at start, from the
 * ledger; with Redis it is written there too, in place of what a crash left. */
void shared_part(struct shared *s, struct str name, int64_t *ret_used, int64_t *ret_held);
void shared_seed(struct shared *s, struct str name, int64_t used, int64_t expires_at);
/* The sums over all nodes, asking Redis where it is there. 0, -EHOSTDOWN (own part and what was
 * last seen). */
int shared_total(struct shared *s, struct str name, int64_t *ret_used, int64_t *ret_held);
/* The same of a counter that no limit is on, which Redis therefore does not hold: this node's part
 * and what the fill function knows of the others', which may be some seconds behind. Held is this
 * node's alone. 0 or the fill function's error. */
int shared_sum(struct shared *s, struct str name, int64_t *ret_used, int64_t *ret_held);
/* Who fills in for nodes that do not run, when Redis has lost its memory or a counter gets its
 * first limit: called on the owning loop, may suspend; answers with the number of other nodes'
 * parts (their names need to last until it next suspends), or -errno: then it is asked again after
 * a second. Only for SHARED_SUM. A reserve waits for it, but for SHARED_WAIT_NS at most. */
struct shared_part_of {
    struct str node;
    int64_t used;
};
typedef int shared_fill_fn(void *ctx, struct str name, struct shared_part_of *parts, unsigned max);
void shared_set_fill(struct shared *s, shared_fill_fn *fn, void *ctx);

/* Key-value. In the process: bounded by SHARED_KV_BYTES, oldest expiry out first. Values up to 1
 * MiB. get: 1 found (value appended to out), 0 not found, -EHOSTDOWN. set: 0, -EHOSTDOWN; with
 * only_new -EEXIST; -EINVAL: no ttl, or key or value too long (512 bytes, 1 MiB). ttl in ns, > 0.
 */
struct buf;
int shared_get(struct shared *s, struct str key, struct buf *out);
int shared_set(struct shared *s, struct str key, struct str value, int64_t ttl, bool only_new);
int shared_del(struct shared *s, struct str key);
#define SHARED_KV_BYTES ((size_t)64 << 20)

/* Publish/subscribe, to all nodes, this one too; at most once (what must not be missed is in the
 * store as well). Subscriptions are made before shared_start(); fn runs in a coroutine on the
 * owning loop, one message of a subscription after the other. This node's own get a message even
 * when Redis is away. publish never waits. */
typedef void shared_message_fn(void *ctx, struct str message);
int shared_subscribe(struct shared *s, const char *channel, shared_message_fn *fn, void *ctx);
void shared_publish(struct shared *s, const char *channel, struct str message);
/* Called on the owning loop when Redis comes (back) or goes, at most once a second; log and metric
 * are written by shared's owner (gateway). A Redis that runs no scripts counts as down, though
 * key-value and messages work. Set before shared_start(). */
void shared_on_link(struct shared *s, void (*fn)(void *ctx, bool up, const char *why), void *ctx);

#endif
