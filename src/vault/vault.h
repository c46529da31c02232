/*
 * The vault: provider keys that were put in through the API, sealed in the store under a master key
 * (vault/ring.h) that the database never holds.
 *
 *   provider_keys   one row a credential: provider, name, the sealed value, weight; of the value
 * only its last four characters can be read back vault_state     which master key seals, and a
 * serial number that every change raises: a change names the master key it sealed under, and fails
 * when a rotation came between
 *
 * A sealed value is bound to its record's id, provider and version, so that a row's value put into
 * another row, or an older value, does not open.
 *
 * All functions suspend (the store) and may be called on any loop thread, or on a plain thread,
 * which then waits. The master keys are guarded by a lock that is never held while waiting.
 *
 * Errors: -ENOENT no such record, -EEXIST the provider has a key of this name, -EINVAL, -ENOKEY the
 * master key that sealed is not here, -EBADMSG a record does not open, and the store's. err
 * (VAULT_ERR_BYTES) gets a sentence for the log; it never holds a secret.
 */
#ifndef SF_VAULT_VAULT_H
#define SF_VAULT_VAULT_H

#include "base/secret.h"
#include "store/store.h"

#define VAULT_ID_BYTES  28 /* "pk_", 24 hex digits and a NUL */
#define VAULT_NAME_MAX  128
#define VAULT_VALUE_MAX ((size_t)8192)
#define VAULT_KEYS_MAX  4096
#define VAULT_ERR_BYTES 512

struct vault;

struct vault_settings {
    struct store *store;
    struct str data_dir;         /* where master.key is, or is made */
    const struct secret *master; /* SMARTFLOW_MASTER_KEY; unset: the file */
    const struct secret *next;   /* SMARTFLOW_MASTER_KEY_NEXT: what a rotation goes to */
};

/* Blocks; before the loops run, or on a plain thread. Ends a rotation that was cut short. */
int vault_open(const struct vault_settings *set, struct vault **ret, char *err);
void vault_close(struct vault *v);
/* The id of the master key that seals, 8 hex digits. */
void vault_master_id(struct vault *v, char out[static 9]);

/* --- records --- */

struct vault_record {
    struct str id, provider, name, master_id;
    struct str last4; /* "" where the value is too short to show four of it */
    int64_t version, weight, created_at, updated_at;
    bool is_active;
};

/* Oldest first; of one provider unless it is empty. */
struct vault_list {
    unsigned n;
    struct store_rows *rows_;
    struct vault_record at[];
};
int vault_list(struct vault *v, struct str provider, struct vault_list **ret, char *err);
int vault_get(struct vault *v, struct str id, struct vault_list **ret, char *err); /* one of them */
void vault_list_free(struct vault_list *l);
static inline void vault_list_freep(struct vault_list **l)
{
    vault_list_free(*l);
}

struct vault_new {
    struct str provider, name;
    struct str value; /* trimmed by the caller; no blanks or control characters: -EINVAL */
    int64_t weight;
    bool is_active;
};
int vault_add(
    struct vault *v, const struct vault_new *n, char ret_id[static VAULT_ID_BYTES], char *err);
/* Only what is set: name.p, value.p, weight > 0, is_active >= 0. A new value is a new version under
 * the same id. */
struct vault_change {
    struct str name, value;
    int64_t weight;
    int is_active; /* 1, 0, or -1: as it is */
};
int vault_change(struct vault *v, struct str id, const struct vault_change *c, char *err);
int vault_delete(struct vault *v, struct str id, char *err);
/* The value itself: for calls to its provider alone. */
int vault_value(struct vault *v, struct str id, struct secret *ret, char *err);
bool vault_value_ok(struct str value);
bool vault_name_ok(struct str name); /* 1 to VAULT_NAME_MAX printable characters */

/* --- what the configuration is made from --- */

struct vault_secret {
    struct str id, provider;
    unsigned weight;
    struct secret value;
};
struct vault_secrets {
    unsigned n;
    unsigned failed; /* active records that do not open here; err says why for the last of them */
    struct vault_list *list_;
    struct vault_secret at[];
};
/* The active keys of all providers. Also where a node learns that another rotated the master key.
 */
int vault_snapshot(struct vault *v, struct vault_secrets **ret, char *err);
void vault_secrets_free(struct vault_secrets *s);
static inline void vault_secrets_freep(struct vault_secrets **s)
{
    vault_secrets_free(*s);
}

/* fn runs after each change that this process made, in the coroutine that made it; it must not
 * suspend. One listener, set before the loops run: it publishes "config". */
void vault_on_change(struct vault *v, void (*fn)(void *ctx), void *ctx);

/* --- the master key --- */

/* A key for another purpose, which every node that has the master key derives alike: HMAC-SHA-256
 * over its label ("sessions"). Another one after a rotation. Does not suspend. */
void vault_derive(struct vault *v, const char *label, uint8_t out[static 32]);

/* Seals every record under a new master key, in one batch. Until it is done, and if it is cut short
 * at any place, both keys open what they sealed. With the file: the new key is made here. With the
 * settings: it is SMARTFLOW_MASTER_KEY_NEXT, which every node must have (-ENOKEY when it is not
 * set, or seals already). ret_records (may be NULL): how many were sealed anew. */
int vault_rotate_master(struct vault *v, unsigned *ret_records, char *err);

#endif
