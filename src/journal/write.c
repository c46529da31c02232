/*
 * Groups: entries are numbered, chained and gathered in one buffer, written with one call behind
 * what is good of the segment, and synced; bodies that are staged go to their files before. Only
 * then do rings, readers and waiters hear of it. When it fails, the chain, the tree and the cursors
 * go back to where they were, the segment is cut to what was good, and the same entries are made
 * again later: from the rings, which still hold them.
 */
#include "journal/files_int.h"
#include "journal/journal_int.h"
#include "journal/payload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define KEPT_BYTES ((size_t)4 << 20) /* of the segment's end, and as many again */

struct journal_sys journal_sys = {.pwrite = pwrite, .fdatasync = fdatasync};

static const struct entry_origin own = {.ring = -1};

/* --- entries --- */

static int add_entry(struct journal *j, const struct entry_origin *from, struct str payload)
{
    const struct chain_key *key = &j->keys.keys[j->key];
    uint8_t leaf[SHA256_BYTES];
    int r = entry_add(&j->group, &j->chain.end, str_of(key->id), &key->hmac, from, payload, leaf);

    if (r == 0)
        merkle_add(&j->chain.tree, leaf);
    return r;
}

static void fill_checkpoint(const struct journal *j, struct checkpoint *c)
{
    const struct chain *ch = &j->chain;

    *c = (struct checkpoint){
        .from = ch->tree_from,
        .to = ch->end.seq,
        .count = ch->tree.count,
        .segment = j->segment_first,
        .offset = (uint64_t)j->segment_size + j->group.n,
        .n_rings = ch->n_rings,
        .ts = clock_wall(),
    };
    merkle_root(&ch->tree, c->root);
    memcpy(c->head_hmac, ch->end.link, sizeof(c->head_hmac));
    memcpy(c->hmac_key, j->keys.keys[j->key].id, sizeof(c->hmac_key));
    memcpy(c->ring_end, ch->ring_end, sizeof(c->ring_end));
}

static int add_checkpoint_text(struct journal *j, struct checkpoint *c)
{
    struct str chain = j->s.chain;
    struct buf text;

    buf_init(&text, CHECKPOINT_BYTES);
    int r = checkpoint_text(c, chain, false, &text);
    if (r == 0)
        r = checkpoint_text(c, chain, true, &j->lines);
    if (r == 0)
        r = buf_addc(&j->lines, '\n');
    if (r == 0)
        r = add_entry(j, &own, buf_str(&text));
    buf_free(&text);
    return r;
}

int checkpoint_add(struct journal *j)
{
    struct chain *ch = &j->chain;
    struct checkpoint c;

    if (ch->others == 0)
        return 0;
    must(ch->tree.count == ch->end.seq - ch->tree_from + 1);
    fill_checkpoint(j, &c);
    int r = checkpoint_sign(&c, &j->signer);
    if (r < 0)
        return r;
    ch->tree.count = 0;
    ch->tree_from = c.to + 1;
    ch->others = 0;
    return add_checkpoint_text(j, &c);
}

int group_add(struct journal *j, const struct entry_origin *from, struct str payload)
{
    struct chain *ch = &j->chain;
    int r = add_entry(j, from ? from : &own, payload);

    if (r < 0)
        return r;
    if (from)
        ch->ring_end[from->ring] = from->end;
    if (ch->others++ == 0)
        ch->tree_since = clock_now();
    return ch->tree.count >= j->s.checkpoint_entries ? checkpoint_add(j) : 0;
}

/* --- rings --- */

bool rings_have(const struct journal *j)
{
    for (unsigned i = 0; i < j->n_rings; i++)
        if (j->rings[i].page && ring_has(&j->rings[i]))
            return true;
    return false;
}

static bool take_ring(struct journal *j, unsigned i)
{
    struct ring *ring = &j->rings[i];

    while (j->group.n < GROUP_BYTES) {
        struct ring_record *rec = ring_take(ring);
        if (!rec)
            return false;
        if (atomic_load_explicit(&rec->superseded, memory_order_acquire))
            continue;
        struct entry_origin from = {.ring = (int)i, .end = ring->cursor};
        int r = group_add(j, &from, str_at(rec->payload, rec->length));
        if (r < 0) {
            j->group.err = r; /* the group as a whole fails */
            return false;
        }
        atomic_store_explicit(
            &rec->seq, j->chain.end.seq, memory_order_relaxed); /* shown once the tail passes */
    }
    return true;
}

