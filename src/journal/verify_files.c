/*
 * What there is to verify: a folder of segments, one file of lines, or a JSON array; and the keys
 * and checkpoints beside it. A folder may be written to meanwhile: then it counts up to what the
 * head file calls synced, which is looked at after the length of checkpoints.jsonl, so that no
 * checkpoint is ahead of the entries.
 */
#include "base/macros.h"
#include "journal/journal_int.h"
#include "journal/verify_int.h"
#include "json/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct source {
    int dir, file;   /* one of them is >= 0 */
    int checkpoints; /* or < 0 */
    uint64_t synced; /* 0 = unknown */
    struct lines checkpoint_lines;
    struct keyring keys;
    struct public_keys publics;
    bool has_publics;
    char *err;
    size_t err_n;
};

static int unreadable(struct source *src, const char *what, const char *name, int r)
{
    const char *why = r == -EINVAL ? "not understood" : strerrordesc_np(-r);

    snprintf(src->err, src->err_n, "%s %s: %s", what, name ? name : "", why ? why : "error");
    return 3;
}

/* --- entries --- */

static int verify_lines(struct verifier *v, int fd, uint64_t stop_behind)
{
    struct lines l;
    struct str line;
    int r;

    lines_init(&l, fd, 0, VERIFY_LINE_BYTES);
    while ((r = lines_next(&l, INT64_MAX, &line)) == 1) {
        if (line.n)
            verify_entry(v, line);
        if (stop_behind && v->last_seq >= stop_behind)
            break;
    }
    struct str rest = r == 0 ? lines_rest(&l) : STR_NONE;
    if (rest.n)
        verify_entry(v, rest);
    if (r == -EMSGSIZE) {
        verify_entry(v, STR("(too long)"));
        r = 0;
    }
    lines_free(&l);
    return MIN(r, 0);
}

static void verify_array(struct verifier *v, struct str text)
{
    struct str key, item;

    for (size_t at = json_inside(text); json_next(text, &at, &key, &item);)
        verify_entry(v, item);
}

/* An array only if the whole text is valid: else its lines say better what is wrong. */
static bool is_array(struct str text)
{
    struct json_error why;
    enum json_type top;

    return text.n && text.n < UINT32_MAX && str_trim(str_to(text, 64)).p[0] == '[' &&
           json_scan(text, NULL, NULL, 0, &top, &why) == 0 && top == JSON_ARRAY;
}

static int verify_file(struct verifier *v, int fd)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    verify_checkpoints_begin(v);
    if (st.st_size > 0) {
        size_t n = (size_t)st.st_size;
        char *p = mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0);
        bool array = p != MAP_FAILED && is_array(str_at(p, n));
        if (array)
            verify_array(v, str_at(p, n));
        if (p != MAP_FAILED)
            munmap(p, n);
        if (array)
            return 0;
    }
    return verify_lines(v, fd, 0);
}

static int verify_segment(struct verifier *v, const struct source *src, uint64_t first)
{
    char name[SEGMENT_NAME];

    segment_name(first, name);
    int fd = openat(src->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    int r = verify_lines(v, fd, src->synced);
    close(fd);
    return r;
}

static int verify_folder(struct verifier *v, const struct source *src)
{
    uint64_t *list;
    size_t n;
    int r = segment_list(src->dir, &list, &n);

    if (r == 0 && n == 0)
        r = -ENOENT;
    if (r == 0 && list[0] > v->from)
        v->from = list[0] == 1 ? 0 : list[0]; /* older segments were taken away */
    if (r == 0) {
        v->from_known = true;
        v->last_seq = MAX(v->from, (uint64_t)1) - 1;
        verify_checkpoints_begin(v);
    }
    for (size_t i = 0; i < n && r == 0; i++) {
        bool before = v->from && i + 1 < n && list[i + 1] <= v->from;
        bool behind = (v->to && list[i] > v->to) || (src->synced && list[i] > src->synced);
        if (before)
            v->only_part = true;
        else if (!behind)
            r = verify_segment(v, src, list[i]);
    }
    free(list);
    return r;
}

/* --- what goes with them --- */

static uint64_t read_synced(int dir)
{
    int fd = openat(dir, HEAD_FILE, O_RDONLY | O_CLOEXEC);
    uint64_t synced = 0;

    if (fd < 0)
        return 0;
    struct head_page *h = mmap(NULL, HEAD_FILE_BYTES, PROT_READ, MAP_SHARED, fd, 0);
    struct stat st;
    if (h != MAP_FAILED && fstat(fd, &st) == 0 && st.st_size >= HEAD_FILE_BYTES)
        synced = atomic_load(&h->synced_seq);
    if (h != MAP_FAILED)
        munmap(h, HEAD_FILE_BYTES);
    close(fd);
    return synced;
}

static int open_path(struct source *src, const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &st) < 0)
        return unreadable(src, "cannot read", path, -errno);
    if (S_ISDIR(st.st_mode))
        src->dir = fd;
    else
        src->file = fd;
    return 0;
}

