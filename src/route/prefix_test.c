/* What prompts begin with: conversations keep their number, other beginnings have others. */
#include "route/plan.h"

#include "base/tap.h"

#define HASH(text) route_prefix_hash(STR(text))
#define USER(text) "{\"role\":\"user\",\"content\":\"" text "\"}"
#define SYSTEM     "{\"role\":\"system\",\"content\":\"You are\"},"

static void test_conversation(void)
{
    uint64_t h = HASH("{\"messages\":[" SYSTEM USER("Hi") "]}");

    CHECK(h != 0);
    CHECK(h == HASH("{\"temperature\":1,\"messages\":[" SYSTEM USER(
                   "Hi") ",{\"role\":\"assistant\",\"content\":\"x\"}," USER("More") "]}"));
    CHECK(h != HASH("{\"messages\":[" SYSTEM USER("Hello") "]}"));
    CHECK(h != HASH("{\"messages\":[" USER("Hi") "]}"));
}

static void test_dialects(void)
{
    uint64_t h = HASH("{\"system\":\"s\",\"messages\":[" USER("Hi") "]}");

    CHECK(h == HASH("{\"messages\":[" USER("Hi") "," USER("more") "],\"system\":\"s\"}"));
    CHECK(h != HASH("{\"system\":\"t\",\"messages\":[" USER("Hi") "]}"));
    CHECK(HASH("{\"input\":\"Hi\"}") != 0);
    CHECK(HASH("{\"input\":\"Hi\"}") != HASH("{\"input\":\"Ho\"}"));
    CHECK(
        HASH("{\"input\":[" USER("Hi") "]}") == HASH("{\"input\":[" USER("Hi") "," USER("x") "]}"));
    CHECK(HASH("{\"contents\":[" USER("Hi") "]}") != 0);
    CHECK(HASH("{\"prompt\":\"Hi\"}") != 0);
}

static void test_cache_key(void)
{
    uint64_t h = HASH("{\"prompt_cache_key\":\"k\",\"messages\":[" USER("Hi") "]}");

    CHECK(h == HASH("{\"messages\":[" USER("Other") "],\"prompt_cache_key\":\"k\"}"));
    CHECK(h != HASH("{\"prompt_cache_key\":\"l\",\"messages\":[" USER("Hi") "]}"));
    CHECK(HASH("{\"prompt_cache_key\":\"\",\"messages\":[" USER("Hi") "]}") ==
          HASH("{\"messages\":[" USER("Hi") "]}"));
}

static void test_nothing(void)
{
    CHECK_EQ(route_prefix_hash(STR_NONE), 0);
    CHECK_EQ(HASH("{}"), 0);
    CHECK_EQ(HASH("[1]"), 0);
    CHECK_EQ(HASH("{\"messages\":[]}"), 0);
    CHECK(HASH("{\"messages\":[7]}") != 0); /* whatever it is, the provider will say so */
}

int main(void)
{
    TAP_RUN(test_conversation);
    TAP_RUN(test_dialects);
    TAP_RUN(test_cache_key);
    TAP_RUN(test_nothing);
    return tap_done();
}
