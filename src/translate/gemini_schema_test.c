/* Schemas, both ways: one row a rule. */
#include "translate/gemini_schema.h"

#include "base/limits.h"
#include "base/macros.h"
#include "base/tap.h"

#include <stdio.h>

static struct arena arena;
static struct canon_call call;
static struct error error;

static void setup(void)
{
    arena_free(&arena);
    arena_init(&arena, NULL, 0, 8 * MIB);
    error = (struct error){0};
    canon_call_init(&call, &arena, &error);
}

struct row {
    const char *json, *schema;
};

static const struct row rows[] = {
    {"{\"type\":\"string\"}", "{\"type\":\"STRING\"}"},
    {"{\"type\":\"string\",\"title\":\"T\",\"description\":\"d\",\"minLength\":1,\"maxLength\":9,"
     "\"pattern\":\"^a\"}",
        "{\"type\":\"STRING\",\"title\":\"T\",\"description\":\"d\",\"minLength\":1,\"maxLength\":"
        "9,"
        "\"pattern\":\"^a\"}"},
    /* numbers keep their digits */
    {"{\"type\":\"number\",\"minimum\":0.10,\"maximum\":1e3}",
        "{\"type\":\"NUMBER\",\"minimum\":0.10,\"maximum\":1e3}"},
    /* what Gemini does not know is left out */
    {"{\"$schema\":\"x\",\"$id\":\"y\",\"type\":\"object\",\"additionalProperties\":false,"
     "\"properties\":{\"a\":{\"type\":\"integer\",\"exclusiveMinimum\":1,\"default\":3}},"
     "\"required\":[\"a\"]}",
        "{\"type\":\"OBJECT\",\"properties\":{\"a\":{\"type\":\"INTEGER\"}},\"required\":[\"a\"]}"},
    /* names of no property are refused by Gemini */
    {"{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}},\"required\":[\"a\",\"b\"]"
     "}",
        "{\"type\":\"OBJECT\",\"properties\":{\"a\":{\"type\":\"STRING\"}},\"required\":[\"a\"]}"},
    /* const → enum */
    {"{\"const\":\"x\"}", "{\"type\":\"STRING\",\"enum\":[\"x\"]}"},
    {"{\"type\":\"string\",\"enum\":[\"a\",\"\",\"b\"]}",
        "{\"type\":\"STRING\",\"enum\":[\"a\",\"b\"]}"},
    {"{\"enum\":[\"a\",null]}", "{\"type\":\"STRING\",\"enum\":[\"a\"],\"nullable\":true}"},
    /* enums of other types than text are no enums to Gemini */
    {"{\"type\":\"integer\",\"enum\":[1,2]}", "{\"type\":\"INTEGER\"}"},
    /* lists of types */
    {"{\"type\":[\"string\",\"null\"]}", "{\"type\":\"STRING\",\"nullable\":true}"},
    {"{\"type\":[\"string\",\"integer\"]}",
        "{\"anyOf\":[{\"type\":\"STRING\"},{\"type\":\"INTEGER\"}]}"},
    {"{\"type\":[\"string\",\"integer\",\"null\"],\"description\":\"d\"}",
        "{\"anyOf\":[{\"type\":\"STRING\",\"description\":\"d\",\"nullable\":true},"
        "{\"type\":\"INTEGER\",\"description\":\"d\",\"nullable\":true}]}"},
    /* anyOf: null is no branch, and a branch alone is the node */
    {"{\"anyOf\":[{\"type\":\"integer\"},{\"type\":\"null\"}],\"description\":\"d\"}",
        "{\"type\":\"INTEGER\",\"description\":\"d\",\"nullable\":true}"},
    {"{\"oneOf\":[{\"type\":\"integer\"},{\"type\":\"string\",\"description\":\"s\"}],"
     "\"description\":\"d\"}",
        "{\"anyOf\":[{\"type\":\"INTEGER\",\"description\":\"d\"},"
        "{\"type\":\"STRING\",\"description\":\"s\"}]}"},
    /* formats */
    {"{\"type\":\"string\",\"format\":\"date-time\"}",
        "{\"type\":\"STRING\",\"format\":\"date-time\"}"},
    {"{\"type\":\"string\",\"format\":\"uuid\"}", "{\"type\":\"STRING\"}"},
    {"{\"type\":\"integer\",\"format\":\"int64\"}", "{\"type\":\"INTEGER\",\"format\":\"int64\"}"},
    /* arrays need items */
    {"{\"type\":\"array\"}", "{\"type\":\"ARRAY\",\"items\":{\"type\":\"STRING\"}}"},
    {"{\"items\":{\"type\":\"boolean\"},\"maxItems\":2}",
        "{\"type\":\"ARRAY\",\"items\":{\"type\":\"BOOLEAN\"},\"maxItems\":2}"},
    {"{\"type\":\"array\",\"prefixItems\":[{\"type\":\"number\"},{\"type\":\"string\"}]}",
        "{\"type\":\"ARRAY\",\"items\":{\"type\":\"NUMBER\"}}"},
    /* $ref is written out; what stands beside it wins */
    {"{\"type\":\"object\",\"properties\":{\"p\":{\"$ref\":\"#/$defs/"
     "P\",\"description\":\"mine\"}},"
     "\"$defs\":{\"P\":{\"type\":\"string\",\"description\":\"theirs\",\"maxLength\":3}}}",
        "{\"type\":\"OBJECT\",\"properties\":{\"p\":{\"type\":\"STRING\",\"description\":\"mine\","
        "\"maxLength\":3}}}"},
    {"{\"type\":\"object\",\"properties\":{\"p\":{\"$ref\":\"#/definitions/a~1b\"}},"
     "\"definitions\":{\"a/b\":{\"type\":\"boolean\"}}}",
        "{\"type\":\"OBJECT\",\"properties\":{\"p\":{\"type\":\"BOOLEAN\"}}}"},
    /* a reference that leads nowhere says nothing */
    {"{\"type\":\"object\",\"properties\":{\"p\":{\"$ref\":\"#/$defs/none\"}}}",
        "{\"type\":\"OBJECT\",\"properties\":{\"p\":{\"type\":\"STRING\"}}}"},
    /* endless ones end */
    {"{\"$ref\":\"#/$defs/"
     "N\",\"$defs\":{\"N\":{\"type\":\"object\",\"properties\":{\"v\":{\"type\":"
     "\"integer\"},\"next\":{\"$ref\":\"#/$defs/N\"}}}}}",
        "{\"type\":\"OBJECT\",\"properties\":{\"v\":{\"type\":\"INTEGER\"},"
        "\"next\":{\"type\":\"OBJECT\"}}}"},
    /* allOf is flattened */
    {"{\"allOf\":[{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"string\"}},\"required\":"
     "[\"a\"]},{\"properties\":{\"b\":{\"type\":\"integer\"},\"a\":{\"type\":\"number\"}},"
     "\"required\":[\"b\"]}]}",
        "{\"type\":\"OBJECT\",\"properties\":{\"a\":{\"type\":\"STRING\"},\"b\":{\"type\":"
        "\"INTEGER\"}},\"required\":[\"a\",\"b\"]}"},
    /* anything is a text */
    {"{\"type\":\"object\",\"properties\":{\"x\":true,\"y\":{}}}",
        "{\"type\":\"OBJECT\",\"properties\":{\"x\":{\"type\":\"STRING\"},\"y\":{\"type\":"
        "\"STRING\"}}}"},
    /* an object of nothing is no schema */
    {"{\"type\":\"object\",\"properties\":{}}", NULL},
    {"{}", NULL},
};

