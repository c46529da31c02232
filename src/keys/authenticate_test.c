/* Who calls: every place of a credential, their order, conflicts, and what is refused. */
#include "base/clock.h"
#include "keys/vkey.h"
#include "llm/exchange_test.h"
#include <errno.h>

static struct made made;
static struct keys_settings settings;

#define ONE "sk-sf-11111111"
#define TWO "sk-sf-22222222"

static void add(const char *name, const char *secret, bool active, int64_t expires_at)
{
    struct virtual_key k = {
        .subject = {.name = str_of(name), .is_active = active}, .expires_at = expires_at};

    must(vkey_set_add(settings.set, &k, str_of(secret)) == 0);
}

/* The key's name, "own CREDENTIAL", or "status code" of the refusal. */
static struct str who_at(const char *target, const char *fields)
{
    static char out[256];
    struct exchange *x = made_begin(&made, "GET", target, fields, NULL);
    int n;

    x->keys_settings = &settings;
    int r = stage_authenticate.on_request(x);
    if (r < 0)
        n = snprintf(out, sizeof out, "%d " STR_FMT, x->error.status, STR_ARG(x->error.code));
    else if (x->key)
        n = snprintf(out, sizeof out, STR_FMT, STR_ARG(x->key->subject.name));
    else
        n = snprintf(out, sizeof out, "own " STR_FMT, STR_ARG(x->caller_credential));
    bool found = x->key;
    vkey_unref(x->key);
    if ((r < 0) != (x->error.status != 0) || (found && x->caller_credential.n))
        tap_fail(__FILE__, __LINE__, "%s %s: inconsistent", target, fields);
    return str_at(out, (size_t)n);
}

static struct str who(const char *fields)
{
    return who_at("/v1/models", fields);
}

static void test_places(void)
{
    CHECK_STR(who("Authorization: Bearer " ONE "\r\n"), STR("one"));
    CHECK_STR(who("authorization: bearer   " ONE "  \r\n"), STR("one"));
    CHECK_STR(who("x-api-key: " ONE "\r\n"), STR("one"));
    CHECK_STR(who("api-key: " ONE "\r\n"), STR("one"));
    CHECK_STR(who("x-goog-api-key: " ONE "\r\n"), STR("one"));
    CHECK_STR(who_at("/v1/models?key=" ONE, ""), STR("one"));
    CHECK_STR(who_at("/v1/models?a=b&key=sk%2Dsf%2d11111111", ""), STR("one"));
    CHECK_STR(who("Sec-WebSocket-Protocol: realtime, openai-insecure-api-key." ONE ", x\r\n"),
        STR("one"));
}

static void test_none(void)
{
    CHECK_STR(who(""), STR("401 invalid_api_key"));
    CHECK_STR(who("Authorization: Bearer \r\n"), STR("401 invalid_api_key"));
    CHECK_STR(who("Authorization: " ONE "\r\n"), STR("401 invalid_api_key"));
    CHECK_STR(who("Authorization: Basic " ONE "\r\n"), STR("401 invalid_api_key"));
    CHECK_STR(who("Sec-WebSocket-Protocol: realtime, " ONE "\r\n"), STR("401 invalid_api_key"));
    CHECK_STR(who_at("/v1/models?key=", ""), STR("401 invalid_api_key"));
    CHECK_STR(who_at("/v1/models?akey=" ONE, ""), STR("401 invalid_api_key"));
    CHECK_STR(who("Cookie: key=" ONE "\r\n"), STR("401 invalid_api_key"));
}

static void test_refused(void)
{
    CHECK_STR(who("x-api-key: sk-sf-99999999\r\n"), STR("401 invalid_api_key"));
    CHECK_STR(who("x-api-key: sk-sf-\r\n"), STR("401 invalid_api_key"));
    CHECK_STR(who("x-api-key: sk-sf-revoked0\r\n"), STR("401 invalid_api_key"));
    CHECK(str_find(made.x.error.message, STR("revoked")) > 0);
    CHECK_STR(who("x-api-key: sk-sf-expired0\r\n"), STR("401 invalid_api_key"));
    CHECK(str_find(made.x.error.message, STR("expired")) > 0);
    CHECK_STR(who("x-api-key: sk-sf-notyet00\r\n"), STR("notyet"));
    CHECK_STR(who("x-api-key: sk-proj-of-openai\r\n"), STR("401 invalid_api_key"));
    CHECK(made.x.error.hint.n > 0);
}

