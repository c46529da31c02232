/* Errors of an exchange: the first one stands, and its text outlives what it was made from. */
#include "llm/exchange.h"

#include "base/tap.h"
#include <errno.h>

static struct exchange x;

static void begin(size_t arena_max)
{
    arena_free(&x.arena);
    x = (struct exchange){0};
    arena_init(&x.arena, NULL, 0, arena_max);
}

static void test_first_stands(void)
{
    begin(64 * KIB);
    CHECK_EQ(exchange_fail(&x, 400, STR("one"), STR("first")), -EREMOTEIO);
    CHECK_EQ(exchange_fail(&x, 500, STR("two"), STR("second")), -EREMOTEIO);
    CHECK_EQ(exchange_failf(&x, 501, STR("three"), "third %d", 3), -EREMOTEIO);
    CHECK_EQ(exchange_fail_param(&x, 502, STR("four"), STR("p"), "fourth"), -EREMOTEIO);
    CHECK_EQ(x.error.status, 400);
    CHECK_STR(x.error.code, STR("one"));
    CHECK_STR(x.error.message, STR("first"));
    CHECK_EQ(x.error.param.n, 0);
}

static void test_formatted(void)
{
    char name[] = "gpt-4o";

    begin(64 * KIB);
    exchange_fail_param(&x, 404, STR("c"), STR("model"), "no %s here", name);
    memset(name, 'x', sizeof name - 1);
    CHECK_STR(x.error.message, STR("no gpt-4o here"));
    CHECK_STR(x.error.param, STR("model"));
}

static void test_long(void)
{
    char text[4000];

    begin(64 * KIB);
    memset(text, 'a', sizeof text);
    exchange_failf(&x, 400, STR("c"), STR_FMT, STR_ARG(str_at(text, sizeof text)));
    CHECK_EQ(x.error.message.n, 1023);
}

/* An arena that is used up leaves a status without a text, which renders as "internal error". */
static void test_no_memory(void)
{
    begin(16);
    exchange_failf(&x, 400, STR("c"), "some text that does not fit the arena");
    CHECK_EQ(x.error.status, 400);
    CHECK_EQ(x.error.message.n, 0);
}

int main(void)
{
    TAP_RUN(test_first_stands);
    TAP_RUN(test_formatted);
    TAP_RUN(test_long);
    TAP_RUN(test_no_memory);
    arena_free(&x.arena);
    return tap_done();
}
