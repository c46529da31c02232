/*
 * The events of a Response, numbered from 0: created, in_progress, per item added … done, then
 * completed or incomplete. Over HTTP they are server-sent events, over a WebSocket plain messages.
 */
#include "demo/openai_int.h"

void response_event_begin(struct demo_call *c, struct str type)
{
    if (!c->ws) {
        put(c, "event: ");
        put_str(c, type);
        put(c, "\ndata: ");
    }
    put(c, "{\"type\":\"");
    put_str(c, type);
    put(c, "\",\"sequence_number\":");
    buf_addu64(&c->out, c->sequence++);
}

bool response_event_end(struct demo_call *c)
{
    put(c, "}");
    if (c->ws)
        return ws_event(c);
    put(c, "\n\n");
    return demo_event(c);
}

static bool object_event(struct demo_call *c, struct str type, const char *id, const char *status)
{
    response_event_begin(c, type);
    put(c, ",\"response\":");
    size_t from = c->out.n;
    response_put(c, id, status);
    if (strcmp(status, "in_progress"))
        response_save(c, id, from);
    return response_event_end(c);
}

static bool item_event(struct demo_call *c, struct str type, const char *id, unsigned i, bool full)
{
    response_event_begin(c, type);
    putf(c, ",\"output_index\":%u,\"item\":", i);
    response_item_put(c, id, i, full);
    return response_event_end(c);
}

static void inner_begin(struct demo_call *c, struct str type, const char *id, unsigned i)
{
    response_event_begin(c, type);
    put(c, ",\"item_id\":");
    response_item_id(c, id, i);
    put(c, ",\"output_index\":");
    buf_addu64(&c->out, i);
}

static bool part_event(struct demo_call *c, struct str type, const char *id, struct str text)
{
    inner_begin(c, type, id, 0);
    put(c, ",\"content_index\":0,\"part\":");
    response_text_part(c, text);
    return response_event_end(c);
}

static bool text_event(
    struct demo_call *c, struct str type, const char *id, struct str member, struct str text)
{
    inner_begin(c, type, id, 0);
    put(c, ",\"content_index\":0,\"logprobs\":[],\"");
    put_str(c, member);
    put(c, "\":");
    put_json(c, text);
    return response_event_end(c);
}

static bool stream_text(struct demo_call *c, const char *id)
{
    struct str all = buf_str(&c->answer->text), rest = all;
    size_t pieces = c->answer->pieces;
    uint64_t words = count_words(rest);

    if (!part_event(c, STR("response.content_part.added"), id, STR("")))
        return false;
    while (rest.n) {
        struct str piece = answer_piece(&rest, &words, &pieces);
        if (!text_event(c, STR("response.output_text.delta"), id, STR("delta"), piece))
            return false;
    }
    return text_event(c, STR("response.output_text.done"), id, STR("text"), all) &&
           part_event(c, STR("response.content_part.done"), id, all);
}

static bool args_event(struct demo_call *c, struct str type, const char *id, unsigned i,
    const char *member, struct str text)
{
    inner_begin(c, type, id, i);
    putf(c, ",\"%s\":", member);
    put_json(c, text);
    if (!c->answer->calls[i].custom && strcmp(member, "arguments") == 0) {
        put(c, ",\"name\":\"");
        put_str(c, c->answer->calls[i].name);
        put(c, "\"");
    }
    return response_event_end(c);
}

static bool stream_args(struct demo_call *c, const char *id, unsigned i)
{
    struct str all = buf_str(&c->answer->args[i]), rest = all;
    bool custom = c->answer->calls[i].custom;
    while (rest.n) {
        struct str piece = utf8_piece(&rest, 12);
        struct str type = custom ? STR("response.custom_tool_call_input.delta")
                                 : STR("response.function_call_arguments.delta");
        if (!args_event(c, type, id, i, "delta", piece))
            return false;
    }
    return custom ? args_event(c, STR("response.custom_tool_call_input.done"), id, i, "input", all)
                  : args_event(
                        c, STR("response.function_call_arguments.done"), id, i, "arguments", all);
}

static bool stream_items(struct demo_call *c, const char *id)
{
    unsigned n = MAX(c->answer->n_calls, 1u);
    for (unsigned i = 0; i < n; i++) {
        bool on = item_event(c, STR("response.output_item.added"), id, i, false) &&
                  (c->answer->n_calls ? stream_args(c, id, i) : stream_text(c, id)) &&
                  item_event(c, STR("response.output_item.done"), id, i, true);
        if (!on)
            return false;
    }
    return true;
}

void response_stream(struct demo_call *c, const char *id)
{
    const char *status = response_status(c->answer);
    struct str last =
        c->answer->finish == FINISH_LENGTH ? STR("response.incomplete") : STR("response.completed");
    if (object_event(c, STR("response.created"), id, "in_progress") &&
        object_event(c, STR("response.in_progress"), id, "in_progress") && stream_items(c, id))
        (void)object_event(c, last, id, status);
}
