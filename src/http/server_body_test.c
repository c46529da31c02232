/*
 * The body's reader against busy and tiresome senders: one whose data never stops coming must not
 * keep the thread, and one that drags out a body which nobody wants must not keep the connection.
 */
#include "http/loopback.h"

#include "base/str.h"

enum { FLOOD = 32 * 1024 * 1024 };

static const char post[] = "POST / HTTP/1.1\r\nhost: x\r\n";

/* --- fairness --- */

static bool others_end;
static struct http_request *busy;
static uint64_t longest; /* bytes that came between two turns of the others */
static uint64_t received;

static void others(void *arg)
{
    for (uint64_t seen = 0; !others_end;) {
        uint64_t now = busy ? busy->body_received : seen;
        longest = MAX(longest, now - seen);
        seen = now;
        co_yield ();
    }
    others_end = false;
}

static void in_pieces(struct http_request *rq, void *ctx)
{
    struct str piece;
    busy = rq;
    while (http_body_read(rq, FLOOD, &piece) > 0)
        ;
    received = rq->body_received;
    busy = NULL;
    (void)http_reply(rq, 200, STR_NONE, STR("ok"));
}

static void in_one(struct http_request *rq, void *ctx)
{
    struct str all;
    busy = rq;
    received = http_body_all(rq, FLOOD, &all) == 0 ? all.n : 0;
    busy = NULL;
    (void)http_reply(rq, 200, STR_NONE, STR("ok"));
}

static void flood(void (*handler)(struct http_request *, void *))
{
    char *p = calloc(1, FLOOD);
    struct raw c;
    longest = received = 0;
    rig_start(handler);
    raw_open(&c, rig.port);
    CHECK_EQ(co_spawn("others", others, NULL, NULL), 0);
    CHECK_EQ(raw_sendz(&c, post), 0);
    CHECK_EQ(raw_sendz(&c, "content-length: 33554432\r\n\r\n"), 0);
    CHECK_EQ(raw_send(&c, str_at(p, FLOOD)), 0);
    CHECK_EQ(raw_until(&c, STR("\r\n\r\nok")), 0);
    CHECK_EQ(received, FLOOD);
    CHECK(longest <= 512 * KIB);
    others_end = true;
    WAIT_FOR(!others_end);
    raw_close(&c);
    free(p);
    rig_stop();
}

static void gives_way(void)
{
    flood(in_pieces);
    flood(in_one);
}

/* --- bodies that nobody reads --- */

static void ignore_body(struct http_request *rq, void *ctx)
{
    (void)http_reply(rq, 200, STR_NONE, STR("ok"));
}

/* A chunk now and then, each well before the body's time-out. */
static void dragged_out(void)
{
    struct raw c;
    int r = 0;
    rig.set.body_timeout = 100 * NS_PER_MS;
    rig_start(ignore_body);
    raw_open(&c, rig.port);
    CHECK_EQ(raw_sendz(&c, post), 0);
    CHECK_EQ(raw_sendz(&c, "transfer-encoding: chunked\r\n\r\n1\r\na\r\n"), 0);
    CHECK_EQ(raw_until(&c, STR("\r\n\r\nok")), 0);
    for (int64_t until = in_ms(10000); r == 0 && loop_now() < until;) {
        (void)co_sleep_until(in_ms(5));
        r = raw_sendz(&c, "1\r\na\r\n");
    }
    CHECK(r < 0);
    WAIT_FOR(http_server_connections(rig.server) == 0);
    raw_close(&c);
    rig_stop();
}

/* Chunks of one byte in 200: what counts is what came over the wire. */
static void mostly_framing(void)
{
    struct raw c;
    char chunk[201];
    rig_start(ignore_body);
    raw_open(&c, rig.port);
    memset(chunk, 'x', 200);
    memcpy(chunk, "1;", 2);
    strcpy(chunk + 195, "\r\na\r\n");
    CHECK_EQ(raw_sendz(&c, post), 0);
    CHECK_EQ(raw_sendz(&c, "transfer-encoding: chunked\r\n\r\n"), 0);
    for (unsigned i = 0; i < 4000 && raw_sendz(&c, chunk) == 0; i++)
        ;
    (void)raw_sendz(&c, "0\r\n\r\nGET /next HTTP/1.1\r\nhost: x\r\n\r\n");
    CHECK(raw_until(&c, STR("\r\n\r\nok")) == 0);
    buf_clear(&c.in);
    CHECK(raw_until(&c, STR("\r\n\r\nok")) < 0); /* nothing behind it is served */
    raw_close(&c);
    rig_stop();
}

#define IN_LOOP(fn)                                                                                \
    static void test_##fn(void)                                                                    \
    {                                                                                              \
        in_loop(fn);                                                                               \
    }
IN_LOOP(gives_way)
IN_LOOP(dragged_out)
IN_LOOP(mostly_framing)

int main(void)
{
    TAP_RUN(test_gives_way);
    TAP_RUN(test_dragged_out);
    TAP_RUN(test_mostly_framing);
    return tap_done();
}
