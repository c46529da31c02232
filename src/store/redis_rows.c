/*
 * Counters over Redis: writing the script's calls, and what its answers mean. All of it under the
 * shared store's lock; the bytes go to redis->out, from where the writer takes them.
 *
 * Which of the two a row tells, the whole part or what changed, is decided in one place,
 * row_write(): the whole while nothing that names the counter is unanswered. A call that meets a
 * counter whose part was lost in the middle, or that is being filled, is held until it is not. A
 * fill that takes too long is not waited for any longer: Redis judges without it, as it does where
 * the database does not know.
 */
#include "store/redis_int.h"
#include <endian.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    FLAG_LEASE = 1,
    FLAG_WHOLE = 2,
    FLAG_FILLED = 4,
    FLAG_TIMED = 8,
    FLAG_LOOK = 16,
    FLAG_FLOOR = 32
};
enum { CODE_GRANTED, CODE_REFUSED, CODE_NOT_FILLED, CODE_LOST, CODE_STALE };
enum { STATE_LOST = 1, STATE_NOT_FILLED = 2, STATE_WAS_MISSING = 4 };

/* --- commands --------------------------------------------------------------------------------- */

struct command *command_own(struct redis *r, enum command_kind kind)
{
    struct list *it = list_pop_front(&r->pool);
    struct command *cmd = it ? list_entry(it, struct command, at) : malloc(sizeof *cmd);
    if (!cmd)
        return NULL;
    list_init(&cmd->at);
    cmd->kind = kind;
    cmd->call = NULL;
    cmd->n = 0;
    return cmd;
}

void command_sent(struct redis *r, struct command *cmd)
{
    cmd->since = clock_now();
    list_push_back(&r->unanswered, &cmd->at);
    atomic_store_explicit(&r->need, true, memory_order_relaxed);
}

void command_forget(struct redis *r, struct command *cmd)
{
    if (!cmd->call)
        list_push_back(&r->pool, &cmd->at);
}

void call_done(struct call *call, int result, struct list *told)
{
    for (unsigned i = 0; i < call->n_rows; i++)
        call->row_at[i]->pins--;
    call->result = result;
    list_push_back(told, &call->sleeper.at);
}

void call_decide(struct redis *r, struct call *call, struct list *told)
{
    int result = -EHOSTDOWN;
    if (call->command.kind == COMMAND_ROWS && !call->look) {
        result = rows_judge(r->s, call->rows, call->n_rows, call->row_at, &call->refused);
        if (result == -EDQUOT)
            call->settles = call->row_at[call->refused]->settles;
    }
    call_done(call, result, told);
}

/* --- writing ---------------------------------------------------------------------------------- */

void counter_queue(struct redis *r, struct counter *c)
{
    if (c->queued || !atomic_load_explicit(&r->up, memory_order_relaxed))
        return;
    c->queued = true;
    list_push_back(&r->dirty, &c->dirty);
    atomic_store_explicit(&r->need, true, memory_order_relaxed);
}

static void counter_unqueue(struct counter *c)
{
    if (c->queued)
        list_remove(&c->dirty);
    c->queued = false;
}

/* After Redis lost its memory the others' parts come back one by one. Until they have had the time
 * for it, no less is taken for granted than what was last seen of them. The script does the same by
 * itself where it finds this node's part missing. */
static bool recovering(const struct redis *r, int64_t now)
{
    return now < r->recover_until;
}

int64_t ms_to_live(const struct counter *c)
{
    if (c->expires == 0)
        return c->kind == SHARED_LEASE ? REDIS_SLACK_MS : 0;
    return MAX((c->expires - clock_wall()) / NS_PER_MS, 0) + REDIS_SLACK_MS;
}

/* asked: by a caller, rather than written by the link. */
static unsigned row_flags(struct redis *r, struct counter *c, bool asked, bool look, int64_t now)
{
    bool fresh = c->generation != r->generation;
    unsigned flags = c->kind == SHARED_LEASE ? FLAG_LEASE : 0;
    must(!fresh || c->unanswered == 0);
    if (c->unanswered == 0)
        flags |= FLAG_WHOLE;
    if (asked && r->s->fill && c->kind == SHARED_SUM && now >= c->fill_after)
        flags |= FLAG_FILLED;
    if (fresh || c->expires != c->expires_sent ||
        (c->kind == SHARED_LEASE && now - c->written > REDIS_RENEW_NS))
        flags |= FLAG_TIMED;
    if (recovering(r, now))
        flags |= FLAG_FLOOR;
    return look ? flags | FLAG_LOOK : flags;
}

static void put_double(char *out, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, 8);
    bits = htobe64(bits);
    memcpy(out, &bits, 8);
}

