/*
 * Counting tokens locally, where a provider reports none: exactly for models whose BPE ranks are
 * installed (cl100k and o200k families), estimated elsewhere.
 */
#ifndef SF_LLM_TOKENS_H
#define SF_LLM_TOKENS_H

#include "base/str.h"
#include "llm/endpoint.h"

/* Where the rank files are ("build/share"); called once at start. They are mapped on first use. */
void tokens_set_share(const char *dir);

/* False while the model's ranks are not mapped yet: the first count does that, which takes
 * milliseconds. */
bool tokens_ready(struct str model);

/* Tokens of a text as this model counts them. *ret_exact (may be NULL) says whether ranks were
 * used. Costs about 50 µs a KiB: large texts belong on the offload pool. */
uint64_t tokens_count(struct str model, struct str text, bool *ret_exact);

/* The same for a text that goes on: counts its first *ret_used bytes, so that the count of the rest
 * later adds up to what the whole text has. */
uint64_t tokens_count_begun(struct str model, struct str text, size_t *ret_used);

/* Input tokens of a whole request body: its texts (content, input, prompt, tools, ...) plus what
 * the chat format adds a message. Images and files are not text and are counted at a flat rate. */
uint64_t tokens_of_request(struct str model, enum endpoint_kind kind, struct str body);

#endif
