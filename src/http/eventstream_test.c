#include "http/eventstream.h"

#include "base/limits.h"
#include "base/macros.h"
#include "base/tap.h"
#include "crypto/encode.h"

#include <errno.h>
#include <stdlib.h>

static void put_hex(struct buf *out, const char *hex)
{
    char bytes[256];
    ssize_t n = hex_decode(str_of(hex), bytes);
    must(n >= 0);
    buf_add(out, bytes, (size_t)n);
}

static void put_event(struct buf *out, struct str type, struct str payload)
{
    struct eventstream_header h[] = {{STR(":message-type"), EVENTSTREAM_STRING, STR("event")},
        {STR(":event-type"), EVENTSTREAM_STRING, type},
        {STR(":content-type"), EVENTSTREAM_STRING, STR("application/json")}};
    must(eventstream_write(out, h, ARRAY_LEN(h), payload) == 0);
}

static int feed_and_next(struct eventstream *e, struct str bytes, struct eventstream_message *m)
{
    int r = eventstream_feed(e, bytes);
    return r < 0 ? r : eventstream_next(e, m);
}

/* The messages of AWS's own event-stream test vectors. */
static void test_vectors_of_aws(void)
{
    _cleanup_(eventstream_free) struct eventstream e;
    _cleanup_(buf_free) struct buf b;
    struct eventstream_message m;
    eventstream_init(&e);
    buf_init(&b, 4096);
    put_hex(&b, "000000100000000005c248eb7d98c8ff"); /* empty */
    put_hex(&b, "0000001d00000000fd528c5a7b27666f6f273a27626172277dc3653936");
    put_hex(&b, "0000002d0000001041c424b80a6576656e742d74797065040000a00c"
                "7b27666f6f273a27626172277d36f480a0");
    CHECK_EQ(feed_and_next(&e, buf_str(&b), &m), 1);
    CHECK(m.headers.n == 0 && m.payload.n == 0);
    CHECK_EQ(eventstream_next(&e, &m), 1);
    CHECK(m.headers.n == 0);
    CHECK_STR(m.payload, STR("{'foo':'bar'}"));
    CHECK_EQ(eventstream_next(&e, &m), 1);
    CHECK_STR(m.payload, STR("{'foo':'bar'}"));
    struct eventstream_header h;
    CHECK_EQ(eventstream_header_next(&m.headers, &h), 1);
    CHECK_STR(h.name, STR("event-type"));
    CHECK_EQ(h.type, EVENTSTREAM_INT);
    CHECK_STR(h.value, STR("\0\0\xa0\x0c"));
    CHECK_EQ(eventstream_header_next(&m.headers, &h), 0);
    CHECK_EQ(eventstream_next(&e, &m), 0);
    CHECK_EQ(eventstream_end(&e), 0);
}

static void test_string_headers(void)
{
    _cleanup_(eventstream_free) struct eventstream e;
    _cleanup_(buf_free) struct buf b;
    struct eventstream_message m;
    eventstream_init(&e);
    buf_init(&b, 4096);
    put_event(&b, STR("contentBlockDelta"), STR("{\"a\":1}"));
    CHECK_EQ(feed_and_next(&e, buf_str(&b), &m), 1);
    CHECK_STR(eventstream_string(&m, STR(":event-type")), STR("contentBlockDelta"));
    CHECK_STR(eventstream_string(&m, STR(":message-type")), STR("event"));
    CHECK(!eventstream_string(&m, STR(":exception-type")).p);
    CHECK_STR(m.payload, STR("{\"a\":1}"));
}

static const struct eventstream_header all_types[] = {
    {STR_INIT("t"), EVENTSTREAM_TRUE, STR_INIT("")},
    {STR_INIT("f"), EVENTSTREAM_FALSE, STR_INIT("")},
    {STR_INIT("b"), EVENTSTREAM_BYTE, STR_INIT("\x7f")},
    {STR_INIT("s"), EVENTSTREAM_SHORT, STR_INIT("\1\2")},
    {STR_INIT("i"), EVENTSTREAM_INT, STR_INIT("\1\2\3\4")},
    {STR_INIT("l"), EVENTSTREAM_LONG, STR_INIT("\1\2\3\4\5\6\7\10")},
    {STR_INIT("y"), EVENTSTREAM_BYTES, STR_INIT("\0\1")},
    {STR_INIT("z"), EVENTSTREAM_STRING, STR_INIT("")},
    {STR_INIT("time"), EVENTSTREAM_TIMESTAMP, STR_INIT("\0\0\1\2\3\4\5\6")},
    {STR_INIT("u"), EVENTSTREAM_UUID, STR_INIT("0123456789abcdef")},
};

