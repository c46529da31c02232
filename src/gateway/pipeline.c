/*
 * The pipeline: one table, in order. This is the only place that orders stages and takes their
 * times; ARCHITECTURE.md describes the same table.
 */
#include "alert/alert.h"
#include "gateway/gateway_int.h"
#include "gateway/own.h"
#include "keys/limits.h"
#include "ledger/ledger.h"
#include "telemetry/telemetry.h"

static const struct stage *const table[] = {
    &stage_authenticate, /* who calls: virtual key, or the caller's own credential */
    &stage_read,         /* the body, whole where it is JSON; the model's name */
    &stage_own,          /* whose are the files, responses, … that it names */
    &stage_route,        /* which upstream, and the model's name there */
    &stage_limits,       /* requests a minute, calls in flight */
    &stage_call,         /* the upstream call and the relay of its reply */
    &stage_settle,       /* usage and cost, counters, the outcome on the journal */
    &stage_ledger,       /* the outcome of calls that were refused before an attempt */
    &stage_metrics,      /* counters and histograms */
    &stage_trace,        /* its spans */
    &stage_alert,        /* slow, or a provider that fails */
    &stage_access_log,   /* one line */
};
_Static_assert(ARRAY_LEN(table) <= STAGES_MAX, "an exchange has room for every stage's time");

const struct stage *const *gw_pipeline_table(unsigned *ret_n)
{
    *ret_n = ARRAY_LEN(table);
    return table;
}

int gw_pipeline_request(struct exchange *x)
{
    int64_t before = clock_now();

    for (unsigned i = 0; i < ARRAY_LEN(table); i++) {
        if (!table[i]->on_request)
            continue;
        int r = table[i]->on_request(x);
        int64_t now = clock_now();
        x->stage_ns[i] = now - before;
        before = now;
        if (r != 0) /* > 0: the stage answered the call itself */
            return MIN(r, 0);
    }
    return 0;
}

void gw_pipeline_end(struct exchange *x)
{
    x->ended_at = clock_now();
    for (unsigned i = 0; i < ARRAY_LEN(table); i++)
        if (table[i]->on_end)
            table[i]->on_end(x);
}
