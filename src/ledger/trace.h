/*
 * What the journal tells of one call: its entries, with what ties them to the chain, and for
 * streams the text that their pieces make.
 */
#ifndef SF_LEDGER_TRACE_H
#define SF_LEDGER_TRACE_H

#include "base/buf.h"
#include "base/str.h"
#include <stdint.h>

#define TRACE_ATTEMPTS_MAX 32

struct trace {
    struct buf attempts; /* a JSON array of the entries `open`: {"seq":…,"payload":{…}} */
    struct buf outcome;  /* the payload */
    struct buf line;     /* the outcome's whole line */
    struct buf proof;    /* of its place under a checkpoint; empty: there is none yet */
    /* views into line */
    struct str entry_hmac, prev_hash, key_id;
};

void trace_init(struct trace *t);
void trace_free(struct trace *t);
/* Entries of this node. open_seq 0: there is none but the outcome. Suspends (offload). -ENOENT: the
 * journal does not go back so far. */
int trace_read(const char *dir, uint64_t open_seq, uint64_t seq, struct str id, struct trace *ret);

/* The text of a streamed reply, from its server-sent events, in any provider's dialect; appended.
 */
int trace_assemble(struct str events, struct buf *out);

#endif
