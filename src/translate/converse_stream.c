/*
 * Streams of Converse, both ways. Blocks never overlap; only tool calls (and pictures) say that
 * they begin, the others begin with their first delta. The usage comes behind messageStop.
 *
 * A call that has to be turned into text (a schema's stand-in, a free-form tool) is kept until it
 * ended, but for the stand-in, whose arguments are the text as they come. A call of Gemini's goes
 * to the client when it is whole, since its signature comes last and belongs into its id.
 */
#include "translate/converse_int.h"

/* --- from the provider --- */

struct converse_reader {
    unsigned index;              /* of the open block */
    bool json;                   /* it is the stand-in for a format, */
    struct native_custom custom; /* or a call of a free-form tool */
    bool had_json, had_calls;
};

static struct converse_reader *reader_of(struct canon_stream *s)
{
    if (!s->reader)
        s->reader = arena_new(s->c->arena, struct converse_reader);
    return s->reader;
}

static int begin_call(struct canon_stream *s, struct converse_reader *rd, yyjson_val *v)
{
    struct canon_part p = {.kind = PART_TOOL_CALL,
        .id = jr_get_str(v, "toolUseId"),
        .name = jr_get_str(v, "name"),
        .raw = STR("{}")};

    converse_take_call(s->c, &s->pool, &p);
    rd->json = p.kind == PART_TEXT;
    rd->had_json |= rd->json;
    rd->had_calls |= !rd->json;
    if (rd->json)
        return 0;
    if (p.is_custom)
        return native_custom_begin(s, &rd->custom, rd->index, &p);
    p.raw = STR_NONE;
    native_start(s, rd->index, &p);
    return 0;
}

static int on_start(struct canon_stream *s, yyjson_val *v)
{
    struct converse_reader *rd = reader_of(s);
    yyjson_val *start = yyjson_obj_get(v, "start"), *call = yyjson_obj_get(start, "toolUse");
    yyjson_val *image = yyjson_obj_get(start, "image");

    rd->index = (unsigned)jr_get_u64(v, "contentBlockIndex");
    rd->json = false;
    if (call)
        return begin_call(s, rd, call);
    if (image) {
        struct canon_part p = {.kind = PART_IMAGE,
            .media = {
                .source = MEDIA_BASE64, .mime = converse_image_mime(jr_get_str(image, "format"))}};
        native_start(s, rd->index, &p);
    }
    return 0;
}

static int on_input(struct canon_stream *s, unsigned index, struct str text)
{
    struct converse_reader *rd = reader_of(s);

    if (rd->custom.on)
        return native_custom_add(s, &rd->custom, text);
    if (rd->json)
        native_delta(s, index, PART_TEXT, DELTA_TEXT, text);
    else
        native_delta(s, index, PART_TOOL_CALL, DELTA_INPUT, text);
    return 0;
}

static void on_thinking(struct canon_stream *s, unsigned index, yyjson_val *v)
{
    struct str signature = jr_get_str(v, "signature"), redacted = jr_get_str(v, "redactedContent");
    struct canon_part p = {.kind = PART_THINKING, .maker = MAKER_ANTHROPIC};

    native_delta(s, index, PART_THINKING, DELTA_TEXT, jr_get_str(v, "text"));
    if (signature.n)
        canon_emit(s, &(struct canon_event){.kind = EVENT_PART_DELTA,
                          .key = index,
                          .part = &p,
                          .field = DELTA_SIGNATURE,
                          .text = signature});
    if (!redacted.p)
        return;
    p.kind = PART_REDACTED_THINKING;
    p.text = redacted;
    canon_emit(s, &(struct canon_event){.kind = EVENT_PART_WHOLE, .key = index, .part = &p});
}

static void on_citation(struct canon_stream *s, unsigned index, yyjson_val *v)
{
    struct canon_part p = {.kind = PART_TEXT, .citations = converse_read_citation(&s->pool, v)};

    if (p.citations)
        canon_emit(
            s, &(struct canon_event){
                   .kind = EVENT_PART_DELTA, .key = index, .part = &p, .field = DELTA_CITATION});
}

