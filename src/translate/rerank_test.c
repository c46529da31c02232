/* Rerank between its forms. */
#include "translate/rerank.h"

#include "translate/call_test.h"

static struct rerank_reply got;

static void begin(const char *model)
{
    t_begin(model);
    call.model_shown = STR("asked");
    call.request_id = STR("req");
}

/* The body for a provider, or the field at fault. */
static struct str asked(const char *body, const char *model, enum rerank_form form)
{
    struct rerank_request q;

    begin(model);
    if (rerank_read_request(&call, str_of(body), &q) < 0 ||
        rerank_write_request(&call, &q, form, &out) < 0)
        return error.param;
    return buf_str(&out);
}

static void test_requests(void)
{
    const char *body = "{\"model\":\"m\",\"query\":\"q\\\"\",\"documents\":[\"a\",{\"text\":\"b\"},"
                       "{\"title\":\"T\",\"n\":1.50}],\"top_n\":2,\"return_documents\":true}";

    CHECK_STR(asked(body, "rerank-v4", RERANK_COHERE),
        STR("{\"model\":\"rerank-v4\",\"query\":\"q\\\"\",\"documents\":[\"a\",\"b\","
            "\"title: T\\nn: 1.50\"],\"top_n\":2}"));
    CHECK_STR(canon_lost_names(&call), STR(""));
    CHECK_STR(asked(body, "jina", RERANK_JINA),
        STR("{\"model\":\"jina\",\"query\":\"q\\\"\",\"documents\":[\"a\",\"b\","
            "\"title: T\\nn: 1.50\"],\"top_n\":2}"));
    CHECK_STR(asked(body, "cohere.rerank-v3-5:0", RERANK_BEDROCK),
        STR("{\"query\":\"q\\\"\",\"documents\":[\"a\",\"b\",\"title: T\\nn: 1.50\"],\"top_n\":2,"
            "\"api_version\":2}"));
    CHECK_STR(asked(body, "amazon.rerank-v1:0", RERANK_BEDROCK),
        STR("{\"query\":\"q\\\"\",\"documents\":[\"a\",\"b\",\"title: T\\nn: "
            "1.50\"],\"top_n\":2}"));
}

/* NVIDIA's has texts in objects, cuts what is too long only when told to, and gives all back. */
static void test_nim(void)
{
    CHECK_STR(asked("{\"query\":\"q\",\"documents\":[\"a\",{\"text\":\"b\"}],\"top_n\":1}",
                  "nvidia/rerank", RERANK_NIM),
        STR("{\"model\":\"nvidia/"
            "rerank\",\"query\":{\"text\":\"q\"},\"passages\":[{\"text\":\"a\"},"
            "{\"text\":\"b\"}],\"truncate\":\"END\"}"));
    CHECK_STR(canon_lost_names(&call), STR(""));
}

static void test_forms(void)
{
    CHECK_EQ(rerank_form_of(STR("cohere")), RERANK_COHERE);
    CHECK_EQ(rerank_form_of(STR("bedrock")), RERANK_BEDROCK);
    CHECK_EQ(rerank_form_of(STR("nvidia_nim")), RERANK_NIM);
    CHECK_EQ(rerank_form_of(STR("vllm")), RERANK_JINA);
}

static void test_searches(void)
{
    static const unsigned rows[][2] = {{1, 1}, {100, 1}, {101, 2}, {200, 2}, {201, 3}};

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        const struct rerank_request q = {.documents_n = rows[i][0]};
        CHECK_EQ(rerank_searches(&q), rows[i][1]);
    }
}

static void test_losses(void)
{
    const char *body = "{\"model\":\"m\",\"query\":\"q\",\"documents\":[\"a\"],"
                       "\"max_tokens_per_doc\":9,\"rank_fields\":[\"x\"],\"priority\":3,"
                       "\"relevant_spans\":{\"mode\":\"enabled\"},\"max_chunks_per_doc\":null}";

    CHECK_STR(asked(body, "m", RERANK_COHERE),
        STR("{\"model\":\"m\",\"query\":\"q\",\"documents\":[\"a\"],\"max_tokens_per_doc\":9,"
            "\"relevant_spans\":{\"mode\":\"enabled\"},\"priority\":3}"));
    CHECK_STR(canon_lost_names(&call), STR("rank_fields"));
    CHECK_STR(asked(body, "m", RERANK_JINA),
        STR("{\"model\":\"m\",\"query\":\"q\",\"documents\":[\"a\"]}"));
    CHECK_STR(
        canon_lost_names(&call), STR("rank_fields, max_tokens_per_doc, relevant_spans, priority"));
}

