/*
 * Checkpoints: {count, from, head_hmac, merkle_root, to} signed with Ed25519 (the bytes that are
 * signed are the canonical text of these five), what recovery needs besides, and their file.
 * A checkpoint stands twice: as an entry `checkpoint` right behind what it covers, and as a line of
 * checkpoints.jsonl, which also says where in the segments that entry stands. The file can be made
 * again from the chain; so it is never synced, only written.
 */
#ifndef SF_JOURNAL_CHECKPOINT_INT_H
#define SF_JOURNAL_CHECKPOINT_INT_H

#include "crypto/sign.h"
#include "journal/entry_int.h"
#include "journal/merkle_int.h"
#include "journal/ring_int.h"

#define CHECKPOINTS_FILE "checkpoints.jsonl"
#define SIGN_KEY_FILE    "checkpoint.key"
#define PUBLIC_KEY_FILE  "checkpoint.pub"
#define CHECKPOINT_BYTES ((size_t)16 << 10) /* of one line */
#define KID_BYTES        16

struct checkpoint {
    uint64_t from, to, count;
    char head_hmac[2 * SHA256_BYTES + 1];
    uint8_t root[SHA256_BYTES], signature[ED25519_SIGNATURE_BYTES];
    char kid[KID_BYTES + 1];         /* of the public key: the start of its SHA-256 in hex */
    char hmac_key[KEY_ID_BYTES + 1]; /* in force behind it */
    uint64_t segment, offset;        /* where the entry behind `to` stands; only in the file */
    uint64_t ring_end[RINGS_MAX];    /* positions up to which rings are on the chain */
    unsigned n_rings;
    int64_t ts;
};

struct signer {
    struct sign_key *key;
    uint8_t public[ED25519_KEY_BYTES];
    char kid[KID_BYTES + 1];
};

/* Reads the folder's key pair, or makes one. */
int signer_open(int dir, struct signer *ret);
void signer_close(struct signer *s);
void public_key_id(const uint8_t key[static ED25519_KEY_BYTES], char out[static KID_BYTES + 1]);
/* Several public keys: PEM or a JWK set. */
#define PUBLIC_KEYS_MAX 16
struct public_keys {
    uint8_t key[PUBLIC_KEYS_MAX][ED25519_KEY_BYTES];
    unsigned n;
};
int public_keys_parse(struct str text, struct public_keys *ret);

int checkpoint_sign(struct checkpoint *c, const struct signer *s);
int checkpoint_verify(const struct checkpoint *c, const struct public_keys *keys);
/* As canonical JSON; in_file adds where the entry behind it stands. */
int checkpoint_text(const struct checkpoint *c, struct str chain, bool in_file, struct buf *out);
int checkpoint_read(struct str text, struct checkpoint *ret);
/* Whether a payload is an entry `checkpoint`. */
bool checkpoint_is_payload(struct str payload);

#endif
