/*
 * The optional YAML file. Mappings nest: their keys, joined by underscores and in capitals, are the
 * variables' names (proxy: {port: 7775} is PROXY_PORT), so that the file and the environment have
 * one vocabulary. Three names are lists or tables of their own: virtual_keys, model_aliases,
 * cors_origins.
 */
#include "config/settings_int.h"
#include "text/nearest.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <yaml.h>

#define NAME_MAX_ 160
#define DEPTH_MAX 8
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

/* A sequence of scalars into an arena array. */
static unsigned list(struct walk *w, const yaml_node_t *n, const char *what, const struct str **ret)
{
    unsigned count = 0;

    if (n->type != YAML_SEQUENCE_NODE) {
        loader_problem(w->l, line_of(n), "%s must be a list", what);
        return 0;
    }
    size_t items = (size_t)(n->data.sequence.items.top - n->data.sequence.items.start);
    struct str *out = arena_alloc(&w->l->c->arena, items * sizeof *out + 1);
    for (size_t i = 0; out && i < items; i++)
        out[count++] =
            scalar(w, yaml_document_get_node(w->doc, n->data.sequence.items.start[i]), what);
    *ret = out;
    return count;
}

/* --- virtual_keys --- */

static void is_active(struct walk *w, struct virtual_key *k, const yaml_node_t *v)
{
    struct str text = scalar(w, v, "is_active");

    if (v->type == YAML_SCALAR_NODE && setting_bool(text, &k->subject.is_active) < 0)
        loader_problem(
            w->l, line_of(v), "is_active must be true or false, not '" STR_FMT "'", STR_ARG(text));
}

static void key_member(
    struct walk *w, struct virtual_key_row *row, struct str name, const yaml_node_t *v)
{
    struct virtual_key *k = &row->key;

    if (str_eq(name, STR("name")))
        k->subject.name = scalar(w, v, "name");
    else if (str_eq(name, STR("key")))
        row->secret = scalar(w, v, "key");
    else if (str_eq(name, STR("model_allowlist")))
        k->models.n = list(w, v, "model_allowlist", &k->models.at);
    else if (str_eq(name, STR("provider_allowlist")))
        k->providers.n = list(w, v, "provider_allowlist", &k->providers.at);
    else if (str_eq(name, STR("is_active")))
        is_active(w, k, v);
    else
        loader_problem(w->l, line_of(v),
            "a virtual key has no field '" STR_FMT "' (name, key, model_allowlist, "
            "provider_allowlist, is_active)",
            STR_ARG(name));
}

static void one_key(struct walk *w, const yaml_node_t *n)
{
    if (n->type != YAML_MAPPING_NODE) {
        loader_problem(w->l, line_of(n), "a virtual key must be a mapping with name and key");
        return;
    }
    struct virtual_key_row *row = arena_new(&w->l->c->arena, struct virtual_key_row);
    if (!row)
        return;
    row->line = line_of(n);
    row->key.subject.is_active = true;
    for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++)
        key_member(w, row, scalar(w, yaml_document_get_node(w->doc, p->key), "a field's name"),
            yaml_document_get_node(w->doc, p->value));
    if (!row->secret.n || !row->key.subject.name.n)
        loader_problem(w->l, row->line, "a virtual key needs a name and a key");
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
        const struct str *items;
        unsigned count = list(w, n, name, &items);
        for (unsigned i = 0; i < count; i++) {
            buf_addstr(&b, i ? STR(",") : STR(""));
            buf_addstr(&b, items[i]);
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

static void tree(struct walk *w, const yaml_node_t *n, char *name, size_t name_n, int depth);

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
        yaml_node_t *root = yaml_document_get_root_node(&doc);
        if (root)
            tree(&w, root, name, 0, 0);
        yaml_document_delete(&doc);
    }
    yaml_parser_delete(&parser);
    fclose(f);
}
