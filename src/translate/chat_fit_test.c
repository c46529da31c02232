/*
 * What a provider gets of a chat body in its own dialect: each case is a body, a provider, and what
 * becomes of it, as text.
 */
#include "translate/chat.h"

#include "base/buf.h"
#include "base/tap.h"
#include "llm/prices.h"

#include "json/splice.h"
#include <stdio.h>

#define HEAD       "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]"
#define WITH(more) HEAD "," more "}"

/* Whether it is plain, too. */
static bool find_messages(struct str body, struct json_span *ret)
{
    const struct json_want want = {STR_INIT("messages")};
    struct json_set set;
    struct json_error e;
    enum json_type top;
    unsigned seen;

    json_set_init(&set, &want, 1);
    chat_fit_watch(&set, 1);
    must(json_scan_set(body, &set, ret, &seen, &top, &e) == 0);
    return !seen;
}

static void fit(
    const char *provider, const struct model_facts *facts, struct str body, struct chat_fit *ret)
{
    struct json_span messages;
    struct chat_call c = {
        .provider = str_of(provider), .facts = facts, .body = body, .messages = &messages};

    c.is_plain = find_messages(body, &messages);
    chat_fit(&c, ret);
}

/* The body with its edits, or "anew", and what is lost behind it: "{…} lost a, b". */
static struct str outcome(const char *provider, const struct model_facts *facts, const char *body)
{
    static char text[4096];
    struct chat_fit f;
    struct splice s;
    size_t n;

    fit(provider, facts, str_of(body), &f);
    if (f.way == CHAT_ANEW)
        return STR("anew");
    splice_init(&s, str_of(body));
    for (unsigned i = 0; i < f.edits_n; i++)
        must(splice_replace(&s, f.edits[i].from, f.edits[i].to, f.edits[i].with) == 0);
    must((f.way == CHAT_EDITED) == (f.edits_n > 0));
    n = splice_length(&s);
    must(n + 200 < sizeof text);
    splice_copy(&s, text);
    for (unsigned i = 0, first = 1; i < f.edits_n; i++)
        if (f.edits[i].lost.n) {
            n += (size_t)sprintf(
                text + n, first ? " lost " STR_FMT : ", " STR_FMT, STR_ARG(f.edits[i].lost));
            first = 0;
        }
    return str_at(text, n);
}

#define IS(provider, facts, body, wanted) CHECK_STR(outcome(provider, facts, body), str_of(wanted))
#define STAYS(provider, facts, body)      IS(provider, facts, body, body)

static void test_what_is_plain_stays(void)
{
    static const char *const all[] = {"openai", "azure", "mistral", "deepseek", "perplexity",
        "groq", "xai", "together", "ollama", "gemini", "cohere", "nvidia_nim", "vllm", "fireworks",
        "novita", "lm_studio", "openrouter", "vercel"};

    for (unsigned i = 0; i < ARRAY_LEN(all); i++) {
        STAYS(all[i], NULL, WITH("\"temperature\":0.2,\"max_tokens\":5,\"stream\":true"));
        STAYS(all[i], NULL,
            WITH("\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]"));
        STAYS(all[i], NULL, WITH("\"of_its_own\":{\"a\":[1]}"));
    }
}

static void test_nothing_is_known_of_a_server(void)
{
    STAYS("openai_compatible", NULL, WITH("\"top_k\":3,\"max_completion_tokens\":5,\"seed\":1"));
}

static void test_members_get_the_providers_names(void)
{
    IS("mistral", NULL, WITH("\"seed\":7,\"max_completion_tokens\" : 5"),
        WITH("\"random_seed\":7,\"max_tokens\":5"));
    IS("together", NULL, "{\"max_completion_tokens\":5,\"messages\":[{\"role\":\"user\"}]}",
        "{\"max_tokens\":5,\"messages\":[{\"role\":\"user\"}]}");
    IS("together", NULL, WITH("\"max_tokens\":5,\"max_completion_tokens\":6"), "anew");
    STAYS("groq", NULL, WITH("\"max_completion_tokens\":5"));
    STAYS("openai", NULL, WITH("\"max_tokens\":5,\"max_completion_tokens\":6"));
}

