/*
 * Hedged calls: where the head of a reply (and of a stream its first bytes) takes longer than
 * nearly all of this target's calls do, another target is asked the same, and who answers first
 * serves. The other one is cancelled, and what its provider will bill for the prompt is part of the
 * call's cost.
 *
 *   this coroutine: starts both, waits for news, chooses
 *     ├─ racer 0: waits for the head of the first call
 *     └─ racer 1: likewise of the second
 *
 * A racer touches nothing but its own call. What the exchange knows of an attempt is put aside
 * while the other one is prepared (struct side), and put back for the one that won.
 */
#include "gateway/attempt.h"
#include "gateway/translated_int.h"
#include "keys/limits.h"
#include "route/route.h"
#include "runtime/sync.h"

#include <errno.h>

#define END_NS (5 * NS_PER_S)

/* What the exchange knows of one attempt. */
struct side {
    const struct upstream *upstream;
    const struct upstream_key *key;
    const struct model_facts *facts;
    const struct provider_face *face;
    enum endpoint_kind up_kind;
    struct str model, dropped, scope;
    int64_t scope_end, sent_at;
    bool stream, usage_injected;
    /* of a translated one */
    bool translated;
    const struct wire *provider;
    struct canon_call call;
    struct translated_made made;
};

struct racer {
    struct attempt a;
    struct side side;
    struct event *news;
    struct error error;
    int r;
    bool runs, done;
    bool failed; /* by itself */
};

struct race {
    struct group group;
    struct event news;
    struct racer at[2];
};

/* --- putting aside --- */

static void save(const struct exchange *x, struct side *s)
{
    const struct translated *t = x->translated;

    *s = (struct side){.upstream = x->upstream,
        .key = x->upstream_key,
        .facts = x->facts,
        .face = x->face,
        .up_kind = x->up_kind,
        .model = x->model,
        .dropped = x->dropped_params,
        .scope = x->provider_scope,
        .scope_end = x->provider_scope_end,
        .sent_at = x->upstream_sent_at,
        .stream = x->stream,
        .usage_injected = x->usage_injected,
        .translated = gw_is_translated(x)};
    if (s->translated) {
        s->provider = t->provider;
        s->call = t->call;
        s->made = t->made;
    }
}

static void restore(struct exchange *x, const struct side *s)
{
    x->upstream = s->upstream;
    x->upstream_key = s->key;
    x->facts = s->facts;
    x->face = s->face;
    x->up_kind = s->up_kind;
    x->model = s->model;
    x->dropped_params = s->dropped;
    x->provider_scope = s->scope;
    x->provider_scope_end = s->scope_end;
    x->upstream_sent_at = s->sent_at;
    x->stream = s->stream;
    x->usage_injected = s->usage_injected;
    x->error = (struct error){0};
    x->outcome = OUTCOME_PENDING;
    if (x->translated) {
        x->translated->on = s->translated;
        x->translated->error = (struct error){0};
    }
    if (s->translated) {
        x->translated->provider = s->provider;
        x->translated->call = s->call;
        x->translated->made = s->made;
    }
}

/* --- racing --- */

static bool is_good(const struct racer *r)
{
    return r->done && r->r == 0 && r->a.head->status < 400;
}

static int race_one(void *arg)
{
    struct racer *r = arg;

    r->r = http_call_head(r->a.call, &r->a.head, &r->error);
    if (r->r == 0 && r->a.head->status < 400)
        http_call_wait(r->a.call); /* a failure is told to who reads on */
    r->done = true;
    event_set(r->news);
    return 0;
}

static int enter(struct race *race, unsigned i)
{
    struct racer *r = &race->at[i];

    r->news = &race->news;
    r->runs = group_spawn(&race->group, "hedge", race_one, r) == 0;
    return r->runs ? 0 : -ENOMEM;
}

static bool all_done(const struct race *race)
{
    for (unsigned i = 0; i < ARRAY_LEN(race->at); i++)
        if (race->at[i].runs && !race->at[i].done)
            return false;
    return true;
}

/* Until one is good, or all are done. -ECANCELED. */
static int watch(struct race *race, int64_t until)
{
    int r = 0;

    while (!is_good(&race->at[0]) && !is_good(&race->at[1]) && !all_done(race)) {
        event_reset(&race->news);
        if ((r = event_wait(&race->news, until)) < 0)
            return r;
    }
    return 0;
}

/* Another target that is well; or the same once more. */
static struct plan_target *second_of(struct exchange *x, const struct attempt *a)
{
    struct plan *p = x->plan;
    int64_t now = clock_now();

