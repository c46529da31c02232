/*
 * Replies to clients that do not read: what is kept for them, when a write waits, what goes back.
 */
#include "http/loopback.h"

enum { PIECE = 10000, KEPT_MOST = 64 * 1024 };

/* What the handler saw. */
static struct {
    size_t put;        /* bytes of body in all */
    bool ahead, after; /* behind before the client stopped, and when it had */
    unsigned kept;     /* writes that the client did not take whole */
    bool full;         /* no more can be kept: the next write waits */
    bool waited;
    int flushed;
} seen;

static char byte_at(size_t i)
{
    return (char)(i * 31 + i / 1000);
}

/* Writes a piece from memory that is no longer good afterwards. */
static int put_piece(struct http_request *rq)
{
    char *p = malloc(PIECE);
    must(p != NULL);
    for (size_t i = 0; i < PIECE; i++)
        p[i] = byte_at(seen.put + i);
    struct iovec iov[2] = {{p, 3}, {p + 3, PIECE - 3}};
    int r = http_reply_put(rq, iov, 2);
    seen.put += PIECE;
    free(p);
    return r;
}

static int put_until_kept(struct http_request *rq)
{
    int r;
    while ((r = put_piece(rq)) == 0)
        ;
    return r;
}

/* Fills what may be kept to the brim, and writes once more. */
static void overfill(struct http_request *rq, void *ctx)
{
    (void)ctx;
    CHECK_EQ(http_reply_begin(rq, 200, STR_NONE, HTTP_LENGTH_UNKNOWN), 0);
    CHECK_EQ(put_piece(rq), 0);
    seen.ahead = http_reply_is_behind(rq);
    CHECK_EQ(put_until_kept(rq), 1);
    seen.after = http_reply_is_behind(rq);
    for (seen.kept = 1; seen.kept < KEPT_MOST / PIECE; seen.kept++)
        CHECK_EQ(put_piece(rq), 1); /* does not wait */
    seen.full = true;
    CHECK_EQ(put_piece(rq), 0);
    seen.waited = true;
    CHECK_EQ(http_reply_end(rq, STR_NONE), 0);
}

static void check_body(struct raw *c)
{
    _cleanup_(reply_free) struct reply p;
    CHECK_EQ(raw_reply(c, false, &p), 0);
    CHECK_EQ(p.status, 200);
    CHECK_EQ(p.body.n, seen.put);
    size_t wrong = 0;
    for (size_t i = 0; i < p.body.n; i++)
        wrong += p.body.p[i] != byte_at(i);
    CHECK_EQ(wrong, 0);
}

static void ask(struct raw *c)
{
    memset(&seen, 0, sizeof(seen));
    raw_open(c, rig.port);
    CHECK_EQ(raw_sendz(c, "GET / HTTP/1.1\r\nhost: x\r\n\r\n"), 0);
}

static void keeps_and_waits(void)
{
    rig_start(overfill);
    struct raw c;
    ask(&c);
    WAIT_FOR(seen.full);
    CHECK(!seen.ahead);
    CHECK(seen.after);
    CHECK(!seen.waited);
    check_body(&c);
    WAIT_FOR(seen.waited);
    raw_close(&c);
    WAIT_FOR(http_server_connections(rig.server) == 0);
    CHECK_EQ(http_blocks_held(), 0);
    rig_stop();
}

/* Waits for the client each time that it has not taken all. */
static void put_and_flush(struct http_request *rq, void *ctx)
{
    (void)ctx;
    CHECK_EQ(http_reply_begin(rq, 200, STR_NONE, HTTP_LENGTH_UNKNOWN), 0);
    for (int i = 0; i < 3; i++) {
        size_t held = http_blocks_held();
        CHECK_EQ(put_until_kept(rq), 1);
        CHECK(http_blocks_held() > held || i == 0);
        seen.kept++;
        seen.flushed = http_reply_flush(rq);
        if (seen.flushed < 0)
            return;
        CHECK(http_blocks_held() <= held);
    }
    CHECK_EQ(put_until_kept(rq), 1); /* the end sends what is kept, too */
    seen.kept++;
    CHECK_EQ(http_reply_end(rq, STR_NONE), 0);
}

static void flushes(void)
{
    rig_start(put_and_flush);
    struct raw c;
    ask(&c);
    WAIT_FOR(seen.kept == 1);
    check_body(&c);
    CHECK_EQ(seen.kept, 4);
    raw_close(&c);
    rig_stop();
}

static void gone_while_kept(void)
{
    rig_start(put_and_flush);
    struct raw c;
    ask(&c);
    WAIT_FOR(seen.kept == 1);
    raw_close(&c);
    WAIT_FOR(http_server_connections(rig.server) == 0);
    CHECK(seen.flushed < 0);
    CHECK_EQ(http_blocks_held(), 0);
    rig_stop();
}

static void times_out_while_kept(void)
{
    rig.set.write_timeout = 30 * NS_PER_MS;
    rig_start(put_and_flush);
    struct raw c;
    ask(&c);
    WAIT_FOR(http_server_connections(rig.server) == 1);
    WAIT_FOR(http_server_connections(rig.server) == 0);
    CHECK_EQ(seen.flushed, -ETIMEDOUT);
    raw_close(&c);
    rig_stop();
}

#define IN_LOOP(fn)                                                                                \
    static void test_##fn(void)                                                                    \
    {                                                                                              \
        in_loop(fn);                                                                               \
    }
IN_LOOP(keeps_and_waits)
IN_LOOP(flushes)
IN_LOOP(gone_while_kept)
IN_LOOP(times_out_while_kept)

int main(void)
{
    TAP_RUN(test_keeps_and_waits);
    TAP_RUN(test_flushes);
    TAP_RUN(test_gone_while_kept);
    TAP_RUN(test_times_out_while_kept);
    return tap_done();
}
