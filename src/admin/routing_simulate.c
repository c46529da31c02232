/*
 * Which target a call would take, and why not the others. The request is made as a client would
 * send it and given to the routing stage itself, so that what is told is what would be done; no
 * upstream sees anything. A strategy that takes turns or chances does so here, too.
 */
#include "admin/api_int.h"
#include "admin/routing_int.h"
#include "llm/exchange.h"
#include "route/budget.h"
#include "route/plan.h"

#include <errno.h>
#include <stdio.h>

static const char *const endpoint_words[] = {"chat", "responses", "messages", "embeddings", NULL};
static const char *const paths[] = {
    "/v1/chat/completions", "/v1/responses", "/v1/messages", "/v1/embeddings"};

struct asked {
    struct str model, provider, lcr, body;
    uint32_t endpoint;
    struct str_list tags;
    bool stream;
};
#define AT(member) offsetof(struct asked, member)
static const struct field_row fields[] = {
    {"model", FIELD_TEXT, FIELD_CREATE | FIELD_REQUIRED, AT(model), 1, 256, NULL, NULL,
        "As the client names it.", "\"gpt-4o\""},
    {"endpoint", FIELD_WORD, FIELD_CREATE, AT(endpoint), 0, 0, endpoint_words, NULL,
        "What is called; chat when not given.", "\"chat\""},
    {"stream", FIELD_BOOL, FIELD_CREATE, AT(stream), 0, 0, NULL, NULL, "Whether it is streamed.",
        NULL},
    {"provider", FIELD_TEXT, FIELD_CREATE, AT(provider), 0, 64, NULL, NULL,
        "x-smartflow-provider of the call.", NULL},
    {"tags", FIELD_TEXTS, FIELD_CREATE, AT(tags), 0, 32, NULL, NULL,
        "x-smartflow-tags of the call.", NULL},
    {"lcr", FIELD_TEXT, FIELD_CREATE, AT(lcr), 0, 16, NULL, NULL, "x-smartflow-lcr of the call.",
        NULL},
    {"body", FIELD_OBJECT, FIELD_CREATE, AT(body), 0, (int64_t)(512 * KIB), NULL, NULL,
        "The call's own body, where its prompt matters.", NULL},
};
#undef AT
const struct admin_schema routing_simulate_body = {
    "Simulate", fields, ARRAY_LEN(fields), sizeof(struct asked)};

struct made {
    struct http_field room[LIMIT_HEADERS];
    struct http_request rq;
    struct exchange x;
};

/* --- the request --- */

static void put_field(struct buf *b, const char *name, struct str value)
{
    if (value.n)
        buf_printf(b, "%s: " STR_FMT "\r\n", name, STR_ARG(value));
}

static struct str head_of(struct admin_call *c, const struct asked *a)
{
    _cleanup_(buf_free) struct buf b = {0}, tags = {0};

    buf_init(&tags, 16 * KIB);
    buf_init(&b, 32 * KIB);
    for (unsigned i = 0; i < a->tags.n; i++) {
        buf_addstr(&tags, i ? STR(",") : STR(""));
        buf_addstr(&tags, a->tags.at[i]);
    }
    buf_printf(&b, "POST %s HTTP/1.1\r\nHost: simulate\r\n", paths[a->endpoint]);
    put_field(&b, "x-smartflow-provider", a->provider);
    put_field(&b, "x-smartflow-tags", buf_str(&tags));
    put_field(&b, "x-smartflow-lcr", a->lcr);
    buf_addstr(&b, STR("\r\n"));
    return b.err || tags.err ? STR_NONE : arena_dup(&c->arena, buf_str(&b));
}

static struct made *make(struct admin_call *c, const struct asked *a)
{
    struct made *m = arena_new(&c->arena, struct made);
    struct str head = head_of(c, a);
    const char *why;

    if (!m || !head.n || http_parse_request(head, m->room, LIMIT_HEADERS, &m->rq.head, &why) <= 0 ||
        !endpoint_find(&m->rq.head, &m->x.match, &m->x.dialect))
        return NULL;
    arena_init(&m->x.arena, NULL, 0, MIB);
    m->x.rq = &m->rq;
    m->x.route_settings = &c->config->route;
    m->x.model_asked = m->x.model = a->model;
    m->x.stream = m->x.stream_asked = a->stream;
    m->x.body = a->body.n ? a->body : STR("{}");
    m->x.cost_nano = -1;
    return m;
}

/* --- the answer --- */

/* Why a target that can serve stands where it does. */
static struct str place_text(const struct exchange *x, const struct plan *p, bool first)
{
    static const struct {
        struct str first, later;
    } by_strategy[ROUTE_STRATEGIES] = {
        [STRATEGY_NONE] = {STR_INIT("it is listed first"), STR_INIT("it is listed later")},
        [STRATEGY_PRIORITY] = {STR_INIT("it is listed first"), STR_INIT("it is listed later")},
        [STRATEGY_ROUND_ROBIN] = {STR_INIT("it is its turn"), STR_INIT("its turn is later")},
        [STRATEGY_WEIGHTED] = {STR_INIT("drawn by weight"), STR_INIT("drawn later")},
        [STRATEGY_RANDOM] = {STR_INIT("drawn by chance"), STR_INIT("drawn later")},
        [STRATEGY_LEAST_CONNECTIONS] = {STR_INIT("it has the fewest calls in flight"),
            STR_INIT("it has as many calls in flight, or more")},
        [STRATEGY_LATENCY] = {STR_INIT("it has the lowest p95, or none yet"),
            STR_INIT("its p95 is higher, or not known")},
        [STRATEGY_COST] = {STR_INIT("it has the lowest price"),
            STR_INIT("its price is higher, or not known")},
        [STRATEGY_TAG] = {STR_INIT("it has the tags"), STR_INIT("it is listed later")},
        [STRATEGY_LOWEST_COST] = {STR_INIT("by its price and what the prompt demands"),
            STR_INIT("for where the one before falls short")},
    };

