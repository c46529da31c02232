/*
 * Rotation of the master key. The order makes every crash harmless:
 *
 *   1. the new key is on disk beside the old one (with the settings: both are set)
 *   2. one batch seals every record under the new key and names it in vault_state, on condition
 *      that nothing changed since the records were read; else it is done again
 *   3. from now on it seals; the old one stays on the ring, for old backups
 *
 * Before 2 all records open with the old key, after it with the new one, and both are there.
 */
#include "vault/vault_int.h"

#include <errno.h>
#include <stdio.h>

struct pass {
    struct vault *v;
    struct master_key to;
    struct store_rows *rows;
    struct store_batch *batch;
};

static void pass_free(struct pass *p)
{
    mem_wipe(&p->to, sizeof p->to);
    store_rows_free(p->rows);
    store_batch_free(p->batch);
}

static int add_record(struct pass *p, unsigned row, char *err)
{
    _cleanup_(secret_free) struct secret value = {0};
    _cleanup_(buf_free) struct buf sealed = {0};
    struct str id = store_cell_str(p->rows, row, COL_ID);
    int r = vault_unseal(p->v, p->rows, row, &value, err);

    if (r < 0)
        return r;
    buf_init(&sealed, SEAL_MAX_BYTES);
    r = vault_seal(&p->to, id, store_cell_str(p->rows, row, COL_PROVIDER),
        store_cell_int(p->rows, row, COL_VERSION), secret_reveal(&value), &sealed);
    if (r < 0)
        return r;
    struct store_value v[] = {
        store_text(id), store_blob(buf_str(&sealed)), store_text(str_of(p->to.id))};
    return store_batch_add(p->batch,
        "UPDATE provider_keys SET sealed = ?2, key_id = ?3 WHERE id = ?1", v, ARRAY_LEN(v),
        STORE_EXPECT_ONE);
}

static int fill_batch(struct pass *p, const struct vault_state *st, char *err)
{
    struct store_value v[] = {store_text(str_of(p->to.id)), store_int(st->serial)};
    int r = store_batch_new(&p->batch);

    if (r == 0)
        r = store_batch_add(p->batch,
            "UPDATE vault_state SET key_id = ?1, serial = serial + 1 WHERE id = 1 AND serial = ?2",
            v, ARRAY_LEN(v), STORE_EXPECT_ONE);
    for (unsigned i = 0; r == 0 && i < store_rows_n(p->rows); i++)
        r = add_record(p, i, err);
    return r;
}

/* -EAGAIN: something changed meanwhile. */
static int pass(struct vault *v, const struct master_key *to, unsigned *ret_records, char *err)
{
    _cleanup_(pass_free) struct pass p = {.v = v, .to = *to};
    struct vault_state st;
    int r = vault_read_state(v, &st, err);

    if (r == 0)
        r = store_query(
            v->store, "SELECT " VAULT_COLUMNS " FROM provider_keys", NULL, 0, &p.rows, err);
    if (r == 0)
        r = fill_batch(&p, &st, err);
    if (r == 0)
        r = store_batch_run(v->store, p.batch, err);
    if (r == 0 && ret_records)
        *ret_records = store_rows_n(p.rows);
    return r;
}

static int seal_all(struct vault *v, const struct master_key *to, unsigned *ret_records, char *err)
{
    struct vault_state st;
    int r = -EAGAIN;

    for (unsigned i = 0; i < VAULT_TRIES && r == -EAGAIN; i++)
        r = pass(v, to, ret_records, err);
    if (r == -EAGAIN)
        vault_say(err, "the vault kept changing while its master key was rotated; try again");
    int s = vault_read_state(v, &st, r < 0 ? NULL : err);
    return r < 0 ? r : s;
}

/* --- which key --- */

/* The ring's keys that no record needs give way; those in use are never dropped. */
static int in_use(struct vault *v, struct str id, bool *ret, char *err)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    struct store_value p = store_text(id);
    int r = store_query(
        v->store, "SELECT id FROM provider_keys WHERE key_id = ?1 LIMIT 1", &p, 1, &rows, err);

    *ret = r == 0 && store_rows_n(rows) > 0;
    return r;
}

static int write_ring(struct vault *v, const struct ring *next, char *err)
{
    char why[RING_ERROR_N];
    int r = ring_write(next, v->dir, why);

    if (r < 0) {
        vault_say(err, "%s", why);
        return r;
    }
    pthread_mutex_lock(&v->lock);
    v->ring = *next;
    pthread_mutex_unlock(&v->lock);
    return 0;
}

static int make_next(struct vault *v, struct master_key *ret, char *err)
{
    struct ring next;
    bool used = false;
    int r;

    pthread_mutex_lock(&v->lock);
    next = v->ring;
    pthread_mutex_unlock(&v->lock);
    if (next.n == RING_KEYS)
        if ((r = in_use(v, str_of(next.at[RING_KEYS - 1].id), &used, err)) < 0)
            return r;
    if (used) {
        vault_say(err, "a record is still sealed under the oldest master key");
        return -EBUSY;
    }
    master_key_make(ret);
    ring_put_first(&next, ret);
    r = write_ring(v, &next, err);
    ring_wipe(&next);
    return r;
}

/* The key at the ring's head, when it does not seal yet: a rotation was cut short. */
static bool pending(struct vault *v, struct master_key *ret)
{
    pthread_mutex_lock(&v->lock);
    bool is = strcmp(v->ring.at[0].id, v->sealing) != 0;
    if (is)
        *ret = v->ring.at[0];
    pthread_mutex_unlock(&v->lock);
    return is;
}

static int choose(struct vault *v, struct master_key *ret, char *err)
{
    char sealing[MASTER_ID];

    vault_master_id(v, sealing);
    if (!v->from_settings)
        return pending(v, ret) ? 0 : make_next(v, ret, err);
    if (v->has_next && strcmp(v->next_id, sealing))
        return vault_master(v, str_of(v->next_id), ret, err);
    if (!v->has_next && pending(v, ret)) /* from the file to the settings' key */
        return 0;
    vault_say(err, v->has_next ? "SMARTFLOW_MASTER_KEY_NEXT seals already: make it "
                                 "SMARTFLOW_MASTER_KEY, and set another to rotate to"
                               : "set SMARTFLOW_MASTER_KEY_NEXT to the new master key on every "
                                 "node, restart them one by one, then rotate");
    return -ENOKEY;
}

int vault_rotate_master(struct vault *v, unsigned *ret_records, char *err)
{
    struct vault_state st;
    struct master_key to;
    int r = vault_read_state(v, &st, err);

    if (r == 0)
        r = choose(v, &to, err);
    if (r < 0)
        return r;
    r = seal_all(v, &to, ret_records, err);
    mem_wipe(&to, sizeof to);
    if (r == 0 && v->changed)
        v->changed(v->changed_ctx);
    return r;
}
