/*
 * What the files of the vault share. sealing.c has the master keys and vault_state; records.c the
 * rows; rotate.c both.
 */
#ifndef SF_VAULT_VAULT_INT_H
#define SF_VAULT_VAULT_INT_H

#include "base/macros.h"
#include "vault/ring.h"
#include "vault/vault.h"
#include <pthread.h>

#define VAULT_TRIES 5 /* of a change that others came before */

struct vault {
    struct store *store;
    char *dir;
    bool from_settings; /* the first ring_set keys are the settings' */
    bool has_next;
    char next_id[MASTER_ID];
    pthread_mutex_t lock; /* guards ring and sealing */
    struct ring ring;
    char sealing[MASTER_ID]; /* id of the key that seals: vault_state.key_id as last seen */
    void (*changed)(void *ctx);
    void *changed_ctx;
};

/* What vault_state says. */
struct vault_state {
    char key_id[MASTER_ID];
    int64_t serial;
};

void vault_say(char *err, const char *fmt, ...) _printf_(2, 3);

/* --- sealing.c --- */
/* Reads vault_state and remembers who seals; reads the file again when the key is not known. */
int vault_read_state(struct vault *v, struct vault_state *ret, char *err);
/* A copy of a master key, to be wiped. -ENOKEY, also after another look at the file. */
int vault_master(struct vault *v, struct str id, struct master_key *ret, char *err);
int vault_seal(const struct master_key *k, struct str id, struct str provider, int64_t version,
    struct str value, struct buf *out);
int vault_unseal(
    struct vault *v, const struct store_rows *rows, unsigned row, struct secret *ret, char *err);

/* --- records.c --- */
/* The columns of every SELECT on provider_keys, in this order. */
enum vault_column {
    COL_ID,
    COL_PROVIDER,
    COL_NAME,
    COL_SEALED,
    COL_VERSION,
    COL_KEY_ID,
    COL_LAST4,
    COL_WEIGHT,
    COL_ACTIVE,
    COL_CREATED,
    COL_UPDATED,
};
#define VAULT_COLUMNS                                                                              \
    "id, provider, name, sealed, version, key_id, last4, weight, is_active, created_at, "          \
    "updated_at"

#endif
