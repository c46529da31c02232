/*
 * Opening, appending, reading back, waiting; what is refused; a second writer; segments.
 */
#include "journal/journal_test.h"
#include "base/clock.h"
#include "journal/files_int.h"
#include "journal/journal.h"
#include "journal/journal_int.h"
#include "runtime/test_loop.h"
#include "json/scan.h"

#include <errno.h>
#include <pthread.h>

/* The number in payload "n", -1 when there is none. */
static int64_t number_of(const struct journal_entry *e)
{
    uint64_t n;

    return json_u64(json_find(e->payload, STR("n")), &n) == 0 ? (int64_t)n : -1;
}

static void test_append_and_read(void)
{
    struct journal_recovery found;
    struct journal_ticket t;
    struct journal_reader *r = NULL;
    struct journal_entry e;

    t_begin();
    struct journal *j = t_open(&found);
    CHECK(j);
    CHECK_EQ(found.last_seq, 0);
    CHECK_EQ(found.checked_from, 1);
    CHECK(journal_is_well(j));
    CHECK(journal_problem(j) == NULL);
    CHECK_EQ(t_append(j, 0, 1, NULL), 0);
    CHECK_EQ(t_append(j, 0, 2, &t), 0);
    CHECK_EQ(journal_wait(j, &t, clock_now() + 10 * NS_PER_S), 0);
    CHECK_EQ(journal_seq_of(j, &t), 2);
    CHECK_EQ(journal_last_seq(j), 2);
    CHECK_EQ(journal_reader_open(t_dir, 0, &r), 0);
    CHECK_EQ(journal_reader_next(r, &e), 1);
    CHECK_EQ(e.seq, 1);
    CHECK_STR(e.prev_hash, STR("genesis"));
    CHECK_EQ(number_of(&e), 1);
    CHECK(str_starts(e.canonical, STR("{\"key_id\":\"k-")));
    CHECK(str_ends(e.canonical, STR(",\"prev_hash\":\"genesis\",\"seq\":1}")));
    CHECK_EQ(journal_reader_next(r, &e), 1);
    CHECK_EQ(number_of(&e), 2);
    CHECK_EQ(journal_reader_next(r, &e), 0);
    CHECK_EQ(t_append(j, 2, 3, &t), 0);
    CHECK_EQ(journal_wait(j, &t, clock_now() + 10 * NS_PER_S), 0);
    CHECK_EQ(journal_reader_next(r, &e), 1);
    CHECK_EQ(e.seq, 3);
    CHECK_EQ(number_of(&e), 3);
    journal_reader_close(r);
    journal_close(j);
    j = t_open(&found);
    CHECK(j);
    CHECK_EQ(found.last_seq, 4); /* with the checkpoint of the close */
    CHECK_EQ(found.checked_from, 4);
    CHECK_EQ(found.replayed, 0);
    CHECK_EQ(found.lost_bytes, 0);
    journal_close(j);
    t_end();
}

static int64_t patience(void)
{
    return clock_now() + 60 * NS_PER_S;
}

static int verify_all(uint64_t *ret_entries)
{
    char keys[160], err[256];
    struct journal_check check;

    strcpy(keys, t_path("keys.json"));
    struct journal_verify_settings s = {.path = t_dir, .keys = keys};
    int code = journal_verify(&s, &check, err, sizeof(err));
    if (code)
        tap_fail(__FILE__, __LINE__, "verify: %d %s %s", code, err, check.first_bad);
    if (ret_entries)
        *ret_entries = check.entries_checked;
    return code;
}

/* How often payload number n is on the chain. */
static unsigned times_on_chain(int64_t n)
{
    struct journal_reader *r;
    struct journal_entry e;
    unsigned times = 0;

    must(journal_reader_open(t_dir, 0, &r) == 0);
    while (journal_reader_next(r, &e) == 1)
        times += number_of(&e) == n;
    journal_reader_close(r);
    return times;
}

static void test_refused_payloads(void)
{
    char *big = malloc(JOURNAL_PAYLOAD_BYTES + 10);

    t_begin();
    struct journal *j = t_open(NULL);
    CHECK(j && big);
    CHECK_EQ(journal_append(j, 0, STR(""), NULL), -EINVAL);
    CHECK_EQ(journal_append(j, 0, STR("[]"), NULL), -EINVAL);
    CHECK_EQ(journal_append(j, 0, STR("{\"a\":\n1}"), NULL), -EINVAL);
    CHECK_EQ(journal_append(j, 0, STR("{\"_ring\":[0,0]}"), NULL), -EINVAL);
    CHECK_EQ(journal_append(j, 0, STR("{\"A\":1}"), NULL), -EINVAL);
    memset(big, 'x', JOURNAL_PAYLOAD_BYTES + 10);
    memcpy(big, "{\"a\":\"", 6);
    memcpy(big + JOURNAL_PAYLOAD_BYTES - 2, "\"}", 2);
    CHECK_EQ(journal_append(j, 0, str_at(big, JOURNAL_PAYLOAD_BYTES + 1), NULL), -EMSGSIZE);
    CHECK_EQ(journal_append(j, 0, str_at(big, JOURNAL_PAYLOAD_BYTES), NULL), 0);
    CHECK_EQ(journal_append(j, 0, STR("{}"), NULL), 0);
    journal_close(j);
    free(big);
    int code = verify_all(NULL);
    t_end();
    CHECK_EQ(code, 0);
}

