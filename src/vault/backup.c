/* Writing an archive. See vault/backup.h; restore.c reads it. */
#include "vault/backup.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/macros.h"
#include "crypto/digest.h"
#include "crypto/encode.h"
#include "crypto/random.h"
#include "runtime/co.h"
#include "store/store.h"
#include "vault/ring.h"
#include "vault/tar.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE     (64 * KIB)
#define NAMES_MAX (4 * MIB)

struct writing {
    const struct backup_settings *set;
    backup_sink_fn *sink;
    void *ctx;
    struct backup_result *result;
    struct buf manifest; /* the list of files, without its brackets */
    int64_t now;
    char *piece;
    char *err;
};

static int fail(struct writing *w, int r, const char *name)
{
    snprintf(w->err, BACKUP_ERR_BYTES, "%.300s: %s", name, strerror(-r));
    return r;
}

static int put(struct writing *w, struct str bytes)
{
    int r = w->sink(w->ctx, bytes);

    if (r < 0)
        snprintf(w->err, BACKUP_ERR_BYTES, "the archive could not be written: %s", strerror(-r));
    else if (co_self())
        co_yield ();
    return r;
}

static int put_zeros(struct writing *w, size_t n)
{
    static const char zeros[2 * TAR_BLOCK];

    return n ? put(w, str_at(zeros, n)) : 0;
}

static int put_header(struct writing *w, struct str name, uint64_t size)
{
    char block[TAR_BLOCK];

    tar_header(name, size, w->now, block);
    return put(w, str_at(block, sizeof block));
}

static void note(struct writing *w, struct str name, uint64_t size, const struct sha256 *d)
{
    uint8_t digest[SHA256_BYTES];
    char hex[HEX_SIZE(SHA256_BYTES)];

    sha256_peek(d, digest);
    hex_encode(str_at((char *)digest, sizeof digest), hex);
    buf_printf(&w->manifest, "%s\n{\"name\":\"" STR_FMT "\",\"bytes\":%llu,\"sha256\":\"%.64s\"}",
        w->manifest.n ? "," : "", STR_ARG(name), (unsigned long long)size, hex);
    w->result->files++;
    w->result->bytes += size;
}

static int copy_bytes(struct writing *w, int fd, uint64_t size, struct sha256 *d)
{
    for (uint64_t at = 0; at < size;) {
        ssize_t n = pread(fd, w->piece, (size_t)MIN(size - at, (uint64_t)PIECE), (off_t)at);
        if (n <= 0)
            return n < 0 ? -errno : -EIO; /* it became shorter */
        sha256_add(d, str_at(w->piece, (size_t)n));
        int r = put(w, str_at(w->piece, (size_t)n));
        if (r < 0)
            return r;
        at += (uint64_t)n;
    }
    return put_zeros(w, tar_padding(size));
}

static int put_file(struct writing *w, int fd, struct str name, uint64_t size)
{
    _cleanup_(sha256_wipe) struct sha256 d;
    int r = put_header(w, name, size);

    sha256_begin(&d);
    if (r == 0)
        r = copy_bytes(w, fd, size, &d);
    if (r == 0)
        note(w, name, size, &d);
    return r;
}

/* The size up to the last newline: what is behind it is being written. */
static uint64_t whole_lines(int fd, uint64_t size)
{
    char part[4096];

    while (size) {
        size_t n = (size_t)MIN(size, (uint64_t)sizeof part);
        if (pread(fd, part, n, (off_t)(size - n)) != (ssize_t)n)
            return 0;
        const char *end = memrchr(part, '\n', n);
        if (end)
            return size - n + (size_t)(end - part) + 1;
        size -= n;
    }
    return 0;
}

