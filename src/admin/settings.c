/* Settings and prices of the store, laid over environment and file. See admin/settings.h. */
#include "admin/settings.h"
#include "admin/settings_int.h"

#include "base/buf.h"
#include "llm/prices.h"
#include "store/store.h"
#include "json/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define PRICES_FILE_BYTES LIMIT_OVERLAY_BYTES

/* --- which may change --- */

enum setting_place admin_setting_place(struct str name)
{
    /* Where the store and the secrets are, and who may: from outside alone. */
    static const char *const fixed[] = {"SMARTFLOW_DATA", "DATABASE_URL", "REDIS_URL",
        "SMARTFLOW_MASTER_KEY", "SMARTFLOW_ADMIN_KEY", "SMARTFLOW_METRICS_TOKEN",
        "SMARTFLOW_DEMO_KEY", "SMARTFLOW_CONFIG", "SMARTFLOW_TLS_KEY", "SMARTFLOW_UPSTREAM_KEY",
        "SMARTFLOW_TRUSTED_PROXIES", "SMARTFLOW_CORE_DUMPS"};
    static const char *const restart[] = {"SMARTFLOW_BIND", "PROXY_PORT", "MANAGEMENT_PORT",
        "COMPLIANCE_PORT", "POLICY_PORT", "BRIDGE_PORT", "SMARTFLOW_THREADS", "SMARTFLOW_DEMO",
        "SMARTFLOW_DEMO_PORT", "SMARTFLOW_ROLES", "SMARTFLOW_TLS_CERT", "SMARTFLOW_TLS_CLIENT_CA",
        "SMARTFLOW_SHARE", "SMARTFLOW_NODE", "SMARTFLOW_JOURNAL", "SMARTFLOW_SHARED_DOWN",
        "SMARTFLOW_DATABASE_CONNECTIONS", "SMARTFLOW_LOG_BODY_MAX", "SMARTFLOW_BODY_RETENTION",
        "SMARTFLOW_LOG_RETENTION", "SMARTFLOW_ANALYTICS_RETENTION"};

    for (unsigned i = 0; i < ARRAY_LEN(fixed); i++)
        if (str_eq(name, str_of(fixed[i])))
            return SETTING_FIXED;
    for (unsigned i = 0; i < ARRAY_LEN(restart); i++)
        if (str_eq(name, str_of(restart[i])))
            return SETTING_AT_START;
    return SETTING_LIVE;
}

/* --- the environment --- */

/* Rows that are settings of this kind: others of the table have a '.' or ':' in their names. */
static bool is_setting(struct str name)
{
    return str_chr(name, '.') < 0 && str_chr(name, ':') < 0;
}

/* NAME or NAME_FILE of the environment gives way to the store's. */
static bool is_replaced(const struct store_rows *rows, const char *entry)
{
    struct str rest = str_of(entry), name = str_split(&rest, '=');

    if (str_ends(name, STR("_FILE")))
        name = str_to(name, name.n - 5);
    for (unsigned i = 0; i < store_rows_n(rows); i++)
        if (str_eq(store_cell_str(rows, i, 0), name) && admin_setting_place(name) != SETTING_FIXED)
            return true;
    return false;
}

/* NAME=value; the value is a JSON string in the store. NULL: it is not, or memory is out. */
static char *entry_of(struct str name, struct str json)
{
    char *out = json_type_of(json) == JSON_STRING ? malloc(name.n + json.n + 2) : NULL;

    if (!out)
        return NULL;
    memcpy(out, name.p, name.n);
    out[name.n] = '=';
    ptrdiff_t n = json_unescape(json, out + name.n + 1);
    out[name.n + 1 + (size_t)MAX(n, 0)] = '\0';
    return out;
}

static int make_environ(const struct store_rows *rows, char *const *env, struct admin_overlay *o)
{
    size_t n = store_rows_n(rows), at = 0;

    for (char *const *e = env; e && *e; e++)
        n++;
    if (!(o->environ = calloc(n + 1, sizeof *o->environ)))
        return -ENOMEM;
    for (char *const *e = env; e && *e; e++)
        if (!is_replaced(rows, *e) && !(o->environ[at++] = strdup(*e)))
            return -ENOMEM;
    for (unsigned i = 0; i < store_rows_n(rows); i++) {
        struct str name = store_cell_str(rows, i, 0);
        if (!is_setting(name) || admin_setting_place(name) == SETTING_FIXED)
            continue;
        if (!(o->environ[at++] = entry_of(name, store_cell_str(rows, i, 1))))
            return -ENOMEM;
        o->settings++;
    }
    return 0;
}

