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

struct net_addr gw_client_address(const struct config *c, const struct http_request *rq)
{
    struct net_addr client = rq->peer, hop;
    struct str list = http_get(&rq->head.fields, HTTP_X_FORWARDED_FOR);

    if (!c->trusted_proxies || !net_cidrs_has(c->trusted_proxies, &rq->peer))
        return client;
    if (http_count(&rq->head.fields, HTTP_X_FORWARDED_FOR) != 1)
        return client; /* several fields: no telling which a proxy wrote */
    while (list.n) {
        if (!parse_hop(last_hop(&list), &hop))
            return client;
        client = hop;
        if (!net_cidrs_has(c->trusted_proxies, &hop))
            return client;
    }
    return client;
}
