/*
 * The process's outgoing proxy: what HTTPS_PROXY, HTTP_PROXY and NO_PROXY say, and which targets it
 * is for.
 *
 * NO_PROXY is a list of rules, separated by commas or spaces: "*" (everything), an address or a
 * CIDR block (for targets that are literal addresses), or a name, which stands for itself and for
 * all names below it ("corp.example", ".corp.example" and "*.corp.example" mean the same). A name
 * or address may carry ":port". Loopback never goes through a proxy.
 *
 * A struct dial_proxy does not change once parsed, so threads may share it. Nothing here suspends.
 */
#include "base/buf.h"
#include "base/macros.h"
#include "net/net_int.h"
#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>

struct rule {
    struct str name;         /* in no_proxy; empty for an address rule */
    struct net_cidrs *block; /* address rule */
    uint16_t port;           /* 0 = any */
    bool all;                /* "*" */
};

struct dial_proxy {
    struct proxy_hop https, http;
    char *no_proxy;
    struct rule *rules;
    size_t n;
};

/* --- parsing the proxies' URLs ---------------------------------------------------------------- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int add_unescaped(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '%') {
            int hi = i + 2 < s.n ? hex_digit(s.p[i + 1]) : -1;
            int lo = i + 2 < s.n ? hex_digit(s.p[i + 2]) : -1;
            if (hi < 0 || lo < 0)
                return -EINVAL;
            c = (char)(hi << 4 | lo);
            i += 2;
        }
        int r = buf_addc(out, c);
        if (r < 0)
            return r;
    }
    return 0;
}

void buf_wipe(struct buf *b)
{
    if (b->p)
        mem_wipe(b->p, b->cap);
    buf_free(b);
}

/* "user:password" → base64, as Proxy-Authorization wants it. */
static int set_auth(struct proxy_hop *hop, struct str userinfo)
{
    unsigned char out[1400];
    _cleanup_(buf_wipe) struct buf plain;
    buf_init(&plain, 1024);
    int r = buf_reserve(&plain, 1024); /* at once: growing would leave copies behind */
    if (r < 0)
        return r;
    struct str user = str_split(&userinfo, ':');
    if ((r = add_unescaped(&plain, user)) < 0 || (r = buf_addc(&plain, ':')) < 0 ||
        (r = add_unescaped(&plain, userinfo)) < 0)
        return r == -ENOBUFS ? -EINVAL : r;
    int n = EVP_EncodeBlock(out, (unsigned char *)plain.p, (int)plain.n);
    r = secret_set(&hop->auth, str_at((char *)out, (size_t)n));
    mem_wipe(out, sizeof(out));
    return r;
}

static int parse_port(struct str text, uint16_t *ret)
{
    uint64_t v;
    if (str_u64(text, &v) < 0 || v == 0 || v > UINT16_MAX)
        return -EINVAL;
    *ret = (uint16_t)v;
    return 0;
}

/* "host", "host:port", "[v6]", "[v6]:port", and a bare "v6". *ret_port stays when none is given. */
static int split_host_port(struct str s, struct str *ret_host, uint16_t *ret_port)
{
    struct net_addr a;
    ptrdiff_t at;
    if (str_starts(s, STR("["))) {
        at = str_chr(s, ']');
        if (at < 0 || !net_addr_parse(str_at(s.p + 1, (size_t)at - 1), 0, &a))
            return -EINVAL;
        *ret_host = str_at(s.p + 1, (size_t)at - 1);
        s = str_from(s, (size_t)at + 1);
        if (s.n == 0)
            return 0;
        return s.p[0] == ':' ? parse_port(str_from(s, 1), ret_port) : -EINVAL;
    }
    *ret_host = s;
    if (net_addr_parse(s, 0, &a) || (at = str_chr(s, ':')) < 0)
        return 0;
    *ret_host = str_to(s, (size_t)at);
    return parse_port(str_from(s, (size_t)at + 1), ret_port);
}

static int parse_url(struct str url, struct proxy_hop *hop)
{
    url = str_trim(url);
    if (url.n == 0)
        return 0;
    ptrdiff_t at = str_find(url, STR("://"));
    if (at >= 0) {
        if (!str_ieq(str_to(url, (size_t)at), STR("http")))
            return -EINVAL; /* TLS to the proxy itself and SOCKS are not spoken */
        url = str_from(url, (size_t)at + 3);
    }
    struct str authority = str_split(&url, '/');
    for (size_t i = authority.n; i > 0; i--) {
        if (authority.p[i - 1] != '@')
            continue;
        int r = set_auth(hop, str_to(authority, i - 1));
        if (r < 0)
            return r;
        authority = str_from(authority, i);
        break;
    }
    struct str host;
    hop->port = 80;
    if (split_host_port(authority, &host, &hop->port) < 0 || !resolve_name_ok(host))
        return -EINVAL;
    hop->host = str_dup(host);
    return hop->host ? 0 : -ENOMEM;
}

