/*
 * The client where all goes well: reuse, bodies in both directions, early replies, upgrade, and
 * what a waiting stream holds.
 */
#include "http/client_int.h"
#include "http/loopback.h"

/* --- against the server --- */

static void echo_body(struct http_request *rq, void *ctx)
{
    struct str piece;
    ssize_t n;
    uint64_t length =
        rq->head.framing == HTTP_BODY_LENGTH ? rq->head.content_length : HTTP_LENGTH_UNKNOWN;
    if (rq->head.framing == HTTP_BODY_NONE)
        length = 0;
    must(http_reply_begin(rq, 200, STR("x-a: 1\r\n"), length) == 0);
    while ((n = http_body_read(rq, 1024 * MIB, &piece)) > 0)
        if (http_reply_write(rq, piece) < 0)
            return;
    (void)http_reply_end(rq, STR_NONE);
}

static void reuse(void)
{
    rig_start(echo_body);
    struct iovec body[2] = {{"hello ", 6}, {"world", 5}};
    struct http_client_request rq = post_request(body, 2, 11);
    for (int i = 0; i < 5; i++) {
        struct http_call_info info;
        struct buf out;
        buf_init(&out, KIB);
        CHECK_EQ(call(rig.port, &rq, &patient, &out, &info), 0);
        CHECK_STR(buf_str(&out), STR("hello world"));
        CHECK_EQ(info.reused, i > 0);
        CHECK_EQ(http_server_connections(rig.server), 1);
        buf_free(&out);
    }
    http_client_close_idle();
    WAIT_FOR(http_server_connections(rig.server) == 0);
    CHECK_EQ(http_blocks_held(), 0);
    rig_stop();
}

static void head_method(void)
{
    rig_start(echo_body);
    struct http_client_request rq = get_request();
    rq.method = STR("HEAD");
    struct buf out;
    buf_init(&out, KIB);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(call(rig.port, &rq, &patient, &out, NULL), 0);
    CHECK_EQ(out.n, 0);
    CHECK_EQ(http_server_connections(rig.server), 1);
    rig_stop();
    http_client_close_idle();
}

static int write_all(struct http_call *c, size_t n)
{
    char part[5000];
    memset(part, 'q', sizeof(part));
    for (size_t at = 0; at < n; at += sizeof(part)) {
        int r = http_call_write(c, str_at(part, MIN(sizeof(part), n - at)));
        if (r < 0)
            return r;
    }
    return http_call_write_end(c);
}

static void count_body(struct http_request *rq, void *ctx)
{
    struct str piece;
    char text[32];
    while (http_body_read(rq, 1024 * MIB, &piece) > 0)
        ;
    int n = snprintf(text, sizeof(text), "%llu", (unsigned long long)rq->body_received);
    (void)http_reply(rq, 200, STR_NONE, str_at(text, (size_t)n));
}

static void streamed_body(void)
{
    rig_start(count_body);
    struct http_origin o = origin_of(rig.port);
    for (int declared = 0; declared < 2; declared++) {
        struct http_client_request rq = {.method = STR("POST"),
            .target = STR("/"),
            .stream_body = true,
            .body_length = declared ? 3000000 : HTTP_LENGTH_UNKNOWN};
        struct http_call *c;
        const struct http_head *h;
        struct str all;
        CHECK_EQ(http_call_start(&o, &rq, &patient, &c, &err, errbuf), 0);
        CHECK_EQ(write_all(c, 3000000), 0);
        CHECK_EQ(http_call_head(c, &h, &err), 0);
        CHECK_EQ(http_call_read_all(c, KIB, &all), 0);
        CHECK_STR(all, STR("3000000"));
        http_call_end(c);
    }
    rig_stop();
    http_client_close_idle();
}

enum { LARGE = 5000000 };

static char large_at(size_t i)
{
    return (char)(i * 31 + i / 1000);
}

