/*
 * Dialects: the languages that clients and providers speak. This file knows how each renders an
 * error, ends a failed stream and names itself; how each carries usage is in llm/meter.h.
 * Translation between dialects goes through a canonical form, which is another step: until then a
 * call is served only by a provider that has a face of the caller's dialect.
 */
#ifndef SF_LLM_DIALECT_H
#define SF_LLM_DIALECT_H

#include "base/buf.h"
#include "base/error.h"

enum dialect {
    DIALECT_OPENAI = 0,
    DIALECT_ANTHROPIC,
    DIALECT_GEMINI,
    DIALECTS_IN_FRONT,
    /* spoken by upstreams only, so far */
    DIALECT_COHERE = DIALECTS_IN_FRONT,
    DIALECT_BEDROCK,
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
enum stream_style { STREAM_CHAT, STREAM_RESPONSES, STREAM_ANTHROPIC, STREAM_GEMINI, STREAM_OTHER };
void dialect_stream_error(enum stream_style s, const struct error *e, struct str request_id,
    uint64_t sequence, struct buf *out);

/* OpenAI's error type for a status: "invalid_request_error", "server_error", ... */
struct str dialect_error_type(enum dialect d, int status);

#endif