static void test_write(void)
{
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct str got;
        setup();
        CHECK_EQ(gemini_schema_write(&call, str_of(rows[i].json), STR("f"), false, &got), 0);
        CHECK_STR(got.p ? got : STR("none"), rows[i].schema ? str_of(rows[i].schema) : STR("none"));
    }
}

static void test_order(void)
{
    struct str got;
    setup();
    CHECK_EQ(gemini_schema_write(&call,
                 STR("{\"type\":\"object\",\"properties\":{\"b\":{\"type\":\"string\"},\"a\":"
                     "{\"type\":\"string\"}}}"),
                 STR("f"), true, &got),
        0);
    CHECK_STR(got, STR("{\"type\":\"OBJECT\",\"properties\":{\"b\":{\"type\":\"STRING\"},\"a\":"
                       "{\"type\":\"STRING\"}},\"propertyOrdering\":[\"b\",\"a\"]}"));
}

/* Each level has two references to the next: written out, it would be two to the fortieth. */
static void test_bomb(void)
{
    char text[8192];
    size_t n = (size_t)snprintf(
        text, sizeof(text), "{\"$ref\":\"#/$defs/l0\",\"$defs\":{\"l40\":{\"type\":\"string\"}");
    for (int i = 0; i < 40; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n,
            ",\"l%d\":{\"type\":\"object\",\"properties\":{\"a\":{\"$ref\":\"#/$defs/l%d\"},"
            "\"b\":{\"$ref\":\"#/$defs/l%d\"}}}",
            i, i + 1, i + 1);
    n += (size_t)snprintf(text + n, sizeof(text) - n, "}}");
    struct str got;
    setup();
    CHECK(gemini_schema_write(&call, str_at(text, n), STR("tools[0]"), false, &got) < 0);
    CHECK_EQ(error.status, 400);
    CHECK_STR(error.param, STR("tools[0]"));
}

