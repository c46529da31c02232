/* Embeddings: requests to each provider, replies of each, both clients, both forms of vectors. */
#include "translate/embeddings_int.h"

#include "translate/call_test.h"

#include <errno.h>
#include <stdio.h>

static struct embed_request request;

static void begin(const char *model)
{
    t_begin(model);
    call.model_shown = STR("shown");
    call.input_estimate = 9;
}

/* --- requests --- */

static const struct {
    enum embed_wire from, to;
    const char *model, *body, *upstream, *lost;
} rows[] = {
    {EMBED_OPENAI, EMBED_GEMINI, "gemini-embedding-001",
        "{\"model\":\"m\",\"input\":[\"a\",\"b\"],\"dimensions\":256,\"encoding_format\":"
        "\"base64\",\"user\":\"u\"}",
        "{\"requests\":[{\"model\":\"models/gemini-embedding-001\",\"content\":{\"parts\":[{"
        "\"text\":\"a\"}]},\"outputDimensionality\":256},{\"model\":\"models/"
        "gemini-embedding-001\",\"content\":{\"parts\":[{\"text\":\"b\"}]},"
        "\"outputDimensionality\":256}]}",
        "user"},
    {EMBED_OPENAI, EMBED_GEMINI, "e",
        "{\"model\":\"m\",\"input\":\"a\",\"input_type\":\"search_query\"}",
        "{\"requests\":[{\"model\":\"models/e\",\"content\":{\"parts\":[{\"text\":\"a\"}]},"
        "\"taskType\":\"RETRIEVAL_QUERY\"}]}",
        ""},
    {EMBED_OPENAI, EMBED_VERTEX, "text-embedding-005",
        "{\"model\":\"m\",\"input\":[\"a\",\"b\"],\"dimensions\":64,\"input_type\":\"passage\"}",
        "{\"instances\":[{\"content\":\"a\",\"task_type\":\"RETRIEVAL_DOCUMENT\"},{\"content\":"
        "\"b\",\"task_type\":\"RETRIEVAL_DOCUMENT\"}],\"parameters\":{\"outputDimensionality\":"
        "64}}",
        ""},
    {EMBED_OPENAI, EMBED_COHERE, "embed-v4.0",
        "{\"model\":\"m\",\"input\":[\"a\",\"b\"],\"dimensions\":256}",
        "{\"model\":\"embed-v4.0\",\"input_type\":\"search_document\",\"texts\":[\"a\",\"b\"],"
        "\"output_dimension\":256,\"embedding_types\":[\"float\"]}",
        ""},
    {EMBED_OPENAI, EMBED_OLLAMA, "nomic",
        "{\"model\":\"m\",\"input\":\"a\",\"input_type\":\"query\",\"foo\":1}",
        "{\"model\":\"nomic\",\"input\":[\"a\"]}", "input_type, foo"},
    {EMBED_OPENAI, EMBED_TITAN, "amazon.titan-embed-text-v2:0",
        "{\"model\":\"m\",\"input\":\"a\",\"dimensions\":256}",
        "{\"inputText\":\"a\",\"dimensions\":256}", ""},
    {EMBED_OPENAI, EMBED_TITAN, "amazon.titan-embed-text-v1",
        "{\"model\":\"m\",\"input\":\"a\",\"dimensions\":256}", "{\"inputText\":\"a\"}",
        "dimensions"},
    {EMBED_OPENAI, EMBED_BEDROCK_COHERE, "cohere.embed-english-v3",
        "{\"model\":\"m\",\"input\":[\"a\"],\"input_type\":\"classification\"}",
        "{\"input_type\":\"classification\",\"texts\":[\"a\"],\"embedding_types\":[\"float\"]}",
        ""},
    {EMBED_GEMINI, EMBED_OPENAI, "text-embedding-3-small",
        "{\"requests\":[{\"model\":\"models/x\",\"content\":{\"parts\":[{\"text\":\"a\"},{\"text\":"
        "\"b\"}]},\"taskType\":\"RETRIEVAL_QUERY\",\"output_dimensionality\":64},{\"content\":{"
        "\"parts\":{\"text\":\"c\"}},\"taskType\":\"RETRIEVAL_QUERY\",\"outputDimensionality\":"
        "64}]}",
        "{\"model\":\"text-embedding-3-small\",\"input\":[\"a\\nb\",\"c\"],\"dimensions\":64}",
        "requests[1].taskType"},
    {EMBED_GEMINI_ONE, EMBED_OPENAI, "t",
        "{\"content\":{\"parts\":[{\"text\":\"a\"}]},\"title\":\"T\"}",
        "{\"model\":\"t\",\"input\":\"a\"}", "title"},
    {EMBED_GEMINI_ONE, EMBED_COHERE, "c",
        "{\"content\":{\"parts\":[{\"text\":\"a\"}]},\"embedContentConfig\":{\"taskType\":"
        "\"SEMANTIC_SIMILARITY\"}}",
        "{\"model\":\"c\",\"input_type\":\"search_document\",\"texts\":[\"a\"],"
        "\"embedding_types\":[\"float\"]}",
        "embedContentConfig.taskType"},
    {EMBED_OPENAI, EMBED_OPENAI, "t",
        "{\"model\":\"m\",\"input\":[[1,2],[3]],\"encoding_format\":\"base64\",\"user\":\"u\"}",
        "{\"model\":\"t\",\"input\":[[1,2],[3]],\"encoding_format\":\"base64\",\"user\":\"u\"}",
        ""},
};

