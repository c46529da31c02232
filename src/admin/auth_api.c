/*
 * Logging in and out, who am I, and the sessions there are. See session.c.
 */
#include "admin/api_int.h"
#include "admin/rows.h"
#include "store/store.h"

#include <errno.h>
#include <stdio.h>

/* --- who am I --- */

static void put_who(struct admin_call *c, struct buf *out)
{
    static const char *const by[] = {[BY_NOBODY] = "nobody",
        [BY_ADMIN_KEY] = "admin_key",
        [BY_TOKEN] = "token",
        [BY_SESSION] = "session",
        [BY_VIRTUAL_KEY] = "virtual_key"};
    const struct admin_who *w = &c->who;

    put_str(out, "role", str_of(user_role_words[w->role]));
    put_str(out, "authenticated_by", str_of(by[w->by]));
    put_str_or_null(out, "id", w->id);
    put_str_or_null(out, "name", w->name);
    put_str_or_null(out, "email", w->email);
    put_str_or_null(out, "org_id", w->org_id);
    put_str_or_null(out, "user_id", w->user_id);
    put_str_or_null(out, "key_id", w->key_id);
}

static int me(struct admin_call *c)
{
    put_open(&c->out, NULL, '{');
    put_who(c, &c->out);
    if (c->who.by == BY_SESSION)
        put_str(&c->out, "csrf_token", admin_csrf_token(c, c->who.session));
    put_close(&c->out, '}');
    return 0;
}

#define WHO_FIELDS                                                                                 \
    {"role", FIELD_WORD, 0, 0, 0, 0, user_role_words, NULL, "What the caller may do.", NULL},      \
        {"authenticated_by", FIELD_TEXT, 0, 0, 0, 32, NULL, NULL,                                  \
            "admin_key, token, session or virtual_key.", NULL},                                    \
        {"id", FIELD_TEXT, 0, 0, 0, 64, NULL, NULL, "Of the administrator or key.", NULL},         \
        {"name", FIELD_TEXT, 0, 0, 0, 256, NULL, NULL, "Its name.", NULL},                         \
        {"email", FIELD_TEXT, 0, 0, 0, 256, NULL, NULL, "Its address.", NULL},                     \
        {"org_id", FIELD_TEXT, 0, 0, 0, 64, NULL, NULL,                                            \
            "The organisation that an org_admin manages.", NULL},                                  \
        {"user_id", FIELD_TEXT, 0, 0, 0, 64, NULL, NULL,                                           \
            "The user whose keys and logs an internal_user sees.", NULL},                          \
        {"key_id", FIELD_TEXT, 0, 0, 0, 64, NULL, NULL, "The virtual key that was presented.",     \
            NULL},                                                                                 \
    {                                                                                              \
        "csrf_token", FIELD_TEXT, 0, 0, 0, 64, NULL, NULL, "Sessions: what x-csrf-token must be.", \
            NULL                                                                                   \
    }

static const struct field_row me_fields[] = {WHO_FIELDS};
static const struct admin_schema me_reply = {"Caller", me_fields, ARRAY_LEN(me_fields), 0};

/* --- login and logout --- */

struct login {
    struct str api_key;
};

static const struct field_row login_fields[] = {
    {"api_key", FIELD_TEXT, FIELD_CREATE | FIELD_REQUIRED, offsetof(struct login, api_key), 1, 512,
        NULL, NULL, "The admin key or an administrator's token.", NULL},
};
static const struct admin_schema login_body = {
    "Login", login_fields, ARRAY_LEN(login_fields), sizeof(struct login)};

static const struct field_row session_fields[] = {
    WHO_FIELDS,
    {"expires_at", FIELD_TIME, 0, 0, 0, 0, NULL, NULL, "When the session ends.", NULL},
};
static const struct admin_schema session_reply = {
    "Login_session", session_fields, ARRAY_LEN(session_fields), 0};

static int login(struct admin_call *c)
{
    const struct login *l = c->body;
    struct str csrf;
    int64_t expires = 0;
    int r = admin_identify(c, l->api_key);

    if (r < 0)
        return r;
    if (c->who.by == BY_VIRTUAL_KEY)
        return admin_fail(
            c, 403, "not_allowed", "A virtual key opens no session: send it as a bearer token.");
    if (!c->env->store)
        return admin_store_fail(c, -EHOSTDOWN, NULL);
    r = admin_session_make(c, &csrf, &expires);
    if (r == 0)
        r = admin_audit(c, "policy_change", "session.login", c->who.session, STR_NONE);
    if (r < 0)
        return r;
    put_open(&c->out, NULL, '{');
    put_who(c, &c->out);
    put_str(&c->out, "csrf_token", csrf);
    put_time(&c->out, "expires_at", expires);
    put_close(&c->out, '}');
    return 0;
}

static int logout(struct admin_call *c)
{
    int r = 0;

    if (c->who.by != BY_SESSION)
        return admin_fail(
            c, 400, "no_session", "There is no session to end: this call used a key.");
    r = admin_session_end(c, c->who.session);
    if (r == 0)
        r = admin_audit(c, "policy_change", "session.logout", c->who.session, STR_NONE);
    put_raw(&c->out, NULL, STR("{}"));
    return r;
}