bool group_take(struct journal *j)
{
    bool more = false;

    for (unsigned i = 0; i < j->n_rings; i++)
        if (j->rings[i].page)
            more = take_ring(j, i) || more;
    return more;
}

/* --- segments --- */

int segment_open(struct journal *j, uint64_t first_seq, off_t size)
{
    char name[SEGMENT_NAME];

    segment_name(first_seq, name);
    int fd = openat(j->dir, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    int r = ftruncate(fd, size) < 0 ? -errno : dir_sync(j->dir);
    if (r < 0) {
        close(fd);
        return r;
    }
    if (j->segment_fd >= 0)
        close(j->segment_fd);
    j->segment_fd = fd;
    j->segment_first = first_seq;
    j->segment_size = j->segment_kept = size;
    return 0;
}

int write_at(int fd, struct str text, off_t at)
{
    while (text.n) {
        ssize_t n = journal_sys.pwrite(fd, text.p, text.n, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        text = str_from(text, (size_t)n);
        at += n;
    }
    return 0;
}

/* What fails stays in the buffer and is written with the next group. */
static void write_checkpoint_lines(struct journal *j)
{
    if (j->lines.n == 0 || write_at(j->checkpoints_fd, buf_str(&j->lines), j->checkpoints_size) < 0)
        return;
    j->checkpoints_size += (off_t)j->lines.n;
    buf_clear(&j->lines);
}

/* --- the group as a whole --- */

void group_begin(struct journal *j)
{
    *j->saved = j->chain;
    j->saved_lines = j->lines.n;
    for (unsigned i = 0; i < j->n_rings; i++)
        j->ring_saved[i] = j->rings[i].cursor;
    buf_clear(&j->group);
}

static void take_back(struct journal *j)
{
    j->chain = *j->saved;
    j->lines.n = j->saved_lines;
    j->lines.err = 0;
    for (unsigned i = 0; i < j->n_rings; i++)
        j->rings[i].cursor = j->ring_saved[i];
    buf_clear(&j->group);
    if (ftruncate(j->segment_fd, j->segment_size) < 0) {
        /* What is torn there will be written over; a start in between cuts it. */
    }
}

/* What was read by those who follow the chain need not stay in memory, and pages that are free are
 * cheaper than fresh ones. It is on the disk already. */
static void let_go(struct journal *j)
{
    off_t until = j->segment_size - (off_t)KEPT_BYTES;

    if (until - j->segment_kept < (off_t)KEPT_BYTES)
        return;
    (void)posix_fadvise(
        j->segment_fd, j->segment_kept, until - j->segment_kept, POSIX_FADV_DONTNEED);
    j->segment_kept = until;
}

static void publish(struct journal *j)
{
    atomic_store_explicit(&j->head->synced_seq, j->chain.end.seq, memory_order_release);
    for (unsigned i = 0; i < j->n_rings; i++)
        if (j->rings[i].page && j->rings[i].cursor != j->ring_saved[i])
            ring_release(&j->rings[i], j->rings[i].cursor);
}

static int write_group(struct journal *j)
{
    int r = j->group.err ? j->group.err : j->lines.err;

    if (r == 0)
        r = write_at(j->segment_fd, buf_str(&j->group), j->segment_size);
    if (r == 0 && journal_sys.fdatasync(j->segment_fd) < 0)
        r = -errno;
    return r;
}

int group_commit(struct journal *j)
{
    int64_t began = clock_now();

    int r = bodies_flush(&j->bodies);

    if (r == 0 && j->group.n == 0 && j->group.err == 0) {
        write_checkpoint_lines(j);
        return 0;
    }
    if (r == 0)
        r = write_group(j);
    if (r < 0) {
        take_back(j);
        return r;
    }
    j->segment_size += (off_t)j->group.n;
    journal_count_group(j->chain.end.seq - j->saved->end.seq, j->group.n, clock_now() - began);
    publish(j);
    write_checkpoint_lines(j);
    group_begin(j);
    let_go(j);
    if (j->segment_size >= (off_t)j->s.segment_bytes)
        segment_open(j, j->chain.end.seq + 1, 0); /* else the old one grows until it succeeds */
    return 0;
}
