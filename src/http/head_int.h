/*
 * Between llhttp and the rules of head.c. llhttp's header defines enumerators such as HTTP_GET that
 * clash with head.h, so only head_lex.c includes it, and this is what it hands over.
 */
#ifndef SF_HTTP_HEAD_INT_H
#define SF_HTTP_HEAD_INT_H

#include "http/fields.h"

struct head_lexed {
    struct str method, target, reason;
    int minor, status;
    struct http_field *room; /* the caller's */
    unsigned field_n, field_room;
    bool too_many; /* more fields than there is room for */
    bool complete;
};

/* bytes is one whole head of version 1.0 or 1.1 and nothing else. 0, -EINVAL or -E2BIG. */
int head_lex(struct str bytes, bool request, struct head_lexed *l, const char **ret_why);

/* Cuts a request target by its form (RFC 9112 3.2): *ret_authority is set for the absolute form. */
int head_cut_target(struct str target, bool options, struct str *ret_path, struct str *ret_query,
    struct str *ret_authority, const char **ret_why);
/* uri-host [ ":" port ], not empty, without user information. */
bool head_authority_ok(struct str authority);

#endif
