/*
 * JSON schema → Gemini's Schema. A node of the result is written from several layers of the source:
 * the object itself, what its $ref leads to, and the members of its allOf, each again with theirs.
 * A member is taken from the first layer that has it; properties and required are united.
 *
 * References are written out, so a small schema can stand for a huge or an endless one: a reference
 * that stands inside itself becomes a plain object, and the size of the result is bounded.
 */
#include "translate/gemini_schema.h"

#include "base/limits.h"
#include "base/macros.h"

#include <errno.h>

#define LAYERS_MAX   32
#define REQUIRED_MAX 4096
#define DEPTH_MAX    48 /* of the result; deeper than any that providers take */

struct writer {
    struct canon_call *c;
    struct str field;
    yyjson_val *root;
    bool ordered;
    struct jw w;
    const struct layers *open[DEPTH_MAX]; /* of the nodes that are being written */
    unsigned depth;
};

struct layers {
    yyjson_val *at[LAYERS_MAX];
    unsigned n;
    bool endless; /* it stands inside itself */
};

static int write_node(struct writer *s, yyjson_val *v, struct str description, bool nullable);

/* --- layers --- */

/* "#/$defs/name": a path of member names and list indices from the root. */
static yyjson_val *resolve(struct writer *s, struct str ref)
{
    yyjson_val *v = s->root;
    if (!ref.n || ref.p[0] != '#')
        return NULL;
    str_split(&ref, '/');
    while (v && ref.p) {
        struct str part = str_split(&ref, '/');
        char name[256];
        size_t n = 0;
        for (size_t i = 0; i < part.n && n < sizeof(name); i++) {
            bool escape = part.p[i] == '~' && i + 1 < part.n;
            name[n++] = escape ? (part.p[++i] == '1' ? '/' : '~') : part.p[i];
        }
        uint64_t index = 0;
        if (yyjson_is_arr(v))
            v = str_u64(part, &index) == 0 ? yyjson_arr_get(v, index) : NULL;
        else
            v = yyjson_obj_getn(v, name, n);
    }
    return v;
}

static bool is_open(const struct writer *s, const yyjson_val *v)
{
    for (unsigned i = 0; i < s->depth; i++)
        for (unsigned k = 0; k < s->open[i]->n; k++)
            if (s->open[i]->at[k] == v)
                return true;
    return false;
}

static void add_layer(struct writer *s, struct layers *l, yyjson_val *v)
{
    for (unsigned i = 0; i < l->n; i++)
        if (l->at[i] == v)
            return;
    if (!yyjson_is_obj(v) || l->n == LAYERS_MAX)
        return;
    if (is_open(s, v)) {
        l->endless = true;
        return;
    }
    l->at[l->n++] = v;
    struct str ref = jr_get_str(v, "$ref");
    if (ref.n)
        add_layer(s, l, resolve(s, ref));
    yyjson_val *all = yyjson_obj_get(v, "allOf"), *item;
    size_t i, n;
    yyjson_arr_foreach(all, i, n, item) add_layer(s, l, item);
}

static yyjson_val *first(const struct layers *l, const char *name)
{
    yyjson_val *v = NULL;
    for (unsigned i = 0; i < l->n && !v; i++)
        v = yyjson_obj_get(l->at[i], name);
    return v;
}

/* --- types --- */

enum type { NONE, STRING, INTEGER, NUMBER, BOOLEAN, ARRAY, OBJECT, NIL, TYPES };

static const struct str type_names[TYPES] = {
    [STRING] = STR_INIT("STRING"),
    [INTEGER] = STR_INIT("INTEGER"),
    [NUMBER] = STR_INIT("NUMBER"),
    [BOOLEAN] = STR_INIT("BOOLEAN"),
    [ARRAY] = STR_INIT("ARRAY"),
    [OBJECT] = STR_INIT("OBJECT"),
    [NIL] = STR_INIT("NULL"),
};

static enum type type_of(struct str name)
{
    for (unsigned t = STRING; t < TYPES; t++)
        if (str_ieq(type_names[t], name))
            return t;
    return NONE;
}

