/* The walk that finds ids agrees with one over a tree: every string that stands under "file_id", at
 * whatever depth, is found, in its order. */
#include "gateway/own.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static bool is_name(struct str key)
{
    char room[64];
    struct str literal = str_at(key.p - 1, key.n + 2);

    if (literal.n > sizeof room)
        return false;
    ptrdiff_t n = json_unescape(literal, room);
    return n >= 0 && str_eq(str_at(room, (size_t)n), STR("file_id"));
}

/* Checks each against the list; *at is how far it was met. */
static void walk(struct str value, const struct own_ids *ids, unsigned *at, unsigned depth)
{
    struct str key, item;

    must(depth < 200);
    for (size_t i = json_inside(value); i && json_next(value, &i, &key, &item);) {
        enum json_type t = json_type_of(item);
        if (key.p && t == JSON_STRING && item.n > 2 && is_name(key)) {
            char *out = malloc(item.n);
            must(out);
            ptrdiff_t n = json_unescape(item, out);
            while (*at < ids->n && !str_eq(ids->at[*at].id, str_at(out, (size_t)n)))
                ++*at;
            must(*at < ids->n);
            ++*at;
            free(out);
        } else if (t == JSON_OBJECT || t == JSON_ARRAY) {
            walk(item, ids, at, depth + 1);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct str json = str_at((const char *)data, n);
    struct own_ids ids = {0};
    struct arena a;
    struct json_set set;
    struct json_error e;
    enum json_type top;
    unsigned seen;
    unsigned at = 0;

    json_set_init(&set, NULL, 0);
    own_ids_watch(&set, 1);
    if (n > 65536 || json_scan_set(json, &set, NULL, &seen, &top, &e) < 0)
        return 0;
    if (top != JSON_OBJECT && top != JSON_ARRAY)
        return 0;
    arena_init(&a, NULL, 0, 4 * MIB);
    if (!seen || own_ids_inside(json, &a, &ids) == 0)
        walk(str_trim(json), &ids, &at, 0);
    arena_free(&a);
    return 0;
}
