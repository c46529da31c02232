/*
 * Entries as text. A line of ours is
 *
 *     {"entry_hmac":"<64 hex>","key_id":"<id>","payload":{…},"prev_hash":"<link>","seq":<n>}
 *
 * and its canonical text is the same without the first member. Both are taken from one buffer: the
 * byte before "key_id" is a comma in the line and the opening brace in the canonical text.
 */
#ifndef SF_JOURNAL_ENTRY_INT_H
#define SF_JOURNAL_ENTRY_INT_H

#include "base/buf.h"
#include "crypto/digest.h"
#include "journal/journal.h"

#define KEY_ID_BYTES  64
#define LINK_BYTES    72                  /* "genesis", 64 hex digits, "unsigned:<seq>" */
#define ENTRY_BYTES   (96 * (size_t)1024) /* a line of ours: payload and what stands around it */
#define GENESIS       "genesis"
#define UNSIGNED      "unsigned:"
#define HASHED_PREFIX 1 /* of the leaf: one zero byte before the canonical text */

/* HMAC-SHA-256 with the key's two blocks hashed beforehand. */
struct hmac_key {
    void *states; /* inner and outer */
};
int hmac_key_init(struct hmac_key *k, struct str key);
void hmac_key_free(struct hmac_key *k);
void hmac_key_sign(const struct hmac_key *k, struct str data, uint8_t out[static SHA256_BYTES]);

/* Where the chain ends. */
struct chain_end {
    uint64_t seq; /* 0 = nothing yet */
    char link[LINK_BYTES];
};

/* Where an entry came from, so that recovery knows what of a ring is on the chain: the payload gets
 * a first member "_ring":[index,end]. ring < 0: the writer's own entry, without it. */
struct entry_origin {
    int ring;
    uint64_t end;
};

/* Appends the next line with its newline, moves end on, and gives the leaf of the Merkle tree. */
int entry_add(struct buf *out, struct chain_end *end, struct str key_id, const struct hmac_key *key,
    const struct entry_origin *from, struct str payload, uint8_t ret_leaf[static SHA256_BYTES]);

/* Reads a line of ours (without the newline); views of line. canonical stays empty. */
bool entry_read(struct str line, struct journal_entry *ret);
/* The same for an entry that another writer may have written: members in any order, white space;
 * canonical text and views are put into mem, which is cleared. -EINVAL when it is no entry; what
 * has no entry_hmac is an unsigned one. Also fills canonical for a line of ours. */
int entry_read_any(struct str line, struct buf *mem, struct journal_entry *ret);
/* The origin that entry_add put into a payload; false when there is none. */
bool entry_origin(struct str payload, struct entry_origin *ret);
/* The canonical text of a line that entry_read took, behind a zero byte: what the leaf hashes. */
int entry_hashed(struct str line, struct buf *out);

#endif
