/*
 * See files_int.h.
 */
#include "base/macros.h"
#include "journal/entry_int.h"
#include "journal/files_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_BYTES ((size_t)128 << 10)

static int read_on(int fd, struct buf *out, size_t want)
{
    int r = buf_reserve(out, want);

    if (r < 0)
        return r;
    ssize_t n = read(fd, out->p + out->n, want);
    if (n < 0)
        return errno == EINTR ? 1 : -errno;
    out->n += (size_t)n;
    return n > 0;
}

int file_read(int dir, const char *name, struct buf *out)
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC), r = 1;
    struct stat st;

    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) < 0 || S_ISDIR(st.st_mode))
        r = -EISDIR;
    else if (st.st_size > 0 && (uint64_t)st.st_size > out->max - out->n)
        r = -ENOBUFS;
    size_t want = r == 1 && st.st_size > 0 ? (size_t)st.st_size : 4096;
    while (r == 1)
        r = read_on(fd, out, MIN(want, out->max - out->n) + (out->n == out->max));
    close(fd);
    return r;
}

static int write_all(int fd, struct str text)
{
    while (text.n) {
        ssize_t n = write(fd, text.p, text.n);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        text = str_from(text, (size_t)n);
    }
    return fsync(fd) < 0 ? -errno : 0;
}

int dir_sync(int dir)
{
    return fsync(dir) < 0 ? -errno : 0;
}

static int take_blocks(int fd, off_t size)
{
    off_t was = lseek(fd, 0, SEEK_END);

    if (was < 0 || (was != size && ftruncate(fd, 0) < 0))
        return -errno;
    return -posix_fallocate(fd, 0, size);
}

int file_map(int dir, const char *name, bool make, size_t size, char **ret)
{
    int fd = openat(dir, name, O_RDWR | (make ? O_CREAT : 0) | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return -errno;
    int r = take_blocks(fd, (off_t)size);
    void *p = r < 0 ? MAP_FAILED : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (r == 0 && p == MAP_FAILED)
        r = -errno;
    if (r == 0) /* else its first page brings megabytes of zeros with it, as far as is read ahead */
        (void)madvise(p, size, MADV_RANDOM);
    close(fd);
    *ret = p;
    return r;
}

int file_write(int dir, const char *name, struct str text, mode_t mode)
{
    char temp[256];

    snprintf(temp, sizeof(temp), "%s.new", name);
    if (unlinkat(dir, temp, 0) < 0 && errno != ENOENT)
        return -errno;
    int fd = openat(dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0)
        return -errno;
    int r = write_all(fd, text);
    close(fd);
    if (r == 0 && renameat(dir, temp, dir, name) < 0)
        r = -errno;
    if (r < 0)
        unlinkat(dir, temp, 0);
    return r < 0 ? r : dir_sync(dir);
}

DIR *dir_names(int dir)
{
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

    if (!d && fd >= 0)
        close(fd);
    return d;
}

int file_numbers_end(int dir, struct str prefix, uint64_t *ret)
{
    DIR *d = dir_names(dir);
    struct dirent *e;
    uint64_t n;

    *ret = 0;
    if (!d)
        return -errno;
    while ((e = readdir(d))) {
        struct str name = str_of(e->d_name);
        if (str_starts(name, prefix) && str_u64(str_from(name, prefix.n), &n) == 0)
            *ret = MAX(*ret, n + 1);
    }
    closedir(d);
    return 0;
}

/* --- segments --- */

void segment_name(uint64_t first_seq, char out[static SEGMENT_NAME])
{
    snprintf(out, SEGMENT_NAME, "chain-%016llu.jsonl", (unsigned long long)first_seq);
}

static uint64_t segment_seq(struct str name)
{
    uint64_t seq = 0;

    if (!str_starts(name, STR("chain-")) || !str_ends(name, STR(".jsonl")) || name.n < 12 + 16)
        return 0;
    return str_u64(str_at(name.p + 6, name.n - 12), &seq) == 0 ? seq : 0;
}

static int by_seq(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static int collect(DIR *d, uint64_t **ret, size_t *ret_n)
{
    struct dirent *e;
    size_t cap = 0;

    while ((e = readdir(d))) {
        uint64_t seq = segment_seq(str_of(e->d_name));
        if (seq == 0)
            continue;
        if (*ret_n == cap) {
            cap = cap ? 2 * cap : 16;
            uint64_t *more = realloc(*ret, cap * sizeof(*more));
            if (!more)
                return -ENOMEM;
            *ret = more;
        }
        (*ret)[(*ret_n)++] = seq;
    }
    return 0;
}

int segment_list(int dir, uint64_t **ret, size_t *ret_n)
{
    DIR *d = dir_names(dir);

    *ret = NULL;
    *ret_n = 0;
    if (!d)
        return -errno;
    int r = collect(d, ret, ret_n);
    closedir(d);
    if (r < 0) {
        free(*ret);
        *ret = NULL;
        return r;
    }
    if (*ret_n)
        qsort(*ret, *ret_n, sizeof(**ret), by_seq);
    return 0;
}

/* --- lines --- */

void lines_init(struct lines *l, int fd, off_t from, size_t max)
{
    *l = (struct lines){.fd = fd, .offset = from, .max = max};
}

void lines_free(struct lines *l)
{
    free(l->p);
    l->p = NULL;
    l->n = l->at = l->cap = 0;
}

struct str lines_rest(const struct lines *l)
{
    return str_at(l->p ? l->p + l->at : NULL, l->n - l->at);
}

static int make_room(struct lines *l)
{
    if (l->at) {
        memmove(l->p, l->p + l->at, l->n - l->at);
        l->n -= l->at;
        l->at = 0;
    }
    if (l->n < l->cap)
        return 0;
    if (l->cap >= l->max)
        return -EMSGSIZE;
    size_t cap = l->cap ? MIN(2 * l->cap, l->max) : MIN(READ_BYTES, l->max);
    char *more = realloc(l->p, cap);
    if (!more)
        return -ENOMEM;
    l->p = more;
    l->cap = cap;
    return 0;
}

/* 1 when bytes came. */
static int read_more(struct lines *l, off_t limit)
{
    off_t from = l->offset + (off_t)(l->n - l->at);

    if (from >= limit)
        return 0;
    int r = make_room(l);
    if (r < 0)
        return r;
    size_t want = (size_t)MIN((off_t)(l->cap - l->n), limit - from);
    ssize_t n = pread(l->fd, l->p + l->n, want, from);
    if (n < 0)
        return errno == EINTR ? 1 : -errno;
    l->n += (size_t)n;
    return n > 0;
}

int lines_next(struct lines *l, off_t limit, struct str *ret)
{
    size_t seen = 0;

    for (;;) {
        struct str rest = lines_rest(l);
        const char *end = rest.n > seen ? memchr(rest.p + seen, '\n', rest.n - seen) : NULL;
        if (end) {
            *ret = str_at(rest.p, (size_t)(end - rest.p));
            l->at += ret->n + 1;
            l->offset += (off_t)ret->n + 1;
            return 1;
        }
        seen = rest.n;
        int r = read_more(l, limit);
        if (r <= 0)
            return r;
    }
}
