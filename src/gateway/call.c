/*
 * The stage that calls the upstream: builds the request (bytes first: the body as it came, changed
 * only by splicing), waits for the reply's head, hands the reply to the relay that fits it.
 *
 * What may suspend: everything here. A client that goes away cancels the coroutine; each wait then
 * returns -ECANCELED, and http_call_end() closes the upstream at once.
 */
#include "gateway/gateway_int.h"
#include "gateway/own.h"
#include "keys/limits.h"
#include "ledger/ledger.h"
#include "json/splice.h"

#include <errno.h>

/* --- edits to a JSON body --- */

static int put_model(struct exchange *x, struct splice *to, bool insert)
{
    struct json_span *s = &x->spans[BODY_MODEL];
    _cleanup_(buf_free) struct buf lit = {0};
    size_t at = json_inside(x->body), first = at;
    struct str key, value;

    buf_init(&lit, 4096);
    buf_addstr(&lit, insert ? STR("\"model\":") : STR(""));
    buf_addjson(&lit, x->model);
    if (insert && json_next(x->body, &first, &key, &value))
        buf_addc(&lit, ',');
    struct str with = arena_dup(&x->arena, buf_str(&lit));
    if (lit.err || !with.p)
        return -ENOMEM;
    return insert ? splice_replace(to, at, at, with) : splice_replace(to, s->value, s->end, with);
}

/* Below an Azure deployment the path's name is the one that was checked, so it must be the body's,
 * too: another upstream than Azure would read that. */
static int edit_model(struct exchange *x, struct splice *to)
{
    struct json_span *s = &x->spans[BODY_MODEL];

    if (!x->model.n || (x->match.endpoint->flags & EP_MODEL_PATH))
        return 0;
    if (x->match.azure_deployment)
        return put_model(x, to, s->key == s->end);
    if (s->type != JSON_STRING || str_eq(x->model, x->model_asked))
        return 0;
    return put_model(x, to, false);
}

/* Asks for usage in the stream where the client did not: always metered, shown only when asked. */
static int edit_usage(struct exchange *x, struct splice *to)
{
    struct json_span *o = &x->spans[BODY_STREAM_OPTIONS], *u = &x->spans[BODY_INCLUDE_USAGE];
    int r;

    if (!x->stream || x->usage_asked || !(x->match.endpoint->flags & EP_USAGE_OPT))
        return 0;
    if (u->type == JSON_FALSE || u->key != u->end) /* false or null */
        r = splice_replace(to, u->value, u->end, STR("true"));
    else if (o->type == JSON_OBJECT)
        r = splice_replace(to, o->value + 1, o->value + 1,
            o->items ? STR("\"include_usage\":true,") : STR("\"include_usage\":true"));
    else if (o->key != o->end) /* "stream_options":null */
        r = splice_replace(to, o->value, o->end, STR("{\"include_usage\":true}"));
    else
        r = splice_replace(to, x->spans[BODY_STREAM].end, x->spans[BODY_STREAM].end,
            STR(",\"stream_options\":{\"include_usage\":true}"));
    if (r == 0)
        x->usage_injected = true;
    return r;
}

/* --- start and head --- */

static int call_failed(struct exchange *x, int r, const struct error *e)
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

/* What must be so before an upstream sees the call: its money is held, and it is on the journal. */
static int begin_attempt(struct exchange *x)
{
    int r = limits_reserve(x);

    return r < 0 ? r : ledger_call_open(x);
}

int gw_call_start(struct exchange *x, const struct iovec *body, unsigned body_n, uint64_t length,
    bool has_body, bool stream_body, struct http_call **ret)
{
    const struct upstream *u = x->upstream;
    const struct provider_face *face =
        provider_face(u->provider, x->dialect, x->match.endpoint->kind);
    struct str method = x->rq->head.method_text, target, fields;
    struct error e = {0};
    char *errbuf;
    int r = begin_attempt(x);

    if (r < 0)
        return r;
    struct buf *b = gw_scratch();
    if ((r = provider_target(u, face, x, b)) < 0)
        return r;
    x->upstream_key = x->caller_credential.n ? NULL : gw_own_key(x, u);
    target = arena_dup(&x->arena, buf_str(b));
    r = gw_upstream_fields(x, face, method, target, &fields);
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
    r = http_call_start(&u->origin, &rq, &u->timeouts, ret, &e, errbuf);
    return r < 0 ? call_failed(x, r, &e) : 0;
}

static int retry_after(const struct http_head *h)
{
    struct str v = http_get(&h->fields, HTTP_RETRY_AFTER);
    uint64_t s;

    return v.n && str_u64(v, &s) == 0 ? (int)MIN(s, (uint64_t)3600) : 0;
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

/* -EKEYREJECTED: nothing was sent to the client, and the provider has another credential here. */
static int check_status(struct exchange *x, const struct http_head *h)
{
    x->upstream_status = h->status;
    upstream_key_report(x->upstream_key, h->status, retry_after(h));
    if (h->status == 401 && x->can_send_again && x->attempts < KEYS_TRIED_MAX && x->upstream_key &&
        upstream_pick_other(x->upstream, x->upstream_key))
        return -EKEYREJECTED;
    return h->status == 401 && !x->caller_credential.n ? gw_credential_refused(x) : 0;
}

int gw_call_head(struct exchange *x, struct http_call *c, const struct http_head **ret)
{
    struct error e = {0};
    int r = http_call_head(c, ret, &e);

    if (r < 0)
        return call_failed(x, r, &e);
    x->upstream_first_at = http_call_info(c).first_byte_at;
    return check_status(x, *ret);
}

/* --- the stage --- */

/* Sends the body and waits for the reply's head. Not inlined: what lies on the stack here is only
 * needed until then, while a relay may wait for long. */
__attribute__((noinline)) static int send_json(
    struct exchange *x, struct http_call **ret, const struct http_head **ret_head)
{
    _cleanup_(buf_free) struct buf unmarked = {0};
    struct iovec iov[2 * SPLICE_MAX_EDITS + 1];
    struct str body = x->body;
    struct splice edits;
    int r;

    if (x->match.endpoint->kind == KIND_MESSAGE_BATCHES) { /* has no edits of the other kinds */
        buf_init(&unmarked, body.n);
        body = gw_without_marks(body, &unmarked);
    }
    splice_init(&edits, body);
    if ((r = edit_model(x, &edits)) < 0 || (r = edit_usage(x, &edits)) < 0)
        return exchange_fail(x, 500, STR("internal_error"), STR("Editing the body failed."));
    unsigned n = splice_iov(&edits, iov);
    r = gw_call_start(x, iov, n, splice_length(&edits), true, false, ret);
    return r < 0 ? r : gw_call_head(x, *ret, ret_head);
}

static int call_json(struct exchange *x)
{
    struct http_call *c = NULL;
    const struct http_head *head;
    int r;

    x->can_send_again = true;
    while ((r = send_json(x, &c, &head)) == -EKEYREJECTED) {
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
    if ((e->flags & EP_JSON) && x->body.p)
        return call_json(x);
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
