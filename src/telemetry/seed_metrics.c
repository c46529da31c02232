/*
 * The families that the published documents name beside those of call_metrics.c. Those of the cache
 * and of MCP stand here, at zero, as long as nothing counts them.
 *
 * Spend of virtual keys: a gauge of this node's part of the key's lifetime counter, read when
 * /metrics is asked; the sum over all nodes is what the key spent. A key shows once it was used
 * here since the start. The number of keys is bounded, as that of all series is.
 */
#include "base/map.h"
#include "keys/limits.h"
#include "keys/vkey.h"
#include "metrics/metrics.h"
#include "store/shared.h"
#include "telemetry/call_metrics_int.h"
#include "telemetry/telemetry.h"

#include <pthread.h>
#include <stdlib.h>

#define KEYS_MAX 2000
#define SEEN     64

static struct metric_family tokens_in = {
    .name = "smartflow_tokens_input_total",
    .help = "Input tokens of all calls.",
    .type = METRIC_COUNTER,
};
static struct metric_family tokens_out = {
    .name = "smartflow_tokens_output_total",
    .help = "Output tokens of all calls.",
    .type = METRIC_COUNTER,
};
static struct metric_family cache_hits = {
    .name = "smartflow_cache_hits_total",
    .help = "Calls answered from the cache, by tier.",
    .type = METRIC_COUNTER,
    .labels = {"tier"},
};
static struct metric_family cache_misses = {
    .name = "smartflow_cache_misses_total",
    .help = "Calls that the cache was asked for and could not answer.",
    .type = METRIC_COUNTER,
};
static struct metric_family cache_hit_rate = {
    .name = "smartflow_cache_hit_rate",
    .help = "Share of hits among the calls that the cache was asked for, from 0 to 1.",
    .type = METRIC_GAUGE,
    .scale = 1000000,
};
static struct metric_family cache_size = {
    .name = "smartflow_cache_size_bytes",
    .help = "What the cache holds in this process.",
    .type = METRIC_GAUGE,
};
static struct metric_family mcp_calls = {
    .name = "smartflow_mcp_calls_total",
    .help = "Calls of MCP tools, by server and tool.",
    .type = METRIC_COUNTER,
    .labels = {"server", "tool"},
};
static struct metric_family vkey_spend = {
    .name = "smartflow_vkey_spend_usd",
    .help = "What a virtual key spent, this node's part; keys used since the start.",
    .type = METRIC_GAUGE,
    .labels = {"key", "name"},
    .scale = 1000000000,
    .max_series = KEYS_MAX,
};

/* --- keys --- */

struct known {
    struct str id, org_id, name;
    char text[];
};

static struct {
    pthread_mutex_t lock;
    struct map by_id;
    unsigned n;
} keys = {.lock = PTHREAD_MUTEX_INITIALIZER};
static struct shared *shared;

/* What this thread saw last, by hash: mostly the same keys again. */
static _Thread_local uint64_t seen[SEEN];

static struct known *known_new(const struct subject *s)
{
    struct known *k = malloc(sizeof *k + s->id.n + s->org_id.n + s->name.n);

    if (!k)
        return NULL;
    const struct str from[] = {s->id, s->org_id, s->name};
    struct str *to[] = {&k->id, &k->org_id, &k->name};
    char *at = k->text;

    for (unsigned i = 0; i < ARRAY_LEN(from); i++) {
        if (from[i].n)
            memcpy(at, from[i].p, from[i].n);
        *to[i] = str_at(at, from[i].n);
        at += from[i].n;
    }
    return k;
}

static void remember(const struct subject *s)
{
    pthread_mutex_lock(&keys.lock);
    struct known *k = keys.n < KEYS_MAX && !map_get(&keys.by_id, s->id) ? known_new(s) : NULL;
    if (k && map_put(&keys.by_id, k->id, k, NULL) == 0)
        keys.n++;
    else
        free(k);
    pthread_mutex_unlock(&keys.lock);
}

/* The id is the start of a hash in hex: its digits are as good as any hash of it. */
static void note_key(const struct subject *s)
{
    uint64_t h = 0;

    memcpy(&h, s->id.p, MIN(s->id.n, sizeof h));
    h = h * 0x9e3779b97f4a7c15u | 1;
    if (s->id.n > 8)
        h ^= (uint64_t)(unsigned char)s->id.p[8] << 32 ^ (unsigned char)s->id.p[s->id.n - 1];
    uint64_t *at = &seen[h >> 58];
    if (*at == h)
        return;
    *at = h;
    remember(s);
}

static void read_spend(const struct known *k, struct buf *name)
{
    int64_t used = 0, held = 0;

    buf_clear(name);
    limits_counter_of(SUBJECT_KEY, k->org_id, k->id, BUDGET_LIFETIME, clock_wall(), name);
    shared_part(shared, buf_str(name), &used, &held);
    metric_set(metric_get(&vkey_spend, (struct str[]){k->id, k->name}, 2), used);
}

/* --- for call_metrics.c --- */

void seed_metrics_open(struct shared *s)
{
    static const char *const tiers[] = {"L1", "L2", "L3"};
    static struct metric_family *const all[] = {&tokens_in, &tokens_out, &cache_hits, &cache_misses,
        &cache_hit_rate, &cache_size, &mcp_calls, &vkey_spend};

    shared = s;
    for (unsigned i = 0; i < ARRAY_LEN(all); i++)
        metrics_register(all[i]);
    for (unsigned i = 0; i < ARRAY_LEN(tiers); i++) {
        struct str tier = str_of(tiers[i]);
        metric_get(&cache_hits, &tier, 1);
    }
}

void seed_metrics_count(const struct exchange *x)
{
    metric_add(metric_get(&tokens_in, NULL, 0), usage_input_total(&x->usage));
    metric_add(metric_get(&tokens_out, NULL, 0), usage_output_total(&x->usage));
    if (x->key)
        note_key(&x->key->subject);
}

void seed_metrics_refresh(void)
{
    _cleanup_(buf_free) struct buf name = {.max = 512};
    size_t at = 0;
    struct str id;
    void *k;

    pthread_mutex_lock(&keys.lock);
    while (shared && map_next(&keys.by_id, &at, &id, &k))
        read_spend(k, &name);
    pthread_mutex_unlock(&keys.lock);
}
