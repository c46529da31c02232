/*
 * WebSocket frames. The header of a frame is judged as soon as it is whole, before any memory is
 * taken for the payload. A frame that lies whole in the piece and is not masked is given out as a
 * view into it; otherwise its bytes gather in `held`, where a masked payload is unmasked in place.
 * Between frames a parser holds no large buffer.
 */
#include "http/ws.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "crypto/digest.h"
#include "crypto/encode.h"
#include <endian.h>
#include <errno.h>

#define KEEP_BUFFER   (2 * KIB)
#define CONTROL_BYTES 125 /* the longest payload of a control frame */
#define HEADER_BYTES  14  /* the longest header: 2, 8 of length, 4 of mask */
#define KEY_GUID      "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

struct header {
    enum ws_opcode opcode;
    bool fin, masked;
    size_t bytes;
    uint64_t length;
    uint8_t mask[4];
};

void ws_parser_init(struct ws_parser *w, bool expect_masked, size_t max_frame)
{
    *w = (struct ws_parser){.expect_masked = expect_masked, .max_frame = max_frame};
    buf_init(&w->held, max_frame + HEADER_BYTES);
}

void ws_parser_free(struct ws_parser *w)
{
    buf_free(&w->held);
}

static bool is_control(enum ws_opcode opcode)
{
    return opcode >= WS_CLOSE;
}

/* The rules on the first two bytes; they are checked as soon as these are there. */
static int check_opening(const struct ws_parser *w, const uint8_t *p)
{
    unsigned opcode = p[0] & 15, length = p[1] & 127;
    bool fin = p[0] & 128, masked = p[1] & 128;
    if ((p[0] & 0x70) || masked != w->expect_masked)
        return -EPROTO;
    if (is_control(opcode))
        return opcode <= WS_PONG && fin && length <= CONTROL_BYTES ? 0 : -EPROTO;
    if (opcode > WS_BINARY || (opcode == WS_CONT) != w->in_message)
        return -EPROTO;
    return 0;
}

static size_t header_bytes(uint8_t second)
{
    unsigned length = second & 127;
    return 2 + (length == 126 ? 2 : length == 127 ? 8 : 0) + (second & 128 ? 4 : 0);
}

/* Reads the length behind the second byte; -EPROTO unless it is in its shortest form. */
static int read_length(const uint8_t *p, uint64_t *ret)
{
    uint64_t length = p[1] & 127;
    if (length == 126) {
        length = (uint64_t)p[2] << 8 | p[3];
        if (length < 126)
            return -EPROTO;
    } else if (length == 127) {
        memcpy(&length, p + 2, 8);
        length = be64toh(length);
        if (length <= UINT16_MAX || length > INT64_MAX)
            return -EPROTO;
    }
    *ret = length;
    return 0;
}

/* 1 a whole header; 0 more bytes are needed; -EPROTO, -EMSGSIZE. */
static int read_header(const struct ws_parser *w, struct str s, struct header *ret)
{
    const uint8_t *p = (const uint8_t *)s.p;
    if (s.n < 2)
        return 0;
    int r = check_opening(w, p);
    if (r < 0)
        return r;
    *ret = (struct header){.opcode = p[0] & 15, .fin = p[0] & 128, .masked = p[1] & 128};
    ret->bytes = header_bytes(p[1]);
    if (s.n < ret->bytes)
        return 0;
    r = read_length(p, &ret->length);
    if (r < 0)
        return r;
    if (ret->length > w->max_frame)
        return -EMSGSIZE;
    if (ret->masked)
        memcpy(ret->mask, p + ret->bytes - 4, 4);
    return 1;
}

/* XORs n bytes with the mask, eight at a time; masking and unmasking are the same. */
static void apply_mask(char *p, size_t n, const uint8_t mask[static 4])
{
    uint64_t wide, word;
    size_t i = 0;
    memcpy(&wide, mask, 4);
    memcpy((char *)&wide + 4, mask, 4);
    for (; i + 8 <= n; i += 8) {
        memcpy(&word, p + i, 8);
        word ^= wide;
        memcpy(p + i, &word, 8);
    }
    for (; i < n; i++)
        p[i] = (char)(p[i] ^ mask[i % 4]);
}

/* Codes that may stand in a frame (RFC 6455 7.4, and the later registered ones). */
static bool close_code_ok(unsigned code)
{
    return (code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006) ||
           (code >= 3000 && code <= 4999);
}

static bool utf8_ok(struct str s)
{
    size_t bad;
    while (s.n) {
        size_t n = utf8_step(s.p, s.n, &bad);
        if (n == 0)
            return false;
        s = str_from(s, n);
    }
    return true;
}

static bool close_ok(struct str payload)
{
    const uint8_t *p = (const uint8_t *)payload.p;
    if (payload.n == 0)
        return true;
    return payload.n >= 2 && close_code_ok((unsigned)p[0] << 8 | p[1]) &&
           utf8_ok(str_from(payload, 2));
}

