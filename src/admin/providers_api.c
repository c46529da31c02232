/*
 * Providers as this node sees them: what is configured, and how they have been doing since it
 * started. The numbers are those of /metrics, of which there is one account: the report is rendered
 * and read back (a few milliseconds for thousands of series), so that the two can never differ.
 */
#include "admin/api_int.h"
#include "admin/rows.h"
#include "metrics/metrics.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define REPORT_BYTES  (32 * MIB)
#define PROVIDERS_MAX 64

/* --- reading the report --- */

struct perf {
    struct str provider;
    double requests, succeeded, rate_limited, errors, seconds, timed;
};

struct perfs {
    struct perf at[PROVIDERS_MAX];
    unsigned n;
};

static struct perf *perf_of(struct perfs *p, struct str provider)
{
    for (unsigned i = 0; i < p->n; i++)
        if (str_eq(p->at[i].provider, provider))
            return &p->at[i];
    if (p->n == PROVIDERS_MAX || !provider.n)
        return NULL;
    p->at[p->n].provider = provider;
    return &p->at[p->n++];
}

/* labels: provider="openai",status="200". Provider names and statuses need no unescaping. */
static struct str label(struct str labels, const char *name)
{
    char want[32];
    int n = snprintf(want, sizeof want, "%s=\"", name);
    ptrdiff_t at = str_find(labels, str_at(want, (size_t)n));

    if (at < 0 || (at > 0 && labels.p[at - 1] != ','))
        return STR_NONE;
    struct str rest = str_from(labels, (size_t)at + (size_t)n);
    return str_split(&rest, '"');
}

static void add_requests(struct perf *p, struct str status, double n)
{
    uint64_t code = 0;

    (void)str_u64(status, &code);
    p->requests += n;
    if (code >= 200 && code < 400)
        p->succeeded += n;
    else if (code == 429)
        p->rate_limited += n;
}

static void take_line(struct perfs *all, struct str line)
{
    struct str name = line.p[0] == '#' ? STR_NONE : str_split(&line, '{');
    struct str labels = str_split(&line, '}');
    char number[64] = "";

    if (!name.p || !line.p)
        return;
    line = str_to(str_trim(line), sizeof number - 1);
    memcpy(number, line.p, line.n);
    double value = strtod(number, NULL);
    bool requests = str_eq(name, STR("smartflow_requests_total"));
    bool sum = str_eq(name, STR("smartflow_request_latency_seconds_sum"));
    bool count = str_eq(name, STR("smartflow_request_latency_seconds_count"));
    bool errors = str_eq(name, STR("smartflow_provider_errors_total"));
    struct perf *p =
        requests || sum || count || errors ? perf_of(all, label(labels, "provider")) : NULL;
    if (!p)
        return;
    if (requests)
        add_requests(p, label(labels, "status"), value);
    p->seconds += sum ? value : 0;
    p->timed += count ? value : 0;
    p->errors += errors ? value : 0;
}

static int read_report(struct buf *report, struct perfs *all)
{
    struct str rest;

    buf_init(report, REPORT_BYTES);
    int r = metrics_render(report);
    rest = buf_str(report);
    while (r == 0 && rest.p && rest.n) {
        struct str line = str_split(&rest, '\n');
        if (line.n)
            take_line(all, line);
    }
    return r;
}

/* --- what is told of a provider --- */

static const struct upstream *upstream_of(const struct admin_call *c, struct str id)
{
    return route_upstream(&c->config->route, id);
}

static double share(double part, double whole)
{
    return whole > 0 ? part / whole : 0;
}

/* healthy, degraded (errors or refused keys among successes), unhealthy, idle (nothing is known).
 */