static int on_delta(struct canon_stream *s, yyjson_val *v)
{
    unsigned index = (unsigned)jr_get_u64(v, "contentBlockIndex");
    yyjson_val *delta = yyjson_obj_get(v, "delta"), *in;

    if ((in = yyjson_obj_get(delta, "text")))
        native_delta(s, index, PART_TEXT, DELTA_TEXT, jr_str(in));
    else if ((in = yyjson_obj_get(delta, "toolUse")))
        return on_input(s, index, jr_get_str(in, "input"));
    else if ((in = yyjson_obj_get(delta, "reasoningContent")))
        on_thinking(s, index, in);
    else if ((in = yyjson_obj_get(delta, "citation")))
        on_citation(s, index, in);
    else if ((in = yyjson_obj_get(yyjson_obj_get(delta, "image"), "source")))
        native_delta(s, index, PART_IMAGE, DELTA_DATA, jr_get_str(in, "bytes"));
    return 0;
}

static void on_stop(struct canon_stream *s, yyjson_val *v)
{
    struct converse_reader *rd = reader_of(s);
    unsigned index = (unsigned)jr_get_u64(v, "contentBlockIndex");

    native_custom_end(s, &rd->custom);
    rd->json = false;
    canon_emit(s, &(struct canon_event){.kind = EVENT_PART_END, .key = index});
}

static void on_message_stop(struct canon_stream *s, yyjson_val *v)
{
    struct converse_reader *rd = reader_of(s);
    struct str reason = jr_get_str(v, "stopReason");
    enum canon_finish f = converse_finish_in(reason);
    yyjson_val *more = yyjson_obj_get(v, "additionalModelResponseFields");

    if (f == FINISH_TOOL_CALLS && rd->had_json && !rd->had_calls)
        f = FINISH_STOP;
    canon_emit(s, &(struct canon_event){.kind = EVENT_FINISH,
                      .finish = f,
                      .native_finish = reason,
                      .stop_sequence = jr_get_str(more, "stop_sequence")});
}

static void on_metadata(struct canon_stream *s, yyjson_val *v)
{
    struct usage u = {0};
    struct str tier = jr_get_str(yyjson_obj_get(v, "serviceTier"), "type");

    converse_read_usage(yyjson_obj_get(v, "usage"), &u);
    if (str_eq(tier, STR("flex")))
        u.tier = TIER_FLEX;
    else if (str_eq(tier, STR("priority")))
        u.tier = TIER_PRIORITY;
    if (u.source != USAGE_UNKNOWN)
        canon_emit(s, &(struct canon_event){.kind = EVENT_USAGE, .usage = &u});
    canon_emit(s, &(struct canon_event){.kind = EVENT_END});
}

static int on_exception(struct canon_stream *s, struct str name, struct str data)
{
    int status = converse_exception_status(name);

    native_fail(s, status ? converse_status(status) : 500, name, native_error_text(s->c, data));
    return 0;
}

int converse_read_event(struct canon_stream *s, struct str event, struct str data)
{
    const char *why;
    yyjson_val *v;

    if (!reader_of(s))
        return canon_no_room(s->c);
    if (event.n && event.p[0] == '!')
        return on_exception(s, str_from(event, 1), data);
    v = jr_parse(&s->pool, data, &why);
    if (!yyjson_is_obj(v))
        return canon_bad_reply(s->c, "an event of its stream is no JSON object");
    if (str_eq(event, STR("messageStart")))
        canon_emit(s, &(struct canon_event){.kind = EVENT_START});
    else if (str_eq(event, STR("contentBlockStart")))
        return on_start(s, v);
    else if (str_eq(event, STR("contentBlockDelta")))
        return on_delta(s, v);
    else if (str_eq(event, STR("contentBlockStop")))
        on_stop(s, v);
    else if (str_eq(event, STR("messageStop")))
        on_message_stop(s, v);
    else if (str_eq(event, STR("metadata")))
        on_metadata(s, v);
    return 0;
}

/* --- to the client --- */

struct converse_writing {
    unsigned index;          /* of the block */
    struct canon_text input; /* of a call that is held */
    struct str signature;
    enum canon_maker maker;
};

static struct converse_writing *writing_of(struct canon_stream *s)
{
    if (!s->writer)
        s->writer = arena_new(s->c->arena, struct converse_writing);
    return s->writer;
}