static void row_write(struct redis *r, struct counter *c, const struct shared_row *row, bool look)
{
    char packed[7 * 8];
    int64_t now = clock_now();
    unsigned flags = row_flags(r, c, row != NULL, look, now);
    bool whole = flags & FLAG_WHOLE;
    bool limited = row && row->limit != SHARED_NO_LIMIT;
    const double number[7] = {
        flags,
        (double)(whole ? c->used : c->unsent_used),
        (double)(whole ? c->held : c->unsent_held),
        limited ? (double)row->amount : 0,
        limited ? (double)MIN(row->limit, SHARED_NUMBER_MAX) : HUGE_VAL,
        (double)(c->others_used + c->others_held),
        (double)ms_to_live(c),
    };
    for (size_t i = 0; i < ARRAY_LEN(number); i++)
        put_double(packed + 8 * i, number[i]);
    resp_arg(&r->out, str_at(packed, sizeof packed));
    if (flags & FLAG_TIMED) {
        c->written = now;
        c->expires_sent = c->expires;
    }
    c->unsent_used = c->unsent_held = 0;
    c->generation = r->generation;
    c->unanswered++;
    counter_unqueue(c);
}

static void rows_write(struct redis *r, struct command *cmd)
{
    struct call *call = cmd->call;
    char prefix[32];
    struct str p = str_at(prefix, (size_t)snprintf(prefix, sizeof prefix, "%s:c:", r->prefix));
    resp_begin(&r->out, 3 + cmd->n + 2 + cmd->n);
    resp_arg(&r->out, STR("EVALSHA"));
    resp_arg(&r->out, str_at(r->script, 40));
    resp_int(&r->out, cmd->n);
    for (unsigned i = 0; i < cmd->n; i++)
        resp_arg2(&r->out, p, counter_name(cmd->counters[i]));
    resp_arg(&r->out, str_of(r->field));
    resp_int(&r->out, (int64_t)r->generation);
    for (unsigned i = 0; i < cmd->n; i++)
        row_write(r, cmd->counters[i], call ? &call->rows[call->row[i]] : NULL, call && call->look);
    command_sent(r, cmd);
}

static bool blocked(const struct counter *c)
{
    return c->lost || (c->filling && clock_now() >= c->fill_after);
}

static bool call_blocked(const struct call *call)
{
    for (unsigned i = 0; i < call->command.n; i++)
        if (blocked(call->command.counters[i]))
            return true;
    return false;
}

void call_submit(struct redis *r, struct call *call)
{
    if (call_blocked(call)) {
        list_push_back(&r->held, &call->command.at);
        atomic_store_explicit(&r->need, true, memory_order_relaxed);
    } else {
        rows_write(r, &call->command);
    }
}

/* A call that has waited for long enough no longer asks that its counters be filled. */
static void call_let_go(struct call *call, int64_t now)
{
    for (unsigned i = 0; now - call->begun >= SHARED_WAIT_NS && i < call->command.n; i++)
        call->command.counters[i]->fill_after = now + NS_PER_S;
}

void held_let_go(struct redis *r, int64_t now)
{
    list_each(&r->held, it) call_let_go(list_entry(it, struct command, at)->call, now);
    held_retry(r);
}

void held_retry(struct redis *r)
{
    list_each(&r->held, it)
    {
        struct call *call = list_entry(it, struct command, at)->call;
        if (call_blocked(call))
            continue;
        list_remove(it);
        rows_write(r, &call->command);
    }
}

/* What lies in braces, or all of it: names with the same tag lie in the same slot. */
static struct str tag_of(const struct counter *c)
{
    struct str name = counter_name(c);
    ptrdiff_t open = str_chr(name, '{');
    struct str rest = open < 0 ? STR_NONE : str_from(name, (size_t)open + 1);
    ptrdiff_t close = str_chr(rest, '}');
    return close > 0 ? str_to(rest, (size_t)close) : name;
}

bool dirty_write(struct redis *r)
{
    struct command *cmd = NULL;
    struct str tag = STR_NONE;
    while (!list_empty(&r->dirty) && (!cmd || cmd->n < SHARED_ROWS_MAX)) {
        struct counter *c = list_entry(r->dirty.next, struct counter, dirty);
        if (blocked(c)) { /* comes back when it is not */
            counter_unqueue(c);
            continue;
        }
        if (cmd && !str_eq(tag, tag_of(c)))
            break;
        if (!cmd && !(cmd = command_own(r, COMMAND_ROWS)))
            return false; /* no memory: the next turn tries again */
        tag = tag_of(c);
        cmd->counters[cmd->n++] = c;
        counter_unqueue(c);
    }
    if (cmd)
        rows_write(r, cmd);
    return cmd != NULL;
}

