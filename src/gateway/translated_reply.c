/*
 * Replies of providers that speak another dialect: read whole, understood, and written anew in the
 * client's. An error becomes the exchange's error, so that another target may still be tried, and
 * is rendered by the front, with what the provider's head said of limits.
 */
#include "gateway/own.h"
#include "gateway/translated_int.h"
#include "http/inflate.h"
#include "keys/limits.h"
#include "ledger/ledger.h"
#include "providers/face.h"

#include <errno.h>

static bool is_type(const struct http_head *h, struct str want)
{
    struct str v = http_get(&h->fields, HTTP_CONTENT_TYPE);

    return str_ieq(str_trim(str_split(&v, ';')), want);
}

/* --- fields --- */

static bool is_rate_limit(struct str name)
{
    return str_istarts(name, STR("x-ratelimit-")) || str_istarts(name, STR("anthropic-ratelimit-"));
}

static bool is_request_id(struct str name)
{
    return str_ieq(name, STR("request-id")) || str_ieq(name, STR("x-request-id")) ||
           str_ieq(name, STR("x-amzn-requestid"));
}

/* What a provider's head says that is not about its own dialect or body. */
static void kept_fields(const struct http_head *from, bool limited, struct buf *out)
{
    for (unsigned i = 0; i < from->fields.n; i++) {
        const struct http_field *h = &from->fields.at[i];
        if (!(is_rate_limit(h->name) && !limited) && !str_ieq(h->name, STR("retry-after-ms")) &&
            !str_istarts(h->name, STR("openai-processing")))
            continue;
        http_put(out, h->name, h->value);
    }
}

static struct str request_id(const struct http_head *from)
{
    for (unsigned i = 0; i < from->fields.n; i++)
        if (is_request_id(from->fields.at[i].name))
            return from->fields.at[i].value;
    return STR_NONE;
}

void translated_reply_fields(
    struct exchange *x, const struct http_head *from, struct str type, struct buf *out)
{
    struct str id = request_id(from);
    size_t before = out->n;

    limits_fields(x, out);
    kept_fields(from, out->n > before, out);
    if (id.n) /* the provider's, under the name that the client's SDK reads */
        http_put(out, dialect_request_id_field(x->dialect), id);
    if (x->match.endpoint->kind == KIND_INVOKE_STREAM) /* of what stands in the chunks */
        http_put(out, STR("x-amzn-bedrock-content-type"), STR("application/json"));
    if (x->usage.source == USAGE_COUNTED)
        http_put(out, STR("x-smartflow-tokens-estimated"), STR("true"));
    http_put(out, STR("content-type"), type);
    if (x->stream) {
        http_put(out, STR("cache-control"), STR("no-cache"));
        http_put(out, STR("x-accel-buffering"), STR("no"));
        if (x->wants_trailers)
            http_put(out, STR("trailer"), STR("x-smartflow-cost-usd, x-smartflow-response-cost"));
    }
    gw_own_fields(x, out);
}

/* --- errors --- */

/* The wire that knows how a dialect's errors look, whatever the endpoint. */
static const struct wire *error_wire(enum dialect d)
{
    const struct wire *w = wire_for(d, KIND_CHAT);

    if (!w)
        w = wire_for(d, d == DIALECT_ANTHROPIC ? KIND_MESSAGES : KIND_GENERATE);
    return w ? w : wire_of(WIRE_CHAT);
}

static int decoded(
    struct exchange *x, const struct http_head *h, struct str *body, struct buf *plain)
{
    struct str coding = http_get(&h->fields, HTTP_CONTENT_ENCODING);

    if (!coding.n || str_ieq(coding, STR("identity")))
        return 0;
    if (gw_decode(coding, *body, plain) < 0)
        return exchange_fail(x, 502, STR("upstream_bad_response"),
            STR("The provider's reply has a coding that cannot be read."));
    *body = buf_str(plain);
    return 0;
}

/* Texts of views into a buffer that goes. */
static void keep_texts(struct arena *a, struct error *e)
{
    struct str *texts[] = {&e->code, &e->type, &e->message, &e->param, &e->hint, &e->detail};

    for (unsigned i = 0; i < ARRAY_LEN(texts); i++)
        if (texts[i]->n)
            *texts[i] = arena_dup(a, *texts[i]);
}

__attribute__((noinline)) int gw_upstream_error(
    struct exchange *x, struct http_call *c, const struct http_head *h, struct error *ret)
{
    _cleanup_(buf_free) struct buf plain = {0};
    struct canon_call call;
    struct str body = x->held_reply;
    int r = body.p ? 0 : http_call_read_all(c, LIMIT_RESPONSE_BYTES, &body);

    if (r < 0)
        return gw_upstream_broke(x, r);
    x->held_reply = body;
    buf_init(&plain, LIMIT_RESPONSE_BYTES);
    if ((r = decoded(x, h, &body, &plain)) < 0)
        return r;
    *ret = (struct error){0};
    canon_call_init(&call, &x->arena, ret);
    call.provider = x->upstream->provider->id;
    error_wire(x->face->dialect)
        ->read_error(
            &call, h->status, http_get_other(&h->fields, STR("x-amzn-errortype")), body, ret);
    keep_texts(&x->arena, ret);
    if (!ret->status)
        ret->status = h->status;
    if (!ret->message.n)
        ret->message = arena_printf(&x->arena, STR_FMT " answered with status %d.",
            STR_ARG(x->upstream->provider->title), h->status);
    if (!ret->retry_after_s)
        ret->retry_after_s = gw_retry_after_s(h);
    return 0;
}

