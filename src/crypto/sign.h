/*
 * Signatures. RS256 (RSASSA-PKCS1-v1_5 with SHA-256, RFC 7518 section 3.3): what signs the
 * assertion that a Google service account exchanges for an access token. Ed25519 (RFC 8032): what
 * signs the journal's checkpoints, so that anybody can check them with the public key alone.
 */
#ifndef SF_CRYPTO_SIGN_H
#define SF_CRYPTO_SIGN_H

#include "base/buf.h"
#include "base/str.h"

struct sign_key; /* a private key; may be used by any number of threads at once */

/* pem: one unencrypted RSA private key (PKCS #8 or PKCS #1) of at least 2,048 bits; anything else
 * is -EINVAL. The text is not kept. */
int sign_key_new(struct str pem, struct sign_key **ret_key);
void sign_key_free(struct sign_key *key); /* NULL is allowed */

/* Appends the raw signature of data. Takes about a millisecond: keep the result, not the habit. */
int sign_rs256(const struct sign_key *key, struct str data, struct buf *out);

#define ED25519_KEY_BYTES       32 /* of a public key, raw */
#define ED25519_SIGNATURE_BYTES 64

/* A fresh private key, appended as PEM (PKCS #8). */
int sign_ed25519_make(struct buf *out_pem);
/* pem: one unencrypted Ed25519 private key; anything else is -EINVAL. */
int sign_ed25519_new(struct str pem, struct sign_key **ret_key);
int sign_ed25519(
    const struct sign_key *key, struct str data, uint8_t out[static ED25519_SIGNATURE_BYTES]);
/* Its public half, raw; and as PEM (SubjectPublicKeyInfo), appended. */
int sign_ed25519_public(const struct sign_key *key, uint8_t out[static ED25519_KEY_BYTES]);
int sign_ed25519_public_pem(const struct sign_key *key, struct buf *out);

/* The raw public key in a PEM text; -EINVAL when that holds none of Ed25519. */
int verify_ed25519_read_pem(struct str pem, uint8_t out[static ED25519_KEY_BYTES]);
/* 0, or -EBADMSG when the signature does not belong to the data and the key. */
int verify_ed25519(const uint8_t key[static ED25519_KEY_BYTES], struct str data,
    const uint8_t signature[static ED25519_SIGNATURE_BYTES]);

#endif
