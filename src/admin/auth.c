/*
 * Who calls, and whether the row lets them.
 *
 *   the admin key          proxy_admin
 *   sk-admin-… tokens      the administrator they were made for (users.c), with its role
 *   session cookies        who logged in (session.c)
 *   virtual keys           internal_user, confined to that one key
 *
 * A credential in a header counts before the cookie. All of them are compared in constant time or
 * looked up by their hash. Wrong ones are counted by address (guard.c).
 */
#include "admin/api_int.h"
#include "keys/catalog.h"

#include <errno.h>

#define STRONG_KEY 24 /* bytes that nobody guesses, even without a guard */

static struct str credential_of(const struct http_request *rq)
{
    struct str v = http_get(&rq->head.fields, HTTP_AUTHORIZATION);

    if (str_istarts(v, STR("bearer ")))
        return str_trim(str_from(v, 7));
    return v.n ? v : http_get(&rq->head.fields, HTTP_X_API_KEY);
}

static int wrong_credential(struct admin_call *c)
{
    admin_guard_failed(&c->client);
    admin_fail(c, 401, "invalid_api_key", "This credential is not known here.");
    c->error.hint = STR("Send the admin key, an administrator's token or a virtual key.");
    return -EREMOTEIO;
}

/* --- virtual keys --- */

static void take_key(struct admin_call *c, const struct virtual_key *k)
{
    c->who = (struct admin_who){
        .by = BY_VIRTUAL_KEY,
        .role = ROLE_INTERNAL_USER,
        .key_id = arena_dup(&c->arena, k->subject.id),
        .id = arena_dup(&c->arena, k->subject.id),
        .name = arena_dup(&c->arena, k->subject.name),
        .org_id = arena_dup(&c->arena, k->org_id),
        .actor = arena_printf(&c->arena, "key:" STR_FMT, STR_ARG(k->subject.id)),
    };
}

static int by_virtual_key(struct admin_call *c, struct str secret)
{
    const struct virtual_key *k = c->env->catalog ? catalog_find(secret) : NULL;

    if (!k && c->env->catalog && !catalog_is_fresh(c->env->catalog))
        return admin_fail(c, 503, "keys_unavailable",
            "The store of virtual keys cannot be reached, and this key is not known here.");
    if (!k)
        return wrong_credential(c);
    bool good = vkey_still_good(k);
    if (good)
        take_key(c, k);
    vkey_unref(k);
    if (!good)
        return admin_fail(c, 401, "invalid_api_key", "This virtual key is revoked or expired.");
    return 0;
}

/* --- administrators --- */

static void take_admin_key(struct admin_call *c)
{
    c->who = (struct admin_who){
        .by = BY_ADMIN_KEY, .role = ROLE_PROXY_ADMIN, .actor = STR("admin"), .name = STR("admin")};
}

int admin_identify(struct admin_call *c, struct str credential)
{
    int wait = admin_guard_wait(&c->client), r;

    if (secret_eq(&c->config->admin_key, credential) && (!wait || credential.n >= STRONG_KEY)) {
        take_admin_key(c);
        return 0;
    }
    if (wait) {
        c->error.retry_after_s = wait;
        return admin_fail(c, 429, "rate_limit_exceeded",
            "Too many wrong credentials came from this address. Wait before you try again.");
    }
    if (str_starts(credential, STR("sk-sf-")))
        return by_virtual_key(c, credential);
    if (!str_starts(credential, STR("sk-admin-")))
        return wrong_credential(c);
    r = admin_user_by_token(c, credential);
    return r == -ENOENT ? wrong_credential(c) : r;
}

int admin_authenticate(struct admin_call *c)
{
    struct str credential = credential_of(c->rq);
    int r;

    if (c->row->may & MAY_ANYONE)
        return 0;
    if (credential.n)
        return admin_identify(c, credential);
    r = admin_session_find(c);
    if (r != -ENOENT)
        return r;
    admin_fail(c, 401, "authentication_required", "This needs a credential, or a session.");
    c->error.hint = STR("Send the admin key or a token as a bearer token.");
    return -EREMOTEIO;
}

int admin_authorize(struct admin_call *c)
{
    if (c->row->may & MAY_ANYONE)
        return 0;
    must(c->who.by != BY_NOBODY);
    if (c->row->may & 1u << c->who.role)
        return 0;
    return admin_fail(
        c, 403, "not_allowed", "The role %s may not do this.", user_role_words[c->who.role]);
}

/* --- confining --- */

struct str admin_own_org(struct admin_call *c)
{
    c->confined = true;
    return c->who.role == ROLE_ORG_ADMIN ? c->who.org_id : STR_NONE;
}

void admin_own_user(struct admin_call *c, struct str *ret_user, struct str *ret_key)
{
    bool user = c->who.role == ROLE_INTERNAL_USER;

    c->confined = true;
    *ret_user = user ? c->who.user_id : STR_NONE;
    *ret_key = user ? c->who.key_id : STR_NONE;
}

/* An empty id never matches: what belongs to no organisation is nobody's but the administrators'.
 */
static bool same(struct str mine, struct str theirs)
{
    return mine.n && str_eq(mine, theirs);
}

bool admin_owns(struct admin_call *c, struct str org_id, struct str user_id, struct str key_id)
{
    c->confined = true;
    switch (c->who.role) {
    case ROLE_PROXY_ADMIN:
    case ROLE_PROXY_ADMIN_VIEWER:
        return true;
    case ROLE_ORG_ADMIN:
        return same(c->who.org_id, org_id);
    default:
        return same(c->who.key_id, key_id) || same(c->who.user_id, user_id);
    }
}
