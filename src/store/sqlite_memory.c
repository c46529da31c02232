/*
 * Memory for SQLite. Each statement takes a dozen small pieces and gives them back at its end;
 * SQLite has a pool for them ("lookaside"), which Debian's is built without. Here each thread keeps
 * what was given back, by size, for its next statement. What is large goes through.
 *
 * SQLite asks for the size of a piece that it has, so each begins with it.
 */
#include "store/sqlite_int.h"

#include <stdlib.h>
#include <string.h>

#if defined(__has_feature)
#define ASAN __has_feature(address_sanitizer)
#elif defined(__SANITIZE_ADDRESS__)
#define ASAN 1
#else
#define ASAN 0
#endif
#define POOLED (!ASAN) /* it is to see each piece */

#define STEP       64
#define CLASSES    32                  /* up to 2 KiB */
#define KEPT_BYTES ((size_t)16 * 1024) /* of each size, by each thread */

struct piece {
    size_t size; /* behind this head; a multiple of STEP */
    struct piece *next;
};
#define HEAD offsetof(struct piece, next) /* the rest is the owner's while he has it */

struct pool {
    struct piece *kept[CLASSES];
    size_t bytes[CLASSES];
};

static _Thread_local struct pool pool;

static struct piece *piece_of(void *p)
{
    return (struct piece *)(void *)((char *)p - HEAD);
}

static void *body_of(struct piece *p)
{
    return p ? (char *)p + HEAD : NULL;
}

/* The index of its size, or CLASSES. */
static size_t class_of(size_t size)
{
    return MIN(size / STEP - 1, (size_t)CLASSES);
}

static int round_up(int n)
{
    return (MAX(n, 1) + STEP - 1) / STEP * STEP;
}

static void *take(int n)
{
    size_t size = (size_t)round_up(n), c = class_of(size);
    struct piece *p = c < CLASSES ? pool.kept[c] : NULL;

    if (p) {
        pool.kept[c] = p->next;
        pool.bytes[c] -= size;
        return body_of(p);
    }
    p = malloc(HEAD + size);
    if (p)
        p->size = size;
    return body_of(p);
}

static void give(void *body)
{
    if (!body)
        return;
    struct piece *p = piece_of(body);
    size_t c = class_of(p->size);
    if (c == CLASSES || pool.bytes[c] + p->size > KEPT_BYTES) {
        free(p);
        return;
    }
    p->next = pool.kept[c];
    pool.kept[c] = p;
    pool.bytes[c] += p->size;
}

static int size_of(void *body)
{
    return body ? (int)piece_of(body)->size : 0;
}

static void *resize(void *body, int n)
{
    if (round_up(n) == size_of(body))
        return body;
    void *more = take(n);
    if (more) {
        memcpy(more, body, (size_t)MIN(size_of(body), n));
        give(body);
    }
    return more;
}

static int begin(void *unused)
{
    return SQLITE_OK;
}

static void end(void *unused)
{
}

void sqlite_memory_configure(void)
{
    static const sqlite3_mem_methods methods = {take, give, resize, size_of, round_up, begin, end};

    /* Nobody reads how much it uses, for which it would take a lock at every allocation. */
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    if (POOLED)
        sqlite3_config(SQLITE_CONFIG_MALLOC, &methods);
}

void sqlite_memory_thread_end(void)
{
    for (unsigned c = 0; c < CLASSES; c++)
        for (struct piece *p = pool.kept[c], *next; p; p = next) {
            next = p->next;
            free(p);
        }
    pool = (struct pool){0};
}
