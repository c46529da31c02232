/*
 * Taking foreign things out of one page of a list. The text is copied as it is but for what goes
 * and for what speaks of it: "first_id" and "last_id" name what is left, and "has_more" is true
 * where something was cut off at the end.
 *
 *   {"object":"list","data":[{"id":"file-1",…},…],"first_id":…,"last_id":…,"has_more":…}
 *   {"files":[{"name":"files/1",…},…],"nextPageToken":…}        Google
 *   [{"id":…},…]                                                some compatible providers
 *
 * Every array at the top is taken for a list of things, so that no other spelling passes by. What
 * has no id at all goes, too. Nothing here suspends.
 */
#include "gateway/own.h"

#include <errno.h>

struct filter {
    struct str body;
    size_t done; /* of body: what was copied or left out */
    own_keep_fn *keep;
    void *ctx;
    unsigned max;
    struct buf *out;
    struct own_page page;
    struct str first, last; /* literals of what is left */
    bool cut;               /* max was reached */
};

/* The literal of what names it. */
static struct str id_of(struct str item)
{
    static const struct str names[] = {STR_INIT("id"), STR_INIT("name")};
    struct str v[2];

    if (json_type_of(item) != JSON_OBJECT)
        return STR_NONE;
    json_members(item, names, v, 2);
    for (unsigned i = 0; i < 2; i++)
        if (json_type_of(v[i]) == JSON_STRING && v[i].n > 2)
            return v[i];
    return STR_NONE;
}

static struct str inside(struct str literal)
{
    return literal.n > 2 ? str_at(literal.p + 1, literal.n - 2) : STR_NONE;
}

/* Ids of things have no escapes: what has is nobody's. */
static bool is_kept(struct filter *f, struct str literal)
{
    struct str id = inside(literal);

    return id.n && str_chr(id, '\\') < 0 && f->keep(f->ctx, id);
}

/* Copies the body up to here. */
static void copy_to(struct filter *f, const char *p)
{
    size_t at = (size_t)(p - f->body.p);

    buf_addstr(f->out, str_at(f->body.p + f->done, at - f->done));
    f->done = at;
}

static void take_item(struct filter *f, struct str item, unsigned *n)
{
    struct str id = id_of(item);

    f->page.seen++;
    if (!f->page.first.n)
        f->page.first = inside(id);
    f->page.last = inside(id);
    if (!is_kept(f, id))
        return;
    if (f->max && f->page.kept >= f->max) {
        f->cut = true;
        return;
    }
    if ((*n)++)
        buf_addc(f->out, ',');
    buf_addstr(f->out, item);
    f->page.kept++;
    if (!f->first.n)
        f->first = id;
    f->last = id;
}

static void take_array(struct filter *f, struct str array)
{
    struct str key, item;
    unsigned n = 0;

    copy_to(f, array.p + 1);
    for (size_t at = json_inside(array); json_next(array, &at, &key, &item);)
        take_item(f, item, &n);
    f->done = (size_t)(array.p + array.n - 1 - f->body.p); /* its ']' */
}

/* What a member's name says, also where it is written with escapes. */
static bool is_named(struct str key, struct str name)
{
    char room[64];
    struct str literal = str_at(key.p - 1, key.n + 2);

    if (str_chr(key, '\\') < 0)
        return str_eq(key, name);
    if (literal.n > sizeof room)
        return false;
    ptrdiff_t n = json_unescape(literal, room);
    return n >= 0 && str_eq(str_at(room, (size_t)n), name);
}

static void put_instead(struct filter *f, struct str value, struct str with)
{
    copy_to(f, value.p);
    buf_addstr(f->out, with);
    f->done = (size_t)(value.p + value.n - f->body.p);
}

/* After all arrays were counted: what stands before them is known only then. */
static void take_members(struct filter *f, struct str object)
{
    struct str key, value;
    const struct str none = STR("null");

    for (size_t at = json_inside(object); json_next(object, &at, &key, &value);) {
        if (json_type_of(value) == JSON_ARRAY)
            take_array(f, value);
        else if (is_named(key, STR("first_id")))
            put_instead(f, value, f->first.n ? f->first : none);
        else if (is_named(key, STR("last_id")))
            put_instead(f, value, f->last.n ? f->last : none);
        else if (is_named(key, STR("has_more"))) {
            f->page.more |= json_type_of(value) == JSON_TRUE;
            if (f->cut)
                put_instead(f, value, STR("true"));
        } else if (is_named(key, STR("nextPageToken")) && json_type_of(value) == JSON_STRING) {
            f->page.token = inside(value);
            f->page.more |= f->page.token.n > 0;
        }
    }
}

static int read_top(struct str *body, enum json_type *top)
{
    struct json_error e;

    *body = str_trim(*body);
    if (json_scan(*body, NULL, NULL, 0, top, &e) < 0)
        return -EBADMSG;
    return *top == JSON_OBJECT || *top == JSON_ARRAY ? 0 : -EBADMSG;
}

int own_filter(struct str body, own_keep_fn *keep, void *ctx, unsigned max, struct buf *out,
    struct own_page *ret)
{
    struct filter f = {.keep = keep, .ctx = ctx, .max = max, .out = out};
    enum json_type top;
    size_t from = out->n;

    if (read_top(&body, &top) < 0)
        return -EBADMSG;
    f.body = body;
    if (top == JSON_ARRAY) {
        take_array(&f, body);
    } else {
        take_members(&f, body); /* to learn what is left */
        out->n = from;
        f.done = 0;
        f.page = (struct own_page){0};
        take_members(&f, body);
    }
    copy_to(&f, body.p + body.n);
    *ret = f.page;
    return out->err;
}

int own_filter_ids(struct str body, void (*fn)(void *ctx, struct str id), void *ctx)
{
    struct str key, value, item;
    enum json_type top;

    if (read_top(&body, &top) < 0)
        return -EBADMSG;
    for (size_t at = json_inside(body); json_next(body, &at, &key, &value);) {
        if (top == JSON_ARRAY) {
            if (inside(id_of(value)).n)
                fn(ctx, inside(id_of(value)));
            continue;
        }
        if (json_type_of(value) != JSON_ARRAY)
            continue;
        for (size_t i = json_inside(value); json_next(value, &i, &key, &item);)
            if (inside(id_of(item)).n)
                fn(ctx, inside(id_of(item)));
    }
    return 0;
}
