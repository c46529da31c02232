/*
 * Provider keys: /api/admin/provider-keys, and the master key that seals them: /api/admin/vault. A
 * key's value comes in and never goes out: what is shown of it are its last four characters.
 *
 * `status` and `last_used_at` are what this node knows of the key since it started; all else is the
 * store's. A change counts on every node within a second: the vault publishes it.
 */
#include "admin/api_int.h"
#include "admin/rows.h"
#include "base/log.h"
#include "http/client.h"
#include "vault/backup.h"
#include "vault/probe.h"
#include "vault/vault.h"

#include <errno.h>

/* --- the schemas --- */

struct given {
    struct str provider, name, api_key;
    int64_t weight;
    bool is_active;
};

static const char *check_key(struct str text)
{
    return vault_value_ok(text) ? NULL : "must be a key without blanks or control characters";
}

static const char *check_name(struct str text)
{
    return vault_name_ok(text) ? NULL : "must be 1 to 128 printable characters";
}

static const char *check_provider(struct str text)
{
    const struct provider *p = provider_by_id(text);

    return p && p->key_env.n ? NULL
                             : "must be the id of a provider that takes a key (see /api/providers)";
}

#define AT(member) offsetof(struct given, member)
static const struct field_row body_fields[] = {
    {"provider", FIELD_TEXT, FIELD_CREATE | FIELD_REQUIRED, AT(provider), 1, 64, NULL,
        check_provider, "Whose key it is.", "\"openai\""},
    {"name", FIELD_TEXT, FIELD_WRITE | FIELD_REQUIRED, AT(name), 1, VAULT_NAME_MAX, NULL,
        check_name, "A name, once a provider.", "\"main\""},
    {"api_key", FIELD_TEXT, FIELD_CREATE | FIELD_REQUIRED, AT(api_key), 1, (int64_t)VAULT_VALUE_MAX,
        NULL, check_key, "The key itself; it is never shown again.", "\"sk-...\""},
    {"weight", FIELD_INT, FIELD_WRITE, AT(weight), 1, UPSTREAM_WEIGHT_MAX, NULL, NULL,
        "Its share of the calls among the keys of its provider.", "1"},
    {"is_active", FIELD_BOOL, FIELD_WRITE, AT(is_active), 0, 0, NULL, NULL, "Whether calls use it.",
        "true"},
};
static const struct admin_schema body = {
    "ProviderKey_write", body_fields, ARRAY_LEN(body_fields), sizeof(struct given)};

static const struct field_row rotate_fields[] = {
    {"api_key", FIELD_TEXT, FIELD_CREATE | FIELD_REQUIRED, AT(api_key), 1, (int64_t)VAULT_VALUE_MAX,
        NULL, check_key, "The new key; the id stays.", "\"sk-...\""},
};
static const struct admin_schema rotate_body = {
    "ProviderKey_rotate", rotate_fields, ARRAY_LEN(rotate_fields), sizeof(struct given)};

enum shown_status { SHOWN_GOOD, SHOWN_REFUSED, SHOWN_RATE_LIMITED, SHOWN_INACTIVE, SHOWN_UNUSED };
static const char *const status_words[] = {
    "good", "refused", "rate_limited", "inactive", "unused", NULL};

struct shown {
    struct str id, provider, name, last4, master_key_id;
    int64_t weight, version, created_at, updated_at, last_used_at;
    uint32_t status;
    bool is_active;
};
#define SHOWN(member) offsetof(struct shown, member)
static const struct field_row shown_fields[] = {
    {"id", FIELD_TEXT, 0, SHOWN(id), 0, 64, NULL, NULL, "Of the key.", NULL},
    {"provider", FIELD_TEXT, 0, SHOWN(provider), 0, 64, NULL, NULL, "Whose key it is.", NULL},
    {"name", FIELD_TEXT, 0, SHOWN(name), 0, VAULT_NAME_MAX, NULL, NULL, "Its name.", NULL},
    {"last4", FIELD_TEXT, 0, SHOWN(last4), 0, 4, NULL, NULL,
        "The last four characters; empty for short keys.", NULL},
    {"weight", FIELD_INT, 0, SHOWN(weight), 1, UPSTREAM_WEIGHT_MAX, NULL, NULL,
        "Its share of the calls.", NULL},
    {"is_active", FIELD_BOOL, 0, SHOWN(is_active), 0, 0, NULL, NULL, "Whether calls use it.", NULL},
    {"status", FIELD_WORD, 0, SHOWN(status), 0, 0, status_words, NULL,
        "What this node saw of it last.", NULL},
    {"last_used_at", FIELD_TIME, 0, SHOWN(last_used_at), 0, 0, NULL, NULL,
        "When this node used it last.", NULL},
    {"version", FIELD_INT, 0, SHOWN(version), 0, INT64_MAX, NULL, NULL,
        "How many values it has had.", NULL},
    {"master_key_id", FIELD_TEXT, 0, SHOWN(master_key_id), 0, 8, NULL, NULL,
        "The master key that seals it.", NULL},
    {"created_at", FIELD_TIME, 0, SHOWN(created_at), 0, 0, NULL, NULL, "When it was made.", NULL},
    {"updated_at", FIELD_TIME, 0, SHOWN(updated_at), 0, 0, NULL, NULL, "When it was last changed.",
        NULL},
};
static const struct admin_schema shown_schema = {
    "ProviderKey", shown_fields, ARRAY_LEN(shown_fields), sizeof(struct shown)};

