/*
 * Decoding of content-encoding gzip, deflate and zstd, incremental, bounded: a decoded size beyond
 * LIMIT_GZIP_RATIO times the input (after the first MiB) is refused with -EMSGSIZE, and a zstd
 * window beyond 8 MiB with -EINVAL.
 */
#ifndef SF_HTTP_INFLATE_H
#define SF_HTTP_INFLATE_H

#include "base/str.h"

struct inflater;

/* coding: "gzip", "x-gzip", "deflate", "zstd". -EOPNOTSUPP for others ("br"); -ENOMEM. */
int inflater_new(struct str coding, struct inflater **ret);
void inflater_free(struct inflater *i);
/* Decodes from *in (which moves on) into out: returns the bytes written, 0 when *in is used up
 * (or the stream ended), -EINVAL on corrupt data or bytes behind the end, -EMSGSIZE, -ENOMEM.
 * out_n > 0. Gzip members and zstd frames may follow each other. */
ptrdiff_t inflater_next(struct inflater *i, struct str *in, char *out, size_t out_n);
/* True when what came so far is whole: nothing, or a stream that reached its end. A body that ends
 * while this is false was cut off. */
bool inflater_ended(const struct inflater *i);

#endif
