/*
 * The virtual keys of one configuration: a list that the loader fills (the file's, and the demo's).
 * It is part of the snapshot; catalog_set_config_keys() lays it beside the keys of the store.
 */
#ifndef SF_KEYS_VKEY_H
#define SF_KEYS_VKEY_H

#include "keys/limits.h"
#include "llm/stage.h"

struct vkey_set;
int vkey_set_new(struct vkey_set **ret);
void vkey_set_free(struct vkey_set *s);
/* Copies what it needs of *k (of a key in the file: name, lists, limits, whether it is active).
 * secret is the key itself ("sk-sf-…"). -EEXIST, -EINVAL (bad form), -ENOMEM. */
int vkey_set_add(struct vkey_set *s, const struct virtual_key *k, struct str secret);
/* No reference: lives as long as the set. */
const struct virtual_key *vkey_find(const struct vkey_set *s, struct str secret);
unsigned vkey_count(const struct vkey_set *s);
const struct virtual_key *vkey_set_at(const struct vkey_set *s, unsigned i);
bool vkey_set_has(const struct vkey_set *s, const uint8_t hash[static 32]);

struct keys_settings {
    struct vkey_set *set;
    bool passthrough; /* a caller's own provider key is passed on */
    struct limits_settings limits;
};

/* Reads the caller's credential (Authorization, x-api-key, api-key, x-goog-api-key, ?key=, the
 * realtime subprotocol) and finds its key: fills x->key (a reference, which the exchange's owner
 * gives back) or x->caller_credential. 401, 400; 403 where the key may not come from this address
 * or call this endpoint; 429 for a flood of unknown keys; 503 where an unknown key may be a new
 * one. */
extern const struct stage stage_authenticate;

#endif
