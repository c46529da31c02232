/*
 * What the files of wire_ollama share: Ollama's own chat (/api/chat), spoken by the provider alone.
 * Its parameters stand in `options`, its stream is a JSON text a line, and its calls of tools have
 * no ids: they are made here, and results name their tool.
 */
#ifndef SF_TRANSLATE_OLLAMA_INT_H
#define SF_TRANSLATE_OLLAMA_INT_H

#include "translate/native_int.h"

int ollama_write_messages(struct canon_call *c, const struct canon_request *q, struct jw *w);

int ollama_write_request(struct canon_call *c, const struct canon_request *q, struct buf *out);
int ollama_read_reply(struct canon_call *c, struct str body, struct canon_reply *ret);
int ollama_read_event(struct canon_stream *s, struct str event, struct str data);

#endif
