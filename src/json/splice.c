/*
 * Edits on a text that is not copied: a few sorted, disjoint replacements, and the pieces between
 * them as views of the original. Two insertions at one offset keep the order they were made in; an
 * insertion at the edge of a replacement stands before or behind it, whichever edge that is.
 */
#include "json/splice.h"
#include "base/macros.h"
#include <errno.h>

void splice_init(struct splice *s, struct str original)
{
    s->original = original;
    s->n = 0;
}

/* Where an edit of [from, to) goes, or -EINVAL when it would overlap one. */
static int place_of(const struct splice *s, size_t from, size_t to)
{
    unsigned i = 0;
    while (i < s->n && s->edits[i].to <= from)
        i++;
    if (i < s->n && s->edits[i].from < to)
        return -EINVAL;
    return (int)i;
}

int splice_replace(struct splice *s, size_t from, size_t to, struct str with)
{
    if (from > to || to > s->original.n)
        return -EINVAL;
    int at = place_of(s, from, to);
    if (at < 0)
        return at;
    if (s->n == SPLICE_MAX_EDITS)
        return -ENOSPC;
    struct splice_edit *e = &s->edits[at];
    memmove(e + 1, e, (s->n - (unsigned)at) * sizeof(*e));
    *e = (struct splice_edit){.from = from, .to = to, .with = with};
    s->n++;
    return 0;
}

size_t splice_length(const struct splice *s)
{
    size_t n = s->original.n;
    for (unsigned i = 0; i < s->n; i++)
        n += s->edits[i].with.n - (s->edits[i].to - s->edits[i].from);
    return n;
}

static unsigned add_piece(struct iovec *iov, unsigned used, const char *p, size_t n)
{
    if (n == 0)
        return used;
    iov[used] = (struct iovec){.iov_base = (void *)(uintptr_t)p, .iov_len = n};
    return used + 1;
}

unsigned splice_iov(const struct splice *s, struct iovec *iov)
{
    unsigned used = 0;
    size_t at = 0;
    for (unsigned i = 0; i < s->n; i++) {
        const struct splice_edit *e = &s->edits[i];
        used = add_piece(iov, used, s->original.p + at, e->from - at);
        used = add_piece(iov, used, e->with.p, e->with.n);
        at = e->to;
    }
    return add_piece(iov, used, s->original.p + at, s->original.n - at);
}

void splice_copy(const struct splice *s, char *out)
{
    struct iovec iov[2 * SPLICE_MAX_EDITS + 1];
    unsigned n = splice_iov(s, iov);
    for (unsigned i = 0; i < n; i++) {
        memcpy(out, iov[i].iov_base, iov[i].iov_len);
        out += iov[i].iov_len;
    }
}
