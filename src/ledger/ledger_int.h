/* What the files of the ledger share. */
#ifndef SF_LEDGER_INT_H
#define SF_LEDGER_INT_H

#include "base/map.h"
#include "ledger/entry.h"
#include "ledger/facets.h"
#include "ledger/ledger.h"
#include "ledger/sums.h"

#define LEDGER_CUSTOMER_BYTES 128 /* of an end customer's name and of a trace id */
#define LEDGER_MODEL_BYTES    256
#define LEDGER_CUSTOMER_COUNTERS                                                                   \
    200000 /* of end customers, a node; the least used go (customers.c) */

struct journal *ledger_journal(void); /* NULL: the program runs without one (unit tests) */
struct store *ledger_store(void);
void ledger_count_refusal(void); /* metrics */
void ledger_count_lost(void);
void ledger_count_wait(void);
/* Until the journal's writer has written what the loops appended, which have ended. call.c */
void ledger_wait_written(int64_t deadline);
/* Logs that calls are refused for want of the journal, and (why NULL) that they are no more: once
 * each, whoever meets it first. Any thread. */
void ledger_say_problem(const char *why);
bool ledger_problem_said(void);

/* A call whose outcome was not seen yet. */
struct open_call {
    uint64_t seq;           /* of its first entry */
    bool stored;            /* stands so in ledger_open */
    bool replaces;          /* an older entry of it stands there */
    struct str id, payload; /* the id lies in the payload */
    char text[];
};

/* The projection's state: on one thread at a time. */
struct projection {
    struct ledger_settings set;
    uint64_t seq;                      /* rows of all entries up to it are in the store */
    uint64_t sums_seq;                 /* sums likewise; at most seq */
    uint64_t read_seq;                 /* up to which entries are in sums */
    uint64_t rewound_to, rewound_sums; /* rewind.c */
    bool is_open;
    bool finishing;  /* sums are put with each batch, however many there are */
    struct map open; /* id → struct open_call */
    struct sums sums;
    int64_t sums_at; /* when they were put */
    struct facets facets;
    struct journal_reader *reader;
    struct store_batch
        *pending; /* a batch whose fate is not known, and what is so when it is done */
    uint64_t pending_seq, pending_sums_seq;
};

int projection_open(struct projection *p, char *err); /* STORE_ERR_BYTES */
void projection_close(struct projection *p);
/* Brings at most one batch of new entries into the store. 1, 0 when there are none, or the store's
 * error: the same entries are tried again next time. */
int projection_step(struct projection *p, char *err);

/* rewind.c. The position goes back where the chain is shorter than it; before it is loaded. */
int rewind_position(const struct ledger_settings *s, char *err);
/* The number under which the call's row was put; 0 = it has none. */
int rewind_find(struct projection *p, const struct call_entry *e, uint64_t *ret_seq);
/* Whether the adjustment counts in the store already: 1, 0, or the store's error. */
int rewind_adjusted(struct projection *p, const struct adjustment *a);
/* Its row gets the new numbers. open_seq 0: stays. */
int rewind_row(const struct call_entry *e, uint64_t seq, uint64_t open_seq, struct store_batch *b);

/* recover.c: entries for the calls that a crash left open; how many were appended. */
int recover_open_calls(struct projection *p, unsigned *ret_n);
int recover_seed(struct projection *p, char *err);
shared_fill_fn ledger_fill;

/* adjust.c: false when the payload is of another event. */
bool adjust_read(struct str payload, struct adjustment *ret);

/* The thread that follows is told to end. Any thread. */
bool ledger_is_stopping(void);

/* retention.c: what is over goes, every now and then; and all of it at once. */
void retention_step(const struct ledger_settings *set);
void retention_forget(const struct ledger_settings *set);

/* customers.c: of this node's counters of end customers about `most` stay. */
int customers_forget(const struct ledger_settings *set, int64_t most);

#endif
