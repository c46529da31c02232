/*
 * How an endpoint of the management API is written. A subject's file exports an array of rows, and
 * table.c lists the arrays: that is all it takes for a path to be routed, to be guarded, to have
 * its parameters checked, and to stand in the OpenAPI document.
 *
 * A call passes these steps (call.c): row by path and method → who (auth.c) → role → CSRF → query
 * and body by their schemas → handler → audit → reply. A handler returns 0 with the data written
 * into c->out, or a negative errno with c->error filled, mostly by `return admin_fail(…)`. It runs
 * in the request's coroutine and may suspend; everything it is given lives until it returns. A
 * handler that changes something is not cancelled when its client goes away.
 *
 * Nothing is allowed unless a row says so: a row without a role, or one that lets organisation
 * administrators or users in without saying how they are confined to what is theirs, does not start
 * (admin_table_check). A handler that forgot to confine them, or to record a change, has its reply
 * replaced by a 500.
 */
#ifndef SF_ADMIN_API_H
#define SF_ADMIN_API_H

#include "admin/admin.h"
#include "admin/put.h"
#include "base/arena.h"
#include "base/error.h"
#include "keys/record.h"

/* Which roles may call: bits by enum user_role (keys/record.h). */
enum admin_may {
    MAY_USER = 1 << ROLE_INTERNAL_USER,
    MAY_VIEWER = 1 << ROLE_PROXY_ADMIN_VIEWER,
    MAY_ORG_ADMIN = 1 << ROLE_ORG_ADMIN,
    MAY_ADMIN = 1 << ROLE_PROXY_ADMIN,
    MAY_ANYONE = 1 << 4, /* without any credential */
    MAY_VIEW = MAY_ADMIN | MAY_VIEWER,
    MAY_VIEW_ORG = MAY_VIEW | MAY_ORG_ADMIN,
    MAY_MANAGE_ORG = MAY_ADMIN | MAY_ORG_ADMIN,
    MAY_SIGNED_IN = MAY_VIEW | MAY_ORG_ADMIN | MAY_USER,
};

/* What organisation administrators and users see of it. */
enum admin_scope {
    SCOPE_UNSTATED,
    SCOPE_COMMON, /* the same as everybody: nothing in it belongs to anyone */
    SCOPE_OWN,    /* their own: the handler uses admin_own_org(), admin_owns() or who.own_… */
};

enum admin_row_flag {
    ADMIN_BODY_RAW = 1 << 0,      /* the handler validates c->text itself, against row->body */
    ADMIN_BODY_OPTIONAL = 1 << 1, /* an empty body is {} */
    ADMIN_CHANGES = 1 << 2,       /* body fields with FIELD_UPDATE instead of FIELD_CREATE */
    ADMIN_UNRECORDED = 1 << 3, /* POST that changes nothing, or whose record is not the audit's */
    ADMIN_BARE = 1 << 4,       /* c->out is the whole body, without an envelope */
    ADMIN_EXTRAS = 1 << 5,     /* members and parameters that are not known are ignored */
    ADMIN_CREATED = 1 << 6,    /* answers 201 */
    ADMIN_OWN_ACT = 1 << 7,    /* changes nothing but the caller's own session */
};

/* The members of an object: what a body or query may hold, or what a reply does. */
struct admin_schema {
    const char *name; /* in the OpenAPI document */
    const struct field_row *fields;
    unsigned n;
    size_t size; /* of the struct that the fields describe; 0 = for replies alone */
    /* Instead of fields: those of record_type(record - 1). As a query: its FIELD_FILTER rows, which
     * go to c->filters as texts. */
    unsigned record;
    const struct admin_schema *more; /* replies: further members, after these */
};

struct admin_filter {
    struct str field, value;
};
#define ADMIN_FILTERS_MAX 16

/* The rows of a schema, without those of `more`. */
const struct field_row *admin_fields(const struct admin_schema *s, unsigned *ret_n);

struct admin_call;

struct admin_row {
    enum http_method method;
    const char *path; /* "/api/enterprise/vkeys/{key}" */
    unsigned may;     /* enum admin_may */
    enum admin_scope scope;
    int (*handle)(struct admin_call *c);
    const struct admin_schema *body, *query;
    const struct admin_schema *reply; /* of data, or of each of its items; NULL = any object */
    const char *name;                 /* data stands under this name, too; NULL = not */
    bool list;                        /* pages: handled by admin_list() */
    const char *media;                /* of a reply that is no JSON; NULL = JSON */
    unsigned flags;
    const char *tag, *summary;
};

struct admin_rows {
    const struct admin_row *at;
    unsigned n;
};

