/*
 * The calls of shared.h that go to Redis: on any thread, from a coroutine. Each writes its command
 * under the lock, tells the owning loop, and sleeps until the answer or the end of the link was
 * dealt with for it, which takes SHARED_WAIT_NS at most.
 */
#include "store/redis_int.h"
#include <errno.h>
#include <stdio.h>

/* --- counters --------------------------------------------------------------------------------- */

/* The rows with a limit go to Redis; under the lock. */
static void call_fill_in(
    struct call *call, struct shared_row *rows, unsigned n, struct counter **at)
{
    call->rows = rows;
    call->row_at = at;
    call->n_rows = n;
    call->command.n = 0;
    for (unsigned i = 0; i < n; i++) {
        at[i]->pins++;
        if (rows[i].limit == SHARED_NO_LIMIT && !call->look)
            continue;
        at[i]->remote = true;
        call->row[call->command.n] = (uint8_t)i;
        call->command.counters[call->command.n++] = at[i];
    }
}

/* 0, -ENOTCONN or what rows_find() says; then the call was not begun. */
static int rows_begin(struct shared *s, struct call *call, struct shared_row *rows,
    const uint64_t *hash, unsigned n, struct counter **at)
{
    struct redis *r = s->redis;
    shared_lock(&s->lock);
    int e = atomic_load(&r->up) ? rows_find(s, rows, hash, n, at) : -ENOTCONN;
    if (e == 0) {
        call_fill_in(call, rows, n, at);
        call_submit(r, call);
    }
    shared_unlock(&s->lock);
    return e;
}

static void call_init(struct call *call, enum command_kind kind, bool look)
{
    sleeper_init(&call->sleeper);
    call->look = look;
    call->n_rows = 0;
    call->command.kind = kind;
    call->begun = clock_now();
    call->command.call = call;
    call->command.n = 0;
    list_init(&call->command.at);
}

static int call_wait(struct shared *s, struct call *call)
{
    redis_kick(s);
    sleeper_sleep(&call->sleeper, "redis");
    return call->result;
}

/* The first link of a process comes within moments, since Redis was there when it began. Before,
 * nothing is known of the other nodes, so that a share of what is left would be a guess. */
static void await_first_link(struct redis *r)
{
    int64_t before = co_set_deadline(NEVER_NS);

    co_mask_cancel();
    while (!atomic_load(&r->up) && clock_now() < atomic_load(&r->first_until))
        co_sleep_until(clock_now() + NS_PER_MS);
    co_unmask_cancel();
    co_set_deadline(before);
}

int redis_reserve(
    struct shared *s, struct shared_row *rows, const uint64_t *hash, unsigned n, unsigned *ret_row)
{
    struct counter *at[SHARED_ROWS_MAX];
    struct call call;
    if (unlikely(!redis_is_up(s)))
        await_first_link(s->redis);
    if (!redis_is_up(s))
        return -ENOTCONN;
    for (unsigned i = 0; i < n; i++)
        if (rows[i].limit != SHARED_NO_LIMIT && rows[i].amount > SHARED_NUMBER_MAX)
            return -ENOTCONN; /* is refused without asking anybody */
    call_init(&call, COMMAND_ROWS, false);
    int e = rows_begin(s, &call, rows, hash, n, at);
    if (e < 0)
        return e;
    e = call_wait(s, &call);
    if (e == -EDQUOT) {
        *ret_row = call.refused;
        refusal_note(s, &rows[call.refused], hash[call.refused], call.settles);
    }
    return e;
}

int redis_look(struct shared *s, struct str name)
{
    struct shared_row row = {.name = name, .limit = SHARED_NO_LIMIT};
    struct counter *at[1];
    struct call call;
    uint64_t hash = map_hash(name);
    call_init(&call, COMMAND_ROWS, true);
    shared_lock(&s->lock);
    struct counter *c = counter_find(&s->table, name, hash);
    if (c) { /* as it is */
        row.kind = c->kind;
        row.expires_at = c->expires;
    }
    shared_unlock(&s->lock);
    int e = rows_begin(s, &call, &row, &hash, 1, at);
    if (e < 0)
        return -EHOSTDOWN;
    return call_wait(s, &call);
}

/* --- key-value and messages ------------------------------------------------------------------- */

/* Takes the lock and writes the beginning; false (without the lock) when there is no connection. */
static bool command_open(struct redis *r, unsigned n, const char *name)
{
    if (!atomic_load_explicit(&r->connected, memory_order_relaxed))
        return false;
    shared_lock(&r->s->lock);
    if (!atomic_load(&r->connected)) {
        shared_unlock(&r->s->lock);
        return false;
    }
    resp_begin(&r->out, n);
    resp_arg(&r->out, str_of(name));
    return true;
}

static void put_key(struct redis *r, struct str key)
{
    char prefix[32];
    size_t n = (size_t)snprintf(prefix, sizeof prefix, "%s:k:", r->prefix);
    resp_arg2(&r->out, str_at(prefix, n), key);
}

static int finish(struct redis *r, struct call *call)
{
    command_sent(r, &call->command);
    shared_unlock(&r->s->lock);
    return call_wait(r->s, call);
}

int redis_get(struct shared *s, struct str key, struct buf *out)
{
    struct redis *r = s->redis;
    struct call call;
    call_init(&call, COMMAND_VALUE, false);
    call.out = out;
    if (!command_open(r, 2, "GET"))
        return -EHOSTDOWN;
    put_key(r, key);
    return finish(r, &call);
}

int redis_set(struct shared *s, struct str key, struct str value, int64_t ttl, bool only_new)
{
    struct redis *r = s->redis;
    struct call call;
    call_init(&call, COMMAND_PLAIN, false);
    if (!command_open(r, only_new ? 6 : 5, "SET"))
        return -EHOSTDOWN;
    put_key(r, key);
    resp_arg(&r->out, value);
    resp_arg(&r->out, STR("PX"));
    resp_int(&r->out, MAX(MIN(ttl, INT64_MAX / 4) / NS_PER_MS, 1));
    if (only_new)
        resp_arg(&r->out, STR("NX"));
    return finish(r, &call);
}

int redis_del(struct shared *s, struct str key)
{
    struct redis *r = s->redis;
    struct call call;
    call_init(&call, COMMAND_PLAIN, false);
    if (!command_open(r, 2, "DEL"))
        return -EHOSTDOWN;
    put_key(r, key);
    return finish(r, &call);
}

void redis_publish(struct shared *s, struct str channel, struct str message)
{
    struct redis *r = s->redis;
    char prefix[32];
    if (!atomic_load_explicit(&r->connected, memory_order_relaxed))
        return;
    shared_lock(&s->lock);
    struct command *cmd = atomic_load(&r->connected) ? command_own(r, COMMAND_IGNORE) : NULL;
    if (cmd) {
        size_t n = (size_t)snprintf(prefix, sizeof prefix, "%s:ch:", r->prefix);
        resp_begin(&r->out, 3);
        resp_arg(&r->out, STR("PUBLISH"));
        resp_arg2(&r->out, str_at(prefix, n), channel);
        resp_arg2(&r->out, str_at(r->id, 16), message);
        command_sent(r, cmd);
    }
    shared_unlock(&s->lock);
    redis_kick(s);
}
