/*
 * Who guesses administrators' credentials. A table of fixed size, one for all threads, counts the
 * wrong ones from an address (of IPv6 from a /64) within a minute. After GUARD_FREE of them the
 * address has to wait for the minute to end, and its credentials are not even looked at: an
 * operator may have chosen an admin key that can be guessed, and a token costs a query. A long
 * admin key cannot be guessed and is let through nevertheless (auth.c), so that nobody behind the
 * same address can lock its owner out; sessions are, too.
 */
#include "admin/api_int.h"
#include "base/map.h"

#include <netinet/in.h>
#include <pthread.h>

#define GUARD_FREE   20
#define GUARD_SLOTS  1024
#define GUARD_WAYS   4
#define GUARD_WINDOW (60 * NS_PER_S)

struct guesser {
    uint64_t who; /* keyed hash of the address; 0 = free */
    int64_t since;
    unsigned failures;
};

static struct guesser table[GUARD_SLOTS / GUARD_WAYS][GUARD_WAYS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static uint64_t name_of(const struct net_addr *a)
{
    if (a->sa.sa_family == AF_INET6)
        return map_hash(str_at((const char *)&a->in6.sin6_addr,
                   IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr) ? 16 : 8)) |
               1;
    return map_hash(str_at((const char *)&a->in4.sin_addr, 4)) | 1;
}

/* The slot of an address: its own, else NULL; with make: a free or old one, else the quietest. */
static struct guesser *slot(uint64_t who, int64_t now, bool make)
{
    struct guesser *set = table[(who >> 1) % (GUARD_SLOTS / GUARD_WAYS)], *best = set;

    for (unsigned i = 0; i < GUARD_WAYS; i++) {
        bool old = now - set[i].since >= GUARD_WINDOW;
        if (set[i].who == who && !old)
            return &set[i];
        if (!set[i].who || old)
            best = &set[i];
        else if (best->who && now - best->since < GUARD_WINDOW && set[i].failures < best->failures)
            best = &set[i];
    }
    if (!make)
        return NULL;
    *best = (struct guesser){.who = who, .since = now};
    return best;
}

int admin_guard_wait(const struct net_addr *from)
{
    int64_t now = clock_now();
    int wait = 0;

    pthread_mutex_lock(&lock);
    const struct guesser *g = slot(name_of(from), now, false);
    if (g && g->failures >= GUARD_FREE)
        wait = (int)((g->since + GUARD_WINDOW - now + NS_PER_S - 1) / NS_PER_S);
    pthread_mutex_unlock(&lock);
    return wait;
}

void admin_guard_failed(const struct net_addr *from)
{
    pthread_mutex_lock(&lock);
    slot(name_of(from), clock_now(), true)->failures++;
    pthread_mutex_unlock(&lock);
}

void admin_guard_reset(void)
{
    pthread_mutex_lock(&lock);
    memset(table, 0, sizeof table);
    pthread_mutex_unlock(&lock);
}
