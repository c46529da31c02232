/*
 * Reading and writing records by their tables of fields. See keys/record.h. A value is read in two
 * steps: its JSON type, then what its row allows; each refusal names the field and says what it may
 * be.
 */
#include "base/clock.h"
#include "base/limits.h"
#include "keys/fields_int.h"
#include "json/scan.h"

#include <errno.h>
#include <stdio.h>

int field_wrong(struct error *e, struct arena *a, struct str param, struct str message)
{
    *e = (struct error){.status = 400,
        .code = STR("invalid_request_error"),
        .param = arena_dup(a, param),
        .message = message};
    return -EINVAL;
}

int field_must_be(const struct field_row *f, struct error *e, struct arena *a, const char *what)
{
    return field_wrong(e, a, str_of(f->name), arena_printf(a, "'%s' %s.", f->name, what));
}

int field_no_memory(struct error *e)
{
    *e = (struct error){
        .status = 500, .code = STR("internal_error"), .message = STR("Out of memory.")};
    return -ENOMEM;
}

static void *member(const struct field_row *f, void *record)
{
    return (char *)record + f->offset;
}

/* --- texts --- */

int field_text(struct str json, size_t max, struct str *ret, struct arena *a)
{
    if (json_type_of(json) != JSON_STRING)
        return -EINVAL;
    char *p = arena_alloc(a, json.n);
    if (!p)
        return -ENOMEM;
    ptrdiff_t n = json_unescape(json, p);
    if (n < 0 || (size_t)n > max)
        return -EINVAL;
    for (ptrdiff_t i = 0; i < n; i++)
        if ((unsigned char)p[i] < ' ' || p[i] == 127)
            return -EINVAL;
    *ret = str_at(p, (size_t)n);
    return 0;
}

static int parse_text(
    const struct field_row *f, struct str json, struct str *ret, struct arena *a, struct error *e)
{
    char what[96];
    int r = 0;

    if (json_type_of(json) == JSON_NULL && f->min == 0)
        *ret = STR_NONE;
    else
        r = field_text(json, (size_t)f->max, ret, a);
    if (r == -ENOMEM)
        return field_no_memory(e);
    snprintf(what, sizeof what, "must be a string of %lld to %lld bytes without control characters",
        (long long)f->min, (long long)f->max);
    if (r < 0 || (int64_t)ret->n < f->min)
        return field_must_be(f, e, a, what);
    const char *not_good = f->check && ret->n ? f->check(*ret) : NULL;
    return not_good ? field_must_be(f, e, a, not_good) : 0;
}

struct str field_word_list(const char *const *words, struct arena *a)
{
    struct buf b;

    buf_init(&b, 1024);
    for (unsigned i = 0; words[i]; i++)
        buf_printf(&b, "%s\"%s\"", !i ? "" : words[i + 1] ? ", " : " or ", words[i]);
    struct str s = arena_dup(a, buf_str(&b));
    buf_free(&b);
    return s;
}

bool field_word_index(const char *const *words, struct str json, uint32_t *ret)
{
    if (json_type_of(json) != JSON_STRING)
        return false;
    struct str text = str_at(json.p + 1, json.n - 2);
    for (unsigned i = 0; words[i]; i++)
        if (str_eq(text, str_of(words[i]))) {
            *ret = i;
            return true;
        }
    return false;
}

static int parse_word(
    const struct field_row *f, struct str json, uint32_t *ret, struct arena *a, struct error *e)
{
    if (field_word_index(f->words, json, ret))
        return 0;
    return field_wrong(e, a, str_of(f->name),
        arena_printf(
            a, "'%s' must be " STR_FMT ".", f->name, STR_ARG(field_word_list(f->words, a))));
}

static int parse_texts(const struct field_row *f, struct str json, struct str_list *ret,
    struct arena *a, struct error *e)
{
    struct str key, item;
    size_t at = 1;
    unsigned n = 0;
    char what[96];

