/*
 * What the files of wire_cohere share: Cohere's v2 chat, spoken by the provider alone.
 *
 *   cohere_request.c    canonical ──▶ body: parameters, tools
 *   cohere_messages.c   canonical ──▶ body: messages, documents
 *   cohere_reply.c      reply ──▶ canonical
 *   cohere_stream.c     stream ──▶ canonical
 */
#ifndef SF_TRANSLATE_COHERE_INT_H
#define SF_TRANSLATE_COHERE_INT_H

#include "base/limits.h"
#include "translate/native_int.h"

/* "messages", and "documents" where messages hold any; *ret_documents says so. */
int cohere_write_messages(
    struct canon_call *c, const struct canon_request *q, struct jw *w, bool *ret_documents);
bool cohere_has_documents(const struct canon_request *q);

/* Names of tools as Cohere takes them: [A-Za-z0-9_], no digit first. Others are changed, the same
 * each time; and back, by the request's tools. */
struct str cohere_name_out(struct canon_call *c, struct str name);
struct str cohere_name_in(struct canon_call *c, struct str shown);

void cohere_read_usage(yyjson_val *v, struct usage *u);
/* FINISH_ERROR for ERROR and TIMEOUT: the answer failed. */
enum canon_finish cohere_finish_in(struct str reason);
int cohere_error_status(struct str reason);
/* A citation of text: its offsets are characters there and bytes here. */
struct canon_citation *cohere_read_citation(struct arena *a, yyjson_val *v, struct str text);
/* Token probabilities in OpenAI's shape; p NULL = none, or not one for each token. */
struct str cohere_logprobs(struct arena *a, yyjson_val *list);

int cohere_write_request(struct canon_call *c, const struct canon_request *q, struct buf *out);
int cohere_read_reply(struct canon_call *c, struct str body, struct canon_reply *ret);
int cohere_read_event(struct canon_stream *s, struct str event, struct str data);

#endif
