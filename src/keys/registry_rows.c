/*
 * Records as rows of the store, and as records of the catalogue. The columns of a table are its
 * fields in their order, then for keys hash and superseded, then version.
 */
#include "keys/registry_int.h"

#include "base/limits.h"
#include "base/macros.h"
#include "net/dial.h"

#include <errno.h>
#include <stdlib.h>

/* --- statements --- */

static bool is_column(const struct field_row *f)
{
    return !(f->flags & FIELD_DERIVED);
}

/* All columns but version. */
static unsigned columns_of(enum subject_kind kind, const char **names)
{
    const struct record_type *t = record_type(kind);
    unsigned n = 0;

    for (unsigned i = 0; i < t->fields_n; i++)
        if (is_column(&t->fields[i]))
            names[n++] = t->fields[i].name;
    if (kind == SUBJECT_KEY) {
        names[n++] = "hash";
        names[n++] = "superseded";
    }
    must(n < COLUMNS_MAX);
    return n;
}

static char *keep(struct buf *b)
{
    buf_addc(b, 0);
    char *p = b->err ? NULL : b->p;
    if (!p)
        buf_free(b);
    buf_init(b, 8 * KIB);
    return p;
}

#define NEW_VERSION "(SELECT n FROM change_counter WHERE id = 1)"

static void make_one(enum subject_kind kind, struct statements *s)
{
    const char *table = record_type(kind)->table, *names[COLUMNS_MAX];
    unsigned n = columns_of(kind, names);
    struct buf b;

    buf_init(&b, 8 * KIB);
    buf_addstr(&b, STR("SELECT "));
    for (unsigned i = 0; i < n; i++)
        buf_printf(&b, "%s, ", names[i]);
    buf_printf(&b, "version FROM %s", table);
    s->select = keep(&b);
    buf_printf(&b, "INSERT INTO %s (", table);
    for (unsigned i = 0; i < n; i++)
        buf_printf(&b, "%s, ", names[i]);
    buf_addstr(&b, STR("version) VALUES ("));
    for (unsigned i = 0; i < n; i++)
        buf_printf(&b, "?%u, ", i + 1);
    buf_addstr(&b, STR(NEW_VERSION ")"));
    s->insert = keep(&b);
    buf_printf(&b, "UPDATE %s SET ", table);
    for (unsigned i = 0; i < n; i++)
        buf_printf(&b, "%s = ?%u, ", names[i], i + 1);
    buf_printf(&b, "version = " NEW_VERSION " WHERE id = ?%u AND version = ?%u", n + 1, n + 2);
    s->update = keep(&b);
}

int statements_make(struct registry *r)
{
    for (int k = 0; k < SUBJECT_KINDS; k++) {
        make_one((enum subject_kind)k, &r->sql[k]);
        if (!r->sql[k].select || !r->sql[k].insert || !r->sql[k].update)
            return -ENOMEM;
    }
    return 0;
}

void statements_free(struct registry *r)
{
    for (int k = 0; k < SUBJECT_KINDS; k++) {
        free(r->sql[k].select);
        free(r->sql[k].insert);
        free(r->sql[k].update);
    }
}

/* --- record → row --- */

static struct store_value as_json(const struct field_row *f, const void *rec, struct arena *a)
{
    struct buf b;

    buf_init(&b, MIB);
    field_write_value(f, rec, &b);
    struct str s = arena_dup(a, b.err ? STR_NONE : buf_str(&b));
    buf_free(&b);
    return s.p && s.n ? store_text(s) : store_null();
}

static struct store_value value_of(const struct field_row *f, const void *rec, struct arena *a)
{
    const void *from = (const char *)rec + f->offset;

    switch (f->type) {
    case FIELD_TEXT: {
        struct str s = *(const struct str *)from;
        return store_text(s.p ? s : STR(""));
    }
    case FIELD_WORD:
        return store_text(str_of(f->words[*(const uint32_t *)from]));
    case FIELD_BOOL:
        return store_int(*(const bool *)from);
    case FIELD_INT:
    case FIELD_TIME:
        return store_int(*(const int64_t *)from);
    default:
        return as_json(f, rec, a);
    }
}

int row_values(enum subject_kind kind, const struct record *rec, bool superseded,
    struct store_value *out, struct arena *a)
{
    const struct record_type *t = record_type(kind);
    unsigned n = 0;

    for (unsigned i = 0; i < t->fields_n; i++) {
        if (!is_column(&t->fields[i]))
            continue;
        out[n] = value_of(&t->fields[i], rec, a);
        if (out[n++].type == STORE_NULL)
            return -ENOMEM;
    }
    if (kind == SUBJECT_KEY) {
        out[n++] = store_blob(str_at((const char *)rec->hash, sizeof rec->hash));
        out[n++] = store_int(superseded);
    }
    return (int)n;
}

/* --- row → record --- */

static int take_value(
    const struct field_row *f, const struct store_value *v, void *rec, struct arena *a)
{
    void *to = (char *)rec + f->offset;
    struct error e;

    switch (f->type) {
    case FIELD_TEXT:
        *(struct str *)to = v->s.n ? arena_dup(a, v->s) : STR_NONE;
        return v->s.n && !((struct str *)to)->p ? -ENOMEM : 0;
    case FIELD_WORD:
        for (uint32_t i = 0; f->words[i]; i++)
            if (str_eq(str_of(f->words[i]), v->s))
                *(uint32_t *)to = i;
        return 0;
    case FIELD_BOOL:
        *(bool *)to = v->n != 0;
        return 0;
    case FIELD_INT:
    case FIELD_TIME:
        *(int64_t *)to = v->n;
        return 0;
    default:
        if (str_eq(v->s, STR("[]")) || str_eq(v->s, STR("{}")))
            return 0;
        return field_parse(f, v->s, rec, a, &e);
    }
}

