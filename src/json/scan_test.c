/*
 * The grammar: tables of texts that must be taken and texts that must be refused, with the place
 * and the words of the refusal. Every text is scanned from memory of exactly its size.
 */
#include "base/limits.h"
#include "base/macros.h"
#include "base/tap.h"
#include "json/scan.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static int scan(struct str text, enum json_type *ret_top, struct json_error *ret_err)
{
    char *exact = malloc(text.n ? text.n : 1);
    must(exact);
    memcpy(exact, text.p, text.n);
    int r = json_scan(str_at(exact, text.n), NULL, NULL, 0, ret_top, ret_err);
    free(exact);
    return r;
}

static const struct {
    enum json_type top;
    struct str text;
} valid[] = {
    {JSON_NULL, STR_INIT("null")},
    {JSON_TRUE, STR_INIT("true")},
    {JSON_FALSE, STR_INIT("false")},
    {JSON_NULL, STR_INIT(" \t\r\nnull\n\r\t ")},
    {JSON_NUMBER, STR_INIT("0")},
    {JSON_NUMBER, STR_INIT("-0")},
    {JSON_NUMBER, STR_INIT("-0.0")},
    {JSON_NUMBER, STR_INIT("1")},
    {JSON_NUMBER, STR_INIT("-1")},
    {JSON_NUMBER, STR_INIT("10")},
    {JSON_NUMBER, STR_INIT("1234567890")},
    {JSON_NUMBER, STR_INIT("123456789012345678901234567890")},
    {JSON_NUMBER, STR_INIT("0.5")},
    {JSON_NUMBER, STR_INIT("1.0")},
    {JSON_NUMBER, STR_INIT("0e0")},
    {JSON_NUMBER, STR_INIT("0e+1")},
    {JSON_NUMBER, STR_INIT("0E-1")},
    {JSON_NUMBER, STR_INIT("1e5")},
    {JSON_NUMBER, STR_INIT("1E5")},
    {JSON_NUMBER, STR_INIT("1e+05")},
    {JSON_NUMBER, STR_INIT("1e-9999")},
    {JSON_NUMBER, STR_INIT("1e99999")},
    {JSON_NUMBER, STR_INIT("123.456e78")},
    {JSON_NUMBER, STR_INIT("-0.0000000000000000000000000000000000000000000000001")},
    {JSON_NUMBER, STR_INIT(" 4 ")},
    {JSON_STRING, STR_INIT("\"\"")},
    {JSON_STRING, STR_INIT("\"a\"")},
    {JSON_STRING, STR_INIT("\" \"")},
    {JSON_STRING, STR_INIT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"")},
    {JSON_STRING, STR_INIT("\"\\u0000\"")},
    {JSON_STRING, STR_INIT("\"\\u0012\\uABCD\\uabcd\"")},
    {JSON_STRING, STR_INIT("\"\\uD83D\\uDE00\"")},
    {JSON_STRING, STR_INIT("\"\\uD800\"")},
    {JSON_STRING, STR_INIT("\"\\uDC00\\uD800\"")},
    {JSON_STRING, STR_INIT("\"\\uD800\\n\"")},
    {JSON_STRING, STR_INIT("\"\\uFFFF\\uFFFE\"")},
    {JSON_STRING, STR_INIT("\"\\\\u0000\"")},
    {JSON_STRING, STR_INIT("\"\\\\\"")},
    {JSON_STRING, STR_INIT("\"\\\\\\\"\"")},
    {JSON_STRING, STR_INIT("\"\x7f\"")},
    {JSON_STRING, STR_INIT("\"\xc3\xa9\"")},
    {JSON_STRING, STR_INIT("\"\xe2\x82\xac\"")},
    {JSON_STRING, STR_INIT("\"\xf0\x9f\x98\x80\"")},
    {JSON_STRING, STR_INIT("\"\xf4\x8f\xbf\xbf\"")},
    {JSON_STRING, STR_INIT("\"\xef\xbb\xbf\"")},
    {JSON_STRING, STR_INIT("\"\xef\xbf\xbf\"")},
    {JSON_STRING, STR_INIT("\"\xe2\x80\xa8 \xe2\x80\xa9\"")},
    {JSON_STRING, STR_INIT("\"{}[]:,/*//*/\"")},
    {JSON_STRING, STR_INIT("\"a string of more than sixteen bytes and thirty-two\"")},
    {JSON_ARRAY, STR_INIT("[]")},
    {JSON_ARRAY, STR_INIT("[ ]")},
    {JSON_ARRAY, STR_INIT("[[]]")},
    {JSON_ARRAY, STR_INIT("[[],[]]")},
    {JSON_ARRAY, STR_INIT("[[[[[[[[]]]]]]]]")},
    {JSON_ARRAY, STR_INIT("[1]")},
    {JSON_ARRAY, STR_INIT("[1,2,3]")},
    {JSON_ARRAY, STR_INIT("[ 1 , 2\t,\n3\r]")},
    {JSON_ARRAY, STR_INIT("[null,true,false,1,\"a\",[],{}]")},
    {JSON_ARRAY, STR_INIT("[{},{}]")},
    {JSON_ARRAY, STR_INIT("[\"\"]")},
    {JSON_ARRAY, STR_INIT("[\"a\\\\\",\"b\"]")},
    {JSON_ARRAY, STR_INIT("[1.5e3,-2]")},
    {JSON_ARRAY, STR_INIT("[]\n")},
    {JSON_OBJECT, STR_INIT("{}")},
    {JSON_OBJECT, STR_INIT("{ }")},
    {JSON_OBJECT, STR_INIT("{\"a\":1}")},
    {JSON_OBJECT, STR_INIT("{\"\":0}")},
    {JSON_OBJECT, STR_INIT("{\"a\":1,\"a\":2}")},
    {JSON_OBJECT, STR_INIT("{\"a\":[]}")},
    {JSON_OBJECT, STR_INIT("{\"a\":{}}")},
    {JSON_OBJECT, STR_INIT("{\"a\":{\"b\":{\"c\":[{\"d\":null}]}}}")},
    {JSON_OBJECT, STR_INIT("{ \"a\" : 1 , \"b\" : \"x\" }")},
    {JSON_OBJECT, STR_INIT("{\n\t\"a\"\n:\r\n1\n}\n")},
    {JSON_OBJECT, STR_INIT("{\"\\u0061\":\"\\u0062\"}")},
    {JSON_OBJECT, STR_INIT("{\"a\":\"}\"}")},
    {JSON_OBJECT,
        STR_INIT("{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}")},
};

