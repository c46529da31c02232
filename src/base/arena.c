/*
 * struct arena: bump allocation. The newest block is the one that p and end point into; full ones
 * are kept on a list only to be freed. Blocks double from 4 KiB to 64 KiB. What is larger than a
 * quarter of the next block gets a block of its own, so that the free space at p is not thrown
 * away for it.
 */
#include "base/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define ALIGNMENT   ((size_t)16)
#define FIRST_BLOCK ((size_t)4096)
#define MOST_BLOCK  ((size_t)65536)

struct arena_block {
    struct arena_block *next;
    alignas(16) char data[];
};

static char *align_up(char *p)
{
    return p + (-(uintptr_t)p & (ALIGNMENT - 1));
}

void arena_init(struct arena *a, void *first, size_t first_n, size_t max)
{
    *a = (struct arena){.max = max};
    size_t lost = first ? (size_t)(align_up(first) - (char *)first) : 0;
    if (first && first_n > lost) {
        a->p = (char *)first + lost;
        a->end = (char *)first + first_n;
    }
}

void arena_free(struct arena *a)
{
    for (struct arena_block *b = a->head, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    arena_init(a, NULL, 0, a->max);
}

/* A block with room for n bytes; n counts with the block's header against the maximum. */
static struct arena_block *add_block(struct arena *a, size_t n)
{
    size_t left = a->max - a->total;

    if (n > SIZE_MAX - sizeof(struct arena_block) || n + sizeof(struct arena_block) > left)
        return NULL;
    n += sizeof(struct arena_block);
    struct arena_block *b = malloc(n);
    if (!b)
        return NULL;
    a->total += n;
    b->next = a->head;
    a->head = b;
    return b;
}

static void *alloc_slow(struct arena *a, size_t n)
{
    size_t size = MIN(MAX(a->total, FIRST_BLOCK), MOST_BLOCK) - sizeof(struct arena_block);
    struct arena_block *b;

    if (n > size / 4) {
        b = add_block(a, n);
        return b ? b->data : NULL;
    }
    b = add_block(a, size);
    if (!b) { /* near the maximum: what is asked for and no more */
        b = add_block(a, n);
        return b ? b->data : NULL;
    }
    a->p = b->data + n;
    a->end = b->data + size;
    return b->data;
}

void *arena_alloc(struct arena *a, size_t n)
{
    if (unlikely(n > SIZE_MAX / 2))
        return NULL;
    n = MAX((n + ALIGNMENT - 1) & ~(ALIGNMENT - 1), ALIGNMENT);
    if (unlikely(n > (size_t)(a->end - a->p)))
        return alloc_slow(a, n);
    void *p = a->p;
    a->p += n;
    return p;
}

void *arena_zalloc(struct arena *a, size_t n)
{
    void *p = arena_alloc(a, n);

    return p ? memset(p, 0, n) : NULL;
}

struct str arena_dup(struct arena *a, struct str s)
{
    char *p = s.n < SIZE_MAX ? arena_alloc(a, s.n + 1) : NULL;

    if (!p)
        return STR_NONE;
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return str_at(p, s.n);
}

struct str arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list args;
    char *p = NULL;
    int n;

    va_start(args, fmt);
    n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (n >= 0)
        p = arena_alloc(a, (size_t)n + 1);
    if (!p)
        return STR_NONE;
    va_start(args, fmt);
    vsnprintf(p, (size_t)n + 1, fmt, args);
    va_end(args);
    return str_at(p, (size_t)n);
}
