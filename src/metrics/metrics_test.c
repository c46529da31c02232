/*
 * The registry, the three types, rendering, the limits, and threads.
 */
#include "base/macros.h"
#include "base/tap.h"
#include "metrics/metrics.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#define VALUES(...) ((struct str[]){__VA_ARGS__})

static struct buf page;

/* The lines of the page that are about a family, into a buffer that the next call reuses. */
static struct str shown(const char *name)
{
    static struct buf out;
    struct str rest;

    buf_init(&page, 4 << 20);
    buf_free(&out);
    buf_init(&out, 4 << 20);
    metrics_render(&page);
    for (rest = buf_str(&page); rest.n;) {
        struct str line = str_split(&rest, '\n'), at = line;
        if (str_starts(line, STR("# ")))
            at = str_from(line, 7);
        if (str_starts(at, str_of(name))) {
            buf_addstr(&out, line);
            buf_addc(&out, '\n');
        }
    }
    buf_free(&page);
    return buf_str(&out);
}

static struct metric_family counter = {
    .name = "t_calls_total",
    .help = "Calls.\nWith a \\ and a \"quote\".",
    .type = METRIC_COUNTER,
    .labels = {"model", "status"},
};

static void test_counter(void)
{
    struct metric *m = metric_get(&counter, VALUES(STR("gpt"), STR("200")), 2);

    CHECK(m == metric_get(&counter, VALUES(STR("gpt"), STR("200")), 2));
    CHECK(m != metric_get(&counter, VALUES(STR("gpt2"), STR("00")), 2));
    metric_add(m, 2);
    metric_add(m, 3);
    CHECK_EQ(metric_value(m), 5);
    metric_add(metric_get(&counter, VALUES(STR("a\"b\\c\nd"), STR_NONE), 2), 1);
    metric_add(metric_get(&counter, VALUES(STR("x\xff"), STR("é")), 2), 1);
    CHECK_STR(
        shown("t_calls_total"), STR("# HELP t_calls_total Calls.\\nWith a \\\\ and a \"quote\".\n"
                                    "# TYPE t_calls_total counter\n"
                                    "t_calls_total{model=\"gpt\",status=\"200\"} 5\n"
                                    "t_calls_total{model=\"gpt2\",status=\"00\"} 0\n"
                                    "t_calls_total{model=\"a\\\"b\\\\c\\nd\",status=\"\"} 1\n"
                                    "t_calls_total{model=\"x\xef\xbf\xbd\",status=\"é\"} 1\n"));
}

static struct metric_family cost = {
    .name = "t_cost_usd_total",
    .help = "Cost.",
    .type = METRIC_COUNTER,
    .scale = 1000000000,
};

static struct metric_family big = {
    .name = "t_big_total",
    .help = "Big.",
    .type = METRIC_COUNTER,
};

static void test_scale(void)
{
    metrics_register(&cost);
    metrics_register(&cost);
    CHECK_STR(shown("t_cost_usd_total "), STR("# HELP t_cost_usd_total Cost.\n"
                                              "# TYPE t_cost_usd_total counter\n"
                                              "t_cost_usd_total 0\n"));
    struct metric *m = metric_get(&cost, NULL, 0);
    metric_add(m, 1);
    CHECK(str_ends(shown("t_cost_usd_total "), STR(" 0.000000001\n")));
    metric_add(m, 12345678900 - 1);
    CHECK(str_ends(shown("t_cost_usd_total "), STR(" 12.3456789\n")));
    metric_add(m, 54321100);
    CHECK(str_ends(shown("t_cost_usd_total "), STR(" 12.4\n")));
    metric_add(m, 600000000);
    CHECK(str_ends(shown("t_cost_usd_total "), STR(" 13\n")));
    metric_add(metric_get(&big, NULL, 0), UINT64_MAX);
    CHECK(str_ends(shown("t_big_total "), STR(" 18446744073709551615\n")));
}

static struct metric_family gauge = {
    .name = "t_in_flight",
    .help = "In flight.",
    .type = METRIC_GAUGE,
    .labels = {"kind"},
};

static void test_gauge(void)
{
    struct metric *m = metric_get(&gauge, VALUES(STR("calls")), 1);

    metric_gauge_add(m, 3);
    metric_gauge_add(m, -5);
    CHECK_EQ(metric_value(m), -2);
    struct metric *set = metric_get(&gauge, VALUES(STR("bytes")), 1);
    metric_set(set, 7);
    metric_set(set, INT64_MIN);
    CHECK_STR(shown("t_in_flight"), STR("# HELP t_in_flight In flight.\n"
                                        "# TYPE t_in_flight gauge\n"
                                        "t_in_flight{kind=\"calls\"} -2\n"
                                        "t_in_flight{kind=\"bytes\"} -9223372036854775808\n"));
}

