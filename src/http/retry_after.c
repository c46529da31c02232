/* See http/retry_after.h. */
#include "http/retry_after.h"

#include "base/macros.h"

#include <stdio.h>
#include <time.h>

#define LIMIT_NAME_BYTES 64

/* --- numbers and dates --- */

static bool is_digit(struct str s)
{
    return s.n && s.p[0] >= '0' && s.p[0] <= '9';
}

/* Takes "17" or "17.5" off s, as so many units of `unit` ns. False: there is no number. */
static bool take_number(struct str *s, int64_t unit, int64_t *ret_ns)
{
    const int64_t most = HTTP_RETRY_AFTER_MAX / unit + 1;
    int64_t whole = 0, part = unit;

    if (!is_digit(*s))
        return false;
    for (; is_digit(*s); *s = str_from(*s, 1))
        whole = MIN(whole * 10 + (s->p[0] - '0'), most);
    *ret_ns = whole * unit;
    if (s->n < 2 || s->p[0] != '.' || !is_digit(str_from(*s, 1)))
        return true;
    for (*s = str_from(*s, 1); is_digit(*s); *s = str_from(*s, 1)) {
        part /= 10;
        *ret_ns += (s->p[0] - '0') * part;
    }
    return true;
}

static int64_t bounded(int64_t ns)
{
    return MAX(MIN(ns, HTTP_RETRY_AFTER_MAX), (int64_t)0);
}

/* A plain number of units, and nothing behind it. */
static bool read_number(struct str s, int64_t unit, int64_t *ret_ns)
{
    return take_number(&s, unit, ret_ns) && s.n == 0;
}

/* In one of the forms; behind a time there may be a fraction and UTC's mark. 0: it is none. */
static int64_t read_date(struct str s, const char *const *forms, int64_t wall)
{
    char text[48];

    if (!s.n || s.n >= sizeof text)
        return 0;
    memcpy(text, s.p, s.n);
    text[s.n] = 0;
    for (; *forms; forms++) {
        struct tm tm = {0};
        const char *end = strptime(text, *forms, &tm);
        if (end && (!*end || *end == '.' || *end == 'Z'))
            return bounded((int64_t)timegm(&tm) * NS_PER_S - wall);
    }
    return 0;
}

/* --- retry-after --- */

/* RFC 9110, 5.6.7: the first is what is sent, the others what has to be understood. */
static const char *const http_dates[] = {
    "%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y", NULL};

int64_t http_retry_after(const struct http_fields *f, int64_t wall)
{
    struct str value = http_get(f, HTTP_RETRY_AFTER);
    int64_t ns;

    if (read_number(http_get_other(f, STR("retry-after-ms")), NS_PER_MS, &ns) ||
        read_number(value, NS_PER_S, &ns))
        return bounded(ns);
    return read_date(value, http_dates, wall);
}

/* --- limits --- */

/* "1h2m3.5s", "17ms"; a number alone is seconds. */
static bool read_duration(struct str s, int64_t *ret_ns)
{
    static const struct {
        struct str name;
        int64_t ns;
    } units[] = {{STR_INIT("ms"), NS_PER_MS}, {STR_INIT("us"), NS_PER_US},
        {STR_INIT("\u00b5s"), NS_PER_US}, {STR_INIT("ns"), 1}, {STR_INIT("h"), 3600 * NS_PER_S},
        {STR_INIT("m"), 60 * NS_PER_S}, {STR_INIT("s"), NS_PER_S}};

    if (read_number(s, NS_PER_S, ret_ns))
        return true;
    for (*ret_ns = 0; s.n;) {
        struct str number = s;
        int64_t ns = 0;
        unsigned i = 0;
        if (!take_number(&s, NS_PER_S, &ns))
            return false;
        while (i < ARRAY_LEN(units) && !str_starts(s, units[i].name))
            i++;
        if (i == ARRAY_LEN(units) || !take_number(&number, units[i].ns, &ns))
            return false;
        s = str_from(s, units[i].name.n);
        *ret_ns = bounded(*ret_ns + bounded(ns));
    }
    return true;
}

static int64_t read_reset(struct str value, int64_t wall)
{
    static const char *const rfc3339[] = {"%Y-%m-%dT%H:%M:%S", NULL};
    int64_t ns;

    return read_duration(value, &ns) && value.n ? bounded(ns) : read_date(value, rfc3339, wall);
}

/* The reset of the limit that this field says is used up; empty: it is not one. */
static struct str reset_of(const struct http_fields *f, const struct http_field *remaining)
{
    const struct str openai = STR("x-ratelimit-remaining-");
    const struct str anthropic = STR("anthropic-ratelimit-"), end = STR("-remaining");
    struct str name = remaining->name;
    char reset[LIMIT_NAME_BYTES];
    int n = 0;

    if (!str_eq(remaining->value, STR("0")) || name.n >= LIMIT_NAME_BYTES)
        return STR_NONE;
    if (str_istarts(name, openai))
        n = snprintf(reset, sizeof reset, "x-ratelimit-reset-" STR_FMT, (int)(name.n - openai.n),
            name.p + openai.n);
    else if (str_istarts(name, anthropic) && name.n > anthropic.n + end.n &&
             str_ieq(str_from(name, name.n - end.n), end))
        n = snprintf(reset, sizeof reset, STR_FMT "-reset", (int)(name.n - end.n), name.p);
    return n > 0 ? http_get_other(f, str_at(reset, (size_t)n)) : STR_NONE;
}

int64_t http_limits_reset(const struct http_fields *f, int64_t wall)
{
    int64_t latest = 0;

    for (unsigned i = 0; i < f->n; i++)
        latest = MAX(latest, read_reset(reset_of(f, &f->at[i]), wall));
    return latest;
}
