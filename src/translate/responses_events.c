/*
 * An upstream's stream. Items are numbered by output_index, the texts of a message by
 * content_index: together the key of a part. What an item says comes in deltas and once more,
 * whole, when it is done; some compatible servers leave the deltas out, so what is done is taken
 * where no delta was seen.
 */
#include "translate/responses_int.h"

#include "base/limits.h"
#include "base/macros.h"

#include <errno.h>

#define ITEMS_MAX    4096
#define CONTENTS_MAX 256

/* What was seen of an item. */
struct item {
    struct item *next;
    unsigned index;
    enum canon_part_kind kind; /* TEXT for messages */
    bool custom, begun, said;  /* said: a delta of it came */
    bool as_content;           /* reasoning: its own text, not the summary, is taken */
    unsigned summaries;        /* parts of the summary that began */
};

struct reader {
    struct item *items; /* newest first */
    unsigned items_n;
    bool called;
    struct canon_text
        text; /* of the latest message part: what the places of annotations count in */
    unsigned text_key;
};

static struct reader *reader_of(struct canon_stream *s)
{
    if (!s->reader) {
        s->reader = arena_new(s->c->arena, struct reader);
        if (!s->reader)
            canon_no_room(s->c);
    }
    return s->reader;
}

/* The item, made where it is new; NULL, and the stream's error, where there are too many. */
static struct item *item_at(struct canon_stream *s, struct reader *rd, yyjson_val *v)
{
    uint64_t index = jr_get_u64(v, "output_index");

    for (struct item *it = rd->items; it; it = it->next)
        if (it->index == index)
            return it;
    if (rd->items_n == ITEMS_MAX || index >= ITEMS_MAX) {
        canon_bad_reply(s->c, "its stream has too many items");
        return NULL;
    }
    struct item *it = arena_new(s->c->arena, struct item);
    if (!it) {
        canon_no_room(s->c);
        return NULL;
    }
    it->index = (unsigned)index;
    it->next = rd->items;
    rd->items = it;
    rd->items_n++;
    return it;
}

static unsigned key_of(const struct item *it, yyjson_val *v)
{
    return it->index * CONTENTS_MAX +
           (unsigned)MIN(jr_get_u64(v, "content_index"), CONTENTS_MAX - 1);
}

static void emit_part(
    struct canon_stream *s, enum canon_event_kind kind, unsigned key, const struct canon_part *part)
{
    canon_emit(s, &(struct canon_event){.kind = kind, .key = key, .part = part});
}

static void emit_delta(struct canon_stream *s, unsigned key, const struct canon_part *part,
    enum canon_delta field, struct str text)
{
    canon_emit(
        s, &(struct canon_event){
               .kind = EVENT_PART_DELTA, .key = key, .part = part, .field = field, .text = text});
}

/* --- the text that annotations count in --- */

static int keep_text(struct canon_stream *s, struct reader *rd, unsigned key, struct str text)
{
    if (rd->text_key != key)
        rd->text.n = 0;
    rd->text_key = key;
    return canon_gather(s->c, &rd->text, text);
}

/* --- messages --- */

static int text_delta(struct canon_stream *s, struct reader *rd, yyjson_val *v, bool refusal)
{
    const struct canon_part part = {.kind = refusal ? PART_REFUSAL : PART_TEXT};
    struct str text = jr_get_str(v, "delta");
    struct item *it = item_at(s, rd, v);

    if (!it)
        return -EREMOTEIO;
    it->said = true;
    emit_delta(s, key_of(it, v), &part, DELTA_TEXT, text);
    struct str logprobs = jr_raw(&s->pool, yyjson_obj_get(v, "logprobs"));
    if (logprobs.n > 2) {
        struct str shape = responses_join(&s->pool, STR("{\"content\":"), "", logprobs);
        emit_delta(
            s, key_of(it, v), &part, DELTA_LOGPROBS, responses_join(&s->pool, shape, "", STR("}")));
    }
    return refusal ? 0 : keep_text(s, rd, key_of(it, v), text);
}

static int annotation(struct canon_stream *s, struct reader *rd, yyjson_val *v)
{
    yyjson_val *what = yyjson_obj_get(v, "annotation");
    struct item *it = item_at(s, rd, v);

    if (!it || !yyjson_is_obj(what))
        return it ? 0 : -EREMOTEIO;
    struct str text = key_of(it, v) == rd->text_key ? canon_text_str(&rd->text) : STR_NONE;
    struct canon_part part = {
        .kind = PART_TEXT, .citations = responses_read_annotation(s->c, what, text)};
    if (!part.citations)
        return -ENOMEM;
    emit_delta(s, key_of(it, v), &part, DELTA_CITATION, STR_NONE);
    return 0;
}

/* --- calls --- */

