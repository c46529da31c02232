/*
 * The stage that turns what a call consumed into money. It runs when a reply is held (its cost goes
 * into the head) and again at the end of every call; the second run finds its work done.
 */
#include "gateway/gateway_int.h"
#include "llm/prices.h"
#include "llm/tokens.h"

/* A call that reached the provider's model, but whose reply said nothing of usage. */
static bool must_count(struct exchange *x)
{
    if (!x->match.endpoint || !(x->match.endpoint->flags & EP_METERED) || !x->upstream_status)
        return false;
    if (x->upstream_status >= 400 || x->meter.usage.source != USAGE_UNKNOWN)
        return false;
    return x->outcome == OUTCOME_OK || x->meter.events > 0;
}

static void count_locally(struct exchange *x)
{
    struct usage *u = &x->meter.usage;
    struct str text = buf_str(&x->meter.text);

    if (x->match.endpoint->kind == KIND_SPEECH) {
        u->characters = x->characters;
    } else {
        u->input = tokens_of_request(x->model, x->match.endpoint->kind, x->body);
        u->output = tokens_count(x->model, text, NULL);
        if (x->meter.output_bytes > text.n && text.n)
            u->output = u->output * x->meter.output_bytes / text.n;
    }
    u->source = USAGE_COUNTED;
}

static int settle(struct exchange *x)
{
    int64_t nano;

    if (x->usage.source != USAGE_UNKNOWN)
        return 0;
    if (must_count(x))
        count_locally(x);
    x->usage = x->meter.usage;
    if (x->usage.source != USAGE_UNKNOWN && x->facts &&
        cost_compute(x->facts, &x->usage, x->usage.tier, &nano) == 0)
        x->cost_nano = nano;
    return 0;
}

static void settle_end(struct exchange *x)
{
    settle(x);
}

const struct stage stage_settle = {
    .name = "settle",
    .on_request = settle,
    .on_end = settle_end,
};
