/*
 * The program's life: threads with their loops and listeners, signals, reload and drain.
 *
 * Every thread has the same three servers (proxy, management, demo), each with its own SO_REUSEPORT
 * listeners. The first thread also takes the signals:
 *   SIGTERM, SIGINT  drain: readiness says 503, listeners close once their queues are empty,
 *                    WebSocket sessions are told to go away, calls end, at the latest after the
 *                    drain time-out. A second one ends at once.
 *   SIGHUP           a new configuration snapshot is loaded and handed to every loop; listeners and
 *                    connections stay, new connections get the certificate that is in its files
 *                    now. A faulty one is reported and the old one stays.
 */
#include "admin/admin.h"
#include "base/log.h"
#include "config/list.h"
#include "demo/demo.h"
#include "gateway/gateway_int.h"
#include "gateway/parts.h"
#include "gateway/serve_int.h"
#include "ledger/ledger.h"
#include "llm/prices.h"
#include "llm/tokens.h"
#include "runtime/offload.h"
#include "runtime/process.h"
#include "telemetry/telemetry.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

extern char **environ;

struct worker {
    struct program *program;
    unsigned index;
    pthread_t thread;
    struct loop *loop;
    struct config *config; /* for its start; a reference, so that a reload cannot take it away */
    struct http_server *servers[SERVICES];
    int start_error;
};

/* Fresh: secrets that settings refer to are read anew, too. */
enum reload { RELOAD_NONE, RELOAD_CHANGED, RELOAD_FRESH };

struct program {
    struct config *config; /* the newest snapshot */
    const char *config_path;
    struct worker *workers;
    unsigned workers_n;
    uint16_t ports[SERVICES];
    unsigned draining; /* signals seen */
    bool stopping, reloading;
    enum reload reload_asked;
    unsigned undrained;         /* threads that still have calls; the first thread counts */
    enum service drain_service; /* what is being drained */
    struct timer drain_limit;
    pthread_barrier_t ended; /* all loops have ended; then: nothing posts to them any more */
    int fds[SERVICES][64];   /* listeners, made before any thread runs */
};

static struct program program;

/* --- listeners --- */

static const struct http_handler handlers[SERVICES] = {
    [SERVICE_PROXY] = {.handle = gateway_handle,
        .overloaded = gateway_overloaded,
        .render_error = gateway_render_error},
    [SERVICE_MANAGEMENT] = {.handle = admin_serve, .render_error = gateway_render_error},
};

static bool service_on(const struct config *c, int service)
{
    switch (service) {
    case SERVICE_PROXY:
        return (c->roles & ROLE_PROXY) != 0;
    case SERVICE_MANAGEMENT:
        return (c->roles & ROLE_MANAGEMENT) != 0;
    default:
        return c->demo;
    }
}

static int listen_service(struct program *p, int service, struct str bind, uint16_t port)
{
    for (unsigned i = 0; i < p->workers_n; i++) {
        int fd = net_listen(bind, i ? p->ports[service] : port, true, 4096, &p->ports[service]);
        if (fd < 0) {
            log_msg(LOG_ERROR, "cannot listen on " STR_FMT ":%u: %s%s", STR_ARG(bind), port,
                strerror(-fd), fd == -EADDRINUSE ? " (is another gateway running?)" : "");
            return fd;
        }
        p->fds[service][i] = fd;
    }
    return 0;
}

/* SO_REUSEPORT would let a second gateway share our port unnoticed: one probe without it first. */
static int listen_all(struct program *p)
{
    const struct config *c = p->config;
    const uint16_t ports[SERVICES] = {c->proxy_port, c->management_port, c->demo_port};
    int r = 0;

    for (int s = 0; s < SERVICES && r == 0; s++) {
        if (!service_on(c, s))
            continue;
        struct str bind = s == SERVICE_DEMO ? STR("127.0.0.1") : c->bind;
        uint16_t bound;
        int probe = net_listen(bind, ports[s], false, 1, &bound);
        if (probe < 0) {
            log_msg(LOG_ERROR, "cannot listen on " STR_FMT ":%u: %s%s", STR_ARG(bind), ports[s],
                strerror(-probe), probe == -EADDRINUSE ? " (is another gateway running?)" : "");
            return probe;
        }
        close(probe);
        r = listen_service(p, s, bind, ports[s]);
    }
    return r;
}

/* --- a thread --- */

static struct http_server_settings server_settings(const struct config *c, int service)
{
    return (struct http_server_settings){
        .max_head = c->max_head,
        .max_connections = c->max_connections,
        .head_timeout = c->head_timeout,
        .idle_timeout = c->idle_timeout,
        .body_timeout = c->body_timeout,
        .write_timeout = c->write_timeout,
        .tls = service == SERVICE_DEMO ? NULL : c->served_tls,
    };
}

