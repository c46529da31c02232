/*
 * The sums of one batch of entries, by hour and by everything that analytics asks for; and from
 * them what each subject's counters got. They are added to the store's in the batch's transaction.
 */
#ifndef SF_LEDGER_SUMS_H
#define SF_LEDGER_SUMS_H

#include "base/map.h"
#include "ledger/entry.h"
#include "store/store.h"

#define SUMS_LATENCIES 16 /* calls below 1 ms × 2^n; the last: all others */

struct sums {
    struct arena *arena;
    struct map by_key;     /* → struct sum */
    struct map by_counter; /* → struct spent */
};

void sums_init(struct sums *s, struct arena *a);
void sums_free(struct sums *s);
int sums_add(struct sums *s, const struct call_entry *e);
/* Statements for all of it. */
int sums_put(struct sums *s, struct str node, struct store_batch *b);

/* The latency below which the share q of the calls lies, from such counts, in µs. */
int64_t sums_quantile(const int64_t counts[static SUMS_LATENCIES], double q);

#endif
