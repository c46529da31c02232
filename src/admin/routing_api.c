/*
 * Routing over HTTP: fallback chains, tiers, the forced provider; what targets are doing; and which
 * target a call would take. Rules that are changed here last in the store (admin/routing_store.h)
 * and count on every node within a second.
 */
#include "admin/api_int.h"
#include "admin/routing_int.h"
#include "admin/rows.h"
#include "admin/settings.h"

#include <errno.h>
#include <stdio.h>

/* --- changing the store --- */

static int run_change(struct admin_call *c, const char *kind, struct str name, struct str value)
{
    struct store_batch *b = NULL;
    char err[STORE_ERR_BYTES] = "";
    const struct store_value v[] = {store_text(str_of(kind)), store_text(name), store_text(value),
        store_int(clock_wall()), store_text(c->who.actor)};
    int r = store_batch_new(&b);

    if (r == 0 && value.p)
        r = store_batch_add(b,
            "INSERT INTO routing (kind, name, value, updated_at, updated_by) "
            "VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (kind, name) DO UPDATE SET "
            "value = excluded.value, updated_at = excluded.updated_at, "
            "updated_by = excluded.updated_by",
            v, 5, 0);
    else if (r == 0)
        r = store_batch_add(
            b, "DELETE FROM routing WHERE kind = ?1 AND name = ?2", v, 2, STORE_EXPECT_ONE);
    if (r == 0)
        r = store_batch_add_change(b, ADMIN_SETTINGS_KIND, STR("routing"));
    if (r == 0)
        r = store_batch_run(c->env->store, b, err);
    store_batch_free(b);
    return r == 0 || r == -EAGAIN ? r : admin_store_fail(c, r, err);
}

/* value: p NULL takes it back; -EAGAIN: there was none. */
static int change(
    struct admin_call *c, const char *kind, struct str name, struct str value, const char *action)
{
    if (!c->env->store)
        return admin_store_fail(c, -EHOSTDOWN, NULL);
    int r = run_change(c, kind, name, value);
    if (r == 0)
        r = admin_audit(c, "policy_change", action, name.n ? name : str_of(kind), value);
    if (r == 0 && c->env->reload)
        c->env->reload();
    return r;
}

/* What a reader of rules refused. */
static int refused(struct admin_call *c, const struct error *e)
{
    c->error = *e;
    return -EREMOTEIO;
}

/* --- chains --- */

const struct admin_schema routing_chain_body = {
    .name = "Fallback_chain", .fields = route_chain_fields, .n = ROUTE_CHAIN_FIELDS};
static const struct field_row source_fields[] = {
    {"source", FIELD_TEXT, 0, 0, 0, 16, NULL, NULL, "file, or api.", NULL},
};
static const struct admin_schema source_schema = {
    NULL, source_fields, ARRAY_LEN(source_fields), 0, .more = NULL};
const struct admin_schema routing_chain_schema = {.name = "Fallback_chain_shown",
    .fields = route_chain_fields,
    .n = ROUTE_CHAIN_FIELDS,
    .more = &source_schema};

static void put_chain(struct buf *b, const struct route_chain *c)
{
    put_open(b, NULL, '{');
    route_chain_write(c, b);
    put_str(b, "source", c->from_file ? STR("file") : STR("api"));
    put_close(b, '}');
}

static int chains_page(struct admin_call *c, struct admin_page *p, void *ctx)
{
    const struct route_rules *r = &c->config->route.rules;
    uint64_t from = 0;
    (void)ctx;

    if (p->cursor.n && str_u64(p->cursor, &from) < 0)
        return admin_bad(c, "cursor", "cursor is not of this list.");
    unsigned i = (unsigned)MIN(from, (uint64_t)r->chains_n);
    for (unsigned n = 0; i < r->chains_n && n < p->limit; i++, n++)
        put_chain(p->items, &r->chains[i]);
    if (i < r->chains_n)
        p->next = arena_printf(&c->arena, "%u", i);
    return 0;
}

static int list_chains(struct admin_call *c)
{
    return admin_list(c, chains_page, NULL);
}

static int get_chain(struct admin_call *c)
{
    const struct route_chain *found = route_chain_find(&c->config->route.rules, admin_param(c, 0));

    if (!found)
        return admin_not_found(c, "fallback chain", admin_param(c, 0));
    put_chain(&c->out, found);
    return 0;
}

static int save_chain(struct admin_call *c)
{
    const struct route_rules *rules = &c->config->route.rules;
    struct route_chain chain;
    struct error e = {0};

    if (c->text.n > ROUTE_RULE_BYTES)
        return admin_fail(c, 413, "request_too_large", "A chain may have at most 64 KiB.");
    if (route_chain_parse(&c->config->route, c->text, &c->arena, &chain, &e) < 0)
        return refused(c, &e);
    if (rules->chains_n >= ROUTE_CHAINS_MAX && !route_chain_find(rules, chain.name))
        return admin_fail(
            c, 409, "too_many_chains", "There may be at most %d chains.", ROUTE_CHAINS_MAX);
    int r = change(c, ROUTING_CHAIN_KIND, chain.name, chain.text, "routing.chain.set");
    put_chain(&c->out, &chain);
    return r;
}

