/*
 * Distances, and what is offered for typical slips.
 */
#include "base/macros.h"
#include "base/tap.h"
#include "text/nearest.h"

static void test_distance(void)
{
    static const struct {
        struct str a, b;
        unsigned edits;
    } cases[] = {
        {STR_INIT(""), STR_INIT(""), 0},
        {STR_INIT(""), STR_INIT("abc"), 3},
        {STR_INIT("abc"), STR_INIT("ABC"), 0},
        {STR_INIT("kitten"), STR_INIT("sitting"), 3},
        {STR_INIT("ab"), STR_INIT("ba"), 1},
        {STR_INIT("abcdef"), STR_INIT("badcfe"), 3},
        {STR_INIT("ca"), STR_INIT("abc"), 3}, /* the restricted form */
        {STR_INIT("flaw"), STR_INIT("lawn"), 2},
        {STR_INIT("gpt-4o"), STR_INIT("gtp-4o"), 1},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (unsigned limit = 0; limit < 9; limit++) {
            unsigned want = MIN(cases[i].edits, limit + 1);
            CHECK_EQ(text_distance(cases[i].a, cases[i].b, limit), want);
            CHECK_EQ(text_distance(cases[i].b, cases[i].a, limit), want);
        }
}

static void test_long(void)
{
    static char a[NEAREST_WORD + 1], b[NEAREST_WORD + 1];

    memset(a, 'x', sizeof(a));
    memset(b, 'y', sizeof(b));
    CHECK_EQ(text_distance(str_at(a, NEAREST_WORD), str_at(b, NEAREST_WORD), 1000), NEAREST_WORD);
    CHECK_EQ(text_distance(str_at(a, sizeof(a)), str_at(a, sizeof(a)), 5), 6);
    struct str name = str_at(a, sizeof(a)), out[1];
    CHECK_EQ(text_nearest(name, &name, 1, out, 1), 0);
}

/* The band gives what the whole table gives. */
static void test_band(void)
{
    char a[8], b[8];

    for (unsigned seed = 0; seed < 3000; seed++) {
        unsigned x = seed * 2654435761u;
        size_t an = x % 8, bn = (x >> 3) % 8;
        for (size_t i = 0; i < 8; i++) {
            a[i] = "abc"[(x >> (i * 3)) % 3];
            b[i] = "abc"[(x >> (i * 3 + 2)) % 3];
        }
        unsigned whole = text_distance(str_at(a, an), str_at(b, bn), 8);
        CHECK(whole <= 8);
        for (unsigned limit = 0; limit < 8; limit++)
            CHECK_EQ(text_distance(str_at(a, an), str_at(b, bn), limit), MIN(whole, limit + 1));
    }
}

static const struct str models[] = {STR_INIT("gpt-4o"), STR_INIT("gpt-4o-mini"),
    STR_INIT("gpt-4-turbo"), STR_INIT("gpt-3.5-turbo"), STR_INIT("claude-sonnet-4-5"),
    STR_INIT("claude-opus-4-1"), STR_INIT("gemini-2.5-pro"), STR_INIT("text-embedding-3-small"),
    STR_INIT("o3"), STR_INIT("gpt-4o")};

static void check_best(struct str word, struct str want)
{
    struct str out[3] = {0};

    CHECK(text_nearest(word, models, ARRAY_LEN(models), out, 3) >= 1);
    CHECK_STR(out[0], want);
}

static void test_models(void)
{
    check_best(STR("gtp-4o"), STR("gpt-4o"));
    check_best(STR("GPT-4O"), STR("gpt-4o"));
    check_best(STR("gpt4o-mini"), STR("gpt-4o-mini"));
    check_best(STR("claude-sonet-4.5"), STR("claude-sonnet-4-5"));
    check_best(STR("openai/gpt-4-turbo"), STR("gpt-4-turbo"));
    check_best(STR("embedding-3"), STR("text-embedding-3-small"));
    check_best(STR("gemini"), STR("gemini-2.5-pro"));
    check_best(STR("gpt-4o-2024-08-06"), STR("gpt-4o"));
}

static void test_order_and_bounds(void)
{
    struct str out[NEAREST_MOST + 1];

    unsigned n = text_nearest(STR("gpt-4"), models, ARRAY_LEN(models), out, 16);
    CHECK(n >= 3);
    CHECK_STR(out[0], STR("gpt-4o"));
    for (unsigned i = 0; i < n; i++)
        for (unsigned j = 0; j < i; j++)
            CHECK(!str_eq(out[i], out[j]));
    CHECK_EQ(text_nearest(STR("gpt-4"), models, ARRAY_LEN(models), out, 2), 2);
    CHECK_EQ(text_nearest(STR("gpt-4"), models, ARRAY_LEN(models), out, 0), 0);
    CHECK_EQ(text_nearest(STR("gpt-4"), NULL, 0, out, 3), 0);
    CHECK_EQ(text_nearest(STR(""), models, ARRAY_LEN(models), out, 3), 0);
}

static void test_nothing_sensible(void)
{
    struct str out[3];

    CHECK_EQ(text_nearest(STR("zzzzzzzzz"), models, ARRAY_LEN(models), out, 3), 0);
    CHECK_EQ(text_nearest(STR("xy"), models, ARRAY_LEN(models), out, 3), 0);
    CHECK_EQ(text_nearest(STR("4"), models, ARRAY_LEN(models), out, 3), 0);
}

int main(void)
{
    TAP_RUN(test_distance);
    TAP_RUN(test_long);
    TAP_RUN(test_band);
    TAP_RUN(test_models);
    TAP_RUN(test_order_and_bounds);
    TAP_RUN(test_nothing_sensible);
    return tap_done();
}