void translated_word_error(struct exchange *x, struct error *e)
{
    wire_word_error(x->dialect, x->translated->client, &x->translated->call, e);
}

/* The provider's error as the exchange's; the front renders it, if no other target is tried. */
static int relay_error(struct exchange *x, struct http_call *c, const struct http_head *h)
{
    struct error e;
    int r = gw_upstream_error(x, c, h, &e);

    if (r < 0)
        return r;
    x->outcome = OUTCOME_UPSTREAM_ERROR;
    if (gw_refused_key(x, h, x->held_reply))
        return gw_credential_refused(x);
    translated_word_error(x, &e);
    struct buf *fields = gw_scratch();
    kept_fields(h, false, fields);
    x->error_fields = arena_dup(&x->arena, buf_str(fields));
    if (!x->error.status)
        x->error = e;
    return -EREMOTEIO;
}

/* --- whole replies --- */

static void note_usage(struct exchange *x, const struct canon_reply *r)
{
    translated_usage(x, &r->usage);
    if (x->meter.usage.source != USAGE_UNKNOWN)
        return;
    for (const struct canon_choice *ch = r->choices; ch; ch = ch->next)
        translated_parts_text(x, ch->parts);
}

static int write_reply(struct exchange *x, const struct canon_reply *r, struct buf *out)
{
    struct translated *t = x->translated;
    int e = x->stream_asked ? canon_replay(&t->call, r, t->client, out)
                            : t->client->write_reply(&t->call, r, out);

    return e < 0 ? e : out->err;
}

static int understood(struct exchange *x, const struct http_head *h, struct str body,
    struct canon_reply *reply, struct buf *out)
{
    struct translated *t = x->translated;
    _cleanup_(buf_free) struct buf plain = {0};
    int r;

    buf_init(&plain, LIMIT_RESPONSE_BYTES);
    if ((r = decoded(x, h, &body, &plain)) < 0)
        return r;
    t->error = (struct error){0};
    if (!kind_generates(x->match.endpoint->kind)) {
        r = translated_other_reply(x, body, out);
        return r < 0 ? translated_failed(x, r) : 0;
    }
    r = t->provider->read_reply(&t->call, body, reply);
    if (r == 0) {
        note_usage(x, reply);
        r = write_reply(x, reply, out);
    }
    return r < 0 ? translated_failed(x, r) : 0;
}

static struct str whole_type(const struct exchange *x)
{
    const struct translated *t = x->translated;

    if (t->made.reply_type.n)
        return t->made.reply_type;
    return x->stream ? translated_stream_type(t) : STR("application/json");
}

/* An attempt before this one may have begun the reply, with keep-alives. */
static int send_whole(struct exchange *x, const struct http_head *h, struct str body)
{
    struct buf *fields;

    if (http_reply_begun(x->rq)) {
        struct iovec iov = {(char *)body.p, body.n};
        x->head_only = false;
        return http_reply_end_with(x->rq, &iov, 1, STR_NONE);
    }
    fields = gw_scratch();
    translated_reply_fields(x, h, whole_type(x), fields);
    return http_reply(x->rq, 200, buf_str(fields), body);
}

__attribute__((noinline)) int translated_relay_whole(
    struct exchange *x, struct http_call *c, const struct http_head *h)
{
    _cleanup_(buf_free) struct buf out = {0};
    _cleanup_(gw_followup_end) struct followup last = {0};
    struct canon_reply reply = {0};
    struct str body = x->held_reply;
    int r = body.p ? 0 : http_call_read_all(c, LIMIT_RESPONSE_BYTES, &body);

    if (r < 0)
        return gw_upstream_broke(x, r);
    buf_init(&out, 2 * LIMIT_RESPONSE_BYTES);
    if ((r = translated_await_prediction(x, h, &body, &last)) == 0)
        r = understood(x, h, body, &reply, &out);
    if (r < 0) {
        if (x->outcome == OUTCOME_PENDING)
            x->outcome = OUTCOME_UPSTREAM_ERROR;
        return r;
    }
    x->outcome = OUTCOME_OK;
    x->stream = x->stream_asked;
    translated_note_losses(x);
    if (x->match.endpoint->kind == KIND_RESPONSES)
        translated_keep(x, x->stream ? translated_last_response(buf_str(&out)) : buf_str(&out));
    if (!str_starts(x->translated->made.reply_type, STR("audio/")))
        ledger_reply_bytes(x, buf_str(&out));
    x->reply_first_at = clock_now();
    gw_account(x);
    return send_whole(x, h, buf_str(&out)) < 0 ? gw_client_gone(x) : 0;
}

int gw_relay_translated(struct exchange *x, struct http_call *c, const struct http_head *h)
{
    if (h->status >= 300)
        return relay_error(x, c, h);
    if (!kind_generates(x->match.endpoint->kind))
        return translated_other_relay(x, c, h);
    if (!x->stream_asked || is_type(h, STR("application/json")))
        return translated_relay_whole(x, c, h);
    return translated_relay_stream(x, c, h);
}
