/* Sums by name, added up row by row. See ledger/analytics.h. */
#include "ledger/analytics.h"

#include "base/macros.h"

#include <errno.h>
#include <stdlib.h>

void usage_groups_init(struct usage_groups *g, struct arena *a)
{
    *g = (struct usage_groups){.arena = a};
    map_init(&g->by_name);
}

void usage_groups_free(struct usage_groups *g)
{
    map_free(&g->by_name);
    free(g->at);
}

static int add_group(struct usage_groups *g, struct str name, const struct usage_total *t)
{
    struct str own = name.n ? arena_dup(g->arena, name) : STR("");

    if (g->n == g->cap) {
        unsigned cap = g->cap ? 2 * g->cap : 64;
        struct usage_group *more = realloc(g->at, cap * sizeof *more);
        if (!more)
            return -ENOMEM;
        g->at = more;
        g->cap = cap;
    }
    if (!own.p)
        return -ENOMEM;
    g->at[g->n++] = (struct usage_group){.value = own, .total = *t};
    return map_put(&g->by_name, own, (void *)(uintptr_t)g->n, NULL);
}

int usage_groups_add(struct usage_groups *g, struct str name, const struct usage_total *t)
{
    uintptr_t known = (uintptr_t)map_get(&g->by_name, name);

    if (!known)
        return add_group(g, name, t);
    usage_total_add(&g->at[known - 1].total, t);
    return 0;
}

static int compare(const void *a, const void *b)
{
    const struct usage_group *x = a, *y = b;

    if (x->total.cost != y->total.cost)
        return x->total.cost < y->total.cost ? 1 : -1;
    if (x->total.calls != y->total.calls)
        return x->total.calls < y->total.calls ? 1 : -1;
    int c = memcmp(x->value.p, y->value.p, MIN(x->value.n, y->value.n));
    return c ? c : (x->value.n > y->value.n) - (x->value.n < y->value.n);
}

/* Nothing is added any more: the names lead to other places now. */
void usage_groups_sort(struct usage_groups *g)
{
    if (g->n)
        qsort(g->at, g->n, sizeof *g->at, compare);
    map_free(&g->by_name);
}
