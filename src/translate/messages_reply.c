/*
 * Anthropic's replies, both ways: content blocks, usage, why it stopped. Blocks that nobody else
 * has (server tools and their results) are passed over. Where the request had its schema put into a
 * forced tool, that tool's call is the answer's text.
 */
#include "translate/messages_int.h"

#include "base/macros.h"

/* --- usage --- */

static bool take(yyjson_val *obj, const char *name, uint64_t *to)
{
    int64_t n;
    if (!jr_get_int(obj, name, &n) || n < 0)
        return false;
    *to = jr_get_u64(obj, name);
    return true;
}

/* Later objects overrule earlier ones member by member. */
void messages_read_usage(yyjson_val *v, struct usage *u)
{
    yyjson_val *by_ttl = yyjson_obj_get(v, "cache_creation");
    uint64_t written;
    struct str tier = jr_get_str(v, "service_tier");
    bool any = take(v, "input_tokens", &u->input);
    any |= take(v, "output_tokens", &u->output);
    take(v, "cache_read_input_tokens", &u->cache_read);
    if (yyjson_is_obj(by_ttl)) {
        take(by_ttl, "ephemeral_5m_input_tokens", &u->cache_write_5m);
        take(by_ttl, "ephemeral_1h_input_tokens", &u->cache_write_1h);
    } else if (take(v, "cache_creation_input_tokens", &written)) {
        u->cache_write_5m = written > u->cache_write_1h ? written - u->cache_write_1h : 0;
    }
    take(yyjson_obj_get(v, "output_tokens_details"), "thinking_tokens", &u->reasoning);
    take(yyjson_obj_get(v, "server_tool_use"), "web_search_requests", &u->queries);
    if (tier.p)
        u->tier = str_eq(tier, STR("priority")) ? TIER_PRIORITY
                  : str_eq(tier, STR("batch"))  ? TIER_BATCH
                                                : TIER_DEFAULT;
    if (any)
        u->source = USAGE_REPORTED;
}

static void write_details(struct jw *w, const struct usage *u)
{
    if (u->reasoning) {
        jw_key(w, "output_tokens_details");
        jw_open(w, '{');
        jw_member_int(w, "thinking_tokens", (int64_t)u->reasoning);
        jw_close(w, '}');
    }
    if (u->queries) {
        jw_key(w, "server_tool_use");
        jw_open(w, '{');
        jw_member_int(w, "web_search_requests", (int64_t)u->queries);
        jw_member_int(w, "web_fetch_requests", 0);
        jw_close(w, '}');
    }
}

void messages_write_usage(struct jw *w, const struct usage *u, bool delta)
{
    uint64_t written = u->cache_write_5m + u->cache_write_1h;
    jw_open(w, '{');
    jw_member_int(w, "input_tokens", (int64_t)(u->input + u->audio_in));
    jw_member_int(w, "cache_creation_input_tokens", (int64_t)written);
    jw_member_int(w, "cache_read_input_tokens", (int64_t)u->cache_read);
    if (written && !delta) {
        jw_key(w, "cache_creation");
        jw_open(w, '{');
        jw_member_int(w, "ephemeral_5m_input_tokens", (int64_t)u->cache_write_5m);
        jw_member_int(w, "ephemeral_1h_input_tokens", (int64_t)u->cache_write_1h);
        jw_close(w, '}');
    }
    jw_member_int(w, "output_tokens", (int64_t)usage_output_total(u));
    write_details(w, u);
    if (!delta && (u->tier == TIER_PRIORITY || u->tier == TIER_BATCH))
        jw_member_str(w, "service_tier", u->tier == TIER_BATCH ? STR("batch") : STR("priority"));
    jw_close(w, '}');
}

/* --- why it stopped --- */

static const struct {
    struct str name;
    enum canon_finish finish;
} stops[] = {
    {STR_INIT("end_turn"), FINISH_STOP},
    {STR_INIT("stop_sequence"), FINISH_STOP_SEQUENCE},
    {STR_INIT("max_tokens"), FINISH_LENGTH},
    {STR_INIT("model_context_window_exceeded"), FINISH_CONTEXT},
    {STR_INIT("tool_use"), FINISH_TOOL_CALLS},
    {STR_INIT("refusal"), FINISH_FILTER},
    {STR_INIT("pause_turn"), FINISH_PAUSE},
};

enum canon_finish messages_finish_in(struct str stop_reason)
{
    for (size_t i = 0; i < ARRAY_LEN(stops); i++)
        if (str_eq(stops[i].name, stop_reason))
            return stops[i].finish;
    return FINISH_STOP;
}

struct str messages_finish_out(enum canon_finish f, bool has_calls)
{
    if (has_calls && (f == FINISH_STOP || f == FINISH_UNSET))
        return STR("tool_use");
    for (size_t i = 0; i < ARRAY_LEN(stops); i++)
        if (stops[i].finish == f)
            return stops[i].name;
    return STR("end_turn");
}

/* --- reading --- */

