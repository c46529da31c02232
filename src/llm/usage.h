/*
 * struct usage: what one call consumed, in the units that are priced. Filled from the provider's
 * reply (llm/meter.h), or counted locally where it reports none.
 *
 * Every field counts disjoint units, so that nothing is charged twice:
 *   input        plain input tokens; cached reads and cache writes and audio are NOT in it
 *   cache_read   input tokens served from the provider's prompt cache
 *   cache_write  input tokens written to it, by time to live
 *   output       plain output tokens; audio is NOT in it, reasoning IS (providers bill it as
 * output) reasoning    how many of output were reasoning; informative unless a model prices them
 * apart The provider's own convention (OpenAI's prompt_tokens includes cached ones, Anthropic's
 * input_tokens does not) is undone where the reply is read.
 */
#ifndef SF_LLM_USAGE_H
#define SF_LLM_USAGE_H

#include <stdbool.h>
#include <stdint.h>

enum usage_source { USAGE_UNKNOWN = 0, USAGE_REPORTED, USAGE_COUNTED };

enum service_tier { TIER_DEFAULT = 0, TIER_BATCH, TIER_FLEX, TIER_PRIORITY };

struct usage {
    uint64_t input, output;
    uint64_t cache_read, cache_write_5m, cache_write_1h;
    uint64_t reasoning;
    uint64_t audio_in, audio_out; /* tokens */
    uint64_t images;              /* pictures made */
    uint64_t audio_ms;            /* transcribed or spoken */
    uint64_t characters;          /* text to speech */
    uint64_t queries;             /* rerank searches */
    enum usage_source source;
    enum service_tier tier;
};

/* All input tokens, as limits and logs count them. */
static inline uint64_t usage_input_total(const struct usage *u)
{
    return u->input + u->cache_read + u->cache_write_5m + u->cache_write_1h + u->audio_in;
}

static inline uint64_t usage_output_total(const struct usage *u)
{
    return u->output + u->audio_out;
}

#endif
