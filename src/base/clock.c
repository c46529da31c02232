/*
 * Reading the clocks and writing a wall time as text. The calendar is computed here rather than
 * with gmtime_r, which takes a lock on the time zone for every log line.
 */
#include "base/clock.h"
#include "base/macros.h"

#include <time.h>

static int64_t clock_read(clockid_t id)
{
    struct timespec t;

    must(clock_gettime(id, &t) == 0);
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

int64_t clock_now(void)
{
    return clock_read(CLOCK_MONOTONIC);
}

static int64_t frozen;

int64_t clock_wall(void)
{
    int64_t at = __atomic_load_n(&frozen, __ATOMIC_RELAXED);

    return unlikely(at != 0) ? at : clock_read(CLOCK_REALTIME);
}

void clock_freeze_wall(int64_t wall_ns)
{
    __atomic_store_n(&frozen, wall_ns, __ATOMIC_RELAXED);
}

static char *put_digits(char *out, unsigned value, int width)
{
    for (int i = width - 1; i >= 0; i--, value /= 10)
        out[i] = (char)('0' + value % 10);
    return out + width;
}

/*
 * The proleptic Gregorian date of a day number. Years are counted from March, so that the leap day
 * is the last of its year and the months before it have a fixed pattern of 30 and 31 days.
 */
static char *put_date(char *out, int64_t days_since_1970)
{
    int64_t days = days_since_1970 + 719468; /* since 0000-03-01 */
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    unsigned day_of_era = (unsigned)(days - era * 146097);
    unsigned year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    unsigned day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned march_month = (5 * day_of_year + 2) / 153;
    unsigned day = day_of_year - (153 * march_month + 2) / 5 + 1;
    unsigned month = march_month < 10 ? march_month + 3 : march_month - 9;
    unsigned year = (unsigned)(era * 400) + year_of_era + (month <= 2);

    out = put_digits(out, year, 4);
    *out++ = '-';
    out = put_digits(out, month, 2);
    *out++ = '-';
    return put_digits(out, day, 2);
}

void clock_rfc3339(int64_t wall_ns, char out[static 25])
{
    int64_t ms = wall_ns / NS_PER_MS - (wall_ns % NS_PER_MS < 0);
    int64_t day = ms / 86400000 - (ms % 86400000 < 0);
    unsigned of_day = (unsigned)(ms - day * 86400000);

    out = put_date(out, day);
    *out++ = 'T';
    out = put_digits(out, of_day / 3600000, 2);
    *out++ = ':';
    out = put_digits(out, of_day / 60000 % 60, 2);
    *out++ = ':';
    out = put_digits(out, of_day / 1000 % 60, 2);
    *out++ = '.';
    out = put_digits(out, of_day % 1000, 3);
    *out++ = 'Z';
    *out = '\0';
}
