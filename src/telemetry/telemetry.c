/* The life of what sends: see telemetry/telemetry.h. */
#include "telemetry/telemetry.h"

#include "telemetry/call_metrics_int.h"
#include "telemetry/sinks_int.h"
#include "telemetry/trace_int.h"

void telemetry_open(struct shared *s, struct str node, const struct stage *const *table, unsigned n)
{
    call_metrics_register();
    seed_metrics_open(s);
    trace_use_stages(table, n);
    trace_export_open(node);
    sinks_open(node);
}

int telemetry_start(void)
{
    int r = trace_export_start();

    return r < 0 ? r : sinks_start();
}

void telemetry_stop(void)
{
    trace_export_stop();
    sinks_stop();
}

void telemetry_use(const struct telemetry_settings *s, const struct post_route *route,
    void (*problem)(void *ctx, const char *name, const char *why), void *ctx)
{
    trace_export_use(&s->traces, route, problem, ctx);
    sinks_use(&s->sinks, route, problem, ctx);
}

void telemetry_thread_end(void)
{
    call_metrics_thread_end();
    trace_thread_end();
    lanes_thread_end(&sink_lanes);
}
