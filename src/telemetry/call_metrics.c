/*
 * The metric families of calls, with the names of the published documents. Series are looked up
 * once per label set and then cached per thread, so that a call costs a few additions.
 */
#include "keys/vkey.h"
#include "llm/exchange.h"
#include "metrics/metrics.h"
#include "providers/provider.h"
#include "telemetry/call_metrics_int.h"
#include "telemetry/telemetry.h"

#include <stdio.h>
#include <stdlib.h>

static struct metric_family requests = {
    .name = "smartflow_requests_total",
    .help = "Calls by provider, model, status and endpoint.",
    .type = METRIC_COUNTER,
    .labels = {"provider", "model", "status", "endpoint"},
};
static struct metric_family latency = {
    .name = "smartflow_request_latency_seconds",
    .help = "Whole calls, from the first byte of the request to the last of the reply.",
    .type = METRIC_HISTOGRAM,
    .labels = {"provider", "endpoint"},
    .buckets = metric_call_ns,
    .n_buckets = ARRAY_LEN(metric_call_ns),
    .scale = METRIC_NS,
};
static struct metric_family overhead = {
    .name = "smartflow_overhead_seconds",
    .help = "From the first byte of the request until it is on its way to the provider.",
    .type = METRIC_HISTOGRAM,
    .buckets = metric_overhead_ns,
    .n_buckets = ARRAY_LEN(metric_overhead_ns),
    .scale = METRIC_NS,
};
static struct metric_family errors = {
    .name = "smartflow_provider_errors_total",
    .help = "Provider replies with an error status, and calls that failed on the way (status 0).",
    .type = METRIC_COUNTER,
    .labels = {"provider", "status"},
};
static struct metric_family tokens = {
    .name = "smartflow_tokens_total",
    .help = "Tokens by provider and direction.",
    .type = METRIC_COUNTER,
    .labels = {"provider", "direction"},
};
static struct metric_family cost = {
    .name = "smartflow_cost_usd_total",
    .help = "Cost by provider; calls of unknown price are counted apart.",
    .type = METRIC_COUNTER,
    .labels = {"provider"},
    .scale = 1000000000,
};
static struct metric_family unpriced = {
    .name = "smartflow_unpriced_calls_total",
    .help = "Calls with usage whose price is unknown.",
    .type = METRIC_COUNTER,
    .labels = {"provider"},
};

/* What a call's series were last time on this thread: mostly the same again. */
struct series_cache {
    struct str provider, model;
    enum endpoint_kind kind;
    int status;
    struct metric *requests, *latency, *overhead, *in, *out, *cost;
    char model_text[METRIC_LABEL_BYTES];
};

#define CACHE_SLOTS 64
static _Thread_local struct series_cache *cache;

static unsigned slot_of(struct str provider, struct str model, enum endpoint_kind k, int status)
{
    unsigned h = (unsigned)k * 31u + (unsigned)status * 7u + (unsigned)model.n;

    if (model.n)
        h += (unsigned)(unsigned char)model.p[model.n - 1] * 131u +
             (unsigned)(unsigned char)model.p[model.n / 2] * 17u;
    return (h + (unsigned)(uintptr_t)provider.p) % CACHE_SLOTS;
}

static void fill(struct series_cache *c, struct str provider, struct str model,
    enum endpoint_kind kind, int status)
{
    char status_text[16];
    struct str kind_name = endpoint_kind_name(kind);

    snprintf(status_text, sizeof status_text, "%d", status);
    memcpy(c->model_text, model.p ? model.p : "", MIN(model.n, sizeof c->model_text));
    c->provider = provider;
    c->model = str_at(c->model_text, model.n);
    c->kind = kind;
    c->status = status;
    c->requests =
        metric_get(&requests, (struct str[]){provider, model, str_of(status_text), kind_name}, 4);
    c->latency = metric_get(&latency, (struct str[]){provider, kind_name}, 2);
    c->overhead = metric_get(&overhead, NULL, 0);
    c->in = metric_get(&tokens, (struct str[]){provider, STR("input")}, 2);
    c->out = metric_get(&tokens, (struct str[]){provider, STR("output")}, 2);
    c->cost = metric_get(&cost, &provider, 1);
}

