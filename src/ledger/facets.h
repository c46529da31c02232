/*
 * A guide to rare log rows: which values occur in which slices of time, so that the rows of one are
 * found by scanning the slices where it occurs, some thousand rows each, and not all rows. An index
 * over many columns at the cost of one: a value is noted once a slice, however many calls have it.
 *
 * Traces, of which each call may have another, have a table in the order of the slices
 * (log_traces); who looks for one steps from slice to slice.
 *
 * A facet is a column and its value, hashed to 64 bits (that two share a number costs a scan, and
 * nothing else), or a class of latency or cost. A slice is a piece of the rows' time, of 1 s to 15
 * minutes, by how many calls there are: about FACETS_SLICE_ROWS. All slices that hold an instant
 * lie in one another.
 */
#ifndef SF_LEDGER_FACETS_H
#define SF_LEDGER_FACETS_H

#include "ledger/entry.h"
#include "ledger/sums.h"

#define FACETS_SLICE_ROWS 4000

/* The columns that rows are looked for by; the letters are a part of what is in the store. */
enum facet_column {
    FACET_PROVIDER = 'p',
    FACET_MODEL = 'm', /* asked for, too */
    FACET_KEY = 'k',
    FACET_USER = 'u',
    FACET_TEAM = 'g',
    FACET_ORG = 'o',
    FACET_CUSTOMER = 'c',
    FACET_STATUS = 's', /* in decimal */
    FACET_OUTCOME = 'r',
    FACET_ERROR = 'e',
    FACET_ENDPOINT = 'n',
    FACET_TAG = 't',
    FACET_TRACE = 'x',
};
int64_t facet_of(enum facet_column column, struct str value);
int64_t facet_of_stream(bool stream);
/* That of its class, by powers of two, which all values of higher classes have as well. */
int64_t facet_of_latency(int64_t us);
int64_t facet_of_cost(int64_t nano);

/* A trace that began here has the time of its first call in its id (telemetry/trace.c), so that the
 * call needs no facet. False when the text is no such id, else the begin of that millisecond. */
bool facet_trace_time(struct str trace, int64_t *ret_wall);
/* The narrowest slice in which a row of this time can lie. */
int64_t slice_around(int64_t ts);

/* What a slice's number says: from its begin to its end, without the end; wall ns. */
void slice_span(int64_t slice, int64_t *ret_from, int64_t *ret_until);
/* No slice with rows from `from` on is below this, none with rows before `until` above. */
int64_t slice_least(int64_t from);
int64_t slice_most(int64_t until);

/* --- noting them --- */

struct facet_row; /* of the batch in hand */

struct facets {
    struct map seen; /* (facet, slice) → itself, of late */
    struct arena arena;
    struct facet_row *rows;
    unsigned rows_n, rows_cap;
    double rate; /* calls a second, of late; < 0: not known */
    int64_t since;
    unsigned since_n;
};

void facets_init(struct facets *f);
void facets_free(struct facets *f);
/* A row of the batch, and its sums, which must live until facets_put(). */
int facets_note(struct facets *f, const struct call_entry *e, struct sum *sum, struct sum *customer,
    struct arena *a);
/* Statements for what is new of the rows noted. */
int facets_put(struct facets *f, struct store_batch *b);

#endif
