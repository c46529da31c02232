/*
 * Counting the tokens of a prompt without an answer: /v1/messages/count_tokens, Gemini's
 * :countTokens, /v1/responses/input_tokens, Bedrock's count-tokens. A count's request is a call's
 * request in an envelope or without some members, so that the wires do the work:
 *
 *   client's body ──count_read_request──▶ canonical ──count_write_request──▶ upstream's body
 *   upstream's body ──count_read_reply──▶ tokens ──count_write_reply──▶ client's body
 *
 * Where a target counts nothing, the gateway counts locally (llm/tokens.h) and says so.
 */
#ifndef SF_TRANSLATE_COUNT_H
#define SF_TRANSLATE_COUNT_H

#include "translate/wire.h"

/* Whether providers of this wire count. */
bool count_is_served(const struct wire *to);
/* The wire of a client's endpoint that counts; NULL for others. */
const struct wire *count_wire_for(enum dialect d, enum endpoint_kind k, struct str path);

int count_read_request(
    struct canon_call *c, const struct wire *from, struct str body, struct canon_request *ret);
/* -ENOTSUP where the target does not count. What has no weight in tokens (temperature) is left out
 * without being a loss. */
int count_write_request(
    struct canon_call *c, const struct wire *to, const struct canon_request *q, struct buf *out);
int count_read_reply(
    struct canon_call *c, const struct wire *to, struct str body, uint64_t *ret_tokens);
int count_write_reply(
    struct canon_call *c, const struct wire *from, uint64_t tokens, struct buf *out);

#endif
