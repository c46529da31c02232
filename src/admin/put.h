/*
 * Writing JSON into a buffer, member by member. There is no state but the text itself: a comma goes
 * before a member or item unless the text ends with the bracket that opened its container.
 */
#ifndef SF_ADMIN_PUT_H
#define SF_ADMIN_PUT_H

#include "base/buf.h"

/* name NULL: an item of an array. */
void put_name(struct buf *b, const char *name);
void put_open(struct buf *b, const char *name, char bracket); /* '{' or '[' */
void put_close(struct buf *b, char bracket);                  /* '}' or ']' */
void put_str(struct buf *b, const char *name, struct str value);
void put_str_or_null(struct buf *b, const char *name, struct str value); /* empty: null */
void put_int(struct buf *b, const char *name, int64_t value);
void put_bool(struct buf *b, const char *name, bool value);
void put_null(struct buf *b, const char *name);
void put_money(struct buf *b, const char *name, int64_t nano); /* exact dollars: 12.5 */
void put_time(struct buf *b, const char *name, int64_t wall);  /* RFC 3339; 0: null */
void put_raw(struct buf *b, const char *name, struct str json);
/* share of whole in millionths as a decimal: 0.25; 0 where whole is 0 */
void put_share(struct buf *b, const char *name, int64_t part, int64_t whole);

#endif
