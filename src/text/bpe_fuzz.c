/*
 * Splitting against the tokenisers' expressions tried the way a backtracking engine does, and
 * merging against the plainest way. Any bytes are text here.
 */
#include "text/bpe_oracle.h"
#include "text/bpe_table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { MOST_MERGED = 500 }; /* the plainest way takes quadratic time */

/* Of few letters, so that an input of any kind has much to merge. */
static const struct bpe *open_table(void)
{
    static const char *const tokens[] = {"aa", "ab", "ba", "aab", "aaaa", "abab", "bb", "  ",
        "\n\n", "    ", "'s", "\xc3\xa9", "\xd0\xb0", "\xd0\xb0\xd0\xb0", "\xe4\xba",
        "\xe4\xba\xba", "==", "====", "babaaa", "aabb", "bbaab", " a", " aa", NULL};
    static struct bpe_table table;
    static struct bpe *b;
    if (!b) {
        table_make(&table, 2, tokens);
        must(table_open(&table, &b) == 0);
    }
    return b;
}

static void check_merge(const struct bpe *b, const uint8_t *p, size_t n)
{
    static struct merge_room *room; /* kept for the next input */
    int64_t want = merge_plainly(b, p, n);
    must(merge_piece(b, p, n, &room) == want);
    must(merge_windows(b, p, n, 96, 64, &room) == want);
    must(merge_windows(b, p, n, 4096, 8, &room) == want);
}

/* The sum over pieces, and pieces are whole characters. */
static void check_count(const struct bpe *b, struct str text)
{
    const uint8_t *p = (const uint8_t *)text.p, *end = p + text.n, *q;
    int64_t total = 0;
    for (; p < end; p = q) {
        struct split fresh;
        split_init(&fresh, end);
        q = split_o200k(&fresh, p);
        must(q > p && q <= end);
        total +=
            bpe_rank(b, p, (size_t)(q - p)) != NO_RANK ? 1 : merge_plainly(b, p, (size_t)(q - p));
    }
    must(bpe_count(b, text) == total);
}

/* What is counted of a text's beginning is part of the count of the whole. */
static void check_begun(const struct bpe *b, struct str text, size_t n)
{
    size_t used;
    int64_t begun = bpe_count_begun(b, str_to(text, n), &used);
    must(used <= n && begun + bpe_count(b, str_from(text, used)) == bpe_count(b, text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n > 2000 || n == 0)
        return 0;
    const struct bpe *b = open_table();
    struct str text = str_at((const char *)data, n);
    oracle_check_split(text, split_cl100k, oracle_cl100k);
    oracle_check_split(text, split_o200k, oracle_o200k);
    check_merge(b, data, MIN(n, (size_t)MOST_MERGED));
    check_count(b, text);
    check_begun(b, text, data[0] * n / 255);
    check_begun(b, text, n - 1);
    return 0;
}