static int open_servers(struct worker *w)
{
    struct program *p = w->program;

    for (int s = 0; s < SERVICES; s++) {
        if (!service_on(config_current(), s))
            continue;
        struct http_server_settings set = server_settings(config_current(), s);
        const struct http_handler *h = s == SERVICE_DEMO ? &demo_handler : &handlers[s];
        int r = http_server_new(&set, h, &w->servers[s]);
        if (r == 0)
            r = http_server_listen(w->servers[s], p->fds[s][w->index]);
        if (r < 0)
            return r;
    }
    return 0;
}

static void worker_run(struct worker *w)
{
    loop_bind(w->loop);
    config_set_current(w->config);
    config_unref(w->config);
    w->start_error = catalog_attach(parts.catalog);
    if (w->start_error == 0 && w->index == 0)
        w->start_error = parts_start();
    if (w->start_error == 0)
        w->start_error = open_servers(w);
    if (w->start_error == 0)
        loop_run(w->loop);
    loop_bind(w->loop); /* loop_run() gave it up, and what is freed here still has timers on it */
    for (int s = 0; s < SERVICES; s++)
        if (w->servers[s])
            http_server_free(w->servers[s]);
    http_client_close_idle();
    config_set_current(NULL);
    catalog_detach(parts.catalog);
    log_flush();
}

/* A loop is freed by its own thread, but not before the offload pool and the other threads are done
 * with it: the first thread stops the pool between the two waits. */
static void worker_end(struct worker *w)
{
    struct program *p = w->program;

    pthread_barrier_wait(&p->ended);
    if (w->index == 0) {
        serve_leave_secrets();
        offload_stop();
        parts_close();
    }
    pthread_barrier_wait(&p->ended);
    gw_live_thread_end();
    loop_free(w->loop);
    gw_exchange_thread_end();
    gw_reply_thread_end();
    telemetry_thread_end();
    ledger_thread_end();
}

static void *worker_main(void *arg)
{
    worker_run(arg);
    worker_end(arg);
    return NULL;
}

/* --- drain --- */

static void stop_loop(void *arg)
{
    (void)arg;
    loop_stop(loop_self());
}

static void stop_all(void)
{
    for (unsigned i = 0; i < program.workers_n; i++)
        loop_post(program.workers[i].loop, stop_loop, NULL);
}

/* When no call needs them any more: the parts first, since what they still have to write needs a
 * loop, then the loops. */
static void stop_in_order(void *arg)
{
    (void)arg;
    parts_stop();
    stop_all();
}

static void stop_parts_and_loops(struct program *p)
{
    if (!p->stopping && co_spawn("stop", stop_in_order, NULL, NULL) < 0)
        stop_all();
    p->stopping = true;
}

/* The order of the end: the proxies of all threads, then the management servers, which until then
 * say that we are draining, then the loops. No loop ends before all threads are through: the first
 * one has the signals and the time-out, and the demo provider of any may still be needed by the
 * calls of another. */
static void drain_service(struct program *p, enum service service);

/* On the first thread. */
static void worker_drained(void *arg)
{
    struct program *p = arg;

    if (--p->undrained > 0)
        return;
    if (p->drain_service == SERVICE_PROXY)
        drain_service(p, SERVICE_MANAGEMENT);
    else
        stop_parts_and_loops(p);
}

static void server_drained(void *ctx)
{
    struct worker *w = ctx;

    loop_post(w->program->workers[0].loop, worker_drained, w->program);
}

static void drain_worker(void *arg)
{
    struct worker *w = arg;
    struct http_server *s = w->servers[w->program->drain_service];

    if (w->program->drain_service == SERVICE_PROXY)
        gw_ws_go_away();
    if (s)
        http_server_drain(s, server_drained, w);
    else
        server_drained(w);
}

static void drain_service(struct program *p, enum service service)
{
    p->drain_service = service;
    p->undrained = p->workers_n;
    for (unsigned i = 0; i < p->workers_n; i++)
        loop_post(p->workers[i].loop, drain_worker, &p->workers[i]);
}

static void drain_over(struct timer *t)
{
    (void)t;
    log_msg(LOG_WARN, "the drain time-out is over: %u calls are cut off", gw_in_flight());
    stop_parts_and_loops(&program);
}

static void begin_drain(struct program *p)
{
    log_msg(LOG_INFO, "draining: %u calls in flight", gw_in_flight());
    admin_set_draining(true);
    timer_init(&p->drain_limit, drain_over);
    timer_set(&p->drain_limit, clock_now() + p->config->drain_timeout);
    drain_service(p, SERVICE_PROXY);
}

