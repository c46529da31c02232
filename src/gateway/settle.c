/*
 * The stage that turns what a call consumed into money. It runs when a reply is held (its cost goes
 * into the head) and again at the end of every call; the second run finds its work done.
 */
#include "gateway/gateway_int.h"
#include "llm/prices.h"
#include "llm/tokens.h"
#include "runtime/offload.h"

/* What can be counted from texts; minutes of audio or pictures cannot. */
static bool countable(enum endpoint_kind k)
{
    const uint64_t kinds =
        KIND_BIT(KIND_CHAT) | KIND_BIT(KIND_COMPLETIONS) | KIND_BIT(KIND_RESPONSES) |
        KIND_BIT(KIND_EMBEDDINGS) | KIND_BIT(KIND_MESSAGES) | KIND_BIT(KIND_COMPLETE) |
        KIND_BIT(KIND_GENERATE) | KIND_BIT(KIND_STREAM_GENERATE) | KIND_BIT(KIND_CONVERSE) |
        KIND_BIT(KIND_CONVERSE_STREAM) | KIND_BIT(KIND_INVOKE) | KIND_BIT(KIND_INVOKE_STREAM) |
        KIND_BIT(KIND_GEMINI_EMBED) | KIND_BIT(KIND_SPEECH);
    return (kinds & KIND_BIT(k)) != 0;
}

/* A call that reached the provider's model, but whose reply said nothing of usage. */
bool gw_must_count(const struct exchange *x)
{
    if (x->match.endpoint && !countable(x->match.endpoint->kind))
        return false;
    if (!x->match.endpoint || !(x->match.endpoint->flags & EP_METERED) || !x->upstream_status)
        return false;
    if (x->upstream_status >= 400 || x->meter.usage.source != USAGE_UNKNOWN)
        return false;
    return x->outcome == OUTCOME_OK || x->meter.events > 0;
}

/* A count for the offload pool: large texts take milliseconds, and so does mapping the ranks. */
struct count_job {
    struct exchange *x;
    uint64_t input, output;
    size_t used; /* of the reply's text */
};

#define COUNT_HERE_BYTES (8 * KIB)
#define COUNT_MAX_BYTES  (4 * MIB)

/* Runs work on this thread when it is short and on the pool when it is not. The job is bounded work
 * on the exchange's own memory, so it is waited for without a deadline and with cancellation
 * masked: the memory must outlive it. False when it could not run. */
static bool run_count(struct count_job *j, int (*work)(void *), size_t bytes)
{
    if (bytes <= COUNT_HERE_BYTES && tokens_ready(j->x->model))
        return work(j) == 0;
    co_mask_cancel();
    int r = offload_run(work, j, NULL, NEVER_NS);
    co_unmask_cancel();
    return r == 0;
}

/* --- while a stream passes --- */

static int count_begun(void *data)
{
    struct count_job *j = data;

    j->output = tokens_count_begun(j->x->model, buf_str(&j->x->meter.text), &j->used);
    return 0;
}

void gw_count_begun(struct exchange *x)
{
    struct count_job j = {.x = x};

    if (!run_count(&j, count_begun, x->meter.text.n))
        j.used = j.output = 0;
    meter_text_counted(&x->meter, j.used, j.output);
}

/* --- at the end --- */

/* Tokens of a text; of a huge one, those of its first part, scaled. */
static uint64_t count_text(struct str model, struct str text)
{
    uint64_t n = tokens_count(model, str_to(text, COUNT_MAX_BYTES), NULL);

    return text.n > COUNT_MAX_BYTES ? n * text.n / COUNT_MAX_BYTES : n;
}

static int count_work(void *data)
{
    struct count_job *j = data;
    struct exchange *x = j->x;
    const struct meter *m = &x->meter;
    uint64_t bytes = m->text_counted + m->text.n;

    j->input = x->body.n <= COUNT_MAX_BYTES
                   ? tokens_of_request(x->model, x->match.endpoint->kind, x->body)
                   : x->body.n / 4;
    j->output = m->text_tokens + count_text(x->model, buf_str(&m->text));
    if (m->output_bytes > bytes)
        j->output = bytes ? j->output * m->output_bytes / bytes : m->output_bytes / 4;
    return 0;
}

static void count_tokens(struct exchange *x, struct count_job *j)
{
    if (run_count(j, count_work, x->body.n + x->meter.text.n))
        return;
    j->input = x->body.n / 4;
    j->output = x->meter.output_bytes / 4;
}

void gw_count_usage(struct exchange *x)
{
    struct usage *u = &x->meter.usage;
    struct count_job j = {.x = x};

    if (x->match.endpoint->kind == KIND_SPEECH) {
        u->characters = x->characters;
    } else {
        count_tokens(x, &j);
        u->input = j.input;
        u->output = j.output;
    }
    u->source = USAGE_COUNTED;
}

static int settle(struct exchange *x)
{
    int64_t nano;

    if (x->usage.source != USAGE_UNKNOWN)
        return 0;
    if (gw_must_count(x))
        gw_count_usage(x);
    x->usage = x->meter.usage;
    if (x->usage.source != USAGE_UNKNOWN && x->facts &&
        cost_compute(x->facts, &x->usage, x->usage.tier, &nano) == 0)
        x->cost_nano = nano + x->spent_nano;
    return 0;
}

static void settle_end(struct exchange *x)
{
    gw_account(x);
}

const struct stage stage_settle = {
    .name = "settle",
    .on_request = settle,
    .on_end = settle_end,
};
