/*
 * The journal: the tamper-evident, append-only record of every call and every administrative act.
 * It is the truth; database rows, budgets and dashboards are made from it and can be made again.
 *
 * An entry is one line: {"entry_hmac":…,"key_id":…,"payload":{…},"prev_hash":…,"seq":…} with
 * entry_hmac = hex(HMAC-SHA-256(key, canonical text without entry_hmac)), seq + 1 each, prev_hash
 * the entry before ("genesis" for the first). Payloads hold integers and strings, nothing else. To
 * what came through a ring the writer adds a first member "_ring":[index,end], so that recovery
 * knows what of the ring is on the chain already: exactly once, whenever the process was killed.
 * Checkpoints (every 1,024 entries or 60 s) are signed with Ed25519 over {from,to,head_hmac,
 * merkle_root,count}, the RFC 6962 tree over the canonical entries.
 *
 * How an entry gets there: a loop thread copies the payload into a preallocated shared mapping of
 * its own (which survives kill -9 of the process); one writer thread takes the entries of all
 * threads, numbers, chains and writes them into the segment file and syncs it in groups, within
 * 50 ms (batch), or as soon as a caller waits (strict). At start what the mappings hold beyond the
 * segments is appended first; a torn last line is cut and an entry `recovery` says how much.
 *
 * Bodies (prompts and replies) are not in the chain: their SHA-256 and a reference are. They lie in
 * files of each thread, and can be erased, or expire, without the chain noticing.
 *
 * Files in <dir>: keys.json (0600; key ring), checkpoint.key (0600), checkpoint.pub, chain-N.jsonl
 * (segments), checkpoints.jsonl, ring-T, stage-T, bodies-T-N. One writer a folder: an advisory
 * lock, and an epoch in the head file; a second one is refused.
 */
#ifndef SF_JOURNAL_JOURNAL_H
#define SF_JOURNAL_JOURNAL_H

#include "base/buf.h"
#include "base/str.h"
#include "crypto/digest.h"
#include <stdbool.h>
#include <stdint.h>

struct journal;

enum journal_durability { JOURNAL_BATCH, JOURNAL_STRICT };

struct journal_settings {
    struct str dir;   /* <data>/journal */
    struct str chain; /* chain_id: the node's id */
    enum journal_durability durability;
    unsigned threads;       /* loop threads that will append: each gets a ring and body files */
    size_t body_max;        /* of one body; the rest is cut and marked. 0 = 256 KiB */
    int64_t body_retention; /* ns; 0 = for ever */
    size_t segment_bytes;   /* 0 = 64 MiB */
    unsigned checkpoint_entries;
    int64_t checkpoint_ns; /* 0 = 1,024 and 60 s */
};

/* What recovery found, for the log line at start. */
struct journal_recovery {
    uint64_t last_seq;     /* the newest entry */
    uint64_t checked_from; /* the first entry that had to be read: behind the last checkpoint */
    uint64_t kept;         /* the newest that was on the chain, before the rings' */
    uint64_t replayed;     /* entries taken from the rings */
    uint64_t lost_bytes;   /* of a torn last line */
};

/* Opens or makes the folder, recovers, starts the writer thread. Blocks. -EBUSY another writer;
 * -EBADMSG the chain does not verify behind the last checkpoint (err names the entry); -ENOSPC;
 * -EIO. */
int journal_open(const struct journal_settings *s, struct journal **ret,
    struct journal_recovery *ret_found, char *err, size_t err_n);
/* Everything appended is written, synced and checkpointed. */
void journal_close(struct journal *j);

/* Where an entry stands on its way: to be waited for. */
struct journal_ticket {
    unsigned ring;
    uint64_t position;
};

/* Appends. payload: a canonical JSON object (journal/payload.h writes them). thread: the loop's
 * index, or JOURNAL_OTHER from anywhere else (a ring under a lock). Copies; does not suspend. ret
 * may be NULL. -ENOSPC: the writer is so far behind that the ring is full; from elsewhere than a
 * loop also while the disk is full. Loops ask journal_is_well() before a call begins, and are not
 * refused then: what running calls still have to say waits in the ring. -EINVAL: no object, a line
 * feed in it, or a first member whose name does not begin with a lower-case letter; -EMSGSIZE. */
#define JOURNAL_OTHER         UINT32_MAX
#define JOURNAL_THREADS_MAX   254
#define JOURNAL_PAYLOAD_BYTES ((size_t)64 << 10)
int journal_append(
    struct journal *j, unsigned thread, struct str payload, struct journal_ticket *ret);
/* An entry appended since says all that this one says, and more: the outcome of a call that began a
 * moment ago. The writer leaves this one out if it comes upon both at once. Own thread only. */
void journal_supersede(struct journal *j, const struct journal_ticket *t);
/* Whether a call may begin: the last 512 KiB of a thread's ring are for the outcomes of those that
 * run, so that a writer that is slow, or gets no processor, costs new calls and not the record of
 * answered ones. Own thread only. */
