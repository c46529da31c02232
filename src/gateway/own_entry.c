/*
 * The journal's entries of what a batch cost: one for each of its models, as of a call that was
 * made when the batch was booked. Its id comes from the batch's id and that time, so that whoever
 * books a batch again, after a crash, finds the entries that are there. Suspends.
 */
#include "gateway/own.h"

#include "crypto/digest.h"
#include "crypto/encode.h"
#include "gateway/parts.h"
#include "journal/payload.h"
#include "keys/charge.h"

#include <stdio.h>
#include <stdlib.h>

/* A UUID of version 7: the time, and what only this entry has. */
static void entry_id(struct str batch, unsigned i, int64_t at, char out[static 37])
{
    uint64_t ms = (uint64_t)(at / NS_PER_MS);
    const struct str parts_of[] = {batch, str_at((const char *)&i, sizeof i)};
    uint8_t hash[SHA256_BYTES];
    char hex[2 * SHA256_BYTES];

    sha256_parts(parts_of, ARRAY_LEN(parts_of), hash);
    hex_encode(str_at((const char *)hash, sizeof hash), hex);
    snprintf(out, 37, "%08x-%04x-7%.3s-%c%.3s-%.12s", (unsigned)(ms >> 16), (unsigned)(ms & 0xffff),
        hex, "89ab"[hash[31] & 3], hex + 3, hex + 6);
}

/* 1, 0, or the store's error. */
static int has_entry(struct str batch, unsigned i, int64_t at)
{
    char id[37];
    struct store_rows *rows = NULL;

    entry_id(batch, i, at, id);
    const struct store_value v[] = {store_int(at), store_text(str_of(id))};
    int r = store_query(
        parts.store, "SELECT 1 FROM logs WHERE ts = ?1 AND request_id = ?2", v, 2, &rows, NULL);
    if (r == 0)
        r = store_rows_n(rows) > 0;
    store_rows_free(rows);
    return r;
}

static void put_tags(struct payload *p, const struct virtual_key *k)
{
    if (!k || !k->tags.n)
        return;
    payload_array(p, "tags");
    for (unsigned i = 0; i < k->tags.n; i++)
        payload_item_str(p, k->tags.at[i]);
    payload_close(p);
}

static void put_scopes(struct payload *p, const struct charge *c)
{
    _cleanup_(buf_free) struct buf list = {0};
    struct str key, name, expiry;
    uint64_t at_end;

    buf_init(&list, 16 * KIB);
    charge_scopes(c, &list);
    size_t at = json_inside(buf_str(&list));
    if (!at || list.err)
        return;
    payload_array(p, "scopes");
    while (json_next(buf_str(&list), &at, &key, &name) &&
           json_next(buf_str(&list), &at, &key, &expiry)) {
        payload_item_str(p, str_at(name.p + 1, name.n - 2));
        json_u64(expiry, &at_end);
        payload_item_int(p, (int64_t)at_end);
    }
    payload_close(p);
}

static enum endpoint_kind endpoint_of(enum owned_kind batch)
{
    return batch == OWNED_MESSAGE_BATCH  ? KIND_MESSAGE_BATCHES
           : batch == OWNED_GEMINI_BATCH ? KIND_GEMINI_BATCHES
                                         : KIND_BATCHES;
}

static int write_entry(const struct owned *o, const struct own_model *m, unsigned i,
    const struct charge *c, struct buf *out)
{
    const struct usage *u = &m->usage;
    struct payload p;
    char id[37];

    entry_id(o->id, i, c->at, id);
    payload_begin(&p, out);
    payload_some_str(&p, "batch", o->id);
    payload_some_int(&p, "cache_read", (int64_t)u->cache_read);
    payload_some_int(&p, "cache_write", (int64_t)(u->cache_write_5m + u->cache_write_1h));
    payload_int(&p, "charged", c->nano);
    if (m->nano >= 0)
        payload_int(&p, "cost", m->nano);
    payload_some_str(&p, "customer", o->customer);
    payload_str(&p, "endpoint", endpoint_kind_name(endpoint_of(o->kind)));
    payload_str(&p, "event", STR("request"));
    payload_str(&p, "id", str_of(id));
    payload_int(&p, "in", (int64_t)usage_input_total(u));
    payload_some_str(&p, "key", o->key);
    payload_some_str(&p, "model", str_of(m->model));
    payload_some_str(&p, "org", o->org);
    payload_int(&p, "out", (int64_t)usage_output_total(u));
    payload_str(&p, "outcome", STR("ok"));
    payload_str(&p, "phase", STR("outcome"));
    payload_some_str(&p, "provider", o->provider);
    payload_some_int(&p, "reasoning", (int64_t)u->reasoning);
    payload_int(&p, "requests", m->calls);
    put_scopes(&p, c);
    payload_int(&p, "status", 200);
    put_tags(&p, c->key);
    payload_some_str(&p, "team", o->team);
    payload_int(&p, "ts", c->at);
    payload_some_str(&p, "user", o->user);
    return payload_end(&p);
}

/* The key's record as it is now: a reference, NULL where it is gone. */
static const struct virtual_key *key_of(struct str id)
{
    const struct store_value v = store_text(id);
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    const struct virtual_key *k;
    uint8_t hash[32];

    for (size_t at = 0; (k = catalog_next_config_key(parts.catalog, &at));) {
        if (str_eq(k->subject.id, id))
            return k;
        vkey_unref(k);
    }
    if (store_query(parts.store, "SELECT hash FROM vkeys WHERE id = ?1", &v, 1, &rows, NULL) < 0 ||
        !store_rows_n(rows) || store_cell_str(rows, 0, 0).n != sizeof hash)
        return NULL;
    memcpy(hash, store_cell_str(rows, 0, 0).p, sizeof hash);
    return catalog_key(parts.catalog, hash);
}

static int append(const struct owned *o, const struct own_model *m, unsigned i, int64_t at,
    const struct virtual_key *key)
{
    const struct charge c = {.org_id = o->org,
        .team_id = o->team,
        .user_id = o->user,
        .key_id = o->key,
        .customer = o->customer,
        .model = str_of(m->model),
        .at = at,
        .nano = MAX(m->nano, 0),
        .key = key};
    _cleanup_(buf_free) struct buf payload = {0};
    int r;

    buf_init(&payload, JOURNAL_PAYLOAD_BYTES);
    r = write_entry(o, m, i, &c, &payload);
    if (r == 0 && parts.journal)
        r = journal_append(parts.journal, loop_index(loop_self()), buf_str(&payload), NULL);
    if (r == 0 && c.nano)
        charge_now(parts.shared, &c);
    return r;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct own_model *)a)->model, ((const struct own_model *)b)->model);
}

int own_append(
    const struct owned *o, int64_t at, struct own_usage *sums, bool again, uint32_t *appended)
{
    const struct virtual_key *key = key_of(o->key);
    int r = 0;

    qsort(sums->at, sums->n, sizeof sums->at[0], by_name);
    for (unsigned i = 0; r == 0 && i < sums->n; i++) {
        if (*appended & 1u << i)
            continue;
        int there = again ? has_entry(o->id, i, at) : 0;
        r = there < 0 ? there : there ? 0 : append(o, &sums->at[i], i, at, key);
        if (r == 0)
            *appended |= 1u << i;
    }
    vkey_unref(key);
    return r;
}