    for (unsigned i = 0; i < p->n; i++) {
        struct plan_target *t = &p->at[i];
        if (t != a->t && !t->over && t->reason == PLAN_USABLE && route_state_is_well(t->state, now))
            return t;
    }
    return a->t;
}

/* Starts the second; whatever is in its way, the first goes on. */
static void join(struct exchange *x, struct race *race)
{
    struct racer *first = &race->at[0], *r = &race->at[1];

    if (x->routing->tries_n == ROUTING_TRIES_MAX ||
        !route_state_may_hedge(first->a.t->state, x->plan->chain->hedge_percent))
        return;
    save(x, &first->side);
    r->a.t = second_of(x, &first->a);
    attempt_log(x, &r->a, 0);
    x->hedging = true;
    int e = attempt_start(x, &r->a);
    x->hedging = false;
    if (e == 0)
        e = enter(race, 1);
    save(x, &r->side);
    x->routing->hedges += r->a.sent;
    if (e < 0 && r->a.log)
        r->a.log->then = STR("hedge not made");
    if (e < 0 && r->a.sent)
        route_state_end(r->a.t->state, ROUTE_NO_FAULT, &x->plan->chain->breaker, clock_now());
    if (e < 0)
        attempt_end(&r->a);
    restore(x, &first->side);
}

/* --- the end --- */

/* What a loser ended with by itself, before it was cancelled. */
static enum wire_fault fault_of(const struct racer *r)
{
    if (!r->failed)
        return FAULT_NONE;
    if (r->r < 0)
        return r->r == -ETIMEDOUT ? FAULT_TIMEOUT : FAULT_SERVER;
    return wire_fault_of(r->a.head->status, STR_NONE, STR_NONE, STR_NONE);
}

static void count_loser(struct exchange *x, struct racer *r)
{
    enum wire_fault f = fault_of(r);
    int status = r->failed && r->r == 0 ? r->a.head->status : 0;

    attempt_log_end(&r->a, STR("lost"), status, attempt_fault_text(f));
    restore(x, &r->side);
    attempt_spent(x, status >= 400);
    if (route_state_end(r->a.t->state, r->failed ? attempt_result_of(f) : ROUTE_ABANDONED,
            &x->plan->chain->breaker, clock_now()))
        attempt_count_opened(r->a.t);
    attempt_end(&r->a);
}

static int take_result(struct exchange *x, struct racer *r, struct attempt *a)
{
    *a = r->a;
    if (r->r < 0)
        return gw_call_failed(x, r->r, &r->error);
    x->upstream_first_at = http_call_info(r->a.call).first_byte_at;
    return gw_check_status(x, r->a.head);
}

static int choose(struct exchange *x, struct race *race, struct attempt *a)
{
    unsigned w = is_good(&race->at[0]) || !is_good(&race->at[1]) ? 0 : 1;
    struct racer *won = &race->at[w], *lost = &race->at[!w];

    if (!lost->a.call)
        return take_result(x, won, a);
    attempt_count_hedge(race->at[1].a.t, w ? STR("won") : STR("lost"));
    count_loser(x, lost);
    restore(x, &won->side);
    return take_result(x, won, a);
}

bool attempt_may_hedge(const struct exchange *x, const struct attempt *a)
{
    const struct route_chain *c = x->plan->chain;
    enum route_flow f = x->stream_asked ? ROUTE_STREAM : ROUTE_WHOLE;

    return c->hedge && (c->hedge_after || route_state_hedge_after(a->t->state, f) >= 0);
}

/* Not inlined: the race is large, and over before a relay begins to wait. */
__attribute__((noinline)) int attempt_hedged_head(struct exchange *x, struct attempt *a)
{
    const struct route_chain *c = x->plan->chain;
    enum route_flow f = x->stream_asked ? ROUTE_STREAM : ROUTE_WHOLE;
    int64_t after = c->hedge_after ? c->hedge_after : route_state_hedge_after(a->t->state, f);
    struct race *race = arena_new(&x->arena, struct race);

    if (!race)
        return gw_call_head(x, a->call, &a->head);
    group_init(&race->group, false);
    event_init(&race->news);
    race->at[0].a = *a;
    if (enter(race, 0) < 0)
        return gw_call_head(x, a->call, &a->head);
    int r = watch(race, a->began + after);
    if (r == -ETIMEDOUT) {
        join(x, race);
        r = watch(race, NEVER_NS); /* each call has its own time-outs */
    }
    for (unsigned i = 0; i < ARRAY_LEN(race->at); i++)
        race->at[i].failed = race->at[i].done && !is_good(&race->at[i]);
    co_mask_cancel();
    group_cancel(&race->group);
    group_wait(&race->group, clock_now() + END_NS);
    co_unmask_cancel();
    return choose(x, race, a);
}
