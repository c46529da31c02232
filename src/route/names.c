/*
 * From a model's name to its provider: explicit prefixes and the heuristic of well-known names, as
 * one table of rules. Those that begin with the same letter are tried in order.
 */
#include "route/route.h"

struct rule {
    struct str begins;
    const char *provider;
    bool prefix; /* "groq/": cut off; otherwise part of the model's name */
};

#define PREFIX(p, id)                                                                              \
    {                                                                                              \
        STR_INIT(p "/"), id, true                                                                  \
    }
#define NAME(p, id)                                                                                \
    {                                                                                              \
        STR_INIT(p), id, false                                                                     \
    }

static const struct rule rules[] = {
    PREFIX("openai", "openai"),
    PREFIX("anthropic", "anthropic"),
    PREFIX("gemini", "gemini"),
    PREFIX("google", "gemini"),
    PREFIX("xai", "xai"),
    PREFIX("openrouter", "openrouter"),
    PREFIX("azure", "azure"),
    PREFIX("mistral", "mistral"),
    PREFIX("cohere", "cohere"),
    PREFIX("groq", "groq"),
    PREFIX("deepgram", "deepgram"),
    PREFIX("fireworks", "fireworks"),
    PREFIX("fireworks_ai", "fireworks"),
    PREFIX("nvidia_nim", "nvidia_nim"),
    PREFIX("nim", "nvidia_nim"),
    PREFIX("huggingface", "huggingface"),
    PREFIX("together", "together"),
    PREFIX("together_ai", "together"),
    PREFIX("perplexity", "perplexity"),
    PREFIX("replicate", "replicate"),
    PREFIX("vertex", "vertex"),
    PREFIX("vertex_ai", "vertex"),
    PREFIX("bedrock", "bedrock"),
    PREFIX("novita", "novita"),
    PREFIX("vercel", "vercel"),
    PREFIX("vercel_ai_gateway", "vercel"),
    PREFIX("deepseek", "deepseek"),
    PREFIX("ollama", "ollama"),
    PREFIX("vllm", "vllm"),
    PREFIX("lm_studio", "lm_studio"),
    PREFIX("openai_compatible", "openai_compatible"),
    PREFIX("demo", "demo"),
    NAME("accounts/fireworks/", "fireworks"),
    /* Bedrock's ids: publisher.model, a region before it for inference profiles, or an ARN */
    NAME("arn:aws", "bedrock"),
    NAME("us.", "bedrock"),
    NAME("us-gov.", "bedrock"),
    NAME("eu.", "bedrock"),
    NAME("apac.", "bedrock"),
    NAME("au.", "bedrock"),
    NAME("jp.", "bedrock"),
    NAME("global.", "bedrock"),
    NAME("ai21.", "bedrock"),
    NAME("amazon.", "bedrock"),
    NAME("anthropic.", "bedrock"),
    NAME("cohere.", "bedrock"),
    NAME("deepseek.", "bedrock"),
    NAME("meta.", "bedrock"),
    NAME("mistral.", "bedrock"),
    NAME("openai.", "bedrock"),
    NAME("qwen.", "bedrock"),
    NAME("stability.", "bedrock"),
    NAME("twelvelabs.", "bedrock"),
    NAME("writer.", "bedrock"),
    NAME("gpt-", "openai"),
    NAME("o1", "openai"),
    NAME("o3", "openai"),
    NAME("o4-", "openai"),
    NAME("chatgpt-", "openai"),
    NAME("codex-", "openai"),
    NAME("computer-use-", "openai"),
    NAME("dall-e-", "openai"),
    NAME("whisper-", "openai"),
    NAME("tts-", "openai"),
    NAME("text-embedding-", "openai"),
    NAME("text-moderation-", "openai"),
    NAME("omni-moderation-", "openai"),
    NAME("babbage-", "openai"),
    NAME("davinci-", "openai"),
    NAME("ft:gpt-", "openai"),
    NAME("sora-", "openai"),
    NAME("claude-", "anthropic"),
    NAME("gemini-", "gemini"),
    NAME("gemma-", "gemini"),
    NAME("imagen-", "gemini"),
    NAME("veo-", "gemini"),
    NAME("learnlm-", "gemini"),
    NAME("grok-", "xai"),
    NAME("mistral-", "mistral"),
    NAME("mixtral-", "mistral"),
    NAME("ministral-", "mistral"),
    NAME("magistral-", "mistral"),
    NAME("codestral-", "mistral"),
    NAME("pixtral-", "mistral"),
    NAME("devstral-", "mistral"),
    NAME("voxtral-", "mistral"),
    NAME("command-", "cohere"),
    NAME("c4ai-", "cohere"),
    NAME("rerank-", "cohere"),
    NAME("llama-", "groq"),
    NAME("deepseek-", "deepseek"),
    NAME("sonar", "perplexity"),
    NAME("nova-2", "deepgram"),
    NAME("nova-3", "deepgram"),
    NAME("aura-", "deepgram"),
    NAME("demo-", "demo"),
};

/* The rules in order, by their first letter's low bits: the index of one and one, 0 = no more. */
static uint8_t first[32], next[ARRAY_LEN(rules)];

__attribute__((constructor)) static void link_rules(void)
{
    _Static_assert(ARRAY_LEN(rules) < UINT8_MAX, "an index and one");
    for (unsigned i = ARRAY_LEN(rules); i-- > 0;) {
        uint8_t *to = &first[rules[i].begins.p[0] & 31];
        next[i] = *to;
        *to = (uint8_t)(i + 1);
    }
}

const struct provider *route_by_name(struct str model, struct str *ret_rest)
{
    for (unsigned i = model.n ? first[model.p[0] & 31] : 0; i; i = next[i - 1]) {
        const struct rule *r = &rules[i - 1];
        if (!str_starts(model, r->begins) || (r->prefix && model.n == r->begins.n))
            continue;
        *ret_rest = r->prefix ? str_from(model, r->begins.n) : model;
        return provider_by_id(str_of(r->provider));
    }
    *ret_rest = model;
    return NULL;
}
