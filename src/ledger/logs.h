/*
 * Log rows: lists with filters, newest first, and what is known of a single call.
 *
 * A list is answered in bounded time whatever is looked for. The only index of rows is their time;
 * rare values are found by the slices in which they occur (ledger/facets.h). Where even that would
 * take longer than LOGS_SCAN_NS (several filters that are common each, and rare together), the page
 * holds what was found so far, maybe nothing, and says where to go on.
 *
 * All of it suspends.
 */
#ifndef SF_LEDGER_LOGS_H
#define SF_LEDGER_LOGS_H

#include "base/arena.h"
#include "ledger/facets.h"
#include "store/store.h"

#define LOGS_SCAN_NS    (200 * NS_PER_MS)
#define LOGS_EQUALS_MAX 20
#define LOGS_ID_BYTES   36

/* A column has this value. FACET_STATUS is not among them. */
struct logs_equal {
    enum facet_column column;
    struct str value;
};

struct logs_filter {
    struct logs_equal equal[LOGS_EQUALS_MAX];
    unsigned equal_n;
    int64_t status;                   /* -1 = all */
    int streamed;                     /* -1 = all */
    int64_t from, until;              /* wall ns; 0 = open */
    int64_t min_cost, min_latency_us; /* 0 = all */
    struct str id_prefix;
};
void logs_filter_init(struct logs_filter *f);
/* False when there are too many. Empty values are no filter. */
bool logs_filter_add(struct logs_filter *f, enum facet_column column, struct str value);

/* One row of the table; texts are views into what it came from. -1 = unknown. */
struct log_row {
    int64_t ts, seq, open_seq, status, streamed, attempts;
    int64_t tokens_in, tokens_out, cache_read, cache_write, reasoning, cost, charged;
    int64_t latency_us, ttfb_us, upstream_us, req_ref, resp_ref;
    struct str id, node, org, team, user, key, customer, provider, model, model_asked, endpoint,
        outcome, error, tags, trace;
};

typedef int logs_row_fn(void *ctx, const struct log_row *row);

/* Where a list goes on: behind the row with this time and id (empty: before this instant). */
struct logs_at {
    int64_t ts;
    struct str id;
};
/* At most limit rows below *at (NULL: from the newest) to fn. *ret_more: there may be more, from
 * *ret_at on, whose text lies in a. 0, what fn returned, or the store's error. */
int logs_list(struct store *s, const struct logs_filter *f, unsigned limit,
    const struct logs_at *at, struct arena *a, logs_row_fn *fn, void *ctx, struct logs_at *ret_at,
    bool *ret_more, char *err);

/* The row with this id: *ret_rows keeps its texts. 1; 0 there is none; the store's error. */
int logs_get(
    struct store *s, struct str id, struct store_rows **ret_rows, struct log_row *ret, char *err);
/* When the call with this id began, to the millisecond; -EINVAL: it is not one of ours. */
int logs_time_of_id(struct str id, int64_t *ret_wall);

#endif
