/*
 * The Response object: what POST /responses returns, what the stream's first and last events hold
 * and what is stored. Its items have ids that derive from its own.
 */
#include "demo/openai_int.h"

const char *response_status(const struct answer *a)
{
    return a->finish == FINISH_LENGTH ? "incomplete" : "completed";
}

void response_item_id(struct demo_call *c, const char *id, unsigned i)
{
    const struct answer *a = c->answer;
    putf(c, "\"%s_%s%02u\"", !a->n_calls ? "msg" : a->calls[i].custom ? "ctc" : "fc", id + 5, i);
}

void response_text_part(struct demo_call *c, struct str text)
{
    put(c, "{\"type\":\"output_text\",\"annotations\":[],\"logprobs\":[],\"text\":");
    put_json(c, text);
    put(c, "}");
}

static void put_call(struct demo_call *c, const char *id, unsigned i, bool full)
{
    const struct demo_tool *t = &c->answer->calls[i];
    struct str args = full ? buf_str(&c->answer->args[i]) : STR("");
    put(c, "{\"id\":");
    response_item_id(c, id, i);
    put_str(c, t->custom ? STR(",\"type\":\"custom_tool_call\",\"input\":")
                         : STR(",\"type\":\"function_call\",\"arguments\":"));
    put_json(c, args);
    putf(c, ",\"call_id\":\"call_%s%02u\",\"name\":\"", id + 5, i);
    put_str(c, t->name);
    put_str(c, full ? STR("\",\"status\":\"completed\"}") : STR("\",\"status\":\"in_progress\"}"));
}

void response_item_put(struct demo_call *c, const char *id, unsigned i, bool full)
{
    if (c->answer->n_calls) {
        put_call(c, id, i, full);
        return;
    }
    put(c, "{\"id\":");
    response_item_id(c, id, i);
    putf(c, ",\"type\":\"message\",\"status\":\"%s\",\"role\":\"assistant\",\"content\":[",
        full ? response_status(c->answer) : "in_progress");
    if (full)
        response_text_part(c, buf_str(&c->answer->text));
    put(c, "]}");
}

static void put_usage(struct demo_call *c)
{
    const struct answer *a = c->answer;
    unsigned long long in = a->tokens_in, out = a->tokens_out;
    putf(c,
        "{\"input_tokens\":%llu,\"input_tokens_details\":{\"cached_tokens\":0,"
        "\"cache_write_tokens\":0},"
        "\"output_tokens\":%llu,\"output_tokens_details\":{\"reasoning_tokens\":0},"
        "\"total_tokens\":%llu}",
        in, out, in + out);
}

/* Members that come back as they were sent. */
static void put_echo(struct demo_call *c)
{
    static const struct {
        const char *name, *otherwise;
    } echoed[] = {{"max_tool_calls", "null"}, {"metadata", "{}"}, {"parallel_tool_calls", "true"},
        {"prompt_cache_key", "null"}, {"reasoning", "{\"effort\":null,\"summary\":null}"},
        {"safety_identifier", "null"}, {"temperature", "1.0"}, {"top_logprobs", "0"},
        {"top_p", "1.0"}, {"truncation", "\"disabled\""}, {"user", "null"}};
    for (unsigned i = 0; i < ARRAY_LEN(echoed); i++) {
        putf(c, ",\"%s\":", echoed[i].name);
        struct str v = json_find(c->body, str_of(echoed[i].name));
        demo_put_raw(c, json_type_of(v) == JSON_NULL ? STR_NONE : v, echoed[i].otherwise);
    }
    put(c, ",\"instructions\":");
    demo_put_raw(c, field(c, F_INSTRUCTIONS), "null");
    put(c, ",\"max_output_tokens\":");
    demo_put_raw(c, field(c, F_MAX_OUTPUT_TOKENS), "null");
    put(c, ",\"previous_response_id\":");
    demo_put_raw(c, field(c, F_PREVIOUS_RESPONSE_ID), "null");
    put(c, ",\"text\":");
    demo_put_raw(c, field(c, F_TEXT), "{\"format\":{\"type\":\"text\"},\"verbosity\":\"medium\"}");
    put(c, ",\"tool_choice\":");
    demo_put_raw(c, field(c, F_TOOL_CHOICE), "\"auto\"");
    put(c, ",\"tools\":");
    demo_put_raw(c, field(c, F_TOOLS), "[]");
}

/* A conversation is named by its id or by an object that has it. */
static struct str conversation_literal(const struct demo_call *c)
{
    struct str v = field(c, F_CONVERSATION);
    return json_type_of(v) == JSON_OBJECT ? json_find(v, STR("id")) : v;
}

