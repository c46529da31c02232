/* See route/health.h. */
#include "route/health.h"

#include "base/hash.h"
#include "base/macros.h"

#include <pthread.h>
#include <stdlib.h>

#define FAILURES_WITHIN (60 * NS_PER_S)
#define COOLDOWN_MAX    (60 * NS_PER_S)
#define PROBE_NS        (30 * NS_PER_S) /* a call that tries a target out, and never ends */
#define CLAIM_NS        (2 * NS_PER_S)

#define WINDOW      32
#define EMA_SHARE   4 /* a new p95 counts a quarter */
#define OCTAVE      8 /* buckets of one doubling: 9 % each */
#define BUCKETS     (24 * OCTAVE)
#define FIRST_US    64
#define HALVE_AFTER 1024

/* The last calls of a target, in microseconds: a window for the moving p95, which must follow
 * changes fast, and a histogram for the far end, which needs many. */
struct flow {
    uint32_t us[WINDOW];
    uint32_t at_ms[WINDOW]; /* since the process began, roughly */
    unsigned n;             /* calls ever; n % WINDOW is written next */
    int64_t ema_us, ema_at;
    int64_t heard_us, heard_at; /* from other nodes */
    bool news;
    uint32_t buckets[BUCKETS];
    uint32_t in_buckets;
};

struct route_state {
    char where[ROUTE_WHERE_BYTES], model[ROUTE_MODEL_BYTES];
    unsigned where_n, model_n;
    uint64_t hash;
    unsigned turn;
    int in_flight;
    /* the breaker */
    unsigned failures;
    int64_t first_failure;
    int64_t open_until;  /* 0 = closed; passed = half open */
    int64_t open_for;    /* how long it was opened last */
    int64_t probe_until; /* one call is trying it out */
    int64_t rest_until, heard_rest_until;
    int64_t claimed_until;
    struct flow flows[ROUTE_FLOWS];
    struct route_counts counts;
};

#define SLOTS (4 * ROUTE_STATES_MAX)
static struct route_state *slots[SLOTS]; /* open addressing; atomic, written once */
static struct route_state *all[ROUTE_STATES_MAX];
static unsigned all_n;
static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;

#define LOAD(p)     __atomic_load_n((p), __ATOMIC_RELAXED)
#define STORE(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define ADD(p, v)   __atomic_fetch_add((p), (v), __ATOMIC_RELAXED)

/* --- records --- */

static uint64_t hash_of(struct str where, struct str model)
{
    static const uint64_t key[2] = {0x736d617274666c6f, 0x726f757465737461};

    return hash_keyed(key, where) * 31 + hash_keyed(key, model);
}

static bool is_of(const struct route_state *s, uint64_t hash, struct str where, struct str model)
{
    return s->hash == hash && str_eq(route_state_where(s), where) &&
           str_eq(route_state_model(s), model);
}

static struct route_state *look(uint64_t hash, struct str where, struct str model, unsigned *ret_at)
{
    unsigned at = (unsigned)(hash % SLOTS);

    for (;; at = (at + 1) % SLOTS) {
        struct route_state *s = __atomic_load_n(&slots[at], __ATOMIC_ACQUIRE);
        *ret_at = at;
        if (!s || is_of(s, hash, where, model))
            return s;
    }
}

struct route_state *route_state_find(struct str where, struct str model)
{
    unsigned at;

    return look(hash_of(where, model), where, model, &at);
}

static struct route_state *make(uint64_t hash, struct str where, struct str model, unsigned at)
{
    struct route_state *s = all_n < ROUTE_STATES_MAX ? calloc(1, sizeof *s) : NULL;

    if (!s)
        return NULL;
    memcpy(s->where, where.p, where.n);
    if (model.n)
        memcpy(s->model, model.p, model.n);
    s->where_n = (unsigned)where.n;
    s->model_n = (unsigned)model.n;
    s->hash = hash;
    __atomic_store_n(&all[all_n], s, __ATOMIC_RELEASE);
    __atomic_store_n(&all_n, all_n + 1, __ATOMIC_RELEASE);
    __atomic_store_n(&slots[at], s, __ATOMIC_RELEASE);
    return s;
}

/* Names come from clients, too, and go into messages and metrics. */
static bool is_name(struct str s, size_t most)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < ' ' || s.p[i] == 127)
            return false;
    return s.n <= most;
}