/* No refusal repeats the credential. */
static void test_secret_stays(void)
{
    who("x-api-key: sk-sf-99999999\r\n");
    CHECK(str_find(made.x.error.message, STR("9999")) < 0);
    CHECK(str_find(made.x.error.hint, STR("9999")) < 0);
    who("x-api-key: sk-proj-secret\r\n");
    CHECK(str_find(made.x.error.hint, STR("secret")) < 0);
}

static void test_several(void)
{
    CHECK_STR(who("x-api-key: " ONE "\r\nAuthorization: Bearer " ONE "\r\n"), STR("one"));
    CHECK_STR(who("x-api-key: " TWO "\r\nAuthorization: Bearer " ONE "\r\n"),
        STR("400 conflicting_credentials"));
    CHECK_STR(
        who("x-api-key: " ONE "\r\nx-api-key: " TWO "\r\n"), STR("400 conflicting_credentials"));
    CHECK_STR(who("Authorization: Bearer " ONE "\r\nAuthorization: Bearer " TWO "\r\n"),
        STR("400 conflicting_credentials"));
    CHECK_STR(
        who_at("/v1/models?key=" TWO, "api-key: " ONE "\r\n"), STR("400 conflicting_credentials"));
    CHECK_STR(who("api-key: " ONE "\r\nSec-WebSocket-Protocol: a\r\n"
                  "Sec-WebSocket-Protocol: openai-insecure-api-key." TWO "\r\n"),
        STR("400 conflicting_credentials"));
    /* The first that is a virtual key counts; others beside it are no conflict. */
    CHECK_STR(who("Authorization: Bearer sk-other\r\nx-api-key: " TWO "\r\n"), STR("two"));
    CHECK_STR(who("x-api-key: " TWO "\r\nx-goog-api-key: AIza\r\n"), STR("two"));
    /* An unknown virtual key is not passed over for a known one. */
    CHECK_STR(who("Authorization: Bearer sk-sf-99999999\r\nx-api-key: " ONE "\r\n"),
        STR("400 conflicting_credentials"));
}

static void test_passthrough(void)
{
    settings.passthrough = true;
    CHECK_STR(who("Authorization: Bearer sk-own\r\n"), STR("own sk-own"));
    CHECK_STR(who("x-goog-api-key: AIza\r\nx-api-key: sk-ant\r\n"), STR("own sk-ant"));
    CHECK_STR(who("Authorization: Bearer sk-own\r\nx-api-key: " ONE "\r\n"), STR("one"));
    CHECK_STR(who("x-api-key: sk-sf-revoked0\r\n"), STR("401 invalid_api_key"));
    CHECK_STR(who(""), STR("401 invalid_api_key"));
    CHECK_STR(who_at("/v1/models?key=AI%7Aa", ""), STR("own AIza"));
    /* What would break out of the header field that it is passed on in. */
    CHECK_STR(who_at("/v1/models?key=a%0d%0aX-Evil:%20b", ""), STR("401 invalid_api_key"));
    CHECK_STR(who_at("/v1/models?key=a%20b", ""), STR("401 invalid_api_key"));
    CHECK_STR(who_at("/v1/models?key=a%7f", ""), STR("401 invalid_api_key"));
    CHECK_STR(who_at("/v1/models?key=a%00", ""), STR("401 invalid_api_key"));
    settings.passthrough = false;
}

int main(void)
{
    must(vkey_set_new(&settings.set) == 0);
    add("one", ONE, true, 0);
    add("two", TWO, true, 0);
    add("revoked", "sk-sf-revoked0", false, 0);
    add("expired", "sk-sf-expired0", true, clock_wall() - 1);
    add("notyet", "sk-sf-notyet00", true, clock_wall() + 3600 * NS_PER_S);
    TAP_RUN(test_places);
    TAP_RUN(test_none);
    TAP_RUN(test_refused);
    TAP_RUN(test_secret_stays);
    TAP_RUN(test_several);
    TAP_RUN(test_passthrough);
    made_end(&made);
    vkey_set_free(settings.set);
    return tap_done();
}
