/*
 * Counters, gauges and histograms with labels, shown in the Prometheus text format.
 *
 * A family is a static struct of its module's; it joins the registry at metrics_register, or else
 * at its first metric_get. A series is one combination of label values. metric_get finds it without
 * a lock; the handle stays valid until the process ends, so what is used often can be kept.
 *
 *     static struct metric_family calls = {
 *         .name = "smartflow_calls_total", .help = "Calls by endpoint and status.",
 *         .type = METRIC_COUNTER, .labels = {"endpoint", "status"},
 *     };
 *     metric_add(metric_get(&calls, (struct str[]){endpoint, status}, 2), 1);
 *
 * Each thread counts in memory of its own with plain loads and stores; reading sums over threads. A
 * thread that ends leaves its counts behind. Nothing here suspends.
 *
 * Labels hold what peers send (model names), so a family has a maximum of series. Beyond it calls
 * are counted under a series whose label values are all "other". Values are cut at 128 bytes, and
 * what is not UTF-8 in them becomes U+FFFD.
 *
 * Values are integers in a small unit: nanoseconds, nano-dollars. `scale`, a power of ten, says how
 * many make one of what is shown, and the shown decimal is exact.
 */
#ifndef SF_METRICS_METRICS_H
#define SF_METRICS_METRICS_H

#include "base/buf.h"
#include "base/str.h"

#include <stdatomic.h>

#define METRIC_LABELS      4
#define METRIC_BUCKETS     32   /* bounds that a histogram may have */
#define METRIC_LABEL_BYTES 128  /* of one label value */
#define METRIC_SERIES      2000 /* of one family, when it does not say */
#define METRIC_NS          1000000000

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct metric_family {
    const char *name; /* counters end in _total, times in _seconds */
    const char *help;
    enum metric_type type;
    const char *labels[METRIC_LABELS]; /* names; the rest NULL */
    const int64_t *buckets;            /* upper bounds, ascending, in the small unit */
    size_t n_buckets;
    uint64_t scale;      /* 0 = 1 */
    unsigned max_series; /* 0 = METRIC_SERIES */

    _Atomic(struct metric_registered *) registered_; /* the registry's own */
};

struct metric; /* one series */

/* From 1 ms to 10 minutes, for whole calls; and from 10 µs to 1 s, for what the gateway adds. */
extern const int64_t metric_call_ns[18];
extern const int64_t metric_overhead_ns[16];

/* So that a family shows before its first use; a family without labels shows a zero then. */
void metrics_register(struct metric_family *f);

/* values: as many as the family has labels; NULL and 0 for none. Never NULL. */
struct metric *metric_get(struct metric_family *f, const struct str *values, size_t n);

/* Each for its type of family. A gauge either goes up and down or is set (the last writer wins): a
 * series must not be changed in both ways. Observations below 0 count as 0. */
void metric_add(struct metric *m, uint64_t by);
void metric_gauge_add(struct metric *m, int64_t by);
void metric_set(struct metric *m, int64_t value);
void metric_observe(struct metric *m, int64_t value);

static inline void metric_observe_ns(struct metric *m, int64_t ns)
{
    metric_observe(m, ns);
}

/* The sum over all threads: of a counter or gauge its value, of a histogram its number of
 * observations. */
int64_t metric_value(const struct metric *m);

/* The value below which the share q (0 to 1) of all observations of all series of a histogram
 * lies, interpolated within its bucket, in the small unit; the highest bound when it is beyond
 * that; -1 when there are no observations. */
int64_t metrics_quantile(const struct metric_family *f, double q);

/* Appends all families in the order of their registration: text/plain; version=0.0.4. */
int metrics_render(struct buf *out);

#endif
