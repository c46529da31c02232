/*
 * Amazon Bedrock's runtime: where its operations are, what its stream's events are, and how it says
 * that something failed. Requests are signed by providers/sigv4.h (service "bedrock"), or carry a
 * Bedrock API key as a bearer token; streams are framed by providers/eventstream.h.
 */
#ifndef SF_PROVIDERS_BEDROCK_H
#define SF_PROVIDERS_BEDROCK_H

#include "base/buf.h"
#include "providers/eventstream.h"

#define BEDROCK_SERVICE STR("bedrock")

enum bedrock_operation {
    BEDROCK_CONVERSE,
    BEDROCK_CONVERSE_STREAM,
    BEDROCK_INVOKE,
    BEDROCK_INVOKE_STREAM,
};

/* Appends the path on the wire: base_path + "/model/{id}/converse"; an id may be an ARN. Sign
 * exactly this path. -EINVAL for an empty id. */
int bedrock_target(
    struct buf *out, struct str base_path, struct str model, enum bedrock_operation op);

/* "bedrock-runtime.{region}.amazonaws.com"; -EINVAL when region is not made of a-z, 0-9 and '-'. */
int bedrock_host(struct buf *out, struct str region);

enum bedrock_event_kind { BEDROCK_EVENT, BEDROCK_EXCEPTION, BEDROCK_UNKNOWN };

struct bedrock_event {
    enum bedrock_event_kind kind;
    struct str type; /* "contentBlockDelta", "chunk"; of an exception "throttlingException" */
    struct str payload;
    int status; /* of an exception: the HTTP status that says the same */
};

/* Sorts a message of the stream by its headers. Views into the message. */
struct bedrock_event bedrock_event(const struct eventstream_message *m);

/* The status for an exception's name, with or without namespace ("com.amazon…#ThrottlingException",
 * "ThrottlingException:http://…" as in x-amzn-errortype); 500 for an unknown one. */
int bedrock_status(struct str exception);

/* The bytes in a "chunk" event's payload {"bytes": "base64"}: the model's own JSON, appended to
 * out. -EBADMSG when it is malformed. */
int bedrock_chunk(struct str payload, struct buf *out);

#endif
