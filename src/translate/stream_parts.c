/*
 * The parts of one choice. One is open; those that began before it was whole wait behind it with
 * their deltas, in the order in which they began.
 *
 * Text and thinking are whole as soon as something else begins. A tool call is not: the next may
 * begin while pieces of its arguments are still to come (OpenAI numbers them for that), so it is
 * whole only when its arguments are a JSON object, or the reader says so, or the choice finishes.
 */
#include "translate/stream_int.h"

#include "base/limits.h"
#include "base/macros.h"

#include <errno.h>
#include <stdlib.h>

static void part_failed(struct canon_stream *s, int err)
{
    if (!s->err)
        s->err = err;
}

/* --- arguments --- */

static void args_byte(struct args_state *a, char c)
{
    if (a->escaped) {
        a->escaped = false;
    } else if (a->in_string) {
        a->escaped = c == '\\';
        a->in_string = c != '"';
    } else if (c == '"') {
        a->in_string = true;
    } else if (c == '{' || c == '[') {
        a->depth++;
    } else if ((c == '}' || c == ']') && a->depth && --a->depth == 0) {
        a->complete = true;
    }
}

static void args_take(struct args_state *a, struct str text)
{
    a->any |= text.n > 0;
    for (size_t i = 0; i < text.n; i++)
        args_byte(a, text.p[i]);
}

/* --- to the writer --- */

/* Text and thinking begin with their first delta: there may be none. */
static bool begins_late(enum canon_part_kind kind)
{
    return kind == PART_TEXT || kind == PART_REFUSAL || kind == PART_THINKING;
}

static void begin(struct canon_stream *s, struct seq_choice *ch, struct seq_part *p)
{
    if (p->begun)
        return;
    seq_start(s);
    p->begun = true;
    p->number = ch->parts_n++;
    ch->has_calls |= p->part.kind == PART_TOOL_CALL;
    const struct canon_event e = {
        .kind = EVENT_PART_START, .choice = ch->index, .key = p->number, .part = &p->part};
    seq_deliver(s, &e);
}

static void send_delta(
    struct canon_stream *s, struct seq_choice *ch, struct seq_part *p, const struct kept *d)
{
    begin(s, ch, p);
    if (d->field == DELTA_INPUT)
        args_take(&p->args, d->text);
    const struct canon_event e = {.kind = EVENT_PART_DELTA,
        .choice = ch->index,
        .key = p->number,
        .part = &p->part,
        .field = d->field,
        .text = d->text};
    p->part.citations = d->citation;
    seq_deliver(s, &e);
    p->part.citations = NULL;
}

static void free_part(struct sequencer *q, struct seq_part *p)
{
    q->kept_n -= p->kept_n;
    arena_free(&p->mem);
    free(p);
}

static void end_part(struct canon_stream *s, struct seq_choice *ch)
{
    struct seq_part *p = ch->open;
    bool bare = p->part.kind == PART_TOOL_CALL && !p->part.is_custom && !p->args.any;
    if (p->begun && bare)
        send_delta(s, ch, p, &(struct kept){.field = DELTA_INPUT, .text = STR("{}")});
    if (p->begun) {
        const struct canon_event e = {
            .kind = EVENT_PART_END, .choice = ch->index, .key = p->number, .part = &p->part};
        seq_deliver(s, &e);
    }
    free_part(s->seq_, p);
    ch->open = NULL;
}

static bool is_whole(const struct seq_part *p)
{
    return p->part.kind != PART_TOOL_CALL || p->args.complete;
}

static void open_next(struct canon_stream *s, struct seq_choice *ch)
{
    struct seq_part *p = ch->waiting;
    ch->waiting = p->next;
    if (!ch->waiting)
        ch->waiting_tail = &ch->waiting;
    p->next = NULL;
    ch->open = p;
    if (!begins_late(p->part.kind))
        begin(s, ch, p);
    for (struct kept *k = p->kept; k; k = k->next)
        send_delta(s, ch, p, k);
    p->kept = NULL;
    p->kept_tail = &p->kept;
    s->seq_->kept_n -= p->kept_n;
    p->kept_n = 0;
}

/* Goes on as far as what came allows. */
static void pump(struct canon_stream *s, struct seq_choice *ch)
{
    while (!s->err) {
        if (ch->open && (ch->open->ended || (ch->waiting && is_whole(ch->open))))
            end_part(s, ch);
        if (ch->open || !ch->waiting)
            return;
        open_next(s, ch);
    }
}

