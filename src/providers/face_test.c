/* Which face serves which call: own dialects first, then what can be translated. */
#include "providers/face.h"

#include "base/tap.h"

struct want {
    const char *provider, *model;
    enum dialect client;
    enum endpoint_kind kind;
    bool stream;
    int dialect; /* of the face; -1 = none */
    enum endpoint_kind up_kind;
};

#define O DIALECT_OPENAI
#define A DIALECT_ANTHROPIC
#define G DIALECT_GEMINI
#define B DIALECT_BEDROCK

static const struct want wants[] = {
    /* its own dialect and kind: as it comes */
    {"openai", "gpt-4o", O, KIND_CHAT, false, O, KIND_CHAT},
    {"openai", "gpt-4o", O, KIND_RESPONSES, true, O, KIND_RESPONSES},
    {"openai", "gpt-4o", O, KIND_FILES, false, O, KIND_FILES},
    {"anthropic", "claude-x", A, KIND_MESSAGES, true, A, KIND_MESSAGES},
    {"gemini", "gemini-x", G, KIND_STREAM_GENERATE, true, G, KIND_STREAM_GENERATE},
    {"gemini", "gemini-x", O, KIND_CHAT, false, O, KIND_CHAT},
    /* translated */
    {"anthropic", "claude-x", O, KIND_CHAT, false, A, KIND_MESSAGES},
    {"anthropic", "claude-x", O, KIND_RESPONSES, true, A, KIND_MESSAGES},
    {"anthropic", "claude-x", G, KIND_STREAM_GENERATE, true, A, KIND_MESSAGES},
    {"openai", "gpt-4o", A, KIND_MESSAGES, true, O, KIND_CHAT},
    {"openai", "gpt-4o", G, KIND_GENERATE, false, O, KIND_CHAT},
    {"gemini", "gemini-x", A, KIND_MESSAGES, false, G, KIND_GENERATE},
    {"gemini", "gemini-x", A, KIND_MESSAGES, true, G, KIND_STREAM_GENERATE},
    {"gemini", "gemini-x", O, KIND_RESPONSES, true, G, KIND_STREAM_GENERATE},
    {"fireworks", "x", G, KIND_GENERATE, false, O, KIND_CHAT},
    /* where a provider has a face for some models alone */
    {"vertex", "claude-x", A, KIND_MESSAGES, false, A, KIND_MESSAGES},
    {"vertex", "claude-x", O, KIND_CHAT, false, A, KIND_MESSAGES},
    {"vertex", "gemini-x", O, KIND_CHAT, true, G, KIND_STREAM_GENERATE},
    {"vertex", "gemini-x", A, KIND_MESSAGES, false, G, KIND_GENERATE},
    /* Bedrock: Claude in its own dialect for those who speak it, else Converse */
    {"bedrock", "eu.anthropic.claude-x", A, KIND_MESSAGES, false, B, KIND_INVOKE},
    {"bedrock", "anthropic.claude-x", A, KIND_MESSAGES, true, B, KIND_INVOKE_STREAM},
    {"bedrock", "amazon.nova-x", A, KIND_MESSAGES, true, B, KIND_CONVERSE_STREAM},
    {"bedrock", "anthropic.claude-x", O, KIND_CHAT, false, B, KIND_CONVERSE},
    /* Bedrock's clients: as they come, in another envelope, or translated */
    {"bedrock", "amazon.nova-x", B, KIND_CONVERSE_STREAM, true, B, KIND_CONVERSE_STREAM},
    {"bedrock", "amazon.titan-x", B, KIND_INVOKE, false, B, KIND_INVOKE},
    {"anthropic", "claude-x", B, KIND_INVOKE_STREAM, true, A, KIND_MESSAGES},
    {"vertex", "claude-x", B, KIND_INVOKE, false, A, KIND_MESSAGES},
    {"openai", "gpt-4o", B, KIND_CONVERSE, false, O, KIND_CHAT},
    {"gemini", "gemini-x", B, KIND_CONVERSE, false, G, KIND_GENERATE},
    {"gemini", "gemini-x", B, KIND_INVOKE_STREAM, true, G, KIND_STREAM_GENERATE},
    /* text completions: as they come where a server has them, else as a chat */
    {"openai", "gpt-x", O, KIND_COMPLETIONS, true, O, KIND_COMPLETIONS},
    {"vllm", "llama", O, KIND_COMPLETIONS, false, O, KIND_COMPLETIONS},
    {"anthropic", "claude-x", O, KIND_COMPLETIONS, true, A, KIND_MESSAGES},
    {"gemini", "gemini-x", O, KIND_COMPLETIONS, true, G, KIND_STREAM_GENERATE},
    {"vertex", "claude-x", O, KIND_COMPLETIONS, false, A, KIND_MESSAGES},
    {"bedrock", "amazon.nova-x", O, KIND_COMPLETIONS, true, B, KIND_CONVERSE_STREAM},
    {"replicate", "a/b", O, KIND_COMPLETIONS, true, DIALECT_REPLICATE, KIND_CHAT},
    /* counting: by itself, in another dialect, or not */
    {"anthropic", "claude-x", A, KIND_COUNT_TOKENS, false, A, KIND_COUNT_TOKENS},
    {"gemini", "gemini-x", A, KIND_COUNT_TOKENS, false, G, KIND_GEMINI_COUNT},
    {"anthropic", "claude-x", G, KIND_GEMINI_COUNT, false, A, KIND_COUNT_TOKENS},
    {"openai", "gpt-4o", A, KIND_COUNT_TOKENS, false, O, KIND_CHAT},
    /* embeddings */
    {"openai", "text-embedding-3-small", G, KIND_GEMINI_EMBED, false, O, KIND_EMBEDDINGS},
    /* rerank: as Jina's, Cohere's own, a model's own, NVIDIA's own */
    {"vllm", "m", O, KIND_RERANK, false, O, KIND_RERANK},
    {"together", "m", O, KIND_RERANK, false, O, KIND_RERANK},
    {"cohere", "rerank-v4", O, KIND_RERANK, false, DIALECT_COHERE, KIND_RERANK},
    {"bedrock", "amazon.rerank-v1:0", O, KIND_RERANK, false, B, KIND_RERANK},
    {"nvidia_nim", "m", O, KIND_RERANK, false, O, KIND_RERANK},
    {"gemini", "m", O, KIND_RERANK, false, -1, 0},
    /* pictures: by Imagen, by Gemini as it answers, by predictions */
    {"openai", "gpt-image-1", O, KIND_IMAGES, true, O, KIND_IMAGES},
    {"gemini", "imagen-4.0-generate-001", O, KIND_IMAGES, false, G, KIND_IMAGES},
    {"gemini", "gemini-2.5-flash-image", O, KIND_IMAGES, true, G, KIND_GENERATE},
    {"vertex", "imagen-4.0-generate-001", O, KIND_IMAGES, false, G, KIND_IMAGES},
    {"vertex", "gemini-2.5-flash-image", O, KIND_IMAGES, false, G, KIND_GENERATE},
    {"vertex", "claude-x", O, KIND_IMAGES, false, -1, 0},
    {"replicate", "a/flux", O, KIND_IMAGES, false, DIALECT_REPLICATE, KIND_IMAGES},
    /* nothing */
    {"anthropic", "claude-x", O, KIND_IMAGES, false, -1, 0},
    {"anthropic", "claude-x", O, KIND_EMBEDDINGS, false, -1, 0},
    {"deepgram", "nova", O, KIND_CHAT, false, -1, 0},
    /* sound: as it comes, at Deepgram, or by Gemini as it answers */
    {"groq", "whisper-large-v3", O, KIND_TRANSCRIPTION, false, O, KIND_TRANSCRIPTION},
    {"deepgram", "nova-3", O, KIND_TRANSCRIPTION, false, DIALECT_DEEPGRAM, KIND_TRANSCRIPTION},
    {"deepgram", "aura-2", O, KIND_SPEECH, false, DIALECT_DEEPGRAM, KIND_SPEECH},
    {"gemini", "gemini-x", O, KIND_TRANSCRIPTION, false, G, KIND_GENERATE},
    {"vertex", "gemini-x", O, KIND_SPEECH, false, G, KIND_GENERATE},
    {"anthropic", "claude-x", O, KIND_SPEECH, false, -1, 0},
    {"openai", "gpt-4o", A, KIND_MESSAGE_BATCHES, false, -1, 0},
    /* providers of less than OpenAI has */
    {"mistral", "m", O, KIND_COMPLETIONS, false, O, KIND_CHAT},
    {"mistral", "m", O, KIND_RESPONSES, false, O, KIND_CHAT},
    {"mistral", "m", O, KIND_MODERATIONS, false, O, KIND_MODERATIONS},
    {"mistral", "m", O, KIND_IMAGES, false, -1, 0},
    {"together", "m", O, KIND_COMPLETIONS, false, O, KIND_COMPLETIONS},
    {"together", "m", O, KIND_MODERATIONS, false, -1, 0},
    {"perplexity", "m", O, KIND_EMBEDDINGS, false, O, KIND_EMBEDDINGS},
    {"deepseek", "m", O, KIND_EMBEDDINGS, false, -1, 0},
    {"nvidia_nim", "m", O, KIND_EMBEDDINGS, false, O, KIND_EMBEDDINGS},
};

