/*
 * Streams of events against the results written out, and against a plain reading of the WHATWG
 * rules line by line; each stream cut at every offset and at every pair of offsets.
 */
#include "base/limits.h"
#include "base/tap.h"
#include "http/sse.h"
#include <errno.h>

/* Results in print: each event as {name|data}, '-' for what is absent; then the rest. */
static const struct {
    struct str stream;
    const char *result;
} cases[] = {
    {STR_INIT("data: a\n\n"), "{-|a}"},
    {STR_INIT("data: a\n\ndata: b\n\ndata: c"), "{-|a}{-|b}rest"},
    {STR_INIT("data: {\"x\":1}\n\ndata: [DONE]\n\n"), "{-|{\"x\":1}}{-|[DONE]}"},
    {STR_INIT("data:a\n\ndata:  a\n\ndata:\n\ndata\n\ndata: \n\n"), "{-|a}{-| a}{-|}{-|}{-|}"},
    {STR_INIT("event: ping\ndata: {}\n\n"), "{ping|{}}"},
    {STR_INIT("event: a\nevent:b\nid: 7\nretry: 10\ndata: x\n\n"), "{b|x}"},
    {STR_INIT("event: a\n\n"), "{a|-}"},
    {STR_INIT(": comment\n\n:\n\n"), "{-|-}{-|-}"},
    {STR_INIT("data: a\ndata: b\ndata:\ndata: c\n\ndata: d\n\n"), "{-|a\nb\n\nc}{-|d}"},
    {STR_INIT("data\ndata\n\n"), "{-|\n}"},
    {STR_INIT("data: a\r\n\r\ndata: b\r\n\r\n"), "{-|a}{-|b}"},
    {STR_INIT("data: a\r\rdata: b\r\rx"), "{-|a}{-|b}rest"},
    {STR_INIT("data: a\r\r"), "{-|a}"},
    {STR_INIT("data: a\r\r\ndata: b\r\n\r\n"), "{-|a}{-|b}"},
    {STR_INIT("data: a\r\r\n\ndata: b\n\n"), "{-|a}{-|-}{-|b}"},
    {STR_INIT("data: a\r\n\rdata: b\r\n\r\n"), "{-|a}{-|b}"},
    {STR_INIT("data: a\n\rdata: b\n\r\n"), "{-|a}{-|b}"},
    {STR_INIT("data: a\rdata: b\ndata: c\r\ndata: d\n\n"), "{-|a\nb\nc\nd}"},
    {STR_INIT("data: a\n\r\rdata: b\n\n"), "{-|a}{-|-}{-|b}"},
    {STR_INIT("\xef\xbb\xbf"
              "data: a\n\n\xef\xbb\xbf"
              "data: b\n\n"),
        "{-|a}{-|-}"},
    {STR_INIT("\xef\xbb\xbf\ndata: a\n\n"), "{-|-}{-|a}"},
    {STR_INIT("\xef\xbb"
              "data: a\n\n\xef\xbb\xbf"),
        "{-|-}rest"},
    {STR_INIT("\xef\n\n\n"), "{-|-}{-|-}"},
    {STR_INIT("\n\r\n\ndata: a\n\n\n"), "{-|-}{-|-}{-|-}{-|a}{-|-}"},
    {STR_INIT("Data: a\n\ndata : a\n\n data: a\n\ndatax: a\n\n"), "{-|-}{-|-}{-|-}{-|-}"},
    {STR_INIT("data: a:b: c\nevent\n\n"), "{|a:b: c}"},
    {STR_INIT("data: \xff\xfe\0x\n\n"), NULL},
    {STR_INIT("data: a\n"), "rest"},
    {STR_INIT("data: a\r\n\r"), "rest"},
    {STR_INIT(""), ""},
};

static void add_view(struct buf *out, struct str s)
{
    buf_addstr(out, s.p ? s : STR("-"));
}

/* Everything that a reader sees: the events in print, and the bytes in a row. */
struct seen {
    struct buf print, raws, bytes;
    int error;
};

static void seen_init(struct seen *s)
{
    buf_init(&s->print, 64 * KIB);
    buf_init(&s->raws, 64 * KIB);
    buf_init(&s->bytes, 64 * KIB);
    s->error = 0;
}

static void seen_free(struct seen *s)
{
    buf_free(&s->print);
    buf_free(&s->raws);
    buf_free(&s->bytes);
}

