/*
 * The sink that is a file of JSON lines: name, name.1 (the newest of the full ones) … name.N. A
 * file is full when the next lines would take it beyond its size. Everything happens on the offload
 * pool, since a disk may be slow. A reload opens the file anew, so other tools may rotate it, too.
 */
#include "telemetry/sinks_int.h"

#include "runtime/co.h"
#include "runtime/offload.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct file {
    uint64_t max;
    unsigned keep;
    int fd; /* -1 = not open */
    uint64_t size;
    struct str lines; /* of the job that runs */
    char path[];
};

static int file_open(const struct sink_settings *s, const struct post_route *route, struct str node,
    void **ret, char why[static POST_ERR_BYTES])
{
    size_t n = s->file ? strlen(s->file) : 0;

    if (n == 0)
        return 0;
    if (n > PATH_MAX - 16) {
        snprintf(why, POST_ERR_BYTES, "the name is too long");
        return -ENAMETOOLONG;
    }
    struct file *f = calloc(1, sizeof *f + n + 1);
    if (!f)
        return -ENOMEM;
    memcpy(f->path, s->file, n);
    f->max = s->file_size;
    f->keep = s->file_keep;
    f->fd = -1;
    *ret = f;
    return 0;
}

static void file_close(void *state)
{
    struct file *f = state;

    if (f->fd >= 0)
        close(f->fd);
    free(f);
}

/* --- on the pool --- */

static int reopen(struct file *f)
{
    struct stat st;

    f->fd = open(f->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0640);
    if (f->fd < 0 || fstat(f->fd, &st) < 0)
        return -errno;
    f->size = (uint64_t)st.st_size;
    return 0;
}

static void shift(const struct file *f)
{
    char from[PATH_MAX], to[PATH_MAX];

    for (unsigned i = f->keep; i > 0; i--) {
        snprintf(from, sizeof from, i > 1 ? "%s.%u" : "%s", f->path, i - 1);
        snprintf(to, sizeof to, "%s.%u", f->path, i);
        (void)rename(from, to);
    }
}

static int write_all(struct file *f)
{
    struct str rest = f->lines;
    int r = 0;

    while (rest.n && r == 0) {
        ssize_t n = write(f->fd, rest.p, rest.n);
        if (n > 0)
            rest = str_from(rest, (size_t)n);
        else if (n == 0 || errno != EINTR)
            r = n == 0 ? -EIO : -errno;
    }
    if (r == 0) {
        f->size += f->lines.n;
        return 0;
    }
    if (ftruncate(f->fd, (off_t)f->size) < 0) /* what got there is taken back: it comes again */
        r = -errno;
    close(f->fd);
    f->fd = -1;
    return r;
}

static int work(void *data)
{
    struct file *f = data;
    int r = f->fd < 0 ? reopen(f) : 0;

    if (r == 0 && f->size && f->size + f->lines.n > f->max) {
        close(f->fd);
        f->fd = -1;
        shift(f);
        r = reopen(f);
    }
    return r < 0 ? r : write_all(f);
}

static enum post_result file_send(void *state, const struct sink_batch *b, struct post_reply *ret)
{
    struct file *f = state;

    f->lines = b->lines;
    co_mask_cancel(); /* the job is on our memory: it is waited for */
    int64_t limit = co_set_deadline(NEVER_NS);
    int r = offload_run(work, f, NULL, NEVER_NS);
    co_set_deadline(limit);
    co_unmask_cancel();
    if (r < 0)
        snprintf(ret->why, sizeof ret->why, "%.80s: %s", f->path, strerror(-r));
    return r < 0 ? POST_RETRY : POST_DONE;
}

const struct sink_ops sink_file = {
    .name = "file",
    .variable = "SMARTFLOW_SINK_FILE",
    .open = file_open,
    .send = file_send,
    .close = file_close,
    .batch_bytes = 64 * KIB,
};
