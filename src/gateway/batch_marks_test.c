/* The long-context mark in message batches: where it is cut, and what stays as it is. */
#include "gateway/gateway_int.h"

#include "base/tap.h"

/* want NULL stands for a body that passes as it came. */
static bool becomes(const char *body, const char *want)
{
    _cleanup_(buf_free) struct buf out = {0};
    struct str in = str_of(body), got;

    buf_init(&out, 4096);
    got = gw_without_marks(in, &out);
    return want ? str_eq(got, str_of(want)) : got.p == in.p && got.n == in.n;
}

static void test_cut(void)
{
    CHECK(becomes("{\"requests\":[{\"params\":{\"model\":\"claude-x[1m]\"}}]}",
        "{\"requests\":[{\"params\":{\"model\":\"claude-x\"}}]}"));
    CHECK(becomes("{ \"requests\" : [ {\"params\": {\"a\":1, \"model\" : \"a[1m]\"}}, "
                  "{\"params\":{\"model\":\"b\"}},{\"params\":{\"model\":\"c[1m]\",\"x\":2}} ]} ",
        "{ \"requests\" : [ {\"params\": {\"a\":1, \"model\" : \"a\"}}, "
        "{\"params\":{\"model\":\"b\"}},{\"params\":{\"model\":\"c\",\"x\":2}} ]} "));
}

static void test_what_stays(void)
{
    static const char *const bodies[] = {"{}", "{\"requests\":[]}",
        "{\"requests\":[{\"params\":{\"model\":\"claude-x\"}}]}",
        "{\"requests\":[{\"params\":{\"system\":\"say [1m]\"}}]}",
        "{\"requests\":[{\"model\":\"claude-x[1m]\"}]}", "{\"requests\":\"[1m]\"}",
        "{\"requests\":[\"[1m]\",1,null,{\"params\":[\"[1m]\"]}]}", "{\"model\":\"claude-x[1m]\"}"};

    for (size_t i = 0; i < ARRAY_LEN(bodies); i++)
        CHECK(becomes(bodies[i], NULL));
}

int main(void)
{
    TAP_RUN(test_cut);
    TAP_RUN(test_what_stays);
    return tap_done();
}
