/*
 * For the tests of the sequencer: a dialect to read in which an event is a row of commands, and one
 * to write that prints sequenced events, so that a test shows both on one line each.
 *
 *   start ID · text K T · think K T · sig K S · call K ID NAME · custom K ID NAME · args K T
 *   end K · whole K ID NAME ARGS · image K DATA · cite K URL · probs K RAW · redacted K DATA
 *   finish REASON · usage IN OUT [READ] · done · error TEXT · ping · choice N (for what follows)
 * with a semicolon between commands.
 */
#ifndef SF_TRANSLATE_TOY_TEST_H
#define SF_TRANSLATE_TOY_TEST_H

#include "base/macros.h"
#include "translate/stream.h"

#include <errno.h>

static unsigned toy_choice;

static const struct str toy_kinds[] = {STR_INIT("text"), STR_INIT("refusal"), STR_INIT("image"),
    STR_INIT("document"), STR_INIT("audio"), STR_INIT("video"), STR_INIT("call"),
    STR_INIT("result"), STR_INIT("thinking"), STR_INIT("redacted")};
static const struct str toy_finishes[] = {STR_INIT("unset"), STR_INIT("stop"),
    STR_INIT("stop_sequence"), STR_INIT("length"), STR_INIT("context"), STR_INIT("tool_calls"),
    STR_INIT("filter"), STR_INIT("pause"), STR_INIT("error")};

static inline uint64_t toy_number(struct str *rest)
{
    uint64_t n = 0;
    str_u64(str_split(rest, ' '), &n);
    return n;
}

static inline void toy_delta(
    struct canon_stream *s, struct str *rest, enum canon_part_kind kind, enum canon_delta field)
{
    const struct canon_part part = {.kind = kind, .maker = MAKER_ANTHROPIC};
    const struct canon_event e = {.kind = EVENT_PART_DELTA,
        .choice = toy_choice,
        .key = (unsigned)toy_number(rest),
        .part = field == DELTA_INPUT ? NULL : &part,
        .field = field,
        .text = *rest};
    canon_emit(s, &e);
}

static inline void toy_part(
    struct canon_stream *s, enum canon_event_kind kind, struct str *rest, struct canon_part part)
{
    struct canon_event e = {.kind = kind, .choice = toy_choice, .part = &part};
    struct canon_citation one = {.url = STR("u"), .from = -1, .to = -1};
    e.key = (unsigned)toy_number(rest);
    if (part.kind == PART_TOOL_CALL) {
        part.id = str_split(rest, ' ');
        part.name = str_split(rest, ' ');
        part.raw = rest->n ? *rest : STR_NONE;
    } else if (part.kind == PART_IMAGE) {
        part.media.mime = STR("image/png");
        part.media.data = *rest;
    } else if (kind == EVENT_PART_DELTA) {
        one.url = *rest;
        part.citations = &one;
        e.field = DELTA_CITATION;
    } else {
        part.text = *rest;
    }
    canon_emit(s, &e);
}

static inline void toy_usage(struct canon_stream *s, struct str *rest)
{
    struct usage u = {.source = USAGE_REPORTED};
    u.input = toy_number(rest);
    u.output = toy_number(rest);
    u.cache_read = toy_number(rest);
    canon_emit(s, &(const struct canon_event){.kind = EVENT_USAGE, .usage = &u});
}

static inline void toy_finish(struct canon_stream *s, struct str reason)
{
    struct canon_event e = {.kind = EVENT_FINISH, .choice = toy_choice, .native_finish = reason};
    for (unsigned i = 0; i < ARRAY_LEN(toy_finishes); i++)
        if (str_eq(toy_finishes[i], reason))
            e.finish = (enum canon_finish)i;
    canon_emit(s, &e);
}

static inline int toy_stream_command(struct canon_stream *s, struct str word, struct str rest)
{
    const struct error failed = {.status = 529, .code = STR("overloaded"), .message = rest};
    if (str_eq(word, STR("start")))
        canon_emit(s, &(const struct canon_event){.kind = EVENT_START, .id = rest, .created = 77});
    else if (str_eq(word, STR("finish")))
        toy_finish(s, rest);
    else if (str_eq(word, STR("usage")))
        toy_usage(s, &rest);
    else if (str_eq(word, STR("done")))
        canon_emit(s, &(const struct canon_event){.kind = EVENT_END});
    else if (str_eq(word, STR("ping")))
        canon_emit(s, &(const struct canon_event){.kind = EVENT_PING});
    else if (str_eq(word, STR("error")))
        canon_emit(s, &(const struct canon_event){.kind = EVENT_ERROR, .error = &failed});
    else if (str_eq(word, STR("choice")))
        toy_choice = (unsigned)toy_number(&rest);
    else
        return canon_bad_reply(s->c, "no such command");
    return 0;
}