static void test_valid(void)
{
    for (size_t i = 0; i < ARRAY_LEN(valid); i++) {
        enum json_type top;
        struct json_error err = {0};
        if (scan(valid[i].text, &top, &err) < 0) {
            tap_fail(
                __FILE__, __LINE__, STR_FMT ": %s at %zu", STR_ARG(valid[i].text), err.why, err.at);
            continue;
        }
        CHECK_EQ(top, valid[i].top);
        CHECK_EQ(json_type_of(str_trim(valid[i].text)), valid[i].top);
    }
}

#define END    "unexpected end of text"
#define VALUE  "expected a value"
#define OPEN   "string is not closed"
#define DIGIT  "expected a digit"
#define BEHIND "text behind the value"
#define COMMA  "expected ',' or ']'"
#define MEMBER "expected ',' or '}'"
#define NAME   "expected a member's name"
#define FIRST  "expected a member's name or '}'"
#define COLON  "expected ':'"
#define CTRL   "control character in string"
#define UTF8   "invalid UTF-8"
#define ESCAPE "invalid escape"
#define HEX    "invalid \\u escape"
#define ZERO   "leading zero in number"

static const struct {
    size_t at;
    const char *why;
    struct str text;
} invalid[] = {
    {0, END, STR_INIT("")},
    {1, END, STR_INIT(" ")},
    {4, END, STR_INIT("\n\t\r ")},
    {0, VALUE, STR_INIT("\xef\xbb\xbf{}")},
    {0, VALUE, STR_INIT("\v")},
    {0, VALUE, STR_INIT("\f1")},
    {0, VALUE, STR_INIT("\0")},
    {0, VALUE, STR_INIT("\xc2\xa0null")},
    {1, END, STR_INIT("n")},
    {3, END, STR_INIT("nul")},
    {3, END, STR_INIT("tru")},
    {4, END, STR_INIT("fals")},
    {0, VALUE, STR_INIT("nulL")},
    {0, VALUE, STR_INIT("True")},
    {0, VALUE, STR_INIT("nan")},
    {0, VALUE, STR_INIT("NaN")},
    {0, VALUE, STR_INIT("Infinity")},
    {0, VALUE, STR_INIT("undefined")},
    {4, BEHIND, STR_INIT("truex")},
    {4, BEHIND, STR_INIT("nullnull")},
    {4, BEHIND, STR_INIT("null\0")},
    {5, BEHIND, STR_INIT("true false")},
    {1, END, STR_INIT("-")},
    {1, DIGIT, STR_INIT("-a")},
    {1, DIGIT, STR_INIT("--1")},
    {1, DIGIT, STR_INIT("-.5")},
    {1, DIGIT, STR_INIT("- 1")},
    {0, VALUE, STR_INIT("+1")},
    {0, VALUE, STR_INIT(".5")},
    {0, ZERO, STR_INIT("00")},
    {0, ZERO, STR_INIT("012")},
    {1, ZERO, STR_INIT("-012")},
    {1, ZERO, STR_INIT("[01]")},
    {2, END, STR_INIT("1.")},
    {2, DIGIT, STR_INIT("1.e1")},
    {3, BEHIND, STR_INIT("1.5.2")},
    {2, END, STR_INIT("1e")},
    {3, END, STR_INIT("1e+")},
    {3, END, STR_INIT("1E-")},
    {3, DIGIT, STR_INIT("1e+-1")},
    {3, BEHIND, STR_INIT("1e1.5")},
    {1, BEHIND, STR_INIT("1a")},
    {1, BEHIND, STR_INIT("0x10")},
    {1, BEHIND, STR_INIT("1_000")},
    {1, BEHIND, STR_INIT("1\0")},
    {2, BEHIND, STR_INIT("1 2")},
    {1, DIGIT, STR_INIT("-Infinity")},
    {1, END, STR_INIT("[")},
    {0, VALUE, STR_INIT("]")},
    {0, VALUE, STR_INIT("}")},
    {0, VALUE, STR_INIT(",")},
    {0, VALUE, STR_INIT(":")},
    {1, VALUE, STR_INIT("[,]")},
    {1, VALUE, STR_INIT("[,1]")},
    {3, VALUE, STR_INIT("[1,]")},
    {3, VALUE, STR_INIT("[1,,2]")},
    {2, END, STR_INIT("[1")},
    {3, END, STR_INIT("[1,")},
    {3, COMMA, STR_INIT("[1 2]")},
    {2, COMMA, STR_INIT("[1}")},
    {2, COMMA, STR_INIT("[1:2]")},
    {4, COMMA, STR_INIT("[\"a\":1]")},
    {4, COMMA, STR_INIT("[\"a\"\"b\"]")},
    {3, COMMA, STR_INIT("[[]{}]")},
    {2, BEHIND, STR_INIT("[]]")},
    {2, BEHIND, STR_INIT("[]1")},
    {2, BEHIND, STR_INIT("[],")},
    {3, BEHIND, STR_INIT("[] x")},
    {3, BEHIND, STR_INIT("[1]]")},
    {1, VALUE, STR_INIT("[}")},
    {1, VALUE, STR_INIT("[/*c*/1]")},
    {1, VALUE, STR_INIT("[x]")},
    {1, VALUE, STR_INIT("['a']")},
    {1, VALUE, STR_INIT("[\xff]")},
    {3, COMMA, STR_INIT("[1\n#]")},
    {1, END, STR_INIT("{")},
    {1, FIRST, STR_INIT("{]")},
    {1, FIRST, STR_INIT("{,}")},
    {1, FIRST, STR_INIT("{a:1}")},
    {1, FIRST, STR_INIT("{1:1}")},
    {1, FIRST, STR_INIT("{'a':1}")},
    {1, FIRST, STR_INIT("{[]:1}")},
    {1, FIRST, STR_INIT("{null:1}")},
    {1, FIRST, STR_INIT("{:1}")},
    {4, END, STR_INIT("{\"a\"")},
    {5, END, STR_INIT("{\"a\":")},
    {6, END, STR_INIT("{\"a\":1")},
    {7, END, STR_INIT("{\"a\":1,")},
    {4, COLON, STR_INIT("{\"a\"}")},
    {4, COLON, STR_INIT("{\"a\",1}")},
    {5, COLON, STR_INIT("{\"a\" 1}")},
    {4, COLON, STR_INIT("{\"a\"=1}")},
    {5, VALUE, STR_INIT("{\"a\":}")},
    {5, VALUE, STR_INIT("{\"a\":,\"b\":1}")},
    {5, VALUE, STR_INIT("{\"a\"::1}")},
    {5, VALUE, STR_INIT("{\"a\":b}")},
    {7, NAME, STR_INIT("{\"a\":1,}")},
    {7, NAME, STR_INIT("{\"a\":1,,}")},
    {7, NAME, STR_INIT("{\"a\":1,b:2}")},
    {6, MEMBER, STR_INIT("{\"a\":1]")},
    {7, MEMBER, STR_INIT("{\"a\":1 \"b\":2}")},
    {6, MEMBER, STR_INIT("{\"a\":1;\"b\":2}")},
    {8, MEMBER, STR_INIT("{\"a\":\"b\"c}")},
    {7, BEHIND, STR_INIT("{\"a\":1}}")},
    {7, BEHIND, STR_INIT("{\"a\":1}{")},
    {7, BEHIND, STR_INIT("{\"a\":1}/**/")},
    {8, BEHIND, STR_INIT("{\"a\":1}\n#")},
    {1, OPEN, STR_INIT("\"")},
    {2, OPEN, STR_INIT("\"a")},
    {2, OPEN, STR_INIT("\"\\")},
    {3, OPEN, STR_INIT("\"\\\"")},
    {3, OPEN, STR_INIT("\"\\u")},
    {6, OPEN, STR_INIT("\"\\u123")},
    {3, OPEN, STR_INIT("[\"a")},
    {3, OPEN, STR_INIT("{\"a")},
    {1, HEX, STR_INIT("\"\\u12\"")},
    {1, HEX, STR_INIT("\"\\u00g0\"")},
    {8, HEX, STR_INIT("[\"\\uD83D\\u00\"]")},
    {1, ESCAPE, STR_INIT("\"\\x41\"")},
    {1, ESCAPE, STR_INIT("\"\\a\"")},
    {1, ESCAPE, STR_INIT("\"\\0\"")},
    {1, ESCAPE, STR_INIT("\"\\'\"")},
    {1, ESCAPE, STR_INIT("\"\\N\"")},
    {1, ESCAPE, STR_INIT("\"\\U0041\"")},
    {1, ESCAPE, STR_INIT("\"\\\xc3\xa9\"")},
    {3, ESCAPE, STR_INIT("{\"a\\ \":1}")},
    {1, CTRL, STR_INIT("\"\0\"")},
    {1, CTRL, STR_INIT("\"\n\"")},
    {2, CTRL, STR_INIT("\"a\tb\"")},
    {2, CTRL, STR_INIT("\"a\x1f\"")},
    {3, CTRL, STR_INIT("{\"a\n\":1}")},
    {40, CTRL, STR_INIT("\"123456789 123456789 123456789 123456789\r\"")},
    {1, UTF8, STR_INIT("\"\x80\"")},
    {1, UTF8, STR_INIT("\"\xc0\x80\"")},
    {1, UTF8, STR_INIT("\"\xc1\xbf\"")},
    {1, UTF8, STR_INIT("\"\xe0\x80\x80\"")},
    {1, UTF8, STR_INIT("\"\xed\xa0\x80\"")},
    {1, UTF8, STR_INIT("\"\xf0\x80\x80\x80\"")},
    {1, UTF8, STR_INIT("\"\xf4\x90\x80\x80\"")},
    {1, UTF8, STR_INIT("\"\xf5\x80\x80\x80\"")},
    {1, UTF8, STR_INIT("\"\xff\"")},
    {3, UTF8, STR_INIT("\"\xc3\xa9\xc3\"")},
    {2, UTF8, STR_INIT("{\"\xe9\":1}")},
    {0, VALUE, STR_INIT("\xe9")},
    {0, VALUE, STR_INIT("<a>")},
    {0, VALUE, STR_INIT("data: {}")},
};

