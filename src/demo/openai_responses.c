/*
 * The /responses endpoints: create, one by its id, input_tokens and compact, and the form over a
 * WebSocket, where every message "response.create" starts a response.
 */
#include "demo/openai_int.h"

#include "runtime/co.h"
#include "runtime/loop.h"

/* A background response is announced as queued; whoever asks again finds it completed. */
static void create_background(struct demo_call *c, const char *id)
{
    response_put(c, id, "completed");
    response_save(c, id, 0);
    buf_clear(&c->out);
    response_put(c, id, "queued");
    demo_json(c);
}

void openai_responses(struct demo_call *c)
{
    char id[48];
    const char *why;
    if (!response_links_hold(c, &why)) {
        demo_error(c, 400, why);
        return;
    }
    new_id("resp_", id);
    if (field_true(c, F_STREAM)) {
        demo_stream_begin(c, STR("text/event-stream; charset=utf-8"), STREAM_RESPONSES);
        response_stream(c, id);
        demo_stream_end(c);
    } else if (field_true(c, F_BACKGROUND)) {
        create_background(c, id);
    } else {
        response_put(c, id, response_status(c->answer));
        response_save(c, id, 0);
        demo_json(c);
    }
}

/* --- by id --- */

static void replay(struct demo_call *c)
{
    _cleanup_(buf_free) struct buf object;
    buf_init(&object, STORE_BYTES);
    buf_addstr(&object, buf_str(&c->out));
    buf_clear(&c->out);
    demo_stream_begin(c, STR("text/event-stream"), STREAM_RESPONSES);
    static const struct str types[] = {
        STR_INIT("response.created"), STR_INIT("response.completed")};
    for (unsigned i = 0; i < ARRAY_LEN(types); i++) {
        response_event_begin(c, types[i]);
        put(c, ",\"response\":");
        put_str(c, buf_str(&object));
        if (!response_event_end(c))
            break;
    }
    demo_stream_end(c);
}

/* Items with commas between, as a list object. */
void response_item_list(struct demo_call *c, struct str items)
{
    put(c, "{\"object\":\"list\",\"data\":[");
    size_t from = c->out.n - 1;
    put_str(c, items);
    put(c, "]");
    struct str list = str_from(buf_str(&c->out), from), key, item;
    size_t first = 0, last = 0, at = json_inside(list); /* offsets, since c->out may move */
    unsigned n = 0;
    for (; json_next(list, &at, &key, &item); n++) {
        last = (size_t)(item.p - c->out.p);
        first = n ? first : last;
    }
    for (unsigned i = 0; i < 2; i++) {
        struct str object = str_from(buf_str(&c->out), i ? last : first);
        struct str id = n ? json_find(object, STR("id")) : STR("null");
        char copy[128];
        size_t k = MIN(id.n, sizeof(copy));
        memcpy(copy, id.p, k);
        put_str(c, i ? STR(",\"last_id\":") : STR(",\"first_id\":"));
        buf_add(&c->out, copy, k);
    }
    put(c, ",\"has_more\":false}");
    demo_json(c);
}

static void list_input(struct demo_call *c, struct str id)
{
    _cleanup_(buf_free) struct buf items;
    buf_init(&items, STORE_BYTES);
    if (!store_get(STORE_RESPONSE, id, NULL, &items))
        demo_not_found(c, "response");
    else
        response_item_list(c, buf_str(&items));
}

static const char completed[] = "\"status\":\"completed\"";

/* Only a background response can be cancelled. */
static void cancel(struct demo_call *c, struct str id)
{
    _cleanup_(buf_free) struct buf object, items;
    buf_init(&object, STORE_BYTES);
    buf_init(&items, STORE_BYTES);
    (void)store_get(STORE_RESPONSE, id, &object, &items);
    if (json_type_of(json_find(buf_str(&object), STR("background"))) != JSON_TRUE) {
        demo_error(c, 400, "Cannot cancel a synchronous response.");
        return;
    }
    ptrdiff_t at = str_find(buf_str(&object), str_of(completed));
    if (at < 0) {
        put_str(c, buf_str(&object));
    } else {
        put_str(c, str_to(buf_str(&object), (size_t)at));
        put(c, "\"status\":\"cancelled\"");
        put_str(c, str_from(buf_str(&object), (size_t)at + sizeof(completed) - 1));
        (void)store_put(STORE_RESPONSE, id, buf_str(&c->out), buf_str(&items));
    }
    demo_json(c);
}

