/*
 * The stage that calls the upstream: builds the request (bytes first: the body as it came, changed
 * only by splicing), waits for the reply's head, hands the reply to the relay that fits it.
 *
 * What may suspend: everything here. A client that goes away cancels the coroutine; each wait then
 * returns -ECANCELED, and http_call_end() closes the upstream at once.
 */
#include "gateway/attempt.h"
#include "gateway/own.h"
#include "gateway/translated.h"
#include "http/retry_after.h"
#include "keys/limits.h"
#include "ledger/ledger.h"
#include "route/budget.h"
#include "route/route.h"

#include <errno.h>

/* --- start and head --- */

int gw_call_failed(struct exchange *x, int r, const struct error *e)
{
    if (r == -ECANCELED || co_cancelled()) {
        x->outcome = OUTCOME_CANCELLED;
        return exchange_fail(x, 499, STR("client_closed_request"), STR("The client went away."));
    }
    x->outcome = OUTCOME_UPSTREAM_ERROR;
    if (x->error.status)
        return -EREMOTEIO;
    x->error = *e;
    if (!x->error.status) {
        x->error.status = 502;
        x->error.code = STR("upstream_failed");
        x->error.message = STR("The provider could not be reached.");
    }
    x->error.message = arena_dup(&x->arena, x->error.message);
    x->error.detail = arena_dup(&x->arena, x->error.detail);
    return -EREMOTEIO;
}

/* The counter of its provider's daily budget, which the ledger shall know, too. */
static void take_scope(struct exchange *x)
{
    struct str provider = x->upstream->provider->id;
    char room[ROUTE_COUNTER_BYTES];

    x->provider_scope = STR_NONE;
    if (x->hold && route_budget_of(&x->route_settings->rules, provider))
        x->provider_scope = arena_dup(&x->arena,
            route_budget_counter(provider, x->started_wall, room, &x->provider_scope_end));
}

/* What must be so before an upstream sees the call: its money is held, and it is on the journal. */
static int begin_attempt(struct exchange *x)
{
    if (x->route_settings->rules.budgets_n)
        take_scope(x);
    int r = x->hedging ? limits_reserve_again(x) : limits_reserve(x);

    return r < 0 ? r : ledger_call_open(x);
}

static int64_t sooner(int64_t span, int64_t usual, int64_t at, int64_t now)
{
    span = span ? span : usual;
    return at ? MAX(MIN(span, at - now), NS_PER_MS) : span;
}

/* The provider's, cut where the call or its attempt has to end sooner. */
static struct http_timeouts timeouts_of(const struct exchange *x)
{
    struct http_timeouts t = x->upstream->timeouts;

    if (!x->deadline && !x->first_token_by)
        return t;
    int64_t now = clock_now();
    if (x->deadline)
        t.total = sooner(t.total, 1800 * NS_PER_S, x->deadline, now);
    if (x->first_token_by)
        t.first_byte = sooner(t.first_byte, 600 * NS_PER_S, x->first_token_by, now);
    return t;
}

int gw_call_start(struct exchange *x, const struct iovec *body, unsigned body_n, uint64_t length,
    bool has_body, bool stream_body, struct http_call **ret)
{
    const struct upstream *u = x->upstream;
    struct str method = x->rq->head.method_text, target, fields;
    struct error e = {0};
    char *errbuf;
    int r = x->face ? 0 : gw_attempt_begin(x);

    if (r < 0 || (r = begin_attempt(x)) < 0)
        return r;
    struct buf *b = gw_scratch();
    r = gw_is_remade(x) ? provider_target_of(u, x->face, x->up_kind, x->stream, x, b)
                        : provider_target(u, x->face, x, b);
    if (r < 0)
        return r;
    x->upstream_key = x->caller_credential.n ? NULL : gw_own_key(x, u);
    target = arena_dup(&x->arena, buf_str(b));
    r = gw_upstream_fields(x, x->face, method, target, body, body_n, &fields);
    if (r < 0)
        return r;
    if (!target.p || !(errbuf = arena_alloc(&x->arena, 512)))
        return exchange_fail(x, 500, STR("internal_error"), STR("Out of memory."));
    struct http_client_request rq = {
        .method = method,
        .target = target,
        .fields = fields,
        .body = body,
        .body_n = body_n,
        .body_length = length,
        .has_body = has_body,
        .stream_body = stream_body,
        .upgrade = (x->match.endpoint->flags & EP_WEBSOCKET) != 0,
    };
    x->attempts++;
    x->upstream_sent_at = clock_now();
    struct http_timeouts timeouts = timeouts_of(x);
    r = http_call_start(&u->origin, &rq, &timeouts, ret, &e, errbuf);
    return r < 0 ? gw_call_failed(x, r, &e) : 0;
}

