/*
 * The loop over a plan's targets. See gateway/attempt.h; which target is next, and whether any, is
 * decided in route/next.c.
 *
 * Bounded by the call's deadline, by the money that its key has left (each attempt holds its own),
 * and by ROUTING_TRIES_MAX attempts.
 */
#include "gateway/attempt.h"

#include "http/retry_after.h"
#include "keys/estimate.h"
#include "keys/limits.h"
#include "llm/prices.h"
#include "route/route.h"

#include <errno.h>

struct run {
    struct exchange *x;
    struct plan *p;
    struct attempt a;
    enum wire_fault fault; /* of the attempt that failed */
    int status;            /* of its reply, or of our error */
    int64_t retry_after;   /* what the provider asked to wait; 0 = it did not say */
    struct str lacks;      /* why its answer falls short; empty: it does not */
    bool own_refusal;      /* the gateway itself said no: nothing was sent */
    bool looked_at;        /* the provider's error reply is held, and can still be relayed */
    unsigned targets;      /* that were tried */
};

/* --- one attempt --- */

static enum route_flow flow_of(const struct exchange *x)
{
    return x->stream_asked ? ROUTE_STREAM : ROUTE_WHOLE;
}

void attempt_log(struct exchange *x, struct attempt *a, int64_t waited)
{
    struct routing_log *l = x->routing;

    a->log = NULL;
    if (l->tries_n == ROUTING_TRIES_MAX)
        return;
    a->log = &l->tries[l->tries_n++];
    *a->log = (struct routing_try){.provider = plan_where(a->t),
        .model = a->t->model,
        .then = STR("runs"),
        .waited_us = waited / NS_PER_US};
}

void attempt_log_end(struct attempt *a, struct str then, int status, struct str fault)
{
    if (!a->log)
        return;
    a->log->then = then;
    a->log->status = status;
    a->log->us = (clock_now() - a->began) / NS_PER_US;
    a->log->fault = fault;
}

struct str attempt_fault_text(enum wire_fault f)
{
    return f == FAULT_NONE ? STR_NONE : str_of(wire_fault_name(f));
}

int attempt_start(struct exchange *x, struct attempt *a)
{
    unsigned before = x->attempts;
    int r;

    route_take(x, a->t);
    a->began = clock_now();
    a->t->tries++;
    x->error = (struct error){0};
    if ((r = gw_attempt_begin(x)) < 0)
        return r;
    r = gw_body_for_target(x, &a->body);
    if (r == 0)
        r = gw_body_send(x, &a->body, &a->call);
    a->sent = x->attempts > before;
    if (a->sent)
        route_state_begin(a->t->state, a->began);
    return r;
}

void attempt_end(struct attempt *a)
{
    http_call_end(a->call);
    gw_body_free(&a->body);
    a->call = NULL;
    a->head = NULL;
}

/* --- what it cost --- */

static int64_t input_cost(struct exchange *x)
{
    struct estimate e = {0};
    int64_t nano;

    if (!x->spans || !x->facts)
        return 0;
    estimate_make(x, 1, &e);
    e.output = 0;
    x->spent_tokens += e.input;
    return estimate_price(x, &e, &nano) == 0 ? nano : 0;
}

void attempt_spent(struct exchange *x, bool surely_free)
{
    const struct usage *u = &x->meter.usage;
    int64_t nano = 0;

    if (u->source != USAGE_UNKNOWN) {
        x->spent_tokens += usage_input_total(u) + usage_output_total(u);
        if (x->facts && cost_compute(x->facts, u, u->tier, &nano) < 0)
            nano = 0;
    } else if (!surely_free) {
        nano = input_cost(x);
    }
    x->spent_nano += nano;
}

/* --- what became of it --- */

static bool is_cancelled(const struct exchange *x)
{
    return co_cancelled() || x->error.status == 499 || x->outcome == OUTCOME_CANCELLED;
}

/* Errors that the gateway found on the way. */
static enum wire_fault fault_of_ours(const struct error *e)
{
    if (str_eq(e->code, STR("provider_auth_failed")) || str_eq(e->code, STR("address_not_allowed")))
        return FAULT_AUTH;
    if (str_eq(e->code, STR("upstream_timeout")))
        return FAULT_TIMEOUT;
    return wire_fault_of(e->status, e->code, e->type, e->message);
}