void openai_response_by_id(struct demo_call *c)
{
    struct str id = c->match.id;
    enum http_method m = c->rq->head.method;
    if (str_ends(c->match.rest, STR("/input_items"))) {
        list_input(c, id);
    } else if (!store_get(STORE_RESPONSE, id, m == HTTP_GET ? &c->out : NULL, NULL)) {
        demo_not_found(c, "response");
    } else if (m == HTTP_POST) {
        cancel(c, id);
    } else if (m == HTTP_DELETE) {
        (void)store_delete(STORE_RESPONSE, id);
        put(c, "{\"id\":");
        put_json(c, id);
        put(c, ",\"object\":\"response\",\"deleted\":true}");
        demo_json(c);
    } else if (str_eq(http_query_get(c->rq->head.query, STR("stream")), STR("true"))) {
        replay(c);
    } else {
        demo_json(c);
    }
}

/* --- input_tokens, compact --- */

static void compact(struct demo_call *c)
{
    char id[48];
    unsigned long long words = c->prompt.words;
    new_id("resp_", id);
    putf(c, "{\"id\":\"%s\",\"object\":\"response.compaction\",\"created_at\":%d,\"output\":[", id,
        DEMO_CREATED);
    putf(c,
        "{\"id\":\"cmp_%s\",\"type\":\"compaction\",\"encrypted_content\":\"ZGVtbw==\"}],"
        "\"usage\":{\"input_tokens\":%llu,\"input_tokens_details\":{\"cached_tokens\":0,"
        "\"cache_write_tokens\":0},"
        "\"output_tokens\":1,\"output_tokens_details\":{\"reasoning_tokens\":0},"
        "\"total_tokens\":%llu}}",
        id + 5, words, words + 1);
    demo_json(c);
}

void openai_response_aux(struct demo_call *c)
{
    if (str_ends(c->match.rest, STR("compact"))) {
        compact(c);
        return;
    }
    unsigned long long n = c->dir.usage_in >= 0 ? (unsigned long long)c->dir.usage_in
                                                : (unsigned long long)c->prompt.words;
    putf(c, "{\"object\":\"response.input_tokens\",\"input_tokens\":%llu}", n);
    demo_json(c);
}

/* --- over a WebSocket --- */

static void ws_error(struct demo_call *c, int status, const char *message)
{
    buf_clear(&c->out);
    putf(c, "{\"type\":\"error\",\"status\":%d,", status);
    size_t from = c->out.n;
    error_body(c, status, message); /* {"error":{...}}: its inside */
    memmove(c->out.p + from, c->out.p + from + 1, c->out.n - from - 1);
    c->out.n--;
    (void)ws_send(c->ws, buf_str(&c->out));
}

static void ws_create(struct demo_call *c)
{
    char id[48];
    const char *why;
    if (request_parse(c) < 0 ||
        !literal_is(json_find(c->body, STR("type")), STR("response.create"))) {
        ws_error(c, 400, "The message is not a response.create.");
        return;
    }
    prompt_read(c);
    if (c->dir.delay_ms > 0 && co_sleep_until(loop_now() + c->dir.delay_ms * NS_PER_MS) < 0)
        return;
    if (c->dir.status >= 300) {
        ws_error(c, c->dir.status, "The demo provider was told to fail.");
    } else if (!response_links_hold(c, &why)) {
        ws_error(c, 400, why);
    } else if ((c->answer = answer_make(c))) {
        new_id("resp_", id);
        c->due = loop_now();
        response_stream(c, id);
    }
}

void openai_responses_ws(struct demo_call *c)
{
    struct str message;
    struct ws *w = ws_open(c);
    while (w && ws_receive(w, &message) > 0) {
        struct demo_call one;
        call_init(&one, c->rq);
        one.match = c->match;
        one.ws = w;
        one.body = message;
        one.style = STREAM_RESPONSES;
        ws_create(&one);
        bool over = one.done;
        call_free(&one);
        if (over)
            break;
    }
    ws_close(w, 1000);
}
