/*
 * Messages from other nodes: a connection of its own, as one that subscribes can do nothing else.
 * Each message begins with the 16 bytes that stand for the process that sent it; what this one sent
 * was delivered when it was published and is left out. When nothing comes for a second the
 * connection is tried with a PING, and when that is not answered in time it is made anew. What was
 * published meanwhile is lost.
 */
#include "store/redis_int.h"
#include <errno.h>
#include <stdio.h>

static void put_subscribe(struct redis *r, struct buf *b)
{
    char prefix[32];
    size_t n = (size_t)snprintf(prefix, sizeof prefix, "%s:ch:", r->prefix);
    resp_begin(b, 1 + r->s->n_subs);
    resp_arg(b, STR("SUBSCRIBE"));
    for (unsigned i = 0; i < r->s->n_subs; i++)
        resp_arg2(b, str_at(prefix, n), str_of(r->s->subs[i].channel));
}

static void on_message(struct redis *r, struct str channel, struct str message)
{
    size_t prefix = strlen(r->prefix) + 4;
    if (message.n < 16 || memcmp(message.p, r->id, 16) == 0)
        return;
    bus_deliver(r->s, str_from(channel, prefix), str_from(message, 16));
}

/* The reply at hand; false when it is not what a subscriber gets. */
static bool handle(struct redis *r, unsigned *confirmed)
{
    const struct resp *resp = &r->sub_conn.resp;
    const struct resp_item *item = resp->items;
    if (item[0].type != RESP_ARRAY || resp->n < 3 || item[1].type != RESP_STRING)
        return false;
    if (str_eq(item[1].s, STR("pong")))
        return true;
    if (str_eq(item[1].s, STR("subscribe"))) {
        if (++*confirmed == r->s->n_subs)
            atomic_store(&r->sub_up, true);
        return true;
    }
    if (resp->n != 4 || !str_eq(item[1].s, STR("message")) || item[2].type != RESP_STRING ||
        item[3].type != RESP_STRING)
        return false;
    on_message(r, item[2].s, item[3].s);
    return true;
}

static void listen_on(struct redis *r, struct buf *b)
{
    char why[REDIS_WHY];
    unsigned confirmed = 0;
    bool asked = false;
    put_subscribe(r, b);
    while (!r->stopping) {
        if (b->n > 0 && redis_conn_send(&r->sub_conn, b, why) < 0)
            return;
        buf_clear(b);
        int64_t wait = asked ? SHARED_WAIT_NS : REDIS_BEAT_NS;
        int e = conn_reply(&r->sub_conn, clock_now() + wait, why);
        if (e == -ETIMEDOUT && !asked) {
            resp_begin(b, 1);
            resp_arg(b, STR("PING"));
            asked = true;
            continue;
        }
        if (e < 0 || !handle(r, &confirmed))
            return;
        asked = false;
    }
}

void redis_sub_run(void *arg)
{
    struct redis *r = arg;
    _cleanup_(buf_free) struct buf b;
    char why[REDIS_WHY];
    int64_t pause = REDIS_BACKOFF_MIN;
    buf_init(&b, 65536);
    while (!r->stopping && !co_cancelled()) {
        if (redis_conn_open(r, &r->sub_conn, why) == 0) {
            buf_clear(&b);
            listen_on(r, &b);
            if (atomic_exchange(&r->sub_up, false))
                pause = REDIS_BACKOFF_MIN;
            conn_close(&r->sub_conn);
        }
        if (co_sleep_until(clock_now() + pause) < 0)
            break;
        pause = MIN(2 * pause, REDIS_BACKOFF_MAX);
    }
    r->sub = NULL;
}
