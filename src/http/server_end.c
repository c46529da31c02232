/*
 * How connections end: at once, by a reset, or lingering after an error reply. Nothing suspends.
 */
#include "http/server_int.h"
#include "runtime/loop.h"
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

void conn_free(struct http_conn *c)
{
    struct http_server *s = c->server;
    if (c->reset && stream_is_open(&c->stream)) {
        struct linger now = {.l_onoff = 1, .l_linger = 0};
        (void)setsockopt(c->stream.io.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
        c->stream.tls_dead = true; /* no farewell: the peer must see a cut */
    }
    timer_clear(&c->timer);
    stream_close(&c->stream);
    conn_release(c);
    input_drop(&c->in);
    list_remove(&c->node);
    cell_give(c, sizeof(*c));
    server_conn_gone(s);
}

void conn_linger(struct http_conn *c)
{
    conn_release(c);
    input_drop(&c->in);
    c->state = CONN_LINGER;
    c->linger_left = LINGER_BYTES;
    if (shutdown(c->stream.io.fd, SHUT_WR) < 0) {
        conn_free(c);
        return;
    }
    timer_set(&c->timer, loop_now() + LINGER_NS);
    conn_linger_read(c);
}

/* Below TLS on purpose: the bytes are not looked at. A peer that sends more than we are ready to
 * throw away is left to fill its window until the timer ends it: closing at once would reset the
 * connection and with it take the reply out of the peer's hands. */
void conn_linger_read(struct http_conn *c)
{
    while (c->linger_left > 0 && io_is_ready(&c->stream.io, IO_READ)) {
        char discard[1024];
        ssize_t n = recv(c->stream.io.fd, discard, sizeof(discard), 0);
        if (n < 0 && errno == EAGAIN) {
            io_not_ready(&c->stream.io, IO_READ);
            return;
        }
        if (n <= 0) {
            conn_free(c);
            return;
        }
        c->linger_left -= MIN((size_t)n, c->linger_left);
    }
}

static struct str refusal_fields(int status)
{
    return status == 503 ? STR("content-type: application/json\r\nretry-after: 1\r\n")
                         : STR("content-type: application/json\r\n");
}

/* The path of a head that could not be parsed, as far as its request line is there: it says in
 * which dialect the refusal has to be. */
static struct str path_of_line(struct str bytes)
{
    ptrdiff_t end = str_chr(bytes, '\r');
    struct str line = end < 0 ? bytes : str_to(bytes, (size_t)end);
    ptrdiff_t space = str_chr(line, ' ');
    if (space <= 0)
        return STR_NONE;
    struct str target = str_from(line, (size_t)space + 1);
    struct str path = str_split(&target, ' ');
    if (!path.n || path.p[0] != '/')
        return STR_NONE;
    ptrdiff_t query = str_chr(path, '?');
    return query < 0 ? path : str_to(path, (size_t)query);
}

static void refusal_render(struct http_conn *c, struct buf *body, int status, const char *why)
{
    const struct http_handler *h = &c->server->handler;
    /* Before a whole head was parsed, rq.head is half filled. */
    struct str path = c->state == CONN_BUSY ? c->rq.head.path : path_of_line(input_view(&c->in));
    if (h->render_error != NULL)
        h->render_error(body, status, path, why, h->ctx);
    else
        (void)buf_printf(body, "%s\n", why);
}

void conn_refuse(struct http_conn *c, int status, const char *why)
{
    struct buf body;
    buf_init(&body, 64 * KIB);
    refusal_render(c, &body, status, why);
    conn_release(c);
    char framing[64];
    int n =
        snprintf(framing, sizeof(framing), "content-length: %zu\r\nconnection: close\r\n", body.n);
    ssize_t sent = -ENOMEM;
    if (reply_head_text(c, status, refusal_fields(status), str_at(framing, (size_t)n)) == 0) {
        struct iovec iov[2] = {{c->out.p, c->reply.unsent}, {body.p, body.n}};
        sent = stream_try_writev(&c->stream, iov, 2);
    }
    buf_free(&body);
    /* A client that did not even take its earlier replies gets this one cut short. */
    if (sent < 0)
        conn_free(c);
    else
        conn_linger(c);
}
