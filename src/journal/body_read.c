/*
 * Finding a body again by the reference of its last piece: the pieces are followed back to the
 * first, and then read, or overwritten, in order. References only ever lead to places written
 * before, which is checked, so that a damaged file cannot lead in a circle. A coroutine gives the
 * work to the offload pool.
 */
#include "base/limits.h"
#include "journal/bodies_int.h"
#include "journal/journal_int.h"
#include "runtime/co.h"
#include "runtime/offload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_NS   (30 * NS_PER_S)
#define FLUSH_NS      (5 * NS_PER_S)
#define FLUSH_LOOK_NS (2 * NS_PER_MS)
#define PIECES_MAX    ((size_t)1 << 20)

struct piece_at {
    uint64_t ref;
    uint32_t length;
};

struct pieces { /* last first */
    struct piece_at *p;
    size_t n, cap;
};

/* The file that was used last stays open: mostly all pieces lie in one. */
struct files {
    int dir, fd;
    uint64_t open; /* the reference without its offset */
};

static int file_of(struct files *f, uint64_t ref)
{
    char name[BODY_NAME];

    if (f->fd >= 0 && f->open == ref >> BODY_OFFSET_BITS)
        return 0;
    if (f->fd >= 0)
        close(f->fd);
    body_file_name(body_ref_ring(ref), body_ref_number(ref), name);
    f->fd = openat(f->dir, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    f->open = ref >> BODY_OFFSET_BITS;
    return f->fd < 0 ? -errno : 0;
}

static int add_piece(struct pieces *all, uint64_t ref, uint32_t length)
{
    if (all->n == PIECES_MAX)
        return -EIO;
    if (all->n == all->cap) {
        size_t cap = all->cap ? 2 * all->cap : 16;
        struct piece_at *more = realloc(all->p, cap * sizeof(*more));
        if (!more)
            return -ENOMEM;
        all->p = more;
        all->cap = cap;
    }
    all->p[all->n++] = (struct piece_at){.ref = ref, .length = length};
    return 0;
}

static int find_pieces(struct files *f, uint64_t ref, struct pieces *all)
{
    struct body_piece head;

    for (uint64_t next; ref; ref = next) {
        int r = body_ref_offset(ref) < sizeof(struct body_head) ? -ENOENT : file_of(f, ref);
        if (r < 0)
            return r;
        ssize_t n = pread(f->fd, &head, sizeof(head), (off_t)body_ref_offset(ref));
        if (n < 0)
            return -errno;
        if (n < (ssize_t)sizeof(head) || head.magic == 0 || head.magic == BODY_ERASED_MAGIC)
            return -ENOENT;
        if (head.magic != BODY_PIECE_MAGIC || head.length > BODY_FILE_BYTES || head.before >= ref)
            return -EIO;
        next = head.before;
        r = add_piece(all, ref, head.length);
        if (r < 0)
            return r;
    }
    return all->n ? 0 : -ENOENT;
}

static off_t bytes_at(uint64_t ref)
{
    return (off_t)(body_ref_offset(ref) + sizeof(struct body_piece));
}

static int read_piece(struct files *f, const struct piece_at *p, struct buf *out)
{
    int r = file_of(f, p->ref);

    if (r == 0)
        r = buf_reserve(out, p->length);
    if (r < 0)
        return r;
    ssize_t n = pread(f->fd, out->p + out->n, p->length, bytes_at(p->ref));
    if (n < 0)
        return -errno;
    if (n != (ssize_t)p->length)
        return -EIO;
    out->n += (size_t)n;
    return 0;
}

/* The bytes first, the mark last: what was interrupted is found by a second try. */
static int erase_piece(struct files *f, const struct piece_at *p)
{
    static const char zeros[4096];
    const uint32_t mark = BODY_ERASED_MAGIC;
    int r = file_of(f, p->ref);

    for (uint32_t done = 0, part; r == 0 && done < p->length; done += part) {
        part = MIN(p->length - done, (uint32_t)sizeof(zeros));
        if (pwrite(f->fd, zeros, part, bytes_at(p->ref) + done) != (ssize_t)part)
            r = -EIO;
    }
    if (r == 0 && pwrite(f->fd, &mark, sizeof(mark), (off_t)body_ref_offset(p->ref)) < 0)
        r = -errno;
    return r == 0 && fdatasync(f->fd) < 0 ? -errno : r;
}

/* --- jobs --- */

struct job {
    int dir;
    uint64_t ref;
    bool erase;
    struct buf text;
};

static int work(void *data)
{
    struct job *job = data;
    struct files f = {.dir = job->dir, .fd = -1};
    struct pieces all = {0};
    int r = find_pieces(&f, job->ref, &all);

    for (size_t i = all.n; r == 0 && !job->erase && i-- > 0;)
        r = read_piece(&f, &all.p[i], &job->text);
    for (size_t i = all.n; r == 0 && job->erase && i-- > 0;)
        r = erase_piece(&f, &all.p[i]);
    if (f.fd >= 0)
        close(f.fd);
    free(all.p);
    return r;
}

static void drop(void *data)
{
    struct job *job = data;

    close(job->dir);
    buf_free(&job->text);
    free(job);
}

/* What is staged yet comes with the next group. */
static int await_flushed(struct journal *j, uint64_t ref)
{
    int64_t deadline = clock_now() + FLUSH_NS;

    while (!bodies_is_flushed(&j->bodies, ref)) {
        int64_t now = clock_now();
        if (now > deadline)
            return -ETIMEDOUT;
        writer_urge(j);
        if (co_self()) {
            if (co_sleep_until(now + FLUSH_LOOK_NS) < 0)
                return -ECANCELED;
        } else {
            nanosleep(&(struct timespec){.tv_nsec = FLUSH_LOOK_NS}, NULL);
        }
    }
    return 0;
}

/* A folder descriptor of its own, as the job may outlive the journal. */
static int run(struct journal *j, uint64_t ref, bool erase, size_t max, struct buf *out)
{
    int flushed = await_flushed(j, ref);
    struct job *job = flushed < 0 ? NULL : calloc(1, sizeof(*job));

    if (!job)
        return flushed < 0 ? flushed : -ENOMEM;
    *job = (struct job){.dir = fcntl(j->dir, F_DUPFD_CLOEXEC, 0), .ref = ref, .erase = erase};
    buf_init(&job->text, max);
    if (job->dir < 0) {
        free(job);
        return -errno;
    }
    int r = co_self() ? offload_run(work, job, drop, clock_now() + PATIENCE_NS) : work(job);
    if (co_self() && (r == -ETIMEDOUT || r == -ECANCELED))
        return r;
    if (r == 0 && out)
        r = buf_addstr(out, buf_str(&job->text));
    drop(job);
    return r;
}

int journal_body_read(struct journal *j, uint64_t ref, struct buf *out)
{
    return run(j, ref, false, out->max - out->n, out);
}

int journal_body_erase(struct journal *j, uint64_t ref)
{
    int r = run(j, ref, true, 0, NULL);

    if (r == 0 && body_ref_ring(ref) < j->bodies.n_slots)
        stage_wipe(&j->bodies.slots[body_ref_ring(ref)]);
    return r;
}
