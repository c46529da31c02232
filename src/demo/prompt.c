/*
 * What a request says, in facts that all dialects share: the last user turn, tool results, the
 * tools on offer, how much text there is. Dialect readers walk their own shape and report here.
 */
#include "demo/demo_int.h"

void prompt_free(struct prompt *p)
{
    buf_free(&p->user);
    buf_free(&p->tool_result);
}

/* One text of the prompt: it counts, and the last user turn is kept. */
void prompt_text(struct prompt *p, struct str literal, bool last_user)
{
    p->words += count_words(unquoted(literal));
    if (!last_user)
        return;
    if (p->user.n)
        buf_addc(&p->user, '\n');
    add_decoded(&p->user, literal);
}

/* --- tools --- */

struct str first_of(struct str object, struct str a, struct str b)
{
    struct str v = json_find(object, a);
    return v.p ? v : json_find(object, b);
}

/* OpenAI chat nests in "function" or "custom"; the others have name and schema at the top. */
bool tool_read(struct str item, struct demo_tool *out)
{
    struct str custom = json_find(item, STR("custom")), inner = json_find(item, STR("function"));
    out->custom = custom.p != NULL || literal_is(json_find(item, STR("type")), STR("custom"));
    if (json_type_of(inner) != JSON_OBJECT)
        inner = custom.p && json_type_of(custom) == JSON_OBJECT ? custom : item;
    out->name = unquoted(json_find(inner, STR("name")));
    out->schema = first_of(inner, STR("parameters"), STR("input_schema"));
    if (!out->schema.p)
        out->schema = first_of(inner, STR("parametersJsonSchema"), STR("parameters_json_schema"));
    return out->name.n > 0;
}

/* Server-side tools ("web_search", "googleSearch") have no name to call and are passed over. */
static bool is_callable(struct str item)
{
    struct str type = json_find(item, STR("type"));
    return !type.p || literal_is(type, STR("function")) || literal_is(type, STR("custom"));
}

static unsigned declarations_read(struct str list, struct demo_tool *out, unsigned max)
{
    struct str key, item;
    unsigned n = 0;
    for (size_t at = json_inside(list); n < max && json_next(list, &at, &key, &item);)
        n += tool_read(item, &out[n]);
    return n;
}

unsigned tools_read(struct str array, struct demo_tool *out, unsigned max)
{
    struct str key, item;
    unsigned n = 0;
    if (json_type_of(array) != JSON_ARRAY)
        return 0;
    for (size_t at = json_inside(array); n < max && json_next(array, &at, &key, &item);) {
        struct str list = first_of(item, STR("functionDeclarations"), STR("function_declarations"));
        if (list.p)
            n += declarations_read(list, out + n, max - n);
        else if (is_callable(item))
            n += tool_read(item, &out[n]);
    }
    return n;
}

/* --- tool_choice: a word, or an object that names one --- */

static void choice_read(struct prompt *p, struct str v)
{
    struct str word = unquoted(v);
    if (json_type_of(v) == JSON_OBJECT) {
        word = unquoted(json_find(v, STR("type")));
        p->choice_name = unquoted(json_find(v, STR("name")));
        if (!p->choice_name.n)
            p->choice_name = unquoted(json_find(v, STR("function.name")));
    }
    if (p->choice_name.n)
        p->choice = TOOLS_NAMED;
    else if (str_eq(word, STR("none")))
        p->choice = TOOLS_NONE;
    else if (str_eq(word, STR("required")) || str_eq(word, STR("any")))
        p->choice = TOOLS_ANY;
}

/* {"type":"json_schema","json_schema":{"schema":...}}, or "schema" beside type (Responses). */
static void format_read(struct prompt *p, struct str format)
{
    struct str type = json_find(format, STR("type"));
    if (literal_is(type, STR("json_object")))
        p->wants_json = true;
    if (!literal_is(type, STR("json_schema")))
        return;
    p->wants_json = true;
    p->schema = first_of(format, STR("json_schema.schema"), STR("schema"));
}

