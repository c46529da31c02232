/*
 * Writing records. Every write is one batch: first the change's number, which is the record's
 * version, then the record. What a write needs to know of other records (a team's organisation) is
 * asked of the catalogue, right after it was brought up to date.
 */
#include "keys/registry_int.h"

#include "base/limits.h"
#include "base/macros.h"
#include "crypto/encode.h"
#include "crypto/random.h"
#include "keys/limits.h"

#include <errno.h>
#include <stdio.h>

#define TRIES 5 /* of a change that another one came before */

/* --- batches --- */

struct str change_id(enum subject_kind kind, const struct record *rec, struct arena *a)
{
    if (kind != SUBJECT_KEY)
        return rec->id;
    char *hex = arena_alloc(a, HEX_SIZE(32));
    if (!hex)
        return STR_NONE;
    hex_encode(str_at((const char *)rec->hash, 32), hex);
    return str_at(hex, HEX_SIZE(32));
}

static int add_insert(struct registry *r, enum subject_kind kind, const struct record *rec,
    struct store_batch *b, struct arena *a)
{
    struct store_value v[COLUMNS_MAX + 2];
    struct str id = change_id(kind, rec, a);
    int n = row_values(kind, rec, false, v, a), err;

    if (n < 0 || !id.p)
        return -ENOMEM;
    if ((err = store_batch_add_change(b, record_type(kind)->table, id)) < 0)
        return err;
    return store_batch_add(b, r->sql[kind].insert, v, (unsigned)n, STORE_EXPECT_ONE);
}

static int add_update(struct registry *r, enum subject_kind kind, const struct record *rec,
    bool superseded, struct store_batch *b, struct arena *a)
{
    struct store_value v[COLUMNS_MAX + 2];
    struct str id = change_id(kind, rec, a);
    int n = row_values(kind, rec, superseded, v, a), err;

    if (n < 0 || !id.p)
        return -ENOMEM;
    v[n] = store_text(rec->id);
    v[n + 1] = store_int(rec->version);
    if ((err = store_batch_add_change(b, record_type(kind)->table, id)) < 0)
        return err;
    return store_batch_add(b, r->sql[kind].update, v, (unsigned)n + 2, STORE_EXPECT_ONE);
}

/* Runs the batch, and brings this process and the others up to date. */
static int commit(struct registry *r, struct store_batch *b)
{
    int n = store_batch_run(r->store, b, NULL);

    if (n < 0)
        return n;
    registry_refresh(r);
    if (r->shared)
        shared_publish(r->shared, REGISTRY_CHANNEL, STR("changed"));
    return 0;
}

static void batch_freep(struct store_batch **b)
{
    store_batch_free(*b);
}

/* --- where a record belongs --- */

static int no_such_parent(struct error *e, struct arena *a, const char *param, const char *what)
{
    *e = (struct error){.status = 400,
        .code = STR("invalid_request_error"),
        .param = str_of(param),
        .message = arena_printf(a, "There is no %s of this id.", what)};
    return -EINVAL;
}

static int other_org(struct error *e, struct arena *a, const char *param, const char *what)
{
    *e = (struct error){.status = 400,
        .code = STR("invalid_request_error"),
        .param = str_of(param),
        .message = arena_printf(a,
            "This %s belongs to another organisation: all that a key belongs to must be of one.",
            what)};
    return -EINVAL;
}

/* The organisation of what this id names; a copy. */
static int org_of(struct registry *r, enum subject_kind kind, struct str id, const char *param,
    struct str *ret, struct arena *a, struct error *e)
{
    const struct subject *s = catalog_subject(r->catalog, kind, id);

    if (!s)
        return no_such_parent(e, a, param, record_type(kind)->name);
    struct str org = kind == SUBJECT_ORG ? s->id : s->org_id;
    *ret = org.n ? arena_dup(a, org) : STR_NONE;
    subject_unref(s);
    return 0;
}

/* Counters of one call lie side by side under their organisation's name, so all levels must agree
 * on it. A record that says nothing gets the one of its team or user. */
static int check_links(struct registry *r, enum subject_kind kind, struct record *rec, bool creates,
    struct arena *a, struct error *e)
{
    struct str org = rec->org_id;
    bool has_user = kind == SUBJECT_KEY && rec->user_id.n, has_team = rec->team_id.n > 0;
    int n;