/* The comma goes with it, wherever it stands. */
static void test_members_are_taken_out(void)
{
    IS("mistral", NULL, WITH("\"user\":\"u\""), HEAD "} lost user");
    IS("mistral", NULL, WITH("\"user\":\"u\" , \"stream\":true"),
        HEAD " , \"stream\":true} lost user");
}

static void test_the_first_and_the_last_are_taken_out(void)
{
    IS("mistral", NULL,
        "{ \"user\":\"u\", \"logit_bias\":{\"1\":2} ,\"messages\":[1],\"store\":true}",
        "{ \"messages\":[1]} lost user, logit_bias, store");
    IS("mistral", NULL, "{\"user\":\"u\",\"seed\":1,\"messages\":[1]}",
        "{\"random_seed\":1,\"messages\":[1]} lost user");
    IS("mistral", NULL, "{\"messages\":[1],\"user\":\"u\",\"store\":true,\"stream\":true}",
        "{\"messages\":[1],\"stream\":true} lost user, store");
}

static void test_many_are_for_the_writer(void)
{
    IS("mistral", NULL,
        WITH("\"user\":\"u\",\"store\":true,\"logit_bias\":{\"1\":1},\"verbosity\":\"low\","
             "\"prompt_cache_retention\":\"24h\",\"audio\":{}"),
        "anew");
}

static void test_what_says_nothing_is_no_loss(void)
{
    IS("mistral", NULL, WITH("\"store\":false,\"user\":null,\"verbosity\":\"medium\""), HEAD "}");
    IS("gemini", NULL, WITH("\"frequency_penalty\":0.0,\"presence_penalty\":0"), HEAD "}");
    IS("cohere", NULL, WITH("\"parallel_tool_calls\":true,\"n\":1"), WITH("\"n\":1"));
}

static void test_streams_that_report_usage_unasked(void)
{
    struct chat_fit f;

    IS("mistral", NULL, WITH("\"stream\":true,\"stream_options\":{\"include_usage\":true}"),
        WITH("\"stream\":true"));
    fit("mistral", NULL, STR(WITH("\"stream\":true")), &f);
    CHECK(f.usage_unasked);
    fit("groq", NULL, STR(WITH("\"stream\":true")), &f);
    CHECK(!f.usage_unasked);
}

/* Abilities are the facts'. */
static void test_what_models_refuse(void)
{
    const struct model_facts o3 = {
        .flags = MODEL_REASONING | MODEL_NO_SAMPLING | MODEL_MAX_COMPLETION_TOKENS};
    const struct model_facts plain = {.flags = MODEL_TOOLS};
    const struct model_facts bare = {.flags = MODEL_NO_SAMPLING};

    IS("openai", &o3, WITH("\"temperature\":0.5,\"stop\":\"x\""), HEAD "} lost temperature, stop");
    STAYS("openai", &o3, WITH("\"temperature\":1.0,\"top_p\":1"));
    STAYS("openai", &o3, WITH("\"reasoning_effort\":\"xhigh\""));
    IS("openai", &plain, WITH("\"reasoning_effort\":\"high\""), HEAD "} lost reasoning_effort");
    STAYS("openai", &bare, WITH("\"reasoning_effort\":\"high\""));
    STAYS("openai", NULL, WITH("\"temperature\":0.5,\"stop\":\"x\""));
}

