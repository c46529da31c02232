/*
 * Cohere: chat and rerank are its own API (/v2); embeddings, and chat in OpenAI's dialect, are its
 * compatibility API.
 */
#include "providers/quirks_int.h"

int cohere_target(const struct upstream *u, const struct provider_face *face, struct exchange *x,
    const struct provider_asked *a, struct buf *out)
{
    enum endpoint_kind kind = a->match.endpoint->kind;
    (void)x;

    if (face->dialect == DIALECT_COHERE) {
        buf_addstr(out, u->base_path);
        buf_addstr(out, kind == KIND_RERANK ? STR("/v2/rerank") : STR("/v2/chat"));
        return 0;
    }
    target_path(u, face->prefix, a, out);
    target_query(a, out);
    return 0;
}