struct asked {
    struct str provider;
};
static const struct field_row query_fields[] = {
    {"provider", FIELD_TEXT, 0, offsetof(struct asked, provider), 1, 64, NULL, check_provider,
        "Only those of this provider.", NULL},
};
static const struct admin_schema query = {
    NULL, query_fields, ARRAY_LEN(query_fields), sizeof(struct asked)};

/* --- showing --- */

static const struct upstream_key *in_use(
    const struct admin_call *c, const struct vault_record *r, const struct upstream **ret_upstream)
{
    *ret_upstream = route_upstream(&c->config->route, r->provider);
    return *ret_upstream ? upstream_key_by_id(*ret_upstream, r->id) : NULL;
}

static void show(const struct admin_call *c, const struct vault_record *r, struct buf *out)
{
    const struct upstream *u;
    const struct upstream_key *k = in_use(c, r, &u);
    struct shown s = {.id = r->id,
        .provider = r->provider,
        .name = r->name,
        .last4 = r->last4,
        .master_key_id = r->master_id,
        .weight = r->weight,
        .version = r->version,
        .created_at = r->created_at,
        .updated_at = r->updated_at,
        .is_active = r->is_active,
        .status = !r->is_active ? SHOWN_INACTIVE : SHOWN_UNUSED};

    if (k) {
        s.last_used_at = __atomic_load_n(&k->health->used_at, __ATOMIC_RELAXED);
        if (r->is_active && s.last_used_at)
            s.status = (uint32_t)upstream_key_state(k); /* the same order */
    }
    put_open(out, NULL, '{');
    fields_write(shown_fields, ARRAY_LEN(shown_fields), &s, out);
    put_close(out, '}');
}

static int no_vault(struct admin_call *c)
{
    return admin_fail(c, 503, "vault_unavailable", "There is no vault on this node.");
}

static int failed(struct admin_call *c, int r, struct str id, const char *err)
{
    switch (r) {
    case -ENOENT:
        return admin_not_found(c, "provider key", id);
    case -EEXIST:
        admin_fail(c, 409, "already_exists", "This provider has a key of this name already.");
        c->error.param = STR("name");
        return -EREMOTEIO;
    case -EAGAIN:
        return admin_fail(c, 409, "conflict", "Others changed the vault meanwhile; try again.");
    case -ENOSPC:
        return admin_fail(c, 409, "vault_full", "The vault holds as many keys as it may.");
    case -ENOKEY:
        return admin_fail(c, 409, "master_key_missing", "%s.", err);
    default:
        return admin_store_fail(c, r, err);
    }
}

static int show_one(struct admin_call *c, struct str id)
{
    _cleanup_(vault_list_freep) struct vault_list *l = NULL;
    char err[VAULT_ERR_BYTES] = "";
    int r = vault_get(c->env->vault, id, &l, err);

    if (r < 0)
        return failed(c, r, id, err);
    show(c, &l->at[0], &c->out);
    return 0;
}

static int page(struct admin_call *c, struct admin_page *p, void *ctx)
{
    _cleanup_(vault_list_freep) struct vault_list *l = NULL;
    const struct asked *q = c->query;
    char err[VAULT_ERR_BYTES] = "";
    int r = vault_list(c->env->vault, q->provider, &l, err);
    unsigned i = 0, n = 0;
    (void)ctx;

    if (r < 0)
        return failed(c, r, STR_NONE, err);
    if (p->cursor.n) { /* behind the last one shown; from the start when that one is gone */
        while (i < l->n && !str_eq(l->at[i].id, p->cursor))
            i++;
        i = i < l->n ? i + 1 : 0;
    }
    for (; i < l->n && n < p->limit; i++, n++)
        show(c, &l->at[i], p->items);
    if (i < l->n)
        p->next = arena_dup(&c->arena, l->at[i - 1].id);
    return 0;
}

