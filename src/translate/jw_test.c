/* Reading and writing JSON: digits, orders and escapes stay as they are, in small texts and large.
 */
#include "base/limits.h"
#include "base/macros.h"
#include "base/tap.h"
#include "translate/jw.h"

#include <stdlib.h>

static struct arena arena;

static struct str again(struct str text)
{
    const char *why;
    yyjson_val *v = jr_parse(&arena, text, &why);
    return v ? jr_raw(&arena, v) : str_of(why);
}

static void test_raw(void)
{
    CHECK_STR(
        again(STR(" { \"b\" : 1.10 , \"a\" : [ 1e5 , -0 , 123456789012345678901234567890 ] } ")),
        STR("{\"b\":1.10,\"a\":[1e5,-0,123456789012345678901234567890]}"));
    CHECK_STR(again(STR("{\"a\":{},\"b\":[],\"c\":[[],{\"d\":null}],\"e\":true,\"f\":false}")),
        STR("{\"a\":{},\"b\":[],\"c\":[[],{\"d\":null}],\"e\":true,\"f\":false}"));
    CHECK_STR(again(STR("\"a\\u00e4\\n\\/\\\"\"")), STR("\"a\xc3\xa4\\n/\\\"\""));
    CHECK_STR(again(STR("1.50")), STR("1.50"));
    CHECK_STR(again(STR("true")), STR("true"));
    CHECK(!jr_raw(&arena, NULL).p);
    const char *why;
    CHECK(!jr_raw(&arena, jr_parse(&arena, STR("null"), &why)).p);
    CHECK(!jr_raw(&arena, yyjson_obj_get(jr_parse(&arena, STR("{\"a\":1}"), &why), "b")).p);
}

static void test_surrogates(void)
{
    CHECK_STR(again(STR("\"\\ud83d\\ude00\"")), STR("\"\xf0\x9f\x98\x80\""));
    CHECK_STR(again(STR("[\"\\ud83d\",\"x\\udc00y\",\"\\\\ud83d\"]")),
        STR("[\"\xef\xbf\xbd\",\"x\xef\xbf\xbdy\",\"\\\\ud83d\"]"));
    CHECK_STR(again(STR("\"\\ud83d\\ud83d\\ude00\"")), STR("\"\xef\xbf\xbd\xf0\x9f\x98\x80\""));
}

static void test_refused(void)
{
    CHECK_STR(again(STR("")), STR("it is empty"));
    CHECK_STR(again(STR("{\"a\":1,}")), STR("it is not valid JSON"));
    CHECK_STR(again(STR("{} x")), STR("it is not valid JSON"));
    CHECK_STR(again(STR("\"\xff\"")), STR("it is not valid JSON"));
    CHECK_STR(again(STR("\"\\ud83d\" x")), STR("it is not valid JSON"));
    CHECK_STR(again(STR("NaN")), STR("it is not valid JSON"));
    char deep[2 * (LIMIT_JSON_DEPTH + 1)];
    size_t n = LIMIT_JSON_DEPTH;
    memset(deep, '[', n);
    memset(deep + n, ']', n);
    CHECK_STR(again(str_at(deep, 2 * n)), str_at(deep, 2 * n));
    n++;
    memset(deep, '[', n);
    memset(deep + n, ']', n);
    CHECK_STR(again(str_at(deep, 2 * n)), STR("it is nested too deep"));
}

/* Wide ones are not deep. */
static void test_large(void)
{
    _cleanup_(buf_free) struct buf text;
    buf_init(&text, 8 * MIB);
    buf_addc(&text, '[');
    for (int i = 0; i < 20000; i++)
        buf_printf(
            &text, "%s{\"id\":%d.0,\"t\":[\"x\",{\"y\":[]}],\"u\":\"\xc3\xa4\"}", i ? "," : "", i);
    buf_addc(&text, ']');
    CHECK(text.n > 256 * KIB && !text.err);
    CHECK_STR(again(buf_str(&text)), buf_str(&text));
    struct arena small;
    const char *why = NULL;
    arena_init(&small, NULL, 0, text.n + 65536); /* room for the text, not for its values */
    CHECK(jr_parse(&small, buf_str(&text), &why) == NULL);
    CHECK_STR(str_of(why), STR("it is too large"));
    arena_free(&small);
}

