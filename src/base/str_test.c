/*
 * Views: comparison, searching, cutting, numbers and globs.
 */
#include "base/macros.h"
#include "base/str.h"
#include "base/tap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static void test_compare(void)
{
    CHECK(str_eq(STR_NONE, STR("")));
    CHECK(str_ieq(STR("Content-TYPE"), STR("cONTENT-type")));
    CHECK(!str_ieq(STR("a[b"), STR("a{b"))); /* differ in bit 5, but are no letters */
    CHECK(!str_ieq(STR("\xc4"), STR("\xe4")));
    CHECK(!str_ieq(STR("ab"), STR("abc")));
    CHECK(str_starts(STR("abc"), STR("ab")) && str_starts(STR_NONE, STR("")));
    CHECK(!str_starts(STR("ab"), STR("abc")));
    CHECK(str_istarts(STR("BEARER x"), STR("bearer ")));
    CHECK(str_ends(STR("abc"), STR("bc")) && str_ends(STR("x"), STR_NONE));
    CHECK(!str_ends(STR("bc"), STR("abc")));
}

static void test_search(void)
{
    CHECK_EQ(str_find(STR("hello"), STR("llo")), 2);
    CHECK_EQ(str_find(STR("hello"), STR("lx")), -1);
    CHECK_EQ(str_find(STR("hello"), STR("")), 0);
    CHECK_EQ(str_find(STR_NONE, STR("a")), -1);
    CHECK_EQ(str_find(STR("a\0b"), STR("\0b")), 1);
    CHECK_EQ(str_chr(STR("a\xff"), '\xff'), 1);
    CHECK_EQ(str_chr(STR_NONE, 'a'), -1);
}

static void test_cut(void)
{
    CHECK_STR(str_trim(STR(" \t\r\n a b \n")), STR("a b"));
    CHECK_EQ(str_trim(STR(" \n ")).n, 0);
    CHECK_STR(str_from(STR("abc"), 1), STR("bc"));
    CHECK_EQ(str_from(STR("abc"), 9).n, 0);
    CHECK_STR(str_to(STR("abc"), 2), STR("ab"));
    CHECK_STR(str_to(STR("abc"), 9), STR("abc"));
    CHECK(str_from(STR_NONE, 4).p == NULL);
}

static void test_split(void)
{
    struct str s = STR("a,,b");

    CHECK_STR(str_split(&s, ','), STR("a"));
    CHECK_STR(str_split(&s, ','), STR(""));
    CHECK_STR(str_split(&s, ','), STR("b"));
    CHECK(s.p == NULL && s.n == 0);
    s = STR("a,");
    str_split(&s, ',');
    CHECK(s.p != NULL && s.n == 0); /* an empty last piece differs from none */
    CHECK_STR(str_split(&s, ','), STR(""));
    CHECK(s.p == NULL);
}

static void check_put(uint64_t v)
{
    char got[U64_DIGITS + 1], want[32];

    got[u64_put(got, v)] = 0;
    snprintf(want, sizeof(want), "%llu", (unsigned long long)v);
    CHECK_STR(str_of(got), str_of(want));
}

static void test_u64_put(void)
{
    uint64_t power = 1;

    for (unsigned i = 0; i < U64_DIGITS; i++, power *= 10)
        for (int d = -1; d <= 1; d++)
            check_put(power + (uint64_t)d);
    for (unsigned bit = 0; bit < 64; bit++)
        check_put((uint64_t)1 << bit);
    check_put(UINT64_MAX);
}

static void test_u64(void)
{
    uint64_t v = 77;

    CHECK_EQ(str_u64(STR("0"), &v), 0);
    CHECK_EQ(v, 0);
    CHECK_EQ(str_u64(STR("18446744073709551615"), &v), 0);
    CHECK(v == UINT64_MAX);
    CHECK_EQ(str_u64(STR("18446744073709551616"), &v), -ERANGE);
    CHECK_EQ(str_u64(STR("99999999999999999999999"), &v), -ERANGE);
    CHECK_EQ(str_u64(STR("00000000000000000000000012"), &v), 0);
    CHECK_EQ(v, 12);
    CHECK_EQ(str_u64(STR(""), &v), -EINVAL);
    CHECK_EQ(str_u64(STR("-1"), &v), -EINVAL);
    CHECK_EQ(str_u64(STR("+1"), &v), -EINVAL);
    CHECK_EQ(str_u64(STR(" 1"), &v), -EINVAL);
    CHECK_EQ(str_u64(STR("99999999999999999999999x"), &v), -EINVAL);
    CHECK_EQ(v, 12);
}

static void test_dup(void)
{
    char *copy = str_dup(STR("a\0b"));

    CHECK(copy && memcmp(copy, "a\0b", 4) == 0);
    free(copy);
    copy = str_dup(STR_NONE);
    CHECK(copy && *copy == '\0');
    free(copy);
}

static void test_glob(void)
{
    static const struct {
        struct str pattern, s;
        bool match;
    } cases[] = {
        {STR_INIT(""), STR_INIT(""), true}, {STR_INIT(""), STR_INIT("a"), false},
        {STR_INIT("*"), STR_INIT(""), true}, {STR_INIT("**"), STR_INIT("abc"), true},
        {STR_INIT("abc"), STR_INIT("abc"), true},
        {STR_INIT("gpt-4*"), STR_INIT("gpt-4o-mini"), true},
        {STR_INIT("gpt-4*"), STR_INIT("gpt-3"), false},
        {STR_INIT("*mini"), STR_INIT("gpt-4o-mini"), true},
        {STR_INIT("*mini"), STR_INIT("minimal"), false},
        {STR_INIT("a*b*c"), STR_INIT("axxbyyc"), true},
        {STR_INIT("a*b*c"), STR_INIT("axxcyyb"), false},
        {STR_INIT("ab*ba"), STR_INIT("aba"), false}, /* the ends may not overlap */
        {STR_INIT("*aab"), STR_INIT("aaaab"), true},
        {STR_INIT("a?c"), STR_INIT("abc"), false}, /* only the star is special */
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        CHECK_EQ(str_glob(cases[i].pattern, cases[i].s), cases[i].match);
}

int main(void)
{
    TAP_RUN(test_compare);
    TAP_RUN(test_search);
    TAP_RUN(test_cut);
    TAP_RUN(test_split);
    TAP_RUN(test_u64);
    TAP_RUN(test_u64_put);
    TAP_RUN(test_dup);
    TAP_RUN(test_glob);
    return tap_done();
}
