/*
 * AWS event streams (application/vnd.amazon.eventstream): the frames in which Bedrock streams.
 *
 *     total length u32 | headers length u32 | CRC-32 of these 8 bytes
 *     headers | payload | CRC-32 of everything before
 *
 * all big-endian. The parser is fed pieces of any size and gives whole, checked messages. It is
 * strict: a length beyond the maximum, a wrong checksum or a malformed header ends the stream,
 * since the frames behind it cannot be found again.
 */
#ifndef SF_HTTP_EVENTSTREAM_H
#define SF_HTTP_EVENTSTREAM_H

#include "base/buf.h"

#define EVENTSTREAM_TYPE        STR("application/vnd.amazon.eventstream")
#define EVENTSTREAM_MAX_HEADERS ((size_t)128 * 1024)
#define EVENTSTREAM_MAX_PIECE   ((size_t)1024 * 1024)

enum eventstream_type {
    EVENTSTREAM_TRUE,
    EVENTSTREAM_FALSE,
    EVENTSTREAM_BYTE,
    EVENTSTREAM_SHORT,
    EVENTSTREAM_INT,
    EVENTSTREAM_LONG,
    EVENTSTREAM_BYTES,
    EVENTSTREAM_STRING,
    EVENTSTREAM_TIMESTAMP,
    EVENTSTREAM_UUID,
};

struct eventstream_header {
    struct str name;
    enum eventstream_type type;
    struct str value; /* raw bytes; of strings and byte arrays without their length */
};

struct eventstream_message {
    struct str headers; /* raw; walk with eventstream_header_next() */
    struct str payload;
    struct str raw; /* the frame, as it came */
};

struct eventstream {
    struct buf held;
    size_t used; /* bytes of held that messages were made of */
    int err;
};

void eventstream_init(struct eventstream *e);
void eventstream_free(struct eventstream *e); /* also for _cleanup_ */

/* Takes a copy of the piece (at most EVENTSTREAM_MAX_PIECE). Call eventstream_next() until it
 * returns 0 before feeding again; that keeps the memory below one frame and one piece. 0, -ENOMEM,
 * -ENOBUFS when those rules are broken, or the error that ended the stream. */
int eventstream_feed(struct eventstream *e, struct str piece);

/* 1 with a message, whose views are valid until the next call; 0 when more bytes are needed;
 * -EBADMSG when the stream is malformed, then for ever. */
int eventstream_next(struct eventstream *e, struct eventstream_message *ret);

/* The upstream closed: 0 at the end of a frame, -EBADMSG within one. */
int eventstream_end(const struct eventstream *e);

/* 1 with the next header, and *headers moved behind it; 0 at the end; -EBADMSG. A message from
 * eventstream_next() holds no malformed header. */
int eventstream_header_next(struct str *headers, struct eventstream_header *ret);
/* The value of a string header (":event-type"); p NULL when it is not there. */
struct str eventstream_string(const struct eventstream_message *m, struct str name);

/* Appends one message; for tests, the demo provider and the Bedrock ingress. -EMSGSIZE beyond the
 * maximum, -EINVAL for a header that does not fit its type. */
int eventstream_write(
    struct buf *out, const struct eventstream_header *headers, size_t n, struct str payload);

#endif
