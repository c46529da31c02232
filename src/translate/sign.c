/*
 * Signatures in foreign dialects. A signature that a client of another dialect is to keep for us is
 * written as base64 whatever it holds, behind eight characters that say whose it is: base64 of
 * "smflw" and a letter. All dialects take that: Gemini's SDKs read a signature as base64 and write
 * the bytes again, perhaps in the other alphabet or without padding, so both are read here.
 *
 * A conversation may go on at a provider of the client's own dialect, whose bytes pass as they are
 * otherwise. Whether a body holds such a thing is asked of every call, so only what stands beside
 * quotes is looked at: 30 KB of a conversation take about a microsecond.
 */
#include "translate/canon.h"

#include "base/macros.h"
#include "crypto/encode.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#define MARK_N   ((size_t)8)
#define MARK     STR("\"c21mbHd")   /* all marks, as values begin */
#define THOUGHT  STR("__thought__") /* an id, this, a signature of Gemini's */
#define ID_BYTES ((size_t)512)      /* within which it begins */

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

/* --- in a body --- */

static size_t skip_blanks(struct str s, size_t at)
{
    while (at < s.n && strchr(" \t\r\n", s.p[at]))
        at++;
    return at;
}

/* The quote at `at` ends the name of an id, in whose value a signature stands. */
static bool has_thought(struct str body, size_t at)
{
    if (at < 2 || body.p[at - 1] != 'd' || (body.p[at - 2] | 0x20) != 'i')
        return false;
    size_t colon = skip_blanks(body, at + 1);
    size_t quote = skip_blanks(body, colon + 1);
    if (quote >= body.n || body.p[colon] != ':' || body.p[quote] != '"')
        return false;
    struct str value = str_to(str_from(body, quote + 1), ID_BYTES);
    ptrdiff_t end = str_chr(value, '"');
    return str_find(end < 0 ? value : str_to(value, (size_t)end), THOUGHT) > 0;
}

static bool is_sign(struct str body, size_t quote)
{
    return str_starts(str_from(body, quote), MARK) || has_thought(body, quote);
}

#ifdef __SSE2__
static unsigned places_of(struct str s, size_t at, char c)
{
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)(s.p + at));
    return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, _mm_set1_epi8(c)));
}

/* Looks at sixteen places at once; returns how far it came. */
static size_t look_at_blocks(struct str body, size_t at, bool *ret)
{
    for (*ret = false; !*ret && at + 16 < body.n; at += 16) {
        unsigned quotes = places_of(body, at, '"');
        if (!quotes) { /* in long texts they are far apart */
            const char *next = memchr(body.p + at + 16, '"', body.n - at - 16);
            if (!next)
                return body.n;
            at = (size_t)(next - body.p) - 16;
            continue;
        }
        quotes &= places_of(body, at + 1, 'c') | places_of(body, at - 1, 'd');
        for (; quotes && !*ret; quotes &= quotes - 1)
            *ret = is_sign(body, at + (unsigned)__builtin_ctz(quotes));
    }
    return at;
}
#endif

bool canon_sign_is_in(struct str body)
{
    size_t at = 1; /* behind the bracket */
    bool found = false;
#ifdef __SSE2__
    at = look_at_blocks(body, at, &found);
#endif
    for (; !found && at < body.n; at++)
        found = body.p[at] == '"' && is_sign(body, at);
    return found;
}

void canon_sign_watch(struct json_set *set, uint8_t mark)
{
    static const struct json_word words[] = {
        {STR_INIT("signature"), false}, /* Claude's, Converse's, reasoning_details' */
        {STR_INIT("data"), false},      /* thinking that is hidden, of the same */
        {STR_INIT("encrypted_content"), false},
        {STR_INIT("redactedContent"), false},
        {STR_INIT("thoughtSignature"), false},
        {STR_INIT("thought_signature"), false},
        {STR_INIT("id"), false},
        {STR_INIT("call_id"), false},
        {STR_INIT("tool_call_id"), false},
        {STR_INIT("tool_use_id"), false},
        {STR_INIT("toolUseId"), false},
    };

    json_set_add(set, words, ARRAY_LEN(words), mark);
}
