/* Addresses, pauses, and what an answer means, against a peer on 127.0.0.1. */
#include "alert/post.h"

#include "http/loopback.h"

static char why[POST_ERR_BYTES];

static bool good(const char *url, const char *host, const char *path)
{
    struct post_target *t = NULL;

    if (post_target_new(str_of(url), NULL, false, &t, why) < 0)
        return false;
    bool same =
        str_eq(post_target_host(t), str_of(host)) && str_eq(post_target_path(t), str_of(path));
    post_target_unref(t);
    return same;
}

static void test_addresses(void)
{
    struct post_target *t = NULL;
    static const char *const bad[] = {"", "hooks.example.com/x", "ftp://h/x", "http://",
        "http://:80/", "http://h:0/", "http://h:99999/", "http://h:80x/", "http://user:pw@h/",
        "http://h/a b", "http://h/\xc3\xa4", "http://[::1/", "http://h?x=1", "http://h/\r\nx: y"};

    CHECK(good("http://h/services/T0/B0/x", "h", "/services/T0/B0/x"));
    CHECK(good("HTTP://127.0.0.1:9000/v1/traces", "127.0.0.1:9000", "/v1/traces"));
    CHECK(good("http://[::1]:80/a?sig=%2F&b#frag", "[::1]:80", "/a?sig=%2F&b"));
    CHECK(good("http://h", "h", "/"));
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        why[0] = 0;
        CHECK_EQ(post_target_new(str_of(bad[i]), NULL, false, &t, why), -EINVAL);
        CHECK(why[0]);
    }
}

static void test_pauses(void)
{
    for (unsigned i = 0; i < 100; i++) {
        int64_t a = post_pause(1, NS_PER_S, 6, 300 * NS_PER_S, 0);
        int64_t b = post_pause(3, NS_PER_S, 6, 300 * NS_PER_S, 0);
        CHECK(a >= NS_PER_S && a <= 1200 * NS_PER_MS);
        CHECK(b >= 36 * NS_PER_S && b <= 44 * NS_PER_S);
        CHECK_EQ(post_pause(9, NS_PER_S, 6, 300 * NS_PER_S, 0), 300 * NS_PER_S);
        CHECK_EQ(post_pause(1, NS_PER_S, 6, 300 * NS_PER_S, 77 * NS_PER_S), 77 * NS_PER_S);
        CHECK_EQ(post_pause(1, NS_PER_S, 6, 300 * NS_PER_S, 7700 * NS_PER_S), 300 * NS_PER_S);
    }
}

/* --- answers --- */

static int answer_status;

static void answer(struct http_request *rq, void *ctx)
{
    (void)ctx;
    http_reply(
        rq, answer_status, answer_status == 429 ? STR("retry-after: 7\r\n") : STR_NONE, STR("ok"));
}

static struct post_target *target_of(uint16_t port, bool guarded)
{
    struct post_target *t = NULL;
    char url[64];

    snprintf(url, sizeof url, "http://127.0.0.1:%u/hook", port);
    must(post_target_new(str_of(url), NULL, guarded, &t, why) == 0);
    return t;
}

static void answers(void)
{
    static const struct {
        int status;
        enum post_result wanted;
    } cases[] = {{200, POST_DONE}, {204, POST_DONE}, {302, POST_REFUSED}, {400, POST_REFUSED},
        {404, POST_REFUSED}, {408, POST_RETRY}, {429, POST_RETRY}, {500, POST_RETRY},
        {503, POST_RETRY}};
    struct post p = {.body = STR("{}"), .timeout = 5 * NS_PER_S};
    struct post_reply reply;

    rig_start(answer);
    struct post_target *t = target_of(rig.port, false), *g = target_of(rig.port, true);
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        answer_status = cases[i].status;
        CHECK_EQ(post_send(t, &p, &reply), cases[i].wanted);
        CHECK_EQ(reply.status, cases[i].status);
        CHECK_EQ(reply.retry_after, cases[i].status == 429 ? 7 * NS_PER_S : 0);
        CHECK((reply.why[0] == 0) == (cases[i].wanted == POST_DONE));
    }
    answer_status = 200;
    CHECK_EQ(post_send(g, &p, &reply), POST_REFUSED); /* the guard: 127.0.0.1 is internal */
    CHECK_EQ(reply.status, 0);
    CHECK(reply.why[0]);
    post_target_unref(g);
    http_client_close_idle();
    rig_stop();
    CHECK_EQ(post_send(t, &p, &reply), POST_RETRY); /* nobody listens any more */
    CHECK(reply.why[0]);
    post_target_unref(t);
}

static void test_answers(void)
{
    in_loop(answers);
}

int main(void)
{
    TAP_RUN(test_addresses);
    TAP_RUN(test_pauses);
    TAP_RUN(test_answers);
    return tap_done();
}
