/* Ollama: its own chat beside the endpoints that are compatible with others'. */
#include "providers/quirks_int.h"

int ollama_target(const struct upstream *u, const struct provider_face *face, struct exchange *x,
    const struct provider_asked *a, struct buf *out)
{
    (void)x;
    if (face->dialect == DIALECT_OLLAMA) {
        buf_addstr(out, u->base_path);
        buf_addstr(out, STR("/api/chat"));
        return 0;
    }
    target_path(u, face->prefix, a, out);
    target_query(a, out);
    return 0;
}