static void begin_call(struct canon_stream *s, struct reader *rd, struct item *it, yyjson_val *item)
{
    struct canon_part part = {.kind = PART_TOOL_CALL, .is_custom = it->custom};

    part.id = jr_get_str(item, "call_id");
    if (!part.id.n)
        part.id = jr_get_str(item, "id");
    part.name = chat_name_in(s->c, jr_get_str(item, "name"));
    it->begun = true;
    rd->called = true;
    emit_part(s, EVENT_PART_START, it->index * CONTENTS_MAX, &part);
}

static int call_delta(struct canon_stream *s, struct reader *rd, yyjson_val *v, bool custom)
{
    const struct canon_part part = {.kind = PART_TOOL_CALL, .is_custom = custom};
    struct item *it = item_at(s, rd, v);

    if (!it)
        return -EREMOTEIO;
    it->said = true;
    emit_delta(s, it->index * CONTENTS_MAX, &part, custom ? DELTA_TEXT : DELTA_INPUT,
        jr_get_str(v, "delta"));
    return 0;
}

/* --- reasoning --- */

static int reasoning_delta(struct canon_stream *s, struct reader *rd, yyjson_val *v, bool content)
{
    const struct canon_part part = {.kind = PART_THINKING, .maker = MAKER_OPENAI};
    struct item *it = item_at(s, rd, v);

    if (!it)
        return -EREMOTEIO;
    if (!it->said)
        it->as_content = content;
    it->said = true;
    if (it->as_content == content)
        emit_delta(s, it->index * CONTENTS_MAX, &part, DELTA_TEXT, jr_get_str(v, "delta"));
    return 0;
}

/* Parts of the summary are paragraphs. */
static int summary_part(struct canon_stream *s, struct reader *rd, yyjson_val *v)
{
    const struct canon_part part = {.kind = PART_THINKING, .maker = MAKER_OPENAI};
    struct item *it = item_at(s, rd, v);

    if (!it)
        return -EREMOTEIO;
    if (it->summaries++ && it->said && !it->as_content)
        emit_delta(s, it->index * CONTENTS_MAX, &part, DELTA_TEXT, STR("\n\n"));
    return 0;
}

static void end_reasoning(struct canon_stream *s, struct item *it, yyjson_val *item)
{
    struct canon_part part = {.kind = PART_THINKING, .maker = MAKER_OPENAI};
    unsigned key = it->index * CONTENTS_MAX;
    struct str text = it->said ? STR_NONE : responses_reasoning_text(&s->pool, item);
    struct str sealed = jr_get_str(item, "encrypted_content"), own;
    enum canon_part_kind kind = responses_open_signature(s->c, sealed, &part.maker, &own);

    if (kind == PART_REDACTED_THINKING) {
        part.kind = kind;
        part.text = own;
        emit_part(s, EVENT_PART_WHOLE, key, &part);
        return;
    }
    if (text.n)
        emit_delta(s, key, &part, DELTA_TEXT, text);
    if (own.n && kind == PART_THINKING)
        emit_delta(s, key, &part, DELTA_SIGNATURE, own);
    emit_part(s, EVENT_PART_END, key, &part);
}

/* --- items --- */

static int item_added(struct canon_stream *s, struct reader *rd, yyjson_val *v)
{
    yyjson_val *item = yyjson_obj_get(v, "item");
    struct str type = jr_get_str(item, "type");
    struct item *it = item_at(s, rd, v);

    if (!it)
        return -EREMOTEIO;
    it->custom = str_eq(type, STR("custom_tool_call"));
    if (it->custom || str_eq(type, STR("function_call")))
        begin_call(s, rd, it, item);
    return 0;
}

/* Of a message that came without deltas. */
static int whole_parts(struct canon_stream *s, struct item *it, yyjson_val *item)
{
    struct canon_part *list = NULL, **tail = &list;
    unsigned key = it->index * CONTENTS_MAX;
    int r = responses_read_item(s->c, item, &tail);

    for (const struct canon_part *p = list; p && r == 0; p = p->next)
        emit_part(s, EVENT_PART_WHOLE, key++, p);
    return r;
}

static void end_call(struct canon_stream *s, struct reader *rd, struct item *it, yyjson_val *item)
{
    const struct canon_part part = {.kind = PART_TOOL_CALL, .is_custom = it->custom};
    unsigned key = it->index * CONTENTS_MAX;
    struct str input = jr_get_str(item, it->custom ? "input" : "arguments");

    if (!it->begun)
        begin_call(s, rd, it, item);
    if (!it->said && input.n)
        emit_delta(s, key, &part, it->custom ? DELTA_TEXT : DELTA_INPUT, input);
    emit_part(s, EVENT_PART_END, key, &part);
}

