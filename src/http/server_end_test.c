/*
 * The server's ends: hang-up, back-pressure, handlers that break their promise, drain, abort,
 * upgrade, and what is held meanwhile.
 */
#include "http/loopback.h"

static const char get[] = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

static unsigned entered, ended;
static int last_result;
static bool let_go;

static void reset_counts(void)
{
    entered = ended = 0;
    last_result = 1;
    let_go = false;
}

static void ok_handler(struct http_request *rq, void *ctx)
{
    entered++;
    (void)http_reply(rq, 200, STR_NONE, STR("ok"));
    ended++;
}

/* Waits until let_go, then answers. */
static void held_handler(struct http_request *rq, void *ctx)
{
    entered++;
    last_result = 0;
    while (!let_go && last_result == 0)
        last_result = co_sleep_until(in_ms(1));
    if (last_result == 0)
        last_result = http_reply(rq, 200, STR_NONE, STR("late"));
    ended++;
}

/* --- hang-up --- */

static void hangup_cancels(void)
{
    reset_counts();
    rig_start(held_handler);
    for (int half = 0; half < 2; half++) {
        struct raw c;
        reset_counts();
        raw_open(&c, rig.port);
        CHECK_EQ(raw_sendz(&c, get), 0);
        WAIT_FOR(entered == 1);
        if (half)
            CHECK_EQ(shutdown(c.s.io.fd, SHUT_WR), 0); /* counts as gone, too */
        else
            raw_close(&c);
        WAIT_FOR(ended == 1);
        CHECK_EQ(last_result, -ECANCELED);
        WAIT_FOR(http_server_connections(rig.server) == 0);
        if (half)
            raw_close(&c);
    }
    CHECK_EQ(http_blocks_held(), 0);
    rig_stop();
}

/* Answers, then goes on working: the log must not be cut off by a client that leaves. */
static void after_reply(struct http_request *rq, void *ctx)
{
    (void)http_reply(rq, 200, STR("connection-note: x\r\n"), STR("ok"));
    entered++;
    last_result = 0;
    while (!let_go && last_result == 0)
        last_result = co_sleep_until(in_ms(1));
    ended++;
}

static void hangup_after_reply(void)
{
    reset_counts();
    rig_start(after_reply);
    struct raw c;
    raw_open(&c, rig.port);
    CHECK_EQ(raw_sendz(&c, get), 0);
    CHECK_EQ(raw_until(&c, STR("\r\n\r\nok")), 0);
    raw_close(&c);
    for (int i = 0; i < 20; i++)
        (void)co_sleep_until(in_ms(1));
    CHECK_EQ(ended, 0);
    let_go = true;
    WAIT_FOR(ended == 1);
    CHECK_EQ(last_result, 0);
    WAIT_FOR(http_server_connections(rig.server) == 0);
    rig_stop();
}

static void hangup_in_head(void)
{
    rig_start(ok_handler);
    struct raw c;
    raw_open(&c, rig.port);
    CHECK_EQ(raw_sendz(&c, "GET / HT"), 0);
    WAIT_FOR(http_server_connections(rig.server) == 1);
    raw_close(&c);
    WAIT_FOR(http_server_connections(rig.server) == 0);
    CHECK_EQ(http_blocks_held(), 0);
    rig_stop();
}

static void read_body(struct http_request *rq, void *ctx)
{
    struct str all;
    entered++;
    last_result = http_body_all(rq, 10 * MIB, &all);
    ended++;
}

static void hangup_in_body(void)
{
    reset_counts();
    rig_start(read_body);
    struct raw c;
    raw_open(&c, rig.port);
    CHECK_EQ(raw_sendz(&c, "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\nabc"), 0);
    WAIT_FOR(entered == 1);
    raw_close(&c);
    WAIT_FOR(ended == 1);
    CHECK(last_result == -ECANCELED || last_result == -ECONNRESET);
    WAIT_FOR(http_server_connections(rig.server) == 0);
    CHECK_EQ(http_blocks_held(), 0);
    rig_stop();
}

/* --- back-pressure --- */

