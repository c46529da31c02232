/*
 * Random bytes from the kernel. They never fail silently: if the kernel has none, the process ends.
 */
#ifndef SF_CRYPTO_RANDOM_H
#define SF_CRYPTO_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* For keys and other secrets: straight from getrandom(2). */
void crypto_random(void *out, size_t n);

/* The rest draws on 4 KiB that each thread fetches at a time: for identifiers, nonces and choices,
 * at a few nanoseconds each. What was handed out is wiped; a forked child starts afresh. */
void random_bytes(void *out, size_t n);
void random_hex(char *out, size_t bytes); /* 2 × bytes lower-case digits, no NUL */
uint64_t random_below(uint64_t bound);    /* uniform in 0 … bound-1; bound > 0 */

#endif
