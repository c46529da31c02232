/*
 * Inside net: the steps of a dial, each in a file of its own.
 */
#ifndef SF_NET_NET_INT_H
#define SF_NET_NET_INT_H

#include "base/buf.h"
#include "base/secret.h"
#include "net/dial.h"

#define ADDRS_MOST 16  /* addresses of one name that are kept and tried */
#define NAME_MOST  254 /* a DNS name and its NUL */

/* resolve.c */

/* Puts an answer into the process-wide cache: n addresses (their ports do not matter), or n < 0 for
 * a failure. */
int resolve_cache_put(struct str name, const struct net_addr *addrs, int n, int64_t expires);
void resolve_cache_clear(void);
size_t resolve_cache_names(void); /* how many it holds */
uint64_t resolve_jobs(void);      /* look-ups given to the offload pool so far */
bool resolve_name_ok(struct str host);

/* connect.c: happy eyeballs. The first connected socket, or -errno of the most telling failure. */
int connect_any(const struct net_addr *addrs, unsigned n, int64_t deadline, int *ret_fd);

/* proxy.c */
struct proxy_hop {
    char *host; /* NULL = no proxy for this kind */
    uint16_t port;
    struct secret auth; /* "user:password", base64 */
};

/* The proxy to use for a target, or NULL. */
const struct proxy_hop *proxy_for(
    const struct dial_proxy *p, struct str host, uint16_t port, bool tls);
void buf_wipe(struct buf *b); /* frees a buffer that held a secret; also for _cleanup_ */

/* tunnel.c */

/* Asks the proxy behind s for a tunnel. 0 or -errno with the cause in why. Suspends. */
int proxy_tunnel(struct stream *s, const struct proxy_hop *hop, struct str host, uint16_t port,
    int64_t deadline, char *why, size_t why_n);

#endif
