/*
 * The JSON body: one scan finds the members of all dialects, then values are views of their raw
 * text. What is echoed (model, metadata, tools) is copied as it was sent.
 */
#include "demo/demo_int.h"

#include "base/hash.h"
#include <errno.h>

static const struct json_want wants[DEMO_FIELDS] = {
    [F_MODEL] = {STR_INIT("model")},
    [F_MESSAGES] = {STR_INIT("messages")},
    [F_SYSTEM] = {STR_INIT("system")},
    [F_STREAM] = {STR_INIT("stream")},
    [F_INCLUDE_USAGE] = {STR_INIT("stream_options.include_usage")},
    [F_USER] = {STR_INIT("user")},
    [F_USER_ID] = {STR_INIT("metadata.user_id")},
    [F_TOOLS] = {STR_INIT("tools")},
    [F_TOOL_CHOICE] = {STR_INIT("tool_choice")},
    [F_RESPONSE_FORMAT] = {STR_INIT("response_format")},
    [F_MAX_TOKENS] = {STR_INIT("max_tokens")},
    [F_MAX_COMPLETION_TOKENS] = {STR_INIT("max_completion_tokens")},
    [F_N] = {STR_INIT("n")},
    [F_LOGPROBS] = {STR_INIT("logprobs")},
    [F_THINKING] = {STR_INIT("thinking")},
    [F_INPUT] = {STR_INIT("input")},
    [F_INSTRUCTIONS] = {STR_INIT("instructions")},
    [F_PREVIOUS_RESPONSE_ID] = {STR_INIT("previous_response_id")},
    [F_CONVERSATION] = {STR_INIT("conversation")},
    [F_BACKGROUND] = {STR_INIT("background")},
    [F_TEXT] = {STR_INIT("text")},
    [F_MAX_OUTPUT_TOKENS] = {STR_INIT("max_output_tokens")},
    [F_PROMPT] = {STR_INIT("prompt")},
    [F_CONTENTS] = {STR_INIT("contents")},
    [F_SYSTEM_INSTRUCTION] = {STR_INIT("systemInstruction")},
    [F_GENERATION_CONFIG] = {STR_INIT("generationConfig")},
    [F_ENCODING_FORMAT] = {STR_INIT("encoding_format")},
    [F_DIMENSIONS] = {STR_INIT("dimensions")},
    [F_TOOL_CONFIG] = {STR_INIT("toolConfig")},
    [F_STORE] = {STR_INIT("store")},
    [F_STOP] = {STR_INIT("stop")},
    [F_STOP_SEQUENCES] = {STR_INIT("stop_sequences")},
};

_Static_assert(DEMO_FIELDS <= JSON_MAX_WANTS, "one scan finds them all");

uint64_t text_hash(struct str s)
{
    static const uint64_t key[2] = {UINT64_C(0x646d6f2d70726f76), UINT64_C(0x69646572)};
    return hash_keyed(key, s);
}

/* Both ends of a long body and its length: an id needs no more. */
static uint64_t body_hash(struct str body)
{
    if (body.n <= 2048)
        return text_hash(body);
    return text_hash(str_to(body, 1024)) ^ (text_hash(str_from(body, body.n - 1024)) + body.n);
}

int request_parse(struct demo_call *c)
{
    enum json_type top;
    struct json_error err;

    c->hash = body_hash(c->body);
    if (json_scan(c->body, wants, c->fields, DEMO_FIELDS, &top, &err) < 0)
        return -EINVAL;
    c->is_json = top == JSON_OBJECT;
    if (c->fields[F_MODEL].type == JSON_STRING)
        c->model = field(c, F_MODEL);
    return c->is_json ? 0 : -EINVAL;
}

struct str field(const struct demo_call *c, enum demo_field f)
{
    const struct json_span *s = &c->fields[f];
    if (!c->is_json || s->type == JSON_NONE || s->type == JSON_NULL)
        return STR_NONE;
    return json_span_text(c->body, s);
}

bool field_true(const struct demo_call *c, enum demo_field f)
{
    return c->fields[f].type == JSON_TRUE;
}

uint64_t value_u64(struct str value, uint64_t otherwise)
{
    uint64_t v;
    return value.n && json_u64(value, &v) == 0 ? v : otherwise;
}

uint64_t field_u64(const struct demo_call *c, enum demo_field f, uint64_t otherwise)
{
    return value_u64(field(c, f), otherwise);
}

struct str unquoted(struct str literal)
{
    if (literal.n < 2 || literal.p[0] != '"')
        return STR_NONE;
    return str_at(literal.p + 1, literal.n - 2);
}

bool literal_is(struct str literal, struct str text)
{
    return literal.n >= 2 && str_eq(unquoted(literal), text);
}

void add_decoded(struct buf *out, struct str literal)
{
    struct str inner = unquoted(literal);
    if (!inner.n)
        return;
    if (!memchr(inner.p, '\\', inner.n)) {
        buf_addstr(out, inner);
        return;
    }
    if (buf_reserve(out, literal.n) < 0)
        return;
    ptrdiff_t n = json_unescape(literal, out->p + out->n);
    if (n > 0)
        out->n += (size_t)n;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

uint64_t count_words(struct str s)
{
    uint64_t n = 0;
    bool before = true;
    for (size_t i = 0; i < s.n; i++) {
        bool space = is_space(s.p[i]);
        n += before && !space;
        before = space;
    }
    return n;
}

bool has_folded(struct str s, struct str lower)
{
    for (size_t i = 0; i + lower.n <= s.n; i++)
        if ((s.p[i] | 0x20) == lower.p[0] && str_ieq(str_at(s.p + i, lower.n), lower))
            return true;
    return false;
}

/* --- walking a valid text --- */

static size_t behind_string(struct str s, size_t at)
{
    for (size_t i = at + 1; i < s.n;) {
        const char *quote = memchr(s.p + i, '"', s.n - i);
        if (!quote)
            break;
        size_t end = (size_t)(quote - s.p), k = end;
        while (k > at + 1 && s.p[k - 1] == '\\')
            k--;
        if (((end - k) & 1) == 0)
            return end + 1;
        i = end + 1;
    }
    return s.n;
}

static size_t behind_value(struct str s, size_t at)
{
    size_t depth = 0;
    while (at < s.n) {
        char c = s.p[at];
        if (c == '"') {
            at = behind_string(s, at);
        } else if (c == '{' || c == '[') {
            depth++;
            at++;
            continue;
        } else if (c == '}' || c == ']') {
            if (depth == 0)
                return at;
            depth--;
            at++;
        } else if (depth > 0 || (c != ',' && !is_space(c))) {
            at++;
            continue;
        } else {
            return at;
        }
        if (depth == 0)
            return at;
    }
    return at;
}

static size_t behind_space(struct str s, size_t at)
{
    while (at < s.n && (is_space(s.p[at]) || s.p[at] == ',' || s.p[at] == ':'))
        at++;
    return at;
}

bool next_child(struct str container, size_t *at, struct str *ret_key, struct str *ret_value)
{
    struct str c = container;
    size_t i = behind_space(c, *at), end;
    *ret_key = *ret_value = STR_NONE;
    if (i >= c.n || c.p[i] == '}' || c.p[i] == ']')
        return false;
    if (c.p[json_inside(c) - 1] == '{') {
        end = behind_string(c, i);
        *ret_key = str_at(c.p + i + 1, end - i - 2);
        i = behind_space(c, end);
    }
    end = behind_value(c, i);
    *ret_value = str_at(c.p + i, end - i);
    *at = end;
    return end > i;
}
