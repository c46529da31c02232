/*
 * dial(): the steps of an outgoing connection in order, and the sentence for each that fails.
 *
 *   host ─▶ proxy? ─no─▶ resolve ─▶ guard ─▶ connect ───────────────────▶ TLS? ─▶ stream
 *              └─yes─▶ guard (stricter) ─▶ resolve proxy ─▶ connect ─▶ CONNECT ─▶┘
 *
 * The guard sees every address of a name and refuses the name if one of them is internal: a name
 * that mixes public and internal addresses is an attack or a mistake. The connection is then made
 * to the addresses that were seen. A proxy would resolve the name again, out of our sight; so
 * through a proxy a caller's target must lie wholly within the allow-list, and CONNECT names the
 * address that was checked instead of the name.
 *
 * Suspends in all steps. The caller's stream is either open and complete or closed.
 */
#include "base/macros.h"
#include "net/net_int.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#define ERR_BYTES 512

/* One dial under way. */
struct dialling {
    const struct dial_target *t;
    int64_t deadline;
    struct error *err;
    char *errbuf;
    char host[128]; /* the target's host as messages show it: printable, shortened */
};

/* --- errors ----------------------------------------------------------------------------------- */

static void show_host(struct str host, char *out, size_t out_n)
{
    size_t n = MIN(host.n, out_n - 1);
    for (size_t i = 0; i < n; i++) {
        char c = host.p[i];
        out[i] = c > ' ' && c < 0x7f && c != '"' && c != '\\' ? c : '?';
    }
    out[n] = 0;
}

static const char *cause(int r)
{
    switch (-r) {
    case ECONNREFUSED:
        return "connection refused";
    case ECONNRESET:
    case EPIPE:
        return "the connection was closed";
    case ETIMEDOUT:
        return "no answer within the time limit";
    case ENOENT:
        return "there is no such host name";
    case EIO:
        return "the name look-up failed";
    case EINVAL:
        return "not a valid host name";
    case ENETUNREACH:
    case EHOSTUNREACH:
    case EADDRNOTAVAIL:
        return "no route to the host";
    case EMFILE:
    case ENFILE:
        return "this process has too many open files";
    case EAGAIN:
        return "too many name look-ups are waiting";
    case ECANCELED:
        return "the call was cancelled";
    default:
        return strerror(-r);
    }
}

static int fail(struct dialling *d, int r, int status, struct str code, const char *fmt, ...)
    _printf_(5, 6);

static int fail(struct dialling *d, int r, int status, struct str code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(d->errbuf, ERR_BYTES, fmt, ap);
    va_end(ap);
    *d->err = (struct error){
        .status = status,
        .code = code,
        .message = str_at(d->errbuf, (size_t)MIN(MAX(n, 0), ERR_BYTES - 1)),
    };
    return r;
}

/* The general case: by the kind of r. where is "" or " (through the proxy …)". */
static int unreachable(struct dialling *d, int r, const char *where, const char *why)
{
    bool late = r == -ETIMEDOUT;
    return fail(d, r, late ? 504 : 502,
        late ? STR("upstream_timeout") : STR("upstream_unreachable"), "cannot reach %s:%u%s: %s",
        d->host, d->t->port, where, why);
}

static int refuse(struct dialling *d, const char *why)
{
    int r = fail(d, -EPERM, 403, STR("address_not_allowed"), "%s:%u is not allowed: %s", d->host,
        d->t->port, why);
    d->err->hint = STR("An operator can allow it by its address block.");
    d->err->no_retry = true;
    return r;
}

/* --- guard ------------------------------------------------------------------------------------ */

static int guard(struct dialling *d, const struct net_addr *addrs, int n)
{
    for (int i = 0; i < n; i++)
        if (net_addr_is_internal(&addrs[i]) && !net_cidrs_has(d->t->allow, &addrs[i]))
            return refuse(d, "it is in a private or reserved network");
    return 0;
}

