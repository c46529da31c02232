/*
 * For the tests of the management API: a server with everything behind it (a SQLite store, a
 * journal, a catalogue, in a scratch folder), and callers of every role.
 */
#ifndef SF_ADMIN_API_TEST_H
#define SF_ADMIN_API_TEST_H

/* The loopback's fake upstream has the name that providers/provider.h has, too. */
#define upstream loopback_upstream
#include "http/loopback.h"
#undef upstream

#include "admin/api_int.h"
#include "admin/settings.h"
#include "journal/journal.h"
#include "keys/limits.h"
#include "keys/registry.h"
#include "runtime/offload.h"
#include "store/shared.h"
#include "store/store.h"
#include "json/scan.h"

#include <dirent.h>

#define T_ADMIN "sk-admin-0123456789abcdef0123456789abcdef0123456789abcdef"

static char t_folder[64], t_journal[80];
static struct config *t_config;
static struct admin_env t_env;
static unsigned t_reloads;

/* --- the parts --- */

static void t_problem(void *ctx, const char *file, unsigned line, const char *text)
{
    fprintf(stderr, "# %s\n", text);
}

static inline void t_remove(const char *folder)
{
    char path[512];
    DIR *d = opendir(folder);

    for (struct dirent *e; d && (e = readdir(d));) {
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (e->d_name[0] != '.')
            remove(path);
    }
    if (d)
        closedir(d);
    rmdir(folder);
}

static char t_data[96];
static char *t_environ[] = {t_data, "SMARTFLOW_ADMIN_KEY=" T_ADMIN,
    "OPENAI_API_KEY=sk-upstream-secret-9f3a", "SMARTFLOW_MAX_BODY=1MiB",
    "SMARTFLOW_CORS_ORIGINS=https://console.example", NULL};

static void t_reload(void)
{
    t_reloads++;
}

static bool t_setting_at(
    const struct config *c, unsigned i, struct admin_setting *ret, struct buf *scratch)
{
    if (i == 0) {
        buf_printf(scratch, "%llu", (unsigned long long)c->max_body);
        *ret = (struct admin_setting){.name = "SMARTFLOW_MAX_BODY",
            .initial = "64MiB",
            .doc = "Largest JSON request body.",
            .value = buf_str(scratch)};
    } else if (i == 1) {
        *ret = (struct admin_setting){
            .name = "SMARTFLOW_ADMIN_KEY", .initial = "", .doc = "The key.", .secret = true};
    } else if (i == 2) {
        *ret = (struct admin_setting){
            .name = "PROXY_PORT", .initial = "7775", .doc = "The port.", .value = STR("7775")};
    }
    return i < 3;
}

/* Before there is a loop, since it waits. */
static inline void t_open(void)
{
    struct journal_settings js = {.dir = str_of(t_journal), .chain = STR("node-1"), .threads = 1};
    struct store_settings ss = {.data_dir = str_of(t_folder)};
    struct shared_settings hs = {.node = STR("node-1"), .prefix = STR("t")};
    struct journal_recovery found;
    char why[512] = "";

    strcpy(t_folder, "/tmp/sf-admin-XXXXXX");
    must(mkdtemp(t_folder));
    snprintf(t_journal, sizeof t_journal, "%s/journal", t_folder);
    snprintf(t_data, sizeof t_data, "SMARTFLOW_DATA=%s", t_folder);
    js.dir = str_of(t_journal);
    ss.data_dir = str_of(t_folder);
    must(offload_start(2) == 0);
    if (config_load(NULL, t_environ, t_problem, NULL, &t_config) ||
        store_open(&ss, &t_env.store, why, sizeof why) < 0 ||
        journal_open(&js, &t_env.journal, &found, why, sizeof why) < 0 ||
        shared_open(&hs, &t_env.shared, why, sizeof why) < 0 || catalog_new(&t_env.catalog) < 0 ||
        registry_open(t_env.store, t_env.shared, t_env.catalog, &t_env.registry) < 0 ||
        registry_load(t_env.registry, why) < 0)
        panic("%s", why);
    limits_use(t_env.shared);
    t_env.journal_dir = t_journal;
    t_env.node = STR("node-1");
    t_env.environ = t_environ;
    t_env.reload = t_reload;
    t_env.setting_at = t_setting_at;
    admin_use(&t_env);
}

static inline void t_close(void)
{
    registry_close(t_env.registry);
    journal_close(t_env.journal);
    shared_close(t_env.shared);
    catalog_free(t_env.catalog);
    store_close(t_env.store);
    config_unref(t_config);
    t_remove(t_journal);
    t_remove(t_folder);
}

/* --- a call --- */

struct t_reply {
    int status;
    struct buf body, head;
};
static struct t_reply t_got;

static inline struct str t_body(void)
{
    return buf_str(&t_got.body);
}

