/*
 * Writing JSON into a buffer, member by member. There is no state but the text itself: a comma goes
 * before a member or item unless the text ends with the bracket that opened its container.
 */
#ifndef SF_ADMIN_PUT_H
#define SF_ADMIN_PUT_H

#include "base/buf.h"

/* Short names for rows of handlers; the symbols bear the folder's, since others have some as well.
 */
#define put_name        admin_put_name
#define put_open        admin_put_open
#define put_close       admin_put_close
#define put_str         admin_put_str
#define put_str_or_null admin_put_str_or_null
#define put_int         admin_put_int
#define put_bool        admin_put_bool
#define put_null        admin_put_null
#define put_money       admin_put_money
#define put_time        admin_put_time
#define put_raw         admin_put_raw
#define put_share       admin_put_share

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
