/*
 * The rows of provider_keys. Every change is a batch of two statements: the serial of vault_state
 * is raised on condition that the master key it was sealed under still seals, and the row is
 * written. Where that fails because a rotation or another change came first, it is done again.
 */
#include "vault/vault_int.h"

#include "base/clock.h"
#include "crypto/random.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* --- what a record may be --- */

bool vault_value_ok(struct str value)
{
    for (size_t i = 0; i < value.n; i++)
        if ((unsigned char)value.p[i] <= ' ' || value.p[i] == 127)
            return false;
    return value.n > 0 && value.n <= VAULT_VALUE_MAX;
}

bool vault_name_ok(struct str name)
{
    for (size_t i = 0; i < name.n; i++)
        if ((unsigned char)name.p[i] < ' ' || name.p[i] == 127)
            return false;
    return name.n > 0 && name.n <= VAULT_NAME_MAX && str_eq(name, str_trim(name));
}

/* As secret_hint() does: of short values nothing is shown. */
static struct str last4(struct str value, char out[static 8])
{
    _cleanup_(secret_free) struct secret s = {0};

    if (secret_set(&s, value) < 0)
        return STR("");
    secret_hint(&s, out);
    return str_from(str_of(out), 3); /* without the ellipsis */
}

/* --- reading --- */

static void fill(struct vault_record *r, const struct store_rows *rows, unsigned i)
{
    *r = (struct vault_record){
        .id = store_cell_str(rows, i, COL_ID),
        .provider = store_cell_str(rows, i, COL_PROVIDER),
        .name = store_cell_str(rows, i, COL_NAME),
        .master_id = store_cell_str(rows, i, COL_KEY_ID),
        .last4 = store_cell_str(rows, i, COL_LAST4),
        .version = store_cell_int(rows, i, COL_VERSION),
        .weight = store_cell_int(rows, i, COL_WEIGHT),
        .created_at = store_cell_int(rows, i, COL_CREATED),
        .updated_at = store_cell_int(rows, i, COL_UPDATED),
        .is_active = store_cell_int(rows, i, COL_ACTIVE) != 0,
    };
}

/* Takes rows over. */
static int make_list(struct store_rows *rows, struct vault_list **ret)
{
    unsigned n = store_rows_n(rows);
    struct vault_list *l = malloc(sizeof *l + n * sizeof l->at[0]);

    if (!l) {
        store_rows_free(rows);
        return -ENOMEM;
    }
    l->n = n;
    l->rows_ = rows;
    for (unsigned i = 0; i < n; i++)
        fill(&l->at[i], rows, i);
    *ret = l;
    return 0;
}

void vault_list_free(struct vault_list *l)
{
    if (l)
        store_rows_free(l->rows_);
    free(l);
}

int vault_list(struct vault *v, struct str provider, struct vault_list **ret, char *err)
{
    struct store_value p = store_text(provider);
    struct store_rows *rows = NULL;
    int r = store_query(v->store,
        "SELECT " VAULT_COLUMNS
        " FROM provider_keys WHERE ?1 = '' OR provider = ?1 ORDER BY created_at, id",
        &p, 1, &rows, err);

    return r < 0 ? r : make_list(rows, ret);
}

static int read_one(struct vault *v, struct str id, struct store_rows **ret, char *err)
{
    struct store_value p = store_text(id);
    struct store_rows *rows = NULL;
    int r = store_query(
        v->store, "SELECT " VAULT_COLUMNS " FROM provider_keys WHERE id = ?1", &p, 1, &rows, err);

    if (r == 0 && store_rows_n(rows) == 0) {
        store_rows_free(rows);
        return -ENOENT;
    }
    if (r == 0)
        *ret = rows;
    return r;
}

int vault_get(struct vault *v, struct str id, struct vault_list **ret, char *err)
{
    struct store_rows *rows = NULL;
    int r = read_one(v, id, &rows, err);

    return r < 0 ? r : make_list(rows, ret);
}

