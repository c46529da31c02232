/*
 * The models that the demo provider says it has, in three dialects. Any other name works as well.
 */
#include "demo/demo_int.h"

static const char *const openai_models[] = {"demo", "demo-mini", "gpt-4o", "gpt-4o-mini",
    "text-embedding-3-small", "text-embedding-3-large", "omni-moderation-latest", "whisper-1",
    "tts-1", "gpt-image-1"};
static const char *const anthropic_models[] = {
    "demo-claude", "claude-sonnet-4-5", "claude-haiku-4-5"};
static const char *const gemini_models[] = {
    "demo-gemini", "gemini-2.5-flash", "gemini-2.5-pro", "gemini-embedding-001"};

static void openai_model(struct demo_call *c, struct str literal)
{
    put(c, "{\"id\":");
    put_str(c, literal);
    putf(c, ",\"object\":\"model\",\"created\":%d,\"owned_by\":\"demo\"}", DEMO_CREATED);
}

static void anthropic_model(struct demo_call *c, struct str literal)
{
    put(c, "{\"type\":\"model\",\"id\":");
    put_str(c, literal);
    put(c, ",\"display_name\":");
    put_str(c, literal);
    put(c, ",\"created_at\":\"" DEMO_DATE "\",\"lifecycle\":\"active\",\"capabilities\":null,"
           "\"max_input_tokens\":200000,\"max_tokens\":8192}");
}

static void gemini_model(struct demo_call *c, struct str literal)
{
    struct str name = unquoted(literal);
    put_str(c, str_starts(name, STR("models/")) ? STR("{\"name\":\"") : STR("{\"name\":\"models/"));
    put_str(c, name);
    put(c, "\",\"version\":\"001\",\"displayName\":");
    put_str(c, literal);
    put(c,
        ",\"description\":\"Demo model\",\"inputTokenLimit\":1048576,\"outputTokenLimit\":8192,"
        "\"supportedGenerationMethods\":[\"generateContent\",\"countTokens\",\"embedContent\"]}");
}

static void put_list(struct demo_call *c, const char *const *names, unsigned n,
    void (*one)(struct demo_call *, struct str))
{
    char literal[64];
    for (unsigned i = 0; i < n; i++) {
        size_t len = strlen(names[i]);
        literal[0] = literal[len + 1] = '"';
        memcpy(literal + 1, names[i], len);
        put_str(c, i ? STR(",") : STR(""));
        one(c, str_at(literal, len + 2));
    }
}

void demo_models(struct demo_call *c)
{
    if (c->dialect == DIALECT_ANTHROPIC) {
        put(c, "{\"data\":[");
        put_list(c, anthropic_models, ARRAY_LEN(anthropic_models), anthropic_model);
        putf(c, "],\"has_more\":false,\"first_id\":\"%s\",\"last_id\":\"%s\"}", anthropic_models[0],
            anthropic_models[ARRAY_LEN(anthropic_models) - 1]);
    } else if (c->dialect == DIALECT_GEMINI) {
        put(c, "{\"models\":[");
        put_list(c, gemini_models, ARRAY_LEN(gemini_models), gemini_model);
        put(c, "]}");
    } else {
        put(c, "{\"object\":\"list\",\"data\":[");
        put_list(c, openai_models, ARRAY_LEN(openai_models), openai_model);
        put(c, "]}");
    }
    demo_json(c);
}

void demo_model(struct demo_call *c)
{
    if (c->rq->head.method == HTTP_DELETE) {
        put(c, "{\"id\":");
        put_str(c, c->model);
        put(c, ",\"object\":\"model\",\"deleted\":true}");
    } else if (c->dialect == DIALECT_ANTHROPIC) {
        anthropic_model(c, c->model);
    } else if (c->dialect == DIALECT_GEMINI) {
        gemini_model(c, c->model);
    } else {
        openai_model(c, c->model);
    }
    demo_json(c);
}
