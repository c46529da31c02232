/*
 * Writing Anthropic's streams, in order as the sequencer gives it. Each event goes out as one
 * record of the client's envelope: an event of SSE, or a frame of AWS. message_start must say how
 * many tokens came in, before anybody has counted them: the local estimate stands there, and
 * message_delta, with which the stream ends, has the provider's numbers.
 */
#include "translate/messages_int.h"

#include "base/limits.h"
#include "base/macros.h"
#include "crypto/encode.h"

/* --- events on their way out --- */

/* What stands behind start in out becomes the payload of a frame. */
static int make_frame(struct buf *out, size_t start)
{
    _cleanup_(buf_free) struct buf payload;
    buf_init(&payload, LIMIT_EVENTSTREAM_BYTES);
    buf_addstr(&payload, STR("{\"bytes\":\""));
    base64_add(&payload, str_from(buf_str(out), start));
    buf_addstr(&payload, STR("\"}"));
    out->n = start;
    return payload.err ? payload.err : dialect_put_frame(out, STR("chunk"), buf_str(&payload));
}

/* Where the event's data begins. */
size_t messages_begin_event(struct canon_stream *s, const char *name, struct buf *out)
{
    if (s->to != &wire_messages_bedrock) {
        buf_addstr(out, STR("event: "));
        buf_addstr(out, str_of(name));
        buf_addstr(out, STR("\ndata: "));
    }
    return out->n;
}

int messages_end_event(struct canon_stream *s, size_t start, struct buf *out)
{
    int r = 0;
    if (s->to == &wire_messages_bedrock)
        r = make_frame(out, start);
    else
        buf_addstr(out, STR("\n\n"));
    return r < 0 || out->err ? canon_no_room(s->c) : 0;
}

static struct jw open_event(struct buf *out, const char *type)
{
    struct jw w = {.out = out};
    jw_open(&w, '{');
    jw_member_str(&w, "type", str_of(type));
    return w;
}

/* --- parts --- */

struct writing {
    unsigned index; /* of the next block */
    bool skipping;  /* the part has no block in this dialect */
    bool has_calls;
    bool text_in_input; /* a custom tool's text is being written as a member of its input */
    enum canon_finish finish;
    struct str stop_sequence;
    struct canon_text input; /* of a call that is held: its signature belongs into its id */
    struct str signature;
    enum canon_maker maker;
};

static struct writing *writing_of(struct canon_stream *s)
{
    if (!s->writer)
        s->writer = arena_new(s->c->arena, struct writing);
    return s->writer;
}

static int write_start(struct canon_stream *s, const struct canon_event *e, struct buf *out)
{
    struct canon_call *c = s->c;
    struct usage u = {0};
    if (e->usage)
        u = *e->usage;
    if (usage_input_total(&u) == 0)
        u.input = MAX(c->input_estimate, 1u);
    size_t start = messages_begin_event(s, "message_start", out);
    struct jw w = open_event(out, "message_start");
    jw_key(&w, "message");
    jw_open(&w, '{');
    jw_member_str(&w, "id", messages_reply_id(c, e->id));
    jw_member_str(&w, "type", STR("message"));
    jw_member_str(&w, "role", STR("assistant"));
    jw_member_str(&w, "model", c->model_shown);
    jw_member_raw(&w, "content", STR("[]"));
    jw_member_raw(&w, "stop_reason", STR("null"));
    jw_member_raw(&w, "stop_sequence", STR("null"));
    jw_key(&w, "usage");
    messages_write_usage(&w, &u, false);
    jw_close(&w, '}');
    jw_close(&w, '}');
    return messages_end_event(s, start, out);
}

static void write_block(struct canon_call *c, struct jw *w, const struct canon_part *p)
{
    jw_open(w, '{');
    switch (p->kind) {
    case PART_THINKING:
        jw_member_str(w, "type", STR("thinking"));
        jw_member_str(w, "thinking", STR(""));
        jw_member_str(w, "signature", STR(""));
        break;
    case PART_REDACTED_THINKING:
        jw_member_str(w, "type", STR("redacted_thinking"));
        jw_member_str(w, "data", canon_sign_out(c, MAKER_ANTHROPIC, p->maker, p->text));
        break;
    case PART_TOOL_CALL:
        jw_member_str(w, "type", STR("tool_use"));
        jw_member_str(w, "id", messages_id_out(c, p));
        jw_member_str(w, "name", p->name);
        jw_member_raw(w, "input", STR("{}"));
        break;
    default:
        jw_member_str(w, "type", STR("text"));
        jw_member_str(w, "text", STR(""));
    }
    jw_close(w, '}');
}

static int write_block_start(
    struct canon_stream *s, struct writing *st, const struct canon_part *p, struct buf *out)
{
    size_t start = messages_begin_event(s, "content_block_start", out);
    struct jw w = open_event(out, "content_block_start");
    jw_member_int(&w, "index", st->index);
    jw_key(&w, "content_block");
    write_block(s->c, &w, p);
    jw_close(&w, '}');
    return messages_end_event(s, start, out);
}

