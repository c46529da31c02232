/*
 * Sealing: a small text made unreadable, and unchangeable, under a key of 32 bytes (AES-256-GCM,
 * NIST SP 800-38D). What is sealed is bound to a label, which is not secret: it opens under the
 * same key and label alone, so that a sealed text cannot be put in another's place.
 *
 * The form is nonce (12 random bytes), ciphertext, tag (16). A key may seal 2^32 texts before
 * random nonces become a risk; the vault seals a few a day.
 */
#ifndef SF_CRYPTO_SEAL_H
#define SF_CRYPTO_SEAL_H

#include "base/buf.h"
#include "base/secret.h"

#define SEAL_KEY_BYTES   32
#define SEAL_NONCE_BYTES 12
#define SEAL_TAG_BYTES   16
#define SEAL_OVERHEAD    (SEAL_NONCE_BYTES + SEAL_TAG_BYTES)
#define SEAL_MAX_BYTES   ((size_t)64 * 1024) /* of one text */

/* Appends plain, sealed. 0, -EMSGSIZE, -ENOMEM, or the buffer's error. */
int seal(
    const uint8_t key[static SEAL_KEY_BYTES], struct str label, struct str plain, struct buf *out);
/* 0, or -EBADMSG: another key or label, or changed; or -ENOMEM. */
int seal_open(const uint8_t key[static SEAL_KEY_BYTES], struct str label, struct str sealed,
    struct secret *ret);

#endif
