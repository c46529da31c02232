/* Words of bytes that lie anywhere, as this machine orders them: for comparing and mixing. */
#ifndef SF_BASE_LOAD_H
#define SF_BASE_LOAD_H

#include <stdint.h>
#include <string.h>

static inline uint64_t load64(const void *p)
{
    uint64_t w;

    memcpy(&w, p, sizeof(w));
    return w;
}

static inline uint32_t load32(const void *p)
{
    uint32_t w;

    memcpy(&w, p, sizeof(w));
    return w;
}

#endif
