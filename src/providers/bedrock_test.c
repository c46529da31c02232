/* Bedrock's paths, hosts and credentials. */
#include "providers/bedrock.h"

#include "llm/exchange_test.h"
#include "providers/provider.h"
#include "providers/sigv4.h"

#include <errno.h>
#include <time.h>

static struct buf out;

static struct str path_of(const char *model, enum bedrock_operation op)
{
    buf_clear(&out);
    int r = bedrock_target(&out, STR("/base"), str_of(model), op);
    return r < 0 ? STR_NONE : buf_str(&out);
}

static void test_targets(void)
{
    CHECK_STR(path_of("amazon.nova-pro-v1:0", BEDROCK_CONVERSE),
        STR("/base/model/amazon.nova-pro-v1%3A0/converse"));
    CHECK_STR(path_of("m", BEDROCK_CONVERSE_STREAM), STR("/base/model/m/converse-stream"));
    CHECK_STR(path_of("m", BEDROCK_INVOKE), STR("/base/model/m/invoke"));
    CHECK_STR(path_of("arn:aws:bedrock:us-east-1:1:inference-profile/us.m", BEDROCK_INVOKE_STREAM),
        STR("/base/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.m"
            "/invoke-with-response-stream"));
    CHECK_STR(path_of("a/../b?c#d\r\n", BEDROCK_INVOKE),
        STR("/base/model/a%2F..%2Fb%3Fc%23d%0D%0A/invoke"));
    CHECK(!path_of("", BEDROCK_INVOKE).p);
    CHECK(!path_of(".", BEDROCK_INVOKE).p);
    CHECK(!path_of("..", BEDROCK_INVOKE).p);
}

static void test_hosts(void)
{
    static const char *const bad[] = {"", "us east", "evil.com/", "us-east-1.evil", "US-EAST-1",
        "a@b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    buf_clear(&out);
    CHECK_EQ(bedrock_host(&out, STR("eu-central-1")), 0);
    CHECK_STR(buf_str(&out), STR("bedrock-runtime.eu-central-1.amazonaws.com"));
    buf_clear(&out);
    CHECK_EQ(bedrock_host(&out, STR("cn-north-1")), 0);
    CHECK_STR(buf_str(&out), STR("bedrock-runtime.cn-north-1.amazonaws.com.cn"));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        buf_clear(&out);
        CHECK_EQ(bedrock_host(&out, str_of(bad[i])), -EINVAL);
        CHECK_EQ(out.n, 0);
    }
}

/* --- the provider --- */

static struct upstream up;
static struct made made;

static struct exchange *call(const char *key, const char *base)
{
    struct exchange *x = made_begin(&made, "POST", "/v1/chat/completions", "", "m");
    const char *why;

    upstream_keys_free(&up);
    up = (struct upstream){.provider = provider_by_id(STR("bedrock")), .configured = true};
    must(upstream_set_base(&up, base ? str_of(base) : up.provider->base, &why) >= 0);
    if (key)
        must(upstream_add_key(&up, UPSTREAM_KEY_ENV, str_of(key), 1) == 0);
    x->upstream_key = upstream_pick(&up);
    x->model = STR("us.anthropic.claude-sonnet-4-5-20250929-v1:0");
    return x;
}

static struct str target_of(struct exchange *x, enum endpoint_kind kind, bool stream)
{
    buf_clear(&out);
    if (provider_target_of(&up, &up.provider->faces[0], kind, stream, x, &out) < 0)
        return x->error.code;
    return buf_str(&out);
}

static void test_provider_targets(void)
{
    struct exchange *x = call(NULL, NULL);

    CHECK_STR(target_of(x, KIND_CONVERSE, false),
        STR("/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse"));
    x->face = &up.provider->faces[0];
    x->up_kind = KIND_CONVERSE_STREAM;
    buf_clear(&out);
    CHECK_EQ(provider_target(&up, x->face, x, &out), 0);
    CHECK_STR(buf_str(&out),
        STR("/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse-stream"));
    x->model = STR("cohere.rerank-v3-5:0");
    CHECK_STR(target_of(x, KIND_RERANK, false), STR("/model/cohere.rerank-v3-5%3A0/invoke"));
    x->model = STR("..");
    CHECK_STR(target_of(x, KIND_CONVERSE, false), STR("invalid_path"));
}

static struct str base_of(const char *region, const char *default_region)
{
    call(NULL, NULL);
    up.options[1] = str_of(region);
    up.options[3] = str_of(default_region);
    buf_clear(&out);
    return up.provider->base_of(&up, &out) < 0 ? STR("bad") : buf_str(&out);
}

static void test_base_urls(void)
{
    CHECK_STR(base_of("", ""), up.provider->base);
    CHECK_STR(
        base_of("eu-west-1", "us-west-2"), STR("https://bedrock-runtime.eu-west-1.amazonaws.com"));
    CHECK_STR(base_of("", "us-west-2"), STR("https://bedrock-runtime.us-west-2.amazonaws.com"));
    CHECK_STR(base_of("evil.com/", ""), STR("bad"));
}

