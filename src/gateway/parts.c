/*
 * Opening and closing the parts of the control plane, and following what other nodes change. See
 * gateway/parts.h.
 *
 * A change made on another node (a key revoked, a setting, a provider's key) comes as a message of
 * the shared store, or, where that is missed or away, is found in the store's table `changes`
 * within a second. Either way one coroutine on the first loop reads what is new.
 */
#include "gateway/parts.h"

#include "alert/alert.h"
#include "base/log.h"
#include "crypto/random.h"
#include "gateway/attempt.h"
#include "gateway/gateway_int.h"
#include "gateway/own.h"
#include "gateway/responses_kept.h"
#include "keys/limits.h"
#include "ledger/ledger.h"
#include "metrics/metrics.h"
#include "route/budget.h"
#include "route/share.h"
#include "runtime/sync.h"
#include "telemetry/telemetry.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLLOW_NS  NS_PER_S
#define REFRESH_NS (2 * NS_PER_S)

struct parts parts;

/* --- the node's name --- */

static bool good_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!isalnum((unsigned char)s.p[i]) && s.p[i] != '-' && s.p[i] != '_' && s.p[i] != '.')
            return false;
    return s.n > 0 && s.n < sizeof parts.node;
}

static int keep_name(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600), r = 0;

    memcpy(parts.node, "node-", 5);
    random_hex(parts.node + 5, 6);
    if (fd < 0)
        return -errno;
    if (write(fd, parts.node, strlen(parts.node)) != (ssize_t)strlen(parts.node) || fsync(fd) < 0)
        r = -EIO;
    close(fd);
    return r;
}

/* It must be the same after a restart: parts of shared counters and the journal bear it. */
static int name_node(const struct config *c)
{
    char path[4200];
    struct str kept;
    int fd, r = 0;

    if (c->node.n) {
        if (!good_name(c->node)) {
            log_msg(LOG_ERROR, "SMARTFLOW_NODE must be at most 63 letters, digits, '-', '_', '.'");
            return -EINVAL;
        }
        memcpy(parts.node, c->node.p, c->node.n);
        return 0;
    }
    snprintf(path, sizeof path, "%s/node", c->data_dir.p);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        r = keep_name(path);
    } else {
        ssize_t n = read(fd, parts.node, sizeof parts.node - 1);
        close(fd);
        kept = str_trim(str_at(parts.node, n > 0 ? (size_t)n : 0));
        r = good_name(kept) ? 0 : -EINVAL;
        parts.node[kept.n] = 0;
    }
    if (r < 0)
        log_msg(LOG_ERROR, "cannot read or keep this node's name in %s: %s", path, strerror(-r));
    return r;
}

/* --- opening --- */

static int open_store(const struct config *c)
{
    struct store_settings s = {.data_dir = c->data_dir,
        .database_url = c->database_url,
        .connections = c->database_connections};
    char err[512] = "";
    int r = store_open(&s, &parts.store, err, sizeof err);

    if (r < 0)
        log_msg(LOG_ERROR, "%s: %s",
            secret_is_set(&c->database_url) ? "DATABASE_URL" : "the database in SMARTFLOW_DATA",
            err[0] ? err : strerror(-r));
    return r;
}

static int open_vault(const struct config *c)
{
    struct vault_settings s = {.store = parts.store,
        .data_dir = c->data_dir,
        .master = &c->master_key,
        .next = &c->master_key_next};
    char err[VAULT_ERR_BYTES] = "";
    int r = vault_open(&s, &parts.vault, err);

    if (r < 0)
        log_msg(LOG_ERROR, "the vault of provider keys: %s", err[0] ? err : strerror(-r));
    return r;
}

static int open_shared(const struct config *c)
{
    struct shared_settings s = {.redis_url = c->redis_url,
        .node = str_of(parts.node),
        .prefix = STR("sf"),
        .down = (enum shared_down)c->shared_down,
        .answer_ns = c->redis_timeout};
    char err[512] = "";
    int r = shared_open(&s, &parts.shared, err, sizeof err);

    if (r < 0)
        log_msg(LOG_ERROR, "REDIS_URL: %s", err[0] ? err : strerror(-r));
    return r;
}

static void tell_recovery(const struct journal_recovery *f)
{
    if (!f->last_seq)
        return;
    struct logline l;
    log_begin(&l, LOG_INFO, "journal");
    log_int(&l, "last_seq", (int64_t)f->last_seq);
    log_int(&l, "checked_from", (int64_t)f->checked_from);
    log_int(&l, "replayed", (int64_t)f->replayed);
    log_int(&l, "lost_bytes", (int64_t)f->lost_bytes);
    log_end(&l);
}