/* Sends one request of bytes and keeps the reply in t_got; the status is returned. */
static inline int t_send(
    const char *method, const char *target, const char *fields, struct str body)
{
    struct raw r;
    struct reply p;
    char head[4096];

    snprintf(head, sizeof head,
        "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %zu\r\n%s\r\n", method,
        target, body.n, fields);
    raw_open(&r, rig.port);
    must(raw_sendz(&r, head) == 0);
    if (body.n)
        must(raw_send(&r, body) == 0);
    if (raw_reply(&r, !strcmp(method, "HEAD"), &p) < 0)
        p.status = 0; /* broken off */
    raw_close(&r);
    buf_free(&t_got.body);
    buf_free(&t_got.head);
    buf_init(&t_got.body, 256 * MIB);
    buf_init(&t_got.head, MIB);
    buf_addstr(&t_got.body, buf_str(&p.body));
    for (unsigned i = 0; i < p.head.fields.n; i++) {
        const struct http_field *f = &p.head.fields.at[i];
        buf_printf(&t_got.head, STR_FMT ": " STR_FMT "\n", STR_ARG(f->name), STR_ARG(f->value));
    }
    t_got.status = p.status;
    reply_free(&p);
    return t_got.status;
}

/* With a bearer token (NULL: none). */
static inline int t_call(
    const char *method, const char *target, const char *token, const char *body)
{
    char fields[512] = "";

    if (token)
        snprintf(fields, sizeof fields, "Authorization: Bearer %s\r\n", token);
    return t_send(method, target, fields, str_of(body ? body : ""));
}

/* A member of the last reply, as text without quotes ("data.id"); valid until the next. */
static inline struct str t_at(const char *path)
{
    struct str v = json_find(t_body(), str_of(path));

    return v.n > 1 && v.p[0] == '"' ? str_at(v.p + 1, v.n - 2) : v;
}

static inline bool t_has(const char *text)
{
    return str_find(t_body(), str_of(text)) >= 0;
}

static inline bool t_head_has(const char *text)
{
    return str_find(buf_str(&t_got.head), str_of(text)) >= 0;
}

static inline unsigned t_lines(void)
{
    unsigned n = 0;

    for (size_t i = 0; i < t_got.body.n; i++)
        n += t_got.body.p[i] == '\n';
    return n;
}

/* A copy of t_at() that lives for the test program. */
static inline const char *t_keep(const char *path)
{
    static char kept[64][256];
    static unsigned n;
    char *to = kept[n++ % 64];

    snprintf(to, sizeof kept[0], STR_FMT, STR_ARG(t_at(path)));
    return to;
}

/* --- callers of every role --- */

static struct {
    const char *viewer, *org_admin, *user, *key; /* tokens */
    const char *org, *other_org, *user_id, *key_id;
} who;

static inline const char *t_make(const char *path, const char *body, const char *what)
{
    if (t_call("POST", path, T_ADMIN, body) != 201)
        panic("%s %s: %d " STR_FMT, path, body, t_got.status, STR_ARG(t_body()));
    return t_keep(what);
}

static inline const char *t_format(const char *fmt, const char *a, const char *b)
{
    static char text[1024];

    snprintf(text, sizeof text, fmt, a, b);
    return text;
}

static inline void t_callers(void)
{
    who.org = t_make("/api/organizations", "{\"name\":\"acme\"}", "data.id");
    who.other_org = t_make("/api/organizations", "{\"name\":\"umbrella\"}", "data.id");
    who.user_id = t_make(
        "/api/users", t_format("{\"name\":\"ann\",\"org_id\":\"%s\"}", who.org, ""), "data.id");
    who.key = t_make("/api/enterprise/vkeys",
        t_format("{\"name\":\"anns\",\"user_id\":\"%s\"}", who.user_id, ""), "data.key");
    who.key_id = t_keep("data.id");
    who.viewer = t_make(
        "/api/admin/users", "{\"name\":\"vera\",\"role\":\"proxy_admin_viewer\"}", "data.token");
    who.org_admin = t_make("/api/admin/users",
        t_format("{\"name\":\"otto\",\"role\":\"org_admin\",\"org_id\":\"%s\"}", who.org, ""),
        "data.token");
    who.user = t_make("/api/admin/users",
        t_format(
            "{\"name\":\"ann\",\"role\":\"internal_user\",\"user_id\":\"%s\"}", who.user_id, ""),
        "data.token");
}

/* Runs the body in a loop, with a server and callers. */
static void (*t_body_fn)(void);

static void t_main(void)
{
    config_set_current(t_config);
    must(shared_start(t_env.shared) == 0 && catalog_attach(t_env.catalog) == 0);
    rig_start(admin_serve);
    admin_guard_reset();
    if (!who.org)
        t_callers();
    t_body_fn();
    rig_stop();
    shared_stop(t_env.shared);
    catalog_detach(t_env.catalog);
    config_set_current(NULL);
    buf_free(&t_got.body);
    buf_free(&t_got.head);
}

static inline void t_run(void (*fn)(void))
{
    t_body_fn = fn;
    in_loop(t_main);
}

#endif
