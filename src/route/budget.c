/* See route/budget.h. */
#include "route/budget.h"

#include <stdio.h>

#define DAY_NS    (24 * 3600 * NS_PER_S)
#define SEEN_MAX_ 64

static struct shared *shared;

/* What this process last saw; one a row of the provider table. */
static struct seen {
    int64_t day, nano;
} seen[SEEN_MAX_];

void route_budget_use(struct shared *s)
{
    shared = s;
    memset(seen, 0, sizeof seen);
}

struct str route_budget_counter(
    struct str provider, int64_t wall, char room[static ROUTE_COUNTER_BYTES], int64_t *ret_end)
{
    int64_t day = wall / DAY_NS;
    int n = snprintf(room, ROUTE_COUNTER_BYTES, "pb:{" STR_FMT "}:d%lld", (int)MIN(provider.n, 32),
        provider.p, (long long)day);

    *ret_end = (day + 1) * DAY_NS;
    return str_at(room, (size_t)n);
}

static struct seen *seen_of(struct str provider)
{
    unsigned n;
    const struct provider *table = provider_table(&n);

    for (unsigned i = 0; i < n && i < SEEN_MAX_; i++)
        if (str_eq(table[i].id, provider))
            return &seen[i];
    return NULL;
}

static void see(struct seen *s, int64_t day, int64_t nano)
{
    __atomic_store_n(&s->nano, nano, __ATOMIC_RELAXED);
    __atomic_store_n(&s->day, day, __ATOMIC_RELEASE);
}

int64_t route_budget_used(struct str provider, int64_t wall)
{
    struct seen *s = seen_of(provider);

    if (!s || __atomic_load_n(&s->day, __ATOMIC_ACQUIRE) != wall / DAY_NS)
        return 0;
    return __atomic_load_n(&s->nano, __ATOMIC_RELAXED);
}

bool route_budget_spent(const struct route_rules *r, struct str provider, int64_t wall)
{
    const struct route_budget *b = r->budgets_n ? route_budget_of(r, provider) : NULL;

    return b && route_budget_used(provider, wall) >= b->nano;
}

void route_budget_add(struct str provider, int64_t nano, int64_t wall)
{
    struct seen *s = seen_of(provider);
    char room[ROUTE_COUNTER_BYTES];
    int64_t end;
    struct shared_change c = {
        .name = route_budget_counter(provider, wall, room, &end), .use = nano};

    if (!s || nano <= 0)
        return;
    c.expires_at = end;
    if (shared)
        shared_settle(shared, &c, 1);
    if (__atomic_load_n(&s->day, __ATOMIC_ACQUIRE) != wall / DAY_NS)
        see(s, wall / DAY_NS, nano);
    else
        __atomic_fetch_add(&s->nano, nano, __ATOMIC_RELAXED);
}

void route_budget_refresh(const struct route_rules *r)
{
    int64_t wall = clock_wall(), end, used, held;
    char room[ROUTE_COUNTER_BYTES];

    for (unsigned i = 0; shared && i < r->budgets_n; i++) {
        struct str provider = r->budgets[i].provider;
        struct str name = route_budget_counter(provider, wall, room, &end);
        struct seen *s = seen_of(provider);
        (void)shared_total(shared, name, &used, &held); /* away: what was last seen */
        if (s)
            see(s, wall / DAY_NS, used);
    }
}
