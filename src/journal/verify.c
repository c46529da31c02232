/*
 * Checking entries: the HMAC of each, its number, its link to the one before.
 *
 * A number is believed when the HMAC says so, or when there is no key to ask; an entry that fails
 * its HMAC is taken to stand for the number that is due. So one damaged entry is one finding, and a
 * deleted, inserted, repeated or exchanged one is named by its own number.
 */
#include "base/macros.h"
#include "crypto/encode.h"
#include "journal/payload.h"
#include "journal/verify_int.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#define STALE_ENTRIES 2048 /* behind the last checkpoint; or twice what that one covers */

void verify_init(struct verifier *v, struct journal_check *check, const struct keyring *keys)
{
    *v = (struct verifier){.check = check, .keys = keys};
    *check = (struct journal_check){0};
    buf_init(&v->mem, 2 * VERIFY_LINE_BYTES);
    buf_init(&v->canonical, 2 * VERIFY_LINE_BYTES);
}

void verify_free(struct verifier *v)
{
    buf_free(&v->mem);
    buf_free(&v->canonical);
}

void verify_note(struct verifier *v, uint64_t seq, const char *fmt, ...)
{
    struct journal_check *c = v->check;
    char why[120];
    va_list args;

    if (c->first_bad[0])
        return;
    va_start(args, fmt);
    vsnprintf(why, sizeof(why), fmt, args);
    va_end(args);
    c->first_bad_seq = seq;
    snprintf(c->first_bad, sizeof(c->first_bad), "seq %" PRIu64 ": %s", seq, why);
}

/* --- one entry by itself --- */

static bool is_canonical(struct verifier *v, struct str payload)
{
    buf_clear(&v->canonical);
    return payload_canonical(payload, &v->canonical) == 0 &&
           str_eq(buf_str(&v->canonical), payload);
}

static bool read_entry(struct verifier *v, struct str line, struct journal_entry *e)
{
    bool own = entry_read(line, e);

    if (entry_read_any(line, &v->mem, e) < 0)
        return false;
    return !own || is_canonical(v, e->payload);
}

static bool hmac_matches(struct verifier *v, const struct journal_entry *e)
{
    const struct chain_key *key = keyring_find(v->keys, e->key_id);
    uint8_t mac[SHA256_BYTES];
    char hex[2 * SHA256_BYTES];

    if (!key)
        return false;
    hmac_key_sign(&key->hmac, e->canonical, mac);
    hex_encode(str_at((const char *)mac, sizeof(mac)), hex);
    return str_eq(e->entry_hmac, str_at(hex, sizeof(hex)));
}

/* False when the entry is not what the holder of the key wrote. due: the number it should have. */
static bool check_hmac(struct verifier *v, const struct journal_entry *e, uint64_t due)
{
    bool is_signed = e->entry_hmac.n > 0;

    if (is_signed)
        v->check->signed_entries++;
    else
        v->check->unsigned_entries++;
    if (!v->keys)
        return true;
    if (!is_signed && !v->seen_signed && e->key_id.n == 0)
        return true;
    v->seen_signed = true;
    if (is_signed && hmac_matches(v, e))
        return true;
    v->check->hmac_mismatches++;
    if (!is_signed)
        verify_note(v, due, "entry_hmac is missing");
    else if (!keyring_find(v->keys, e->key_id))
        verify_note(v, due, "its key_id is not in the key ring");
    else
        verify_note(v, due, "entry_hmac does not match");
    return false;
}

/* --- its place --- */

static void check_link(struct verifier *v, const struct journal_entry *e, uint64_t seq)
{
    struct str want = str_of(v->linked ? v->link : GENESIS);

    if (!v->linked && (v->only_part || seq != 1))
        return;
    if (str_eq(e->prev_hash, want))
        return;
    v->check->prev_hash_breaks++;
    verify_note(v, seq, "prev_hash does not match the entry before");
}

