/*
 * The first words on a fresh link: Redis' time, the epoch (a random word that is gone when Redis
 * has lost its memory), a generation higher than any before, this node's place among the nodes, and
 * the script. Only then is the link up.
 *
 * A server that refuses scripts keeps its use for key-value and messages; counters stay local.
 */
#include "crypto/random.h"
#include "store/redis_int.h"
#include <errno.h>
#include <stdio.h>

void key_of(struct redis *r, const char *what, char out[static 64])
{
    snprintf(out, 64, "{%s}:%s", r->prefix, what);
}

static int unexpected(char why[static REDIS_WHY], const char *what)
{
    snprintf(why, REDIS_WHY, "%s: Redis answered something else than was asked for", what);
    return -EPROTO;
}

/* Asks b and checks the type of the answer. */
static int ask(struct redis *r, struct buf *b, enum resp_type type, const char *what,
    char why[static REDIS_WHY])
{
    int e = conn_ask(&r->conn, b, why);
    if (e < 0)
        return e;
    const struct resp_item *item = &r->conn.resp.items[0];
    if (item->type == RESP_ERROR) {
        why_reply(why, what, item->s);
        return -EACCES;
    }
    return item->type == type || (type == RESP_STATUS && item->type == RESP_NIL)
               ? 0
               : unexpected(why, what);
}

static void put(struct buf *b, unsigned n, const char *const *args)
{
    resp_begin(b, n);
    for (unsigned i = 0; i < n; i++)
        resp_arg(b, str_of(args[i]));
}

static int ask_time(struct redis *r, struct buf *b, char why[static REDIS_WHY])
{
    uint64_t seconds;
    put(b, 1, (const char *const[]){"TIME"});
    int e = ask(r, b, RESP_ARRAY, "TIME", why);
    if (e < 0)
        return e;
    const struct resp_item *item = r->conn.resp.items;
    if (item[0].n != 2 || item[1].type != RESP_STRING || str_u64(item[1].s, &seconds) < 0)
        return unexpected(why, "TIME");
    r->skew = (int64_t)seconds - clock_now() / NS_PER_S;
    return 0;
}

/* Sets key where it is not there, and gets it. */
static int ask_first(struct redis *r, struct buf *b, const char *key, const char *first,
    const char *get, enum resp_type type, char why[static REDIS_WHY])
{
    put(b, 4, (const char *const[]){"SET", key, first, "NX"});
    int e = ask(r, b, RESP_STATUS, "SET", why);
    if (e < 0)
        return e;
    put(b, 2, (const char *const[]){get, key});
    return ask(r, b, type, get, why);
}

static int ask_epoch(struct redis *r, struct buf *b, char why[static REDIS_WHY])
{
    char key[64], fresh[33];
    random_hex(fresh, 16);
    fresh[32] = '\0';
    key_of(r, "epoch", key);
    int e = ask_first(r, b, key, fresh, "GET", RESP_STRING, why);
    if (e < 0)
        return e;
    struct str epoch = r->conn.resp.items[0].s;
    if (epoch.n == 0 || epoch.n >= sizeof r->epoch)
        return unexpected(why, "GET");
    r->new_memory = !str_eq(epoch, str_of(r->epoch));
    memcpy(r->epoch, epoch.p, epoch.n);
    r->epoch[epoch.n] = '\0';
    return 0;
}

static int ask_generation(struct redis *r, struct buf *b, uint64_t *ret, char why[static REDIS_WHY])
{
    char key[64], first[32];
    key_of(r, "gen", key);
    snprintf(first, sizeof first, "%lld", (long long)(clock_wall() / NS_PER_US));
    int e = ask_first(r, b, key, first, "INCR", RESP_INT, why);
    if (e < 0)
        return e;
    int64_t n = r->conn.resp.items[0].n;
    if (n <= 0 || n > SHARED_NUMBER_MAX)
        return unexpected(why, "INCR");
    *ret = MAX((uint64_t)n, r->generation + 1);
    return 0;
}

void nodes_announce(struct redis *r, struct buf *b)
{
    char key[64], now[32], old[32];
    int64_t t = clock_now() / NS_PER_S + r->skew;
    key_of(r, "nodes", key);
    snprintf(now, sizeof now, "%lld", (long long)t);
    snprintf(old, sizeof old, "%lld", (long long)(t - REDIS_NODE_S));
    put(b, 4, (const char *const[]){"ZADD", key, now, r->node});
    put(b, 4, (const char *const[]){"ZREMRANGEBYSCORE", key, "-inf", old});
    put(b, 2, (const char *const[]){"ZCARD", key});
}

void nodes_seen(struct redis *r, int64_t n)
{
    atomic_store(&r->nodes, (unsigned)MAX(MIN(n, 10000), 1));
}

static int ask_nodes(struct redis *r, struct buf *b, char why[static REDIS_WHY])
{
    nodes_announce(r, b);
    int e = ask(r, b, RESP_INT, "ZADD", why);
    for (int i = 0; e == 0 && i < 2; i++) {
        e = conn_reply(&r->conn, clock_now() + SHARED_WAIT_NS, why);
        if (e == 0 && r->conn.resp.items[0].type != RESP_INT)
            e = unexpected(why, "ZCARD");
    }
    if (e == 0 && r->new_memory && r->was_up) /* they announce themselves one by one */
        nodes_seen(r, MAX(r->conn.resp.items[0].n, atomic_load(&r->nodes)));
    else if (e == 0)
        nodes_seen(r, r->conn.resp.items[0].n);
    return e;
}

/* Runs the script over no keys, so that Redis knows it. */
static int ask_script(
    struct redis *r, struct buf *b, uint64_t generation, char why[static REDIS_WHY])
{
    char gen[32];
    snprintf(gen, sizeof gen, "%llu", (unsigned long long)generation);
    put(b, 5, (const char *const[]){"EVALSHA", r->script, "0", r->field, gen});
    int e = conn_ask(&r->conn, b, why);
    if (e == 0 && r->conn.resp.items[0].type == RESP_ERROR &&
        str_starts(r->conn.resp.items[0].s, STR("NOSCRIPT"))) {
        put(b, 5, (const char *const[]){"EVAL", redis_script_text, "0", r->field, gen});
        e = conn_ask(&r->conn, b, why);
    }
    if (e < 0)
        return e;
    const struct resp_item *item = &r->conn.resp.items[0];
    r->no_scripts = item->type != RESP_ARRAY;
    if (r->no_scripts)
        why_reply(r->why, "Redis runs no scripts, so limits are kept by each node for itself",
            item->type == RESP_ERROR ? item->s : STR_NONE);
    return 0;
}

int redis_hello(struct redis *r, char why[static REDIS_WHY])
{
    _cleanup_(buf_free) struct buf b;
    uint64_t generation = 0;
    buf_init(&b, 16384);
    int e = ask_time(r, &b, why);
    if (e == 0)
        e = ask_epoch(r, &b, why);
    if (e == 0)
        e = ask_generation(r, &b, &generation, why);
    if (e == 0)
        e = ask_nodes(r, &b, why);
    if (e == 0)
        e = ask_script(r, &b, generation, why);
    if (e == 0) {
        shared_lock(&r->s->lock);
        r->generation = generation;
        shared_unlock(&r->s->lock);
    }
    return e;
}
