/*
 * One step through UTF-8 text: the rules of RFC 3629 (no overlong forms, no surrogates, nothing
 * above U+10FFFF). Whole texts are the business of text/utf8.h; JSON escaping needs only this.
 */
#ifndef SF_BASE_UTF8_H
#define SF_BASE_UTF8_H

#include "base/load.h"
#include "base/macros.h"

#include <stdbool.h>

/* How many bytes at the start are plain ASCII and not NUL, looked at eight at a time: a multiple of
 * eight, and not always all there are. */
static inline size_t utf8_plain_run(const char *text, size_t n)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    size_t i = 0;

    for (; i + sizeof(uint64_t) <= n; i += sizeof(uint64_t)) {
        uint64_t w = load64(text + i);
        if ((w | (w - ones)) & ones << 7)
            break;
    }
    return i;
}

/*
 * The length of the well-formed sequence at p, 1 to 4; or 0 when there is none, and then *ret_bad
 * is the number of bytes (1 to 3) that one U+FFFD replaces: the longest start of a sequence that
 * could have become valid, as the Unicode standard recommends. n is at least 1.
 */
static inline size_t utf8_step(const char *text, size_t n, size_t *ret_bad)
{
    const unsigned char *p = (const unsigned char *)text;
    unsigned lead = p[0], low = 0x80, high = 0xbf;
    size_t want;

    if (lead < 0x80)
        return 1;
    if (lead >= 0xc2 && lead <= 0xdf)
        want = 2;
    else if ((lead & 0xf0) == 0xe0)
        want = 3;
    else
        want = lead >= 0xf0 && lead <= 0xf4 ? 4 : 1;
    if (lead == 0xe0)
        low = 0xa0; /* else overlong */
    else if (lead == 0xed)
        high = 0x9f; /* else a surrogate */
    else if (lead == 0xf0)
        low = 0x90; /* else overlong */
    else if (lead == 0xf4)
        high = 0x8f; /* else above U+10FFFF */

    size_t have = 1;
    while (have < want && have < n && p[have] >= low && p[have] <= high) {
        low = 0x80;
        high = 0xbf;
        have++;
    }
    *ret_bad = have;
    return have == want && want > 1 ? want : 0;
}

#endif