#define FLOOD (64 * MIB)
static uint64_t flooded;

static void flood(struct http_request *rq, void *ctx)
{
    static char block[16 * 1024];
    entered++;
    last_result = http_reply_begin(rq, 200, STR_NONE, FLOOD);
    for (size_t sent = 0; sent < FLOOD && last_result == 0; sent += sizeof(block)) {
        last_result = http_reply_write(rq, str_at(block, sizeof(block)));
        flooded = rq->reply_bytes;
    }
    if (last_result == 0)
        last_result = http_reply_end(rq, STR_NONE);
    ended++;
}

static void slow_reader(void)
{
    reset_counts();
    rig_start(flood);
    struct raw c;
    raw_open(&c, rig.port);
    CHECK_EQ(raw_sendz(&c, get), 0);
    WAIT_FOR(entered == 1);
    uint64_t before;
    do { /* until the kernel's buffers are full and nothing moves */
        before = flooded;
        (void)co_sleep_until(in_ms(20));
    } while (flooded != before);
    CHECK(flooded < FLOOD / 2);
    CHECK(http_blocks_held() <= 16 * KIB);
    _cleanup_(reply_free) struct reply r;
    CHECK_EQ(raw_reply(&c, false, &r), 0);
    CHECK_EQ(r.body.n, FLOOD);
    WAIT_FOR(ended == 1);
    CHECK_EQ(last_result, 0);
    raw_close(&c);
    rig_stop();
}

static void stuck_reader(void)
{
    reset_counts();
    rig.set.write_timeout = 30 * NS_PER_MS;
    rig_start(flood);
    struct raw c;
    raw_open(&c, rig.port);
    CHECK_EQ(raw_sendz(&c, get), 0);
    WAIT_FOR(ended == 1);
    CHECK_EQ(last_result, -ETIMEDOUT);
    CHECK_EQ(raw_all(&c), -ECONNRESET); /* not to be taken for a whole reply */
    raw_close(&c);
    rig_stop();
}

/* --- handlers that break their promise --- */

static void silent(struct http_request *rq, void *ctx)
{
}

static void no_answer(void)
{
    rig_start(silent);
    struct raw c;
    raw_open(&c, rig.port);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(raw_sendz(&c, get), 0);
        _cleanup_(reply_free) struct reply r;
        CHECK_EQ(raw_reply(&c, false, &r), 0);
        CHECK_EQ(r.status, 500);
        CHECK_STR(buf_str(&r.body), STR("{\"status\":500,\"path\":\"/\"}"));
    }
    raw_close(&c);
    rig_stop();
}

static void too_short(struct http_request *rq, void *ctx)
{
    (void)http_reply_begin(rq, 200, STR_NONE, 10);
    (void)http_reply_write(rq, STR("abc"));
    last_result = http_reply_write(rq, STR("too many bytes"));
}

static void incomplete_reply(void)
{
    rig_start(too_short);
    struct raw c;
    raw_open(&c, rig.port);
    CHECK_EQ(raw_sendz(&c, get), 0);
    _cleanup_(reply_free) struct reply r;
    CHECK_EQ(raw_reply(&c, false, &r), -ECONNRESET);
    CHECK_EQ(last_result, -EMSGSIZE);
    raw_close(&c);
    rig_stop();
}

static void cut(struct http_request *rq, void *ctx)
{
    (void)http_reply_begin(rq, 200, STR_NONE, HTTP_LENGTH_UNKNOWN);
    (void)http_reply_write(rq, STR("abc"));
    http_reply_abort(rq);
}

static void aborted_reply(void)
{
    rig_start(cut);
    struct raw c;
    raw_open(&c, rig.port);
    CHECK_EQ(raw_sendz(&c, get), 0);
    CHECK_EQ(raw_all(&c), -ECONNRESET);
    raw_close(&c);
    rig_stop();
}

/* --- memory of a long wait --- */

static size_t held_before, held_after;

