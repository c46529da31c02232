/*
 * Local counts. Exact ones need the ranks, which ./run makes; SF_SHARE names their folder. Without
 * them those tests are skipped and the estimates are tested.
 */
#include "llm/tokens.h"

#include "base/limits.h"
#include "base/tap.h"
#include <stdio.h>
#include <stdlib.h>

static bool have_ranks;

static uint64_t of(enum endpoint_kind kind, const char *body)
{
    return tokens_of_request(STR("gpt-4o"), kind, str_of(body));
}

/* What tiktoken says. */
static void test_exact(void)
{
    bool exact = false;

    CHECK_EQ(tokens_count(STR("gpt-4o"), STR("hello world"), &exact), 2);
    CHECK(exact);
    CHECK_EQ(tokens_count(STR("gpt-4"), STR("tiktoken is great!"), &exact), 6);
    CHECK(exact);
    CHECK_EQ(tokens_count(STR("gpt-4o"), STR(""), &exact), 0);
    tokens_count(STR("claude-sonnet-4-6"), STR("hello world"), &exact);
    CHECK(!exact);
    CHECK(tokens_ready(STR("gpt-4o")));
}

/* OpenAI's recipe: three a message, its role and content, and three for the answer. */
static void test_chat_recipe(void)
{
    CHECK_EQ(of(KIND_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":\"hello world\"}]}"),
        3 + 1 + 2 + 3);
    CHECK_EQ(of(KIND_CHAT, "{\"messages\":[{\"role\":\"system\",\"content\":\"hello\"},"
                           "{\"role\":\"user\",\"content\":\"hello\\nworld\"}]}"),
        2 * 3 + 1 + 1 + 1 + 3 + 3);
    CHECK_EQ(of(KIND_EMBEDDINGS, "{\"input\":[\"hello world\",\"hello world\"]}"), 4);
    CHECK_EQ(of(KIND_EMBEDDINGS, "{\"input\":\"hello world\",\"user\":\"not counted\"}"), 2);
}

static void test_estimate(void)
{
    bool exact = true;

    CHECK_EQ(tokens_count(STR("gpt-4o"), STR("12345678"), &exact), 2);
    CHECK(!exact);
    CHECK_EQ(tokens_count(STR("gpt-4o"), STR("1"), NULL), 1);
    CHECK_EQ(of(KIND_EMBEDDINGS, "{\"input\":\"12345678\"}"), 2);
}

/* A text that is counted bit by bit, as a stream's is, has the tokens of the whole. */
static void test_bit_by_bit(void)
{
    static const char *const words[] = {"the", " quick", " brown", "\n\n", "  ", "fox", "'s",
        " 1234567", "\xe4\xba\xba", " \xd0\xb4\xd0\xbe\xd0\xbc", "{\"a\":", "!!", "\t", "-"};
    static char text[60000];
    uint64_t seed = 3, sum = 0;
    size_t n = 0, from = 0, counts = 0;

    while (n + 16 < sizeof text) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        const char *word = words[(seed >> 33) % ARRAY_LEN(words)];
        memcpy(text + n, word, strlen(word));
        n += strlen(word);
        if (n - from < 3000)
            continue;
        size_t used;
        sum += tokens_count_begun(STR("gpt-4o"), str_at(text + from, n - from), &used);
        from += used;
        counts++;
    }
    sum += tokens_count(STR("gpt-4o"), str_at(text + from, n - from), NULL);
    CHECK(counts > 10);
    CHECK_EQ(sum, tokens_count(STR("gpt-4o"), str_at(text, n), NULL));
}

/* Pictures, sound and files have a flat price, however many bytes they are. */
static void test_flat(void)
{
    char *body = malloc(200000);
    static const char *const parts[] = {"\"image_url\":{\"url\":\"data:%s\"}",
        "\"input_audio\":{\"data\":\"%s\",\"format\":\"wav\"}", "\"inlineData\":{\"data\":\"%s\"}",
        "\"source\":{\"type\":\"base64\",\"data\":\"%s\"}", "\"file_data\":\"%s\""};
    char data[50001];

    CHECK(body);
    memset(data, 'A', sizeof data - 1);
    data[sizeof data - 1] = 0;
    for (unsigned i = 0; i < ARRAY_LEN(parts); i++) {
        char part[64], form[256];
        snprintf(part, sizeof part, "%s", parts[i]);
        snprintf(
            form, sizeof form, "{\"messages\":[{\"role\":\"user\",\"content\":[{%s}]}]}", part);
        snprintf(body, 200000, form, data);
        uint64_t n = of(KIND_CHAT, body);
        if (n < 700 || n > 900)
            tap_fail(__FILE__, __LINE__, "%s: %llu", parts[i], (unsigned long long)n);
    }
    free(body);
}

/* Beyond the exact part a request is estimated; it is still counted. */
static void test_large(void)
{
    enum { TEXT = 6 * 1024 * 1024 };
    char *body = malloc(TEXT + 64);

    CHECK(body);
    int n = snprintf(body, 64, "{\"input\":\"");
    memset(body + n, 'a', TEXT);
    strcpy(body + n + TEXT, "\"}");
    CHECK_EQ(of(KIND_EMBEDDINGS, body), (TEXT + 2) / 4);
    free(body);
}

static void test_hostile(void)
{
    static const char *const bodies[] = {"", "[]", "null", "{", "{\"messages\"", "{\"messages\":[",
        "{\"messages\":[{\"content\":\"\\", "{\"input\":\"\\ud800\"}", "{\"input\":[[[[[[[[[[[["};
    char deep[4096];

    for (unsigned i = 0; i < ARRAY_LEN(bodies); i++)
        CHECK(of(KIND_CHAT, bodies[i]) < 10);
    int n = snprintf(deep, sizeof deep, "{\"input\":");
    memset(deep + n, '[', sizeof deep - (size_t)n);
    CHECK(tokens_of_request(STR("x"), KIND_RESPONSES, str_at(deep, sizeof deep)) < 10);
}

int main(void)
{
    const char *share = getenv("SF_SHARE");

    have_ranks = share && share[0];
    if (have_ranks) {
        tokens_set_share(share);
        TAP_RUN(test_exact);
        TAP_RUN(test_chat_recipe);
    } else {
        fputs("the exact counts are not tested: SF_SHARE is not set\n", stderr);
        TAP_RUN(test_estimate);
        TAP_RUN(test_large);
    }
    TAP_RUN(test_bit_by_bit);
    TAP_RUN(test_flat);
    TAP_RUN(test_hostile);
    return tap_done();
}
