/*
 * /api/health/comprehensive: every part that a call needs, and whether it is there. It costs no
 * call to a provider. Beside the parts stand the members that the published SDK reads: status,
 * uptime_seconds, version, providers, timestamp.
 */
#include "admin/api_int.h"
#include "admin/rows.h"
#include "journal/journal.h"
#include "store/shared.h"
#include "store/store.h"

/* Counts what is not well; a part that only degrades leaves the gateway serving. */
struct health {
    struct buf *out;
    unsigned down, degraded;
};

static void put_part(struct health *h, const char *name, const char *status, const char *detail)
{
    put_open(h->out, name, '{');
    put_str(h->out, "status", str_of(status));
    put_str_or_null(h->out, "detail", str_of(detail));
    put_close(h->out, '}');
}

static void store_part(struct health *h, const struct admin_env *e)
{
    bool up = e->store && store_is_up(e->store);

    h->degraded += !up;
    put_part(h, "store", up ? "ok" : "down",
        !e->store                              ? "not there"
        : store_kind(e->store) == STORE_SQLITE ? "sqlite"
                                               : "postgresql");
}

static void shared_store_part(struct health *h, const struct admin_env *e)
{
    bool remote = e->shared && shared_is_remote(e->shared);
    bool up = e->shared && shared_is_up(e->shared);

    h->degraded += !up;
    put_part(h, "shared", up ? "ok" : "down",
        !e->shared ? "not there"
        : remote   ? "redis"
                   : "in process");
}

static void journal_part(struct health *h, const struct admin_env *e, const struct config *c)
{
    bool up = e->journal && journal_is_well(e->journal);

    if (!e->journal && c->journal_mode == JOURNAL_MODE_OFF) {
        put_part(h, "journal", "off", "SMARTFLOW_JOURNAL");
        return;
    }
    h->down += !up;
    put_part(h, "journal", up ? "ok" : "down", up ? "" : "calls are refused");
}

static void providers_part(struct health *h, const struct config *c)
{
    unsigned configured = 0;

    for (unsigned i = 0; i < c->route.upstreams_n; i++)
        configured += c->route.upstreams[i].configured;
    h->degraded += !configured;
    put_open(h->out, "providers", '{');
    put_str(h->out, "status", configured ? STR("ok") : STR("degraded"));
    put_int(h->out, "configured", configured);
    put_close(h->out, '}');
}

static const char *overall(const struct health *h)
{
    return h->down ? "unhealthy" : h->degraded ? "degraded" : "healthy";
}

static int comprehensive(struct admin_call *c)
{
    _cleanup_(buf_free) struct buf parts = {0};
    struct health h = {.out = &parts};

    buf_init(&parts, 64 * KIB);
    put_open(&parts, NULL, '{');
    store_part(&h, c->env);
    shared_store_part(&h, c->env);
    journal_part(&h, c->env, c->config);
    providers_part(&h, c->config);
    put_close(&parts, '}');
    put_open(&c->out, NULL, '{');
    put_str(&c->out, "status", str_of(overall(&h)));
    put_int(&c->out, "uptime_seconds", (clock_now() - admin_began()) / NS_PER_S);
    put_str(&c->out, "version", STR(SF_VERSION));
    put_str_or_null(&c->out, "node", c->env->node);
    put_int(&c->out, "nodes", c->env->shared ? shared_nodes_seen(c->env->shared) : 1);
    put_time(&c->out, "timestamp", clock_wall());
    put_raw(&c->out, "components", buf_str(&parts));
    int r = admin_put_snapshots(c, &c->out, "providers");
    put_close(&c->out, '}');
    return r;
}

static const struct admin_row rows[] = {
    {.method = HTTP_GET,
        .path = "/api/health/comprehensive",
        .may = MAY_SIGNED_IN,
        .scope = SCOPE_COMMON,
        .handle = comprehensive,
        .name = "health",
        .tag = "About",
        .summary = "Every part of the gateway, and whether it is well"},
};
const struct admin_rows admin_health_rows = {rows, ARRAY_LEN(rows)};
