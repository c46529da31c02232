/*
 * A keyed hash for tables in memory and for checks against accidents. With a key that is drawn at
 * random and told to nobody, callers cannot choose names that collide; it is no cryptographic hash,
 * and no proof of anything. Its values may be kept in files as long as those are checked by this
 * code.
 */
#ifndef SF_BASE_HASH_H
#define SF_BASE_HASH_H

#include "base/str.h"

uint64_t hash_keyed(const uint64_t key[static 2], struct str s);

#endif
