/*
 * The sequencer's frame: start, finish, usage, end. A choice's FINISH waits until the provider
 * ended the stream or reported its usage behind the last of them, whichever is first.
 */
#include "translate/stream_int.h"

#include "base/limits.h"
#include "base/macros.h"

#include <errno.h>

#define POOL_FIRST ((size_t)8 * 1024)
#define POOL_MAX   (LIMIT_SSE_EVENT_BYTES * 6) /* the largest event, parsed */

int canon_stream_open(
    struct canon_stream *s, struct canon_call *c, const struct wire *from, const struct wire *to)
{
    *s = (struct canon_stream){.c = c, .from = from, .to = to, .created = c->now};
    s->seq_ = arena_new(c->arena, struct sequencer);
    char *first = s->seq_ ? arena_alloc(c->arena, POOL_FIRST) : NULL;
    if (!first)
        return canon_no_room(c);
    s->seq_->pool_first = first;
    s->seq_->tail = &s->seq_->choices;
    arena_init(&s->pool, first, POOL_FIRST, POOL_MAX);
    return 0;
}

void canon_stream_close(struct canon_stream *s)
{
    arena_free(&s->pool);
    for (struct seq_choice *ch = s->seq_ ? s->seq_->choices : NULL; ch; ch = ch->next) {
        seq_free_parts(s->seq_, ch);
        collect_free(ch);
    }
    s->seq_ = NULL;
}

static void stream_failed(struct canon_stream *s, int err)
{
    if (err < 0 && !s->err)
        s->err = err;
}

/* --- what goes out --- */

static struct seq_choice *choice_of(struct canon_stream *s, unsigned index)
{
    struct sequencer *q = s->seq_;
    for (struct seq_choice *ch = q->choices; ch; ch = ch->next)
        if (ch->index == index)
            return ch;
    struct seq_choice *ch = NULL;
    if (q->choices_n == CHOICES_MAX)
        stream_failed(s, canon_bad_reply(s->c, "its stream has too many choices"));
    else if (!(ch = arena_new(s->c->arena, struct seq_choice)))
        stream_failed(s, canon_no_room(s->c));
    if (!ch)
        return NULL;
    ch->index = index;
    ch->waiting_tail = &ch->waiting;
    *q->tail = ch;
    q->tail = &ch->next;
    q->choices_n++;
    return ch;
}

void seq_deliver(struct canon_stream *s, const struct canon_event *e)
{
    if (s->err)
        return;
    if (e->kind == EVENT_PART_START)
        s->content = true;
    if (s->heard)
        s->heard(s, e);
    if (s->to)
        stream_failed(s, s->to->write_event(s, e, s->out));
    if (s->out && s->out->err)
        stream_failed(s, s->out->err);
    bool of_choice = e->kind >= EVENT_PART_START && e->kind <= EVENT_FINISH;
    if (s->collect && of_choice && !s->err)
        stream_failed(s, collect_event(s, choice_of(s, e->choice), e));
}

static bool has_usage(const struct canon_stream *s)
{
    return s->usage.source != USAGE_UNKNOWN;
}

void seq_start(struct canon_stream *s)
{
    if (s->seq_->started)
        return;
    s->seq_->started = true;
    const struct canon_event e = {.kind = EVENT_START,
        .id = s->id,
        .created = s->created,
        .usage = has_usage(s) ? &s->usage : NULL};
    seq_deliver(s, &e);
}

static void send_finish(struct canon_stream *s, struct seq_choice *ch)
{
    if (ch->finish_sent)
        return;
    seq_close_parts(s, ch);
    if (ch->finish == FINISH_UNSET) /* the provider ended the stream as one does that is whole */
        ch->finish = FINISH_STOP;
    if (ch->finish == FINISH_STOP && ch->has_calls)
        ch->finish = FINISH_TOOL_CALLS;
    ch->finish_sent = true;
    const struct canon_event e = {.kind = EVENT_FINISH,
        .choice = ch->index,
        .finish = ch->finish,
        .native_finish = ch->native_finish,
        .stop_sequence = ch->stop_sequence};
    seq_start(s);
    seq_deliver(s, &e);
}

static void release(struct canon_stream *s)
{
    if (s->seq_->released)
        return;
    for (struct seq_choice *ch = s->seq_->choices; ch; ch = ch->next)
        send_finish(s, ch);
    if (has_usage(s))
        seq_deliver(s, &(const struct canon_event){.kind = EVENT_USAGE, .usage = &s->usage});
    s->seq_->released = true;
    s->finished = true;
}

static void end_stream(struct canon_stream *s)
{
    if (s->seq_->ended || s->err)
        return;
    if (!s->seq_->choices) {
        stream_failed(s, canon_bad_reply(s->c, "its stream ended without an answer"));
        return;
    }
    release(s);
    seq_deliver(s, &(const struct canon_event){.kind = EVENT_END});
    s->seq_->ended = true;
}

/* Every choice that was asked for has finished. */
static bool all_finished(const struct canon_stream *s)
{
    const struct sequencer *q = s->seq_;
    unsigned asked = s->c->request ? s->c->request->n : 1;
    return q->finished_n == q->choices_n && q->finished_n >= MAX(asked, 1u);
}

