/*
 * AWS Signature Version 4: a request signed with a key derived from the secret for one day, region
 * and service. Pure: the time is given, nothing suspends, and what is signed is what must be sent.
 */
#ifndef SF_PROVIDERS_SIGV4_H
#define SF_PROVIDERS_SIGV4_H

#include "base/buf.h"
#include "base/secret.h"

#define SIGV4_MAX_HEADERS 32

struct sigv4_credentials {
    struct str access_key_id;
    const struct secret *secret_key;
    struct str session_token; /* empty for long-term keys */
};

struct sigv4_header {
    struct str name, value;
};

struct sigv4_request {
    struct str method;
    struct str host;  /* as in the host field */
    struct str path;  /* as on the wire: percent-encoded, without query; empty is "/" */
    struct str query; /* as on the wire, without '?'; its names and values strictly encoded */
    /* Further fields to sign; host and x-amz-* are added. "authorization" may not be among them. */
    const struct sigv4_header *headers;
    size_t n_headers;
    struct str body;
    const uint8_t *body_sha256; /* of a body that lies in pieces; NULL: of body */
    struct str region, service;
    int64_t wall_ns;
};

/* Appends "x-amz-date: …\r\n", for temporary credentials "x-amz-security-token: …\r\n", for s3
 * "x-amz-content-sha256: …\r\n", and "authorization: …\r\n". 0, -E2BIG with too many headers,
 * -EINVAL when a part has control characters or is missing, or the buffer's error. */
int sigv4_sign(const struct sigv4_credentials *c, const struct sigv4_request *r, struct buf *out);

/* Percent-encodes all but A-Z a-z 0-9 - . _ ~ and, with keep_slash, '/'. */
int uri_encode(struct buf *out, struct str s, bool keep_slash);

#endif
