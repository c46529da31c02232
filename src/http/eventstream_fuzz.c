/*
 * The first byte says where the rest is cut in two, the second whether lengths and checksums are
 * put right first, as chance would hardly find a valid frame. Properties: pieces do not matter
 * (whole, cut, and byte by byte give the same messages and the same end); what is accepted and
 * written again is byte for byte what came.
 */
#include "http/eventstream.h"

#include "base/limits.h"
#include "base/macros.h"
#include "crypto/encode.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
    struct buf again; /* the accepted messages, written anew */
    int end;
};

static void write_again(struct buf *out, struct eventstream_message m)
{
    struct eventstream_header *headers = calloc(m.headers.n + 1, sizeof(*headers));
    struct str rest = m.headers;
    size_t n = 0;
    int r;
    must(headers);
    while ((r = eventstream_header_next(&rest, &headers[n])) > 0)
        n++;
    must(r == 0);
    must(eventstream_write(out, headers, n, m.payload) == 0);
    free(headers);
}

static struct outcome run(struct str bytes, size_t first, size_t step)
{
    struct outcome o;
    struct eventstream e;
    struct eventstream_message m;
    int r = 0;
    buf_init(&o.again, 2 * LIMIT_EVENTSTREAM_BYTES);
    eventstream_init(&e);
    for (size_t at = 0, n = first; at < bytes.n && r >= 0; at += n, n = step) {
        n = MIN(n, bytes.n - at);
        r = eventstream_feed(&e, str_at(bytes.p + at, n));
        while (r >= 0 && (r = eventstream_next(&e, &m)) > 0)
            write_again(&o.again, m);
    }
    o.end = eventstream_end(&e);
    must(r <= 0 && (r == 0 || o.end == r));
    eventstream_free(&e);
    return o;
}

static void must_agree(const struct outcome *a, struct outcome b)
{
    must(a->end == b.end);
    must(str_eq(buf_str(&a->again), buf_str(&b.again)));
    buf_free(&b.again);
}

static void put_u32(char *p, size_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (char)(v >> (24 - 8 * i));
}

static size_t number_at(const char *p)
{
    return (size_t)(uint8_t)p[0] << 8 | (uint8_t)p[1];
}

/* Makes frames of the bytes: lengths taken from them and fitted, checksums computed. */
static void put_right(char *p, size_t left)
{
    while (left >= 16) {
        size_t total = 16 + number_at(p + 2) % (left - 15);
        put_u32(p + 4, number_at(p + 6) % (total - 15));
        put_u32(p, total);
        put_u32(p + 8, crc32_ieee(0, str_at(p, 8)));
        put_u32(p + total - 4, crc32_ieee(0, str_at(p, total - 4)));
        p += total;
        left -= total;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > EVENTSTREAM_MAX_PIECE)
        return 0;
    char *copy = malloc(size);
    must(copy);
    memcpy(copy, data + 2, size - 2);
    if (data[1] & 1)
        put_right(copy, size - 2);
    struct str bytes = str_at(copy, size - 2);
    size_t cut = bytes.n ? data[0] % bytes.n : 0;
    struct outcome whole = run(bytes, bytes.n, 1);
    must_agree(&whole, run(bytes, cut, bytes.n));
    must_agree(&whole, run(bytes, 1, 1));
    must(str_starts(bytes, buf_str(&whole.again)));
    must(whole.end != 0 || whole.again.n == bytes.n);
    buf_free(&whole.again);
    free(copy);
    return 0;
}
