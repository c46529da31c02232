/*
 * Pieces do not matter: the same events with the same raw bytes, and all raws with the rest are the
 * stream. And any lines, written as an event, come back as its data.
 */
#include "base/limits.h"
#include "http/cut_fuzz.h"
#include "http/sse.h"

#define MAX_EVENT (64 * KIB)

static void add_view(struct buf *out, struct str s)
{
    buf_printf(out, "%c%zu ", s.p ? '+' : '-', s.n);
    buf_addstr(out, s);
}

static int feed(struct sse *s, struct str piece, struct buf *print, struct buf *bytes)
{
    struct sse_event e;
    int r;
    while ((r = sse_next(s, &piece, &e)) > 0) {
        must(e.raw.n > 0);
        add_view(print, e.event);
        add_view(print, e.data);
        buf_printf(print, "%zu\n", e.raw.n);
        buf_addstr(bytes, e.raw);
    }
    must(r < 0 || piece.n == 0);
    return r;
}

static int read_stream(struct str stream, bool cut, struct buf *print)
{
    _cleanup_(buf_free) struct buf bytes;
    struct cutter k = cutter_of(stream, 4);
    struct str rest = stream;
    struct sse s;
    int r = 0;
    buf_init(print, 64 * MIB);
    buf_init(&bytes, 2 * MIB);
    sse_init(&s, MAX_EVENT);
    if (!cut)
        r = feed(&s, stream, print, &bytes);
    while (cut && rest.n && r >= 0)
        r = feed(&s, cutter_take(&k, &rest), print, &bytes);
    buf_addstr(&bytes, sse_rest(&s));
    must(r < 0 || str_eq(buf_str(&bytes), stream));
    sse_free(&s);
    return r;
}

static void check_cuts(struct str stream)
{
    struct buf whole, parts;
    int a = read_stream(stream, false, &whole), b = read_stream(stream, true, &parts);
    must(a == b && str_eq(buf_str(&whole), buf_str(&parts)));
    buf_free(&whole);
    buf_free(&parts);
}

/* Writes each line of s as a data line, with the line end that end names. */
static void check_lines(struct str s, const char *end)
{
    _cleanup_(buf_free) struct buf stream, want;
    struct sse_event e;
    struct sse p;
    buf_init(&stream, MIB);
    buf_init(&want, MIB);
    for (size_t i = 0; i < s.n; i++)
        buf_addc(&want, s.p[i] == '\r' ? '.' : s.p[i]);
    for (struct str rest = buf_str(&want); rest.p;) {
        buf_addstr(&stream, STR("data: "));
        buf_addstr(&stream, str_split(&rest, '\n'));
        buf_addstr(&stream, str_of(end));
    }
    buf_printf(&stream, ":%s%s", end, end);
    if (stream.err || stream.n > MAX_EVENT)
        return;
    sse_init(&p, MAX_EVENT);
    struct str in = buf_str(&stream);
    must(sse_next(&p, &in, &e) == 1 && str_eq(e.data, buf_str(&want)) && !e.event.p);
    sse_free(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > MIB / 2)
        return 0;
    struct str s = str_at((const char *)data, size);
    check_cuts(s);
    check_lines(s, "\n");
    check_lines(s, "\r\n");
    check_lines(s, "\r");
    return 0;
}