static int write_delta(struct canon_stream *s, struct writing *st, const char *type,
    const char *name, struct str text, struct buf *out)
{
    size_t start = messages_begin_event(s, "content_block_delta", out);
    struct jw w = open_event(out, "content_block_delta");
    jw_member_int(&w, "index", st->index);
    jw_key(&w, "delta");
    jw_open(&w, '{');
    jw_member_str(&w, "type", str_of(type));
    jw_member_str(&w, name, text);
    jw_close(&w, '}');
    jw_close(&w, '}');
    return messages_end_event(s, start, out);
}

static int write_citation(
    struct canon_stream *s, struct writing *st, const struct canon_citation *t, struct buf *out)
{
    if (!t || !messages_can_cite(t))
        return 0;
    size_t start = messages_begin_event(s, "content_block_delta", out);
    struct jw w = open_event(out, "content_block_delta");
    jw_member_int(&w, "index", st->index);
    jw_key(&w, "delta");
    jw_open(&w, '{');
    jw_member_str(&w, "type", STR("citations_delta"));
    jw_key(&w, "citation");
    messages_write_citation(&w, t);
    jw_close(&w, '}');
    jw_close(&w, '}');
    return messages_end_event(s, start, out);
}

/* A piece of a custom tool's text, as a piece of the JSON text {"input": "…"}. */
static int write_custom(
    struct canon_stream *s, struct writing *st, struct str text, struct buf *out)
{
    _cleanup_(buf_free) struct buf json;
    buf_init(&json, text.n * 6 + 64);
    if (!st->text_in_input)
        buf_addstr(&json, STR("{\"input\":\""));
    st->text_in_input = true;
    size_t at = json.n;
    buf_addjson(&json, text);
    if (json.err)
        return canon_no_room(s->c);
    memmove(json.p + at, json.p + at + 1, json.n - at - 2); /* without its quotes */
    json.n -= 2;
    return write_delta(s, st, "input_json_delta", "partial_json", buf_str(&json), out);
}

/* Gemini signs its calls, and says the signature behind the arguments. */
static bool is_held(const struct canon_part *p)
{
    return p->kind == PART_TOOL_CALL && p->maker == MAKER_GEMINI && !p->is_custom;
}

static bool has_block(const struct canon_part *p)
{
    return p->kind == PART_TEXT || p->kind == PART_REFUSAL || p->kind == PART_THINKING ||
           p->kind == PART_REDACTED_THINKING || p->kind == PART_TOOL_CALL;
}

static int on_part_start(
    struct canon_stream *s, struct writing *st, const struct canon_event *e, struct buf *out)
{
    st->skipping = !has_block(e->part);
    st->text_in_input = false;
    st->signature = STR_NONE;
    if (st->skipping)
        return 0;
    st->has_calls |= e->part->kind == PART_TOOL_CALL;
    if (is_held(e->part)) {
        st->input.n = 0;
        return 0;
    }
    return write_block_start(s, st, e->part, out);
}

static int keep_signature(struct canon_stream *s, struct writing *st, const struct canon_event *e)
{
    st->signature = arena_dup(s->c->arena, e->text);
    st->maker = e->part->maker;
    return st->signature.p ? 0 : canon_no_room(s->c);
}

static int on_call_delta(
    struct canon_stream *s, struct writing *st, const struct canon_event *e, struct buf *out)
{
    if (e->field == DELTA_TEXT)
        return write_custom(s, st, e->text, out);
    if (e->field == DELTA_SIGNATURE)
        return keep_signature(s, st, e);
    if (is_held(e->part))
        return canon_gather(s->c, &st->input, e->text);
    return write_delta(s, st, "input_json_delta", "partial_json", e->text, out);
}

static int on_part_delta(
    struct canon_stream *s, struct writing *st, const struct canon_event *e, struct buf *out)
{
    enum canon_part_kind kind = e->part->kind;
    if (st->skipping || e->field == DELTA_LOGPROBS || e->field == DELTA_DATA)
        return 0;
    if (kind == PART_TOOL_CALL)
        return on_call_delta(s, st, e, out);
    if (e->field == DELTA_CITATION)
        return write_citation(s, st, e->part->citations, out);
    if (e->field == DELTA_SIGNATURE && kind == PART_TEXT)
        return keep_signature(s, st, e);
    if (e->field == DELTA_SIGNATURE && kind == PART_THINKING)
        return write_delta(s, st, "signature_delta", "signature",
            canon_sign_out(s->c, MAKER_ANTHROPIC, e->part->maker, e->text), out);
    if (e->field != DELTA_TEXT)
        return 0;
    if (kind == PART_THINKING)
        return write_delta(s, st, "thinking_delta", "thinking", e->text, out);
    return write_delta(s, st, "text_delta", "text", e->text, out);
}

