/*
 * Opening the registry, loading the catalogue from the store, and following changes. See
 * keys/registry.h.
 *
 * Changes are numbered without gaps, in the order in which they became visible. So what comes after
 * the last one seen is all there is to read; and where it does not begin with the next number, the
 * feed was cut short meanwhile, and everything is loaded anew.
 */
#include "keys/registry_int.h"

#include "base/limits.h"
#include "base/macros.h"
#include "base/map.h"
#include "crypto/encode.h"

#include <errno.h>
#include <stdlib.h>

#define PAGE_ROWS    2000
#define PAGE_BYTES   (64 * MIB)
#define CHANGES_PAGE 500

int registry_open(
    struct store *store, struct shared *shared, struct catalog *catalog, struct registry **ret)
{
    struct registry *r = calloc(1, sizeof *r);

    if (!r)
        return -ENOMEM;
    r->store = store;
    r->shared = shared;
    r->catalog = catalog;
    pthread_mutex_init(&r->lock, NULL);
    if (statements_make(r) < 0) {
        registry_close(r);
        return -ENOMEM;
    }
    *ret = r;
    return 0;
}

void registry_close(struct registry *r)
{
    if (!r)
        return;
    statements_free(r);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

void registry_on_adjusted(struct registry *r, registry_adjusted_fn *fn, void *ctx)
{
    r->adjusted = fn;
    r->adjusted_ctx = ctx;
}

/* --- loading --- */

/* The ids that the store has, while everything is loaded anew. */
struct present {
    struct map ids;
    struct arena arena;
};

static int note_present(struct present *p, struct str id)
{
    struct str kept = arena_dup(&p->arena, id);

    return kept.p && map_put(&p->ids, kept, p, NULL) == 0 ? 0 : -ENOMEM;
}

static bool is_present(void *ctx, struct str id)
{
    struct present *p = ctx;

    return map_get(&p->ids, id) != NULL;
}

/* One page of a kind, behind *after (which is then the last id). The number of rows or an error. */
static int load_page(struct registry *r, enum subject_kind kind, struct str *after,
    struct present *present, struct arena *a, char *err)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    struct store_value params[] = {store_text(*after), store_int(PAGE_ROWS)};
    struct str sql = arena_printf(a, "%s WHERE id > ?1 ORDER BY id LIMIT ?2", r->sql[kind].select);
    struct record rec;
    int n;

    if (!sql.p)
        return -ENOMEM;
    if ((n = store_query(r->store, sql.p, params, 2, &rows, err)) < 0)
        return n;
    for (unsigned i = 0; i < store_rows_n(rows); i++) {
        if ((n = row_record(kind, rows, i, &rec, NULL, a)) < 0 ||
            (n = record_publish(r, kind, &rec)) < 0 || (n = note_present(present, rec.id)) < 0)
            return n;
        if (i + 1 == store_rows_n(rows))
            *after = arena_dup(&present->arena, rec.id);
    }
    return (int)store_rows_n(rows);
}

static int load_kind(struct registry *r, enum subject_kind kind, int64_t upto, char *err)
{
    struct present present;
    struct str after = STR("");
    int n;

    map_init(&present.ids);
    arena_init(&present.arena, NULL, 0, (size_t)1 << 30);
    do {
        struct arena a;
        arena_init(&a, NULL, 0, PAGE_BYTES);
        n = load_page(r, kind, &after, &present, &a, err);
        arena_free(&a);
    } while (n == PAGE_ROWS);
    if (n >= 0)
        catalog_retain(r->catalog, kind, upto, is_present, &present);
    map_free(&present.ids);
    arena_free(&present.arena);
    return MIN(n, 0);
}

static int last_change(struct registry *r, int64_t *ret, char *err)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int n = store_query(r->store, "SELECT n FROM change_counter WHERE id = 1", NULL, 0, &rows, err);

    if (n < 0)
        return n;
    if (store_rows_n(rows) != 1)
        return -EIO;
    *ret = store_cell_int(rows, 0, 0);
    return 0;
}

static void has_seen(struct registry *r, int64_t seq)
{
    pthread_mutex_lock(&r->lock);
    r->seen = MAX(r->seen, seq);
    pthread_mutex_unlock(&r->lock);
}

/* What changes while it loads has a higher number, and is read again. */
int registry_load(struct registry *r, char *err)
{
    int64_t upto;
    int n = last_change(r, &upto, err);

    for (int k = 0; n >= 0 && k < SUBJECT_KINDS; k++)
        n = load_kind(r, (enum subject_kind)k, upto, err);
    catalog_set_fresh(r->catalog, n >= 0);
    if (n >= 0)
        has_seen(r, upto);
    return n;
}

/* --- following --- */

static int kind_of(struct str table)
{
    for (int k = 0; k < SUBJECT_KINDS; k++)
        if (str_eq(table, str_of(record_type((enum subject_kind)k)->table)))
            return k;
    return -1; /* of another module */
}

static void remove_gone(struct registry *r, enum subject_kind kind, struct str id, int64_t seq)
{
    uint8_t hash[32];

    if (kind != SUBJECT_KEY)
        catalog_remove_subject(r->catalog, kind, id, seq);
    else if (id.n == HEX_SIZE(sizeof hash) && hex_decode(id, hash) == sizeof hash)
        catalog_remove_key(r->catalog, hash, seq);
}

/* Reads a record as it is now. */
static int follow_one(
    struct registry *r, enum subject_kind kind, struct str id, int64_t seq, struct arena *a)
{
    struct record rec;
    struct error e = {0};
    int n = stored_get(r, kind, id, &rec, NULL, a, &e);

    if (n == 0)
        return record_publish(r, kind, &rec);
    if (n == -ENOENT) {
        remove_gone(r, kind, id, seq);
        return 0;
    }
    return n;
}

/* The number of changes read, or an error; -ESTALE: the feed does not begin where we are. */
static int follow_page(struct registry *r, int64_t *seen)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    struct store_value params[] = {store_int(*seen), store_int(CHANGES_PAGE)};
    struct arena a;
    int n = store_query(r->store,
        "SELECT seq, kind, id FROM changes WHERE seq > ?1 ORDER BY seq LIMIT ?2", params, 2, &rows,
        NULL);

    if (n < 0)
        return n;
    arena_init(&a, NULL, 0, PAGE_BYTES);
    for (unsigned i = 0; n >= 0 && i < store_rows_n(rows); i++) {
        int64_t seq = store_cell_int(rows, i, 0);
        int kind = kind_of(store_cell_str(rows, i, 1));
        if (seq != *seen + 1)
            n = -ESTALE;
        else if (kind >= 0)
            n = follow_one(r, (enum subject_kind)kind, store_cell_str(rows, i, 2), seq, &a);
        if (n >= 0)
            *seen = seq;
    }
    arena_free(&a);
    return n < 0 ? n : (int)store_rows_n(rows);
}

int registry_refresh(struct registry *r)
{
    int64_t seen;
    int n;

    pthread_mutex_lock(&r->lock);
    seen = r->seen;
    pthread_mutex_unlock(&r->lock);
    do {
        n = follow_page(r, &seen);
        has_seen(r, seen);
    } while (n == CHANGES_PAGE);
    if (n == -ESTALE)
        return registry_load(r, NULL);
    if (n != -ECANCELED)
        catalog_set_fresh(r->catalog, n >= 0);
    return MIN(n, 0);
}
