/* Records as they are in the store. See keys/registry.h. */
#include "keys/registry_int.h"

#include "base/limits.h"
#include "base/macros.h"
#include "crypto/digest.h"
#include "crypto/encode.h"

#include <errno.h>
#include <stdio.h>

#define LIST_DEFAULT 100
#define LIST_MOST    1000

/* --- errors --- */

int out_of_memory(struct error *e)
{
    *e = (struct error){
        .status = 500, .code = STR("internal_error"), .message = STR("Out of memory.")};
    return -ENOMEM;
}

int not_found(enum subject_kind kind, struct error *e)
{
    static const struct str messages[SUBJECT_KINDS] = {
        [SUBJECT_ORG] = STR_INIT("There is no such organisation."),
        [SUBJECT_TEAM] = STR_INIT("There is no such team."),
        [SUBJECT_USER] = STR_INIT("There is no such user."),
        [SUBJECT_KEY] = STR_INIT("There is no such virtual key."),
        [SUBJECT_CUSTOMER] = STR_INIT("There is no such end customer."),
    };
    *e = (struct error){.status = 404, .code = STR("not_found"), .message = messages[kind]};
    return -ENOENT;
}

static int name_taken(enum subject_kind kind, struct error *e)
{
    static const struct str messages[SUBJECT_KINDS] = {
        [SUBJECT_ORG] = STR_INIT("There is an organisation of this name already."),
        [SUBJECT_TEAM] = STR_INIT("There is a team of this name already."),
        [SUBJECT_USER] = STR_INIT("There is a user of this name already."),
        [SUBJECT_KEY] = STR_INIT("This team has an active virtual key of this name already."),
        [SUBJECT_CUSTOMER] = STR_INIT("There is an end customer of this id already."),
    };
    *e = (struct error){.status = 409,
        .code = STR("already_exists"),
        .param = kind == SUBJECT_CUSTOMER ? STR("id") : STR("name"),
        .message = messages[kind]};
    return -EEXIST;
}

int store_failed(int r, enum subject_kind kind, struct error *e)
{
    switch (r) {
    case -EEXIST:
        return name_taken(kind, e);
    case -EAGAIN:
        *e = (struct error){.status = 409,
            .code = STR("changed_meanwhile"),
            .message = STR("Somebody else has changed it meanwhile. Read it again and repeat.")};
        return r;
    case -EHOSTDOWN:
    case -ETIMEDOUT:
    case -ECANCELED:
        *e = (struct error){.status = 503,
            .code = STR("store_unavailable"),
            .message = STR("The database cannot be reached."),
            .retry_after_s = 1};
        return r;
    case -ENOMEM:
        return out_of_memory(e);
    }
    *e = (struct error){.status = 500,
        .code = STR("internal_error"),
        .message = STR("The database did not take the change; its log says why.")};
    return r;
}

/* --- one --- */

/* A key's hash, from itself or from hex. */
static bool hash_of(struct str id, uint8_t hash[static 32])
{
    if (vkey_form_ok(id)) {
        sha256(id, hash);
        return true;
    }
    return id.n == HEX_SIZE(32) && hex_decode(id, hash) == 32;
}

int stored_get(struct registry *r, enum subject_kind kind, struct str id, struct record *ret,
    bool *ret_superseded, struct arena *a, struct error *e)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    uint8_t hash[32];
    bool by_hash = kind == SUBJECT_KEY && hash_of(id, hash);
    struct store_value param =
        by_hash ? store_blob(str_at((const char *)hash, sizeof hash)) : store_text(id);
    struct str sql =
        arena_printf(a, "%s WHERE %s = ?1", r->sql[kind].select, by_hash ? "hash" : "id");

    if (!sql.p)
        return out_of_memory(e);
    if (!id.n || id.n > 256 || memchr(id.p, 0, id.n))
        return not_found(kind, e);
    int n = store_query(r->store, sql.p, &param, 1, &rows, NULL);
    if (n < 0)
        return store_failed(n, kind, e);
    if (!store_rows_n(rows))
        return not_found(kind, e);
    n = row_record(kind, rows, 0, ret, ret_superseded, a);
    return n < 0 ? store_failed(n, kind, e) : 0;
}

