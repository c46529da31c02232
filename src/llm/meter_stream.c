/*
 * The events of streams. The path of a plain delta is hot: one pass over its bytes finds the text
 * to keep and tells whether there is anything else to read; only then is its JSON walked.
 */
#include "llm/meter_int.h"

#include "base/macros.h"
#include "json/scan.h"

static bool has(struct str s, struct str needle)
{
    return str_find(s, needle) >= 0;
}

static bool starts_error(struct str data)
{
    return str_starts(data, STR("{\"error\":{")) || str_starts(data, STR("{\"error\": {"));
}

/* --- OpenAI chat and completions --- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The member's span with one neighbouring comma. */
static void with_comma(struct str data, size_t *from, size_t *to)
{
    size_t f = *from, t = *to;

    while (f > 0 && is_blank(data.p[f - 1]))
        f--;
    if (f > 0 && data.p[f - 1] == ',') {
        *from = f - 1;
        return;
    }
    while (t < data.n && is_blank(data.p[t]))
        t++;
    if (t < data.n && data.p[t] == ',')
        *to = t + 1;
}

/* Whether data, an object's text, ends in "usage":null as a member of its own, at the place where
 * that key stands. Behind a comma the quote can only open a name, and what stands before the last
 * brace is a member of the top object. */
static bool ends_in_null(struct str data, size_t key_at)
{
    static const struct str end = STR_INIT(",\"usage\":null}");

    return data.p[0] == '{' && key_at + end.n - 1 == data.n && str_ends(data, end);
}

/* Reads the members of a chunk that names usage somewhere. */
static enum meter_verdict usage_chunk(struct meter *m, struct str data, size_t *from, size_t *to)
{
    size_t at = 1;
    struct str key, value, choices = STR_NONE, usage = STR_NONE;

    if (json_type_of(data) != JSON_OBJECT)
        return METER_PASS;
    while (json_next(data, &at, &key, &value)) {
        if (str_eq(key, STR("usage"))) {
            usage = value;
            *from = (size_t)(key.p - 1 - data.p);
            *to = (size_t)(value.p + value.n - data.p);
        } else if (str_eq(key, STR("choices"))) {
            choices = value;
        } else if (str_eq(key, STR("x_groq")) && usage.p == NULL) {
            meter_usage_object(m, json_find(value, STR("usage")));
        } else if (str_eq(key, STR("service_tier"))) {
            meter_tier_word(m, value);
        }
    }
    if (json_type_of(usage) == JSON_NULL) {
        m->null_seen = true;
        with_comma(data, from, to);
        return METER_NULL;
    }
    meter_usage_object(m, usage);
    if (json_type_of(usage) != JSON_OBJECT || json_type_of(choices) != JSON_ARRAY)
        return METER_PASS;
    at = 1;
    return json_next(choices, &at, &key, &value) ? METER_PASS : METER_USAGE;
}

static enum meter_verdict openai_chunk(struct meter *m, struct str data, size_t *from, size_t *to)
{
    enum { USAGE, MEMBERS = 3 };
    static const struct meter_key chat[MEMBERS] = {METER_KEY("usage", false, 'u', 's'),
        METER_KEY("content", true, 'c', 'o'), METER_KEY("arguments", true, 'a', 'r')};
    static const struct meter_key completion[] = {
        METER_KEY("usage", false, 'u', 's'), METER_KEY("text", true, 't', 'e')};

    if (str_eq(data, STR("[DONE]"))) {
        m->finished = true;
        return METER_END;
    }
    if (starts_error(data)) {
        m->failed = true;
        return METER_ERROR;
    }
    struct meter_found f = m->kind == KIND_CHAT
                               ? meter_look(m, data, chat, MEMBERS)
                               : meter_look(m, data, completion, ARRAY_LEN(completion));
    if (!(f.seen & 1u << USAGE))
        return METER_PASS;
    /* The first such chunk is read whole, for its tier; the many that follow are like it. */
    if (!m->null_seen || f.repeats & 1u << USAGE || !ends_in_null(data, f.last[USAGE]))
        return usage_chunk(m, data, from, to);
    *from = f.last[USAGE] - 1;
    *to = data.n - 1;
    return METER_NULL;
}

/* --- the other dialects --- */

static enum meter_verdict responses_event(struct meter *m, struct str event, struct str data)
{
    if (str_eq(event, STR("error")) || str_eq(event, STR("response.failed")))
        m->failed = true;
    if (!m->ids.n && str_eq(event, STR("response.created"))) {
        meter_take_id(m, json_find(data, STR("response.id")));
        meter_take_model(m, json_find(data, STR("response.model")));
        return METER_PASS;
    }
    if (!str_eq(event, STR("response.completed")) && !str_eq(event, STR("response.incomplete")) &&
        !m->failed)
        return METER_PASS;
    struct str r = json_find(data, STR("response"));
    if (r.p) {
        meter_usage_object(m, json_find(r, STR("usage")));
        meter_tier(m, r);
    }
    m->finished = true;
    return m->failed ? METER_ERROR : METER_END;
}

