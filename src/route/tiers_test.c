/* Tiers: every row of the published tables, both ways; names that stay as they are; own tables. */
#include "route/plan_test.h"

static struct str at(const char *model, const char *provider)
{
    return route_model_at(&p_settings, str_of(model), provider_by_id(str_of(provider)));
}

static void test_published(void)
{
    p_configure("openai anthropic ollama");
    CHECK_STR(at("gpt-5.4-pro", "anthropic"), STR("claude-opus-4-6"));
    CHECK_STR(at("gpt-5.4", "anthropic"), STR("claude-opus-4-6"));
    CHECK_STR(at("gpt-4.1", "anthropic"), STR("claude-sonnet-4-6"));
    CHECK_STR(at("gpt-4.1-mini", "anthropic"), STR("claude-haiku-4-5-20251001"));
    CHECK_STR(at("gpt-4.1-nano", "anthropic"), STR("claude-haiku-4-5-20251001"));
    CHECK_STR(at("o3", "anthropic"), STR("claude-opus-4-6"));
    CHECK_STR(at("o4-mini", "anthropic"), STR("claude-opus-4-6"));
    CHECK_STR(at("claude-opus-4-6", "openai"), STR("gpt-5.4"));
    CHECK_STR(at("claude-sonnet-4-6", "openai"), STR("gpt-4.1"));
    CHECK_STR(at("claude-haiku-4-5-20251001", "openai"), STR("gpt-4.1-mini"));
    CHECK_STR(at("gpt-5.4", "ollama"), STR("llama3.3"));
    CHECK_STR(at("gpt-4.1", "ollama"), STR("qwen2.5:14b"));
    CHECK_STR(at("gpt-4.1-mini", "ollama"), STR("phi4"));
    CHECK_STR(at("o3", "ollama"), STR("deepseek-r1"));
    CHECK_STR(at("claude-haiku-4-5", "ollama"), STR("phi4"));
    CHECK_STR(at("llama3.3", "anthropic"), STR("claude-opus-4-6"));
    CHECK_STR(at("qwen2.5:14b", "openai"), STR("gpt-4.1"));
    CHECK_STR(at("gemini-2.5-flash-lite", "openai"), STR("gpt-4.1-mini"));
    CHECK_STR(at("gemini-2.5-pro", "anthropic"), STR("claude-opus-4-6"));
    CHECK_STR(at("gpt-4o-mini-2024-07-18", "gemini"), STR("gemini-2.5-flash-lite"));
}

static void test_clouds(void)
{
    p_configure("bedrock vertex");
    CHECK_STR(at("gpt-5.4", "bedrock"), STR("global.anthropic.claude-opus-4-6-v1"));
    CHECK_STR(at("gpt-4.1", "bedrock"), STR("global.anthropic.claude-sonnet-4-6"));
    CHECK_STR(at("gpt-4o-mini", "bedrock"), STR("global.anthropic.claude-haiku-4-5-20251001-v1:0"));
    CHECK_STR(at("o3", "vertex"), STR("gemini-2.5-pro"));
    CHECK_STR(at("gpt-4.1", "vertex"), STR("gemini-2.5-flash"));
    CHECK_STR(at("gpt-4.1-nano", "vertex"), STR("gemini-2.5-flash-lite"));
    /* the same model by its name there, no equivalent */
    CHECK_STR(at("claude-sonnet-4-6", "bedrock"), STR("global.anthropic.claude-sonnet-4-6"));
    CHECK_STR(at("claude-sonnet-4-5-20250929", "bedrock"),
        STR("global.anthropic.claude-sonnet-4-5-20250929-v1:0"));
    CHECK_STR(
        at("anthropic/claude-opus-4-6", "bedrock"), STR("global.anthropic.claude-opus-4-6-v1"));
    CHECK_STR(at("claude-sonnet-4-6", "vertex"), STR("claude-sonnet-4-6"));
    CHECK_STR(at("claude-haiku-4-5-20251001", "vertex"), STR("claude-haiku-4-5@20251001"));
    CHECK_STR(at("gemini-2.5-pro", "vertex"), STR("gemini-2.5-pro"));
    CHECK_STR(
        at("us.anthropic.claude-sonnet-4-6", "bedrock"), STR("us.anthropic.claude-sonnet-4-6"));
    CHECK_STR(at("eu.anthropic.claude-opus-99", "bedrock"), STR("eu.anthropic.claude-opus-99"));
    /* and the other way */
    CHECK_STR(at("us.anthropic.claude-opus-4-6-v1", "openai"), STR("gpt-5.4"));
    CHECK_STR(at("bedrock/amazon.nova-micro-v1:0", "openai"), STR("gpt-4.1-mini"));
}