static int item_done(struct canon_stream *s, struct reader *rd, yyjson_val *v)
{
    yyjson_val *item = yyjson_obj_get(v, "item");
    struct str type = jr_get_str(item, "type");
    struct item *it = item_at(s, rd, v);

    if (!it)
        return -EREMOTEIO;
    it->custom = str_eq(type, STR("custom_tool_call"));
    if (it->custom || str_eq(type, STR("function_call")))
        end_call(s, rd, it, item);
    else if (str_eq(type, STR("reasoning")))
        end_reasoning(s, it, item);
    else if (!it->said)
        return whole_parts(s, it, item);
    return 0;
}

/* --- the response --- */

static void started(struct canon_stream *s, yyjson_val *response)
{
    struct canon_event e = {.kind = EVENT_START, .id = jr_get_str(response, "id")};

    (void)jr_get_int(response, "created_at", &e.created);
    canon_emit(s, &e);
}

static void emit_error(struct canon_stream *s, yyjson_val *v)
{
    struct error e = {0};

    responses_read_error_object(s->c, v, &e);
    if (str_eq(e.type, STR("error"))) /* the event's own */
        e.type = STR_NONE;
    e.status = responses_error_status(e.code);
    canon_emit(s, &(struct canon_event){.kind = EVENT_ERROR, .error = &e});
}

static void ended(struct canon_stream *s, struct reader *rd, yyjson_val *response)
{
    struct str status = jr_get_str(response, "status");
    struct str reason = jr_get_str(yyjson_obj_get(response, "incomplete_details"), "reason");
    struct usage usage = {0};

    responses_read_usage(yyjson_obj_get(response, "usage"), &usage);
    canon_emit(s, &(struct canon_event){.kind = EVENT_FINISH,
                      .finish = responses_finish(status, reason, rd->called),
                      .native_finish = reason.n ? reason : status});
    if (usage.source != USAGE_UNKNOWN)
        canon_emit(s, &(struct canon_event){.kind = EVENT_USAGE, .usage = &usage});
    canon_emit(s, &(struct canon_event){.kind = EVENT_END});
}

static int response_event(
    struct canon_stream *s, struct reader *rd, struct str what, yyjson_val *response)
{
    if (str_eq(what, STR("created")) || str_eq(what, STR("in_progress")) ||
        str_eq(what, STR("queued")))
        started(s, response);
    else if (str_eq(what, STR("failed")))
        emit_error(s, yyjson_obj_get(response, "error"));
    else if (str_eq(what, STR("completed")) || str_eq(what, STR("incomplete")))
        ended(s, rd, response);
    return 0;
}

static int part_event(struct canon_stream *s, struct reader *rd, struct str what, yyjson_val *v)
{
    if (str_eq(what, STR("output_text.delta")))
        return text_delta(s, rd, v, false);
    if (str_eq(what, STR("refusal.delta")))
        return text_delta(s, rd, v, true);
    if (str_eq(what, STR("function_call_arguments.delta")))
        return call_delta(s, rd, v, false);
    if (str_eq(what, STR("custom_tool_call_input.delta")))
        return call_delta(s, rd, v, true);
    if (str_eq(what, STR("reasoning_summary_text.delta")))
        return reasoning_delta(s, rd, v, false);
    if (str_eq(what, STR("reasoning_text.delta")))
        return reasoning_delta(s, rd, v, true);
    if (str_eq(what, STR("reasoning_summary_part.added")))
        return summary_part(s, rd, v);
    if (str_eq(what, STR("output_text.annotation.added")))
        return annotation(s, rd, v);
    if (str_eq(what, STR("output_item.added")))
        return item_added(s, rd, v);
    if (str_eq(what, STR("output_item.done")))
        return item_done(s, rd, v);
    return 0;
}

int responses_read_event(struct canon_stream *s, struct str event, struct str data)
{
    struct reader *rd = reader_of(s);
    struct str prefix = STR("response."), type;
    const char *why;
    (void)event;

    if (!rd)
        return -ENOMEM;
    if (!data.n || str_eq(str_trim(data), STR("[DONE]")))
        return 0;
    yyjson_val *v = jr_parse(&s->pool, data, &why);
    if (!yyjson_is_obj(v))
        return canon_bad_reply(s->c, v ? "an event is no object" : why);
    type = jr_get_str(v, "type");
    if (str_eq(type, STR("error")) || yyjson_is_obj(yyjson_obj_get(v, "error"))) {
        yyjson_val *inner = yyjson_obj_get(v, "error");
        emit_error(s, yyjson_is_obj(inner) ? inner : v);
        return 0;
    }
    if (!str_starts(type, prefix))
        return 0;
    type = str_from(type, prefix.n);
    yyjson_val *response = yyjson_obj_get(v, "response");
    return yyjson_is_obj(response) ? response_event(s, rd, type, response)
                                   : part_event(s, rd, type, v);
}
