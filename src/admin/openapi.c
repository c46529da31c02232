/*
 * GET /api/openapi.json: the OpenAPI 3.1 document, made from the rows that route and their tables
 * of fields. So what it says is what is checked.
 */
#include "admin/api_int.h"
#include "admin/rows.h"

#include <stdio.h>

/* --- fields as JSON Schema --- */

enum use { USE_REPLY, USE_CREATE, USE_UPDATE, USE_QUERY };

static void put_words(struct buf *b, const char *const *words, bool or_null)
{
    put_open(b, "enum", '[');
    for (unsigned i = 0; words[i]; i++)
        put_str(b, NULL, str_of(words[i]));
    if (or_null)
        put_null(b, NULL);
    put_close(b, ']');
}

static void put_type(struct buf *b, const char *type, enum use use)
{
    if (use == USE_QUERY) {
        put_str(b, "type", str_of(type));
        return;
    }
    put_open(b, "type", '[');
    put_str(b, NULL, str_of(type));
    put_str(b, NULL, STR("null"));
    put_close(b, ']');
}

static void put_text(struct buf *b, const struct field_row *f, enum use use)
{
    bool nullable = use == USE_REPLY || !(f->flags & FIELD_REQUIRED);

    if (nullable)
        put_type(b, "string", use);
    else
        put_str(b, "type", STR("string"));
    if (use != USE_REPLY && f->min)
        put_int(b, "minLength", f->min);
    if (use != USE_REPLY && f->max)
        put_int(b, "maxLength", f->max);
}

static void put_budgets(struct buf *b)
{
    put_str(b, "type", STR("array"));
    put_open(b, "items", '{');
    put_str(b, "type", STR("object"));
    put_open(b, "properties", '{');
    put_open(b, "period", '{');
    put_words(b, budget_period_words, false);
    put_close(b, '}');
    put_raw(b, "limit_usd", STR("{\"type\":[\"number\",\"string\"],\"minimum\":0}"));
    put_raw(b, "soft", STR("{\"type\":\"boolean\"}"));
    put_raw(b, "model", STR("{\"type\":[\"string\",\"null\"]}"));
    put_raw(b, "tag", STR("{\"type\":[\"string\",\"null\"]}"));
    put_close(b, '}');
    put_close(b, '}');
}

static void put_number(struct buf *b, const struct field_row *f, enum use use)
{
    put_type(b, "integer", use);
    if (use != USE_REPLY && f->max > f->min) {
        put_int(b, "minimum", f->min);
        put_int(b, "maximum", f->max);
    }
}

static void put_field(struct buf *b, const struct field_row *f, enum use use)
{
    switch (f->type) {
    case FIELD_TEXT:
        put_text(b, f, use);
        break;
    case FIELD_WORD:
        put_words(b, f->words, use == USE_REPLY);
        break;
    case FIELD_BOOL:
        put_str(b, "type", STR("boolean"));
        break;
    case FIELD_INT:
        put_number(b, f, use);
        break;
    case FIELD_TIME:
        put_type(b, "string", use);
        put_str(b, "format", STR("date-time"));
        break;
    case FIELD_TEXTS:
        put_str(b, "type", use == USE_QUERY ? STR("string") : STR("array"));
        if (use != USE_QUERY)
            put_raw(b, "items", STR("{\"type\":\"string\",\"minLength\":1,\"maxLength\":256}"));
        if (use != USE_QUERY && f->max)
            put_int(b, "maxItems", f->max);
        break;
    case FIELD_OBJECT:
        if (use == USE_REPLY) /* replies have lists of objects, too */
            put_raw(b, "type", STR("[\"object\",\"array\",\"null\"]"));
        else
            put_type(b, "object", use);
        break;
    case FIELD_ITEMS:
        put_raw(b, "type", STR("[\"array\",\"null\"]"));
        put_raw(b, "items", STR("{\"type\":\"object\"}"));
        break;
    case FIELD_BUDGETS:
        put_budgets(b);
        break;
    case FIELD_CAP:
        put_raw(b, "type", STR("[\"number\",\"string\",\"null\"]"));
        break;
    }
    if (f->doc && use != USE_QUERY)
        put_str(b, "description", str_of(f->doc));
    if (f->example && use != USE_QUERY) {
        put_open(b, "examples", '[');
        put_raw(b, NULL, str_of(f->example));
        put_close(b, ']');
    }
}

