/*
 * Opening the vault, and the master keys at work. The store says by vault_state which of them
 * seals; the ring says which ones this node has. A node that meets an id it does not know looks at
 * its file again: another node that shares it may have rotated.
 */
#include "crypto/digest.h"
#include "vault/vault_int.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void vault_say(char *err, const char *fmt, ...)
{
    va_list ap;

    if (!err)
        return;
    va_start(ap, fmt);
    vsnprintf(err, VAULT_ERR_BYTES, fmt, ap);
    va_end(ap);
}

/* --- the ring --- */

static int look_at_file(struct vault *v, char *err)
{
    char why[RING_ERROR_N];
    struct ring r = {0};
    int e = ring_read(&r, v->dir, why);

    if (e < 0) {
        vault_say(err, "%s", why);
        return e;
    }
    pthread_mutex_lock(&v->lock);
    if (!v->from_settings)
        v->ring = r; /* in the file's order: its first one seals */
    for (unsigned i = 0; i < r.n; i++)
        ring_add(&v->ring, &r.at[i]);
    pthread_mutex_unlock(&v->lock);
    ring_wipe(&r);
    return 0;
}

static bool copy_key(struct vault *v, struct str id, struct master_key *ret)
{
    pthread_mutex_lock(&v->lock);
    const struct master_key *k = ring_find(&v->ring, id);
    if (k)
        *ret = *k;
    pthread_mutex_unlock(&v->lock);
    return k != NULL;
}

int vault_master(struct vault *v, struct str id, struct master_key *ret, char *err)
{
    if (copy_key(v, id, ret))
        return 0;
    if (look_at_file(v, NULL) == 0 && copy_key(v, id, ret))
        return 0;
    vault_say(err,
        "the vault is sealed under master key " STR_FMT ", which this node does not have: set %s",
        (int)MIN(id.n, MASTER_ID - 1), id.p,
        v->from_settings ? "SMARTFLOW_MASTER_KEY or SMARTFLOW_MASTER_KEY_NEXT to it"
                         : "SMARTFLOW_MASTER_KEY to it, or put its " RING_FILE
                           " into the data folder");
    return -ENOKEY;
}

/* --- who seals --- */

int vault_read_state(struct vault *v, struct vault_state *ret, char *err)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int r = store_query(
        v->store, "SELECT key_id, serial FROM vault_state WHERE id = 1", NULL, 0, &rows, err);

    if (r < 0)
        return r;
    if (store_rows_n(rows) == 0)
        return -ENOENT;
    struct str id = store_cell_str(rows, 0, 0);
    snprintf(ret->key_id, sizeof ret->key_id, STR_FMT, (int)MIN(id.n, MASTER_ID - 1), id.p);
    ret->serial = store_cell_int(rows, 0, 1);
    pthread_mutex_lock(&v->lock);
    if (ring_find(&v->ring, str_of(ret->key_id)))
        memcpy(v->sealing, ret->key_id, sizeof v->sealing);
    pthread_mutex_unlock(&v->lock);
    return 0;
}

void vault_master_id(struct vault *v, char out[static 9])
{
    pthread_mutex_lock(&v->lock);
    memcpy(out, v->sealing, MASTER_ID);
    pthread_mutex_unlock(&v->lock);
}

void vault_derive(struct vault *v, const char *label, uint8_t out[static 32])
{
    struct str parts[] = {STR("smartflow derived key\n"), str_of(label)};
    char id[MASTER_ID];
    struct master_key k;

    vault_master_id(v, id);
    must(copy_key(v, str_of(id), &k)); /* what seals is always on the ring */
    hmac_sha256_parts(str_at((const char *)k.key, sizeof k.key), parts, ARRAY_LEN(parts), out);
    mem_wipe(&k, sizeof k);
}

/* --- values --- */

/* What a sealed value is bound to. */
static struct str label_of(
    char room[static 256], struct str id, struct str provider, int64_t version)
{
    int n = snprintf(room, 256, "provider_keys\n%.*s\n%.*s\n%lld", (int)MIN(id.n, 64), id.p,
        (int)MIN(provider.n, 64), provider.p, (long long)version);

    return str_at(room, (size_t)n);
}

int vault_seal(const struct master_key *k, struct str id, struct str provider, int64_t version,
    struct str value, struct buf *out)
{
    char room[256];

    return seal(k->key, label_of(room, id, provider, version), value, out);
}

int vault_unseal(
    struct vault *v, const struct store_rows *rows, unsigned row, struct secret *ret, char *err)
{
    struct str id = store_cell_str(rows, row, COL_ID);
    struct master_key k;
    char room[256];
    int r = vault_master(v, store_cell_str(rows, row, COL_KEY_ID), &k, err);

    if (r < 0)
        return r;
    r = seal_open(k.key,
        label_of(room, id, store_cell_str(rows, row, COL_PROVIDER),
            store_cell_int(rows, row, COL_VERSION)),
        store_cell_str(rows, row, COL_SEALED), ret);
    mem_wipe(&k, sizeof k);
    if (r == -EBADMSG)
        vault_say(err,
            "the provider key " STR_FMT " does not open: its row was changed, or put in "
            "another's place; give it its value again",
            (int)MIN(id.n, 64), id.p);
    return r;
}

