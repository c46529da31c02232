/*
 * Server-sent events. Two steps: a small state machine looks for the blank line that ends an event,
 * jumping from line end to line end; then the fields of the whole event are read. The machine's
 * state lives across pieces, so that no byte is looked at twice for being cut off.
 *
 * A CR is the awkward case, because an LF behind it belongs to it. When a CR makes a blank line:
 *   - behind a line that ended in a bare CR, the stream uses bare CRs and the event is given out at
 *     once; should an LF follow all the same, it becomes the first byte of the next event's raw and
 *     is passed over there, as every empty line is;
 *   - otherwise the next byte is awaited, as in a CRLF stream the LF is on its way.
 * Either way the cut depends on the stream's bytes alone, not on its pieces.
 *
 * A parser between events holds no memory worth mentioning: a large buffer is freed after use, and
 * what is left of the one for cut events by sse_trim(), which leaves it be where the next is begun.
 */
#include "http/sse.h"
#include "base/limits.h"
#include <errno.h>

enum {
    BOM_0, /* at the front of the stream: 0, 1 or 2 bytes of a byte order mark seen */
    BOM_1,
    BOM_2,
    LINE_START,
    IN_LINE,
    BEHIND_CR, /* of a line with bytes, or of an event's end */
    BEHIND_BLANK_CR,
};

#define BOM         "\xef\xbb\xbf"
#define SCAN_BLOCK  1024 /* bounds the look for an LF where a CR is nearer */
#define KEEP_HELD   (16 * KIB)
#define KEEP_JOINED (2 * KIB)

void sse_init(struct sse *s, size_t max_event)
{
    *s = (struct sse){.max_event = max_event, .state = BOM_0};
    buf_init(&s->held, max_event);
    buf_init(&s->joined, max_event);
}

void sse_free(struct sse *s)
{
    buf_free(&s->held);
    buf_free(&s->joined);
}

/* The first CR or LF at or behind `at`, or n. */
static size_t line_end(const char *p, size_t at, size_t n)
{
    while (at < n) {
        size_t block = MIN(n - at, (size_t)SCAN_BLOCK);
        const char *lf = memchr(p + at, '\n', block);
        size_t before = lf ? (size_t)(lf - p) - at : block;
        const char *cr = memchr(p + at, '\r', before);
        if (cr)
            return (size_t)(cr - p);
        at += before;
        if (lf)
            return at;
    }
    return n;
}

/* One byte at a line's start. True when it ends the event; *ret_take says whether it is part of it.
 */
static bool start_byte(struct sse *s, char c, bool *ret_take)
{
    uint8_t before = s->state;
    *ret_take = true;
    if (before == BEHIND_BLANK_CR) {
        *ret_take = c == '\n';
        s->state = LINE_START;
        return true;
    }
    if (before < LINE_START && c == BOM[before]) {
        s->state++;
        return false;
    }
    if (before == BOM_1 || before == BOM_2) /* half a mark is a line's text */
        s->state = c == '\n' ? LINE_START : c == '\r' ? BEHIND_CR : IN_LINE;
    else if (c == '\n')
        s->state = LINE_START;
    else if (c == '\r')
        s->state = before == BEHIND_CR ? BEHIND_CR : BEHIND_BLANK_CR;
    else
        s->state = IN_LINE;
    return (c == '\n' && (before == LINE_START || before == BOM_0)) ||
           (c == '\r' && before == BEHIND_CR);
}

/* Looks through in; the number of bytes up to the event's end, or -1 when it is not there. */
static ptrdiff_t find_blank(struct sse *s, struct str in)
{
    size_t at = 0;
    while (at < in.n) {
        if (s->state == IN_LINE) {
            at = line_end(in.p, at, in.n);
            if (at == in.n)
                break;
            s->state = in.p[at++] == '\n' ? LINE_START : BEHIND_CR;
            continue;
        }
        bool take, end = start_byte(s, in.p[at], &take);
        at += take;
        if (end)
            return (ptrdiff_t)at;
    }
    return -1;
}