struct event_text {
    struct buf text;
    struct jw w;
};

static void open_event(struct event_text *t)
{
    buf_init(&t->text, LIMIT_EVENTSTREAM_BYTES);
    t->w = (struct jw){.out = &t->text};
    jw_open(&t->w, '{');
}

static int close_event(struct event_text *t, struct str event, struct buf *out)
{
    jw_close(&t->w, '}');
    int r = t->text.err ? t->text.err : dialect_put_frame(out, event, buf_str(&t->text));
    buf_free(&t->text);
    return r;
}

static int put_start(struct canon_stream *s, const struct canon_part *p, struct buf *out)
{
    struct event_text t;

    if (p->kind != PART_TOOL_CALL && p->kind != PART_IMAGE)
        return 0;
    open_event(&t);
    jw_key(&t.w, "start");
    jw_open(&t.w, '{');
    jw_key(&t.w, p->kind == PART_IMAGE ? "image" : "toolUse");
    jw_open(&t.w, '{');
    if (p->kind == PART_IMAGE) {
        jw_member_str(&t.w, "format", converse_image_format(p->media.mime));
    } else {
        jw_member_str(&t.w, "toolUseId", messages_id_out(s->c, p));
        jw_member_str(&t.w, "name", p->name);
    }
    jw_close(&t.w, '}');
    jw_close(&t.w, '}');
    jw_member_int(&t.w, "contentBlockIndex", writing_of(s)->index);
    return close_event(&t, STR("contentBlockStart"), out);
}

static void put_input(struct jw *w, struct str text)
{
    jw_key(w, "toolUse");
    jw_open(w, '{');
    jw_member_str(w, "input", text);
    jw_close(w, '}');
}

static void put_delta_value(struct canon_stream *s, const struct canon_event *e, struct jw *w)
{
    enum canon_part_kind kind = e->part->kind;
    bool thinks = kind == PART_THINKING;
    struct str text = e->text;

    if (e->field == DELTA_INPUT || kind == PART_TOOL_CALL) {
        put_input(w, text);
    } else if (e->field == DELTA_CITATION) {
        jw_key(w, "citation");
        converse_write_citation(&s->pool, w, e->part->citations);
    } else if (e->field == DELTA_DATA) {
        jw_key(w, "image");
        jw_open(w, '{');
        jw_key(w, "source");
        jw_open(w, '{');
        jw_member_str(w, "bytes", text);
        jw_close(w, '}');
        jw_close(w, '}');
    } else if (thinks) {
        bool sign = e->field == DELTA_SIGNATURE;
        if (sign)
            text = canon_sign_out(s->c, MAKER_ANTHROPIC, e->part->maker, text);
        jw_key(w, "reasoningContent");
        jw_open(w, '{');
        jw_member_str(w, sign ? "signature" : "text", text);
        jw_close(w, '}');
    } else {
        jw_member_str(w, "text", text);
    }
}

static int put_delta(struct canon_stream *s, const struct canon_event *e, struct buf *out)
{
    struct event_text t;

    if (e->field == DELTA_LOGPROBS ||
        (e->field == DELTA_SIGNATURE && e->part->kind != PART_THINKING))
        return 0;
    open_event(&t);
    jw_key(&t.w, "delta");
    jw_open(&t.w, '{');
    put_delta_value(s, e, &t.w);
    jw_close(&t.w, '}');
    jw_member_int(&t.w, "contentBlockIndex", writing_of(s)->index);
    return close_event(&t, STR("contentBlockDelta"), out);
}

/* Redacted thinking comes whole with its start. */
static int put_redacted(struct canon_stream *s, const struct canon_event *e, struct buf *out)
{
    struct event_text t;

    open_event(&t);
    jw_key(&t.w, "delta");
    jw_open(&t.w, '{');
    jw_key(&t.w, "reasoningContent");
    jw_open(&t.w, '{');
    jw_member_str(&t.w, "redactedContent", e->part->text);
    jw_close(&t.w, '}');
    jw_close(&t.w, '}');
    jw_member_int(&t.w, "contentBlockIndex", writing_of(s)->index);
    return close_event(&t, STR("contentBlockDelta"), out);
}

