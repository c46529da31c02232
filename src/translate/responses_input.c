/*
 * A client's input: a text, or items in the order in which they came to be.
 *
 * Items are flat where messages have parts. What the model said in one turn (reasoning, text,
 * calls) stands in several items and becomes one message of the assistant; outputs of tools that
 * follow each other become one message of the user's. A message of the user's stays one.
 *
 * What a provider keeps by id alone (item_reference, reasoning without content) is put in its place
 * by the gateway before this; here it is refused, or declared as lost where nothing hangs on it.
 */
#include "translate/responses_int.h"

#include "base/macros.h"

#include <errno.h>

/* Where new parts go. */
struct input {
    struct canon_call *c;
    struct canon_message **tail; /* of the messages */
    struct canon_message *last;
    struct canon_part **parts; /* of its parts */
    struct canon_part *before; /* the last part of all */
    bool in_turn;              /* last is the assistant's and may get more */
    bool in_results;           /* last holds outputs of tools and may get more */
    bool sealed;               /* the item before was a signature for the part before it */
};

static int open_message(struct input *in, enum canon_role role)
{
    in->last = canon_add_message(in->c, &in->tail, role);
    in->in_turn = in->in_results = false;
    if (!in->last)
        return -ENOMEM;
    in->parts = &in->last->parts;
    return 0;
}

static struct canon_part *add_part(struct input *in, enum canon_part_kind kind)
{
    struct canon_part *p = canon_add_part(in->c, &in->parts, kind);

    if (p)
        in->before = p;
    return p;
}

/* The assistant's turn goes on, or begins. */
static int turn(struct input *in)
{
    if (in->in_turn)
        return 0;
    int r = open_message(in, ROLE_ASSISTANT);
    in->in_turn = true;
    return r;
}

/* --- media --- */

static enum canon_cache cache_of(yyjson_val *v)
{
    yyjson_val *mark = responses_get(v, "prompt_cache_breakpoint");

    if (!yyjson_is_obj(mark))
        return CACHE_NONE;
    return str_eq(jr_get_str(mark, "ttl"), STR("12h")) ? CACHE_1H : CACHE_5M;
}

static int read_image(
    struct canon_call *c, yyjson_val *v, const struct place *at, struct canon_part *p)
{
    struct str url, id;
    int r = place_str(c, v, at, "image_url", &url);

    r = r < 0 ? r : place_str(c, v, at, "file_id", &id);
    r = r < 0 ? r : place_str(c, v, at, "detail", &p->media.detail);
    if (r < 0)
        return r;
    if (url.n) {
        if (!canon_data_url(url, &p->media)) {
            p->media.source = MEDIA_URL;
            p->media.data = url;
        }
        return 0;
    }
    if (!id.n)
        return canon_fail(
            c, place_path(c, IN(at, "image_url")), "An input_image needs image_url or file_id.");
    p->media.source = MEDIA_FILE_ID;
    p->media.data = id;
    return 0;
}

static int read_file(
    struct canon_call *c, yyjson_val *v, const struct place *at, struct canon_part *p)
{
    struct str data, url, id;
    int r = place_str(c, v, at, "file_data", &data);

    r = r < 0 ? r : place_str(c, v, at, "file_url", &url);
    r = r < 0 ? r : place_str(c, v, at, "file_id", &id);
    r = r < 0 ? r : place_str(c, v, at, "filename", &p->media.name);
    if (r < 0)
        return r;
    if (data.n && canon_data_url(data, &p->media))
        return 0;
    p->media.source = data.n ? MEDIA_BASE64 : url.n ? MEDIA_URL : MEDIA_FILE_ID;
    p->media.data = data.n ? data : url.n ? url : id;
    p->media.mime = canon_mime_of(p->media.name);
    if (!p->media.data.n)
        return canon_fail(c, place_path(c, IN(at, "file_data")),
            "An input_file needs file_data, file_url or file_id.");
    return 0;
}

static int read_audio(
    struct canon_call *c, yyjson_val *v, const struct place *at, struct canon_part *p)
{
    yyjson_val *audio = responses_get(v, "input_audio");
    const struct place inner = {at, "input_audio", 0};
    struct str format;

