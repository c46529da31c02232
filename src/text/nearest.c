/*
 * Nearest names. The distance is Damerau and Levenshtein's in its restricted form (no part of a
 * text is edited twice), with ASCII case folded. Only the diagonal band that can stay within the
 * limit is computed, on the stack: a word that a peer sends costs at most NEAREST_WORD rows of
 * 2 × limit + 1 cells per name.
 */
#include "text/nearest.h"
#include "base/macros.h"

#define LEAST_PART 3 /* shorter parts are contained in too much to mean anything */

struct candidate {
    unsigned rank, edits;
    struct str name;
};

static unsigned char fold(char c)
{
    unsigned char u = (unsigned char)c;

    return u >= 'A' && u <= 'Z' ? u | 0x20 : u;
}

/* Three rows of the table: the current one, the one above, and the one above that for swaps. */
struct rows {
    unsigned cells[3][NEAREST_WORD + 1];
};

static unsigned cell(struct str a, struct str b, size_t i, size_t j, const unsigned *r2,
    const unsigned *r1, const unsigned *r0)
{
    unsigned char x = fold(a.p[i - 1]), y = fold(b.p[j - 1]);
    unsigned d = MIN(r1[j - 1] + (x != y), MIN(r1[j], r0[j - 1]) + 1);

    if (i > 1 && j > 1 && x == fold(b.p[j - 2]) && y == fold(a.p[i - 2]))
        d = MIN(d, r2[j - 2] + 1);
    return d;
}

/* Fills row i within the band; returns its least cell. */
static unsigned fill_row(struct rows *rows, struct str a, struct str b, size_t i, unsigned limit)
{
    unsigned *r0 = rows->cells[i % 3], over = limit + 1, least = over;
    const unsigned *r1 = rows->cells[(i + 2) % 3], *r2 = rows->cells[(i + 1) % 3];
    size_t first = i > limit ? i - limit : 0, last = MIN(i + limit, b.n);

    if (first > 0)
        r0[first - 1] = over;
    for (size_t j = first; j <= last; j++) {
        r0[j] = j == 0 ? (unsigned)i : MIN(cell(a, b, i, j, r2, r1, r0), over);
        least = MIN(least, r0[j]);
    }
    if (last < b.n)
        r0[last + 1] = over;
    return least;
}

unsigned text_distance(struct str a, struct str b, unsigned limit)
{
    struct rows rows;

    limit = MIN(limit, NEAREST_WORD);
    if (a.n > NEAREST_WORD || b.n > NEAREST_WORD)
        return limit + 1;
    if ((a.n > b.n ? a.n - b.n : b.n - a.n) > limit)
        return limit + 1;
    for (size_t j = 0; j <= b.n; j++)
        rows.cells[0][j] = MIN((unsigned)j, limit + 1);
    unsigned above = 0;
    for (size_t i = 1; i <= a.n; i++) {
        unsigned least = fill_row(&rows, a, b, i, limit);
        if (least > limit && above > limit) /* a swap may still reach over one full row */
            return limit + 1;
        above = least;
    }
    return rows.cells[a.n % 3][b.n];
}

static bool contains(struct str s, struct str part)
{
    if (part.n < LEAST_PART)
        return false;
    for (size_t i = 0; i + part.n <= s.n; i++)
        if (str_ieq(str_at(s.p + i, part.n), part))
            return true;
    return false;
}

/* Lower is nearer; 0 is none. A shared beginning outweighs one edit, a shared part two. */
static struct candidate judge(struct str word, struct str name)
{
    unsigned limit = MAX(2, (unsigned)word.n / 3);
    struct candidate c = {.name = name, .edits = text_distance(word, name, limit)};
    struct str shorter = word.n < name.n ? word : name, longer = word.n < name.n ? name : word;

    if (c.edits < MAX(word.n, name.n) && c.edits <= limit) /* something must be left in common */
        c.rank = 1 + 2 * c.edits;
    if (longer.n > NEAREST_WORD)
        return c;
    if (shorter.n >= LEAST_PART && str_istarts(longer, shorter))
        c.rank = c.rank ? MIN(c.rank, 2) : 2;
    else if (contains(longer, shorter))
        c.rank = c.rank ? MIN(c.rank, 4) : 4;
    return c;
}

static bool is_nearer(const struct candidate *a, const struct candidate *b, size_t word_n)
{
    if (a->rank != b->rank)
        return a->rank < b->rank;
    if (a->edits != b->edits)
        return a->edits < b->edits;
    size_t a_off = a->name.n > word_n ? a->name.n - word_n : word_n - a->name.n;
    size_t b_off = b->name.n > word_n ? b->name.n - word_n : word_n - b->name.n;
    return a_off < b_off;
}

static bool is_known(const struct candidate *best, unsigned n, struct str name)
{
    for (unsigned i = 0; i < n; i++)
        if (str_eq(best[i].name, name))
            return true;
    return false;
}

/* Puts c at its place among the best n of at most max; returns how many there are now. */
static unsigned insert(
    struct candidate *best, unsigned n, unsigned max, struct candidate c, size_t word_n)
{
    unsigned at = n;

    while (at > 0 && is_nearer(&c, &best[at - 1], word_n))
        at--;
    if (at == max)
        return n;
    n = MIN(n + 1, max);
    memmove(best + at + 1, best + at, (n - at - 1) * sizeof(*best));
    best[at] = c;
    return n;
}

unsigned text_nearest(
    struct str word, const struct str *names, size_t n, struct str *out, unsigned max)
{
    struct candidate best[NEAREST_MOST];
    unsigned found = 0;

    max = MIN(max, NEAREST_MOST);
    if (word.n == 0 || word.n > NEAREST_WORD)
        return 0;
    for (size_t i = 0; i < n; i++) {
        struct candidate c = judge(word, names[i]);
        if (c.rank && !is_known(best, found, c.name))
            found = insert(best, found, max, c, word.n);
    }
    for (unsigned i = 0; i < found; i++)
        out[i] = best[i].name;
    return found;
}
