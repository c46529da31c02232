/*
 * Reading Anthropic's streams:
 *
 *   message_start (content_block_start content_block_delta* content_block_stop)*
 *   message_delta message_stop, with ping and error anywhere
 *
 * Blocks have an index and never overlap. Usage is cumulative: the input's in message_start, all of
 * it in message_delta. Blocks and deltas of kinds that nobody else has are passed over, but between
 * two envelopes of this dialect every event passes as it came but for the model's name; the
 * sequencer is then told alongside, for its books, and the writer is silent.
 */
#include "translate/messages_int.h"

#include "base/macros.h"
#include "json/scan.h"

struct reading {
    struct usage usage;
    bool known, is_json, is_custom; /* the block that is open */
    bool json_seen, calls_seen;
    struct canon_text input; /* a custom tool's */
    struct canon_text held;  /* relayed events from before the first content */
    bool flowing;            /* content has begun: nothing is held any more */
};

static struct reading *reading_of(struct canon_stream *s)
{
    if (!s->reader)
        s->reader = arena_new(s->c->arena, struct reading);
    return s->reader;
}

static unsigned index_of(yyjson_val *v)
{
    return (unsigned)jr_get_u64(v, "index");
}

static int on_message_start(struct canon_stream *s, struct reading *st, yyjson_val *v)
{
    yyjson_val *m = yyjson_obj_get(v, "message");
    messages_read_usage(yyjson_obj_get(m, "usage"), &st->usage);
    canon_emit(s,
        &(struct canon_event){.kind = EVENT_START, .id = jr_get_str(m, "id"), .usage = &st->usage});
    return 0;
}

static void start_call(
    struct canon_stream *s, struct reading *st, yyjson_val *b, struct canon_part *p)
{
    yyjson_val *input = yyjson_obj_get(b, "input");
    struct str name = jr_get_str(b, "name");
    st->is_json = messages_json_tool(s->c, s->c->request) && str_eq(name, JSON_TOOL);
    if (yyjson_obj_size(input))
        p->raw = jr_raw(&s->pool, input);
    if (st->is_json) {
        p->kind = PART_TEXT;
        p->text = p->raw;
        p->raw = STR_NONE;
        st->json_seen = true;
        return;
    }
    p->kind = PART_TOOL_CALL;
    p->id = jr_get_str(b, "id");
    p->name = messages_name_in(s->c, name);
    const struct canon_tool *tool = messages_tool(s->c, p->name);
    st->is_custom = p->is_custom = tool && tool->is_custom;
    st->calls_seen = true;
    if (p->is_custom) {
        st->input.n = 0;
        canon_gather(s->c, &st->input, p->raw);
        p->raw = STR_NONE;
    }
}

static int on_block_start(struct canon_stream *s, struct reading *st, yyjson_val *v)
{
    yyjson_val *b = yyjson_obj_get(v, "content_block");
    struct str type = jr_get_str(b, "type");
    struct canon_part p = {.maker = MAKER_ANTHROPIC};
    st->known = true;
    st->is_json = st->is_custom = false;
    if (str_eq(type, STR("text"))) {
        p.kind = PART_TEXT;
        p.text = jr_get_str(b, "text");
    } else if (str_eq(type, STR("thinking"))) {
        p.kind = PART_THINKING;
        p.text = jr_get_str(b, "thinking");
        p.signature = jr_get_str(b, "signature");
    } else if (str_eq(type, STR("redacted_thinking"))) {
        p.kind = PART_REDACTED_THINKING;
        p.text = jr_get_str(b, "data");
    } else if (str_eq(type, STR("tool_use"))) {
        start_call(s, st, b, &p);
    } else {
        st->known = false;
        return 0;
    }
    canon_emit(s, &(struct canon_event){.kind = EVENT_PART_START, .key = index_of(v), .part = &p});
    return 0;
}

static int emit_delta(struct canon_stream *s, unsigned key, enum canon_part_kind kind,
    enum canon_delta field, struct str text)
{
    const struct canon_part p = {.kind = kind, .maker = MAKER_ANTHROPIC};
    canon_emit(
        s, &(struct canon_event){
               .kind = EVENT_PART_DELTA, .key = key, .part = &p, .field = field, .text = text});
    return 0;
}

static int on_input(struct canon_stream *s, struct reading *st, unsigned key, struct str text)
{
    if (st->is_custom)
        return canon_gather(s->c, &st->input, text);
    if (st->is_json)
        return emit_delta(s, key, PART_TEXT, DELTA_TEXT, text);
    return emit_delta(s, key, PART_TOOL_CALL, DELTA_INPUT, text);
}

static int on_citation(struct canon_stream *s, unsigned key, yyjson_val *v)
{
    struct canon_part p = {.kind = PART_TEXT};
    if (!yyjson_is_obj(v))
        return 0;
    p.citations = messages_read_citation(s->c, &s->pool, v);
    if (!p.citations)
        return -ENOMEM;
    canon_emit(s, &(struct canon_event){
                      .kind = EVENT_PART_DELTA, .key = key, .part = &p, .field = DELTA_CITATION});
    return 0;
}

static int on_block_delta(struct canon_stream *s, struct reading *st, yyjson_val *v)
{
    yyjson_val *d = yyjson_obj_get(v, "delta");
    struct str type = jr_get_str(d, "type");
    unsigned key = index_of(v);
    if (!st->known)
        return 0;
    if (str_eq(type, STR("text_delta")))
        return emit_delta(s, key, PART_TEXT, DELTA_TEXT, jr_get_str(d, "text"));
    if (str_eq(type, STR("input_json_delta")))
        return on_input(s, st, key, jr_get_str(d, "partial_json"));
    if (str_eq(type, STR("thinking_delta")))
        return emit_delta(s, key, PART_THINKING, DELTA_TEXT, jr_get_str(d, "thinking"));
    if (str_eq(type, STR("signature_delta")))
        return emit_delta(s, key, PART_THINKING, DELTA_SIGNATURE, jr_get_str(d, "signature"));
    if (str_eq(type, STR("citations_delta")))
        return on_citation(s, key, yyjson_obj_get(d, "citation"));
    return 0;
}

