/*
 * Bytes as text: hex (RFC 4648 section 8), base64 (section 4) and its URL-safe form without padding
 * (section 5, as in JWTs); and the CRC-32 of IEEE 802.3 that AWS event streams carry.
 *
 * Encoders write exactly the size that their macro states, without a NUL. Decoders are strict: no
 * white space, no missing or needless padding, no set bits behind the last byte; so one value has
 * one spelling (but hex takes both cases). They return the number of bytes written, or -EINVAL.
 * out may not overlap the input.
 */
#ifndef SF_CRYPTO_ENCODE_H
#define SF_CRYPTO_ENCODE_H

#include "base/str.h"

#include <sys/types.h>

struct buf;

#define HEX_SIZE(n)         (2 * (n))
#define BASE64_SIZE(n)      (((n) + 2) / 3 * 4)
#define BASE64URL_SIZE(n)   ((n) / 3 * 4 + ((n) % 3 ? (n) % 3 + 1 : 0))
#define BASE64_MAX_BYTES(n) ((n) / 4 * 3 + 3) /* room that decoding n characters may need */

void hex_encode(struct str in, char *out);
ssize_t hex_decode(struct str in, void *out);

void base64_encode(struct str in, char *out);
ssize_t base64_decode(struct str in, void *out);
void base64url_encode(struct str in, char *out);
ssize_t base64url_decode(struct str in, void *out);

/* The same, appended to a buffer: 0 or the buffer's error. */
int base64_add(struct buf *b, struct str in);
int base64url_add(struct buf *b, struct str in);

/* crc is 0 at first, then what the call for the bytes before returned. */
uint32_t crc32_ieee(uint32_t crc, struct str data);

#endif