/* Holds the body, then sends it back: as one piece, or in chunks when asked by the path. */
static void hold_and_echo(struct http_request *rq, void *ctx)
{
    struct str body;
    must(http_body_all(rq, 2 * LARGE, &body) == 0);
    if (str_eq(rq->head.path, STR("/x"))) {
        (void)http_reply(rq, 200, STR_NONE, body);
        return;
    }
    must(http_reply_begin(rq, 200, STR_NONE, HTTP_LENGTH_UNKNOWN) == 0);
    for (size_t at = 0, len = 1; at < body.n; at += len, len = len * 3 % 70000 + 1)
        if (http_reply_write(rq, str_to(str_from(body, at), len)) < 0)
            return;
    (void)http_reply_end(rq, STR_NONE);
}

static void large_both_ways(void)
{
    rig_start(hold_and_echo);
    char *p = malloc(LARGE);
    for (size_t i = 0; i < LARGE; i++)
        p[i] = large_at(i);
    struct iovec body = {p, LARGE};
    struct http_client_request rq = post_request(&body, 1, LARGE);
    struct http_origin o = origin_of(rig.port);
    for (int chunked = 0; chunked < 2; chunked++) {
        struct http_call *c;
        const struct http_head *h;
        struct str all;
        rq.target = chunked ? STR("/chunked") : STR("/x");
        CHECK_EQ(http_call_start(&o, &rq, &patient, &c, &err, errbuf), 0);
        CHECK_EQ(http_call_head(c, &h, &err), 0);
        CHECK_EQ(http_call_read_all(c, LARGE, &all), 0);
        CHECK_EQ(all.n, LARGE);
        CHECK(memcmp(all.p, p, LARGE) == 0);
        CHECK_EQ(http_call_info(c).reused, chunked);
        http_call_end(c);
    }
    free(p);
    rig_stop();
    http_client_close_idle();
}

/* --- early replies --- */

static void refuses_upload(struct raw *r, unsigned number)
{
    if (read_request(r) < 0)
        return;
    (void)raw_sendz(r, "HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno");
    /* Stays open without reading: the client must not need the end to notice. */
    (void)stream_wait_readable(&r->s, in_ms(5000));
    while (number == 0 && !r->s.io.hangup)
        (void)co_sleep_until(in_ms(1));
}

static void early_reply(void)
{
    enum { N = 32 * 1024 * 1024 };
    struct upstream u;
    upstream_start(&u, refuses_upload);
    struct http_origin o = origin_of(u.port);
    char *p = calloc(1, N);
    for (int streamed = 0; streamed < 2; streamed++) {
        struct iovec body = {p, N};
        struct http_client_request rq = post_request(&body, 1, N);
        struct http_call *c;
        const struct http_head *h;
        struct str all;
        rq.stream_body = streamed;
        CHECK_EQ(http_call_start(&o, &rq, &patient, &c, &err, errbuf), 0);
        if (streamed)
            CHECK_EQ(http_call_write(c, str_at(p, N)), -EPIPE);
        CHECK_EQ(http_call_head(c, &h, &err), 0);
        CHECK_EQ(h->status, 413);
        CHECK_EQ(http_call_read_all(c, KIB, &all), 0);
        CHECK_STR(all, STR("no"));
        CHECK(http_call_info(c).bytes_sent < N);
        http_call_end(c);
    }
    free(p);
    upstream_stop(&u);
}