static void test_second_writer(void)
{
    struct journal_settings s;
    struct journal *j, *second = NULL;
    char err[256];

    t_begin();
    j = t_open(NULL);
    s = t_settings();
    CHECK(j);
    uint64_t epoch = atomic_load(&j->head->epoch);
    CHECK_EQ(journal_open(&s, &second, NULL, err, sizeof(err)), -EBUSY);
    CHECK(strstr(err, "another process"));
    journal_close(j);
    CHECK_EQ(journal_open(&s, &second, NULL, err, sizeof(err)), 0);
    CHECK_EQ(atomic_load(&second->head->epoch), epoch + 1);
    journal_close(second);
    t_end();
}

/* --- segments and rotation --- */

static void test_segments(void)
{
    struct journal_settings s;
    struct journal_ticket t;
    struct journal_reader *r;
    struct journal_entry e;
    uint64_t entries;

    t_begin();
    s = t_settings();
    s.segment_bytes = 5000;
    s.checkpoint_entries = 7;
    struct journal *j = t_open_with(&s, NULL);
    CHECK(j);
    CHECK_EQ(journal_reader_open(t_dir, 3, &r), 0); /* before there is anything */
    for (int i = 1; i <= 100; i++) {
        CHECK_EQ(t_append(j, 0, i, &t), 0);
        if (i % 5 == 0)
            CHECK_EQ(journal_wait(j, &t, patience()), 0);
    }
    uint64_t last = journal_last_seq(j), seq = 2;
    while (journal_reader_next(r, &e) == 1)
        CHECK_EQ(e.seq, ++seq);
    CHECK_EQ(seq, last);
    journal_reader_close(r);
    CHECK_EQ(journal_reader_open(t_dir, 90, &r), 0);
    CHECK_EQ(journal_reader_next(r, &e), 1);
    CHECK_EQ(e.seq, 90);
    journal_reader_close(r);
    journal_close(j);
    uint64_t *list;
    size_t n;
    int dir = open(t_dir, O_RDONLY | O_DIRECTORY);
    CHECK_EQ(segment_list(dir, &list, &n), 0);
    CHECK(n > 4);
    free(list);
    close(dir);
    CHECK_EQ(verify_all(&entries), 0);
    j = t_open_with(&s, NULL);
    CHECK(j);
    journal_close(j);
    CHECK_EQ(verify_all(NULL), 0);
    t_end();
}

static void test_rotation(void)
{
    struct journal_ticket t;
    struct journal_reader *r;
    struct journal_entry e;
    char keys[2][KEY_ID_BYTES + 1] = {"", ""};
    struct str event_key = STR_NONE;

    t_begin();
    struct journal *j = t_open(NULL);
    CHECK(j);
    CHECK_EQ(t_append(j, 0, 1, &t), 0);
    CHECK_EQ(journal_wait(j, &t, patience()), 0);
    CHECK_EQ(journal_rotate_key(j), 0);
    CHECK_EQ(t_append(j, 0, 2, NULL), 0);
    journal_close(j);
    j = t_open(NULL); /* goes on under the new key */
    CHECK(j);
    CHECK_EQ(t_append(j, 0, 3, NULL), 0);
    journal_close(j);
    CHECK_EQ(journal_reader_open(t_dir, 0, &r), 0);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(journal_reader_next(r, &e), 1);
        snprintf(keys[i], sizeof(keys[i]), STR_FMT, STR_ARG(e.key_id));
    }
    CHECK_STR(json_find(e.payload, STR("event")), STR("\"key_event\""));
    CHECK_STR(str_of(keys[1]), str_of(keys[0])); /* under the old key */
    event_key = json_find(e.payload, STR("new"));
    char new_key[KEY_ID_BYTES + 1];
    snprintf(new_key, sizeof(new_key), "%.*s", (int)event_key.n - 2, event_key.p + 1);
    CHECK(strcmp(new_key, keys[0]) != 0);
    while (journal_reader_next(r, &e) == 1)
        CHECK_STR(e.key_id, str_of(new_key));
    journal_reader_close(r);
    struct stat st;
    CHECK(stat(t_path("keys.json"), &st) == 0 && (st.st_mode & 0777) == 0600);
    CHECK(stat(t_path("checkpoint.key"), &st) == 0 && (st.st_mode & 0777) == 0600);
    CHECK_EQ(verify_all(NULL), 0);
    t_end();
}