    if (rec->org_id.n && (n = org_of(r, SUBJECT_ORG, rec->org_id, "org_id", &org, a, e)) < 0)
        return n;
    if (has_team && (n = org_of(r, SUBJECT_TEAM, rec->team_id, "team_id", &org, a, e)) < 0)
        return n;
    if (has_team && (rec->org_id.n || !creates) && !str_eq(org, rec->org_id))
        return other_org(e, a, "team_id", "team");
    rec->org_id = creates ? org : rec->org_id;
    if (has_user && (n = org_of(r, SUBJECT_USER, rec->user_id, "user_id", &org, a, e)) < 0)
        return n;
    if (has_user && (rec->org_id.n || has_team || !creates) && !str_eq(org, rec->org_id))
        return other_org(e, a, "user_id", "user");
    rec->org_id = creates ? org : rec->org_id;
    return 0;
}

/* --- create --- */

static int make_secret(struct record *rec, struct str *ret, struct arena *a)
{
    uint8_t random[24];
    char *text = arena_alloc(a, 6 + HEX_SIZE(sizeof random));
    char *id = arena_alloc(a, 17);
    struct virtual_key k;

    if (!text || !id)
        return -ENOMEM;
    crypto_random(random, sizeof random);
    memcpy(text, "sk-sf-", 6);
    hex_encode(str_at((const char *)random, sizeof random), text + 6);
    mem_wipe(random, sizeof random);
    *ret = str_at(text, 6 + HEX_SIZE(sizeof random));
    vkey_set_secret(&k, *ret, id);
    memcpy(rec->hash, k.hash, sizeof rec->hash);
    rec->id = str_at(id, 16);
    rec->last4 = str_from(*ret, ret->n - 4);
    return 0;
}

static int make_id(enum subject_kind kind, struct record *rec, struct arena *a)
{
    char hex[16];

    if (!record_type(kind)->prefix)
        return 0; /* given */
    random_hex(hex, 8);
    rec->id = arena_printf(a, "%s%.16s", record_type(kind)->prefix, hex);
    return rec->id.p ? 0 : -ENOMEM;
}

static int insert(struct registry *r, enum subject_kind kind, const struct record *rec,
    struct arena *a, struct error *e)
{
    _cleanup_(batch_freep) struct store_batch *b = NULL;
    int n = store_batch_new(&b);

    if (n == 0)
        n = add_insert(r, kind, rec, b, a);
    if (n == 0)
        n = commit(r, b);
    return n < 0 ? store_failed(n, kind, e) : 0;
}

int registry_create(struct registry *r, enum subject_kind kind, struct str json, struct record *ret,
    struct str *ret_secret, struct arena *a, struct error *e)
{
    const struct record_type *t = record_type(kind);
    struct record rec = {.is_active = true};
    uint64_t given;
    struct str secret = STR_NONE;
    int n = fields_parse(t->fields, t->fields_n, FIELD_CREATE, json, &rec, &given, a, e);

    if (n < 0)
        return n;
    registry_refresh(r);
    if ((n = check_links(r, kind, &rec, true, a, e)) < 0)
        return n;
    n = kind == SUBJECT_KEY ? make_secret(&rec, &secret, a) : make_id(kind, &rec, a);
    if (n < 0)
        return out_of_memory(e);
    rec.created_at = rec.updated_at = clock_wall();
    if ((n = insert(r, kind, &rec, a, e)) < 0)
        return n;
    if (ret_secret)
        *ret_secret = secret;
    return stored_get(r, kind, rec.id, ret, NULL, a, e);
}

/* --- change --- */

static int read_only(struct error *e)
{
    *e = (struct error){.status = 403,
        .code = STR("not_allowed"),
        .message = STR("This key is in the configuration file, and can be changed there alone.")};
    return -EPERM;
}

/* The record as it is now, to be changed. */
static int get_to_change(struct registry *r, enum subject_kind kind, struct str id,
    struct record *ret, bool *superseded, struct arena *a, struct error *e)
{
    int n = stored_get(r, kind, id, ret, superseded, a, e);

