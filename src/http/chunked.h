/*
 * The chunked transfer coding, incremental and strict (RFC 9112 7.1): sizes at most 16 hex digits,
 * no white space around them, extensions bounded and ignored, CRLF only, trailers bounded.
 */
#ifndef SF_HTTP_CHUNKED_H
#define SF_HTTP_CHUNKED_H

#include "base/str.h"

struct chunked {
    uint64_t left; /* bytes of the current chunk still to come */
    uint8_t state;
    uint16_t line;    /* bytes of the current size line */
    uint32_t trailer; /* bytes of trailers so far */
    bool digits;
};

void chunked_init(struct chunked *c);
/* Looks at bytes; takes at most one piece of data. Returns how many bytes of in were consumed
 * (>= 0), with *ret_data a view into in (may be empty) and *ret_end set once the last chunk and
 * the trailers are through; or -EINVAL. Call again with the rest until it consumes nothing. */
ptrdiff_t chunked_next(struct chunked *c, struct str in, struct str *ret_data, bool *ret_end);

#endif
