/*
 * Shared by the parts of the token counter: bpe.c (the table), bpe_split.c (text into pieces) and
 * bpe_merge.c (pieces into tokens).
 */
#ifndef SF_TEXT_BPE_INT_H
#define SF_TEXT_BPE_INT_H

#include "base/macros.h"
#include "text/bpe.h"

/* Classes of characters; CLASS_END stands for the end of the text, so that it is in no set.
 * tools/make_unicode.py knows those from CLASS_OTHER to CLASS_MARK by number. */
enum char_class {
    CLASS_END,
    CLASS_OTHER,
    CLASS_SPACE,  /* \s without the line ends */
    CLASS_NUMBER, /* \p{N} */
    CLASS_UPPER,  /* \p{Lu} \p{Lt} */
    CLASS_LOWER,  /* \p{Ll} */
    CLASS_LETTER, /* \p{Lm} \p{Lo} */
    CLASS_MARK,   /* \p{M} */
    CLASS_LINE,   /* CR, LF */
};

/* The text that is being split. Text in one script asks for the same range of characters over and
 * over, so the last one that was looked up is kept. */
struct split {
    const uint8_t *end;
    uint32_t from, to; /* code points of one class */
    enum char_class class;
};

/* Returns the end of the piece that begins at p, which is before the end: at least one byte. */
typedef const uint8_t *split_fn(struct split *s, const uint8_t *p);

split_fn split_cl100k, split_o200k;
void split_init(struct split *s, const uint8_t *end);
/* The class of the character at p, which is before the end, and its length in bytes. */
enum char_class split_class(struct split *s, const uint8_t *p, size_t *ret_n);

/* The file of a table: head, slots, text (tools/make_ranks.py describes it). */
#define BPE_MAGIC      "SFBPE\0\r\n"
#define BPE_VERSION    1
#define BPE_RANK_BITS  18
#define BPE_MULTIPLIER 0x9e3779b97f4a7c15u

struct bpe_head {
    char magic[8];
    uint32_t version, splitter, tokens, bits, text_n, longest;
};

struct bpe_slot {
    uint32_t place; /* offset << 8 | length; 0 = free */
    uint32_t rank;  /* tag << BPE_RANK_BITS | rank */
};

/* n is 1 to 8: the bytes as a little-endian number. Overlapping loads agree where they overlap. */
static inline uint64_t bpe_load(const uint8_t *p, size_t n)
{
    uint32_t low, high;
    uint64_t v;
    if (n == 8) {
        memcpy(&v, p, 8);
        return v;
    }
    if (n >= 4) {
        memcpy(&low, p, 4);
        memcpy(&high, p + n - 4, 4);
        return low | (uint64_t)high << (8 * (n - 4));
    }
    return p[0] | (uint64_t)p[n / 2] << (8 * (n / 2)) | (uint64_t)p[n - 1] << (8 * (n - 1));
}

/* n is at least 1. The same function is token_hash() in tools/make_ranks.py. */
static inline uint64_t bpe_hash(const uint8_t *p, size_t n)
{
    uint64_t h = n;
    for (;; p += 8, n -= 8) {
        h = (h ^ bpe_load(p, MIN(n, (size_t)8))) * BPE_MULTIPLIER;
        h ^= h >> 32;
        if (n <= 8)
            return h * BPE_MULTIPLIER;
    }
}

struct bpe {
    void *map;
    size_t map_n;
    const struct bpe_slot *slots;
    const uint8_t *text;
    unsigned bits; /* log2 of the number of slots */
    size_t longest;
    split_fn *split;
    uint32_t pairs[256 * 256]; /* ranks of all two bytes, which merging begins with */
};

#define NO_RANK UINT32_MAX

static inline uint32_t bpe_pair_rank(const struct bpe *b, const uint8_t *p)
{
    return b->pairs[p[0] << 8 | p[1]];
}

uint32_t bpe_rank(const struct bpe *b, const uint8_t *p, size_t n);

/* Memory for merging a long piece, got when the first one comes and kept for the text. */
struct merge_room;

/* Tokens in the piece, or -ENOMEM. *room is NULL at first; the caller frees it with free(). */
int64_t merge_piece(const struct bpe *b, const uint8_t *p, size_t n, struct merge_room **room);
/* The same for a piece of any length, with window and overlap given; for tests. */
int64_t merge_windows(const struct bpe *b, const uint8_t *p, size_t n, size_t window,
    size_t overlap, struct merge_room **room);

#endif
