/*
 * Items of a kept conversation, as JSON. What is kept has the form that GET input_items shows: each
 * item with its type, an id and a status, the content of messages as a list. Nothing here waits or
 * knows of rows.
 */
#include "gateway/responses_kept.h"

#include "translate/jw.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define PARSE_MAX (LIMIT_BODY_BYTES * 6)

/* --- one item --- */

struct adding {
    struct str seed;
    kept_find_fn *find;
    void *ctx;
    struct jw w;
    struct arena mem;
    unsigned n; /* items so far: numbers their ids */
};

/* "msg_sf<seed>i0003" */
static struct str new_id(struct adding *a, const char *prefix, char room[static KEPT_ID_BYTES])
{
    size_t n = (size_t)snprintf(room, KEPT_ID_BYTES, "%s_sf", prefix);

    for (size_t i = 0; i < a->seed.n && n < KEPT_ID_BYTES - 8; i++)
        if (a->seed.p[i] != '-')
            room[n++] = a->seed.p[i];
    n += (size_t)snprintf(room + n, 8, "i%04x", a->n & 0xffff);
    return str_at(room, n);
}

static const char *prefix_of(struct str type)
{
    static const struct {
        struct str type;
        const char *prefix;
    } rows[] = {{STR_INIT("message"), "msg"}, {STR_INIT("function_call"), "fc"},
        {STR_INIT("function_call_output"), "fco"}, {STR_INIT("custom_tool_call"), "ctc"},
        {STR_INIT("custom_tool_call_output"), "ctco"}, {STR_INIT("reasoning"), "rs"}};

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
        if (str_eq(type, rows[i].type))
            return rows[i].prefix;
    return "item";
}

/* These have one wherever they are shown. */
static bool has_status(struct str type)
{
    return str_eq(type, STR("message")) || str_eq(type, STR("function_call")) ||
           str_eq(type, STR("function_call_output"));
}

static void put_content(struct adding *a, struct str role, yyjson_val *content)
{
    bool spoken = str_eq(role, STR("assistant"));
    struct jw *w = &a->w;

    jw_key(w, "content");
    if (!yyjson_is_str(content)) {
        jw_raw(w, content ? jr_raw(&a->mem, content) : STR("[]"));
        return;
    }
    jw_open(w, '[');
    jw_open(w, '{');
    jw_member_str(w, "type", spoken ? STR("output_text") : STR("input_text"));
    if (spoken)
        jw_member_raw(w, "annotations", STR("[]"));
    jw_member_str(w, "text", jr_str(content));
    jw_close(w, '}');
    jw_close(w, ']');
}

static void put_members(struct adding *a, yyjson_val *item, bool message)
{
    yyjson_val *key, *v;
    size_t i, n;

    yyjson_obj_foreach(item, i, n, key, v)
    {
        struct str name = jr_str(key);
        if (str_eq(name, STR("id")) || str_eq(name, STR("type")) || str_eq(name, STR("status")))
            continue;
        if (message && str_eq(name, STR("content"))) {
            put_content(a, jr_get_str(item, "role"), v);
            continue;
        }
        jw_key_str(&a->w, name);
        jw_raw(&a->w, jr_raw(&a->mem, v));
    }
}

static void put_item(struct adding *a, yyjson_val *item)
{
    struct str type = jr_get_str(item, "type"), id = jr_get_str(item, "id");
    struct str status = jr_get_str(item, "status");
    char room[KEPT_ID_BYTES];

    type = type.n ? type : STR("message");
    jw_open(&a->w, '{');
    jw_member_str(&a->w, "id", id.n ? id : new_id(a, prefix_of(type), room));
    jw_member_str(&a->w, "type", type);
    if (status.n || has_status(type))
        jw_member_str(&a->w, "status", status.n ? status : STR("completed"));
    put_members(a, item, str_eq(type, STR("message")));
    jw_close(&a->w, '}');
    a->n++;
}

static void put_text(struct adding *a, yyjson_val *text)
{
    char room[KEPT_ID_BYTES];

    jw_open(&a->w, '{');
    jw_member_str(&a->w, "id", new_id(a, "msg", room));
    jw_member_str(&a->w, "type", STR("message"));
    jw_member_str(&a->w, "status", STR("completed"));
    jw_member_str(&a->w, "role", STR("user"));
    put_content(a, STR("user"), text);
    jw_close(&a->w, '}');
    a->n++;
}