int row_record(enum subject_kind kind, const struct store_rows *rows, unsigned i,
    struct record *ret, bool *ret_superseded, struct arena *a)
{
    const struct record_type *t = record_type(kind);
    unsigned c = 0;
    int r;

    *ret = (struct record){0};
    for (unsigned f = 0; f < t->fields_n; f++)
        if (is_column(&t->fields[f]) &&
            (r = take_value(&t->fields[f], store_cell(rows, i, c++), ret, a)) < 0)
            return r == -ENOMEM ? r : -EIO;
    if (kind == SUBJECT_KEY) {
        struct str hash = store_cell_str(rows, i, c++);
        if (hash.n != sizeof ret->hash)
            return -EIO;
        memcpy(ret->hash, hash.p, hash.n);
        bool superseded = store_cell_int(rows, i, c++) != 0;
        if (ret_superseded)
            *ret_superseded = superseded;
    }
    ret->version = store_cell_int(rows, i, c);
    return 0;
}

/* --- the catalogue's --- */

static struct subject subject_of(enum subject_kind kind, const struct record *rec)
{
    return (struct subject){.kind = kind,
        .id = rec->id,
        .name = rec->name,
        .org_id = rec->org_id,
        .team_id = rec->team_id,
        .limits = {.budgets = rec->budgets.at,
            .budgets_n = rec->budgets.n,
            .rpm = rec->rpm,
            .tpm = rec->tpm,
            .parallel = (unsigned)rec->parallel},
        .is_active = rec->is_active,
        .version = rec->version};
}

/* A list that was written by us; were it damaged, the key would be allowed from nowhere. */
static struct net_cidrs *addresses_of(const struct str_list *l)
{
    struct net_cidrs *c = NULL;
    struct buf b;

    if (!l->n)
        return NULL;
    buf_init(&b, 64 * KIB);
    for (unsigned i = 0; i < l->n; i++) {
        buf_addstr(&b, i ? STR(",") : STR(""));
        buf_addstr(&b, l->at[i]);
    }
    if (b.err || net_cidrs_parse(buf_str(&b), &c) < 0)
        must(net_cidrs_parse(STR("0.0.0.0/32"), &c) == 0);
    buf_free(&b);
    return c;
}

struct virtual_key key_of_record(const struct record *rec)
{
    struct virtual_key k = {.subject = subject_of(SUBJECT_KEY, rec),
        .models = rec->models,
        .providers = rec->providers,
        .endpoints = rec->endpoints,
        .addresses = addresses_of(&rec->addresses),
        .tags = rec->tags,
        .policy_set = rec->policy_set,
        .metadata = rec->metadata,
        .mcp_servers = rec->mcp_servers,
        .agents = rec->agents,
        .team_id = rec->team_id,
        .user_id = rec->user_id,
        .org_id = rec->org_id,
        .rotated_from = rec->rotated_from,
        .content = (enum key_content)rec->content,
        .created_at = rec->created_at,
        .expires_at = rec->expires_at};

    memcpy(k.hash, rec->hash, sizeof k.hash);
    if (rec->last4.n)
        memcpy(k.last4, rec->last4.p, MIN(rec->last4.n, sizeof k.last4 - 1));
    return k;
}

static int publish_key(struct registry *r, const struct record *rec)
{
    struct virtual_key k = key_of_record(rec), *made;
    int n = vkey_new(&k, &made);

    if (n < 0)
        return n;
    catalog_put_key(r->catalog, made);
    return 0;
}

int record_publish(struct registry *r, enum subject_kind kind, const struct record *rec)
{
    struct subject *made;

    if (kind == SUBJECT_KEY)
        return publish_key(r, rec);
    if (kind == SUBJECT_CUSTOMER && !rec->is_active) {
        catalog_remove_subject(r->catalog, kind, rec->id, rec->version);
        return 0;
    }
    struct subject s = subject_of(kind, rec);
    int n = subject_new(&s, &made);
    if (n < 0)
        return n;
    catalog_put_subject(r->catalog, made);
    return 0;
}

static int copy_list(struct str_list *l, struct arena *a)
{
    struct str *to = arena_alloc(a, l->n * sizeof *to + 1);

    if (!to)
        return -ENOMEM;
    for (unsigned i = 0; i < l->n; i++)
        if (!(to[i] = arena_dup(a, l->at[i])).p)
            return -ENOMEM;
    l->at = to;
    return 0;
}

int record_of_key(const struct virtual_key *k, struct record *ret, struct arena *a)
{
    *ret = (struct record){.id = arena_dup(a, k->subject.id),
        .name = arena_dup(a, k->subject.name),
        .last4 = arena_dup(a, str_of(k->last4)),
        .models = k->models,
        .providers = k->providers,
        .is_active = k->subject.is_active,
        .content = k->content,
        .rpm = k->subject.limits.rpm,
        .tpm = k->subject.limits.tpm,
        .parallel = k->subject.limits.parallel,
        .expires_at = k->expires_at,
        .from_config = true};
    memcpy(ret->hash, k->hash, sizeof ret->hash);
    return copy_list(&ret->models, a) < 0 || copy_list(&ret->providers, a) < 0 ? -ENOMEM : 0;
}