static void test_invalid(void)
{
    for (size_t i = 0; i < ARRAY_LEN(invalid); i++) {
        enum json_type top = JSON_TRUE;
        struct json_error err = {0};
        int r = scan(invalid[i].text, &top, &err);
        if (r != -EINVAL || err.at != invalid[i].at || strcmp(err.why, invalid[i].why) != 0)
            tap_fail(__FILE__, __LINE__, STR_FMT ": %d, %s at %zu, wanted %s at %zu",
                STR_ARG(invalid[i].text), r, err.why ? err.why : "", err.at, invalid[i].why,
                invalid[i].at);
        CHECK_EQ(top, JSON_NONE);
    }
}

/* Of a container or a string no part is valid, and the fault is at the end of the part (or, when a
 * UTF-8 sequence is cut, at its start). */
static void test_every_truncation(void)
{
    struct str text =
        STR("{\"model\":\"gpt-\\u0034o\\n\",\"messages\":[{\"role\":\"user\",\"content\":"
            "\"caf\xc3\xa9 \xf0\x9f\x98\x80 and more than thirty-two bytes\"}],"
            "\"n\":-1.5e+7,\"t\":[true,false,null,{}, [ ] ] }");
    enum json_type top;
    struct json_error err;
    CHECK_EQ(scan(text, &top, &err), 0);
    for (size_t n = 0; n < text.n; n++) {
        CHECK_EQ(scan(str_to(text, n), &top, &err), -EINVAL);
        CHECK_EQ(top, JSON_NONE);
        bool cut = strcmp(err.why, "invalid UTF-8") == 0;
        CHECK(cut ? err.at < n && err.at + 4 > n : err.at == n);
        CHECK(cut || strcmp(err.why, END) == 0 || strcmp(err.why, OPEN) == 0);
    }
}

