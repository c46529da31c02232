/* Header fields on their way through: what never passes, and that nothing a caller sends breaks a
 * line. */
#include "gateway/gateway_int.h"

#include "base/clock.h"
#include "config/config_test.h"
#include "llm/exchange_test.h"
#include "providers/face.h"

static struct made made;
static struct upstream up;
static struct buf out;

/* The fields that an upstream gets, of a POST with these. */
static struct str upstream_fields(const char *provider, const char *target, const char *fields)
{
    struct exchange *x = made_begin(&made, "POST", target, fields, "m");
    struct str ret = STR_NONE;

    up.provider = provider_by_id(str_of(provider));
    upstream_keys_free(&up);
    must(upstream_add_key(&up, UPSTREAM_KEY_ENV, STR("sk-ours"), 1) == 0);
    x->upstream_key = upstream_pick(&up);
    x->upstream = &up;
    const struct face_asked asked = {
        .dialect = x->dialect, .kind = x->match.endpoint->kind, .model = STR("m")};
    x->face = provider_face_for(up.provider, &asked, &x->up_kind);
    must(x->face && gw_upstream_fields(x, x->face, STR("POST"), STR("/"), NULL, 0, &ret) == 0);
    return ret;
}

static bool has(struct str fields, const char *line)
{
    return str_find(fields, str_of(line)) >= 0;
}

static void test_kept_back(void)
{
    static const char *const names[] = {"Cookie", "Authorization", "X-Api-Key", "api-key",
        "x-goog-api-key", "Forwarded", "X-Forwarded-For", "x-forwarded-port", "X-Real-IP",
        "x-smartflow-user", "x-smartflow-cache-ttl", "Proxy-Authorization", "TE", "Keep-Alive",
        "Proxy-Connection", "X-Listed"};
    char fields[2048] = "Connection: keep-alive, x-listed\r\nX-Passes: yes\r\n";

    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        strcat(fields, names[i]);
        strcat(fields, ": secret-of-caller\r\n");
    }
    struct str got = upstream_fields("openai", "/v1/chat/completions", fields);
    CHECK(!has(got, "secret-of-caller"));
    CHECK(!has(got, "ost: "));
    CHECK(has(got, "X-Passes: yes\r\n"));
    CHECK(has(got, "authorization: Bearer sk-ours\r\n"));
    CHECK(has(got, "accept-encoding: identity\r\n"));
}

static void test_defaults_and_via(void)
{
    struct str got = upstream_fields("anthropic", "/v1/messages", "");

    CHECK(has(got, "anthropic-version: 2023-06-01\r\n"));
    CHECK(has(got, "via: 1.1 sf-"));
    got = upstream_fields(
        "anthropic", "/v1/messages", "anthropic-version: 2099-01-01\r\nVia: 1.0 proxy\r\n");
    CHECK(!has(got, "2023-06-01"));
    CHECK(has(got, "anthropic-version: 2099-01-01\r\n"));
    CHECK(has(got, "via: 1.0 proxy, 1.1 sf-"));
    /* Our own mark is noticed when it comes back. */
    char fields[128];
    struct str mark = str_from(got, (size_t)str_find(got, STR("sf-")));
    snprintf(
        fields, sizeof fields, "Via: a\r\nVia: 1.1 " STR_FMT "\r\n", STR_ARG(str_to(mark, 11)));
    CHECK(gw_came_from_us(made_begin(&made, "POST", "/v1/messages", fields, "m")->rq));
    CHECK(!gw_came_from_us(
        made_begin(&made, "POST", "/v1/messages", "Via: 1.1 sf-00000000\r\n", "m")->rq));
}

static struct str own_fields(struct str model)
{
    struct exchange *x = made_begin(&made, "POST", "/v1/chat/completions", "", "m");

    x->upstream = &up;
    up.provider = provider_by_id(STR("openai"));
    x->model = model;
    x->cost_nano = 1230000;
    x->rq->first_byte_at = clock_now();
    memcpy(x->id, "01890000-0000-7000-8000-000000000000", 37);
    buf_clear(&out);
    gw_own_fields(x, &out);
    return buf_str(&out);
}

/* A name from a JSON string or a form may hold any byte. */
static void test_model_name(void)
{
    static const struct str bad[] = {STR_INIT("a\r\nx-evil: 1"), STR_INIT("a\nb"), STR_INIT("a\rb"),
        STR_INIT("a\0b"), STR_INIT("a\tb"), STR_INIT("\x7f"), STR_INIT("")};

    CHECK(has(own_fields(STR("gpt-4o")), "x-smartflow-model: gpt-4o\r\n"));
    CHECK(has(own_fields(STR("caf\xc3\xa9")), "x-smartflow-model: caf\xc3\xa9\r\n"));
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        struct str got = own_fields(bad[i]);
        CHECK(!has(got, "x-smartflow-model"));
        CHECK(!has(got, "x-evil"));
        CHECK(has(got, "x-smartflow-provider: openai\r\n"));
    }
}

