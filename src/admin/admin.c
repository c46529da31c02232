/*
 * Health, metrics and the list of coroutines, and the way into the management API (call.c). See
 * admin/admin.h. These answers cost no upstream call: health checks must never spend money.
 */
#include "admin/api_int.h"

#include "admin/put.h"
#include "base/log.h"
#include "journal/journal.h"
#include "keys/catalog.h"
#include "metrics/metrics.h"
#include "runtime/co.h"
#include "runtime/loop.h"
#include "runtime/sync.h"
#include "store/shared.h"
#include "store/store.h"
#include "telemetry/telemetry.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>

#define LOOPS_MAX    256
#define REPORT_BYTES (16 * MIB)

static struct loop *loops[LOOPS_MAX];
static unsigned loops_n;
static atomic_bool draining;

void admin_set_loops(struct loop *const *list, unsigned n)
{
    loops_n = MIN(n, LOOPS_MAX);
    memcpy(loops, list, loops_n * sizeof *list);
}

void admin_set_draining(bool on)
{
    atomic_store(&draining, on);
}

static const struct str json_field = STR_INIT("content-type: application/json\r\n");

static void reply_json(struct http_request *rq, int status, struct str body)
{
    http_reply(rq, status, json_field, body);
}

static void reply_error(struct http_request *rq, int status, const char *code, const char *message)
{
    char body[512];
    int n = snprintf(body, sizeof body,
        "{\"success\":false,\"error\":{\"message\":\"%s\",\"type\":\"%s\",\"code\":\"%s\","
        "\"param\":null,\"request_id\":null},\"details\":{}}",
        message, status == 401 ? "authentication_error" : "invalid_request_error", code);

    reply_json(rq, status, str_at(body, (size_t)n));
}

/* --- health --- */

static void health(struct http_request *rq, struct config *c)
{
    (void)c;
    reply_json(rq, 200, STR("{\"status\":\"ok\",\"version\":\"" SF_VERSION "\"}"));
}

/* Names what is away, as an array's items. True when calls are refused for it, and so must go to
 * another node: a database that is away is no reason, nor is Redis unless it is set to be one. */
static bool put_away(struct buf *out, const struct config *c)
{
    const struct admin_env *e = admin_env();
    bool redis = e->shared && shared_is_remote(e->shared) && !shared_is_up(e->shared);
    bool journal = e->journal && !journal_is_well(e->journal);
    bool answers = !e->catalog || catalog_is_fresh(e->catalog); /* it is asked each second */

    if (e->store && !(store_is_up(e->store) && answers))
        put_str(
            out, NULL, store_kind(e->store) == STORE_SQLITE ? STR("sqlite") : STR("postgresql"));
    if (redis)
        put_str(out, NULL, STR("redis"));
    if (journal)
        put_str(out, NULL, STR("journal"));
    return journal || (redis && c->shared_down == SHARED_DOWN_CLOSED);
}

static void readiness(struct http_request *rq, struct config *c)
{
    _cleanup_(buf_free) struct buf b = {0};
    unsigned configured = 0;

    for (unsigned i = 0; i < c->route.upstreams_n; i++)
        configured += c->route.upstreams[i].configured;
    buf_init(&b, 4 * KIB);
    put_open(&b, NULL, '{');
    put_open(&b, "away", '[');
    bool down = put_away(&b, c), drains = atomic_load(&draining);
    put_close(&b, ']');
    put_str(&b, "status", drains ? STR("draining") : down ? STR("down") : STR("ok"));
    put_int(&b, "providers_configured", configured);
    put_int(&b, "virtual_keys", vkey_count(c->keys.set));
    put_close(&b, '}');
    reply_json(rq, down || drains ? 503 : 200, buf_str(&b));
}

/* --- who may --- */

static struct str bearer(const struct http_request *rq)
{
    struct str v = http_get(&rq->head.fields, HTTP_AUTHORIZATION);

    return str_istarts(v, STR("bearer ")) ? str_trim(str_from(v, 7)) : STR_NONE;
}

static bool is_admin(const struct http_request *rq, const struct config *c)
{
    struct str given = bearer(rq);

    if (!given.n)
        given = http_get(&rq->head.fields, HTTP_X_API_KEY);
    return secret_is_set(&c->admin_key) && given.n && secret_eq(&c->admin_key, given);
}

/* --- metrics --- */

static void metrics(struct http_request *rq, struct config *c)
{
    _cleanup_(buf_free) struct buf out = {0};

    if (secret_is_set(&c->metrics_token) && !secret_eq(&c->metrics_token, bearer(rq)) &&
        !is_admin(rq, c)) {
        reply_error(rq, 401, "unauthorized", "Send the metrics token as a bearer token.");
        return;
    }
    buf_init(&out, REPORT_BYTES);
    telemetry_refresh();
    metrics_render(&out);
    http_reply(
        rq, 200, STR("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"), buf_str(&out));
}

