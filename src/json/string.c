/*
 * The inside of JSON strings. Runs of plain ASCII are skipped 32 bytes at a time with AVX2 where
 * the processor has it, 16 with SSE2, 8 in general registers elsewhere; what ends a run (an escape,
 * UTF-8, the closing quote, a fault) is looked at byte by byte.
 *
 * No load goes beyond the text: the caller's view may end at the edge of a mapped page.
 */
#include "json/scan_int.h"
#ifdef __x86_64__
#include <immintrin.h>
#endif

#define EACH_BYTE(b) (0x0101010101010101ull * (b))

/* High bit set in some byte of the result when a byte of v ends a plain run. The lowest flag is
 * exact, later ones may be false because of borrows; only "none at all" is relied on. */
static inline uint64_t stops_in_word(uint64_t v)
{
    uint64_t quote = v ^ EACH_BYTE('"'), slash = v ^ EACH_BYTE('\\');
    uint64_t hit = (quote - EACH_BYTE(1)) | (slash - EACH_BYTE(1)) | (v - EACH_BYTE(0x20)) | v;
    return hit & EACH_BYTE(0x80);
}

/* These three return the first byte that ends the run, or end. */
static inline const uint8_t *skip_words(const uint8_t *p, const uint8_t *end)
{
    for (uint64_t v; end - p >= 8; p += 8) {
        memcpy(&v, p, 8);
        if (stops_in_word(v))
            break;
    }
    while (p < end && !string_stop(*p))
        p++;
    return p;
}

#ifdef __x86_64__
static inline const uint8_t *skip_sse2(const uint8_t *p, const uint8_t *end)
{
    const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\');
    const __m128i space = _mm_set1_epi8(0x20);
    for (; end - p >= 16; p += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)p);
        __m128i stop = _mm_or_si128(_mm_cmpeq_epi8(v, quote),
            _mm_or_si128(_mm_cmpeq_epi8(v, slash), _mm_cmplt_epi8(v, space)));
        unsigned at = (unsigned)_mm_movemask_epi8(stop);
        if (at)
            return p + __builtin_ctz(at);
    }
    return skip_words(p, end);
}

__attribute__((target("avx2"))) static inline const uint8_t *skip_avx2(
    const uint8_t *p, const uint8_t *end)
{
    const __m256i quote = _mm256_set1_epi8('"'), slash = _mm256_set1_epi8('\\');
    const __m256i space = _mm256_set1_epi8(0x20);
    for (; end - p >= 32; p += 32) {
        __m256i v = _mm256_loadu_si256((const __m256i *)p);
        __m256i stop = _mm256_or_si256(_mm256_cmpeq_epi8(v, quote),
            _mm256_or_si256(_mm256_cmpeq_epi8(v, slash), _mm256_cmpgt_epi8(space, v)));
        unsigned at = (unsigned)_mm256_movemask_epi8(stop);
        if (at)
            return p + __builtin_ctz(at);
    }
    return skip_sse2(p, end);
}
#endif

/* What a backslash and one letter stand for. */
static const uint8_t simple_escape[256] = {['"'] = '"',
    ['\\'] = '\\',
    ['/'] = '/',
    ['b'] = '\b',
    ['f'] = '\f',
    ['n'] = '\n',
    ['r'] = '\r',
    ['t'] = '\t'};

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The four digits of "\uXXXX" at p, or negative. */
static int32_t hex_escape(const uint8_t *p, const uint8_t *end)
{
    if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
        return -1;
    int32_t v = 0;
    for (int i = 2; i < 6; i++) {
        int d = hex_digit(p[i]);
        if (d < 0)
            return -1;
        v = v << 4 | d;
    }
    return v;
}

int32_t escape_decode(const uint8_t *p, const uint8_t *end, const uint8_t **ret_end)
{
    if (end - p < 2)
        return -1;
    *ret_end = p + 2;
    if (p[1] != 'u')
        return simple_escape[p[1]] ? simple_escape[p[1]] : -1;
    int32_t high = hex_escape(p, end);
    if (high < 0)
        return -1;
    *ret_end = p + 6;
    if (high < 0xd800 || high > 0xdfff)
        return high;
    int32_t low = hex_escape(p + 6, end);
    if (high > 0xdbff || low < 0xdc00 || low > 0xdfff)
        return 0xfffd;
    *ret_end = p + 12;
    return 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
}

unsigned utf8_encode(uint32_t c, uint8_t out[static 4])
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    unsigned n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (unsigned i = n - 1; i > 0; i--, c >>= 6)
        out[i] = (uint8_t)(0x80 | (c & 0x3f));
    out[0] = (uint8_t)(c | (n == 2 ? 0xc0 : n == 3 ? 0xe0 : 0xf0));
    return n;
}

bool escaped_eq(struct str raw, struct str name)
{
    const uint8_t *p = (const uint8_t *)raw.p, *end = p + raw.n;
    const char *q = name.p, *q_end = q + name.n;
    while (p < end) {
        uint8_t out[4] = {*p};
        unsigned n = 1;
        if (*p == '\\') {
            int32_t c = escape_decode(p, end, &p);
            if (c < 0)
                return false;
            n = utf8_encode((uint32_t)c, out);
        } else {
            p++;
        }
        if ((size_t)(q_end - q) < n || memcmp(q, out, n) != 0)
            return false;
        q += n;
    }
    return q == q_end;
}

