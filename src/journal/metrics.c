/*
 * What the journal counts.
 */
#include "metrics/metrics.h"
#include "base/macros.h"
#include "journal/journal_int.h"

static struct metric_family entries = {
    .name = "smartflow_journal_entries_total",
    .help = "Entries on the chain since the start.",
    .type = METRIC_COUNTER,
};
static struct metric_family bytes = {
    .name = "smartflow_journal_bytes_total",
    .help = "Bytes written to the chain's segments.",
    .type = METRIC_COUNTER,
};
static struct metric_family groups = {
    .name = "smartflow_journal_sync_seconds",
    .help = "Writing and syncing one group of entries.",
    .type = METRIC_HISTOGRAM,
    .buckets = metric_overhead_ns,
    .n_buckets = ARRAY_LEN(metric_overhead_ns),
    .scale = METRIC_NS,
};
static struct metric_family refused = {
    .name = "smartflow_journal_refused_total",
    .help = "Entries that were refused: the disk is full, or the writer is too far behind.",
    .type = METRIC_COUNTER,
};
static struct metric_family bodies_lost = {
    .name = "smartflow_journal_bodies_lost_total",
    .help = "Pieces of bodies that were not kept, as the writer was too far behind.",
    .type = METRIC_COUNTER,
};

void journal_metrics_register(void)
{
    metrics_register(&entries);
    metrics_register(&bytes);
    metrics_register(&groups);
    metrics_register(&refused);
    metrics_register(&bodies_lost);
}

void journal_count_group(uint64_t n, size_t size, int64_t ns)
{
    metric_add(metric_get(&entries, NULL, 0), n);
    metric_add(metric_get(&bytes, NULL, 0), size);
    metric_observe_ns(metric_get(&groups, NULL, 0), ns);
}

void journal_count_refused(void)
{
    metric_add(metric_get(&refused, NULL, 0), 1);
}

void journal_count_body_lost(void)
{
    metric_add(metric_get(&bodies_lost, NULL, 0), 1);
}
