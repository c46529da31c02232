/*
 * The link: one connection of the process, its two coroutines on the owning loop, and its end.
 *
 *   run:    connect, say hello, link_up, read answers until the end, pause, again
 *   write:  as long as the link is up: what callers wrote meanwhile goes out in one write
 *
 * link_down() is the one end of a link, whoever found it dead: a read or write that failed, an
 * answer that is late or wrong, or the owner. Everybody who waits is dealt with there, at once, by
 * what this node knows; the socket is closed, which ends both coroutines' waits. Nothing that
 * callers do waits for a link that is not up.
 *
 * Timers: `timeout` watches the oldest command, `look` asks for the sums of counters that somebody
 * waits at, `beat` comes once a second: it tries the link, counts the nodes and tells the owner.
 *
 * What stops this process for a moment (a machine that is moved, a quota of a container's) often
 * stops Redis, too, and is no sign that Redis is away. It shows in `timeout`, which then comes
 * late; and an answer that is due then gets so much longer.
 */
#include "store/redis_int.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define WALK_STEP  128
#define DIRTY_STEP 64 /* commands made of the dirty list while the lock is held */
#define GRACE_NS   (5 * NS_PER_MS)
#define WATCHES    4 /* looks at the oldest command while it may still be answered in time */

/* --- telling the owner ------------------------------------------------------------------------ */

/* At most once a second; what is left over is told with a beat. */
static void tell(struct redis *r)
{
    bool up = atomic_load(&r->up);
    int64_t now = clock_now();
    if (!r->s->on_link || r->stopping ||
        (r->told_any && (r->told_up == up || now - r->told_at < NS_PER_S)))
        return;
    r->told_any = true;
    r->told_up = up;
    r->told_at = now;
    r->s->on_link(r->s->on_link_ctx, up, up ? "" : r->why);
}

static void tell_sleepers(struct list *told)
{
    for (struct list *it; (it = list_pop_front(told));)
        sleeper_tell(list_entry(it, struct sleeper, at));
}

/* --- up and down ------------------------------------------------------------------------------ */

static void rewrite(void *ctx, struct counter *c)
{
    struct redis *r = ctx;
    if (c->remote && (c->used != 0 || c->held != 0 || c->there))
        counter_queue(r, c); /* a part that is nothing now may have been more there */
}

/* There may be parts of a process before this one, which was killed. */
static void rewrite_first(void *ctx, struct counter *c)
{
    if (c->remote)
        counter_queue(ctx, c);
}

static void link_up(struct redis *r)
{
    struct shared *s = r->s;
    shared_lock(&s->lock);
    atomic_store(&r->connected, true);
    atomic_store(&r->up, !r->no_scripts);
    atomic_store(&r->first_until, 0);
    if (r->new_memory && r->was_up)
        r->recover_until = clock_now() + REDIS_RECOVER_NS;
    bool first = !r->was_up;
    r->was_up = true;
    r->epoch_asked = false;
    shared_unlock(&s->lock);
    r->up_at = clock_now();
    size_t at = 0;
    for (bool more = !r->no_scripts; more;) {
        shared_lock(&s->lock);
        more = counters_walk(&s->table, &at, WALK_STEP, first ? rewrite_first : rewrite, r);
        shared_unlock(&s->lock);
    }
    event_set(&r->writable);
    tell(r);
}

static void forget_rows(struct command *cmd)
{
    for (unsigned i = 0; i < cmd->n; i++) {
        cmd->counters[i]->unanswered = 0;
        cmd->counters[i]->lost = false;
    }
    cmd->n = 0;
}

/* Under the lock. First the counters of all commands, then those who wait: their calls are judged
 * as the counters then stand. */
static void end_commands(struct redis *r, struct list *told)
{
    list_each(&r->unanswered, it) forget_rows(list_entry(it, struct command, at));
    for (struct list *it; (it = list_pop_front(&r->dirty));)
        list_entry(it, struct counter, dirty)->queued = false;
    struct list *const queues[] = {&r->unanswered, &r->held};
    for (size_t q = 0; q < ARRAY_LEN(queues); q++)
        for (struct list *it; (it = list_pop_front(queues[q]));) {
            struct command *cmd = list_entry(it, struct command, at);
            if (cmd->call)
                call_decide(r, cmd->call, told);
            else
                command_forget(r, cmd);
        }
    buf_clear(&r->out);
}