/* --- waiting --- */

static struct journal *loop_journal;
static unsigned synced_calls;

static void note_synced(void *ctx)
{
    must(ctx == &synced_calls);
    synced_calls++;
}

static void waits_body(void)
{
    struct journal *j = loop_journal;
    struct journal_ticket t, other;

    journal_on_synced(j, loop_self(), note_synced, &synced_calls);
    for (int i = 1; i <= 20; i++) {
        CHECK_EQ(t_append(j, 1, i, &t), 0);
        CHECK_EQ(t_append(j, JOURNAL_OTHER, 100 + i, &other), 0);
        CHECK_EQ(journal_wait(j, &t, far()), 0);
        CHECK_EQ(journal_wait(j, &other, far()), 0);
        CHECK(journal_seq_of(j, &t) > 0);
        CHECK(journal_seq_of(j, &other) > 0);
    }
    while (synced_calls == 0)
        co_sleep_until(soon());
    journal_on_synced(j, NULL, NULL, NULL);
}

static void test_waits_in_a_coroutine(void)
{
    t_begin();
    synced_calls = 0;
    loop_journal = t_open(NULL);
    CHECK(loop_journal);
    in_loop(waits_body);
    journal_close(loop_journal);
    CHECK(synced_calls > 0);
    CHECK_EQ(verify_all(NULL), 0);
    t_end();
}

/* --- disks that fail --- */

static atomic_int pwrite_error, sync_error;
static atomic_uint failed_calls;

static ssize_t failing_pwrite(int fd, const void *p, size_t n, off_t at)
{
    int err = atomic_load(&pwrite_error);

    if (!err)
        return pwrite(fd, p, n, at);
    if (atomic_fetch_add(&failed_calls, 1) % 2 == 0 && n > 100)
        return pwrite(fd, p, n / 2, at); /* half of it still fits */
    errno = err;
    return -1;
}

static int failing_sync(int fd)
{
    errno = atomic_load(&sync_error);
    if (!errno)
        return fdatasync(fd);
    atomic_fetch_add(&failed_calls, 1);
    return -1;
}

static void wait_until(struct journal *j, bool well)
{
    int64_t until = patience();

    while (journal_is_well(j) != well && clock_now() < until)
        usleep(1000);
}

static void fail_and_mend(atomic_int *which, int err)
{
    struct journal_ticket t, before;

    t_begin();
    struct journal *j = t_open(NULL);
    CHECK(j);
    CHECK_EQ(t_append(j, 0, 1, &before), 0);
    CHECK_EQ(journal_wait(j, &before, patience()), 0);
    atomic_store(which, err);
    CHECK_EQ(t_append(j, 0, 2, &t), 0);
    CHECK_EQ(t_append(j, 1, 3, NULL), 0);
    CHECK_EQ(journal_wait(j, &t, patience()), -EIO);
    CHECK(!journal_is_well(j));
    CHECK_STR(str_of(journal_problem(j)), str_of(strerrordesc_np(err)));
    CHECK_EQ(t_append(j, JOURNAL_OTHER, 4, NULL), -ENOSPC);
    CHECK_EQ(t_append(j, 0, 6, NULL), 0); /* the outcome of a call that was running */
    CHECK_EQ(journal_seq_of(j, &t), 0);
    CHECK_EQ(journal_last_seq(j), 1);
    atomic_store(which, 0);
    wait_until(j, true);
    CHECK(journal_is_well(j));
    CHECK(journal_problem(j) == NULL);
    CHECK_EQ(journal_wait(j, &t, patience()), 0);
    CHECK_EQ(journal_seq_of(j, &t), 2);
    CHECK_EQ(t_append(j, 0, 5, NULL), 0);
    journal_close(j);
    CHECK_EQ(times_on_chain(2), 1);
    CHECK_EQ(times_on_chain(3), 1);
    CHECK_EQ(times_on_chain(4), 0);
    CHECK_EQ(times_on_chain(5), 1);
    CHECK_EQ(times_on_chain(6), 1);
    CHECK_EQ(verify_all(NULL), 0);
    t_end();
}

static void test_disk_full(void)
{
    journal_sys.pwrite = failing_pwrite;
    fail_and_mend(&pwrite_error, ENOSPC);
    journal_sys.pwrite = pwrite;
}

static void test_sync_fails(void)
{
    journal_sys.fdatasync = failing_sync;
    fail_and_mend(&sync_error, EIO);
    journal_sys.fdatasync = fdatasync;
}