    snprintf(what, sizeof what, "must be a list of at most %lld strings of 1 to %d bytes",
        (long long)f->max, ITEM_BYTES);
    if (json_type_of(json) == JSON_NULL) {
        *ret = (struct str_list){0};
        return 0;
    }
    struct str *list = arena_alloc(a, (size_t)f->max * sizeof *list);
    if (!list)
        return field_no_memory(e);
    if (json_type_of(json) != JSON_ARRAY)
        return field_must_be(f, e, a, what);
    for (; json_next(json, &at, &key, &item); n++) {
        if (n == f->max || field_text(item, ITEM_BYTES, &list[n], a) < 0 || !list[n].n)
            return field_must_be(f, e, a, what);
        const char *not_good = f->check ? f->check(list[n]) : NULL;
        if (not_good)
            return field_must_be(f, e, a, not_good);
    }
    *ret = (struct str_list){list, n};
    return 0;
}

static int parse_object(
    const struct field_row *f, struct str json, struct str *ret, struct arena *a, struct error *e)
{
    char what[64];

    snprintf(what, sizeof what, "must be an object of at most %lld bytes", (long long)f->max);
    if (json_type_of(json) == JSON_NULL) {
        *ret = STR_NONE;
        return 0;
    }
    if (json_type_of(json) != JSON_OBJECT || (int64_t)json.n > f->max)
        return field_must_be(f, e, a, what);
    *ret = arena_dup(a, json);
    return ret->p ? 0 : field_no_memory(e);
}

static bool all_objects(struct str json)
{
    struct str key, item;
    size_t at = json_inside(json);

    while (at && json_next(json, &at, &key, &item))
        if (json_type_of(item) != JSON_OBJECT)
            return false;
    return at > 0;
}

static int parse_items(
    const struct field_row *f, struct str json, struct str *ret, struct arena *a, struct error *e)
{
    char what[64];

    snprintf(
        what, sizeof what, "must be a list of objects of at most %lld bytes", (long long)f->max);
    if (json_type_of(json) == JSON_NULL) {
        *ret = STR_NONE;
        return 0;
    }
    if (json_type_of(json) != JSON_ARRAY || (int64_t)json.n > f->max || !all_objects(json))
        return field_must_be(f, e, a, what);
    *ret = arena_dup(a, json);
    return ret->p ? 0 : field_no_memory(e);
}

/* --- numbers --- */

static int parse_bool(
    const struct field_row *f, struct str json, bool *ret, struct arena *a, struct error *e)
{
    enum json_type t = json_type_of(json);

    if (t != JSON_TRUE && t != JSON_FALSE)
        return field_must_be(f, e, a, "must be true or false");
    *ret = t == JSON_TRUE;
    return 0;
}

static int parse_int(
    const struct field_row *f, struct str json, int64_t *ret, struct arena *a, struct error *e)
{
    char what[96];
    uint64_t n;

    snprintf(what, sizeof what, "must be a whole number from %lld to %lld, or null",
        (long long)f->min, (long long)f->max);
    if (json_type_of(json) == JSON_NULL) {
        *ret = 0;
        return 0;
    }
    if (json_type_of(json) != JSON_NUMBER || json_u64(json, &n) < 0 || n > (uint64_t)f->max ||
        (int64_t)n < f->min)
        return field_must_be(f, e, a, what);
    *ret = (int64_t)n;
    return 0;
}

static int parse_time(
    const struct field_row *f, struct str json, int64_t *ret, struct arena *a, struct error *e)
{
    uint64_t seconds;

    switch (json_type_of(json)) {
    case JSON_NULL:
        *ret = 0;
        return 0;
    case JSON_STRING:
        if (time_parse(str_at(json.p + 1, json.n - 2), ret) == 0)
            return 0;
        break;
    case JSON_NUMBER: /* seconds since 1970 */
        if (json_u64(json, &seconds) == 0 && seconds < 9000000000) {
            *ret = (int64_t)seconds * NS_PER_S;
            return 0;
        }
        break;
    default:
        break;
    }
    return field_must_be(f, e, a,
        "must be a time like \"2026-12-31T23:59:59Z\" (RFC 3339), seconds since 1970, or null");
}

