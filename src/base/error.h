/*
 * struct error: what went wrong, as data. It is filled in where the cause is known, carried in the
 * exchange, logged once, and rendered by the front door in the caller's dialect.
 * All texts are views: literals or memory of the exchange's arena.
 */
#ifndef SF_BASE_ERROR_H
#define SF_BASE_ERROR_H

#include "base/str.h"

struct error {
    int status;      /* HTTP status; 0 = no error */
    struct str code; /* machine word: "model_not_found"; OpenAI's `code` */
    struct str type; /* OpenAI's `type`; empty = derived from the status by the dialect */
    struct str
        message; /* one sentence for the caller; never holds a secret or foreign bytes unescaped */
    struct str param;  /* the field at fault: "messages[0].role"; empty = none */
    struct str hint;   /* what to do next; appended to the message by the front door */
    struct str detail; /* for the log alone */
    int retry_after_s; /* > 0: sent as retry-after */
    bool no_retry;     /* sends x-should-retry: false */
};

#endif
