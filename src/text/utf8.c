/*
 * Whole UTF-8 texts. Runs of ASCII are skipped eight bytes at a time; everything else goes through
 * utf8_step, the one place that knows the rules.
 */
#include "text/utf8.h"
#include "base/utf8.h"

static size_t skip_ascii(struct str s, size_t i)
{
    uint64_t w;

    for (; i + sizeof(w) <= s.n; i += sizeof(w)) {
        memcpy(&w, s.p + i, sizeof(w));
        if (w & UINT64_C(0x8080808080808080))
            break;
    }
    while (i < s.n && (unsigned char)s.p[i] < 0x80)
        i++;
    return i;
}

size_t utf8_valid_prefix(struct str s)
{
    size_t bad;

    for (size_t i = skip_ascii(s, 0); i < s.n; i = skip_ascii(s, i)) {
        size_t n = utf8_step(s.p + i, s.n - i, &bad);
        if (n == 0)
            return i;
        i += n;
    }
    return s.n;
}

bool utf8_valid(struct str s)
{
    return utf8_valid_prefix(s) == s.n;
}

/* The index behind the character, or the malformed piece, at i. */
static size_t step(struct str s, size_t i)
{
    size_t bad = 1, n = utf8_step(s.p + i, s.n - i, &bad);

    return i + (n ? n : bad);
}

size_t utf8_count(struct str s)
{
    size_t count = 0;

    for (size_t i = 0; i < s.n; count++) {
        size_t end = skip_ascii(s, i);
        count += end - i;
        if (end == s.n)
            break;
        i = step(s, end);
    }
    return count;
}

struct str utf8_first(struct str s, size_t max)
{
    size_t i = 0;

    while (i < s.n && max-- > 0)
        i = step(s, i);
    return str_to(s, i);
}

/* The index where the last character or piece begins that starts within the last 3 bytes; n when
 * those hold only continuation bytes. */
static size_t last_lead(struct str s)
{
    for (size_t back = 1; back <= 3 && back <= s.n; back++)
        if (((unsigned char)s.p[s.n - back] & 0xc0) != 0x80)
            return s.n - back;
    return s.n;
}

struct str utf8_whole(struct str s)
{
    size_t at = last_lead(s), have = s.n - at, bad;

    if (have == 0 || utf8_step(s.p + at, have, &bad) > 0 || bad < have)
        return s;
    unsigned char lead = (unsigned char)s.p[at];
    size_t want = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    return lead >= 0xc2 && lead <= 0xf4 && have < want ? str_to(s, at) : s;
}

struct str utf8_truncate(struct str s, size_t max)
{
    return s.n <= max ? s : utf8_whole(str_to(s, max));
}