/* --- coroutines --- */

struct gather {
    struct buf out;
    unsigned left, loop;
    struct event done;
    struct loop *home;
    bool first;
};

static void one_coroutine(const struct co_info *i, void *ctx)
{
    struct gather *g = ctx;

    buf_printf(&g->out,
        "%s{\"loop\":%u,\"name\":\"%s\",\"state\":\"%s\",\"why\":\"%s\","
        "\"age_ms\":%lld,\"parked_ms\":%lld,\"stack_used\":%zu,\"cancelled\":%s}",
        g->first ? "" : ",\n", g->loop, i->name, i->state, i->why ? i->why : "",
        (long long)(i->age_ns / NS_PER_MS), (long long)(i->parked_ns / NS_PER_MS), i->stack_used,
        i->cancelled ? "true" : "false");
    g->first = false;
}

static void gathered(void *arg)
{
    struct gather *g = arg;

    event_set(&g->done);
}

/* On each loop in turn, so that the buffer has one writer at a time. */
static void gather_on(void *arg)
{
    struct gather *g = arg;

    co_each(one_coroutine, g);
    g->loop++;
    if (g->loop < loops_n)
        must(loop_post(loops[g->loop], gather_on, g) == 0);
    else
        must(loop_post(g->home, gathered, g) == 0);
}

static void coroutines(struct http_request *rq, struct config *c)
{
    struct gather g = {.home = loop_self(), .first = true};

    if (!is_admin(rq, c)) {
        reply_error(rq, 401, "unauthorized", "Send the admin key as a bearer token.");
        return;
    }
    buf_init(&g.out, REPORT_BYTES);
    event_init(&g.done);
    buf_addstr(&g.out, STR("{\"coroutines\":[\n"));
    co_mask_cancel(); /* g is shared with the other loops until the last of them is through */
    if (loops_n && loop_post(loops[0], gather_on, &g) == 0)
        event_wait(&g.done, NEVER_NS);
    co_unmask_cancel();
    buf_addstr(&g.out, STR("\n]}\n"));
    reply_json(rq, 200, buf_str(&g.out));
    buf_free(&g.out);
}

/* --- the table --- */

static const struct route {
    struct str path;
    void (*handle)(struct http_request *rq, struct config *c);
    bool always; /* also where the administration is switched off on the proxy port */
} routes[] = {
    {STR_INIT("/health"), health, true},
    {STR_INIT("/health/liveliness"), health, true},
    {STR_INIT("/health/liveness"), health, true},
    {STR_INIT("/health/readiness"), readiness, true},
    {STR_INIT("/metrics"), metrics, false},
    {STR_INIT("/debug/coroutines"), coroutines, false},
};

/* The management API, and what looks like it: a path of it that does not exist is answered in its
 * own envelope, too. */
static bool api_handle(struct http_request *rq, struct config *c, bool on_proxy)
{
    if (!str_starts(rq->head.path, STR("/api/")) || (on_proxy && !c->admin_on_proxy))
        return false;
    admin_call_run(rq, c);
    return true;
}

bool admin_handle(struct http_request *rq, struct config *c, bool on_proxy)
{
    struct str path = rq->head.path;

    /* What clients of other gateways and Claude Code probe: answered without noise. */
    if (rq->head.method == HTTP_HEAD &&
        (str_eq(path, STR("/")) || str_eq(path, STR("/api/hello")))) {
        http_reply(rq, 200, STR(""), STR_NONE);
        return true;
    }
    if (path.n > 1 && path.p[1] == 'a')
        return api_handle(rq, c, on_proxy);
    if (path.n < 2 || (path.p[1] != 'h' && path.p[1] != 'm' && path.p[1] != 'd'))
        return false;
    for (unsigned i = 0; i < ARRAY_LEN(routes); i++) {
        if (!str_eq(path, routes[i].path) || (on_proxy && !routes[i].always && !c->admin_on_proxy))
            continue;
        if (rq->head.method != HTTP_GET && rq->head.method != HTTP_HEAD)
            http_reply(rq, 405, STR("allow: GET, HEAD\r\n"), STR_NONE);
        else
            routes[i].handle(rq, c);
        return true;
    }
    return false;
}

void admin_serve(struct http_request *rq, void *ctx)
{
    (void)ctx;
    if (!admin_handle(rq, config_current(), false))
        reply_error(rq, 404, "not_found",
            "There is no such path on the management port; try /health or /metrics.");
}
