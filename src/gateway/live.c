/*
 * The calls that are open on this thread, so that a revoked or expired key ends them: streams and
 * WebSockets would otherwise go on for as long as their provider likes.
 *
 * An ended call is cancelled like one whose client went away, but its client is still there and is
 * told: gw_was_ended() says which of the two it was.
 */
#include "gateway/gateway_int.h"
#include "keys/catalog.h"

static _Thread_local struct list live;

static struct list *calls(void)
{
    if (!live.next)
        list_init(&live);
    return &live;
}

void gw_live_add(struct exchange *x)
{
    x->co = co_self();
    list_push_back(calls(), &x->live);
}

void gw_live_remove(struct exchange *x)
{
    list_remove(&x->live);
}

static void end(struct exchange *x)
{
    x->ended_by_us = true;
    x->error = (struct error){0};
    exchange_fail(x, 401, STR("key_revoked"),
        STR("The virtual key of this call was revoked or has expired while the call was running."));
    co_cancel(x->co);
}

void gw_live_check(void *ctx)
{
    struct list *all = calls(), *next;
    (void)ctx;

    for (struct list *at = all->next; at != all; at = next) {
        struct exchange *x = list_entry(at, struct exchange, live);
        next = at->next;
        if (x->key && !x->ended_by_us && !vkey_still_good(x->key))
            end(x);
    }
}

bool gw_was_ended(const struct exchange *x)
{
    return x->ended_by_us;
}
