/*
 * Loading, counting and swapping snapshots. The environment wins over the file; values that are
 * kept elsewhere (NAME_FILE, references) are fetched by secrets.c.
 */
#include "config/config.h"

#include "config/settings_int.h"
#include "llm/prices.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CONFIG_BYTES ((size_t)64 << 20)

/* --- collecting values --- */

void loader_problem(struct loader *l, unsigned line, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    l->problems++;
    l->problem(l->ctx, line ? l->path : NULL, line, text);
}

const struct found *loader_get(const struct loader *l, struct str name)
{
    return map_get(&l->values, name);
}

int loader_put(struct loader *l, struct str name, struct str value, unsigned line)
{
    struct found *f = arena_new(&l->c->arena, struct found);

    if (!f)
        return -ENOMEM;
    *f = (struct found){arena_dup(&l->c->arena, name), arena_dup(&l->c->arena, value), line};
    return map_put(&l->values, f->name, f, NULL);
}

static void from_environment(struct loader *l, char *const *env)
{
    for (; *env; env++) {
        struct str rest = str_of(*env), name = str_split(&rest, '=');
        if (setting_is_known(name)) {
            loader_put(l, name, rest, 0);
        } else if (str_ends(name, STR("_FILE")) && setting_is_known(str_to(name, name.n - 5))) {
            loader_put_file(l, env, str_to(name, name.n - 5), rest);
        }
    }
}

/* --- lists --- */

static struct str text(struct loader *l, const char *name)
{
    const struct found *f = loader_get(l, str_of(name));

    return f ? f->value : STR_NONE;
}

/* Where it stands in the file; 0 where it comes from the environment. */
static unsigned line(struct loader *l, const char *name)
{
    const struct found *f = loader_get(l, str_of(name));

    return f ? f->line : 0;
}

static unsigned count_items(struct str s)
{
    unsigned n = s.n ? 1 : 0;

    for (size_t i = 0; i < s.n; i++)
        n += s.p[i] == ',';
    return n;
}

static void load_cors(struct loader *l)
{
    struct str s = text(l, "SMARTFLOW_CORS_ORIGINS");
    struct str *out = arena_alloc(&l->c->arena, (count_items(s) + 1) * sizeof *out);

    l->c->cors_origins = out;
    while (out && s.p && s.n) {
        struct str item = str_trim(str_split(&s, ','));
        if (item.n)
            out[l->c->cors_origins_n++] = item;
    }
}

static void load_aliases(struct loader *l)
{
    struct str s = text(l, "SMARTFLOW_MODEL_ALIASES");
    struct route_alias *out = arena_alloc(&l->c->arena, (count_items(s) + 1) * sizeof *out);
    unsigned n = 0;

    while (out && s.p && s.n) {
        struct str target = str_trim(str_split(&s, ',')), name = str_split(&target, '=');
        if (!name.n || !target.n)
            loader_problem(l, line(l, "SMARTFLOW_MODEL_ALIASES"),
                "SMARTFLOW_MODEL_ALIASES must be a list of name=target");
        else
            out[n++] = (struct route_alias){str_trim(name), str_trim(target)};
    }
    l->c->route.aliases = out;
    l->c->route.aliases_n = n;
}

static struct str either(struct loader *l, const char *a, const char *b)
{
    struct str v = text(l, a);

    return v.n ? v : text(l, b);
}

static void load_network(struct loader *l)
{
    struct config *c = l->c;
    struct str trusted = text(l, "SMARTFLOW_TRUSTED_PROXIES");

    if (trusted.n && net_cidrs_parse(trusted, &c->trusted_proxies) < 0)
        loader_problem(l, line(l, "SMARTFLOW_TRUSTED_PROXIES"),
            "SMARTFLOW_TRUSTED_PROXIES must be a list of addresses or CIDR "
            "blocks, not '" STR_FMT "'",
            STR_ARG(trusted));
    if (c->fetch_allow_text.n && net_cidrs_parse(c->fetch_allow_text, &c->fetch_allow) < 0)
        loader_problem(l, line(l, "SMARTFLOW_FETCH_ALLOW"),
            "SMARTFLOW_FETCH_ALLOW must be a list of addresses or CIDR blocks, not '" STR_FMT "'",
            STR_ARG(c->fetch_allow_text));
    if (dial_proxy_parse(either(l, "HTTPS_PROXY", "https_proxy"),
            either(l, "HTTP_PROXY", "http_proxy"), either(l, "NO_PROXY", "no_proxy"),
            &c->proxy) < 0)
        loader_problem(l, 0, "HTTPS_PROXY or HTTP_PROXY is not a URL such as http://host:3128");
}

