/*
 * The files that bodies lie in, and the writer thread's work on them: what is staged is written to
 * its place, full files and old ones are sealed, expired ones deleted. See bodies_int.h. A file
 * that a killed process left is sealed at the next start, with the time of its last change.
 */
#include "journal/bodies_int.h"
#include "journal/files_int.h"
#include "journal/journal_int.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC       "sfbody2"
#define SWEEP_NS    (60 * NS_PER_S)
#define SEAL_MOST   (3600 * NS_PER_S) /* with a retention: a file is sealed at least so often */
#define NUMBER_MOST ((1u << BODY_NUMBER_BITS) - 1)

void body_file_name(unsigned ring, uint32_t number, char out[static BODY_NAME])
{
    snprintf(out, BODY_NAME, "bodies-%u-%u", ring, number);
}

bool body_file_parse(const char *name, unsigned *ret_ring, uint32_t *ret_number)
{
    struct str s = str_of(name);
    uint64_t ring, number;

    if (!str_starts(s, STR("bodies-")))
        return false;
    s = str_from(s, 7);
    struct str first = str_split(&s, '-');
    if (str_u64(first, &ring) < 0 || str_u64(s, &number) < 0 || ring >= RINGS_MAX ||
        number > NUMBER_MOST)
        return false;
    *ret_ring = (unsigned)ring;
    *ret_number = (uint32_t)number;
    return true;
}

/* --- writing --- */

static int write_head(int fd, int64_t sealed)
{
    struct body_head h = {.made = clock_wall(), .sealed = sealed};

    memcpy(h.magic, MAGIC, sizeof(MAGIC));
    return write_at(fd, str_at((const char *)&h, sizeof(h)), 0);
}

static int mark_sealed(int fd, int64_t at)
{
    const struct str text = str_at((const char *)&at, sizeof(at));

    return write_at(fd, text, offsetof(struct body_head, sealed));
}

