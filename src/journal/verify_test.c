/*
 * Tampering: every byte of a chain flipped in turn, entries deleted, inserted, exchanged, repeated,
 * the end cut off, checkpoints changed. Each must be found, and named by its number.
 */
#include "journal/journal_test.h"
#include "journal/verify_int.h"

#include <errno.h>

#define SEGMENT "chain-0000000000000001.jsonl"

struct text_lines {
    char *p;
    size_t n;
    struct str line[2048];
    size_t n_lines;
};

static void split(struct text_lines *t)
{
    struct str rest = str_at(t->p, t->n);

    t->n_lines = 0;
    while (rest.n && t->n_lines < ARRAY_LEN(t->line))
        t->line[t->n_lines++] = str_split(&rest, '\n');
}

static void load(struct text_lines *t)
{
    t->p = t_read(SEGMENT, &t->n);
    split(t);
}

static void load_keys(struct keyring *keys)
{
    int dir = open(t_dir, O_RDONLY | O_DIRECTORY);

    must(keyring_load(dir, keys) == 0);
    close(dir);
}

/* --- flipped bytes --- */

static void verify_text(struct verifier *v, struct str text)
{
    while (text.n) {
        struct str line = str_split(&text, '\n');
        if (line.n)
            verify_entry(v, line);
    }
}

/* From the state before line i: that line and the two behind it, one byte flipped. */
static bool flip_is_found(
    const struct verifier *before, const struct text_lines *t, size_t i, char *byte, char with)
{
    struct journal_check check = *before->check;
    struct verifier v = *before;
    size_t last = MIN(i + 2, t->n_lines - 1);
    const char *end = t->line[last].p + t->line[last].n + 1;

    v.check = &check;
    *byte = (char)(*byte ^ with);
    verify_text(&v, str_at(t->line[i].p, (size_t)(end - t->line[i].p)));
    *byte = (char)(*byte ^ with);
    if (i + 1 == t->n_lines && !check.first_bad[0])
        verify_end(&v, t->n_lines);
    return check.first_bad[0] && check.first_bad_seq == i + 1 && verify_result(&v) == 2;
}

static size_t flips_missed(struct text_lines *t, const struct keyring *keys, size_t lines)
{
    static const char with[] = {0x01, 0x20, (char)0x80};
    struct journal_check check;
    struct verifier v;
    size_t missed = 0;

    verify_init(&v, &check, keys);
    v.from_known = true;
    buf_reserve(&v.mem, 4096); /* so that copies of v share the memory */
    buf_reserve(&v.canonical, 4096);
    for (size_t i = 0; i < lines; i++) {
        char *line = t->p + (t->line[i].p - t->p);
        for (size_t b = 0; b <= t->line[i].n; b++)
            missed += !flip_is_found(&v, t, i, line + b, with[b % ARRAY_LEN(with)]);
        verify_entry(&v, t->line[i]);
    }
    if (check.first_bad[0])
        missed++;
    verify_free(&v);
    return missed;
}

static void test_every_byte_of_a_thousand(void)
{
    static struct text_lines t;
    struct keyring keys;

    t_begin();
    t_make_chain(1000, 0);
    load(&t);
    load_keys(&keys);
    CHECK_EQ(t.n_lines, 1001);
    size_t missed = flips_missed(&t, &keys, t.n_lines);
    keyring_free(&keys);
    free(t.p);
    t_end();
    CHECK_EQ(missed, 0);
}

/* The whole file through the front door, every byte of it. */
static void test_every_byte_through_files(void)
{
    static const char with[] = {0x02, 0x10, 0x40};
    struct journal_check check;
    char err[256], path[160], keys[160];
    size_t n, missed = 0;

    t_begin();
    t_make_chain(4, 0);
    char *text = t_read(SEGMENT, &n);
    strcpy(path, t_path("copy"));
    strcpy(keys, t_path("keys.json"));
    t_write("copy", text, n);
    struct journal_verify_settings s = {.path = path, .keys = keys};
    int whole = journal_verify(&s, &check, err, sizeof(err)), fd = open(path, O_WRONLY);
    for (size_t i = 0; i + 1 < n; i++) {
        char bad = (char)(text[i] ^ with[i % 3]);
        must(pwrite(fd, &bad, 1, (off_t)i) == 1);
        missed += journal_verify(&s, &check, err, sizeof(err)) != 2 || !check.first_bad_seq;
        must(pwrite(fd, &text[i], 1, (off_t)i) == 1);
    }
    close(fd);
    free(text);
    t_end();
    CHECK_EQ(whole, 0);
    CHECK_EQ(missed, 0);
}

