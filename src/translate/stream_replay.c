/*
 * A whole reply as the stream that would have brought it.
 */
#include "translate/stream_int.h"

#include "base/macros.h"

static void replay_choice(struct canon_stream *s, const struct canon_choice *choice)
{
    unsigned key = 0;
    for (const struct canon_part *p = choice->parts; p; p = p->next)
        canon_emit(
            s, &(const struct canon_event){
                   .kind = EVENT_PART_WHOLE, .choice = choice->index, .key = key++, .part = p});
    if (choice->logprobs.n)
        canon_emit(s, &(const struct canon_event){.kind = EVENT_PART_DELTA,
                          .choice = choice->index,
                          .key = key,
                          .field = DELTA_LOGPROBS,
                          .text = choice->logprobs});
    canon_emit(s, &(const struct canon_event){.kind = EVENT_FINISH,
                      .choice = choice->index,
                      .finish = choice->finish,
                      .native_finish = choice->native_finish,
                      .stop_sequence = choice->stop_sequence});
}

static int replay_event(struct canon_stream *s, struct str event, struct str data)
{
    const struct canon_reply *r = s->reader;
    const struct usage *u = r->usage.source != USAGE_UNKNOWN ? &r->usage : NULL;
    canon_emit(s, &(const struct canon_event){
                      .kind = EVENT_START, .id = r->id, .created = r->created, .usage = u});
    for (const struct canon_choice *choice = r->choices; choice; choice = choice->next)
        replay_choice(s, choice);
    canon_emit(s, &(const struct canon_event){.kind = EVENT_END});
    return 0;
}

int canon_replay(
    struct canon_call *c, const struct canon_reply *r, const struct wire *to, struct buf *out)
{
    static const struct wire replay = {.name = STR_INIT("reply"), .read_event = replay_event};
    struct canon_stream s;
    int err = canon_stream_open(&s, c, &replay, to);
    if (err == 0) {
        s.reader = (void *)(uintptr_t)r;
        err = canon_stream_event(&s, STR_NONE, STR_NONE, out);
    }
    canon_stream_close(&s);
    return err;
}
