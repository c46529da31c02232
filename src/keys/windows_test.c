/* Windows of the calendar at their boundaries, names of counters, and who guesses keys. */
#include "keys/windows.h"

#include "base/macros.h"
#include "base/tap.h"
#include "keys/record.h"
#include "net/dial.h"
#include <pthread.h>
#include <stdio.h>

static int64_t at(const char *text)
{
    int64_t wall;

    must(time_parse(str_of(text), &wall) == 0);
    return wall;
}

static struct str text(enum window_kind k, int64_t wall)
{
    static char out[64];
    struct window w;
    char from[25], end[25] = "never";

    window_at(k, wall, &w);
    must(wall >= w.from && wall < w.end);
    if (k == WINDOW_EVER)
        return str_at("e", 1);
    clock_rfc3339(w.from, from);
    clock_rfc3339(w.end, end);
    int n = snprintf(out, sizeof out, "%.*s %.16s %.16s", w.text_n, w.text, from, end);
    return str_at(out, (size_t)n);
}

static void test_boundaries(void)
{
    static const struct {
        enum window_kind kind;
        const char *at, *window;
    } cases[] = {
        {WINDOW_DAY, "2026-11-21T00:00:00Z", "d2026-11-21 2026-11-21T00:00 2026-11-22T00:00"},
        {WINDOW_DAY, "2026-11-21T23:59:59.999Z", "d2026-11-21 2026-11-21T00:00 2026-11-22T00:00"},
        {WINDOW_WEEK, "2026-11-21T12:00:00Z", "w2026-11-16 2026-11-16T00:00 2026-11-23T00:00"},
        {WINDOW_WEEK, "2026-11-22T23:59:59Z", "w2026-11-16 2026-11-16T00:00 2026-11-23T00:00"},
        {WINDOW_WEEK, "2026-11-23T00:00:00Z", "w2026-11-23 2026-11-23T00:00 2026-11-30T00:00"},
        {WINDOW_WEEK, "2027-01-01T00:00:00Z", "w2026-12-28 2026-12-28T00:00 2027-01-04T00:00"},
        {WINDOW_MONTH, "2026-11-01T00:00:00Z", "m2026-11 2026-11-01T00:00 2026-12-01T00:00"},
        {WINDOW_MONTH, "2026-12-31T23:59:59Z", "m2026-12 2026-12-01T00:00 2027-01-01T00:00"},
        {WINDOW_MONTH, "2028-02-29T08:00:00Z", "m2028-02 2028-02-01T00:00 2028-03-01T00:00"},
        {WINDOW_MONTH, "2026-02-28T08:00:00Z", "m2026-02 2026-02-01T00:00 2026-03-01T00:00"},
        {WINDOW_MINUTE, "2026-11-21T10:40:59.9Z", "29920960 2026-11-21T10:40 2026-11-21T10:41"},
        {WINDOW_MINUTE, "2026-11-21T10:41:00Z", "29920961 2026-11-21T10:41 2026-11-21T10:42"},
        {WINDOW_EVER, "2026-11-21T10:41:00Z", "e"},
        /* an older one again, which is not the one remembered */
        {WINDOW_MINUTE, "2026-11-21T10:40:00Z", "29920960 2026-11-21T10:40 2026-11-21T10:41"},
        {WINDOW_DAY, "1970-01-01T00:00:00Z", "d1970-01-01 1970-01-01T00:00 1970-01-02T00:00"},
    };

    for (unsigned i = 0; i < ARRAY_LEN(cases); i++)
        CHECK_STR(text(cases[i].kind, at(cases[i].at)), str_of(cases[i].window));
}

/* Each month of 60 years ends where the next begins. */
static void test_months_touch(void)
{
    struct window w = {.end = at("2020-01-01T00:00:00Z")}, next;

    for (int i = 0; i < 720; i++, w = next) {
        window_at(WINDOW_MONTH, w.end, &next);
        CHECK_EQ(next.from, w.end);
        int64_t days = (next.end - next.from) / (86400 * NS_PER_S);
        CHECK(days >= 28 && days <= 31);
    }
}

