/*
 * Who may call, and within what limits: organisations, teams, users, virtual keys, end customers.
 *
 *   organisation → team → user → key, and beside them the end customer that a call names.
 *
 * Records are immutable and reference-counted; a change makes a new record in the place of the old
 * one. Each loop thread has a map of its own (by the SHA-256 of a key), so that the look-up of a
 * call takes no lock; a change is posted to every loop. What must last is in the store
 * (keys/registry.h); keys of the configuration file and the demo key are laid beside, and cannot be
 * changed by the API.
 *
 * A call holds references to the records it began under. A record that was replaced or revoked is
 * told to who asked for it (catalog_on_change), so that open streams can end.
 */
#ifndef SF_KEYS_CATALOG_H
#define SF_KEYS_CATALOG_H

#include "base/str.h"
#include <stdbool.h>
#include <stdint.h>

enum subject_kind {
    SUBJECT_ORG,
    SUBJECT_TEAM,
    SUBJECT_USER,
    SUBJECT_KEY,
    SUBJECT_CUSTOMER,
    SUBJECT_KINDS,
};

enum budget_period { BUDGET_DAILY, BUDGET_WEEKLY, BUDGET_MONTHLY, BUDGET_LIFETIME, BUDGET_PERIODS };

/* One budget. Windows are calendar ones in UTC: days, ISO weeks (from Monday), months. */
struct budget {
    enum budget_period period;
    int64_t limit_nano; /* nano-dollars, >= 0 */
    bool soft;          /* alerts, but does not refuse */
    struct str model;   /* a glob; empty = all */
    struct str tag;     /* empty = all */
};

struct limits {
    const struct budget *budgets;
    unsigned budgets_n;
    int64_t rpm, tpm;  /* 0 = none */
    unsigned parallel; /* 0 = none */
};

struct net_cidrs; /* net/dial.h */

struct subject_state; /* what alerts were given: keys/crossed.c */

struct subject {
    int refs_; /* atomic */
    enum subject_kind kind;
    struct str id, name;        /* id: "org_…", "team_…", of a customer what calls say */
    struct str org_id, team_id; /* where it belongs; empty = nowhere */
    struct limits limits;
    bool is_active;
    int64_t version;      /* of the record: an older one never replaces a newer one */
    struct str counters_; /* what its counters' names have in common: keys/counters.c */
    struct subject_state *state_;
};

enum key_content { KEY_CONTENT_FULL, KEY_CONTENT_HASHED, KEY_CONTENT_OFF };

struct str_list {
    const struct str *at;
    unsigned n; /* 0 = all are allowed */
};

/* A virtual key. Its subject comes first, so that limits see every level alike. The catalogue fills
 * in the levels above it; when one of them changes, a thread makes itself a new record of the key
 * the next time that it is looked up. */
struct virtual_key {
    struct subject subject; /* id: the first 16 hex digits of the hash */
    uint8_t hash[32];
    char last4[5];
    struct str_list models, providers; /* globs */
    struct str_list endpoints;   /* kinds as endpoint_kind_name() spells them, or "/v1/…" paths */
    struct net_cidrs *addresses; /* source addresses; NULL = all */
    struct str_list tags;
    struct str policy_set, metadata; /* metadata: a JSON object's text */
    struct str_list mcp_servers, agents;
    struct str team_id, user_id, org_id, rotated_from;
    enum key_content content;
    int64_t created_at, expires_at;          /* wall ns; expires_at 0 = never */
    bool from_config;                        /* of the file or the demo: read-only */
    const struct subject *org, *team, *user; /* NULL = none; held by this record */
    const struct virtual_key *base_;         /* whose memory the texts are in; NULL = its own */
};

/* Records of one piece of memory, copied from a struct whose texts may go; one reference. A key
 * takes over from->addresses, also on failure. hash, last4 and the levels above are the caller's.
 * -ENOMEM. */
int vkey_new(const struct virtual_key *from, struct virtual_key **ret);
int subject_new(const struct subject *from, struct subject **ret);

struct catalog; /* one a process */
int catalog_new(struct catalog **ret);
void catalog_free(struct catalog *c);
/* Each loop thread, before it serves; and at its end. */
int catalog_attach(struct catalog *c);
void catalog_detach(struct catalog *c);

/* The calling thread's answer. A reference is returned: vkey_unref() it. NULL: unknown. */
const struct virtual_key *catalog_find(struct str secret);
/* Whether an unknown key is surely unknown: false while the store cannot be reached and this node
 * may not have seen the newest keys (then the answer is 503, not 401). */
bool catalog_is_fresh(const struct catalog *c);
void catalog_set_fresh(struct catalog *c, bool fresh); /* registry.c; true at first */
struct catalog *catalog_here(void); /* the calling thread's; NULL = not attached */
const struct virtual_key *vkey_ref(const struct virtual_key *k);
void vkey_unref(const struct virtual_key *k); /* NULL is fine */
/* The end customer's limits, as configured for all or for this one; NULL = none. A reference. */
const struct subject *catalog_customer(struct str id);
const struct subject *subject_ref(const struct subject *s);
void subject_unref(const struct subject *s); /* NULL is fine */

/* Puts records in on all threads: those given replace older ones with the same hash or id. Any
 * thread. Takes over the caller's reference. What was removed at a version stays out below it. */
void catalog_put_key(struct catalog *c, const struct virtual_key *k);
void catalog_put_subject(struct catalog *c, const struct subject *s);
void catalog_remove_key(struct catalog *c, const uint8_t hash[static 32], int64_t version);
void catalog_remove_subject(
    struct catalog *c, enum subject_kind kind, struct str id, int64_t version);
/* A reference to a record of any kind but keys, as the whole process sees it; NULL = none. */
const struct subject *catalog_subject(struct catalog *c, enum subject_kind kind, struct str id);
/* The keys of a configuration snapshot, in place of those of the one before. */
struct vkey_set;
void catalog_set_config_keys(struct catalog *c, const struct vkey_set *set);
unsigned catalog_count(struct catalog *c); /* keys */
/* Those keys, one after the other, for lists: start with *at = 0; a reference, or NULL at the end.
 */
const struct virtual_key *catalog_next_config_key(struct catalog *c, size_t *at);
/* A reference to the key with this hash, as the whole process sees it; NULL = none. */
const struct virtual_key *catalog_key(struct catalog *c, const uint8_t hash[static 32]);

/* fn runs on each loop thread after its map changed. One listener. */
void catalog_on_change(struct catalog *c, void (*fn)(void *ctx), void *ctx);
/* Whether a call that began under this record may go on: the newest record of this key is active,
 * not expired, and so are its team, user and organisation. This thread's view. */
bool vkey_still_good(const struct virtual_key *k);
int64_t vkey_expires_at(const struct virtual_key *k); /* of its newest record; 0 = never */

bool vkey_allows_model(const struct virtual_key *k, struct str model);
bool vkey_allows_provider(const struct virtual_key *k, struct str provider);
/* "sk-sf-" and 8 to 64 of [A-Za-z0-9-]. */
bool vkey_form_ok(struct str secret);

#endif