struct str messages_custom_text(struct arena *a, struct str arguments)
{
    const char *why;
    yyjson_val *v = jr_parse(a, arguments, &why);
    struct str text = jr_get_str(v, "input");
    return text.p ? text : arguments;
}

static int read_text(struct canon_call *c, yyjson_val *b, struct canon_part ***tail)
{
    struct canon_part *p = canon_add_part(c, tail, PART_TEXT);
    struct canon_citation **next = p ? &p->citations : NULL;
    size_t i, n;
    yyjson_val *item;
    if (!p)
        return -ENOMEM;
    p->text = jr_get_str(b, "text");
    yyjson_arr_foreach(yyjson_obj_get(b, "citations"), i, n, item)
    {
        struct canon_citation *t = messages_read_citation(c, c->arena, item);
        if (!t)
            return -ENOMEM;
        t->from = 0;
        t->to = (int64_t)p->text.n;
        *next = t;
        next = &t->next;
    }
    return 0;
}

/* ret_json: it was the forced tool's. */
static int read_call(struct canon_call *c, yyjson_val *b, struct canon_part ***tail, bool *ret_json)
{
    struct str name = jr_get_str(b, "name"), input = jr_raw(c->arena, yyjson_obj_get(b, "input"));
    *ret_json = messages_json_tool(c, c->request) && str_eq(name, JSON_TOOL);
    struct canon_part *p = canon_add_part(c, tail, *ret_json ? PART_TEXT : PART_TOOL_CALL);
    if (!p)
        return -ENOMEM;
    if (!input.p)
        input = STR("{}");
    if (*ret_json) {
        p->text = input;
        return 0;
    }
    p->id = jr_get_str(b, "id");
    p->name = messages_name_in(c, name);
    const struct canon_tool *tool = messages_tool(c, p->name);
    p->is_custom = tool && tool->is_custom;
    if (p->is_custom)
        p->text = messages_custom_text(c->arena, input);
    else
        p->raw = input;
    return 0;
}

static int read_thought(
    struct canon_call *c, yyjson_val *b, struct canon_part ***tail, bool redacted)
{
    struct canon_part *p =
        canon_add_part(c, tail, redacted ? PART_REDACTED_THINKING : PART_THINKING);
    if (!p)
        return -ENOMEM;
    p->text = jr_get_str(b, redacted ? "data" : "thinking");
    p->signature = jr_get_str(b, "signature");
    p->maker = MAKER_ANTHROPIC;
    return 0;
}

static int read_blocks(struct canon_call *c, yyjson_val *content, struct canon_choice *ch)
{
    struct canon_part **tail = &ch->parts;
    bool json = false, calls = false, is_json;
    int r = 0;
    size_t i, n;
    yyjson_val *b;
    yyjson_arr_foreach(content, i, n, b)
    {
        struct str type = jr_get_str(b, "type");
        if (str_eq(type, STR("text"))) {
            r = read_text(c, b, &tail);
        } else if (str_eq(type, STR("tool_use"))) {
            r = read_call(c, b, &tail, &is_json);
            json |= is_json;
            calls |= !is_json;
        } else if (str_eq(type, STR("thinking"))) {
            r = read_thought(c, b, &tail, false);
        } else if (str_eq(type, STR("redacted_thinking"))) {
            r = read_thought(c, b, &tail, true);
        }
        if (r < 0)
            return r;
    }
    if (json && !calls && ch->finish == FINISH_TOOL_CALLS)
        ch->finish = FINISH_STOP;
    return 0;
}

int messages_read_reply(struct canon_call *c, struct str body, struct canon_reply *r)
{
    const char *why;
    *r = (struct canon_reply){.created = c->now};
    yyjson_val *root = jr_parse(c->arena, body, &why);
    yyjson_val *content = yyjson_obj_get(root, "content");
    if (!root)
        return canon_bad_reply(c, why);
    if (!yyjson_is_arr(content))
        return canon_bad_reply(c, "it has no content");
    struct canon_choice *ch = arena_new(c->arena, struct canon_choice);
    if (!ch)
        return canon_no_room(c);
    r->id = jr_get_str(root, "id");
    r->choices = ch;
    ch->native_finish = jr_get_str(root, "stop_reason");
    ch->finish = messages_finish_in(ch->native_finish);
    ch->stop_sequence = jr_get_str(root, "stop_sequence");
    messages_read_usage(yyjson_obj_get(root, "usage"), &r->usage);
    if (jr_get_str(yyjson_obj_get(root, "usage"), "service_tier").p)
        r->service_tier = r->usage.tier == TIER_PRIORITY ? STR("priority") : STR("default");
    return read_blocks(c, content, ch);
}

/* --- writing --- */

struct str messages_reply_id(struct canon_call *c, struct str id)
{
    if (str_starts(id, STR("msg_")))
        return id;
    return arena_printf(c->arena, "msg_" STR_FMT, STR_ARG(id.n ? id : c->request_id));
}

bool messages_can_cite(const struct canon_citation *t)
{
    return t->raw.p && t->maker == MAKER_ANTHROPIC ? true : t->url.n > 0;
}

