/*
 * struct map: byte-string keys to pointers, open addressing, hashed (base/hash.h) under a key
 * drawn once per process, so that a peer that chooses keys cannot choose collisions.
 * Keys are not copied: they must outlive their entry. Not thread-safe.
 */
#ifndef SF_BASE_MAP_H
#define SF_BASE_MAP_H

#include "base/str.h"

struct map_slot;

struct map {
    struct map_slot *slots;
    size_t n, used, cap; /* live entries, live + deleted, power of two */
};

void map_init(struct map *m);
void map_free(struct map *m); /* frees the table, not keys or values */
void *map_get(const struct map *m, struct str key);
/* Replaces an existing entry's value and key view; *ret_old (may be NULL) gets the old value. */
int map_put(struct map *m, struct str key, void *value, void **ret_old);
void *map_del(struct map *m, struct str key); /* the removed value or NULL */
/* Iterates in no order: start with *at = 0; returns false at the end. Entries may be deleted
 * meanwhile, not put. */
bool map_next(const struct map *m, size_t *at, struct str *ret_key, void **ret_value);

uint64_t map_hash(struct str key); /* keyed per process */

#endif
