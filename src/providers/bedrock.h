/*
 * Amazon Bedrock's runtime: where its operations are. Requests are signed by providers/sigv4.h
 * (service "bedrock"), or carry a Bedrock API key as a bearer token; what it answers, and how it
 * says that something failed, is in translate/converse.h.
 */
#ifndef SF_PROVIDERS_BEDROCK_H
#define SF_PROVIDERS_BEDROCK_H

#include "base/buf.h"

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

#endif
