/*
 * The messages of a client's request. Results of tools, which are messages here, become parts of
 * one user message for each batch; of the older function calls, which have no ids, a result answers
 * the last call of its name. A known member of a wrong type is refused with its place; members that
 * nobody knows are not looked at, parts that nobody knows are refused, since the model would not
 * see them.
 */
#include "translate/chat_int.h"

#include <errno.h>
#include <stdio.h>

struct reader {
    struct canon_call *c;
    struct canon_request *q;
    struct canon_message **tail;
    struct canon_part **results;           /* where the next result of this batch goes, or NULL */
    struct str function_name, function_id; /* of the last function_call */
};

enum canon_cache chat_read_cache(yyjson_val *object)
{
    yyjson_val *mark = yyjson_obj_get(object, "cache_control");
    if (yyjson_is_obj(mark))
        return str_eq(jr_get_str(mark, "ttl"), STR("1h")) ? CACHE_1H : CACHE_5M;
    mark = yyjson_obj_get(object, "prompt_cache_breakpoint"); /* OpenAI's own */
    if (yyjson_is_obj(mark))
        return str_eq(jr_get_str(mark, "ttl"), STR("12h")) ? CACHE_1H : CACHE_5M;
    return CACHE_NONE;
}

/* --- parts --- */

/* What a data: URL or its mime type says a file is. */
static enum canon_part_kind kind_of_mime(struct str mime)
{
    if (str_starts(mime, STR("image/")))
        return PART_IMAGE;
    if (str_starts(mime, STR("audio/")))
        return PART_AUDIO;
    return str_starts(mime, STR("video/")) ? PART_VIDEO : PART_DOCUMENT;
}

/* An address, or data in place of one. */
static void set_url(struct canon_part *p, struct str url)
{
    if (canon_data_url(url, &p->media))
        return;
    p->media.source = MEDIA_URL;
    p->media.data = url;
}

/* image_url and video_url: {url, detail}, or the address itself. */
static int read_url_part(struct canon_call *c, const struct chat_at *at, yyjson_val *v,
    const char *member, struct canon_part *p)
{
    yyjson_val *o = yyjson_obj_get(v, member), *detail = yyjson_obj_get(o, "detail");
    struct str url = yyjson_is_obj(o) ? jr_get_str(o, "url") : jr_str(o);
    char place[32];
    snprintf(place, sizeof(place), "%s.url", member);
    if (!url.n)
        return chat_fail_at(c, at, place, "has to be a text");
    set_url(p, url);
    snprintf(place, sizeof(place), "%s.detail", member);
    if (detail && !yyjson_is_str(detail) && !yyjson_is_null(detail))
        return chat_fail_at(c, at, place, "has to be a text");
    p->media.detail = jr_str(detail);
    return 0;
}

static int read_audio_part(
    struct canon_call *c, const struct chat_at *at, yyjson_val *v, struct canon_part *p)
{
    yyjson_val *o = yyjson_obj_get(v, "input_audio");
    struct str data = jr_get_str(o, "data"), format = jr_get_str(o, "format");
    if (!data.n)
        return chat_fail_at(c, at, "input_audio.data", "has to be a text");
    if (canon_data_url(data, &p->media))
        return 0;
    if (!format.n)
        return chat_fail_at(c, at, "input_audio.format", "has to be a text");
    p->media.source = MEDIA_BASE64;
    p->media.data = data;
    p->media.mime = str_eq(format, STR("mp3"))
                        ? STR("audio/mpeg")
                        : arena_printf(c->arena, "audio/" STR_FMT, STR_ARG(format));
    return 0;
}