/* --- whole entries --- */

/* Writes the lines in the order given by their indexes. */
static void write_lines(const struct text_lines *t, const size_t *index, size_t n)
{
    struct buf out;

    buf_init(&out, (size_t)8 << 20);
    for (size_t i = 0; i < n; i++) {
        buf_addstr(&out, t->line[index[i]]);
        buf_addc(&out, '\n');
    }
    t_write(SEGMENT, out.p, out.n);
    buf_free(&out);
}

static int verify(struct journal_check *check, bool keyed)
{
    struct journal_verify_settings s = {.path = t_dir, .keys = keyed ? t_path("keys.json") : NULL};
    char err[256];
    int code = journal_verify(&s, check, err, sizeof(err));

    if (code == 3)
        tap_fail(__FILE__, __LINE__, "unreadable: %s", err);
    return code;
}

enum change { DELETE, REPEAT, EXCHANGE, MOVE };

/* Line 50 is changed; with and without the key the same number must be named. */
static void check_change(enum change what, uint64_t bad, bool keyed)
{
    static struct text_lines t;
    size_t index[256], n = 0;
    struct journal_check check;

    t_begin();
    t_make_chain(100, 32);
    load(&t);
    for (size_t i = 0; i < t.n_lines; i++) {
        if (i == 49 && what == DELETE)
            continue;
        index[n++] = i;
        if (i == 49 && what == REPEAT)
            index[n++] = i;
        if (i == 80 && what == MOVE)
            index[n++] = 49;
        if (i == 50 && what == EXCHANGE) {
            index[n - 2] = 50;
            index[n - 1] = 49;
        }
    }
    write_lines(&t, index, n);
    int code = verify(&check, keyed);
    free(t.p);
    t_end();
    CHECK_EQ(code, 2);
    CHECK_EQ(check.first_bad_seq, bad);
    CHECK_EQ(check.hmac_mismatches, 0);
    CHECK_EQ(check.missing, what == DELETE);
    CHECK_EQ(check.duplicates, what == REPEAT || what == MOVE);
    CHECK_EQ(check.prev_hash_breaks, what == EXCHANGE);
}

static void test_deleted_repeated_exchanged(void)
{
    for (int keyed = 0; keyed < 2; keyed++) {
        check_change(DELETE, 50, keyed);
        check_change(REPEAT, 50, keyed);
        check_change(EXCHANGE, 50, keyed);
        check_change(MOVE, 50, keyed);
    }
}

/* An entry put in between, its number and link right, but made without the key. */
static void test_inserted(void)
{
    static struct text_lines t;
    struct journal_check check;
    struct buf out;

    t_begin();
    t_make_chain(100, 32);
    load(&t);
    buf_init(&out, (size_t)1 << 20);
    for (size_t i = 0; i < t.n_lines; i++) {
        if (i == 49) {
            size_t hex = out.n + 20;
            buf_addstr(&out, t.line[i]);
            out.p[hex] = out.p[hex] == 'a' ? 'b' : 'a';
            buf_addc(&out, '\n');
        }
        buf_addstr(&out, t.line[i]);
        buf_addc(&out, '\n');
    }
    t_write(SEGMENT, out.p, out.n);
    int code = verify(&check, true);
    buf_free(&out);
    free(t.p);
    t_end();
    CHECK_EQ(code, 2);
    CHECK_EQ(check.first_bad_seq, 50);
    CHECK_EQ(check.hmac_mismatches, 1);
}

