/*
 * RS256 (RSASSA-PKCS1-v1_5 with SHA-256, RFC 7518 section 3.3): what signs the assertion that a
 * Google service account exchanges for an access token.
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

#endif
