/*
 * Signatures against AWS's published examples and against 200 requests signed by botocore
 * (tools/make_sigv4_cases.py).
 */
#include "providers/sigv4.h"

#include "base/clock.h"
#include "base/macros.h"
#include "base/tap.h"
#include "json/scan.h"

#include <errno.h>
#include <stdlib.h>

#define EXAMPLE_KEY    "AKIDEXAMPLE"
#define EXAMPLE_SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
#define EXAMPLE_TIME   (1440938160 * NS_PER_S) /* 2015-08-30T12:36:00Z */

static struct secret secret;

/* The value of the authorization field in fields; p NULL when it is not there. */
static struct str authorization_of(struct str fields)
{
    ptrdiff_t at = str_find(fields, STR("authorization: "));
    if (at < 0)
        return STR_NONE;
    struct str rest = str_from(fields, (size_t)at + 15);
    return str_trim(str_split(&rest, '\r'));
}

static int sign(struct sigv4_request *r, struct str token, struct buf *out)
{
    struct sigv4_credentials c = {STR(EXAMPLE_KEY), &secret, token};
    return sigv4_sign(&c, r, out);
}

static struct sigv4_request example(void)
{
    return (struct sigv4_request){.method = STR("GET"),
        .host = STR("example.amazonaws.com"),
        .path = STR("/"),
        .region = STR("us-east-1"),
        .service = STR("service"),
        .wall_ns = EXAMPLE_TIME};
}

static bool signed_as(struct sigv4_request *r, const char *signed_headers, const char *signature)
{
    _cleanup_(buf_free) struct buf out, want;
    buf_init(&out, 8192);
    buf_init(&want, 8192);
    if (sign(r, STR_NONE, &out) < 0)
        return false;
    buf_printf(&want,
        "AWS4-HMAC-SHA256 Credential=" EXAMPLE_KEY "/20150830/" STR_FMT "/" STR_FMT
        "/aws4_request, SignedHeaders=%s, Signature=%s",
        STR_ARG(r->region), STR_ARG(r->service), signed_headers, signature);
    return tap_str_eq(
        __FILE__, __LINE__, "authorization", authorization_of(buf_str(&out)), buf_str(&want));
}