static enum meter_verdict anthropic_event(struct meter *m, struct str event, struct str data)
{
    if (str_eq(event, STR("message_start"))) {
        struct str msg = json_find(data, STR("message"));
        struct str u = msg.p ? json_find(msg, STR("usage")) : STR_NONE;
        meter_take_model(m, msg.p ? json_find(msg, STR("model")) : STR_NONE);
        meter_usage_object(m, u);
        if (u.p)
            meter_tier(m, u);
    } else if (str_eq(event, STR("message_delta"))) {
        meter_usage_object(m, json_find(data, STR("usage")));
    } else if (str_eq(event, STR("message_stop"))) {
        m->finished = true;
        return METER_END;
    } else if (str_eq(event, STR("error"))) {
        m->failed = true;
        return METER_ERROR;
    }
    return METER_PASS;
}

static enum meter_verdict gemini_event(struct meter *m, struct str data)
{
    enum { USAGE, FINISH, BLOCK, TEXT, MEMBERS };
    static const struct meter_key keys[MEMBERS] = {
        [USAGE] = METER_KEY("usageMetadata", false, 'u', 's'),
        [FINISH] = METER_KEY("finishReason", false, 'f', 'i'),
        [BLOCK] = METER_KEY("blockReason", false, 'b', 'l'),
        [TEXT] = METER_KEY("text", true, 't', 'e'),
    };

    if (starts_error(data)) {
        m->failed = true;
        return METER_ERROR;
    }
    struct meter_found f = meter_look(m, data, keys, MEMBERS);
    if (f.seen & 1u << USAGE)
        meter_usage_object(m, json_find(data, STR("usageMetadata")));
    if (f.seen & (1u << FINISH | 1u << BLOCK))
        m->finished = true;
    return METER_PASS;
}

/* Streams of other kinds (transcriptions, images). */
static enum meter_verdict other_event(struct meter *m, struct str data)
{
    static const struct meter_key keys[] = {
        METER_KEY("usage", false, 'u', 's'), METER_KEY("text", true, 't', 'e')};

    if (meter_look(m, data, keys, ARRAY_LEN(keys)).seen & 1 && json_type_of(data) == JSON_OBJECT)
        meter_usage_object(m, json_find(data, STR("usage")));
    return METER_PASS;
}

static void collect_anthropic(struct meter *m, struct str data)
{
    static const struct meter_key keys[] = {METER_KEY("text", true, 't', 'e'),
        METER_KEY("thinking", true, 't', 'h'), METER_KEY("partial_json", true, 'p', 'a')};

    if (m->usage.source == USAGE_UNKNOWN && has(data, STR("_delta\"")))
        meter_look(m, data, keys, ARRAY_LEN(keys));
}

static void collect_responses(struct meter *m, struct str data)
{
    static const struct meter_key keys[] = {METER_KEY("delta", true, 'd', 'e')};

    if (m->usage.source == USAGE_UNKNOWN)
        meter_look(m, data, keys, ARRAY_LEN(keys));
}

/* The event's name, or the data's type where a provider leaves the event line out. */
static struct str name_of(struct str event, struct str data)
{
    if (event.n)
        return event;
    struct str t = json_type_of(data) == JSON_OBJECT ? json_find(data, STR("type")) : STR_NONE;
    return t.n > 2 && t.p[0] == '"' ? str_at(t.p + 1, t.n - 2) : STR_NONE;
}

enum meter_verdict meter_anthropic_event(struct meter *m, struct str data)
{
    collect_anthropic(m, data);
    return anthropic_event(m, name_of(STR_NONE, data), data);
}

static enum meter_verdict one_event(
    struct meter *m, struct str event, struct str data, size_t *null_from, size_t *null_to)
{
    switch (m->kind) {
    case KIND_MESSAGES:
        collect_anthropic(m, data);
        return anthropic_event(m, name_of(event, data), data);
    case KIND_RESPONSES:
        collect_responses(m, data);
        return responses_event(m, name_of(event, data), data);
    case KIND_GENERATE:
    case KIND_STREAM_GENERATE:
        return gemini_event(m, data);
    case KIND_CONVERSE_STREAM:
    case KIND_INVOKE_STREAM:
        return meter_bedrock_event(m, event, data);
    case KIND_CHAT:
    case KIND_COMPLETIONS:
        return openai_chunk(m, data, null_from, null_to);
    default:
        return other_event(m, data);
    }
}

/* Where each event names the model, the first one is read for it. */
static void first_event(struct meter *m, struct str data)
{
    if (m->kind == KIND_CHAT || m->kind == KIND_COMPLETIONS)
        meter_take_model(m, json_find(data, STR("model")));
    else if (meter_is_gemini(m))
        meter_take_model(m, json_find(data, STR("modelVersion")));
}

enum meter_verdict meter_event(
    struct meter *m, struct str event, struct str data, size_t *null_from, size_t *null_to)
{
    if (!data.p)
        return METER_PASS;
    if (m->events++ == 0 && json_type_of(data) == JSON_OBJECT)
        first_event(m, data);
    enum meter_verdict v = one_event(m, event, data, null_from, null_to);
    if (m->usage.source != USAGE_UNKNOWN && m->text.cap) /* nothing will be counted */
        buf_free(&m->text);
    return v;
}