static int read_file_part(
    struct canon_call *c, const struct chat_at *at, yyjson_val *v, struct canon_part *p)
{
    yyjson_val *o = yyjson_obj_get(v, "file");
    struct str data = jr_get_str(o, "file_data"), id = jr_get_str(o, "file_id");
    p->media.name = jr_get_str(o, "filename");
    if (!data.n) {
        p->media.source = MEDIA_FILE_ID;
        p->media.data = id;
        return id.n ? 0 : chat_fail_at(c, at, "file", "needs file_data or file_id");
    }
    if (!canon_data_url(data, &p->media)) {
        bool url = str_starts(data, STR("https://")) || str_starts(data, STR("http://"));
        p->media.source = url ? MEDIA_URL : MEDIA_BASE64;
        p->media.data = data;
    }
    if (!p->media.mime.n)
        p->media.mime = canon_mime_of(p->media.name);
    p->kind = kind_of_mime(p->media.mime);
    return 0;
}

static int read_text_part(struct canon_call *c, const struct chat_at *at, yyjson_val *v,
    const char *member, struct canon_part *p)
{
    p->text = jr_get_str(v, member);
    return p->text.p ? 0 : chat_fail_at(c, at, member, "has to be a text");
}

/* Mistral's parts of thinking: a text, or a list of texts. */
static int read_thinking_part(struct canon_call *c, yyjson_val *v, struct canon_part *p)
{
    yyjson_val *list = yyjson_obj_get(v, "thinking"), *one;
    struct canon_part *texts = NULL, **tail = &texts;
    size_t i, n;
    p->maker = canon_sign_in(c, CHAT_SIGNER, jr_get_str(v, "signature"), &p->signature);
    p->text = yyjson_is_str(list) ? jr_str(list) : STR("");
    yyjson_arr_foreach(list, i, n, one)
    {
        if (!canon_add_text(c, &tail, jr_get_str(one, "text")))
            return -ENOMEM;
    }
    if (texts)
        p->text = chat_join(c, texts, PART_TEXT, 0);
    return p->text.p ? 0 : -ENOMEM;
}

static const struct {
    struct str name;
    enum canon_part_kind kind;
} part_kinds[] = {
    {STR_INIT("text"), PART_TEXT},
    {STR_INIT("image_url"), PART_IMAGE},
    {STR_INIT("input_audio"), PART_AUDIO},
    {STR_INIT("file"), PART_DOCUMENT},
    {STR_INIT("video_url"), PART_VIDEO},
    {STR_INIT("refusal"), PART_REFUSAL},
    {STR_INIT("thinking"), PART_THINKING},
};

static int fill_part(
    struct canon_call *c, const struct chat_at *at, yyjson_val *v, struct canon_part *p)
{
    p->cache = chat_read_cache(v);
    switch (p->kind) {
    case PART_TEXT:
        return read_text_part(c, at, v, "text", p);
    case PART_REFUSAL:
        return read_text_part(c, at, v, "refusal", p);
    case PART_IMAGE:
        return read_url_part(c, at, v, "image_url", p);
    case PART_VIDEO:
        return read_url_part(c, at, v, "video_url", p);
    case PART_AUDIO:
        return read_audio_part(c, at, v, p);
    case PART_DOCUMENT:
        return read_file_part(c, at, v, p);
    default:
        return read_thinking_part(c, v, p);
    }
}

static int read_part(
    struct canon_call *c, const struct chat_at *at, yyjson_val *v, struct canon_part ***tail)
{
    struct str type = jr_get_str(v, "type");
    if (!yyjson_is_obj(v))
        return chat_fail_at(c, at, NULL, "has to be an object");
    for (unsigned i = 0; i < ARRAY_LEN(part_kinds); i++) {
        if (!str_eq(type, part_kinds[i].name))
            continue;
        struct canon_part *p = canon_add_part(c, tail, part_kinds[i].kind);
        return p ? fill_part(c, at, v, p) : -ENOMEM;
    }
    return chat_fail_at(c, at, "type", "is no kind of content part that is known here");
}

/* --- messages --- */

