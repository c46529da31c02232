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
                     "\"error\":null,\"metrics\":{\"predict_time\":1.2341}}"),
                 &p),
        0);
    CHECK_STR(p.id, STR("ab12"));
    CHECK_EQ(p.state, REPLICATE_SUCCEEDED);
    CHECK(replicate_ended(p.state));
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
    CHECK_EQ(state_of("\"starting\""), REPLICATE_RUNS);
    CHECK_EQ(state_of("\"processing\""), REPLICATE_RUNS);
    CHECK_EQ(state_of("\"failed\""), REPLICATE_FAILED);
    CHECK_EQ(state_of("\"canceled\""), REPLICATE_CANCELED);
    CHECK_EQ(state_of("\"aborted\""), REPLICATE_CANCELED);
    CHECK_EQ(state_of("\"dreaming\""), REPLICATE_RUNS);
    CHECK_EQ(state_of("null"), -EBADMSG);
    CHECK_EQ(state_of("1"), -EBADMSG);
    CHECK(!replicate_ended(REPLICATE_RUNS));
    CHECK(replicate_ended(REPLICATE_FAILED) && replicate_ended(REPLICATE_CANCELED));
}

static void test_malformed(void)
{
    static const char *const bad[] = {"", "[]", "{", "{\"status\":\"failed\"}",
        "{\"id\":7,\"status\":\"failed\"}", "{\"id\":\"\",\"status\":\"failed\"}", "{\"id\":\"x\"}",
        "{\"id\":\"..\",\"status\":\"failed\"}", "{\"id\":\"a/b\",\"status\":\"failed\"}",
        "{\"id\":\"a\\n\",\"status\":\"failed\"}"};
    struct replicate_prediction p;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        CHECK_EQ(replicate_prediction_parse(str_of(bad[i]), &p), -EBADMSG);
}

static void test_targets_of_predictions(void)
{
    buf_clear(&out);
    replicate_prediction_target(&out, STR("/base"), STR("ab12"), false);
    CHECK_STR(buf_str(&out), STR("/base/v1/predictions/ab12"));
    buf_clear(&out);
    replicate_prediction_target(&out, STR(""), STR("ab12"), true);
    CHECK_STR(buf_str(&out), STR("/v1/predictions/ab12/cancel"));
}

int main(void)
{
    buf_init(&out, 4096);
    TAP_RUN(test_models);
    TAP_RUN(test_bodies);
    TAP_RUN(test_prediction);
    TAP_RUN(test_states);
    TAP_RUN(test_malformed);
    TAP_RUN(test_targets_of_predictions);
    buf_free(&out);
    return tap_done();
}
