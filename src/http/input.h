/*
 * The receiving half that server and client share: a block with bytes not yet used, and the
 * transfer decoding of a body that lies in it.
 *
 *     in.block  |  head  |  body ...  |  next message ...  |  free  |
 *                        ^start                            ^end
 *
 * Data is never moved while somebody may hold a view: a refill either appends to the block (while a
 * head is incomplete) or takes a new one.
 */
#ifndef SF_HTTP_INPUT_H
#define SF_HTTP_INPUT_H

#include "http/bufpool.h"
#include "http/chunked.h"
#include "http/head.h"
#include "net/stream.h"

struct http_input {
    struct block block;
    size_t start, end;
};

static inline size_t input_unread(const struct http_input *in)
{
    return in->end - in->start;
}

static inline struct str input_view(const struct http_input *in)
{
    return str_at(in->block.p + in->start, input_unread(in));
}

/* Reads what is there behind end, once. > 0 bytes, 0 at the peer's end, -EAGAIN, -errno. */
ssize_t input_fill(struct http_input *in, struct stream *s);
/* Makes room behind end for an incomplete head of at most max bytes: moves it to the front of the
 * block or into the next larger one. -E2BIG, -ENOMEM. No views may be held. */
int input_grow(struct http_input *in, size_t max);
/* Gives the block back when nothing in it is unread. */
void input_drop_used(struct http_input *in);
void input_drop(struct http_input *in);

struct http_decoder {
    enum http_framing framing;
    bool done;
    uint64_t left; /* HTTP_BODY_LENGTH: bytes still to come */
    struct chunked chunked;
};

void decoder_init(struct http_decoder *d, const struct http_head *h);
/* Takes the next piece of body out of the unread bytes: > 0 and a view into the block; 0 when they
 * hold no more of it (see done); -EINVAL bad chunk. */
ssize_t decoder_take(struct http_decoder *d, struct http_input *in, struct str *ret);

/* Copies a head's fields out of the thread's parsing room to a place that lasts: the free end of
 * the block that holds the head, or *extra when that is too small. 0 or -ENOMEM. */
int fields_keep(struct http_fields *f, const struct http_input *in, struct block *extra);

#endif
