/*
 * The client against upstreams that misbehave: replies cut at every byte, malformed, stale or late,
 * and callers that go away.
 */
#include "http/client_int.h"
#include "http/loopback.h"

/* --- fake upstreams --- */

static struct str script; /* what the upstream answers */
static size_t script_cut; /* how much of it before it closes */
static bool script_bytewise;

static void serve_script(struct raw *r, unsigned number)
{
    if (read_request(r) < 0)
        return;
    struct str s = str_to(script, script_cut);
    if (!script_bytewise) {
        (void)raw_send(r, s);
        return;
    }
    for (size_t i = 0; i < s.n; i++) {
        (void)raw_send(r, str_at(s.p + i, 1));
        co_yield ();
        co_yield ();
    }
}

#define LENGTH_REPLY "HTTP/1.1 200 OK\r\ncontent-length: 11\r\nx: y\r\n\r\nhello world"
#define CHUNKED_REPLY                                                                              \
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"                                        \
    "5\r\nhello\r\n1;a\r\n \r\n5\r\nworld\r\n0\r\ntr: 1\r\n\r\n"
#define EOF_REPLY "HTTP/1.1 200 OK\r\nx: y\r\n\r\nhello world"

#define HINTED_REPLY                                                                               \
    "HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" LENGTH_REPLY

static void cut_everywhere(struct upstream *u, struct str reply, bool to_eof)
{
    struct http_client_request rq = get_request();
    script = reply;
    for (size_t at = 0; at <= reply.n; at++) {
        struct buf out;
        buf_init(&out, KIB);
        script_cut = at;
        ptrdiff_t head = str_find(reply, STR("\r\n\r\n")) + 4;
        int r = call(u->port, &rq, &patient, &out, NULL);
        if (at == reply.n || (to_eof && at >= (size_t)head)) {
            CHECK_EQ(r, 0);
        } else if (at < (size_t)head) {
            CHECK_EQ(r, -ECONNRESET);
            CHECK_EQ(err.status, 502);
            CHECK_STR(err.code, STR("upstream_closed"));
        } else {
            CHECK_EQ(r, -ECONNRESET);
        }
        if (at == reply.n)
            CHECK_STR(buf_str(&out), STR("hello world"));
        buf_free(&out);
    }
}

static void cut_length(void)
{
    struct upstream u;
    upstream_start(&u, serve_script);
    script_bytewise = false;
    cut_everywhere(&u, STR(LENGTH_REPLY), false);
    upstream_stop(&u);
    CHECK_EQ(http_blocks_held(), 0);
}

static void cut_chunked(void)
{
    struct upstream u;
    upstream_start(&u, serve_script);
    script_bytewise = false;
    cut_everywhere(&u, STR(CHUNKED_REPLY), false);
    upstream_stop(&u);
    CHECK_EQ(http_blocks_held(), 0);
}

static void cut_eof(void)
{
    struct upstream u;
    upstream_start(&u, serve_script);
    script_bytewise = false;
    cut_everywhere(&u, STR(EOF_REPLY), true);
    upstream_stop(&u);
    CHECK_EQ(http_blocks_held(), 0);
}

static void bytewise(void)
{
    static const char *const replies[] = {LENGTH_REPLY, CHUNKED_REPLY, EOF_REPLY, HINTED_REPLY};
    struct http_client_request rq = get_request();
    struct upstream u;
    upstream_start(&u, serve_script);
    script_bytewise = true;
    script_cut = SIZE_MAX;
    for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
        struct buf out;
        buf_init(&out, KIB);
        script = str_of(replies[i]);
        CHECK_EQ(call(u.port, &rq, &patient, &out, NULL), 0);
        CHECK_STR(buf_str(&out), STR("hello world"));
        buf_free(&out);
    }
    script_bytewise = false;
    upstream_stop(&u);
}

