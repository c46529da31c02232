/*
 * For tests: a small table of ranks, so that they need no file from outside, and merging done in
 * the plainest way to compare with. All single bytes are tokens; the others are the given ones,
 * ranked in their order behind the bytes.
 */
#ifndef SF_TEXT_BPE_TABLE_H
#define SF_TEXT_BPE_TABLE_H

#include "text/bpe_int.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { TABLE_BITS = 10, TABLE_SLOTS = 1 << TABLE_BITS };

struct bpe_table {
    struct bpe_head head;
    struct bpe_slot slots[TABLE_SLOTS];
    uint8_t text[4096];
};

static inline void table_add(struct bpe_table *t, const void *p, size_t n)
{
    uint64_t h = bpe_hash(p, n);
    size_t at = h >> (64 - TABLE_BITS);
    while (t->slots[at].place)
        at = (at + 1) % TABLE_SLOTS;
    must(t->head.text_n + n <= sizeof(t->text));
    t->slots[at].place = (uint32_t)(t->head.text_n << 8 | n);
    t->slots[at].rank = (uint32_t)(h >> 16) << BPE_RANK_BITS | t->head.tokens++;
    memcpy(t->text + t->head.text_n, p, n);
    t->head.text_n += (uint32_t)n;
    t->head.longest = MAX(t->head.longest, (uint32_t)n);
}

/* tokens ends with NULL. */
static inline void table_make(struct bpe_table *t, uint32_t splitter, const char *const *tokens)
{
    memset(t, 0, sizeof(*t));
    memcpy(t->head.magic, BPE_MAGIC, sizeof(t->head.magic));
    t->head.version = BPE_VERSION;
    t->head.splitter = splitter;
    t->head.bits = TABLE_BITS;
    for (unsigned c = 0; c < 256; c++)
        table_add(t, &(uint8_t){(uint8_t)c}, 1);
    for (; *tokens; tokens++)
        table_add(t, *tokens, strlen(*tokens));
}

/* Opens the first n bytes of the table as a file. */
static inline int table_open_part(const struct bpe_table *t, size_t n, struct bpe **ret)
{
    char path[64];
    int fd = memfd_create("bpe", MFD_CLOEXEC);
    must(fd >= 0 && write(fd, t, n) == (ssize_t)n);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int r = bpe_open(path, ret);
    close(fd);
    return r;
}

static inline int table_open(const struct bpe_table *t, struct bpe **ret)
{
    return table_open_part(t, offsetof(struct bpe_table, text) + t->head.text_n, ret);
}

/* The pair of lowest rank, leftmost first, again and again. */
static inline int64_t merge_plainly(const struct bpe *b, const uint8_t *p, size_t n)
{
    size_t *at = malloc((n + 1) * sizeof(*at));
    must(at);
    for (size_t i = 0; i <= n; i++)
        at[i] = i;
    for (;;) {
        uint32_t best = NO_RANK;
        size_t where = 0;
        for (size_t i = 0; i + 1 < n; i++) {
            uint32_t rank = bpe_rank(b, p + at[i], at[i + 2] - at[i]);
            if (rank < best) {
                best = rank;
                where = i;
            }
        }
        if (best == NO_RANK)
            break;
        memmove(&at[where + 1], &at[where + 2], (n - where - 1) * sizeof(*at));
        n--;
    }
    free(at);
    return (int64_t)n;
}

#endif