static void test_efforts_that_a_provider_lacks(void)
{
    STAYS("groq", NULL, WITH("\"reasoning_effort\":\"high\""));
    STAYS("groq", NULL, WITH("\"reasoning_effort\":\"default\""));
    IS("groq", NULL, WITH("\"reasoning_effort\":\"xhigh\""), "anew");
    IS("deepseek", NULL, WITH("\"reasoning_effort\":\"none\""), "anew");
    STAYS("openrouter", NULL, WITH("\"reasoning\":{\"effort\":\"low\"}"));
    IS("openai", NULL, WITH("\"reasoning\":{\"effort\":\"low\"}"), "anew");
    STAYS("together", NULL, WITH("\"reasoning\":{\"enabled\":false}"));
    STAYS("deepseek", NULL, WITH("\"thinking\":{\"type\":\"enabled\"}"));
    IS("openai", NULL, WITH("\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":2000}"), "anew");
}

static void test_members_whose_value_is_refused(void)
{
    IS("deepseek", NULL, WITH("\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{}}"),
        "anew");
    STAYS("deepseek", NULL, WITH("\"response_format\":{\"type\":\"json_object\"}"));
    IS("groq", NULL, WITH("\"n\":2"), "anew");
    IS("together", NULL, WITH("\"logprobs\":true"), "anew");
    IS("together", NULL, WITH("\"parallel_tool_calls\":false"), HEAD "} lost parallel_tool_calls");
    STAYS("mistral", NULL, WITH("\"tool_choice\":\"required\""));
    IS("mistral", NULL, WITH("\"tool_choice\":{\"type\":\"allowed_tools\"}"), "anew");
}

#define SAY(messages) "{\"model\":\"m\",\"messages\":[" messages "]}"
#define CALL(id)                                                                                   \
    "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"" id                       \
    "\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}"
#define RESULT(id) "{\"role\":\"tool\",\"tool_call_id\":\"" id "\",\"content\":\"42\"}"
#define USER(text) "{\"role\":\"user\",\"content\":\"" text "\"}"

static void test_roles_and_names(void)
{
    IS("mistral", NULL, SAY("{\"role\":\"developer\",\"content\":\"s\"}," USER("a")), "anew");
    STAYS("openai", NULL, SAY("{\"role\":\"developer\",\"content\":\"s\"}," USER("a")));
    STAYS("mistral", NULL, SAY(USER("the \\\"role\\\":\\\"developer\\\" and a \\\"name\\\"")));
    IS("groq", NULL, SAY("{\"role\":\"user\",\"name\":\"eve\",\"content\":\"a\"}"), "anew");
    STAYS("openai", NULL, SAY("{\"role\":\"user\",\"name\":\"eve\",\"content\":\"a\"}"));
    IS("perplexity", NULL, SAY(USER("a") "," USER("b")), "anew");
    STAYS("perplexity", NULL, SAY("{\"role\":\"system\",\"content\":\"s\"}," USER("b")));
    const struct model_facts old = {.flags = MODEL_REASONING | MODEL_NO_SYSTEM};
    IS("openai", &old, SAY("{\"role\":\"system\",\"content\":\"s\"}," USER("b")), "anew");
}

static void test_ids_of_calls(void)
{
    STAYS("mistral", NULL, SAY(USER("a") "," CALL("abcDEF123") "," RESULT("abcDEF123")));
    IS("mistral", NULL, SAY(USER("a") "," CALL("call_1") "," RESULT("call_1")), "anew");
    IS("mistral", NULL, SAY(USER("a") "," CALL("abcDEF123") "," RESULT("abcDEF123") "," USER("b")),
        "anew");
    STAYS("openai", NULL, SAY(USER("a") "," CALL("call_1") "," RESULT("call_1") "," USER("b")));
    IS("openai", NULL,
        SAY(USER("a") "," CALL(
            "call_1__thought__0123456789012345678901234567890123456789") "," RESULT("call_1__"
                                                                                    "thought__"
                                                                                    "01234567890123"
                                                                                    "45678901234567"
                                                                                    "89012345678"
                                                                                    "9")),
        "anew");
}