/* From AWS's Signature Version 4 test suite. */
static void test_suite_of_aws(void)
{
    struct sigv4_request r = example();
    CHECK(signed_as(
        &r, "host;x-amz-date", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"));

    r.query = STR("Param2=value2&Param1=value1");
    CHECK(signed_as(
        &r, "host;x-amz-date", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"));

    r = example();
    r.method = STR("POST");
    r.body = STR("Param1=value1");
    struct sigv4_header form = {STR("Content-Type"), STR("application/x-www-form-urlencoded")};
    r.headers = &form;
    r.n_headers = 1;
    CHECK(signed_as(&r, "content-type;host;x-amz-date",
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"));

    r = example();
    struct sigv4_header trim[] = {
        {STR("My-Header1"), STR(" value1")}, {STR("My-Header2"), STR(" \"a   b   c\"")}};
    r.headers = trim;
    r.n_headers = 2;
    CHECK(signed_as(&r, "host;my-header1;my-header2;x-amz-date",
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"));
}

/* The worked example of AWS's general reference. */
static void test_list_users(void)
{
    struct sigv4_header type = {
        STR("Content-Type"), STR("application/x-www-form-urlencoded; charset=utf-8")};
    struct sigv4_request r = example();
    r.host = STR("iam.amazonaws.com");
    r.query = STR("Action=ListUsers&Version=2010-05-08");
    r.service = STR("iam");
    r.headers = &type;
    r.n_headers = 1;
    CHECK(signed_as(&r, "content-type;host;x-amz-date",
        "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"));
}

/* ---- botocore's ---- */

/* The text between the quotes; the file holds no escapes. */
static struct str text_of(struct str object, const char *name)
{
    struct str v = json_find(object, str_of(name));
    return v.n >= 2 ? str_at(v.p + 1, v.n - 2) : STR_NONE;
}

static size_t headers_of(struct str object, struct sigv4_header *out, size_t max)
{
    struct str list = json_find(object, STR("headers")), key, value;
    size_t n = 0, at = 1;
    while (n < max && json_next(list, &at, &key, &value))
        out[n++] = (struct sigv4_header){text_of(value, "name"), text_of(value, "value")};
    return n;
}

static bool case_agrees(struct str line)
{
    struct sigv4_header headers[8];
    uint64_t time = 0;
    _cleanup_(buf_free) struct buf out;
    buf_init(&out, 8192);
    str_u64(json_find(line, STR("time")), &time);
    struct sigv4_request r = {.method = text_of(line, "method"),
        .host = text_of(line, "host"),
        .path = text_of(line, "path"),
        .query = text_of(line, "query"),
        .headers = headers,
        .n_headers = headers_of(line, headers, ARRAY_LEN(headers)),
        .body = text_of(line, "body"),
        .region = text_of(line, "region"),
        .service = text_of(line, "service"),
        .wall_ns = (int64_t)time * NS_PER_S};
    if (sign(&r, text_of(line, "token"), &out) < 0)
        return false;
    return str_eq(authorization_of(buf_str(&out)), text_of(line, "authorization"));
}

static void test_botocore(void)
{
    size_t n, cases = 0;
    char *text = tap_read("data/sigv4_cases.jsonl", &n);
    CHECK(text);
    struct str rest = str_at(text, n);
    while (rest.n) {
        struct str line = str_split(&rest, '\n');
        cases++;
        if (!case_agrees(line))
            tap_fail(__FILE__, __LINE__, "case %zu: " STR_FMT, cases, STR_ARG(line));
    }
    free(text);
    CHECK_EQ(cases, 200);
}

/* ---- what is sent and what is refused ---- */

static void test_fields(void)
{
    _cleanup_(buf_free) struct buf out;
    buf_init(&out, 8192);
    struct sigv4_request r = example();
    CHECK_EQ(sign(&r, STR("TOKEN"), &out), 0);
    CHECK(str_starts(buf_str(&out), STR("x-amz-date: 20150830T123600Z\r\n"
                                        "x-amz-security-token: TOKEN\r\n"
                                        "authorization: AWS4-HMAC-SHA256 ")));
    CHECK(str_find(buf_str(&out), STR("SignedHeaders=host;x-amz-date;x-amz-security-token,")) > 0);
    CHECK(str_ends(buf_str(&out), STR("\r\n")));
    CHECK(str_find(buf_str(&out), secret_reveal(&secret)) < 0);
    buf_clear(&out);
    r.service = STR("s3");
    CHECK_EQ(sign(&r, STR_NONE, &out), 0);
    CHECK(str_find(buf_str(&out), STR("x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb924"
                                      "27ae41e4649b934ca495991b7852b855\r\n")) > 0);
}

/* Repeated names are joined in order; the case of names and the order given do not matter. */
static void test_header_order(void)
{
    struct sigv4_header a[] = {
        {STR("X-B"), STR("2")}, {STR("x-a"), STR("1")}, {STR("x-b"), STR("3")}};
    struct sigv4_header b[] = {
        {STR("x-b"), STR("2")}, {STR("X-b"), STR("3")}, {STR("X-A"), STR(" 1 ")}};
    _cleanup_(buf_free) struct buf one, two;
    buf_init(&one, 8192);
    buf_init(&two, 8192);
    struct sigv4_request r = example();
    r.headers = a;
    r.n_headers = 3;
    CHECK_EQ(sign(&r, STR_NONE, &one), 0);
    r.headers = b;
    CHECK_EQ(sign(&r, STR_NONE, &two), 0);
    CHECK_STR(buf_str(&one), buf_str(&two));
    CHECK(str_find(buf_str(&one), STR("SignedHeaders=host;x-a;x-amz-date;x-b,")) > 0);
    struct sigv4_header swapped[] = {{STR("x-b"), STR("3")}, {STR("x-b"), STR("2")}, a[1]};
    r.headers = swapped;
    buf_clear(&two);
    CHECK_EQ(sign(&r, STR_NONE, &two), 0);
    CHECK(!str_eq(buf_str(&one), buf_str(&two)));
}

static void test_refused(void)
{
    static struct sigv4_header many[SIGV4_MAX_HEADERS + 1];
    struct sigv4_header bad[] = {{STR("authorization"), STR("x")}, {STR(""), STR("x")},
        {STR("x-a"), STR("1\r\nx-evil: 1")}, {STR("x\n"), STR("1")}};
    _cleanup_(buf_free) struct buf out;
    buf_init(&out, 8192);
    struct sigv4_request r = example();
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        r.headers = &bad[i];
        r.n_headers = 1;
        CHECK_EQ(sign(&r, STR_NONE, &out), -EINVAL);
    }
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        many[i] = (struct sigv4_header){STR("x-a"), STR("1")};
    r.headers = many;
    r.n_headers = ARRAY_LEN(many);
    CHECK_EQ(sign(&r, STR_NONE, &out), -E2BIG);
    r.n_headers = SIGV4_MAX_HEADERS;
    CHECK_EQ(sign(&r, STR("t"), &out), 0);
    buf_clear(&out);
    r = example();
    r.host = STR("a\r\nb");
    CHECK_EQ(sign(&r, STR_NONE, &out), -EINVAL);
    r = example();
    r.region = STR("");
    CHECK_EQ(sign(&r, STR_NONE, &out), -EINVAL);
    r = example();
    CHECK_EQ(sign(&r, STR("a\r\nb: c"), &out), -EINVAL);
    struct secret none = {0};
    struct sigv4_credentials c = {STR("A"), &none, STR_NONE};
    CHECK_EQ(sigv4_sign(&c, &r, &out), -EINVAL);
    CHECK_EQ(out.n, 0);
}

static void test_many_parameters(void)
{
    _cleanup_(buf_free) struct buf query, out;
    buf_init(&query, 8192);
    buf_init(&out, 8192);
    for (int i = 0; i < 128; i++)
        buf_printf(&query, "%sp%d=1", i ? "&" : "", i);
    struct sigv4_request r = example();
    r.query = buf_str(&query);
    CHECK_EQ(sign(&r, STR_NONE, &out), 0);
    buf_addstr(&query, STR("&q"));
    r.query = buf_str(&query);
    CHECK_EQ(sign(&r, STR_NONE, &out), -E2BIG);
}

static void test_uri_encode(void)
{
    _cleanup_(buf_free) struct buf out;
    buf_init(&out, 1024);
    CHECK_EQ(uri_encode(&out, STR("aZ09-._~/:%\x80 "), false), 0);
    CHECK_STR(buf_str(&out), STR("aZ09-._~%2F%3A%25%80%20"));
    buf_clear(&out);
    CHECK_EQ(uri_encode(&out, STR("a/b c"), true), 0);
    CHECK_STR(buf_str(&out), STR("a/b%20c"));
}

int main(void)
{
    if (secret_set(&secret, STR(EXAMPLE_SECRET)) < 0)
        return 1;
    TAP_RUN(test_suite_of_aws);
    TAP_RUN(test_list_users);
    TAP_RUN(test_botocore);
    TAP_RUN(test_fields);
    TAP_RUN(test_header_order);
    TAP_RUN(test_refused);
    TAP_RUN(test_many_parameters);
    TAP_RUN(test_uri_encode);
    secret_free(&secret);
    return tap_done();
}
