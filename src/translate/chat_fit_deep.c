/*
 * The look into a body's messages and tools, for what a provider does not take there. Providers
 * with few quirks are spared it as long as none of a few telling names stands in the text.
 */
#include "translate/chat_fit_int.h"

enum field { ROLE, NAME, CONTENT, CALLS, CALL_ID, BLOCKS, DETAILS, REASONING, FIELDS };

static const struct str fields[FIELDS] = {
    [ROLE] = STR_INIT("role"),
    [NAME] = STR_INIT("name"),
    [CONTENT] = STR_INIT("content"),
    [CALLS] = STR_INIT("tool_calls"),
    [CALL_ID] = STR_INIT("tool_call_id"),
    [BLOCKS] = STR_INIT("thinking_blocks"),
    [DETAILS] = STR_INIT("reasoning_details"),
    [REASONING] = STR_INIT("reasoning_content"),
};

/* The message before the one that is looked at. */
struct before {
    struct str role; /* with its quotes; p NULL = there was none */
};

static bool is_there(struct str value)
{
    return value.p && !str_eq(value, STR("null"));
}

/* --- ids of calls --- */

/* literal: with its quotes. */
static bool bad_id(const struct fit *f, struct str literal)
{
    struct str id = literal.n > 2 ? str_at(literal.p + 1, literal.n - 2) : STR_NONE;

    return id.n && !chat_takes_id(f->k, id);
}

static bool bad_calls(const struct fit *f, struct str calls)
{
    struct str key, one;
    size_t at = json_inside(calls);

    while (at && json_next(calls, &at, &key, &one)) {
        if (bad_id(f, json_find(one, STR("id"))))
            return true;
        if (!(f->k->flags & CHAT_CUSTOM_TOOLS) && is_there(json_find(one, STR("custom"))))
            return true;
    }
    return false;
}

/* --- content --- */

/* image_url: {url, …}, or the address itself. */
static bool is_data_url(struct str image)
{
    struct str url = json_type_of(image) == JSON_OBJECT ? json_find(image, STR("url")) : image;

    return str_starts(url, STR("\"data:"));
}

static bool bad_part(const struct fit *f, struct str part)
{
    const struct str names[] = {STR_INIT("type"), STR_INIT("cache_control")};
    struct str v[ARRAY_LEN(names)];

    json_members(part, names, v, ARRAY_LEN(names));
    if (is_there(v[1]) && !(f->k->flags & CHAT_CACHE_MARKS))
        return true;
    if (says(v[0], "thinking"))
        return f->k->history != HISTORY_CHUNKS;
    if (says(v[0], "video_url"))
        return !(f->k->flags & CHAT_VIDEO);
    if (says(v[0], "image_url") && f->k->flags & CHAT_DATA_IMAGES)
        return !is_data_url(json_find(part, STR("image_url")));
    return f->k->flags & CHAT_MISTRAL_MEDIA && (says(v[0], "file") || says(v[0], "input_audio"));
}

static bool bad_content(const struct fit *f, struct str content)
{
    struct str key, one;
    size_t at = json_type_of(content) == JSON_ARRAY ? json_inside(content) : 0;

    if (at && f->k->flags & CHAT_PLAIN_TEXT)
        return true;
    while (at && json_next(content, &at, &key, &one))
        if (bad_part(f, one))
            return true;
    return false;
}

/* --- messages --- */

/* Thinking of earlier turns, in a member that this provider does not have. */
static bool bad_history(const struct fit *f, const struct str v[static FIELDS])
{
    enum chat_history h = f->k->history;

    if (is_there(v[BLOCKS]) || (is_there(v[DETAILS]) && h != HISTORY_DETAILS))
        return true;
    return is_there(v[REASONING]) && h != HISTORY_CONTENT && h != HISTORY_OF_TOOLS &&
           h != HISTORY_DETAILS;
}

