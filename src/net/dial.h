/*
 * Outgoing connections: name → addresses (cached, looked up on the offload pool) → guard → happy
 * eyeballs (RFC 8305: families interleaved, next attempt after 250 ms or at once on failure) →
 * optional HTTP CONNECT through a proxy → optional TLS.
 *
 * The guard is the one place of the SSRF rules: an address that a caller could choose is resolved
 * once, every result is checked, and the connection goes to the checked address, so that the name
 * cannot change between check and use.
 */
#ifndef SF_NET_DIAL_H
#define SF_NET_DIAL_H

#include "base/error.h"
#include "net/tls.h"
#include <netinet/in.h>
#include <sys/socket.h>

struct net_addr {
    socklen_t len;
    union {
        struct sockaddr sa;
        struct sockaddr_in in4;
        struct sockaddr_in6 in6;
    };
};

/* "127.0.0.1:80" / "[::1]:80" into out (64 bytes). */
void net_addr_text(const struct net_addr *a, char out[static 64]);
bool net_addr_parse(struct str text, uint16_t port, struct net_addr *ret); /* a literal address */

/* A set of CIDR blocks, e.g. trusted proxies or the guard's allow-list. */
struct net_cidrs;
int net_cidrs_parse(
    struct str comma_list, struct net_cidrs **ret); /* -EINVAL on the first bad one */
void net_cidrs_free(struct net_cidrs *c);
bool net_cidrs_has(const struct net_cidrs *c, const struct net_addr *a); /* NULL set: false */

/* True for addresses that nobody outside may make us reach: loopback, private, link-local, CGNAT,
 * multicast, unspecified, reserved, and IPv4 inside IPv6 (mapped, 6to4, NAT64, Teredo) of those. */
bool net_addr_is_internal(const struct net_addr *a);

/* Parsed HTTPS_PROXY/HTTP_PROXY/NO_PROXY of the process. A proxy is
 * "http://user:password@host:port" (scheme and credentials optional; anything but http is -EINVAL)
 * or empty. Targets with TLS use the first, plain ones the second; both through CONNECT, so that
 * above dial() a proxied connection looks like a direct one. Loopback is never proxied. Does not
 * change once parsed. */
struct dial_proxy;
int dial_proxy_parse(
    struct str https_proxy, struct str http_proxy, struct str no_proxy, struct dial_proxy **ret);
void dial_proxy_free(struct dial_proxy *p);

struct dial_target {
    struct str host; /* name or literal address, without brackets */
    uint16_t port;
    struct tls_ctx *tls;           /* NULL = plain */
    bool caller_chosen;            /* apply the guard; false for addresses an operator configured */
    const struct net_cidrs *allow; /* guard exceptions; may be NULL */
    const struct dial_proxy *proxy; /* may be NULL. What a caller chose goes through it only when
                                       all its addresses are in allow: the proxy's own look-up could
                                       not be checked */
};

/* Suspends. 0 and an open stream, or -errno (the stream is closed then) with *err filled: status
 * 502 or 504, code "upstream_unreachable" | "upstream_timeout" | "upstream_tls" |
 * "address_not_allowed" (403, -EPERM), a message that names host, port and cause. err's texts live
 * in errbuf (512 bytes). A caller's name is refused when any one of its addresses is internal. */
int dial(const struct dial_target *t, int64_t deadline, struct stream *ret, struct error *err,
    char errbuf[static 512]);

/* Name look-up with the process-wide cache (30 s, failures 2 s; at most 4,096 names; concurrent
 * look-ups of one name on one thread share one job). Fills up to max addresses (at most 16 of a
 * name are known) with the port set. Returns the number or -errno: -ENOENT no such name, -EINVAL
 * not a name, -EIO the name server failed, -ETIMEDOUT, -ECANCELED, -EAGAIN the offload pool is
 * full. */
int dial_resolve(
    struct str host, uint16_t port, struct net_addr *out, unsigned max, int64_t deadline);

/* A listening socket: bind address text ("127.0.0.1", "::", "0.0.0.0"), SO_REUSEPORT when asked.
 * IPv6 addresses take IPv6 alone: "::" and "0.0.0.0" can stand side by side. Returns the
 * non-blocking fd or -errno: -EINVAL not a literal address, -EADDRINUSE, -EADDRNOTAVAIL, -EACCES.
 * port 0 picks one; *ret_port (may be NULL) gets the bound one. */
int net_listen(struct str bind, uint16_t port, bool reuseport, int backlog, uint16_t *ret_port);

#endif
