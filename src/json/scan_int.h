/*
 * Shared by the parts of json_scan(): the scanner's state, the string reader (string.c) and the
 * watch that notes wanted members (watch.c). Everything works on views of the caller's text and on
 * the caller's stack; nothing allocates.
 */
#ifndef SF_JSON_SCAN_INT_H
#define SF_JSON_SCAN_INT_H

#include "base/limits.h"
#include "base/macros.h"
#include "json/scan.h"
#ifdef __SSE2__
#include <emmintrin.h>
#endif

struct scanner;

/* Reads on inside a string from p; returns the byte behind the closing quote or NULL. */
typedef const uint8_t *string_fn(struct scanner *s, const uint8_t *p);

/*
 * Level 0 is the top object, level 1 an object in it. Sets of wants are bit masks, so the member
 * that is being read costs nothing at its end when nobody asked for it.
 */
struct watch {
    const struct json_set *set;
    struct json_span *spans;
    uint64_t open[2]; /* wants whose value is being read */
    uint64_t inside;  /* two-part wants whose first part names the member being read */
    uint64_t parents; /* two-part wants whose first part has been seen */
    unsigned marks;   /* of the words that were noticed */
};

struct scanner {
    const uint8_t *start, *end;
    string_fn *string_rest;
    struct json_error err;
    bool escaped;   /* the last string had a backslash in it */
    unsigned depth; /* containers that are open */
    /* Index 1 is the top container. */
    uint8_t closer[LIMIT_JSON_DEPTH + 1]; /* ']' or '}' */
    uint32_t items[LIMIT_JSON_DEPTH + 1]; /* values read so far in it */
    struct watch watch;
};

void watch_begin(struct watch *w, const struct json_set *set, struct json_span *spans);
/* A key (between its quotes) was read; at is the offset of its opening quote. */
void watch_key(struct watch *w, unsigned level, struct str key, bool escaped, uint32_t at);
unsigned watch_marks_of(const struct json_set *set, struct str key);
void watch_value(struct watch *w, unsigned level, enum json_type type, uint32_t at);
void watch_end(struct watch *w, unsigned level, const struct json_span *end);

/* The same at any level, for words. Few names have the first letter and the length of one. */
static inline void watch_word(struct watch *w, struct str key, bool escaped)
{
    const struct json_set *set = w->set;

    if (unlikely(escaped))
        w->marks = ~0u;
    else if (key.n && set->word_lengths[key.p[0] & 31] >> MIN(key.n, 31) & 1)
        w->marks |= watch_marks_of(set, key);
}

/* The best string reader for this processor, and all of them for the tests. */
string_fn *string_reader(void);
string_fn string_words;
#ifdef __x86_64__
string_fn string_sse2, string_avx2;
#endif

/* The code point of the escape at p ("\n", "\u00e9", a surrogate pair), a lone surrogate as U+FFFD;
 * *ret_end gets the byte behind it. Negative when it is not a valid escape. */
int32_t escape_decode(const uint8_t *p, const uint8_t *end, const uint8_t **ret_end);
unsigned utf8_encode(uint32_t c, uint8_t out[static 4]);
/* Compares the text between a literal's quotes, escapes decoded, with name. */
bool escaped_eq(struct str raw, struct str name);
/* The same without regard to the case of ASCII letters, and with the two signs beyond ASCII that
 * fold to one: the long s and the Kelvin sign. */
bool folded_eq(struct str raw, struct str name);

static inline const uint8_t *scan_fail(struct scanner *s, const uint8_t *p, const char *why)
{
    s->err = (struct json_error){.at = (size_t)(p - s->start), .why = why};
    return NULL;
}

/* A byte that ends a run of plain characters in a string: quote, backslash, control, non-ASCII. */
static inline bool string_stop(uint8_t c)
{
    return c == '"' || c == '\\' || c < 0x20 || c >= 0x80;
}

static inline bool is_space(uint8_t c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* p stands at an opening quote; returns the byte behind the closing one or NULL. Most names and
 * values end within 16 bytes, which is decided here without a call. */
static inline const uint8_t *string_read(struct scanner *s, const uint8_t *p)
{
    p++;
    s->escaped = false;
#ifdef __SSE2__
    if (likely(s->end - p >= 16)) {
        __m128i v = _mm_loadu_si128((const __m128i *)p);
        __m128i stop = _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')),
            _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('\\')),
                _mm_cmplt_epi8(v, _mm_set1_epi8(0x20)))); /* signed: 0x80 and above too */
        unsigned at = (unsigned)_mm_movemask_epi8(stop);
        p += at ? __builtin_ctz(at) : 16;
        if (at && *p == '"')
            return p + 1;
    }
#endif
    return s->string_rest(s, p);
}

#endif
