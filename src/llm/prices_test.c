/*
 * The golden table: what calls of each provider cost, with prices fixed here in LiteLLM's format so
 * that an update of the built-in table cannot move them. Every expected cost was worked out by hand
 * from the vendor's price list.
 */
#include "llm/prices.h"

#include "base/tap.h"
#include <errno.h>
#include <stdlib.h>

static const char price_list[] =
    "{\"gpt-test\":{\"litellm_provider\":\"openai\",\"mode\":\"chat\","
    "\"input_cost_per_token\":2.5e-06,\"output_cost_per_token\":1.5e-05,"
    "\"cache_read_input_token_cost\":2.5e-07,\"input_cost_per_audio_token\":4e-05,"
    "\"output_cost_per_audio_token\":8e-05,"
    "\"input_cost_per_token_above_272k_tokens\":5e-06,"
    "\"output_cost_per_token_above_272k_tokens\":2.25e-05,"
    "\"cache_read_input_token_cost_above_272k_tokens\":5e-07,"
    "\"input_cost_per_token_batches\":1.25e-06,\"output_cost_per_token_batches\":7.5e-06,"
    "\"input_cost_per_token_flex\":1.3e-06,\"output_cost_per_token_flex\":7.6e-06,"
    "\"cache_read_input_token_cost_flex\":1.3e-07,"
    "\"input_cost_per_token_priority\":5e-06,\"output_cost_per_token_priority\":3e-05},"
    "\"claude-test\":{\"litellm_provider\":\"anthropic\",\"mode\":\"chat\","
    "\"input_cost_per_token\":3e-06,\"output_cost_per_token\":1.5e-05,"
    "\"cache_read_input_token_cost\":3e-07,\"cache_creation_input_token_cost\":3.75e-06,"
    "\"cache_creation_input_token_cost_above_1hr\":6e-06,"
    "\"input_cost_per_token_above_200k_tokens\":6e-06,"
    "\"output_cost_per_token_above_200k_tokens\":2.25e-05,"
    "\"cache_read_input_token_cost_above_200k_tokens\":6e-07,"
    "\"cache_creation_input_token_cost_above_200k_tokens\":7.5e-06,"
    "\"cache_creation_input_token_cost_above_1hr_above_200k_tokens\":1.2e-05,"
    "\"input_cost_per_token_batches\":1.5e-06,\"output_cost_per_token_batches\":7.5e-06},"
    "\"gemini/gemini-test\":{\"litellm_provider\":\"gemini\",\"mode\":\"chat\","
    "\"input_cost_per_token\":3e-07,\"output_cost_per_token\":2.5e-06,"
    "\"cache_read_input_token_cost\":3e-08,\"input_cost_per_audio_token\":1e-06},"
    "\"deepseek/deepseek-test\":{\"litellm_provider\":\"deepseek\",\"mode\":\"chat\","
    "\"input_cost_per_token\":2.8e-07,\"input_cost_per_token_cache_hit\":2.8e-08,"
    "\"output_cost_per_token\":4.2e-07},"
    "\"perplexity/sonar-test\":{\"litellm_provider\":\"perplexity\",\"mode\":\"chat\","
    "\"input_cost_per_token\":2e-06,\"output_cost_per_token\":8e-06,"
    "\"output_cost_per_reasoning_token\":3e-06,\"input_cost_per_query\":0.005},"
    "\"whisper-test\":{\"litellm_provider\":\"openai\",\"mode\":\"audio_transcription\","
    "\"input_cost_per_second\":0.0001,\"output_cost_per_second\":0.0001},"
    "\"transcribe-test\":{\"litellm_provider\":\"openai\",\"mode\":\"audio_transcription\","
    "\"input_cost_per_second\":0.0001,\"input_cost_per_token\":2.5e-06,"
    "\"input_cost_per_audio_token\":2.5e-06,\"output_cost_per_token\":1e-05},"
    "\"deepgram/nova-test\":{\"litellm_provider\":\"deepgram\",\"mode\":\"audio_transcription\","
    "\"input_cost_per_second\":7.167e-05,\"output_cost_per_second\":0.0},"
    "\"tts-test\":{\"litellm_provider\":\"openai\",\"mode\":\"audio_speech\","
    "\"input_cost_per_character\":1.5e-05},"
    "\"gpt-image-test\":{\"litellm_provider\":\"openai\",\"mode\":\"image_generation\","
    "\"input_cost_per_token\":5e-06,\"output_cost_per_image_token\":4e-05,"
    "\"output_cost_per_image\":0.042},"
    "\"replicate/flux-test\":{\"litellm_provider\":\"replicate\",\"mode\":\"image_generation\","
    "\"output_cost_per_image\":0.003},"
    "\"rerank-test\":{\"litellm_provider\":\"cohere\",\"mode\":\"rerank\","
    "\"input_cost_per_query\":0.002},"
    "\"embed-test\":{\"litellm_provider\":\"mistral\",\"mode\":\"embedding\","
    "\"input_cost_per_token\":1e-07,\"output_cost_per_token\":0},"
    "\"ollama/free-test\":{\"litellm_provider\":\"ollama\",\"mode\":\"chat\","
    "\"input_cost_per_token\":0.0,\"output_cost_per_token\":0.0},"
    "\"tiny-test\":{\"litellm_provider\":\"groq\",\"mode\":\"chat\","
    "\"input_cost_per_token\":1e-12,\"output_cost_per_token\":5e-10},"
    "\"dear-test\":{\"litellm_provider\":\"groq\",\"mode\":\"chat\","
    "\"input_cost_per_token\":9000000,\"output_cost_per_token\":1}}";

