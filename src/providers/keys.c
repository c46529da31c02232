/*
 * The credentials of an upstream: chosen in turn by weight, rested when the provider refuses them.
 *
 *   struct upstream ─▶ struct upstream_keys (of one snapshot, constant but for its turn)
 *                        └─ at[] ─▶ struct upstream_health (counted, shared by snapshots)
 *
 * A pick walks at most UPSTREAM_KEYS_MAX entries and takes no lock: what it reads are hints, and
 * two threads that pick at once may see a refusal a moment apart. Nothing here suspends or logs.
 */
#include "providers/provider.h"

#include "base/clock.h"

#include <errno.h>
#include <stdlib.h>

#define REFUSED_FOR            (60 * NS_PER_S)
#define RATE_LIMITED_S         1 /* when the provider does not say */
#define RATE_LIMITED_AT_MOST_S 60

static int64_t peek(const int64_t *at)
{
    return __atomic_load_n(at, __ATOMIC_RELAXED);
}

static void poke(int64_t *at, int64_t value)
{
    if (peek(at) != value) /* so that the line stays shared while all is well */
        __atomic_store_n(at, value, __ATOMIC_RELAXED);
}

static void health_unref(struct upstream_health *h)
{
    if (h && __atomic_sub_fetch(&h->refs_, 1, __ATOMIC_ACQ_REL) == 0)
        free(h);
}

static void key_free(struct upstream_key *k)
{
    secret_free(&k->key);
    free((char *)k->id.p);
    health_unref(k->health);
}

static int key_init(struct upstream_key *k, struct str id, struct str value, unsigned weight)
{
    *k = (struct upstream_key){
        .id = {str_dup(id), id.n},
        .weight = weight < 1 ? 1 : MIN(weight, UPSTREAM_WEIGHT_MAX),
        .health = calloc(1, sizeof *k->health),
    };
    if (!k->id.p || !k->health || secret_set(&k->key, value) < 0) {
        if (k->health)
            k->health->refs_ = 1;
        key_free(k);
        return -ENOMEM;
    }
    k->health->refs_ = 1;
    return 0;
}

int upstream_add_key(struct upstream *u, struct str id, struct str value, unsigned weight)
{
    unsigned n = u->keys ? u->keys->n : 0;

    if (n >= UPSTREAM_KEYS_MAX)
        return -ENOSPC;
    if (upstream_key_by_id(u, id))
        return -EEXIST;
    struct upstream_keys *keys = realloc(u->keys, sizeof *keys + (n + 1) * sizeof keys->at[0]);
    if (!keys)
        return -ENOMEM;
    if (!u->keys)
        *keys = (struct upstream_keys){0};
    u->keys = keys;
    int r = key_init(&keys->at[n], id, value, weight);
    if (r == 0)
        keys->n = n + 1;
    else if (n == 0)
        upstream_keys_free(u);
    return r;
}

void upstream_keys_free(struct upstream *u)
{
    for (unsigned i = 0; u->keys && i < u->keys->n; i++)
        key_free(&u->keys->at[i]);
    free(u->keys);
    u->keys = NULL;
}

void upstream_keys_inherit(struct upstream *u, const struct upstream *was)
{
    for (unsigned i = 0; u->keys && i < u->keys->n; i++) {
        struct upstream_key *k = &u->keys->at[i];
        const struct upstream_key *old = upstream_key_by_id(was, k->id);
        if (!old || old->health == k->health || !secret_eq(&old->key, secret_reveal(&k->key)))
            continue;
        health_unref(k->health);
        k->health = old->health;
        __atomic_add_fetch(&k->health->refs_, 1, __ATOMIC_RELAXED);
    }
}

const struct upstream_key *upstream_key_by_id(const struct upstream *u, struct str id)
{
    for (unsigned i = 0; u->keys && i < u->keys->n; i++)
        if (str_eq(u->keys->at[i].id, id))
            return &u->keys->at[i];
    return NULL;
}

/* --- choosing --- */

static int64_t blocked_until(const struct upstream_key *k)
{
    return MAX(peek(&k->health->refused_until), peek(&k->health->rate_limited_until));
}

/* The key at this place of the turn; places are counted over the healthy keys' weights. */
static const struct upstream_key *at_place(
    const struct upstream_keys *keys, const struct upstream_key *but, int64_t now)
{
    const struct upstream_key *healthy[UPSTREAM_KEYS_MAX];
    unsigned n = 0, total = 0;

    for (unsigned i = 0; i < keys->n; i++) {
        const struct upstream_key *k = &keys->at[i];
        if (k == but || blocked_until(k) > now)
            continue;
        healthy[n++] = k;
        total += k->weight;
    }
    if (n <= 1)
        return n ? healthy[0] : NULL;
    unsigned turn = __atomic_fetch_add((unsigned *)&keys->turn_, 1, __ATOMIC_RELAXED);
    unsigned place = turn % total, i = 0;
    while (place >= healthy[i]->weight)
        place -= healthy[i++]->weight;
    return healthy[i];
}

/* When none is healthy: a call that may fail is better than one that is not made. */
static const struct upstream_key *first_to_recover(const struct upstream_keys *keys)
{
    const struct upstream_key *best = &keys->at[0];

    for (unsigned i = 1; i < keys->n; i++)
        if (blocked_until(&keys->at[i]) < blocked_until(best))
            best = &keys->at[i];
    return best;
}

static const struct upstream_key *used(const struct upstream_key *k)
{
    int64_t now = clock_wall();

    if (now - peek(&k->health->used_at) > NS_PER_S)
        poke(&k->health->used_at, now);
    return k;
}

const struct upstream_key *upstream_pick(const struct upstream *u)
{
    if (!u->keys)
        return NULL;
    if (u->keys->n == 1)
        return used(&u->keys->at[0]);
    const struct upstream_key *k = at_place(u->keys, NULL, clock_now());
    return used(k ? k : first_to_recover(u->keys));
}

const struct upstream_key *upstream_pick_other(
    const struct upstream *u, const struct upstream_key *tried)
{
    if (!u->keys || u->keys->n < 2)
        return NULL;
    const struct upstream_key *k = at_place(u->keys, tried, clock_now());
    return k ? used(k) : NULL;
}

/* --- health --- */

void upstream_key_report(const struct upstream_key *k, int status, int retry_after_s)
{
    if (!k)
        return;
    if (status == 401) {
        poke(&k->health->refused_until, clock_now() + REFUSED_FOR);
    } else if (status == 429) {
        int s = retry_after_s > 0 ? MIN(retry_after_s, RATE_LIMITED_AT_MOST_S) : RATE_LIMITED_S;
        poke(&k->health->rate_limited_until, clock_now() + s * NS_PER_S);
    } else if (status >= 200 && status < 300) {
        poke(&k->health->refused_until, 0);
        poke(&k->health->rate_limited_until, 0);
    }
}

enum upstream_key_state upstream_key_state(const struct upstream_key *k)
{
    int64_t now = clock_now();

    if (peek(&k->health->refused_until) > now)
        return UPSTREAM_KEY_REFUSED;
    return peek(&k->health->rate_limited_until) > now ? UPSTREAM_KEY_RATE_LIMITED
                                                      : UPSTREAM_KEY_GOOD;
}