static void plain_text(struct demo_call *c, enum demo_field f)
{
    struct str v = field(c, f), key, item;
    if (json_type_of(v) == JSON_STRING)
        prompt_text(&c->prompt, v, true);
    if (json_type_of(v) != JSON_ARRAY)
        return;
    for (size_t at = json_inside(v); json_next(v, &at, &key, &item);) {
        if (json_type_of(item) == JSON_STRING)
            prompt_text(&c->prompt, item, true);
        else
            c->prompt.words++; /* token numbers */
    }
}

/* Anthropic's "output_config.format", and "output_format" of its beta. */
static void anthropic_format(struct demo_call *c)
{
    struct str config = STR("\"output_config\""), beta = STR("\"output_format\"");
    if (str_find(c->body, config) >= 0)
        format_read(&c->prompt, json_find(c->body, STR("output_config.format")));
    else if (str_find(c->body, beta) >= 0)
        format_read(&c->prompt, json_find(c->body, STR("output_format")));
}

static uint64_t max_tokens(const struct demo_call *c)
{
    uint64_t n = field_u64(c, F_MAX_COMPLETION_TOKENS, 0);
    n = n ? n : field_u64(c, F_MAX_OUTPUT_TOKENS, 0);
    return n ? n : field_u64(c, F_MAX_TOKENS, 0);
}

static void common(struct demo_call *c)
{
    struct prompt *p = &c->prompt;
    p->tools = field(c, F_TOOLS);
    choice_read(p, field(c, F_TOOL_CHOICE));
    if (c->fields[F_RESPONSE_FORMAT].type == JSON_OBJECT)
        format_read(p, field(c, F_RESPONSE_FORMAT));
    if (c->dialect == DIALECT_ANTHROPIC)
        anthropic_format(c);
    p->max_tokens = max_tokens(c);
    p->stop = field(c, F_STOP).p ? field(c, F_STOP) : field(c, F_STOP_SEQUENCES);
    p->thinking = literal_is(json_find(field(c, F_THINKING), STR("type")), STR("enabled")) ||
                  literal_is(json_find(field(c, F_THINKING), STR("type")), STR("adaptive"));
}

static void form_directions(struct demo_call *c)
{
    struct str text = form_value(c->form, STR("prompt"));
    c->prompt.words = count_words(text);
    directions_read(&c->dir, form_value(c->form, STR("user")));
    directions_read(&c->dir, text);
}

void prompt_read(struct demo_call *c)
{
    struct prompt *p = &c->prompt;
    buf_init(&p->user, LIMIT_BODY_BYTES);
    buf_init(&p->tool_result, LIMIT_BODY_BYTES);
    if (c->form)
        form_directions(c);
    if (!c->is_json)
        return;
    common(c);
    if (c->dialect == DIALECT_GEMINI)
        prompt_gemini(c);
    else if (c->dialect == DIALECT_ANTHROPIC && c->fields[F_MESSAGES].type == JSON_ARRAY)
        prompt_anthropic(c);
    else if (c->fields[F_MESSAGES].type == JSON_ARRAY)
        prompt_openai_chat(c);
    else if (c->match.endpoint->kind == KIND_RESPONSES ||
             c->match.endpoint->kind == KIND_RESPONSES_WS ||
             c->match.endpoint->kind == KIND_RESPONSES_AUX)
        prompt_openai_responses(c);
    else if (c->fields[F_PROMPT].type != JSON_NONE)
        plain_text(c, F_PROMPT);
    else
        plain_text(c, F_INPUT);
    if (c->fields[F_TEXT].type == JSON_OBJECT) {
        struct str format = json_find(field(c, F_TEXT), STR("format"));
        format_read(p, format);
    }
    directions_read(&c->dir, unquoted(field(c, F_USER)));
    directions_read(&c->dir, unquoted(field(c, F_USER_ID)));
    directions_read(&c->dir, buf_str(&p->user));
}
