/*
 * A client's stream. The sequencer hands over parts one after the other; here they become items:
 *
 *   texts and refusals     one message item as long as they follow each other, a content part each
 *   thinking               a reasoning item with one summary part
 *   calls                  a function_call or custom_tool_call item
 *   a signature of Gemini's   a reasoning item of its own behind the text or call it belongs to
 *
 * Each event has its number. The last event holds the whole response again: each item is kept as
 * JSON in the call's arena when it is done, so that a stream holds what it has said once, and the
 * text of its open part.
 */
#include "translate/responses_stream_int.h"

#include "base/macros.h"

#include <errno.h>

static struct rs_writer *writer_of(struct canon_stream *s)
{
    struct rs_writer *wr = s->writer;

    if (wr)
        return wr;
    wr = s->writer = arena_new(s->c->arena, struct rs_writer);
    if (!wr) {
        canon_no_room(s->c);
        return NULL;
    }
    wr->c = s->c;
    wr->tail = &wr->items;
    return wr;
}

/* --- the response around it --- */

static int put_response(struct canon_stream *s, struct rs_writer *wr, const char *type,
    enum responses_status status, struct str output, struct buf *out)
{
    struct jw w = rs_event_begin(wr, out, type);
    bool over = status != RESPONSE_RUNS;
    const struct responses_object o = {.status = status,
        .finish = wr->finish,
        .created = s->created,
        .output = output,
        .usage = over ? &s->usage : NULL};

    jw_key(&w, "response");
    int r = responses_put_object(wr->c, &w, &o);
    rs_event_end(&w);
    return r;
}

static int start(struct canon_stream *s, struct rs_writer *wr, struct buf *out)
{
    int r = put_response(s, wr, "response.created", RESPONSE_RUNS, STR_NONE, out);

    return r < 0 ? r : put_response(s, wr, "response.in_progress", RESPONSE_RUNS, STR_NONE, out);
}

/* All items, with commas. */
static struct str join_items(struct rs_writer *wr)
{
    char *p = arena_alloc(wr->c->arena, wr->items_bytes + wr->items_n + 1), *at = p;

    for (const struct rs_item *it = wr->items; p && it; it = it->next) {
        if (it != wr->items)
            *at++ = ',';
        memcpy(at, it->json.p, it->json.n);
        at += it->json.n;
    }
    return p ? str_at(p, (size_t)(at - p)) : STR_NONE;
}

static int end(struct canon_stream *s, struct rs_writer *wr, struct buf *out)
{
    static const char *const types[] = {[RESPONSE_RUNS] = "response.completed",
        [RESPONSE_COMPLETED] = "response.completed",
        [RESPONSE_INCOMPLETE] = "response.incomplete",
        [RESPONSE_FAILED] = "response.failed"};
    enum responses_status status = responses_status_of(wr->finish);
    struct str items = join_items(wr);

    return items.p ? put_response(s, wr, types[status], status, items, out) : canon_no_room(wr->c);
}

static const char *last_status(const struct rs_writer *wr)
{
    return responses_status_of(wr->finish) == RESPONSE_COMPLETED ? "completed" : "incomplete";
}

/* --- parts --- */

static bool is_text(const struct canon_part *p)
{
    return p->kind == PART_TEXT || p->kind == PART_REFUSAL;
}

static int part_start(struct rs_writer *wr, const struct canon_part *p, struct buf *out)
{
    int r = is_text(p) ? 0 : rs_end_message(wr, "completed", out);

    wr->maker = p->maker;
    if (r < 0)
        return r;
    switch (p->kind) {
    case PART_TEXT:
    case PART_REFUSAL:
        rs_begin_text(wr, p, out);
        return 0;
    case PART_REDACTED_THINKING:
        rs_begin_reasoning(wr, out);
        wr->signature = arena_dup(wr->c->arena, p->text);
        return wr->signature.p ? 0 : canon_no_room(wr->c);
    case PART_THINKING:
        rs_begin_reasoning(wr, out);
        return 0;
    case PART_TOOL_CALL:
        return rs_begin_call(wr, p, out);
    default:
        return rs_begin_media(wr, p, out);
    }
}