static int read_content(
    struct reader *r, unsigned i, yyjson_val *v, bool needed, struct canon_part ***tail)
{
    struct chat_at at = {.message = i};
    size_t n;
    yyjson_val *one;
    if (yyjson_is_str(v))
        return canon_add_text(r->c, tail, jr_str(v)) ? 0 : -ENOMEM;
    if (!v || yyjson_is_null(v))
        return needed ? chat_fail_at(r->c, &at, "content", "is missing") : 0;
    if (!yyjson_is_arr(v))
        return chat_fail_at(r->c, &at, "content", "has to be a text or an array of parts");
    at.list = "content";
    size_t index;
    yyjson_arr_foreach(v, index, n, one)
    {
        at.index = (unsigned)index;
        int err = read_part(r->c, &at, one, tail);
        if (err < 0)
            return err;
    }
    return 0;
}

/* A mark on the message is one on its last part. */
static void mark_last(struct canon_part *parts, enum canon_cache cache)
{
    while (parts && parts->next)
        parts = parts->next;
    if (parts && cache)
        parts->cache = cache;
}

static struct canon_message *open_message(struct reader *r, enum canon_role role, yyjson_val *v)
{
    struct canon_message *m = canon_add_message(r->c, &r->tail, role);
    r->results = NULL;
    if (m)
        m->name = jr_get_str(v, "name");
    return m;
}

static int read_plain(struct reader *r, unsigned i, yyjson_val *v, enum canon_role role)
{
    struct canon_message *m = open_message(r, role, v);
    if (!m)
        return -ENOMEM;
    struct canon_part **tail = &m->parts;
    int err = read_content(r, i, yyjson_obj_get(v, "content"), true, &tail);
    mark_last(m->parts, chat_read_cache(v));
    return err;
}

static int read_calls(struct reader *r, unsigned i, yyjson_val *list, struct canon_part ***tail)
{
    struct chat_at at = {.message = i};
    size_t index, n;
    yyjson_val *one;
    if (!list || yyjson_is_null(list))
        return 0;
    if (!yyjson_is_arr(list))
        return chat_fail_at(r->c, &at, "tool_calls", "has to be an array");
    at.list = "tool_calls";
    yyjson_arr_foreach(list, index, n, one)
    {
        at.index = (unsigned)index;
        int err = chat_read_call(r->c, &at, one, tail);
        if (err < 0)
            return err;
    }
    return 0;
}

/* The older form of one call, to which we give an id. */
static int read_function_call(
    struct reader *r, unsigned i, yyjson_val *v, struct canon_part ***tail)
{
    const struct chat_at at = {.message = i};
    bool bad;
    if (!v || yyjson_is_null(v))
        return 0;
    if (!jr_get_str(v, "name").n)
        return chat_fail_at(r->c, &at, "function_call.name", "has to be a text");
    struct canon_part *p = canon_add_part(r->c, tail, PART_TOOL_CALL);
    if (!p)
        return -ENOMEM;
    p->id = r->function_id = arena_printf(r->c->arena, "call_%u", i);
    p->name = r->function_name = jr_get_str(v, "name");
    p->raw = chat_arguments(r->c->arena, yyjson_obj_get(v, "arguments"), &bad);
    if (!bad)
        return 0;
    return canon_drop(r->c, arena_printf(r->c->arena, "messages[%u].function_call.arguments", i),
        "they are no JSON object");
}

static int read_refusal(struct reader *r, yyjson_val *v, struct canon_part ***tail)
{
    struct str text = jr_get_str(v, "refusal");
    if (!text.n)
        return 0;
    struct canon_part *p = canon_add_part(r->c, tail, PART_REFUSAL);
    if (!p)
        return -ENOMEM;
    p->text = text;
    return 0;
}

/* Audio that the model spoke in an earlier turn, by its id. */
static int read_spoken(struct reader *r, yyjson_val *v, struct canon_part ***tail)
{
    struct str id = jr_get_str(yyjson_obj_get(v, "audio"), "id");
    if (!id.n)
        return 0;
    struct canon_part *p = canon_add_part(r->c, tail, PART_AUDIO);
    if (!p)
        return -ENOMEM;
    p->media = (struct canon_media){.source = MEDIA_FILE_ID, .data = id};
    return 0;
}

