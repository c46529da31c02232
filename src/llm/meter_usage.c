/*
 * The numbers of one usage object, in each provider's convention. Later reports overrule earlier
 * ones field by field: a field that an object does not have stays as it was. An object is walked
 * once, whatever it holds.
 */
#include "llm/meter_int.h"

#include "base/macros.h"
#include "json/scan.h"

/* The number v into *to; leaves *to as it is when there is none or it is not a whole number. */
static bool take_number(struct str v, uint64_t *to)
{
    uint64_t n;

    if (!v.p || json_u64(v, &n) < 0 || n > METER_COUNT_MAX)
        return false;
    *to = n;
    return true;
}

bool meter_number_at(struct str object, struct str path, uint64_t *to)
{
    return take_number(json_find(object, path), to);
}

/* A number of seconds, perhaps with a fraction, into *ret_ms. */
static bool take_seconds(struct str fraction, uint64_t *ret_ms)
{
    struct str whole = str_split(&fraction, '.');
    uint64_t n, ms = 0;

    if (json_u64(whole, &n) < 0 || n > METER_COUNT_MAX / 1000)
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

/* --- OpenAI --- */

/* Two conventions: prompt and completion (chat, embeddings), input and output (Responses, images,
 * transcriptions); the first is the stronger. */
enum openai_member {
    PROMPT,
    INPUT,
    COMPLETION,
    OUTPUT,
    PROMPT_DETAILS,
    INPUT_DETAILS,
    INPUT_DETAILS_TOO,
    COMPLETION_DETAILS,
    OUTPUT_DETAILS,
    CACHE_HIT,
    SECONDS,
    TOTAL,
    OPENAI_MEMBERS
};

static const struct str openai_names[OPENAI_MEMBERS] = {
    [PROMPT] = STR_INIT("prompt_tokens"),
    [INPUT] = STR_INIT("input_tokens"),
    [COMPLETION] = STR_INIT("completion_tokens"),
    [OUTPUT] = STR_INIT("output_tokens"),
    [PROMPT_DETAILS] = STR_INIT("prompt_tokens_details"),
    [INPUT_DETAILS] = STR_INIT("input_tokens_details"),
    [INPUT_DETAILS_TOO] = STR_INIT("input_token_details"), /* transcriptions */
    [COMPLETION_DETAILS] = STR_INIT("completion_tokens_details"),
    [OUTPUT_DETAILS] = STR_INIT("output_tokens_details"),
    [CACHE_HIT] = STR_INIT("prompt_cache_hit_tokens"), /* DeepSeek */
    [SECONDS] = STR_INIT("seconds"),                   /* transcriptions billed by time */
    [TOTAL] = STR_INIT("total_tokens"),
};

enum detail { CACHED, CACHE_WRITTEN, AUDIO, REASONING, DETAILS };

static const struct str detail_names[DETAILS] = {
    [CACHED] = STR_INIT("cached_tokens"),
    [CACHE_WRITTEN] = STR_INIT("cache_write_tokens"),
    [AUDIO] = STR_INIT("audio_tokens"),
    [REASONING] = STR_INIT("reasoning_tokens"),
};

/* xAI counts reasoning beside the completion, and the total tells. */
static bool reasoned_apart(uint64_t in, uint64_t out, uint64_t reasoning, struct str total)
{
    uint64_t all;

    return reasoning && take_number(total, &all) && all == in + out + reasoning;
}

/* Cached and audio tokens are inside the totals and are taken out. */
static void usage_openai(struct usage *u, struct str o)
{
    uint64_t in = 0, out = 0, cached = 0, written = 0, audio_in = 0, audio_out = 0;
    struct str v[OPENAI_MEMBERS], d[DETAILS];

    json_members(o, openai_names, v, OPENAI_MEMBERS);
    bool chat = take_number(v[PROMPT], &in);
    bool any = chat || take_number(v[INPUT], &in);
    any |= take_number(v[COMPLETION], &out) || take_number(v[OUTPUT], &out);
    any |= take_seconds(v[SECONDS], &u->audio_ms);
    struct str in_d = v[chat ? PROMPT_DETAILS : INPUT_DETAILS];
    struct str out_d = v[chat ? COMPLETION_DETAILS : OUTPUT_DETAILS];
    if (!in_d.p)
        in_d = v[INPUT_DETAILS_TOO];
    if (json_type_of(in_d) == JSON_OBJECT) {
        json_members(in_d, detail_names, d, DETAILS);
        take_number(d[CACHED], &cached);
        take_number(d[CACHE_WRITTEN], &written);
        take_number(d[AUDIO], &audio_in);
    } else {
        take_number(v[CACHE_HIT], &cached);
    }
    if (json_type_of(out_d) == JSON_OBJECT) {
        json_members(out_d, detail_names, d, DETAILS);
        take_number(d[AUDIO], &audio_out);
        take_number(d[REASONING], &u->reasoning);
    }
    if (!any)
        return;
    if (reasoned_apart(in, out, u->reasoning, v[TOTAL]))
        out += u->reasoning;
    u->cache_read = cached;
    u->cache_write_5m = written;
    u->audio_in = audio_in;
    u->audio_out = audio_out;
    u->input = minus(in, cached + written + audio_in);
    u->output = minus(out, audio_out);
    u->source = USAGE_REPORTED;
}

/* --- Anthropic --- */

static void usage_anthropic(struct usage *u, struct str o)
{
    enum { IN, OUT, READ, WRITTEN, BY_TTL, MEMBERS };
    static const struct str names[MEMBERS] = {
        [IN] = STR_INIT("input_tokens"),
        [OUT] = STR_INIT("output_tokens"),
        [READ] = STR_INIT("cache_read_input_tokens"),
        [WRITTEN] = STR_INIT("cache_creation_input_tokens"),
        [BY_TTL] = STR_INIT("cache_creation"),
    };
    struct str v[MEMBERS];
    uint64_t written = 0;

    json_members(o, names, v, MEMBERS);
    bool any = take_number(v[IN], &u->input);
    any |= take_number(v[OUT], &u->output);
    take_number(v[READ], &u->cache_read);
    if (json_type_of(v[BY_TTL]) == JSON_OBJECT) {
        meter_number_at(v[BY_TTL], STR("ephemeral_5m_input_tokens"), &u->cache_write_5m);
        meter_number_at(v[BY_TTL], STR("ephemeral_1h_input_tokens"), &u->cache_write_1h);
    } else if (take_number(v[WRITTEN], &written)) {
        u->cache_write_5m = minus(written, u->cache_write_1h);
    }
    if (any)
        u->source = USAGE_REPORTED;
}

/* --- Gemini --- */

static uint64_t gemini_audio(struct str details)
{
    uint64_t n = 0;
    size_t at = 1;
    struct str key, item;

    if (json_type_of(details) != JSON_ARRAY)
        return 0;
    while (json_next(details, &at, &key, &item))
        if (str_eq(json_find(item, STR("modality")), STR("\"AUDIO\"")))
            meter_number_at(item, STR("tokenCount"), &n);
    return n;
}

/* Cached tokens are inside the prompt's, of either modality; thoughts are not inside the
 * candidates'. */
static void usage_gemini(struct usage *u, struct str o)
{
    enum { PROMPT_N, TOOL, OUT, THOUGHTS, CACHED_N, PROMPT_D, CACHE_D, OUT_D, MEMBERS };
    static const struct str names[MEMBERS] = {
        [PROMPT_N] = STR_INIT("promptTokenCount"),
        [TOOL] = STR_INIT("toolUsePromptTokenCount"),
        [OUT] = STR_INIT("candidatesTokenCount"),
        [THOUGHTS] = STR_INIT("thoughtsTokenCount"),
        [CACHED_N] = STR_INIT("cachedContentTokenCount"),
        [PROMPT_D] = STR_INIT("promptTokensDetails"),
        [CACHE_D] = STR_INIT("cacheTokensDetails"),
        [OUT_D] = STR_INIT("candidatesTokensDetails"),
    };
    uint64_t prompt = 0, tool = 0, out = 0, thoughts = 0;
    struct str v[MEMBERS];

    json_members(o, names, v, MEMBERS);
    if (!take_number(v[PROMPT_N], &prompt))
        return;
    take_number(v[TOOL], &tool);
    take_number(v[OUT], &out);
    take_number(v[THOUGHTS], &thoughts);
    take_number(v[CACHED_N], &u->cache_read);
    u->audio_in = minus(gemini_audio(v[PROMPT_D]), gemini_audio(v[CACHE_D]));
    u->audio_out = gemini_audio(v[OUT_D]);
    u->input = minus(prompt + tool, u->cache_read + u->audio_in);
    u->reasoning = thoughts;
    u->output = minus(out, u->audio_out) + thoughts;
    u->source = USAGE_REPORTED;
}

void meter_usage_object(struct meter *m, struct str o)
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
    case KIND_INVOKE: /* by the model: the two have no name in common */
    case KIND_INVOKE_STREAM:
        usage_anthropic(&m->usage, o);
        meter_usage_converse(&m->usage, o);
        break;
    case KIND_CONVERSE:
    case KIND_CONVERSE_STREAM:
        meter_usage_converse(&m->usage, o);
        break;
    default:
        usage_openai(&m->usage, o);
    }
}

void meter_tier_word(struct meter *m, struct str t)
{
    if (str_eq(t, STR("\"flex\"")))
        m->usage.tier = TIER_FLEX;
    else if (str_eq(t, STR("\"priority\"")))
        m->usage.tier = TIER_PRIORITY;
    else if (str_eq(t, STR("\"batch\"")))
        m->usage.tier = TIER_BATCH;
}

void meter_tier(struct meter *m, struct str object)
{
    meter_tier_word(m, json_find(object, STR("service_tier")));
}
