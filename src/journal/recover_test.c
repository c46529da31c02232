/*
 * What is left of a journal whose process was killed, whose last writes were torn, or whose files
 * were changed while it was closed.
 *
 * The kill: a child appends from three threads and notes in shared memory how many appends of each
 * have returned; the parent kills it at a random number of them. Then everything that was
 * acknowledged must be on the chain, once and in order, and the chain must verify.
 */
#include "base/clock.h"
#include "crypto/random.h"
#include "journal/files_int.h"
#include "journal/journal_int.h"
#include "journal/journal_test.h"
#include "json/scan.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define SEGMENT "chain-0000000000000001.jsonl"
#define THREADS 3
#define ROUNDS  50

/* --- kill -9 --- */

struct shared {
    _Atomic uint64_t acknowledged[THREADS];
    atomic_bool opened;
};

struct appender {
    struct journal *j;
    struct shared *shared;
    unsigned thread;
    uint64_t next;
};

static int append_numbered(struct journal *j, unsigned thread, uint64_t n)
{
    static const char filler[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    struct payload p;
    struct buf text;

    buf_init(&text, 1024);
    payload_begin(&p, &text);
    payload_str(&p, "event", STR("request"));
    payload_str(&p, "filler", str_at(filler, n * 7 % sizeof(filler)));
    payload_int(&p, "n", (int64_t)n);
    payload_int(&p, "thread", thread);
    payload_end(&p);
    int r = journal_append(j, thread, buf_str(&text), NULL);
    buf_free(&text);
    return r;
}

static void *append_for_ever(void *arg)
{
    struct appender *a = arg;

    for (uint64_t n = a->next;; n++) {
        while (append_numbered(a->j, a->thread, n) < 0)
            sched_yield();
        atomic_fetch_add(&a->shared->acknowledged[a->thread], 1);
    }
    return NULL;
}

static _Noreturn void child(struct shared *shared, const uint64_t *done, size_t segment_bytes)
{
    struct journal_settings s = t_settings();
    struct journal *j;
    char err[256];
    static struct appender a[THREADS];
    pthread_t thread;

    s.segment_bytes = segment_bytes;
    s.checkpoint_entries = 64;
    if (journal_open(&s, &j, NULL, err, sizeof(err)) < 0)
        _exit(1);
    atomic_store(&shared->opened, true);
    for (unsigned i = 0; i < THREADS; i++) {
        a[i] = (struct appender){.j = j, .shared = shared, .thread = i, .next = done[i] + 1};
        if (pthread_create(&thread, NULL, append_for_ever, &a[i]) != 0)
            _exit(1);
    }
    for (;;)
        pause();
}

static uint64_t acknowledged(struct shared *s)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < THREADS; i++)
        n += atomic_load(&s->acknowledged[i]);
    return n;
}

/* False when the child ended by itself. */
static bool run_and_kill(
    struct shared *shared, const uint64_t *done, uint64_t after, size_t segment)
{
    pid_t pid = fork();
    int status = 0;

    if (pid == 0)
        child(shared, done, segment);
    must(pid > 0);
    while ((!atomic_load(&shared->opened) && after > 0) || acknowledged(shared) < after) {
        if (waitpid(pid, &status, WNOHANG) == pid)
            return false;
        sched_yield();
    }
    kill(pid, SIGKILL);
    must(waitpid(pid, &status, 0) == pid);
    return WIFSIGNALED(status);
}

/* Reads on from seq; each thread's numbers must go up by one. Returns what is wrong, or NULL. */
static const char *read_on(uint64_t *seq, uint64_t *done)
{
    struct journal_reader *r;
    struct journal_entry e;
    const char *wrong = NULL;
    int got = 0;

    if (journal_reader_open(t_dir, *seq + 1, &r) < 0)
        return "no reader";
    while (!wrong && (got = journal_reader_next(r, &e)) == 1) {
        uint64_t n, thread;
        if (e.seq != ++*seq)
            wrong = "a number is left out";
        if (json_u64(json_find(e.payload, STR("n")), &n) < 0)
            continue;
        if (json_u64(json_find(e.payload, STR("thread")), &thread) < 0 || thread >= THREADS)
            wrong = "no thread";
        else if (n != ++done[thread])
            wrong = n < done[thread] ? "an entry stands twice" : "an entry is missing";
    }
    journal_reader_close(r);
    return wrong ? wrong : got < 0 ? "cannot be read" : NULL;
}

