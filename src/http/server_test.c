/*
 * The server against byte-level clients: framing in every split, keep-alive, pipelining, limits.
 */
#include "http/loopback.h"

/* Answers with the request's method, path and body. */
static void echo(struct http_request *rq, void *ctx)
{
    struct str body;
    struct buf out;
    buf_init(&out, 2 * MIB);
    int r = http_body_all(rq, MIB, &body);
    if (r == 0) {
        (void)buf_addstr(&out, rq->head.method_text);
        (void)buf_addc(&out, ' ');
        (void)buf_addstr(&out, rq->head.path);
        (void)buf_addc(&out, ' ');
        (void)buf_addstr(&out, body);
        (void)http_reply(rq, 200, STR("x-test: yes\r\n"), buf_str(&out));
    } else {
        (void)http_reply(rq, r == -EMSGSIZE ? 413 : 400, STR_NONE, STR("refused"));
    }
    buf_free(&out);
}

#define EXPECT_REPLY(raw, want_status, want_body)                                                  \
    do {                                                                                           \
        _cleanup_(reply_free) struct reply rp_;                                                    \
        CHECK_EQ(raw_reply((raw), false, &rp_), 0);                                                \
        CHECK_EQ(rp_.status, (want_status));                                                       \
        CHECK_STR(buf_str(&rp_.body), str_of(want_body));                                          \
    } while (0)

/* --- keep-alive and pipelining --- */

static void keep_alive(void)
{
    rig_start(echo);
    struct raw c;
    raw_open(&c, rig.port);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(raw_sendz(&c, "POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nhi"), 0);
        EXPECT_REPLY(&c, 200, "POST /a hi");
    }
    CHECK_EQ(http_server_connections(rig.server), 1);
    CHECK_EQ(raw_sendz(&c, "GET /b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"), 0);
    _cleanup_(reply_free) struct reply p;
    CHECK_EQ(raw_reply(&c, false, &p), 0);
    CHECK(p.close);
    CHECK_STR(http_get_other(&p.head.fields, STR("x-test")), STR("yes"));
    CHECK_EQ(http_get(&p.head.fields, HTTP_DATE).n, 29);
    CHECK_EQ(raw_all(&c), 0);
    raw_close(&c);
    WAIT_FOR(http_server_connections(rig.server) == 0);
    CHECK_EQ(http_blocks_held(), 0);
    rig_stop();
}

static void pipelining(void)
{
    enum { N = 300 };
    rig_start(echo);
    struct raw c;
    raw_open(&c, rig.port);
    struct buf b;
    buf_init(&b, MIB);
    for (int i = 0; i < N; i++)
        CHECK_EQ(
            buf_printf(&b, "POST /%d HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc", i), 0);
    CHECK_EQ(raw_send(&c, buf_str(&b)), 0);
    for (int i = 0; i < N; i++) {
        char want[32];
        snprintf(want, sizeof(want), "POST /%d abc", i);
        EXPECT_REPLY(&c, 200, want);
    }
    buf_free(&b);
    raw_close(&c);
    rig_stop();
}

/* Sets a deadline for itself that has passed when the next request comes. */
static void hasty(struct http_request *rq, void *ctx)
{
    struct str body;
    int r = http_body_all(rq, KIB, &body);
    (void)co_set_deadline(loop_now());
    (void)http_reply(rq, r == 0 ? 200 : 500, STR_NONE, STR("ok"));
}

static void deadline_of_one_request(void)
{
    rig_start(hasty);
    struct raw c;
    raw_open(&c, rig.port);
    CHECK_EQ(raw_sendz(&c, "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nhi"
                           "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n"),
        0);
    EXPECT_REPLY(&c, 200, "ok");
    CHECK_EQ(raw_sendz(&c, "ho"), 0);
    EXPECT_REPLY(&c, 200, "ok");
    raw_close(&c);
    rig_stop();
}

