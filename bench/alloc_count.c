/*
 * Counts heap allocations of a program it is preloaded into (LD_PRELOAD), for the hot path's row of
 * the bench. The counters stand in a file that is mapped shared, named by BENCH_ALLOC_COUNTS, so
 * the bench reads them while the program runs: before and after a stretch of traffic.
 *
 * The functions are thin shells around glibc's own, which are there under a second name; nothing is
 * looked up at run time, so there is no first call that would need memory itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t count, size_t n);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);
void __libc_free(void *p);

/* The order in which the bench reads them. */
struct counts {
    uint64_t allocations; /* malloc, calloc, aligned ones, and realloc of what was nothing */
    uint64_t growths;     /* realloc of what was something */
    uint64_t frees;
    uint64_t bytes;
};

static struct counts unmapped;
static struct counts *counts = &unmapped;

static void count(uint64_t *counter, uint64_t n)
{
    __atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

__attribute__((constructor)) static void map_counts(void)
{
    const char *file = getenv("BENCH_ALLOC_COUNTS");
    int fd = file ? open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;

    if (fd < 0)
        return;
    if (ftruncate(fd, sizeof *counts) == 0) {
        void *p = mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (p != MAP_FAILED)
            counts = p;
    }
    close(fd);
}

static void count_allocation(size_t n)
{
    count(&counts->allocations, 1);
    count(&counts->bytes, n);
}

void *malloc(size_t n)
{
    count_allocation(n);
    return __libc_malloc(n);
}

void *calloc(size_t times, size_t n)
{
    count_allocation(times * n);
    return __libc_calloc(times, n);
}

void *realloc(void *p, size_t n)
{
    if (p) {
        count(&counts->growths, 1);
        count(&counts->bytes, n);
    } else {
        count_allocation(n);
    }
    return __libc_realloc(p, n);
}

void *memalign(size_t align, size_t n);
void *memalign(size_t align, size_t n)
{
    count_allocation(n);
    return __libc_memalign(align, n);
}

void *aligned_alloc(size_t align, size_t n)
{
    return memalign(align, n);
}

int posix_memalign(void **ret, size_t align, size_t n)
{
    void *p = memalign(align, n);

    if (!p)
        return ENOMEM;
    *ret = p;
    return 0;
}

void free(void *p)
{
    if (p)
        count(&counts->frees, 1);
    __libc_free(p);
}