static void test_first_entry_deleted(void)
{
    static struct text_lines t;
    struct journal_check check;
    size_t index[256];

    t_begin();
    t_make_chain(20, 0);
    load(&t);
    for (size_t i = 1; i < t.n_lines; i++)
        index[i - 1] = i;
    write_lines(&t, index, t.n_lines - 1);
    int code = verify(&check, true);
    free(t.p);
    t_end();
    CHECK_EQ(code, 2);
    CHECK_EQ(check.first_bad_seq, 1);
    CHECK_EQ(check.missing, 1);
}

/* --- the end cut off --- */

static void test_end_cut_off(void)
{
    static struct text_lines t;
    struct journal_check check;
    size_t index[256];
    char err[256];

    t_begin();
    t_make_chain(100, 32);
    load(&t);
    for (size_t i = 0; i < t.n_lines; i++)
        index[i] = i;
    write_lines(&t, index, t.n_lines - 10);
    struct journal_verify_settings s = {.path = t_path(SEGMENT), .keys = t_path("keys.json")};
    int alone = journal_verify(&s, &check, err, sizeof(err));
    uint64_t alone_bad = check.first_bad_seq;
    s.checkpoints = t_path("checkpoints.jsonl");
    s.checkpoint_key = t_path("checkpoint.pub");
    int against = journal_verify(&s, &check, err, sizeof(err));
    uint64_t failures = check.checkpoint_failures, bad = check.first_bad_seq;
    int folder = verify(&check, true); /* the head file knows how far it went */
    size_t cut = t.n_lines - 10;
    free(t.p);
    t_end();
    CHECK_EQ(alone, 0);
    CHECK_EQ(alone_bad, 0);
    CHECK_EQ(against, 2);
    CHECK(failures > 0);
    CHECK_EQ(bad, cut + 1);
    CHECK_EQ(folder, 2);
    CHECK_EQ(check.missing, 10);
    CHECK_EQ(check.first_bad_seq, cut + 1);
}

/* --- checkpoints --- */

static void test_checkpoint_flips(void)
{
    struct journal_check check;
    size_t n, missed = 0;

    t_begin();
    t_make_chain(100, 64);
    char *text = t_read("checkpoints.jsonl", &n);
    CHECK(strchr(text, '\n') < text + n - 1);
    static const char *const members[] = {"\"count\":", "\"from\":", "\"head_hmac\":\"",
        "\"merkle_root\":\"", "\"sig\":\"", "\"to\":"};
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        char *at = strstr(text, members[i]) + strlen(members[i]);
        char was = *at;
        *at = was == '1' ? '2' : '1';
        t_write("checkpoints.jsonl", text, n);
        *at = was;
        missed += verify(&check, true) != 2 || check.checkpoint_failures == 0;
    }
    char *second = strchr(text, '\n') + 1;
    t_write("checkpoints.jsonl", second, n - (size_t)(second - text));
    int first_gone = verify(&check, true);
    t_write("checkpoints.jsonl", text, n);
    int whole = verify(&check, true);
    free(text);
    t_end();
    CHECK_EQ(missed, 0);
    CHECK_EQ(first_gone, 2);
    CHECK_EQ(whole, 0);
    CHECK_EQ(check.checkpoints_checked, 2);
}

/* Whoever has the HMAC key can write the chain anew; the signed checkpoints say so. */
static void test_rewritten_with_the_key(void)
{
    static struct text_lines t;
    struct chain_end end = {.link = GENESIS};
    const struct entry_origin own = {.ring = -1};
    struct journal_check check;
    struct keyring keys;
    uint8_t leaf[SHA256_BYTES];
    struct buf out;

    t_begin();
    t_make_chain(10, 0);
    load(&t);
    load_keys(&keys);
    buf_init(&out, (size_t)1 << 20);
    for (size_t i = 0; i < t.n_lines; i++) {
        struct journal_entry e;
        CHECK(entry_read(t.line[i], &e));
        struct str payload = i == 4 ? STR("{\"event\":\"nothing\"}") : e.payload;
        CHECK_EQ(entry_add(&out, &end, e.key_id, &keys.keys[0].hmac, &own, payload, leaf), 0);
    }
    t_write(SEGMENT, out.p, out.n);
    int code = verify(&check, true);
    keyring_free(&keys);
    buf_free(&out);
    free(t.p);
    t_end();
    CHECK_EQ(code, 2);
    CHECK_EQ(check.hmac_mismatches, 0);
    CHECK_EQ(check.prev_hash_breaks, 0);
    CHECK_EQ(check.checkpoint_failures, 1);
}

