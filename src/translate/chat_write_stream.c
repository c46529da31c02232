/*
 * The stream that a client of chat completions gets: one chat.completion.chunk for each delta, each
 * in an event of its own.
 *
 * Two parts are held until they end. A call that Gemini signed, since the signature stands in its
 * id, which is what a client hears first; and thinking, of which a copy is kept (while it is shown
 * as it comes) until its signature is there: an element of thinking_blocks is whole, so that a
 * client only has to collect them.
 */
#include "translate/chat_int.h"

#include <errno.h>

#define THINKING_KEPT_MAX ((size_t)256 * KIB)
#define MEDIA_KEPT_MAX    (16 * MIB)

struct choice {
    struct choice *next;
    unsigned index, calls_n;
    bool greeted;              /* the role was said */
    bool ascii;                /* all text so far: then its bytes are its characters */
    int64_t text_n, part_from; /* bytes of text, and before the part */
    struct canon_text kept;    /* of the part that is open */
    bool overflown;
    struct str signature; /* of it */
    enum canon_maker maker;
};

struct chat_writer {
    struct str head; /* of every chunk, up to its choices */
    struct choice *choices;
};

struct out {
    struct canon_stream *s;
    struct canon_call *c;
    struct chat_writer *st;
    struct choice *ch;
    struct jw w;
};

/* --- frames --- */

static int make_head(struct canon_stream *s, struct chat_writer *st)
{
    struct canon_call *c = s->c;
    struct str made = s->id;
    _cleanup_(buf_free) struct buf text;
    buf_init(&text, 64 * KIB);
    struct jw w = {.out = &text};
    if (!made.n)
        made = arena_printf(c->arena, "chatcmpl-" STR_FMT, STR_ARG(c->request_id));
    jw_open(&w, '{');
    jw_member_str(&w, "id", made.p ? made : STR("chatcmpl"));
    jw_member_str(&w, "object", STR("chat.completion.chunk"));
    jw_member_int(&w, "created", s->created ? s->created : c->now);
    jw_member_str(&w, "model", c->model_shown.n ? c->model_shown : c->model);
    jw_key(&w, "choices");
    st->head = arena_dup(c->arena, buf_str(&text));
    return st->head.p && !text.err ? 0 : canon_no_room(c);
}

/* Up to the members of a delta. */
static void begin(struct out *o)
{
    struct buf *b = o->w.out;
    buf_addstr(b, STR("data: "));
    buf_addstr(b, o->st->head);
    buf_addstr(b, STR("[{\"index\":"));
    buf_addu64(b, o->ch->index);
    buf_addstr(b, STR(",\"delta\":{"));
    o->w.comma = false;
}

/* finish p NULL: null. */
static void end(struct out *o, struct str logprobs, struct str finish, struct str native)
{
    struct jw *w = &o->w;
    jw_close(w, '}');
    jw_key(w, "logprobs");
    jw_raw(w, logprobs);
    jw_key(w, "finish_reason");
    if (finish.p)
        jw_str(w, finish);
    else
        jw_null(w);
    if (native.n && !str_eq(native, finish))
        jw_member_str(w, "native_finish_reason", native);
    buf_addstr(w->out, o->c->usage_asked ? STR("}],\"usage\":null}\n\n") : STR("}]}\n\n"));
}

static void end_delta(struct out *o)
{
    end(o, STR_NONE, STR_NONE, STR_NONE);
}

static void say(struct out *o, const char *member, struct str text)
{
    begin(o);
    jw_member_str(&o->w, member, text);
    end_delta(o);
}

static int greet(struct out *o)
{
    if (o->ch->greeted)
        return 0;
    o->ch->greeted = true;
    begin(o);
    jw_member_str(&o->w, "role", STR("assistant"));
    jw_member_str(&o->w, "content", STR(""));
    end_delta(o);
    return 0;
}

static struct choice *choice_of(struct out *o, unsigned index)
{
    struct choice *ch = o->st->choices;
    while (ch && ch->index != index)
        ch = ch->next;
    if (ch)
        return ch;
    ch = arena_new(o->c->arena, struct choice);
    if (!ch)
        return NULL;
    ch->index = index;
    ch->ascii = true;
    ch->next = o->st->choices;
    o->st->choices = ch;
    return ch;
}

/* --- what is held --- */

static int keep(struct out *o, struct str piece, size_t max)
{
    struct canon_text *k = &o->ch->kept;
    if (k->n + piece.n > max) {
        o->ch->overflown = true;
        return 0;
    }
    return canon_gather(o->c, k, piece);
}

static void forget(struct choice *ch)
{
    ch->kept.n = 0;
    ch->overflown = false;
    ch->signature = STR_NONE;
    ch->maker = MAKER_NONE;
}

/* --- calls --- */

