/*
 * Between the two files of the multipart parser.
 */
#ifndef SF_HTTP_MULTIPART_INT_H
#define SF_HTTP_MULTIPART_INT_H

#include "http/multipart.h"

/* Reads the whole head in m->held: sets name, filename, content_type; 0 or -EINVAL. Escaped
 * quoted strings are unescaped in place. */
int multipart_read_head(struct multipart *m);
bool multipart_boundary_ok(struct str boundary);

#endif
