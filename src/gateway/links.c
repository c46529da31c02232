/*
 * Links in replies. Anthropic's message batches say in "results_url" where their results lie, and
 * its SDKs call that address with the key they have: the virtual one, which the provider must not
 * see and would refuse. So the origin is cut off. What is left, a path, SDKs put behind their base
 * URL, which is the gateway's, whatever host and scheme they know it by.
 *
 * Nothing here suspends.
 */
#include "gateway/gateway_int.h"

/* From the path on; p NULL when it is no address of results. */
static struct str path_of(struct str literal)
{
    ptrdiff_t at = str_find(literal, STR("/v1/messages/batches/"));

    return at > 0 && json_type_of(literal) == JSON_STRING ? str_from(literal, (size_t)at)
                                                          : STR_NONE;
}

/* Copies body from *done up to the link of one batch, and passes over its origin. */
static void cut_origin(struct str body, struct str batch, size_t *done, struct buf *out)
{
    struct str url = json_find(batch, STR("results_url")), path = path_of(url);

    if (!path.n)
        return;
    buf_addstr(out, str_at(body.p + *done, (size_t)(url.p + 1 - body.p) - *done));
    *done = (size_t)(path.p - body.p);
}

struct str gw_local_links(struct str body, struct buf *out)
{
    struct json_error e;
    enum json_type top;
    struct str list, key, batch;
    size_t done = 0;

    if (json_scan(body, NULL, NULL, 0, &top, &e) < 0 || top != JSON_OBJECT)
        return body;
    list = json_find(body, STR("data"));
    if (json_type_of(list) == JSON_ARRAY)
        for (size_t at = json_inside(list); json_next(list, &at, &key, &batch);)
            cut_origin(body, batch, &done, out);
    else
        cut_origin(body, body, &done, out);
    if (!done)
        return body;
    buf_addstr(out, str_from(body, done));
    return out->err ? body : buf_str(out);
}