static bool bad_role(const struct fit *f, struct str role, const struct before *b)
{
    bool system = says(role, "system") || says(role, "developer");

    if (says(role, "developer") && f->k->flags & CHAT_NO_DEVELOPER)
        return true;
    if (system && chat_model_has(f->facts, MODEL_NO_SYSTEM) > 0)
        return true;
    if (f->k->flags & CHAT_NO_USER_AFTER_TOOL && says(role, "user") && says(b->role, "tool"))
        return true;
    if (!(f->k->flags & CHAT_ALTERNATES) || !b->role.p)
        return false;
    return system ? !says(b->role, "system") : str_eq(role, b->role);
}

static bool bad_message(const struct fit *f, struct str message, struct before *b)
{
    struct str v[FIELDS];

    json_members(message, fields, v, FIELDS);
    bool bad = bad_role(f, v[ROLE], b) || bad_history(f, v) || bad_content(f, v[CONTENT]) ||
               bad_calls(f, v[CALLS]) || bad_id(f, v[CALL_ID]) ||
               (f->k->flags & CHAT_NO_NAMES && is_there(v[NAME]) && !says(v[ROLE], "tool"));
    b->role = v[ROLE];
    return bad;
}

static bool bad_messages(const struct fit *f, struct str list)
{
    struct before b = {STR_NONE};
    struct str key, one;
    size_t at = json_inside(list);

    while (at && json_next(list, &at, &key, &one))
        if (bad_message(f, one, &b))
            return true;
    return false;
}

/* --- tools --- */

static bool bad_tool(const struct fit *f, struct str tool)
{
    const struct str names[] = {
        STR_INIT("type"), STR_INIT("function"), STR_INIT("custom"), STR_INIT("cache_control")};
    struct str v[ARRAY_LEN(names)];

    json_members(tool, names, v, ARRAY_LEN(names));
    if (is_there(v[2]) && !(f->k->flags & CHAT_CUSTOM_TOOLS))
        return true;
    if (is_there(v[3]) && !(f->k->flags & CHAT_CACHE_MARKS))
        return true;
    return f->k->flags & CHAT_NO_STRICT && is_there(json_find(v[1], STR("strict")));
}

static bool bad_tools(const struct fit *f)
{
    struct str key, one;
    size_t at = json_inside(f->tools);

    while (at && json_next(f->tools, &at, &key, &one))
        if (bad_tool(f, one))
            return true;
    return false;
}

/* --- whether to look at all --- */

#define DEEP_QUIRKS                                                                                \
    (CHAT_SHORT_IDS | CHAT_ALTERNATES | CHAT_NO_DEVELOPER | CHAT_NO_NAMES | CHAT_PLAIN_TEXT |      \
        CHAT_NO_USER_AFTER_TOOL | CHAT_MISTRAL_MEDIA | CHAT_DATA_IMAGES)

/* What others than this provider write into messages. Four letters behind the quotes at most: then
 * the search looks at sixteen bytes at once. */
static bool mentions_foreign(struct str messages)
{
    static const struct str names[] = {STR_INIT("\"cache_control\""),
        STR_INIT("\"thinking_blocks\""), STR_INIT("\"reasoning_content\""),
        STR_INIT("\"reasoning_details\""), STR_INIT("\"tool_call_id\""), STR_INIT("\"video_url\""),
        STR_INIT("\"thinking\"")};

    return json_mentions(messages, names, ARRAY_LEN(names));
}

static bool mentions_foreign_tool(struct str tools)
{
    static const struct str names[] = {STR_INIT("\"cache_control\""), STR_INIT("\"custom\"")};

    return json_mentions(tools, names, ARRAY_LEN(names));
}

bool chat_fit_deep(const struct fit *f, const struct chat_call *c)
{
    struct str list = json_span_text(c->body, c->messages);
    bool look = f->k->flags & DEEP_QUIRKS || chat_model_has(f->facts, MODEL_NO_SYSTEM) > 0;

    if ((look || mentions_foreign(list)) && bad_messages(f, list))
        return true;
    look = f->k->flags & CHAT_NO_STRICT || mentions_foreign_tool(f->tools);
    return look && bad_tools(f);
}
