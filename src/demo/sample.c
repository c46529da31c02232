/*
 * A value for a JSON Schema: the arguments of a demo tool call and structured answers. It knows
 * what tool and answer schemas use (type, enum, const, properties, items, $ref below the same root,
 * anyOf, bounds of numbers and lengths); it is no validator.
 */
#include "demo/demo_int.h"

#define SAMPLE_DEPTH 8

static void sample(struct buf *out, struct str root, struct str schema, unsigned depth);

/* "#/$defs/Name" or "#/definitions/Name". */
static struct str resolve(struct str root, struct str ref)
{
    struct str path = unquoted(ref);
    if (!str_starts(path, STR("#/")))
        return STR_NONE;
    path = str_from(path, 2);
    while (root.p && path.n)
        root = json_find(root, str_split(&path, '/'));
    return root;
}

static struct str first_item(struct str array)
{
    struct str key, item;
    size_t at = json_inside(array);
    return at && json_next(array, &at, &key, &item) ? item : STR_NONE;
}

static void sample_object(struct buf *out, struct str root, struct str schema, unsigned depth)
{
    struct str list = json_find(schema, STR("properties")), key, item;
    bool first = true;
    buf_addc(out, '{');
    if (json_type_of(list) == JSON_OBJECT && depth < SAMPLE_DEPTH)
        for (size_t at = json_inside(list); json_next(list, &at, &key, &item); first = false) {
            buf_addstr(out, first ? STR("\"") : STR(", \""));
            buf_addstr(out, key);
            buf_addstr(out, STR("\": "));
            sample(out, root, item, depth + 1);
        }
    buf_addc(out, '}');
}

static void sample_array(struct buf *out, struct str root, struct str schema, unsigned depth)
{
    struct str item = json_find(schema, STR("items"));
    uint64_t n = value_u64(unquoted(json_find(schema, STR("minItems"))), 0);
    if (n == 0)
        n = value_u64(json_find(schema, STR("minItems")), 1);
    n = MAX(MIN(n, (uint64_t)8), (uint64_t)1);
    buf_addc(out, '[');
    for (uint64_t i = 0; item.p && depth < SAMPLE_DEPTH / 2 && i < n; i++) {
        buf_addstr(out, i ? STR(", ") : STR(""));
        sample(out, root, item, depth + 1);
    }
    buf_addc(out, ']');
}

static void sample_string(struct buf *out, struct str schema)
{
    struct str format = json_find(schema, STR("format"));
    uint64_t least = value_u64(json_find(schema, STR("minLength")), 0);
    if (literal_is(format, STR("date-time")))
        buf_addstr(out, STR("\"" DEMO_DATE "\""));
    else if (literal_is(format, STR("date")))
        buf_addstr(out, STR("\"2023-11-14\""));
    else if (literal_is(format, STR("email")))
        buf_addstr(out, STR("\"demo@example.com\""));
    else {
        buf_addstr(out, STR("\"demo"));
        for (uint64_t i = 4; i < MIN(least, (uint64_t)4096); i++)
            buf_addc(out, 'o');
        buf_addc(out, '"');
    }
}

static void sample_number(struct buf *out, struct str schema)
{
    struct str least = json_find(schema, STR("minimum")), most = json_find(schema, STR("maximum"));
    if (json_type_of(least) == JSON_NUMBER)
        buf_addstr(out, least);
    else if (json_type_of(most) == JSON_NUMBER)
        buf_addstr(out, most);
    else
        buf_addstr(out, STR("1"));
}

static void sample_type(
    struct buf *out, struct str root, struct str schema, struct str type, unsigned depth)
{
    if (str_ieq(type, STR("object")) || (!type.n && json_find(schema, STR("properties")).p))
        sample_object(out, root, schema, depth);
    else if (str_ieq(type, STR("array")))
        sample_array(out, root, schema, depth);
    else if (str_ieq(type, STR("integer")) || str_ieq(type, STR("number")))
        sample_number(out, schema);
    else if (str_ieq(type, STR("boolean")))
        buf_addstr(out, STR("true"));
    else if (str_ieq(type, STR("null")))
        buf_addstr(out, STR("null"));
    else
        sample_string(out, schema);
}

static void sample(struct buf *out, struct str root, struct str schema, unsigned depth)
{
    static const struct str choices[] = {STR_INIT("anyOf"), STR_INIT("oneOf"), STR_INIT("allOf")};
    struct str v = json_find(schema, STR("const"));
    if (!v.p)
        v = first_item(json_find(schema, STR("enum")));
    if (v.p) {
        buf_addstr(out, v);
        return;
    }
    struct str next = resolve(root, json_find(schema, STR("$ref")));
    for (unsigned i = 0; !next.p && i < ARRAY_LEN(choices); i++)
        next = first_item(json_find(schema, choices[i]));
    if (next.p && depth < SAMPLE_DEPTH) {
        sample(out, root, next, depth + 1);
        return;
    }
    struct str type = json_find(schema, STR("type"));
    if (json_type_of(type) == JSON_ARRAY)
        type = first_item(type);
    sample_type(out, root, schema, unquoted(type), depth);
}

void sample_json(struct buf *out, struct str schema)
{
    if (json_type_of(schema) == JSON_OBJECT)
        sample(out, schema, schema, 0);
    else
        buf_addstr(out, STR("{}"));
}
