/*
 * For the tests of server and client: everything runs in coroutines of one loop over 127.0.0.1.
 *
 *   in_loop(fn)     runs fn as a coroutine on a fresh loop, with a watchdog of 60 s
 *   struct rig      a server whose handler the test chooses
 *   struct raw      a peer that speaks bytes: a client of the rig, or a fake upstream
 */
#ifndef SF_HTTP_LOOPBACK_H
#define SF_HTTP_LOOPBACK_H

#include "base/tap.h"
#include "http/chunked.h"
#include "http/client.h"
#include "http/server.h"
#include "http/thread.h"
#include "runtime/co.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- the frame --- */

static void (*loop_body)(void);

static void watchdog(struct timer *t)
{
    panic("a test hangs");
}

static void run_loop_body(void *arg)
{
    struct timer dog;
    timer_init(&dog, watchdog);
    timer_set(&dog, loop_now() + 60 * NS_PER_S);
    loop_body();
    timer_clear(&dog);
    loop_stop(loop_self());
}

static void in_loop(void (*fn)(void))
{
    struct loop *l = NULL;
    must(loop_new(0, &l) == 0);
    loop_body = fn;
    loop_bind(l);
    must(co_spawn("test", run_loop_body, NULL, NULL) == 0);
    loop_run(l);
    loop_free(l);
}

static int64_t in_ms(int64_t ms)
{
    return loop_now() + ms * NS_PER_MS;
}

/* Gives the other coroutines turns until cond holds; fails the test after 10 s. */
#define WAIT_FOR(cond)                                                                             \
    do {                                                                                           \
        int64_t until_ = in_ms(10000);                                                             \
        while (!(cond) && loop_now() < until_)                                                     \
            (void)co_sleep_until(loop_now() + 200 * NS_PER_US);                                    \
        CHECK(cond);                                                                               \
    } while (0)

/* --- a server --- */

struct rig {
    struct http_server *server;
    struct http_server_settings set; /* of the next rig_start() */
    struct http_handler handler;
    uint16_t port;
};

static struct rig rig;

static void _unused_ render(
    struct buf *out, int status, struct str path, const char *why, void *ctx)
{
    (void)buf_printf(out, "{\"status\":%d,\"path\":\"" STR_FMT "\"}", status, STR_ARG(path));
}

static void _unused_ rig_start(void (*handle)(struct http_request *, void *))
{
    rig.handler.handle = handle;
    rig.handler.render_error = render;
    must(http_server_new(&rig.set, &rig.handler, &rig.server) == 0);
    int fd = net_listen(STR("127.0.0.1"), 0, false, 256, &rig.port);
    must(fd >= 0);
    must(http_server_listen(rig.server, fd) == 0);
}

static void _unused_ rig_stop(void)
{
    http_server_abort(rig.server);
    while (http_server_connections(rig.server) > 0)
        co_yield ();
    http_server_free(rig.server);
    rig = (struct rig){0};
}

/* --- bytes --- */

struct raw {
    struct stream s;
    struct buf in;
};

