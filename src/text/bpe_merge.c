/*
 * Byte-pair merging: the neighbours whose joint bytes have the lowest rank become one part, the
 * leftmost pair first among equals, until no two neighbours are a token together.
 *
 * Pieces are mostly a word; a short one is merged in an array that is searched for its lowest rank
 * every time. A long one (a page of Chinese without a full stop, a ruler of 10,000 equals signs)
 * uses a heap over a linked list, in windows, so that neither memory nor time grows with more than
 * the piece's length. Windows are sound because of what merging is: a sequence of tokens is the
 * result for its bytes exactly when each two neighbours are the result for theirs. So every token
 * of a window may stand that is far enough from the window's end for the cut there not to matter,
 * and the next window begins behind the last of these.
 */
#include "text/bpe_int.h"
#include <errno.h>
#include <stdlib.h>

#define SHORT   96   /* bytes */
#define WINDOW  4096 /* bytes merged at once in a long piece */
#define OVERLAP 1024 /* of these, at the end, merged again by the next window */

struct part {
    uint32_t at;   /* where it begins in the piece */
    uint32_t rank; /* of it joined with the next part */
};

/* parts[n].at is the end of the last part. */
static uint32_t rank_at(
    const struct bpe *b, const uint8_t *p, const struct part *parts, size_t n, size_t i)
{
    if (i + 2 > n)
        return NO_RANK;
    return bpe_rank(b, p + parts[i].at, parts[i + 2].at - parts[i].at);
}

static int64_t merge_short(const struct bpe *b, const uint8_t *p, size_t n)
{
    struct part parts[SHORT + 1];
    for (size_t i = 0; i <= n; i++)
        parts[i].at = (uint32_t)i;
    for (size_t i = 0; i + 1 < n; i++)
        parts[i].rank = bpe_pair_rank(b, p + i);
    parts[n - 1].rank = NO_RANK;
    for (;;) {
        size_t best = 0;
        for (size_t i = 1; i < n; i++)
            if (parts[i].rank < parts[best].rank)
                best = i;
        if (parts[best].rank == NO_RANK)
            return (int64_t)n;
        memmove(&parts[best + 1], &parts[best + 2], (n - best - 1) * sizeof(*parts));
        n--;
        parts[best].rank = rank_at(b, p, parts, n, best);
        if (best > 0)
            parts[best - 1].rank = rank_at(b, p, parts, n, best - 1);
    }
}

/* A part is named by the offset of its first byte. */
struct merge_room {
    size_t heap_n;
    uint64_t heap[3 * WINDOW]; /* rank << 32 | part; outdated entries stay until they come up */
    uint32_t rank[WINDOW];     /* of the part joined with the next; NO_RANK when it is gone */
    uint16_t next[WINDOW + 1], prev[WINDOW + 1];
};

static void heap_push(struct merge_room *r, uint64_t v)
{
    size_t i = r->heap_n++;
    must(i < ARRAY_LEN(r->heap));
    for (; i > 0 && r->heap[(i - 1) / 2] > v; i = (i - 1) / 2)
        r->heap[i] = r->heap[(i - 1) / 2];
    r->heap[i] = v;
}

static uint64_t heap_pop(struct merge_room *r)
{
    uint64_t top = r->heap[0], v = r->heap[--r->heap_n];
    size_t i = 0, child;
    while ((child = 2 * i + 1) < r->heap_n) {
        if (child + 1 < r->heap_n && r->heap[child + 1] < r->heap[child])
            child++;
        if (r->heap[child] >= v)
            break;
        r->heap[i] = r->heap[child];
        i = child;
    }
    r->heap[i] = v;
    return top;
}

static void set_rank(struct merge_room *r, size_t i, uint32_t rank)
{
    r->rank[i] = rank;
    if (rank != NO_RANK)
        heap_push(r, (uint64_t)rank << 32 | i);
}

/* Ranks part i with its neighbour anew. n is the window's length and the name of its end. */
static void rank_part(
    struct merge_room *r, const struct bpe *b, const uint8_t *p, size_t n, size_t i)
{
    size_t next = r->next[i];
    set_rank(r, i, next < n ? bpe_rank(b, p + i, r->next[next] - i) : NO_RANK);
}

/* Merges one window; next[] then leads from token to token. */
static void merge_window(struct merge_room *r, const struct bpe *b, const uint8_t *p, size_t n)
{
    r->heap_n = 0;
    for (size_t i = 0; i <= n; i++) {
        r->next[i] = (uint16_t)(i + 1);
        r->prev[i] = (uint16_t)(i - 1);
    }
    for (size_t i = 0; i + 1 < n; i++)
        set_rank(r, i, bpe_pair_rank(b, p + i));
    r->rank[n - 1] = NO_RANK;
    while (r->heap_n > 0) {
        uint64_t top = heap_pop(r);
        size_t i = (uint32_t)top, gone = r->next[i];
        if (r->rank[i] != top >> 32)
            continue;
        r->rank[gone] = NO_RANK;
        r->next[i] = r->next[gone];
        r->prev[r->next[i]] = (uint16_t)i;
        rank_part(r, b, p, n, i);
        if (i > 0)
            rank_part(r, b, p, n, r->prev[i]);
    }
}

int64_t merge_windows(const struct bpe *b, const uint8_t *p, size_t n, size_t window,
    size_t overlap, struct merge_room **room)
{
    must(window <= WINDOW && overlap < window && b->longest <= overlap);
    if (!*room && !(*room = malloc(sizeof(**room))))
        return -ENOMEM;
    int64_t tokens = 0;
    for (;;) {
        size_t part = MIN(n, window), keep = n > window ? window - overlap : n, at = 0;
        merge_window(*room, b, p, part);
        for (; at < keep; at = (*room)->next[at])
            tokens++;
        if (at >= n)
            return tokens;
        p += at;
        n -= at;
    }
}

int64_t merge_piece(const struct bpe *b, const uint8_t *p, size_t n, struct merge_room **room)
{
    return n <= SHORT ? merge_short(b, p, n) : merge_windows(b, p, n, WINDOW, OVERLAP, room);
}
