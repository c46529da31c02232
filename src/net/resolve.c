/*
 * Name look-up: literal → cache → getaddrinfo() on the offload pool.
 *
 * The cache is one for the process, behind a mutex that is held only to copy an answer. Answers
 * live 30 s, failures 2 s, so that a flood of requests to a dead name does not become a flood of
 * DNS queries; the oldest answer makes room when 4,096 names are held.
 *
 * A look-up in flight is a struct lookup in a list of its thread. It runs in a coroutine of its
 * own, so that a caller who is cancelled or runs out of time does not take it away from the others,
 * and it is counted: the last one to hold it frees it.
 *
 * Suspends: dial_resolve(), in event_wait().
 */
#include "base/limits.h"
#include "base/macros.h"
#include "base/map.h"
#include "net/net_int.h"
#include "runtime/offload.h"
#include "runtime/sync.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define CACHE_NAMES 4096
#define GOOD_NS     (30 * NS_PER_S)
#define BAD_NS      (2 * NS_PER_S)
#define JOB_NS      (60 * NS_PER_S) /* the resolver gives up long before */

/* What is known of a name. n < 0 is an errno. */
struct answer {
    int n;
    struct net_addr addrs[ADDRS_MOST];
};

/* --- cache ------------------------------------------------------------------------------------ */

struct entry {
    struct list age; /* oldest first */
    int64_t expires;
    int n;
    struct str name; /* in the memory behind addrs */
    struct net_addr addrs[];
};

static struct {
    pthread_mutex_t lock;
    struct map names;
    struct list age;
} cache = {.lock = PTHREAD_MUTEX_INITIALIZER};

static pthread_once_t cache_once = PTHREAD_ONCE_INIT;

static void cache_init(void)
{
    map_init(&cache.names);
    list_init(&cache.age);
}

static struct entry *entry_new(
    struct str name, const struct net_addr *addrs, int n, int64_t expires)
{
    size_t addr_bytes = n > 0 ? (size_t)n * sizeof(*addrs) : 0;
    struct entry *e = malloc(sizeof(*e) + addr_bytes + name.n);
    if (!e)
        return NULL;
    *e =
        (struct entry){.expires = expires, .n = n, .name = {(char *)e->addrs + addr_bytes, name.n}};
    list_init(&e->age);
    if (addr_bytes > 0)
        memcpy(e->addrs, addrs, addr_bytes);
    memcpy((char *)e->addrs + addr_bytes, name.p, name.n);
    return e;
}

static void evict_locked(struct entry *e)
{
    map_del(&cache.names, e->name);
    list_remove(&e->age);
    free(e);
}

int resolve_cache_put(struct str name, const struct net_addr *addrs, int n, int64_t expires)
{
    pthread_once(&cache_once, cache_init);
    struct entry *e = entry_new(name, addrs, MIN(n, ADDRS_MOST), expires);
    if (!e)
        return -ENOMEM;
    pthread_mutex_lock(&cache.lock);
    struct entry *old = map_get(&cache.names, name);
    if (old)
        evict_locked(old);
    if (cache.names.n >= CACHE_NAMES)
        evict_locked(list_entry(cache.age.next, struct entry, age));
    int r = map_put(&cache.names, e->name, e, NULL);
    if (r >= 0)
        list_push_back(&cache.age, &e->age);
    pthread_mutex_unlock(&cache.lock);
    if (r < 0)
        free(e);
    return r;
}

void resolve_cache_clear(void)
{
    pthread_once(&cache_once, cache_init);
    pthread_mutex_lock(&cache.lock);
    list_each(&cache.age, it) evict_locked(list_entry(it, struct entry, age));
    map_free(&cache.names);
    map_init(&cache.names);
    pthread_mutex_unlock(&cache.lock);
}

size_t resolve_cache_names(void)
{
    pthread_once(&cache_once, cache_init);
    pthread_mutex_lock(&cache.lock);
    size_t n = cache.names.n;
    pthread_mutex_unlock(&cache.lock);
    return n;
}

static bool cache_get(struct str name, struct answer *ret)
{
    int64_t now = clock_now();
    pthread_once(&cache_once, cache_init);
    pthread_mutex_lock(&cache.lock);
    struct entry *e = map_get(&cache.names, name);
    bool found = e && e->expires > now;
    if (found) {
        ret->n = e->n;
        if (e->n > 0)
            memcpy(ret->addrs, e->addrs, (size_t)e->n * sizeof(e->addrs[0]));
    } else if (e) {
        evict_locked(e);
    }
    pthread_mutex_unlock(&cache.lock);
    return found;
}

/* --- the blocking part, on a pool thread ------------------------------------------------------ */

struct job {
    char name[NAME_MOST];
    struct answer answer;
};

static _Atomic uint64_t jobs;

uint64_t resolve_jobs(void)
{
    return atomic_load(&jobs);
}

static int gai_errno(int gai)
{
    switch (gai) {
    case EAI_NONAME:
    case EAI_NODATA:
    case EAI_ADDRFAMILY:
        return -ENOENT;
    case EAI_MEMORY:
        return -ENOMEM;
    case EAI_SYSTEM:
        return errno > 0 ? -errno : -EIO;
    default:
        return -EIO; /* the name server failed or did not answer */
    }
}

