#include "llm/prices.h"

#include "base/macros.h"
#include "base/tap.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char err[512];

static void free_overlay(struct prices_overlay **o)
{
    prices_overlay_unref(*o);
}

static struct prices_overlay *parse(const char *json)
{
    struct prices_overlay *o = NULL;
    err[0] = 0;
    return prices_overlay_parse(str_of(json), &o, err, sizeof(err)) == 0 ? o : NULL;
}

#define OVERLAY _cleanup_(free_overlay) struct prices_overlay

static void test_new_model(void)
{
    OVERLAY *o = parse("{\"my-provider/m/1\":{\"litellm_provider\":\"my-provider\","
                       "\"input_cost_per_token\":\"0.000001\",\"output_cost_per_token\":2e-6,"
                       "\"max_input_tokens\":\"32768\",\"max_tokens\":4096.0,"
                       "\"supports_vision\":true,\"unknown_field\":[1,{}],\"source\":null}}");
    CHECK(o);
    CHECK_EQ(prices_overlay_models(o), 1);
    const struct model_facts *f = prices_find(o, STR("my-provider"), STR("m/1"));
    CHECK(f);
    CHECK_EQ(f->rates[0][0].input, 1000000);
    CHECK_EQ(f->rates[0][0].output, 2000000);
    CHECK_EQ(f->rates[0][0].cache_read, PRICE_UNKNOWN);
    CHECK_EQ(f->unit.image, PRICE_UNKNOWN);
    CHECK_EQ(f->max_input, 32768);
    CHECK_EQ(f->max_output, 4096);
    CHECK_EQ(f->flags, MODEL_VISION);
    CHECK_EQ(f->mode, MODEL_CHAT);
    CHECK(!prices_find(o, STR("my-provider"), STR("m/2")));
    CHECK(!prices_find(NULL, STR("my-provider"), STR("m/1")));
}

static void test_prices_replace_all_built_in_ones(void)
{
    const struct model_facts *known = model_facts_find(STR("openai"), STR("gpt-4o"));
    CHECK(known && known->rates[TIER_BATCH][0].input > 0);
    OVERLAY *o = parse("{\"gpt-4o\":{\"litellm_provider\":\"openai\","
                       "\"input_cost_per_token\":1e-6,\"supports_vision\":false}}");
    CHECK(o);
    const struct model_facts *f = prices_find(o, STR("openai"), STR("gpt-4o"));
    CHECK(f && f != known);
    CHECK_EQ(f->rates[TIER_DEFAULT][0].input, 1000000);
    CHECK_EQ(f->rates[TIER_DEFAULT][0].output, PRICE_UNKNOWN);
    CHECK_EQ(f->rates[TIER_BATCH][0].input, PRICE_UNKNOWN);
    CHECK_EQ(f->max_output, known->max_output);
    CHECK_EQ(f->flags, known->flags & ~(uint32_t)MODEL_VISION);
    CHECK(prices_find(o, STR("openai"), STR("gpt-4o-mini")) ==
          model_facts_find(STR("openai"), STR("gpt-4o-mini")));
}

/* Some abilities are noted where the list denies them. */
static void test_denied_abilities(void)
{
    const struct model_facts *known = model_facts_find(STR("anthropic"), STR("claude-opus-5-5"));
    CHECK(known && known->flags & MODEL_NO_FORCED_TOOLS && !(known->flags & MODEL_NO_SYSTEM));
    OVERLAY *o = parse("{\"claude-opus-5-5\":{\"litellm_provider\":\"anthropic\","
                       "\"supports_forced_tool_use\":true,\"supports_system_messages\":false,"
                       "\"thinking_always_on\":false}}");
    CHECK(o);
    const struct model_facts *f = prices_find(o, STR("anthropic"), STR("claude-opus-5-5"));
    CHECK(f);
    CHECK_EQ(f->flags, (known->flags & ~(uint32_t)(MODEL_NO_FORCED_TOOLS | MODEL_THINKING_ALWAYS)) |
                           MODEL_NO_SYSTEM);
}

