/*
 * Syslog, RFC 5424: facility local0, the line as the message. Over UDP and the local socket one
 * datagram each; over TCP and TLS with their lengths before them (RFC 6587, RFC 5425).
 *
 * TCP says nothing about what arrived. A connection that the other side closed is noticed before
 * the next batch; what was on its way then is lost, as with all syslog over TCP.
 */
#include "telemetry/sinks_int.h"

#include "net/dial.h"
#include "runtime/co.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#define SEND_WAIT  (10 * NS_PER_S)
#define FULL_WAIT  (5 * NS_PER_MS)
#define FULL_TRIES 200

enum transport { SYSLOG_UDP, SYSLOG_TCP, SYSLOG_TLS, SYSLOG_UNIX };

struct syslog {
    enum transport transport;
    struct str host; /* in text; of the local socket its path */
    uint16_t port;
    struct tls_ctx *tls;
    struct post_route route;
    int fd;               /* datagrams; -1 = none */
    struct stream stream; /* TCP and TLS */
    unsigned pid;
    char hostname[256];
    char text[];
};

/* --- the address --- */

static const struct {
    struct str scheme;
    enum transport transport;
    uint16_t port;
} schemes[] = {
    {STR_INIT("udp://"), SYSLOG_UDP, 514},
    {STR_INIT("tcp://"), SYSLOG_TCP, 601},
    {STR_INIT("tls://"), SYSLOG_TLS, 6514},
    {STR_INIT("unix:"), SYSLOG_UNIX, 0},
};

/* "host", "host:514", "[::1]:514" */
static int read_host(struct syslog *s, struct str a)
{
    ptrdiff_t end = a.n && a.p[0] == '[' ? str_chr(a, ']') : -1;
    struct str host = end > 0 ? str_at(a.p + 1, (size_t)end - 1) : a;
    struct str rest = end > 0 ? str_from(a, (size_t)end + 1) : STR_NONE;
    uint64_t port = s->port;

    if (end < 0) {
        rest = a;
        host = str_split(&rest, ':');
        if (rest.p && str_u64(rest, &port) < 0)
            return -EINVAL;
    } else if (rest.n && (rest.p[0] != ':' || str_u64(str_from(rest, 1), &port) < 0)) {
        return -EINVAL;
    }
    s->host = host;
    s->port = (uint16_t)port;
    return host.n && host.n < 256 && port > 0 && port <= 65535 ? 0 : -EINVAL;
}

static int read_address(struct syslog *s)
{
    struct str url = str_of(s->text);

    for (unsigned i = 0; i < ARRAY_LEN(schemes); i++) {
        if (!str_istarts(url, schemes[i].scheme))
            continue;
        s->transport = schemes[i].transport;
        s->port = schemes[i].port;
        struct str rest = str_from(url, schemes[i].scheme.n);
        if (s->transport != SYSLOG_UNIX)
            return read_host(s, rest);
        s->host = rest;
        return rest.n && rest.n < sizeof((struct sockaddr_un *)0)->sun_path ? 0 : -EINVAL;
    }
    return -EINVAL;
}

/* --- life --- */

static void disconnect(struct syslog *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    stream_close(&s->stream);
    s->stream.io.fd = -1;
}

static void syslog_close(void *state)
{
    struct syslog *s = state;

    disconnect(s);
    if (s->tls)
        tls_ctx_unref(s->tls);
    if (s->route.owner)
        s->route.unref(s->route.owner);
    free(s);
}

static int make_tls(struct syslog *s, char why[static POST_ERR_BYTES])
{
    struct tls_client_settings set = {.ca_file = s->route.ca};
    char err[256] = "";
    int r = tls_client_ctx(&set, &s->tls, err, sizeof err);

    if (r < 0)
        snprintf(why, POST_ERR_BYTES, "%.*s", POST_ERR_BYTES - 1, err);
    return r;
}

static int syslog_open(const struct sink_settings *set, const struct post_route *route,
    struct str node, void **ret, char why[static POST_ERR_BYTES])
{
    struct str url = str_trim(set->syslog);
    struct syslog *s;
    (void)node;

    if (!url.n)
        return 0;
    if (!(s = calloc(1, sizeof *s + url.n + 1)))
        return -ENOMEM;
    memcpy(s->text, url.p, url.n);
    s->fd = s->stream.io.fd = -1;
    s->pid = (unsigned)getpid();
    if (gethostname(s->hostname, sizeof s->hostname - 1) < 0 || !s->hostname[0])
        s->hostname[0] = '-';
    s->route = *route;
    if (s->route.owner)
        s->route.ref(s->route.owner);
    int r = read_address(s);
    if (r < 0)
        snprintf(why, POST_ERR_BYTES,
            "it must be udp://host:port, tcp://host:port, tls://host:port or unix:/path");
    else if (s->transport == SYSLOG_TLS)
        r = make_tls(s, why);
    if (r < 0) {
        syslog_close(s);
        return r;
    }
    *ret = s;
    return 0;
}

/* --- connecting --- */

