/*
 * Pieces do not matter: the data, the verdict and the place of the end are those of the whole. And
 * any bytes, coded in chunks of any sizes, decode to themselves.
 */
#include "base/buf.h"
#include "base/limits.h"
#include "http/chunked.h"
#include "http/cut_fuzz.h"

struct result {
    struct buf data;
    size_t used;
    bool end, broken;
};

static void feed(struct chunked *c, struct str in, struct result *r)
{
    while (in.n && !r->broken && !r->end) {
        struct str data;
        ptrdiff_t n = chunked_next(c, in, &data, &r->end);
        r->broken = n < 0;
        if (n < 0)
            break;
        must(n > 0 && (size_t)n <= in.n && data.n <= (size_t)n);
        must(data.n == 0 || (data.p >= in.p && data.p + data.n <= in.p + n));
        buf_addstr(&r->data, data);
        r->used += (size_t)n;
        in = str_from(in, (size_t)n);
    }
}

static void decode(struct str s, bool cut, struct result *r)
{
    struct chunked c;
    struct cutter k = cutter_of(s, 2);
    *r = (struct result){0};
    buf_init(&r->data, 16 * MIB);
    chunked_init(&c);
    if (!cut)
        feed(&c, s, r);
    while (cut && s.n)
        feed(&c, cutter_take(&k, &s), r);
}

static void check_cuts(struct str s)
{
    struct result whole, parts;
    decode(s, false, &whole);
    decode(s, true, &parts);
    must(whole.broken == parts.broken && whole.end == parts.end);
    must(whole.broken || whole.used == parts.used);
    must(whole.broken || str_eq(buf_str(&whole.data), buf_str(&parts.data)));
    buf_free(&whole.data);
    buf_free(&parts.data);
}

static void check_coding(struct str s)
{
    _cleanup_(buf_free) struct buf coded;
    struct cutter k = cutter_of(s, 3);
    struct str rest = s;
    struct result r;
    buf_init(&coded, 64 * MIB);
    while (rest.n) {
        struct str piece = cutter_take(&k, &rest);
        buf_printf(&coded, cutter_number(&k, 2) ? "%zx\r\n" : "%04zX;x=\"y\"\r\n", piece.n);
        buf_addstr(&coded, piece);
        buf_addstr(&coded, STR("\r\n"));
    }
    buf_addstr(&coded, STR("0\r\nTrailer: 1\r\n\r\n"));
    size_t message = coded.n;
    buf_addstr(&coded, s);
    decode(buf_str(&coded), true, &r);
    must(!r.broken && r.end && r.used == message && str_eq(buf_str(&r.data), s));
    buf_free(&r.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > MIB)
        return 0;
    struct str s = str_at((const char *)data, size);
    check_cuts(s);
    check_coding(s);
    return 0;
}
