/*
 * Header fields on their way through. To the upstream go the client's fields but for: hop-by-hop
 * ones, framing, the client's credentials, cookies, forwarding and gateway fields; in come the
 * provider's credential and our mark in Via, by which a loop is noticed. Back go the upstream's
 * fields but for hop-by-hop ones, framing and cookies, and ours are added.
 */
#include "base/secret.h"
#include "crypto/random.h"
#include "gateway/translated_int.h"
#include "keys/limits.h"
#include "llm/routing.h"
#include "telemetry/telemetry.h"

#include <errno.h>
#include <pthread.h>

/* --- our mark in Via --- */

static char mark[16]; /* "sf-" and 8 hex digits, drawn once per process */
static pthread_once_t mark_once = PTHREAD_ONCE_INIT;

static void mark_make(void)
{
    memcpy(mark, "sf-", 3);
    random_hex(mark + 3, 4);
    mark[11] = 0;
}

static struct str own_mark(void)
{
    pthread_once(&mark_once, mark_make);
    return str_of(mark);
}

bool gw_came_from_us(struct http_request *rq)
{
    const struct http_fields *f = &rq->head.fields;

    if (!http_has(f, HTTP_VIA))
        return false;
    for (unsigned i = 0; i < f->n; i++)
        if (f->at[i].id == HTTP_VIA && str_find(f->at[i].value, own_mark()) >= 0)
            return true;
    return false;
}

/* --- to the upstream --- */

/* Fields that never pass, whatever the message's Connection says. */
static bool kept_back(const struct http_field *f)
{
    switch (f->id) {
    case HTTP_HOST:
    case HTTP_CONTENT_LENGTH:
    case HTTP_EXPECT:
    case HTTP_AUTHORIZATION:
    case HTTP_X_API_KEY:
    case HTTP_API_KEY:
    case HTTP_X_GOOG_API_KEY:
    case HTTP_COOKIE:
    case HTTP_FORWARDED:
    case HTTP_X_FORWARDED_FOR:
    case HTTP_X_FORWARDED_HOST:
    case HTTP_X_FORWARDED_PROTO:
    case HTTP_X_SMARTFLOW_PROVIDER:
    case HTTP_X_SMARTFLOW_TAGS:
    case HTTP_X_SMARTFLOW_TRACE_ID:
    case HTTP_X_SMARTFLOW_USER:
    case HTTP_ACCEPT_ENCODING:
    case HTTP_PROXY_AUTHORIZATION:
        return true;
    case HTTP_OTHER:
        return str_istarts(f->name, STR("x-smartflow-")) ||
               str_istarts(f->name, STR("x-forwarded-")) || str_ieq(f->name, STR("x-real-ip"));
    default:
        return false;
    }
}

static struct str ws_protocols(struct exchange *x, struct str list)
{
    struct buf *b = gw_scratch();

    while (list.p && list.n) {
        struct str item = str_trim(str_split(&list, ','));
        if (str_starts(item, STR("openai-insecure-api-key.")))
            continue;
        if (b->n)
            buf_addstr(b, STR(", "));
        buf_addstr(b, item);
    }
    return arena_dup(&x->arena, buf_str(b));
}

/* What tracing writes itself. */
static bool is_trace_field(const struct http_field *h)
{
    return h->id == HTTP_TRACEPARENT ||
           (h->id == HTTP_OTHER && str_ieq(h->name, STR("tracestate")));
}

/* Fields that belong to one dialect alone, with what its SDKs say of themselves. */
static bool is_of_dialect(const struct http_field *h, enum dialect to)
{
    static const struct {
        struct str begins;
        int dialect; /* -1: to nobody */
    } rows[] = {
        {STR_INIT("anthropic-"), DIALECT_ANTHROPIC},
        {STR_INIT("openai-"), DIALECT_OPENAI},
        {STR_INIT("x-goog-"), DIALECT_GEMINI},
        {STR_INIT("x-amz"), -1},
        {STR_INIT("amz-sdk-"), -1},
        {STR_INIT("x-stainless-"), -1},
        {STR_INIT("accept"), -1},
        {STR_INIT("content-"), -1},
    };
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
        if (str_istarts(h->name, rows[i].begins))
            return rows[i].dialect == (int)to;
    return true;
}