static void test_members(void)
{
    const char *why;
    int64_t n = 7;
    yyjson_val *v = jr_parse(&arena,
        STR("{\"s\":\"t\",\"e\":\"\",\"i\":42,\"m\":-3,\"z\":5.0,\"f\":5.5,\"x\":1e2,\"q\":\"4\","
            "\"b\":true,\"big\":99999999999999999999,\"huge\":9007199254740993,\"n\":null}"),
        &why);
    CHECK_STR(jr_get_str(v, "s"), STR("t"));
    CHECK(jr_get_str(v, "e").p && jr_get_str(v, "e").n == 0);
    CHECK(!jr_get_str(v, "i").p && !jr_get_str(v, "none").p && !jr_get_str(NULL, "s").p);
    CHECK(jr_get_int(v, "i", &n) && n == 42);
    CHECK(jr_get_int(v, "m", &n) && n == -3);
    CHECK(jr_get_int(v, "z", &n) && n == 5);
    CHECK(jr_get_int(v, "huge", &n) && n == 9007199254740993);
    CHECK(!jr_get_int(v, "f", &n) && !jr_get_int(v, "x", &n) && !jr_get_int(v, "q", &n));
    CHECK(!jr_get_int(v, "big", &n) && !jr_get_int(v, "n", &n) && !jr_get_int(v, "none", &n));
    CHECK_EQ(jr_get_u64(v, "i"), 42);
    CHECK_EQ(jr_get_u64(v, "m"), 0);
    CHECK_EQ(jr_get_u64(v, "huge"), 0); /* no count is that large */
    CHECK(
        jr_get_bool(v, "b", false) && jr_get_bool(v, "s", true) && !jr_get_bool(v, "none", false));
}

static void test_walk(void)
{
    const char *why;
    yyjson_val *v = jr_parse(&arena, STR("{\"a\":1,\"b\":{},\"c\":[2]}"), &why), *key, *value;
    size_t i, n, seen = 0;
    yyjson_obj_foreach(v, i, n, key, value) seen += jr_str(key).n + (value != NULL);
    CHECK_EQ(seen, 6);
    yyjson_obj_foreach(yyjson_obj_get(v, "b"), i, n, key, value) seen++;
    yyjson_obj_foreach(yyjson_obj_get(v, "none"), i, n, key, value) seen++;
    yyjson_obj_foreach(yyjson_obj_get(v, "c"), i, n, key, value) seen++;
    CHECK_EQ(seen, 6);
}

static void test_writer(void)
{
    _cleanup_(buf_free) struct buf out;
    struct jw w = {.out = &out};
    buf_init(&out, 4096);
    jw_open(&w, '{');
    jw_member_str(&w, "a", STR("x\"y"));
    jw_member_str(&w, "gone", STR_NONE);
    jw_member_raw(&w, "r", STR("[1.0]"));
    jw_member_raw(&w, "gone", STR_NONE);
    jw_member_int(&w, "i", INT64_MIN);
    jw_member_bool(&w, "t", true);
    jw_key(&w, "l");
    jw_open(&w, '[');
    jw_int(&w, 1);
    jw_open(&w, '{');
    jw_close(&w, '}');
    jw_open(&w, '[');
    jw_close(&w, ']');
    jw_null(&w);
    jw_bool(&w, false);
    jw_raw(&w, STR_NONE);
    jw_close(&w, ']');
    jw_key_str(&w, STR("k\n"));
    jw_str(&w, STR(""));
    jw_close(&w, '}');
    CHECK_STR(
        buf_str(&out), STR("{\"a\":\"x\\\"y\",\"r\":[1.0],\"i\":-9223372036854775808,\"t\":true,"
                           "\"l\":[1,{},[],null,false,null],\"k\\n\":\"\"}"));
}

int main(void)
{
    arena_init(&arena, NULL, 0, 64 * MIB);
    TAP_RUN(test_raw);
    TAP_RUN(test_surrogates);
    TAP_RUN(test_refused);
    TAP_RUN(test_large);
    TAP_RUN(test_members);
    TAP_RUN(test_walk);
    TAP_RUN(test_writer);
    arena_free(&arena);
    return tap_done();
}
