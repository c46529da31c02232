/*
 * The splitting rules of the two tokenisers. tiktoken states them as regular expressions that need
 * backtracking; here they are written out as scanners that look at each character a bounded number
 * of times. The alternatives of the expressions are tried in their order.
 *
 * cl100k_base:
 *     '(?i:[sdmt]|ll|ve|re) | [^\r\n\p{L}\p{N}]?+\p{L}++ | \p{N}{1,3}+
 *     | ?[^\s\p{L}\p{N}]++[\r\n]*+ | \s++$ | \s*[\r\n] | \s+(?!\S) | \s
 *
 * o200k_base, with U = [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}], W = [\p{Ll}\p{Lm}\p{Lo}\p{M}] and
 * C = (?i:'s|'t|'re|'ve|'m|'ll|'d):
 *     [^\r\n\p{L}\p{N}]? U* W+ C? | [^\r\n\p{L}\p{N}]? U+ W* C? | \p{N}{1,3}
 *     | ?[^\s\p{L}\p{N}]+[\r\n/]* | \s*[\r\n]+ | \s+(?!\S) | \s+
 */
#include "base/utf8.h"
#include "text/bpe_int.h"

#define SET(class) (1u << (class))
#define WHITE      (SET(CLASS_SPACE) | SET(CLASS_LINE))
#define LETTERS    (SET(CLASS_UPPER) | SET(CLASS_LOWER) | SET(CLASS_LETTER)) /* \p{L} */
#define EITHER     (SET(CLASS_LETTER) | SET(CLASS_MARK))                     /* in both U and W */
#define UPPERS     (SET(CLASS_UPPER) | EITHER)                               /* U */
#define LOWERS     (SET(CLASS_LOWER) | EITHER)                               /* W */
#define SIGNS      (SET(CLASS_OTHER) | SET(CLASS_MARK))                      /* [^\s\p{L}\p{N}] */
#define NUMBERS    SET(CLASS_NUMBER)
#define LINES      SET(CLASS_LINE)

/* Ascending: the first code point << 3 | the class from there to the next. */
static const uint32_t class_ranges[] = {
#include "text/bpe_classes.inc"
};

static const uint8_t ascii_classes[128] = {
    [0 ... 8] = CLASS_OTHER,
    ['\t'] = CLASS_SPACE,
    ['\n'] = CLASS_LINE,
    ['\v' ... '\f'] = CLASS_SPACE,
    ['\r'] = CLASS_LINE,
    [14 ... 31] = CLASS_OTHER,
    [' '] = CLASS_SPACE,
    ['!' ... '/'] = CLASS_OTHER,
    ['0' ... '9'] = CLASS_NUMBER,
    [':' ... '@'] = CLASS_OTHER,
    ['A' ... 'Z'] = CLASS_UPPER,
    ['[' ... '`'] = CLASS_OTHER,
    ['a' ... 'z'] = CLASS_LOWER,
    ['{' ... 127] = CLASS_OTHER,
};

struct rune {
    uint32_t set; /* of its class alone */
    uint32_t n;   /* bytes */
};

void split_init(struct split *s, const uint8_t *end)
{
    *s = (struct split){.end = end, .from = 1, .to = 0};
}

/* Finds the range that c is in and keeps it. */
static void find_range(struct split *s, uint32_t c)
{
    size_t low = 0, high = ARRAY_LEN(class_ranges);
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        if (class_ranges[middle] >> 3 <= c)
            low = middle;
        else
            high = middle;
    }
    s->from = class_ranges[low] >> 3;
    s->to = high < ARRAY_LEN(class_ranges) ? class_ranges[high] >> 3 : 0x110000;
    s->class = class_ranges[low] & 7;
}

