/*
 * What the files of wire_replicate share: Replicate's predictions, spoken by the provider alone. A
 * language model there takes one prompt, so the conversation is written down as a dialogue; what
 * cannot be said so (tools, several pictures) is refused.
 *
 * A prediction may not be over when it is answered, even with "prefer: wait": then read_reply says
 * -EINPROGRESS, and the caller asks again at the answer's urls.get (providers/replicate.h).
 */
#ifndef SF_TRANSLATE_REPLICATE_INT_H
#define SF_TRANSLATE_REPLICATE_INT_H

#include "translate/native_int.h"

int replicate_write_request(struct canon_call *c, const struct canon_request *q, struct buf *out);
int replicate_read_reply(struct canon_call *c, struct str body, struct canon_reply *ret);
int replicate_read_event(struct canon_stream *s, struct str event, struct str data);

#endif