/* The types that a "type" names, as bits; *ret_first is the first that is not null. */
static unsigned types_in(yyjson_val *v, enum type *ret_first)
{
    unsigned set = 0;
    size_t i, n;
    yyjson_val *item;
    enum type t = type_of(jr_str(v));
    *ret_first = NONE;
    if (t != NONE) {
        *ret_first = t == NIL ? NONE : t;
        return 1u << t;
    }
    yyjson_arr_foreach(v, i, n, item)
    {
        t = type_of(jr_str(item));
        if (t != NONE)
            set |= 1u << t;
        if (*ret_first == NONE && t != NIL)
            *ret_first = t;
    }
    return set;
}

/* Where no type stands, what else stands tells. */
static enum type guess(const struct layers *l)
{
    if (l->endless || first(l, "properties"))
        return OBJECT;
    if (first(l, "items") || first(l, "prefixItems"))
        return ARRAY;
    yyjson_val *value = first(l, "const");
    if (!value)
        value = yyjson_arr_get_first(first(l, "enum"));
    if (yyjson_is_bool(value))
        return BOOLEAN;
    if (yyjson_is_raw(value))
        return NUMBER;
    return STRING; /* anything: Gemini wants a type */
}

static bool is_null_schema(yyjson_val *v)
{
    return str_eq(jr_get_str(v, "type"), STR("null"));
}

/* --- members --- */

static void write_enum(struct writer *s, const struct layers *l, bool *nullable)
{
    yyjson_val *value = first(l, "const"), *list = first(l, "enum"), *item;
    size_t i, n;
    bool any = yyjson_is_str(value);
    if (any) {
        jw_key(&s->w, "enum");
        jw_open(&s->w, '[');
        jw_str(&s->w, jr_str(value));
        jw_close(&s->w, ']');
        return;
    }
    yyjson_arr_foreach(list, i, n, item)
    {
        if (yyjson_is_null(item))
            *nullable = true;
        if (!yyjson_is_str(item) || yyjson_get_len(item) == 0)
            continue;
        if (!any) {
            jw_key(&s->w, "enum");
            jw_open(&s->w, '[');
        }
        any = true;
        jw_str(&s->w, jr_str(item));
    }
    if (any)
        jw_close(&s->w, ']');
}

static void copy(struct writer *s, const struct layers *l, const char *name)
{
    yyjson_val *v = first(l, name);
    if (yyjson_is_raw(v) || yyjson_is_str(v))
        jw_member_raw(&s->w, name, jr_raw(s->c->arena, v));
}

static void copy_format(struct writer *s, const struct layers *l, enum type t)
{
    struct str f = jr_str(first(l, "format"));
    if (t == STRING && (str_eq(f, STR("enum")) || str_eq(f, STR("date-time"))))
        jw_member_str(&s->w, "format", f);
    if (t == INTEGER && (str_eq(f, STR("int32")) || str_eq(f, STR("int64"))))
        jw_member_str(&s->w, "format", f);
    if (t == NUMBER && (str_eq(f, STR("float")) || str_eq(f, STR("double"))))
        jw_member_str(&s->w, "format", f);
}

/* Whether an earlier layer has this property, too. */
static bool is_repeated(const struct layers *l, unsigned layer, struct str name)
{
    for (unsigned i = 0; i < layer; i++)
        if (yyjson_obj_getn(yyjson_obj_get(l->at[i], "properties"), name.p, name.n))
            return true;
    return false;
}

static bool has_property(const struct layers *l, struct str name)
{
    return is_repeated(l, l->n, name);
}

/* Opens a list named key before its first entry. */
static void list_entry(struct writer *s, const char *key, bool *any, struct str entry)
{
    if (!*any) {
        jw_key(&s->w, key);
        jw_open(&s->w, '[');
    }
    *any = true;
    jw_str(&s->w, entry);
}