static void idle_holds_no_block(void)
{
    rig_start(echo);
    struct raw c;
    raw_open(&c, rig.port);
    WAIT_FOR(http_server_connections(rig.server) == 1);
    size_t bare = http_blocks_held();
    CHECK(bare <= 1024);
    CHECK_EQ(raw_sendz(&c, "GET / HTTP/1.1\r\nhost: x\r\n\r\n"), 0);
    EXPECT_REPLY(&c, 200, "GET / ");
    WAIT_FOR(http_blocks_held() == bare);
    raw_close(&c);
    rig_stop();
}

/* --- splits --- */

static void send_split(struct raw *c, struct str s, size_t at)
{
    must(raw_send(c, str_to(s, at)) == 0);
    co_yield ();
    co_yield ();
    must(raw_send(c, str_from(s, at)) == 0);
}

static void send_bytewise(struct raw *c, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        must(raw_send(c, str_at(s.p + i, 1)) == 0);
        co_yield ();
        co_yield ();
    }
}

static const struct str split_cases[] = {
    STR_INIT("POST /s HTTP/1.1\r\nhost: x\r\ncontent-length: 11\r\n\r\nhello world"),
    STR_INIT("POST /s HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
             "5;ext=1\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\ntrailer: 1\r\n\r\n"),
};

static void every_split(void)
{
    rig_start(echo);
    struct raw c;
    raw_open(&c, rig.port);
    for (size_t k = 0; k < ARRAY_LEN(split_cases); k++) {
        for (size_t at = 0; at <= split_cases[k].n; at++) {
            send_split(&c, split_cases[k], at);
            EXPECT_REPLY(&c, 200, "POST /s hello world");
        }
        send_bytewise(&c, split_cases[k]);
        EXPECT_REPLY(&c, 200, "POST /s hello world");
    }
    CHECK_EQ(http_server_connections(rig.server), 1);
    raw_close(&c);
    rig_stop();
}

/* A pipelined second request begins in the block of the first, at every offset of the cut. */
static void split_pipelined(void)
{
    rig_start(echo);
    struct raw c;
    raw_open(&c, rig.port);
    struct str two = STR("POST /1 HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nab"
                         "POST /2 HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\ncd");
    for (size_t at = 0; at <= two.n; at++) {
        send_split(&c, two, at);
        EXPECT_REPLY(&c, 200, "POST /1 ab");
        EXPECT_REPLY(&c, 200, "POST /2 cd");
    }
    raw_close(&c);
    rig_stop();
}

/* --- bodies --- */

static char pattern(size_t i)
{
    return (char)('a' + (i * 7 + i / 256) % 26);
}

static char *pattern_new(size_t n)
{
    char *p = malloc(n + 1);
    for (size_t i = 0; i < n; i++)
        p[i] = pattern(i);
    return p;
}

static void large_bodies(void)
{
    static const size_t sizes[] = {4000, 4096, 5000, 16384, 70000, MIB};
    rig_start(echo);
    struct raw c;
    raw_open(&c, rig.port);
    char *p = pattern_new(MIB);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        char head[128];
        int n = snprintf(head, sizeof(head),
            "POST /l HTTP/1.1\r\nhost: x\r\ncontent-length: %zu\r\n\r\n", sizes[i]);
        CHECK_EQ(raw_send(&c, str_at(head, (size_t)n)), 0);
        CHECK_EQ(raw_send(&c, str_at(p, sizes[i])), 0);
        _cleanup_(reply_free) struct reply r;
        CHECK_EQ(raw_reply(&c, false, &r), 0);
        CHECK_EQ(r.status, 200);
        CHECK_EQ(r.body.n, sizes[i] + 8);
        CHECK(memcmp(r.body.p + 8, p, sizes[i]) == 0);
    }
    free(p);
    raw_close(&c);
    rig_stop();
}

