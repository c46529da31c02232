/* Trace contexts, sampling, spans as protocol buffers, and what threads hand over. */
#include "llm/exchange_test.h"
#include "providers/provider.h"
#include "telemetry/pb.h"
#include "telemetry/trace_int.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define PARENT "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

static void test_parse(void)
{
    static const char *const bad[] = {"", "00", PARENT "x", PARENT "-00", /* 00 has no more */
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4BF92F3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7-01",
        "0x-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x"};
    struct trace t = {0};
    char out[55];

    for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
        CHECK(!trace_parse(str_of(bad[i]), &t));
    CHECK(trace_parse(STR(PARENT), &t));
    trace_format(&t, t.parent, out);
    CHECK_STR(str_at(out, 55), STR(PARENT));
    /* a version to come, with more behind */
    CHECK(trace_parse(STR("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03-more"), &t));
    CHECK_EQ(t.flags, 3);
}

static bool sampled(enum trace_sampler s, const char *arg, const char *parent)
{
    struct trace t = {.id = {[8] = 0x40}}; /* a quarter of all ids are below it */

    if (parent)
        t.has_parent = trace_parse(str_of(parent), &t);
    trace_use_sampler(s, str_of(arg));
    return trace_sample(&t);
}

static void test_sampling(void)
{
    const char *off = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

    CHECK(sampled(SAMPLER_ON, "", off));
    CHECK(!sampled(SAMPLER_OFF, "", PARENT));
    CHECK(sampled(SAMPLER_PARENT_ON, "", NULL) && !sampled(SAMPLER_PARENT_ON, "", off));
    CHECK(!sampled(SAMPLER_PARENT_OFF, "", NULL) && sampled(SAMPLER_PARENT_OFF, "", PARENT));
    CHECK(sampled(SAMPLER_RATIO, "0.3", NULL) && !sampled(SAMPLER_RATIO, "0.2", NULL));
    CHECK(!sampled(SAMPLER_RATIO, "0", NULL) && sampled(SAMPLER_RATIO, "1", NULL));
    CHECK(sampled(SAMPLER_PARENT_RATIO, "0", PARENT) && !sampled(SAMPLER_PARENT_RATIO, "1", off));
    CHECK(sampled(SAMPLER_RATIO, "nonsense", NULL)); /* all, as if it were not set */
}

/* --- protocol buffers --- */

static struct buf out;

static void fresh(void)
{
    buf_free(&out);
    buf_init(&out, MIB);
}

static void test_known_bytes(void)
{
    fresh();
    pb_uint(&out, 1, 150); /* the example of the format's own description */
    CHECK_STR(buf_str(&out), STR("\x08\x96\x01"));
    fresh();
    pb_attr_str(&out, 9, STR("k"), STR("vv"));
    CHECK_STR(buf_str(&out), STR("\x4a\x09\x0a\x01k\x12\x04\x0a\x02vv"));
    fresh();
    pb_attr_int(&out, 1, STR("k"), -1);
    CHECK_STR(buf_str(&out),
        STR("\x0a\x10\x0a\x01k\x12\x0b\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"));
    fresh();
    pb_attr_double(&out, 1, STR("k"), 1.0);
    CHECK_STR(buf_str(&out), STR("\x0a\x0e\x0a\x01k\x12\x09\x21\0\0\0\0\0\0\xf0\x3f"));
    fresh();
    pb_fixed32(&out, 16, 0x301);
    CHECK_STR(buf_str(&out), STR("\x85\x01\x01\x03\0\0"));
}

/* A message of any length, with the shortest length before it. */
static void test_nesting(void)
{
    static const size_t sizes[] = {0, 1, 127, 128, 129, 16383, 16384, 200000};
    char *text = malloc(200000);

    memset(text, 'x', 200000);
    for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
        _cleanup_(buf_free) struct buf plain = {0};
        buf_init(&plain, MIB);
        pb_bytes(&plain, 5, str_at(text, sizes[i]));
        fresh();
        size_t at = pb_open(&out, 5);
        buf_add(&out, text, sizes[i]);
        pb_close(&out, at);
        CHECK_STR(buf_str(&out), buf_str(&plain));
    }
    buf_free(&out);
    buf_init(&out, 130); /* no room for the longer length */
    size_t at = pb_open(&out, 1);
    buf_add(&out, text, 128);
    pb_close(&out, at);
    CHECK_EQ(out.err, -ENOBUFS);
    free(text);
}

/* --- a call --- */

static struct made made;
static struct upstream up;
static const struct stage fake_stage = {
    .name = "fake", .on_request = (int (*)(struct exchange *))abort};
static const struct stage *const stages[] = {&fake_stage};

static struct exchange *call(const char *fields, const char *model)
{
    struct exchange *x = made_begin(&made, "POST", "/v1/chat/completions", fields, model);

    up.provider = provider_by_id(STR("openai"));
    up.origin.target.host = STR("api.openai.com");
    x->upstream = &up;
    x->outcome = OUTCOME_OK;
    x->rq->reply_status = x->upstream_status = 200;
    x->rq->first_byte_at = clock_now();
    x->started_wall = clock_wall();
    x->ended_at = x->rq->first_byte_at + NS_PER_MS;
    x->usage = (struct usage){.source = USAGE_REPORTED, .input = 10, .output = 7};
    return x;
}

