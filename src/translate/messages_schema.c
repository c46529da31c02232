/*
 * Schemas as Anthropic's models are held to them (output_config.format, strict tools). The grammar
 * that they become knows no limits of length or value, no oneOf and no open objects; a schema that
 * has such is refused. As Anthropic's own SDKs do, limits are told in the description instead,
 * oneOf becomes anyOf and objects are closed; here each is declared besides. A schema that needs
 * nothing of this passes as it came.
 */
#include "translate/messages_int.h"

#include "base/limits.h"
#include "base/macros.h"

struct schema_writer {
    struct canon_call *c;
    struct str called; /* the client's name of what holds the schema */
    struct jw w;
    int r;
};

static const struct str limits[] = {STR_INIT("maxItems"), STR_INIT("uniqueItems"),
    STR_INIT("contains"), STR_INIT("minContains"), STR_INIT("maxContains"), STR_INIT("prefixItems"),
    STR_INIT("minimum"), STR_INIT("maximum"), STR_INIT("exclusiveMinimum"),
    STR_INIT("exclusiveMaximum"), STR_INIT("multipleOf"), STR_INIT("minLength"),
    STR_INIT("maxLength"), STR_INIT("minProperties"), STR_INIT("maxProperties"),
    STR_INIT("patternProperties"), STR_INIT("propertyNames"), STR_INIT("dependentRequired"),
    STR_INIT("dependentSchemas"), STR_INIT("unevaluatedProperties"), STR_INIT("if"),
    STR_INIT("then"), STR_INIT("else"), STR_INIT("not")};

static const struct str formats[] = {STR_INIT("date-time"), STR_INIT("time"), STR_INIT("date"),
    STR_INIT("duration"), STR_INIT("email"), STR_INIT("hostname"), STR_INIT("uri"),
    STR_INIT("ipv4"), STR_INIT("ipv6"), STR_INIT("uuid")};

static bool is_among(const struct str *list, size_t n, struct str s)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(list[i], s))
            return true;
    return false;
}

static bool is_raw(yyjson_val *v, const char *digit)
{
    return yyjson_is_raw(v) && str_eq(str_at(yyjson_get_raw(v), yyjson_get_len(v)), str_of(digit));
}

/* A member that the grammar does not know. */
static bool is_limit(struct str key, yyjson_val *v)
{
    if (str_eq(key, STR("minItems")))
        return !is_raw(v, "0") && !is_raw(v, "1");
    if (str_eq(key, STR("format")))
        return yyjson_is_str(v) && !is_among(formats, ARRAY_LEN(formats), jr_str(v));
    return is_among(limits, ARRAY_LEN(limits), key);
}

static bool is_object_type(yyjson_val *schema)
{
    yyjson_val *type = yyjson_obj_get(schema, "type"), *one;
    size_t i, n;
    yyjson_arr_foreach(type, i, n, one)
    {
        if (str_eq(jr_str(one), STR("object")))
            return true;
    }
    return str_eq(jr_str(type), STR("object"));
}

/* Members that hold a schema, a list of them, or some by name. */
static bool holds_schemas(struct str key)
{
    static const struct str names[] = {STR_INIT("items"), STR_INIT("anyOf"), STR_INIT("allOf"),
        STR_INIT("oneOf"), STR_INIT("properties"), STR_INIT("$defs"), STR_INIT("definitions")};
    return is_among(names, ARRAY_LEN(names), key);
}

static bool is_by_name(struct str key)
{
    return str_eq(key, STR("properties")) || str_eq(key, STR("$defs")) ||
           str_eq(key, STR("definitions"));
}

/* --- does it pass as it is? --- */

static bool passes(yyjson_val *schema);

static bool all_pass(yyjson_val *v, bool by_name)
{
    size_t i, n;
    yyjson_val *key, *child;
    if (yyjson_is_obj(v) && !by_name)
        return passes(v);
    yyjson_obj_foreach(v, i, n, key, child)
    {
        if (!passes(child))
            return false;
    }
    yyjson_arr_foreach(v, i, n, child)
    {
        if (!passes(child))
            return false;
    }
    return true;
}

static bool passes(yyjson_val *schema)
{
    yyjson_val *more = yyjson_obj_get(schema, "additionalProperties"), *key, *v;
    size_t i, n;
    if (is_object_type(schema) && !(yyjson_is_bool(more) && !yyjson_get_bool(more)))
        return false;
    yyjson_obj_foreach(schema, i, n, key, v)
    {
        struct str name = jr_str(key);
        if (is_limit(name, v) || str_eq(name, STR("oneOf")))
            return false;
        if (holds_schemas(name) && !all_pass(v, is_by_name(name)))
            return false;
    }
    return true;
}

