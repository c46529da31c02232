/*
 * A provider's whole reply. What is not known is left out; what is known may have any type.
 */
#include "translate/chat_int.h"

#include <errno.h>

/* A part of a content that is a list; the answer of Mistral's models that think. */
static int read_part(struct canon_call *c, yyjson_val *v, struct canon_part ***tail)
{
    struct str type = jr_get_str(v, "type");
    yyjson_val *thinking = yyjson_obj_get(v, "thinking"), *one;
    size_t i, n;
    if (str_eq(type, STR("thinking"))) {
        struct canon_part *p = canon_add_part(c, tail, PART_THINKING), *texts = NULL;
        struct canon_part **end = &texts;
        if (!p)
            return -ENOMEM;
        p->text = jr_str(thinking);
        yyjson_arr_foreach(thinking, i, n, one)
        {
            if (!canon_add_text(c, &end, jr_get_str(one, "text")))
                return -ENOMEM;
        }
        if (texts)
            p->text = chat_join(c, texts, PART_TEXT, 0);
        return 0;
    }
    struct str text = jr_get_str(v, "text");
    if (!text.n)
        return 0;
    struct canon_part *p = canon_add_part(c, tail, PART_TEXT);
    if (!p)
        return -ENOMEM;
    p->text = text;
    return 0;
}

