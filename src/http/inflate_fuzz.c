/*
 * Pieces do not matter: the same output, or the same refusal behind the same output as far as both
 * came. What zlib encodes decodes to itself. The first byte chooses the coding.
 */
#include "base/buf.h"
#include "base/limits.h"
#include "http/cut_fuzz.h"
#include "http/inflate.h"
#include <errno.h>
#include <zlib.h>

#define ENOUGH (3 * MIB) /* of output; beyond it the two readings stop */

static const char *const codings[] = {"gzip", "deflate", "zstd"};

struct result {
    struct buf out;
    ptrdiff_t r;
    bool ended;
};

static void feed(struct inflater *i, struct str piece, struct cutter *k, struct result *to)
{
    char room[4096];
    size_t out_n = k ? 1 + cutter_number(k, 200) : sizeof(room);
    while (to->r >= 0 && (to->r = inflater_next(i, &piece, room, out_n)) > 0) {
        must((size_t)to->r <= out_n);
        if (buf_add(&to->out, room, (size_t)to->r) < 0)
            to->r = -EMSGSIZE;
    }
    must(to->r < 0 || piece.n == 0);
}

static void decode(const char *coding, struct str s, bool cut, struct result *to)
{
    struct inflater *i;
    struct cutter k = cutter_of(s, 7);
    *to = (struct result){0};
    buf_init(&to->out, ENOUGH);
    must(inflater_new(str_of(coding), &i) == 0);
    if (!cut)
        feed(i, s, NULL, to);
    while (cut && s.n)
        feed(i, cutter_take(&k, &s), &k, to);
    to->ended = inflater_ended(i);
    inflater_free(i);
}

static void check_cuts(const char *coding, struct str s)
{
    struct result whole, parts;
    decode(coding, s, false, &whole);
    decode(coding, s, true, &parts);
    struct str a = buf_str(&whole.out), b = buf_str(&parts.out);
    must(str_starts(a, b) || str_starts(b, a));
    if (whole.r != -EMSGSIZE && parts.r != -EMSGSIZE) {
        must(whole.r == parts.r);
        must(whole.r < 0 || (str_eq(a, b) && whole.ended == parts.ended));
    }
    buf_free(&whole.out);
    buf_free(&parts.out);
}

static void check_coding(struct str s)
{
    _cleanup_(buf_free) struct buf coded;
    struct result r;
    uLongf n = compressBound((uLong)s.n);
    buf_init(&coded, 2 * MIB);
    must(buf_reserve(&coded, n) == 0);
    must(compress2((Bytef *)coded.p, &n, (const Bytef *)s.p, (uLong)s.n, 1) == Z_OK);
    decode("deflate", str_at(coded.p, n), true, &r);
    must(r.r == 0 && r.ended && str_eq(buf_str(&r.out), s));
    buf_free(&r.out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > MIB)
        return 0;
    struct str s = str_at((const char *)data + 1, size - 1);
    check_cuts(codings[data[0] % ARRAY_LEN(codings)], s);
    check_coding(s);
    return 0;
}