/* --- from the reader --- */

static struct str own_text(struct seq_part *p, struct str text)
{
    return text.p ? arena_dup(&p->mem, text) : STR_NONE;
}

/* What a start says of the part, without what its deltas bring. */
static void copy_start(struct seq_part *p, const struct canon_part *from)
{
    struct canon_part *to = &p->part;
    *to = (struct canon_part){.kind = from->kind,
        .cache = from->cache,
        .maker = from->maker,
        .media = from->media,
        .is_custom = from->is_custom,
        .is_error = from->is_error};
    to->id = own_text(p, from->id);
    to->name = own_text(p, from->name);
    to->media.mime = own_text(p, from->media.mime);
    to->media.name = own_text(p, from->media.name);
    to->media.detail = own_text(p, from->media.detail);
    to->media.context = own_text(p, from->media.context);
    bool whole = from->media.source == MEDIA_URL || from->media.source == MEDIA_FILE_ID;
    to->media.data = whole ? own_text(p, from->media.data) : STR_NONE;
    if (from->kind == PART_REDACTED_THINKING)
        to->text = own_text(p, from->text);
}

static struct seq_part *add_part(
    struct canon_stream *s, struct seq_choice *ch, unsigned key, const struct canon_part *from)
{
    bool nameless = from->kind == PART_TOOL_CALL && !from->name.n;
    struct seq_part *p = nameless ? NULL : calloc(1, sizeof(*p));
    if (!p) {
        part_failed(s, nameless ? canon_bad_reply(s->c, "it calls a tool without a name")
                                : canon_no_room(s->c));
        return NULL;
    }
    arena_init(&p->mem, p->first, sizeof(p->first), LIMIT_RESPONSE_BYTES);
    p->key = key;
    p->kept_tail = &p->kept;
    copy_start(p, from);
    s->seq_->kept_n += p->kept_n = p->mem.total;
    *ch->waiting_tail = p;
    ch->waiting_tail = &p->next;
    pump(s, ch);
    return p;
}

/* The latest part with that key, and of that kind if it is known, that has not ended. */
static struct seq_part *find(
    const struct seq_choice *ch, unsigned key, const enum canon_part_kind *kind)
{
    struct seq_part *found = NULL;
    if (ch->open && ch->open->key == key && (!kind || *kind == ch->open->part.kind))
        found = ch->open;
    for (struct seq_part *p = ch->waiting; p; p = p->next)
        if (p->key == key && (!kind || *kind == p->part.kind))
            found = p;
    return found && !found->ended ? found : NULL;
}

static struct canon_citation *copy_citation(struct arena *a, const struct canon_citation *from)
{
    struct canon_citation *to = arena_alloc(a, sizeof(*to));
    if (!to)
        return NULL;
    *to = *from;
    to->next = NULL;
    to->url = arena_dup(a, from->url);
    to->title = arena_dup(a, from->title);
    to->quote = arena_dup(a, from->quote);
    to->raw = from->raw.p ? arena_dup(a, from->raw) : STR_NONE;
    return to;
}

static void keep(struct canon_stream *s, struct seq_part *p, const struct kept *d)
{
    struct kept *k = arena_new(&p->mem, struct kept);
    size_t before = p->kept_n;
    if (k) {
        k->field = d->field;
        k->text = d->text.n ? arena_dup(&p->mem, d->text) : STR_NONE;
        if (d->citation)
            k->citation = copy_citation(&p->mem, d->citation);
        *p->kept_tail = k;
        p->kept_tail = &k->next;
    }
    p->kept_n += sizeof(*k) + d->text.n + (d->citation ? sizeof(*d->citation) : 0);
    s->seq_->kept_n += p->kept_n - before;
    if (!k || s->seq_->kept_n > STREAM_KEPT_MAX)
        part_failed(s, canon_bad_reply(s->c, "its stream mixes parts that are too long"));
}

/* Deltas go through or wait. */
static void take_delta(struct canon_stream *s, struct seq_choice *ch, struct seq_part *p,
    enum canon_delta field, struct str text, const struct canon_citation *citation)
{
    struct kept d = {.field = field, .text = text};
    struct canon_citation one;
    if (field == DELTA_CITATION) {
        if (!citation)
            return;
        one = *citation;
        one.next = NULL;
        d.citation = &one;
    } else if (!text.n) {
        return;
    }
    if (p != ch->open)
        keep(s, p, &d);
    else
        send_delta(s, ch, p, &d);
}