static void test_refusals(void)
{
    static const struct {
        const char *body, *param;
    } rows[] = {
        {"[]", ""},
        {"{\"documents\":[\"a\"]}", "query"},
        {"{\"query\":\"q\"}", "documents"},
        {"{\"query\":\"q\",\"documents\":[]}", "documents"},
        {"{\"query\":\"q\",\"documents\":[\"a\",7]}", "documents[1]"},
        {"{\"query\":\"q\",\"documents\":[\"a\"],\"top_n\":0}", "top_n"},
        {"{\"query\":\"q\",\"documents\":[\"a\"],\"top_n\":\"2\"}", "top_n"},
    };

    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        CHECK_STR(asked(rows[i].body, "m", RERANK_JINA), str_of(rows[i].param));
        CHECK_EQ(error.status, 400);
    }
}

static struct str answered(const char *reply, bool documents)
{
    struct str texts[] = {STR("a"), STR("b")};
    struct rerank_request q = {.documents = texts,
        .documents_n = 2,
        .return_documents = documents,
        .top_n = documents ? 1 : -1};

    begin("m");
    if (rerank_read_reply(&call, &q, str_of(reply), &got) < 0 ||
        rerank_write_reply(&call, &q, &got, &out) < 0)
        return error.code;
    return buf_str(&out);
}

static void test_replies(void)
{
    CHECK_STR(answered("{\"id\":\"i\",\"results\":[{\"index\":1,\"relevance_score\":0.9990},"
                       "{\"index\":0,\"relevance_score\":1e-3}],\"meta\":{\"billed_units\":"
                       "{\"search_units\":1}}}",
                  false),
        STR("{\"id\":\"i\",\"model\":\"asked\",\"results\":[{\"index\":1,\"relevance_score\":0."
            "9990},"
            "{\"index\":0,\"relevance_score\":1e-3}],\"meta\":{\"billed_units\":"
            "{\"search_units\":1}}}"));
    CHECK_STR(answered("{\"results\":[{\"index\":1,\"relevance_score\":0.5}]}", true),
        STR("{\"id\":\"req\",\"model\":\"asked\",\"results\":[{\"index\":1,\"relevance_score\":0.5,"
            "\"document\":{\"text\":\"b\"}}]}"));
    CHECK_STR(answered("{\"object\":\"rerank\",\"results\":[],\"usage\":{\"prompt_tokens\":7,"
                       "\"total_tokens\":7}}",
                  true),
        STR("{\"id\":\"req\",\"model\":\"asked\",\"results\":[],\"meta\":{\"billed_units\":"
            "{\"input_tokens\":7}},\"usage\":{\"total_tokens\":7}}"));
    CHECK_EQ(got.usage.input, 7);
    CHECK_EQ(got.usage.source, USAGE_REPORTED);
}

/* Cohere's newer models are billed by tokens, and say which parts of a text were relevant. */
static void test_cohere_tokens(void)
{
    CHECK_STR(answered("{\"id\":\"i\",\"results\":[{\"index\":0,\"relevance_score\":0.5,"
                       "\"relevant_spans\":[{\"start\":0}]}],"
                       "\"meta\":{\"billed_units\":{\"input_tokens\":12}}}",
                  false),
        STR("{\"id\":\"i\",\"model\":\"asked\",\"results\":[{\"index\":0,\"relevance_score\":0.5,"
            "\"relevant_spans\":[{\"start\":0}]}],\"meta\":{\"billed_units\":{\"input_tokens\":12}}"
            ","
            "\"usage\":{\"total_tokens\":12}}"));
    CHECK_EQ(got.usage.input, 12);
}

/* All rankings come; as many go on as the client wants. */
static void test_nim_reply(void)
{
    CHECK_STR(answered("{\"rankings\":[{\"index\":1,\"logit\":-1.2421875},{\"index\":0,"
                       "\"logit\":-3.5}]}",
                  true),
        STR("{\"id\":\"req\",\"model\":\"asked\",\"results\":[{\"index\":1,\"relevance_score\":"
            "-1.2421875,\"document\":{\"text\":\"b\"}}]}"));
    CHECK_EQ(got.usage.source, USAGE_UNKNOWN);
}

static void test_bad_replies(void)
{
    static const char *const bad[] = {"", "[]", "{}",
        "{\"results\":[{\"index\":2,\"relevance_score\":1}]}",
        "{\"results\":[{\"index\":-1,\"relevance_score\":1}]}", "{\"results\":[{\"index\":0}]}",
        "{\"results\":[{\"relevance_score\":1}]}", "{\"results\":[7]}"};

    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        CHECK_STR(answered(bad[i], true), STR("upstream_bad_response"));
        CHECK_EQ(error.status, 502);
    }
}

int main(void)
{
    TAP_RUN(test_requests);
    TAP_RUN(test_nim);
    TAP_RUN(test_forms);
    TAP_RUN(test_searches);
    TAP_RUN(test_losses);
    TAP_RUN(test_refusals);
    TAP_RUN(test_replies);
    TAP_RUN(test_cohere_tokens);
    TAP_RUN(test_nim_reply);
    TAP_RUN(test_bad_replies);
    t_end();
    return tap_done();
}
