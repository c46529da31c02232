/*
 * HashiCorp Vault (or OpenBao) over its HTTP API, version 1.
 *
 * A read is GET /v1/<path>. In the KV engine's version 2 "data/" stands behind the mount's path,
 * which the server is asked for as its own command line does (sys/internal/ui/mounts); where the
 * policy does not allow the question, the path is tried as it is, then with "data/" behind its
 * first segment. What comes with a lease that can be renewed is renewed by its id.
 *
 * The token is VAULT_TOKEN, that of the file VAULT_TOKEN_FILE (read each time: an agent writes it),
 * or that of an AppRole log-in. Tokens that can be renewed are, at two thirds of their time; a
 * log-in is made anew when renewal fails or the server refuses the token.
 */
#include "vault/refs_int.h"

#include "providers/sigv4.h"
#include "json/scan.h"

#include <errno.h>
#include <stdlib.h>

#define FIELDS_BYTES (16 * KIB)

/* --- requests --- */

static int host(struct secret_refs *r, char *err)
{
    struct str url = ref_env(r, "VAULT_ADDR"), ca = ref_env(r, "VAULT_CACERT");

    if (!url.n) {
        ref_say(err, "set VAULT_ADDR to the address of HashiCorp Vault");
        return -EINVAL;
    }
    return ref_host_set(r, &r->vault, url, ca.n ? ca.p : NULL, err);
}

static void free_wiped(struct buf *b)
{
    if (b->p)
        mem_wipe(b->p, b->cap);
    buf_free(b);
}

/* token empty: without one. Returns the status or -errno. */
static int ask(struct secret_refs *r, const char *method, struct str path, struct str token,
    struct str body, struct secret *ret, char *err)
{
    _cleanup_(free_wiped) struct buf fields = {0};
    _cleanup_(buf_free) struct buf target = {0};
    struct str space = ref_env(r, "VAULT_NAMESPACE");

    buf_init(&fields, FIELDS_BYTES);
    buf_init(&target, 8 * KIB);
    (void)buf_reserve(&fields, token.n + space.n + 256); /* so that no copy is left behind */
    buf_addstr(&target, r->vault.at.base_path);
    buf_addstr(&target, STR("/v1/"));
    uri_encode(&target, path, true);
    http_put(&fields, STR("x-vault-request"), STR("true"));
    http_put(&fields, STR("accept"), STR("application/json"));
    if (space.n)
        http_put(&fields, STR("x-vault-namespace"), space);
    if (token.n)
        http_put(&fields, STR("x-vault-token"), token);
    if (body.p)
        http_put(&fields, STR("content-type"), STR("application/json"));
    if (fields.err || target.err) {
        ref_say(err, "the token or VAULT_NAMESPACE cannot stand in a header field");
        return -EINVAL;
    }
    return ref_http(&r->vault, str_of(method), buf_str(&target), buf_str(&fields), body, ret, err);
}

/* --- the token --- */

static int64_t seconds_at(struct str object, struct str path)
{
    struct str v = json_find(object, path);
    uint64_t s;

    return v.n && json_u64(v, &s) == 0 ? (int64_t)MIN(s, (uint64_t)INT32_MAX) : 0;
}

static bool is_true(struct str object, struct str path)
{
    return str_eq(json_find(object, path), STR("true"));
}

/* Two thirds of it, so that a failure leaves time for another try. */
static int64_t due_after(int64_t seconds)
{
    return seconds > 0 ? loop_now() + seconds * NS_PER_S * 2 / 3 : NEVER_NS;
}

static void take_times(struct ref_token *t, struct str reply)
{
    t->renewable = is_true(reply, STR("auth.renewable"));
    t->due = due_after(seconds_at(reply, STR("auth.lease_duration")));
}

static int log_in_reply(struct secret_refs *r, int status, const struct secret *reply, char *err)
{
    struct str text = secret_reveal(reply);

    if (status < 0)
        return status;
    if (status != 200 || !ref_json_ok(text) ||
        ref_json_text(json_find(text, STR("auth")), STR("client_token"), &r->token.value) < 0) {
        ref_say(err,
            "%s: the AppRole log-in was refused (status %d); check VAULT_ROLE_ID and "
            "VAULT_SECRET_ID",
            r->vault.url, status);
        return -EACCES;
    }
    take_times(&r->token, text);
    r->token.logged_in = true;
    return 0;
}