static void feed(struct sse *s, struct str piece, struct seen *to)
{
    struct sse_event e;
    int r;
    while ((r = sse_next(s, &piece, &e)) > 0) {
        buf_addc(&to->print, '{');
        add_view(&to->print, e.event);
        buf_addc(&to->print, '|');
        add_view(&to->print, e.data);
        buf_addc(&to->print, '}');
        buf_addstr(&to->bytes, e.raw);
        buf_printf(&to->raws, "%zu ", e.raw.n);
    }
    to->error = r;
}

static void finish(struct sse *s, struct seen *to)
{
    struct str rest = sse_rest(s);
    if (rest.n)
        buf_addstr(&to->print, STR("rest"));
    buf_addstr(&to->bytes, rest);
    sse_free(s);
}

static void read_cut(struct str stream, size_t a, size_t b, struct seen *to)
{
    struct sse s;
    seen_init(to);
    sse_init(&s, 4096);
    feed(&s, str_to(stream, a), to);
    feed(&s, str_at(stream.p + a, b - a), to);
    feed(&s, str_from(stream, b), to);
    finish(&s, to);
}

static void test_results(void)
{
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        struct seen got;
        read_cut(cases[i].stream, 0, 0, &got);
        if (cases[i].result && !str_eq(buf_str(&got.print), str_of(cases[i].result)))
            tap_fail(__FILE__, __LINE__, "case %u gives %.*s", i, STR_ARG(buf_str(&got.print)));
        seen_free(&got);
    }
}

static void check_cut(unsigned i, size_t a, size_t b, const struct seen *whole)
{
    struct seen got;
    read_cut(cases[i].stream, a, b, &got);
    if (!str_eq(buf_str(&got.print), buf_str(&whole->print)) ||
        !str_eq(buf_str(&got.raws), buf_str(&whole->raws)) ||
        !str_eq(buf_str(&got.bytes), cases[i].stream))
        tap_fail(__FILE__, __LINE__, "case %u cut at %zu and %zu gives %.*s", i, a, b,
            STR_ARG(buf_str(&got.print)));
    seen_free(&got);
}

static void test_every_cut(void)
{
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        struct seen whole;
        read_cut(cases[i].stream, 0, 0, &whole);
        for (size_t a = 0; a <= cases[i].stream.n; a++) {
            for (size_t b = a; b <= cases[i].stream.n; b++)
                check_cut(i, a, b, &whole);
        }
        seen_free(&whole);
    }
}

/* --- the rules, taken line by line from the whole stream --- */

static struct str next_line(struct str *s)
{
    size_t n = 0;
    while (n < s->n && s->p[n] != '\r' && s->p[n] != '\n')
        n++;
    struct str line = str_to(*s, n);
    bool two = n + 1 < s->n && s->p[n] == '\r' && s->p[n + 1] == '\n';
    *s = n < s->n ? str_from(*s, n + (two ? 2 : 1)) : STR_NONE;
    return line;
}

static void model_line(struct str line, struct buf *data, bool *has_data)
{
    struct str rest = line, name = str_split(&rest, ':');
    if (!str_eq(name, STR("data")))
        return;
    if (rest.n && rest.p[0] == ' ')
        rest = str_from(rest, 1);
    if (*has_data)
        buf_addc(data, '\n');
    buf_addstr(data, rest);
    *has_data = true;
}

/* The data of all events that a browser would dispatch, each in brackets. */
static void model(struct str s, struct buf *out)
{
    struct buf data;
    bool has_data = false;
    buf_init(&data, 4096);
    if (str_starts(s, STR("\xef\xbb\xbf")))
        s = str_from(s, 3);
    while (s.p && s.n) {
        struct str line = next_line(&s);
        if (line.n)
            model_line(line, &data, &has_data);
        if (line.n || !s.p) /* the last line has no end */
            continue;
        if (has_data)
            buf_printf(out, "[%.*s]", STR_ARG(buf_str(&data)));
        has_data = false;
        buf_clear(&data);
    }
    buf_free(&data);
}

static void parsed(struct str stream, size_t step, struct buf *out)
{
    struct sse s;
    struct sse_event e;
    sse_init(&s, 4096);
    for (size_t at = 0; at < stream.n; at += step) {
        struct str piece = str_to(str_from(stream, at), step);
        while (sse_next(&s, &piece, &e) > 0) {
            if (e.data.p)
                buf_printf(out, "[%.*s]", STR_ARG(e.data));
        }
    }
    /* A browser dispatches at the CR of a blank line; here its LF is still awaited. */
    struct str rest = sse_rest(&s), lf = STR("\n");
    if (rest.n && rest.p[rest.n - 1] == '\r' && sse_next(&s, &lf, &e) > 0 && e.data.p)
        buf_printf(out, "[%.*s]", STR_ARG(e.data));
    sse_free(&s);
}