int chat_read_content(struct canon_call *c, yyjson_val *content, struct canon_part ***tail)
{
    size_t i, n;
    yyjson_val *one;
    if (yyjson_is_str(content)) {
        if (yyjson_get_len(content) == 0)
            return 0;
        return canon_add_text(c, tail, jr_str(content)) ? 0 : -ENOMEM;
    }
    yyjson_arr_foreach(content, i, n, one)
    {
        int r = read_part(c, one, tail);
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_refusal(struct canon_call *c, yyjson_val *message, struct canon_part ***tail)
{
    struct str text = jr_get_str(message, "refusal");
    if (!text.n)
        return 0;
    struct canon_part *p = canon_add_part(c, tail, PART_REFUSAL);
    if (!p)
        return -ENOMEM;
    p->text = text;
    return 0;
}

/* OpenAI's spoken answers, and OpenRouter's pictures. */
static int read_made(struct canon_call *c, yyjson_val *message, struct canon_part ***tail)
{
    yyjson_val *audio = yyjson_obj_get(message, "audio"), *one;
    size_t i, n;
    if (jr_get_str(audio, "data").n) {
        struct canon_part *p = canon_add_part(c, tail, PART_AUDIO);
        if (!p)
            return -ENOMEM;
        p->id = jr_get_str(audio, "id");
        p->text = jr_get_str(audio, "transcript");
        p->media.data = jr_get_str(audio, "data");
    }
    yyjson_arr_foreach(yyjson_obj_get(message, "images"), i, n, one)
    {
        struct str url = jr_get_str(yyjson_obj_get(one, "image_url"), "url");
        struct canon_part *p = url.n ? canon_add_part(c, tail, PART_IMAGE) : NULL;
        if (!p)
            continue;
        if (!canon_data_url(url, &p->media)) {
            p->media.source = MEDIA_URL;
            p->media.data = url;
        }
    }
    return 0;
}

/* Names as the client knows them, and the texts of free-form tools out of their wrapping. */
static void restore_call(struct canon_call *c, struct canon_part *p)
{
    p->name = chat_name_in(c, p->name);
    if (p->is_custom || !chat_is_wrapped(c, p->name))
        return;
    struct str input = chat_unwrap(c->arena, p->raw);
    p->is_custom = true;
    p->text = input.p ? input : p->raw;
    p->raw = STR_NONE;
}

static int read_calls(struct canon_call *c, yyjson_val *message, struct canon_part ***tail)
{
    yyjson_val *list = yyjson_obj_get(message, "tool_calls"), *one;
    yyjson_val *old = yyjson_obj_get(message, "function_call");
    struct canon_part **first = *tail;
    size_t i, n;
    int r = 0;
    yyjson_arr_foreach(list, i, n, one)
    {
        if (chat_read_call(c, NULL, one, tail) < 0)
            return -ENOMEM;
    }
    if (*first == NULL && jr_get_str(old, "name").n) {
        struct canon_part *p = canon_add_part(c, tail, PART_TOOL_CALL);
        bool bad;
        if (!p)
            return -ENOMEM;
        p->name = jr_get_str(old, "name");
        p->raw = chat_arguments(c->arena, yyjson_obj_get(old, "arguments"), &bad);
    }
    for (struct canon_part *p = *first; p; p = p->next) {
        restore_call(c, p);
        if (!p->id.n) /* a client has to be able to answer it */
            p->id =
                arena_printf(c->arena, "call_" STR_FMT "_%u", STR_ARG(c->request_id), (unsigned)r);
        r++;
    }
    return 0;
}

static void cite(
    struct canon_call *c, yyjson_val *root, yyjson_val *message, struct canon_part *parts)
{
    struct canon_part *p = parts;
    while (p && p->kind != PART_TEXT)
        p = p->next;
    if (!p)
        return;
    p->citations = chat_read_annotations(c->arena, yyjson_obj_get(message, "annotations"), p->text);
    if (!p->citations)
        p->citations = chat_read_sources(c->arena, root, p->text);
}

static int read_choice(
    struct canon_call *c, yyjson_val *root, yyjson_val *v, struct canon_choice *ch)
{
    yyjson_val *message = yyjson_obj_get(v, "message");
    struct canon_part **tail = &ch->parts;
    struct str word = jr_get_str(v, "finish_reason");
    struct str native = jr_get_str(v, "native_finish_reason");
    int r = chat_read_thinking(c, message, &tail);
    r = r < 0 ? r : chat_read_content(c, yyjson_obj_get(message, "content"), &tail);
    r = r < 0 ? r : read_refusal(c, message, &tail);
    r = r < 0 ? r : read_made(c, message, &tail);
    r = r < 0 ? r : read_calls(c, message, &tail);
    if (r < 0)
        return r;
    chat_sign_calls(message, ch->parts);
    cite(c, root, message, ch->parts);
    ch->index = (unsigned)jr_get_u64(v, "index");
    ch->finish = chat_read_finish(word, chat_has_kind(ch->parts, PART_TOOL_CALL));
    ch->native_finish = native.n ? native : word;
    ch->logprobs = jr_raw(c->arena, yyjson_obj_get(v, "logprobs"));
    return 0;
}

/* Routers tell of a failure behind them inside a reply that is none. */
static int failed_inside(struct canon_call *c, yyjson_val *root)
{
    struct error e;
    chat_read_error_value(c->arena, 200, root, &e);
    if (e.status < 400)
        e.status = 502;
    if (!e.message.n)
        e.message = STR("The provider's reply holds an error.");
    if (c->error->status == 0)
        *c->error = e;
    return -EREMOTEIO;
}

static yyjson_val *error_of(yyjson_val *root)
{
    yyjson_val *choice = yyjson_arr_get_first(yyjson_obj_get(root, "choices"));
    yyjson_val *e = yyjson_obj_get(root, "error");
    if (yyjson_is_obj(e) || yyjson_is_str(e))
        return root;
    return yyjson_is_obj(yyjson_obj_get(choice, "error")) ? choice : NULL;
}

int chat_read_reply(struct canon_call *c, struct str body, struct canon_reply *ret)
{
    const char *why;
    struct canon_choice **tail = &ret->choices;
    size_t i, n;
    yyjson_val *root = jr_parse(c->arena, body, &why), *one;
    *ret = (struct canon_reply){0};
    if (!yyjson_is_obj(root))
        return canon_bad_reply(c, root ? "it is no JSON object" : why);
    if (error_of(root))
        return failed_inside(c, error_of(root));
    ret->id = jr_get_str(root, "id");
    jr_get_int(root, "created", &ret->created);
    ret->service_tier = jr_get_str(root, "service_tier");
    chat_read_usage(yyjson_obj_get(root, "usage"), &ret->usage);
    ret->usage.tier = chat_tier(ret->service_tier);
    yyjson_arr_foreach(yyjson_obj_get(root, "choices"), i, n, one)
    {
        struct canon_choice *ch = arena_new(c->arena, struct canon_choice);
        if (!ch)
            return canon_no_room(c);
        int r = read_choice(c, root, one, ch);
        if (r < 0)
            return r;
        *tail = ch;
        tail = &ch->next;
    }
    return ret->choices ? 0 : canon_bad_reply(c, "it has no choices");
}