static struct prices_overlay *prices;

static bool load_prices(void)
{
    char err[256];
    return prices_overlay_parse(str_of(price_list), &prices, err, sizeof(err)) == 0;
}

struct golden {
    const char *name, *provider, *model;
    struct usage usage;
    enum service_tier tier;
    int64_t nano; /* or a negative errno */
};

#define REPORTED .source = USAGE_REPORTED

static const struct golden table[] = {
    {"openai: 1000 in, 500 out", "openai", "gpt-test", {.input = 1000, .output = 500, REPORTED},
        TIER_DEFAULT, 10000000},
    /* 10,000 prompt tokens, 9,000 of them cached: the 9,000 cost a tenth, not a tenth more. */
    {"openai: cached tokens are charged once", "openai", "gpt-test",
        {.input = 1000, .cache_read = 9000, .output = 100, REPORTED}, TIER_DEFAULT,
        2500000 + 2250000 + 1500000},
    {"openai: reasoning is part of output", "openai", "gpt-test",
        {.input = 100, .output = 1000, .reasoning = 900, REPORTED}, TIER_DEFAULT,
        250000 + 15000000},
    {"openai: audio both ways", "openai", "gpt-test",
        {.input = 10, .output = 20, .audio_in = 100, .audio_out = 200, REPORTED}, TIER_DEFAULT,
        25000 + 300000 + 4000000 + 16000000},
    {"openai: at the threshold", "openai", "gpt-test", {.input = 272000, .output = 1, REPORTED},
        TIER_DEFAULT, 680000000 + 15000},
    {"openai: above the threshold all tokens cost more", "openai", "gpt-test",
        {.input = 272001, .output = 1, REPORTED}, TIER_DEFAULT, 1360005000 + 22500},
    {"openai: cached tokens count for the threshold", "openai", "gpt-test",
        {.input = 1, .cache_read = 272000, .output = 0, REPORTED}, TIER_DEFAULT, 5000 + 136000000},
    {"openai: batch", "openai", "gpt-test", {.input = 1000, .output = 500, REPORTED}, TIER_BATCH,
        1250000 + 3750000},
    {"openai: a discount tier without its own price pays the default", "openai", "gpt-test",
        {.input = 1000, .cache_read = 1000, .output = 0, REPORTED}, TIER_BATCH, 1250000 + 250000},
    {"openai: flex", "openai", "gpt-test",
        {.input = 1000, .cache_read = 1000, .output = 500, REPORTED}, TIER_FLEX,
        1300000 + 130000 + 3800000},
    {"openai: priority", "openai", "gpt-test", {.input = 1000, .output = 500, REPORTED},
        TIER_PRIORITY, 5000000 + 15000000},
    {"openai: priority without a price is unknown", "openai", "gpt-test",
        {.input = 1000, .cache_read = 1, .output = 500, REPORTED}, TIER_PRIORITY, -ENODATA},
    {"openai: batch above the threshold", "openai", "gpt-test",
        {.input = 300000, .output = 10, REPORTED}, TIER_BATCH, 1500000000 + 225000},
    {"openai: cache writes have no price there", "openai", "gpt-test",
        {.input = 10, .cache_write_5m = 1, .output = 1, REPORTED}, TIER_DEFAULT, -ENODATA},

    {"anthropic: read, 5 m and 1 h writes", "anthropic", "claude-test",
        {.input = 100,
            .cache_read = 10000,
            .cache_write_5m = 2000,
            .cache_write_1h = 1000,
            .output = 300,
            REPORTED},
        TIER_DEFAULT, 300000 + 3000000 + 7500000 + 6000000 + 4500000},
    {"anthropic: above 200k, all parts", "anthropic", "claude-test",
        {.input = 100000,
            .cache_read = 100000,
            .cache_write_5m = 500,
            .cache_write_1h = 500,
            .output = 1000,
            REPORTED},
        TIER_DEFAULT, 600000000 + 60000000 + 3750000 + 6000000 + 22500000},
    {"anthropic: batch", "anthropic", "claude-test", {.input = 1000, .output = 1000, REPORTED},
        TIER_BATCH, 1500000 + 7500000},

    {"gemini: thoughts billed as output, audio apart", "gemini", "gemini-test",
        {.input = 1000,
            .cache_read = 1000,
            .audio_in = 500,
            .output = 700,
            .reasoning = 600,
            REPORTED},
        TIER_DEFAULT, 300000 + 30000 + 500000 + 1750000},
    {"deepseek: hit and miss", "deepseek", "deepseek-test",
        {.input = 1000, .cache_read = 64000, .output = 2000, REPORTED}, TIER_DEFAULT,
        280000 + 1792000 + 840000},
    {"perplexity: reasoning at its own price, plus searches", "perplexity", "sonar-test",
        {.input = 10, .output = 1000, .reasoning = 400, .queries = 3, REPORTED}, TIER_DEFAULT,
        20000 + 600 * 8000 + 400 * 3000 + 15000000},

    {"whisper: one minute, charged once", "openai", "whisper-test", {.audio_ms = 60000, REPORTED},
        TIER_DEFAULT, 6000000},
    {"whisper: a millisecond", "openai", "whisper-test", {.audio_ms = 1, REPORTED}, TIER_DEFAULT,
        100},
    {"transcribe: tokens are the bill, seconds are not", "openai", "transcribe-test",
        {.audio_in = 600, .output = 100, .audio_ms = 60000, REPORTED}, TIER_DEFAULT,
        1500000 + 1000000},
    {"transcribe: seconds when no tokens came", "openai", "transcribe-test",
        {.audio_ms = 60000, REPORTED}, TIER_DEFAULT, 6000000},
    {"deepgram: 12.345 s", "deepgram", "nova-test", {.audio_ms = 12345, REPORTED}, TIER_DEFAULT,
        884766 /* .15 */},
    {"tts: 1,234 characters", "openai", "tts-test", {.characters = 1234, REPORTED}, TIER_DEFAULT,
        18510000},
    {"image: tokens are the bill, pictures are not", "openai", "gpt-image-test",
        {.input = 50, .output = 1056, .images = 1, REPORTED}, TIER_DEFAULT, 250000 + 42240000},
    {"image: pictures when no tokens came", "openai", "gpt-image-test", {.images = 2, REPORTED},
        TIER_DEFAULT, 84000000},
    {"replicate: four pictures", "replicate", "flux-test", {.images = 4, REPORTED}, TIER_DEFAULT,
        12000000},
    {"cohere: rerank, tokens only informative", "cohere", "rerank-test",
        {.queries = 1, .input = 400, REPORTED}, TIER_DEFAULT, 2000000},
    {"mistral: embedding", "mistral", "embed-test", {.input = 8, REPORTED}, TIER_DEFAULT, 800},
    {"ollama: free is 0, not unknown", "ollama", "free-test",
        {.input = 1000000, .output = 1000, REPORTED}, TIER_DEFAULT, 0},

    {"half a nano-dollar rounds up", "groq", "tiny-test", {.input = 500, REPORTED}, TIER_DEFAULT,
        1},
    {"less than half rounds down", "groq", "tiny-test", {.input = 499, REPORTED}, TIER_DEFAULT, 0},
    /* 0.499 + 0.5: rounded apart it would be 0 + 1 = 1 with 0.499 lost; together 0.999 -> 1. */
    {"one rounding for the sum", "groq", "tiny-test", {.input = 499, .output = 1, REPORTED},
        TIER_DEFAULT, 1},
    {"one rounding for the sum, down", "groq", "tiny-test", {.input = 900, .output = 1, REPORTED},
        TIER_DEFAULT, 1},
    {"too large", "groq", "dear-test", {.input = UINT64_MAX, REPORTED}, TIER_DEFAULT, -ERANGE},
    {"too large for 64 bits", "groq", "dear-test", {.input = 1100, REPORTED}, TIER_DEFAULT,
        -ERANGE},
    {"just fits", "groq", "dear-test", {.input = 1000, REPORTED}, TIER_DEFAULT,
        9000000000000000000},

    {"unknown usage", "openai", "gpt-test", {.input = 10}, TIER_DEFAULT, -ENODATA},
    {"counted usage", "openai", "gpt-test", {.input = 10, .source = USAGE_COUNTED}, TIER_DEFAULT,
        25000},
    {"characters of a model priced by the second", "openai", "whisper-test",
        {.characters = 5, REPORTED}, TIER_DEFAULT, -ENODATA},
    {"tokens of a model priced by the second", "openai", "whisper-test", {.input = 5, REPORTED},
        TIER_DEFAULT, -ENODATA},
};

