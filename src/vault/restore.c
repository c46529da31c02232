/* Reading an archive back. See vault/backup.h; backup.c writes it. Everything blocks. */
#include "vault/backup.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/macros.h"
#include "base/map.h"
#include "crypto/digest.h"
#include "crypto/encode.h"
#include "crypto/random.h"
#include "vault/tar.h"
#include "json/scan.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE          (64 * KIB)
#define MANIFEST_BYTES (16 * MIB)

struct file {
    struct tar_member m;
    uint8_t sha256[SHA256_BYTES];
    bool listed;
};

struct reading {
    const struct restore_settings *set;
    int fd;
    char *piece;
    struct file *files;
    unsigned n, room;
    struct buf manifest;
    char fresh[4300]; /* the folder that the files are written to first */
    bool moved;       /* the folder held something, which goes aside */
    struct backup_result *result;
    char *err;
};

static int bad(struct reading *r, int e, const char *fmt, const char *name)
{
    char some[400];

    snprintf(some, sizeof some, "%.399s", name);
    snprintf(r->err, BACKUP_ERR_BYTES, fmt, some);
    return e;
}

static int read_exactly(int fd, void *to, size_t n)
{
    for (size_t at = 0; at < n;) {
        ssize_t got = read(fd, (char *)to + at, n - at);
        if (got <= 0)
            return got < 0 ? -errno : -EBADMSG;
        at += (size_t)got;
    }
    return 0;
}

/* Passes the bytes of the member, and then its padding, to each(). */
static int each_piece(struct reading *r, uint64_t size,
    int (*each)(struct reading *r, struct str piece, void *ctx), void *ctx)
{
    char padding[TAR_BLOCK];
    int e = 0;

    for (uint64_t left = size; left && e == 0;) {
        size_t n = (size_t)MIN(left, (uint64_t)PIECE);
        e = read_exactly(r->fd, r->piece, n);
        if (e == 0)
            e = each(r, str_at(r->piece, n), ctx);
        left -= n;
    }
    return e < 0 ? e : read_exactly(r->fd, padding, tar_padding(size));
}

/* --- first time: digests --- */

static int hash_piece(struct reading *r, struct str piece, void *ctx)
{
    (void)r;
    sha256_add(ctx, piece);
    return 0;
}

static int keep_piece(struct reading *r, struct str piece, void *ctx)
{
    (void)ctx;
    return buf_addstr(&r->manifest, piece);
}

static int hash_member(struct reading *r, const struct tar_member *m)
{
    _cleanup_(sha256_wipe) struct sha256 d = {0};

    if (r->n == BACKUP_FILES_MAX)
        return -EMSGSIZE;
    if (r->n == r->room) {
        unsigned room = r->room ? 2 * r->room : 64;
        struct file *more = reallocarray(r->files, room, sizeof *more);
        if (!more)
            return -ENOMEM;
        r->files = more;
        r->room = room;
    }
    struct file *f = &r->files[r->n++];
    *f = (struct file){.m = *m};
    sha256_begin(&d);
    int e = each_piece(r, m->size, hash_piece, &d);
    if (e == 0)
        sha256_peek(&d, f->sha256);
    return e;
}

static int scan(struct reading *r)
{
    char block[TAR_BLOCK];
    struct tar_member m;
    int e = read_exactly(r->fd, block, sizeof block), more = 0;

    while (e == 0 && (more = tar_parse(block, &m)) > 0) {
        if (r->manifest.n)
            return -EBADMSG; /* it is the last */
        if (!strcmp(m.name, "manifest.json"))
            e = m.size > MANIFEST_BYTES ? -EBADMSG : each_piece(r, m.size, keep_piece, NULL);
        else
            e = hash_member(r, &m);
        if (e == 0)
            e = read_exactly(r->fd, block, sizeof block);
    }
    return e < 0 ? e : more < 0 || !r->manifest.n ? -EBADMSG : 0;
}

static struct str text_of(struct str object, const char *name)
{
    struct str v = json_find(object, str_of(name));

    return v.n >= 2 && v.p[0] == '"' ? str_at(v.p + 1, v.n - 2) : STR_NONE;
}