static void load_roles(struct loader *l)
{
    static const struct {
        const char *name;
        unsigned bit;
    } names[] = {{"proxy", ROLE_PROXY}, {"management", ROLE_MANAGEMENT},
        {"compliance", ROLE_COMPLIANCE}, {"policy", ROLE_POLICY}, {"bridge", ROLE_BRIDGE}};
    struct str s = text(l, "SMARTFLOW_ROLES");

    l->c->roles = s.n ? 0 : 31;
    while (s.p && s.n) {
        struct str item = str_trim(str_split(&s, ','));
        unsigned i = 0;
        while (i < ARRAY_LEN(names) && !str_eq(item, str_of(names[i].name)))
            i++;
        if (i == ARRAY_LEN(names))
            loader_problem(l, line(l, "SMARTFLOW_ROLES"),
                "SMARTFLOW_ROLES: there is no role '" STR_FMT "' (proxy, "
                "management, compliance, policy, bridge)",
                STR_ARG(item));
        else
            l->c->roles |= names[i].bit;
    }
}

static void load_prices(struct loader *l)
{
    struct str path = text(l, "SMARTFLOW_PRICES");
    char err[256];

    if (path.n && prices_overlay_load(path.p, &l->c->prices, err, sizeof err) < 0)
        loader_problem(l, line(l, "SMARTFLOW_PRICES"), "SMARTFLOW_PRICES: %s", err);
    l->c->route.prices = l->c->prices;
}

/* A value that must be one of some words; nothing is fine, too. */
static void check_word(struct loader *l, const char *name, const char *words)
{
    struct str value = text(l, name), rest = str_of(words);

    while (value.n && rest.n)
        if (str_ieq(str_split(&rest, ' '), value))
            return;
    if (value.n)
        loader_problem(l, line(l, name), "%s must be one of: %s; not '" STR_FMT "'", name, words,
            STR_ARG(value));
}

/* Half a pair would mean a listener without TLS, or without the check of client certificates, where
 * one with it was meant. */
static void check_tls(struct loader *l)
{
    const struct config *c = l->c;
    const char *name = c->tls_cert ? "SMARTFLOW_TLS_CERT" : "SMARTFLOW_TLS_KEY";

    if (!c->tls_cert != !c->tls_key)
        loader_problem(l, line(l, name), "%s is set without %s", name,
            c->tls_cert ? "SMARTFLOW_TLS_KEY" : "SMARTFLOW_TLS_CERT");
    if (c->tls_client_ca && !c->tls_cert)
        loader_problem(l, line(l, "SMARTFLOW_TLS_CLIENT_CA"),
            "SMARTFLOW_TLS_CLIENT_CA is set without SMARTFLOW_TLS_CERT");
    name = c->upstream_cert ? "SMARTFLOW_UPSTREAM_CERT" : "SMARTFLOW_UPSTREAM_KEY";
    if (!c->upstream_cert != !c->upstream_cert_key)
        loader_problem(l, line(l, name), "%s is set without %s", name,
            c->upstream_cert ? "SMARTFLOW_UPSTREAM_KEY" : "SMARTFLOW_UPSTREAM_CERT");
}

static void load_texts(struct loader *l)
{
    struct config *c = l->c;
    struct str file = text(l, "SMARTFLOW_LOG_FILE"), share = text(l, "SMARTFLOW_SHARE");

    check_word(l, "SMARTFLOW_LOG_LEVEL", "debug info warn error");
    check_word(l, "SMARTFLOW_LOG_FORMAT", "json pretty");

    c->log_level = text(l, "SMARTFLOW_LOG_LEVEL");
    c->log_format = text(l, "SMARTFLOW_LOG_FORMAT");
    c->log_file = file.n ? file.p : NULL;
    c->share_dir = share.n ? share.p : NULL;
}

