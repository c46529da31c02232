/*
 * struct buf: growth, the maximum, sticky errors, formatting and JSON literals.
 */
#include "base/buf.h"
#include "base/tap.h"

#include <stdlib.h>

#include <errno.h>

static void test_growth(void)
{
    _cleanup_(buf_free) struct buf b;

    buf_init(&b, 1 << 20);
    CHECK_EQ(buf_str(&b).n, 0);
    CHECK_EQ(buf_addc(&b, 'a'), 0);
    CHECK_EQ(b.cap, 256);
    for (int i = 1; i < 1000; i++)
        CHECK_EQ(buf_addc(&b, (char)('a' + i % 26)), 0);
    CHECK_EQ(b.n, 1000);
    CHECK_EQ(b.cap, 1024);
    CHECK(b.p[999] == 'a' + 999 % 26);
}

static void test_maximum(void)
{
    _cleanup_(buf_free) struct buf b;

    buf_init(&b, 5);
    CHECK_EQ(buf_add(&b, "abc", 3), 0);
    CHECK_EQ(b.cap, 5);
    CHECK_EQ(buf_reserve(&b, 3), -ENOBUFS);
    CHECK_EQ(b.err, 0);
    CHECK_EQ(buf_reserve(&b, SIZE_MAX), -ENOBUFS);
    CHECK_EQ(buf_add(&b, "def", 3), -ENOBUFS);
    CHECK_STR(buf_str(&b), STR("abc"));
    CHECK_EQ(buf_addc(&b, 'd'), -ENOBUFS); /* sticks although one byte would fit */
    CHECK_EQ(buf_printf(&b, "x"), -ENOBUFS);
    CHECK_STR(buf_str(&b), STR("abc"));
    buf_clear(&b);
    CHECK_EQ(b.err, 0);
    CHECK_EQ(buf_add(&b, "abcde", 5), 0);
    CHECK_EQ(buf_addc(&b, 'f'), -ENOBUFS);
}

static void test_printf(void)
{
    _cleanup_(buf_free) struct buf b;

    buf_init(&b, 300);
    CHECK_EQ(buf_printf(&b, "%d-%s", 7, "x"), 0);
    CHECK_STR(buf_str(&b), STR("7-x"));
    CHECK_EQ(buf_printf(&b, "%297s", "y"), 0); /* fills it to the last byte, no room for a NUL */
    CHECK_EQ(b.n, 300);
    CHECK(b.p[299] == 'y' && b.p[298] == ' ');
    CHECK_EQ(buf_printf(&b, "%s", ""), 0);
    CHECK_EQ(buf_printf(&b, "z"), -ENOBUFS);
    CHECK_EQ(b.n, 300);
}

static void test_numbers(void)
{
    _cleanup_(buf_free) struct buf b;

    buf_init(&b, 100);
    buf_addu64(&b, 0);
    buf_addc(&b, ' ');
    buf_addu64(&b, 1234567890);
    buf_addc(&b, ' ');
    buf_addu64(&b, UINT64_MAX);
    CHECK_EQ(b.err, 0);
    CHECK_STR(buf_str(&b), STR("0 1234567890 18446744073709551615"));
}

static void test_drop(void)
{
    _cleanup_(buf_free) struct buf b;

    buf_init(&b, 100);
    buf_drop(&b, 3);
    buf_addstr(&b, STR("hello world"));
    buf_drop(&b, 6);
    CHECK_STR(buf_str(&b), STR("world"));
    buf_drop(&b, 99);
    CHECK_EQ(b.n, 0);
    buf_free(&b);
    CHECK_EQ(buf_addc(&b, 'x'), 0); /* usable after a free */
    CHECK_EQ(b.max, 100);
}

static const struct {
    struct str in, out;
} json_cases[] = {
    {STR_INIT(""), STR_INIT("\"\"")},
    {STR_INIT("plain text that is longer than a word"),
        STR_INIT("\"plain text that is longer than a word\"")},
    {STR_INIT("say \"hi\" \\ there"), STR_INIT("\"say \\\"hi\\\" \\\\ there\"")},
    {STR_INIT("\b\f\n\r\t\x01\x1f\0"), STR_INIT("\"\\b\\f\\n\\r\\t\\u0001\\u001f\\u0000\"")},
    {STR_INIT("\x7f"), STR_INIT("\"\x7f\"")},
    {STR_INIT("é€😀"), STR_INIT("\"é€😀\"")},
    {STR_INIT("a\xff"
              "b"),
        STR_INIT("\"a\xef\xbf\xbd"
                 "b\"")},
    {STR_INIT("\xc0\x80"), STR_INIT("\"\xef\xbf\xbd\xef\xbf\xbd\"")}, /* overlong */
    {STR_INIT("\xed\xa0\x80"),
        STR_INIT("\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"")}, /* surrogate */
    {STR_INIT("\xf0\x9f\x98"), STR_INIT("\"\xef\xbf\xbd\"")},  /* cut short */
    {STR_INIT("\xf4\x90\x80\x80"),
        STR_INIT("\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"")}, /* above U+10FFFF */
    {STR_INIT("\xe2\x82"
              "A"),
        STR_INIT("\"\xef\xbf\xbd"
                 "A\"")},
};

static void test_json(void)
{
    _cleanup_(buf_free) struct buf b;

    buf_init(&b, 1000);
    for (size_t i = 0; i < ARRAY_LEN(json_cases); i++) {
        buf_clear(&b);
        CHECK_EQ(buf_addjson(&b, json_cases[i].in), 0);
        CHECK_STR(buf_str(&b), json_cases[i].out);
    }
}

static void check_stride(char *text, size_t n, unsigned c, struct buf *b)
{
    for (size_t at = 0; at < n; at++) {
        memset(text, 'x', n);
        text[at] = (char)c;
        buf_clear(b);
        buf_addjson(b, str_at(text, n));
        bool changed = b->n != n + 2 || memcmp(b->p + 1, text, n);
        CHECK_EQ(changed, c < 0x20 || c == '"' || c == '\\' || c >= 0x80);
    }
}

/* Every byte that must be escaped is seen at every place of texts shorter and longer than the
 * eight-byte stride. */
static void test_json_stride(void)
{
    _cleanup_(buf_free) struct buf b;

    buf_init(&b, 1000);
    for (size_t n = 1; n <= 24; n++) {
        char *text = malloc(n); /* of that size, so that ASan sees what is read */
        for (unsigned c = 0; c < 0x100; c++)
            check_stride(text, n, c, &b);
        free(text);
    }
}

static void test_json_whole_or_nothing(void)
{
    _cleanup_(buf_free) struct buf b;

    buf_init(&b, 8);
    buf_addstr(&b, STR("ab"));
    CHECK_EQ(buf_addjson(&b, STR("12\n34")), -ENOBUFS);
    CHECK_STR(buf_str(&b), STR("ab"));
    CHECK_EQ(b.err, -ENOBUFS);
}

int main(void)
{
    TAP_RUN(test_growth);
    TAP_RUN(test_maximum);
    TAP_RUN(test_printf);
    TAP_RUN(test_numbers);
    TAP_RUN(test_drop);
    TAP_RUN(test_json);
    TAP_RUN(test_json_stride);
    TAP_RUN(test_json_whole_or_nothing);
    return tap_done();
}
