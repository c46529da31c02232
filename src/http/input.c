/*
 * Receiving and decoding what server and client share; see input.h. Nothing here suspends.
 */
#include "http/input.h"
#include <errno.h>

ssize_t input_fill(struct http_input *in, struct stream *s)
{
    must(in->end < in->block.cap);
    ssize_t n = stream_try_read(s, in->block.p + in->end, in->block.cap - in->end);
    if (n > 0)
        in->end += (size_t)n;
    return n;
}

int input_grow(struct http_input *in, size_t max)
{
    size_t n = input_unread(in);
    if (n > max)
        return -E2BIG;
    if (in->start > 0) {
        memmove(in->block.p, in->block.p + in->start, n);
        in->start = 0, in->end = n;
    }
    if (n < in->block.cap)
        return 0;
    struct block larger = {0};
    int r = block_take(&larger, MIN(in->block.cap * 4, max + 1));
    if (r < 0)
        return r;
    memcpy(larger.p, in->block.p, n);
    block_give(&in->block);
    in->block = larger;
    return 0;
}

void input_drop(struct http_input *in)
{
    block_give(&in->block);
    in->start = in->end = 0;
}

void input_drop_used(struct http_input *in)
{
    if (in->start == in->end)
        input_drop(in);
}

void decoder_init(struct http_decoder *d, const struct http_head *h)
{
    d->framing = h->framing;
    d->left = h->framing == HTTP_BODY_LENGTH ? h->content_length : 0;
    d->done = h->framing == HTTP_BODY_NONE || (h->framing == HTTP_BODY_LENGTH && d->left == 0);
    if (h->framing == HTTP_BODY_CHUNKED)
        chunked_init(&d->chunked);
}

static ssize_t take_chunk(struct http_decoder *d, struct http_input *in, struct str *ret)
{
    while (input_unread(in) > 0 && !d->done) {
        struct str data = STR_NONE;
        bool end = false;
        ptrdiff_t n = chunked_next(&d->chunked, input_view(in), &data, &end);
        if (n < 0)
            return -EINVAL;
        in->start += (size_t)n;
        d->done = end;
        if (data.n > 0) {
            *ret = data;
            return (ssize_t)data.n;
        }
        if (n == 0)
            break;
    }
    return 0;
}

ssize_t decoder_take(struct http_decoder *d, struct http_input *in, struct str *ret)
{
    *ret = STR_NONE;
    if (d->done)
        return 0;
    if (d->framing == HTTP_BODY_CHUNKED)
        return take_chunk(d, in, ret);
    size_t n = input_unread(in);
    if (d->framing == HTTP_BODY_LENGTH) {
        n = MIN(n, d->left);
        d->left -= n;
        d->done = d->left == 0;
    }
    *ret = str_at(in->block.p + in->start, n);
    in->start += n;
    return (ssize_t)n;
}

int fields_keep(struct http_fields *f, const struct http_input *in, struct block *extra)
{
    size_t bytes = f->n * sizeof(*f->at);
    size_t room = in->block.cap - in->end;
    struct http_field *to;
    if (room >= bytes + sizeof(void *)) {
        uintptr_t at = (uintptr_t)(in->block.p + in->block.cap - bytes);
        to = (struct http_field *)(at & ~(uintptr_t)(sizeof(void *) - 1));
    } else {
        int r = block_take(extra, bytes);
        if (r < 0)
            return r;
        to = (struct http_field *)(void *)extra->p;
    }
    memcpy(to, f->at, bytes);
    f->at = to;
    return 0;
}
