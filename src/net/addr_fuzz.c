/*
 * Any text as an address, a CIDR list and a proxy's settings: what is accepted must mean the same
 * after being written out and read again, and how an IPv4 address is wrapped must not change the
 * judgement of it.
 */
#include "base/macros.h"
#include "net/net_int.h"
#include <arpa/inet.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_address(const struct net_addr *a)
{
    char text[64];
    struct net_addr again;
    net_addr_text(a, text);
    struct str s = str_of(text);
    bool six = text[0] == '[';
    while (s.n > 0 && s.p[s.n - 1] != ':')
        s.n--;
    s = six ? str_at(s.p + 1, s.n - 3) : str_to(s, s.n - 1);
    must(net_addr_parse(s, 4321, &again));
    must(again.len == a->len && memcmp(&again.in6, &a->in6, a->len) == 0);

    struct net_cidrs *alone = NULL;
    must(net_cidrs_parse(s, &alone) == 0 && net_cidrs_has(alone, a));
    net_cidrs_free(alone);
}

static void check_wrapped(const struct net_addr *a)
{
    struct net_addr mapped, nat64;
    must(net_addr_parse(STR("::ffff:0.0.0.0"), 0, &mapped));
    must(net_addr_parse(STR("64:ff9b::"), 0, &nat64));
    memcpy(&mapped.in6.sin6_addr.s6_addr[12], &a->in4.sin_addr, 4);
    memcpy(&nat64.in6.sin6_addr.s6_addr[12], &a->in4.sin_addr, 4);
    must(net_addr_is_internal(&mapped) == net_addr_is_internal(a));
    must(net_addr_is_internal(&nat64) == net_addr_is_internal(a));
}

static void check_proxy(struct str text)
{
    struct dial_proxy *p = NULL;
    struct str url = str_split(&text, '\n'), host = str_split(&text, '\n');
    if (dial_proxy_parse(url, STR("http://p.test:1"), text, &p) < 0)
        return;
    const struct proxy_hop *hop = proxy_for(p, host, 443, true);
    must(!hop || (resolve_name_ok(str_of(hop->host)) && hop->port != 0));
    must(!proxy_for(p, STR("127.0.0.1"), 443, false) && !proxy_for(p, STR("::1"), 443, false));
    dial_proxy_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct str text = {(const char *)data, n};
    struct net_addr a;
    if (net_addr_parse(text, 4321, &a))
        check_address(&a);
    if (n >= 4) {
        a = (struct net_addr){.len = sizeof(a.in4), .in4.sin_family = AF_INET};
        memcpy(&a.in4.sin_addr, data, 4);
        check_address(&(struct net_addr){.len = sizeof(a.in4),
            .in4 = {.sin_family = AF_INET, .sin_port = htons(4321), .sin_addr = a.in4.sin_addr}});
        check_wrapped(&a);
    }
    struct net_cidrs *c = NULL;
    if (net_cidrs_parse(text, &c) == 0)
        net_cidrs_free(c);
    check_proxy(text);
    return 0;
}
