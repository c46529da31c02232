/*
 * Changing and reading single series, and quantiles over the buckets of a family.
 */
#include "metrics/metrics.h"
#include "base/clock.h"
#include "base/macros.h"
#include "metrics/metrics_int.h"

#define MS NS_PER_MS
#define US NS_PER_US

const int64_t metric_call_ns[18] = {1 * MS, 5 * MS, 10 * MS, 25 * MS, 50 * MS, 100 * MS, 250 * MS,
    500 * MS, 1000 * MS, 2000 * MS, 3000 * MS, 5000 * MS, 10000 * MS, 20000 * MS, 30000 * MS,
    60000 * MS, 180000 * MS, 600000 * MS};
const int64_t metric_overhead_ns[16] = {10 * US, 20 * US, 50 * US, 100 * US, 200 * US, 500 * US,
    1 * MS, 2 * MS, 5 * MS, 10 * MS, 20 * MS, 50 * MS, 100 * MS, 200 * MS, 500 * MS, 1000 * MS};

void metric_add(struct metric *m, uint64_t by)
{
    must(m->family->type == METRIC_COUNTER);
    cells_add(m->cell, by);
}

void metric_gauge_add(struct metric *m, int64_t by)
{
    must(m->family->type == METRIC_GAUGE);
    cells_add(m->cell, (uint64_t)by); /* modulo 2^64 the sum over threads comes out right */
}

void metric_set(struct metric *m, int64_t value)
{
    must(m->family->type == METRIC_GAUGE);
    atomic_store_explicit(&m->level, value, memory_order_relaxed);
}

void metric_observe(struct metric *m, int64_t value)
{
    const struct metric_family *f = m->family;
    uint32_t i = 0;

    must(f->type == METRIC_HISTOGRAM);
    value = MAX(value, 0);
    while (i < f->n_buckets && value > f->buckets[i])
        i++;
    cells_add(m->cell + i, 1);
    cells_add(m->cell + (uint32_t)f->n_buckets + 1, (uint64_t)value);
}

int64_t metric_value(const struct metric *m)
{
    uint64_t cells[METRIC_BUCKETS + 2], sum = 0;
    uint32_t counts = m->family->type == METRIC_HISTOGRAM ? m->n_cells - 1 : 1;

    cells_sum(m->cell, m->n_cells, cells);
    for (uint32_t i = 0; i < counts; i++)
        sum += cells[i];
    return (int64_t)(sum + (uint64_t)atomic_load_explicit(&m->level, memory_order_relaxed));
}

/* The observations of all series by bucket; returns how many there are. */
static uint64_t sum_buckets(
    const struct metric_registered *r, uint64_t counts[static METRIC_BUCKETS + 1])
{
    uint64_t cells[METRIC_BUCKETS + 2], total = 0;
    size_t n = r->family->n_buckets + 1;

    memset(counts, 0, n * sizeof(*counts));
    for (struct metric *m = atomic_load_explicit(&r->first, memory_order_acquire); m;
         m = atomic_load_explicit(&m->next, memory_order_acquire)) {
        cells_sum(m->cell, m->n_cells, cells);
        for (size_t i = 0; i < n; i++) {
            counts[i] += cells[i];
            total += cells[i];
        }
    }
    return total;
}

int64_t metrics_quantile(const struct metric_family *f, double q)
{
    const struct metric_registered *r = atomic_load_explicit(&f->registered_, memory_order_acquire);
    uint64_t counts[METRIC_BUCKETS + 1], total = r ? sum_buckets(r, counts) : 0;

    must(f->type == METRIC_HISTOGRAM);
    if (total == 0)
        return -1;
    double rank = MIN(MAX(q, 0.0), 1.0) * (double)total;
    for (size_t i = 0; i < f->n_buckets; i++) {
        if (counts[i] > 0 && rank <= (double)counts[i]) {
            int64_t low = i ? f->buckets[i - 1] : 0, high = f->buckets[i];
            return low + (int64_t)((double)(high - low) * (rank / (double)counts[i]));
        }
        rank -= (double)counts[i];
    }
    return f->buckets[f->n_buckets - 1];
}
