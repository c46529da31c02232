/*
 * The providers: one row each. Base URLs stand without their version segment, because a configured
 * one may come with or without it (upstream_set_base cuts it); the face's prefix puts it back.
 */
#include "providers/quirks_int.h"

#define K(k) KIND_BIT(KIND_##k)

/* Whatever OpenAI's own API has; a provider that lacks one answers so itself. */
#define OPENAI_KINDS                                                                               \
    (K(CHAT) | K(COMPLETIONS) | K(RESPONSES) | K(RESPONSES_SUB) | K(RESPONSES_AUX) |               \
        K(RESPONSES_WS) | K(CONVERSATIONS) | K(EMBEDDINGS) | K(MODERATIONS) | K(MODELS) |          \
        K(MODEL) | K(TRANSCRIPTION) | K(SPEECH) | K(IMAGES) | K(IMAGE_EDITS) | K(RERANK) |         \
        K(FILES) | K(UPLOADS) | K(BATCHES) | K(REALTIME_WS) | K(REALTIME))
/* Providers of less. None has Responses that keep anything: those are made of chats here. */
#define CHAT_ALONE (K(CHAT) | K(MODELS) | K(MODEL))
#define CHAT_KINDS (CHAT_ALONE | K(COMPLETIONS))
/* mistralai 3.7: completions are its fim, batches its own; its Responses are stateless. */
#define MISTRAL_KINDS                                                                              \
    (CHAT_ALONE | K(EMBEDDINGS) | K(MODERATIONS) | K(TRANSCRIPTION) | K(SPEECH) | K(FILES))
/* together 3.1 */
#define TOGETHER_KINDS                                                                             \
    (CHAT_KINDS | K(EMBEDDINGS) | K(IMAGES) | K(RERANK) | K(TRANSCRIPTION) | K(SPEECH) |           \
        K(FILES) | K(BATCHES))
/* docs.api.nvidia.com/nim; its ranking has an address of its own */
#define NIM_KINDS (CHAT_KINDS | K(EMBEDDINGS) | K(RERANK))
/* novita.ai/docs/api-reference; embeddings and rerank: litellm 1.109's models */
#define NOVITA_KINDS (CHAT_KINDS | K(EMBEDDINGS) | K(RERANK))
#define ANTHROPIC_KINDS                                                                            \
    (K(MESSAGES) | K(COUNT_TOKENS) | K(MESSAGE_BATCHES) | K(COMPLETE) | K(MODELS) | K(MODEL) |     \
        K(FILES))
#define GEMINI_KINDS                                                                               \
    (K(GENERATE) | K(STREAM_GENERATE) | K(GEMINI_COUNT) | K(GEMINI_EMBED) | K(GEMINI_UPLOAD) |     \
        K(GEMINI_BATCHES) | K(GEMINI_OTHER) | K(MODELS) | K(MODEL))

#define OPENAI_AT(path, kind_set)                                                                  \
    {                                                                                              \
        .dialect = DIALECT_OPENAI, .prefix = STR_INIT(path), .kinds = kind_set,                    \
        .auth = AUTH_BEARER                                                                        \
    }
#define ANTHROPIC_AT(path, how)                                                                    \
    {                                                                                              \
        .dialect = DIALECT_ANTHROPIC, .prefix = STR_INIT(path), .kinds = ANTHROPIC_KINDS,          \
        .auth = how                                                                                \
    }

/* A provider that speaks OpenAI's dialect under /v1 and has no quirk. */
#define COMPATIBLE(name, shown, env, url) COMPATIBLE_IN(name, shown, env, url, OPENAI_KINDS)
#define COMPATIBLE_IN(name, shown, env, url, kind_set)                                             \
    {                                                                                              \
        .id = STR_INIT(name), .title = STR_INIT(shown), .key_env = STR_INIT(env "_API_KEY"),       \
        .base_env = STR_INIT(env "_API_BASE"), .base = STR_INIT(url), .faces = {                   \
            OPENAI_AT("/v1", kind_set)                                                             \
        }                                                                                          \
    }

