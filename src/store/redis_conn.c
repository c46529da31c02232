/*
 * A connection to Redis: dialled, TLS where the URL says rediss://, logged in, database chosen; and
 * question and answer over it, one at a time. The link uses that for its first words, and then goes
 * over to the pipeline; the subscriber reads on with conn_reply().
 *
 * Everything here suspends, and each step has its bound.
 */
#include "store/redis_int.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>

#define CONN_ADDRS 4

void why_reply(char why[static REDIS_WHY], const char *what, struct str text)
{
    int n = snprintf(why, REDIS_WHY, "%s: ", what);
    for (size_t i = 0; i < text.n && n < REDIS_WHY - 1; i++)
        why[n++] = text.p[i] >= 0x20 && text.p[i] < 0x7f ? text.p[i] : '?';
    why[n] = '\0';
}

static int failed(char why[static REDIS_WHY], const char *what, int r)
{
    snprintf(why, REDIS_WHY, "%s: %s", what, r == 0 ? "closed by Redis" : strerror(-r));
    return r == 0 ? -ECONNRESET : r;
}

/* --- question and answer ---------------------------------------------------------------------- */

int redis_conn_send(struct redis_conn *c, const struct buf *b, char why[static REDIS_WHY])
{
    if (b->err)
        return failed(why, "sending", b->err);
    int r = stream_write(&c->stream, buf_str(b), clock_now() + SHARED_WAIT_NS);
    return r < 0 ? failed(why, "sending", r) : 0;
}

int conn_reply(struct redis_conn *c, int64_t deadline, char why[static REDIS_WHY])
{
    for (;;) {
        int r = resp_next(&c->resp);
        if (r == 1)
            return 0;
        if (r < 0)
            return failed(why, "what came is not Redis' protocol", r);
        ssize_t n = stream_read(&c->stream, c->in, REDIS_IN_BYTES, deadline);
        if (n == -ETIMEDOUT)
            return -ETIMEDOUT;
        if (n <= 0)
            return failed(why, "reading", (int)n);
        r = resp_feed(&c->resp, c->in, (size_t)n);
        if (r < 0)
            return failed(why, "reading", r);
    }
}

int conn_ask(struct redis_conn *c, struct buf *b, char why[static REDIS_WHY])
{
    int r = redis_conn_send(c, b, why);
    buf_clear(b);
    if (r == 0)
        r = conn_reply(c, clock_now() + SHARED_WAIT_NS, why);
    return r == -ETIMEDOUT ? failed(why, "waiting for an answer", r) : r;
}

/* The same where only success will do. */
static int ask_ok(struct redis_conn *c, struct buf *b, const char *what, char why[static REDIS_WHY])
{
    int r = conn_ask(c, b, why);
    if (r < 0)
        return r;
    if (c->resp.items[0].type == RESP_ERROR) {
        why_reply(why, what, c->resp.items[0].s);
        return -EACCES;
    }
    return c->resp.items[0].type == RESP_STATUS ? 0 : failed(why, what, -EPROTO);
}

static int log_in(struct redis *r, struct redis_conn *c, char why[static REDIS_WHY])
{
    _cleanup_(buf_free) struct buf b;
    int e = 0;
    buf_init(&b, 4096);
    if (secret_is_set(&r->password)) {
        resp_begin(&b, secret_is_set(&r->user) ? 3 : 2);
        resp_arg(&b, STR("AUTH"));
        if (secret_is_set(&r->user))
            resp_arg(&b, secret_reveal(&r->user));
        resp_arg(&b, secret_reveal(&r->password));
        e = ask_ok(c, &b, "AUTH", why);
        mem_wipe(b.p, b.cap);
    }
    if (e == 0 && r->db > 0) {
        resp_begin(&b, 2);
        resp_arg(&b, STR("SELECT"));
        resp_int(&b, r->db);
        e = ask_ok(c, &b, "SELECT", why);
    }
    if (e == 0) {
        resp_begin(&b, 1);
        resp_arg(&b, STR("PING"));
        e = ask_ok(c, &b, "PING", why);
    }
    return e;
}

/* --- connecting ------------------------------------------------------------------------------- */

static int dial_one(
    struct redis *r, struct redis_conn *c, const char *host, char why[static REDIS_WHY])
{
    struct dial_target t = {.host = str_of(host), .port = r->port};
    struct error err = {0};
    char text[512];
    int64_t deadline = clock_now() + REDIS_CONNECT_NS;
    int e = dial(&t, deadline, &c->stream, &err, text);
    if (e < 0) {
        c->stream.io.fd = -1;
        why_reply(why, "connecting", err.message);
        return e;
    }
    if (!r->tls)
        return 0;
    e = tls_connect(&c->stream, r->tls, str_of(r->host), deadline, text, sizeof text);
    if (e < 0) {
        stream_close(&c->stream);
        why_reply(why, "TLS", e == -EACCES ? str_of(text) : str_of(strerror(-e)));
    }
    return e;
}

/* At start the pool that looks up names need not be there yet, and nothing else waits. */
static int dial_blocking(struct redis *r, struct redis_conn *c, char why[static REDIS_WHY])
{
    struct addrinfo *found = NULL, hints = {.ai_socktype = SOCK_STREAM};
    int tried = 0, e = getaddrinfo(r->host, NULL, &hints, &found);
    if (e != 0) {
        snprintf(why, REDIS_WHY, "looking up %.100s: %s", r->host, gai_strerror(e));
        return -ENOENT;
    }
    e = -ENOENT;
    for (struct addrinfo *a = found; a && e < 0 && tried < CONN_ADDRS; a = a->ai_next, tried++) {
        char text[INET6_ADDRSTRLEN];
        if (getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST) == 0)
            e = dial_one(r, c, text, why);
    }
    freeaddrinfo(found);
    return e;
}

int redis_conn_open(struct redis *r, struct redis_conn *c, char why[static REDIS_WHY])
{
    resp_free(&c->resp);
    if (resp_init(&c->resp) < 0 || (!c->in && !(c->in = malloc(REDIS_IN_BYTES))))
        return failed(why, "connecting", -ENOMEM);
    int e = r->checking ? dial_blocking(r, c, why) : dial_one(r, c, r->host, why);
    if (e < 0)
        return e;
    e = log_in(r, c, why);
    if (e < 0)
        conn_close(c);
    return e;
}

void conn_close(struct redis_conn *c)
{
    stream_close(&c->stream);
}

void redis_conn_free(struct redis_conn *c)
{
    resp_free(&c->resp);
    free(c->in);
    c->in = NULL;
}
