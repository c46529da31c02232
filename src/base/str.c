/*
 * Operations on views. None of them allocates, except str_dup. Searching is left to memchr and
 * memmem, which use the vector instructions of the machine.
 */
#include "base/str.h"
#include "base/macros.h"

#include <errno.h>
#include <stdlib.h>

static inline unsigned char ascii_lower(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c | 0x20) : c;
}

static bool bytes_ieq(const char *a, const char *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (a[i] != b[i] && ascii_lower((unsigned char)a[i]) != ascii_lower((unsigned char)b[i]))
            return false;
    return true;
}

bool str_ieq(struct str a, struct str b)
{
    return a.n == b.n && bytes_ieq(a.p, b.p, a.n);
}

bool str_starts(struct str s, struct str prefix)
{
    return s.n >= prefix.n && str_eq(str_at(s.p, prefix.n), prefix);
}

bool str_istarts(struct str s, struct str prefix)
{
    return s.n >= prefix.n && bytes_ieq(s.p, prefix.p, prefix.n);
}

bool str_ends(struct str s, struct str suffix)
{
    return s.n >= suffix.n && (suffix.n == 0 || str_eq(str_from(s, s.n - suffix.n), suffix));
}

ptrdiff_t str_find(struct str s, struct str needle)
{
    if (needle.n == 0)
        return 0;
    if (s.n < needle.n)
        return -1;
    const char *at = memmem(s.p, s.n, needle.p, needle.n);
    return at ? at - s.p : -1;
}

ptrdiff_t str_chr(struct str s, char c)
{
    const char *at = s.n ? memchr(s.p, (unsigned char)c, s.n) : NULL;

    return at ? at - s.p : -1;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str str_trim(struct str s)
{
    while (s.n && is_blank(s.p[0]))
        s = str_at(s.p + 1, s.n - 1);
    while (s.n && is_blank(s.p[s.n - 1]))
        s.n--;
    return s;
}

struct str str_from(struct str s, size_t at)
{
    at = MIN(at, s.n);
    return at ? str_at(s.p + at, s.n - at) : s;
}

struct str str_to(struct str s, size_t at)
{
    return str_at(s.p, MIN(at, s.n));
}

struct str str_split(struct str *s, char c)
{
    ptrdiff_t at = str_chr(*s, c);
    struct str head = *s;

    if (at < 0) {
        *s = STR_NONE;
        return head;
    }
    *s = str_from(*s, (size_t)at + 1);
    return str_to(head, (size_t)at);
}

int str_u64(struct str s, uint64_t *ret_value)
{
    uint64_t value = 0;
    bool over = false;

    if (s.n == 0)
        return -EINVAL;
    for (size_t i = 0; i < s.n; i++) {
        unsigned digit = (unsigned char)s.p[i] - (unsigned)'0';
        if (digit > 9)
            return -EINVAL;
        over |= __builtin_mul_overflow(value, (uint64_t)10, &value);
        over |= __builtin_add_overflow(value, (uint64_t)digit, &value);
    }
    if (over)
        return -ERANGE;
    *ret_value = value;
    return 0;
}

char *str_dup(struct str s)
{
    char *copy = s.n < SIZE_MAX ? malloc(s.n + 1) : NULL;

    if (!copy)
        return NULL;
    if (s.n)
        memcpy(copy, s.p, s.n);
    copy[s.n] = '\0';
    return copy;
}

/*
 * The text before the first star must begin s, the text behind the last must end it, and what
 * stands between two stars must occur in order. Taking the first occurrence of each is enough: a
 * later one would only leave less for the rest. So nothing is ever tried twice.
 */
bool str_glob(struct str pattern, struct str s)
{
    struct str piece = str_split(&pattern, '*');

    if (!pattern.p)
        return str_eq(piece, s);
    if (!str_starts(s, piece))
        return false;
    s = str_from(s, piece.n);
    for (;;) {
        piece = str_split(&pattern, '*');
        if (!pattern.p)
            return str_ends(s, piece);
        ptrdiff_t at = str_find(s, piece);
        if (at < 0)
            return false;
        s = str_from(s, (size_t)at + piece.n);
    }
}

/* By the number of bits, which is one too many where a power of ten lies between: 1233 / 4096 is
 * the logarithm of 2. */
static size_t count_digits(uint64_t v)
{
    static const uint64_t powers[U64_DIGITS] = {0, 10, 100, 1000, 10000, 100000, 1000000, 10000000,
        100000000, 1000000000, 10000000000, 100000000000, 1000000000000, 10000000000000,
        100000000000000, 1000000000000000, 10000000000000000, 100000000000000000,
        1000000000000000000, 10000000000000000000u};
    unsigned bits = 64 - (unsigned)__builtin_clzll(v | 1), n = bits * 1233 >> 12;

    return n + (v >= powers[n]);
}

size_t u64_put(char *out, uint64_t v)
{
    size_t n = count_digits(v);
    char *at = out + n;

    for (; v >= 100; v /= 100) { /* two digits a division */
        unsigned two = (unsigned)(v % 100);
        *--at = (char)('0' + two % 10);
        *--at = (char)('0' + two / 10);
    }
    if (v >= 10)
        *--at = (char)('0' + v % 10);
    *--at = (char)('0' + (v >= 10 ? v / 10 : v));
    return n;
}