/* A file of the data folder, by its name there. Missing is fine: 0. */
static int add(struct writing *w, const char *name, bool lines)
{
    char path[4400];
    struct stat st;

    snprintf(path, sizeof path, "%s/%s", w->set->data_dir, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? 0 : fail(w, -errno, path);
    int r = fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ? -EIO : 0;
    if (r == 0)
        r = put_file(w, fd, str_of(name),
            lines ? whole_lines(fd, (uint64_t)st.st_size) : (uint64_t)st.st_size);
    close(fd);
    return r < 0 ? (w->err[0] ? r : fail(w, r, path)) : 1;
}

/* --- the parts --- */

static int add_database(struct writing *w)
{
    char path[4400], random[16], err[STORE_ERR_BYTES] = "";
    struct stat st;

    random_hex(random, sizeof random / 2);
    snprintf(path, sizeof path, "%s/backup-%.16s.tmp", w->set->data_dir, random);
    int r = w->set->store ? store_backup(w->set->store, path, err) : -EOPNOTSUPP;
    if (r == -EOPNOTSUPP)
        return 0;
    int fd = r < 0 ? r : open(path, O_RDONLY | O_CLOEXEC);
    unlink(path); /* it lives on until it is closed */
    if (fd < 0) {
        snprintf(w->err, BACKUP_ERR_BYTES, "the database could not be copied: %s", err);
        return r < 0 ? r : -EIO;
    }
    r = fstat(fd, &st) < 0 ? -EIO : put_file(w, fd, STR("smartflow.db"), (uint64_t)st.st_size);
    close(fd);
    w->result->database = r == 0;
    return r;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names of the segments, sorted, each ended by a NUL, in names. */
static int list_segments(struct writing *w, struct buf *names)
{
    char path[4400];

    snprintf(path, sizeof path, "%s/journal", w->set->data_dir);
    DIR *d = opendir(path);
    struct dirent *e;
    if (!d)
        return errno == ENOENT ? 0 : fail(w, -errno, path);
    while ((e = readdir(d))) {
        struct str n = str_of(e->d_name);
        if (str_starts(n, STR("chain-")) && str_ends(n, STR(".jsonl")) && tar_name_ok(n))
            buf_add(names, n.p, n.n + 1);
    }
    closedir(d);
    return names->err;
}

static int add_segments(struct writing *w, const struct buf *names)
{
    unsigned n = 0;
    int r = 0;

    for (size_t at = 0; at < names->n; at += strlen(names->p + at) + 1)
        n++;
    char **sorted = calloc(n + 1, sizeof *sorted);
    if (!sorted)
        return -ENOMEM;
    n = 0;
    for (size_t at = 0; at < names->n; at += strlen(names->p + at) + 1)
        sorted[n++] = names->p + at;
    qsort(sorted, n, sizeof *sorted, by_name);
    for (unsigned i = 0; i < n && r >= 0; i++) {
        char name[TAR_NAME_MAX + 1];
        snprintf(name, sizeof name, "journal/%.90s", sorted[i]);
        r = add(w, name, true);
    }
    free(sorted);
    return MIN(r, 0);
}

static int add_journal(struct writing *w)
{
    static const char *const small[] = {
        "journal/keys.json", "journal/checkpoint.key", "journal/checkpoint.pub"};
    _cleanup_(buf_free) struct buf names = {0};
    int r = add(w, "journal/checkpoints.jsonl", true);

    buf_init(&names, NAMES_MAX);
    if (r >= 0)
        r = list_segments(w, &names);
    w->result->journal = names.n > 0;
    if (r >= 0)
        r = add_segments(w, &names);
    /* After the segments: a key that came meanwhile is in the ring before an entry names it. */
    for (unsigned i = 0; i < ARRAY_LEN(small) && r >= 0; i++)
        r = add(w, small[i], false);
    return MIN(r, 0);
}

static int put_manifest(struct writing *w)
{
    _cleanup_(buf_free) struct buf b = {0};
    char when[25];

    clock_rfc3339(w->now, when);
    buf_init(&b, w->manifest.max + KIB);
    buf_printf(&b,
        "{\"format\":1,\"smartflow\":\"%s\",\"created_at\":\"%s\",\"database\":%s,\"journal\":%s,"
        "\"master_key\":%s,\"files\":[",
        SF_VERSION, when, w->result->database ? "true" : "false",
        w->result->journal ? "true" : "false", w->result->master_key ? "true" : "false");
    buf_addstr(&b, buf_str(&w->manifest));
    buf_addstr(&b, STR("\n]}\n"));
    if (b.err || w->manifest.err)
        return fail(w, -EMSGSIZE, "manifest.json");
    int r = put_header(w, STR("manifest.json"), b.n);
    if (r == 0)
        r = put(w, buf_str(&b));
    if (r == 0)
        r = put_zeros(w, tar_padding(b.n));
    return r == 0 ? put_zeros(w, 2 * TAR_BLOCK) : r;
}

static int add_all(struct writing *w)
{
    int r = add_database(w);

    if (r == 0)
        r = add_journal(w);
    if (r >= 0)
        r = add(w, "node", false);
    if (r >= 0 && w->set->with_master_key) {
        r = add(w, RING_FILE, false);
        w->result->master_key = r > 0;
    }
    return r < 0 ? r : put_manifest(w);
}

int backup_write(const struct backup_settings *set, backup_sink_fn *sink, void *ctx,
    struct backup_result *ret, char *err)
{
    struct writing w = {.set = set,
        .sink = sink,
        .ctx = ctx,
        .result = ret,
        .now = clock_wall(),
        .piece = malloc(PIECE),
        .err = err};

    *ret = (struct backup_result){0};
    err[0] = 0;
    buf_init(&w.manifest, 16 * MIB);
    int r = w.piece ? add_all(&w) : -ENOMEM;
    free(w.piece);
    buf_free(&w.manifest);
    return r;
}
