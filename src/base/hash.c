/*
 * Folded multiplication, as wyhash and its kin do it: two words of the text, each mixed with what
 * nobody knows, are multiplied, and the halves of the product are folded into the next step.
 * Sixteen bytes a multiplication.
 */
#include "base/hash.h"
#include "base/load.h"

#define ODD_1 UINT64_C(0x9e3779b97f4a7c15)
#define ODD_2 UINT64_C(0xd6e8feb86659fd93)

static uint64_t fold(uint64_t a, uint64_t b)
{
    __extension__ unsigned __int128 m = (unsigned __int128)a * b;

    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

/* The last 0 to 16 bytes as two words, which may overlap. */
static void last_words(const char *p, size_t n, uint64_t w[static 2])
{
    w[0] = w[1] = 0;
    if (n >= 8) {
        w[0] = load64(p);
        w[1] = load64(p + n - 8);
    } else if (n >= 4) {
        w[0] = load32(p);
        w[1] = load32(p + n - 4);
    } else if (n) {
        w[0] = (uint64_t)(unsigned char)p[0] << 16 | (uint64_t)(unsigned char)p[n / 2] << 8 |
               (unsigned char)p[n - 1];
    }
}

uint64_t hash_keyed(const uint64_t key[static 2], struct str s)
{
    uint64_t h = fold(key[0] ^ ODD_1, key[1] ^ s.n ^ ODD_2), secret = key[1] ^ ODD_1, w[2];
    const char *p = s.p;
    size_t n = s.n;

    for (; n > 16; p += 16, n -= 16)
        h = fold(load64(p) ^ secret, load64(p + 8) ^ h);
    last_words(p, n, w);
    h = fold(w[0] ^ secret, w[1] ^ h);
    return fold(h ^ ODD_2, key[0] ^ ODD_1);
}