/* A citation of another provider's becomes one of a page on the web; it has no index there. */
void messages_write_citation(struct jw *w, const struct canon_citation *t)
{
    if (t->raw.p && t->maker == MAKER_ANTHROPIC) {
        jw_raw(w, t->raw);
        return;
    }
    jw_open(w, '{');
    jw_member_str(w, "type", STR("web_search_result_location"));
    jw_member_str(w, "cited_text", t->quote.p ? t->quote : STR(""));
    jw_member_str(w, "encrypted_index", STR(""));
    jw_key(w, "title");
    if (t->title.n)
        jw_str(w, t->title);
    else
        jw_null(w);
    jw_member_str(w, "url", t->url);
    jw_close(w, '}');
}

static void write_text(struct jw *w, const struct canon_part *p)
{
    bool any = false;
    if (!p->text.n)
        return;
    jw_open(w, '{');
    jw_member_str(w, "type", STR("text"));
    jw_member_str(w, "text", p->text);
    for (const struct canon_citation *t = p->citations; t; t = t->next) {
        if (!messages_can_cite(t))
            continue;
        if (!any) {
            jw_key(w, "citations");
            jw_open(w, '[');
        }
        any = true;
        messages_write_citation(w, t);
    }
    if (any)
        jw_close(w, ']');
    jw_close(w, '}');
}

static void write_call(struct canon_call *c, struct jw *w, const struct canon_part *p)
{
    jw_open(w, '{');
    jw_member_str(w, "type", STR("tool_use"));
    jw_member_str(w, "id", messages_id_out(c, p));
    jw_member_str(w, "name", p->name);
    jw_key(w, "input");
    if (p->is_custom) {
        jw_open(w, '{');
        jw_member_str(w, "input", p->text.p ? p->text : STR(""));
        jw_close(w, '}');
    } else {
        jw_raw(w, p->raw.n > 1 && p->raw.p[0] == '{' ? p->raw : STR("{}"));
    }
    jw_close(w, '}');
}

static void write_thought(struct canon_call *c, struct jw *w, const struct canon_part *p)
{
    jw_open(w, '{');
    if (p->kind == PART_REDACTED_THINKING) {
        jw_member_str(w, "type", STR("redacted_thinking"));
        jw_member_str(w, "data", canon_sign_out(c, MAKER_ANTHROPIC, p->maker, p->text));
    } else {
        struct str sign = canon_sign_out(c, MAKER_ANTHROPIC, p->maker, p->signature);
        jw_member_str(w, "type", STR("thinking"));
        jw_member_str(w, "thinking", p->text.p ? p->text : STR(""));
        jw_member_str(w, "signature", sign.p ? sign : STR(""));
    }
    jw_close(w, '}');
}

/* Gemini's signature of a text: in a block of thinking behind it, which says nothing else. */
static void write_text_signature(struct canon_call *c, struct jw *w, const struct canon_part *text)
{
    const struct canon_part p = {
        .kind = PART_THINKING, .signature = text->signature, .maker = text->maker};
    write_thought(c, w, &p);
}

static bool write_block(struct canon_call *c, struct jw *w, const struct canon_part *p)
{
    switch (p->kind) {
    case PART_TEXT:
    case PART_REFUSAL:
        write_text(w, p);
        if (p->signature.n)
            write_text_signature(c, w, p);
        return false;
    case PART_TOOL_CALL:
        write_call(c, w, p);
        return true;
    case PART_THINKING:
    case PART_REDACTED_THINKING:
        write_thought(c, w, p);
        return false;
    default: /* pictures and sounds, which the dialect has no block for */
        return false;
    }
}

int messages_write_reply(struct canon_call *c, const struct canon_reply *r, struct buf *out)
{
    struct jw w = {.out = out};
    const struct canon_choice *ch = r->choices;
    struct usage u = r->usage;
    bool calls = false;
    if (u.source == USAGE_UNKNOWN)
        u.input = c->input_estimate;
    jw_open(&w, '{');
    jw_member_str(&w, "id", messages_reply_id(c, r->id));
    jw_member_str(&w, "type", STR("message"));
    jw_member_str(&w, "role", STR("assistant"));
    jw_member_str(&w, "model", c->model_shown);
    jw_key(&w, "content");
    jw_open(&w, '[');
    for (const struct canon_part *p = ch ? ch->parts : NULL; p; p = p->next)
        calls |= write_block(c, &w, p);
    jw_close(&w, ']');
    jw_member_str(&w, "stop_reason", messages_finish_out(ch ? ch->finish : FINISH_STOP, calls));
    jw_key(&w, "stop_sequence");
    if (ch && ch->finish == FINISH_STOP_SEQUENCE && ch->stop_sequence.p)
        jw_str(&w, ch->stop_sequence);
    else
        jw_null(&w);
    jw_key(&w, "usage");
    messages_write_usage(&w, &u, false);
    jw_close(&w, '}');
    return out->err ? canon_no_room(c) : 0;
}