static int put_any(struct adding *a, yyjson_val *item, struct str *ret_id)
{
    struct str found;

    if (!yyjson_is_obj(item)) {
        jw_raw(&a->w, item ? jr_raw(&a->mem, item) : STR_NONE); /* the reader says what is wrong */
        return 0;
    }
    if (!str_eq(jr_get_str(item, "type"), STR("item_reference"))) {
        put_item(a, item);
        return 0;
    }
    *ret_id = jr_get_str(item, "id");
    found = a->find ? a->find(a->ctx, *ret_id) : STR_NONE;
    if (!found.p)
        return -ENOENT;
    jw_raw(&a->w, found);
    a->n++;
    return 0;
}

static int add_all(struct adding *a, yyjson_val *root, struct str *ret_id)
{
    yyjson_val *item;
    size_t i, n;
    int r = 0;

    if (yyjson_is_str(root)) {
        put_text(a, root);
        return 0;
    }
    if (!yyjson_is_arr(root))
        return -EINVAL;
    yyjson_arr_foreach(root, i, n, item)
    {
        if ((r = put_any(a, item, ret_id)) < 0)
            return r;
    }
    return 0;
}

int kept_add_items(struct str input, struct str seed, kept_find_fn *find, void *ctx, bool *any,
    struct buf *out, struct str *ret_id)
{
    struct adding a = {.seed = seed, .find = find, .ctx = ctx, .w = {.out = out, .comma = *any}};
    const char *why;

    *ret_id = STR_NONE;
    arena_init(&a.mem, NULL, 0, PARSE_MAX);
    yyjson_val *root = jr_parse(&a.mem, input, &why);
    int r = root ? add_all(&a, root, ret_id) : -EINVAL;
    if (r == -ENOENT && ret_id->n) { /* it outlives the arena in the input's own text */
        ptrdiff_t at = str_find(input, *ret_id);
        *ret_id = at < 0 ? STR_NONE : str_at(input.p + at, ret_id->n);
    }
    *any = a.w.comma;
    arena_free(&a.mem);
    return r < 0 ? r : out->err;
}

/* --- finding --- */

/* Whether a string literal says id: ids of ours have nothing to escape. */
static bool is_id(struct str literal, struct str id)
{
    return literal.n == id.n + 2 && memcmp(literal.p + 1, id.p, id.n) == 0;
}

struct str kept_item(struct str items, struct str id)
{
    struct str key, item;

    for (size_t at = json_inside(items); at && json_next(items, &at, &key, &item);)
        if (json_type_of(item) == JSON_OBJECT && is_id(json_find(item, STR("id")), id))
            return item;
    return STR_NONE;
}

/* --- pages --- */

static size_t count(struct str items)
{
    struct str key, item;
    size_t n = 0;

    for (size_t at = json_inside(items); at && json_next(items, &at, &key, &item);)
        n++;
    return n;
}

static void list_items(struct str items, struct str *to)
{
    struct str key;

    for (size_t at = json_inside(items); at && json_next(items, &at, &key, to);)
        to++;
}

static void put_end(struct jw *w, const char *name, struct str item)
{
    struct str id = item.n ? json_find(item, STR("id")) : STR_NONE;

    jw_key(w, name);
    jw_raw(w, id);
}

/* from: the number of the first item, in the order of the page. */
static void put_page(
    const struct str *at, size_t n, size_t from, unsigned limit, bool ascending, struct jw *w)
{
    size_t end = MIN(n, from + limit);
    struct str first = STR_NONE, last = STR_NONE;

    jw_open(w, '{');
    jw_member_str(w, "object", STR("list"));
    jw_key(w, "data");
    jw_open(w, '[');
    for (size_t i = from; i < end; i++) {
        last = at[ascending ? i : n - 1 - i];
        first = first.n ? first : last;
        jw_raw(w, last);
    }
    jw_close(w, ']');
    put_end(w, "first_id", first);
    put_end(w, "last_id", last);
    jw_member_bool(w, "has_more", end < n);
    jw_close(w, '}');
}

int kept_page(struct str items, struct str after, unsigned limit, bool ascending, struct buf *out)
{
    struct jw w = {.out = out};
    size_t n = count(items), from = 0;
    struct str *at = calloc(n + 1, sizeof *at);
    int r = 0;

    if (!at)
        return -ENOMEM;
    list_items(items, at);
    if (after.n) {
        while (from < n && !is_id(json_find(at[ascending ? from : n - 1 - from], STR("id")), after))
            from++;
        r = from == n ? -ENOENT : 0;
        from++;
    }
    if (r == 0)
        put_page(at, n, from, limit, ascending, &w);
    free(at);
    return r < 0 ? r : out->err;
}
