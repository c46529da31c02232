/*
 * The catalogue: one set of maps for the process, under a lock that only changes take, and one set
 * a loop thread, which that thread alone reads and writes. A change is made to the process's maps
 * and, under the same lock, posted to every attached loop, so that all threads see all changes in
 * one order. References: each map holds one of each record in it.
 *
 * A key's record carries the records of the levels above it. The maps hold keys as they were put,
 * without levels; a thread looks them up when a key is first used, and again when any organisation,
 * team or user has changed since (view.generation). So a change to a team with many keys costs
 * nothing at the time, and the order in which records are put does not matter.
 *
 * What was removed leaves its version behind for a while, so that an older record of it that is
 * still on its way (read from the store before, put after) does not bring it back.
 *
 * Nothing here suspends.
 */
#include "base/clock.h"
#include "base/macros.h"
#include "base/map.h"
#include "crypto/digest.h"
#include "keys/catalog_int.h"
#include "keys/vkey.h"
#include "runtime/loop.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define VIEWS_MAX   256
#define REMOVED_MAX 1024

struct catalog {
    pthread_mutex_t lock;
    struct map stored, config;          /* hash → key */
    struct map subjects[SUBJECT_KINDS]; /* id → subject */
    struct view *views[VIEWS_MAX];
    unsigned views_n;
    /* the last things removed, a ring */
    struct removed {
        enum subject_kind kind;
        uint64_t id_hash;
        int64_t version;
    } removed[REMOVED_MAX];
    unsigned removed_at;
    atomic_bool fresh;
    void (*on_change)(void *ctx);
    void *on_change_ctx;
};

struct entry {
    const struct virtual_key *key; /* with its levels, once looked up */
    uint64_t generation;           /* of the view when they were looked up; 0 = never */
};

struct view {
    struct catalog *c;
    struct loop *loop;
    struct map keys; /* hash → entry */
    struct map subjects[SUBJECT_KINDS];
    uint64_t generation; /* grows with every change of a subject */
};

/* One change, as it is sent to every thread. A NULL record: removed. */
struct change {
    int refs; /* atomic: one a loop that has not run it yet */
    struct catalog *c;
    enum subject_kind kind;
    const struct virtual_key *key;
    const struct subject *subject;
    uint8_t hash[32];
    char id[]; /* NUL-terminated */
};

static _Thread_local struct view *mine;

static struct str hash_str(const uint8_t *hash)
{
    return str_at((const char *)hash, 32);
}

/* --- maps that hold references --- */

static void map_put_key(struct map *m, const struct virtual_key *k)
{
    void *old = NULL;

    must(map_put(m, hash_str(k->hash), (void *)vkey_ref(k), &old) == 0);
    vkey_unref(old);
}

static void map_put_subject(struct map *m, const struct subject *s)
{
    void *old = NULL;

    must(map_put(m, s->id, (void *)subject_ref(s), &old) == 0);
    subject_unref(old);
}

static void map_clear(struct map *m, void (*unref)(void *))
{
    struct str key;
    void *value;

    for (size_t at = 0; map_next(m, &at, &key, &value);)
        unref(value);
    map_free(m);
}

static void unref_key(void *k)
{
    vkey_unref(k);
}

static void unref_subject(void *s)
{
    subject_unref(s);
}

static void unref_entry(void *p)
{
    struct entry *e = p;

    vkey_unref(e->key);
    free(e);
}

/* --- a thread's view --- */

static void view_put_key(struct view *v, const struct virtual_key *k)
{
    struct entry *e = map_get(&v->keys, hash_str(k->hash));

    if (!e) {
        must((e = calloc(1, sizeof *e)));
    }
    const struct virtual_key *old = e->key;
    *e = (struct entry){.key = vkey_ref(k)};
    must(map_put(&v->keys, hash_str(k->hash), e, NULL) == 0); /* the name is in the record */
    vkey_unref(old);
}

static void view_remove_key(struct view *v, const uint8_t *hash)
{
    struct entry *e = map_del(&v->keys, hash_str(hash));

    if (e)
        unref_entry(e);
}

static void view_apply(struct view *v, const struct change *ch)
{
    if (ch->kind == SUBJECT_KEY) {
        if (ch->key)
            view_put_key(v, ch->key);
        else
            view_remove_key(v, ch->hash);
        return;
    }
    v->generation++;
    if (ch->subject)
        map_put_subject(&v->subjects[ch->kind], ch->subject);
    else
        subject_unref(map_del(&v->subjects[ch->kind], str_of(ch->id)));
}

