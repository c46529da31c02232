/*
 * The ledger: what a call leaves behind. It writes calls to the journal (journal/journal.h) while
 * they run, and afterwards makes from the journal what people ask for: log rows, sums by hour, and
 * what each subject has spent. The journal is the truth; all of this can be made from it again.
 *
 *   call.c       the entries of a call: `open` before each attempt, one `outcome`, and its bodies
 *   projector.c  a thread of its own that follows the journal and writes rows in batches, each with
 *                the journal's position in the same transaction, so that nothing counts twice
 *   recover.c    at start: what was open when the process died becomes an outcome `unknown` at its
 *                reserved amount; counters are seeded (store/shared.h)
 *   logs.c       lists and single records; analytics.c: sums by period and subject
 *
 * The request path never waits for the database, and for the journal's disk only in strict mode.
 */
#ifndef SF_LEDGER_LEDGER_H
#define SF_LEDGER_LEDGER_H

#include "journal/journal.h"
#include "llm/stage.h"
#include "store/shared.h"
#include "store/store.h"

struct exchange;

struct ledger_settings {
    struct journal *journal;
    struct store *store;
    struct shared *shared;
    struct str node;
    struct str journal_dir;
    uint64_t journal_kept;  /* what of the chain was there before the rings (journal_recovery) */
    int64_t row_retention;  /* SMARTFLOW_LOG_RETENTION; ns, 0 = for ever */
    int64_t sums_retention; /* SMARTFLOW_ANALYTICS_RETENTION, likewise */
    bool copy_bodies; /* PostgreSQL: bodies into the database, so that every node can show them */
};

/* Loads positions, follows the journal to its end, settles what a crash left open, seeds the
 * counters. Blocks, before the loops run. err says what went wrong. */
int ledger_open(const struct ledger_settings *s, char *err, size_t err_n);
/* Starts and stops the thread that follows the journal. */
int ledger_start(void);
void ledger_stop(void);
/* Before the journal is closed, as bodies are read through it: what is on it goes into the store,
 * if that is up. */
void ledger_close(void);
/* How far behind the store is: entries and the age of the oldest (ns). For metrics and readiness.
 */
void ledger_lag(uint64_t *ret_entries, int64_t *ret_age);

/* Suspends until what is on the journal now has its rows, or the deadline: for whoever looks for a
 * call that began at that time and has just ended. 0, -ECANCELED. */
int ledger_wait(int64_t wall, int64_t deadline);

/* What is put on or taken off a counter by hand, on the journal before it counts. A
 * registry_adjusted_fn (keys/registry.h). Suspends. */
int ledger_adjust(void *ctx, struct str counter, int64_t nano, int64_t expires_at);

/* --- a call, on its loop thread (call.c) --- */

/* Before each attempt: puts the call on the journal. 0; -ENOSPC or strict mode's failure with
 * x->error filled (503 journal_unavailable). */
int ledger_call_open(struct exchange *x);
/* Bytes of the reply as the upstream sent them, in order. Nothing where content is off. */
void ledger_reply_bytes(struct exchange *x, struct str piece);
/* The outcome, before the client sees the last byte. Later calls do nothing. Strict mode waits. */
int ledger_call_outcome(struct exchange *x);
bool ledger_is_strict(void); /* an outcome is waited for */
/* on_end: calls that were refused before any attempt leave an outcome alone; calls of nobody
 * (unknown key) leave nothing but a metric. */
extern const struct stage stage_ledger;
/* The pipeline's table, whose times an outcome carries; once at start. */
void ledger_use_stages(const struct stage *const *table, unsigned n);
/* The i-th stage of that table; empty behind the last. */
struct str ledger_stage_name(unsigned i);
void ledger_thread_end(void); /* frees what this thread keeps */

#endif
