/*
 * Heads of HTTP/1.1 messages, parsed strictly by llhttp over bytes that stand in one piece.
 * Refused (smuggling): both content-length and transfer-encoding, differing or malformed
 * content-lengths, any transfer-encoding but a single final "chunked", white space before a colon,
 * obs-fold, bare LF or CR, control bytes in values, a missing or repeated Host in 1.1 requests, a
 * Host or target that is not what RFC 9112 allows (absolute-form only with http/https, no fragment,
 * no backslash).
 */
#ifndef SF_HTTP_HEAD_H
#define SF_HTTP_HEAD_H

#include "http/fields.h"

enum http_method {
    HTTP_METHOD_OTHER = 0,
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_PATCH,
    HTTP_DELETE,
    HTTP_OPTIONS,
};

enum http_framing { HTTP_BODY_NONE, HTTP_BODY_LENGTH, HTTP_BODY_CHUNKED, HTTP_BODY_TO_EOF };

#define HTTP_LENGTH_UNKNOWN UINT64_MAX

struct http_head {
    /* request */
    enum http_method method;
    struct str method_text, target; /* target as sent */
    struct str path, query; /* of the target; path still percent-encoded; query without '?' */
    /* response */
    int status;
    struct str reason;
    /* both */
    int minor; /* HTTP/1.minor */
    bool keep_alive;
    bool upgrade; /* Connection: upgrade with an Upgrade field */
    bool expect_continue;
    enum http_framing framing;
    uint64_t content_length; /* with HTTP_BODY_LENGTH */
    struct http_fields fields;
    size_t bytes; /* length of the head with its empty line */
};

/* Room for the fields is the caller's: field_room entries (LIMIT_HEADERS).
 * Return: > 0 the head's length; 0 more bytes are needed; -EINVAL malformed (*ret_why says what,
 * a literal); -E2BIG too many fields or too long a target; -EPROTONOSUPPORT not HTTP/1.x. */
ptrdiff_t http_parse_request(struct str bytes, struct http_field *room, unsigned field_room,
    struct http_head *ret, const char **ret_why);
/* request_was_head: the response has no body whatever its fields say. */
ptrdiff_t http_parse_response(struct str bytes, bool request_was_head, struct http_field *room,
    unsigned field_room, struct http_head *ret, const char **ret_why);

/* Percent-decodes a path segment into out (>= s.n bytes); returns the length or -EINVAL. */
ptrdiff_t http_percent_decode(struct str s, char *out);
/* A query parameter's raw value; p NULL when absent. */
struct str http_query_get(struct str query, struct str name);

#endif
