/*
 * The readers of the four shapes of a conversation. A user turn is not known to be the last until
 * all have been seen, so each reader remembers where the last ones stand, counts all words on the
 * way, and decodes the last at the end.
 */
#include "demo/demo_int.h"

struct member {
    struct str role, type, content;
};

/* The three members that decide, found in one walk over the message. */
static struct member member_read(struct str item)
{
    struct member m = {0};
    struct str key, value;
    if (json_type_of(item) != JSON_OBJECT)
        return m;
    for (size_t at = json_inside(item); next_child(item, &at, &key, &value);) {
        if (str_eq(key, STR("role")))
            m.role = unquoted(value);
        else if (str_eq(key, STR("type")))
            m.type = unquoted(value);
        else if (str_eq(key, STR("content")))
            m.content = value;
    }
    return m;
}

static void part_read(struct prompt *p, struct str part, bool last_user)
{
    struct str type = unquoted(json_find(part, STR("type")));
    if (str_ends(type, STR("text")) || str_eq(type, STR("refusal")))
        prompt_text(p, json_find(part, STR("text")), last_user);
    if (!last_user)
        return;
    if (str_starts(type, STR("image")) || str_eq(type, STR("input_image")))
        p->images++;
    else if (str_ends(type, STR("audio")))
        p->audios++;
    else if (str_ends(type, STR("file")) || str_eq(type, STR("document")))
        p->files++;
}

/* A string, or an array of parts. */
static void content_read(struct prompt *p, struct str content, bool last_user)
{
    struct str key, part;
    if (json_type_of(content) == JSON_STRING) {
        prompt_text(p, content, last_user);
        return;
    }
    if (json_type_of(content) != JSON_ARRAY)
        return;
    for (size_t at = json_inside(content); next_child(content, &at, &key, &part);)
        part_read(p, part, last_user);
}

static void keep_result(struct prompt *p, struct str content)
{
    struct str key, part;
    if (p->tool_result.n)
        buf_addstr(&p->tool_result, STR("; "));
    if (json_type_of(content) == JSON_STRING) {
        add_decoded(&p->tool_result, content);
    } else if (json_type_of(content) == JSON_ARRAY) {
        for (size_t at = json_inside(content); next_child(content, &at, &key, &part);)
            add_decoded(&p->tool_result, json_find(part, STR("text")));
    } else {
        buf_addstr(&p->tool_result, content);
    }
    p->after_tool = true;
}

/* A turn that follows: the results were not the last word. */
static void forget_results(struct prompt *p)
{
    p->after_tool = false;
    buf_clear(&p->tool_result);
}

static void words_of(struct prompt *p, struct str content)
{
    content_read(p, content, false);
}

/* Decodes the last user turn; its words were counted before. */
static void keep_user(struct prompt *p, struct str content)
{
    uint64_t words = p->words;
    content_read(p, content, true);
    p->words = words;
}

/* --- OpenAI chat --- */

void prompt_openai_chat(struct demo_call *c)
{
    struct prompt *p = &c->prompt;
    struct str list = field(c, F_MESSAGES), key, item, user = STR_NONE;

    for (size_t at = json_inside(list); next_child(list, &at, &key, &item);) {
        struct member m = member_read(item);
        words_of(p, m.content);
        bool tool = str_eq(m.role, STR("tool")) || str_eq(m.role, STR("function"));
        if (str_eq(m.role, STR("user")))
            user = m.content;
        if (tool)
            keep_result(p, m.content);
        else
            forget_results(p);
    }
    keep_user(p, user);
}

/* --- OpenAI Responses --- */

void prompt_openai_responses(struct demo_call *c)
{
    struct prompt *p = &c->prompt;
    struct str input = field(c, F_INPUT), key, item, user = STR_NONE;

    prompt_text(p, field(c, F_INSTRUCTIONS), false);
    if (json_type_of(input) == JSON_STRING) {
        prompt_text(p, input, true);
        return;
    }
    if (json_type_of(input) != JSON_ARRAY)
        return;
    for (size_t at = json_inside(input); next_child(input, &at, &key, &item);) {
        struct member m = member_read(item);
        words_of(p, m.content);
        if (str_eq(m.role, STR("user")))
            user = m.content;
        if (str_ends(m.type, STR("_call_output"))) {
            struct str output = json_find(item, STR("output"));
            p->words += count_words(unquoted(output));
            keep_result(p, output);
        } else {
            forget_results(p);
        }
    }
    keep_user(p, user);
}

/* --- Anthropic --- */

static bool keep_results(struct prompt *p, struct str content)
{
    struct str key, part;
    bool any = false;
    if (json_type_of(content) != JSON_ARRAY)
        return false;
    for (size_t at = json_inside(content); next_child(content, &at, &key, &part);) {
        struct member m = member_read(part);
        if (!str_eq(m.type, STR("tool_result")))
            continue;
        words_of(p, m.content);
        keep_result(p, m.content);
        any = true;
    }
    return any;
}

