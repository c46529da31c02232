/*
 * Routing's lists: chains, deployments and tiers of the file, and daily budgets of providers. What
 * they may say is checked by the readers that the management API uses, too (route/rules.h).
 */
#include "config/settings_int.h"
#include "keys/record.h"
#include "route/route.h"

#include <errno.h>
#include <stdlib.h>

static struct str value_of(struct loader *l, const char *name, unsigned *ret_line)
{
    const struct found *f = loader_get(l, str_of(name));

    *ret_line = f ? f->line : 0;
    return f ? f->value : STR_NONE;
}

static void complain(struct loader *l, unsigned line, const char *what, const struct error *e)
{
    loader_problem(l, line, "%s%s" STR_FMT ": " STR_FMT, what, e->param.n ? ": " : "",
        STR_ARG(e->param), STR_ARG(e->message));
}

static unsigned count_rows(const struct loader *l, enum routing_kind kind)
{
    unsigned n = 0;

    for (const struct routing_row *row = l->routing; row; row = row->next)
        n += row->kind == kind;
    return n;
}

/* --- deployments --- */

struct deployment_body {
    struct str name, provider, base_url, api_key;
};
#define AT(member) offsetof(struct deployment_body, member)
static const struct field_row deployment_fields[] = {
    {"name", FIELD_TEXT, FIELD_CREATE | FIELD_REQUIRED, AT(name), 1, ROUTE_WHERE_BYTES, NULL, NULL,
        "What targets call it.", NULL},
    {"provider", FIELD_TEXT, FIELD_CREATE | FIELD_REQUIRED, AT(provider), 1, 32, NULL, NULL,
        "What it speaks.", NULL},
    {"base_url", FIELD_TEXT, FIELD_CREATE, AT(base_url), 0, 1024, NULL, NULL,
        "Where it is; empty: where the provider is.", NULL},
    {"api_key", FIELD_TEXT, FIELD_CREATE, AT(api_key), 0, 4096, NULL, NULL,
        "Its key; empty: the provider's own.", NULL},
};
#undef AT

static int copy_keys(struct upstream *to, const struct upstream *from)
{
    int r = 0;

    for (unsigned i = 0; from->keys && i < from->keys->n && r == 0; i++)
        r = upstream_add_key(to, from->keys->at[i].id, secret_reveal(&from->keys->at[i].key),
            from->keys->at[i].weight);
    return r;
}

static int set_deployment(struct loader *l, const struct deployment_body *b, unsigned line,
    struct route_deployment *d, struct error *e)
{
    const struct upstream *u = route_upstream(&l->c->route, b->provider);

    if (!u) {
        *e = (struct error){.param = STR("provider"), .message = STR("There is no such provider.")};
        return -EINVAL;
    }
    d->name = b->name;
    d->upstream = *u;
    d->upstream.keys = NULL;
    if ((b->api_key.n ? upstream_add_key(&d->upstream, UPSTREAM_KEY_ENV, b->api_key, 1)
                      : copy_keys(&d->upstream, u)) < 0)
        return -ENOMEM;
    d->upstream.configured =
        (d->upstream.keys || !u->provider->key_env.n || !u->provider->base.n) &&
        (b->base_url.n || u->base_path.p || u->origin.host_header.n);
    if (b->base_url.n)
        loader_base(l, &d->upstream, b->base_url, true, b->name, line);
    return 0;
}

static void load_deployments(struct loader *l)
{
    struct route_rules *r = &l->c->route.rules;
    unsigned n = count_rows(l, ROUTING_DEPLOYMENT);
    struct route_deployment *list = arena_zalloc(&l->c->arena, (n + 1) * sizeof *list);

    r->deployments = list;
    for (const struct routing_row *row = l->routing; row && list; row = row->next) {
        struct deployment_body b = {0};
        struct error e = {0};
        uint64_t given;
        if (row->kind != ROUTING_DEPLOYMENT)
            continue;
        if (r->deployments_n == ROUTE_DEPLOYMENTS_MAX) {
            loader_problem(
                l, row->line, "there may be at most %d deployments", ROUTE_DEPLOYMENTS_MAX);
            break;
        }
        if (fields_parse(deployment_fields, ARRAY_LEN(deployment_fields), FIELD_CREATE, row->json,
                &b, &given, &l->c->arena, &e) < 0 ||
            set_deployment(l, &b, row->line, &list[r->deployments_n], &e) < 0)
            complain(l, row->line, "a deployment", &e);
        else
            r->deployments_n++;
    }
}

/* --- chains, tiers --- */

