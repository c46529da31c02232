/*
 * Bodies: one piece and many, cut, hashed only, off; read back, erased, expired; full files; what a
 * killed process left.
 */
#include "base/clock.h"
#include "crypto/digest.h"
#include "journal/journal_int.h"
#include "journal/journal_test.h"
#include "runtime/offload.h"
#include "runtime/test_loop.h"

#include <errno.h>
#include <sys/wait.h>

static bool sha_is(const struct journal_body *b, struct str text)
{
    uint8_t want[SHA256_BYTES];

    sha256(text, want);
    return b->ended && memcmp(want, b->sha, sizeof(want)) == 0;
}

static int read_back(struct journal *j, uint64_t ref, struct str want)
{
    struct buf out;

    buf_init(&out, (size_t)16 << 20);
    int r = journal_body_read(j, ref, &out);
    if (r == 0 && !str_eq(buf_str(&out), want))
        r = -EBADMSG;
    buf_free(&out);
    return r;
}

static void test_one_piece(void)
{
    struct journal_body b = {0}, other = {0};

    t_begin();
    struct journal *j = t_open(NULL);
    CHECK(j);
    CHECK_EQ(journal_body_add(j, 0, &b, JOURNAL_FULL, STR("what was said")), 0);
    journal_body_end(&b);
    journal_body_end(&b);
    CHECK(sha_is(&b, STR("what was said")));
    CHECK_EQ(b.length, 13);
    CHECK_EQ(b.kept, 13);
    CHECK(!b.truncated && b.ref > 0 && b.ref < (uint64_t)1 << 53);
    CHECK_EQ(journal_body_add(j, JOURNAL_OTHER, &other, JOURNAL_FULL, STR("elsewhere")), 0);
    journal_body_end(&other);
    CHECK_EQ(read_back(j, b.ref, STR("what was said")), 0);
    CHECK_EQ(read_back(j, other.ref, STR("elsewhere")), 0);
    CHECK_EQ(read_back(j, 0, STR_NONE), -ENOENT);
    CHECK_EQ(read_back(j, b.ref + 1, STR_NONE), -EIO); /* in the middle of a piece */
    CHECK_EQ(read_back(j, (uint64_t)77 << 20 | 99, STR_NONE), -ENOENT);
    journal_close(j);
    j = t_open(NULL);
    CHECK(j);
    CHECK_EQ(read_back(j, b.ref, STR("what was said")), 0);
    journal_close(j);
    t_end();
}

static void test_many_pieces(void)
{
    struct journal_body b[2] = {0};
    struct buf want[2];
    char piece[128];

    t_begin();
    struct journal *j = t_open(NULL);
    CHECK(j);
    for (int k = 0; k < 2; k++)
        buf_init(&want[k], (size_t)1 << 20);
    for (int i = 0; i < 340; i++) { /* two bodies whose pieces lie between each other */
        int k = i % 2, n = snprintf(piece, sizeof(piece), "data: {\"delta\":%d}\n\n", i);
        CHECK_EQ(journal_body_add(j, 2, &b[k], JOURNAL_FULL, str_at(piece, (size_t)n)), 0);
        buf_add(&want[k], piece, (size_t)n);
    }
    for (int k = 0; k < 2; k++) {
        journal_body_end(&b[k]);
        CHECK(sha_is(&b[k], buf_str(&want[k])));
        CHECK_EQ(read_back(j, b[k].ref, buf_str(&want[k])), 0);
        buf_free(&want[k]);
    }
    journal_close(j);
    t_end();
}

static void test_cut_hashed_off(void)
{
    struct journal_body b = {0}, hashed = {0}, off = {0};
    struct journal_settings s;

    t_begin();
    s = t_settings();
    s.body_max = 10;
    struct journal *j = t_open_with(&s, NULL);
    CHECK(j);
    CHECK_EQ(journal_body_add(j, 0, &b, JOURNAL_FULL, STR("01234567")), 0);
    CHECK(!b.truncated);
    CHECK_EQ(journal_body_add(j, 0, &b, JOURNAL_FULL, STR("89abcdef")), 0);
    CHECK_EQ(journal_body_add(j, 0, &b, JOURNAL_FULL, STR("ghi")), 0);
    journal_body_end(&b);
    CHECK(b.truncated);
    CHECK_EQ(b.length, 19);
    CHECK_EQ(b.kept, 10);
    CHECK(sha_is(&b, STR("0123456789abcdefghi")));
    CHECK_EQ(read_back(j, b.ref, STR("0123456789")), 0);
    CHECK_EQ(journal_body_add(j, 0, &hashed, JOURNAL_HASHED, STR("secret")), 0);
    journal_body_end(&hashed);
    CHECK(sha_is(&hashed, STR("secret")));
    CHECK_EQ(hashed.ref, 0);
    CHECK_EQ(hashed.kept, 0);
    CHECK_EQ(journal_body_add(j, 0, &off, JOURNAL_OFF, STR("secret")), 0);
    journal_body_end(&off);
    CHECK_EQ(off.length, 6);
    CHECK_EQ(off.ref, 0);
    static const uint8_t none[32];
    CHECK(memcmp(off.sha, none, sizeof(none)) == 0);
    journal_close(j);
    t_end();
}

