/*
 * Memory blocks of one thread, in six sizes (256 and 704 B; 1, 4, 16, 64 KiB), kept on free lists,
 * so that a request in steady state calls malloc() not once. Larger blocks come from malloc() and
 * go back to it. The free lists are capped: what a burst took is returned.
 *
 * A block belongs to whoever took it and must be given back on the thread that took it.
 * Under AddressSanitizer a block on a free list is poisoned, so that a stale view is found.
 */
#ifndef SF_HTTP_BUFPOOL_H
#define SF_HTTP_BUFPOOL_H

#include "base/limits.h"
#include "base/macros.h"
#include "http/pages.h"

#define BLOCK_CLASSES 6
#define BLOCK_OBJECT  ((size_t)704) /* a connection of the server, a call */
#define BLOCK_SMALL   (4 * KIB)
#define BLOCK_LARGE   (16 * KIB)

struct block {
    char *p; /* NULL = none */
    size_t cap;
};

struct block_free;

/* The free lists; part of struct http_thread. */
struct bufpool {
    struct block_free *head[BLOCK_CLASSES];
    unsigned n[BLOCK_CLASSES];
    struct pages pages[BLOCK_CLASSES]; /* where the classes of whole pages come from */
    size_t out;                        /* bytes taken and not given back */
};

void bufpool_clear(struct bufpool *pool); /* frees what lies on the free lists */

/* Room for at least n bytes, not cleared. 0 or -ENOMEM. */
int block_take(struct block *b, size_t n);
void block_give(struct block *b); /* leaves it empty; no-op on an empty one */

/* The same for single objects; size must be the same at both calls. */
void *cell_take(size_t size); /* cleared; NULL when memory is out */
void cell_give(void *p, size_t size);

#endif