/* --- a whole record --- */

int field_parse(
    const struct field_row *f, struct str json, void *record, struct arena *a, struct error *e)
{
    void *to = member(f, record);

    switch (f->type) {
    case FIELD_TEXT:
        return parse_text(f, json, to, a, e);
    case FIELD_WORD:
        return parse_word(f, json, to, a, e);
    case FIELD_BOOL:
        return parse_bool(f, json, to, a, e);
    case FIELD_INT:
        return parse_int(f, json, to, a, e);
    case FIELD_TIME:
        return parse_time(f, json, to, a, e);
    case FIELD_TEXTS:
        return parse_texts(f, json, to, a, e);
    case FIELD_OBJECT:
        return parse_object(f, json, to, a, e);
    case FIELD_ITEMS:
        return parse_items(f, json, to, a, e);
    case FIELD_BUDGETS:
        return field_budgets_parse(f, json, to, a, e);
    case FIELD_CAP:
        return field_cap_parse(f, json, to, a, e);
    }
    return -EINVAL;
}

const struct field_row *field_find(
    const struct field_row *rows, unsigned n, struct str name, unsigned *ret_index)
{
    for (unsigned i = 0; i < n; i++)
        if (str_eq(str_of(rows[i].name), name)) {
            if (ret_index)
                *ret_index = i;
            return &rows[i];
        }
    return NULL;
}

static int unknown_field(const struct field_row *rows, unsigned n, unsigned need, struct str name,
    struct arena *a, struct error *e)
{
    struct buf b;

    buf_init(&b, 2048);
    for (unsigned i = 0; i < n; i++)
        if (rows[i].flags & need)
            buf_printf(&b, "%s%s", b.n ? ", " : "", rows[i].name);
    struct str known = arena_dup(a, buf_str(&b));
    buf_free(&b);
    name = str_to(name, 64);
    return field_wrong(e, a, name,
        arena_printf(a, "There is no field '" STR_FMT "'. The fields are: " STR_FMT ".",
            STR_ARG(name), STR_ARG(known)));
}

/* In the first pass those with a column, in the second those that are seen through others. */
static int parse_member(const struct field_row *rows, unsigned n, unsigned need, bool second,
    struct str key, struct str value, void *record, uint64_t *given, struct arena *a,
    struct error *e)
{
    unsigned i;
    const struct field_row *f = field_find(rows, n, key, &i);

    if (!f)
        return unknown_field(rows, n, need, key, a, e);
    if (((f->flags & FIELD_DERIVED) != 0) != second)
        return 0;
    if (!(f->flags & need))
        return field_must_be(f, e, a,
            f->flags & FIELD_CREATE ? "cannot be changed once it is set" : "cannot be set");
    if (*given & (uint64_t)1 << i)
        return field_must_be(f, e, a, "stands more than once");
    *given |= (uint64_t)1 << i;
    return field_parse(f, value, record, a, e);
}

int fields_parse(const struct field_row *rows, unsigned n, unsigned need, struct str json,
    void *record, uint64_t *ret_given, struct arena *a, struct error *e)
{
    struct json_error why = {0};
    enum json_type top;
    struct str key, value;
    size_t at;
    int r;

    *ret_given = 0;
    if (json_scan(json, NULL, NULL, 0, &top, &why) < 0)
        return field_wrong(e, a, STR_NONE,
            arena_printf(a, "The body is not valid JSON: %s at byte %zu.", why.why, why.at));
    if (top != JSON_OBJECT)
        return field_wrong(e, a, STR_NONE, STR("The body must be a JSON object."));
    for (int second = 0; second < 2; second++)
        for (at = json_inside(json); json_next(json, &at, &key, &value);)
            if ((r = parse_member(rows, n, need, second, key, value, record, ret_given, a, e)) < 0)
                return r;
    for (unsigned i = 0; i < n && need == FIELD_CREATE; i++)
        if ((rows[i].flags & FIELD_REQUIRED) && !(*ret_given & (uint64_t)1 << i))
            return field_must_be(&rows[i], e, a, "is missing");
    return 0;
}