static void test_requests(void)
{
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        unsigned n = 0;
        begin(rows[i].model);
        CHECK_EQ(embed_read_request(&call, rows[i].from, str_of(rows[i].body), &request), 0);
        CHECK_EQ(embed_write_request(&call, rows[i].to, &request, 0, &out, &n), 0);
        CHECK_EQ(n, request.inputs_n);
        CHECK_STR(buf_str(&out), str_of(rows[i].upstream));
        CHECK_STR(canon_lost_names(&call), str_of(rows[i].lost));
    }
}

static void test_refused(void)
{
    static const struct {
        enum embed_wire from;
        const char *body, *param;
    } bad[] = {
        {EMBED_OPENAI, "{\"model\":\"m\"}", "input"},
        {EMBED_OPENAI, "{\"input\":[]}", "input"},
        {EMBED_OPENAI, "{\"input\":5}", "input"},
        {EMBED_OPENAI, "{\"input\":[\"a\",{}]}", "input[1]"},
        {EMBED_OPENAI, "{\"input\":\"a\",\"encoding_format\":\"hex\"}", "encoding_format"},
        {EMBED_OPENAI, "{\"input\":\"a\",\"dimensions\":0}", "dimensions"},
        {EMBED_OPENAI, "{\"input\":\"a\",\"dimensions\":\"x\"}", "dimensions"},
        {EMBED_OPENAI, "{\"input\":[1.5]}", "input[0]"},
        {EMBED_GEMINI, "{}", "requests"},
        {EMBED_GEMINI, "{\"requests\":[{}]}", "requests[0].content"},
        {EMBED_GEMINI, "{\"requests\":[{\"content\":{\"parts\":[{\"inlineData\":{}}]}}]}",
            "requests[0].content.parts[0]"},
        {EMBED_GEMINI,
            "{\"requests\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]}},{\"content\":{\"parts\":[{"
            "\"text\":\"a\"}]},\"outputDimensionality\":5}]}",
            "requests[1]"},
        {EMBED_GEMINI_ONE, "{}", "content"},
        {EMBED_GEMINI_ONE, "[]", ""},
    };
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        begin("m");
        CHECK(embed_read_request(&call, bad[i].from, str_of(bad[i].body), &request) < 0);
        CHECK_EQ(error.status, 400);
        CHECK_STR(error.param, str_of(bad[i].param));
    }
}

/* Token ids mean something else to every tokenizer. */
static void test_tokens(void)
{
    unsigned n;
    begin("m");
    CHECK_EQ(embed_read_request(&call, EMBED_OPENAI, STR("{\"input\":[1,2,3]}"), &request), 0);
    CHECK(request.one && request.inputs_n == 1);
    CHECK(embed_write_request(&call, EMBED_GEMINI, &request, 0, &out, &n) < 0);
    CHECK_STR(error.param, STR("input"));
}

/* --- batches --- */

static void fill(unsigned inputs)
{
    struct buf body;
    buf_init(&body, MIB);
    buf_addstr(&body, STR("{\"input\":["));
    for (unsigned i = 0; i < inputs; i++)
        buf_printf(&body, "%s\"t%u\"", i ? "," : "", i);
    buf_addstr(&body, STR("]}"));
    embed_read_request(&call, EMBED_OPENAI, buf_str(&body), &request);
    buf_free(&body);
}

