/*
 * Reading the chain in order while it grows. How far it is synced stands in the head file, which is
 * mapped; what lies behind that is not even kept in memory, as a failed group may still change it.
 * A folder without a head file is a copy, and all of it counts. Where to start comes from
 * checkpoints.jsonl, so that opening near the end of a large segment reads little.
 */
#include "journal/files_int.h"
#include "journal/journal_int.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct journal_reader {
    int dir, fd; /* fd < 0: the segment that holds next_seq is not open */
    struct head_page *head;
    uint64_t next_seq, wanted_seq;
    struct lines lines;
    struct buf canonical;
};

static void map_head(struct journal_reader *r)
{
    int fd = openat(r->dir, HEAD_FILE, O_RDONLY | O_CLOEXEC);
    struct stat st;

    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && st.st_size >= HEAD_FILE_BYTES) {
        void *p = mmap(NULL, HEAD_FILE_BYTES, PROT_READ, MAP_SHARED, fd, 0);
        r->head = p == MAP_FAILED ? NULL : p;
    }
    close(fd);
}

static uint64_t synced(const struct journal_reader *r)
{
    return r->head ? atomic_load_explicit(&r->head->synced_seq, memory_order_acquire) : UINT64_MAX;
}

static int open_segment(struct journal_reader *r, uint64_t first, off_t offset)
{
    char name[SEGMENT_NAME];

    segment_name(first, name);
    int fd = openat(r->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    if (r->fd >= 0)
        close(r->fd);
    lines_free(&r->lines);
    lines_init(&r->lines, fd, offset, ENTRY_BYTES);
    r->fd = fd;
    return 1;
}

/* The newest checkpoint that ends before the wanted entry. */
static bool find_checkpoint(struct journal_reader *r, uint64_t segment, struct checkpoint *ret)
{
    int fd = openat(r->dir, CHECKPOINTS_FILE, O_RDONLY | O_CLOEXEC);
    struct checkpoint c;
    struct lines l;
    struct str line;
    bool found = false;

    if (fd < 0)
        return false;
    lines_init(&l, fd, 0, CHECKPOINT_BYTES);
    while (lines_next(&l, INT64_MAX, &line) == 1 && checkpoint_read(line, &c) == 0 &&
           c.to < r->wanted_seq) {
        if (c.segment == segment) {
            *ret = c;
            found = true;
        }
    }
    lines_free(&l);
    close(fd);
    return found;
}

/* Opens the segment that holds the wanted entry, or the first one when it is gone. */
static int seek(struct journal_reader *r)
{
    uint64_t *list;
    struct checkpoint c;
    size_t n, i = 0;
    int err = segment_list(r->dir, &list, &n);

    if (err < 0 || n == 0)
        return err;
    while (i + 1 < n && list[i + 1] <= r->wanted_seq)
        i++;
    uint64_t first = list[i];
    free(list);
    r->next_seq = first;
    if (r->wanted_seq > first && find_checkpoint(r, first, &c)) {
        r->next_seq = c.to + 1;
        return open_segment(r, first, (off_t)c.offset);
    }
    return open_segment(r, first, 0);
}

int journal_reader_open(const char *dir, uint64_t from_seq, struct journal_reader **ret)
{
    struct journal_reader *r = calloc(1, sizeof(*r));

    if (!r)
        return -ENOMEM;
    r->fd = -1;
    r->wanted_seq = MAX(from_seq, (uint64_t)1);
    buf_init(&r->canonical, ENTRY_BYTES + 16);
    r->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int err = r->dir < 0 ? -errno : 0;
    if (err == 0) {
        map_head(r);
        err = seek(r);
    }
    if (err < 0) {
        journal_reader_close(r);
        return err;
    }
    *ret = r;
    return 0;
}

void journal_reader_close(struct journal_reader *r)
{
    if (!r)
        return;
    if (r->fd >= 0)
        close(r->fd);
    if (r->dir >= 0)
        close(r->dir);
    if (r->head)
        munmap(r->head, HEAD_FILE_BYTES);
    lines_free(&r->lines);
    buf_free(&r->canonical);
    free(r);
}

/* The next line, in this segment or the one that begins where this one ends. 1, 0, -errno. */
static int next_line(struct journal_reader *r, struct str *ret)
{
    int got = lines_next(&r->lines, INT64_MAX, ret);

    if (got == 0 && open_segment(r, r->next_seq, 0) == 1)
        got = lines_next(&r->lines, INT64_MAX, ret);
    return got == -EMSGSIZE ? -EIO : got;
}

static int read_entry(struct journal_reader *r, struct str line, struct journal_entry *ret)
{
    if (!entry_read(line, ret) || ret->seq != r->next_seq)
        return -EIO;
    buf_clear(&r->canonical);
    if (entry_hashed(line, &r->canonical) < 0)
        return -EIO;
    ret->canonical = str_from(buf_str(&r->canonical), HASHED_PREFIX);
    r->next_seq++;
    return 1;
}

int journal_reader_next(struct journal_reader *r, struct journal_entry *ret)
{
    struct str line;
    int got = r->fd < 0 ? seek(r) : 1;

    while (got == 1) {
        if (r->next_seq > synced(r)) {
            r->lines.n = r->lines.at = 0; /* may still change */
            return 0;
        }
        got = next_line(r, &line);
        if (got == 1)
            got = read_entry(r, line, ret);
        if (got == 1 && ret->seq >= r->wanted_seq)
            break;
    }
    return got;
}
