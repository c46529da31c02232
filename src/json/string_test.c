/*
 * The string readers for each kind of processor must agree with each other and with a plain
 * definition of what may stand in a JSON string.
 */
#include "base/tap.h"
#include "json/scan_int.h"
#include <stdlib.h>

struct reader {
    const char *name;
    string_fn *read;
};

static const struct reader *readers(void)
{
    static struct reader all[4];
    size_t n = 0;
    all[n++] = (struct reader){"words", string_words};
#ifdef __x86_64__
    all[n++] = (struct reader){"sse2", string_sse2};
    if (__builtin_cpu_supports("avx2"))
        all[n++] = (struct reader){"avx2", string_avx2};
#endif
    return all;
}

struct outcome {
    ptrdiff_t end; /* length read, or -1 */
    size_t at;
    const char *why;
    bool escaped;
};

/* text stands behind the opening quote. It is read from memory of exactly its size. */
static struct outcome read_with(string_fn *read, struct str text)
{
    char *exact = malloc(text.n + 1);
    must(exact);
    memcpy(exact + 1, text.p, text.n);
    struct scanner s = {.string_rest = read};
    s.start = (const uint8_t *)exact + 1;
    s.end = s.start + text.n;
    const uint8_t *p = read(&s, s.start);
    struct outcome o = {.end = p ? p - s.start : -1, .escaped = s.escaped};
    if (!p) {
        o.at = s.err.at;
        o.why = s.err.why;
    }
    free(exact);
    return o;
}

static void check_all(struct str text, struct outcome want)
{
    for (const struct reader *r = readers(); r->read; r++) {
        struct outcome got = read_with(r->read, text);
        CHECK_EQ(got.end, want.end);
        CHECK_EQ(got.escaped, want.escaped);
        if (want.end >= 0)
            continue;
        CHECK_EQ(got.at, want.at);
        CHECK_STR(str_of(got.why), str_of(want.why));
    }
}

/* Every length up to three of the widest blocks, every place of what ends the run. */
static void test_every_place(void)
{
    char text[120];
    for (size_t n = 1; n <= 100; n++) {
        for (size_t at = 0; at < n; at++) {
            memset(text, 'a', n);
            text[at] = '"';
            check_all(str_at(text, n), (struct outcome){.end = (ptrdiff_t)at + 1});
            text[at] = '\x1f';
            check_all(str_at(text, n),
                (struct outcome){.end = -1, .at = at, .why = "control character in string"});
            text[at] = (char)0xff;
            check_all(
                str_at(text, n), (struct outcome){.end = -1, .at = at, .why = "invalid UTF-8"});
        }
        memset(text, 'a', n);
        check_all(
            str_at(text, n), (struct outcome){.end = -1, .at = n, .why = "string is not closed"});
    }
}

static void test_every_byte(void)
{
    for (unsigned c = 0; c < 256; c++) {
        char text[40];
        memset(text, 'x', sizeof(text));
        text[sizeof(text) - 1] = '"';
        text[17] = (char)c;
        struct outcome want = {.end = sizeof(text)};
        if (c < 0x20)
            want = (struct outcome){.end = -1, .at = 17, .why = "control character in string"};
        else if (c >= 0x80)
            want = (struct outcome){.end = -1, .at = 17, .why = "invalid UTF-8"};
        else if (c == '"')
            want.end = 18;
        else if (c == '\\')
            want = (struct outcome){.end = -1, .at = 17, .why = "invalid escape", .escaped = true};
        check_all(str_at(text, sizeof(text)), want);
    }
}

static void test_every_escape(void)
{
    for (unsigned c = 0; c < 256; c++) {
        char text[] = {'\\', (char)c, 'a', 'b', '1', '2', 'z', '"'};
        struct outcome want = {.end = sizeof(text), .escaped = true};
        if (c == 0 || !strchr("\"\\/bfnrtu", (int)c))
            want = (struct outcome){.end = -1, .why = "invalid escape", .escaped = true};
        check_all(str_at(text, sizeof(text)), want);
    }
}

