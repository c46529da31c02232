/*
 * OpenAI's older text completions, of clients alone: a prompt becomes the user's one message, and
 * of the answer only its text goes back. A model that is asked in this way answers the prompt; that
 * it would go on with the text, as those of old did, nobody can promise.
 *
 * No provider is asked in this dialect: those that have it get the client's bytes as they are.
 */
#include "translate/chat_int.h"

#include <errno.h>

#define DEFAULT_MAX_TOKENS 16 /* the dialect's own */

/* --- requests --- */

static int add_prompt(struct canon_call *c, struct canon_request *q, struct str text)
{
    struct canon_message **tail = &q->messages;
    return canon_add_words(c, &tail, ROLE_USER, text);
}

static int read_prompt(struct canon_call *c, struct canon_request *q, yyjson_val *v)
{
    yyjson_val *only = yyjson_arr_size(v) == 1 ? yyjson_arr_get_first(v) : NULL;
    if (yyjson_is_str(v))
        return add_prompt(c, q, jr_str(v));
    if (yyjson_is_str(only))
        return add_prompt(c, q, jr_str(only));
    return canon_fail(c, STR("prompt"), "prompt has to be one text for this model's provider");
}

/* What says nothing but the default need not be told as lost. */
static bool says_nothing(struct str name, yyjson_val *v)
{
    if (str_eq(name, STR("echo")))
        return yyjson_is_false(v);
    if (str_eq(name, STR("best_of")))
        return yyjson_is_raw(v) && str_eq(str_at(yyjson_get_raw(v), yyjson_get_len(v)), STR("1"));
    return str_eq(name, STR("suffix")) && yyjson_is_str(v) && yyjson_get_len(v) == 0;
}

static int read_member(struct canon_call *c, struct str name, yyjson_val *v,
    struct canon_request *q, struct canon_extra ***extras)
{
    if (yyjson_is_null(v) || says_nothing(name, v))
        return 0;
    if (str_eq(name, STR("prompt")))
        return read_prompt(c, q, v);
    if (str_eq(name, STR("logprobs"))) /* of another shape than anybody gives today */
        return canon_drop(c, name, "they have another shape in chats");
    if (str_eq(name, STR("messages")) || str_eq(name, STR("tools")))
        return canon_fail(c, name, STR_FMT " is not a member of text completions", STR_ARG(name));
    return chat_read_member(c, name, v, q, extras);
}

static int read_request(struct canon_call *c, struct str body, struct canon_request *ret)
{
    struct canon_extra **extras = &ret->extras;
    yyjson_val *root, *key, *v;
    size_t i, n;
    canon_request_init(ret);
    ret->from = &wire_completions;
    int r = chat_parse(c, body, &root);
    if (r < 0)
        return r;
    yyjson_obj_foreach(root, i, n, key, v)
    {
        r = read_member(c, jr_str(key), v, ret, &extras);
        if (r < 0)
            return r;
    }
    if (!ret->messages)
        return canon_fail(c, STR("prompt"), "prompt is missing");
    if (ret->max_tokens < 0) {
        ret->max_tokens = DEFAULT_MAX_TOKENS;
        ret->max_tokens_name = STR("max_tokens");
    }
    return 0;
}

/* --- replies --- */

static struct str id_of(struct canon_call *c, struct str given)
{
    struct str made =
        given.n ? given : arena_printf(c->arena, "cmpl-" STR_FMT, STR_ARG(c->request_id));
    return made.p ? made : STR("cmpl");
}

/* {"text":…,"index":…,"logprobs":null,"finish_reason":…} */
static void put_choice(struct str text, unsigned index, struct str finish, struct jw *w)
{
    jw_open(w, '{');
    jw_member_str(w, "text", text);
    jw_member_int(w, "index", index);
    jw_key(w, "logprobs");
    jw_null(w);
    jw_key(w, "finish_reason");
    if (finish.p)
        jw_str(w, finish);
    else
        jw_null(w);
    jw_close(w, '}');
}

