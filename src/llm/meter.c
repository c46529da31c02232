/*
 * Reading usage out of replies. Three parts: the numbers of one usage object in each convention
 * (usage_*), whole and tail-only replies, and the events of streams. The per-event path is hot: a
 * plain delta costs one search for "usage" and one copy of its text.
 */
#include "llm/meter.h"

#include "base/limits.h"
#include "json/scan.h"

#include <errno.h>

#define TAIL_BYTES     (16 * KIB)
#define TEXT_MAX_BYTES (256 * KIB)
#define IDS_MAX_BYTES  512

void meter_init(struct meter *m, enum endpoint_kind kind)
{
    *m = (struct meter){.kind = kind, .keep_text = true};
    buf_init(&m->tail, 2 * TAIL_BYTES);
    buf_init(&m->text, TEXT_MAX_BYTES);
    buf_init(&m->ids, IDS_MAX_BYTES);
}

void meter_free(struct meter *m)
{
    buf_free(&m->tail);
    buf_free(&m->text);
    buf_free(&m->ids);
}

/* --- one usage object --- */

/* More than any call can use; what is larger is no count, and sums of counts do not overflow. */
#define COUNT_MAX ((uint64_t)1 << 50)

/* The number at path into *to; leaves *to as it is when it is absent or not a whole number. */
static bool number_at(struct str object, struct str path, uint64_t *to)
{
    struct str v = json_find(object, path);
    uint64_t n;

    if (!v.p || json_u64(v, &n) < 0 || n > COUNT_MAX)
        return false;
    *to = n;
    return true;
}

/* A number of seconds, perhaps with a fraction, into *ret_ms. */
static bool seconds_at(struct str object, struct str path, uint64_t *ret_ms)
{
    struct str fraction = json_find(object, path), whole = str_split(&fraction, '.');
    uint64_t n, ms = 0;

    if (json_u64(whole, &n) < 0 || n > COUNT_MAX / 1000)
        return false;
    for (unsigned i = 0, place = 100; i < 3 && i < fraction.n; i++, place /= 10) {
        if (fraction.p[i] < '0' || fraction.p[i] > '9')
            return false;
        ms += place * (unsigned)(fraction.p[i] - '0');
    }
    *ret_ms = n * 1000 + ms;
    return true;
}

