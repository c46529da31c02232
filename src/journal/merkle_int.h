/*
 * The Merkle tree of RFC 6962 section 2.1, made as the leaves come: for each complete subtree of
 * 2^k leaves that is not yet part of a greater one, its hash. So n leaves cost at most 64 hashes of
 * memory, and a copy of the struct is a copy of the tree.
 */
#ifndef SF_JOURNAL_MERKLE_INT_H
#define SF_JOURNAL_MERKLE_INT_H

#include "base/buf.h"
#include "crypto/digest.h"

#define MERKLE_LEVELS 40

struct merkle {
    uint64_t count;
    uint8_t peak[MERKLE_LEVELS][SHA256_BYTES]; /* [k]: of 2^k leaves, where bit k of count is set */
};

void merkle_leaf(struct str data, uint8_t out[static SHA256_BYTES]); /* H(0x00, data) */
void merkle_node(const uint8_t left[static SHA256_BYTES], const uint8_t right[static SHA256_BYTES],
    uint8_t out[static SHA256_BYTES]); /* H(0x01, left, right) */
void merkle_add(struct merkle *m, const uint8_t leaf[static SHA256_BYTES]);
void merkle_root(const struct merkle *m, uint8_t out[static SHA256_BYTES]);

/* The audit path of leaf `index` of n (section 2.1.1), lowest first, each hash appended raw. */
int merkle_path(const uint8_t (*leaves)[SHA256_BYTES], size_t n, size_t index, struct buf *out);
/* Whether the path leads from the leaf to the root. */
bool merkle_check(const uint8_t leaf[static SHA256_BYTES], size_t index, size_t n, struct str path,
    const uint8_t root[static SHA256_BYTES]);

#endif