static int list(struct admin_call *c)
{
    return c->env->vault ? admin_list(c, page, NULL) : no_vault(c);
}

static int get(struct admin_call *c)
{
    return c->env->vault ? show_one(c, admin_param(c, 0)) : no_vault(c);
}

/* --- changing --- */

/* What the journal gets: all that was given but the key. */
static struct str changes_of(struct admin_call *c, const struct given *g)
{
    struct buf b = {0};

    buf_init(&b, 4 * KIB);
    put_open(&b, NULL, '{');
    if (g->provider.n)
        put_str(&b, "provider", g->provider);
    if (g->name.n)
        put_str(&b, "name", g->name);
    if (g->weight)
        put_int(&b, "weight", g->weight);
    put_bool(&b, "new_value", g->api_key.n > 0);
    if (admin_gave(c, "is_active"))
        put_bool(&b, "is_active", g->is_active);
    put_close(&b, '}');
    struct str ret = arena_dup(&c->arena, buf_str(&b));
    buf_free(&b);
    return ret;
}

/* The body's bytes are not needed any more, and hold the key. */
static void wipe(struct admin_call *c, struct given *g)
{
    mem_wipe((char *)g->api_key.p, g->api_key.n);
    g->api_key = STR_NONE;
}

static int create(struct admin_call *c)
{
    struct given *g = c->body;
    char id[VAULT_ID_BYTES], err[VAULT_ERR_BYTES] = "";

    if (!c->env->vault)
        return no_vault(c);
    struct vault_new n = {.provider = g->provider,
        .name = g->name,
        .value = g->api_key,
        .weight = g->weight ? g->weight : 1,
        .is_active = !admin_gave(c, "is_active") || g->is_active};
    int r = vault_add(c->env->vault, &n, id, err);
    struct str changes = changes_of(c, g);
    wipe(c, g);
    if (r < 0)
        return failed(c, r, STR_NONE, err);
    r = show_one(c, str_of(id));
    return r < 0 ? r : admin_audit(c, "key_event", "provider_key.create", str_of(id), changes);
}

static int change(struct admin_call *c, const struct vault_change *ch, const char *action)
{
    struct given *g = c->body;
    struct str id = admin_param(c, 0), changes = changes_of(c, g);
    char err[VAULT_ERR_BYTES] = "";
    int r = vault_change(c->env->vault, id, ch, err);

    wipe(c, g);
    if (r < 0)
        return failed(c, r, id, err);
    r = show_one(c, id);
    return r < 0 ? r : admin_audit(c, "key_event", action, id, changes);
}

static int update(struct admin_call *c)
{
    struct given *g = c->body;

    if (!c->env->vault)
        return no_vault(c);
    struct vault_change ch = {.name = admin_gave(c, "name") ? g->name : STR_NONE,
        .weight = g->weight,
        .is_active = admin_gave(c, "is_active") ? g->is_active : -1};
    return change(c, &ch, "provider_key.update");
}

static int rotate(struct admin_call *c)
{
    struct given *g = c->body;

    if (!c->env->vault)
        return no_vault(c);
    struct vault_change ch = {.value = g->api_key, .is_active = -1};
    return change(c, &ch, "provider_key.rotate");
}

static int remove_key(struct admin_call *c)
{
    struct str id = admin_param(c, 0);
    char err[VAULT_ERR_BYTES] = "";

    if (!c->env->vault)
        return no_vault(c);
    int r = vault_delete(c->env->vault, id, err);
    if (r < 0)
        return failed(c, r, id, err);
    put_open(&c->out, NULL, '{');
    put_str(&c->out, "id", id);
    put_bool(&c->out, "deleted", true);
    put_close(&c->out, '}');
    return admin_audit(c, "key_event", "provider_key.delete", id, STR_NONE);
}

/* --- the test call --- */

/* A provider that no active key configures has no TLS context yet. */
static int with_tls(struct admin_call *c, struct upstream *u, struct tls_ctx **ret_own)
{
    struct tls_client_settings set = {.ca_file = c->config->upstream_ca,
        .cert_file = c->config->upstream_cert,
        .key_file = c->config->upstream_cert_key};
    char err[256];

    if (!u->https || u->origin.target.tls)
        return 0;
    u->origin.target.tls = c->config->upstream_tls;
    if (u->origin.target.tls)
        return 0;
    if (tls_client_ctx(&set, ret_own, err, sizeof err) < 0)
        return admin_fail(c, 503, "upstream_tls", "TLS towards providers: %s.", err);
    u->origin.target.tls = *ret_own;
    return 0;
}

