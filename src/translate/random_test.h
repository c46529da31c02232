/*
 * For the property tests: random numbers that repeat, and how many rounds a property is tried.
 */
#ifndef SF_TRANSLATE_RANDOM_TEST_H
#define SF_TRANSLATE_RANDOM_TEST_H

#include "base/buf.h"
#include "base/macros.h"

#include <stdlib.h>

struct chance {
    uint64_t x;
};

static inline uint64_t chance_next(struct chance *c)
{
    uint64_t z = (c->x += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static inline unsigned chance_below(struct chance *c, unsigned n)
{
    return (unsigned)(chance_next(c) % n);
}

static inline bool chance_one_in(struct chance *c, unsigned n)
{
    return chance_below(c, n) == 0;
}

/* Words, and what is awkward in JSON, in streams and in URLs. */
static inline void chance_text(struct chance *c, unsigned words, struct buf *out)
{
    static const char *const some[] = {"alpha", "b", " ", "line\nbreak", "\"quoted\"",
        "back\\slash", "\xc3\xa4\xc3\xb6", "\xf0\x9f\x98\x80", "data: x", "{\"a\":[1,2]}", "\t",
        "</s>", "0", "event:", "\r\n\r\n", "\xe2\x80\xa8", "zz"};
    for (unsigned i = 0; i < words; i++)
        buf_addstr(out, str_of(some[chance_below(c, ARRAY_LEN(some))]));
}

/* SMARTFLOW_PROPERTY_ROUNDS asks for more than a test takes the time for. */
static inline unsigned chance_rounds(unsigned otherwise)
{
    const char *asked = getenv("SMARTFLOW_PROPERTY_ROUNDS");
    uint64_t n;
    return asked && str_u64(str_of(asked), &n) == 0 && n && n < UINT32_MAX ? (unsigned)n
                                                                           : otherwise;
}

#endif
