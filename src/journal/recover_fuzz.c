/*
 * Opening a journal whose files hold anything. The input says where a good segment is cut and what
 * follows there, and the same for the checkpoints. Either the journal refuses, and then it has
 * changed nothing that verified before; or it opens, and then the chain verifies as a whole, what
 * was good is still there, and it takes entries.
 */
#include "base/macros.h"
#include "journal/journal_test.h"

#include <ftw.h>
#include <sys/stat.h>

#define SEGMENT     "chain-0000000000000001.jsonl"
#define CHECKPOINTS "checkpoints.jsonl"
#define ENTRIES     12

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static char *segment, *checkpoints;
static size_t segment_n, checkpoints_n;

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *at)
{
    return remove(path);
}

static void clean_up(void)
{
    nftw(t_dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void prepare(void)
{
    if (segment)
        return;
    t_begin_in(access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"); /* syncing takes no time */
    atexit(clean_up);
    t_make_chain(ENTRIES, 5);
    segment = t_read(SEGMENT, &segment_n);
    checkpoints = t_read(CHECKPOINTS, &checkpoints_n);
}

/* The good text up to a place that two bytes name, then the rest of the input. */
static size_t damage(const char *name, const char *good, size_t good_n, struct str input)
{
    size_t cut = 0;
    struct buf text;

    buf_init(&text, (size_t)8 << 20);
    if (input.n >= 2)
        cut = ((size_t)(uint8_t)input.p[0] << 8 | (uint8_t)input.p[1]) % (good_n + 1);
    buf_add(&text, good, cut);
    buf_addstr(&text, str_from(input, 2));
    t_write(name, text.p ? text.p : "", text.n);
    buf_free(&text);
    return cut;
}

static int verify(uint64_t *ret_checked)
{
    char keys[160], err[256];
    struct journal_check check;

    strcpy(keys, t_path("keys.json"));
    struct journal_verify_settings s = {.path = t_dir, .keys = keys};
    int code = journal_verify(&s, &check, err, sizeof(err));
    *ret_checked = check.entries_checked;
    return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct str input = str_at((const char *)data, n);
    struct journal_settings s;
    struct journal *j = NULL;
    char err[256];
    uint64_t checked;

    prepare();
    s = t_settings();
    s.threads = 1;
    unlink(t_path("head"));
    unlink(t_path("ring-0"));
    unlink(t_path("ring-1"));
    struct str first = str_to(input, n / 2), second = str_from(input, n / 2);
    damage(SEGMENT, segment, segment_n, first);
    damage(CHECKPOINTS, checkpoints, checkpoints_n, second);
    int before = verify(&checked);
    int r = journal_open(&s, &j, NULL, err, sizeof(err));
    must(r == 0 || err[0]);
    if (r < 0) {
        must(before != 0 || checked == 0);
    } else {
        must(t_append(j, 0, 1, NULL) == 0);
        journal_close(j);
        must(verify(&checked) == 0);
    }
    return 0;
}
