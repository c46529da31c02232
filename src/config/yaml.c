/*
 * The optional YAML file. Mappings nest: their keys, joined by underscores and in capitals, are the
 * variables' names (proxy: {port: 7775} is PROXY_PORT), so that the file and the environment have
 * one vocabulary. Some names are lists or tables of their own: virtual_keys, model_aliases,
 * cors_origins, and routing's chains, deployments and tiers. translation is a section whose members
 * are some of the gateway's own settings.
 */
#include "config/settings_int.h"
#include "keys/record.h"
#include "text/nearest.h"
#include "json/scan.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <yaml.h>

#define NAME_MAX_ 160
#define DEPTH_MAX 8
#define KEY_DEPTH 5
#define NODES_MAX 10000 /* aliases can make a small file a huge tree */

struct walk {
    struct loader *l;
    yaml_document_t *doc;
    unsigned nodes; /* visited so far */
};

static struct str text_of(struct walk *w, const yaml_node_t *n)
{
    struct str s = str_at((const char *)n->data.scalar.value, n->data.scalar.length);

    return arena_dup(&w->l->c->arena, s);
}

static unsigned line_of(const yaml_node_t *n)
{
    return (unsigned)n->start_mark.line + 1;
}

static struct str scalar(struct walk *w, const yaml_node_t *n, const char *what)
{
    if (n->type == YAML_SCALAR_NODE)
        return text_of(w, n);
    loader_problem(w->l, line_of(n), "%s must be a single value", what);
    return STR_NONE;
}

/* --- virtual_keys --- */

/* A node as JSON, so that a key's fields are read by the one table that the management API uses. */
static void as_json(struct walk *w, const yaml_node_t *n, struct buf *out, unsigned depth);

static void scalar_json(const yaml_node_t *n, struct buf *out)
{
    struct str text = str_at((const char *)n->data.scalar.value, n->data.scalar.length);
    bool plain = n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    struct json_error e;
    enum json_type type = JSON_NONE;
    bool flag;

    if (plain && json_scan(text, NULL, NULL, 0, &type, &e) == 0)
        buf_addstr(out, text);
    else if (plain && setting_bool(text, &flag) == 0)
        buf_addstr(out, flag ? STR("true") : STR("false"));
    else
        buf_addjson(out, text);
}

static void sequence_json(struct walk *w, const yaml_node_t *n, struct buf *out, unsigned depth)
{
    buf_addc(out, '[');
    for (yaml_node_item_t *i = n->data.sequence.items.start; i < n->data.sequence.items.top; i++) {
        buf_addstr(out, i > n->data.sequence.items.start ? STR(",") : STR(""));
        as_json(w, yaml_document_get_node(w->doc, *i), out, depth);
    }
    buf_addc(out, ']');
}

static void mapping_json(struct walk *w, const yaml_node_t *n, struct buf *out, unsigned depth)
{
    buf_addc(out, '{');
    for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++) {
        buf_addstr(out, p > n->data.mapping.pairs.start ? STR(",") : STR(""));
        buf_addjson(out, scalar(w, yaml_document_get_node(w->doc, p->key), "a field's name"));
        buf_addc(out, ':');
        as_json(w, yaml_document_get_node(w->doc, p->value), out, depth);
    }
    buf_addc(out, '}');
}

static void as_json(struct walk *w, const yaml_node_t *n, struct buf *out, unsigned depth)
{
    if (out->err)
        return;
    if (n->type == YAML_SCALAR_NODE)
        scalar_json(n, out);
    else if (depth >= KEY_DEPTH)
        loader_problem(w->l, line_of(n), "a field is nested too deep");
    else if (n->type == YAML_SEQUENCE_NODE)
        sequence_json(w, n, out, depth + 1);
    else if (n->type == YAML_MAPPING_NODE)
        mapping_json(w, n, out, depth + 1);
}

/* Those that lead to records of the store are the API's alone. */
static bool is_for_files(const struct field_row *f)
{
    static const char *const others[] = {"team_id", "user_id", "org_id", "id"};

    for (unsigned i = 0; i < ARRAY_LEN(others); i++)
        if (!strcmp(f->name, others[i]))
            return false;
    return (f->flags & FIELD_CREATE) != 0;
}

static bool is_text(const struct field_row *f)
{
    return f->type == FIELD_TEXT || f->type == FIELD_WORD || f->type == FIELD_TIME;
}