static int check_item(struct reading *r, struct str item)
{
    struct str name = text_of(item, "name"), hex = text_of(item, "sha256");
    uint8_t want[SHA256_BYTES];
    uint64_t bytes;

    if (hex.n != HEX_SIZE(SHA256_BYTES) || hex_decode(hex, want) != SHA256_BYTES ||
        json_u64(json_find(item, STR("bytes")), &bytes) < 0)
        return bad(r, -EBADMSG, "the manifest is damaged%s", "");
    for (unsigned i = 0; i < r->n; i++) {
        struct file *f = &r->files[i];
        if (f->listed || !str_eq(name, str_of(f->m.name)))
            continue;
        f->listed = true;
        if (f->m.size == bytes && !memcmp(f->sha256, want, sizeof want))
            return 0;
        return bad(r, -EBADMSG, "%s is damaged: its SHA-256 is not the manifest's", f->m.name);
    }
    char text[TAR_NAME_MAX + 1];
    snprintf(text, sizeof text, STR_FMT, (int)MIN(name.n, TAR_NAME_MAX), name.p);
    return bad(r, -EBADMSG, "%s is missing from the archive", text);
}

static int check_manifest(struct reading *r)
{
    struct str text = buf_str(&r->manifest), key, item;
    struct json_error je;
    enum json_type top;

    if (json_scan(text, NULL, NULL, 0, &top, &je) < 0 || top != JSON_OBJECT ||
        !str_eq(json_find(text, STR("format")), STR("1")))
        return bad(r, -EBADMSG, "the manifest is damaged, or of a newer version%s", "");
    struct str files = json_find(text, STR("files"));
    size_t at = json_inside(files);
    while (at && json_next(files, &at, &key, &item)) {
        int e = check_item(r, item);
        if (e < 0)
            return e;
    }
    for (unsigned i = 0; i < r->n; i++)
        if (!r->files[i].listed)
            return bad(r, -EBADMSG, "%s is not in the manifest", r->files[i].m.name);
    struct str when = text_of(text, "created_at");
    snprintf(r->result->created, sizeof r->result->created, STR_FMT, (int)MIN(when.n, 31), when.p);
    return 0;
}

/* --- second time: files --- */

static int write_piece(struct reading *r, struct str piece, void *ctx)
{
    (void)r;
    for (int *fd = ctx; piece.n;) {
        ssize_t n = write(*fd, piece.p, piece.n);
        if (n < 0)
            return -errno;
        piece = str_from(piece, (size_t)n);
    }
    return 0;
}

static void tell_part(struct reading *r, const struct tar_member *m)
{
    r->result->files++;
    r->result->bytes += m->size;
    r->result->database |= !strcmp(m->name, "smartflow.db");
    r->result->master_key |= !strcmp(m->name, "master.key");
    /* One without entries yet has nothing that could be verified. */
    r->result->journal |= m->size > 0 && str_starts(str_of(m->name), STR("journal/chain-"));
}

static int extract(struct reading *r, const struct tar_member *m)
{
    char path[4500];

    snprintf(path, sizeof path, "%s/%s", r->fresh, m->name);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return bad(r, -errno, "cannot write %s", path);
    int e = each_piece(r, m->size, write_piece, &fd);
    if (e == 0 && fsync(fd) < 0)
        e = -errno;
    close(fd);
    if (e < 0)
        return bad(r, e, "cannot write %s", path);
    tell_part(r, m);
    return 0;
}

static int extract_all(struct reading *r)
{
    char block[TAR_BLOCK], path[4400];
    struct tar_member m;
    int e = lseek(r->fd, 0, SEEK_SET) < 0 ? -errno : 0;

    snprintf(path, sizeof path, "%s/journal", r->fresh);
    if ((mkdir(r->set->data_dir, 0700) < 0 && errno != EEXIST) || mkdir(r->fresh, 0700) < 0 ||
        mkdir(path, 0700) < 0)
        return bad(r, -errno, "cannot make the folder %s", path);
    for (unsigned i = 0; i < r->n && e == 0; i++) {
        e = read_exactly(r->fd, block, sizeof block);
        if (e == 0 && (tar_parse(block, &m) <= 0 || strcmp(m.name, r->files[i].m.name) != 0))
            e = -EBADMSG;
        if (e == 0)
            e = extract(r, &m);
    }
    if (e == 0 && !r->result->journal)
        rmdir(path); /* when the archive has none at all */
    return e;
}

/* --- the folder --- */

/* What is no content of the folder's: itself, its parent, and what a file system puts there. */
static bool counts(const char *name)
{
    return strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && strcmp(name, "lost+found") != 0;
}

