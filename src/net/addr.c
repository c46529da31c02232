/*
 * Literal addresses, CIDR sets, and the judgement of which addresses are internal.
 *
 * For comparison every address is reduced to a struct plain_ip: 4 or 16 bytes, with IPv4-mapped
 * IPv6
 * (::ffff:a.b.c.d) folded into IPv4, because the kernel connects both to the same place.
 *
 * The judgement for IPv6 works by exclusion: only 2000::/3 is global unicast today, so whatever is
 * outside of it is internal unless it carries an IPv4 address that is not. That leaves no gap for a
 * range which nobody thought of.
 *
 * Nothing here suspends or keeps state.
 */
#include "base/macros.h"
#include "net/dial.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct plain_ip {
    unsigned n; /* 4 or 16; 0 = neither IPv4 nor IPv6 */
    uint8_t b[16];
};

static struct plain_ip plain4(const uint8_t *b)
{
    struct plain_ip ip = {.n = 4};
    memcpy(ip.b, b, 4);
    return ip;
}

static struct plain_ip plain(const struct net_addr *a)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct plain_ip ip = {.n = 16};
    if (a->sa.sa_family == AF_INET)
        return plain4((const uint8_t *)&a->in4.sin_addr);
    if (a->sa.sa_family != AF_INET6)
        return (struct plain_ip){.n = 0};
    memcpy(ip.b, &a->in6.sin6_addr, 16);
    return memcmp(ip.b, mapped, 12) == 0 ? plain4(ip.b + 12) : ip;
}

/* --- text ------------------------------------------------------------------------------------- */

/* Without printf: every call's log line has an address. */
static void put_in4(const struct sockaddr_in *a, char *out)
{
    const uint8_t *b = (const uint8_t *)&a->sin_addr;
    for (int i = 0; i < 4; i++) {
        out += u64_put(out, b[i]);
        *out++ = i < 3 ? '.' : ':';
    }
    out[u64_put(out, ntohs(a->sin_port))] = 0;
}

void net_addr_text(const struct net_addr *a, char out[static 64])
{
    char ip[INET6_ADDRSTRLEN] = "?";
    if (a->sa.sa_family == AF_INET) {
        put_in4(&a->in4, out);
    } else if (a->sa.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &a->in6.sin6_addr, ip, sizeof(ip));
        snprintf(out, 64, "[%s]:%u", ip, ntohs(a->in6.sin6_port));
    } else {
        snprintf(out, 64, "?");
    }
}

bool net_addr_parse(struct str text, uint16_t port, struct net_addr *ret)
{
    char z[INET6_ADDRSTRLEN];
    if (text.n == 0 || text.n >= sizeof(z) || memchr(text.p, 0, text.n))
        return false;
    memcpy(z, text.p, text.n);
    z[text.n] = 0;
    struct net_addr a = {.len = 0};
    if (inet_pton(AF_INET, z, &a.in4.sin_addr) == 1) {
        a.in4.sin_family = AF_INET;
        a.in4.sin_port = htons(port);
        a.len = sizeof(a.in4);
    } else if (inet_pton(AF_INET6, z, &a.in6.sin6_addr) == 1) {
        a.in6.sin6_family = AF_INET6;
        a.in6.sin6_port = htons(port);
        a.len = sizeof(a.in6);
    } else {
        return false;
    }
    *ret = a;
    return true;
}

/* --- CIDR sets -------------------------------------------------------------------------------- */

struct cidr {
    struct plain_ip ip;
    unsigned bits; /* of ip that count */
};

struct net_cidrs {
    size_t n;
    struct cidr list[];
};

static bool cidr_has(const struct cidr *c, const struct plain_ip *ip)
{
    if (c->ip.n != ip->n)
        return false;
    unsigned whole = c->bits / 8, rest = c->bits % 8;
    if (memcmp(c->ip.b, ip->b, whole) != 0)
        return false;
    return rest == 0 || (c->ip.b[whole] ^ ip->b[whole]) >> (8 - rest) == 0;
}

