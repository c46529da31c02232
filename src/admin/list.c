/*
 * Lists: a page of JSON, or the whole list as CSV or JSON lines where Accept asks for it.
 *
 * A source gives pages; where it goes on is a text of its own making. What a client gets of it is
 * base64url of a CRC-32 over the row's path and that text, and the text: opaque, and a cursor that
 * was cut, mistyped or taken from another list is told apart from a good one. It carries no right:
 * a source confines the caller whatever its cursor says.
 *
 * Streams hold one page at a time. The columns of CSV are the members of the row's reply schema; a
 * cell that a spreadsheet would run as a formula gets an apostrophe before it.
 */
#include "admin/api_int.h"
#include "crypto/encode.h"
#include "json/scan.h"

#include <errno.h>

#define CURSOR_MAX 2048

/* --- cursors --- */

static uint32_t cursor_sum(const struct admin_call *c, struct str text)
{
    return crc32_ieee(crc32_ieee(0, str_of(c->row->path)), text);
}

static struct str cursor_write(struct admin_call *c, struct str text)
{
    uint32_t sum = cursor_sum(c, text);
    char *plain = arena_alloc(&c->arena, 4 + text.n);
    size_t n = BASE64URL_SIZE(4 + text.n);
    char *out = arena_alloc(&c->arena, n);

    if (!plain || !out)
        return STR_NONE;
    for (int i = 0; i < 4; i++)
        plain[i] = (char)(sum >> (24 - 8 * i));
    memcpy(plain + 4, text.p, text.n);
    base64url_encode(str_at(plain, 4 + text.n), out);
    return str_at(out, n);
}

int admin_cursor_read(struct admin_call *c, struct str given)
{
    static const char wrong[] =
        "cursor must be the next_cursor of an earlier page of this same list.";
    unsigned char *plain;
    uint32_t sum = 0;

    if (c->cursor.p)
        return admin_bad(c, "cursor", "cursor is given twice.");
    if (!given.n || given.n > CURSOR_MAX ||
        !(plain = arena_alloc(&c->arena, BASE64_MAX_BYTES(given.n))))
        return admin_bad(c, "cursor", wrong);
    ssize_t n = base64url_decode(given, plain);
    if (n <= 4)
        return admin_bad(c, "cursor", wrong);
    for (int i = 0; i < 4; i++)
        sum = sum << 8 | plain[i];
    struct str text = str_at((char *)plain + 4, (size_t)n - 4);
    if (sum != cursor_sum(c, text))
        return admin_bad(c, "cursor", wrong);
    c->cursor = text;
    return 0;
}

/* --- one page of JSON --- */

static int reply_page(struct admin_call *c, admin_page_fn *page, void *ctx)
{
    _cleanup_(buf_free) struct buf body = {0}, fields = {0};
    struct admin_page p = {.limit = c->limit, .cursor = c->cursor, .items = &c->out};

    put_open(&c->out, NULL, '[');
    int r = page(c, &p, ctx);
    if (r < 0)
        return r;
    if (!admin_duties_done(c))
        return -EREMOTEIO;
    put_close(&c->out, ']');
    buf_init(&body, 2 * ADMIN_OUT_BYTES + 64 * KIB);
    put_open(&body, NULL, '{');
    put_bool(&body, "success", true);
    put_raw(&body, "data", buf_str(&c->out));
    if (c->row->name)
        put_raw(&body, c->row->name, buf_str(&c->out));
    put_bool(&body, "has_more", p.next.n > 0);
    if (p.next.n)
        put_str(&body, "next_cursor", cursor_write(c, p.next));
    else
        put_null(&body, "next_cursor");
    put_close(&body, '}');
    if (body.err || c->out.err)
        return admin_fail(c, 500, "internal_error", "The page is too large: ask for fewer items.");
    buf_init(&fields, LIMIT_HEAD_BYTES);
    admin_reply_fields(c, STR("application/json"), &fields);
    http_reply(c->rq, 200, buf_str(&fields), buf_str(&body));
    c->replied = true;
    return 0;
}

/* --- the whole list as text --- */

enum format { FORMAT_JSON, FORMAT_JSONL, FORMAT_CSV };

/* The first of the media types that Accept names decides; what is not known here is JSON. */
static enum format format_of(const struct admin_call *c)
{
    struct str accept = http_get(&c->rq->head.fields, HTTP_ACCEPT);

    while (accept.p && accept.n) {
        struct str type = str_split(&accept, ',');
        type = str_trim(str_split(&type, ';'));
        if (str_ieq(type, STR("text/csv")))
            return FORMAT_CSV;
        if (str_ieq(type, STR("application/x-ndjson")) || str_ieq(type, STR("application/jsonl")) ||
            str_ieq(type, STR("application/jsonlines")))
            return FORMAT_JSONL;
        if (str_ieq(type, STR("application/json")) || str_eq(type, STR("*/*")))
            return FORMAT_JSON;
    }
    return FORMAT_JSON;
}

static void csv_quoted(struct buf *out, struct str text)
{
    buf_addc(out, '"');
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '"')
            buf_addc(out, '"');
        buf_addc(out, text.p[i]);
    }
    buf_addc(out, '"');
}

static bool is_formula(struct str s)
{
    return s.n && memchr("=+-@\t\r", s.p[0], 6) != NULL;
}

static void csv_text(struct buf *out, struct str literal)
{
    _cleanup_(buf_free) struct buf b = {0};

    buf_init(&b, ADMIN_OUT_BYTES);
    if (buf_reserve(&b, literal.n + 1) < 0)
        return;
    ptrdiff_t n = json_unescape(literal, b.p + 1);
    if (n < 0)
        return;
    b.p[0] = '\'';
    struct str text = str_at(b.p + 1, (size_t)n);
    csv_quoted(out, is_formula(text) ? str_at(b.p, (size_t)n + 1) : text);
}

