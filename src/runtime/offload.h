/*
 * The offload pool: threads for work that blocks (name look-up, files, SQLite) or computes for
 * long. Only plain jobs go there: a function and data. The calling coroutine suspends.
 */
#ifndef SF_RUNTIME_OFFLOAD_H
#define SF_RUNTIME_OFFLOAD_H

#include <stdint.h>

int offload_start(unsigned threads); /* once, before the loops run; 0 or -errno */
/* Finishes what runs and drops what waits, whose callers get -ECANCELED. Before loop_free(). */
void offload_stop(void);

/* Runs work(data) on a pool thread and suspends until it is done. Returns work's result,
 * -ETIMEDOUT, -ECANCELED or -EAGAIN (queue full, no memory or no pool: nothing was started).
 *
 * When the wait ends early (-ETIMEDOUT, -ECANCELED) the job goes on: data then belongs to the pool,
 * which calls drop(data) on the caller's loop once work has returned (at once and without any work,
 * when the caller was cancelled before). With every other result the caller keeps data. So that the
 * two can be told apart, these three results of work itself come back as -EIO. drop may be NULL. */
int offload_run(int (*work)(void *), void *data, void (*drop)(void *), int64_t deadline);

#endif