static int open_journal(
    const struct config *c, const char *dir, unsigned threads, struct journal_recovery *ret)
{
    struct journal_settings s = {.dir = str_of(dir),
        .chain = str_of(parts.node),
        .durability = c->journal_mode == JOURNAL_MODE_STRICT ? JOURNAL_STRICT : JOURNAL_BATCH,
        .threads = threads,
        .body_max = c->log_body_max,
        .body_retention = c->body_retention};
    char err[512] = "";

    if (c->journal_mode == JOURNAL_MODE_OFF) {
        log_msg(LOG_WARN, "SMARTFLOW_JOURNAL=off: calls leave no audit record");
        return 0;
    }
    int r = journal_open(&s, &parts.journal, ret, err, sizeof err);
    if (r < 0)
        log_msg(LOG_ERROR, "the journal in %s: %s", dir, err[0] ? err : strerror(-r));
    else
        tell_recovery(ret);
    return r;
}

static int open_keys(void)
{
    char err[STORE_ERR_BYTES] = "";
    int r = catalog_new(&parts.catalog);

    if (r == 0)
        r = registry_open(parts.store, parts.shared, parts.catalog, &parts.registry);
    if (r == 0)
        r = registry_load(parts.registry, err);
    if (r == 0)
        registry_on_adjusted(parts.registry, ledger_adjust, NULL);
    if (r < 0)
        log_msg(LOG_ERROR, "cannot load the virtual keys: %s", err[0] ? err : strerror(-r));
    return r;
}

static int open_ledger(const struct config *c, const char *dir, uint64_t kept)
{
    struct ledger_settings s = {.journal = parts.journal,
        .store = parts.store,
        .shared = parts.shared,
        .node = str_of(parts.node),
        .journal_dir = str_of(dir),
        .journal_kept = kept,
        .row_retention = c->row_retention,
        .sums_retention = c->sums_retention,
        .copy_bodies = secret_is_set(&c->database_url)};
    char err[512] = "";
    const struct stage *const *table;
    unsigned n;

    if (!parts.journal)
        return 0;
    table = gw_pipeline_table(&n);
    ledger_use_stages(table, n);
    int r = ledger_open(&s, err, sizeof err);
    if (r < 0)
        log_msg(LOG_ERROR, "cannot bring the ledger up to date: %s", err[0] ? err : strerror(-r));
    return r;
}

int parts_open(const struct config *c, unsigned threads)
{
    struct journal_recovery found = {0};
    char dir[4200];
    unsigned stages_n;
    int r = name_node(c);

    snprintf(dir, sizeof dir, "%s/journal", c->data_dir.p);
    if (r == 0)
        r = open_store(c);
    if (r == 0)
        r = open_vault(c);
    if (r == 0)
        r = open_shared(c);
    if (r == 0)
        r = open_journal(c, dir, threads, &found);
    if (r == 0)
        r = open_keys();
    if (r < 0)
        return r;
    limits_use(parts.shared);
    route_budget_use(parts.shared);
    const struct stage *const *stages = gw_pipeline_table(&stages_n);
    telemetry_open(parts.shared, str_of(parts.node), stages, stages_n);
    r = open_ledger(c, dir, found.kept);
    if (r == 0 && !shared_is_remote(parts.shared)) /* else the follower's first act */
        route_budget_refresh(&c->route.rules);
    return r < 0 ? r : own_open(c->data_dir);
}

/* --- alerts, traces and log sinks: settings of the newest snapshot --- */

static struct {
    struct config *config; /* a reference */
    bool started;
} told;

static void ref_config(void *owner)
{
    config_ref(owner);
}

static void unref_config(void *owner)
{
    config_unref(owner);
}

static void setting_problem(void *ctx, const char *name, const char *why)
{
    (void)ctx;
    log_msg(LOG_ERROR, "%s is of no use: %s", name, why);
}

static void tell_settings(void)
{
    struct config *c = told.config;
    const struct post_route route = {.proxy = c->proxy,
        .ca = c->export_ca,
        .owner = c,
        .ref = ref_config,
        .unref = unref_config};

    alert_use(&c->alert, &route, setting_problem, NULL);
    telemetry_use(&c->telemetry, &route, setting_problem, NULL);
}

static int start_telling(void)
{
    int r = telemetry_start();

    if (r == 0)
        r = alert_start(parts.store, parts.shared, str_of(parts.node));
    told.started = r == 0;
    return r;
}

static void stop_telling(void)
{
    if (told.started) {
        alert_stop();
        telemetry_stop();
    }
    told.started = false;
    config_unref(told.config);
    told.config = NULL;
}

void parts_take_config(const struct config *c)
{
    struct config *was = told.config;

    catalog_set_config_keys(parts.catalog, c->keys.set);
    told.config = config_ref((struct config *)c);
    tell_settings();
    config_unref(was);
}

/* --- running --- */

static struct follower {
    struct co *co;
    struct event news;
    bool stop;
    int64_t version; /* of what the snapshot in force was made from */
} follower;

static struct metric_family shared_up = {
    .name = "smartflow_shared_store_up",
    .help = "1 while Redis answers (always, where there is none).",
    .type = METRIC_GAUGE,
};
static struct metric_family link_losses = {
    .name = "smartflow_shared_store_losses_total",
    .help = "How often the connection to Redis was lost.",
    .type = METRIC_COUNTER,
};

