/*
 * For the fuzz targets: cuts that follow from the input itself, so that a finding repeats.
 */
#ifndef SF_HTTP_CUT_FUZZ_H
#define SF_HTTP_CUT_FUZZ_H

#include "base/macros.h"
#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct cutter {
    uint64_t x;
};

static inline struct cutter cutter_of(struct str s, uint64_t salt)
{
    struct cutter c = {salt * 0x9e3779b97f4a7c15u + 1};
    for (size_t i = 0; i < s.n; i++)
        c.x = (c.x ^ (unsigned char)s.p[i]) * 0x100000001b3u;
    return c;
}

static inline size_t cutter_number(struct cutter *c, size_t below)
{
    c->x = c->x * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(c->x >> 33) % below;
}

/* Takes a piece off the front of s: often one byte, seldom a large one, never none. */
static inline struct str cutter_take(struct cutter *c, struct str *s)
{
    size_t most = cutter_number(c, 3) ? 3 : 40;
    struct str piece = str_to(*s, 1 + cutter_number(c, most));
    *s = str_from(*s, piece.n);
    return piece;
}

#endif