static void test_limits_alone_keep_prices(void)
{
    const struct model_facts *known = model_facts_find(STR("openai"), STR("gpt-4o"));
    OVERLAY *o = parse("{\"gpt-4o\":{\"litellm_provider\":\"openai\",\"max_output_tokens\":7}}");
    CHECK(o && known);
    const struct model_facts *f = prices_find(o, STR("openai"), STR("gpt-4o"));
    CHECK_EQ(f->max_output, 7);
    CHECK(memcmp(f->rates, known->rates, sizeof(f->rates)) == 0);
}

/* The overlay's plain name wins over the built-in one for the same form, not over an exact match.
 */
static void test_forms_in_both_tables(void)
{
    OVERLAY *o = parse("{\"zz-model\":{\"litellm_provider\":\"openai\",\"max_tokens\":5}}");
    CHECK(o);
    const struct model_facts *f = prices_find(o, STR("openai"), STR("zz-model-2025-01-01"));
    CHECK(f);
    CHECK_EQ(f->max_output, 5);
    f = prices_find(o, STR("openai"), STR("gpt-4o-2024-08-06"));
    CHECK(f == model_facts_find(STR("openai"), STR("gpt-4o-2024-08-06")));
}

static void test_tiers_and_thresholds(void)
{
    OVERLAY *o = parse("{\"m\":{\"litellm_provider\":\"vertex_ai-language-models\","
                       "\"input_cost_per_token\":1e-6,"
                       "\"input_cost_per_token_above_200k_tokens\":2e-6,"
                       "\"input_cost_per_token_above_128k_tokens\":0,"
                       "\"input_cost_per_token_above_200k_tokens_priority\":4e-6,"
                       "\"cache_creation_input_token_cost_above_1hr\":5e-6,"
                       "\"cache_creation_input_token_cost_above_1hr_above_200k_tokens\":6e-6,"
                       "\"output_cost_per_token_flex\":7e-6}}");
    CHECK(o);
    const struct model_facts *f = prices_find(o, STR("vertex"), STR("m"));
    CHECK(f);
    CHECK_EQ(f->threshold, 200000);
    CHECK_EQ(f->rates[TIER_DEFAULT][0].input, 1000000);
    CHECK_EQ(f->rates[TIER_DEFAULT][1].input, 2000000);
    CHECK_EQ(f->rates[TIER_PRIORITY][1].input, 4000000);
    CHECK_EQ(f->rates[TIER_DEFAULT][0].cache_write_1h, 5000000);
    CHECK_EQ(f->rates[TIER_DEFAULT][1].cache_write_1h, 6000000);
    CHECK_EQ(f->rates[TIER_FLEX][0].output, 7000000);
}

/* A price that cannot be held is unknown, not half known, and not the built-in one. */
static void test_unpriced(void)
{
    OVERLAY *o = parse("{\"gpt-4o\":{\"litellm_provider\":\"openai\",\"input_cost_per_token\":1e-6,"
                       "\"input_cost_per_token_above_32k_tokens\":1e-6,"
                       "\"input_cost_per_token_above_256k_tokens\":2e-6},"
                       "\"s\":{\"litellm_provider\":\"openai\",\"input_cost_per_second\":1e-4,"
                       "\"output_cost_per_second\":2e-4},"
                       "\"t\":{\"litellm_provider\":\"openai\",\"input_cost_per_second\":1e-4}}");
    CHECK(o);
    CHECK_EQ(prices_overlay_models(o), 3);
    CHECK_EQ(prices_overlay_unpriced(o), 2);
    const struct model_facts *f = prices_find(o, STR("openai"), STR("gpt-4o"));
    CHECK_EQ(f->rates[TIER_DEFAULT][0].input, PRICE_UNKNOWN);
    CHECK_EQ(f->threshold, 0);
    CHECK_EQ(f->max_output, 16384);
    CHECK_EQ(prices_find(o, STR("openai"), STR("s"))->unit.audio_hour, PRICE_UNKNOWN);
    CHECK_EQ(prices_find(o, STR("openai"), STR("t"))->unit.audio_hour, 360000000000);
}