static const struct subject *level(const struct view *v, enum subject_kind kind, struct str id)
{
    return id.n ? map_get(&v->subjects[kind], id) : NULL;
}

static struct str first_of(struct str a, struct str b)
{
    return a.n ? a : b;
}

/* Looks up the levels above a key: its own team and organisation come before its user's. */
static void find_levels(struct view *v, struct entry *e)
{
    const struct virtual_key *k = e->key, *made;
    const struct subject *user = level(v, SUBJECT_USER, k->user_id);
    const struct subject *team =
        level(v, SUBJECT_TEAM, first_of(k->team_id, user ? user->team_id : STR_NONE));
    const struct subject *org = level(v, SUBJECT_ORG,
        first_of(k->org_id, team   ? team->org_id
                            : user ? user->org_id
                                   : STR_NONE));

    if (org != k->org || team != k->team || user != k->user) {
        must(vkey_with_levels(k, org, team, user, &made) == 0);
        must(map_put(&v->keys, hash_str(made->hash), e, NULL) == 0);
        e->key = made;
        vkey_unref(k);
    }
    e->generation = v->generation;
}

static const struct virtual_key *view_key(struct view *v, const uint8_t *hash)
{
    struct entry *e = map_get(&v->keys, hash_str(hash));

    if (!e)
        return NULL;
    if (unlikely(e->generation != v->generation))
        find_levels(v, e);
    return e->key;
}

/* --- sending changes --- */

static void change_unref(struct change *ch)
{
    if (__atomic_sub_fetch(&ch->refs, 1, __ATOMIC_ACQ_REL))
        return;
    vkey_unref(ch->key);
    subject_unref(ch->subject);
    free(ch);
}

static void change_arrives(void *arg)
{
    struct change *ch = arg;

    if (mine && mine->c == ch->c) { /* else this thread has left since */
        view_apply(mine, ch);
        if (ch->c->on_change)
            ch->c->on_change(ch->c->on_change_ctx);
    }
    change_unref(ch);
}

static struct change *change_new(struct catalog *c, enum subject_kind kind, struct str id)
{
    struct change *ch = calloc(1, sizeof *ch + id.n + 1);

    must(ch);
    ch->refs = 1;
    ch->c = c;
    ch->kind = kind;
    if (id.n)
        memcpy(ch->id, id.p, id.n);
    return ch;
}

/* Under the lock. */
static void send_change(struct catalog *c, struct change *ch)
{
    for (unsigned i = 0; i < c->views_n; i++) {
        __atomic_add_fetch(&ch->refs, 1, __ATOMIC_RELAXED);
        must(loop_post(c->views[i]->loop, change_arrives, ch) == 0);
    }
    change_unref(ch);
}

/* What now counts for a hash, after one of the two maps changed. */
static void send_key(struct catalog *c, const uint8_t *hash)
{
    struct change *ch = change_new(c, SUBJECT_KEY, STR_NONE);
    const struct virtual_key *k = map_get(&c->config, hash_str(hash));

    ch->key = vkey_ref(k ? k : map_get(&c->stored, hash_str(hash)));
    memcpy(ch->hash, hash, sizeof ch->hash);
    send_change(c, ch);
}

/* --- what was removed --- */

static void remember_removed(
    struct catalog *c, enum subject_kind kind, struct str id, int64_t version)
{
    c->removed[c->removed_at++ % REMOVED_MAX] =
        (struct removed){.kind = kind, .id_hash = map_hash(id), .version = version};
}

static bool was_removed(
    const struct catalog *c, enum subject_kind kind, struct str id, int64_t version)
{
    uint64_t h = map_hash(id);

    if (version == 0)
        return false;
    for (unsigned i = 0; i < MIN(c->removed_at, (unsigned)REMOVED_MAX); i++)
        if (c->removed[i].id_hash == h && c->removed[i].kind == kind &&
            c->removed[i].version >= version)
            return true;
    return false;
}

/* Records without a version (a test's, say) always count as newer. */
static bool is_newer(int64_t version, int64_t than)
{
    return version == 0 || version > than;
}

/* --- the interface --- */

int catalog_new(struct catalog **ret)
{
    struct catalog *c = calloc(1, sizeof *c);

    if (!c)
        return -ENOMEM;
    pthread_mutex_init(&c->lock, NULL);
    map_init(&c->stored);
    map_init(&c->config);
    for (unsigned i = 0; i < SUBJECT_KINDS; i++)
        map_init(&c->subjects[i]);
    atomic_init(&c->fresh, true);
    *ret = c;
    return 0;
}

