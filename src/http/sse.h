/*
 * Server-sent events, parsed incrementally over bytes, for looking at a stream that is passed on
 * as it came. Follows the WHATWG rules: CR, LF or CRLF; BOM; comments; several data lines joined
 * by LF; one optional space; an event without its blank line at the end is not dispatched.
 *
 * A reader gives pieces as they arrive. Each complete event comes back with two views: raw (all of
 * its bytes with the blank line, to be passed on) and data. Where an event lies whole in the piece,
 * both are views into it and nothing is copied; otherwise they are in the parser's own buffer.
 * All raws and sse_rest() in a row are the stream, byte for byte, however it was cut.
 */
#ifndef SF_HTTP_SSE_H
#define SF_HTTP_SSE_H

#include "base/buf.h"

struct sse {
    struct buf held;   /* an event that is not complete yet */
    struct buf joined; /* data of an event with several data lines */
    size_t max_event;
    uint8_t state;  /* of the search for the blank line, after all bytes so far */
    bool started;   /* an event was read */
    bool drop_held; /* held was given out by the last call */
};

struct sse_event {
    struct str raw;   /* bytes as they came, blank line included */
    struct str data;  /* joined data; p NULL when the event has no data line (comment, ping) */
    struct str event; /* event name, the last one; p NULL when absent */
};

void sse_init(struct sse *s, size_t max_event);
void sse_free(struct sse *s);
/* Takes the next complete event from *in (which moves on): 1 an event; 0 *in is used up;
 * -EMSGSIZE an event is longer than max_event; -ENOMEM. Views are valid until the next call. */
int sse_next(struct sse *s, struct str *in, struct sse_event *ret);
/* Before a wait: gives memory back that holds nothing. Views end. */
void sse_trim(struct sse *s);
/* Bytes of an unfinished event, to be passed on when the stream ends. */
struct str sse_rest(const struct sse *s);

#endif