static void _unused_ raw_open(struct raw *r, uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    /* Blocking: the kernel completes it by itself, as long as the queue has room. */
    must(fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0);
    must(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    must(stream_open(&r->s, fd) == 0);
    buf_init(&r->in, 256 * MIB);
}

static void _unused_ raw_close(struct raw *r)
{
    stream_close(&r->s);
    buf_free(&r->in);
}

static int _unused_ raw_send(struct raw *r, struct str s)
{
    return stream_write(&r->s, s, in_ms(10000));
}

static int _unused_ raw_sendz(struct raw *r, const char *z)
{
    return raw_send(r, str_of(z));
}

/* One receive into r->in: > 0, 0, -errno. */
static ssize_t _unused_ raw_more(struct raw *r)
{
    must(buf_reserve(&r->in, 64 * KIB) == 0);
    ssize_t n = stream_read(&r->s, r->in.p + r->in.n, 64 * KIB, in_ms(10000));
    r->in.n += n > 0 ? (size_t)n : 0;
    return n;
}

/* Everything up to the end: 0, or -ECONNRESET. */
static int _unused_ raw_all(struct raw *r)
{
    ssize_t n;
    while ((n = raw_more(r)) > 0)
        ;
    return (int)n;
}

static int _unused_ raw_until(struct raw *r, struct str needle)
{
    while (str_find(buf_str(&r->in), needle) < 0) {
        ssize_t n = raw_more(r);
        if (n <= 0)
            return n < 0 ? (int)n : -ECONNRESET;
    }
    return 0;
}

struct reply {
    int status;
    bool close; /* "connection: close" */
    struct http_head head;
    struct http_field room[LIMIT_HEADERS];
    struct buf body;
    char *text; /* the head's bytes */
};

static void _unused_ reply_free(struct reply *p)
{
    buf_free(&p->body);
    free(p->text);
    p->text = NULL;
}

static int reply_head(struct raw *r, bool was_head, struct reply *p)
{
    for (;;) {
        const char *why;
        ptrdiff_t n = 0;
        if (r->in.n > 0)
            n = http_parse_response(
                buf_str(&r->in), was_head, p->room, LIMIT_HEADERS, &p->head, &why);
        if (n < 0)
            return (int)n;
        if (n > 0) {
            p->text = malloc((size_t)n);
            memcpy(p->text, r->in.p, (size_t)n);
            buf_drop(&r->in, (size_t)n);
            n = http_parse_response(
                str_at(p->text, (size_t)n), was_head, p->room, LIMIT_HEADERS, &p->head, &why);
            return n > 0 ? 0 : -EINVAL;
        }
        ssize_t got = raw_more(r);
        if (got <= 0)
            return got < 0 ? (int)got : -ECONNRESET;
    }
}

static int reply_chunks(struct raw *r, struct reply *p)
{
    struct chunked c;
    chunked_init(&c);
    for (bool end = false; !end;) {
        struct str data;
        ptrdiff_t n = chunked_next(&c, buf_str(&r->in), &data, &end);
        if (n < 0)
            return -EINVAL;
        if (data.n > 0)
            must(buf_addstr(&p->body, data) == 0);
        buf_drop(&r->in, (size_t)n);
        if (n == 0 && !end && raw_more(r) <= 0)
            return -ECONNRESET;
    }
    return 0;
}

static int reply_body(struct raw *r, struct reply *p)
{
    if (p->head.framing == HTTP_BODY_NONE)
        return 0;
    if (p->head.framing == HTTP_BODY_CHUNKED)
        return reply_chunks(r, p);
    uint64_t want = p->head.framing == HTTP_BODY_LENGTH ? p->head.content_length : UINT64_MAX;
    while (r->in.n < want) {
        ssize_t n = raw_more(r);
        if (n == 0 && want == UINT64_MAX)
            want = r->in.n;
        else if (n <= 0)
            return n < 0 ? (int)n : -ECONNRESET;
    }
    must(buf_add(&p->body, r->in.p, want) == 0);
    buf_drop(&r->in, want);
    return 0;
}

/* Reads one reply off the connection. */
static int _unused_ raw_reply(struct raw *r, bool was_head, struct reply *p)
{
    *p = (struct reply){0};
    buf_init(&p->body, 256 * MIB);
    int e = reply_head(r, was_head, p);
    if (e < 0)
        return e;
    p->status = p->head.status;
    p->close = http_list_has(http_get(&p->head.fields, HTTP_CONNECTION), STR("close"));
    return reply_body(r, p);
}

/* --- a fake upstream --- */

struct upstream {
    struct io io;
    uint16_t port;
    unsigned accepted;
    void (*serve)(struct raw *r, unsigned number); /* the connection is closed when it returns */
    unsigned running;
};

struct upstream_conn {
    struct raw raw;
    struct upstream *u;
    unsigned number;
};

static void upstream_serve(void *arg)
{
    struct upstream_conn *c = arg;
    c->u->serve(&c->raw, c->number);
    raw_close(&c->raw);
    c->u->running--;
    free(c);
}

static void upstream_accept(struct io *io, int dirs)
{
    struct upstream *u = container_of(io, struct upstream, io);
    for (;;) {
        int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        struct upstream_conn *c = calloc(1, sizeof(*c));
        c->u = u;
        c->number = u->accepted++;
        u->running++;
        must(stream_open(&c->raw.s, fd) == 0);
        buf_init(&c->raw.in, 256 * MIB);
        must(co_spawn("upstream", upstream_serve, c, NULL) == 0);
    }
}

static void _unused_ upstream_start(struct upstream *u, void (*serve)(struct raw *, unsigned))
{
    *u = (struct upstream){.serve = serve};
    int fd = net_listen(STR("127.0.0.1"), 0, false, 256, &u->port);
    must(fd >= 0 && io_open(&u->io, fd) == 0);
    u->io.on_event = upstream_accept;
}

static void _unused_ upstream_stop(struct upstream *u)
{
    http_client_close_idle();
    while (u->running > 0)
        (void)co_sleep_until(in_ms(1));
    io_close(&u->io);
}

static int _unused_ read_request(struct raw *r)
{
    return raw_until(r, STR("\r\n\r\n"));
}

static struct http_origin _unused_ origin_of(uint16_t port)
{
    return (struct http_origin){
        .target = {.host = STR("127.0.0.1"), .port = port},
        .host_header = STR("127.0.0.1"),
    };
}

/* --- calls --- */

static char _unused_ errbuf[512];
static struct error _unused_ err;
static const struct http_timeouts _unused_ patient = {.total = 20 * NS_PER_S};

static struct http_client_request _unused_ get_request(void)
{
    return (struct http_client_request){.method = STR("GET"), .target = STR("/x")};
}

static struct http_client_request _unused_ post_request(
    const struct iovec *body, unsigned n, size_t bytes)
{
    return (struct http_client_request){.method = STR("POST"),
        .target = STR("/x"),
        .body = body,
        .body_n = n,
        .body_length = bytes,
        .has_body = true};
}

/* One whole call; the body is copied to out. 0 or what failed. */
static int _unused_ call(uint16_t port, const struct http_client_request *rq,
    const struct http_timeouts *t, struct buf *out, struct http_call_info *info)
{
    struct http_origin o = origin_of(port);
    struct http_call *c;
    const struct http_head *h;
    struct str piece;
    ssize_t n;
    int r = http_call_start(&o, rq, t, &c, &err, errbuf);
    if (r < 0)
        return r;
    r = http_call_head(c, &h, &err);
    if (r == 0) {
        while ((n = http_call_read(c, &piece)) > 0)
            must(buf_addstr(out, piece) == 0);
        r = (int)n;
    }
    if (info)
        *info = http_call_info(c);
    http_call_end(c);
    return r;
}

#endif
