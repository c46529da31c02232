/*
 * For the journal's tests: a scratch folder, a journal in it, entries read back. Included by
 * *_test.c alone.
 */
#ifndef SF_JOURNAL_JOURNAL_TEST_H
#define SF_JOURNAL_JOURNAL_TEST_H

#include "base/macros.h"
#include "base/tap.h"
#include "journal/journal.h"
#include "journal/payload.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char t_dir[64];

static inline void t_remove_folder(const char *path)
{
    char name[512];
    DIR *d = opendir(path);

    for (struct dirent *e; d && (e = readdir(d));) {
        snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
        if (e->d_name[0] != '.')
            unlink(name);
    }
    if (d)
        closedir(d);
    rmdir(path);
}

static inline void t_begin_in(const char *parent)
{
    snprintf(t_dir, sizeof(t_dir), "%s/sf-journal-XXXXXX", parent);
    must(mkdtemp(t_dir));
}

static inline void t_begin(void)
{
    t_begin_in("/tmp");
}

static inline void t_end(void)
{
    t_remove_folder(t_dir);
}

static inline struct journal_settings t_settings(void)
{
    return (struct journal_settings){.dir = str_of(t_dir), .chain = STR("node-1"), .threads = 3};
}

static inline struct journal *t_open_with(
    const struct journal_settings *s, struct journal_recovery *found)
{
    struct journal *j = NULL;
    char err[256];
    int r = journal_open(s, &j, found, err, sizeof(err));

    if (r < 0)
        tap_fail(__FILE__, __LINE__, "journal_open: %d: %s", r, err);
    return j;
}

static inline struct journal *t_open(struct journal_recovery *found)
{
    struct journal_settings s = t_settings();

    return t_open_with(&s, found);
}

/* {"event":"request","n":n,"request_id":"req-<n>"} */
static inline int t_append(struct journal *j, unsigned thread, int64_t n, struct journal_ticket *t)
{
    char id[32];
    struct payload p;
    struct buf text;

    buf_init(&text, 1024);
    snprintf(id, sizeof(id), "req-%lld", (long long)n);
    payload_begin(&p, &text);
    payload_str(&p, "event", STR("request"));
    payload_int(&p, "n", n);
    payload_str(&p, "request_id", str_of(id));
    payload_end(&p);
    int r = journal_append(j, thread, buf_str(&text), t);
    buf_free(&text);
    return r;
}

/* A folder with one segment of n requests. */
static inline void t_make_chain(int n, unsigned checkpoint_entries)
{
    struct journal_settings s = t_settings();

    s.checkpoint_entries = checkpoint_entries;
    struct journal *j = t_open_with(&s, NULL);
    for (int i = 1; j && i <= n; i++)
        t_append(j, (unsigned)i % 3, i, NULL);
    journal_close(j);
}

static inline char *t_path(const char *name)
{
    static char path[4][160];
    static unsigned next;
    char *p = path[next++ % 4];

    snprintf(p, sizeof(path[0]), "%s/%s", t_dir, name);
    return p;
}

/* A file of the folder, NUL-terminated; the caller frees it. */
static inline char *t_read(const char *name, size_t *ret_n)
{
    int fd = open(t_path(name), O_RDONLY | O_CLOEXEC);
    struct stat st;

    must(fd >= 0 && fstat(fd, &st) == 0);
    char *p = malloc((size_t)st.st_size + 1);
    must(p && read(fd, p, (size_t)st.st_size) == st.st_size);
    p[st.st_size] = '\0';
    close(fd);
    *ret_n = (size_t)st.st_size;
    return p;
}

static inline void t_write(const char *name, const char *p, size_t n)
{
    int fd = open(t_path(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    must(fd >= 0 && write(fd, p, n) == (ssize_t)n);
    close(fd);
}

#endif
