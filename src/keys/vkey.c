/*
 * Virtual keys as records, and the set of them that a configuration holds. See keys/catalog.h and
 * keys/vkey.h.
 *
 * A record is one block of memory: the struct, then its arrays and texts. It is measured and filled
 * by the same function, run twice. A record that only differs in the levels above it borrows the
 * block of the one it came from (base_).
 */
#include "keys/vkey.h"

#include "base/clock.h"
#include "base/map.h"
#include "crypto/digest.h"
#include "crypto/encode.h"
#include "keys/catalog_int.h"
#include "net/dial.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

/* --- packing --- */

/* p NULL: only measures. */
struct pack {
    char *p;
    size_t n;
};

static void *pack_room(struct pack *k, size_t size, size_t align)
{
    k->n = (k->n + align - 1) & ~(align - 1);
    void *at = k->p ? k->p + k->n : NULL;
    k->n += size;
    return at;
}

static void pack_str(struct pack *k, struct str *s)
{
    char *to = pack_room(k, s->n, 1);

    if (!to)
        return;
    if (s->n)
        memcpy(to, s->p, s->n);
    s->p = to;
}

static void pack_list(struct pack *k, struct str_list *l)
{
    struct str *to = pack_room(k, l->n * sizeof *to, sizeof(void *));

    for (unsigned i = 0; i < l->n; i++) {
        struct str one = l->at[i];
        pack_str(k, &one);
        if (to)
            to[i] = one;
    }
    if (to)
        l->at = to;
}

static void pack_limits(struct pack *k, struct limits *l)
{
    struct budget *to = pack_room(k, l->budgets_n * sizeof *to, sizeof(int64_t));

    for (unsigned i = 0; i < l->budgets_n; i++) {
        struct budget one = l->budgets[i];
        pack_str(k, &one.model);
        pack_str(k, &one.tag);
        if (to)
            to[i] = one;
    }
    if (to)
        l->budgets = to;
}

static void pack_subject(struct pack *k, struct subject *s)
{
    char name[COUNTER_PREFIX_BYTES];

    pack_limits(k, &s->limits);
    pack_str(k, &s->id);
    pack_str(k, &s->name);
    pack_str(k, &s->org_id);
    pack_str(k, &s->team_id);
    s->counters_ = counter_prefix(s->kind, s->org_id, s->id, name);
    pack_str(k, &s->counters_);
    s->state_ = pack_room(k, subject_state_bytes(&s->limits), sizeof(int64_t));
    if (s->state_)
        subject_state_init(s->state_, &s->limits);
}

static void pack_key(struct pack *k, struct virtual_key *key)
{
    struct str_list *lists[] = {&key->models, &key->providers, &key->endpoints, &key->tags,
        &key->mcp_servers, &key->agents};
    struct str *texts[] = {&key->policy_set, &key->metadata, &key->user_id, &key->rotated_from};

    pack_subject(k, &key->subject);
    for (unsigned i = 0; i < ARRAY_LEN(lists); i++)
        pack_list(k, lists[i]);
    for (unsigned i = 0; i < ARRAY_LEN(texts); i++)
        pack_str(k, texts[i]);
    key->team_id = key->subject.team_id;
    key->org_id = key->subject.org_id;
}

/* --- records --- */

int vkey_new(const struct virtual_key *from, struct virtual_key **ret)
{
    struct virtual_key key = *from;
    struct pack k = {0};

    key.subject.kind = SUBJECT_KEY;
    key.subject.refs_ = 1;
    key.subject.org_id = from->org_id;
    key.subject.team_id = from->team_id;
    key.org = key.team = key.user = NULL;
    key.base_ = NULL;
    pack_key(&k, &key);
    k = (struct pack){.p = calloc(1, sizeof key + k.n)};
    if (!k.p) {
        net_cidrs_free(from->addresses);
        return -ENOMEM;
    }
    struct virtual_key *made = (struct virtual_key *)k.p;
    k.p += sizeof key;
    pack_key(&k, &key);
    *made = key;
    *ret = made;
    return 0;
}

int subject_new(const struct subject *from, struct subject **ret)
{
    struct subject s = *from;
    struct pack k = {0};

    s.refs_ = 1;
    pack_subject(&k, &s);
    k = (struct pack){.p = calloc(1, sizeof s + k.n)};
    if (!k.p)
        return -ENOMEM;
    struct subject *made = (struct subject *)k.p;
    k.p += sizeof s;
    pack_subject(&k, &s);
    *made = s;
    *ret = made;
    return 0;
}

int vkey_with_levels(const struct virtual_key *k, const struct subject *org,
    const struct subject *team, const struct subject *user, const struct virtual_key **ret)
{
    struct virtual_key *made = malloc(sizeof *made);

    if (!made)
        return -ENOMEM;
    subject_copy(&made->subject, &k->subject);
    memcpy((char *)made + sizeof made->subject, (const char *)k + sizeof k->subject,
        sizeof *k - sizeof k->subject);
    made->subject.refs_ = 1;
    made->base_ = vkey_ref(k->base_ ? k->base_ : k);
    made->org = subject_ref(org);
    made->team = subject_ref(team);
    made->user = subject_ref(user);
    *ret = made;
    return 0;
}