/* --- rewriting --- */

static void write_schema(struct schema_writer *sw, yyjson_val *schema);

static void write_children(struct schema_writer *sw, yyjson_val *v, bool by_name)
{
    size_t i, n;
    yyjson_val *key, *child;
    if (yyjson_is_arr(v)) {
        jw_open(&sw->w, '[');
        yyjson_arr_foreach(v, i, n, child)
        {
            write_schema(sw, child);
        }
        jw_close(&sw->w, ']');
    } else if (by_name && yyjson_is_obj(v)) {
        jw_open(&sw->w, '{');
        yyjson_obj_foreach(v, i, n, key, child)
        {
            jw_key_str(&sw->w, jr_str(key));
            write_schema(sw, child);
        }
        jw_close(&sw->w, '}');
    } else {
        write_schema(sw, v);
    }
}

static void declare(struct schema_writer *sw, struct str key)
{
    struct str name = arena_printf(
        sw->c->arena, STR_FMT "." STR_FMT, STR_ARG(sw->called), STR_ARG(str_to(key, 40)));
    if (sw->r == 0)
        sw->r = canon_drop(sw->c, name, "the model is not held to it, but told of it");
}

/* The description, with the limits that are left out. */
static void write_description(struct schema_writer *sw, yyjson_val *schema)
{
    _cleanup_(buf_free) struct buf text;
    struct str said = jr_get_str(schema, "description");
    size_t i, n, limits_n = 0;
    yyjson_val *key, *v;
    buf_init(&text, LIMIT_BODY_BYTES);
    buf_addstr(&text, said);
    yyjson_obj_foreach(schema, i, n, key, v)
    {
        if (!is_limit(jr_str(key), v) || (yyjson_is_bool(v) && !yyjson_get_bool(v)))
            continue;
        buf_addstr(&text, limits_n++ ? STR(", ") : said.n ? STR("\n\n{") : STR("{"));
        buf_addstr(&text, jr_str(key));
        buf_addstr(&text, STR(": "));
        buf_addstr(&text, jr_raw(sw->c->arena, v));
        declare(sw, jr_str(key));
    }
    if (limits_n)
        buf_addc(&text, '}');
    if (text.n)
        jw_member_str(&sw->w, "description", buf_str(&text));
}

static void write_member(struct schema_writer *sw, struct str key, yyjson_val *v)
{
    if (str_eq(key, STR("oneOf")))
        key = STR("anyOf");
    jw_key_str(&sw->w, key);
    if (holds_schemas(key))
        write_children(sw, v, is_by_name(key));
    else
        jw_raw(&sw->w, jr_raw(sw->c->arena, v));
}

static void write_schema(struct schema_writer *sw, yyjson_val *schema)
{
    yyjson_val *more = yyjson_obj_get(schema, "additionalProperties"), *key, *v;
    bool object = is_object_type(schema);
    size_t i, n;
    if (!yyjson_is_obj(schema)) {
        jw_raw(&sw->w, jr_raw(sw->c->arena, schema));
        return;
    }
    jw_open(&sw->w, '{');
    yyjson_obj_foreach(schema, i, n, key, v)
    {
        struct str name = jr_str(key);
        if (is_limit(name, v) || str_eq(name, STR("description")) || (object && v == more) ||
            (str_eq(name, STR("oneOf")) && yyjson_obj_get(schema, "anyOf")))
            continue;
        write_member(sw, name, v);
    }
    write_description(sw, schema);
    if (object)
        jw_member_bool(&sw->w, "additionalProperties", false);
    jw_close(&sw->w, '}');
    if (object && more && !(yyjson_is_bool(more) && !yyjson_get_bool(more)))
        declare(sw, STR("additionalProperties"));
    if (yyjson_obj_get(schema, "oneOf") && yyjson_obj_get(schema, "anyOf"))
        declare(sw, STR("oneOf"));
}

int messages_schema(struct canon_call *c, struct str raw, struct str called, struct str *ret)
{
    _cleanup_(buf_free) struct buf out;
    struct schema_writer sw = {.c = c, .called = called, .w.out = &out};
    const char *why;
    yyjson_val *schema = jr_parse(c->arena, raw, &why);
    buf_init(&out, LIMIT_BODY_BYTES);
    *ret = raw;
    if (!yyjson_is_obj(schema) || passes(schema))
        return 0;
    write_schema(&sw, schema);
    *ret = out.err ? STR_NONE : arena_dup(c->arena, buf_str(&out));
    return sw.r < 0 ? sw.r : ret->p ? 0 : canon_no_room(c);
}