static void no_such_field(struct walk *w, const yaml_node_t *v, struct str name)
{
    const struct record_type *t = record_type(SUBJECT_KEY);
    _cleanup_(buf_free) struct buf all = {0};

    buf_init(&all, 4 * KIB);
    for (unsigned i = 0; i < t->fields_n; i++)
        if (is_for_files(&t->fields[i]))
            buf_printf(&all, ", %s", t->fields[i].name);
    loader_problem(w->l, line_of(v), "a virtual key has no field '" STR_FMT "' (key" STR_FMT ")",
        STR_ARG(name), STR_ARG(buf_str(&all)));
}

static void key_member(struct walk *w, struct record *rec, struct str name, const yaml_node_t *v)
{
    const struct record_type *t = record_type(SUBJECT_KEY);
    const struct field_row *f = field_find(t->fields, t->fields_n, name, NULL);
    _cleanup_(buf_free) struct buf json = {0};
    struct error e = {0};

    if (!f || !is_for_files(f)) {
        no_such_field(w, v, name);
        return;
    }
    buf_init(&json, 64 * KIB);
    if (v->type == YAML_SCALAR_NODE && is_text(f)) /* also a name like 123 */
        buf_addjson(&json, scalar(w, v, f->name));
    else
        as_json(w, v, &json, 0);
    if (json.err || field_parse(f, buf_str(&json), rec, &w->l->c->arena, &e) < 0)
        loader_problem(w->l, line_of(v), STR_FMT,
            STR_ARG(e.message.n ? e.message : STR("a field of a virtual key is too long")));
}

static void one_key(struct walk *w, const yaml_node_t *n)
{
    struct record rec = {.is_active = true};

    if (n->type != YAML_MAPPING_NODE) {
        loader_problem(w->l, line_of(n), "a virtual key must be a mapping with name and key");
        return;
    }
    struct virtual_key_row *row = arena_new(&w->l->c->arena, struct virtual_key_row);
    if (!row)
        return;
    row->line = line_of(n);
    for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++) {
        struct str name = scalar(w, yaml_document_get_node(w->doc, p->key), "a field's name");
        const yaml_node_t *v = yaml_document_get_node(w->doc, p->value);
        if (str_eq(name, STR("key")))
            row->secret = scalar(w, v, "key");
        else
            key_member(w, &rec, name, v);
    }
    if (!row->secret.n || !rec.name.n)
        loader_problem(w->l, row->line, "a virtual key needs a name and a key");
    row->key = key_of_record(&rec);
    row->next = w->l->keys;
    w->l->keys = row;
    w->l->keys_n++;
}

static void virtual_keys(struct walk *w, const yaml_node_t *n)
{
    if (n->type != YAML_SEQUENCE_NODE) {
        loader_problem(w->l, line_of(n), "virtual_keys must be a list");
        return;
    }
    for (yaml_node_item_t *i = n->data.sequence.items.start; i < n->data.sequence.items.top; i++)
        one_key(w, yaml_document_get_node(w->doc, *i));
}

/* --- routing --- */

/* Each entry of the list becomes JSON, which the API's own reader takes (config/routing.c). */
static void routing_rows(struct walk *w, const yaml_node_t *n, enum routing_kind kind)
{
    if (n->type != YAML_SEQUENCE_NODE) {
        loader_problem(w->l, line_of(n), "routing's chains, deployments and tiers must be lists");
        return;
    }
    for (yaml_node_item_t *i = n->data.sequence.items.start; i < n->data.sequence.items.top; i++) {
        const yaml_node_t *item = yaml_document_get_node(w->doc, *i);
        struct routing_row *row = arena_new(&w->l->c->arena, struct routing_row);
        _cleanup_(buf_free) struct buf json = {0};
        if (!row)
            return;
        buf_init(&json, ROUTE_RULE_BYTES);
        as_json(w, item, &json, 0);
        if (json.err)
            loader_problem(w->l, line_of(item), "the rule is too long");
        *row = (struct routing_row){.kind = kind,
            .json = arena_dup(&w->l->c->arena, buf_str(&json)),
            .line = line_of(item)};
        *w->l->routing_tail = row;
        w->l->routing_tail = &row->next;
    }
}