static void test_all_types(void)
{
    _cleanup_(eventstream_free) struct eventstream e;
    _cleanup_(buf_free) struct buf b;
    struct eventstream_message m;
    struct eventstream_header h;
    eventstream_init(&e);
    buf_init(&b, 4096);
    CHECK_EQ(eventstream_write(&b, all_types, ARRAY_LEN(all_types), STR("p")), 0);
    CHECK_EQ(feed_and_next(&e, buf_str(&b), &m), 1);
    for (size_t i = 0; i < ARRAY_LEN(all_types); i++) {
        CHECK_EQ(eventstream_header_next(&m.headers, &h), 1);
        CHECK_STR(h.name, all_types[i].name);
        CHECK_EQ(h.type, all_types[i].type);
        CHECK_STR(h.value, all_types[i].value);
    }
    CHECK_EQ(eventstream_header_next(&m.headers, &h), 0);
    CHECK_STR(m.payload, STR("p"));
}

/* Three frames, cut in two at each offset and fed byte by byte: always the same messages. */
static bool three_frames(struct str bytes, size_t cut, bool single)
{
    _cleanup_(eventstream_free) struct eventstream e;
    static const char *const types[] = {"one", "two", "three"};
    struct eventstream_message m;
    size_t got = 0, at = 0;
    eventstream_init(&e);
    while (at < bytes.n) {
        size_t n = single ? 1 : at < cut ? cut - at : bytes.n - at;
        if (eventstream_feed(&e, str_at(bytes.p + at, n)) < 0)
            return false;
        at += n;
        int r;
        while ((r = eventstream_next(&e, &m)) > 0) {
            if (got == 3 || !str_eq(eventstream_string(&m, STR(":event-type")), str_of(types[got])))
                return false;
            got++;
        }
        if (r < 0 || (got == 3) != (at == bytes.n))
            return false;
    }
    return got == 3 && eventstream_end(&e) == 0;
}

static void test_split_at_each_offset(void)
{
    _cleanup_(buf_free) struct buf b;
    buf_init(&b, 4096);
    put_event(&b, STR("one"), STR("{}"));
    put_event(&b, STR("two"), STR(""));
    put_event(&b, STR("three"), STR("{\"text\":\"hello\"}"));
    for (size_t cut = 0; cut <= b.n; cut++)
        CHECK(three_frames(buf_str(&b), cut, false));
    CHECK(three_frames(buf_str(&b), 0, true));
}

/* Whatever single bit of a frame is flipped, the frame is not given out. */
static void test_each_bit_is_checked(void)
{
    _cleanup_(buf_free) struct buf b;
    buf_init(&b, 4096);
    put_event(&b, STR("chunk"), STR("{\"bytes\":\"eA==\"}"));
    for (size_t bit = 0; bit < b.n * 8; bit++) {
        _cleanup_(eventstream_free) struct eventstream e;
        struct eventstream_message m;
        eventstream_init(&e);
        b.p[bit / 8] ^= (char)(1 << bit % 8);
        CHECK_EQ(feed_and_next(&e, buf_str(&b), &m), -EBADMSG);
        CHECK_EQ(eventstream_next(&e, &m), -EBADMSG);
        CHECK_EQ(eventstream_feed(&e, STR("x")), -EBADMSG);
        CHECK_EQ(eventstream_end(&e), -EBADMSG);
        b.p[bit / 8] ^= (char)(1 << bit % 8);
    }
}

static void put_be32(char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (char)(v >> (24 - 8 * i));
}

static int prelude(uint32_t total, uint32_t headers)
{
    _cleanup_(eventstream_free) struct eventstream e;
    struct eventstream_message m;
    char p[12];
    put_be32(p, total);
    put_be32(p + 4, headers);
    put_be32(p + 8, crc32_ieee(0, str_at(p, 8)));
    eventstream_init(&e);
    return feed_and_next(&e, str_at(p, sizeof(p)), &m);
}

/* Lengths are refused at once, with a correct checksum and before any of the frame has come. */
static void test_lengths(void)
{
    CHECK_EQ(prelude(16, 0), 0);
    CHECK_EQ(prelude(15, 0), -EBADMSG);
    CHECK_EQ(prelude(0, 0), -EBADMSG);
    CHECK_EQ(prelude(LIMIT_EVENTSTREAM_BYTES, 0), 0);
    CHECK_EQ(prelude(LIMIT_EVENTSTREAM_BYTES + 1, 0), -EBADMSG);
    CHECK_EQ(prelude(UINT32_MAX, 0), -EBADMSG);
    CHECK_EQ(prelude(100, 84), 0);
    CHECK_EQ(prelude(100, 85), -EBADMSG);
    CHECK_EQ(prelude(16, UINT32_MAX), -EBADMSG);
    CHECK_EQ(prelude(1 << 20, EVENTSTREAM_MAX_HEADERS), 0);
    CHECK_EQ(prelude(1 << 20, EVENTSTREAM_MAX_HEADERS + 1), -EBADMSG);
}

/* A frame with these raw headers and correct checksums. */
static int with_headers(struct str headers)
{
    _cleanup_(eventstream_free) struct eventstream e;
    struct eventstream_message m;
    char p[256];
    size_t total = 12 + headers.n + 4;
    put_be32(p, (uint32_t)total);
    put_be32(p + 4, (uint32_t)headers.n);
    put_be32(p + 8, crc32_ieee(0, str_at(p, 8)));
    memcpy(p + 12, headers.p, headers.n);
    put_be32(p + total - 4, crc32_ieee(0, str_at(p, total - 4)));
    eventstream_init(&e);
    return feed_and_next(&e, str_at(p, total), &m);
}

