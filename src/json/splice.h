/*
 * A body as the bytes that came plus a few edits. The edits are applied while writing (as an iovec
 * list), so an unchanged 30 KB request is never copied.
 */
#ifndef SF_JSON_SPLICE_H
#define SF_JSON_SPLICE_H

#include "base/str.h"
#include <sys/uio.h>

#define SPLICE_MAX_EDITS 8

struct splice_edit {
    size_t from, to; /* bytes [from, to) of the original are replaced */
    struct str with; /* not copied: must outlive the splice */
};

struct splice {
    struct str original;
    struct splice_edit edits[SPLICE_MAX_EDITS]; /* kept sorted, not overlapping */
    unsigned n;
};

void splice_init(struct splice *s, struct str original);
/* 0, -ENOSPC, or -EINVAL when it overlaps an earlier edit. */
int splice_replace(struct splice *s, size_t from, size_t to, struct str with);
size_t splice_length(const struct splice *s);
/* Fills iov (2 * n + 1 entries suffice); returns how many it used. */
unsigned splice_iov(const struct splice *s, struct iovec *iov);
/* Writes the result into out, which has splice_length() bytes. */
void splice_copy(const struct splice *s, char *out);

#endif