/* --- opening --- */

static int add_setting(
    struct vault *v, const char *name, const struct secret *s, char *ret_id, char *err)
{
    struct master_key k;

    if (!s || !secret_is_set(s))
        return 0;
    if (master_key_parse(secret_reveal(s), &k) < 0) {
        vault_say(err,
            "%s must be 32 bytes as 64 hex digits or in base64 (make one with: openssl "
            "rand -hex 32)",
            name);
        return -EINVAL;
    }
    ring_add(&v->ring, &k);
    if (ret_id)
        memcpy(ret_id, k.id, MASTER_ID);
    mem_wipe(&k, sizeof k);
    return 1;
}

/* The settings' keys come first; the file's open what was sealed before they were set. */
static int fill_ring(struct vault *v, const struct vault_settings *set, char *err)
{
    int r = add_setting(v, "SMARTFLOW_MASTER_KEY", set->master, NULL, err);

    if (r < 0)
        return r;
    v->from_settings = r > 0;
    if ((r = add_setting(v, "SMARTFLOW_MASTER_KEY_NEXT", set->next, v->next_id, err)) < 0)
        return r;
    v->has_next = r > 0;
    if (v->has_next && !v->from_settings) {
        vault_say(err, "SMARTFLOW_MASTER_KEY_NEXT is set without SMARTFLOW_MASTER_KEY");
        return -EINVAL;
    }
    r = look_at_file(v, err);
    return r == -ENOENT ? 0 : r;
}

static int count_records(struct vault *v, int64_t *ret, char *err)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int r = store_query(v->store, "SELECT count(*) FROM provider_keys", NULL, 0, &rows, err);

    *ret = r < 0 ? 0 : store_cell_int(rows, 0, 0);
    return r;
}

static int make_file(struct vault *v, char *err)
{
    char why[RING_ERROR_N];
    struct master_key k;

    master_key_make(&k);
    ring_add(&v->ring, &k);
    mem_wipe(&k, sizeof k);
    int r = ring_write(&v->ring, v->dir, why);
    if (r < 0)
        vault_say(err, "%s", why);
    return r;
}

/* The first node, or one whose vault is empty, says which key seals from now on. */
static int claim(struct vault *v, char *err)
{
    struct store_value id = store_text(str_of(v->ring.at[0].id));

    return store_exec(v->store,
        "INSERT INTO vault_state (id, key_id, serial) VALUES (1, ?1, 1) "
        "ON CONFLICT (id) DO UPDATE SET key_id = excluded.key_id, serial = vault_state.serial + 1 "
        "WHERE NOT EXISTS (SELECT 1 FROM provider_keys)",
        &id, 1, NULL, err);
}

static int settle_state(struct vault *v, char *err)
{
    struct vault_state st;
    struct master_key k;
    int64_t records;
    int r = count_records(v, &records, err);

    if (r < 0)
        return r;
    r = vault_read_state(v, &st, err);
    if (r < 0 && r != -ENOENT)
        return r;
    bool known = r == 0;
    const struct master_key *seals = known ? ring_find(&v->ring, str_of(st.key_id)) : NULL;
    /* An empty vault goes from the file's key to that of the settings by itself. */
    if (seals && (records || !v->from_settings || seals < &v->ring.at[1 + v->has_next]))
        return 0;
    if (known && !seals && records)
        return vault_master(v, str_of(st.key_id), &k, err); /* says what is missing */
    if (!v->ring.n && (r = make_file(v, err)) < 0)
        return r;
    if ((r = claim(v, err)) < 0 || (r = vault_read_state(v, &st, err)) < 0)
        return r;
    r = vault_master(v, str_of(st.key_id), &k, err); /* another node may have been faster */
    mem_wipe(&k, sizeof k);
    return r;
}

/* A rotation of the file's key that was cut short between the file and the store. */
static int finish_rotation(struct vault *v, char *err)
{
    if (v->from_settings || !strcmp(v->ring.at[0].id, v->sealing))
        return 0;
    return vault_rotate_master(v, NULL, err);
}

int vault_open(const struct vault_settings *set, struct vault **ret, char *err)
{
    struct vault *v = calloc(1, sizeof *v);
    int r;

    if (!v || !(v->dir = str_dup(set->data_dir))) {
        free(v);
        return -ENOMEM;
    }
    v->store = set->store;
    pthread_mutex_init(&v->lock, NULL);
    r = fill_ring(v, set, err);
    if (r == 0)
        r = settle_state(v, err);
    if (r == 0)
        r = finish_rotation(v, err);
    if (r < 0) {
        vault_close(v);
        return r;
    }
    *ret = v;
    return 0;
}

void vault_close(struct vault *v)
{
    if (!v)
        return;
    ring_wipe(&v->ring);
    pthread_mutex_destroy(&v->lock);
    free(v->dir);
    free(v);
}

void vault_on_change(struct vault *v, void (*fn)(void *ctx), void *ctx)
{
    v->changed = fn;
    v->changed_ctx = ctx;
}
