/* NVIDIA's NIM: OpenAI's dialect but for reranking, which is /v1/ranking with a body of its own. */
#include "providers/quirks_int.h"

int nim_target(const struct upstream *u, const struct provider_face *face, struct exchange *x,
    const struct provider_asked *a, struct buf *out)
{
    (void)x;
    if (a->match.endpoint->kind == KIND_RERANK) {
        buf_addstr(out, u->base_path);
        buf_addstr(out, STR("/v1/ranking"));
        return 0;
    }
    target_path(u, face->prefix, a, out);
    target_query(a, out);
    return 0;
}