void link_down(struct redis *r, const char *why)
{
    struct shared *s = r->s;
    struct list told;
    if (!stream_is_open(&r->conn.stream))
        return;
    list_init(&told);
    shared_lock(&s->lock);
    if (atomic_exchange(&r->connected, false))
        r->outage++; /* an attempt that fails belongs to the outage that it would have ended */
    atomic_store(&r->up, false);
    end_commands(r, &told);
    shared_unlock(&s->lock);
    tell_sleepers(&told);
    snprintf(r->why, sizeof r->why, "%s", why);
    timer_set(&r->timeout, NEVER_NS);
    r->late = false;
    r->stalled = 0;
    conn_close(&r->conn);
    event_set(&r->writable);
    tell(r);
}

/* --- writing ---------------------------------------------------------------------------------- */

/* Takes what is to be written; false when there is nothing. */
static bool take_out(struct redis *r)
{
    shared_lock(&r->s->lock);
    atomic_store_explicit(&r->need, false, memory_order_relaxed);
    for (int i = 0; i < DIRTY_STEP && dirty_write(r); i++)
        ;
    if (!list_empty(&r->dirty))
        event_set(&r->writable);
    bool watches = !list_empty(&r->watched);
    struct buf full = r->out;
    r->out = r->writing;
    r->writing = full;
    shared_unlock(&r->s->lock);
    if (watches && r->look.due == NEVER_NS)
        timer_set(&r->look, loop_now() + REDIS_WATCH_NS);
    return r->writing.n > 0;
}

static void write_run(void *arg)
{
    struct redis *r = arg;
    for (int e; atomic_load(&r->connected);) {
        event_reset(&r->writable);
        if (!take_out(r)) {
            if (event_wait(&r->writable, NEVER_NS) < 0)
                break;
            continue;
        }
        e = r->writing.err;
        if (e == 0)
            e = stream_write(&r->conn.stream, buf_str(&r->writing), clock_now() + SHARED_WAIT_NS);
        buf_clear(&r->writing);
        if (e < 0) {
            if (atomic_load(&r->connected))
                link_down(r, e == -ETIMEDOUT ? "Redis takes nothing" : strerror(-e));
            break;
        }
    }
    buf_clear(&r->writing);
    r->writer = NULL;
}

static void watch(struct redis *r, int64_t due)
{
    r->watch_due = due;
    timer_set(&r->timeout, due);
}

/* Posted by redis_kick(). */
static void flush(void *arg)
{
    struct redis *r = arg;
    atomic_store(&r->posted, false);
    if (!atomic_load(&r->connected))
        return;
    event_set(&r->writable);
    if (r->timeout.due == NEVER_NS)
        watch(r, loop_now() + r->answer_ns / WATCHES);
}

void redis_kick(struct shared *s)
{
    struct redis *r = s->redis;
    if (!atomic_load_explicit(&r->need, memory_order_relaxed) ||
        !atomic_load_explicit(&r->connected, memory_order_relaxed) ||
        atomic_exchange(&r->posted, true))
        return;
    must(loop_post(r->owner, flush, r) == 0);
}

/* --- answers ---------------------------------------------------------------------------------- */

static int bad_answer(char why[static REDIS_WHY])
{
    snprintf(why, REDIS_WHY, "Redis answered something else than was asked for");
    return -EPROTO;
}

static int value_reply(struct command *cmd, const struct resp_item *item, struct list *told)
{
    if (item->type != RESP_STRING && item->type != RESP_NIL)
        return -EPROTO;
    list_remove(&cmd->at);
    int e = item->type == RESP_STRING ? buf_addstr(cmd->call->out, item->s) : 0;
    call_done(cmd->call, e < 0 ? e : item->type == RESP_STRING, told);
    return 0;
}

static int plain_reply(struct command *cmd, const struct resp_item *item, struct list *told)
{
    if (item->type != RESP_STATUS && item->type != RESP_INT && item->type != RESP_NIL)
        return -EPROTO;
    list_remove(&cmd->at);
    call_done(cmd->call, item->type == RESP_NIL ? -EEXIST : 0, told);
    return 0;
}

/* What the link asked for itself. */
static int own_reply(struct redis *r, struct command *cmd, char why[static REDIS_WHY])
{
    const struct resp_item *item = r->conn.resp.items;
    uint64_t seconds;
    list_remove(&cmd->at);
    command_forget(r, cmd);
    switch (cmd->kind) {
    case COMMAND_EPOCH:
        r->epoch_asked = false;
        if (item->type == RESP_STRING && str_eq(item->s, str_of(r->epoch)))
            return 0;
        snprintf(why, REDIS_WHY, "Redis has lost its memory");
        return -ESTALE;
    case COMMAND_NODES:
        if (item->type != RESP_INT)
            return bad_answer(why);
        if (clock_now() >= r->recover_until || item->n > atomic_load(&r->nodes))
            nodes_seen(r, item->n);
        return 0;
    case COMMAND_TIME:
        if (r->conn.resp.n != 3 || item[1].type != RESP_STRING || str_u64(item[1].s, &seconds) < 0)
            return bad_answer(why);
        r->skew = (int64_t)seconds - clock_now() / NS_PER_S;
        return 0;
    default:
        return 0;
    }
}