static void test_golden(void)
{
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        const struct golden *g = &table[i];
        const struct model_facts *f = prices_find(prices, str_of(g->provider), str_of(g->model));
        CHECK(f);
        int64_t nano = -1;
        int r = cost_compute(f, &g->usage, g->tier, &nano);
        int64_t got = r < 0 ? r : nano;
        if (got != g->nano)
            tap_fail(__FILE__, __LINE__, "%s: %lld, wanted %lld", g->name, (long long)got,
                (long long)g->nano);
    }
}

/* Splitting the same tokens between fields of the same price may not change the cost. */
static void test_sum_is_exact(void)
{
    struct model_facts f = {.mode = MODEL_CHAT};
    memset(f.rates, 0xff, sizeof(f.rates));
    memset(&f.unit, 0xff, sizeof(f.unit));
    f.rates[TIER_DEFAULT][0] =
        (struct rate_card){333, 333, 333, 333, 333, PRICE_UNKNOWN, PRICE_UNKNOWN, PRICE_UNKNOWN};
    for (uint64_t n = 0; n < 2000; n++) {
        struct usage whole = {.input = n, REPORTED}, split = {REPORTED};
        split.input = n / 5;
        split.output = n / 7;
        split.cache_read = n / 11;
        split.cache_write_5m = n / 13;
        split.cache_write_1h = n - n / 5 - n / 7 - n / 11 - n / 13;
        int64_t a = -1, b = -1;
        CHECK_EQ(cost_compute(&f, &whole, TIER_DEFAULT, &a), 0);
        CHECK_EQ(cost_compute(&f, &split, TIER_DEFAULT, &b), 0);
        CHECK_EQ(a, b);
        CHECK_EQ(a, (int64_t)((n * 333 + 500) / 1000));
    }
}

int main(void)
{
    if (!load_prices())
        return 1;
    TAP_RUN(test_golden);
    TAP_RUN(test_sum_is_exact);
    prices_overlay_unref(prices);
    return tap_done();
}