/* --- what listeners show --- */

static int make_served_tls(struct config *c)
{
    struct tls_server_settings set = {
        .cert_file = c->tls_cert,
        .key_file = c->tls_key,
        .client_ca_file = c->tls_client_ca,
    };
    char err[256];

    if (!set.cert_file)
        return 0;
    if (tls_server_ctx(&set, &c->served_tls, err, sizeof err) < 0) {
        log_msg(LOG_ERROR, "TLS: %s", err);
        return -EINVAL;
    }
    return 0;
}

/* --- reload --- */

static void take_config(void *arg)
{
    struct config *c = arg;
    struct worker *w = NULL;

    for (unsigned i = 0; i < program.workers_n; i++)
        if (program.workers[i].loop == loop_self())
            w = &program.workers[i];
    config_set_current(c);
    http_client_close_idle(); /* made under the old proxies and allow-lists */
    for (int s = 0; w && s < SERVICES; s++) {
        if (!w->servers[s])
            continue;
        struct http_server_settings set = server_settings(c, s);
        http_server_reconfigure(w->servers[s], &set);
    }
    config_unref(c);
}

/* Its files may have been renewed. Whether there is TLS cannot change without a restart. */
static int take_tls(const struct program *p, struct config *c)
{
    if (!p->config->served_tls != !c->tls_cert) {
        log_msg(LOG_ERROR, "SMARTFLOW_TLS_CERT: whether TLS is served cannot change at a reload");
        return -EINVAL;
    }
    return make_served_tls(c);
}

static void reload_changed(void);

static void reload_once(struct program *p, bool fresh)
{
    struct config *c;

    if (snapshot_make(p->config_path, fresh, &c) < 0 || take_tls(p, c) < 0) {
        log_msg(LOG_ERROR, "the new configuration is faulty; the old one stays");
        config_unref(c);
        return;
    }
    config_inherit(c, p->config);
    c->demo = p->config->demo; /* what the listeners are cannot change without a restart */
    serve_adopt(c, p->config, p->ports);
    config_unref(p->config);
    p->config = c;
    serve_set_log(c);
    parts_take_config(c);
    for (unsigned i = 0; i < p->workers_n; i++)
        loop_post(p->workers[i].loop, take_config, config_ref(c));
    serve_keep_secrets(c, p->workers[0].loop, reload_changed);
    log_msg(LOG_INFO, "configuration reloaded");
}

/* One at a time; what comes meanwhile is one more. */
static void reload_all(void *arg)
{
    struct program *p = arg;

    while (p->reload_asked) {
        bool fresh = p->reload_asked == RELOAD_FRESH;
        p->reload_asked = RELOAD_NONE;
        reload_once(p, fresh);
    }
    p->reloading = false;
}

static void reload(struct program *p, enum reload how)
{
    p->reload_asked = MAX(p->reload_asked, how);
    if (p->reloading)
        return;
    p->reloading = co_spawn("reload", reload_all, p, NULL) == 0;
}

static void reload_changed(void)
{
    reload(&program, RELOAD_CHANGED);
}

static void on_signal(int signo, void *ctx)
{
    struct program *p = ctx;

    if (signo == SIGHUP) {
        reload(p, RELOAD_FRESH);
    } else if (p->draining++ == 0) {
        begin_drain(p);
    } else {
        stop_parts_and_loops(p);
    }
}

/* --- start --- */

static void prepare_process(const struct config *c)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    if (!c->core_dumps) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        prctl(PR_SET_DUMPABLE, 0);
    }
    signal(SIGPIPE, SIG_IGN);
}

static int make_workers(struct program *p)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    p->workers_n = p->config->threads ? p->config->threads : (unsigned)MAX(cores, 1);
    p->workers_n = MIN(p->workers_n, ARRAY_LEN(p->fds[0]));
    p->workers = calloc(p->workers_n, sizeof *p->workers);
    if (!p->workers)
        return -ENOMEM;
    for (unsigned i = 0; i < p->workers_n; i++) {
        p->workers[i].program = p;
        p->workers[i].index = i;
        int r = loop_new(i, &p->workers[i].loop);
        if (r < 0)
            return r;
    }
    return 0;
}

static void publish_loops(struct program *p)
{
    struct loop *loops[ARRAY_LEN(p->fds[0])];

    for (unsigned i = 0; i < p->workers_n; i++)
        loops[i] = p->workers[i].loop;
    admin_set_loops(loops, p->workers_n);
}