/* "openai: 100" for "openai:100". */
static void budget_map(struct walk *w, const yaml_node_t *n)
{
    _cleanup_(buf_free) struct buf b = {0};

    buf_init(&b, 16 * KIB);
    if (n->type == YAML_SCALAR_NODE)
        buf_addstr(&b, text_of(w, n));
    else if (n->type != YAML_MAPPING_NODE)
        loader_problem(
            w->l, line_of(n), "provider_budgets must be a mapping of provider to dollars");
    else
        for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top;
             p++) {
            buf_addstr(&b, b.n ? STR(",") : STR(""));
            buf_addstr(&b, scalar(w, yaml_document_get_node(w->doc, p->key), "a provider"));
            buf_addc(&b, ':');
            buf_addstr(&b, scalar(w, yaml_document_get_node(w->doc, p->value), "a budget"));
        }
    loader_put(w->l, STR("SMARTFLOW_PROVIDER_BUDGETS"), buf_str(&b), line_of(n));
}

static void tree(struct walk *w, const yaml_node_t *n, char *name, size_t name_n, int depth);

/* routing: {strategy: …} is SMARTFLOW_ROUTING_STRATEGY. */
static void routing(struct walk *w, const yaml_node_t *n)
{
    static const struct str lists[] = {
        STR_INIT("chains"), STR_INIT("deployments"), STR_INIT("tiers")};
    char name[NAME_MAX_];

    if (n->type != YAML_MAPPING_NODE) {
        loader_problem(w->l, line_of(n), "routing must be a mapping");
        return;
    }
    for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++) {
        const yaml_node_t *k = yaml_document_get_node(w->doc, p->key);
        const yaml_node_t *v = yaml_document_get_node(w->doc, p->value);
        struct str key = scalar(w, k, "a setting's name");
        unsigned i = 0;
        while (i < ARRAY_LEN(lists) && !str_eq(key, lists[i]))
            i++;
        if (i < ARRAY_LEN(lists)) {
            routing_rows(w, v, (enum routing_kind)i);
        } else if (str_eq(key, STR("provider_budgets"))) {
            budget_map(w, v);
        } else {
            int len = snprintf(
                name, sizeof name, "SMARTFLOW_ROUTING_" STR_FMT, (int)MIN(key.n, 64), key.p);
            for (int c = 0; c < len; c++)
                name[c] = name[c] == '-' ? '_' : (char)toupper((unsigned char)name[c]);
            tree(w, v, name, (size_t)len, 1);
        }
    }
}

/* --- translation --- */

/* translation: {losses: refuse} is SMARTFLOW_LOSSES. */
static void translation(struct walk *w, const yaml_node_t *n)
{
    static const struct {
        struct str key, name;
    } rows[] = {
        {STR_INIT("losses"), STR_INIT("SMARTFLOW_LOSSES")},
        {STR_INIT("keep_alive"), STR_INIT("SMARTFLOW_KEEP_ALIVE")},
        {STR_INIT("fetch_images"), STR_INIT("SMARTFLOW_FETCH_IMAGES")},
        {STR_INIT("fetch_allow"), STR_INIT("SMARTFLOW_FETCH_ALLOW")},
    };

    if (n->type != YAML_MAPPING_NODE) {
        loader_problem(w->l, line_of(n), "translation must be a mapping");
        return;
    }
    for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++) {
        const yaml_node_t *k = yaml_document_get_node(w->doc, p->key);
        const yaml_node_t *v = yaml_document_get_node(w->doc, p->value);
        struct str key = scalar(w, k, "a setting's name");
        unsigned i = 0;
        while (i < ARRAY_LEN(rows) && !str_eq(key, rows[i].key))
            i++;
        if (i < ARRAY_LEN(rows))
            loader_put(w->l, rows[i].name, scalar(w, v, "translation's settings"), line_of(v));
        else
            loader_problem(w->l, line_of(k),
                "translation has no setting '" STR_FMT
                "' (losses, keep_alive, fetch_images, fetch_allow)",
                STR_ARG(key));
    }
}

/* --- lists that also exist as comma-separated variables --- */

static void joined(struct walk *w, const char *name, const yaml_node_t *n)
{
    _cleanup_(buf_free) struct buf b = {0};

    buf_init(&b, 64 * KIB);
    if (n->type == YAML_MAPPING_NODE) { /* model_aliases: {fast: openai/gpt-4.1-mini} */
        for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top;
             p++) {
            buf_addstr(&b, b.n ? STR(",") : STR(""));
            buf_addstr(&b, scalar(w, yaml_document_get_node(w->doc, p->key), name));
            buf_addc(&b, '=');
            buf_addstr(&b, scalar(w, yaml_document_get_node(w->doc, p->value), name));
        }
    } else if (n->type == YAML_SEQUENCE_NODE) {
        yaml_node_item_t *first = n->data.sequence.items.start;
        for (yaml_node_item_t *i = first; i < n->data.sequence.items.top; i++) {
            buf_addstr(&b, i > first ? STR(",") : STR(""));
            buf_addstr(&b, scalar(w, yaml_document_get_node(w->doc, *i), name));
        }
    } else {
        buf_addstr(&b, text_of(w, n));
    }
    if (b.err)
        loader_problem(w->l, line_of(n), "%s is too long", name);
    else
        loader_put(w->l, str_of(name), buf_str(&b), line_of(n));
}