static inline int toy_command(struct canon_stream *s, struct str word, struct str rest)
{
    const struct canon_part call = {.kind = PART_TOOL_CALL};
    const struct canon_part custom = {.kind = PART_TOOL_CALL, .is_custom = true};
    if (str_eq(word, STR("text")))
        toy_delta(s, &rest, PART_TEXT, DELTA_TEXT);
    else if (str_eq(word, STR("think")))
        toy_delta(s, &rest, PART_THINKING, DELTA_TEXT);
    else if (str_eq(word, STR("sig")))
        toy_delta(s, &rest, PART_THINKING, DELTA_SIGNATURE);
    else if (str_eq(word, STR("probs")))
        toy_delta(s, &rest, PART_TEXT, DELTA_LOGPROBS);
    else if (str_eq(word, STR("args")))
        toy_delta(s, &rest, PART_TOOL_CALL, DELTA_INPUT);
    else if (str_eq(word, STR("call")))
        toy_part(s, EVENT_PART_START, &rest, call);
    else if (str_eq(word, STR("custom")))
        toy_part(s, EVENT_PART_START, &rest, custom);
    else if (str_eq(word, STR("whole")))
        toy_part(s, EVENT_PART_WHOLE, &rest, call);
    else if (str_eq(word, STR("image")))
        toy_part(s, EVENT_PART_WHOLE, &rest, (struct canon_part){.kind = PART_IMAGE});
    else if (str_eq(word, STR("redacted")))
        toy_part(s, EVENT_PART_WHOLE, &rest, (struct canon_part){.kind = PART_REDACTED_THINKING});
    else if (str_eq(word, STR("begin")))
        toy_part(s, EVENT_PART_START, &rest, (struct canon_part){.kind = PART_TEXT});
    else if (str_eq(word, STR("cite")))
        toy_part(s, EVENT_PART_DELTA, &rest, (struct canon_part){.kind = PART_TEXT});
    else if (str_eq(word, STR("end")))
        toy_part(s, EVENT_PART_END, &rest, (struct canon_part){.kind = PART_TEXT});
    else
        return toy_stream_command(s, word, rest);
    return 0;
}

static inline int toy_read(struct canon_stream *s, struct str event, struct str data)
{
    toy_choice = 0;
    while (data.p) {
        struct str rest = str_trim(str_split(&data, ';'));
        struct str word = str_split(&rest, ' ');
        int r = toy_command(s, word, rest);
        if (r < 0)
            return r;
    }
    return 0;
}

static inline void toy_put_delta(const struct canon_event *e, struct buf *out)
{
    static const char *const fields[] = {"", "args ", "sig ", "cite ", "data ", "probs "};
    buf_printf(out, "%u:%s" STR_FMT, e->key, fields[e->field],
        STR_ARG(e->field == DELTA_CITATION ? e->part->citations->url : e->text));
}

static inline void toy_put_start(const struct canon_event *e, struct buf *out)
{
    const struct canon_part *p = e->part;
    buf_printf(out, "+%u " STR_FMT, e->key, STR_ARG(toy_kinds[p->kind]));
    if (p->id.n)
        buf_printf(out, " " STR_FMT " " STR_FMT, STR_ARG(p->id), STR_ARG(p->name));
    if (p->text.n)
        buf_printf(out, " " STR_FMT, STR_ARG(p->text));
    if (p->media.mime.n)
        buf_printf(out, " " STR_FMT, STR_ARG(p->media.mime));
}

static inline int toy_write(struct canon_stream *s, const struct canon_event *e, struct buf *out)
{
    buf_addc(out, '[');
    if (e->choice)
        buf_printf(out, "c%u ", e->choice);
    switch (e->kind) {
    case EVENT_START:
        buf_printf(out, "start " STR_FMT, STR_ARG(e->id));
        if (e->usage)
            buf_printf(out, " %d", (int)usage_input_total(e->usage));
        break;
    case EVENT_PART_START:
        toy_put_start(e, out);
        break;
    case EVENT_PART_DELTA:
        toy_put_delta(e, out);
        break;
    case EVENT_PART_END:
        buf_printf(out, "-%u", e->key);
        break;
    case EVENT_FINISH:
        buf_printf(out, "finish " STR_FMT, STR_ARG(toy_finishes[e->finish]));
        break;
    case EVENT_USAGE:
        buf_printf(out, "usage %d %d", (int)usage_input_total(e->usage), (int)e->usage->output);
        break;
    case EVENT_END:
        buf_addstr(out, STR("end"));
        break;
    case EVENT_ERROR:
        buf_printf(out, "error " STR_FMT, STR_ARG(e->error->message));
        break;
    default:
        return -EINVAL;
    }
    return buf_addc(out, ']');
}

static const struct wire toy_wire = {
    .name = STR_INIT("toy"), .read_event = toy_read, .write_event = toy_write};

#endif