/* The next request comes in the same receive as the end of a body that was read into place. */
static void large_then_pipelined(void)
{
    rig_start(echo);
    struct raw c;
    raw_open(&c, rig.port);
    char *p = pattern_new(30000);
    for (size_t n = 9000; n < 30000; n += 1000) {
        struct buf b;
        buf_init(&b, MIB);
        CHECK_EQ(buf_printf(&b, "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %zu\r\n\r\n", n), 0);
        CHECK_EQ(buf_add(&b, p, n), 0);
        for (int i = 0; i < 30; i++) /* more than is read ahead */
            CHECK_EQ(buf_printf(&b, "GET /%d HTTP/1.1\r\nhost: x\r\n\r\n", i), 0);
        CHECK_EQ(raw_send(&c, buf_str(&b)), 0);
        _cleanup_(reply_free) struct reply r;
        CHECK_EQ(raw_reply(&c, false, &r), 0);
        CHECK_EQ(r.body.n, n + 7);
        CHECK(memcmp(r.body.p + 7, p, n) == 0);
        for (int i = 0; i < 30; i++) {
            char want[32];
            snprintf(want, sizeof(want), "GET /%d ", i);
            EXPECT_REPLY(&c, 200, want);
        }
        buf_free(&b);
    }
    free(p);
    raw_close(&c);
    rig_stop();
}

/* Passes the body on piece by piece, in chunks, with a trailer. */
static void stream_back(struct http_request *rq, void *ctx)
{
    struct str piece;
    ssize_t n;
    must(http_reply_begin(rq, 200, STR_NONE, HTTP_LENGTH_UNKNOWN) == 0);
    while ((n = http_body_read(rq, 64 * MIB, &piece)) > 0)
        if (http_reply_write(rq, piece) < 0)
            return;
    if (n == 0)
        (void)http_reply_end(rq, STR("x-sum: 1\r\n"));
}

static void streamed_both_ways(void)
{
    rig_start(stream_back);
    struct raw c;
    raw_open(&c, rig.port);
    enum { N = 3 * 1024 * 1024 / 2 };
    char *p = pattern_new(N);
    struct buf b;
    buf_init(&b, 4 * MIB);
    CHECK_EQ(buf_printf(&b, "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"), 0);
    for (size_t at = 0, len = 1; at < N; at += len, len = len * 3 % 50000 + 1) {
        len = MIN(len, (size_t)N - at);
        CHECK_EQ(buf_printf(&b, "%zx\r\n", len), 0);
        CHECK_EQ(buf_add(&b, p + at, len), 0);
        CHECK_EQ(buf_addstr(&b, STR("\r\n")), 0);
    }
    CHECK_EQ(buf_addstr(&b, STR("0\r\n\r\n")), 0);
    /* In turns, or both sides would block on full buffers. */
    size_t sent = 0;
    while (sent < b.n) {
        struct iovec iov = {b.p + sent, b.n - sent};
        ssize_t n = stream_try_writev(&c.s, &iov, 1);
        sent += n > 0 ? (size_t)n : 0;
        if (n == -EAGAIN)
            CHECK(raw_more(&c) > 0);
    }
    CHECK_EQ(raw_until(&c, STR("\r\nx-sum: 1\r\n\r\n")), 0);
    _cleanup_(reply_free) struct reply r;
    CHECK_EQ(raw_reply(&c, false, &r), 0);
    CHECK_EQ(r.body.n, N);
    CHECK(memcmp(r.body.p, p, N) == 0);
    buf_free(&b);
    free(p);
    raw_close(&c);
    rig_stop();
}

static void body_limit(void)
{
    rig_start(echo);
    struct raw c;
    raw_open(&c, rig.port);
    CHECK_EQ(raw_sendz(&c, "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9000000\r\n\r\nabc"), 0);
    _cleanup_(reply_free) struct reply r;
    CHECK_EQ(raw_reply(&c, false, &r), 0);
    CHECK_EQ(r.status, 413);
    CHECK(r.close);
    CHECK_EQ(raw_all(&c), 0); /* a clean end, though we had not sent all */
    raw_close(&c);
    /* The same in chunks, where the size is not declared. */
    raw_open(&c, rig.port);
    CHECK_EQ(
        raw_sendz(&c, "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n100001\r\n"),
        0);
    char *p = pattern_new(MIB + 1);
    CHECK_EQ(raw_send(&c, str_at(p, MIB + 1)), 0);
    free(p);
    EXPECT_REPLY(&c, 413, "refused");
    raw_close(&c);
    rig_stop();
}

