/*
 * What is told about calls: metrics and the log line. Stages that only look.
 */
#ifndef SF_TELEMETRY_TELEMETRY_H
#define SF_TELEMETRY_TELEMETRY_H

#include "llm/stage.h"

extern const struct stage stage_metrics; /* smartflow_requests_total and the other families */
/* Brings the quantile gauges up to date; before metrics are rendered. */
void telemetry_refresh(void);

extern const struct stage stage_access_log; /* "call": one line without content */

void call_metrics_thread_end(void); /* frees what this thread remembers of series */

#endif