static int deliver(
    struct ws_parser *w, const struct header *h, struct str payload, struct ws_frame *ret)
{
    if (h->opcode == WS_CLOSE && !close_ok(payload))
        return -EPROTO;
    if (!is_control(h->opcode))
        w->in_message = !h->fin;
    *ret = (struct ws_frame){.opcode = h->opcode, .fin = h->fin, .payload = payload};
    return 1;
}

/* Moves bytes from *in until held has `want` of them: 1 when it has, 0 when *in is used up. */
static int gather(struct ws_parser *w, struct str *in, size_t want)
{
    size_t n = MIN(want - MIN(w->held.n, want), in->n);
    int r = buf_addstr(&w->held, str_to(*in, n));
    if (r < 0)
        return r;
    *in = str_from(*in, n);
    return w->held.n >= want;
}

/* The header at the front of held, which grows as long as the header is not whole. */
static int gather_header(struct ws_parser *w, struct str *in, struct header *ret)
{
    for (;;) {
        int r = read_header(w, buf_str(&w->held), ret);
        if (r != 0)
            return r;
        size_t want = w->held.n < 2 ? 2 : header_bytes((uint8_t)w->held.p[1]);
        r = gather(w, in, want);
        if (r <= 0)
            return r;
    }
}

static int next_held(struct ws_parser *w, struct str *in, struct ws_frame *ret)
{
    struct header h;
    int r = gather_header(w, in, &h);
    if (r > 0)
        r = gather(w, in, h.bytes + (size_t)h.length);
    if (r <= 0)
        return r;
    char *payload = w->held.p + h.bytes;
    if (h.masked)
        apply_mask(payload, (size_t)h.length, h.mask);
    w->drop_held = true;
    return deliver(w, &h, str_at(payload, (size_t)h.length), ret);
}

int ws_next(struct ws_parser *w, struct str *in, struct ws_frame *ret)
{
    struct header h;
    if (w->drop_held) {
        w->drop_held = false;
        if (w->held.cap > KEEP_BUFFER)
            buf_free(&w->held);
        buf_clear(&w->held);
    }
    if (w->held.n || w->expect_masked)
        return next_held(w, in, ret);
    int r = read_header(w, *in, &h);
    if (r < 0)
        return r;
    if (r == 0 || in->n - h.bytes < h.length)
        return next_held(w, in, ret);
    struct str payload = str_at(in->p + h.bytes, (size_t)h.length);
    *in = str_from(*in, h.bytes + (size_t)h.length);
    return deliver(w, &h, payload, ret);
}

static size_t write_header(uint8_t *p, enum ws_opcode opcode, bool fin, size_t n, bool masked)
{
    uint8_t flag = masked ? 128 : 0;
    p[0] = (uint8_t)((fin ? 128 : 0) | opcode);
    if (n < 126) {
        p[1] = (uint8_t)(flag | n);
        return 2;
    }
    if (n <= UINT16_MAX) {
        p[1] = flag | 126;
        p[2] = (uint8_t)(n >> 8);
        p[3] = (uint8_t)n;
        return 4;
    }
    uint64_t length = htobe64(n);
    p[1] = flag | 127;
    memcpy(p + 2, &length, 8);
    return 10;
}

int ws_put(
    struct buf *out, enum ws_opcode opcode, bool fin, struct str payload, const uint8_t *mask)
{
    uint8_t header[HEADER_BYTES];
    if (is_control(opcode) && (!fin || payload.n > CONTROL_BYTES))
        return -EINVAL;
    size_t n = write_header(header, opcode, fin, payload.n, mask != NULL);
    if (mask) {
        memcpy(header + n, mask, 4);
        n += 4;
    }
    int r = buf_reserve(out, n + payload.n); /* a frame is written whole or not at all */
    if (r >= 0)
        r = buf_add(out, header, n);
    if (r >= 0)
        r = buf_addstr(out, payload);
    if (r >= 0 && mask && payload.n)
        apply_mask(out->p + out->n - payload.n, payload.n, mask);
    return r;
}

int ws_put_close(struct buf *out, unsigned code, struct str reason, const uint8_t *mask)
{
    char payload[CONTROL_BYTES];
    if (code == 0)
        return ws_put(out, WS_CLOSE, true, STR(""), mask);
    if (!close_code_ok(code) || reason.n > CONTROL_BYTES - 2 || !utf8_ok(reason))
        return -EINVAL;
    payload[0] = (char)(code >> 8);
    payload[1] = (char)code;
    if (reason.n)
        memcpy(payload + 2, reason.p, reason.n);
    return ws_put(out, WS_CLOSE, true, str_at(payload, 2 + reason.n), mask);
}

bool ws_accept_value(struct str key, char out[static 29])
{
    char raw[BASE64_MAX_BYTES(24)], joined[24 + sizeof(KEY_GUID)];
    uint8_t digest[SHA1_BYTES];
    if (key.n != 24 || base64_decode(key, raw) != 16)
        return false;
    memcpy(joined, key.p, 24);
    memcpy(joined + 24, KEY_GUID, sizeof(KEY_GUID) - 1);
    sha1(str_at(joined, sizeof(joined) - 1), digest);
    base64_encode(str_at((char *)digest, sizeof(digest)), out);
    out[28] = '\0';
    return true;
}