/* Sends interim replies before it reads the body, as if it had been asked to. */
static void hints_first(struct raw *r, unsigned number)
{
    enum { N = 32 * 1024 * 1024 };
    if (read_request(r) < 0)
        return;
    (void)raw_sendz(r, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n");
    while (r->in.n < N && raw_more(r) > 0)
        ;
    (void)raw_sendz(r, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
}

static void interim_while_sending(void)
{
    enum { N = 32 * 1024 * 1024 };
    struct upstream u;
    upstream_start(&u, hints_first);
    char *p = calloc(1, N);
    struct iovec body = {p, N};
    struct http_client_request rq = post_request(&body, 1, N);
    struct http_timeouts t = {.total = 10 * NS_PER_S};
    struct buf out;
    buf_init(&out, KIB);
    CHECK_EQ(call(u.port, &rq, &t, &out, NULL), 0);
    CHECK_STR(buf_str(&out), STR("ok"));
    buf_free(&out);
    free(p);
    upstream_stop(&u);
}

/* --- the pool --- */

static void keeps_alive(struct raw *r, unsigned number)
{
    while (read_request(r) == 0) {
        buf_clear(&r->in);
        (void)raw_sendz(r, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    }
}

/* Three calls at once, so that three connections are idle afterwards. */
static unsigned reused;

static void three_calls(uint16_t port)
{
    struct http_origin o = origin_of(port);
    struct http_client_request rq = get_request();
    struct http_call *c[3];
    const struct http_head *h;
    reused = 0;
    for (int i = 0; i < 3; i++)
        CHECK_EQ(http_call_start(&o, &rq, &patient, &c[i], &err, errbuf), 0);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(http_call_head(c[i], &h, &err), 0);
        reused += http_call_info(c[i]).reused;
        http_call_end(c[i]);
    }
}

/* The oldest goes, whatever its host. */
static void idle_maximum(void)
{
    struct upstream a, b;
    upstream_start(&a, keeps_alive);
    upstream_start(&b, keeps_alive);
    pool_set_max_idle(4);
    three_calls(a.port);
    three_calls(b.port);
    CHECK_EQ(reused, 0);
    WAIT_FOR(a.running == 1);
    CHECK_EQ(b.running, 3);
    three_calls(a.port);
    CHECK_EQ(reused, 1);
    WAIT_FOR(b.running == 1);
    CHECK_EQ(a.running, 3);
    pool_set_max_idle(LIMIT_POOL_IDLE);
    http_client_close_idle();
    WAIT_FOR(a.running == 0 && b.running == 0);
    upstream_stop(&a);
    upstream_stop(&b);
}

/* --- fairness --- */

static bool others_end;
static unsigned other_turns;

static void others(void *arg)
{
    for (; !others_end; other_turns++)
        co_yield ();
    others_end = false;
}

enum { FLOOD = 32 * 1024 * 1024 };

static void floods(struct raw *r, unsigned number)
{
    if (read_request(r) < 0)
        return;
    char *p = calloc(1, FLOOD);
    (void)raw_sendz(r, "HTTP/1.1 200 OK\r\ncontent-length: 33554432\r\n\r\n");
    (void)raw_send(r, str_at(p, FLOOD));
    free(p);
}

/* Data that is always there must not keep the thread from others. */
static void gives_way(void)
{
    struct upstream u;
    upstream_start(&u, floods);
    struct http_origin o = origin_of(u.port);
    struct http_client_request rq = get_request();
    struct http_call *c;
    const struct http_head *h;
    struct str piece;
    size_t all = 0, run = 0, longest = 0;
    CHECK_EQ(http_call_start(&o, &rq, &patient, &c, &err, errbuf), 0);
    CHECK_EQ(http_call_head(c, &h, &err), 0);
    CHECK_EQ(co_spawn("others", others, NULL, NULL), 0);
    (void)co_sleep_until(in_ms(20)); /* the buffers between fill up */
    for (unsigned turns = other_turns; http_call_read(c, &piece) > 0; turns = other_turns) {
        run = turns == other_turns ? run + piece.n : 0;
        longest = MAX(longest, run);
        all += piece.n;
    }
    CHECK_EQ(all, FLOOD);
    CHECK(longest <= MIB + 64 * KIB);
    http_call_end(c);
    others_end = true;
    WAIT_FOR(!others_end);
    upstream_stop(&u);
}

/* --- upgrade --- */

static void serve_upgrade(struct raw *r, unsigned number)
{
    if (read_request(r) < 0)
        return;
    (void)raw_sendz(r, "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n"
                       "upgrade: echo\r\n\r\nearly");
    buf_clear(&r->in);
    if (raw_until(r, STR("ping")) == 0)
        (void)raw_sendz(r, "pong");
}

static void upgrade(void)
{
    struct upstream u;
    upstream_start(&u, serve_upgrade);
    struct http_origin o = origin_of(u.port);
    struct http_client_request rq = get_request();
    rq.fields = STR("connection: upgrade\r\nupgrade: echo\r\n");
    rq.upgrade = true;
    struct http_call *c;
    const struct http_head *h;
    char b[8];
    CHECK_EQ(http_call_start(&o, &rq, &patient, &c, &err, errbuf), 0);
    CHECK_EQ(http_call_head(c, &h, &err), 0);
    CHECK_EQ(h->status, 101);
    CHECK_STR(http_get(&h->fields, HTTP_UPGRADE), STR("echo"));
    CHECK_STR(http_call_rest(c), STR("early"));
    CHECK_EQ(stream_write(http_call_stream(c), STR("ping"), in_ms(5000)), 0);
    CHECK_EQ(stream_read(http_call_stream(c), b, sizeof(b), in_ms(5000)), 4);
    CHECK(memcmp(b, "pong", 4) == 0);
    http_call_end(c);
    upstream_stop(&u);
    CHECK_EQ(http_blocks_held(), 0);
}

/* --- what a waiting stream holds --- */

static bool stream_go;
static unsigned upstream_saw_end;

static void serve_stream(struct raw *r, unsigned number)
{
    if (read_request(r) < 0)
        return;
    (void)raw_sendz(r, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n");
    upstream_saw_end = 0;
    while (!stream_go && !r->s.io.hangup)
        (void)co_sleep_until(in_ms(1));
    upstream_saw_end = r->s.io.hangup;
    (void)raw_sendz(r, "1\r\nb\r\n0\r\n\r\n");
    (void)raw_all(r);
}

static void relay(struct http_request *rq, void *ctx)
{
    struct upstream *u = ctx;
    struct http_origin o = origin_of(u->port);
    struct http_client_request cr = get_request();
    struct http_call *c;
    const struct http_head *h;
    struct iovec iov[8];
    int n;
    must(http_call_start(&o, &cr, &patient, &c, &err, errbuf) == 0);
    must(http_call_head(c, &h, &err) == 0);
    must(http_reply_begin(rq, h->status, STR_NONE, HTTP_LENGTH_UNKNOWN) == 0);
    http_request_forget_head(rq);
    while ((n = http_call_readv(c, iov, 8)) > 0)
        (void)(http_call_ended(c) ? http_reply_end_with(rq, iov, n, STR_NONE)
                                  : http_reply_writev(rq, iov, n));
    http_call_end(c);
}

static void waiting_stream(void)
{
    struct upstream u;
    upstream_start(&u, serve_stream);
    stream_go = false;
    rig.handler.ctx = &u;
    rig_start(relay);
    struct raw c;
    raw_open(&c, rig.port);
    CHECK_EQ(raw_sendz(&c, "GET / HTTP/1.1\r\nhost: x\r\n\r\n"), 0);
    CHECK_EQ(raw_until(&c, STR("1\r\na\r\n")), 0);
    /* The connection, the call, its connection, its head; no 4 or 16 KiB block. */
    WAIT_FOR(http_blocks_held() <= 256 + 2 * BLOCK_OBJECT + KIB);
    stream_go = true;
    _cleanup_(reply_free) struct reply r;
    CHECK_EQ(raw_reply(&c, false, &r), 0);
    CHECK_STR(buf_str(&r.body), STR("ab"));
    raw_close(&c);
    rig_stop();
    upstream_stop(&u);
}

static void serve_much(struct raw *r, unsigned number)
{
    static char block[64 * KIB];
    (void)read_request(r);
    (void)raw_sendz(r, "HTTP/1.1 200 OK\r\ncontent-length: 65537\r\n\r\n");
    (void)raw_send(r, str_at(block, sizeof(block)));
    WAIT_FOR(stream_go);
    (void)raw_sendz(r, "z");
}

/* How much one receive brings, and that its memory goes back while the reader waits for others. */
static void small_reads(void)
{
    struct upstream u;
    upstream_start(&u, serve_much);
    stream_go = false;
    struct http_origin o = origin_of(u.port);
    struct http_client_request rq = get_request();
    struct http_call *c;
    const struct http_head *h;
    struct str piece;
    CHECK_EQ(http_call_start(&o, &rq, &patient, &c, &err, errbuf), 0);
    CHECK_EQ(http_call_head(c, &h, &err), 0);
    size_t most = 0, n = 0, base = http_blocks_held();
    while (most < BLOCK_LARGE && n < 48 * KIB && http_call_read(c, &piece) > 0) {
        most = MAX(most, piece.n);
        n += piece.n;
    }
    CHECK_EQ(most, BLOCK_LARGE);
    CHECK(http_call_brimful(c));
    http_call_small_reads(c, true);
    most = 0;
    while (n < 64 * KIB && http_call_read(c, &piece) > 0) {
        most = MAX(most, piece.n);
        n += piece.n;
    }
    CHECK_EQ(most, BLOCK_SMALL);
    CHECK(http_call_drop_used(c));
    CHECK(http_blocks_held() <= base);
    stream_go = true;
    CHECK_EQ(http_call_read(c, &piece), 1);
    CHECK(!http_call_brimful(c));
    CHECK(!http_call_drop_used(c)); /* the body is over */
    CHECK_EQ(http_call_read(c, &piece), 0);
    http_call_end(c);
    upstream_stop(&u);
    CHECK_EQ(http_blocks_held(), 0);
}

/* The client goes away in the middle: the relay is cancelled, and the upstream sees the end. */
static void client_gone(void)
{
    struct upstream u;
    upstream_start(&u, serve_stream);
    stream_go = false;
    rig.handler.ctx = &u;
    rig_start(relay);
    struct raw c;
    raw_open(&c, rig.port);
    CHECK_EQ(raw_sendz(&c, "GET / HTTP/1.1\r\nhost: x\r\n\r\n"), 0);
    CHECK_EQ(raw_until(&c, STR("1\r\na\r\n")), 0);
    int64_t began = loop_now();
    raw_close(&c);
    WAIT_FOR(upstream_saw_end == 1);
    CHECK(loop_now() - began < 100 * NS_PER_MS);
    WAIT_FOR(http_server_connections(rig.server) == 0);
    rig_stop();
    upstream_stop(&u);
    CHECK_EQ(http_blocks_held(), 0);
}

#define IN_LOOP(fn)                                                                                \
    static void test_##fn(void)                                                                    \
    {                                                                                              \
        in_loop(fn);                                                                               \
    }
IN_LOOP(reuse)
IN_LOOP(head_method)
IN_LOOP(streamed_body)
IN_LOOP(large_both_ways)
IN_LOOP(early_reply)
IN_LOOP(interim_while_sending)
IN_LOOP(idle_maximum)
IN_LOOP(gives_way)
IN_LOOP(upgrade)
IN_LOOP(waiting_stream)
IN_LOOP(small_reads)
IN_LOOP(client_gone)

int main(void)
{
    TAP_RUN(test_reuse);
    TAP_RUN(test_head_method);
    TAP_RUN(test_streamed_body);
    TAP_RUN(test_large_both_ways);
    TAP_RUN(test_early_reply);
    TAP_RUN(test_interim_while_sending);
    TAP_RUN(test_idle_maximum);
    TAP_RUN(test_gives_way);
    TAP_RUN(test_upgrade);
    TAP_RUN(test_waiting_stream);
    TAP_RUN(test_small_reads);
    TAP_RUN(test_client_gone);
    return tap_done();
}
