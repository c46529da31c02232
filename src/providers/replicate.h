/*
 * Replicate runs models as predictions: a call creates one, and is polled until it has ended. This
 * is what is needed to build the calls and to read the answers; polling is another's business.
 */
#ifndef SF_PROVIDERS_REPLICATE_H
#define SF_PROVIDERS_REPLICATE_H

#include "base/buf.h"

#define REPLICATE_MAX_WAIT_S 60 /* "Prefer: wait=n" holds the first answer at most so long */

enum replicate_state {
    REPLICATE_STARTING,
    REPLICATE_PROCESSING,
    REPLICATE_SUCCEEDED,
    REPLICATE_FAILED,
    REPLICATE_CANCELED,
};

/* A model is "owner/name" (its newest version), "owner/name:version", or a version alone. */
struct replicate_model {
    struct str owner, name; /* empty when a version stands alone */
    struct str version;     /* 64 hex digits; empty for the newest one */
};

int replicate_model_parse(struct str model, struct replicate_model *ret); /* 0 or -EINVAL */

/* Appends the path that creates a prediction, below base_path. */
int replicate_target(struct buf *out, struct str base_path, const struct replicate_model *m);

/* Appends the body: {"version": …, "input": …}. input is a JSON object's text, passed on as it is.
 */
int replicate_body(struct buf *out, const struct replicate_model *m, struct str input, bool stream);

/* Views into the JSON text; output and error are raw values, p NULL when absent or null. */
struct replicate_prediction {
    struct str id;
    enum replicate_state state;
    struct str get_url, cancel_url; /* still JSON-escaped; see replicate_poll_target() */
    struct str output, error;
    uint64_t predict_ms; /* metrics.predict_time, rounded up; 0 when not given */
};

int replicate_prediction_parse(struct str json, struct replicate_prediction *ret); /* -EBADMSG */

static inline bool replicate_ended(enum replicate_state s)
{
    return s >= REPLICATE_SUCCEEDED;
}

/* The path and query of a URL that the answer names, provided it leads to the upstream that was
 * called: the same scheme and authority as configured (host_field as in its Host field). Polling
 * carries the key, so any other URL is -EACCES; one with characters that a target cannot hold is
 * -EINVAL. */
int replicate_poll_target(struct str url, bool tls, struct str host_field, struct str *ret_target);

#endif
