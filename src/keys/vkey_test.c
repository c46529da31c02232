/* The set of virtual keys: forms, look-up by secret, allow-lists. */
#include "keys/vkey.h"

#include "base/macros.h"
#include "base/tap.h"
#include <errno.h>
#include <stdio.h>

static void test_forms(void)
{
    static const char *const good[] = {"sk-sf-12345678",
        "sk-sf-0123456789abcdef0123456789abcdef0123456789abcdef", "sk-sf-Ab-09-xyz",
        "sk-sf-0123456789012345678901234567890123456789012345678901234567890123"};
    static const char *const bad[] = {"", "sk-sf-", "sk-sf-1234567", "SK-SF-12345678",
        "sk-12345678901234", " sk-sf-12345678", "sk-sf-12345678 ", "sk-sf-1234567_",
        "sk-sf-1234567*", "sk-sf-12345678\n", "sk-sf-\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9",
        "sk-sf-01234567890123456789012345678901234567890123456789012345678901234"};

    for (unsigned i = 0; i < ARRAY_LEN(good); i++)
        CHECK(vkey_form_ok(str_of(good[i])));
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
        if (vkey_form_ok(str_of(bad[i])))
            tap_fail(__FILE__, __LINE__, "'%s' was taken", bad[i]);
    CHECK(!vkey_form_ok(STR_NONE));
    CHECK(!vkey_form_ok(STR("sk-sf-1234567\0")));
}

static void test_find(void)
{
    struct vkey_set *s;
    char name[] = "team";
    struct virtual_key k = {.subject = {.name = str_of(name), .is_active = true}};

    CHECK_EQ(vkey_set_new(&s), 0);
    CHECK_EQ(vkey_set_add(s, &k, STR("sk-sf-11111111")), 0);
    CHECK_EQ(vkey_set_add(s, &k, STR("sk-sf-11111111")), -EEXIST);
    CHECK_EQ(vkey_set_add(s, &k, STR("sk-sf-1")), -EINVAL);
    CHECK_EQ(vkey_set_add(s, &k, STR("sk-sf-2222abcd")), 0);
    CHECK_EQ(vkey_count(s), 2);
    memset(name, 'x', 4); /* the set copied it */
    const struct virtual_key *found = vkey_find(s, STR("sk-sf-2222abcd"));
    CHECK(found && found->subject.is_active);
    CHECK_STR(found->subject.name, STR("team"));
    CHECK_STR(str_of(found->last4), STR("abcd"));
    CHECK_EQ(found->subject.id.n, 16);
    CHECK(str_find(found->subject.id, STR("2222")) < 0);
    CHECK(found != vkey_find(s, STR("sk-sf-11111111")));
    CHECK(vkey_find(s, STR("sk-sf-2222abce")) == NULL);
    CHECK(vkey_find(s, STR("sk-sf-2222abcd ")) == NULL);
    CHECK(vkey_find(s, STR_NONE) == NULL);
    CHECK(vkey_find(NULL, STR("sk-sf-11111111")) == NULL);
    CHECK_EQ(vkey_count(NULL), 0);
    vkey_set_free(s);
    vkey_set_free(NULL);
}

static void test_many(void)
{
    struct vkey_set *s;
    char secret[32];

    CHECK_EQ(vkey_set_new(&s), 0);
    for (unsigned i = 0; i < 2000; i++) {
        struct virtual_key k = {.subject.name = STR("n"), .expires_at = i};
        snprintf(secret, sizeof secret, "sk-sf-%08u", i);
        CHECK_EQ(vkey_set_add(s, &k, str_of(secret)), 0);
    }
    for (unsigned i = 0; i < 2000; i++) {
        snprintf(secret, sizeof secret, "sk-sf-%08u", i);
        const struct virtual_key *k = vkey_find(s, str_of(secret));
        CHECK(k && k->expires_at == i);
    }
    vkey_set_free(s);
}

static void test_allow_lists(void)
{
    const struct str models[] = {STR("gpt-4o"), STR("claude-*"), STR("*/mini")};
    const struct str providers[] = {STR("openai")};
    const struct str nothing[] = {STR("")};
    struct virtual_key k = {.models = {models, 3}, .providers = {providers, 1}};

    CHECK(vkey_allows_model(&k, STR("gpt-4o")));
    CHECK(vkey_allows_model(&k, STR("claude-opus-4-6")));
    CHECK(vkey_allows_model(&k, STR("x/mini")));
    CHECK(!vkey_allows_model(&k, STR("gpt-4o-mini")));
    CHECK(!vkey_allows_model(&k, STR("GPT-4o")));
    CHECK(!vkey_allows_model(&k, STR("")));
    CHECK(vkey_allows_provider(&k, STR("openai")));
    CHECK(!vkey_allows_provider(&k, STR("openai_compatible")));
    k.models.n = k.providers.n = 0; /* no list: everything */
    CHECK(vkey_allows_model(&k, STR("anything")));
    CHECK(vkey_allows_provider(&k, STR("anyone")));
    CHECK(vkey_allows_model(NULL, STR("anything")));
    k.models.at = nothing; /* a list of an empty name: nothing */
    k.models.n = 1;
    CHECK(!vkey_allows_model(&k, STR("gpt-4o")));
}

/* The set's lists are its own copies. */
static void test_lists_are_copied(void)
{
    struct vkey_set *s;
    char text[] = "gpt-*";
    struct str list[] = {str_of(text)};
    struct virtual_key k = {.subject.name = STR("n"), .models = {list, 1}};

    CHECK_EQ(vkey_set_new(&s), 0);
    CHECK_EQ(vkey_set_add(s, &k, STR("sk-sf-11111111")), 0);
    memset(text, 'x', 5);
    list[0] = STR_NONE;
    CHECK(vkey_allows_model(vkey_find(s, STR("sk-sf-11111111")), STR("gpt-5")));
    vkey_set_free(s);
}

int main(void)
{
    TAP_RUN(test_forms);
    TAP_RUN(test_find);
    TAP_RUN(test_many);
    TAP_RUN(test_allow_lists);
    TAP_RUN(test_lists_are_copied);
    return tap_done();
}
