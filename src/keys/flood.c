/*
 * Who guesses keys. A small table counts the unknown keys from one address (of IPv6 from one /64)
 * in a minute; beyond FLOOD_FREE each further unknown one is told to wait. The table has a fixed
 * size: an address that is crowded out begins anew, which costs a guesser an address for each
 * FLOOD_FREE guesses at 48 hex digits. Good keys are never asked for here, so that those behind
 * one address do not suffer from each other.
 *
 * All threads share it, as one guesser's connections are spread over them, under a mutex that is
 * held for a look at four places.
 */
#include "base/macros.h"
#include "base/map.h"
#include "keys/catalog_int.h"
#include "net/dial.h"

#include <pthread.h>

#define SETS   512
#define WAYS   4
#define WINDOW (60 * NS_PER_S)

struct guesser {
    uint64_t who;  /* keyed hash of the address; 0 = free */
    int64_t since; /* monotonic */
    unsigned guesses;
};

static struct guesser table[SETS][WAYS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static uint64_t hash_of(const struct net_addr *a)
{
    struct str bytes;

    if (a->sa.sa_family == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr))
        bytes = str_at((const char *)&a->in6.sin6_addr, 8);
    else if (a->sa.sa_family == AF_INET6)
        bytes = str_at((const char *)&a->in6.sin6_addr + 12, 4);
    else
        bytes = str_at((const char *)&a->in4.sin_addr, 4);
    return map_hash(bytes) | 1;
}

static struct guesser *find(uint64_t who, int64_t now)
{
    struct guesser *set = table[who / 2 % SETS];

    for (unsigned i = 0; i < WAYS; i++)
        if (set[i].who == who && now - set[i].since < WINDOW)
            return &set[i];
    return NULL;
}

/* The place of an address that is not there: a free or old one, else the one with fewest guesses.
 */
static struct guesser *place(uint64_t who, int64_t now)
{
    struct guesser *set = table[who / 2 % SETS], *best = &set[0];

    for (unsigned i = 0; i < WAYS; i++) {
        if (!set[i].who || now - set[i].since >= WINDOW || set[i].who == who)
            return &set[i];
        if (set[i].guesses < best->guesses)
            best = &set[i];
    }
    return best;
}

static int guess(uint64_t who, int64_t now)
{
    struct guesser *g = find(who, now);

    if (!g) {
        g = place(who, now);
        *g = (struct guesser){.who = who, .since = now};
    }
    if (g->guesses >= FLOOD_FREE)
        return (int)((g->since + WINDOW - now + NS_PER_S - 1) / NS_PER_S);
    g->guesses++;
    return 0;
}

int flood_guess(const struct net_addr *from, int64_t now)
{
    uint64_t who = hash_of(from);

    pthread_mutex_lock(&lock);
    int wait = guess(who, now);
    pthread_mutex_unlock(&lock);
    return wait;
}
