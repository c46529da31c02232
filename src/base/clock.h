/*
 * Time. Durations and monotonic instants are int64_t nanoseconds; wall time is nanoseconds since
 * the epoch. A deadline is a monotonic instant; NEVER_NS means none (used at start-up and by tests
 * only: every wait on a peer carries a real deadline).
 */
#ifndef SF_BASE_CLOCK_H
#define SF_BASE_CLOCK_H

#include <stdint.h>

#define NS_PER_US ((int64_t)1000)
#define NS_PER_MS ((int64_t)1000000)
#define NS_PER_S  ((int64_t)1000000000)
#define NEVER_NS  INT64_MAX

int64_t clock_now(void);  /* monotonic */
int64_t clock_wall(void); /* since 1970-01-01T00:00:00Z */
/* For tests of what follows the calendar: all threads' wall clock stands at this instant, until it
 * is set to 0 and goes again. */
void clock_freeze_wall(int64_t wall_ns);

/* Writes "2026-11-21T10:40:00.123Z" and a NUL into out (25 bytes). */
void clock_rfc3339(int64_t wall_ns, char out[static 25]);

#endif
