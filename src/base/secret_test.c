/*
 * struct secret: copying, wiping, comparing and the hint for display.
 */
#include "base/macros.h"
#include "base/secret.h"
#include "base/tap.h"

static void test_set(void)
{
    _cleanup_(secret_free) struct secret s = {0};
    char text[] = "sk-0123456789";

    CHECK(!secret_is_set(&s));
    CHECK_EQ(secret_set(&s, str_of(text)), 0);
    mem_wipe(text, sizeof(text));
    CHECK(text[0] == 0 && text[5] == 0);
    CHECK(secret_is_set(&s));
    CHECK_STR(secret_reveal(&s), STR("sk-0123456789"));
    CHECK_EQ(secret_set(&s, str_from(secret_reveal(&s), 3)), 0); /* of itself */
    CHECK_STR(secret_reveal(&s), STR("0123456789"));
    CHECK_EQ(secret_set(&s, STR_NONE), 0);
    CHECK(!secret_is_set(&s));
}

static void test_compare(void)
{
    _cleanup_(secret_free) struct secret s = {0};

    CHECK(!secret_eq(&s, STR(""))); /* an unset secret equals nothing */
    secret_set(&s, STR("abc"));
    CHECK(secret_eq(&s, STR("abc")));
    CHECK(!secret_eq(&s, STR("abd")));
    CHECK(!secret_eq(&s, STR("ab")));
    CHECK(!secret_eq(&s, STR("")));
    CHECK(mem_ct_eq("x", "y", 0));
    CHECK(!mem_ct_eq("\x00\x80", "\x00\x00", 2));
}

static void test_hint(void)
{
    _cleanup_(secret_free) struct secret s = {0};
    char hint[8];

    secret_hint(&s, hint);
    CHECK_STR(str_of(hint), STR("…"));
    secret_set(&s, STR("12345678901"));
    secret_hint(&s, hint);
    CHECK_STR(str_of(hint), STR("…"));
    secret_set(&s, STR("123456789012"));
    secret_hint(&s, hint);
    CHECK_STR(str_of(hint), STR("…9012"));
    secret_set(&s, STR("1234567890\xff\n1a"));
    secret_hint(&s, hint);
    CHECK_STR(str_of(hint), STR("…??1a"));
}

int main(void)
{
    TAP_RUN(test_set);
    TAP_RUN(test_compare);
    TAP_RUN(test_hint);
    return tap_done();
}