static void ignore_body(struct http_request *rq, void *ctx)
{
    (void)http_reply(rq, 200, STR_NONE, STR("ok"));
}

static void unread_body(void)
{
    rig_start(ignore_body);
    struct raw c;
    raw_open(&c, rig.port);
    char *p = pattern_new(400000);
    CHECK_EQ(raw_sendz(&c, "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 200000\r\n\r\n"), 0);
    CHECK_EQ(raw_send(&c, str_at(p, 200000)), 0);
    EXPECT_REPLY(&c, 200, "ok");
    CHECK_EQ(raw_sendz(&c, "GET / HTTP/1.1\r\nhost: x\r\n\r\n"), 0); /* skipped, and goes on */
    EXPECT_REPLY(&c, 200, "ok");
    CHECK_EQ(raw_sendz(&c, "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 400000\r\n\r\n"), 0);
    _cleanup_(reply_free) struct reply r;
    CHECK_EQ(raw_reply(&c, false, &r), 0);
    CHECK(r.close);
    free(p);
    raw_close(&c);
    rig_stop();
}

static void bad_chunks(void)
{
    rig_start(echo);
    struct raw c;
    raw_open(&c, rig.port);
    CHECK_EQ(
        raw_sendz(&c, "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"), 0);
    _cleanup_(reply_free) struct reply r;
    CHECK_EQ(raw_reply(&c, false, &r), 0);
    CHECK_EQ(r.status, 400);
    CHECK(r.close);
    raw_close(&c);
    rig_stop();
}

/* --- HEAD, Expect, 1.0 --- */

static void head_request(void)
{
    rig_start(echo);
    struct raw c;
    raw_open(&c, rig.port);
    CHECK_EQ(
        raw_sendz(&c, "HEAD /h HTTP/1.1\r\nhost: x\r\n\r\nGET /g HTTP/1.1\r\nhost: x\r\n\r\n"), 0);
    _cleanup_(reply_free) struct reply r;
    CHECK_EQ(raw_reply(&c, true, &r), 0);
    CHECK_STR(http_get(&r.head.fields, HTTP_CONTENT_LENGTH), STR("8"));
    EXPECT_REPLY(&c, 200, "GET /g ");
    raw_close(&c);
    rig_stop();
}

static void expect_continue(void)
{
    rig_start(echo);
    struct raw c;
    raw_open(&c, rig.port);
    CHECK_EQ(
        raw_sendz(
            &c, "POST /e HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n"),
        0);
    CHECK_EQ(raw_until(&c, STR("HTTP/1.1 100 Continue\r\n\r\n")), 0);
    CHECK_EQ(c.in.n, 25);
    buf_clear(&c.in);
    CHECK_EQ(raw_sendz(&c, "hi"), 0);
    EXPECT_REPLY(&c, 200, "POST /e hi");
    /* Refused by its length: the final answer comes instead, and the connection ends. */
    CHECK_EQ(raw_sendz(&c, "POST /e HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: "
                           "2000000\r\n\r\n"),
        0);
    _cleanup_(reply_free) struct reply r;
    CHECK_EQ(raw_reply(&c, false, &r), 0);
    CHECK_EQ(r.status, 413);
    CHECK(r.close);
    raw_close(&c);
    rig_stop();
}

static void unknown_length(struct http_request *rq, void *ctx)
{
    (void)http_reply_begin(rq, 200, STR_NONE, HTTP_LENGTH_UNKNOWN);
    (void)http_reply_write(rq, STR("abc"));
    struct iovec iov[2] = {{"de", 2}, {"f", 1}};
    (void)http_reply_end_with(rq, iov, 2, STR_NONE);
}

