/*
 * "Did you mean": the names nearest to a word that named nothing.
 */
#ifndef SF_TEXT_NEAREST_H
#define SF_TEXT_NEAREST_H

#include "base/str.h"

#define NEAREST_MOST 16  /* names that one call returns at most */
#define NEAREST_WORD 256 /* words and names longer than this are near to nothing */

/*
 * Writes up to max of the n names to out, best first, and returns how many. Near is a name within
 * max(2, a third of the word's length) edits (an insertion, a deletion, a substitution or a swap of
 * neighbours; case does not count), or one that begins with the word, or contains it, or is so
 * contained in it. Names that are equal in content are returned once. The views are those of names.
 */
unsigned text_nearest(
    struct str word, const struct str *names, size_t n, struct str *out, unsigned max);

/* Edits between a and b, at most limit; limit + 1 when there are more or one is too long. */
unsigned text_distance(struct str a, struct str b, unsigned limit);

#endif
