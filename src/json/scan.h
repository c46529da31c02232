/*
 * One strict pass over a JSON text without building a tree: RFC 8259 grammar, depth limit, UTF-8
 * checked, lone surrogate escapes allowed (as providers allow them). It notes the spans of the
 * members that the caller asked for, so that the text can be passed on as it came, changed only by
 * splicing at those spans (json/splice.h).
 *
 * Long strings are skipped 16 or 32 bytes at a time; a 30 KB request costs a few microseconds.
 */
#ifndef SF_JSON_SCAN_H
#define SF_JSON_SCAN_H

#include "base/str.h"

enum json_type {
    JSON_NONE = 0, /* not found */
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT,
};

/* A member to look for. path is a member of the top object ("model") or of an object in it
 * ("stream_options.include_usage"); at most two levels. */
struct json_want {
    struct str path;
};

struct json_span {
    enum json_type type;
    bool duplicate;      /* stood more than once in its object */
    bool other_case;     /* its name stood there with other letters of the same: "MODEL" */
    bool escaped;        /* a string with backslash escapes in it */
    uint32_t key, value; /* offsets of the key's opening quote and of the value's first byte */
    uint32_t end;        /* offset just behind the value */
    uint32_t items;      /* array: number of elements; object: number of members */
};

struct json_error {
    size_t at;       /* byte offset of the fault */
    const char *why; /* literal: "expected ':'" */
};

#define JSON_MAX_WANTS 32

/* Scans text. top is the type of the whole value. spans[i] answers wants[i], n of them, at most
 * JSON_MAX_WANTS. A key written with escapes ("\u006dodel") is compared unescaped. Of members with
 * one name the first keeps the span, and duplicate is set; it is also set, even where nothing was
 * found, when the first part of a dotted path stood more than once.
 * other_case is set by names that Go's decoder, which does not look at case, takes for this one;
 * their values are not looked at, and the exact name need not be there.
 * 0, or -EINVAL with *ret_err filled and all spans JSON_NONE. text must be below 4 GiB. */
int json_scan(struct str text, const struct json_want *wants, struct json_span *spans, size_t n,
    enum json_type *ret_top, struct json_error *ret_err);

/* A name that is noticed wherever a member has it, however deep and in whatever case; prefix: all
 * names that begin so. */
struct json_word {
    struct str name;
    bool prefix;
};

#define JSON_MAX_WORDS 40

/* What one kind of text is scanned for, made once. Names must outlive it. */
struct json_set {
    unsigned n, words_n;
    /* the rest is for json/watch.c */
    const char *names[2][JSON_MAX_WANTS]; /* by level; level 1 is NULL when a path has one part */
    uint8_t lengths[2][JSON_MAX_WANTS];   /* of the names; where there is none, 0 */
    uint32_t word_lengths[32]; /* by the first letter's low bits: bit n = some word has n bytes */
    uint64_t words_by[32];     /* the words with such a first letter */
    struct json_word words[JSON_MAX_WORDS];
    uint8_t marks[JSON_MAX_WORDS];
};
void json_set_init(struct json_set *s, const struct json_want *wants, size_t n);
/* Words that are noticed by the bits of mark; they begin with a letter or '_'. */
void json_set_add(struct json_set *s, const struct json_word *words, size_t n, uint8_t mark);

/* json_scan() for such a set. *ret_marks: those of all words that are names of members; all bits
 * when a name is written with escapes, as it may be any. */
int json_scan_set(struct str text, const struct json_set *set, struct json_span *spans,
    unsigned *ret_marks, enum json_type *ret_top, struct json_error *ret_err);

/* The raw text of a found value. */
static inline struct str json_span_text(struct str text, const struct json_span *s)
{
    return str_at(text.p + s->value, s->end - s->value);
}

/* The offset just behind the '{' or '[' that opens a valid text, where its first member stands or
 * one can be inserted; 0 when the text is no container. */
static inline size_t json_inside(struct str text)
{
    size_t i = 0;
    while (i < text.n && (text.p[i] == ' ' || (text.p[i] >= '\t' && text.p[i] <= '\r')))
        i++;
    return i < text.n && (text.p[i] == '{' || text.p[i] == '[') ? i + 1 : 0;
}

/* Decodes a string literal with its quotes into out (at least literal.n bytes); returns the length
 * or -EINVAL. Lone surrogates become U+FFFD. */
ptrdiff_t json_unescape(struct str literal, char *out);

/* A number literal as a non-negative integer: 0, -EINVAL when it has a sign, fraction or exponent,
 * -ERANGE beyond 64 bits. */
int json_u64(struct str literal, uint64_t *ret);

/* Walks an array's or object's children without a tree: for small texts (usage objects, error
 * bodies) that one pass has validated. *at starts at the offset just behind '[' or '{', which is
 * json_inside(container). Returns false at the end. key is p NULL in arrays (raw, between its
 * quotes, in objects). */
bool json_next(struct str container, size_t *at, struct str *ret_key, struct str *ret_value);

/* Finds a member by path ("usage.prompt_tokens_details.cached_tokens") in a valid object's text.
 * First match wins. Returns its raw value text; p NULL when absent. */
struct str json_find(struct str object, struct str path);
/* Several members of one object in one walk: ret_values[i] is the first member that is called
 * names[i], or p NULL. The names, which are no paths, differ. */
void json_members(struct str object, const struct str *names, struct str *ret_values, size_t n);
enum json_type json_type_of(struct str value);
/* Whether any of the needles stands in the text; each begins with a quote, "\"file_id\"", and has
 * four bytes at least. One pass from quote to quote, whatever the text is: a look before a closer
 * look. */
bool json_mentions(struct str text, const struct str *needles, size_t n);

#endif
