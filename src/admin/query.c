/*
 * What a call is given beside its path: the query's parameters and the body's members, read by the
 * tables of fields that the row names (keys/record.h). A parameter is text; it is brought into the
 * form that the same field would have in JSON, so that one table and one set of messages serve
 * both.
 */
#include "admin/api_int.h"
#include "text/nearest.h"
#include "text/utf8.h"
#include "json/scan.h"

#include <errno.h>

/* --- one parameter --- */

static struct str decode(struct admin_call *c, struct str raw)
{
    char *plain = arena_alloc(&c->arena, raw.n + 1), *out = arena_alloc(&c->arena, raw.n + 1);

    if (!plain || !out)
        return STR_NONE;
    for (size_t i = 0; i < raw.n; i++)
        plain[i] = raw.p[i] == '+' ? ' ' : raw.p[i];
    ptrdiff_t n = http_percent_decode(str_at(plain, raw.n), out);
    return n < 0 || !utf8_valid(str_at(out, (size_t)n)) ? STR_NONE : str_at(out, (size_t)n);
}

static bool is_integer(struct str s)
{
    size_t i = s.n && s.p[0] == '-';

    if (i == s.n || s.n > 20 || (s.p[i] == '0' && s.n > i + 1))
        return false;
    for (; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return true;
}

/* A list of texts is one parameter with commas. */
static void add_texts(struct buf *out, struct str value)
{
    buf_addc(out, '[');
    while (value.p && value.n)
        put_str(out, NULL, str_trim(str_split(&value, ',')));
    buf_addc(out, ']');
}

/* The value as JSON. What cannot be of the field's type stays a string, for field_parse to refuse.
 */
static struct str as_json(struct admin_call *c, const struct field_row *f, struct str value)
{
    _cleanup_(buf_free) struct buf b = {0};

    buf_init(&b, LIMIT_TARGET_BYTES * 8);
    if (f->type == FIELD_INT && is_integer(value))
        buf_addstr(&b, value);
    else if (f->type == FIELD_BOOL && (str_eq(value, STR("true")) || str_eq(value, STR("1"))))
        buf_addstr(&b, STR("true"));
    else if (f->type == FIELD_BOOL && (str_eq(value, STR("false")) || str_eq(value, STR("0"))))
        buf_addstr(&b, STR("false"));
    else if (f->type == FIELD_TEXTS)
        add_texts(&b, value);
    else
        buf_addjson(&b, value);
    return arena_dup(&c->arena, buf_str(&b));
}

static int unknown_parameter(struct admin_call *c, const struct admin_schema *s, struct str name)
{
    struct str names[66], near = STR_NONE;
    unsigned n = 0, rows = 0;
    const struct field_row *f = s ? admin_fields(s, &rows) : NULL;

    for (unsigned i = 0; i < rows && n < 64; i++)
        if (!s->record || (f[i].flags & FIELD_FILTER))
            names[n++] = str_of(f[i].name);
    if (c->row->list) {
        names[n++] = STR("limit");
        names[n++] = STR("cursor");
    }
    bool found = text_nearest(name, names, n, &near, 1) > 0;
    struct str shown = arena_dup(&c->arena, str_to(name, 64));
    admin_fail(c, 400, "unknown_parameter", "There is no parameter '" STR_FMT "'.%s" STR_FMT "%s",
        STR_ARG(shown), found ? " Did you mean '" : "", STR_ARG(near), found ? "'?" : "");
    c->error.param = shown;
    return -EREMOTEIO;
}

/* A list's filter, as the registry takes it. */
static int keep_filter(struct admin_call *c, const struct field_row *f, struct str value)
{
    if (c->filters_n == ADMIN_FILTERS_MAX)
        return admin_bad(c, f->name, "There are too many filters.");
    if (f->type == FIELD_BOOL)
        value = str_eq(value, STR("1"))   ? STR("true")
                : str_eq(value, STR("0")) ? STR("false")
                                          : value;
    c->filters[c->filters_n++] = (struct admin_filter){str_of(f->name), value};
    return 0;
}

static int set_parameter(struct admin_call *c, const struct admin_schema *s, struct str name,
    struct str value, void *into, uint64_t *given)
{
    unsigned i = 0, n = 0;
    const struct field_row *rows = s ? admin_fields(s, &n) : NULL;
    const struct field_row *f = rows ? field_find(rows, n, name, &i) : NULL;

    if (!f || (s->record && !(f->flags & FIELD_FILTER)))
        return c->row->flags & ADMIN_EXTRAS ? 0 : unknown_parameter(c, s, name);
    if (*given & (uint64_t)1 << i)
        return admin_bad(c, f->name, "%s is given twice.", f->name);
    if (!value.p)
        return admin_bad(c, f->name, "%s is not properly percent-encoded UTF-8.", f->name);
    struct str json = as_json(c, f, value);
    if (!json.p)
        return admin_fail(c, 500, "internal_error", "Out of memory.");
    int r = field_parse(f, json, into, &c->arena, &c->error);
    if (r < 0)
        return r == -EINVAL && c->error.status ? -EREMOTEIO : r;
    *given |= (uint64_t)1 << i;
    return s->record ? keep_filter(c, f, value) : 0;
}

/* --- limit and cursor --- */

static int set_limit(struct admin_call *c, struct str value)
{
    uint64_t n;

    if (c->limit_given)
        return admin_bad(c, "limit", "limit is given twice.");
    if (!value.p || str_u64(value, &n) < 0 || n < 1 || n > ADMIN_LIST_MAX)
        return admin_bad(c, "limit", "limit must be a whole number from 1 to %d.", ADMIN_LIST_MAX);
    c->limit = (unsigned)n;
    c->limit_given = true;
    return 0;
}

/* 1: it was one of these. */
static int set_paging(struct admin_call *c, struct str name, struct str value)
{
    int r = 1;

    if (!c->row->list)
        return 0;
    if (str_eq(name, STR("limit")))
        r = set_limit(c, value);
    else if (str_eq(name, STR("cursor")))
        r = admin_cursor_read(c, value.p ? value : STR("?"));
    else
        return 0;
    return r < 0 ? r : 1;
}

static int read_query(struct admin_call *c, const struct admin_schema *s)
{
    struct str query = c->rq->head.query;

    while (query.p && query.n) {
        struct str value = str_split(&query, '&'), name = decode(c, str_split(&value, '='));
        if (!name.n && !value.n)
            continue;
        value = decode(c, value.p ? value : STR(""));
        int r = set_paging(c, name, value);
        if (r == 0)
            r = set_parameter(c, s, name, value, c->query, &c->query_given);
        if (r < 0)
            return r;
    }
    return 0;
}

/* A parameter that has to be given is one of FIELD_REQUIRED. */
static int check_required(struct admin_call *c, const struct admin_schema *s)
{
    for (unsigned i = 0; s && i < s->n; i++)
        if ((s->fields[i].flags & FIELD_REQUIRED) && !(c->query_given & (uint64_t)1 << i))
            return admin_bad(
                c, s->fields[i].name, "%s is missing: %s", s->fields[i].name, s->fields[i].doc);
    return 0;
}

int admin_parse_query(struct admin_call *c)
{
    const struct admin_schema *s = c->row->query;

    c->limit = ADMIN_LIST;
    if (s && !(c->query = arena_zalloc(&c->arena, s->record ? sizeof(struct record) : s->size)))
        return admin_fail(c, 500, "internal_error", "Out of memory.");
    int r = read_query(c, s);
    return r < 0 ? r : check_required(c, s);
}

/* --- the body --- */

static int body_failed(struct admin_call *c, int r)
{
    switch (r) {
    case -EMSGSIZE:
        return admin_fail(
            c, 413, "body_too_large", "The body may have at most %zu bytes.", ADMIN_BODY_BYTES);
    case -EINVAL:
        return admin_fail(c, 400, "invalid_body", "The body is not properly framed.");
    case -ETIMEDOUT:
        return admin_fail(c, 408, "request_timeout", "The body did not come in time.");
    default:
        return -ECANCELED;
    }
}

/* The body without the members that the schema does not know. What is no object stays as it is. */
static void drop_extras(struct admin_call *c, const struct admin_schema *s)
{
    _cleanup_(buf_free) struct buf b = {0};
    struct json_error err;
    enum json_type top;
    struct str key, value;
    size_t at = json_inside(c->text);

    if (json_scan(c->text, NULL, NULL, 0, &top, &err) < 0 || top != JSON_OBJECT)
        return;
    buf_init(&b, ADMIN_BODY_BYTES + 16);
    buf_addc(&b, '{');
    while (json_next(c->text, &at, &key, &value)) {
        const struct field_row *f = field_find(s->fields, s->n, key, NULL);
        if (f)
            put_raw(&b, f->name, value);
    }
    buf_addc(&b, '}');
    struct str kept = arena_dup(&c->arena, buf_str(&b));
    if (kept.p)
        c->text = kept;
}

static int parse_members(struct admin_call *c, const struct admin_schema *s)
{
    unsigned need = c->row->flags & ADMIN_CHANGES ? FIELD_UPDATE : FIELD_CREATE;

    if (c->row->flags & ADMIN_EXTRAS)
        drop_extras(c, s);

    if (!(c->body = arena_zalloc(&c->arena, s->size)))
        return admin_fail(c, 500, "internal_error", "Out of memory.");
    int r =
        fields_parse(s->fields, s->n, need, c->text, c->body, &c->body_given, &c->arena, &c->error);
    return r == -EINVAL && c->error.status ? -EREMOTEIO : r;
}

int admin_parse_body(struct admin_call *c)
{
    const struct admin_row *row = c->row;

    if (!row->body)
        return 0;
    int r = http_body_all(c->rq, ADMIN_BODY_BYTES, &c->text);
    if (r < 0)
        return body_failed(c, r);
    if (!str_trim(c->text).n) {
        if (!(row->flags & ADMIN_BODY_OPTIONAL))
            return admin_fail(c, 400, "invalid_body", "The body must be a JSON object.");
        c->text = STR("{}");
    }
    return row->flags & ADMIN_BODY_RAW ? 0 : parse_members(c, row->body);
}

/* --- for handlers --- */

const struct field_row *admin_fields(const struct admin_schema *s, unsigned *ret_n)
{
    const struct record_type *t =
        s->record ? record_type((enum subject_kind)(s->record - 1)) : NULL;

    *ret_n = t ? t->fields_n : s->n;
    return t ? t->fields : s->fields;
}

struct str admin_param(const struct admin_call *c, unsigned i)
{
    must(i < c->params_n);
    return c->params[i];
}

static bool given(const struct admin_schema *s, uint64_t bits, const char *name)
{
    unsigned i = 0;

    return s && field_find(s->fields, s->n, str_of(name), &i) && (bits & (uint64_t)1 << i);
}

bool admin_gave(const struct admin_call *c, const char *body_field)
{
    return given(c->row->body, c->body_given, body_field);
}

bool admin_asked(const struct admin_call *c, const char *query_field)
{
    return given(c->row->query, c->query_given, query_field);
}
