/*
 * Making configuration snapshots while the program runs: from the environment and the file, what
 * the store lays over them (settings and prices changed through the API), and the provider keys of
 * the vault. See gateway/parts.h.
 */
#include "admin/routing_store.h"
#include "admin/settings.h"
#include "base/log.h"
#include "gateway/parts.h"
#include "runtime/co.h"
#include "runtime/offload.h"
#include "vault/vault.h"

#include <errno.h>

extern char **environ;

#define LOAD_NS (60 * NS_PER_S)

static void report_problem(void *ctx, const char *file, unsigned line, const char *text)
{
    (void)ctx;
    if (file && line)
        log_msg(LOG_ERROR, "%s:%u: %s", file, line, text);
    else
        log_msg(LOG_ERROR, "%s", text);
}

struct load {
    const char *path;
    bool fresh;
    struct admin_overlay overlay;
    struct vault_secrets *vault;
    struct store_rows *routing;
    struct config *config;
};

static int64_t made_of = -1; /* the version that the newest snapshot has, at least */

/* The others count all the same. */
static void routing_problem(void *ctx, struct str kind, struct str name, struct str why)
{
    (void)ctx;
    log_msg(LOG_WARN, "a routing rule of the store is left out: " STR_FMT " " STR_FMT ": " STR_FMT,
        STR_ARG(kind), STR_ARG(name), STR_ARG(why));
}

static int load(void *arg)
{
    struct load *l = arg;
    char err[256];
    unsigned problems = config_load_with(l->path, l->overlay.environ ? l->overlay.environ : environ,
        l->vault, l->fresh, report_problem, NULL, &l->config);

    if (problems)
        return -EINVAL;
    int r = admin_overlay_prices(&l->overlay, l->config, err, sizeof err);
    if (r == 0) {
        admin_routing_apply(l->routing, l->config, routing_problem, NULL);
        return 0;
    }
    log_msg(LOG_ERROR, "prices changed through the API: %s", err);
    config_unref(l->config);
    return r;
}

/* What the store and the vault say; while the store is away, a reload has to wait. */
static int gather(struct load *l)
{
    char err[VAULT_ERR_BYTES] = "";
    int r = admin_overlay_load(parts.store, environ, &l->overlay, err);

    if (r == 0)
        r = admin_routing_load(parts.store, &l->routing, err);
    if (r == 0)
        r = vault_snapshot(parts.vault, &l->vault, err);
    if (r < 0)
        log_msg(LOG_ERROR, "cannot read what the store says of the configuration: %s",
            err[0] ? err : strerror(-r));
    else if (l->vault->failed)
        log_msg(
            LOG_ERROR, "%u provider keys of the vault cannot be opened: %s", l->vault->failed, err);
    return r;
}

int snapshot_make(const char *path, bool fresh, struct config **ret)
{
    struct load l = {.path = path, .fresh = fresh};
    int64_t version = snapshot_version(); /* what changes from here on has a higher one */
    int r = gather(&l);

    if (r == 0 && !co_self()) {
        r = load(&l);
    } else if (r == 0) { /* files and secret servers block: not on the loop's thread */
        co_mask_cancel();
        r = offload_run(load, &l, NULL, NEVER_NS);
        co_unmask_cancel();
    }
    admin_overlay_free(&l.overlay);
    vault_secrets_free(l.vault);
    store_rows_free(l.routing);
    *ret = r == 0 ? l.config : NULL;
    if (r == 0)
        made_of = version;
    return r;
}

int64_t snapshot_made_of(void)
{
    return made_of;
}

/* The number of the newest change that a snapshot depends on; -1 while it cannot be read. */
int64_t snapshot_version(void)
{
    struct store_rows *rows = NULL;
    const struct store_value kind = store_text(STR(ADMIN_SETTINGS_KIND));
    int64_t n = -1;

    if (store_query(parts.store,
            "SELECT (SELECT COALESCE(MAX(seq), 0) FROM changes WHERE kind = ?1) + "
            "(SELECT COALESCE(MAX(serial), 0) FROM vault_state)",
            &kind, 1, &rows, NULL) == 0)
        n = store_cell_int(rows, 0, 0);
    store_rows_free(rows);
    return n;
}
