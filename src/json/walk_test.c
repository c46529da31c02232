/*
 * Walking and decoding small texts.
 */
#include "base/macros.h"
#include "base/tap.h"
#include "json/scan.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static void check_walk(struct str text, const char *const *want)
{
    struct str key, value;
    size_t at = json_inside(text);
    for (; *want; want += 2) {
        CHECK(json_next(text, &at, &key, &value));
        CHECK_STR(key, str_of(want[0]));
        CHECK_STR(value, str_of(want[1]));
    }
    CHECK(!json_next(text, &at, &key, &value));
    CHECK(!key.p && !value.p);
    CHECK(!json_next(text, &at, &key, &value));
}

static void test_walk_array(void)
{
    check_walk(STR("[]"), (const char *const[]){NULL});
    check_walk(STR(" [ ] "), (const char *const[]){NULL});
    check_walk(STR("[1]"), (const char *const[]){"", "1", NULL});
    check_walk(STR("[1,\"a,]\\\"\", [2,[3]] , {\"x\":[4]},null,-1.5e3 ]"),
        (const char *const[]){"", "1", "", "\"a,]\\\"\"", "", "[2,[3]]", "", "{\"x\":[4]}", "",
            "null", "", "-1.5e3", NULL});
    check_walk(STR("[\"]\",\"\\\\\"]"), (const char *const[]){"", "\"]\"", "", "\"\\\\\"", NULL});
}

static void test_walk_object(void)
{
    check_walk(STR("{}"), (const char *const[]){NULL});
    check_walk(STR("\n{\n}"), (const char *const[]){NULL});
    check_walk(STR("{\"a\":1}"), (const char *const[]){"a", "1", NULL});
    check_walk(STR("{ \"a\" : \"}\" ,\"\":true,\"\\\"k\":{\"a\":{}} , \"z\":[\"]\"]}"),
        (const char *const[]){
            "a", "\"}\"", "", "true", "\\\"k", "{\"a\":{}}", "z", "[\"]\"]", NULL});
}

static void test_walk_not_a_container(void)
{
    struct str key, value;
    size_t at = 0;
    CHECK_EQ(json_inside(STR("12")), 0);
    CHECK_EQ(json_inside(STR("")), 0);
    CHECK_EQ(json_inside(STR("  [")), 3);
    CHECK(!json_next(STR("12"), &at, &key, &value));
    CHECK(!json_next(STR(""), &at, &key, &value));
    at = 99;
    CHECK(!json_next(STR("[1]"), &at, &key, &value));
}

/* Cut texts are not valid; the walk must end and stay inside its view all the same. */
static void test_walk_truncated(void)
{
    struct str text = STR("{\"a\":[1,{\"b\":\"x\\\"\"}],\"c\" : null , \"d\":{\"e\":true}}");
    for (size_t n = 0; n < text.n; n++) {
        char *cut = malloc(n ? n : 1);
        must(cut);
        memcpy(cut, text.p, n);
        struct str key, value, view = str_at(cut, n);
        size_t at = json_inside(view), steps = 0;
        while (steps < 10 && json_next(view, &at, &key, &value)) {
            must(value.p >= cut && value.p + value.n <= cut + n);
            steps++;
        }
        must(!json_find(view, STR("zz")).p);
        free(cut);
        CHECK(steps < 4);
    }
}

static void test_find(void)
{
    struct str text =
        STR("{\"usage\":{\"prompt_tokens\":12,\"details\":{\"cached\":7,\"cached\":8}},"
            "\"err\\u006fr\":{\"message\":\"no\"},\"list\":[{\"a\":1}],\"\":{\"\":3}}");
    CHECK_STR(json_find(text, STR("usage.prompt_tokens")), STR("12"));
    CHECK_STR(json_find(text, STR("usage.details.cached")), STR("7"));
    CHECK_STR(json_find(text, STR("usage.details")), STR("{\"cached\":7,\"cached\":8}"));
    CHECK_STR(json_find(text, STR("error.message")), STR("\"no\""));
    CHECK_STR(json_find(text, STR(".")), STR("3"));
    CHECK_STR(json_find(text, STR("")), STR("{\"\":3}"));
    CHECK(!json_find(text, STR("usage.missing")).p);
    CHECK(!json_find(text, STR("usage.prompt_tokens.x")).p);
    CHECK(!json_find(text, STR("list.a")).p);
    CHECK(!json_find(text, STR("prompt_tokens")).p);
    CHECK(!json_find(STR("[1]"), STR("a")).p);
    CHECK(!json_find(STR("null"), STR("a")).p);
    CHECK(!json_find(STR(""), STR("a")).p);
    CHECK(!json_find(STR_NONE, STR("a")).p);
}

