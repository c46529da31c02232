/*
 * struct secret: a credential. Its own type, so that no print path accepts it by accident; wiped
 * when freed; compared in constant time. secret_reveal() is the one way to its bytes: only code
 * that writes it to its own upstream or hashes it may call it (grep for it in a review).
 */
#ifndef SF_BASE_SECRET_H
#define SF_BASE_SECRET_H

#include "base/str.h"

struct secret {
    char *p_;
    size_t n_;
};

int secret_set(struct secret *s, struct str value); /* copies; wipes what was there */
void secret_free(struct secret *s);                 /* wipes; also for _cleanup_ */
bool secret_is_set(const struct secret *s);
bool secret_eq(const struct secret *s, struct str value);
struct str secret_reveal(const struct secret *s);
/* The last four characters for display ("…abcd"); "…" when it is shorter than 12. */
void secret_hint(const struct secret *s, char out[static 8]);

void mem_wipe(void *p, size_t n);
bool mem_ct_eq(const void *a, const void *b, size_t n);

#endif
