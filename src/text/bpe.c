/*
 * The table of ranks (tools/make_ranks.py has its format) and the count over a whole text. The
 * mapping is checked once, when it is opened, so that looking up needs no checks; afterwards it is
 * only read.
 */
#include "text/bpe.h"
#include "text/bpe_int.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

uint32_t bpe_rank(const struct bpe *b, const uint8_t *p, size_t n)
{
    if (n > b->longest)
        return NO_RANK;
    uint64_t h = bpe_hash(p, n);
    uint32_t tag = (uint32_t)(h >> 16) << BPE_RANK_BITS, mask = (1u << b->bits) - 1;
    for (uint32_t at = (uint32_t)(h >> (64 - b->bits));; at = (at + 1) & mask) {
        struct bpe_slot slot = b->slots[at];
        if (slot.place == 0)
            return NO_RANK;
        if ((slot.rank ^ tag) >> BPE_RANK_BITS == 0 && (slot.place & 0xff) == n &&
            memcmp(b->text + (slot.place >> 8), p, n) == 0)
            return slot.rank & ((1u << BPE_RANK_BITS) - 1);
    }
}

/* Every slot lies inside the text, some are free, and every byte is a token. */
static bool is_sound(const struct bpe *b, const struct bpe_head *head)
{
    size_t used = 0, slots = (size_t)1 << b->bits;
    for (size_t i = 0; i < slots; i++) {
        uint32_t place = b->slots[i].place, n = place & 0xff;
        if (place == 0)
            continue;
        used++;
        if (n == 0 || n > head->longest || (place >> 8) + n > head->text_n)
            return false;
    }
    if (used != head->tokens || used >= slots)
        return false;
    for (unsigned c = 0; c < 256; c++)
        if (bpe_rank(b, &(uint8_t){(uint8_t)c}, 1) == NO_RANK)
            return false;
    return true;
}

static int read_head(struct bpe *b)
{
    static split_fn *const splitters[] = {[1] = split_cl100k, [2] = split_o200k};
    struct bpe_head head;
    if (b->map_n < sizeof(head))
        return -EBADMSG;
    memcpy(&head, b->map, sizeof(head));
    if (memcmp(head.magic, BPE_MAGIC, sizeof(head.magic)) != 0 || head.version != BPE_VERSION ||
        head.splitter < 1 || head.splitter >= ARRAY_LEN(splitters) || head.bits < 8 ||
        head.bits > 24 || head.longest > 255)
        return -EBADMSG;
    size_t slots_n = sizeof(struct bpe_slot) << head.bits;
    if (b->map_n != sizeof(head) + slots_n + head.text_n)
        return -EBADMSG;
    b->slots = (const void *)((const char *)b->map + sizeof(head));
    b->text = (const uint8_t *)b->map + sizeof(head) + slots_n;
    b->bits = head.bits;
    b->longest = head.longest;
    b->split = splitters[head.splitter];
    return is_sound(b, &head) ? 0 : -EBADMSG;
}

static void rank_pairs(struct bpe *b)
{
    for (unsigned i = 0; i < ARRAY_LEN(b->pairs); i++)
        b->pairs[i] = bpe_rank(b, (const uint8_t[]){(uint8_t)(i >> 8), (uint8_t)i}, 2);
}

static int map_file(struct bpe *b, const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = fstat(fd, &st) < 0 ? -errno : S_ISREG(st.st_mode) && st.st_size > 0 ? 0 : -EBADMSG;
    if (r == 0) {
        b->map_n = (size_t)st.st_size;
        b->map = mmap(NULL, b->map_n, PROT_READ, MAP_SHARED, fd, 0);
        if (b->map == MAP_FAILED) {
            r = -errno;
            b->map = NULL;
        }
    }
    close(fd);
    return r;
}

int bpe_open(const char *path, struct bpe **ret)
{
    struct bpe *b = calloc(1, sizeof(*b));
    if (!b)
        return -ENOMEM;
    int r = map_file(b, path);
    if (r == 0)
        r = read_head(b);
    if (r < 0) {
        bpe_close(b);
        return r;
    }
    rank_pairs(b);
    *ret = b;
    return 0;
}

void bpe_close(struct bpe *b)
{
    if (b && b->map)
        munmap(b->map, b->map_n);
    free(b);
}

/* Tokens of one piece. */
static int64_t count_piece(
    const struct bpe *b, const uint8_t *p, const uint8_t *end, struct merge_room **room)
{
    size_t n = (size_t)(end - p);

    return bpe_rank(b, p, n) != NO_RANK ? 1 : merge_piece(b, p, n, room);
}

int64_t bpe_count(const struct bpe *b, struct str text)
{
    struct merge_room *room = NULL;
    struct split s;
    const uint8_t *p = (const uint8_t *)text.p, *end = text.n ? p + text.n : p;
    int64_t total = 0, tokens;
    split_init(&s, end);
    for (const uint8_t *q; p < end; p = q) {
        q = b->split(&s, p);
        tokens = count_piece(b, p, q, &room);
        if (tokens < 0) {
            total = tokens;
            break;
        }
        total += tokens;
    }
    free(room);
    return total;
}

/*
 * Splitting goes forward and remembers nothing, so a piece is final when its end does not depend on
 * what follows the text. The last two may: the very last can go on, and the one before it can turn
 * out to be its beginning ("don" and "'", of "don't"; a line end and the spaces behind it).
 */
int64_t bpe_count_begun(const struct bpe *b, struct str text, size_t *ret_used)
{
    struct merge_room *room = NULL;
    struct split s;
    const uint8_t *start = (const uint8_t *)text.p, *end = text.n ? start + text.n : start;
    const uint8_t *sure = start, *second = start, *p = start; /* second: begins the last but one */
    int64_t total = 0;
    split_init(&s, end);
    for (unsigned pieces = 0; p < end; pieces++) {
        const uint8_t *q = b->split(&s, p);
        if (pieces >= 2) {
            int64_t tokens = count_piece(b, sure, second, &room);
            if (tokens < 0) {
                total = tokens;
                break;
            }
            total += tokens;
            sure = second;
        }
        second = p;
        p = q;
    }
    free(room);
    *ret_used = (size_t)(sure - start);
    return total;
}
