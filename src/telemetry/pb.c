/* Writing protocol buffers. See telemetry/pb.h. */
#include "telemetry/pb.h"

#define VARINT_BYTES 10

static size_t varint_size(uint64_t v)
{
    size_t n = 1;

    while (v >>= 7)
        n++;
    return n;
}

void pb_varint(struct buf *b, uint64_t v)
{
    char room[VARINT_BYTES];
    size_t n = 0;

    if (likely(v < 0x80)) {
        buf_addc(b, (char)v);
        return;
    }
    while (v >= 0x80) {
        room[n++] = (char)(v | 0x80);
        v >>= 7;
    }
    room[n++] = (char)v;
    buf_add(b, room, n);
}

static void tag(struct buf *b, unsigned field, enum pb_wire wire)
{
    pb_varint(b, (uint64_t)field << 3 | wire);
}

void pb_uint(struct buf *b, unsigned field, uint64_t v)
{
    tag(b, field, PB_VARINT);
    pb_varint(b, v);
}

/* A tag and its value's bytes, the lowest first. */
static void fixed(struct buf *b, uint64_t head, uint64_t v, unsigned bytes)
{
    char room[VARINT_BYTES + 8];
    size_t n = 0;

    for (; head >= 0x80; head >>= 7)
        room[n++] = (char)(head | 0x80);
    room[n++] = (char)head;
    for (unsigned i = 0; i < bytes; i++)
        room[n++] = (char)(v >> 8 * i);
    buf_add(b, room, n);
}

void pb_fixed64(struct buf *b, unsigned field, uint64_t v)
{
    fixed(b, (uint64_t)field << 3 | PB_FIXED64, v, 8);
}

void pb_fixed32(struct buf *b, unsigned field, uint32_t v)
{
    fixed(b, (uint64_t)field << 3 | PB_FIXED32, v, 4);
}

void pb_bytes(struct buf *b, unsigned field, struct str s)
{
    tag(b, field, PB_BYTES);
    pb_varint(b, s.n);
    buf_addstr(b, s);
}

/* One byte is kept for the length; a longer one makes its room when it is known. */
size_t pb_open(struct buf *b, unsigned field)
{
    tag(b, field, PB_BYTES);
    buf_addc(b, 0);
    return b->n;
}

void pb_close(struct buf *b, size_t opened)
{
    static const char zeros[VARINT_BYTES];

    if (b->err)
        return;
    size_t n = b->n - opened, more = varint_size(n) - 1;
    if (more) {
        if (buf_add(b, zeros, more) < 0)
            return;
        memmove(b->p + opened + more, b->p + opened, n);
    }
    char *p = b->p + opened - 1;
    for (; n >= 0x80; n >>= 7)
        *p++ = (char)(n | 0x80);
    *p = (char)n;
}

/* --- KeyValue: 1 key, 2 AnyValue (1 string, 2 bool, 3 int, 4 double) --- */

static char *put_varint(char *p, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        *p++ = (char)(v | 0x80);
    *p++ = (char)v;
    return p;
}

static char *put_str(char *p, struct str s)
{
    return str_put(put_varint(p, s.n), s);
}

/* Most of a span is attributes, so their room is made once: everything but the value itself, which
 * takes up size bytes behind its tag, is written. Where that goes, or NULL. */
static char *attr_head(struct buf *b, unsigned field, struct str key, size_t value)
{
    size_t inner = 1 + value, all = 1 + varint_size(key.n) + key.n + 1 + varint_size(inner) + inner;
    size_t room = 2 * VARINT_BYTES + all;

    int r = b->err ? b->err : b->cap - b->n < room ? buf_reserve(b, room) : 0;

    if (unlikely(r < 0)) {
        b->err = r;
        return NULL;
    }
    char *p = put_varint(b->p + b->n, (uint64_t)field << 3 | PB_BYTES);
    p = put_varint(p, all);
    *p++ = 1 << 3 | PB_BYTES;
    p = put_str(p, key);
    *p++ = 2 << 3 | PB_BYTES;
    p = put_varint(p, inner);
    b->n = (size_t)(p - b->p) + inner;
    return p;
}

void pb_attr_str(struct buf *b, unsigned field, struct str key, struct str value)
{
    char *p = attr_head(b, field, key, varint_size(value.n) + value.n);

    if (!p)
        return;
    *p++ = 1 << 3 | PB_BYTES;
    put_str(p, value);
}

void pb_attr_int(struct buf *b, unsigned field, struct str key, int64_t value)
{
    char *p = attr_head(b, field, key, varint_size((uint64_t)value));

    if (!p)
        return;
    *p++ = 3 << 3 | PB_VARINT;
    put_varint(p, (uint64_t)value);
}

void pb_attr_bool(struct buf *b, unsigned field, struct str key, bool value)
{
    char *p = attr_head(b, field, key, 1);

    if (!p)
        return;
    *p++ = 2 << 3 | PB_VARINT;
    *p = value;
}

void pb_attr_double(struct buf *b, unsigned field, struct str key, double value)
{
    char *p = attr_head(b, field, key, 8);
    uint64_t bits;

    if (!p)
        return;
    memcpy(&bits, &value, sizeof bits);
    *p++ = 4 << 3 | PB_FIXED64;
    for (unsigned i = 0; i < 8; i++)
        p[i] = (char)(bits >> 8 * i);
}
