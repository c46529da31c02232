/* Which provider a model's name means: every pattern of the published documents, and prefixes. */
#include "route/route.h"

#include "base/macros.h"
#include "base/tap.h"

struct row {
    const char *model, *provider, *rest; /* rest NULL: the whole name */
};

static void check(const struct row *rows, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct str rest, want = str_of(rows[i].rest ? rows[i].rest : rows[i].model);
        const struct provider *p = route_by_name(str_of(rows[i].model), &rest);
        struct str id = p ? p->id : STR("-");
        if (!str_eq(id, str_of(rows[i].provider)) || !str_eq(rest, want))
            tap_fail(__FILE__, __LINE__, "%s: " STR_FMT " '" STR_FMT "', wanted %s", rows[i].model,
                STR_ARG(id), STR_ARG(rest), rows[i].provider);
    }
}

static void test_heuristic(void)
{
    static const struct row rows[] = {
        {"gpt-4o", "openai", NULL},
        {"gpt-5.4-mini", "openai", NULL},
        {"o1-preview", "openai", NULL},
        {"o1", "openai", NULL},
        {"o3-mini", "openai", NULL},
        {"o3", "openai", NULL},
        {"o4-mini", "openai", NULL},
        {"chatgpt-4o-latest", "openai", NULL},
        {"whisper-1", "openai", NULL},
        {"tts-1-hd", "openai", NULL},
        {"dall-e-3", "openai", NULL},
        {"text-embedding-3-small", "openai", NULL},
        {"ft:gpt-4o:org::id", "openai", NULL},
        {"claude-sonnet-4-6", "anthropic", NULL},
        {"claude-opus-4-6[1m]", "anthropic", NULL},
        {"gemini-2.5-pro", "gemini", NULL},
        {"gemini-embedding-001", "gemini", NULL},
        {"grok-4", "xai", NULL},
        {"mistral-large-latest", "mistral", NULL},
        {"mixtral-8x22b", "mistral", NULL},
        {"command-r-plus", "cohere", NULL},
        {"c4ai-aya-expanse-8b", "cohere", NULL},
        {"llama-3.3-70b-versatile", "groq", NULL},
        {"deepseek-chat", "deepseek", NULL},
        {"sonar-pro", "perplexity", NULL},
        {"rerank-v3.5", "cohere", NULL},
        {"accounts/fireworks/models/x", "fireworks", NULL},
        {"amazon.nova-pro-v1:0", "bedrock", NULL},
        {"anthropic.claude-3-haiku-20240307-v1:0", "bedrock", NULL},
        {"us.anthropic.claude-sonnet-4-5-20250929-v1:0", "bedrock", NULL},
        {"global.anthropic.claude-opus-4-6-v1", "bedrock", NULL},
        {"arn:aws:bedrock:us-east-1:123456789012:inference-profile/eu.amazon.nova-lite-v1:0",
            "bedrock", NULL},
        {"openai.gpt-oss-120b-1:0", "bedrock", NULL},
    };
    check(rows, ARRAY_LEN(rows));
}

static void test_prefixes(void)
{
    static const struct row rows[] = {
        {"groq/llama-3.3-70b-versatile", "groq", "llama-3.3-70b-versatile"},
        {"groq/whisper-large-v3", "groq", "whisper-large-v3"},
        {"deepgram/nova-2", "deepgram", "nova-2"},
        {"openrouter/anthropic/claude-3.5-sonnet", "openrouter", "anthropic/claude-3.5-sonnet"},
        {"ollama/llama3.2:3b", "ollama", "llama3.2:3b"},
        {"azure/my-deployment", "azure", "my-deployment"},
        {"anthropic/claude-sonnet-4-6", "anthropic", "claude-sonnet-4-6"},
        {"deepseek/deepseek-chat", "deepseek", "deepseek-chat"},
        {"google/gemini-2.5-pro", "gemini", "gemini-2.5-pro"},
        {"fireworks_ai/accounts/fireworks/models/x", "fireworks", "accounts/fireworks/models/x"},
        {"together_ai/meta/x", "together", "meta/x"},
        {"vertex_ai/gemini-pro", "vertex", "gemini-pro"},
        {"nim/meta/llama", "nvidia_nim", "meta/llama"},
        {"vercel_ai_gateway/openai/gpt-4o", "vercel", "openai/gpt-4o"},
        {"bedrock/anthropic.claude-v2", "bedrock", "anthropic.claude-v2"},
        {"openai_compatible/any", "openai_compatible", "any"},
        /* a prefix wins over what the rest looks like, and is cut once */
        {"openai/claude-3", "openai", "claude-3"},
        {"openai/openai/x", "openai", "openai/x"},
    };
    check(rows, ARRAY_LEN(rows));
}

static void test_unmapped(void)
{
    static const struct row rows[] = {
        {"", "-", NULL},
        {"groq/", "-", NULL},
        {"openai", "-", NULL},
        {"Gpt-4o", "-", NULL},
        {"GROQ/x", "-", NULL},
        {" gpt-4o", "-", NULL},
        {"/gpt-4o", "-", NULL},
        {"my-own-model", "-", NULL},
        {"meta-llama/Llama-3", "-", NULL},
        {"unknown/gpt-4o", "-", NULL},
        {"claude", "-", NULL},
    };
    struct str rest;

    check(rows, ARRAY_LEN(rows));
    CHECK(route_by_name(STR_NONE, &rest) == NULL);
}

/* Every provider can be named by its id. */
static void test_ids(void)
{
    unsigned n;
    const struct provider *p = provider_table(&n);
    char model[64];

    for (unsigned i = 0; i < n; i++) {
        struct str rest;
        memcpy(model, p[i].id.p, p[i].id.n);
        memcpy(model + p[i].id.n, "/x", 3);
        CHECK(route_by_name(str_of(model), &rest) == &p[i]);
        CHECK_STR(rest, STR("x"));
    }
}

int main(void)
{
    TAP_RUN(test_heuristic);
    TAP_RUN(test_prefixes);
    TAP_RUN(test_unmapped);
    TAP_RUN(test_ids);
    return tap_done();
}
