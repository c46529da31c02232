/*
 * Form bodies against what they hold, cut at every offset and at every pair of offsets; evil ones
 * against refusal; and limits.
 */
#include "base/limits.h"
#include "base/tap.h"
#include "http/multipart.h"
#include <errno.h>

#define S(t) STR_INIT(t)
#define D(p) "Content-Disposition: form-data; " p "\r\n"
#define A    "--b\r\n" D("name=a") "\r\n" /* a part called a begins */

/* What is read, in print: (name|filename|type) data / for the end of a part, $ for the end. */
static const struct {
    struct str body;
    const char *print; /* NULL: refused */
} cases[] = {
    {S("--b\r\n" D("name=\"model\"") "\r\nwhisper-1\r\n--b--\r\n"), "(model|-|-)whisper-1/$"},
    {S(A "1\r\n--b\r\n" D("name=\"c\"") "\r\n2\r\n--b--"), "(a|-|-)1/(c|-|-)2/$"},
    {S("\r\n" A "1\r\n--b--"), "(a|-|-)1/$"},
    {S("--b--"), "$"},
    {S(A "\r\n--b--"), "(a|-|-)/$"},
    {S(A "1\r\n--b--epilogue \x01\n--b\r\n"), "(a|-|-)1/$"},
    {S(A "1\r\n--b"), "(a|-|-)1/"},
    {S(A "12"), "(a|-|-)12"},
    {S(A "\r\r\n\r\n-\r\n--\r\n--c\r\n\r\n--b--"), "(a|-|-)\r\r\n\r\n-\r\n--\r\n--c\r\n/$"},
    {S(A "\r\r\r\n--b--"), "(a|-|-)\r\r/$"},
    {S(A "-\r\n--b--"), "(a|-|-)-/$"},
    {S(A "--\r\n--b--"), "(a|-|-)--/$"},
    {S(A "--x--b\n--b\r--b\r\n--b--"), "(a|-|-)--x--b\n--b\r--b/$"},
    {S("--b\r\n" D("name=\"f\"; filename=\"a.wav\"") "Content-Type: audio/wav\r\n\r\nx\r\n--b--"),
        "(f|a.wav|audio/wav)x/$"},
    {S("--b\r\ncontent-type:text/plain; charset=utf-8 \r\n"
       "CONTENT-DISPOSITION:FORM-DATA;NAME=f ; Filename=b.txt\r\n\r\nx\r\n--b--"),
        "(f|b.txt|text/plain; charset=utf-8)x/$"},
    {S("--b\r\n" D("name=\"a\\\"b\\\\c\"; filename=\"C:\\x\\y.z\"") "\r\n\r\n--b--"),
        "(a\"b\\c|C:\\x\\y.z|-)/$"},
    {S("--b\r\n" D("name=\"a%22b%2\"; filename=\"%22\"") "\r\n\r\n--b--"), "(a\"b%2|\"|-)/$"},
    {S("--b\r\n" D("name=\"\"; filename=\"\"") "\r\n\r\n--b--"), "(||-)/$"},
    {S("--b\r\n" D("name=\"a;b=c\"; filename*=UTF-8''x; filename=\"\xc3\xa4\"") "\r\n\r\n--b--"),
        "(a;b=c|\xc3\xa4|-)/$"},
    {S("--b\r\n" D("name=a") "X-Other: 1\r\nContent-Transfer-Encoding: Binary\r\n\r\n\r\n--b--"),
        "(a|-|-)/$"},
    /* before and behind delimiters */
    {S("preamble\r\n" A "1\r\n--b--"), NULL},
    {S("\r\n\r\n" A "1\r\n--b--"), NULL},
    {S("\n" A "1\r\n--b--"), NULL},
    {S("\r" A "1\r\n--b--"), NULL},
    {S("-\r\n" A), NULL},
    {S("--c\r\n"), NULL},
    {S("--b\n" D("name=a") "\r\n"), NULL},
    {S("--b \r\n" D("name=a") "\r\n"), NULL},
    {S("--bb\r\n" D("name=a") "\r\n"), NULL},
    {S("--b\r\r\n"), NULL},
    {S("--b-\r\n"), NULL},
    {S(A "1\r\n--bx"), NULL},
    {S(A "1\r\n--b \r\n"), NULL},
    {S(A "1\r\n--b-x"), NULL},
    {S(A "1\r\n--b\nx"), NULL},
    {S(A "--b\r\n"), NULL},
    {S(A "--b--"), NULL},
    /* heads */
    {S("--b\r\n\r\n"), NULL},
    {S("--b\r\nContent-Type: text/plain\r\n\r\n"), NULL},
    {S("--b\r\n" D("filename=a") "\r\n"), NULL},
    {S("--b\r\nContent-Disposition: attachment; name=a\r\n\r\n"), NULL},
    {S("--b\r\nContent-Disposition: form-data\r\n\r\n"), NULL},
    {S("--b\r\nContent-Disposition: form-datax; name=a\r\n\r\n"), NULL},
    {S("--b\r\n" D("name=a") D("name=a") "\r\n"), NULL},
    {S("--b\r\n" D("name=a; name=b") "\r\n"), NULL},
    {S("--b\r\n" D("name=a; NAME=b") "\r\n"), NULL},
    {S("--b\r\n" D("name=a; filename=b; filename=c") "\r\n"), NULL},
    {S("--b\r\n" D("name=a") "Content-Type: a/b\r\nContent-Type: a/b\r\n\r\n"), NULL},
    {S("--b\r\n" D("name=a") "Content-Transfer-Encoding: base64\r\n\r\n"), NULL},
    {S("--b\r\n" D("name=\"a") "\r\n"), NULL},
    {S("--b\r\n" D("name=\"a\\\"") "\r\n"), NULL},
    {S("--b\r\n" D("name=\"a\"b") "\r\n"), NULL},
    {S("--b\r\n" D("name=a b") "\r\n"), NULL},
    {S("--b\r\n" D("name=a;") "\r\n"), NULL},
    {S("--b\r\n" D("name = a") "\r\n"), NULL},
    {S("--b\r\n" D("name=") "\r\n"), NULL},
    {S("--b\r\n" D("name") "\r\n"), NULL},
    {S("--b\r\n" D("name=\"a\0\"") "\r\n"), NULL},
    {S("--b\r\n" D("name=\"a\x01\"") "\r\n"), NULL},
    {S("--b\r\n" D("name=\"a\rb\"") "\r\n"), NULL},
    {S("--b\r\nContent-Disposition: form-data;\r\n name=a\r\n\r\n"), NULL},
    {S("--b\r\nContent-Disposition: form-data; name=a\n\r\n"), NULL},
    {S("--b\r\nContent-Disposition : form-data; name=a\r\n\r\n"), NULL},
    {S("--b\r\n: x\r\n" D("name=a") "\r\n"), NULL},
    {S("--b\r\nno colon\r\n" D("name=a") "\r\n"), NULL},
    {S("--b\r\n" D("name=a") "\n"), NULL},
};