/* What a client of AWS's signed its own call with; the gateway signs anew. x-amzn-… are options of
 * Bedrock's, and pass. */
static bool is_aws_signing(const struct http_field *h)
{
    return h->id == HTTP_OTHER &&
           (str_istarts(h->name, STR("x-amz-")) || str_istarts(h->name, STR("amz-sdk-")));
}

/* What a translated body is, and what is wanted back. Betas that stood in the body have a field
 * where the body has no place for them. */
static void translated_fields(struct exchange *x, struct buf *out)
{
    const struct translated *t = x->translated;
    const struct translated_made plain = {0}, *made = t ? &t->made : &plain;

    http_put_plain(
        out, STR("content-type"), made->sent_type.n ? made->sent_type : STR("application/json"));
    http_put_plain(out, STR("accept"),
        made->wanted_type.n                   ? made->wanted_type
        : !x->stream                          ? STR("application/json")
        : x->face->dialect == DIALECT_BEDROCK ? STR("application/vnd.amazon.eventstream")
                                              : STR("text/event-stream"));
    if (x->face->dialect == DIALECT_ANTHROPIC && t && t->as_read.betas.n)
        http_put_plain(out, STR("anthropic-beta"), t->as_read.betas);
}

static void client_fields(struct exchange *x, bool websocket, struct buf *out)
{
    const struct http_fields *f = &x->rq->head.fields;
    bool traced = telemetry_trace_attempt(x, out);
    bool translated = gw_is_translated(x) || x->face->dialect != x->dialect;

    for (unsigned i = 0; i < f->n; i++) {
        const struct http_field *h = &f->at[i];
        if (traced && is_trace_field(h))
            continue;
        if (kept_back(h) || http_is_hop_by_hop(f, h) || h->id == HTTP_VIA)
            continue;
        if (translated && !is_of_dialect(h, x->face->dialect))
            continue;
        if (x->dialect == DIALECT_BEDROCK && is_aws_signing(h))
            continue;
        if (h->id == HTTP_SEC_WEBSOCKET_KEY || h->id == HTTP_SEC_WEBSOCKET_VERSION ||
            h->id == HTTP_SEC_WEBSOCKET_EXTENSIONS || h->id == HTTP_SEC_WEBSOCKET_PROTOCOL)
            continue;
        if (websocket && h->id == HTTP_ORIGIN)
            continue;
        http_put_plain(out, h->name, h->value);
    }
    if (translated)
        translated_fields(x, out);
}

int gw_upstream_fields(struct exchange *x, const struct provider_face *face, struct str method,
    struct str target, const struct iovec *body, unsigned body_n, struct str *ret)
{
    const struct http_fields *f = &x->rq->head.fields;
    const struct provider *p = x->upstream->provider;
    bool websocket = (x->match.endpoint->flags & EP_WEBSOCKET) != 0;
    struct str protocols = STR_NONE, via = http_get(f, HTTP_VIA);
    struct buf *out;
    int r;