static void test_search_and_image_prices(void)
{
    OVERLAY *o = parse("{\"a\":{\"litellm_provider\":\"x\",\"search_context_cost_per_query\":"
                       "{\"search_context_size_low\":0.01,\"search_context_size_high\":0.01}},"
                       "\"b\":{\"litellm_provider\":\"x\",\"search_context_cost_per_query\":"
                       "{\"search_context_size_low\":0.01,\"search_context_size_high\":0.02}},"
                       "\"i\":{\"litellm_provider\":\"x\",\"mode\":\"image_generation\","
                       "\"input_cost_per_image\":0.04,\"output_cost_per_image_token\":4e-5},"
                       "\"c\":{\"litellm_provider\":\"x\",\"input_cost_per_image\":0.04}}");
    CHECK(o);
    CHECK_EQ(prices_find(o, STR("x"), STR("a"))->unit.query, 10000000000);
    CHECK_EQ(prices_find(o, STR("x"), STR("b"))->unit.query, PRICE_UNKNOWN);
    const struct model_facts *i = prices_find(o, STR("x"), STR("i"));
    CHECK_EQ(i->unit.image, 40000000000);
    CHECK_EQ(i->rates[TIER_DEFAULT][0].output, 40000000);
    CHECK_EQ(prices_find(o, STR("x"), STR("c"))->unit.image, PRICE_UNKNOWN);
}

static void test_provider_names(void)
{
    OVERLAY *o = parse("{\"azure_ai/x\":{\"litellm_provider\":\"azure_ai\",\"max_tokens\":2},"
                       "\"azure/x\":{\"litellm_provider\":\"azure\",\"max_tokens\":1},"
                       "\"together_ai/a/b\":{\"litellm_provider\":\"together_ai\"},"
                       "\"meta/llama\":{\"litellm_provider\":\"replicate\"}}");
    CHECK(o);
    CHECK_EQ(prices_overlay_models(o), 3);
    CHECK_EQ(prices_find(o, STR("azure"), STR("x"))->max_output, 1);
    CHECK(prices_find(o, STR("together"), STR("a/b")));
    CHECK(prices_find(o, STR("replicate"), STR("meta/llama")));
}

static void test_skipped(void)
{
    OVERLAY *o = parse("{\"sample_spec\":{\"max_tokens\":\"text\"},"
                       "\"fallback_generalizations\":{\"rules\":[]},"
                       "\"v\":{\"litellm_provider\":\"openai\",\"mode\":\"video_generation\"}}");
    CHECK(o);
    CHECK_EQ(prices_overlay_models(o), 0);
    CHECK(!prices_find(o, STR("openai"), STR("v")));
}

static const struct {
    const char *json, *model, *field;
} bad[] = {
    {"{\"m\":{\"litellm_provider\":\"x\",\"input_cost_per_token\":-1}}", "m",
        "input_cost_per_token"},
    {"{\"m\":{\"litellm_provider\":\"x\",\"input_cost_per_token\":\"cheap\"}}", "m",
        "input_cost_per_token"},
    {"{\"m\":{\"litellm_provider\":\"x\",\"output_cost_per_token_flex\":true}}", "m",
        "output_cost_per_token_flex"},
    {"{\"m\":{\"litellm_provider\":\"x\",\"output_cost_per_image\":[]}}", "m",
        "output_cost_per_image"},
    {"{\"m\":{\"litellm_provider\":\"x\",\"input_cost_per_token\":1e-14}}", "m",
        "input_cost_per_token"},
    {"{\"m\":{\"litellm_provider\":\"x\",\"input_cost_per_token\":1e30}}", "m",
        "input_cost_per_token"},
    {"{\"m\":{\"litellm_provider\":\"x\",\"max_input_tokens\":1.5}}", "m", "max_input_tokens"},
    {"{\"m\":{\"litellm_provider\":\"x\",\"max_input_tokens\":-5}}", "m", "max_input_tokens"},
    {"{\"m\":{\"litellm_provider\":\"x\",\"max_tokens\":5000000000}}", "m", "max_tokens"},
    {"{\"m\":{\"litellm_provider\":\"x\",\"supports_vision\":1}}", "m", "supports_vision"},
    {"{\"m\":{\"litellm_provider\":\"x\",\"mode\":1}}", "m", "mode"},
    {"{\"m\":{\"litellm_provider\":7}}", "m", "litellm_provider"},
    {"{\"ok\":{\"litellm_provider\":\"x\"},\"m2\":{}}", "m2", "litellm_provider"},
    {"{\"m\":[]}", "m", ""},
    {"{\"m\":{\"litellm_provider\":\"x\"},\"m\":{\"litellm_provider\":\"x\"}}", "m", ""},
};

