/*
 * What the files of metrics share: the registry (registry.c), the threads' counts (cells.c), and
 * rendering (render.c).
 *
 * Everything that readers walk without a lock only grows: families, the series of a family and the
 * shards are lists that are appended to under the registry's lock and published with a release
 * store; nothing is freed before the process ends.
 */
#ifndef SF_METRICS_METRICS_INT_H
#define SF_METRICS_METRICS_INT_H

#include "metrics/metrics.h"

/* A series: its cells are counters at the same place in the shard of every thread. A counter or
 * gauge has one; a histogram one per bucket, one for what is above all bounds, one for the sum. */
struct metric {
    const struct metric_family *family;
    _Atomic(struct metric *) next; /* in the family, in order of creation */
    uint32_t cell, n_cells;
    uint64_t hash;
    _Atomic int64_t level; /* of metric_set */
    bool is_other;         /* the family's overflow; shown once it was used */
    uint16_t key_n;
    char key[]; /* per label a length byte and the value */
};

/* Open addressing, at most half full; a larger one replaces it and the old one stays for readers
 * that are still in it. */
struct metric_table {
    struct metric_table *older;
    size_t cap;
    _Atomic(struct metric *) slots[];
};

struct metric_registered {
    struct metric_family *family;
    _Atomic(struct metric_registered *) next;
    _Atomic(struct metric_table *) table;
    _Atomic(struct metric *) first;
    struct metric *last, *other;
    unsigned n_labels, n_series, max_series;
    uint64_t scale;
};

#define KEY_BYTES (METRIC_LABELS * (1 + METRIC_LABEL_BYTES))

struct metric_registered *metrics_first_family(void);

/* Cells, see cells.c. Called under the registry's lock; false when none are left. */
bool cells_allot(uint32_t n, uint32_t *ret_first);
/* Adds to a cell of the calling thread. */
void cells_add(uint32_t cell, uint64_t by);
/* Sums n cells over all threads into out. */
void cells_sum(uint32_t first, uint32_t n, uint64_t *out);

#endif