/* Closed while the disk is full: what was acknowledged waits in the rings. */
static void test_closed_while_full(void)
{
    struct journal_recovery found;

    t_begin();
    journal_sys.pwrite = failing_pwrite;
    struct journal *j = t_open(NULL);
    CHECK(j);
    atomic_store(&pwrite_error, ENOSPC);
    CHECK_EQ(t_append(j, 0, 1, NULL), 0);
    CHECK_EQ(t_append(j, 2, 2, NULL), 0);
    journal_close(j);
    atomic_store(&pwrite_error, 0);
    journal_sys.pwrite = pwrite;
    j = t_open(&found);
    CHECK(j);
    CHECK_EQ(found.replayed, 2);
    journal_close(j);
    CHECK_EQ(times_on_chain(1), 1);
    CHECK_EQ(times_on_chain(2), 1);
    CHECK_EQ(verify_all(NULL), 0);
    t_end();
}

/* The writer is held: the ring fills up, and says so. */
static void test_ring_full(void)
{
    char *big = malloc(JOURNAL_PAYLOAD_BYTES);
    struct journal_ticket t;
    unsigned n = 0;

    t_begin();
    memset(big, 'x', JOURNAL_PAYLOAD_BYTES);
    memcpy(big, "{\"a\":\"", 6);
    memcpy(big + JOURNAL_PAYLOAD_BYTES - 2, "\"}", 2);
    struct journal *j = t_open(NULL);
    CHECK(j);
    pthread_mutex_lock(&j->lock); /* which the writer takes before each group */
    while (n < 1000 && journal_append(j, 0, str_at(big, JOURNAL_PAYLOAD_BYTES), &t) == 0)
        n++;
    CHECK_EQ(journal_append(j, 0, str_at(big, JOURNAL_PAYLOAD_BYTES), &t), -ENOSPC);
    CHECK(journal_is_well(j));
    CHECK_EQ(t_append(j, 1, 7, &t), 0); /* another thread's ring */
    pthread_mutex_unlock(&j->lock);
    CHECK_EQ(journal_wait(j, &t, patience()), 0);
    CHECK_EQ(journal_append(j, 0, str_at(big, JOURNAL_PAYLOAD_BYTES), &t), 0);
    journal_close(j);
    CHECK(n >= 100);
    CHECK_EQ(verify_all(NULL), 0);
    t_end();
    free(big);
}

/* --- many threads --- */

static void *append_many(void *arg)
{
    unsigned thread = (unsigned)(uintptr_t)arg;

    for (int i = 0; i < 3000; i++)
        while (t_append(loop_journal, thread, i, NULL) == -ENOSPC)
            usleep(100);
    return NULL;
}

static void test_many_threads(void)
{
    const unsigned threads[] = {0, 1, 2, JOURNAL_OTHER, JOURNAL_OTHER};
    pthread_t id[ARRAY_LEN(threads)];
    uint64_t entries;

    t_begin();
    loop_journal = t_open(NULL);
    CHECK(loop_journal);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        CHECK_EQ(pthread_create(&id[i], NULL, append_many, (void *)(uintptr_t)threads[i]), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(id[i], NULL);
    journal_close(loop_journal);
    CHECK_EQ(verify_all(&entries), 0);
    CHECK(entries >= 15000 && entries < 15100);
    t_end();
}

static void test_jwks(void)
{
    struct public_keys from_pem, from_jwks;
    struct buf out;
    size_t n;

    t_begin();
    struct journal *j = t_open(NULL);
    CHECK(j);
    buf_init(&out, 4096);
    CHECK_EQ(journal_jwks(j, &out), 0);
    journal_close(j);
    char *pem = t_read("checkpoint.pub", &n);
    CHECK_EQ(public_keys_parse(str_at(pem, n), &from_pem), 0);
    CHECK_EQ(public_keys_parse(buf_str(&out), &from_jwks), 0);
    CHECK(from_jwks.n == 1 && memcmp(from_jwks.key[0], from_pem.key[0], 32) == 0);
    free(pem);
    buf_free(&out);
    t_end();
}

int main(void)
{
    TAP_RUN(test_append_and_read);
    TAP_RUN(test_refused_payloads);
    TAP_RUN(test_second_writer);
    TAP_RUN(test_segments);
    TAP_RUN(test_rotation);
    TAP_RUN(test_waits_in_a_coroutine);
    TAP_RUN(test_disk_full);
    TAP_RUN(test_sync_fails);
    TAP_RUN(test_closed_while_full);
    TAP_RUN(test_ring_full);
    TAP_RUN(test_many_threads);
    TAP_RUN(test_jwks);
    return tap_done();
}
