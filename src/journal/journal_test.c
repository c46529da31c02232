/*
 * Opening, appending, reading back, waiting; what is refused; a second writer; segments.
 */
#include "journal/journal_test.h"
#include "base/clock.h"
#include "journal/journal.h"
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

int main(void)
{
    TAP_RUN(test_append_and_read);
    return tap_done();
}
