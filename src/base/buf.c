/*
 * struct buf: growth and appending. The capacity doubles from 256 bytes to a page, then grows by a
 * quarter in whole pages up to the buffer's maximum, so that appending byte by byte costs a
 * logarithmic number of allocations.
 *
 * After a failed append the buffer refuses further ones until it is cleared: what it holds is then
 * always a prefix of what was meant, never a text with a hole in the middle.
 */
#include "base/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define FIRST_CAPACITY ((size_t)256)
#define PAGE_BYTES     ((size_t)4096)

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}

void buf_free(struct buf *b)
{
    free(b->p);
    buf_init(b, b->max);
}

void buf_clear(struct buf *b)
{
    b->n = 0;
    b->err = 0;
}

/* Doubling wastes half of what large buffers hold, and thousands of streams may hold one each. */
static size_t next_capacity(size_t cap, size_t want)
{
    while (cap < want && cap < PAGE_BYTES)
        cap *= 2;
    if (cap >= want)
        return cap;
    cap = MAX(want, cap + cap / 4);
    return cap > SIZE_MAX - PAGE_BYTES ? want : (cap + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
}

static int buf_grow(struct buf *b, size_t want)
{
    size_t cap = MIN(next_capacity(b->cap ? b->cap : FIRST_CAPACITY, want), b->max);
    char *p = realloc(b->p, cap);
    if (!p)
        return -ENOMEM;
    b->p = p;
    b->cap = cap;
    return 0;
}

int buf_reserve(struct buf *b, size_t more)
{
    if (likely(more <= b->cap - b->n))
        return 0;
    if (b->n > b->max || more > b->max - b->n)
        return -ENOBUFS;
    return buf_grow(b, b->n + more);
}

/* Makes room for an append; a failure sticks. */
static int buf_room(struct buf *b, size_t more)
{
    if (unlikely(b->err))
        return b->err;
    return b->err = buf_reserve(b, more);
}

int buf_add_slow(struct buf *b, const void *p, size_t n)
{
    int r = buf_room(b, n);

    if (r < 0 || n == 0)
        return r;
    memcpy(b->p + b->n, p, n);
    b->n += n;
    return 0;
}

/*
 * vsnprintf wants room for its NUL, which the buffer need not have at its maximum; so a text that
 * does not fit with its NUL goes by way of the heap.
 */
static int buf_vprintf_slow(struct buf *b, size_t n, const char *fmt, va_list args)
{
    int r = buf_room(b, n);
    char *text;

    if (r < 0)
        return r;
    if (vasprintf(&text, fmt, args) < 0)
        return b->err = -ENOMEM;
    r = buf_add(b, text, n);
    free(text);
    return r;
}

int buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list args;
    size_t room = b->cap - b->n;

    if (b->err)
        return b->err;
    va_start(args, fmt);
    int n = vsnprintf(room ? b->p + b->n : NULL, room, fmt, args);
    va_end(args);
    if (n < 0)
        return b->err = -EINVAL;
    if ((size_t)n < room) {
        b->n += (size_t)n;
        return 0;
    }
    va_start(args, fmt);
    int r = buf_vprintf_slow(b, (size_t)n, fmt, args);
    va_end(args);
    return r;
}

int buf_addu64(struct buf *b, uint64_t v)
{
    char digits[U64_DIGITS];

    if (unlikely(b->err || b->cap - b->n < U64_DIGITS))
        return buf_add(b, digits, u64_put(digits, v));
    b->n += u64_put(b->p + b->n, v);
    return 0;
}

void buf_drop(struct buf *b, size_t n)
{
    n = MIN(n, b->n);
    b->n -= n;
    if (n && b->n)
        memmove(b->p, b->p + n, b->n);
}
