/*
 * The calls that are open on this thread, so that a revoked or expired key ends them: streams and
 * WebSockets would otherwise go on for as long as their provider likes. A revocation is told by the
 * catalogue; what expires is looked for a few times a second, as long as calls are open.
 *
 * An ended call is cancelled like one whose client went away, but its client is still there and is
 * told: gw_was_ended() says which of the two it was.
 */
#include "gateway/gateway_int.h"
#include "keys/catalog.h"
#include "runtime/loop.h"

#define LOOK_NS (250 * NS_PER_MS)

static _Thread_local struct list live;
static _Thread_local struct timer look;
/* When the next key of a call expires whose record changed after the call began; 0 = none. */
static _Thread_local int64_t next_end;

static void look_for_expired(struct timer *t);

static struct list *calls(void)
{
    if (!live.next) {
        list_init(&live);
        timer_init(&look, look_for_expired);
    }
    return &live;
}

void gw_live_add(struct exchange *x)
{
    x->co = co_self();
    list_push_back(calls(), &x->live);
    if (look.due == NEVER_NS)
        timer_set(&look, loop_now() + LOOK_NS);
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

static void note_end(int64_t at)
{
    if (at && (!next_end || at < next_end))
        next_end = at;
}

void gw_live_check(void *ctx)
{
    struct list *all = calls(), *next;
    (void)ctx;

    next_end = 0;
    for (struct list *at = all->next; at != all; at = next) {
        struct exchange *x = list_entry(at, struct exchange, live);
        next = at->next;
        if (!x->key || x->ended_by_us)
            continue;
        if (!vkey_still_good(x->key))
            end(x);
        else
            note_end(vkey_expires_at(x->key));
    }
}

/* A call's own record tells of most; where none is due nothing is looked up. */
static bool any_expired(int64_t now)
{
    struct list *all = calls();

    if (next_end && next_end <= now)
        return true;
    list_each(all, at)
    {
        const struct exchange *x = list_entry(at, struct exchange, live);
        if (x->key && !x->ended_by_us && x->key->expires_at && x->key->expires_at <= now)
            return true;
    }
    return false;
}

static void look_for_expired(struct timer *t)
{
    if (list_empty(calls())) {
        timer_set(t, NEVER_NS);
        return;
    }
    if (any_expired(clock_wall()))
        gw_live_check(NULL);
    timer_set(t, loop_now() + LOOK_NS);
}

void gw_live_thread_end(void)
{
    if (live.next)
        timer_clear(&look);
    live.next = NULL;
}

bool gw_was_ended(const struct exchange *x)
{
    return x->ended_by_us;
}