static const char *status_of(const struct perf *p, const struct upstream *u)
{
    unsigned good = 0, n = u && u->keys ? u->keys->n : 0;

    for (unsigned i = 0; i < n; i++)
        good += upstream_key_state(&u->keys->at[i]) == UPSTREAM_KEY_GOOD;
    if (n && !good)
        return "unhealthy";
    if (!p || p->requests == 0)
        return "idle";
    double failing = share(p->errors, p->requests);
    return failing >= 0.5 ? "unhealthy" : failing >= 0.05 || good < n ? "degraded" : "healthy";
}

static void put_decimal(struct buf *b, const char *name, double v)
{
    put_name(b, name);
    buf_printf(b, "%.6f", isfinite(v) && v >= 0 ? v : 0.0);
}

static void put_snapshot(
    struct buf *b, const struct perf *p, const struct upstream *u, struct str id)
{
    static const struct perf none;

    if (!p)
        p = &none;
    put_open(b, NULL, '{');
    put_str(b, "provider", id);
    put_str(b, "status", str_of(status_of(p, u)));
    put_decimal(b, "avg_latency_ms", share(p->seconds * 1000, p->timed));
    put_decimal(b, "success_rate", p->requests > 0 ? share(p->succeeded, p->requests) : 1);
    put_decimal(b, "error_rate", share(p->errors, p->requests));
    put_decimal(b, "rate_limit_rate", share(p->rate_limited, p->requests));
    put_int(b, "requests", (int64_t)p->requests);
    put_time(b, "last_updated", clock_wall());
    put_close(b, '}');
}

static const struct perf *find(const struct perfs *all, struct str id)
{
    for (unsigned i = 0; i < all->n; i++)
        if (str_eq(all->at[i].provider, id))
            return &all->at[i];
    return NULL;
}

int admin_put_snapshots(struct admin_call *c, struct buf *out, const char *name)
{
    _cleanup_(buf_free) struct buf report = {0};
    struct perfs *all = arena_new(&c->arena, struct perfs);
    unsigned n;
    const struct provider *table = provider_table(&n);
    int r = all ? read_report(&report, all) : -ENOMEM;

    if (r < 0)
        return r;
    put_open(out, name, '[');
    for (unsigned i = 0; i < n; i++) {
        const struct upstream *u = upstream_of(c, table[i].id);
        const struct perf *p = find(all, table[i].id);
        if (p || (u && u->configured))
            put_snapshot(out, p, u, table[i].id);
    }
    put_close(out, ']');
    return 0;
}

static int perf(struct admin_call *c)
{
    put_open(&c->out, NULL, '{');
    int r = admin_put_snapshots(c, &c->out, "snapshots");
    put_close(&c->out, '}');
    return r;
}

/* --- the list --- */

static const struct field_row provider_fields[] = {
    {"id", FIELD_TEXT, 0, 0, 0, 32, NULL, NULL, "Of the provider.", "\"openai\""},
    {"name", FIELD_TEXT, 0, 0, 0, 64, NULL, NULL, "Its name.", "\"OpenAI\""},
    {"configured", FIELD_BOOL, 0, 0, 0, 0, NULL, NULL, "Whether calls can go there.", NULL},
    {"status", FIELD_TEXT, 0, 0, 0, 16, NULL, NULL,
        "healthy, degraded, unhealthy, idle or not_configured.", NULL},
    {"base_url", FIELD_TEXT, 0, 0, 0, 512, NULL, NULL, "Where its API is.", NULL},
    {"key_variable", FIELD_TEXT, 0, 0, 0, 64, NULL, NULL, "The setting of its key.", NULL},
    {"keys", FIELD_OBJECT, 0, 0, 0, 0, NULL, NULL,
        "Its keys: id, the last four characters, weight, state, last_used_at.", NULL},
};

