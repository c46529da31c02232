/*
 * Where log lines go. Each thread gathers its lines in a buffer of its own; log_end or log_flush
 * writes them. So a line costs no system call and no lock until 16 KiB are together, and the pieces
 * of two threads' lines never mix: writing holds one lock, because a pipe or terminal may take a
 * write in several parts. A thread that has plenty of lines but finds the lock taken goes on
 * gathering; it waits for the lock only with a warning, or with four times as much.
 *
 * The descriptor never closes under a writer: rotation puts the new file under the old number with
 * dup3, which the kernel does in one step.
 *
 * What cannot be written (a full disk, a reader that does not read) is dropped after a short wait:
 * the log may never stop the service.
 */
#include "base/log.h"
#include "base/log_int.h"
#include "base/macros.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#define BUFFER_MAX   ((size_t)1 << 20)
#define STUCK_WAIT   100 /* ms for a non-blocking descriptor to take more */
#define KEEP_AT_MOST (4 * LOG_FLUSH_AT)

static atomic_int out_fd = STDERR_FILENO;

static pthread_mutex_t out_lock = PTHREAD_MUTEX_INITIALIZER;
static bool mid_line;    /* the last write ended within a line; under out_lock */
static int file_fd = -1; /* the number that every log file gets; under out_lock */

/* A thread's lines. The key only serves to flush and free at the thread's end. */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t thread_end;
static _Thread_local struct buf *lines;

static int open_log_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0640);

    return fd < 0 ? -errno : fd;
}

/* Makes fd, which it consumes, the file behind file_fd. */
static int take_file(int fd)
{
    if (file_fd < 0) {
        file_fd = fd;
        return 0;
    }
    int r = dup3(fd, file_fd, O_CLOEXEC) < 0 ? -errno : 0;
    close(fd);
    return r;
}

int log_open(const char *path)
{
    int fd = path ? open_log_file(path) : STDERR_FILENO;
    int r = 0;

    if (fd < 0)
        return fd;
    pthread_mutex_lock(&out_lock);
    if (path)
        r = take_file(fd);
    if (r == 0) {
        atomic_store(&out_fd, path ? file_fd : STDERR_FILENO);
        mid_line = false;
    }
    pthread_mutex_unlock(&out_lock);
    return r;
}

/* Writes as much of s as the descriptor takes; returns what is left. */
static struct str write_some(int fd, struct str s)
{
    while (s.n) {
        ssize_t n = write(fd, s.p, s.n);
        if (n > 0) {
            s = str_from(s, (size_t)n);
        } else if (n < 0 && errno == EAGAIN) {
            struct pollfd ready = {.fd = fd, .events = POLLOUT};
            if (poll(&ready, 1, STUCK_WAIT) <= 0)
                break;
        } else if (n == 0 || errno != EINTR) {
            break;
        }
    }
    return s;
}

/* With the lock held. */
static void write_lines(struct str s)
{
    int fd = atomic_load(&out_fd);
    if (!mid_line || write_some(fd, STR("\n")).n == 0) {
        struct str left = write_some(fd, s);
        mid_line = left.n > 0 && left.n < s.n && left.p[-1] != '\n';
    }
}

static void flush(bool wait)
{
    int saved = errno;

    if (lines && lines->n) {
        if (wait)
            pthread_mutex_lock(&out_lock);
        else if (pthread_mutex_trylock(&out_lock) != 0)
            return;
        write_lines(buf_str(lines));
        pthread_mutex_unlock(&out_lock);
        if (lines->cap > KEEP_AT_MOST)
            buf_free(lines);
        buf_clear(lines);
    }
    errno = saved;
}

void log_flush(void)
{
    flush(true);
}

void log_flush_soon(void)
{
    flush(lines && lines->n >= KEEP_AT_MOST);
}

static void end_thread(void *buffer)
{
    lines = buffer;
    log_flush();
    buf_free(lines);
    free(lines);
    lines = NULL;
}

/* No other thread may be within a write while the process is copied, or its lock stays locked. */
static void before_fork(void)
{
    pthread_mutex_lock(&out_lock);
}

static void after_fork_parent(void)
{
    pthread_mutex_unlock(&out_lock);
}

static void after_fork_child(void)
{
    pthread_mutex_unlock(&out_lock);
    if (lines)
        buf_clear(lines); /* what the parent has gathered is the parent's to write */
}

static void set_up(void)
{
    must(pthread_key_create(&thread_end, end_thread) == 0);
    pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}

struct buf *log_thread_lines(void)
{
    if (likely(lines != NULL))
        return lines;
    pthread_once(&once, set_up);
    struct buf *b = malloc(sizeof(*b));
    if (!b)
        return NULL;
    buf_init(b, BUFFER_MAX);
    pthread_setspecific(thread_end, b);
    return lines = b;
}