static bool is_held(const struct canon_part *p)
{
    return p->kind == PART_TOOL_CALL && p->maker == MAKER_GEMINI && !p->is_custom;
}

static bool is_legacy(const struct out *o)
{
    return o->c->request && o->c->request->legacy_functions;
}

static void say_function_call(struct out *o, struct str name, struct str arguments)
{
    if (o->ch->calls_n > 1) /* there is room for one */
        return;
    begin(o);
    jw_key(&o->w, "function_call");
    jw_open(&o->w, '{');
    jw_member_str(&o->w, "name", name);
    jw_member_str(&o->w, "arguments", arguments);
    jw_close(&o->w, '}');
    end_delta(o);
}

/* id p NULL: a further piece. */
static void say_call(struct out *o, const struct canon_part *p, struct str id, struct str arguments)
{
    struct jw *w = &o->w;
    const char *what = p->is_custom ? "custom" : "function";
    if (is_legacy(o)) {
        say_function_call(o, id.p ? p->name : STR_NONE, arguments);
        return;
    }
    begin(o);
    jw_key(w, "tool_calls");
    jw_open(w, '[');
    jw_open(w, '{');
    jw_member_int(w, "index", o->ch->calls_n - 1);
    jw_member_str(w, "id", id);
    if (id.p)
        jw_member_str(w, "type", str_of(what));
    jw_key(w, what);
    jw_open(w, '{');
    if (id.p)
        jw_member_str(w, "name", p->name);
    jw_member_str(w, p->is_custom ? "input" : "arguments", arguments);
    jw_close(w, '}');
    jw_close(w, '}');
    jw_close(w, ']');
    end_delta(o);
}

/* A call that was held, whole. */
static int say_held(struct out *o, const struct canon_part *p)
{
    struct str id = p->id, signature = o->ch->signature;
    if (signature.n)
        id = arena_printf(
            o->c->arena, STR_FMT "__thought__" STR_FMT, STR_ARG(p->id), STR_ARG(signature));
    if (!id.p && p->id.p)
        return canon_no_room(o->c);
    say_call(o, p, id.p ? id : STR(""), STR(""));
    say_call(o, p, STR_NONE, str_at(o->ch->kept.p, o->ch->kept.n));
    return 0;
}

/* --- thinking and media --- */

static void say_block(struct out *o, const struct canon_part *p)
{
    begin(o);
    jw_key(&o->w, "thinking_blocks");
    jw_open(&o->w, '[');
    chat_write_block(o->c, p, &o->w);
    jw_close(&o->w, ']');
    end_delta(o);
}

static void say_signed(struct out *o, enum canon_part_kind kind)
{
    const struct choice *ch = o->ch;
    const struct canon_part p = {.kind = kind,
        .text = str_at(ch->kept.p ? ch->kept.p : "", ch->kept.n),
        .signature = ch->signature,
        .maker = ch->maker};
    if (ch->signature.n && !ch->overflown) /* without all its text it would be worth nothing */
        say_block(o, &p);
}

static void say_image(struct out *o, const struct canon_media *m, struct str data)
{
    begin(o);
    jw_key(&o->w, "images");
    jw_open(&o->w, '[');
    chat_write_image(m, data, &o->w);
    jw_close(&o->w, ']');
    end_delta(o);
}

static void say_audio(struct out *o, const char *member, struct str text)
{
    begin(o);
    jw_key(&o->w, "audio");
    jw_open(&o->w, '{');
    jw_member_str(&o->w, member, text);
    jw_close(&o->w, '}');
    end_delta(o);
}

/* --- parts --- */

static int on_start(struct out *o, const struct canon_part *p)
{
    forget(o->ch);
    o->ch->maker = p->maker;
    o->ch->part_from = o->ch->text_n;
    switch (p->kind) {
    case PART_TOOL_CALL:
        o->ch->calls_n++;
        if (!is_held(p))
            say_call(o, p, p->id.p ? p->id : STR(""), STR(""));
        break;
    case PART_REDACTED_THINKING:
        say_block(o, p);
        break;
    case PART_IMAGE:
        if (p->media.source == MEDIA_URL)
            say_image(o, &p->media, p->media.data);
        break;
    case PART_AUDIO:
        if (p->id.n)
            say_audio(o, "id", p->id);
        break;
    default:
        break;
    }
    return 0;
}

static void on_text(struct out *o, struct str text)
{
    for (size_t i = 0; i < text.n && o->ch->ascii; i++)
        o->ch->ascii = !((unsigned char)text.p[i] & 0x80);
    o->ch->text_n += (int64_t)text.n;
    say(o, "content", text);
}