/* A key of the configuration, by the same three names. */
static int config_get(struct registry *r, struct str id, struct record *ret, struct arena *a)
{
    const struct virtual_key *k;
    uint8_t hash[32];
    bool by_hash = hash_of(id, hash), found = false;
    int n = -ENOENT;

    for (size_t at = 0; !found && (k = catalog_next_config_key(r->catalog, &at));) {
        found = by_hash ? memcmp(k->hash, hash, sizeof hash) == 0 : str_eq(k->subject.id, id);
        if (found)
            n = record_of_key(k, ret, a);
        vkey_unref(k);
    }
    return n;
}

int registry_get(struct registry *r, enum subject_kind kind, struct str id, struct record *ret,
    struct arena *a, struct error *e)
{
    int n = kind == SUBJECT_KEY ? config_get(r, id, ret, a) : -ENOENT;

    if (n == -ENOMEM)
        return out_of_memory(e);
    return n == 0 ? 0 : stored_get(r, kind, id, ret, NULL, a, e);
}

/* --- lists --- */

static int wrong_query(struct error *e, struct str param, struct str message)
{
    *e = (struct error){
        .status = 400, .code = STR("invalid_request_error"), .param = param, .message = message};
    return -EINVAL;
}

/* A filter's value as its column has it. */
static int filter_value(const struct field_row *f, struct str text, struct store_value *ret,
    struct arena *a, struct error *e)
{
    struct str param = str_of(f->name);
    int64_t wall;

    switch (f->type) {
    case FIELD_BOOL:
        if (!str_eq(text, STR("true")) && !str_eq(text, STR("false")))
            return wrong_query(e, param, arena_printf(a, "'%s' must be true or false.", f->name));
        *ret = store_int(text.n == 4);
        return 0;
    case FIELD_TIME:
        if (time_parse(text, &wall) < 0)
            return wrong_query(e, param,
                arena_printf(a, "'%s' must be a time like 2026-12-31T23:59:59Z.", f->name));
        *ret = store_int(wall);
        return 0;
    case FIELD_WORD:
        for (unsigned i = 0; f->words[i]; i++)
            if (str_eq(text, str_of(f->words[i]))) {
                *ret = store_text(text);
                return 0;
            }
        return wrong_query(e, param, arena_printf(a, "'%s' has no such value.", f->name));
    default:
        if (text.n > 256 || (text.n && memchr(text.p, 0, text.n)))
            return wrong_query(e, param, arena_printf(a, "'%s' is too long.", f->name));
        *ret = store_text(text.p ? text : STR(""));
        return 0;
    }
}

static struct str filter_names(const struct record_type *t, struct arena *a)
{
    struct buf b;

    buf_init(&b, 1024);
    for (unsigned i = 0; i < t->fields_n; i++)
        if (t->fields[i].flags & FIELD_FILTER)
            buf_printf(&b, "%s%s", b.n ? ", " : "", t->fields[i].name);
    struct str s = arena_dup(a, buf_str(&b));
    buf_free(&b);
    return s;
}

#define PARAMS_MAX 24

struct list_query {
    struct buf sql;
    struct store_value params[PARAMS_MAX];
    unsigned n;
};

static int add_filter(struct list_query *q, const struct record_type *t,
    const struct registry_filter *f, struct arena *a, struct error *e)
{
    const struct field_row *row = field_find(t->fields, t->fields_n, f->field, NULL);

    if (!row || !(row->flags & FIELD_FILTER))
        return wrong_query(e, arena_dup(a, str_to(f->field, 64)),
            arena_printf(a, "Lists of %s cannot be filtered by '" STR_FMT "', but by: " STR_FMT ".",
                t->plural, (int)MIN(f->field.n, 64), f->field.p, STR_ARG(filter_names(t, a))));
    if (q->n + 4 > PARAMS_MAX)
        return wrong_query(e, row ? str_of(row->name) : STR_NONE, STR("Too many filters."));
    int r = filter_value(row, f->value, &q->params[q->n], a, e);
    if (r < 0)
        return r;
    buf_printf(&q->sql, " %s %s = ?%u", q->n ? "AND" : "WHERE", row->name, q->n + 1);
    q->n++;
    return 0;
}

