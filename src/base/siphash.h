/*
 * SipHash-c-d of Aumasson and Bernstein: a keyed hash for tables whose keys a peer may choose. The
 * tables use 1 round a word and 3 at the end, as Rust's and Python's do. The rounds are parameters,
 * so that the test can check the code against the published vectors of SipHash-2-4.
 */
#ifndef SF_BASE_SIPHASH_H
#define SF_BASE_SIPHASH_H

#include "base/str.h"

uint64_t siphash(const uint64_t key[static 2], struct str s, int word_rounds, int end_rounds);

#endif
