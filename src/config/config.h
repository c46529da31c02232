/*
 * The configuration: an immutable, reference-counted snapshot, built whole from the environment and
 * one optional YAML file, and swapped whole. Every thread keeps its own reference, so the hot path
 * takes no lock: config_current() is a thread-local read.
 */
#ifndef SF_CONFIG_CONFIG_H
#define SF_CONFIG_CONFIG_H

#include "alert/alert.h"
#include "keys/vkey.h"
#include "net/dial.h"
#include "providers/provider.h"
#include "route/route.h"
#include "telemetry/telemetry.h"

enum config_role {
    ROLE_PROXY = 1,
    ROLE_MANAGEMENT = 2,
    ROLE_COMPLIANCE = 4,
    ROLE_POLICY = 8,
    ROLE_BRIDGE = 16,
};

/* SMARTFLOW_JOURNAL, in the order of its words. */
enum journal_mode { JOURNAL_MODE_BATCH, JOURNAL_MODE_STRICT, JOURNAL_MODE_OFF };

/* SMARTFLOW_UNOWNED, in the order of its words. */
enum unowned_mode { UNOWNED_AUTO, UNOWNED_ALLOW, UNOWNED_DENY };

struct prices_overlay;
struct secret_refs;
struct vault_secrets;

struct config {
    int refs_; /* atomic */
    /* service */
    struct str bind;
    uint16_t proxy_port, management_port;
    unsigned roles;
    unsigned threads; /* 0 = one a core */
    struct str data_dir;
    const char *tls_cert, *tls_key, *tls_client_ca; /* server TLS; NULL = plain */
    struct secret admin_key;
    struct secret master_key, master_key_next; /* of the vault; unset: the data folder's */
    int64_t secret_refresh;                    /* how long a referenced secret is good */
    struct secret metrics_token;
    bool admin_on_proxy;
    bool demo;          /* run the built-in demo provider */
    uint16_t demo_port; /* 0 = any free one */
    struct secret demo_key;
    struct net_cidrs *trusted_proxies;
    struct dial_proxy *proxy;
    const char *upstream_ca, *upstream_cert, *upstream_cert_key;
    bool core_dumps;
    /* limits and time-outs */
    uint64_t max_body, max_upload;
    size_t max_head;
    unsigned max_in_flight, max_connections;
    int64_t head_timeout, idle_timeout, body_timeout, write_timeout, drain_timeout;
    struct http_timeouts timeouts;
    /* translated calls */
    unsigned losses;    /* enum canon_loss_policy */
    int64_t keep_alive; /* silence after which a held or translated stream has one */
    bool fetch_images;  /* pictures by URL, for providers that do not take URLs */
    struct str fetch_allow_text;
    struct net_cidrs *fetch_allow; /* internal addresses that they may come from; may be NULL */
    /* CORS: origins allowed ("*" = any); n 0 = CORS off */
    struct str *cors_origins;
    unsigned cors_origins_n;
    /* the control plane */
    struct secret database_url, redis_url;
    unsigned database_connections;
    int64_t redis_timeout; /* what it may take to answer */
    unsigned shared_down;  /* enum shared_down */
    unsigned journal_mode; /* enum journal_mode */
    uint64_t log_body_max; /* of one prompt or reply on the journal */
    int64_t body_retention, row_retention, sums_retention; /* 0 = for ever */
    int64_t responses_retention;                           /* of responses that the gateway keeps */
    struct str node;    /* empty: one is made and kept in the data folder */
    unsigned unowned;   /* enum unowned_mode */
    int64_t batch_poll; /* how often open batches are looked at */
    /* what is told to others */
    struct alert_settings alert;
    struct telemetry_settings telemetry;
    const char *export_ca; /* verifies all of them, instead of the system's roots */
    /* what calls can use */
    struct keys_settings keys;
    struct route_settings route;
    struct str log_level, log_format;
    const char *log_file, *share_dir;
    struct tls_ctx *upstream_tls; /* made when the first https upstream is configured */
    struct tls_ctx *served_tls;   /* of the files above; made by who opens listeners, or NULL */
    struct prices_overlay *prices;
    const bool *from_file; /* of each row of the table of settings: it stood in the file */
    struct arena arena;    /* owns every string above */
};

/* Reads environment and file (path may be NULL). Every problem is reported through problem(ctx,
 * file, line, text) (line 0: from the environment); returns the number of problems; with any,
 * *ret is NULL. */
unsigned config_load(const char *path, char *const *env,
    void (*problem)(void *ctx, const char *file, unsigned line, const char *text), void *ctx,
    struct config **ret);
/* The same, with the vault's provider keys (NULL = none) beside those of the settings. fresh:
 * secrets that settings refer to are read once more (config_load() does so); else what was read
 * last is good. With references it blocks for up to about 10 s. */
unsigned config_load_with(const char *path, char *const *env, const struct vault_secrets *vault,
    bool fresh, void (*problem)(void *ctx, const char *file, unsigned line, const char *text),
    void *ctx, struct config **ret);
/* Who resolves references to secrets, for the whole process; before the first load. NULL: nobody.
 */
void config_set_refs(struct secret_refs *r);
/* Once the offload pool runs, and after each reload: secrets are read anew before their leases end.
 * changed is called on a thread of its own; see refs_start(). 0 or -errno. */
int config_keep_refs(const struct config *c, void (*changed)(void *ctx), void *ctx);
void config_stop_refs(void); /* before offload_stop() */
/* What the snapshot before knew of its provider keys (refused, rate limited, last used) goes on. */
void config_inherit(struct config *c, const struct config *was);
struct config *config_ref(struct config *c);
void config_unref(struct config *c);

struct config *config_current(void);       /* of this thread; not a new reference */
void config_set_current(struct config *c); /* takes a reference of its own, drops the old one */

#endif