void catalog_free(struct catalog *c)
{
    if (!c)
        return;
    must(c->views_n == 0);
    map_clear(&c->stored, unref_key);
    map_clear(&c->config, unref_key);
    for (unsigned i = 0; i < SUBJECT_KINDS; i++)
        map_clear(&c->subjects[i], unref_subject);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static void copy_keys(struct view *v, const struct map *from)
{
    struct str key;
    void *value;

    for (size_t at = 0; map_next(from, &at, &key, &value);)
        view_put_key(v, value);
}

static void copy_subjects(struct view *v, const struct catalog *c)
{
    struct str id;
    void *value;

    for (unsigned i = 0; i < SUBJECT_KINDS; i++)
        for (size_t at = 0; map_next(&c->subjects[i], &at, &id, &value);)
            map_put_subject(&v->subjects[i], value);
}

int catalog_attach(struct catalog *c)
{
    struct view *v = calloc(1, sizeof *v);

    if (!v)
        return -ENOMEM;
    must(!mine && loop_self());
    v->c = c;
    v->loop = loop_self();
    v->generation = 1;
    map_init(&v->keys);
    for (unsigned i = 0; i < SUBJECT_KINDS; i++)
        map_init(&v->subjects[i]);
    pthread_mutex_lock(&c->lock);
    must(c->views_n < VIEWS_MAX);
    copy_keys(v, &c->stored);
    copy_keys(v, &c->config); /* second: these count */
    copy_subjects(v, c);
    c->views[c->views_n++] = v;
    pthread_mutex_unlock(&c->lock);
    mine = v;
    return 0;
}

void catalog_detach(struct catalog *c)
{
    struct view *v = mine;

    if (!v)
        return;
    must(v->c == c);
    pthread_mutex_lock(&c->lock);
    for (unsigned i = 0; i < c->views_n; i++)
        if (c->views[i] == v)
            c->views[i--] = c->views[--c->views_n];
    pthread_mutex_unlock(&c->lock);
    map_clear(&v->keys, unref_entry);
    for (unsigned i = 0; i < SUBJECT_KINDS; i++)
        map_clear(&v->subjects[i], unref_subject);
    free(v);
    mine = NULL;
}

struct catalog *catalog_here(void)
{
    return mine ? mine->c : NULL;
}

const struct virtual_key *catalog_find(struct str secret)
{
    uint8_t hash[32];

    if (!mine || !vkey_form_ok(secret))
        return NULL;
    sha256(secret, hash);
    return vkey_ref(view_key(mine, hash));
}

bool vkey_still_good(const struct virtual_key *k)
{
    if (!mine)
        return vkey_is_live(k, clock_wall());
    k = view_key(mine, k->hash);
    return k && vkey_is_live(k, clock_wall());
}

int64_t vkey_expires_at(const struct virtual_key *k)
{
    const struct virtual_key *newest = mine ? view_key(mine, k->hash) : k;

    return newest ? newest->expires_at : 0;
}

const struct subject *catalog_customer(struct str id)
{
    if (!mine || !id.n)
        return NULL;
    const struct subject *s = level(mine, SUBJECT_CUSTOMER, id);
    return subject_ref(s ? s : level(mine, SUBJECT_CUSTOMER, STR("*")));
}

bool catalog_is_fresh(const struct catalog *c)
{
    return atomic_load_explicit(&c->fresh, memory_order_relaxed);
}

void catalog_set_fresh(struct catalog *c, bool fresh)
{
    atomic_store_explicit(&c->fresh, fresh, memory_order_relaxed);
}

void catalog_put_key(struct catalog *c, const struct virtual_key *k)
{
    pthread_mutex_lock(&c->lock);
    const struct virtual_key *old = map_get(&c->stored, hash_str(k->hash));
    bool newer = old ? is_newer(k->subject.version, old->subject.version)
                     : !was_removed(c, SUBJECT_KEY, hash_str(k->hash), k->subject.version);
    if (newer) {
        map_put_key(&c->stored, k);
        send_key(c, k->hash);
    }
    pthread_mutex_unlock(&c->lock);
    vkey_unref(k);
}

void catalog_put_subject(struct catalog *c, const struct subject *s)
{
    pthread_mutex_lock(&c->lock);
    const struct subject *old = map_get(&c->subjects[s->kind], s->id);
    bool newer =
        old ? is_newer(s->version, old->version) : !was_removed(c, s->kind, s->id, s->version);
    if (newer) {
        struct change *ch = change_new(c, s->kind, s->id);
        ch->subject = subject_ref(s);
        map_put_subject(&c->subjects[s->kind], s);
        send_change(c, ch);
    }
    pthread_mutex_unlock(&c->lock);
    subject_unref(s);
}

static void retain_keys(
    struct catalog *c, int64_t upto, bool (*keep)(void *ctx, struct str id), void *ctx)
{
    struct str key;
    void *value;

    for (size_t at = 0; map_next(&c->stored, &at, &key, &value);) {
        const struct virtual_key *k = value;
        if (k->subject.version > upto || keep(ctx, k->subject.id))
            continue;
        map_del(&c->stored, key);
        send_key(c, k->hash);
        vkey_unref(k);
    }
}

void catalog_retain(struct catalog *c, enum subject_kind kind, int64_t upto,
    bool (*keep)(void *ctx, struct str id), void *ctx)
{
    struct str id;
    void *value;

    pthread_mutex_lock(&c->lock);
    if (kind == SUBJECT_KEY)
        retain_keys(c, upto, keep, ctx);
    for (size_t at = 0; kind != SUBJECT_KEY && map_next(&c->subjects[kind], &at, &id, &value);) {
        const struct subject *s = value;
        if (s->version > upto || keep(ctx, id))
            continue;
        map_del(&c->subjects[kind], id);
        send_change(c, change_new(c, kind, id));
        subject_unref(s);
    }
    pthread_mutex_unlock(&c->lock);
}

void catalog_remove_key(struct catalog *c, const uint8_t hash[static 32], int64_t version)
{
    pthread_mutex_lock(&c->lock);
    remember_removed(c, SUBJECT_KEY, hash_str(hash), version);
    const struct virtual_key *old = map_get(&c->stored, hash_str(hash));
    if (old && old->subject.version <= version) {
        map_del(&c->stored, hash_str(hash));
        send_key(c, hash);
        vkey_unref(old);
    }
    pthread_mutex_unlock(&c->lock);
}

void catalog_remove_subject(
    struct catalog *c, enum subject_kind kind, struct str id, int64_t version)
{
    pthread_mutex_lock(&c->lock);
    remember_removed(c, kind, id, version);
    const struct subject *old = map_get(&c->subjects[kind], id);
    if (old && old->version <= version) {
        map_del(&c->subjects[kind], id);
        send_change(c, change_new(c, kind, id));
        subject_unref(old);
    }
    pthread_mutex_unlock(&c->lock);
}

static void drop_config_keys(struct catalog *c, const struct vkey_set *but)
{
    struct str key;
    void *value;

    for (size_t at = 0; map_next(&c->config, &at, &key, &value);) {
        const struct virtual_key *k = value;
        if (but && vkey_set_has(but, k->hash))
            continue;
        map_del(&c->config, key);
        send_key(c, k->hash);
        vkey_unref(k);
    }
}

void catalog_set_config_keys(struct catalog *c, const struct vkey_set *set)
{
    pthread_mutex_lock(&c->lock);
    drop_config_keys(c, set);
    for (unsigned i = 0; i < vkey_count(set); i++) {
        map_put_key(&c->config, vkey_set_at(set, i));
        send_key(c, vkey_set_at(set, i)->hash);
    }
    pthread_mutex_unlock(&c->lock);
}

unsigned catalog_count(struct catalog *c)
{
    pthread_mutex_lock(&c->lock);
    size_t n = c->stored.n + c->config.n;
    pthread_mutex_unlock(&c->lock);
    return (unsigned)n;
}

const struct virtual_key *catalog_next_config_key(struct catalog *c, size_t *at)
{
    struct str key;
    void *value = NULL;

    pthread_mutex_lock(&c->lock);
    if (map_next(&c->config, at, &key, &value))
        vkey_ref(value);
    pthread_mutex_unlock(&c->lock);
    return value;
}

const struct virtual_key *catalog_key(struct catalog *c, const uint8_t hash[static 32])
{
    pthread_mutex_lock(&c->lock);
    const struct virtual_key *k = map_get(&c->config, hash_str(hash));
    k = vkey_ref(k ? k : map_get(&c->stored, hash_str(hash)));
    pthread_mutex_unlock(&c->lock);
    return k;
}

const struct subject *catalog_subject(struct catalog *c, enum subject_kind kind, struct str id)
{
    pthread_mutex_lock(&c->lock);
    const struct subject *s = subject_ref(id.n ? map_get(&c->subjects[kind], id) : NULL);
    pthread_mutex_unlock(&c->lock);
    return s;
}

void catalog_on_change(struct catalog *c, void (*fn)(void *ctx), void *ctx)
{
    c->on_change = fn;
    c->on_change_ctx = ctx;
}