static int open_publics(struct source *src, const char *path)
{
    struct buf text;
    int r;

    buf_init(&text, (size_t)1 << 20);
    if (path)
        r = file_read(AT_FDCWD, path, &text);
    else
        r = src->dir >= 0 ? file_read(src->dir, PUBLIC_KEY_FILE, &text) : -ENOENT;
    if (r == 0)
        r = public_keys_parse(buf_str(&text), &src->publics);
    buf_free(&text);
    src->has_publics = r == 0;
    if (r < 0 && (path || r != -ENOENT))
        return unreadable(src, "public key", path ? path : PUBLIC_KEY_FILE, r);
    return 0;
}

static int open_checkpoints(struct source *src, struct verifier *v, const char *path)
{
    struct stat st;

    if (path)
        src->checkpoints = open(path, O_RDONLY | O_CLOEXEC);
    else if (src->dir >= 0)
        src->checkpoints = openat(src->dir, CHECKPOINTS_FILE, O_RDONLY | O_CLOEXEC);
    if (src->checkpoints < 0)
        return path ? unreadable(src, "checkpoints", path, -errno) : 0;
    if (fstat(src->checkpoints, &st) < 0)
        return unreadable(src, "checkpoints", path, -errno);
    lines_init(&src->checkpoint_lines, src->checkpoints, 0, CHECKPOINT_BYTES);
    v->checkpoints = &src->checkpoint_lines;
    v->checkpoints_size = st.st_size;
    return 0;
}

static int open_source(
    struct source *src, struct verifier *v, const struct journal_verify_settings *s)
{
    int r = open_path(src, s->path);

    if (r == 0 && s->keys) {
        int err = keyring_spec(s->keys, &src->keys);
        if (err < 0) /* the text itself may be the key: it is not shown */
            r = unreadable(src, "the key", NULL, err);
        v->keys = &src->keys;
    }
    if (r == 0)
        r = open_publics(src, s->checkpoint_key);
    if (r == 0)
        r = open_checkpoints(src, v, s->checkpoints);
    if (r == 0 && src->dir >= 0)
        src->synced = read_synced(src->dir);
    v->publics = src->has_publics ? &src->publics : NULL;
    return r;
}

static void close_source(struct source *src)
{
    const int fds[] = {src->dir, src->file, src->checkpoints};

    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
    lines_free(&src->checkpoint_lines);
    keyring_free(&src->keys);
}

static int verify_source(struct source *src, struct verifier *v, const char *path)
{
    int r = src->dir >= 0 ? verify_folder(v, src) : verify_file(v, src->file);
    if (r < 0)
        return unreadable(src, "cannot read", path, r);
    if (v->check->entries_checked == 0 && v->check->entries_without_seq == 0 && !v->from) {
        snprintf(src->err, src->err_n, "%s holds no entries", path);
        return 3;
    }
    verify_end(v, src->synced);
    return verify_result(v);
}

int journal_verify(
    const struct journal_verify_settings *s, struct journal_check *ret, char *err, size_t err_n)
{
    struct source src = {.dir = -1, .file = -1, .checkpoints = -1, .err = err, .err_n = err_n};
    struct verifier v;

    if (err_n)
        err[0] = '\0';
    verify_init(&v, ret, NULL);
    v.from = s->from;
    v.to = s->to;
    int r = open_source(&src, &v, s);
    if (r == 0)
        r = verify_source(&src, &v, s->path);
    close_source(&src);
    verify_free(&v);
    return r;
}