    if (n == -ENOENT && kind == SUBJECT_KEY && registry_get(r, kind, id, ret, a, e) == 0)
        return read_only(e);
    return n;
}

static int update_once(struct registry *r, enum subject_kind kind, struct str id, struct str json,
    int64_t version, struct record *rec, struct arena *a, struct error *e)
{
    _cleanup_(batch_freep) struct store_batch *b = NULL;
    const struct record_type *t = record_type(kind);
    bool superseded = false;
    uint64_t given;
    int n = get_to_change(r, kind, id, rec, &superseded, a, e);

    if (n < 0)
        return n;
    if (version && version != rec->version)
        return store_failed(-EAGAIN, kind, e);
    if ((n = fields_parse(t->fields, t->fields_n, FIELD_UPDATE, json, rec, &given, a, e)) < 0 ||
        (n = check_links(r, kind, rec, false, a, e)) < 0)
        return n;
    rec->updated_at = clock_wall();
    n = store_batch_new(&b);
    if (n == 0)
        n = add_update(r, kind, rec, superseded, b, a);
    if (n == 0)
        n = commit(r, b);
    return n < 0 ? store_failed(n, kind, e) : 0;
}

int registry_update(struct registry *r, enum subject_kind kind, struct str id, struct str json,
    int64_t version, struct record *ret, struct arena *a, struct error *e)
{
    struct record rec;
    int n = -EAGAIN;

    registry_refresh(r);
    for (int i = 0; i < TRIES && n == -EAGAIN; i++) {
        n = update_once(r, kind, id, json, version, &rec, a, e);
        if (version)
            break;
    }
    return n < 0 ? n : stored_get(r, kind, rec.id, ret, NULL, a, e);
}

int registry_revoke(
    struct registry *r, struct str id, struct record *ret, struct arena *a, struct error *e)
{
    return registry_update(r, SUBJECT_KEY, id, STR("{\"is_active\":false}"), 0, ret, a, e);
}

/* --- delete --- */

static int count_where(
    struct registry *r, const char *sql, struct str id, int64_t *ret, struct error *e)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    struct store_value v = store_text(id);
    int n = store_query(r->store, sql, &v, 1, &rows, NULL);

    if (n < 0)
        return store_failed(n, SUBJECT_KEY, e);
    *ret = store_rows_n(rows) ? store_cell_int(rows, 0, 0) : 0;
    return 0;
}

static int check_unused(struct registry *r, enum subject_kind kind, struct str id, struct error *e)
{
    static const char *const sql[SUBJECT_KINDS] = {
        [SUBJECT_ORG] = ("SELECT (SELECT COUNT(*) FROM vkeys WHERE org_id = ?1 AND is_active = 1) +"
                         " (SELECT COUNT(*) FROM teams WHERE org_id = ?1) +"
                         " (SELECT COUNT(*) FROM users WHERE org_id = ?1)"),
        [SUBJECT_TEAM] = ("SELECT (SELECT COUNT(*) FROM vkeys WHERE team_id = ?1 AND is_active = 1)"
                          " + (SELECT COUNT(*) FROM users WHERE team_id = ?1)"),
        [SUBJECT_USER] = "SELECT COUNT(*) FROM vkeys WHERE user_id = ?1 AND is_active = 1",
    };
    int64_t n = 0;
    int err = sql[kind] ? count_where(r, sql[kind], id, &n, e) : 0;

    if (err < 0 || n == 0)
        return err;
    *e = (struct error){.status = 409,
        .code = STR("in_use"),
        .message = STR("It still has active keys, teams or users. Revoke or delete these first.")};
    return -EEXIST;
}

int registry_delete(struct registry *r, enum subject_kind kind, struct str id, struct record *ret,
    struct arena *a, struct error *e)
{
    _cleanup_(batch_freep) struct store_batch *b = NULL;
    bool superseded;
    int n = get_to_change(r, kind, id, ret, &superseded, a, e);