static void load_chains(struct loader *l)
{
    struct route_rules *r = &l->c->route.rules;
    unsigned n = count_rows(l, ROUTING_CHAIN);
    struct route_chain *list = arena_zalloc(&l->c->arena, (n + 1) * sizeof *list);

    for (const struct routing_row *row = l->routing; row && list; row = row->next) {
        struct error e = {0};
        if (row->kind != ROUTING_CHAIN)
            continue;
        if (r->chains_n == ROUTE_CHAINS_MAX) {
            loader_problem(l, row->line, "there may be at most %d chains", ROUTE_CHAINS_MAX);
            break;
        }
        struct route_chain *c = &list[r->chains_n];
        if (route_chain_parse(&l->c->route, row->json, &l->c->arena, c, &e) < 0) {
            complain(l, row->line, "a chain", &e);
            continue;
        }
        c->from_file = true;
        r->chains_n++;
    }
    r->chains = list;
}

static void load_tiers(struct loader *l)
{
    struct route_rules *r = &l->c->route.rules;
    _cleanup_(buf_free) struct buf all = {0};
    struct error e = {0};
    unsigned line = 0;

    if (!count_rows(l, ROUTING_TIER))
        return;
    buf_init(&all, 16 * ROUTE_RULE_BYTES);
    for (const struct routing_row *row = l->routing; row; row = row->next) {
        if (row->kind != ROUTING_TIER)
            continue;
        line = line ? line : row->line;
        buf_addc(&all, all.n ? ',' : '[');
        buf_addstr(&all, row->json);
    }
    buf_addc(&all, ']');
    if (route_tiers_parse(&l->c->route, buf_str(&all), &l->c->arena, &r->tiers, &r->tiers_n, &e) <
        0)
        complain(l, line, "tiers", &e);
    else
        r->tiers_changed = true;
}

/* --- numbers --- */

#define LCR_THRESHOLD 500 /* thousandths */

static void load_threshold(struct loader *l)
{
    unsigned line, *threshold = &l->c->route.rules.lcr.threshold;
    struct str text = value_of(l, "SMARTFLOW_LCR_THRESHOLD", &line);

    *threshold = LCR_THRESHOLD;
    if (text.n && lcr_threshold_parse(text, threshold) < 0)
        loader_problem(l, line, "SMARTFLOW_LCR_THRESHOLD must be a number from 0 to 1");
}

static void load_budgets(struct loader *l)
{
    struct route_rules *r = &l->c->route.rules;
    struct error e = {0};
    unsigned line;
    struct str text = value_of(l, "SMARTFLOW_PROVIDER_BUDGETS", &line);

    if (text.n &&
        route_budgets_parse(&l->c->route, text, &l->c->arena, &r->budgets, &r->budgets_n, &e) < 0)
        complain(l, line, "SMARTFLOW_PROVIDER_BUDGETS", &e);
}

static void check_lcr(struct loader *l)
{
    const struct lcr_settings *s = &l->c->route.rules.lcr;

    if (s->efficient_provider.n && !route_upstream(&l->c->route, s->efficient_provider))
        loader_problem(l, 0, "SMARTFLOW_LCR_EFFICIENT_PROVIDER: there is no provider '" STR_FMT "'",
            STR_ARG(s->efficient_provider));
    struct str rest;
    if (s->efficient_model.n && !s->efficient_provider.n &&
        !route_by_name(s->efficient_model, &rest))
        loader_problem(l, 0,
            "SMARTFLOW_LCR_EFFICIENT_MODEL: no provider is known for '" STR_FMT
            "': set SMARTFLOW_LCR_EFFICIENT_PROVIDER",
            STR_ARG(s->efficient_model));
}

void loader_routing(struct loader *l)
{
    if (!l->c->route.upstreams)
        return;
    load_budgets(l);
    load_threshold(l);
    check_lcr(l);
    load_tiers(l);
    load_deployments(l);
    load_chains(l);
}

void loader_routing_free(struct config *c)
{
    for (unsigned i = 0; i < c->route.rules.deployments_n; i++)
        upstream_keys_free(&c->route.rules.deployments[i].upstream);
}

void loader_routing_inherit(struct config *c, const struct config *was)
{
    for (unsigned i = 0; i < c->route.rules.deployments_n; i++) {
        struct route_deployment *d = &c->route.rules.deployments[i];
        const struct route_deployment *old = route_deployment_find(&was->route.rules, d->name);
        if (old)
            upstream_keys_inherit(&d->upstream, &old->upstream);
    }
}