/* Any one byte replaced by any other: never a crash, and a fault is inside the text. */
static void test_every_replacement(void)
{
    char text[] = "{\"a\":[1.5e3,\"x\\n\xc3\xa9\"],\"b\":{\"c\":null}}";
    for (size_t at = 0; at + 1 < sizeof(text); at++) {
        char was = text[at];
        for (unsigned c = 0; c < 256; c++) {
            text[at] = (char)c;
            enum json_type top;
            struct json_error err = {0};
            int r = scan(str_at(text, sizeof(text) - 1), &top, &err);
            CHECK(r == 0 || (err.why && err.at < sizeof(text)));
        }
        text[at] = was;
    }
}

static void test_depth(void)
{
    char text[2 * LIMIT_JSON_DEPTH + 2];
    enum json_type top;
    struct json_error err;
    memset(text, '[', LIMIT_JSON_DEPTH);
    memset(text + LIMIT_JSON_DEPTH, ']', LIMIT_JSON_DEPTH);
    CHECK_EQ(scan(str_at(text, 2 * LIMIT_JSON_DEPTH), &top, &err), 0);
    memset(text, '[', LIMIT_JSON_DEPTH + 1);
    memset(text + LIMIT_JSON_DEPTH + 1, ']', LIMIT_JSON_DEPTH + 1);
    CHECK_EQ(scan(str_at(text, sizeof(text)), &top, &err), -EINVAL);
    CHECK_EQ(err.at, LIMIT_JSON_DEPTH);
    CHECK_STR(str_of(err.why), STR("nesting deeper than 128"));
    text[LIMIT_JSON_DEPTH] = '{';
    CHECK_EQ(scan(str_at(text, sizeof(text)), &top, &err), -EINVAL);
    CHECK_EQ(err.at, LIMIT_JSON_DEPTH);
}

