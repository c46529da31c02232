/* When a server wants to be asked again: every form, what is none, and that nothing is too much. */
#include "http/retry_after.h"

#include "base/tap.h"
#include "http/head.h"

#include <stdio.h>

#define NOW (784111777 * NS_PER_S) /* 1994-11-06T08:49:37Z */

static struct http_field room[32];
static struct http_head head;

static const struct http_fields *fields(const char *lines)
{
    static char text[2048];
    const char *why;

    int n = snprintf(text, sizeof text, "HTTP/1.1 429 Slow\r\n%s\r\n", lines);
    must(http_parse_response(str_at(text, (size_t)n), false, room, ARRAY_LEN(room), &head, &why) >
         0);
    return &head.fields;
}

static int64_t asks(const char *lines)
{
    return http_retry_after(fields(lines), NOW);
}

static int64_t resets(const char *lines)
{
    return http_limits_reset(fields(lines), NOW);
}

static void test_seconds(void)
{
    CHECK_EQ(asks("retry-after: 120\r\n"), 120 * NS_PER_S);
    CHECK_EQ(asks("Retry-After: 1.5\r\n"), 1500 * NS_PER_MS);
    CHECK_EQ(asks("retry-after: 0\r\n"), 0);
    CHECK_EQ(asks("retry-after-ms: 250\r\nretry-after: 1\r\n"), 250 * NS_PER_MS);
    CHECK_EQ(asks("retry-after-ms: 0.5\r\n"), 500 * NS_PER_US);
    CHECK_EQ(asks("retry-after-ms: soon\r\nretry-after: 2\r\n"), 2 * NS_PER_S);
}

static void test_dates(void)
{
    CHECK_EQ(asks("retry-after: Sun, 06 Nov 1994 08:49:47 GMT\r\n"), 10 * NS_PER_S);
    CHECK_EQ(asks("retry-after: Sunday, 06-Nov-94 08:49:47 GMT\r\n"), 10 * NS_PER_S);
    CHECK_EQ(asks("retry-after: Sun Nov  6 08:49:47 1994\r\n"), 10 * NS_PER_S);
    CHECK_EQ(asks("retry-after: Sun, 06 Nov 1994 08:49:27 GMT\r\n"), 0); /* past */
}

static void test_nonsense(void)
{
    static const char *const values[] = {"", "soon", "-1", "1s", "1.", ".5", "1e3", "+5", "NaN",
        "Sun, 06 Nov 1994", "Sun, 99 Nov 1994 08:49:47 GMT",
        "0000000000000000000000000000000000000000000000000000000000000x"};
    char line[128];

    CHECK_EQ(asks(""), 0);
    for (unsigned i = 0; i < ARRAY_LEN(values); i++) {
        snprintf(line, sizeof line, "retry-after: %s\r\n", values[i]);
        CHECK_EQ(asks(line), 0);
    }
}

static void test_bounds(void)
{
    CHECK_EQ(asks("retry-after: 99999999999999999999999999\r\n"), HTTP_RETRY_AFTER_MAX);
    CHECK_EQ(asks("retry-after-ms: 99999999999999999999999999.9\r\n"), HTTP_RETRY_AFTER_MAX);
    CHECK_EQ(asks("retry-after: Sun, 06 Nov 2094 08:49:37 GMT\r\n"), HTTP_RETRY_AFTER_MAX);
    CHECK_EQ(resets("x-ratelimit-remaining-a: 0\r\nx-ratelimit-reset-a: 999999999h99999999h\r\n"),
        HTTP_RETRY_AFTER_MAX);
}

static void test_limits(void)
{
    CHECK_EQ(resets("x-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: 6m0s\r\n"),
        360 * NS_PER_S);
    CHECK_EQ(resets("x-ratelimit-remaining-tokens: 0\r\nX-RateLimit-Reset-Tokens: 17ms\r\n"),
        17 * NS_PER_MS);
    CHECK_EQ(resets("x-ratelimit-remaining-tokens: 0\r\nx-ratelimit-reset-tokens: 1h2m59.56s\r\n"),
        (3600 + 120 + 59) * NS_PER_S + 560 * NS_PER_MS);
    CHECK_EQ(
        resets("x-ratelimit-remaining-tokens: 0\r\nx-ratelimit-reset-tokens: 7\r\n"), 7 * NS_PER_S);
    CHECK_EQ(resets("anthropic-ratelimit-input-tokens-remaining: 0\r\n"
                    "anthropic-ratelimit-input-tokens-reset: 1994-11-06T08:50:00Z\r\n"),
        23 * NS_PER_S);
}

/* Of those that are used up the last; the others do not count. */
static void test_which_limit(void)
{
    CHECK_EQ(resets("x-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: 1s\r\n"
                    "x-ratelimit-remaining-tokens: 0\r\nx-ratelimit-reset-tokens: 3s\r\n"
                    "x-ratelimit-remaining-images: 5\r\nx-ratelimit-reset-images: 9s\r\n"),
        3 * NS_PER_S);
    CHECK_EQ(resets("x-ratelimit-remaining-requests: 5\r\nx-ratelimit-reset-requests: 1s\r\n"), 0);
    CHECK_EQ(resets("x-ratelimit-remaining-requests: 0\r\n"), 0);
    CHECK_EQ(resets("x-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: 6mm\r\n"), 0);
    CHECK_EQ(resets("anthropic-ratelimit-remaining: 0\r\n"), 0);
}

int main(void)
{
    TAP_RUN(test_seconds);
    TAP_RUN(test_dates);
    TAP_RUN(test_nonsense);
    TAP_RUN(test_bounds);
    TAP_RUN(test_limits);
    TAP_RUN(test_which_limit);
    return tap_done();
}
