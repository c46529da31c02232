/*
 * SipHash, for base/map. Words are read little-endian whatever the machine is.
 */
#include "base/siphash.h"

#include <endian.h>

struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotl(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

static inline void sip_rounds(struct sip *s, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        s->v0 += s->v1;
        s->v1 = rotl(s->v1, 13) ^ s->v0;
        s->v0 = rotl(s->v0, 32);
        s->v2 += s->v3;
        s->v3 = rotl(s->v3, 16) ^ s->v2;
        s->v0 += s->v3;
        s->v3 = rotl(s->v3, 21) ^ s->v0;
        s->v2 += s->v1;
        s->v1 = rotl(s->v1, 17) ^ s->v2;
        s->v2 = rotl(s->v2, 32);
    }
}

static inline void sip_word(struct sip *s, uint64_t word, int rounds)
{
    s->v3 ^= word;
    sip_rounds(s, rounds);
    s->v0 ^= word;
}

static inline uint64_t load_le(const char *p, size_t n)
{
    uint64_t word = 0;

    memcpy(&word, p, n);
    return le64toh(word);
}

uint64_t siphash(const uint64_t key[static 2], struct str text, int word_rounds, int end_rounds)
{
    struct sip s = {
        .v0 = key[0] ^ UINT64_C(0x736f6d6570736575),
        .v1 = key[1] ^ UINT64_C(0x646f72616e646f6d),
        .v2 = key[0] ^ UINT64_C(0x6c7967656e657261),
        .v3 = key[1] ^ UINT64_C(0x7465646279746573),
    };
    size_t i = 0;

    for (; i + 8 <= text.n; i += 8)
        sip_word(&s, load_le(text.p + i, 8), word_rounds);
    uint64_t last = (uint64_t)text.n << 56;
    if (i < text.n)
        last |= load_le(text.p + i, text.n - i);
    sip_word(&s, last, word_rounds);
    s.v2 ^= 0xff;
    sip_rounds(&s, end_rounds);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
