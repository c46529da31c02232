/*
 * The items of a client's stream: for each, the events that begin it, what it says piece by piece,
 * and what it was as a whole, which is kept for the stream's last event.
 */
#include "translate/responses_stream_int.h"

#include "base/limits.h"
#include "base/macros.h"

#include <errno.h>

/* --- events --- */

struct jw rs_event_begin(struct rs_writer *wr, struct buf *out, const char *type)
{
    struct jw w = {.out = out};

    buf_addstr(out, STR("event: "));
    buf_addstr(out, str_of(type));
    buf_addstr(out, STR("\ndata: "));
    jw_open(&w, '{');
    jw_member_str(&w, "type", str_of(type));
    jw_member_int(&w, "sequence_number", (int64_t)wr->sequence++);
    return w;
}

void rs_event_end(struct jw *w)
{
    jw_close(w, '}');
    buf_addstr(w->out, STR("\n\n"));
}

static struct jw item_event_begin(struct rs_writer *wr, struct buf *out, const char *type)
{
    struct jw w = rs_event_begin(wr, out, type);

    jw_member_int(&w, "output_index", wr->items_n - 1);
    jw_key(&w, "item");
    return w;
}

/* Events inside an item. */
static struct jw inner_begin(struct rs_writer *wr, struct buf *out, const char *type)
{
    struct jw w = rs_event_begin(wr, out, type);

    jw_member_str(&w, "item_id", str_of(wr->id));
    jw_member_int(&w, "output_index", wr->items_n - 1);
    return w;
}

static struct jw content_begin(struct rs_writer *wr, struct buf *out, const char *type)
{
    struct jw w = inner_begin(wr, out, type);

    jw_member_int(&w, "content_index", wr->contents_n - 1);
    return w;
}

static struct jw summary_begin(struct rs_writer *wr, struct buf *out, const char *type)
{
    struct jw w = inner_begin(wr, out, type);

    jw_member_int(&w, "summary_index", 0);
    return w;
}

/* --- items --- */

static void next_item(struct rs_writer *wr, const char *prefix)
{
    struct str id = responses_item_id(wr->c, prefix, wr->items_n++, wr->id);

    wr->id[id.n] = 0;
    wr->contents_n = 0;
    wr->content.n = 0;
    wr->text.n = wr->notes.n = wr->logprobs.n = 0;
    wr->notes_n = 0;
    wr->signature = STR_NONE;
}

/* Sends the item that stands in json from at on, and keeps it. */
static int done(struct rs_writer *wr, struct buf *json, struct buf *out)
{
    struct rs_item *it = arena_new(wr->c->arena, struct rs_item);
    struct str text = json->err || !it ? STR_NONE : arena_dup(wr->c->arena, buf_str(json));

    if (!text.p)
        return canon_no_room(wr->c);
    it->json = text;
    *wr->tail = it;
    wr->tail = &it->next;
    wr->items_bytes += text.n;
    struct jw w = item_event_begin(wr, out, "response.output_item.done");
    jw_raw(&w, text);
    rs_event_end(&w);
    wr->open = NOTHING_OPEN;
    return 0;
}

/* --- messages --- */

static void put_message(struct rs_writer *wr, struct jw *w, const char *status)
{
    jw_open(w, '{');
    jw_member_str(w, "id", str_of(wr->id));
    jw_member_str(w, "type", STR("message"));
    jw_member_str(w, "status", str_of(status));
    jw_key(w, "content");
    jw_open(w, '[');
    if (wr->content.n)
        jw_raw(w, canon_text_str(&wr->content));
    jw_close(w, ']');
    jw_member_str(w, "role", STR("assistant"));
    jw_close(w, '}');
}

void rs_begin_text(struct rs_writer *wr, const struct canon_part *p, struct buf *out)
{
    struct jw w;

    if (wr->open != OPEN_MESSAGE) {
        next_item(wr, "msg");
        wr->open = OPEN_MESSAGE;
        w = item_event_begin(wr, out, "response.output_item.added");
        put_message(wr, &w, "in_progress");
        rs_event_end(&w);
    }
    wr->contents_n++;
    wr->refusal = p->kind == PART_REFUSAL;
    wr->text.n = wr->notes.n = wr->logprobs.n = 0;
    wr->notes_n = 0;
    w = content_begin(wr, out, "response.content_part.added");
    jw_key(&w, "part");
    responses_put_text_part(&w, wr->refusal, STR(""), STR_NONE, STR_NONE);
    rs_event_end(&w);
}

void rs_text_delta(struct rs_writer *wr, struct str text, struct buf *out)
{
    struct jw w = content_begin(
        wr, out, wr->refusal ? "response.refusal.delta" : "response.output_text.delta");

    jw_member_str(&w, "delta", text.p ? text : STR(""));
    if (!wr->refusal)
        jw_member_raw(&w, "logprobs", STR("[]"));
    rs_event_end(&w);
}