/* --- the tree --- */

static void unknown(struct walk *w, struct str name, unsigned line)
{
    struct str names[64], best;
    unsigned n = 0;

    for (unsigned i = 0; i < settings_n && n < ARRAY_LEN(names); i++)
        names[n++] = str_of(settings[i].name);
    if (text_nearest(name, names, n, &best, 1))
        loader_problem(w->l, line, "unknown setting " STR_FMT " (did you mean " STR_FMT "?)",
            STR_ARG(name), STR_ARG(best));
    else
        loader_problem(w->l, line, "unknown setting " STR_FMT, STR_ARG(name));
}

static void member(
    struct walk *w, const yaml_node_t *k, const yaml_node_t *v, char *name, size_t at, int depth)
{
    struct str key = scalar(w, k, "a setting's name");
    size_t n = at;

    if (w->nodes++ >= NODES_MAX) {
        if (w->nodes == NODES_MAX + 1)
            loader_problem(w->l, line_of(k), "the file has too many settings");
        return;
    }
    if (at == 0 && str_eq(key, STR("virtual_keys"))) {
        virtual_keys(w, v);
        return;
    }
    if (at == 0 && str_eq(key, STR("routing"))) {
        routing(w, v);
        return;
    }
    if (at == 0 && str_eq(key, STR("translation"))) {
        translation(w, v);
        return;
    }
    if (at + key.n + 2 >= NAME_MAX_) {
        loader_problem(w->l, line_of(k), "the name is too long");
        return;
    }
    if (at)
        name[n++] = '_';
    for (size_t i = 0; i < key.n; i++)
        name[n++] =
            key.p[i] == '-' || key.p[i] == '.' ? '_' : (char)toupper((unsigned char)key.p[i]);
    struct str whole = str_at(name, n);
    if (str_eq(whole, STR("MODEL_ALIASES")) || str_eq(whole, STR("SMARTFLOW_MODEL_ALIASES")))
        joined(w, "SMARTFLOW_MODEL_ALIASES", v);
    else if (str_eq(whole, STR("CORS_ORIGINS")) || str_eq(whole, STR("SMARTFLOW_CORS_ORIGINS")))
        joined(w, "SMARTFLOW_CORS_ORIGINS", v);
    else
        tree(w, v, name, n, depth + 1);
}

static void tree(struct walk *w, const yaml_node_t *n, char *name, size_t at, int depth)
{
    if (n->type == YAML_SCALAR_NODE && at) {
        struct str whole = arena_dup(&w->l->c->arena, str_at(name, at));
        if (!setting_is_known(whole))
            unknown(w, whole, line_of(n));
        else
            loader_put(w->l, whole, text_of(w, n), line_of(n));
        return;
    }
    if (n->type != YAML_MAPPING_NODE || depth > DEPTH_MAX) {
        loader_problem(w->l, line_of(n), "settings must be nested mappings of names");
        return;
    }
    for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++)
        member(w, yaml_document_get_node(w->doc, p->key), yaml_document_get_node(w->doc, p->value),
            name, at, depth);
}

void loader_yaml(struct loader *l)
{
    yaml_parser_t parser;
    yaml_document_t doc;
    char name[NAME_MAX_];
    FILE *f = fopen(l->path, "re");

    if (!f) {
        loader_problem(l, 0, "cannot read %s: %s", l->path, strerror(errno));
        return;
    }
    yaml_parser_initialize(&parser);
    yaml_parser_set_input_file(&parser, f);
    if (!yaml_parser_load(&parser, &doc)) {
        loader_problem(l, (unsigned)parser.problem_mark.line + 1, "not valid YAML: %s",
            parser.problem ? parser.problem : "cannot be read");
    } else {
        struct walk w = {.l = l, .doc = &doc};
        l->routing_tail = &l->routing;
        yaml_node_t *root = yaml_document_get_root_node(&doc);
        if (root)
            tree(&w, root, name, 0, 0);
        yaml_document_delete(&doc);
    }
    yaml_parser_delete(&parser);
    fclose(f);
}