static void test_deep(void)
{
    char text[4096] = "";
    size_t n = 0;
    for (int i = 0; i < 60; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "{\"items\":");
    n += (size_t)snprintf(text + n, sizeof(text) - n, "{\"type\":\"string\"}");
    for (int i = 0; i < 60; i++)
        text[n++] = '}';
    struct str got;
    setup();
    CHECK(gemini_schema_write(&call, str_at(text, n), STR("tools[2]"), false, &got) < 0);
    CHECK_STR(error.param, STR("tools[2]"));
}

static const struct row backwards[] = {
    {"{\"type\":\"string\"}", "{\"type\":\"STRING\"}"},
    {"{\"type\":[\"integer\",\"null\"]}", "{\"type\":\"INTEGER\",\"nullable\":true}"},
    {"{\"type\":\"array\",\"items\":{\"type\":\"number\"},\"minItems\":1,\"maxItems\":3}",
        "{\"type\":\"ARRAY\",\"items\":{\"type\":\"NUMBER\"},\"minItems\":\"1\",\"max_items\":3}"},
    {"{\"type\":\"object\",\"properties\":{\"type\":{\"type\":\"string\"}},\"required\":[\"type\"]"
     "}",
        "{\"type\":\"OBJECT\",\"properties\":{\"type\":{\"type\":\"STRING\"}},\"propertyOrdering\":"
        "[\"type\"],\"required\":[\"type\"]}"},
    {"{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"integer\"},{\"type\":\"null\"}]}",
        "{\"any_of\":[{\"type\":\"STRING\"},{\"type\":\"INTEGER\"}],\"nullable\":true}"},
    {"{\"type\":[\"string\",\"null\"],\"enum\":[\"a\",null],\"description\":\"d\"}",
        "{\"type\":\"STRING\",\"nullable\":true,\"enum\":[\"a\"],\"description\":\"d\","
        "\"example\":\"a\"}"},
    {"{\"type\":\"number\",\"minimum\":0.10}", "{\"type\":\"number\",\"minimum\":0.10}"},
};

static void test_read(void)
{
    for (unsigned i = 0; i < ARRAY_LEN(backwards); i++) {
        const char *why;
        setup();
        yyjson_val *v = jr_parse(&arena, str_of(backwards[i].schema), &why);
        CHECK(v);
        CHECK_STR(gemini_schema_read(&call, v), str_of(backwards[i].json));
    }
}

int main(void)
{
    TAP_RUN(test_write);
    TAP_RUN(test_order);
    TAP_RUN(test_bomb);
    TAP_RUN(test_deep);
    TAP_RUN(test_read);
    arena_free(&arena);
    return tap_done();
}