static const int64_t bounds[] = {5000000, 250000000, 1000000000};
static struct metric_family seconds = {
    .name = "t_seconds",
    .help = "Time.",
    .type = METRIC_HISTOGRAM,
    .labels = {"route"},
    .buckets = bounds,
    .n_buckets = ARRAY_LEN(bounds),
    .scale = METRIC_NS,
};

static void test_histogram(void)
{
    struct metric *m = metric_get(&seconds, VALUES(STR("a")), 1);

    metric_observe_ns(m, -4);
    metric_observe_ns(m, 5000000); /* a bound belongs to its bucket */
    metric_observe_ns(m, 5000001);
    metric_observe_ns(m, 1000000001);
    CHECK_EQ(metric_value(m), 4);
    CHECK_STR(shown("t_seconds"), STR("# HELP t_seconds Time.\n"
                                      "# TYPE t_seconds histogram\n"
                                      "t_seconds_bucket{route=\"a\",le=\"0.005\"} 2\n"
                                      "t_seconds_bucket{route=\"a\",le=\"0.25\"} 3\n"
                                      "t_seconds_bucket{route=\"a\",le=\"1\"} 3\n"
                                      "t_seconds_bucket{route=\"a\",le=\"+Inf\"} 4\n"
                                      "t_seconds_sum{route=\"a\"} 1.010000002\n"
                                      "t_seconds_count{route=\"a\"} 4\n"));
}

static const int64_t ten[] = {10, 20, 40};
static struct metric_family spread = {
    .name = "t_spread",
    .help = "Spread.",
    .type = METRIC_HISTOGRAM,
    .labels = {"k"},
    .buckets = ten,
    .n_buckets = ARRAY_LEN(ten),
};

static void test_quantile(void)
{
    CHECK_EQ(metrics_quantile(&spread, 0.5), -1); /* not even registered */
    struct metric *a = metric_get(&spread, VALUES(STR("a")), 1);
    struct metric *b = metric_get(&spread, VALUES(STR("b")), 1);
    CHECK_EQ(metrics_quantile(&spread, 0.5), -1);
    for (int i = 0; i < 50; i++) {
        metric_observe(a, 5);
        metric_observe(b, 15);
    }
    CHECK_EQ(metrics_quantile(&spread, 0), 0);
    CHECK_EQ(metrics_quantile(&spread, 0.25), 5);
    CHECK_EQ(metrics_quantile(&spread, 0.5), 10);
    CHECK_EQ(metrics_quantile(&spread, 0.75), 15);
    CHECK_EQ(metrics_quantile(&spread, 1), 20);
    for (int i = 0; i < 100; i++)
        metric_observe(b, 1000);
    CHECK_EQ(metrics_quantile(&spread, 0.25), 10);
    CHECK_EQ(metrics_quantile(&spread, 0.99), 40); /* beyond the highest bound */
    CHECK_EQ(metrics_quantile(&spread, 7), 40);
}

static struct metric_family small = {
    .name = "t_small_total",
    .help = "Small.",
    .type = METRIC_COUNTER,
    .labels = {"x", "y"},
    .max_series = 3,
};

static void test_overflow(void)
{
    struct metric *m[6];
    char text[8];

    for (int i = 0; i < 6; i++) {
        snprintf(text, sizeof(text), "v%d", i);
        m[i] = metric_get(&small, VALUES(str_of(text), STR("y")), 2);
    }
    CHECK(m[0] != m[1] && m[1] != m[2] && m[2] != m[3]);
    CHECK(m[3] == m[4] && m[4] == m[5]);
    CHECK(str_find(shown("t_small_total"), STR("other")) < 0);
    metric_add(m[4], 2);
    CHECK(str_find(shown("t_small_total"), STR("{x=\"other\",y=\"other\"} 2\n")) > 0);
    CHECK(metric_get(&small, VALUES(STR("v1"), STR("y")), 2) == m[1]);
    CHECK(metric_get(&small, VALUES(STR("other"), STR("other")), 2) == m[3]);
}

static struct metric_family cut = {
    .name = "t_cut_total",
    .help = "Cut.",
    .type = METRIC_COUNTER,
    .labels = {"v"},
};