    if (!yyjson_is_obj(audio))
        return place_wrong(c, &inner, "an object");
    int r = place_str(c, audio, &inner, "data", &p->media.data);
    r = r < 0 ? r : place_str(c, audio, &inner, "format", &format);
    if (r < 0)
        return r;
    p->media.source = MEDIA_BASE64;
    p->media.mime = str_eq(format, STR("mp3")) ? STR("audio/mpeg")
                                               : arena_printf(c->arena, "audio/" STR_FMT,
                                                     STR_ARG(format.n ? format : STR("wav")));
    return 0;
}

/* --- content --- */

enum content_kind { AS_TEXT, AS_REFUSAL, AS_IMAGE, AS_FILE, AS_AUDIO };

static const struct {
    struct str name;
    enum content_kind as;
    enum canon_part_kind kind;
} content_kinds[] = {
    {STR_INIT("input_text"), AS_TEXT, PART_TEXT},
    {STR_INIT("output_text"), AS_TEXT, PART_TEXT},
    {STR_INIT("text"), AS_TEXT, PART_TEXT},
    {STR_INIT("summary_text"), AS_TEXT, PART_TEXT},
    {STR_INIT("refusal"), AS_REFUSAL, PART_REFUSAL},
    {STR_INIT("input_image"), AS_IMAGE, PART_IMAGE},
    {STR_INIT("input_file"), AS_FILE, PART_DOCUMENT},
    {STR_INIT("input_audio"), AS_AUDIO, PART_AUDIO},
};

static int read_text(struct canon_call *c, yyjson_val *v, const struct place *at,
    const char *member, struct canon_part *p)
{
    int r = place_str(c, v, at, member, &p->text);

    if (r < 0)
        return r;
    if (!p->text.p)
        return responses_missing(c, at, member);
    return responses_read_annotations(c, responses_get(v, "annotations"), p);
}

static int fill_part(struct canon_call *c, yyjson_val *v, const struct place *at,
    enum content_kind as, struct canon_part *p)
{
    p->cache = cache_of(v);
    switch (as) {
    case AS_IMAGE:
        return read_image(c, v, at, p);
    case AS_FILE:
        return read_file(c, v, at, p);
    case AS_AUDIO:
        return read_audio(c, v, at, p);
    default:
        return read_text(c, v, at, as == AS_REFUSAL ? "refusal" : "text", p);
    }
}

static int read_part(
    struct canon_call *c, yyjson_val *v, const struct place *at, struct canon_part ***tail)
{
    struct str type;

    if (!yyjson_is_obj(v))
        return place_wrong(c, at, "an object");
    int r = place_str(c, v, at, "type", &type);
    if (r < 0)
        return r;
    for (unsigned i = 0; i < ARRAY_LEN(content_kinds); i++) {
        if (!str_eq(type, content_kinds[i].name))
            continue;
        struct canon_part *p = canon_add_part(c, tail, content_kinds[i].kind);
        return p ? fill_part(c, v, at, content_kinds[i].as, p) : -ENOMEM;
    }
    return canon_fail(c, place_path(c, IN(at, "type")), "Invalid value: '" STR_FMT "'.",
        STR_ARG(str_to(type, 64)));
}

/* A text, or a list of parts. */
static int read_content(
    struct canon_call *c, yyjson_val *v, const struct place *at, struct canon_part ***tail)
{
    size_t i, n;
    yyjson_val *one;

    if (yyjson_is_str(v))
        return canon_add_text(c, tail, jr_str(v)) ? 0 : -ENOMEM;
    if (!yyjson_is_arr(v))
        return place_wrong(c, at, "a string or an array");
    yyjson_arr_foreach(v, i, n, one)
    {
        int r = read_part(c, one, AT(at, i), tail);
        if (r < 0)
            return r;
    }
    return 0;
}

/* --- messages --- */

static int role_of(
    struct canon_call *c, yyjson_val *v, const struct place *at, enum canon_role *ret)
{
    static const struct {
        struct str name;
        enum canon_role role;
    } roles[] = {{STR_INIT("user"), ROLE_USER}, {STR_INIT("assistant"), ROLE_ASSISTANT},
        {STR_INIT("system"), ROLE_SYSTEM}, {STR_INIT("developer"), ROLE_DEVELOPER}};
    struct str name;
    int r = place_str(c, v, at, "role", &name);

    if (r < 0)
        return r;
    for (unsigned i = 0; i < ARRAY_LEN(roles); i++) {
        if (str_eq(name, roles[i].name)) {
            *ret = roles[i].role;
            return 0;
        }
    }
    return canon_fail(c, place_path(c, IN(at, "role")),
        "Invalid value: '" STR_FMT "'. Supported values are: 'assistant', 'system', 'developer', "
        "and 'user'.",
        STR_ARG(str_to(name, 64)));
}

