/*
 * What operators ask: health, metrics, coroutines, and the management API under /api/. Served on
 * the management port and, unless it is switched off, on the proxy port too.
 */
#ifndef SF_ADMIN_ADMIN_H
#define SF_ADMIN_ADMIN_H

#include "config/config.h"
#include "http/server.h"

struct catalog;
struct journal;
struct loop;
struct registry;
struct shared;
struct store;
struct vault;

/* True when the path was one of these and has been answered. on_proxy: came in on the proxy port.
 */
bool admin_handle(struct http_request *rq, struct config *c, bool on_proxy);

/* The handler of the management port: admin_handle() or 404. */
void admin_serve(struct http_request *rq, void *ctx);

/* The loops whose coroutines /debug/coroutines lists; set once at start. */
void admin_set_loops(struct loop *const *loops, unsigned n);
/* Draining: readiness says so, that a load balancer turns away. */
void admin_set_draining(bool on);

struct model_facts;

/* One row of the table of settings, as a snapshot has it. */
struct admin_setting {
    const char *name, *initial, *doc;
    struct str value; /* as it would be written; empty of secrets */
    bool secret;      /* its value is never shown, and not changed over the API */
    bool from_file;   /* it stood in the configuration file */
};

/* What the management API works on. Whatever is NULL is not there: its endpoints answer 503. */
struct admin_env {
    struct store *store;
    struct journal *journal;
    struct registry *registry;
    struct catalog *catalog;
    struct shared *shared;
    struct vault *vault;     /* provider keys */
    const char *journal_dir; /* for readers and proofs */
    struct str node;         /* this node's id, which is its chain's; outlives the calls */
    const char *config_path; /* of the file, for checking a changed setting; may be NULL */
    char *const *environ;    /* likewise: the process's own, without what the store lays over */
    uint8_t
        session_key[32]; /* signs session cookies: from the master key; all zero = in the store */
    int64_t session_ttl; /* ns; 0 = 12 h */
    /* The i-th setting; false behind the last. value may be built in scratch. NULL = none are
     * shown. */
    bool (*setting_at)(
        const struct config *c, unsigned i, struct admin_setting *ret, struct buf *scratch);
    /* The i-th model of the built-in table; NULL behind the last. NULL = only overrides are listed.
     */
    const struct model_facts *(*model_at)(size_t i);
    /* The caller's address behind trusted proxies; NULL = the connection's. */
    struct net_addr (*client_address)(const struct config *c, const struct http_request *rq);
    /* Appends the access-control-… fields of a reply; NULL = none. */
    void (*cors_fields)(const struct config *c, struct http_request *rq, struct buf *out);
    /* A setting or price in the store was changed: load a snapshot with it (admin/settings.h) and
     * hand it to every loop. Does not wait for that. NULL = changes count from the next start. */
    void (*reload)(void);
};

/* Copies env; once at start, before the loops run, and again in tests. Ends the process when a row
 * of the API could be called by somebody it does not name. */
void admin_use(const struct admin_env *env);

#endif