/* "<created_at in decimal>.<id>" */
static int add_cursor(struct list_query *q, struct str cursor, struct error *e)
{
    struct str id = cursor, at = str_split(&id, '.');
    uint64_t created;

    if (!cursor.n)
        return 0;
    if (str_u64(at, &created) < 0 || created > INT64_MAX || !id.n || id.n > 256)
        return wrong_query(e, STR("cursor"),
            STR("'cursor' must be the one that the page before gave; leave it out for the first."));
    buf_printf(&q->sql, " %s (created_at < ?%u OR (created_at = ?%u AND id < ?%u))",
        q->n ? "AND" : "WHERE", q->n + 1, q->n + 1, q->n + 2);
    q->params[q->n++] = store_int((int64_t)created);
    q->params[q->n++] = store_text(id);
    return 0;
}

/* Keys of the configuration that the filters let through; by name and whether they are active. */
static bool filter_config(const struct registry_query *q, const struct record *rec)
{
    for (unsigned i = 0; i < q->filters_n; i++) {
        struct str f = q->filters[i].field, v = q->filters[i].value;
        if (str_eq(f, STR("name"))        ? str_eq(v, rec->name)
            : str_eq(f, STR("id"))        ? str_eq(v, rec->id)
            : str_eq(f, STR("is_active")) ? str_eq(v, rec->is_active ? STR("true") : STR("false"))
                                          : false)
            continue;
        return false;
    }
    return true;
}

static unsigned count_config(struct registry *r)
{
    const struct virtual_key *k;
    unsigned n = 0;

    for (size_t at = 0; n < LIST_MOST && (k = catalog_next_config_key(r->catalog, &at)); n++)
        vkey_unref(k);
    return n;
}

static int add_config_keys(struct registry *r, const struct registry_query *q,
    struct registry_page *page, unsigned room, struct arena *a)
{
    const struct virtual_key *k;
    int n = 0;

    for (size_t at = 0;
         n == 0 && page->n < room && (k = catalog_next_config_key(r->catalog, &at));) {
        n = record_of_key(k, &page->at[page->n], a);
        page->n += n == 0 && filter_config(q, &page->at[page->n]);
        vkey_unref(k);
    }
    return n;
}

static int run_list(struct registry *r, enum subject_kind kind, struct list_query *q,
    unsigned limit, unsigned room, struct registry_page *page, struct arena *a, struct error *e)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int n = store_query(r->store, q->sql.p, q->params, q->n, &rows, NULL);

    if (n < 0)
        return store_failed(n, kind, e);
    unsigned found = MIN(store_rows_n(rows), limit);
    page->at = arena_alloc(a, (found + room + 1) * sizeof *page->at);
    if (!page->at)
        return out_of_memory(e);
    for (; page->n < found; page->n++)
        if ((n = row_record(kind, rows, page->n, &page->at[page->n], NULL, a)) < 0)
            return store_failed(n, kind, e);
    if (store_rows_n(rows) > limit) {
        const struct record *last = &page->at[page->n - 1];
        page->next =
            arena_printf(a, "%lld." STR_FMT, (long long)last->created_at, STR_ARG(last->id));
    }
    return 0;
}

int registry_list(struct registry *r, enum subject_kind kind, const struct registry_query *query,
    struct registry_page *ret, struct arena *a, struct error *e)
{
    struct list_query q = {.n = 0};
    unsigned limit = query->limit ? query->limit : LIST_DEFAULT, config = 0;
    int n = 0;

    *ret = (struct registry_page){0};
    if (limit > LIST_MOST)
        return wrong_query(e, STR("limit"), STR("'limit' must be from 1 to 1000."));
    buf_init(&q.sql, 16 * KIB);
    buf_addstr(&q.sql, str_of(r->sql[kind].select));
    for (unsigned i = 0; n == 0 && i < query->filters_n; i++)
        n = add_filter(&q, record_type(kind), &query->filters[i], a, e);
    if (n == 0)
        n = add_cursor(&q, query->cursor, e);
    q.params[q.n] = store_int(limit + 1);
    buf_printf(&q.sql, " ORDER BY created_at DESC, id DESC LIMIT ?%u", q.n + 1);
    buf_addc(&q.sql, 0);
    q.n++;
    if (kind == SUBJECT_KEY && !query->cursor.n)
        config = count_config(r);
    if (n == 0)
        n = q.sql.err ? out_of_memory(e) : run_list(r, kind, &q, limit, config, ret, a, e);
    if (n == 0 && config && add_config_keys(r, query, ret, ret->n + config, a) < 0)
        n = out_of_memory(e);
    buf_free(&q.sql);
    return n;
}
