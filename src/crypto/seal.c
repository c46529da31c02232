/*
 * AES-256-GCM over OpenSSL. The error queue of the thread is emptied before returning, and what was
 * decrypted lies in memory that is wiped, also where the tag turns out to be wrong.
 */
#include "crypto/seal.h"

#include "crypto/random.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdlib.h>

static void ctx_free(EVP_CIPHER_CTX **c)
{
    EVP_CIPHER_CTX_free(*c);
    ERR_clear_error();
}

/* text is encrypted or decrypted into out, of the same length, with label authenticated. */
static bool run(EVP_CIPHER_CTX *c, bool encrypt, const uint8_t *key, const uint8_t *nonce,
    struct str label, struct str text, uint8_t *out)
{
    int n;

    return EVP_CipherInit_ex(c, EVP_aes_256_gcm(), NULL, key, nonce, encrypt) == 1 &&
           (!label.n || EVP_CipherUpdate(c, NULL, &n, (const uint8_t *)label.p, (int)label.n)) &&
           (!text.n || EVP_CipherUpdate(c, out, &n, (const uint8_t *)text.p, (int)text.n));
}

int seal(
    const uint8_t key[static SEAL_KEY_BYTES], struct str label, struct str plain, struct buf *out)
{
    _cleanup_(ctx_free) EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    uint8_t nonce[SEAL_NONCE_BYTES], rest[EVP_MAX_BLOCK_LENGTH];
    int n, r;

    if (plain.n > SEAL_MAX_BYTES || label.n > SEAL_MAX_BYTES)
        return -EMSGSIZE;
    if ((r = buf_reserve(out, SEAL_OVERHEAD + plain.n)) < 0)
        return r;
    crypto_random(nonce, sizeof nonce);
    uint8_t *to = (uint8_t *)out->p + out->n;
    memcpy(to, nonce, sizeof nonce);
    uint8_t *text = to + SEAL_NONCE_BYTES, *tag = text + plain.n;
    if (!c || !run(c, true, key, nonce, label, plain, text) ||
        EVP_CipherFinal_ex(c, rest, &n) != 1 ||
        EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, SEAL_TAG_BYTES, tag) != 1)
        return -ENOMEM;
    out->n += SEAL_OVERHEAD + plain.n;
    return 0;
}

static int open_into(
    EVP_CIPHER_CTX *c, const uint8_t *key, struct str label, struct str sealed, uint8_t *plain)
{
    size_t length = sealed.n - SEAL_OVERHEAD;
    struct str text = str_at(sealed.p + SEAL_NONCE_BYTES, length);
    uint8_t tag[SEAL_TAG_BYTES], rest[EVP_MAX_BLOCK_LENGTH];
    int n;

    memcpy(tag, text.p + length, sizeof tag);
    if (!run(c, false, key, (const uint8_t *)sealed.p, label, text, plain) ||
        EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, SEAL_TAG_BYTES, tag) != 1 ||
        EVP_CipherFinal_ex(c, rest, &n) != 1)
        return -EBADMSG;
    return 0;
}

int seal_open(const uint8_t key[static SEAL_KEY_BYTES], struct str label, struct str sealed,
    struct secret *ret)
{
    if (sealed.n < SEAL_OVERHEAD || sealed.n > SEAL_OVERHEAD + SEAL_MAX_BYTES ||
        label.n > SEAL_MAX_BYTES)
        return -EBADMSG;

    _cleanup_(ctx_free) EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    size_t n = sealed.n - SEAL_OVERHEAD;
    uint8_t *plain = malloc(n + 1);
    int r = c && plain ? open_into(c, key, label, sealed, plain) : -ENOMEM;

    if (r == 0)
        r = secret_set(ret, str_at((char *)plain, n));
    if (plain)
        mem_wipe(plain, n);
    free(plain);
    return r;
}