static bool is_of(const struct field_row *f, enum use use)
{
    switch (use) {
    case USE_CREATE:
        return f->flags & FIELD_CREATE;
    case USE_UPDATE:
        return f->flags & FIELD_UPDATE;
    default:
        return true;
    }
}

static void put_properties(struct buf *b, const struct admin_schema *s, enum use use)
{
    for (; s; s = use == USE_REPLY ? s->more : NULL) {
        unsigned n;
        const struct field_row *f = admin_fields(s, &n);
        for (unsigned i = 0; i < n; i++) {
            if (!is_of(&f[i], use))
                continue;
            put_open(b, f[i].name, '{');
            put_field(b, &f[i], use);
            put_close(b, '}');
        }
    }
}

static void put_required(struct buf *b, const struct admin_schema *s, enum use use)
{
    unsigned n, required = 0;
    const struct field_row *f = admin_fields(s, &n);

    for (unsigned i = 0; i < n; i++) {
        if (use != USE_CREATE || !(f[i].flags & FIELD_REQUIRED))
            continue;
        if (!required++)
            put_open(b, "required", '[');
        put_str(b, NULL, str_of(f[i].name));
    }
    if (required)
        put_close(b, ']');
}

static void put_object(struct buf *b, const struct admin_schema *s, enum use use, bool extras)
{
    put_str(b, "type", STR("object"));
    put_open(b, "properties", '{');
    put_properties(b, s, use);
    put_close(b, '}');
    put_required(b, s, use);
    if (use != USE_REPLY && !extras)
        put_bool(b, "additionalProperties", false);
}

/* --- operations --- */

static void put_path_parameters(struct buf *b, struct str path)
{
    while (path.p) {
        struct str part = str_split(&path, '/');
        if (!part.n || part.p[0] != '{')
            continue;
        put_open(b, NULL, '{');
        put_str(b, "name", str_at(part.p + 1, part.n - 2));
        put_str(b, "in", STR("path"));
        put_bool(b, "required", true);
        put_raw(b, "schema", STR("{\"type\":\"string\",\"minLength\":1}"));
        put_close(b, '}');
    }
}

static void put_query_parameters(struct buf *b, const struct admin_row *r)
{
    unsigned n = 0;
    const struct field_row *f = r->query ? admin_fields(r->query, &n) : NULL;

    for (unsigned i = 0; i < n; i++) {
        if (r->query->record && !(f[i].flags & FIELD_FILTER))
            continue;
        put_open(b, NULL, '{');
        put_str(b, "name", str_of(f[i].name));
        put_str(b, "in", STR("query"));
        put_bool(b, "required", (f[i].flags & FIELD_REQUIRED) && !r->query->record);
        put_str(b, "description", str_of(f[i].doc));
        put_open(b, "schema", '{');
        put_field(b, &f[i], USE_QUERY);
        put_close(b, '}');
        put_close(b, '}');
    }
    if (!r->list)
        return;
    put_raw(b, NULL,
        STR("{\"name\":\"limit\",\"in\":\"query\",\"description\":\"Items of a page.\","
            "\"schema\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":1000,\"default\":50}}"));
    put_raw(b, NULL,
        STR("{\"name\":\"cursor\",\"in\":\"query\",\"description\":\"next_cursor of the page "
            "before.\",\"schema\":{\"type\":\"string\",\"minLength\":1}}"));
}

static void put_data(struct buf *b, const struct admin_row *r, const char *name)
{
    put_open(b, name, '{');
    if (r->list) {
        put_str(b, "type", STR("array"));
        put_open(b, "items", '{');
    }
    if (r->reply && r->reply->name) {
        char ref[128];
        snprintf(ref, sizeof ref, "#/components/schemas/%s", r->reply->name);
        put_str(b, "$ref", str_of(ref));
    } else {
        put_str(b, "type", STR("object"));
    }
    if (r->list)
        put_close(b, '}');
    put_close(b, '}');
}

static void put_envelope(struct buf *b, const struct admin_row *r)
{
    put_open(b, "schema", '{');
    put_str(b, "type", STR("object"));
    if (!(r->flags & ADMIN_BARE)) {
        put_raw(b, "required", STR("[\"success\",\"data\"]"));
        put_open(b, "properties", '{');
        put_raw(b, "success", STR("{\"const\":true}"));
        put_data(b, r, "data");
        if (r->name)
            put_data(b, r, r->name);
        if (r->list) {
            put_raw(b, "has_more", STR("{\"type\":\"boolean\"}"));
            put_raw(b, "next_cursor", STR("{\"type\":[\"string\",\"null\"]}"));
        }
        put_close(b, '}');
    }
    put_close(b, '}');
}