/* --- the sessions there are --- */

static const struct field_row sessions_fields[] = {
    {"id", FIELD_TEXT, 0, 0, 0, 64, NULL, NULL, "Of the session; opens nothing.", NULL},
    {"actor", FIELD_TEXT, 0, 0, 0, 128, NULL, NULL, "Who logged in.", NULL},
    {"address", FIELD_TEXT, 0, 0, 0, 64, NULL, NULL, "From where.", NULL},
    {"user_agent", FIELD_TEXT, 0, 0, 0, 256, NULL, NULL, "With what.", NULL},
    {"created_at", FIELD_TIME, 0, 0, 0, 0, NULL, NULL, "When.", NULL},
    {"expires_at", FIELD_TIME, 0, 0, 0, 0, NULL, NULL, "When it ends by itself.", NULL},
};
static const struct admin_schema sessions_reply = {
    "Session", sessions_fields, ARRAY_LEN(sessions_fields), 0};

static void put_session(struct buf *out, const struct store_rows *rows, unsigned i)
{
    struct str subject = str_to(store_cell_str(rows, i, 2), 100);
    char actor[160] = "admin";

    if (str_eq(store_cell_str(rows, i, 1), STR("admin_user")))
        snprintf(actor, sizeof actor, "admin_user:" STR_FMT, STR_ARG(subject));
    put_open(out, NULL, '{');
    put_str(out, "id", store_cell_str(rows, i, 0));
    put_str(out, "actor", str_of(actor));
    put_str(out, "address", store_cell_str(rows, i, 3));
    put_str(out, "user_agent", store_cell_str(rows, i, 4));
    put_time(out, "created_at", store_cell_int(rows, i, 5));
    put_time(out, "expires_at", store_cell_int(rows, i, 6));
    put_close(out, '}');
}

static int sessions_page(struct admin_call *c, struct admin_page *p, void *ctx)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    char err[STORE_ERR_BYTES] = "";
    const struct store_value v[] = {
        store_text(p->cursor), store_int(clock_wall()), store_int((int64_t)p->limit + 1)};
    int r = store_query(c->env->store,
        "SELECT id, kind, subject, address, user_agent, created_at, expires_at FROM admin_sessions "
        "WHERE id > ?1 AND expires_at > ?2 ORDER BY id LIMIT ?3",
        v, 3, &rows, err);
    (void)ctx;

    if (r < 0)
        return admin_store_fail(c, r, err);
    unsigned n = MIN(store_rows_n(rows), p->limit);
    for (unsigned i = 0; i < n; i++)
        put_session(p->items, rows, i);
    if (store_rows_n(rows) > n)
        p->next = arena_dup(&c->arena, store_cell_str(rows, n - 1, 0));
    return 0;
}

static int sessions(struct admin_call *c)
{
    return c->env->store ? admin_list(c, sessions_page, NULL)
                         : admin_store_fail(c, -EHOSTDOWN, NULL);
}

static int revoke(struct admin_call *c)
{
    struct str id = admin_param(c, 0);
    char err[STORE_ERR_BYTES] = "";
    int64_t changed = 0;
    const struct store_value v = store_text(id);

    if (!c->env->store)
        return admin_store_fail(c, -EHOSTDOWN, NULL);
    int r =
        store_exec(c->env->store, "DELETE FROM admin_sessions WHERE id = ?1", &v, 1, &changed, err);
    if (r < 0)
        return admin_store_fail(c, r, err);
    if (!changed)
        return admin_not_found(c, "session", id);
    put_raw(&c->out, NULL, STR("{}"));
    return admin_audit(c, "policy_change", "session.revoke", id, STR_NONE);
}

static const struct admin_row rows[] = {
    {.method = HTTP_POST,
        .path = "/api/auth/login",
        .may = MAY_ANYONE,
        .handle = login,
        .body = &login_body,
        .reply = &session_reply,
        .name = "session",
        .flags = ADMIN_EXTRAS,
        .tag = "Sessions",
        .summary = "Log in with the admin key or an administrator's token"},
    {.method = HTTP_POST,
        .path = "/api/auth/logout",
        .may = MAY_SIGNED_IN,
        .scope = SCOPE_COMMON,
        .handle = logout,
        .flags = ADMIN_OWN_ACT,
        .tag = "Sessions",
        .summary = "End the session that this call was made with"},
    {.method = HTTP_GET,
        .path = "/api/auth/me",
        .may = MAY_SIGNED_IN,
        .scope = SCOPE_COMMON,
        .handle = me,
        .reply = &me_reply,
        .name = "user",
        .tag = "Sessions",
        .summary = "Who the caller is, and what it may do"},
    {.method = HTTP_GET,
        .path = "/api/auth/sessions",
        .may = MAY_VIEW,
        .handle = sessions,
        .reply = &sessions_reply,
        .name = "sessions",
        .list = true,
        .tag = "Sessions",
        .summary = "List the open sessions"},
    {.method = HTTP_DELETE,
        .path = "/api/auth/sessions/{id}",
        .may = MAY_ADMIN,
        .handle = revoke,
        .tag = "Sessions",
        .summary = "Revoke a session"},
};
const struct admin_rows admin_auth_rows = {rows, ARRAY_LEN(rows)};
