/*
 * Digests: SHA-256 for keys, caches and the journal, HMAC-SHA-256 for signatures, and SHA-1 only
 * because the WebSocket handshake is defined with it. A digest has no way to fail but want of
 * memory at a thread's first use, which ends the process; so these return nothing.
 *
 * Secrets and tokens are compared by mem_ct_eq (base/secret.h), digests of them too.
 */
#ifndef SF_CRYPTO_DIGEST_H
#define SF_CRYPTO_DIGEST_H

#include "base/str.h"

#define SHA1_BYTES   20
#define SHA256_BYTES 32
#define SHA256_HEX   65 /* 64 lower-case hex digits and a NUL */

void sha1(struct str data, uint8_t out[static SHA1_BYTES]);
void sha256(struct str data, uint8_t out[static SHA256_BYTES]);
void sha256_hex(struct str data, char out[static SHA256_HEX]);
/* Of the parts one behind the other, without joining them in memory. */
void sha256_parts(const struct str *parts, size_t n, uint8_t out[static SHA256_BYTES]);

void hmac_sha256(struct str key, struct str data, uint8_t out[static SHA256_BYTES]);
void hmac_sha256_parts(
    struct str key, const struct str *parts, size_t n, uint8_t out[static SHA256_BYTES]);

/* A digest whose data comes in pieces, with other work between. */
struct sha256 {
    _Alignas(8) unsigned char state_[112];
};

void sha256_begin(struct sha256 *d);
void sha256_add(struct sha256 *d, struct str piece);
/* The digest of what came so far; more may follow. */
void sha256_peek(const struct sha256 *d, uint8_t out[static SHA256_BYTES]);
void sha256_wipe(struct sha256 *d); /* what was hashed may be secret; also for _cleanup_ */

#endif
