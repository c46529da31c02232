/*
 * What lasts of the catalogue: the store's tables orgs, teams, users, vkeys and customers, and the
 * changes to them that other processes must see.
 *
 * Every write is one batch: the record, and a row in `changes` with the next number of
 * `change_clock`, which is also the record's version. The clock's row is locked until the batch is
 * done, so that numbers become visible in their order and none can be missed. registry_refresh()
 * reads the changes after the last one seen and puts the records into the catalogue; the process
 * that wrote runs it too, and tells the others through the shared store's channel "keys".
 *
 * Functions suspend (store). They answer 0 or a negative errno with e filled, ready for a client:
 * -EINVAL 400, -ENOENT 404, -EEXIST 409, -EPERM 403 (a key of the configuration file), -EAGAIN 409
 * (changed by another meanwhile), -EHOSTDOWN and -ETIMEDOUT 503, the rest 500. Texts of results and
 * errors are in the arena given, or literals.
 */
#ifndef SF_KEYS_REGISTRY_H
#define SF_KEYS_REGISTRY_H

#include "keys/record.h"
#include "store/shared.h"
#include "store/store.h"

struct registry;

/* shared may be NULL (tools). Blocks; before the loops run. */
int registry_open(
    struct store *store, struct shared *shared, struct catalog *catalog, struct registry **ret);
void registry_close(struct registry *r); /* NULL is fine */

/* All records into the catalogue, at start. A plain thread may call. err: STORE_ERR_BYTES. */
int registry_load(struct registry *r, char *err);
/* What changed since. 0 or a store's error: the catalogue then is no longer fresh. Call it when a
 * message on REGISTRY_CHANNEL comes, and each second. */
int registry_refresh(struct registry *r);
#define REGISTRY_CHANNEL "keys"

/* ---- all kinds ---- */

/* json: the fields given. A key's secret, "sk-sf-…", is in *ret_secret this once; NULL for other
 * kinds. */
int registry_create(struct registry *r, enum subject_kind kind, struct str json, struct record *ret,
    struct str *ret_secret, struct arena *a, struct error *e);
/* A key is found by its id, its whole secret, or its hash in hex. */
int registry_get(struct registry *r, enum subject_kind kind, struct str id, struct record *ret,
    struct arena *a, struct error *e);
/* Only the fields given change. version 0: whatever it was; else it must still be this one. */
int registry_update(struct registry *r, enum subject_kind kind, struct str id, struct str json,
    int64_t version, struct record *ret, struct arena *a, struct error *e);
/* A team, user or organisation with keys cannot be deleted (-EEXIST, 409): revoke them first. */
int registry_delete(struct registry *r, enum subject_kind kind, struct str id, struct record *ret,
    struct arena *a, struct error *e);

struct registry_filter {
    struct str field, value; /* the value as text: "true", "team_…" */
};

struct registry_query {
    const struct registry_filter *filters;
    unsigned filters_n;
    struct str cursor; /* registry_page.next of the page before; empty = the first */
    unsigned limit;    /* 0 = 100; at most 1,000 */
};

struct registry_page {
    struct record *at; /* newest first */
    unsigned n;
    struct str next; /* empty: the last page */
};

/* Keys of the configuration file are in the first page, behind the others. */
int registry_list(struct registry *r, enum subject_kind kind, const struct registry_query *q,
    struct registry_page *ret, struct arena *a, struct error *e);

/* ---- keys ---- */

/* A new key with the fields of the old one, and json laid over them. The old one lives for grace
 * more (ns; 0: ends at once). */
int registry_rotate(struct registry *r, struct str id, int64_t grace, struct str json,
    struct record *ret, struct str *ret_secret, struct arena *a, struct error *e);
/* is_active false. The record stays for lists and logs. */
int registry_revoke(
    struct registry *r, struct str id, struct record *ret, struct arena *a, struct error *e);

/* ---- money ---- */

/* What was used and is held of one of the four periods, now. Suspends where Redis is asked. */
struct record_spend {
    int64_t used_nano, held_nano;
    int64_t resets_at; /* wall ns; 0 = never */
};
int registry_spend(struct registry *r, enum subject_kind kind, const struct record *rec,
    struct record_spend ret[static BUDGET_PERIODS]);
/* The counters of the periods given (bits 1 << enum budget_period) go to nothing, on every node;
 * what is held stays held. The journal keeps what was spent. */
int registry_reset_spend(struct registry *r, enum subject_kind kind, const struct record *rec,
    unsigned periods, struct error *e);
/* Whoever seeds counters at a start must know what was put on or taken off them by hand (a reset; a
 * rotated key takes over what the old one spent). fn may suspend; its error is the call's. Set
 * once. */
typedef int registry_adjusted_fn(void *ctx, struct str counter, int64_t nano, int64_t expires_at);
void registry_on_adjusted(struct registry *r, registry_adjusted_fn *fn, void *ctx);

#endif
