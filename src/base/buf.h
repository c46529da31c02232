/*
 * struct buf: a growable byte buffer with a stated maximum. It owns its memory until buf_free().
 * Appending beyond the maximum leaves the buffer as it was and returns -ENOBUFS; out of memory is
 * -ENOMEM. For formatted output whose bound is known, errors are sticky: after a failed append all
 * further ones fail alike until buf_clear(), so buf.err can be checked once at the end, and what
 * the buffer holds is a prefix of what was meant. A refused buf_reserve() does not stick. What is
 * appended must not lie in the buffer itself.
 */
#ifndef SF_BASE_BUF_H
#define SF_BASE_BUF_H

#include "base/macros.h"
#include "base/str.h"

struct buf {
    char *p;
    size_t n, cap, max;
    int err; /* first error of any append, 0 when none */
};

void buf_init(struct buf *b, size_t max);
void buf_free(struct buf *b); /* also for _cleanup_; leaves the buffer empty and usable */
void buf_clear(struct buf *b);
int buf_reserve(struct buf *b, size_t more);              /* room for more bytes behind n */
int buf_add_slow(struct buf *b, const void *p, size_t n); /* buf_add() where room must be made */

static inline int buf_add(struct buf *b, const void *p, size_t n)
{
    if (unlikely(b->err || n > b->cap - b->n))
        return buf_add_slow(b, p, n);
    if (n)
        memcpy(b->p + b->n, p, n);
    b->n += n;
    return 0;
}

static inline int buf_addstr(struct buf *b, struct str s)
{
    return buf_add(b, s.p, s.n);
}

static inline int buf_addc(struct buf *b, char c)
{
    return buf_add(b, &c, 1);
}

int buf_printf(struct buf *b, const char *fmt, ...) _printf_(2, 3);
int buf_addu64(struct buf *b, uint64_t v);
/* The JSON string literal of s with its quotes; invalid UTF-8 becomes U+FFFD. */
int buf_addjson(struct buf *b, struct str s);
void buf_drop(struct buf *b, size_t n); /* removes the first n bytes */

static inline struct str buf_str(const struct buf *b)
{
    return str_at(b->p, b->n);
}

#endif