/* --- forms --- */

static void test_forms_and_codes(void)
{
    static struct text_lines t;
    struct journal_check check;
    char err[256];
    struct buf out;

    t_begin();
    t_make_chain(30, 8);
    load(&t);
    buf_init(&out, (size_t)1 << 20);
    for (size_t i = 0; i < t.n_lines; i++) {
        buf_add(&out, i ? ",\n " : "[ ", i ? 3 : 2);
        buf_addstr(&out, t.line[i]);
    }
    buf_addstr(&out, STR(" ]\n"));
    t_write("array.json", out.p, out.n);
    struct journal_verify_settings s = {.path = t_path("array.json"), .keys = t_path("keys.json")};
    CHECK_EQ(journal_verify(&s, &check, err, sizeof(err)), 0);
    CHECK_EQ(check.entries_checked, t.n_lines);
    CHECK_EQ(check.signed_entries, t.n_lines);
    s.keys = NULL;
    CHECK_EQ(journal_verify(&s, &check, err, sizeof(err)), 1);
    s.keys = "hex:00112233445566778899aabbccddeeff";
    CHECK_EQ(journal_verify(&s, &check, err, sizeof(err)), 2);
    CHECK_EQ(check.hmac_mismatches, t.n_lines);
    CHECK_EQ(check.first_bad_seq, 1);
    s = (struct journal_verify_settings){
        .path = t_dir, .keys = t_path("keys.json"), .from = 12, .to = 20};
    CHECK_EQ(journal_verify(&s, &check, err, sizeof(err)), 0);
    CHECK_EQ(check.from_seq, 12);
    CHECK_EQ(check.to_seq, 20);
    CHECK_EQ(check.entries_checked, 9);
    s = (struct journal_verify_settings){.path = t_path("nothing"), .keys = t_path("keys.json")};
    CHECK_EQ(journal_verify(&s, &check, err, sizeof(err)), 3);
    CHECK(strstr(err, "nothing"));
    s = (struct journal_verify_settings){.path = t_dir, .keys = "env:SF_NO_SUCH_VARIABLE"};
    CHECK_EQ(journal_verify(&s, &check, err, sizeof(err)), 3);
    CHECK(!strstr(err, "SF_NO_SUCH"));
    buf_free(&out);
    free(t.p);
    t_end();
}

static void test_proof(void)
{
    struct buf out;

    t_begin();
    t_make_chain(30, 8);
    buf_init(&out, (size_t)1 << 20);
    CHECK_EQ(journal_prove(t_dir, 13, &out), 0);
    CHECK(str_starts(buf_str(&out), STR("{\"checkpoint\":{\"alg\":\"Ed25519\"")));
    CHECK(str_find(buf_str(&out), STR("\"seq\":13},\"leaf\":\"")) > 0);
    buf_clear(&out);
    CHECK_EQ(journal_prove(t_dir, 3000, &out), -ENOENT);
    CHECK_EQ(out.n, 0);
    buf_free(&out);
    t_end();
}

int main(void)
{
    TAP_RUN(test_every_byte_of_a_thousand);
    TAP_RUN(test_every_byte_through_files);
    TAP_RUN(test_deleted_repeated_exchanged);
    TAP_RUN(test_inserted);
    TAP_RUN(test_first_entry_deleted);
    TAP_RUN(test_end_cut_off);
    TAP_RUN(test_checkpoint_flips);
    TAP_RUN(test_rewritten_with_the_key);
    TAP_RUN(test_forms_and_codes);
    TAP_RUN(test_proof);
    return tap_done();
}
