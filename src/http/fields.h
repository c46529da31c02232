/*
 * Header fields. Received ones (struct http_fields) are views into the head's bytes. Sent ones are
 * text, built in a struct buf or arena as complete "name: value\r\n" lines, so that relaying a
 * field is one copy.
 */
#ifndef SF_HTTP_FIELDS_H
#define SF_HTTP_FIELDS_H

#include "base/buf.h"
#include "base/limits.h"
#include "base/str.h"

/* Names that the gateway looks at get a number while parsing, so that a look-up is an array index.
 */
enum http_name {
    HTTP_OTHER = 0,
#define HTTP_NAME(id, text) HTTP_##id,
#include "http/names.inc"
#undef HTTP_NAME
    HTTP_NAMES
};

struct http_field {
    struct str name;  /* as sent by the peer, letter case kept */
    struct str value; /* without leading and trailing white space */
    enum http_name id;
};

struct http_fields {
    struct http_field *at; /* in the order they came */
    unsigned n;
    uint8_t first[HTTP_NAMES]; /* index + 1 of the first field of each known name; 0 = none */
};

enum http_name http_name_of(struct str name); /* case-insensitive */
struct str http_name_text(enum http_name id); /* lower case */
/* The first value of a known name; p NULL when absent. */
struct str http_get(const struct http_fields *f, enum http_name id);
struct str http_get_other(const struct http_fields *f, struct str name); /* by text, linear */
bool http_has(const struct http_fields *f, enum http_name id);
unsigned http_count(const struct http_fields *f, enum http_name id);
/* True when a comma-separated list value holds token (case-insensitive). */
bool http_list_has(struct str value, struct str token);
/* Hop-by-hop: connection, keep-alive, te, trailer, transfer-encoding, upgrade, proxy-*; and the
 * names that the message's own Connection header lists. */
bool http_is_hop_by_hop(const struct http_fields *f, const struct http_field *field);

/* Appends one line; a value with CR, LF or NUL is refused with -EINVAL. Errors stick in out->err.
 */
int http_put(struct buf *out, struct str name, struct str value);
/* The same without that look: for what the parser took, or what is the gateway's own. */
int http_put_plain(struct buf *out, struct str name, struct str value);
int http_put_u64(struct buf *out, struct str name, uint64_t value);

const char *http_reason(int status); /* "Not Found"; "Unknown" */

#endif
