/* Members under either of their names, and places in the client's body for messages. */
#include "translate/gemini_int.h"

bool gm_name_is(struct str key, const char *camel)
{
    size_t i = 0;
    for (; *camel; camel++, i++) {
        if (i < key.n && key.p[i] == *camel)
            continue;
        bool upper = *camel >= 'A' && *camel <= 'Z';
        if (!upper || i + 1 >= key.n || key.p[i] != '_' || key.p[i + 1] != (*camel | 0x20))
            return false;
        i++;
    }
    return i == key.n;
}

yyjson_val *gm_get(yyjson_val *obj, const char *camel, struct str *ret_key)
{
    yyjson_val *key, *v;
    size_t i, n;
    yyjson_obj_foreach(obj, i, n, key, v)
    {
        struct str name = jr_str(key);
        if (!gm_name_is(name, camel) || yyjson_is_null(v))
            continue;
        if (ret_key)
            *ret_key = name;
        return v;
    }
    return NULL;
}

#define PLACES_MAX 12 /* frames of one place */

struct str gm_path(struct canon_call *c, const struct gm_at *at)
{
    const struct gm_at *chain[PLACES_MAX];
    struct str path = STR("");
    unsigned n = 0;
    for (; at && n < PLACES_MAX; at = at->up)
        chain[n++] = at;
    while (n--)
        path = chain[n]->name.p
                   ? arena_printf(c->arena, STR_FMT "%s" STR_FMT, STR_ARG(path), path.n ? "." : "",
                         STR_ARG(chain[n]->name))
                   : arena_printf(c->arena, STR_FMT "[%u]", STR_ARG(path), chain[n]->index);
    return path;
}

int gm_fail(struct canon_call *c, const struct gm_at *at, const char *why)
{
    struct str path = gm_path(c, at);
    return canon_fail(c, path, "'" STR_FMT "' %s.", STR_ARG(path), why);
}

int gm_text(struct canon_call *c, const struct gm_at *up, yyjson_val *obj, const char *camel,
    struct str *ret)
{
    struct gm_at at = {.up = up};
    yyjson_val *v = gm_get(obj, camel, &at.name);
    *ret = jr_str(v);
    return v && !ret->p ? gm_fail(c, &at, "must be a string") : 0;
}

void gm_list_begin(struct gm_list *l, yyjson_val *v)
{
    *l = (struct gm_list){.only = v};
    if (yyjson_is_arr(v)) {
        l->only = NULL;
        yyjson_arr_iter_init(v, &l->iter);
    }
}

yyjson_val *gm_list_next(struct gm_list *l)
{
    yyjson_val *v = l->only ? l->only : yyjson_arr_iter_next(&l->iter);
    l->only = NULL;
    l->n += v != NULL;
    return v;
}
