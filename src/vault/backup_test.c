/* Backup and restore: what goes in comes out, what was damaged does not, and what was there stays.
 */
#include "vault/backup.h"

#include "base/buf.h"
#include "base/limits.h"
#include "base/macros.h"
#include "base/tap.h"
#include "store/store.h"
#include "vault/tar.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char top[64], data[96], other[96], archive[96], err[BACKUP_ERR_BYTES];
static struct buf bytes;
static struct backup_result done;

static void shell(const char *fmt, const char *path)
{
    char command[512];

    snprintf(command, sizeof command, fmt, path);
    must(system(command) == 0);
}

static void put(const char *dir, const char *name, const char *text)
{
    char path[256];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    must(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

static struct str text_of(const char *dir, const char *name)
{
    static char text[8192];
    char path[256];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);
    if (fd >= 0)
        close(fd);
    return n < 0 ? STR_NONE : str_at(text, (size_t)n);
}

static int to_memory(void *ctx, struct str piece)
{
    (void)ctx;
    return buf_addstr(&bytes, piece);
}

static void save(struct str s)
{
    int fd = open(archive, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    must(fd >= 0 && write(fd, s.p, s.n) == (ssize_t)s.n);
    close(fd);
}

/* A folder with all that a backup takes, and more. */
static void fill(void)
{
    shell("rm -rf %s/*", top);
    must(mkdir(data, 0700) == 0);
    put(data, "node", "node-1");
    put(data, "master.key", "MASTERKEY");
    put(data, "admin.key", "ADMINKEY");
    shell("mkdir %s/journal", data);
    put(data, "journal/chain-0000000000000001.jsonl", "{\"seq\":1}\n{\"seq\":2}\n");
    put(data, "journal/chain-0000000000000003.jsonl", "{\"seq\":3}\n{\"seq\":4}\n{\"se");
    put(data, "journal/checkpoints.jsonl", "{\"to\":2}\n");
    put(data, "journal/keys.json", "{}");
    put(data, "journal/ring-0", "RING");
    put(data, "journal/bodies-0-0", "BODIES");
}

static int backup(struct store *s, bool with_master)
{
    struct backup_settings set = {.data_dir = data, .store = s, .with_master_key = with_master};

    buf_clear(&bytes);
    int r = backup_write(&set, to_memory, NULL, &done, err);
    save(buf_str(&bytes));
    return r;
}

static int verified;

static int verify(void *ctx, const char *dir, char *ret_err)
{
    (void)ctx;
    (void)ret_err;
    verified += access(dir, F_OK) == 0;
    return 0;
}

static int refuse(void *ctx, const char *dir, char *ret_err)
{
    (void)ctx;
    (void)dir;
    strcpy(ret_err, "seq 2: broken");
    return -EBADMSG;
}

static int restore(bool force)
{
    struct restore_settings set = {
        .archive = archive, .data_dir = other, .force = force, .verify_journal = verify};

    return backup_restore(&set, &done, err);
}

static void test_round_trip(void)
{
    fill();
    CHECK_EQ(backup(NULL, false), 0);
    CHECK_EQ(done.files, 5);
    CHECK(done.journal && !done.database && !done.master_key);
    CHECK(bytes.n % TAR_BLOCK == 0);
    static const char *const absent[] = {"MASTERKEY", "ADMINKEY", "RING", "BODIES"};
    for (unsigned i = 0; i < ARRAY_LEN(absent); i++)
        CHECK(str_find(buf_str(&bytes), str_of(absent[i])) < 0);
    verified = 0;
    CHECK_EQ(restore(false), 0);
    CHECK_EQ(verified, 1);
    CHECK_EQ(done.files, 5);
    CHECK_EQ(strlen(done.created), 24);
    CHECK_STR(text_of(other, "node"), STR("node-1"));
    CHECK_STR(
        text_of(other, "journal/chain-0000000000000001.jsonl"), STR("{\"seq\":1}\n{\"seq\":2}\n"));
    CHECK_STR(text_of(other, "journal/chain-0000000000000003.jsonl"), /* whole lines alone */
        STR("{\"seq\":3}\n{\"seq\":4}\n"));
    CHECK(!text_of(other, "master.key").p);
    CHECK_EQ(backup(NULL, true), 0);
    CHECK(done.master_key);
    CHECK(str_find(buf_str(&bytes), STR("MASTERKEY")) >= 0);
}

/* GNU's tar reads it: it is a plain archive. */
static void test_plain_tar(void)
{
    fill();
    CHECK_EQ(backup(NULL, true), 0);
    char command[1024];
    snprintf(command, sizeof command, "cd %s && mkdir x && tar xf %s -C x && cmp x/node %s/node",
        top, archive, data);
    CHECK_EQ(system(command), 0);
}

static void test_store(void)
{
    struct store_settings set = {.data_dir = str_of(data)};
    struct store *s = NULL;

    fill();
    must(store_open(&set, &s, err, sizeof err) == 0);
    must(store_exec(s, "INSERT INTO vault_state (id, key_id, serial) VALUES (1, 'kept', 7)", NULL,
             0, NULL, err) == 0);
    CHECK_EQ(backup(s, false), 0);
    store_close(s);
    CHECK(done.database);
    CHECK_EQ(restore(false), 0);
    CHECK(done.database);
    set.data_dir = str_of(other);
    must(store_open(&set, &s, err, sizeof err) == 0);
    struct store_rows *rows = NULL;
    must(store_query(s, "SELECT serial FROM vault_state", NULL, 0, &rows, err) == 0);
    int64_t serial = store_rows_n(rows) ? store_cell_int(rows, 0, 0) : 0;
    store_rows_free(rows);
    store_close(s);
    CHECK_EQ(serial, 7);
    shell("! ls %s | grep tmp", data);
}

static void test_not_empty(void)
{
    fill();
    CHECK_EQ(backup(NULL, false), 0);
    must(mkdir(other, 0700) == 0);
    put(other, "precious", "mine");
    CHECK_EQ(restore(false), -ENOTEMPTY);
    CHECK(strstr(err, "--force"));
    CHECK_STR(text_of(other, "precious"), STR("mine"));
    CHECK(!text_of(other, "node").p);
    CHECK_EQ(restore(true), 0);
    CHECK_STR(text_of(other, "node"), STR("node-1"));
    CHECK(!text_of(other, "precious").p);
    shell("grep -q mine %s/before-restore-*/precious", other);
    shell("! ls %s | grep tmp", other);
}

/* One bit anywhere in the archive: nothing is restored, unless it was in what means nothing. */
static void test_damage(void)
{
    fill();
    CHECK_EQ(backup(NULL, false), 0);
    size_t n = bytes.n, taken = 0;
    for (size_t at = 0; at < n; at += 37) {
        bytes.p[at] ^= 0x10;
        save(buf_str(&bytes));
        bytes.p[at] ^= 0x10;
        int r = restore(false);
        taken += r == 0;
        if (r == 0) {
            CHECK_STR(text_of(other, "node"), STR("node-1"));
            CHECK_STR(text_of(other, "journal/keys.json"), STR("{}"));
            shell("rm -rf %s", other);
        }
        CHECK(r == 0 || r == -EBADMSG);
    }
    CHECK(taken < n / 37 / 2 + n / 37 / 4); /* padding, and the manifest's own words */
    for (size_t cut = 0; cut < n - 2 * TAR_BLOCK; cut += 256) {
        save(str_to(buf_str(&bytes), cut));
        CHECK_EQ(restore(false), -EBADMSG);
    }
    CHECK(access(other, F_OK) < 0 || rmdir(other) == 0);
}

static void test_journal_refused(void)
{
    struct restore_settings set = {.archive = archive, .data_dir = other, .verify_journal = refuse};

    fill();
    CHECK_EQ(backup(NULL, false), 0);
    CHECK_EQ(backup_restore(&set, &done, err), -EBADMSG);
    CHECK(strstr(err, "seq 2: broken"));
    CHECK(!text_of(other, "node").p);
}

static void test_names(void)
{
    static const char *const good[] = {"a", "journal/chain-1.jsonl", "a_b.c-d"};
    static const char *const bad[] = {
        "", "/a", "../a", "a/../b", "a//b", "a/", ".hidden", "a b", "a\\b", "journal/.x"};

    for (unsigned i = 0; i < ARRAY_LEN(good); i++)
        CHECK(tar_name_ok(str_of(good[i])));
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
        CHECK(!tar_name_ok(str_of(bad[i])));
}

static void test_headers(void)
{
    static const uint64_t sizes[] = {0, 1, 511, 077777777777, (uint64_t)1 << 33, (uint64_t)1 << 40};
    char block[TAR_BLOCK];
    struct tar_member m;

    for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
        tar_header(STR("journal/x"), sizes[i], 0, block);
        CHECK_EQ(tar_parse(block, &m), 1);
        CHECK_EQ(m.size, sizes[i]);
        CHECK_STR(str_of(m.name), STR("journal/x"));
    }
    block[156] = '2'; /* a symbolic link */
    CHECK_EQ(tar_parse(block, &m), -EBADMSG);
    memset(block, 0, sizeof block);
    CHECK_EQ(tar_parse(block, &m), 0);
    CHECK_EQ(tar_padding(0), 0);
    CHECK_EQ(tar_padding(513), 511);
}

int main(void)
{
    snprintf(top, sizeof top, "/tmp/backup-test-%d", (int)getpid());
    snprintf(data, sizeof data, "%s/data", top);
    snprintf(other, sizeof other, "%s/other", top);
    snprintf(archive, sizeof archive, "%s/a.tar", top);
    must(mkdir(top, 0700) == 0);
    buf_init(&bytes, 64 * MIB);
    TAP_RUN(test_names);
    TAP_RUN(test_headers);
    TAP_RUN(test_round_trip);
    TAP_RUN(test_plain_tar);
    TAP_RUN(test_store);
    TAP_RUN(test_not_empty);
    TAP_RUN(test_damage);
    TAP_RUN(test_journal_refused);
    shell("rm -rf %s", top);
    buf_free(&bytes);
    return tap_done();
}