int vault_value(struct vault *v, struct str id, struct secret *ret, char *err)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int r = read_one(v, id, &rows, err);

    return r < 0 ? r : vault_unseal(v, rows, 0, ret, err);
}

/* --- changing --- */

/* One try of a change: what it is sealed under, and the batch. */
struct attempt {
    struct vault *v;
    struct master_key key;
    struct store_batch *batch;
    struct buf sealed;
};

static void attempt_free(struct attempt *a)
{
    mem_wipe(&a->key, sizeof a->key);
    store_batch_free(a->batch);
    buf_free(&a->sealed);
}

/* Reads who seals, and has the batch fail when that is no longer true. */
static int attempt_begin(struct attempt *a, char *err)
{
    struct vault_state st;
    int r = vault_read_state(a->v, &st, err);

    buf_init(&a->sealed, SEAL_MAX_BYTES);
    if (r == 0)
        r = vault_master(a->v, str_of(st.key_id), &a->key, err);
    if (r == 0)
        r = store_batch_new(&a->batch);
    if (r < 0)
        return r;
    struct store_value id = store_text(str_of(st.key_id));
    return store_batch_add(a->batch,
        "UPDATE vault_state SET serial = serial + 1 WHERE id = 1 AND key_id = ?1", &id, 1,
        STORE_EXPECT_ONE);
}

static int try_add(struct vault *v, const struct vault_new *n, struct str id, char *err)
{
    _cleanup_(attempt_free) struct attempt a = {.v = v};
    char hint[8];
    int64_t now = clock_wall();
    int r = attempt_begin(&a, err);

    if (r == 0)
        r = vault_seal(&a.key, id, n->provider, 1, n->value, &a.sealed);
    if (r < 0)
        return r;
    struct store_value p[] = {store_text(id), store_text(n->provider), store_text(n->name),
        store_blob(buf_str(&a.sealed)), store_int(1), store_text(str_of(a.key.id)),
        store_text(last4(n->value, hint)), store_int(n->weight), store_int(n->is_active),
        store_int(now), store_int(now)};
    r = store_batch_add(a.batch,
        "INSERT INTO provider_keys (" VAULT_COLUMNS
        ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        p, ARRAY_LEN(p), STORE_EXPECT_ONE);
    return r < 0 ? r : store_batch_run(v->store, a.batch, err);
}

static int changed(struct vault *v, int r, char *err)
{
    if (r == 0 && v->changed)
        v->changed(v->changed_ctx);
    if (r == -EAGAIN)
        vault_say(err, "the vault kept changing; try again");
    return r;
}

static int check_room(struct vault *v, char *err)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int r = store_query(v->store, "SELECT count(*) FROM provider_keys", NULL, 0, &rows, err);

    return r < 0 ? r : store_cell_int(rows, 0, 0) >= VAULT_KEYS_MAX ? -ENOSPC : 0;
}

int vault_add(
    struct vault *v, const struct vault_new *n, char ret_id[static VAULT_ID_BYTES], char *err)
{
    int r = -EAGAIN;

    if (!vault_value_ok(n->value) || !vault_name_ok(n->name) || !n->provider.n || n->weight < 1)
        return -EINVAL;
    int room = check_room(v, err);
    if (room < 0)
        return room;
    memcpy(ret_id, "pk_", 3);
    random_hex(ret_id + 3, 12);
    ret_id[VAULT_ID_BYTES - 1] = 0;
    for (unsigned i = 0; i < VAULT_TRIES && r == -EAGAIN; i++)
        r = try_add(v, n, str_of(ret_id), err);
    return changed(v, r, err);
}

/* The record as it shall be: its row, with what the change sets. */
static int add_update(
    struct attempt *a, const struct store_rows *rows, const struct vault_change *c)
{
    struct vault_record was;
    char hint[8];
    bool fresh = c->value.p != NULL;

