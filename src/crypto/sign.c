/*
 * RS256 and Ed25519 over OpenSSL. The error queue of the thread is emptied before returning, so
 * that a later TLS call on the same thread does not find an error that is not its own.
 */
#include "crypto/sign.h"
#include "base/secret.h"

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

static bool is_rsa(EVP_PKEY *pkey)
{
    int bits = EVP_PKEY_get_bits(pkey);

    return EVP_PKEY_is_a(pkey, "RSA") && bits >= LEAST_BITS && bits <= MOST_BITS;
}

static bool is_ed25519(EVP_PKEY *pkey)
{
    return EVP_PKEY_is_a(pkey, "ED25519");
}

static int key_new(struct str pem, bool (*usable)(EVP_PKEY *), struct sign_key **ret_key)
{
    EVP_PKEY *pkey = read_pem(pem);
    struct sign_key *key;

    if (!pkey)
        return -EINVAL;
    if (!usable(pkey)) {
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

int sign_key_new(struct str pem, struct sign_key **ret_key)
{
    return key_new(pem, is_rsa, ret_key);
}

int sign_ed25519_new(struct str pem, struct sign_key **ret_key)
{
    return key_new(pem, is_ed25519, ret_key);
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

static int sign_once(EVP_MD_CTX *ctx, EVP_PKEY *pkey, struct str data, uint8_t *out)
{
    size_t n = ED25519_SIGNATURE_BYTES;

    if (EVP_DigestSignInit(ctx, NULL, NULL, NULL, pkey) != 1)
        return -ENOMEM;
    if (EVP_DigestSign(ctx, out, &n, (const unsigned char *)data.p, data.n) != 1)
        return -EINVAL;
    return n == ED25519_SIGNATURE_BYTES ? 0 : -EINVAL;
}

int sign_ed25519(
    const struct sign_key *key, struct str data, uint8_t out[static ED25519_SIGNATURE_BYTES])
{
    if (!is_ed25519(key->pkey))
        return -EINVAL;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int r = ctx ? sign_once(ctx, key->pkey, data, out) : -ENOMEM;

    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    return r;
}

/* Appends what was written to a memory BIO, wipes and frees it. */
static int take_bio(BIO *bio, int wrote, struct buf *out)
{
    char *p = NULL;
    long n = wrote == 1 ? BIO_get_mem_data(bio, &p) : 0;
    int r = n > 0 ? buf_add(out, p, (size_t)n) : -ENOMEM;

    if (n > 0)
        mem_wipe(p, (size_t)n);
    BIO_free(bio);
    ERR_clear_error();
    return r;
}

int sign_ed25519_make(struct buf *out_pem)
{
    EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    BIO *bio = pkey ? BIO_new(BIO_s_mem()) : NULL;
    int wrote = bio ? PEM_write_bio_PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL) : 0;

    EVP_PKEY_free(pkey);
    return take_bio(bio, wrote, out_pem);
}

int sign_ed25519_public_pem(const struct sign_key *key, struct buf *out)
{
    BIO *bio = BIO_new(BIO_s_mem());

    return take_bio(bio, bio ? PEM_write_bio_PUBKEY(bio, key->pkey) : 0, out);
}

static int raw_public(EVP_PKEY *pkey, uint8_t out[static ED25519_KEY_BYTES])
{
    size_t n = ED25519_KEY_BYTES;

    if (!is_ed25519(pkey) || EVP_PKEY_get_raw_public_key(pkey, out, &n) != 1)
        return -EINVAL;
    return n == ED25519_KEY_BYTES ? 0 : -EINVAL;
}

int sign_ed25519_public(const struct sign_key *key, uint8_t out[static ED25519_KEY_BYTES])
{
    return raw_public(key->pkey, out);
}

int verify_ed25519_read_pem(struct str pem, uint8_t out[static ED25519_KEY_BYTES])
{
    if (pem.n == 0 || pem.n > INT_MAX)
        return -EINVAL;
    BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
    EVP_PKEY *pkey = bio ? PEM_read_bio_PUBKEY(bio, NULL, no_password, NULL) : NULL;
    int r = pkey ? raw_public(pkey, out) : -EINVAL;

    EVP_PKEY_free(pkey);
    BIO_free(bio);
    ERR_clear_error();
    return r;
}

int verify_ed25519(const uint8_t key[static ED25519_KEY_BYTES], struct str data,
    const uint8_t signature[static ED25519_SIGNATURE_BYTES])
{
    EVP_PKEY *pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key, ED25519_KEY_BYTES);
    EVP_MD_CTX *ctx = pkey ? EVP_MD_CTX_new() : NULL;
    bool good = ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
                EVP_DigestVerify(ctx, signature, ED25519_SIGNATURE_BYTES,
                    (const unsigned char *)data.p, data.n) == 1;

    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(pkey);
    ERR_clear_error();
    return good ? 0 : -EBADMSG;
}
