/*
 * Names, look-ups, lists, hop-by-hop fields and the writing of lines.
 */
#include "base/tap.h"
#include "http/fields.h"
#include <ctype.h>
#include <errno.h>

static const struct str texts[] = {
#define HTTP_NAME(id, text) STR_INIT(text),
#include "http/names.inc"
#undef HTTP_NAME
};

static void test_every_name(void)
{
    for (unsigned id = 1; id < HTTP_NAMES; id++) {
        struct str t = texts[id - 1];
        char upper[64];
        for (size_t i = 0; i < t.n; i++)
            upper[i] = (char)toupper(t.p[i]);
        CHECK_EQ(http_name_of(t), id);
        CHECK_EQ(http_name_of(str_at(upper, t.n)), id);
        CHECK_STR(http_name_text((enum http_name)id), t);
    }
}

/* One changed bit anywhere makes another name, except for the bit of the letter case. */
static void test_near_names(void)
{
    for (unsigned id = 1; id < HTTP_NAMES; id++) {
        struct str t = texts[id - 1];
        char near[64];
        for (size_t bit = 0; bit < t.n * 8; bit++) {
            memcpy(near, t.p, t.n);
            near[bit / 8] = (char)(near[bit / 8] ^ 1 << bit % 8);
            enum http_name got = http_name_of(str_at(near, t.n));
            bool letter_case = bit % 8 == 5 && isalpha((unsigned char)t.p[bit / 8]);
            CHECK_EQ(got == id, letter_case);
        }
    }
}

static void test_unknown_names(void)
{
    CHECK_EQ(http_name_of(STR("")), HTTP_OTHER);
    CHECK_EQ(http_name_of(STR("x")), HTTP_OTHER);
    CHECK_EQ(http_name_of(STR("content_length")), HTTP_OTHER);
    CHECK_EQ(http_name_of(STR("content-length ")), HTTP_OTHER);
    CHECK_EQ(http_name_of(STR("hos")), HTTP_OTHER);
    CHECK_EQ(
        http_name_of(STR("access-control-request-headers-and-more-than-any-known")), HTTP_OTHER);
}

static struct http_field sample[] = {
    {STR_INIT("Connection"), STR_INIT("keep-alive, X-Drop"), HTTP_CONNECTION},
    {STR_INIT("X-Drop"), STR_INIT("1"), HTTP_OTHER},
    {STR_INIT("Via"), STR_INIT("a"), HTTP_VIA},
    {STR_INIT("VIA"), STR_INIT("b"), HTTP_VIA},
    {STR_INIT("connection"), STR_INIT("X-Late"), HTTP_CONNECTION},
    {STR_INIT("X-Late"), STR_INIT("2"), HTTP_OTHER},
    {STR_INIT("Proxy-Foo"), STR_INIT("3"), HTTP_OTHER},
    {STR_INIT("TE"), STR_INIT("trailers"), HTTP_TE},
    {STR_INIT("X-Keep"), STR_INIT("4"), HTTP_OTHER},
};

static struct http_fields sample_fields(void)
{
    struct http_fields f = {.at = sample, .n = sizeof(sample) / sizeof(sample[0])};
    f.first[HTTP_CONNECTION] = 1;
    f.first[HTTP_VIA] = 3;
    f.first[HTTP_TE] = 8;
    return f;
}

static void test_look_up(void)
{
    struct http_fields f = sample_fields();
    CHECK_STR(http_get(&f, HTTP_VIA), STR("a"));
    CHECK(http_get(&f, HTTP_HOST).p == NULL);
    CHECK_STR(http_get_other(&f, STR("x-keep")), STR("4"));
    CHECK(http_get_other(&f, STR("x-kee")).p == NULL);
    CHECK(http_has(&f, HTTP_TE) && !http_has(&f, HTTP_DATE));
    CHECK_EQ(http_count(&f, HTTP_VIA), 2);
    CHECK_EQ(http_count(&f, HTTP_DATE), 0);
}

static void test_hop_by_hop(void)
{
    struct http_fields f = sample_fields();
    static const bool want[] = {true, true, false, false, true, true, true, true, false};
    for (unsigned i = 0; i < f.n; i++)
        CHECK_EQ(http_is_hop_by_hop(&f, &f.at[i]), want[i]);
}

static void test_lists(void)
{
    CHECK(http_list_has(STR("close"), STR("close")));
    CHECK(http_list_has(STR("a,\tCLOSE ,b"), STR("close")));
    CHECK(http_list_has(STR("a,,close"), STR("close")));
    CHECK(!http_list_has(STR("closed, xclose"), STR("close")));
    CHECK(!http_list_has(STR(""), STR("close")));
    CHECK(!http_list_has(STR_NONE, STR("close")));
}

static void test_put(void)
{
    _cleanup_(buf_free) struct buf b;
    buf_init(&b, 64);
    CHECK_EQ(http_put(&b, STR("a"), STR("1")), 0);
    CHECK_EQ(http_put(&b, STR("b"), STR("")), 0);
    CHECK_EQ(http_put_u64(&b, STR("n"), UINT64_MAX), 0);
    CHECK_EQ(http_put_u64(&b, STR("z"), 0), 0);
    CHECK_STR(buf_str(&b), STR("a: 1\r\nb: \r\nn: 18446744073709551615\r\nz: 0\r\n"));
}

static int put_alone(struct str name, struct str value)
{
    _cleanup_(buf_free) struct buf b;
    buf_init(&b, 32);
    int r = http_put(&b, name, value);
    /* Nothing was added, and nothing can be any more. */
    return b.n == 0 && b.err == r && http_put(&b, STR("a"), STR("1")) == r ? r : 1;
}

static void test_put_refuses(void)
{
    CHECK_EQ(put_alone(STR("c"), STR("x\r\ny: z")), -EINVAL);
    CHECK_EQ(put_alone(STR("c"), STR("x\n")), -EINVAL);
    CHECK_EQ(put_alone(STR("c"), STR("\0")), -EINVAL);
    CHECK_EQ(put_alone(STR("c\n"), STR("x")), -EINVAL);
    CHECK_EQ(put_alone(STR(""), STR("x")), -EINVAL);
    CHECK_EQ(put_alone(STR("long"), STR("01234567890123456789012345678")), -ENOBUFS);
}

static void test_reasons(void)
{
    CHECK_STR(str_of(http_reason(100)), STR("Continue"));
    CHECK_STR(str_of(http_reason(200)), STR("OK"));
    CHECK_STR(str_of(http_reason(404)), STR("Not Found"));
    CHECK_STR(str_of(http_reason(529)), STR("Overloaded"));
    CHECK_STR(str_of(http_reason(299)), STR("Unknown"));
    CHECK_STR(str_of(http_reason(999)), STR("Unknown"));
    CHECK_STR(str_of(http_reason(0)), STR("Unknown"));
}

int main(void)
{
    TAP_RUN(test_every_name);
    TAP_RUN(test_near_names);
    TAP_RUN(test_unknown_names);
    TAP_RUN(test_look_up);
    TAP_RUN(test_hop_by_hop);
    TAP_RUN(test_lists);
    TAP_RUN(test_put);
    TAP_RUN(test_put_refuses);
    TAP_RUN(test_reasons);
    return tap_done();
}