/* Under the lock: the oldest command and the reply at hand belong together. */
static int one_reply(
    struct redis *r, struct list *told, struct list *woken, char why[static REDIS_WHY])
{
    const struct resp_item *item = r->conn.resp.items;
    if (list_empty(&r->unanswered))
        return bad_answer(why);
    struct command *cmd = list_entry(r->unanswered.next, struct command, at);
    if (item->type == RESP_ERROR) {
        why_reply(why, "Redis refuses", item->s);
        return -EACCES;
    }
    int e;
    if (cmd->kind == COMMAND_ROWS)
        return rows_reply(r, cmd, &r->conn.resp, told, woken, why);
    if (cmd->kind == COMMAND_VALUE)
        e = value_reply(cmd, item, told);
    else if (cmd->kind == COMMAND_PLAIN)
        e = plain_reply(cmd, item, told);
    else
        return own_reply(r, cmd, why);
    return e < 0 ? bad_answer(why) : 0;
}

/* All replies that have come. */
static int replies(struct redis *r, char why[static REDIS_WHY])
{
    struct list told, woken;
    int e;
    list_init(&told);
    list_init(&woken);
    while ((e = resp_next(&r->conn.resp)) == 1) {
        shared_lock(&r->s->lock);
        e = one_reply(r, &told, &woken, why);
        shared_unlock(&r->s->lock);
        if (e < 0)
            break;
    }
    if (e == -EPROTO && r->conn.resp.whole == false)
        snprintf(why, REDIS_WHY, "what came is not Redis' protocol");
    tell_sleepers(&told);
    waiters_wake(&woken);
    return e;
}

static void read_run(struct redis *r, char why[static REDIS_WHY])
{
    struct redis_conn *c = &r->conn;
    while (stream_is_open(&c->stream)) {
        int e = replies(r, why);
        if (e < 0)
            return;
        r->late = false;
        r->stalled = 0;
        if (unlikely(!list_empty(&r->fill)))
            fill_begin(r);
        redis_kick(r->s);
        ssize_t n = stream_read(&c->stream, c->in, REDIS_IN_BYTES, NEVER_NS);
        if (n <= 0) {
            snprintf(why, REDIS_WHY, "connection lost: %s",
                n == 0 ? "closed by Redis" : strerror((int)-n));
            return;
        }
        if (resp_feed(&c->resp, c->in, (size_t)n) < 0) {
            snprintf(why, REDIS_WHY, "what came is not Redis' protocol, or too much");
            return;
        }
    }
}

/* --- the link's coroutine --------------------------------------------------------------------- */

static void one_link(struct redis *r)
{
    char why[REDIS_WHY] = "";
    r->attempts++;
    if (redis_conn_open(r, &r->conn, why) < 0) {
        snprintf(r->why, sizeof r->why, "%s", why);
        return;
    }
    if (redis_hello(r, why) < 0) {
        link_down(r, why);
        return;
    }
    link_up(r);
    if (co_spawn("redis writer", write_run, r, &r->writer) == 0)
        read_run(r, why);
    link_down(r, why); /* unless it is down already, and says why */
    while (r->writer && co_sleep_until(clock_now() + NS_PER_MS) == 0)
        ;
}

static void link_run(void *arg)
{
    struct redis *r = arg;
    int64_t pause = 0;
    while (!r->stopping && !co_cancelled()) {
        r->up_at = 0;
        one_link(r);
        tell(r);
        if (r->up_at > 0 && clock_now() - r->up_at > NS_PER_S)
            pause = 0;
        if (co_sleep_until(clock_now() + pause) < 0)
            break;
        pause = pause ? MIN(2 * pause, REDIS_BACKOFF_MAX) : REDIS_BACKOFF_MIN;
    }
    r->main = NULL;
}

/* --- timers ----------------------------------------------------------------------------------- */

static int64_t oldest(const struct list *queue)
{
    return list_empty(queue) ? NEVER_NS : list_entry(queue->next, struct command, at)->since;
}

static void on_timeout(struct timer *t)
{
    struct redis *r = container_of(t, struct redis, timeout);
    int64_t now = clock_now(), next = now + r->answer_ns / WATCHES;
    if (now - r->watch_due > GRACE_NS)
        r->stalled += now - r->watch_due;
    shared_lock(&r->s->lock);
    held_let_go(r, now);
    int64_t since = oldest(&r->unanswered);
    bool waits = !list_empty(&r->held);
    shared_unlock(&r->s->lock);
    redis_kick(r->s);
    if (since == NEVER_NS) {
        if (waits)
            watch(r, next);
        else
            timer_set(t, NEVER_NS);
    } else if (now - since < r->answer_ns) {
        watch(r, MIN(since + r->answer_ns, next));
    } else if (!r->late) { /* perhaps it was this loop that was late: what has come is read first */
        r->late = true;
        watch(r, now + MAX(GRACE_NS, MIN(r->stalled, r->answer_ns)));
    } else {
        link_down(r, "Redis does not answer");
    }
}