int gw_retry_after_s(const struct http_head *h)
{
    int64_t wall = clock_wall(), ns = http_retry_after(&h->fields, wall);

    if (!ns && h->status == 429)
        ns = http_limits_reset(&h->fields, wall);
    return (int)((ns + NS_PER_S - 1) / NS_PER_S);
}

int gw_credential_refused(struct exchange *x)
{
    x->outcome = OUTCOME_UPSTREAM_ERROR;
    x->error.no_retry = true;
    x->error.hint = x->upstream->provider->key_env.n ? arena_printf(&x->arena, "Check " STR_FMT ".",
                                                           STR_ARG(x->upstream->provider->key_env))
                                                     : STR_NONE;
    return exchange_failf(x, 502, STR("provider_auth_failed"),
        STR_FMT " refused the gateway's credential.", STR_ARG(x->upstream->provider->title));
}

#define KEYS_TRIED_MAX 4

/* A credential that is refused, or, where other targets would be tried for that, rate limited. */
static bool is_keys_fault(const struct exchange *x, int status)
{
    return status == 401 ? x->plan || x->attempts < KEYS_TRIED_MAX : status == 429 && x->plan;
}

int gw_check_status(struct exchange *x, const struct http_head *h)
{
    x->upstream_status = h->status;
    upstream_key_report(x->upstream_key, h->status, gw_retry_after_s(h));
    if (is_keys_fault(x, h->status) && x->can_send_again && x->upstream_key &&
        upstream_pick_other(x->upstream, x->upstream_key))
        return -EKEYREJECTED;
    return h->status == 401 && !x->caller_credential.n ? gw_credential_refused(x) : 0;
}

int gw_call_head(struct exchange *x, struct http_call *c, const struct http_head **ret)
{
    struct error e = {0};
    int r = http_call_head(c, ret, &e);

    if (r < 0)
        return gw_call_failed(x, r, &e);
    x->upstream_first_at = http_call_info(c).first_byte_at;
    return gw_check_status(x, *ret);
}

/* --- the stage --- */

int gw_body_send(struct exchange *x, const struct gw_body *b, struct http_call **ret)
{
    int r = gw_call_start(x, b->iov, b->n, b->length, true, b->of_upload, ret);

    return r == 0 && b->of_upload ? gw_upload_send(x, b, *ret) : r;
}

/* Sends the body and waits for the reply's head. Not inlined: what lies on the stack here is only
 * needed until then, while a relay may wait for long. */
__attribute__((noinline)) static int send_whole(
    struct exchange *x, struct http_call **ret, const struct http_head **ret_head)
{
    struct gw_body body;
    int r = gw_attempt_begin(x);

    if (r < 0)
        return r;
    r = gw_body_for_target(x, &body);
    if (r == 0)
        r = gw_body_send(x, &body, ret);
    if (r == 0)
        r = gw_call_head(x, *ret, ret_head);
    gw_body_free(&body);
    return r;
}

int gw_call_whole(struct exchange *x)
{
    struct http_call *c = NULL;
    const struct http_head *head;
    int r;

    if (x->plan)
        return gw_attempts(x);
    x->can_send_again = true;
    while ((r = send_whole(x, &c, &head)) == -EKEYREJECTED) {
        http_call_end(c);
        c = NULL;
    }
    if (r == 0)
        r = gw_relay_reply(x, c, head);
    http_call_end(c);
    return r;
}

int gw_call_no_body(struct exchange *x)
{
    struct http_call *c = NULL;
    const struct http_head *head;
    int r = gw_call_start(x, NULL, 0, 0, false, false, &c);

    if (r == 0)
        r = gw_call_head(x, c, &head);
    if (r == 0)
        r = gw_relay_reply(x, c, head);
    http_call_end(c);
    return r;
}

static int call(struct exchange *x)
{
    const struct endpoint *e = x->match.endpoint;
    bool body = x->rq->head.framing != HTTP_BODY_NONE;

    if (e->flags & EP_WEBSOCKET)
        return gw_call_websocket(x);
    if ((e->flags & EP_JSON) && x->body.p) {
        int r = gw_attempt_begin(x);
        if (r < 0)
            return r;
        return gw_counts_here(x) ? gw_count_here(x) : gw_call_whole(x);
    }
    if (e->flags & EP_MULTIPART)
        return gw_call_multipart(x);
    if (e->kind == KIND_MODELS)
        return gw_models_list(x);
    return body ? gw_call_raw(x) : gw_call_no_body(x);
}

const struct stage stage_call = {
    .name = "call",
    .on_request = call,
};