/* Depth is what is open at once, not how many containers there are. */
static void test_many_containers(void)
{
    size_t pairs = 5000, n = 0;
    char *text = malloc(pairs * 3 + 2);
    must(text);
    text[n++] = '[';
    for (size_t i = 0; i < pairs; i++) {
        memcpy(text + n, i % 2 ? "{}," : "[],", 3);
        n += 3;
    }
    text[n - 1] = ']';
    enum json_type top;
    struct json_error err;
    int r = scan(str_at(text, n), &top, &err);
    free(text);
    CHECK_EQ(r, 0);
    CHECK_EQ(top, JSON_ARRAY);
}

static void test_no_memory_at_all(void)
{
    enum json_type top;
    struct json_error err;
    CHECK_EQ(json_scan(STR_NONE, NULL, NULL, 0, &top, &err), -EINVAL);
    CHECK_EQ(err.at, 0);
    CHECK_STR(str_of(err.why), STR(END));
}

int main(void)
{
    TAP_RUN(test_valid);
    TAP_RUN(test_invalid);
    TAP_RUN(test_every_truncation);
    TAP_RUN(test_every_replacement);
    TAP_RUN(test_depth);
    TAP_RUN(test_many_containers);
    TAP_RUN(test_no_memory_at_all);
    return tap_done();
}