/* At most one line a second, however often the connection comes and goes. */
static void link_changed(void *ctx, bool up, const char *why)
{
    static int64_t said_at;
    static unsigned unsaid;
    static bool was_away;
    int64_t now = clock_now();
    (void)ctx;

    metric_set(metric_get(&shared_up, NULL, 0), up);
    if (!up)
        metric_add(metric_get(&link_losses, NULL, 0), 1);
    if (up && !was_away) /* it is there since the start */
        return;
    was_away |= !up;
    if (said_at && now - said_at < NS_PER_S) {
        unsaid++;
        return;
    }
    said_at = now;
    struct logline l;
    log_begin(&l, up ? LOG_INFO : LOG_WARN, up ? "redis is back" : "redis is away");
    if (why)
        log_str(&l, "why", str_of(why));
    if (!up)
        log_int(&l, "nodes_seen", shared_nodes_seen(parts.shared));
    if (unsaid)
        log_int(&l, "changes_not_logged", unsaid);
    log_end(&l);
    unsaid = 0;
}

static void news(void *ctx, struct str message)
{
    (void)ctx;
    (void)message;
    event_set(&follower.news);
}

#define RELOAD_CHANNEL "config"

static void (*reload)(void);

void parts_on_reload(void (*fn)(void))
{
    reload = fn;
}

void parts_tell_reload(void)
{
    shared_publish(parts.shared, RELOAD_CHANNEL, STR("changed"));
}

static void vault_changed(void *ctx)
{
    (void)ctx;
    parts_tell_reload();
}

/* A snapshot that this node has not seen the reason of yet. */
static void check_snapshot(void)
{
    int64_t version = snapshot_version();

    if (version < 0 || version == follower.version)
        return;
    follower.version = version;
    if (reload)
        reload();
}

/* A database that answers nothing is away, too: who is unknown then may only not be known here. */
static void refresh_keys(void)
{
    int64_t before = co_set_deadline(loop_now() + REFRESH_NS);

    registry_refresh(parts.registry);
    co_set_deadline(before);
}

/* --- what nodes tell each other of providers --- */

#define SHARE_BYTES ((size_t)64 << 10)

static void routing_heard(void *ctx, struct str message)
{
    (void)ctx;
    route_share_heard(str_of(parts.node), message);
}

/* Once a second: latencies and rests go out, budgets come in. */
static void share_routing(void)
{
    static int64_t last;
    _cleanup_(buf_free) struct buf b = {0};

    if (loop_now() - last < FOLLOW_NS)
        return;
    last = loop_now();
    gw_routing_metrics_refresh();
    struct config *c = config_ref(config_current()); /* a reload may come while it asks Redis */
    route_budget_refresh(&c->route.rules);
    config_unref(c);
    if (!shared_is_remote(parts.shared))
        return;
    buf_init(&b, SHARE_BYTES);
    route_share_tell(str_of(parts.node), &b);
    if (b.n && !b.err)
        shared_publish(parts.shared, ROUTE_CHANNEL, buf_str(&b));
}

static void follow(void *arg)
{
    (void)arg;
    share_routing();
    follower.version = snapshot_made_of();
    while (!follower.stop) {
        event_wait(&follower.news, loop_now() + FOLLOW_NS);
        event_reset(&follower.news);
        if (follower.stop || co_cancelled())
            break;
        refresh_keys();
        check_snapshot();
        share_routing();
        gw_kept_forget();
    }
    follower.co = NULL;
}

int parts_start(void)
{
    event_init(&follower.news);
    metric_set(metric_get(&shared_up, NULL, 0), 1);
    metrics_register(&link_losses);
    shared_on_link(parts.shared, link_changed, NULL);
    shared_subscribe(parts.shared, REGISTRY_CHANNEL, news, NULL);
    shared_subscribe(parts.shared, RELOAD_CHANNEL, news, NULL);
    shared_subscribe(parts.shared, ROUTE_CHANNEL, routing_heard, NULL);
    vault_on_change(parts.vault, vault_changed, NULL);
    int r = shared_start(parts.shared);
    if (r == 0)
        r = co_spawn("follow changes", follow, NULL, &follower.co);
    if (r == 0 && parts.journal)
        r = ledger_start();
    if (r == 0)
        r = start_telling();
    if (r == 0)
        r = own_start();
    return r;
}

void parts_stop(void)
{
    follower.stop = true;
    event_set(&follower.news);
    own_stop();
    stop_telling();
    if (parts.journal)
        ledger_stop();
    shared_stop(parts.shared);
}

void parts_close(void)
{
    owned_clear();
    if (parts.journal) {
        ledger_close();
        journal_close(parts.journal);
    }
    registry_close(parts.registry);
    catalog_free(parts.catalog);
    shared_close(parts.shared);
    vault_close(parts.vault);
    store_close(parts.store);
    parts = (struct parts){0};
}
