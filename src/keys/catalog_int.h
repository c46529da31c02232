/*
 * Inside src/keys: what its files share. The names of counters (counters.c), alerts that were given
 * (crossed.c), and small helpers of records.
 */
#ifndef SF_KEYS_CATALOG_INT_H
#define SF_KEYS_CATALOG_INT_H

#include "base/clock.h"
#include "keys/catalog.h"

/* Names of a subject's counters begin "{ORG}k:ID:" (k a letter for the kind), in braces what puts
 * the counters of one organisation into one slot of Redis. Ids that a caller chose are hashed where
 * they are long or odd. */
#define COUNTER_PREFIX_BYTES 96
struct str counter_prefix(enum subject_kind kind, struct str org_id, struct str id,
    char out[static COUNTER_PREFIX_BYTES]);

/* What a subject's record knows of its budgets beyond the table that was given: which of them count
 * in one counter (same period, model and tag), and what alerts were given (crossed.c). */
struct budget_state {
    bool first;    /* the first of those with this counter */
    char scope[9]; /* the end of the counter's name: model and tag, hashed; "" = all */
    uint8_t scope_n;
    int64_t limit;    /* of first: the lowest hard limit, INT64_MAX = none is hard */
    int64_t crossed_; /* atomic: the last step told */
};
struct subject_state {
    bool by_model, by_tag; /* any budget is for a model, a tag */
    struct budget_state at[];
};
size_t subject_state_bytes(const struct limits *l);
void subject_state_init(struct subject_state *s, const struct limits *l);

/* All but the count of references, which other threads change at any time. */
void subject_copy(struct subject *to, const struct subject *from);
/* A record of k under these levels; takes references of its own. */
int vkey_with_levels(const struct virtual_key *k, const struct subject *org,
    const struct subject *team, const struct subject *user, const struct virtual_key **ret);
/* Takes out records of a kind that are not newer than upto and whose id keep() does not know. */
void catalog_retain(struct catalog *c, enum subject_kind kind, int64_t upto,
    bool (*keep)(void *ctx, struct str id), void *ctx);
/* Active with all levels above it, and not expired. */
bool vkey_is_live(const struct virtual_key *k, int64_t now);
/* hash, last4 and id of a key; id is where the text of the id then is. */
void vkey_set_secret(struct virtual_key *k, struct str secret, char id[static 17]);

/* An unknown key came from this address: 0, or how many seconds it shall wait. now is monotonic. */
struct net_addr;
int flood_guess(const struct net_addr *from, int64_t now);
#define FLOOD_FREE 20

#endif