/* read_all and readv over the same replies, whole and bytewise. */
static void other_readers(void)
{
    static const char *const replies[] = {LENGTH_REPLY, CHUNKED_REPLY, EOF_REPLY};
    struct http_client_request rq = get_request();
    struct upstream u;
    upstream_start(&u, serve_script);
    script_cut = SIZE_MAX;
    struct http_origin o = origin_of(u.port);
    for (size_t i = 0; i < 4 * ARRAY_LEN(replies); i++) {
        struct http_call *c;
        const struct http_head *h;
        struct str all;
        struct iovec iov[2];
        script = str_of(replies[i / 4]);
        script_bytewise = i & 1;
        CHECK_EQ(http_call_start(&o, &rq, &patient, &c, &err, errbuf), 0);
        CHECK_EQ(http_call_head(c, &h, &err), 0);
        CHECK_EQ(h->status, 200);
        if (i & 2) {
            CHECK_EQ(http_call_read_all(c, 11, &all), 0);
            CHECK_STR(all, STR("hello world"));
        } else {
            struct buf out;
            int n;
            buf_init(&out, KIB);
            while ((n = http_call_readv(c, iov, 2)) > 0)
                for (int k = 0; k < n; k++)
                    CHECK_EQ(buf_add(&out, iov[k].iov_base, iov[k].iov_len), 0);
            CHECK_EQ(n, 0);
            CHECK_STR(buf_str(&out), STR("hello world"));
            buf_free(&out);
        }
        CHECK(http_call_ended(c));
        http_call_end(c);
        CHECK_EQ(http_call_start(&o, &rq, &patient, &c, &err, errbuf), 0);
        CHECK_EQ(http_call_head(c, &h, &err), 0);
        CHECK_EQ(http_call_read_all(c, 10, &all), -EMSGSIZE);
        http_call_end(c);
    }
    script_bytewise = false;
    upstream_stop(&u);
    CHECK_EQ(http_blocks_held(), 0);
}

static void bad_replies(void)
{
    static const char *const replies[] = {
        "HELLO\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nbad\n\r\n",
    };
    struct http_client_request rq = get_request();
    struct upstream u;
    upstream_start(&u, serve_script);
    script_cut = SIZE_MAX;
    struct buf out;
    buf_init(&out, KIB);
    for (size_t i = 0; i < ARRAY_LEN(replies); i++) {
        script = str_of(replies[i]);
        CHECK_EQ(call(u.port, &rq, &patient, &out, NULL), -EPROTO);
        CHECK_EQ(err.status, 502);
        CHECK_STR(err.code, STR("upstream_bad_response"));
    }
    script = STR("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhixx");
    CHECK_EQ(call(u.port, &rq, &patient, &out, NULL), -EPROTO);
    CHECK_STR(buf_str(&out), STR("hi"));
    buf_free(&out);
    upstream_stop(&u);
}

/* Answers several requests, then misbehaves as told. */
static unsigned stale_after;

static void serve_then_close(struct raw *r, unsigned number)
{
    for (unsigned i = 0;; i++) {
        if (read_request(r) < 0)
            return;
        buf_clear(&r->in);
        if (number == 0 && i == stale_after)
            return; /* reads the request, and closes without a word */
        (void)raw_sendz(r, "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx");
    }
}

static void stale_connection(void)
{
    struct upstream u;
    upstream_start(&u, serve_then_close);
    stale_after = 1;
    struct iovec body = {"payload", 7};
    struct http_client_request rq = post_request(&body, 1, 7);
    struct http_call_info info;
    struct buf out;
    buf_init(&out, KIB);
    CHECK_EQ(call(u.port, &rq, &patient, &out, &info), 0);
    CHECK_EQ(call(u.port, &rq, &patient, &out, &info), 0); /* repeated on a fresh connection */
    CHECK(!info.reused);
    CHECK_EQ(u.accepted, 2);
    CHECK_EQ(call(u.port, &rq, &patient, &out, &info), 0);
    CHECK(info.reused);
    CHECK_STR(buf_str(&out), STR("xxx"));
    buf_free(&out);
    upstream_stop(&u);
    /* A fresh connection that is closed so is an error: nothing would change by repeating. */
    upstream_start(&u, serve_then_close);
    stale_after = 0;
    CHECK_EQ(call(u.port, &rq, &patient, &out, &info), -ECONNRESET);
    CHECK_EQ(u.accepted, 1);
    upstream_stop(&u);
}

/* Reads the second request, and hangs up when it could have been worked on. */
static void serve_then_think(struct raw *r, unsigned number)
{
    for (unsigned i = 0; i < 2 && read_request(r) == 0; i++) {
        buf_clear(&r->in);
        if (i == 0)
            (void)raw_sendz(r, "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx");
    }
    int64_t until = loop_now() + STALE_WITHIN_NS + 50 * NS_PER_MS;
    while (number == 0 && loop_now() < until)
        (void)co_sleep_until(until);
}

static void no_late_repeat(void)
{
    struct upstream u;
    upstream_start(&u, serve_then_think);
    struct iovec body = {"payload", 7};
    struct http_client_request rq = post_request(&body, 1, 7);
    struct buf out;
    buf_init(&out, KIB);
    CHECK_EQ(call(u.port, &rq, &patient, &out, NULL), 0);
    CHECK_EQ(call(u.port, &rq, &patient, &out, NULL), -ECONNRESET);
    CHECK_STR(err.code, STR("upstream_closed"));
    CHECK_EQ(u.accepted, 1);
    buf_free(&out);
    upstream_stop(&u);
}

