/* What batches used: lines in pieces of any size, models, prices, and what is no line. */
#include "gateway/own.h"

#include "base/tap.h"
#include <stdio.h>

static struct own_usage sums;

static unsigned read_all(enum owned_kind kind, const char *text, size_t piece)
{
    struct own_lines l;
    struct str rest = str_of(text);

    sums = (struct own_usage){.n = 0};
    own_lines_init(&l, &sums, kind, kind == OWNED_BATCH ? STR("openai") : STR("anthropic"), NULL);
    while (rest.n) {
        own_lines_add(&l, str_to(rest, piece));
        rest = str_from(rest, piece);
    }
    own_lines_end(&l);
    return l.skipped;
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
    own_usage_of_object(&sums,
        STR("{\"model\":\"gpt-4o-mini\",\"usage\":{\"input_tokens\":10,\"output_tokens\":2}}"),
        STR("openai"), NULL);
    CHECK_EQ(sums.n, 1);
    CHECK_EQ(sums.at[0].nano, 10 * 75 + 2 * 300);
    own_usage_of_object(&sums, STR("{\"usage\":null}"), STR("openai"), NULL);
    CHECK_EQ(sums.n, 1);
}

int main(void)
{
    TAP_RUN(test_openai);
    TAP_RUN(test_a_last_line_without_its_end);
    TAP_RUN(test_unknown_price);
    TAP_RUN(test_anthropic);
    TAP_RUN(test_many_models);
    TAP_RUN(test_the_object);
    return tap_done();
}
