/* Sealing: a known answer, round trips, and every way in which a sealed text must not open. */
#include "crypto/seal.h"

#include "base/macros.h"
#include "base/tap.h"
#include "crypto/encode.h"
#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>

static const uint8_t key[SEAL_KEY_BYTES] = "0123456789abcdef0123456789abcde";
static const uint8_t other[SEAL_KEY_BYTES] = "0123456789abcdef0123456789abcdf";

static void test_round_trip(void)
{
    static const size_t lengths[] = {0, 1, 15, 16, 17, 51, 4096, SEAL_MAX_BYTES};

    for (unsigned i = 0; i < ARRAY_LEN(lengths); i++) {
        size_t n = lengths[i];
        _cleanup_(buf_free) struct buf out = {0};
        _cleanup_(secret_free) struct secret back = {0};
        char *plain = malloc(n + 1);
        must(plain);
        memset(plain, 'k', n);
        buf_init(&out, 1 << 20);
        must(buf_addstr(&out, STR("before")) == 0);
        CHECK_EQ(seal(key, STR("label"), str_at(plain, n), &out), 0);
        CHECK_EQ(out.n, 6 + SEAL_OVERHEAD + n);
        CHECK(n < 4 || str_find(buf_str(&out), STR("kkkk")) < 0);
        CHECK_EQ(seal_open(key, STR("label"), str_from(buf_str(&out), 6), &back), 0);
        CHECK_STR(secret_reveal(&back), str_at(plain, n));
        free(plain);
    }
}

/* NIST's test case 16 (GCM specification, appendix B): key, IV, AAD and text of AES-256. */
static void test_known_answer(void)
{
    const struct str sealed_hex =
        STR("cafebabefacedbaddecaf888"
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
            "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
            "76fc6ece0f4e1768cddf8853bb2d551b");
    const struct str text_hex = STR("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a"
                                    "721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39");
    uint8_t k[32], label[20], sealed[128], text[64];
    _cleanup_(secret_free) struct secret back = {0};

    must(hex_decode(STR("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"), k) ==
         32);
    must(hex_decode(STR("feedfacedeadbeeffeedfacedeadbeefabaddad2"), label) == 20);
    ssize_t n = hex_decode(sealed_hex, sealed), t = hex_decode(text_hex, text);
    must(n == 88 && t == 60);
    CHECK_EQ(seal_open(k, str_at((char *)label, 20), str_at((char *)sealed, 88), &back), 0);
    CHECK_STR(secret_reveal(&back), str_at((char *)text, 60));
}

static void test_does_not_open(void)
{
    _cleanup_(buf_free) struct buf out = {0};
    struct secret back = {0};

    buf_init(&out, 4096);
    must(seal(key, STR("openai 1"), STR("sk-canary-0123456789"), &out) == 0);
    CHECK_EQ(seal_open(other, STR("openai 1"), buf_str(&out), &back), -EBADMSG);
    CHECK_EQ(seal_open(key, STR("openai 2"), buf_str(&out), &back), -EBADMSG);
    CHECK_EQ(seal_open(key, STR(""), buf_str(&out), &back), -EBADMSG);
    for (size_t n = 0; n < out.n; n++)
        CHECK_EQ(seal_open(key, STR("openai 1"), str_to(buf_str(&out), n), &back), -EBADMSG);
    for (size_t bit = 0; bit < 8 * out.n; bit++) {
        out.p[bit / 8] ^= (char)(1 << bit % 8);
        CHECK_EQ(seal_open(key, STR("openai 1"), buf_str(&out), &back), -EBADMSG);
        out.p[bit / 8] ^= (char)(1 << bit % 8);
    }
    CHECK(!secret_is_set(&back));
    CHECK_EQ(ERR_peek_error(), 0);
    CHECK_EQ(seal_open(key, STR("openai 1"), buf_str(&out), &back), 0);
    secret_free(&back);
}

static void test_nonces_differ(void)
{
    _cleanup_(buf_free) struct buf out = {0};

    buf_init(&out, 4096);
    must(seal(key, STR("l"), STR("same"), &out) == 0);
    size_t n = out.n;
    must(seal(key, STR("l"), STR("same"), &out) == 0);
    CHECK(memcmp(out.p, out.p + n, SEAL_NONCE_BYTES) != 0);
    CHECK(memcmp(out.p, out.p + n, n) != 0);
}

static void test_too_large(void)
{
    _cleanup_(buf_free) struct buf out = {0};
    char *plain = calloc(1, SEAL_MAX_BYTES + 1);

    must(plain);
    buf_init(&out, 1 << 20);
    CHECK_EQ(seal(key, STR("l"), str_at(plain, SEAL_MAX_BYTES + 1), &out), -EMSGSIZE);
    CHECK_EQ(out.n, 0);
    buf_free(&out);
    buf_init(&out, 40);
    CHECK_EQ(seal(key, STR("l"), str_at(plain, 13), &out), -ENOBUFS);
    free(plain);
}

int main(void)
{
    TAP_RUN(test_round_trip);
    TAP_RUN(test_known_answer);
    TAP_RUN(test_does_not_open);
    TAP_RUN(test_nonces_differ);
    TAP_RUN(test_too_large);
    return tap_done();
}