/* Nothing that a caller chose may break out of the request line or the Host field. */
static void injected_lines(void)
{
    static const char *const bad[] = {"", "/a b", "/a\r\nx: y", "/a\nb", "/a\tb", "/a\x7f"};
    struct http_origin o = origin_of(1);
    struct http_client_request rq = get_request();
    struct http_call *c;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        rq.target = str_of(bad[i]);
        CHECK_EQ(http_call_start(&o, &rq, &patient, &c, &err, errbuf), -EINVAL);
        CHECK_STR(err.code, STR("upstream_send_failed"));
    }
    rq = get_request();
    o.host_header = STR("a\r\nx: y");
    CHECK_EQ(http_call_start(&o, &rq, &patient, &c, &err, errbuf), -EINVAL);
    rq.method = STR("GET /");
    o.host_header = STR("a");
    CHECK_EQ(http_call_start(&o, &rq, &patient, &c, &err, errbuf), -EINVAL);
    CHECK_EQ(http_blocks_held(), 0);
}

static void closes_after_reply(struct raw *r, unsigned number)
{
    if (read_request(r) == 0)
        (void)raw_sendz(r, "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx");
}

/* The end on an idle connection removes it: the next call does not even try it. */
static void idle_end(void)
{
    struct upstream u;
    upstream_start(&u, closes_after_reply);
    struct http_client_request rq = get_request();
    struct http_call_info info;
    struct buf out;
    buf_init(&out, KIB);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(call(u.port, &rq, &patient, &out, &info), 0);
        WAIT_FOR(u.running == 0);
        co_yield ();
        co_yield ();
        CHECK(!info.reused);
    }
    CHECK_EQ(u.accepted, 3);
    buf_free(&out);
    upstream_stop(&u);
}

static void sends_too_much(struct raw *r, unsigned number)
{
    if (read_request(r) == 0)
        (void)raw_sendz(r, "HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n");
    (void)raw_all(r);
}

static void extra_bytes(void)
{
    struct upstream u;
    upstream_start(&u, sends_too_much);
    struct http_client_request rq = get_request();
    struct http_call_info info;
    struct buf out;
    buf_init(&out, KIB);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(call(u.port, &rq, &patient, &out, &info), 0);
        CHECK(!info.reused);
    }
    CHECK_STR(buf_str(&out), STR("xx"));
    CHECK_EQ(u.accepted, 2);
    buf_free(&out);
    upstream_stop(&u);
}

/* --- timeouts --- */

static const char *stall_text; /* what is sent before nothing more comes */

static void serve_stall(struct raw *r, unsigned number)
{
    if (read_request(r) == 0)
        (void)raw_sendz(r, stall_text);
    (void)raw_all(r);
}

static void timeouts(void)
{
    const int64_t brief = 30 * NS_PER_MS;
    static const char half_head[] = "HTTP/1.1 200 OK\r\ncon";
    static const char half_body[] = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc";
    struct {
        const char *text;
        struct http_timeouts t;
        bool in_head;
    } cases[] = {
        {"", {.first_byte = brief}, true},
        {half_head, {.between = brief}, true},
        {half_body, {.between = brief}, false},
        {"", {.total = brief}, true},
        {half_body, {.total = brief}, false},
    };
    struct upstream u;
    upstream_start(&u, serve_stall);
    struct http_client_request rq = get_request();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out;
        buf_init(&out, KIB);
        stall_text = cases[i].text;
        err = (struct error){0};
        int64_t began = loop_now();
        CHECK_EQ(call(u.port, &rq, &cases[i].t, &out, NULL), -ETIMEDOUT);
        CHECK(loop_now() - began >= brief);
        CHECK(loop_now() - began < 5 * NS_PER_S);
        CHECK_EQ(err.status, cases[i].in_head ? 504 : 0);
        if (cases[i].in_head)
            CHECK_STR(err.code, STR("upstream_timeout"));
        buf_free(&out);
    }
    upstream_stop(&u);
}

static void never_reads(struct raw *r, unsigned number)
{
    while (!r->s.io.hangup)
        (void)co_sleep_until(in_ms(1));
}