struct route_state *route_state_get(struct str where, struct str model)
{
    uint64_t hash = hash_of(where, model);
    unsigned at;
    struct route_state *s = look(hash, where, model, &at);

    if (s || !where.n || !is_name(where, ROUTE_WHERE_BYTES) || !is_name(model, ROUTE_MODEL_BYTES))
        return s;
    pthread_mutex_lock(&making);
    if (!(s = look(hash, where, model, &at)))
        s = make(hash, where, model, at);
    pthread_mutex_unlock(&making);
    return s;
}

struct route_state *route_state_get_spare(struct str where, struct str model)
{
    bool room = __atomic_load_n(&all_n, __ATOMIC_ACQUIRE) < ROUTE_STATES_MAX / 2;

    return room ? route_state_get(where, model) : route_state_find(where, model);
}

struct route_state *route_state_at(unsigned i)
{
    return i < __atomic_load_n(&all_n, __ATOMIC_ACQUIRE) ? all[i] : NULL;
}

struct str route_state_where(const struct route_state *s)
{
    return str_at(s->where, s->where_n);
}

struct str route_state_model(const struct route_state *s)
{
    return str_at(s->model, s->model_n);
}

uint64_t route_state_hash(const struct route_state *s)
{
    return s->hash;
}

unsigned route_state_turn(struct route_state *s)
{
    return ADD(&s->turn, 1);
}

static void reset(struct route_state *s)
{
    struct route_state fresh = {.where_n = s->where_n, .model_n = s->model_n, .hash = s->hash};

    memcpy(fresh.where, s->where, sizeof s->where);
    memcpy(fresh.model, s->model, sizeof s->model);
    *s = fresh;
}

void route_states_reset(void)
{
    for (unsigned i = 0; i < all_n; i++)
        reset(all[i]);
}

/* --- the breaker --- */

const char *breaker_state_name(enum breaker_state b)
{
    static const char *const names[] = {
        [BREAKER_CLOSED] = "closed", [BREAKER_OPEN] = "open", [BREAKER_HALF_OPEN] = "half_open"};

    return names[b];
}

enum breaker_state route_state_breaker(const struct route_state *s, int64_t now)
{
    int64_t until = s ? LOAD(&s->open_until) : 0;

    return !until ? BREAKER_CLOSED : until > now ? BREAKER_OPEN : BREAKER_HALF_OPEN;
}

static int64_t rest_until(const struct route_state *s)
{
    return MAX(LOAD(&s->rest_until), LOAD(&s->heard_rest_until));
}

int64_t route_state_until(const struct route_state *s, int64_t now)
{
    int64_t until = s ? MAX(LOAD(&s->open_until), rest_until(s)) : 0;

    if (s && LOAD(&s->open_until))
        until = MAX(until, LOAD(&s->probe_until));
    return until > now ? until : 0;
}

bool route_state_is_well(const struct route_state *s, int64_t now)
{
    return route_state_until(s, now) == 0;
}

void route_state_rest(struct route_state *s, int64_t until)
{
    if (s && until > LOAD(&s->rest_until))
        STORE(&s->rest_until, until);
}

void route_state_heard_rest(struct route_state *s, int64_t until)
{
    if (until > LOAD(&s->heard_rest_until))
        STORE(&s->heard_rest_until, until);
}

int64_t route_state_own_rest(const struct route_state *s, int64_t now)
{
    return MAX(LOAD(&s->rest_until) - now, 0);
}

int64_t route_state_resting(const struct route_state *s, int64_t now)
{
    return s ? MAX(rest_until(s) - now, 0) : 0;
}

/* --- calls --- */

void route_state_begin(struct route_state *s, int64_t now)
{
    if (!s)
        return;
    ADD(&s->in_flight, 1);
    ADD(&s->counts.calls, 1);
    STORE(&s->counts.last_call, clock_wall());
    if (route_state_breaker(s, now) == BREAKER_HALF_OPEN)
        STORE(&s->probe_until, now + PROBE_NS);
}

static void close_breaker(struct route_state *s)
{
    if (LOAD(&s->failures))
        STORE(&s->failures, 0);
    if (!LOAD(&s->open_until))
        return;
    STORE(&s->open_until, 0);
    STORE(&s->open_for, 0);
    STORE(&s->probe_until, 0);
}

