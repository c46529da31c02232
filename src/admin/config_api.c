/*
 * Settings: what is in force and where it comes from, and changes to them that last in the store.
 *
 * A change is checked by the loader itself: a snapshot is loaded, on the offload pool, with the new
 * values in the environment, and thrown away; what the loader finds wrong is the answer. So there
 * is one set of rules. What the store says wins over the environment, which wins over the file.
 */
#include "admin/api_int.h"
#include "admin/rows.h"
#include "admin/settings_int.h"
#include "runtime/offload.h"
#include "store/store.h"
#include "text/nearest.h"
#include "json/scan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define SETTINGS_MAX  256 /* in the table */
#define CHANGES_MAX   32  /* in one call */
#define CHECK_TIMEOUT (30 * NS_PER_S)

/* --- what is in force --- */

static const char *const source_words[] = {"default", "file", "env", "store", NULL};
enum source { FROM_DEFAULT, FROM_FILE, FROM_ENV, FROM_STORE };
static const char *const place_words[] = {"live", "restart", "fixed", NULL};

static bool in_environ(char *const *env, struct str name)
{
    for (; env && *env; env++) {
        struct str rest = str_of(*env), key = str_split(&rest, '=');
        if (str_ends(key, STR("_FILE")) && key.n == name.n + 5)
            key = str_to(key, name.n);
        if (str_eq(key, name) && rest.n)
            return true;
    }
    return false;
}

static bool in_rows(const struct store_rows *rows, struct str name)
{
    for (unsigned i = 0; rows && i < store_rows_n(rows); i++)
        if (str_eq(store_cell_str(rows, i, 0), name))
            return true;
    return false;
}

static enum source source_of(
    struct admin_call *c, const struct admin_setting *s, const struct store_rows *rows)
{
    struct str name = str_of(s->name);

    if (in_rows(rows, name) && admin_setting_place(name) != SETTING_FIXED)
        return FROM_STORE;
    if (in_environ(c->env->environ, name))
        return FROM_ENV;
    return s->from_file ? FROM_FILE : FROM_DEFAULT;
}

static const struct field_row setting_fields[] = {
    {"name", FIELD_TEXT, 0, 0, 0, 64, NULL, NULL, "The variable.", "\"SMARTFLOW_MAX_BODY\""},
    {"value", FIELD_TEXT, 0, 0, 0, 0, NULL, NULL, "In force; null of secrets.", "\"64MiB\""},
    {"default", FIELD_TEXT, 0, 0, 0, 0, NULL, NULL, "Where nothing sets it.", NULL},
    {"source", FIELD_WORD, 0, 0, 0, 0, source_words, NULL, "What set it.", NULL},
    {"changes", FIELD_WORD, 0, 0, 0, 0, place_words, NULL,
        "live: at once; restart: from the next start; fixed: not over the API.", NULL},
    {"secret", FIELD_BOOL, 0, 0, 0, 0, NULL, NULL, "Whether its value is hidden.", NULL},
    {"is_set", FIELD_BOOL, 0, 0, 0, 0, NULL, NULL, "Whether anything but the default sets it.",
        NULL},
    {"doc", FIELD_TEXT, 0, 0, 0, 0, NULL, NULL, "What it is for.", NULL},
};
static const struct admin_schema setting_schema = {
    "Setting", setting_fields, ARRAY_LEN(setting_fields), 0};

static void put_setting(struct buf *out, const struct admin_setting *s, enum source source)
{
    enum setting_place place = admin_setting_place(str_of(s->name));

    put_open(out, NULL, '{');
    put_str(out, "name", str_of(s->name));
    if (s->secret)
        put_null(out, "value");
    else
        put_str(out, "value", s->value);
    put_str(out, "default", str_of(s->initial ? s->initial : ""));
    put_str(out, "source", str_of(source_words[source]));
    put_str(out, "changes", str_of(place_words[s->secret ? SETTING_FIXED : place]));
    put_bool(out, "secret", s->secret);
    put_bool(out, "is_set", source != FROM_DEFAULT);
    put_str(out, "doc", str_of(s->doc));
    put_close(out, '}');
}

static bool setting_at(struct admin_call *c, unsigned i, struct admin_setting *s, struct buf *text)
{
    *s = (struct admin_setting){0};
    buf_clear(text);
    return c->env->setting_at && c->env->setting_at(c->config, i, s, text);
}

