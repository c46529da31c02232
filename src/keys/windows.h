/*
 * The windows that limits are counted in, and the names of counters. Minutes, days, weeks from
 * Monday and months begin and end by the calendar in UTC; "ever" has no end.
 *
 * A name is what its subject's names have in common ("{ORG}k:ID:", made with the record) and what
 * is counted in which window:
 *
 *   p               calls in flight
 *   r29512345       requests in that minute since 1970
 *   t29512345       tokens in it
 *   d2026-11-21     money of a day    w2026-11-16   of the week from that Monday
 *   m2026-11        of a month        e             ever
 *   m2026-11/1f4a…  of a budget for one model or tag: which one, hashed
 *
 * A thread remembers the last window of each kind, so that a name costs two copies.
 */
#ifndef SF_KEYS_WINDOWS_H
#define SF_KEYS_WINDOWS_H

#include "base/clock.h"
#include "keys/catalog_int.h"

enum window_kind {
    WINDOW_DAY,
    WINDOW_WEEK,
    WINDOW_MONTH,
    WINDOW_EVER,
    WINDOW_MINUTE,
    WINDOW_KINDS
};
_Static_assert((int)WINDOW_DAY == BUDGET_DAILY && (int)WINDOW_EVER == BUDGET_LIFETIME,
    "a budget's period is its window");

struct window {
    int64_t from, end; /* wall ns; end INT64_MAX = never */
    char text[13];     /* with its letter, but for minutes: "m2026-11" */
    uint8_t text_n;
};

/* The window that holds this instant. */
void window_at(enum window_kind k, int64_t wall, struct window *ret);

#define COUNTER_NAME_BYTES (COUNTER_PREFIX_BYTES + 48)

/* letter 0: none. scope: of a budget's state, or empty. Returns the name, in out. */
struct str counter_name_of(const struct subject *s, char letter, const struct window *w,
    struct str scope, char out[static COUNTER_NAME_BYTES]);

/* When a window's counter may be forgotten: some time after its end, as calls that began in it
 * settle in it. */
int64_t window_expiry(const struct window *w);

#endif
