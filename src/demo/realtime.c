/*
 * OpenAI's Realtime API over a WebSocket: one session a connection. Items that the client adds are
 * acknowledged; the text of the last is what the next response answers. Audio is taken and counted.
 */
#include "demo/openai_int.h"

#include "runtime/loop.h"
#include <stdio.h>

struct session {
    struct demo_call *c; /* of the handshake */
    struct ws *ws;
    unsigned events, items, responses;
    struct buf last; /* the item that the next response answers: its JSON */
    size_t audio_bytes;
};

static void event_begin(struct session *s, struct demo_call *c, struct str type)
{
    put(c, "{\"type\":\"");
    put_str(c, type);
    putf(c, "\",\"event_id\":\"event_demo%u\"", ++s->events);
}

static bool event_end(struct demo_call *c)
{
    put(c, "}");
    return ws_event(c);
}

static void put_session(struct demo_call *c)
{
    put(c,
        "{\"type\":\"realtime\",\"object\":\"realtime.session\",\"id\":\"sess_demo\",\"model\":");
    put_str(c, c->model);
    putf(c,
        ",\"output_modalities\":[\"text\"],\"instructions\":\"\",\"tools\":[],\"tool_choice\":"
        "\"auto\","
        "\"max_output_tokens\":\"inf\",\"expires_at\":%d,\"audio\":{\"input\":{\"format\":{"
        "\"type\":"
        "\"audio/pcm\",\"rate\":24000},\"turn_detection\":null},\"output\":{\"format\":{\"type\":"
        "\"audio/pcm\",\"rate\":24000},\"voice\":\"alloy\",\"speed\":1.0}}}",
        DEMO_CREATED + 3600);
}

static bool session_event(struct session *s, struct demo_call *c, struct str type)
{
    event_begin(s, c, type);
    put(c, ",\"session\":");
    put_session(c);
    return event_end(c);
}

/* --- items of the client --- */

static bool item_added(struct session *s, struct demo_call *c)
{
    struct str item = json_find(c->body, STR("item"));
    bool has_id = json_find(item, STR("id")).p != NULL;
    if (json_type_of(item) != JSON_OBJECT)
        item = STR("{}");
    buf_clear(&s->last);
    buf_addstr(&s->last, item);
    s->items++;
    static const struct str types[] = {
        STR_INIT("conversation.item.added"), STR_INIT("conversation.item.done")};
    for (unsigned i = 0; i < ARRAY_LEN(types); i++) {
        event_begin(s, c, types[i]);
        put(c, ",\"previous_item_id\":null,\"item\":{");
        if (!has_id)
            putf(c, "\"id\":\"item_demo%u\"%s", s->items, item.n > 2 ? "," : "");
        put_str(c, str_from(item, json_inside(item)));
        if (!event_end(c))
            return false;
    }
    return true;
}

static bool committed(struct session *s, struct demo_call *c)
{
    buf_clear(&s->last);
    buf_printf(&s->last,
        "{\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":\"%zu characters of "
        "audio\"}]}",
        s->audio_bytes);
    s->audio_bytes = 0;
    event_begin(s, c, STR("input_audio_buffer.committed"));
    putf(c, ",\"previous_item_id\":null,\"item_id\":\"item_demo%u\"", ++s->items);
    return event_end(c);
}

/* --- responses --- */

static void put_item(struct session *s, struct demo_call *c, bool full)
{
    putf(c,
        "{\"id\":\"item_demo%u\",\"object\":\"realtime.item\",\"type\":\"message\",\"status\":\"%"
        "s\","
        "\"role\":\"assistant\",\"content\":[",
        s->items, full ? "completed" : "in_progress");
    if (full) {
        put(c, "{\"type\":\"output_text\",\"text\":");
        put_json(c, buf_str(&c->answer->text));
        put(c, "}");
    }
    put(c, "]}");
}

static void put_usage(struct demo_call *c)
{
    unsigned long long in = c->answer->tokens_in, out = c->answer->tokens_out;
    if (c->dir.no_usage) {
        put(c, "null");
        return;
    }
    putf(c,
        "{\"total_tokens\":%llu,\"input_tokens\":%llu,\"output_tokens\":%llu,"
        "\"input_token_details\":{\"text_tokens\":%llu,\"audio_tokens\":0,\"image_tokens\":0,"
        "\"cached_tokens\":0},\"output_token_details\":{\"text_tokens\":%llu,\"audio_tokens\":0}}",
        in + out, in, out, in, out);
}

static bool response_event(struct session *s, struct demo_call *c, struct str type, bool done)
{
    event_begin(s, c, type);
    putf(c,
        ",\"response\":{\"object\":\"realtime.response\",\"id\":\"resp_demo%u\",\"status\":\"%s\","
        "\"status_details\":null,\"output_modalities\":[\"text\"],\"conversation_id\":\"conv_"
        "demo\","
        "\"metadata\":null,\"output\":[",
        s->responses, done ? "completed" : "in_progress");
    if (done)
        put_item(s, c, true);
    put(c, "],\"usage\":");
    if (done)
        put_usage(c);
    else
        put(c, "null");
    put(c, "}");
    return event_end(c);
}

static void inner_begin(struct session *s, struct demo_call *c, struct str type)
{
    event_begin(s, c, type);
    putf(c,
        ",\"response_id\":\"resp_demo%u\",\"item_id\":\"item_demo%u\",\"output_index\":0,"
        "\"content_index\":0",
        s->responses, s->items);
}

