/*
 * Whose address a call comes from. The connection's, unless that peer is a trusted proxy: then
 * X-Forwarded-For is read from the right, past every hop that is trusted too, and the first other
 * address counts. What stands further left was written by the client and proves nothing.
 */
#include "gateway/gateway_int.h"

/* "203.0.113.7", "203.0.113.7:4711", "[2001:db8::1]:443" */
static bool parse_hop(struct str hop, struct net_addr *ret)
{
    struct str host = hop;
    ptrdiff_t at;

    if (hop.n && hop.p[0] == '[' && (at = str_chr(hop, ']')) > 0)
        host = str_at(hop.p + 1, (size_t)at - 1);
    else if ((at = str_chr(hop, ':')) > 0 && str_chr(str_from(hop, (size_t)at + 1), ':') < 0)
        host = str_to(hop, (size_t)at);
    return net_addr_parse(host, 0, ret);
}

/* The last hop of a list; *list keeps what stands before it. */
static struct str last_hop(struct str *list)
{
    size_t n = list->n;

    while (n > 0 && list->p[n - 1] != ',')
        n--;
    struct str hop = str_trim(str_from(*list, n));
    *list = str_to(*list, n ? n - 1 : 0);
    return hop;
}

/* Follows one field's hops from the right; false when it ended at one that is not trusted. */
static bool follow(const struct config *c, struct str list, struct net_addr *client)
{
    struct net_addr hop;

    while (list.n) {
        if (!parse_hop(last_hop(&list), &hop))
            return false;
        *client = hop;
        if (!net_cidrs_has(c->trusted_proxies, &hop))
            return false;
    }
    return true;
}

/* Several fields are one list, in their order (RFC 9110, 5.2): some proxies add a field of their
 * own behind the client's. */
struct net_addr gw_client_address(const struct config *c, const struct http_request *rq)
{
    const struct http_fields *f = &rq->head.fields;
    struct net_addr client = rq->peer;

    if (!c->trusted_proxies || !net_cidrs_has(c->trusted_proxies, &rq->peer) ||
        !http_has(f, HTTP_X_FORWARDED_FOR))
        return client;
    for (unsigned i = f->n; i-- > 0;)
        if (f->at[i].id == HTTP_X_FORWARDED_FOR && !follow(c, f->at[i].value, &client))
            break;
    return client;
}