static void test_hex_escape(void)
{
    for (size_t digit = 0; digit < 4; digit++) {
        for (unsigned c = 0; c < 256; c++) {
            char text[] = "..............\\u00aF\"";
            text[16 + digit] = (char)c;
            struct outcome want = {.end = sizeof(text) - 1, .escaped = true};
            if (c == 0 || !strchr("0123456789abcdefABCDEF", (int)c))
                want = (struct outcome){
                    .end = -1, .at = 14, .why = "invalid \\u escape", .escaped = true};
            check_all(str_at(text, sizeof(text) - 1), want);
        }
    }
}

static void check_utf8(const uint8_t *sequence, size_t n, bool valid)
{
    char text[24] = "0123456789";
    memcpy(text + 10, sequence, n);
    text[10 + n] = '"';
    struct outcome want = {.end = (ptrdiff_t)n + 11};
    if (!valid)
        want = (struct outcome){.end = -1, .at = 10, .why = "invalid UTF-8"};
    check_all(str_at(text, n + 11), want);
    /* Cut off it is never valid. */
    struct outcome cut = {.end = -1, .at = 10, .why = "invalid UTF-8"};
    if (n > 1)
        check_all(str_at(text, n + 9), cut);
}

/* The straightforward encoding, surrogates and too large values included. */
static size_t encode(uint32_t c, size_t n, uint8_t out[4])
{
    static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        out[i] = (uint8_t)(0x80 | (c & 0x3f));
    out[0] = (uint8_t)(lead[n] | c);
    return n;
}

static void test_utf8_code_points(void)
{
    uint8_t out[4];
    for (uint32_t c = 0; c < 0x800; c++)
        check_utf8(out, encode(c, 2, out), c >= 0x80);
    for (uint32_t c = 0; c < 0x10000; c += c < 0x900 || (c > 0xd700 && c < 0xe100) ? 1 : 97)
        check_utf8(out, encode(c, 3, out), c >= 0x800 && (c < 0xd800 || c > 0xdfff));
    for (uint32_t c = 0; c < 0x200000; c += c >= 0xff00 && c < 0x10100 ? 1 : 1021)
        check_utf8(out, encode(c, 4, out), c >= 0x10000 && c <= 0x10ffff);
    check_utf8(out, encode(0x10ffff, 4, out), true);
    check_utf8(out, encode(0x110000, 4, out), false);
}

static void test_utf8_broken(void)
{
    static const char *const broken[] = {"\x80", "\xbf", "\xc3", "\xc3\xc3", "\xe2\x82", "\xe2\x28",
        "\xe2\x82\x28", "\xf0\x9f\x98", "\xf0\x9f\x28\x80", "\xf0\x9f\x98\x28", "\xf8\x88\x80\x80",
        "\xfe", "\xff"};
    for (size_t i = 0; i < ARRAY_LEN(broken); i++)
        check_utf8((const uint8_t *)broken[i], strlen(broken[i]), false);
}

static void test_escapes_and_runs(void)
{
    /* Runs of changing length between escapes and UTF-8, against the known length. */
    char text[4096];
    size_t n = 0;
    for (size_t run = 0; run < 70; run++) {
        memset(text + n, 'r', run);
        n += run;
        const char *mark = run % 3 == 0 ? "\\n" : run % 3 == 1 ? "\xe4\xba\xba" : "\\ud83d\\ude00";
        memcpy(text + n, mark, strlen(mark));
        n += strlen(mark);
    }
    text[n++] = '"';
    check_all(str_at(text, n), (struct outcome){.end = (ptrdiff_t)n, .escaped = true});
}

int main(void)
{
    TAP_RUN(test_every_place);
    TAP_RUN(test_every_byte);
    TAP_RUN(test_every_escape);
    TAP_RUN(test_hex_escape);
    TAP_RUN(test_utf8_code_points);
    TAP_RUN(test_utf8_broken);
    TAP_RUN(test_escapes_and_runs);
    return tap_done();
}