static void forgetful(struct http_request *rq, void *ctx)
{
    struct str body;
    must(http_body_all(rq, MIB, &body) == 0);
    must(http_reply_begin(rq, 200, STR_NONE, HTTP_LENGTH_UNKNOWN) == 0);
    must(http_reply_write(rq, STR("a")) == 0);
    held_before = http_blocks_held();
    http_request_forget_head(rq);
    held_after = http_blocks_held();
    must(rq->head.path.n == 0 && rq->head.method == HTTP_POST);
    (void)http_reply_end_with(rq, NULL, 0, STR_NONE);
}

static void forget_head(void)
{
    rig_start(forgetful);
    struct raw c;
    raw_open(&c, rig.port);
    /* The second request is already in the block that the first one forgets. */
    CHECK_EQ(raw_sendz(&c, "POST /1 HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nhi"), 0);
    _cleanup_(reply_free) struct reply one;
    CHECK_EQ(raw_reply(&c, false, &one), 0);
    CHECK(held_before >= 4 * KIB);
    CHECK(held_after <= KIB);
    CHECK_EQ(raw_sendz(&c, "POST /1 HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nhi"
                           "POST /2 HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nho"),
        0);
    for (int i = 0; i < 2; i++) {
        _cleanup_(reply_free) struct reply r;
        CHECK_EQ(raw_reply(&c, false, &r), 0);
        CHECK_STR(buf_str(&r.body), STR("a"));
    }
    raw_close(&c);
    rig_stop();
}

/* --- drain --- */

static unsigned drained;

static void on_drained(void *ctx)
{
    must(co_self() == NULL); /* loop context */
    drained++;
}

static void drain_empty(void)
{
    drained = 0;
    rig_start(ok_handler);
    http_server_drain(rig.server, on_drained, NULL);
    CHECK_EQ(drained, 0); /* later, never from inside */
    WAIT_FOR(drained == 1);
    rig_stop();
}

static void drain_all_kinds(void)
{
    reset_counts();
    drained = 0;
    rig_start(held_handler);
    struct raw idle, busy, begun, queued, readable;
    struct raw *all[] = {&idle, &busy, &begun, &queued, &readable};
    raw_open(&idle, rig.port);
    raw_open(&readable, rig.port);
    let_go = true;
    CHECK_EQ(raw_sendz(&idle, get), 0);
    CHECK_EQ(raw_sendz(&readable, get), 0);
    CHECK_EQ(raw_until(&idle, STR("late")), 0);
    CHECK_EQ(raw_until(&readable, STR("late")), 0);
    buf_clear(&idle.in);
    buf_clear(&readable.in);
    let_go = false;
    raw_open(&busy, rig.port);
    raw_open(&begun, rig.port);
    CHECK_EQ(raw_sendz(&busy, get), 0);
    CHECK_EQ(raw_sendz(&begun, "GET / HTTP/1.1\r\nho"), 0);
    WAIT_FOR(entered == 3 && http_server_connections(rig.server) == 4);
    /* Without giving the loop a turn: one waits in the queue, one has just sent a request. */
    raw_open(&queued, rig.port);
    CHECK_EQ(raw_sendz(&queued, get), 0);
    CHECK_EQ(raw_sendz(&readable, get), 0);
    http_server_drain(rig.server, on_drained, NULL);
    CHECK_EQ(raw_all(&idle), 0);
    CHECK_EQ(idle.in.n, 0);
    CHECK_EQ(raw_sendz(&begun, "st: x\r\n\r\n"), 0);
    WAIT_FOR(entered == 6);
    CHECK_EQ(drained, 0);
    let_go = true;
    for (int i = 1; i < 5; i++) {
        _cleanup_(reply_free) struct reply r;
        CHECK_EQ(raw_reply(all[i], false, &r), 0);
        CHECK_EQ(r.status, 200);
        CHECK(r.close);
    }
    WAIT_FOR(drained == 1);
    CHECK_EQ(http_server_connections(rig.server), 0);
    for (int i = 0; i < 5; i++)
        raw_close(all[i]);
    rig_stop();
}

