/*
 * Checking checkpoints while the entries go by: each must begin where the one before ended, and its
 * root, head and signature must match. Those that begin before the first entry that is looked at
 * cannot be checked and are left out; one that ends behind the last entry says that entries are
 * missing.
 */
#include "base/macros.h"
#include "journal/verify_int.h"

#include <inttypes.h>

static void fail(struct verifier *v, uint64_t seq, const char *why)
{
    v->check->checkpoint_failures++;
    verify_note(v, seq, "checkpoint: %s", why);
}

static void read_next(struct verifier *v)
{
    struct str line;

    v->has_next = v->in_tree = false;
    if (!v->checkpoints)
        return;
    int r = lines_next(v->checkpoints, v->checkpoints_size, &line);
    if (r == 0 && lines_rest(v->checkpoints).n == 0)
        return;
    if (r != 1 || checkpoint_read(line, &v->next) < 0) {
        fail(v, v->last_to + 1, "a line that cannot be read");
        return;
    }
    v->has_next = true;
    if (v->last_to && v->next.from != v->last_to + 1)
        fail(v, v->last_to + 1, "does not begin where the one before ended");
    else if (!v->last_to && !v->from && v->next.from != 1)
        fail(v, 1, "the first one is missing");
}

static void pass(struct verifier *v)
{
    v->last_to = v->next.to;
    v->last_count = v->next.count;
    read_next(v);
}

void verify_checkpoints_begin(struct verifier *v)
{
    read_next(v);
    while (v->has_next && v->from && v->next.from < v->from)
        pass(v);
}

static void check(struct verifier *v, struct str hmac)
{
    uint8_t root[SHA256_BYTES];
    struct checkpoint *c = &v->next;

    v->check->checkpoints_checked++;
    merkle_root(&v->tree, root);
    if (v->publics && checkpoint_verify(c, v->publics) < 0)
        fail(v, c->to, "its signature does not match");
    else if (v->tree.count != c->count || memcmp(root, c->root, sizeof(root)) != 0)
        fail(v, c->to, "its Merkle root does not match the entries");
    else if (!str_eq(hmac, str_of(c->head_hmac)))
        fail(v, c->to, "its head_hmac does not match");
}

void verify_checkpoints_entry(
    struct verifier *v, uint64_t seq, struct str hmac, const uint8_t leaf[static SHA256_BYTES])
{
    if (v->check->entries_checked == 1 && !v->from_known)
        while (v->has_next && v->next.from < seq)
            pass(v); /* a file that begins in the middle of the chain */
    while (v->has_next && seq > v->next.to) {
        v->check->checkpoints_checked++;
        fail(v, v->next.to, "its last entry is not there");
        pass(v);
    }
    if (!v->has_next || seq < v->next.from)
        return;
    if (!v->in_tree)
        v->tree.count = 0;
    v->in_tree = true;
    merkle_add(&v->tree, leaf);
    if (seq != v->next.to)
        return;
    check(v, hmac);
    pass(v);
}

void verify_checkpoints_end(struct verifier *v)
{
    while (v->has_next && !(v->to && v->next.to > v->to)) {
        v->check->checkpoints_checked++;
        fail(v, MIN(v->last_seq + 1, v->next.to), "it covers entries that are not there");
        pass(v);
    }
}