static bool is_empty(const char *path)
{
    DIR *d = opendir(path);
    struct dirent *e;
    bool empty = true;

    while (d && (e = readdir(d)))
        empty &= !counts(e->d_name);
    if (d)
        closedir(d);
    return empty;
}

static void remove_tree(const char *path, unsigned depth)
{
    char inner[4600];
    DIR *d = opendir(path);
    struct dirent *e;

    while (d && (e = readdir(d))) {
        if (!counts(e->d_name))
            continue;
        snprintf(inner, sizeof inner, "%s/%s", path, e->d_name);
        if (unlink(inner) < 0 && depth)
            remove_tree(inner, depth - 1);
    }
    if (d)
        closedir(d);
    rmdir(path);
}

/* Everything in one folder but `except` goes to the other, by its name. */
static int move_all(struct reading *r, const char *from, const char *to, const char *except)
{
    char old[4700], new[4700];
    DIR *d = opendir(from);
    struct dirent *e;
    int result = d ? 0 : -errno;

    while (result == 0 && (e = readdir(d))) {
        snprintf(old, sizeof old, "%s/%s", from, e->d_name);
        snprintf(new, sizeof new, "%s/%s", to, e->d_name);
        if (counts(e->d_name) && strcmp(old, except) != 0 && strcmp(old, to) != 0 &&
            rename(old, new) < 0)
            result = bad(r, -errno, "cannot move %s", old);
    }
    if (d)
        closedir(d);
    return result;
}

/* What is there goes aside first, then the new files take their places. All of it happens within
 * the data folder, which may be the root of a file system of its own. */
static int put_in_place(struct reading *r)
{
    const char *dir = r->set->data_dir;
    char aside[4400] = "", when[25];
    int e = 0;

    if (r->moved) {
        clock_rfc3339(clock_wall(), when);
        snprintf(aside, sizeof aside, "%s/before-restore-%.19s", dir, when);
        if (mkdir(aside, 0700) < 0)
            return bad(r, -errno, "cannot make the folder %s", aside);
        e = move_all(r, dir, aside, r->fresh);
    }
    return e < 0 ? e : move_all(r, r->fresh, dir, "");
}

static int verify(struct reading *r)
{
    char path[4400];

    if (!r->result->journal || !r->set->verify_journal)
        return 0;
    snprintf(path, sizeof path, "%s/journal", r->fresh);
    return r->set->verify_journal(r->set->ctx, path, r->err);
}

static int restore(struct reading *r)
{
    int e = scan(r);

    if (e < 0)
        return bad(r, e, "%s is no backup, or is damaged", r->set->archive);
    if ((e = check_manifest(r)) < 0)
        return e;
    e = extract_all(r);
    if (e == 0)
        e = verify(r);
    if (e == 0)
        e = put_in_place(r);
    if (e < 0 && !r->err[0])
        bad(r, e, "%s could not be restored", r->set->archive);
    remove_tree(r->fresh, 2);
    return e;
}

static struct str without_slash(const char *path)
{
    struct str s = str_of(path);

    while (s.n > 1 && s.p[s.n - 1] == '/')
        s.n--;
    return s;
}

int backup_restore(const struct restore_settings *set, struct backup_result *ret, char *err)
{
    struct restore_settings own = *set;
    struct reading r = {.set = &own, .result = ret, .err = err};
    char random[8], dir[4200];

    *ret = (struct backup_result){0};
    err[0] = 0;
    snprintf(
        dir, sizeof dir, STR_FMT, (int)MIN(without_slash(set->data_dir).n, 4096), set->data_dir);
    own.data_dir = dir;
    random_hex(random, sizeof random / 2);
    snprintf(r.fresh, sizeof r.fresh, "%s/restore-%.8s.tmp", dir, random);
    r.moved = !is_empty(dir);
    if (r.moved && !set->force)
        return bad(&r, -ENOTEMPTY, "%s is not empty; --force moves what is there aside", dir);
    r.fd = open(set->archive, O_RDONLY | O_CLOEXEC);
    if (r.fd < 0)
        return bad(&r, -errno, "cannot read %s", set->archive);
    buf_init(&r.manifest, MANIFEST_BYTES);
    r.piece = malloc(PIECE);
    int e = r.piece ? restore(&r) : -ENOMEM;
    close(r.fd);
    free(r.piece);
    free(r.files);
    buf_free(&r.manifest);
    return e;
}
