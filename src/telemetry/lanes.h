/*
 * From all threads to one coroutine: records of bytes. Each thread appends to a buffer of its own,
 * under a lock that nobody but the taker ever wants; the taker swaps the lane's two buffers. A
 * buffer that is full refuses, which is counted.
 */
#ifndef SF_TELEMETRY_LANES_H
#define SF_TELEMETRY_LANES_H

#include "base/buf.h"
#include "metrics/metrics.h"

#include <pthread.h>
#include <stdatomic.h>

struct lane;

struct lanes {
    unsigned index; /* below LANES_MAX; each its own */
    size_t max;     /* bytes a thread */
    struct metric_family *dropped;
    const char *what; /* the label of dropped; NULL = it has none */
    atomic_bool on;
    pthread_mutex_t lock;
    struct lane *first;
};
#define LANES_MAX 2

/* The parts one behind the other are one record; all of it or nothing. Any thread. */
void lanes_add(struct lanes *l, const struct str *parts, unsigned n);
/* Moves what is there behind out, as far as out takes it; the number of records. */
unsigned lanes_take(struct lanes *l, struct buf *out);
void lanes_count_dropped(struct lanes *l, unsigned n);
/* The calling thread ends: what it still has is lost. */
void lanes_thread_end(struct lanes *l);

#endif