static int32_t fold(int32_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c | 0x20;
    return c == 0x17f ? 's' : c == 0x212a ? 'k' : c;
}

/* The character at *p of a valid string, which moves on; of UTF-8 beyond the two signs that fold
 * the single bytes will do. */
static int32_t next_folded(const uint8_t **p, const uint8_t *end)
{
    const uint8_t *at = *p;
    if (*at == '\\')
        return fold(escape_decode(at, end, p));
    if (end - at >= 2 && at[0] == 0xc5 && at[1] == 0xbf) {
        *p = at + 2;
        return 's';
    }
    if (end - at >= 3 && at[0] == 0xe2 && at[1] == 0x84 && at[2] == 0xaa) {
        *p = at + 3;
        return 'k';
    }
    *p = at + 1;
    return fold(*at);
}

bool folded_eq(struct str raw, struct str name)
{
    const uint8_t *p = (const uint8_t *)raw.p, *end = p + raw.n;
    for (size_t i = 0; i < name.n; i++)
        if (p == end || next_folded(&p, end) != fold((unsigned char)name.p[i]))
            return false;
    return p == end;
}

static inline bool is_tail(uint8_t c)
{
    return (c & 0xc0) == 0x80;
}

/* The length of the UTF-8 sequence at p, whose first byte is not ASCII; 0 when it is overlong, a
 * surrogate, beyond U+10FFFF, cut off or no sequence at all (Unicode, table 3-7). */
static inline unsigned utf8_sequence(const uint8_t *p, const uint8_t *end)
{
    uint8_t c = p[0];
    size_t left = (size_t)(end - p);
    if (c < 0xe0)
        return c >= 0xc2 && left >= 2 && is_tail(p[1]) ? 2 : 0;
    if (c < 0xf0) {
        uint8_t least = c == 0xe0 ? 0xa0 : 0x80, most = c == 0xed ? 0x9f : 0xbf;
        return left >= 3 && p[1] >= least && p[1] <= most && is_tail(p[2]) ? 3 : 0;
    }
    uint8_t least = c == 0xf0 ? 0x90 : 0x80, most = c == 0xf4 ? 0x8f : 0xbf;
    bool ok = c <= 0xf4 && left >= 4 && p[1] >= least && p[1] <= most;
    return ok && is_tail(p[2]) && is_tail(p[3]) ? 4 : 0;
}

static const uint8_t *read_utf8(struct scanner *s, const uint8_t *p)
{
    while (p < s->end && *p >= 0x80) {
        unsigned n = utf8_sequence(p, s->end);
        if (n == 0)
            return scan_fail(s, p, "invalid UTF-8");
        p += n;
    }
    return p;
}

/* Whether a surrogate has its other half does not matter here. */
static const uint8_t *read_escape(struct scanner *s, const uint8_t *p)
{
    s->escaped = true;
    if (s->end - p < 2)
        return scan_fail(s, s->end, "string is not closed");
    if (p[1] != 'u')
        return simple_escape[p[1]] ? p + 2 : scan_fail(s, p, "invalid escape");
    for (int i = 2; i < 6; i++) {
        if (p + i == s->end)
            return scan_fail(s, s->end, "string is not closed");
        if (hex_digit(p[i]) < 0)
            return scan_fail(s, p, "invalid \\u escape");
    }
    return p + 6;
}

/* What ended a plain run, other than the closing quote. */
static const uint8_t *read_special(struct scanner *s, const uint8_t *p)
{
    if (p == s->end)
        return scan_fail(s, p, "string is not closed");
    if (*p == '\\')
        return read_escape(s, p);
    if (*p >= 0x80)
        return read_utf8(s, p);
    return scan_fail(s, p, "control character in string");
}

/* The body of a reader: one for each way to skip, so that the skipping is inlined into the loop. */
#define READ_STRING(s, p, skip)                                                                    \
    for (;;) {                                                                                     \
        p = skip(p, s->end);                                                                       \
        if (p < s->end && *p == '"')                                                               \
            return p + 1;                                                                          \
        if (s->end - p >= 2 && *p == '\\' && simple_escape[p[1]]) {                                \
            s->escaped = true;                                                                     \
            p += 2;                                                                                \
            continue;                                                                              \
        }                                                                                          \
        p = read_special(s, p);                                                                    \
        if (!p)                                                                                    \
            return NULL;                                                                           \
    }

const uint8_t *string_words(struct scanner *s, const uint8_t *p)
{
    READ_STRING(s, p, skip_words);
}

#ifdef __x86_64__
const uint8_t *string_sse2(struct scanner *s, const uint8_t *p)
{
    READ_STRING(s, p, skip_sse2);
}

__attribute__((target("avx2"))) const uint8_t *string_avx2(struct scanner *s, const uint8_t *p)
{
    READ_STRING(s, p, skip_avx2);
}
#endif

string_fn *string_reader(void)
{
#ifdef __x86_64__
    return __builtin_cpu_supports("avx2") ? string_avx2 : string_sse2;
#else
    return string_words;
#endif
}
