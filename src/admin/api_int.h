/*
 * Inside src/admin: what its framework's files share. Handlers need api.h alone.
 */
#ifndef SF_ADMIN_API_INT_H
#define SF_ADMIN_API_INT_H

#include "admin/api.h"

/* --- table.c --- */

/* The i-th array of rows; NULL behind the last. */
const struct admin_rows *admin_table_at(unsigned i);
/* What a path leads to: the row for the method, or, where the path exists with others only, NULL
 * and the methods allowed as bits by enum http_method. Segments of the path that the template names
 * go to params, still encoded. */
struct admin_match {
    const struct admin_row *row;
    unsigned allow;
    struct str params[ADMIN_PARAMS_MAX];
    unsigned params_n;
};
void admin_find(enum http_method method, struct str path, struct admin_match *ret);
struct str admin_nearest_path(struct str path);
void admin_allow_text(unsigned allow, struct buf *out);
const char *admin_method_name(enum http_method m);
/* Ends the process at a row that breaks a rule of api.h. */
void admin_table_check(void);
bool admin_row_changes(const struct admin_row *r); /* by its method */

/* --- call.c --- */
const struct admin_env *admin_env(void);
int64_t admin_began(void); /* when the program started, on the monotonic clock */
/* Answers a request whose path begins with /api/ (or is one of the table's). */
void admin_call_run(struct http_request *rq, const struct config *c);
/* Whether the handler did what api.h asks of it; else c->error. */
bool admin_duties_done(struct admin_call *c);
/* Content-type, caching, request id, CORS and c->fields, as lines. */
void admin_reply_fields(struct admin_call *c, struct str content_type, struct buf *out);

/* --- query.c --- */
/* Query by the row's schema, and limit and cursor of a list: 0 or c->error. */
int admin_parse_query(struct admin_call *c);
/* The body, which it reads: 0 or c->error. -ECANCELED: the client is gone. */
int admin_parse_body(struct admin_call *c);

/* --- list.c --- */
/* The cursor that the client gave, checked: what the source had written into next. */
int admin_cursor_read(struct admin_call *c, struct str given);

/* --- auth.c --- */
/* Fills c->who: 0, or c->error (401, 429, 503). Rows for anyone get BY_NOBODY. */
int admin_authenticate(struct admin_call *c);
/* The same for a credential that a body holds (login). */
int admin_identify(struct admin_call *c, struct str credential);
int admin_authorize(struct admin_call *c); /* by role: 0, or 403 */

/* --- session.c --- */
#define SESSION_COOKIE "smartflow_token"
#define CSRF_COOKIE    "smartflow_csrf"
/* The session of the cookie: 0 with c->who filled, -ENOENT none or none that is good, or c->error.
 */
int admin_session_find(struct admin_call *c);
int admin_session_csrf(struct admin_call *c); /* 0, or 403 */
/* Makes one for c->who: its cookie lines into c->fields, and the token for x-csrf-token. */
int admin_session_make(struct admin_call *c, struct str *ret_csrf, int64_t *ret_expires);
int admin_session_end(struct admin_call *c, struct str id);
struct str admin_csrf_token(struct admin_call *c, struct str session_id);
void admin_session_forget_key(void);              /* the signing key may be another store's */
struct str admin_key_print(struct admin_call *c); /* names the admin key in force; not the key */

/* --- audit.c --- */
/* Before a change: whether it could be recorded; else c->error. */
bool admin_can_audit(struct admin_call *c);
/* The caller's address without its port. */
void admin_address(const struct admin_call *c, char out[static 64]);
/* A JSON object without its secrets, with each value as an integer or a text: what a journal's
 * entry may hold. Invalid JSON becomes {}. */
void admin_changes_text(struct str json, struct buf *out);

/* --- users.c --- */
/* The administrator with this token, or with this id, when active: 0 with c->who, -ENOENT,
 * c->error. */
int admin_user_by_token(struct admin_call *c, struct str token);
struct store_rows;
int admin_user_take(
    struct admin_call *c, const struct store_rows *rows, unsigned row, unsigned first_column);
/* The columns that admin_user_take() reads: 0, -ENOENT when it is not active. */
#define ADMIN_USER_WHO "u.id, u.name, u.email, u.role, u.org_id, u.user_id, u.is_active"

/* --- providers_api.c --- */
/* An array with every provider that is configured or was called, and how it does. */
int admin_put_snapshots(struct admin_call *c, struct buf *out, const char *name);

/* --- guard.c: who guesses credentials --- */
int admin_guard_wait(const struct net_addr *from); /* seconds to wait, or 0 */
void admin_guard_failed(const struct net_addr *from);
void admin_guard_reset(void); /* for tests */

/* --- openapi.c --- */
void admin_openapi(struct buf *out);

#endif
