/*
 * Pieces do not matter: the same parts with the same data from the same places, or the same
 * refusal. And any bytes without a delimiter come back from the form they are put into.
 */
#include "base/limits.h"
#include "http/cut_fuzz.h"
#include "http/multipart.h"

struct reading {
    struct multipart m;
    struct buf print, data;
    struct str body;
    size_t ends;
    int result;
};

static void see(struct reading *r, int event)
{
    if (event == MULTIPART_DATA) {
        must(r->m.data.n > 0 && r->m.data_at + r->m.data.n <= r->body.n);
        must(memcmp(r->body.p + r->m.data_at, r->m.data.p, r->m.data.n) == 0);
        buf_addstr(&r->data, r->m.data);
        return;
    }
    buf_printf(&r->print, "%d %zu %zu\n", event, r->data.n, (size_t)r->m.at);
    r->ends += event == MULTIPART_END;
    if (event != MULTIPART_PART)
        return;
    must(r->m.name.p != NULL && r->m.parts <= LIMIT_MULTIPART_PARTS);
    buf_addstr(&r->print, r->m.name);
    buf_addstr(&r->print, r->m.filename);
    buf_addstr(&r->print, r->m.content_type);
}

static void feed(struct reading *r, struct str piece)
{
    uint64_t until = r->m.at + piece.n;
    while (r->result >= 0 && (r->result = multipart_next(&r->m, &piece)) > 0)
        see(r, r->result);
    must(r->result < 0 || (piece.n == 0 && r->m.at == until));
}

static void read_body(struct str body, bool cut, struct reading *r)
{
    struct cutter k = cutter_of(body, 5);
    *r = (struct reading){.body = body};
    buf_init(&r->print, 16 * MIB);
    buf_init(&r->data, 4 * MIB);
    must(multipart_init(&r->m, STR("b")) == 0);
    if (!cut)
        feed(r, body);
    while (cut && body.n)
        feed(r, cutter_take(&k, &body));
}

static void reading_free(struct reading *r)
{
    multipart_free(&r->m);
    buf_free(&r->print);
    buf_free(&r->data);
}

static void check_cuts(struct str body)
{
    struct reading whole, parts;
    read_body(body, false, &whole);
    read_body(body, true, &parts);
    must(whole.result == parts.result && whole.ends <= 1 && whole.ends == parts.ends);
    must(str_eq(buf_str(&whole.print), buf_str(&parts.print)));
    must(str_eq(buf_str(&whole.data), buf_str(&parts.data)));
    reading_free(&whole);
    reading_free(&parts);
}

static void check_form(struct str value)
{
    _cleanup_(buf_free) struct buf form = {0};
    struct reading r;
    if (str_starts(value, STR("--b")) || str_find(value, STR("\r\n--b")) >= 0)
        return;
    buf_init(&form, 4 * MIB);
    buf_addstr(&form, STR("--b\r\nContent-Disposition: form-data; name=\"n\"\r\n\r\n"));
    buf_addstr(&form, value);
    buf_addstr(&form, STR("\r\n--b--\r\n"));
    read_body(buf_str(&form), true, &r);
    must(r.result == 0 && r.ends == 1 && r.m.parts == 1 && str_eq(buf_str(&r.data), value));
    reading_free(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > MIB)
        return 0;
    struct str s = str_at((const char *)data, size);
    struct str type = str_to(s, 200), boundary = multipart_boundary(type);
    must(!boundary.p || (boundary.n >= 1 && boundary.n <= LIMIT_BOUNDARY_BYTES));
    check_cuts(s);
    check_form(s);
    return 0;
}
