#include "providers/bedrock.h"

#include "base/macros.h"
#include "base/tap.h"

#include <errno.h>

static struct buf out;
static struct eventstream stream;

static struct str target(const char *model, enum bedrock_operation op)
{
    buf_clear(&out);
    int r = bedrock_target(&out, STR("/base"), str_of(model), op);
    return r < 0 ? STR_NONE : buf_str(&out);
}

static void test_targets(void)
{
    CHECK_STR(target("amazon.nova-pro-v1:0", BEDROCK_CONVERSE),
        STR("/base/model/amazon.nova-pro-v1%3A0/converse"));
    CHECK_STR(target("m", BEDROCK_CONVERSE_STREAM), STR("/base/model/m/converse-stream"));
    CHECK_STR(target("m", BEDROCK_INVOKE), STR("/base/model/m/invoke"));
    CHECK_STR(target("arn:aws:bedrock:us-east-1:1:inference-profile/us.m", BEDROCK_INVOKE_STREAM),
        STR("/base/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.m"
            "/invoke-with-response-stream"));
    CHECK_STR(target("a/../b?c#d\r\n", BEDROCK_INVOKE),
        STR("/base/model/a%2F..%2Fb%3Fc%23d%0D%0A/invoke"));
    CHECK(!target("", BEDROCK_INVOKE).p);
    CHECK(!target(".", BEDROCK_INVOKE).p);
    CHECK(!target("..", BEDROCK_INVOKE).p);
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

static void test_statuses(void)
{
    CHECK_EQ(bedrock_status(STR("throttlingException")), 429);
    CHECK_EQ(bedrock_status(STR("ThrottlingException")), 429);
    CHECK_EQ(bedrock_status(STR("com.amazon.coral.service#ValidationException")), 400);
    CHECK_EQ(bedrock_status(STR("AccessDeniedException:http://internal.amazon.com/coral/")), 403);
    CHECK_EQ(bedrock_status(STR("modelTimeoutException")), 408);
    CHECK_EQ(bedrock_status(STR("serviceUnavailableException")), 503);
    CHECK_EQ(bedrock_status(STR("somethingNew")), 500);
    CHECK_EQ(bedrock_status(STR_NONE), 500);
}

static struct bedrock_event event_of(const char *kind, const char *name, const char *type)
{
    _cleanup_(buf_free) struct buf frame;
    struct eventstream_message m;
    struct eventstream_header h[] = {{STR(":message-type"), EVENTSTREAM_STRING, str_of(kind)},
        {str_of(name), EVENTSTREAM_STRING, str_of(type)}};
    struct bedrock_event none = {0};
    buf_init(&frame, 4096);
    eventstream_free(&stream);
    eventstream_init(&stream);
    if (eventstream_write(&frame, h, 2, STR("{}")) < 0 ||
        eventstream_feed(&stream, buf_str(&frame)) < 0 || eventstream_next(&stream, &m) != 1)
        return none;
    return bedrock_event(&m); /* views into stream */
}

static void test_events(void)
{
    struct bedrock_event e = event_of("event", ":event-type", "messageStop");
    CHECK_EQ(e.kind, BEDROCK_EVENT);
    CHECK_STR(e.type, STR("messageStop"));
    CHECK_STR(e.payload, STR("{}"));
    CHECK_EQ(e.status, 0);
    e = event_of("exception", ":exception-type", "modelStreamErrorException");
    CHECK_EQ(e.kind, BEDROCK_EXCEPTION);
    CHECK_STR(e.type, STR("modelStreamErrorException"));
    CHECK_EQ(e.status, 424);
    e = event_of("error", ":error-code", "InternalServerException");
    CHECK_EQ(e.kind, BEDROCK_EXCEPTION);
    CHECK_EQ(e.status, 500);
    e = event_of("novel", ":event-type", "x");
    CHECK_EQ(e.kind, BEDROCK_UNKNOWN);
}

static int chunk(const char *payload)
{
    buf_clear(&out);
    return bedrock_chunk(str_of(payload), &out);
}

static void test_chunks(void)
{
    CHECK_EQ(chunk("{\"bytes\":\"eyJ0eXBlIjoicGluZyJ9\",\"p\":\"abc\"}"), 0);
    CHECK_STR(buf_str(&out), STR("{\"type\":\"ping\"}"));
    CHECK_EQ(chunk("{\"bytes\":\"\"}"), 0);
    CHECK_EQ(out.n, 0);
    static const char *const bad[] = {"", "{}", "[]", "{\"bytes\":1}", "{\"bytes\":\"@\"}",
        "{\"bytes\":\"eyJ0\\u0065\"}", "{\"bytes\":\"eA==\",\"bytes\":\"eA==\"}",
        "{\"bytes\":\"eA\"}"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CHECK_EQ(chunk(bad[i]), -EBADMSG);
        CHECK_EQ(out.n, 0);
    }
}

int main(void)
{
    buf_init(&out, 4096);
    TAP_RUN(test_targets);
    TAP_RUN(test_hosts);
    TAP_RUN(test_statuses);
    TAP_RUN(test_events);
    TAP_RUN(test_chunks);
    eventstream_free(&stream);
    buf_free(&out);
    return tap_done();
}