    if (websocket && http_has(f, HTTP_SEC_WEBSOCKET_PROTOCOL))
        protocols = ws_protocols(x, http_get(f, HTTP_SEC_WEBSOCKET_PROTOCOL));
    out = gw_scratch();
    client_fields(x, websocket, out);
    if (websocket) {
        buf_addstr(out, STR("connection: upgrade\r\nupgrade: websocket\r\n"
                            "sec-websocket-version: 13\r\n"));
        http_put_plain(out, STR("sec-websocket-key"), gw_ws_key(x));
    }
    if (protocols.n)
        http_put_plain(out, STR("sec-websocket-protocol"), protocols);
    if (!(x->match.endpoint->flags & EP_METERED) && !gw_is_translated(x) &&
        x->match.endpoint->kind != KIND_MESSAGE_BATCHES && http_has(f, HTTP_ACCEPT_ENCODING))
        http_put_plain(out, STR("accept-encoding"), http_get(f, HTTP_ACCEPT_ENCODING));
    else
        http_put_plain(out, STR("accept-encoding"), STR("identity"));
    if (p->default_field_name.n && face->dialect == DIALECT_ANTHROPIC &&
        !http_has(f, HTTP_ANTHROPIC_VERSION))
        http_put_plain(out, p->default_field_name, p->default_field_value);
    buf_addstr(out, STR("via: "));
    if (via.n) {
        buf_addstr(out, via);
        buf_addstr(out, STR(", "));
    }
    buf_addstr(out, STR("1.1 "));
    buf_addstr(out, own_mark());
    buf_addstr(out, STR("\r\n"));
    r = provider_sign_body(x->upstream, face, x, method, target, body, body_n, out);
    if (r < 0)
        return r;
    *ret = arena_dup(&x->arena, buf_str(out));
    mem_wipe(out->p, out->n);
    if (out->err || !ret->p)
        return exchange_fail(x, 431, STR("head_too_large"),
            STR("The request's header fields are too large to pass on."));
    return 0;
}

/* --- to the client --- */

/* One value under each of the two names that the published documents use. */
static void put_both(struct buf *out, struct str name, struct str other_name, struct str value)
{
    http_put_plain(out, name, value);
    http_put_plain(out, other_name, value);
}

/* Nano-dollars as a decimal number of dollars, without trailing zeros. */
static struct str dollars(char out[static 40], uint64_t nano)
{
    size_t whole = u64_put(out, nano / 1000000000), n = whole + 10;

    u64_put(out + whole, 1000000000 + nano % 1000000000); /* all nine, behind a 1 */
    out[whole] = '.';
    while (out[n - 1] == '0' && out[n - 2] != '.')
        n--;
    return str_at(out, n);
}

/* A model's name comes from a JSON string or a form, where any byte can stand. */
static bool is_plain(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < ' ' || s.p[i] == 127)
            return false;
    return s.n > 0;
}

void gw_cost_fields(struct exchange *x, struct buf *out)
{
    char money[40];

    if (x->cost_nano >= 0)
        put_both(out, STR("x-smartflow-cost-usd"), STR("x-smartflow-response-cost"),
            dollars(money, (uint64_t)x->cost_nano));
}

/* Clients of InvokeModel look for the usage of any model here; Bedrock says it itself. */
static void put_invoke_usage(struct exchange *x, struct buf *out)
{
    const struct usage *u = &x->usage;

    if (!x->match.endpoint || x->match.endpoint->kind != KIND_INVOKE ||
        u->source == USAGE_UNKNOWN || x->error.status || x->face->dialect == DIALECT_BEDROCK)
        return;
    http_put_u64(out, STR("x-amzn-bedrock-input-token-count"), u->input);
    http_put_u64(out, STR("x-amzn-bedrock-output-token-count"), usage_output_total(u));
}

void gw_own_fields(struct exchange *x, struct buf *out)
{
    char number[U64_DIGITS];
    int64_t ms = (clock_now() - x->rq->first_byte_at) / NS_PER_MS;

    put_both(out, STR("x-smartflow-request-id"), STR("x-smartflow-call-id"), str_at(x->id, 36));
    put_both(out, STR("x-smartflow-latency-ms"), STR("x-smartflow-duration-ms"),
        str_at(number, u64_put(number, (uint64_t)MAX(ms, 0))));
    if (x->upstream)
        http_put_plain(out, STR("x-smartflow-provider"), x->upstream->provider->id);
    if (x->upstream && is_plain(x->model))
        http_put_plain(out, STR("x-smartflow-model"), x->model);
    gw_cost_fields(x, out);
    put_invoke_usage(x, out);
    if (x->routing && x->routing->fallbacks)
        http_put_u64(out, STR("x-smartflow-fallbacks"), x->routing->fallbacks);
    if (x->dropped_params.n)
        http_put_plain(out, STR("x-smartflow-dropped-params"), x->dropped_params);
    http_put_plain(out, STR("x-smartflow-cache-hit"), STR("false"));
    gw_cors_fields(config_current(), x->rq, out);
}