static void test_batches(void)
{
    static const struct {
        enum embed_wire to;
        const char *model;
        unsigned calls;
    } limits[] = {{EMBED_GEMINI, "m", 3}, {EMBED_COHERE, "m", 3}, {EMBED_TITAN, "m", 250},
        {EMBED_OPENAI, "m", 1}, {EMBED_OLLAMA, "m", 1}, {EMBED_VERTEX, "text-embedding-005", 1},
        {EMBED_VERTEX, "gemini-embedding-001", 250}, {EMBED_BEDROCK_COHERE, "m", 3}};
    for (unsigned i = 0; i < ARRAY_LEN(limits); i++) {
        unsigned calls = 0, n, first;
        begin(limits[i].model);
        fill(250);
        CHECK_EQ(request.inputs_n, 250);
        for (first = 0; first < request.inputs_n; first += n, calls++) {
            buf_clear(&out);
            CHECK_EQ(embed_write_request(&call, limits[i].to, &request, first, &out, &n), 0);
            CHECK(n > 0);
        }
        CHECK_EQ(first, 250);
        CHECK_EQ(calls, limits[i].calls);
    }
    CHECK_EQ(embed_batch(EMBED_OPENAI, STR("gemini"), STR("m")), 100);
    CHECK_EQ(embed_batch(EMBED_OPENAI, STR("cohere"), STR("m")), 96);
    CHECK_EQ(embed_batch(EMBED_OPENAI, STR("openai"), STR("m")), EMBED_INPUTS_MAX);
    begin("m");
    fill(EMBED_INPUTS_MAX + 1);
    CHECK_EQ(error.status, 400);
}

/* --- replies --- */

static const struct {
    enum embed_wire to;
    const char *body;
    uint64_t tokens;
} replies[] = {
    {EMBED_OPENAI,
        "{\"data\":[{\"index\":0,\"embedding\":[0.50,-1e-3]},{\"index\":1,\"embedding\":[1,2]}],"
        "\"usage\":{\"prompt_tokens\":7,\"total_tokens\":7}}",
        7},
    {EMBED_GEMINI,
        "{\"embeddings\":[{\"values\":[0.50,-1e-3]},{\"values\":[1,2]}],\"usageMetadata\":{"
        "\"promptTokenCount\":7}}",
        7},
    {EMBED_VERTEX,
        "{\"predictions\":[{\"embeddings\":{\"values\":[0.50,-1e-3],\"statistics\":{"
        "\"token_count\":3}}},{\"embeddings\":{\"values\":[1,2],\"statistics\":{\"token_count\":4}}"
        "}]}",
        7},
    {EMBED_COHERE,
        "{\"id\":\"x\",\"embeddings\":{\"float\":[[0.50,-1e-3],[1,2]]},\"meta\":{\"billed_units\":{"
        "\"input_tokens\":7.0}}}",
        7},
    {EMBED_OLLAMA, "{\"embeddings\":[[0.50,-1e-3],[1,2]],\"prompt_eval_count\":7}", 7},
    {EMBED_BEDROCK_COHERE, "{\"embeddings\":[[0.50,-1e-3],[1,2]]}", 0},
};

static void test_replies(void)
{
    for (unsigned i = 0; i < ARRAY_LEN(replies); i++) {
        struct embed_reply r = {0};
        char want[512];
        unsigned long long tokens = replies[i].tokens ? replies[i].tokens : 9;
        begin("m");
        fill(2);
        CHECK_EQ(embed_read_reply(&call, replies[i].to, str_of(replies[i].body), 2, &r), 0);
        CHECK_EQ(usage_input_total(&r.usage), replies[i].tokens);
        CHECK_EQ(r.usage.source, replies[i].tokens ? USAGE_REPORTED : USAGE_UNKNOWN);
        CHECK_EQ(embed_write_reply(&call, &request, &r, &out), 0);
        snprintf(want, sizeof(want),
            "{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"index\":0,\"embedding\":"
            "[0.50,-1e-3]},{\"object\":\"embedding\",\"index\":1,\"embedding\":[1,2]}],\"model\":"
            "\"shown\",\"usage\":{\"prompt_tokens\":%llu,\"total_tokens\":%llu}}",
            tokens, tokens);
        CHECK_STR(buf_str(&out), str_of(want));
    }
}

/* Titan answers one input a call. */
static void test_sums(void)
{
    struct embed_reply r = {0};
    begin("amazon.titan-embed-text-v2:0");
    fill(40);
    for (unsigned i = 0; i < 40; i++)
        CHECK_EQ(embed_read_reply(&call, EMBED_TITAN,
                     STR("{\"embedding\":[0.5],\"inputTextTokenCount\":3}"), 1, &r),
            0);
    CHECK_EQ(r.vectors_n, 40);
    CHECK_EQ(usage_input_total(&r.usage), 120);
    CHECK_EQ(embed_write_reply(&call, &request, &r, &out), 0);
}

