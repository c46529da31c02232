/*
 * Decimal literals as exact pico-dollars, never through binary floating point: "5e-08" is 50,000.
 * The literal is mantissa × 10^exponent with at most MAX_DIGITS significant digits, which leaves
 * room in 128 bits for the scale (3600 for prices per second) and for the check of what is lost.
 */
#include "llm/prices.h"

#include "base/macros.h"
#include <errno.h>

#define MAX_DIGITS 25
#define MAX_SCALE  100000

struct decimal {
    unsigned __int128 mantissa;
    int exponent;
    unsigned digits; /* significant ones in mantissa */
    bool any;        /* saw a digit */
};

static void take_digit(struct decimal *d, char c, bool fraction)
{
    d->any = true;
    if (d->digits == MAX_DIGITS) {
        d->exponent += !fraction;
        return;
    }
    d->mantissa = d->mantissa * 10 + (unsigned)(c - '0');
    d->digits += d->digits > 0 || c != '0';
    d->exponent -= fraction;
}

static size_t take_digits(struct decimal *d, struct str s, size_t at, bool fraction)
{
    for (; at < s.n && s.p[at] >= '0' && s.p[at] <= '9'; at++)
        take_digit(d, s.p[at], fraction);
    return at;
}

static int take_exponent(struct decimal *d, struct str s)
{
    bool minus = s.n && s.p[0] == '-';
    if (s.n && (s.p[0] == '-' || s.p[0] == '+'))
        s = str_from(s, 1);
    uint64_t e;
    int r = str_u64(s, &e);
    if (r < 0)
        return r;
    if (e > 1000)
        return -ERANGE;
    d->exponent += minus ? -(int)e : (int)e;
    return 0;
}

static int decimal_parse(struct str s, struct decimal *ret)
{
    *ret = (struct decimal){0};
    size_t at = take_digits(ret, s, 0, false);
    if (at < s.n && s.p[at] == '.')
        at = take_digits(ret, s, at + 1, true);
    if (!ret->any)
        return -EINVAL;
    if (at == s.n)
        return 0;
    if (s.p[at] != 'e' && s.p[at] != 'E')
        return -EINVAL;
    return take_exponent(ret, str_from(s, at + 1));
}

/* value / 10^shift, half up; -ERANGE when that changes it by more than one part in 10,000. */
static int shift_down(unsigned __int128 value, int shift, unsigned __int128 *ret)
{
    if (shift > 37)
        return -ERANGE;
    unsigned __int128 unit = 1;
    for (int i = 0; i < shift; i++)
        unit *= 10;
    unsigned __int128 whole = value / unit, rest = value % unit;
    unsigned __int128 lost = MIN(rest, unit - rest);
    if (lost > value / 10000)
        return -ERANGE;
    *ret = whole + (rest > unit - rest || (rest && rest == unit - rest));
    return 0;
}

int price_parse(struct str literal, unsigned scale, int64_t *ret_pico)
{
    struct decimal d;
    int r = decimal_parse(literal, &d);
    if (r < 0)
        return r;
    must(scale > 0 && scale <= MAX_SCALE);
    unsigned __int128 value = d.mantissa * scale;
    int shift = d.exponent + 12;
    for (; shift > 0 && value && value <= INT64_MAX; shift--)
        value *= 10;
    if (shift < 0 && value) {
        r = shift_down(value, -shift, &value);
        if (r < 0)
            return r;
    }
    if ((shift > 0 && value) || value > INT64_MAX)
        return -ERANGE;
    *ret_pico = (int64_t)value;
    return 0;
}