static int read_assistant(struct reader *r, unsigned i, yyjson_val *v)
{
    struct canon_message *m = open_message(r, ROLE_ASSISTANT, v);
    if (!m)
        return -ENOMEM;
    struct canon_part **tail = &m->parts;
    int err = chat_read_thinking(r->c, v, &tail);
    err = err < 0 ? err : read_content(r, i, yyjson_obj_get(v, "content"), false, &tail);
    err = err < 0 ? err : read_refusal(r, v, &tail);
    err = err < 0 ? err : read_spoken(r, v, &tail);
    err = err < 0 ? err : read_calls(r, i, yyjson_obj_get(v, "tool_calls"), &tail);
    err = err < 0 ? err : read_function_call(r, i, yyjson_obj_get(v, "function_call"), &tail);
    if (err < 0)
        return err;
    chat_sign_calls(v, m->parts);
    mark_last(m->parts, chat_read_cache(v));
    return 0;
}

static struct canon_part *add_result(struct reader *r)
{
    if (!r->results) {
        struct canon_message *m = canon_add_message(r->c, &r->tail, ROLE_USER);
        if (!m)
            return NULL;
        r->results = &m->parts;
    }
    return canon_add_part(r->c, &r->results, PART_TOOL_RESULT);
}

static int read_result(struct reader *r, unsigned i, yyjson_val *v, bool is_function)
{
    const struct chat_at at = {.message = i};
    struct str signature, name = jr_get_str(v, "name");
    struct str id = chat_split_id(jr_get_str(v, "tool_call_id"), &signature);
    if (is_function && !name.n)
        return chat_fail_at(r->c, &at, "name", "has to be a text");
    if (is_function && str_eq(name, r->function_name))
        id = r->function_id;
    if (!is_function && !id.n)
        return chat_fail_at(r->c, &at, "tool_call_id", "has to be a text");
    struct canon_part *p = add_result(r);
    if (!p)
        return -ENOMEM;
    p->id = id;
    p->name = name;
    p->cache = chat_read_cache(v);
    struct canon_part **tail = &p->content;
    int err = read_content(r, i, yyjson_obj_get(v, "content"), !is_function, &tail);
    for (const struct canon_part *t = p->content; t; t = t->next)
        p->cache = MAX(p->cache, t->cache);
    return err;
}

static int read_message(struct reader *r, unsigned i, yyjson_val *v)
{
    const struct chat_at at = {.message = i};
    struct str role = jr_get_str(v, "role");
    yyjson_val *name = yyjson_obj_get(v, "name");
    if (!yyjson_is_obj(v))
        return chat_fail_at(r->c, &at, NULL, "has to be an object");
    if (name && !yyjson_is_str(name) && !yyjson_is_null(name))
        return chat_fail_at(r->c, &at, "name", "has to be a text");
    if (str_eq(role, STR("user")))
        return read_plain(r, i, v, ROLE_USER);
    if (str_eq(role, STR("assistant")))
        return read_assistant(r, i, v);
    if (str_eq(role, STR("system")))
        return read_plain(r, i, v, ROLE_SYSTEM);
    if (str_eq(role, STR("developer")))
        return read_plain(r, i, v, ROLE_DEVELOPER);
    if (str_eq(role, STR("tool")))
        return read_result(r, i, v, false);
    if (str_eq(role, STR("function")))
        return read_result(r, i, v, true);
    return chat_fail_at(
        r->c, &at, "role", "has to be system, developer, user, assistant, tool or function");
}

int chat_read_messages(struct canon_call *c, yyjson_val *v, struct canon_request *q)
{
    struct reader r = {.c = c, .q = q, .tail = &q->messages};
    size_t i, n;
    yyjson_val *one;
    if (!yyjson_is_arr(v))
        return canon_fail(c, STR("messages"), "messages has to be an array");
    yyjson_arr_foreach(v, i, n, one)
    {
        int err = read_message(&r, (unsigned)i, one);
        if (err < 0)
            return err;
    }
    return q->messages ? 0 : canon_fail(c, STR("messages"), "messages is empty");
}
