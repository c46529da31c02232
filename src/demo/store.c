/*
 * The store: one list per kind in order of age and one mutex. A thousand objects at most stand in a
 * list, so a walk is short; nobody measures the demo provider's file endpoints.
 */
#include "demo/store_int.h"

#include "base/limits.h"
#include "base/list.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct object {
    struct list node;
    enum store_kind kind;
    uint64_t born; /* a count, not a time */
    char *id;
    size_t id_n, json_n, more_n;
    char *json, *more; /* in the block of id */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct list lists[STORE_KINDS]; /* newest first */
static unsigned counts[STORE_KINDS];
static size_t bytes;
static uint64_t born;
static bool ready;

static void prepare(void)
{
    if (ready)
        return;
    for (unsigned i = 0; i < STORE_KINDS; i++)
        list_init(&lists[i]);
    ready = true;
}

static size_t object_bytes(const struct object *o)
{
    return sizeof(*o) + o->id_n + o->json_n + o->more_n;
}

static void drop(struct object *o)
{
    bytes -= object_bytes(o);
    counts[o->kind]--;
    list_remove(&o->node);
    free(o);
}

static struct object *find(enum store_kind k, struct str id)
{
    list_each(&lists[k], it)
    {
        struct object *o = list_entry(it, struct object, node);
        if (str_eq(str_at(o->id, o->id_n), id))
            return o;
    }
    return NULL;
}

static void drop_oldest(void)
{
    struct object *oldest = NULL;
    for (unsigned i = 0; i < STORE_KINDS; i++) {
        struct object *o = list_entry(lists[i].prev, struct object, node);
        if (!list_empty(&lists[i]) && (!oldest || o->born < oldest->born))
            oldest = o;
    }
    must(oldest);
    drop(oldest);
}

static struct object *object_new(enum store_kind k, struct str id, struct str json, struct str more)
{
    struct object *o = malloc(sizeof(*o) + id.n + json.n + more.n);
    if (!o)
        return NULL;
    *o = (struct object){.kind = k, .id_n = id.n, .json_n = json.n, .more_n = more.n};
    o->id = (char *)(o + 1);
    o->json = o->id + id.n;
    o->more = o->json + json.n;
    memcpy(o->id, id.p, id.n);
    memcpy(o->json, json.p, json.n);
    if (more.n)
        memcpy(o->more, more.p, more.n);
    return o;
}

int store_put(enum store_kind k, struct str id, struct str json, struct str more)
{
    struct object *o = object_new(k, id, json, more);
    if (!o)
        return -ENOMEM;
    if (object_bytes(o) > STORE_BYTES) {
        free(o);
        return -ENOSPC;
    }
    pthread_mutex_lock(&lock);
    prepare();
    struct object *old = find(k, id);
    struct list *at = old ? old->node.next : lists[k].next; /* a new version keeps its place */
    o->born = old ? old->born : ++born;
    if (old)
        drop(old);
    list_insert_before(at, &o->node);
    counts[k]++;
    bytes += object_bytes(o);
    while (counts[k] > STORE_OBJECTS)
        drop(list_entry(lists[k].prev, struct object, node));
    while (bytes > STORE_BYTES)
        drop_oldest();
    pthread_mutex_unlock(&lock);
    return 0;
}

bool store_get(enum store_kind k, struct str id, struct buf *json, struct buf *more)
{
    pthread_mutex_lock(&lock);
    prepare();
    struct object *o = find(k, id);
    if (o && json)
        buf_add(json, o->json, o->json_n);
    if (o && more)
        buf_add(more, o->more, o->more_n);
    pthread_mutex_unlock(&lock);
    return o != NULL;
}

bool store_delete(enum store_kind k, struct str id)
{
    pthread_mutex_lock(&lock);
    prepare();
    struct object *o = find(k, id);
    if (o)
        drop(o);
    pthread_mutex_unlock(&lock);
    return o != NULL;
}

static void copy_id(char out[static 64], const struct object *o)
{
    size_t n = MIN(o->id_n, (size_t)63);
    memcpy(out, o->id, n);
    out[n] = '\0';
}

void store_list(
    enum store_kind k, struct str after, unsigned limit, struct buf *out, struct store_page *ret)
{
    *ret = (struct store_page){0};
    pthread_mutex_lock(&lock);
    prepare();
    bool on = after.n == 0;
    list_each(&lists[k], it)
    {
        struct object *o = list_entry(it, struct object, node);
        if (!on) {
            on = str_eq(str_at(o->id, o->id_n), after);
            continue;
        }
        if (ret->n == limit) {
            ret->more = true;
            break;
        }
        if (ret->n++ == 0)
            copy_id(ret->first, o);
        else
            buf_addc(out, ',');
        copy_id(ret->last, o);
        buf_add(out, o->json, o->json_n);
    }
    pthread_mutex_unlock(&lock);
}

void store_reset(void)
{
    pthread_mutex_lock(&lock);
    prepare();
    for (unsigned i = 0; i < STORE_KINDS; i++)
        while (!list_empty(&lists[i]))
            drop(list_entry(lists[i].next, struct object, node));
    pthread_mutex_unlock(&lock);
}
