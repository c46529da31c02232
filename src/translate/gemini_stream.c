/*
 * A provider's stream: each event is a GenerateContentResponse with what is new. Text comes in
 * pieces that say nothing of where a part ends: another kind of part does that. Calls come whole.
 * The usage of each event is the whole call's so far; there is no end marker but finishReason.
 */
#include "translate/gemini_int.h"
#include "translate/native_int.h"

#include "base/macros.h"

#include <errno.h>

/* Of one candidate. */
struct gm_progress {
    bool open; /* a text or a thought */
    enum canon_part_kind kind;
    unsigned key; /* of the part that came last */
};

struct gm_stream_reader {
    struct gm_progress at[8]; /* Google gives no more candidates */
    unsigned calls;
    bool started;
};

static struct gm_stream_reader *state(struct canon_stream *s)
{
    if (!s->reader)
        s->reader = arena_new(s->c->arena, struct gm_stream_reader);
    return s->reader;
}

static void emit_delta(struct canon_stream *s, unsigned choice, unsigned key,
    const struct canon_part *part, enum canon_delta field, struct str text)
{
    canon_emit(s, &(const struct canon_event){.kind = EVENT_PART_DELTA,
                      .choice = choice,
                      .key = key,
                      .part = part,
                      .field = field,
                      .text = text});
}

/* A piece of a text or a thought. A signature alone belongs to the text that is open, and to a part
 * of its own behind anything else. */
static void on_piece(
    struct canon_stream *s, struct gm_progress *at, unsigned choice, const struct canon_part *p)
{
    const struct canon_part head = {.kind = p->kind, .maker = MAKER_GEMINI};
    if (!at->open || at->kind != p->kind) {
        at->key++;
        at->open = true;
        at->kind = p->kind;
        canon_emit(
            s, &(const struct canon_event){
                   .kind = EVENT_PART_START, .choice = choice, .key = at->key, .part = &head});
    }
    if (p->text.n)
        emit_delta(s, choice, at->key, &head, DELTA_TEXT, p->text);
    if (p->signature.n)
        emit_delta(s, choice, at->key, &head, DELTA_SIGNATURE, p->signature);
}

static void on_whole(
    struct canon_stream *s, struct gm_progress *at, unsigned choice, const struct canon_part *p)
{
    at->key++;
    at->open = false;
    canon_emit(s, &(const struct canon_event){
                      .kind = EVENT_PART_WHOLE, .choice = choice, .key = at->key, .part = p});
}

static void on_parts(
    struct canon_stream *s, struct gm_stream_reader *r, unsigned choice, yyjson_val *list)
{
    struct gm_progress *at = &r->at[choice];
    yyjson_val *item;
    size_t i, n;
    yyjson_arr_foreach(list, i, n, item)
    {
        struct canon_part part;
        if (!gm_reply_part(s->c, &s->pool, item, r->calls, &part))
            continue;
        r->calls += part.kind == PART_TOOL_CALL;
        if (part.kind == PART_TEXT || part.kind == PART_THINKING)
            on_piece(s, at, choice, &part);
        else
            on_whole(s, at, choice, &part);
    }
}

/* Sources come with the last event; they belong to the text as long as it is the last part. */
static void on_citations(
    struct canon_stream *s, struct gm_progress *at, unsigned choice, yyjson_val *candidate)
{
    struct canon_part text = {.kind = PART_TEXT, .maker = MAKER_GEMINI};
    struct canon_part *const parts[] = {&text};
    if (!at->open || at->kind != PART_TEXT)
        return;
    gm_read_citations(s->c, candidate, parts, 1);
    for (struct canon_citation *it = text.citations, *next; it; it = next) {
        next = it->next;
        it->next = NULL;
        const struct canon_part one = {.kind = PART_TEXT, .maker = MAKER_GEMINI, .citations = it};
        emit_delta(s, choice, at->key, &one, DELTA_CITATION, STR_NONE);
    }
}

static void on_finish(struct canon_stream *s, unsigned choice, enum canon_finish f, struct str why)
{
    canon_emit(s, &(const struct canon_event){
                      .kind = EVENT_FINISH, .choice = choice, .finish = f, .native_finish = why});
}

static void on_candidate(struct canon_stream *s, struct gm_stream_reader *r, yyjson_val *v)
{
    int64_t index = 0;
    struct str reason = jr_get_str(v, "finishReason");
    jr_get_int(v, "index", &index);
    if (index < 0 || index >= (int64_t)ARRAY_LEN(r->at))
        return;
    unsigned choice = (unsigned)index;
    on_parts(s, r, choice, yyjson_obj_get(yyjson_obj_get(v, "content"), "parts"));
    struct str logprobs = gm_read_logprobs(&s->pool, v);
    if (logprobs.n && r->at[choice].open)
        emit_delta(s, choice, r->at[choice].key,
            &(const struct canon_part){.kind = r->at[choice].kind, .maker = MAKER_GEMINI},
            DELTA_LOGPROBS, logprobs);
    on_citations(s, &r->at[choice], choice, v);
    if (reason.n)
        on_finish(s, choice, gm_finish_of(reason), reason);
}

static void on_error(struct canon_stream *s, struct str data)
{
    struct error e;
    gm_read_error(s->c, 200, STR_NONE, data, &e);
    canon_emit(s, &(const struct canon_event){.kind = EVENT_ERROR, .error = &e});
}

static void on_start(struct canon_stream *s, struct gm_stream_reader *r, yyjson_val *root)
{
    if (r->started)
        return;
    r->started = true;
    canon_emit(
        s, &(const struct canon_event){.kind = EVENT_START, .id = jr_get_str(root, "responseId")});
}

static void on_usage(struct canon_stream *s, yyjson_val *root)
{
    struct usage u = {0};
    gm_read_usage(yyjson_obj_get(root, "usageMetadata"), &u);
    if (u.source != USAGE_UNKNOWN)
        canon_emit(s, &(const struct canon_event){.kind = EVENT_USAGE, .usage = &u});
}

int gm_read_event(struct canon_stream *s, struct str event, struct str data)
{
    const char *why;
    struct gm_stream_reader *r = state(s);
    yyjson_val *root = jr_parse(&s->pool, data, &why), *item;
    size_t i, n;
    if (!r)
        return canon_no_room(s->c);
    if (!root)
        return canon_bad_reply(s->c, "an event of its stream is no JSON");
    if (yyjson_obj_get(root, "error") || yyjson_is_arr(root)) {
        on_error(s, data);
        return 0;
    }
    on_start(s, r, root);
    on_usage(s, root);
    yyjson_val *list = yyjson_obj_get(root, "candidates");
    yyjson_arr_foreach(list, i, n, item) on_candidate(s, r, item);
    if (!yyjson_arr_size(list) && gm_block_reason(root).n)
        on_finish(s, 0, FINISH_FILTER, gm_block_reason(root));
    return 0;
}
