/*
 * The set of virtual keys: an array of keys and a map from hash to key. See keys/vkey.h.
 */
#include "keys/vkey.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/map.h"
#include "base/secret.h"
#include "crypto/digest.h"
#include "crypto/encode.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#define KEY_SET_BYTES ((size_t)256 << 20)

struct vkey_set {
    struct map by_hash;
    struct arena arena;
    unsigned n;
};

int vkey_set_new(struct vkey_set **ret)
{
    struct vkey_set *s = calloc(1, sizeof *s);

    if (!s)
        return -ENOMEM;
    map_init(&s->by_hash);
    arena_init(&s->arena, NULL, 0, KEY_SET_BYTES);
    *ret = s;
    return 0;
}

void vkey_set_free(struct vkey_set *s)
{
    if (!s)
        return;
    map_free(&s->by_hash);
    arena_free(&s->arena);
    free(s);
}

bool vkey_form_ok(struct str secret)
{
    if (!str_starts(secret, STR("sk-sf-")) || secret.n < 6 + 8 || secret.n > 6 + 64)
        return false;
    for (size_t i = 6; i < secret.n; i++)
        if (!isalnum((unsigned char)secret.p[i]) && secret.p[i] != '-')
            return false;
    return true;
}

static int copy_list(struct arena *a, const struct str *from, unsigned n, const struct str **ret)
{
    struct str *to = arena_alloc(a, n * sizeof *to + 1);

    if (!to)
        return -ENOMEM;
    for (unsigned i = 0; i < n; i++) {
        to[i] = arena_dup(a, from[i]);
        if (!to[i].p)
            return -ENOMEM;
    }
    *ret = to;
    return 0;
}

int vkey_set_add(struct vkey_set *s, const struct virtual_key *k, struct str secret)
{
    if (!vkey_form_ok(secret))
        return -EINVAL;
    struct virtual_key *c = arena_new(&s->arena, struct virtual_key);
    if (!c)
        return -ENOMEM;
    *c = *k;
    c->name = arena_dup(&s->arena, k->name);
    if (copy_list(&s->arena, k->model_allowlist, k->model_allowlist_n, &c->model_allowlist) < 0 ||
        copy_list(
            &s->arena, k->provider_allowlist, k->provider_allowlist_n, &c->provider_allowlist) < 0)
        return -ENOMEM;
    sha256(secret, c->hash);
    hex_encode(str_at((const char *)c->hash, 8), c->id);
    c->id[16] = 0;
    memcpy(c->last4, secret.p + secret.n - 4, 4);
    c->last4[4] = 0;
    struct str hash = str_at((const char *)c->hash, sizeof c->hash);
    if (map_get(&s->by_hash, hash))
        return -EEXIST;
    s->n++;
    return map_put(&s->by_hash, hash, c, NULL);
}

const struct virtual_key *vkey_find(const struct vkey_set *s, struct str secret)
{
    uint8_t hash[32];

    if (!s || !vkey_form_ok(secret))
        return NULL;
    sha256(secret, hash);
    return map_get(&s->by_hash, str_at((const char *)hash, sizeof hash));
}

unsigned vkey_count(const struct vkey_set *s)
{
    return s ? s->n : 0;
}

static bool listed(const struct str *list, unsigned n, struct str s)
{
    for (unsigned i = 0; i < n; i++)
        if (str_glob(list[i], s))
            return true;
    return n == 0;
}

bool vkey_allows_model(const struct virtual_key *k, struct str model)
{
    return !k || listed(k->model_allowlist, k->model_allowlist_n, model);
}

bool vkey_allows_provider(const struct virtual_key *k, struct str provider)
{
    return !k || listed(k->provider_allowlist, k->provider_allowlist_n, provider);
}