static struct series_cache *series(
    struct str provider, struct str model, enum endpoint_kind kind, int status)
{
    if (!cache)
        cache = calloc(CACHE_SLOTS, sizeof *cache);
    must(cache);
    if (model.n > METRIC_LABEL_BYTES)
        model.n = METRIC_LABEL_BYTES;
    struct series_cache *c = &cache[slot_of(provider, model, kind, status)];
    if (!c->requests || c->status != status || c->kind != kind || !str_eq(c->provider, provider) ||
        !str_eq(c->model, model))
        fill(c, provider, model, kind, status);
    return c;
}

void call_metrics_thread_end(void)
{
    free(cache);
    cache = NULL;
}

/* Only names that a route accepted become label values: a caller cannot invent series. */
static struct str label_model(const struct exchange *x)
{
    return x->upstream && x->outcome == OUTCOME_OK ? x->model : STR("");
}

static void count_failure(struct exchange *x, struct str provider)
{
    char text[16];

    if (x->outcome != OUTCOME_UPSTREAM_ERROR && x->outcome != OUTCOME_TRUNCATED)
        return;
    snprintf(text, sizeof text, "%d", x->upstream_status >= 400 ? x->upstream_status : 0);
    metric_add(metric_get(&errors, (struct str[]){provider, str_of(text)}, 2), 1);
}

/* Paths and methods that no endpoint has. */
static void count_unknown(int status)
{
    const struct str none = STR("none"), unknown = STR("unknown");
    char text[16];

    snprintf(text, sizeof text, "%d", status);
    metric_add(metric_get(&requests, (struct str[]){none, STR(""), str_of(text), unknown}, 4), 1);
}

static void observe(struct exchange *x)
{
    struct str provider = x->upstream ? x->upstream->provider->id : STR("none");

    int status = x->outcome == OUTCOME_CANCELLED ? 499 : x->rq->reply_status;

    if (!x->match.endpoint) {
        count_unknown(status);
        return;
    }
    struct series_cache *c = series(provider, label_model(x), x->match.endpoint->kind, status);
    metric_add(c->requests, 1);
    metric_observe_ns(c->latency, x->ended_at - x->rq->first_byte_at);
    if (x->upstream_sent_at)
        metric_observe_ns(c->overhead, x->upstream_sent_at - x->rq->first_byte_at);
    if (x->usage.source != USAGE_UNKNOWN) {
        metric_add(c->in, usage_input_total(&x->usage));
        metric_add(c->out, usage_output_total(&x->usage));
        seed_metrics_count(x);
        if (x->cost_nano >= 0)
            metric_add(c->cost, (uint64_t)x->cost_nano);
        else
            metric_add(metric_get(&unpriced, &provider, 1), 1);
    }
    count_failure(x, provider);
}

/* The published documents name quantiles; they are read off the histogram, over all calls so far.
 */
static struct metric_family quantiles[] = {
    {.name = "smartflow_latency_p50_seconds",
        .help = "Median latency of calls.",
        .type = METRIC_GAUGE,
        .scale = METRIC_NS},
    {.name = "smartflow_latency_p90_seconds",
        .help = "90 % of calls are at most this long.",
        .type = METRIC_GAUGE,
        .scale = METRIC_NS},
    {.name = "smartflow_latency_p99_seconds",
        .help = "99 % of calls are at most this long.",
        .type = METRIC_GAUGE,
        .scale = METRIC_NS},
};

void call_metrics_register(void)
{
    static struct metric_family *const all[] = {
        &requests, &latency, &overhead, &errors, &tokens, &cost, &unpriced};

    for (unsigned i = 0; i < ARRAY_LEN(all); i++)
        metrics_register(all[i]);
    for (unsigned i = 0; i < ARRAY_LEN(quantiles); i++)
        metrics_register(&quantiles[i]);
}

void telemetry_refresh(void)
{
    static const double shares[] = {0.5, 0.9, 0.99};

    seed_metrics_refresh();
    for (unsigned i = 0; i < ARRAY_LEN(shares); i++) {
        int64_t ns = metrics_quantile(&latency, shares[i]);
        if (ns >= 0)
            metric_set(metric_get(&quantiles[i], NULL, 0), ns);
    }
}

const struct stage stage_metrics = {
    .name = "metrics",
    .on_end = observe,
};
