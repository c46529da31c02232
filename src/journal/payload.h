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
    struct str last[4]; /* the name before, by depth */
    unsigned depth;
    bool first;
};

void payload_begin(struct payload *p, struct buf *out); /* writes '{' */
/* Names are constants: a literal's length is known where it is inlined. */
void payload_str_of(struct payload *p, struct str name, struct str value);
void payload_int_of(struct payload *p, struct str name, int64_t value);
void payload_object_of(struct payload *p, struct str name);
void payload_array_of(struct payload *p, struct str name);
static inline void payload_str(struct payload *p, const char *name, struct str value)
{
    payload_str_of(p, str_at(name, __builtin_strlen(name)), value);
}
static inline void payload_int(struct payload *p, const char *name, int64_t value)
{
    payload_int_of(p, str_at(name, __builtin_strlen(name)), value);
}
/* The same where there is something to say: neither an empty text nor 0. */
static inline void payload_some_str(struct payload *p, const char *name, struct str value)
{
    if (value.n)
        payload_str(p, name, value);
}
static inline void payload_some_int(struct payload *p, const char *name, int64_t value)
{
    if (value)
        payload_int(p, name, value);
}
/* A nested object or an array of strings, integers or objects. */
static inline void payload_object(struct payload *p, const char *name)
{
    payload_object_of(p, str_at(name, __builtin_strlen(name)));
}
static inline void payload_array(struct payload *p, const char *name)
{
    payload_array_of(p, str_at(name, __builtin_strlen(name)));
}
void payload_item_str(struct payload *p, struct str value);
void payload_item_int(struct payload *p, int64_t value);
void payload_item_object(struct payload *p);
void payload_close(struct payload *p); /* the innermost object or array */
int payload_end(struct payload *p);    /* writes '}'; 0 or the buffer's error */
/* Brings any JSON text into this form (numbers with a fraction or exponent: -EINVAL). */
int payload_canonical(struct str json, struct buf *out);

#endif
