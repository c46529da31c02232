/*
 * The master keys that a process holds: the one that seals, and others that may still open what was
 * sealed before a rotation. They come from the settings, or from the file master.key of the data
 * folder: one key a line in hex, the newest first, 0600.
 *
 * A key's id is the first 8 hex digits of its SHA-256: it is stored beside each sealed record, and
 * shown; it says nothing about the key.
 *
 * Nothing here suspends; files are read and written at once, at start and at a rotation.
 */
#ifndef SF_VAULT_RING_H
#define SF_VAULT_RING_H

#include "base/secret.h"
#include "crypto/seal.h"

#define RING_KEYS    8
#define MASTER_ID    9 /* 8 digits and a NUL */
#define RING_FILE    "master.key"
#define RING_ERROR_N 512

struct master_key {
    uint8_t key[SEAL_KEY_BYTES];
    char id[MASTER_ID];
};

struct ring {
    unsigned n;
    struct master_key at[RING_KEYS];
};

void ring_wipe(struct ring *r); /* also for _cleanup_ */
const struct master_key *ring_find(const struct ring *r, struct str id);

/* 32 bytes as hex or base64 (of either alphabet): 0 or -EINVAL. */
int master_key_parse(struct str text, struct master_key *ret);
void master_key_make(struct master_key *ret); /* from the kernel's random source */

/* Behind those that are there; one that is there already is left out. -ENOSPC. */
int ring_add(struct ring *r, const struct master_key *k);
/* In front of the others; the last one goes when there are too many. */
void ring_put_first(struct ring *r, const struct master_key *k);

/* Adds the file's keys. 0, -ENOENT, or -errno with a sentence in err (RING_ERROR_N): -EACCES when
 * others than its owner may touch it, -EINVAL when it holds no keys. */
int ring_read(struct ring *r, const char *dir, char *err);
/* Writes all keys whole: a new file takes the old one's place once it is on disk. */
int ring_write(const struct ring *r, const char *dir, char *err);

#endif
