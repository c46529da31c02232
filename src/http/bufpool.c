/*
 * Free lists of blocks by size class. A free block's first bytes hold the list link.
 */
#include "http/bufpool.h"
#include "http/thread.h"
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define POOL_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOL_ASAN 1
#endif
#endif

#ifdef POOL_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(p, n)   __asan_poison_memory_region((p), (n))
#define UNPOISON(p, n) __asan_unpoison_memory_region((p), (n))
#else
#define POISON(p, n)   ((void)(p), (void)(n))
#define UNPOISON(p, n) ((void)(p), (void)(n))
#endif

struct block_free {
    struct block_free *next;
};

static const size_t class_size[BLOCK_CLASSES] = {
    256, BLOCK_OBJECT, KIB, BLOCK_SMALL, BLOCK_LARGE, 64 * KIB};
/* As many as a busy thread has in use at once: a block that goes back to the kernel costs a page
 * fault for each of its pages when it is taken again. At most 9 MiB lie idle per thread. */
static const unsigned class_keep[BLOCK_CLASSES] = {1024, 1024, 512, 256, 128, 64};

static int class_of(size_t n)
{
    for (int i = 0; i < BLOCK_CLASSES; i++)
        if (n <= class_size[i])
            return i;
    return -1;
}

/* Whole pages come from the kernel, smaller blocks (and all under AddressSanitizer, which then sees
 * their bounds) from malloc(). */
static bool is_paged(int cls)
{
#ifdef POOL_ASAN
    (void)cls;
    return false;
#else
    return class_size[cls] >= BLOCK_SMALL;
#endif
}

static char *class_new(struct bufpool *pool, int cls)
{
    if (is_paged(cls))
        return pages_take(&pool->pages[cls], class_size[cls]);
    return malloc(class_size[cls]);
}

static void class_drop(struct bufpool *pool, int cls, char *p)
{
    if (is_paged(cls))
        pages_give(&pool->pages[cls], p);
    else
        free(p);
}

static char *class_pop(struct bufpool *pool, int cls)
{
    struct block_free *f = pool->head[cls];
    if (f == NULL)
        return class_new(pool, cls);
    UNPOISON(f, class_size[cls]);
    pool->head[cls] = f->next;
    pool->n[cls]--;
    return (char *)f;
}

int block_take(struct block *b, size_t n)
{
    must(b->p == NULL);
    struct bufpool *pool = &http_thread()->blocks;
    int cls = class_of(n);
    size_t cap = cls < 0 ? n : class_size[cls];
    char *p = cls < 0 ? malloc(n) : class_pop(pool, cls);
    if (p == NULL)
        return -ENOMEM;
    pool->out += cap;
    *b = (struct block){p, cap};
    return 0;
}

void block_give(struct block *b)
{
    if (b->p == NULL)
        return;
    struct bufpool *pool = &http_thread()->blocks;
    int cls = class_of(b->cap);
    pool->out -= b->cap;
    if (cls < 0) {
        free(b->p);
    } else if (pool->n[cls] >= class_keep[cls]) {
        class_drop(pool, cls, b->p);
    } else {
        struct block_free *f = (struct block_free *)(void *)b->p;
        f->next = pool->head[cls];
        pool->head[cls] = f;
        pool->n[cls]++;
        POISON(f, class_size[cls]);
    }
    *b = (struct block){0};
}

void *cell_take(size_t size)
{
    struct block b = {0};
    if (block_take(&b, size) < 0)
        return NULL;
    return memset(b.p, 0, size);
}

void cell_give(void *p, size_t size)
{
    int cls = class_of(size);
    struct block b = {p, cls < 0 ? size : class_size[cls]};
    block_give(&b);
}

void bufpool_clear(struct bufpool *pool)
{
    for (int i = 0; i < BLOCK_CLASSES; i++) {
        while (pool->head[i] != NULL)
            class_drop(pool, i, class_pop(pool, i));
        pages_free(&pool->pages[i]);
    }
}