static uint64_t minus(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static struct str member(struct str object, const char *key)
{
    return json_find(object, str_of(key));
}

/* OpenAI's two conventions: prompt/completion (chat, embeddings) and input/output (Responses,
 * images, transcriptions). Cached and audio tokens are inside the totals and are taken out. */
static void usage_openai(struct usage *u, struct str o)
{
    uint64_t in = 0, out = 0, cached = 0, audio_in = 0, audio_out = 0;
    bool chat = number_at(o, STR("prompt_tokens"), &in);
    bool any = chat || number_at(o, STR("input_tokens"), &in);
    struct str in_d = member(o, chat ? "prompt_tokens_details" : "input_tokens_details");
    struct str out_d = member(o, chat ? "completion_tokens_details" : "output_tokens_details");

    if (!in_d.p) /* transcriptions */
        in_d = member(o, "input_token_details");
    any |= number_at(o, STR("completion_tokens"), &out) || number_at(o, STR("output_tokens"), &out);
    if (json_type_of(in_d) == JSON_OBJECT) {
        number_at(in_d, STR("cached_tokens"), &cached);
        number_at(in_d, STR("audio_tokens"), &audio_in);
    } else {
        number_at(o, STR("prompt_cache_hit_tokens"), &cached); /* DeepSeek */
    }
    if (json_type_of(out_d) == JSON_OBJECT) {
        number_at(out_d, STR("audio_tokens"), &audio_out);
        number_at(out_d, STR("reasoning_tokens"), &u->reasoning);
    }
    any |= seconds_at(o, STR("seconds"), &u->audio_ms); /* transcriptions billed by time */
    if (!any)
        return;
    u->cache_read = cached;
    u->audio_in = audio_in;
    u->audio_out = audio_out;
    u->input = minus(in, cached + audio_in);
    u->output = minus(out, audio_out);
    u->source = USAGE_REPORTED;
}

static void usage_anthropic(struct usage *u, struct str o)
{
    uint64_t written = 0;
    bool any = number_at(o, STR("input_tokens"), &u->input);

    any |= number_at(o, STR("output_tokens"), &u->output);
    number_at(o, STR("cache_read_input_tokens"), &u->cache_read);
    struct str by_ttl = member(o, "cache_creation");
    if (json_type_of(by_ttl) == JSON_OBJECT) {
        number_at(by_ttl, STR("ephemeral_5m_input_tokens"), &u->cache_write_5m);
        number_at(by_ttl, STR("ephemeral_1h_input_tokens"), &u->cache_write_1h);
    } else if (number_at(o, STR("cache_creation_input_tokens"), &written)) {
        u->cache_write_5m = minus(written, u->cache_write_1h);
    }
    if (any)
        u->source = USAGE_REPORTED;
}

static uint64_t gemini_audio(struct str details)
{
    uint64_t n = 0;
    size_t at = 1;
    struct str key, item;

    if (json_type_of(details) != JSON_ARRAY)
        return 0;
    while (json_next(details, &at, &key, &item))
        if (str_eq(json_find(item, STR("modality")), STR("\"AUDIO\"")))
            number_at(item, STR("tokenCount"), &n);
    return n;
}

/* Cached tokens are inside the prompt's, of either modality; thoughts are not inside the
 * candidates'. */
static void usage_gemini(struct usage *u, struct str o)
{
    uint64_t prompt = 0, tool = 0, out = 0, thoughts = 0;

    if (!number_at(o, STR("promptTokenCount"), &prompt))
        return;
    number_at(o, STR("toolUsePromptTokenCount"), &tool);
    number_at(o, STR("candidatesTokenCount"), &out);
    number_at(o, STR("thoughtsTokenCount"), &thoughts);
    number_at(o, STR("cachedContentTokenCount"), &u->cache_read);
    u->audio_in = minus(gemini_audio(member(o, "promptTokensDetails")),
        gemini_audio(member(o, "cacheTokensDetails")));
    u->audio_out = gemini_audio(member(o, "candidatesTokensDetails"));
    u->input = minus(prompt + tool, u->cache_read + u->audio_in);
    u->reasoning = thoughts;
    u->output = minus(out, u->audio_out) + thoughts;
    u->source = USAGE_REPORTED;
}

static void usage_object(struct meter *m, struct str o)
{
    if (json_type_of(o) != JSON_OBJECT)
        return;
    switch (m->kind) {
    case KIND_MESSAGES:
    case KIND_COMPLETE:
        usage_anthropic(&m->usage, o);
        break;
    case KIND_GENERATE:
    case KIND_STREAM_GENERATE:
        usage_gemini(&m->usage, o);
        break;
    default:
        usage_openai(&m->usage, o);
    }
}

static void tier_word(struct meter *m, struct str t)
{
    if (str_eq(t, STR("\"flex\"")))
        m->usage.tier = TIER_FLEX;
    else if (str_eq(t, STR("\"priority\"")))
        m->usage.tier = TIER_PRIORITY;
    else if (str_eq(t, STR("\"batch\"")))
        m->usage.tier = TIER_BATCH;
}

static void tier(struct meter *m, struct str object)
{
    tier_word(m, json_find(object, STR("service_tier")));
}

static bool gemini_kind(const struct meter *m)
{
    return m->kind == KIND_GENERATE || m->kind == KIND_STREAM_GENERATE;
}

static void take_id_text(struct meter *m, struct str literal)
{
    if (literal.n < 3 || literal.p[0] != '"' || buf_reserve(&m->ids, literal.n - 1) < 0)
        return;
    buf_add(&m->ids, literal.p + 1, literal.n - 2);
    buf_addc(&m->ids, 0);
}

bool meter_next_id(const struct meter *m, size_t *at, struct str *ret_id)
{
    if (*at >= m->ids.n)
        return false;
    *ret_id = str_of(m->ids.p + *at);
    *at += ret_id->n + 1;
    return true;
}

static void take_id(struct meter *m, struct str object)
{
    take_id_text(m, json_find(object, STR("id")));
}

/* --- texts, for local counting --- */

static struct str after(struct str s, struct str needle)
{
    const char *at = s.n ? memmem(s.p, s.n, needle.p, needle.n) : NULL;

    return at ? str_from(s, (size_t)(at - s.p) + needle.n) : STR_NONE;
}

/* Behind the first TEXT_MAX_BYTES only the bytes are counted. */
static void keep(struct meter *m, struct str literal)
{
    ptrdiff_t n = -1;

    if (m->text.n + literal.n <= TEXT_MAX_BYTES && buf_reserve(&m->text, literal.n) == 0)
        n = json_unescape(literal, m->text.p + m->text.n);
    if (n > 0)
        m->text.n += (size_t)n;
    m->output_bytes += n >= 0 ? (size_t)n : literal.n - 2;
}

/* Copies the text of every string member with this key. A key with its quotes and colon cannot
 * stand inside a JSON string, so a plain search is exact. */
static void collect(struct meter *m, struct str data, struct str quoted_key)
{
    while ((data = after(data, quoted_key)).p) {
        size_t i = 0;
        while (i < data.n && (data.p[i] == ' ' || data.p[i] == ':'))
            i++;
        if (i >= data.n || data.p[i] != '"')
            continue;
        size_t from = i++;
        while (i < data.n && data.p[i] != '"')
            i += data.p[i] == '\\' ? 2 : 1;
        if (i >= data.n)
            return;
        keep(m, str_at(data.p + from, i + 1 - from));
        data = str_from(data, i);
    }
}

/* --- whole replies --- */

/* What images and rerank count besides tokens. */
static void count_units(struct meter *m, struct str json)
{
    if (m->kind == KIND_IMAGES || m->kind == KIND_IMAGE_EDITS) {
        struct str data = json_find(json, STR("data")), key, item;
        size_t at = 1;
        if (json_type_of(data) == JSON_ARRAY)
            while (json_next(data, &at, &key, &item))
                m->usage.images++;
        if (m->usage.images && m->usage.source == USAGE_UNKNOWN)
            m->usage.source = USAGE_REPORTED;
    } else if (m->kind == KIND_RERANK) {
        if (number_at(json, STR("meta.billed_units.search_units"), &m->usage.queries))
            m->usage.source = USAGE_REPORTED;
    }
}

/* The texts of a whole reply that said nothing of usage, for local counting. */
static void collect_reply(struct meter *m, struct str json)
{
    if (m->kind == KIND_CHAT)
        collect(m, json, STR("\"content\""));
    else
        collect(m, json, STR("\"text\""));
    if (m->kind == KIND_MESSAGES)
        collect(m, json, STR("\"thinking\""));
    if (m->kind == KIND_CHAT || m->kind == KIND_RESPONSES)
        collect(m, json, STR("\"arguments\""));
}

static const struct json_want reply_members[] = {
    {STR_INIT("usage")},
    {STR_INIT("usageMetadata")},
    {STR_INIT("service_tier")},
    {STR_INIT("id")},
};
enum { REPLY_USAGE, REPLY_USAGE_METADATA, REPLY_TIER, REPLY_ID, REPLY_MEMBERS };

/* One vectorised pass finds the members; only the usage object is then walked. */
void meter_reply(struct meter *m, struct str json)
{
    struct json_span at[REPLY_MEMBERS];
    struct json_error e;
    enum json_type top;

    if (json_scan(json, reply_members, at, REPLY_MEMBERS, &top, &e) < 0 || top != JSON_OBJECT)
        return;
    const struct json_span *u = &at[gemini_kind(m) ? REPLY_USAGE_METADATA : REPLY_USAGE];
    if (u->type == JSON_OBJECT) {
        usage_object(m, json_span_text(json, u));
        if (m->kind == KIND_MESSAGES)
            tier(m, json_span_text(json, u));
    }
    if (at[REPLY_TIER].type == JSON_STRING)
        tier_word(m, json_span_text(json, &at[REPLY_TIER]));
    if (at[REPLY_ID].type == JSON_STRING)
        take_id_text(m, json_span_text(json, &at[REPLY_ID]));
    count_units(m, str_trim(json));
    if (m->usage.source == USAGE_UNKNOWN)
        collect_reply(m, json);
    if (m->kind == KIND_BATCHES) {
        take_id_text(m, json_find(str_trim(json), STR("output_file_id")));
        take_id_text(m, json_find(str_trim(json), STR("error_file_id")));
    } else if (m->kind == KIND_UPLOADS) {
        take_id_text(m, json_find(str_trim(json), STR("file.id")));
    }
}

void meter_piece(struct meter *m, struct str bytes)
{
    if (bytes.n > TAIL_BYTES) {
        bytes = str_from(bytes, bytes.n - TAIL_BYTES);
        buf_clear(&m->tail);
    } else if (m->tail.n + bytes.n > 2 * TAIL_BYTES) {
        buf_drop(&m->tail, m->tail.n - TAIL_BYTES);
    }
    buf_addstr(&m->tail, bytes);
}

/* The last balanced object that follows key, in a text whose beginning is missing. */
static struct str last_object(struct str text, struct str key)
{
    for (size_t end = text.n; end >= key.n; end--) {
        struct str at = str_at(text.p + end - key.n, key.n);
        if (!str_eq(at, key))
            continue;
        struct str rest = str_trim(str_from(text, end));
        if (!rest.n || rest.p[0] != ':')
            continue;
        rest = str_trim(str_from(rest, 1));
        int depth = 0;
        bool in_string = false;
        for (size_t i = 0; i < rest.n; i++) {
            char c = rest.p[i];
            if (in_string)
                c == '\\' ? (void)i++ : c == '"' ? (void)(in_string = false) : (void)0;
            else if (c == '"')
                in_string = true;
            else if (c == '{' || c == '[')
                depth++;
            else if ((c == '}' || c == ']') && --depth == 0)
                return str_to(rest, i + 1);
        }
        return STR_NONE;
    }
    return STR_NONE;
}

void meter_pieces_end(struct meter *m)
{
    if (m->usage.source == USAGE_UNKNOWN && m->tail.n)
        usage_object(m, last_object(buf_str(&m->tail),
                            gemini_kind(m) ? STR("\"usageMetadata\"") : STR("\"usage\"")));
    buf_free(&m->tail);
}

/* --- streams --- */

static void collect_text(struct meter *m, struct str data)
{
    if (!m->keep_text)
        return;
    switch (m->kind) {
    case KIND_CHAT:
        collect(m, data, STR("\"content\""));
        collect(m, data, STR("\"arguments\""));
        break;
    case KIND_RESPONSES:
        collect(m, data, STR("\"delta\""));
        break;
    case KIND_MESSAGES:
        if (!after(data, STR("_delta\"")).p)
            break;
        collect(m, data, STR("\"text\""));
        collect(m, data, STR("\"thinking\""));
        collect(m, data, STR("\"partial_json\""));
        break;
    default:
        collect(m, data, STR("\"text\""));
    }
}

static bool starts_error(struct str data)
{
    return str_starts(data, STR("{\"error\":{")) || str_starts(data, STR("{\"error\": {"));
}

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

static enum meter_verdict openai_chunk(struct meter *m, struct str data, size_t *from, size_t *to)
{
    static const struct str usage_key = STR_INIT("\"usage\"");

    if (str_eq(data, STR("[DONE]"))) {
        m->finished = true;
        return METER_END;
    }
    if (starts_error(data)) {
        m->failed = true;
        return METER_ERROR;
    }
    if (!after(data, usage_key).p)
        return METER_PASS;
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
            usage_object(m, json_find(value, STR("usage")));
        } else if (str_eq(key, STR("service_tier"))) {
            tier(m, data);
        }
    }
    if (json_type_of(usage) == JSON_NULL) {
        with_comma(data, from, to);
        return METER_NULL;
    }
    usage_object(m, usage);
    if (json_type_of(usage) != JSON_OBJECT || json_type_of(choices) != JSON_ARRAY)
        return METER_PASS;
    at = 1;
    return json_next(choices, &at, &key, &value) ? METER_PASS : METER_USAGE;
}