static void test_bad_replies(void)
{
    static const char *const bodies[] = {"", "[]", "{}", "{\"embeddings\":[]}",
        "{\"embeddings\":[{\"values\":[1]}]}", "{\"embeddings\":[{\"values\":5},{\"values\":[1]}]}",
        "{\"embeddings\":[{\"values\":[1]},{\"values\":[1]},{\"values\":[1]}]}"};
    for (unsigned i = 0; i < ARRAY_LEN(bodies); i++) {
        struct embed_reply r = {0};
        begin("m");
        CHECK(embed_read_reply(&call, EMBED_GEMINI, str_of(bodies[i]), 2, &r) < 0);
        CHECK_EQ(error.status, 502);
    }
}

static void test_gemini_client(void)
{
    struct embed_reply r = {0};
    begin("m");
    CHECK_EQ(embed_read_request(&call, EMBED_GEMINI_ONE,
                 STR("{\"content\":{\"parts\":[{\"text\":\"a\"}]}}"), &request),
        0);
    CHECK_EQ(
        embed_read_reply(&call, EMBED_OPENAI,
            STR("{\"data\":[{\"embedding\":\"AAAAPwAAgL8=\"}],\"usage\":{\"prompt_tokens\":3}}"), 1,
            &r),
        0);
    CHECK_EQ(embed_write_reply(&call, &request, &r, &out), 0);
    CHECK_STR(buf_str(&out), STR("{\"embedding\":{\"values\":[0.5,-1]},\"usageMetadata\":{"
                                 "\"promptTokenCount\":3,\"totalTokenCount\":3}}"));
}

/* --- 32-bit floats --- */

static void test_packed(void)
{
    struct embed_reply r = {0};
    begin("m");
    CHECK_EQ(embed_read_request(&call, EMBED_OPENAI,
                 STR("{\"input\":\"a\",\"encoding_format\":\"base64\"}"), &request),
        0);
    CHECK_EQ(embed_read_reply(&call, EMBED_OLLAMA, STR("{\"embeddings\":[[0.5,-1.0]]}"), 1, &r), 0);
    CHECK_EQ(embed_write_reply(&call, &request, &r, &out), 0);
    CHECK(str_find(buf_str(&out), STR("\"embedding\":\"AAAAPwAAgL8=\"")) > 0);
    CHECK_STR(embed_unpack(&arena, embed_pack(&arena, STR("[0.1,1e10,-3.5e-5,0]"))),
        STR("[0.100000001,1e+10,-3.50000009e-05,0]"));
    CHECK_STR(embed_pack(&arena, STR("[]")), STR(""));
    CHECK(!embed_pack(&arena, STR("[\"a\"]")).p);
    CHECK(!embed_pack(&arena, STR("{}")).p);
    CHECK(!embed_unpack(&arena, STR("AAA")).p);
    CHECK(!embed_unpack(&arena, STR("AAAA")).p);     /* three bytes */
    CHECK(!embed_unpack(&arena, STR("AADAfw==")).p); /* not a number */
}

static void test_wires(void)
{
    CHECK_EQ(embed_wire_of(STR("openai"), STR("x")), EMBED_OPENAI);
    CHECK_EQ(embed_wire_of(STR("gemini"), STR("x")), EMBED_GEMINI);
    CHECK_EQ(embed_wire_of(STR("vertex"), STR("x")), EMBED_VERTEX);
    CHECK_EQ(embed_wire_of(STR("bedrock"), STR("us.cohere.embed-v4:0")), EMBED_BEDROCK_COHERE);
    CHECK_EQ(embed_wire_of(STR("bedrock"), STR("amazon.titan-embed-text-v2:0")), EMBED_TITAN);
    CHECK_EQ(embed_wire_of(STR("cohere"), STR("x")), EMBED_COHERE);
    CHECK_EQ(embed_wire_of(STR("ollama"), STR("x")), EMBED_OLLAMA);
}

int main(void)
{
    TAP_RUN(test_requests);
    TAP_RUN(test_refused);
    TAP_RUN(test_tokens);
    TAP_RUN(test_batches);
    TAP_RUN(test_replies);
    TAP_RUN(test_sums);
    TAP_RUN(test_bad_replies);
    TAP_RUN(test_gemini_client);
    TAP_RUN(test_packed);
    TAP_RUN(test_wires);
    t_end();
    return tap_done();
}
