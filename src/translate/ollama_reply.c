/*
 * Replies and streams of Ollama's chat. A line of the stream is a reply with a piece of the
 * message; the last has done, why, and the counts. Calls of tools come whole, and get ids here.
 */
#include "translate/ollama_int.h"

static enum canon_finish finish_of(struct str reason, bool calls)
{
    if (str_eq(reason, STR("length")))
        return FINISH_LENGTH;
    return calls ? FINISH_TOOL_CALLS : FINISH_STOP;
}

static void read_usage(yyjson_val *v, struct usage *u)
{
    if (!yyjson_obj_get(v, "eval_count") && !yyjson_obj_get(v, "prompt_eval_count"))
        return;
    u->source = USAGE_REPORTED;
    u->input = jr_get_u64(v, "prompt_eval_count");
    u->output = jr_get_u64(v, "eval_count");
}

/* The n-th call of the answer. */
static void read_call(
    struct canon_call *c, struct arena *a, yyjson_val *v, unsigned n, struct canon_part *p)
{
    yyjson_val *what = yyjson_obj_get(v, "function"), *args = yyjson_obj_get(what, "arguments");
    const char *why;

    p->kind = PART_TOOL_CALL;
    p->name = jr_get_str(what, "name");
    p->id = jr_get_str(v, "id");
    if (!p->id.n)
        p->id = native_call_id(c, a, n);
    if (yyjson_is_str(args)) /* some models' templates write the text of an object */
        args = jr_parse(a, jr_str(args), &why);
    native_call(c, a, p, yyjson_is_obj(args) ? jr_raw(a, args) : STR("{}"));
}

/* OpenAI's shape is the same list under another name. */
static struct str logprobs_of(struct arena *a, yyjson_val *v)
{
    struct str raw = yyjson_arr_size(v) ? jr_raw(a, v) : STR_NONE;

    return raw.p ? arena_printf(a, "{\"content\":" STR_FMT "}", STR_ARG(raw)) : STR_NONE;
}

/* --- whole --- */

static int add_text(
    struct canon_call *c, enum canon_part_kind kind, struct str text, struct canon_part ***tail)
{
    struct canon_part *p = text.n ? canon_add_part(c, tail, kind) : NULL;

    if (!text.n)
        return 0;
    if (!p)
        return -ENOMEM;
    p->text = text;
    return 0;
}

static int read_message(struct canon_call *c, yyjson_val *message, struct canon_choice *choice)
{
    struct canon_part **tail = &choice->parts;
    yyjson_val *v;
    size_t i, max;
    int r = add_text(c, PART_THINKING, jr_get_str(message, "thinking"), &tail);

    if (r == 0)
        r = add_text(c, PART_TEXT, jr_get_str(message, "content"), &tail);
    yyjson_arr_foreach(yyjson_obj_get(message, "tool_calls"), i, max, v)
    {
        struct canon_part *p = r == 0 ? canon_add_part(c, &tail, PART_TOOL_CALL) : NULL;
        if (!p)
            return r < 0 ? r : -ENOMEM;
        read_call(c, c->arena, v, (unsigned)i, p);
    }
    return r;
}

int ollama_read_reply(struct canon_call *c, struct str body, struct canon_reply *r)
{
    const char *why = "it is no object";
    yyjson_val *root = jr_parse(c->arena, body, &why), *message = yyjson_obj_get(root, "message");
    struct canon_choice *choice = arena_new(c->arena, struct canon_choice);
    int err;

    *r = (struct canon_reply){.choices = choice};
    if (!yyjson_is_obj(root))
        return canon_bad_reply(c, why);
    if (!yyjson_is_obj(message))
        return canon_bad_reply(c, "it has no message");
    if (!choice)
        return canon_no_room(c);
    if ((err = read_message(c, message, choice)) < 0)
        return err;
    choice->native_finish = jr_get_str(root, "done_reason");
    choice->finish = finish_of(
        choice->native_finish, yyjson_arr_size(yyjson_obj_get(message, "tool_calls")) > 0);
    choice->logprobs = logprobs_of(c->arena, yyjson_obj_get(root, "logprobs"));
    read_usage(root, &r->usage);
    return 0;
}

/* --- streams --- */

enum { KEY_THINKING, KEY_TEXT, KEYS_CALLS };

struct ollama_reader {
    unsigned calls;
};

static void on_calls(struct canon_stream *s, struct ollama_reader *rd, yyjson_val *list)
{
    yyjson_val *v;
    size_t i, max;

    yyjson_arr_foreach(list, i, max, v)
    {
        struct canon_part p = {0};
        unsigned n = rd->calls++;
        read_call(s->c, &s->pool, v, n, &p);
        canon_emit(
            s, &(struct canon_event){.kind = EVENT_PART_WHOLE, .key = KEYS_CALLS + n, .part = &p});
    }
}

static void on_done(struct canon_stream *s, const struct ollama_reader *rd, yyjson_val *v)
{
    struct str reason = jr_get_str(v, "done_reason");
    struct usage u = {0};

    native_finish(s, finish_of(reason, rd->calls > 0), reason);
    read_usage(v, &u);
    if (u.source != USAGE_UNKNOWN)
        canon_emit(s, &(struct canon_event){.kind = EVENT_USAGE, .usage = &u});
    canon_emit(s, &(struct canon_event){.kind = EVENT_END});
}

int ollama_read_event(struct canon_stream *s, struct str event, struct str data)
{
    const char *why;
    yyjson_val *v = jr_parse(&s->pool, data, &why), *message = yyjson_obj_get(v, "message");
    struct ollama_reader *rd;

    (void)event;
    if (!yyjson_is_obj(v))
        return canon_bad_reply(s->c, "a line of its stream is no JSON object");
    if (yyjson_obj_get(v, "error")) {
        native_fail(s, 502, STR("upstream_failed"), native_error_text(s->c, data));
        return 0;
    }
    if (!s->reader) {
        s->reader = arena_new(s->c->arena, struct ollama_reader);
        canon_emit(s, &(struct canon_event){.kind = EVENT_START});
    }
    if (!(rd = s->reader))
        return canon_no_room(s->c);
    native_delta(s, KEY_THINKING, PART_THINKING, DELTA_TEXT, jr_get_str(message, "thinking"));
    native_delta(s, KEY_TEXT, PART_TEXT, DELTA_TEXT, jr_get_str(message, "content"));
    struct str probs = logprobs_of(&s->pool, yyjson_obj_get(v, "logprobs"));
    if (probs.p)
        native_delta(s, KEY_TEXT, PART_TEXT, DELTA_LOGPROBS, probs);
    on_calls(s, rd, yyjson_obj_get(message, "tool_calls"));
    if (jr_get_bool(v, "done", false))
        on_done(s, rd, v);
    return 0;
}
