/*
 * Digests over OpenSSL's plain functions rather than EVP: with EVP each digest costs a heap
 * allocation (OpenSSL 3 makes the algorithm's state anew at every start) and look-ups that take as
 * long as hashing a short text. The state of these lies on the stack. Nothing here suspends.
 */
#define OPENSSL_SUPPRESS_DEPRECATED /* they are, in favour of EVP */
#include "crypto/digest.h"
#include "base/macros.h"
#include "base/secret.h"
#include "crypto/encode.h"

#include <openssl/sha.h>

#define BLOCK 64 /* of SHA-256, which HMAC pads its key to */

void sha1(struct str data, uint8_t out[static SHA1_BYTES])
{
    SHA_CTX ctx;

    must(SHA1_Init(&ctx) == 1);
    if (data.n)
        must(SHA1_Update(&ctx, data.p, data.n) == 1);
    must(SHA1_Final(out, &ctx) == 1);
    mem_wipe(&ctx, sizeof(ctx));
}

static void start(SHA256_CTX *ctx)
{
    must(SHA256_Init(ctx) == 1);
}

static void add(SHA256_CTX *ctx, struct str s)
{
    if (s.n)
        must(SHA256_Update(ctx, s.p, s.n) == 1);
}

/* What was hashed may be secret, and its last block is still in the state. */
static void finish(SHA256_CTX *ctx, uint8_t *out)
{
    must(SHA256_Final(out, ctx) == 1);
    mem_wipe(ctx, sizeof(*ctx));
}

void sha256_parts(const struct str *parts, size_t n, uint8_t out[static SHA256_BYTES])
{
    SHA256_CTX ctx;

    start(&ctx);
    for (size_t i = 0; i < n; i++)
        add(&ctx, parts[i]);
    finish(&ctx, out);
}

void sha256(struct str data, uint8_t out[static SHA256_BYTES])
{
    sha256_parts(&data, 1, out);
}

void sha256_hex(struct str data, char out[static SHA256_HEX])
{
    uint8_t digest[SHA256_BYTES];

    sha256(data, digest);
    hex_encode(str_at((const char *)digest, sizeof(digest)), out);
    out[2 * SHA256_BYTES] = '\0';
}

static void flip(uint8_t pad[static BLOCK], uint8_t with)
{
    for (size_t i = 0; i < BLOCK; i++)
        pad[i] ^= with;
}

/* RFC 2104: H(key ^ 0x5c…, H(key ^ 0x36…, data)). */
void hmac_sha256_parts(
    struct str key, const struct str *parts, size_t n, uint8_t out[static SHA256_BYTES])
{
    uint8_t pad[BLOCK] = {0}, inner[SHA256_BYTES];
    struct str pad_view = str_at((const char *)pad, BLOCK);

    if (key.n > BLOCK)
        sha256(key, pad);
    else if (key.n)
        memcpy(pad, key.p, key.n);

    SHA256_CTX ctx;
    flip(pad, 0x36);
    start(&ctx);
    add(&ctx, pad_view);
    for (size_t i = 0; i < n; i++)
        add(&ctx, parts[i]);
    finish(&ctx, inner);

    flip(pad, 0x36 ^ 0x5c);
    start(&ctx);
    add(&ctx, pad_view);
    add(&ctx, str_at((const char *)inner, sizeof(inner)));
    finish(&ctx, out);
    mem_wipe(pad, sizeof(pad));
    mem_wipe(inner, sizeof(inner));
}

void hmac_sha256(struct str key, struct str data, uint8_t out[static SHA256_BYTES])
{
    hmac_sha256_parts(key, &data, 1, out);
}

_Static_assert(sizeof(((struct sha256 *)0)->state_) >= sizeof(SHA256_CTX), "room for the state");

void sha256_begin(struct sha256 *d)
{
    start((SHA256_CTX *)(void *)d->state_);
}

void sha256_add(struct sha256 *d, struct str piece)
{
    add((SHA256_CTX *)(void *)d->state_, piece);
}

void sha256_peek(const struct sha256 *d, uint8_t out[static SHA256_BYTES])
{
    SHA256_CTX copy;

    memcpy(&copy, d->state_, sizeof(copy));
    finish(&copy, out);
}

void sha256_wipe(struct sha256 *d)
{
    mem_wipe(d->state_, sizeof(d->state_));
}