/* A text of the assistant's that follows another one is a message of its own; one that follows
 * reasoning, a call or a signature goes on with the turn. */
static bool goes_on(const struct input *in)
{
    return in->in_turn && in->before &&
           (in->sealed || (in->before->kind != PART_TEXT && in->before->kind != PART_REFUSAL));
}

static int read_message(struct input *in, yyjson_val *v, const struct place *at)
{
    enum canon_role role = ROLE_USER;
    int r = role_of(in->c, v, at, &role);
    yyjson_val *content = responses_get(v, "content");

    if (r == 0 && !(role == ROLE_ASSISTANT && goes_on(in)))
        r = open_message(in, role);
    in->in_turn = role == ROLE_ASSISTANT;
    in->sealed = false;
    if (r == 0 && responses_get(v, "phase"))
        r = canon_drop(in->c, STR("phase"), "other dialects do not tell commentary from answers");
    if (r == 0 && !content)
        return responses_missing(in->c, at, "content");
    struct canon_part **from = in->parts;
    r = r < 0 ? r : read_content(in->c, content, IN(at, "content"), &in->parts);
    for (struct canon_part *p = r < 0 ? NULL : *from; p; p = p->next)
        in->before = p;
    return r;
}

/* --- calls and their outputs --- */

static int read_call(struct input *in, yyjson_val *v, const struct place *at, bool custom)
{
    struct canon_call *c = in->c;
    yyjson_val *arguments = responses_get(v, "arguments");
    struct str text, space;
    bool bad = false;
    int r = turn(in);
    struct canon_part *p = r < 0 ? NULL : add_part(in, PART_TOOL_CALL);

    if (!p)
        return r < 0 ? r : -ENOMEM;
    p->is_custom = custom;
    r = place_str(c, v, at, "call_id", &p->id);
    r = r < 0 ? r : place_str(c, v, at, "name", &p->name);
    r = r < 0 ? r : place_str(c, v, at, "namespace", &space);
    r = r < 0 ? r : place_str(c, v, at, custom ? "input" : "arguments", &text);
    if (r == 0 && (!p->id.n || !p->name.n))
        r = responses_missing(c, at, p->id.n ? "name" : "call_id");
    if (r < 0)
        return r;
    p->name = responses_full_name(c, space, p->name);
    if (custom) {
        p->text = text.p ? text : STR("");
        return 0;
    }
    p->raw = chat_arguments(c->arena, arguments, &bad);
    if (bad)
        r = canon_drop(c, place_path(c, IN(at, "arguments")), "they are no JSON object");
    return p->raw.p ? r : -ENOMEM;
}

static int read_output(struct input *in, yyjson_val *v, const struct place *at, bool custom)
{
    struct canon_call *c = in->c;
    yyjson_val *output = responses_get(v, "output");
    int r = in->in_results ? 0 : open_message(in, ROLE_USER);

    in->in_results = true;
    struct canon_part *p = r < 0 ? NULL : add_part(in, PART_TOOL_RESULT);
    if (!p)
        return r < 0 ? r : -ENOMEM;
    p->is_custom = custom;
    r = place_str(c, v, at, "call_id", &p->id);
    r = r < 0 ? r : place_str(c, v, at, "name", &p->name);
    if (r == 0 && !p->id.n)
        r = responses_missing(c, at, "call_id");
    if (r == 0 && !output)
        r = responses_missing(c, at, "output");
    struct canon_part **tail = &p->content;
    return r < 0 ? r : read_content(c, output, IN(at, "output"), &tail);
}

static int read_reasoning(struct input *in, yyjson_val *v, const struct place *at)
{
    struct canon_part *before = in->in_turn ? in->before : NULL;
    int r = turn(in); /* it begins one, where none is open */
    struct canon_part **from = in->parts;

    r = r < 0 ? r : responses_read_reasoning(in->c, v, &in->parts, before);
    if (r == 0 && !*from)
        return canon_drop(in->c, place_path(in->c, at),
            "only the provider that made this item knows what it says");
    if (r == 0)
        in->before = *from;
    in->sealed = r > 0;
    return MIN(r, 0);
}

/* --- all kinds of items --- */