static int verify_all(void)
{
    char keys[160], err[256];
    struct journal_check check;

    strcpy(keys, t_path("keys.json"));
    struct journal_verify_settings s = {.path = t_dir, .keys = keys};
    int code = journal_verify(&s, &check, err, sizeof(err));
    if (code)
        tap_fail(__FILE__, __LINE__, "verify: %d %s %s", code, err, check.first_bad);
    return code;
}

static const char *check_round(struct shared *shared, uint64_t *seq, uint64_t *done)
{
    uint64_t before[THREADS];
    struct journal_recovery found;

    memcpy(before, done, sizeof(before));
    struct journal *j = t_open(&found);
    if (!j)
        return "cannot be opened";
    journal_close(j);
    const char *wrong = read_on(seq, done);
    for (unsigned i = 0; i < THREADS && !wrong; i++) {
        uint64_t acked = atomic_load(&shared->acknowledged[i]), have = done[i] - before[i];
        if (have < acked)
            wrong = "an acknowledged entry is missing";
        else if (have > acked + 1)
            wrong = "more than was appended";
    }
    return wrong;
}

static void test_kill(void)
{
    struct shared *shared =
        mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint64_t seq = 0, done[THREADS] = {0};
    const char *wrong = NULL;
    int rounds = getenv("SF_KILL_ROUNDS") ? atoi(getenv("SF_KILL_ROUNDS")) : ROUNDS, round = 0;

    must(shared != MAP_FAILED);
    t_begin();
    for (; round < rounds && !wrong; round++) {
        memset(shared, 0, sizeof(*shared));
        uint64_t after = round % 10 == 9 ? 0 : 1 + random_below(round % 3 ? 3000 : 100);
        size_t segment = round % 2 ? (size_t)128 << 10 : 0;
        wrong = run_and_kill(shared, done, after, segment) ? check_round(shared, &seq, done)
                                                           : "the child ended";
        if (!wrong && round % 10 == 0 && verify_all() != 0)
            wrong = "does not verify";
    }
    int code = verify_all();
    munmap(shared, sizeof(*shared));
    t_end();
    if (wrong)
        tap_fail(__FILE__, __LINE__, "round %d: %s", round, wrong);
    CHECK_EQ(code, 0);
    CHECK(done[0] > 0 && done[1] > 0 && done[2] > 0);
}

/* --- torn ends --- */

static uint64_t last_seq(void)
{
    struct journal_reader *r;
    struct journal_entry e;
    uint64_t seq = 0;

    must(journal_reader_open(t_dir, 0, &r) == 0);
    while (journal_reader_next(r, &e) == 1)
        seq = e.seq;
    journal_reader_close(r);
    return seq;
}

