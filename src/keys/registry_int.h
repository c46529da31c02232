/*
 * Inside src/keys: what the registry's files share.
 *
 *   registry.c        opening, loading, following changes
 *   registry_rows.c   records as rows of the store and as records of the catalogue
 *   registry_read.c   get, list
 *   registry_write.c  create, update, delete, rotate, revoke
 *   registry_spend.c  what was used, and taking it back
 */
#ifndef SF_KEYS_REGISTRY_INT_H
#define SF_KEYS_REGISTRY_INT_H

#include "keys/catalog_int.h"
#include "keys/registry.h"

#include <pthread.h>

#define COLUMNS_MAX 40

/* The texts of one kind's statements. */
struct statements {
    char *select; /* SELECT … FROM t, without WHERE */
    char *insert; /* ?1 … of row_values() */
    char *update; /* the same, then ?n the id and ?n+1 the version that it must have */
};

struct registry {
    struct store *store;
    struct shared *shared;
    struct catalog *catalog;
    struct statements sql[SUBJECT_KINDS];
    pthread_mutex_t lock;
    int64_t seen; /* the last change that the catalogue has; under the lock */
    registry_adjusted_fn *adjusted;
    void *adjusted_ctx;
};

/* --- rows --- */

int statements_make(struct registry *r);
void statements_free(struct registry *r);
/* The values of a record's columns, in the order of the statements; texts in a. Returns how many,
 * or -ENOMEM. superseded: of keys. */
int row_values(enum subject_kind kind, const struct record *rec, bool superseded,
    struct store_value *out, struct arena *a);
/* Row i of a select, copied into a. */
int row_record(enum subject_kind kind, const struct store_rows *rows, unsigned i,
    struct record *ret, bool *ret_superseded, struct arena *a);
/* Into the catalogue. */
int record_publish(struct registry *r, enum subject_kind kind, const struct record *rec);
/* Of a key of the configuration. */
int record_of_key(const struct virtual_key *k, struct record *ret, struct arena *a);

/* --- errors: each fills e and returns what the caller returns --- */

int store_failed(int r, enum subject_kind kind, struct error *e);
int not_found(enum subject_kind kind, struct error *e);
int out_of_memory(struct error *e);

/* --- reading --- */

/* As registry_get, from the store alone; ret_superseded may be NULL. */
int stored_get(struct registry *r, enum subject_kind kind, struct str id, struct record *ret,
    bool *ret_superseded, struct arena *a, struct error *e);
/* The id of changes: of keys the hash in hex. */
struct str change_id(enum subject_kind kind, const struct record *rec, struct arena *a);

/* Puts money on a counter, or takes it off; end: of its window, 0 = never. */
int counter_adjust(struct registry *r, struct str name, int64_t nano, int64_t end);
/* What was used of, and is held from, the record's counter of the period. Without a budget on it
 * Redis does not hold the counter, and the sum is this node's and what the ledger knows of others.
 */
int spend_read(struct registry *r, const struct record *rec, enum budget_period p, struct str name,
    int64_t *ret_used, int64_t *ret_held);

#endif