    if (!p && x->routing)
        return STR("an operator forced it");
    if (!p)
        return http_has(&x->rq->head.fields, HTTP_X_SMARTFLOW_PROVIDER)
                   ? STR("the call names it")
                   : STR("the model's name leads there");
    if (first && p->by_affinity)
        return STR("calls that begin alike go there");
    return first ? by_strategy[p->chain->strategy].first : by_strategy[p->chain->strategy].later;
}

static void put_candidate(struct buf *b, const struct exchange *x, const struct plan *p,
    const struct plan_target *t, unsigned order)
{
    enum route_flow f = x->stream ? ROUTE_STREAM : ROUTE_WHOLE;
    int64_t now = clock_now();
    bool usable = t->reason == PLAN_USABLE;

    put_open(b, NULL, '{');
    put_int(b, "order", order);
    put_str(b, "provider", t->upstream->provider->id);
    put_str_or_null(b, "deployment", t->deployment);
    put_str(b, "model", t->model);
    put_bool(b, "usable", usable);
    put_bool(b, "last_resort", t->reason == PLAN_OPEN || t->reason == PLAN_RESTING);
    put_str(b, "reason", usable && order == 1 ? STR("chosen") : plan_reason_text(t->reason));
    put_str(b, "why", usable ? place_text(x, p, order == 1) : plan_reason_text(t->reason));
    put_int(b, "weight", t->weight);
    put_str(b, "breaker", str_of(breaker_state_name(route_state_breaker(t->state, now))));
    put_int(b, "in_flight", route_state_in_flight(t->state));
    routing_put_ms(b, "p95_ms", route_state_p95(t->state, f, now));
    put_bool(b, "translated",
        t->face && (t->face->dialect != x->dialect || t->kind != x->match.endpoint->kind));
    put_close(b, '}');
}

/* Of a call without a plan. */
static struct plan_target only_target(const struct exchange *x)
{
    struct plan_target t = {.upstream = x->upstream,
        .model = x->model,
        .weight = 1,
        .state = route_state_find(x->upstream->provider->id, x->model)};
    const struct face_asked asked = {.dialect = x->dialect,
        .kind = x->match.endpoint->kind,
        .stream = x->stream,
        .model = x->model,
        .facts = x->facts};

    t.face = provider_face_for(x->upstream->provider, &asked, &t.kind);
    return t;
}

static void put_candidates(struct buf *b, const struct exchange *x)
{
    const struct plan *p = x->routing && x->routing->strategy.n ? plan_of_log(x->routing) : NULL;

    put_open(b, "candidates", '[');
    for (unsigned i = 0; p && i < p->n; i++)
        put_candidate(b, x, p, &p->at[i], i + 1);
    if (!p && x->upstream) {
        struct plan_target only = only_target(x);
        put_candidate(b, x, NULL, &only, 1);
    }
    put_close(b, ']');
}

static const char *decided_by(const struct exchange *x, const struct asked *a)
{
    if (x->routing && str_eq(x->routing->note, STR("forced")))
        return "forced";
    if (x->routing && x->routing->chain.n)
        return "chain";
    if (a->provider.n)
        return "header";
    return x->plan && x->plan->n > 1 ? "strategy" : "name";
}

static void put_target(struct buf *b, const struct exchange *x)
{
    if (!x->upstream) {
        put_null(b, "target");
        return;
    }
    put_open(b, "target", '{');
    put_str(b, "provider", x->upstream->provider->id);
    put_str_or_null(b, "deployment", x->plan ? x->plan->at[0].deployment : STR_NONE);
    put_str(b, "model", x->model);
    put_close(b, '}');
}

static void put_error(struct buf *b, const struct error *e)
{
    if (!e->status) {
        put_null(b, "error");
        return;
    }
    put_open(b, "error", '{');
    put_int(b, "status", e->status);
    put_str(b, "code", e->code);
    put_str(b, "message", e->message);
    put_str_or_null(b, "hint", e->hint);
    put_close(b, '}');
}

int routing_simulate(struct admin_call *c)
{
    const struct asked *a = c->body;
    struct made *m = make(c, a);
    struct buf *b = &c->out;

    if (!m)
        return admin_fail(c, 400, "invalid_request_error", "No request can be made of that.");
    struct exchange *x = &m->x;
    (void)stage_route.on_request(x); /* a refusal is part of the answer */
    put_open(b, NULL, '{');
    put_str(b, "model", a->model);
    put_target(b, x);
    put_str(b, "decided_by", str_of(decided_by(x, a)));
    put_str_or_null(b, "chain", x->routing ? x->routing->chain : STR_NONE);
    put_str_or_null(b, "strategy", x->routing ? x->routing->strategy : STR_NONE);
    put_str_or_null(b, "note", x->routing ? x->routing->note : STR_NONE);
    put_candidates(b, x);
    put_error(b, &x->error);
    put_close(b, '}');
    arena_free(&x->arena);
    return 0;
}