/* No file of the folder holds the text any more. */
static bool anywhere(const char *text)
{
    DIR *d = opendir(t_dir);
    bool found = false;

    for (struct dirent *e; (e = readdir(d));) {
        size_t n;
        if (e->d_name[0] == '.')
            continue;
        char *p = t_read(e->d_name, &n);
        found = found || memmem(p, n, text, strlen(text));
        free(p);
    }
    closedir(d);
    return found;
}

static void test_erase(void)
{
    struct journal_body b = {0}, kept = {0};

    t_begin();
    struct journal *j = t_open(NULL);
    CHECK(j);
    CHECK_EQ(journal_body_add(j, 0, &b, JOURNAL_FULL, STR("my name is Ada")), 0);
    CHECK_EQ(journal_body_add(j, 0, &kept, JOURNAL_FULL, STR("other words")), 0);
    CHECK_EQ(journal_body_add(j, 0, &b, JOURNAL_FULL, STR(" Lovelace")), 0);
    journal_body_end(&b);
    journal_body_end(&kept);
    CHECK(anywhere("Ada") && anywhere("Lovelace"));
    CHECK_EQ(journal_body_erase(j, b.ref), 0);
    CHECK(!anywhere("Ada") && !anywhere("Lovelace"));
    CHECK_EQ(read_back(j, b.ref, STR_NONE), -ENOENT);
    CHECK_EQ(journal_body_erase(j, b.ref), -ENOENT);
    CHECK_EQ(read_back(j, kept.ref, STR("other words")), 0);
    journal_close(j);
    t_end();
}

static unsigned count_files(void)
{
    DIR *d = opendir(t_dir);
    unsigned n = 0, ring;
    uint32_t number;

    for (struct dirent *e; (e = readdir(d));)
        n += body_file_parse(e->d_name, &ring, &number);
    closedir(d);
    return n;
}

/* Directly on the files: the clock is an argument. */
static void test_retention(void)
{
    struct bodies b;
    struct stat st;
    int dir;

    t_begin();
    dir = open(t_dir, O_RDONLY | O_DIRECTORY);
    CHECK_EQ(bodies_open(&b, dir, 2, 0, 3600 * NS_PER_S), 0);
    CHECK_EQ(count_files(), 0); /* made when there is something to write */
    CHECK(bodies_put(&b, 1, 0, STR("some text")) > 0);
    bodies_close(&b);
    CHECK_EQ(count_files(), 1);
    CHECK(stat(t_path("bodies-1-0"), &st) == 0 && st.st_size < 200);
    CHECK_EQ(bodies_open(&b, dir, 2, 0, 3600 * NS_PER_S), 0);
    CHECK(bodies_put(&b, 1, 0, STR("some text")) > 0);
    CHECK_EQ(bodies_flush(&b), 0);
    CHECK_EQ(count_files(), 2);
    bodies_sweep(&b, clock_wall() + 3599 * NS_PER_S);
    CHECK_EQ(count_files(), 2);
    bodies_sweep(&b, clock_wall() + 3601 * NS_PER_S);
    CHECK_EQ(count_files(), 1); /* the one that is written to stays */
    CHECK(stat(t_path("bodies-1-0"), &st) < 0);
    CHECK(anywhere("some text"));
    b.slots[1].made -= 3600 * NS_PER_S; /* long ago: it is sealed, and may go */
    b.slots[1].wiped_at -= 3600 * NS_PER_S;
    b.next_sweep = 0;
    bodies_tend(&b);
    bodies_sweep(&b, clock_wall() + 3601 * NS_PER_S);
    CHECK_EQ(count_files(), 0);
    CHECK(!anywhere("some text"));
    CHECK(bodies_put(&b, 1, 0, STR("in the next file")) > 0);
    CHECK_EQ(bodies_flush(&b), 0);
    CHECK(stat(t_path("bodies-1-2"), &st) == 0);
    bodies_close(&b);
    close(dir);
    t_end();
}

/* One file after another, round the stage; when it is full the body is not kept, and nothing else
 * happens. */