static int log_in(struct secret_refs *r, struct str role, struct str secret_id, char *err)
{
    _cleanup_(free_wiped) struct buf body = {0};
    _cleanup_(secret_free) struct secret reply = {0};
    _cleanup_(buf_free) struct buf path = {0};
    struct str mount = ref_env(r, "VAULT_APPROLE_MOUNT");

    buf_init(&body, 16 * KIB);
    buf_init(&path, 4 * KIB);
    (void)buf_reserve(&body, 2 * (role.n + secret_id.n) + 64);
    buf_addstr(&body, STR("{\"role_id\":"));
    buf_addjson(&body, role);
    buf_addstr(&body, STR(",\"secret_id\":"));
    buf_addjson(&body, secret_id);
    buf_addc(&body, '}');
    buf_addstr(&path, STR("auth/"));
    buf_addstr(&path, mount.n ? mount : STR("approle"));
    buf_addstr(&path, STR("/login"));
    int status = ask(r, "POST", buf_str(&path), STR_NONE, buf_str(&body), &reply, err);
    return log_in_reply(r, status, &reply, err);
}

static int log_in_by_role(struct secret_refs *r, char *err)
{
    _cleanup_(secret_free) struct secret role = {0}, id = {0};
    int a = ref_setting(r, "VAULT_ROLE_ID", &role, err);
    int b = a < 0 ? a : ref_setting(r, "VAULT_SECRET_ID", &id, err);

    if (b < 0)
        return b;
    if (!a) {
        ref_say(err, "set VAULT_TOKEN, VAULT_TOKEN_FILE, or VAULT_ROLE_ID with VAULT_SECRET_ID");
        return -EINVAL;
    }
    return log_in(r, secret_reveal(&role), secret_reveal(&id), err);
}

/* A token of the settings: how long it lasts is known once it was renewed, which some may not do.
 */
static int take_token(struct secret_refs *r, struct secret *t)
{
    if (secret_eq(&r->token.value, secret_reveal(t)))
        return 0;
    r->token.due = 0;
    r->token.renewable = true;
    r->token.logged_in = false;
    return secret_set(&r->token.value, secret_reveal(t));
}

static int get_token_now(struct secret_refs *r, char *err)
{
    _cleanup_(secret_free) struct secret t = {0};
    int e = ref_setting(r, "VAULT_TOKEN", &t, err);

    if (e < 0)
        return e;
    if (e > 0)
        return take_token(r, &t);
    return r->token.logged_in ? 0 : log_in_by_role(r, err);
}

static int get_token(struct secret_refs *r, char *err)
{
    int e = sem_take(&r->token.busy, loop_now() + REF_DEADLINE);

    if (e < 0)
        return e;
    e = get_token_now(r, err);
    sem_give(&r->token.busy);
    return e;
}

/* Returns the status. A token of a log-in that is not taken any more is fetched anew, once. */
static int ask_with_token(struct secret_refs *r, const char *method, struct str path,
    struct str body, struct secret *ret, char *err)
{
    for (unsigned tries = 0;; tries++) {
        _cleanup_(secret_free) struct secret token = {0};
        int e = get_token(r, err);
        if (e < 0 || (e = secret_set(&token, secret_reveal(&r->token.value))) < 0)
            return e;
        int status = ask(r, method, path, secret_reveal(&token), body, ret, err);
        if (status != 403 || tries || !r->token.logged_in)
            return status;
        if (secret_eq(&r->token.value, secret_reveal(&token)))
            r->token.logged_in = false;
    }
}

void hashicorp_keep_token(struct secret_refs *r)
{
    _cleanup_(secret_free) struct secret reply = {0};
    char err[REF_ERROR_N];

    if (!secret_is_set(&r->token.value) || r->token.due > loop_now())
        return;
    if (r->token.renewable) {
        int status =
            ask_with_token(r, "POST", STR("auth/token/renew-self"), STR("{}"), &reply, err);
        if (status == 200 && ref_json_ok(secret_reveal(&reply))) {
            take_times(&r->token, secret_reveal(&reply));
            return;
        }
    }
    r->token.due = NEVER_NS;
    r->token.logged_in = false; /* a token of the settings is used until it is refused */
}

/* --- one secret --- */

static int say_status(struct secret_refs *r, const struct doc *d, int status, char *err)
{
    const char *why = status == 403 ? "permission denied: the token's policy must allow reading it"
                      : status == 404 ? "there is no such secret"
                      : status == 503 ? "the server is sealed or in maintenance"
                                      : "unexpected reply";

    ref_say(err, "%.80s: %s (status %d)", r->vault.url, why, status);
    (void)d;
    return status == 404 ? -ENOENT : status == 403 ? -EACCES : -EIO;
}

/* "secret/openai" of the mount "secret/" in version 2 is "secret/data/openai". */
static char *with_data(struct str path, size_t mount_n)
{
    struct str rest = str_from(path, mount_n);
    _cleanup_(buf_free) struct buf b = {0};

    buf_init(&b, REF_PATH_MAX + 16);
    buf_addstr(&b, str_to(path, mount_n));
    if (!str_starts(rest, STR("data/")))
        buf_addstr(&b, STR("data/"));
    buf_addstr(&b, rest);
    return b.err ? NULL : str_dup(buf_str(&b));
}

