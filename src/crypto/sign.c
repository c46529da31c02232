/*
 * RS256 over OpenSSL. The error queue of the thread is emptied before returning, so that a later
 * TLS call on the same thread does not find an error that is not its own.
 */
#include "crypto/sign.h"

#include <errno.h>
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>

#define LEAST_BITS 2048
#define MOST_BITS  16384 /* as OpenSSL's own maximum; bounds the time of one signature */

struct sign_key {
    EVP_PKEY *pkey;
};

/* Without this OpenSSL would ask for a password on the terminal. */
static int no_password(char *buf, int size, int writing, void *arg)
{
    return -1;
}

static EVP_PKEY *read_pem(struct str pem)
{
    if (pem.n == 0 || pem.n > INT_MAX)
        return NULL;
    BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
    EVP_PKEY *pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
    BIO_free(bio);
    ERR_clear_error();
    return pkey;
}

static int is_usable(EVP_PKEY *pkey)
{
    int bits = EVP_PKEY_get_bits(pkey);

    return EVP_PKEY_is_a(pkey, "RSA") && bits >= LEAST_BITS && bits <= MOST_BITS;
}

int sign_key_new(struct str pem, struct sign_key **ret_key)
{
    EVP_PKEY *pkey = read_pem(pem);
    struct sign_key *key;

    if (!pkey)
        return -EINVAL;
    if (!is_usable(pkey)) {
        EVP_PKEY_free(pkey);
        return -EINVAL;
    }
    key = malloc(sizeof(*key));
    if (!key) {
        EVP_PKEY_free(pkey);
        return -ENOMEM;
    }
    key->pkey = pkey;
    *ret_key = key;
    return 0;
}

void sign_key_free(struct sign_key *key)
{
    if (!key)
        return;
    EVP_PKEY_free(key->pkey);
    free(key);
}

static int sign_with(EVP_MD_CTX *ctx, EVP_PKEY *pkey, struct str data, struct buf *out)
{
    size_t n = (size_t)EVP_PKEY_get_size(pkey);
    int r = buf_reserve(out, n);

    if (r < 0)
        return r;
    if (EVP_DigestSignInit_ex(ctx, NULL, "SHA256", NULL, NULL, pkey, NULL) != 1)
        return -ENOMEM;
    if (EVP_DigestSign(
            ctx, (unsigned char *)out->p + out->n, &n, (const unsigned char *)data.p, data.n) != 1)
        return -EINVAL;
    out->n += n;
    return 0;
}

int sign_rs256(const struct sign_key *key, struct str data, struct buf *out)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int r = ctx ? sign_with(ctx, key->pkey, data, out) : -ENOMEM;

    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    return r;
}
