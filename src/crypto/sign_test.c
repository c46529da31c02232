/*
 * RS256 against the example of RFC 7515 appendix A.2 (its published key, as PKCS #8), Ed25519
 * against the third test of RFC 8032 section 7.1, and the keys that are refused.
 */
#include "base/macros.h"
#include "base/tap.h"
#include "crypto/encode.h"
#include "crypto/sign.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>

/* clang-format off */
static const char rfc_key[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQCh+BYK4uPJtGXO\n"
    "jS1lYmM2K5J9vinh8CR3/BYlzJChNuOL2TSXxbbqY913EeZ8dCn5VrD7io8ImtxL\n"
    "aYk8wTM/U+3QGbh3hCUv7JFP5IV3aVlL6kKA0ywPVb9ilE8TA5a8bpvfbr3SvaNn\n"
    "juygxmj3AbONv/s4yDQs4v5tJ/reSlpIdJed1LnPmt7Ex1sFhSwsD174pcF1A5L5\n"
    "ROjtZMEQxrZHYJqkeDrrnGya11UxMFBji4NmXG9veoKjlnAqH2QbgtPr8jkiGUkf\n"
    "toaHLFcW9Qr4NY2ai50Xw0Byj3+H2JoY2PyrZ62EWQwuz3WTOTY8BwNNb2BvniHg\n"
    "VFbK5emhAgMBAAECggEAEq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyW\n"
    "PEAeP88vLNO97IjlA7/GQ5sLKMgvfTeXZx9SE+7YwVol2NXOoAJe46sui395IW/G\n"
    "O+pWJ1O0BkTGoVEn2bKVRUCgu+GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzj\n"
    "kn439X0M/V51gfpRLI9JYanrC4D4qAdGcopV/0ZHHzQlBjudU2QvXt4ehNYTCBr6\n"
    "XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl/x/jTj3ccPDVZFD9pIuhLhBOneufuBiB\n"
    "4cS98l2SR/RQyGWSeWjnczT0QU91p1DhOVRuOopznQKBgQDgHMQQ60imZV1URk0K\n"
    "pLttoLhyt3SmqdEf/kgHePDdtzEafpAu+cS191R2JiuoF2yzWXnwFDcqGigp5BNr\n"
    "0AHQfD8/Lk8l1Mk09jxxCfui5nYooNyac8YFjm3vItzVCVDnEd3BbVWG8qf6deqE\n"
    "lMGAg+C2V0L4oNXnP7LZcPAZRwKBgQC5A8R+CZW2MvRTLLHzwZkUXV866cff7tx6\n"
    "kqa0finGG0KgeqlaZPxgCZnFp7AeAcCMtiynVlJ7vMVgePsLq6XtON4tB5kP9jAP\n"
    "rq3rbAOal78eUH5OcED6eNuCV8ixEu1eWcPNCS/l1OW1EnXUEoEHKl54Xrrz2uNw\n"
    "kgMTP1FZ1wKBgAcCn1dwJKufzBWQxWQp1vsM5fggqPN1qGb5y0MAk3g7/Ls5bkUp\n"
    "5u9SN0Ai3Ya6hNnvWJMb7sXQX6U/zyO2M/hTip7tUeh7CXgwo59dkpN75gJLVds2\n"
    "9+DAncu3KXU4f2Fa+7bLNrur53k8KwPOq2bbuTG69QtV7Jr5MR0AHWKNAoGBAIf/\n"
    "evpitUf+4JYbLpvNXWcY052Mpz22aR84mY3nh3F2LF2mjMJDpTg7FmuyPcVw6EcG\n"
    "yoAe9fa65iNqCq+jdw6PVNGo2hxfjSiZ8IIzHdsPXI89//pMjZcQK9r+CCoRjaZj\n"
    "OYiIDktVWZzmevJuv6WywUqd57LE3Zar3dLSIkx1AoGAIYd7DHOhrWvxkwPQsRM2\n"
    "tOgrjbcrfvtQJipd+DlcxyVuuM9sQLdgjVk2oy26F0EmpScGLq2MowX7fhd/QJQ3\n"
    "ydy5cY7YIBi87w93IKLEdfnbJtoOPLUW0ITrJReOgo1cq9SbsxYawBgfp/gh6A56\n"
    "03k2+ZQwVK0JKSHuLFkuQ3U=\n"
    "-----END PRIVATE KEY-----\n"
    ;
static const char rfc_input[] =
    "eyJhbGciOiJSUzI1NiJ9"
    ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt"
    "cGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
static const char rfc_signature[] =
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7"
    "AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4"
    "BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K"
    "0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqv"
    "hJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrB"
    "p0igcN_IoypGlUPQGe77Rw";
/* clang-format on */

static void check_signature(struct str pem)
{
    struct sign_key *key = NULL;
    struct buf raw, text;

    buf_init(&raw, 1024);
    buf_init(&text, 1024);
    int opened = sign_key_new(pem, &key);
    int signed_r = opened == 0 ? sign_rs256(key, str_of(rfc_input), &raw) : -EINVAL;
    base64url_add(&text, buf_str(&raw));
    bool same = tap_str_eq(__FILE__, __LINE__, "signature", buf_str(&text), str_of(rfc_signature));
    buf_free(&raw);
    buf_free(&text);
    sign_key_free(key);
    CHECK_EQ(opened, 0);
    CHECK_EQ(signed_r, 0);
    CHECK(same);
}

static void test_rfc_example(void)
{
    check_signature(str_of(rfc_key));
}

/* Writes a key as PEM, as the older PKCS #1 or encrypted, and frees it. */
static size_t write_pem(EVP_PKEY *pkey, bool traditional, const char *password, char *out, size_t n)
{
    BIO *bio = BIO_new(BIO_s_mem());
    int wrote;

    if (traditional)
        wrote = PEM_write_bio_PrivateKey_traditional(bio, pkey, NULL, NULL, 0, NULL, NULL);
    else
        wrote = PEM_write_bio_PrivateKey(
            bio, pkey, password ? EVP_aes_128_cbc() : NULL, NULL, 0, NULL, (void *)password);
    int got = wrote == 1 ? BIO_read(bio, out, (int)n) : 0;
    BIO_free(bio);
    EVP_PKEY_free(pkey);
    return got > 0 ? (size_t)got : 0;
}

static EVP_PKEY *rfc_pkey(void)
{
    BIO *bio = BIO_new_mem_buf(rfc_key, -1);
    EVP_PKEY *pkey = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);

    BIO_free(bio);
    return pkey;
}