static int start(struct program *p)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
    int r;

    loop_bind(p->workers[0].loop);
    if ((r = signals_watch(signals, ARRAY_LEN(signals), on_signal, p)) < 0)
        return r;
    if ((r = listen_all(p)) < 0)
        return r;
    serve_adopt(p->config, NULL, p->ports);
    parts_take_config(p->config);
    catalog_on_change(parts.catalog, gw_live_check, NULL);
    if ((r = offload_start(4)) < 0) {
        log_msg(LOG_ERROR, "cannot start the offload threads: %s", strerror(-r));
        return r;
    }
    serve_keep_secrets(p->config, p->workers[0].loop, reload_changed);
    for (unsigned i = 0; i < p->workers_n; i++)
        p->workers[i].config = config_ref(p->config);
    pthread_barrier_init(&p->ended, NULL, p->workers_n);
    for (unsigned i = 1; i < p->workers_n; i++) {
        if (pthread_create(&p->workers[i].thread, NULL, worker_main, &p->workers[i]) == 0)
            continue;
        log_msg(LOG_ERROR, "cannot start %u threads: set SMARTFLOW_THREADS lower", p->workers_n);
        return -EAGAIN;
    }
    return 0;
}

static bool setting_at(
    const struct config *c, unsigned i, struct admin_setting *ret, struct buf *scratch)
{
    struct setting_shown s;

    if (!config_setting_at(c, i, &s, scratch))
        return false;
    *ret = (struct admin_setting){s.name, s.initial, s.doc, s.value, s.secret, s.from_file};
    return true;
}

static void use_parts(struct program *p)
{
    static char dir[4200];
    struct admin_env env = {.store = parts.store,
        .journal = parts.journal,
        .registry = parts.registry,
        .catalog = parts.catalog,
        .shared = parts.shared,
        .vault = parts.vault,
        .journal_dir = dir,
        .node = str_of(parts.node),
        .config_path = p->config_path,
        .environ = environ,
        .setting_at = setting_at,
        .model_at = model_facts_at,
        .client_address = gw_client_address,
        .cors_fields = gw_cors_fields,
        .reload = parts_tell_reload};

    snprintf(dir, sizeof dir, STR_FMT "/journal", STR_ARG(p->config->data_dir));
    vault_derive(parts.vault, "sessions", env.session_key);
    admin_use(&env);
    mem_wipe(env.session_key, sizeof env.session_key);
    parts_on_reload(reload_changed);
}

/* What the API changed before the last stop counts from the first call on. */
static int take_first_snapshot(struct program *p)
{
    struct config *c;
    int r = snapshot_make(p->config_path, false, &c);

    if (r < 0)
        return r;
    if (p->config->served_tls) {
        c->served_tls = p->config->served_tls;
        p->config->served_tls = NULL;
    }
    config_unref(p->config);
    p->config = c;
    c->demo = serve_wants_demo(c);
    serve_set_log(c);
    use_parts(p);
    return 0;
}

static int run(struct program *p)
{
    int r = make_served_tls(p->config);

    if (r == 0)
        r = serve_data_dir(p->config);
    if (r == 0)
        r = make_workers(p);
    if (r == 0) /* before this thread has a loop, since it waits */
        r = parts_open(p->config, p->workers_n);
    if (r == 0)
        r = take_first_snapshot(p);
    if (r == 0) {
        publish_loops(p); /* before the threads that read the list */
        r = start(p);
    }
    if (r < 0)
        return 1;
    serve_banner(p->config, p->ports, p->config->served_tls != NULL);
    serve_watch_memory();
    worker_run(&p->workers[0]);
    serve_stop_watching();
    stop_all();
    worker_end(&p->workers[0]);
    for (unsigned i = 1; i < p->workers_n; i++)
        pthread_join(p->workers[i].thread, NULL);
    log_msg(LOG_INFO, "stopped");
    log_flush();
    return p->workers[0].start_error ? 1 : 0;
}

/* The token tables that the build made stand beside the program. */
static void set_share(const struct config *c)
{
    char path[4096 + 8];
    ssize_t n = readlink("/proc/self/exe", path, 4096);

    while (n > 0 && path[n - 1] != '/')
        n--;
    if (n > 0)
        memcpy(path + n, "share", 6);
    if (c->share_dir || n > 0)
        tokens_set_share(c->share_dir ? c->share_dir : path);
}

int gateway_serve(struct config *first, const char *config_path)
{
    serve_set_log(first);
    first->demo = serve_wants_demo(first);
    program.config = first;
    program.config_path = config_path;
    prepare_process(first);
    set_share(first);
    return run(&program);
}