/* --- keys --- */

static void add_key(struct loader *l, const struct virtual_key *k, struct str secret, unsigned line)
{
    int r = vkey_set_add(l->c->keys.set, k, secret);

    if (r == -EINVAL)
        loader_problem(l, line,
            "the key of '" STR_FMT "' must be sk-sf- and 8 to 64 letters, digits or dashes",
            STR_ARG(k->subject.name));
    else if (r == -EEXIST)
        loader_problem(
            l, line, "the key of '" STR_FMT "' is already another's", STR_ARG(k->subject.name));
}

static void load_keys(struct loader *l)
{
    if (vkey_set_new(&l->c->keys.set) < 0) {
        loader_problem(l, 0, "out of memory");
        return;
    }
    if (secret_is_set(&l->c->demo_key)) {
        struct virtual_key demo = {.subject = {.name = STR("demo"), .is_active = true}};
        add_key(l, &demo, secret_reveal(&l->c->demo_key), 0);
    }
    for (struct virtual_key_row *row = l->keys; row; row = row->next)
        if (row->secret.n)
            add_key(l, &row->key, row->secret, row->line);
}

/* --- the whole --- */

static void load_all(struct loader *l, char *const *env)
{
    if (l->path)
        loader_yaml(l);
    from_environment(l, env);
    loader_references(l, l->fresh);
    loader_settings(l);
    check_tls(l);
    load_texts(l);
    load_roles(l);
    load_network(l);
    load_cors(l);
    load_aliases(l);
    load_prices(l);
    loader_upstreams(l);
    loader_routing(l);
    load_keys(l);
}

unsigned config_load_with(const char *path, char *const *env, const struct vault_secrets *vault,
    bool fresh, void (*problem)(void *ctx, const char *file, unsigned line, const char *text_),
    void *ctx, struct config **ret)
{
    struct config *c = calloc(1, sizeof *c);
    struct loader l = {
        .c = c, .path = path, .problem = problem, .ctx = ctx, .vault = vault, .fresh = fresh};

    must(c);
    *ret = NULL;
    c->refs_ = 1;
    arena_init(&c->arena, NULL, 0, CONFIG_BYTES);
    map_init(&l.values);
    load_all(&l, env);
    map_free(&l.values);
    if (l.problems)
        config_unref(c);
    else
        *ret = c;
    return l.problems;
}

unsigned config_load(const char *path, char *const *env,
    void (*problem)(void *ctx, const char *file, unsigned line, const char *text_), void *ctx,
    struct config **ret)
{
    return config_load_with(path, env, NULL, true, problem, ctx, ret);
}

struct config *config_ref(struct config *c)
{
    __atomic_add_fetch(&c->refs_, 1, __ATOMIC_RELAXED);
    return c;
}

static void config_free(struct config *c)
{
    for (unsigned i = 0; i < c->route.upstreams_n; i++)
        upstream_keys_free((struct upstream *)&c->route.upstreams[i]);
    loader_routing_free(c);
    vkey_set_free(c->keys.set);
    net_cidrs_free(c->trusted_proxies);
    net_cidrs_free(c->fetch_allow);
    dial_proxy_free(c->proxy);
    if (c->upstream_tls)
        tls_ctx_unref(c->upstream_tls);
    if (c->served_tls)
        tls_ctx_unref(c->served_tls);
    prices_overlay_unref(c->prices);
    for (unsigned i = 0; i < settings_n; i++)
        if (settings[i].type == SET_SECRET)
            secret_free((struct secret *)((char *)c + settings[i].offset));
    arena_free(&c->arena);
    free(c);
}

void config_unref(struct config *c)
{
    if (c && __atomic_sub_fetch(&c->refs_, 1, __ATOMIC_ACQ_REL) == 0)
        config_free(c);
}

/* --- the thread's own --- */

static _Thread_local struct config *current;

struct config *config_current(void)
{
    return current;
}

void config_set_current(struct config *c)
{
    struct config *was = current;

    current = c ? config_ref(c) : NULL;
    config_unref(was);
}
