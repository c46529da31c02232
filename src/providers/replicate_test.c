#include "providers/replicate.h"

#include "base/macros.h"
#include "base/tap.h"

#include <errno.h>

#define VERSION "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static struct buf out;

static struct str target_of(const char *model)
{
    struct replicate_model m;
    buf_clear(&out);
    if (replicate_model_parse(str_of(model), &m) < 0)
        return STR_NONE;
    replicate_target(&out, STR("/base"), &m);
    return buf_str(&out);
}

static void test_models(void)
{
    static const char *const bad[] = {"", "/", "owner", "owner/", "/name", "a/b/c",
        "a/b:", "a/b:12", ("a/b:" VERSION "0"), (":" VERSION), "../x", "x/..", "a b/c", "a/b?c",
        "a/b\n", "A123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"};
    CHECK_STR(target_of("meta/llama-2.1_x"), STR("/base/v1/models/meta/llama-2.1_x/predictions"));
    CHECK_STR(target_of("owner/name:" VERSION), STR("/base/v1/predictions"));
    CHECK_STR(target_of(VERSION), STR("/base/v1/predictions"));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (target_of(bad[i]).p)
            tap_fail(__FILE__, __LINE__, "\"%s\" was taken", bad[i]);
}

static struct str body_of(const char *model, bool stream)
{
    struct replicate_model m;
    buf_clear(&out);
    if (replicate_model_parse(str_of(model), &m) == 0)
        replicate_body(&out, &m, STR("{\"prompt\":\"x\"}"), stream);
    return buf_str(&out);
}

static void test_bodies(void)
{
    CHECK_STR(body_of("a/b", false), STR("{\"input\":{\"prompt\":\"x\"}}"));
    CHECK_STR(body_of("a/b", true), STR("{\"stream\":true,\"input\":{\"prompt\":\"x\"}}"));
    CHECK_STR(body_of("a/b:" VERSION, false),
        STR("{\"version\":\"" VERSION "\",\"input\":{\"prompt\":\"x\"}}"));
}

static void test_prediction(void)
{
    struct replicate_prediction p;
    CHECK_EQ(replicate_prediction_parse(
                 STR("{\"id\":\"ab12\",\"status\":\"succeeded\",\"output\":[\"a\",\"b\"],"
                     "\"error\":null,\"metrics\":{\"predict_time\":1.2341},"
                     "\"urls\":{\"get\":\"https://api.replicate.com/v1/predictions/ab12\","
                     "\"cancel\":\"https://api.replicate.com/v1/predictions/ab12/cancel\"}}"),
                 &p),
        0);
    CHECK_STR(p.id, STR("ab12"));
    CHECK_EQ(p.state, REPLICATE_SUCCEEDED);
    CHECK(replicate_ended(p.state));
    CHECK_STR(p.output, STR("[\"a\",\"b\"]"));
    CHECK(!p.error.p);
    CHECK_EQ(p.predict_ms, 1235);
    CHECK_STR(p.get_url, STR("https://api.replicate.com/v1/predictions/ab12"));
    CHECK_STR(p.cancel_url, STR("https://api.replicate.com/v1/predictions/ab12/cancel"));
}

static int state_of(const char *status)
{
    struct replicate_prediction p;
    buf_clear(&out);
    buf_printf(&out, "{\"id\":\"x\",\"status\":%s}", status);
    int r = replicate_prediction_parse(buf_str(&out), &p);
    return r < 0 ? r : (int)p.state;
}

static void test_states(void)
{
    CHECK_EQ(state_of("\"starting\""), REPLICATE_STARTING);
    CHECK_EQ(state_of("\"processing\""), REPLICATE_PROCESSING);
    CHECK_EQ(state_of("\"failed\""), REPLICATE_FAILED);
    CHECK_EQ(state_of("\"canceled\""), REPLICATE_CANCELED);
    CHECK_EQ(state_of("\"aborted\""), REPLICATE_CANCELED);
    CHECK_EQ(state_of("\"dreaming\""), -EBADMSG);
    CHECK_EQ(state_of("null"), -EBADMSG);
    CHECK_EQ(state_of("1"), -EBADMSG);
    CHECK(!replicate_ended(REPLICATE_STARTING) && !replicate_ended(REPLICATE_PROCESSING));
    CHECK(replicate_ended(REPLICATE_FAILED) && replicate_ended(REPLICATE_CANCELED));
}