/* --- what comes in --- */

static void note_start(struct canon_stream *s, const struct canon_event *e)
{
    if (!s->seq_->started && e->id.n && !s->id.n) {
        s->id = arena_dup(s->c->arena, e->id);
        if (!s->id.p)
            stream_failed(s, canon_no_room(s->c));
    }
    if (!s->seq_->started && e->created > 0)
        s->created = e->created;
}

static void note_usage(struct canon_stream *s, const struct usage *u)
{
    struct usage *all = &s->usage;
    if (usage_input_total(u)) {
        all->input = u->input;
        all->cache_read = u->cache_read;
        all->cache_write_5m = u->cache_write_5m;
        all->cache_write_1h = u->cache_write_1h;
        all->audio_in = u->audio_in;
    }
    if (usage_output_total(u)) {
        all->output = u->output;
        all->reasoning = u->reasoning;
        all->audio_out = u->audio_out;
    }
    all->images = MAX(all->images, u->images);
    all->audio_ms = MAX(all->audio_ms, u->audio_ms);
    all->characters = MAX(all->characters, u->characters);
    all->queries = MAX(all->queries, u->queries);
    all->tier = u->tier ? u->tier : all->tier;
    if (u->source != USAGE_UNKNOWN)
        all->source = u->source;
    s->seq_->usage_news = true;
}

static void note_finish(struct canon_stream *s, const struct canon_event *e)
{
    struct seq_choice *ch = choice_of(s, e->choice);
    if (!ch || ch->finished)
        return;
    ch->finished = true;
    ch->finish = e->finish;
    ch->native_finish = e->native_finish.n ? arena_dup(s->c->arena, e->native_finish) : STR_NONE;
    ch->stop_sequence = e->stop_sequence.p ? arena_dup(s->c->arena, e->stop_sequence) : STR_NONE;
    s->seq_->finished_n++;
    seq_close_parts(s, ch);
}

static struct str kept_text(struct canon_stream *s, struct str text)
{
    return text.n ? arena_dup(s->c->arena, text) : STR_NONE;
}

static void note_error(struct canon_stream *s, const struct error *e)
{
    s->failed = true;
    s->error = *e;
    s->error.code = kept_text(s, e->code);
    s->error.type = kept_text(s, e->type);
    s->error.message = kept_text(s, e->message);
    s->error.param = kept_text(s, e->param);
    s->error.hint = kept_text(s, e->hint);
    s->error.detail = kept_text(s, e->detail);
}

static void note_part(struct canon_stream *s, const struct canon_event *e)
{
    struct seq_choice *ch = choice_of(s, e->choice);
    if (ch && !ch->finish_sent)
        seq_part_event(s, ch, e);
}

void canon_emit(struct canon_stream *s, const struct canon_event *e)
{
    if (s->err || s->failed || s->seq_->ended)
        return;
    if (e->usage && (e->kind == EVENT_START || e->kind == EVENT_USAGE))
        note_usage(s, e->usage);
    switch (e->kind) {
    case EVENT_START:
        note_start(s, e);
        break;
    case EVENT_PART_START:
    case EVENT_PART_DELTA:
    case EVENT_PART_END:
    case EVENT_PART_WHOLE:
        note_part(s, e);
        break;
    case EVENT_FINISH:
        note_finish(s, e);
        break;
    case EVENT_END:
        s->seq_->end_seen = true;
        break;
    case EVENT_ERROR:
        note_error(s, e->error);
        break;
    case EVENT_USAGE:
    case EVENT_PING:
        break;
    }
}

static int settled(struct canon_stream *s, int r)
{
    stream_failed(s, r);
    s->finish_held = !s->err && !s->seq_->ended && all_finished(s);
    arena_free(&s->pool);
    arena_init(&s->pool, s->seq_->pool_first, POOL_FIRST, POOL_MAX);
    s->out = NULL;
    return s->err;
}

int canon_stream_event(struct canon_stream *s, struct str event, struct str data, struct buf *out)
{
    if (s->err || s->failed || s->seq_->ended)
        return s->err;
    s->out = out;
    s->seq_->usage_news = false;
    int r = s->from->read_event(s, event, data);
    if (r == 0 && !s->failed) {
        if (s->seq_->end_seen)
            end_stream(s);
        else if (s->seq_->usage_news && all_finished(s))
            release(s);
    }
    return settled(s, r);
}

int canon_stream_end(struct canon_stream *s, struct buf *out)
{
    if (s->err || s->seq_->ended)
        return s->err;
    if (s->failed || !all_finished(s))
        return -ECONNRESET;
    s->out = out;
    end_stream(s);
    return settled(s, 0);
}

int canon_stream_fail(struct canon_stream *s, const struct error *e, struct buf *out)
{
    const struct canon_event event = {.kind = EVENT_ERROR, .error = e};
    if (s->seq_->ended)
        return 0;
    s->failed = s->seq_->ended = true;
    return s->to->write_event(s, &event, out);
}