static void test_names_that_stay(void)
{
    p_configure("openai anthropic groq openrouter");
    CHECK_STR(at("gpt-4o", "openai"), STR("gpt-4o"));
    CHECK_STR(at("openai/gpt-4o", "openai"), STR("gpt-4o"));
    CHECK_STR(at("openai/gpt-4o", "openrouter"), STR("openai/gpt-4o")); /* its own name for it */
    CHECK_STR(at("openai/gpt-4.1", "anthropic"), STR("claude-sonnet-4-6"));
    CHECK_STR(at("my-model", "anthropic"), STR("my-model"));
    CHECK_STR(at("gpt-4o", "vllm"), STR("gpt-4o"));
    CHECK_STR(at("gpt-4o", "azure"), STR("gpt-4o"));
}

static int parse(const char *json, struct error *e)
{
    struct route_rules *r = &p_settings.rules;

    *e = (struct error){0};
    return route_tiers_parse(&p_settings, str_of(json), &p_arena, &r->tiers, &r->tiers_n, e);
}

static void test_own_table(void)
{
    struct error e;

    p_configure("openai groq");
    CHECK_EQ(parse("{\"tiers\":[{\"name\":\"good\",\"models\":[\"gpt-*\"],\"equivalents\":"
                   "{\"groq\":\"llama-x\",\"openai\":\"gpt-4o\"}},{\"name\":\"rest\",\"models\":"
                   "[\"*\"],\"equivalents\":{\"groq\":\"llama-y\"}}]}",
                 &e),
        0);
    CHECK_STR(at("gpt-4.1", "groq"), STR("llama-x"));
    CHECK_STR(at("claude-x", "groq"), STR("llama-y"));
    CHECK_STR(at("claude-x", "openai"), STR("claude-x")); /* that tier names none */
    CHECK_STR(route_tier_of(&p_settings.rules, STR("gpt-4o"))->name, STR("good"));
}

static void test_refusals(void)
{
    struct error e;

    p_configure("openai");
    CHECK(parse("{}", &e) < 0);
    CHECK_STR(e.param, STR("tiers"));
    CHECK(parse("{\"tiers\":[{\"name\":\"x\",\"models\":[]}]}", &e) < 0);
    CHECK_STR(e.param, STR("tiers[0].equivalents"));
    CHECK(parse("{\"tiers\":[{\"name\":\"x\",\"models\":[],\"equivalents\":{\"nobody\":\"m\"}}]}",
              &e) < 0);
    CHECK_STR(e.param, STR("tiers[0].equivalents"));
    CHECK(parse("{\"tiers\":[{\"name\":\"x\",\"models\":[],\"equivalents\":{\"openai\":7}}]}", &e) <
          0);
    CHECK_STR(e.param, STR("tiers[0].equivalents.openai"));
    CHECK(parse("{\"tiers\":[{\"name\":\"x\",\"models\":[],\"equivalents\":{},\"y\":1}]}", &e) < 0);
    CHECK_STR(e.param, STR("tiers[0].y"));
}

static void test_too_many(void)
{
    struct buf b = {0};
    struct error e;

    p_configure("openai");
    for (int more = 0; more < 2; more++) {
        buf_init(&b, MIB);
        buf_addc(&b, '[');
        for (int i = 0; i < ROUTE_TIERS_MAX + more; i++)
            buf_printf(
                &b, "%s{\"name\":\"t%d\",\"models\":[],\"equivalents\":{}}", i ? "," : "", i);
        buf_addstr(&b, STR("]"));
        buf_addc(&b, 0);
        CHECK_EQ(parse(b.p, &e) < 0, more);
        buf_free(&b);
    }
    CHECK_STR(e.param, STR("tiers"));
}

static void test_written(void)
{
    struct buf b = {0};
    struct error e;

    p_configure("openai");
    buf_init(&b, MIB);
    route_tiers_write(route_builtin_tiers, route_builtin_tiers_n, &b);
    buf_addc(&b, 0);
    int r = parse(b.p, &e);
    buf_free(&b);
    CHECK_EQ(r, 0);
    CHECK_EQ(p_settings.rules.tiers_n, route_builtin_tiers_n);
    CHECK_STR(at("gpt-4.1", "anthropic"), STR("claude-sonnet-4-6"));
}

int main(void)
{
    TAP_RUN(test_published);
    TAP_RUN(test_clouds);
    TAP_RUN(test_names_that_stay);
    TAP_RUN(test_own_table);
    TAP_RUN(test_refusals);
    TAP_RUN(test_too_many);
    TAP_RUN(test_written);
    p_end();
    return tap_done();
}
