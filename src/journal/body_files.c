/*
 * The files that bodies lie in, and the writer thread's work on them. See bodies_int.h.
 *
 * A sealed file is cut to what is used of it. One that a killed process left is sealed at the next
 * start, with the time of its last change.
 */
#include "journal/bodies_int.h"
#include "journal/journal_int.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC       "sfbody1"
#define SWEEP_NS    (60 * NS_PER_S)
#define SEAL_MOST   (3600 * NS_PER_S) /* with a retention: a file is sealed at least so often */
#define PAGE        ((size_t)4096)
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

static struct body_head *head_of(const struct body_file *f)
{
    return (struct body_head *)f->map;
}

/* --- making --- */

static int map_file(int fd, struct body_file *f)
{
    int r = -posix_fallocate(fd, 0, (off_t)BODY_FILE_BYTES);

    if (r < 0)
        return r;
    f->map = mmap(NULL, BODY_FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (f->map == MAP_FAILED)
        return -errno;
    struct body_head *h = head_of(f);
    memcpy(h->magic, MAGIC, sizeof(MAGIC));
    h->made = clock_wall();
    f->made = clock_now();
    f->used = sizeof(*h);
    atomic_store(&h->used, f->used);
    return 0;
}

static struct body_file *make_file(struct bodies *b, unsigned ring)
{
    struct body_file *f = calloc(1, sizeof(*f));
    char name[BODY_NAME];

    if (!f || b->numbers[ring] > NUMBER_MOST) {
        free(f);
        return NULL;
    }
    f->ring = ring;
    f->number = b->numbers[ring];
    body_file_name(ring, f->number, name);
    int fd = openat(b->dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    int r = fd < 0 ? -errno : map_file(fd, f);
    if (fd >= 0)
        close(fd);
    if (r < 0) {
        if (fd >= 0)
            unlinkat(b->dir, name, 0);
        free(f);
        return NULL;
    }
    b->numbers[ring]++;
    return f;
}

/* --- sealing --- */

/* Cuts the file to its used part; a file without a piece goes away. */
static void cut_file(struct bodies *b, const char *name, uint64_t used)
{
    if (used <= sizeof(struct body_head)) {
        unlinkat(b->dir, name, 0);
        return;
    }
    int fd = openat(b->dir, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return;
    if (ftruncate(fd, (off_t)used) < 0) {
        /* It stays as long as it was, which only costs space. */
    }
    close(fd);
}

static void seal(struct bodies *b, unsigned ring, struct body_file *f)
{
    char name[BODY_NAME];

    body_file_name(ring, f->number, name);
    head_of(f)->sealed = clock_wall();
    munmap(f->map, BODY_FILE_BYTES);
    cut_file(b, name, f->used);
    free(f);
}

static void seal_full(struct bodies *b)
{
    pthread_mutex_lock(&b->full_lock);
    struct body_file *f = b->full;
    b->full = NULL;
    pthread_mutex_unlock(&b->full_lock);
    for (struct body_file *next; f; f = next) {
        next = f->next;
        seal(b, f->ring, f);
    }
}

/* So that retention can delete it in time. */
static void seal_old(struct bodies *b, int64_t now)
{
    int64_t most = MIN(b->retention / 8, SEAL_MOST);

    for (unsigned i = 0; b->retention && i < b->n_slots; i++) {
        struct body_file *f = atomic_load(&b->slots[i].current);
        if (f && now - f->made > most &&
            atomic_compare_exchange_strong(&b->slots[i].current, &f, NULL))
            seal(b, i, f);
    }
}

static void seal_left(struct bodies *b, const char *name)
{
    int fd = openat(b->dir, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    struct body_head h;
    struct stat st;
    uint64_t used = 0;

    if (fd < 0)
        return;
    bool read_it = fstat(fd, &st) == 0 && st.st_size == (off_t)BODY_FILE_BYTES &&
                   pread(fd, &h, sizeof(h), 0) == (ssize_t)sizeof(h) && h.sealed == 0;
    if (read_it) {
        used = memcmp(h.magic, MAGIC, sizeof(MAGIC)) == 0 ? atomic_load(&h.used) : 0;
        h.sealed = st.st_mtim.tv_sec * NS_PER_S + st.st_mtim.tv_nsec;
        if (pwrite(fd, &h, sizeof(h), 0) < 0)
            read_it = false;
    }
    close(fd);
    if (read_it)
        cut_file(b, name, MIN(used, (uint64_t)BODY_FILE_BYTES));
}

/* --- the folder --- */

static void each_file(
    struct bodies *b, void (*fn)(struct bodies *, const char *, void *), void *arg)
{
    int fd = openat(b->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    struct dirent *e;
    unsigned ring;
    uint32_t number;

    if (!d) {
        if (fd >= 0)
            close(fd);
        return;
    }
    while ((e = readdir(d)))
        if (body_file_parse(e->d_name, &ring, &number))
            fn(b, e->d_name, arg);
    closedir(d);
}

static void meet_at_start(struct bodies *b, const char *name, void *arg)
{
    unsigned ring;
    uint32_t number;

    if (!body_file_parse(name, &ring, &number))
        return;
    if (ring < b->n_slots)
        b->numbers[ring] = MAX(b->numbers[ring], number + 1);
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

static void make_ready(struct bodies *b)
{
    for (unsigned i = 0; i < b->n_slots; i++) {
        if (atomic_load(&b->slots[i].next))
            continue;
        struct body_file *f = make_file(b, i);
        if (!f) {
            atomic_store(&b->wanted, true); /* again in the next round */
            return;
        }
        atomic_store(&b->slots[i].next, f);
    }
}

void bodies_release(struct bodies *b)
{
    for (unsigned i = 0; i < b->n_slots; i++) {
        struct body_file *f = atomic_load(&b->slots[i].current);
        if (!f)
            continue;
        size_t used = (size_t)atomic_load(&head_of(f)->used) & ~(PAGE - 1);
        if (used < f->released + BODY_RELEASE)
            continue;
        madvise(f->map + f->released, used - f->released, MADV_DONTNEED);
        f->released = used;
    }
}

int64_t bodies_tend(struct bodies *b)
{
    int64_t now = clock_now();

    atomic_store(&b->wanted, false);
    seal_full(b);
    make_ready(b);
    if (now < b->next_sweep)
        return b->next_sweep;
    seal_old(b, now);
    bodies_sweep(b, clock_wall());
    b->next_sweep =
        now + (b->retention ? MAX(MIN(b->retention / 8, SWEEP_NS), NS_PER_S) : SWEEP_NS);
    return b->next_sweep;
}

/* --- life --- */

int bodies_open(struct bodies *b, int dir, unsigned slots, size_t body_max, int64_t retention)
{
    *b = (struct bodies){.dir = dir,
        .n_slots = slots,
        .body_max = MIN(body_max ? body_max : BODY_MAX_DEFAULT, BODY_MAX_MOST),
        .retention = retention};
    pthread_mutex_init(&b->other_lock, NULL);
    pthread_mutex_init(&b->full_lock, NULL);
    b->slots = calloc(slots, sizeof(*b->slots));
    b->numbers = calloc(slots, sizeof(*b->numbers));
    if (!b->slots || !b->numbers)
        return -ENOMEM;
    each_file(b, meet_at_start, NULL);
    bodies_tend(b);
    return 0;
}

void bodies_close(struct bodies *b)
{
    if (!b->n_slots)
        return;
    seal_full(b);
    for (unsigned i = 0; b->slots && i < b->n_slots; i++) {
        struct body_file *current = atomic_load(&b->slots[i].current);
        struct body_file *next = atomic_load(&b->slots[i].next);
        if (current)
            seal(b, i, current);
        if (next)
            seal(b, i, next);
    }
    free(b->slots);
    free(b->numbers);
    pthread_mutex_destroy(&b->other_lock);
    pthread_mutex_destroy(&b->full_lock);
    *b = (struct bodies){0};
}