static void test_pkcs1(void)
{
    char pem[4096];
    size_t n = write_pem(rfc_pkey(), true, NULL, pem, sizeof(pem));

    CHECK(str_starts(str_at(pem, n), STR("-----BEGIN RSA ")));
    check_signature(str_at(pem, n));
}

static void check_refused(struct str pem)
{
    struct sign_key *key = NULL;

    CHECK_EQ(sign_key_new(pem, &key), -EINVAL);
    CHECK(key == NULL);
    CHECK_EQ(ERR_peek_error(), 0);
}

static void test_refused(void)
{
    char pem[4096];
    size_t n;

    check_refused(STR_NONE);
    check_refused(STR("not a key"));
    check_refused(str_to(str_of(rfc_key), sizeof(rfc_key) / 2));
    n = write_pem(rfc_pkey(), false, "password", pem, sizeof(pem));
    CHECK(str_find(str_at(pem, n), STR("ENCRYPTED")) > 0);
    check_refused(str_at(pem, n));
    n = write_pem(EVP_EC_gen("P-256"), false, NULL, pem, sizeof(pem));
    CHECK(n > 0);
    check_refused(str_at(pem, n));
    n = write_pem(EVP_RSA_gen(1024), false, NULL, pem, sizeof(pem));
    CHECK(n > 0);
    check_refused(str_at(pem, n));
}

static void test_no_room(void)
{
    struct sign_key *key = NULL;
    struct buf out;

    buf_init(&out, 255);
    CHECK_EQ(sign_key_new(str_of(rfc_key), &key), 0);
    int r = sign_rs256(key, STR("x"), &out);
    size_t n = out.n;
    buf_free(&out);
    sign_key_free(key);
    CHECK_EQ(r, -ENOBUFS);
    CHECK_EQ(n, 0);
}

/* RFC 8032 section 7.1, test 3: PKCS #8 is a fixed head and the 32 bytes of the secret key. */
static const char ed_head[] = "302e020100300506032b657004220420";
static const char ed_secret[] = "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7";
static const char ed_public[] = "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025";
static const char ed_signature[] =
    "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
    "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a";

