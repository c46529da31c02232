/* The links in replies about message batches: of which the origin goes, and what stays as it is. */
#include "gateway/gateway_int.h"

#include "base/tap.h"

#define PATH "/v1/messages/batches/b1/results"

/* The reply as a client gets it equals want; in want NULL stands for an unchanged reply. */
static bool becomes(const char *reply, const char *want)
{
    _cleanup_(buf_free) struct buf out = {0};
    struct str in = str_of(reply), got;

    buf_init(&out, 4096);
    got = gw_local_links(in, &out);
    return want ? str_eq(got, str_of(want)) : got.p == in.p && got.n == in.n;
}

static void test_one_batch(void)
{
    CHECK(
        becomes("{\"id\":\"b1\", \"results_url\" : \"https://api.anthropic.com" PATH "\",\"x\":1}",
            "{\"id\":\"b1\", \"results_url\" : \"" PATH "\",\"x\":1}"));
    CHECK(becomes(
        "{\"results_url\":\"http://[::1]:80/below" PATH "\"}", "{\"results_url\":\"" PATH "\"}"));
}

static void test_a_list(void)
{
    CHECK(becomes("{\"data\":[{\"results_url\":\"http://a" PATH "\"},{\"results_url\":null},"
                  "{\"results_url\":\"http://b" PATH "\"}],\"has_more\":false}",
        "{\"data\":[{\"results_url\":\"" PATH "\"},{\"results_url\":null},"
        "{\"results_url\":\"" PATH "\"}],\"has_more\":false}"));
}

static void test_what_stays(void)
{
    static const char *const replies[] = {"", "{}", "[]", "{\"results_url\":null}",
        "{\"results_url\":\"https://elsewhere/file\"}", "{\"data\":[]}", "{\"data\":[1,\"x\",[]]}",
        "{\"results_url\":{\"x\":\"http://a" PATH "\"}}", "{\"results_url\":\"http://a" PATH "\"",
        "{\"other\":\"http://a" PATH "\"}"};

    for (size_t i = 0; i < ARRAY_LEN(replies); i++)
        CHECK(becomes(replies[i], NULL));
}

int main(void)
{
    TAP_RUN(test_one_batch);
    TAP_RUN(test_a_list);
    TAP_RUN(test_what_stays);
    return tap_done();
}