static bool reply_field_passes(
    const struct http_head *from, const struct http_field *h, bool decoded)
{
    switch (h->id) {
    case HTTP_CONTENT_LENGTH:
    case HTTP_DATE: /* the server sends its own, as the moment of this reply */
    case HTTP_X_SMARTFLOW_PROVIDER:
    case HTTP_X_SMARTFLOW_TAGS:
    case HTTP_X_SMARTFLOW_TRACE_ID:
    case HTTP_X_SMARTFLOW_USER:
        return false;
    case HTTP_CONTENT_ENCODING:
        return !decoded;
    case HTTP_OTHER:
        /* the last three speak of the provider's host, and would be taken for ours */
        return !str_ieq(h->name, STR("set-cookie")) && !str_istarts(h->name, STR("x-smartflow-")) &&
               !str_istarts(h->name, STR("access-control-")) && !str_ieq(h->name, STR("alt-svc")) &&
               !str_ieq(h->name, STR("strict-transport-security"));
    default:
        return !http_is_hop_by_hop(&from->fields, h);
    }
}

static bool is_rate_limit(struct str name)
{
    return str_istarts(name, STR("x-ratelimit-")) || str_istarts(name, STR("anthropic-ratelimit-"));
}

/* Where the key has limits, those are what its holder wants to know, not the provider's. */
void gw_reply_fields(
    struct exchange *x, const struct http_head *from, bool decoded, struct buf *out)
{
    size_t before = out->n;

    limits_fields(x, out);
    bool limited = out->n > before;
    for (unsigned i = 0; i < from->fields.n; i++) {
        const struct http_field *h = &from->fields.at[i];
        if (!reply_field_passes(from, h, decoded) ||
            (h->id == HTTP_OTHER && http_is_hop_by_hop(&from->fields, h)) ||
            (limited && h->id == HTTP_OTHER && is_rate_limit(h->name)))
            continue;
        struct str value = gw_file_session_field(x, from, h);
        if (value.p)
            http_put_plain(out, h->name, value);
    }
    if (x->stream)
        http_put_plain(out, STR("x-accel-buffering"), STR("no"));
    if (x->stream && x->wants_trailers)
        http_put_plain(out, STR("trailer"), STR("x-smartflow-cost-usd, x-smartflow-response-cost"));
    gw_own_fields(x, out);
}

/* --- CORS --- */

static bool origin_allowed(const struct config *c, struct str origin)
{
    for (unsigned i = 0; i < c->cors_origins_n; i++)
        if (str_eq(c->cors_origins[i], STR("*")) || str_ieq(c->cors_origins[i], origin))
            return true;
    return false;
}

void gw_cors_fields(const struct config *c, struct http_request *rq, struct buf *out)
{
    struct str origin = http_get(&rq->head.fields, HTTP_ORIGIN);

    if (!c->cors_origins_n || !origin.n || !origin_allowed(c, origin))
        return;
    http_put_plain(out, STR("access-control-allow-origin"), origin);
    http_put_plain(out, STR("vary"), STR("Origin"));
    http_put_plain(out, STR("access-control-expose-headers"),
        STR("x-request-id, request-id, retry-after, x-smartflow-request-id, x-smartflow-call-id, "
            "x-smartflow-cost-usd, x-smartflow-response-cost, x-smartflow-latency-ms, "
            "x-smartflow-duration-ms, x-smartflow-provider, x-smartflow-model, "
            "x-smartflow-cache-hit, x-smartflow-fallbacks, x-smartflow-dropped-params, "
            "x-smartflow-tokens-estimated"));
}
