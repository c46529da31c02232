/*
 * Looking into small JSON texts that json_scan() has accepted: children one by one, a member by its
 * path, literals decoded. There is no tree; every call walks the text it is given. On text that is
 * not valid the results mean nothing, but no byte outside the view is read and every walk ends.
 */
#include "base/load.h"
#include "json/scan.h"
#include "json/scan_int.h"
#include <errno.h>

static size_t skip_space(struct str s, size_t at)
{
    while (at < s.n && is_space((uint8_t)s.p[at]))
        at++;
    return at;
}

#ifdef __SSE2__
static inline __m128i equal(__m128i v, char c)
{
    return _mm_cmpeq_epi8(v, _mm_set1_epi8(c));
}

static inline __m128i sixteen(struct str s, size_t at)
{
    return _mm_loadu_si128((const __m128i *)(const void *)(s.p + at));
}
#endif

/* The first quote or backslash at or behind `at`, or s.n. */
static size_t next_quote(struct str s, size_t at)
{
#ifdef __SSE2__
    for (; at + 16 <= s.n; at += 16) {
        __m128i v = sixteen(s, at);
        unsigned hits = (unsigned)_mm_movemask_epi8(_mm_or_si128(equal(v, '"'), equal(v, '\\')));
        if (hits)
            return at + (unsigned)__builtin_ctz(hits);
    }
#endif
    while (at < s.n && s.p[at] != '"' && s.p[at] != '\\')
        at++;
    return MIN(at, s.n);
}

static bool is_mark(char c)
{
    return c == '"' || (c | 0x20) == '{' || (c | 0x20) == '}';
}

/* The first quote or bracket at or behind `at`, or s.n. '[' and ']' are '{' and '}' without the bit
 * 0x20. */
static size_t next_mark(struct str s, size_t at)
{
#ifdef __SSE2__
    for (; at + 16 <= s.n; at += 16) {
        __m128i v = sixteen(s, at), curly = _mm_or_si128(v, _mm_set1_epi8(0x20));
        unsigned hits = (unsigned)_mm_movemask_epi8(
            _mm_or_si128(equal(v, '"'), _mm_or_si128(equal(curly, '{'), equal(curly, '}'))));
        if (hits)
            return at + (unsigned)__builtin_ctz(hits);
    }
#endif
    while (at < s.n && !is_mark(s.p[at]))
        at++;
    return MIN(at, s.n);
}

/* at stands at an opening quote; returns the offset behind the closing one. */
static size_t skip_string(struct str s, size_t at)
{
    for (at++; (at = next_quote(s, at)) < s.n; at += 2)
        if (s.p[at] == '"')
            return at + 1;
    return s.n;
}

static size_t skip_container(struct str s, size_t at)
{
    size_t depth = 0;

    while ((at = next_mark(s, at)) < s.n) {
        if (s.p[at] == '"') {
            at = skip_string(s, at);
            continue;
        }
        bool opens = (s.p[at++] | 0x20) == '{';
        if (opens)
            depth++;
        else if (--depth == 0)
            break;
    }
    return at;
}

static size_t skip_value(struct str s, size_t at)
{
    if (at < s.n && s.p[at] == '"')
        return skip_string(s, at);
    if (at < s.n && (s.p[at] == '{' || s.p[at] == '['))
        return skip_container(s, at);
    while (at < s.n && !is_space((uint8_t)s.p[at]) && s.p[at] != ',' && s.p[at] != '}' &&
           s.p[at] != ']')
        at++;
    return at;
}

/* Reads a member's name at *at and leaves *at at its value. */
static bool next_key(struct str c, size_t *at, struct str *ret_key)
{
    if (c.p[*at] != '"')
        return false;
    size_t behind = skip_string(c, *at);
    if (behind < *at + 2)
        return false;
    *ret_key = str_at(c.p + *at + 1, behind - *at - 2);
    *at = skip_space(c, behind);
    if (*at == c.n || c.p[*at] != ':')
        return false;
    *at = skip_space(c, *at + 1);
    return true;
}

bool json_next(struct str container, size_t *at, struct str *ret_key, struct str *ret_value)
{
    struct str c = container;
    size_t inside = json_inside(c), i = skip_space(c, *at);
    if (i < c.n && c.p[i] == ',')
        i = skip_space(c, i + 1);
    *ret_key = STR_NONE;
    *ret_value = STR_NONE;
    *at = i;
    if (inside == 0 || i >= c.n || c.p[i] == ']' || c.p[i] == '}')
        return false;
    if (c.p[inside - 1] == '{' && !next_key(c, &i, ret_key))
        return false;
    size_t end = skip_value(c, i);
    if (end == i)
        return false;
    *ret_value = str_at(c.p + i, end - i);
    *at = end;
    return true;
}

/* Which of the names the key is, as it stands in the text; n = none. */
static size_t name_index(struct str key, const struct str *names, size_t n)
{
    size_t i = 0;

    while (i < n && (key.n != names[i].n || !str_eq(key, names[i])))
        i++;
    if (i < n || likely(!key.n || !memchr(key.p, '\\', key.n)))
        return i;
    for (i = 0; i < n && !escaped_eq(key, names[i]);)
        i++;
    return i;
}

static struct str find_member(struct str object, struct str name)
{
    struct str value;