/* A connection that never spoke gets a moment for its first request, then the drain goes on. */
static void drain_fresh(void)
{
    reset_counts();
    drained = 0;
    rig_start(ok_handler);
    struct raw late, never;
    raw_open(&late, rig.port);
    raw_open(&never, rig.port);
    WAIT_FOR(http_server_connections(rig.server) == 2);
    http_server_drain(rig.server, on_drained, NULL);
    CHECK_EQ(raw_sendz(&late, get), 0);
    _cleanup_(reply_free) struct reply r;
    CHECK_EQ(raw_reply(&late, false, &r), 0);
    CHECK_EQ(r.status, 200);
    CHECK(r.close);
    CHECK_EQ(raw_all(&never), 0);
    WAIT_FOR(drained == 1);
    raw_close(&late);
    raw_close(&never);
    rig_stop();
}

/* Begins its reply, as one that may be kept, and ends it when told. */
static void begun_handler(struct http_request *rq, void *ctx)
{
    if (entered++ > 0) {
        (void)http_reply(rq, 200, STR_NONE, STR("second"));
        return;
    }
    (void)http_reply_begin(rq, 200, STR_NONE, 5);
    (void)http_reply_flush(rq);
    while (!let_go)
        (void)co_sleep_until(loop_now() + 200 * NS_PER_US);
    (void)http_reply_write(rq, STR("first"));
    /* Sent before this reply ends, and before the loop could hear of it. */
    CHECK_EQ(raw_sendz(ctx, get), 0);
    (void)http_reply_end(rq, STR_NONE);
}

/* A reply that was begun before the drain told the client to go on: what it sent by the reply's end
 * is answered. */
static void drain_kept(void)
{
    struct raw c;
    reset_counts();
    drained = 0;
    let_go = false;
    rig.handler.ctx = &c;
    rig_start(begun_handler);
    raw_open(&c, rig.port);
    CHECK_EQ(raw_sendz(&c, get), 0);
    WAIT_FOR(entered == 1);
    http_server_drain(rig.server, on_drained, NULL);
    let_go = true;
    for (int i = 0; i < 2; i++) {
        _cleanup_(reply_free) struct reply r;
        CHECK_EQ(raw_reply(&c, false, &r), 0);
        CHECK_EQ(r.status, 200);
        CHECK_EQ(r.close, i == 1);
    }
    WAIT_FOR(drained == 1);
    raw_close(&c);
    rig_stop();
}

static void abort_all(void)
{
    reset_counts();
    rig_start(held_handler);
    struct raw busy, idle;
    raw_open(&busy, rig.port);
    raw_open(&idle, rig.port);
    CHECK_EQ(raw_sendz(&busy, get), 0);
    WAIT_FOR(entered == 1 && http_server_connections(rig.server) == 2);
    http_server_free(rig.server); /* with a handler running: the memory goes with it */
    WAIT_FOR(ended == 1);
    CHECK_EQ(last_result, -ECANCELED);
    CHECK_EQ(raw_all(&idle), 0);
    CHECK_EQ(raw_all(&busy), -ECONNRESET);
    CHECK_EQ(http_blocks_held(), 0);
    raw_close(&busy);
    raw_close(&idle);
    rig = (struct rig){0};
}

/* --- many --- */

static void most_connections(void)
{
    reset_counts();
    rig.set.max_connections = 2;
    rig_start(ok_handler);
    struct raw c[3];
    for (int i = 0; i < 3; i++) {
        raw_open(&c[i], rig.port);
        CHECK_EQ(raw_sendz(&c[i], get), 0);
    }
    WAIT_FOR(entered == 2);
    for (int i = 0; i < 10; i++)
        co_yield ();
    CHECK_EQ(entered, 2); /* the third waits in the queue */
    raw_close(&c[0]);
    CHECK_EQ(raw_until(&c[2], STR("ok")), 0);
    CHECK_EQ(entered, 3);
    raw_close(&c[1]);
    raw_close(&c[2]);
    rig_stop();
}

