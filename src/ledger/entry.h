/*
 * A call's entry as the journal holds it (ledger/call.c wrote it), read back: for rows, sums and
 * recovery. Views into the payload's text; texts of the journal's own making, so the strings that
 * are looked at here hold no escapes but in names that callers chose.
 */
#ifndef SF_LEDGER_ENTRY_H
#define SF_LEDGER_ENTRY_H

#include "base/arena.h"
#include "base/str.h"
#include <stdbool.h>
#include <stdint.h>

/* What is longer is cut: rows and indexes hold these. */
#define CALL_ENTRY_TEXT_BYTES 256
#define CALL_ENTRY_TAGS_BYTES 512

struct call_entry {
    bool outcome; /* else `open` */
    struct str id, org, team, user, key, customer;
    struct str provider, model, model_asked, endpoint, outcome_word, error, tags, trace, client,
        dialect;
    int64_t ts, status, attempts, stream;
    int64_t in, out, cache_read, cache_write, reasoning, cost; /* -1 = unknown */
    int64_t charged, reserved;
    int64_t booked; /* in whose windows it is charged, where that is not when it began */
    int64_t latency_us, ttfb_us, upstream_us;
    int64_t req_ref, resp_ref, req_len, resp_len;
    struct str scopes; /* counters of budgets for one model or tag: a JSON array's text */
};

/* 1: an entry of a call; 0: of another event; -EINVAL. Texts with escapes, and tags, are made in a.
 */
int call_entry_read(struct str payload, struct call_entry *ret, struct arena *a);

/* Whether it is an entry `open`, and then the call's id: a quick look, as there is one for each
 * call.
 */
bool call_entry_is_open(struct str payload, struct str *ret_id);

#endif