static const struct provider table[] = {
    COMPATIBLE("openai", "OpenAI", "OPENAI", "https://api.openai.com"),
    {
        .id = STR_INIT("anthropic"),
        .title = STR_INIT("Anthropic"),
        .key_env = STR_INIT("ANTHROPIC_API_KEY"),
        .base_env = STR_INIT("ANTHROPIC_API_BASE"),
        .base = STR_INIT("https://api.anthropic.com"),
        .faces = {ANTHROPIC_AT("/v1", AUTH_X_API_KEY)},
        .default_field_name = STR_INIT("anthropic-version"),
        .default_field_value = STR_INIT("2023-06-01"),
    },
    {
        .id = STR_INIT("gemini"),
        .title = STR_INIT("Google Gemini"),
        .key_env = STR_INIT("GEMINI_API_KEY"),
        .base_env = STR_INIT("GEMINI_API_BASE"),
        .base = STR_INIT("https://generativelanguage.googleapis.com"),
        .faces = {{.dialect = DIALECT_GEMINI,
                      .kinds = GEMINI_KINDS | K(IMAGES),
                      .auth = AUTH_X_GOOG},
            OPENAI_AT("/v1beta/openai", K(CHAT) | K(EMBEDDINGS))},
        .target = gemini_target,
        .refused_key = gemini_refused_key,
    },
    COMPATIBLE("xai", "xAI", "XAI", "https://api.x.ai"),
    COMPATIBLE("openrouter", "OpenRouter", "OPENROUTER", "https://openrouter.ai/api"),
    {
        .id = STR_INIT("azure"),
        .title = STR_INIT("Azure OpenAI"),
        .key_env = STR_INIT("AZURE_API_KEY"),
        .base_env = STR_INIT("AZURE_API_BASE"),
        .faces = {{.dialect = DIALECT_OPENAI,
            .prefix = STR_INIT("/openai"),
            .kinds = OPENAI_KINDS,
            .auth = AUTH_API_KEY}},
        .extra_env = azure_options,
        .target = azure_target,
    },
    COMPATIBLE_IN("mistral", "Mistral AI", "MISTRAL", "https://api.mistral.ai", MISTRAL_KINDS),
    {
        .id = STR_INIT("cohere"),
        .title = STR_INIT("Cohere"),
        .key_env = STR_INIT("COHERE_API_KEY"),
        .base_env = STR_INIT("COHERE_API_BASE"),
        .base = STR_INIT("https://api.cohere.com"),
        .faces = {{.dialect = DIALECT_COHERE, .kinds = K(CHAT) | K(RERANK), .auth = AUTH_BEARER},
            OPENAI_AT("/compatibility/v1", K(CHAT) | K(EMBEDDINGS))},
        .target = cohere_target,
    },
    COMPATIBLE("groq", "Groq", "GROQ", "https://api.groq.com/openai"),
    {
        .id = STR_INIT("deepgram"),
        .title = STR_INIT("Deepgram"),
        .key_env = STR_INIT("DEEPGRAM_API_KEY"),
        .base_env = STR_INIT("DEEPGRAM_API_BASE"),
        .base = STR_INIT("https://api.deepgram.com"),
        .faces = {{.dialect = DIALECT_DEEPGRAM,
            .prefix = STR_INIT("/v1"),
            .kinds = K(TRANSCRIPTION) | K(SPEECH),
            .auth = AUTH_TOKEN}},
        .target = deepgram_target,
    },
    {
        .id = STR_INIT("fireworks"),
        .title = STR_INIT("Fireworks AI"),
        .key_env = STR_INIT("FIREWORKS_API_KEY"),
        .base_env = STR_INIT("FIREWORKS_API_BASE"),
        .base = STR_INIT("https://api.fireworks.ai/inference"),
        .faces = {OPENAI_AT("/v1", OPENAI_KINDS), ANTHROPIC_AT("/v1", AUTH_X_API_KEY)},
    },
    {
        .id = STR_INIT("nvidia_nim"),
        .title = STR_INIT("NVIDIA NIM"),
        .key_env = STR_INIT("NVIDIA_NIM_API_KEY"),
        .base_env = STR_INIT("NVIDIA_NIM_API_BASE"),
        .base = STR_INIT("https://integrate.api.nvidia.com"),
        .faces = {{.dialect = DIALECT_OPENAI,
            .prefix = STR_INIT("/v1"),
            .kinds = NIM_KINDS,
            .own_forms = K(RERANK),
            .auth = AUTH_BEARER}},
        .target = nim_target,
    },
    COMPATIBLE("huggingface", "Hugging Face", "HUGGINGFACE", "https://router.huggingface.co"),
    COMPATIBLE_IN(
        "together", "Together AI", "TOGETHER", "https://api.together.xyz", TOGETHER_KINDS),
    {
        .id = STR_INIT("perplexity"),
        .title = STR_INIT("Perplexity"),
        .key_env = STR_INIT("PERPLEXITY_API_KEY"),
        .base_env = STR_INIT("PERPLEXITY_API_BASE"),
        .base = STR_INIT("https://api.perplexity.ai"),
        /* perplexityai 0.46; litellm 1.109 for the addresses */
        .faces = {OPENAI_AT("", CHAT_ALONE), OPENAI_AT("/v1", K(EMBEDDINGS))},
    },
    {
        .id = STR_INIT("replicate"),
        .title = STR_INIT("Replicate"),
        .key_env = STR_INIT("REPLICATE_API_KEY"),
        .base_env = STR_INIT("REPLICATE_API_BASE"),
        .base = STR_INIT("https://api.replicate.com"),
        .faces = {{.dialect = DIALECT_REPLICATE,
            .prefix = STR_INIT("/v1"),
            .kinds = K(CHAT) | K(IMAGES),
            .auth = AUTH_BEARER}},
        .target = replicate_call_target,
        .sign = replicate_sign,
    },
    {
        .id = STR_INIT("vertex"),
        .title = STR_INIT("Google Vertex AI"),
        .key_env = STR_INIT("VERTEXAI_API_KEY"),
        .base_env = STR_INIT("VERTEXAI_API_BASE"),
        .base = STR_INIT("https://aiplatform.googleapis.com"),
        .faces = {{.dialect = DIALECT_GEMINI,
                      .kinds = K(GENERATE) | K(STREAM_GENERATE) | K(GEMINI_COUNT) | K(IMAGES),
                      .auth = AUTH_BEARER},
            {.dialect = DIALECT_ANTHROPIC, .kinds = K(MESSAGES), .auth = AUTH_BEARER}},
        .face_fits = vertex_face_fits,
        .extra_env = vertex_options,
        .target = vertex_target,
    },
    {
        .id = STR_INIT("bedrock"),
        .title = STR_INIT("AWS Bedrock"),
        .key_env = STR_INIT("AWS_ACCESS_KEY_ID"),
        .token_env = STR_INIT("AWS_BEARER_TOKEN_BEDROCK"),
        .base_env = STR_INIT("BEDROCK_API_BASE"),
        .base = STR_INIT("https://bedrock-runtime.us-east-1.amazonaws.com"),
        .base_of = bedrock_base,
        .faces = {{.dialect = DIALECT_BEDROCK,
            .kinds = K(CONVERSE) | K(CONVERSE_STREAM) | K(INVOKE) | K(INVOKE_STREAM) | K(RERANK),
            .auth = AUTH_SIGV4}},
        .extra_env = bedrock_options,
        .target = bedrock_call_target,
        .sign = bedrock_sign,
    },
    COMPATIBLE_IN("novita", "Novita AI", "NOVITA", "https://api.novita.ai/openai", NOVITA_KINDS),
    {
        .id = STR_INIT("vercel"),
        .title = STR_INIT("Vercel AI Gateway"),
        .key_env = STR_INIT("VERCEL_AI_GATEWAY_API_KEY"),
        .base_env = STR_INIT("VERCEL_AI_GATEWAY_API_BASE"),
        .base = STR_INIT("https://ai-gateway.vercel.sh"),
        .faces = {OPENAI_AT("/v1", OPENAI_KINDS), ANTHROPIC_AT("/v1", AUTH_X_API_KEY)},
    },
    {
        .id = STR_INIT("deepseek"),
        .title = STR_INIT("DeepSeek"),
        .key_env = STR_INIT("DEEPSEEK_API_KEY"),
        .base_env = STR_INIT("DEEPSEEK_API_BASE"),
        .base = STR_INIT("https://api.deepseek.com"),
        /* api-docs.deepseek.com: text completions are its FIM, under /beta */
        .faces = {OPENAI_AT("/v1", CHAT_ALONE), ANTHROPIC_AT("/anthropic/v1", AUTH_X_API_KEY)},
    },
    {
        .id = STR_INIT("ollama"),
        .title = STR_INIT("Ollama"),
        .base_env = STR_INIT("OLLAMA_BASE_URL"),
        .faces = {{.dialect = DIALECT_OLLAMA,
                      .prefix = STR_INIT("/v1"), /* of the list of models */
                      .kinds = K(CHAT),
                      .auth = AUTH_BEARER},
            OPENAI_AT("/v1", OPENAI_KINDS), ANTHROPIC_AT("/v1", AUTH_NONE)},
        .target = ollama_target,
    },
    {
        .id = STR_INIT("vllm"),
        .title = STR_INIT("vLLM"),
        .key_env = STR_INIT("VLLM_API_KEY"),
        .base_env = STR_INIT("VLLM_API_BASE"),
        .faces = {OPENAI_AT("/v1", OPENAI_KINDS), ANTHROPIC_AT("/v1", AUTH_BEARER)},
    },
    {
        .id = STR_INIT("lm_studio"),
        .title = STR_INIT("LM Studio"),
        .key_env = STR_INIT("LM_STUDIO_API_KEY"),
        .base_env = STR_INIT("LM_STUDIO_API_BASE"),
        .faces = {OPENAI_AT("/v1", OPENAI_KINDS), ANTHROPIC_AT("/v1", AUTH_BEARER)},
    },
    {
        .id = STR_INIT("openai_compatible"),
        .title = STR_INIT("an OpenAI-compatible server"),
        .key_env = STR_INIT("OPENAI_COMPATIBLE_API_KEY"),
        .base_env = STR_INIT("OPENAI_COMPATIBLE_API_BASE"),
        .faces = {OPENAI_AT("/v1", OPENAI_KINDS)},
    },
    {
        .id = STR_INIT("demo"), /* the built-in one; its base URL is set when it listens */
        .title = STR_INIT("the built-in demo"),
        .base_env = STR_INIT("SMARTFLOW_DEMO_API_BASE"),
        .faces = {OPENAI_AT("/v1", OPENAI_KINDS), ANTHROPIC_AT("/v1", AUTH_X_API_KEY),
            {.dialect = DIALECT_GEMINI,
                .kinds = GEMINI_KINDS,
                .auth = AUTH_X_GOOG,
                .prefix = STR_INIT("/gemini")}}, /* its paths tell the dialects apart */
        .target = gemini_target,
    },
};

const struct provider *provider_table(unsigned *ret_n)
{
    *ret_n = ARRAY_LEN(table);
    return table;
}

const struct provider *provider_by_id(struct str id)
{
    for (unsigned i = 0; i < ARRAY_LEN(table); i++)
        if (str_eq(table[i].id, id))
            return &table[i];
    return NULL;
}