/* For a caller's target behind a proxy: the address to name in CONNECT, as text. */
static int guard_proxied(struct dialling *d, char out[static INET6_ADDRSTRLEN])
{
    static const char why[] = "behind a proxy only addresses of the allow-list are";
    struct net_addr addrs[ADDRS_MOST];
    int n = dial_resolve(d->t->host, d->t->port, addrs, ADDRS_MOST, d->deadline);
    if (n == -ETIMEDOUT || n == -ECANCELED)
        return unreachable(d, n, "", cause(n));
    if (n < 0)
        return refuse(d, why);
    for (int i = 0; i < n; i++)
        if (!net_cidrs_has(d->t->allow, &addrs[i]))
            return refuse(d, why);
    if (addrs[0].sa.sa_family == AF_INET)
        inet_ntop(AF_INET, &addrs[0].in4.sin_addr, out, INET6_ADDRSTRLEN);
    else
        inet_ntop(AF_INET6, &addrs[0].in6.sin6_addr, out, INET6_ADDRSTRLEN);
    return 0;
}

/* --- steps ------------------------------------------------------------------------------------ */

static int connect_stream(const struct net_addr *addrs, int n, int64_t deadline, struct stream *ret)
{
    int fd, r = connect_any(addrs, (unsigned)n, deadline, &fd);
    return r < 0 ? r : stream_open(ret, fd);
}

static int dial_direct(struct dialling *d, struct stream *ret)
{
    struct net_addr addrs[ADDRS_MOST];
    int r = dial_resolve(d->t->host, d->t->port, addrs, ADDRS_MOST, d->deadline);
    if (r < 0)
        return unreachable(d, r, "", cause(r));
    int n = r;
    if (d->t->caller_chosen && (r = guard(d, addrs, n)) < 0)
        return r;
    r = connect_stream(addrs, n, d->deadline, ret);
    return r < 0 ? unreachable(d, r, "", cause(r)) : 0;
}

static int dial_through(struct dialling *d, const struct proxy_hop *hop, struct stream *ret)
{
    char pinned[INET6_ADDRSTRLEN], where[160], why[128] = "";
    struct str host = d->t->host;
    if (!resolve_name_ok(host)) /* it goes into a request line */
        return unreachable(d, -EINVAL, "", cause(-EINVAL));
    int r = d->t->caller_chosen ? guard_proxied(d, pinned) : 0;
    if (r < 0)
        return r;
    if (d->t->caller_chosen)
        host = str_of(pinned);

    snprintf(where, sizeof(where), " through the proxy %.100s:%u", hop->host, hop->port);
    struct net_addr addrs[ADDRS_MOST];
    r = dial_resolve(str_of(hop->host), hop->port, addrs, ADDRS_MOST, d->deadline);
    if (r >= 0)
        r = connect_stream(addrs, r, d->deadline, ret);
    if (r >= 0)
        r = proxy_tunnel(ret, hop, host, d->t->port, d->deadline, why, sizeof(why));
    return r < 0 ? unreachable(d, r, where, why[0] ? why : cause(r)) : 0;
}

static int start_tls(struct dialling *d, struct stream *s)
{
    char why[256] = "";
    int r = tls_connect(s, d->t->tls, d->t->host, d->deadline, why, sizeof(why));
    if (r >= 0)
        return 0;
    if (r == -ETIMEDOUT)
        return unreachable(d, r, "", "the TLS handshake did not finish within the time limit");
    return fail(
        d, r, 502, STR("upstream_tls"), "TLS with %s:%u failed: %s", d->host, d->t->port, why);
}

int dial(const struct dial_target *t, int64_t deadline, struct stream *ret, struct error *err,
    char errbuf[static 512])
{
    struct dialling d = {.t = t, .deadline = deadline, .err = err, .errbuf = errbuf};
    show_host(t->host, d.host, sizeof(d.host));
    *ret = (struct stream){.io.fd = -1};
    const struct proxy_hop *hop = proxy_for(t->proxy, t->host, t->port, t->tls != NULL);
    int r = hop ? dial_through(&d, hop, ret) : dial_direct(&d, ret);
    if (r >= 0 && t->tls)
        r = start_tls(&d, ret);
    if (r < 0)
        stream_close(ret);
    return r;
}
