/*
 * What calls cost and did, by time and by who or what made them: from the sums that the projection
 * keeps by hour, by day and by week. A question reads as few of them as answer it: of a month four
 * weeks and the days and hours around them, and only a series reads every hour. Suspends.
 */
#ifndef SF_LEDGER_ANALYTICS_H
#define SF_LEDGER_ANALYTICS_H

#include "ledger/sums.h"
#include "store/store.h"

enum analytics_group {
    GROUP_PROVIDER,
    GROUP_MODEL,
    GROUP_KEY,
    GROUP_USER,
    GROUP_TEAM,
    GROUP_ORG,
    GROUP_CUSTOMER,
    GROUP_TAG,
    GROUP_ENDPOINT,
    GROUP_STATUS,
    GROUPS_N
};

/* from and until are whole hours, or with by_day whole days, in UTC. */
struct analytics_query {
    int64_t from, until;       /* wall ns */
    bool by_day;               /* the series' steps; else hours */
    bool to_now;               /* no call is later than until */
    struct str org, user, key; /* only these; empty = all */
};

struct usage_row {
    int64_t status;
    struct str provider, model;
    struct usage_total total;
};
/* Everything by provider, model and status: totals and those three groups can be added up from it.
 */
int analytics_cells(struct store *s, const struct analytics_query *q,
    int (*fn)(void *ctx, const struct usage_row *row), void *ctx, char *err);

/* Everything by hour or day; steps without a call are left out. */
struct usage_step {
    int64_t at;
    struct usage_total total;
};
int analytics_series(struct store *s, const struct analytics_query *q,
    int (*fn)(void *ctx, const struct usage_step *step), void *ctx, char *err);

struct usage_group {
    struct str value;
    struct usage_total total;
};
/* Groups being added up, by their names, which are copied. */
struct usage_groups {
    struct arena *arena;
    struct map by_name;
    struct usage_group *at;
    unsigned n, cap;
};
void usage_groups_init(struct usage_groups *g, struct arena *a);
void usage_groups_free(struct usage_groups *g);
int usage_groups_add(struct usage_groups *g, struct str name, const struct usage_total *t);
void usage_groups_sort(struct usage_groups *g); /* the dearest first, then the most called */

/* Adds the sums of each value of a column; of keys, users and customers those of the dearest alone.
 * Each of a call's tags counts it. Not for GROUP_PROVIDER, GROUP_MODEL and GROUP_STATUS. */
int analytics_groups(struct store *s, const struct analytics_query *q, enum analytics_group by,
    unsigned dearest, struct usage_groups *to, char *err);

/* Days alone, with less of them; for a trend. */
struct usage_day {
    int64_t at, calls, errors, in, out, cost;
};
int analytics_days(struct store *s, const struct analytics_query *q,
    int (*fn)(void *ctx, const struct usage_day *d), void *ctx, char *err);

#endif