/* The gateway's own no, that another target may not meet: no money for this one, no price for it,
 * or nothing in its dialect for what is asked. */
static bool is_of_target(const struct error *e)
{
    return str_eq(e->code, STR("insufficient_quota")) || str_eq(e->code, STR("model_unpriced")) ||
           e->status == 400;
}

static void learn_from_error(struct run *r)
{
    const struct error *e = &r->x->error;

    r->own_refusal = !r->a.sent;
    r->status = r->own_refusal ? 0 : r->x->upstream_status;
    r->retry_after = e->retry_after_s * NS_PER_S;
    r->fault = !r->own_refusal   ? fault_of_ours(e)
               : is_of_target(e) ? FAULT_NOT_FOUND
                                 : FAULT_BAD_REQUEST;
}

/* A status that is none of success: what it means, whether the bytes pass or not. */
static int learn_from_reply(struct run *r)
{
    struct exchange *x = r->x;
    struct error e;

    if (gw_upstream_error(x, r->a.call, r->a.head, &e) < 0) {
        learn_from_error(r);
        return -EREMOTEIO;
    }
    r->looked_at = true;
    r->status = r->a.head->status;
    r->retry_after = http_retry_after(&r->a.head->fields, clock_wall());
    if (!r->retry_after) /* in its body, or by its limits */
        r->retry_after = e.retry_after_s * NS_PER_S;
    r->fault = wire_fault_of(r->a.head->status, e.code, e.type, e.message);
    return -EREMOTEIO;
}

enum route_result attempt_result_of(enum wire_fault f)
{
    switch (f) {
    case FAULT_RATE:
        return ROUTE_LIMITED;
    case FAULT_AUTH:
    case FAULT_BILLING:
    case FAULT_TIMEOUT:
    case FAULT_OVERLOAD:
    case FAULT_SERVER:
        return ROUTE_FAILED;
    default:
        return ROUTE_NO_FAULT;
    }
}

/* Before its plan is asked who is next. */
static void rest(struct run *r)
{
    int64_t now = clock_now();
    int64_t span = r->retry_after ? r->retry_after : ROUTE_REST_NS;

    route_state_rest(r->a.t->state, now + MIN(span, ROUTE_REST_MAX_NS));
}

/* What the attempt ended with: a fault, or what its answer lacks. */
static struct str why(const struct run *r)
{
    return r->lacks.n ? r->lacks : attempt_fault_text(r->fault);
}

static void note_failure(struct run *r, struct str then)
{
    struct exchange *x = r->x;
    bool cancelled = is_cancelled(x);
    int64_t now = clock_now();

    attempt_log_end(&r->a, cancelled ? STR("cancelled") : then, r->status, why(r));
    if (!r->a.sent)
        return;
    attempt_count(r->a.t, cancelled ? STR("cancelled") : why(r));
    if (route_state_end(r->a.t->state, cancelled ? ROUTE_ABANDONED : attempt_result_of(r->fault),
            &r->p->chain->breaker, now))
        attempt_count_opened(r->a.t);
}

static void note_success(struct run *r)
{
    struct exchange *x = r->x;
    int64_t now = clock_now(), until = x->stream_asked ? x->reply_first_at : now;

    bool ok = x->outcome == OUTCOME_OK; /* else its stream ended with an error */
    attempt_log_end(&r->a, STR("served"), x->upstream_status,
        attempt_fault_text(ok ? FAULT_NONE : FAULT_SERVER));
    attempt_count(r->a.t, ok ? STR("ok") : STR("server_error"));
    if (route_state_end(r->a.t->state, ok ? ROUTE_OK : ROUTE_FAILED, &r->p->chain->breaker, now))
        attempt_count_opened(r->a.t);
    if (ok)
        plan_served(r->a.t);
    if (ok && until > x->upstream_sent_at)
        route_state_took(r->a.t->state, flow_of(x), until - x->upstream_sent_at, now);
}

/* --- what follows --- */

static bool is_late(const struct exchange *x, int64_t at)
{
    return x->deadline && at >= x->deadline;
}

/* Another attempt after this one is possible: then a stream's head waits for its first token. */
static bool may_follow(const struct run *r, const struct plan_target *t)
{
    return r->x->routing->tries_n < ROUTING_TRIES_MAX - 1 &&
           (plan_has_other(r->p, t) || t->tries < r->p->chain->retries);
}

