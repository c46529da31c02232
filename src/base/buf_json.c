/*
 * JSON string literals. Most of a text is plain ASCII, so it is skimmed eight bytes at a time and
 * copied in runs; only quotes, backslashes, control characters and bytes above ASCII are looked at
 * one by one.
 */
#include "base/buf.h"
#include "base/load.h"
#include "base/utf8.h"

#define ONES  UINT64_C(0x0101010101010101)
#define HIGHS UINT64_C(0x8080808080808080)

/* True when some byte of w is below 0x20, is '"' or '\\', or is not ASCII. */
static bool needs_look(uint64_t w)
{
    uint64_t quote = w ^ (ONES * '"'), slash = w ^ (ONES * '\\');
    uint64_t hit = (w - ONES * 0x20) | (quote - ONES) | (slash - ONES) | w;

    return hit & HIGHS;
}

/* The last 1 to 7 bytes of s from i on, which others fill up to a word: those before, or they
 * themselves once more. */
static uint64_t last_word(struct str s, size_t i)
{
    if (s.n >= 8)
        return load64(s.p + s.n - 8);
    if (s.n >= 4)
        return load32(s.p) | (uint64_t)load32(s.p + s.n - 4) << 32;
    uint64_t w = (unsigned char)s.p[i], last = (unsigned char)s.p[s.n - 1];
    return (w | (uint64_t)(unsigned char)s.p[i + (s.n - i) / 2] << 8 | last << 16) | ONES << 24
                                                                                          << 5;
}

/* Where the first byte stands, from i on, that is not plain. */
static size_t plain_run(struct str s, size_t i)
{
    for (; i + 8 <= s.n; i += 8)
        if (needs_look(load64(s.p + i)))
            break;
    if (i < s.n && i + 8 > s.n && !needs_look(last_word(s, i)))
        return s.n;
    for (; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < 0x20 || c == '"' || c == '\\' || c >= 0x80)
            break;
    }
    return i;
}

static int add_escape(struct buf *b, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char shorts[0x20] = {
        ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    char code = c < 0x20 ? shorts[c] : (char)c;
    char text[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};

    if (!code)
        return buf_add(b, text, 6);
    text[1] = code;
    return buf_add(b, text, 2);
}

/* Adds the character at s.p[i], which is not plain; returns the index behind it. */
static size_t add_special(struct buf *b, struct str s, size_t i)
{
    unsigned char c = (unsigned char)s.p[i];
    size_t bad = 1;

    if (c < 0x80) {
        add_escape(b, c);
        return i + 1;
    }
    size_t n = utf8_step(s.p + i, s.n - i, &bad);
    if (n)
        buf_add(b, s.p + i, n);
    else
        buf_add(b, "\xef\xbf\xbd", 3);
    return i + (n ? n : bad);
}

/* Text with something in it that is not plain; the first `plain` bytes are. */
static int add_looking(struct buf *b, struct str s, size_t plain)
{
    size_t before = b->n;

    buf_addc(b, '"');
    for (size_t i = 0, end = plain; i < s.n && b->err == 0; end = plain_run(s, i)) {
        buf_add(b, s.p + i, end - i);
        i = end < s.n ? add_special(b, s, end) : end;
    }
    if (buf_addc(b, '"') < 0)
        b->n = before;
    return b->err;
}

int buf_addjson(struct buf *b, struct str s)
{
    size_t plain = plain_run(s, 0);

    if (b->err || s.n > b->max || buf_reserve(b, s.n + 2) < 0 || plain < s.n)
        return add_looking(b, s, plain); /* a refusal shows there */
    char *to = b->p + b->n;
    to[0] = '"';
    if (s.n)
        memcpy(to + 1, s.p, s.n);
    to[s.n + 1] = '"';
    b->n += s.n + 2;
    return 0;
}
