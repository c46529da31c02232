/*
 * Traces: what the files about them share. trace.c follows a call and passes its context on,
 * trace_spans.c writes its spans, trace_export.c sends them.
 */
#ifndef SF_TELEMETRY_TRACE_INT_H
#define SF_TELEMETRY_TRACE_INT_H

#include "llm/exchange.h"
#include "telemetry/lanes.h"
#include "telemetry/telemetry.h"

#define TRACE_ATTEMPTS 8 /* further ones have no span of their own */
#define TRACE_SAMPLED  1

struct attempt {
    uint8_t span[8];
    int64_t start, end, first_byte; /* monotonic; 0 = not reached */
    int status;
    const struct upstream *upstream;
    struct str model, error;
};

/* A call's place in its trace: in the exchange's arena. */
struct trace {
    uint8_t id[16], parent[8], span[8];
    bool has_parent;
    uint8_t flags;
    unsigned attempts_n;
    struct attempt attempts[TRACE_ATTEMPTS];
};

/* The context in a traceparent field: false when it is none. */
bool trace_parse(struct str text, struct trace *ret);
/* "00-…-…-01", 55 characters. */
void trace_format(const struct trace *t, const uint8_t span[static 8], char out[static 55]);

void trace_use_sampler(enum trace_sampler s, struct str arg);
bool trace_sample(
    const struct trace *t); /* whether a new trace, or one with a parent, is recorded */

/* The spans of a call that ended, each as the field `spans` of a ScopeSpans. */
void trace_write(const struct exchange *x, const struct trace *t, struct buf *out);
/* The stages that x->stage_ns are of. */
void trace_use_stages(const struct stage *const *table, unsigned n);

extern struct lanes trace_lanes;
void trace_thread_end(void);

/* The request around such spans. */
void trace_request(struct str service, struct str node, struct str spans, struct buf *out);

void trace_export_open(struct str node);
int trace_export_start(void);
void trace_export_stop(void);
void trace_export_use(const struct trace_settings *s, const struct post_route *route,
    void (*problem)(void *ctx, const char *name, const char *why), void *ctx);

#endif