static int on_block_stop(struct canon_stream *s, struct reading *st, yyjson_val *v)
{
    unsigned key = index_of(v);
    if (!st->known)
        return 0;
    if (st->is_custom)
        emit_delta(s, key, PART_TOOL_CALL, DELTA_TEXT,
            messages_custom_text(&s->pool, str_at(st->input.p, st->input.n)));
    canon_emit(s, &(struct canon_event){.kind = EVENT_PART_END, .key = key});
    st->known = false;
    return 0;
}

static int on_message_delta(struct canon_stream *s, struct reading *st, yyjson_val *v)
{
    yyjson_val *d = yyjson_obj_get(v, "delta");
    struct str reason = jr_get_str(d, "stop_reason");
    enum canon_finish finish = messages_finish_in(reason);
    if (finish == FINISH_TOOL_CALLS && st->json_seen && !st->calls_seen)
        finish = FINISH_STOP;
    if (reason.p)
        canon_emit(s, &(struct canon_event){.kind = EVENT_FINISH,
                          .finish = finish,
                          .native_finish = reason,
                          .stop_sequence = jr_get_str(d, "stop_sequence")});
    messages_read_usage(yyjson_obj_get(v, "usage"), &st->usage);
    canon_emit(s, &(struct canon_event){.kind = EVENT_USAGE, .usage = &st->usage});
    return 0;
}

static int on_message_stop(struct canon_stream *s, struct reading *st, yyjson_val *v)
{
    canon_emit(s, &(struct canon_event){.kind = EVENT_END});
    return 0;
}

static int on_ping(struct canon_stream *s, struct reading *st, yyjson_val *v)
{
    canon_emit(s, &(struct canon_event){.kind = EVENT_PING});
    return 0;
}

static const struct {
    struct str type;
    int (*take)(struct canon_stream *s, struct reading *st, yyjson_val *v);
} events[] = {
    {STR_INIT("content_block_delta"), on_block_delta},
    {STR_INIT("content_block_start"), on_block_start},
    {STR_INIT("content_block_stop"), on_block_stop},
    {STR_INIT("ping"), on_ping},
    {STR_INIT("message_start"), on_message_start},
    {STR_INIT("message_delta"), on_message_delta},
    {STR_INIT("message_stop"), on_message_stop},
};

static int on_error(struct canon_stream *s, struct str data)
{
    struct error e = {0};
    messages_read_error(s->c, 0, STR_NONE, data, &e);
    canon_emit(s, &(struct canon_event){.kind = EVENT_ERROR, .error = &e});
    return 0;
}

/* --- relaying --- */

/* data with the model called as the client calls it. */
static struct str with_shown_model(struct canon_stream *s, struct str data)
{
    struct str model = json_find(data, STR("message.model"));
    struct buf out;
    if (!model.p || json_type_of(model) != JSON_STRING || !s->c->model_shown.n)
        return data;
    buf_init(&out, data.n + s->c->model_shown.n * 6 + 16);
    buf_add(&out, data.p, (size_t)(model.p - data.p));
    buf_addjson(&out, s->c->model_shown);
    buf_addstr(&out, str_from(data, (size_t)(model.p - data.p) + model.n));
    struct str changed = out.err ? STR_NONE : arena_dup(&s->pool, buf_str(&out));
    buf_free(&out);
    return changed.p ? changed : data;
}

/* Until content comes, another target may still be asked: what is said before is held. */
static int relay(struct canon_stream *s, struct reading *st, struct str type, struct str data)
{
    _cleanup_(buf_free) struct buf text;
    buf_init(&text, data.n * 2 + 4096);
    if (str_eq(type, STR("message_start")))
        data = with_shown_model(s, data);
    st->flowing |= str_eq(type, STR("content_block_delta")) ||
                   str_eq(type, STR("content_block_stop")) || str_eq(type, STR("message_delta"));
    struct buf *to = st->flowing ? s->out : &text;
    if (st->flowing && st->held.n) {
        buf_add(s->out, st->held.p, st->held.n);
        st->held.n = 0;
    }
    struct str name = arena_dup(&s->pool, type);
    if (!name.p)
        return canon_no_room(s->c);
    size_t start = messages_begin_event(s, name.p, to);
    buf_addstr(to, data);
    int r = messages_end_event(s, start, to);
    return r < 0 || st->flowing ? r : canon_gather(s->c, &st->held, buf_str(&text));
}

int messages_read_event(struct canon_stream *s, struct str event, struct str data)
{
    const char *why;
    struct reading *st = reading_of(s);
    yyjson_val *v = jr_parse(&s->pool, data, &why);
    struct str type = jr_get_str(v, "type");
    int r = 0;
    if (!st)
        return canon_no_room(s->c);
    if (!yyjson_is_obj(v))
        return canon_bad_reply(s->c, "an event of its stream is no JSON object");
    if (!type.p)
        type = event;
    if (str_eq(type, STR("error")))
        return on_error(s, data);
    if (messages_same_dialect(s->from, s->to))
        r = relay(s, st, type, data);
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(events); i++)
        if (str_eq(events[i].type, type))
            return events[i].take(s, st, v);
    return r;
}