static int delete_chain(struct admin_call *c)
{
    struct str name = admin_param(c, 0);
    const struct route_chain *found = route_chain_find(&c->config->route.rules, name);
    int r = change(c, ROUTING_CHAIN_KIND, name, STR_NONE, "routing.chain.delete");

    if (r == -EAGAIN && found && found->from_file)
        return admin_fail(c, 409, "chain_of_file",
            "The chain is the configuration file's: take it out there, or set it inactive here.");
    if (r == -EAGAIN)
        return admin_not_found(c, "fallback chain", name);
    put_open(&c->out, NULL, '{');
    put_str(&c->out, "name", name);
    put_bool(&c->out, "deleted", true);
    put_close(&c->out, '}');
    return r;
}

/* --- tiers --- */

static int put_tiers(struct admin_call *c)
{
    const struct route_rules *r = &c->config->route.rules;
    bool own = r->tiers_n > 0;

    put_open(&c->out, NULL, '{');
    put_bool(&c->out, "changed", own);
    put_name(&c->out, "tiers");
    route_tiers_write(
        own ? r->tiers : route_builtin_tiers, own ? r->tiers_n : route_builtin_tiers_n, &c->out);
    put_close(&c->out, '}');
    return 0;
}

static int set_tiers(struct admin_call *c)
{
    const struct route_tier *tiers;
    struct error e = {0};
    unsigned n;

    int r = route_tiers_parse(&c->config->route, c->text, &c->arena, &tiers, &n, &e);
    if (r == -ENOMEM)
        return admin_fail(c, 500, "internal_error", "Out of memory.");
    if (r < 0)
        return refused(c, &e);
    r = change(c, ROUTING_TIERS_KIND, STR(""), c->text, "routing.tiers.set");
    put_open(&c->out, NULL, '{');
    put_bool(&c->out, "changed", true);
    put_name(&c->out, "tiers");
    route_tiers_write(tiers, n, &c->out);
    put_close(&c->out, '}');
    return r;
}

static int reset_tiers(struct admin_call *c)
{
    int r = change(c, ROUTING_TIERS_KIND, STR(""), STR_NONE, "routing.tiers.reset");

    put_open(&c->out, NULL, '{');
    put_bool(&c->out, "changed", false);
    put_name(&c->out, "tiers");
    route_tiers_write(route_builtin_tiers, route_builtin_tiers_n, &c->out);
    put_close(&c->out, '}');
    /* they may have been the built-in ones already */
    return r == -EAGAIN
               ? admin_audit(c, "policy_change", "routing.tiers.reset", STR("tiers"), STR_NONE)
               : r;
}

/* --- the forced provider --- */

#define FORCE_S     300
#define FORCE_MAX_S (7 * 86400)

struct force_body {
    struct str provider;
    int64_t seconds, minutes;
};
#define AT(member) offsetof(struct force_body, member)
static const struct field_row force_fields[] = {
    {"provider", FIELD_TEXT, FIELD_CREATE | FIELD_REQUIRED, AT(provider), 1, 32, NULL, NULL,
        "All calls that it can serve go there.", "\"anthropic\""},
    {"duration_seconds", FIELD_INT, FIELD_CREATE, AT(seconds), 0, FORCE_MAX_S, NULL, NULL,
        "For so long; 300 when not given.", "300"},
    {"ttl_minutes", FIELD_INT, FIELD_CREATE, AT(minutes), 0, FORCE_MAX_S / 60, NULL, NULL,
        "The same in minutes; 0 is one.", NULL},
};
#undef AT
static const struct admin_schema force_body = {
    "Force_provider", force_fields, ARRAY_LEN(force_fields), sizeof(struct force_body)};

static void put_forced(struct buf *b, struct str provider, int64_t until)
{
    put_open(b, NULL, '{');
    put_str_or_null(b, "provider", provider);
    put_str_or_null(b, "forced_provider", provider);
    put_time(b, "until", until);
    put_close(b, '}');
}

static int64_t seconds_of(const struct admin_call *c, const struct force_body *f)
{
    if (admin_gave(c, "duration_seconds") && f->seconds)
        return f->seconds;
    if (admin_gave(c, "ttl_minutes"))
        return 60 * MAX(f->minutes, 1);
    return FORCE_S;
}

