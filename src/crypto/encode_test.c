/*
 * Hex and base64 against RFC 4648, strictness, and CRC-32 against its known answers.
 */
#include "base/buf.h"
#include "base/macros.h"
#include "base/tap.h"
#include "crypto/encode.h"

#include <errno.h>

static const struct {
    struct str plain, text, url;
} vectors[] = {
    {STR_INIT(""), STR_INIT(""), STR_INIT("")},
    {STR_INIT("f"), STR_INIT("Zg=="), STR_INIT("Zg")},
    {STR_INIT("fo"), STR_INIT("Zm8="), STR_INIT("Zm8")},
    {STR_INIT("foo"), STR_INIT("Zm9v"), STR_INIT("Zm9v")},
    {STR_INIT("foob"), STR_INIT("Zm9vYg=="), STR_INIT("Zm9vYg")},
    {STR_INIT("fooba"), STR_INIT("Zm9vYmE="), STR_INIT("Zm9vYmE")},
    {STR_INIT("foobar"), STR_INIT("Zm9vYmFy"), STR_INIT("Zm9vYmFy")},
    {STR_INIT("\xfb\xff\xfe"), STR_INIT("+//+"), STR_INIT("-__-")},
};

static void test_base64(void)
{
    char out[64];

    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        struct str plain = vectors[i].plain, text = vectors[i].text, url = vectors[i].url;
        CHECK_EQ(BASE64_SIZE(plain.n), text.n);
        CHECK_EQ(BASE64URL_SIZE(plain.n), url.n);
        base64_encode(plain, out);
        CHECK_STR(str_at(out, text.n), text);
        base64url_encode(plain, out);
        CHECK_STR(str_at(out, url.n), url);
        CHECK_EQ(base64_decode(text, out), plain.n);
        CHECK_STR(str_at(out, plain.n), plain);
        CHECK_EQ(base64url_decode(url, out), plain.n);
        CHECK_STR(str_at(out, plain.n), plain);
    }
}

static void test_base64_strict(void)
{
    static const struct str bad[] = {STR_INIT("Zg"), STR_INIT("Zg="), STR_INIT("Zg==="),
        STR_INIT("Z==="), STR_INIT("===="), STR_INIT("Zh=="), STR_INIT("Zm9="), STR_INIT("Zm9v\n"),
        STR_INIT(" Zm9v"), STR_INIT("Zm9v===="), STR_INIT("Zg==Zg=="), STR_INIT("-__-"),
        STR_INIT("Zm9\xff"), STR_INIT("Zm=v"), STR_INIT("\0\0\0\0")};
    static const struct str bad_url[] = {STR_INIT("Zg=="), STR_INIT("Z"), STR_INIT("Zm9vZ"),
        STR_INIT("Zh"), STR_INIT("Zm9"), STR_INIT("+//+"), STR_INIT("Zm 9"), STR_INIT("Zm9v\n")};
    char out[64];

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        CHECK_EQ(base64_decode(bad[i], out), -EINVAL);
    for (size_t i = 0; i < ARRAY_LEN(bad_url); i++)
        CHECK_EQ(base64url_decode(bad_url[i], out), -EINVAL);
}

/* Of all 256 characters, exactly those of the alphabet decode. */
static void test_alphabets(void)
{
    char out[4], text[4] = "AAAA";
    int std = 0, url = 0, hex = 0;

    for (int c = 0; c < 256; c++) {
        text[1] = (char)c;
        std += base64_decode(str_at(text, 4), out) == 3;
        url += base64url_decode(str_at(text, 4), out) == 3;
        hex += hex_decode(str_at(text, 2), out) == 1;
    }
    CHECK_EQ(std, 64);
    CHECK_EQ(url, 64);
    CHECK_EQ(hex, 22);
}

static void test_hex(void)
{
    char out[16];

    hex_encode(STR("\x00\x7f\xff"), out);
    CHECK_STR(str_at(out, 6), STR("007fff"));
    CHECK_EQ(hex_decode(STR("00fFAb"), out), 3);
    CHECK_STR(str_at(out, 3), STR("\x00\xff\xab"));
    CHECK_EQ(hex_decode(STR(""), out), 0);
    CHECK_EQ(hex_decode(STR("0"), out), -EINVAL);
    CHECK_EQ(hex_decode(STR("0g"), out), -EINVAL);
    CHECK_EQ(hex_decode(STR("g0"), out), -EINVAL);
}

static void test_buffer(void)
{
    _cleanup_(buf_free) struct buf b;

    buf_init(&b, 12);
    CHECK_EQ(base64_add(&b, STR("fo")), 0);
    CHECK_EQ(base64url_add(&b, STR("fo")), 0);
    CHECK_STR(buf_str(&b), STR("Zm8=Zm8"));
    CHECK_EQ(base64_add(&b, STR("foobar")), -ENOBUFS);
    CHECK_EQ(b.err, -ENOBUFS);
    CHECK_STR(buf_str(&b), STR("Zm8=Zm8"));
}

static void test_crc32(void)
{
    struct str text = STR("The quick brown fox jumps over the lazy dog");

    CHECK_EQ(crc32_ieee(0, STR("123456789")), 0xcbf43926);
    CHECK_EQ(crc32_ieee(0, text), 0x414fa339);
    CHECK_EQ(crc32_ieee(0, STR_NONE), 0);
    for (size_t i = 0; i <= text.n; i++) {
        uint32_t crc = crc32_ieee(0, str_to(text, i));
        CHECK_EQ(crc32_ieee(crc, str_from(text, i)), 0x414fa339);
    }
}

int main(void)
{
    TAP_RUN(test_base64);
    TAP_RUN(test_base64_strict);
    TAP_RUN(test_alphabets);
    TAP_RUN(test_hex);
    TAP_RUN(test_buffer);
    TAP_RUN(test_crc32);
    return tap_done();
}
