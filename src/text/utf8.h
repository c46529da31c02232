/*
 * UTF-8 as RFC 3629 defines it: no overlong forms, no surrogates, nothing above U+10FFFF.
 */
#ifndef SF_TEXT_UTF8_H
#define SF_TEXT_UTF8_H

#include "base/str.h"

bool utf8_valid(struct str s);
size_t utf8_valid_prefix(struct str s); /* bytes before the first that is not well-formed */

/* Code points; each maximal malformed piece counts as one, as it would be shown. */
size_t utf8_count(struct str s);

/* The longest start of s within max bytes that does not cut a character. */
struct str utf8_truncate(struct str s, size_t max);
/* The first max code points. */
struct str utf8_first(struct str s, size_t max);

/* s without the beginning of a character at its end, for text that comes in pieces: what is left
 * off (at most 3 bytes) belongs before the next piece. */
struct str utf8_whole(struct str s);

#endif
