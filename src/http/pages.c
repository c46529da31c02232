/* See http/pages.h. */
#include "http/pages.h"
#include "base/limits.h"

#include <stdlib.h>
#include <sys/mman.h>

#define SLAB_BYTES MIB

/* The first block of a slab holds the link to the one before. */
struct slab {
    struct slab *next;
};

static int slab_new(struct pages *p)
{
    char *m = mmap(NULL, SLAB_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (m == MAP_FAILED)
        return -1;
    madvise(m, SLAB_BYTES, MADV_NOHUGEPAGE); /* a huge page could not be given back in parts */
    struct slab *s = (struct slab *)(void *)m;
    s->next = p->slabs;
    p->slabs = s;
    p->fresh = m + p->size;
    p->fresh_end = m + SLAB_BYTES;
    return 0;
}

char *pages_take(struct pages *p, size_t size)
{
    p->size = size;
    if (p->cold_n > 0)
        return p->cold[--p->cold_n];
    if ((size_t)(p->fresh_end - p->fresh) < size && slab_new(p) < 0)
        return NULL;
    char *block = p->fresh;
    p->fresh += size;
    return block;
}

/* When the list of addresses cannot grow the block is lost until the slabs are unmapped: its pages
 * are back with the kernel all the same. */
void pages_give(struct pages *p, char *block)
{
    madvise(block, p->size, MADV_DONTNEED);
    if (p->cold_n == p->cold_cap) {
        size_t cap = p->cold_cap ? 2 * p->cold_cap : 256;
        char **cold = realloc(p->cold, cap * sizeof(*cold));
        if (cold == NULL)
            return;
        p->cold = cold;
        p->cold_cap = cap;
    }
    p->cold[p->cold_n++] = block;
}

void pages_free(struct pages *p)
{
    for (struct slab *s = p->slabs, *next; s != NULL; s = next) {
        next = s->next;
        munmap(s, SLAB_BYTES);
    }
    free(p->cold);
    *p = (struct pages){0};
}