static int take_signature(struct rs_writer *wr, const struct canon_event *e)
{
    wr->signature = arena_dup(wr->c->arena, e->text);
    wr->maker = e->part->maker;
    return wr->signature.p ? 0 : canon_no_room(wr->c);
}

static int take_text(struct rs_writer *wr, const struct canon_event *e, struct buf *out)
{
    if (!e->text.n)
        return 0;
    switch (wr->open) {
    case OPEN_MESSAGE:
        rs_text_delta(wr, e->text, out);
        break;
    case OPEN_REASONING:
        return e->part->kind == PART_THINKING ? rs_reasoning_delta(wr, e->text, out) : 0;
    case OPEN_CALL:
        if (!wr->wrapped)
            rs_call_delta(wr, e->text, out);
        break;
    default:
        break;
    }
    return wr->open == NOTHING_OPEN ? 0 : canon_gather(wr->c, &wr->text, e->text);
}

static int part_delta(
    struct canon_stream *s, struct rs_writer *wr, const struct canon_event *e, struct buf *out)
{
    switch (e->field) {
    case DELTA_SIGNATURE:
        return take_signature(wr, e);
    case DELTA_CITATION:
        return wr->open == OPEN_MESSAGE ? rs_note(wr, e->part->citations, out) : 0;
    case DELTA_LOGPROBS:
        return wr->open == OPEN_MESSAGE ? rs_note_logprobs(s, wr, e->text) : 0;
    default:
        return take_text(wr, e, out);
    }
}

static int part_end(struct rs_writer *wr, const struct canon_part *p, struct buf *out)
{
    struct str signature = is_text(p) || p->kind == PART_TOOL_CALL ? wr->signature : STR_NONE;
    int r = 0;

    wr->signature = signature.n ? STR_NONE : wr->signature;
    switch (wr->open) {
    case OPEN_MESSAGE:
        r = rs_end_text(wr, out);
        if (r == 0 && signature.n)
            r = rs_end_message(wr, "completed", out);
        break;
    case OPEN_REASONING:
        return rs_end_reasoning(wr, p->kind, out);
    case OPEN_CALL:
        r = rs_end_call(wr, out);
        break;
    case OPEN_MEDIA:
        return rs_end_media(wr, out);
    default:
        return 0;
    }
    return r < 0 ? r : rs_signature_item(wr, p->kind, signature, out);
}

/* --- all events --- */

static int failed(
    struct canon_stream *s, struct rs_writer *wr, const struct error *e, struct buf *out)
{
    dialect_stream_error(STREAM_RESPONSES, e, s->c->request_id, wr->sequence++, out);
    return out->err ? canon_no_room(s->c) : 0;
}

int responses_write_event(struct canon_stream *s, const struct canon_event *e, struct buf *out)
{
    struct rs_writer *wr = writer_of(s);
    int r = 0;

    if (!wr)
        return -ENOMEM;
    if (e->choice) /* there is one answer here */
        return 0;
    switch (e->kind) {
    case EVENT_START:
        r = start(s, wr, out);
        break;
    case EVENT_PART_START:
        r = part_start(wr, e->part, out);
        break;
    case EVENT_PART_DELTA:
        r = part_delta(s, wr, e, out);
        break;
    case EVENT_PART_END:
        r = part_end(wr, e->part, out);
        break;
    case EVENT_FINISH:
        wr->finish = e->finish;
        r = rs_end_message(wr, last_status(wr), out);
        break;
    case EVENT_END:
        r = end(s, wr, out);
        break;
    case EVENT_ERROR:
        return failed(s, wr, e->error, out);
    default:
        break;
    }
    return r < 0 ? r : out->err ? canon_no_room(s->c) : 0;
}
