/*
 * Times as text, and that the monotonic clock does not run backwards.
 */
#include "base/clock.h"
#include "base/tap.h"

#include <stdio.h>
#include <time.h>

static void test_known(void)
{
    char out[25];

    clock_rfc3339(0, out);
    CHECK_STR(str_of(out), STR("1970-01-01T00:00:00.000Z"));
    clock_rfc3339(INT64_C(1795257600123456789), out);
    CHECK_STR(str_of(out), STR("2026-11-21T10:40:00.123Z"));
    clock_rfc3339(-1, out);
    CHECK_STR(str_of(out), STR("1969-12-31T23:59:59.999Z"));
    clock_rfc3339(INT64_C(1709164800) * NS_PER_S, out);
    CHECK_STR(str_of(out), STR("2024-02-29T00:00:00.000Z"));
    clock_rfc3339(INT64_MAX, out);
    CHECK_STR(str_of(out), STR("2262-04-11T23:47:16.854Z"));
    clock_rfc3339(INT64_MIN, out);
    CHECK_STR(str_of(out), STR("1677-09-21T00:12:43.145Z"));
}

/* Every day of two centuries is what the C library says. */
static void test_every_day(void)
{
    char out[25], want[32];

    for (int64_t day = -36525; day < 36525; day++) {
        time_t t = day * 86400 + 45296;
        struct tm tm;
        gmtime_r(&t, &tm);
        strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%S.000Z", &tm);
        clock_rfc3339((int64_t)t * NS_PER_S, out);
        CHECK_STR(str_of(out), str_of(want));
    }
}

static void test_clocks(void)
{
    int64_t a = clock_now(), b = clock_now();

    CHECK(a > 0 && b >= a);
    CHECK(clock_wall() > INT64_C(1700000000) * NS_PER_S);
}

int main(void)
{
    TAP_RUN(test_known);
    TAP_RUN(test_every_day);
    TAP_RUN(test_clocks);
    return tap_done();
}