static void test_malformed_headers(void)
{
    CHECK_EQ(with_headers(STR("\1a\0")), 1);
    CHECK_EQ(with_headers(STR("\0\0")), -EBADMSG);        /* no name */
    CHECK_EQ(with_headers(STR("\1")), -EBADMSG);          /* name cut */
    CHECK_EQ(with_headers(STR("\1a")), -EBADMSG);         /* no type */
    CHECK_EQ(with_headers(STR("\1a\12")), -EBADMSG);      /* unknown type */
    CHECK_EQ(with_headers(STR("\1a\4\0\0\0")), -EBADMSG); /* value cut */
    CHECK_EQ(with_headers(STR("\1a\7\0")), -EBADMSG);     /* length cut */
    CHECK_EQ(with_headers(STR("\1a\7\0\2x")), -EBADMSG);  /* string cut */
    CHECK_EQ(with_headers(STR("\1a\7\0\1x\1")), -EBADMSG);
}

static void test_truncated_end(void)
{
    _cleanup_(eventstream_free) struct eventstream e;
    _cleanup_(buf_free) struct buf b;
    struct eventstream_message m;
    eventstream_init(&e);
    buf_init(&b, 4096);
    put_event(&b, STR("one"), STR("{}"));
    CHECK_EQ(eventstream_end(&e), 0);
    CHECK_EQ(feed_and_next(&e, str_at(b.p, b.n - 1), &m), 0);
    CHECK_EQ(eventstream_end(&e), -EBADMSG);
    CHECK_EQ(feed_and_next(&e, str_at(b.p + b.n - 1, 1), &m), 1);
    CHECK_EQ(eventstream_end(&e), 0);
}

/* The largest frame passes in pieces, and memory stays below one frame and one piece. */
static void test_largest_frame(void)
{
    _cleanup_(eventstream_free) struct eventstream e;
    _cleanup_(buf_free) struct buf b;
    struct eventstream_message m;
    eventstream_init(&e);
    buf_init(&b, LIMIT_EVENTSTREAM_BYTES + 1024);
    size_t n = LIMIT_EVENTSTREAM_BYTES - 16;
    char *payload = malloc(n + 1);
    CHECK(payload);
    memset(payload, 'x', n + 1);
    CHECK_EQ(eventstream_write(&b, NULL, 0, str_at(payload, n + 1)), -EMSGSIZE);
    CHECK_EQ(b.n, 0);
    CHECK_EQ(eventstream_write(&b, NULL, 0, str_at(payload, n)), 0);
    free(payload);
    CHECK_EQ(eventstream_feed(&e, str_at(b.p, EVENTSTREAM_MAX_PIECE + 1)), -ENOBUFS);
    int r = 0;
    for (size_t at = 0; at < b.n; at += EVENTSTREAM_MAX_PIECE) {
        CHECK_EQ(r, 0);
        r = feed_and_next(&e, str_at(b.p + at, MIN(EVENTSTREAM_MAX_PIECE, b.n - at)), &m);
    }
    CHECK_EQ(r, 1);
    CHECK_EQ(m.payload.n, n);
}

static void test_writer_refuses(void)
{
    _cleanup_(buf_free) struct buf b;
    char name[300] = {0};
    memset(name, 'n', sizeof(name));
    static char value[65536];
    const struct eventstream_header bad[] = {
        {STR(""), EVENTSTREAM_TRUE, STR("")},
        {str_at(name, 256), EVENTSTREAM_TRUE, STR("")},
        {STR("a"), EVENTSTREAM_TRUE, STR("x")},
        {STR("a"), EVENTSTREAM_INT, STR("x")},
        {STR("a"), (enum eventstream_type)10, STR("")},
        {STR("a"), EVENTSTREAM_STRING, str_at(value, sizeof(value))},
    };
    buf_init(&b, 1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CHECK_EQ(eventstream_write(&b, &bad[i], 1, STR("")), -EINVAL);
        CHECK_EQ(b.n, 0);
    }
    struct eventstream_header large = {
        str_at(name, 255), EVENTSTREAM_STRING, str_at(value, UINT16_MAX)};
    CHECK_EQ(eventstream_write(&b, &large, 1, STR("")), 0);
}

int main(void)
{
    TAP_RUN(test_vectors_of_aws);
    TAP_RUN(test_string_headers);
    TAP_RUN(test_all_types);
    TAP_RUN(test_split_at_each_offset);
    TAP_RUN(test_each_bit_is_checked);
    TAP_RUN(test_lengths);
    TAP_RUN(test_malformed_headers);
    TAP_RUN(test_truncated_end);
    TAP_RUN(test_largest_frame);
    TAP_RUN(test_writer_refuses);
    return tap_done();
}
