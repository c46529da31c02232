/*
 * struct map: linear probing over slots that hold the key's hash, so that a probe seldom touches a
 * key that is not the wanted one. A removed entry leaves a tombstone, because a probe must not stop
 * there; tombstones vanish when the table is rebuilt, and at once where the next slot is empty.
 * The table is rebuilt when three quarters of it are used, and only by map_put: so map_del of any
 * entry is safe while iterating.
 */
#include "base/map.h"
#include "base/hash.h"
#include "base/macros.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

#define EMPTY     0
#define TOMBSTONE 1
#define LEAST_CAP ((size_t)8)

struct map_slot {
    uint64_t hash; /* EMPTY, TOMBSTONE or the key's hash */
    struct str key;
    void *value;
};

static uint64_t process_key[2];
static pthread_once_t key_drawn = PTHREAD_ONCE_INIT;

static void draw_key(void)
{
    must(getrandom(process_key, sizeof(process_key), 0) == (ssize_t)sizeof(process_key));
}

uint64_t map_hash(struct str key)
{
    pthread_once(&key_drawn, draw_key);
    return hash_keyed(process_key, key);
}

static uint64_t slot_hash(struct str key)
{
    uint64_t hash = map_hash(key);

    return hash > TOMBSTONE ? hash : hash + 2;
}

void map_init(struct map *m)
{
    *m = (struct map){0};
}

void map_free(struct map *m)
{
    free(m->slots);
    map_init(m);
}

static struct map_slot *find(const struct map *m, uint64_t hash, struct str key)
{
    if (m->n == 0)
        return NULL;
    for (size_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
        struct map_slot *s = &m->slots[i];
        if (s->hash == hash && str_eq(s->key, key))
            return s;
        if (s->hash == EMPTY)
            return NULL;
    }
}

void *map_get(const struct map *m, struct str key)
{
    struct map_slot *s = m->n ? find(m, slot_hash(key), key) : NULL;

    return s ? s->value : NULL;
}

/* The first slot of the key's probe sequence that may be taken; the key is not in the table. */
static struct map_slot *vacancy(struct map_slot *slots, size_t cap, uint64_t hash)
{
    size_t i = hash & (cap - 1);

    while (slots[i].hash > TOMBSTONE)
        i = (i + 1) & (cap - 1);
    return &slots[i];
}

static int rebuild(struct map *m)
{
    size_t cap = MAX(m->cap, LEAST_CAP);

    while ((m->n + 1) * 2 > cap) /* at most half full afterwards */
        cap *= 2;
    struct map_slot *slots = calloc(cap, sizeof(*slots));
    if (!slots)
        return -ENOMEM;
    for (size_t i = 0; i < m->cap; i++)
        if (m->slots[i].hash > TOMBSTONE)
            *vacancy(slots, cap, m->slots[i].hash) = m->slots[i];
    free(m->slots);
    m->slots = slots;
    m->cap = cap;
    m->used = m->n;
    return 0;
}

int map_put(struct map *m, struct str key, void *value, void **ret_old)
{
    uint64_t hash = slot_hash(key);
    struct map_slot *s = find(m, hash, key);

    if (ret_old)
        *ret_old = s ? s->value : NULL;
    if (!s) {
        if ((m->used + 1) * 4 > m->cap * 3 && rebuild(m) < 0)
            return -ENOMEM;
        s = vacancy(m->slots, m->cap, hash);
        m->used += s->hash == EMPTY;
        m->n++;
    }
    *s = (struct map_slot){hash, key, value};
    return 0;
}

/* Tombstones right before an empty slot guard nothing: empties them, going backwards from i. */
static void clear_tombstones(struct map *m, size_t i)
{
    if (m->slots[(i + 1) & (m->cap - 1)].hash != EMPTY)
        return;
    for (; m->slots[i].hash == TOMBSTONE; i = (i - 1) & (m->cap - 1)) {
        m->slots[i].hash = EMPTY;
        m->used--;
    }
}

void *map_del(struct map *m, struct str key)
{
    struct map_slot *s = m->n ? find(m, slot_hash(key), key) : NULL;

    if (!s)
        return NULL;
    void *value = s->value;
    *s = (struct map_slot){.hash = TOMBSTONE};
    m->n--;
    clear_tombstones(m, (size_t)(s - m->slots));
    return value;
}

bool map_next(const struct map *m, size_t *at, struct str *ret_key, void **ret_value)
{
    while (*at < m->cap) {
        const struct map_slot *s = &m->slots[(*at)++];
        if (s->hash <= TOMBSTONE)
            continue;
        *ret_key = s->key;
        *ret_value = s->value;
        return true;
    }
    return false;
}
