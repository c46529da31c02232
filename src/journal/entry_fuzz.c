/*
 * Any bytes as lines of a chain and of checkpoints. What entry_read() takes is one spelling: put
 * together again from its parts it is the same line. The verifier counts every line that is not
 * empty, and calls no chain clean that its key did not make.
 */
#include "base/macros.h"
#include "journal/verify_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_parts(struct str line)
{
    struct journal_entry e;
    struct buf again;

    if (!entry_read(line, &e))
        return;
    buf_init(&again, line.n + 64);
    buf_printf(&again, "{\"entry_hmac\":\"" STR_FMT "\",\"key_id\":\"" STR_FMT "\",\"payload\":",
        STR_ARG(e.entry_hmac), STR_ARG(e.key_id));
    buf_addstr(&again, e.payload);
    buf_printf(&again, ",\"prev_hash\":\"" STR_FMT "\",\"seq\":%llu}", STR_ARG(e.prev_hash),
        (unsigned long long)e.seq);
    must(str_eq(buf_str(&again), line));
    buf_free(&again);
}

/* A checkpoint that is read, written and read again is the same. */
static void check_checkpoint(struct str line)
{
    static struct checkpoint c, again;
    struct buf text;

    if (checkpoint_read(line, &c) < 0)
        return;
    buf_init(&text, (size_t)1 << 20);
    must(checkpoint_text(&c, STR("n"), true, &text) == 0);
    must(checkpoint_read(buf_str(&text), &again) == 0);
    must(c.from == again.from && c.to == again.to && c.count == again.count);
    must(c.n_rings == again.n_rings && c.segment == again.segment && c.offset == again.offset);
    must(memcmp(c.signature, again.signature, sizeof(c.signature)) == 0);
    buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct str rest = str_at((const char *)data, n);
    struct journal_check check;
    struct keyring keys = {0};
    struct verifier v;
    uint64_t lines = 0;

    must(keyring_spec(
             "hex:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", &keys) == 0);
    verify_init(&v, &check, &keys);
    while (rest.n) {
        struct str line = str_split(&rest, '\n');
        if (line.n == 0)
            continue;
        lines++;
        check_parts(line);
        check_checkpoint(line);
        verify_entry(&v, line);
    }
    verify_end(&v, 0);
    must(check.entries_checked + check.entries_without_seq == lines);
    must(check.first_bad[0] || verify_result(&v) < 2);
    must(verify_result(&v) != 0 || check.unsigned_entries == 0);
    verify_free(&v);
    keyring_free(&keys);
    return 0;
}