void prompt_anthropic(struct demo_call *c)
{
    struct prompt *p = &c->prompt;
    struct str list = field(c, F_MESSAGES), key, item, user = STR_NONE;

    words_of(p, field(c, F_SYSTEM));
    for (size_t at = json_inside(list); next_child(list, &at, &key, &item);) {
        struct member m = member_read(item);
        words_of(p, m.content);
        forget_results(p);
        if (str_eq(m.role, STR("user")) && !keep_results(p, m.content))
            user = m.content;
    }
    keep_user(p, user);
}

/* --- Gemini --- */

static void gemini_part(struct prompt *p, struct str part, bool last_user)
{
    struct str text = json_find(part, STR("text"));
    if (text.p)
        prompt_text(p, text, last_user);
    struct str result = first_of(part, STR("functionResponse"), STR("function_response"));
    if (last_user && result.p)
        keep_result(p, json_find(result, STR("response")));
    struct str blob = first_of(part, STR("inlineData"), STR("inline_data"));
    blob = blob.p ? blob : first_of(part, STR("fileData"), STR("file_data"));
    struct str type = unquoted(first_of(blob, STR("mimeType"), STR("mime_type")));
    if (!last_user || !blob.p)
        return;
    p->images += str_starts(type, STR("image/"));
    p->audios += str_starts(type, STR("audio/"));
}

static void gemini_parts(struct prompt *p, struct str content, bool last_user)
{
    struct str parts = json_find(content, STR("parts")), key, part;
    if (json_type_of(parts) != JSON_ARRAY)
        parts = json_type_of(content) == JSON_ARRAY ? content : STR_NONE;
    if (!parts.p)
        return;
    for (size_t at = json_inside(parts); next_child(parts, &at, &key, &part);)
        gemini_part(p, part, last_user);
}

static void gemini_config(struct demo_call *c)
{
    struct prompt *p = &c->prompt;
    struct str config = field(c, F_GENERATION_CONFIG);
    struct str mime = json_find(config, STR("responseMimeType"));

    p->max_tokens = value_u64(json_find(config, STR("maxOutputTokens")), 0);
    p->stop = json_find(config, STR("stopSequences"));
    p->wants_json = literal_is(mime, STR("application/json"));
    p->schema = json_find(config, STR("responseSchema"));
    if (!p->schema.p)
        p->schema = json_find(config, STR("responseJsonSchema"));
    struct str thinking = first_of(config, STR("thinkingConfig"), STR("thinking_config"));
    p->thinking = json_type_of(first_of(
                      thinking, STR("includeThoughts"), STR("include_thoughts"))) == JSON_TRUE;

    struct str calling = json_find(field(c, F_TOOL_CONFIG), STR("functionCallingConfig"));
    struct str mode = json_find(calling, STR("mode"));
    if (literal_is(mode, STR("ANY")))
        p->choice = TOOLS_ANY;
    if (literal_is(mode, STR("NONE")))
        p->choice = TOOLS_NONE;
    struct str names = json_find(calling, STR("allowedFunctionNames")), key, name;
    size_t at = json_inside(names);
    if (p->choice == TOOLS_ANY && at && next_child(names, &at, &key, &name)) {
        p->choice = TOOLS_NAMED;
        p->choice_name = unquoted(name);
    }
}

void prompt_gemini(struct demo_call *c)
{
    struct prompt *p = &c->prompt;
    struct str list = field(c, F_CONTENTS), key, item, user = STR_NONE, last = STR_NONE;

    gemini_config(c);
    gemini_parts(p, field(c, F_SYSTEM_INSTRUCTION), false);
    if (json_type_of(list) == JSON_ARRAY)
        for (size_t at = json_inside(list); next_child(list, &at, &key, &item);) {
            struct str role = unquoted(json_find(item, STR("role")));
            gemini_parts(p, item, false);
            last = item;
            if (!str_eq(role, STR("model")) && !str_eq(role, STR("function")))
                user = item;
        }
    uint64_t words = p->words;
    if (user.p)
        gemini_parts(p, user, true);
    if (last.p && last.p != user.p) { /* a tool's turn has the role "function" in old clients */
        p->after_tool = false;
        if (literal_is(json_find(last, STR("role")), STR("function")))
            gemini_parts(p, last, true);
    }
    p->words = words;
}

uint64_t prompt_gemini_words(struct str request)
{
    struct prompt p = {0};
    struct str one = json_find(request, STR("content")), key, item;
    struct str list = json_find(request, STR("contents"));
    if (one.p)
        gemini_parts(&p, one, false);
    if (json_type_of(list) == JSON_ARRAY)
        for (size_t at = json_inside(list); next_child(list, &at, &key, &item);)
            gemini_parts(&p, item, false);
    return p.words;
}
