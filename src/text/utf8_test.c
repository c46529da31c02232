/*
 * UTF-8: the well-formed ranges of the Unicode standard's table 3-7, counting and cutting.
 */
#include "base/macros.h"
#include "base/tap.h"
#include "text/utf8.h"

static void test_valid(void)
{
    static const struct {
        struct str text;
        size_t prefix;
    } cases[] = {
        {STR_INIT(""), 0},
        {STR_INIT("ascii that is longer than eight bytes"), 37},
        {STR_INIT("a\0b"), 3},
        {STR_INIT("\xc2\x80\xdf\xbf"), 4},
        {STR_INIT("\xe0\xa0\x80\xef\xbf\xbf"), 6},
        {STR_INIT("\xed\x9f\xbf\xee\x80\x80"), 6},
        {STR_INIT("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"), 8},
        {STR_INIT("12345678\x80"), 8},
        {STR_INIT("ok\xc1\xbf"), 2},
        {STR_INIT("ok\xe0\x9f\xbf"), 2},
        {STR_INIT("ok\xed\xa0\x80"), 2},
        {STR_INIT("ok\xf0\x8f\xbf\xbf"), 2},
        {STR_INIT("ok\xf4\x90\x80\x80"), 2},
        {STR_INIT("ok\xf5\x80\x80\x80"), 2},
        {STR_INIT("é\xe2\x82"), 2},
        {STR_INIT("\xff"), 0},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CHECK_EQ(utf8_valid_prefix(cases[i].text), cases[i].prefix);
        CHECK_EQ(utf8_valid(cases[i].text), cases[i].prefix == cases[i].text.n);
    }
}

/* Each code point but the surrogates has one form of 1 to 4 bytes, and that is valid. */
static void test_all_code_points(void)
{
    for (unsigned c = 0; c <= 0x10ffff; c++) {
        char p[4] = {(char)c};
        size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        static const unsigned char leads[5] = {0, 0, 0xc0, 0xe0, 0xf0};
        for (size_t i = n; n > 1 && i-- > 0;)
            p[i] = (char)((c >> (6 * (n - 1 - i)) & (i ? 0x3f : 0xff)) | (i ? 0x80 : leads[n]));
        bool surrogate = c >= 0xd800 && c <= 0xdfff;
        CHECK_EQ(utf8_valid(str_at(p, n)), !surrogate);
        CHECK_EQ(utf8_count(str_at(p, n)), surrogate ? 3 : 1);
    }
}

static void test_count(void)
{
    CHECK_EQ(utf8_count(STR("")), 0);
    CHECK_EQ(utf8_count(STR("naïve €5 😀")), 10);
    CHECK_EQ(utf8_count(STR("a\xff\xff"
                            "b")),
        4);
    CHECK_EQ(utf8_count(STR("\xf0\x9f\x98")), 1);
}

static void test_truncate(void)
{
    struct str s = STR("aé€😀"); /* 1 + 2 + 3 + 4 */
    static const size_t want[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10};

    for (size_t max = 0; max < ARRAY_LEN(want); max++)
        CHECK_EQ(utf8_truncate(s, max).n, want[max]);
    CHECK_EQ(utf8_truncate(STR("\x80\x80\x80\x80\x80"), 4).n, 4); /* nothing to save there */
    static const size_t first[] = {0, 1, 3, 6, 10, 10};
    for (size_t max = 0; max < ARRAY_LEN(first); max++)
        CHECK_EQ(utf8_first(s, max).n, first[max]);
}

static void test_whole(void)
{
    CHECK_STR(utf8_whole(STR("ab\xe2\x82")), STR("ab"));
    CHECK_STR(utf8_whole(STR("ab\xe2\x82\xac")), STR("ab€"));
    CHECK_STR(utf8_whole(STR("ab\xf0\x9f\x98")), STR("ab"));
    CHECK_STR(utf8_whole(STR("ab\xff")), STR("ab\xff")); /* no beginning of anything */
    CHECK_STR(utf8_whole(STR("ab\xed\xa0")), STR("ab\xed\xa0"));
    CHECK_EQ(utf8_whole(STR("")).n, 0);
}

int main(void)
{
    TAP_RUN(test_valid);
    TAP_RUN(test_all_code_points);
    TAP_RUN(test_count);
    TAP_RUN(test_truncate);
    TAP_RUN(test_whole);
    return tap_done();
}
