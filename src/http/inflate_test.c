/*
 * Bodies encoded with the libraries themselves and decoded back in pieces of many sizes; cut off,
 * spoilt and exploding ones.
 */
#include "base/buf.h"
#include "base/limits.h"
#include "base/tap.h"
#include "http/inflate.h"
#include <errno.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#define TEXT_BYTES ((size_t)100000)

static char text[TEXT_BYTES];

static void make_text(void)
{
    uint32_t x = 1;
    for (size_t i = 0; i < TEXT_BYTES; i++) {
        x = x * 1664525 + 1013904223;
        text[i] = "data: {}abc\n"[(x >> 24) % 12];
    }
}

static void add_zlib(struct buf *out, struct str s, int window_bits)
{
    z_stream z = {0};
    if (buf_reserve(out, s.n + 1000) < 0 ||
        deflateInit2(&z, 6, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        abort();
    z.next_in = (Bytef *)s.p;
    z.avail_in = (uInt)s.n;
    z.next_out = (Bytef *)out->p + out->n;
    z.avail_out = (uInt)(out->cap - out->n);
    if (deflate(&z, Z_FINISH) != Z_STREAM_END)
        abort();
    out->n += z.total_out;
    deflateEnd(&z);
}

static void add_zstd(struct buf *out, struct str s, int window_log)
{
    ZSTD_CCtx *c = ZSTD_createCCtx();
    if (buf_reserve(out, ZSTD_compressBound(s.n)) < 0)
        abort();
    if (window_log) { /* of unknown length, so that the window is not cut to it */
        ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, window_log);
        ZSTD_CCtx_setParameter(c, ZSTD_c_contentSizeFlag, 0);
    }
    ZSTD_inBuffer from = {s.p, s.n, 0};
    ZSTD_outBuffer to = {out->p + out->n, out->cap - out->n, 0};
    ZSTD_compressStream2(c, &to, &from, ZSTD_e_continue);
    if (ZSTD_compressStream2(c, &to, &from, ZSTD_e_end) != 0)
        abort();
    out->n += to.pos;
    ZSTD_freeCCtx(c);
}

static const struct {
    const char *coding, *format;
} formats[] = {
    {"gzip", "gzip"},
    {"X-GZIP", "gzip"},
    {"deflate", "zlib"},
    {"Deflate", "raw"},
    {"zstd", "zstd"},
};

static void add_encoded(struct buf *out, const char *format, struct str s)
{
    if (strcmp(format, "zstd") == 0)
        add_zstd(out, s, 0);
    else
        add_zlib(out, s, format[0] == 'g' ? 31 : format[0] == 'z' ? 15 : -15);
}

/* Decodes in pieces of in_n into pieces of out_n; the last result. *ret_ended at the input's end.
 */
static ptrdiff_t decode(
    const char *coding, struct str s, size_t in_n, size_t out_n, struct buf *out, bool *ret_ended)
{
    struct inflater *i;
    char *room = malloc(out_n);
    ptrdiff_t r = inflater_new(str_of(coding), &i);
    if (r < 0)
        abort();
    for (size_t at = 0; at < s.n && r >= 0; at += in_n) {
        struct str piece = str_to(str_from(s, at), in_n);
        while ((r = inflater_next(i, &piece, room, out_n)) > 0)
            buf_add(out, room, (size_t)r);
    }
    *ret_ended = inflater_ended(i);
    inflater_free(i);
    free(room);
    return r;
}

static void check_format(unsigned f, size_t n, size_t in_n, size_t out_n)
{
    struct buf coded, out;
    bool ended;
    buf_init(&coded, 4 * MIB);
    buf_init(&out, 4 * MIB);
    add_encoded(&coded, formats[f].format, str_at(text, n));
    ptrdiff_t r = decode(formats[f].coding, buf_str(&coded), in_n, out_n, &out, &ended);
    if (r != 0 || !ended || !str_eq(buf_str(&out), str_at(text, n)))
        tap_fail(__FILE__, __LINE__, "%s, %zu bytes by %zu into %zu: %td", formats[f].format, n,
            in_n, out_n, r);
    buf_free(&coded);
    buf_free(&out);
}

static void test_every_format(void)
{
    static const size_t sizes[] = {0, 1, 10, 1000, TEXT_BYTES};
    static const size_t pieces[] = {1, 2, 7, 1000, 1 << 20};
    for (unsigned f = 0; f < ARRAY_LEN(formats); f++) {
        for (unsigned n = 0; n < ARRAY_LEN(sizes); n++) {
            for (unsigned p = 0; p < ARRAY_LEN(pieces) * ARRAY_LEN(pieces); p++)
                check_format(f, sizes[n], pieces[p / 5], pieces[p % 5]);
        }
    }
}

/* gzip members and zstd frames in a row are one body; deflate has only one stream. */
static void test_several_in_a_row(void)
{
    for (unsigned f = 0; f < ARRAY_LEN(formats); f++) {
        _cleanup_(buf_free) struct buf coded, out;
        bool ended, one = strcasecmp(formats[f].coding, "deflate") == 0;
        buf_init(&coded, 4 * MIB);
        buf_init(&out, 4 * MIB);
        add_encoded(&coded, formats[f].format, STR("one "));
        add_encoded(&coded, formats[f].format, STR(""));
        add_encoded(&coded, formats[f].format, STR("two"));
        for (size_t in_n = 1; in_n <= coded.n; in_n++) {
            buf_clear(&out);
            ptrdiff_t r = decode(formats[f].coding, buf_str(&coded), in_n, 100, &out, &ended);
            CHECK_EQ(r, one ? -EINVAL : 0);
            CHECK(one || str_eq(buf_str(&out), STR("one two")));
        }
    }
}

static void test_cut_off(void)
{
    for (unsigned f = 0; f < ARRAY_LEN(formats); f++) {
        _cleanup_(buf_free) struct buf coded, out;
        bool ended;
        buf_init(&coded, 4 * MIB);
        buf_init(&out, 4 * MIB);
        add_encoded(&coded, formats[f].format, str_at(text, 1000));
        for (size_t n = 0; n < coded.n; n++) {
            buf_clear(&out);
            CHECK_EQ(
                decode(formats[f].coding, str_to(buf_str(&coded), n), 100, 64, &out, &ended), 0);
            CHECK_EQ(ended, n == 0);
            CHECK(str_starts(str_at(text, 1000), buf_str(&out)));
        }
    }
}

static void test_garbage(void)
{
    static const char *const codings[] = {"gzip", "deflate", "zstd"};
    for (unsigned c = 0; c < ARRAY_LEN(codings); c++) {
        _cleanup_(buf_free) struct buf out;
        bool ended;
        buf_init(&out, 4 * MIB);
        CHECK_EQ(decode(codings[c], STR("\xff\xff garbage"), 3, 64, &out, &ended), -EINVAL);
    }
}

/* A gzip checksum that does not fit is found. */
static void test_checksum(void)
{
    _cleanup_(buf_free) struct buf coded, out;
    bool ended;
    buf_init(&coded, MIB);
    buf_init(&out, MIB);
    add_zlib(&coded, STR("hello"), 31);
    coded.p[coded.n - 8] ^= 1;
    CHECK_EQ(decode("gzip", buf_str(&coded), 100, 64, &out, &ended), -EINVAL);
}

static ptrdiff_t decode_zeros(const char *coding, const char *format, size_t n)
{
    _cleanup_(buf_free) struct buf coded, out;
    bool ended;
    char *zeros = calloc(1, n);
    buf_init(&coded, 64 * MIB);
    buf_init(&out, 64 * MIB);
    add_encoded(&coded, format, str_at(zeros, n));
    free(zeros);
    return decode(coding, buf_str(&coded), 100, 64 * KIB, &out, &ended);
}

static void test_explosion(void)
{
    for (unsigned f = 0; f < ARRAY_LEN(formats); f++) {
        CHECK_EQ(decode_zeros(formats[f].coding, formats[f].format, MIB), 0);
        CHECK_EQ(decode_zeros(formats[f].coding, formats[f].format, 4 * MIB), -EMSGSIZE);
    }
}

static void test_zstd_window(void)
{
    for (int log = 22; log <= 24; log++) {
        _cleanup_(buf_free) struct buf coded, out;
        bool ended;
        buf_init(&coded, MIB);
        buf_init(&out, MIB);
        add_zstd(&coded, str_at(text, 1000), log);
        CHECK_EQ(decode("zstd", buf_str(&coded), 100, 64, &out, &ended), log <= 23 ? 0 : -EINVAL);
    }
}

static void test_unknown_coding(void)
{
    struct inflater *i;
    CHECK_EQ(inflater_new(STR("br"), &i), -EOPNOTSUPP);
    CHECK_EQ(inflater_new(STR("gzip, gzip"), &i), -EOPNOTSUPP);
    CHECK_EQ(inflater_new(STR(""), &i), -EOPNOTSUPP);
    inflater_free(NULL);
}

/* Asking without input is harmless, however often, at any place of the stream. */
static void test_empty_pieces(void)
{
    for (unsigned f = 0; f < ARRAY_LEN(formats); f++) {
        _cleanup_(buf_free) struct buf coded;
        struct inflater *i;
        char out[4096];
        ptrdiff_t n, sum = 0;
        buf_init(&coded, MIB);
        add_encoded(&coded, formats[f].format, str_at(text, 100));
        CHECK_EQ(inflater_new(str_of(formats[f].coding), &i), 0);
        for (size_t at = 0; at <= coded.n; at++) {
            struct str none = STR(""), one = str_to(str_from(buf_str(&coded), at), 1);
            for (unsigned k = 0; k < 100; k++)
                CHECK_EQ(inflater_next(i, &none, out, sizeof(out)), 0);
            while ((n = inflater_next(i, &one, out, sizeof(out))) > 0)
                sum += n;
            CHECK_EQ(n, 0);
        }
        CHECK_EQ(sum, 100);
        CHECK(inflater_ended(i));
        inflater_free(i);
    }
}

int main(void)
{
    make_text();
    TAP_RUN(test_every_format);
    TAP_RUN(test_several_in_a_row);
    TAP_RUN(test_cut_off);
    TAP_RUN(test_garbage);
    TAP_RUN(test_checksum);
    TAP_RUN(test_explosion);
    TAP_RUN(test_zstd_window);
    TAP_RUN(test_unknown_coding);
    TAP_RUN(test_empty_pieces);
    return tap_done();
}
