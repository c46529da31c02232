/* What calls add to the metrics, and what a caller cannot make of them. */
#include "llm/exchange_test.h"
#include "metrics/metrics.h"
#include "providers/provider.h"
#include "telemetry/telemetry.h"

static struct made made;
static struct upstream up;
static struct buf text;

static struct exchange *call(const char *provider, const char *model)
{
    struct exchange *x = made_begin(&made, "POST", "/v1/chat/completions", "", model);

    up.provider = provider_by_id(str_of(provider));
    x->upstream = &up;
    x->outcome = OUTCOME_OK;
    x->rq->reply_status = x->upstream_status = 200;
    x->rq->first_byte_at = 1000;
    x->ended_at = 2000;
    return x;
}

static void end(struct exchange *x)
{
    stage_metrics.on_end(x);
}

/* A line of the rendered page with this beginning has this value. */
static bool has(const char *line)
{
    char with_end[512];

    snprintf(with_end, sizeof with_end, "\n%s\n", line);
    buf_free(&text);
    buf_init(&text, 16 * MIB);
    metrics_render(&text);
    return str_find(buf_str(&text), str_of(with_end)) >= 0;
}

static void test_ok(void)
{
    struct exchange *x = call("openai", "gpt-4o");

    x->usage = (struct usage){.source = USAGE_REPORTED, .input = 10, .cache_read = 5, .output = 7};
    x->cost_nano = 1500000000;
    x->upstream_sent_at = 1100;
    end(x);
    CHECK(has("smartflow_requests_total{provider=\"openai\",model=\"gpt-4o\",status=\"200\","
              "endpoint=\"chat\"} 1"));
    CHECK(has("smartflow_tokens_total{provider=\"openai\",direction=\"input\"} 15"));
    CHECK(has("smartflow_tokens_total{provider=\"openai\",direction=\"output\"} 7"));
    CHECK(has("smartflow_cost_usd_total{provider=\"openai\"} 1.5"));
    CHECK(has("smartflow_overhead_seconds_count 1"));
    x = call("openai", "gpt-4o");
    x->usage.source = USAGE_COUNTED;
    end(x);
    CHECK(has("smartflow_requests_total{provider=\"openai\",model=\"gpt-4o\",status=\"200\","
              "endpoint=\"chat\"} 2"));
    CHECK(has("smartflow_unpriced_calls_total{provider=\"openai\"} 1"));
}

static void test_failures(void)
{
    struct exchange *x = call("groq", "llama-x");

    x->outcome = OUTCOME_UPSTREAM_ERROR;
    x->rq->reply_status = x->upstream_status = 429;
    end(x);
    CHECK(has("smartflow_provider_errors_total{provider=\"groq\",status=\"429\"} 1"));
    x = call("groq", "llama-x");
    x->outcome = OUTCOME_TRUNCATED;
    end(x);
    CHECK(has("smartflow_provider_errors_total{provider=\"groq\",status=\"0\"} 1"));
    x = call("groq", "llama-x");
    x->outcome = OUTCOME_CANCELLED;
    end(x);
    CHECK(has("smartflow_requests_total{provider=\"groq\",model=\"\",status=\"499\","
              "endpoint=\"chat\"} 1"));
}

/* What names no endpoint keeps its status. */
static void test_unknown_paths(void)
{
    struct exchange *x = call("openai", "m");

    x->match.endpoint = NULL;
    x->upstream = NULL;
    x->outcome = OUTCOME_REFUSED;
    x->rq->reply_status = 405;
    end(x);
    CHECK(has("smartflow_requests_total{provider=\"none\",model=\"\",status=\"405\","
              "endpoint=\"unknown\"} 1"));
}

/* Names that were refused make no series; long and odd ones are cut and escaped. */
static void test_hostile_names(void)
{
    char name[64], big[4000];

    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "invented-%d", i);
        struct exchange *x = call("xai", name);
        x->outcome = i % 2 ? OUTCOME_REFUSED : OUTCOME_UPSTREAM_ERROR;
        x->rq->reply_status = 404;
        end(x);
    }
    has("");
    CHECK(str_find(buf_str(&text), STR("invented-")) < 0);
    CHECK(has("smartflow_requests_total{provider=\"xai\",model=\"\",status=\"404\","
              "endpoint=\"chat\"} 5000"));
    memset(big, 'b', sizeof big);
    struct exchange *x = call("xai", "m");
    x->model = str_at(big, sizeof big);
    end(x);
    end(x);
    x->model = STR("a\"b\nc\\");
    end(x);
    CHECK(has("smartflow_requests_total{provider=\"xai\",model=\"a\\\"b\\nc\\\\\",status=\"200\","
              "endpoint=\"chat\"} 1"));
    CHECK(str_find(buf_str(&text), str_at(big, METRIC_LABEL_BYTES + 1)) < 0);
}

int main(void)
{
    TAP_RUN(test_ok);
    TAP_RUN(test_failures);
    TAP_RUN(test_unknown_paths);
    TAP_RUN(test_hostile_names);
    made_end(&made);
    buf_free(&text);
    return tap_done();
}