static void close_file(struct body_slot *s)
{
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

static void close_sealed(struct body_slot *s)
{
    if (s->sealed_fd < 0)
        return;
    (void)posix_fadvise(s->sealed_fd, 0, 0, POSIX_FADV_DONTNEED);
    close(s->sealed_fd);
    s->sealed_fd = -1;
}

static void close_both(struct body_slot *s)
{
    close_sealed(s);
    close_file(s);
}

/* Its size in *ret_size: more than a head only when a killed process wrote it. */
static int open_file(const struct bodies *b, struct body_slot *s, uint32_t number, off_t *ret_size)
{
    char name[BODY_NAME];
    struct stat st;

    *ret_size = 0;
    if (s->fd >= 0 && s->number == number)
        return 0;
    close_file(s);
    body_file_name(s->ring, number, name);
    int fd = openat(b->dir, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    int r = fstat(fd, &st) < 0 ? -errno : 0;
    if (r == 0 && st.st_size < (off_t)sizeof(struct body_head))
        r = write_head(fd, 0);
    if (r < 0) {
        close(fd);
        return r;
    }
    s->fd = fd;
    s->number = number;
    s->made = clock_now();
    s->kept_from = 0;
    *ret_size = st.st_size;
    return 0;
}

/* Bodies are written once and seldom read. So the kernel is told to bring the span to the disk, and
 * to let go of the one before, which is there by now: else they would push out of memory what is
 * read, and each would take fresh pages, which was most of the writer's time. It waits for no
 * writing; where the disk is slow, more stays in memory. */
static void let_go(struct body_slot *s, off_t from, off_t until)
{
    off_t first = MIN(s->kept_from, from);

    (void)posix_fadvise(s->fd, first, until - first, POSIX_FADV_DONTNEED);
    s->kept_from = from;
}

/* What a file has already is not written again: after the machine stopped, the stage may be older.
 */
static int write_span(const struct bodies *b, struct body_slot *s, uint64_t from, uint64_t until)
{
    uint32_t number = (uint32_t)(from / BODY_FILE_BYTES);
    off_t size;
    int r = open_file(b, s, number, &size);

    from = MAX(from, number * BODY_FILE_BYTES + (uint64_t)size);
    off_t first = (off_t)(from % BODY_FILE_BYTES), end = first;
    while (r == 0 && from < until) {
        uint64_t in_data = (from - s->page->base) % STAGE_BYTES;
        size_t n = (size_t)MIN(until - from, STAGE_BYTES - in_data);
        r = write_at(s->fd, str_at(s->data + in_data, n), end);
        from += n;
        end += (off_t)n;
    }
    if (r == 0)
        let_go(s, first, end);
    return r;
}

/* --- sealing --- */

static void seal(struct body_slot *s, uint32_t number)
{
    if (s->fd >= 0 && s->number == number)
        (void)mark_sealed(s->fd, clock_wall()); /* else the next start does it */
    close_sealed(s);
    s->sealed_fd = s->fd;
    s->fd = -1;
}

/* Where the pieces of at's file end. */
static uint64_t end_of_pieces(const struct body_slot *s, uint64_t at, uint64_t head)
{
    uint64_t end = at - at % BODY_FILE_BYTES + BODY_FILE_BYTES;

    if (head < end)
        return head; /* the producer may be writing skip_from */
    uint64_t skip = s->page->skip_from;
    return skip >= at && skip < end ? skip : end;
}

static int flush_slot(const struct bodies *b, struct body_slot *s)
{
    uint64_t head = atomic_load_explicit(&s->page->head, memory_order_acquire);
    uint64_t at = atomic_load_explicit(&s->page->tail, memory_order_relaxed);
    int r = 0;

    while (r == 0 && at < head) {
        uint64_t start = at - at % BODY_FILE_BYTES, stop = end_of_pieces(s, at, head);
        uint64_t from = MAX(at, start + sizeof(struct body_head));
        if (from < stop)
            r = write_span(b, s, from, stop);
        if (r == 0 && head >= start + BODY_FILE_BYTES) {
            seal(s, (uint32_t)(start / BODY_FILE_BYTES));
            stop = start + BODY_FILE_BYTES;
        }
        at = r == 0 ? stop : at;
    }
    atomic_store_explicit(&s->page->tail, at, memory_order_release);
    return r;
}

void bodies_release(struct bodies *b)
{
    for (unsigned i = 0; i < b->n_slots; i++)
        stage_release(&b->slots[i]);
    b->next_release = clock_now() + NS_PER_S;
}

int bodies_flush(struct bodies *b)
{
    int r = 0;

    for (unsigned i = 0; i < b->n_slots; i++) {
        int one = flush_slot(b, &b->slots[i]);
        r = r < 0 ? r : one;
    }
    if (clock_now() >= b->next_release)
        bodies_release(b);
    return r;
}

bool bodies_have(const struct bodies *b)
{
    for (unsigned i = 0; i < b->n_slots; i++)
        if (atomic_load(&b->slots[i].page->head) != atomic_load(&b->slots[i].page->tail))
            return true;
    return false;
}

bool bodies_is_flushed(const struct bodies *b, uint64_t ref)
{
    unsigned ring = body_ref_ring(ref);
    uint64_t at = body_position(ref);

    if (ring >= b->n_slots)
        return true;
    const struct stage_page *p = b->slots[ring].page;
    return at < atomic_load(&p->tail) || at >= atomic_load(&p->head);
}

/* So that retention can delete it in time. */
static void seal_old(struct bodies *b, int64_t now)
{
    int64_t most = MIN(b->retention / 8, SEAL_MOST);

    for (unsigned i = 0; b->retention && i < b->n_slots; i++) {
        struct body_slot *s = &b->slots[i];
        if (s->fd < 0 || now - s->made <= most)
            continue;
        if (stage_leave_file(s))
            seal(s, s->number);
    }
}

/* What expires must not lie on in the stage of a quiet thread. */
static void wipe_old(struct bodies *b, int64_t now)
{
    int64_t most = MIN(b->retention / 8, SEAL_MOST);

    for (unsigned i = 0; b->retention && i < b->n_slots; i++) {
        struct body_slot *s = &b->slots[i];
        uint64_t head = atomic_load(&s->page->head);
        if (head == s->wiped_head || now - s->wiped_at <= most)
            continue;
        stage_wipe(s);
        s->wiped_head = head;
        s->wiped_at = now;
    }
}

static void seal_left(struct bodies *b, const char *name)
{
    int fd = openat(b->dir, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    struct body_head h;
    struct stat st;

    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && pread(fd, &h, sizeof(h), 0) == (ssize_t)sizeof(h) && h.sealed == 0)
        (void)mark_sealed(fd, st.st_mtim.tv_sec * NS_PER_S + st.st_mtim.tv_nsec);
    close(fd);
}

/* --- putting --- */

uint64_t bodies_put(struct bodies *b, unsigned ring, uint64_t before, struct str piece)
{
    must(ring < b->n_slots);
    struct body_slot *s = &b->slots[ring];
    pthread_mutex_lock(&s->lock);
    uint64_t ref = stage_put(s, before, piece);
    pthread_mutex_unlock(&s->lock);
    return ref;
}

/* As far as the producer knows: it looks at the tail anew once it has to. */
bool bodies_press(const struct bodies *b, unsigned ring)
{
    const struct stage_page *p = b->slots[ring].page;
    uint64_t head = atomic_load_explicit(&p->head, memory_order_relaxed);

    return head - atomic_load_explicit(&p->tail, memory_order_relaxed) > STAGE_URGE;
}

/* --- the folder --- */

static void each_file(
    struct bodies *b, void (*fn)(struct bodies *, const char *, void *), void *arg)
{
    DIR *d = dir_names(b->dir);
    struct dirent *e;
    unsigned ring;
    uint32_t number;

    if (!d)
        return;
    while ((e = readdir(d)))
        if (body_file_parse(e->d_name, &ring, &number))
            fn(b, e->d_name, arg);
    closedir(d);
}

static void meet_at_start(struct bodies *b, const char *name, void *arg)
{
    uint64_t *next = arg; /* position by ring */
    unsigned ring;
    uint32_t number;

    if (!body_file_parse(name, &ring, &number))
        return;
    next[ring] = MAX(next[ring], (number + UINT64_C(1)) * BODY_FILE_BYTES);
    seal_left(b, name);
}

static void delete_old(struct bodies *b, const char *name, void *arg)
{
    int64_t oldest = *(int64_t *)arg;
    int fd = openat(b->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct body_head h;

    if (fd < 0)
        return;
    bool old = pread(fd, &h, sizeof(h), 0) == (ssize_t)sizeof(h) && h.sealed && h.sealed < oldest;
    close(fd);
    if (old)
        unlinkat(b->dir, name, 0);
}

void bodies_sweep(struct bodies *b, int64_t wall_now)
{
    int64_t oldest = wall_now - b->retention;

    if (b->retention)
        each_file(b, delete_old, &oldest);
}

/* --- the writer's round --- */

int64_t bodies_tend(struct bodies *b)
{
    int64_t now = clock_now();

    if (now < b->next_sweep)
        return b->next_sweep;
    seal_old(b, now);
    wipe_old(b, now);
    bodies_sweep(b, clock_wall());
    b->next_sweep =
        now + (b->retention ? MAX(MIN(b->retention / 8, SWEEP_NS), NS_PER_S) : SWEEP_NS);
    return b->next_sweep;
}

/* --- life --- */

/* What a process that had more threads left staged. */
static int flush_left(struct bodies *b)
{
    uint64_t end;
    int r = file_numbers_end(b->dir, STR("stage-"), &end);

    for (unsigned i = b->n_slots; r == 0 && i < MIN(end, RINGS_MAX); i++) {
        struct body_slot s = {.fd = -1, .sealed_fd = -1};
        r = stage_open(b->dir, i, false, &s);
        if (r == -ENOENT) {
            r = 0;
            continue;
        }
        if (r == 0)
            r = flush_slot(b, &s);
        if (r == 0)
            stage_delete(b->dir, &s);
        close_both(&s);
        stage_close(&s);
    }
    return r;
}

int bodies_open(struct bodies *b, int dir, unsigned slots, size_t body_max, int64_t retention)
{
    uint64_t next[RINGS_MAX] = {0};
    int r = 0;

    *b = (struct bodies){.dir = dir,
        .body_max = MIN(body_max ? body_max : BODY_MAX_DEFAULT, BODY_MAX_MOST),
        .retention = retention};
    b->slots = calloc(slots, sizeof(*b->slots));
    if (!b->slots)
        return -ENOMEM;
    for (; r == 0 && b->n_slots < slots; b->n_slots += r == 0) {
        pthread_mutex_init(&b->slots[b->n_slots].lock, NULL);
        r = stage_open(dir, b->n_slots, true, &b->slots[b->n_slots]);
    }
    if (r == 0)
        r = flush_left(b);
    if (r == 0)
        r = bodies_flush(b);
    if (r < 0)
        return r;
    each_file(b, meet_at_start, next);
    for (unsigned i = 0; i < b->n_slots; i++) {
        close_both(&b->slots[i]);
        stage_go_on_at(&b->slots[i], next[i]);
    }
    bodies_tend(b);
    return 0;
}

void bodies_close(struct bodies *b)
{
    for (unsigned i = 0; i < b->n_slots; i++) {
        struct body_slot *s = &b->slots[i];
        if (flush_slot(b, s) == 0) {
            seal(s, s->number);
            stage_delete(b->dir, s);
        }
        close_both(s);
        stage_close(s);
        pthread_mutex_destroy(&s->lock);
    }
    free(b->slots);
    *b = (struct bodies){0};
}