static int on_words(struct out *o, const struct canon_part *p, struct str text)
{
    switch (p->kind) {
    case PART_TEXT:
        on_text(o, text);
        return 0;
    case PART_REFUSAL:
        say(o, "refusal", text);
        return 0;
    case PART_THINKING:
        say(o, "reasoning_content", text);
        return keep(o, text, THINKING_KEPT_MAX);
    case PART_TOOL_CALL:
        say_call(o, p, STR_NONE, text);
        return 0;
    case PART_AUDIO:
        say_audio(o, "transcript", text);
        return 0;
    default:
        return 0;
    }
}

static void on_citation(struct out *o, const struct canon_citation *t)
{
    bool placed = t && t->from >= 0 && t->to >= t->from && o->ch->ascii;
    if (!t)
        return;
    begin(o);
    jw_key(&o->w, "annotations");
    jw_open(&o->w, '[');
    chat_write_annotation(
        t, placed ? o->ch->part_from + t->from : -1, placed ? o->ch->part_from + t->to : -1, &o->w);
    jw_close(&o->w, ']');
    end_delta(o);
}

static int on_data(struct out *o, const struct canon_part *p, struct str data)
{
    if (p->kind == PART_IMAGE)
        return keep(o, data, MEDIA_KEPT_MAX);
    if (p->kind == PART_AUDIO)
        say_audio(o, "data", data);
    return 0;
}

static int on_delta(struct out *o, const struct canon_event *e)
{
    const struct canon_part *p = e->part;
    switch (e->field) {
    case DELTA_TEXT:
        return on_words(o, p, e->text);
    case DELTA_INPUT:
        if (is_held(p))
            return keep(o, e->text, LIMIT_RESPONSE_BYTES);
        say_call(o, p, STR_NONE, e->text);
        return 0;
    case DELTA_SIGNATURE:
        o->ch->signature = arena_dup(o->c->arena, e->text);
        o->ch->maker = p->maker;
        return o->ch->signature.p ? 0 : canon_no_room(o->c);
    case DELTA_CITATION:
        on_citation(o, p->citations);
        return 0;
    case DELTA_DATA:
        return on_data(o, p, e->text);
    case DELTA_LOGPROBS:
        begin(o);
        end(o, e->text, STR_NONE, STR_NONE);
        return 0;
    }
    return 0;
}

static int on_end(struct out *o, const struct canon_part *p)
{
    const struct canon_text *k = &o->ch->kept;
    if (is_held(p))
        return say_held(o, p);
    if (p->kind == PART_THINKING || p->kind == PART_TEXT)
        say_signed(o, p->kind);
    else if (p->kind == PART_IMAGE && k->n && !o->ch->overflown)
        say_image(o, &p->media, str_at(k->p, k->n));
    return 0;
}

/* --- events --- */

static void on_finish(struct out *o, const struct canon_event *e)
{
    struct str word = chat_finish_word(e->finish, o->ch->calls_n > 0, is_legacy(o));
    begin(o);
    end(o, STR_NONE, word, e->native_finish);
}

static void on_usage(struct out *o, const struct usage *u)
{
    struct jw w = {.out = o->w.out};
    if (!o->c->usage_asked)
        return;
    buf_addstr(w.out, STR("data: "));
    buf_addstr(w.out, o->st->head);
    buf_addstr(w.out, STR("[],\"usage\":"));
    chat_write_usage(u, &w);
    buf_addstr(w.out, STR("}\n\n"));
}

static int of_choice(struct out *o, const struct canon_event *e)
{
    o->ch = choice_of(o, e->choice);
    if (!o->ch)
        return canon_no_room(o->c);
    greet(o);
    switch (e->kind) {
    case EVENT_PART_START:
        return on_start(o, e->part);
    case EVENT_PART_DELTA:
        return on_delta(o, e);
    case EVENT_PART_END:
        return on_end(o, e->part);
    case EVENT_FINISH:
        on_finish(o, e);
        return 0;
    default:
        return 0;
    }
}

int chat_write_event(struct canon_stream *s, const struct canon_event *e, struct buf *out)
{
    if (!s->writer)
        s->writer = arena_new(s->c->arena, struct chat_writer);
    struct out o = {.s = s, .c = s->c, .st = s->writer, .w.out = out};
    int r = 0;
    if (!o.st)
        return canon_no_room(s->c);
    if (e->kind == EVENT_ERROR) {
        dialect_stream_error(STREAM_CHAT, e->error, s->c->request_id, 0, out);
        return out->err;
    }
    if (!o.st->head.p)
        r = make_head(s, o.st);
    if (r < 0)
        return r;
    switch (e->kind) {
    case EVENT_START:
    case EVENT_PING:
        break;
    case EVENT_USAGE:
        on_usage(&o, e->usage);
        break;
    case EVENT_END:
        buf_addstr(out, STR("data: [DONE]\n\n"));
        break;
    default:
        r = of_choice(&o, e);
    }
    return r < 0 ? r : out->err;
}