static int stored(struct admin_call *c, struct store_rows **ret)
{
    char err[STORE_ERR_BYTES] = "";

    if (!c->env->store)
        return admin_store_fail(c, -EHOSTDOWN, NULL);
    int r = store_query(c->env->store, "SELECT name FROM settings", NULL, 0, ret, err);
    return r < 0 ? admin_store_fail(c, r, err) : 0;
}

static int settings_page(struct admin_call *c, struct admin_page *p, void *ctx)
{
    _cleanup_(buf_free) struct buf text = {0};
    struct admin_setting s;
    uint64_t from = 0;
    unsigned i;

    if (p->cursor.n && str_u64(p->cursor, &from) < 0)
        return admin_bad(c, "cursor", "cursor is not of this list.");
    buf_init(&text, 64 * KIB);
    for (i = (unsigned)from; i < from + p->limit && setting_at(c, i, &s, &text); i++)
        put_setting(p->items, &s, source_of(c, &s, ctx));
    if (setting_at(c, i, &s, &text))
        p->next = arena_printf(&c->arena, "%u", i);
    return 0;
}

static int list(struct admin_call *c)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int r = stored(c, &rows);

    if (!c->limit_given)
        c->limit = SETTINGS_MAX;
    return r < 0 ? r : admin_list(c, settings_page, rows);
}

/* --- checking a change --- */

struct change {
    struct str name, value; /* value: p NULL = take it back */
};

struct changes {
    struct change at[CHANGES_MAX];
    unsigned n;
    bool restart;
};

/* Lives with the pool when the caller does not wait any more. */
struct trial {
    struct admin_overlay overlay;
    char *path;
    unsigned problems;
    char why[512];
};

static void trial_problem(void *ctx, const char *file, unsigned line, const char *text)
{
    struct trial *t = ctx;

    if (!t->problems++)
        snprintf(t->why, sizeof t->why, "%s", text);
}

static int trial_run(void *data)
{
    struct trial *t = data;
    struct config *made = NULL;

    if (config_load(t->path, t->overlay.environ, trial_problem, t, &made))
        return -EINVAL;
    config_unref(made);
    return 0;
}

static void trial_free(void *data)
{
    struct trial *t = data;

    admin_overlay_free(&t->overlay);
    free(t->path);
    free(t);
}

/* NAME of the trial's environment becomes NAME=value, or goes. */
static int trial_set(struct trial *t, const struct change *ch)
{
    char **env = t->overlay.environ, **e = env;
    size_t n = 0;

    for (; *e; e++) {
        struct str rest = str_of(*e), name = str_split(&rest, '=');
        if (str_eq(name, ch->name))
            free(*e);
        else
            env[n++] = *e;
    }
    env[n] = NULL;
    if (!ch->value.p)
        return 0;
    if (!(env = realloc(env, (n + 2) * sizeof *env)))
        return -ENOMEM;
    t->overlay.environ = env;
    env[n + 1] = NULL;
    return asprintf(&env[n], STR_FMT "=" STR_FMT, STR_ARG(ch->name), STR_ARG(ch->value)) < 0
               ? (env[n] = NULL, -ENOMEM)
               : 0;
}

static int try_changes(struct admin_call *c, const struct changes *all)
{
    struct trial *t = calloc(1, sizeof *t);
    char err[STORE_ERR_BYTES] = "";
    int r = t ? admin_overlay_load(c->env->store, c->env->environ, &t->overlay, err) : -ENOMEM;

    if (r == 0 && c->env->config_path && !(t->path = strdup(c->env->config_path)))
        r = -ENOMEM;
    for (unsigned i = 0; i < all->n && r == 0; i++)
        r = trial_set(t, &all->at[i]);
    if (r < 0) {
        if (t)
            trial_free(t);
        return admin_store_fail(c, r, err);
    }
    r = offload_run(trial_run, t, trial_free, clock_now() + CHECK_TIMEOUT);
    if (r == -ETIMEDOUT || r == -ECANCELED) /* t is the pool's */
        return admin_store_fail(c, r, "the check of a changed setting took too long");
    if (r == -EINVAL)
        admin_bad(c, "", "%s", t->why);
    if (r == -EINVAL && all->n == 1)
        c->error.param = all->at[0].name;
    trial_free(t);
    return r == -EINVAL ? -EREMOTEIO : r < 0 ? admin_store_fail(c, r, NULL) : 0;
}

/* --- reading a change --- */

