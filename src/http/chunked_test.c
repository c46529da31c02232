/*
 * Chunked bodies, good and evil, each fed at every split; the verdict and the data must not depend
 * on where the pieces were cut.
 */
#include "base/buf.h"
#include "base/limits.h"
#include "base/tap.h"
#include "http/chunked.h"
#include <errno.h>
#include <stdio.h>

struct result {
    bool end, broken;
    size_t used;
    struct buf data;
};

static void feed(struct chunked *c, struct str in, struct result *r)
{
    while (in.n && !r->broken && !r->end) {
        struct str data;
        ptrdiff_t n = chunked_next(c, in, &data, &r->end);
        if (n < 0) {
            r->broken = true;
            return;
        }
        buf_addstr(&r->data, data);
        r->used += (size_t)n;
        in = str_from(in, (size_t)n);
    }
}

static const struct {
    const char *text, *data; /* data NULL: refused */
    bool unfinished;         /* fine as far as it goes */
    size_t rest;             /* bytes of the next message at the end */
} cases[] = {
    {"0\r\n\r\n", "", false, 0},
    {"5\r\nhello\r\n0\r\n\r\n", "hello", false, 0},
    {"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world", false, 0},
    {"A\r\n0123456789\r\na\r\n0123456789\r\n000\r\n\r\nGET ", "01234567890123456789", false, 4},
    {"5;name=value\r\nhello\r\n0;last\r\n\r\n", "hello", false, 0},
    {"5;q=\"a;b\"\r\nhello\r\n0\r\n\r\n", "hello", false, 0},
    {"0000000000000005\r\nhello\r\n0\r\n\r\n", "hello", false, 0},
    {"5\r\nhello\r\n0\r\nX-Sum: 1\r\nY:\r\n\r\n", "hello", false, 0},
    {"5\r\nhello\r\n0\r\n\r\n0\r\n\r\n", "hello", false, 5},
    {"2\r\n\r\n\r\n0\r\n\r\n", "\r\n", false, 0},
    {"5\r\nhel", "hel", true, 0},
    {"7fffffffffffffff\r\nabc", "abc", true, 0},
    {"00000000000000005\r\nhello\r\n0\r\n\r\n", NULL, false, 0},
    {"8000000000000000\r\nabc", NULL, false, 0},
    {"ffffffffffffffff\r\nabc", NULL, false, 0},
    {"10000000000000005\r\nhello\r\n", NULL, false, 0},
    {"\r\n", NULL, false, 0},
    {";x\r\n", NULL, false, 0},
    {" 5\r\nhello", NULL, false, 0},
    {"5 \r\nhello", NULL, false, 0},
    {"5\t;x\r\nhello", NULL, false, 0},
    {"+5\r\nhello", NULL, false, 0},
    {"-5\r\nhello", NULL, false, 0},
    {"0x5\r\nhello", NULL, false, 0},
    {"5_0\r\nhello", NULL, false, 0},
    {"g\r\nhello", NULL, false, 0},
    {"5\nhello\r\n0\r\n\r\n", NULL, false, 0},
    {"5\rhello\r\n0\r\n\r\n", NULL, false, 0},
    {"5\r\r\nhello", NULL, false, 0},
    {"5;a\nhello\r\n", NULL, false, 0},
    {"5;a\x01\r\nhello\r\n", NULL, false, 0},
    {"5;a\rb\r\nhello\r\n", NULL, false, 0},
    {"5\r\nhello0\r\n\r\n", NULL, false, 0},
    {"5\r\nhello\n0\r\n\r\n", NULL, false, 0},
    {"5\r\nhello\r0\r\n\r\n", NULL, false, 0},
    {"5\r\nhelloworld\r\n0\r\n\r\n", NULL, false, 0},
    {"0\r\n \r\n\r\n", NULL, false, 0},
    {"0\r\nX Y: 1\r\n\r\n", NULL, false, 0},
    {"0\r\n: 1\r\n\r\n", NULL, false, 0},
    {"0\r\nX\r\n\r\n", NULL, false, 0},
    {"0\r\nX: 1\r\n folded\r\n\r\n", NULL, false, 0},
    {"0\r\nX: 1\n\r\n", NULL, false, 0},
    {"0\r\nX: \x7f\r\n\r\n", NULL, false, 0},
    {"0\r\nX: 1\r\r\n\r\n", NULL, false, 0},
    {"0\n\r\n", NULL, false, 0},
    {"0\r\n\n", NULL, false, 0},
    {"0\r\n\rX", NULL, false, 0},
};

static void check_case(unsigned i, size_t first, size_t second)
{
    struct str text = str_of(cases[i].text);
    struct result r = {0};
    struct chunked c;
    buf_init(&r.data, 4096);
    chunked_init(&c);
    feed(&c, str_to(text, first), &r);
    feed(&c, str_at(text.p + first, second - first), &r);
    feed(&c, str_from(text, second), &r);
    bool ok = r.broken == (cases[i].data == NULL);
    if (ok && !r.broken)
        ok = str_eq(buf_str(&r.data), str_of(cases[i].data)) && r.end != cases[i].unfinished &&
             r.used == text.n - cases[i].rest;
    if (!ok)
        tap_fail(__FILE__, __LINE__, "case %u (%s) split at %zu and %zu", i, cases[i].text, first,
            second);
    buf_free(&r.data);
}

static void test_cases_at_every_split(void)
{
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t n = strlen(cases[i].text);
        for (size_t a = 0; a <= n; a++) {
            for (size_t b = a; b <= n; b++)
                check_case(i, a, b);
        }
    }
}

/* head, then fill many times, then tail: whether the whole is taken. */
static bool accepts(const char *head, char fill, size_t n, const char *tail)
{
    _cleanup_(buf_free) struct buf b;
    struct result r = {0};
    struct chunked c;
    buf_init(&b, 64 * KIB);
    buf_init(&r.data, 64 * KIB);
    buf_addstr(&b, str_of(head));
    for (size_t i = 0; i < n; i++)
        buf_addc(&b, fill);
    buf_addstr(&b, str_of(tail));
    chunked_init(&c);
    feed(&c, buf_str(&b), &r);
    buf_free(&r.data);
    return r.end && !r.broken;
}

static void test_limits(void)
{
    CHECK(accepts("0;", 'x', LIMIT_CHUNK_LINE - 2, "\r\n\r\n"));
    CHECK(!accepts("0;", 'x', LIMIT_CHUNK_LINE - 1, "\r\n\r\n"));
    CHECK(accepts("0\r\nA:", 'x', LIMIT_TRAILER_BYTES - 6, "\r\n\r\n"));
    CHECK(!accepts("0\r\nA:", 'x', LIMIT_TRAILER_BYTES - 5, "\r\n\r\n"));
}

/* Behind the end, and behind an error, nothing is taken any more. */
static void test_end_and_error_stay(void)
{
    struct chunked c;
    struct str data;
    bool end;
    chunked_init(&c);
    CHECK_EQ(chunked_next(&c, STR("0\r\n\r\n5\r\nhello"), &data, &end), 5);
    CHECK(end);
    CHECK_EQ(chunked_next(&c, STR("5\r\nhello"), &data, &end), 0);
    CHECK(end && data.n == 0);
    chunked_init(&c);
    CHECK_EQ(chunked_next(&c, STR("x"), &data, &end), -EINVAL);
    CHECK_EQ(chunked_next(&c, STR("0\r\n\r\n"), &data, &end), -EINVAL);
}

int main(void)
{
    TAP_RUN(test_cases_at_every_split);
    TAP_RUN(test_limits);
    TAP_RUN(test_end_and_error_stay);
    return tap_done();
}