static bool text_event(
    struct session *s, struct demo_call *c, struct str type, struct str member, struct str text)
{
    inner_begin(s, c, type);
    put(c, ",\"");
    put_str(c, member);
    put(c, "\":");
    put_json(c, text);
    return event_end(c);
}

static bool part_event(struct session *s, struct demo_call *c, struct str type, struct str text)
{
    inner_begin(s, c, type);
    put(c, ",\"part\":{\"type\":\"text\",\"text\":");
    put_json(c, text);
    put(c, "}");
    return event_end(c);
}

static bool item_event(struct session *s, struct demo_call *c, struct str type, bool full)
{
    event_begin(s, c, type);
    putf(c, ",\"response_id\":\"resp_demo%u\",\"output_index\":0,\"item\":", s->responses);
    put_item(s, c, full);
    return event_end(c);
}

static bool respond_text(struct session *s, struct demo_call *c)
{
    struct str all = buf_str(&c->answer->text), rest = all;
    size_t pieces = c->answer->pieces;
    uint64_t words = count_words(rest);
    if (!part_event(s, c, STR("response.content_part.added"), STR("")))
        return false;
    while (rest.n) {
        struct str piece = answer_piece(&rest, &words, &pieces);
        if (!text_event(s, c, STR("response.output_text.delta"), STR("delta"), piece))
            return false;
    }
    return text_event(s, c, STR("response.output_text.done"), STR("text"), all) &&
           part_event(s, c, STR("response.content_part.done"), all);
}

/* The text to answer: of the response's own instructions or of the last item. */
static void read_prompt(struct session *s, struct demo_call *c)
{
    struct str content = json_find(buf_str(&s->last), STR("content")), key, part;
    prompt_read(c);
    prompt_text(&c->prompt, json_find(c->body, STR("response.instructions")), false);
    if (json_type_of(content) == JSON_ARRAY)
        for (size_t at = json_inside(content); json_next(content, &at, &key, &part);)
            prompt_text(&c->prompt, json_find(part, STR("text")), true);
    directions_read(&c->dir, buf_str(&c->prompt.user));
}

static bool respond(struct session *s, struct demo_call *c)
{
    read_prompt(s, c);
    c->due = loop_now();
    if (!(c->answer = answer_make(c)))
        return false;
    s->responses++;
    s->items++;
    return response_event(s, c, STR("response.created"), false) &&
           item_event(s, c, STR("response.output_item.added"), false) && respond_text(s, c) &&
           item_event(s, c, STR("response.output_item.done"), true) &&
           response_event(s, c, STR("response.done"), true);
}

static bool complain(struct session *s, struct demo_call *c, const char *message)
{
    event_begin(s, c, STR("error"));
    putf(c,
        ",\"error\":{\"type\":\"invalid_request_error\",\"code\":\"invalid_value\",\"message\":\"%"
        "s\","
        "\"param\":null,\"event_id\":null}",
        message);
    return event_end(c);
}

static bool heed(struct session *s, struct demo_call *c)
{
    if (request_parse(c) < 0)
        return complain(s, c, "The message is not a JSON object.");
    c->model = s->c->model;
    struct str type = unquoted(json_find(c->body, STR("type")));
    if (str_eq(type, STR("response.create")))
        return respond(s, c);
    if (str_eq(type, STR("session.update")))
        return session_event(s, c, STR("session.updated"));
    if (str_eq(type, STR("conversation.item.create")))
        return item_added(s, c);
    if (str_eq(type, STR("input_audio_buffer.append"))) {
        s->audio_bytes += unquoted(json_find(c->body, STR("audio"))).n;
        return true;
    }
    if (str_eq(type, STR("input_audio_buffer.commit")))
        return committed(s, c);
    if (str_eq(type, STR("input_audio_buffer.clear"))) {
        s->audio_bytes = 0;
        event_begin(s, c, STR("input_audio_buffer.cleared"));
        return event_end(c);
    }
    return complain(s, c, "The demo provider does not know this event.");
}

/* One message is one call of its own: it has its own directions. */
static bool serve_message(struct session *s, struct str message)
{
    struct demo_call one;
    call_init(&one, s->c->rq);
    one.match = s->c->match;
    one.ws = s->ws;
    one.body = message;
    bool on = heed(s, &one);
    call_free(&one);
    return on;
}

void openai_realtime_ws(struct demo_call *c)
{
    struct session s = {.c = c};
    struct str message, model = http_query_get(c->rq->head.query, STR("model"));
    if (model.n && buf_addjson(&c->model_text, model) == 0)
        c->model = buf_str(&c->model_text);
    s.ws = c->ws = ws_open(c);
    if (!s.ws)
        return;
    buf_init(&s.last, LIMIT_WS_FRAME_BYTES);
    if (session_event(&s, c, STR("session.created")))
        while (ws_receive(s.ws, &message) > 0 && serve_message(&s, message))
            ;
    ws_close(s.ws, 1000);
    buf_free(&s.last);
}

/* POST /realtime/client_secrets and /realtime/calls. */
void openai_realtime(struct demo_call *c)
{
    if (str_ends(c->match.rest, STR("calls"))) {
        c->more_fields = STR("location: /v1/realtime/calls/rtc_demo\r\n");
        put(c, "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=demo\r\nt=0 0\r\n");
        demo_reply(c, 201, STR("application/sdp"));
        return;
    }
    struct str model = json_find(c->body, STR("session.model"));
    if (json_type_of(model) == JSON_STRING)
        c->model = model;
    putf(c, "{\"value\":\"ek_demo\",\"expires_at\":%d,\"session\":", DEMO_CREATED + 600);
    put_session(c);
    put(c, "}");
    demo_json(c);
}