/* Several members at once are what one look-up each finds. */
static void test_members(void)
{
    static const struct str names[] = {STR_INIT("b"), STR_INIT("missing"), STR_INIT("a"),
        STR_INIT(""), STR_INIT("err"), STR_INIT("b.c")};
    struct str text = STR("{\"a\":1,\"a\":2,\"\\u0062\":{\"c\":3,\"err\":4},\"b\":5,\"\":[6],"
                          "\"b.c\":7,\"e\\u0072r\":\"x\"}");
    struct str values[ARRAY_LEN(names)];

    json_members(text, names, values, ARRAY_LEN(names));
    CHECK_STR(values[0], STR("{\"c\":3,\"err\":4}"));
    CHECK(!values[1].p);
    CHECK_STR(values[2], STR("1"));
    CHECK_STR(values[3], STR("[6]"));
    CHECK_STR(values[4], STR("\"x\""));
    CHECK_STR(values[5], STR("7"));
    json_members(STR("[1]"), names, values, ARRAY_LEN(names));
    CHECK(!values[2].p);
    json_members(STR_NONE, names, values, ARRAY_LEN(names));
    CHECK(!values[2].p);
}

/* Marks at every place within and around the blocks that are looked at in one step. */
static void test_mark_places(void)
{
    static const char *const marks[] = {"\\\"", "\\\\", "{", "}", "[", "]", "{[", "\\\"}"};
    unsigned wrong = 0;

    for (unsigned k = 0; k < ARRAY_LEN(marks); k++) {
        for (int before = 0; before < 40; before++) {
            for (int after = 0; after < 36; after += 5) {
                char text[160], want[128];
                int n = snprintf(want, sizeof want, "{\"%.*s\":[\"%.*s%s%.*s\"],\"b\":{}}",
                    before % 20, "key____________________", before,
                    "........................................", marks[k], after,
                    "........................................");
                snprintf(text, sizeof text, "[%s,7]", want);
                char *copy = str_dup(str_of(text)); /* its own memory, for the sanitizer */
                struct str all = str_at(copy, (size_t)n + 4), key, value;
                size_t at = json_inside(all);
                wrong +=
                    !json_next(all, &at, &key, &value) || !str_eq(value, str_at(want, (size_t)n));
                wrong += !json_next(all, &at, &key, &value) || !str_eq(value, STR("7"));
                free(copy);
            }
        }
    }
    CHECK_EQ(wrong, 0);
}

static void test_unescape(void)
{
    static const struct {
        struct str literal, want;
    } cases[] = {
        {STR_INIT("\"\""), STR_INIT("")},
        {STR_INIT("\"plain\""), STR_INIT("plain")},
        {STR_INIT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), STR_INIT("\"\\/\b\f\n\r\t")},
        {STR_INIT("\"\\u0041\\u00e9\\u20AC\""), STR_INIT("A\xc3\xa9\xe2\x82\xac")},
        {STR_INIT("\"\\u0000\\u007f\\u0080\\u07ff\\u0800\\uffff\""),
            STR_INIT("\0\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf")},
        {STR_INIT("\"\\ud83d\\ude00!\""), STR_INIT("\xf0\x9f\x98\x80!")},
        {STR_INIT("\"\\udbff\\udfff\""), STR_INIT("\xf4\x8f\xbf\xbf")},
        {STR_INIT("\"\\ud800\""), STR_INIT("\xef\xbf\xbd")},
        {STR_INIT("\"\\ud800\\n\""), STR_INIT("\xef\xbf\xbd\n")},
        {STR_INIT("\"\\ude00\\ud83d\""), STR_INIT("\xef\xbf\xbd\xef\xbf\xbd")},
        {STR_INIT("\"\\ud83d\\ud83d\\ude00\""), STR_INIT("\xef\xbf\xbd\xf0\x9f\x98\x80")},
        {STR_INIT("\"\\ud83d\\u0041\""), STR_INIT("\xef\xbf\xbd"
                                                  "A")},
        {STR_INIT("\"\xe4\xba\xba\\t\""), STR_INIT("\xe4\xba\xba\t")},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char out[64];
        must(cases[i].literal.n <= sizeof(out));
        ptrdiff_t n = json_unescape(cases[i].literal, out);
        CHECK(n >= 0);
        CHECK_STR(str_at(out, (size_t)n), cases[i].want);
    }
}

static void test_unescape_refuses(void)
{
    static const struct str bad[] = {STR_INIT(""), STR_INIT("\""), STR_INIT("a"), STR_INIT("abc"),
        STR_INIT("\"abc"), STR_INIT("abc\""), STR_INIT("\"\\\""), STR_INIT("\"a\\\\\\\""),
        STR_INIT("\"\\x\""), STR_INIT("\"\\u12\""), STR_INIT("\"\\u123g\""), STR_INIT("\"a\"b\"")};
    char out[32];
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        CHECK_EQ(json_unescape(bad[i], out), -EINVAL);
}

