/* What batches used: lines in pieces of any size, models, prices, and what is no line. */
#include "gateway/own.h"

#include "base/tap.h"
#include <stdio.h>

static struct own_usage sums;

static unsigned read_all_of(enum owned_kind kind, struct str object, const char *text, size_t piece)
{
    struct own_lines l;
    struct str rest = str_of(text);

    sums = (struct own_usage){.n = 0};
    own_lines_init(&l, &sums, kind, object,
        kind == OWNED_BATCH           ? STR("openai")
        : kind == OWNED_MESSAGE_BATCH ? STR("anthropic")
                                      : STR("gemini"),
        NULL);
    while (rest.n) {
        own_lines_add(&l, str_to(rest, piece));
        rest = str_from(rest, piece);
    }
    own_lines_end(&l);
    return l.skipped;
}

static unsigned read_all(enum owned_kind kind, const char *text, size_t piece)
{
    return read_all_of(kind, STR("{}"), text, piece);
}

#define BODY(model, in, out)                                                                       \
    "{\"custom_id\":\"a\",\"response\":{\"status_code\":200,\"body\":{\"id\":\"c\",\"model\":"     \
    "\"" model "\",\"usage\":{\"prompt_tokens\":" in ",\"completion_tokens\":" out                 \
    "}}},\"error\":null}"

static const char results[] = BODY("gpt-4o-mini", "1000", "10") "\n" BODY(
    "gpt-4o", "5", "7") "\n\n" BODY("gpt-4o-mini", "2000",
    "20") "\r\n{\"custom_id\":\"e\",\"response\":{\"status_code\":400,\"body\":{\"error\":{}}}}\n";

static void test_openai(void)
{
    for (size_t piece = 1; piece < sizeof results; piece++) {
        CHECK_EQ(read_all(OWNED_BATCH, results, piece), 0);
        CHECK_EQ(sums.n, 2);
        CHECK(strcmp(sums.at[0].model, "gpt-4o-mini") == 0 && sums.at[0].calls == 2);
        CHECK(sums.at[0].usage.input == 3000 && sums.at[0].usage.output == 30);
        /* half of 150 and 600 nano-dollars a token */
        CHECK_EQ(sums.at[0].nano, 3000 * 75 + 30 * 300);
        CHECK_EQ(sums.at[1].usage.output, 7);
    }
}

static void test_a_last_line_without_its_end(void)
{
    CHECK_EQ(read_all(OWNED_BATCH, BODY("gpt-4o-mini", "4", "2"), 1000), 0);
    CHECK_EQ(sums.at[0].nano, 4 * 75 + 2 * 300);
    CHECK_EQ(read_all(OWNED_BATCH, "{\"torn\":\nnot json\n[1]\n\"x\"\n", 3), 4);
    CHECK_EQ(sums.n, 0);
    CHECK_EQ(read_all(OWNED_BATCH, "", 1), 0);
}

static void test_unknown_price(void)
{
    CHECK_EQ(
        read_all(OWNED_BATCH, BODY("my-own", "4", "2") "\n" BODY("gpt-4o-mini", "4", "2"), 50), 0);
    CHECK_EQ(sums.n, 2);
    CHECK_EQ(sums.at[0].nano, -1);
    CHECK_EQ(sums.at[0].usage.input, 4);
    CHECK_EQ(sums.at[1].nano, 4 * 75 + 2 * 300);
}

static void test_anthropic(void)
{
    static const char lines[] =
        "{\"custom_id\":\"a\",\"result\":{\"type\":\"succeeded\",\"message\":{\"model\":"
        "\"claude-sonnet-4-6\",\"usage\":{\"input_tokens\":100,\"cache_read_input_tokens\":10,"
        "\"output_tokens\":20,\"service_tier\":\"batch\"}}}}\n"
        "{\"custom_id\":\"b\",\"result\":{\"type\":\"errored\",\"error\":{}}}\n"
        "{\"custom_id\":\"c\",\"result\":{\"type\":\"succeeded\",\"message\":null}}\n";

    CHECK_EQ(read_all(OWNED_MESSAGE_BATCH, lines, 7), 0);
    CHECK_EQ(sums.n, 1);
    CHECK(sums.at[0].usage.input == 100 && sums.at[0].usage.cache_read == 10);
    CHECK(sums.at[0].usage.output == 20 && sums.at[0].nano > 0);
}

#define GEMINI_REPLY(in, out)                                                                      \
    "{\"response\":{\"candidates\":[],\"modelVersion\":\"gemini-2.5-flash-x\",\"usageMetadata\":{" \
    "\"promptTokenCount\":" in ",\"candidatesTokenCount\":" out ",\"totalTokenCount\":1}}}"
#define GEMINI_BATCH(output)                                                                       \
    "{\"name\":\"batches/b\",\"metadata\":{\"model\":\"models/gemini-2.5-flash\",\"state\":"       \
    "\"BATCH_STATE_SUCCEEDED\"," output "}}"

/* Of the batch's one model, whatever a reply says of its version. */
static void test_gemini(void)
{
    static const char lines[] =
        GEMINI_REPLY("1000", "10") "\n{\"error\":{\"code\":1}}\n" GEMINI_REPLY(
            "2000", "20") "\n{\"key\":\"k\",\"response\":{\"tokenCount\":\"5\"}}\n"
                          "{\"response\":{\"embedding\":{},\"tokenCount\":6}}\n";
    struct str object = STR(GEMINI_BATCH("\"output\":{}"));

    CHECK_EQ(read_all_of(OWNED_GEMINI_BATCH, object, lines, 11), 0);
    CHECK_EQ(sums.n, 1);
    CHECK(strcmp(sums.at[0].model, "gemini-2.5-flash") == 0 && sums.at[0].calls == 4);
    CHECK(sums.at[0].usage.input == 3011 && sums.at[0].usage.output == 30);
    CHECK_EQ(sums.at[0].nano, 3011 * 150 + 30 * 1250); /* half of 300 and 2500 */
    CHECK_EQ(read_all(OWNED_GEMINI_BATCH, lines, 100), 0);
    CHECK(sums.n == 2 && strcmp(sums.at[0].model, "gemini-2.5-flash-x") == 0);
}

