/*
 * Handshakes (RFC 6455 section 4): the client's is checked and answered, ours to the upstream is
 * made of a fresh key, and its answer is checked against that.
 */
#include "crypto/encode.h"
#include "crypto/random.h"
#include "gateway/websocket_int.h"

#include <errno.h>
#include <stdio.h>

/* --- the client's --- */

static bool asks_for_websocket(const struct http_head *h)
{
    return h->upgrade && h->minor > 0 &&
           http_list_has(http_get(&h->fields, HTTP_UPGRADE), STR("websocket"));
}

int ws_check_client(struct exchange *x)
{
    const struct http_head *h = &x->rq->head;
    char accept[29];

    if (!asks_for_websocket(h))
        return exchange_failf(x, 426, STR("upgrade_required"),
            STR_FMT " speaks WebSocket: the request must ask for an upgrade to it.",
            STR_ARG(x->match.endpoint->example));
    if (!str_eq(http_get(&h->fields, HTTP_SEC_WEBSOCKET_VERSION), STR("13")) ||
        http_count(&h->fields, HTTP_SEC_WEBSOCKET_VERSION) != 1)
        return exchange_fail_param(x, 426, STR("websocket_version"), STR("sec-websocket-version"),
            "Only version 13 of WebSocket is spoken here.");
    if (!ws_accept_value(http_get(&h->fields, HTTP_SEC_WEBSOCKET_KEY), accept) ||
        http_count(&h->fields, HTTP_SEC_WEBSOCKET_KEY) != 1)
        return exchange_fail_param(x, 400, STR("invalid_websocket_key"), STR("sec-websocket-key"),
            "Sec-WebSocket-Key must be 16 bytes in base64.");
    if (h->framing != HTTP_BODY_NONE)
        return exchange_fail(
            x, 400, STR("invalid_request_error"), STR("A WebSocket handshake has no body."));
    return 0;
}

struct str ws_own_choice(struct str offered)
{
    while (offered.p) {
        struct str item = str_trim(str_split(&offered, ','));
        if (item.n && !str_starts(item, STR("openai-insecure-api-key.")) &&
            !str_starts(item, STR("openai-beta.")))
            return item;
    }
    return STR_NONE;
}

int ws_accept_client(struct exchange *x, struct str protocol)
{
    struct ws_front *w = x->ws;
    struct buf *fields = gw_scratch();
    char accept[29];

    must(ws_accept_value(http_get(&x->rq->head.fields, HTTP_SEC_WEBSOCKET_KEY), accept));
    http_put(fields, STR("upgrade"), STR("websocket"));
    http_put(fields, STR("sec-websocket-accept"), str_of(accept));
    if (protocol.n)
        http_put(fields, STR("sec-websocket-protocol"), protocol);
    gw_own_fields(x, fields);
    int r = http_reply_upgrade(x->rq, buf_str(fields), &w->client.stream);
    if (r < 0) {
        x->outcome = OUTCOME_CANCELLED;
        return exchange_fail(x, 499, STR("client_closed_request"), STR("The client went away."));
    }
    w->client.unread = http_upgraded_rest(x->rq);
    w->accepted = true;
    x->stream = true;
    return 0;
}

/* --- ours --- */

struct str gw_ws_key(struct exchange *x)
{
    uint8_t raw[16];

    random_bytes(raw, sizeof raw);
    base64_encode(str_at((char *)raw, sizeof raw), x->ws->key);
    x->ws->key[24] = 0;
    return str_at(x->ws->key, 24);
}

int ws_check_upstream(struct exchange *x, const struct http_head *h)
{
    struct str protocol = http_get(&h->fields, HTTP_SEC_WEBSOCKET_PROTOCOL);
    struct str offered = http_get(&x->rq->head.fields, HTTP_SEC_WEBSOCKET_PROTOCOL);
    const char *why = NULL;
    char accept[29];

    must(ws_accept_value(str_of(x->ws->key), accept));
    if (!h->upgrade || !str_ieq(http_get(&h->fields, HTTP_UPGRADE), STR("websocket")))
        why = "does not upgrade to WebSocket";
    else if (!str_eq(http_get(&h->fields, HTTP_SEC_WEBSOCKET_ACCEPT), str_of(accept)))
        why = "has a wrong Sec-WebSocket-Accept";
    else if (http_has(&h->fields, HTTP_SEC_WEBSOCKET_EXTENSIONS))
        why = "uses an extension that was not offered";
    else if (protocol.n && (!offered.n || !http_list_has(offered, protocol) ||
                               str_starts(protocol, STR("openai-insecure-api-key."))))
        why = "chose a subprotocol that was not offered";
    if (!why)
        return 0;
    x->outcome = OUTCOME_UPSTREAM_ERROR;
    return exchange_failf(
        x, 502, STR("upstream_bad_response"), "The provider's WebSocket handshake %s.", why);
}

/* --- the model in the query --- */

/* What else names the model where Azure or its client is at one end. */
static bool takes_deployment(const struct exchange *x)
{
    return str_eq(x->match.door, STR("azure")) ||
           (x->upstream && str_eq(x->upstream->provider->id, STR("azure")));
}

/* Whether a parameter names the model, however its own name is written. */
static bool names_model(const struct exchange *x, struct str param)
{
    char name[32];
    struct str raw = str_split(&param, '=');
    ptrdiff_t n = raw.n <= sizeof name ? http_percent_decode(raw, name) : -1;
    struct str plain = str_at(name, n > 0 ? (size_t)n : 0);

    return str_eq(plain, STR("model")) || (str_eq(plain, STR("deployment")) && takes_deployment(x));
}

/* Azure's older paths want the name that its client used; everyone else wants "model". */
static struct str model_parameter(const struct exchange *x)
{
    bool asked = http_query_get(x->rq->head.query, STR("deployment")).n > 0;

    return asked && x->upstream && str_eq(x->upstream->provider->id, STR("azure"))
               ? STR("deployment=")
               : STR("model=");
}

static void put_encoded(struct buf *out, struct str s)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";

    for (size_t i = 0; i < s.n; i++) {
        if (memchr(plain, s.p[i], sizeof plain - 1))
            buf_addc(out, s.p[i]);
        else
            buf_printf(out, "%%%02X", (unsigned)(uint8_t)s.p[i]);
    }
}

int ws_query_model(struct exchange *x)
{
    struct buf *out = gw_scratch();
    struct str query = x->rq->head.query;

    if (x->model.n) {
        buf_addstr(out, model_parameter(x));
        put_encoded(out, x->model);
    }
    while (query.p && query.n) {
        struct str param = str_split(&query, '&');
        if (!param.n || names_model(x, param))
            continue;
        if (out->n)
            buf_addc(out, '&');
        buf_addstr(out, param);
    }
    x->rq->head.query = arena_dup(&x->arena, buf_str(out));
    if (out->err || !x->rq->head.query.p)
        return exchange_fail(x, 414, STR("uri_too_long"), STR("The query is too long."));
    return 0;
}