/* A copy of the folder that has only what a copy needs: no head, no rings. */
static void forget_the_head(void)
{
    static const char *const names[] = {"head", "ring-0", "ring-1", "ring-2", "ring-3"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        unlink(t_path(names[i]));
}

/* Every cut behind the last checkpoint is mended: the torn line goes, `recovery` says so. */
static void test_cut_anywhere(void)
{
    struct journal_recovery found;
    size_t n, bad = 0;

    t_begin();
    t_make_chain(40, 32); /* checkpoints at 32, and at the close */
    char *text = t_read(SEGMENT, &n), *p = text;
    size_t cn;
    char *checkpoints = t_read("checkpoints.jsonl", &cn);
    size_t first_line = (size_t)(strchr(checkpoints, '\n') - checkpoints) + 1;
    for (int i = 0; i < 33; i++)
        p = strchr(p, '\n') + 1;
    for (size_t cut = (size_t)(p - text); cut < n; cut += 1 + random_below(150)) {
        forget_the_head();
        t_write(SEGMENT, text, cut);
        t_write("checkpoints.jsonl", checkpoints, first_line);
        bool torn = text[cut - 1] != '\n';
        struct journal *j = t_open(&found);
        bad += !j || (found.lost_bytes > 0) != torn || found.checked_from != 33;
        journal_close(j);
        bad += verify_all() != 0;
    }
    free(text);
    free(checkpoints);
    t_end();
    CHECK_EQ(bad, 0);
}

/* Garbage behind the end: with and without newlines, and NULs as a file system may leave them. */
static void test_garbage_behind(void)
{
    static const char *const tails[] = {"{\"entry_hmac\":\"", "\n\n\n", "garbage\nmore garbage\n",
        "{\"entry_hmac\":\"00\",\"key_id\":\"x\",\"payload\":{},\"prev_hash\":\"y\",\"seq\":7}\n"};
    struct journal_recovery found;
    char zeros[5000] = {0};
    size_t n, bad = 0;

    t_begin();
    t_make_chain(20, 0);
    uint64_t before = last_seq();
    for (size_t i = 0; i <= ARRAY_LEN(tails); i++) {
        char *text = t_read(SEGMENT, &n);
        struct str tail = i < ARRAY_LEN(tails) ? str_of(tails[i]) : str_at(zeros, sizeof(zeros));
        text = realloc(text, n + tail.n);
        memcpy(text + n, tail.p, tail.n);
        t_write(SEGMENT, text, n + tail.n);
        free(text);
        struct journal *j = t_open(&found);
        bad += !j || found.lost_bytes != tail.n || found.last_seq != before + 1;
        journal_close(j);
        before = last_seq();
        bad += verify_all() != 0;
    }
    t_end();
    CHECK_EQ(bad, 0);
}

/* What the rings still hold comes back, when the end of the chain was lost. */
static void test_cut_is_replayed(void)
{
    struct journal_recovery found;
    uint64_t seq = 0, done[THREADS] = {0};
    size_t n, cn;

    t_begin();
    struct journal_settings s = t_settings();
    s.checkpoint_entries = 16;
    struct journal *j = t_open_with(&s, NULL);
    CHECK(j);
    for (uint64_t i = 1; i <= 20; i++)
        for (unsigned t = 0; t < THREADS; t++)
            CHECK_EQ(append_numbered(j, t, i), 0);
    journal_close(j);
    char *text = t_read(SEGMENT, &n), *checkpoints = t_read("checkpoints.jsonl", &cn);
    char *p = text;
    for (int i = 0; i < 20; i++)
        p = strchr(p, '\n') + 1;
    t_write(SEGMENT, text, (size_t)(p - text) - 10);
    t_write(
        "checkpoints.jsonl", checkpoints, (size_t)(strchr(checkpoints, '\n') - checkpoints) + 1);
    free(text);
    free(checkpoints);
    j = t_open(&found);
    CHECK(j);
    journal_close(j);
    const char *wrong = read_on(&seq, done);
    int code = verify_all();
    t_end();
    if (wrong)
        tap_fail(__FILE__, __LINE__, "%s", wrong);
    CHECK_EQ(code, 0);
    CHECK(found.replayed > 0);
    CHECK(done[0] == 20 && done[1] == 20 && done[2] == 20);
}

/* --- what is refused --- */

static int try_open(char *err, size_t err_n)
{
    struct journal_settings s = t_settings();
    struct journal *j;
    int r = journal_open(&s, &j, NULL, err, err_n);

    if (r == 0)
        journal_close(j);
    return r;
}

static void test_tampered_is_refused(void)
{
    char err[256];
    size_t n, cn;

    t_begin();
    t_make_chain(40, 32);
    char *text = t_read(SEGMENT, &n), *checkpoints = t_read("checkpoints.jsonl", &cn);
    t_write(
        "checkpoints.jsonl", checkpoints, (size_t)(strchr(checkpoints, '\n') - checkpoints) + 1);
    char *p = text;
    for (int i = 0; i < 35; i++)
        p = strchr(p, '\n') + 1;
    p[150] = (char)(p[150] ^ 1);
    t_write(SEGMENT, text, n);
    int flipped = try_open(err, sizeof(err));
    bool named = strstr(err, "seq 36:") != NULL;
    p[150] = (char)(p[150] ^ 1);
    t_write(SEGMENT, text, 1000);
    int cut = try_open(err, sizeof(err));
    t_write(SEGMENT, text, n);
    char *sig = strstr(checkpoints, "\"sig\":\"") + 9; /* another hex digit */
    *sig = *sig == 'a' ? 'b' : 'a';
    t_write(
        "checkpoints.jsonl", checkpoints, (size_t)(strchr(checkpoints, '\n') - checkpoints) + 1);
    int resigned = try_open(err, sizeof(err));
    unlink(t_path(SEGMENT));
    int gone = try_open(err, sizeof(err));
    free(text);
    free(checkpoints);
    t_end();
    CHECK_EQ(flipped, -EBADMSG);
    CHECK(named);
    CHECK_EQ(cut, -EBADMSG);
    CHECK_EQ(resigned, -EBADMSG);
    CHECK_EQ(gone, -EBADMSG);
}

static void test_keys_missing(void)
{
    char err[256];

    t_begin();
    t_make_chain(5, 0);
    must(rename(t_path("keys.json"), t_path("keys.away")) == 0);
    int keys = try_open(err, sizeof(err));
    bool named = strstr(err, "keys.json") != NULL;
    must(rename(t_path("keys.away"), t_path("keys.json")) == 0);
    must(rename(t_path("checkpoint.key"), t_path("checkpoint.away")) == 0);
    int signing = try_open(err, sizeof(err));
    must(rename(t_path("checkpoint.away"), t_path("checkpoint.key")) == 0);
    int whole = try_open(err, sizeof(err));
    t_end();
    CHECK_EQ(keys, -EBADMSG);
    CHECK(named);
    CHECK_EQ(signing, -EBADMSG);
    CHECK_EQ(whole, 0);
}

/* checkpoints.jsonl is made again from the chain, byte for byte. */
static void test_checkpoints_made_again(void)
{
    size_t n, again_n;
    char err[256];

    t_begin();
    t_make_chain(100, 16);
    char *text = t_read("checkpoints.jsonl", &n);
    t_write("checkpoints.jsonl", text, 0);
    int r = try_open(err, sizeof(err));
    char *again = t_read("checkpoints.jsonl", &again_n);
    bool same = again_n >= n && memcmp(text, again, n) == 0;
    free(text);
    free(again);
    int code = verify_all();
    t_end();
    CHECK_EQ(r, 0);
    CHECK(same);
    CHECK_EQ(code, 0);
}

/* --- rings by themselves --- */

static void test_ring_wraps(void)
{
    struct ring r;
    char payload[3000];
    uint64_t put = 0, taken = 0, position, records;
    int dir;

    t_begin();
    dir = open(t_dir, O_RDONLY | O_DIRECTORY);
    CHECK_EQ(ring_open(dir, 7, &r), 0);
    ring_recover(&r, 0, &records);
    for (int i = 0; i < 30000; i++) {
        size_t n = 1 + random_below(sizeof(payload));
        memset(payload, (int)('a' + put % 26), n);
        if (ring_put(&r, str_at(payload, n), &position) == 0)
            put++;
        for (int left = (int)random_below(i % 1000 ? 3 : 9000); left-- > 0;) {
            struct ring_record *rec = ring_take(&r);
            if (!rec)
                break;
            CHECK_EQ(rec->payload[rec->length - 1], 'a' + (int)(taken % 26));
            taken++;
            ring_release(&r, r.cursor);
        }
    }
    CHECK(put > 20000);
    uint64_t on_chain = r.cursor;
    ring_close(&r);
    CHECK_EQ(ring_open(dir, 7, &r), 0);
    uint64_t lost = ring_recover(&r, on_chain, &records);
    ring_close(&r);
    close(dir);
    t_end();
    CHECK_EQ(lost, 0);
    CHECK_EQ(records, put - taken);
}

static void test_ring_full_and_damaged(void)
{
    struct ring r;
    char payload[1000] = {'x'};
    uint64_t position, records, n = 0;
    int dir;

    t_begin();
    dir = open(t_dir, O_RDONLY | O_DIRECTORY);
    CHECK_EQ(ring_open(dir, 1, &r), 0);
    ring_recover(&r, 0, &records);
    while (ring_put(&r, str_at(payload, sizeof(payload)), &position) == 0)
        n++;
    CHECK(n * 1032 <= RING_BYTES && (n + 1) * 1032 > RING_BYTES);
    r.data[1032 * 10 + 40] ^= 1; /* the eleventh record */
    uint64_t lost = ring_recover(&r, 0, &records);
    CHECK_EQ(records, 10);
    CHECK_EQ(lost, (n - 10) * 1032);
    CHECK_EQ(r.head, 10320);
    CHECK_EQ(ring_put(&r, STR("y"), &position), 0);
    CHECK_EQ(position, 10320);
    /* A chain that is ahead of what the file says: the file is from before. */
    lost = ring_recover(&r, 99 * 8, &records);
    CHECK_EQ(ring_recover(&r, (uint64_t)1 << 40, &records), 0);
    CHECK_EQ(r.head, (uint64_t)1 << 40);
    ring_close(&r);
    close(dir);
    t_end();
}

int main(void)
{
    TAP_RUN(test_kill);
    TAP_RUN(test_cut_anywhere);
    TAP_RUN(test_garbage_behind);
    TAP_RUN(test_cut_is_replayed);
    TAP_RUN(test_tampered_is_refused);
    TAP_RUN(test_keys_missing);
    TAP_RUN(test_checkpoints_made_again);
    TAP_RUN(test_ring_wraps);
    TAP_RUN(test_ring_full_and_damaged);
    return tap_done();
}
