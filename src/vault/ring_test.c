/* The master keys: how they may be written, who may read the file, what a rotation keeps. */
#include "vault/ring.h"

#include "base/macros.h"
#include "base/tap.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[64], path[128], err[RING_ERROR_N];

static void put_file(const char *text, mode_t mode)
{
    unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    must(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    must(fchmod(fd, mode) == 0);
    close(fd);
}

#define HEX  "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define HEX2 "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static void test_spellings(void)
{
    static const char *const good[] = {HEX, "  " HEX "\n",
        "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"};
    static const char *const bad[] = {"", "short", HEX "00",
        "zz0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg==", "====", "AAAA"};
    struct master_key k;

    for (unsigned i = 0; i < ARRAY_LEN(good); i++) {
        memset(&k, 0, sizeof k);
        CHECK_EQ(master_key_parse(str_of(good[i]), &k), 0);
        CHECK(k.key[0] == 0 && k.key[1] == 1 && k.key[31] == 31);
        CHECK_STR(str_of(k.id), STR("630dcd29")); /* sha256 of those bytes */
    }
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
        CHECK_EQ(master_key_parse(str_of(bad[i]), &k), -EINVAL);
}

static void test_file_modes(void)
{
    struct ring r = {0};

    unlink(path);
    CHECK_EQ(ring_read(&r, dir, err), -ENOENT);
    put_file(HEX "\n", 0600);
    CHECK_EQ(ring_read(&r, dir, err), 0);
    CHECK_EQ(r.n, 1);
    put_file(HEX "\n", 0400);
    CHECK_EQ(ring_read(&r, dir, err), 0);
    CHECK_EQ(r.n, 1); /* the same key */
    static const mode_t wide[] = {0640, 0604, 0660, 0644, 0601};
    for (unsigned i = 0; i < ARRAY_LEN(wide); i++) {
        put_file(HEX "\n", wide[i]);
        CHECK_EQ(ring_read(&r, dir, err), -EACCES);
        CHECK(strstr(err, "chmod 600") && strstr(err, path));
        CHECK(!strstr(err, "0001020304"));
    }
}

static void test_file_forms(void)
{
    struct ring r = {0};
    static const char *const bad[] = {"", "\n\n", "nonsense\n", HEX "\nnonsense\n"};

    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        r = (struct ring){0};
        put_file(bad[i], 0600);
        CHECK_EQ(ring_read(&r, dir, err), -EINVAL);
        CHECK(!strstr(err, "0001020304"));
    }
    r = (struct ring){0};
    unlink(path);
    must(symlink("/etc/hostname", path) == 0);
    CHECK(ring_read(&r, dir, err) < 0);
    CHECK_EQ(r.n, 0);
    put_file("\n" HEX2 "\n\n" HEX, 0600);
    CHECK_EQ(ring_read(&r, dir, err), 0);
    CHECK_EQ(r.n, 2);
    CHECK_EQ(r.at[0].key[0], 0xff);
}

static void test_write(void)
{
    struct ring r = {0}, back = {0};
    struct master_key k;
    struct stat st;

    for (unsigned i = 0; i < RING_KEYS + 2; i++) {
        master_key_make(&k);
        ring_put_first(&r, &k);
    }
    CHECK_EQ(r.n, RING_KEYS);
    CHECK(!memcmp(&r.at[0], &k, sizeof k));
    CHECK_EQ(ring_write(&r, dir, err), 0);
    CHECK_EQ(ring_read(&back, dir, err), 0);
    CHECK(!memcmp(&r, &back, sizeof r));
    must(stat(path, &st) == 0);
    CHECK_EQ(st.st_mode & 07777, 0600);
    CHECK_EQ(ring_add(&r, &k), 0); /* is there */
    master_key_make(&k);
    CHECK_EQ(ring_add(&r, &k), -ENOSPC);
    CHECK(!ring_find(&r, str_of(k.id)));
    CHECK_EQ(ring_write(&r, "/nonexistent", err), -ENOENT);
    ring_wipe(&r);
    CHECK_EQ(r.n, 0);
}

int main(void)
{
    snprintf(dir, sizeof dir, "/tmp/ring-test-%d", (int)getpid());
    snprintf(path, sizeof path, "%s/" RING_FILE, dir);
    must(mkdir(dir, 0700) == 0);
    TAP_RUN(test_spellings);
    TAP_RUN(test_file_modes);
    TAP_RUN(test_file_forms);
    TAP_RUN(test_write);
    unlink(path);
    rmdir(dir);
    return tap_done();
}
