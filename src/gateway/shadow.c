/*
 * Shadow calls: a copy of a call goes to a target that is being looked at; its reply is read for
 * what it used, and dropped. The client notices nothing, whatever becomes of it.
 *
 * A shadow is an exchange of its own, in a coroutine of its own, on the journal under an id of its
 * own with "shadow": 1. It counts in nobody's limits and budgets but in the provider's daily one,
 * and its outcome names no key, team or customer, so that their sums stay what they were. How much
 * of its content is kept is what the original's key says.
 *
 * The original's head and body do not outlive it, so what a shadow needs of them is copied first.
 */
#include "gateway/attempt.h"

#include "crypto/random.h"
#include "http/sse.h"
#include "ledger/ledger.h"
#include "llm/prices.h"
#include "metrics/metrics.h"
#include "route/budget.h"
#include "route/route.h"

#include <stdatomic.h>
#include <stdlib.h>

#define SHADOWS_MAX  256 /* at once, of all threads */
#define SHADOW_BODY  MIB /* longer calls have none */
#define SHADOW_REPLY (8 * MIB)

static struct metric_family shadows = {
    .name = "smartflow_shadow_calls_total",
    .help = "Copies of calls for a target that is looked at, by result.",
    .type = METRIC_COUNTER,
    .labels = {"provider", "model", "result"},
};
static struct metric_family shadow_cost = {
    .name = "smartflow_shadow_cost_usd_total",
    .help = "What they cost, by provider.",
    .type = METRIC_COUNTER,
    .labels = {"provider"},
    .scale = 1000000000,
};

static atomic_uint running;

struct shadow {
    struct config *config;
    struct http_request rq;
    struct exchange x;
    struct attempt a;
    struct plan_target target;
};

/* --- copying --- */

static bool copy_fields(struct arena *a, const struct http_fields *from, struct http_fields *to)
{
    *to = *from;
    if (!(to->at = arena_alloc(a, (from->n + 1) * sizeof *to->at)))
        return false;
    for (unsigned i = 0; i < from->n; i++) {
        to->at[i] = from->at[i];
        to->at[i].name = arena_dup(a, from->at[i].name);
        to->at[i].value = arena_dup(a, from->at[i].value);
        if (!to->at[i].name.p || !to->at[i].value.p)
            return false;
    }
    return true;
}

static bool copy_head(struct shadow *s, const struct exchange *from)
{
    const struct http_head *h = &from->rq->head;
    struct arena *a = &s->x.arena;

    s->rq = (struct http_request){
        .head = *h, .peer = from->rq->peer, .first_byte_at = clock_now(), .head_at = clock_now()};
    s->rq.head.method_text = arena_dup(a, h->method_text);
    s->rq.head.target = arena_dup(a, h->target);
    s->rq.head.path = arena_dup(a, h->path);
    s->rq.head.query = arena_dup(a, h->query);
    return copy_fields(a, &h->fields, &s->rq.head.fields);
}

static void copy_match(
    struct arena *a, const struct endpoint_match *from, struct endpoint_match *to)
{
    *to = *from;
    to->door = arena_dup(a, from->door);
    to->version = arena_dup(a, from->version);
    to->rest = arena_dup(a, from->rest);
    to->id = arena_dup(a, from->id);
    to->model = arena_dup(a, from->model);
}

/* The pages of a large body do not count in an exchange's arena. */
static bool copy_body(struct shadow *s, const struct exchange *from)
{
    struct exchange *x = &s->x;

    if (!(x->body_copy = malloc(from->body.n + 1)))
        return false;
    memcpy(x->body_copy, from->body.p, from->body.n);
    x->body = str_at(x->body_copy, from->body.n);
    x->body_names = from->body_names;
    x->spans = gw_spans_new();
    memcpy(x->spans, from->spans, BODY_MEMBERS * sizeof *x->spans);
    return true;
}

static bool copy(struct shadow *s, const struct exchange *from)
{
    struct exchange *x = &s->x;
    struct arena *a = &x->arena;

    if (!copy_head(s, from) || !copy_body(s, from))
        return false;
    copy_match(a, &from->match, &x->match);
    x->rq = &s->rq;
    x->shadow = true;
    x->dialect = from->dialect;
    x->stream = x->stream_asked = from->stream_asked;
    x->usage_asked = from->usage_asked;
    x->model_asked = arena_dup(a, from->model_asked);
    x->client = from->client;
    x->end_user = STR_NONE;
    x->trace_id = arena_dup(a, from->trace_id);
    x->key = vkey_ref(from->key);
    x->can_send_again = true;
    x->routing = arena_new(a, struct routing_log);
    if (!x->routing)
        return false;
    s->target = *from->plan->shadow;
    s->target.model = arena_dup(a, s->target.model); /* it may be the client's */
    x->routing->note = STR("shadow");
    x->routing->chain = from->routing->chain;
    return s->target.model.p != NULL;
}