static void csv_cell(struct buf *out, struct str value)
{
    switch (value.p ? json_type_of(value) : JSON_NULL) {
    case JSON_NULL:
        break;
    case JSON_STRING:
        csv_text(out, value);
        break;
    case JSON_ARRAY:
    case JSON_OBJECT:
        csv_quoted(out, value);
        break;
    default:
        buf_addstr(out, value);
    }
}

static void csv_header(const struct admin_schema *s, struct buf *out)
{
    unsigned n;
    const struct field_row *f = admin_fields(s, &n);

    for (unsigned i = 0; i < n; i++)
        buf_printf(out, "%s%s", i ? "," : "", f[i].name);
    buf_addstr(out, STR("\r\n"));
}

static void csv_line(const struct admin_schema *s, struct str item, struct buf *out)
{
    unsigned n;
    const struct field_row *f = admin_fields(s, &n);

    for (unsigned i = 0; i < n; i++) {
        struct str name = str_of(f[i].name), value;
        json_members(item, &name, &value, 1);
        if (i)
            buf_addc(out, ',');
        csv_cell(out, value);
    }
    buf_addstr(out, STR("\r\n"));
}

static void add_lines(const struct admin_call *c, enum format f, struct str items, struct buf *out)
{
    size_t at = json_inside(items);
    struct str key, item;

    while (json_next(items, &at, &key, &item)) {
        if (f == FORMAT_CSV) {
            csv_line(c->row->reply, item, out);
        } else {
            buf_addstr(out, item);
            buf_addc(out, '\n');
        }
    }
}

/* Begins with the first page at hand, so that what goes wrong before it is still a plain error. */
static int begin(struct admin_call *c, enum format f)
{
    _cleanup_(buf_free) struct buf fields = {0};
    struct str type =
        f == FORMAT_CSV ? STR("text/csv; charset=utf-8") : STR("application/x-ndjson");

    buf_init(&fields, LIMIT_HEAD_BYTES);
    admin_reply_fields(c, type, &fields);
    c->replied = true;
    return http_reply_begin(c->rq, 200, buf_str(&fields), HTTP_LENGTH_UNKNOWN);
}

struct listing {
    enum format format;
    unsigned left; /* items, where the client limited them */
    struct buf items, lines, cursor;
};

static int write_page(struct admin_call *c, struct listing *s, bool first)
{
    int r = 0;

    if (first && !admin_duties_done(c))
        return -EREMOTEIO;
    if (first)
        r = begin(c, s->format);
    if (first && s->format == FORMAT_CSV)
        csv_header(c->row->reply, &s->lines);
    add_lines(c, s->format, buf_str(&s->items), &s->lines);
    if (r == 0)
        r = s->lines.err;
    if (r == 0 && s->lines.n)
        r = http_reply_write(c->rq, buf_str(&s->lines));
    return r;
}

/* A page's memory is its own, or a long list would fill the call's. What has to outlive it, where
 * it goes on and what went wrong, is copied. */
static int one_page(
    struct admin_call *c, struct listing *s, admin_page_fn *page, void *ctx, bool first)
{
    struct admin_page p = {
        .limit = MIN(s->left, ADMIN_LIST_MAX), .cursor = buf_str(&s->cursor), .items = &s->items};
    struct arena own = c->arena;

    arena_init(&c->arena, NULL, 0, ADMIN_ARENA);
    put_open(&s->items, NULL, '[');
    int r = page(c, &p, ctx);
    put_close(&s->items, ']');
    if (r == 0)
        r = s->items.err ? s->items.err : write_page(c, s, first);
    c->error.message = arena_dup(&own, c->error.message);
    c->error.param = arena_dup(&own, c->error.param);
    c->error.hint = arena_dup(&own, c->error.hint);
    struct str next = arena_dup(&own, p.next); /* the cursor it came from may be a part of it */
    buf_clear(&s->cursor);
    if (r == 0)
        r = buf_addstr(&s->cursor, next);
    arena_free(&c->arena);
    c->arena = own;
    s->left -= c->limit_given ? MIN(s->left, p.limit) : 0;
    return r;
}

static int stream_pages(struct admin_call *c, struct listing *s, admin_page_fn *page, void *ctx)
{
    int r = buf_addstr(&s->cursor, c->cursor);

    for (bool first = true; r == 0 && (first || (s->cursor.n && s->left)); first = false) {
        buf_clear(&s->items);
        buf_clear(&s->lines);
        r = one_page(c, s, page, ctx, first);
    }
    return r;
}

static int reply_stream(struct admin_call *c, enum format f, admin_page_fn *page, void *ctx)
{
    struct listing s = {.format = f, .left = c->limit_given ? c->limit : UINT32_MAX};

    buf_init(&s.items, ADMIN_OUT_BYTES);
    buf_init(&s.lines, ADMIN_OUT_BYTES);
    buf_init(&s.cursor, CURSOR_MAX);
    int r = stream_pages(c, &s, page, ctx);
    buf_free(&s.items);
    buf_free(&s.lines);
    buf_free(&s.cursor);
    if (!c->replied)
        return r;
    if (r < 0)
        http_reply_abort(c->rq); /* a cut list must be noticed */
    else
        http_reply_end(c->rq, STR_NONE);
    return 0;
}

int admin_list(struct admin_call *c, admin_page_fn *page, void *ctx)
{
    enum format f = format_of(c);

    if (f == FORMAT_CSV && !c->row->reply)
        f = FORMAT_JSON;
    return f == FORMAT_JSON ? reply_page(c, page, ctx) : reply_stream(c, f, page, ctx);
}