static void on_look(struct timer *t)
{
    struct redis *r = container_of(t, struct redis, look);
    bool any = false;
    shared_lock(&r->s->lock);
    list_each(&r->watched, it)
    {
        struct counter *c = list_entry(it, struct counter, watched);
        if (list_empty(&c->waiters)) {
            list_remove(it);
            continue;
        }
        any = true;
        c->remote = true;
        counter_queue(r, c);
    }
    shared_unlock(&r->s->lock);
    timer_set(t, any ? loop_now() + REDIS_WATCH_NS : NEVER_NS);
    redis_kick(r->s);
}

static void own_command(struct redis *r, enum command_kind kind)
{
    struct command *cmd = command_own(r, kind);
    if (cmd)
        command_sent(r, cmd);
    else
        r->out.err = -ENOMEM; /* what was written has no command: the link ends */
}

static void beat_get(struct redis *r)
{
    char key[64];
    key_of(r, "epoch", key);
    resp_begin(&r->out, 2);
    resp_arg(&r->out, STR("GET"));
    resp_arg(&r->out, str_of(key));
    own_command(r, COMMAND_EPOCH);
    key_of(r, "nodes", key);
    resp_begin(&r->out, 2);
    resp_arg(&r->out, STR("ZCARD"));
    resp_arg(&r->out, str_of(key));
    own_command(r, COMMAND_NODES);
}

static void beat_announce(struct redis *r)
{
    resp_begin(&r->out, 1);
    resp_arg(&r->out, STR("TIME"));
    own_command(r, COMMAND_TIME);
    nodes_announce(r, &r->out);
    own_command(r, COMMAND_IGNORE);
    own_command(r, COMMAND_IGNORE);
    own_command(r, COMMAND_NODES);
}

static void on_beat(struct timer *t)
{
    struct redis *r = container_of(t, struct redis, beat);
    shared_lock(&r->s->lock);
    if (atomic_load(&r->connected)) {
        beat_get(r);
        if (++r->beats % 5 == 0)
            beat_announce(r);
    }
    shared_unlock(&r->s->lock);
    redis_kick(r->s);
    tell(r);
    timer_set(t, loop_now() + REDIS_BEAT_NS);
}

/* --- life ------------------------------------------------------------------------------------- */

int redis_start(struct shared *s)
{
    struct redis *r = s->redis;
    r->owner = loop_self();
    event_init(&r->writable);
    timer_init(&r->timeout, on_timeout);
    timer_init(&r->look, on_look);
    timer_init(&r->beat, on_beat);
    timer_set(&r->beat, loop_now() + REDIS_BEAT_NS);
    atomic_store(&r->first_until, clock_now() + SHARED_WAIT_NS);
    int e = co_spawn("redis", link_run, r, &r->main);
    if (e == 0 && s->n_subs > 0)
        e = co_spawn("redis messages", redis_sub_run, r, &r->sub);
    return e;
}

/* The others need not wait until this node's word has grown old. */
static void say_goodbye(struct redis *r)
{
    _cleanup_(buf_free) struct buf b;
    char key[64];
    buf_init(&b, 1024);
    key_of(r, "nodes", key);
    resp_begin(&b, 3);
    resp_arg(&b, STR("ZREM"));
    resp_arg(&b, str_of(key));
    resp_arg(&b, str_of(r->node));
    struct iovec iov = {b.p, b.n};
    if (atomic_load(&r->connected) && r->writing.n == 0)
        (void)stream_try_writev(&r->conn.stream, &iov, 1);
}

void redis_stop(struct shared *s)
{
    struct redis *r = s->redis;
    r->stopping = true;
    say_goodbye(r);
    link_down(r, "stopped");
    timer_clear(&r->timeout);
    timer_clear(&r->look);
    timer_clear(&r->beat);
    conn_close(&r->sub_conn);
    if (r->main)
        co_cancel(r->main);
    if (r->sub)
        co_cancel(r->sub);
}

bool redis_is_up(const struct shared *s)
{
    return atomic_load_explicit(&s->redis->up, memory_order_relaxed);
}

unsigned redis_nodes(const struct shared *s)
{
    return atomic_load_explicit(&s->redis->nodes, memory_order_relaxed);
}
