/* Who calls: every place of a credential, their order, conflicts, and what is refused. */
#include "base/clock.h"
#include "keys/catalog_int.h"
#include "keys/vkey.h"
#include "llm/exchange_test.h"
#include "runtime/test_loop.h"
#include <errno.h>

static struct made made;
static struct keys_settings settings;
static struct net_addr from;

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
    x->client = from;
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

/* A signature says nothing that could be checked here; a key beside it does. */
static void test_signed(void)
{
    const char *sig = "Authorization: AWS4-HMAC-SHA256 Credential=" ONE "/20260101/us-east-1/"
                      "bedrock/aws4_request, SignedHeaders=host, Signature=00\r\n";
    char both[512];

    CHECK_STR(who(sig), STR("403 invalid_api_key"));
    CHECK(str_find(made.x.error.hint, STR("AWS_BEARER_TOKEN_BEDROCK")) >= 0);
    snprintf(both, sizeof both, "%sx-api-key: " ONE "\r\n", sig);
    CHECK_STR(who(both), STR("one"));
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

/* --- over the catalogue --- */

static struct catalog *cat;

static void put(const char *secret, struct virtual_key k)
{
    struct virtual_key *key;
    char id[17];

    k.subject.is_active = true;
    vkey_set_secret(&k, str_of(secret), id);
    must(vkey_new(&k, &key) == 0);
    catalog_put_key(cat, key);
}

static struct net_cidrs *cidrs(const char *text)
{
    struct net_cidrs *c;

    must(net_cidrs_parse(str_of(text), &c) == 0);
    return c;
}

static struct str who_key(const char *target, const char *secret)
{
    char fields[128];

    snprintf(fields, sizeof fields, "x-api-key: %s\r\n", secret);
    return who_at(target, fields);
}

static void restricted_body(void)
{
    const struct str endpoints[] = {STR("models"), STR("/v1/files*")};

    must(catalog_new(&cat) == 0 && catalog_attach(cat) == 0);
    put("sk-sf-anything", (struct virtual_key){.subject.name = STR("any")});
    put("sk-sf-endpoint",
        (struct virtual_key){.subject.name = STR("ep"), .endpoints = {endpoints, 2}});
    put("sk-sf-nearhere",
        (struct virtual_key){.subject.name = STR("near"), .addresses = cidrs("192.0.2.0/24,::1")});
    put("sk-sf-faraway0",
        (struct virtual_key){.subject.name = STR("far"), .addresses = cidrs("198.51.100.7")});
    put("sk-sf-inateam0",
        (struct virtual_key){.subject.name = STR("team"), .team_id = STR("team_off")});
    co_sleep_until(loop_now() + NS_PER_MS);
    must(net_addr_parse(STR("192.0.2.9"), 1, &from));
    CHECK_STR(who_key("/v1/models", "sk-sf-anything"), STR("any"));
    CHECK_STR(
        who_key("/v1/models", ONE), STR("401 invalid_api_key")); /* the file's are not in it */
    CHECK_STR(who_key("/v1/models", "sk-sf-endpoint"), STR("ep"));
    CHECK_STR(who_key("/v1/files", "sk-sf-endpoint"), STR("ep"));
    CHECK_STR(who_key("/openai/v1/files/file-1", "sk-sf-endpoint"), STR("ep"));
    CHECK_STR(who_key("/files/file-1", "sk-sf-endpoint"), STR("ep"));
    CHECK_STR(who_key("/v1/batches", "sk-sf-endpoint"), STR("403 not_allowed"));
    CHECK_STR(who_key("/v1/models", "sk-sf-nearhere"), STR("near"));
    CHECK_STR(who_key("/v1/models", "sk-sf-faraway0"), STR("403 address_not_allowed"));
    CHECK_STR(who_key("/v1/models", "sk-sf-inateam0"), STR("team"));
    struct subject off = {.kind = SUBJECT_TEAM, .id = STR("team_off"), .name = STR("secret name")};
    struct subject *team;
    must(subject_new(&off, &team) == 0);
    catalog_put_subject(cat, team);
    co_sleep_until(loop_now() + NS_PER_MS);
    CHECK_STR(who_key("/v1/models", "sk-sf-inateam0"), STR("403 not_allowed"));
    CHECK(str_find(made.x.error.message, STR("secret name")) < 0);
    catalog_set_fresh(cat, false); /* an unknown key may be a new one */
    CHECK_STR(who_key("/v1/models", "sk-sf-unknown0"), STR("503 keys_unavailable"));
    CHECK_STR(who_key("/v1/models", "sk-sf-anything"), STR("any"));
    catalog_detach(cat);
    catalog_free(cat);
}

static void test_restricted(void)
{
    in_loop(restricted_body);
}

/* Whoever guesses is slowed, but a good key from the same place works. */
static void test_guessing(void)
{
    must(net_addr_parse(STR("203.0.113.5"), 1, &from));
    for (int i = 0; i < FLOOD_FREE; i++)
        CHECK_STR(who("x-api-key: sk-sf-guess000\r\n"), STR("401 invalid_api_key"));
    CHECK_STR(who("x-api-key: sk-sf-guess000\r\n"), STR("429 rate_limit_exceeded"));
    CHECK(made.x.error.retry_after_s > 0 && made.x.error.retry_after_s <= 60);
    CHECK_STR(who("x-api-key: " ONE "\r\n"), STR("one"));
    CHECK_STR(who("x-api-key: sk-sf-revoked0\r\n"), STR("401 invalid_api_key"));
    must(net_addr_parse(STR("203.0.113.6"), 1, &from));
    CHECK_STR(who("x-api-key: sk-sf-guess000\r\n"), STR("401 invalid_api_key"));
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
    TAP_RUN(test_signed);
    TAP_RUN(test_secret_stays);
    TAP_RUN(test_several);
    TAP_RUN(test_passthrough);
    TAP_RUN(test_restricted);
    TAP_RUN(test_guessing);
    made_end(&made);
    vkey_set_free(settings.set);
    return tap_done();
}
