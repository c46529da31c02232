#include "llm/prices.h"

#include "base/tap.h"
#include <errno.h>

static int64_t parse(const char *s, unsigned scale)
{
    int64_t v = -1;
    int r = price_parse(str_of(s), scale, &v);
    return r < 0 ? r : v;
}

static void test_exact(void)
{
    CHECK_EQ(parse("0.000003", 1), 3000000);
    CHECK_EQ(parse("3E-6", 1), 3000000);
    CHECK_EQ(parse("1.5e-07", 1), 150000);
    CHECK_EQ(parse("2.5E-07", 1), 250000);
    CHECK_EQ(parse("30000e-10", 1), 3000000);
    CHECK_EQ(parse("0", 1), 0);
    CHECK_EQ(parse("0.0", 1), 0);
    CHECK_EQ(parse("0e-400", 1), 0);
    CHECK_EQ(parse("0e400", 1), 0);
    CHECK_EQ(parse("1", 1), 1000000000000);
    CHECK_EQ(parse("2e+1", 1), 20000000000000);
    CHECK_EQ(parse("0.000000000001", 1), 1);
    CHECK_EQ(parse("9223372.036854775807", 1), INT64_MAX);
}

/* In binary floating point these would be off by one pico-dollar or more. */
static void test_not_through_double(void)
{
    CHECK_EQ(parse("9007199.254740993", 1), 9007199254740993000);
    CHECK_EQ(parse("1234567.890123456789", 1), 1234567890123456789);
}

static void test_scale(void)
{
    CHECK_EQ(parse("0.0001", 3600), 360000000000);
    CHECK_EQ(parse("7.167e-05", 3600), 258012000000);
    CHECK_EQ(parse("0.000283333333333", 3600), 1019999999999);
}

static void test_noise_is_rounded(void)
{
    CHECK_EQ(parse("5.0000000000000004E-8", 1), 50000);
    CHECK_EQ(parse("9.499999999999999E-7", 1), 950000);
    CHECK_EQ(parse("8.333333333333334E-8", 1), 83333);
    CHECK_EQ(parse("1.41953125E-7", 1), 141953);
    CHECK_EQ(parse("3.59375E-8", 1), 35938);
    CHECK_EQ(parse("0.0000029999900000000002", 1), 2999990);
    CHECK_EQ(parse("0.00000300000000000000000000000000000000000000001", 1), 3000000);
}

static void test_too_fine(void)
{
    CHECK_EQ(parse("1e-13", 1), -ERANGE);
    CHECK_EQ(parse("5e-13", 1), -ERANGE);
    CHECK_EQ(parse("1.5e-12", 1), -ERANGE);
    CHECK_EQ(parse("1e-50", 1), -ERANGE);
    CHECK_EQ(parse("1e-1000", 1), -ERANGE);
}

static void test_too_large(void)
{
    CHECK_EQ(parse("9223372.036854775808", 1), -ERANGE);
    CHECK_EQ(parse("1e7", 1), -ERANGE);
    CHECK_EQ(parse("1e1000", 1), -ERANGE);
    CHECK_EQ(parse("1e1001", 1), -ERANGE);
    CHECK_EQ(parse("99999999999999999999999999999999999999999999", 1), -ERANGE);
    CHECK_EQ(parse("9000000", 3600), -ERANGE);
}

static void test_malformed(void)
{
    static const char *const bad[] = {"", ".", "-1", "+1", "1e", "1e+", "1e5x", "1.2.3", "NaN",
        "Infinity", "0x10", " 1", "1 ", "$1", "1,5", "e5", "--1", "1e99999999999999999999x"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int64_t v = parse(bad[i], 1);
        if (v != -EINVAL)
            tap_fail(__FILE__, __LINE__, "\"%s\" gave %lld", bad[i], (long long)v);
    }
}

int main(void)
{
    TAP_RUN(test_exact);
    TAP_RUN(test_not_through_double);
    TAP_RUN(test_scale);
    TAP_RUN(test_noise_is_rounded);
    TAP_RUN(test_too_fine);
    TAP_RUN(test_too_large);
    TAP_RUN(test_malformed);
    return tap_done();
}
