/*
 * The account of a call: what it took is known, its subjects' counters get it, and its outcome is
 * on the journal, in that order and before the client sees the last byte of its answer. Done once;
 * whoever ends a reply calls it, and the front calls it again for all that ended otherwise.
 */
#include "gateway/gateway_int.h"
#include "keys/limits.h"
#include "ledger/ledger.h"
#include "route/budget.h"

bool gw_account_may_wait(const struct exchange *x)
{
    return gw_must_count(x) || ledger_is_strict();
}

int gw_account(struct exchange *x)
{
    if (x->accounted)
        return 0;
    x->accounted = true;
    stage_settle.on_request(x);
    limits_settle(x);
    if (x->provider_scope.n)
        route_budget_add(x->upstream->provider->id, x->charged_nano, x->started_wall);
    return ledger_call_outcome(x);
}

/* A stream's text so far, as tokens; three bytes a token is more than any text has in fact. */
static uint64_t output_so_far(const struct exchange *x)
{
    const struct meter *m = &x->meter;

    return MAX(m->usage.output, m->output_bytes / 3);
}

int gw_top_up(struct exchange *x)
{
    return x->reserved_nano ? limits_top_up(x, output_so_far(x)) : 0;
}
