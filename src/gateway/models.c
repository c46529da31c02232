/*
 * Lists of models. With one upstream of the caller's dialect its list passes as it came. With
 * several, OpenAI's dialect gets them merged: each is asked at once, the answers' objects are put
 * into one list as they are, and one that does not answer in time is left out. A key's allow-list
 * filters either way. Aliases stand first.
 */
#include "gateway/gateway_int.h"
#include "runtime/sync.h"

#include <errno.h>
#include <stdlib.h>

#define LIST_TIMEOUT (5 * NS_PER_S)
#define LIST_MAX     (4 * MIB)

struct ask {
    struct exchange *x;
    const struct upstream *upstream;
    struct buf items; /* objects joined by commas */
    bool ok;
};

static void add_item(struct buf *out, struct str json)
{
    if (out->n)
        buf_addc(out, ',');
    buf_addstr(out, json);
}

static bool allowed(const struct exchange *x, struct str item)
{
    struct str id = json_find(item, STR("id"));

    if (!x->key || !x->key->models.n)
        return true;
    return id.n > 2 && vkey_allows_model(x->key, str_at(id.p + 1, id.n - 2));
}

static void take_items(struct ask *a, struct str body)
{
    struct str data = json_find(body, STR("data")), key, item;
    size_t at = 1;

    if (json_type_of(data) != JSON_ARRAY)
        return;
    a->ok = true;
    while (json_next(data, &at, &key, &item))
        if (allowed(a->x, item))
            add_item(&a->items, item);
}

static bool valid_object(struct str body)
{
    struct json_error e;
    enum json_type top;

    return json_scan(body, NULL, NULL, 0, &top, &e) == 0 && top == JSON_OBJECT;
}

/* A provider that cannot be asked is left out, like one that does not answer: the call goes on. */
static int prepare(struct ask *a, struct buf *target, struct buf *fields)
{
    struct exchange *x = a->x;
    const struct provider_face *face =
        provider_face(a->upstream->provider, x->dialect, KIND_MODELS);
    const struct error before = x->error;
    int r = provider_target(a->upstream, face, x, target);

    if (r == 0) {
        http_put(fields, STR("accept"), STR("application/json"));
        http_put(fields, STR("user-agent"), STR("smartflow"));
        x->upstream_key = x->caller_credential.n ? NULL : upstream_pick(a->upstream);
        r = provider_sign(a->upstream, face, x, STR("GET"), buf_str(target), fields);
        x->upstream_key = NULL; /* the exchange is shared by all that are asked */
    }
    x->error = before;
    return r;
}

static int ask_one(void *arg)
{
    struct ask *a = arg;
    _cleanup_(buf_free) struct buf target = {0}, fields = {0};
    struct http_call *c = NULL;
    const struct http_head *head;
    struct error e = {0};
    struct str body;
    char errbuf[512];

    buf_init(&target, 4096);
    buf_init(&fields, 8192);
    if (prepare(a, &target, &fields) < 0)
        return 0;
    struct http_client_request rq = {
        .method = STR("GET"), .target = buf_str(&target), .fields = buf_str(&fields)};
    struct http_timeouts t = {.connect = LIST_TIMEOUT,
        .first_byte = LIST_TIMEOUT,
        .between = LIST_TIMEOUT,
        .total = LIST_TIMEOUT};
    if (http_call_start(&a->upstream->origin, &rq, &t, &c, &e, errbuf) == 0 &&
        http_call_head(c, &head, &e) == 0 && head->status == 200 &&
        http_call_read_all(c, LIST_MAX, &body) == 0 && valid_object(body))
        take_items(a, body);
    http_call_end(c);
    mem_wipe(fields.p, fields.n);
    return 0;
}

static void add_aliases(struct exchange *x, struct buf *out)
{
    const struct route_settings *s = x->route_settings;

    for (unsigned i = 0; i < s->aliases_n; i++) {
        if (!vkey_allows_model(x->key, s->aliases[i].name))
            continue;
        add_item(out, STR("{\"id\":"));
        buf_addjson(out, s->aliases[i].name);
        buf_addstr(out, STR(",\"object\":\"model\",\"created\":0,\"owned_by\":\"smartflow\"}"));
    }
}

static int reply_list(struct exchange *x, struct ask *asks, unsigned n)
{
    _cleanup_(buf_free) struct buf body = {0}, items = {0};

    buf_init(&items, 16 * LIST_MAX);
    buf_init(&body, 16 * LIST_MAX + 64);
    add_aliases(x, &items);
    for (unsigned i = 0; i < n; i++)
        if (asks[i].items.n)
            add_item(&items, buf_str(&asks[i].items));
    buf_addstr(&body, STR("{\"object\":\"list\",\"data\":["));
    buf_addstr(&body, buf_str(&items));
    buf_addstr(&body, STR("]}"));
    x->outcome = OUTCOME_OK;
    gw_account(x);
    return gw_reply_json(x, 200, buf_str(&body)) < 0 ? -EPIPE : 0;
}

static int merged(struct exchange *x, const struct upstream **list, unsigned n)
{
    struct ask *asks = arena_zalloc(&x->arena, n * sizeof *asks);
    struct group g;
    int r;

    if (!asks)
        return exchange_fail(x, 500, STR("internal_error"), STR("Out of memory."));
    group_init(&g, false);
    for (unsigned i = 0; i < n; i++) {
        asks[i] = (struct ask){.x = x, .upstream = list[i]};
        buf_init(&asks[i].items, LIST_MAX);
        group_spawn(&g, "models", ask_one, &asks[i]);
    }
    r = group_wait(&g, clock_now() + 2 * LIST_TIMEOUT);
    if (r == 0)
        r = reply_list(x, asks, n);
    else
        exchange_fail(x, 504, STR("upstream_timeout"),
            STR("The providers' lists of models did not come in time."));
    for (unsigned i = 0; i < n; i++)
        buf_free(&asks[i].items);
    return r;
}

int gw_models_list(struct exchange *x)
{
    const struct route_settings *s = x->route_settings;
    const struct upstream **list = arena_alloc(&x->arena, s->upstreams_n * sizeof(void *) + 1);
    bool filtered = x->key && (x->key->models.n || s->aliases_n);
    unsigned n = 0;

    for (unsigned i = 0; list && i < s->upstreams_n; i++) {
        const struct upstream *u = &s->upstreams[i];
        const struct provider_face *f = provider_face(u->provider, x->dialect, KIND_MODELS);
        if (u->configured && f && vkey_allows_provider(x->key, u->provider->id))
            list[n++] = u;
    }
    bool asked = http_has(&x->rq->head.fields, HTTP_X_SMARTFLOW_PROVIDER);
    /* A caller's own credential goes to the one provider that it is for. */
    if (x->dialect != DIALECT_OPENAI || asked || x->caller_credential.n ||
        (n <= 1 && !filtered && !s->aliases_n))
        return gw_call_no_body(x);
    return merged(x, list, n);
}
