/*
 * The records in memory. See route/owned.h.
 *
 *   by_id: id ─▶ struct record, which also stands in one of two lists:
 *     used     those that may be dropped, most recently used first
 *     waiting  those to be written, oldest first; taken while somebody writes them
 *
 * A record is one piece of memory with its texts behind it. It does not change but for its place.
 */
#include "route/owned.h"

#include "base/list.h"
#include "base/macros.h"
#include "base/map.h"

#include <pthread.h>
#include <stdlib.h>

struct record {
    struct owned o;
    struct list place;
    bool waiting; /* in the queue, or taken from it */
    char texts[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct map by_id;
static struct list used = {&used, &used}, waiting = {&waiting, &waiting};
static size_t queued;
static uint64_t unwritten;
static void (*on_queued)(void);

#define TEXTS 9

/* All texts of a record. */
static void texts_of(struct owned *o, struct str *ret[static TEXTS])
{
    struct str *all[TEXTS] = {&o->id, &o->provider, &o->upstream_key, &o->org, &o->team, &o->user,
        &o->key, &o->customer, &o->batch};

    memcpy(ret, all, sizeof all);
}

static bool is_plain(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] > '~')
            return false;
    return true;
}

static bool is_good(const struct owned *o)
{
    struct owned copy = *o;
    struct str *texts[TEXTS];

    texts_of(&copy, texts);
    for (unsigned i = 1; i < TEXTS; i++)
        if (texts[i]->n > (texts[i] == &copy.batch ? OWNED_ID_BYTES : OWNED_TEXT_BYTES))
            return false;
    return o->id.n && o->id.n <= OWNED_ID_BYTES && is_plain(o->id) && o->provider.n &&
           is_plain(o->provider) && is_plain(o->batch);
}

static struct record *record_new(const struct owned *from)
{
    struct owned o = *from;
    struct str *texts[TEXTS];
    size_t n = 0;

    texts_of(&o, texts);
    for (unsigned i = 0; i < TEXTS; i++)
        n += texts[i]->n;
    struct record *r = malloc(sizeof *r + n);
    if (!r)
        return NULL;
    char *at = r->texts;
    for (unsigned i = 0; i < TEXTS; i++) {
        if (texts[i]->n)
            memcpy(at, texts[i]->p, texts[i]->n);
        texts[i]->p = at;
        at += texts[i]->n;
    }
    r->o = o;
    r->waiting = false;
    list_init(&r->place);
    return r;
}

/* With the lock held. */
static void make_room(void)
{
    while (by_id.n > OWNED_MAX && !list_empty(&used)) {
        struct record *r = list_entry(used.prev, struct record, place);
        list_remove(&r->place);
        map_del(&by_id, r->o.id);
        free(r);
    }
}

/* With the lock held. True when the queue was empty before. */
static bool place_new(struct record *r, bool write)
{
    bool room = queued < OWNED_QUEUE_MAX, first = false;

    if (write && room) {
        r->waiting = true;
        first = queued++ == 0;
        list_push_back(&waiting, &r->place);
    } else {
        unwritten += write;
        list_push_front(&used, &r->place);
    }
    make_room();
    return first;
}

bool owned_put(const struct owned *o, bool write)
{
    struct record *r = is_good(o) ? record_new(o) : NULL;
    bool fresh = false, first = false;

    if (!r)
        return false;
    pthread_mutex_lock(&lock);
    if (!map_get(&by_id, r->o.id) && map_put(&by_id, r->o.id, r, NULL) == 0) {
        fresh = true;
        first = place_new(r, write);
    }
    if (first && on_queued)
        on_queued(); /* with the lock held: whoever takes it away knows that it runs no more */
    pthread_mutex_unlock(&lock);
    if (!fresh)
        free(r);
    return fresh;
}

/* With the lock held. */
static struct record *find(struct str id)
{
    struct record *r = map_get(&by_id, id);

    if (r && !r->waiting && used.next != &r->place) {
        list_remove(&r->place);
        list_push_front(&used, &r->place);
    }
    return r;
}

const struct owned *owned_get(struct str id, struct arena *a)
{
    struct owned *copy = NULL;
    struct str *texts[TEXTS];

    pthread_mutex_lock(&lock);
    struct record *r = find(id);
    if (r && (copy = arena_new(a, struct owned))) {
        *copy = r->o;
        texts_of(copy, texts);
        for (unsigned i = 0; i < TEXTS; i++) {
            *texts[i] = arena_dup(a, *texts[i]);
            if (!texts[i]->p)
                copy = NULL, i = TEXTS;
        }
    }
    pthread_mutex_unlock(&lock);
    return copy;
}

bool owned_has(struct str id)
{
    pthread_mutex_lock(&lock);
    bool has = find(id) != NULL;
    pthread_mutex_unlock(&lock);
    return has;
}

/* --- the queue --- */

unsigned owned_take(const struct owned **ret, unsigned max)
{
    unsigned n = 0;

    pthread_mutex_lock(&lock);
    while (n < max && !list_empty(&waiting)) {
        struct record *r = list_entry(list_pop_front(&waiting), struct record, place);
        ret[n++] = &r->o;
    }
    pthread_mutex_unlock(&lock);
    return n;
}

void owned_wrote(const struct owned *const *at, unsigned n, bool written)
{
    pthread_mutex_lock(&lock);
    for (unsigned i = n; i-- > 0;) {
        struct record *r = (struct record *)((char *)at[i] - offsetof(struct record, o));
        if (!written) {
            list_push_front(&waiting, &r->place);
            continue;
        }
        r->waiting = false;
        queued--;
        list_push_front(&used, &r->place);
    }
    make_room();
    pthread_mutex_unlock(&lock);
}

void owned_on_queued(void (*fn)(void))
{
    pthread_mutex_lock(&lock);
    on_queued = fn;
    pthread_mutex_unlock(&lock);
}

void owned_counts(size_t *ret_n, size_t *ret_queued, uint64_t *ret_unwritten)
{
    pthread_mutex_lock(&lock);
    *ret_n = by_id.n;
    *ret_queued = queued;
    *ret_unwritten = unwritten;
    pthread_mutex_unlock(&lock);
}

void owned_clear(void)
{
    struct str id;
    void *r;

    pthread_mutex_lock(&lock);
    for (size_t at = 0; map_next(&by_id, &at, &id, &r);)
        free(r);
    map_free(&by_id);
    map_init(&by_id);
    list_init(&used);
    list_init(&waiting);
    queued = 0;
    unwritten = 0;
    pthread_mutex_unlock(&lock);
}