static void test_names(void)
{
    char room[COUNTER_PREFIX_BYTES], name[COUNTER_NAME_BYTES];
    struct str evil = STR("{org_a}k:1:e"), org = STR("org_a");
    struct window w;

    CHECK_STR(counter_prefix(SUBJECT_KEY, org, STR("0123"), room), STR("{org_a}k:0123:"));
    CHECK_STR(counter_prefix(SUBJECT_ORG, STR_NONE, org, room), STR("{org_a}o:org_a:"));
    CHECK_STR(counter_prefix(SUBJECT_TEAM, STR_NONE, STR("team_1"), room), STR("{-}t:team_1:"));
    struct str odd = counter_prefix(SUBJECT_CUSTOMER, org, evil, room);
    CHECK(str_starts(odd, STR("{org_a}c:#")) && odd.n < COUNTER_PREFIX_BYTES);
    CHECK(str_find(str_from(odd, 7), STR("{")) < 0);
    struct subject s = {.counters_ = STR("{-}k:1:")};
    window_at(WINDOW_MONTH, at("2026-11-21T00:00:00Z"), &w);
    CHECK_STR(counter_name_of(&s, 0, &w, STR_NONE, name), STR("{-}k:1:m2026-11"));
    CHECK_STR(counter_name_of(&s, 0, &w, STR("abcd"), name), STR("{-}k:1:m2026-11/abcd"));
    CHECK_STR(counter_name_of(&s, 'p', NULL, STR_NONE, name), STR("{-}k:1:p"));
}

/* --- who guesses keys --- */

static struct net_addr addr(const char *literal)
{
    struct net_addr a = {0};

    must(net_addr_parse(str_of(literal), 1, &a));
    return a;
}

static void test_flood(void)
{
    struct net_addr a = addr("192.0.2.1"), b = addr("192.0.2.2"), six = addr("2001:db8:1:2::1"),
                    near = addr("2001:db8:1:2:ffff::9"), far = addr("2001:db8:1:3::1"),
                    mapped = addr("::ffff:192.0.2.1");
    int64_t now = 1000 * NS_PER_S;

    for (int i = 0; i < FLOOD_FREE; i++)
        CHECK_EQ(flood_guess(&a, now), 0);
    CHECK_EQ(flood_guess(&a, now), 60);
    CHECK_EQ(flood_guess(&a, now + 45 * NS_PER_S), 15);
    CHECK_EQ(flood_guess(&mapped, now + 59 * NS_PER_S), 1);
    CHECK_EQ(flood_guess(&b, now), 0);
    CHECK_EQ(flood_guess(&a, now + 60 * NS_PER_S), 0); /* a minute later it begins anew */
    for (int i = 0; i < FLOOD_FREE; i++)
        CHECK_EQ(flood_guess(i % 2 ? &six : &near, now), 0);
    CHECK(flood_guess(&near, now) > 0);
    CHECK(flood_guess(&six, now) > 0);
    CHECK_EQ(flood_guess(&far, now), 0);
}

/* A crowd of addresses fits into the table's fixed room, and does not free one that is blocked
 * often. */
static void test_flood_crowd(void)
{
    struct net_addr a = addr("198.51.100.1");
    int64_t now = 5000 * NS_PER_S;
    char literal[32];

    for (int i = 0; i <= FLOOD_FREE; i++)
        flood_guess(&a, now);
    for (unsigned i = 0; i < 100000; i++) {
        snprintf(literal, sizeof literal, "10.%u.%u.%u", i >> 16, i >> 8 & 255, i & 255);
        struct net_addr one = addr(literal);
        flood_guess(&one, now);
    }
    CHECK(flood_guess(&a, now) > 0);
}

static void *guess_all(void *arg)
{
    struct net_addr a = addr("198.51.100.7");
    int64_t *now = arg;

    for (int i = 0; i < FLOOD_FREE / 2; i++)
        flood_guess(&a, *now);
    return NULL;
}

/* Connections of one guesser are spread over the threads. */
static void test_flood_of_threads(void)
{
    struct net_addr a = addr("198.51.100.7");
    int64_t now = 9000 * NS_PER_S;
    pthread_t threads[2];

    for (int i = 0; i < 2; i++)
        must(pthread_create(&threads[i], NULL, guess_all, &now) == 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    CHECK(flood_guess(&a, now) > 0);
}

int main(void)
{
    TAP_RUN(test_boundaries);
    TAP_RUN(test_months_touch);
    TAP_RUN(test_names);
    TAP_RUN(test_flood);
    TAP_RUN(test_flood_crowd);
    TAP_RUN(test_flood_of_threads);
    return tap_done();
}
