/*
 * Frames from RFC 6455 and evil ones; everything that is written reads back, however it is cut.
 */
#include "base/limits.h"
#include "base/tap.h"
#include "http/ws.h"
#include <errno.h>
#include <stdlib.h>

#define MAX_FRAME 70000

static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};

/* All frames in print, "opcode fin payload;", and how it ended. */
static int read_cut(struct str s, bool masked, size_t step, struct buf *print)
{
    struct ws_parser w;
    struct ws_frame f;
    int r = 0;
    ws_parser_init(&w, masked, MAX_FRAME);
    for (size_t at = 0; at < s.n && r >= 0; at += step) {
        struct str piece = str_to(str_from(s, at), step);
        while ((r = ws_next(&w, &piece, &f)) > 0)
            buf_printf(print, "%d %d %.*s;", f.opcode, f.fin, STR_ARG(f.payload));
    }
    ws_parser_free(&w);
    return r;
}

#define S(t) STR_INIT(t)

static const struct {
    struct str bytes;
    bool masked;
    int end;
    const char *print;
} cases[] = {
    /* RFC 6455 5.7 */
    {S("\x81\x05Hello"), false, 0, "1 1 Hello;"},
    {S("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), true, 0, "1 1 Hello;"},
    {S("\x01\x03Hel\x80\x02lo"), false, 0, "1 0 Hel;0 1 lo;"},
    {S("\x89\x05Hello\x8a\x05Hello"), false, 0, "9 1 Hello;10 1 Hello;"},
    /* a ping between fragments; an empty frame; closes */
    {S("\x01\x01"
       "a\x89\x00\x00\x01"
       "b\x80\x00"),
        false, 0, "1 0 a;9 1 ;0 0 b;0 1 ;"},
    {S("\x82\x00"), false, 0, "2 1 ;"},
    {S("\x88\x00"), false, 0, "8 1 ;"},
    {S("\x88\x02\x03\xe8"), false, 0, "8 1 \x03\xe8;"},
    {S("\x88\x04\x0f\xa0\xc3\xa4"), false, 0, "8 1 \x0f\xa0\xc3\xa4;"},
    {S("\x81\x05Hel"), false, 0, ""},
    /* masking of the wrong kind */
    {S("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), false, -EPROTO, ""},
    {S("\x81\x05Hello"), true, -EPROTO, ""},
    /* reserved bits and opcodes */
    {S("\xc1\x00"), false, -EPROTO, ""},
    {S("\xa1\x00"), false, -EPROTO, ""},
    {S("\x91\x00"), false, -EPROTO, ""},
    {S("\x83\x00"), false, -EPROTO, ""},
    {S("\x87\x00"), false, -EPROTO, ""},
    {S("\x8b\x00"), false, -EPROTO, ""},
    {S("\x8f\x00"), false, -EPROTO, ""},
    /* control frames in parts or too long */
    {S("\x09\x00"), false, -EPROTO, ""},
    {S("\x08\x00"), false, -EPROTO, ""},
    {S("\x89\x7e\x00\x7e"), false, -EPROTO, ""},
    {S("\x88\x7f"), false, -EPROTO, ""},
    /* lengths not in the shortest form, or beyond all bounds */
    {S("\x82\x7e\x00\x7d"), false, -EPROTO, ""},
    {S("\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff"), false, -EPROTO, ""},
    {S("\x82\x7f\x80\x00\x00\x00\x00\x01\x00\x00"), false, -EPROTO, ""},
    {S("\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff"), false, -EMSGSIZE, ""},
    {S("\x82\x7f\x00\x00\x00\x00\x00\x01\x11\x71"), false, -EMSGSIZE, ""},
    /* fragments out of order */
    {S("\x80\x00"), false, -EPROTO, ""},
    {S("\x00\x00"), false, -EPROTO, ""},
    {S("\x01\x00\x81\x00"), false, -EPROTO, "1 0 ;"},
    {S("\x01\x00\x02\x00"), false, -EPROTO, "1 0 ;"},
    {S("\x81\x00\x80\x00"), false, -EPROTO, "1 1 ;"},
    {S("\x01\x00\x80\x00\x80\x00"), false, -EPROTO, "1 0 ;0 1 ;"},
    /* closes that say nothing sensible */
    {S("\x88\x01\x03"), false, -EPROTO, ""},
    {S("\x88\x02\x03\xe7"), false, -EPROTO, ""},
    {S("\x88\x02\x03\xed"), false, -EPROTO, ""},
    {S("\x88\x02\x03\xee"), false, -EPROTO, ""},
    {S("\x88\x02\x03\xf7"), false, -EPROTO, ""},
    {S("\x88\x02\x0b\xb7"), false, -EPROTO, ""},
    {S("\x88\x02\x13\x88"), false, -EPROTO, ""},
    {S("\x88\x03\x03\xe8\xff"), false, -EPROTO, ""},
};

static void test_cases_at_every_step(void)
{
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        for (size_t step = 1; step <= cases[i].bytes.n; step++) {
            _cleanup_(buf_free) struct buf print;
            buf_init(&print, 4096);
            int r = read_cut(cases[i].bytes, cases[i].masked, step, &print);
            if (r != cases[i].end || !str_eq(buf_str(&print), str_of(cases[i].print)))
                tap_fail(__FILE__, __LINE__, "case %u, step %zu: %d, %.*s", i, step, r,
                    STR_ARG(buf_str(&print)));
        }
    }
}

/* The first bytes of a bad frame are enough to refuse it. */
static void test_refused_early(void)
{
    struct ws_parser w;
    struct ws_frame f;
    struct str in = STR("\x82\xff\x00\x00\x00\x00\x01\x00\x00\x00mask");
    ws_parser_init(&w, true, MAX_FRAME);
    CHECK_EQ(ws_next(&w, &in, &f), -EMSGSIZE);
    CHECK(w.held.cap <= 256);
    ws_parser_free(&w);
}

static bool reads_back(size_t n, const uint8_t *with, size_t step)
{
    struct buf out;
    struct ws_parser w;
    struct ws_frame f;
    size_t whole = 0;
    char *text = malloc(n + 1);
    for (size_t i = 0; i < n; i++)
        text[i] = (char)(i * 7 + i / 256);
    buf_init(&out, 2 * MAX_FRAME);
    ws_parser_init(&w, with != NULL, MAX_FRAME);
    bool ok = ws_put(&out, WS_BINARY, false, str_at(text, n), with) == 0 &&
              ws_put(&out, WS_CONT, true, STR("tail"), with) == 0;
    for (size_t at = 0; at < out.n; at += step) {
        struct str piece = str_to(str_from(buf_str(&out), at), step);
        while (ws_next(&w, &piece, &f) > 0) {
            struct str want = whole == 0 ? str_at(text, n) : STR("tail");
            ok = ok && str_eq(f.payload, want) && f.fin == (whole > 0);
            whole++;
        }
    }
    ws_parser_free(&w);
    buf_free(&out);
    free(text);
    return ok && whole == 2;
}

static void test_round_trip(void)
{
    static const size_t sizes[] = {0, 1, 7, 8, 9, 125, 126, 127, 1000, 65535, 65536, MAX_FRAME};
    static const size_t steps[] = {1, 2, 13, 1024, 1 << 20};
    for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
        for (unsigned k = 0; k < ARRAY_LEN(steps); k++) {
            CHECK(reads_back(sizes[i], NULL, steps[k]));
            CHECK(reads_back(sizes[i], mask, steps[k]));
        }
    }
    CHECK(!reads_back(MAX_FRAME + 1, mask, 1024));
}

/* A whole unmasked frame is not copied; a large buffer goes back. */
static void test_memory(void)
{
    static char big[MAX_FRAME];
    struct ws_parser w;
    struct ws_frame f;
    struct buf out;
    struct str frame = STR("\x82\x03"
                           "abc"),
               in = frame;
    ws_parser_init(&w, false, MAX_FRAME);
    CHECK_EQ(ws_next(&w, &in, &f), 1);
    CHECK(f.payload.p == frame.p + 2 && w.held.p == NULL);
    buf_init(&out, 2 * MAX_FRAME);
    CHECK_EQ(ws_put(&out, WS_BINARY, true, str_at(big, sizeof(big)), NULL), 0);
    in = str_to(buf_str(&out), 1000);
    CHECK_EQ(ws_next(&w, &in, &f), 0);
    in = str_from(buf_str(&out), 1000);
    CHECK_EQ(ws_next(&w, &in, &f), 1);
    CHECK_EQ(f.payload.n, sizeof(big));
    CHECK_EQ(ws_next(&w, &in, &f), 0);
    CHECK(w.held.p == NULL);
    buf_free(&out);
    ws_parser_free(&w);
}

static void test_put(void)
{
    _cleanup_(buf_free) struct buf out;
    char long_text[126] = {0};
    buf_init(&out, 64);
    CHECK_EQ(ws_put(&out, WS_TEXT, true, STR("Hello"), mask), 0);
    CHECK_STR(buf_str(&out), STR("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"));
    buf_clear(&out);
    CHECK_EQ(ws_put(&out, WS_PING, true, str_at(long_text, 126), NULL), -EINVAL);
    CHECK_EQ(ws_put(&out, WS_PONG, false, STR(""), NULL), -EINVAL);
    CHECK_EQ(ws_put(&out, WS_TEXT, true, str_at(long_text, 63), NULL), -ENOBUFS);
    CHECK_EQ(out.n, 0);
    CHECK_EQ(ws_put_close(&out, 1000, STR("bye"), NULL), 0);
    CHECK_STR(buf_str(&out), STR("\x88\x05\x03\xe8"
                                 "bye"));
    buf_clear(&out);
    CHECK_EQ(ws_put_close(&out, 0, STR_NONE, NULL), 0);
    CHECK_STR(buf_str(&out), STR("\x88\x00"));
    CHECK_EQ(ws_put_close(&out, 1005, STR(""), NULL), -EINVAL);
    CHECK_EQ(ws_put_close(&out, 1000, STR("\xff"), NULL), -EINVAL);
    CHECK_EQ(ws_put_close(&out, 1000, str_at(long_text, 124), NULL), -EINVAL);
}

static void test_accept_value(void)
{
    char out[29];
    CHECK(ws_accept_value(STR("dGhlIHNhbXBsZSBub25jZQ=="), out));
    CHECK_STR(str_of(out), STR("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    CHECK(!ws_accept_value(STR("dGhlIHNhbXBsZSBub25jZQ"), out));
    CHECK(!ws_accept_value(STR("dGhlIHNhbXBsZSBub25jZQ=\n"), out));
    CHECK(!ws_accept_value(STR("dGhlIHNhbXBsZSBub25jZWFh"), out));
    CHECK(!ws_accept_value(STR(""), out));
}

int main(void)
{
    TAP_RUN(test_cases_at_every_step);
    TAP_RUN(test_refused_early);
    TAP_RUN(test_round_trip);
    TAP_RUN(test_memory);
    TAP_RUN(test_put);
    TAP_RUN(test_accept_value);
    return tap_done();
}
