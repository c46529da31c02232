/* The keyed hash: every byte and the length count, keys differ, bits spread. */
#include "base/hash.h"
#include "base/macros.h"
#include "base/tap.h"

#include <stdio.h>

static const uint64_t key[2] = {0x0123456789abcdef, 0xfedcba9876543210};

static void test_every_bit_counts(void)
{
    char text[80];

    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)(i * 37);
    for (size_t n = 0; n <= sizeof(text); n++) {
        uint64_t h = hash_keyed(key, str_at(text, n));
        CHECK_EQ(hash_keyed(key, str_at(text, n)), h);
        CHECK(n == 0 || hash_keyed(key, str_at(text, n - 1)) != h);
        for (size_t bit = 0; bit < 8 * n; bit++) {
            text[bit / 8] ^= (char)(1 << bit % 8);
            int changed = __builtin_popcountll(h ^ hash_keyed(key, str_at(text, n)));
            text[bit / 8] ^= (char)(1 << bit % 8);
            CHECK(changed >= 8 && changed <= 56);
        }
    }
}

static void test_keys_differ(void)
{
    const uint64_t other[2] = {key[0], key[1] ^ 1}, third[2] = {key[0] ^ 1, key[1]};
    struct str s = STR("{team}k:someone:r29512345");

    CHECK(hash_keyed(key, s) != hash_keyed(other, s));
    CHECK(hash_keyed(key, s) != hash_keyed(third, s));
    CHECK(hash_keyed(key, STR_NONE) != hash_keyed(other, STR_NONE));
}

/* Names that differ in a counting number fill the buckets as chance would: with 65,536 in as many,
 * e^-1 of them stay empty. */
static void test_names_spread(void)
{
    static unsigned char full[1 << 16];
    unsigned low = 0, high = 0;
    char name[48];

    for (unsigned pass = 0; pass < 2; pass++) {
        memset(full, 0, sizeof(full));
        for (unsigned i = 0; i < sizeof(full); i++) {
            int n = snprintf(name, sizeof(name), "{org-1}k:key-%u:d2026-11-21", i);
            uint64_t h = hash_keyed(key, str_at(name, (size_t)n));
            full[pass ? h >> 48 : h & 0xffff] = 1;
        }
        for (unsigned i = 0; i < sizeof(full); i++)
            *(pass ? &high : &low) += !full[i];
    }
    CHECK(low > 23500 && low < 24700);
    CHECK(high > 23500 && high < 24700);
}

int main(void)
{
    TAP_RUN(test_every_bit_counts);
    TAP_RUN(test_keys_differ);
    TAP_RUN(test_names_spread);
    return tap_done();
}