static enum meter_verdict responses_event(struct meter *m, struct str event, struct str data)
{
    if (str_eq(event, STR("error")) || str_eq(event, STR("response.failed")))
        m->failed = true;
    if (!m->ids.n && str_eq(event, STR("response.created"))) {
        take_id(m, json_find(data, STR("response")));
        return METER_PASS;
    }
    if (!str_eq(event, STR("response.completed")) && !str_eq(event, STR("response.incomplete")) &&
        !m->failed)
        return METER_PASS;
    struct str r = json_find(data, STR("response"));
    if (r.p) {
        usage_object(m, json_find(r, STR("usage")));
        tier(m, r);
    }
    m->finished = true;
    return m->failed ? METER_ERROR : METER_END;
}

static enum meter_verdict anthropic_event(struct meter *m, struct str event, struct str data)
{
    if (str_eq(event, STR("message_start"))) {
        struct str msg = json_find(data, STR("message"));
        struct str u = msg.p ? json_find(msg, STR("usage")) : STR_NONE;
        usage_object(m, u);
        if (u.p)
            tier(m, u);
        if (msg.p)
            take_id(m, msg);
    } else if (str_eq(event, STR("message_delta"))) {
        usage_object(m, json_find(data, STR("usage")));
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
    if (starts_error(data)) {
        m->failed = true;
        return METER_ERROR;
    }
    if (after(data, STR("\"usageMetadata\"")).p)
        usage_object(m, json_find(data, STR("usageMetadata")));
    if (after(data, STR("\"finishReason\"")).p || after(data, STR("\"blockReason\"")).p)
        m->finished = true;
    return METER_PASS;
}

/* The event's name, or the data's type where a provider leaves the event line out. */
static struct str name_of(struct str event, struct str data)
{
    if (event.n)
        return event;
    struct str t = json_type_of(data) == JSON_OBJECT ? json_find(data, STR("type")) : STR_NONE;
    return t.n > 2 && t.p[0] == '"' ? str_at(t.p + 1, t.n - 2) : STR_NONE;
}

enum meter_verdict meter_event(
    struct meter *m, struct str event, struct str data, size_t *null_from, size_t *null_to)
{
    if (!data.p)
        return METER_PASS;
    m->events++;
    collect_text(m, data);
    switch (m->kind) {
    case KIND_MESSAGES:
        return anthropic_event(m, name_of(event, data), data);
    case KIND_RESPONSES:
        return responses_event(m, name_of(event, data), data);
    case KIND_GENERATE:
    case KIND_STREAM_GENERATE:
        return gemini_event(m, data);
    case KIND_CHAT:
    case KIND_COMPLETIONS:
        return openai_chunk(m, data, null_from, null_to);
    default:
        if (after(data, STR("\"usage\"")).p && json_type_of(data) == JSON_OBJECT)
            usage_object(m, json_find(data, STR("usage")));
        return METER_PASS;
    }
}
