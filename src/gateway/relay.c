/*
 * Passing replies on. Three shapes:
 *   small and not streamed: held whole, metered, answered in one write with its cost in the head;
 *   large or of another kind: passed on piece by piece, its tail kept for usage;
 *   a stream of events: relay_stream.c.
 *
 * The first two are not inlined, as a stream that waits should not have their variables on its
 * stack.
 */
#include "gateway/own.h"
#include "gateway/translated.h"
#include "http/eventstream.h"
#include "http/inflate.h"
#include "ledger/ledger.h"

#include <errno.h>

#define HOLD_BYTES (1 * MIB)

static bool is_type(const struct http_head *h, struct str want)
{
    struct str v = http_get(&h->fields, HTTP_CONTENT_TYPE);

    return str_ieq(str_trim(str_split(&v, ';')), want);
}

int gw_upstream_broke(struct exchange *x, ssize_t r)
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

int gw_client_gone(struct exchange *x)
{
    x->outcome = OUTCOME_CANCELLED;
    return exchange_fail(x, 499, STR("client_closed_request"),
        STR("The client went away while it was being answered."));
}

/* Ids that the provider made lead back to it later, and to their owner. */
void gw_remember_ids(struct exchange *x, struct str body)
{
    gw_own_made(x, body);
}

static void succeeded(struct exchange *x, struct str body)
{
    x->outcome = x->upstream_status < 400 ? OUTCOME_OK : OUTCOME_UPSTREAM_ERROR;
    if (x->outcome == OUTCOME_OK)
        gw_remember_ids(x, body);
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

static bool is_coded(struct str coding)
{
    return coding.n && !str_ieq(coding, STR("identity"));
}

int gw_decode(struct str coding, struct str body, struct buf *out)
{
    return is_coded(coding) ? inflate_whole(coding, body, out) : buf_addstr(out, body);
}

static bool is_json(struct str body)
{
    struct json_error e;
    enum json_type top;

    return json_scan(body, NULL, NULL, 0, &top, &e) == 0;
}

/* Where only the end of the connection ends the body, the text itself has to tell whether it is
 * whole: -ECONNRESET when it is not. *body becomes the decoded text (in plain, or as it is), empty
 * when it cannot be decoded. */
static int meter_whole(
    struct exchange *x, const struct http_head *h, struct str *body, struct buf *plain)
{
    struct str coding = http_get(&h->fields, HTTP_CONTENT_ENCODING);
    bool to_eof = h->framing == HTTP_BODY_TO_EOF;

    if (is_coded(coding)) {
        int r = inflate_whole(coding, *body, plain);
        *body = r < 0 ? STR_NONE : buf_str(plain);
        if (r < 0)
            return to_eof ? -ECONNRESET : 0;
    }
    if (to_eof && !is_json(*body))
        return -ECONNRESET;
    meter_reply(&x->meter, *body);
    if (h->status < 300)
        meter_fields(&x->meter, &h->fields);
    return 0;
}

/* Providers that have another way than 401 to refuse the gateway's credential. */
bool gw_refused_key(struct exchange *x, const struct http_head *h, struct str body)
{
    bool (*refused)(int, struct str) = x->upstream->provider->refused_key;
    struct str coding = http_get(&h->fields, HTTP_CONTENT_ENCODING);
    _cleanup_(buf_free) struct buf plain = {0};

    if (h->status < 400 || !refused || x->caller_credential.n)
        return false;
    buf_init(&plain, LIMIT_RESPONSE_BYTES);
    if (is_coded(coding)) {
        if (inflate_whole(coding, body, &plain) < 0)
            return false;
        body = buf_str(&plain);
    }
    return refused(h->status, body);
}

/* --- held replies --- */

__attribute__((noinline)) static int relay_held(
    struct exchange *x, struct http_call *c, const struct http_head *h)
{
    _cleanup_(buf_free) struct buf changed = {0}, plain = {0};
    bool filter = h->status < 300 && gw_own_filters(x);
    struct str body = x->held_reply, text;
    int r = body.p ? 0 : http_call_read_all(c, LIMIT_RESPONSE_BYTES, &body);

    buf_init(&plain, LIMIT_RESPONSE_BYTES);
    buf_init(&changed, LIMIT_RESPONSE_BYTES);
    text = body;
    if (r == 0)
        r = meter_whole(x, h, &text, &plain);
    if (r < 0)
        return gw_upstream_broke(x, r);
    if (gw_refused_key(x, h, body))
        return gw_credential_refused(x);
    succeeded(x, text);
    if (filter && (r = gw_own_list(x, text, &changed)) < 0)
        return r;
    filter = filter && changed.n;
    if (filter) {
        text = body = buf_str(&changed);
        buf_clear(&plain);
    }
    ledger_reply_bytes(x, text);
    if (x->match.endpoint->kind == KIND_MESSAGE_BATCHES)
        body = gw_local_links(body, filter ? &plain : &changed);
    x->reply_first_at = clock_now();
    gw_account(x);
    struct buf *fields = gw_scratch();
    gw_reply_fields(x, h, filter, fields);
    r = http_reply(x->rq, h->status, buf_str(fields), body);
    return r < 0 ? gw_client_gone(x) : 0;
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
    bool text = is_type(h, STR("application/json")) || is_type(h, STR("text/plain"));
    struct buf *fields = gw_scratch();
    struct str piece;
    ssize_t n;
    int r;

    gw_reply_fields(x, h, false, fields);
    x->reply_first_at = clock_now();
    r = http_reply_begin(x->rq, h->status, buf_str(fields), length);
    while (r == 0 && (n = http_call_read(c, &piece)) != 0) {
        if (n < 0)
            return gw_upstream_broke(x, n);
        if (meter)
            meter_piece(&x->meter, piece);
        if (text)
            ledger_reply_bytes(x, piece);
        r = http_reply_write(x->rq, piece);
    }
    if (meter)
        meter_pieces_end(&x->meter);
    if (h->status < 300)
        meter_fields(&x->meter, &h->fields);
    if (r < 0)
        return gw_client_gone(x);
    succeeded(x, STR_NONE);
    gw_account(x);
    return http_reply_end(x->rq, STR_NONE) < 0 ? gw_client_gone(x) : 0;
}

/* Held whole: what says in its body what was made, or what has to be filtered. A list that cannot
 * be filtered is not shown. */
static bool must_hold(const struct exchange *x, const struct http_head *h)
{
    bool creates = (x->match.endpoint->flags & EP_CREATES) && is_type(h, STR("application/json"));

    return creates || (h->status < 300 && gw_own_filters(x));
}

int gw_relay_reply(struct exchange *x, struct http_call *c, const struct http_head *h)
{
    bool small = h->framing == HTTP_BODY_CHUNKED || h->framing == HTTP_BODY_TO_EOF ||
                 (h->framing == HTTP_BODY_LENGTH && h->content_length <= HOLD_BYTES);

    if (gw_is_translated(x) || (x->face->dialect != x->dialect && h->status >= 300))
        return gw_relay_translated(x, c, h);
    if (x->held_reply.p) { /* an error that was looked at */
        x->stream = false;
        return relay_held(x, c, h);
    }
    bool events = is_type(h, STR("text/event-stream")) || is_type(h, EVENTSTREAM_TYPE);
    if (events && h->status < 400 && (x->match.endpoint->flags & EP_METERED)) {
        x->stream = true;
        return gw_relay_stream(x, c, h);
    }
    x->stream = false;
    if (must_hold(x, h))
        return relay_held(x, c, h);
    if (small && x->rq->head.method != HTTP_HEAD && is_type(h, STR("application/json")))
        return relay_held(x, c, h);
    return relay_pieces(x, c, h);
}