/* All streams of up to 7 pieces of syntax. */
static void test_against_the_rules(void)
{
    static const char *const words[] = {"\r", "\n", "data:x", "data", ":c", "\xef\xbb\xbf"};
    for (unsigned code = 0; code < 279936; code += 1 + code / 4096) {
        struct buf stream, want, got;
        buf_init(&stream, 4096);
        buf_init(&want, 4096);
        buf_init(&got, 4096);
        for (unsigned c = code, i = 0; i < 7; i++, c /= 6)
            buf_addstr(&stream, str_of(words[c % 6]));
        model(buf_str(&stream), &want);
        parsed(buf_str(&stream), 1 + code % 5, &got);
        bool same = str_eq(buf_str(&got), buf_str(&want));
        if (!same)
            tap_fail(__FILE__, __LINE__, "stream %u: %.*s, wanted %.*s", code,
                STR_ARG(buf_str(&got)), STR_ARG(buf_str(&want)));
        buf_free(&stream);
        buf_free(&want);
        buf_free(&got);
        if (!same)
            return;
    }
}

/* A whole event in a piece is not copied. */
static void test_views_into_the_piece(void)
{
    static const char piece[] = "data: one\n\nevent: e\ndata: two\n\n";
    struct sse s;
    struct sse_event e;
    struct str in = STR("\n");
    sse_init(&s, 4096);
    CHECK_EQ(sse_next(&s, &in, &e), 1);
    in = str_at(piece, sizeof(piece) - 1);
    CHECK_EQ(sse_next(&s, &in, &e), 1);
    CHECK(e.raw.p == piece && e.data.p == piece + 6);
    CHECK_EQ(sse_next(&s, &in, &e), 1);
    CHECK(e.raw.p == piece + 11 && e.event.p == piece + 18);
    CHECK_EQ(in.n, 0);
    CHECK(s.held.p == NULL && s.joined.p == NULL);
    sse_free(&s);
}

static int read_long(size_t n, size_t step)
{
    static char text[256];
    struct sse s;
    struct sse_event e;
    int r = 0;
    memset(text, 'x', sizeof(text));
    memcpy(text, "data:", 5);
    memcpy(text + n - 2, "\n\n", 2);
    sse_init(&s, 100);
    for (size_t at = 0; at < n && r >= 0; at += step) {
        struct str piece = str_at(text + at, MIN(step, n - at));
        while ((r = sse_next(&s, &piece, &e)) > 0 && e.raw.n != n)
            continue;
        if (r == 1)
            break;
    }
    sse_free(&s);
    return r;
}

static void test_longest_event(void)
{
    for (size_t step = 1; step <= 256; step++) {
        CHECK_EQ(read_long(100, step), 1);
        CHECK_EQ(read_long(101, step), -EMSGSIZE);
        CHECK_EQ(read_long(256, step), -EMSGSIZE);
    }
}

/* After a large event in pieces, the parser's memory goes back. */
static void test_memory_goes_back(void)
{
    static char big[100000];
    struct sse s;
    struct sse_event e;
    memset(big, 'x', sizeof(big));
    memcpy(big, "data:", 5);
    struct str first = str_at(big, sizeof(big)), second = STR("\ndata:y\n\ndata: z\n\n");
    sse_init(&s, LIMIT_SSE_EVENT_BYTES);
    CHECK_EQ(sse_next(&s, &first, &e), 0);
    CHECK_EQ(sse_rest(&s).n, sizeof(big));
    CHECK_EQ(sse_next(&s, &second, &e), 1);
    CHECK_EQ(e.data.n, sizeof(big) - 5 + 2);
    CHECK_EQ(sse_rest(&s).n, 0);
    CHECK_EQ(sse_next(&s, &second, &e), 1);
    CHECK_STR(e.data, STR("z"));
    CHECK(s.held.p == NULL);
    first = STR("data: a"), second = STR("b\n\n");
    CHECK_EQ(sse_next(&s, &first, &e), 0);
    sse_trim(&s); /* an event that was begun stays */
    CHECK_STR(sse_rest(&s), STR("data: a"));
    CHECK_EQ(sse_next(&s, &second, &e), 1);
    CHECK_STR(e.data, STR("ab"));
    sse_trim(&s);
    CHECK(s.held.p == NULL);
    sse_free(&s);
}

int main(void)
{
    TAP_RUN(test_results);
    TAP_RUN(test_every_cut);
    TAP_RUN(test_against_the_rules);
    TAP_RUN(test_views_into_the_piece);
    TAP_RUN(test_longest_event);
    TAP_RUN(test_memory_goes_back);
    return tap_done();
}