    if (n < 0 || (n = check_unused(r, kind, ret->id, e)) < 0)
        return n;
    struct str sql = arena_printf(a, "DELETE FROM %s WHERE id = ?1", record_type(kind)->table);
    struct str change = change_id(kind, ret, a);
    struct store_value v = store_text(ret->id);
    if (!sql.p || !change.p)
        return out_of_memory(e);
    n = store_batch_new(&b);
    if (n == 0)
        n = store_batch_add_change(b, record_type(kind)->table, change);
    if (n == 0)
        n = store_batch_add(b, sql.p, &v, 1, STORE_EXPECT_ONE);
    if (n == 0)
        n = commit(r, b);
    if (n == -EAGAIN)
        return not_found(kind, e); /* another was faster */
    return n < 0 ? store_failed(n, kind, e) : 0;
}

/* --- rotate --- */

static int cannot_rotate(struct error *e)
{
    *e = (struct error){.status = 409,
        .code = STR("not_active"),
        .message = STR("Only a key that is active and was not rotated before can be rotated.")};
    return -EEXIST;
}

/* The new key: the old one's fields, and what is given laid over them. */
static int make_successor(struct registry *r, const struct record *old, struct str json,
    struct record *rec, struct str *secret, struct arena *a, struct error *e)
{
    const struct record_type *t = record_type(SUBJECT_KEY);
    uint64_t given;
    int n;

    *rec = *old;
    rec->rotated_from = old->id;
    if (json.n &&
        (n = fields_parse(t->fields, t->fields_n, FIELD_UPDATE, json, rec, &given, a, e)) < 0)
        return n;
    if ((n = check_links(r, SUBJECT_KEY, rec, false, a, e)) < 0)
        return n;
    rec->created_at = rec->updated_at = clock_wall();
    return make_secret(rec, secret, a) < 0 ? out_of_memory(e) : 0;
}

/* In this order: the old one leaves its name to the new one. */
static int write_rotation(struct registry *r, const struct record *old, const struct record *rec,
    struct arena *a, struct error *e)
{
    _cleanup_(batch_freep) struct store_batch *b = NULL;
    int n = store_batch_new(&b);

    if (n == 0)
        n = add_update(r, SUBJECT_KEY, old, true, b, a);
    if (n == 0)
        n = add_insert(r, SUBJECT_KEY, rec, b, a);
    if (n == 0)
        n = commit(r, b);
    return n < 0 ? store_failed(n, SUBJECT_KEY, e) : 0;
}

/* What the old key spent in the windows that run counts for the new one as well, so that a rotation
 * is no way to a fresh budget. */
static int carry_spend(struct registry *r, const struct record *old, const struct record *rec)
{
    _cleanup_(buf_free) struct buf from = {.max = 512}, to = {.max = 512};
    int64_t now = clock_wall(), used, held;
    int n = 0;

    for (int p = 0; r->shared && n == 0 && p < BUDGET_PERIODS; p++) {
        enum budget_period period = (enum budget_period)p;
        buf_clear(&from);
        buf_clear(&to);
        limits_counter_of(SUBJECT_KEY, old->org_id, old->id, period, now, &from);
        int64_t end = limits_counter_of(SUBJECT_KEY, rec->org_id, rec->id, period, now, &to);
        spend_read(r, old, period, buf_str(&from), &used, &held);
        n = counter_adjust(r, buf_str(&to), used, end);
    }
    return n;
}

int registry_rotate(struct registry *r, struct str id, int64_t grace, struct str json,
    struct record *ret, struct str *ret_secret, struct arena *a, struct error *e)
{
    struct record old, rec;
    bool superseded;
    int64_t now = clock_wall();

    registry_refresh(r);
    int n = get_to_change(r, SUBJECT_KEY, id, &old, &superseded, a, e);
    if (n < 0)
        return n;
    if (!old.is_active || superseded || (old.expires_at && old.expires_at <= now))
        return cannot_rotate(e);
    if ((n = make_successor(r, &old, json, &rec, ret_secret, a, e)) < 0)
        return n;
    old.is_active = grace > 0;
    old.updated_at = now;
    if (!old.expires_at || old.expires_at > now + grace)
        old.expires_at = now + grace;
    if ((n = write_rotation(r, &old, &rec, a, e)) < 0)
        return n;
    if ((n = carry_spend(r, &old, &rec)) < 0)
        return store_failed(n, SUBJECT_KEY, e);
    return stored_get(r, SUBJECT_KEY, rec.id, ret, NULL, a, e);
}
