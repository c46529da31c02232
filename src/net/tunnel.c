/*
 * CONNECT: asking an HTTP proxy for a tunnel.
 *
 * Plain targets go through CONNECT like TLS ones: a tunnel looks like a direct connection to all
 * code above. A proxy that allows CONNECT to port 443 alone says so with a status, which is
 * reported.
 *
 * Suspends: proxy_tunnel(), in stream reads and writes.
 */
#include "base/buf.h"
#include "base/limits.h"
#include "base/macros.h"
#include "net/net_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define REPLY_MOST (8 * KIB)

static void freep(char **p)
{
    free(*p);
}

static int send_connect(
    struct stream *s, const struct proxy_hop *hop, struct str host, uint16_t port, int64_t deadline)
{
    _cleanup_(buf_wipe) struct buf b;
    buf_init(&b, 4 * KIB);
    int r = buf_reserve(&b, 4 * KIB); /* at once: growing would leave copies of the secret behind */
    if (r < 0)
        return r;
    const char *open = str_chr(host, ':') >= 0 ? "[" : "", *close = *open ? "]" : "";
    buf_printf(&b, "CONNECT %s" STR_FMT "%s:%u HTTP/1.1\r\n", open, STR_ARG(host), close, port);
    buf_printf(&b, "host: %s" STR_FMT "%s:%u\r\n", open, STR_ARG(host), close, port);
    if (secret_is_set(&hop->auth)) {
        buf_addstr(&b, STR("proxy-authorization: Basic "));
        buf_addstr(&b, secret_reveal(&hop->auth));
        buf_addstr(&b, STR("\r\n"));
    }
    buf_addstr(&b, STR("\r\n"));
    return b.err < 0 ? b.err : stream_write(s, buf_str(&b), deadline);
}

/* Reads up to the end of the reply's head; *ret_more says that bytes came behind it. */
static int read_head(
    struct stream *s, char *head, int64_t deadline, struct str *ret, bool *ret_more)
{
    size_t have = 0;
    while (have < REPLY_MOST) {
        ssize_t got = stream_read(s, head + have, REPLY_MOST - have, deadline);
        if (got <= 0)
            return got == 0 ? -ECONNRESET : (int)got;
        size_t from = have > 3 ? have - 3 : 0;
        have += (size_t)got;
        ptrdiff_t end = str_find(str_at(head + from, have - from), STR("\r\n\r\n"));
        if (end < 0)
            continue;
        *ret = str_at(head, from + (size_t)end);
        *ret_more = ret->n + 4 < have;
        return 0;
    }
    return -EPROTO;
}

/* "HTTP/1.1 407 Proxy Authentication Required" → 407; -EPROTO when it is no such line. */
static int reply_status(struct str head)
{
    uint64_t status;
    if (!str_starts(head, STR("HTTP/1.")) || head.n < 12 || head.p[8] != ' ' ||
        (head.n > 12 && head.p[12] != ' ' && head.p[12] != '\r') ||
        str_u64(str_at(head.p + 9, 3), &status) < 0)
        return -EPROTO;
    return (int)status;
}

static int read_reply(struct stream *s, int64_t deadline, char *why, size_t why_n)
{
    _cleanup_(freep) char *buf = malloc(REPLY_MOST);
    if (!buf)
        return -ENOMEM;
    struct str head = STR_NONE;
    bool more = false;
    int r = read_head(s, buf, deadline, &head, &more);
    if (r == 0)
        r = reply_status(head);
    if (more && r >= 200 && r < 300)
        r = -EPROTO; /* the first bytes in the tunnel are ours to send: these are not the target's
                      */
    if (r == -EPROTO)
        snprintf(why, why_n, "its answer is not a valid HTTP reply to CONNECT");
    if (r < 0 || (r >= 200 && r < 300))
        return MIN(r, 0);
    if (r == 407)
        snprintf(why, why_n, "it asks for other credentials (status 407)");
    else
        snprintf(why, why_n, "it refused the connection with status %d", r);
    return -ECONNREFUSED;
}

int proxy_tunnel(struct stream *s, const struct proxy_hop *hop, struct str host, uint16_t port,
    int64_t deadline, char *why, size_t why_n)
{
    why[0] = 0;
    int r = send_connect(s, hop, host, port, deadline);
    return r < 0 ? r : read_reply(s, deadline, why, why_n);
}