static void test_long_values(void)
{
    char text[300];

    memset(text, 'x', sizeof(text));
    memcpy(text + 127, "é", 2);
    struct metric *m = metric_get(&cut, VALUES(str_at(text, 300)), 1);
    CHECK(m == metric_get(&cut, VALUES(str_at(text, 127)), 1)); /* no half character */
    CHECK(m != metric_get(&cut, VALUES(str_at(text, 126)), 1));
    memset(text, 'x', sizeof(text));
    CHECK(metric_get(&cut, VALUES(str_at(text, 300)), 1) ==
          metric_get(&cut, VALUES(str_at(text, 128)), 1));
    memset(text, 0xff, sizeof(text));
    metric_add(metric_get(&cut, VALUES(str_at(text, 300)), 1), 9);
    struct str line = shown("t_cut_total");
    CHECK(str_ends(line, STR("\xef\xbf\xbd\"} 9\n"))); /* 42 of them fit */
}

static void test_render_limit(void)
{
    struct buf out;

    buf_init(&out, 100);
    int r = metrics_render(&out);
    buf_free(&out);
    CHECK_EQ(r, -ENOBUFS);
}

static void test_standard_buckets(void)
{
    for (size_t i = 1; i < ARRAY_LEN(metric_call_ns); i++)
        CHECK(metric_call_ns[i - 1] < metric_call_ns[i]);
    for (size_t i = 1; i < ARRAY_LEN(metric_overhead_ns); i++)
        CHECK(metric_overhead_ns[i - 1] < metric_overhead_ns[i]);
    CHECK_EQ(metric_call_ns[17], INT64_C(600000000000));
}

#define THREADS 4
#define ROUNDS  20000
#define KINDS   300

static struct metric_family shared = {
    .name = "t_shared_total",
    .help = "Shared.",
    .type = METRIC_COUNTER,
    .labels = {"n"},
};
static struct metric_family level = {
    .name = "t_level",
    .help = "Level.",
    .type = METRIC_GAUGE,
};

/* Threads find, create and count the same series, and go up and down with the same gauge. */
static void *count_much(void *up)
{
    char text[16];

    for (int i = 0; i < ROUNDS; i++) {
        snprintf(text, sizeof(text), "n%d", i % KINDS);
        metric_add(metric_get(&shared, VALUES(str_of(text)), 1), 1);
        metric_gauge_add(metric_get(&level, NULL, 0), up ? 2 : -1);
    }
    return NULL;
}

static int64_t sum_shared(void)
{
    char text[16];
    int64_t sum = 0;

    for (int i = 0; i < KINDS; i++) {
        snprintf(text, sizeof(text), "n%d", i);
        sum += metric_value(metric_get(&shared, VALUES(str_of(text)), 1));
    }
    return sum;
}

static void test_threads(void)
{
    pthread_t t[THREADS];

    for (int round = 1; round <= 2; round++) { /* the second round reuses ended threads' cells */
        for (intptr_t i = 0; i < THREADS; i++)
            CHECK_EQ(pthread_create(&t[i], NULL, count_much, (void *)(i % 2)), 0);
        for (int i = 0; i < 20; i++)
            shown("t_shared_total");
        for (int i = 0; i < THREADS; i++)
            pthread_join(t[i], NULL);
        CHECK_EQ(sum_shared(), (int64_t)round * THREADS * ROUNDS);
        CHECK_EQ(metric_value(metric_get(&level, NULL, 0)), round * 2 * (2 - 1) * ROUNDS);
    }
}

/* What the text says about every sample: a name, labels, a number; one type line per family. */
static void test_page_is_well_formed(void)
{
    struct buf out;
    bool ok = true;
    int types = 0;

    buf_init(&out, 4 << 20);
    int r = metrics_render(&out);
    ok = ok && str_ends(buf_str(&out), STR("\n"));
    for (struct str rest = buf_str(&out); rest.n;) {
        struct str line = str_split(&rest, '\n');
        types += str_starts(line, STR("# TYPE "));
        if (str_starts(line, STR("# ")))
            continue;
        struct str number = line;
        while (str_chr(number, ' ') >= 0)
            str_split(&number, ' ');
        ok = ok && str_starts(line, STR("t_")) && number.n > 0 &&
             strspn(number.p, "-0123456789.") == number.n;
    }
    buf_free(&out);
    CHECK_EQ(r, 0);
    CHECK(ok);
    CHECK_EQ(types, 10);
}

int main(void)
{
    TAP_RUN(test_counter);
    TAP_RUN(test_scale);
    TAP_RUN(test_gauge);
    TAP_RUN(test_histogram);
    TAP_RUN(test_quantile);
    TAP_RUN(test_overflow);
    TAP_RUN(test_long_values);
    TAP_RUN(test_render_limit);
    TAP_RUN(test_standard_buckets);
    TAP_RUN(test_threads);
    TAP_RUN(test_page_is_well_formed);
    return tap_done();
}