static void test_full_files(void)
{
    static char megabyte[1 << 20];
    struct bodies b;
    struct stat st;
    uint64_t ref = 0;
    unsigned n = 0;
    int dir;

    t_begin();
    dir = open(t_dir, O_RDONLY | O_DIRECTORY);
    CHECK_EQ(bodies_open(&b, dir, 1, 0, 0), 0);
    while ((ref = bodies_put(&b, 0, ref, str_at(megabyte, sizeof(megabyte)))))
        n++;
    CHECK_EQ(n, 7);
    CHECK(bodies_press(&b, 0) && bodies_have(&b));
    for (n = 0; n < 40; n++) {
        CHECK_EQ(bodies_flush(&b), 0);
        CHECK(!bodies_press(&b, 0) && !bodies_have(&b));
        memset(megabyte, 'a' + (int)(n % 26), sizeof(megabyte));
        ref = bodies_put(&b, 0, ref, str_at(megabyte, sizeof(megabyte)));
        CHECK(ref > 0);
        bodies_release(&b); /* takes nothing of what is staged */
    }
    CHECK_EQ(body_ref_number(ref), 3);
    bodies_close(&b);
    size_t length;
    char *last = t_read("bodies-0-3", &length);
    char *found = last + body_ref_offset(ref) + sizeof(struct body_piece);
    CHECK(length >= sizeof(megabyte) && !memcmp(found, megabyte, sizeof(megabyte)));
    free(last);
    CHECK_EQ(count_files(), 4);
    CHECK(stat(t_path("bodies-0-0"), &st) == 0 && st.st_size == 15 * ((1 << 20) + 16) + 64);
    close(dir);
    t_end();
}

/* Whatever sizes come, and whenever the writer comes, each is read back. */
static void test_many_sizes(void)
{
    static char text[300000];
    static struct {
        uint64_t ref;
        size_t n;
        char c;
    } put[4000];
    uint32_t seed = 7;

    t_begin();
    struct journal *j = t_open(NULL);
    CHECK(j);
    for (unsigned i = 0; i < ARRAY_LEN(put); i++) {
        seed = seed * 1664525 + 1013904223;
        put[i].n = 1 + (seed >> 8) % (seed % 97 ? 20000 : sizeof(text));
        put[i].c = (char)('a' + i % 26);
        memset(text, put[i].c, put[i].n);
        struct journal_body b = {0};
        while (journal_body_add(j, 1, &b, JOURNAL_FULL, str_at(text, put[i].n)) == -ENOSPC) {
            journal_body_end(&b); /* the writer is behind: the same once more */
            b = (struct journal_body){0};
            CHECK_EQ(read_back(j, put[i - 1].ref, STR_NONE), -EBADMSG);
        }
        put[i].ref = b.ref;
        journal_body_end(&b);
        CHECK_EQ(b.truncated, put[i].n > BODY_MAX_DEFAULT);
    }
    for (unsigned i = 0; i < ARRAY_LEN(put); i++) {
        memset(text, put[i].c, put[i].n);
        CHECK_EQ(read_back(j, put[i].ref, str_at(text, MIN(put[i].n, BODY_MAX_DEFAULT))), 0);
    }
    journal_close(j);
    t_end();
}

static void read_in_loop(void)
{
    struct journal_body b = {0};

    t_begin();
    struct journal *j = t_open(NULL);
    CHECK(j);
    CHECK_EQ(journal_body_add(j, 1, &b, JOURNAL_FULL, STR("from a coroutine")), 0);
    journal_body_end(&b);
    CHECK_EQ(read_back(j, b.ref, STR("from a coroutine")), 0);
    CHECK_EQ(journal_body_erase(j, b.ref), 0);
    CHECK_EQ(read_back(j, b.ref, STR_NONE), -ENOENT);
    journal_close(j);
    t_end();
}

static void test_in_a_coroutine(void)
{
    must(offload_start(1) == 0);
    in_loop_then(read_in_loop, offload_stop);
}

/* A process that ends without closing: what it staged is written at the next start. */
static void test_left_behind(void)
{
    struct stat st;
    int status;

    t_begin();
    pid_t pid = fork();
    if (pid == 0) {
        struct journal_body b = {0};
        struct journal *j = t_open(NULL);
        bool kept = j && journal_body_add(j, 0, &b, JOURNAL_FULL, STR("kept all the same")) == 0;
        t_write("ref", (char *)&b.ref, sizeof(b.ref));
        _exit(kept ? 0 : 1);
    }
    CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    size_t n;
    uint64_t ref;
    char *p = t_read("ref", &n);
    memcpy(&ref, p, sizeof(ref));
    free(p);
    struct journal *j = t_open(NULL);
    CHECK(j);
    CHECK(stat(t_path("bodies-1-0"), &st) == 0 && st.st_size < 200);
    CHECK_EQ(read_back(j, ref, STR("kept all the same")), 0);
    journal_close(j);
    t_end();
}

int main(void)
{
    TAP_RUN(test_one_piece);
    TAP_RUN(test_many_pieces);
    TAP_RUN(test_cut_hashed_off);
    TAP_RUN(test_erase);
    TAP_RUN(test_retention);
    TAP_RUN(test_full_files);
    TAP_RUN(test_many_sizes);
    TAP_RUN(test_in_a_coroutine);
    TAP_RUN(test_left_behind);
    return tap_done();
}
