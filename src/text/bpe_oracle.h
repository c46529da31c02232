/*
 * For tests: the tokenisers' expressions matched as a backtracking engine does, alternative by
 * alternative, greedy repetitions giving back one character at a time. Slow and plain.
 */
#ifndef SF_TEXT_BPE_ORACLE_H
#define SF_TEXT_BPE_ORACLE_H

#include "text/bpe_int.h"
#include <stdlib.h>

/* The text as characters; the entry behind the last is CLASS_END. */
struct oracle {
    size_t n;
    struct oracle_char {
        enum char_class class;
        uint32_t c; /* ASCII as it is, long s as 0x17f, others 0xffff */
        size_t at;
    } * chars;
};

enum {
    ORACLE_L = 1 << CLASS_UPPER | 1 << CLASS_LOWER | 1 << CLASS_LETTER,
    ORACLE_U = 1 << CLASS_UPPER | 1 << CLASS_LETTER | 1 << CLASS_MARK,
    ORACLE_W = 1 << CLASS_LOWER | 1 << CLASS_LETTER | 1 << CLASS_MARK,
    ORACLE_N = 1 << CLASS_NUMBER,
    ORACLE_S = 1 << CLASS_SPACE | 1 << CLASS_LINE,
    ORACLE_LINE = 1 << CLASS_LINE,
    ORACLE_SIGN = 1 << CLASS_OTHER | 1 << CLASS_MARK,
    ORACLE_PREFIX = 1 << CLASS_OTHER | 1 << CLASS_MARK | 1 << CLASS_SPACE,
};

static inline void oracle_read(struct oracle *o, struct str text)
{
    const uint8_t *p = (const uint8_t *)text.p;
    o->n = 0;
    o->chars = calloc(text.n + 1, sizeof(*o->chars));
    must(o->chars);
    for (size_t at = 0, n; at < text.n; at += n, o->n++) {
        struct split s;
        split_init(&s, p + text.n);
        bool long_s = text.n - at >= 2 && p[at] == 0xc5 && p[at + 1] == 0xbf;
        o->chars[o->n] = (struct oracle_char){.class = split_class(&s, p + at, &n),
            .c = p[at] < 0x80 ? p[at]
                 : long_s     ? 0x17f
                              : 0xffff,
            .at = at};
        must(n >= 1 && at + n <= text.n);
    }
    o->chars[o->n].at = text.n;
}

static inline bool oracle_is(const struct oracle *o, size_t i, unsigned set)
{
    return set >> o->chars[i].class & 1 && o->chars[i].class != CLASS_END;
}

/* How many characters from i on are in the set, at most so many. */
static inline size_t oracle_run(const struct oracle *o, size_t i, unsigned set, size_t most)
{
    size_t n = 0;
    while (n < most && oracle_is(o, i + n, set))
        n++;
    return n;
}

static inline bool oracle_letter(const struct oracle *o, size_t i, char c)
{
    return i < o->n && (o->chars[i].c == (uint32_t)c || o->chars[i].c == (uint32_t)c - 32 ||
                           (c == 's' && o->chars[i].c == 0x17f));
}

static inline size_t oracle_contraction(const struct oracle *o, size_t i)
{
    static const char *const endings[] = {"s", "t", "re", "ve", "m", "ll", "d"};
    if (i >= o->n || o->chars[i].c != '\'')
        return 0;
    for (size_t k = 0; k < ARRAY_LEN(endings); k++) {
        size_t n = strlen(endings[k]);
        if (oracle_letter(o, i + 1, endings[k][0]) &&
            (n == 1 || oracle_letter(o, i + 2, endings[k][1])))
            return n + 1;
    }
    return 0;
}

/* \s*[\r\n] | \s+(?!\S) | \s+ from i on; lengths in characters here and below. */
static inline size_t oracle_spaces(const struct oracle *o, size_t i)
{
    size_t most = oracle_run(o, i, ORACLE_S, SIZE_MAX);
    for (size_t n = most; n > 0; n--)
        if (oracle_is(o, i + n - 1, ORACLE_LINE))
            return n;
    for (size_t n = most; n > 0; n--)
        if (i + n == o->n || oracle_is(o, i + n, ORACLE_S))
            return n;
    return most;
}

static inline size_t oracle_signs(const struct oracle *o, size_t i)
{
    for (size_t space = o->chars[i].c == ' ' ? 1 : 0;; space = 0) {
        size_t n = oracle_run(o, i + space, ORACLE_SIGN, SIZE_MAX);
        if (n)
            return space + n;
        if (!space)
            return 0;
    }
}

static inline size_t oracle_cl100k(const struct oracle *o, size_t i)
{
    size_t n = oracle_contraction(o, i), prefix = oracle_run(o, i, ORACLE_PREFIX, 1);
    if (n)
        return n;
    n = oracle_run(o, i + prefix, ORACLE_L, SIZE_MAX);
    if (n)
        return prefix + n;
    n = oracle_run(o, i, ORACLE_N, 3);
    if (n)
        return n;
    n = oracle_signs(o, i);
    if (n)
        return n + oracle_run(o, i + n, ORACLE_LINE, SIZE_MAX);
    n = oracle_run(o, i, ORACLE_S, SIZE_MAX);
    return i + n == o->n ? n : oracle_spaces(o, i);
}

/* prefix? U{least_u,} W{least_w,} contraction? */
static inline size_t oracle_word(const struct oracle *o, size_t i, size_t least_u, size_t least_w)
{
    for (size_t prefix = oracle_run(o, i, ORACLE_PREFIX, 1);; prefix = 0) {
        size_t j = i + prefix, u = oracle_run(o, j, ORACLE_U, SIZE_MAX);
        for (;; u--) {
            size_t w = oracle_run(o, j + u, ORACLE_W, SIZE_MAX);
            if (u >= least_u && w >= least_w)
                return prefix + u + w + oracle_contraction(o, j + u + w);
            if (u == 0)
                break;
        }
        if (!prefix)
            return 0;
    }
}

static inline size_t oracle_o200k(const struct oracle *o, size_t i)
{
    size_t n = oracle_word(o, i, 0, 1);
    if (!n)
        n = oracle_word(o, i, 1, 0);
    if (!n)
        n = oracle_run(o, i, ORACLE_N, 3);
    if (n)
        return n;
    n = oracle_signs(o, i);
    if (!n)
        return oracle_spaces(o, i);
    while (i + n < o->n && (oracle_is(o, i + n, ORACLE_LINE) || o->chars[i + n].c == '/'))
        n++;
    return n;
}

/* Splits text both ways; every piece must end at the same place. */
static inline void oracle_check_split(
    struct str text, split_fn *split, size_t (*oracle_fn)(const struct oracle *o, size_t i))
{
    struct oracle o;
    struct split s;
    const uint8_t *start = (const uint8_t *)text.p, *p = start;
    oracle_read(&o, text);
    split_init(&s, start + text.n);
    for (size_t i = 0; i < o.n;) {
        size_t n = oracle_fn(&o, i);
        must(n > 0);
        i += n;
        p = split(&s, p);
        must((size_t)(p - start) == o.chars[i].at);
    }
    must(p == start + text.n);
    free(o.chars);
}

#endif