static void put_probe(struct buf *out, const struct probe *p)
{
    put_open(out, NULL, '{');
    put_str(out, "result", str_of(probe_result_name(p->result)));
    if (p->status)
        put_int(out, "status", p->status);
    else
        put_null(out, "status");
    put_int(out, "latency_ms", p->took_ns / NS_PER_MS);
    put_str_or_null(out, "cause", str_of(p->cause));
    put_close(out, '}');
}

static int try_key(struct admin_call *c)
{
    _cleanup_(vault_list_freep) struct vault_list *l = NULL;
    _cleanup_(secret_free) struct secret value = {0};
    struct str id = admin_param(c, 0);
    char err[VAULT_ERR_BYTES] = "";
    struct tls_ctx *own = NULL;
    const struct upstream *found;
    struct probe p = {.result = PROBE_UNSUPPORTED};

    if (!c->env->vault)
        return no_vault(c);
    int r = vault_get(c->env->vault, id, &l, err);
    if (r == 0)
        r = vault_value(c->env->vault, id, &value, err);
    if (r < 0)
        return failed(c, r, id, err);
    const struct upstream_key *k = in_use(c, &l->at[0], &found);
    struct upstream u = found ? *found : (struct upstream){0};
    if (found && (r = with_tls(c, &u, &own)) < 0)
        return r;
    if (found)
        provider_probe(&u, &value, &p);
    if (p.status)
        upstream_key_report(k, p.status, 0);
    if (own) {
        http_client_close_idle(); /* made with it */
        tls_ctx_unref(own);
    }
    put_probe(&c->out, &p);
    return 0;
}

/* --- the master key --- */

static int put_state(struct admin_call *c, int64_t sealed)
{
    char id[9];

    vault_master_id(c->env->vault, id);
    put_open(&c->out, NULL, '{');
    put_str(&c->out, "master_key_id", str_of(id));
    if (sealed >= 0)
        put_int(&c->out, "sealed_anew", sealed);
    put_close(&c->out, '}');
    return 0;
}

static int state(struct admin_call *c)
{
    return c->env->vault ? put_state(c, -1) : no_vault(c);
}

static int rotate_master(struct admin_call *c)
{
    char err[VAULT_ERR_BYTES] = "", id[9];
    unsigned n = 0;

    if (!c->env->vault)
        return no_vault(c);
    int r = vault_rotate_master(c->env->vault, &n, err);
    if (r < 0)
        return failed(c, r, STR_NONE, err);
    put_state(c, n);
    vault_master_id(c->env->vault, id);
    return admin_audit(c, "key_event", "vault.rotate_master", str_of(id), STR_NONE);
}

/* --- a backup --- */

struct backup_asked {
    bool with_master_key;
};
static const struct field_row backup_fields[] = {
    {"with_master_key", FIELD_BOOL, 0, offsetof(struct backup_asked, with_master_key), 0, 0, NULL,
        NULL, "Put master.key into the archive, too.", NULL},
};
static const struct admin_schema backup_query = {
    NULL, backup_fields, ARRAY_LEN(backup_fields), sizeof(struct backup_asked)};

static int to_client(void *ctx, struct str piece)
{
    return http_reply_write(ctx, piece);
}

/* Recorded before the first byte: an archive that breaks off was begun all the same. */
static int backup(struct admin_call *c)
{
    const struct backup_asked *q = c->query;
    struct backup_settings set = {.data_dir = c->config->data_dir.p,
        .store = c->env->store,
        .with_master_key = q->with_master_key};
    struct backup_result done;
    char err[BACKUP_ERR_BYTES];
    int r = admin_audit(c, "key_event", "backup.create", STR("data"),
        q->with_master_key ? STR("{\"with_master\":true}") : STR_NONE);

    if (r < 0)
        return r;
    c->replied = true;
    r = http_reply_begin(
        c->rq, 200, STR("content-type: application/x-tar\r\n"), HTTP_LENGTH_UNKNOWN);
    if (r == 0)
        r = backup_write(&set, to_client, c->rq, &done, err);
    if (r == 0)
        return http_reply_end(c->rq, STR_NONE);
    log_msg(LOG_ERROR, "the backup broke off: %s", err);
    http_reply_abort(c->rq);
    return 0;
}

/* --- the rows --- */