static void test_rows(void)
{
    for (unsigned i = 0; i < ARRAY_LEN(wants); i++) {
        const struct want *w = &wants[i];
        const struct face_asked a = {
            .dialect = w->client, .kind = w->kind, .stream = w->stream, .model = str_of(w->model)};
        enum endpoint_kind k;
        const struct provider_face *f =
            provider_face_for(provider_by_id(str_of(w->provider)), &a, &k);
        CHECK_EQ(f ? (int)f->dialect : -1, w->dialect);
        if (f)
            CHECK_EQ(k, w->up_kind);
        if (f && w->dialect >= 0 && kind_generates(w->kind))
            CHECK(kind_generates(k));
    }
}

/* Asked for where the provider's version of the client's dialect lacks something. */
static void test_native(void)
{
    static const struct want natives[] = {
        {"gemini", "gemini-x", O, KIND_CHAT, false, G, KIND_GENERATE},
        {"gemini", "gemini-x", O, KIND_CHAT, true, G, KIND_STREAM_GENERATE},
        {"cohere", "command", O, KIND_CHAT, true, DIALECT_COHERE, KIND_CHAT},
        {"ollama", "llama", O, KIND_CHAT, false, DIALECT_OLLAMA, KIND_CHAT},
        {"groq", "llama", O, KIND_CHAT, false, O, KIND_CHAT}, /* has no other */
    };

    for (unsigned i = 0; i < ARRAY_LEN(natives); i++) {
        const struct want *w = &natives[i];
        const struct face_asked a = {.dialect = w->client,
            .kind = w->kind,
            .stream = w->stream,
            .native = true,
            .model = str_of(w->model)};
        enum endpoint_kind k;
        const struct provider_face *f =
            provider_face_for(provider_by_id(str_of(w->provider)), &a, &k);
        CHECK(f != NULL);
        CHECK_EQ((int)f->dialect, w->dialect);
        CHECK_EQ(k, w->up_kind);
    }
}