static bool find_setting(struct admin_call *c, struct str name, struct admin_setting *ret)
{
    _cleanup_(buf_free) struct buf text = {0};
    bool found = false;

    buf_init(&text, 64 * KIB);
    for (unsigned i = 0; !found && setting_at(c, i, ret, &text); i++)
        found = str_eq(str_of(ret->name), name);
    return found;
}

static int unknown_setting(struct admin_call *c, struct str name)
{
    _cleanup_(buf_free) struct buf text = {0};
    struct str names[SETTINGS_MAX], near = STR_NONE;
    struct admin_setting s;
    unsigned n = 0;

    buf_init(&text, 64 * KIB);
    while (n < SETTINGS_MAX && setting_at(c, n, &s, &text))
        names[n++] = str_of(s.name);
    bool found = text_nearest(name, names, n, &near, 1) > 0;
    admin_fail(c, 400, "unknown_setting", "There is no setting '" STR_FMT "'.%s" STR_FMT "%s",
        (int)MIN(name.n, 64), name.p, found ? " Did you mean '" : "", STR_ARG(near),
        found ? "'?" : "");
    c->error.param = arena_dup(&c->arena, str_to(name, 64));
    return -EREMOTEIO;
}

static int may_change(struct admin_call *c, struct str name)
{
    struct admin_setting s;

    if (!find_setting(c, name, &s))
        return unknown_setting(c, name);
    if (!s.secret && admin_setting_place(name) != SETTING_FIXED)
        return 0;
    admin_fail(c, 400, "fixed_setting", STR_FMT " can only be set in the environment or the file.",
        STR_ARG(name));
    c->error.param = arena_dup(&c->arena, name);
    return -EREMOTEIO;
}

static struct str plain_text(struct admin_call *c, struct str literal)
{
    char *text = arena_alloc(&c->arena, literal.n + 1);
    ptrdiff_t n = text ? json_unescape(literal, text) : -1;

    return n < 0 ? STR_NONE : str_at(text, (size_t)n);
}

static int add_change(struct admin_call *c, struct str key, struct str value, struct changes *out)
{
    struct str literal = str_at(key.p - 1, key.n + 2), name = plain_text(c, literal);
    struct change *ch = &out->at[out->n];
    enum json_type t = json_type_of(value);
    int r;

    if (out->n == CHANGES_MAX)
        return admin_bad(c, "", "At most %d settings may change at once.", CHANGES_MAX);
    if ((r = may_change(c, name)) < 0)
        return r;
    *ch = (struct change){.name = name};
    if (t == JSON_STRING)
        ch->value = plain_text(c, value);
    else if (t == JSON_NUMBER || t == JSON_TRUE || t == JSON_FALSE)
        ch->value = value;
    else if (t != JSON_NULL)
        return admin_bad(c, arena_dup(&c->arena, name).p,
            STR_FMT " must be a text, a number, true or false; null takes it back.", STR_ARG(name));
    if (ch->value.p && (ch->value.n > 16 * KIB || memchr(ch->value.p, '\0', ch->value.n)))
        return admin_bad(c, arena_dup(&c->arena, name).p, STR_FMT " is too long, or holds a NUL.",
            STR_ARG(name));
    out->n++;
    out->restart |= admin_setting_place(name) == SETTING_AT_START;
    return 0;
}

static int read_changes(struct admin_call *c, struct changes *out)
{
    enum json_type top;
    struct json_error err;
    struct str key, value;
    size_t at = json_inside(c->text);
    int r = 0;

    if (json_scan(c->text, NULL, NULL, 0, &top, &err) < 0 || top != JSON_OBJECT)
        return admin_fail(c, 400, "invalid_body", "The body must be a JSON object of settings.");
    while (r == 0 && json_next(c->text, &at, &key, &value))
        r = add_change(c, key, value, out);
    if (r == 0 && !out->n)
        return admin_fail(c, 400, "invalid_body", "The body names no setting.");
    return r;
}

/* --- writing it --- */

static int add_to_batch(struct admin_call *c, struct store_batch *b, const struct change *ch)
{
    _cleanup_(buf_free) struct buf json = {0};
    struct store_value v[4] = {store_text(ch->name)};
    int r;

    buf_init(&json, 128 * KIB);
    buf_addjson(&json, ch->value);
    v[1] = store_text(buf_str(&json));
    v[2] = store_int(clock_wall());
    v[3] = store_text(c->who.actor);
    if (!ch->value.p)
        r = store_batch_add(b, "DELETE FROM settings WHERE name = ?1", v, 1, 0);
    else
        r = store_batch_add(b,
            "INSERT INTO settings (name, value, updated_at, updated_by) VALUES (?1, ?2, ?3, ?4) "
            "ON CONFLICT (name) DO UPDATE SET value = excluded.value, "
            "updated_at = excluded.updated_at, updated_by = excluded.updated_by",
            v, 4, 0);
    return r;
}