void subject_copy(struct subject *to, const struct subject *from)
{
    const size_t counted = offsetof(struct subject, kind);

    to->refs_ = 0;
    memcpy((char *)to + counted, (const char *)from + counted, sizeof *to - counted);
}

const struct subject *subject_ref(const struct subject *s)
{
    if (s)
        __atomic_add_fetch(&((struct subject *)s)->refs_, 1, __ATOMIC_RELAXED);
    return s;
}

static bool last_ref(const struct subject *s)
{
    return __atomic_sub_fetch(&((struct subject *)s)->refs_, 1, __ATOMIC_ACQ_REL) == 0;
}

void subject_unref(const struct subject *s)
{
    if (s && last_ref(s))
        free((void *)s);
}

const struct virtual_key *vkey_ref(const struct virtual_key *k)
{
    if (k)
        subject_ref(&k->subject);
    return k;
}

void vkey_unref(const struct virtual_key *k)
{
    while (k && last_ref(&k->subject)) {
        const struct virtual_key *base = k->base_;
        subject_unref(k->org);
        subject_unref(k->team);
        subject_unref(k->user);
        if (!base)
            net_cidrs_free(k->addresses);
        free((void *)k);
        k = base;
    }
}

/* --- what it may --- */

bool vkey_form_ok(struct str secret)
{
    if (!str_starts(secret, STR("sk-sf-")) || secret.n < 6 + 8 || secret.n > 6 + 64)
        return false;
    for (size_t i = 6; i < secret.n; i++)
        if (!isalnum((unsigned char)secret.p[i]) && secret.p[i] != '-')
            return false;
    return true;
}

static bool listed(const struct str_list *l, struct str s)
{
    for (unsigned i = 0; i < l->n; i++)
        if (str_glob(l->at[i], s))
            return true;
    return l->n == 0;
}

bool vkey_allows_model(const struct virtual_key *k, struct str model)
{
    return !k || listed(&k->models, model);
}

bool vkey_allows_provider(const struct virtual_key *k, struct str provider)
{
    return !k || listed(&k->providers, provider);
}

bool vkey_is_live(const struct virtual_key *k, int64_t now)
{
    const struct subject *levels[] = {&k->subject, k->user, k->team, k->org};

    for (unsigned i = 0; i < ARRAY_LEN(levels); i++)
        if (levels[i] && !levels[i]->is_active)
            return false;
    return !k->expires_at || k->expires_at > now;
}

void vkey_set_secret(struct virtual_key *k, struct str secret, char id[static 17])
{
    sha256(secret, k->hash);
    hex_encode(str_at((const char *)k->hash, 8), id);
    id[16] = 0;
    k->subject.id = str_at(id, 16);
    memcpy(k->last4, secret.p + secret.n - 4, 4);
    k->last4[4] = 0;
}

/* --- the set of a configuration --- */

struct vkey_set {
    struct map by_hash;
    struct virtual_key **at;
    unsigned n, room;
};

int vkey_set_new(struct vkey_set **ret)
{
    struct vkey_set *s = calloc(1, sizeof *s);

    if (!s)
        return -ENOMEM;
    map_init(&s->by_hash);
    *ret = s;
    return 0;
}

void vkey_set_free(struct vkey_set *s)
{
    if (!s)
        return;
    for (unsigned i = 0; i < s->n; i++)
        vkey_unref(s->at[i]);
    map_free(&s->by_hash);
    free(s->at);
    free(s);
}

static int set_room(struct vkey_set *s)
{
    if (s->n < s->room)
        return 0;
    unsigned room = s->room ? s->room * 2 : 8;
    void *at = reallocarray(s->at, room, sizeof *s->at);
    if (!at)
        return -ENOMEM;
    s->at = at;
    s->room = room;
    return 0;
}

int vkey_set_add(struct vkey_set *s, const struct virtual_key *from, struct str secret)
{
    struct virtual_key k = *from, *made;
    char id[17];

    if (!vkey_form_ok(secret))
        return -EINVAL;
    vkey_set_secret(&k, secret, id);
    k.from_config = true;
    if (map_get(&s->by_hash, str_at((const char *)k.hash, sizeof k.hash)))
        return -EEXIST;
    if (set_room(s) < 0 || vkey_new(&k, &made) < 0)
        return -ENOMEM;
    if (map_put(&s->by_hash, str_at((const char *)made->hash, sizeof made->hash), made, NULL) < 0) {
        vkey_unref(made);
        return -ENOMEM;
    }
    s->at[s->n++] = made;
    return 0;
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

const struct virtual_key *vkey_set_at(const struct vkey_set *s, unsigned i)
{
    return s->at[i];
}

bool vkey_set_has(const struct vkey_set *s, const uint8_t hash[static 32])
{
    return map_get(&s->by_hash, str_at((const char *)hash, 32)) != NULL;
}
