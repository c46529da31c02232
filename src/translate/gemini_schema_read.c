/*
 * Gemini's Schema → JSON schema: types in small letters, nullable as a second type, numbers that
 * protocol buffers write as texts as numbers.
 */
#include "translate/gemini_int.h"
#include "translate/gemini_schema.h"

#include "base/limits.h"
#include "base/macros.h"

static void put_schema(struct canon_call *c, struct jw *w, yyjson_val *v);

static void put_lower(struct jw *w, struct str s)
{
    char small[16];
    size_t n = MIN(s.n, sizeof(small));
    for (size_t i = 0; i < n; i++)
        small[i] = (char)(s.p[i] >= 'A' && s.p[i] <= 'Z' ? s.p[i] | 0x20 : s.p[i]);
    jw_str(w, str_at(small, n));
}

static void put_type(struct jw *w, struct str type, bool nullable)
{
    if (str_ieq(type, STR("TYPE_UNSPECIFIED")))
        return;
    jw_key(w, "type");
    if (nullable)
        jw_open(w, '[');
    put_lower(w, type);
    if (!nullable)
        return;
    jw_str(w, STR("null"));
    jw_close(w, ']');
}

static void put_enum(struct canon_call *c, struct jw *w, yyjson_val *list, bool nullable)
{
    size_t i, n;
    yyjson_val *item;
    jw_key(w, "enum");
    jw_open(w, '[');
    yyjson_arr_foreach(list, i, n, item) jw_raw(w, jr_raw(c->arena, item));
    if (nullable)
        jw_null(w);
    jw_close(w, ']');
}

static void put_any(struct canon_call *c, struct jw *w, yyjson_val *list, bool nullable)
{
    size_t i, n;
    yyjson_val *item;
    jw_key(w, "anyOf");
    jw_open(w, '[');
    yyjson_arr_foreach(list, i, n, item) put_schema(c, w, item);
    if (nullable)
        jw_raw(w, STR("{\"type\":\"null\"}"));
    jw_close(w, ']');
}

static void put_map(struct canon_call *c, struct jw *w, const char *name, yyjson_val *map)
{
    size_t i, n;
    yyjson_val *key, *v;
    jw_key(w, name);
    jw_open(w, '{');
    yyjson_obj_foreach(map, i, n, key, v)
    {
        jw_key_str(w, jr_str(key));
        put_schema(c, w, v);
    }
    jw_close(w, '}');
}

static bool is_digits(struct str s)
{
    uint64_t n;
    return str_u64(s, &n) == 0;
}

/* Members whose values are as in JSON schema, but for numbers in quotes. */
static bool put_plain(struct canon_call *c, struct jw *w, struct str key, yyjson_val *v)
{
    static const char *const counts[] = {
        "minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"};
    for (unsigned i = 0; i < ARRAY_LEN(counts); i++) {
        if (!gm_name_is(key, counts[i]))
            continue;
        jw_key(w, counts[i]);
        jw_raw(w, is_digits(jr_str(v)) ? jr_str(v) : jr_raw(c->arena, v));
        return true;
    }
    return false;
}

static void put_member(
    struct canon_call *c, struct jw *w, struct str key, yyjson_val *v, bool nullable)
{
    if (gm_name_is(key, "propertyOrdering") || str_eq(key, STR("nullable")) ||
        str_eq(key, STR("example")) || yyjson_is_null(v))
        return;
    if (str_eq(key, STR("type")) && yyjson_is_str(v))
        put_type(w, jr_str(v), nullable);
    else if (str_eq(key, STR("enum")) && yyjson_is_arr(v))
        put_enum(c, w, v, nullable);
    else if (gm_name_is(key, "anyOf") && yyjson_is_arr(v))
        put_any(c, w, v, nullable);
    else if (str_eq(key, STR("properties")) && yyjson_is_obj(v))
        put_map(c, w, "properties", v);
    else if ((str_eq(key, STR("items")) || gm_name_is(key, "additionalProperties")) &&
             yyjson_is_obj(v)) {
        jw_key(w, str_eq(key, STR("items")) ? "items" : "additionalProperties");
        put_schema(c, w, v);
    } else if (str_eq(key, STR("defs")) && yyjson_is_obj(v)) {
        put_map(c, w, "$defs", v);
    } else if (!put_plain(c, w, key, v)) {
        jw_key_str(w, str_eq(key, STR("ref")) ? STR("$ref") : key);
        jw_raw(w, jr_raw(c->arena, v));
    }
}

/* As deep as the text it was read from, which is bounded. */
static void put_schema(struct canon_call *c, struct jw *w, yyjson_val *v)
{
    size_t i, n;
    yyjson_val *key, *child;
    if (!yyjson_is_obj(v)) {
        jw_raw(w, jr_raw(c->arena, v));
        return;
    }
    bool nullable = yyjson_get_bool(yyjson_obj_get(v, "nullable"));
    jw_open(w, '{');
    yyjson_obj_foreach(v, i, n, key, child) put_member(c, w, jr_str(key), child, nullable);
    jw_close(w, '}');
}

struct str gemini_schema_read(struct canon_call *c, yyjson_val *schema)
{
    _cleanup_(buf_free) struct buf text;
    struct jw w = {.out = &text};
    buf_init(&text, LIMIT_BODY_BYTES);
    put_schema(c, &w, schema);
    return text.err ? STR_NONE : arena_dup(c->arena, buf_str(&text));
}
