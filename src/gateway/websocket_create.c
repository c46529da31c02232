/*
 * Messages of the Responses protocol. The client's first one is read before the upstream is known,
 * since it names the model. Each later one that names a model is routed like a request of its own;
 * it passes only when that leads to the upstream that the session has. What cannot pass is answered
 * with an error event, and the session goes on.
 *
 * Messages to the upstream are framed anew, each in one frame with a mask of our own.
 */
#include "crypto/random.h"
#include "gateway/own.h"
#include "gateway/websocket_int.h"
#include "route/route.h"
#include "json/splice.h"

#include <errno.h>

#define FIRST_WAIT (60 * NS_PER_S)
#define PATIENCE   (10 * NS_PER_S)

int ws_put_masked(struct buf *out, enum ws_opcode opcode, struct str payload)
{
    uint8_t mask[4];

    random_bytes(mask, sizeof mask);
    return ws_put(out, opcode, true, payload, mask);
}

/* --- errors --- */

int ws_put_error(const struct error *e, struct buf *out)
{
    _cleanup_(buf_free) struct buf text = {0}, body = {0};

    buf_init(&text, 32 * KIB);
    buf_init(&body, 32 * KIB);
    dialect_error_body(DIALECT_OPENAI, e, STR_NONE, &body);
    buf_printf(&text, "{\"type\":\"error\",\"status\":%d,", e->status);
    buf_addstr(&text, str_from(buf_str(&body), 1));
    if (body.err || text.err)
        return body.err ? body.err : text.err;
    return ws_put(out, WS_TEXT, true, buf_str(&text), NULL);
}

/* --- the first message --- */

static int client_left(struct exchange *x)
{
    x->outcome = OUTCOME_CANCELLED;
    x->ws->told = true;
    return exchange_fail(x, 499, STR("client_closed_request"), STR("The client went away."));
}

static int not_read(struct exchange *x, ssize_t r)
{
    switch (r) {
    case -ESHUTDOWN:
        return ws_leaving(x);
    case -ETIMEDOUT:
        return exchange_fail(x, 408, STR("request_timeout"),
            STR("No message came in time: send a response.create first."));
    case -EMSGSIZE:
        x->ws->close_code = 1009;
        return exchange_failf(x, 413, STR("request_too_large"),
            "The message is larger than the limit of %zu bytes.", LIMIT_WS_FRAME_BYTES);
    case -EPROTO:
        x->ws->close_code = 1002;
        return exchange_fail(x, 400, STR("websocket_protocol_error"),
            STR("The client broke the WebSocket protocol."));
    case -ENOMEM:
        return exchange_fail(x, 503, STR("out_of_memory"), STR("Memory is short."));
    }
    return client_left(x);
}

/* Control frames that come before the first message are for us. */
static int control(struct exchange *x, const struct ws_message *m)
{
    struct ws_side *client = &x->ws->client;
    _cleanup_(buf_free) struct buf out = {0};
    int r = 0;

    buf_init(&out, 256);
    if (m->opcode == WS_PING)
        r = ws_put(&out, WS_PONG, true, m->payload, NULL);
    else if (m->opcode == WS_CLOSE)
        r = ws_put(&out, WS_CLOSE, true, m->payload, NULL);
    if (r == 0)
        r = ws_side_write(client, buf_str(&out), PATIENCE, NULL);
    return r < 0 || m->opcode == WS_CLOSE ? client_left(x) : 0;
}

/* 1 = m is the message; 0 = go on; or x->error. */
static int take(struct exchange *x, const struct ws_message *m)
{
    struct ws_front *w = x->ws;

    if (m->opcode >= WS_CLOSE)
        return control(x, m);
    if (m->opcode != WS_TEXT)
        return exchange_fail(x, 400, STR("invalid_request_error"),
            STR("The first message must be text: a response.create event in JSON."));
    if (buf_addstr(&w->first, m->payload) < 0)
        return not_read(x, -ENOMEM);
    return 1;
}