    fill(&was, rows, 0);
    int64_t version = was.version + fresh;
    int r = fresh ? vault_seal(&a->key, was.id, was.provider, version, c->value, &a->sealed) : 0;
    if (r < 0)
        return r;
    struct store_value p[] = {store_text(was.id), store_int(was.version),
        store_text(c->name.p ? c->name : was.name),
        store_blob(fresh ? buf_str(&a->sealed) : store_cell_str(rows, 0, COL_SEALED)),
        store_int(version), store_text(fresh ? str_of(a->key.id) : was.master_id),
        store_text(fresh ? last4(c->value, hint) : was.last4),
        store_int(c->weight > 0 ? c->weight : was.weight),
        store_int(c->is_active >= 0 ? c->is_active : was.is_active), store_int(clock_wall())};
    return store_batch_add(a->batch,
        "UPDATE provider_keys SET name = ?3, sealed = ?4, version = ?5, key_id = ?6, last4 = ?7, "
        "weight = ?8, is_active = ?9, updated_at = ?10 WHERE id = ?1 AND version = ?2",
        p, ARRAY_LEN(p), STORE_EXPECT_ONE);
}

/* The row is read after vault_state, so that a rotation between the two fails the batch. */
static int try_change(struct vault *v, struct str id, const struct vault_change *c, char *err)
{
    _cleanup_(attempt_free) struct attempt a = {.v = v};
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int r = attempt_begin(&a, err);

    if (r == 0)
        r = read_one(v, id, &rows, err);
    if (r == 0)
        r = add_update(&a, rows, c);
    return r < 0 ? r : store_batch_run(v->store, a.batch, err);
}

int vault_change(struct vault *v, struct str id, const struct vault_change *c, char *err)
{
    int r = -EAGAIN;

    if ((c->value.p && !vault_value_ok(c->value)) || (c->name.p && !vault_name_ok(c->name)))
        return -EINVAL;
    for (unsigned i = 0; i < VAULT_TRIES && r == -EAGAIN; i++)
        r = try_change(v, id, c, err);
    return changed(v, r, err);
}

int vault_delete(struct vault *v, struct str id, char *err)
{
    struct store_value p = store_text(id);
    struct store_batch *b = NULL;
    int r = store_batch_new(&b);

    if (r == 0)
        r = store_batch_add(
            b, "UPDATE vault_state SET serial = serial + 1 WHERE id = 1", NULL, 0, 0);
    if (r == 0)
        r = store_batch_add(b, "DELETE FROM provider_keys WHERE id = ?1", &p, 1, STORE_EXPECT_ONE);
    if (r == 0)
        r = store_batch_run(v->store, b, err);
    store_batch_free(b);
    return changed(v, r == -EAGAIN ? -ENOENT : r, err);
}

/* --- the snapshot --- */

static void take(struct vault *v, struct vault_secrets *s, unsigned row, char *err)
{
    const struct vault_record *r = &s->list_->at[row];
    struct vault_secret *to = &s->at[s->n];

    *to =
        (struct vault_secret){.id = r->id, .provider = r->provider, .weight = (unsigned)r->weight};
    if (vault_unseal(v, s->list_->rows_, row, &to->value, err) < 0)
        s->failed++;
    else
        s->n++;
}

int vault_snapshot(struct vault *v, struct vault_secrets **ret, char *err)
{
    struct vault_list *list = NULL;
    struct vault_state st;
    int r = vault_read_state(v, &st, err);

    if (r == 0)
        r = vault_list(v, STR(""), &list, err);
    if (r < 0)
        return r;
    must(list);
    struct vault_secrets *s = calloc(1, sizeof *s + list->n * sizeof s->at[0]);
    if (!s) {
        vault_list_free(list);
        return -ENOMEM;
    }
    s->list_ = list;
    for (unsigned i = 0; i < list->n; i++)
        if (list->at[i].is_active)
            take(v, s, i, err);
    *ret = s;
    return 0;
}

void vault_secrets_free(struct vault_secrets *s)
{
    if (!s)
        return;
    for (unsigned i = 0; i < s->n; i++)
        secret_free(&s->at[i].value);
    vault_list_free(s->list_);
    free(s);
}
