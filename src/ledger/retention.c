/*
 * What goes from the store in time: log rows and their bodies, the guides to them, sums of
 * analytics, counters whose window is over, and those of invented end customers. The journal keeps
 * what happened; its bodies have a time of their own (SMARTFLOW_BODY_RETENTION).
 *
 * The thread that follows the journal looks after it every ten minutes, and a few times a day after
 * what no index leads to. It goes in small bites, so that no reader waits long.
 */
#include "ledger/facets.h"
#include "ledger/ledger_int.h"
#include "ledger/sums.h"

#define EVERY_NS       (600 * NS_PER_S)
#define SELDOM_NS      (6 * 3600 * NS_PER_S)
#define ADJUSTMENTS_NS (30 * 24 * 3600 * NS_PER_S) /* no tail that is lost is longer */
#define BITE_ROWS      5000

/* Until nothing is left that this statement, which ends in the size of a bite, would delete. */
static void in_bites(
    const struct ledger_settings *set, const char *sql, struct store_value *v, unsigned n)
{
    int64_t changed;

    v[n - 1] = store_int(BITE_ROWS);
    do {
        changed = 0;
        if (store_exec(set->store, sql, v, n, &changed, NULL) < 0)
            return;
    } while (changed >= BITE_ROWS && !ledger_is_stopping());
}

static void forget_rows(const struct ledger_settings *set)
{
    struct store_value v[2] = {store_int(clock_wall() - set->row_retention)};

    in_bites(set,
        "DELETE FROM logs WHERE ts < ?1 AND ts <= (SELECT MAX(ts) FROM (SELECT ts FROM logs ORDER "
        "BY ts LIMIT ?2) AS oldest)",
        v, 2);
    store_exec(set->store, "DELETE FROM log_bodies WHERE ts < ?1", v, 1, NULL, NULL);
}

static void forget_slices(const struct ledger_settings *set)
{
    const struct store_value v = store_int(slice_least(clock_wall() - set->row_retention));

    store_exec(set->store, "DELETE FROM log_slices WHERE slice < ?1", &v, 1, NULL, NULL);
    store_exec(set->store, "DELETE FROM log_traces WHERE slice < ?1", &v, 1, NULL, NULL);
}

#define FORGET_TOTALS(t)                                                                           \
    "DELETE FROM " t " WHERE part = ?1 AND at < ?2 AND at <= (SELECT MAX(at) FROM (SELECT at "     \
    "FROM " t " WHERE part = ?1 ORDER BY at LIMIT ?3) AS oldest)"

/* Whole weeks, so that hours, days and weeks begin together: a question that reads all three finds
 * the same calls in each. */
static void forget_sums(const struct ledger_settings *set)
{
    static const char *const totals[] = {FORGET_TOTALS("totals_hourly"),
        FORGET_TOTALS("totals_daily"), FORGET_TOTALS("totals_weekly")};
    const int64_t before = sums_week(clock_wall() - set->sums_retention);
    const struct store_value at = store_int(before);

    for (unsigned i = 0; i < ARRAY_LEN(totals); i++)
        for (const char *part = SUMS_PARTS; *part; part++) {
            struct store_value v[3] = {store_text(str_at(part, 1)), store_int(before)};
            in_bites(set, totals[i], v, 3);
        }
    store_exec(set->store, "DELETE FROM usage_hourly WHERE at < ?1", &at, 1, NULL, NULL);
}

static void forget_counters(const struct ledger_settings *set)
{
    const struct store_value now = store_int(clock_wall()),
                             old = store_int(clock_wall() - ADJUSTMENTS_NS);

    store_exec(set->store, "DELETE FROM ledger_spend WHERE expires_at > 0 AND expires_at < ?1",
        &now, 1, NULL, NULL);
    store_exec(set->store, "DELETE FROM ledger_adjustments WHERE at < ?1", &old, 1, NULL, NULL);
    customers_forget(set, LEDGER_CUSTOMER_COUNTERS);
}

static void forget_often(const struct ledger_settings *set)
{
    forget_counters(set);
    if (set->row_retention)
        forget_rows(set);
}

static void forget_seldom(const struct ledger_settings *set)
{
    if (set->row_retention)
        forget_slices(set);
    if (set->sums_retention)
        forget_sums(set);
}

void retention_forget(const struct ledger_settings *set)
{
    forget_often(set);
    forget_seldom(set);
}

void retention_step(const struct ledger_settings *set)
{
    static int64_t often_at, seldom_at; /* of the one thread that follows */
    int64_t now = clock_now();

    if (now < often_at)
        return;
    often_at = now + EVERY_NS;
    forget_often(set);
    if (now < seldom_at)
        return;
    seldom_at = now + SELDOM_NS;
    forget_seldom(set);
}