static void test_what_other_providers_left(void)
{
#define THOUGHT(member) "{\"role\":\"assistant\",\"content\":\"a\",\"" member "\":"
    IS("openai", NULL, SAY(USER("a") "," THOUGHT("reasoning_content") "\"hm\"}," USER("b")),
        "anew");
    STAYS("vllm", NULL, SAY(USER("a") "," THOUGHT("reasoning_content") "\"hm\"}," USER("b")));
    STAYS("deepseek", NULL, SAY(USER("a") "," THOUGHT("reasoning_content") "\"hm\"}," USER("b")));
    IS("vllm", NULL, SAY(USER("a") "," THOUGHT("thinking_blocks") "[{}]}," USER("b")), "anew");
    STAYS("openai", NULL, SAY(USER("a") "," THOUGHT("reasoning_content") "null}," USER("b")));
    STAYS("openrouter", NULL, SAY(USER("a") "," THOUGHT("reasoning_details") "[{}]}," USER("b")));
    IS("openai", NULL,
        SAY("{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\","
            "\"cache_control\":{\"type\":\"ephemeral\"}}]}"),
        "anew");
}

static void test_parts_and_tools(void)
{
#define PART(rest) SAY("{\"role\":\"user\",\"content\":[{\"type\":" rest "}]}")
    IS("mistral", NULL, PART("\"file\",\"file\":{\"file_id\":\"f\"}"), "anew");
    STAYS("mistral", NULL, PART("\"document_url\",\"document_url\":\"https://x.org/a.pdf\""));
    IS("deepseek", NULL, PART("\"text\",\"text\":\"a\""), "anew");
    IS("ollama", NULL, PART("\"image_url\",\"image_url\":{\"url\":\"https://x.org/a\"}"), "anew");
    STAYS(
        "ollama", NULL, PART("\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,AA\"}"));
    IS("groq", NULL, WITH("\"tools\":[{\"type\":\"custom\",\"custom\":{\"name\":\"f\"}}]"), "anew");
    STAYS("openai", NULL, WITH("\"tools\":[{\"type\":\"custom\",\"custom\":{\"name\":\"f\"}}]"));
    IS("xai", NULL,
        WITH("\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"strict\":true}}]"),
        "anew");
}

static bool is_native(const char *provider, const struct model_facts *facts, const char *body)
{
    struct chat_fit f;

    fit(provider, facts, str_of(body), &f);
    return f.native;
}

static void test_when_its_own_dialect_is_better(void)
{
    const struct model_facts thinks = {.flags = MODEL_REASONING | MODEL_TOOLS};
    const char *tools = WITH("\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]");

    CHECK(!is_native("gemini", &thinks, WITH("\"temperature\":0.5,\"max_tokens\":9")));
    CHECK(is_native("gemini", &thinks, tools));
    CHECK(!is_native("gemini", NULL, tools));
    CHECK(is_native("gemini", &thinks, WITH("\"reasoning_effort\":\"low\"")));
    CHECK(!is_native("gemini", &thinks, WITH("\"reasoning_effort\":\"none\"")));
    CHECK(is_native("gemini", &thinks, WITH("\"seed\":1")));
    CHECK(!is_native("gemini", &thinks, WITH("\"store\":false")));
    CHECK(!is_native("gemini", &thinks, WITH("\"seed\":1,\"extra_body\":{\"google\":{}}")));
    CHECK(is_native("ollama", &thinks, WITH("\"top_k\":1")));
    CHECK(!is_native("openai", &thinks, WITH("\"top_k\":1")));
}

int main(void)
{
    TAP_RUN(test_what_is_plain_stays);
    TAP_RUN(test_nothing_is_known_of_a_server);
    TAP_RUN(test_members_get_the_providers_names);
    TAP_RUN(test_members_are_taken_out);
    TAP_RUN(test_the_first_and_the_last_are_taken_out);
    TAP_RUN(test_many_are_for_the_writer);
    TAP_RUN(test_what_says_nothing_is_no_loss);
    TAP_RUN(test_streams_that_report_usage_unasked);
    TAP_RUN(test_what_models_refuse);
    TAP_RUN(test_efforts_that_a_provider_lacks);
    TAP_RUN(test_members_whose_value_is_refused);
    TAP_RUN(test_roles_and_names);
    TAP_RUN(test_ids_of_calls);
    TAP_RUN(test_what_other_providers_left);
    TAP_RUN(test_parts_and_tools);
    TAP_RUN(test_when_its_own_dialect_is_better);
    return tap_done();
}
