/*
 * The long-context mark in message batches. Elsewhere a call names one model, and routing cuts the
 * mark from it; here each request of the batch names its own, deep in the body, which passes
 * otherwise as it came.
 *
 * Nothing here suspends.
 */
#include "gateway/gateway_int.h"

static bool is_marked(struct str literal)
{
    return json_type_of(literal) == JSON_STRING && str_ends(literal, STR("[1m]\""));
}

struct str gw_without_marks(struct str body, struct buf *out)
{
    struct str list, key, one;
    size_t done = 0;

    if (str_find(body, STR("[1m]\"")) < 0)
        return body;
    list = json_find(body, STR("requests"));
    if (json_type_of(list) != JSON_ARRAY)
        return body;
    for (size_t at = json_inside(list); json_next(list, &at, &key, &one);) {
        struct str model = json_find(one, STR("params.model"));
        if (!is_marked(model))
            continue;
        size_t end = (size_t)(model.p + model.n - 1 - body.p); /* the closing quote */
        buf_addstr(out, str_at(body.p + done, end - 4 - done));
        done = end;
    }
    if (done)
        buf_addstr(out, str_from(body, done));
    return done && !out->err ? buf_str(out) : body;
}
