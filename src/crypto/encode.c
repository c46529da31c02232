/*
 * Hex and base64. Decoding looks every character up in a table whose "not of the alphabet" has the
 * top bit set; the bits are gathered and looked at once a group. Base64 of both alphabets shares
 * its code: they differ in two characters and in the padding.
 */
#include "crypto/encode.h"

#include "base/buf.h"
#include "base/macros.h"

#include <endian.h>
#include <errno.h>

static const char std_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#define BAD 0x80

/* clang-format off */
#define LETTERS_AND_DIGITS                                                                         \
    ['A'] = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23,  \
    24, 25,                                                                                        \
    ['a'] = 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46,    \
    47, 48, 49, 50, 51,                                                                            \
    ['0'] = 52, 53, 54, 55, 56, 57, 58, 59, 60, 61

static const uint8_t std_values[256] = {
    [0 ... '+' - 1] = BAD, ['+'] = 62, ['+' + 1 ... '/' - 1] = BAD, ['/'] = 63, LETTERS_AND_DIGITS,
    ['9' + 1 ... 'A' - 1] = BAD, ['Z' + 1 ... 'a' - 1] = BAD, ['z' + 1 ... 255] = BAD,
};
static const uint8_t url_values[256] = {
    [0 ... '-' - 1] = BAD, ['-'] = 62, ['-' + 1 ... '0' - 1] = BAD, LETTERS_AND_DIGITS,
    ['9' + 1 ... 'A' - 1] = BAD, ['Z' + 1 ... '_' - 1] = BAD, ['_'] = 63, ['_' + 1] = BAD,
    ['z' + 1 ... 255] = BAD,
};
static const uint8_t hex_values[256] = {
    [0 ... '0' - 1] = BAD, ['0'] = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ['9' + 1 ... 'A' - 1] = BAD,
    ['A'] = 10, 11, 12, 13, 14, 15, ['F' + 1 ... 'a' - 1] = BAD,
    ['a'] = 10, 11, 12, 13, 14, 15, ['f' + 1 ... 255] = BAD,
};
/* clang-format on */

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Four bytes as eight digits at once: nibbles are spread, high ones first, and those above nine
 * moved on to the letters. */
static uint64_t eight_digits(const char *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    uint64_t x = le32toh(v);
    x = (x | x << 16) & UINT64_C(0x0000ffff0000ffff);
    x = (x | x << 8) & UINT64_C(0x00ff00ff00ff00ff);
    x = (x >> 4 | x << 8) & EACH(0x0f);
    return htole64(x + EACH('0') + ((x + EACH(6)) >> 4 & EACH(1)) * ('a' - '0' - 10));
}

void hex_encode(struct str in, char *out)
{
    static const char digits[] = "0123456789abcdef";
    size_t i = 0;

    for (; i + 4 <= in.n; i += 4, out += 8) {
        uint64_t eight = eight_digits(in.p + i);
        memcpy(out, &eight, sizeof(eight));
    }
    for (; i < in.n; i++) {
        uint8_t c = (uint8_t)in.p[i];
        *out++ = digits[c >> 4];
        *out++ = digits[c & 15];
    }
}

ssize_t hex_decode(struct str in, void *out)
{
    const uint8_t *p = (const uint8_t *)in.p;
    uint8_t *q = out, seen = 0;

    if (in.n % 2)
        return -EINVAL;
    for (size_t i = 0; i < in.n; i += 2) {
        uint8_t high = hex_values[p[i]], low = hex_values[p[i + 1]];
        seen |= high | low;
        *q++ = (uint8_t)(high << 4 | low);
    }
    return seen & BAD ? -EINVAL : (ssize_t)(in.n / 2);
}

static void put_group(char *out, uint32_t bits, const char *digits, int n)
{
    for (int i = 0; i < n; i++)
        out[i] = digits[bits >> (18 - 6 * i) & 63];
}

static uint32_t load3(const uint8_t *p)
{
    return (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
}

static char *encode(struct str in, char *out, const char *digits)
{
    const uint8_t *p = (const uint8_t *)in.p;
    size_t left = in.n;

    for (; left >= 3; left -= 3, p += 3, out += 4)
        put_group(out, load3(p), digits, 4);
    if (left == 0)
        return out;
    uint8_t last[3] = {p[0], left > 1 ? p[1] : 0, 0};
    put_group(out, load3(last), digits, (int)left + 1);
    return out + left + 1;
}

void base64_encode(struct str in, char *out)
{
    char *end = encode(in, out, std_digits);

    if (in.n % 3)
        memset(end, '=', 3 - in.n % 3);
}

void base64url_encode(struct str in, char *out)
{
    encode(in, out, url_digits);
}

/* The last 2 or 3 characters: 1 or 2 bytes, and bits behind them that must be zero. */
static ssize_t decode_tail(const uint8_t *p, size_t n, uint8_t *out, const uint8_t *values)
{
    uint8_t a = values[p[0]], b = values[p[1]], c = n > 2 ? values[p[2]] : 0;

    if ((a | b | c) & BAD || (n > 2 ? c & 3 : b & 15))
        return -EINVAL;
    out[0] = (uint8_t)(a << 2 | b >> 4);
    if (n > 2)
        out[1] = (uint8_t)(b << 4 | c >> 2);
    return (ssize_t)n - 1;
}

static ssize_t decode(struct str in, uint8_t *out, const uint8_t *values)
{
    const uint8_t *p = (const uint8_t *)in.p, *end = p + in.n / 4 * 4;
    uint8_t *q = out, seen = 0;
    size_t tail = in.n % 4;

    for (; p < end; p += 4, q += 3) {
        uint8_t a = values[p[0]], b = values[p[1]], c = values[p[2]], d = values[p[3]];
        seen |= a | b | c | d;
        q[0] = (uint8_t)(a << 2 | b >> 4);
        q[1] = (uint8_t)(b << 4 | c >> 2);
        q[2] = (uint8_t)(c << 6 | d);
    }
    if (seen & BAD || tail == 1)
        return -EINVAL;
    ssize_t more = tail ? decode_tail(p, tail, q, values) : 0;
    return more < 0 ? more : q - out + more;
}

ssize_t base64_decode(struct str in, void *out)
{
    if (in.n % 4)
        return -EINVAL;
    for (int i = 0; i < 2 && in.n && in.p[in.n - 1] == '='; i++)
        in.n--;
    return decode(in, out, std_values);
}

ssize_t base64url_decode(struct str in, void *out)
{
    return decode(in, out, url_values);
}

static int add_encoded(
    struct buf *b, struct str in, size_t size, void (*encoder)(struct str in, char *out))
{
    int r = b->err ? b->err : buf_reserve(b, size);

    if (r < 0)
        return b->err = r;
    encoder(in, b->p + b->n);
    b->n += size;
    return 0;
}

int base64_add(struct buf *b, struct str in)
{
    return add_encoded(b, in, BASE64_SIZE(in.n), base64_encode);
}

int base64url_add(struct buf *b, struct str in)
{
    return add_encoded(b, in, BASE64URL_SIZE(in.n), base64url_encode);
}