void response_put(struct demo_call *c, const char *id, const char *status)
{
    const struct answer *a = c->answer;
    bool ended = strcmp(status, "completed") == 0 || strcmp(status, "incomplete") == 0;
    put(c, "{\"id\":\"");
    put_str(c, str_of(id));
    putf(c, "\",\"object\":\"response\",\"created_at\":%d,\"status\":\"", DEMO_CREATED);
    put_str(c, str_of(status));
    put(c, "\"");
    putf(c, ",\"background\":%s,\"error\":null,\"incomplete_details\":%s,\"store\":%s",
        field_true(c, F_BACKGROUND) ? "true" : "false",
        strcmp(status, "incomplete") ? "null" : "{\"reason\":\"max_output_tokens\"}",
        c->fields[F_STORE].type == JSON_FALSE ? "false" : "true");
    put(c, ",\"model\":");
    put_str(c, c->model);
    put(c, ",\"output\":[");
    for (unsigned i = 0; ended && i < MAX(a->n_calls, 1u); i++) {
        put_str(c, i ? STR(",") : STR(""));
        response_item_put(c, id, i, true);
    }
    put(c, "],\"service_tier\":\"default\"");
    put_echo(c);
    if (conversation_literal(c).p) {
        put(c, ",\"conversation\":{\"id\":");
        put_str(c, conversation_literal(c));
        put(c, "}");
    }
    put(c, ",\"usage\":");
    if (ended && !c->dir.no_usage)
        put_usage(c);
    else
        put(c, "null");
    put(c, "}");
}

/* --- what is kept --- */

static void put_input_item(struct buf *out, const char *id, unsigned i, struct str item)
{
    struct str content = json_find(item, STR("content")), role = json_find(item, STR("role"));
    if (json_type_of(item) == JSON_STRING) {
        content = item;
        role = STR("\"user\"");
    }
    if (!role.p) { /* a tool's output and the like stay as they are */
        bool has_id = json_find(item, STR("id")).p != NULL;
        buf_addstr(out, STR("{"));
        if (!has_id)
            buf_printf(out, "\"id\":\"item_%s%02u\",", id + 5, i);
        buf_addstr(out, str_from(item, json_inside(item)));
        return;
    }
    buf_printf(out,
        "{\"id\":\"msg_in%s%02u\",\"type\":\"message\",\"status\":\"completed\",\"role\":", id + 5,
        i);
    buf_addstr(out, role);
    buf_addstr(out, STR(",\"content\":"));
    if (json_type_of(content) == JSON_STRING) {
        buf_addstr(out, literal_is(role, STR("assistant"))
                            ? STR("[{\"type\":\"output_text\",\"annotations\":[],\"text\":")
                            : STR("[{\"type\":\"input_text\",\"text\":"));
        buf_addstr(out, content);
        buf_addstr(out, STR("}]}"));
    } else {
        buf_addstr(out, content.p ? content : STR("[]"));
        buf_addstr(out, STR("}"));
    }
}

void response_items(struct str input, struct buf *out, const char *id)
{
    struct str key, item;
    unsigned i = 0;
    if (json_type_of(input) == JSON_STRING)
        put_input_item(out, id, 0, input);
    if (json_type_of(input) != JSON_ARRAY)
        return;
    for (size_t at = json_inside(input); json_next(input, &at, &key, &item); i++) {
        if (json_type_of(item) != JSON_OBJECT)
            continue;
        buf_addstr(out, i ? STR(",") : STR(""));
        put_input_item(out, id, i, item);
    }
}

void response_save(struct demo_call *c, const char *id, size_t from)
{
    _cleanup_(buf_free) struct buf items;
    struct str conversation = unquoted(conversation_literal(c));
    buf_init(&items, STORE_BYTES);
    response_items(field(c, F_INPUT), &items, id);
    if (c->fields[F_STORE].type != JSON_FALSE)
        (void)store_put(
            STORE_RESPONSE, str_of(id), str_from(buf_str(&c->out), from), buf_str(&items));
    if (!conversation.n)
        return;
    size_t mark = c->out.n; /* the answer joins the conversation, too */
    for (unsigned i = 0; i < MAX(c->answer->n_calls, 1u); i++) {
        put_str(c, c->out.n > mark || items.n ? STR(",") : STR(""));
        response_item_put(c, id, i, true);
    }
    buf_addstr(&items, str_from(buf_str(&c->out), mark));
    c->out.n = mark;
    (void)conversation_add(conversation, buf_str(&items));
}

bool response_links_hold(struct demo_call *c, const char **ret_why)
{
    struct str previous = unquoted(field(c, F_PREVIOUS_RESPONSE_ID));
    struct str conversation = unquoted(conversation_literal(c));
    *ret_why = NULL;
    if (previous.n && !store_get(STORE_RESPONSE, previous, NULL, NULL))
        *ret_why = "Previous response not found.";
    if (conversation.n && !store_get(STORE_CONVERSATION, conversation, NULL, NULL))
        *ret_why = "Conversation not found.";
    return *ret_why == NULL;
}