int rs_note(struct rs_writer *wr, const struct canon_citation *x, struct buf *out)
{
    _cleanup_(buf_free) struct buf json;
    struct jw n = {.out = &json};

    buf_init(&json, LIMIT_SSE_EVENT_BYTES);
    if (!x || !responses_put_annotation(&n, x, canon_text_str(&wr->text)))
        return x ? canon_drop(wr->c, STR("citations"), "annotations need an address") : 0;
    if (json.err)
        return canon_no_room(wr->c);
    struct jw w = content_begin(wr, out, "response.output_text.annotation.added");
    jw_member_int(&w, "annotation_index", wr->notes_n++);
    jw_member_raw(&w, "annotation", buf_str(&json));
    rs_event_end(&w);
    int r = wr->notes.n ? canon_gather(wr->c, &wr->notes, STR(",")) : 0;
    return r < 0 ? r : canon_gather(wr->c, &wr->notes, buf_str(&json));
}

/* The members of {"content":[…]}. */
int rs_note_logprobs(struct canon_stream *s, struct rs_writer *wr, struct str raw)
{
    const char *why;
    yyjson_val *list = yyjson_obj_get(jr_parse(&s->pool, raw, &why), "content");
    struct str text = jr_raw(&s->pool, list);

    if (!yyjson_is_arr(list) || text.n <= 2)
        return 0;
    int r = wr->logprobs.n ? canon_gather(wr->c, &wr->logprobs, STR(",")) : 0;
    return r < 0 ? r : canon_gather(wr->c, &wr->logprobs, str_at(text.p + 1, text.n - 2));
}

int rs_end_text(struct rs_writer *wr, struct buf *out)
{
    struct str text = canon_text_str(&wr->text),
               member = wr->refusal ? STR("refusal") : STR("text");
    _cleanup_(buf_free) struct buf json;
    struct jw part = {.out = &json};
    struct jw w =
        content_begin(wr, out, wr->refusal ? "response.refusal.done" : "response.output_text.done");

    jw_key_str(&w, member);
    jw_str(&w, text);
    if (!wr->refusal) {
        jw_key(&w, "logprobs");
        jw_open(&w, '[');
        if (wr->logprobs.n)
            jw_raw(&w, canon_text_str(&wr->logprobs));
        jw_close(&w, ']');
    }
    rs_event_end(&w);
    buf_init(&json, LIMIT_RESPONSE_BYTES);
    responses_put_text_part(
        &part, wr->refusal, text, canon_text_str(&wr->notes), canon_text_str(&wr->logprobs));
    w = content_begin(wr, out, "response.content_part.done");
    jw_member_raw(&w, "part", buf_str(&json));
    rs_event_end(&w);
    int r = wr->content.n ? canon_gather(wr->c, &wr->content, STR(",")) : 0;
    if (json.err)
        return canon_no_room(wr->c);
    return r < 0 ? r : canon_gather(wr->c, &wr->content, buf_str(&json));
}

int rs_end_message(struct rs_writer *wr, const char *status, struct buf *out)
{
    _cleanup_(buf_free) struct buf json = {0};
    struct jw w = {.out = &json};

    if (wr->open != OPEN_MESSAGE)
        return 0;
    buf_init(&json, LIMIT_RESPONSE_BYTES);
    put_message(wr, &w, status);
    return done(wr, &json, out);
}

/* --- reasoning --- */

static int put_reasoning(struct rs_writer *wr, struct str text, struct str sealed, struct buf *out)
{
    _cleanup_(buf_free) struct buf json;
    struct jw w = {.out = &json};

    buf_init(&json, LIMIT_RESPONSE_BYTES);
    responses_put_reasoning(&w, str_of(wr->id), text, sealed);
    return done(wr, &json, out);
}

void rs_begin_reasoning(struct rs_writer *wr, struct buf *out)
{
    next_item(wr, "rs");
    wr->open = OPEN_REASONING;
    struct jw w = item_event_begin(wr, out, "response.output_item.added");
    responses_put_reasoning(&w, str_of(wr->id), STR_NONE, STR_NONE);
    rs_event_end(&w);
}

static void summary_part(struct rs_writer *wr, const char *type, struct str text, struct buf *out)
{
    struct jw w = summary_begin(wr, out, type);

    jw_key(&w, "part");
    jw_open(&w, '{');
    jw_member_str(&w, "type", STR("summary_text"));
    jw_member_str(&w, "text", text);
    jw_close(&w, '}');
    rs_event_end(&w);
}

int rs_reasoning_delta(struct rs_writer *wr, struct str text, struct buf *out)
{
    if (!text.n)
        return 0;
    if (!wr->text.n)
        summary_part(wr, "response.reasoning_summary_part.added", STR(""), out);
    struct jw w = summary_begin(wr, out, "response.reasoning_summary_text.delta");
    jw_member_str(&w, "delta", text);
    rs_event_end(&w);
    return canon_gather(wr->c, &wr->text, text);
}

