/*
 * Amounts and instants as they stand in JSON. Money is read digit by digit into nano-dollars, never
 * through binary fractions: what is written is what is kept, or it is refused.
 */
#include "base/clock.h"
#include "keys/record.h"
#include "json/scan.h"

#include <errno.h>

/* --- money --- */

struct amount {
    unsigned __int128 digits;
    int exponent;
    bool any, minus;
};

/* 38 digits fit; zeroes in front count as none. */
static int take_digits(struct amount *a, struct str *s, bool fraction)
{
    size_t i = 0;

    for (; i < s->n && s->p[i] >= '0' && s->p[i] <= '9'; i++) {
        a->any = true;
        if (a->digits > ((unsigned __int128)1 << 120))
            return -ERANGE;
        a->digits = a->digits * 10 + (unsigned)(s->p[i] - '0');
        a->exponent -= fraction;
    }
    *s = str_from(*s, i);
    return 0;
}

static int take_exponent(struct amount *a, struct str s)
{
    uint64_t e;
    bool minus = s.n && s.p[0] == '-';

    if (s.n && (s.p[0] == '-' || s.p[0] == '+'))
        s = str_from(s, 1);
    if (str_u64(s, &e) < 0)
        return -EINVAL;
    if (e > 1000)
        return -ERANGE;
    a->exponent += minus ? -(int)e : (int)e;
    return 0;
}

static int amount_parse(struct str s, struct amount *a)
{
    int r;

    *a = (struct amount){0};
    if (s.n && s.p[0] == '-') {
        a->minus = true;
        s = str_from(s, 1);
    }
    if ((r = take_digits(a, &s, false)) < 0)
        return r;
    if (s.n && s.p[0] == '.') {
        s = str_from(s, 1);
        if ((r = take_digits(a, &s, true)) < 0)
            return r;
    }
    if (!a->any)
        return -EINVAL;
    if (!s.n)
        return 0;
    return s.p[0] == 'e' || s.p[0] == 'E' ? take_exponent(a, str_from(s, 1)) : -EINVAL;
}

static int scale(struct amount *a)
{
    for (; a->exponent < -9; a->exponent++) {
        if (a->digits % 10)
            return -ERANGE; /* finer than is kept */
        a->digits /= 10;
    }
    for (; a->exponent > -9 && a->digits; a->exponent--) {
        if (a->digits > MONEY_MAX_NANO)
            return -ERANGE;
        a->digits *= 10;
    }
    return a->digits > MONEY_MAX_NANO || (a->minus && a->digits) ? -ERANGE : 0;
}

int money_parse(struct str json, int64_t *ret_nano)
{
    struct amount a;

    json = str_trim(json);
    if (json.n >= 2 && json.p[0] == '"' && json.p[json.n - 1] == '"')
        json = str_at(json.p + 1, json.n - 2);
    int r = amount_parse(json, &a);
    if (r == 0 && a.digits == 0)
        a.exponent = -9;
    if (r == 0)
        r = scale(&a);
    if (r == 0)
        *ret_nano = (int64_t)a.digits;
    return r;
}

void money_write(int64_t nano, struct buf *out)
{
    char fraction[10];
    int n = 9;

    if (nano < 0)
        buf_addc(out, '-');
    uint64_t u = nano < 0 ? -(uint64_t)nano : (uint64_t)nano, rest = u % 1000000000;
    buf_addu64(out, u / 1000000000);
    if (!rest)
        return;
    for (int i = 8; i >= 0; i--, rest /= 10)
        fraction[i] = (char)('0' + rest % 10);
    while (fraction[n - 1] == '0')
        n--;
    buf_addc(out, '.');
    buf_add(out, fraction, (size_t)n);
}

/* --- instants --- */

static bool take_number(struct str *s, unsigned width, char before, unsigned *ret)
{
    uint64_t n;

    if (before) {
        if (!s->n || s->p[0] != before)
            return false;
        *s = str_from(*s, 1);
    }
    if (s->n < width || str_u64(str_to(*s, width), &n) < 0)
        return false;
    *ret = (unsigned)n;
    *s = str_from(*s, width);
    return true;
}

/* Days since 1970 of a date of the Gregorian calendar; the year begins with March. */
static int64_t days_of(int64_t y, unsigned m, unsigned d)
{
    y -= m <= 2;
    int64_t era = y / 400;
    unsigned year = (unsigned)(y - era * 400),
             day = (153 * (m + (m > 2 ? -3u : 9u)) + 2) / 5 + d - 1;

    return era * 146097 + year * 365 + year / 4 - year / 100 + day - 719468;
}

static bool valid_date(unsigned y, unsigned m, unsigned d)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;

    return y >= 1970 && y <= 2261 && m >= 1 && m <= 12 && d >= 1 &&
           d <= days[m - 1] + (unsigned)(m == 2 && leap);
}

static bool take_offset(struct str *s, int64_t *ret_seconds)
{
    unsigned h, m;

    if (s->n == 1 && (s->p[0] == 'Z' || s->p[0] == 'z')) {
        *ret_seconds = 0;
        return true;
    }
    char sign = s->n ? s->p[0] : 0;
    if ((sign != '+' && sign != '-') || !take_number(s, 2, sign, &h) ||
        !take_number(s, 2, ':', &m) || s->n || h > 23 || m > 59)
        return false;
    *ret_seconds = (sign == '-' ? -1 : 1) * (int64_t)(h * 3600 + m * 60);
    return true;
}

int time_parse(struct str s, int64_t *ret_wall)
{
    unsigned y, mo, d, h, mi, sec;
    int64_t offset, ns = 0, unit = NS_PER_S / 10;

    if (!take_number(&s, 4, 0, &y) || !take_number(&s, 2, '-', &mo) ||
        !take_number(&s, 2, '-', &d) || !valid_date(y, mo, d))
        return -EINVAL;
    if (!s.n || (s.p[0] != 'T' && s.p[0] != 't' && s.p[0] != ' '))
        return -EINVAL;
    if (!take_number(&s, 2, s.p[0], &h) || !take_number(&s, 2, ':', &mi) ||
        !take_number(&s, 2, ':', &sec) || h > 23 || mi > 59 || sec > 60)
        return -EINVAL;
    if (s.n && s.p[0] == '.') {
        size_t i = 1;
        for (; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++, unit /= 10)
            ns += (s.p[i] - '0') * unit;
        if (i == 1)
            return -EINVAL;
        s = str_from(s, i);
    }
    if (!take_offset(&s, &offset))
        return -EINVAL;
    int64_t seconds = days_of(y, mo, d) * 86400 + h * 3600 + mi * 60 + sec - offset;
    *ret_wall = seconds * NS_PER_S + ns;
    return seconds < 0 ? -EINVAL : 0;
}