static struct buf fields;

/* The fields, or the error's code. */
static struct str sign(struct exchange *x, struct str target, struct str body)
{
    struct iovec parts[] = {
        {(char *)body.p, body.n / 2}, {(char *)body.p + body.n / 2, body.n - body.n / 2}};

    buf_clear(&fields);
    if (provider_sign_body(&up, &up.provider->faces[0], x, STR("POST"), target, parts, 2, &fields) <
        0)
        return x->error.code;
    return buf_str(&fields);
}

/* Signs the same at the time that got says, by the arguments alone. */
static void check_signed(
    struct str got, struct str id, struct str secret, struct str token, struct str region)
{
    _cleanup_(secret_free) struct secret key = {0};
    struct tm tm = {0};
    must(got.n > 28 && str_starts(got, STR("x-amz-date: ")));
    char text[17] = {0};
    memcpy(text, got.p + 12, 16);
    CHECK(strptime(text, "%Y%m%dT%H%M%SZ", &tm) != NULL);
    must(secret_set(&key, secret) == 0);
    const struct sigv4_credentials c = {
        .access_key_id = id, .secret_key = &key, .session_token = token};
    const struct sigv4_request r = {.method = STR("POST"),
        .host = up.origin.host_header,
        .path = STR("/model/a%3A0/converse"),
        .query = STR("b=1"),
        .body = STR("{\"a\":1}"),
        .region = region,
        .service = STR("bedrock"),
        .wall_ns = (int64_t)timegm(&tm) * 1000000000};
    buf_clear(&out);
    CHECK_EQ(sigv4_sign(&c, &r, &out), 0);
    CHECK_STR(got, buf_str(&out));
}

static const struct str target = STR_INIT("/model/a%3A0/converse?b=1"),
                        body = STR_INIT("{\"a\":1}");

static void test_signed(void)
{
    struct exchange *x = call("AKIAIOSFODNN7EXAMPLE", NULL);
    struct str id = STR("AKIAIOSFODNN7EXAMPLE");

    CHECK_STR(sign(x, target, body), STR("provider_not_configured"));
    x = call("AKIAIOSFODNN7EXAMPLE", NULL);
    up.options[0] = STR("the/secret+key");
    check_signed(sign(x, target, body), id, STR("the/secret+key"), STR_NONE, STR("us-east-1"));
    up.options[1] = STR("eu-west-3");
    up.options[2] = STR("session");
    check_signed(
        sign(x, target, body), id, STR("the/secret+key"), STR("session"), STR("eu-west-3"));
    /* the host says the region where nothing else does */
    x = call("AKIAIOSFODNN7EXAMPLE", "https://bedrock-runtime.ap-south-1.amazonaws.com");
    up.options[0] = STR("s");
    check_signed(sign(x, target, body), id, STR("s"), STR_NONE, STR("ap-south-1"));
}

/* A key of the vault brings its secret with it; the settings' token is not its own. */
static void test_signed_with_own_secret(void)
{
    struct exchange *x = call("ASIAIOSFODNN7EXAMPLE:own/secret", NULL);
    struct str id = STR("ASIAIOSFODNN7EXAMPLE");

    up.options[0] = STR("another");
    up.options[2] = STR("another's token");
    check_signed(sign(x, target, body), id, STR("own/secret"), STR_NONE, STR("us-east-1"));
    x = call("ASIAIOSFODNN7EXAMPLE:own/secret:own==token", NULL);
    check_signed(sign(x, target, body), id, STR("own/secret"), STR("own==token"), STR("us-east-1"));
}

static void test_bearer(void)
{
    struct exchange *x = call("ABSKQmVkcm9ja0FQSUtleS1leGFtcGxl", NULL);

    CHECK_STR(
        sign(x, target, body), STR("authorization: Bearer ABSKQmVkcm9ja0FQSUtleS1leGFtcGxl\r\n"));
    x = call("bedrock-api-key-YmVkcm9jaw==", NULL);
    CHECK_STR(sign(x, target, body), STR("authorization: Bearer bedrock-api-key-YmVkcm9jaw==\r\n"));
    x = call("bad\r\nx: y", NULL);
    CHECK_STR(sign(x, target, body), STR("provider_auth_failed"));
    x = call(NULL, NULL);
    CHECK_STR(sign(x, target, body), STR(""));
}

int main(void)
{
    buf_init(&out, 4096);
    buf_init(&fields, 4096);
    TAP_RUN(test_targets);
    TAP_RUN(test_hosts);
    TAP_RUN(test_provider_targets);
    TAP_RUN(test_base_urls);
    TAP_RUN(test_signed);
    TAP_RUN(test_signed_with_own_secret);
    TAP_RUN(test_bearer);
    upstream_keys_free(&up);
    made_end(&made);
    buf_free(&fields);
    buf_free(&out);
    return tap_done();
}