static void test_u64(void)
{
    static const struct {
        struct str literal;
        int r;
        uint64_t value;
    } cases[] = {
        {STR_INIT("0"), 0, 0},
        {STR_INIT("7"), 0, 7},
        {STR_INIT("1234567890"), 0, 1234567890},
        {STR_INIT("18446744073709551615"), 0, UINT64_MAX},
        {STR_INIT("18446744073709551616"), -ERANGE, 0},
        {STR_INIT("99999999999999999999999"), -ERANGE, 0},
        {STR_INIT("99999999999999999999999.5"), -EINVAL, 0},
        {STR_INIT("-1"), -EINVAL, 0},
        {STR_INIT("-0"), -EINVAL, 0},
        {STR_INIT("1.0"), -EINVAL, 0},
        {STR_INIT("1e3"), -EINVAL, 0},
        {STR_INIT("01"), -EINVAL, 0},
        {STR_INIT(""), -EINVAL, 0},
        {STR_INIT("\"1\""), -EINVAL, 0},
        {STR_INIT("null"), -EINVAL, 0},
        {STR_INIT("[1]"), -EINVAL, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t v = 0;
        CHECK_EQ(json_u64(cases[i].literal, &v), cases[i].r);
        CHECK_EQ(v, cases[i].value);
    }
}

static void test_type_of(void)
{
    CHECK_EQ(json_type_of(STR("")), JSON_NONE);
    CHECK_EQ(json_type_of(STR_NONE), JSON_NONE);
    CHECK_EQ(json_type_of(STR("null")), JSON_NULL);
    CHECK_EQ(json_type_of(STR("false")), JSON_FALSE);
    CHECK_EQ(json_type_of(STR("true")), JSON_TRUE);
    CHECK_EQ(json_type_of(STR("-1")), JSON_NUMBER);
    CHECK_EQ(json_type_of(STR("9")), JSON_NUMBER);
    CHECK_EQ(json_type_of(STR("\"")), JSON_STRING);
    CHECK_EQ(json_type_of(STR("[")), JSON_ARRAY);
    CHECK_EQ(json_type_of(STR("{")), JSON_OBJECT);
    CHECK_EQ(json_type_of(STR("x")), JSON_NONE);
}

static void test_mentions(void)
{
    const struct str needles[] = {STR_INIT("\"file_id\""), STR_INIT("\"xy\"")};

    CHECK(json_mentions(STR("{\"a\":[{\"file_id\":1}]}"), needles, 2));
    CHECK(json_mentions(STR("\"xy\""), needles, 2));
    CHECK(!json_mentions(STR("\"xy"), needles, 2));
    CHECK(!json_mentions(STR("{\"file_ids\":1,\"fil"), needles, 2));
    CHECK(!json_mentions(STR("file_id x \""), needles, 2));
    CHECK(!json_mentions(STR_NONE, needles, 2));
}

/* Wherever it stands, and whatever stands around it; with letters that look alike. */
static void test_mentions_everywhere(void)
{
    static const struct str few[] = {STR_INIT("\"file_id\""), STR_INIT("\"fileUri\"")};
    static const struct str many[] = {STR_INIT("\"a\""), STR_INIT("\"b\""), STR_INIT("\"c\""),
        STR_INIT("\"d\""), STR_INIT("\"file_id\"")};
    unsigned missed = 0, invented = 0;
    char text[96];

    for (size_t n = 9; n <= sizeof text; n++)
        for (size_t at = 0; at + 9 <= n; at++) {
            for (size_t i = 0; i < n; i++)
                text[i] = "f\"xfi\"f"[(i * 5 + at) % 7];
            invented +=
                json_mentions(str_at(text, n), few, 2) || json_mentions(str_at(text, n), many, 5);
            memcpy(text + at, "\"file_id\"", 9);
            missed +=
                !json_mentions(str_at(text, n), few, 2) || !json_mentions(str_at(text, n), many, 5);
        }
    CHECK_EQ(missed, 0);
    CHECK_EQ(invented, 0);
}

int main(void)
{
    TAP_RUN(test_walk_array);
    TAP_RUN(test_walk_object);
    TAP_RUN(test_walk_not_a_container);
    TAP_RUN(test_walk_truncated);
    TAP_RUN(test_find);
    TAP_RUN(test_members);
    TAP_RUN(test_mark_places);
    TAP_RUN(test_unescape);
    TAP_RUN(test_unescape_refuses);
    TAP_RUN(test_u64);
    TAP_RUN(test_type_of);
    TAP_RUN(test_mentions);
    TAP_RUN(test_mentions_everywhere);
    return tap_done();
}