static void open_breaker(struct route_state *s, const struct breaker_settings *b, int64_t now)
{
    int64_t again = 2 * LOAD(&s->open_for);
    int64_t span = MIN(MAX(again, b->cooldown), MAX(COOLDOWN_MAX, b->cooldown));

    STORE(&s->open_for, span);
    STORE(&s->open_until, now + span);
    STORE(&s->probe_until, 0);
    STORE(&s->failures, 0);
}

static bool count_failure(struct route_state *s, const struct breaker_settings *b, int64_t now)
{
    enum breaker_state state = route_state_breaker(s, now);

    STORE(&s->counts.last_failure, clock_wall());
    if (!b->failures || state == BREAKER_OPEN) /* a call from before it opened */
        return false;
    if (state == BREAKER_HALF_OPEN) {
        open_breaker(s, b, now);
        return true;
    }
    if (!LOAD(&s->failures) || now - LOAD(&s->first_failure) > FAILURES_WITHIN) {
        STORE(&s->first_failure, now);
        STORE(&s->failures, 0);
    }
    if (ADD(&s->failures, 1) + 1 < b->failures)
        return false;
    open_breaker(s, b, now);
    return true;
}

bool route_state_end(
    struct route_state *s, enum route_result result, const struct breaker_settings *b, int64_t now)
{
    if (!s)
        return false;
    ADD(&s->in_flight, -1);
    switch (result) {
    case ROUTE_OK:
        ADD(&s->counts.ok, 1);
        STORE(&s->counts.last_ok, clock_wall());
        close_breaker(s);
        return false;
    case ROUTE_FAILED:
        ADD(&s->counts.failed, 1);
        return count_failure(s, b, now);
    case ROUTE_LIMITED:
        ADD(&s->counts.limited, 1);
        break;
    case ROUTE_ABANDONED:
        ADD(&s->counts.abandoned, 1);
        break;
    case ROUTE_NO_FAULT:
        break;
    }
    STORE(&s->probe_until, 0); /* another may try it out */
    return false;
}

unsigned route_state_in_flight(const struct route_state *s)
{
    int n = s ? LOAD(&s->in_flight) : 0;

    return n > 0 ? (unsigned)n : 0;
}

bool route_state_may_hedge(struct route_state *s, unsigned percent)
{
    if (!s || (LOAD(&s->counts.hedges) + 1) * 100 > LOAD(&s->counts.calls) * percent)
        return false;
    ADD(&s->counts.hedges, 1);
    return true;
}

