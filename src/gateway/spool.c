/* See spool.h. The pool's threads have the whole struct while they work on it. */
#include "gateway/spool.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/macros.h"
#include "runtime/offload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define GATHERED (64 * KIB)

struct spool {
    int fd;
    uint64_t written; /* bytes in the file */
    uint64_t at;      /* where to read */
    size_t n;         /* bytes gathered and not yet written; or wanted, and then read */
    char *folder;
    char bytes[GATHERED];
};

void spool_free(struct spool *s)
{
    if (!s)
        return;
    if (s->fd >= 0)
        close(s->fd);
    free(s->folder);
    free(s);
}

static void drop(void *spool)
{
    spool_free(spool);
}

/* Without a thread that is free it is done here: standing still for once is better than failing. */
static int run(struct spool **s, int (*work)(void *))
{
    int r = offload_run(work, *s, drop, NEVER_NS);

    if (r == -EAGAIN)
        return work(*s);
    if (r == -ECANCELED || r == -ETIMEDOUT)
        *s = NULL;
    return r;
}

/* --- on the pool --- */

int spool_file_unlinked(const char *folder)
{
    char path[4096];

    if (snprintf(path, sizeof path, "%s/spool-XXXXXX", folder) >= (int)sizeof path)
        return -ENAMETOOLONG;
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        return -errno;
    (void)unlink(path);
    return fd;
}

static int open_file(void *spool)
{
    struct spool *s = spool;

    s->fd = open(s->folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (s->fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL))
        s->fd = spool_file_unlinked(s->folder);
    else if (s->fd < 0)
        s->fd = -errno;
    return MIN(s->fd, 0);
}

static int write_gathered(void *spool)
{
    struct spool *s = spool;

    for (size_t done = 0; done < s->n;) {
        ssize_t n =
            pwrite(s->fd, s->bytes + done, s->n - done, (off_t)(s->written + (uint64_t)done));
        if (n < 0 && errno != EINTR)
            return -errno;
        done += n > 0 ? (size_t)n : 0;
    }
    s->written += s->n;
    s->n = 0;
    return 0;
}

static int read_some(void *spool)
{
    struct spool *s = spool;
    ssize_t n;

    do
        n = pread(s->fd, s->bytes, s->n, (off_t)s->at);
    while (n < 0 && errno == EINTR);
    s->n = 0; /* nothing is gathered */
    return n < 0 ? -errno : (int)n;
}

/* --- the calls --- */

int spool_open(struct str folder, struct spool **ret)
{
    struct spool *s = calloc(1, sizeof *s);
    int r;

    if (!s)
        return -ENOMEM;
    s->fd = -1;
    s->folder = str_dup(folder);
    r = s->folder ? run(&s, open_file) : -ENOMEM;
    if (r < 0) {
        spool_free(s);
        s = NULL;
    }
    *ret = s;
    return r;
}

int spool_append(struct spool **s, struct str bytes)
{
    while (bytes.n) {
        size_t part = MIN(bytes.n, GATHERED - (*s)->n);
        memcpy((*s)->bytes + (*s)->n, bytes.p, part);
        (*s)->n += part;
        bytes = str_from(bytes, part);
        int r = (*s)->n == GATHERED ? run(s, write_gathered) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

ssize_t spool_read(struct spool **s, uint64_t at, size_t n, struct str *ret)
{
    int r = (*s)->n ? run(s, write_gathered) : 0;

    if (r < 0)
        return r;
    (*s)->at = at;
    (*s)->n = MIN(n, GATHERED);
    r = run(s, read_some);
    if (r > 0)
        *ret = str_at((*s)->bytes, (size_t)r);
    return r;
}