int rs_end_reasoning(struct rs_writer *wr, enum canon_part_kind kind, struct buf *out)
{
    struct str text = canon_text_str(&wr->text);

    if (text.n) {
        struct jw w = summary_begin(wr, out, "response.reasoning_summary_text.done");
        jw_member_str(&w, "text", text);
        rs_event_end(&w);
        summary_part(wr, "response.reasoning_summary_part.done", text, out);
    }
    return put_reasoning(
        wr, text, responses_seal_signature(wr->c, kind, wr->maker, wr->signature), out);
}

/* What was signed is over: its signature has an item of its own. */
int rs_signature_item(
    struct rs_writer *wr, enum canon_part_kind kind, struct str signature, struct buf *out)
{
    if (!signature.n)
        return 0;
    rs_begin_reasoning(wr, out);
    return put_reasoning(
        wr, STR_NONE, responses_seal_signature(wr->c, kind, wr->maker, signature), out);
}

/* --- calls --- */

int rs_begin_call(struct rs_writer *wr, const struct canon_part *p, struct buf *out)
{
    char room[RESPONSES_ID_BYTES];

    wr->wrapped = !p->is_custom && responses_custom_tool(wr->c->request, p->name);
    wr->custom = p->is_custom || wr->wrapped;
    wr->call = (struct canon_part){.kind = PART_TOOL_CALL};
    wr->call.id = arena_dup(
        wr->c->arena, p->id.n ? p->id : responses_item_id(wr->c, "call", wr->items_n, room));
    wr->call.name = arena_dup(wr->c->arena, p->name);
    if (!wr->call.id.p || !wr->call.name.p)
        return canon_no_room(wr->c);
    next_item(wr, wr->custom ? "ctc" : "fc");
    wr->open = OPEN_CALL;
    struct jw w = item_event_begin(wr, out, "response.output_item.added");
    responses_put_call(wr->c, &w, wr->custom, str_of(wr->id), &wr->call, STR(""), "in_progress");
    rs_event_end(&w);
    return 0;
}

void rs_call_delta(struct rs_writer *wr, struct str text, struct buf *out)
{
    struct jw w = inner_begin(wr, out,
        wr->custom ? "response.custom_tool_call_input.delta"
                   : "response.function_call_arguments.delta");

    jw_member_str(&w, "delta", text);
    rs_event_end(&w);
}

int rs_end_call(struct rs_writer *wr, struct buf *out)
{
    struct str input = canon_text_str(&wr->text);
    _cleanup_(buf_free) struct buf json;
    struct jw item = {.out = &json};

    if (wr->wrapped) { /* what it stands for is known only now */
        struct str text = chat_unwrap(wr->c->arena, input);
        input = text.p ? text : input;
        if (input.n)
            rs_call_delta(wr, input, out);
    }
    struct jw w = inner_begin(wr, out,
        wr->custom ? "response.custom_tool_call_input.done"
                   : "response.function_call_arguments.done");
    jw_member_str(&w, wr->custom ? "input" : "arguments", input.p ? input : STR(""));
    rs_event_end(&w);
    buf_init(&json, LIMIT_RESPONSE_BYTES);
    responses_put_call(wr->c, &item, wr->custom, str_of(wr->id), &wr->call, input, "completed");
    return done(wr, &json, out);
}

/* --- pictures --- */

int rs_begin_media(struct rs_writer *wr, const struct canon_part *p, struct buf *out)
{
    if (p->kind != PART_IMAGE || p->media.source != MEDIA_BASE64) {
        wr->open = NOTHING_OPEN;
        return canon_drop(wr->c, STR("output"), "there is no item for this kind of content");
    }
    wr->mime = arena_dup(wr->c->arena, p->media.mime);
    next_item(wr, "ig");
    wr->open = OPEN_MEDIA;
    struct jw w = item_event_begin(wr, out, "response.output_item.added");
    jw_open(&w, '{');
    jw_member_str(&w, "id", str_of(wr->id));
    jw_member_str(&w, "type", STR("image_generation_call"));
    jw_member_str(&w, "status", STR("in_progress"));
    jw_member_raw(&w, "result", STR("null"));
    jw_close(&w, '}');
    rs_event_end(&w);
    return 0;
}

int rs_end_media(struct rs_writer *wr, struct buf *out)
{
    _cleanup_(buf_free) struct buf json;
    struct jw w = {.out = &json};

    buf_init(&json, LIMIT_RESPONSE_BYTES);
    responses_put_image(&w, str_of(wr->id), wr->mime, canon_text_str(&wr->text));
    return done(wr, &json, out);
}