/* --- prices --- */

/* {"openai/gpt-4o": {…}, …} of the rows "price:openai/gpt-4o". */
static int make_prices(const struct store_rows *rows, struct admin_overlay *o)
{
    _cleanup_(buf_free) struct buf b = {0};

    buf_init(&b, PRICES_FILE_BYTES);
    for (unsigned i = 0; i < store_rows_n(rows); i++) {
        struct str name = store_cell_str(rows, i, 0);
        if (!str_starts(name, STR(PRICE_PREFIX)))
            continue;
        buf_addc(&b, b.n ? ',' : '{');
        buf_addjson(&b, str_from(name, strlen(PRICE_PREFIX)));
        buf_addc(&b, ':');
        buf_addstr(&b, store_cell_str(rows, i, 1));
    }
    if (!b.n)
        return 0;
    buf_addc(&b, '}');
    if (b.err)
        return b.err;
    return (o->prices = str_dup(buf_str(&b))) ? 0 : -ENOMEM;
}

int admin_overlay_load(struct store *s, char *const *env, struct admin_overlay *ret, char *err)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int r;

    *ret = (struct admin_overlay){0};
    *err = '\0';
    r = store_query(s, "SELECT name, value FROM settings ORDER BY name", NULL, 0, &rows, err);
    if (r == 0)
        r = make_environ(rows, env, ret);
    if (r == 0)
        r = make_prices(rows, ret);
    if (r < 0)
        admin_overlay_free(ret);
    return r;
}

void admin_overlay_free(struct admin_overlay *o)
{
    for (char **e = o->environ; e && *e; e++) {
        mem_wipe(*e, strlen(*e));
        free(*e);
    }
    free(o->environ);
    free(o->prices);
    *o = (struct admin_overlay){0};
}

/* The operator's file, whose path is the overlay's own SMARTFLOW_PRICES. */
static int read_file(const char *path, struct buf *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), r = 0;
    ssize_t n = 1;

    if (fd < 0)
        return -errno;
    while (r == 0 && n > 0) {
        r = buf_reserve(out, 64 * KIB);
        n = r < 0 ? 0 : read(fd, out->p + out->n, 64 * KIB);
        if (n < 0)
            r = -errno;
        out->n += n > 0 ? (size_t)n : 0;
    }
    close(fd);
    return r;
}

static const char *prices_path(const struct admin_overlay *o)
{
    const struct str name = STR("SMARTFLOW_PRICES=");

    for (char **e = o->environ; e && *e; e++)
        if (str_starts(str_of(*e), name) && (*e)[name.n])
            return *e + name.n;
    return NULL;
}

/* Entries of the file whose name the store has, too, give way. */
static void merge(struct str file, struct str ours, struct buf *out)
{
    size_t at = json_inside(file);
    struct str key, value;

    buf_addstr(out, str_to(ours, ours.n - 1));
    while (json_next(file, &at, &key, &value)) {
        size_t in = json_inside(ours);
        struct str k, v;
        bool have = false;
        while (!have && json_next(ours, &in, &k, &v))
            have = str_eq(k, key);
        if (have)
            continue;
        buf_addstr(out, STR(",\""));
        buf_addstr(out, key);
        buf_addstr(out, STR("\":"));
        buf_addstr(out, value);
    }
    buf_addc(out, '}');
}

int admin_overlay_prices(const struct admin_overlay *o, struct config *c, char *err, size_t err_n)
{
    _cleanup_(buf_free) struct buf file = {0}, all = {0};
    const char *path = prices_path(o);
    struct prices_overlay *made = NULL;
    int r = 0;

    if (!o->prices)
        return 0;
    if (c->prices && !path) {
        snprintf(err, err_n,
            "prices set over the API need SMARTFLOW_PRICES to come from the "
            "environment, not from the configuration file");
        return -EINVAL;
    }
    buf_init(&file, PRICES_FILE_BYTES);
    buf_init(&all, 2 * PRICES_FILE_BYTES);
    if (path && (r = read_file(path, &file)) < 0) {
        snprintf(err, err_n, "%s: %s", path, strerror(-r));
        return r;
    }
    merge(buf_str(&file), str_of(o->prices), &all);
    r = all.err ? all.err : prices_overlay_parse(buf_str(&all), &made, err, err_n);
    if (r < 0)
        return r;
    prices_overlay_unref(c->prices);
    c->prices = made;
    c->route.prices = made;
    return 0;
}
