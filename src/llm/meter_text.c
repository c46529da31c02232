/*
 * The text that a model put out, kept for local counting while no usage was reported, and the one
 * pass over an event's or reply's bytes that finds it.
 *
 * Whoever feeds a stream to the meter counts the kept text now and then (meter_text_due), so that a
 * stream of any length holds a few KiB of it.
 */
#include "llm/meter_int.h"

#include "base/limits.h"
#include "base/macros.h"
#include "json/scan.h"
#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* No more of it than may be kept; a huge piece is not worth its memory when a report is to come. */
static void keep(struct meter *m, struct str literal)
{
    size_t max = m->null_seen ? MIN(m->text_max, METER_TEXT_LARGE) : m->text_max;
    ptrdiff_t n = -1;

    if (m->text.n + literal.n <= max && buf_reserve(&m->text, literal.n) == 0)
        n = json_unescape(literal, m->text.p + m->text.n);
    if (n > 0)
        m->text.n += (size_t)n;
    m->output_bytes += n >= 0 ? (size_t)n : literal.n - 2;
}

void meter_text_add(struct meter *m, struct str text)
{
    size_t max = m->null_seen ? MIN(m->text_max, METER_TEXT_LARGE) : m->text_max;

    if (m->usage.source != USAGE_UNKNOWN)
        return;
    if (m->text.n + text.n <= max)
        buf_addstr(&m->text, text);
    m->output_bytes += text.n;
}

/* The offset of the quote that ends the string whose first byte is at `at`; data.n without one. */
static size_t string_end(struct str data, size_t at)
{
    const char *quote = memchr(data.p + at, '"', data.n - at);
    const char *back = quote ? memchr(data.p + at, '\\', (size_t)(quote - data.p) - at) : NULL;

    if (quote && !back)
        return (size_t)(quote - data.p);
    at = back ? (size_t)(back - data.p) : data.n;
    while (at < data.n && data.p[at] != '"')
        at += data.p[at] == '\\' ? 2 : 1;
    return at;
}

/* at is behind a text's key. Returns the place to go on at. */
static size_t take_text(struct meter *m, struct str data, size_t at)
{
    while (at < data.n && (data.p[at] == ' ' || data.p[at] == ':'))
        at++;
    if (at >= data.n || data.p[at] != '"')
        return at;
    size_t from = at, end = string_end(data, at + 1);
    if (end >= data.n)
        return data.n;
    keep(m, str_at(data.p + from, end + 1 - from));
    return end;
}

/* The key that stands at a quote; n when there is none. */
static unsigned key_at(struct str data, size_t at, const struct meter_key *keys, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct str k = keys[i].quoted;
        if (data.n - at >= k.n && data.p[at + 1] == k.p[1] && memcmp(data.p + at, k.p, k.n) == 0)
            return i;
    }
    return n;
}

#ifdef __SSE2__
static inline __m128i load(const char *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

/* Which of the 16 bytes at p are quotes with the first two letters of a key behind. */
static inline __attribute__((always_inline)) unsigned key_begins(
    const char *p, const struct meter_key *keys, unsigned n)
{
    __m128i one = load(p + 1), two = load(p + 2), hit = _mm_setzero_si128();

    for (unsigned i = 0; i < n; i++)
        hit = _mm_or_si128(hit, _mm_and_si128(_mm_cmpeq_epi8(one, load(keys[i].first)),
                                    _mm_cmpeq_epi8(two, load(keys[i].second))));
    hit = _mm_and_si128(hit, _mm_cmpeq_epi8(load(p), _mm_set1_epi8('"')));
    return (unsigned)_mm_movemask_epi8(hit);
}
#endif

/* The first key at or behind *at, which moves to it; n when there is none. */
static inline __attribute__((always_inline)) unsigned next_key(
    struct str data, size_t *at, const struct meter_key *keys, unsigned n)
{
    size_t i = *at;
    unsigned k;

#ifdef __SSE2__
    for (; i + 18 <= data.n; i += 16)
        for (unsigned hits = key_begins(data.p + i, keys, n); hits; hits &= hits - 1)
            if ((k = key_at(data, *at = i + (unsigned)__builtin_ctz(hits), keys, n)) < n)
                return k;
#endif
    for (; i < data.n; i++)
        if (data.p[i] == '"' && (k = key_at(data, *at = i, keys, n)) < n)
            return k;
    return n;
}

static inline __attribute__((always_inline)) struct meter_found look(
    struct meter *m, struct str data, const struct meter_key *keys, unsigned n)
{
    struct meter_found f = {0};
    bool wanted = m->usage.source == USAGE_UNKNOWN;

    for (size_t at = 0; at < data.n;) {
        unsigned k = next_key(data, &at, keys, n);
        if (k == n)
            break;
        f.repeats |= f.seen & 1u << k;
        f.seen |= 1u << k;
        f.last[k] = at;
        at += keys[k].quoted.n;
        if (keys[k].is_text && wanted)
            at = take_text(m, data, at);
    }
    return f;
}

/* One loop for each number of keys, so that what is compared with stays in registers. */
struct meter_found meter_look(
    struct meter *m, struct str data, const struct meter_key *keys, unsigned n)
{
    switch (n) {
    case 1:
        return look(m, data, keys, 1);
    case 2:
        return look(m, data, keys, 2);
    case 3:
        return look(m, data, keys, 3);
    default:
        must(n == 4);
        return look(m, data, keys, 4);
    }
}

/* A buffer as small as what it holds. */
static void shrink(struct buf *b)
{
    struct buf small;

    buf_init(&small, b->max);
    if (buf_addstr(&small, buf_str(b)) < 0)
        return;
    buf_free(b);
    *b = small;
}

void meter_text_counted(struct meter *m, size_t bytes, uint64_t tokens)
{
    must(bytes <= m->text.n);
    m->text_tokens += tokens;
    m->text_counted += bytes;
    buf_drop(&m->text, bytes);
    m->text_due = MAX(METER_TEXT_DUE, 2 * m->text.n);
    if (m->null_seen && (m->text.n >= METER_TEXT_DUE || m->text_counted >= METER_TEXT_SAMPLE)) {
        m->text.n = MIN(m->text.n, METER_TEXT_DUE);
        m->text_due = SIZE_MAX;
        m->text_max = 0;
    }
    if (m->text.cap > METER_TEXT_KEPT && m->text.n < m->text.cap / 2)
        shrink(&m->text);
}