static int write_changes(struct admin_call *c, const struct changes *all)
{
    struct store_batch *b = NULL;
    char err[STORE_ERR_BYTES] = "";
    int r = store_batch_new(&b);

    for (unsigned i = 0; i < all->n && r == 0; i++)
        r = add_to_batch(c, b, &all->at[i]);
    for (unsigned i = 0; i < all->n && r == 0; i++)
        r = store_batch_add_change(b, ADMIN_SETTINGS_KIND, all->at[i].name);
    if (r == 0)
        r = store_batch_run(c->env->store, b, err);
    store_batch_free(b);
    return r < 0 ? admin_store_fail(c, r, err) : 0;
}

static const struct field_row changed_fields[] = {
    {"changed", FIELD_TEXTS, 0, 0, 0, 0, NULL, NULL, "The settings that were changed.", NULL},
    {"restart_required", FIELD_BOOL, 0, 0, 0, 0, NULL, NULL,
        "Whether any of them counts only from the next start.", NULL},
    {"needs_restart", FIELD_TEXTS, 0, 0, 0, 0, NULL, NULL, "Which.", NULL},
};
static const struct admin_schema changed_schema = {
    "Settings_changed", changed_fields, ARRAY_LEN(changed_fields), 0};

static void put_changed(struct buf *out, const struct changes *all)
{
    put_open(out, NULL, '{');
    put_open(out, "changed", '[');
    for (unsigned i = 0; i < all->n; i++)
        put_str(out, NULL, all->at[i].name);
    put_close(out, ']');
    put_bool(out, "restart_required", all->restart);
    put_open(out, "needs_restart", '[');
    for (unsigned i = 0; i < all->n; i++)
        if (admin_setting_place(all->at[i].name) == SETTING_AT_START)
            put_str(out, NULL, all->at[i].name);
    put_close(out, ']');
    put_close(out, '}');
}

static int apply(struct admin_call *c, const struct changes *all, const char *action)
{
    int r = c->env->store ? try_changes(c, all) : admin_store_fail(c, -EHOSTDOWN, NULL);

    if (r == 0)
        r = write_changes(c, all);
    if (r == 0)
        r = admin_audit(c, "policy_change", action, all->at[0].name, c->text);
    if (r == 0 && c->env->reload)
        c->env->reload();
    put_changed(&c->out, all);
    return r;
}

static int change(struct admin_call *c)
{
    struct changes *all = arena_new(&c->arena, struct changes);
    int r = all ? read_changes(c, all) : -ENOMEM;

    return r < 0 ? r : apply(c, all, "config.change");
}

static int take_back(struct admin_call *c)
{
    struct changes *all = arena_new(&c->arena, struct changes);
    int r = all ? may_change(c, admin_param(c, 0)) : -ENOMEM;

    if (r < 0)
        return r;
    all->at[all->n++].name = admin_param(c, 0);
    all->restart = admin_setting_place(admin_param(c, 0)) == SETTING_AT_START;
    return apply(c, all, "config.take_back");
}

static const struct admin_schema change_body = {.name = "Settings"};

static const struct admin_row rows[] = {
    {.method = HTTP_GET,
        .path = "/api/config",
        .may = MAY_VIEW,
        .handle = list,
        .reply = &setting_schema,
        .name = "settings",
        .list = true,
        .tag = "Configuration",
        .summary = "Every setting, its value and where that comes from"},
    {.method = HTTP_PUT,
        .path = "/api/config",
        .may = MAY_ADMIN,
        .handle = change,
        .body = &change_body,
        .reply = &changed_schema,
        .flags = ADMIN_BODY_RAW | ADMIN_EXTRAS,
        .tag = "Configuration",
        .summary = "Change settings: {NAME: value}; null takes one back"},
    {.method = HTTP_DELETE,
        .path = "/api/config/{name}",
        .may = MAY_ADMIN,
        .handle = take_back,
        .reply = &changed_schema,
        .tag = "Configuration",
        .summary = "Take a changed setting back"},
};
const struct admin_rows admin_config_rows = {rows, ARRAY_LEN(rows)};