static void send_timeout(void)
{
    enum { N = 32 * 1024 * 1024 };
    struct upstream u;
    upstream_start(&u, never_reads);
    struct http_timeouts t = {.send = 30 * NS_PER_MS};
    char *p = calloc(1, N);
    struct iovec body = {p, N};
    struct http_client_request rq = post_request(&body, 1, N);
    CHECK_EQ(call(u.port, &rq, &t, NULL, NULL), -ETIMEDOUT);
    CHECK_EQ(err.status, 504);
    free(p);
    upstream_stop(&u);
}

/* After a piece went out in part, no other may follow it. */
static void broken_stream(void)
{
    enum { N = 32 * 1024 * 1024 };
    struct upstream u;
    upstream_start(&u, never_reads);
    struct http_origin o = origin_of(u.port);
    struct http_timeouts t = {.send = 30 * NS_PER_MS};
    struct http_client_request rq = post_request(NULL, 0, 0);
    rq.stream_body = true;
    rq.body_length = HTTP_LENGTH_UNKNOWN;
    struct http_call *c;
    char *p = calloc(1, N);
    CHECK_EQ(http_call_start(&o, &rq, &t, &c, &err, errbuf), 0);
    CHECK_EQ(http_call_write(c, str_at(p, N)), -ETIMEDOUT);
    CHECK_EQ(http_call_write(c, STR("x")), -EPIPE);
    CHECK_EQ(http_call_write_end(c), -EPIPE);
    http_call_end(c);
    free(p);
    upstream_stop(&u);
}

static void refused_connection(void)
{
    uint16_t port;
    int fd = net_listen(STR("127.0.0.1"), 0, false, 1, &port);
    CHECK(fd >= 0);
    close(fd); /* a port where surely nobody listens */
    struct http_client_request rq = get_request();
    CHECK(call(port, &rq, &patient, NULL, NULL) < 0);
    CHECK_EQ(err.status, 502);
    CHECK_STR(err.code, STR("upstream_unreachable"));
    CHECK_EQ(http_blocks_held(), 0);
}

/* --- cancellation --- */

static int cancel_result;
static uint16_t cancel_port;
static struct co *cancel_co;

static void call_to_be_cancelled(void *arg)
{
    struct http_client_request rq = get_request();
    struct buf out;
    buf_init(&out, KIB);
    cancel_co = co_self();
    cancel_result = call(cancel_port, &rq, &patient, &out, NULL);
    buf_free(&out);
}

static void cancellation(void)
{
    static const char *const stalls[] = {"", "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n"};
    struct upstream u;
    upstream_start(&u, serve_stall);
    cancel_port = u.port;
    for (unsigned i = 0; i < ARRAY_LEN(stalls); i++) {
        stall_text = stalls[i];
        cancel_result = 1;
        CHECK_EQ(co_spawn_now("call", call_to_be_cancelled, NULL, NULL), 0);
        WAIT_FOR(u.accepted == i + 1);
        (void)co_sleep_until(in_ms(2));
        co_cancel(cancel_co);
        WAIT_FOR(cancel_result != 1);
        CHECK_EQ(cancel_result, -ECANCELED);
        WAIT_FOR(u.running == 0); /* and the upstream sees the end at once */
    }
    upstream_stop(&u);
    CHECK_EQ(http_blocks_held(), 0);
}

#define IN_LOOP(fn)                                                                                \
    static void test_##fn(void)                                                                    \
    {                                                                                              \
        in_loop(fn);                                                                               \
    }
IN_LOOP(cut_length)
IN_LOOP(cut_chunked)
IN_LOOP(cut_eof)
IN_LOOP(bytewise)
IN_LOOP(other_readers)
IN_LOOP(bad_replies)
IN_LOOP(stale_connection)
IN_LOOP(no_late_repeat)
IN_LOOP(injected_lines)
IN_LOOP(idle_end)
IN_LOOP(extra_bytes)
IN_LOOP(timeouts)
IN_LOOP(send_timeout)
IN_LOOP(broken_stream)
IN_LOOP(refused_connection)
IN_LOOP(cancellation)

int main(void)
{
    TAP_RUN(test_cut_length);
    TAP_RUN(test_cut_chunked);
    TAP_RUN(test_cut_eof);
    TAP_RUN(test_bytewise);
    TAP_RUN(test_other_readers);
    TAP_RUN(test_bad_replies);
    TAP_RUN(test_stale_connection);
    TAP_RUN(test_no_late_repeat);
    TAP_RUN(test_injected_lines);
    TAP_RUN(test_idle_end);
    TAP_RUN(test_extra_bytes);
    TAP_RUN(test_timeouts);
    TAP_RUN(test_send_timeout);
    TAP_RUN(test_broken_stream);
    TAP_RUN(test_refused_connection);
    TAP_RUN(test_cancellation);
    return tap_done();
}