static int job_run(void *data)
{
    struct job *j = data;
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *list = NULL;
    atomic_fetch_add(&jobs, 1);
    int gai = getaddrinfo(j->name, NULL, &hints, &list);
    if (gai != 0) {
        j->answer.n = gai_errno(gai);
        return 1;
    }
    int n = 0;
    for (struct addrinfo *i = list; i && n < ADDRS_MOST; i = i->ai_next) {
        if (i->ai_family != AF_INET && i->ai_family != AF_INET6)
            continue;
        struct net_addr *a = &j->answer.addrs[n++];
        a->len = i->ai_addrlen;
        memcpy(&a->in6, i->ai_addr, MIN(i->ai_addrlen, sizeof(a->in6)));
    }
    freeaddrinfo(list);
    j->answer.n = n > 0 ? n : -ENOENT;
    return 1;
}

/* --- look-ups in flight, per thread ----------------------------------------------------------- */

struct lookup {
    struct list link;
    unsigned refs;
    struct event done;
    char name[NAME_MOST];
    size_t name_n;
    struct answer answer;
};

static _Thread_local struct list in_flight;

static void lookup_unref(struct lookup *l)
{
    if (--l->refs == 0)
        free(l);
}

static int lookup_run(struct lookup *l)
{
    struct job *j = calloc(1, sizeof(*j));
    if (!j)
        return -ENOMEM;
    memcpy(j->name, l->name, l->name_n + 1);
    int r = offload_run(job_run, j, free, clock_now() + JOB_NS);
    if (r == 1) {
        l->answer = j->answer;
        int64_t keep = l->answer.n > 0 ? GOOD_NS : BAD_NS;
        (void)resolve_cache_put(
            str_at(l->name, l->name_n), l->answer.addrs, l->answer.n, clock_now() + keep);
    }
    if (r == 1 || r == -EAGAIN) /* else the pool still has it */
        free(j);
    return r == 1 ? l->answer.n : r;
}

static void lookup_main(void *arg)
{
    struct lookup *l = arg;
    l->answer.n = lookup_run(l);
    list_remove(&l->link);
    event_set(&l->done);
    lookup_unref(l);
}

static struct lookup *lookup_find(struct str name)
{
    if (!in_flight.next)
        list_init(&in_flight);
    list_each(&in_flight, it)
    {
        struct lookup *l = list_entry(it, struct lookup, link);
        if (str_eq(str_at(l->name, l->name_n), name))
            return l;
    }
    return NULL;
}

static int lookup_start(struct str name, struct lookup **ret)
{
    struct lookup *l = calloc(1, sizeof(*l));
    if (!l)
        return -ENOMEM;
    memcpy(l->name, name.p, name.n);
    l->name_n = name.n;
    event_init(&l->done);
    list_push_back(&in_flight, &l->link);
    l->refs = 1; /* the coroutine's */
    int r = co_spawn("resolve", lookup_main, l, NULL);
    if (r < 0) {
        list_remove(&l->link);
        lookup_unref(l);
        return r;
    }
    *ret = l;
    return 0;
}

static int lookup_join(struct str name, int64_t deadline, struct answer *ret)
{
    struct lookup *l = lookup_find(name);
    int r = l ? 0 : lookup_start(name, &l);
    if (r < 0)
        return r;
    l->refs++;
    r = event_wait(&l->done, deadline);
    if (r >= 0) {
        *ret = l->answer;
        r = 0;
    }
    lookup_unref(l);
    return r;
}

/* --- the entrance ----------------------------------------------------------------------------- */

bool resolve_name_ok(struct str host)
{
    if (host.n == 0 || host.n >= NAME_MOST)
        return false;
    for (size_t i = 0; i < host.n; i++) {
        char c = host.p[i];
        bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!alnum && c != '.' && c != '-' && c != '_' && c != ':')
            return false;
    }
    return true;
}

static struct str lower(struct str s, char *out)
{
    for (size_t i = 0; i < s.n; i++)
        out[i] = s.p[i] >= 'A' && s.p[i] <= 'Z' ? (char)(s.p[i] | 0x20) : s.p[i];
    return str_at(out, s.n);
}

static void set_port(struct net_addr *a, uint16_t port)
{
    if (a->sa.sa_family == AF_INET)
        a->in4.sin_port = htons(port);
    else
        a->in6.sin6_port = htons(port);
}

int dial_resolve(
    struct str host, uint16_t port, struct net_addr *out, unsigned max, int64_t deadline)
{
    must(max > 0);
    if (net_addr_parse(host, port, out))
        return 1;
    if (!resolve_name_ok(host))
        return -EINVAL;
    char lowered[NAME_MOST];
    struct str name = lower(host, lowered);
    struct answer a;
    if (!cache_get(name, &a)) {
        int r = lookup_join(name, deadline, &a);
        if (r < 0)
            return r;
    }
    if (a.n < 0)
        return a.n;
    unsigned n = MIN((unsigned)a.n, max);
    for (unsigned i = 0; i < n; i++) {
        out[i] = a.addrs[i];
        set_port(&out[i], port);
    }
    return (int)n;
}