/* A model that only the Responses API serves is asked there, whatever the client speaks. */
static void test_responses_alone(void)
{
    const struct model_facts facts = {.mode = MODEL_RESPONSES};
    static const enum endpoint_kind kinds[] = {KIND_CHAT, KIND_MESSAGES, KIND_GENERATE};
    static const enum dialect dialects[] = {O, A, G};

    for (unsigned i = 0; i < ARRAY_LEN(kinds); i++) {
        const struct face_asked a = {.dialect = dialects[i],
            .kind = kinds[i],
            .stream = true,
            .model = STR("o1-pro"),
            .facts = &facts};
        enum endpoint_kind k;
        CHECK(provider_face_for(provider_by_id(STR("openai")), &a, &k) != NULL);
        CHECK_EQ(k, KIND_RESPONSES);
    }
}

/* OpenAI's chat models complete no texts. */
static void test_completions(void)
{
    static const struct {
        const char *provider;
        enum model_mode mode;
        enum endpoint_kind kind;
    } rows[] = {{"openai", MODEL_CHAT, KIND_CHAT}, {"azure", MODEL_CHAT, KIND_CHAT},
        {"openai", MODEL_RESPONSES, KIND_RESPONSES}, {"openai", MODEL_COMPLETION, KIND_COMPLETIONS},
        {"together", MODEL_CHAT, KIND_COMPLETIONS}};

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        const struct model_facts facts = {.mode = rows[i].mode};
        const struct face_asked a = {
            .dialect = O, .kind = KIND_COMPLETIONS, .model = STR("m"), .facts = &facts};
        enum endpoint_kind k;
        CHECK(provider_face_for(provider_by_id(str_of(rows[i].provider)), &a, &k) != NULL);
        CHECK_EQ(k, rows[i].kind);
    }
}

/* A model of Google's that is known to make no pictures is not asked for one. */
static void test_pictures_by_facts(void)
{
    static const struct {
        enum model_mode mode;
        bool serves;
    } rows[] = {{MODEL_IMAGE, true}, {MODEL_CHAT, false}, {MODEL_EMBEDDING, false}};

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        const struct model_facts facts = {.mode = rows[i].mode};
        const struct face_asked a = {
            .dialect = O, .kind = KIND_IMAGES, .model = STR("gemini-x"), .facts = &facts};
        enum endpoint_kind k;
        CHECK_EQ(provider_face_for(provider_by_id(STR("gemini")), &a, &k) != NULL, rows[i].serves);
    }
}

/* NVIDIA's rerank has a body of its own, though its dialect is OpenAI's. */
static void test_own_forms(void)
{
    const struct provider *nim = provider_by_id(STR("nvidia_nim"));

    CHECK_EQ(nim->faces[0].own_forms, KIND_BIT(KIND_RERANK));
    CHECK_EQ(provider_by_id(STR("vllm"))->faces[0].own_forms, 0);
}

int main(void)
{
    TAP_RUN(test_rows);
    TAP_RUN(test_native);
    TAP_RUN(test_responses_alone);
    TAP_RUN(test_pictures_by_facts);
    TAP_RUN(test_own_forms);
    TAP_RUN(test_completions);
    return tap_done();
}
