/*
 * Opening and closing the shared store, its slow tick on the owning loop, and the choice between
 * the process and Redis for key-value. Counters are in shared_count.c and shared_table.c, waiting
 * in shared_wait.c, messages in shared_bus.c; what speaks to Redis is in redis*.c.
 */
#include "store/redis_int.h"
#include "store/shared_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define SWEEP_STEP 128 /* buckets looked at while the lock is held */

/* --- life ------------------------------------------------------------------------------------- */

int shared_open(const struct shared_settings *set, struct shared **ret, char *err, size_t err_n)
{
    struct shared *s = calloc(1, sizeof *s);
    if (!s || counters_init(&s->table) < 0) {
        free(s);
        snprintf(err, err_n, "out of memory");
        return -ENOMEM;
    }
    s->down = set->down;
    kv_init(&s->kv);
    if (secret_is_set(&set->redis_url)) {
        int r = redis_open(s, set, err, err_n);
        if (r < 0) {
            shared_close(s);
            return r;
        }
    }
    *ret = s;
    return 0;
}

static void keep(void *ctx, struct counter *c)
{
    struct shared *s = ctx;
    if (s->redis)
        redis_renew(s, c);
}

static void sweep(struct shared *s)
{
    size_t left = s->table.n_buckets / SHARED_SWEEP_TICKS + 1;
    int64_t wall = clock_wall();
    while (left > 0) {
        size_t step = MIN(left, SWEEP_STEP);
        shared_lock(&s->lock);
        counters_sweep(&s->table, step, wall, clock_now(), keep, s);
        shared_unlock(&s->lock);
        left -= step;
    }
    if (s->redis)
        redis_kick(s);
}

static void on_tick(struct timer *t)
{
    struct shared *s = container_of(t, struct shared, tick);
    sweep(s);
    timer_set(t, loop_now() + SHARED_TICK_NS);
}

int shared_start(struct shared *s)
{
    shared_lock(&s->bus_lock);
    s->owner = loop_self();
    shared_unlock(&s->bus_lock);
    must(s->owner);
    timer_init(&s->tick, on_tick);
    timer_set(&s->tick, loop_now() + SHARED_TICK_NS);
    return s->redis ? redis_start(s) : 0;
}

void shared_stop(struct shared *s)
{
    if (!s->owner)
        return;
    must(s->owner == loop_self());
    timer_clear(&s->tick);
    if (s->redis)
        redis_stop(s);
    shared_lock(&s->bus_lock);
    s->owner = NULL;
    shared_unlock(&s->bus_lock);
}

void shared_close(struct shared *s)
{
    if (!s)
        return;
    if (s->redis)
        redis_close(s);
    bus_free(s);
    kv_free(&s->kv);
    counters_free(&s->table);
    free(s);
}

/* --- what it is ------------------------------------------------------------------------------- */

bool shared_is_remote(const struct shared *s)
{
    return s->redis != NULL;
}

bool shared_is_up(const struct shared *s)
{
    return !s->redis || redis_is_up(s);
}

unsigned shared_nodes_seen(const struct shared *s)
{
    return s->redis ? redis_nodes(s) : 1;
}

void shared_set_fill(struct shared *s, shared_fill_fn *fn, void *ctx)
{
    s->fill = fn;
    s->fill_ctx = ctx;
}

void shared_on_link(struct shared *s, void (*fn)(void *ctx, bool up, const char *why), void *ctx)
{
    s->on_link = fn;
    s->on_link_ctx = ctx;
}

/* --- key-value -------------------------------------------------------------------------------- */

static bool key_ok(struct str key)
{
    return key.n > 0 && key.n <= SHARED_KEY_BYTES;
}

int shared_get(struct shared *s, struct str key, struct buf *out)
{
    if (!key_ok(key))
        return 0;
    return s->redis ? redis_get(s, key, out) : kv_get(&s->kv, key, out);
}

int shared_set(struct shared *s, struct str key, struct str value, int64_t ttl, bool only_new)
{
    if (!key_ok(key) || value.n > SHARED_VALUE_BYTES || ttl <= 0)
        return -EINVAL;
    return s->redis ? redis_set(s, key, value, ttl, only_new)
                    : kv_set(&s->kv, key, value, ttl, only_new);
}

int shared_del(struct shared *s, struct str key)
{
    if (!key_ok(key))
        return 0;
    return s->redis ? redis_del(s, key) : kv_del(&s->kv, key);
}