/* The target again, after a backoff; false: it is over. */
static bool retries(struct run *r, int64_t *ret_wait)
{
    struct plan_target *t = r->a.t;

    if (r->own_refusal || r->lacks.n || !plan_may_retry(r->p, t, r->fault)) {
        t->over = true;
        return false;
    }
    if (r->fault == FAULT_RATE) { /* its turn may come again, when it wants to be asked */
        t->over = r->retry_after > r->p->chain->retry_after_max;
        return false;
    }
    *ret_wait = MAX(plan_backoff(r->p->chain, t->tries), r->retry_after);
    if (r->retry_after > r->p->chain->retry_after_max || is_late(r->x, clock_now() + *ret_wait))
        t->over = true;
    return !t->over;
}

/* Decides what is next: sets r->a.t and *ret_at, or says no. */
static bool follow(struct run *r, int64_t *ret_at)
{
    struct plan_target *was = r->a.t, *next;
    int64_t now = clock_now(), wait = 0;

    *ret_at = 0;
    if (is_cancelled(r->x) || !gw_nothing_sent(r->x) ||
        r->x->routing->tries_n == ROUTING_TRIES_MAX || is_late(r->x, now))
        return false;
    if (retries(r, &wait)) {
        attempt_count_retry(was);
        *ret_at = now + wait;
        return true;
    }
    next = r->lacks.n ? plan_step_up(r->p, was, now) : plan_next(r->p, was, r->fault, now, ret_at);
    if (!next || is_late(r->x, *ret_at) || *ret_at - now > r->p->chain->retry_after_max)
        return false;
    if (next == was) {
        attempt_count_retry(was);
        return true;
    }
    r->a.t = next;
    r->targets++;
    r->x->routing->fallbacks++;
    r->x->routing->fallback_used = true;
    attempt_count_fallback(r->p, why(r));
    return true;
}

/* Whether no provider can have worked on the attempt that failed. */
static bool was_free(const struct run *r)
{
    static const struct str codes[] = {STR_INIT("upstream_unreachable"), STR_INIT("upstream_tls"),
        STR_INIT("address_not_allowed")};

    for (unsigned i = 0; i < ARRAY_LEN(codes); i++)
        if (str_eq(r->x->error.code, codes[i]))
            return true;
    return (r->looked_at && !r->lacks.n) || r->x->upstream_status >= 400;
}

/* All were tried: what the client is told. Where there was but one, what that one said. */
static int exhausted(struct run *r)
{
    struct exchange *x = r->x;
    _cleanup_(buf_free) struct buf b = {0};
    bool tell = plan_is_followed(r->fault) && r->targets > 1 && !r->own_refusal;

    if (!tell)
        return r->looked_at ? gw_relay_reply(x, r->a.call, r->a.head) : -EREMOTEIO;
    if (x->meter.usage.source == USAGE_UNKNOWN) { /* else it is settled as what it used */
        attempt_spent(x, !r->a.sent || was_free(r));
        limits_release(x);
    }
    buf_init(&b, 4096);
    for (unsigned i = 0; i < x->routing->tries_n; i++) {
        const struct routing_try *t = &x->routing->tries[i];
        buf_printf(&b, "%s" STR_FMT " " STR_FMT ": " STR_FMT, i ? "; " : "", STR_ARG(t->provider),
            (int)MIN(t->model.n, 100), t->model.p, STR_ARG(t->fault));
    }
    x->error = (struct error){.hint = arena_dup(&x->arena, buf_str(&b)),
        .retry_after_s = (int)((r->retry_after + NS_PER_S - 1) / NS_PER_S)};
    x->outcome = OUTCOME_UPSTREAM_ERROR;
    return exchange_fail(x, 503, STR("fallback_chain_exhausted"),
        STR("No provider is available: every target of the fallback chain failed."));
}

/* --- the loop --- */

static int wait_for(struct exchange *x, int64_t at)
{
    if (at <= clock_now())
        return 0;
    if (co_sleep_until(at) == 0)
        return 0;
    x->outcome = OUTCOME_CANCELLED;
    x->error = (struct error){0};
    return exchange_fail(x, 499, STR("client_closed_request"), STR("The client went away."));
}

static int64_t first_token_by(const struct plan *p)
{
    return p->chain->first_token ? clock_now() + p->chain->first_token : 0;
}

