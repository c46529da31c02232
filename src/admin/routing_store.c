/* See admin/routing_store.h. */
#include "admin/routing_store.h"

#include "route/route.h"
#include "json/scan.h"

#include <errno.h>

int admin_routing_load(struct store *s, struct store_rows **ret, char *err)
{
    return store_query(
        s, "SELECT kind, name, value FROM routing ORDER BY kind, name", NULL, 0, ret, err);
}

struct laying {
    struct config *c;
    void (*problem)(void *ctx, struct str kind, struct str name, struct str why);
    void *ctx;
    struct route_chain *chains; /* those of the file, and room for the store's */
    unsigned n;
};

/* In place of the one of that name, or behind the others. */
static void put_chain(struct laying *l, const struct route_chain *c)
{
    unsigned i = 0;

    while (i < l->n && !str_eq(l->chains[i].name, c->name))
        i++;
    l->chains[i] = *c;
    l->n = MAX(l->n, i + 1);
}

static int apply_chain(struct laying *l, struct str value, struct error *e)
{
    struct route_chain c;
    int r = route_chain_parse(&l->c->route, value, &l->c->arena, &c, e);

    if (r == 0)
        put_chain(l, &c);
    return r;
}

static int apply_tiers(struct laying *l, struct str value, struct error *e)
{
    struct route_rules *r = &l->c->route.rules;
    const struct route_tier *tiers;
    unsigned n;
    int e2 = route_tiers_parse(&l->c->route, value, &l->c->arena, &tiers, &n, e);

    if (e2 < 0)
        return e2;
    r->tiers = tiers;
    r->tiers_n = n;
    r->tiers_changed = true;
    return 0;
}

static int apply_force(struct laying *l, struct str value, struct error *e)
{
    struct route_rules *r = &l->c->route.rules;
    struct str name = json_find(value, STR("provider"));
    uint64_t until = 0;

    (void)json_u64(json_find(value, STR("until")), &until);
    const struct upstream *u =
        name.n > 2 ? route_upstream(&l->c->route, str_at(name.p + 1, name.n - 2)) : NULL;
    if (!u) {
        e->message = STR("there is no such provider");
        return -EINVAL;
    }
    r->forced = u;
    r->forced_until = (int64_t)until;
    return 0;
}

static void apply_row(struct laying *l, struct str kind, struct str name, struct str value)
{
    struct error e = {0};
    int r = 0;

    if (str_eq(kind, STR(ROUTING_CHAIN_KIND)))
        r = apply_chain(l, value, &e);
    else if (str_eq(kind, STR(ROUTING_TIERS_KIND)))
        r = apply_tiers(l, value, &e);
    else if (str_eq(kind, STR(ROUTING_FORCE_KIND)))
        r = apply_force(l, value, &e);
    if (r < 0)
        l->problem(l->ctx, kind, name, e.message);
}

void admin_routing_apply(const struct store_rows *rows, struct config *c,
    void (*problem)(void *ctx, struct str kind, struct str name, struct str why), void *ctx)
{
    struct route_rules *r = &c->route.rules;
    unsigned n = store_rows_n(rows);
    struct laying l = {.c = c, .problem = problem, .ctx = ctx, .n = r->chains_n};

    l.chains = arena_alloc(&c->arena, (r->chains_n + n + 1) * sizeof *l.chains);
    if (!l.chains)
        return;
    if (l.n)
        memcpy(l.chains, r->chains, l.n * sizeof *l.chains);
    for (unsigned i = 0; i < n; i++)
        apply_row(
            &l, store_cell_str(rows, i, 0), store_cell_str(rows, i, 1), store_cell_str(rows, i, 2));
    r->chains = l.chains;
    r->chains_n = l.n;
}