enum item_kind {
    ITEM_MESSAGE,
    ITEM_CALL,
    ITEM_CUSTOM_CALL,
    ITEM_OUTPUT,
    ITEM_CUSTOM_OUTPUT,
    ITEM_REASONING,
    ITEM_REFERENCE,
    ITEM_RECORD, /* what a provider's own tools did: others can do without */
    ITEM_NATIVE, /* what the model has to see, in a form that only its provider reads */
};

static const struct {
    struct str name;
    enum item_kind kind;
} item_kinds[] = {
    {STR_INIT("message"), ITEM_MESSAGE},
    {STR_INIT("function_call"), ITEM_CALL},
    {STR_INIT("custom_tool_call"), ITEM_CUSTOM_CALL},
    {STR_INIT("function_call_output"), ITEM_OUTPUT},
    {STR_INIT("custom_tool_call_output"), ITEM_CUSTOM_OUTPUT},
    {STR_INIT("reasoning"), ITEM_REASONING},
    {STR_INIT("item_reference"), ITEM_REFERENCE},
    {STR_INIT("web_search_call"), ITEM_RECORD},
    {STR_INIT("file_search_call"), ITEM_RECORD},
    {STR_INIT("code_interpreter_call"), ITEM_RECORD},
    {STR_INIT("image_generation_call"), ITEM_RECORD},
    {STR_INIT("mcp_list_tools"), ITEM_RECORD},
    {STR_INIT("mcp_call"), ITEM_RECORD},
    {STR_INIT("tool_search_call"), ITEM_RECORD},
    {STR_INIT("tool_search_output"), ITEM_RECORD},
    {STR_INIT("program"), ITEM_RECORD},
    {STR_INIT("program_output"), ITEM_RECORD},
    {STR_INIT("configuration_update"), ITEM_RECORD},
    {STR_INIT("compaction_trigger"), ITEM_RECORD},
};

static enum item_kind item_kind_of(struct str type)
{
    if (!type.n)
        return ITEM_MESSAGE;
    for (unsigned i = 0; i < ARRAY_LEN(item_kinds); i++)
        if (str_eq(type, item_kinds[i].name))
            return item_kinds[i].kind;
    return ITEM_NATIVE;
}

static int refuse(struct input *in, const struct place *at, struct str type)
{
    return canon_fail(in->c, place_path(in->c, IN(at, "type")),
        "Items of type '" STR_FMT "' can only be read by OpenAI's own models.",
        STR_ARG(str_to(type, 64)));
}

static int read_item(struct input *in, yyjson_val *v, const struct place *at)
{
    struct str type, id;

    if (!yyjson_is_obj(v))
        return place_wrong(in->c, at, "an object");
    int r = place_str(in->c, v, at, "type", &type);
    if (r < 0)
        return r;
    switch (item_kind_of(type)) {
    case ITEM_MESSAGE:
        return read_message(in, v, at);
    case ITEM_CALL:
        return read_call(in, v, at, false);
    case ITEM_CUSTOM_CALL:
        return read_call(in, v, at, true);
    case ITEM_OUTPUT:
        return read_output(in, v, at, false);
    case ITEM_CUSTOM_OUTPUT:
        return read_output(in, v, at, true);
    case ITEM_REASONING:
        return read_reasoning(in, v, at);
    case ITEM_REFERENCE:
        r = place_str(in->c, v, at, "id", &id);
        return r < 0 ? r
                     : canon_fail(in->c, place_path(in->c, IN(at, "id")),
                           "Item with id '" STR_FMT "' not found.", STR_ARG(str_to(id, 128)));
    case ITEM_RECORD:
        return canon_drop(in->c, place_path(in->c, at), "it tells of a tool of OpenAI's own");
    default:
        return refuse(in, at, type);
    }
}

int responses_read_input(struct canon_call *c, struct canon_message **tail, yyjson_val *input)
{
    const struct place input_at = {NULL, "input", 0};
    struct input in = {.c = c, .tail = tail};
    size_t i, n;
    yyjson_val *one;

    if (yyjson_is_str(input)) {
        int r = open_message(&in, ROLE_USER);
        return r < 0 ? r : read_content(c, input, &input_at, &in.parts);
    }
    if (!yyjson_is_arr(input))
        return place_wrong(c, &input_at, "a string or an array");
    yyjson_arr_foreach(input, i, n, one)
    {
        int r = read_item(&in, one, AT(&input_at, i));
        if (r < 0)
            return r;
    }
    return 0;
}