/* Where the server says the path is read. NULL: it does not say. */
static char *asked_path(struct secret_refs *r, const struct doc *d)
{
    _cleanup_(secret_free) struct secret reply = {0}, mount = {0};
    _cleanup_(buf_free) struct buf q = {0};
    char err[REF_ERROR_N];
    struct str path = str_of(d->path);

    buf_init(&q, REF_PATH_MAX + 64);
    buf_addstr(&q, STR("sys/internal/ui/mounts/"));
    buf_addstr(&q, path);
    if (ask_with_token(r, "GET", buf_str(&q), STR_NONE, &reply, err) != 200)
        return NULL;
    struct str text = secret_reveal(&reply);
    if (!ref_json_ok(text) ||
        ref_json_text(json_find(text, STR("data")), STR("path"), &mount) < 0 ||
        !str_starts(path, secret_reveal(&mount)))
        return NULL;
    if (!str_eq(json_find(text, STR("data.options.version")), STR("\"2\"")))
        return str_dup(path);
    return with_data(path, secret_reveal(&mount).n);
}

static int take_fields(struct doc *d, struct str text)
{
    struct str data = json_find(text, STR("data")), inner = json_find(data, STR("data"));
    bool v2 =
        inner.p && json_type_of(inner) == JSON_OBJECT && json_find(data, STR("metadata")).p != NULL;

    if (!data.p || json_type_of(data) != JSON_OBJECT)
        return -EBADMSG;
    return secret_set(&d->body, v2 ? inner : data);
}

static void take_lease(struct doc *d, struct str text)
{
    _cleanup_(secret_free) struct secret id = {0};

    d->lease = seconds_at(text, STR("lease_duration")) * NS_PER_S;
    free(d->lease_id);
    d->lease_id = NULL;
    if (is_true(text, STR("renewable")) && d->lease > 0 &&
        ref_json_text(text, STR("lease_id"), &id) == 0 && secret_is_set(&id))
        d->lease_id = str_dup(secret_reveal(&id));
}

static int read_at(struct secret_refs *r, struct doc *d, struct secret *reply, char *err)
{
    int status = ask_with_token(r, "GET", str_of(d->api_path), STR_NONE, reply, err);

    if (status < 0)
        return status;
    if (status != 200)
        return say_status(r, d, status, err);
    struct str text = secret_reveal(reply);
    if (!ref_json_ok(text) || take_fields(d, text) < 0) {
        ref_say(err, "%.80s: the reply is not a secret's", r->vault.url);
        return -EBADMSG;
    }
    take_lease(d, text);
    return 0;
}

int hashicorp_read(struct secret_refs *r, struct doc *d, char *err)
{
    _cleanup_(secret_free) struct secret reply = {0};
    struct str path = str_of(d->path);
    int e = host(r, err);

    if (e < 0)
        return e;
    if (!d->api_path && !(d->api_path = asked_path(r, d)) && !(d->api_path = str_dup(path)))
        return -ENOMEM;
    e = read_at(r, d, &reply, err);
    ptrdiff_t slash = str_chr(path, '/');
    if (e != -ENOENT || slash < 0 || !str_eq(str_of(d->api_path), path))
        return e;
    char *second = with_data(path, (size_t)slash + 1);
    if (!second)
        return -ENOMEM;
    free(d->api_path);
    d->api_path = second;
    e = read_at(r, d, &reply, err);
    if (e < 0) { /* neither: ask again next time */
        free(d->api_path);
        d->api_path = NULL;
    }
    return e;
}

int hashicorp_renew(struct secret_refs *r, struct doc *d, char *err)
{
    _cleanup_(secret_free) struct secret reply = {0};
    _cleanup_(buf_free) struct buf body = {0};
    int64_t was = d->lease;

    buf_init(&body, 8 * KIB);
    buf_addstr(&body, STR("{\"lease_id\":"));
    buf_addjson(&body, str_of(d->lease_id));
    buf_printf(&body, ",\"increment\":%lld}", (long long)(d->lease / NS_PER_S));
    int status = ask_with_token(r, "PUT", STR("sys/leases/renew"), buf_str(&body), &reply, err);
    if (status != 200 || !ref_json_ok(secret_reveal(&reply)))
        return status < 0 ? status : -EIO;
    d->lease = seconds_at(secret_reveal(&reply), STR("lease_duration")) * NS_PER_S;
    /* Near its last end a lease is given less than before: another one is needed in time. */
    return d->lease * 2 < was || d->lease == 0 ? -ESTALE : 0;
}
