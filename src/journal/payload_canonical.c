/*
 * Any JSON text in canonical form: members sorted by the bytes of their names, nothing between the
 * tokens, strings escaped as little as JSON allows, numbers only integers of 64 bits. The text is
 * validated once as a whole; then it is walked, and each object's members are sorted by name. What
 * the walk needs lives in an arena. A name that stands twice in an object is -EINVAL: what is
 * signed must have one reading.
 */
#include "base/arena.h"
#include "base/limits.h"
#include "journal/payload.h"
#include "json/scan.h"

#include <errno.h>
#include <stdlib.h>

struct member {
    struct str name; /* unescaped */
    struct str raw_name, value;
};

static int by_name(const void *x, const void *y)
{
    const struct member *a = x, *b = y;
    size_t n = MIN(a->name.n, b->name.n);
    int c = n ? memcmp(a->name.p, b->name.p, n) : 0;

    return c ? c : (a->name.n > b->name.n) - (a->name.n < b->name.n);
}

/* raw stands between quotes in the text, and the quotes are there. */
static int unescape(struct arena *mem, struct str raw, struct str *ret)
{
    if (raw.n == 0 || !memchr(raw.p, '\\', raw.n)) {
        *ret = raw;
        return 0;
    }
    char *p = arena_alloc(mem, raw.n + 2);
    if (!p)
        return -ENOMEM;
    ptrdiff_t n = json_unescape(str_at(raw.p - 1, raw.n + 2), p);
    if (n < 0)
        return (int)n;
    *ret = str_at(p, (size_t)n);
    return 0;
}

static int add_string(struct arena *mem, struct str raw, struct buf *out)
{
    struct str text;
    int r = unescape(mem, raw, &text);

    return r < 0 ? r : buf_addjson(out, text);
}

static int add_number(struct str text, struct buf *out)
{
    bool negative = text.p[0] == '-';
    uint64_t v, most = (uint64_t)INT64_MAX + negative;

    if (json_u64(str_from(text, negative), &v) < 0 || v > most)
        return -EINVAL;
    if (negative && v)
        buf_addc(out, '-');
    return buf_addu64(out, v);
}

static int add_value(struct arena *mem, struct str value, struct buf *out);

static int read_members(struct arena *mem, struct str object, struct member *m)
{
    struct str key, value;
    size_t n = 0;

    for (size_t at = json_inside(object); json_next(object, &at, &key, &value); n++) {
        m[n] = (struct member){.raw_name = key, .value = value};
        int r = unescape(mem, key, &m[n].name);
        if (r < 0)
            return r;
    }
    qsort(m, n, sizeof(*m), by_name);
    for (size_t i = 1; i < n; i++)
        if (str_eq(m[i - 1].name, m[i].name))
            return -EINVAL;
    return 0;
}

static size_t count_children(struct str container)
{
    struct str key, value;
    size_t n = 0;

    for (size_t at = json_inside(container); json_next(container, &at, &key, &value);)
        n++;
    return n;
}

static int add_object(struct arena *mem, struct str object, struct buf *out)
{
    size_t n = count_children(object);
    struct member *m = arena_alloc(mem, MAX(n, (size_t)1) * sizeof(*m));
    int r = m ? read_members(mem, object, m) : -ENOMEM;

    buf_addc(out, '{');
    for (size_t i = 0; i < n && r == 0; i++) {
        if (i)
            buf_addc(out, ',');
        r = buf_addjson(out, m[i].name);
        buf_addc(out, ':');
        if (r == 0)
            r = add_value(mem, m[i].value, out);
    }
    return r < 0 ? r : buf_addc(out, '}');
}

static int add_array(struct arena *mem, struct str array, struct buf *out)
{
    struct str key, value;
    bool first = true;
    int r = 0;

    buf_addc(out, '[');
    for (size_t at = json_inside(array); r == 0 && json_next(array, &at, &key, &value);) {
        if (!first)
            buf_addc(out, ',');
        first = false;
        r = add_value(mem, value, out);
    }
    return r < 0 ? r : buf_addc(out, ']');
}

static int add_value(struct arena *mem, struct str value, struct buf *out)
{
    switch (json_type_of(value)) {
    case JSON_OBJECT:
        return add_object(mem, value, out);
    case JSON_ARRAY:
        return add_array(mem, value, out);
    case JSON_STRING:
        return add_string(mem, str_at(value.p + 1, value.n - 2), out);
    case JSON_NUMBER:
        return add_number(value, out);
    case JSON_NULL:
    case JSON_TRUE:
    case JSON_FALSE:
        return buf_addstr(out, value);
    case JSON_NONE:
        break;
    }
    return -EINVAL;
}

int payload_canonical(struct str json, struct buf *out)
{
    struct json_error why;
    enum json_type top;
    struct arena mem;
    size_t before = out->n;

    if (json_scan(json, NULL, NULL, 0, &top, &why) < 0)
        return -EINVAL;
    arena_init(&mem, NULL, 0, LIMIT_BODY_BYTES);
    int r = add_value(&mem, str_trim(json), out);
    arena_free(&mem);
    if (r == 0)
        r = out->err;
    if (r < 0)
        out->n = before;
    return r;
}