bool journal_has_room(struct journal *j, unsigned thread);
/* Suspends until the entry is on disk (strict mode, admin acts). 0, -ETIMEDOUT, -EIO, -ECANCELED.
 */
int journal_wait(struct journal *j, const struct journal_ticket *t, int64_t deadline);
/* The number of an entry once it was written and synced: 0 while it is not, and again when some
 * hundred KiB of others have followed in its ring. For admin acts, after journal_wait(). */
uint64_t journal_seq_of(struct journal *j, const struct journal_ticket *t);
enum journal_durability journal_durability(const struct journal *j);
/* Refuses new calls when not: disk full, writer failed. Any thread. */
bool journal_is_well(const struct journal *j);
/* Why it is not ("No space left on device"), for the log and readiness; NULL when it is. The writer
 * tries again every second. Any thread; the text is constant. */
const char *journal_problem(const struct journal *j);

/* --- bodies --- */

/* One body on its way in; lives in the exchange. Zeroed is valid. Own thread only. */
struct journal_body {
    uint64_t length; /* of the body as it came, also beyond body_max */
    uint64_t kept;
    uint64_t ref;        /* of the last piece; 0 = nothing kept */
    struct sha256 hash_; /* of the pieces that came, where there were any that count */
    uint8_t sha[32];     /* once ended */
    bool ended, truncated, hashing_;
};
enum journal_content { JOURNAL_FULL, JOURNAL_HASHED, JOURNAL_OFF };
/* A whole body in one go costs one hash and one copy. 0 or -ENOSPC (then it counts as not kept). */
int journal_body_add(struct journal *j, unsigned thread, struct journal_body *b,
    enum journal_content how, struct str piece);
void journal_body_end(struct journal_body *b); /* fills sha. Idempotent */
/* Reads it back; suspends (offload). -ENOENT erased or expired, -EIO. */
int journal_body_read(struct journal *j, uint64_t ref, struct buf *out);
/* Overwrites it. The caller appends the `erase` entry. */
int journal_body_erase(struct journal *j, uint64_t ref);

/* --- reading --- */

struct journal_entry {
    uint64_t seq;
    struct str line;      /* whole, without the newline */
    struct str canonical; /* without entry_hmac */
    struct str payload;
    struct str prev_hash, entry_hmac, key_id;
};
/* A reader of its own, on any plain or offload thread (it blocks on files): entries that are
 * synced, from seq on. Views are valid until the next call. */
struct journal_reader;
int journal_reader_open(const char *dir, uint64_t from_seq, struct journal_reader **ret);
int journal_reader_next(
    struct journal_reader *r, struct journal_entry *ret); /* 1, 0 no more yet, -EIO */
void journal_reader_close(struct journal_reader *r);
uint64_t journal_last_seq(const struct journal *j); /* synced */
/* fn is posted to the loop (loop_post) after each group that was synced (once for several, when the
 * loop is slow) and when writing failed; one listener. fn NULL takes it off, which must be done, or
 * the journal closed, before the loop is freed. */
struct loop;
void journal_on_synced(struct journal *j, struct loop *l, void (*fn)(void *ctx), void *ctx);

/* --- proving --- */

struct journal_check {
    uint64_t from_seq, to_seq, entries_checked, unsigned_entries, signed_entries;
    uint64_t missing, duplicates, hmac_mismatches, prev_hash_breaks, entries_without_seq;
    uint64_t checkpoints_checked, checkpoint_failures;
    uint64_t first_bad_seq;
    char first_bad[160]; /* "seq 17: entry_hmac does not match" */
};
/* 0 clean, 1 linkage only or a stale anchor, 2 tampered, 3 unreadable: the exit codes of
 * `smartflow audit verify`. keys NULL: linkage and checkpoints only. Blocks (offload it). */
struct journal_verify_settings {
    const char *path;           /* a folder, a segment file, or a JSON array of entries */
    const char *keys;           /* key ring file, or file:… base64:… hex:… env:… */
    const char *checkpoint_key; /* public key (PEM or JWKS); NULL = the folder's checkpoint.pub */
    const char *checkpoints;    /* file; NULL = the folder's */
    uint64_t from, to;          /* 0 = all */
};
int journal_verify(
    const struct journal_verify_settings *s, struct journal_check *ret, char *err, size_t err_n);
/* RFC 6962 inclusion proof of an entry under its checkpoint, as JSON appended to out. Blocks. */
int journal_prove(const char *dir, uint64_t seq, struct buf *out);
/* A new HMAC key: appends key_event under the old one, then switches. Blocks until it is synced. */
int journal_rotate_key(struct journal *j);
/* The public key of the checkpoints as a JWK set, appended. */
int journal_jwks(const struct journal *j, struct buf *out);

#endif
