/*
 * zlib and zstd behind one face. Both decoders pull: as long as the output buffer came back full,
 * there may be more to write without further input, so a call goes on until the decoder neither
 * reads nor writes.
 *
 * "deflate" means zlib's format in the standard and the raw one in some servers; the first two
 * bytes tell them apart, so the first byte waits for the second.
 */
#include "http/inflate.h"
#include "base/limits.h"
#include "base/macros.h"
#include <errno.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#define WINDOW_LOG_MAX 23 /* 8 MiB, the least that RFC 8878 asks every decoder to support */

enum coding { GZIP, DEFLATE, ZSTD };

struct inflater {
    enum coding coding;
    z_stream z;
    bool z_ready; /* z is initialised */
    ZSTD_DStream *zstd;
    bool ended;          /* nothing is open: a member or frame is through, or none began */
    bool done;           /* nothing may follow */
    bool full;           /* the last call filled its output: more may be waiting */
    uint64_t in, out;    /* bytes so far */
    unsigned char first; /* of a deflate stream, while the second is not there */
    bool have_first;
};

static int coding_of(struct str s)
{
    if (str_ieq(s, STR("gzip")) || str_ieq(s, STR("x-gzip")))
        return GZIP;
    if (str_ieq(s, STR("deflate")))
        return DEFLATE;
    return str_ieq(s, STR("zstd")) ? ZSTD : -EOPNOTSUPP;
}

static int open_zlib(struct inflater *i, int window_bits)
{
    if (inflateInit2(&i->z, window_bits) != Z_OK)
        return -ENOMEM;
    i->z_ready = true;
    return 0;
}

static int open_zstd(struct inflater *i)
{
    i->zstd = ZSTD_createDStream();
    if (!i->zstd ||
        ZSTD_isError(ZSTD_DCtx_setParameter(i->zstd, ZSTD_d_windowLogMax, WINDOW_LOG_MAX)))
        return -ENOMEM;
    return 0;
}

int inflater_new(struct str coding, struct inflater **ret)
{
    int r = coding_of(coding);
    if (r < 0)
        return r;
    struct inflater *i = calloc(1, sizeof(*i));
    if (!i)
        return -ENOMEM;
    i->coding = (enum coding)r;
    i->ended = true;
    r = i->coding == GZIP ? open_zlib(i, 16 + MAX_WBITS) : i->coding == ZSTD ? open_zstd(i) : 0;
    if (r < 0) {
        inflater_free(i);
        return r;
    }
    *ret = i;
    return 0;
}

void inflater_free(struct inflater *i)
{
    if (!i)
        return;
    if (i->z_ready)
        inflateEnd(&i->z);
    ZSTD_freeDStream(i->zstd);
    free(i);
}

bool inflater_ended(const struct inflater *i)
{
    return i->ended;
}

/* One call of zlib: what it wrote, and *ret_moved whether it read or wrote anything. */
static ptrdiff_t run_zlib(
    struct inflater *i, struct str *in, char *out, size_t out_n, bool *ret_moved)
{
    uInt in_n = (uInt)MIN(in->n, (size_t)UINT32_MAX), room = (uInt)MIN(out_n, (size_t)UINT32_MAX);
    i->z.next_in = (Bytef *)in->p;
    i->z.avail_in = in_n;
    i->z.next_out = (Bytef *)out;
    i->z.avail_out = room;
    int r = inflate(&i->z, Z_NO_FLUSH);
    size_t used = in_n - i->z.avail_in, wrote = room - i->z.avail_out;
    *in = str_from(*in, used);
    i->in += used;
    *ret_moved = used > 0 || wrote > 0;
    if (r == Z_STREAM_END) {
        i->ended = true;
        i->done = i->coding != GZIP;
        *ret_moved = true;
        return inflateReset(&i->z) == Z_OK ? (ptrdiff_t)wrote : -EINVAL;
    }
    if (r == Z_MEM_ERROR)
        return -ENOMEM;
    if (r != Z_OK && r != Z_BUF_ERROR)
        return -EINVAL;
    i->ended = i->ended && !*ret_moved;
    return (ptrdiff_t)wrote;
}

/* The first two bytes of zlib's format: method 8, a window of at most 32 KiB, a multiple of 31. */
static bool zlib_header(unsigned char a, unsigned char b)
{
    return (a & 15) == 8 && a >> 4 <= 7 && (a << 8 | b) % 31 == 0;
}

/* Chooses between zlib's and the raw format. 1 when chosen, 0 when a byte is missing. The byte that
 * was kept is given to zlib first; it writes nothing for it. */
static int choose_deflate(struct inflater *i, struct str *in)
{
    if (in->n == 0)
        return 0;
    if (!i->have_first) {
        i->first = (unsigned char)in->p[0];
        i->have_first = true;
        i->ended = false;
        *in = str_from(*in, 1);
    }
    if (in->n == 0)
        return 0;
    int r = open_zlib(i, zlib_header(i->first, (unsigned char)in->p[0]) ? MAX_WBITS : -MAX_WBITS);
    if (r < 0)
        return r;
    struct str kept = str_at((char *)&i->first, 1);
    char none[1];
    bool moved;
    ptrdiff_t n = run_zlib(i, &kept, none, sizeof(none), &moved);
    return n < 0 ? (int)n : n > 0 || kept.n ? -EINVAL : 1;
}

static ptrdiff_t run_zstd(
    struct inflater *i, struct str *in, char *out, size_t out_n, bool *ret_moved)
{
    ZSTD_inBuffer from = {in->p, in->n, 0};
    ZSTD_outBuffer to = {out, out_n, 0};
    size_t r = ZSTD_decompressStream(i->zstd, &to, &from);
    if (ZSTD_isError(r))
        return -EINVAL;
    *in = str_from(*in, from.pos);
    i->in += from.pos;
    *ret_moved = from.pos > 0 || to.pos > 0;
    if (*ret_moved)
        i->ended = r == 0;
    return (ptrdiff_t)to.pos;
}

static ptrdiff_t run(struct inflater *i, struct str *in, char *out, size_t out_n, bool *ret_moved)
{
    if (i->coding == ZSTD)
        return run_zstd(i, in, out, out_n, ret_moved);
    if (!i->z_ready) {
        int r = choose_deflate(i, in);
        if (r <= 0) {
            *ret_moved = false;
            return r;
        }
    }
    return run_zlib(i, in, out, out_n, ret_moved);
}

static bool too_much(const struct inflater *i)
{
    return i->out > MIB && i->out / LIMIT_GZIP_RATIO > i->in;
}

ptrdiff_t inflater_next(struct inflater *i, struct str *in, char *out, size_t out_n)
{
    must(out_n > 0);
    bool moved = true;
    ptrdiff_t n = 0;
    while (n == 0 && moved) {
        if (in->n == 0 && !i->full)
            return 0;
        if (i->done)
            return in->n ? -EINVAL : 0;
        n = run(i, in, out, out_n, &moved);
        i->full = n == (ptrdiff_t)out_n;
    }
    if (n > 0)
        i->out += (uint64_t)n;
    return n > 0 && too_much(i) ? -EMSGSIZE : n;
}