static int open_datagrams(struct syslog *s, const struct sockaddr *to, socklen_t n)
{
    s->fd = socket(to->sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd < 0)
        return -errno;
    if (connect(s->fd, to, n) == 0)
        return 0;
    int r = -errno;
    disconnect(s);
    return r;
}

static int connect_unix(struct syslog *s)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};

    memcpy(to.sun_path, s->host.p, s->host.n);
    return open_datagrams(s, (struct sockaddr *)&to, sizeof to);
}

static int connect_udp(struct syslog *s)
{
    struct net_addr to;
    int n = dial_resolve(s->host, s->port, &to, 1, clock_now() + SEND_WAIT);

    if (n <= 0)
        return n < 0 ? n : -ENOENT;
    return open_datagrams(s, &to.sa, to.len);
}

static int connect_tcp(struct syslog *s, struct post_reply *ret)
{
    const struct dial_target to = {.host = s->host, .port = s->port, .tls = s->tls};
    struct error e = {0};
    char errbuf[512];
    int r = dial(&to, clock_now() + SEND_WAIT, &s->stream, &e, errbuf);

    if (r < 0) {
        s->stream.io.fd = -1;
        snprintf(ret->why, sizeof ret->why, STR_FMT, (int)MIN(e.message.n, sizeof ret->why - 1),
            e.message.p);
    }
    return r;
}

static int make_ready(struct syslog *s, struct post_reply *ret)
{
    if (stream_is_open(&s->stream) && !stream_is_quiet(&s->stream))
        disconnect(s); /* it was closed */
    if (s->fd >= 0 || stream_is_open(&s->stream))
        return 0;
    switch (s->transport) {
    case SYSLOG_UDP:
        return connect_udp(s);
    case SYSLOG_UNIX:
        return connect_unix(s);
    default:
        return connect_tcp(s, ret);
    }
}

/* --- sending --- */

/* <134>: facility 16 (local0), severity 6. */
void syslog_frame(struct str line, struct str host, unsigned pid, bool counted, struct buf *out)
{
    char head[400];
    struct str time = sink_line_time(line);
    int n = snprintf(head, sizeof head, "<134>1 " STR_FMT " " STR_FMT " smartflow %u call - ",
        time.n ? (int)time.n : 1, time.n ? time.p : "-", (int)MIN(host.n, 255), host.p, pid);

    if (counted)
        buf_printf(out, "%zu ", (size_t)n + line.n);
    buf_add(out, head, (size_t)n);
    buf_addstr(out, line);
}

/* A receiver that is behind gets a little time. */
static int send_datagram(struct syslog *s, struct str d)
{
    for (unsigned i = 0; i < FULL_TRIES; i++) {
        if (send(s->fd, d.p, d.n, MSG_NOSIGNAL) >= 0)
            return 0;
        if (errno == EMSGSIZE)
            return -EMSGSIZE;
        if (errno != EAGAIN && errno != ENOBUFS && errno != EINTR)
            return -errno;
        int r = co_sleep_until(clock_now() + FULL_WAIT);
        if (r < 0)
            return r;
    }
    return -ETIMEDOUT;
}

/* One after the other. UDP tells of a closed port at the next send: that one is not there, and the
 * line goes again. */
static int send_datagrams(struct syslog *s, const struct sink_batch *b)
{
    _cleanup_(buf_free) struct buf d = {0};
    struct str rest = b->lines;
    int r = 0;

    buf_init(&d, 2 * MIB);
    while (rest.p && rest.n && r == 0) {
        buf_clear(&d);
        syslog_frame(str_split(&rest, '\n'), str_of(s->hostname), s->pid, false, &d);
        r = send_datagram(s, buf_str(&d));
        if (r == -EMSGSIZE) { /* no datagram is that long */
            buf_clear(&d);
            lanes_count_dropped(&sink_lanes, 1);
            r = 0;
        }
    }
    return r;
}

static int send_stream(struct syslog *s, const struct sink_batch *b)
{
    _cleanup_(buf_free) struct buf all = {0};
    struct str rest = b->lines;

    buf_init(&all, 8 * MIB);
    while (rest.p && rest.n)
        syslog_frame(str_split(&rest, '\n'), str_of(s->hostname), s->pid, true, &all);
    return all.err ? all.err : stream_write(&s->stream, buf_str(&all), clock_now() + SEND_WAIT);
}

static enum post_result syslog_send(void *state, const struct sink_batch *b, struct post_reply *ret)
{
    struct syslog *s = state;
    int r;

    ret->why[0] = 0;
    r = make_ready(s, ret);
    if (r == 0)
        r = s->fd >= 0 ? send_datagrams(s, b) : send_stream(s, b);
    if (r == 0)
        return POST_DONE;
    disconnect(s);
    if (!ret->why[0])
        snprintf(ret->why, sizeof ret->why, "%s", strerror(-r));
    return POST_RETRY;
}

const struct sink_ops sink_syslog = {
    .name = "syslog",
    .variable = "SMARTFLOW_SINK_SYSLOG",
    .open = syslog_open,
    .send = syslog_send,
    .close = syslog_close,
    .batch_bytes = 64 * KIB,
};
