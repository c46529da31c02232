/*
 * Deepgram (deepgram-sdk 7): sound to text at /v1/listen, text to sound at /v1/speak. Options stand
 * in the query, which the translation made (translate/transcription.h, translate/speech.h); the
 * credential is "Authorization: Token …", as the provider table says.
 */
#include "providers/quirks_int.h"

int deepgram_target(const struct upstream *u, const struct provider_face *face, struct exchange *x,
    const struct provider_asked *a, struct buf *out)
{
    bool speaks = a->match.endpoint->kind == KIND_SPEECH;

    (void)x;
    buf_addstr(out, u->base_path);
    buf_addstr(out, face->prefix);
    buf_addstr(out, speaks ? STR("/speak") : STR("/listen"));
    target_query(a, out);
    return 0;
}