/* --- the call --- */

static void read_events(struct exchange *x, struct str body)
{
    struct sse_event e;
    struct sse s;
    size_t from, to;

    sse_init(&s, LIMIT_SSE_EVENT_BYTES);
    while (sse_next(&s, &body, &e) == 1)
        meter_event(&x->meter, e.event, e.data, &from, &to);
    sse_free(&s);
}

static int read_reply(struct shadow *s)
{
    struct exchange *x = &s->x;
    struct str body, type = http_get(&s->a.head->fields, HTTP_CONTENT_TYPE);
    int r = http_call_read_all(s->a.call, SHADOW_REPLY, &body);

    if (r < 0)
        return gw_upstream_broke(x, r);
    ledger_reply_bytes(x, body);
    meter_init(&x->meter, x->up_kind);
    if (str_istarts(type, STR("text/event-stream")))
        read_events(x, body);
    else if (s->a.head->status < 400)
        meter_reply(&x->meter, body);
    x->outcome = s->a.head->status < 400 ? OUTCOME_OK : OUTCOME_UPSTREAM_ERROR;
    return 0;
}

static void account(struct shadow *s)
{
    struct exchange *x = &s->x;
    struct str provider = s->target.upstream->provider->id;
    struct str result = x->outcome == OUTCOME_OK ? STR("ok") : STR("error");

    stage_settle.on_request(x);
    ledger_call_outcome(x);
    stage_ledger.on_end(x);
    metric_add(metric_get(&shadows, (struct str[]){provider, s->target.model, result}, 3), 1);
    if (x->cost_nano > 0) {
        metric_add(metric_get(&shadow_cost, &provider, 1), (uint64_t)x->cost_nano);
        route_budget_add(provider, x->cost_nano, x->started_wall);
    }
}

static void end(struct shadow *s)
{
    attempt_end(&s->a);
    gw_exchange_end(&s->x);
    config_unref(s->config);
    free(s);
    atomic_fetch_sub_explicit(&running, 1, memory_order_relaxed);
}

static void run(void *arg)
{
    struct shadow *s = arg;
    struct exchange *x = &s->x;

    s->a.t = &s->target;
    attempt_log(x, &s->a, 0);
    int r = attempt_start(x, &s->a);
    if (r == 0)
        r = gw_call_head(x, s->a.call, &s->a.head);
    if (r == 0)
        r = read_reply(s);
    attempt_log_end(&s->a, r == 0 ? STR("served") : STR("gave up"), x->upstream_status,
        r == 0 ? STR_NONE : x->error.code);
    if (s->a.sent)
        route_state_end(
            s->target.state, ROUTE_NO_FAULT, &(struct breaker_settings){0}, clock_now());
    co_mask_cancel();
    account(s);
    co_unmask_cancel();
    end(s);
}

/* --- making one --- */

static struct shadow *make(const struct exchange *from)
{
    struct shadow *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    s->config = config_ref(config_current());
    /* A snapshot that came since may not have the plan's target. */
    if (&s->config->route != from->route_settings ||
        gw_exchange_init(&s->x, (struct http_request *)from->rq, s->config) < 0) {
        config_unref(s->config);
        free(s);
        return NULL;
    }
    return s;
}

static bool wanted(const struct exchange *x)
{
    const struct plan *p = x->plan;

    return p->shadow && p->shadow->reason == PLAN_USABLE && p->chain->shadow_percent &&
           x->body.n <= SHADOW_BODY && x->spans && random_below(100) < p->chain->shadow_percent;
}

void attempt_shadow(struct exchange *x)
{
    struct shadow *s;

    if (!wanted(x))
        return;
    if (atomic_fetch_add_explicit(&running, 1, memory_order_relaxed) >= SHADOWS_MAX ||
        !(s = make(x))) {
        atomic_fetch_sub_explicit(&running, 1, memory_order_relaxed);
        return;
    }
    if (!copy(s, x) || co_spawn("shadow", run, s, NULL) < 0) {
        end(s);
        return;
    }
    x->routing->shadow = x->plan->shadow->model;
    x->routing->shadow_provider = plan_where(x->plan->shadow);
}
