/*
 * Passing replies on. Three shapes:
 *   small and not streamed: held whole, metered, answered in one write with its cost in the head;
 *   large or of another kind: passed on piece by piece, its tail kept for usage;
 *   a stream of events: relay_stream.c.
 *
 * The first two are not inlined, as a stream that waits should not have their variables on its
 * stack.
 */
#include "gateway/gateway_int.h"
#include "http/inflate.h"
#include "route/route.h"

#include <errno.h>

#define HOLD_BYTES (1 * MIB)

static bool is_type(const struct http_head *h, struct str want)
{
    struct str v = http_get(&h->fields, HTTP_CONTENT_TYPE);

    return str_ieq(str_trim(str_split(&v, ';')), want);
}

static int upstream_broke(struct exchange *x, ssize_t r)
{
    if (r == -ECANCELED || co_cancelled()) {
        x->outcome = OUTCOME_CANCELLED;
        return exchange_fail(x, 499, STR("client_closed_request"), STR("The client went away."));
    }
    x->outcome = http_reply_begun(x->rq) ? OUTCOME_TRUNCATED : OUTCOME_UPSTREAM_ERROR;
    if (r == -ETIMEDOUT)
        return exchange_fail(x, 504, STR("upstream_timeout"),
            STR("The provider stopped answering in the middle of its reply."));
    if (r == -EMSGSIZE)
        return exchange_fail(x, 502, STR("upstream_reply_too_large"),
            STR("The provider's reply is larger than the gateway holds."));
    return exchange_fail(
        x, 502, STR("upstream_closed"), STR("The provider's reply broke off before its end."));
}

static int client_gone(struct exchange *x)
{
    x->outcome = OUTCOME_CANCELLED;
    return exchange_fail(x, 499, STR("client_closed_request"),
        STR("The client went away while it was being answered."));
}

/* Ids that the provider made lead back to it later. */
void gw_remember_ids(struct exchange *x)
{
    struct str provider = x->upstream->provider->id, id;
    size_t at = 0;

    while (meter_next_id(&x->meter, &at, &id))
        affinity_put(id, provider);
}

static void succeeded(struct exchange *x)
{
    x->outcome = x->upstream_status < 400 ? OUTCOME_OK : OUTCOME_UPSTREAM_ERROR;
    if (x->outcome == OUTCOME_OK)
        gw_remember_ids(x);
}

/* --- compressed replies --- */

static int inflate_whole(struct str coding, struct str in, struct buf *out)
{
    struct inflater *inf = NULL;
    ptrdiff_t n;

    if (inflater_new(coding, &inf) < 0)
        return -EOPNOTSUPP;
    do {
        n = -EMSGSIZE;
        if (buf_reserve(out, 16 * KIB) < 0)
            break;
        n = inflater_next(inf, &in, out->p + out->n, out->cap - out->n);
        if (n > 0)
            out->n += (size_t)n;
    } while (n > 0);
    inflater_free(inf);
    return (int)n;
}

static bool is_json(struct str body)
{
    struct json_error e;
    enum json_type top;

    return json_scan(body, NULL, NULL, 0, &top, &e) == 0;
}

/* Where only the end of the connection ends the body, the text itself has to tell whether it is
 * whole: -ECONNRESET when it is not. */
static int meter_whole(struct exchange *x, const struct http_head *h, struct str body)
{
    struct str coding = http_get(&h->fields, HTTP_CONTENT_ENCODING);
    bool to_eof = h->framing == HTTP_BODY_TO_EOF;
    _cleanup_(buf_free) struct buf plain = {0};

    buf_init(&plain, LIMIT_RESPONSE_BYTES);
    if (coding.n && !str_ieq(coding, STR("identity"))) {
        if (inflate_whole(coding, body, &plain) < 0)
            return to_eof ? -ECONNRESET : 0;
        body = buf_str(&plain);
    }
    if (to_eof && !is_json(body))
        return -ECONNRESET;
    meter_reply(&x->meter, body);
    return 0;
}

/* --- held replies --- */

__attribute__((noinline)) static int relay_held(
    struct exchange *x, struct http_call *c, const struct http_head *h)
{
    _cleanup_(buf_free) struct buf changed = {0};
    struct str body;
    int r = http_call_read_all(c, LIMIT_RESPONSE_BYTES, &body);

    if (r == 0)
        r = meter_whole(x, h, body);
    if (r < 0)
        return upstream_broke(x, r);
    succeeded(x);
    buf_init(&changed, LIMIT_RESPONSE_BYTES);
    if (x->match.endpoint->kind == KIND_MESSAGE_BATCHES)
        body = gw_local_links(body, &changed);
    stage_settle.on_request(x);
    x->reply_first_at = clock_now();
    struct buf *fields = gw_scratch();
    gw_reply_fields(x, h, false, fields);
    r = http_reply(x->rq, h->status, buf_str(fields), body);
    return r < 0 ? client_gone(x) : 0;
}

/* --- replies that are passed on in pieces --- */

__attribute__((noinline)) static int relay_pieces(
    struct exchange *x, struct http_call *c, const struct http_head *h)
{
    uint64_t length = h->framing == HTTP_BODY_LENGTH ? h->content_length
                      : h->framing == HTTP_BODY_NONE ? 0
                                                     : HTTP_LENGTH_UNKNOWN;
    bool meter = (x->match.endpoint->flags & EP_METERED) && is_type(h, STR("application/json")) &&
                 !http_has(&h->fields, HTTP_CONTENT_ENCODING);
    struct buf *fields = gw_scratch();
    struct str piece;
    ssize_t n;
    int r;

    gw_reply_fields(x, h, false, fields);
    x->reply_first_at = clock_now();
    r = http_reply_begin(x->rq, h->status, buf_str(fields), length);
    while (r == 0 && (n = http_call_read(c, &piece)) != 0) {
        if (n < 0)
            return upstream_broke(x, n);
        if (meter)
            meter_piece(&x->meter, piece);
        r = http_reply_write(x->rq, piece);
    }
    if (meter)
        meter_pieces_end(&x->meter);
    if (r == 0)
        r = http_reply_end(x->rq, STR_NONE);
    if (r < 0)
        return client_gone(x);
    succeeded(x);
    return 0;
}

int gw_relay_reply(struct exchange *x, struct http_call *c, const struct http_head *h)
{
    bool small = h->framing == HTTP_BODY_CHUNKED || h->framing == HTTP_BODY_TO_EOF ||
                 (h->framing == HTTP_BODY_LENGTH && h->content_length <= HOLD_BYTES);

    if (is_type(h, STR("text/event-stream")) && h->status < 400 &&
        (x->match.endpoint->flags & EP_METERED)) {
        x->stream = true;
        return gw_relay_stream(x, c, h);
    }
    x->stream = false;
    if (small && x->rq->head.method != HTTP_HEAD && is_type(h, STR("application/json")))
        return relay_held(x, c, h);
    return relay_pieces(x, c, h);
}
