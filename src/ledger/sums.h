/*
 * The sums of entries since they were last put into the store: by hour, day and week and by
 * everything that analytics asks for, by end customer, and from them what each subject's counters
 * got. They are gathered over several batches where there are many of them, and then added to the
 * store's in one transaction (ledger/projection.c).
 *
 * In the store a call is once in usage_hourly, where everything stands at once, and once in each
 * part of totals_hourly, totals_daily and totals_weekly (ledger/sums_put.c), so that each question
 * of analytics reads few rows. Customers have sums of their own: there may be as many as calls,
 * which would make the others useless.
 */
#ifndef SF_LEDGER_SUMS_H
#define SF_LEDGER_SUMS_H

#include "base/clock.h"
#include "base/map.h"
#include "ledger/entry.h"
#include "store/store.h"

#define SUMS_PARTS     "apkugcnt" /* of the totals, a letter each: ledger/sums_put.c */
#define SUMS_LATENCIES 16         /* calls below 1 ms × 2^n; the last: all others */

/* The day and the week, from its Monday, that hold an instant; in UTC. */
#define SUMS_DAY  (24 * 3600 * NS_PER_S)
#define SUMS_WEEK (7 * SUMS_DAY)
static inline int64_t sums_day(int64_t wall)
{
    return wall - wall % SUMS_DAY;
}
static inline int64_t sums_week(int64_t wall) /* 1970-01-01 was a Thursday */
{
    return wall - (wall + 3 * SUMS_DAY) % SUMS_WEEK;
}

struct usage_total {
    int64_t calls, errors, streamed, cache_hits, in, out, cache_read, cost, unpriced, latency_us;
    int64_t at_latency[SUMS_LATENCIES];
};
void usage_total_add(struct usage_total *to, const struct usage_total *t);

/* Calls of one hour that are alike in all of these; or those of a customer, with its org alone. */
struct sum {
    int64_t hour, status;
    struct str org, team, user, key, customer, provider, model, endpoint, tags;
    struct usage_total total;
    int64_t charged;
    int64_t slice; /* whose facets were noted of it last (ledger/facets.h) */
};

struct spent {
    int64_t used, expires_at;
};

/* A counter's own, beside what calls took (ledger/adjust.c). */
struct adjustment {
    int64_t at, nano, expires_at;
    struct str counter;
};
struct noted_adjustment {
    struct adjustment it;
    struct noted_adjustment *next;
};

struct sums {
    struct arena arena;
    struct map by_key;                    /* → struct sum */
    struct map by_customer;               /* → struct sum */
    struct map by_counter;                /* → struct spent */
    struct noted_adjustment *adjustments; /* that are in these, the newest first */
};

void sums_init(struct sums *s);
void sums_free(struct sums *s);
void sums_clear(struct sums *s);
/* ret_customer: NULL where the call names none. */
int sums_add(
    struct sums *s, const struct call_entry *e, struct sum **ret, struct sum **ret_customer);
int sums_adjust(struct sums *s, const struct adjustment *a);
size_t sums_n(const struct sums *s);
/* Statements for all of it; spend is added to what is there. sums_put.c */
int sums_put(struct sums *s, struct str node, struct store_batch *b);

/* Into by_counter: what the sums' subjects were charged. */
int sums_spend(struct sums *s);

/* A call that did not do what was asked: refused, failed, or with an outcome that is not known. */
static inline bool sums_is_error(int64_t status)
{
    return status == 0 || status >= 400;
}

/* The latency below which the share q of the calls lies, from such counts, in µs. */
int64_t sums_quantile(const int64_t counts[static SUMS_LATENCIES], double q);

#endif