static void test_gemini_in_the_object(void)
{
    static const char *const objects[] = {
        GEMINI_BATCH("\"output\":{\"inlinedResponses\":{\"inlinedResponses\":[" GEMINI_REPLY(
            "100", "10") ",{\"error\":{}}," GEMINI_REPLY("200", "20") "]}}"),
        GEMINI_BATCH(
            "\"x\":0},\"response\":{\"inlinedResponses\":{\"inlinedResponses\":[" GEMINI_REPLY(
                "300", "30") "]}"),
        GEMINI_BATCH("\"output\":{\"inlinedEmbedContentResponses\":{\"inlinedResponses\":["
                     "{\"response\":{\"tokenCount\":\"300\"}}]}}"),
        GEMINI_BATCH("\"output\":{\"responsesFile\":\"files/out\"}"),
    };
    static const int64_t input[] = {300, 300, 300, 0};

    for (unsigned i = 0; i < ARRAY_LEN(objects); i++) {
        struct str object = str_of(objects[i]);
        sums = (struct own_usage){.n = 0};
        own_usage_of_object(&sums, OWNED_GEMINI_BATCH, object, STR("gemini"), NULL);
        CHECK_EQ(sums.n, input[i] > 0);
        CHECK_EQ(sums.at[0].usage.input, input[i]);
        CHECK_STR(
            own_batch_file(OWNED_GEMINI_BATCH, object), input[i] ? STR("") : STR("files/out"));
        CHECK(own_batch_ended(OWNED_GEMINI_BATCH, object));
    }
    CHECK(own_batch_ended(OWNED_GEMINI_BATCH, STR("{\"done\":true}")));
    CHECK(own_batch_ended(
        OWNED_GEMINI_BATCH, STR("{\"metadata\":{\"state\":\"JOB_STATE_EXPIRED\"}}")));
    CHECK(!own_batch_ended(
        OWNED_GEMINI_BATCH, STR("{\"metadata\":{\"state\":\"BATCH_STATE_RUNNING\"}}")));
    CHECK(!own_batch_ended(OWNED_GEMINI_BATCH, STR("{\"done\":false,\"metadata\":1}")));
}

static void test_many_models(void)
{
    char text[8192];
    int n = 0;

    for (int i = 0; i < OWN_MODELS_MAX + 4; i++)
        n += snprintf(text + n, sizeof text - (size_t)n,
            "{\"response\":{\"body\":{\"model\":\"m%d\",\"usage\":{\"prompt_tokens\":1,"
            "\"completion_tokens\":1}}}}\n",
            i);
    CHECK_EQ(read_all(OWNED_BATCH, text, 100), 0);
    CHECK_EQ(sums.n, OWN_MODELS_MAX);
    CHECK_EQ(sums.at[OWN_MODELS_MAX - 1].calls, 5);
}

static void test_the_object(void)
{
    CHECK(own_batch_ended(OWNED_BATCH, STR("{\"status\":\"completed\"}")));
    CHECK(own_batch_ended(OWNED_BATCH, STR("{\"status\":\"EXPIRED\"}")));
    CHECK(!own_batch_ended(OWNED_BATCH, STR("{\"status\":\"cancelling\"}")));
    CHECK(!own_batch_ended(OWNED_BATCH, STR("{\"status\":1}")));
    CHECK(own_batch_ended(OWNED_MESSAGE_BATCH, STR("{\"processing_status\":\"ended\"}")));
    CHECK(!own_batch_ended(OWNED_MESSAGE_BATCH, STR("{\"processing_status\":\"canceling\"}")));
    sums = (struct own_usage){.n = 0};
    own_usage_of_object(&sums, OWNED_BATCH,
        STR("{\"model\":\"gpt-4o-mini\",\"usage\":{\"input_tokens\":10,\"output_tokens\":2}}"),
        STR("openai"), NULL);
    CHECK_EQ(sums.n, 1);
    CHECK_EQ(sums.at[0].nano, 10 * 75 + 2 * 300);
    own_usage_of_object(&sums, OWNED_BATCH, STR("{\"usage\":null}"), STR("openai"), NULL);
    CHECK_EQ(sums.n, 1);
    CHECK_STR(own_batch_file(OWNED_BATCH, STR("{\"output_file_id\":\"file-1\"}")), STR("file-1"));
    CHECK_STR(own_batch_file(OWNED_BATCH, STR("{\"output_file_id\":null}")), STR(""));
    CHECK_STR(own_batch_file(OWNED_MESSAGE_BATCH, STR("{\"output_file_id\":\"file-1\"}")), STR(""));
}

int main(void)
{
    TAP_RUN(test_openai);
    TAP_RUN(test_a_last_line_without_its_end);
    TAP_RUN(test_unknown_price);
    TAP_RUN(test_anthropic);
    TAP_RUN(test_gemini);
    TAP_RUN(test_gemini_in_the_object);
    TAP_RUN(test_many_models);
    TAP_RUN(test_the_object);
    return tap_done();
}