static uint32_t decode(const uint8_t *p, size_t n)
{
    if (n == 2)
        return (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu);
    if (n == 3)
        return (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
    return (p[0] & 0x07u) << 18 | (p[1] & 0x3fu) << 12 | (p[2] & 0x3fu) << 6 | (p[3] & 0x3fu);
}

static struct rune look_wide(struct split *s, const uint8_t *p)
{
    size_t bad, n = utf8_step((const char *)p, (size_t)(s->end - p), &bad);
    if (n == 0)
        return (struct rune){SET(CLASS_OTHER), 1};
    uint32_t c = decode(p, n);
    if (c < s->from || c >= s->to)
        find_range(s, c);
    return (struct rune){SET(s->class), (uint32_t)n};
}

/* The character at p, which may be the end. */
static inline struct rune look(struct split *s, const uint8_t *p)
{
    if (p == s->end)
        return (struct rune){SET(CLASS_END), 0};
    if (likely(*p < 0x80))
        return (struct rune){SET(ascii_classes[*p]), 1};
    return look_wide(s, p);
}

enum char_class split_class(struct split *s, const uint8_t *p, size_t *ret_n)
{
    struct rune c = look(s, p);
    *ret_n = c.n;
    return (enum char_class)__builtin_ctz(c.set);
}

/* Behind all characters from p on that are in the set. */
static inline const uint8_t *run(struct split *s, const uint8_t *p, uint32_t set)
{
    for (struct rune c; (c = look(s, p)).set & set;)
        p += c.n;
    return p;
}

/* The length of 's, 't, 'd, 'm, 'll, 've or 're at p in any case, or 0. Folding case, the long s
 * (U+017F) is an s as well. */
static size_t contraction(const struct split *s, const uint8_t *p)
{
    size_t left = (size_t)(s->end - p);
    if (left < 2 || p[0] != '\'')
        return 0;
    uint8_t a = p[1] | 0x20, b = left > 2 ? p[2] | 0x20 : 0;
    if (p[1] >= 0x80)
        return left > 2 && p[1] == 0xc5 && p[2] == 0xbf ? 3 : 0;
    if (a == 's' || a == 't' || a == 'd' || a == 'm')
        return 2;
    bool two = (a == 'l' && b == 'l') || (a == 'v' && b == 'e') || (a == 'r' && b == 'e');
    return two ? 3 : 0;
}

/* p is at a number. */
static const uint8_t *numbers(struct split *s, const uint8_t *p)
{
    struct rune c = look(s, p);
    for (int i = 0; i < 3 && (c.set & NUMBERS); i++) {
        p += c.n;
        c = look(s, p);
    }
    return p;
}

/* p is at white space. With newlines in it the run is cut behind the last one; before a word its
 * last character is left to the word. */
static const uint8_t *spaces(struct split *s, const uint8_t *p, bool whole_at_end)
{
    const uint8_t *last = p, *line = NULL, *q = p;
    for (struct rune c; (c = look(s, q)).set & WHITE;) {
        last = q;
        q += c.n;
        if (c.set & LINES)
            line = q;
    }
    if (q == s->end && (whole_at_end || !line))
        return q;
    if (line)
        return line;
    return last > p ? last : q;
}

/* A run of signs, maybe with one space before it; NULL when there is none at p. */
static const uint8_t *signs(struct split *s, const uint8_t *p)
{
    if (*p == ' ')
        p++;
    const uint8_t *q = run(s, p, SIGNS);
    return q > p ? q : NULL;
}

const uint8_t *split_cl100k(struct split *s, const uint8_t *p)
{
    struct rune first = look(s, p);
    if (first.set & LETTERS)
        return run(s, p + first.n, LETTERS);
    if (first.set & NUMBERS)
        return numbers(s, p);
    size_t n = contraction(s, p);
    if (n)
        return p + n;
    struct rune second = look(s, p + first.n);
    if (!(first.set & LINES) && (second.set & LETTERS))
        return run(s, p + first.n + second.n, LETTERS);
    const uint8_t *q = signs(s, p);
    return q ? run(s, q, LINES) : spaces(s, p, true);
}

/*
 * The first two alternatives of o200k_base without their optional first character; NULL when there
 * is no letter at p. U* takes what it can. Is a lower-case letter next, W+ goes on from there. If
 * not, U* gives back characters until W+ can have one, which is the last one that both hold; and
 * W+ ends with it, because upper case follows. Without such a one it is the second alternative.
 */
static const uint8_t *word(struct split *s, const uint8_t *p)
{
    const uint8_t *q = p, *either = NULL;
    struct rune c;
    while ((c = look(s, q)).set & UPPERS) {
        q += c.n;
        if (c.set & EITHER)
            either = q;
    }
    if (c.set & LOWERS)
        q = run(s, q, LOWERS);
    else if (either)
        q = either;
    return q > p ? q + contraction(s, q) : NULL;
}

const uint8_t *split_o200k(struct split *s, const uint8_t *p)
{
    struct rune first = look(s, p);
    /* A mark is both a possible first character and part of a word, with the same end. */
    if (first.set & (LETTERS | SET(CLASS_MARK)))
        return word(s, p);
    if (first.set & NUMBERS)
        return numbers(s, p);
    const uint8_t *q = first.set & LINES ? NULL : word(s, p + first.n);
    if (q)
        return q;
    q = signs(s, p);
    if (!q)
        return spaces(s, p, false);
    while (q < s->end && (*q == '\r' || *q == '\n' || *q == '/'))
        q++;
    return q;
}
