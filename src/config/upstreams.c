/*
 * From variables to upstreams: one per row of the provider table, in its order. A provider counts
 * as configured when it has a key (its variable, or the vault's), or needs none and has a base URL.
 */
#include "config/settings_int.h"

#include <stdlib.h>

static struct str value_of(struct loader *l, struct str name)
{
    const struct found *f = name.n ? loader_get(l, name) : NULL;

    return f ? f->value : STR_NONE;
}

/* One client context for all providers, made when one needs TLS. */
static struct tls_ctx *client_tls(struct loader *l)
{
    struct config *c = l->c;
    struct tls_client_settings set = {
        .ca_file = c->upstream_ca,
        .cert_file = c->upstream_cert,
        .key_file = c->upstream_cert_key,
    };
    char err[256];

    if (!c->upstream_tls && tls_client_ctx(&set, &c->upstream_tls, err, sizeof err) < 0) {
        loader_problem(l, 0, "TLS towards providers: %s", err);
        return NULL;
    }
    return c->upstream_tls;
}

/* The TLS context costs memory and time: only providers that can be called get one. */
void loader_base(struct loader *l, struct upstream *u, struct str base, bool called,
    struct str name, unsigned line)
{
    struct str url = arena_dup(&l->c->arena, base);
    const char *why;
    int tls = upstream_set_base(u, url, &why);

    if (tls < 0) {
        loader_problem(l, line, STR_FMT ": %s", STR_ARG(name), why);
        return;
    }
    u->origin.target.tls = tls && called ? client_tls(l) : NULL;
    u->origin.target.proxy = l->c->proxy;
}

static void set_base(struct loader *l, struct upstream *u, struct str base, bool called)
{
    const struct found *f = loader_get(l, u->provider->base_env);

    loader_base(l, u, base, called, u->provider->base_env, f ? f->line : 0);
}

/* The credential of the settings, checked. */
static struct str key_of(struct loader *l, const struct provider *p)
{
    struct str token = str_trim(value_of(l, p->token_env)),
               env = token.n ? p->token_env : p->key_env;
    struct str key = token.n ? token : str_trim(value_of(l, env));

    for (size_t i = 0; i < key.n; i++) {
        if ((unsigned char)key.p[i] > ' ' && key.p[i] != 127)
            continue;
        loader_problem(l, loader_get(l, env)->line, STR_FMT " holds a blank or a control character",
            STR_ARG(env));
        break;
    }
    return key;
}

/* The base URL where none is configured; it may depend on the options. */
static struct str default_base(struct loader *l, const struct upstream *u)
{
    const struct provider *p = u->provider;
    _cleanup_(buf_free) struct buf url = {0};

    if (!p->base_of)
        return p->base;
    buf_init(&url, 512);
    if (p->base_of(u, &url) < 0) {
        loader_problem(l, 0, STR_FMT ": the region is malformed", STR_ARG(p->title));
        return p->base;
    }
    return arena_dup(&l->c->arena, buf_str(&url));
}

static void set_one(struct loader *l, const struct provider *p, struct upstream *u)
{
    struct str base = str_trim(value_of(l, p->base_env)), key = key_of(l, p);
    bool keyless = !p->key_env.n || !p->base.n;

    u->provider = p;
    u->timeouts = l->c->timeouts;
    if (key.n)
        upstream_add_key(u, UPSTREAM_KEY_ENV, key, 1);
    loader_vault_keys(l, l->vault, u);
    u->configured = u->keys || (keyless && base.n > 0);
    if (!p->base.n && !base.n)
        u->configured = false;
    unsigned i = 0;
    for (const struct str *e = p->extra_env; e && e->n && i < ARRAY_LEN(u->options); e++, i++)
        u->options[i] = arena_dup(&l->c->arena, value_of(l, *e));
    if (base.n || p->base.n)
        set_base(l, u, base.n ? base : default_base(l, u), u->configured || l->c->keys.passthrough);
}

static void check_default(struct loader *l, struct config *c)
{
    struct str id = value_of(l, STR("SMARTFLOW_DEFAULT_PROVIDER"));

    if (id.n) {
        c->route.default_upstream = route_upstream(&c->route, id);
        if (!c->route.default_upstream)
            loader_problem(l, loader_get(l, STR("SMARTFLOW_DEFAULT_PROVIDER"))->line,
                "SMARTFLOW_DEFAULT_PROVIDER: there is no provider '" STR_FMT "'", STR_ARG(id));
        return;
    }
    const struct upstream *u = route_upstream(&c->route, STR("openai_compatible"));
    if (u && u->configured)
        c->route.default_upstream = u;
}

void loader_upstreams(struct loader *l)
{
    struct config *c = l->c;
    unsigned n;
    const struct provider *table = provider_table(&n);
    struct upstream *u = arena_zalloc(&c->arena, n * sizeof *u);

    if (!u) {
        loader_problem(l, 0, "out of memory");
        return;
    }
    c->route.upstreams = u;
    c->route.upstreams_n = n;
    for (unsigned i = 0; i < n; i++)
        set_one(l, &table[i], &u[i]);
    if (c->keys.passthrough)
        for (unsigned i = 0; i < n; i++)
            u[i].configured |= table[i].base.n > 0;
    check_default(l, c);
}