static int put_stop(struct canon_stream *s, struct buf *out)
{
    struct event_text t;

    open_event(&t);
    jw_member_int(&t.w, "contentBlockIndex", writing_of(s)->index++);
    return close_event(&t, STR("contentBlockStop"), out);
}

/* --- calls that are held --- */

static bool is_held(const struct canon_part *p)
{
    return p->kind == PART_TOOL_CALL && p->maker == MAKER_GEMINI;
}

static int on_held(struct canon_stream *s, const struct canon_event *e)
{
    struct converse_writing *st = writing_of(s);

    if (e->kind == EVENT_PART_START) {
        st->input.n = 0;
        st->signature = STR_NONE;
    } else if (e->field == DELTA_SIGNATURE) {
        st->signature = arena_dup(s->c->arena, e->text);
        st->maker = e->part->maker;
        return st->signature.p ? 0 : canon_no_room(s->c);
    } else {
        return canon_gather(s->c, &st->input, e->text);
    }
    return 0;
}

static int put_held(struct canon_stream *s, const struct canon_part *from, struct buf *out)
{
    struct converse_writing *st = writing_of(s);
    struct canon_part p = *from;
    const struct canon_event input = {
        .part = from, .field = DELTA_INPUT, .text = str_at(st->input.p, st->input.n)};

    p.signature = st->signature;
    if (st->signature.n)
        p.maker = st->maker;
    int r = put_start(s, &p, out);
    return r < 0 || !input.text.n ? r : put_delta(s, &input, out);
}

static int on_end(struct canon_stream *s, const struct canon_event *e, struct buf *out)
{
    int r = is_held(e->part) ? put_held(s, e->part, out) : 0;

    return r < 0 ? r : put_stop(s, out);
}

/* --- --- */

static int put_finish(const struct canon_event *e, struct buf *out)
{
    struct event_text t;

    open_event(&t);
    jw_member_str(&t.w, "stopReason", converse_finish_out(e->finish));
    if (e->stop_sequence.n) {
        jw_key(&t.w, "additionalModelResponseFields");
        jw_open(&t.w, '{');
        jw_member_str(&t.w, "stop_sequence", e->stop_sequence);
        jw_close(&t.w, '}');
    }
    return close_event(&t, STR("messageStop"), out);
}

static int put_metadata(struct canon_stream *s, struct buf *out)
{
    struct event_text t;

    open_event(&t);
    jw_key(&t.w, "usage");
    converse_write_usage(&t.w, &s->usage);
    jw_member_raw(&t.w, "metrics", STR("{\"latencyMs\":0}"));
    return close_event(&t, STR("metadata"), out);
}

/* Kinds that have no block there; nothing of them goes out. */
static bool is_foreign(const struct canon_part *p)
{
    return p->kind == PART_DOCUMENT || p->kind == PART_AUDIO || p->kind == PART_VIDEO ||
           p->kind == PART_TOOL_RESULT ||
           (p->kind == PART_IMAGE &&
               (p->media.source != MEDIA_BASE64 || !converse_image_format(p->media.mime).n));
}

int converse_write_event(struct canon_stream *s, const struct canon_event *e, struct buf *out)
{
    if (e->choice > 0 || (e->part && is_foreign(e->part)))
        return 0;
    if (!writing_of(s))
        return canon_no_room(s->c);
    switch (e->kind) {
    case EVENT_START:
        return dialect_put_frame(out, STR("messageStart"), STR("{\"role\":\"assistant\"}"));
    case EVENT_PART_START:
        return is_held(e->part)                          ? on_held(s, e)
               : e->part->kind == PART_REDACTED_THINKING ? put_redacted(s, e, out)
                                                         : put_start(s, e->part, out);
    case EVENT_PART_DELTA:
        return is_held(e->part) ? on_held(s, e) : put_delta(s, e, out);
    case EVENT_PART_END:
        return on_end(s, e, out);
    case EVENT_FINISH:
        return put_finish(e, out);
    case EVENT_END:
        return put_metadata(s, out);
    case EVENT_ERROR:
        dialect_stream_error(STREAM_BEDROCK, e->error, STR_NONE, 0, out);
        return out->err;
    default:
        return 0;
    }
}
