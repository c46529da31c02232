/*
 * A stream to a client: each event a GenerateContentResponse of one part. Calls and media are
 * gathered until they are whole, as Google's are. Finish reason, sources and usage come with the
 * last event of a candidate.
 *
 * With alt=sse the stream is server-sent events; without it, one JSON array that grows.
 */
#include "translate/gemini_int.h"
#include "translate/native_int.h"

#include "base/macros.h"
#include "llm/dialect.h"

#include <errno.h>

#define FINISHES_MAX 8
#define SOURCES_KEPT 512

struct piece {
    struct piece *next;
    struct str text;
};

struct gm_stream_writer {
    bool begun;                      /* something was written */
    struct piece *held, **held_tail; /* arguments or data of the part that is open */
    size_t held_n;
    struct str signature;    /* of a call */
    struct canon_part cited; /* a text with all that was said of sources */
    struct canon_citation **cited_tail;
    unsigned cited_n;
    struct canon_event finish[FINISHES_MAX]; /* that wait for the usage */
    unsigned finishes;
};

static struct gm_stream_writer *state(struct canon_stream *s)
{
    struct gm_stream_writer *x = s->writer;
    if (x)
        return x;
    x = s->writer = arena_new(s->c->arena, struct gm_stream_writer);
    if (x) {
        x->held_tail = &x->held;
        x->cited = (struct canon_part){.kind = PART_TEXT};
        x->cited_tail = &x->cited.citations;
    }
    return x;
}

/* --- chunks --- */

/* Opens an event up to its first part. */
static struct jw begin(struct canon_stream *s, struct buf *out)
{
    struct gm_stream_writer *x = s->writer;
    struct jw w = {.out = out};
    if (!s->c->array_stream)
        buf_addstr(out, STR("data: "));
    else
        buf_addstr(out, x->begun ? STR("\n,\r\n") : STR("["));
    x->begun = true;
    jw_open(&w, '{');
    jw_key(&w, "candidates");
    jw_open(&w, '[');
    jw_open(&w, '{');
    jw_key(&w, "content");
    jw_open(&w, '{');
    jw_key(&w, "parts");
    jw_open(&w, '[');
    return w;
}

static void end_content(struct jw *w)
{
    jw_close(w, ']');
    jw_member_str(w, "role", STR("model"));
    jw_close(w, '}');
}

static int end(struct canon_stream *s, struct jw *w, unsigned choice, const struct usage *u)
{
    jw_member_int(w, "index", choice);
    jw_close(w, '}');
    jw_close(w, ']');
    if (u) {
        jw_key(w, "usageMetadata");
        gm_write_usage(u, w);
    }
    jw_member_str(w, "modelVersion", s->c->model_shown);
    jw_member_str(w, "responseId", s->id.n ? s->id : s->c->request_id);
    jw_close(w, '}');
    if (!s->c->array_stream)
        buf_addstr(w->out, STR("\n\n"));
    return w->out->err;
}

static int put_part(
    struct canon_stream *s, unsigned choice, const struct canon_part *p, struct buf *out)
{
    struct jw w = begin(s, out);
    if (!gm_write_part(s->c, p, &w))
        jw_raw(&w, STR("{\"text\":\"\"}"));
    end_content(&w);
    return end(s, &w, choice, NULL);
}

/* --- what is gathered --- */

static int hold(struct canon_stream *s, struct gm_stream_writer *x, struct str text)
{
    struct piece *p = arena_new(s->c->arena, struct piece);
    if (!p)
        return canon_no_room(s->c);
    p->text = arena_dup(s->c->arena, text);
    *x->held_tail = p;
    x->held_tail = &p->next;
    x->held_n += p->text.n;
    return p->text.p ? 0 : canon_no_room(s->c);
}

/* All of it in one; p NULL when memory is out. */
static struct str take_held(struct canon_stream *s, struct gm_stream_writer *x)
{
    char *all = arena_alloc(s->c->arena, x->held_n + 1), *to = all;
    for (struct piece *p = x->held; all && p; p = p->next) {
        memcpy(to, p->text.p, p->text.n);
        to += p->text.n;
    }
    struct str whole = str_at(all, all ? x->held_n : 0);
    x->held = NULL;
    x->held_tail = &x->held;
    x->held_n = 0;
    return whole;
}

static int end_call(struct canon_stream *s, struct gm_stream_writer *x, const struct canon_event *e,
    struct buf *out)
{
    const char *why;
    struct canon_part p = *e->part;
    struct str whole = take_held(s, x);
    if (!whole.p)
        return canon_no_room(s->c);
    if (p.is_custom)
        p.text = whole;
    else if (whole.n && !yyjson_is_obj(jr_parse(&s->pool, whole, &why)))
        return canon_bad_reply(s->c, "the arguments of a tool call are no JSON object");
    else
        p.raw = whole.n ? whole : STR("{}");
    p.signature = x->signature;
    x->signature = STR_NONE;
    return put_part(s, e->choice, &p, out);
}

static int end_media(struct canon_stream *s, struct gm_stream_writer *x,
    const struct canon_event *e, struct buf *out)
{
    struct canon_part p = *e->part;
    if (x->held) {
        p.media.data = take_held(s, x);
        if (!p.media.data.p)
            return canon_no_room(s->c);
    }
    return put_part(s, e->choice, &p, out);
}

