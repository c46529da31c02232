/*
 * Calls: their beginning, their end, and what went wrong in words.
 */
#include "http/client_int.h"
#include "runtime/co.h"
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

_Static_assert(sizeof(struct http_call) <= BLOCK_OBJECT, "ten thousand of them may wait");
_Static_assert(sizeof(struct client_conn) <= 256, "an idle connection fits the 256-byte class");

static void timeouts_fill(struct http_timeouts *t)
{
    t->connect = t->connect ? t->connect : 10 * NS_PER_S;
    t->first_byte = t->first_byte ? t->first_byte : 600 * NS_PER_S;
    t->between = t->between ? t->between : 300 * NS_PER_S;
    t->total = t->total ? t->total : 1800 * NS_PER_S;
    t->send = t->send ? t->send : 60 * NS_PER_S;
}

static const struct {
    int error, status;
    const char *code, *text;
} causes[] = {
    {-ETIMEDOUT, 504, "upstream_timeout", "did not answer in time"},
    {-ECONNRESET, 502, "upstream_closed", NULL},
    {-EPIPE, 502, "upstream_closed", NULL},
    {-EPROTO, 502, "upstream_bad_response", "sent a malformed reply"},
    {-ECANCELED, 499, "canceled", "was not waited for, as the client went away"},
    {-ENOMEM, 503, "out_of_memory", "was not asked, as memory is short"},
    {-EMSGSIZE, 502, "upstream_send_failed", "was not asked, as the request's head is too large"},
};

int call_fail(struct http_call *c, struct error *err, int r, const char *what)
{
    c->error = r;
    *err = (struct error){.status = 502, .code = STR("upstream_send_failed")};
    const char *text = what;
    for (size_t i = 0; i < ARRAY_LEN(causes); i++) {
        if (causes[i].error != r)
            continue;
        err->status = causes[i].status;
        err->code = str_of(causes[i].code);
        text = causes[i].text ? causes[i].text : what;
    }
    int n = snprintf(c->errbuf, 512, "The upstream %.*s %s.",
        (int)MIN(c->origin->host_header.n, 255u), c->origin->host_header.p, text);
    err->message = str_at(c->errbuf, (size_t)MIN(n, 511));
    return r;
}

static int call_connect(struct http_call *c, struct error *err)
{
    c->conn = c->req.stream_body ? NULL : pool_take(c->origin);
    c->info.reused = c->conn != NULL;
    if (c->conn != NULL)
        return 0;
    int64_t began = loop_now();
    int r = pool_dial(c->origin, call_deadline(c, c->t.connect), &c->conn, err, c->errbuf);
    c->info.connect_ns = loop_now() - began;
    if (r < 0 && err->status == 0)
        (void)call_fail(c, err, r, "could not be reached");
    return r;
}

static int call_begin(struct http_call *c, struct error *err)
{
    int r = call_head_text(c);
    if (r < 0)
        return call_fail(c, err, r, "could not be asked");
    r = call_connect(c, err);
    if (r < 0 || c->req.stream_body)
        return r;
    r = call_send(c);
    /* The peer takes no more: there may be an early reply, or the connection was stale; both are
     * for http_call_head(). */
    if (r == 0 || r == -EPIPE)
        return 0;
    return call_fail(c, err, r, "did not take the request");
}

int http_call_start(const struct http_origin *o, const struct http_client_request *r,
    const struct http_timeouts *t, struct http_call **ret, struct error *err,
    char errbuf[static 512])
{
    *ret = NULL;
    *err = (struct error){0};
    struct http_call *c = cell_take(sizeof(*c));
    if (c == NULL) {
        *err = (struct error){
            .status = 503, .code = STR("out_of_memory"), .message = STR("Memory is short.")};
        return -ENOMEM;
    }
    c->origin = o;
    c->req = *r;
    c->t = *t;
    timeouts_fill(&c->t);
    c->errbuf = errbuf;
    c->total_at = loop_now() + c->t.total;
    c->stream_left = r->stream_body ? r->body_length : 0;
    int e = call_begin(c, err);
    if (e < 0) {
        http_call_end(c);
        return e;
    }
    *ret = c;
    return 0;
}

static bool reusable(const struct http_call *c)
{
    return c->error == 0 && c->head_done && c->body.done && c->sent_all && c->head.keep_alive &&
           c->head.status != 101 && c->body.framing != HTTP_BODY_TO_EOF &&
           input_unread(&c->in) == 0 && !c->conn->stream.io.hangup &&
           stream_is_quiet(&c->conn->stream);
}

/* A request that is given up half-way: an orderly close would queue behind what the upstream does
 * not read, and it would not learn of the end. */
static void reset_at_close(struct stream *s)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(s->io.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    s->tls_dead = true;
}

static void conn_let_go(struct http_call *c)
{
    if (reusable(c)) {
        pool_put(c->conn);
        return;
    }
    if (!c->sent_all)
        reset_at_close(&c->conn->stream);
    client_conn_close(c->conn);
}

void http_call_end(struct http_call *c)
{
    if (c == NULL)
        return;
    if (c->conn != NULL)
        conn_let_go(c);
    input_drop(&c->in);
    block_give(&c->out);
    block_give(&c->head_store);
    block_give(&c->fields);
    block_give(&c->held);
    cell_give(c, sizeof(*c));
}

struct stream *http_call_stream(struct http_call *c)
{
    return c->conn != NULL ? &c->conn->stream : NULL;
}

struct str http_call_rest(struct http_call *c)
{
    struct str rest = input_view(&c->in);
    c->in.start = c->in.end;
    return rest;
}

struct http_call_info http_call_info(const struct http_call *c)
{
    return c->info;
}