static void old_clients(void)
{
    rig_start(unknown_length);
    struct raw c;
    raw_open(&c, rig.port);
    CHECK_EQ(raw_sendz(&c, "GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n"), 0);
    _cleanup_(reply_free) struct reply r;
    CHECK_EQ(raw_reply(&c, false, &r), 0); /* until the close, as 1.0 has no chunks */
    CHECK_EQ(r.head.framing, HTTP_BODY_TO_EOF);
    CHECK_STR(buf_str(&r.body), STR("abcdef"));
    raw_close(&c);
    rig_stop();
    rig_start(echo);
    raw_open(&c, rig.port);
    CHECK_EQ(raw_sendz(&c, "GET /k HTTP/1.0\r\nconnection: keep-alive\r\n\r\n"), 0);
    EXPECT_REPLY(&c, 200, "GET /k ");
    CHECK_EQ(raw_sendz(&c, "GET /l HTTP/1.0\r\n\r\n"), 0);
    EXPECT_REPLY(&c, 200, "GET /l ");
    CHECK_EQ(raw_all(&c), 0);
    raw_close(&c);
    rig_stop();
}

/* --- refused heads --- */

static void refused(void)
{
    static const struct {
        const char *request;
        int status;
        const char *path; /* what the renderer is told, for the error's dialect */
    } cases[] = {
        {"BAD\r\n\r\n", 400, ""},
        {"GET / HTTP/1.1\r\n\r\n", 400, "/"},
        {"GET /v1/x?y HTTP/2.0\r\nhost: x\r\n\r\n", 505, "/v1/x"},
        {"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
            400, "/"},
        {"GET / HTTP/1.1\r\nhost : x\r\n\r\n", 400, "/"},
        {"\x16\x03\x01\x02", 400, ""},
    };
    rig_start(echo);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct raw c;
        raw_open(&c, rig.port);
        CHECK_EQ(raw_sendz(&c, cases[i].request), 0);
        char want[64];
        snprintf(
            want, sizeof(want), "{\"status\":%d,\"path\":\"%s\"}", cases[i].status, cases[i].path);
        EXPECT_REPLY(&c, cases[i].status, want);
        CHECK_EQ(raw_all(&c), 0);
        raw_close(&c);
    }
    rig_stop();
}

/* A good request before the bad one is still answered. */
static void refused_behind_a_good_one(void)
{
    rig_start(echo);
    struct raw c;
    raw_open(&c, rig.port);
    CHECK_EQ(raw_sendz(&c, "GET /ok HTTP/1.1\r\nhost: x\r\n\r\nBAD BAD\r\n\r\n"), 0);
    EXPECT_REPLY(&c, 200, "GET /ok ");
    EXPECT_REPLY(&c, 400, "{\"status\":400,\"path\":\"\"}");
    CHECK_EQ(raw_all(&c), 0);
    raw_close(&c);
    rig_stop();
}

static void head_too_large(void)
{
    rig.set.max_head = 6000;
    rig_start(echo);
    struct raw c;
    char *p = pattern_new(100000);
    raw_open(&c, rig.port);
    /* 5,000 bytes of head fit, though not the first block. */
    CHECK_EQ(raw_sendz(&c, "GET /f HTTP/1.1\r\nhost: x\r\na: "), 0);
    CHECK_EQ(raw_send(&c, str_at(p, 5000)), 0);
    CHECK_EQ(raw_sendz(&c, "\r\n\r\n"), 0);
    EXPECT_REPLY(&c, 200, "GET /f ");
    CHECK_EQ(raw_sendz(&c, "GET /f HTTP/1.1\r\nhost: x\r\na: "), 0);
    CHECK_EQ(raw_send(&c, str_at(p, 100000)), 0);
    EXPECT_REPLY(&c, 431, "{\"status\":431,\"path\":\"/f\"}");
    free(p);
    raw_close(&c);
    rig_stop();
}

static void slow_head(void)
{
    rig.set.head_timeout = 20 * NS_PER_MS;
    rig_start(echo);
    struct raw c;
    raw_open(&c, rig.port);
    CHECK_EQ(raw_sendz(&c, "GET / HTTP/1.1\r\nho"), 0);
    EXPECT_REPLY(&c, 408, "{\"status\":408,\"path\":\"/\"}");
    CHECK_EQ(raw_all(&c), 0);
    raw_close(&c);
    rig_stop();
}