static size_t ed_pem(char *out, size_t n)
{
    uint8_t der[64];
    char text[128];
    ssize_t head = hex_decode(str_of(ed_head), der);

    must(head == 16 && hex_decode(str_of(ed_secret), der + head) == 32);
    base64_encode(str_at((char *)der, 48), text);
    return (size_t)snprintf(
        out, n, "-----BEGIN PRIVATE KEY-----\n%.64s\n-----END PRIVATE KEY-----\n", text);
}

static void test_ed25519_rfc(void)
{
    char pem[256], hex[2 * ED25519_SIGNATURE_BYTES];
    uint8_t sig[ED25519_SIGNATURE_BYTES], public[ED25519_KEY_BYTES];
    struct str data = STR("\xaf\x82");
    struct sign_key *key = NULL;

    CHECK_EQ(sign_ed25519_new(str_at(pem, ed_pem(pem, sizeof(pem))), &key), 0);
    int r = sign_ed25519(key, data, sig), p = sign_ed25519_public(key, public);
    sign_key_free(key);
    CHECK_EQ(r, 0);
    CHECK_EQ(p, 0);
    hex_encode(str_at((char *)sig, sizeof(sig)), hex);
    CHECK_STR(str_at(hex, sizeof(hex)), str_of(ed_signature));
    hex_encode(str_at((char *)public, sizeof(public)), hex);
    CHECK_STR(str_at(hex, 2 * sizeof(public)), str_of(ed_public));
    CHECK_EQ(verify_ed25519(public, data, sig), 0);
    CHECK_EQ(verify_ed25519(public, STR("\xaf\x83"), sig), -EBADMSG);
    for (size_t i = 0; i < sizeof(sig); i++) {
        sig[i] ^= 1;
        CHECK_EQ(verify_ed25519(public, data, sig), -EBADMSG);
        sig[i] ^= 1;
    }
    public[3] ^= 1;
    CHECK_EQ(verify_ed25519(public, data, sig), -EBADMSG);
    CHECK_EQ(ERR_peek_error(), 0);
}

/* Made, written as PEM, read back; each kind of key is refused where the other is wanted. */
static void test_ed25519_pem(void)
{
    struct buf secret, public;
    struct sign_key *key = NULL, *rsa = NULL;
    uint8_t raw[ED25519_KEY_BYTES], read[ED25519_KEY_BYTES], sig[ED25519_SIGNATURE_BYTES];

    buf_init(&secret, 4096);
    buf_init(&public, 4096);
    int made = sign_ed25519_make(&secret);
    int as_rsa = sign_key_new(buf_str(&secret), &rsa);
    int opened = sign_ed25519_new(buf_str(&secret), &key);
    int r = sign_ed25519_public_pem(key, &public) | sign_ed25519_public(key, raw) |
            verify_ed25519_read_pem(buf_str(&public), read) | sign_ed25519(key, STR("x"), sig);
    int from_secret = verify_ed25519_read_pem(buf_str(&secret), read);
    buf_free(&secret);
    buf_free(&public);
    int rs = sign_rs256(key, STR("x"), &secret);
    buf_free(&secret);
    sign_key_free(key);
    CHECK_EQ(made, 0);
    CHECK_EQ(as_rsa, -EINVAL);
    CHECK_EQ(opened, 0);
    CHECK_EQ(r, 0);
    CHECK_EQ(from_secret, -EINVAL);
    CHECK(rs < 0);
    CHECK(memcmp(raw, read, sizeof(raw)) == 0);
    CHECK_EQ(verify_ed25519(read, STR("x"), sig), 0);
    CHECK_EQ(sign_key_new(str_of(rfc_key), &rsa), 0);
    int ed = sign_ed25519(rsa, STR("x"), sig), pub = sign_ed25519_public(rsa, raw);
    sign_key_free(rsa);
    CHECK_EQ(ed, -EINVAL);
    CHECK_EQ(pub, -EINVAL);
    CHECK_EQ(sign_ed25519_new(str_of(rfc_key), &key), -EINVAL);
    CHECK_EQ(sign_ed25519_new(STR_NONE, &key), -EINVAL);
    CHECK_EQ(verify_ed25519_read_pem(STR("none"), raw), -EINVAL);
    CHECK_EQ(ERR_peek_error(), 0);
}

int main(void)
{
    TAP_RUN(test_ed25519_rfc);
    TAP_RUN(test_ed25519_pem);
    TAP_RUN(test_rfc_example);
    TAP_RUN(test_pkcs1);
    TAP_RUN(test_refused);
    TAP_RUN(test_no_room);
    return tap_done();
}
