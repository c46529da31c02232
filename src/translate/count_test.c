/* Counting tokens: every client's request to every target that counts, and the counts back. */
#include "translate/count.h"

#include "base/limits.h"
#include "base/macros.h"
#include "base/tap.h"

#include <errno.h>

static struct arena arena;
static struct canon_call call;
static struct canon_request request;
static struct error error;
static struct buf out;

static void setup(const char *provider, const char *model)
{
    arena_free(&arena);
    arena_init(&arena, NULL, 0, 8 * MIB);
    buf_free(&out);
    buf_init(&out, MIB);
    error = (struct error){0};
    canon_call_init(&call, &arena, &error);
    canon_request_init(&request);
    call.provider = str_of(provider);
    call.model = str_of(model);
    call.model_shown = STR("shown");
    call.request = &request;
}

static const struct {
    const struct wire *from, *to;
    const char *provider, *model, *body, *upstream;
} rows[] = {
    {&wire_messages, &wire_gemini, "gemini", "gemini-2.5-flash",
        "{\"model\":\"m\",\"system\":\"s\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],"
        "\"tools\":[{\"name\":\"f\",\"input_schema\":{\"type\":\"object\"}}]}",
        "{\"generateContentRequest\":{\"model\":\"models/gemini-2.5-flash\",\"systemInstruction\":"
        "{\"parts\":[{\"text\":\"s\"}]},\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":"
        "\"hi\"}]}],\"tools\":[{\"functionDeclarations\":[{\"name\":\"f\","
        "\"parametersJsonSchema\":{\"type\":\"object\"}}]}]}}"},
    {&wire_messages, &wire_gemini, "vertex", "gemini-2.5-flash",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
        "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"hi\"}]}]}"},
    {&wire_gemini, &wire_messages, "anthropic", "claude-x",
        "{\"contents\":[{\"parts\":[{\"text\":\"hi\"}]}]}",
        "{\"model\":\"claude-x\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"},
    {&wire_gemini, &wire_messages, "anthropic", "claude-x",
        "{\"generateContentRequest\":{\"model\":\"models/x\",\"systemInstruction\":{\"parts\":[{"
        "\"text\":\"s\"}]},\"contents\":[{\"parts\":[{\"text\":\"hi\"}]}],\"generationConfig\":{"
        "\"temperature\":1}}}",
        "{\"model\":\"claude-x\",\"system\":\"s\",\"messages\":[{\"role\":\"user\",\"content\":"
        "\"hi\"}]}"},
    {&wire_messages, &wire_responses, "openai", "gpt-x",
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}", NULL},
    {&wire_responses, &wire_gemini, "gemini", "gemini-2.5-flash",
        "{\"model\":\"m\",\"input\":\"hi\",\"instructions\":\"s\"}",
        "{\"generateContentRequest\":{\"model\":\"models/gemini-2.5-flash\",\"systemInstruction\":"
        "{\"parts\":[{\"text\":\"s\"}]},\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":"
        "\"hi\"}]}]}}"},
    {&wire_messages, &wire_converse, "bedrock", "anthropic.claude-x",
        "{\"model\":\"m\",\"system\":\"s\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}",
        "{\"input\":{\"converse\":{\"messages\":[{\"role\":\"user\",\"content\":[{\"text\":\"hi\"}"
        "]}],\"system\":[{\"text\":\"s\"}]}}}"},
};

static void test_requests(void)
{
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        setup(rows[i].provider, rows[i].model);
        CHECK_EQ(count_read_request(&call, rows[i].from, str_of(rows[i].body), &request), 0);
        CHECK_EQ(count_write_request(&call, rows[i].to, &request, &out), 0);
        if (rows[i].upstream)
            CHECK_STR(buf_str(&out), str_of(rows[i].upstream));
        else
            CHECK(str_starts(buf_str(&out), STR("{\"model\":\"gpt-x\",\"input\":")));
        CHECK_EQ(call.lost_n, 0);
    }
}

static void test_refused(void)
{
    setup("gemini", "m");
    CHECK(count_read_request(&call, &wire_messages, STR("{}"), &request) < 0);
    CHECK_EQ(error.status, 400);
    setup("gemini", "m");
    CHECK(count_read_request(&call, &wire_gemini, STR("{\"generateContentRequest\":5}"), &request) <
          0);
    setup("gemini", "m");
    CHECK(count_read_request(&call, &wire_gemini, STR("no"), &request) < 0);
    CHECK_EQ(error.status, 400);
    CHECK(!count_is_served(&wire_cohere) && !count_is_served(&wire_ollama));
    CHECK(!count_is_served(&wire_chat) && count_is_served(&wire_converse));
    setup("cohere", "m");
    CHECK_EQ(count_write_request(&call, &wire_cohere, &request, &out), -ENOTSUP);
}

static void test_replies(void)
{
    static const struct {
        const struct wire *wire;
        const char *reply, *client;
    } replies[] = {
        {&wire_gemini, "{\"totalTokens\":42,\"promptTokensDetails\":[]}", "{\"totalTokens\":42}"},
        {&wire_messages, "{\"input_tokens\":42}", "{\"input_tokens\":42}"},
        {&wire_responses, "{\"object\":\"response.input_tokens\",\"input_tokens\":42}",
            "{\"object\":\"response.input_tokens\",\"input_tokens\":42}"},
        {&wire_converse, "{\"inputTokens\":42}", "{\"inputTokens\":42}"},
    };
    static const char *const bad[] = {"", "{}", "{\"totalTokens\":\"x\"}", "[]"};
    for (unsigned i = 0; i < ARRAY_LEN(replies); i++) {
        uint64_t n = 0;
        setup("p", "m");
        CHECK_EQ(count_read_reply(&call, replies[i].wire, str_of(replies[i].reply), &n), 0);
        CHECK_EQ(n, 42);
        CHECK_EQ(count_write_reply(&call, replies[i].wire, n, &out), 0);
        CHECK_STR(buf_str(&out), str_of(replies[i].client));
    }
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        uint64_t n;
        setup("p", "m");
        CHECK(count_read_reply(&call, &wire_gemini, str_of(bad[i]), &n) < 0);
        CHECK_EQ(error.status, 502);
    }
}

static void test_endpoints(void)
{
    CHECK(count_wire_for(DIALECT_ANTHROPIC, KIND_COUNT_TOKENS, STR("messages/count_tokens")) ==
          &wire_messages);
    CHECK(count_wire_for(DIALECT_GEMINI, KIND_GEMINI_COUNT, STR("models/x:countTokens")) ==
          &wire_gemini);
    CHECK(count_wire_for(DIALECT_OPENAI, KIND_RESPONSES_AUX, STR("responses/input_tokens")) ==
          &wire_responses);
    CHECK(!count_wire_for(DIALECT_OPENAI, KIND_RESPONSES_AUX, STR("responses/compact")));
    CHECK(!count_wire_for(DIALECT_OPENAI, KIND_CHAT, STR("chat/completions")));
}

int main(void)
{
    TAP_RUN(test_requests);
    TAP_RUN(test_refused);
    TAP_RUN(test_replies);
    TAP_RUN(test_endpoints);
    arena_free(&arena);
    buf_free(&out);
    return tap_done();
}