#define ADMIN_PARAMS_MAX 4
#define ADMIN_BODY_BYTES MIB
#define ADMIN_ARENA      (8 * MIB)
#define ADMIN_OUT_BYTES  (64 * MIB)
#define ADMIN_LIST_MAX   1000
#define ADMIN_LIST       50

/* Who calls. Texts live as long as the call. */
enum admin_by { BY_NOBODY, BY_ADMIN_KEY, BY_TOKEN, BY_SESSION, BY_VIRTUAL_KEY };

struct admin_who {
    enum admin_by by;
    enum user_role role;
    struct str actor; /* for the audit: "admin", "admin_user:adm_…", "key:0123…" */
    struct str id;    /* of the administrator; empty for the admin key */
    struct str name, email;
    struct str org_id;  /* org_admin: the one organisation */
    struct str user_id; /* internal_user: the user whose keys and logs these are; may be empty */
    struct str key_id;  /* internal_user by virtual key: this key alone */
    struct str session; /* the session's id, where it is one */
};

struct admin_call {
    struct http_request *rq;
    const struct config *config;
    const struct admin_env *env;
    const struct admin_row *row;
    struct arena arena;
    char id[32]; /* of the request */
    struct net_addr client;
    struct admin_who who;
    struct str params[ADMIN_PARAMS_MAX]; /* of the path, decoded, in its order */
    unsigned params_n;
    void *query, *body; /* the structs of the row's schemas */
    uint64_t query_given, body_given;
    struct admin_filter filters[ADMIN_FILTERS_MAX];
    unsigned filters_n;
    struct str text; /* the body as it came; "{}" where it was empty and may be */
    unsigned limit;  /* of a list */
    bool limit_given;
    struct str cursor;
    /* the reply */
    int status;             /* 0 = 200 or 201 */
    struct buf out, fields; /* the data's JSON; further header lines */
    struct error error;
    bool replied;  /* the handler sent it itself */
    bool confined; /* what a confined caller sees was limited to what is theirs */
    bool audited;
};

/* --- failing --- */

/* Fills c->error and returns -EREMOTEIO. code is a literal; the message may hold foreign text. */
int admin_fail(struct admin_call *c, int status, const char *code, const char *fmt, ...)
    _printf_(4, 5);
/* 400 that names a field or parameter. */
int admin_bad(struct admin_call *c, const char *param, const char *fmt, ...) _printf_(3, 4);
int admin_not_found(struct admin_call *c, const char *what, struct str id);
/* For a result of the store or the journal: 503, 409 or 500; err is logged, never shown. */
int admin_store_fail(struct admin_call *c, int r, const char *err);

/* --- confining --- */

/* The organisation that the caller is confined to; empty: all. Marks the call as confined. Users
 * are confined further: see admin_own_user(). */
struct str admin_own_org(struct admin_call *c);
/* The user and the key that an internal user is confined to; both empty for all others. */
void admin_own_user(struct admin_call *c, struct str *ret_user, struct str *ret_key);
/* Whether the caller may see, or with its role change, what belongs to these. Any may be empty. */
bool admin_owns(struct admin_call *c, struct str org_id, struct str user_id, struct str key_id);

/* --- reading --- */

/* The parameter of the path called so. */
struct str admin_param(const struct admin_call *c, unsigned i);
/* Whether the body or query gave this field; false where the schema has none of the name. */
bool admin_gave(const struct admin_call *c, const char *body_field);
bool admin_asked(const struct admin_call *c, const char *query_field);
/* --- lists --- */

/* One page. The source appends the items (JSON objects) to items with put_item(), at most limit,
 * and sets next when there may be more: any text that lets it go on from there. */
struct admin_page {
    unsigned limit;
    struct str cursor; /* next of the page before; empty: the first */
    struct str next;
    struct buf *items;
};
typedef int admin_page_fn(struct admin_call *c, struct admin_page *p, void *ctx);
/* Answers a list: one page as JSON, or all pages as CSV or JSON lines where Accept asks for it. */
int admin_list(struct admin_call *c, admin_page_fn *page, void *ctx);

/* --- recording --- */

/*
 * Puts an act of an administrator on the journal, and waits until it is on disk. event: one of the
 * journal's kinds ("key_event", "policy_change", …); action: "vkey.create"; target: the id of what
 * was changed, never a secret. changes: a JSON object, or empty; the values of members whose names
 * speak of secrets are cut to their last four characters. 0, or c->error (503).
 */
int admin_audit(struct admin_call *c, const char *event, const char *action, struct str target,
    struct str changes);

#endif