static void test_malformed(void)
{
    static const char *const bad[] = {"", "[]", "{", "{\"status\":\"failed\"}",
        "{\"id\":7,\"status\":\"failed\"}", "{\"id\":\"\",\"status\":\"failed\"}",
        "{\"id\":\"x\"}"};
    struct replicate_prediction p;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        CHECK_EQ(replicate_prediction_parse(str_of(bad[i]), &p), -EBADMSG);
    CHECK_EQ(replicate_prediction_parse(
                 STR("{\"id\":\"x\",\"status\":\"failed\",\"error\":\"out of memory\","
                     "\"metrics\":{\"predict_time\":-1},\"urls\":null}"),
                 &p),
        0);
    CHECK_STR(p.error, STR("\"out of memory\""));
    CHECK_EQ(p.predict_ms, 0);
    CHECK(!p.get_url.p);
}

static int poll(const char *url, bool tls, const char *host)
{
    struct str target = STR_NONE;
    int r = replicate_poll_target(str_of(url), tls, str_of(host), &target);
    return r < 0 ? r : str_eq(target, STR("/v1/predictions/x?a=b"));
}

#define PATH "/v1/predictions/x?a=b"

static void test_poll_stays_at_the_upstream(void)
{
    CHECK_EQ(poll("https://api.replicate.com" PATH, true, "api.replicate.com"), 1);
    CHECK_EQ(poll("HTTPS://API.Replicate.com" PATH, true, "api.replicate.com"), 1);
    CHECK_EQ(poll("https://api.replicate.com:443" PATH, true, "api.replicate.com"), 1);
    CHECK_EQ(poll("http://[::1]:8080" PATH, false, "[::1]:8080"), 1);

    CHECK_EQ(poll("https://evil.com" PATH, true, "api.replicate.com"), -EACCES);
    CHECK_EQ(poll("http://api.replicate.com" PATH, true, "api.replicate.com"), -EACCES);
    CHECK_EQ(poll("https://api.replicate.com:8443" PATH, true, "api.replicate.com"), -EACCES);
    CHECK_EQ(poll("https://api.replicate.com.evil.com" PATH, true, "api.replicate.com"), -EACCES);
    CHECK_EQ(poll("https://api.replicate.com@evil.com" PATH, true, "api.replicate.com"), -EACCES);
    CHECK_EQ(poll("https://u:p@api.replicate.com" PATH, true, "api.replicate.com"), -EACCES);
    CHECK_EQ(poll("https://api.replicate.com?" PATH, true, "api.replicate.com"), -EACCES);
    CHECK_EQ(poll("https://api.replicate.com\\@evil.com" PATH, true, "api.replicate.com"), -EACCES);
    CHECK_EQ(poll("https://api.replicate.com", true, "api.replicate.com"), -EACCES);
    CHECK_EQ(poll("//api.replicate.com" PATH, true, "api.replicate.com"), -EACCES);
    CHECK_EQ(poll(PATH, true, "api.replicate.com"), -EACCES);
    CHECK_EQ(poll("", true, ""), -EACCES);
    CHECK_EQ(poll("https:///x", true, ""), -EACCES);
    CHECK_EQ(poll("https://h/a b", true, "h"), -EINVAL);
    CHECK_EQ(poll("https://h/a\r\nx: y", true, "h"), -EINVAL);
    CHECK_EQ(poll("https://h/a#b", true, "h"), -EINVAL);
    CHECK_EQ(poll("https://h/\\u0041", true, "h"), -EINVAL);
}

int main(void)
{
    buf_init(&out, 4096);
    TAP_RUN(test_models);
    TAP_RUN(test_bodies);
    TAP_RUN(test_prediction);
    TAP_RUN(test_states);
    TAP_RUN(test_malformed);
    TAP_RUN(test_poll_stays_at_the_upstream);
    buf_free(&out);
    return tap_done();
}