    json_members(object, &name, &value, 1);
    return value;
}

void json_members(struct str object, const struct str *names, struct str *ret_values, size_t n)
{
    struct str key, value;
    size_t at = json_inside(object), left = n;

    for (size_t i = 0; i < n; i++)
        ret_values[i] = STR_NONE;
    if (at == 0 || object.p[at - 1] != '{')
        return;
    while (left && json_next(object, &at, &key, &value)) {
        size_t i = name_index(key, names, n);
        if (i == n || ret_values[i].p)
            continue;
        ret_values[i] = value;
        left--;
    }
}

struct str json_find(struct str object, struct str path)
{
    while (object.p) {
        const char *dot = path.n ? memchr(path.p, '.', path.n) : NULL;
        size_t n = dot ? (size_t)(dot - path.p) : path.n;
        object = find_member(object, str_at(path.p, n));
        if (!dot)
            break;
        path = str_at(dot + 1, path.n - n - 1);
    }
    return object;
}

ptrdiff_t json_unescape(struct str literal, char *out)
{
    const uint8_t *p = (const uint8_t *)literal.p, *end = p + literal.n;
    uint8_t *q = (uint8_t *)out;
    if (literal.n < 2 || p[0] != '"' || end[-1] != '"')
        return -EINVAL;
    p++;
    end--;
    for (;;) {
        struct str left = str_at((const char *)p, (size_t)(end - p));
        size_t plain = next_quote(left, 0);
        if (plain)
            memcpy(q, p, plain);
        p += plain;
        q += plain;
        if (p == end)
            break;
        if (*p == '"')
            return -EINVAL;
        int32_t c = escape_decode(p, end, &p);
        if (c < 0)
            return -EINVAL;
        uint8_t utf8[4];
        unsigned n = utf8_encode((uint32_t)c, utf8);
        memcpy(q, utf8, n);
        q += n;
    }
    return q - (uint8_t *)out;
}

int json_u64(struct str literal, uint64_t *ret)
{
    for (size_t i = 0; i < literal.n; i++)
        if (literal.p[i] < '0' || literal.p[i] > '9')
            return -EINVAL;
    if (literal.n == 0 || (literal.n > 1 && literal.p[0] == '0'))
        return -EINVAL;
    uint64_t v = 0;
    for (size_t i = 0; i < literal.n; i++)
        if (__builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(literal.p[i] - '0'), &v))
            return -ERANGE;
    *ret = v;
    return 0;
}

/* The first four bytes tell most apart. */
static bool mentions_at(struct str text, size_t at, const struct str *needles, size_t n)
{
    size_t left = text.n - at;

    if (left < 4)
        return false;
    uint32_t here = load32(text.p + at);
    for (size_t i = 0; i < n; i++)
        if (load32(needles[i].p) == here && needles[i].n <= left &&
            !memcmp(text.p + at, needles[i].p, needles[i].n))
            return true;
    return false;
}

#ifdef __SSE2__
#define SECONDS_MAX 4

/* What stands behind the needles' quotes, each letter once, the first again in the rest; false =
 * too many different ones. */
static bool second_letters(const struct str *needles, size_t n, char ret[static SECONDS_MAX])
{
    unsigned k = 0;

    for (size_t i = 0; i < n; i++) {
        if (memchr(ret, needles[i].p[1], k))
            continue;
        if (k == SECONDS_MAX)
            return false;
        ret[k++] = needles[i].p[1];
    }
    for (; n && k < SECONDS_MAX; k++)
        ret[k] = ret[0];
    return n > 0;
}

/* Where one of the letters stands, of sixteen places. */
static unsigned letters_at(__m128i v, const char letters[static SECONDS_MAX])
{
    __m128i a = _mm_or_si128(equal(v, letters[0]), equal(v, letters[1]));
    __m128i b = _mm_or_si128(equal(v, letters[2]), equal(v, letters[3]));
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(a, b));
}

/* Looks at sixteen places at once; returns how far it came. *ret is whether a needle was found. */
static size_t mentions_blocks(struct str text, const struct str *needles, size_t n, bool *ret)
{
    char letters[SECONDS_MAX];
    size_t at = 0;

    *ret = false;
    if (!second_letters(needles, n, letters))
        return 0;
    for (; !*ret && at + 16 < text.n; at += 16) {
        unsigned hits = (unsigned)_mm_movemask_epi8(equal(sixteen(text, at), '"'));
        if (!hits) { /* in long strings quotes are far apart */
            const char *next = memchr(text.p + at + 16, '"', text.n - at - 16);
            if (!next)
                return text.n;
            at = (size_t)(next - text.p) - 16;
            continue;
        }
        hits &= letters_at(sixteen(text, at + 1), letters);
        for (; hits && !*ret; hits &= hits - 1)
            *ret = mentions_at(text, at + (unsigned)__builtin_ctz(hits), needles, n);
    }
    return at;
}
#endif

bool json_mentions(struct str text, const struct str *needles, size_t n)
{
    size_t at = 0;
    bool found = false;

#ifdef __SSE2__
    at = mentions_blocks(text, needles, n, &found);
#endif
    for (; !found && at + 1 < text.n; at++)
        found = text.p[at] == '"' && mentions_at(text, at, needles, n);
    return found;
}