static int on_part_end(struct canon_stream *s, struct gm_stream_writer *x,
    const struct canon_event *e, struct buf *out)
{
    switch (e->part->kind) {
    case PART_TOOL_CALL:
        return end_call(s, x, e, out);
    case PART_IMAGE:
    case PART_DOCUMENT:
    case PART_AUDIO:
    case PART_VIDEO:
        return end_media(s, x, e, out);
    case PART_REDACTED_THINKING:
        return put_part(s, e->choice, e->part, out);
    default:
        return 0;
    }
}

/* --- deltas --- */

static int note_citation(
    struct canon_stream *s, struct gm_stream_writer *x, const struct canon_citation *it)
{
    struct arena *a = s->c->arena;
    if (!it || x->cited_n++ >= SOURCES_KEPT)
        return 0;
    struct canon_citation *to = arena_new(a, struct canon_citation);
    if (!to)
        return canon_no_room(s->c);
    *to = (struct canon_citation){.from = it->from, .to = it->to, .maker = it->maker};
    to->url = arena_dup(a, it->url);
    to->title = arena_dup(a, it->title);
    to->quote = arena_dup(a, it->quote);
    *x->cited_tail = to;
    x->cited_tail = &to->next;
    return 0;
}

static int put_logprobs(struct canon_stream *s, const struct canon_event *e, struct buf *out)
{
    struct jw w = begin(s, out);
    jw_raw(&w, STR("{\"text\":\"\"}"));
    end_content(&w);
    gm_write_logprobs(&s->pool, e->text, &w);
    return end(s, &w, e->choice, NULL);
}

static int on_delta(struct canon_stream *s, struct gm_stream_writer *x, const struct canon_event *e,
    struct buf *out)
{
    bool call = e->part->kind == PART_TOOL_CALL;
    struct canon_part p = {.kind = e->part->kind, .maker = e->part->maker};
    switch (e->field) {
    case DELTA_TEXT:
        if (call)
            return hold(s, x, e->text);
        p.text = e->text;
        return put_part(s, e->choice, &p, out);
    case DELTA_INPUT:
    case DELTA_DATA:
        return hold(s, x, e->text);
    case DELTA_SIGNATURE:
        p.signature = call ? arena_dup(s->c->arena, e->text) : e->text;
        if (!call)
            return put_part(s, e->choice, &p, out);
        x->signature = p.signature;
        return 0;
    case DELTA_CITATION:
        return note_citation(s, x, e->part->citations);
    default:
        return put_logprobs(s, e, out);
    }
}

/* --- the end --- */

static int on_finish(
    struct canon_stream *s, struct gm_stream_writer *x, const struct canon_event *e)
{
    if (x->finishes == FINISHES_MAX)
        return 0;
    struct canon_event *f = &x->finish[x->finishes++];
    *f = *e;
    f->native_finish = e->native_finish.n ? arena_dup(s->c->arena, e->native_finish) : STR_NONE;
    return 0;
}

/* The last event of each candidate; the last of all has the usage. */
static int put_finishes(
    struct canon_stream *s, struct gm_stream_writer *x, const struct usage *u, struct buf *out)
{
    int r = 0;
    for (unsigned i = 0; i < x->finishes && r == 0; i++) {
        struct jw w = begin(s, out);
        jw_raw(&w, STR("{\"text\":\"\"}"));
        end_content(&w);
        jw_member_str(
            &w, "finishReason", gm_finish_name(x->finish[i].finish, x->finish[i].native_finish));
        if (i + 1 == x->finishes)
            gm_write_grounding(s->c, &x->cited, &w);
        r = end(s, &w, x->finish[i].choice, i + 1 == x->finishes ? u : NULL);
    }
    x->finishes = 0;
    return r;
}

static int on_end(struct canon_stream *s, struct gm_stream_writer *x, struct buf *out)
{
    int r = put_finishes(s, x, NULL, out);
    if (s->c->array_stream)
        buf_addstr(out, x->begun ? STR("\n]\n") : STR("[]\n"));
    return r < 0 ? r : out->err;
}

static int on_error(
    struct canon_stream *s, struct gm_stream_writer *x, const struct error *e, struct buf *out)
{
    if (!s->c->array_stream) {
        dialect_stream_error(STREAM_GEMINI, e, s->c->request_id, 0, out);
        return out->err;
    }
    buf_addstr(out, x->begun ? STR("\n,\r\n") : STR("["));
    dialect_error_body(DIALECT_GEMINI, e, s->c->request_id, out);
    buf_addstr(out, STR("\n]\n"));
    return out->err;
}

int gm_write_event(struct canon_stream *s, const struct canon_event *e, struct buf *out)
{
    struct gm_stream_writer *x = state(s);
    if (!x)
        return canon_no_room(s->c);
    switch (e->kind) {
    case EVENT_PART_DELTA:
        return on_delta(s, x, e, out);
    case EVENT_PART_END:
        return on_part_end(s, x, e, out);
    case EVENT_FINISH:
        return on_finish(s, x, e);
    case EVENT_USAGE:
        return put_finishes(s, x, e->usage, out);
    case EVENT_END:
        return on_end(s, x, out);
    case EVENT_ERROR:
        return on_error(s, x, e->error, out);
    default:
        return 0;
    }
}
