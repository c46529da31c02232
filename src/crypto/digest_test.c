/*
 * Digests against published answers: FIPS 180-4 examples, RFC 4231 for HMAC, RFC 6455 for the
 * WebSocket handshake.
 */
#include "base/macros.h"
#include "base/secret.h"
#include "base/tap.h"
#include "crypto/digest.h"
#include "crypto/encode.h"

#include <pthread.h>

static bool is_hex(const uint8_t *digest, size_t n, const char *want)
{
    uint8_t bytes[SHA256_BYTES];

    return hex_decode(str_of(want), bytes) == (ssize_t)n && mem_ct_eq(digest, bytes, n);
}

static const char abc_sha256[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
static const char two_blocks[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
static const char two_blocks_sha256[] =
    "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1";
static const char million_a_sha256[] =
    "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";

static void test_sha256(void)
{
    uint8_t out[SHA256_BYTES];
    char hex[SHA256_HEX];

    sha256(STR_NONE, out);
    CHECK(is_hex(out, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
    sha256(str_of(two_blocks), out);
    CHECK(is_hex(out, 32, two_blocks_sha256));
    sha256_hex(STR("abc"), hex);
    CHECK_STR(str_of(hex), str_of(abc_sha256));
    sha256_parts((struct str[]){STR("a"), STR_NONE, STR("bc")}, 3, out);
    CHECK(is_hex(out, 32, abc_sha256));
}

static void test_sha1(void)
{
    uint8_t out[SHA1_BYTES];
    char accept[BASE64_SIZE(SHA1_BYTES)];

    sha1(STR("abc"), out);
    CHECK(is_hex(out, 20, "a9993e364706816aba3e25717850c26c9cd0d89d"));
    sha1(STR("dGhlIHNhbXBsZSBub25jZQ=="
             "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"),
        out);
    base64_encode(str_at((char *)out, sizeof(out)), accept);
    CHECK_STR(str_at(accept, sizeof(accept)), STR("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
}

static void test_incremental(void)
{
    _cleanup_(sha256_wipe) struct sha256 d;
    uint8_t out[SHA256_BYTES];
    char piece[1000];

    sha256_begin(&d);
    memset(piece, 'a', sizeof(piece));
    for (int i = 0; i < 1000; i++)
        sha256_add(&d, str_at(piece, sizeof(piece)));
    sha256_peek(&d, out);
    CHECK(is_hex(out, 32, million_a_sha256));
    sha256_peek(&d, out); /* looking changes nothing */
    CHECK(is_hex(out, 32, million_a_sha256));

    sha256_begin(&d);
    sha256_add(&d, STR("a"));
    sha256_peek(&d, out);
    CHECK(!is_hex(out, 32, abc_sha256));
    sha256(STR("other work between"), out);
    sha256_add(&d, STR("bc"));
    sha256_peek(&d, out);
    CHECK(is_hex(out, 32, abc_sha256));
}

static void fill(char *p, size_t n, int c)
{
    memset(p, c, n);
}

/* RFC 4231, test cases 1 to 4, 6 and 7. */
static void test_hmac(void)
{
    char key[131], data[50];
    uint8_t out[SHA256_BYTES];

    fill(key, 20, 0x0b);
    hmac_sha256(str_at(key, 20), STR("Hi There"), out);
    CHECK(is_hex(out, 32, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"));
    hmac_sha256(STR("Jefe"), STR("what do ya want for nothing?"), out);
    CHECK(is_hex(out, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"));
    fill(key, 20, 0xaa);
    fill(data, 50, 0xdd);
    hmac_sha256(str_at(key, 20), str_at(data, 50), out);
    CHECK(is_hex(out, 32, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"));
    for (int i = 0; i < 25; i++)
        key[i] = (char)(i + 1);
    fill(data, 50, 0xcd);
    hmac_sha256(str_at(key, 25), str_at(data, 50), out);
    CHECK(is_hex(out, 32, "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"));
    fill(key, 131, 0xaa);
    hmac_sha256(
        str_at(key, 131), STR("Test Using Larger Than Block-Size Key - Hash Key First"), out);
    CHECK(is_hex(out, 32, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"));
    hmac_sha256_parts(str_at(key, 131),
        (struct str[]){STR("This is a test using a larger than block-size key and a larger "),
            STR("than block-size data. The key needs to be hashed before being used by the HMAC "
                "algorithm.")},
        2, out);
    CHECK(is_hex(out, 32, "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"));
}

static void *digest_often(void *ret_ok)
{
    uint8_t out[SHA256_BYTES];
    bool ok = true;

    for (int i = 0; i < 500; i++) {
        sha256(str_of(two_blocks), out);
        ok = ok && is_hex(out, 32, two_blocks_sha256);
    }
    *(bool *)ret_ok = ok;
    return NULL;
}

static void test_threads(void)
{
    pthread_t t[4];
    bool ok[4] = {false};

    for (int i = 0; i < 4; i++)
        CHECK_EQ(pthread_create(&t[i], NULL, digest_often, &ok[i]), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    CHECK(ok[0] && ok[1] && ok[2] && ok[3]);
}

int main(void)
{
    TAP_RUN(test_sha256);
    TAP_RUN(test_sha1);
    TAP_RUN(test_incremental);
    TAP_RUN(test_hmac);
    TAP_RUN(test_threads);
    return tap_done();
}
