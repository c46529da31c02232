/*
 * The chunked transfer coding as a state machine over bytes. `left` counts down the current chunk;
 * `line` counts the bytes of the size line (the digits among them: while the state is SIZE, all of
 * them are digits); `trailer` counts the trailer section. A bare CR or LF, white space round the
 * size, more than 16 digits or a size beyond INT64_MAX is an error and stays one.
 *
 * Trailers are checked for their form and dropped. Nothing allocates or suspends.
 */
#include "http/chunked.h"
#include "base/limits.h"
#include "base/macros.h"
#include "http/chars.h"
#include <errno.h>

enum {
    SIZE,
    EXTENSION,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER, /* at the start of a line behind the last chunk */
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    LAST_LF,
    END,
    BROKEN,
};

void chunked_init(struct chunked *c)
{
    *c = (struct chunked){.state = SIZE};
}

static int size_byte(struct chunked *c, unsigned char b)
{
    int digit = http_hex(b);
    if (digit >= 0) {
        if (++c->line > 16)
            return BROKEN;
        c->digits = true;
        c->left = c->left << 4 | (unsigned)digit;
        return SIZE;
    }
    if (!c->digits || c->left > INT64_MAX)
        return BROKEN;
    return b == '\r' ? SIZE_LF : b == ';' ? EXTENSION : BROKEN;
}

static int extension_byte(struct chunked *c, unsigned char b)
{
    if (b == '\r')
        return SIZE_LF;
    return http_is_text(b) && ++c->line < LIMIT_CHUNK_LINE ? EXTENSION : BROKEN;
}

/* A line behind the last chunk begins: a field, or the empty line that ends the message. */
static int trailer_start(unsigned char b)
{
    if (b == '\r')
        return LAST_LF;
    return http_is_token(b) ? TRAILER_NAME : BROKEN;
}

static int trailer_byte(struct chunked *c, unsigned char b)
{
    if (++c->trailer > LIMIT_TRAILER_BYTES)
        return BROKEN;
    switch (c->state) {
    case TRAILER:
        return trailer_start(b);
    case TRAILER_NAME:
        return b == ':' ? TRAILER_VALUE : http_is_token(b) ? TRAILER_NAME : BROKEN;
    case TRAILER_VALUE:
        return b == '\r' ? TRAILER_LF : http_is_text(b) ? TRAILER_VALUE : BROKEN;
    case TRAILER_LF:
        return b == '\n' ? TRAILER : BROKEN;
    default:
        return b == '\n' ? END : BROKEN;
    }
}

static int framing_byte(struct chunked *c, unsigned char b)
{
    switch (c->state) {
    case SIZE:
        return size_byte(c, b);
    case EXTENSION:
        return extension_byte(c, b);
    case SIZE_LF:
        c->line = 0;
        c->digits = false;
        return b != '\n' ? BROKEN : c->left ? DATA : TRAILER;
    case DATA_CR:
        return b == '\r' ? DATA_LF : BROKEN;
    case DATA_LF:
        return b == '\n' ? SIZE : BROKEN;
    case BROKEN:
        return BROKEN;
    default:
        return trailer_byte(c, b);
    }
}

static struct str take_data(struct chunked *c, struct str rest)
{
    struct str data = str_at(rest.p, (size_t)MIN(c->left, (uint64_t)rest.n));
    c->left -= data.n;
    if (c->left == 0)
        c->state = DATA_CR;
    return data;
}

ptrdiff_t chunked_next(struct chunked *c, struct str in, struct str *ret_data, bool *ret_end)
{
    size_t at = 0;
    *ret_data = str_at(in.p, 0);
    while (at < in.n && c->state != END) {
        if (c->state == DATA) {
            *ret_data = take_data(c, str_at(in.p + at, in.n - at));
            at += ret_data->n;
            break;
        }
        c->state = (uint8_t)framing_byte(c, (unsigned char)in.p[at++]);
        if (c->state == BROKEN)
            return -EINVAL;
    }
    *ret_end = c->state == END;
    return (ptrdiff_t)at;
}
