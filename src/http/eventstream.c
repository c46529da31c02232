/*
 * The parser holds what was fed but not yet given out. Lengths are checked as soon as the first
 * eight bytes and their checksum are there, so that a hostile length never makes it wait or grow.
 */
#include "http/eventstream.h"

#include "base/limits.h"
#include "base/macros.h"
#include "crypto/encode.h"

#include <errno.h>

#define PRELUDE ((size_t)12) /* two lengths and their checksum */
#define CLOSING ((size_t)4)  /* the message's checksum */

static uint32_t u32_at(const char *p)
{
    const unsigned char *b = (const unsigned char *)p;
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

void eventstream_init(struct eventstream *e)
{
    *e = (struct eventstream){0};
    buf_init(&e->held, LIMIT_EVENTSTREAM_BYTES + EVENTSTREAM_MAX_PIECE);
}

void eventstream_free(struct eventstream *e)
{
    buf_free(&e->held);
}

int eventstream_feed(struct eventstream *e, struct str piece)
{
    if (e->err)
        return e->err;
    if (piece.n > EVENTSTREAM_MAX_PIECE)
        return -ENOBUFS;
    buf_drop(&e->held, e->used);
    e->used = 0;
    return buf_addstr(&e->held, piece);
}

/* ---- headers ---- */

/* Bytes of a value by type; -1 where a u16 length stands before it. */
static const int8_t value_size[] = {[EVENTSTREAM_TRUE] = 0,
    [EVENTSTREAM_FALSE] = 0,
    [EVENTSTREAM_BYTE] = 1,
    [EVENTSTREAM_SHORT] = 2,
    [EVENTSTREAM_INT] = 4,
    [EVENTSTREAM_LONG] = 8,
    [EVENTSTREAM_BYTES] = -1,
    [EVENTSTREAM_STRING] = -1,
    [EVENTSTREAM_TIMESTAMP] = 8,
    [EVENTSTREAM_UUID] = 16};

static bool take(struct str *s, size_t n, struct str *ret)
{
    if (s->n < n)
        return false;
    *ret = str_at(s->p, n);
    *s = str_at(s->p + n, s->n - n);
    return true;
}

int eventstream_header_next(struct str *headers, struct eventstream_header *ret)
{
    struct str rest = *headers, part;
    if (rest.n == 0)
        return 0;
    take(&rest, 1, &part);
    size_t name_n = (unsigned char)part.p[0];
    if (name_n == 0 || !take(&rest, name_n, &ret->name) || !take(&rest, 1, &part))
        return -EBADMSG;
    unsigned type = (unsigned char)part.p[0];
    if (type >= ARRAY_LEN(value_size))
        return -EBADMSG;
    ret->type = (enum eventstream_type)type;
    size_t n = (size_t)value_size[type];
    if (value_size[type] < 0) {
        if (!take(&rest, 2, &part))
            return -EBADMSG;
        n = (size_t)(unsigned char)part.p[0] << 8 | (unsigned char)part.p[1];
    }
    if (!take(&rest, n, &ret->value))
        return -EBADMSG;
    *headers = rest;
    return 1;
}

static bool headers_valid(struct str headers)
{
    struct eventstream_header h;
    int r;
    while ((r = eventstream_header_next(&headers, &h)) > 0)
        ;
    return r == 0;
}

struct str eventstream_string(const struct eventstream_message *m, struct str name)
{
    struct str headers = m->headers;
    struct eventstream_header h;
    while (eventstream_header_next(&headers, &h) > 0)
        if (h.type == EVENTSTREAM_STRING && str_eq(h.name, name))
            return h.value;
    return STR_NONE;
}

/* ---- messages ---- */

static int broken(struct eventstream *e)
{
    return e->err = -EBADMSG;
}

static bool prelude_valid(const char *p, size_t *ret_total, size_t *ret_headers)
{
    size_t total = u32_at(p), headers = u32_at(p + 4);
    *ret_total = total;
    *ret_headers = headers;
    return crc32_ieee(0, str_at(p, 8)) == u32_at(p + 8) && total >= PRELUDE + CLOSING &&
           total <= LIMIT_EVENTSTREAM_BYTES && headers <= EVENTSTREAM_MAX_HEADERS &&
           headers <= total - PRELUDE - CLOSING;
}

int eventstream_next(struct eventstream *e, struct eventstream_message *ret)
{
    size_t have = e->held.n - e->used, total, headers;
    if (e->err)
        return e->err;
    if (have < PRELUDE)
        return 0;
    const char *p = e->held.p + e->used;
    if (!prelude_valid(p, &total, &headers))
        return broken(e);
    if (have < total)
        return 0;
    if (crc32_ieee(0, str_at(p, total - CLOSING)) != u32_at(p + total - CLOSING))
        return broken(e);
    ret->raw = str_at(p, total);
    ret->headers = str_at(p + PRELUDE, headers);
    ret->payload = str_at(p + PRELUDE + headers, total - PRELUDE - CLOSING - headers);
    if (!headers_valid(ret->headers))
        return broken(e);
    e->used += total;
    return 1;
}

int eventstream_end(const struct eventstream *e)
{
    if (e->err)
        return e->err;
    return e->held.n == e->used ? 0 : -EBADMSG;
}

/* ---- writing ---- */

static void put_u32(char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (char)(v >> (24 - 8 * i));
}

static int put_header(struct buf *out, const struct eventstream_header *h)
{
    bool counted = h->type <= EVENTSTREAM_UUID && value_size[h->type] < 0;
    if (h->type > EVENTSTREAM_UUID || h->name.n == 0 || h->name.n > 255 ||
        h->value.n > UINT16_MAX || (!counted && h->value.n != (size_t)value_size[h->type]))
        return -EINVAL;
    buf_addc(out, (char)h->name.n);
    buf_addstr(out, h->name);
    buf_addc(out, (char)h->type);
    if (counted)
        buf_add(out, (char[]){(char)(h->value.n >> 8), (char)h->value.n}, 2);
    return buf_addstr(out, h->value);
}

static int put_message(
    struct buf *out, const struct eventstream_header *headers, size_t n, struct str payload)
{
    size_t start = out->n;
    char prelude[PRELUDE] = {0}, closing[CLOSING];
    buf_add(out, prelude, sizeof(prelude));
    for (size_t i = 0; i < n; i++) {
        int r = put_header(out, &headers[i]);
        if (r < 0)
            return r;
    }
    size_t headers_n = out->n - start - PRELUDE, total = PRELUDE + headers_n + payload.n + CLOSING;
    if (out->err)
        return out->err;
    if (headers_n > EVENTSTREAM_MAX_HEADERS || total > LIMIT_EVENTSTREAM_BYTES)
        return -EMSGSIZE;
    put_u32(prelude, (uint32_t)total);
    put_u32(prelude + 4, (uint32_t)headers_n);
    put_u32(prelude + 8, crc32_ieee(0, str_at(prelude, 8)));
    memcpy(out->p + start, prelude, sizeof(prelude));
    int r = buf_addstr(out, payload);
    if (r < 0)
        return r;
    put_u32(closing, crc32_ieee(0, str_at(out->p + start, out->n - start)));
    return buf_add(out, closing, sizeof(closing));
}

int eventstream_write(
    struct buf *out, const struct eventstream_header *headers, size_t n, struct str payload)
{
    size_t start = out->n;
    int r = put_message(out, headers, n, payload);
    if (r < 0)
        out->n = start;
    return r;
}
