/* The spool: what went in comes out, nothing stays in the folder, and a cancelled call leaves no
 * memory and no descriptor behind. */
#include "gateway/spool.h"

#include "base/limits.h"
#include "http/loopback.h"
#include "runtime/offload.h"
#include <dirent.h>
#include <sys/stat.h>

enum { ALL = 1000003 };

static char folder[] = "/tmp/smartflow-spool-XXXXXX";

static unsigned entries(const char *path)
{
    DIR *d = opendir(path);
    unsigned n = 0;
    must(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n - 2;
}

static char byte_at(size_t i)
{
    return (char)(i * 7 + i / 251);
}

static void fill(struct spool **s)
{
    static char all[ALL];
    for (size_t i = 0; i < ALL; i++)
        all[i] = byte_at(i);
    for (size_t at = 0, n = 1; at < ALL; at += n, n = n * 3 % 100000 + 1) {
        n = MIN(n, (size_t)ALL - at);
        CHECK_EQ(spool_append(s, str_at(all + at, n)), 0);
    }
}

static void in_and_out(void)
{
    struct spool *s;
    struct str piece;
    size_t at = 0;
    ssize_t n;
    CHECK_EQ(spool_open(str_of(folder), &s), 0);
    CHECK_EQ(spool_read(&s, 0, 10, &piece), 0); /* empty */
    fill(&s);
    CHECK_EQ(entries(folder), 0);
    while ((n = spool_read(&s, at, ALL, &piece)) > 0) {
        CHECK_EQ(piece.n, n);
        for (size_t i = 0; i < piece.n; i++)
            if (piece.p[i] != byte_at(at + i))
                tap_fail(__FILE__, __LINE__, "byte %zu", at + i);
        at += piece.n;
    }
    CHECK_EQ(n, 0);
    CHECK_EQ(at, ALL);
    CHECK_EQ(spool_read(&s, 70000, 5, &piece), 5);
    CHECK_EQ(piece.p[4], byte_at(70004));
    CHECK_EQ(spool_append(&s, STR("end")), 0); /* goes behind all that is there */
    CHECK_EQ(spool_read(&s, ALL, 10, &piece), 3);
    CHECK_STR(piece, STR("end"));
    spool_free(s);
    spool_free(NULL);
}

static void no_folder(void)
{
    struct spool *s;
    CHECK_EQ(spool_open(STR("/tmp/smartflow-spool-none/x"), &s), -ENOENT);
    CHECK(s == NULL);
}

static void cancelled(void *arg)
{
    struct spool *s = *(struct spool **)arg;
    char *bytes = calloc(1, MIB);
    co_cancel(co_self());
    CHECK_EQ(spool_append(&s, str_at(bytes, MIB)), -ECANCELED);
    CHECK(s == NULL); /* it is no longer ours to free */
    CHECK_EQ(spool_open(str_of(folder), &s), -ECANCELED);
    CHECK(s == NULL);
    free(bytes);
    *(struct spool **)arg = NULL;
}

static void cancel(void)
{
    struct spool *s;
    unsigned before = entries("/proc/self/fd");
    CHECK_EQ(spool_open(str_of(folder), &s), 0);
    CHECK_EQ(entries("/proc/self/fd"), before + 1);
    CHECK_EQ(co_spawn("cancelled", cancelled, &s, NULL), 0);
    WAIT_FOR(s == NULL && entries("/proc/self/fd") == before);
}

static void test_in_and_out(void)
{
    in_loop(in_and_out);
}

static void test_no_folder(void)
{
    in_loop(no_folder);
}

static void test_cancel(void)
{
    in_loop(cancel);
}

/* Where the file system cannot make a file without a name. */
static void test_unlinked(void)
{
    struct stat st;
    int fd = spool_file_unlinked(folder);
    CHECK(fd >= 0);
    CHECK_EQ(entries(folder), 0);
    CHECK_EQ(fstat(fd, &st), 0);
    CHECK_EQ(st.st_mode & 0777, 0600);
    CHECK_EQ(st.st_nlink, 0);
    CHECK_EQ(write(fd, "x", 1), 1);
    close(fd);
    CHECK_EQ(spool_file_unlinked("/tmp/smartflow-spool-none"), -ENOENT);
}

/* Without a pool the loop does the work itself. */
static void test_without_a_pool(void)
{
    offload_stop();
    in_loop(in_and_out);
}

int main(void)
{
    must(mkdtemp(folder));
    must(offload_start(2) == 0);
    TAP_RUN(test_in_and_out);
    TAP_RUN(test_no_folder);
    TAP_RUN(test_cancel);
    TAP_RUN(test_unlinked);
    TAP_RUN(test_without_a_pool);
    rmdir(folder);
    return tap_done();
}