/* "10.0.0.0/8", or an address alone. Bits beyond the prefix are ignored. */
static int cidr_parse(struct str text, struct cidr *ret)
{
    bool has_bits = str_chr(text, '/') >= 0;
    struct net_addr a;
    if (!net_addr_parse(str_split(&text, '/'), 0, &a))
        return -EINVAL;
    unsigned most = a.sa.sa_family == AF_INET ? 32 : 128;
    uint64_t bits = most;
    if (has_bits && (str_u64(text, &bits) < 0 || bits > most))
        return -EINVAL;
    ret->ip = plain(&a);
    if (ret->ip.n * 8 < most) { /* a mapped block: its prefix must cover the mapping itself */
        if (bits < 96)
            return -EINVAL;
        bits -= 96;
    }
    ret->bits = (unsigned)bits;
    return 0;
}

int net_cidrs_parse(struct str comma_list, struct net_cidrs **ret)
{
    size_t most = 1;
    for (size_t i = 0; i < comma_list.n; i++)
        most += comma_list.p[i] == ',';
    struct net_cidrs *c = malloc(sizeof(*c) + most * sizeof(c->list[0]));
    if (!c)
        return -ENOMEM;
    c->n = 0;
    while (comma_list.p) {
        struct str item = str_trim(str_split(&comma_list, ','));
        if (item.n == 0)
            continue;
        int r = cidr_parse(item, &c->list[c->n]);
        if (r < 0) {
            free(c);
            return r;
        }
        c->n++;
    }
    *ret = c;
    return 0;
}

void net_cidrs_free(struct net_cidrs *c)
{
    free(c);
}

bool net_cidrs_has(const struct net_cidrs *c, const struct net_addr *a)
{
    if (!c)
        return false;
    struct plain_ip ip = plain(a);
    for (size_t i = 0; i < c->n; i++)
        if (cidr_has(&c->list[i], &ip))
            return true;
    return false;
}

/* --- what is internal ------------------------------------------------------------------------- */

#define V4(a, b, c, d, bits)                                                                       \
    {                                                                                              \
        {4, {a, b, c, d}}, bits                                                                    \
    }

static const struct cidr internal4[] = {
    V4(0, 0, 0, 0, 8),       /* this network */
    V4(10, 0, 0, 0, 8),      /* private */
    V4(100, 64, 0, 0, 10),   /* carrier-grade NAT */
    V4(127, 0, 0, 0, 8),     /* loopback */
    V4(169, 254, 0, 0, 16),  /* link-local, and the clouds' metadata services */
    V4(172, 16, 0, 0, 12),   /* private */
    V4(192, 0, 0, 0, 24),    /* protocol assignments */
    V4(192, 0, 2, 0, 24),    /* documentation */
    V4(192, 88, 99, 0, 24),  /* 6to4 relays, withdrawn */
    V4(192, 168, 0, 0, 16),  /* private */
    V4(198, 18, 0, 0, 15),   /* benchmarks */
    V4(198, 51, 100, 0, 24), /* documentation */
    V4(203, 0, 113, 0, 24),  /* documentation */
    V4(224, 0, 0, 0, 4),     /* multicast */
    V4(240, 0, 0, 0, 4),     /* reserved, broadcast */
};

static const struct cidr global6 = {{16, {0x20}}, 3};
static const struct cidr nat64 = {{16, {0x00, 0x64, 0xff, 0x9b}}, 96};
static const struct cidr sixtofour = {{16, {0x20, 0x02}}, 16};
static const struct cidr internal6[] = {
    {{16, {0x20, 0x01}}, 23},             /* protocol assignments, with Teredo and ORCHID */
    {{16, {0x20, 0x01, 0x0d, 0xb8}}, 32}, /* documentation */
    {{16, {0x3f, 0xff}}, 20},             /* documentation */
};

static bool any_has(const struct cidr *list, size_t n, const struct plain_ip *ip)
{
    for (size_t i = 0; i < n; i++)
        if (cidr_has(&list[i], ip))
            return true;
    return false;
}

static bool is_internal4(const struct plain_ip *ip)
{
    return any_has(internal4, ARRAY_LEN(internal4), ip);
}

bool net_addr_is_internal(const struct net_addr *a)
{
    struct plain_ip ip = plain(a), inner;
    if (ip.n == 0)
        return true;
    if (ip.n == 4)
        return is_internal4(&ip);
    if (cidr_has(&nat64, &ip)) {
        inner = plain4(ip.b + 12);
        return is_internal4(&inner);
    }
    if (cidr_has(&sixtofour, &ip)) {
        inner = plain4(ip.b + 2);
        return is_internal4(&inner);
    }
    return !cidr_has(&global6, &ip) || any_has(internal6, ARRAY_LEN(internal6), &ip);
}