struct seen {
    struct buf print;
    uint64_t data_end; /* offset behind the last data */
    size_t fed;
    struct str body;
    bool misplaced; /* data_at was not where the data came from */
    int error;
};

static void see_part(const struct multipart *m, struct buf *out)
{
    buf_addc(out, '(');
    buf_addstr(out, m->name);
    buf_addc(out, '|');
    buf_addstr(out, m->filename.p ? m->filename : STR("-"));
    buf_addc(out, '|');
    buf_addstr(out, m->content_type.p ? m->content_type : STR("-"));
    buf_addc(out, ')');
}

static void see(struct seen *to, const struct multipart *m, int event)
{
    if (event == MULTIPART_PART)
        see_part(m, &to->print);
    if (event == MULTIPART_PART_END)
        buf_addc(&to->print, '/');
    if (event == MULTIPART_END)
        buf_addc(&to->print, '$');
    if (event == MULTIPART_DATA) {
        buf_addstr(&to->print, m->data);
        if (m->data.n == 0 || m->data_at + m->data.n > to->body.n ||
            memcmp(to->body.p + m->data_at, m->data.p, m->data.n) != 0)
            to->misplaced = true;
    }
}

static void feed(struct multipart *m, struct str piece, struct seen *to)
{
    int r = to->error;
    while (r >= 0 && (r = multipart_next(m, &piece)) > 0)
        see(to, m, r);
    to->error = r;
}

static void read_cut(struct str body, size_t a, size_t b, struct seen *to)
{
    struct multipart m;
    *to = (struct seen){.body = body};
    buf_init(&to->print, 4096);
    multipart_init(&m, STR("b"));
    feed(&m, str_to(body, a), to);
    feed(&m, str_at(body.p + a, b - a), to);
    feed(&m, str_from(body, b), to);
    multipart_free(&m);
}

static void check_cut(unsigned i, size_t a, size_t b)
{
    struct seen got;
    read_cut(cases[i].body, a, b, &got);
    bool ok = !got.misplaced && got.error == (cases[i].print ? 0 : -EINVAL);
    if (ok && cases[i].print)
        ok = str_eq(buf_str(&got.print), str_of(cases[i].print));
    if (!ok)
        tap_fail(__FILE__, __LINE__, "case %u cut at %zu and %zu: %d, %.*s", i, a, b, got.error,
            STR_ARG(buf_str(&got.print)));
    buf_free(&got.print);
}

static void test_cases_at_every_cut(void)
{
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        size_t n = cases[i].body.n, stride = n > 100 ? 3 : 1;
        for (size_t a = 0; a <= n; a++) {
            for (size_t b = a; b <= n; b += stride)
                check_cut(i, a, b);
        }
    }
}

