/*
 * The table of settings: each row is a variable's name, its type and bounds, where it goes, and its
 * documentation. `smartflow config list` prints it; the loader reads nothing that is not in it.
 */
#ifndef SF_CONFIG_SETTINGS_INT_H
#define SF_CONFIG_SETTINGS_INT_H

#include "base/map.h"
#include "config/config.h"

enum setting_type {
    SET_TEXT,
    SET_PATH, /* text as a C string */
    SET_SECRET,
    SET_BOOL,
    SET_UINT, /* unsigned */
    SET_PORT,
    SET_BYTES,    /* "64MiB", "256k"; uint64_t or size_t */
    SET_DURATION, /* "15s", "250ms", "10m", "30d" */
    SET_WORD,     /* unsigned: the index of one of `words` */
};

struct setting {
    const char *name; /* SMARTFLOW_BIND; nested in YAML as smartflow: {bind: ...} */
    enum setting_type type;
    size_t offset; /* into struct config */
    int64_t min, max;
    const char *initial; /* default, as it would be written */
    const char *doc;
    const char *words; /* SET_WORD: "local closed" */
};

extern const struct setting settings[];
extern const unsigned settings_n;

/* A value found in the environment or the file. */
struct found {
    struct str name, value;
    unsigned line; /* 0: from the environment */
};

struct loader {
    struct config *c;
    struct map values; /* name → struct found * */
    const char *path;
    unsigned problems;
    void (*problem)(void *ctx, const char *file, unsigned line, const char *text);
    void *ctx;
    const struct vault_secrets *vault;
    bool fresh; /* references are resolved anew */
    /* lists of the file that are not variables */
    struct virtual_key_row *keys;
    unsigned keys_n;
    struct routing_row *routing, **routing_tail; /* in the order of the file */
};

/* A rule of the file's `routing:`, as JSON. */
struct routing_row {
    enum routing_kind { ROUTING_CHAIN, ROUTING_DEPLOYMENT, ROUTING_TIER } kind;
    struct str json;
    unsigned line;
    struct routing_row *next;
};

struct virtual_key_row {
    struct virtual_key key;
    struct str secret;
    unsigned line;
    struct virtual_key_row *next;
};

void loader_problem(struct loader *l, unsigned line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
const struct found *loader_get(const struct loader *l, struct str name);
int loader_put(struct loader *l, struct str name, struct str value, unsigned line);
void loader_yaml(struct loader *l);      /* yaml.c */
void loader_settings(struct loader *l);  /* settings.c: fills struct config by the table */
void loader_upstreams(struct loader *l); /* upstreams.c: base URLs, keys, options, TLS */
/* The base URL of a provider, or of a deployment of one. called: whether calls may go there; name
 * and line: of what gave it. */
void loader_base(struct loader *l, struct upstream *u, struct str base, bool called,
    struct str name, unsigned line);
void loader_routing(struct loader *l); /* routing.c: chains, deployments, tiers, budgets */
void loader_routing_free(struct config *c);
void loader_routing_inherit(struct config *c, const struct config *was);
/* secrets.c */
void loader_put_file(struct loader *l, char *const *env, struct str name, struct str path);
void loader_references(struct loader *l, bool fresh);
void loader_vault_keys(struct loader *l, const struct vault_secrets *vault, struct upstream *u);
bool setting_is_known(struct str name);    /* the table, or a provider's variable */
int setting_bool(struct str v, bool *ret); /* 0 or -EINVAL */

#endif