static int write_held(
    struct canon_stream *s, struct writing *st, const struct canon_part *from, struct buf *out)
{
    struct canon_part p = *from;
    p.signature = st->signature;
    if (st->signature.n)
        p.maker = st->maker;
    int r = write_block_start(s, st, &p, out);
    if (r == 0 && st->input.n)
        r = write_delta(
            s, st, "input_json_delta", "partial_json", str_at(st->input.p, st->input.n), out);
    return r;
}

static int write_block_stop(struct canon_stream *s, struct writing *st, struct buf *out)
{
    size_t start = messages_begin_event(s, "content_block_stop", out);
    struct jw w = open_event(out, "content_block_stop");
    jw_member_int(&w, "index", st->index++);
    jw_close(&w, '}');
    return messages_end_event(s, start, out);
}

/* A text's signature (Gemini's) stands in a block of thinking behind it, which says nothing else.
 */
static int write_text_signature(struct canon_stream *s, struct writing *st, struct buf *out)
{
    const struct canon_part p = {.kind = PART_THINKING};
    int r = write_block_start(s, st, &p, out);
    if (r == 0)
        r = write_delta(s, st, "signature_delta", "signature",
            canon_sign_out(s->c, MAKER_ANTHROPIC, st->maker, st->signature), out);
    return r < 0 ? r : write_block_stop(s, st, out);
}

static int on_part_end(
    struct canon_stream *s, struct writing *st, const struct canon_event *e, struct buf *out)
{
    int r = 0;
    if (st->skipping)
        return 0;
    if (is_held(e->part))
        r = write_held(s, st, e->part, out);
    else if (st->text_in_input)
        r = write_delta(s, st, "input_json_delta", "partial_json", STR("\"}"), out);
    if (r == 0)
        r = write_block_stop(s, st, out);
    if (r == 0 && e->part->kind == PART_TEXT && st->signature.n)
        r = write_text_signature(s, st, out);
    return r;
}

static int on_finish(struct canon_stream *s, struct writing *st, const struct canon_event *e)
{
    st->finish = e->finish;
    st->stop_sequence = e->stop_sequence.n ? arena_dup(s->c->arena, e->stop_sequence) : STR_NONE;
    return 0;
}

static int write_end(struct canon_stream *s, struct writing *st, struct buf *out)
{
    struct usage u = s->usage;
    if (usage_input_total(&u) == 0)
        u.input = s->c->input_estimate;
    size_t start = messages_begin_event(s, "message_delta", out);
    struct jw w = open_event(out, "message_delta");
    jw_key(&w, "delta");
    jw_open(&w, '{');
    jw_member_str(&w, "stop_reason", messages_finish_out(st->finish, st->has_calls));
    jw_key(&w, "stop_sequence");
    if (st->finish == FINISH_STOP_SEQUENCE && st->stop_sequence.p)
        jw_str(&w, st->stop_sequence);
    else
        jw_null(&w);
    jw_close(&w, '}');
    jw_key(&w, "usage");
    messages_write_usage(&w, &u, true);
    jw_close(&w, '}');
    int r = messages_end_event(s, start, out);
    if (r < 0)
        return r;
    start = messages_begin_event(s, "message_stop", out);
    w = open_event(out, "message_stop");
    jw_close(&w, '}');
    return messages_end_event(s, start, out);
}

static int write_ping(struct canon_stream *s, struct buf *out)
{
    size_t start = messages_begin_event(s, "ping", out);
    struct jw w = open_event(out, "ping");
    jw_close(&w, '}');
    return messages_end_event(s, start, out);
}

/* In AWS frames an error is an exception's, in Bedrock's words. */
static int put_exception(const struct error *e, struct buf *out)
{
    dialect_stream_error(STREAM_BEDROCK, e, STR_NONE, 0, out);
    return out->err;
}

static int write_error(struct canon_stream *s, const struct canon_event *e, struct buf *out)
{
    struct error worded = *e->error;
    messages_word_error(s->c, &worded);
    if (s->to == &wire_messages_bedrock)
        return put_exception(&worded, out);
    size_t start = messages_begin_event(s, "error", out);
    dialect_error_body(DIALECT_ANTHROPIC, &worded, s->c->request_id, out);
    return messages_end_event(s, start, out);
}

int messages_write_event(struct canon_stream *s, const struct canon_event *e, struct buf *out)
{
    struct writing *st = writing_of(s);
    if (!st)
        return canon_no_room(s->c);
    if (e->kind == EVENT_ERROR)
        return write_error(s, e, out);
    if (e->choice > 0 || (s->from && messages_same_dialect(s->from, s->to)))
        return 0;
    switch (e->kind) {
    case EVENT_START:
        return write_start(s, e, out);
    case EVENT_PART_START:
        return on_part_start(s, st, e, out);
    case EVENT_PART_DELTA:
        return on_part_delta(s, st, e, out);
    case EVENT_PART_END:
        return on_part_end(s, st, e, out);
    case EVENT_FINISH:
        return on_finish(s, st, e);
    case EVENT_END:
        return write_end(s, st, out);
    case EVENT_PING:
        return write_ping(s, out);
    default:
        return 0;
    }
}
