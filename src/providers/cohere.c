/* Cohere: rerank is its own API; chat and embeddings in OpenAI's dialect are its compatibility API.
 */
#include "providers/quirks_int.h"

int cohere_target(
    const struct upstream *u, const struct provider_face *face, struct exchange *x, struct buf *out)
{
    bool rerank = x->match.endpoint->kind == KIND_RERANK;

    target_path(u, rerank ? STR("/v2") : face->prefix, x, out);
    target_query(x, out);
    return 0;
}
