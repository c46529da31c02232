/*
 * What a call's prompt begins with, as a number, so that calls which begin alike can be sent to
 * where the provider's prompt cache has that beginning. A conversation keeps its number while it
 * grows: only what stands before the first turn of the user, and that turn, count.
 */
#include "route/plan.h"

#include "base/hash.h"
#include "json/scan.h"

#define PIECE_MAX ((size_t)4 << 10) /* of each part; what follows rarely tells prompts apart */

static uint64_t mix(uint64_t h, struct str s)
{
    const uint64_t key[2] = {h, 0x7072656669786573};

    return hash_keyed(key, str_to(s, PIECE_MAX));
}

static bool is_users(struct str item)
{
    return str_eq(json_find(item, STR("role")), STR("\"user\""));
}

/* The items of a list to the first one of the user; a text is taken whole. */
static uint64_t mix_turns(uint64_t h, struct str turns)
{
    struct str key, item;
    size_t at = json_type_of(turns) == JSON_ARRAY ? json_inside(turns) : 0;

    if (!at)
        return turns.n ? mix(h, turns) : h;
    while (json_next(turns, &at, &key, &item)) {
        h = mix(h, item);
        if (json_type_of(item) != JSON_OBJECT || is_users(item))
            break;
    }
    return h;
}

uint64_t route_prefix_hash(struct str body)
{
    static const struct str names[] = {STR_INIT("prompt_cache_key"), STR_INIT("system"),
        STR_INIT("instructions"), STR_INIT("systemInstruction"), STR_INIT("messages"),
        STR_INIT("input"), STR_INIT("contents"), STR_INIT("prompt")};
    struct str v[ARRAY_LEN(names)];
    uint64_t h = 1;

    if (!body.n || json_type_of(body) != JSON_OBJECT)
        return 0;
    json_members(body, names, v, ARRAY_LEN(names));
    if (json_type_of(v[0]) == JSON_STRING && v[0].n > 2)
        return mix(h, v[0]);
    for (unsigned i = 1; i < 4; i++)
        if (v[i].n)
            h = mix(h, v[i]);
    for (unsigned i = 4; i < ARRAY_LEN(names); i++)
        if (v[i].n)
            h = mix_turns(h, v[i]);
    return h == 1 ? 0 : h;
}
