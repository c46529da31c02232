/* See vault/ring.h. Keys never pass through a printing function; their buffers are wiped. */
#include "vault/ring.h"

#include "base/macros.h"
#include "crypto/digest.h"
#include "crypto/encode.h"
#include "crypto/random.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_BYTES (HEX_SIZE(SEAL_KEY_BYTES) + 1)
#define FILE_BYTES ((size_t)4096)

void ring_wipe(struct ring *r)
{
    mem_wipe(r, sizeof *r);
}

const struct master_key *ring_find(const struct ring *r, struct str id)
{
    for (unsigned i = 0; i < r->n; i++)
        if (str_eq(str_of(r->at[i].id), id))
            return &r->at[i];
    return NULL;
}

/* --- one key --- */

static void name_it(struct master_key *k)
{
    char hex[SHA256_HEX];

    sha256_hex(str_at((const char *)k->key, sizeof k->key), hex);
    memcpy(k->id, hex, MASTER_ID - 1);
    k->id[MASTER_ID - 1] = 0;
}

int master_key_parse(struct str text, struct master_key *ret)
{
    uint8_t raw[BASE64_MAX_BYTES(64)];
    ssize_t n = -EINVAL;

    text = str_trim(text);
    if (text.n == HEX_SIZE(SEAL_KEY_BYTES))
        n = hex_decode(text, raw);
    else if (text.n == BASE64_SIZE(SEAL_KEY_BYTES))
        n = base64_decode(text, raw);
    if (n < 0 && text.n && text.n <= BASE64_SIZE(SEAL_KEY_BYTES)) {
        while (text.n && text.p[text.n - 1] == '=')
            text.n--;
        n = base64url_decode(text, raw);
    }
    if (n == SEAL_KEY_BYTES) {
        memcpy(ret->key, raw, sizeof ret->key);
        name_it(ret);
    }
    mem_wipe(raw, sizeof raw);
    return n == SEAL_KEY_BYTES ? 0 : -EINVAL;
}

void master_key_make(struct master_key *ret)
{
    crypto_random(ret->key, sizeof ret->key);
    name_it(ret);
}

/* --- the ring --- */

int ring_add(struct ring *r, const struct master_key *k)
{
    if (ring_find(r, str_of(k->id)))
        return 0;
    if (r->n == RING_KEYS)
        return -ENOSPC;
    r->at[r->n++] = *k;
    return 0;
}

void ring_put_first(struct ring *r, const struct master_key *k)
{
    unsigned n = MIN(r->n, RING_KEYS - 1);

    memmove(&r->at[1], &r->at[0], n * sizeof r->at[0]);
    r->at[0] = *k;
    r->n = n + 1;
}

/* --- the file --- */

static int complain(char *err, int r, const char *path, const char *what)
{
    snprintf(err, RING_ERROR_N, "%.300s: %s", path, what);
    return r;
}

/* A key that others can read is one that others may have. */
static int check_owner(int fd, const char *path, char *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return complain(err, -EACCES, path, "the master key must be a plain file");
    if (st.st_uid != geteuid() && st.st_uid != 0)
        return complain(err, -EACCES, path, "the master key belongs to another user");
    if (!(st.st_mode & 077))
        return 0;
    snprintf(err, RING_ERROR_N,
        "%.180s: others than its owner can reach the master key (mode %04o); run: chmod 600 %.180s",
        path, (unsigned)st.st_mode & 07777, path);
    return -EACCES;
}

static int parse_lines(struct ring *r, struct str text)
{
    unsigned n = 0;

    while (text.n) {
        struct str line = str_trim(str_split(&text, '\n'));
        struct master_key k;
        if (!line.n)
            continue;
        int e = master_key_parse(line, &k);
        if (e == 0)
            e = ring_add(r, &k);
        mem_wipe(&k, sizeof k);
        if (e < 0)
            return e;
        n++;
    }
    return n ? 0 : -EINVAL;
}

int ring_read(struct ring *r, const char *dir, char *err)
{
    char path[4200], text[FILE_BYTES];

    snprintf(path, sizeof path, "%s/" RING_FILE, dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        int e = errno;
        return complain(err, -e, path, strerror(e));
    }
    int e = check_owner(fd, path, err);
    ssize_t n = e < 0 ? 0 : read(fd, text, sizeof text);
    close(fd);
    if (e < 0)
        return e;
    e = n < 0 || (size_t)n == sizeof text ? -EINVAL : parse_lines(r, str_at(text, (size_t)n));
    mem_wipe(text, sizeof text);
    return e < 0 ? complain(err, e, path, "holds no master keys (64 hex digits a line)") : 0;
}

static int write_synced(int fd, const struct ring *r)
{
    char line[LINE_BYTES];
    bool ok = true;

    for (unsigned i = 0; i < r->n && ok; i++) {
        hex_encode(str_at((const char *)r->at[i].key, SEAL_KEY_BYTES), line);
        line[LINE_BYTES - 1] = '\n';
        ok = write(fd, line, sizeof line) == (ssize_t)sizeof line;
    }
    mem_wipe(line, sizeof line);
    return ok && fsync(fd) == 0 ? 0 : -EIO;
}

static int sync_folder(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r = fd >= 0 && fsync(fd) == 0 ? 0 : -EIO;

    if (fd >= 0)
        close(fd);
    return r;
}

int ring_write(const struct ring *r, const char *dir, char *err)
{
    char path[4200], fresh[4200];

    snprintf(path, sizeof path, "%s/" RING_FILE, dir);
    snprintf(fresh, sizeof fresh, "%s/" RING_FILE ".new", dir);
    unlink(fresh); /* of a crash: never the only copy of a key in use */
    int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int e = errno;
    if (fd < 0)
        return complain(err, -e, fresh, strerror(e));
    e = write_synced(fd, r);
    if (close(fd) < 0 || e < 0 || rename(fresh, path) < 0 || sync_folder(dir) < 0) {
        unlink(fresh);
        return complain(err, -EIO, path, "the master key could not be written");
    }
    return 0;
}
