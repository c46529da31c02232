/* The forms that lines take on their way to the sinks. */
#include "base/tap.h"
#include "telemetry/sinks_int.h"

#include <zlib.h>

#define LINE "{\"ts\":\"2026-11-21T10:40:00.123Z\",\"level\":\"info\",\"event\":\"call\"}"

static struct buf out;

static void fresh(void)
{
    buf_free(&out);
    buf_init(&out, MIB);
}

static void test_syslog(void)
{
    fresh();
    syslog_frame(STR(LINE), STR("host1"), 42, false, &out);
    CHECK_STR(
        buf_str(&out), STR("<134>1 2026-11-21T10:40:00.123Z host1 smartflow 42 call - " LINE));
    fresh();
    syslog_frame(STR("{}"), STR("h"), 1, true, &out);
    CHECK_STR(buf_str(&out), STR("32 <134>1 - h smartflow 1 call - {}"));
    fresh();
    char big[1000];
    memset(big, 'h', sizeof big); /* a host name is at most 255 */
    syslog_frame(STR("{}"), str_at(big, sizeof big), 1, false, &out);
    CHECK_EQ(out.n, 32 - 1 + 255);
}

static void test_hec(void)
{
    fresh();
    hec_event(STR(LINE), STR("n\"1"), STR(""), &out);
    CHECK_STR(
        buf_str(&out), STR("{\"time\":1795257600.123,\"host\":\"n\\\"1\",\"source\":\"smartflow\","
                           "\"sourcetype\":\"_json\",\"event\":" LINE "}"));
    fresh();
    hec_event(STR("{\"ts\":\"yesterday, at about ten o'clock\"}"), STR("n"), STR("i"), &out);
    CHECK(str_starts(buf_str(&out), STR("{\"host\":\"n\",")));
    CHECK(str_find(buf_str(&out), STR("\"index\":\"i\"")) > 0);
}

static void test_gzip(void)
{
    char back[4096] = "";
    z_stream z = {0};

    fresh();
    buf_addstr(&out, STR("kept"));
    CHECK_EQ(gzip_all(STR(LINE "\n" LINE "\n"), &out), 0);
    CHECK(str_starts(buf_str(&out), STR("kept\x1f\x8b")));
    z.next_in = (Bytef *)out.p + 4;
    z.avail_in = (uInt)out.n - 4;
    z.next_out = (Bytef *)back;
    z.avail_out = sizeof back;
    CHECK(inflateInit2(&z, 15 + 16) == Z_OK);
    CHECK(inflate(&z, Z_FINISH) == Z_STREAM_END);
    inflateEnd(&z);
    CHECK_STR(str_at(back, z.total_out), STR(LINE "\n" LINE "\n"));
}

/* --- addresses --- */

static bool opens(const struct sink_ops *ops, const struct sink_settings *s)
{
    const struct post_route route = {0};
    char why[POST_ERR_BYTES] = "";
    void *state = NULL;
    int r = ops->open(s, &route, STR("n"), &state, why);

    if (state)
        ops->close(state);
    return r == 0 && state;
}

static bool syslog_opens(const char *address)
{
    const struct sink_settings s = {.syslog = str_of(address)};
    return opens(&sink_syslog, &s);
}

static void test_addresses(void)
{
    static const char *const good[] = {"udp://h", "udp://h:514", "tcp://127.0.0.1:601",
        "tcp://[::1]:601", "tcp://[::1]", "unix:/dev/log", "TCP://h"};
    static const char *const bad[] = {"h:514", "udp://", "udp://:514", "udp://h:0", "udp://h:70000",
        "udp://h:x", "tcp://[::1]601", "unix:", "http://h"};

    for (unsigned i = 0; i < ARRAY_LEN(good); i++)
        CHECK(syslog_opens(good[i]));
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
        CHECK(!syslog_opens(bad[i]));
}

static void test_needs(void)
{
    struct sink_settings s = {.hec_url = STR("http://h:8088"),
        .s3_url = STR("http://h/b"),
        .s3_key_id = STR("AK"),
        .s3_region = STR("r")};

    CHECK(!opens(&sink_hec, &s) && !opens(&sink_s3, &s)); /* no token, no secret */
    secret_set(&s.hec_token, STR("t"));
    secret_set(&s.s3_secret, STR("t"));
    CHECK(opens(&sink_hec, &s) && opens(&sink_s3, &s));
    s.s3_url = STR("http://h/b?x=1");
    s.hec_url = STR("h:8088");
    CHECK(!opens(&sink_hec, &s) && !opens(&sink_s3, &s));
    secret_free(&s.hec_token);
    secret_free(&s.s3_secret);
}

int main(void)
{
    TAP_RUN(test_syslog);
    TAP_RUN(test_hec);
    TAP_RUN(test_gzip);
    TAP_RUN(test_addresses);
    TAP_RUN(test_needs);
    buf_free(&out);
    return tap_done();
}
