/*
 * Writes a payload in canonical form: members in order of their names' bytes, compact, integers and
 * strings only, escapes as the journal's format wants them. The caller gives members in ascending
 * order, which must() checks.
 */
#ifndef SF_JOURNAL_PAYLOAD_H
#define SF_JOURNAL_PAYLOAD_H

#include "base/buf.h"
#include "base/str.h"

struct payload {
    struct buf *out;
    const char *last[4]; /* the name before, by depth */
    unsigned depth;
    bool first;
};

void payload_begin(struct payload *p, struct buf *out); /* writes '{' */
void payload_str(struct payload *p, const char *name, struct str value);
void payload_int(struct payload *p, const char *name, int64_t value);
/* A nested object or an array of strings, integers or objects. */
void payload_object(struct payload *p, const char *name);
void payload_array(struct payload *p, const char *name);
void payload_item_str(struct payload *p, struct str value);
void payload_item_int(struct payload *p, int64_t value);
void payload_item_object(struct payload *p);
void payload_close(struct payload *p); /* the innermost object or array */
int payload_end(struct payload *p);    /* writes '}'; 0 or the buffer's error */
/* Brings any JSON text into this form (numbers with a fraction or exponent: -EINVAL). */
int payload_canonical(struct str json, struct buf *out);

#endif
