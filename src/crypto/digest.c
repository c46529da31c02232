/*
 * Digests over OpenSSL's EVP. Fetching an algorithm and creating a context cost more than hashing a
 * short text; so algorithms are fetched once per process, and each thread keeps one context per
 * algorithm that its one-shot digests reuse. Nothing here suspends.
 */
#include "crypto/digest.h"
#include "base/macros.h"
#include "base/secret.h"
#include "crypto/encode.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <pthread.h>

#define BLOCK 64 /* of SHA-256, which HMAC pads its key to */

enum algorithm { ALG_SHA1, ALG_SHA256, ALG_N };

static EVP_MD *algorithms[ALG_N];
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t thread_end;

/* contexts[ALG_N] is a spare that sha256_peek copies into. */
static _Thread_local EVP_MD_CTX *contexts[ALG_N + 1];

static void free_contexts(void *arg)
{
    for (int i = 0; i <= ALG_N; i++) {
        EVP_MD_CTX_free(contexts[i]);
        contexts[i] = NULL;
    }
}

static void set_up(void)
{
    algorithms[ALG_SHA1] = EVP_MD_fetch(NULL, "SHA1", NULL);
    algorithms[ALG_SHA256] = EVP_MD_fetch(NULL, "SHA256", NULL);
    must(algorithms[ALG_SHA1] && algorithms[ALG_SHA256]);
    must(pthread_key_create(&thread_end, free_contexts) == 0);
}

static EVP_MD_CTX *thread_context(int which)
{
    if (unlikely(!contexts[which])) {
        pthread_once(&once, set_up);
        must((contexts[which] = EVP_MD_CTX_new()) != NULL);
        must(pthread_setspecific(thread_end, contexts) == 0);
    }
    return contexts[which];
}

/* The thread's context, ready to take the first byte. */
static EVP_MD_CTX *start(enum algorithm a)
{
    EVP_MD_CTX *ctx = thread_context((int)a);

    must(EVP_DigestInit_ex2(ctx, algorithms[a], NULL) == 1);
    return ctx;
}

static void add(EVP_MD_CTX *ctx, struct str s)
{
    if (s.n)
        must(EVP_DigestUpdate(ctx, s.p, s.n) == 1);
}

static void finish(EVP_MD_CTX *ctx, uint8_t *out)
{
    must(EVP_DigestFinal_ex(ctx, out, NULL) == 1);
}

void sha1(struct str data, uint8_t out[static SHA1_BYTES])
{
    EVP_MD_CTX *ctx = start(ALG_SHA1);

    add(ctx, data);
    finish(ctx, out);
}

void sha256_parts(const struct str *parts, size_t n, uint8_t out[static SHA256_BYTES])
{
    EVP_MD_CTX *ctx = start(ALG_SHA256);

    for (size_t i = 0; i < n; i++)
        add(ctx, parts[i]);
    finish(ctx, out);
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

    flip(pad, 0x36);
    EVP_MD_CTX *ctx = start(ALG_SHA256);
    add(ctx, pad_view);
    for (size_t i = 0; i < n; i++)
        add(ctx, parts[i]);
    finish(ctx, inner);

    flip(pad, 0x36 ^ 0x5c);
    ctx = start(ALG_SHA256);
    add(ctx, pad_view);
    add(ctx, str_at((const char *)inner, sizeof(inner)));
    finish(ctx, out);
    mem_wipe(pad, sizeof(pad));
    mem_wipe(inner, sizeof(inner));
}

void hmac_sha256(struct str key, struct str data, uint8_t out[static SHA256_BYTES])
{
    hmac_sha256_parts(key, &data, 1, out);
}

int sha256_begin(struct sha256 *d)
{
    pthread_once(&once, set_up);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (!ctx || EVP_DigestInit_ex2(ctx, algorithms[ALG_SHA256], NULL) != 1) {
        EVP_MD_CTX_free(ctx);
        ERR_clear_error();
        d->ctx_ = NULL;
        return -ENOMEM;
    }
    d->ctx_ = ctx;
    return 0;
}

void sha256_add(struct sha256 *d, struct str piece)
{
    add(d->ctx_, piece);
}

void sha256_peek(const struct sha256 *d, uint8_t out[static SHA256_BYTES])
{
    EVP_MD_CTX *copy = thread_context(ALG_N);

    must(EVP_MD_CTX_copy_ex(copy, d->ctx_) == 1);
    finish(copy, out);
}

void sha256_free(struct sha256 *d)
{
    EVP_MD_CTX_free(d->ctx_);
    d->ctx_ = NULL;
}
