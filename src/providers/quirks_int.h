/*
 * What providers' own files give to the table, and the helpers they share.
 */
#ifndef SF_PROVIDERS_QUIRKS_INT_H
#define SF_PROVIDERS_QUIRKS_INT_H

#include "providers/provider.h"

typedef int provider_target_fn(const struct upstream *u, const struct provider_face *face,
    struct exchange *x, struct buf *out);

provider_target_fn azure_target, cohere_target, gemini_target, vertex_target;
bool gemini_refused_key(int status, struct str body);
extern const struct str azure_options[], vertex_options[], bedrock_options[];

/* base path + prefix + "/" + the canonical path with the upstream's model in it. */
void target_path(const struct upstream *u, struct str prefix, struct exchange *x, struct buf *out);
/* The canonical path below the version, with the upstream's model name in it. */
void target_rest(struct exchange *x, struct buf *out);
/* "?query" without the parameter that carries the caller's key; nothing when it is empty. */
void target_query(struct exchange *x, struct buf *out);
/* Percent-encodes all but unreserved characters and those in keep. */
void put_encoded(struct buf *out, struct str s, const char *keep);

#endif
