/*
 * What a call may take, before it is made: tokens in and out, and their price. Bounded from above
 * where it can be, as money is held by it.
 */
#ifndef SF_KEYS_ESTIMATE_H
#define SF_KEYS_ESTIMATE_H

#include "base/str.h"
#include "json/scan.h"
#include <stdbool.h>
#include <stdint.h>

struct exchange;

struct estimate {
    uint64_t input, output; /* tokens */
    uint64_t images, characters, audio_ms, queries;
    bool rough;        /* the input is a token a byte: no text has more */
    bool exact;        /* the input was counted, not guessed */
    bool cache_writes; /* the caller asks the provider to keep its prompt */
    bool metered;      /* false: a call that costs nothing */
};

/* Tokens of a text or a JSON body by its bytes alone, in less than a nanosecond a byte: more than a
 * tokeniser makes of ordinary prose, code or CJK. */
uint64_t tokens_guess(struct str text);

/* By the request as it was read: while x->spans are there. default_output: where it names no
 * maximum and the model's is not smaller. A body with pictures is counted at once, since their text
 * is no measure; that suspends when it is large. */
void estimate_make(struct exchange *x, unsigned default_output, struct estimate *e);
/* The names of members that tell of pictures. */
void estimate_watch(struct json_set *set, uint8_t mark);
/* A better one of the input: a guess in place of a rough one, else a count, which may suspend. */
void estimate_refine(struct exchange *x, struct estimate *e);
/* Counts the input. May suspend. */
void estimate_count(struct exchange *x, struct estimate *e);
/* In nano-dollars at the prices of the model that x->facts is of. -ENODATA: unknown. */
int estimate_price(const struct exchange *x, const struct estimate *e, int64_t *ret_nano);

#endif
