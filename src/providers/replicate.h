/*
 * Replicate runs models as predictions: a call creates one, and is polled until it has ended. This
 * is what is needed to build the calls and to read the answers; gateway/translated_predictions.c
 * polls.
 */
#ifndef SF_PROVIDERS_REPLICATE_H
#define SF_PROVIDERS_REPLICATE_H

#include "base/buf.h"

#define REPLICATE_MAX_WAIT_S 60 /* "Prefer: wait=n" holds the first answer at most so long */

enum replicate_state {
    REPLICATE_RUNS, /* starting, processing, queued */
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

struct replicate_prediction {
    struct str id; /* a view of the JSON text */
    enum replicate_state state;
};

int replicate_prediction_parse(struct str json, struct replicate_prediction *ret); /* -EBADMSG */

static inline bool replicate_ended(enum replicate_state s)
{
    return s >= REPLICATE_SUCCEEDED;
}

/* Appends the path of a prediction that was made, or of its end. By its id and never by the URLs
 * that the answer names, as these calls carry the key. */
int replicate_prediction_target(struct buf *out, struct str base_path, struct str id, bool cancel);

#endif