static int check_first(struct exchange *x)
{
    int r = gw_scan_body(x);

    if (r < 0)
        return r;
    if (!str_eq(json_find(x->body, STR("type")), STR("\"response.create\"")))
        return exchange_fail_param(x, 400, STR("invalid_request_error"), STR("type"),
            "The first message must be of the type 'response.create'.");
    if (!x->model_asked.n)
        return exchange_fail_param(
            x, 400, STR("invalid_request_error"), STR("model"), "'model' is missing.");
    /* The message goes as soon as it is sent; the model's name is needed to the end. */
    x->model_asked = arena_dup(&x->arena, x->model_asked);
    return x->model_asked.p ? 0 : not_read(x, -ENOMEM);
}

int ws_first_message(struct exchange *x)
{
    struct ws_front *w = x->ws;
    int64_t deadline = loop_now() + FIRST_WAIT;
    struct ws_message m;
    int r = 0;

    while (r == 0) {
        w->idle = co_self();
        ssize_t n = ws_side_fill(&w->client, deadline);
        w->idle = NULL;
        if (n <= 0)
            return not_read(x, n);
        size_t had = w->client.unread.n;
        r = ws_reader_next(&w->client.reader, &w->client.unread, &m);
        x->rq->body_received += had - w->client.unread.n;
        if (r < 0)
            return not_read(x, r);
        if (r > 0)
            r = take(x, &m);
    }
    if (r < 0)
        return r;
    x->body = buf_str(&w->first);
    return check_first(x);
}

/* --- every message --- */

/* text with the model's name as the upstream knows it, as one frame. */
static int put_with_model(
    struct str text, const struct json_span *s, struct str model, struct buf *out)
{
    _cleanup_(buf_free) struct buf edited = {0}, literal = {0};
    struct splice splice;
    int r;

    buf_init(&literal, 4096);
    buf_init(&edited, text.n + 4096);
    splice_init(&splice, text);
    r = buf_addjson(&literal, model);
    if (r == 0)
        r = splice_replace(&splice, s->value, s->end, buf_str(&literal));
    if (r == 0)
        r = buf_reserve(&edited, splice_length(&splice));
    if (r < 0)
        return r;
    splice_copy(&splice, edited.p);
    return ws_put_masked(out, WS_TEXT, str_at(edited.p, splice_length(&splice)));
}

int ws_put_first(struct exchange *x, struct buf *out)
{
    if (str_eq(x->model, x->model_asked))
        return ws_put_masked(out, WS_TEXT, x->body);
    return put_with_model(x->body, &x->spans[BODY_MODEL], x->model, out);
}

/* Reads and routes a message in an exchange of its own, t. */
static int look(struct exchange *x, struct str text, struct exchange *t)
{
    t->rq = x->rq;
    t->keys_settings = x->keys_settings;
    t->route_settings = x->route_settings;
    t->match = x->match;
    t->dialect = x->dialect;
    t->key = vkey_ref(x->key);
    t->caller_credential = x->caller_credential;
    t->body = text;
    int r = gw_scan_body(t);
    if (r == 0)
        r = gw_own_check(t);
    if (r < 0)
        return r;
    /* A stored prompt, say, may name another model than the session's first message did. */
    if (!t->model_asked.n)
        return x->key && x->key->models.n
                   ? exchange_fail_param(t, 403, STR("not_allowed"), STR("model"),
                         "This key is limited to certain models, and this message does not say in "
                         "'model' which one it runs.")
                   : 0;
    r = stage_route.on_request(t);
    if (r == 0 && t->upstream != x->upstream)
        r = exchange_fail_param(t, 400, STR("model_of_another_provider"), STR("model"),
            "This session is with " STR_FMT "; the model '" STR_FMT "' is served by " STR_FMT
            ". Open another connection for it.",
            STR_ARG(x->upstream->provider->title), (int)MIN(t->model_asked.n, 200),
            t->model_asked.p, STR_ARG(t->upstream->provider->title));
    return r;
}

int ws_forward_text(struct exchange *x, struct str text, struct buf *out, struct buf *refusal)
{
    char room[1024];
    struct exchange t = {.cost_nano = -1};
    int r;

    arena_init(&t.arena, room, sizeof room, 64 * KIB);
    if (look(x, text, &t) < 0)
        r = ws_put_error(&t.error, refusal);
    else if (t.model_asked.n && !str_eq(t.model, t.model_asked))
        r = put_with_model(text, &t.spans[BODY_MODEL], t.model, out);
    else
        r = ws_put_masked(out, WS_TEXT, text);
    gw_exchange_end(&t);
    return r;
}
