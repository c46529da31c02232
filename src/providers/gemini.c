/* Google Gemini: the version segment is the client's own (v1, v1beta, v1alpha). */
#include "providers/quirks_int.h"

int gemini_target(
    const struct upstream *u, const struct provider_face *face, struct exchange *x, struct buf *out)
{
    if (face->dialect != DIALECT_GEMINI) {
        target_path(u, face->prefix, x, out);
        target_query(x, out);
        return 0;
    }
    buf_addstr(out, u->base_path);
    buf_addstr(out, face->prefix);
    buf_addc(out, '/');
    buf_addstr(out, x->match.version.n ? x->match.version : STR("v1beta"));
    buf_addc(out, '/');
    target_rest(x, out);
    target_query(x, out);
    return 0;
}
