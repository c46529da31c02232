/*
 * Virtual keys: what clients present instead of provider credentials. Stored as SHA-256; a set is
 * immutable and part of the configuration snapshot. (The control plane will fill the same struct
 * from the store; the check is a stage like any other.)
 */
#ifndef SF_KEYS_VKEY_H
#define SF_KEYS_VKEY_H

#include "base/str.h"
#include "llm/stage.h"
#include <stdint.h>

struct virtual_key {
    struct str name;
    char id[17]; /* first 16 hex digits of the hash: for logs */
    uint8_t hash[32];
    char last4[5];
    const struct str *model_allowlist; /* globs; n 0 = all */
    unsigned model_allowlist_n;
    const struct str *provider_allowlist;
    unsigned provider_allowlist_n;
    int64_t expires_at; /* wall ns; 0 = never */
    bool is_active;
};

struct vkey_set;
int vkey_set_new(struct vkey_set **ret);
void vkey_set_free(struct vkey_set *s);
/* Copies what it needs. secret is the key itself ("sk-sf-…"). -EEXIST, -EINVAL (bad form). */
int vkey_set_add(struct vkey_set *s, const struct virtual_key *k, struct str secret);
const struct virtual_key *vkey_find(const struct vkey_set *s, struct str secret);
unsigned vkey_count(const struct vkey_set *s);

bool vkey_allows_model(const struct virtual_key *k, struct str model);
bool vkey_allows_provider(const struct virtual_key *k, struct str provider);
/* "sk-sf-" and 8 to 64 of [A-Za-z0-9-]. */
bool vkey_form_ok(struct str secret);

struct keys_settings {
    struct vkey_set *set;
    bool passthrough; /* a caller's own provider key is passed on */
};

/* Reads the caller's credential (Authorization, x-api-key, api-key, x-goog-api-key, ?key=, the
 * realtime subprotocol) and finds its key: fills x->key or x->caller_credential. 401, 400. */
extern const struct stage stage_authenticate;

#endif