static void test_context_goes_on(void)
{
    struct exchange *x = call("traceparent: " PARENT "\r\ntracestate: a=1\r\n", "gpt-4o");
    _cleanup_(buf_free) struct buf taken = {0};

    buf_init(&taken, MIB);
    fresh();
    atomic_store(&trace_lanes.on, false);
    CHECK(!telemetry_trace_attempt(x, &out));
    CHECK(out.n == 0 && !x->trace);
    atomic_store(&trace_lanes.on, true);
    trace_use_sampler(SAMPLER_PARENT_ON, STR(""));
    CHECK(telemetry_trace_attempt(x, &out));
    CHECK(str_starts(buf_str(&out), STR("traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-")));
    CHECK(str_ends(buf_str(&out), STR("-01\r\ntracestate: a=1\r\n")));
    CHECK(str_find(buf_str(&out), STR("00f067aa0ba902b7")) < 0);
    for (unsigned i = 0; i < TRACE_ATTEMPTS + 3; i++)
        CHECK(telemetry_trace_attempt(x, &out));
    CHECK_EQ(x->trace->attempts_n, TRACE_ATTEMPTS);
    stage_trace.on_end(x);
    CHECK_EQ(lanes_take(&trace_lanes, &taken), 1);
    CHECK(taken.n > 500);
    CHECK_EQ(lanes_take(&trace_lanes, &taken), 0);
    atomic_store(&trace_lanes.on, false);
}

/* The call's milliseconds, and no two alike. */
static void test_ids_begin_with_the_time(void)
{
    char first[55];

    atomic_store(&trace_lanes.on, true);
    for (int i = 0; i < 2; i++) {
        struct exchange *x = call("", "gpt-4o");
        memcpy(x->id, "0193f2a1-b2c3-7abc-8def-0123456789ab", 37);
        fresh();
        CHECK(telemetry_trace_attempt(x, &out));
        CHECK(str_starts(buf_str(&out), STR("traceparent: 00-0193f2a1b2c3")));
        CHECK(str_starts(x->trace_id, STR("0193f2a1b2c3")));
        CHECK(i == 0 || memcmp(first, x->trace_id.p, 32) != 0);
        memcpy(first, x->trace_id.p, 32);
    }
    atomic_store(&trace_lanes.on, false);
}

/* A collector refuses a request for one text that is not UTF-8. */
static void test_texts_are_utf8(void)
{
    struct exchange *x = call("", "bad-\xff-name");
    _cleanup_(buf_free) struct buf taken = {0};

    buf_init(&taken, MIB);
    fresh();
    atomic_store(&trace_lanes.on, true);
    trace_use_sampler(SAMPLER_ON, STR(""));
    CHECK(telemetry_trace_attempt(x, &out));
    stage_trace.on_end(x);
    lanes_take(&trace_lanes, &taken);
    CHECK(str_find(buf_str(&taken), STR("bad-?-name")) > 0);
    CHECK(str_find(buf_str(&taken), STR("bad-\xff-name")) < 0);
    CHECK_EQ(x->trace_id.n, 32); /* for the log line */
    atomic_store(&trace_lanes.on, false);
}

/* What does not fit is counted; what fits stays whole. */
static void test_full_lane(void)
{
    static struct metric_family lost = {
        .name = "t_lost_total", .help = "h", .type = METRIC_COUNTER};
    static struct lanes l = {
        .index = 1, .max = 1000, .dropped = &lost, .lock = PTHREAD_MUTEX_INITIALIZER};
    const struct str parts[] = {STR("0123456789"), STR("\n")};
    _cleanup_(buf_free) struct buf taken = {0};

    buf_init(&taken, MIB);
    for (unsigned i = 0; i < 200; i++)
        lanes_add(&l, parts, 2);
    CHECK_EQ(lanes_take(&l, &taken), 90);
    CHECK_EQ(taken.n, 990);
    CHECK_EQ(metric_value(metric_get(&lost, NULL, 0)), 110);
    lanes_add(&l, parts, 2);
    CHECK_EQ(lanes_take(&l, &taken), 1);
    lanes_thread_end(&l);
}

static int64_t cpu_time(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * NS_PER_S + t.tv_nsec;
}

/* Not a bound that a busy machine could break: the numbers are for whoever reads them. */
static int64_t cost_of(enum trace_sampler s)
{
    enum { N = 20000 };
    _cleanup_(buf_free) struct buf taken = {0};
    struct exchange *x = call("traceparent: " PARENT "\r\n", "gpt-4o");
    char first[2048];

    trace_use_sampler(s, STR(""));
    buf_init(&taken, 64 * MIB);
    int64_t before = cpu_time();
    for (unsigned i = 0; i < N; i++) {
        x->trace = NULL;
        arena_free(&x->arena);
        arena_init(&x->arena, first, sizeof first, MIB);
        buf_clear(&out);
        telemetry_trace_attempt(x, &out);
        stage_trace.on_end(x);
        if (i % 1000 == 999)
            lanes_take(&trace_lanes, &taken);
        buf_clear(&taken);
    }
    int64_t spent = (cpu_time() - before) / N;
    arena_free(&x->arena);
    arena_init(&x->arena, NULL, 0, MIB);
    return spent;
}

static void test_cost(void)
{
    fresh();
    atomic_store(&trace_lanes.on, true);
    int64_t traced = cost_of(SAMPLER_ON), unsampled = cost_of(SAMPLER_OFF);
    printf("# a traced call %lld ns, one that is not sampled %lld ns\n", (long long)traced,
        (long long)unsampled);
    CHECK(traced > unsampled);
    atomic_store(&trace_lanes.on, false);
}

int main(void)
{
    trace_use_stages(stages, ARRAY_LEN(stages));
    TAP_RUN(test_parse);
    TAP_RUN(test_sampling);
    TAP_RUN(test_known_bytes);
    TAP_RUN(test_nesting);
    TAP_RUN(test_context_goes_on);
    TAP_RUN(test_ids_begin_with_the_time);
    TAP_RUN(test_texts_are_utf8);
    TAP_RUN(test_full_lane);
    TAP_RUN(test_cost);
    telemetry_thread_end();
    made_end(&made);
    buf_free(&out);
    return tap_done();
}