static int head_of(struct run *r)
{
    struct exchange *x = r->x;

    return attempt_may_hedge(x, &r->a) ? attempt_hedged_head(x, &r->a)
                                       : gw_call_head(x, r->a.call, &r->a.head);
}

/* Another of the provider's keys may do what this one may not: the same target, at once. */
static int send_one(struct run *r, int64_t waited)
{
    struct exchange *x = r->x;
    int e;

    for (;;) {
        attempt_log(x, &r->a, waited);
        x->may_fail_over = may_follow(r, r->a.t);
        x->first_token_by = first_token_by(r->p);
        e = attempt_start(x, &r->a);
        if (e == 0)
            e = head_of(r);
        if (e != -EKEYREJECTED || x->routing->tries_n == ROUTING_TRIES_MAX)
            return e;
        attempt_log_end(&r->a, STR("next key"), x->upstream_status,
            attempt_fault_text(x->upstream_status == 429 ? FAULT_RATE : FAULT_AUTH));
        route_state_end(r->a.t->state, ROUTE_NO_FAULT, &r->p->chain->breaker, clock_now());
        attempt_end(&r->a);
        r->a.t->tries--; /* it is not the target that failed */
        waited = 0;
    }
}

/* The outcome is on the journal before the relay returns, so its log says what it will be. */
static int relay(struct run *r)
{
    attempt_log_end(&r->a, STR("served"), r->a.head->status, STR_NONE);
    return gw_relay_reply(r->x, r->a.call, r->a.head);
}

/* Where the call may step up: whether it has to. 0, or x->error. */
static int look_again(struct run *r)
{
    int e;

    if (!plan_step_up(r->p, r->a.t, clock_now()))
        return 0;
    if ((e = attempt_falls_short(r->x, &r->a, &r->lacks)) < 0)
        return e;
    r->looked_at = r->lacks.n > 0;
    r->status = r->a.head->status;
    return 0;
}

/* 1: served (or as good as that), 0: failed, with what was learnt in r. */
static int try(struct run *r, int64_t waited)
{
    struct exchange *x = r->x;
    int e;

    r->fault = FAULT_NONE;
    r->own_refusal = r->looked_at = false;
    r->retry_after = r->status = 0;
    r->lacks = STR_NONE;
    e = send_one(r, waited);
    if (e == -EKEYREJECTED) /* no room for more */
        e = gw_credential_refused(x);
    if (e == 0 && r->a.head->status >= 400) {
        e = learn_from_reply(r);
        return 0;
    }
    if (e == 0)
        e = look_again(r);
    if (e == 0 && r->lacks.n)
        return 0;
    if (e == 0 && (e = relay(r)) == 0)
        return 1;
    learn_from_error(r);
    return 0;
}

static int run(struct run *r)
{
    int64_t at = 0, from = clock_now();

    r->a.t = plan_next(r->p, NULL, FAULT_NONE, from, &at);
    for (r->targets = 1;;) {
        if (at - from > r->p->chain->retry_after_max)
            at = 0; /* all of them rest for long: then at once */
        if (wait_for(r->x, at) < 0)
            return -EREMOTEIO;
        if (try(r, clock_now() - from)) {
            note_success(r);
            return 0;
        }
        struct plan_target *was = r->a.t;
        if (r->fault == FAULT_RATE && r->a.sent && !is_cancelled(r->x))
            rest(r);
        bool more = follow(r, &at);
        struct plan_target *next = r->a.t;
        r->a.t = was;
        note_failure(r, !more ? STR("gave up") : next == was ? STR("retry") : STR("next"));
        if (!more)
            return exhausted(r);
        if (r->lacks.n)
            attempt_meter_held(r->x, &r->a);
        if (r->a.sent)
            attempt_spent(r->x, was_free(r));
        attempt_end(&r->a);
        r->a = (struct attempt){.t = next};
        from = clock_now();
    }
}

int gw_attempts(struct exchange *x)
{
    struct run r = {.x = x, .p = x->plan};
    int64_t total = r.p->chain->timeout ? r.p->chain->timeout : x->upstream->timeouts.total;

    x->can_send_again = true;
    if (total)
        x->deadline = x->rq->first_byte_at + total;
    attempt_shadow(x);
    int e = run(&r);
    attempt_end(&r.a);
    return e;
}
