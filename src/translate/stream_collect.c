/*
 * The whole reply out of sequenced events. The text of the open part of each choice grows in a
 * buffer and moves into the call's arena when the part ends.
 */
#include "translate/stream_int.h"

#include "base/limits.h"
#include "base/macros.h"
#include "json/scan.h"

#include <errno.h>

struct collected {
    struct canon_choice choice;
    struct canon_part **tail, *part; /* part: the open one */
    struct canon_citation **citations;
    struct buf text;     /* of the open part */
    struct buf logprobs; /* members of "content" */
};

static struct str own(struct canon_stream *s, struct str text)
{
    return text.p ? arena_dup(s->c->arena, text) : STR_NONE;
}

static struct collected *begin_choice(struct canon_stream *s, struct seq_choice *ch)
{
    struct collected *k = arena_new(s->c->arena, struct collected);
    if (!k)
        return NULL;
    k->choice.index = ch->index;
    k->tail = &k->choice.parts;
    buf_init(&k->text, LIMIT_RESPONSE_BYTES);
    buf_init(&k->logprobs, LIMIT_RESPONSE_BYTES);
    return ch->collected = k;
}

static int begin_part(struct canon_stream *s, struct collected *k, const struct canon_part *from)
{
    struct canon_part *p = canon_add_part(s->c, &k->tail, from->kind);
    if (!p)
        return -ENOMEM;
    struct canon_part **next = k->tail;
    *p = *from;
    p->next = *next = NULL;
    p->citations = NULL;
    k->citations = &p->citations;
    p->id = own(s, from->id);
    p->name = own(s, from->name);
    p->text = own(s, from->text);
    p->media.mime = own(s, from->media.mime);
    p->media.name = own(s, from->media.name);
    p->media.detail = own(s, from->media.detail);
    p->media.context = own(s, from->media.context);
    p->media.data = own(s, from->media.data);
    k->part = p;
    buf_clear(&k->text);
    return 0;
}

static int add_citation(
    struct canon_stream *s, struct collected *k, const struct canon_citation *it)
{
    struct canon_citation *copy = arena_alloc(s->c->arena, sizeof(*copy));
    if (!copy)
        return canon_no_room(s->c);
    *copy = *it;
    copy->next = NULL;
    copy->url = own(s, it->url);
    copy->title = own(s, it->title);
    copy->quote = own(s, it->quote);
    copy->raw = own(s, it->raw);
    *k->citations = copy;
    k->citations = &copy->next;
    return 0;
}

/* {"content":[…]} of each chunk becomes one list. */
static int add_logprobs(struct collected *k, struct str raw)
{
    struct str list = json_find(raw, STR("content")), key, one;
    size_t at = json_inside(list);
    while (json_type_of(list) == JSON_ARRAY && json_next(list, &at, &key, &one)) {
        if (k->logprobs.n)
            buf_addc(&k->logprobs, ',');
        buf_addstr(&k->logprobs, one);
    }
    return k->logprobs.err;
}

static int add_delta(struct canon_stream *s, struct collected *k, const struct canon_event *e)
{
    switch (e->field) {
    case DELTA_SIGNATURE:
        k->part->signature = arena_dup(s->c->arena, e->text);
        k->part->maker = e->part->maker;
        return k->part->signature.p ? 0 : canon_no_room(s->c);
    case DELTA_CITATION:
        return add_citation(s, k, e->part->citations);
    case DELTA_LOGPROBS:
        return add_logprobs(k, e->text);
    default:
        return buf_addstr(&k->text, e->text);
    }
}

static bool is_object(struct str text)
{
    struct json_error why;
    enum json_type top;
    return json_scan(text, NULL, NULL, 0, &top, &why) == 0 && top == JSON_OBJECT;
}

/* Arguments that are no JSON object stay in text, as they are. */
static int end_part(struct canon_stream *s, struct collected *k)
{
    struct canon_part *p = k->part;
    struct str text = arena_dup(s->c->arena, buf_str(&k->text));
    if (!text.p)
        return canon_no_room(s->c);
    if (p->kind == PART_TOOL_CALL && !p->is_custom && is_object(text))
        p->raw = text;
    else if (p->kind >= PART_IMAGE && p->kind <= PART_VIDEO)
        p->media.data = p->media.data.p ? p->media.data : text;
    else if (p->kind != PART_REDACTED_THINKING)
        p->text = text;
    k->part = NULL;
    buf_free(&k->text);
    return 0;
}

int collect_event(struct canon_stream *s, struct seq_choice *ch, const struct canon_event *e)
{
    struct collected *k = ch->collected ? ch->collected : begin_choice(s, ch);
    if (!k)
        return canon_no_room(s->c);
    switch (e->kind) {
    case EVENT_PART_START:
        return begin_part(s, k, e->part);
    case EVENT_PART_DELTA:
        return add_delta(s, k, e);
    case EVENT_PART_END:
        return end_part(s, k);
    default:
        k->choice.finish = e->finish;
        k->choice.native_finish = e->native_finish;
        k->choice.stop_sequence = e->stop_sequence;
        return 0;
    }
}

void collect_free(struct seq_choice *ch)
{
    if (!ch->collected)
        return;
    buf_free(&ch->collected->text);
    buf_free(&ch->collected->logprobs);
    ch->collected = NULL;
}

static int put_choice(struct canon_stream *s, struct collected *k)
{
    if (k->part) { /* cut off within */
        int r = end_part(s, k);
        if (r < 0)
            return r;
    }
    if (k->logprobs.n && !k->choice.logprobs.p) {
        k->choice.logprobs = arena_printf(
            s->c->arena, "{\"content\":[" STR_FMT "]}", STR_ARG(buf_str(&k->logprobs)));
        if (!k->choice.logprobs.p)
            return canon_no_room(s->c);
    }
    return 0;
}

int canon_stream_reply(struct canon_stream *s, struct canon_reply *ret)
{
    if (!s->collect)
        return -EINVAL;
    *ret = (struct canon_reply){.id = s->id, .created = s->created, .usage = s->usage};
    struct canon_choice **tail = &ret->choices;
    for (struct seq_choice *ch = s->seq_->choices; ch; ch = ch->next) {
        if (!ch->collected)
            continue;
        int r = put_choice(s, ch->collected);
        if (r < 0)
            return r;
        *tail = &ch->collected->choice;
        tail = &ch->collected->choice.next;
        *tail = NULL;
    }
    return 0;
}
