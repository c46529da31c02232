/*
 * The HMAC keys of a chain: keys.json (0600), an array of {hex, key_id, not_after, not_before} with
 * times in wall-clock nanoseconds, not_after 0 while the key is in use. Keys are added and never
 * removed, as old entries need them. Which one is in force is said by the chain itself: that of the
 * newest entry, or the new one of a key_event.
 */
#ifndef SF_JOURNAL_KEYRING_INT_H
#define SF_JOURNAL_KEYRING_INT_H

#include "journal/entry_int.h"

#define KEYS_MAX        1024
#define KEY_BYTES       32 /* of the keys made here */
#define KEY_BYTES_MAX   128
#define KEYS_FILE       "keys.json"
#define KEYS_FILE_BYTES ((size_t)1 << 20)

struct chain_key {
    char id[KEY_ID_BYTES + 1];
    uint8_t bytes[KEY_BYTES_MAX];
    size_t n;
    int64_t not_before, not_after;
    struct hmac_key hmac;
};

struct keyring {
    struct chain_key *keys;
    unsigned n;
    bool any_id; /* one bare key, which stands for every key_id */
};

void keyring_free(struct keyring *k); /* wipes */
/* 0, -EINVAL when the text is no key ring. */
int keyring_parse(struct str json, struct keyring *ret);
int keyring_load(int dir, struct keyring *ret); /* also -ENOENT */
int keyring_save(int dir, const struct keyring *k);
/* Makes a key and adds it; does not save. */
int keyring_make(struct keyring *k, int64_t now, struct chain_key **ret);
/* Copies bytes. */
int keyring_add(struct keyring *k, struct str id, struct str bytes);
const struct chain_key *keyring_find(const struct keyring *k, struct str id);
/* file:PATH, base64:…, hex:…, env:NAME, the path of a key ring, or the bare key. -EINVAL, -ENOENT.
 */
int keyring_spec(const char *spec, struct keyring *ret);

#endif