/* The kind of the part that a delta opens by itself. */
static bool kind_of_delta(const struct canon_event *e, enum canon_part_kind *ret)
{
    if (e->part)
        *ret = e->part->kind;
    else if (e->field == DELTA_SIGNATURE)
        *ret = PART_THINKING;
    else if (e->field == DELTA_INPUT || e->field == DELTA_DATA)
        return false;
    else
        *ret = PART_TEXT;
    return true;
}

static bool says_something(const struct canon_event *e)
{
    return e->field == DELTA_CITATION ? e->part && e->part->citations : e->text.n > 0;
}

static void on_delta(struct canon_stream *s, struct seq_choice *ch, const struct canon_event *e)
{
    if (!says_something(e))
        return;
    struct seq_part *p = find(ch, e->key, e->part ? &e->part->kind : NULL);
    if (!p) {
        struct canon_part from = {0};
        if (!kind_of_delta(e, &from.kind)) {
            part_failed(s, canon_bad_reply(s->c, "its stream goes on with a part it never began"));
            return;
        }
        if (e->part)
            from = *e->part;
        p = add_part(s, ch, e->key, &from);
        if (!p)
            return;
    }
    if (e->field == DELTA_SIGNATURE && e->part && e->part->maker)
        p->part.maker = e->part->maker;
    take_delta(s, ch, p, e->field, e->text, e->part ? e->part->citations : NULL);
    pump(s, ch);
}

/* Some providers say a tool call's id and name with each piece. */
static bool is_known_call(const struct seq_part *p, const struct canon_part *from)
{
    return p->part.kind == PART_TOOL_CALL && from->kind == PART_TOOL_CALL &&
           (!from->id.n || str_eq(p->part.id, from->id));
}

/* What a start or a whole part brings beyond its start. */
static void take_rest(struct canon_stream *s, struct seq_choice *ch, struct seq_part *p,
    const struct canon_part *from)
{
    bool redacted = from->kind == PART_REDACTED_THINKING;
    if (!redacted)
        take_delta(s, ch, p, DELTA_TEXT, from->text, NULL);
    take_delta(s, ch, p, DELTA_INPUT, from->raw, NULL);
    if (from->media.source == MEDIA_BASE64 || from->media.source == MEDIA_TEXT)
        take_delta(s, ch, p, DELTA_DATA, from->media.data, NULL);
    for (const struct canon_citation *it = from->citations; it; it = it->next)
        take_delta(s, ch, p, DELTA_CITATION, STR_NONE, it);
    take_delta(s, ch, p, DELTA_SIGNATURE, from->signature, NULL);
}

static void on_start(struct canon_stream *s, struct seq_choice *ch, const struct canon_event *e)
{
    struct seq_part *p = find(ch, e->key, NULL);
    if (p && e->kind == EVENT_PART_START && is_known_call(p, e->part))
        return;
    if (p)
        p->ended = true;
    p = add_part(s, ch, e->key, e->part);
    if (!p)
        return;
    take_rest(s, ch, p, e->part);
    p->ended = e->kind == EVENT_PART_WHOLE;
    pump(s, ch);
}

void seq_part_event(struct canon_stream *s, struct seq_choice *ch, const struct canon_event *e)
{
    struct seq_part *p;
    switch (e->kind) {
    case EVENT_PART_START:
    case EVENT_PART_WHOLE:
        on_start(s, ch, e);
        break;
    case EVENT_PART_DELTA:
        on_delta(s, ch, e);
        break;
    default:
        p = find(ch, e->key, NULL);
        if (p)
            p->ended = true;
        pump(s, ch);
    }
}

void seq_close_parts(struct canon_stream *s, struct seq_choice *ch)
{
    for (struct seq_part *p = ch->waiting; p; p = p->next)
        p->ended = true;
    if (ch->open)
        ch->open->ended = true;
    pump(s, ch);
}

void seq_free_parts(struct sequencer *q, struct seq_choice *ch)
{
    if (ch->open)
        free_part(q, ch->open);
    for (struct seq_part *p = ch->waiting, *next; p; p = next) {
        next = p->next;
        free_part(q, p);
    }
    ch->open = ch->waiting = NULL;
}
