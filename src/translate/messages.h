/*
 * Anthropic's dialect in its three envelopes. Messages are the same everywhere; the body around
 * them differs: Anthropic names the model in it, Vertex AI (rawPredict, streamRawPredict) and
 * Bedrock (InvokeModel) in the path, and they want anthropic_version there. Bedrock also takes
 * anthropic_beta in the body, says by the path whether to stream, and streams in AWS frames whose
 * payload is {"bytes": base64 of the event}.
 *
 * wire_messages, wire_messages_vertex and wire_messages_bedrock read and write them, as upstreams
 * and as front doors. A front door's caller sets what the path says: q->model and q->stream.
 */
#ifndef SF_TRANSLATE_MESSAGES_H
#define SF_TRANSLATE_MESSAGES_H

#include "translate/wire.h"

enum messages_form { MESSAGES_PLAIN, MESSAGES_VERTEX, MESSAGES_BEDROCK };

/* Whether two wires differ by their envelope alone. */
bool messages_same_dialect(const struct wire *a, const struct wire *b);

/* A body of one envelope as another wants it: every member passes byte for byte but those of the
 * envelope. c->model and c->betas are used where the new one names them. body is valid JSON. */
int messages_reform(
    struct canon_call *c, struct str body, enum messages_form to, bool stream, struct buf *out);

#endif