static int force(struct admin_call *c)
{
    const struct force_body *f = c->body;
    const struct upstream *u = route_upstream(&c->config->route, f->provider);
    int64_t until = clock_wall() + seconds_of(c, f) * NS_PER_S;

    if (!u)
        return admin_bad(
            c, "provider", "provider: there is no provider '" STR_FMT "'.", STR_ARG(f->provider));
    if (!u->configured)
        return admin_bad(
            c, "provider", "provider: " STR_FMT " is not configured.", STR_ARG(f->provider));
    struct str value = arena_printf(&c->arena, "{\"provider\":\"" STR_FMT "\",\"until\":%lld}",
        STR_ARG(u->provider->id), (long long)until);
    int r = change(c, ROUTING_FORCE_KIND, STR(""), value, "routing.force");
    put_forced(&c->out, u->provider->id, until);
    return r;
}

static int release(struct admin_call *c)
{
    int r = change(c, ROUTING_FORCE_KIND, STR(""), STR_NONE, "routing.release");

    put_forced(&c->out, STR_NONE, 0);
    /* there may have been none */
    return r == -EAGAIN ? admin_audit(c, "policy_change", "routing.release", STR("force"), STR_NONE)
                        : r;
}

/* --- rows --- */

static const struct admin_schema tiers_body = {.name = "Tiers"};

static const struct admin_row rows[] = {
    {.method = HTTP_GET,
        .path = "/api/routing/fallback-chains",
        .may = MAY_VIEW,
        .handle = list_chains,
        .reply = &routing_chain_schema,
        .name = "fallback_chains",
        .list = true,
        .tag = "Routing",
        .summary = "Fallback chains, of the API and of the file"},
    {.method = HTTP_GET,
        .path = "/api/routing/fallback-chains/{name}",
        .may = MAY_VIEW,
        .handle = get_chain,
        .reply = &routing_chain_schema,
        .tag = "Routing",
        .summary = "One fallback chain"},
    {.method = HTTP_POST,
        .path = "/api/routing/fallback-chains",
        .may = MAY_ADMIN,
        .handle = save_chain,
        .body = &routing_chain_body,
        .reply = &routing_chain_schema,
        .name = "fallback_chain",
        .flags = ADMIN_CREATED | ADMIN_BODY_RAW,
        .tag = "Routing",
        .summary = "Make a fallback chain, or replace the one of that name"},
    {.method = HTTP_DELETE,
        .path = "/api/routing/fallback-chains/{name}",
        .may = MAY_ADMIN,
        .handle = delete_chain,
        .tag = "Routing",
        .summary = "Delete a fallback chain"},
    {.method = HTTP_GET,
        .path = "/api/routing/tiers",
        .may = MAY_SIGNED_IN,
        .scope = SCOPE_COMMON,
        .handle = put_tiers,
        .tag = "Routing",
        .summary = "Which models are of which tier, and who stands for it at each provider"},
    {.method = HTTP_PUT,
        .path = "/api/routing/tiers",
        .may = MAY_ADMIN,
        .handle = set_tiers,
        .body = &tiers_body,
        .flags = ADMIN_BODY_RAW | ADMIN_EXTRAS,
        .tag = "Routing",
        .summary = "Replace the table of tiers"},
    {.method = HTTP_DELETE,
        .path = "/api/routing/tiers",
        .may = MAY_ADMIN,
        .handle = reset_tiers,
        .tag = "Routing",
        .summary = "Go back to the built-in table of tiers"},
    {.method = HTTP_POST,
        .path = "/api/routing/force-provider",
        .may = MAY_ADMIN,
        .handle = force,
        .body = &force_body,
        .tag = "Routing",
        .summary = "Send all calls that a provider can serve to it, for a time"},
    {.method = HTTP_POST,
        .path = "/api/routing/override",
        .may = MAY_ADMIN,
        .handle = force,
        .body = &force_body,
        .tag = "Routing",
        .summary = "The same, by its other name"},
    {.method = HTTP_DELETE,
        .path = "/api/routing/force-provider",
        .may = MAY_ADMIN,
        .handle = release,
        .tag = "Routing",
        .summary = "No longer force a provider"},
    {.method = HTTP_GET,
        .path = "/api/routing/status",
        .may = MAY_SIGNED_IN,
        .scope = SCOPE_COMMON,
        .handle = routing_status,
        .tag = "Routing",
        .summary = "Where calls go, and how each target does"},
    {.method = HTTP_GET,
        .path = "/api/routing/performance",
        .may = MAY_VIEW,
        .handle = routing_performance,
        .query = &routing_performance_query,
        .reply = &routing_performance_schema,
        .name = "performance",
        .list = true,
        .tag = "Routing",
        .summary = "How each provider's models have been doing"},
    {.method = HTTP_POST,
        .path = "/api/routing/simulate",
        .may = MAY_VIEW,
        .handle = routing_simulate,
        .body = &routing_simulate_body,
        .flags = ADMIN_UNRECORDED,
        .tag = "Routing",
        .summary = "Which target a call would take, and why not the others"},
};
const struct admin_rows admin_routing_rows = {rows, ARRAY_LEN(rows)};
