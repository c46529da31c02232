/*
 * Dialects: the languages that clients and providers speak. This file knows how each renders an
 * error, ends a failed stream and names itself; how each carries usage is in llm/meter.h.
 * Translation between dialects goes through a canonical form (translate/canon.h).
 */
#ifndef SF_LLM_DIALECT_H
#define SF_LLM_DIALECT_H

#include "base/buf.h"
#include "base/error.h"

enum dialect {
    DIALECT_OPENAI = 0,
    DIALECT_ANTHROPIC,
    DIALECT_GEMINI,
    DIALECT_BEDROCK,
    DIALECTS_IN_FRONT,
    /* spoken by upstreams only, so far */
    DIALECT_COHERE = DIALECTS_IN_FRONT,
    DIALECT_REPLICATE,
    DIALECT_DEEPGRAM,
    DIALECT_OLLAMA,
    DIALECTS
};

struct str dialect_name(enum dialect d); /* "openai" */

/* The whole JSON body of an error. request_id may be empty. */
void dialect_error_body(
    enum dialect d, const struct error *e, struct str request_id, struct buf *out);

/* How a stream that failed after it began tells its reader: one or more complete events. style says
 * which stream it is, since OpenAI's chat and Responses streams differ. */
enum stream_style {
    STREAM_CHAT,
    STREAM_RESPONSES,
    STREAM_ANTHROPIC,
    STREAM_GEMINI,
    STREAM_BEDROCK, /* AWS frames */
    STREAM_OTHER
};
void dialect_stream_error(enum stream_style s, const struct error *e, struct str request_id,
    uint64_t sequence, struct buf *out);

/* What a dialect calls an error of this status: OpenAI's "invalid_request_error", Bedrock's
 * "ValidationException". */
struct str dialect_error_type(enum dialect d, int status);
/* The status that a client of the dialect gets for an error: AWS has no 401. */
int dialect_status(enum dialect d, int status);
/* The response field in which a client of the dialect looks for the call's id. */
struct str dialect_request_id_field(enum dialect d);

/* One frame of a stream of AWS's: an event with its JSON. 0 or -errno. */
int dialect_put_frame(struct buf *out, struct str event, struct str payload);

#endif