static void burst_of_connections(void)
{
    enum { N = 150 }; /* more than one batch */
    reset_counts();
    rig_start(ok_handler);
    struct raw *c = calloc(N, sizeof(*c));
    for (int i = 0; i < N; i++) {
        raw_open(&c[i], rig.port);
        CHECK_EQ(raw_sendz(&c[i], get), 0);
    }
    for (int i = 0; i < N; i++)
        CHECK_EQ(raw_until(&c[i], STR("ok")), 0);
    CHECK_EQ(entered, N);
    for (int i = 0; i < N; i++)
        raw_close(&c[i]);
    free(c);
    WAIT_FOR(http_server_connections(rig.server) == 0);
    CHECK_EQ(http_blocks_held(), 0);
    rig_stop();
}

/* --- upgrade --- */

static void upgraded(struct http_request *rq, void *ctx)
{
    struct stream *s;
    char b[64];
    if (!rq->head.upgrade || http_reply_upgrade(rq, STR("upgrade: echo\r\n"), &s) < 0)
        return;
    struct str rest = http_upgraded_rest(rq);
    (void)stream_write(s, rest, in_ms(5000));
    for (;;) {
        ssize_t n = stream_read(s, b, sizeof(b), in_ms(5000));
        if (n <= 0) {
            last_result = (int)n;
            break;
        }
        (void)stream_write(s, str_at(b, (size_t)n), in_ms(5000));
    }
    ended++;
}

static void upgrade(void)
{
    reset_counts();
    rig_start(upgraded);
    struct raw c;
    raw_open(&c, rig.port);
    CHECK_EQ(raw_sendz(&c,
                 "GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\nfirst "),
        0);
    CHECK_EQ(raw_until(&c, STR("\r\n\r\nfirst ")), 0);
    CHECK(str_starts(buf_str(&c.in), STR("HTTP/1.1 101 Switching Protocols\r\n")));
    CHECK_EQ(raw_sendz(&c, "second"), 0);
    CHECK_EQ(raw_until(&c, STR("first second")), 0);
    CHECK_EQ(shutdown(c.s.io.fd, SHUT_WR), 0);
    CHECK_EQ(raw_all(&c), 0);
    CHECK_EQ(ended, 1);
    CHECK_EQ(last_result, 0); /* it saw the end by reading, and was not cancelled */
    raw_close(&c);
    rig_stop();
}

#define IN_LOOP(fn)                                                                                \
    static void test_##fn(void)                                                                    \
    {                                                                                              \
        in_loop(fn);                                                                               \
    }
IN_LOOP(hangup_cancels)
IN_LOOP(hangup_after_reply)
IN_LOOP(hangup_in_head)
IN_LOOP(hangup_in_body)
IN_LOOP(slow_reader)
IN_LOOP(stuck_reader)
IN_LOOP(no_answer)
IN_LOOP(incomplete_reply)
IN_LOOP(aborted_reply)
IN_LOOP(forget_head)
IN_LOOP(drain_empty)
IN_LOOP(drain_all_kinds)
IN_LOOP(drain_fresh)
IN_LOOP(drain_kept)
IN_LOOP(abort_all)
IN_LOOP(most_connections)
IN_LOOP(burst_of_connections)
IN_LOOP(upgrade)

int main(void)
{
    TAP_RUN(test_hangup_cancels);
    TAP_RUN(test_hangup_after_reply);
    TAP_RUN(test_hangup_in_head);
    TAP_RUN(test_hangup_in_body);
    TAP_RUN(test_slow_reader);
    TAP_RUN(test_stuck_reader);
    TAP_RUN(test_no_answer);
    TAP_RUN(test_incomplete_reply);
    TAP_RUN(test_aborted_reply);
    TAP_RUN(test_forget_head);
    TAP_RUN(test_drain_empty);
    TAP_RUN(test_drain_all_kinds);
    TAP_RUN(test_drain_fresh);
    TAP_RUN(test_drain_kept);
    TAP_RUN(test_abort_all);
    TAP_RUN(test_most_connections);
    TAP_RUN(test_burst_of_connections);
    TAP_RUN(test_upgrade);
    return tap_done();
}
