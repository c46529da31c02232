/*
 * Streams of Cohere's v2 chat. Its content blocks and its calls of tools are numbered apart; the
 * plan for calls has no number. A block's citations may come behind its end, so that a block ends
 * only when something else begins.
 */
#include "translate/cohere_int.h"

enum { KEY_PLAN, KEYS_CONTENT = 1, KEYS_CALLS = 1 << 16 };

struct cohere_reader {
    struct native_custom custom;
    unsigned calls;
};

static struct cohere_reader *reader_of(struct canon_stream *s)
{
    if (!s->reader)
        s->reader = arena_new(s->c->arena, struct cohere_reader);
    return s->reader;
}

static unsigned number_of(yyjson_val *v, const char *name)
{
    return (unsigned)MIN(jr_get_u64(v, name), (uint64_t)UINT16_MAX);
}

/* --- content --- */

static void on_content(struct canon_stream *s, yyjson_val *v, yyjson_val *message)
{
    yyjson_val *content = yyjson_obj_get(message, "content");
    unsigned key = KEYS_CONTENT + number_of(v, "index");
    struct str thinking = jr_get_str(content, "thinking"), probs;

    if (thinking.p)
        native_delta(s, key, PART_THINKING, DELTA_TEXT, thinking);
    native_delta(s, key, PART_TEXT, DELTA_TEXT, jr_get_str(content, "text"));
    yyjson_val *one = yyjson_obj_get(v, "logprobs");
    yyjson_val *values = yyjson_obj_get(one, "logprobs");
    if (yyjson_arr_size(values) != 1)
        return;
    probs = jr_raw(&s->pool, yyjson_arr_get_first(values));
    _cleanup_(buf_free) struct buf text = {0};
    buf_init(&text, 64 * KIB);
    buf_addstr(&text, STR("{\"content\":[{\"token\":"));
    buf_addjson(&text, jr_get_str(one, "text"));
    buf_addstr(&text, STR(",\"logprob\":"));
    buf_addstr(&text, probs);
    buf_addstr(&text, STR(",\"bytes\":null,\"top_logprobs\":[]}]}"));
    if (!text.err)
        native_delta(s, key, PART_TEXT, DELTA_LOGPROBS, buf_str(&text));
}

static void on_citation(struct canon_stream *s, yyjson_val *message)
{
    yyjson_val *v = yyjson_obj_get(message, "citations");
    bool plan = str_eq(jr_get_str(v, "type"), STR("PLAN"));
    bool thinks = str_eq(jr_get_str(v, "type"), STR("THINKING_CONTENT"));
    struct canon_part p = {.kind = PART_TEXT};

    if (!yyjson_is_obj(v) || thinks)
        return;
    p.citations = cohere_read_citation(&s->pool, v, STR_NONE);
    if (p.citations)
        canon_emit(s, &(struct canon_event){.kind = EVENT_PART_DELTA,
                          .key = plan ? KEY_PLAN : KEYS_CONTENT + number_of(v, "content_index"),
                          .part = &p,
                          .field = DELTA_CITATION});
}

/* --- calls --- */

static int on_call_start(struct canon_stream *s, yyjson_val *v, yyjson_val *message)
{
    struct cohere_reader *rd = reader_of(s);
    yyjson_val *call = yyjson_obj_get(message, "tool_calls");
    yyjson_val *what = yyjson_obj_get(call, "function");
    struct str arguments = jr_get_str(what, "arguments");
    struct canon_part p = {.kind = PART_TOOL_CALL,
        .id = jr_get_str(call, "id"),
        .name = cohere_name_in(s->c, jr_get_str(what, "name"))};
    const struct canon_tool *t = native_tool(s->c, p.name);
    unsigned key = KEYS_CALLS + number_of(v, "index");

    if (!p.id.n)
        p.id = native_call_id(s->c, &s->pool, rd->calls);
    rd->calls++;
    if (t && t->is_custom) {
        int r = native_custom_begin(s, &rd->custom, key, &p);
        return r < 0 ? r : native_custom_add(s, &rd->custom, arguments);
    }
    native_start(s, key, &p);
    native_delta(s, key, PART_TOOL_CALL, DELTA_INPUT, arguments);
    return 0;
}

static int on_call_delta(struct canon_stream *s, yyjson_val *v, yyjson_val *message)
{
    struct cohere_reader *rd = reader_of(s);
    yyjson_val *what = yyjson_obj_get(yyjson_obj_get(message, "tool_calls"), "function");
    struct str text = jr_get_str(what, "arguments");

    if (rd->custom.on)
        return native_custom_add(s, &rd->custom, text);
    native_delta(s, KEYS_CALLS + number_of(v, "index"), PART_TOOL_CALL, DELTA_INPUT, text);
    return 0;
}

static void on_call_end(struct canon_stream *s, yyjson_val *v)
{
    struct cohere_reader *rd = reader_of(s);
    unsigned key = KEYS_CALLS + number_of(v, "index");

    if (rd->custom.on)
        native_custom_end(s, &rd->custom);
    else
        canon_emit(s, &(struct canon_event){.kind = EVENT_PART_END, .key = key});
}

/* --- end --- */

static void on_end(struct canon_stream *s, yyjson_val *delta)
{
    struct str reason = jr_get_str(delta, "finish_reason"), error = jr_get_str(delta, "error");
    enum canon_finish f = cohere_finish_in(reason);
    struct usage u = {0};

    if (f == FINISH_ERROR) {
        native_fail(s, cohere_error_status(reason), STR("upstream_failed"),
            error.n ? error : STR("The provider ended the answer with an error."));
        return;
    }
    native_finish(s, f, reason);
    cohere_read_usage(yyjson_obj_get(delta, "usage"), &u);
    if (u.source != USAGE_UNKNOWN)
        canon_emit(s, &(struct canon_event){.kind = EVENT_USAGE, .usage = &u});
    canon_emit(s, &(struct canon_event){.kind = EVENT_END});
}

int cohere_read_event(struct canon_stream *s, struct str event, struct str data)
{
    const char *why;
    yyjson_val *v, *delta, *message;
    struct str type;

    if (str_eq(str_trim(data), STR("[DONE]")) || !str_trim(data).n)
        return 0;
    if (!reader_of(s))
        return canon_no_room(s->c);
    v = jr_parse(&s->pool, data, &why);
    if (!yyjson_is_obj(v))
        return canon_bad_reply(s->c, "an event of its stream is no JSON object");
    type = jr_get_str(v, "type");
    if (!type.n)
        type = event;
    delta = yyjson_obj_get(v, "delta");
    message = yyjson_obj_get(delta, "message");
    if (str_eq(type, STR("message-start")))
        canon_emit(s, &(struct canon_event){.kind = EVENT_START, .id = jr_get_str(v, "id")});
    else if (str_eq(type, STR("content-start")) || str_eq(type, STR("content-delta")))
        on_content(s, v, message);
    else if (str_eq(type, STR("tool-plan-delta")))
        native_delta(s, KEY_PLAN, PART_TEXT, DELTA_TEXT, jr_get_str(message, "tool_plan"));
    else if (str_eq(type, STR("tool-call-start")))
        return on_call_start(s, v, message);
    else if (str_eq(type, STR("tool-call-delta")))
        return on_call_delta(s, v, message);
    else if (str_eq(type, STR("tool-call-end")))
        on_call_end(s, v);
    else if (str_eq(type, STR("citation-start")))
        on_citation(s, message);
    else if (str_eq(type, STR("message-end")))
        on_end(s, delta);
    return 0;
}
