/*
 * An inclusion proof: the entry, the checkpoint that covers it, and the path between the two.
 * Whoever has the public key needs nothing else: hash the entry's canonical text into a leaf,
 * follow the path to the root, check the signature over it.
 */
#include "crypto/encode.h"
#include "journal/checkpoint_int.h"
#include "journal/files_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define TREE_MOST ((uint64_t)1 << 24) /* entries under one checkpoint that are held in memory */

struct proof {
    struct checkpoint c;
    struct buf c_text, entry;
    uint8_t (*leaves)[SHA256_BYTES];
};

/* The line of the checkpoint that covers seq, and what it says. */
static int find_checkpoint(const char *dir, uint64_t seq, struct proof *p)
{
    int at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd = at < 0 ? -1 : openat(at, CHECKPOINTS_FILE, O_RDONLY | O_CLOEXEC);
    int err = fd < 0 ? -errno : 0, r = 1;
    struct lines l;
    struct str line;

    if (at >= 0)
        close(at);
    if (err < 0)
        return err;
    lines_init(&l, fd, 0, CHECKPOINT_BYTES);
    while (r == 1 && (r = lines_next(&l, INT64_MAX, &line)) == 1) {
        if (checkpoint_read(line, &p->c) < 0)
            r = -EIO;
        else if (p->c.from <= seq && seq <= p->c.to)
            break;
    }
    if (r == 1)
        r = buf_addstr(&p->c_text, line);
    else if (r == 0)
        r = -ENOENT;
    lines_free(&l);
    close(fd);
    return r;
}

static int read_leaves(const char *dir, uint64_t seq, struct proof *p)
{
    struct journal_reader *reader;
    struct journal_entry e;
    int r = journal_reader_open(dir, p->c.from, &reader);

    if (r < 0)
        return r;
    for (uint64_t i = 0; i < p->c.count && r == 0; i++) {
        int got = journal_reader_next(reader, &e);
        if (got != 1 || e.seq != p->c.from + i)
            r = got < 0 ? got : -EIO;
        else
            merkle_leaf(e.canonical, p->leaves[i]);
        if (r == 0 && e.seq == seq)
            r = buf_addstr(&p->entry, e.line);
    }
    journal_reader_close(reader);
    return r;
}

static int add_proof(const struct proof *p, uint64_t seq, struct buf *out)
{
    struct buf path;
    size_t index = (size_t)(seq - p->c.from);
    char hex[2 * SHA256_BYTES];

    buf_init(&path, 64 * SHA256_BYTES);
    int r = merkle_path((const uint8_t(*)[SHA256_BYTES])p->leaves, p->c.count, index, &path);
    buf_printf(out, "{\"checkpoint\":" STR_FMT, STR_ARG(buf_str(&p->c_text)));
    buf_printf(out, ",\"entry\":" STR_FMT, STR_ARG(buf_str(&p->entry)));
    hex_encode(str_at((const char *)p->leaves[index], SHA256_BYTES), hex);
    buf_printf(out, ",\"leaf\":\"%.64s\",\"leaf_index\":%zu,\"path\":[", hex, index);
    for (size_t i = 0; i < path.n; i += SHA256_BYTES) {
        hex_encode(str_at(path.p + i, SHA256_BYTES), hex);
        buf_printf(out, "%s\"%.64s\"", i ? "," : "", hex);
    }
    buf_printf(out, "],\"tree_size\":%llu}", (unsigned long long)p->c.count);
    buf_free(&path);
    return r < 0 ? r : out->err;
}

int journal_prove(const char *dir, uint64_t seq, struct buf *out)
{
    struct proof p = {0};

    buf_init(&p.c_text, CHECKPOINT_BYTES);
    buf_init(&p.entry, ENTRY_BYTES);
    int r = find_checkpoint(dir, seq, &p);
    if (r == 0 && p.c.count > TREE_MOST)
        r = -EFBIG;
    if (r == 0) {
        p.leaves = malloc((size_t)p.c.count * sizeof(*p.leaves));
        r = p.leaves ? read_leaves(dir, seq, &p) : -ENOMEM;
    }
    if (r == 0)
        r = add_proof(&p, seq, out);
    free(p.leaves);
    buf_free(&p.c_text);
    buf_free(&p.entry);
    return r;
}
