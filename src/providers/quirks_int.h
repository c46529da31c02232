/*
 * What providers' own files give to the table, and the helpers they share.
 */
#ifndef SF_PROVIDERS_QUIRKS_INT_H
#define SF_PROVIDERS_QUIRKS_INT_H

#include "providers/provider.h"

typedef int provider_target_fn(const struct upstream *u, const struct provider_face *face,
    struct exchange *x, const struct provider_asked *a, struct buf *out);
typedef int provider_sign_fn(const struct upstream *u, const struct provider_face *face,
    struct exchange *x, struct str method, struct str target, const struct iovec *body,
    unsigned body_n, struct buf *out);

provider_target_fn azure_target, bedrock_call_target, cohere_target, deepgram_target, gemini_target,
    nim_target, ollama_target, replicate_call_target, vertex_target;
provider_sign_fn bedrock_sign, replicate_sign;
bool vertex_face_fits(const struct provider_face *face, struct str model);
int bedrock_base(const struct upstream *u, struct buf *out);
bool gemini_refused_key(int status, struct str body);
extern const struct str azure_options[], vertex_options[], bedrock_options[];

/* base path + prefix + "/" + the canonical path with the upstream's model in it. */
void target_path(
    const struct upstream *u, struct str prefix, const struct provider_asked *a, struct buf *out);
/* The canonical path below the version, with the upstream's model name in it. */
void target_rest(const struct provider_asked *a, struct buf *out);
/* "?query" without the parameter that carries the caller's key; nothing when it is empty. */
void target_query(const struct provider_asked *a, struct buf *out);
/* The credential of the attempt, or the caller's own; empty where there is none. */
struct str credential_of(const struct exchange *x);
/* "name: scheme key\r\n" without a printing function; -EINVAL when key cannot stand in a field. */
int put_key(struct buf *out, struct str name, struct str scheme, struct str key);
/* Percent-encodes all but unreserved characters and those in keep. */
void put_encoded(struct buf *out, struct str s, const char *keep);

#endif