static void write_required(struct writer *s, const struct layers *l)
{
    bool any = false;
    yyjson_val *item;
    size_t k, n;
    for (unsigned i = 0; i < l->n; i++) {
        yyjson_val *list = yyjson_obj_get(l->at[i], "required");
        yyjson_arr_foreach(list, k, n, item)
        {
            struct str name = jr_str(item);
            if (k == REQUIRED_MAX)
                break;
            if (name.p && has_property(l, name)) /* Gemini refuses names of no property */
                list_entry(s, "required", &any, name);
        }
    }
    if (any)
        jw_close(&s->w, ']');
}

static void write_order(struct writer *s, const struct layers *l)
{
    bool any = false;
    yyjson_val *key, *v;
    size_t k, n;
    for (unsigned i = 0; i < l->n; i++) {
        yyjson_val *props = yyjson_obj_get(l->at[i], "properties");
        yyjson_obj_foreach(props, k, n, key, v)
        {
            if (!is_repeated(l, i, jr_str(key)))
                list_entry(s, "propertyOrdering", &any, jr_str(key));
        }
    }
    if (any)
        jw_close(&s->w, ']');
}

static int write_properties(struct writer *s, const struct layers *l)
{
    bool any = false;
    yyjson_val *key, *v;
    size_t k, n;
    for (unsigned i = 0; i < l->n; i++) {
        yyjson_val *props = yyjson_obj_get(l->at[i], "properties");
        yyjson_obj_foreach(props, k, n, key, v)
        {
            if (is_repeated(l, i, jr_str(key)))
                continue;
            if (!any) {
                jw_key(&s->w, "properties");
                jw_open(&s->w, '{');
            }
            any = true;
            jw_key_str(&s->w, jr_str(key));
            int r = write_node(s, v, STR_NONE, false);
            if (r < 0)
                return r;
        }
    }
    if (any)
        jw_close(&s->w, '}');
    write_required(s, l);
    if (s->ordered)
        write_order(s, l);
    copy(s, l, "minProperties");
    copy(s, l, "maxProperties");
    return 0;
}

static int write_items(struct writer *s, const struct layers *l)
{
    yyjson_val *items = first(l, "items");
    if (!yyjson_is_obj(items)) /* a tuple is a list of what comes first in it */
        items = yyjson_arr_get_first(yyjson_is_arr(items) ? items : first(l, "prefixItems"));
    jw_key(&s->w, "items");
    int r = write_node(s, items, STR_NONE, false);
    copy(s, l, "minItems");
    copy(s, l, "maxItems");
    return r;
}

static int write_typed(
    struct writer *s, const struct layers *l, enum type t, struct str description, bool nullable)
{
    int r = 0;
    jw_open(&s->w, '{');
    jw_member_str(&s->w, "type", type_names[t]);
    copy_format(s, l, t);
    jw_member_str(&s->w, "title", jr_str(first(l, "title")));
    jw_member_str(&s->w, "description", description);
    if (t == STRING) {
        write_enum(s, l, &nullable);
        copy(s, l, "minLength");
        copy(s, l, "maxLength");
        copy(s, l, "pattern");
    } else if (t == INTEGER || t == NUMBER) {
        copy(s, l, "minimum");
        copy(s, l, "maximum");
    } else if (t == ARRAY) {
        r = write_items(s, l);
    } else if (t == OBJECT) {
        r = write_properties(s, l);
    }
    if (nullable)
        jw_member_bool(&s->w, "nullable", true);
    jw_close(&s->w, '}');
    return r;
}

/* --- choices --- */

/* One of several types: one branch each, and the rest of the node in every one of them. */
static int write_types(
    struct writer *s, const struct layers *l, unsigned set, struct str description, bool nullable)
{
    int r = 0;
    jw_open(&s->w, '{');
    jw_key(&s->w, "anyOf");
    jw_open(&s->w, '[');
    for (unsigned t = STRING; t < NIL && r == 0; t++)
        if (set & 1u << t)
            r = write_typed(s, l, t, description, nullable);
    jw_close(&s->w, ']');
    jw_close(&s->w, '}');
    return r;
}

/* anyOf stands alone in a Schema: what is said beside it goes into the branches. A branch "null"
 * makes the others nullable; a branch that is left alone takes the node's place. */
