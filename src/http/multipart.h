/*
 * multipart/form-data, parsed incrementally (RFC 7578, RFC 2046): the gateway looks for form fields
 * such as "model" while the bytes are passed on or spooled.
 *
 * What the gateway reads must be what the upstream reads, so spellings that parsers understand
 * differently are refused: a preamble (but for one CRLF), bare LF, folded lines, white space behind
 * a boundary, a boundary that goes on, a part whose data begin with the delimiter, a repeated name,
 * a transfer encoding that changes the bytes. filename* is passed over.
 */
#ifndef SF_HTTP_MULTIPART_H
#define SF_HTTP_MULTIPART_H

#include "base/buf.h"

/* Finds the boundary in a content-type value; p NULL when absent or not 1 to 70 allowed bytes. */
struct str multipart_boundary(struct str content_type);

enum multipart_event {
    MULTIPART_MORE, /* input used up */
    MULTIPART_PART, /* a part begins: name, filename, content_type are set */
    MULTIPART_DATA, /* data holds some bytes of the part */
    MULTIPART_PART_END,
    MULTIPART_END, /* closing boundary seen; the rest is epilogue */
};

struct multipart {
    char delimiter[76]; /* CRLF "--" boundary */
    size_t delimiter_n;
    size_t matched;  /* bytes of a possible delimiter seen at the end of the input so far */
    size_t implied;  /* of these, the bytes that did not come: the CRLF belongs to something else */
    struct buf held; /* the head of the current part */
    uint64_t at;     /* absolute offset of the next byte to look at */
    unsigned state, parts;
    struct str name, filename, content_type, data; /* filename, content_type: p NULL when absent */
    uint64_t data_at; /* absolute offset of data in the body: for splicing */
};

int multipart_init(struct multipart *m, struct str boundary); /* -EINVAL: not a boundary */
void multipart_free(struct multipart *m);
/* Consumes from *in up to the next event. Returns an enum multipart_event or -EINVAL (malformed),
 * -E2BIG (part head or number of parts over the limit), -ENOMEM. data is valid until the next call,
 * the other views until the next part. A body that stops before MULTIPART_END was cut off. */
int multipart_next(struct multipart *m, struct str *in);

#endif
