/*
 * struct arena: memory that lives as long as one exchange and is freed whole. Blocks come from
 * malloc; the first block can be given by the owner, so that a small exchange needs no further
 * allocation. The maximum bounds what one exchange can make the process hold.
 */
#ifndef SF_BASE_ARENA_H
#define SF_BASE_ARENA_H

#include "base/macros.h"
#include "base/str.h"

struct arena_block;

struct arena {
    char *p, *end;            /* free space in the newest block */
    struct arena_block *head; /* malloc'd blocks, newest first */
    size_t total, max;        /* malloc'd bytes and their limit */
};

/* first/first_n: memory of the owner's to use before any malloc; may be NULL/0. */
void arena_init(struct arena *a, void *first, size_t first_n, size_t max);
void arena_free(struct arena *a);

/* 16-byte aligned, not cleared; NULL when the maximum or memory is exhausted. */
void *arena_alloc(struct arena *a, size_t n);
void *arena_zalloc(struct arena *a, size_t n);
/* Copies; on exhaustion the result has p NULL. Copies are also NUL-terminated. */
struct str arena_dup(struct arena *a, struct str s);
struct str arena_printf(struct arena *a, const char *fmt, ...) _printf_(2, 3);

#define arena_new(a, T) ((T *)arena_zalloc((a), sizeof(T)))

#endif
