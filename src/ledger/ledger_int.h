/* What the files of the ledger share. */
#ifndef SF_LEDGER_INT_H
#define SF_LEDGER_INT_H

#include "base/map.h"
#include "ledger/entry.h"
#include "ledger/ledger.h"

#define LEDGER_CUSTOMER_BYTES 128 /* of an end customer's name and of a trace id */
#define LEDGER_MODEL_BYTES    256

struct journal *ledger_journal(void); /* NULL: the program runs without one (unit tests) */
struct store *ledger_store(void);
void ledger_count_refusal(void); /* metrics */
void ledger_count_lost(void);

/* A call whose outcome was not seen yet. */
struct open_call {
    char *payload; /* with its id, a view into it */
    struct str id;
    bool stored; /* has a row in ledger_open */
};

/* The projection's state: on one thread at a time. */
struct projection {
    struct ledger_settings set;
    uint64_t seq;    /* all up to it is in the store */
    struct map open; /* id → struct open_call */
    struct journal_reader *reader;
    struct store_batch *pending; /* a batch whose fate is not known, up to pending_seq */
    uint64_t pending_seq, pending_calls;
};

int projection_open(struct projection *p, char *err); /* STORE_ERR_BYTES */
void projection_close(struct projection *p);
/* Brings at most one batch of new entries into the store. The number of entries, 0 when there are
 * none, or the store's error: the same entries are tried again next time. */
int projection_step(struct projection *p, char *err);

/* recover.c: entries for the calls that a crash left open; how many were appended. */
int recover_open_calls(struct projection *p, unsigned *ret_n);
int recover_seed(struct projection *p, char *err);
shared_fill_fn ledger_fill;

#endif