static void test_malformed_entries_name_model_and_field(void)
{
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct prices_overlay *o = NULL;
        char want[128];
        int r = prices_overlay_parse(str_of(bad[i].json), &o, err, sizeof(err));
        snprintf(want, sizeof(want), "model \"%s\", field \"%s\":", bad[i].model, bad[i].field);
        if (r != -EINVAL || o || !str_starts(str_of(err), str_of(want)))
            tap_fail(__FILE__, __LINE__, "%s: %d, %s", bad[i].json, r, err);
    }
}

static void test_not_json(void)
{
    static const char *const texts[] = {"", "{", "[]", "1", "{\"a\":1e}", "{}x", "\"\\ud800\""};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct prices_overlay *o = NULL;
        CHECK_EQ(prices_overlay_parse(str_of(texts[i]), &o, err, sizeof(err)), -EINVAL);
        CHECK(!o && err[0]);
    }
    OVERLAY *empty = parse("{}");
    CHECK(empty);
    CHECK_EQ(prices_overlay_models(empty), 0);
}

static void test_file(void)
{
    char path[] = "/tmp/prices_overlay_test.XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    static const char text[] = "{\"m\":{\"litellm_provider\":\"x\",\"max_tokens\":3}}";
    CHECK_EQ(write(fd, text, sizeof(text) - 1), (ssize_t)sizeof(text) - 1);
    close(fd);
    OVERLAY *o = NULL;
    int r = prices_overlay_load(path, &o, err, sizeof(err));
    unlink(path);
    CHECK_EQ(r, 0);
    CHECK_EQ(prices_find(o, STR("x"), STR("m"))->max_output, 3);
    struct prices_overlay *none = NULL;
    CHECK_EQ(prices_overlay_load(path, &none, err, sizeof(err)), -ENOENT);
    CHECK(str_find(str_of(err), str_of(path)) > 0);
    CHECK_EQ(prices_overlay_load("/tmp", &none, err, sizeof(err)), -EINVAL);
    CHECK(!none);
}

/* A request that holds a reference keeps its facts while the owner swaps the snapshot. */
static void test_references(void)
{
    struct prices_overlay *owner = parse("{\"m\":{\"litellm_provider\":\"x\",\"max_tokens\":3}}");
    CHECK(owner);
    struct prices_overlay *request = prices_overlay_ref(owner);
    const struct model_facts *f = prices_find(request, STR("x"), STR("m"));
    prices_overlay_unref(owner);
    CHECK_EQ(f->max_output, 3);
    CHECK_STR(f->model, STR("m"));
    prices_overlay_unref(request);
    prices_overlay_unref(NULL);
}

int main(void)
{
    TAP_RUN(test_new_model);
    TAP_RUN(test_prices_replace_all_built_in_ones);
    TAP_RUN(test_denied_abilities);
    TAP_RUN(test_limits_alone_keep_prices);
    TAP_RUN(test_forms_in_both_tables);
    TAP_RUN(test_tiers_and_thresholds);
    TAP_RUN(test_unpriced);
    TAP_RUN(test_search_and_image_prices);
    TAP_RUN(test_provider_names);
    TAP_RUN(test_skipped);
    TAP_RUN(test_malformed_entries_name_model_and_field);
    TAP_RUN(test_not_json);
    TAP_RUN(test_file);
    TAP_RUN(test_references);
    return tap_done();
}
