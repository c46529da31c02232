/*
 * Page-sized blocks straight from the kernel, for one thread. malloc() would keep a burst's blocks
 * for ever, scattered between used ones; here a block beyond the hot list gives its pages back at
 * once and only its address is remembered, to be used again before new ones are mapped.
 */
#ifndef SF_HTTP_PAGES_H
#define SF_HTTP_PAGES_H

#include "base/macros.h"

struct pages {
    size_t size; /* of a block; a multiple of the page size */
    char **cold; /* addresses whose pages the kernel has back */
    size_t cold_n, cold_cap;
    char *fresh, *fresh_end; /* the newest slab's unused rest */
    void *slabs;             /* all slabs, linked through their first block */
};

char *pages_take(struct pages *p, size_t size); /* NULL when memory is out */
void pages_give(struct pages *p, char *block);  /* its content is gone */
void pages_free(struct pages *p);               /* unmaps all, taken ones too */

#endif