static const struct field_row probe_fields[] = {
    {"result", FIELD_TEXT, 0, 0, 0, 32, NULL, NULL,
        "ok, refused, rate_limited, unreachable, unexpected or unsupported.", NULL},
    {"status", FIELD_INT, 0, 0, 100, 599, NULL, NULL, "The provider's status; null: none came.",
        NULL},
    {"latency_ms", FIELD_INT, 0, 0, 0, INT64_MAX, NULL, NULL, "How long it took.", NULL},
    {"cause", FIELD_TEXT, 0, 0, 0, 160, NULL, NULL, "Why it could not be reached, or null.", NULL},
};
static const struct admin_schema probe_schema = {
    "ProviderKey_test", probe_fields, ARRAY_LEN(probe_fields), 0};

static const struct field_row state_fields[] = {
    {"master_key_id", FIELD_TEXT, 0, 0, 0, 8, NULL, NULL,
        "The id of the master key: the first 8 hex digits of its SHA-256.", NULL},
    {"sealed_anew", FIELD_INT, 0, 0, 0, INT64_MAX, NULL, NULL,
        "How many keys a rotation sealed anew.", NULL},
};
static const struct admin_schema state_schema = {"Vault", state_fields, ARRAY_LEN(state_fields), 0};

#define KEYS "/api/admin/provider-keys"
static const struct admin_row rows[] = {
    {.method = HTTP_GET,
        .path = KEYS,
        .may = MAY_VIEW,
        .scope = SCOPE_COMMON,
        .handle = list,
        .query = &query,
        .reply = &shown_schema,
        .name = "provider_keys",
        .list = true,
        .tag = "vault",
        .summary = "The provider keys in the vault."},
    {.method = HTTP_POST,
        .path = KEYS,
        .may = MAY_ADMIN,
        .scope = SCOPE_COMMON,
        .handle = create,
        .body = &body,
        .reply = &shown_schema,
        .name = "provider_key",
        .flags = ADMIN_CREATED,
        .tag = "vault",
        .summary = "Put a provider's key into the vault."},
    {.method = HTTP_GET,
        .path = KEYS "/{id}",
        .may = MAY_VIEW,
        .scope = SCOPE_COMMON,
        .handle = get,
        .reply = &shown_schema,
        .name = "provider_key",
        .tag = "vault",
        .summary = "One of them."},
    {.method = HTTP_PATCH,
        .path = KEYS "/{id}",
        .may = MAY_ADMIN,
        .scope = SCOPE_COMMON,
        .handle = update,
        .body = &body,
        .reply = &shown_schema,
        .name = "provider_key",
        .flags = ADMIN_CHANGES,
        .tag = "vault",
        .summary = "Rename, weigh or switch it on or off."},
    {.method = HTTP_DELETE,
        .path = KEYS "/{id}",
        .may = MAY_ADMIN,
        .scope = SCOPE_COMMON,
        .handle = remove_key,
        .tag = "vault",
        .summary = "Delete it."},
    {.method = HTTP_POST,
        .path = KEYS "/{id}/rotate",
        .may = MAY_ADMIN,
        .scope = SCOPE_COMMON,
        .handle = rotate,
        .body = &rotate_body,
        .reply = &shown_schema,
        .name = "provider_key",
        .tag = "vault",
        .summary = "Give it a new value; the id stays."},
    {.method = HTTP_POST,
        .path = KEYS "/{id}/test",
        .may = MAY_ADMIN,
        .scope = SCOPE_COMMON,
        .handle = try_key,
        .reply = &probe_schema,
        .flags = ADMIN_UNRECORDED | ADMIN_BODY_OPTIONAL,
        .tag = "vault",
        .summary = "Call its provider with it, and say whether it was taken."},
    {.method = HTTP_POST,
        .path = "/api/admin/backup",
        .may = MAY_ADMIN,
        .scope = SCOPE_COMMON,
        .handle = backup,
        .query = &backup_query,
        .flags = ADMIN_BODY_OPTIONAL,
        .tag = "vault",
        .summary = "The data folder as one tar archive, made while the gateway runs."},
    {.method = HTTP_GET,
        .path = "/api/admin/vault",
        .may = MAY_VIEW,
        .scope = SCOPE_COMMON,
        .handle = state,
        .reply = &state_schema,
        .tag = "vault",
        .summary = "Which master key seals."},
    {.method = HTTP_POST,
        .path = "/api/admin/vault/rotate-master",
        .may = MAY_ADMIN,
        .scope = SCOPE_COMMON,
        .handle = rotate_master,
        .reply = &state_schema,
        .flags = ADMIN_BODY_OPTIONAL,
        .tag = "vault",
        .summary = "Seal every key under a new master key."},
};
ADMIN_ROWS(admin_vault_rows, rows);