bool route_state_claim_probe(struct route_state *s, int64_t now)
{
    int64_t until = LOAD(&s->claimed_until);

    return until <= now && __atomic_compare_exchange_n(&s->claimed_until, &until, now + CLAIM_NS,
                               false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

/* --- latency --- */

static unsigned bucket_of(uint64_t us)
{
    unsigned octave = 0;

    while (octave < 23 && (us >> octave) >= 2 * FIRST_US)
        octave++;
    uint64_t base = (uint64_t)FIRST_US << octave;
    uint64_t in = us > base ? (us - base) * OCTAVE / base : 0;
    return octave * OCTAVE + (unsigned)MIN(in, (uint64_t)OCTAVE - 1);
}

/* The upper end of a bucket. */
static int64_t bucket_us(unsigned i)
{
    int64_t base = (int64_t)FIRST_US << (i / OCTAVE);

    return base + base * (i % OCTAVE + 1) / OCTAVE;
}

static void add_to_buckets(struct flow *f, uint32_t us)
{
    ADD(&f->buckets[bucket_of(us)], 1);
    if (ADD(&f->in_buckets, 1) + 1 < HALVE_AFTER)
        return;
    uint32_t n = 0;
    for (unsigned i = 0; i < BUCKETS; i++) {
        uint32_t half = LOAD(&f->buckets[i]) / 2;
        STORE(&f->buckets[i], half);
        n += half;
    }
    STORE(&f->in_buckets, n);
}

/* The p95 of what the window holds of the last minute: the largest, or of more than twenty the
 * second largest. */
static int64_t window_p95(const struct flow *f, uint32_t now_ms)
{
    uint32_t most = 0, second = 0;
    unsigned n = 0, filled = MIN(LOAD(&f->n), (unsigned)WINDOW);

    for (unsigned i = 0; i < filled; i++) {
        uint32_t us = LOAD(&f->us[i]);
        if (now_ms - LOAD(&f->at_ms[i]) > ROUTE_FRESH_NS / NS_PER_MS)
            continue;
        n++;
        if (us >= most) {
            second = most;
            most = us;
        } else if (us > second) {
            second = us;
        }
    }
    return n > 20 ? second : most;
}

void route_state_took(struct route_state *s, enum route_flow flow, int64_t ns, int64_t now)
{
    if (!s || ns < 0)
        return;
    struct flow *f = &s->flows[flow];
    uint32_t us = (uint32_t)MIN(ns / NS_PER_US, (int64_t)UINT32_MAX);
    uint32_t now_ms = (uint32_t)(now / NS_PER_MS);
    unsigned at = ADD(&f->n, 1) % WINDOW;

    STORE(&f->us[at], us);
    STORE(&f->at_ms[at], now_ms);
    int64_t p95 = window_p95(f, now_ms), was = LOAD(&f->ema_us), then = LOAD(&f->ema_at);
    STORE(&f->ema_us, then && now - then < ROUTE_FRESH_NS ? was + (p95 - was) / EMA_SHARE : p95);
    STORE(&f->ema_at, MAX(now, (int64_t)1));
    STORE(&f->news, true);
    add_to_buckets(f, us);
    ADD(&s->counts.took_ns, (uint64_t)ns);
    ADD(&s->counts.took_n, 1);
}

/* What this node knows itself, or else what others said. */
int64_t route_state_p95(const struct route_state *s, enum route_flow flow, int64_t now)
{
    if (!s)
        return -1;
    const struct flow *f = &s->flows[flow];
    int64_t at = LOAD(&f->ema_at), heard = LOAD(&f->heard_at);
    bool own = at && now - at < ROUTE_FRESH_NS;
    bool told = heard && now - heard < ROUTE_FRESH_NS;

    if (own && told && heard > at) /* ours is older than theirs: somewhere between */
        return (LOAD(&f->ema_us) + LOAD(&f->heard_us)) / 2 * NS_PER_US;
    return own ? LOAD(&f->ema_us) * NS_PER_US : told ? LOAD(&f->heard_us) * NS_PER_US : -1;
}

int64_t route_state_quantile(const struct route_state *s, enum route_flow flow, double q)
{
    const struct flow *f = s ? &s->flows[flow] : NULL;
    uint64_t n = 0, seen = 0;

    for (unsigned i = 0; f && i < BUCKETS; i++)
        n += LOAD(&f->buckets[i]);
    if (!n)
        return -1;
    uint64_t want = (uint64_t)(q * (double)n);
    for (unsigned i = 0; i < BUCKETS; i++) {
        seen += LOAD(&f->buckets[i]);
        if (seen > want || seen == n)
            return bucket_us(i) * NS_PER_US;
    }
    return -1;
}

int64_t route_state_hedge_after(const struct route_state *s, enum route_flow flow)
{
    if (!s || LOAD(&s->flows[flow].in_buckets) < ROUTE_HEDGE_CALLS)
        return -1;
    return MIN(route_state_quantile(s, flow, 0.99), 3 * route_state_quantile(s, flow, 0.95));
}

/* --- other nodes --- */

bool route_state_take_news(struct route_state *s, enum route_flow flow, int64_t *ret_p95)
{
    struct flow *f = &s->flows[flow];

    if (!__atomic_exchange_n(&f->news, false, __ATOMIC_RELAXED))
        return false;
    *ret_p95 = LOAD(&f->ema_us) * NS_PER_US;
    return true;
}

void route_state_heard(struct route_state *s, enum route_flow flow, int64_t p95, int64_t now)
{
    struct flow *f = &s->flows[flow];

    STORE(&f->heard_us, p95 / NS_PER_US);
    STORE(&f->heard_at, now);
}

/* --- counts --- */

void route_state_counts(const struct route_state *s, struct route_counts *ret)
{
    const struct route_counts *c = &s->counts;

    *ret = (struct route_counts){
        .calls = LOAD(&c->calls),
        .ok = LOAD(&c->ok),
        .failed = LOAD(&c->failed),
        .limited = LOAD(&c->limited),
        .abandoned = LOAD(&c->abandoned),
        .hedges = LOAD(&c->hedges),
        .took_ns = LOAD(&c->took_ns),
        .took_n = LOAD(&c->took_n),
        .last_failure = LOAD(&c->last_failure),
        .last_ok = LOAD(&c->last_ok),
        .last_call = LOAD(&c->last_call),
    };
}