static void idle_timeout(void)
{
    rig.set.idle_timeout = 20 * NS_PER_MS;
    rig_start(echo);
    struct raw c;
    raw_open(&c, rig.port);
    CHECK_EQ(raw_sendz(&c, "GET / HTTP/1.1\r\nhost: x\r\n\r\n"), 0);
    EXPECT_REPLY(&c, 200, "GET / ");
    CHECK_EQ(raw_all(&c), 0); /* ends without a word */
    CHECK_EQ(c.in.n, 0);
    raw_close(&c);
    rig_stop();
}

static void slow_body(void)
{
    rig.set.body_timeout = 20 * NS_PER_MS;
    rig_start(echo);
    struct raw c;
    raw_open(&c, rig.port);
    CHECK_EQ(raw_sendz(&c, "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nab"), 0);
    EXPECT_REPLY(&c, 400, "refused"); /* -ETIMEDOUT in the handler */
    raw_close(&c);
    rig_stop();
}

static bool always(void *ctx)
{
    return true;
}

static void shed(void)
{
    rig.handler.overloaded = always;
    rig_start(echo);
    struct raw c;
    raw_open(&c, rig.port);
    CHECK_EQ(raw_sendz(&c, "GET /x HTTP/1.1\r\nhost: x\r\n\r\n"), 0);
    _cleanup_(reply_free) struct reply r;
    CHECK_EQ(raw_reply(&c, false, &r), 0);
    CHECK_EQ(r.status, 503);
    CHECK_STR(http_get(&r.head.fields, HTTP_RETRY_AFTER), STR("1"));
    CHECK_STR(buf_str(&r.body), STR("{\"status\":503,\"path\":\"/x\"}"));
    raw_close(&c);
    rig_stop();
}

#define IN_LOOP(fn)                                                                                \
    static void test_##fn(void)                                                                    \
    {                                                                                              \
        in_loop(fn);                                                                               \
    }
IN_LOOP(keep_alive)
IN_LOOP(pipelining)
IN_LOOP(deadline_of_one_request)
IN_LOOP(idle_holds_no_block)
IN_LOOP(every_split)
IN_LOOP(split_pipelined)
IN_LOOP(large_bodies)
IN_LOOP(large_then_pipelined)
IN_LOOP(streamed_both_ways)
IN_LOOP(body_limit)
IN_LOOP(unread_body)
IN_LOOP(bad_chunks)
IN_LOOP(head_request)
IN_LOOP(expect_continue)
IN_LOOP(old_clients)
IN_LOOP(refused)
IN_LOOP(refused_behind_a_good_one)
IN_LOOP(head_too_large)
IN_LOOP(slow_head)
IN_LOOP(idle_timeout)
IN_LOOP(slow_body)
IN_LOOP(shed)

int main(void)
{
    TAP_RUN(test_keep_alive);
    TAP_RUN(test_pipelining);
    TAP_RUN(test_deadline_of_one_request);
    TAP_RUN(test_idle_holds_no_block);
    TAP_RUN(test_every_split);
    TAP_RUN(test_split_pipelined);
    TAP_RUN(test_large_bodies);
    TAP_RUN(test_large_then_pipelined);
    TAP_RUN(test_streamed_both_ways);
    TAP_RUN(test_body_limit);
    TAP_RUN(test_unread_body);
    TAP_RUN(test_bad_chunks);
    TAP_RUN(test_head_request);
    TAP_RUN(test_expect_continue);
    TAP_RUN(test_old_clients);
    TAP_RUN(test_refused);
    TAP_RUN(test_refused_behind_a_good_one);
    TAP_RUN(test_head_too_large);
    TAP_RUN(test_slow_head);
    TAP_RUN(test_idle_timeout);
    TAP_RUN(test_slow_body);
    TAP_RUN(test_shed);
    return tap_done();
}