/* Splits "name: value" with one optional space; a line without a colon is all name. */
static struct str cut_field(struct str line, struct str *ret_value)
{
    ptrdiff_t colon = str_chr(line, ':');
    if (colon < 0) {
        *ret_value = str_at(line.p + line.n, 0);
        return line;
    }
    *ret_value = str_from(line, (size_t)colon + 1);
    if (ret_value->n && ret_value->p[0] == ' ')
        *ret_value = str_from(*ret_value, 1);
    return str_to(line, (size_t)colon);
}

/* The first data line stays a view; from the second on all are joined. */
static int add_data(struct sse *s, struct sse_event *e, struct str value)
{
    if (!e->data.p) {
        e->data = value;
        return 0;
    }
    int r = 0;
    if (s->joined.n == 0)
        r = buf_addstr(&s->joined, e->data);
    if (r >= 0)
        r = buf_addc(&s->joined, '\n');
    if (r >= 0)
        r = buf_addstr(&s->joined, value);
    e->data = buf_str(&s->joined);
    return r;
}

static int read_line(struct sse *s, struct sse_event *e, struct str line)
{
    struct str value, name = cut_field(line, &value);
    if (str_eq(name, STR("data")))
        return add_data(s, e, value);
    if (str_eq(name, STR("event")))
        e->event = value;
    return 0;
}

/* The mark at the front of the stream is no part of its first line. */
static size_t mark_of(struct str raw)
{
    return raw.n >= 3 && memcmp(raw.p, BOM, 3) == 0 ? 3 : 0;
}

static int read_event(struct sse *s, struct str raw, struct sse_event *e)
{
    int r = 0;
    *e = (struct sse_event){.raw = raw};
    if (s->joined.cap > KEEP_JOINED)
        buf_free(&s->joined);
    buf_clear(&s->joined);
    for (size_t at = s->started ? 0 : mark_of(raw); at < raw.n && r >= 0;) {
        size_t end = line_end(raw.p, at, raw.n);
        if (end > at)
            r = read_line(s, e, str_at(raw.p + at, end - at));
        at = end + 1;
    }
    s->started = true;
    return r;
}

/* The event most streams consist of: one data line and an LF, whole in the piece. */
static bool plain_event(struct sse *s, struct str *in, struct sse_event *ret)
{
    if (s->state != LINE_START || in->n < 8 || memcmp(in->p, "data:", 5) != 0)
        return false;
    size_t end = line_end(in->p, 5, in->n);
    if (in->n - end < 2 || in->p[end] != '\n' || in->p[end + 1] != '\n' || end + 2 > s->max_event)
        return false;
    size_t from = in->p[5] == ' ' ? 6 : 5;
    *ret =
        (struct sse_event){.raw = str_to(*in, end + 2), .data = str_at(in->p + from, end - from)};
    *in = str_from(*in, end + 2);
    return true;
}

static void drop_held(struct sse *s)
{
    s->drop_held = false;
    if (s->held.cap > KEEP_HELD)
        buf_free(&s->held);
    buf_clear(&s->held);
}

static int next_event(struct sse *s, struct str *in, struct sse_event *ret)
{
    uint8_t before = s->state;
    ptrdiff_t end = find_blank(s, *in);
    size_t n = end < 0 ? in->n : (size_t)end;
    if (n > s->max_event - s->held.n) {
        s->state = before;
        return -EMSGSIZE;
    }
    struct str raw = str_to(*in, n);
    if (s->held.n || end < 0) {
        int r = buf_addstr(&s->held, raw);
        if (r < 0)
            return r;
        raw = buf_str(&s->held);
    }
    *in = str_from(*in, n);
    if (end < 0)
        return 0;
    s->drop_held = s->held.n > 0;
    int r = read_event(s, raw, ret);
    return r < 0 ? r : 1;
}

int sse_next(struct sse *s, struct str *in, struct sse_event *ret)
{
    if (s->drop_held)
        drop_held(s);
    if (in->n == 0)
        return 0;
    if (s->held.n == 0 && plain_event(s, in, ret))
        return 1;
    return next_event(s, in, ret);
}

void sse_trim(struct sse *s)
{
    if (s->drop_held)
        drop_held(s);
    if (s->held.n == 0)
        buf_free(&s->held);
}

struct str sse_rest(const struct sse *s)
{
    return s->drop_held ? STR_NONE : buf_str(&s->held);
}
