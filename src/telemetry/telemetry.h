/*
 * What is told about calls: metrics, the log line, traces, and sinks for the log lines. Stages that
 * only look, and on the first loop the coroutines that send what they gathered.
 *
 * A call only appends to memory of its own thread (telemetry/lanes.h). What cannot be sent in time
 * is dropped and counted: nothing here makes a call wait or fail.
 */
#ifndef SF_TELEMETRY_TELEMETRY_H
#define SF_TELEMETRY_TELEMETRY_H

#include "alert/post.h"
#include "base/buf.h"
#include "base/secret.h"
#include "llm/stage.h"

extern const struct stage stage_metrics; /* smartflow_requests_total and the other families */
/* Brings gauges that are read off others up to date; before metrics are rendered. */
void telemetry_refresh(void);

extern const struct stage stage_access_log; /* "call": one line without content */

extern const struct stage stage_trace; /* the spans of a call */
/* The trace fields of an attempt that is about to be sent, appended to out as lines: true when they
 * stand in for the caller's own traceparent. Once for each attempt. */
bool telemetry_trace_attempt(struct exchange *x, struct buf *out);

void call_metrics_thread_end(void); /* frees what this thread remembers of series */
void telemetry_thread_end(void);    /* hands on what this thread gathered, at its end */

/* --- settings --- */

enum trace_sampler {
    SAMPLER_ON,
    SAMPLER_OFF,
    SAMPLER_RATIO,
    SAMPLER_PARENT_ON,
    SAMPLER_PARENT_OFF,
    SAMPLER_PARENT_RATIO,
};

struct trace_settings {
    struct str endpoint, traces_endpoint; /* both empty: no traces */
    struct secret headers;                /* "name=value,name=value" */
    struct str service;
    unsigned sampler; /* enum trace_sampler */
    struct str sampler_arg;
    unsigned protocol; /* http/protobuf */
};

struct sink_settings {
    const char *file;
    uint64_t file_size;
    unsigned file_keep;
    struct str syslog; /* "udp://host:514", … */
    struct str hec_url, hec_index;
    struct secret hec_token;
    struct str s3_url, s3_region, s3_key_id;
    struct secret s3_secret, s3_token;
    int64_t s3_interval;
};

struct telemetry_settings {
    struct trace_settings traces;
    struct sink_settings sinks;
};

/* --- life --- */

struct shared;

/* Before the loops run: where counters are, this node's name, which outlives all, and the stages
 * that the times in an exchange are of. */
void telemetry_open(
    struct shared *s, struct str node, const struct stage *const *table, unsigned n);
/* With each snapshot, which route refers to and keeps: on the first loop's thread, first before any
 * loop runs. What is of no use is reported, and left out. */
void telemetry_use(const struct telemetry_settings *s, const struct post_route *route,
    void (*problem)(void *ctx, const char *name, const char *why), void *ctx);
/* On the first loop. 0 or -errno. */
int telemetry_start(void);
/* On the first loop, when calls have ended: what is there is sent, for at most a few seconds. May
 * suspend. */
void telemetry_stop(void);

#endif