static void put_success(struct buf *b, const struct admin_row *r)
{
    put_open(b, r->flags & ADMIN_CREATED ? "201" : "200", '{');
    put_str(b, "description", str_of(r->summary));
    put_open(b, "content", '{');
    if (r->media) {
        put_raw(b, r->media, STR("{\"schema\":{\"type\":\"string\"}}"));
    } else {
        put_open(b, "application/json", '{');
        put_envelope(b, r);
        put_close(b, '}');
    }
    if (r->list) {
        put_raw(b, "application/x-ndjson", STR("{\"schema\":{\"type\":\"string\"}}"));
        if (r->reply)
            put_raw(b, "text/csv", STR("{\"schema\":{\"type\":\"string\"}}"));
    }
    put_close(b, '}');
    put_close(b, '}');
}

static void put_responses(struct buf *b, const struct admin_row *r)
{
    static const char *const errors[] = {
        "400", "401", "403", "404", "408", "409", "413", "429", "500", "503"};

    put_open(b, "responses", '{');
    put_success(b, r);
    for (unsigned i = 0; i < ARRAY_LEN(errors); i++)
        put_raw(b, errors[i], STR("{\"$ref\":\"#/components/responses/Error\"}"));
    put_close(b, '}');
}

static void put_body(struct buf *b, const struct admin_row *r)
{
    if (!r->body)
        return;
    put_open(b, "requestBody", '{');
    put_bool(b, "required", !(r->flags & ADMIN_BODY_OPTIONAL));
    put_open(b, "content", '{');
    put_open(b, "application/json", '{');
    put_open(b, "schema", '{');
    put_object(
        b, r->body, r->flags & ADMIN_CHANGES ? USE_UPDATE : USE_CREATE, r->flags & ADMIN_EXTRAS);
    for (unsigned i = 0; i < 4; i++)
        put_close(b, '}');
}

static void put_roles(struct buf *b, const struct admin_row *r)
{
    put_open(b, "x-smartflow-roles", '[');
    for (unsigned i = 0; user_role_words[i]; i++)
        if (r->may & 1u << i)
            put_str(b, NULL, str_of(user_role_words[i]));
    put_close(b, ']');
}

static void put_operation_id(struct buf *b, const struct admin_row *r)
{
    char id[160];
    size_t n = (size_t)snprintf(id, sizeof id, "%s_", admin_method_name(r->method));

    for (const char *p = r->path + 5; *p && n + 1 < sizeof id; p++)
        if (*p != '{' && *p != '}')
            id[n++] = *p == '/' || *p == '-' || *p == '.' ? '_' : *p;
    for (size_t i = 0; i < n; i++)
        if (id[i] >= 'A' && id[i] <= 'Z')
            id[i] = (char)(id[i] + 32);
    put_str(b, "operationId", str_at(id, n));
}

static void put_operation(struct buf *b, const struct admin_row *r)
{
    char method[8] = "";

    for (unsigned i = 0; i < sizeof method - 1 && admin_method_name(r->method)[i]; i++)
        method[i] = (char)(admin_method_name(r->method)[i] | 32);
    put_open(b, method, '{');
    put_operation_id(b, r);
    put_open(b, "tags", '[');
    put_str(b, NULL, str_of(r->tag));
    put_close(b, ']');
    put_str(b, "summary", str_of(r->summary));
    put_roles(b, r);
    if (r->may & MAY_ANYONE)
        put_raw(b, "security", STR("[]"));
    put_open(b, "parameters", '[');
    put_path_parameters(b, str_of(r->path));
    put_query_parameters(b, r);
    put_close(b, ']');
    put_body(b, r);
    put_responses(b, r);
    put_close(b, '}');
}

/* --- the whole --- */

/* Calls f for each row, in the table's order, until it returns true: then that row, or NULL. */
static const struct admin_row *each_row(bool (*f)(const struct admin_row *r, void *ctx), void *ctx)
{
    const struct admin_rows *rows;

    for (unsigned i = 0; (rows = admin_table_at(i)); i++)
        for (unsigned k = 0; k < rows->n; k++)
            if (f(&rows->at[k], ctx))
                return &rows->at[k];
    return NULL;
}

