/*
 * What call_metrics.c and seed_metrics.c share.
 */
#ifndef SF_TELEMETRY_CALL_METRICS_INT_H
#define SF_TELEMETRY_CALL_METRICS_INT_H

#include "llm/exchange.h"

struct shared;

/* So that they show before the first call. */
void call_metrics_register(void);
void seed_metrics_open(struct shared *s);
/* A call with usage ended: tokens over all providers, and its key for the spend gauge. */
void seed_metrics_count(const struct exchange *x);
void seed_metrics_refresh(void);

#endif