/* --- answers ---------------------------------------------------------------------------------- */

static int malformed(char why[static REDIS_WHY])
{
    snprintf(why, REDIS_WHY, "Redis answered something else than was asked for");
    return -EPROTO;
}

static bool well_formed(const struct command *cmd, const struct resp *resp)
{
    const struct resp_item *item = resp->items;
    if (item[0].type != RESP_ARRAY || item[0].n < 2 || resp->n != item[0].n + 1)
        return false;
    for (unsigned i = 1; i < resp->n; i++)
        if (item[i].type != RESP_INT || item[i].n > 1LL << 60 || item[i].n < -(1LL << 60))
            return false;
    if (item[1].n == CODE_STALE)
        return true;
    if (item[0].n != 2 + 3 * (int64_t)cmd->n || item[1].n < CODE_GRANTED || item[1].n > CODE_LOST)
        return false;
    return item[1].n != CODE_REFUSED || (item[2].n >= 1 && item[2].n <= cmd->n);
}

static void ask_epoch(struct redis *r)
{
    char key[64];
    struct command *cmd = r->epoch_asked ? NULL : command_own(r, COMMAND_EPOCH);
    if (!cmd)
        return;
    key_of(r, "epoch", key);
    resp_begin(&r->out, 2);
    resp_arg(&r->out, STR("GET"));
    resp_arg(&r->out, str_of(key));
    r->epoch_asked = true;
    command_sent(r, cmd);
}

/* What each answer says of a counter, whatever became of the call. */
static void row_reply(struct redis *r, struct counter *c, const struct resp_item *row, bool look)
{
    int64_t state = row[0].n;
    c->unanswered--;
    if (c->there && (state & STATE_WAS_MISSING) && c->kind == SHARED_SUM) {
        r->recover_until = clock_now() + REDIS_RECOVER_NS;
        ask_epoch(r);
    }
    c->there |= !(state & (STATE_LOST | STATE_WAS_MISSING)) || !look;
    if (!recovering(r, clock_now()) || row[1].n + row[2].n >= c->others_used + c->others_held) {
        c->others_used = sum_within(row[1].n, 0);
        c->others_held = sum_within(row[2].n, 0);
    }
    if (state & STATE_NOT_FILLED)
        fill_ask(r, c);
    if (state & STATE_LOST)
        c->lost = true;
    if (c->lost && c->unanswered == 0) {
        c->lost = false;
        counter_queue(r, c); /* as a whole */
    }
}

static void grant(struct redis *r, struct call *call)
{
    bool sent[SHARED_ROWS_MAX] = {false};
    for (unsigned i = 0; i < call->command.n; i++) {
        struct counter *c = call->command.counters[i];
        struct shared_row *row = &call->rows[call->row[i]];
        sent[call->row[i]] = true;
        if (!call->look)
            c->held = sum_within(c->held, row->amount);
        row_sums(c, row);
    }
    for (unsigned i = 0; i < call->n_rows; i++)
        if (!sent[i])
            part_add(r->s, call->row_at[i], 0, call->rows[i].amount);
}

static void call_reply(
    struct redis *r, struct call *call, int64_t code, int64_t at, struct list *told)
{
    if (code == CODE_NOT_FILLED || code == CODE_LOST) {
        call_let_go(call, clock_now());
        call_submit(r, call);
        return;
    }
    if (code == CODE_REFUSED) {
        call->refused = call->row[at - 1];
        struct counter *c = call->row_at[call->refused];
        call->settles = c->settles;
        row_sums(c, &call->rows[call->refused]);
    } else {
        grant(r, call);
    }
    call_done(call, code == CODE_REFUSED ? -EDQUOT : 0, told);
}

int rows_reply(struct redis *r, struct command *cmd, const struct resp *resp, struct list *told,
    struct list *woken, char why[static REDIS_WHY])
{
    struct call *call = cmd->call;
    if (!well_formed(cmd, resp))
        return malformed(why);
    int64_t code = resp->items[1].n;
    if (code == CODE_STALE) {
        snprintf(why, REDIS_WHY, "another process says it is node \"%.64s\"", r->node);
        return -ESTALE;
    }
    list_remove(&cmd->at);
    for (unsigned i = 0; i < cmd->n; i++)
        row_reply(r, cmd->counters[i], &resp->items[3 + 3 * i], call && call->look);
    for (unsigned i = 0; i < cmd->n; i++)
        if (unlikely(!list_empty(&cmd->counters[i]->waiters)))
            waiters_choose(r->s, cmd->counters[i], woken);
    if (call)
        call_reply(r, call, code, resp->items[2].n, told);
    else
        command_forget(r, cmd);
    if (unlikely(!list_empty(&r->held)))
        held_retry(r);
    return 0;
}