static int write_any(struct writer *s, yyjson_val *any, struct str description, bool nullable)
{
    yyjson_val *item, *only = NULL;
    unsigned branches = 0;
    size_t i, n;
    int r = 0;
    yyjson_arr_foreach(any, i, n, item)
    {
        nullable |= is_null_schema(item);
        if (is_null_schema(item))
            continue;
        branches++;
        only = item;
    }
    if (branches <= 1)
        return write_node(s, only, description, nullable);
    jw_open(&s->w, '{');
    jw_key(&s->w, "anyOf");
    jw_open(&s->w, '[');
    yyjson_arr_foreach(any, i, n, item)
    {
        if (r == 0 && !is_null_schema(item))
            r = write_node(s, item, description, nullable);
    }
    jw_close(&s->w, ']');
    jw_close(&s->w, '}');
    return r;
}

static int write_layers(
    struct writer *s, const struct layers *l, struct str description, bool nullable)
{
    enum type t;
    yyjson_val *any = first(l, "anyOf");
    struct str own = jr_str(first(l, "description"));
    if (!any)
        any = first(l, "oneOf");
    if (own.n)
        description = own;
    nullable |= yyjson_get_bool(first(l, "nullable"));
    unsigned set = types_in(first(l, "type"), &t);
    nullable |= set & 1u << NIL;
    set &= ~(1u << NIL);
    if (yyjson_arr_size(any) && !first(l, "properties"))
        return write_any(s, any, description, nullable);
    if (set & (set - 1))
        return write_types(s, l, set, description, nullable);
    return write_typed(s, l, t == NONE ? guess(l) : t, description, nullable);
}

/* Anything that is no object (true, {}, nothing) says nothing: a text. */
static int write_node(struct writer *s, yyjson_val *v, struct str description, bool nullable)
{
    struct layers l = {0};
    if (s->depth == DEPTH_MAX)
        return canon_fail(s->c, s->field,
            "The schema in '" STR_FMT "' is nested too deep for this "
            "provider.",
            STR_ARG(s->field));
    if (s->w.out->err)
        return canon_fail(s->c, s->field,
            "The schema in '" STR_FMT "' is too large for this "
            "provider.",
            STR_ARG(s->field));
    add_layer(s, &l, v);
    s->open[s->depth++] = &l;
    int r = write_layers(s, &l, description, nullable);
    s->depth--;
    return r;
}

/* An object of which nothing is said: Gemini refuses it as a function's parameters. */
static bool is_bare_object(struct writer *s, yyjson_val *v)
{
    struct layers l = {0};
    add_layer(s, &l, v);
    if (l.n != 1 || first(&l, "anyOf") || first(&l, "oneOf"))
        return false;
    return yyjson_obj_size(v) == 0 || (str_eq(jr_str(first(&l, "type")), STR("object")) &&
                                          yyjson_obj_size(first(&l, "properties")) == 0);
}

int gemini_schema_write(
    struct canon_call *c, struct str schema, struct str field, bool ordered, struct str *ret)
{
    _cleanup_(buf_free) struct buf text;
    const char *why = "";
    struct writer s = {.c = c, .field = field, .ordered = ordered, .w = {.out = &text}};
    buf_init(&text, GEMINI_SCHEMA_MAX);
    *ret = STR_NONE;
    s.root = jr_parse(c->arena, schema, &why);
    if (!s.root)
        return canon_no_room(c); /* it was valid when it was read */
    if (!yyjson_is_obj(s.root))
        return canon_fail(c, field, "'" STR_FMT "' must be a JSON schema.", STR_ARG(field));
    if (is_bare_object(&s, s.root))
        return 0;
    int r = write_node(&s, s.root, STR_NONE, false);
    if (r == 0 && text.err)
        r = canon_fail(c, field, "The schema in '" STR_FMT "' is too large for this provider.",
            STR_ARG(field));
    if (r < 0)
        return r;
    *ret = arena_dup(c->arena, buf_str(&text));
    return ret->p ? 0 : canon_no_room(c);
}
