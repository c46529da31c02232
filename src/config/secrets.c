/*
 * Where a setting's value is not the value itself: NAME_FILE names a file that holds it, and
 * "vault:…" or "aws-sm:…" say where it is kept (vault/refs.h). References are looked for among all
 * values that were found, whatever setting they are for, and resolved at once, before any setting
 * is read. That blocks the calling thread for at most about ten seconds.
 */
#include "config/settings_int.h"
#include "vault/refs.h"
#include "vault/vault.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static struct secret_refs *refs;

void config_set_refs(struct secret_refs *r)
{
    refs = r;
}

int config_keep_refs(const struct config *c, void (*changed)(void *ctx), void *ctx)
{
    return refs ? refs_start(refs, c->secret_refresh, changed, ctx) : 0;
}

void config_stop_refs(void)
{
    refs_stop(refs);
}

/* --- NAME_FILE --- */

static bool is_set(char *const *env, struct str name)
{
    for (; *env; env++) {
        struct str rest = str_of(*env);
        if (str_eq(str_split(&rest, '='), name))
            return rest.n > 0;
    }
    return false;
}

void loader_put_file(struct loader *l, char *const *env, struct str name, struct str path)
{
    _cleanup_(secret_free) struct secret value = {0};
    struct str p = arena_dup(&l->c->arena, path);

    if (!path.n)
        return;
    if (is_set(env, name)) {
        loader_problem(l, 0, STR_FMT " and " STR_FMT "_FILE are both set: which one counts?",
            STR_ARG(name), STR_ARG(name));
        return;
    }
    int r = p.p ? secret_from_file(p.p, &value) : -ENOMEM;
    if (r == -EMSGSIZE)
        loader_problem(l, 0, STR_FMT "_FILE: " STR_FMT " holds more than 64 KiB", STR_ARG(name),
            STR_ARG(path));
    else if (r < 0 && r != -ENODATA)
        loader_problem(l, 0, STR_FMT "_FILE: cannot read " STR_FMT, STR_ARG(name), STR_ARG(path));
    else
        loader_put(l, name, secret_reveal(&value), 0);
}

/* --- references --- */

struct reference {
    struct str *value; /* where it stands, and the secret shall */
    struct str name;
    unsigned line;
};

struct references {
    struct reference *at;
    struct ref_wanted *wanted;
    unsigned n, room;
};

static void note(struct references *f, struct str name, struct str *value, unsigned line)
{
    if (!refs_is_one(*value))
        return;
    if (f->n < f->room)
        f->at[f->n] = (struct reference){value, name, line};
    f->n++;
}

static void find(struct loader *l, struct references *f)
{
    struct str name;
    void *found;

    f->n = 0;
    for (size_t at = 0; map_next(&l->values, &at, &name, &found);)
        note(f, name, &((struct found *)found)->value, ((struct found *)found)->line);
    for (struct virtual_key_row *row = l->keys; row; row = row->next)
        note(f, STR("a virtual key"), &row->secret, row->line);
}

static void put_values(struct loader *l, struct references *f)
{
    for (unsigned i = 0; i < f->n; i++) {
        struct ref_wanted *w = &f->wanted[i];
        struct str value = secret_reveal(&w->value);
        if (w->result < 0)
            loader_problem(l, f->at[i].line, STR_FMT ": " STR_FMT ": %s", STR_ARG(f->at[i].name),
                (int)MIN(w->ref.n, 120), w->ref.p, w->err);
        else
            *f->at[i].value = arena_dup(&l->c->arena, value);
        secret_free(&w->value);
    }
}

void loader_references(struct loader *l, bool fresh)
{
    struct references f = {0};

    find(l, &f);
    if (!f.n)
        return;
    f.room = f.n;
    f.at = calloc(f.n, sizeof *f.at);
    f.wanted = calloc(f.n, sizeof *f.wanted);
    if (!f.at || !f.wanted || !refs) {
        loader_problem(l, 0,
            refs ? "out of memory"
                 : "a setting is a reference to a secret, which nothing here can "
                   "resolve");
    } else {
        find(l, &f);
        for (unsigned i = 0; i < f.n; i++)
            f.wanted[i].ref = *f.at[i].value;
        refs_resolve(refs, f.wanted, f.n, fresh);
        put_values(l, &f);
    }
    free(f.at);
    free(f.wanted);
}

/* --- the vault --- */

void loader_vault_keys(struct loader *l, const struct vault_secrets *vault, struct upstream *u)
{
    for (unsigned i = 0; vault && i < vault->n; i++) {
        const struct vault_secret *s = &vault->at[i];
        if (!str_eq(s->provider, u->provider->id))
            continue;
        int r = upstream_add_key(u, s->id, secret_reveal(&s->value), s->weight);
        if (r == -ENOSPC)
            loader_problem(l, 0, STR_FMT " has more than %d keys in the vault",
                STR_ARG(s->provider), UPSTREAM_KEYS_MAX);
    }
}

void config_inherit(struct config *c, const struct config *was)
{
    for (unsigned i = 0; i < c->route.upstreams_n && i < was->route.upstreams_n; i++)
        upstream_keys_inherit((struct upstream *)&c->route.upstreams[i], &was->route.upstreams[i]);
    loader_routing_inherit(c, was);
}