static bool has_path(const struct admin_row *r, void *ctx)
{
    return !strcmp(r->path, ((const struct admin_row *)ctx)->path);
}

struct path_of {
    struct buf *out;
    const struct admin_row *first;
};

static bool add_operation(const struct admin_row *r, void *ctx)
{
    struct path_of *p = ctx;

    if (!strcmp(r->path, p->first->path))
        put_operation(p->out, r);
    return false;
}

static bool add_path(const struct admin_row *r, void *ctx)
{
    struct path_of p = {ctx, r};

    if (each_row(has_path, (void *)(uintptr_t)r) != r)
        return false; /* it went with the first of its path */
    put_open(p.out, r->path, '{');
    each_row(add_operation, &p);
    put_close(p.out, '}');
    return false;
}

static bool has_schema(const struct admin_row *r, void *ctx)
{
    const struct admin_row *other = ctx;

    return r->reply && r->reply->name && !strcmp(r->reply->name, other->reply->name);
}

static bool add_schema(const struct admin_row *r, void *ctx)
{
    struct buf *out = ctx;

    if (!r->reply || !r->reply->name || each_row(has_schema, (void *)(uintptr_t)r) != r)
        return false;
    put_open(out, r->reply->name, '{');
    put_object(out, r->reply, USE_REPLY, true);
    put_close(out, '}');
    return false;
}

static const char error_schema[] =
    "{\"type\":\"object\",\"required\":[\"success\",\"error\",\"details\"],\"properties\":{"
    "\"success\":{\"const\":false},\"error\":{\"type\":\"object\",\"required\":[\"message\","
    "\"type\",\"code\",\"param\",\"request_id\"],\"properties\":{\"message\":{\"type\":\"string\"},"
    "\"type\":{\"type\":\"string\"},\"code\":{\"type\":[\"string\",\"null\"]},\"param\":{\"type\":["
    "\"string\",\"null\"]},\"request_id\":{\"type\":\"string\"},\"retry_after\":{\"type\":"
    "\"integer\",\"description\":\"Seconds, as in the header.\"}}},\"details\":{\"type\":"
    "\"object\"}}}";

static const char security_schemes[] =
    "{\"bearer\":{\"type\":\"http\",\"scheme\":\"bearer\",\"description\":\"The admin key, an "
    "administrator's token, or a virtual key for what concerns itself.\"},\"session\":{\"type\":"
    "\"apiKey\",\"in\":\"cookie\",\"name\":\"smartflow_token\",\"description\":\"After POST "
    "/api/auth/login. Changes need the header x-csrf-token.\"}}";

void admin_openapi(struct buf *out)
{
    put_open(out, NULL, '{');
    put_str(out, "openapi", STR("3.1.0"));
    put_raw(out, "info",
        STR("{\"title\":\"Smartflow management API\",\"version\":\"" SF_VERSION
            "\",\"license\":{\"name\":\"Apache-2.0\",\"identifier\":\"Apache-2.0\"}}"));
    put_raw(out, "security", STR("[{\"bearer\":[]},{\"session\":[]}]"));
    put_open(out, "paths", '{');
    each_row(add_path, out);
    put_close(out, '}');
    put_open(out, "components", '{');
    put_raw(out, "securitySchemes", str_of(security_schemes));
    put_raw(out, "responses",
        STR("{\"Error\":{\"description\":\"What went wrong.\",\"content\":{\"application/json\":{"
            "\"schema\":{\"$ref\":\"#/components/schemas/Error\"}}}}}"));
    put_open(out, "schemas", '{');
    put_raw(out, "Error", str_of(error_schema));
    each_row(add_schema, out);
    put_close(out, '}');
    put_close(out, '}');
    put_close(out, '}');
}

static int document(struct admin_call *c)
{
    admin_openapi(&c->out);
    return 0;
}

static const struct admin_row rows[] = {
    {.method = HTTP_GET,
        .path = "/api/openapi.json",
        .may = MAY_SIGNED_IN,
        .scope = SCOPE_COMMON,
        .handle = document,
        .flags = ADMIN_BARE,
        .tag = "About",
        .summary = "This API as an OpenAPI 3.1 document"},
};
const struct admin_rows admin_openapi_rows = {rows, ARRAY_LEN(rows)};