static void skip_missing(struct verifier *v, uint64_t seq)
{
    uint64_t from = v->last_seq + 1;

    v->check->missing += seq - from;
    v->gap_from = from;
    v->gap_to = seq - 1;
    v->linked = false;
    v->only_part = true; /* what stood before is not there to be linked to */
    if (from == seq - 1)
        verify_note(v, from, "missing; seq %" PRIu64 " stands in its place", seq);
    else
        verify_note(v, from, "missing, up to seq %" PRIu64, seq - 1);
}

/* A number that was passed already: a second time, or out of its place. */
static void meet_again(struct verifier *v, uint64_t seq)
{
    if (seq >= v->gap_from && seq <= v->gap_to && v->check->missing) {
        v->check->missing--;
        v->check->prev_hash_breaks++;
        verify_note(v, seq, "out of its place");
    } else {
        v->check->duplicates++;
        verify_note(v, seq, "stands there again");
    }
}

static void remember(struct verifier *v, const struct journal_entry *e, uint64_t seq)
{
    v->last_seq = seq;
    v->linked = true;
    if (e->entry_hmac.n && e->entry_hmac.n < LINK_BYTES) {
        memcpy(v->link, e->entry_hmac.p, e->entry_hmac.n);
        v->link[e->entry_hmac.n] = '\0';
    } else {
        snprintf(v->link, sizeof(v->link), UNSIGNED "%" PRIu64, seq);
    }
}

static void place(struct verifier *v, const struct journal_entry *e, uint64_t seq)
{
    uint8_t leaf[SHA256_BYTES];

    if (v->last_seq && seq <= v->last_seq) {
        meet_again(v, seq);
        return;
    }
    if ((v->last_seq || v->from_known) && seq > v->last_seq + 1)
        skip_missing(v, seq);
    check_link(v, e, seq);
    remember(v, e, seq);
    merkle_leaf(e->canonical, leaf);
    verify_checkpoints_entry(v, seq, e->entry_hmac, leaf);
}

void verify_entry(struct verifier *v, struct str line)
{
    struct journal_check *c = v->check;
    uint64_t due = v->last_seq ? v->last_seq + 1 : MAX(v->from, (uint64_t)1);
    struct journal_entry e;

    if (!read_entry(v, line, &e)) {
        c->entries_without_seq++;
        verify_note(v, due, "not an entry");
        v->last_seq = due;
        v->linked = false;
        v->only_part = true;
        return;
    }
    if ((v->from && e.seq < v->from) || (v->to && e.seq > v->to)) {
        v->only_part = v->only_part || e.seq < v->from;
        return;
    }
    bool good = check_hmac(v, &e, due);
    uint64_t seq = good ? e.seq : due;
    if (c->entries_checked++ == 0)
        c->from_seq = seq;
    c->to_seq = MAX(c->to_seq, seq);
    place(v, &e, seq);
}

/* --- the end --- */

void verify_end(struct verifier *v, uint64_t synced)
{
    uint64_t want = v->to ? MIN(v->to, synced) : synced;

    if (want > v->last_seq && !(v->from && v->from > want)) {
        v->check->missing += want - v->last_seq;
        verify_note(
            v, v->last_seq + 1, "missing; the chain was once written up to seq %" PRIu64, want);
    }
    verify_checkpoints_end(v);
}

static bool is_stale(const struct verifier *v)
{
    uint64_t most = MAX((uint64_t)STALE_ENTRIES, 2 * v->last_count);

    return v->checkpoints && !v->to && v->last_seq > v->last_to + most;
}

int verify_result(const struct verifier *v)
{
    const struct journal_check *c = v->check;

    if (c->missing || c->duplicates || c->hmac_mismatches || c->prev_hash_breaks ||
        c->entries_without_seq || c->checkpoint_failures)
        return 2;
    return !v->keys || c->unsigned_entries || is_stale(v) || (v->checkpoints && !v->publics);
}
