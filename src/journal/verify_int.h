/*
 * The verifier's state: entries go in one by one, in the order they stand, and checkpoints beside
 * them. Everything that is wrong is counted; the first is named.
 */
#ifndef SF_JOURNAL_VERIFY_INT_H
#define SF_JOURNAL_VERIFY_INT_H

#include "journal/checkpoint_int.h"
#include "journal/files_int.h"
#include "journal/keyring_int.h"

#define VERIFY_LINE_BYTES ((size_t)16 << 20) /* of an entry of another writer */

struct verifier {
    struct journal_check *check;
    const struct keyring *keys;        /* NULL = linkage only */
    const struct public_keys *publics; /* NULL = signatures are not checked */
    uint64_t from, to;                 /* 0 = all */
    struct buf mem, canonical;

    uint64_t last_seq; /* of the entry before; 0 = none yet */
    char link[LINK_BYTES];
    bool linked;                 /* link is known */
    bool from_known;             /* which entry comes first: last_seq is one less */
    bool seen_signed, only_part; /* entries before `from` were left out */
    uint64_t gap_from, gap_to;   /* the latest run of missing numbers */

    struct lines *checkpoints; /* NULL = none */
    off_t checkpoints_size;
    struct checkpoint next; /* the one being checked */
    bool has_next, in_tree;
    uint64_t last_to; /* of the checkpoint before */
    struct merkle tree;
    uint64_t last_count;
};

void verify_init(struct verifier *v, struct journal_check *check, const struct keyring *keys);
void verify_free(struct verifier *v);
void verify_entry(struct verifier *v, struct str line);
/* No more entries. synced: what the head file says, 0 = unknown. */
void verify_end(struct verifier *v, uint64_t synced);
/* 0, 1 or 2. */
int verify_result(const struct verifier *v);
void verify_note(struct verifier *v, uint64_t seq, const char *fmt, ...) _printf_(3, 4);

/* verify_checkpoints.c */
void verify_checkpoints_begin(struct verifier *v);
void verify_checkpoints_entry(
    struct verifier *v, uint64_t seq, struct str hmac, const uint8_t leaf[static SHA256_BYTES]);
void verify_checkpoints_end(struct verifier *v);

#endif
