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
    /* counting: by itself, in another dialect, or not */
    {"anthropic", "claude-x", A, KIND_COUNT_TOKENS, false, A, KIND_COUNT_TOKENS},
    {"gemini", "gemini-x", A, KIND_COUNT_TOKENS, false, G, KIND_GEMINI_COUNT},
    {"anthropic", "claude-x", G, KIND_GEMINI_COUNT, false, A, KIND_COUNT_TOKENS},
    {"openai", "gpt-4o", A, KIND_COUNT_TOKENS, false, O, KIND_CHAT},
    /* embeddings */
    {"openai", "text-embedding-3-small", G, KIND_GEMINI_EMBED, false, O, KIND_EMBEDDINGS},
    /* nothing */
    {"anthropic", "claude-x", O, KIND_IMAGES, false, -1, 0},
    {"anthropic", "claude-x", O, KIND_EMBEDDINGS, false, -1, 0},
    {"deepgram", "nova", O, KIND_CHAT, false, -1, 0},
    {"openai", "gpt-4o", A, KIND_MESSAGE_BATCHES, false, -1, 0},
};

static void test_rows(void)
{
    for (unsigned i = 0; i < ARRAY_LEN(wants); i++) {
        const struct want *w = &wants[i];
        const struct face_asked a = {w->client, w->kind, w->stream, str_of(w->model), NULL};
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

/* A model that only the Responses API serves is asked there, whatever the client speaks. */
static void test_responses_alone(void)
{
    const struct model_facts facts = {.mode = MODEL_RESPONSES};
    static const enum endpoint_kind kinds[] = {KIND_CHAT, KIND_MESSAGES, KIND_GENERATE};
    static const enum dialect dialects[] = {O, A, G};

    for (unsigned i = 0; i < ARRAY_LEN(kinds); i++) {
        const struct face_asked a = {dialects[i], kinds[i], true, STR("o1-pro"), &facts};
        enum endpoint_kind k;
        CHECK(provider_face_for(provider_by_id(STR("openai")), &a, &k) != NULL);
        CHECK_EQ(k, KIND_RESPONSES);
    }
}

int main(void)
{
    TAP_RUN(test_rows);
    TAP_RUN(test_responses_alone);
    return tap_done();
}
