/*
 * Usage and finish reasons in OpenAI's chat dialect and in those of its relatives. Totals include
 * what is told apart in the details, which struct usage does not: it is taken out here when
 * reading, and put back when writing, so that total = prompt + completion always.
 */
#include "translate/chat_int.h"

static uint64_t minus(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

/* The first of two members that is there. */
static uint64_t either(yyjson_val *a, const char *name, yyjson_val *b, const char *other)
{
    return yyjson_obj_get(a, name) ? jr_get_u64(a, name) : jr_get_u64(b, other);
}

/* xAI leaves reasoning out of completion_tokens, though not out of the total. */
static uint64_t completion_of(yyjson_val *o, uint64_t reasoning)
{
    uint64_t prompt = jr_get_u64(o, "prompt_tokens"), n = jr_get_u64(o, "completion_tokens");
    bool apart = reasoning && jr_get_u64(o, "total_tokens") == prompt + n + reasoning;
    return apart ? n + reasoning : n;
}

void chat_read_usage(yyjson_val *o, struct usage *u)
{
    yyjson_val *in = yyjson_obj_get(o, "prompt_tokens_details");
    yyjson_val *out = yyjson_obj_get(o, "completion_tokens_details");
    if (!yyjson_is_obj(o) ||
        !(yyjson_obj_get(o, "prompt_tokens") || yyjson_obj_get(o, "completion_tokens")))
        return;
    uint64_t cached = either(in, "cached_tokens", o, "prompt_cache_hit_tokens");
    if (!cached)
        cached = jr_get_u64(o, "cached_tokens"); /* Moonshot */
    /* LiteLLM and routers tell Anthropic's number under its own name. */
    uint64_t written = either(in, "cache_write_tokens", o, "cache_creation_input_tokens");
    uint64_t audio = jr_get_u64(in, "audio_tokens");
    u->reasoning = either(out, "reasoning_tokens", o, "reasoning_tokens");
    u->audio_out = jr_get_u64(out, "audio_tokens");
    u->cache_read = cached;
    u->cache_write_5m = written;
    u->audio_in = audio;
    u->input = minus(jr_get_u64(o, "prompt_tokens"), cached + written + audio);
    u->output = minus(completion_of(o, u->reasoning), u->audio_out);
    u->source = USAGE_REPORTED;
}

enum service_tier chat_tier(struct str word)
{
    if (str_eq(word, STR("flex")))
        return TIER_FLEX;
    return str_eq(word, STR("priority")) ? TIER_PRIORITY : TIER_DEFAULT;
}

void chat_write_usage(const struct usage *u, struct jw *w)
{
    uint64_t in = usage_input_total(u), out = usage_output_total(u);
    uint64_t written = u->cache_write_5m + u->cache_write_1h;
    jw_open(w, '{');
    jw_member_int(w, "prompt_tokens", (int64_t)in);
    jw_member_int(w, "completion_tokens", (int64_t)out);
    jw_member_int(w, "total_tokens", (int64_t)(in + out));
    jw_key(w, "prompt_tokens_details");
    jw_open(w, '{');
    jw_member_int(w, "cached_tokens", (int64_t)u->cache_read);
    if (written)
        jw_member_int(w, "cache_write_tokens", (int64_t)written);
    jw_member_int(w, "audio_tokens", (int64_t)u->audio_in);
    jw_close(w, '}');
    jw_key(w, "completion_tokens_details");
    jw_open(w, '{');
    jw_member_int(w, "reasoning_tokens", (int64_t)u->reasoning);
    jw_member_int(w, "audio_tokens", (int64_t)u->audio_out);
    jw_close(w, '}');
    jw_close(w, '}');
}

/* --- finish reasons --- */

static const struct {
    struct str word;
    enum canon_finish finish;
} words[] = {
    {STR_INIT("stop"), FINISH_STOP},
    {STR_INIT("length"), FINISH_LENGTH},
    {STR_INIT("tool_calls"), FINISH_TOOL_CALLS},
    {STR_INIT("function_call"), FINISH_TOOL_CALLS},
    {STR_INIT("content_filter"), FINISH_FILTER},
    {STR_INIT("error"), FINISH_ERROR},                        /* OpenRouter, Mistral */
    {STR_INIT("model_length"), FINISH_CONTEXT},               /* Mistral */
    {STR_INIT("insufficient_system_resource"), FINISH_ERROR}, /* DeepSeek */
    {STR_INIT("eos"), FINISH_STOP},                           /* Together */
    {STR_INIT("max_tokens"), FINISH_LENGTH},
};

enum canon_finish chat_read_finish(struct str word, bool calls_tools)
{
    enum canon_finish f = FINISH_UNSET;
    for (unsigned i = 0; i < ARRAY_LEN(words); i++)
        if (str_eq(words[i].word, word))
            f = words[i].finish;
    if (f == FINISH_UNSET)
        f = FINISH_STOP; /* some say nothing, or a word of their own */
    /* OpenAI says "stop" of a call that was forced, others of any. */
    return f == FINISH_STOP && calls_tools ? FINISH_TOOL_CALLS : f;
}

struct str chat_finish_word(enum canon_finish f, bool calls_tools, bool legacy)
{
    if (f == FINISH_UNSET)
        f = calls_tools ? FINISH_TOOL_CALLS : FINISH_STOP;
    switch (f) {
    case FINISH_LENGTH:
    case FINISH_CONTEXT:
        return STR("length");
    case FINISH_TOOL_CALLS:
        return legacy ? STR("function_call") : STR("tool_calls");
    case FINISH_FILTER:
        return STR("content_filter");
    case FINISH_ERROR:
        return STR("error");
    default:
        return STR("stop");
    }
}
