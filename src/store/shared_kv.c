/*
 * Key-value in the process: a map from keys to values on the heap, and a heap of them by expiry,
 * the next to go first. What has expired goes when anything is set, and when it is asked for;
 * beyond SHARED_KV_BYTES the next to expire goes too. One lock; nothing suspends.
 */
#include "store/shared_int.h"
#include <errno.h>
#include <stdlib.h>

struct kv_entry {
    int64_t expires; /* mono ns */
    size_t heap_at, key_n, value_n;
    char bytes[]; /* key, value */
};

#define ENTRY_COST 128 /* what an entry takes beside its bytes */

static struct str entry_key(const struct kv_entry *e)
{
    return str_at(e->bytes, e->key_n);
}

static size_t entry_bytes(const struct kv_entry *e)
{
    return ENTRY_COST + e->key_n + e->value_n;
}

/* --- the heap --------------------------------------------------------------------------------- */

static void heap_put(struct kv *kv, size_t at, struct kv_entry *e)
{
    kv->heap[at] = e;
    e->heap_at = at;
}

static void sift_up(struct kv *kv, size_t at, struct kv_entry *e)
{
    for (; at > 0 && kv->heap[(at - 1) / 2]->expires > e->expires; at = (at - 1) / 2)
        heap_put(kv, at, kv->heap[(at - 1) / 2]);
    heap_put(kv, at, e);
}

static void sift_down(struct kv *kv, size_t at, struct kv_entry *e)
{
    for (size_t child; (child = 2 * at + 1) < kv->n; at = child) {
        if (child + 1 < kv->n && kv->heap[child + 1]->expires < kv->heap[child]->expires)
            child++;
        if (kv->heap[child]->expires >= e->expires)
            break;
        heap_put(kv, at, kv->heap[child]);
    }
    heap_put(kv, at, e);
}

static int heap_room(struct kv *kv)
{
    if (kv->n < kv->room)
        return 0;
    size_t room = kv->room ? 2 * kv->room : 64;
    struct kv_entry **p = reallocarray(kv->heap, room, sizeof *p);
    if (!p)
        return -ENOMEM;
    kv->heap = p;
    kv->room = room;
    return 0;
}

/* --- entries ---------------------------------------------------------------------------------- */

static void drop(struct kv *kv, struct kv_entry *e)
{
    size_t at = e->heap_at;
    struct kv_entry *last = kv->heap[--kv->n];
    if (last != e) {
        sift_up(kv, at, last);
        sift_down(kv, last->heap_at, last);
    }
    map_del(&kv->entries, entry_key(e));
    kv->bytes -= entry_bytes(e);
    free(e);
}

static void make_room(struct kv *kv, size_t bytes, int64_t now)
{
    while (kv->n > 0 && (kv->heap[0]->expires <= now || kv->bytes + bytes > SHARED_KV_BYTES))
        drop(kv, kv->heap[0]);
}

static struct kv_entry *find(struct kv *kv, struct str key, int64_t now)
{
    struct kv_entry *e = map_get(&kv->entries, key);
    if (e && e->expires <= now) {
        drop(kv, e);
        e = NULL;
    }
    return e;
}

static struct kv_entry *entry_new(struct str key, struct str value, int64_t expires)
{
    struct kv_entry *e = malloc(sizeof *e + key.n + value.n);
    if (!e)
        return NULL;
    *e = (struct kv_entry){.expires = expires, .key_n = key.n, .value_n = value.n};
    memcpy(e->bytes, key.p, key.n);
    if (value.n)
        memcpy(e->bytes + key.n, value.p, value.n);
    return e;
}

/* Takes e over. */
static int put(struct kv *kv, struct kv_entry *e, bool only_new, int64_t now)
{
    struct kv_entry *old = find(kv, entry_key(e), now);
    int r = old && only_new ? -EEXIST : heap_room(kv);
    if (r == 0) {
        if (old)
            drop(kv, old);
        make_room(kv, entry_bytes(e), now);
        r = map_put(&kv->entries, entry_key(e), e, NULL);
    }
    if (r < 0) {
        free(e);
        return r;
    }
    kv->bytes += entry_bytes(e);
    sift_up(kv, kv->n++, e);
    return 0;
}

/* --- calls ------------------------------------------------------------------------------------ */

void kv_init(struct kv *kv)
{
    *kv = (struct kv){0};
    map_init(&kv->entries);
}

void kv_free(struct kv *kv)
{
    for (size_t i = 0; i < kv->n; i++)
        free(kv->heap[i]);
    free(kv->heap);
    map_free(&kv->entries);
}

int kv_get(struct kv *kv, struct str key, struct buf *out)
{
    shared_lock(&kv->lock);
    struct kv_entry *e = find(kv, key, clock_now());
    int r = e ? buf_add(out, e->bytes + e->key_n, e->value_n) : 0;
    shared_unlock(&kv->lock);
    return e && r == 0 ? 1 : r;
}

int kv_set(struct kv *kv, struct str key, struct str value, int64_t ttl, bool only_new)
{
    int64_t now = clock_now();
    struct kv_entry *e = entry_new(key, value, sum_within(now, ttl));
    if (!e)
        return -ENOMEM;
    shared_lock(&kv->lock);
    int r = put(kv, e, only_new, now);
    shared_unlock(&kv->lock);
    return r;
}

int kv_del(struct kv *kv, struct str key)
{
    shared_lock(&kv->lock);
    struct kv_entry *e = map_get(&kv->entries, key);
    if (e)
        drop(kv, e);
    shared_unlock(&kv->lock);
    return 0;
}