static void put_keys(struct buf *b, const struct upstream *u)
{
    static const char *const states[] = {[UPSTREAM_KEY_GOOD] = "good",
        [UPSTREAM_KEY_REFUSED] = "refused",
        [UPSTREAM_KEY_RATE_LIMITED] = "rate_limited"};

    put_open(b, "keys", '[');
    for (unsigned i = 0; u && u->keys && i < u->keys->n; i++) {
        const struct upstream_key *k = &u->keys->at[i];
        char hint[8];
        secret_hint(&k->key, hint);
        put_open(b, NULL, '{');
        put_str(b, "id", k->id);
        put_str(b, "last4", str_of(hint));
        put_int(b, "weight", k->weight);
        put_str(b, "state", str_of(states[upstream_key_state(k)]));
        put_time(b, "last_used_at",
            k->health ? __atomic_load_n(&k->health->used_at, __ATOMIC_RELAXED) : 0);
        put_close(b, '}');
    }
    put_close(b, ']');
}

static void put_base(struct buf *b, const struct upstream *u)
{
    const struct dial_target *t = &u->origin.target;
    char url[600];

    snprintf(url, sizeof url, "%s://" STR_FMT STR_FMT, t->tls ? "https" : "http",
        STR_ARG(u->origin.host_header), STR_ARG(u->base_path));
    put_str(b, "base_url", str_of(url));
}

static void put_provider(
    struct admin_call *c, struct buf *b, const struct provider *p, const struct perfs *all)
{
    const struct upstream *u = upstream_of(c, p->id);
    bool configured = u && u->configured;

    put_open(b, NULL, '{');
    put_str(b, "id", p->id);
    put_str(b, "name", p->title);
    put_bool(b, "configured", configured);
    put_str(b, "status", str_of(configured ? status_of(find(all, p->id), u) : "not_configured"));
    if (configured)
        put_base(b, u);
    else
        put_null(b, "base_url");
    put_str_or_null(b, "key_variable", p->key_env);
    put_keys(b, u);
    put_close(b, '}');
}

struct providers_query {
    bool configured;
};
static const struct field_row query_fields[] = {
    {"configured", FIELD_BOOL, 0, offsetof(struct providers_query, configured), 0, 0, NULL, NULL,
        "Only those that are configured, or only the others.", NULL},
};
static const struct admin_schema query = {
    NULL, query_fields, ARRAY_LEN(query_fields), sizeof(struct providers_query)};

static int providers_page(struct admin_call *c, struct admin_page *p, void *ctx)
{
    const struct providers_query *q = c->query;
    uint64_t from = 0;
    unsigned n, shown = 0;
    const struct provider *table = provider_table(&n);

    if (p->cursor.n && str_u64(p->cursor, &from) < 0)
        return admin_bad(c, "cursor", "cursor is not of this list.");
    for (unsigned i = (unsigned)MIN(from, n); i < n; i++) {
        const struct upstream *u = upstream_of(c, table[i].id);
        if (admin_asked(c, "configured") && q->configured != (u && u->configured))
            continue;
        if (shown++ == p->limit) {
            p->next = arena_printf(&c->arena, "%u", i);
            break;
        }
        put_provider(c, p->items, &table[i], ctx);
    }
    return 0;
}

static int list(struct admin_call *c)
{
    _cleanup_(buf_free) struct buf report = {0};
    struct perfs *all = arena_new(&c->arena, struct perfs);
    int r = all ? read_report(&report, all) : -ENOMEM;

    return r < 0 ? r : admin_list(c, providers_page, all);
}

static const struct admin_schema provider_schema = {
    "Provider", provider_fields, ARRAY_LEN(provider_fields), 0};

static const struct admin_row rows[] = {
    {.method = HTTP_GET,
        .path = "/api/providers",
        .may = MAY_VIEW,
        .handle = list,
        .query = &query,
        .reply = &provider_schema,
        .name = "providers",
        .list = true,
        .tag = "Providers",
        .summary = "List providers, and the last characters of their keys"},
    {.method = HTTP_GET,
        .path = "/api/providers/perf",
        .may = MAY_SIGNED_IN,
        .scope = SCOPE_COMMON,
        .handle = perf,
        .tag = "Providers",
        .summary = "How providers have been doing since this node started"},
};
const struct admin_rows admin_providers_rows = {rows, ARRAY_LEN(rows)};