/* The data of a part that is whole in the piece come in one view into it. */
static void test_data_is_not_copied(void)
{
    struct multipart m;
    static const char body[] = A "one\rtwo\r\nthree\r\n--\r\n--b--";
    struct str in = str_at(body, sizeof(body) - 1);
    CHECK_EQ(multipart_init(&m, STR("b")), 0);
    CHECK_EQ(multipart_next(&m, &in), MULTIPART_PART);
    CHECK_EQ(multipart_next(&m, &in), MULTIPART_DATA);
    CHECK_STR(m.data, STR("one\rtwo\r\nthree\r\n--"));
    CHECK(m.data.p == body + m.data_at);
    CHECK_EQ(multipart_next(&m, &in), MULTIPART_PART_END);
    CHECK_EQ(multipart_next(&m, &in), MULTIPART_END);
    CHECK_EQ(multipart_next(&m, &in), MULTIPART_MORE);
    CHECK_EQ(m.at, sizeof(body) - 1);
    multipart_free(&m);
}

static int read_many_parts(unsigned n)
{
    struct multipart m;
    int r = 0;
    multipart_init(&m, STR("b"));
    for (unsigned i = 0; i < n && r >= 0; i++) {
        struct str in = i ? STR("\r\n" A) : STR(A);
        while ((r = multipart_next(&m, &in)) > 0)
            continue;
    }
    multipart_free(&m);
    return r;
}

static int read_long_head(size_t n, size_t step)
{
    _cleanup_(buf_free) struct buf b;
    struct multipart m;
    int r = 0;
    buf_init(&b, 64 * KIB);
    buf_addstr(&b, STR("--b\r\n" D("name=a") "X: "));
    size_t fixed = b.n - 5 + 4;
    for (size_t i = fixed; i < n; i++)
        buf_addc(&b, 'x');
    buf_addstr(&b, STR("\r\n\r\n"));
    multipart_init(&m, STR("b"));
    for (size_t at = 0; at < b.n && r >= 0; at += step) {
        struct str in = str_to(str_from(buf_str(&b), at), step);
        r = multipart_next(&m, &in);
    }
    multipart_free(&m);
    return r;
}

static void test_limits(void)
{
    CHECK_EQ(read_many_parts(LIMIT_MULTIPART_PARTS), 0);
    CHECK_EQ(read_many_parts(LIMIT_MULTIPART_PARTS + 1), -E2BIG);
    for (size_t step = 7; step < 100000; step *= 9) {
        CHECK_EQ(read_long_head(LIMIT_MULTIPART_HEAD, step), MULTIPART_PART);
        CHECK_EQ(read_long_head(LIMIT_MULTIPART_HEAD + 1, step), -E2BIG);
    }
}

#define B70 "0123456789012345678901234567890123456789012345678901234567890123456789"

static void test_boundary(void)
{
    static const struct {
        struct str type;
        const char *boundary;
    } types[] = {
        {S("multipart/form-data; boundary=abc"), "abc"},
        {S("Multipart/Form-Data;BOUNDARY=\"a b'()+_,-./:=?\""), "a b'()+_,-./:=?"},
        {S("multipart/form-data; charset=utf-8; boundary=----WebKitFormBoundaryAb1"),
            "----WebKitFormBoundaryAb1"},
        {S("multipart/form-data ; boundary====x=== ; a=b"), "===x==="},
        {S("multipart/form-data; boundary=" B70), B70},
        {S("multipart/form-data; boundary=" B70 "x"), NULL},
        {S("multipart/form-data"), NULL},
        {S("multipart/form-data; boundary="), NULL},
        {S("multipart/form-data; boundary=\"\""), NULL},
        {S("multipart/form-data; boundary=\"a \""), NULL},
        {S("multipart/form-data; boundary=\"a"), NULL},
        {S("multipart/form-data; boundary=\"a\\b\""), NULL},
        {S("multipart/form-data; boundary=a b"), NULL},
        {S("multipart/form-data; boundary=a*"), NULL},
        {S("multipart/form-data; boundary=a; boundary=b"), NULL},
        {S("multipart/form-data; boundary=a; boundary=a"), NULL},
        {S("multipart/; boundary=a"), NULL},
        {S("application/json; boundary=a"), NULL},
        {S("xmultipart/form-data; boundary=a"), NULL},
        {S(""), NULL},
    };
    for (unsigned i = 0; i < ARRAY_LEN(types); i++) {
        struct str got = multipart_boundary(types[i].type);
        CHECK_EQ(got.p == NULL, types[i].boundary == NULL);
        CHECK_STR(got, str_of(types[i].boundary));
    }
}

static void test_bad_boundary(void)
{
    struct multipart m;
    CHECK_EQ(multipart_init(&m, STR("")), -EINVAL);
    CHECK_EQ(multipart_init(&m, STR(B70 "x")), -EINVAL);
    CHECK_EQ(multipart_init(&m, STR("a\rb")), -EINVAL);
    CHECK_EQ(multipart_init(&m, STR(B70)), 0);
    multipart_free(&m);
}

int main(void)
{
    TAP_RUN(test_cases_at_every_cut);
    TAP_RUN(test_data_is_not_copied);
    TAP_RUN(test_limits);
    TAP_RUN(test_boundary);
    TAP_RUN(test_bad_boundary);
    return tap_done();
}