/* --- NO_PROXY --------------------------------------------------------------------------------- */

static int parse_rule(struct str item, struct rule *ret)
{
    *ret = (struct rule){.all = str_eq(item, STR("*"))};
    if (ret->all)
        return 0;
    if (net_cidrs_parse(item, &ret->block) == 0)
        return 0;
    struct str name;
    int r = split_host_port(item, &name, &ret->port);
    if (r < 0)
        return r;
    if (net_cidrs_parse(name, &ret->block) == 0)
        return 0;
    if (str_starts(name, STR("*")))
        name = str_from(name, 1);
    if (str_starts(name, STR(".")))
        name = str_from(name, 1);
    ret->name = name;
    return name.n > 0 ? 0 : -EINVAL;
}

/* Rules that mean nothing are left out: the variable is shared with other programs, which put odd
 * things into it. */
static int parse_no_proxy(struct dial_proxy *p, struct str text)
{
    p->no_proxy = str_dup(text);
    p->rules = calloc(text.n / 2 + 1, sizeof(p->rules[0]));
    if (!p->no_proxy || !p->rules)
        return -ENOMEM;
    for (char *c = p->no_proxy; *c; c++)
        if (*c == ' ' || *c == '\t')
            *c = ',';
    struct str rest = str_of(p->no_proxy);
    while (rest.p) {
        struct str item = str_split(&rest, ',');
        if (item.n > 0 && parse_rule(item, &p->rules[p->n]) == 0)
            p->n++;
    }
    return 0;
}

static bool is_below(struct str host, struct str name)
{
    if (host.n > name.n)
        return host.p[host.n - name.n - 1] == '.' && str_ieq(str_from(host, host.n - name.n), name);
    return str_ieq(host, name);
}

static bool is_loopback(struct str host, const struct net_addr *a)
{
    if (!a)
        return is_below(host, STR("localhost"));
    if (a->sa.sa_family == AF_INET)
        return ntohl(a->in4.sin_addr.s_addr) >> 24 == 127;
    return IN6_IS_ADDR_LOOPBACK(&a->in6.sin6_addr);
}

static bool rule_matches(
    const struct rule *r, struct str host, const struct net_addr *a, uint16_t port)
{
    if (r->all)
        return true;
    if (r->port != 0 && r->port != port)
        return false;
    return a ? net_cidrs_has(r->block, a) : r->name.n > 0 && is_below(host, r->name);
}

const struct proxy_hop *proxy_for(
    const struct dial_proxy *p, struct str host, uint16_t port, bool tls)
{
    const struct proxy_hop *hop = !p ? NULL : tls ? &p->https : &p->http;
    if (!hop || !hop->host)
        return NULL;
    if (str_ends(host, STR(".")))
        host.n--;
    struct net_addr addr, *a = net_addr_parse(host, port, &addr) ? &addr : NULL;
    if (is_loopback(host, a))
        return NULL;
    for (size_t i = 0; i < p->n; i++)
        if (rule_matches(&p->rules[i], host, a, port))
            return NULL;
    return hop;
}

/* --- the settings as a whole ------------------------------------------------------------------ */

int dial_proxy_parse(
    struct str https_proxy, struct str http_proxy, struct str no_proxy, struct dial_proxy **ret)
{
    struct dial_proxy *p = calloc(1, sizeof(*p));
    if (!p)
        return -ENOMEM;
    int r = parse_url(https_proxy, &p->https);
    if (r >= 0)
        r = parse_url(http_proxy, &p->http);
    if (r >= 0)
        r = parse_no_proxy(p, no_proxy);
    if (r < 0) {
        dial_proxy_free(p);
        return r;
    }
    *ret = p;
    return 0;
}

static void hop_free(struct proxy_hop *hop)
{
    free(hop->host);
    secret_free(&hop->auth);
}

void dial_proxy_free(struct dial_proxy *p)
{
    if (!p)
        return;
    hop_free(&p->https);
    hop_free(&p->http);
    for (size_t i = 0; i < p->n; i++)
        net_cidrs_free(p->rules[i].block);
    free(p->rules);
    free(p->no_proxy);
    free(p);
}
