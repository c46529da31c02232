/* How demanding prompts look: one sign is none, two are; a tool that failed always is. */
#include "route/plan.h"

#include "base/tap.h"

#define ASK(text, more)                                                                            \
    route_effort(STR("{\"messages\":[{\"role\":\"user\",\"content\":\"" text "\"}]" more "}"))

static void test_easy(void)
{
    CHECK_EQ(route_effort(STR_NONE), 0);
    CHECK_EQ(ASK("Say hello", ""), 0);
    CHECK_EQ(ASK("Prove that", ""), 0); /* one sign */
    CHECK_EQ(ASK("Say hello", ",\"reasoning_effort\":\"high\""), 0);
    CHECK_EQ(route_effort(STR("{\"messages\":7}")), 0);
}

static void test_demanding(void)
{
    CHECK(ASK("Prove that ```int x;```", "") == 600);
    CHECK(ASK("Prove that", ",\"reasoning_effort\":\"high\"") == 600);
    CHECK(ASK("refactor this, step by step", ",\"thinking\":{\"type\":\"enabled\"}") == 900);
    CHECK(ASK("analyze", ",\"tools\":[1,2,3,4,5]") == 600);
    CHECK(route_effort(STR("{\"input\":\"debug the algorithm\"}")) == 600);
    CHECK(route_effort(STR("{\"contents\":[{\"parts\":[{\"text\":\"prove\"},"
                           "{\"inlineData\":{}}]}]}")) == 600);
}

/* What was said long ago does not count, only what is asked now. */
static void test_last_turn(void)
{
    CHECK_EQ(route_effort(STR("{\"messages\":[{\"role\":\"user\",\"content\":\"Prove ```x```\"},"
                              "{\"role\":\"user\",\"content\":\"Thanks\"}]}")),
        0);
    CHECK_EQ(route_effort(STR("{\"messages\":[1,2,3,4,5,6,7,8,9,\"prove\"]}")), 600);
}

/* As many signs that it is easy: the efficient model may do it. */
static void test_ties(void)
{
    CHECK_EQ(ASK("Thanks, please debug the algorithm", ""), 0);
    CHECK_EQ(ASK("Thanks, please debug the algorithm", ",\"reasoning_effort\":\"high\""), 900);
}

static void test_failed_tool(void)
{
    static const char *const failed[] = {
        "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\","
        "\"is_error\":true}]}]}",
        "{\"messages\":[{\"role\":\"tool\",\"content\":\" Error: no such file\"}]}",
        "{\"messages\":[{\"role\":\"tool\",\"content\":\"{\\\"error\\\": 1}\"}]}",
        /* two calls side by side, the first of which failed */
        "{\"messages\":[{\"role\":\"assistant\"},{\"role\":\"tool\",\"content\":\"Traceback (most"
        "\"},{\"role\":\"tool\",\"content\":\"fine\"}]}",
        "{\"input\":[{\"type\":\"function_call_output\",\"output\":\"fatal: not a repository\"}]}",
        "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"functionResponse\":{\"name\":\"f\","
        "\"response\":{\"error\":\"no\"}}}]}]}",
    };

    for (unsigned i = 0; i < ARRAY_LEN(failed); i++)
        CHECK_EQ(route_effort(str_of(failed[i])), 1000);
}

static void test_tool_that_did_not_fail(void)
{
    CHECK_EQ(
        route_effort(STR("{\"messages\":[{\"role\":\"tool\",\"content\":\"no errors\"}]}")), 0);
    CHECK_EQ(route_effort(STR("{\"messages\":[{\"role\":\"tool\",\"content\":7}]}")), 0);
    CHECK_EQ(route_effort(STR("{\"messages\":[{\"role\":\"user\",\"content\":\"Error: x\"}]}")), 0);
    /* the model has seen it, and went on */
    CHECK_EQ(route_effort(STR("{\"messages\":[{\"role\":\"tool\",\"content\":\"Error: x\"},"
                              "{\"role\":\"assistant\",\"content\":\"I see\"},"
                              "{\"role\":\"user\",\"content\":\"Thanks\"}]}")),
        0);
}

int main(void)
{
    TAP_RUN(test_easy);
    TAP_RUN(test_demanding);
    TAP_RUN(test_last_turn);
    TAP_RUN(test_ties);
    TAP_RUN(test_failed_tool);
    TAP_RUN(test_tool_that_did_not_fail);
    return tap_done();
}
