/*
 * How demanding a prompt looks, without asking a model: signs that are counted. One sign alone
 * never makes a prompt demanding; a tool that failed always does.
 */
#include "route/plan.h"

#include "json/scan.h"

#define SIGN      300 /* thousandths each */
#define LONG_TEXT ((size_t)8 << 10)
#define LOOKED_AT ((size_t)16 << 10) /* of a turn, for words */

/* Words are in lower case. */
static bool any_word(struct str text, const char *const *words)
{
    text = str_to(text, LOOKED_AT);
    for (size_t at = 0; at < text.n; at++)
        for (unsigned i = 0; words[i]; i++) {
            struct str w = str_of(words[i]);
            if ((text.p[at] | 0x20) == (w.p[0] | 0x20) && str_istarts(str_from(text, at), w))
                return true;
        }
    return false;
}

static unsigned items_of(struct str list)
{
    struct str key, item;
    size_t at = json_type_of(list) == JSON_ARRAY ? json_inside(list) : 0;
    unsigned n = 0;

    while (at && json_next(list, &at, &key, &item))
        n++;
    return n;
}

/* The last item of a list: what is asked now. */
static struct str last_of(struct str list)
{
    struct str key, item, last = STR_NONE;
    size_t at = json_type_of(list) == JSON_ARRAY ? json_inside(list) : 0;

    while (at && json_next(list, &at, &key, &item))
        last = item;
    return last.n ? last : list;
}

unsigned route_effort(struct str body)
{
    static const char *const thinking[] = {"prove", "derive", "step by step", "analyze", "analyse",
        "architecture", "trade-off", "algorithm", "optimi", "root cause", NULL};
    static const char *const code[] = {"```", "refactor", "debug", "stack trace", "traceback",
        "implement", "unit test", "select ", "#include", NULL};
    static const char *const media[] = {"\"image_url\"", "\"image\"", "\"input_image\"",
        "\"document\"", "\"input_file\"", "\"inlinedata\"", NULL};
    static const char *const failed[] = {"\"is_error\":true", "\"is_error\": true", NULL};
    static const struct str names[] = {STR_INIT("messages"), STR_INIT("input"),
        STR_INIT("contents"), STR_INIT("tools"), STR_INIT("reasoning_effort"),
        STR_INIT("reasoning"), STR_INIT("thinking")};
    struct str v[ARRAY_LEN(names)];
    unsigned signs = 0;

    if (!body.n)
        return 0;
    json_members(body, names, v, ARRAY_LEN(names));
    struct str talk = v[0].n ? v[0] : v[1].n ? v[1] : v[2], last = last_of(talk);
    if (any_word(last, failed))
        return 1000;
    signs += last.n > LONG_TEXT;
    signs += items_of(talk) > 8;
    signs += items_of(v[3]) > 4;
    signs += any_word(last, thinking);
    signs += any_word(last, code);
    signs += any_word(last, media);
    signs += v[4].n || v[5].n || v[6].n;
    return signs < 2 ? 0 : signs * SIGN > 1000 ? 1000 : signs * SIGN;
}