static void put_head(struct canon_call *c, struct str id, int64_t created, struct jw *w)
{
    jw_open(w, '{');
    jw_member_str(w, "id", id_of(c, id));
    jw_member_str(w, "object", STR("text_completion"));
    jw_member_int(w, "created", created ? created : c->now);
    jw_member_str(w, "model", c->model_shown.n ? c->model_shown : c->model);
    jw_key(w, "choices");
    jw_open(w, '[');
}

static struct str finish_of(enum canon_finish f)
{
    return chat_finish_word(f == FINISH_TOOL_CALLS ? FINISH_STOP : f, false, false);
}

static struct str text_of(struct canon_call *c, const struct canon_part *parts)
{
    struct str text = chat_join(c, parts, PART_TEXT, 0);
    if (!text.p)
        text = chat_join(c, parts, PART_REFUSAL, 0);
    return text.p ? text : STR("");
}

static int write_reply(struct canon_call *c, const struct canon_reply *r, struct buf *out)
{
    struct jw w = {.out = out};
    put_head(c, r->id, r->created, &w);
    for (const struct canon_choice *ch = r->choices; ch; ch = ch->next)
        put_choice(text_of(c, ch->parts), ch->index, finish_of(ch->finish), &w);
    jw_close(&w, ']');
    if (r->usage.source != USAGE_UNKNOWN) {
        jw_key(&w, "usage");
        chat_write_usage(&r->usage, &w);
    }
    jw_close(&w, '}');
    return c->error->status ? -EREMOTEIO : out->err;
}

/* --- streams --- */

static void put_chunk(
    struct canon_stream *s, unsigned choice, struct str text, struct str finish, struct buf *out)
{
    struct jw w = {.out = out};
    buf_addstr(out, STR("data: "));
    put_head(s->c, s->id, s->created, &w);
    put_choice(text, choice, finish, &w);
    jw_close(&w, ']');
    if (s->c->usage_asked) {
        jw_key(&w, "usage");
        jw_null(&w);
    }
    jw_close(&w, '}');
    buf_addstr(out, STR("\n\n"));
}

static void put_usage(struct canon_stream *s, const struct usage *u, struct buf *out)
{
    struct jw w = {.out = out};
    if (!s->c->usage_asked)
        return;
    buf_addstr(out, STR("data: "));
    put_head(s->c, s->id, s->created, &w);
    jw_close(&w, ']');
    jw_key(&w, "usage");
    chat_write_usage(u, &w);
    jw_close(&w, '}');
    buf_addstr(out, STR("\n\n"));
}

static int write_event(struct canon_stream *s, const struct canon_event *e, struct buf *out)
{
    const struct canon_part *p = e->part;
    switch (e->kind) {
    case EVENT_PART_DELTA:
        if (e->field == DELTA_TEXT && (p->kind == PART_TEXT || p->kind == PART_REFUSAL))
            put_chunk(s, e->choice, e->text, STR_NONE, out);
        break;
    case EVENT_FINISH:
        put_chunk(s, e->choice, STR(""), finish_of(e->finish), out);
        break;
    case EVENT_USAGE:
        put_usage(s, e->usage, out);
        break;
    case EVENT_END:
        buf_addstr(out, STR("data: [DONE]\n\n"));
        break;
    case EVENT_ERROR:
        dialect_stream_error(STREAM_CHAT, e->error, s->c->request_id, 0, out);
        break;
    default:
        break;
    }
    return out->err;
}

const struct wire wire_completions = {
    .id = WIRE_COMPLETIONS,
    .name = STR_INIT("openai completions"),
    .maker = MAKER_OPENAI,
    .framing = FRAMES_SSE,
    .stream_type = STR_INIT("text/event-stream"),
    .read_request = read_request,
    .write_reply = write_reply,
    .write_event = write_event,
    .read_error = chat_read_error,
};
