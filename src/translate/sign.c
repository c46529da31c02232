/*
 * Signatures in foreign dialects. A signature that a client of another dialect is to keep for us is
 * written as base64 whatever it holds, behind eight characters that say whose it is: base64 of
 * "smflw" and a letter. All dialects take that: Gemini's SDKs read a signature as base64 and write
 * the bytes again, perhaps in the other alphabet or without padding, so both are read here.
 */
#include "translate/canon.h"

#include "base/macros.h"
#include "crypto/encode.h"

#define MARK_N ((size_t)8)

static const struct str marks[] = {
    [MAKER_NONE] = STR_INIT("c21mbHdO"),
    [MAKER_ANTHROPIC] = STR_INIT("c21mbHdB"),
    [MAKER_GEMINI] = STR_INIT("c21mbHdH"),
    [MAKER_OPENAI] = STR_INIT("c21mbHdP"),
    [MAKER_OTHER] = STR_INIT("c21mbHdY"),
};

struct str canon_sign_out(
    struct canon_call *c, enum canon_maker native, enum canon_maker maker, struct str signature)
{
    if (maker == native || !signature.n)
        return signature;
    size_t n = MARK_N + BASE64_SIZE(signature.n);
    char *p = arena_alloc(c->arena, n);
    if (!p) {
        canon_no_room(c);
        return STR_NONE;
    }
    memcpy(p, marks[maker].p, MARK_N);
    base64_encode(signature, p + MARK_N);
    return str_at(p, n);
}

static bool marked_by(struct str shown, enum canon_maker *ret)
{
    for (unsigned m = 0; m < ARRAY_LEN(marks); m++) {
        if (!str_starts(shown, marks[m]))
            continue;
        *ret = (enum canon_maker)m;
        return true;
    }
    return false;
}

/* In either alphabet, padded or not; p NULL when it is no base64. */
static struct str decode_any(struct canon_call *c, struct str text)
{
    while (text.n && text.p[text.n - 1] == '=')
        text.n--;
    char *url = arena_alloc(c->arena, text.n + BASE64_MAX_BYTES(text.n));
    if (!url)
        return STR_NONE;
    for (size_t i = 0; i < text.n; i++)
        url[i] = text.p[i] == '+' ? '-' : text.p[i] == '/' ? '_' : text.p[i];
    ssize_t n = base64url_decode(str_at(url, text.n), url + text.n);
    return n < 0 ? STR_NONE : str_at(url + text.n, (size_t)n);
}

enum canon_maker canon_sign_in(
    struct canon_call *c, enum canon_maker native, struct str shown, struct str *ret_own)
{
    enum canon_maker maker;
    *ret_own = shown;
    if (!shown.n)
        return MAKER_NONE;
    if (!marked_by(shown, &maker))
        return native;
    struct str own = decode_any(c, str_from(shown, MARK_N));
    if (!own.p)
        return native;
    *ret_own = own;
    return maker;
}