/* What speaks of one dialect goes to providers of that dialect alone. */
static void test_dialects(void)
{
    static const struct {
        const char *line, *goes_to;
    } rows[] = {{"anthropic-beta: b\r\n", "anthropic"}, {"anthropic-version: 1\r\n", "anthropic"},
        {"openai-beta: b\r\n", "openai"}, {"openai-organization: o\r\n", "openai"},
        {"x-goog-api-client: c\r\n", "gemini"}, {"x-own: 1\r\n", ""}};
    static const char *const providers[] = {"openai", "anthropic", "gemini"};

    for (unsigned p = 0; p < ARRAY_LEN(providers); p++)
        for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
            struct str got = upstream_fields(providers[p], "/v1/responses", rows[i].line);
            bool own = p == 0; /* nothing is translated: all pass */
            bool passes = own || !rows[i].goes_to[0] || !strcmp(rows[i].goes_to, providers[p]);
            CHECK_EQ(has(got, rows[i].line), passes);
        }
    CHECK(!has(upstream_fields("anthropic", "/v1/chat/completions", "x-stainless-lang: js\r\n"),
        "stainless"));
}

/* What AWS's SDKs sign with stays here, what Bedrock takes as options passes to it alone. */
static void test_aws_fields(void)
{
    static const char fields[] =
        "x-amz-date: secret-of-caller\r\nX-Amz-Security-Token: secret-of-caller\r\n"
        "amz-sdk-invocation-id: secret-of-caller\r\namz-sdk-request: secret-of-caller\r\n"
        "Authorization: AWS4-HMAC-SHA256 secret-of-caller\r\nx-amzn-bedrock-trace: ENABLED\r\n";
    struct str got = upstream_fields("bedrock", "/model/m/invoke", fields);

    CHECK(!has(got, "secret-of-caller"));
    CHECK(has(got, "x-amzn-bedrock-trace: ENABLED\r\n"));
    CHECK(has(got, "authorization: Bearer sk-ours\r\n"));
    got = upstream_fields("anthropic", "/model/m/converse", fields);
    CHECK(!has(got, "secret-of-caller") && !has(got, "x-amzn-"));
    CHECK(has(got, "x-api-key: sk-ours\r\n") && has(got, "anthropic-version: "));
}

static void test_cost(void)
{
    struct str got = own_fields(STR("m"));

    CHECK(has(got, "x-smartflow-cost-usd: 0.00123\r\nx-smartflow-response-cost: 0.00123\r\n"));
    CHECK(has(got, "x-smartflow-request-id: 01890000-0000-7000-8000-000000000000\r\n"));
}

static void test_reply_fields(void)
{
    static const char reply[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                                "Content-Length: 0\r\nDate: x\r\nSet-Cookie: a=b\r\n"
                                "Connection: x-hop\r\nX-Hop: 1\r\nx-smartflow-cost-usd: 99\r\n"
                                "x-smartflow-provider: 99\r\nx-smartflow-trace-id: 99\r\n"
                                "x-smartflow-tags: 99\r\nx-smartflow-user: 99\r\n"
                                "Alt-Svc: h3=\":443\"\r\nStrict-Transport-Security: max-age=1\r\n"
                                "Content-Encoding: gzip\r\nx-request-id: req_1\r\n\r\n";
    static const char *const gone[] = {"Set-Cookie", "X-Hop", ": 99", "Alt-Svc", "Strict-",
        "Date:", "Content-Length", "Connection"};
    struct http_field room[LIMIT_HEADERS];
    struct http_head h;
    const char *why;

    CHECK(http_parse_response(str_of(reply), false, room, LIMIT_HEADERS, &h, &why) > 0);
    own_fields(STR("m"));
    for (int decoded = 0; decoded < 2; decoded++) {
        buf_clear(&out);
        gw_reply_fields(&made.x, &h, decoded, &out);
        for (unsigned i = 0; i < ARRAY_LEN(gone); i++)
            if (has(buf_str(&out), gone[i]))
                tap_fail(__FILE__, __LINE__, "%s passed", gone[i]);
        CHECK(has(buf_str(&out), "x-request-id: req_1\r\n"));
        CHECK(has(buf_str(&out), "Content-Encoding: gzip\r\n") == !decoded);
    }
}

static void test_cors(void)
{
    struct config c = *config_current();
    struct str origins[] = {STR("https://a.example"), STR("https://b.example")};
    struct exchange *x;

    x = made_begin(&made, "POST", "/v1/messages", "Origin: https://b.example\r\n", "m");
    buf_clear(&out);
    gw_cors_fields(&c, x->rq, &out);
    CHECK_EQ(out.n, 0);
    c.cors_origins = origins;
    c.cors_origins_n = 2;
    gw_cors_fields(&c, x->rq, &out);
    CHECK(has(buf_str(&out), "access-control-allow-origin: https://b.example\r\nvary: Origin\r\n"));
    buf_clear(&out);
    x = made_begin(&made, "POST", "/v1/messages", "Origin: https://b.example.evil\r\n", "m");
    gw_cors_fields(&c, x->rq, &out);
    CHECK_EQ(out.n, 0);
    origins[0] = STR("*");
    gw_cors_fields(&c, x->rq, &out);
    CHECK(has(buf_str(&out), "access-control-allow-origin: "));
}

int main(void)
{
    struct config *c = load(STR_NONE, NULL)->c;

    buf_init(&out, 64 * KIB);
    config_set_current(c);
    TAP_RUN(test_kept_back);
    TAP_RUN(test_defaults_and_via);
    TAP_RUN(test_model_name);
    TAP_RUN(test_dialects);
    TAP_RUN(test_aws_fields);
    TAP_RUN(test_cost);
    TAP_RUN(test_reply_fields);
    TAP_RUN(test_cors);
    config_set_current(NULL);
    config_unref(c);
    upstream_keys_free(&up);
    made_end(&made);
    buf_free(&out);
    buf_free(gw_scratch());
    return tap_done();
}
